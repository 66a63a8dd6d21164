"""Requests and replies as values: what arrives, what is answered, and how an answer is delivered."""

import base64
import enum
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import format_datetime
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl

JsonValue: TypeAlias = Any
"""A decoded JSON value; it stays untyped until `bodies` has read it."""
Scalar: TypeAlias = str | int | bool
"""A pipeline parameter."""
T = TypeVar("T")
NOTHING: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived.

    `path` is still percent-encoded and has no query, because `%2F` and `/` differ on some routes. `headers` has
    lower-case names.
    """

    method: str
    path: str
    query_text: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """The decoded pairs of the query; the last of a repeated name counts."""
        return dict(parse_qsl(self.query_text, keep_blank_values=True))

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; empty when there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Delivery(enum.Enum):
    """What becomes of a reply on its way to the client."""

    WHOLE = "whole"
    CUT = "cut"
    """Content-Length promises more bytes than follow, then the connection ends."""
    NONE = "none"
    """The connection ends without a single byte."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `body` is JSON unless it is already bytes. `delay` is how many seconds late it is delivered."""

    status: int
    body: JsonValue = None
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json;charset=utf-8"
    delivery: Delivery = Delivery.WHOLE
    delay: float = 0.0

    def payload(self) -> bytes:
        """Return the body as it goes over the wire."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def message(status: int, text: str, *headers: tuple[str, str]) -> Reply:
    """Build the one error shape of v1.1 and v2: an object with a `message`."""
    return Reply(status, {"message": text}, headers)


class RefusedError(Exception):
    """A request that is answered with an error. `pointer` and `title` are said by v3 alone."""

    def __init__(self, status: int, text: str, pointer: str = "", title: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.pointer = pointer
        self.title = title


Client: TypeAlias = Callable[[float], bool]
"""The other end of the connection, as far as faults need it: lets so many seconds pass, and tells whether it is still
there then. Raises `ConnectionError` if the server is being stopped. That of a simulation moves its own clock."""


@dataclass(frozen=True, slots=True)
class RunOverride:
    """How a created run differs from what was asked."""

    instead: str = ""
    """Nothing is created after all: the answer is 200 with this message."""
    errors: str = ""
    """The message of a config error."""
    no_workflow: bool = False
    revision: str | None = None
    """Another commit; empty for one that the server makes up."""
    outcome: str = ""
    """The state in which its workflows end."""
    lag: float | None = None
    """Seconds until lists show it."""
    setup: bool = False
    """It starts with a setup workflow."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way to its handler: what its path says (decoded), and what a fault makes of it.

    `nodes` are the states, by index, that nodes of the job asked for are to show from now on.
    """

    request: Request
    args: Mapping[str, str]
    now: datetime
    client: Client
    override: RunOverride = RunOverride()
    nodes: Mapping[int, str] = field(default_factory=dict)


def page_of(items: Sequence[T], token: str, size: int) -> tuple[Sequence[T], str | None]:
    """Take one page of a list, and the token of the next one; raises `RefusedError` for one never given out.

    A token counts the items still to come, from the old end: so what is created while somebody pages neither
    repeats nor hides an item.
    """
    left = len(items)
    if token:
        try:
            found = re.fullmatch(r"left:([0-9]{1,15})", base64.urlsafe_b64decode(token).decode())
        except ValueError:
            found = None
        if found is None or int(found[1]) > len(items):
            raise RefusedError(400, "Invalid page token")
        left = int(found[1])
    start, rest = len(items) - left, left - size
    following = base64.urlsafe_b64encode(f"left:{rest}".encode()).decode() if rest > 0 else None
    return items[start : start + size], following


def stamp(moment: datetime) -> str:
    """Write a time as the API does: UTC, milliseconds, `Z`."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(moment: datetime) -> str:
    """Write a time as HTTP does: `Tue, 16 Jun 2026 08:02:11 GMT`."""
    return format_datetime(moment.astimezone(timezone.utc), usegmt=True)
