"""API v2: routes, and runs and jobs in its words. Facts: the v2 OpenAPI document, operation by operation.

Of what the document describes, an answer holds what is required, and what this tool reads.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

from .messages import Call, JsonValue, RefusedError, Reply, message, page_of, route, told
from .shapes import ANY, PARAMETERS, STRING, UUID, Shape, body_of
from .state import Run, TriggerBody, WorkflowRun
from .store import HOSTS, JobView, ProjectConfig, Store, made_up_uuid, repository_url

T = TypeVar("T")

PAGE = 20
"""Items; the document has no such number."""
USER_ID = "0f3c5a3e-5d0b-5a5e-8a2b-3a4d3f0e9c11"
UNEXPECTED_BODY = "Unexpected request body provided."
"""v2 OpenAPI, 400_unexpected_request_body."""
ACTOR = {"login": "sandbox", "avatar_url": None}
SETTINGS = {"advanced": {"autocancel_builds": False}}
PARAMETER = re.compile(r"<<\s*pipeline\.parameters\.([A-Za-z0-9_-]+)\s*>>")
TYPES = {str: "string", bool: "boolean", int: "integer"}
REF: Shape = {"branch": STRING, "tag": STRING}
RUN: Shape = {"definition_id": UUID, "config": REF, "checkout": REF, "parameters": PARAMETERS}
"""`triggerPipelineRun`: no member is required, and none but these four is allowed."""
PIPELINE: Shape = {"branch": STRING, "tag": STRING, "parameters": PARAMETERS, "*": ANY}
"""`triggerPipeline`, of an older CircleCI Server: its document allows other members, but no GitHub App projects."""


def _trigger(shape: Shape) -> Callable[..., Reply]:
    """Answer 201, or 200 when the commit is skipped, or 400 for any deviation: also for both a branch and a tag."""

    def handle(store: Store, call: Call, project: str) -> Reply:
        if shape is PIPELINE and project.startswith("circleci/"):
            raise RefusedError(404, "Project not found")
        try:
            body = body_of(call.request, shape) if call.request.body else {}
        except RefusedError:
            raise RefusedError(400, UNEXPECTED_BODY) from None
        places = [body.get("checkout", {}), body.get("config", {})] if shape is RUN else [body]
        where: JsonValue = next((place for place in places if "branch" in place or "tag" in place), {})
        if any("branch" in place and "tag" in place for place in places):
            raise RefusedError(400, UNEXPECTED_BODY)
        asked = TriggerBody(where.get("branch"), where.get("tag"), body.get("parameters", {}))
        run = store.create("v2", project, asked, call.override)
        return Reply(201, told(run, "id", "state", "number", "created_at"))

    return handle


def config_of(store: Store, run: Run) -> dict[str, str]:
    """Return the config of a run as it is shown: its source, and compiled, which is empty until then or if it errored.

    Parameters that the config uses are replaced by their values; one that has none is empty.
    """
    config = store.configs.get(run.project) or ProjectConfig(_default_config(run))
    values = {**config.defaults, **run.parameters}

    def value(used: re.Match[str]) -> str:
        found = values.get(used[1], "")
        return found if isinstance(found, str) else json.dumps(found)

    has_compiled = run.state not in {"pending", "setup-pending", "errored"}
    return {"source": config.text, "compiled": PARAMETER.sub(value, config.text) if has_compiled else ""}


def _default_config(run: Run) -> str:
    """Write a config that declares each parameter and uses it once."""
    declared = [
        f"  {n}: {{type: {TYPES[type(v)]}, default: {json.dumps(type(v)())}}}" for n, v in run.parameters.items()
    ]
    used = [f"      PARAMETER_{i}: << pipeline.parameters.{name} >>" for i, name in enumerate(run.parameters, start=1)]
    job = ["jobs:", "  deploy:", "    steps: [{run: ./deploy.sh}]", "    environment:", *used]
    return "\n".join(["version: 2.1", "parameters:", *declared, *job, "workflows: {deploy: {jobs: [deploy]}}", ""])


def _page(items: Sequence[T], call: Call, show: Callable[[T], JsonValue]) -> JsonValue:
    page, following = page_of(items, call.request.query.get("page-token", ""), PAGE)
    return {"items": [show(item) for item in page], "next_page_token": following}


def _pipelines(store: Store, call: Call, project: str) -> JsonValue:
    """Answer with the project's, newest first, on request only one branch's."""
    return _page(store.pipelines(project, call.request.query.get("branch")), call, _pipeline)


def _pipeline(run: Run) -> JsonValue:
    """Put a run into the words of v2 OpenAPI's Pipeline. GitHub App projects were seen to have no `vcs`."""
    ref = {"branch": run.branch} if run.branch is not None else {"tag": run.tag}
    host, repository = run.project.partition("/")[0], repository_url(run.project)
    where: JsonValue = {"trigger_parameters": {"git": {**ref, "checkout_sha": run.revision}}}
    if repository:
        addresses = {"origin_repository_url": repository, "target_repository_url": repository}
        where = {"vcs": {"provider_name": HOSTS[host][0], **addresses, "revision": run.revision, **ref}}
    return {
        **told(run, "id", "number", "state", "created_at", project_slug="project"),
        "errors": [{"type": "config", "message": text} for text in run.errors],
        "trigger": {"type": run.trigger, "received_at": run.created_at, "actor": ACTOR},
        **where,
    }


def _workflows(_store: Store, call: Call, pipeline: Run) -> JsonValue:
    """Answer in the words of v2 OpenAPI's Workflow."""
    of_run = told(pipeline, pipeline_id="id", pipeline_number="number", project_slug="project")

    def show(workflow: WorkflowRun) -> JsonValue:
        reruns = [name for name in ("max_auto_reruns", "auto_rerun_number") if getattr(workflow, name)]
        names = ("id", "name", "status", "created_at", "stopped_at", "tag", *reruns)
        return told(workflow, *names) | of_run | {"started_by": USER_ID}

    return _page(pipeline.workflows, call, show)


def _jobs(_store: Store, call: Call, workflow: tuple[Run, WorkflowRun]) -> JsonValue:
    """Answer in the words of v2 OpenAPI's Job."""
    run, its = workflow
    usual = {"project_slug": run.project, "type": "build", "dependencies": [], **told(its, started_at="created_at")}
    return _page(its.jobs, call, lambda job: told(job, "id", "name", "status", job_number="number") | usual)


def _cancel(store: Store, _call: Call, workflow: tuple[Run, WorkflowRun]) -> Reply:
    store.cancel(workflow[1])
    return message(202, "Accepted.")


def _job(_store: Store, _call: Call, project: str, job: JobView) -> JsonValue:
    """Answer in the words of v2 OpenAPI's Job Details. Nothing queues here."""
    (run, workflow, it), (_, organization, name) = job, project.split("/")
    stopped, web = workflow.stopped_at, f"https://app.circleci.com/jobs/{quote(project)}/{it.number}"
    slug = {"id": made_up_uuid(project), "slug": project, "name": name}
    return {
        **told(it, "number", "name", "status"),
        "parallelism": len(it.nodes),
        "parallel_runs": [{"index": index, "status": status} for index, status in enumerate(it.nodes)],
        **dict.fromkeys(("created_at", "queued_at", "started_at"), workflow.created_at),
        "duration": int((stopped - workflow.created_at).total_seconds() * 1000) if stopped else None,
        "pipeline": {"id": run.id},
        "latest_workflow": told(workflow, "id", "name"),
        "web_url": web,
        "contexts": [],
        "messages": [],
        "executor": {"resource_class": "medium"},
        "organization": {"name": organization},
        "project": {**slug, "external_url": repository_url(project) or web},
    }


def _project(_store: Store, _call: Call, project: str) -> JsonValue:
    """Answer in the words of v2 OpenAPI's Project."""
    provider, organization, name = project.split("/")
    host, address = HOSTS.get(provider, ("CircleCI", "//circleci.com"))
    of = {"id": made_up_uuid(organization), "name": organization, "slug": f"{provider}/{organization}"}
    vcs = {"provider": host, "vcs_url": f"{address}/{organization}/{name}", "default_branch": "main"}
    organized = {f"organization_{key}": value for key, value in of.items()}
    return {"id": made_up_uuid(project), "slug": project, "name": name, **organized, "vcs_info": vcs}


ROUTES = (
    route("POST /api/v2/project/{project}/pipeline/run", _trigger(RUN), "trigger"),
    route("POST /api/v2/project/{project}/pipeline", _trigger(PIPELINE), "trigger"),
    route("GET /api/v2/project/{project}/pipeline", _pipelines),
    route("GET /api/v2/project/{project}/job/{job}", _job, "job"),
    route("GET /api/v2/pipeline/{pipeline}", lambda _s, _c, pipeline: _pipeline(pipeline)),
    route("GET /api/v2/pipeline/{pipeline}/workflow", _workflows),
    route("GET /api/v2/pipeline/{pipeline}/config", lambda store, _c, pipeline: config_of(store, pipeline)),
    route("GET /api/v2/workflow/{workflow}/job", _jobs),
    route("POST /api/v2/workflow/{workflow}/cancel", _cancel),
    route("GET /api/v2/project/{project}", _project),
    route("GET /api/v2/project/{project}/settings", lambda *_, **_known: SETTINGS),
    route("GET /api/v2/projects/{id}/pipeline-definitions", lambda *_, **_known: {"items": []}),
    route("GET /api/v2/me", lambda *_: {**ACTOR, "id": USER_ID, "name": "Sandbox User"}),
)
