"""The look into CircleCI's lists: an earlier run of this deploy, and what a trigger of unknown fate created."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from builds import OTHER_SHA, PIPELINE, SHA, asked, spec
from fakes import START, FakeClock, RecordingProgress, RoutedTransport, answer, lost, refused_connection

from deploystep.app.courier import Courier
from deploystep.app.lost import LostTrigger
from deploystep.app.scout import Scout, Survey
from deploystep.circleci.answers import uncertain
from deploystep.core.build import Branch, Tag
from deploystep.core.earlier import Adopt, Choice, Fire
from deploystep.core.errors import FactUnavailable, Refused, ToolError, Uncertain, Unreachable
from deploystep.core.exits import ExitCode
from deploystep.core.rules import ApiVersion
from deploystep.core.sharing import Share

if TYPE_CHECKING:
    from fakes import Event

    from deploystep.circleci.wire import Failure, Response
    from deploystep.core.runs import Run

A, B = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
LIST = "GET /shop/pipeline"
URL = "https://app.circleci.com/pipelines/gh/acme/shop"


def run(identity: str = A, number: int = 25, *, age: float = 3600.0, **changes: Any) -> dict[str, Any]:
    """A pipeline as v2 lists it: `age` is in seconds, by the server's clock."""
    usual: dict[str, Any] = {"sha": SHA, "ref": {"branch": "main"}, "by": "api", "state": "created"}
    told = {**usual, **changes}
    created = (START - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    body = {"id": identity, "number": number, "state": told["state"], "created_at": created, "errors": []}
    body |= {"trigger": {"type": told["by"]}} if told["by"] else {}
    return body | ({"vcs": {"revision": told["sha"], **told["ref"]}} if told["sha"] else {})


def listing(*runs: dict[str, Any], following: str | None = None, date: datetime | None = START) -> Response:
    dated = {} if date is None else {"date": format_datetime(date, usegmt=True)}
    return answer(200, {"items": list(runs), "next_page_token": following}, **dated)


def workflows(*states: str, name: str = "deploy", tag: str | None = None) -> Response:
    items = [{"id": f"w{n}", "name": name, "status": s, "tag": tag} for n, s in enumerate(states)]
    return answer(200, {"items": items})


OWN = run(PIPELINE, 24, by="webhook", age=4000.0)


class Scene:
    def __init__(self, routes: Any, *, own: str | None = PIPELINE, claimed: str = "", **changes: Any) -> None:
        self.transport, self.clock, self.progress = RoutedTransport(routes), FakeClock(), RecordingProgress()
        self.courier = Courier(self.transport, self.clock, self.progress)
        one = spec(**changes)
        said = asked(ref=one.ref, api=one.api)
        self.scout = Scout(one, said, self.courier, 30.0, own, frozenset(claimed.split()))

    def decide(self) -> Choice:
        survey, candidates = self.scout.survey()
        return self.scout.choose(candidates, survey)

    def adopts(self) -> str:
        choice = self.decide()
        assert isinstance(choice, Adopt), choice
        return choice.earlier.run.id

    def fires(self) -> bool:
        return self.decide() == Fire()

    def fails(self, kind: type[ToolError], code: str) -> ToolError:
        with pytest.raises(kind) as caught:
            self.decide()
        assert caught.value.code == code
        assert caught.value.hints
        return caught.value


def earlier(listed: Response, states: Any = None, **changes: Any) -> Scene:
    """One earlier run A in the list, with these workflows."""
    return Scene({LIST: listed, f"GET /{A}/workflow": workflows("running") if states is None else states}, **changes)


# An earlier run


def test_there_is_none() -> None:
    scene = Scene({LIST: listing(OWN)})
    assert scene.fires()
    assert scene.transport.count("/pipeline") == len(scene.transport.sent) == 1
    assert dict(scene.transport.sent[0].query) == {"branch": "main"}


@pytest.mark.parametrize("status", ["running", "on_hold", "queued", "failing", "success", "no such word"])
def test_one_that_runs_or_has_succeeded_is_adopted(status: str) -> None:
    scene = earlier(listing(run(), OWN), workflows(status))
    assert scene.adopts() == A
    assert scene.clock.slept == []


@pytest.mark.parametrize("status", ["failed", "canceled", "error", "unauthorized", "not_run"])
def test_one_that_failed_is_no_deploy(status: str) -> None:
    assert earlier(listing(run(), OWN), workflows(status)).fires()


def test_what_failed_is_not_waited_for_where_nobody_reruns_it() -> None:
    scene = earlier(listing(run(), OWN), workflows("failed"))
    assert scene.fires()
    assert scene.clock.slept == []


def test_what_runs_is_not_waited_for_although_it_could_be_rerun() -> None:
    item = {"id": "w", "name": "deploy", "status": "running", "max_auto_reruns": 3}
    scene = earlier(listing(run(), OWN), answer(200, {"items": [item]}))
    assert scene.adopts() == A
    assert scene.clock.slept == []


def test_one_that_errored_is_no_deploy_and_nothing_is_waited_for() -> None:
    scene = earlier(listing(run(state="errored", age=1.0), OWN), workflows())
    assert scene.fires()
    assert scene.clock.slept == []


def test_a_rerun_of_its_workflow_stands_for_it() -> None:
    both = [
        {"id": "w0", "name": "deploy", "status": "failed", "created_at": "2026-06-16T07:00:00Z"},
        {"id": "w1", "name": "deploy", "status": "running", "created_at": "2026-06-16T07:30:00Z"},
    ]
    for items in (both, both[::-1]):
        assert earlier(listing(run(), OWN), answer(200, {"items": items})).adopts() == A


NOT_OURS = {
    "pushed": run(by="webhook"),
    "scheduled": run(by="scheduled_pipeline"),
    "started by hand": run(by="explicit"),
    "of another commit": run(sha=OTHER_SHA),
    "of another branch": run(ref={"branch": "main2"}),
    "of a tag": run(ref={"tag": "main"}),
}


@pytest.mark.parametrize("why", NOT_OURS)
def test_what_is_not_ours_is_not_even_looked_into(why: str) -> None:
    scene = Scene({LIST: listing(NOT_OURS[why], OWN)})
    assert scene.fires()
    assert len(scene.transport.sent) == 1


def test_a_run_that_does_not_tell_its_branch_may_be_ours() -> None:
    assert earlier(listing(run(ref={}), OWN)).adopts() == A


def test_a_revision_in_capitals_is_the_same() -> None:
    assert earlier(listing(run(sha=SHA.upper()), OWN)).adopts() == A


def test_another_workflow_is_another_deploy() -> None:
    assert earlier(listing(run(), OWN), workflows("success", name="deploy2")).fires()


def test_what_another_rule_has_just_triggered_is_not_ours() -> None:
    scene = Scene({LIST: listing(run(), OWN)}, claimed=A)
    assert scene.fires()
    assert len(scene.transport.sent) == 1


def test_rules_that_share_a_workflow_count_each_others_runs() -> None:
    scene = earlier(listing(run(), OWN), claimed=A, share=Share(1, 2))
    assert scene.fires(), "one run is there, it is the first rule's, and this is the second"
    assert scene.transport.count("/workflow") == 1


def test_which_of_several_rules_a_failed_run_was_of_cannot_be_told() -> None:
    scene = earlier(listing(run(), OWN), workflows("failed"), share=Share(0, 2))
    error = scene.fails(FactUnavailable, "undecided")
    assert f"2 rules start 'deploy', and nothing tells which of them started {URL}/25" in error.message
    assert error.exit is ExitCode.UNDECIDED


def test_a_run_is_asked_where_the_list_does_not_tell_who_made_it() -> None:
    untold = run(by=None)
    for trigger, fires in (("api", False), ("webhook", True)):
        routes = {LIST: listing(untold, OWN), f"GET /{A}": answer(200, run(by=trigger))}
        scene = Scene({**routes, f"GET /{A}/workflow": workflows("running")})
        assert scene.fires() is fires


UNTOLD: dict[str, dict[str, Any]] = {
    "how it was triggered": {"by": None},
    "how it was triggered ": {"by": "a new word"},
    "of which": {"sha": None},
}


@pytest.mark.parametrize("what", UNTOLD)
@pytest.mark.parametrize("came", ["404", "200", "<html>"])
def test_what_a_run_is_is_not_guessed(what: str, came: str) -> None:
    it = run(**UNTOLD[what])
    said = {"404": answer(404), "200": answer(200, it), "<html>": answer(200, b"<html>")}[came]
    routes = {LIST: listing(it, OWN), f"GET /{A}": said}
    for state in ("running", "success"):
        scene = Scene({**routes, f"GET /{A}/workflow": workflows(state)})
        assert f"does not tell {what.strip()}" in scene.fails(FactUnavailable, "undecided").message
    assert Scene({**routes, f"GET /{A}/workflow": workflows("running", name="lint")}).fires()
    assert Scene({**routes, f"GET /{A}/workflow": workflows("failed")}).fires()


def test_the_commit_of_a_run_is_asked_where_the_list_does_not_tell_it() -> None:
    for sha, fires in ((SHA, False), (OTHER_SHA, True)):
        routes = {LIST: listing(run(sha=None), OWN), f"GET /{A}": answer(200, run(sha=sha))}
        assert Scene({**routes, f"GET /{A}/workflow": workflows("running")}).fires() is fires


@pytest.mark.parametrize("item", [None, "x", {}, {"id": "\u2028"}, {"id": 7}])
def test_a_run_that_cannot_be_read_is_not_passed_over(item: Any) -> None:
    listed = answer(200, {"items": [OWN, item]})
    assert "could not be read" in Scene({LIST: listed}).fails(FactUnavailable, "undecided").message


@pytest.mark.parametrize("item", [None, {}, {"id": "w", "name": "deploy"}, {"id": "w", "name": 1, "status": "running"}])
def test_a_workflow_that_cannot_be_read_is_not_passed_over(item: Any) -> None:
    there = answer(200, {"items": [item]})
    assert "could not be read" in earlier(listing(run(), OWN), there).fails(FactUnavailable, "undecided").message


def test_runs_are_ordered_by_the_times_they_tell() -> None:
    """One that failed after one that succeeded is to be repeated, in whatever order they are listed."""
    old, new = run(A, 25, age=900.0), run(B, 26, age=600.0)
    for listed in (listing(new, old, OWN), listing(old, new, OWN)):
        routes = {LIST: listed, f"GET /{A}/workflow": workflows("success"), f"GET /{B}/workflow": workflows("failed")}
        assert Scene(routes).fires()


@pytest.mark.parametrize("trouble", [answer(404), answer(403), answer(200, b"<html>"), answer(500), lost()])
def test_workflows_that_cannot_be_read_decide_nothing(trouble: Event) -> None:
    error = earlier(listing(run(), OWN), trouble).fails(FactUnavailable, "undecided")
    assert f"the workflows of run {URL}/25 could not be read" in error.message
    assert error.message.endswith("it was not sent")
    assert any("--again" in hint for hint in error.hints)
    assert any(f"{URL}?branch=main" in hint for hint in error.hints)


# Runs that have just been made


def test_workflows_of_a_forming_run_are_awaited() -> None:
    looks = [workflows(), workflows(), workflows("running")]
    routes = {LIST: listing(run(state="pending"), OWN), f"GET /{A}": answer(200, run(state="pending"))}
    scene = Scene({**routes, f"GET /{A}/workflow": looks})
    assert scene.adopts() == A
    assert scene.progress.said == [f"run {URL}/25 is of this commit, and its workflows are not there yet"]


def test_a_forming_run_that_errors_is_no_deploy() -> None:
    routes = {LIST: listing(run(state="pending"), OWN), f"GET /{A}": answer(200, run(state="errored"))}
    scene = Scene({**routes, f"GET /{A}/workflow": workflows()})
    assert scene.fires()


def test_a_run_that_never_forms_decides_nothing() -> None:
    routes = {LIST: listing(run(state="pending"), OWN), f"GET /{A}": answer(200, run(state="pending"))}
    scene = Scene({**routes, f"GET /{A}/workflow": workflows()})
    error = scene.fails(FactUnavailable, "undecided")
    assert f"run {URL}/25 of this commit has not shown its workflows" in error.message
    assert sum(scene.clock.slept) == pytest.approx(30.0, abs=0.1)


def test_a_setup_workflow_is_only_the_start() -> None:
    setup = run(state="setup")
    looks = [workflows("success", name="setup", tag="setup"), workflows("running")]
    routes = {LIST: listing(setup, OWN), f"GET /{A}": answer(200, setup), f"GET /{A}/workflow": looks}
    assert Scene(routes).adopts() == A


@pytest.mark.parametrize(("age", "is_awaited"), [(29.0, True), (31.0, False), (-5.0, True)])
def test_a_young_run_without_workflows_may_still_get_them(age: float, is_awaited: bool) -> None:  # noqa: FBT001 - a column
    routes = {LIST: listing(run(age=age), OWN), f"GET /{A}": answer(200, run(age=age))}
    scene = Scene({**routes, f"GET /{A}/workflow": [workflows(), workflows("running")]})
    assert scene.fires() is not is_awaited


def test_a_young_run_that_gets_none_is_no_deploy() -> None:
    routes = {LIST: listing(run(age=5.0), OWN), f"GET /{A}": answer(200, run(age=5.0))}
    scene = Scene({**routes, f"GET /{A}/workflow": workflows()})
    assert scene.fires()


def test_a_forming_run_may_yet_get_the_named_workflow_beside_others() -> None:
    """Workflows are made one after the other: that one is there does not mean that all are."""
    forming = run(state="pending")
    looks = [workflows("running", name="lint"), workflows("running")]
    routes = {LIST: listing(forming, OWN), f"GET /{A}": answer(200, forming), f"GET /{A}/workflow": looks}
    assert Scene(routes).adopts() == A


@pytest.mark.parametrize(
    ("then", "fires"), [("running", False), ("success", False), ("canceled", True), ("failed", True)]
)
def test_a_very_young_run_is_looked_at_again(then: str, fires: bool) -> None:  # noqa: FBT001 - a column
    """It may be that of a build which got another commit than its own, and is about to cancel it."""
    scene = earlier(listing(run(age=3.0), OWN), [workflows("running"), workflows(then)])
    assert scene.fires() is fires
    assert scene.clock.slept == [5.0]


@pytest.mark.parametrize(("age", "status"), [(11.0, "running"), (3.0, "success")])
def test_what_has_settled_is_not_looked_at_again(age: float, status: str) -> None:
    scene = earlier(listing(run(age=age), OWN), workflows(status))
    assert scene.adopts() == A
    assert scene.clock.slept == []


def test_a_run_with_other_workflows_only_is_waited_for_while_it_is_seconds_old() -> None:
    routes = {f"GET /{A}": answer(200, run(age=1.0)), f"GET /{A}/workflow": workflows("running", name="lint")}
    scene = Scene({LIST: listing(run(age=1.0), OWN), **routes})
    assert scene.fires()
    assert 4.0 <= sum(scene.clock.slept) < 10.0
    later = earlier(listing(run(age=6.0), OWN), workflows("running", name="lint"))
    assert later.fires()
    assert later.clock.slept == []


def test_the_workflows_of_a_run_appear_one_after_the_other() -> None:
    appearing = [workflows("running", name="lint"), workflows("running", name="deploy")]
    routes = {LIST: listing(run(age=1.0), OWN), f"GET /{A}": answer(200, run(age=1.0))}
    scene = Scene({**routes, f"GET /{A}/workflow": lambda _: appearing.pop(0) if len(appearing) > 1 else appearing[0]})
    assert scene.adopts() == A


def test_what_a_setup_workflow_is_about_to_start_decides_nothing() -> None:
    item = {"id": "s", "name": "setup", "status": "success", "tag": "setup"}
    stopped = (START - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    there = answer(200, {"items": [{**item, "stopped_at": stopped}]})
    scene = Scene({LIST: listing(run(), OWN), f"GET /{A}": answer(200, run()), f"GET /{A}/workflow": there})
    assert "has not shown its workflows" in scene.fails(FactUnavailable, "undecided").message


def test_of_two_that_run_the_older_is_left_when_the_younger_is_cancelled() -> None:
    """One that is alive beats all, also when the other has just been cancelled."""
    routes = {LIST: listing(run(A, 26, age=3.0), run(B, 25), OWN)}
    looks = [workflows("running"), workflows("canceled")]
    scene = Scene({**routes, f"GET /{A}/workflow": looks, f"GET /{B}/workflow": workflows("running")})
    assert scene.adopts() == B


def test_a_settling_run_that_cannot_be_read_again_decides_nothing() -> None:
    scene = earlier(listing(run(age=3.0), OWN), [workflows("running"), answer(404)])
    scene.fails(FactUnavailable, "undecided")


@pytest.mark.parametrize("hours", [-5, 0, 5])
def test_ages_are_by_the_servers_clock(hours: int) -> None:
    """Somebody may have set this machine's clock to anything."""
    scene = earlier(listing(run(age=3.0), OWN), [workflows("running"), workflows("canceled")])
    scene.clock.moment += timedelta(hours=hours)
    assert scene.fires()


def test_without_the_servers_clock_a_run_may_be_young() -> None:
    routes = {LIST: listing(run(), OWN, date=None), f"GET /{A}": answer(200, run())}
    scene = Scene({**routes, f"GET /{A}/workflow": [workflows(), workflows("running")]})
    assert scene.adopts() == A


# Lists


@pytest.mark.parametrize(
    ("trouble", "kind", "code", "exit_code"),
    [
        (answer(400), Refused, "refused-400", 6),
        (answer(401), Refused, "refused-401", 6),
        (answer(403), Refused, "refused-403", 6),
        (answer(404, {"message": "Project not found"}), Refused, "refused-404", 6),
        (refused_connection(), Unreachable, "unreachable", 7),
        (answer(429, retry_after="999"), Unreachable, "rate-limited", 7),
        (answer(500), FactUnavailable, "undecided", 5),
        (answer(302), FactUnavailable, "undecided", 5),
        (lost(), FactUnavailable, "undecided", 5),
        (answer(200, b"<html>"), FactUnavailable, "undecided", 5),
        (answer(200, {"items": None}), FactUnavailable, "undecided", 5),
    ],
)
def test_a_list_that_cannot_be_read(trouble: Event, kind: type[ToolError], code: str, exit_code: int) -> None:
    error = Scene({LIST: trouble}).fails(kind, code)
    assert int(error.exit) == exit_code
    assert "was not sent" in error.message or "nothing was triggered" in error.message


@pytest.mark.parametrize("changes", [{"workflow": None}, {"revision": None}])
@pytest.mark.parametrize("trouble", [answer(404), answer(500), lost(), answer(429, retry_after="999")])
def test_a_rule_whose_runs_are_not_recognised_needs_no_list(trouble: Event, changes: dict[str, Any]) -> None:
    scene = Scene({LIST: trouble}, **changes)
    assert scene.scout.survey() == (Survey(frozenset(), None, is_read=False), ())


def test_a_rule_whose_runs_are_not_recognised_is_always_due() -> None:
    scene = Scene({LIST: listing(run(), OWN)}, workflow=None)
    assert scene.fires()
    assert len(scene.transport.sent) == 1


def pages(*of: Response | Failure) -> Any:
    """The same list whoever asks, page by page."""
    return lambda request: of[int(request.query.get("page-token", 0))]


def others(count: int, start: int = 1000) -> list[dict[str, Any]]:
    return [run(f"{n:08d}-0000-4000-8000-000000000000", n, sha=OTHER_SHA) for n in range(start, start + count)]


def test_an_earlier_run_on_a_later_page() -> None:
    list_of = pages(listing(*others(20), following="1"), listing(OWN, run(), following=None))
    scene = Scene({LIST: list_of, f"GET /{A}/workflow": workflows("running")})
    assert scene.adopts() == A


def test_a_page_that_is_missing_may_hold_it() -> None:
    list_of = pages(listing(*others(20), following="1"), answer(404))
    Scene({LIST: list_of}).fails(Refused, "refused-404")


def test_an_earlier_run_that_is_older_than_this_builds_own_pipeline() -> None:
    """Another build of the same commit made it, a scheduled one for example."""
    list_of = pages(listing(OWN, *others(15), run(), following="1"), listing(*others(30, 2000), following="2"), lost())
    scene = Scene({LIST: list_of, f"GET /{A}/workflow": workflows("success")})
    assert scene.adopts() == A


def test_it_looks_a_little_beyond_this_builds_own_pipeline() -> None:
    list_of = pages(listing(OWN, *others(10), following="1"), listing(run(), *others(30, 2000), following="2"), lost())
    scene = Scene({LIST: list_of, f"GET /{A}/workflow": workflows("success")})
    assert scene.adopts() == A


def test_a_list_without_end_that_does_not_hold_this_build_decides_nothing() -> None:
    scene = Scene({LIST: listing(*others(20), following="again")})
    error = scene.fails(FactUnavailable, "undecided")
    assert "the list of runs does not end" in error.message
    assert len(scene.transport.sent) <= 60


def test_a_target_has_its_own_long_list_which_is_not_read_to_its_end() -> None:
    """This build's pipeline is in no list of another project's; what is there just before is enough."""
    endless = [listing(*others(20, 1000 * n), following=f"{n + 1}") for n in range(60)]
    scene = Scene({LIST: pages(*endless)}, revision=None)
    survey, candidates = scene.scout.survey()
    assert (len(survey.known), candidates) == (100, ())
    assert len(scene.transport.sent) == 5


def test_a_tag_has_no_list_of_its_own() -> None:
    tagged, other = run(ref={"tag": "v1"}), run(B, 26, ref={"branch": "v1"})
    scene = earlier(listing(other, tagged, OWN), ref=Tag("v1"))
    assert scene.adopts() == A
    assert dict(scene.transport.sent[0].query) == {}


def test_a_run_of_another_tag() -> None:
    assert earlier(listing(run(ref={"tag": "v2"}), OWN), ref=Tag("v1")).fires()


# What a trigger of unknown fate created


BEFORE = Survey(frozenset({PIPELINE}), START)


class Search(Scene):
    """The look for what was created, after a survey that saw only this build's own pipeline."""

    def found(self, survey: Survey = BEFORE) -> Run:
        return LostTrigger(self.scout, survey, survey.at).found(self.cause)

    @property
    def cause(self) -> Uncertain:
        return uncertain("the connection was closed", self.scout.asked)

    def gives_up(self, survey: Survey = BEFORE) -> Uncertain:
        with pytest.raises(Uncertain) as caught:
            self.found(survey)
        error = caught.value
        assert error.exit is ExitCode.UNCERTAIN
        assert error.message.startswith("the trigger of rule 'production' may have been accepted")
        assert f"{URL}?branch=main" in error.hints[0]
        assert "do not run this step again" in error.hints[1]
        return error


NEW = run(A, 26, age=-1.0)


def search(listed: Any, states: Any = None, **changes: Any) -> Search:
    return Search({LIST: listed, f"GET /{A}/workflow": workflows("running") if states is None else states}, **changes)


def test_exactly_one_new_run_is_the_one() -> None:
    scene = search(listing(NEW, OWN))
    assert scene.found().id == A
    assert scene.transport.count("/shop/pipeline") == 2, "it is seen twice, for a second may come"


def test_one_that_the_list_shows_late() -> None:
    scene = search([listing(OWN)] * 4 + [listing(NEW, OWN)])
    assert scene.found().id == A


def test_one_that_is_there_and_gone_and_there() -> None:
    """A list can be answered by servers of which some are behind."""
    scene = search([listing(NEW, OWN), listing(OWN), listing(NEW, OWN), listing(NEW, OWN)])
    assert scene.found().id == A
    assert scene.transport.count("/shop/pipeline") == 4


def test_none() -> None:
    error = search(listing(OWN)).gives_up()
    assert "no run of it was found in 30 s" in error.message


@pytest.mark.parametrize("trouble", [answer(500), answer(404), lost(), refused_connection(), answer(429)])
def test_lists_that_cannot_be_read_find_nothing(trouble: Event) -> None:
    assert "no run of it was found" in search(trouble).gives_up().message


def test_a_list_that_can_be_read_only_later() -> None:
    assert search([*[answer(404)] * 3, listing(NEW, OWN)]).found().id == A


TWO = listing(run(B, 27, age=-1.0), NEW, OWN)


@pytest.mark.parametrize("looks", [[TWO], [listing(NEW, OWN), TWO]])
def test_several_are_none(looks: list[Response]) -> None:
    routes = {LIST: looks, f"GET /{A}/workflow": workflows("running"), f"GET /{B}/workflow": workflows("running")}
    error = Search(routes).gives_up()
    assert f"what may be its run, or that of another build: {URL}/27, {URL}/26" in error.message


NOT_CREATED = {
    "known before": (listing(NEW, OWN), Survey(frozenset({PIPELINE, A}), START), {}),
    "made before the survey": (listing(run(age=5.0), OWN), BEFORE, {}),
    "another rule's": (listing(NEW, OWN), BEFORE, {"claimed": A}),
    "pushed": (listing(run(age=-1.0, by="webhook"), OWN), BEFORE, {}),
    "of another branch": (listing(run(age=-1.0, ref={"branch": "x"}), OWN), BEFORE, {}),
}


@pytest.mark.parametrize("why", NOT_CREATED)
def test_what_the_trigger_certainly_did_not_create(why: str) -> None:
    listed, survey, changes = NOT_CREATED[why]
    assert "no run of it was found" in search(listed, **changes).gives_up(survey).message


@pytest.mark.parametrize("hours", [-5, 5])
def test_what_is_new_is_so_by_the_servers_clock(hours: int) -> None:
    scene = search(listing(NEW, OWN))
    scene.clock.moment += timedelta(hours=hours)
    assert scene.found().id == A


def test_the_servers_clock_is_told_in_whole_seconds() -> None:
    assert search(listing(run(age=0.9), OWN)).found().id == A


@pytest.mark.parametrize("survey", [Survey(frozenset({PIPELINE}), None), BEFORE])
def test_without_a_time_it_may_be_new(survey: Survey) -> None:
    timeless = {**NEW, "created_at": None}
    assert search(listing(timeless, OWN)).found(survey).id == A


def test_without_a_look_before_nothing_is_new() -> None:
    scene = search(listing(NEW, OWN))
    cause = scene.gives_up(Survey(frozenset(), None, is_read=False))
    assert scene.transport.sent == []
    assert cause.message == scene.cause.message


def test_a_run_of_another_commit_that_was_pushed_too_is_perhaps_another_builds() -> None:
    """To adopt it would be to cancel it, and to take that build's deploy away."""
    foreign, pushed = run(age=-1.0, number=26, sha=OTHER_SHA), run(B, 27, by="webhook", sha=OTHER_SHA)
    scene = search(listing(foreign, pushed, OWN))
    assert f"what may be its run, or that of another build: {URL}/26" in scene.gives_up().message


def test_one_of_two_runs_of_another_commit_is_perhaps_another_builds() -> None:
    """Its build need not have been pushed: somebody may have started it."""
    foreign, started = run(age=-1.0, number=26, sha=OTHER_SHA), run(B, 27, by="scheduled_pipeline", sha=OTHER_SHA)
    assert "or that of another build" in search(listing(foreign, started, OWN)).gives_up().message


def test_a_run_of_another_commit_that_nobody_pushed_is_what_the_trigger_got() -> None:
    """It is adopted to be cancelled: the branch moved on in between."""
    scene = search(listing(run(age=-1.0, sha=OTHER_SHA), OWN))
    assert scene.found().revision == OTHER_SHA


def test_one_that_errored() -> None:
    assert search(listing(run(age=-1.0, state="errored"), OWN), workflows()).found().id == A


def test_one_whose_workflows_come_later() -> None:
    scene = search(listing(NEW, OWN), [workflows(), answer(404), workflows("running")])
    assert scene.found().id == A


def test_one_whose_workflows_never_come() -> None:
    error = search(listing(NEW, OWN), workflows()).gives_up()
    assert f"what may be its run, or that of another build: {URL}/26" in error.message


def test_one_with_another_workflow_is_not_it() -> None:
    error = search(listing(NEW, OWN), workflows("running", name="lint")).gives_up()
    assert "no run of it was found" in error.message


def test_where_no_workflow_is_named_none_is_looked_for() -> None:
    scene = Search({LIST: listing(NEW, OWN)}, workflow=None)
    assert scene.found().id == A


def test_one_that_does_not_tell_who_made_it_is_not_taken() -> None:
    untold = run(A, 26, age=-1.0, by=None)
    routes: dict[str, Any] = {LIST: listing(untold, OWN), f"GET /{A}": answer(404)}
    assert "what may be its run" in Search(routes).gives_up().message
    routes[f"GET /{A}"] = answer(200, run(A, 26, age=-1.0))
    assert Search({**routes, f"GET /{A}/workflow": workflows("running")}).found().id == A


def test_one_of_which_only_v2_tells_that_it_was_pushed() -> None:
    untold = run(A, 26, age=-1.0, by=None)
    pushed = answer(200, run(A, 26, age=-1.0, by="webhook"))
    scene = Search({LIST: listing(untold, OWN), f"GET /{A}": pushed, f"GET /{A}/workflow": workflows("running")})
    assert "no run of it was found" in scene.gives_up().message


def test_it_does_not_look_for_ever_nor_often() -> None:
    scene = search(listing(OWN))
    scene.gives_up()
    assert sum(scene.clock.slept) == pytest.approx(30.0, abs=0.1)
    assert len(scene.transport.sent) <= 12


# API v1.1: jobs


def job(number: int, *, sha: str = SHA, why: str = "api", name: str = "deploy", **more: Any) -> dict[str, Any]:
    return {
        "build_num": number, "branch": "main", "vcs_revision": sha, "why": why, "job_name": name,
        "status": "running", "workflows": None, **more,
    }  # fmt: skip


def of_jobs(*jobs: dict[str, Any], detail: dict[str, Any] | None = None) -> Scene:
    routes = {"GET /tree/main": answer(200, list(jobs)), "GET /shop/31": answer(200, detail or jobs[0])}
    return Scene(routes, own=None, api=ApiVersion.V1_1, job="deploy", workflow=None)


def test_a_job_that_runs_is_adopted() -> None:
    assert of_jobs(job(31)).adopts() == "31"


@pytest.mark.parametrize(
    ("status", "fires"),
    [("fixed", False), ("no_tests", False), ("queued", False), ("failed", True), ("canceled", True)],
)
def test_how_a_job_ended(status: str, fires: bool) -> None:  # noqa: FBT001 - a column
    assert of_jobs(job(31, status=status)).fires() is fires


@pytest.mark.parametrize(
    "other",
    [
        job(31, sha=OTHER_SHA),
        job(31, why="github"),
        job(31, workflows={"workflow_id": "w", "job_name": "deploy"}),
        job(31, branch="dev"),
    ],
)
def test_jobs_that_are_not_ours(other: dict[str, Any]) -> None:
    assert of_jobs(other).fires()


def test_a_job_of_another_name() -> None:
    assert of_jobs(job(31, name="lint")).fires()


# API v3: runs, of which v2 tells who made them


def run3(identity: str, *, sha: str = SHA, phase: str = "started") -> dict[str, Any]:
    vcs = {"revision": sha, "branch": "main"}
    attributes = {"phase": phase, "created_at": "2026-06-16T07:00:00Z", "number": 25}
    return {"id": identity, "attributes": attributes, "references": {"event": {"attributes": {"vcs": vcs}}}}


def of_runs(by: str, workflow: Any) -> Scene:
    routes: dict[str, Any] = {
        "GET /projects": answer(200, {"data": [{"id": "p"}]}),
        "POST /runs/search": answer(200, {"data": [run3(A), run3(PIPELINE)]}, date=format_datetime(START, usegmt=True)),
        f"GET /api/v2/pipeline/{A}": answer(200, run(by=by)),
        f"GET /api/v2/pipeline/{PIPELINE}": answer(200, run(PIPELINE, by="webhook")),
        "GET /api/v3/workflows": workflow,
    }
    return Scene(routes, api=ApiVersion.V3, ref=Branch("main"))


def workflow3(**attributes: Any) -> Response | Failure:
    return answer(200, {"data": [{"id": "w", "attributes": {"name": "deploy", **attributes}}]})


@pytest.mark.parametrize(
    ("attributes", "fires"),
    [
        ({"phase": "started"}, False),
        ({"phase": "ended", "outcome": "succeeded"}, False),
        ({"phase": "ended", "outcome": "failed"}, True),
        ({"phase": "ended", "outcome": "canceled"}, True),
        ({"phase": "ended"}, False),  # how it ended is not told: it is taken to go on
    ],
)
def test_a_run_of_v3(attributes: dict[str, Any], fires: bool) -> None:  # noqa: FBT001 - a column
    assert of_runs("api", workflow3(**attributes)).fires() is fires


def test_a_run_of_v3_that_was_pushed() -> None:
    assert of_runs("webhook", workflow3(phase="started")).fires()
