"""After the trigger: the right commit, and something that runs. Every way that can go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import OTHER_SHA, RUN, SHA, asked, spec
from fakes import FakeClock, RecordingProgress, RoutedTransport, answer, lost

from deploystep.app.confirm import Confirmed, Watch
from deploystep.app.courier import Courier
from deploystep.app.vigil import Patience
from deploystep.core.errors import NothingRuns, Stopped, TimedOut, ToolError
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created, WorkflowState

if TYPE_CHECKING:
    from fakes import Event

    from deploystep.circleci.wire import Failure, Request, Response

URL = "https://app.circleci.com/pipelines/gh/acme/shop/25"
CREATED = Created(RUN, 25, URL, "pending")
PIPELINE, WORKFLOWS, CANCEL = f"GET /{RUN}", "GET /workflow", "POST /cancel"


def pipeline(revision: str | None = SHA, state: str = "created", *errors: str) -> Event:
    body = {"state": state, "errors": [{"type": "config", "message": e} for e in errors]}
    return answer(200, {**body, "vcs": {"revision": revision}} if revision else body)


def workflows(*names: str, status: str = "running", tag: str | None = None, following: str | None = None) -> Event:
    items = [{"id": f"id-{name}", "name": name, "status": status, "tag": tag} for name in names]
    return answer(200, {"items": items, "next_page_token": following})


class Scene:
    def __init__(
        self, routes: dict[str, Any], *, limit: float = 10.0, created: Created = CREATED, **changes: Any
    ) -> None:
        self.transport, self.clock, self.progress = RoutedTransport(routes), FakeClock(), RecordingProgress()
        courier = Courier(self.transport, self.clock, self.progress)
        self.watch = Watch(spec(**changes), created, asked(), courier, Patience(limit))

    def confirm(self) -> Confirmed:
        return self.watch.confirm()

    def fails(self, kind: type[ToolError], code: str) -> ToolError:
        with pytest.raises(kind) as caught:
            self.watch.confirm()
        assert caught.value.code == code
        assert caught.value.hints
        return caught.value


def test_at_once() -> None:
    scene = Scene({PIPELINE: pipeline(), WORKFLOWS: workflows("deploy", "lint")})
    assert scene.confirm() == Confirmed(
        (WorkflowState("id-deploy", "deploy", "running"), WorkflowState("id-lint", "lint", "running")), SHA
    )
    assert scene.clock.slept == []


def test_workflows_that_come_later() -> None:
    scene = Scene({PIPELINE: pipeline(), WORKFLOWS: [workflows(), workflows(), workflows("lint"), workflows("deploy")]})
    assert [w.name for w in scene.confirm().workflows] == ["deploy"]
    assert scene.clock.slept == [0.5, 1.0, 2.0]


def test_a_run_that_can_be_read_only_later() -> None:
    scene = Scene({PIPELINE: [answer(404), answer(404), pipeline()], WORKFLOWS: workflows("deploy")})
    assert scene.confirm().revision == SHA


def test_a_commit_that_is_known_only_later() -> None:
    """That something runs is not enough: of which commit must be known too."""
    scene = Scene({PIPELINE: [pipeline(None), pipeline(None), pipeline()], WORKFLOWS: workflows("deploy")})
    assert scene.confirm().revision == SHA
    assert scene.transport.count(f"/{RUN}") == 3


def test_any_workflow_where_none_is_named() -> None:
    scene = Scene({PIPELINE: pipeline(), WORKFLOWS: workflows("lint")}, workflow=None)
    assert [w.name for w in scene.confirm().workflows] == ["lint"]


def test_a_setup_workflow_is_only_the_start() -> None:
    setup = workflows("deploy", tag="setup", status="success")
    scene = Scene({PIPELINE: pipeline(), WORKFLOWS: [setup, setup, workflows("deploy")]})
    assert [w.is_setup for w in scene.confirm().workflows] == [False]


def test_pages() -> None:
    scene = Scene({PIPELINE: pipeline(), WORKFLOWS: [workflows("a", following="2"), workflows("deploy")]})
    assert [w.name for w in scene.confirm().workflows] == ["a", "deploy"]
    assert dict(scene.transport.sent[-1].query) == {"page-token": "2"}


def test_pages_without_end_are_not_believed() -> None:
    scene = Scene({PIPELINE: pipeline(), WORKFLOWS: workflows("deploy", following="again")}, limit=3.0)
    scene.fails(TimedOut, "not-confirmed")
    assert len(scene.transport.sent) < 30


def test_another_project_has_other_commits() -> None:
    scene = Scene({PIPELINE: pipeline(OTHER_SHA), WORKFLOWS: workflows("deploy")}, revision=None)
    assert scene.confirm().revision == OTHER_SHA
    assert scene.transport.count("/cancel") == 0


def ended(*states: tuple[str, str], tag: str | None = None) -> Event:
    items = [{"id": f"id-{name}", "name": name, "status": status, "tag": tag} for name, status in states]
    return answer(200, {"items": items})


CANCELED = ended(("a", "canceled"), ("b", "canceled"))


def test_the_wrong_commit_is_cancelled() -> None:
    scene = Scene({PIPELINE: pipeline(OTHER_SHA), WORKFLOWS: [workflows("a", "b"), CANCELED], CANCEL: answer(202)})
    error = scene.fails(Stopped, "wrong-commit")
    assert error.message == f"run {URL} is of commit {OTHER_SHA}, not of {SHA} that was tested; it was cancelled"
    cancelled = [r.path for r in scene.transport.sent if r.method == "POST"]
    assert cancelled == ["/api/v2/workflow/id-a/cancel", "/api/v2/workflow/id-b/cancel"]


def test_the_wrong_commit_is_cancelled_as_soon_as_it_can_be() -> None:
    looks = [workflows(), lost(), workflows("a"), ended(("a", "canceled"))]
    scene = Scene({PIPELINE: pipeline(OTHER_SHA), WORKFLOWS: looks, CANCEL: answer(202)})
    assert scene.fails(Stopped, "wrong-commit").message.endswith("it was cancelled")


def test_that_a_cancelling_was_accepted_is_not_an_end() -> None:
    scene = Scene({PIPELINE: pipeline(OTHER_SHA), WORKFLOWS: workflows("a"), CANCEL: answer(202)})
    error = scene.fails(Stopped, "wrong-commit")
    assert error.message.endswith("it could NOT be cancelled: a is running")
    assert error.hints[0] == f"cancel it by hand: {URL}"
    assert scene.transport.count("/cancel") == 1


def test_what_comes_after_a_setup_workflow_is_cancelled_too() -> None:
    setup = {"id": "s", "name": "setup", "status": "success", "tag": "setup"}
    deploy = {"id": "d", "name": "deploy", "status": "running", "tag": None}
    looks = [
        answer(200, {"items": [setup]}),
        answer(200, {"items": [setup, deploy]}),
        answer(200, {"items": [setup, {**deploy, "status": "canceled"}]}),
    ]
    scene = Scene({PIPELINE: pipeline(OTHER_SHA), WORKFLOWS: looks, CANCEL: answer(202)})
    assert scene.fails(Stopped, "wrong-commit").message.endswith("it was cancelled")
    assert [r.path for r in scene.transport.sent if r.method == "POST"] == ["/api/v2/workflow/d/cancel"]


def test_a_setup_workflow_that_is_cancelled_starts_nothing() -> None:
    looks = [workflows("setup", tag="setup"), ended(("setup", "canceled"), tag="setup")]
    scene = Scene({PIPELINE: pipeline(OTHER_SHA), WORKFLOWS: looks, CANCEL: answer(202)})
    assert scene.fails(Stopped, "wrong-commit").message.endswith("it was cancelled")


def test_the_rules_own_workflow_of_the_wrong_commit_may_appear_after_others() -> None:
    looks = [
        *(workflows("lint"), ended(("lint", "canceled")), ended(("lint", "canceled"), ("deploy", "running"))),
        ended(("lint", "canceled"), ("deploy", "canceled")),
    ]
    scene = Scene({PIPELINE: pipeline(OTHER_SHA), WORKFLOWS: looks, CANCEL: answer(202)})
    assert scene.fails(Stopped, "wrong-commit").message.endswith("it was cancelled")
    assert scene.transport.count("/cancel") == 2


def test_without_a_name_any_workflow_of_the_wrong_commit_may_appear_for_seconds() -> None:
    looks = [
        *(workflows("lint"), ended(("lint", "canceled")), ended(("lint", "canceled"), ("deploy", "running"))),
        ended(("lint", "canceled"), ("deploy", "canceled")),
    ]
    scene = Scene({PIPELINE: pipeline(OTHER_SHA), WORKFLOWS: looks, CANCEL: answer(202)}, workflow=None)
    assert scene.fails(Stopped, "wrong-commit").message.endswith("it was cancelled")
    assert scene.transport.count("/cancel") == 2
    assert sum(scene.clock.slept) >= 5.0


def test_the_wrong_commit_that_has_already_been_deployed() -> None:
    scene = Scene({PIPELINE: pipeline(OTHER_SHA), WORKFLOWS: ended(("deploy", "success"))})
    error = scene.fails(Stopped, "wrong-commit")
    assert error.message.endswith("it could NOT be cancelled: deploy is success")


def test_the_wrong_commit_is_stopped_even_where_its_workflows_may_not_run() -> None:
    unauthorized = workflows("deploy", status="unauthorized")
    scene = Scene({PIPELINE: pipeline(OTHER_SHA), WORKFLOWS: unauthorized})
    assert scene.fails(Stopped, "wrong-commit").message.endswith("it does not run: deploy is unauthorized")


@pytest.mark.parametrize("cancel", [[answer(403)], [lost()] * 99, [answer(202), answer(403)]])
def test_the_wrong_commit_that_cannot_be_cancelled(cancel: list[Event]) -> None:
    scene = Scene({PIPELINE: pipeline(OTHER_SHA), WORKFLOWS: workflows("a", "b"), CANCEL: cancel})
    error = scene.fails(Stopped, "wrong-commit")
    assert error.message.endswith("it could NOT be cancelled: a is running, b is running")
    assert error.hints[0] == f"cancel it by hand: {URL}"


def test_the_wrong_commit_of_which_no_workflow_is_seen() -> None:
    scene = Scene({PIPELINE: pipeline(OTHER_SHA), WORKFLOWS: workflows()})
    assert scene.fails(Stopped, "wrong-commit").message.endswith("could NOT be cancelled")


def test_an_errored_run() -> None:
    scene = Scene({PIPELINE: pipeline(SHA, "errored", "Unexpected argument(s): a", "two"), WORKFLOWS: workflows()})
    error = scene.fails(NothingRuns, "errored")
    assert error.message == f"run {URL} was created and errored: Unexpected argument(s): a; two"
    assert error.hints[0].startswith("declare each of these")


def test_an_errored_run_without_words() -> None:
    error = Scene({PIPELINE: pipeline(SHA, "errored"), WORKFLOWS: workflows()}).fails(NothingRuns, "errored")
    assert error.message.endswith("it says no more")


def test_errors_of_a_run_that_runs_all_the_same() -> None:
    scene = Scene({PIPELINE: pipeline(SHA, "created", "a trigger rule"), WORKFLOWS: [workflows(), workflows("deploy")]})
    assert scene.confirm().revision == SHA


def test_errors_of_a_run_in_which_nothing_runs() -> None:
    scene = Scene({PIPELINE: pipeline(SHA, "created", "a trigger rule"), WORKFLOWS: workflows()})
    assert "a trigger rule" in scene.fails(NothingRuns, "errored").message


def test_unauthorized() -> None:
    scene = Scene({PIPELINE: pipeline(), WORKFLOWS: workflows("deploy", status="unauthorized")})
    error = scene.fails(NothingRuns, "unauthorized")
    assert "context" in error.hints[0]


def test_another_workflow_that_is_unauthorized_does_not_matter() -> None:
    both = answer(
        200,
        {
            "items": [
                {"id": "1", "name": "lint", "status": "unauthorized"},
                {"id": "2", "name": "deploy", "status": "running"},
            ]
        },
    )
    assert Scene({PIPELINE: pipeline(), WORKFLOWS: both}).confirm().revision == SHA


SET_UP = workflows("setup", tag="setup", status="success")
SETTING_UP = workflows("setup", tag="setup")


@pytest.mark.parametrize(
    ("state", "looks"),
    [
        ("pending", [workflows()]),
        ("setup", [SETTING_UP]),
        ("setup-pending", [workflows()]),
        ("created", [SETTING_UP]),
        ("created", [SETTING_UP] * 9 + [SET_UP]),
    ],
)
def test_a_run_that_is_still_being_made_is_not_one_in_which_nothing_runs(state: str, looks: list[Event]) -> None:
    scene = Scene({PIPELINE: pipeline(state=state), WORKFLOWS: looks}, limit=30.0)
    error = scene.fails(TimedOut, "not-started")
    assert "do not run this step again for it" in error.hints[1]


def test_an_answer_that_took_long_is_not_the_last_word() -> None:
    """It tells how it was when CircleCI read it."""
    scene = Scene({PIPELINE: pipeline(), WORKFLOWS: [workflows(), workflows("deploy")]})

    def slow(request: Request) -> Response | Failure:
        result = answering(request)
        if request.path.endswith("/workflow"):
            scene.clock.sleep(59.0)
        return result

    answering, scene.transport.send = scene.transport.send, slow  # type: ignore[method-assign]
    assert [w.name for w in scene.confirm().workflows] == ["deploy"]


def test_a_setup_workflow_that_failed_is_the_end() -> None:
    failed = workflows("setup", tag="setup", status="failed")
    scene = Scene({PIPELINE: pipeline(state="setup"), WORKFLOWS: failed}, limit=30.0)
    scene.fails(NothingRuns, "no-workflow")


def test_a_setup_workflow_after_which_nothing_comes() -> None:
    scene = Scene({PIPELINE: pipeline(), WORKFLOWS: [SETTING_UP, SET_UP]}, limit=30.0)
    scene.fails(NothingRuns, "no-workflow")


def test_no_workflow() -> None:
    scene = Scene({PIPELINE: pipeline(), WORKFLOWS: workflows()}, limit=10.0)
    error = scene.fails(NothingRuns, "no-workflow")
    assert error.message == f"run {URL} was created and no workflow started within 10 s"
    assert 10.0 <= sum(scene.clock.slept) < 15.0
    assert max(scene.clock.slept) <= 5.0


def test_another_workflow_than_the_named() -> None:
    scene = Scene({PIPELINE: pipeline(), WORKFLOWS: workflows("b", "a")})
    error = scene.fails(NothingRuns, "workflow-absent")
    assert error.message.endswith(f"run {URL} has: a, b")


def test_a_run_that_cannot_be_read() -> None:
    error = Scene({PIPELINE: answer(404), WORKFLOWS: workflows("deploy")}).fails(TimedOut, "not-confirmed")
    assert URL in error.message


@pytest.mark.parametrize("trouble", [answer(500), lost(), answer(403), answer(200, b"<html>")])
def test_workflows_that_cannot_be_read_are_not_absent(trouble: Event) -> None:
    """To say that nothing runs would be a lie, and an invitation to deploy twice."""
    Scene({PIPELINE: pipeline(), WORKFLOWS: trouble}).fails(TimedOut, "not-confirmed")


def test_a_page_that_cannot_be_read_may_hold_the_named_workflow() -> None:
    routes = {PIPELINE: pipeline(), WORKFLOWS: [workflows("a", following="2"), *[answer(403)] * 99]}
    Scene(routes).fails(TimedOut, "not-confirmed")


def test_a_run_that_does_not_say_its_commit() -> None:
    scene = Scene({PIPELINE: pipeline(None), WORKFLOWS: workflows("deploy")})
    error = scene.fails(TimedOut, "commit-unknown")
    assert SHA in error.hints[0]


def test_not_looking_is_said() -> None:
    scene = Scene({}, limit=0.0)
    assert scene.confirm() == Confirmed((), None)
    assert scene.progress.warned == ["not confirmed that anything runs, nor of which commit: --confirm is 0"]


# API v1.1: the answer to the trigger is the job

JOB = Created(None, 31, "https://circleci.com/gh/acme/shop/31", revision=SHA)


def job(created: Created, routes: dict[str, Any], **changes: Any) -> Scene:
    return Scene(routes, created=created, api=ApiVersion.V1_1, job="deploy", workflow=None, **changes)


def test_a_job() -> None:
    assert job(JOB, {}).confirm() == Confirmed((), SHA)


def test_a_job_of_another_commit_is_cancelled() -> None:
    looks = [answer(200, {"build_num": 31, "job_name": "deploy", "status": s}) for s in ("running", "canceled")]
    routes = {"POST /31/cancel": answer(200, {}), "GET /31": looks}
    scene = job(Created(None, 31, JOB.url, revision=OTHER_SHA), routes)
    assert scene.fails(Stopped, "wrong-commit").message.endswith("it was cancelled")
    assert scene.transport.paths == [
        "GET /api/v1.1/project/github/acme/shop/31",
        "POST /api/v1.1/project/github/acme/shop/31/cancel",
        "GET /api/v1.1/project/github/acme/shop/31",
    ]


def test_a_job_that_does_not_say_its_commit_is_read_back() -> None:
    build = {"build_num": 31, "job_name": "deploy", "status": "running"}
    looks = [answer(200, build), answer(200, {**build, "vcs_revision": SHA})]
    scene = job(Created(None, 31, JOB.url), {"GET /31": looks})
    assert scene.confirm().revision == SHA


def test_a_job_that_never_says_its_commit() -> None:
    scene = job(Created(None, 31, JOB.url), {"GET /31": answer(200, {"build_num": 31, "job_name": "deploy"})})
    scene.fails(TimedOut, "commit-unknown")


def test_a_job_of_another_project() -> None:
    other = Created(None, 31, JOB.url, revision=OTHER_SHA)
    assert job(other, {}, revision=None).confirm() == Confirmed((), OTHER_SHA)


@pytest.mark.parametrize("status", ["error", "canceled", "not_run"])
def test_a_workflow_that_does_not_run_is_no_deploy(status: str) -> None:
    scene = Scene({PIPELINE: pipeline(), WORKFLOWS: workflows("deploy", status=status)})
    assert f"it is {status}" in scene.fails(NothingRuns, "did-not-run").message
