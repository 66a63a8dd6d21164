"""Routes as data: which handler answers which request."""

import re
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

from .bodies import UUID
from .messages import Call, RefusedError, Reply
from .store import Store, canonical

T = TypeVar("T")
Handler: TypeAlias = Callable[[Store, Call], Reply]


class Route(NamedTuple):
    """One row of a route table; `pattern` is for the path as sent, percent-encoded."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler
    triggers: bool = False
    reads_job: bool = False


def project_in(store: Store, call: Call, words: str = "Project not found") -> str:
    """Return the project that a path names; raises `RefusedError` if there is none."""
    project = canonical(call.args["slug"])
    if not store.knows(project):
        raise RefusedError(404, words)
    return project


def found(what: str, text: str, look_up: Callable[[str], T | None]) -> T:
    """Return what has an id; raises `RefusedError` if it is no UUID or nothing has it."""
    if not UUID.fullmatch(text):
        raise RefusedError(400, f"The {what} id must be a UUID")
    value = look_up(text.lower())
    if value is None:
        raise RefusedError(404, f"{what.capitalize()} not found")
    return value
