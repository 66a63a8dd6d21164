"""API v2 (CircleCI's v2 OpenAPI document): pipelines, their workflows and jobs; the other versions differ from it."""

from typing import Final, TypeAlias

from deploystep.circleci import http
from deploystep.circleci.client import Client, Enough, Recent
from deploystep.circleci.errors import TriggerContext, refused, uncertain
from deploystep.circleci.http import JsonObject, Request, Response, Result, body_of, segment
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.errors import NothingRuns, ToolError
from deploystep.core.frozen import Frozen, replace
from deploystep.core.retry import Repeat
from deploystep.core.runs import Created, NodeState, Run, WorkflowState

project_path: Final = http.project_path
_ACCEPTED: Final = range(200, 300)
#: Of other words it is not known whether a trigger through the API made the run (v2 OpenAPI, Pipeline.trigger).
_BY_API: Final = {"api": True, "webhook": False, "scheduled_pipeline": False}


class Job(Frozen):
    """A job of a workflow (v2 OpenAPI, Job)."""

    id: str | None
    name: str
    status: str
    age: tuple[bool, str, int]  # orders jobs of one name: one that has not started is newer than any that has
    after: frozenset[str] = frozenset()  # ids of the jobs that it requires
    is_for_failure: bool = False  # of one of them it requires another end than success


class Reader:
    """What is read by an id, or of any project. Other API versions say where runs are, and write them as v2 does."""

    _runs = "/api/v2/pipeline"

    def __init__(self, client: Client) -> None:
        self.client = client

    def _as_v2(self, body: JsonObject) -> JsonObject:
        return body

    def one(self, run_id: str) -> tuple[JsonObject, Result]:
        """A run as v2 writes it, empty where the answer is of another or names no state; and the answer itself."""
        result = self.client.get(f"{self._runs}/{segment(run_id)}")
        body = self._as_v2(JsonObject(body_of(result)))
        return (body if body.get("id") == run_id and body.text("state") else JsonObject(None)), result

    def run(self, run_id: str) -> Run | None:
        """The run; None where it cannot be read."""
        return read_run(self.one(run_id)[0])

    def project(self, run_id: str) -> tuple[ProjectSlug | None, Result]:
        """The project that a run is of, None where that is not told, and the answer itself."""
        body, result = self.one(run_id)
        return ProjectSlug.parse(body.text("project_slug") or ""), result

    def compiled_config(self, run_id: str) -> str | None:
        """What `<< pipeline.parameters.x >>` was replaced in; empty until then, None where it cannot be read."""
        body = JsonObject(body_of(self.client.get(f"/api/v2/pipeline/{segment(run_id)}/config")))
        compiled = body.get("compiled")
        # with a setup workflow there are two configurations, and both count once the second has been compiled
        more = f"\n{body.text('compiled-setup-config') or ''}" if compiled else ""
        return compiled + more if isinstance(compiled, str) else None

    def pipelines(self, project: ProjectSlug, ref: Branch | Tag, enough: Enough) -> Recent | Result:
        """A project's pipelines, newest first. There is no filter for tags: for a tag the whole project's are read."""
        branch = {"branch": ref.name} if isinstance(ref, Branch) else {}
        ask = http.listing(f"{project_path(project)}/pipeline", **branch)
        return self.client.runs(ask, http.page_of(read_run), enough)

    def workflows(self, run_id: str) -> tuple[WorkflowState, ...] | None:
        """Every workflow of the run; None where they cannot be read, or are of another."""

        def read(item: JsonObject) -> WorkflowState | None:
            return read_workflow(item) if item.get("pipeline_id") in (None, run_id) else None

        return self.client.pages(http.listing(f"/api/v2/pipeline/{segment(run_id)}/workflow"), http.page_of(read))

    def jobs(self, workflow_id: str) -> tuple[Job, ...] | None:
        """Every job of the workflow; None where they cannot be read."""

        def read(item: JsonObject) -> Job | None:
            name, status, started = item.text("name"), item.text("status"), item.text("started_at")
            if name is None or status is None:
                return None
            ends = item.get("requires") if isinstance(item.get("requires"), dict) else {}
            is_for_failure = any(isinstance(end, list) and end and "success" not in end for end in ends.values())
            age = (started is None, started or "", item.number("job_number") or 0)
            return Job(item.identity("id"), name, status, age, frozenset(ends), is_for_failure)

        return self.client.pages(http.listing(f"/api/v2/workflow/{segment(workflow_id)}/job"), http.page_of(read))

    def jobs_not_run(self, workflow: WorkflowState) -> tuple[str, ...] | None:
        """Names of the workflow's jobs whose newest attempt was skipped; None where they cannot be read."""
        found = self.jobs(workflow.id)
        if found is None:
            return None
        newest = {job.name: job for job in sorted(found, key=lambda job: job.age)}
        not_run = [job for job in newest.values() if job.status == "not_run"]
        # what was only to run if another job failed, and what comes after it, has not been skipped
        idle: set[str | None] = set()
        while more := [j for j in not_run if j.id not in idle and (j.is_for_failure or not j.after.isdisjoint(idle))]:
            idle |= {job.id for job in more}
        return tuple(job.name for job in not_run if job.id not in idle)

    def nodes(self, project: ProjectSlug, number: int) -> tuple[tuple[NodeState, ...] | None, Result]:
        """A job's nodes (None where it lists none, or is another), and the answer itself."""

        def read(item: JsonObject) -> NodeState | None:
            index = item.number("index")
            return None if index is None else NodeState(index, item.text("status") or "")

        result = self.client.get(f"{project_path(project)}/job/{number}")
        body = JsonObject(body_of(result))
        return http.every(body.get("parallel_runs"), read) if body.number("number") == number else None, result


class V2(Reader):
    """One API version for one project and ref: it triggers, confirms, looks back and cancels."""

    _workflows = "/api/v2/workflow"
    _is_job, _has_number = False, True

    def __init__(self, client: Client, context: TriggerContext) -> None:
        super().__init__(client)
        self.context = context

    def read_created(self, response: Response) -> Created:
        """What was created. Raises Refused, NothingRuns or Uncertain where nothing certainly was."""
        status = response.status
        if status not in _ACCEPTED:
            raise refused(response, self.context)
        body = JsonObject(body_of(response, _ACCEPTED))
        made = self._as_v2(body)
        identity, number = made.identity("id"), made.number("number")
        if identity is not None and (number is not None or not self._has_number):
            url, state = self.context.run_url(number), made.text("status" if self._is_job else "state") or ""
            is_of = made.revision("vcs", "revision") if self._is_job else None
            return Created(None if self._is_job else identity, number, url, state, is_of)
        words = http.message_of(response) if status == _ACCEPTED.start else ""
        nothing = uncertain(f"CircleCI answered {status}, but not with what it created", self.context)
        raise (self._no(words) if words and "id" not in body.get() else None) or nothing

    def _no(self, words: str, /) -> ToolError | None:
        """What words mean that a 200 holds in place of what was created."""
        what = f"CircleCI accepted the trigger of rule '{self.context.rule}' and created nothing: {words}"
        hint = "a commit message with [skip ci] or [ci skip] stops API triggers too; push a commit without it"
        return NothingRuns("skipped", what, hint)

    def recent(self, enough: Enough) -> Recent | Result:
        """The project's runs, newest first, as far back as `enough` wants; of a branch only that branch's."""
        return self.pipelines(self.context.project, self.context.ref, enough)

    def details(self, run: Run) -> Run:
        """The run with its revision, number and how it was triggered, as far as the run itself tells."""
        return run if run.is_by_api is not None and run.revision else completed(run, self.run(run.id))

    def cancel(self, workflow: WorkflowState) -> bool:
        """`POST …/{id}/cancel`: whether it was accepted. Cancelling twice does no harm."""
        result = self.client.send(Request("POST", f"{self._workflows}/{segment(workflow.id)}/cancel", Repeat.FREELY))
        return isinstance(result, Response) and result.status in _ACCEPTED


#: One API version, for the project and ref of one trigger. A run is asked for by its `run_key`.
Api: TypeAlias = V2


def completed(run: Run, read: Run | None) -> Run:
    """The run with what another reading of it tells and it does not."""
    if read is None:
        return run
    by_api = run.is_by_api if run.is_by_api is not None else read.is_by_api
    return replace(run, number=run.number or read.number, revision=run.revision or read.revision, is_by_api=by_api)


def read_run(body: JsonObject) -> Run | None:
    """A pipeline as v2 writes it; None where it has no id."""
    identity, state = body.identity("id"), body.text("state")
    if identity is None:
        return None
    errors = body.get("errors") if isinstance(body.get("errors"), list) else ()
    git = ("trigger_parameters", "git")  # where `vcs` is absent (GitHub App), this says what was checked out
    return Run(
        id=identity,
        number=body.number("number"),
        revision=body.revision("vcs", "revision") or body.revision(*git, "checkout_sha"),
        ref=body.ref("vcs") or body.ref(*git),
        created=body.moment("created_at"),
        is_by_api=_BY_API.get(body.text("trigger", "type") or ""),
        is_errored=state == "errored",
        is_forming=state in ("pending", "setup-pending", "setup"),
        errors=tuple(message for error in errors if (message := JsonObject(error).text("message"))),
    )


def read_workflow(item: JsonObject) -> WorkflowState | None:
    """A workflow as v2 writes it; None where its id, name or status is missing."""
    identity, name, status = item.identity("id"), item.text("name"), item.text("status")
    if identity is None or name is None or status is None:
        return None
    is_setup, created, stopped = item.get("tag") == "setup", item.moment("created_at"), item.moment("stopped_at")
    reruns = max(0, (item.number("max_auto_reruns") or 0) - (item.number("auto_rerun_number") or 0))
    return WorkflowState(identity, name, status, is_setup, created, reruns, stopped)
