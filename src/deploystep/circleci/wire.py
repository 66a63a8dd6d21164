"""Requests and responses as values, and what every version of the API has in common.

Statuses and limits: CircleCI docs, "API developer's guide"; RFC 9110 for Retry-After, RFC 8594 for Sunset.
"""

import json
import re
from collections.abc import Callable, Generator, Mapping
from datetime import datetime, timezone
from typing import Any, Final, Generic, TypeAlias, TypeVar
from urllib.parse import quote

from deploystep.core.build import Branch, Tag
from deploystep.core.frozen import dataclass, field
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


T = TypeVar("T")
#: Several requests, each of which may depend on the answers so far, and what they come to. Whoever drives it sends.
Talk: TypeAlias = Generator[Request, Response | Failure, T]
_OK: Final = 200
MOST_PAGES: Final = 50


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, and the token of the next."""

    items: tuple[T, ...]
    following: str | None


def every_page(
    request: Callable[[str | None], Request], read: Callable[[Response | Failure], Page[T] | None]
) -> Talk[tuple[T, ...] | None]:
    """The items of all pages; None where one of them cannot be read, which is not the same as having none."""
    found: tuple[T, ...] = ()
    asked: set[str | None] = set()
    following: str | None = None
    while following not in asked and len(asked) < MOST_PAGES:
        asked.add(following)
        page = read((yield request(following)))
        if page is None:
            return None
        found += page.items
        if page.following is None:
            return found
        following = page.following
    return None  # a token that came before leads nowhere: what is not read to its end is not believed


def segment(text: str) -> str:
    """One path segment, everything encoded, `/` too (a space becomes %20)."""
    if (
        not text.isascii()
    ):  # what stands for a byte of a file's or ref's name becomes that byte, other halves are no text
        text = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\N{REPLACEMENT CHARACTER}", text)
    return quote(text, safe="", errors="surrogateescape")


def json_of(response: Response) -> Mapping[str, Json] | None:
    """The body as a JSON object; None where it is anything else."""
    value = _json(response)
    return value if isinstance(value, dict) else None


def body_of(result: Response | Failure) -> Mapping[str, Json] | None:
    """The JSON object that a reading was answered with (200); None where anything else came."""
    return json_of(result) if isinstance(result, Response) and result.status == _OK else None


def list_of(result: Response | Failure) -> list[Json] | None:
    """The JSON array that a reading was answered with (200); None where anything else came."""
    value = _json(result) if isinstance(result, Response) and result.status == _OK else None
    return value if isinstance(value, list) else None


def _json(response: Response) -> Json:
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        return None


def every(value: Json, read: Callable[[Mapping[str, Json]], T | None]) -> tuple[T, ...] | None:
    """Every item of a JSON array, read; None where it is no array or one of them cannot be read.

    An item that is passed over would look as if it were not there, and what is not there is triggered.
    """
    if not isinstance(value, list):
        return None
    found = tuple(read(item) if isinstance(item, dict) else None for item in value)
    whole = tuple(item for item in found if item is not None)
    return whole if len(whole) == len(found) else None


def objects(value: Json) -> list[Mapping[str, Json]]:
    """The objects in a JSON array; none where it is anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(value: Json) -> str | None:
    """A text that is not empty."""
    return value if isinstance(value, str) and value else None


def number_of(value: Json) -> int | None:
    """A whole number; JSON's true and false are none, though Python takes them for one."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def identity_of(value: Json) -> str | None:
    """An id that can be asked for; CircleCI's are UUIDs."""
    return value if isinstance(value, str) and value and value.isascii() and value.isprintable() else None


def revision_of(value: Json) -> str | None:
    """A full revision as git writes it; None where it is shortened or missing."""
    text = value.strip().lower() if isinstance(value, str) else ""
    is_short = len(text) not in (40, 64) and re.fullmatch("[0-9a-f]+", text) is not None
    return None if is_short else text or None


def ref_of(branch: Json, tag: Json) -> Branch | Tag | None:
    """A branch or a tag, by its short name; None where neither is told, or both are."""
    named = [
        kind(name.removeprefix(prefix))
        for kind, name, prefix in ((Branch, text_of(branch), "refs/heads/"), (Tag, text_of(tag), "refs/tags/"))
        if name is not None
    ]
    return named[0] if len(named) == 1 else None


def moment_of(value: Json) -> datetime | None:
    """A time as RFC 3339 writes it, with any number of decimals; None where it is anything else."""
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    zone = "+00:00" if match[3] in ("Z", "z") else match[3]
    try:
        return _plausible(datetime.fromisoformat(f"{match[1]}.{(match[2] or '').ljust(6, '0')[:6]}{zone}"))
    except ValueError:
        return None


def _plausible(moment: datetime) -> datetime | None:
    """A time that one can reckon with: what is centuries away is no time that a server meant."""
    return moment if 2000 <= moment.year < 2200 else None  # noqa: PLR2004


_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def server_time(result: Response | Failure) -> datetime | None:
    """What the server's clock says (the header Date, in whole seconds); None where it does not."""
    return _date(result.headers.get("date", "")) if isinstance(result, Response) else None


def message_of(response: Response) -> str:
    """CircleCI's own words in an answer, shortened; empty where there are none."""
    body = json_of(response) or {}
    error = body.get("error")
    found = body.get("message") or (_words(error) if isinstance(error, dict) else error)
    return found[:500] if isinstance(found, str) else ""


def _words(error: Mapping[str, Json]) -> str:
    """An error of API v3: a title for all of its kind, and what it is about."""
    return ": ".join(words for name in ("title", "detail") if (words := text_of(error.get(name))))


def fate_of(result: Response | Failure) -> Fate:
    """What is certain about an attempt to send a trigger or a read.

    A 5xx or a 408 may come after the work was done, and a redirect says nothing about it: all are unknown.
    """
    if isinstance(result, Failure):
        return result.fate
    if result.status == 429:  # noqa: PLR2004
        return Fate.RATE_LIMITED
    is_told = 200 <= result.status < 300 or (400 <= result.status < 500 and result.status != 408)  # noqa: PLR2004
    return Fate.ANSWERED if is_told else Fate.UNKNOWN


def retry_after(result: Response | Failure, now: datetime) -> float | None:
    """Seconds that the server asks to wait, from Retry-After as a number or a date; None where it does not."""
    text = result.headers.get("retry-after", "").strip() if isinstance(result, Response) else ""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    date = _date(text)
    # a date is by the server's clock, which this machine's need not agree with
    return None if date is None else max(0.0, (date - (server_time(result) or now)).total_seconds())


def _date(text: str) -> datetime | None:
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - few answers name a date

    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return _plausible(date if date.tzinfo else date.replace(tzinfo=timezone.utc))


def retirement(response: Response) -> str | None:
    """A sentence about the endpoint's end, where the answer announces one (`Deprecation`, `Sunset`)."""
    sunset = response.headers.get("sunset", "").strip()
    date = _date(sunset)
    if date is not None:
        return f"CircleCI removes this endpoint on {date.day} {date:%B %Y}"
    if sunset or response.headers.get("deprecation"):
        return "CircleCI has deprecated this endpoint" + (f" (Sunset: {sunset[:80]})" if sunset else "")
    return None
