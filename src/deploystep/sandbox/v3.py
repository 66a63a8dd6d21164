"""API v3, as far as it is attested in public: by CircleCI's CLI, its conventions page, and scripts that use it.

There is no OpenAPI document of it to check against. A run here is what v2 calls a pipeline, and has the same id; a
pipeline here is what v2 calls a definition.
"""

import json
import re
from collections.abc import Callable, Sequence
from http.client import responses
from typing import TypeVar

from .messages import Call, JsonValue, RefusedError, Reply, page_of, route
from .shapes import PARAMETERS, STRING, TIME, UUID, Kind, Shape, body_of
from .state import ENDED, SETUP, Run, TriggerBody, WorkflowRun
from .store import Store, made_up_uuid, repository_url

T = TypeVar("T")

PAGE = 20
"""Items: the most that a search may ask for (CircleCI's CLI), and a guess for lists that say nothing of it."""
PHASES = {"failing": "started", "running": "started", "on_hold": "started", "pending": "created"}
"""Phases of what has not ended (CircleCI's CLI; `on_hold` is a guess). Any other word is one, also one nobody knows."""
OUTCOMES = {"success": "succeeded", "error": "errored", "failing": "failed"}
"""Outcomes that are no words of v2 (CircleCI's CLI)."""
WORST_FIRST = ("failed", "error", "unauthorized", "canceled", "not_run")
"""Guess: which of several ends counts for the whole run."""


FILTER = re.compile(r'\s*|pipeline\.git\.branch == ".*"')
BRANCH: Shape = {"branch": STRING}
RUN: Shape = {
    "data!": {
        "attributes": {"config": BRANCH, "checkout": BRANCH, "parameters": PARAMETERS},
        "references!": {"pipeline!": {"id!": UUID}},
    }
}
"""`POST /runs`. Only one such body has been seen in public, with a branch. So a tag is refused here, and so is what
v2 does not have either: a commit. Guess: v2's limits hold."""
SEARCH: Shape = {
    "scope!": {"project_ids!": [UUID], "from!": TIME, "to!": TIME},
    "filter": Kind(
        'empty or `pipeline.git.branch == "NAME"`: no other filter is known',
        lambda v: isinstance(v, str) and FILTER.fullmatch(v),
        lambda v: json.loads(v.partition(" == ")[2] or "null"),
    ),
    "order_by": Kind("empty: no other order is known", lambda v: not v),
    "page": {"cursor": STRING, "limit": Kind(f"from 1 to {PAGE}", lambda v: type(v) is int and 1 <= v <= PAGE)},
}
"""`POST /runs/search`. Guess: the scope must be given as a whole, as CircleCI's CLI gives it."""


def problem(reply: Reply, pointer: str = "") -> Reply:
    """Put an error into v3's shape: one object, with a pointer where a body is to blame.

    Of its types only `validation_error` was seen.
    """
    status, detail = reply.status, reply.body["message"]
    title = "Validation Error" if status == 400 else responses.get(status, "Error")  # noqa: PLR2004
    named = {"id": made_up_uuid(detail), "type": title.lower().replace(" ", "_"), "title": title, "detail": detail}
    return Reply(status, {"error": named | ({"source": {"pointer": pointer}} if pointer else {})}, reply.headers)


# Routes


def _create(store: Store, call: Call) -> Reply:
    """Answer 201, a guess, and for a skipped commit what v2 answers; neither was seen.

    A definition is taken to be of the only project that is known.
    """
    data = body_of(call.request, RUN)["data"]
    attributes = data.get("attributes", {})
    where = attributes.get("checkout") or attributes.get("config") or {}
    projects = set(store.projects) or {run.project for run in store.stored_runs()}
    if len(projects) != 1:
        raise RefusedError(404, "Pipeline not found", "/data/references/pipeline/id")
    asked = TriggerBody(where.get("branch"), parameters=attributes.get("parameters", {}))
    run = store.create("v3", projects.pop(), asked, call.override)
    # The number was seen in newer answers; that it is in this one is a guess.
    return Reply(201, {"data": _item("run", run.id, _stands(run) | {"number": run.number})})


def _search(store: Store, call: Call) -> JsonValue:
    """Answer with what lists know by now, newest first."""
    body = body_of(call.request, SEARCH)
    scope, page, branch = body["scope"], body.get("page", {}), body.get("filter")

    def is_wanted(run: Run) -> bool:
        is_in_time = scope["from"] <= run.created_at <= scope["to"]
        is_in_scope = is_in_time and made_up_uuid(run.project) in scope["project_ids"]
        return run.is_pipeline and is_in_scope and branch in {None, run.branch}

    return _page(store.listed(is_wanted), page.get("cursor", ""), page.get("limit", PAGE), _run)


def _workflows(store: Store, call: Call) -> JsonValue:
    """Answer 404 for as long as there are none."""
    run = store.named("pipeline", _filter(call, "run_id"), call)
    if not run.workflows:
        raise RefusedError(404, "Workflows not found")

    def show(workflow: WorkflowRun) -> JsonValue:
        standing = {"name": workflow.name, **_stands(workflow), "ended_at": workflow.stopped_at}
        return _item("workflow", workflow.id, standing, run={"id": run.id}, project=_project(run.project))

    return _page(run.workflows, call.request.query.get("page[cursor]", ""), PAGE, show)


def _cancel(store: Store, _call: Call, workflow: tuple[Run, WorkflowRun]) -> Reply:
    store.cancel(workflow[1])
    return Reply(202, {"data": _item("workflow", workflow[1].id, {})})


def _projects(store: Store, call: Call) -> JsonValue:
    """Answer with an empty list where there is no such project. Of its attributes only the id matters to anybody."""
    slug = store.known(_filter(call, "slug"))
    return _page([slug] if slug else [], "", PAGE, _project)


def _filter(call: Call, name: str) -> str:
    text = call.request.query.get(f"filter[{name}]")
    if not text:
        raise RefusedError(400, f"filter[{name}] is required")
    return text


def _page(items: Sequence[T], cursor: str, size: int, show: Callable[[T], JsonValue]) -> JsonValue:
    page, following = page_of(items, cursor, size)
    return {"data": [show(item) for item in page], "page": {"next": following, "prev": None}}


# Values in v3's words


def _item(kind: str, name: str, attributes: JsonValue, **references: JsonValue) -> JsonValue:
    return {"id": name, "type": kind, "attributes": attributes, "references": references}


def _project(slug: str) -> JsonValue:
    return _item("project", made_up_uuid(slug), {"slug": slug})


def _run(run: Run) -> JsonValue:
    ref = {"branch": run.branch} if run.branch is not None else {"tag": run.tag}
    vcs = {**ref, "revision": run.revision, "origin_repository_url": repository_url(run.project)}
    errors = {"errors": [{"type": "config", "message": text} for text in run.errors]}
    event = {"attributes": {"vcs": vcs}}
    return _item("run", run.id, _stands(run) | errors, event=event, project=_project(run.project))


def _stands(of: Run | WorkflowRun) -> dict[str, JsonValue]:
    """Say where something stands; a run says its outcome in `current_outcome` only, also at its end."""
    status = _status(of) if isinstance(of, Run) else of.status
    phase = "ended" if status in ENDED else PHASES.get(status, status)
    words = ["current_outcome"] if status in ENDED or status in OUTCOMES else []
    words += ["outcome"] if phase == "ended" and isinstance(of, WorkflowRun) else []
    return {"phase": phase, **dict.fromkeys(words, OUTCOMES.get(status, status)), "created_at": of.created_at}


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


ROUTES = (
    route("POST /api/v3/runs", _create, "trigger"),
    route("POST /api/v3/runs/search", _search),
    route("GET /api/v3/runs/{pipeline}", lambda _s, _c, pipeline: {"data": _run(pipeline)}),
    route("GET /api/v3/workflows", _workflows),
    route("POST /api/v3/workflows/{workflow}/cancel", _cancel),
    route("GET /api/v3/projects", _projects),
)
