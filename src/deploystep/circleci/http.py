"""Requests and responses as values, the transport that carries them, and what every API version has in common.

Statuses and limits: CircleCI docs, "API developer's guide"; RFC 9110 for Retry-After.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, Final, Protocol, TypeAlias, TypeVar
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


Result: TypeAlias = Response | Failure
T = TypeVar("T")


#: One page of a list, and the token of the next; None where it is the last.
Page: TypeAlias = tuple[tuple[T, ...], str | None]
#: How a page is read (None where it cannot be), and the request for the page that a token names, or for the first.
Read: TypeAlias = Callable[[Result], Page[T] | None]
Ask: TypeAlias = Callable[[str], Request]


class Transport(Protocol):
    """Sends one request to the configured host, once. Never follows a redirect, never repeats, never raises."""

    @property
    def host(self) -> str:
        """The address it sends to, without a trailing slash."""

    def send(self, request: Request) -> Result:
        """The complete answer, or what is certain about the attempt where there is none."""


def reading(path: str, **query: str) -> Request:
    """A GET, which may be repeated freely."""
    return Request("GET", path, Repeat.FREELY, query=query)


def listing(path: str, token: str, **query: str) -> Ask:
    """The requests for the pages of a list: `token` is what names each but the first in the query."""
    return lambda page: reading(path, **query, **({token: page} if page else {}))


def segment(text: str) -> str:
    """One path segment, everything encoded, `/` too (a space becomes %20)."""
    return quote(text, safe="", errors="surrogatepass")


class JsonObject:
    """A JSON object to read from. The keys of each method lead to one value; None where that is anything else."""

    def __init__(self, value: Json) -> None:
        self._value = value

    def get(self, *keys: str) -> Json:
        """The value as it came."""
        value: Json = self._value
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def text(self, *keys: str) -> str | None:
        """A text that is not empty."""
        value = self.get(*keys)
        return value if isinstance(value, str) and value else None

    def number(self, *keys: str) -> int | None:
        """A whole number. JSON's true and false are not numbers, though Python treats them as such."""
        value = self.get(*keys)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def identity(self, *keys: str) -> str | None:
        """An id that can be asked for, in printable ASCII; CircleCI's are UUIDs."""
        text = self.text(*keys)
        return text if text and text.isascii() and text.isprintable() else None

    def revision(self, *keys: str) -> str | None:
        """A full revision as git writes it; None where it is shortened, missing or none at all."""
        text = (self.text(*keys) or "").strip().lower()
        return text if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", text) else None

    def moment(self, *keys: str) -> datetime | None:
        """A time in RFC 3339 format, with any number of decimals."""
        match = _RFC3339.fullmatch((self.text(*keys) or "").upper())
        if match is None:
            return None
        zone = match[3].replace("Z", "+00:00")
        try:
            return _plausible(datetime.fromisoformat(f"{match[1]}.{(match[2] or '').ljust(6, '0')[:6]}{zone}"))
        except ValueError:
            return None

    def ref(self, *keys: str, tag: str = "tag") -> Branch | Tag | None:
        """A branch or a tag, by its short name; None where neither is told, or both are."""
        branch, tag_name = self.text(*keys, "branch"), self.text(*keys, tag)
        if (branch is None) is (tag_name is None):
            return None
        return Branch(branch.removeprefix("refs/heads/")) if branch else Tag(f"{tag_name}".removeprefix("refs/tags/"))

    def messages(self, *keys: str) -> tuple[str, ...]:
        """The texts that the objects of an array have as their `message`; none where there is no array."""
        errors = self.get(*keys)
        found = (JsonObject(error).text("message") for error in errors) if isinstance(errors, list) else ()
        return tuple(filter(None, found))


_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def json_of(response: Response) -> Json:
    """The body as JSON; None where it is none."""
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        return None


def body_of(result: Result) -> Json:
    """The JSON that a read was answered with (200); None where anything else came."""
    return json_of(result) if isinstance(result, Response) and result.status == 200 else None  # noqa: PLR2004


def every(value: Json, read: Callable[[JsonObject], T | None]) -> tuple[T, ...] | None:
    """Every item of a JSON array, read; None where it is no array or one of them cannot be read.

    An item that was left out would look as if it were not there, and what is not there is triggered.
    """
    found = [read(JsonObject(item)) for item in value] if isinstance(value, list) else [None]
    whole = tuple(item for item in found if item is not None)
    return whole if len(whole) == len(found) else None


def page_of(read: Callable[[JsonObject], T | None], items: str, *following: str) -> Read[T]:
    """How a page is read that has its items and the token of the next one under these keys."""

    def read_page(result: Result) -> Page[T] | None:
        body = JsonObject(body_of(result))
        found, token = every(body.get(items), read), body.get(*following)
        is_told = token is None or isinstance(token, str)  # what names no page does not say that it is the last
        return (found, token or None) if found is not None and is_told else None

    return read_page


def message_of(response: Response) -> str:
    """CircleCI's own words in an answer, shortened; empty where there are none."""
    body = JsonObject(json_of(response))
    of_v3 = (words for key in ("title", "detail") if (words := body.text("error", key)))
    return shortened(body.text("message") or body.text("error") or ": ".join(of_v3), 500)


def shortened(text: str, most: int) -> str:
    """At most so many characters of a server's words, cut between two words.

    What is shown has the token masked, and half a token would not be recognised.
    """
    return text if len(text) <= most else " ".join(text[: most + 1].split(" ")[:-1])


def is_accepted(result: Result) -> bool:
    """Whether the request was answered with 2xx."""
    return isinstance(result, Response) and 200 <= result.status < 300  # noqa: PLR2004


def fate_of(result: Result) -> Fate:
    """What is certain about an attempt to send a trigger or a read.

    A 5xx or a 408 may come after the work was done, and a redirect says nothing about it: all are unknown.
    """
    if isinstance(result, Failure):
        return result.fate
    if result.status == 429:  # noqa: PLR2004
        return Fate.RATE_LIMITED
    is_no = 400 <= result.status < 500 and result.status != 408  # noqa: PLR2004
    return Fate.ANSWERED if is_no or is_accepted(result) else Fate.UNKNOWN


def retry_after(result: Result, now: datetime) -> float | None:
    """Seconds that the server asks to wait, from Retry-After as a number or a date; None where it does not."""
    text = result.headers.get("retry-after", "").strip() if isinstance(result, Response) else ""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    date = _date(text)
    # a date is by the server's clock, which this machine's need not agree with
    return None if date is None else max(0.0, (date - (server_time(result) or now)).total_seconds())


def server_time(result: Result) -> datetime | None:
    """What the server's clock says (the header Date, in whole seconds); None where it does not."""
    return _date(result.headers.get("date", "")) if isinstance(result, Response) else None


def _date(text: str) -> datetime | None:
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - few answers name a date

    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return _plausible(date if date.tzinfo else date.replace(tzinfo=timezone.utc))


def _plausible(moment: datetime) -> datetime | None:
    """The time; None where it is centuries away, which no server means, and with which arithmetic can overflow."""
    return moment if 2000 <= moment.year < 2200 else None  # noqa: PLR2004
