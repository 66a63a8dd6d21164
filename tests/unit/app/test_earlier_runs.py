"""Was this deploy triggered before? What earlier runs in CircleCI's lists are taken for, and what cannot be told."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from builds import OTHER_SHA, PIPELINE, RUN, SHA, spec
from fakes import START, RoutedTransport, answer, lost, refused_connection
from triggers import ACCEPTED, OWN, URL, A, Attempt, B, ago, listing, pipeline, seen, setup, workflow, workflows

from deploystep.core.build import Tag
from deploystep.core.deploy import Outcome
from deploystep.core.errors import FactUnavailable, Refused, ToolError, Unreachable
from deploystep.core.rules import ApiVersion

if TYPE_CHECKING:
    from datetime import datetime

    from fakes import Event

    from deploystep.circleci.http import Response

LIST = "GET /shop/pipeline"
LINT = workflow("running", "lint")


class Scene(Attempt):
    """A rerun of the step for one rule: does it adopt an earlier run, trigger another, or not know?"""

    def __init__(self, routes: dict[str, Any], *, committed: datetime | None = None, **changes: Any) -> None:
        transport = RoutedTransport({"POST /pipeline/run": ACCEPTED, **routes})
        super().__init__(transport, spec(**changes), committed=committed)
        self.run()

    def adopts(self) -> str:
        assert (self.raised, self.outcomes, self.sent) == (None, [Outcome.ALREADY_TRIGGERED], 0)
        (entry,) = self.report.triggers
        assert entry.created is not None
        return entry.created.id or str(entry.created.number)

    @property
    def fires(self) -> bool:
        assert self.raised is None, self.raised
        assert self.outcomes[0] in (Outcome.TRIGGERED, Outcome.ALREADY_TRIGGERED)
        assert self.sent == (self.outcomes[0] is Outcome.TRIGGERED)
        return self.outcomes[0] is Outcome.TRIGGERED

    @property
    def undecided(self) -> str:
        """The message of who cannot tell, and so has sent nothing."""
        error = self.fails(FactUnavailable, "undecided")
        assert (self.outcomes, self.sent) == ([Outcome.NOT_SENT], 0)
        assert any("--again" in hint for hint in error.hints)
        return error.message

    @property
    def waited(self) -> float:
        return sum(self.clock.slept)


def earlier(found: dict[str, Any], *looks: Event, **changes: Any) -> Scene:
    """One earlier run A is listed, and its workflows are seen look by look."""
    routes = {LIST: listing(found, OWN), f"GET /{A}": answer(200, found), f"GET /{A}/workflow": list(looks)}
    return Scene(routes, **changes)


# What it is taken for


def test_there_is_none() -> None:
    scene = Scene({LIST: listing(OWN)})
    assert scene.fires
    assert scene.transport.count("/pipeline") == 1
    assert dict(scene.transport.sent[0].query) == {"branch": "main"}


@pytest.mark.parametrize(
    ("status", "fires"),
    [
        *((word, False) for word in ("running", "on_hold", "queued", "failing", "success", "no such word")),
        *((word, True) for word in ("failed", "canceled", "error", "unauthorized", "not_run")),
    ],
)
def test_how_its_workflow_stands_decides(status: str, fires: object) -> None:
    scene = earlier(pipeline(), workflows(status))
    assert (scene.fires, scene.waited) == (fires, 0)


def test_what_is_adopted_is_told() -> None:
    scene = earlier(pipeline(number=26), workflows("success"))
    assert scene.adopts() == A
    (entry,) = scene.report.triggers
    assert entry.because == f"run {URL}/26 of this commit holds deploy: status: success"
    assert (entry.created and entry.created.revision, [w.status for w in entry.workflows]) == (SHA, ["success"])
    assert scene.console.infos == [f"already triggered production: {URL}/26"]


@pytest.mark.parametrize(
    "listed",
    [
        pipeline(by="webhook"),
        pipeline(by="scheduled_pipeline"),
        pipeline(sha=OTHER_SHA),
        pipeline(ref={"branch": "main2"}),
        pipeline(ref={"tag": "main"}),
    ],
)
def test_what_is_not_ours_is_not_even_looked_into(listed: dict[str, Any]) -> None:
    scene = Scene({LIST: listing(listed, OWN)})
    assert scene.fires
    assert len(scene.transport.sent) == 2


@pytest.mark.parametrize("changes", [{"ref": {}}, {"sha": SHA.upper()}])
def test_a_run_that_does_not_tell_its_branch_or_writes_its_commit_otherwise_may_be_ours(
    changes: dict[str, Any],
) -> None:
    assert earlier(pipeline(**changes), workflows("running")).adopts() == A


def test_this_builds_own_pipeline_is_an_earlier_run_where_a_trigger_made_it() -> None:
    own = pipeline(PIPELINE, 24)
    assert Scene({LIST: listing(own), f"GET /{PIPELINE}/workflow": workflows("running")}).adopts() == PIPELINE


def test_another_workflow_is_another_deploy() -> None:
    assert earlier(pipeline(), workflows(workflow("success", "deploy2"))).fires


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_rerun_of_its_workflow_stands_for_it(is_reversed: object) -> None:
    both = [workflow("failed", created_at=ago(900)), workflow("running", created_at=ago(600))]
    assert earlier(pipeline(), workflows(*(both[::-1] if is_reversed else both))).adopts() == A


@pytest.mark.parametrize(
    ("newer", "older", "adopted"),
    [
        ("failed", "success", None),  # it was repeated, and failed then
        ("success", "failed", B),
        ("canceled", "success", A),  # it was another commit's, whose step has cancelled it: it has undone nothing
        ("canceled", "failed", None),
        ("failed", "running", A),  # one that is alive beats all
        ("success", "running", A),
        ("running", "running", B),
    ],
)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_of_several_runs_the_newest_decides_by_the_times_they_tell(
    newer: str, older: str, adopted: str | None, is_reversed: object
) -> None:
    listed = [pipeline(B, 26, age=600.0), pipeline(A, 25, age=900.0), OWN]
    routes = {f"GET /{A}/workflow": workflows(older), f"GET /{B}/workflow": workflows(newer)}
    scene = Scene({**routes, LIST: listing(*(listed[::-1] if is_reversed else listed))})
    assert (None if scene.fires else scene.adopts()) == adopted


@pytest.mark.parametrize(
    ("status", "is_told"), [("running", True), ("success", True), ("canceled", False), ("failed", False)]
)
def test_which_of_several_rules_started_a_run_is_told_only_where_none_has_deployed(
    status: str, is_told: object
) -> None:
    scene = earlier(pipeline(), workflows(status), sharing=("staging", "canary"))
    if not is_told:
        assert scene.fires
        return
    assert scene.undecided == (
        "cannot tell whether rule 'production' was triggered for this commit before: rule 'staging' also starts "
        f"'deploy' and rule 'canary' also starts 'deploy', and nothing tells which deploy {URL}/25 is"
    )


def test_a_shared_workflow_that_failed_and_one_that_did_not() -> None:
    routes = {f"GET /{A}/workflow": workflows("success"), f"GET /{B}/workflow": workflows("failed")}
    listed = listing(pipeline(B, 26, age=600.0), pipeline(age=900.0), OWN)
    undecided = Scene({**routes, LIST: listed}, sharing=("staging",)).undecided
    assert undecided.endswith(f"nothing tells which deploy {URL}/25 is")


def test_a_shared_workflow_that_is_cancelled_a_moment_later_failed_too() -> None:
    looks = [workflows("running"), workflows("canceled")]
    assert earlier(pipeline(age=3.0), *looks, sharing=("staging",)).fires


def test_what_this_process_made_for_another_rule_is_not_this_rules() -> None:
    """Rules that share a workflow: the second sees the run of the first, and knows whose it is."""
    routes: dict[str, Event | list[Event]] = {
        LIST: [listing(OWN), listing(pipeline(RUN, age=1.0), OWN)],
        "GET /workflow": workflows("running"),
        "POST /pipeline/run": ACCEPTED,
    }
    specs = [spec(rule="a", sharing=("b",)), spec(rule="b", sharing=("a",))]
    tried = Attempt(RoutedTransport(routes), *specs).run()
    assert (tried.raised, tried.outcomes) == (None, [Outcome.TRIGGERED] * 2)


# What runs do not tell


@pytest.mark.parametrize(
    ("untold", "told", "fires"),
    [
        ({"by": None}, {"by": "api"}, False),
        ({"by": None}, {"by": "webhook"}, True),
        ({"sha": None}, {"sha": SHA}, False),
        ({"sha": None}, {"sha": OTHER_SHA}, True),
    ],
)
def test_what_a_list_does_not_tell_the_run_is_asked_for(
    untold: dict[str, Any], told: dict[str, Any], fires: object
) -> None:
    routes = {LIST: listing(pipeline(**untold), OWN), f"GET /{A}": seen(A, **told)}
    assert Scene({**routes, f"GET /{A}/workflow": workflows("running")}).fires is fires


@pytest.mark.parametrize(
    ("untold", "what"),
    [
        ({"by": None}, "does not tell how it was triggered"),
        ({"by": "a new word"}, "does not tell how it was triggered"),
        ({"sha": None}, "does not tell of which commit it is"),
    ],
)
@pytest.mark.parametrize("came", [answer(404), answer(200, b"<html>"), None])
def test_what_nobody_tells_is_not_guessed(untold: dict[str, Any], what: str, came: Response | None) -> None:
    routes = {LIST: listing(pipeline(**untold), OWN), f"GET /{A}": came or seen(A, **untold)}
    for state in ("running", "success"):
        assert what in Scene({**routes, f"GET /{A}/workflow": workflows(state)}).undecided
    assert Scene({**routes, f"GET /{A}/workflow": workflows(LINT)}).fires
    assert Scene({**routes, f"GET /{A}/workflow": workflows("failed")}).fires


UNREADABLE = [answer(404), answer(403), answer(200, b"<html>"), answer(500), lost(), answer(200, {"items": [{}]})]


@pytest.mark.parametrize("trouble", UNREADABLE)
def test_workflows_that_cannot_be_read_decide_nothing(trouble: Event) -> None:
    scene = earlier(pipeline(), trouble)
    assert f"the workflows of run {URL}/25 could not be read" in scene.undecided
    assert scene.undecided.endswith("it was not sent")
    assert f"{URL}?branch=main" in scene.fails(FactUnavailable, "undecided").hints[0]
    assert earlier(pipeline(age=3.0), workflows("running"), trouble).undecided, "nor when it is looked at again"


# Runs that have just been made


@pytest.mark.parametrize(
    ("found", "looks", "fires"),
    [
        ({"state": "pending"}, [workflows(), workflows(), workflows("running")], False),
        ({"state": "pending"}, [workflows(LINT), workflows(LINT, "running")], False),  # made one after the other
        ({"state": "setup"}, [workflows(setup("success")), workflows(setup("success"), "running")], False),
        ({"age": 300.0}, [workflows(setup("success", stopped_at=ago(1))), workflows("running")], False),
        ({"age": 9000.0}, [workflows(setup("running")), workflows("running")], False),
        ({"age": 5.0}, [workflows(LINT), workflows(LINT, "running")], False),
        ({"state": "pending"}, [workflows(), workflows("failed")], True),
    ],
)
def test_workflows_that_are_on_their_way_are_awaited(found: dict[str, Any], looks: list[Event], fires: object) -> None:
    scene = earlier(pipeline(**found), *looks)
    assert scene.fires is fires
    assert scene.console.infos[0] == f"run {URL}/25 may be this deploy, and its workflows are not there yet"


@pytest.mark.parametrize(
    ("age", "listed", "is_awaited"),
    [
        (0.0, (), True),
        (-5.0, (), True),
        (899.0, (), True),
        (901.0, (), False),
        (None, (), True),
        (59.0, (LINT,), True),
        (61.0, (LINT,), False),
        (None, (LINT,), True),
        (9000.0, (setup("success", stopped_at=ago(899)),), True),
        (9000.0, (setup("success", stopped_at=ago(901)),), False),
        (9000.0, (setup("success"),), True),
    ],
)
def test_how_long_workflows_may_yet_appear(age: float | None, listed: tuple[Any, ...], is_awaited: object) -> None:
    scene = earlier(pipeline(age=age), workflows(*listed), workflows("running"))
    assert scene.fires is not is_awaited
    assert (scene.waited > 0) is is_awaited


@pytest.mark.parametrize(
    ("age", "listed"), [(850.0, ()), (30.0, (LINT,)), (9000.0, (setup("success", stopped_at=ago(850)),))]
)
def test_a_run_that_grows_too_old_while_it_is_watched_is_no_deploy(age: float, listed: tuple[Any, ...]) -> None:
    scene = earlier(pipeline(age=age), workflows(*listed))
    assert scene.fires
    assert 30.0 <= scene.waited < 60.0


@pytest.mark.parametrize("options", [{}, {"confirm": 500.0}])
@pytest.mark.parametrize(
    ("found", "listed"),
    [
        ({"age": 5.0}, ()),
        ({"state": "pending"}, ()),
        ({"state": "pending"}, (LINT,)),
        ({}, (setup("success"),)),
        ({}, (setup("running"),)),
    ],
)
def test_a_run_that_never_shows_its_workflows_decides_nothing(
    found: dict[str, Any], listed: tuple[Any, ...], options: dict[str, Any]
) -> None:
    it = pipeline(**found)
    routes = {LIST: listing(it, OWN), f"GET /{A}": answer(200, it), f"GET /{A}/workflow": workflows(*listed)}
    tried = Attempt(RoutedTransport(routes), **options).run()
    assert f"run {URL}/25 has not shown its workflows" in tried.fails(FactUnavailable, "undecided").message
    assert sum(tried.clock.slept) == pytest.approx(90.0)


@pytest.mark.parametrize(
    ("found", "listed"),
    [
        ({"state": "errored", "age": 1.0}, ()),
        ({"state": "setup", "age": 2.0}, (setup("canceled"),)),  # cancelled by the build of an older commit
        ({"state": "setup", "age": 2.0}, (setup("failed"),)),
    ],
)
def test_a_run_in_which_nothing_starts_any_more_is_not_waited_for(
    found: dict[str, Any], listed: tuple[Any, ...]
) -> None:
    scene = earlier(pipeline(**found), workflows(*listed))
    assert (scene.fires, scene.waited) == (True, 0)


def test_a_forming_run_that_errors_is_no_deploy() -> None:
    routes = {LIST: listing(pipeline(state="pending"), OWN), f"GET /{A}": seen(A, state="errored")}
    assert Scene({**routes, f"GET /{A}/workflow": workflows()}).fires


@pytest.mark.parametrize(
    ("then", "fires"), [("running", False), ("success", False), ("canceled", True), ("failed", True)]
)
@pytest.mark.parametrize("hours", [-5, 0, 5])
def test_a_very_young_run_is_looked_at_again(then: str, fires: object, hours: int) -> None:
    """It may be that of a build which got another commit than its own, and is about to cancel it.

    Its age is by the server's clock: somebody may have set this machine's to anything.
    """
    routes: dict[str, Any] = {
        LIST: listing(pipeline(age=3.0), OWN),
        f"GET /{A}/workflow": [workflows("running"), workflows(then)],
    }
    tried = Attempt(RoutedTransport({**routes, "POST /pipeline/run": ACCEPTED}))
    tried.clock.moment += timedelta(hours=hours)
    tried.run()
    assert tried.raised is None
    assert (tried.outcomes == [Outcome.TRIGGERED]) is fires
    assert sum(tried.clock.slept) == 5.0


@pytest.mark.parametrize(
    ("age", "date", "status", "waited"),
    [
        (11.0, START, "running", 0),
        (9.0, START, "running", 5.0),
        (3.0, START, "success", 0),
        (3600.0, None, "running", 5.0),  # without the server's clock it may be young
    ],
)
def test_what_has_settled_is_not_looked_at_again(age: float, date: Any, status: str, waited: float) -> None:
    routes = {LIST: listing(pipeline(age=age), OWN, date=date), f"GET /{A}/workflow": workflows(status)}
    scene = Scene(routes)
    assert (scene.adopts(), scene.waited) == (A, waited)


def test_of_two_that_run_the_older_is_left_when_the_younger_is_cancelled() -> None:
    """The younger was another commit's: its step cancels it. The older is this commit's own, and runs."""
    looks = [workflows("running"), workflows("canceled")]
    routes = {f"GET /{B}/workflow": looks, f"GET /{A}/workflow": workflows("running")}
    scene = Scene({**routes, LIST: listing(pipeline(B, 26, age=2.0), pipeline(age=300.0), OWN)})
    assert (scene.adopts(), scene.transport.count(f"{A}/workflow")) == (A, 1)


# CircleCI's own reruns

FAILED = workflow("failed", stopped_at=ago(5), max_auto_reruns=2)
AGAIN = workflow("running", created_at=ago(-8), max_auto_reruns=2, auto_rerun_number=1)


def test_a_failed_run_that_circleci_reruns_by_itself_is_alive() -> None:
    scene = earlier(pipeline(), workflows(FAILED), workflows(FAILED), workflows(FAILED, AGAIN))
    assert scene.adopts() == A
    assert "it failed, and CircleCI is to rerun it" in scene.console.infos[0]


def test_a_run_that_fails_while_it_settles_is_alive_if_circleci_reruns_it() -> None:
    running = workflow("running", max_auto_reruns=1)
    failed = workflow("failed", stopped_at=ago(-4), max_auto_reruns=1)
    looks = [workflows(running), workflows(failed), workflows(failed, AGAIN)]
    assert earlier(pipeline(age=3.0), *looks).adopts() == A


@pytest.mark.parametrize(
    ("failed", "waited"),
    [
        (FAILED, 120.0),
        ({**FAILED, "stopped_at": None}, 120.0),
        ({**FAILED, "stopped_at": ago(121)}, 0),
        ({**FAILED, "auto_rerun_number": 2}, 0),
        ({**FAILED, "max_auto_reruns": None}, 0),
        ({**FAILED, "status": "canceled"}, 0),
    ],
)
def test_a_rerun_by_circleci_that_does_not_come_is_not_waited_for_for_ever(
    failed: dict[str, Any], waited: float
) -> None:
    scene = earlier(pipeline(), workflows(failed))
    assert scene.fires
    assert scene.waited == pytest.approx(waited)


# Lists


@pytest.mark.parametrize(
    ("trouble", "kind", "code"),
    [
        (answer(404, {"message": "Project not found"}), Refused, "refused-404"),
        (refused_connection(), Unreachable, "unreachable"),
        (answer(429, retry_after="999"), Unreachable, "rate-limited"),
        (lost(), FactUnavailable, "undecided"),
        (answer(200, {"items": [OWN, {"id": 7}]}), FactUnavailable, "undecided"),
    ],
)
def test_a_list_that_cannot_be_read(trouble: Event, kind: type[ToolError], code: str) -> None:
    scene = Scene({LIST: trouble})
    message = scene.fails(kind, code).message
    assert "was not sent" in message or "nothing was triggered" in message
    assert scene.sent == 0


@pytest.mark.parametrize("changes", [{"workflow": None}, {"revision": None}])
def test_a_rule_whose_runs_are_not_recognised_is_always_due_and_needs_no_list(changes: dict[str, Any]) -> None:
    scene = Scene({}, **changes)
    assert scene.fires
    assert len(scene.transport.sent) == 1


def others(count: int, start: int = 1000, **changes: Any) -> list[dict[str, Any]]:
    """Runs of other commits."""
    said = {"sha": OTHER_SHA, **changes}
    return [pipeline(f"{n:08d}-0000-4000-8000-000000000000", n, **said) for n in range(start, start + count)]


def pages(*of: Event) -> Any:
    """The same list whoever asks, page by page."""
    return lambda request: of[int(request.query.get("page-token", 0))]


DAY = 86400.0
COMMITTED = START - timedelta(seconds=7200)


@pytest.mark.parametrize("committed", [None, COMMITTED, START + timedelta(hours=1)])
@pytest.mark.parametrize("count", [1, 19, 20, 45, 120])
def test_an_earlier_run_is_found_however_many_runs_came_after_it(count: int, committed: datetime | None) -> None:
    """A tag's list is the whole project's: runs of other branches say nothing about how far to look."""
    several = others(count, ref={"branch": "x"})
    last = listing(OWN, pipeline(ref={"tag": "v1"}))
    of = [*(listing(*several[at : at + 20], following=str(at // 20 + 1)) for at in range(0, count, 20)), last]
    routes = {f"GET /{A}/workflow": workflows("success"), LIST: pages(*of)}
    assert Scene(routes, ref=Tag("v1"), committed=committed).adopts() == A


@pytest.mark.parametrize(
    ("age", "is_read_on"), [(7200.0, True), (7200.0 + DAY - 1, True), (7200.0 + DAY + 1, False), (None, True)]
)
def test_the_search_ends_a_day_before_the_commit_was_made(age: float | None, is_read_on: object) -> None:
    """Clocks differ: a day is left for that."""
    routes = {f"GET /{A}/workflow": workflows("success")}
    of = [listing(*others(20), *others(1, 2000, age=age), following="1"), listing(pipeline())]
    scene = Scene({**routes, LIST: pages(*of)}, committed=COMMITTED)
    assert scene.fires is not is_read_on


@pytest.mark.parametrize("committed", [None, START + timedelta(seconds=1)])
def test_a_commit_of_which_no_time_is_believed_ends_no_search(committed: datetime | None) -> None:
    of = [listing(*others(1, age=9 * DAY), following="1"), listing(pipeline())]
    routes = {f"GET /{A}/workflow": workflows("success"), LIST: pages(*of)}
    assert Scene(routes, committed=committed).adopts() == A


def test_a_page_that_is_missing_may_hold_it() -> None:
    Scene({LIST: pages(listing(*others(20), following="1"), answer(404))}).fails(Refused, "refused-404")


def test_a_list_without_end_decides_nothing() -> None:
    scene = Scene({LIST: listing(*others(20), following="again")})
    assert "its runs go back further than the 40 newest, which were looked at" in scene.undecided
    endless = Scene({LIST: lambda r: listing(*others(20), following=str(int(r.query.get("page-token", 0)) + 1))})
    assert "its runs go back further than the 1000 newest" in endless.undecided
    assert len(endless.transport.sent) == 50


@pytest.mark.parametrize(("tag", "fires"), [("v1", False), ("v2", True)])
def test_a_tag_has_no_list_of_its_own(tag: str, fires: object) -> None:
    routes = {LIST: listing(pipeline(B, ref={"branch": "v1"}), pipeline(ref={"tag": tag}), OWN)}
    scene = Scene({**routes, f"GET /{A}/workflow": workflows("running")}, ref=Tag("v1"))
    assert scene.fires is fires
    assert dict(scene.transport.sent[0].query) == {}


# API v1.1


def job(number: int = 31, **more: Any) -> dict[str, Any]:
    usual = {"branch": "main", "vcs_revision": SHA, "why": "api", "job_name": "deploy", "status": "running"}
    return {"build_num": number, **usual, **more}


@pytest.mark.parametrize(
    ("changes", "fires"),
    [
        ({}, False),
        ({"status": "fixed"}, False),
        ({"status": "failed"}, True),
        ({"vcs_revision": OTHER_SHA}, True),
        ({"workflows": {"workflow_id": "w", "job_name": "deploy"}}, True),
        ({"branch": "dev"}, True),
        ({"job_name": "lint", "queued_at": ago(901)}, True),
    ],
)
def test_a_job_of_v1_1(changes: dict[str, Any], fires: object) -> None:
    listed = answer(200, [job(**changes)], date=format_datetime(START, usegmt=True))
    routes = {"GET /tree/main": listed, "GET /shop/31": answer(200, job(**changes))}
    posted = {"POST /tree/main": answer(201, job(32))}
    scene = Scene({**routes, **posted}, api=ApiVersion.V1_1, job="deploy", workflow=None)
    assert scene.fires is fires


def test_a_list_of_jobs_is_searched_as_far_as_the_commit() -> None:
    foreign = [job(n, vcs_revision=OTHER_SHA, queued_at=ago(9 * DAY)) for n in range(200, 100, -1)]
    routes = {"GET /tree/main": answer(200, foreign), "POST /tree/main": answer(201, job(32))}
    scene = Scene(routes, committed=COMMITTED, api=ApiVersion.V1_1, job="deploy", workflow=None)
    assert scene.fires
    assert scene.transport.count("GET /api/v1.1/project/github/acme/shop/tree/main") == 1
