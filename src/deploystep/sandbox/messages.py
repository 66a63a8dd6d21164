"""Requests and replies as values, and the routes between them."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from email.utils import format_datetime
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from .state import NOTHING, RunOverride

JsonValue: TypeAlias = Any
"""A decoded JSON value; it stays untyped until `shapes` has checked it."""
T = TypeVar("T")
CREDENTIALS = frozenset({"authorization", "circle-token", "proxy-authorization", "cookie"})
"""Headers, and members of a query, that are not kept."""


@dataclass(slots=True)
class Request:
    """One request as it arrives; as it is kept it has no credentials, and its body is parsed or, if not JSON, text.

    `path` is percent-encoded, because `%2F` and `/` differ on some routes. `query` is decoded; of a repeated name the
    last counts. `headers` has lower-case names. `status` is None while no answer has been chosen, and stays None when
    the connection was ended without one.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: JsonValue
    at: datetime
    status: int | None = None


Delivery: TypeAlias = Literal["whole", "cut", "none"]
"""What becomes of a reply on its way to the client: with `cut` fewer bytes follow than Content-Length promises, with
`none` not one; then the connection ends."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `body` is bytes, or JSON that may hold times and values by their fields. `delay` is in seconds."""

    status: int
    body: JsonValue = None
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json;charset=utf-8"
    delivery: Delivery = "whole"
    delay: float = 0.0

    def payload(self) -> bytes:
        """Return the body as it goes over the wire."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body, default=_plain).encode()


def _plain(value: Any) -> JsonValue:
    """Write a time as the API does: UTC, milliseconds, `Z`."""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return asdict(value)


def message(status: int, text: str, *headers: tuple[str, str]) -> Reply:
    """Build the one error shape of v1.1 and v2: an object with a `message`."""
    return Reply(status, {"message": text}, headers)


class RefusedError(ValueError):
    """A request that is answered with a message instead of what it asks for: with 200 where nothing is to be created.

    `pointer`, to what is wrong in a body, is said by v3 alone.
    """

    def __init__(self, status: int, text: str, pointer: str = "") -> None:
        super().__init__(text)
        self.status, self.pointer = status, pointer


Client: TypeAlias = Callable[[float], bool]
"""The other end of the connection: lets so many seconds pass, and tells whether it is still there then. Raises
`ConnectionError` if the server is being stopped. That of a simulation moves its own clock."""


class Call(NamedTuple):
    """A request on its way to its handler, and what a fault makes of it.

    `nodes` are the states, by index, that nodes of the job asked for are to show from now on.
    """

    request: Request
    client: Client
    override: RunOverride = RunOverride()
    nodes: Mapping[int, str] = NOTHING


class Route(NamedTuple):
    """Which handler answers which requests. `kind` is `trigger`, `job` (the reading of one), or empty.

    The handler is given the store, the call, and by name what the parts of the path name (`Store.named`). It returns
    a `Reply`, or the JSON of a 200.
    """

    method: str
    pattern: re.Pattern[str]
    handler: Callable[..., JsonValue]
    kind: str = ""


def route(text: str, handler: Callable[..., JsonValue], kind: str = "") -> Route:
    """Make a route from a method and a path as sent, percent-encoded, with `{parts}` that vary.

    A branch is one segment: its slashes are `%2F` (v1.1 reference). A slug has three, and none of them is joined so.
    """
    forms = {"project": "[^/%]+/[^/]+/[^/]+", "job": "[0-9]{1,15}", "number": "[0-9]{1,15}"}
    method, path = text.split()
    parts = re.sub(r"\{(\w+)\}", lambda part: f"(?P<{part[1]}>{forms.get(part[1], '[^/]+')})", path.replace(".", r"\."))
    return Route(method, re.compile(parts), handler, kind)


def page_of(items: Sequence[T], token: str, size: int) -> tuple[Sequence[T], str | None]:
    """Take one page of a list, and the token of the next one; raises `RefusedError` for one never given out.

    A token counts the items still to come, from the old end: so what is created while somebody pages neither
    repeats nor hides an item.
    """
    if token and not (re.fullmatch("[0-9]{1,15}", token) and int(token) <= len(items)):
        raise RefusedError(400, "Invalid page token")
    left = int(token) if token else len(items)
    start = len(items) - left
    return items[start : start + size], str(left - size) if left > size else None


def http_date(moment: datetime) -> str:
    """Write a time as HTTP does: `Tue, 16 Jun 2026 08:02:11 GMT`."""
    return format_datetime(moment.astimezone(timezone.utc), usegmt=True)


def told(value: object, *names: str, **renamed: str) -> dict[str, JsonValue]:
    """Return parts of a value by the names that they have in the API."""
    return {name: attrgetter(path)(value) for name, path in ({name: name for name in names} | renamed).items()}
