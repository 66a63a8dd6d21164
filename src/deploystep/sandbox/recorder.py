"""What the stand-in was asked: every request, in the order of arrival, without the token."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote

from . import auth
from .wire import JsonValue, NotJsonError, Request, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

KEPT = 10_000
"""So many requests are remembered; a stand-in left running for days must not grow for ever."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it was asked, and how it was answered.

    `path` is as sent (percent-encoded), `query` decoded, `headers` have lower-case names with credentials
    masked, `body` is the parsed JSON where it is JSON, else text. `status` is None while no answer has been
    chosen, and stays None when the connection was ended without one. `at` is the time of arrival.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: JsonValue
    status: int | None
    at: datetime


class Recorder:
    """An append-only list that threads share; the oldest entries go once there are more than `KEPT`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[int, Recorded] = {}
        self._next = 0

    def begin(self, request: Request, at: datetime) -> int:
        """Note a request that has arrived; the number returned is for `finish`."""
        entry = recorded(request, at)
        with self._lock:
            key, self._next = self._next, self._next + 1
            self._entries[key] = entry
            if len(self._entries) > KEPT:
                del self._entries[next(iter(self._entries))]
        return key

    def finish(self, key: int, status: int | None) -> None:
        """Note how a request is about to be answered; None is for not at all."""
        with self._lock:
            if key in self._entries:
                self._entries[key] = replace(self._entries[key], status=status)

    def entries(self) -> tuple[Recorded, ...]:
        """Return what was recorded so far, oldest first."""
        with self._lock:
            return tuple(self._entries.values())

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()


def recorded(request: Request, at: datetime) -> Recorded:
    """Turn a request into its record.

    The token is looked for everywhere, not only where it belongs: a client that puts it into a path or a body
    has a bug, and a record that is printed or uploaded must not make that bug worse.
    """
    token = auth.presented_token(request.headers)
    return Recorded(
        method=request.method,
        path=_scrubbed_path(request.path, token),
        query=_masked_query(request.query_text, token),
        headers={k: auth.scrub(v, token) for k, v in auth.masked_headers(request.headers).items()},
        body=_readable(request, token),
        status=None,
        at=at,
    )


def _scrubbed_path(path: str, token: str | None) -> str:
    decoded = unquote(path)
    clean = auth.scrub(decoded, token)
    return path if clean == decoded else quote(clean, safe="/*")


def _masked_query(text: str, token: str | None) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True)
    return {k: auth.MASK if k == auth.QUERY_KEY else auth.scrub(v, token) for k, v in pairs}


def _readable(request: Request, token: str | None) -> JsonValue:
    if not request.body:
        return None
    try:
        return _scrubbed(read_json(request.body), token)
    except NotJsonError:
        return auth.scrub(request.body.decode(errors="replace"), token)


def _scrubbed(value: JsonValue, token: str | None) -> JsonValue:
    if isinstance(value, str):
        return auth.scrub(value, token)
    if isinstance(value, dict):
        return {auth.scrub(k, token): _scrubbed(v, token) for k, v in value.items()}
    return [_scrubbed(v, token) for v in value] if isinstance(value, list) else value
