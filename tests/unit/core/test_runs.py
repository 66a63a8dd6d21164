"""What CircleCI's words mean, which of several workflows of one name counts, and which earlier run is adopted."""

from datetime import datetime, timedelta, timezone
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from deploystep.core.frozen import replace
from deploystep.core.runs import NEVER_RAN, EarlierRun, NodeState, Run, WorkflowState, adoptable, ends_in_setup, newest

NOON = datetime(2026, 6, 16, 12, 0, tzinfo=timezone.utc)
#: v2 OpenAPI: Workflow.status, and `queued`, which the documentation has too; then what only Job.status and nodes have
ALIVE = ("running", "failing", "on_hold", "queued", "not_running", "blocked", "no such word", "Success", "success ", "")
FAILED = ["failed", "error", "canceled", "unauthorized", "not_run", "timedout", "infrastructure_fail"]
FAILED += ["terminated-unknown"]


def test_every_word() -> None:
    for status in (*ALIVE, "success", *FAILED):
        is_over = (status == "success", status in FAILED)
        for state in (WorkflowState("w", "deploy", status), NodeState(1, status)):
            assert (state.succeeded, state.failed, state.is_active) == (*is_over, not any(is_over)), status
    # a node that was retried has failed, and a workflow goes on
    assert NodeState(1, "retried").failed
    assert WorkflowState("w", "deploy", "retried").is_active
    assert {*FAILED} - {"failed"} > NEVER_RAN


# which workflow counts


def at(seconds: float | None, name: str = "deploy", *, is_setup: bool = False) -> WorkflowState:
    created = None if seconds is None else NOON + timedelta(seconds=seconds)
    return WorkflowState(f"{name}-{seconds}", name, "running", is_setup, created)


def test_where_no_time_tells_the_one_counts_that_may_deploy() -> None:
    for time, count in ((None, 3), (None, 2), (1, 3), (1, 2)):
        states = [replace(at(time), id=word, status=word) for word in ("running", "success", "failed")][-count:]
        assert {newest(some) for some in permutations(states)} == {(states[0],)}


def test_setup_workflows_and_other_names_do_not_count() -> None:
    both = [at(1, "lint"), at(9, is_setup=True), at(2, "deploy"), at(3, "lint")]
    assert newest(both) == (at(3, "lint"), at(2, "deploy"))
    assert newest(both, "deploy") == (at(2, "deploy"),)
    assert newest(both, "Deploy") == newest([at(9, is_setup=True)]) == ()

    for found in permutations([at(n, name) for n, name in enumerate(["a", "b", "a", "b", "a"])]):
        assert {w.created for w in newest(found)} == {NOON + timedelta(seconds=4), NOON + timedelta(seconds=3)}


def test_nothing_comes_after_a_setup_workflow_that_failed() -> None:
    ended = ("failed", "failed canceled")
    for states in (*ended, "", "success", "running", "no word", "failed running", "failed success"):
        setups = [WorkflowState(f"s{n}", "setup", state, is_setup=True) for n, state in enumerate(states.split())]
        has_ended = ends_in_setup([*setups, WorkflowState("w", "deploy", "failed")])
        assert has_ended is (states in ended), "else a later one was run again"


# which earlier run is adopted


def runs(*states: str) -> tuple[EarlierRun, ...]:
    """Earlier runs, newest first; the number of a run is its age."""
    return tuple(EarlierRun(Run(f"run-{n}", n), (WorkflowState(f"w-{n}", "deploy", s),)) for n, s in enumerate(states))


# fmt: off
ADOPTED = {
    "": None, "running": 0, "success": 0, "failed": None, "canceled": None,
    "failed running": 1,  # somebody triggered again, and that failed first
    "success running": 1, "running running": 0, "running success": 0, "running failed": 0,
    "failed success": None,  # the newest that has run decides: what is there now is not deployed
    "canceled success": 1,  # what never ran has undone nothing
    "not_run error unauthorized canceled success": 4, "canceled failed": None, "canceled canceled": None,
    "failed canceled success": None, "canceled failed success": None, "canceled running": 1,
    "success failed": 0, "failed failed failed queued": 3, "success success": 0,
    "no-such-word": 0,  # what nobody knows goes on
}
# fmt: on


def test_what_is_adopted() -> None:
    found = {states: adoptable(runs(*states.split())) for states in ADOPTED}
    assert {states: run and run.run.number for states, run in found.items()} == ADOPTED
    # a run without workflows never ran
    earlier = EarlierRun(Run("run-1"), ())
    assert (earlier.succeeded, earlier.is_active, earlier.failed) == (False, False, True)
    assert adoptable([earlier, *runs("success")]) == runs("success")[0]


histories = st.lists(st.sampled_from([*ALIVE, "success", *FAILED]), max_size=6).map(lambda states: runs(*states))


@given(histories, histories, st.lists(st.sampled_from(sorted(NEVER_RAN)), max_size=3))
def test_what_never_ran_or_ended_long_ago_does_not_matter(
    found: tuple[EarlierRun, ...], older: tuple[EarlierRun, ...], newer: list[str]
) -> None:
    choice = adoptable(found)
    assert choice is None or (choice in found and not choice.failed)
    assert any(e.is_active for e in found) is (choice is not None and choice.is_active)
    assert adoptable(runs(*newer) + found) == choice
    if any(e.status not in NEVER_RAN for e in found):
        assert adoptable(found + tuple(e for e in older if not e.is_active)) == adoptable(found)
