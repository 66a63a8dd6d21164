"""What earlier runs of the same commit mean for a rule that is due again: adopt, fire, or say that nobody can tell."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploystep.core.earlier import Adopt, Ambiguous, Choice, Earlier, Fire, State, choose
from deploystep.core.runs import NEVER_RAN, Run, WorkflowState
from deploystep.core.sharing import Share

ALIVE = ("running", "failing", "on_hold", "queued", "a word that nobody knows")
SUCCEEDED = ("success",)
FAILED = ("failed", "error", "canceled", "unauthorized", "not_run", "infrastructure_fail", "timedout")
WORDS = {State.ALIVE: ALIVE, State.SUCCEEDED: SUCCEEDED, State.FAILED: FAILED}


def runs(*states: str) -> tuple[Earlier, ...]:
    """Earlier runs, newest first; the number of a run is its age."""
    return tuple(Earlier(Run(f"run-{n}", n), WorkflowState(f"w-{n}", "deploy", s)) for n, s in enumerate(states))


def chosen(choice: Choice) -> int | str:
    """The number of the adopted run (0 is the newest), or what is to be done instead."""
    if isinstance(choice, Adopt):
        return choice.earlier.run.number or 0
    return type(choice).__name__


@pytest.mark.parametrize(("state", "status"), [(state, word) for state, words in WORDS.items() for word in words])
def test_how_a_run_stands(state: State, status: str) -> None:
    (earlier,) = runs(status)
    assert earlier.state is state


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((), "Fire"),
        (("running",), 0),
        (("success",), 0),
        (("failed",), "Fire"),
        (("canceled",), "Fire"),
        (("failed", "running"), 1),  # somebody triggered again, and that failed first
        (("success", "running"), 1),
        (("running", "running"), 0),
        (("running", "success"), 0),
        (("running", "failed"), 0),
        (("failed", "success"), "Fire"),  # the newest that has run decides: what is there now is not deployed
        (("canceled", "success"), 1),  # what never ran has undone nothing
        (("not_run", "error", "unauthorized", "canceled", "success"), 4),
        (("canceled", "failed"), "Fire"),
        (("canceled", "canceled"), "Fire"),
        (("failed", "canceled", "success"), "Fire"),
        (("canceled", "failed", "success"), "Fire"),
        (("canceled", "running"), 1),
        (("success", "failed"), 0),
        (("failed", "failed", "failed", "queued"), 3),
        (("success", "success"), 0),
        (("no such word",), 0),  # what nobody knows goes on
    ],
)
def test_one_rule_of_its_own_workflow(states: tuple[str, ...], expected: int | str) -> None:
    assert chosen(choose(runs(*states))) == expected


@pytest.mark.parametrize("states", list(product(["running", "success", "failed"], repeat=3)))
def test_every_three_runs(states: tuple[str, ...]) -> None:
    """The table again, said another way: the newest that is alive; else the newest, unless it failed."""
    alive = [n for n, state in enumerate(states) if state == "running"]
    expected: int | str = alive[0] if alive else 0 if states[0] == "success" else "Fire"
    assert chosen(choose(runs(*states))) == expected


SHARED = [
    # place, count, states, and what comes of it
    (0, 2, (), "Fire"),
    (1, 2, (), "Fire"),
    (0, 2, ("running",), 0),  # the one run is the first rule's
    (1, 2, ("running",), "Fire"),
    (0, 2, ("success", "running"), 1),  # the oldest is the first rule's
    (1, 2, ("success", "running"), 0),
    (0, 3, ("running", "success"), 1),
    (1, 3, ("running", "success"), 0),
    (2, 3, ("running", "success"), "Fire"),
    (0, 2, ("failed",), "Ambiguous"),  # whose it was decides what is to be sent again
    (1, 2, ("failed",), "Ambiguous"),
    (0, 2, ("success", "canceled"), "Ambiguous"),
    (0, 2, ("success", "success", "success"), "Ambiguous"),  # more than there are rules: one was sent again
    (1, 2, ("running", "running", "running"), "Ambiguous"),
]


@pytest.mark.parametrize(("place", "count", "states", "expected"), SHARED)
def test_rules_that_share_a_workflow(place: int, count: int, states: tuple[str, ...], expected: int | str) -> None:
    assert chosen(choose(runs(*states), Share(place, count))) == expected


@pytest.mark.parametrize(("place", "count", "states", "_expected"), SHARED)
def test_rules_that_share_a_workflow_and_are_not_steady(
    place: int, count: int, states: tuple[str, ...], _expected: int | str
) -> None:
    """Which of them was due when a run was made is not known, so neither is whose it is."""
    expected = "Ambiguous" if states else "Fire"
    assert chosen(choose(runs(*states), Share(place, count, is_steady=False))) == expected


def test_what_is_ambiguous_is_all_told() -> None:
    found = runs("running", "failed")
    assert choose(found, Share(0, 2)) == Ambiguous(found)


def test_a_rule_of_its_own_need_not_be_steady() -> None:
    assert chosen(choose(runs("running"), Share(is_steady=False))) == 0


# Laws

words = st.sampled_from([*ALIVE, *SUCCEEDED, *FAILED])
histories = st.lists(words, max_size=6).map(lambda states: runs(*states))
shares = st.integers(1, 4).flatmap(lambda n: st.builds(Share, st.integers(0, n - 1), st.just(n), st.booleans()))


@given(histories)
def test_it_never_fires_beside_one_that_is_alive(found: tuple[Earlier, ...]) -> None:
    choice = choose(found)
    if any(e.workflow.is_active for e in found):
        assert isinstance(choice, Adopt)
        assert choice.earlier.workflow.is_active


@given(histories)
def test_it_never_fires_after_a_success(found: tuple[Earlier, ...]) -> None:
    if found and found[0].workflow.succeeded:
        assert isinstance(choose(found), Adopt)


@given(histories)
def test_it_never_adopts_what_has_failed(found: tuple[Earlier, ...]) -> None:
    choice = choose(found)
    assert not (isinstance(choice, Adopt) and choice.earlier.workflow.failed)
    assert not isinstance(choice, Ambiguous)


@given(histories, histories)
def test_what_ended_long_ago_does_not_matter(found: tuple[Earlier, ...], older: tuple[Earlier, ...]) -> None:
    ended = tuple(e for e in older if not e.workflow.is_active)
    if any(e.workflow.status not in NEVER_RAN for e in found):
        assert choose(found + ended) == choose(found)


@given(histories, st.lists(st.sampled_from(sorted(NEVER_RAN)), max_size=3))
def test_what_never_ran_does_not_matter(found: tuple[Earlier, ...], newer: list[str]) -> None:
    assert choose(runs(*newer) + found) == choose(found)


@given(histories, shares)
def test_whatever_is_adopted_was_there(found: tuple[Earlier, ...], share: Share) -> None:
    choice = choose(found, share)
    assert not isinstance(choice, Adopt) or choice.earlier in found
    assert found or isinstance(choice, Fire)


@given(histories, shares)
def test_of_a_shared_workflow_no_two_rules_adopt_one_run(found: tuple[Earlier, ...], share: Share) -> None:
    of_all = [choose(found, Share(place, share.count, share.is_steady)) for place in range(share.count)]
    adopted = [choice.earlier.run.id for choice in of_all if isinstance(choice, Adopt)]
    assert len(adopted) == len(set(adopted)) or share.count == 1
    if any(isinstance(choice, Ambiguous) for choice in of_all):
        assert all(isinstance(choice, Ambiguous) for choice in of_all), "one that cannot tell stops them all"


@given(st.integers(2, 5), st.lists(st.integers(0, 5), max_size=4), st.sampled_from(["running", "success"]))
def test_reruns_of_rules_that_share_a_workflow_send_each_rule_once(count: int, stops: list[int], status: str) -> None:
    """However often the step is stopped after some sends and run again, every rule has one run, and its own."""
    made: list[Earlier] = []  # oldest first; the name of the run is the rule that made it

    def run_step(most: int) -> None:
        for place in range(count):
            choice = choose(tuple(made[::-1]), Share(place, count))
            if isinstance(choice, Adopt):
                assert choice.earlier.run.id == f"rule-{place}"
            elif most > 0:
                assert isinstance(choice, Fire)
                made.append(Earlier(Run(f"rule-{place}"), WorkflowState("w", "deploy", status)))
                most -= 1
            else:
                return

    for most in [*stops, count]:
        run_step(most)
    assert [e.run.id for e in made] == [f"rule-{place}" for place in range(count)]


@pytest.mark.parametrize(
    ("claimed", "place", "expected"),
    [
        ((), 0, 1),  # the older of two is the first rule's
        ((1,), 1, 0),
        ((), 1, "Ambiguous"),  # whose is the older one, if not that of the rule before?
        ((0,), 1, "Ambiguous"),  # the run of the rule before came after one that nobody claims
        ((0, 1), 1, "Ambiguous"),
        ((1,), 0, "Ambiguous"),
    ],
)
def test_runs_before_a_rules_own_are_those_of_the_rules_before_it(
    claimed: tuple[int, ...], place: int, expected: int | str
) -> None:
    names = frozenset(f"run-{number}" for number in claimed)
    assert chosen(choose(runs("running", "running"), Share(place, 2), names)) == expected
