"""One run of the step in a build: its outside is the world's, and time is virtual."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from builds import environ, oidc
from fakes import FakeServices
from simulation.trouble import PUSHED, REFUSED

from deploystep.app.ports import Head
from deploystep.app.report import Report
from deploystep.app.run import gate, run
from deploystep.circleci.client import Client
from deploystep.circleci.http import Failure, Request, Response, fate_of
from deploystep.core.errors import Interrupted, ToolError
from deploystep.core.retry import Fate, Repeat
from deploystep.sandbox import parse_fault

if TYPE_CHECKING:
    from simulation.schedule import Build, RuleSketch
    from simulation.world import World

    from deploystep.core.build import Branch, Tag
    from deploystep.sandbox import Reply, WorkflowRun
    from deploystep.sandbox import Run as CreatedRun

START = datetime(2026, 6, 16, 8, 2, 11, tzinfo=timezone.utc)
HEADERS = {"Authorization": "Bearer token", "Content-Type": "application/json", "Accept": "application/json"}
READ_TIMEOUT, TRIGGER_TIMEOUT = 60.0, 120.0


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Killed(BaseException):
    """The machine is gone: whatever the step was doing, it does not go on."""


@dataclass(eq=False)
class Post:
    """One trigger that a step sent: what became of it in truth. `run` is the id of what it created."""

    step: Step
    rule: RuleSketch
    at: float
    looked_at: float
    result: Response | Failure | None = None
    run: str = ""
    created_at: float = 0.0

    @property
    def may_go_again(self) -> bool:
        """Whether it is certain that it was not acted on."""
        return self.result is not None and fate_of(self.result) in (Fate.NOT_RECEIVED, Fate.RATE_LIMITED)

    @property
    def kept(self) -> CreatedRun:
        """Its run as it will end."""
        return self.step.world.sandbox.kept[self.run]

    @property
    def shown(self) -> CreatedRun:
        """Its run as it is now."""
        return self.kept.at(self.step.world.sandbox.now())

    @property
    def newest(self) -> WorkflowRun | None:
        """The newest workflow, by now, of those that its rule starts."""
        return newest(self.shown, self.rule) if self.run else None

    @property
    def is_of_other_commit(self) -> bool:
        return bool(self.run) and not self.rule.target and self.kept.revision != self.step.revision


def newest(run: CreatedRun, rule: RuleSketch) -> WorkflowRun | None:
    return max((w for w in run.workflows if w.name == rule.starts), key=lambda w: w.created_at, default=None)


class Look(NamedTuple):
    """One look at the branch or tag: what the host showed (None: nothing), and where it truly was."""

    seen: str | None
    truth: str | None
    at: float


class Step:
    """What a step is, and what it left behind: `report` is None where it was killed.

    It is its own clock and console, sees the repository, and is the way to CircleCI.
    """

    host = "https://circleci.com"

    def __init__(self, world: World, build: Build, index: int, number: int, job: int) -> None:
        self.world, self.dice, self.time, self.began = world, world.dice, world.time, world.time.now
        self.chance = self.dice.random
        self.build, self.push, self.index, self.job = build, build.push, index, job
        self.visit = build.visits[index]
        self.options, self.fuse, self.skew = self.visit.options, self.visit.fuse, self.visit.clock
        self.revision = self.push.commit.sha
        self.name = f"step {number} ({self.push.ref} {self.revision[:7]})"
        self.running = Report(self.options.command, is_dry=self.options.is_dry)
        self.report: Report | None = self.running
        self.ended: float | None = None
        self.said, self.posts, self.looks = list[str](), list[Post](), list[Look]()
        self.moments = self.faults = self.executed = 0
        self.looked_at = -1.0  # when a list of runs was last read
        self.ends_after = self.fuse.after if self.fuse and not self.fuse.from_trigger else None  # so many moments

    @property
    def is_at_its_commit(self) -> bool:
        """Whether the branch was looked at, and nothing else was seen there the last time."""
        return bool(self.looks) and self.looks[-1].seen in (None, self.revision)

    def fires(self, rule: RuleSketch) -> bool:
        return rule.fires(self.push.ref, is_tag=self.push.is_tag)

    def live_through(self) -> None:
        try:
            if self.options.command == "gate":
                gate(self.options, services(self), self.running)
                self.rest()
                if self.running.to_execute:
                    self.world.judge.executing(self)
            else:
                run(self.options, services(self), self.running)
        except ToolError as error:
            self.running.fail(error)
        except Interrupted as signalled:
            self.running.exit = signalled.exit
        except Killed:
            self.report = None
        self.world.ended(self)

    def rest(self, seconds: float | None = None) -> None:
        """Let time pass, or none; here something may end the step in the middle."""
        self.moments += 1
        error, fuse = None, self.fuse
        if fuse is not None and self.ends_after is not None and self.moments > self.ends_after:
            self.fuse, self.running.signalled = None, fuse.signal
            error = Killed() if fuse.signal is None else Interrupted(fuse.signal)
            self.world.note(f"{self.name}: {'killed' if fuse.signal is None else fuse.signal.label}")
        if seconds is not None:
            self.time.pause(seconds if error is None else seconds * self.chance())
        if error is not None:
            raise error

    # The clock and the console

    def now(self) -> datetime:
        return moment(self.time.now + self.skew)

    def monotonic(self) -> float:
        return self.time.now + 12345.0

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        if self.chance() < self.world.schedule.rates.clock:
            self.skew += self.dice.choice((-3600.0, -5.0, 5.0, 3600.0))
        self.rest(seconds)

    def info(self, text: str) -> None:
        self.world.note(f"{self.name} says: {text}")
        self.said.append(text)
        self.rest()

    alive = info

    def warning(self, text: str) -> None:
        self.info(f"warning: {text}")

    def detail(self, text: str) -> None:
        """Nothing: the world notes each request itself."""

    # The repository

    def head(self, ref: Branch | Tag) -> Head:
        self.rest(self.dice.uniform(0.05, 1.0))
        is_silent = self.chance() < self.world.schedule.rates.git
        seen = None if is_silent else self.world.head(ref.name, self.time.now - self.world.schedule.git_lag)
        self.looks.append(Look(seen, self.world.head(ref.name, self.time.now), self.time.now))
        return Head(seen, "no answer within 30 s" if is_silent else "")

    def is_skipped(self, _revision: str) -> bool:
        """Whether CircleCI skips the commit: none says so."""
        return False

    def contains(self, revision: str, other: str) -> bool:
        """Whether it is so and is known: the commit may have to be fetched, and git may fail."""
        self.rest(0.1)
        if self.chance() < self.world.schedule.rates.git:
            self.faults += 1
            return False
        return self.world.contains(revision, other)

    # What `adapters.transport` makes of the way to CircleCI, without the way

    def send(self, request: Request) -> Response | Failure:
        post = self._posting(request) if request.repeat is Repeat.ONLY_IF_NOT_RECEIVED else None
        self.rest()
        fault = self.world.trouble(request)
        self.faults += fault is not None
        self.rest(self.dice.uniform(0.01, 0.3))
        result = self._result(request, fault or "", post)
        if post is not None:
            post.result = result
        came = result.reason if isinstance(result, Failure) else str(result.status)
        self.world.note(f"{self.name}: {request.method} {request.path}{f' [{fault}]' if fault else ''} -> {came}")
        self.rest()
        return result

    def _posting(self, request: Request) -> Post:
        """Note a trigger that is about to leave."""
        if self.fuse is not None and self.fuse.from_trigger and not self.posts:
            self.ends_after = self.moments + self.fuse.after
        body: Any = request.body
        name = str((body.get("parameters") or body["build_parameters"])["rule"])
        post = Post(self, self.world.rule(name), self.time.now, self.looked_at)
        self.world.judge.posting(post)
        self.posts.append(post)
        self.world.posts.append(post)
        return post

    def _result(self, request: Request, fault: str, post: Post | None) -> Response | Failure:
        if fault == REFUSED:
            return Failure(Fate.NOT_RECEIVED, "connection refused")
        limit, line = READ_TIMEOUT if post is None else TRIGGER_TIMEOUT, Line(self.world)
        if fault.startswith(("late:", "create-late:")):  # the server takes its time, maybe longer than anybody waits
            actor = self.time.current

            def connection() -> None:
                line.reply = self._ask(request, fault, post, line)
                if line.is_open:
                    self.time.wake(actor, self.time.now)

            self.time.begin(f"connection of {self.name}", connection)
            try:
                self.rest(limit)
            finally:
                line.is_open = False
        else:
            line.reply = self._ask(request, fault, post, line)
        reply = line.reply
        if reply is not None and reply.delay:
            self.rest(min(reply.delay, limit))
        if reply is None or reply.delay >= limit:
            return Failure(Fate.UNKNOWN, f"no answer within {limit:.0f} s")
        if reply.delivery != "whole":
            return Failure(Fate.UNKNOWN, f"of the answer came: {reply.delivery}")
        return Response(reply.status, {name.lower(): value for name, value in reply.headers}, reply.payload())

    def _ask(self, request: Request, fault: str, post: Post | None, line: Line) -> Reply:
        world = self.world
        if fault == PUSHED:
            world.push_another(self.push)
        elif fault:
            world.sandbox.add_fault(replace(parse_fault(fault), method=request.method, path=request.path))
        world.under_way[self.time.current] = post
        body = json.dumps(request.body).encode() if request.body is not None else b""
        reply = world.sandbox.respond(request.method, request.path, urlencode(request.query), HEADERS, body, line)
        world.under_way[self.time.current] = None
        world.sandbox.faults.clear()
        is_list = request.method == "GET" and (request.path.endswith("/pipeline") or "/tree/" in request.path)
        if is_list and not {"page-token", "offset"} & set(request.query) and reply.status == 200 and line.is_open:
            self.looked_at = self.time.now  # at the first page of a list of runs
        return reply


@dataclass
class Line:
    """Between a step and CircleCI: whether the step still waits, and what was answered."""

    world: World
    is_open: bool = True
    reply: Reply | None = None

    def __call__(self, seconds: float) -> bool:
        self.world.time.pause(seconds)
        return self.is_open


def services(step: Step) -> Any:
    """What a step may use: the fakes, with itself in the place of clock, console and repository."""
    push, build, commit, visit = step.push, step.build, step.push.commit, step.visit
    total = len(build.nodes) + 1
    variables = environ(
        CIRCLE_NODE_TOTAL=str(total),
        CIRCLE_SHA1=step.revision,
        CIRCLE_BRANCH=None if push.is_tag else push.ref,
        CIRCLE_TAG=push.ref if push.is_tag else None,
        CIRCLE_BUILD_URL=f"{Step.host}/gh/acme/shop/{step.job}",
        CIRCLE_BUILD_NUM=str(step.job),
        CIRCLE_PIPELINE_ID=build.pipeline,
        CIRCLE_WORKFLOW_ID=build.pipeline,
        CIRCLE_OIDC_TOKEN=oidc(ssh_rerun=True) if visit.is_ssh else oidc(),
        REGION=visit.region,
    )
    committed = None
    if commit.committed is not None:
        committed = moment(step.world.pushed[commit.sha] + commit.committed)
    made: Any = FakeServices(step, environ=variables, rules=step.world.schedule.file, committed=committed)
    made.clock = made.console = made.remote = step
    made._client = Client(step, step, step)
    made.other_node = f"node {visit.node} of {total}; node 0 decides" if visit.node else ""
    return made
