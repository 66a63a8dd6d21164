"""What the bodies of requests may hold.

A shape is a `Kind`, a list of one shape (for a list that is not empty), or an object with a shape for each member.
A member whose name ends in `!` is required. `*` stands for every other name; without it others are refused.
"""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple, TypeAlias

from .messages import JsonValue, RefusedError, Request

MAX_PARAMETERS, MAX_NAME, MAX_TEXT = 100, 128, 512
"""Entries, and characters of each (v2 OpenAPI, pipelineRequest)."""
UUID_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Kind(NamedTuple):
    """A value that is read as a whole: what it must be in words, a test, and how it is taken over.

    `take` may raise `ValueError`, which refuses the value too.
    """

    words: str
    test: Callable[[JsonValue], object]
    take: Callable[[JsonValue], JsonValue] = lambda value: value


Shape: TypeAlias = "Kind | list[Shape] | Mapping[str, Shape]"


def checked(value: JsonValue, shape: Shape, pointer: str = "") -> JsonValue:
    """Return the value as its shape takes it over; raises `RefusedError`, with the pointer to what is wrong."""
    if isinstance(shape, Kind):
        with suppress(ValueError):
            if shape.test(value):
                return shape.take(value)
        raise refused(f"must be {shape.words}", pointer)
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            raise refused("must be a list that is not empty", pointer)
        return [checked(entry, shape[0], f"{pointer}/{index}") for index, entry in enumerate(value)]
    if not isinstance(value, dict):
        raise refused("must be an object", pointer)
    members = {name.rstrip("!"): inner for name, inner in shape.items()}
    wrong = {name[:-1]: "is required" for name in shape if name.endswith("!") and name[:-1] not in value}
    wrong |= {name: "is not a known member" for name in sorted(value) if not {name, "*"} & set(members)}
    for name, words in wrong.items():
        raise refused(words, f"{pointer}/{name}")
    return {n: checked(v, members[n if n in members else "*"], f"{pointer}/{n}") for n, v in value.items()}


def refused(words: str, pointer: str = "") -> RefusedError:
    """Say what is wrong with a body, and where."""
    return RefusedError(400, f"`{pointer[1:]}` {words}" if pointer else f"the body {words}", pointer)


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


ANY = Kind("anything", lambda _: True)
STRING = Kind("a string", lambda v: isinstance(v, str))
INTEGER = Kind("an integer", lambda v: type(v) is int)
UUID = Kind("a UUID", lambda v: isinstance(v, str) and UUID_FORM.fullmatch(v), str.lower)
TIME = Kind("a time with its zone, such as 2026-06-16T08:02:11Z", STRING.test, _moment)
LIMITS = f"at most {MAX_PARAMETERS} strings (up to {MAX_TEXT} characters), integers and booleans"
PARAMETERS = Kind(f"an object of {LIMITS}, with names up to {MAX_NAME}", _are_parameters)
