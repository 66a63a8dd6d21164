"""May it be sent again? More in tests/property/test_retry_laws.py."""

from __future__ import annotations

import pytest

from deploystep.core.retry import DEFAULT, Fate, Policy, Repeat, next_step

ONCE, FREELY = Repeat.ONLY_IF_NOT_RECEIVED, Repeat.FREELY


@pytest.mark.parametrize(
    ("repeat", "fate", "wait"),
    [
        (ONCE, Fate.NOT_RECEIVED, 1.0),
        (ONCE, Fate.RATE_LIMITED, 1.0),
        (ONCE, Fate.UNKNOWN, None),
        (ONCE, Fate.ANSWERED, None),
        (FREELY, Fate.NOT_RECEIVED, 1.0),
        (FREELY, Fate.RATE_LIMITED, 1.0),
        (FREELY, Fate.UNKNOWN, 1.0),
        (FREELY, Fate.ANSWERED, None),
    ],
)
def test_the_whole_table(repeat: Repeat, fate: Fate, wait: float | None) -> None:
    assert next_step(DEFAULT, repeat, 1, fate) == wait


@pytest.mark.parametrize(("attempt", "wait"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, None)])
def test_waits_grow_and_end(attempt: int, wait: float | None) -> None:
    assert next_step(DEFAULT, ONCE, attempt, Fate.NOT_RECEIVED) == wait


@pytest.mark.parametrize(("asked", "wait"), [(0.0, 1), (7.0, 7), (60.0, 60), (60.1, None), (None, 1)])
def test_what_the_server_asks_for(asked: float | None, wait: float | None) -> None:
    assert next_step(DEFAULT, ONCE, 1, Fate.RATE_LIMITED, asked) == wait


def test_waits_are_bounded() -> None:
    assert next_step(Policy(attempts=99), ONCE, 50, Fate.NOT_RECEIVED) == 60.0
