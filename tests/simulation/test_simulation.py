"""Schedules of a seed, in virtual time: whatever happens, the invariants hold, and a seed is always the same story."""

from __future__ import annotations

from collections import Counter

import pytest
from simulation.simulate import simulated, story

#: Seeds that once found something wrong, and what.
FOUND = {
    223: "a trigger raced with a push while lists lagged",
    287: "a failed run that CircleCI was about to rerun by itself did not count",
    305: "an older commit's run among those of rules that share a workflow",
    386: "what was to follow a setup workflow did not count",
    468: "a run that was cancelled while it settled hid one that was alive",
    659: "a job of another commit was taken for the one that was lost, and cancelled",
    1028: "a run that was cancelled hid an older one that had succeeded",
    2128: "an older commit's run was taken for this commit's own",
    2930: "another build's run of a target was taken for the one that was lost",
    3672: "two steps at once sent one rule twice, and its second run was taken for another rule's",
}


@pytest.mark.parametrize("first", range(0, 800, 100))
def test_whatever_happens_the_invariants_hold(first: int) -> None:
    for seed in range(first, first + 100):
        world = simulated(seed)
        assert not world.wrong, story(world)


@pytest.mark.parametrize("seed", FOUND, ids=lambda seed: f"{seed}: {FOUND[seed]}")
def test_what_was_found_once(seed: int) -> None:
    world = simulated(seed)
    assert not world.wrong, story(world)


@pytest.mark.parametrize("seed", [7, 1028, 3672])
def test_a_seed_is_always_the_same_story(seed: int) -> None:
    assert story(simulated(seed)) == story(simulated(seed))


def test_the_schedules_meet_what_they_are_about() -> None:
    """An invariant that nothing ever puts to the test holds for nothing."""
    met: Counter[str] = Counter()
    for seed in range(150):
        world = simulated(seed)
        met.update("killed" if step.report is None else step.report.exit.label for step in world.steps)
        met.update(t.outcome.value for s in world.steps if s.report is not None for t in s.report.triggers)
        met.update(
            text.rpartition("[")[2].partition("]")[0].partition(":")[0] for _, text in world.notes if "[" in text
        )
    expected = {
        *("ok", "undecided", "refused", "unreachable", "uncertain", "stopped", "nothing-runs", "deploy-failed"),
        *("timed-out", "interrupted", "terminated", "killed"),
        *("triggered", "already-triggered", "superseded", "not-sent"),
        *("refused", "close", "close-after-create", "late", "create-late", "cut", "429", "500", "moved", "no-workflow"),
    }
    assert expected <= set(met), expected - set(met)
