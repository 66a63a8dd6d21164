"""The other nodes: believed only when they have certainly succeeded, asked about politely, and never for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import SHOP, build
from fakes import FakeClock, ScriptedTransport, TimedProgress, answer, lost, refused_connection
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.app.courier import Courier
from deploystep.app.siblings import Siblings, siblings_of
from deploystep.core.errors import EnvironmentInvalid, FactUnavailable, Interrupted, Stopped, TimedOut, ToolError
from deploystep.core.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes import Event

    from deploystep.circleci.wire import Failure, Request, Response


def nodes(*states: str | None) -> Response:
    """A reading of the job; None leaves the node out."""
    listed = [{"index": i, "status": s} for i, s in enumerate(states) if s is not None]
    return answer(200, {"status": "running", "parallelism": len(states), "parallel_runs": listed})


RUNNING = nodes("running", "running", "running")
WELL = nodes("running", "success", "success")


class Scene:
    """One wait for the nodes 1 and 2 (or more) of job 12."""

    def __init__(self, *events: Event, total: int = 3, limit: float = 1800.0, luck: float = 0.0) -> None:
        self.clock = FakeClock(luck=luck)
        self.progress = TimedProgress(clock=self.clock)
        self.transport: Any = ScriptedTransport(events)
        self.total, self.limit = total, limit

    def answered_by(self, answers: Callable[[float], Response | Failure]) -> Scene:
        """Every reading is answered by what there is at that second."""
        self.transport = _Timetable(self.clock, answers)
        return self

    @property
    def courier(self) -> Courier:
        return Courier(self.transport, self.clock, self.progress)

    def wait(self) -> None:
        Siblings(SHOP, 12, self.total, self.courier, self.limit).wait()

    def fails(self, kind: type[ToolError], code: str) -> ToolError:
        with pytest.raises(kind) as caught:
            self.wait()
        assert caught.value.code == code
        assert caught.value.hints
        return caught.value


class _Timetable:
    host = "https://circleci.com"

    def __init__(self, clock: FakeClock, answers: Callable[[float], Response | Failure]) -> None:
        self._clock, self._answers = clock, answers
        self.moments: list[float] = []

    def send(self, _request: Request) -> Response | Failure:
        self.moments.append(self._clock.monotonic())
        return self._answers(self._clock.monotonic())


# That all have succeeded


def test_success_is_believed_when_it_was_read_twice() -> None:
    scene = Scene(WELL, WELL)
    scene.wait()
    assert scene.transport.paths == ["GET /api/v2/project/gh/acme/shop/job/12"] * 2
    assert scene.clock.slept == [2.0]
    assert scene.progress.said[-1] == "all 2 other nodes of job 12 have succeeded"


@pytest.mark.parametrize(
    "between", [RUNNING, nodes("running", "success", None), lost(), nodes("running", "x", "success")]
)
def test_the_two_readings_follow_one_another(between: Event) -> None:
    lots = [between] * (5 if between == lost() else 1)  # what was lost is asked for again by itself
    scene = Scene(WELL, *lots, WELL, WELL)
    scene.wait()
    assert scene.transport.is_used_up


def test_a_node_that_fails_after_all_were_seen_to_succeed() -> None:
    error = Scene(WELL, nodes("running", "success", "failed")).fails(Stopped, "node-failed")
    assert "node 2 is failed" in error.message


@pytest.mark.parametrize("own", ["running", "success", "failed", "canceled", "no such word"])
def test_the_first_node_does_not_wait_for_itself(own: str) -> None:
    Scene(*[nodes(own, "success", "success")] * 2).wait()


def test_the_order_of_the_list_does_not_matter() -> None:
    backwards = answer(200, {"parallel_runs": [{"index": i, "status": "success"} for i in (2, 1)]})
    Scene(backwards, backwards).wait()


@pytest.mark.parametrize(
    ("runs", "waiting"),
    [
        ([], "1 2 unknown"),
        ([{"index": 1, "status": "success"}], "2 unknown"),
        ([{"index": 1, "status": "success"}, {"index": 3, "status": "success"}], "2 unknown"),
        ([{"index": 1, "status": "success"}, {"index": 2}], "2 unknown"),
        ([{"index": 1, "status": "success"}, {"index": 2, "status": None}], "2 unknown"),
        ([{"index": 1, "status": "success"}, {"index": 2, "status": ["success"]}], "2 unknown"),
    ],
)
def test_a_node_that_is_not_in_the_list_has_not_ended(runs: list[Any], waiting: str) -> None:
    scene = Scene(limit=60.0).answered_by(lambda _: answer(200, {"parallel_runs": runs}))
    assert f"within 60 s: {waiting}; nothing was triggered" in scene.fails(TimedOut, "nodes-timeout").message


@pytest.mark.parametrize("index", ["2", True, None, 2.0])
def test_a_node_that_cannot_be_read_is_not_passed_over(index: Any) -> None:
    runs = [{"index": 1, "status": "success"}, {"index": 2, "status": "success"}, {"index": index, "status": "failed"}]
    scene = Scene(limit=60.0).answered_by(lambda _: answer(200, {"parallel_runs": runs}))
    scene.fails(FactUnavailable, "nodes-unknown")


@pytest.mark.parametrize("word", ["failed", "canceled"])
def test_a_node_more_than_there_should_be_counts_too(word: str) -> None:
    scene = Scene(limit=60.0).answered_by(lambda _: nodes("success", "success", "success", word))
    assert f"node 3 is {word}" in scene.fails(Stopped, "node-failed").message


@pytest.mark.parametrize("word", ["queued", "not_running", "blocked", "on_hold", "SUCCESS", "succeeded", "x", ""])
def test_a_word_that_nobody_knows_keeps_waiting(word: str) -> None:
    scene = Scene(limit=60.0).answered_by(lambda _: nodes("running", "success", word))
    assert f"2 {word or 'unknown'};" in scene.fails(TimedOut, "nodes-timeout").message


# That one has not


ENDED = ["failed", "canceled", "timedout", "infrastructure_fail", "unauthorized", "not_run", "retried"]


@pytest.mark.parametrize("status", [*ENDED, "terminated-unknown"])
def test_a_node_that_did_not_succeed_stops_it_at_once(status: str) -> None:
    """The others are not waited for: the job has failed whatever becomes of them."""
    scene = Scene(nodes("running", "running", status))
    error = scene.fails(Stopped, "node-failed")
    assert error.message == (f"not every node of job 12 has succeeded: node 2 is {status}; nothing was triggered")
    assert error.exit is ExitCode.STOPPED
    assert scene.clock.slept == []


def test_every_node_that_failed_is_named() -> None:
    error = Scene(nodes("running", "failed", "success", "timedout"), total=4).fails(Stopped, "node-failed")
    assert "node 1 is failed, node 3 is timedout;" in error.message


# What cannot be read


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([answer(401, {"message": "You must log in first."})], "answered 401: You must log in first."),
        ([answer(404, {"message": "Job not found"})], "answered 404: Job not found"),
        ([answer(302, location="https://elsewhere")] * 5, "a redirect (302)"),
        ([answer(200, b"<html>")], "answered 200"),
        ([answer(200, {"status": "running"})], "answered 200"),
        ([answer(200, {"parallel_runs": None})], "answered 200"),
        ([answer(500)] * 5, "answered 500"),
        ([lost()] * 5, "the connection was closed"),
        ([refused_connection()] * 5, "connection refused"),
    ],
)
def test_nodes_that_cannot_be_read_from_the_beginning(events: list[Event], said: str) -> None:
    scene = Scene(*events)
    error = scene.fails(FactUnavailable, "nodes-unknown")
    assert error.exit is ExitCode.UNDECIDED
    assert said in error.message
    assert error.message.endswith("; nothing was sent")
    assert "--nodes first" in error.hints[-1]
    assert scene.transport.is_used_up


@pytest.mark.parametrize("trouble", [answer(500), lost(), answer(503), refused_connection()])
def test_a_hiccup_later_is_tolerated(trouble: Event) -> None:
    """A look is five attempts: two looks in vain are borne."""
    scene = Scene(RUNNING, *[trouble] * 10, RUNNING, *[trouble] * 10, WELL, WELL)
    scene.wait()
    assert scene.transport.is_used_up


def test_a_third_look_in_vain_is_the_last() -> None:
    scene = Scene(RUNNING, *[answer(500)] * 15)
    scene.fails(FactUnavailable, "nodes-unknown")
    assert scene.transport.is_used_up


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_no_is_believed_at_once_also_later(status: int) -> None:
    scene = Scene(RUNNING, answer(status))
    scene.fails(FactUnavailable, "nodes-unknown")
    assert scene.transport.is_used_up


@pytest.mark.parametrize("first", [True, False])
def test_a_limit_that_lasts_long_is_obeyed_and_is_no_hiccup(first: bool) -> None:  # noqa: FBT001 - a column
    def answers(now: float) -> Response | Failure:
        if now < (0 if first else 1):
            return RUNNING
        return answer(429, retry_after=f"{700 - now:.0f}") if now < 699 else WELL

    scene = Scene(limit=1800.0).answered_by(answers)
    scene.wait()
    assert not any(1 < moment < 699 for moment in scene.transport.moments)
    assert scene.progress.longest_silence <= 60.0


def test_a_limit_is_obeyed_even_at_the_deadline() -> None:
    """Nobody comes back early just because the time is up."""
    scene = Scene(limit=300.0).answered_by(lambda now: RUNNING if now < 1 else answer(429, retry_after="3600"))
    scene.fails(TimedOut, "nodes-timeout")
    assert len(scene.transport.moments) == 2


def test_limits_are_not_counted_among_the_looks_in_vain() -> None:
    scene = Scene(RUNNING, *[answer(429)] * 15, *[answer(500)] * 10, WELL, WELL)
    scene.wait()
    assert scene.transport.is_used_up


def test_limits_for_ever_end_with_the_deadline() -> None:
    scene = Scene(limit=600.0).answered_by(lambda _: answer(429))
    error = scene.fails(TimedOut, "nodes-timeout")
    assert "within 600 s" in error.message


# The deadline


@pytest.mark.parametrize("limit", [0.0, 1.0, 59.0, 600.0, 1800.0])
def test_the_deadline(limit: float) -> None:
    scene = Scene(limit=limit).answered_by(lambda _: RUNNING)
    error = scene.fails(TimedOut, "nodes-timeout")
    assert error.exit is ExitCode.TIMED_OUT
    assert error.message == (f"the other nodes have not ended within {limit:.0f} s: 1 2 running; nothing was triggered")
    assert scene.clock.monotonic() == limit


def test_success_that_was_read_once_at_the_deadline_is_not_enough() -> None:
    scene = Scene(limit=30.0).answered_by(lambda now: WELL if now >= 30 else RUNNING)
    error = scene.fails(TimedOut, "nodes-timeout")
    assert "all were seen to succeed only once" in error.message


def test_success_that_is_read_a_second_time_at_the_deadline_is_enough() -> None:
    scene = Scene(limit=8.0).answered_by(lambda now: WELL if now >= 7 else RUNNING)
    scene.wait()
    assert scene.clock.monotonic() == 8.0


def test_an_interruption_goes_through() -> None:
    with pytest.raises(Interrupted):
        Scene(RUNNING, Interrupted(ExitCode.TERMINATED)).wait()


# Politeness, and signs of life


@settings(max_examples=40, deadline=None)
@given(st.floats(0.0, 1.0, exclude_max=True))
def test_ten_minutes_take_few_calls_whatever_chance_gives(luck: float) -> None:
    scene = Scene(limit=600.0, luck=luck).answered_by(lambda _: RUNNING)
    scene.fails(TimedOut, "nodes-timeout")
    assert len(scene.transport.moments) <= 40
    assert len(scene.transport.moments) >= 20, "and yet somebody looks"


@settings(max_examples=40, deadline=None)
@given(st.floats(0.0, 1.0, exclude_max=True), st.floats(0.0, 900.0))
def test_the_end_of_the_nodes_is_noticed_soon(luck: float, end: float) -> None:
    scene = Scene(luck=luck).answered_by(lambda now: WELL if now >= end else RUNNING)
    scene.wait()
    assert scene.clock.monotonic() <= end + 18.0 * 1.4 + 2.0


@pytest.mark.parametrize("luck", [0.0, 0.5, 0.999])
def test_there_is_a_sign_of_life_every_minute(luck: float) -> None:
    scene = Scene(limit=1800.0, luck=luck).answered_by(lambda _: RUNNING)
    scene.fails(TimedOut, "nodes-timeout")
    assert scene.progress.longest_silence <= 61.0
    assert scene.progress.said[1] == "waiting for 2 other nodes of job 12 (1:00): nodes: 1 2 running"
    assert 25 <= len(scene.progress.said) <= 35, "and not more than that"


def test_a_line_for_each_change_and_none_between() -> None:
    scene = Scene(
        RUNNING, RUNNING, nodes("running", "success", "running"), nodes("x", "success", "running"), WELL, WELL
    )
    scene.wait()
    assert scene.progress.said == [
        "nodes: 1 2 running",
        "nodes: 1 success, 2 running",
        "nodes: 1 2 success",
        "all 2 other nodes of job 12 have succeeded",
    ]


def test_one_other_node_is_one_node() -> None:
    scene = Scene(*[nodes("running", "success")] * 2, total=2)
    scene.wait()
    assert scene.progress.said[-1] == "the other node of job 12 has succeeded"


# Which job it is


def test_the_job_is_that_of_the_build() -> None:
    found = siblings_of(build(CIRCLE_NODE_TOTAL="4", CIRCLE_BUILD_NUM="77"), SHOP, Scene().courier, 5.0)
    assert (found.project, found.number, found.total, found.limit) == (SHOP, 77, 4, 5.0)


def test_a_job_without_a_number_cannot_be_asked_about() -> None:
    with pytest.raises(EnvironmentInvalid) as caught:
        siblings_of(build(CIRCLE_NODE_TOTAL="4", CIRCLE_BUILD_NUM=None), SHOP, Scene().courier, 5.0)
    assert "3 nodes" in caught.value.message
    assert "--nodes first" in caught.value.hints[0]
