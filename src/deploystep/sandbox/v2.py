"""API v2: routes, and runs and jobs in its words. Facts: the v2 OpenAPI document, operation by operation."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

from . import bodies
from .factory import compiled, default_config
from .messages import Call, JsonValue, RefusedError, Reply, message, page_of, stamp
from .routes import Handler, Route, found, project_in
from .state import Job, JobView, Run, WorkflowRun, job_status
from .store import Store, project_id

T = TypeVar("T")

PAGE = 20
"""Items; the document has no such number."""
USER_ID = "0f3c5a3e-5d0b-5a5e-8a2b-3a4d3f0e9c11"
UNEXPECTED_BODY = "Unexpected request body provided."
"""v2 OpenAPI, 400_unexpected_request_body."""
LOGIN = "sandbox"
HOSTS = {"gh": ("GitHub", "https://github.com"), "bb": ("Bitbucket", "https://bitbucket.org")}
"""By a slug's provider: its name and where its repositories are."""


# Triggers


def trigger_run(store: Store, call: Call) -> Reply:
    """Answer `triggerPipelineRun`: 201, or 200 when the commit is skipped, 400 for any deviation in the body."""
    project = project_in(store, call, "Project does not exist.")
    try:
        body = bodies.read_run_body(call.request)
    except bodies.BodyError:
        raise RefusedError(400, UNEXPECTED_BODY) from None
    return _created(store, call, "v2-run", project, body)


def trigger_pipeline(store: Store, call: Call) -> Reply:
    """Answer `triggerPipeline`, which serves neither GitHub App nor GitLab projects."""
    project = project_in(store, call)
    if project.startswith("circleci/"):
        raise RefusedError(404, "Project not found")
    return _created(store, call, "v2", project, bodies.read_pipeline_body(call.request))


def _created(store: Store, call: Call, api: str, project: str, body: bodies.TriggerBody) -> Reply:
    if call.override.instead:
        return message(200, call.override.instead)
    run = store.create(api, project, body, call.override)
    if run is None:
        raise RefusedError(400, "Branch not found")
    created = {"id": run.id, "state": run.state, "number": run.number, "created_at": stamp(run.created_at)}
    return Reply(201, created)


# Readings


def get_pipeline(store: Store, call: Call) -> Reply:
    """Answer `getPipelineById`."""
    return Reply(200, pipeline_json(found("pipeline", call.args["id"], store.pipeline)))


def get_pipeline_workflows(store: Store, call: Call) -> Reply:
    """Answer `listWorkflowsByPipelineId`: empty for as long as nothing has started."""
    run = found("pipeline", call.args["id"], store.pipeline)
    return _page(run.workflows, call, lambda workflow: workflow_json(run, workflow))


def get_pipeline_config(store: Store, call: Call) -> Reply:
    """Answer `getPipelineConfigById`: nothing is compiled for as long as the run is forming, or if it errored."""
    run = found("pipeline", call.args["id"], store.pipeline)
    source = store.config(run.project) or default_config(run.parameters)
    has_compiled = run.state not in {"pending", "setup-pending", "errored"}
    return Reply(200, {"source": source, "compiled": compiled(source, run.parameters) if has_compiled else ""})


def list_pipelines(store: Store, call: Call) -> Reply:
    """Answer `listPipelinesForProject`, newest first, on request only one branch's."""
    project = project_in(store, call)
    branch = call.request.query.get("branch")
    listed = store.listed(lambda r: r.is_pipeline and r.project == project and (not branch or r.branch == branch))
    return _page(list(listed), call, pipeline_json)


def get_workflow_jobs(store: Store, call: Call) -> Reply:
    """Answer `listWorkflowJobs`."""
    run, workflow = found("workflow", call.args["id"], store.workflow)
    return _page(workflow.jobs, call, lambda job: job_json(run, workflow, job))


def cancel_workflow(store: Store, call: Call) -> Reply:
    """Answer `cancelWorkflow`; one that has ended stays as it ended."""
    store.cancel(found("workflow", call.args["id"], store.workflow)[1])
    return message(202, "Accepted.")


def get_job(store: Store, call: Call) -> Reply:
    """Answer `getJobDetails`, whose `parallel_runs` show the nodes of a parallel job."""
    job = store.read_job(project_in(store, call), int(call.args["number"]), call.nodes)
    if job is None:
        raise RefusedError(404, "Job not found")
    return Reply(200, job_details_json(job))


def get_me(_store: Store, _call: Call) -> Reply:
    """Answer `getCurrentUser`."""
    return Reply(200, {"id": USER_ID, "login": LOGIN, "name": "Sandbox User", "avatar_url": None})


def _page(items: Sequence[T], call: Call, show: Callable[[T], JsonValue]) -> Reply:
    page, following = page_of(items, call.request.query.get("page-token", ""), PAGE)
    return Reply(200, {"items": [show(item) for item in page], "next_page_token": following})


# Values in v2's words


def pipeline_json(run: Run) -> JsonValue:
    """Put a run into the words of v2 OpenAPI's Pipeline."""
    ref = {"branch": run.branch} if run.branch is not None else {"tag": run.tag}
    # GitHub App projects were seen to have no `vcs` but this.
    app = {"trigger_parameters": {"git": {**ref, "checkout_sha": run.revision}}}
    return {
        "id": run.id,
        "number": run.number,
        "project_slug": run.project,
        "state": run.state,
        "errors": [error._asdict() for error in run.errors],
        "created_at": stamp(run.created_at),
        "updated_at": stamp(run.created_at),
        "trigger": {
            "type": run.trigger,
            "received_at": stamp(run.created_at),
            "actor": {"login": LOGIN, "avatar_url": None},
        },
        **(app if run.project.startswith("circleci/") else {"vcs": {**_vcs(run), **ref}}),
    }


def _vcs(run: Run) -> JsonValue:
    provider, _, name = run.project.partition("/")
    repository = f"{HOSTS[provider][1]}/{quote(name)}"
    return {
        "provider_name": HOSTS[provider][0],
        "origin_repository_url": repository,
        "target_repository_url": repository,
        "revision": run.revision,
    }


def workflow_json(run: Run, workflow: WorkflowRun) -> JsonValue:
    """Put a workflow into the words of v2 OpenAPI's Workflow."""
    return {
        "id": workflow.id,
        "name": workflow.name,
        "status": workflow.status,
        "created_at": stamp(workflow.created_at),
        "stopped_at": stamp(workflow.stopped_at) if workflow.stopped_at else None,
        "pipeline_id": run.id,
        "pipeline_number": run.number,
        "project_slug": run.project,
        "started_by": USER_ID,
        "tag": workflow.tag,
        **({"max_auto_reruns": workflow.max_auto_reruns} if workflow.max_auto_reruns else {}),
        **({"auto_rerun_number": workflow.auto_rerun_number} if workflow.auto_rerun_number else {}),
        **({"canceled_by": USER_ID} if workflow.status == "canceled" else {}),
    }


def job_json(run: Run, workflow: WorkflowRun, job: Job) -> JsonValue:
    """Put a workflow's job into the words of v2 OpenAPI's Job."""
    return {
        "id": job.id,
        "name": job.name,
        "job_number": job.number,
        "project_slug": run.project,
        "status": job_status(workflow, job),
        "type": "build",
        "dependencies": [],
        "started_at": stamp(workflow.created_at),
        "stopped_at": stamp(workflow.stopped_at) if workflow.stopped_at else None,
    }


def job_details_json(job: JobView) -> JsonValue:
    """Put a job into the words of v2 OpenAPI's Job Details."""
    started, (provider, organization, name) = stamp(job.created_at), job.project.split("/")
    address = HOSTS.get(provider, ("", "https://circleci.com"))[1]
    return {
        "number": job.number,
        "name": job.name,
        "status": job.status,
        "parallelism": len(job.parallel_runs),
        "parallel_runs": [{"index": i, "status": status} for i, status in enumerate(job.parallel_runs)],
        "created_at": started,
        "queued_at": started,
        "started_at": started,
        "stopped_at": stamp(job.stopped_at) if job.stopped_at else None,
        "duration": int((job.stopped_at - job.created_at).total_seconds() * 1000) if job.stopped_at else None,
        "pipeline": {"id": job.pipeline_id},
        "latest_workflow": {"id": job.workflow_id, "name": job.workflow_name},
        "web_url": f"https://app.circleci.com/jobs/{quote(job.project)}/{job.number}",
        "contexts": [],
        "messages": [],
        "executor": {"type": "docker", "resource_class": "medium"},
        "organization": {"name": organization},
        "project": {
            "id": project_id(job.project),
            "slug": job.project,
            "name": name,
            "external_url": f"{address}/{quote(organization)}/{quote(name)}",
        },
    }


def _route(method: str, path: str, handler: Handler) -> Route:
    triggers = method == "POST" and "/project/" in path
    return Route(method, re.compile(f"/api/v2{path}"), handler, triggers, reads_job=handler is get_job)


SLUG = r"(?P<slug>[^/]+/[^/]+/[^/]+|[^/%]+%2[Ff][^/]+%2[Ff][^/]+)"
"""The old routes take a slug with escaped slashes too; `pipeline/run` does not."""
ID = r"(?P<id>[^/]+)"
ROUTES = (
    _route("POST", r"/project/(?P<slug>[^/]+/[^/]+/[^/]+)/pipeline/run", trigger_run),
    _route("POST", f"/project/{SLUG}/pipeline", trigger_pipeline),
    _route("GET", f"/project/{SLUG}/pipeline", list_pipelines),
    _route("GET", f"/project/{SLUG}/job/(?P<number>[0-9]{{1,15}})", get_job),
    _route("GET", f"/pipeline/{ID}", get_pipeline),
    _route("GET", f"/pipeline/{ID}/workflow", get_pipeline_workflows),
    _route("GET", f"/pipeline/{ID}/config", get_pipeline_config),
    _route("GET", f"/workflow/{ID}/job", get_workflow_jobs),
    _route("POST", f"/workflow/{ID}/cancel", cancel_workflow),
    _route("GET", "/me", get_me),
)
