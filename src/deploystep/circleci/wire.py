"""Requests and responses as values, and what every version of the API has in common.

Statuses and limits: CircleCI docs, "API developer's guide"; RFC 9110 for Retry-After, RFC 8594 for Sunset.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias
from urllib.parse import quote

from deploystep.core.retry import Fate, Repeat

Json: TypeAlias = Any  #: JSON as it came; read into values where it arrives and nowhere else


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the configured host. `path` is percent-encoded, `body` is sent as JSON."""

    method: str
    path: str
    repeat: Repeat
    body: Mapping[str, Json] | None = None
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """One complete answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """No complete answer came back: what is certain about the attempt, and why in a few words."""

    fate: Fate
    reason: str


def segment(text: str) -> str:
    """One path segment, everything encoded, `/` too (a space becomes %20)."""
    return quote(text, safe="", errors="surrogateescape")


def json_of(response: Response) -> Mapping[str, Json] | None:
    """The body as a JSON object; None where it is anything else."""
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def message_of(response: Response) -> str:
    """CircleCI's own words in an answer, shortened; empty where there are none."""
    body = json_of(response) or {}
    error = body.get("error")
    found = body.get("message") or (error.get("title") if isinstance(error, dict) else error)
    return found[:500] if isinstance(found, str) else ""


def fate_of(result: Response | Failure) -> Fate:
    """What is certain about an attempt to send a trigger or a read.

    A 5xx may come after the work was done, and a redirect says nothing about it: both are unknown.
    """
    if isinstance(result, Failure):
        return result.fate
    if result.status == 429:  # noqa: PLR2004
        return Fate.RATE_LIMITED
    return Fate.ANSWERED if 200 <= result.status < 300 or 400 <= result.status < 500 else Fate.UNKNOWN  # noqa: PLR2004


def retry_after(result: Response | Failure, now: datetime) -> float | None:
    """Seconds that the server asks to wait, from Retry-After as a number or a date; None where it does not."""
    text = result.headers.get("retry-after", "").strip() if isinstance(result, Response) else ""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    date = _date(text)
    return None if date is None else max(0.0, (date - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


def retirement(response: Response) -> str | None:
    """A sentence about the endpoint's end, where the answer announces one (`Deprecation`, `Sunset`)."""
    sunset = response.headers.get("sunset", "").strip()
    date = _date(sunset)
    if date is not None:
        return f"CircleCI removes this endpoint on {date.day} {date:%B %Y}"
    if sunset or response.headers.get("deprecation"):
        return "CircleCI has deprecated this endpoint" + (f" (Sunset: {sunset[:80]})" if sunset else "")
    return None
