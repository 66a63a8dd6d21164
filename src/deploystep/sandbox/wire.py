"""What crosses the socket, as values: one request in, one reply out, and how that reply is delivered."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Mapping

JsonValue: TypeAlias = Any
"""A decoded JSON value; it stays untyped until `schema` has read it."""


class NotJsonError(ValueError):
    """The bytes are not one JSON document."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived.

    `path` is still percent-encoded and has no query, because `%2F` and `/` differ on some routes.
    `headers` has lower-case names.
    """

    method: str
    path: str
    query_text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def query(self) -> dict[str, str]:
        """The query's pairs, decoded; of a repeated name the last one counts."""
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


def read_json(body: bytes) -> JsonValue:
    """Decode one JSON document.

    Raises `NotJsonError` for anything else, also for what Python alone would accept (`NaN`) and for nesting
    too deep to be read.
    """
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(str(error)) from error


def _refuse_constant(name: str) -> None:
    raise NotJsonError(f"{name} is not JSON")
