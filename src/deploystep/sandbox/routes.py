"""Routes as data: which handler answers which request, and how handlers find what a path names."""

import re
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

from .messages import Call, RefusedError, Reply
from .schema import UUID_FORM
from .state import JobView, Run, TriggerBody, WorkflowRun
from .store import Store, canonical

T = TypeVar("T")
Handler: TypeAlias = Callable[[Store, Call], Reply]
PARTS = {
    "slug": r"(?P<slug>[^/]+/[^/]+/[^/]+)",
    "branch": r"(?P<branch>[^/]+)",
    "number": r"(?P<number>[0-9]{1,15})",
    "id": r"(?P<id>[^/]+)",
}
"""The parts of a path that vary. A branch is one segment: its slashes are `%2F` (v1.1 reference)."""


class Route(NamedTuple):
    """One row of a route table. `kind` is `trigger`, `job` (the reading of one), or empty."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler
    kind: str = ""


def route(text: str, handler: Handler, kind: str = "") -> Route:
    """Make a row from a method and a path as sent, percent-encoded, with `{parts}` that vary."""
    method, path = text.split()
    pattern = re.sub(r"\{([a-z-]+)\}", lambda found: PARTS[found[1]], path.replace(".", r"\."))
    return Route(method, re.compile(pattern), handler, kind)


# What handlers have in common


def project_in(store: Store, call: Call, words: str = "Project not found") -> str:
    """Return the project that a path names; raises `RefusedError` if there is none."""
    project = canonical(call.args["slug"])
    if not store.knows(project):
        raise RefusedError(404, words)
    return project


def found(what: str, text: str, look_up: Callable[[str], T | None]) -> T:
    """Return what has an id; raises `RefusedError` if it is no UUID or nothing has it."""
    if not UUID_FORM.fullmatch(text):
        raise RefusedError(400, f"The {what} id must be a UUID")
    value = look_up(text.lower())
    if value is None:
        raise RefusedError(404, f"{what.capitalize()} not found")
    return value


def run_in(store: Store, call: Call) -> Run:
    """Return the run whose id a path has; raises `RefusedError` if there is none."""
    return found("pipeline", call.args["id"], store.pipeline)


def workflow_in(store: Store, call: Call) -> tuple[Run, WorkflowRun]:
    """Return the workflow whose id a path has, and its run; raises `RefusedError` if there is none."""
    return found("workflow", call.args["id"], store.workflow)


def job_in(store: Store, call: Call) -> JobView:
    """Read the job whose project and number a path has; raises `RefusedError` if there is none."""
    job = store.read_job(project_in(store, call), int(call.args["number"]), call.nodes)
    if job is None:
        raise RefusedError(404, "Job not found")
    return job


def created(store: Store, call: Call, api: str, project: str, body: TriggerBody) -> Run:
    """Create what is asked for; raises `RefusedError` if there is no run."""
    if call.override.instead:
        raise RefusedError(200, call.override.instead)
    run = store.create(api, project, body, call.override)
    if run is None:
        raise RefusedError(404 if api == "v1.1" else 400, "Branch not found")
    return run
