"""Simulate schedules: `SEEDS` is a count, or a range such as 1000..2000. A seed that fails is shown, and replays."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from simulation.invariants import Excuse, Law
from simulation.schedule import draw, with_gates
from simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable


def simulated(seed: int, *, gates: bool = False) -> World:
    """The world after everything of one schedule has happened; with `gates`, most steps are `gate`."""
    world = World(with_gates(draw(seed)) if gates else draw(seed), Law())
    world.live_through()
    return world


def story(world: World) -> str:
    """What was to happen, what happened, and what is wrong: enough to see why."""
    lines = [f"seed {world.schedule.seed}", *world.schedule.lines(), ""]
    lines += [f"{moment:9.2f}  {text}" for moment, text in world.notes]
    lines += ["", "what it came to:"]
    for run in world.sandbox.runs:
        workflows = ", ".join(f"{w.name} {w.status}" for w in run.workflows)
        lines.append(f"{run.number:9} {run.branch or run.tag} {run.revision[:7]} {dict(run.parameters)}: {workflows}")
    return "\n".join([*lines, "", *world.wrong])


def seeds_of(text: str) -> Iterable[int]:
    first, dots, last = text.partition("..")
    return range(int(first), int(last)) if dots else range(int(first))


def main(arguments: list[str]) -> int:
    began, failed, count = time.monotonic(), [], 0
    excused: Counter[Excuse] = Counter()
    exits: Counter[str] = Counter()
    for seed in seeds_of(arguments[0] if arguments else "3000"):
        count += 1
        world = simulated(seed)
        excused += world.excused
        exits.update(s.report.exit.label if s.report else "killed" for s in world.steps)
        if world.wrong:
            failed.append(f"seed {seed}: {world.wrong[0]}; replay it with  make simulate SEEDS={seed}..{seed + 1}")
            if len(failed) == 1:
                print(story(world))
    print(*failed[:40], sep="\n")
    passed = time.monotonic() - began
    rate = f"{count} schedules in {passed:.1f} s ({count / passed * 60:.0f} a minute)"
    print(f"{rate}, {len(failed)} with something wrong")
    print("steps that ended with: " + ", ".join(f"{n} {k}" for k, n in exits.most_common()))
    print(*(f"{excused[excuse]:8}  {excuse.name}" for excuse in Excuse), sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
