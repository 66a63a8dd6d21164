"""To the end of what was triggered: how it goes is told, how it ended is believed, and it is not asked too often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import RUN, asked, spec
from fakes import FakeClock, RoutedTransport, TimedProgress, answer, lost
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.app.courier import Courier
from deploystep.app.follow import Ending, Follower
from deploystep.core.errors import DeployFailed, Interrupted, TimedOut
from deploystep.core.exits import ExitCode
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fakes import Event

    from deploystep.circleci.wire import Failure, Response

URL = "https://app.circleci.com/pipelines/gh/acme/shop/25"
CREATED = Created(RUN, 25, URL)
WORKFLOWS = f"GET /{RUN}/workflow"


def listing(*states: str, name: str = "deploy", **more: Any) -> Response:
    """The named workflow, run after run: the last is the newest."""
    return answer(200, {"items": [_item(n, name, status, more) for n, status in enumerate(states)]})


def named(**states: str) -> Response:
    """Several workflows, by name."""
    return answer(200, {"items": [_item(n, name, status, {}) for n, (name, status) in enumerate(states.items())]})


def _item(n: int, name: str, status: str, more: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": f"w{n}", "name": name, "status": status, "created_at": f"2026-06-16T08:{n:02d}:00Z", **more}


class Scene:
    def __init__(
        self, *looks: Event, limit: float = 3600.0, luck: float = 0.0, created: Created = CREATED, **changes: Any
    ) -> None:
        self.clock = FakeClock(luck=luck)
        self.progress = TimedProgress(clock=self.clock)
        self.transport = RoutedTransport({end: list(looks) for end in ("GET /workflow", "GET /workflows", "GET /31")})
        courier = Courier(self.transport, self.clock, self.progress)
        one = spec(**changes)
        self.follower = Follower(one, created, asked(api=one.api), courier, limit)

    def follow(self) -> Ending:
        return self.follower.follow()

    def succeeds(self) -> Ending:
        ending = self.follow()
        assert ending.error is None, ending.error
        return ending

    def fails(self) -> DeployFailed:
        error = self.follow().error
        assert isinstance(error, DeployFailed), error
        assert (error.exit, error.code) == (ExitCode.DEPLOY_FAILED, "deploy-failed")
        return error

    def times_out(self) -> TimedOut:
        error = self.follow().error
        assert isinstance(error, TimedOut), error
        assert (error.exit, error.code) == (ExitCode.TIMED_OUT, "wait-timeout")
        return error


# Ends


def test_success() -> None:
    scene = Scene(listing("running"), listing("running"), listing("success"))
    assert [w.status for w in scene.succeeds().workflows] == ["success"]
    assert scene.progress.said == ["production: workflow deploy is running", "production: workflow deploy is success"]
    assert scene.clock.slept == [1.0, 2.0]


def test_success_at_once() -> None:
    scene = Scene(listing("success"))
    scene.succeeds()
    assert scene.clock.slept == []


@pytest.mark.parametrize("status", ["failed", "error", "canceled", "unauthorized", "not_run"])
def test_a_bad_end(status: str) -> None:
    scene = Scene(listing("running"), listing(status))
    error = scene.fails()
    assert error.message == f"what rule 'production' triggered ended badly: workflow deploy is {status}"
    assert error.hints[0] == f"see why at {URL}/workflows/w0"


@pytest.mark.parametrize(
    "status", ["running", "failing", "on_hold", "queued", "blocked", "no such word", "Success", ""]
)
def test_states_that_are_no_end_go_on(status: str) -> None:
    scene = Scene(*[listing(status)] * 3, listing("success"))
    scene.succeeds()
    assert len(scene.transport.sent) == 4


def test_only_the_named_workflow_counts() -> None:
    assert Scene(named(lint="failed", deploy="running"), named(lint="failed", deploy="success")).succeeds()
    assert Scene(named(lint="running", deploy="failed")).fails()


def test_all_count_where_none_is_named() -> None:
    looks = [named(a="success", b="running"), named(a="success", b="success")]
    assert Scene(*looks, workflow=None).succeeds()
    error = Scene(named(a="success", b="running"), named(a="success", b="failed"), workflow=None).fails()
    assert error.message.endswith("ended badly: workflow b is failed")
    assert "workflows/w1" in error.hints[0]


def test_every_workflow_has_its_own_result() -> None:
    ending = Scene(named(a="success", b="failed", c="canceled"), workflow=None).follow()
    assert {w.name: w.status for w in ending.workflows} == {"a": "success", "b": "failed", "c": "canceled"}
    assert ending.error is not None
    assert "workflow b is failed, workflow c is canceled" in ending.error.message


def test_one_that_failed_does_not_end_the_others() -> None:
    scene = Scene(named(a="failed", b="running"), named(a="failed", b="success"), workflow=None)
    scene.fails()
    assert len(scene.transport.sent) == 2


def test_a_green_setup_workflow_is_not_the_end() -> None:
    setup = listing("success", name="setup", tag="setup")
    assert Scene(setup, setup, named(deploy="success")).succeeds()
    assert Scene(setup, limit=5.0, workflow=None).times_out().message.endswith("no workflow was seen")


def test_nothing_yet_is_not_the_end() -> None:
    assert Scene(answer(200, {"items": []}), listing("success")).succeeds()


# Reruns


def test_a_rerun_takes_the_place_of_what_it_repeats() -> None:
    scene = Scene(listing("failed", "running"), listing("failed", "success"))
    assert len(scene.succeeds().workflows) == 2
    assert Scene(listing("success", "running"), listing("success", "failed")).fails()


def test_circlecis_own_rerun_is_waited_for() -> None:
    """A workflow that has failed is not the end while CircleCI is about to run it again."""
    failed = listing("failed", max_auto_reruns=2)
    again = answer(200, {"items": [
        _item(0, "deploy", "failed", {"max_auto_reruns": 2}),
        _item(1, "deploy", "success", {"max_auto_reruns": 2, "auto_rerun_number": 1}),
    ]})  # fmt: skip
    scene = Scene(failed, failed, failed, again)
    scene.succeeds()


def test_circlecis_last_rerun_is_the_end() -> None:
    scene = Scene(listing("failed", max_auto_reruns=2, auto_rerun_number=2))
    scene.fails()
    assert scene.clock.slept == []


def test_a_rerun_that_never_comes_is_not_waited_for_for_ever() -> None:
    scene = Scene(listing("failed", max_auto_reruns=2))
    scene.fails()
    assert 120.0 <= scene.clock.monotonic() <= 145.0


def test_each_rerun_is_waited_for_anew() -> None:
    """A deploy that runs for ten minutes and fails again has a rerun left as the first had."""

    def item(n: int, status: str) -> dict[str, Any]:
        return _item(n, "deploy", status, {"max_auto_reruns": 2, **({"auto_rerun_number": n} if n else {})})

    first, second = [item(0, "failed")], [item(0, "failed"), item(1, "running")]
    failed = [item(0, "failed"), item(1, "failed")]
    last = [*failed, item(2, "success")]
    looks = [answer(200, {"items": i}) for i in (first, *[second] * 40, *[failed] * 3, last)]
    Scene(*looks).succeeds()


# On hold


def test_what_waits_for_a_person_is_told_once_and_where() -> None:
    scene = Scene(*[listing("on_hold")] * 5, listing("running"), *[listing("on_hold")] * 3, listing("success"))
    scene.succeeds()
    assert scene.progress.warned == [f"workflow deploy is on hold: approve it at {URL}/workflows/w0"]


def test_each_that_waits_is_told() -> None:
    scene = Scene(named(a="on_hold", b="on_hold"), named(a="success", b="success"), workflow=None)
    scene.succeeds()
    assert [w.rsplit("/", 1)[1] for w in scene.progress.warned] == ["w0", "w1"]


def test_a_hold_that_nobody_ends() -> None:
    error = Scene(listing("on_hold"), limit=600.0).times_out()
    assert error.message == ("what rule 'production' triggered has not ended within 600 s: workflow deploy is on_hold")


def test_a_run_without_a_number_has_the_lists_address() -> None:
    scene = Scene(listing("on_hold"), listing("success"), created=Created(RUN, None, f"{URL}s"))
    scene.succeeds()
    assert scene.progress.warned == [f"workflow deploy is on hold: approve it at {URL}s"]


# Time, and what cannot be read


def test_the_time_is_up() -> None:
    scene = Scene(listing("running"), limit=90.0)
    error = scene.times_out()
    assert scene.clock.monotonic() == 90.0
    assert error.hints[0] == f"it goes on: {URL}"
    assert "do not run this step again" in error.hints[1]


def test_a_success_at_the_very_end_counts() -> None:
    looks = [listing("running")] * 5 + [listing("success")]
    scene = Scene(*looks, limit=20.0)
    scene.succeeds()
    assert scene.clock.monotonic() == 20.0


def test_no_time_is_one_look() -> None:
    scene = Scene(listing("running"), limit=0.0)
    scene.times_out()
    assert len(scene.transport.sent) == 1


@pytest.mark.parametrize(
    "trouble", [answer(500), answer(404), answer(401), lost(), answer(200, b"<html>"), answer(429)]
)
def test_looks_in_vain_are_borne(trouble: Event) -> None:
    """The deploy goes on whether or not somebody can see it."""
    scene = Scene(listing("running"), *[trouble] * 11, listing("success"))
    scene.succeeds()
    assert "production: could not be read just now" in scene.progress.said


def test_what_was_seen_last_is_what_is_told_in_the_end() -> None:
    scene = Scene(listing("running"), answer(404), limit=60.0)
    ending = scene.follow()
    assert [w.status for w in ending.workflows] == ["running"]
    assert isinstance(ending.error, TimedOut)


def test_a_failure_is_not_forgotten_by_a_look_in_vain() -> None:
    ending = Scene(listing("failed", max_auto_reruns=1), answer(404)).follow()
    assert isinstance(ending.error, DeployFailed)


def test_a_limit_that_lasts_is_obeyed() -> None:
    scene = Scene(listing("running"), answer(429, retry_after="900"), listing("success"))
    scene.succeeds()
    assert len(scene.transport.sent) == 3
    assert scene.clock.monotonic() >= 901.0
    assert scene.progress.longest_silence <= 61.0


@settings(max_examples=40, deadline=None)
@given(st.floats(0.0, 1.0, exclude_max=True))
def test_twenty_minutes_take_few_calls_whatever_chance_gives(luck: float) -> None:
    scene = Scene(listing("running"), limit=1200.0, luck=luck)
    scene.times_out()
    assert 45 <= len(scene.transport.sent) <= 80
    assert scene.progress.longest_silence <= 61.0


def test_an_interruption_goes_through() -> None:
    with pytest.raises(Interrupted):
        Scene(listing("running"), Interrupted(ExitCode.INTERRUPTED)).follow()


# Other APIs


@pytest.mark.parametrize(
    ("attributes", "ends"),
    [
        ({"phase": "ended", "outcome": "succeeded"}, None),
        ({"phase": "ended", "outcome": "failed"}, "failed"),
        ({"phase": "ended", "outcome": "canceled"}, "canceled"),
        ({"phase": "ended", "outcome": "errored"}, "error"),
        ({"phase": "ended", "outcome": "infrastructure_fail"}, "infrastructure_fail"),
        ({"phase": "ended", "outcome": "timedout"}, "timedout"),
    ],
)
def test_a_run_of_v3(attributes: dict[str, str], ends: str | None) -> None:
    def look(**said: str) -> Response | Failure:
        return answer(200, {"data": [{"id": "w", "attributes": {"name": "deploy", **said}}]})

    going = [answer(404), look(phase="created"), look(phase="queued"), look(phase="started"), look(phase="new")]
    failing = look(phase="started", current_outcome="failed")
    scene = Scene(*going, failing, look(**attributes), api=ApiVersion.V3)
    error = scene.follow().error
    assert (error is None) if ends is None else error is not None
    assert ends is None or (error is not None and error.message.endswith(f"workflow deploy is {ends}"))
    assert len(scene.transport.sent) == 7


@pytest.mark.parametrize(
    ("said", "is_well"),
    [
        ({"outcome": "success"}, True),
        ({"outcome": "no_tests"}, True),
        ({"status": "fixed"}, True),
        ({"outcome": "failed"}, False),
        ({"outcome": "timedout"}, False),
        ({"outcome": "infrastructure_fail"}, False),
        ({"outcome": "canceled"}, False),
    ],
)
def test_a_job_of_v1_1(said: dict[str, str], is_well: bool) -> None:  # noqa: FBT001 - a column
    job = {"build_num": 31, "job_name": "deploy"}
    going = [answer(200, {**job, "status": s}) for s in ("not_running", "queued", "scheduled", "running")]
    created = Created(None, 31, "https://circleci.com/gh/acme/shop/31")
    scene = Scene(
        *going, answer(200, {**job, **said}), created=created, api=ApiVersion.V1_1, job="deploy", workflow=None
    )
    assert (scene.follow().error is None) is is_well
    assert len(scene.transport.sent) == 5
