"""API v3, as far as it is attested in public: by CircleCI's CLI, its conventions page, and scripts that use it.

There is no OpenAPI document of it to check against. A run here is what v2 calls a pipeline, and has the same id; a
pipeline here is what v2 calls a definition.
"""

import re
import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

from . import bodies
from .factory import NAMES
from .messages import Call, JsonValue, RefusedError, Reply, message, page_of, stamp
from .routes import Route, found
from .state import ENDED, SETUP, Run, WorkflowRun
from .store import Store, canonical, project_id
from .v2 import HOSTS

T = TypeVar("T")

PAGE = 20
"""Items of a list that says nothing of its size; a guess."""
TYPES = {400: "validation_error", 401: "unauthorized", 403: "forbidden", 404: "not_found", 429: "rate_limited"}
"""Of these only `validation_error` was seen."""
TITLES = {400: "Invalid Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}
PHASES: dict[str, tuple[str, str | None]] = {
    "success": ("ended", "succeeded"),
    "failed": ("ended", "failed"),
    "canceled": ("ended", "canceled"),
    "error": ("ended", "errored"),
    "not_run": ("ended", "not_run"),
    "unauthorized": ("ended", "unauthorized"),
    "failing": ("started", "failed"),
    "running": ("started", None),
    "queued": ("queued", None),
    "on_hold": ("started", None),  # guess: nothing public says what v3 calls it
    "pending": ("created", None),
}
"""Phase and outcome by status, as CircleCI's CLI relates them. A word that nobody knows stays one, as a phase."""
WORST_FIRST = ("failed", "error", "unauthorized", "canceled", "not_run")
"""Guess: which of several ends counts for the whole run."""


def problem(reply: Reply, pointer: str = "", title: str = "") -> Reply:
    """Put an error into v3's shape: one object, with a pointer where a body is to blame."""
    status, detail = reply.status, reply.body["message"]
    error = {
        "id": str(uuid.uuid5(NAMES, f"error {status} {detail.encode(errors='backslashreplace')!r}")),
        "type": TYPES.get(status, "error"),
        "title": title or TITLES.get(status, "Error"),
        "detail": detail,
        **({"source": {"pointer": pointer}} if pointer else {}),
    }
    return Reply(status, {"error": error}, reply.headers)


# Routes


def create_run(store: Store, call: Call) -> Reply:
    """Answer `POST /runs`. Guess: 201, and for a skipped commit what v2 answers; neither was seen."""
    body = bodies.read_v3_run_body(call.request)
    project = store.only_project()
    if project is None:
        raise RefusedError(404, "Pipeline not found", "/data/references/pipeline/id")
    if call.override.instead:
        return message(200, call.override.instead)
    run = store.create("v3", project, body, call.override)
    if run is None:
        raise RefusedError(400, "Branch not found", "/data/attributes/checkout/branch")
    # The number was seen in newer answers; that it is in this one is a guess.
    return Reply(201, {"data": {"id": run.id, "type": "run", "attributes": {**_progress(run), "number": run.number}}})


def get_run(store: Store, call: Call) -> Reply:
    """Answer `GET /runs/:id`."""
    return Reply(200, {"data": run_json(found("run", call.args["id"], store.pipeline))})


def search_runs(store: Store, call: Call) -> Reply:
    """Answer `POST /runs/search`: what lists know by now, newest first."""
    body = bodies.read_search_body(call.request)
    scope, page, clauses = body["scope"], body.get("page", {}), body.get("filter", {})

    def is_wanted(run: Run) -> bool:
        facts = {"pipeline.git.branch": run.branch, "pipeline.git.revision": run.revision}
        is_in_scope = project_id(run.project) in scope["project_ids"] and scope["from"] <= run.created_at <= scope["to"]
        return run.is_pipeline and is_in_scope and all(facts[field] == text for field, text in clauses.items())

    return _page(list(store.listed(is_wanted)), page.get("cursor", ""), page.get("limit", bodies.MAX_LIMIT), run_json)


def list_workflows(store: Store, call: Call) -> Reply:
    """Answer `GET /workflows?filter[run_id]=`: 404 for as long as there are none."""
    run = found("run", _filter(call, "run_id"), store.pipeline)
    if not run.workflows:
        raise RefusedError(404, "Workflows not found")
    return _page(run.workflows, call.request.query.get("page[cursor]", ""), PAGE, lambda w: workflow_json(run, w))


def cancel_workflow(store: Store, call: Call) -> Reply:
    """Answer `POST /workflows/:id/cancel`; one that has ended stays as it ended."""
    _, workflow = found("workflow", call.args["id"], store.workflow)
    store.cancel(workflow)
    return Reply(202, {"data": {"id": workflow.id, "type": "workflow"}})


def list_projects(store: Store, call: Call) -> Reply:
    """Answer `GET /projects?filter[slug]=`: an empty list where there is no such project."""
    project = canonical(_filter(call, "slug"))
    known = [project] if store.knows(project) else []
    return _page(known, call.request.query.get("page[cursor]", ""), PAGE, _project)


def _project(project: str) -> JsonValue:
    # Of the attributes only the id matters to anybody here.
    return {"id": project_id(project), "type": "project", "attributes": {"slug": project}}


def _filter(call: Call, name: str) -> str:
    text = call.request.query.get(f"filter[{name}]")
    if not text:
        raise RefusedError(400, f"filter[{name}] is required", title="Missing Required Filter")
    return text


def _page(items: Sequence[T], cursor: str, size: int, show: Callable[[T], JsonValue]) -> Reply:
    page, following = page_of(items, cursor, size)
    return Reply(200, {"data": [show(item) for item in page], "page": {"next": following, "prev": None}})


# Values in v3's words


def run_json(run: Run) -> JsonValue:
    """Put a run into v3's words."""
    provider, _, name = run.project.partition("/")
    vcs = {
        **({"branch": run.branch} if run.branch is not None else {"tag": run.tag}),
        "revision": run.revision,
        **({"origin_repository_url": f"{HOSTS[provider][1]}/{quote(name)}"} if provider in HOSTS else {}),
    }
    return {
        "id": run.id,
        "type": "run",
        "attributes": {**_progress(run), "errors": [error._asdict() for error in run.errors]},
        "references": {"event": {"attributes": {"vcs": vcs}}, "project": {"id": project_id(run.project)}},
    }


def _progress(run: Run) -> JsonValue:
    """Runs say where they stand in `current_outcome` only, also at their end."""
    status = run_status(run)
    phase, outcome = PHASES.get(status, (status, None))
    return {
        "phase": phase,
        **({"current_outcome": outcome} if outcome else {}),
        "created_at": stamp(run.created_at),
    }


def run_status(run: Run) -> str:
    """Sum up a run in one word; of workflows with the same name the newest counts.

    Guess: a run without workflows stays `pending`, and one that only has been set up is `running`.
    """
    statuses = {workflow.name: workflow.status for workflow in run.workflows}
    going = {status for status in statuses.values() if status not in ENDED}
    if run.errors or not statuses:
        return "error" if run.errors else "pending"
    if statuses == {SETUP: "success"} and run.workflows[0].tag == SETUP:
        return "running"
    if not going:
        return next((word for word in WORST_FIRST if word in statuses.values()), "success")
    if {"failed", "failing"} & set(statuses.values()):
        return "failing"
    return going.pop() if len(going) == 1 else "running"


def workflow_json(run: Run, workflow: WorkflowRun) -> JsonValue:
    """Put a workflow into v3's words; it has an `outcome` only once it has ended."""
    phase, outcome = PHASES.get(workflow.status, (workflow.status, None))
    return {
        "id": workflow.id,
        "type": "workflow",
        "attributes": {
            "name": workflow.name,
            "phase": phase,
            **({"outcome": outcome} if phase == "ended" else {}),
            **({"current_outcome": outcome} if outcome else {}),
            "created_at": stamp(workflow.created_at),
            "ended_at": stamp(workflow.stopped_at) if workflow.stopped_at else None,
        },
        "references": {"run": {"id": run.id}, "project": {"id": project_id(run.project)}},
    }


ID = "(?P<id>[^/]+)"
ROUTES = tuple(
    Route(method, re.compile(f"/api/v3/{path}"), handler, triggers=handler is create_run)
    for method, path, handler in (
        ("POST", "runs", create_run),
        ("POST", "runs/search", search_runs),
        ("GET", rf"runs/(?!search\Z){ID}", get_run),
        ("GET", "workflows", list_workflows),
        ("POST", f"workflows/{ID}/cancel", cancel_workflow),
        ("GET", "projects", list_projects),
    )
)
