"""To the end of what was triggered: how it goes is told, how it ended is believed, and it is not asked too often."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from builds import RUN, SHOP, context, spec
from fakes import HOST, FakeClock, RoutedTransport, TimedConsole, answer, client, lost
from hypothesis import given, settings
from hypothesis import strategies as st
from triggers import URL, ago, setup, workflow, workflows

from deploystep.app.follow import follow
from deploystep.app.trigger import planned
from deploystep.circleci.apis import api_for
from deploystep.core.deploy import Outcome
from deploystep.core.errors import DeployFailed, Interrupted, TimedOut, ToolError
from deploystep.core.exits import ExitCode
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created

if TYPE_CHECKING:
    from fakes import Event

CREATED = Created(RUN, 25, f"{URL}/25")
RUNNING, SUCCESS, NONE_YET = workflows("running"), workflows("success"), workflows()


def named(**states: str) -> Event:
    """Several workflows, by name."""
    return workflows(*(workflow(status, name) for name, status in states.items()))


def runs(*states: str, most: int = 0) -> Event:
    """One workflow and its reruns, the newest last, of which CircleCI makes so many by itself."""
    items = [
        workflow(status, created_at=ago(-60 * n), max_auto_reruns=most, auto_rerun_number=n)
        for n, status in enumerate(states)
    ]
    return workflows(*items)


class Scene:
    """A run that is followed, look by look."""

    def __init__(
        self,
        *looks: Event,
        limit: float = 3600.0,
        luck: float = 0.0,
        created: Created = CREATED,
        routes: Any = MappingProxyType({}),
        **changes: Any,
    ) -> None:
        self.clock = FakeClock(luck=luck)
        self.console = TimedConsole(clock=self.clock)
        self.transport = RoutedTransport({**{end: list(looks) for end in ("GET /workflow", "GET /31")}, **routes})
        one, self.limit = spec(**changes), limit
        self.entry = planned(one, SHOP, HOST, Outcome.TRIGGERED)
        self.entry.created = created
        self.client = client(self.transport, self.clock, self.console)
        self.api = api_for(self.client, context(api=one.api))

    def follow(self) -> Scene:
        follow(self.entry, self.api, self.limit)
        return self

    def fails(self, kind: type[ToolError], code: str) -> ToolError:
        with pytest.raises(kind) as caught:
            self.follow()
        assert caught.value.code == code
        return caught.value

    @property
    def looks(self) -> int:
        return len(self.transport.sent) - self.transport.count("/job")

    @property
    def failure(self) -> str:
        return self.fails(DeployFailed, "deploy-failed").message

    @property
    def timeout(self) -> str:
        return self.fails(TimedOut, "wait-timeout").message

    @property
    def statuses(self) -> dict[str, str]:
        return {w.name: w.status for w in self.entry.workflows}


# Ends


def test_success() -> None:
    scene = Scene(RUNNING, RUNNING, SUCCESS).follow()
    assert scene.statuses == {"deploy": "success"}
    assert scene.console.infos == ["production: workflow deploy: running", "production: workflow deploy: success"]
    assert Scene(SUCCESS).follow().clock.slept == []


@pytest.mark.parametrize("status", ["failed", "error", "canceled", "unauthorized", "not_run"])
def test_a_bad_end(status: str) -> None:
    error = Scene(RUNNING, workflows(status)).fails(DeployFailed, "deploy-failed")
    assert error.message == f"what rule 'production' triggered ended badly: workflow deploy: {status}"
    assert error.hints[0] == f"see why at {URL}/25/workflows/w0"


@pytest.mark.parametrize("status", ["running", "failing", "on_hold", "queued", "blocked", "no such word", "Success"])
def test_states_that_are_no_end_go_on(status: str) -> None:
    assert Scene(*[workflows(status)] * 3, SUCCESS).follow().looks == 4


@pytest.mark.parametrize(
    ("changes", "looks", "failure"),
    [
        ({}, [named(lint="failed", deploy="running"), named(lint="failed", deploy="success")], None),
        ({}, [named(lint="running", deploy="failed")], "deploy: failed"),
        ({}, [NONE_YET, SUCCESS], None),
        ({}, [workflows(setup("success")), workflows(setup("success"), "success")], None),
        ({}, [workflows(setup("failed")), workflows(setup("failed"), "success")], None),
        # a rerun takes the place of what it repeats
        ({}, [runs("failed", "running"), runs("failed", "success")], None),
        ({}, [runs("success", "running"), runs("success", "failed")], "deploy: failed"),
        # and CircleCI's own rerun is waited for
        ({}, [*[runs("failed", most=2)] * 3, runs("failed", "success", most=2)], None),
        ({}, [runs("failed", "failed", "failed", most=2)], "deploy: failed"),
    ],
)
def test_how_it_ended(changes: dict[str, Any], looks: list[Event], failure: str | None) -> None:
    scene = Scene(*looks, **changes)
    if failure is None:
        scene.follow()
    else:
        assert scene.failure.endswith(f"ended badly: workflow {failure}")
    assert scene.looks == len(looks)


@pytest.mark.parametrize(
    ("looks", "failure"),
    [
        ([named(a="success", b="running"), named(a="success", b="success")], None),
        ([named(a="failed", b="running"), named(a="failed", b="success")], "a: failed"),
        ([named(a="success", b="failed", c="canceled")], "b: failed, workflow c: canceled"),
        # what comes a little later counts too
        ([named(a="success"), named(a="success"), named(a="success", b="failed")], "b: failed"),
        ([named(a="success"), named(a="success"), named(a="success", b="success")], None),
    ],
)
def test_all_count_where_none_is_named(looks: list[Event], failure: str | None) -> None:
    scene = Scene(*looks, workflow=None)
    if failure is None:
        scene.follow()
    else:
        assert scene.failure.endswith(f"ended badly: workflow {failure}")
    assert scene.looks > len(looks)
    assert scene.clock.monotonic() >= 15.0


def test_a_green_setup_workflow_is_not_the_end() -> None:
    assert Scene(workflows(setup("success")), limit=5.0, workflow=None).timeout.endswith("no workflow was seen")


def test_a_rerun_that_never_comes_is_not_waited_for_for_ever() -> None:
    scene = Scene(runs("failed", most=2))
    assert scene.failure
    assert 120.0 <= scene.clock.monotonic() <= 145.0


def test_each_rerun_is_waited_for_anew() -> None:
    """A deploy that runs for ten minutes and fails again has a rerun left as the first had."""
    again = [*[runs("failed", "running", most=2)] * 40, *[runs("failed", "failed", most=2)] * 3]
    Scene(runs("failed", most=2), *again, runs("failed", "failed", "success", most=2)).follow()


# On hold


def test_what_waits_for_a_person_is_told_once_and_where() -> None:
    held = workflows("on_hold")
    scene = Scene(*[held] * 5, RUNNING, *[held] * 3, SUCCESS).follow()
    assert scene.console.warnings == [f"workflow deploy is on hold: approve it at {URL}/25/workflows/w0"]
    scene = Scene(named(a="on_hold", b="on_hold"), named(a="success", b="success"), workflow=None).follow()
    assert [w.rsplit("/", 1)[1] for w in scene.console.warnings] == ["w0", "w1"]
    unnumbered = Scene(held, SUCCESS, created=Created(RUN, None, URL)).follow()
    assert unnumbered.console.warnings == [f"workflow deploy is on hold: approve it at {URL}"]


# Time, and what cannot be read


def test_the_time_is_up() -> None:
    scene = Scene(workflows("on_hold"), limit=90.0)
    error = scene.fails(TimedOut, "wait-timeout")
    assert error.message == "what rule 'production' triggered has not ended within 90 s: workflow deploy: on_hold"
    assert error.hints[0] == f"it goes on: {URL}/25"
    assert "do not run this step again" in error.hints[1]
    assert scene.clock.monotonic() == 90.0


def test_a_success_at_the_very_end_counts() -> None:
    assert Scene(*[RUNNING] * 5, SUCCESS, limit=20.0).follow().clock.monotonic() == 20.0


def test_no_time_is_one_look() -> None:
    scene = Scene(RUNNING, limit=0.0)
    assert scene.timeout
    assert len(scene.transport.sent) == 1


@pytest.mark.parametrize(
    "trouble", [answer(500), answer(404), answer(401), lost(), answer(200, b"<html>"), answer(429)]
)
def test_looks_in_vain_are_borne(trouble: Event) -> None:
    """The deploy goes on whether or not somebody can see it."""
    scene = Scene(RUNNING, *[trouble] * 11, SUCCESS).follow()
    assert "production: could not be read just now" in scene.console.infos


def test_what_was_seen_last_is_what_is_told_in_the_end() -> None:
    scene = Scene(RUNNING, answer(404), limit=60.0)
    assert scene.timeout.endswith("workflow deploy: running")
    assert scene.statuses == {"deploy": "running"}
    assert Scene(runs("failed", most=1), answer(404)).failure, "a failure is not forgotten"


def test_a_limit_that_lasts_is_obeyed() -> None:
    scene = Scene(RUNNING, answer(429, retry_after="900"), SUCCESS).follow()
    assert scene.looks == 3
    assert scene.clock.monotonic() >= 901.0
    assert scene.console.longest_silence <= 61.0


@settings(max_examples=40, deadline=None)
@given(st.floats(0.0, 1.0, exclude_max=True))
def test_twenty_minutes_take_few_calls_whatever_chance_gives(luck: float) -> None:
    scene = Scene(RUNNING, limit=1200.0, luck=luck)
    assert scene.timeout
    assert 45 <= len(scene.transport.sent) <= 80
    assert scene.console.longest_silence <= 61.0


def test_an_interruption_goes_through() -> None:
    with pytest.raises(Interrupted):
        Scene(RUNNING, Interrupted(ExitCode.INTERRUPTED)).follow()


@pytest.mark.parametrize(("outcome", "is_well"), [("success", True), ("no_tests", True), ("timedout", False)])
def test_a_job_of_v1_1(outcome: str, is_well: object) -> None:
    job = {"build_num": 31, "job_name": "deploy"}
    looks = [answer(200, {**job, "status": s}) for s in ("not_running", "queued", "running")]
    created = Created(None, 31, f"{HOST}/gh/acme/shop/31")
    changes: dict[str, Any] = {"api": ApiVersion.V1_1, "job": "deploy", "workflow": None}
    scene = Scene(*looks, answer(200, {**job, "outcome": outcome}), created=created, **changes)
    if is_well:
        scene.follow()
    else:
        assert scene.fails(DeployFailed, "deploy-failed").hints[0] == f"see why at {created.url}"
    assert len(scene.transport.sent) == 4


# A success in which a job did not run


def jobs(*statuses: str) -> Event:
    return answer(200, {"items": [{"name": f"job-{n}", "status": status} for n, status in enumerate(statuses)]})


SKIPPED = jobs("success", "not_run", "not_run")


def test_a_success_in_which_a_job_did_not_run_is_no_deploy() -> None:
    error = Scene(RUNNING, SUCCESS, routes={"GET /job": SKIPPED}).fails(DeployFailed, "deploy-skipped")
    assert error.exit is ExitCode.DEPLOY_FAILED
    assert error.message == "what rule 'production' triggered says success, but did not run: job-1, job-2"
    assert error.hints[0] == f"look at {URL}/25/workflows/w0"
    assert error.hints[1].startswith("possible causes: ")


@pytest.mark.parametrize("trouble", [answer(404), answer(500), lost(), answer(200, {"items": [{}]})])
def test_jobs_that_cannot_be_read_are_no_success(trouble: Event) -> None:
    scene = Scene(SUCCESS, routes={"GET /job": trouble}, limit=30.0)
    assert scene.timeout.endswith("workflow deploy: success")
    assert scene.clock.monotonic() >= 30.0
    assert "production: the jobs of what has ended could not be read just now" in scene.console.infos
    assert Scene(SUCCESS, routes={"GET /job": [*[trouble] * 5, jobs("success")]}).follow().statuses


def test_jobs_are_asked_for_only_of_what_succeeded() -> None:
    scene = Scene(named(a="success", b="failed"), workflow=None)
    assert scene.failure.endswith("workflow b: failed")
    assert scene.transport.count("/job") == 1
    assert scene.transport.count("/w0/job") == 1
    running = Scene(*[RUNNING] * 9, SUCCESS).follow()
    assert running.transport.count("/job") == 1


@pytest.mark.parametrize("of", ["w0", "w1"])
def test_every_workflow_that_counts_must_have_run(of: str) -> None:
    scene = Scene(named(a="success", b="success"), workflow=None, routes={f"GET /{of}/job": jobs("not_run")})
    scene.fails(DeployFailed, "deploy-skipped")
