"""Was this deploy triggered before? By its key in a run's configuration, else by its workflow; else that is said.

Every test says whether a second trigger leaves.
"""

from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from builds import AGAIN, KEY, OTHER_KEY, OTHER_SHA, PIPELINE, REGIONAL, RUN, SHA, SHARED, keyed, spec, to_target
from fakes import (
    FOREIGN,
    MINE,
    NONE,
    NOT_YET,
    START,
    Event,
    RoutedTransport,
    answer,
    config,
    lost,
    refused_connection,
    v1_job,
)
from triggers import LIST, OWN, TARGETS, URL, A, Attempt, B, ago, listing, pipeline, seen, setup, workflow, workflows

from deploystep.core.build import Tag
from deploystep.core.deploy import Outcome, TriggerSpec
from deploystep.core.errors import ExitCode, FactUnavailable, Refused, Unreachable
from deploystep.core.rules import ApiVersion


class Scene(Attempt):
    """The step is run by a clock that is some hours wrong: it adopts a run, fires, or does not know."""

    def __init__(self, routes: dict[str, Any], *specs: TriggerSpec, hours: int = 0, **more: Any) -> None:
        created = answer(201, {"id": RUN, "number": 25, "state": "pending"})
        usual = {"POST /pipeline/run": created, f"GET /{PIPELINE}": answer(200, OWN)}
        super().__init__(RoutedTransport({**usual, **routes}), *specs, **more)
        self.clock.moment += timedelta(hours=hours)
        self.run()

    @property
    def verdict(self) -> object:
        """Number of the adopted run, `fires`, or 5."""
        if isinstance(self.raised, FactUnavailable):
            assert (self.raised.exit, self.outcomes, self.sent) == (ExitCode.UNDECIDED, [Outcome.NOT_SENT], 0)
            assert any("--again" in hint for hint in self.raised.hints)
            return 5
        assert self.raised is None, self.raised
        (entry,) = self.report.triggers
        assert entry.created is not None
        is_adopted = entry.outcome is Outcome.ALREADY_TRIGGERED
        assert is_adopted or entry.outcome is Outcome.TRIGGERED
        assert self.sent == (not is_adopted)
        return entry.created.number if is_adopted else "fires"


def one(
    *looks: Event, of: TriggerSpec | None = None, configured: Any = NONE, more: Any = None,
    date: datetime | None = START, hours: int = 0, **found: Any,
) -> Scene:  # fmt: skip
    """One run, number 25, is in the list; its workflows are seen look by look."""
    run, of = pipeline(**found), of or spec()
    routes = {f"GET /{A}": answer(200, run), f"GET /{A}/config": configured, f"GET /{A}/workflow": list(looks)}
    end = LIST if of.revision else TARGETS
    return Scene({**routes, end: listing(run, OWN, date=date), **(more or {})}, of, hours=hours)


RUNNING, SUCCESS, FAILED, NOTHING = workflows("running"), workflows("success"), workflows("failed"), workflows()
LINT = workflow("running", "lint")
LINTED, LATE = workflows(LINT), workflows(LINT, "running")
BOTH = [workflow("failed", created_at=ago(900)), workflow("running", created_at=ago(600))]
SETTING_UP, SET_UP = workflows(setup("running")), workflows(setup("success"))
UNREADABLE = [answer(404), lost()]
#: A workflow that failed five seconds ago, of which CircleCI makes reruns by itself.
TO_RERUN = workflow("failed", stopped_at=ago(5), max_auto_reruns=2)
RERUN = workflow("running", created_at=ago(-8), max_auto_reruns=2, auto_rerun_number=1)
FAILS = workflow("failed", stopped_at=ago(-4), max_auto_reruns=1)
FAILS_LATER = [workflows(workflow("running", max_auto_reruns=1)), workflows(FAILS), workflows(FAILS, RERUN)]
PENDING, IN_SETUP = {"state": "pending"}, {"state": "setup"}


def set_up(seconds: float) -> Event:
    return workflows(setup("success", stopped_at=ago(seconds)))


@pytest.mark.parametrize("hours", [0, -7])
@pytest.mark.parametrize(("found", "looks", "verdict", "waited"), [
    # how its workflow stands
    *(({}, [workflows(word)], 25, 0) for word in ("running", "on_hold", "success", "a word")),
    *(({}, [workflows(w)], "fires", 0) for w in ("failed", "canceled", "not_run")),
    ({}, [workflows(workflow("success", "deploy2"))], "fires", 0),
    ({}, [workflows(*BOTH)], 25, 0),  # a rerun stands for it
    # what it is of
    *(({"by": by}, [], "fires", 0) for by in ("webhook", "scheduled_pipeline")),
    ({"sha": OTHER_SHA}, [], "fires", 0),
    *(({"ref": ref}, [], "fires", 0) for ref in ({"branch": "main2"}, {"tag": "main"})),
    ({"ref": {}}, [RUNNING], 25, 0),
    ({"sha": SHA.upper()}, [RUNNING], 25, 0),
    # workflows that are on their way
    (PENDING, [NOTHING, NOTHING, RUNNING], 25, 1.5),
    (PENDING, [LINTED, LATE], 25, 0.5),  # made one after the other
    (IN_SETUP, [SET_UP, workflows(setup("success"), "running")], 25, 0.5),
    ({"age": 9000.0}, [SETTING_UP, RUNNING], 25, 0.5),
    (PENDING, [NOTHING, FAILED], "fires", 0.5),
    # how long they may yet appear, by the server's clock
    *(({"age": age}, [NOTHING, RUNNING], 25, None) for age in (0.0, -5.0, 899.0, None)),
    ({"age": 901.0}, [NOTHING, RUNNING], "fires", 0),
    *(({"age": age}, [LINTED, RUNNING], 25, None) for age in (5.0, 59.0, None)),
    ({"age": 61.0}, [LINTED, RUNNING], "fires", 0),
    ({"age": 9000.0}, [set_up(899), RUNNING], 25, 0.5),
    ({"age": 9000.0}, [set_up(901), RUNNING], "fires", 0),
    ({"age": 9000.0}, [SET_UP, RUNNING], 25, 0.5),
    # it grows too old while it is watched
    *(({"age": age}, looks, "fires", "a while")
      for age, looks in ((850.0, [NOTHING]), (30.0, [LINTED]), (9000.0, [set_up(850)]))),
    # it never shows them
    *((PENDING, looks, 5, 120) for looks in ([NOTHING], [LINTED])),
    *(({}, looks, 5, 120) for looks in ([SET_UP], [SETTING_UP])),
    # nothing starts in it any more
    ({"state": "errored", "age": 1.0}, [], "fires", 0),
    *(({**IN_SETUP, "age": 2.0}, [workflows(setup(w))], "fires", 0) for w in ("canceled", "failed", "error")),
    # a very young one may be about to be cancelled, by the build that got it instead of its own commit's
    ({"age": 3.0}, [RUNNING], 25, 7.5),
    ({"age": 3.0}, [RUNNING, SUCCESS], 25, 0.5),
    *(({"age": 3.0}, [RUNNING, workflows(then)], "fires", 0.5) for then in ("canceled", "failed")),
    ({"age": 9.0}, [RUNNING], 25, 1.5),
    ({"age": 11.0}, [RUNNING], 25, 0),
    ({"age": 3.0}, [SUCCESS], 25, 0),
    ({"date": None}, [RUNNING], 25, 12.5),  # without the server's clock it may be young
    ({"age": 9000.0, "date": None}, [NOTHING], 5, 120),  # or without workflows yet
    ({"age": 9000.0}, [NOTHING], "fires", 0),
    # CircleCI's own reruns
    ({}, [workflows(TO_RERUN), workflows(TO_RERUN), workflows(TO_RERUN, RERUN)], 25, 1.5),
    ({"age": 3.0}, FAILS_LATER, 25, 7.5),
    ({}, [workflows(TO_RERUN)], "fires", 117.5),
    ({}, [workflows({**TO_RERUN, "stopped_at": None})], "fires", 120),
    *(({}, [workflows({**TO_RERUN, **changes})], "fires", 0)
      for changes in ({"stopped_at": ago(121)}, {"auto_rerun_number": 2}, {"status": "canceled"})),
    # nobody can tell
    *(({}, [trouble], 5, None) for trouble in UNREADABLE),
    *(({"age": 3.0}, [RUNNING, trouble], 5, None) for trouble in UNREADABLE),
])  # fmt: skip
def test_what_an_earlier_run_is_taken_for(found: Any, looks: Any, verdict: object, waited: Any, hours: int) -> None:
    scene = one(*looks, hours=hours, **found)
    assert scene.verdict == verdict
    if waited == "a while":
        assert 30.0 <= scene.clock.waited < 60.0
    else:
        assert waited in (None, pytest.approx(scene.clock.waited))
    assert looks or len(scene.transport.sent) == 2, "it is not even looked into"


def test_what_is_found_or_cannot_be_is_told() -> None:
    scene = one(SUCCESS)
    (entry,) = scene.report.triggers
    assert entry.because == f"run {URL}/25 of this commit holds deploy: status: success"
    assert (entry.created and entry.created.revision, [w.status for w in entry.workflows]) == (SHA, ["success"])
    assert scene.console.infos == [f"already triggered production: {URL}/25"]
    (keyed_entry,) = one(SUCCESS, of=keyed(), configured=MINE).report.triggers
    assert keyed_entry.because == f"run {URL}/25 holds the deploy key {KEY}: status: success"
    unread = one(answer(404)).fails(FactUnavailable, "undecided")
    assert f"the workflows of run {URL}/25 could not be read; it was not sent" in unread.message
    assert f"{URL}?branch=main" in unread.hints[0]
    awaited = one(NOTHING, state="pending")
    assert f"run {URL}/25 has not shown its workflows" in str(awaited.raised)
    assert awaited.console.infos[0] == f"run {URL}/25 has not shown its workflows: it may be this deploy"
    assert "has failed, and CircleCI is about to rerun it" in one(workflows(TO_RERUN)).console.infos[0]


def test_a_forming_run_that_errors_is_no_deploy() -> None:
    for of, configured in ((spec(), NONE), (keyed(), NOT_YET), (to_target(), NOT_YET)):
        more = {f"GET /{A}": seen(A, state="errored")}
        assert one(NOTHING, of=of, configured=configured, more=more, state="pending").verdict == "fires"


def test_this_builds_own_pipeline_is_an_earlier_run_where_a_trigger_made_it() -> None:
    own = pipeline(PIPELINE, 24)
    assert Scene({LIST: listing(own), f"GET /{PIPELINE}": answer(200, own), "GET /workflow": RUNNING}).verdict == 24


@pytest.mark.parametrize(
    ("untold", "told", "verdict"),
    [
        ({"by": None}, {"by": "api"}, 25),
        ({"by": None}, {"by": "webhook"}, "fires"),
        ({"sha": None}, {"sha": SHA}, 25),
        ({"sha": None}, {"sha": OTHER_SHA}, "fires"),
        ({"by": None}, None, "does not tell how it was triggered"),
        ({"by": "a new word"}, None, "does not tell how it was triggered"),
        ({"sha": None}, None, "does not tell of which commit it is"),
    ],
)
def test_what_a_list_does_not_tell_the_run_is_asked_for_and_nobody_guesses(
    untold: dict[str, Any], told: dict[str, Any] | None, verdict: object
) -> None:
    asked = [seen(A, **told)] if told else [seen(A, **untold), answer(404), answer(200, b"<html>")]
    for came in asked:
        for state in (RUNNING, SUCCESS):
            scene = one(state, more={f"GET /{A}": came}, **untold)
            assert scene.verdict == (5 if told is None else verdict)
            assert told or str(verdict) in str(scene.raised)
        for state in (workflows(LINT), FAILED):
            assert one(state, more={f"GET /{A}": came}, **untold).verdict == "fires"


@pytest.mark.parametrize("told", [{"sha": OTHER_SHA}, {"by": "webhook"}])
def test_what_a_run_tells_only_while_it_is_waited_for_counts_too(told: dict[str, Any]) -> None:
    later = {f"GET /{A}": [answer(404), seen(A, state="pending", **told)]}
    untold: dict[str, Any] = dict.fromkeys(told)
    assert one(NOTHING, RUNNING, state="pending", more=later, **untold).verdict == "fires"


# Whose run it is


@pytest.mark.parametrize(
    ("configured", "standing", "changes", "own", "target"),
    [
        # a found key proves everything
        (MINE, RUNNING, {}, 25, 25),
        (MINE, SUCCESS, {}, 25, 25),
        (MINE, FAILED, {}, "fires", "fires"),
        (MINE, RUNNING, {**SHARED, **REGIONAL}, 25, 25),
        (MINE, RUNNING, {"workflow": None}, 25, 25),
        (MINE, NOTHING, {}, "fires", "fires"),  # nothing of it ever ran
        (config(f"a: {OTHER_KEY}\nb: {KEY}"), RUNNING, {}, 25, 25),  # one run can carry on another's
        (config(f"k: {AGAIN}"), RUNNING, {}, 25, 25),  # somebody wanted it again meanwhile
        # another key is another deploy, whatever its workflow
        (FOREIGN, RUNNING, {}, "fires", "fires"),
        (FOREIGN, SUCCESS, SHARED, "fires", "fires"),
        # none proves nothing: an unused parameter leaves no trace
        (NONE, RUNNING, {}, 25, "fires"),
        (NONE, FAILED, {}, "fires", "fires"),
        (NONE, LINTED, {}, "fires", "fires"),
        (NONE, RUNNING, {"workflow": None}, "fires", "fires"),
        (NONE, SUCCESS, SHARED, 5, "fires"),
        (NONE, FAILED, SHARED, "fires", "fires"),
        (NONE, SUCCESS, REGIONAL, 5, "fires"),
        # nobody can tell
        *((trouble, RUNNING, {}, 5, 5) for trouble in UNREADABLE),
        (NOT_YET, RUNNING, {}, 5, 5),
        (MINE, answer(404), {}, 5, 5),
    ],
)
def test_whose_run_it_is(configured: Event, standing: Event, changes: Any, own: object, target: object) -> None:
    assert one(standing, of=keyed(**changes), configured=configured).verdict == own
    changes = {name: value for name, value in changes.items() if name != "sharing"}
    assert one(standing, of=to_target(**changes), configured=configured).verdict == target


@pytest.mark.parametrize("changes", [{"sha": OTHER_SHA}, {"sha": None}, {"by": None}, {"by": "explicit"}, {"by": "x"}])
def test_a_key_tells_what_a_targets_run_does_not(changes: dict[str, Any]) -> None:
    assert one(RUNNING, of=to_target(), configured=MINE, **changes).verdict == 25
    assert "sha" in changes or one(RUNNING, of=keyed(), configured=MINE, **changes).verdict == 25


def test_where_no_workflow_is_named_one_that_failed_is_not_the_whole_run() -> None:
    """The one that deploys may appear beside it a little later."""
    lint = workflow("failed", "lint", created_at=ago(9))
    looks = [workflows(lint), workflows(lint, "running")]
    for age, verdict in ((10.0, 25), (100.0, "fires")):
        assert one(*looks, of=to_target(workflow=None), configured=MINE, age=age).verdict == verdict


@pytest.mark.parametrize("of", [keyed(), to_target()])
@pytest.mark.parametrize(
    ("configured", "state", "looks", "verdict"),
    [
        ([NOT_YET, NOT_YET, MINE], "pending", [NOTHING, RUNNING], 25),
        ([NOT_YET, FOREIGN], "pending", [RUNNING], "fires"),
        ([NOT_YET], "pending", [RUNNING], 5),
        ([NOT_YET], "created", [RUNNING], 5),
        ([NOT_YET, answer(404)], "pending", [RUNNING], 5),
        # a setup workflow's configuration is not the one that deploys: the key may come with the next
        ([NONE, NONE, MINE], "setup", [SETTING_UP, RUNNING], 25),
        ([NONE, NONE, FOREIGN], "setup", [SETTING_UP], "fires"),
        ([NONE], "setup", [SETTING_UP], 5),
        ([NONE], "setup", [workflows(setup("failed"))], "fires"),  # nothing comes after it
        ([NONE], "setup", [answer(404)], 5),
    ],
)
def test_a_run_that_is_forming_is_waited_for(of: Any, configured: Any, state: str, looks: Any, verdict: object) -> None:
    scene = one(*looks, of=of, configured=configured, state=state)
    assert scene.verdict == verdict
    if verdict == 5 and answer(404) not in (*configured, *looks):
        assert "has not shown its configuration" in str(scene.raised)
        assert scene.clock.waited == pytest.approx(120.0)


def test_a_young_run_of_a_target_that_has_its_configuration_and_no_key_is_not_waited_for() -> None:
    scene = one(NOTHING, of=to_target(), age=1.0)
    assert (scene.verdict, scene.clock.waited) == ("fires", 0)


def test_a_run_that_may_be_of_another_rule_or_value_is_told_with_the_cure() -> None:
    shared = spec(sharing=("staging", "canary"))
    for of, words in (
        (shared, "rule 'staging' also starts 'deploy' and rule 'canary' also starts 'deploy'"),
        (spec(**REGIONAL), "it is sent once for each value of ${REGION}"),
    ):
        assert [one(standing, of=of).verdict for standing in (RUNNING, SUCCESS, FAILED)] == [5, 5, "fires"]
        message = one(SUCCESS, of=of).fails(FactUnavailable, "undecided").message
        assert f"for this commit before: {words}, and nothing tells which deploy {URL}/25 is" in message
        assert "deploy_key: ${deploy.key}" in message
    assert one(RUNNING, workflows("canceled"), of=shared, age=3.0).verdict == "fires", "a moment later it failed too"


# Several runs


def two(
    newer: Event, older: Event, of: TriggerSpec | None = None, more: Any = None, *, is_reversed: bool = False
) -> Scene:
    """Runs 26 and 25 of this commit."""
    listed = [pipeline(B, 26, age=600.0), pipeline(A, 25, age=900.0), OWN]
    routes = {f"GET /{A}/workflow": older, f"GET /{B}/workflow": newer, **(more or {})}
    return Scene({**routes, LIST: listing(*(listed[::-1] if is_reversed else listed))}, of or spec())


@pytest.mark.parametrize(
    ("newer", "older", "verdict"),
    [
        ("failed", "success", "fires"),  # it was repeated, and failed then
        ("success", "success", 26),
        ("canceled", "success", 25),  # it was another commit's, whose step has cancelled it: it has undone nothing
        ("failed", "running", 25),  # one that is alive beats all
        ("running", "running", 26),
    ],
)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_of_several_runs_the_newest_decides_by_the_times_they_tell(
    newer: str, older: str, verdict: object, is_reversed: bool,  # noqa: FBT001 - a column
) -> None:  # fmt: skip
    for of, configured in ((spec(), NONE), (keyed(), MINE)):
        more = {"GET /config": configured}
        scene = two(workflows(newer), workflows(older), of, more, is_reversed=is_reversed)
        assert scene.verdict == verdict
        is_read = verdict != "fires" and "running" not in (newer, older)
        assert scene.transport.count("/job") == is_read, "only where a success matters"


def test_of_several_the_one_that_holds_the_key_is_taken() -> None:
    for newer, older, verdict in ((NONE, MINE, 25), (MINE, NONE, 26), (config(f"k: {AGAIN}"), MINE, 26)):
        configs = {f"GET /{B}/config": newer, f"GET /{A}/config": older}
        assert two(RUNNING, SUCCESS, keyed(**SHARED), configs).verdict == verdict


def test_of_two_that_run_the_older_is_left_when_the_younger_is_cancelled() -> None:
    """The younger was another commit's: its step cancels it. The older is this commit's own, and runs."""
    looks = [RUNNING, workflows("canceled")]
    routes = {f"GET /{B}/workflow": looks, f"GET /{A}/workflow": RUNNING, f"GET /{B}": seen(B)}
    scene = Scene({**routes, LIST: listing(pipeline(B, 26, age=2.0), pipeline(age=300.0), OWN)})
    assert (scene.verdict, scene.transport.count(f"{A}/workflow")) == (25, 1)


def test_rules_that_share_a_workflow() -> None:
    """A run that this process made for one rule, or that another key tells of, is not the other's."""
    made: dict[str, Any] = {LIST: [listing(OWN), listing(pipeline(RUN, age=1.0), OWN)], "GET /workflow": RUNNING}
    there = {LIST: listing(pipeline()), f"GET /{A}/config": MINE, "GET /workflow": SUCCESS}
    for keys, outcomes in (((None, None), "not-sent not-sent"), ((KEY, OTHER_KEY), "already-triggered triggered")):
        specs = [spec(rule="a", sharing=("b",), key=keys[0]), spec(rule="b", sharing=("a",), key=keys[1])]
        assert Scene(made, *specs).outcomes == [Outcome.TRIGGERED] * 2
        scene = Scene(there, *specs)
        assert " ".join(outcome.value for outcome in scene.outcomes) == outcomes
        assert keys[0] or scene.fails(FactUnavailable, "undecided")


def test_what_is_known_by_less_than_its_key_is_not_taken_for_certain_by_another_rule() -> None:
    """Whether it was adopted, or found after a loss."""
    specs = [spec(rule="a"), spec(rule="b", sharing=("a",))]
    there = {LIST: listing(pipeline()), "GET /workflow": SUCCESS}
    lists = [listing(), *[listing(pipeline())] * 9]
    after_a_loss = {LIST: lists, "GET /workflow": RUNNING, "POST /pipeline/run": lost()}
    for routes, outcome in ((there, Outcome.ALREADY_TRIGGERED), (after_a_loss, Outcome.TRIGGERED)):
        scene = Scene(routes, *specs)
        assert scene.fails(FactUnavailable, "undecided")
        assert scene.outcomes == [outcome, Outcome.NOT_SENT]


# Lists


@pytest.mark.parametrize(("of", "end"), [(spec(), LIST), (to_target(), TARGETS)])
def test_a_list_that_cannot_be_read(of: TriggerSpec, end: str) -> None:
    for trouble, kind, code, words in (
        (answer(404), Refused, "refused-404", "nothing was triggered"),
        (refused_connection(), Unreachable, "unreachable", "nothing was triggered"),
        (lost(), FactUnavailable, "undecided", "was not sent"),
    ):
        scene = Scene({end: trouble}, of)
        assert (words in scene.fails(kind, code).message, scene.sent) == (True, 0)


@pytest.mark.parametrize("of", [spec(workflow=None), spec(revision=None), to_target(key=None)])
def test_a_rule_whose_runs_are_not_recognised_is_always_due_and_needs_no_list(of: TriggerSpec) -> None:
    scene = Scene({}, of)
    assert (scene.verdict, len(scene.transport.sent)) == ("fires", 1)


def others(count: int, start: int = 1000, **changes: Any) -> list[dict[str, Any]]:
    """Runs of other commits."""
    said = {"sha": OTHER_SHA, **changes}
    return [pipeline(f"{n:08d}-0000-4000-8000-000000000000", n, **said) for n in range(start, start + count)]


def pages(*of: Event) -> Any:
    """The same list whoever asks, page by page."""
    return lambda request: of[int(request.query.get("page-token", 0))]


DAY, OLD = 86400.0, 9 * 86400.0
COMMITTED = START - timedelta(seconds=7200)


@pytest.mark.parametrize(
    ("age", "committed", "verdict"),
    [
        (7200.0, COMMITTED, 25),
        (7200.0 + DAY - 1, COMMITTED, 25),
        (7200.0 + DAY + 1, COMMITTED, "fires"),
        (None, COMMITTED, 25),
        (OLD, None, 25),
        (OLD, START + timedelta(seconds=1), 25),
    ],
)
def test_the_search_ends_a_day_before_the_commit_was_made(age: float | None, committed: Any, verdict: object) -> None:
    """Clocks differ: a day is left for that. A commit of which no time is believed ends no search, nor does a number.

    A tag's list is the whole project's: runs of other branches say nothing about how far to look.
    """
    last, of_tag = [*others(100), *others(20, 2000, age=age, ref={"branch": "v1"})], spec(ref=Tag("v1"))
    of = [listing(following="1"), listing(*last, following="2"), listing(pipeline(ref={"tag": "v1"}))]
    scene = Scene({f"GET /{A}/workflow": SUCCESS, LIST: pages(*of)}, of_tag, committed=committed)
    assert (scene.verdict, dict(scene.transport.sent[0].query)) == (verdict, {})
    older = Scene({f"GET /{A}/workflow": SUCCESS, LIST: listing(pipeline(age=age))}, committed=committed)
    assert older.verdict == verdict, "nor is a run of that age one of this commit"


MANY = [others(20, n * 100) for n in range(1, 6)]
TOO_OLD, NOT_YET_OLD = others(20, 2000, age=5000.0), others(20, 2000, age=3999.0)
OLDEST_FIRST = [run for n in range(140) for run in others(1, n, age=OLD - n)]
OUT_OF_PLACE = [others(1, 2000, age=OLD), others(19, 2000, age=OLD) + others(1, 3000), OLDEST_FIRST[:40]]


@pytest.mark.parametrize("listed", OUT_OF_PLACE)
@pytest.mark.parametrize("of", [spec(), to_target()])
def test_a_list_in_another_order_is_read_on(of: TriggerSpec, listed: Any) -> None:
    """CircleCI does not document the order of its lists."""
    routes = {f"GET /{A}/config": MINE, f"GET /{A}/workflow": SUCCESS, "GET /config": FOREIGN}
    page = pages(listing(*listed, following="1"), listing(pipeline()))
    scene = Scene({**routes, (LIST if of.revision else TARGETS): page}, of, committed=COMMITTED)
    assert scene.verdict == 25


def test_a_list_that_is_not_read_to_its_end_decides_nothing() -> None:
    assert Scene({LIST: pages(listing(*others(20), following="1"), answer(404))}).fails(Refused, "refused-404")
    scene = Scene({LIST: listing(*others(20), following="again")})
    assert scene.verdict == 5
    assert "its runs go back further than the 20 newest, which were looked at" in str(scene.raised)


@pytest.mark.parametrize(("of", "own", "verdict"), [
    ([others(20), others(19, 2000)], OWN, "fires"),
    ([others(19) + TOO_OLD, [pipeline()]], OWN, "fires"),  # before this build
    ([others(19) + NOT_YET_OLD, [pipeline()]], OWN, 25),
    ([*MANY, [pipeline()]], OWN, 5),
    ([*MANY[:4], [*others(18), pipeline()]], OWN, 25),
    ([*MANY[:4], TOO_OLD, [pipeline()]], OWN, "fires"),
    ([*MANY[:4], [*others(5), *TOO_OLD[:15]], TOO_OLD], OWN, "fires"),
    ([*(OLDEST_FIRST[n : n + 20] for n in range(0, 140, 20)), [pipeline()]], OWN, 25),
    # where the age of this build is not known, a hundred runs that do not hold it prove nothing
    (MANY[:3], None, "fires"),
    (MANY, None, 5),
])  # fmt: skip
def test_a_targets_runs_are_looked_through_as_far_as_this_builds_own_pipeline(of: Any, own: Any, verdict: Any) -> None:
    listed = [listing(*page, following=str(at + 1) if at + 1 < len(of) else None) for at, page in enumerate(of)]
    routes = {TARGETS: pages(*listed), f"GET /{A}/config": MINE, "GET /workflow": RUNNING, "GET /config": FOREIGN}
    scene = Scene({**routes, f"GET /{PIPELINE}": answer(200, own) if own else answer(404)}, to_target())
    assert scene.verdict == verdict
    assert dict(scene.transport.sent[1].query) == {"branch": "main"}
    assert verdict != 5 or "go back further than the 100 newest" in str(scene.raised)


# Workflows that say success although something did not run


def job(name: str, status: str, **more: Any) -> dict[str, Any]:
    return {"id": f"id-{name}", "name": name, "status": status, "type": "build", **more}


BUILT = job("build", "success", started_at="2026-06-16T08:00:00Z", job_number=1)
ODD_REQUIRES: list[Any] = [{"id-build": ends} for ends in (["success", "failed"], "failed", [])] + [["id-build"]]
SKIPPED = listing(BUILT, job("deploy", "not_run", requires={"id-build": ["success"]}))
FOR_FAILURE = job("page-somebody", "not_run", requires={"id-build": ["failed", "canceled"]})
AFTER_FAILURE = job("close-it", "not_run", requires={"id-page-somebody": ["success"], "id-build": ["success"]})


@pytest.mark.parametrize(("listed", "verdict"), [
    (listing(BUILT, job("deploy", "success")), 25),
    (SKIPPED, "fires"),
    (listing(BUILT, job("deploy", "not_run")), "fires"),
    # what was only to run after a failure is not missing: to deploy again for it would be a second deploy
    (listing(AFTER_FAILURE, FOR_FAILURE, BUILT), 25),
    (listing(BUILT, job("deploy", "not_run"), job("x", "not_run", requires={"id-deploy": ["success"]})), "fires"),
    *((listing(BUILT, job("odd", "not_run", requires=ends)), "fires") for ends in ODD_REQUIRES),
    # of a job that was run again the newest counts
    (listing(job("deploy", "not_run", job_number=None), {**BUILT, "name": "deploy"}), "fires"),
    *((trouble, 5) for trouble in UNREADABLE),
])  # fmt: skip
def test_a_success_in_which_a_job_did_not_run_is_no_deploy(listed: Event, verdict: object) -> None:
    for of, configured in ((spec(), NONE), (keyed(), MINE), (to_target(), MINE)):
        assert one(SUCCESS, of=of, configured=configured, more={"GET /job": listed}).verdict == verdict


def test_a_deploy_that_was_skipped_has_undone_nothing() -> None:
    newer = answer(200, {"items": [{"id": "v0", "name": "deploy", "status": "success"}]})
    assert two(newer, SUCCESS, keyed(), {"GET /config": MINE, "GET /v0/job": SKIPPED}).verdict == 25


# API v1.1


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, 31),
        ({"status": "fixed"}, 31),
        ({"status": "failed"}, "fires"),
        ({"vcs_revision": OTHER_SHA}, "fires"),
        ({"workflows": {"workflow_id": "w", "job_name": "deploy"}}, "fires"),
        ({"job_name": "lint", "queued_at": ago(901)}, "fires"),
        ({"job_name": None, "queued_at": ago(901)}, 5),
        ({"job_name": None, "queued_at": ago(901), "status": "failed"}, "fires"),
        (None, "fires"),
    ],
)
def test_a_job_of_v1_1(changes: dict[str, Any] | None, verdict: object) -> None:
    """The list of jobs is searched as far as the commit, too."""
    foreign = [v1_job(n, vcs_revision=OTHER_SHA, queued_at=ago(OLD)) for n in range(200, 100, -1)]
    jobs = foreign if changes is None else [v1_job(**changes)]
    listed = answer(200, jobs, date=format_datetime(START, usegmt=True))
    found, made = answer(200, v1_job(**(changes or {}))), answer(201, v1_job(32))
    routes = {"GET /tree/main": listed, "GET /shop/31": found, "POST /tree/main": made}
    scene = Scene(routes, spec(api=ApiVersion.V1_1, job="deploy", workflow=None), committed=COMMITTED)
    assert (scene.verdict, scene.transport.count("GET /api/v1.1/project/github/acme/shop/tree/main")) == (verdict, 1)
