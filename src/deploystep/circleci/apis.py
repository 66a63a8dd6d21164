"""The API versions behind one interface: each triggers, shows what was created, lists what there is, and cancels.

API v1.1 is as its reference and OpenAPI document tell it. Of v3 no reference could be read: it is what CircleCI's own
command line sends and reads, and one published script triggers. To run a tag or a revision by v3 is not attested.
"""

from datetime import timedelta, timezone
from itertools import count
from typing import Any, Final, TypeAlias

from deploystep.circleci import http
from deploystep.circleci.client import Client, Enough, Recent
from deploystep.circleci.errors import TriggerContext
from deploystep.circleci.http import JsonObject, Page, Request, Response, Result, body_of, project_path, segment
from deploystep.circleci.v2 import V2, Reader, completed, read_run, read_workflow
from deploystep.core.build import ProjectSlug, Tag
from deploystep.core.deploy import TriggerSpec
from deploystep.core.errors import Refused, ToolError
from deploystep.core.retry import Repeat
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created, Run, WorkflowState

#: One API version, for the project and ref of one trigger. A run is asked for by its `run_key`.
Api: TypeAlias = V2
_PAGE: Final = 100  # v1.1 reference: the most that `limit` may be
#: The words of `why` as v2 writes them; the reference shows `edit` for what recorded answers call `api`.
_WHY: Final = {"api": "api", "edit": "api", "github": "webhook", "bitbucket": "webhook"}
#: Outcomes in v2's words; what is not here stays what it is, or runs.
_ENDED: Final = {"succeeded": "success", "errored": "error"}
_STARTED: Final = {"failed": "failing", "on_hold": "on_hold"}


def trigger_request(spec: TriggerSpec, project: ProjectSlug) -> Request:
    """The one request that triggers the deploy; it is never repeated once it may have been received."""
    # config and checkout come from one place; neither v2 nor v3 has a key for a revision
    where: dict[str, Any] = {"tag" if isinstance(spec.ref, Tag) else "branch": spec.ref.name}
    parameters = {"parameters": dict(spec.parameters)} if spec.parameters else {}
    # v2 OpenAPI, `triggerPipelineRun`, and for a CircleCI Server that lacks it `triggerPipeline`
    path = f"{project_path(project)}/pipeline/run"
    body: dict[str, Any] = {"config": where, "checkout": where, **parameters}
    if spec.api is ApiVersion.V2_PIPELINE:
        path, body = f"{project_path(project)}/pipeline", where | parameters
    elif spec.api is ApiVersion.V3:
        # the pipeline definition stands for the project
        path, body = "/api/v3/runs", {"data": {"attributes": body, "references": {"pipeline": {"id": spec.definition}}}}
    elif spec.api is ApiVersion.V1_1:
        # the branch is one path segment (`/` is %2F), the revision is pinned where it is ours; build parameters become
        # environment variables: texts, with booleans as JSON writes them
        path = f"{project_path(project, 'v1.1')}/tree/{segment(spec.ref.name)}"
        texts = {key: str(v).lower() if isinstance(v, bool) else str(v) for key, v in spec.parameters.items()}
        body = {"revision": spec.revision} if spec.revision else {}
        body["build_parameters"] = {"CIRCLE_JOB": spec.job, **texts}
    elif spec.definition:
        body["definition_id"] = spec.definition
    return Request("POST", path, Repeat.ONLY_IF_NOT_RECEIVED, body)


def api_for(client: Client, context: TriggerContext) -> Api:
    """The API version of this trigger."""
    kinds = {ApiVersion.V1_1: V1Job, ApiVersion.V3: V3}
    return kinds.get(context.api, V2)(client, context)


def run_key(created: Created) -> str:
    """What a run is asked for by: its id, or for a job of API v1.1 its number."""
    return created.id if created.id is not None else str(created.number)


class V1Job(V2):
    """API v1.1 for one project and branch: each job is seen as a run with one workflow of the job's name."""

    _is_job = True

    def __init__(self, client: Client, context: TriggerContext) -> None:
        super().__init__(client, context)
        self._runs = self._workflows = http.project_path(context.project, "v1.1")

    def _no(self, words: str, /) -> ToolError | None:
        """Failures can come so."""
        what = f"CircleCI answered 200 and started no job for rule '{self.context.rule}': {words}"
        no_2_1 = "API v1.1 cannot trigger jobs of a config that says version: 2.1"
        return Refused("refused", what, f"{no_2_1}; gate a workflow on a parameter and use workflow:")

    def _as_v2(self, body: JsonObject) -> JsonObject:
        number, status = body.number("build_num"), body.text("outcome") or body.text("status")
        # a job of a workflow was started by that workflow
        why = "webhook" if body.get("workflows") else _WHY.get(body.text("why") or "")
        return JsonObject({
            "id": None if number is None else str(number),
            "number": number,
            "name": body.text("job_name") or body.text("build_parameters", "CIRCLE_JOB"),
            "state": status and "created",
            "status": status,
            "created_at": body.text("queued_at") or body.get("usage_queued_at"),
            "trigger": {"type": why},
            "vcs": {"revision": body.get("vcs_revision"), "branch": body.get("branch"), "tag": body.get("vcs_tag")},
        })  # fmt: skip

    def workflows(self, run_id: str) -> tuple[WorkflowState, ...] | None:
        """The job, seen as the one workflow of its run; None where it cannot be read."""
        job = self.one(run_id)[0]
        word = job.text("status")
        status = "success" if word in ("fixed", "no_tests") else word  # v1.1 reference, "Build status"
        return (WorkflowState(run_id, job.text("name") or "", status),) if status else None

    def recent(self, enough: Enough) -> Recent | Result:
        """The branch's jobs, newest first (`GET …/tree/:branch`); those that wait to start may be missing."""
        offsets = count(_PAGE, _PAGE)

        def read(result: Result) -> Page[Run] | None:
            jobs = http.every(body_of(result), lambda job: read_run(self._as_v2(job)))
            # a full page may have another after it
            return None if jobs is None else (jobs, str(next(offsets)) if len(jobs) >= _PAGE else None)

        path = f"{self._runs}/tree/{segment(self.context.ref.name)}"
        return self.client.runs(http.listing(path, "offset", limit=str(_PAGE), shallow="true"), read, enough)

    def compiled_config(self, _run_id: str) -> str | None:
        """None: a job of API v1.1 has no configuration of its own."""
        return None

    def jobs_not_run(self, _workflow: WorkflowState) -> tuple[str, ...] | None:
        """Nothing: the job is all that there is, and its own state tells whether it ran."""
        return ()


class V3(V2):
    """API v3 for one project and branch. What a run was compiled to, and its jobs, v2 tells by the same ids."""

    _runs, _workflows = "/api/v3/runs", "/api/v3/workflows"
    _has_number = False

    def _no(self, _words: str, /) -> ToolError | None:
        return None  # none are attested

    def _as_v2(self, body: JsonObject) -> JsonObject:
        data = JsonObject(body.get("data")) if body.get("attributes") is None else body  # an item of a list is bare
        phase = data.text("attributes", "phase") or ""
        outcome = data.text("attributes", "outcome") or data.text("attributes", "current_outcome") or ""
        is_new = phase in ("created", "queued")
        status = "queued" if is_new else _STARTED.get(outcome, "running") if phase == "started" else phase
        status = _ENDED.get(outcome, outcome) if phase == "ended" else status
        state = "errored" if status == "error" else "pending" if is_new else phase and "created"
        same = {key: data.get("attributes", key) for key in ("number", "created_at", "errors", "name", "tag")}
        vcs = data.get("references", "event", "attributes", "vcs")
        return JsonObject({"id": data.get("id"), "state": state, "status": status or "unknown", "vcs": vcs, **same})

    def workflows(self, run_id: str) -> tuple[WorkflowState, ...] | None:
        """`GET /workflows?filter[run_id]=`; a 404 means that there are none yet, or that they may not be seen."""
        read_page = http.page_of(lambda item: read_workflow(self._as_v2(item)), "data", ("page", "next"))

        def read(result: Result) -> Page[WorkflowState] | None:
            is_missing = isinstance(result, Response) and result.status == 404  # noqa: PLR2004
            return ((), None) if is_missing else read_page(result)

        return self.client.pages(http.listing(self._workflows, "page[cursor]", **{"filter[run_id]": run_id}), read)

    def recent(self, enough: Enough) -> Recent | Result:
        """The branch's runs of the last 90 days (`POST /runs/search`), after which no workflow can be rerun."""
        project, now = self.context.project_id, self.client.clock.now().astimezone(timezone.utc)
        if project is None:
            result = self.client.get("/api/v3/projects", **{"filter[slug]": str(self.context.project)})
            found = http.every(JsonObject(body_of(result)).get("data"), lambda item: item.identity("id"))
            if not found:
                return result
            project = found[0]
        quoted = self.context.ref.name.replace("\\", "\\\\").replace('"', '\\"')
        first, last = (f"{now + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (-90, 1))
        scope = {"project_ids": [project], "from": first, "to": last}

        def ask(cursor: str) -> Request:
            page = {"cursor": cursor, "limit": 20}  # more are refused
            body = {"scope": scope, "filter": f'pipeline.git.branch == "{quoted}"', "page": page}
            return Request("POST", "/api/v3/runs/search", Repeat.FREELY, body)

        read = http.page_of(lambda item: read_run(self._as_v2(item)), "data", ("page", "next"))
        return self.client.runs(ask, read, enough)

    def details(self, run: Run) -> Run:
        """The run with how it was triggered, which v2 tells by the same id, and its revision."""
        if run.is_by_api is None:
            run = completed(run, Reader(self.client).run(run.id))
        return run if run.revision else completed(run, self.run(run.id))
