"""What happens in one simulation, drawn from a seed: rules, commits, builds, and how much goes wrong."""

from __future__ import annotations

import hashlib
import random
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from deploystep.app.options import Options
from deploystep.core.errors import ExitCode
from deploystep.sandbox import Pace, Workflow

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOP = "gh/acme/shop"
#: The projects that targets name, each built on its branch trunk.
TARGETS = {"deployer": "gh/acme/deployer", "mobile": "gh/acme/mobile"}
#: A config that takes every parameter and uses none: its runs do not show what they were sent.
SILENT = "version: 2.1\njobs: {deploy: {docker: [{image: cimg/base:stable}], steps: [{run: ./deploy.sh}]}}\n"
ENDS = ("success",) * 12 + ("failed", "failed", "on_hold", "running", "failing", "canceled")


@dataclass(frozen=True)
class RuleSketch:
    """One rule. `starts` is its workflow, or with `is_job` its job; `is_named` is whether the rule says so.

    With `is_keyed` it sends the deploy key, with `has_region` a variable of the environment. `target` is a target's
    name, empty for this project.
    """

    name: str
    when: str
    starts: str
    is_named: bool = True
    is_job: bool = False
    target: str = ""
    is_keyed: bool = False
    has_region: bool = False

    def text(self) -> str:
        sent = [f"go: {self.starts}", f"rule: {self.name}", "sha: '${CIRCLE_SHA1}'"]
        sent += ["deploy_key: '${deploy.key}'"] if self.is_keyed else []
        sent += ["region: '${REGION}'"] if self.has_region else []
        deploy = [f"parameters: {{{', '.join(sent)}}}"]
        deploy += [f"{'job' if self.is_job else 'workflow'}: {self.starts}"] if self.is_named else []
        deploy += [f"to: {self.target}"] if self.target else []
        when = f"{self.when}, env: {{REGION: '*'}}" if self.has_region else self.when
        return f"  - name: {self.name}\n    when: {{{when}}}\n    deploy: {{{', '.join(deploy)}}}\n"

    def fires(self, ref: str, *, is_tag: bool) -> bool:
        """Whether it is due in a build of this branch or tag: what the product must find too."""
        return self.when.startswith("tag") if is_tag else self.when in (f"branch: {ref}", 'branch: "**"')

    @property
    def project(self) -> str:
        return TARGETS.get(self.target, SHOP)


@dataclass(frozen=True)
class Commit:
    """A commit; `committed` is how many seconds after its first push, by the committer's clock. None is not known."""

    sha: str
    parent: str | None
    committed: float | None = 0.0


@dataclass(frozen=True)
class Push:
    """A branch or tag gets to a commit, and CircleCI builds it. `how` is who started the build.

    `others` is how many builds of another branch, and of this one long ago, the lists hold too (a target's: trunk's).
    """

    at: float
    ref: str
    is_tag: bool
    commit: Commit
    moves: bool = True
    how: str = "webhook"
    others: int = 0


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
    options: Options
    is_overlapping: bool = False
    fuse: Fuse | None = None
    clock: float = 0.0
    node: int = 0
    region: str = "eu"
    is_ssh: bool = False


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
    """`silent` are the projects whose runs show no key, `skips` the workflows whose first run skips its job."""

    seed: int
    rules: tuple[RuleSketch, ...]
    builds: tuple[Build, ...]
    workflows: tuple[Workflow, ...]
    pace: Pace
    rates: Rates = Rates()
    has_setup: bool = False
    auto_cancel: bool = False
    reruns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    git_lag: float = 0.0
    silent: tuple[str, ...] = ()
    skips: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The rule file."""
        used = sorted({rule.target for rule in self.rules} - {""})
        targets = [f"  {name}: {{project: {TARGETS[name]}, branch: trunk}}\n" for name in used]
        head = "version: 1\n" + "".join(["targets:\n", *targets] if used else [])
        return head + "rules:\n" + "".join(rule.text() for rule in self.rules)

    def lines(self) -> list[str]:
        """What is to happen, for people."""
        lines = [*self.file.splitlines(), repr(replace(self, builds=()))]
        for build in self.builds:
            lines += [f"{build.pipeline}: {build.push}", *(f"    {node}" for node in build.nodes)]
            lines += [f"    {visit}" for visit in build.visits]
        return lines


def draw(seed: int) -> Schedule:
    """The schedule of a seed: always the same."""
    return _Draw(seed).schedule()


def with_gates(schedule: Schedule) -> Schedule:
    """The same with `gate` in the place of `run` in most steps, more of which end in the middle."""
    dice = random.Random(f"{schedule.seed} gate")  # noqa: S311 - it must be the same again

    def gated(visit: Visit) -> Visit:
        if dice.random() < 0.2:
            return visit
        old, rule = visit.options, dice.choice(schedule.rules).name
        options = Options("gate", rule=rule, execute=("./deploy.sh",), dry_run=dice.random() < 0.05, nodes=old.nodes)
        signal = dice.choice((None, ExitCode.INTERRUPTED, ExitCode.TERMINATED))
        fuse = Fuse(dice.randint(0, 12), from_trigger=False, signal=signal) if dice.random() < 0.4 else None
        return replace(visit, options=options, fuse=fuse, is_ssh=dice.random() < 0.05)

    builds = tuple(replace(b, visits=tuple(gated(visit) for visit in b.visits)) for b in schedule.builds)
    return replace(schedule, builds=builds)


def sha_of(*parts: object) -> str:
    return hashlib.sha1(repr(parts).encode(), usedforsecurity=False).hexdigest()


def uuid_of(*parts: object) -> str:
    return str(uuid.UUID(sha_of(*parts)[:32]))


class _Draw:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.reruns: dict[str, tuple[str, ...]] = {}
        self.dice = random.Random(seed)  # noqa: S311 - it must be the same again
        self.one_of = self.dice.choice

    def schedule(self) -> Schedule:
        dice = self.dice
        rules = self.rules()
        workflows = self.workflows(rules)
        return Schedule(
            seed=self.seed,
            rules=rules,
            builds=self.builds(),
            workflows=workflows,
            pace=Pace(
                appear=self.one_of((0.2, 0.2, 1.0, 3.0, 20.0, 70.0)),
                finish=self.one_of((2.0, 30.0, 30.0, 200.0)),
                listed=self.one_of((0.0,) * 6 + (1.0, 3.0, 8.0, 40.0)),
                form=self.one_of((0.1, 0.1, 0.1, 2.0, 30.0, 100.0)),
            ),
            rates=self.rates(),
            has_setup=dice.random() < 0.1,
            auto_cancel=dice.random() < 0.3,
            reruns=self.reruns,
            git_lag=self.one_of((0.0, 0.0, 0.0, 2.0, 10.0, 45.0, 120.0)),
            silent=tuple(p for p in (SHOP, *TARGETS.values()) if dice.random() < 0.08),
            skips=tuple(w.name for w in workflows if dice.random() < 0.1),
        )

    def rules(self) -> tuple[RuleSketch, ...]:
        dice, names = self.dice, ("staging", "production", "docs")
        shares = dice.random() < 0.4
        keyed = self.one_of((0.0, 0.5, 1.0))
        found = []
        for name in names[: self.one_of((1, 1, 2, 2, 3))]:
            when = self.one_of(("branch: main", "branch: main", 'branch: "**"', "tag: v*"))
            is_job = dice.random() < 0.1 and not when.startswith("tag")
            target = self.one_of(tuple(TARGETS)) if dice.random() < 0.2 and not is_job else ""
            is_named = is_job or dice.random() < 0.85
            starts = "deploy" if shares and not is_job else f"{'job' if is_job else 'deploy'}-{name}"
            is_keyed, has_region = dice.random() < keyed, dice.random() < 0.1
            found.append(RuleSketch(name, when, starts, is_named, is_job, target, is_keyed, has_region))
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
        if self.dice.random() < 0.15:
            return Rates()
        return Rates(
            trigger=self.one_of((0.0, 0.3, 0.6, 1.0)),
            other=self.one_of((0.0, 0.0, 0.02, 0.1, 0.3)),
            git=self.one_of((0.0, 0.0, 0.1, 1.0)),
            clock=self.one_of((0.0, 0.0, 0.05)),
        )

    def builds(self) -> tuple[Build, ...]:
        pushes = (replace(push, others=self.one_of((0,) * 23 + (30,))) for push in self.pushes())
        return tuple(self.build(index, push) for index, push in enumerate(pushes))

    def pushes(self) -> list[Push]:
        at, pushes, heads = 0.0, [], dict[str, Commit]()
        for number in range(self.one_of((1, 1, 2, 2, 3, 4))):
            at += self.one_of((1.0, 5.0, 20.0, 60.0, 400.0)) * self.dice.uniform(0.5, 1.5)
            ref = self.one_of(("main", "main", "main", "feature", "v1"))
            push = self.push(number, at, ref, heads)
            heads[ref] = push.commit
            pushes.append(push)
        return pushes

    def push(self, number: int, at: float, ref: str, heads: dict[str, Commit]) -> Push:
        kind, before = self.dice.random(), heads.get(ref)
        if before is not None and kind < 0.15:
            return Push(at, ref, ref == "v1", before, moves=False, how="scheduled_pipeline")
        if heads and kind < 0.3:  # the same commit on another branch, or a branch that is set back
            return Push(at, ref, ref == "v1", self.one_of(list(heads.values())))
        parent = None if kind < 0.35 else before or heads.get("main")
        committed = self.one_of((0.0, 0.0, -300.0, -260_000.0, 3000.0, None))
        commit = Commit(sha_of(self.seed, number), parent.sha if parent else None, committed)
        return Push(at, ref, ref == "v1", commit)

    def build(self, index: int, push: Push) -> Build:
        dice = self.dice
        total = self.one_of((0, 0, 0, 1, 3))
        nodes = tuple(
            Node(dice.uniform(0, 90), self.one_of(("success",) * 8 + ("failed", "canceled"))) for _ in range(total)
        )
        visits = tuple(self.visit(number, total + 1) for number in range(self.one_of((1, 1, 2, 2, 3))))
        return Build(push, uuid_of(self.seed, "pipeline", index), visits, nodes)

    def visit(self, number: int, total: int) -> Visit:
        dice = self.dice
        is_overlapping = number > 0 and dice.random() < 0.15
        gap = self.one_of((0.5, 3.0)) if is_overlapping else self.one_of((2.0, 10.0, 60.0, 300.0)) if number else 5.0
        gap *= dice.uniform(0.5, 1.5)
        fuse = self.fuse() if dice.random() < 0.25 else None
        again = "it is wanted" if dice.random() < 0.05 else None
        confirm, wait = (
            self.one_of((60.0,) * 5 + (45.0, 45.0, 0.0, 5.0, 20.0)),
            self.one_of((None, None, None, 20.0, 600.0)),
        )
        cancels = dice.random() < 0.2
        clock = self.one_of((0.0, 0.0, 0.0, 3.0, -40.0, 4000.0, -90000.0))
        region = self.one_of(("eu", "eu", "us"))
        node = dice.randrange(total) if dice.random() < 0.1 else 0
        nodes, limit = self.one_of((("all", 1800.0),) * 6 + (("first", 1800.0), ("all", 30.0)))
        options = Options(
            "run",
            again=again,
            confirm=confirm,
            wait=wait,
            cancel_on_interrupt=cancels,
            nodes=nodes,
            nodes_timeout=limit,
        )
        return Visit(gap, options, is_overlapping, fuse, clock, node, region)

    def fuse(self) -> Fuse:
        signal = self.one_of((None, ExitCode.INTERRUPTED, ExitCode.TERMINATED))
        from_trigger = self.dice.random() < 0.6
        return Fuse(self.dice.randint(0, 16 if from_trigger else 40), from_trigger, signal)
