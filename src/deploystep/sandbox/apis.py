"""API v2, v1.1 and v3: routes, and runs, workflows and jobs in their words.

v2 is from its OpenAPI document: an answer holds what that requires, and what this tool reads. v1.1 is from its
reference; v3 is as far as CircleCI's CLI, its conventions page, and scripts attest it. A run there is what v2 calls a
pipeline, and has the same id; a pipeline there is what v2 calls a definition.
"""

from collections.abc import Callable, Mapping, Sequence
from http.client import responses
from typing import Any
from urllib.parse import quote

from .messages import FILTERED, Call, RefusedError, Reply, Shape, body_of, in_text, message, page_of, route, told
from .store import ENDED, HOSTS, JobView, Run, Store, TriggerBody, WorkflowRun, jobs_of, made_up_uuid, repository_url

PAGE = 20  # items: for v3 the most that a search may ask for (CircleCI's CLI), for v2 a guess
USER_ID = "0f3c5a3e-5d0b-5a5e-8a2b-3a4d3f0e9c11"
UNEXPECTED = (400, "Unexpected request body provided.")  # v2 OpenAPI, 400_unexpected_request_body
ACTOR = {"login": "sandbox", "avatar_url": None}
SENT: Mapping[str, Shape] = {"parameters": "an object of at most 100 texts, numbers and booleans"}
REF: Mapping[str, Shape] = {"branch": "a string", "tag": "a string"}
RUN: Shape = {"definition_id": "a UUID", "config": REF, "checkout": REF, **SENT}
"""`triggerPipelineRun`: no member is required, and none but these four is allowed."""
PIPELINE: Shape = {**REF, **SENT, "*": "anything"}
"""`triggerPipeline`, of an older CircleCI Server: its document allows other members, but no GitHub App projects."""


# v2


def _trigger(shape: Shape) -> Callable[..., Reply]:
    """Answer 201, or 200 when the commit is skipped, or 400 for any deviation: also for both a branch and a tag."""

    def handle(store: Store, call: Call, project: str) -> Reply:
        if shape is PIPELINE and project.startswith("circleci/"):
            raise RefusedError(404, "Project not found")
        try:
            body = body_of(call.request, shape) if call.request.body else {}
        except RefusedError:
            raise RefusedError(*UNEXPECTED) from None
        places = [body.get("checkout", {}), body.get("config", {})] if shape is RUN else [body]
        if any("branch" in place and "tag" in place for place in places):
            raise RefusedError(*UNEXPECTED)
        where: Any = next((place for place in places if "branch" in place or "tag" in place), {})
        asked = TriggerBody(where.get("branch"), where.get("tag"), body.get("parameters", {}), **call.override)
        return Reply(201, told(store.create("v2", project, asked), "id", "state", "number", "created_at"))

    return handle


def _page(items: Sequence[Any], call: Call, show: Callable[[Any], Any]) -> Any:
    page, following = page_of(items, call.request.query.get("page-token", ""), PAGE)
    return {"items": [show(item) for item in page], "next_page_token": following}


def _pipeline(run: Run) -> Any:
    """Put a run into the words of v2 OpenAPI's Pipeline. GitHub App projects were seen to have no `vcs`."""
    ref = {"branch": run.branch} if run.branch is not None else {"tag": run.tag}
    where: Any = {"trigger_parameters": {"git": {**ref, "checkout_sha": run.revision}}}
    if repository := repository_url(run.project):
        addresses = dict.fromkeys(("origin_repository_url", "target_repository_url"), repository)
        provider = HOSTS[run.project.partition("/")[0]][0]
        where = {"vcs": {"provider_name": provider, **addresses, "revision": run.revision, **ref}}
    return {
        **told(run, "id", "number", "state", "created_at", project_slug="project"),
        "errors": [{"type": "config", "message": text} for text in run.errors],
        "trigger": {"type": run.trigger, "received_at": run.created_at, "actor": ACTOR},
        **where,
    }


def _workflows(_store: Store, call: Call, pipeline: Run) -> Any:
    of_run = told(pipeline, pipeline_id="id", pipeline_number="number", project_slug="project")

    def show(workflow: WorkflowRun) -> Any:
        reruns = [name for name in ("max_auto_reruns", "auto_rerun_number") if getattr(workflow, name)]
        names = ("id", "name", "status", "created_at", "stopped_at", "tag", *reruns)
        return told(workflow, *names) | of_run | {"started_by": USER_ID}

    return _page(pipeline.workflows, call, show)


def _jobs(_store: Store, call: Call, workflow: tuple[Run, WorkflowRun]) -> Any:
    run, its = workflow
    usual = {"project_slug": run.project, "type": "build", "dependencies": [], "started_at": its.created_at}
    return _page(its.jobs, call, lambda job: told(job, "id", "name", "status", job_number="number") | usual)


def _cancel(store: Store, _call: Call, workflow: tuple[Run, WorkflowRun]) -> Reply:
    if workflow[1].status not in ENDED:
        store.set_workflow(workflow[1].id, "canceled")
    return message(202, "Accepted.")


def _job(_store: Store, _call: Call, project: str, job: JobView) -> Any:
    """Answer in the words of v2 OpenAPI's Job Details."""
    (run, workflow, it), (_, organization, name) = job, project.split("/")
    stopped, web = workflow.stopped_at, f"https://app.circleci.com/jobs/{quote(project)}/{it.number}"
    slug = {"id": made_up_uuid(project), "slug": project, "name": name, "external_url": repository_url(project) or web}
    nodes = [{"index": index, "status": status} for index, status in enumerate(it.nodes)]
    length = int((stopped - workflow.created_at).total_seconds() * 1000) if stopped else None
    return (
        told(it, "number", "name", "status")
        | dict.fromkeys(("created_at", "queued_at", "started_at"), workflow.created_at)
        | {"duration": length, "parallelism": len(nodes), "parallel_runs": nodes, "contexts": [], "messages": []}
        | {"pipeline": {"id": run.id}, "latest_workflow": told(workflow, "id", "name"), "web_url": web}
        | {"organization": {"name": organization}, "project": slug, "executor": {"resource_class": "medium"}}
    )


def _project(_store: Store, _call: Call, project: str) -> Any:
    provider, organization, name = project.split("/")
    host, address = HOSTS.get(provider, ("CircleCI", "//circleci.com"))
    vcs = {"provider": host, "vcs_url": f"{address}/{organization}/{name}", "default_branch": "main"}
    of = {"organization_name": organization, "organization_slug": f"{provider}/{organization}", "vcs_info": vcs}
    of["organization_id"] = made_up_uuid(organization)
    return {"id": made_up_uuid(project), "slug": project, "name": name, **of}


# v1.1


def _start_job(store: Store, call: Call, project: str, branch: str) -> Reply:
    """Start one job, at `revision` if that is given. Build parameters become environment variables, so texts."""
    shape: Shape = {"build_parameters": {"*": "anything"}, "revision": "a string", "*": "anything"}
    body = body_of(call.request, shape, is_declared=False)
    sent = {name: "" if value is None else value for name, value in body.get("build_parameters", {}).items()}
    given = {name: in_text(value) for name, value in sent.items()}
    asked = (branch, None, given, body.get("revision") or None, given.get("CIRCLE_JOB", "build"))
    run = store.create("v1.1", project, TriggerBody(*asked, **call.override))
    return Reply(200, _build(jobs_of(run)[0]), (("Sunset", "Mon, 01 Feb 2027 00:00:00 GMT"),))


def _cancel_job(store: Store, call: Call, project: str, job: JobView) -> Any:
    """Answer with the job as it is then; one that has ended stays as it ended. Guess: its workflow goes with it."""
    _cancel(store, call, job[:2])
    return _build(store.named("job", str(job[2].number), call, {"project": project}))


def _recent_jobs(store: Store, call: Call, project: str, branch: str) -> Any:
    query = call.request.query
    start, size = int(query.get("offset", 0)), int(query.get("limit", 30))
    if start < 0 or size < 0:
        raise ValueError("offset and limit must not be negative")
    listed = store.listed(lambda run: (run.project, run.branch) == (project, branch))
    jobs = [job for run in listed for job in reversed(jobs_of(run))]
    return [_build(job) for job in jobs[start : start + min(size, 100)]]


def _build(view: JobView) -> Any:
    """Put a job into v1.1's words: a summary, without steps, and where it comes from as far as that is known."""
    run, workflow, job = view
    status = {"error": "failed", "unauthorized": "failed", "not_run": "canceled"}.get(job.status, job.status)
    has_ended, has_begun = job.status in ENDED, job.status != "not_running"
    of = {"job_name": job.name, "workflow_id": workflow.id, "workflow_name": workflow.name}
    by_push = {"why": "github", "build_parameters": {}, "workflows": of}
    return (
        told(job, build_num="number", job_name="name")
        | told(run, "branch", vcs_tag="tag", vcs_revision="revision")
        | {"build_url": f"https://circleci.com/{quote(run.project)}/{job.number}", "stop_time": workflow.stopped_at}
        | {"status": status, "outcome": status if has_ended else None}
        | {"lifecycle": "finished" if has_ended else "running" if has_begun else "not_running"}
        | {"start_time": workflow.created_at if has_begun else None}
        | (by_push if run.is_pipeline else {"why": "api", "build_parameters": dict(run.parameters), "workflows": None})
    )


# v3

PHASES = {"failing": "started", "running": "started", "on_hold": "started", "pending": "created"}
"""Phases of what has not ended (CircleCI's CLI; `on_hold` is a guess). Any other word is one, also one nobody knows."""
OUTCOMES = {"success": "succeeded", "error": "errored", "failing": "failed"}  # no words of v2 (CircleCI's CLI)
WORST_FIRST = ("failed", "error", "unauthorized", "canceled", "not_run", "success")
"""Guess: which of several ends counts for the whole run."""
ATTRIBUTES: Shape = {"config": {"branch": "a string"}, "checkout": {"branch": "a string"}, **SENT}
V3_RUN: Shape = {"data!": {"attributes": ATTRIBUTES, "references!": {"pipeline!": {"id!": "a UUID"}}}}
"""`POST /runs`, as one was seen in public: a tag is refused here, and so is a commit. Guess: v2's limits hold."""
SEARCH: Shape = {
    "scope!": {"project_ids!": ["a UUID"], "from!": "a time with its zone", "to!": "a time with its zone"},
    "filter": FILTERED,
    "order_by": "empty",
    "page": {"cursor": "a string", "limit": "from 1 to 20"},
}
"""`POST /runs/search`. Guess: the scope must be given as a whole, as CircleCI's CLI gives it."""


def problem(reply: Reply) -> Reply:
    """Put an error into v3's shape: one object. Of its types only `validation_error` was seen."""
    status, detail = reply.status, reply.body["message"]
    title = "Validation Error" if status == 400 else responses.get(status, "Error")  # noqa: PLR2004
    named = {"id": made_up_uuid(detail), "type": title.lower().replace(" ", "_"), "title": title, "detail": detail}
    return Reply(status, {"error": named}, reply.headers)


def _create(store: Store, call: Call) -> Reply:
    """Answer 201, a guess, and for a skipped commit what v2 answers. The definition is of the only project known."""
    attributes = body_of(call.request, V3_RUN)["data"].get("attributes", {})
    where = attributes.get("checkout") or attributes.get("config") or {}
    projects = set(store.projects) or {run.project for run in store.stored_runs()}
    if len(projects) != 1:
        raise RefusedError(404, "Pipeline not found")
    asked = TriggerBody(where.get("branch"), parameters=attributes.get("parameters", {}), **call.override)
    run = store.create("v3", projects.pop(), asked)
    return Reply(201, {"data": _item("run", run.id, _stands(run) | {"number": run.number})})


def _search(store: Store, call: Call) -> Any:
    body = body_of(call.request, SEARCH)
    scope, page, branch = body["scope"], body.get("page", {}), body.get("filter")

    def is_wanted(run: Run) -> bool:
        is_in_time = run.is_pipeline and scope["from"] <= run.created_at <= scope["to"]
        return is_in_time and made_up_uuid(run.project) in scope["project_ids"] and branch in {None, run.branch}

    return _data(store.listed(is_wanted), page.get("cursor", ""), page.get("limit", PAGE), _run)


def _workflows_of_run(store: Store, call: Call) -> Any:
    run = store.named("pipeline", _filter(call, "run_id"), call)
    if not run.workflows:  # yet
        raise RefusedError(404, "Workflows not found")

    def show(workflow: WorkflowRun) -> Any:
        standing = {"name": workflow.name, **_stands(workflow), "ended_at": workflow.stopped_at}
        return _item("workflow", workflow.id, standing, run={"id": run.id}, project=_project_item(run.project))

    return _data(run.workflows, call.request.query.get("page[cursor]", ""), PAGE, show)


def _filter(call: Call, name: str) -> str:
    text = call.request.query.get(f"filter[{name}]")
    if not text:
        raise RefusedError(400, f"filter[{name}] is required")
    return text


def _data(items: Sequence[Any], cursor: str, size: int, show: Callable[[Any], Any]) -> Any:
    page, following = page_of([item for item in items if item], cursor, size)
    return {"data": [show(item) for item in page], "page": {"next": following, "prev": None}}


def _item(kind: str, name: str, attributes: Any, **references: Any) -> Any:
    return {"id": name, "type": kind, "attributes": attributes, "references": references}


def _project_item(slug: str) -> Any:
    return _item("project", made_up_uuid(slug), {"slug": slug})


def _run(run: Run) -> Any:
    ref = {"branch": run.branch} if run.branch is not None else {"tag": run.tag}
    vcs = {**ref, "revision": run.revision, "origin_repository_url": repository_url(run.project)}
    errors = {"errors": [{"type": "config", "message": text} for text in run.errors]}
    event = {"attributes": {"vcs": vcs}}
    return _item("run", run.id, _stands(run) | errors, event=event, project=_project_item(run.project))


def _stands(of: Run | WorkflowRun) -> dict[str, Any]:
    # a run says its outcome in `current_outcome` only, also at its end
    # guess: one without workflows stays `pending`, and one that only has been set up is `running`
    if isinstance(of, WorkflowRun):
        status = of.status
    else:
        found = set({workflow.name: workflow.status for workflow in of.workflows}.values())  # of one name the newest
        is_only_set_up = [(workflow.tag, workflow.status) for workflow in of.workflows] == [("setup", "success")]
        going = {"running"} if is_only_set_up else found - ENDED
        status = "error" if of.errors else next((word for word in WORST_FIRST if word in found), "pending")
        if going and not of.errors:
            status = "failing" if found & {"failed", "failing"} else going.pop() if len(going) == 1 else "running"
    phase = "ended" if status in ENDED else PHASES.get(status, status)
    words = ["current_outcome"] if status in ENDED or status in OUTCOMES else []
    words += ["outcome"] if phase == "ended" and isinstance(of, WorkflowRun) else []
    return {"phase": phase, **dict.fromkeys(words, OUTCOMES.get(status, status)), "created_at": of.created_at}


ROUTES = (
    route("POST /api/v2/project/{project}/pipeline/run", _trigger(RUN), "trigger"),
    route("POST /api/v2/project/{project}/pipeline", _trigger(PIPELINE), "trigger"),
    route("GET /api/v2/project/{project}/pipeline", lambda s, c, project: _page(s.pipelines(c, project), c, _pipeline)),
    route("GET /api/v2/project/{project}/job/{job}", _job, "job"),
    route("GET /api/v2/pipeline/{pipeline}", lambda _s, _c, pipeline: _pipeline(pipeline)),
    route("GET /api/v2/pipeline/{pipeline}/workflow", _workflows),
    route("GET /api/v2/pipeline/{pipeline}/config", lambda store, _c, pipeline: store.config_of(pipeline)),
    route("GET /api/v2/workflow/{workflow}/job", _jobs),
    route("POST /api/v2/workflow/{workflow}/cancel", _cancel),
    route("GET /api/v2/project/{project}", _project),
    route("GET /api/v2/project/{project}/settings", lambda *_, **_known: {"advanced": {"autocancel_builds": False}}),
    route("GET /api/v2/projects/{id}/pipeline-definitions", lambda *_, **_known: {"items": []}),
    route("GET /api/v2/me", lambda *_: {**ACTOR, "id": USER_ID, "name": "Sandbox User"}),
    route("POST /api/v1.1/project/{project}/tree/{branch}", _start_job, "trigger"),
    route("GET /api/v1.1/project/{project}/tree/{branch}", _recent_jobs),
    route("GET /api/v1.1/project/{project}/{job}", lambda *_, project, job: project and _build(job), "job"),
    route("POST /api/v1.1/project/{project}/{job}/cancel", _cancel_job),
    route("POST /api/v3/runs", _create, "trigger"),
    route("POST /api/v3/runs/search", _search),
    route("GET /api/v3/runs/{pipeline}", lambda _s, _c, pipeline: {"data": _run(pipeline)}),
    route("GET /api/v3/workflows", _workflows_of_run),
    route("POST /api/v3/workflows/{workflow}/cancel", _cancel),
    route("GET /api/v3/projects", lambda s, c: _data([s.known(_filter(c, "slug"))], "", PAGE, _project_item)),
)
