"""What each fault comes to: one step meets it, and what it says is put beside what happened. For docs/guarantees.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulation.invariants import Law
from simulation.schedule import Build, Commit, Node, Push, Rates, RuleSketch, Schedule, Visit, sha_of
from simulation.trouble import REFUSED
from simulation.world import World

from deploystep.core.retry import Repeat
from deploystep.sandbox import FAULTS, Pace, Workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deploystep.circleci.http import Request

ALWAYS = 10_000
TRIGGER = "the trigger"
PLACES: dict[str, Callable[[Request], bool]] = {
    TRIGGER: lambda r: r.repeat is Repeat.ONLY_IF_NOT_RECEIVED,
    "the other nodes": lambda r: "/job/" in r.path,
    "the list of runs": lambda r: r.method == "GET" and r.path.endswith("/project/gh/acme/shop/pipeline"),
    "the created run": lambda r: (
        r.method == "GET" and "/api/v2/pipeline/" in r.path and not r.path.endswith("/workflow")
    ),
    "its workflows": lambda r: r.method == "GET" and r.path.endswith("/workflow"),
}
#: Examples of the documentation that would not be met, or not be seen, as they are.
INSTEAD = {"siblings:1,2:failed": "siblings:1:failed", "redirect:307:http://127.0.0.1:1/": "redirect:307:/"}
#: What is read, the fault, and how often it is met.
READINGS = (
    ("the other nodes", "siblings:1:failed", 1),
    ("the other nodes", "500", 2),
    ("the other nodes", "500", ALWAYS),
    ("the other nodes", "404", 1),
    ("the list of runs", "500", 2),
    ("the list of runs", "500", ALWAYS),
    ("the list of runs", "garbage", 1),
    ("the list of runs", "429:90", 1),
    ("the list of runs", REFUSED, ALWAYS),
    ("the list of runs", "404", 1),
    ("the created run", "500", ALWAYS),
    ("its workflows", "500", 3),
    ("its workflows", "cut", ALWAYS),
)


@dataclass(frozen=True)
class Row:
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


def rows() -> Iterator[Row]:
    """Every fault at the trigger, and some of each reading."""
    yield _row(TRIGGER, REFUSED, 1)
    yield _row(TRIGGER, REFUSED, ALWAYS)
    for kind in FAULTS.values():
        if kind.form.startswith("siblings"):
            continue
        yield _row(TRIGGER, INSTEAD.get(kind.form, kind.form), 1)
        if kind.form in ("late:5", "create-late:5", "late-after-create:5", "429:1"):
            yield _row(TRIGGER, kind.form.replace(":5", ":90").replace(":1", ":90"), 1)
    for place, fault, count in READINGS:
        yield _row(place, fault, count)


class _Single(World):
    """A world in which one fault is met at one place, so many times."""

    def __init__(self, place: str, fault: str, count: int) -> None:
        super().__init__(_schedule(), Law())
        self.place, self.fault, self.count, self._met = place, fault, count, 0

    def trouble(self, request: Request) -> str | None:
        if self._met >= self.count or not PLACES[self.place](request):
            return None
        self._met += 1
        return "status:404:not found" if self.fault == "404" else self.fault


def _schedule() -> Schedule:
    push = Push(1.0, "main", is_tag=False, commit=Commit(sha_of("tested"), None))
    build = Build(push, "5034460f-c7c4-4c43-9457-de07e2029e7b", (Visit(5.0),), (Node(2.0, "success"),))
    return Schedule(
        seed=0,
        rules=(RuleSketch("production", "branch: main", "deploy"),),
        builds=(build,),
        workflows=(Workflow("deploy", when={"go": "deploy"}),),
        pace=Pace(finish=300.0),
        rates=Rates(),
        has_setup=False,
        auto_cancel=False,
        reruns={},
        git_lag=0.0,
    )


def _row(place: str, fault: str, count: int) -> Row:
    world = _Single(place, fault, count)
    world.live_through()
    assert not world.wrong, world.wrong
    (step,) = world.steps
    assert step.report is not None
    (told,) = step.report.triggers
    often = {1: "", ALWAYS: ", every time"}.get(count, f", {count} times")
    code = step.report.exit
    live = sum(any(w.status == "success" for w in run.workflows) for run in world.sandbox.runs)
    return Row(
        place,
        fault,
        often,
        f"{int(code)} {code.label}",
        told.outcome.value,
        len(step.posts),
        len(world.sandbox.runs),
        live,
    )
