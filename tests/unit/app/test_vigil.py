"""Waiting: never silent for long, never beyond its limit, ever further apart."""

from __future__ import annotations

import itertools

import pytest
from fakes import FakeClock, TimedProgress
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.app.vigil import BRISK, CALM, Pace, Patience, Vigil

#: CircleCI docs, configuration reference, `no_output_timeout`
NO_OUTPUT = 600.0
lucks = st.floats(0.0, 1.0, exclude_max=True)
paces = st.sampled_from([BRISK, CALM, Pace(first=30.0, longest=500.0), Pace(first=5000.0, longest=5000.0)])
limits = st.integers(0, 7200).map(float)


def vigil(limit: float = 1800.0, pace: Pace = CALM, luck: float = 0.0) -> tuple[Vigil, FakeClock, TimedProgress]:
    clock = FakeClock(luck=luck)
    progress = TimedProgress(clock=clock)
    return Vigil(clock, progress, limit, pace, "waiting for the tide"), clock, progress


def looks(watch: Vigil, clock: FakeClock) -> list[float]:
    """When somebody looks who looks until the time is up."""
    found = [clock.monotonic()]
    while not watch.has_ended:
        watch.rest()
        found.append(clock.monotonic())
    return found


# Signs of life


@settings(max_examples=60, deadline=None)
@given(limits, paces, lucks)
def test_no_silence_is_longer_than_circleci_allows(limit: float, pace: Pace, luck: float) -> None:
    watch, clock, progress = vigil(limit, pace, luck)
    looks(watch, clock)
    assert progress.longest_silence <= 61.0 < NO_OUTPUT


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3000).map(float), max_size=5))
def test_nor_while_somebody_waits_for_something_else(waits: list[float]) -> None:
    watch, _, progress = vigil(1e9)
    for seconds in waits:
        watch.wait(seconds)
    assert progress.longest_silence <= 61.0


def test_a_sign_of_life_says_how_long_and_how_it_stands() -> None:
    watch, _, progress = vigil(1e9)
    watch.wait(125.0)
    watch.tell("ebb")
    watch.wait(3600.0)
    assert progress.said[:4] == [
        "waiting for the tide (1:00): nothing seen yet",
        "waiting for the tide (2:00): nothing seen yet",
        "ebb",
        "waiting for the tide (3:05): ebb",
    ]
    assert progress.said[-1] == "waiting for the tide (62:05): ebb"


def test_a_line_is_a_sign_of_life_too() -> None:
    watch, clock, progress = vigil(1e9)
    for n in range(10):
        watch.wait(50.0)
        watch.tell(f"change {n}")
    assert progress.said == [f"change {n}" for n in range(10)]
    assert clock.monotonic() == 500.0


def test_only_a_change_is_a_line() -> None:
    watch, _, progress = vigil()
    for state in ("a", "a", "b", "b", "a"):
        watch.tell(state)
    assert progress.said == ["a", "b", "a"]


def test_a_terminal_sees_that_it_goes_on_before_every_sleep() -> None:
    watch, clock, progress = vigil()
    for _ in range(5):
        watch.rest()
    assert len(progress.shown) == len(clock.slept) == 5
    assert progress.shown[-1] == "waiting for the tide (0:15): nothing seen yet"


# The limit


@settings(max_examples=60, deadline=None)
@given(limits, paces, lucks)
def test_the_last_look_is_at_the_limit(limit: float, pace: Pace, luck: float) -> None:
    watch, clock, _ = vigil(limit, pace, luck)
    assert looks(watch, clock)[-1] == pytest.approx(limit, abs=0.01)


def test_nothing_is_waited_for_after_the_limit() -> None:
    watch, clock, _ = vigil(10.0)
    watch.wait(10.0)
    watch.wait(5.0)
    watch.rest()
    assert (clock.slept, watch.has_ended) == ([10.0], True)


@pytest.mark.parametrize("limit", [0.0, -1.0])
def test_without_time_there_is_one_look(limit: float) -> None:
    watch, clock, _ = vigil(limit)
    assert looks(watch, clock) == [0.0]
    assert clock.slept == []


def test_time_that_passes_elsewhere_counts() -> None:
    watch, clock, _ = vigil(10.0)
    clock.sleep(11.0)
    assert watch.has_ended
    watch.rest()
    assert clock.slept == [11.0]


# The pace


def test_the_pauses_grow_to_the_longest() -> None:
    watch, clock, _ = vigil(pace=Pace(first=1.0, longest=6.0))
    for _ in range(6):
        watch.rest()
    assert clock.slept == [1.0, 2.0, 4.0, 6.0, 6.0, 6.0]


@pytest.mark.parametrize(("luck", "expected"), [(0.0, 1.0), (0.5, 1.2), (0.999, 1.4)])
def test_chance_spreads_the_builds_that_began_together(luck: float, expected: float) -> None:
    watch, clock, _ = vigil(luck=luck)
    watch.rest()
    assert clock.slept[0] == pytest.approx(expected, abs=0.01)


@settings(max_examples=60, deadline=None)
@given(lucks)
def test_how_many_looks_the_calm_pace_takes(luck: float) -> None:
    """What the page says: 39 in ten minutes, 72 in twenty, at the most."""
    for limit, most in ((600.0, 39), (1200.0, 72)):
        watch, clock, _ = vigil(limit, CALM, luck)
        assert len(looks(watch, clock)) <= most


@settings(max_examples=60, deadline=None)
@given(lucks)
def test_the_brisk_pace_sees_soon_what_happens_soon(luck: float) -> None:
    watch, clock, _ = vigil(60.0, BRISK, luck)
    found = looks(watch, clock)
    assert found[1] <= 0.55
    assert max(b - a for a, b in itertools.pairwise(found)) <= 5.5
    assert len(found) <= 17


# Patience


@pytest.mark.parametrize(("limit", "is_none", "looking"), [(60.0, False, 60.0), (1.0, False, 10.0), (0.0, True, 10.0)])
def test_what_must_not_be_missed_is_looked_for_all_the_same(limit: float, is_none: bool, looking: float) -> None:  # noqa: FBT001 - a column
    assert (Patience(limit).is_none, Patience(limit).looking) == (is_none, looking)
