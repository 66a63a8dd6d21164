"""One run of the step in a build: its outside is the world's, and time is virtual."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from builds import environ, oidc
from simulation.trouble import PUSHED, REFUSED, aimed

from deploystep.app.ports import Head
from deploystep.app.report import Report
from deploystep.app.run import gate, run
from deploystep.circleci.client import Client
from deploystep.circleci.http import Failure, Request, Response, fate_of
from deploystep.core.build import Branch, BuildContext, Tag
from deploystep.core.errors import Interrupted, ToolError
from deploystep.core.retry import Fate, Repeat
from deploystep.core.secret import read_address

if TYPE_CHECKING:
    from simulation.schedule import Build, Visit
    from simulation.world import World

    from deploystep.core.deploy import TriggerSpec
    from deploystep.core.facts import Answered, Question
    from deploystep.sandbox import Reply

START = datetime(2026, 6, 16, 8, 2, 11, tzinfo=timezone.utc)
HEADERS = {"Authorization": "Bearer token", "Content-Type": "application/json", "Accept": "application/json"}
READ_TIMEOUT, TRIGGER_TIMEOUT = 60.0, 120.0
LATE = ("late:", "create-late:")


class Killed(BaseException):
    """The machine is gone: whatever the step was doing, it does not go on."""


@dataclass(eq=False)
class Post:
    """One trigger that a step sent: what became of it in truth. `run` is the id of what it created."""

    step: Step
    rule: str
    at: float
    looked_at: float
    result: Response | Failure | None = None
    run: str | None = None
    created_at: float = 0.0

    @property
    def fate(self) -> Fate:
        """What the step may take for certain."""
        return Fate.UNKNOWN if self.result is None else fate_of(self.result)


class Look(NamedTuple):
    """One look at the branch or tag: what the host showed (None: nothing), and where it truly was."""

    seen: str | None
    truth: str | None
    at: float


@dataclass(eq=False)
class Step:
    """What a step is, and what it left behind: `report` is None where it was killed.

    It is its own clock and console, sees the repository, and is the way to CircleCI.
    """

    world: World
    build: Build
    visit: Visit
    number: int
    job: int
    began: float
    ended: float | None = None
    report: Report | None = None
    said: list[str] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    faults: int = 0
    executed: int = 0
    looked_at: float = -1.0

    def __post_init__(self) -> None:
        self.dice, self.time, self.push = self.world.dice, self.world.time, self.build.push
        self.revision, self.options = self.push.commit.sha, self.visit.options
        self.name = f"step {self.number} ({self.push.ref} {self.revision[:7]})"
        self.running = Report(self.options.command, is_dry=self.options.is_dry)
        self.fuse, self.skew = self.visit.fuse, self.visit.clock
        self.moments = 0
        self.trigger_at: int | None = None

    def live_through(self) -> None:
        self.report = self.running
        try:
            if self.options.command == "gate":
                gate(self.options, SimulatedServices(self), self.running)
                self.rest()
                if self.running.to_execute:
                    self.world.judge.executing(self.world, self)
            else:
                run(self.options, SimulatedServices(self), self.running)
        except ToolError as error:
            self.report.fail(error)
        except Interrupted as signalled:
            self.report.exit = signalled.exit
        except Killed:
            self.report = None
        self.world.ended(self)

    # Where it may end

    def rest(self, seconds: float | None = None) -> None:
        """Let time pass, or none; something may end the step in the middle."""
        self.moments += 1
        fuse, error = self.fuse, None
        since = self.trigger_at if fuse is not None and fuse.from_trigger else 0
        if fuse is not None and since is not None and self.moments - since > fuse.after:
            self.fuse = None
            self.world.note(f"{self.name}: {'killed' if fuse.signal is None else fuse.signal.label}")
            self.running.signalled = fuse.signal
            error = Killed() if fuse.signal is None else Interrupted(fuse.signal)
        if seconds is not None:
            self.time.pause(seconds if error is None else seconds * self.dice.random())
        if error is not None:
            raise error

    # The clock and the console

    def now(self) -> datetime:
        return START + timedelta(seconds=self.time.now + self.skew)

    def monotonic(self) -> float:
        return self.time.now + 12345.0

    def chance(self) -> float:
        return self.dice.random()

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        if self.dice.random() < self.world.schedule.rates.clock:
            self.skew += self.dice.choice((-3600.0, -5.0, 5.0, 3600.0))
        self.rest(seconds)

    def info(self, text: str) -> None:
        self.world.note(f"{self.name} says: {text}")
        self.said.append(text)
        self.rest()

    def detail(self, text: str) -> None:
        """Nothing: the world notes each request itself."""

    def alive(self, text: str) -> None:
        self.info(text)

    def warning(self, text: str) -> None:
        self.info(f"warning: {text}")

    # The repository

    def head(self, ref: Branch | Tag) -> Head:
        self.rest(self.dice.uniform(0.05, 1.0))
        is_silent = self.dice.random() < self.world.schedule.rates.git
        seen = None if is_silent else self.world.head(ref.name, self.time.now - self.world.schedule.git_lag)
        self.looks.append(Look(seen, self.world.head(ref.name, self.time.now), self.time.now))
        return Head(seen, "no answer within 30 s" if is_silent else "")

    def is_skipped(self, _revision: str) -> bool:
        """Whether CircleCI skips the commit: none says so."""
        return False

    def contains(self, revision: str, other: str) -> bool:
        """Whether it is so and is known: the commit may have to be fetched, and git may fail."""
        self.rest(0.1)
        if self.dice.random() < self.world.schedule.rates.git:
            self.faults += 1
            return False
        return self.world.contains(revision, other)

    # What `adapters.transport` makes of the way to CircleCI, without the way

    host = "https://circleci.com"

    def send(self, request: Request) -> Response | Failure:
        post = self._posting(request)
        self.rest()
        fault = self.world.trouble(request)
        self.faults += fault is not None
        self.rest(self.dice.uniform(0.01, 0.3))
        result = self._result(request, fault, post)
        if post is not None:
            post.result = result
        came = result.reason if isinstance(result, Failure) else str(result.status)
        self.world.note(f"{self.name}: {request.method} {request.path}{f' [{fault}]' if fault else ''} -> {came}")
        self.rest()
        return result

    def _posting(self, request: Request) -> Post | None:
        """Note a trigger that is about to leave."""
        if request.repeat is not Repeat.ONLY_IF_NOT_RECEIVED:
            return None
        self.trigger_at = self.moments if self.trigger_at is None else self.trigger_at
        body: Any = request.body
        rule = str((body.get("parameters") or body["build_parameters"])["rule"])
        post = Post(self, rule, self.time.now, self.looked_at)
        self.world.judge.posting(self.world, post)
        self.posts.append(post)
        self.world.posts.append(post)
        return post

    def _result(self, request: Request, fault: str | None, post: Post | None) -> Response | Failure:
        if fault == REFUSED:
            return Failure(Fate.NOT_RECEIVED, "connection refused")
        ask = self._late if fault and fault.startswith(LATE) else self._ask
        reply = ask(request, fault, post)
        limit = READ_TIMEOUT if post is None else TRIGGER_TIMEOUT
        if reply is not None and reply.delay:
            self.rest(min(reply.delay, limit))
        if reply is None or reply.delay >= limit:
            return Failure(Fate.UNKNOWN, f"no answer within {limit:.0f} s")
        if reply.delivery != "whole":
            return Failure(Fate.UNKNOWN, f"of the answer came: {reply.delivery}")
        return Response(reply.status, {name.lower(): value for name, value in reply.headers}, reply.payload())

    def _ask(self, request: Request, fault: str | None, post: Post | None, client: Answering | None = None) -> Reply:
        world, client = self.world, client or Answering(self.world)
        if fault == PUSHED:
            world.push_another(self.push)
        elif fault is not None:
            world.sandbox.add_fault(aimed(fault, request.method, request.path))
        world.under_way[self.time.current] = post
        body = json.dumps(request.body).encode() if request.body is not None else b""
        reply = world.sandbox.respond(request.method, request.path, urlencode(request.query), HEADERS, body, client)
        world.under_way[self.time.current] = None
        world.sandbox.faults.clear()
        is_list = request.method == "GET" and (request.path.endswith("/pipeline") or "/tree/" in request.path)
        if is_list and not {"page-token", "offset"} & set(request.query) and reply.status == 200 and client.is_open:
            self.looked_at = self.time.now  # at the first page of a list of runs
        return reply

    def _late(self, request: Request, fault: str | None, post: Post | None) -> Reply | None:
        """The answer of a server that takes its time; None where it takes longer than anybody waits."""
        client, actor = Answering(self.world), self.time.current

        def connection() -> None:
            client.reply = self._ask(request, fault, post, client)
            if client.is_open:
                self.time.wake(actor, self.time.now)

        self.time.begin(self.time.now, f"connection of {self.name}", connection)
        try:
            self.rest(READ_TIMEOUT if post is None else TRIGGER_TIMEOUT)
        finally:
            client.is_open = False
        return client.reply


@dataclass
class Answering:
    world: World
    is_open: bool = True
    reply: Reply | None = None

    def __call__(self, seconds: float) -> bool:
        self.world.time.pause(seconds)
        return self.is_open


class SimulatedServices:
    given = None
    can_ask = True
    token_name = "CIRCLE_TOKEN"
    address = read_address(Step.host)

    def __init__(self, step: Step) -> None:
        self.clock = self.console = self.remote = step
        self.source = step.world.source
        self.build = _context(step)
        node = step.visit.node
        self.other_node = f"node {node} of {self.build.node.total}; node 0 decides" if node else ""
        self._client = Client(step, step, step)

    def executable(self, program: str) -> str:
        return program

    def now(self, zone: tzinfo) -> datetime:
        return self.clock.now().astimezone(zone)

    default_branch = "main"

    def history(self, _default_branch: str | None = None, _refs: frozenset[str] | None = None) -> SimulatedServices:
        return self

    def committed_at(self) -> datetime | None:
        commit, pushed = self.clock.push.commit, self.clock.world.pushed
        return None if commit.committed is None else START + timedelta(seconds=pushed[commit.sha] + commit.committed)

    def answer(self, question: Question) -> Answered:
        raise AssertionError(f"nobody should have asked {question}")

    def client(self, _specs: tuple[TriggerSpec, ...] = ()) -> Client:
        return self._client


def _context(step: Step) -> BuildContext:
    push, build = step.push, step.build
    return BuildContext.from_environ(
        environ(
            CIRCLE_NODE_TOTAL=str(len(build.nodes) + 1),
            CIRCLE_SHA1=step.revision,
            CIRCLE_BRANCH=None if push.is_tag else push.ref,
            CIRCLE_TAG=push.ref if push.is_tag else None,
            CIRCLE_BUILD_URL=f"{Step.host}/gh/acme/shop/{step.job}",
            CIRCLE_BUILD_NUM=str(step.job),
            CIRCLE_PIPELINE_ID=build.pipeline,
            CIRCLE_WORKFLOW_ID=build.pipeline,
            CIRCLE_OIDC_TOKEN=oidc(ssh_rerun=True) if step.visit.is_ssh else oidc(),
            REGION=step.visit.region,
        )
    )
