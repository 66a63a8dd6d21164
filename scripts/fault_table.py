"""What each fault comes to: one step meets it, and what it says is put beside what happened. For docs/guarantees.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from simulation.invariants import Law
from simulation.schedule import Build, Commit, Node, Push, RuleSketch, Schedule, Visit, sha_of
from simulation.trouble import REFUSED
from simulation.world import World

from deploystep.app.options import Options
from deploystep.core.retry import Repeat
from deploystep.sandbox import FAULTS, Pace, Workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deploystep.circleci.http import Request

ALWAYS = 10_000
TRIGGER, NODES, LIST = "the trigger", "the other nodes", "the list of runs"
RUN, WORKFLOWS = "the created run", "its workflows"
PLACES: dict[str, Callable[[Request], bool]] = {
    TRIGGER: lambda r: r.repeat is Repeat.ONLY_IF_NOT_RECEIVED,
    NODES: lambda r: "/job/" in r.path,
    LIST: lambda r: r.method == "GET" and r.path.endswith("/project/gh/acme/shop/pipeline"),
    RUN: lambda r: r.method == "GET" and "/api/v2/pipeline/" in r.path and not r.path.endswith("/workflow"),
    WORKFLOWS: lambda r: r.method == "GET" and r.path.endswith("/workflow"),
}
#: Examples of the documentation that would not be met, or not be seen, as they are.
INSTEAD = {"redirect:307:http://127.0.0.1:1/": "redirect:307:/"}
#: Those that are also met for longer than anybody waits.
LONGER = {form: f"{form.rpartition(':')[0]}:90" for form in ("late:5", "create-late:5", "late-after-create:5", "429:1")}
#: What is read, and the fault with how often it is met.
READINGS: dict[str, tuple[tuple[str, int], ...]] = {
    NODES: (("siblings:1:failed", 1), ("500", 2), ("500", ALWAYS), ("404", 1)),
    LIST: (("500", 2), ("500", ALWAYS), ("garbage", 1), ("429:90", 1), (REFUSED, ALWAYS), ("404", 1)),
    RUN: (("500", ALWAYS),),
    WORKFLOWS: (("500", 3), ("cut", ALWAYS)),
}


class Row(NamedTuple):
    """One fault, and how `often` it was met.

    `sent` is how many triggers left, `runs` how many were created because of them; `live` of those deploy.
    """

    place: str
    fault: str
    often: str
    exit: str
    outcome: str
    sent: int
    runs: int
    live: int


def at_trigger() -> Iterator[tuple[str, int]]:
    """Every fault that can befall the trigger, with how often it is met."""
    yield REFUSED, 1
    yield REFUSED, ALWAYS
    for name, kind in FAULTS.items():
        if name != "siblings":
            yield INSTEAD.get(kind.form, kind.form), 1
        if kind.form in LONGER:
            yield LONGER[kind.form], 1


def rows() -> Iterator[Row]:
    """Every fault at the trigger, and some of each reading."""
    for fault, count in at_trigger():
        yield _row(TRIGGER, fault, count)
    for place, faults in READINGS.items():
        for fault, count in faults:
            yield _row(place, fault, count)


class _Single(World):
    """A world in which one fault is met at one place, so many times."""

    def __init__(self, place: str, fault: str, count: int) -> None:
        push = Push(1.0, "main", is_tag=False, commit=Commit(sha_of("tested"), None))
        build = Build(
            push, "5034460f-c7c4-4c43-9457-de07e2029e7b", (Visit(5.0, Options("run")),), (Node(2.0, "success"),)
        )
        rules, workflows = (RuleSketch("production", "branch: main", "deploy"),), (Workflow("deploy"),)
        super().__init__(Schedule(0, rules, (build,), workflows, Pace(finish=300.0)), Law())
        self.is_met, self.fault, self.left = PLACES[place], fault, count

    def trouble(self, request: Request) -> str | None:
        if not self.left or not self.is_met(request):
            return None
        self.left -= 1
        return "status:404:not found" if self.fault == "404" else self.fault


def _row(place: str, fault: str, count: int) -> Row:
    world = _Single(place, fault, count)
    world.live_through()
    (report,) = (step.report for step in world.steps)
    if world.wrong or report is None:
        raise RuntimeError(f"{fault} at {place}: {world.wrong}")
    (told,) = report.triggers
    often = {1: "", ALWAYS: ", every time"}.get(count, f", {count} times")
    code, runs = report.exit, world.sandbox.runs
    live = sum(any(w.status == "success" for w in run.workflows) for run in runs)
    exit_code = f"{int(code)} {code.label}"
    return Row(place, fault, often, exit_code, told.outcome.value, len(world.posts), len(runs), live)
