"""To the end of what was triggered: how it goes is told, how it ended is believed, and it is not asked too often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import RUN
from fakes import HOST, answer, lost
from triggers import URL, Created25, ago, setup, workflow, workflows

from deploystep.app.follow import follow
from deploystep.core.errors import DeployFailed, TimedOut, ToolError
from deploystep.core.exits import ExitCode
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created

if TYPE_CHECKING:
    from fakes import Event

ENDED_BADLY = "what rule 'production' triggered ended badly: workflow "
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


class Scene(Created25):
    """A run that is followed."""

    def __init__(self, *looks: Event, limit: float = 3600.0, **changes: Any) -> None:
        super().__init__(*looks, limit=limit, **changes)

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
    def end(self) -> str | None:
        """What failed; None where it ended well."""
        try:
            self.follow()
        except DeployFailed as error:
            return f"{error.code} {error.message.removeprefix(ENDED_BADLY)}; {error.hints[0].rpartition('w')[0]}"
        return None

    @property
    def timeout(self) -> str:
        return self.fails(TimedOut, "wait-timeout").message

    @property
    def statuses(self) -> dict[str, str]:
        return {w.name: w.status for w in self.entry.workflows}


# Ends


@pytest.mark.parametrize(
    ("looks", "failure"),
    [
        ([RUNNING, RUNNING, SUCCESS], None),
        ([SUCCESS], None),
        *(([RUNNING, workflows(word)], f"deploy: {word}") for word in ("failed", "error", "canceled", "not_run")),
        ([RUNNING, workflows("unauthorized")], "deploy: unauthorized"),
        # states that are no end
        *(
            ([*[workflows(word)] * 3, SUCCESS], None)
            for word in ("running", "failing", "on_hold", "queued", "blocked", "no such word", "Success")
        ),
        ([named(lint="failed", deploy="running"), named(lint="failed", deploy="success")], None),
        ([named(lint="running", deploy="failed")], "deploy: failed"),
        ([NONE_YET, SUCCESS], None),
        ([workflows(setup("success")), workflows(setup("success"), "success")], None),
        ([workflows(setup("failed")), workflows(setup("failed"), "success")], None),
        # a rerun takes the place of what it repeats
        ([runs("failed", "running"), runs("failed", "success")], None),
        ([runs("success", "running"), runs("success", "failed")], "deploy: failed"),
        # and CircleCI's own rerun is waited for
        ([*[runs("failed", most=2)] * 3, runs("failed", "success", most=2)], None),
        ([runs("failed", "failed", "failed", most=2)], "deploy: failed"),
        # each anew: a deploy that runs for ten minutes and fails again has a rerun left as the first had
        (
            [runs("failed", most=2), *[runs("failed", "running", most=2)] * 40, *[runs("failed", "failed", most=2)] * 3,
             runs("failed", "failed", "success", most=2)], None,
        ),
    ],
)  # fmt: skip
def test_how_it_ended(looks: list[Event], failure: str | None) -> None:
    scene = Scene(*looks)
    assert scene.end == (failure and f"deploy-failed {failure}; see why at {URL}/25/workflows/")
    assert scene.looks == len(looks)
    assert scene.console.infos[-1] == f"production: workflow {failure or 'deploy: success'}"


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
    assert scene.end == (failure and f"deploy-failed {failure}; see why at {URL}/25/workflows/")
    assert scene.looks > len(looks)
    assert scene.clock.monotonic() >= 15.0
    green = Scene(workflows(setup("success")), limit=5.0, workflow=None)
    assert green.timeout.endswith("no workflow was seen"), "a green setup workflow is not the end"


def test_a_rerun_that_never_comes_is_not_waited_for_for_ever() -> None:
    scene = Scene(runs("failed", most=2))
    assert scene.end
    assert 120.0 <= scene.clock.monotonic() <= 145.0


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
    assert "rerun this job to wait on" in error.hints[1]
    unknown = Scene(workflows("on_hold"), workflow=None, limit=90.0).fails(TimedOut, "wait-timeout")
    assert "do not run this step again" in unknown.hints[1]
    assert scene.clock.monotonic() == 90.0


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
    assert Scene(runs("failed", most=1), answer(404)).end, "a failure is not forgotten"


@pytest.mark.parametrize(("outcome", "is_well"), [("success", True), ("no_tests", True), ("timedout", False)])
def test_a_job_of_v1_1(outcome: str, is_well: object) -> None:
    job = {"build_num": 31, "job_name": "deploy"}
    looks = [answer(200, {**job, "status": s}) for s in ("not_running", "queued", "running")]
    created = Created(None, 31, f"{HOST}/gh/acme/shop/31")
    changes: dict[str, Any] = {"api": ApiVersion.V1_1, "job": "deploy", "workflow": None}
    routes = {"GET /31": [*looks, answer(200, {**job, "outcome": outcome})]}
    scene = Scene(created=created, routes=routes, **changes)
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
    assert str(scene.end).startswith("deploy-failed b: failed; ")
    assert scene.transport.count("/job") == 1
    assert scene.transport.count("/w0/job") == 1
    running = Scene(*[RUNNING] * 9, SUCCESS).follow()
    assert running.transport.count("/job") == 1


@pytest.mark.parametrize("of", ["w0", "w1"])
def test_every_workflow_that_counts_must_have_run(of: str) -> None:
    scene = Scene(named(a="success", b="success"), workflow=None, routes={f"GET /{of}/job": jobs("not_run")})
    scene.fails(DeployFailed, "deploy-skipped")
