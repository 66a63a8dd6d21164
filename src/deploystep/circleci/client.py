"""Sends requests, and sends them again only as `core.retry` allows. The only place that calls `Transport.send`."""

from collections.abc import Callable, Iterator
from datetime import datetime
from math import inf
from typing import Final, Protocol, TypeAlias, TypeVar

from deploystep.circleci.http import (
    Failure,
    Page,
    Request,
    Response,
    Transport,
    fate_of,
    reading,
    retirement,
    retry_after,
    server_time,
)
from deploystep.core.frozen import dataclass
from deploystep.core.retry import DEFAULT, Fate, Policy, next_step
from deploystep.core.runs import Run, newest_first

T = TypeVar("T")
Attempt: TypeAlias = Callable[[Response | Failure | None], None]
#: Whether a list of runs, in the order in which CircleCI gave them, goes back far enough.
Enough: TypeAlias = Callable[[tuple[Run, ...]], bool]
#: How a page is read (None where it cannot be), and the request for the page that a token names.
Read: TypeAlias = Callable[[Response | Failure], Page[T] | None]
Following: TypeAlias = Callable[[Request, str], Request]

MOST_PAGES: Final = 50
_SPREAD: Final = 0.25  # a limit that met many builds at once must not meet them again at once


class Clock(Protocol):
    """Tells the time and lets it pass."""

    def now(self) -> datetime:
        """The time of day, with its zone; it may be set while the step runs."""

    def monotonic(self) -> float:
        """Monotonic time in seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait that long."""

    def chance(self) -> float:
        """A number from 0 up to 1, by which the waits of many builds spread."""


class Console(Protocol):
    """Takes what happens on the way, for people; a line each."""

    def info(self, text: str) -> None:
        """Something worth a line."""

    def detail(self, text: str) -> None:
        """Something for who wants to know each step."""

    def alive(self, text: str) -> None:
        """A sign of life while nothing happens."""

    def warning(self, text: str) -> None:
        """Something that may need attention, though the command goes on."""


@dataclass(frozen=True, slots=True)
class Recent:
    """Runs, newest first. `is_whole`: the list ended, or went as far back as was wanted.

    `moment` is the time by the server's clock when the newest of them were listed; None where it does not tell.
    """

    runs: tuple[Run, ...]
    is_whole: bool
    moment: datetime | None


class Client:
    """Talks to one CircleCI host. A read that the server asked to postpone is not sent before its time."""

    def __init__(self, transport: Transport, clock: Clock, console: Console, policy: Policy = DEFAULT) -> None:
        self.clock = clock
        self.console = console
        #: When the wait that this is for is over, in monotonic time: after that nothing is sent again.
        self.until = inf
        self._transport = transport
        self._policy = policy
        self._limited: dict[str, tuple[Response, float]] = {}  # path: the 429, and until when (monotonic time)

    @property
    def host(self) -> str:
        """The address that requests go to, without a trailing slash."""
        return self._transport.host

    def send(self, request: Request, on_attempt: Attempt | None = None) -> Response | Failure:
        """The last attempt's result: an answer, or what is certain about why there is none.

        `on_attempt` is called with None right before each attempt leaves, and with its result right after it ended.
        """
        limit, until = self._limited.get(request.path, (None, 0.0))
        if limit is not None and request.method == "GET" and self.clock.monotonic() < until:
            return limit
        tell = on_attempt or (lambda _: None)
        attempt = 1
        while True:
            tell(None)
            result = self._transport.send(request)
            tell(result)
            answer = result.status if isinstance(result, Response) else f"no answer ({result.reason})"
            self.console.detail(f"{request.method} {self.host}{request.path}: {answer}")
            asked_wait = retry_after(result, self.clock.now())
            wait = next_step(self._policy, request.repeat, attempt, fate_of(result), asked_wait)
            if wait is None or self.clock.monotonic() + wait > self.until:
                self._note(request, result, asked_wait)
                return result
            self.console.info(f"{_why(result)}; trying again in {wait:.0f} s")
            self.clock.sleep(wait * (1 + _SPREAD * self.clock.chance()))
            attempt += 1

    def _note(self, request: Request, result: Response | Failure, asked_wait: float | None) -> None:
        """Remember a limit, and tell that an endpoint is going to end."""
        if isinstance(result, Failure):
            return
        if fate_of(result) is Fate.RATE_LIMITED and asked_wait is not None and request.method == "GET":
            self._limited[request.path] = (result, self.clock.monotonic() + asked_wait)
        ending = retirement(result)
        if ending is not None:
            self.console.warning(f"{ending}: see docs/migrating.md")

    def get(self, path: str, **query: str) -> Response | Failure:
        """Read something; repeated freely."""
        return self.send(reading(path, **query))

    def pages(self, first: Request, read: Read[T], following: Following) -> tuple[T, ...] | None:
        """The items of all pages; None where one of them cannot be read, which is not the same as having none."""
        found: tuple[T, ...] = ()
        for _, page in self._each(first, read, following):
            if page is None:
                return None
            found += page.items
            if page.following is None:
                return found
        return None  # a list that was not read to its end is not believed

    def runs(
        self, first: Request, read: Read[Run], following: Following, enough: Enough
    ) -> Recent | Response | Failure:
        """Read pages until the list ends or there is `enough`; where a page cannot be read, what came instead of it."""
        found: tuple[Run, ...] = ()
        moment: datetime | None = None
        for result, page in self._each(first, read, following):
            if page is None:
                return result
            moment = moment or server_time(result)
            found += page.items
            if page.following is None or enough(found):
                return Recent(newest_first(found), is_whole=True, moment=moment)
        return Recent(newest_first(found), is_whole=False, moment=moment)

    def _each(
        self, first: Request, read: Read[T], following: Following
    ) -> Iterator[tuple[Response | Failure, Page[T] | None]]:
        """Each page as it came and as it was read, up to one that cannot be read, names none or names one again."""
        request, tokens = first, set[str]()
        for _ in range(MOST_PAGES):
            result = self.send(request)
            page = read(result)
            yield result, page
            if page is None or page.following is None or page.following in tokens:
                return
            tokens.add(page.following)
            request = following(first, page.following)


def _why(result: Response | Failure) -> str:
    if isinstance(result, Failure):
        return f"CircleCI was not reached ({result.reason})"
    limited = ", too many requests" if fate_of(result) is Fate.RATE_LIMITED else ""
    return f"CircleCI answered {result.status}{limited}"
