"""Simulate schedules: `SEEDS` is a count, or a range such as 1000..2000. A seed that fails is shown, and replays."""

import sys
import time
from collections import Counter

from simulation.invariants import Excuse, Law
from simulation.schedule import draw, with_gates
from simulation.world import World


def simulated(seed: int, *, gates: bool = False) -> World:
    """The world after everything of one schedule has happened; with `gates`, most steps are `gate`."""
    world = World(with_gates(draw(seed)) if gates else draw(seed), Law())
    world.live_through()
    return world


def ends_of(world: World) -> list[str]:
    return ["killed" if step.report is None else step.report.exit.label for step in world.steps]


def story(world: World) -> str:
    """What was to happen, what happened, and what is wrong: enough to see why."""
    schedule = world.schedule
    lines = [f"seed {schedule.seed}", *schedule.file.splitlines(), repr(schedule._replace(builds=()))]
    for build in schedule.builds:
        lines += [f"{build.pipeline}: {build.push}", *(f"    {each}" for each in (*build.nodes, *build.visits))]
    lines += ["", *(f"{moment:9.2f}  {text}" for moment, text in world.notes), "", "what it came to:"]
    for run in world.sandbox.runs:
        workflows = ", ".join(f"{w.name} {w.status}" for w in run.workflows)
        lines.append(f"{run.number:9} {run.branch or run.tag} {run.revision[:7]} {dict(run.parameters)}: {workflows}")
    return "\n".join([*lines, "", *world.wrong])


def main(arguments: list[str]) -> int:
    first, dots, last = (arguments or ["3000"])[0].partition("..")
    seeds = range(int(first), int(last)) if dots else range(int(first))
    began, excused, ends, failed = time.monotonic(), Counter[Excuse](), Counter[str](), list[str]()
    for seed in seeds:
        world = simulated(seed)
        excused += world.excused
        ends.update(ends_of(world))
        if world.wrong:
            failed.append(f"seed {seed}: {world.wrong[0]}; replay it with  make simulate SEEDS={seed}..{seed + 1}")
            if len(failed) == 1:
                print(story(world))
    passed = time.monotonic() - began
    rate = f"{len(seeds)} schedules in {passed:.1f} s ({len(seeds) / passed * 60:.0f} a minute)"
    print(*failed[:40], f"{rate}, {len(failed)} with something wrong", sep="\n")
    print("steps that ended with: " + ", ".join(f"{n} {k}" for k, n in ends.most_common()))
    print(*(f"{excused[excuse]:8}  {excuse.name}" for excuse in Excuse), sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
