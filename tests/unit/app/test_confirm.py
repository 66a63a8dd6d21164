"""After the trigger: the right commit, something that runs, and with --wait how it ends. Every way that can go."""

from typing import Any

import pytest
from builds import OTHER_SHA, RUN, SHA, context, spec
from fakes import HOST, Event, FakeClock, RecordingConsole, RoutedTransport, answer, client, failure, lost
from triggers import URL, ago, entry, seen, setup, workflow, workflows

from deploystep.app.trigger import Watched
from deploystep.circleci.apis import api_for
from deploystep.circleci.http import Request
from deploystep.core.deploy import Outcome
from deploystep.core.errors import DeployFailed, ExitCode, Interrupted, NothingRuns, Stopped, TimedOut, ToolError
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created

PIPELINE, CANCEL = f"GET /{RUN}", "POST /cancel"
WRONG = {PIPELINE: seen(sha=OTHER_SHA)}
LINT = workflow("running", "lint")
ENDED_BADLY = "what rule 'production' triggered ended badly: workflow "


class Scene:
    """A run that was created, number 25; its workflows are seen look by look, and slow answers about them take 59 s."""

    def __init__(
        self, *looks: Event, limit: float = 10.0, created: Created | None = None, routes: Any = None,
        slow: bool = False, **changes: Any,
    ) -> None:  # fmt: skip
        usual: dict[str, Any] = {PIPELINE: seen(), "GET /workflow": list(looks), CANCEL: answer(202)}
        self.transport, self.clock, self.limit = RoutedTransport({**usual, **(routes or {})}), FakeClock(), limit
        self.console, sends = RecordingConsole(self.clock), spec(**changes)
        self.entry = entry(sends, Outcome.TRIGGERED)
        self.entry.created = created or Created(RUN, 25, f"{URL}/25")
        api = api_for(client(self.transport, self.clock, self.console), context(api=sends.api))
        self._watched = Watched(self.entry, self.entry.created, api)
        if slow:
            self.transport.send = self._slowly  # type: ignore[method-assign]

    def _slowly(self, request: Request) -> Any:
        self.clock.sleep(59.0 if request.path.endswith("/workflow") else 0.0)
        return RoutedTransport.send(self.transport, request)

    def confirm(self) -> tuple[str | None, list[str]]:
        """The commit, and the names of the workflows."""
        self._watched.confirm(self.limit)
        assert self.entry.created is not None
        return self.entry.created.revision, [w.name for w in self.entry.workflows]

    def fails(self, kind: type[ToolError], code: str) -> ToolError:
        return failure(self.confirm, kind, code)

    @property
    def cancelled(self) -> list[str]:
        return [r.path.split("/")[-2] for r in self.transport.sent if r.method == "POST"]

    def follow(self) -> None:
        self._watched.follow(self.limit)

    @property
    def end(self) -> str | None:
        """What of it failed; None where it ended well."""
        try:
            self.follow()
        except DeployFailed as error:
            return error.message.removeprefix(ENDED_BADLY)
        return None

    @property
    def timeout(self) -> str:
        return failure(self.follow, TimedOut, "wait-timeout").message


# Something runs

TOLD_BEFORE = Created(RUN, 25, f"{URL}/25", revision=SHA)
DEPLOYS, NOTHING, LINTS = workflows("running"), workflows(), workflows(LINT)
SET_UP, SETTING_UP = workflows(setup("success")), workflows(setup("running"))
GOES_ON = workflows(setup("success"), "queued")


@pytest.mark.parametrize(
    ("looks", "names", "changes"),
    [
        ([workflows("running", LINT)], "deploy lint", {}),
        ([NOTHING, NOTHING, LINTS, DEPLOYS], "deploy", {}),
        ([SET_UP, GOES_ON], "setup deploy", {}),
        ([workflows(workflow("success", tag="setup")), DEPLOYS], "deploy", {}),  # it only has the name
        ([DEPLOYS], "deploy", {"routes": {PIPELINE: [answer(404), answer(404), seen()]}}),
        ([DEPLOYS], "deploy", {"routes": {PIPELINE: [*[seen(sha=None)] * 2, seen()]}}),  # what runs is not enough
        ([DEPLOYS], "deploy", {"routes": {PIPELINE: seen(sha=None)}, "created": TOLD_BEFORE}),
        ([workflows("failed")], "deploy", {}),  # it ran: --wait tells how it ended
        ([workflows("running", workflow("unauthorized", "lint"))], "deploy lint", {}),
        ([NOTHING, DEPLOYS], "deploy", {"routes": {PIPELINE: seen(errors=["a trigger rule"])}}),
        ([workflows(setup("failed", max_auto_reruns=1)), GOES_ON], "setup deploy", {}),
        ([workflows(setup("failed"), setup("running")), GOES_ON], "setup deploy", {}),
        ([NOTHING, DEPLOYS], "deploy", {"slow": True}),  # a late answer tells how it was when CircleCI read it
        # where no workflow is named, one that runs is enough
        ([LINTS], "lint", {"workflow": None}),
        ([workflows(workflow("canceled", "a"), workflow("running", "b"))], "a b", {"workflow": None}),
        ([workflows(workflow("error", "a"), workflow("failed", "b"))], "a b", {"workflow": None}),
        # another project has other commits
        ([DEPLOYS], "deploy", {"revision": None, "routes": WRONG}),
        ([DEPLOYS], "deploy", {"revision": None, "routes": {PIPELINE: seen(sha=None)}}),
    ],
)
def test_the_workflow_is_waited_for(looks: list[Event], names: str, changes: dict[str, Any]) -> None:
    scene = Scene(*looks, **changes)
    revision, found = scene.confirm()
    assert (found, scene.cancelled) == (names.split(), [])
    assert revision == (SHA if "revision" not in changes else OTHER_SHA if changes["routes"] is WRONG else None)
    assert (scene.clock.waited > 0) is (len(scene.transport.sent) > 2)


def test_not_looking_is_said() -> None:
    scene = Scene(limit=0.0)
    assert (scene.confirm(), scene.transport.sent) == ((None, []), [])
    assert scene.console.warnings == ["not confirmed that anything runs, nor of which commit: --confirm is 0"]


# Another commit

LINT_ENDED = workflow("canceled", "lint")


@pytest.mark.parametrize(("looks", "cancelled"), [
    ([("running", LINT), ("canceled", LINT_ENDED)], ["w0", "w1"]),
    ([(), None, ("running",), ("canceled",)], ["w0"]),  # as soon as it can be
    ([(setup("success"),), (setup("success"), "running"), (setup("success"), "canceled")], ["w1"]),
    ([(setup("running"),), (setup("canceled"),)], ["w0"]),  # nothing comes after it
    ([(LINT,), (LINT_ENDED,), (LINT_ENDED, "running"), (LINT_ENDED, "canceled")], ["w0", "w1"]),
    # seconds are counted from the last workflow that appeared, not from the first look
    ([*[(LINT,)] * 4, (LINT_ENDED, LINT_ENDED), (LINT_ENDED, LINT_ENDED, "running"),
      (LINT_ENDED, LINT_ENDED, "canceled")], ["w0", "w2"]),
    ([("canceled",)], []),
])  # fmt: skip
@pytest.mark.parametrize("named", ["deploy", None])
def test_all_that_runs_of_another_commit_is_cancelled(looks: Any, cancelled: list[str], named: str | None) -> None:
    """Where no workflow is named another may appear for some seconds."""
    seen_one_by_one = [lost() if found is None else workflows(*found) for found in looks]
    scene = Scene(*seen_one_by_one, routes=WRONG, workflow=named, limit=60.0)
    error = scene.fails(Stopped, "wrong-commit")
    assert error.message == f"run {URL}/25 is of commit {OTHER_SHA}, not of {SHA} that was tested; it was cancelled"
    assert "by hand" not in error.hints[0]
    assert scene.cancelled == cancelled
    is_known = named is not None or looks[-1] == (setup("canceled"),)
    assert (scene.clock.waited < 5.0) is is_known or None in looks or len(looks) > 6


@pytest.mark.parametrize(
    ("found", "end", "waited"),
    [
        (("running",), "NOT be cancelled: workflow deploy: running", 10.0),  # that it was accepted is not an end
        (("canceled", workflow("success", "lint")), "NOT be cancelled: workflow deploy: canceled, workflow lint: s", 0),
        ((workflow("canceled", "lint"),), "it was cancelled", 7.5),  # the named one was not made, and is not expected
        *((found, "NOT be cancelled: no workflow was seen", 10.0) for found in ((), (setup("success"),))),
        (("unauthorized",), "it does not run: workflow deploy: unauthorized", 0),
        ((setup("failed"),), "it does not run: workflow setup: failed", 0),
    ],
)
def test_what_became_of_another_commits_run_is_read_and_told(found: tuple[Any, ...], end: str, waited: float) -> None:
    """For ten seconds at the least."""
    scene = Scene(workflows(*found), routes=WRONG, limit=1.0)
    error = scene.fails(Stopped, "wrong-commit")
    assert end in error.message.partition("that was tested; ")[2]
    assert (error.hints[0] == f"cancel it by hand: {URL}/25") is ("NOT" in end)
    assert scene.clock.waited == pytest.approx(waited)


def test_a_cancelling_is_asked_for_until_it_is_accepted() -> None:
    yes, no, both = answer(202), answer(403), workflows("running", LINT)
    for cancel, asked in (([yes], "w0 w1"), ([no, yes], "w0 w1 w0"), ([yes, no], "w0 w1 w1 w1")):
        scene = Scene(both, routes={**WRONG, CANCEL: cancel})
        assert "it could NOT be cancelled: workflow deploy: running" in scene.fails(Stopped, "wrong-commit").message
        assert scene.cancelled[:4] == asked.split()
    scene = Scene(both, Interrupted(ExitCode.TERMINATED), routes={**WRONG, CANCEL: [yes, no]})
    with pytest.raises(Interrupted):
        scene.confirm()
    assert (scene.entry.cancelled, scene.entry.other_commit) == ({"deploy": True, "lint": False}, OTHER_SHA)


# Nothing runs


@pytest.mark.parametrize(("looks", "changes", "code", "message"), [
    ([NOTHING], {"state": "errored", "errors": ["one", "two"]}, "errored", "was created and errored: one; two"),
    ([NOTHING], {"state": "errored"}, "errored", "was created and errored: CircleCI gives no reason"),
    *(([workflows(word)], {}, "did-not-run", f"does not run: workflow deploy: {word}")
      for word in ("error", "canceled", "not_run", "unauthorized")),
    *(([workflows(setup(word))], {"state": "setup"}, "setup-failed", f"workflow starts: workflow setup: {word}")
      for word in ("failed", "canceled", "error")),
])  # fmt: skip
def test_what_does_not_run_is_told_at_once(looks: list[Event], changes: Any, code: str, message: str) -> None:
    scene = Scene(*looks, routes={PIPELINE: seen(**changes)})
    error = scene.fails(NothingRuns, code)
    assert (error.message.endswith(message), f"{URL}/25" in error.message, scene.clock.waited) == (True, True, 0)
    assert code != "did-not-run" or "CIRCLE_TOKEN" in error.hints[0]


def test_where_no_workflow_is_named_one_that_runs_does_not_make_up_for_one_that_may_not() -> None:
    error = Scene(workflows("unauthorized", LINT), workflow=None).fails(NothingRuns, "did-not-run")
    assert error.message.endswith("does not run: workflow deploy: unauthorized")


FORMING, UNREAD = "not finished making its workflows", "its state could not be read"


@pytest.mark.parametrize(
    ("looks", "changes", "kind", "told"),
    [
        ([NOTHING], {}, NothingRuns, "workflow 'deploy' did not start within 30 s: no workflow was seen"),
        ([NOTHING], {"errors": ["a trigger rule"]}, NothingRuns, "was created and errored: a trigger rule"),
        ([LINTS], {"errors": ["a trigger rule"]}, NothingRuns, "did not start within 30 s: workflow lint: running"),
        ([SETTING_UP, SET_UP], {}, NothingRuns, "did not start within 30 s"),
        ([workflows(setup("failed", max_auto_reruns=1))], {}, NothingRuns, "did not start within 30 s"),
        # what is still being made is not a run in which nothing runs
        *(([NOTHING], {"state": state}, TimedOut, FORMING) for state in ("pending", "setup-pending")),
        *(([SETTING_UP], state, TimedOut, FORMING) for state in ({"state": "setup"}, {})),
        ([*[SETTING_UP] * 9, SET_UP], {}, TimedOut, FORMING),
        # nor is what cannot be read: to say so would be a lie, and an invitation to deploy twice
        ([DEPLOYS], {"sha": None}, TimedOut, "its commit could not be read"),
        *(([bad], {}, TimedOut, UNREAD) for bad in (answer(500), lost(), answer(403), answer(200, b"<html>"))),
        ([answer(404)], {"state": "pending", "sha": None}, TimedOut, UNREAD),
    ],
)
def test_what_is_told_when_the_time_is_up(looks: list[Event], changes: dict[str, Any], kind: Any, told: str) -> None:
    scene = Scene(*looks, routes={PIPELINE: seen(**changes)}, limit=30.0)
    code = "not-confirmed" if kind is TimedOut else "errored" if "errored" in told else "no-workflow"
    error = scene.fails(kind, code)
    assert (told in error.message, scene.clock.waited >= 30.0) == (True, True)
    assert kind is NothingRuns or "do not run this step again for it" in error.hints[1]


def test_a_slow_answer_tells_how_it_stood_before() -> None:
    """The setup workflow had just ended when CircleCI was asked: what follows it may still come."""
    assert Scene(SET_UP, slow=True).fails(TimedOut, "not-confirmed")


# API v1.1: the answer to the trigger is the job


def job(created_of: str | None, *looks: dict[str, Any], **changes: Any) -> Scene:
    """The job that was created is of that commit, as far as the answer tells."""
    there = [answer(200, {"build_num": 31, "job_name": "deploy", **look}) for look in looks]
    created = Created(None, 31, f"{HOST}/gh/acme/shop/31", changes.pop("state", ""), created_of)
    routes = {"GET /31": there or answer(500)}
    return Scene(created=created, routes=routes, api=ApiVersion.V1_1, job="deploy", workflow=None, **changes)


def test_a_job_tells_its_commit_itself_or_is_read_back() -> None:
    pinned = job(SHA)
    assert (pinned.confirm(), pinned.transport.sent) == ((SHA, []), []), "nothing is left to ask"
    assert job(OTHER_SHA, revision=None).confirm() == (OTHER_SHA, [])
    assert job(None, {"status": "running"}, {"status": "running", "vcs_revision": SHA}).confirm() == (SHA, ["deploy"])
    job(None, {"status": "running"}).fails(TimedOut, "not-confirmed")
    job(None, state="not_running").fails(TimedOut, "not-confirmed")
    job(SHA, state="not_run").fails(NothingRuns, "did-not-run")
    other = job(OTHER_SHA, {"status": "running"}, {"status": "running"}, {"status": "canceled"})
    assert other.fails(Stopped, "wrong-commit").message.endswith("it was cancelled")
    assert other.cancelled == ["31"]


# With --wait: to its end

RUNNING, SUCCESS = workflows("running"), workflows("success")


def named(**states: str) -> Event:
    """Several workflows, by name."""
    return workflows(*(workflow(status, name) for name, status in states.items()))


def runs(*states: str, most: int = 0) -> Event:
    """One workflow and its reruns, the newest last, of which CircleCI makes so many by itself."""
    items = [
        workflow(s, created_at=ago(-60 * n), max_auto_reruns=most, auto_rerun_number=n) for n, s in enumerate(states)
    ]
    return workflows(*items)


def followed(*looks: Event, limit: float = 3600.0, **changes: Any) -> Scene:
    return Scene(*looks, limit=limit, **changes)


@pytest.mark.parametrize(("looks", "failed"), [
    ([RUNNING, RUNNING, SUCCESS], None),
    *(([RUNNING, workflows(word)], f"deploy: {word}") for word in ("failed", "canceled", "not_run")),
    # states that are no end
    *(([*[workflows(word)] * 3, SUCCESS], None) for word in ("failing", "on_hold", "no such word", "Success")),
    ([named(lint="failed", deploy="running"), named(lint="failed", deploy="success")], None),
    ([named(lint="running", deploy="failed")], "deploy: failed"),
    ([NOTHING, SUCCESS], None),
    ([workflows(setup("success")), workflows(setup("success"), "success")], None),
    ([workflows(setup("failed")), workflows(setup("failed"), "success")], None),
    ([runs("success", "running"), runs("success", "failed")], "deploy: failed"),  # a rerun takes its place
    # CircleCI's own rerun is waited for
    ([*[runs("failed", most=2)] * 3, runs("failed", "success", most=2)], None),
    ([runs("failed", "failed", "failed", most=2)], "deploy: failed"),
    # each anew: a deploy that runs for ten minutes and fails again has a rerun left as the first had
    ([runs("failed", most=2), *[runs("failed", "running", most=2)] * 40, *[runs("failed", "failed", most=2)] * 3,
      runs("failed", "failed", "success", most=2)], None),
])  # fmt: skip
def test_how_it_ended(looks: list[Event], failed: str | None) -> None:
    scene = followed(*looks)
    assert (scene.end, scene.transport.count(f"{RUN}/workflow")) == (failed, len(looks))
    assert scene.console.infos[-1] == f"production: workflow {failed or 'deploy: success'}"


@pytest.mark.parametrize(
    ("looks", "failed"),
    [
        ([named(a="success", b="running"), named(a="success", b="success")], None),
        ([named(a="failed", b="running"), named(a="failed", b="success")], "a: failed"),
        ([named(a="success", b="failed", c="canceled")], "b: failed, workflow c: canceled"),
        # what comes a little later counts too
        ([named(a="success"), named(a="success"), named(a="success", b="failed")], "b: failed"),
    ],
)
def test_all_count_where_none_is_named(looks: list[Event], failed: str | None) -> None:
    scene = followed(*looks, workflow=None)
    assert scene.end == failed
    assert scene.transport.count(f"{RUN}/workflow") > len(looks)
    assert scene.clock.waited >= 15.0
    green = followed(workflows(setup("success")), limit=5.0, workflow=None)
    assert green.timeout.endswith("no workflow was seen"), "a green setup workflow is not the end"


def test_a_rerun_that_never_comes_is_not_waited_for_for_ever() -> None:
    scene = followed(runs("failed", most=2))
    assert (bool(scene.end), 120.0 <= scene.clock.waited <= 145.0) == (True, True)


# Time, and what cannot be read


def test_the_time_to_follow_is_up() -> None:
    scene = followed(workflows("on_hold"), limit=90.0)
    error = failure(scene.follow, TimedOut, "wait-timeout")
    assert error.message == "what rule 'production' triggered has not ended within 90 s: workflow deploy: on_hold"
    assert error.hints[0] == f"it goes on: {URL}/25"
    assert "rerun this job to wait on" in error.hints[1]
    assert scene.console.infos[0] == f"production: workflow deploy: on_hold; approve it at {URL}/25"
    assert scene.clock.waited == 90.0
    unknown = failure(followed(workflows("on_hold"), workflow=None, limit=90.0).follow, TimedOut, "wait-timeout")
    assert "do not run this step again" in unknown.hints[1]


@pytest.mark.parametrize("trouble", [answer(500), answer(404), lost(), answer(200, b"<html>"), answer(429)])
def test_looks_in_vain_are_borne(trouble: Event) -> None:
    """The deploy goes on whether or not somebody can see it."""
    scene = followed(RUNNING, *[trouble] * 11, SUCCESS)
    assert scene.end is None
    assert "production: could not be read just now" in scene.console.infos


def test_what_was_seen_last_is_what_is_told_in_the_end() -> None:
    scene = followed(RUNNING, answer(404), limit=60.0)
    assert scene.timeout.endswith("workflow deploy: running")
    assert [w.status for w in scene.entry.workflows] == ["running"]
    assert followed(runs("failed", most=1), answer(404)).end, "a failure is not forgotten"


@pytest.mark.parametrize(("outcome", "is_well"), [("success", True), ("no_tests", True), ("timedout", False)])
def test_a_job_of_v1_1_is_followed(outcome: str, is_well: object) -> None:
    looks = [{"status": "not_running"}, {"status": "queued"}, {"status": "running"}, {"outcome": outcome}]
    scene = job(None, *looks, limit=3600.0)
    assert (scene.end is None, len(scene.transport.sent)) == (is_well, 4)


# A success in which a job did not run


def jobs(*statuses: str) -> Event:
    return answer(200, {"items": [{"name": f"job-{n}", "status": status} for n, status in enumerate(statuses)]})


SKIPPED = jobs("success", "not_run", "not_run")


def test_a_success_in_which_a_job_did_not_run_is_no_deploy() -> None:
    """Of every workflow that counts."""
    error = failure(followed(RUNNING, SUCCESS, routes={"GET /job": SKIPPED}).follow, DeployFailed, "deploy-failed")
    assert error.exit is ExitCode.DEPLOY_FAILED
    assert error.message == "what rule 'production' triggered says success, but did not run: job-1, job-2"
    for of in ("w0", "w1"):
        both = followed(named(a="success", b="success"), workflow=None, routes={f"GET /{of}/job": SKIPPED})
        assert failure(both.follow, DeployFailed, "deploy-failed")


@pytest.mark.parametrize("trouble", [answer(404), answer(500), lost(), answer(200, {"items": [{}]})])
def test_jobs_that_cannot_be_read_are_no_success(trouble: Event) -> None:
    scene = followed(SUCCESS, routes={"GET /job": trouble}, limit=30.0)
    assert scene.timeout.endswith("workflow deploy: success")
    assert scene.clock.waited >= 30.0
    assert "production: the jobs of what has ended could not be read just now" in scene.console.infos
    assert followed(SUCCESS, routes={"GET /job": [*[trouble] * 5, jobs("success")]}).end is None
