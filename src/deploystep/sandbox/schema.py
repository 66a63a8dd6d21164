"""What the bodies of requests may hold: one table of shapes, and the one function that checks a value against them.

A shape is a `Kind`, a list of one shape (for a list that is not empty), or an object with a shape for each member.
A member whose name ends in `!` is required. `*` stands for every other name; without it others are refused.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from .messages import JsonValue, RefusedError, Request

MAX_PARAMETERS, MAX_NAME, MAX_TEXT = 100, 128, 512
"""Entries, and characters of each (v2 OpenAPI, pipelineRequest)."""
MAX_LIMIT = 20
"""Runs on a page of v3's search; more are refused (CircleCI's CLI)."""
UUID_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Kind:
    """A value that is read as a whole: what it must be in words, a test, and how it is taken over.

    `take` may raise `ValueError`, which refuses the value too. `title` is what v3 calls the error.
    """

    words: str
    test: Callable[[JsonValue], object]
    take: Callable[[JsonValue], JsonValue] = lambda value: value
    title: str = "Invalid Request"


Shape: TypeAlias = "Kind | Sequence[Shape] | Mapping[str, Shape]"


def checked(value: JsonValue, shape: Shape, pointer: str = "") -> JsonValue:
    """Return the value as its shape takes it over; raises `RefusedError`, with the pointer to what is wrong."""
    if isinstance(shape, Kind):
        try:
            if shape.test(value):
                return shape.take(value)
        except ValueError:
            pass
        raise refused(f"must be {shape.words}", pointer, shape.title)
    if not isinstance(shape, Mapping):
        if not isinstance(value, list) or not value:
            raise refused("must be a list that is not empty", pointer)
        return [checked(entry, shape[0], f"{pointer}/{index}") for index, entry in enumerate(value)]
    if not isinstance(value, dict):
        raise refused("must be an object", pointer)
    members = {name.rstrip("!"): inner for name, inner in shape.items()}
    missing = [name[:-1] for name in shape if name.endswith("!") and name[:-1] not in value]
    unknown = sorted(set(value) - set(members)) if "*" not in members else []
    for name, words in (*((n, "is required") for n in missing), *((n, "is not a known member") for n in unknown)):
        raise refused(words, f"{pointer}/{name}")
    return {
        name: checked(v, members[name if name in members else "*"], f"{pointer}/{name}") for name, v in value.items()
    }


def refused(words: str, pointer: str = "", title: str = "Invalid Request") -> RefusedError:
    """Say what is wrong with a body, and where."""
    return RefusedError(400, f"`{pointer[1:]}` {words}" if pointer else f"the body {words}", pointer, title)


def decoded(body: bytes) -> JsonValue:
    """Decode one JSON document; raises `RefusedError`, also for `NaN` and for nesting too deep to be read."""
    try:
        return json.loads(body, parse_constant=int)
    except (ValueError, RecursionError):
        raise refused("is not JSON") from None


def body_of(request: Request, shape: Shape) -> JsonValue:
    """Return a body that must be declared as JSON; raises `RefusedError`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise refused("is not declared as JSON")
    return checked(decoded(request.body), shape)


# Kinds


def _are_parameters(value: JsonValue) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= MAX_PARAMETERS
        and all(isinstance(entry, (str, int, bool)) and len(name) <= MAX_NAME for name, entry in value.items())
        and all(len(entry) <= MAX_TEXT for entry in value.values() if isinstance(entry, str))
    )


def _moment(text: str) -> datetime:
    # Before Python 3.11 `fromisoformat` does not know `Z`.
    moment = datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text))
    if moment.utcoffset() is None:
        raise ValueError(text)
    return moment


def _branch(text: str) -> str | None:
    if not text.strip():
        return None
    found = re.fullmatch(r'pipeline\.git\.branch == (".*")', text)
    if found is None:
        raise ValueError(text)
    return str(json.loads(found[1]))


ANY = Kind("anything", lambda _: True)
STRING = Kind("a string", lambda v: isinstance(v, str))
INTEGER = Kind("an integer", lambda v: type(v) is int)
NUMBER = Kind("a number", lambda v: type(v) in {int, float})
UUID = Kind("a UUID", lambda v: isinstance(v, str) and UUID_FORM.fullmatch(v), str.lower)
TIME = Kind("a time with its zone, such as 2026-06-16T08:02:11Z", STRING.test, _moment)
PARAMETERS = Kind(
    f"an object of at most {MAX_PARAMETERS} strings, integers and booleans, with names of at most {MAX_NAME} and "
    f"values of at most {MAX_TEXT} characters",
    _are_parameters,
)
FILTER = Kind('empty or `pipeline.git.branch == "NAME"`: no other filter is known', STRING.test, _branch)
NO_ORDER = Kind("empty: no other order is known", lambda v: not v)
LIMIT = Kind(f"from 1 to {MAX_LIMIT}", lambda v: type(v) is int and 1 <= v <= MAX_LIMIT, title="Invalid page size")


# Bodies

REF: Shape = {"branch": STRING, "tag": STRING}
BRANCH: Shape = {"branch": STRING}
V2_RUN: Shape = {"definition_id": UUID, "config": REF, "checkout": REF, "parameters": PARAMETERS}
"""v2 `triggerPipelineRun`: no member is required, and none but these four is allowed."""
V2_PIPELINE: Shape = {"branch": STRING, "tag": STRING, "parameters": PARAMETERS, "*": ANY}
"""v2 `triggerPipeline`, whose document allows other members."""
V3_RUN: Shape = {
    "data!": {
        "attributes": {"config": BRANCH, "checkout": BRANCH, "parameters": PARAMETERS},
        "references!": {"pipeline!": {"id!": UUID}},
    }
}
"""v3 `POST /runs`. Only one such body has been seen in public, with a branch. So a tag is refused here, and so is what
v2 does not have either: a commit. Guess: v2's limits hold."""
V3_SEARCH: Shape = {
    "scope!": {"project_ids!": [UUID], "from!": TIME, "to!": TIME},
    "filter": FILTER,
    "order_by": NO_ORDER,
    "page": {"cursor": STRING, "limit": LIMIT},
}
"""v3 `POST /runs/search`. Guess: the scope must be given as a whole, as CircleCI's CLI gives it."""
V1_BUILD: Shape = {"build_parameters": {"*": ANY}, "revision": STRING, "*": ANY}
"""v1.1 `POST .../tree/:branch`."""
