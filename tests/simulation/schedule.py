"""What happens in one simulation, drawn from a seed: rules, commits, builds, and how much goes wrong."""

import hashlib
import random
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from deploystep.app.options import Options
from deploystep.core.errors import ExitCode
from deploystep.sandbox import Pace, Workflow

SHOP = "gh/acme/shop"
#: The projects that targets name, each built on its branch trunk.
TARGETS = {"deployer": "gh/acme/deployer", "mobile": "gh/acme/mobile"}
#: A config that takes every parameter and uses none: its runs do not show what they were sent.
SILENT = "version: 2.1\njobs: {deploy: {docker: [{image: cimg/base:stable}], steps: [{run: ./deploy.sh}]}}\n"
ENDS = ("success",) * 12 + ("failed", "failed", "on_hold", "running", "failing", "canceled")
ENDINGS = (None, ExitCode.INTERRUPTED, ExitCode.TERMINATED)


class RuleSketch(NamedTuple):
    """One rule. `starts` is its workflow, or with `is_job` its job; `is_named` is whether the rule says so."""

    name: str
    when: str
    starts: str
    is_named: bool = True
    is_job: bool = False
    target: str = ""  # a target's name, empty for this project
    is_keyed: bool = False  # it sends the deploy key
    has_region: bool = False  # it sends a variable of the environment

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

    @property
    def is_known_by_name(self) -> bool:
        return self.is_named and not self.target


class Commit(NamedTuple):
    sha: str
    parent: str | None
    committed: float | None = 0.0  # seconds after its first push, by the committer's clock; None is not known


class Push(NamedTuple):
    """A branch or tag gets to a commit, and CircleCI builds it."""

    at: float
    ref: str
    is_tag: bool
    commit: Commit
    moves: bool = True
    how: str = "webhook"  # who started the build
    others: int = 0  # builds of another branch, and of this one long ago, that lists hold too (a target's: trunk's)


class Fuse(NamedTuple):
    """The step ends in the middle: `after` so many moments (`from_trigger`: since its first trigger). None kills."""

    after: int
    from_trigger: bool
    signal: ExitCode | None


class Visit(NamedTuple):
    """One time that the step runs in a build: `gap` seconds after the one before has ended, or begun."""

    gap: float
    options: Options
    is_overlapping: bool = False
    fuse: Fuse | None = None
    clock: float = 0.0
    node: int = 0
    region: str = "eu"
    is_ssh: bool = False


class Node(NamedTuple):
    after: float
    status: str


class Build(NamedTuple):
    push: Push
    pipeline: str
    visits: tuple[Visit, ...]
    nodes: tuple[Node, ...]


class Rates(NamedTuple):
    """How likely things go wrong, from 0 to 1."""

    trigger: float = 0.0
    other: float = 0.0  # any other request
    git: float = 0.0
    clock: float = 0.0


class Schedule(NamedTuple):
    seed: int
    rules: tuple[RuleSketch, ...]
    builds: tuple[Build, ...]
    workflows: tuple[Workflow, ...]
    pace: Pace
    rates: Rates = Rates()
    has_setup: bool = False
    auto_cancel: bool = False
    reruns: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    git_lag: float = 0.0
    silent: tuple[str, ...] = ()  # projects whose runs show no key
    skips: tuple[str, ...] = ()  # workflows whose first run skips its job

    @property
    def file(self) -> str:
        used = sorted({rule.target for rule in self.rules} - {""})
        targets = [f"  {name}: {{project: {TARGETS[name]}, branch: trunk}}\n" for name in used]
        head = "version: 1\n" + "".join(["targets:\n", *targets] if used else [])
        return head + "rules:\n" + "".join(rule.text() for rule in self.rules)


def with_gates(schedule: Schedule) -> Schedule:
    """The same with `gate` in the place of `run` in most steps, more of which end in the middle."""
    dice = random.Random(f"{schedule.seed} gate")  # noqa: S311 - it must be the same again

    def gated(visit: Visit) -> Visit:
        if dice.random() < 0.2:
            return visit
        old, rule = visit.options, dice.choice(schedule.rules).name
        options = Options("gate", rule=rule, execute=("./deploy.sh",), dry_run=dice.random() < 0.05, nodes=old.nodes)
        signal = dice.choice(ENDINGS)
        fuse = Fuse(dice.randint(0, 12), from_trigger=False, signal=signal) if dice.random() < 0.4 else None
        return visit._replace(options=options, fuse=fuse, is_ssh=dice.random() < 0.05)

    builds = tuple(b._replace(visits=tuple(gated(visit) for visit in b.visits)) for b in schedule.builds)
    return schedule._replace(builds=builds)


def sha_of(*parts: object) -> str:
    return hashlib.sha1(repr(parts).encode(), usedforsecurity=False).hexdigest()


def uuid_of(*parts: object) -> str:
    return str(uuid.UUID(sha_of(*parts)[:32]))


def draw(seed: int) -> Schedule:
    dice = random.Random(seed)  # noqa: S311 - it must be the same again
    one_of, reruns, rules = dice.choice, dict[str, tuple[str, ...]](), _rules(dice)

    def workflow(name: str) -> Workflow:
        outcome = one_of(ENDS)
        if dice.random() < 0.1:
            reruns[name] = (one_of(("success", "failed")),)
        return Workflow(name, when={"go": name}, outcome="failed" if name in reruns else outcome)

    names = dict.fromkeys(rule.starts for rule in rules if not rule.is_job)
    workflows = (*map(workflow, names), Workflow("build", when={"go": "build"}))
    pushes = (push._replace(others=one_of((0,) * 23 + (30,))) for push in _pushes(dice, seed))
    builds = tuple(_build(dice, seed, number, push) for number, push in enumerate(pushes))
    pace = Pace(
        appear=one_of((0.2, 0.2, 1.0, 3.0, 20.0, 70.0)),
        finish=one_of((2.0, 30.0, 30.0, 200.0)),
        listed=one_of((0.0,) * 6 + (1.0, 3.0, 8.0, 40.0)),
        form=one_of((0.1, 0.1, 0.1, 2.0, 30.0, 100.0)),
    )
    of_rates = (0.0, 0.3, 0.6, 1.0), (0.0, 0.0, 0.02, 0.1, 0.3), (0.0, 0.0, 0.1, 1.0), (0.0, 0.0, 0.05)
    rates = Rates() if dice.random() < 0.15 else Rates(*map(one_of, of_rates))
    has_setup, auto_cancel = dice.random() < 0.1, dice.random() < 0.3
    git_lag = one_of((0.0, 0.0, 0.0, 2.0, 10.0, 45.0, 120.0))
    silent = tuple(p for p in (SHOP, *TARGETS.values()) if dice.random() < 0.08)
    skips = tuple(w.name for w in workflows if dice.random() < 0.1)
    changes = (has_setup, auto_cancel, reruns, git_lag, silent, skips)
    return Schedule(seed, rules, builds, workflows, pace, rates, *changes)


def _rules(dice: random.Random) -> tuple[RuleSketch, ...]:
    one_of, names, found = dice.choice, ("staging", "production", "docs"), list[RuleSketch]()
    shares, keyed = dice.random() < 0.4, one_of((0.0, 0.5, 1.0))
    for name in names[: one_of((1, 1, 2, 2, 3))]:
        when = one_of(("branch: main", "branch: main", 'branch: "**"', "tag: v*"))
        is_job = dice.random() < 0.1 and not when.startswith("tag")
        target = one_of(tuple(TARGETS)) if dice.random() < 0.2 and not is_job else ""
        is_named = is_job or dice.random() < 0.85
        starts = "deploy" if shares and not is_job else f"{'job' if is_job else 'deploy'}-{name}"
        is_keyed, has_region = dice.random() < keyed, dice.random() < 0.1
        found.append(RuleSketch(name, when, starts, is_named, is_job, target, is_keyed, has_region))
    return tuple(found)


def _pushes(dice: random.Random, seed: int) -> list[Push]:
    at, pushes, heads, one_of = 0.0, list[Push](), dict[str, Commit](), dice.choice
    for number in range(one_of((1, 1, 2, 2, 3, 4))):
        at += one_of((1.0, 5.0, 20.0, 60.0, 400.0)) * dice.uniform(0.5, 1.5)
        ref = one_of(("main", "main", "main", "feature", "v1"))
        kind, before = dice.random(), heads.get(ref)
        if before is not None and kind < 0.15:
            push = Push(at, ref, ref == "v1", before, moves=False, how="scheduled_pipeline")
        elif heads and kind < 0.3:  # the same commit on another branch, or a branch that is set back
            push = Push(at, ref, ref == "v1", one_of(list(heads.values())))
        else:
            parent = None if kind < 0.35 else before or heads.get("main")
            committed = one_of((0.0, 0.0, -300.0, -260_000.0, 3000.0, None))
            push = Push(at, ref, ref == "v1", Commit(sha_of(seed, number), parent.sha if parent else None, committed))
        heads[ref] = push.commit
        pushes.append(push)
    return pushes


def _build(dice: random.Random, seed: int, index: int, push: Push) -> Build:
    total, ends = dice.choice((0, 0, 0, 1, 3)), ("success",) * 8 + ("failed", "canceled")
    nodes = tuple(Node(dice.uniform(0, 90), dice.choice(ends)) for _ in range(total))
    visits = tuple(_visit(dice, number, total + 1) for number in range(dice.choice((1, 1, 2, 2, 3))))
    return Build(push, uuid_of(seed, "pipeline", index), visits, nodes)


def _visit(dice: random.Random, number: int, total: int) -> Visit:
    one_of, fuse = dice.choice, None
    is_overlapping = number > 0 and dice.random() < 0.15
    gap = one_of((0.5, 3.0)) if is_overlapping else one_of((2.0, 10.0, 60.0, 300.0)) if number else 5.0
    gap *= dice.uniform(0.5, 1.5)
    if dice.random() < 0.25:
        signal, from_trigger = one_of(ENDINGS), dice.random() < 0.6
        fuse = Fuse(dice.randint(0, 16 if from_trigger else 40), from_trigger, signal)
    again = "it is wanted" if dice.random() < 0.05 else None
    confirm, wait = one_of((60.0,) * 5 + (45.0, 45.0, 0.0, 5.0, 20.0)), one_of((None, None, None, 20.0, 600.0))
    given: dict[str, Any] = {"again": again, "confirm": confirm, "wait": wait}
    given["cancel_on_interrupt"] = dice.random() < 0.2
    clock, region = one_of((0.0, 0.0, 0.0, 3.0, -40.0, 4000.0, -90000.0)), one_of(("eu", "eu", "us"))
    node = dice.randrange(total) if dice.random() < 0.1 else 0
    given["nodes"], given["nodes_timeout"] = one_of((("all", 1800.0),) * 6 + (("first", 1800.0), ("all", 30.0)))
    return Visit(gap, Options("run", **given), is_overlapping, fuse, clock, node, region)
