"""May it be sent again? More in tests/property/test_retry_laws.py."""

from __future__ import annotations

import pytest

from deploystep.core.retry import DEFAULT, Again, Fate, Policy, Repeat, Step, Stop, next_step

ONCE, FREELY = Repeat.ONLY_IF_NOT_RECEIVED, Repeat.FREELY


@pytest.mark.parametrize(
    ("repeat", "fate", "step"),
    [
        (ONCE, Fate.NOT_RECEIVED, Again(1.0)),
        (ONCE, Fate.RATE_LIMITED, Again(1.0)),
        (ONCE, Fate.UNKNOWN, Stop()),
        (ONCE, Fate.ANSWERED, Stop()),
        (FREELY, Fate.NOT_RECEIVED, Again(1.0)),
        (FREELY, Fate.RATE_LIMITED, Again(1.0)),
        (FREELY, Fate.UNKNOWN, Again(1.0)),
        (FREELY, Fate.ANSWERED, Stop()),
    ],
)
def test_the_whole_table(repeat: Repeat, fate: Fate, step: Step) -> None:
    assert next_step(DEFAULT, repeat, 1, fate) == step


@pytest.mark.parametrize(("attempt", "step"), [(1, Again(1)), (2, Again(2)), (3, Again(4)), (4, Again(8)), (5, Stop())])
def test_waits_grow_and_end(attempt: int, step: Step) -> None:
    assert next_step(DEFAULT, ONCE, attempt, Fate.NOT_RECEIVED) == step


@pytest.mark.parametrize(
    ("asked", "step"), [(0.0, Again(1)), (7.0, Again(7)), (60.0, Again(60)), (60.1, Stop()), (None, Again(1))]
)
def test_what_the_server_asks_for(asked: float | None, step: Step) -> None:
    assert next_step(DEFAULT, ONCE, 1, Fate.RATE_LIMITED, asked) == step


def test_waits_are_bounded() -> None:
    assert next_step(Policy(attempts=99), ONCE, 50, Fate.NOT_RECEIVED) == Again(60.0)
