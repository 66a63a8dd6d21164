"""The world of one schedule: CircleCI is the sandbox, without a socket; builds run the step in virtual time."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from builds import oidc
from simulation.eventful import EventfulSandbox
from simulation.schedule import SHOP, Build, Commit, Fuse, Push, Schedule, Visit, sha_of
from simulation.timeline import Actor, Timeline
from simulation.trouble import PUSHED, REFUSED, aimed, trouble

from deploystep.app.options import Options
from deploystep.app.ports import Head
from deploystep.app.report import Report
from deploystep.app.run import run
from deploystep.circleci.client import Client
from deploystep.circleci.http import Failure, Request, Response, fate_of
from deploystep.core.address import read_address
from deploystep.core.build import Branch, BuildContext, Tag
from deploystep.core.errors import Interrupted, ToolError
from deploystep.core.retry import Fate, Repeat
from deploystep.core.source import SourceFile
from deploystep.sandbox import Delivery, JobState

if TYPE_CHECKING:
    from simulation.schedule import RuleSketch

    from deploystep.core.address import Address
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
    running: Report = field(default_factory=lambda: Report("run", is_dry=False))

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
        self.running.signalled = fuse.signal
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

    def options(self) -> Options:
        visit = self.visit
        is_waited = visit.nodes_limit is not None
        return Options(
            "run",
            confirm=visit.confirm,
            wait=visit.wait,
            cancel_on_interrupt=visit.cancels,
            again=visit.again,
            nodes="all" if is_waited else "first",
            nodes_timeout=visit.nodes_limit or 0.0,
        )

    def live_through(self) -> None:
        """Run the step from its beginning to its end, or to where it is killed."""
        report = self.running
        try:
            run(self.options(), SimulatedServices(self), report)
            self.report = report
        except ToolError as error:
            report.fail(error)
            self.report = report
        except Interrupted as signalled:
            report.exit = signalled.exit
            self.report = report
        except Killed:
            self.report = None
        self.world.ended(self)


class SimulatedServices:
    """The outside of one step: the time, the console, the clone and the way to CircleCI are the world's."""

    given = None
    can_ask = True
    token_name = "CIRCLE_TOKEN"

    def __init__(self, step: Step) -> None:
        self.clock = self.console = step
        self.build = step.context()
        self.source = step.world.source
        self.address: Address = read_address("https://circleci.com")
        self.remote = Origin(step)
        node = step.visit.node
        self.other_node = f"node {node} of {self.build.node.total}; node 0 decides" if node else ""
        self._client = Client(Line(step), step, step)

    def now(self, zone: tzinfo) -> datetime:
        return self.clock.now().astimezone(zone)

    def history(self, _default_branch: str) -> SimulatedServices:
        return self

    def answer(self, question: Question) -> Answered:
        raise AssertionError(f"nobody should have asked {question}")

    def client(self, _specs: tuple[TriggerSpec, ...] = ()) -> Client:
        return self._client


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
    """One connection as the sandbox sees its client."""

    world: World
    is_open: bool = True
    reply: Reply | None = None

    def __call__(self, seconds: float) -> bool:
        self.world.time.pause(seconds)
        return self.is_open


@dataclass(frozen=True)
class Line:
    """What `adapters.transport` makes of the way to CircleCI, without the way."""

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
        """The answer of a sandbox that takes its time; None where it takes longer than anybody waits."""
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
        self.sandbox = EventfulSandbox(
            token="token",
            heads={"trunk": "0" * 39 + "1"},
            workflows=schedule.workflows,
            pace=schedule.pace,
            has_setup=schedule.has_setup,
            auto_cancel=schedule.auto_cancel,
            reruns=schedule.reruns,
            on_trigger=self._created,
            now=lambda: START + timedelta(seconds=self.time.now),
        )

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
        job = self.sandbox.next_job(SHOP)
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
        self.sandbox.drop_faults()

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

    def _created(self, run: Run) -> None:
        post = self.under_way.get(self.time.current)
        self.note(f"CircleCI creates run {run.number} of {run.revision[:7]} {run.parameters}")
        if post is not None:
            post.run, post.created_at = run.id, self.time.now
            self.judge.created(self, post)

    # What is so

    def stored(self, run: str) -> Run:
        """A run as it will end."""
        found = self.sandbox.stored(run)
        assert found is not None
        return found

    def shown(self, run: str) -> Run:
        """A run as it is now."""
        return self.stored(run).at(self.sandbox.now())

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
