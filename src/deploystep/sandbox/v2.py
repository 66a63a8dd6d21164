"""API v2: routes, and runs and jobs in its words. Facts: the v2 OpenAPI document, operation by operation."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

from .messages import Call, JsonValue, RefusedError, Reply, message, page_of, stamp
from .routes import created, job_in, project_in, route, run_in, workflow_in
from .schema import V2_PIPELINE, V2_RUN, body_of, refused
from .state import JobView, ProjectConfig, Run, Scalar, TriggerBody, WorkflowRun
from .store import HOSTS, Store, made_up_uuid, repository_url

T = TypeVar("T")

PAGE = 20
"""Items; the document has no such number."""
USER_ID = "0f3c5a3e-5d0b-5a5e-8a2b-3a4d3f0e9c11"
UNEXPECTED_BODY = "Unexpected request body provided."
"""v2 OpenAPI, 400_unexpected_request_body."""
ACTOR = {"login": "sandbox", "avatar_url": None}
PARAMETER = re.compile(r"<<\s*pipeline\.parameters\.([A-Za-z0-9_-]+)\s*>>")
TYPES = {str: "string", bool: "boolean", int: "integer"}


def _trigger_run(store: Store, call: Call) -> Reply:
    """Answer 201, or 200 when the commit is skipped, or 400 for any deviation in the body."""
    project = project_in(store, call, "Project does not exist.")
    try:
        body = body_of(call.request, V2_RUN) if call.request.body else {}
        config, checkout = _ref(body.get("config", {})), _ref(body.get("checkout", {}))
    except RefusedError:
        raise RefusedError(400, UNEXPECTED_BODY) from None
    where = checkout if "checkout" in body else config
    asked = TriggerBody(**where, parameters=body.get("parameters", {}), definition_id=body.get("definition_id"))
    return _created(store, call, project, asked)


def _trigger_pipeline(store: Store, call: Call) -> Reply:
    """Answer as the trigger of an older CircleCI Server, which serves neither GitHub App nor GitLab projects."""
    project = project_in(store, call)
    if project.startswith("circleci/"):
        raise RefusedError(404, "Project not found")
    body = body_of(call.request, V2_PIPELINE) if call.request.body else {}
    return _created(store, call, project, TriggerBody(**_ref(body), parameters=body.get("parameters", {})))


def _created(store: Store, call: Call, project: str, asked: TriggerBody) -> Reply:
    run = created(store, call, "v2", project, asked)
    made = {"id": run.id, "state": run.state, "number": run.number, "created_at": stamp(run.created_at)}
    return Reply(201, made)


def _ref(body: Mapping[str, JsonValue]) -> Mapping[str, str]:
    """Return the branch or the tag; both exclude each other."""
    ref = {name: body[name] for name in ("branch", "tag") if name in body}
    if len(ref) > 1:
        raise refused("holds a branch and a tag")
    return ref


# Readings


def _workflows(store: Store, call: Call) -> Reply:
    run = run_in(store, call)
    return _page(run.workflows, call, lambda workflow: _workflow(run, workflow))


def _config(store: Store, call: Call) -> Reply:
    """Answer with nothing compiled for as long as the run is forming, or if it errored.

    Parameters that the config uses are replaced by their values; one that has none is empty.
    """
    run = run_in(store, call)
    return Reply(200, {"source": _config_of(store, run).text, "compiled": compiled(store, run)})


def _config_of(store: Store, run: Run) -> ProjectConfig:
    return store.configs.get(run.project) or ProjectConfig(_default_config(run.parameters))


def compiled(store: Store, run: Run) -> str:
    """Return the compiled config of a run as it is shown; empty while it is forming, or if it errored."""
    config = _config_of(store, run)
    values = {**config.defaults, **run.parameters}

    def value(used: re.Match[str]) -> str:
        found = values.get(used[1], "")
        return found if isinstance(found, str) else json.dumps(found)

    has_compiled = run.state not in {"pending", "setup-pending", "errored"}
    return PARAMETER.sub(value, config.text) if has_compiled else ""


def _default_config(parameters: Mapping[str, Scalar]) -> str:
    """Write a config that declares each parameter and uses it once."""
    declared = [f"  {n}: {{type: {TYPES[type(v)]}, default: {json.dumps(type(v)())}}}" for n, v in parameters.items()]
    used = [f"      PARAMETER_{i}: << pipeline.parameters.{name} >>" for i, name in enumerate(parameters, start=1)]
    jobs = ["jobs:", "  deploy:", "    docker: [{image: cimg/base:stable}]", "    steps: [{run: ./deploy.sh}]"]
    tables = [*(["parameters:", *declared] if used else []), *jobs, *(["    environment:", *used] if used else [])]
    return "\n".join(["version: 2.1", *tables, "workflows:", "  deploy: {jobs: [deploy]}", ""])


def _pipelines(store: Store, call: Call) -> Reply:
    """Answer with the project's, newest first, on request only one branch's."""
    project = project_in(store, call)
    branch = call.request.query.get("branch")
    listed = store.listed(lambda r: r.is_pipeline and r.project == project and (not branch or r.branch == branch))
    return _page(list(listed), call, _pipeline)


def _jobs(store: Store, call: Call) -> Reply:
    run, workflow = workflow_in(store, call)
    return _page([JobView(run, workflow, job) for job in workflow.jobs], call, _job)


def _cancel(store: Store, call: Call) -> Reply:
    """Cancel a workflow; one that has ended stays as it ended."""
    store.cancel(workflow_in(store, call)[1])
    return message(202, "Accepted.")


def _page(items: Sequence[T], call: Call, show: Callable[[T], JsonValue]) -> Reply:
    page, following = page_of(items, call.request.query.get("page-token", ""), PAGE)
    return Reply(200, {"items": [show(item) for item in page], "next_page_token": following})


# Values in v2's words


def _pipeline(run: Run) -> JsonValue:
    """Put a run into the words of v2 OpenAPI's Pipeline. GitHub App projects were seen to have no `vcs`."""
    ref = {"branch": run.branch} if run.branch is not None else {"tag": run.tag}
    host, repository = run.project.partition("/")[0], repository_url(run.project)
    addresses = {"origin_repository_url": repository, "target_repository_url": repository}
    vcs = {"provider_name": HOSTS[host][0], **addresses, "revision": run.revision, **ref} if repository else {}
    return {
        "id": run.id,
        "number": run.number,
        "project_slug": run.project,
        "state": run.state,
        "errors": [{"type": "config", "message": text} for text in run.errors],
        "created_at": stamp(run.created_at),
        "trigger": {"type": run.trigger, "received_at": stamp(run.created_at), "actor": ACTOR},
        **({"vcs": vcs} if vcs else {"trigger_parameters": {"git": {**ref, "checkout_sha": run.revision}}}),
    }


def _workflow(run: Run, workflow: WorkflowRun) -> JsonValue:
    """Put a workflow into the words of v2 OpenAPI's Workflow."""
    return {
        "id": workflow.id,
        "name": workflow.name,
        "status": workflow.status,
        "created_at": stamp(workflow.created_at),
        "stopped_at": stamp(workflow.stopped_at),
        "pipeline_id": run.id,
        "pipeline_number": run.number,
        "project_slug": run.project,
        "started_by": USER_ID,
        "tag": workflow.tag,
        **({"max_auto_reruns": workflow.max_auto_reruns} if workflow.max_auto_reruns else {}),
        **({"auto_rerun_number": workflow.auto_rerun_number} if workflow.auto_rerun_number else {}),
    }


def _job(view: JobView) -> JsonValue:
    """Put a workflow's job into the words of v2 OpenAPI's Job."""
    return {
        "id": view.job.id,
        "name": view.job.name,
        "job_number": view.job.number,
        "project_slug": view.run.project,
        "status": view.status,
        "type": "build",
        "dependencies": [],
        "started_at": stamp(view.workflow.created_at),
        "stopped_at": stamp(view.workflow.stopped_at),
    }


def _job_details(view: JobView) -> JsonValue:
    """Put a job into the words of v2 OpenAPI's Job Details."""
    run, workflow, job = view
    started, (_, organization, name) = stamp(workflow.created_at), run.project.split("/")
    return {
        "number": job.number,
        "name": job.name,
        "status": view.status,
        "parallelism": len(view.parallel_runs),
        "parallel_runs": [{"index": i, "status": status} for i, status in enumerate(view.parallel_runs)],
        "created_at": started,
        "queued_at": started,
        "started_at": started,
        "stopped_at": stamp(view.stopped_at),
        "duration": int((view.stopped_at - workflow.created_at).total_seconds() * 1000) if view.stopped_at else None,
        "pipeline": {"id": run.id},
        "latest_workflow": {"id": workflow.id, "name": workflow.name},
        "web_url": f"https://app.circleci.com/jobs/{quote(run.project)}/{job.number}",
        "contexts": [],
        "messages": [],
        "executor": {"type": "docker", "resource_class": "medium"},
        "organization": {"name": organization},
        "project": {
            "id": made_up_uuid(run.project),
            "slug": run.project,
            "name": name,
            "external_url": repository_url(run.project) or f"https://circleci.com/{quote(organization)}/{quote(name)}",
        },
    }


def _project(slug: str) -> JsonValue:
    """Put a project into the words of v2 OpenAPI's Project."""
    provider, organization, name = slug.split("/")
    host, address = HOSTS.get(provider, ("CircleCI", "//circleci.com"))
    return {
        "id": made_up_uuid(slug),
        "slug": slug,
        "name": name,
        "organization_id": made_up_uuid(organization),
        "organization_name": organization,
        "organization_slug": f"{provider}/{organization}",
        "vcs_info": {"provider": host, "vcs_url": f"{address}/{organization}/{name}", "default_branch": "main"},
    }


SETTINGS = {"advanced": {"autocancel_builds": False}}
ROUTES = (
    route("POST /api/v2/project/{slug}/pipeline/run", _trigger_run, "trigger"),
    route("POST /api/v2/project/{slug}/pipeline", _trigger_pipeline, "trigger"),
    route("GET /api/v2/project/{slug}/pipeline", _pipelines),
    route("GET /api/v2/project/{slug}/job/{number}", lambda s, c: Reply(200, _job_details(job_in(s, c))), "job"),
    route("GET /api/v2/pipeline/{id}", lambda s, c: Reply(200, _pipeline(run_in(s, c)))),
    route("GET /api/v2/pipeline/{id}/workflow", _workflows),
    route("GET /api/v2/pipeline/{id}/config", _config),
    route("GET /api/v2/workflow/{id}/job", _jobs),
    route("POST /api/v2/workflow/{id}/cancel", _cancel),
    route("GET /api/v2/project/(?P<slug>[^/%]+/[^/]+/[^/]+)", lambda s, c: Reply(200, _project(project_in(s, c)))),
    route("GET /api/v2/project/{slug}/settings", lambda s, c: Reply(200, project_in(s, c) and SETTINGS)),
    route("GET /api/v2/projects/{id}/pipeline-definitions", lambda _s, _c: Reply(200, {"items": []})),
    route("GET /api/v2/me", lambda _s, _c: Reply(200, {**ACTOR, "id": USER_ID, "name": "Sandbox User"})),
)
