"""API v3, as far as it is attested in public: by CircleCI's CLI, its conventions page, and scripts that use it.

There is no OpenAPI document of it to check against. A run here is what v2 calls a pipeline, and has the same id;
a pipeline here is what v2 calls a definition.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from . import paging, v3_bodies
from .phases import phase_of, run_status
from .planning import NAMES
from .routing import Call, Family, Route
from .schema import UUID
from .state import BranchNotFoundError, State, canonical, project_id
from .v3_bodies import InvalidError
from .vocabulary import repository_url, stamp
from .wire import JsonValue, Reply, message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .runs import Run, WorkflowRun
    from .v3_bodies import Search

T = TypeVar("T")

ROOT = "/api/v3/"
PAGE = 20
"""Items of a list that says nothing of its size; a guess."""
TYPES = {400: "validation_error", 401: "unauthorized", 403: "forbidden", 404: "not_found", 429: "rate_limited"}
"""Of these only `validation_error` was seen."""
TITLES = {400: "Invalid Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}


# Errors


def problem(status: int, detail: str, pointer: str = "", title: str = "") -> Reply:
    """Build v3's error shape: one object, with a pointer where a body is to blame."""
    error = {
        "id": str(uuid.uuid5(NAMES, f"error {status} {detail.encode(errors='backslashreplace')!r}")),
        "type": TYPES.get(status, "error"),
        "title": title or TITLES.get(status, "Error"),
        "detail": detail,
        **({"source": {"pointer": pointer}} if pointer else {}),
    }
    return Reply(status, {"error": error})


def worded(reply: Reply) -> Reply:
    """Put an error that was worded for another version into v3's shape."""
    is_message = isinstance(reply.body, dict) and set(reply.body) == {"message"}
    if not is_message or reply.status < 400:  # noqa: PLR2004 - where HTTP's errors begin
        return reply
    return replace(reply, body=problem(reply.status, reply.body["message"]).body)


def _invalid(error: InvalidError) -> Reply:
    return problem(400, str(error), error.pointer, error.title)


# Runs


def create_run(state: State, call: Call) -> Reply:
    """Answer `POST /runs`. Guess: 201, and for a skipped commit what v2 answers; neither was seen."""
    try:
        body = v3_bodies.read_run_body(call.request)
    except InvalidError as error:
        return _invalid(error)
    project = state.project_of(body.definition_id or "")
    if project is None:
        return problem(404, "Pipeline not found", "/data/references/pipeline/id")
    if call.twist.instead:
        return message(200, call.twist.instead)
    try:
        run = state.create("v3", project, body, call.twist)
    except BranchNotFoundError:
        return problem(400, "Branch not found", "/data/attributes/checkout/branch")
    # The number was seen in newer answers; that it is in this one is a guess.
    attributes = {**_progress(run), "number": run.number}
    return Reply(201, {"data": {"id": run.id, "type": "run", "attributes": attributes}})


def get_run(state: State, call: Call) -> Reply:
    """Answer `GET /runs/:id`."""
    run = _find_run(state, call.args["id"])
    return run if isinstance(run, Reply) else Reply(200, {"data": run_json(run)})


def search_runs(state: State, call: Call) -> Reply:
    """Answer `POST /runs/search`: what lists know by now, newest first."""
    try:
        search = v3_bodies.read_search_body(call.request)
    except InvalidError as error:
        return _invalid(error)
    listed = (run for run in state.listed() if run.is_pipeline and project_id(run.project) in search.project_ids)
    shown = (state.shown(run) for run in listed if search.start <= run.created_at <= search.end)
    return _page([run for run in shown if _is_wanted(run, search)], search.cursor, search.limit, run_json)


def _is_wanted(run: Run, search: Search) -> bool:
    facts = {
        "pipeline.git.branch": run.branch,
        "pipeline.git.revision": run.revision,
        "pipeline.status": run_status(run),
    }
    return all(facts[field] == text for field, text in search.clauses)


def run_json(run: Run) -> JsonValue:
    """Put a run into v3's words."""
    return {
        "id": run.id,
        "type": "run",
        "attributes": {
            **_progress(run),
            "errors": [{"type": error.type, "message": error.message} for error in run.errors],
        },
        "references": {
            "event": {"attributes": {"vcs": _vcs(run)}},
            "project": {"id": project_id(run.project)},
        },
    }


def _progress(run: Run) -> JsonValue:
    """Runs say where they stand in `current_outcome` only, also at their end."""
    phase = phase_of(run_status(run))
    return {
        "phase": phase.name,
        **({"current_outcome": phase.outcome} if phase.outcome else {}),
        "created_at": stamp(run.created_at),
    }


def _vcs(run: Run) -> JsonValue:
    address = repository_url(run.project)
    return {
        **({"branch": run.branch} if run.branch is not None else {"tag": run.tag}),
        "revision": run.revision,
        **({"origin_repository_url": address} if address else {}),
    }


# Workflows


def list_workflows(state: State, call: Call) -> Reply:
    """Answer `GET /workflows?filter[run_id]=`: 404 for as long as there are none."""
    run_id = call.request.query.get("filter[run_id]")
    if not run_id:
        return _missing_filter("run_id")
    run = _find_run(state, run_id)
    if isinstance(run, Reply):
        return run
    if not run.workflows:
        return problem(404, "Workflows not found")
    return _page(run.workflows, call.request.query.get("page[cursor]"), PAGE, lambda w: workflow_json(run, w))


def get_workflow(state: State, call: Call) -> Reply:
    """Answer `GET /workflows/:id`."""
    found = _find_workflow(state, call.args["id"])
    return found if isinstance(found, Reply) else Reply(200, {"data": workflow_json(*found)})


def cancel_workflow(state: State, call: Call) -> Reply:
    """Answer `POST /workflows/:id/cancel`; one that has ended stays as it ended. Guess: 202, as in v2."""
    found = _find_workflow(state, call.args["id"])
    if isinstance(found, Reply):
        return found
    state.cancel(found[1].id)
    return Reply(202, {"data": {"id": found[1].id, "type": "workflow"}})


def rerun_workflow(state: State, call: Call) -> Reply:
    """Answer `POST /workflows/:id/rerun`. What the body says is not looked at: unknown members are ignored there."""
    found = _find_workflow(state, call.args["id"])
    if isinstance(found, Reply):
        return found
    return Reply(201, {"data": {"id": state.rerun(found[1].id, "success"), "type": "workflow"}})


def workflow_json(run: Run, workflow: WorkflowRun) -> JsonValue:
    """Put a workflow into v3's words; it has an `outcome` only once it has ended."""
    phase = phase_of(workflow.status)
    return {
        "id": workflow.id,
        "type": "workflow",
        "attributes": {
            "name": workflow.name,
            "phase": phase.name,
            **({"outcome": phase.outcome} if phase.has_ended else {}),
            **({"current_outcome": phase.outcome} if phase.outcome else {}),
            "created_at": stamp(workflow.created_at),
            "ended_at": stamp(workflow.stopped_at) if workflow.stopped_at else None,
        },
        "references": {"run": {"id": run.id}, "project": {"id": project_id(run.project)}},
    }


# Projects


def list_projects(state: State, call: Call) -> Reply:
    """Answer `GET /projects?filter[slug]=`: an empty list where there is no such project."""
    slug = call.request.query.get("filter[slug]")
    if not slug:
        return _missing_filter("slug")
    project = canonical(slug)
    known = [project] if state.knows(project) else []
    return _page(known, call.request.query.get("page[cursor]"), PAGE, project_json)


def project_json(project: str) -> JsonValue:
    """Put a project into v3's words; of its attributes only the id matters to anybody here."""
    return {
        "id": project_id(project),
        "type": "project",
        "attributes": {"slug": project, "name": project.rpartition("/")[2]},
    }


# Finding and paging


def _find_run(state: State, run_id: str) -> Run | Reply:
    if not UUID.fullmatch(run_id):
        return problem(400, "The run id must be a UUID")
    return state.pipeline(run_id.lower()) or problem(404, "Run not found")


def _find_workflow(state: State, workflow_id: str) -> tuple[Run, WorkflowRun] | Reply:
    if not UUID.fullmatch(workflow_id):
        return problem(400, "The workflow id must be a UUID")
    found = state.workflow(workflow_id.lower())
    return found if found and found[0].is_pipeline else problem(404, "Workflow not found")


def _missing_filter(name: str) -> Reply:
    return problem(400, f"filter[{name}] is required", title="Missing Required Filter")


def _page(items: Sequence[T], cursor: str | None, size: int, show: Callable[[T], JsonValue]) -> Reply:
    cut = paging.cut(items, cursor, size)
    if cut is None:
        return problem(400, "Invalid page cursor")
    page = {"next": cut.next_token, "prev": None}
    return Reply(200, {"data": [show(item) for item in cut.items], "page": page})


def _path(tail: str) -> re.Pattern[str]:
    return re.compile(ROOT + tail)


ID = "(?P<id>[^/]+)"
ROUTES = (
    Route("POST", _path("runs"), create_run, Family.V3, triggers=True),
    Route("POST", _path("runs/search"), search_runs, Family.V3),
    Route("GET", _path("runs/(?!search\\Z)" + ID), get_run, Family.V3),
    Route("GET", _path("workflows"), list_workflows, Family.V3),
    Route("GET", _path(f"workflows/{ID}"), get_workflow, Family.V3),
    Route("POST", _path(f"workflows/{ID}/cancel"), cancel_workflow, Family.V3),
    Route("POST", _path(f"workflows/{ID}/rerun"), rerun_workflow, Family.V3),
    Route("GET", _path("projects"), list_projects, Family.V3),
)
