"""Fakes that behave: a clock that sleeping moves on, transports with a script, a console, and all services at once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, TypeAlias

from builds import PIPELINE

from deploystep.app.options import Options
from deploystep.circleci.client import Client
from deploystep.circleci.http import Failure, Request, Response
from deploystep.core.build import Branch, BuildContext, Tag
from deploystep.core.errors import EnvironmentInvalid
from deploystep.core.retry import Fate
from deploystep.core.secret import Address, read_address
from deploystep.core.source import SourceFile

if TYPE_CHECKING:
    from deploystep.app.ports import Head
    from deploystep.core.deploy import TriggerSpec
    from deploystep.core.facts import Answered, Question
    from deploystep.core.rules import Given

START = datetime(2026, 6, 16, 8, 2, 11, tzinfo=timezone.utc)
HOST = "https://circleci.com"
OWN_PATH = f"/api/v2/pipeline/{PIPELINE}"


@dataclass
class FakeClock:
    """Time stands still until somebody sleeps; `slept` holds every wait, in seconds. `luck` is what chance gives."""

    moment: datetime = START
    slept: list[float] = field(default_factory=list)
    luck: float = 0.0

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return (self.moment - START).total_seconds()

    def chance(self) -> float:
        return self.luck

    def sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self.slept.append(seconds)
        self.moment += timedelta(seconds=seconds)


def answer(status: int, body: object = None, **headers: str) -> Response:
    """One answer; `body` becomes JSON unless it is bytes, `retry_after` becomes the header `retry-after`."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


#: The build's own pipeline, made by a push.
OWN_PIPELINE = answer(200, {"id": PIPELINE, "number": 24, "state": "created", "trigger": {"type": "webhook"}})

#: What happens to one request: it is answered, it fails, somebody interrupts, or it depends on the request.
Event: TypeAlias = Response | Failure | BaseException | Callable[[Request], "Response | Failure"]


class ScriptedTransport:
    """Answers requests from a script, in order; a request beyond its end fails the test.

    With `earlier`, lists of runs are answered by that and are not part of the script: `listed` counts them. Nor is then
    the build's own pipeline, but for the first look where it is asked for the project.
    """

    def __init__(
        self,
        events: Iterable[Event] = (),
        host: str = HOST,
        earlier: Response | None = None,
        *,
        asks_project: bool = False,
    ) -> None:
        self.host = host
        self.sent: list[Request] = []
        self.listed = 0
        self._earlier = earlier
        self._asks_project = asks_project
        self._left = list(events)

    def send(self, request: Request) -> Response | Failure:
        if self._earlier is not None and request.method == "GET" and request.path.endswith(("/pipeline", "/tree/main")):
            self.listed += 1
            return self._earlier
        if self._earlier is not None and request.path == OWN_PATH and not (self._asks_project and not self.sent):
            return OWN_PIPELINE
        self.sent.append(request)
        assert self._left, f"nothing was scripted for {request.method} {request.path}"
        event = self._left.pop(0)
        if isinstance(event, BaseException):
            raise event
        return event(request) if callable(event) else event

    @property
    def is_used_up(self) -> bool:
        return not self._left

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.sent]


class RoutedTransport:
    """Answers by what is asked: the longest end of `METHOD path` that fits; the last of several answers stays.

    By default every job ran, and no configuration holds a deploy key.
    """

    def __init__(self, routes: Mapping[str, Event | list[Event]], host: str = HOST) -> None:
        self.host = host
        self.sent: list[Request] = []
        usual: dict[str, Event | list[Event]] = {"GET /job": NO_JOBS, "GET /config": config("version: 2")}
        self._routes = {end: list(e) if isinstance(e, list) else [e] for end, e in {**usual, **routes}.items()}

    def send(self, request: Request) -> Response | Failure:
        self.sent.append(request)
        asked = f"{request.method} {request.path}"
        fitting = [e for e in self._routes if asked.startswith(e.split(" ")[0]) and asked.endswith(e.split(" ")[1])]
        if not fitting and request.path == OWN_PATH:
            self.sent.pop()  # of a push, as most are
            return OWN_PIPELINE
        assert fitting, f"nothing was scripted for {asked}"
        events = self._routes[max(fitting, key=len)]
        event = events.pop(0) if len(events) > 1 else events[0]
        if isinstance(event, BaseException):
            raise event
        return event(request) if callable(event) else event

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.sent]

    def count(self, end: str) -> int:
        return sum(f"{r.method} {r.path}".endswith(end) for r in self.sent)


@dataclass
class RecordingConsole:
    infos: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def info(self, text: str) -> None:
        self.infos.append(text)

    def detail(self, text: str) -> None:
        """Nothing: what is sent is looked at where it is sent."""

    def alive(self, text: str) -> None:
        self.info(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@dataclass
class TimedConsole(RecordingConsole):
    """Also knows when each line was written, in seconds since the clock began."""

    clock: FakeClock = field(default_factory=FakeClock)
    times: list[float] = field(default_factory=list)

    def info(self, text: str) -> None:
        self.times.append(self.clock.monotonic())
        super().info(text)

    @property
    def longest_silence(self) -> float:
        """In seconds, from the beginning until now."""
        moments = [0.0, *self.times, self.clock.monotonic()]
        return max(later - earlier for earlier, later in itertools.pairwise(moments))


@dataclass
class FakeRemote:
    """An `origin` that shows a head for each look, the last one from then on; `newer` are known to be after ours."""

    heads: list[Head]
    newer: frozenset[str] = frozenset()
    looks: int = 0
    skipped: str | None = None

    def head(self, _ref: Branch | Tag) -> Head:
        self.looks += 1
        return self.heads[min(self.looks, len(self.heads)) - 1]

    def contains(self, revision: str, _other: str) -> bool:
        return revision in self.newer

    def is_skipped(self, revision: str) -> bool:
        return revision == self.skipped


def nobody_asks(question: Question) -> Answered:
    raise AssertionError(f"nobody should have asked {question}")


@dataclass
class FakeHistory:
    """The clone: answers every question by `answers`."""

    answers: Callable[[Question], Answered] = nobody_asks
    committed: datetime | None = None
    default_branch: str | None = "main"

    def committed_at(self) -> datetime | None:
        return self.committed

    def answer(self, question: Question) -> Answered:
        return self.answers(question)


class FakeServices:
    """All that a command may use; what a test does not name is there and harmless. `reads` counts rule file reads."""

    def __init__(  # noqa: PLR0913 - each is one thing that a test may replace
        self,
        transport: Any,
        *,
        environ: Mapping[str, str],
        rules: str = "",
        options: Options | None = None,
        has_token: bool = True,
        answers: Callable[[Question], Answered] = nobody_asks,
        remote: FakeRemote | None = None,
        given: Given | None = None,
        committed: datetime | None = None,
    ) -> None:
        self.options = options or Options("run")
        self.clock, self.console = FakeClock(), RecordingConsole()
        self.given = given
        self.can_ask = has_token and self.options.acts
        self.other_node = ""
        self.address: Address = read_address(transport.host)
        self.token_name = "CIRCLE_TOKEN"
        self.remote = remote
        self.default_branch: str | None = "main"
        self.reads = 0
        self._has_token = has_token
        self._environ = environ
        self._rules = rules
        self._history = FakeHistory(answers, committed)
        self._client = Client(transport, self.clock, self.console)

    @property
    def build(self) -> BuildContext:
        return self.given.build if self.given else BuildContext.from_environ(self._environ)

    @property
    def source(self) -> SourceFile:
        self.reads += 1
        return SourceFile(".circleci/deploy.yml", self._rules)

    def executable(self, program: str) -> str:
        return f"/bin/{program}"

    def now(self, zone: tzinfo) -> datetime | None:
        return self.clock.now().astimezone(zone)

    def history(self, default_branch: str | None = None, refs: frozenset[str] | None = None) -> FakeHistory:
        self.refs = refs
        return replace(self._history, default_branch=default_branch or self.default_branch)

    def client(self, _specs: tuple[TriggerSpec, ...] = ()) -> Client:
        if not self._has_token:
            raise EnvironmentInvalid("no-token", "there is no API token", "set CIRCLE_TOKEN")
        return self._client


#: A list of runs that there are none of.
NO_RUNS = answer(200, {"items": [], "next_page_token": None})


#: The jobs of a workflow, all of which ran.
NO_JOBS = NO_RUNS


def config(compiled: str, **more: str) -> Response:
    """A pipeline's configuration; its compiled text is empty until it has been compiled."""
    return answer(200, {"source": "version: 2.1", "compiled": compiled, **more})


def refused_connection() -> Failure:
    return Failure(Fate.NOT_RECEIVED, "connection refused")


def lost() -> Failure:
    return Failure(Fate.UNKNOWN, "the connection was closed before an answer")


def client(transport: Any, clock: FakeClock | None = None, console: RecordingConsole | None = None) -> Client:
    return Client(transport, clock or FakeClock(), console or RecordingConsole())
