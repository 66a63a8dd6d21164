"""What CircleCI's words mean, and which of several workflows of one name counts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploystep.core.frozen import replace
from deploystep.core.runs import NEVER_RAN, NodeState, WorkflowState, ends_in_setup, newest

NOON = datetime(2026, 6, 16, 12, 0, tzinfo=timezone.utc)
#: v2 OpenAPI, Workflow.status, and `queued`, which the documentation has too
WORKFLOW_WORDS = {
    "alive": {"running", "failing", "on_hold", "queued"},
    "succeeded": {"success"},
    "failed": {"failed", "error", "canceled", "unauthorized", "not_run"},
}
#: v2 OpenAPI, Job.status; of a node the document says only that it is a text
NODE_WORDS = {
    "alive": {"running", "queued", "not_running", "on_hold", "blocked"},
    "succeeded": {"success"},
    "failed": {
        *("failed", "retried", "infrastructure_fail", "timedout", "terminated-unknown", "canceled"),
        *("unauthorized", "not_run"),
    },
}


@pytest.mark.parametrize(("meaning", "status"), [(m, s) for m, words in WORKFLOW_WORDS.items() for s in sorted(words)])
def test_every_word_for_a_workflow(meaning: str, status: str) -> None:
    workflow = WorkflowState("w", "deploy", status)
    found = {"alive": workflow.is_active, "succeeded": workflow.succeeded, "failed": workflow.failed}
    assert [name for name, holds in found.items() if holds] == [meaning]


@pytest.mark.parametrize(("meaning", "status"), [(m, s) for m, words in NODE_WORDS.items() for s in sorted(words)])
def test_every_word_for_a_node(meaning: str, status: str) -> None:
    node = NodeState(1, status)
    assert (node.succeeded, node.failed) == (meaning == "succeeded", meaning == "failed")


@given(st.text(max_size=12) | st.sampled_from(["Success", "SUCCESS", "success ", "succeeded", ""]))
def test_a_word_that_nobody_knows_goes_on(status: str) -> None:
    known = {word for words in (*WORKFLOW_WORDS.values(), *NODE_WORDS.values()) for word in words}
    if status not in known:
        node = NodeState(1, status)
        assert WorkflowState("w", "deploy", status).is_active
        assert (node.succeeded, node.failed) == (False, False)


def test_what_never_ran_has_ended_badly() -> None:
    assert all(WorkflowState("w", "deploy", status).failed for status in NEVER_RAN)
    assert "failed" not in NEVER_RAN


def at(seconds: float | None, name: str = "deploy", *, is_setup: bool = False) -> WorkflowState:
    created = None if seconds is None else NOON + timedelta(seconds=seconds)
    return WorkflowState(f"{name}-{seconds}", name, "running", is_setup, created)


@pytest.mark.parametrize("time", [None, 1])
def test_where_no_time_tells_the_one_counts_that_may_deploy(time: int | None) -> None:
    states = [replace(at(time), id=word, status=word) for word in ("running", "success", "failed")]
    for some in permutations(states):
        assert newest(some) == (states[0],)
        assert newest([w for w in some if w.id != "running"]) == (states[1],)


def test_setup_workflows_do_not_count() -> None:
    assert newest([at(9, is_setup=True), at(1)]) == (at(1),)
    assert newest([at(9, is_setup=True)]) == ()


@pytest.mark.parametrize(
    ("states", "ends"),
    [
        *(([], False), (["failed"], True), (["canceled"], True), (["success"], False), (["running"], False)),
        (["a word that nobody knows"], False),
        (["failed", "running"], False),  # it was run again
        (["failed", "success"], False),
        (["failed", "failed"], True),
    ],
)
def test_nothing_comes_after_a_setup_workflow_that_failed(states: list[str], ends: bool) -> None:  # noqa: FBT001 - a column
    setups = [WorkflowState(f"s{n}", "setup", state, is_setup=True) for n, state in enumerate(states)]
    assert ends_in_setup(setups) is ends
    assert ends_in_setup([*setups, WorkflowState("w", "deploy", "failed")]) is ends


def test_with_a_name_only_that_one() -> None:
    both = [at(1, "lint"), at(2, "deploy"), at(3, "lint")]
    assert newest(both) == (at(3, "lint"), at(2, "deploy"))
    assert newest(both, "deploy") == (at(2, "deploy"),)
    assert newest(both, "Deploy") == ()


@given(st.permutations([at(n, name) for n, name in enumerate(["a", "b", "a", "b", "a"])]))
def test_the_order_of_a_list_is_not_trusted(found: list[WorkflowState]) -> None:
    assert {w.created for w in newest(found)} == {NOON + timedelta(seconds=4), NOON + timedelta(seconds=3)}
