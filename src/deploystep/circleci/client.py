"""Sends requests, and sends them again only as `core.retry` allows. The only place that calls `Transport.send`."""

from collections.abc import Callable
from datetime import datetime
from math import inf
from operator import attrgetter
from typing import Final, Protocol, TypeAlias, TypeVar

from deploystep.circleci import http
from deploystep.circleci.http import Ask, Failure, Read, Request, Response, Result, Transport
from deploystep.core.frozen import Frozen
from deploystep.core.retry import ATTEMPTS, Fate, next_step
from deploystep.core.runs import Run

T = TypeVar("T")
#: Whether a list of runs, in the order in which CircleCI gave them, goes back far enough.
Enough: TypeAlias = Callable[[tuple[Run, ...]], bool]
#: Items, whether they are whole, and when the first were listed.
Listed: TypeAlias = tuple[tuple[T, ...], bool, datetime | None]
MOST_PAGES: Final = 50


class Clock(Protocol):
    """Tells the time and lets it pass."""

    def now(self) -> datetime: ...  # with its zone; it may be set while the step runs
    def monotonic(self) -> float: ...  # seconds
    def sleep(self, seconds: float) -> None: ...
    def chance(self) -> float: ...  # from 0 up to 1, by which the waits of many builds spread


class Console(Protocol):
    """Takes what happens on the way, for people; a line each."""

    def info(self, text: str) -> None: ...  # worth a line
    def detail(self, text: str) -> None: ...  # for who wants to know each step
    def alive(self, text: str) -> None: ...  # a sign of life while nothing happens
    def warning(self, text: str) -> None: ...  # may need attention, though the command goes on


class Recent(Frozen):
    """Runs, newest first; where one does not tell its time, as they were listed."""

    runs: tuple[Run, ...]
    is_whole: bool  # the list ended, or went as far back as was wanted
    moment: datetime | None  # when the newest were listed, by the server's clock; None where it does not tell


class Client:
    """Talks to one CircleCI host. A read that the server asked to postpone is not sent before its time."""

    def __init__(self, transport: Transport, clock: Clock, console: Console, attempts: int = ATTEMPTS) -> None:
        self.clock, self.console, self.host = clock, console, transport.host
        #: When the wait that this is for is over, in monotonic time: after that nothing is sent again.
        self.until = inf
        self._transport, self._attempts = transport, attempts
        self._limited: dict[str, tuple[Result, float]] = {}  # path: the 429, and until when (monotonic time)

    def send(self, request: Request, on_attempt: Callable[[Result | None], None] = lambda _: None) -> Result:
        """The last attempt's result; `on_attempt` gets None before each attempt leaves, and its result after it."""
        limit, until = self._limited.get(request.path, (None, 0.0))
        if limit is not None and request.method == "GET" and self.clock.monotonic() < until:
            return limit
        attempt = 1
        while True:
            on_attempt(None)
            result = self._transport.send(request)
            on_attempt(result)
            said = f"{result.status}" if isinstance(result, Response) else f"no answer ({result.reason})"
            self.console.detail(f"{request.method} {self.host}{request.path}: {said}")
            fate, asked = http.fate_of(result), http.retry_after(result, self.clock.now())
            wait = next_step(request.repeat, fate, attempt, self._attempts, asked)
            if wait is None or self.clock.monotonic() + wait > self.until:
                break
            what = "was not reached" if isinstance(result, Failure) else "answered"
            said += ", too many requests" * (fate is Fate.RATE_LIMITED)
            self.console.info(f"CircleCI {what} {said.removeprefix('no answer ')}; trying again in {wait:.0f} s")
            self.clock.sleep(wait * (1 + self.clock.chance() / 4))  # many builds must not come back at once
            attempt += 1
        if fate is Fate.RATE_LIMITED and asked and request.method == "GET":
            self._limited[request.path] = result, self.clock.monotonic() + asked
        if isinstance(result, Response) and not {"deprecation", "sunset"}.isdisjoint(result.headers):
            day = http.shortened(result.headers.get("sunset", "it does not say when"), 80)  # RFC 9745, RFC 8594
            self.console.warning(f"CircleCI removes this endpoint ({day}): see docs/migrating.md")
        return result

    def get(self, path: str, **query: str) -> Result:
        """Read something; repeated freely."""
        return self.send(http.reading(path, **query))

    def pages(self, ask: Ask, read: Read[T]) -> tuple[T, ...] | None:
        """The items of all pages; None where one cannot be read, or none is the last: that is not the same as none."""
        found = self._listed(ask, read, lambda _: False)
        return found[0] if isinstance(found, tuple) and found[1] else None

    def runs(self, ask: Ask, read: Read[Run], enough: Enough) -> Recent | Result:
        """Read pages until the list ends or there is `enough`; where a page cannot be read, what came instead of it."""
        found = self._listed(ask, read, enough)
        if not isinstance(found, tuple):
            return found
        runs = tuple({run.id: run for run in found[0]}.values())  # a list that grows meanwhile names some twice
        if all(run.created is not None for run in runs):
            runs = tuple(sorted(runs, key=attrgetter("created"), reverse=True))
        return Recent(runs, *found[1:])

    def _listed(self, ask: Ask, read: Read[T], enough: Callable[[tuple[T, ...]], bool]) -> Listed[T] | Result:
        found: tuple[T, ...] = ()
        moment, token, tokens = None, "", {""}
        while len(tokens) <= MOST_PAGES:
            result = self.send(ask(token))
            page = read(result)
            if page is None:
                return result
            found, moment, following = found + page[0], moment or http.server_time(result), page[1]
            if following is None or enough(found):
                return found, True, moment
            if following in tokens:  # it goes in a circle
                break
            tokens.add(token := following)
        return found, False, moment
