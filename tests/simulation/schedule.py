"""What happens in one simulation, drawn from a seed: rules, commits, builds, and how much goes wrong."""

from __future__ import annotations

import hashlib
import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from deploystep.core.exits import ExitCode
from deploystep.sandbox import Pace, Workflow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T")
SHOP = "gh/acme/shop"
DEPLOYER = "gh/acme/deployer"
ENDS = ("success",) * 12 + ("failed", "failed", "on_hold", "running", "failing", "canceled")


@dataclass(frozen=True)
class RuleSketch:
    """One rule. `starts` is its workflow, or with `is_job` its job; `is_named` whether the rule says so."""

    name: str
    when: str
    starts: str
    is_named: bool = True
    is_job: bool = False
    is_elsewhere: bool = False

    def text(self) -> str:
        deploy = [f"parameters: {{go: {self.starts}, rule: {self.name}, sha: '${{CIRCLE_SHA1}}'}}"]
        if self.is_job:
            deploy += [f"job: {self.starts}"]
        elif self.is_named:
            deploy += [f"workflow: {self.starts}"]
        if self.is_elsewhere:
            deploy += ["to: deployer"]
        return f"  - name: {self.name}\n    when: {{{self.when}}}\n    deploy: {{{', '.join(deploy)}}}\n"

    def fires(self, ref: str, *, is_tag: bool) -> bool:
        """Whether it is due in a build of this branch or tag: what the product must find too."""
        if is_tag:
            return self.when.startswith("tag")
        return self.when in (f"branch: {ref}", 'branch: "**"')

    @property
    def is_recognised(self) -> bool:
        return self.is_job or (self.is_named and not self.is_elsewhere)


@dataclass(frozen=True)
class Commit:
    sha: str
    parent: str | None


@dataclass(frozen=True)
class Push:
    """A branch or tag gets to a commit, and CircleCI builds it. `how` is who started the build."""

    at: float
    ref: str
    is_tag: bool
    commit: Commit
    moves: bool = True
    how: str = "webhook"


@dataclass(frozen=True)
class Fuse:
    """The step ends in the middle: `after` so many moments (`from_trigger`: since its first trigger). None kills."""

    after: int
    from_trigger: bool
    signal: ExitCode | None


@dataclass(frozen=True)
class Visit:
    """One time that the step runs in a build: `gap` seconds after the one before has ended, or begun."""

    gap: float
    is_overlapping: bool = False
    fuse: Fuse | None = None
    again: str | None = None
    confirm: float = 60.0
    wait: float | None = None
    cancels: bool = False
    clock: float = 0.0
    node: int = 0
    nodes_limit: float | None = 1800.0


@dataclass(frozen=True)
class Node:
    """How another node of the job ends, and when."""

    after: float
    status: str


@dataclass(frozen=True)
class Build:
    """One push with the runs of the step in it."""

    push: Push
    pipeline: str
    visits: tuple[Visit, ...]
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Rates:
    """How likely things go wrong, from 0 to 1: a trigger, any other request, git, and the clock."""

    trigger: float = 0.0
    other: float = 0.0
    git: float = 0.0
    clock: float = 0.0


@dataclass(frozen=True)
class Schedule:
    seed: int
    rules: tuple[RuleSketch, ...]
    builds: tuple[Build, ...]
    workflows: tuple[Workflow, ...]
    pace: Pace
    rates: Rates
    has_setup: bool
    auto_cancel: bool
    reruns: Mapping[str, tuple[str, ...]]
    git_lag: float

    @property
    def file(self) -> str:
        """The rule file."""
        targets = f"targets:\n  deployer: {{project: {DEPLOYER}, branch: trunk}}\n"
        has_target = any(rule.is_elsewhere for rule in self.rules)
        return "version: 1\n" + (targets if has_target else "") + "rules:\n" + "".join(r.text() for r in self.rules)

    def lines(self) -> list[str]:
        """What is to happen, for people."""
        workflows = ", ".join(
            f"{w.name} {dict(w.when)} {w.outcome} {list(self.reruns.get(w.name, ()))}" for w in self.workflows
        )
        lines = [*self.file.splitlines(), f"workflows: {workflows}", f"{self.pace} {self.rates}"]
        lines.append(f"setup: {self.has_setup}, auto-cancel: {self.auto_cancel}, git lags {self.git_lag} s")
        for build in self.builds:
            push = build.push
            lines.append(f"at {push.at:.1f}: {push.how} {push.ref} {push.commit.sha[:7]} in {build.pipeline[:8]}")
            lines += [f"    node {index}: {node}" for index, node in enumerate(build.nodes, start=1)]
            lines += [f"    {visit}" for visit in build.visits]
        return lines


def draw(seed: int) -> Schedule:
    """The schedule of a seed: always the same."""
    return _Draw(seed).schedule()


def sha_of(*parts: object) -> str:
    return hashlib.sha1(repr(parts).encode(), usedforsecurity=False).hexdigest()


class _Draw:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.reruns: dict[str, tuple[str, ...]] = {}
        self.dice = random.Random(seed)  # noqa: S311 - it must be the same again

    def schedule(self) -> Schedule:
        dice = self.dice
        rules = self.rules()
        return Schedule(
            seed=self.seed,
            rules=rules,
            builds=self.builds(),
            workflows=self.workflows(rules),
            pace=Pace(
                appear=self.one_of((0.2, 0.2, 1.0, 3.0, 20.0, 70.0)),
                finish=self.one_of((2.0, 30.0, 30.0, 200.0)),
                listed=self.one_of((0.0,) * 6 + (1.0, 3.0, 8.0, 40.0)),
            ),
            rates=self.rates(),
            has_setup=dice.random() < 0.1,
            auto_cancel=dice.random() < 0.3,
            reruns=self.reruns,
            git_lag=self.one_of((0.0, 0.0, 0.0, 2.0, 10.0)),
        )

    def one_of(self, values: Sequence[T]) -> T:
        return self.dice.choice(values)

    def rules(self) -> tuple[RuleSketch, ...]:
        dice, names = self.dice, ("staging", "production", "docs")
        shares = dice.random() < 0.2
        found = []
        for name in names[: self.one_of((1, 1, 2, 2, 3))]:
            when = self.one_of(("branch: main", "branch: main", 'branch: "**"', "tag: v*"))
            is_job = dice.random() < 0.1 and not when.startswith("tag")
            is_elsewhere = dice.random() < 0.08 and not is_job
            is_named = is_job or dice.random() < 0.9
            starts = "deploy" if shares and not is_job else f"{'job' if is_job else 'deploy'}-{name}"
            found.append(RuleSketch(name, when, starts, is_named, is_job, is_elsewhere))
        return tuple(found)

    def workflows(self, rules: tuple[RuleSketch, ...]) -> tuple[Workflow, ...]:
        names = dict.fromkeys(rule.starts for rule in rules if not rule.is_job)
        return (*(self.workflow(name) for name in names), Workflow("build", when={"go": "build"}))

    def workflow(self, name: str) -> Workflow:
        outcome = self.one_of(ENDS)
        if self.dice.random() < 0.1:
            self.reruns[name] = (self.one_of(("success", "failed")),)
        return Workflow(name, when={"go": name}, outcome="failed" if name in self.reruns else outcome)

    def rates(self) -> Rates:
        dice = self.dice
        if dice.random() < 0.15:
            return Rates()
        return Rates(
            trigger=self.one_of((0.0, 0.3, 0.6, 1.0)),
            other=self.one_of((0.0, 0.0, 0.02, 0.1, 0.3)),
            git=self.one_of((0.0, 0.0, 0.1, 1.0)),
            clock=self.one_of((0.0, 0.0, 0.05)),
        )

    def builds(self) -> tuple[Build, ...]:
        return tuple(self.build(index, push) for index, push in enumerate(self.pushes()))

    def pushes(self) -> list[Push]:
        dice, at, pushes = self.dice, 0.0, []
        heads: dict[str, Commit] = {}
        for number in range(self.one_of((1, 1, 2, 2, 3, 4))):
            at += self.one_of((1.0, 5.0, 20.0, 60.0, 400.0)) * dice.uniform(0.5, 1.5)
            ref = self.one_of(("main", "main", "main", "feature", "v1"))
            push = self.push(number, at, ref, heads)
            heads[ref] = push.commit
            pushes.append(push)
        return pushes

    def push(self, number: int, at: float, ref: str, heads: dict[str, Commit]) -> Push:
        kind, before = self.dice.random(), heads.get(ref)
        if before is not None and kind < 0.1:
            return Push(at, ref, ref == "v1", before, moves=False, how="scheduled_pipeline")
        if heads and kind < 0.25:  # the same commit on another branch, or a branch that is set back
            return Push(at, ref, ref == "v1", self.one_of(list(heads.values())))
        parent = None if kind < 0.3 else before or heads.get("main")
        return Push(at, ref, ref == "v1", Commit(sha_of(self.seed, number), parent.sha if parent else None))

    def build(self, index: int, push: Push) -> Build:
        dice = self.dice
        total = self.one_of((0, 0, 0, 1, 3))
        nodes = tuple(
            Node(dice.uniform(0, 90), self.one_of(("success",) * 8 + ("failed", "canceled"))) for _ in range(total)
        )
        pipeline = str(uuid.UUID(sha_of(self.seed, "pipeline", index)[:32]))
        visits = tuple(self.visit(number, total + 1) for number in range(self.one_of((1, 1, 2, 2, 3))))
        return Build(push, pipeline, visits, nodes)

    def visit(self, number: int, total: int) -> Visit:
        dice = self.dice
        is_overlapping = number > 0 and dice.random() < 0.15
        gap = self.one_of((0.5, 3.0)) if is_overlapping else self.one_of((2.0, 10.0, 60.0, 300.0)) if number else 5.0
        return Visit(
            gap=gap * dice.uniform(0.5, 1.5),
            is_overlapping=is_overlapping,
            fuse=self.fuse() if dice.random() < 0.25 else None,
            again="it is wanted" if dice.random() < 0.05 else None,
            confirm=self.one_of((60.0,) * 7 + (0.0, 5.0, 20.0)),
            wait=self.one_of((None, None, None, 20.0, 600.0)),
            cancels=dice.random() < 0.2,
            clock=self.one_of((0.0, 0.0, 0.0, 3.0, -40.0, 4000.0, -90000.0)),
            node=dice.randrange(total) if dice.random() < 0.1 else 0,
            nodes_limit=self.one_of((1800.0,) * 6 + (None, 30.0)),
        )

    def fuse(self) -> Fuse:
        signal = self.one_of((None, ExitCode.INTERRUPTED, ExitCode.TERMINATED))
        from_trigger = self.dice.random() < 0.6
        return Fuse(self.dice.randint(0, 12 if from_trigger else 30), from_trigger, signal)
