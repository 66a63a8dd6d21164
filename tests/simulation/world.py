"""The world of one schedule: CircleCI is the sandbox, without a socket; builds run the step in virtual time."""

import heapq
import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

from sandbox.eventful import EventfulSandbox
from simulation.invariants import Excuse, Law
from simulation.schedule import SHOP, SILENT, Build, Commit, Push, RuleSketch, Schedule, sha_of, uuid_of
from simulation.step import START, Post, Step, moment
from simulation.trouble import trouble

from deploystep.circleci.http import Request
from deploystep.core.retry import Repeat
from deploystep.sandbox import Run


class Actor(threading.Semaphore):
    """A thread that acts and pauses. `turn` counts wakings, so that one that was overtaken is known."""

    turn = 0


class Timeline:
    """Virtual time, in seconds since the beginning, and who acts when: of many actors one at a time moves.

    An actor runs until it pauses; then the clock jumps to the moment at which whoever is next is due. Nothing sleeps,
    and the same random numbers give the same order.
    """

    def __init__(self, chance: random.Random) -> None:
        self.now = 0.0
        self.current = Actor(0)
        self._chance, self._count = chance, count()
        self._queue: list[tuple[float, float, int, Actor | Callable[[], None], int]] = []
        self._baton = threading.Semaphore(0)
        self._broken: BaseException | None = None

    def at(self, moment: float, act: Actor | Callable[[], None], turn: int = 0) -> None:
        heapq.heappush(self._queue, (moment, self._chance.random(), next(self._count), act, turn))

    def begin(self, name: str, body: Callable[[], None]) -> None:
        actor = Actor(0)

        def live() -> None:
            actor.acquire()
            try:
                body()
            except BaseException as error:  # noqa: BLE001 - it is raised where the test can see it
                self._broken = error
            self._baton.release()

        threading.Thread(target=live, name=name, daemon=True).start()
        self.at(self.now, actor)

    def pause(self, seconds: float) -> None:
        """The current actor lets time pass."""
        actor = self.current
        self.wake(actor, self.now + max(seconds, 0.0))
        self._baton.release()
        actor.acquire()

    def wake(self, actor: Actor, moment: float) -> None:
        """Let an actor who pauses go on at that moment, whatever was meant before."""
        actor.turn += 1
        self.at(moment, actor, actor.turn)

    def run(self) -> None:
        """Let everything happen. Raises what an actor raised, which none should."""
        while self._queue and self._broken is None:
            moment, _, _, act, turn = heapq.heappop(self._queue)
            if isinstance(act, Actor) and turn != act.turn:
                continue
            self.now = max(self.now, moment)
            if isinstance(act, Actor):
                self.current = act
                act.release()
                self._baton.acquire()
            else:
                act()
        if self._broken is not None:
            raise self._broken


class World:
    """Everything that there is, and what the judge noticed: `wrong` in words, `excused` by name."""

    def __init__(self, schedule: Schedule, judge: Law) -> None:
        self.schedule, self.judge = schedule, judge
        self.dice = random.Random(schedule.seed + 1)  # noqa: S311 - it must be the same again
        self.time = Timeline(self.dice)
        self.steps, self.posts = list[Step](), list[Post]()
        self.under_way: dict[Actor, Post | None] = {}
        self.notes: list[tuple[float, str]] = []
        self.heads: dict[str, list[tuple[float, str]]] = {}
        self.parents: dict[str, str | None] = {}
        self.pushed: dict[str, float] = {}
        self.wrong: list[str] = []
        self.excused: Counter[Excuse] = Counter()
        names = ("workflows", "pace", "has_setup", "auto_cancel", "reruns", "skips")
        settings: dict[str, Any] = {name: getattr(schedule, name) for name in names}
        heads, now = {"trunk": "0" * 39 + "1"}, lambda: moment(self.time.now)
        self.sandbox = EventfulSandbox(token="token", heads=heads, on_trigger=self._created, now=now, **settings)
        for project in schedule.silent:
            self.sandbox.set_config(project, SILENT)

    def live_through(self) -> None:
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
        self.pushed.setdefault(push.commit.sha, self.time.now)
        if push.moves:
            self.heads.setdefault(push.ref, []).append((self.time.now, push.commit.sha))
            self.sandbox.moved[push.ref] = push.commit.sha
        for number in range(push.others):
            is_old = number % 2 > 0
            created = START - timedelta(days=3, seconds=number) if is_old else None
            here = push.ref if is_old and not push.is_tag else "other"
            for project in dict.fromkeys((SHOP, *(rule.project for rule in self.schedule.rules))):
                name = uuid_of(self.schedule.seed, project, number, self.time.now)
                branch = here if project == SHOP else "trunk"
                self.sandbox.add_build(name, project, branch=branch, revision="1" * 40, created=created)
        self._visit(build, 0)

    def push_another(self, push: Push) -> None:
        """Somebody moves the branch or tag on, to a commit whose build does not deploy."""
        seed, now = self.schedule.seed, self.time.now
        commit = Commit(sha_of(seed, "pushed", now), self.heads[push.ref][-1][1])
        self._push(Build(Push(now, push.ref, push.is_tag, commit), uuid_of(seed, "pipeline", now), (), ()))

    def _visit(self, build: Build, index: int) -> None:
        """Let the build go on, to the step where that is in it."""
        push = build.push
        branch, tag = (None, push.ref) if push.is_tag else (push.ref, None)
        self.sandbox.add_build(build.pipeline, SHOP, revision=push.commit.sha, trigger=push.how, branch=branch, tag=tag)
        for visit in build.visits[index : index + 1]:
            self.time.at(self.time.now + visit.gap, partial(self._begin, build, index))

    def _begin(self, build: Build, index: int) -> None:
        step = Step(self, build, index, len(self.steps) + 1, self.sandbox.next_job(SHOP))
        if build.nodes:
            self.sandbox.set_job(SHOP, step.job, parallel_runs=("running",) * (len(build.nodes) + 1))
            now, nodes = self.sandbox.now(), enumerate(build.nodes, start=1)
            ends = {number: (now + timedelta(seconds=node.after), node.status) for number, node in nodes}
            self.sandbox.ends[SHOP, step.job] = ends
        self.steps.append(step)
        self.note(f"{step.name} begins")
        self.time.begin(step.name, step.live_through)
        self._visit_after(step, is_overlapping=True)

    def ended(self, step: Step) -> None:
        step.ended = self.time.now
        self.note(f"{step.name} ends: {'killed' if step.report is None else f'exit {int(step.report.exit)}'}")
        self._visit_after(step, is_overlapping=False)
        self.judge.ended(step)

    def _visit_after(self, step: Step, *, is_overlapping: bool) -> None:
        following = step.build.visits[step.index + 1 :]
        if following and following[0].is_overlapping is is_overlapping:
            self._visit(step.build, step.index + 1)

    def trouble(self, request: Request) -> str | None:
        is_trigger = request.repeat is Repeat.ONLY_IF_NOT_RECEIVED
        rates = self.schedule.rates
        if self.dice.random() >= (rates.trigger if is_trigger else rates.other):
            return None
        return trouble(self.dice, is_trigger=is_trigger, is_job="/job/" in request.path)

    def _created(self, run: Run) -> None:
        post = self.under_way.get(self.time.current)
        self.note(f"CircleCI creates run {run.number} of {run.revision[:7]} {run.parameters}")
        if post is not None:
            post.run, post.created_at = run.id, self.time.now
            self.judge.created(post)

    # What is so

    def shows_key(self, rule: RuleSketch) -> bool:
        """Whether its runs show the deploy key that they were sent."""
        return rule.is_keyed and not rule.is_job and rule.project not in self.schedule.silent

    def rule(self, name: str) -> RuleSketch:
        return next(rule for rule in self.schedule.rules if rule.name == name)

    def head(self, ref: str, at: float) -> str | None:
        """Where a branch or tag was, as of a moment; before there was any, where it first got to."""
        moves = self.heads.get(ref, [])
        past = [sha for moment, sha in moves if moment <= at]
        return past[-1] if past else moves[0][1] if moves else None

    def contains(self, revision: str, other: str) -> bool:
        """Whether `other` is an ancestor of `revision`, or that itself."""
        at: str | None = revision
        while at not in (None, other):
            at = self.parents.get(at or "")
        return at is not None
