"""API v3, as far as it is attested in public: by CircleCI's CLI, its conventions page, and scripts that use it.

There is no OpenAPI document of it to check against. A run here is what v2 calls a pipeline, and has the same id; a
pipeline here is what v2 calls a definition.
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.client import responses
from typing import TypeVar

from .messages import Call, JsonValue, RefusedError, Reply, page_of, stamp
from .routes import created, found, route, run_in, workflow_in
from .schema import MAX_LIMIT, V3_RUN, V3_SEARCH, body_of
from .state import ENDED, SETUP, Run, TriggerBody, WorkflowRun
from .store import Store, canonical, made_up_uuid, repository_url

T = TypeVar("T")

PAGE = 20
"""Items of a list that says nothing of its size; a guess."""
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
    """Put an error into v3's shape: one object, with a pointer where a body is to blame.

    Of its types only `validation_error` was seen.
    """
    status, detail = reply.status, reply.body["message"]
    phrase = "Validation Error" if status == HTTPStatus.BAD_REQUEST else responses.get(status, "Error")
    error = {
        "id": made_up_uuid(f"error {status} {detail}"),
        "type": phrase.lower().replace(" ", "_"),
        "title": title or phrase,
        "detail": detail,
        **({"source": {"pointer": pointer}} if pointer else {}),
    }
    return Reply(status, {"error": error}, reply.headers)


# Routes


def _create(store: Store, call: Call) -> Reply:
    """Answer 201, a guess, and for a skipped commit what v2 answers; neither was seen.

    A definition is taken to be of the only project that is known.
    """
    data = body_of(call.request, V3_RUN)["data"]
    attributes = data.get("attributes", {})
    where = attributes.get("checkout") or attributes.get("config") or {}
    definition = data["references"]["pipeline"]["id"]
    projects = set(store.projects) or {run.project for run in store.stored_runs()}
    if len(projects) != 1:
        raise RefusedError(404, "Pipeline not found", "/data/references/pipeline/id")
    asked = TriggerBody(**where, parameters=attributes.get("parameters", {}), definition_id=definition)
    run = created(store, call, "v3", projects.pop(), asked)
    # The number was seen in newer answers; that it is in this one is a guess.
    return Reply(201, {"data": {"id": run.id, "type": "run", "attributes": {**_progress(run), "number": run.number}}})


def _search(store: Store, call: Call) -> Reply:
    """Answer with what lists know by now, newest first."""
    body = body_of(call.request, V3_SEARCH)
    scope, page, branch = body["scope"], body.get("page", {}), body.get("filter")

    def is_wanted(run: Run) -> bool:
        is_in_time = scope["from"] <= run.created_at <= scope["to"]
        is_in_scope = is_in_time and made_up_uuid(run.project) in scope["project_ids"]
        return run.is_pipeline and is_in_scope and branch in {None, run.branch}

    return _page(list(store.listed(is_wanted)), page.get("cursor", ""), page.get("limit", MAX_LIMIT), _run)


def _workflows(store: Store, call: Call) -> Reply:
    """Answer 404 for as long as there are none."""
    run = found("run", _filter(call, "run_id"), store.pipeline)
    if not run.workflows:
        raise RefusedError(404, "Workflows not found")
    return _page(run.workflows, call.request.query.get("page[cursor]", ""), PAGE, lambda w: _workflow(run, w))


def _cancel(store: Store, call: Call) -> Reply:
    """Cancel a workflow; one that has ended stays as it ended."""
    _, workflow = workflow_in(store, call)
    store.cancel(workflow)
    return Reply(202, {"data": {"id": workflow.id, "type": "workflow"}})


def _projects(store: Store, call: Call) -> Reply:
    """Answer with an empty list where there is no such project. Of its attributes only the id matters to anybody."""
    slug = canonical(_filter(call, "slug"))
    project = {"id": made_up_uuid(slug), "type": "project", "attributes": {"slug": slug}}
    known = [project] if store.knows(slug) else []
    return Reply(200, {"data": known, "page": {"next": None, "prev": None}})


def _filter(call: Call, name: str) -> str:
    text = call.request.query.get(f"filter[{name}]")
    if not text:
        raise RefusedError(400, f"filter[{name}] is required", title="Missing Required Filter")
    return text


def _page(items: Sequence[T], cursor: str, size: int, show: Callable[[T], JsonValue]) -> Reply:
    page, following = page_of(items, cursor, size)
    return Reply(200, {"data": [show(item) for item in page], "page": {"next": following, "prev": None}})


# Values in v3's words


def _run(run: Run) -> JsonValue:
    """Put a run into v3's words."""
    repository = repository_url(run.project)
    vcs = {
        **({"branch": run.branch} if run.branch is not None else {"tag": run.tag}),
        "revision": run.revision,
        **({"origin_repository_url": repository} if repository else {}),
    }
    return {
        "id": run.id,
        "type": "run",
        "attributes": {**_progress(run), "errors": [{"type": "config", "message": text} for text in run.errors]},
        "references": {"event": {"attributes": {"vcs": vcs}}, "project": {"id": made_up_uuid(run.project)}},
    }


def _progress(run: Run) -> JsonValue:
    """Runs say where they stand in `current_outcome` only, also at their end."""
    phase, outcome = PHASES.get(status := _status(run), (status, None))
    return {"phase": phase, **({"current_outcome": outcome} if outcome else {}), "created_at": stamp(run.created_at)}


def _status(run: Run) -> str:
    """Sum up a run in one word; of workflows with the same name the newest counts.

    Guess: a run without workflows stays `pending`, and one that only has been set up is `running`.
    """
    statuses = {workflow.name: workflow.status for workflow in run.workflows}
    going = {status for status in statuses.values() if status not in ENDED}
    if run.errors or not statuses:
        return "error" if run.errors else "pending"
    if going and {"failed", "failing"} & set(statuses.values()):
        return "failing"
    if going or (len(statuses) == 1 and run.workflows[-1].tag == SETUP and run.workflows[-1].status == "success"):
        return going.pop() if len(going) == 1 else "running"
    return next((word for word in WORST_FIRST if word in statuses.values()), "success")


def _workflow(run: Run, workflow: WorkflowRun) -> JsonValue:
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
            "ended_at": stamp(workflow.stopped_at),
        },
        "references": {"run": {"id": run.id}, "project": {"id": made_up_uuid(run.project)}},
    }


ROUTES = (
    route("POST /api/v3/runs", _create, "trigger"),
    route("POST /api/v3/runs/search", _search),
    route("GET /api/v3/runs/{id}", lambda store, call: Reply(200, {"data": _run(run_in(store, call))})),
    route("GET /api/v3/workflows", _workflows),
    route("POST /api/v3/workflows/{id}/cancel", _cancel),
    route("GET /api/v3/projects", _projects),
)
