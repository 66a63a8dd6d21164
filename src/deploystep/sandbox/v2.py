"""API v2: routes, and runs and jobs in its words. Facts: the v2 OpenAPI document, operation by operation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from . import paging, schema
from .routing import Call, Family, Route
from .state import BranchNotFoundError, State, project_id
from .vocabulary import HOSTS, LOGIN, repository_url, stamp
from .wire import JsonValue, Reply, message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .jobs import JobView
    from .runs import JobRun, Run, WorkflowRun
    from .schema import TriggerBody

T = TypeVar("T")

PAGE = 20
"""Items; the document has no such number."""
USER_ID = "0f3c5a3e-5d0b-5a5e-8a2b-3a4d3f0e9c11"
UNEXPECTED_BODY = "Unexpected request body provided."
"""v2 OpenAPI, 400_unexpected_request_body."""
PULL_REF = re.compile(r"pull/([0-9]+)/(head|merge)")


# Triggers


def trigger_run(state: State, call: Call) -> Reply:
    """Answer `triggerPipelineRun`: 201, or 200 when the commit is skipped, 400 for any deviation in the body."""
    if not state.knows(call.project):
        return message(404, "Project does not exist.")
    try:
        body = schema.read_run_body(call.request)
    except schema.BodyError:
        return message(400, UNEXPECTED_BODY)
    return _create(state, call, "v2-run", body)


def trigger_pipeline(state: State, call: Call) -> Reply:
    """Answer `triggerPipeline`, which serves neither GitHub App nor GitLab projects."""
    if not state.knows(call.project) or call.project.startswith("circleci/"):
        return message(404, "Project not found")
    try:
        body = schema.read_pipeline_body(call.request)
    except schema.BodyError as error:
        return message(400, str(error))
    return _create(state, call, "v2", body)


def _create(state: State, call: Call, api: str, body: TriggerBody) -> Reply:
    if call.twist.instead:
        return message(200, call.twist.instead)
    try:
        run = state.create(api, call.project, body, call.twist)
    except BranchNotFoundError:
        return message(400, "Branch not found")
    created = {"id": run.id, "state": run.state, "number": run.number, "created_at": stamp(run.created_at)}
    return Reply(201, created)


# Pipelines and workflows


def get_pipeline(state: State, call: Call) -> Reply:
    """Answer `getPipelineById`."""
    run = _find_run(state, call.args["id"])
    return run if isinstance(run, Reply) else Reply(200, pipeline_json(run))


def get_pipeline_workflows(state: State, call: Call) -> Reply:
    """Answer `listWorkflowsByPipelineId`: empty for as long as nothing has started."""
    run = _find_run(state, call.args["id"])
    return run if isinstance(run, Reply) else _page(run.workflows, call, lambda w: workflow_json(run, w))


def list_pipelines(state: State, call: Call) -> Reply:
    """Answer `listPipelinesForProject`, newest first, on request only one branch's."""
    if not state.knows(call.project):
        return message(404, "Project not found")
    branch = call.request.query.get("branch")
    found = (run for run in state.listed() if run.is_pipeline and run.project == call.project)
    wanted = [run for run in found if not branch or run.branch == branch]
    return _page(wanted, call, lambda run: pipeline_json(state.shown(run)))


def get_numbered_pipeline(state: State, call: Call) -> Reply:
    """Answer `getPipelineByNumber`."""
    if not state.knows(call.project):
        return message(404, "Project not found")
    number = _whole(call.args["number"])
    if number is None:
        return message(400, "The pipeline number must be an integer")
    run = state.numbered_pipeline(call.project, number)
    return Reply(200, pipeline_json(run)) if run else message(404, "Pipeline not found")


def get_workflow(state: State, call: Call) -> Reply:
    """Answer `getWorkflowById`."""
    found = _find_workflow(state, call.args["id"])
    return found if isinstance(found, Reply) else Reply(200, workflow_json(*found))


def get_workflow_jobs(state: State, call: Call) -> Reply:
    """Answer `listWorkflowJobs`."""
    found = _find_workflow(state, call.args["id"])
    if isinstance(found, Reply):
        return found
    run, workflow = found
    return _page(workflow.jobs, call, lambda job: job_json(run, workflow, job))


def cancel_workflow(state: State, call: Call) -> Reply:
    """Answer `cancelWorkflow`; one that has ended stays as it ended."""
    found = _find_workflow(state, call.args["id"])
    if isinstance(found, Reply):
        return found
    state.cancel(call.args["id"].lower())
    return message(202, "Accepted.")


def rerun_workflow(state: State, call: Call) -> Reply:
    """Answer `rerunWorkflow`. Guess: one that is still running can be run again too, and a rerun succeeds."""
    found = _find_workflow(state, call.args["id"])
    if isinstance(found, Reply):
        return found
    try:
        schema.check_rerun_body(call.request)
    except schema.BodyError as error:
        return message(400, str(error))
    return Reply(202, {"workflow_id": state.rerun(found[1].id, "success")})


def get_job(state: State, call: Call) -> Reply:
    """Answer `getJobDetails`, whose `parallel_runs` show the nodes of a parallel job."""
    if not state.knows(call.project):
        return message(404, "Project not found")
    number = _whole(call.args["number"])
    job = state.read_job(call.project, number, call.nodes) if number is not None else None
    return Reply(200, job_details_json(job)) if job else message(404, "Job not found")


def get_me(_state: State, _call: Call) -> Reply:
    """Answer `getCurrentUser`."""
    return Reply(200, {"id": USER_ID, "login": LOGIN, "name": "Sandbox User", "avatar_url": None})


def _find_run(state: State, run_id: str) -> Run | Reply:
    if not schema.UUID.fullmatch(run_id):
        return message(400, "The pipeline id must be a UUID")
    return state.pipeline(run_id.lower()) or message(404, "Pipeline not found")


def _find_workflow(state: State, workflow_id: str) -> tuple[Run, WorkflowRun] | Reply:
    if not schema.UUID.fullmatch(workflow_id):
        return message(400, "The workflow id must be a UUID")
    found = state.workflow(workflow_id.lower())
    return found if found and found[0].is_pipeline else message(404, "Workflow not found")


# Paging


def _page(items: Sequence[T], call: Call, show: Callable[[T], JsonValue]) -> Reply:
    cut = paging.cut(items, call.request.query.get("page-token"), PAGE)
    if cut is None:
        return message(400, "Invalid page token")
    return Reply(200, {"items": [show(item) for item in cut.items], "next_page_token": cut.next_token})


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


# Values in v2's words


def pipeline_json(run: Run) -> JsonValue:
    """Put a run into the words of v2 OpenAPI's Pipeline."""
    common = {
        "id": run.id,
        "number": run.number,
        "project_slug": run.project,
        "state": run.state,
        "errors": [{"type": error.type, "message": error.message} for error in run.errors],
        "created_at": stamp(run.created_at),
        "updated_at": stamp(run.created_at),
        "trigger": {
            "type": run.trigger,
            "received_at": stamp(run.created_at),
            "actor": {"login": LOGIN, "avatar_url": None},
        },
    }
    return {**common, **(_git_parameters(run) if run.project.startswith("circleci/") else {"vcs": _vcs(run)})}


def _git_parameters(run: Run) -> JsonValue:
    """Say where a run without `vcs` comes from: GitHub App projects were seen to have this instead."""
    ref = {"branch": run.branch} if run.branch is not None else {"tag": run.tag}
    return {"trigger_parameters": {"git": {**ref, "checkout_sha": run.revision}}}


def _vcs(run: Run) -> JsonValue:
    repository = repository_url(run.project)
    pull = PULL_REF.fullmatch(run.branch or "")
    review = {"review_id": pull[1], "review_url": f"{repository}/pull/{pull[1]}"} if pull else {}
    return {
        "provider_name": HOSTS[run.project.partition("/")[0]][0],
        "origin_repository_url": repository,
        "target_repository_url": repository,
        "revision": run.revision,
        **({"branch": run.branch} if run.branch is not None else {"tag": run.tag}),
        **review,
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


def job_json(run: Run, workflow: WorkflowRun, job: JobRun) -> JsonValue:
    """Put a workflow's job into the words of v2 OpenAPI's Job."""
    stopped = job.stopped_in(workflow)
    return {
        "id": job.id,
        "name": job.name,
        "job_number": job.number,
        "project_slug": run.project,
        "status": job.status_in(workflow.status),
        "type": "build",
        "dependencies": [],
        "started_at": stamp(workflow.created_at),
        "stopped_at": stamp(stopped) if stopped else None,
    }


def job_details_json(job: JobView) -> JsonValue:
    """Put a job into the words of v2 OpenAPI's Job Details."""
    started, stopped = stamp(job.created_at), stamp(job.stopped_at) if job.stopped_at else None
    length = int((job.stopped_at - job.created_at).total_seconds() * 1000) if job.stopped_at else None
    return {
        "number": job.number,
        "name": job.name,
        "status": job.status,
        "parallelism": len(job.parallel_runs),
        "parallel_runs": [{"index": i, "status": status} for i, status in enumerate(job.parallel_runs)],
        "created_at": started,
        "queued_at": started,
        "started_at": started,
        "stopped_at": stopped,
        "duration": length,
        "pipeline": {"id": job.pipeline_id},
        "latest_workflow": {"id": job.workflow_id, "name": job.workflow_name},
        "web_url": f"https://app.circleci.com/jobs/{quote(job.project)}/{job.number}",
        "contexts": [],
        "messages": [],
        "executor": {"type": "docker", "resource_class": "medium"},
        "organization": {"name": job.project.split("/")[1]},
        "project": _project_json(job.project),
    }


def _project_json(project: str) -> JsonValue:
    provider, _, name = project.partition("/")
    address = HOSTS.get(provider, ("", "https://circleci.com"))[1]
    return {
        "id": project_id(project),
        "slug": project,
        "name": name.partition("/")[2],
        "external_url": f"{address}/{quote(name)}",
    }


ROOT = "/api/v2"
SLUG = r"(?P<slug>[^/]+/[^/]+/[^/]+|[^/%]+%2[Ff][^/]+%2[Ff][^/]+)"
"""The old routes take a slug with escaped slashes too; `pipeline/run` does not."""
ID = r"(?P<id>[^/]+)"
NUMBER = r"(?P<number>(?!run\Z)[^/]+)"
"""Anything but `run`, which is a route of its own and not found under an escaped slug."""


def _path(tail: str) -> re.Pattern[str]:
    return re.compile(ROOT + tail)


ROUTES = (
    Route(
        "POST",
        _path(r"/project/(?P<slug>[^/]+/[^/]+/[^/]+)/pipeline/run"),
        trigger_run,
        Family.V2_RUN,
        triggers=True,
    ),
    Route("POST", _path(f"/project/{SLUG}/pipeline"), trigger_pipeline, Family.V2, triggers=True),
    Route("GET", _path(f"/project/{SLUG}/pipeline"), list_pipelines, Family.V2),
    Route("GET", _path(f"/project/{SLUG}/pipeline/{NUMBER}"), get_numbered_pipeline, Family.V2),
    Route("GET", _path(f"/project/{SLUG}/job/{NUMBER}"), get_job, Family.V2, reads_job=True),
    Route("GET", _path(f"/pipeline/{ID}"), get_pipeline, Family.V2),
    Route("GET", _path(f"/pipeline/{ID}/workflow"), get_pipeline_workflows, Family.V2),
    Route("GET", _path(f"/workflow/{ID}"), get_workflow, Family.V2),
    Route("GET", _path(f"/workflow/{ID}/job"), get_workflow_jobs, Family.V2),
    Route("POST", _path(f"/workflow/{ID}/cancel"), cancel_workflow, Family.V2),
    Route("POST", _path(f"/workflow/{ID}/rerun"), rerun_workflow, Family.V2),
    Route("GET", _path("/me"), get_me, Family.V2_ME),
)
