"""Fakes that behave: a clock that sleeping moves on, transports with a script, a console, and all services at once."""

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest
from builds import KEY, OTHER_KEY, PIPELINE, SHA

from deploystep.app.options import Options
from deploystep.app.ports import Head
from deploystep.circleci.client import Client
from deploystep.circleci.http import Failure, Request, Response
from deploystep.core.build import Branch, BuildContext, Tag
from deploystep.core.deploy import TriggerSpec
from deploystep.core.errors import EnvironmentInvalid, ToolError
from deploystep.core.facts import Answered, Question
from deploystep.core.retry import Fate
from deploystep.core.rules import Given
from deploystep.core.secret import Address, read_address
from deploystep.core.source import SourceFile

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

    @property
    def waited(self) -> float:
        return sum(self.slept)


def answer(status: int, body: object = None, **headers: str) -> Response:
    """One answer; `body` becomes JSON unless it is bytes, `retry_after` becomes the header `retry-after`."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


#: The build's own pipeline, made by a push.
OWN_PIPELINE = answer(200, {"id": PIPELINE, "number": 24, "state": "created", "trigger": {"type": "webhook"}})

#: What happens to one request: it is answered, it fails, somebody interrupts, or it depends on the request.
Event: TypeAlias = Response | Failure | BaseException | Callable[[Request], "Response | Failure"]


class _Transport:
    """Notes what is sent."""

    host = HOST

    def __init__(self) -> None:
        self.sent: list[Request] = []

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.sent]

    def count(self, end: str) -> int:
        return sum(path.endswith(end) for path in self.paths)


def _happens(event: Event, request: Request) -> Response | Failure:
    if isinstance(event, BaseException):
        raise event
    return event(request) if callable(event) else event


class ScriptedTransport(_Transport):
    """Answers requests from a script, in order; a request beyond its end fails the test.

    With `earlier`, lists of runs are answered by that and are not part of the script. Nor is then the build's own
    pipeline, but for the first look where it is asked for the project.
    """

    def __init__(
        self, events: Iterable[Event] = (), earlier: Response | None = None, *, asks_project: bool = False
    ) -> None:
        super().__init__()
        self._left, self._earlier, self._asks_project = list(events), earlier, asks_project

    def send(self, request: Request) -> Response | Failure:
        if self._earlier is not None and request.method == "GET" and request.path.endswith(("/pipeline", "/tree/main")):
            return self._earlier
        if self._earlier is not None and request.path == OWN_PATH and not (self._asks_project and not self.sent):
            return OWN_PIPELINE
        self.sent.append(request)
        assert self._left, f"nothing was scripted for {request.method} {request.path}"
        return _happens(self._left.pop(0), request)

    @property
    def is_used_up(self) -> bool:
        return not self._left


class RoutedTransport(_Transport):
    """Answers by what is asked: the longest end of `METHOD path` that fits; the last of several answers stays.

    By default every job ran, and no configuration holds a deploy key.
    """

    def __init__(self, routes: Mapping[str, Event | list[Event]]) -> None:
        super().__init__()
        usual: dict[str, Event | list[Event]] = {"GET /job": NO_RUNS, "GET /config": config("version: 2")}
        self._routes = {end: list(e) if isinstance(e, list) else [e] for end, e in {**usual, **routes}.items()}

    def send(self, request: Request) -> Response | Failure:
        self.sent.append(request)
        asked = self.paths[-1]
        fitting = [e for e in self._routes if asked.startswith(e.split(" ")[0]) and asked.endswith(e.split(" ")[1])]
        if not fitting and request.path == OWN_PATH:
            self.sent.pop()  # of a push, as most are
            return OWN_PIPELINE
        assert fitting, f"nothing was scripted for {asked}"
        events = self._routes[max(fitting, key=len)]
        return _happens(events.pop(0) if len(events) > 1 else events[0], request)


@dataclass
class RecordingConsole:
    """Knows by its clock when each line was written, in seconds since that began."""

    clock: FakeClock = field(default_factory=FakeClock)
    infos: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def info(self, text: str) -> None:
        self.times.append(self.clock.monotonic())
        self.infos.append(text)

    def detail(self, text: str) -> None:
        """Nothing: what is sent is looked at where it is sent."""

    def alive(self, text: str) -> None:
        self.info(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    @property
    def longest_silence(self) -> float:
        """In seconds, from the beginning until now."""
        moments = [0.0, *self.times, self.clock.monotonic()]
        return max(later - earlier for earlier, later in itertools.pairwise(moments))


@dataclass
class FakeRemote:
    """An `origin` that shows a head for each look, the last one from then on; `newer` are known to be after ours."""

    heads: Sequence[str | Head | None]
    newer: frozenset[str] = frozenset()
    asked: list[Branch | Tag] = field(default_factory=list)

    def head(self, ref: Branch | Tag) -> Head:
        self.asked.append(ref)
        head = self.heads[min(len(self.asked), len(self.heads)) - 1]
        return head if isinstance(head, Head) else Head(head)

    def contains(self, revision: str, other: str) -> bool:
        assert other, "what is not there is not compared"
        return revision in self.newer

    def is_skipped(self, _revision: str) -> bool:
        return False


def nobody_asks(question: Question) -> Answered:
    raise AssertionError(f"nobody should have asked {question}")


@dataclass
class FakeServices:
    """All that a command may use; what a test does not name is there and harmless. `reads` counts rule file reads."""

    transport: Any
    environ: Mapping[str, str]
    rules: str = ""
    options: Options = field(default_factory=lambda: Options("run"))
    has_token: bool = True
    answers: Callable[[Question], Answered] = nobody_asks
    remote: FakeRemote | None = None
    given: Given | None = None
    committed: datetime | None = None
    default_branch: str | None = "main"
    other_node: str = ""
    token_name: str = "CIRCLE_TOKEN"
    reads: int = 0

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.console = RecordingConsole(self.clock)
        self.can_ask = self.has_token and self.options.acts
        self.address: Address = read_address(self.transport.host)
        self._client = Client(self.transport, self.clock, self.console)

    @property
    def build(self) -> BuildContext:
        return self.given.build if self.given else BuildContext.from_environ(self.environ)

    @property
    def source(self) -> SourceFile:
        self.reads += 1
        return SourceFile(".circleci/deploy.yml", self.rules)

    def executable(self, program: str) -> str:
        return f"/bin/{program}"

    def now(self, zone: tzinfo) -> datetime | None:
        return self.clock.now().astimezone(zone)

    def history(self, default_branch: str | None = None, refs: frozenset[str] | None = None) -> Any:
        """The clone: it answers every question by `answers`."""
        self.refs = refs
        branch, committed = default_branch or self.default_branch, self.committed
        return SimpleNamespace(answer=self.answers, committed_at=lambda: committed, default_branch=branch)

    def client(self, _specs: tuple[TriggerSpec, ...] = ()) -> Client:
        if not self.has_token:
            raise EnvironmentInvalid("no-token", "there is no API token", "set CIRCLE_TOKEN")
        return self._client


#: A list of which there is nothing: no run, and no job that did not run.
NO_RUNS = answer(200, {"items": [], "next_page_token": None})


def config(compiled: str, **more: str) -> Response:
    """A pipeline's configuration; its compiled text is empty until it has been compiled."""
    return answer(200, {"source": "version: 2.1", "compiled": compiled, **more})


#: Configurations: with the key of a deploy, with that of another, with none, and one that has not been compiled.
MINE, FOREIGN, NONE, NOT_YET = config(f"k: {KEY}"), config(f"k: {OTHER_KEY}"), config("version: 2"), config("")


def v1_job(number: int = 31, **more: Any) -> dict[str, Any]:
    """A job of this commit as API v1.1 shows it."""
    usual = {"branch": "main", "vcs_revision": SHA, "why": "api", "job_name": "deploy", "status": "running"}
    return {"build_num": number, **usual, **more}


def refused_connection() -> Failure:
    return Failure(Fate.NOT_RECEIVED, "connection refused")


def lost() -> Failure:
    return Failure(Fate.UNKNOWN, "the connection was closed before an answer")


def client(transport: Any, clock: FakeClock | None = None, console: RecordingConsole | None = None) -> Client:
    return Client(transport, clock or FakeClock(), console or RecordingConsole())


def failure(act: Callable[[], object], kind: type[ToolError], code: str) -> ToolError:
    """What it ends with: an error of that kind, with that code, and with a next step."""
    with pytest.raises(kind) as caught:
        act()
    assert (caught.value.code, bool(caught.value.hints)) == (code, True)
    return caught.value
