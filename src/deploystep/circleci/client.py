"""Sends requests, and sends them again only as `core.retry` allows. The only place that calls `Transport.send`."""

from collections.abc import Callable
from datetime import datetime
from math import inf
from typing import Final, Protocol, TypeAlias, TypeVar

from deploystep.circleci import http
from deploystep.circleci.http import Ask, Failure, Read, Request, Response, Result, Transport
from deploystep.core.frozen import dataclass
from deploystep.core.retry import DEFAULT, Fate, Policy, next_step
from deploystep.core.runs import Run, newest_first

T = TypeVar("T")
Attempt: TypeAlias = Callable[[Result | None], None]
#: Whether a list of runs, in the order in which CircleCI gave them, goes back far enough.
Enough: TypeAlias = Callable[[tuple[Run, ...]], bool]

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
        self.clock, self.console = clock, console
        self.host = transport.host
        #: When the wait that this is for is over, in monotonic time: after that nothing is sent again.
        self.until = inf
        self._transport, self._policy = transport, policy
        self._limited: dict[str, tuple[Response, float]] = {}  # path: the 429, and until when (monotonic time)

    def send(self, request: Request, on_attempt: Attempt = lambda _: None) -> Result:
        """The last attempt's result: an answer, or what is certain about why there is none.

        `on_attempt` is called with None right before each attempt leaves, and with its result right after it ended.
        """
        is_read = request.method == "GET"
        limit, until = self._limited.get(request.path, (None, 0.0))
        if limit is not None and is_read and self.clock.monotonic() < until:
            return limit
        attempt = 1
        while True:
            on_attempt(None)
            result = self._transport.send(request)
            on_attempt(result)
            said = f"{result.status}" if isinstance(result, Response) else f"no answer ({result.reason})"
            self.console.detail(f"{request.method} {self.host}{request.path}: {said}")
            fate, asked_wait = http.fate_of(result), http.retry_after(result, self.clock.now())
            wait = next_step(self._policy, request.repeat, attempt, fate, asked_wait)
            if wait is None or self.clock.monotonic() + wait > self.until:
                break
            what = "was not reached" if isinstance(result, Failure) else "answered"
            said += ", too many requests" * (fate is Fate.RATE_LIMITED)
            self.console.info(f"CircleCI {what} {said.removeprefix('no answer ')}; trying again in {wait:.0f} s")
            self.clock.sleep(wait * (1 + _SPREAD * self.clock.chance()))
            attempt += 1
        if isinstance(result, Response):
            if fate is Fate.RATE_LIMITED and asked_wait is not None and is_read:
                self._limited[request.path] = (result, self.clock.monotonic() + asked_wait)
            if not {"deprecation", "sunset"}.isdisjoint(result.headers):  # RFC 9745, RFC 8594
                day = http.shortened(result.headers.get("sunset", "it does not say when"), 80)
                self.console.warning(f"CircleCI removes this endpoint ({day}): see docs/migrating.md")
        return result

    def get(self, path: str, **query: str) -> Result:
        """Read something; repeated freely."""
        return self.send(http.reading(path, **query))

    def pages(self, ask: Ask, read: Read[T]) -> tuple[T, ...] | None:
        """The items of all pages; None where one of them cannot be read, which is not the same as having none.

        A list that was not read to its end is not believed.
        """
        found, is_whole, _ = self._all(ask, read, lambda _: False)
        return found if is_whole and isinstance(found, tuple) else None

    def runs(self, ask: Ask, read: Read[Run], enough: Enough) -> Recent | Result:
        """Read pages until the list ends or there is `enough`; where a page cannot be read, what came instead of it."""
        found, is_whole, moment = self._all(ask, read, enough)
        return Recent(newest_first(found), is_whole, moment) if isinstance(found, tuple) else found

    def _all(
        self, ask: Ask, read: Read[T], enough: Callable[[tuple[T, ...]], bool]
    ) -> tuple[tuple[T, ...] | Result, bool, datetime | None]:
        """The items or the answer that could not be read, whether they are whole, and when the first were listed."""
        found: tuple[T, ...] = ()
        moment, token, tokens = None, "", {""}
        while len(tokens) <= MOST_PAGES:
            result = self.send(ask(token))
            page = read(result)
            if page is None:
                return result, False, None
            (items, following), moment = page, moment or http.server_time(result)
            found += items
            if following is None or enough(found):
                return found, True, moment
            if following in tokens:  # it goes in a circle
                break
            tokens.add(token := following)
        return found, False, moment
