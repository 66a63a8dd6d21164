"""What earlier runs of the same commit mean for a rule that is due again: adopt one, or fire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploystep.core.earlier import EarlierRun, adoptable
from deploystep.core.runs import NEVER_RAN, Run, WorkflowState

ACTIVE = ("running", "failing", "on_hold", "queued", "a word that nobody knows")
FAILED = ("failed", "error", "canceled", "unauthorized", "not_run", "infrastructure_fail", "timedout")


def runs(*states: str) -> tuple[EarlierRun, ...]:
    """Earlier runs, newest first; the number of a run is its age."""
    return tuple(EarlierRun(Run(f"run-{n}", n), (WorkflowState(f"w-{n}", "deploy", s),)) for n, s in enumerate(states))


def adopted(*states: str) -> int | None:
    """The number of the adopted run (0 is the newest); None where it fires."""
    found = adoptable(runs(*states))
    return None if found is None else found.run.number


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("", None),
        ("running", 0),
        ("success", 0),
        ("failed", None),
        ("canceled", None),
        ("failed running", 1),  # somebody triggered again, and that failed first
        ("success running", 1),
        ("running running", 0),
        ("running success", 0),
        ("running failed", 0),
        ("failed success", None),  # the newest that has run decides: what is there now is not deployed
        ("canceled success", 1),  # what never ran has undone nothing
        ("not_run error unauthorized canceled success", 4),
        ("canceled failed", None),
        ("canceled canceled", None),
        ("failed canceled success", None),
        ("canceled failed success", None),
        ("canceled running", 1),
        ("success failed", 0),
        ("failed failed failed queued", 3),
        ("success success", 0),
        ("no-such-word", 0),  # what nobody knows goes on
    ],
)
def test_what_is_adopted(states: str, expected: int | None) -> None:
    assert adopted(*states.split()) == expected


def test_a_run_without_workflows_never_ran() -> None:
    earlier = EarlierRun(Run("run-1"), ())
    assert (earlier.succeeded, earlier.is_active, earlier.failed, earlier.never_ran) == (False, False, True, True)


histories = st.lists(st.sampled_from([*ACTIVE, "success", *FAILED]), max_size=6).map(lambda states: runs(*states))


@given(histories)
def test_it_never_fires_beside_one_that_is_active_nor_after_a_success(found: tuple[EarlierRun, ...]) -> None:
    choice = adoptable(found)
    assert choice is None or (choice in found and not choice.failed)
    if any(e.is_active for e in found):
        assert choice is not None
        assert choice.is_active
    elif found and found[0].succeeded:
        assert choice == found[0]


@given(histories, histories)
def test_what_ended_long_ago_does_not_matter(found: tuple[EarlierRun, ...], older: tuple[EarlierRun, ...]) -> None:
    if any(e.status not in NEVER_RAN for e in found):
        assert adoptable(found + tuple(e for e in older if not e.is_active)) == adoptable(found)


@given(histories, st.lists(st.sampled_from(sorted(NEVER_RAN)), max_size=3))
def test_what_never_ran_does_not_matter(found: tuple[EarlierRun, ...], newer: list[str]) -> None:
    assert adoptable(runs(*newer) + found) == adoptable(found)
