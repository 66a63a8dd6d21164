"""Requests and replies as values, the routes between them, and what the bodies of requests may hold."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from email.utils import format_datetime
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

NOTHING: Mapping[Any, Any] = MappingProxyType({})
UUID_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(slots=True)
class Request:
    """One request as it arrives; as it is kept it has no credentials, and its body is parsed or, if no JSON, text."""

    method: str
    path: str  # percent-encoded
    query: Mapping[str, str]
    headers: Mapping[str, str]  # in lower case
    body: Any
    at: datetime
    status: int | None = None  # without an answer


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `body` is bytes, or JSON that may hold times and values by their fields."""

    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json;charset=utf-8"
    delivery: Literal["whole", "cut", "none"] = "whole"  # of what Content-Length promises; then the connection ends
    delay: float = 0.0  # seconds

    def payload(self) -> bytes:
        def plain(value: Any) -> Any:
            if isinstance(value, datetime):  # as the API writes it: UTC, milliseconds, `Z`
                return value.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            return asdict(value)

        return self.body if isinstance(self.body, bytes) else json.dumps(self.body, default=plain).encode()


def message(status: int, text: str, *headers: tuple[str, str]) -> Reply:
    """Build the one error shape of v1.1 and v2: an object with a `message`."""
    return Reply(status, {"message": text}, headers)


class RefusedError(ValueError):
    """A request that is answered with a message instead of what it asks for: with 200 where nothing is created."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


Client: TypeAlias = Callable[[float], bool]
"""The other end of the connection: lets so many seconds pass, and tells whether it is still there then."""


class Call(NamedTuple):
    """A request on its way to its handler, and what a fault makes of it: fields of `TriggerBody`, states of nodes."""

    request: Request
    client: Client
    override: Mapping[str, Any] = NOTHING
    nodes: Mapping[int, str] = NOTHING


Route: TypeAlias = tuple[str, re.Pattern[str], Callable[..., Any], str]
"""Method, pattern of the path, handler, and kind: `trigger`, `job` (the reading of one), or empty. The handler is given
the store, the call, and by name what the parts of the path name (`Store.named`); it returns a Reply or JSON."""


def route(text: str, handler: Callable[..., Any], kind: str = "") -> Route:
    """Make a route from a method and a path as sent, percent-encoded, with `{parts}` that vary."""
    # a branch is one segment: its slashes are `%2F` (v1.1 reference); a slug has three, and none of them is joined so
    forms = {"project": "[^/%]+/[^/]+/[^/]+", "job": "[0-9]{1,15}", "number": "[0-9]{1,15}"}
    method, path = text.split()
    parts = re.sub(r"\{(\w+)\}", lambda part: f"(?P<{part[1]}>{forms.get(part[1], '[^/]+')})", path.replace(".", r"\."))
    return method, re.compile(parts), handler, kind


def page_of(items: Sequence[Any], token: str, size: int) -> tuple[Sequence[Any], str | None]:
    """Take one page of a list, and the token of the next one; raises `RefusedError` for one never given out."""
    # it counts the items still to come, from the old end: what is created meanwhile neither repeats nor hides an item
    if token and not (re.fullmatch("[0-9]{1,15}", token) and int(token) <= len(items)):
        raise RefusedError(400, "Invalid page token")
    left = int(token) if token else len(items)
    start = len(items) - left
    return items[start : start + size], str(left - size) if left > size else None


def http_date(moment: datetime) -> str:
    """Write a time as HTTP does: `Tue, 16 Jun 2026 08:02:11 GMT`."""
    return format_datetime(moment.astimezone(timezone.utc), usegmt=True)


def told(value: object, *names: str, **renamed: str) -> dict[str, Any]:
    """Return parts of a value by the names that they have in the API."""
    return {name: getattr(value, own) for name, own in (*zip(names, names, strict=True), *renamed.items())}


def in_text(value: Any) -> str:
    """Write a value as in a text: as JSON spells it, so that true does not become Python's True."""
    return value if isinstance(value, str) else json.dumps(value)


Shape: TypeAlias = "str | list[Shape] | Mapping[str, Shape]"
"""What a body may hold: one of `KINDS`, a list of such that is not empty, or an object with a shape for each member. A
member whose name ends in `!` is required. `*` stands for every other name; without it others are refused."""


def checked(value: Any, shape: Shape, place: str = "") -> Any:
    """Return the value as its shape takes it over; raises `RefusedError`, which names the place of what is wrong."""
    spot = f"`{place[1:]}`" if place else "the body"
    if isinstance(shape, str):
        test, take = KINDS[shape]
        with suppress(ValueError, TypeError, AttributeError):
            if test(value):
                return take(value)
        raise RefusedError(400, f"{spot} must be {shape}")
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            raise RefusedError(400, f"{spot} must be a list that is not empty")
        return [checked(entry, shape[0], f"{place}/{index}") for index, entry in enumerate(value)]
    if not isinstance(value, dict):
        raise RefusedError(400, f"{spot} must be an object")
    members = {name.rstrip("!"): inner for name, inner in shape.items()}
    wrong = [f"{name[:-1]}` is required" for name in shape if name.endswith("!") and name[:-1] not in value]
    wrong += [f"{name}` is not a known member" for name in value if not {name, "*"} & set(members)]
    if wrong:
        raise RefusedError(400, f"`{place[1:]}{'/' * bool(place)}{wrong[0]}")
    return {n: checked(v, members[n if n in members else "*"], f"{place}/{n}") for n, v in value.items()}


def decoded(body: bytes) -> Any:
    """Decode one JSON document; raises `RefusedError`, also for `NaN` and for nesting too deep to be read."""
    try:
        return json.loads(body, parse_constant=int)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body is not JSON") from None


def body_of(request: Request, shape: Shape, *, is_declared: bool = True) -> Any:
    """Return a body (none is an empty object) that may have to be declared as JSON; raises `RefusedError`."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if is_declared and declared != "application/json":
        raise RefusedError(400, "the body is not declared as JSON")
    return checked(decoded(request.body.strip() or b"{}"), shape)


def _are_parameters(value: Any) -> bool:
    # entries, and characters of names and texts (v2 OpenAPI, pipelineRequest)
    is_small = type(value) is dict and len(value) <= 100 and all(len(name) <= 128 for name in value)  # noqa: PLR2004
    return is_small and all(type(v) in {int, bool} or (type(v) is str and len(v) <= 512) for v in value.values())  # noqa: PLR2004


TIME = re.compile(r".*(Z|[+-]\d\d:\d\d)", re.IGNORECASE)
FILTER = re.compile(r'\s*|pipeline\.git\.branch == ".*"')
FILTERED = 'empty or `pipeline.git.branch == "NAME"`'
KINDS: Mapping[str, tuple[Callable[[Any], object], Callable[[Any], Any]]] = {
    "anything": (lambda _: True, lambda v: v),
    "empty": (lambda v: not v, str),
    "a string": (lambda v: type(v) is str, str),
    "an integer": (lambda v: type(v) is int, int),
    "from 1 to 20": (lambda v: type(v) is int and v in range(1, 21), int),
    "a UUID": (UUID_FORM.fullmatch, str.lower),
    # which Python 3.10 does not know with a `Z`
    "a time with its zone": (TIME.fullmatch, lambda v: datetime.fromisoformat(re.sub("[Zz]$", "+00:00", v))),
    FILTERED: (FILTER.fullmatch, lambda v: json.loads(v.partition(" == ")[2] or "null")),
    "an object of at most 100 texts, numbers and booleans": (_are_parameters, dict),
}
"""By what a value must be: a test, and how it is taken over."""
