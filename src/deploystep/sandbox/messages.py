"""Requests and replies as values: what arrives, what is kept of it, what is answered, and how that is delivered."""

import enum
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from .state import AS_ASKED, RunOverride

JsonValue: TypeAlias = Any
"""A decoded JSON value; it stays untyped until `schema` has checked it."""
T = TypeVar("T")
CREDENTIALS = frozenset({"authorization", "circle-token", "proxy-authorization", "cookie"})
"""Headers, and members of a query, that are not kept."""


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


@dataclass(slots=True)
class Recorded:
    """One request as it came, and how it was answered.

    `path` is as sent (percent-encoded), `query` decoded, `headers` have lower-case names; credentials are left out.
    `body` is the parsed JSON where it is JSON, else text. `status` is None while no answer has been chosen, and stays
    None when the connection was ended without one. `at` is the time of arrival.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: JsonValue
    at: datetime
    status: int | None = None


class Delivery(enum.Enum):
    """What becomes of a reply on its way to the client.

    With `CUT` fewer bytes follow than Content-Length promises, with `NONE` not one; then the connection ends.
    """

    WHOLE = "whole"
    CUT = "cut"
    NONE = "none"


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
    """A request that is answered with a message instead of what it asks for: with 200 where nothing is to be created.

    `pointer` and `title` are said by v3 alone, of an error.
    """

    def __init__(self, status: int, text: str, pointer: str = "", title: str = "") -> None:
        super().__init__(text)
        self.status, self.pointer, self.title = status, pointer, title


Client: TypeAlias = Callable[[float], bool]
"""The other end of the connection: lets so many seconds pass, and tells whether it is still there then. Raises
`ConnectionError` if the server is being stopped. That of a simulation moves its own clock."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way to its handler: what its path says (decoded), and what a fault makes of it.

    `nodes` are the states, by index, that nodes of the job asked for are to show from now on.
    """

    request: Request
    args: Mapping[str, str]
    now: datetime
    client: Client
    override: RunOverride = AS_ASKED
    nodes: Mapping[int, str] = field(default_factory=dict)


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


def stamp(moment: datetime | None) -> str | None:
    """Write a time, if there is one, as the API does: UTC, milliseconds, `Z`."""
    text = moment.astimezone(timezone.utc).isoformat(timespec="milliseconds") if moment else None
    return text and text.replace("+00:00", "Z")


def http_date(moment: datetime) -> str:
    """Write a time as HTTP does: `Tue, 16 Jun 2026 08:02:11 GMT`."""
    return format_datetime(moment.astimezone(timezone.utc), usegmt=True)
