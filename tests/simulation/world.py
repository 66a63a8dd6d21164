"""The world of one schedule: CircleCI is the sandbox, without a socket; builds run the step in virtual time."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from sandbox.eventful import EventfulSandbox
from simulation.schedule import SHOP, SILENT, Build, Commit, Push, Schedule, sha_of, uuid_of
from simulation.step import START, Post, Step
from simulation.timeline import Actor, Timeline
from simulation.trouble import trouble

from deploystep.core.retry import Repeat
from deploystep.core.source import SourceFile

if TYPE_CHECKING:
    from simulation.invariants import Excuse, Law
    from simulation.schedule import RuleSketch

    from deploystep.circleci.http import Request
    from deploystep.sandbox import Run


class World:
    """Everything that there is, and what the judge noticed: `wrong` in words, `excused` by name."""

    def __init__(self, schedule: Schedule, judge: Law) -> None:
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
        self.pushed: dict[str, float] = {}
        self.wrong: list[str] = []
        self.excused: Counter[Excuse] = Counter()
        self.begin = START
        self.sandbox = EventfulSandbox(
            token="token",
            heads={"trunk": "0" * 39 + "1"},
            workflows=schedule.workflows,
            pace=schedule.pace,
            has_setup=schedule.has_setup,
            auto_cancel=schedule.auto_cancel,
            reruns=schedule.reruns,
            skips=schedule.skips,
            on_trigger=self._created,
            now=lambda: START + timedelta(seconds=self.time.now),
        )
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
        self._visit(build, 0, self.time.now)

    def push_another(self, push: Push) -> None:
        """Somebody moves the branch or tag on, to a commit whose build does not deploy."""
        seed, now = self.schedule.seed, self.time.now
        commit = Commit(sha_of(seed, "pushed", now), self.heads[push.ref][-1][1])
        build = Build(Push(now, push.ref, push.is_tag, commit), uuid_of(seed, "pipeline", now), (), ())
        self._push(build)
        self._run_build(build)

    def _visit(self, build: Build, index: int, since: float) -> None:
        if index < len(build.visits):
            self._run_build(build)
            self.time.at(since + build.visits[index].gap, partial(self._begin, build, index))

    def _run_build(self, build: Build) -> None:
        push = build.push
        branch, tag = (None, push.ref) if push.is_tag else (push.ref, None)
        self.sandbox.add_build(build.pipeline, SHOP, revision=push.commit.sha, trigger=push.how, branch=branch, tag=tag)

    def _begin(self, build: Build, index: int) -> None:
        step = Step(
            self, build, build.visits[index], len(self.steps) + 1, self.sandbox.next_job(SHOP), began=self.time.now
        )
        nodes, now = build.nodes, self.sandbox.now()
        if nodes:
            self.sandbox.set_job(SHOP, step.job, parallel_runs=("running",) * (len(nodes) + 1))
            ends = {index: (now + timedelta(seconds=n.after), n.status) for index, n in enumerate(nodes, start=1)}
            self.sandbox.ends[SHOP, step.job] = ends
        self.steps.append(step)
        self.note(f"{step.name} begins")
        self.time.begin(self.time.now, step.name, step.live_through)
        following = index + 1
        if following < len(build.visits) and build.visits[following].is_overlapping:
            self._visit(build, following, self.time.now)

    def ended(self, step: Step) -> None:
        step.ended = self.time.now
        self.note(f"{step.name} ends: {'killed' if step.report is None else f'exit {int(step.report.exit)}'}")
        visits = step.build.visits
        following = next(i for i, v in enumerate(visits) if v is step.visit) + 1
        if following < len(visits) and not visits[following].is_overlapping:
            self._visit(step.build, following, self.time.now)
        self.judge.ended(self, step)

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
            self.judge.created(self, post)

    # What is so

    def stored(self, run: str | None) -> Run:
        """A run as it will end."""
        return self.sandbox.kept[run or ""]

    def shown(self, run: str | None) -> Run:
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
        """Whether `other` is an ancestor of `revision`, or that itself."""
        at: str | None = revision
        while at not in (None, other):
            at = self.parents.get(at or "")
        return at is not None
