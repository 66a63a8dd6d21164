"""After the trigger: the right commit, and something that runs. Every way that can go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import OTHER_SHA, RUN, SHA, SHOP, context, spec
from fakes import HOST, FakeClock, RecordingConsole, RoutedTransport, answer, client, lost
from triggers import URL, seen, setup, workflow, workflows

from deploystep.app.confirm import confirm
from deploystep.app.trigger import planned
from deploystep.circleci.apis import api_for
from deploystep.core.deploy import Outcome
from deploystep.core.errors import NothingRuns, Stopped, TimedOut, ToolError
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created

if TYPE_CHECKING:
    from fakes import Event

    from deploystep.circleci.http import Failure, Request, Response

CREATED = Created(RUN, 25, f"{URL}/25", "pending")
PIPELINE, WORKFLOWS, CANCEL = f"GET /{RUN}", "GET /workflow", "POST /cancel"
LINT = workflow("running", "lint")


class Scene:
    """One run that was created, and what is seen of it look by look."""

    def __init__(
        self, *looks: Event, limit: float = 10.0, created: Created = CREATED, routes: Any = None, **changes: Any
    ) -> None:
        usual: dict[str, Any] = {PIPELINE: seen(), WORKFLOWS: list(looks), CANCEL: answer(202)}
        self.transport, self.clock = RoutedTransport({**usual, **(routes or {})}), FakeClock()
        self.console, self.limit = RecordingConsole(), limit
        one = spec(**changes)
        self.entry = planned(one, SHOP, HOST, Outcome.TRIGGERED)
        self.entry.created = created
        self.client = client(self.transport, self.clock, self.console)
        self.api = api_for(self.client, context(api=one.api))

    def confirm(self) -> tuple[str | None, list[str]]:
        """The commit, and the names of the workflows."""
        confirm(self.entry, self.api, self.limit)
        assert self.entry.created is not None
        return self.entry.created.revision, [w.name for w in self.entry.workflows]

    def fails(self, kind: type[ToolError], code: str) -> ToolError:
        with pytest.raises(kind) as caught:
            self.confirm()
        assert caught.value.code == code
        assert caught.value.hints
        return caught.value

    @property
    def waited(self) -> float:
        return sum(self.clock.slept)

    @property
    def cancelled(self) -> list[str]:
        return [r.path.split("/")[-2] for r in self.transport.sent if r.method == "POST"]


# Something runs


@pytest.mark.parametrize(
    ("looks", "names", "routes"),
    [
        ([workflows("running", LINT)], ["deploy", "lint"], {}),
        ([workflows(), workflows(), workflows(LINT), workflows("running")], ["deploy"], {}),
        ([workflows(setup("success")), workflows(setup("success"), "queued")], ["setup", "deploy"], {}),
        ([workflows(workflow("success", tag="setup")), workflows("running")], ["deploy"], {}),  # it only has the name
        ([workflows("running")], ["deploy"], {PIPELINE: [answer(404), answer(404), seen()]}),
        ([workflows("running")], ["deploy"], {PIPELINE: [*[seen(sha=None)] * 2, seen()]}),  # what runs is not enough
        ([workflows("success")], ["deploy"], {}),
        ([workflows("failed")], ["deploy"], {}),  # it ran: --wait tells how it ended
        ([workflows("running", workflow("unauthorized", "lint"))], ["deploy", "lint"], {}),
        ([workflows(), workflows("running")], ["deploy"], {PIPELINE: seen(errors=["a trigger rule"])}),
        ([workflows(setup("failed", max_auto_reruns=1)), workflows(setup("success"), "queued")], None, {}),
        ([workflows(setup("failed"), setup("running")), workflows(setup("success"), "queued")], None, {}),
    ],
)
def test_the_named_workflow_is_waited_for(looks: list[Event], names: list[str] | None, routes: dict[str, Any]) -> None:
    scene = Scene(*looks, routes=routes)
    revision, found = scene.confirm()
    assert (revision, found) == (SHA, names or ["setup", "deploy"])
    assert (scene.waited > 0) is (len(scene.transport.sent) > 2)


@pytest.mark.parametrize(
    ("found", "runs"),
    [
        ([LINT], True),
        ([workflow("canceled", "a"), workflow("running", "b")], True),
        ([workflow("error", "a"), workflow("not_run", "b"), workflow("failed", "c")], True),
        ([workflow("canceled", "a"), workflow("error", "b")], False),
        ([workflow("not_run", "a")], False),
        ([workflow("unauthorized", "a"), workflow("running", "b")], None),
    ],
)
def test_where_no_workflow_is_named_one_that_runs_is_enough(found: list[dict[str, Any]], runs: object) -> None:
    scene = Scene(workflows(*found), workflow=None)
    if runs:
        assert scene.confirm() == (SHA, [each["name"] for each in found])
    else:
        scene.fails(NothingRuns, "unauthorized" if runs is None else "did-not-run")


def test_another_project_has_other_commits() -> None:
    scene = Scene(workflows("running"), routes={PIPELINE: seen(sha=OTHER_SHA)}, revision=None)
    assert scene.confirm() == (OTHER_SHA, ["deploy"])
    assert Scene(workflows("running"), routes={PIPELINE: seen(sha=None)}, revision=None).confirm() == (None, ["deploy"])
    assert scene.cancelled == []


def test_a_commit_that_was_known_before_need_not_be_told_again() -> None:
    created = Created(RUN, 25, f"{URL}/25", revision=SHA)
    assert Scene(workflows("running"), created=created, routes={PIPELINE: seen(sha=None)}).confirm() == (
        SHA,
        ["deploy"],
    )


def test_an_answer_that_took_long_is_not_the_last_word() -> None:
    """It tells how it was when CircleCI read it."""
    scene = Scene(workflows(), workflows("running"))

    def slow(request: Request) -> Response | Failure:
        result = answering(request)
        if request.path.endswith("/workflow"):
            scene.clock.sleep(59.0)
        return result

    answering, scene.transport.send = scene.transport.send, slow  # type: ignore[method-assign]
    assert scene.confirm() == (SHA, ["deploy"])


def test_a_slow_answer_tells_how_it_stood_before() -> None:
    """The setup workflow had just ended when CircleCI was asked: what follows it may still come."""
    scene = Scene(workflows(setup("success")), limit=10.0)

    def slow(request: Request) -> Response | Failure:
        result = answering(request)
        scene.clock.sleep(59.0 if request.path.endswith("/workflow") else 0.0)
        return result

    answering, scene.transport.send = scene.transport.send, slow  # type: ignore[method-assign]
    assert scene.fails(TimedOut, "not-started").hints[1].startswith("do not run this step again")


def test_not_looking_is_said() -> None:
    scene = Scene(limit=0.0)
    assert scene.confirm() == (None, [])
    assert scene.transport.sent == []
    assert scene.console.warnings == ["not confirmed that anything runs, nor of which commit: --confirm is 0"]


# Another commit


@pytest.mark.parametrize(
    ("looks", "cancelled"),
    [
        ([("running", LINT), ("canceled", workflow("canceled", "lint"))], ["w0", "w1"]),
        ([(), None, ("running",), ("canceled",)], ["w0"]),  # as soon as it can be
        ([(setup("success"),), (setup("success"), "running"), (setup("success"), "canceled")], ["w1"]),
        ([(setup("running"),), (setup("canceled"),)], ["w0"]),  # nothing comes after it
        (
            [(LINT,), (workflow("canceled", "lint"),), (workflow("canceled", "lint"), "running"),
             (workflow("canceled", "lint"), "canceled")],
            ["w0", "w1"],
        ),
        ([("canceled",)], []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("named", ["deploy", None])
def test_all_that_runs_of_another_commit_is_cancelled(
    looks: list[tuple[Any, ...] | None], cancelled: list[str], named: str | None
) -> None:
    """Where no workflow is named another may appear for some seconds."""
    seen_one_by_one = [lost() if found is None else workflows(*found) for found in looks]
    scene = Scene(*seen_one_by_one, routes={PIPELINE: seen(sha=OTHER_SHA)}, workflow=named)
    error = scene.fails(Stopped, "wrong-commit")
    assert error.message == f"run {URL}/25 is of commit {OTHER_SHA}, not of {SHA} that was tested; it was cancelled"
    assert "by hand" not in error.hints[0]
    assert scene.cancelled == cancelled
    is_known = named is not None or looks[-1] == (setup("canceled"),)
    assert (scene.waited < 5.0) is is_known or None in looks


@pytest.mark.parametrize(
    ("found", "end", "waited"),
    [
        (("running",), "it could NOT be cancelled: deploy: running", 10.0),  # that it was accepted is not an end
        ((LINT, "running"), "it could NOT be cancelled: lint: running, deploy: running", 10.0),
        (("canceled", workflow("success", "lint")), "it could NOT be cancelled: deploy: canceled, lint: success", 0),
        (("success",), "it could NOT be cancelled: deploy: success", 0),
        ((), "it could NOT be cancelled", 10.0),
        ((setup("success"),), "it could NOT be cancelled", 10.0),
        (("unauthorized",), "it does not run: deploy: unauthorized", 0),
        (("canceled", workflow("failed", "lint")), "it does not run: deploy: canceled, lint: failed", 0),
        ((setup("failed"),), "it does not run: setup: failed", 0),
    ],
)
def test_what_became_of_another_commits_run_is_read_and_told(found: tuple[Any, ...], end: str, waited: float) -> None:
    """For ten seconds at the least."""
    scene = Scene(workflows(*found), routes={PIPELINE: seen(sha=OTHER_SHA)}, limit=1.0)
    error = scene.fails(Stopped, "wrong-commit")
    assert error.message.endswith(f"that was tested; {end}")
    assert (error.hints[0] == f"cancel it by hand: {URL}/25") is ("NOT" in end)
    assert scene.waited == pytest.approx(waited)


def test_what_appears_late_may_be_followed_by_more() -> None:
    """Seconds are counted from the last workflow that appeared, not from the first look."""
    ended = [workflow("canceled", "lint"), workflow("canceled", "docs")]
    looks = [*[workflows(LINT)] * 4, workflows(*ended), workflows(*ended, "running"), workflows(*ended, "canceled")]
    scene = Scene(*looks, routes={PIPELINE: seen(sha=OTHER_SHA)}, workflow=None, limit=60.0)
    assert scene.fails(Stopped, "wrong-commit").message.endswith("it was cancelled")
    assert scene.cancelled == ["w0", "w2"]


@pytest.mark.parametrize(
    ("cancel", "asked"),
    [
        (answer(202), ["w0", "w1"]),
        ([answer(403), answer(202)], ["w0", "w1", "w0"]),
        ([answer(202), answer(403)], ["w0", "w1", "w1", "w1"]),
    ],
)
def test_a_cancelling_is_asked_for_until_it_is_accepted(cancel: Any, asked: list[str]) -> None:
    scene = Scene(workflows("running", LINT), routes={PIPELINE: seen(sha=OTHER_SHA), CANCEL: cancel})
    assert "it could NOT be cancelled: deploy: running, lint" in scene.fails(Stopped, "wrong-commit").message
    assert scene.cancelled[:4] == asked


# Nothing runs


@pytest.mark.parametrize(
    ("errors", "message", "hint"),
    [
        (["Unexpected argument(s): a", "two"], "errored: Unexpected argument(s): a; two", "declare each of these"),
        (["two"], "errored: two", "see the error at https://app.circleci.com"),
        ([], "errored: CircleCI gives no reason", "see the error at https://app.circleci.com"),
    ],
)
def test_an_errored_run(errors: list[str], message: str, hint: str) -> None:
    scene = Scene(workflows(), routes={PIPELINE: seen(state="errored", errors=errors)})
    error = scene.fails(NothingRuns, "errored")
    assert error.message == f"run {URL}/25 was created and {message}"
    assert error.hints[0].startswith(hint)
    assert scene.waited == 0


@pytest.mark.parametrize(
    ("found", "code", "message"),
    [
        *(
            (workflow(status), "did-not-run", f"workflow deploy of {URL}/25 does not run: status: {status}")
            for status in ("error", "canceled", "not_run")
        ),
        (workflow("unauthorized"), "unauthorized", f"workflow deploy of {URL}/25 is unauthorized: it does not run"),
        *(
            (
                setup(status),
                "setup-failed",
                f"the setup workflow failed, so no other workflow starts: setup of {URL}/25, status: {status}",
            )
            for status in ("failed", "canceled", "error")
        ),
    ],
)
def test_what_does_not_run_is_told_at_once(found: dict[str, Any], code: str, message: str) -> None:
    scene = Scene(workflows(found), routes={PIPELINE: seen(state="setup")})
    error = scene.fails(NothingRuns, code)
    assert (error.message, scene.waited) == (message, 0)
    assert code != "unauthorized" or "CIRCLE_TOKEN" in error.hints[0]


SET_UP, SETTING_UP = workflows(setup("success")), workflows(setup("running"))


@pytest.mark.parametrize(
    ("looks", "changes", "kind", "code"),
    [
        ([workflows()], {}, NothingRuns, "no-workflow"),
        ([workflows()], {"errors": ["a trigger rule"]}, NothingRuns, "errored"),
        ([workflows(LINT)], {"errors": ["a trigger rule"]}, NothingRuns, "workflow-absent"),
        ([SETTING_UP, SET_UP], {}, NothingRuns, "no-workflow"),
        ([workflows(setup("failed", max_auto_reruns=1))], {}, NothingRuns, "no-workflow"),
        # what is still being made is not a run in which nothing runs
        ([workflows()], {"state": "pending"}, TimedOut, "not-started"),
        ([workflows()], {"state": "setup-pending"}, TimedOut, "not-started"),
        ([SETTING_UP], {"state": "setup"}, TimedOut, "not-started"),
        ([SETTING_UP], {}, TimedOut, "not-started"),
        ([*[SETTING_UP] * 9, SET_UP], {}, TimedOut, "not-started"),
        # nor is what cannot be read: to say so would be a lie, and an invitation to deploy twice
        ([workflows("running")], {"sha": None}, TimedOut, "commit-unknown"),
        *(([bad], {}, TimedOut, "not-confirmed") for bad in (answer(500), lost(), answer(403), answer(200, b"<html>"))),
        ([answer(404)], {"state": "pending", "sha": None}, TimedOut, "not-confirmed"),
    ],
)
def test_what_is_told_when_the_time_is_up(
    looks: list[Event], changes: dict[str, Any], kind: type[ToolError], code: str
) -> None:
    scene = Scene(*looks, routes={PIPELINE: seen(**changes)}, limit=30.0)
    error = scene.fails(kind, code)
    assert scene.waited >= 30.0
    assert code != "not-started" or "do not run this step again for it" in error.hints[1]


def test_the_words_of_who_has_waited_in_vain() -> None:
    error = Scene(workflows()).fails(NothingRuns, "no-workflow")
    assert error.message == f"run {URL}/25 was created and no workflow started within 10 s"
    error = Scene(workflows(workflow("running", "b"), workflow("running", "a"))).fails(NothingRuns, "workflow-absent")
    assert error.message == f"workflow 'deploy' did not start within 10 s; run {URL}/25 has: a, b"
    error = Scene(workflows("running"), routes={PIPELINE: answer(404)}).fails(TimedOut, "not-confirmed")
    assert error.message == f"run {URL}/25 was created but could not be read for 10 s"


# API v1.1: the answer to the trigger is the job


def job(created_of: str | None, *looks: dict[str, Any], **changes: Any) -> Scene:
    """The job that was created is of that commit, as far as the answer tells."""
    there = [answer(200, {"build_num": 31, "job_name": "deploy", **look}) for look in looks]
    created = Created(None, 31, f"{HOST}/gh/acme/shop/31", revision=created_of)
    routes = {"GET /31": there} if there else {}
    return Scene(created=created, routes=routes, api=ApiVersion.V1_1, job="deploy", workflow=None, **changes)


def test_a_job_tells_its_commit_itself_or_is_read_back() -> None:
    pinned = job(SHA)
    assert (pinned.confirm(), pinned.transport.sent) == ((SHA, []), [])
    assert job(OTHER_SHA, revision=None).confirm() == (OTHER_SHA, [])
    assert job(None, {"status": "running"}, {"status": "running", "vcs_revision": SHA}).confirm() == (SHA, ["deploy"])
    job(None, {"status": "running"}).fails(TimedOut, "commit-unknown")


def test_a_job_of_another_commit_is_cancelled() -> None:
    scene = job(OTHER_SHA, {"status": "running"}, {"status": "canceled"})
    assert scene.fails(Stopped, "wrong-commit").message.endswith("it was cancelled")
    assert scene.cancelled == ["31"]
