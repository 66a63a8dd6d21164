"""Requests, responses, and what all API versions have in common (CircleCI docs, "API developer's guide"; RFC 9110)."""

import re
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.frozen import Frozen
from deploystep.core.retry import Fate, Repeat


class Request(Frozen):
    """One request to the configured host. `path` is percent-encoded, `body` is sent as JSON."""

    method: str
    path: str
    repeat: Repeat
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = {}


class Response(Frozen):
    """One complete answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Failure(Frozen):
    """No complete answer came back: what is certain about the attempt, and why in a few words."""

    fate: Fate
    reason: str


T = TypeVar("T")
Result: TypeAlias = Response | Failure
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


def listing(path: str, named: str = "page-token", **query: str) -> Ask:
    """The requests for the pages of a list: `named` is what names each but the first in the query."""
    return lambda page: reading(path, **query, **({named: page} if page else {}))


def segment(text: str) -> str:
    """One path segment, everything encoded, `/` too (a space becomes %20)."""
    return quote(text, safe="", errors="surrogatepass")


def project_path(project: ProjectSlug, api: str = "v2") -> str:
    """`/api/v2/project/{slug}`; three segments, each encoded on its own: a joined slug (%2F) is answered with 404."""
    long = {"gh": "github", "bb": "bitbucket"} if api == "v1.1" else {}
    parts = long.get(project.vcs, project.vcs), project.organization, project.project
    return f"/api/{api}/project/{'/'.join(map(segment, parts))}"


class JsonObject:
    """A JSON object to read from. The keys of each method lead to one value; None where that is anything else."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def get(self, *keys: str) -> Any:
        value = self._value
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
        """A time in RFC 3339 format, of this century or the next; decimals after the sixth are dropped."""
        form = r"(2[01]\d\d-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)"
        found = re.fullmatch(form, (self.text(*keys) or "").upper(), re.ASCII)
        with suppress(ValueError):  # Python 3.10 reads no Z, and no decimals but three or six
            at, decimals, zone = found.groups("") if found else ("", "", "")
            return datetime.fromisoformat(f"{at}.{decimals:0<6.6}{zone.replace('Z', '+00:00')}")
        return None

    def ref(self, *keys: str) -> Branch | Tag | None:
        """A branch or a tag, by its short name; None where neither is told, or both are."""
        branch, tag = self.text(*keys, "branch"), self.text(*keys, "tag")
        if (branch is None) is (tag is None):
            return None
        return Branch(branch.removeprefix("refs/heads/")) if branch else Tag(f"{tag}".removeprefix("refs/tags/"))


def body_of(result: Result, statuses: Container[int] = (200,)) -> Any:
    """The JSON of an answer with one of these statuses; None where anything else came."""
    import json  # noqa: PLC0415 - a dry run asks nothing

    with suppress(ValueError, RecursionError):
        return json.loads(result.body) if isinstance(result, Response) and result.status in statuses else None
    return None


def every(value: Any, read: Callable[[JsonObject], T | None]) -> tuple[T, ...] | None:
    """Every item of a JSON array, read; None where it is no array or one of them cannot be read."""
    # one that was left out would look as if it were not there, and what is not there is triggered
    found = [read(JsonObject(item)) for item in value] if isinstance(value, list) else [None]
    whole = tuple(item for item in found if item is not None)
    return whole if len(whole) == len(found) else None


def page_of(
    read: Callable[[JsonObject], T | None], items: str = "items", following: Sequence[str] = ("next_page_token",)
) -> Read[T]:
    """How a page is read that has its items and the token of the next one under these keys."""

    def read_page(result: Result) -> Page[T] | None:
        body = JsonObject(body_of(result))
        found, token = every(body.get(items), read), body.get(*following)
        is_told = token is None or isinstance(token, str)  # what names no page does not say that it is the last
        return (found, token or None) if found is not None and is_told else None

    return read_page


def message_of(response: Response) -> str:
    """CircleCI's own words in an answer, shortened; empty where there are none."""
    body = JsonObject(body_of(response, range(1000)))
    of_v3 = (words for key in ("title", "detail") if (words := body.text("error", key)))
    return shortened(body.text("message") or body.text("error") or ": ".join(of_v3), 500)


def shortened(text: str, most: int) -> str:
    """At most so many characters of a server's words, cut between two: half a token would not be masked."""
    return text if len(text) <= most else " ".join(text[: most + 1].split(" ")[:-1])


def fate_of(result: Result) -> Fate:
    """What is certain about an attempt: a 5xx or 408 may come after the work was done, a redirect says nothing."""
    if isinstance(result, Failure):
        return result.fate
    if result.status == 429:  # noqa: PLR2004
        return Fate.RATE_LIMITED
    is_clear = result.status // 100 in (2, 4) and result.status != 408  # noqa: PLR2004
    return Fate.ANSWERED if is_clear else Fate.UNKNOWN


def retry_after(result: Result, now: datetime) -> float | None:
    """Seconds that the server asks to wait, from Retry-After as a number or a date; None where it does not."""
    text = result.headers.get("retry-after", "").strip() if isinstance(result, Response) else ""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    date = server_time(result, "retry-after")
    # a date is by the server's clock, which this machine's need not agree with
    return None if date is None else max(0.0, (date - (server_time(result) or now)).total_seconds())


def server_time(result: Result, header: str = "date") -> datetime | None:
    """What the server's clock says, or another header with a date (in whole seconds); None where it does not."""
    text = result.headers.get(header) if isinstance(result, Response) else None
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - few answers name a date

    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    # with a time that is centuries away, which no server means, arithmetic can overflow
    return date.replace(tzinfo=date.tzinfo or timezone.utc) if 2000 <= date.year < 2200 else None  # noqa: PLR2004
