"""The world of one schedule: CircleCI is the stand-in, without a socket; builds run the step in virtual time."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from builds import oidc
from simulation.schedule import SHOP, Build, Commit, Fuse, Push, Schedule, Visit, sha_of
from simulation.timeline import Actor, Timeline
from simulation.trouble import PUSHED, REFUSED, aimed, trouble

from deploystep.app import run as running
from deploystep.app.courier import Courier
from deploystep.app.head import superseded_by
from deploystep.app.ports import Head
from deploystep.app.report import Journal, Report
from deploystep.app.trigger import Sender
from deploystep.app.vigil import Patience
from deploystep.circleci.wire import Failure, Request, Response, fate_of
from deploystep.core.build import Branch, BuildContext, Tag
from deploystep.core.errors import Interrupted
from deploystep.core.retry import Fate, Repeat
from deploystep.core.source import SourceFile
from deploystep.sandbox import Delivery, JobState, Sandbox

if TYPE_CHECKING:
    from simulation.schedule import RuleSketch

    from deploystep.core.deploy import TriggerSpec
    from deploystep.core.facts import Answered, Question
    from deploystep.sandbox import Reply, Run

START = datetime(2026, 6, 16, 8, 2, 11, tzinfo=timezone.utc)
HEADERS = {"Authorization": "Bearer token", "Content-Type": "application/json", "Accept": "application/json"}
READ_TIMEOUT = 60.0
LATE = ("late:", "create-late:")


class Killed(BaseException):
    """The machine is gone: whatever the step was doing, it does not go on."""


@dataclass(eq=False)
class Post:
    """One trigger that a step sent: what became of it in truth. `run` is the id of what it created."""

    step: Step
    rule: str
    at: float
    result: Response | Failure | None = None
    run: str | None = None
    created_at: float = 0.0
    looked_at: float = -1.0

    @property
    def fate(self) -> Fate:
        """What the step may take for certain."""
        return Fate.UNKNOWN if self.result is None else fate_of(self.result)


@dataclass(eq=False)
class Step:
    """One run of the step in a build, and what it left behind: `report` is None where it was killed."""

    world: World
    build: Build
    visit: Visit
    number: int
    job: int
    workflow: str
    report: Report | None = None
    said: list[str] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    began: float = 0.0
    ended: float | None = None
    faults: int = 0
    looked_at: float = -1.0
    heads: list[str | None] = field(default_factory=list)
    _passed: int = 0
    _trigger_at: int | None = None
    _fuse: Fuse | None = None
    clock: float = 0.0

    def __post_init__(self) -> None:
        self._fuse = self.visit.fuse
        self.clock = self.visit.clock

    @property
    def name(self) -> str:
        return f"step {self.number} ({self.build.push.ref} {self.build.push.commit.sha[:7]})"

    @property
    def revision(self) -> str:
        return self.build.push.commit.sha

    @property
    def was_killed(self) -> bool:
        return self.ended is not None and self.report is None

    # Where it may end

    def moment(self) -> None:
        """Something may end the step here."""
        error = self._due()
        if error is not None:
            raise error

    def rest(self, seconds: float) -> None:
        """Let time pass; something may end the step in the middle."""
        error = self._due()
        self.world.time.pause(seconds if error is None else seconds * self.world.dice.random())
        if error is not None:
            raise error

    def begin_trigger(self) -> None:
        if self._trigger_at is None:
            self._trigger_at = self._passed

    def _due(self) -> BaseException | None:
        self._passed += 1
        fuse = self._fuse
        if fuse is None or (fuse.from_trigger and self._trigger_at is None):
            return None
        since = self._trigger_at if fuse.from_trigger and self._trigger_at is not None else 0
        if self._passed - since <= fuse.after:
            return None
        self._fuse = None
        self.world.note(f"{self.name}: {'killed' if fuse.signal is None else fuse.signal.label}")
        return Killed() if fuse.signal is None else Interrupted(fuse.signal)

    # The ports

    def now(self) -> datetime:
        return START + timedelta(seconds=self.world.time.now + self.clock)

    def monotonic(self) -> float:
        return self.world.time.now + 12345.0

    def chance(self) -> float:
        return self.world.dice.random()

    def sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if self.world.dice.random() < self.world.schedule.rates.clock:
            self.clock += self.world.dice.choice((-3600.0, -5.0, 5.0, 3600.0))
        self.rest(seconds)

    def info(self, text: str) -> None:
        self.world.note(f"{self.name} says: {text}")
        self.said.append(text)
        self.moment()

    def warning(self, text: str) -> None:
        self.info(f"warning: {text}")

    def live(self, text: str) -> None:
        del text

    def read(self) -> SourceFile:
        return self.world.source

    # What it is

    def context(self) -> BuildContext:
        push = self.build.push
        return BuildContext.from_environ(
            {
                "CI": "true",
                "CIRCLECI": "true",
                "CIRCLE_NODE_INDEX": "0",
                "CIRCLE_NODE_TOTAL": str(len(self.build.nodes) + 1),
                "CIRCLE_SHA1": self.revision,
                **({"CIRCLE_TAG": push.ref} if push.is_tag else {"CIRCLE_BRANCH": push.ref}),
                "CIRCLE_PROJECT_USERNAME": "acme",
                "CIRCLE_PROJECT_REPONAME": "shop",
                "CIRCLE_REPOSITORY_URL": "git@github.com:acme/shop.git",
                "CIRCLE_BUILD_URL": f"https://circleci.com/gh/acme/shop/{self.job}",
                "CIRCLE_BUILD_NUM": str(self.job),
                "CIRCLE_PIPELINE_ID": self.build.pipeline,
                "CIRCLE_WORKFLOW_ID": self.workflow,
                "CIRCLE_OIDC_TOKEN": oidc(),
            }
        )

    def sender(self, build: BuildContext, specs: tuple[TriggerSpec, ...]) -> Sender:
        del specs
        return Sender(
            courier=Courier(Line(self), self, self),
            token_name="CIRCLE_TOKEN",
            app="https://app.circleci.com",
            patience=Patience(self.visit.confirm, self.visit.wait),
            superseded=partial(superseded_by, build, Origin(self), self, self),
            again=self.visit.again,
            cancels=self.visit.cancels,
        )

    def live_through(self) -> None:
        """Run the step from its beginning to its end, or to where it is killed."""
        visit = self.visit
        other = f"node {visit.node} of {len(self.build.nodes) + 1}; node 0 decides" if visit.node else None
        world = running.World(
            other_node=other,
            build=self.context,
            rules=self,
            now=lambda zone: self.now().astimezone(zone),
            progress=self,
            host=lambda _build: "https://circleci.com",
            sender=self.sender,
            can_ask=True,
            learn=lambda _build, _rules: _unasked,
        )
        order = running.Order("run", is_dry=False, nodes_limit=visit.nodes_limit, again=visit.again)
        try:
            self.report = running.run(order, world, Journal())
        except Killed:
            self.report = None
        self.world.ended(self)


def _unasked(question: Question) -> Answered:
    raise AssertionError(f"nobody should have asked {question}")


@dataclass(frozen=True)
class Origin:
    """The repository, as git shows it to one step."""

    step: Step

    def head(self, ref: Branch | Tag) -> Head:
        world = self.step.world
        self.step.rest(world.dice.uniform(0.05, 1.0))
        if world.dice.random() < world.schedule.rates.git:
            self.step.heads.append(None)
            return Head(None, "no answer within 30 s")
        revision = world.head(ref.name, world.time.now - world.schedule.git_lag)
        self.step.heads.append(revision)
        return Head(revision)

    def contains(self, revision: str, other: str) -> bool:
        return self.step.world.contains(revision, other)


@dataclass
class Answering:
    """One connection as the stand-in sees its client."""

    world: World
    is_open: bool = True
    reply: Reply | None = None

    def wait(self, seconds: float) -> bool:
        self.world.time.pause(seconds)
        return True

    def has_left(self) -> bool:
        return not self.is_open


@dataclass(frozen=True)
class Line:
    """What `adapters.http` makes of the way to CircleCI, without the way."""

    step: Step

    @property
    def host(self) -> str:
        return "https://circleci.com"

    def send(self, request: Request) -> Response | Failure:
        world, step = self.step.world, self.step
        post = world.posting(step, request)
        step.moment()
        fault = world.trouble(request)
        step.faults += fault is not None
        step.rest(world.dice.uniform(0.01, 0.3))
        result = self._result(request, fault, post)
        if post is not None:
            post.result = result
        came = result.reason if isinstance(result, Failure) else str(result.status)
        world.note(f"{step.name}: {request.method} {request.path}{f' [{fault}]' if fault else ''} -> {came}")
        step.moment()
        return result

    def _result(self, request: Request, fault: str | None, post: Post | None) -> Response | Failure:
        if fault == REFUSED:
            return Failure(Fate.NOT_RECEIVED, "connection refused")
        reply = (
            self._late(request, fault, post) if fault and fault.startswith(LATE) else self._ask(request, fault, post)
        )
        if reply is None or reply.delay >= READ_TIMEOUT:
            if reply is not None:
                self.step.rest(READ_TIMEOUT)
            return Failure(Fate.UNKNOWN, "no answer within 60 s")
        if reply.delay:
            self.step.rest(reply.delay)
        if reply.delivery is Delivery.NONE:
            return Failure(Fate.UNKNOWN, "the connection was closed before an answer")
        if reply.delivery is Delivery.CUT:
            return Failure(Fate.UNKNOWN, "the answer was cut off")
        headers = {name.lower(): value for name, value in reply.headers}
        return Response(reply.status, headers, reply.payload())

    def _ask(self, request: Request, fault: str | None, post: Post | None, client: Answering | None = None) -> Reply:
        world = self.step.world
        if fault == PUSHED:
            world.push_another(self.step.build.push)
        elif fault is not None:
            world.sandbox.add_fault(aimed(fault, request.method, request.path))
        world.under_way[world.time.current] = post
        body = json.dumps(request.body).encode() if request.body is not None else b""
        reply = world.sandbox.respond(
            request.method, request.path, urlencode(request.query), HEADERS, body, client or Answering(world)
        )
        world.under_way[world.time.current] = None
        world.forget_faults()
        if _is_list(request) and reply.status == 200:
            self.step.looked_at = world.time.now
        return reply

    def _late(self, request: Request, fault: str, post: Post | None) -> Reply | None:
        """The answer of a stand-in that takes its time; None where it takes longer than anybody waits."""
        world, client = self.step.world, Answering(self.step.world)
        actor = world.time.current

        def connection() -> None:
            client.reply = self._ask(request, fault, post, client)
            if client.is_open:
                world.time.wake(actor, world.time.now)

        world.time.begin(world.time.now, f"connection of {self.step.name}", connection)
        try:
            self.step.rest(READ_TIMEOUT)
        finally:
            client.is_open = False
        return client.reply


class Judge(Protocol):
    """Who looks whether all is as it should be, whenever something happens."""

    def posting(self, world: World, post: Post) -> None:
        """A trigger is about to leave."""

    def created(self, world: World, post: Post) -> None:
        """CircleCI has acted on a trigger."""

    def ended(self, world: World, step: Step) -> None:
        """A step has ended."""

    def finished(self, world: World) -> None:
        """Nothing more happens."""


class World:
    """Everything that there is, and what was noticed."""

    def __init__(self, schedule: Schedule, judge: Judge) -> None:
        self.schedule = schedule
        self.judge = judge
        self.dice = random.Random(schedule.seed + 1)  # noqa: S311 - it must be the same again
        self.time = Timeline(self.dice)
        self.source = SourceFile(".circleci/deploy.yml", schedule.file)
        self.steps: list[Step] = []
        self.posts: list[Post] = []
        self.under_way: dict[Actor, Post | None] = {}
        self.notes: list[tuple[float, str]] = []
        self.heads: dict[str, list[tuple[float, str]]] = {}
        self.parents: dict[str, str | None] = {}
        self.wrong: list[str] = []
        self.excused: Counter[str] = Counter()
        self.begin = START
        self.sandbox = Sandbox(
            token="token",
            heads={"trunk": "0" * 39 + "1"},
            workflows=schedule.workflows,
            pace=schedule.pace,
            setup=schedule.has_setup,
            auto_cancel=schedule.auto_cancel,
            now=lambda: START + timedelta(seconds=self.time.now),
        )
        self.state = self.sandbox._state
        self._create = self.state.create
        self.state.create = self._created  # type: ignore[method-assign]

    def live_through(self) -> None:
        """Everything that is to happen happens."""
        for build in self.schedule.builds:
            self.time.at(build.push.at, partial(self._push, build))
        self.time.run()
        self.time.now += 100_000.0
        self.judge.finished(self)

    def note(self, text: str) -> None:
        self.notes.append((self.time.now, text))

    # What happens

    def _push(self, build: Build) -> None:
        push = build.push
        self.note(f"{push.how}: {push.ref} {'is at' if push.moves else 'is built at'} {push.commit.sha[:7]}")
        self.parents[push.commit.sha] = push.commit.parent
        if push.moves:
            self.heads.setdefault(push.ref, []).append((self.time.now, push.commit.sha))
            self.sandbox.move(push.ref, push.commit.sha)
        self._visit(build, 0, self.time.now)

    def push_another(self, push: Push) -> None:
        """Somebody moves the branch or tag on, to a commit whose build does not deploy."""
        before = self.heads[push.ref][-1][1]
        sha, pipeline = (sha_of(self.schedule.seed, kind, self.time.now) for kind in ("pushed", "pipeline"))
        build = Build(
            Push(self.time.now, push.ref, push.is_tag, Commit(sha, before)), str(uuid.UUID(pipeline[:32])), (), ()
        )
        self._push(build)
        self._run_build(build)

    def _visit(self, build: Build, index: int, since: float) -> None:
        if index >= len(build.visits):
            return
        visit = build.visits[index]
        self._run_build(build)
        self.time.at(since + visit.gap, partial(self._begin, build, index))

    def _run_build(self, build: Build) -> None:
        push = build.push
        branch, tag = (None, push.ref) if push.is_tag else (push.ref, None)
        self.sandbox.add_build(build.pipeline, SHOP, revision=push.commit.sha, trigger=push.how, branch=branch, tag=tag)

    def _begin(self, build: Build, index: int) -> None:
        visit = build.visits[index]
        job = self.state._memory.counters.count("job", SHOP)
        step = Step(self, build, visit, len(self.steps) + 1, job, build.pipeline)
        self._set_job(step)
        self.steps.append(step)
        step.began = self.time.now
        self.note(f"{step.name} begins")
        self.time.begin(self.time.now, step.name, step.live_through)
        following = index + 1
        if following < len(build.visits) and build.visits[following].is_overlapping:
            self._visit(build, following, self.time.now)

    def _set_job(self, step: Step) -> None:
        nodes = step.build.nodes
        if not nodes:
            return
        moments = sorted({node.after for node in nodes})
        states = [
            JobState(("running", *(n.status if n.after <= at else "running" for n in nodes)), after_seconds=at)
            for at in moments
        ]
        running_now = ("running",) * (len(nodes) + 1)
        self.sandbox.set_job(SHOP, step.job, parallel_runs=running_now, then=states)

    def ended(self, step: Step) -> None:
        """A step has ended, well or badly."""
        step.ended = self.time.now
        code = "killed" if step.report is None else f"exit {int(step.report.exit)}"
        self.note(f"{step.name} ends: {code}")
        visits = step.build.visits
        following = next(i for i, v in enumerate(visits) if v is step.visit) + 1
        if following < len(visits) and not visits[following].is_overlapping:
            self._visit(step.build, following, self.time.now)
        self.judge.ended(self, step)

    # What CircleCI does

    def trouble(self, request: Request) -> str | None:
        """What befalls a request, if anything does."""
        is_trigger = request.repeat is Repeat.ONLY_IF_NOT_RECEIVED
        rates = self.schedule.rates
        if self.dice.random() >= (rates.trigger if is_trigger else rates.other):
            return None
        return trouble(self.dice, is_trigger=is_trigger, is_job="/job/" in request.path)

    def forget_faults(self) -> None:
        self.state._memory.faults.clear()

    def posting(self, step: Step, request: Request) -> Post | None:
        """Note a trigger that is about to leave."""
        if request.repeat is not Repeat.ONLY_IF_NOT_RECEIVED:
            return None
        step.begin_trigger()
        post = Post(step, _rule_of(request.body), self.time.now, looked_at=step.looked_at)
        self.judge.posting(self, post)
        step.posts.append(post)
        self.posts.append(post)
        return post

    def _created(self, *asked: Any, **named: Any) -> Run:
        post = self.under_way.get(self.time.current)
        run = self._create(*asked, **named)
        self.note(f"CircleCI creates run {run.number} of {run.revision[:7]} {run.parameters}")
        if post is not None:
            post.run, post.created_at = run.id, self.time.now
            self.judge.created(self, post)
        return run

    # What is so

    def stored(self, run: str) -> Run:
        """A run as it will end."""
        found = self.state._memory.run(run)
        assert found is not None
        return found

    def rule(self, name: str) -> RuleSketch:
        return next(rule for rule in self.schedule.rules if rule.name == name)

    def head(self, ref: str, at: float) -> str | None:
        """Where a branch or tag was, as of a moment; before there was any, where it first got to."""
        moves = self.heads.get(ref, [])
        past = [sha for moment, sha in moves if moment <= at]
        return past[-1] if past else moves[0][1] if moves else None

    def contains(self, revision: str, other: str) -> bool:
        """Whether `other` is an ancestor of `revision`."""
        at: str | None = revision
        while at is not None:
            if at == other:
                return True
            at = self.parents.get(at)
        return False


def _rule_of(body: Any) -> str:
    parameters = body.get("parameters") or body.get("build_parameters") or {}
    return str(parameters.get("rule") or parameters.get("RULE"))


def _is_list(request: Request) -> bool:
    """Whether it asks for the first page of a list of runs."""
    is_first = not {"page-token", "offset"} & set(request.query)
    return request.method == "GET" and is_first and (request.path.endswith("/pipeline") or "/tree/" in request.path)
