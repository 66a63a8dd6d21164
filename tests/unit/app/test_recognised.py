"""Whose run is it? By the deploy key that its configuration holds, else by its workflow; what nobody can tell is said.

Every test says whether a second trigger leaves.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from builds import OTHER_SHA, PIPELINE, RUN, spec
from fakes import START, RoutedTransport, answer, config, lost, refused_connection
from triggers import ACCEPTED, OWN, URL, A, Attempt, B, ago, listing, pipeline, seen, setup, workflow, workflows

from deploystep.core.build import ProjectSlug
from deploystep.core.deploy import Outcome, TriggerSpec
from deploystep.core.errors import FactUnavailable, NothingRuns, Stopped, Uncertain
from deploystep.core.exits import ExitCode
from deploystep.core.rules import ApiVersion

if TYPE_CHECKING:
    from fakes import Event

KEY, OTHER, AGAIN = "ds-" + "0123456789abcdef" * 2, "ds-" + "fedcba9876543210" * 2, "ds-"
KEY, OTHER = KEY[:27], OTHER[:27]
AGAIN = KEY[:19] + "ffffffff"  # of this deploy, when it was wanted again
LIST = "GET /shop/pipeline"
MINE, FOREIGN, NONE, NOT_YET = config(f"k: {KEY}"), config(f"k: {OTHER}"), config("version: 2"), config("")
DEPLOYER = ProjectSlug("gh", "acme", "deployer")
TARGETS = "GET /deployer/pipeline"


def keyed(**changes: Any) -> TriggerSpec:
    return spec(**{"key": KEY, "parameters": {"deploy_key": KEY}, **changes})


def to_target(**changes: Any) -> TriggerSpec:
    return keyed(project=DEPLOYER, revision=None, **changes)


class Scene(Attempt):
    """The step is run; these runs are in the list, newest first, and this is how each is configured and stands."""

    def __init__(
        self, routes: dict[str, Any], *specs: TriggerSpec, committed: datetime | None = None, **options: Any
    ) -> None:
        usual = {"POST /pipeline/run": ACCEPTED, f"GET /{PIPELINE}": answer(200, OWN)}
        transport = RoutedTransport({**usual, **routes})
        super().__init__(transport, *(specs or (keyed(),)), committed=committed, **options)
        self.run()

    @property
    def verdict(self) -> object:
        """Number of the adopted run, `fires`, or 5."""
        if isinstance(self.raised, FactUnavailable):
            assert (self.raised.exit, self.sent) == (ExitCode.UNDECIDED, 0)
            assert any("--again" in hint for hint in self.raised.hints)
            return 5
        assert self.raised is None, self.raised
        (entry,) = self.report.triggers
        assert entry.created is not None
        if entry.outcome is Outcome.ALREADY_TRIGGERED:
            assert self.sent == 0
            return entry.created.number
        assert (entry.outcome, self.sent) == (Outcome.TRIGGERED, 1)
        return "fires"


def one(
    configured: Event | list[Event], *looks: Event, of: TriggerSpec | None = None, more: Any = None, **found: Any
) -> Scene:
    """One run, number 25, is in the list."""
    run = pipeline(**found)
    routes = {f"GET /{A}": answer(200, run), f"GET /{A}/config": configured, f"GET /{A}/workflow": list(looks)}
    chosen = of or keyed()
    end = TARGETS if chosen.project else LIST
    return Scene({**routes, end: listing(run), **(more or {})}, chosen)


RUNNING, SUCCESS, FAILED = workflows("running"), workflows("success"), workflows("failed")
ELSE = workflows(workflow("running", "lint"))
SHARED = {"sharing": ("staging",)}
REGIONAL = {"own_variables": ("REGION",)}
ERRORED = {"state": "errored"}
UNREADABLE = [answer(404), answer(403), answer(500), lost(), answer(200, b"<html>"), answer(200, {"source": "x"})]


@pytest.mark.parametrize(
    ("configured", "standing", "changes", "own", "target"),
    [
        # a found key proves everything
        (MINE, RUNNING, {}, 25, 25),
        (MINE, SUCCESS, {}, 25, 25),
        (MINE, FAILED, {}, "fires", "fires"),
        (MINE, workflows("canceled"), {}, "fires", "fires"),
        (MINE, workflows("no such word"), {}, 25, 25),
        (MINE, RUNNING, SHARED, 25, 25),
        (MINE, RUNNING, REGIONAL, 25, 25),
        (MINE, RUNNING, {"workflow": None}, 25, 25),
        (MINE, workflows(), {}, "fires", "fires"),  # nothing of it ever ran
        (config(f"a: {OTHER}\nb: {KEY}"), RUNNING, {}, 25, 25),  # one run can carry on another's
        (config(f"k: prod{KEY}x"), RUNNING, {}, 25, 25),  # whatever it is joined to
        (config(f"k: {AGAIN}"), RUNNING, {}, 25, 25),  # somebody wanted it again meanwhile
        (config("a: b", **{"compiled-setup-config": f"k: {KEY}"}), RUNNING, {}, 25, 25),
        # another key is another deploy, whatever its workflow
        (FOREIGN, RUNNING, {}, "fires", "fires"),
        (FOREIGN, SUCCESS, SHARED, "fires", "fires"),
        (FOREIGN, SUCCESS, REGIONAL, "fires", "fires"),
        (config(f"k: {KEY[:-9]}{OTHER[-9:]}"), RUNNING, {}, "fires", "fires"),
        # none proves nothing: an unused parameter leaves no trace
        (NONE, RUNNING, {}, 25, "fires"),
        (NONE, SUCCESS, {}, 25, "fires"),
        (NONE, FAILED, {}, "fires", "fires"),
        (NONE, ELSE, {}, "fires", "fires"),
        (NONE, RUNNING, {"workflow": None}, "fires", "fires"),
        (NONE, RUNNING, SHARED, 5, "fires"),
        (NONE, SUCCESS, SHARED, 5, "fires"),
        (NONE, FAILED, SHARED, "fires", "fires"),
        (NONE, SUCCESS, REGIONAL, 5, "fires"),
        (config(f"k: {KEY[:15]}"), SUCCESS, SHARED, 5, "fires"),
        # nobody can tell
        *((trouble, RUNNING, {}, 5, 5) for trouble in UNREADABLE),
        (NOT_YET, RUNNING, {}, 5, 5),
        (MINE, answer(404), {}, 5, 5),
    ],
)
def test_whose_run_it_is(
    configured: Event, standing: Event, changes: dict[str, Any], own: object, target: object
) -> None:
    assert one(configured, standing, of=keyed(**changes)).verdict == own
    changes = {name: value for name, value in changes.items() if name != "sharing"}
    assert one(configured, standing, of=to_target(**changes)).verdict == target


@pytest.mark.parametrize("of", [keyed(), to_target()])
@pytest.mark.parametrize(
    "changes", [{"by": "webhook"}, {"by": "scheduled_pipeline"}, {"ref": {"branch": "dev"}}, ERRORED]
)
def test_what_no_trigger_of_this_ref_made_is_not_looked_into(of: TriggerSpec, changes: dict[str, Any]) -> None:
    scene = one(MINE, RUNNING, of=of, **changes)
    assert (scene.verdict, scene.transport.count("/config")) == ("fires", 0)


@pytest.mark.parametrize("sha", [OTHER_SHA, None])
def test_a_targets_run_is_of_its_own_commit(sha: str | None) -> None:
    assert one(MINE, RUNNING, of=to_target(), sha=sha).verdict == 25


def test_where_no_workflow_is_named_one_that_failed_is_not_the_whole_run() -> None:
    """The one that deploys may appear beside it a little later."""
    lint = workflow("failed", "lint", created_at=ago(9))
    looks = [workflows(lint), workflows(lint, "running")]
    for age, verdict in ((10.0, 25), (100.0, "fires")):
        assert one(MINE, *looks, of=to_target(workflow=None), age=age).verdict == verdict


@pytest.mark.parametrize("of", [keyed(), to_target()])
@pytest.mark.parametrize("by", [None, "explicit", "a new word"])
def test_a_key_tells_how_it_was_triggered(of: TriggerSpec, by: str | None) -> None:
    assert one(MINE, RUNNING, of=of, by=by).verdict == 25


@pytest.mark.parametrize("of", [keyed(), to_target()])
@pytest.mark.parametrize(
    ("configured", "state", "looks", "verdict"),
    [
        ([NOT_YET, NOT_YET, MINE], "pending", [workflows(), RUNNING], 25),
        ([NOT_YET, FOREIGN], "pending", [RUNNING], "fires"),
        ([NOT_YET], "pending", [RUNNING], 5),
        ([NOT_YET], "created", [RUNNING], 5),
        ([NOT_YET, answer(404)], "pending", [RUNNING], 5),
        # a setup workflow's configuration is not the one that deploys: the key may come with the next
        ([NONE, NONE, MINE], "setup", [workflows(setup("running")), RUNNING], 25),
        ([NONE, NONE, FOREIGN], "setup", [workflows(setup("running"))], "fires"),
        ([NONE], "setup", [workflows(setup("running"))], 5),
        ([NONE], "setup", [workflows(setup("failed"))], "fires"),  # nothing comes after it
        ([NONE], "setup", [workflows(setup("canceled"))], "fires"),
        ([NONE], "setup", [answer(404)], 5),
    ],
)
def test_a_run_that_is_forming_is_waited_for(
    of: TriggerSpec, configured: list[Event], state: str, looks: list[Event], verdict: object
) -> None:
    scene = one(configured, *looks, of=of, state=state)
    assert scene.verdict == verdict
    if verdict == 5 and answer(404) not in (*configured, *looks):
        assert "has not shown its configuration" in str(scene.raised)
        assert sum(scene.clock.slept) == pytest.approx(90.0)


def test_a_young_run_of_a_target_that_has_its_configuration_and_no_key_is_not_waited_for() -> None:
    scene = one(NONE, workflows(), of=to_target(), age=1.0)
    assert (scene.verdict, sum(scene.clock.slept)) == ("fires", 0)


@pytest.mark.parametrize("of", [keyed(), to_target()])
def test_a_run_whose_configuration_has_errors_is_no_deploy(of: TriggerSpec) -> None:
    more = {f"GET /{A}": seen(A, state="errored")}
    assert one([NOT_YET], workflows(), of=of, more=more, state="pending").verdict == "fires"


@pytest.mark.parametrize("confirm", [0.0, 5.0])
def test_how_long_a_run_is_confirmed_says_nothing_about_how_long_an_earlier_one_is_awaited(
    confirm: float,
) -> None:
    run = pipeline(state="pending", age=1.0)
    routes = {f"GET /{A}": answer(200, run), f"GET /{A}/workflow": [*[workflows()] * 14, RUNNING]}
    for of, end in ((spec(), LIST), (keyed(), LIST), (to_target(), TARGETS)):
        configured = {f"GET /{A}/config": [*[NOT_YET] * 12, MINE]} if of.key else {}
        assert Scene({**routes, **configured, end: listing(run)}, of, confirm=confirm).verdict == 25


def test_without_the_servers_clock_a_run_without_workflows_is_not_taken_for_anothers() -> None:
    run = pipeline(age=9000.0)
    routes = {f"GET /{A}": answer(200, run), f"GET /{A}/workflow": workflows()}
    for of, verdict in ((spec(), 5), (keyed(), 5)):
        found = {**routes, f"GET /{A}/config": MINE, LIST: listing(run, date=None)}
        assert Scene(found, of).verdict == verdict
        assert Scene({**found, LIST: listing(run)}, of).verdict == "fires"


def test_of_several_the_one_that_holds_the_key_is_taken() -> None:
    runs = [pipeline(B, 26, age=600.0), pipeline(A, 25, age=900.0)]
    routes = {LIST: listing(*runs), f"GET /{B}/workflow": RUNNING, f"GET /{A}/workflow": SUCCESS}
    assert Scene({**routes, f"GET /{A}/config": MINE}, keyed(**SHARED)).verdict == 25
    assert Scene({**routes, f"GET /{B}/config": MINE}, keyed(**SHARED)).verdict == 26
    both = {f"GET /{A}/config": MINE, f"GET /{B}/config": config(f"k: {AGAIN}")}
    assert Scene({**routes, **both}, keyed(**SHARED)).verdict == 26


@pytest.mark.parametrize(("second", "verdict"), [(FAILED, "fires"), (SUCCESS, 26), (workflows("not_run"), 25)])
def test_of_several_that_hold_it_the_newest_that_ran_decides(second: Event, verdict: object) -> None:
    runs = [pipeline(B, 26, age=600.0), pipeline(A, 25, age=900.0)]
    routes = {LIST: listing(*runs), f"GET /{B}/workflow": second, f"GET /{A}/workflow": SUCCESS}
    assert Scene({**routes, "GET /config": MINE}).verdict == verdict


def test_what_is_adopted_by_its_key_is_told() -> None:
    scene = one(MINE, SUCCESS)
    (entry,) = scene.report.triggers
    assert entry.because == f"run {URL}/25 holds the deploy key {KEY}: status: success"


def test_without_a_key_one_for_each_value_of_a_variable_is_not_told_from_another() -> None:
    """B2: `eu` was sent, and `us` is not."""
    for standing, verdict in ((SUCCESS, 5), (RUNNING, 5), (FAILED, "fires")):
        scene = one(NONE, standing, of=spec(**REGIONAL))
        assert scene.verdict == verdict
        if verdict == 5:
            assert "it is sent once for each value of ${REGION}" in str(scene.raised)
            assert isinstance(scene.raised, FactUnavailable)
            assert "deploy_key: ${deploy.key}" in scene.raised.hints[0]


# Targets: how far back


def target_runs(count: int, *, age: float = 60.0, start: int = 1000) -> list[dict[str, Any]]:
    return [
        pipeline(f"{n:08d}-0000-4000-8000-000000000000", n, age=age, sha=OTHER_SHA) for n in range(start, start + count)
    ]


def paged(*pages: list[dict[str, Any]]) -> Any:
    """The last page names no other."""
    answers = [listing(*page, following=str(at + 1) if at + 1 < len(pages) else None) for at, page in enumerate(pages)]
    return lambda request: answers[int(request.query.get("page-token", 0))]


@pytest.mark.parametrize(
    ("pages", "verdict"),
    [
        ([[]], "fires"),
        ([target_runs(20), target_runs(19, start=2000)], "fires"),
        ([target_runs(20), [pipeline()]], 25),
        ([target_runs(19) + target_runs(1, age=5000.0, start=2000), [pipeline()]], "fires"),  # older than this build
        ([target_runs(19) + target_runs(1, age=3999.0, start=2000), [pipeline()]], 25),
        ([target_runs(20, start=n * 100) for n in range(1, 6)] + [[pipeline()]], 5),
        ([target_runs(20, start=n * 100) for n in range(1, 5)] + [[*target_runs(18), pipeline()]], 25),
        ([target_runs(20, start=n * 100) for n in range(1, 5)] + [target_runs(20, age=5000.0), [pipeline()]], "fires"),
    ],
)
def test_a_targets_runs_are_looked_through_as_far_as_this_builds_own_pipeline(pages: Any, verdict: object) -> None:
    routes = {TARGETS: paged(*pages), f"GET /{A}/config": MINE, "GET /workflow": RUNNING, "GET /config": FOREIGN}
    scene = Scene(routes, to_target())
    assert scene.verdict == verdict
    assert dict(scene.transport.sent[1].query) == {"branch": "main"}
    if verdict == 5:
        assert "go back further than the 100 newest" in str(scene.raised)


@pytest.mark.parametrize(("count", "verdict"), [(3, "fires"), (5, 5)])
def test_where_the_age_of_this_build_is_not_known_a_hundred_runs_that_do_not_hold_it_prove_nothing(
    count: int, verdict: object
) -> None:
    pages = [target_runs(20, age=9000.0, start=n * 100) for n in range(1, count + 1)]
    routes = {TARGETS: paged(*pages), "GET /config": FOREIGN, f"GET /{PIPELINE}": answer(404)}
    assert Scene(routes, to_target()).verdict == verdict


@pytest.mark.parametrize("trouble", [answer(404), answer(500), lost(), refused_connection()])
def test_a_targets_list_that_cannot_be_read_sends_nothing(trouble: Event) -> None:
    scene = Scene({TARGETS: trouble}, to_target())
    assert scene.raised is not None
    assert scene.sent == 0


def test_a_target_without_a_key_is_always_due_and_its_runs_are_not_listed() -> None:
    scene = Scene({}, to_target(key=None))
    assert (scene.verdict, len(scene.transport.sent)) == ("fires", 1)


# Workflows that say success although something did not run


def job(name: str, status: str, **more: Any) -> dict[str, Any]:
    return {"id": f"id-{name}", "name": name, "status": status, "type": "build", **more}


def jobs(*found: dict[str, Any]) -> Any:
    return answer(200, {"items": list(found), "next_page_token": None})


BUILT = job("build", "success", started_at="2026-06-16T08:00:00Z", job_number=1)
PREEMPTED = jobs(BUILT, job("deploy", "not_run", requires={"id-build": ["success"]}))
FOR_FAILURE = job("page-somebody", "not_run", requires={"id-build": ["failed", "canceled"]})
AFTER_FAILURE = job("close-it", "not_run", requires={"id-page-somebody": ["success"], "id-build": ["success"]})


@pytest.mark.parametrize("of", [spec(), keyed(), to_target()])
@pytest.mark.parametrize(
    ("listed", "verdict"),
    [
        (jobs(BUILT, job("deploy", "success")), 25),
        (PREEMPTED, "fires"),
        (jobs(BUILT, job("deploy", "not_run")), "fires"),
        # what was only to run after a failure is not missing: to deploy again for it would be a second deploy
        (jobs(BUILT, FOR_FAILURE), 25),
        (jobs(AFTER_FAILURE, FOR_FAILURE, BUILT), 25),
        (jobs(BUILT, FOR_FAILURE, job("deploy", "not_run", requires={"id-build": ["success"]})), "fires"),
        (jobs(BUILT, job("deploy", "not_run"), job("x", "not_run", requires={"id-deploy": ["success"]})), "fires"),
        (jobs(BUILT, job("either", "not_run", requires={"id-build": ["success", "failed"]})), "fires"),
        (jobs(BUILT, job("odd", "not_run", requires={"id-build": "failed"})), "fires"),
        (jobs(BUILT, job("odd", "not_run", requires={"id-build": []})), "fires"),
        (jobs(BUILT, job("odd", "not_run", requires=["id-build"])), "fires"),
        # of a job that was run again the newest counts
        (jobs(job("deploy", "not_run", job_number=None), {**BUILT, "name": "deploy"}), "fires"),
        *((trouble, 5) for trouble in (answer(404), answer(500), lost(), answer(200, {"items": [{}]}))),
    ],
)
def test_a_success_in_which_a_job_did_not_run_is_no_deploy(of: TriggerSpec, listed: Event, verdict: object) -> None:
    assert one(MINE if of.key else NONE, SUCCESS, of=of, more={"GET /job": listed}).verdict == verdict


def test_jobs_are_read_only_where_a_success_matters() -> None:
    for standing in (RUNNING, FAILED, workflows("on_hold"), workflows("canceled")):
        assert one(MINE, standing).transport.count("/job") == 0


def test_jobs_of_a_success_that_decides_nothing_are_not_read() -> None:
    runs = [pipeline(B, 26, age=600.0), pipeline(A, 25, age=900.0)]
    routes = {LIST: listing(*runs), f"GET /{B}/workflow": FAILED, f"GET /{A}/workflow": SUCCESS, "GET /config": MINE}
    scene = Scene(routes)
    assert (scene.verdict, scene.transport.count("/job")) == ("fires", 0)


def test_a_deploy_that_was_skipped_has_undone_nothing() -> None:
    runs = [pipeline(B, 26, age=600.0), pipeline(A, 25, age=900.0)]
    routes: dict[str, Any] = {LIST: listing(*runs), "GET /config": MINE}
    routes |= {f"GET /{B}/workflow": answer(200, {"items": [{"id": "v0", "name": "deploy", "status": "success"}]})}
    routes |= {f"GET /{A}/workflow": SUCCESS, "GET /v0/job": PREEMPTED}
    assert Scene(routes).verdict == 25


# Several rules


def test_rules_that_share_a_workflow_and_send_keys_are_told_apart() -> None:
    first, second = keyed(rule="a", sharing=("b",)), keyed(rule="b", key=OTHER, sharing=("a",))
    routes: dict[str, Any] = {
        LIST: listing(pipeline(A, 25)),
        f"GET /{A}/config": MINE,
        "GET /workflow": SUCCESS,
        f"GET /{RUN}": seen(RUN),
    }
    scene = Scene(routes, first, second)
    assert (scene.raised, scene.outcomes, scene.sent) == (None, [Outcome.ALREADY_TRIGGERED, Outcome.TRIGGERED], 1)


def test_a_run_that_another_rule_has_adopted_by_its_workflow_is_ambiguous_for_both() -> None:
    specs = [spec(rule="a", sharing=("b",)), spec(rule="b", sharing=("a",))]
    scene = Scene({LIST: listing(pipeline(A, 25)), "GET /workflow": SUCCESS}, *specs)
    scene.fails(FactUnavailable, "undecided")
    assert (scene.outcomes, scene.sent) == ([Outcome.NOT_SENT] * 2, 0)


# A trigger whose answer was lost


NEW = pipeline(A, 26, age=-1.0)
TWIN = pipeline(B, 27, age=-2.0)


def lost_trigger(*lists: Event, of: TriggerSpec | None = None, more: Any = None, **options: Any) -> Scene:
    chosen = of or keyed()
    end = TARGETS if chosen.project else LIST
    routes = {"POST /pipeline/run": lost(), end: [listing(), *lists], "GET /workflow": RUNNING, **(more or {})}
    return Scene(routes, chosen, **options)


@pytest.mark.parametrize("of", [keyed(), keyed(**SHARED), keyed(workflow=None), keyed(**REGIONAL), to_target()])
@pytest.mark.parametrize(
    ("configs", "lists", "found"),
    [
        ({A: MINE}, [listing(NEW)], A),
        ({A: MINE, B: FOREIGN}, [listing(TWIN, NEW)], A),  # beside a twin's of another deploy
        ({A: MINE, B: NONE}, [listing(TWIN, NEW)], A),
        ({A: MINE, B: answer(404)}, [listing(TWIN, NEW)], A),
        ({A: [NOT_YET, NOT_YET, MINE]}, [listing(NEW)], A),
        ({A: [answer(500), MINE]}, [answer(404), listing(), listing(NEW)], A),
        ({A: MINE, B: MINE}, [listing(TWIN, NEW)], None),  # another build of the commit has triggered it too
        ({A: NONE}, [listing(NEW)], None),
        ({A: FOREIGN}, [listing(NEW)], None),
        ({A: NOT_YET}, [listing(NEW)], None),
        ({A: answer(404)}, [listing(NEW)], None),
        ({A: config(f"k: {AGAIN}")}, [listing(NEW)], None),  # somebody else's, who wanted it again
        ({}, [listing()], None),
        ({}, [answer(404)], None),
    ],
)
def test_the_run_of_a_lost_trigger_is_the_one_that_holds_its_key(
    of: TriggerSpec, configs: dict[str, Event], lists: list[Event], found: str | None
) -> None:
    more = {f"GET /{identity}/config": configured for identity, configured in configs.items()}
    scene = lost_trigger(*lists, of=of, more=more)
    (entry,) = scene.report.triggers
    assert scene.sent == 1, "never a second time"
    if found is None:
        error = scene.fails(Uncertain, "uncertain")
        assert (error.exit, entry.outcome, entry.created) == (ExitCode.UNCERTAIN, Outcome.UNCERTAIN, None)
    else:
        assert scene.raised is None
        assert entry.created is not None
        assert (entry.outcome, entry.created.id) == (Outcome.TRIGGERED, found)


def test_two_that_hold_the_key_are_both_named() -> None:
    scene = lost_trigger(listing(TWIN, NEW), more={"GET /config": MINE})
    assert f"{URL}/27, {URL}/26" in str(scene.raised)


def test_what_was_there_before_is_not_the_run_of_a_lost_trigger() -> None:
    """It holds the key and failed: that is why there is another trigger at all."""
    routes = {LIST: listing(pipeline()), "POST /pipeline/run": lost(), "GET /workflow": FAILED, "GET /config": MINE}
    scene = Scene(routes)
    scene.fails(Uncertain, "uncertain")
    assert scene.sent == 1


def test_a_lost_trigger_of_a_branch_that_has_moved_on_is_found_and_its_run_cancelled() -> None:
    """The request names no commit: the run that it created is of whatever the branch was at."""
    moved = pipeline(A, 26, age=-1.0, sha=OTHER_SHA)
    more = {
        "GET /config": MINE,
        f"GET /{A}": answer(200, moved),
        "GET /workflow": [RUNNING, workflows("canceled")],
        "POST /cancel": answer(202),
    }
    scene = lost_trigger(listing(moved), more=more, confirm=5.0)
    error = scene.fails(Stopped, "wrong-commit")
    assert error.message.endswith("it was cancelled")
    assert (scene.sent, scene.transport.count("/cancel")) == (1, 1)


@pytest.mark.parametrize("configured", [NONE, FOREIGN, config(f"k: {AGAIN}"), answer(404)])
def test_another_builds_run_of_a_newer_commit_is_never_cancelled_for_a_lost_trigger(configured: Event) -> None:
    moved = pipeline(A, 26, age=-1.0, sha=OTHER_SHA)
    more = {"GET /config": configured, f"GET /{A}": answer(200, moved)}
    scene = lost_trigger(listing(moved), more=more, confirm=5.0)
    scene.fails(Uncertain, "uncertain")
    assert scene.transport.count("/cancel") == 0


@pytest.mark.parametrize(
    "of",
    [to_target(key=None), spec(workflow=None), spec(**SHARED), spec(**REGIONAL), spec(project=DEPLOYER, revision=None)],
)
def test_without_a_key_nothing_is_guessed_and_the_cure_is_named(of: TriggerSpec) -> None:
    scene = lost_trigger(listing(NEW), listing(NEW), of=of)
    error = scene.fails(Uncertain, "uncertain")
    assert (error.exit, scene.sent) == (ExitCode.UNCERTAIN, 1)
    assert any("${deploy.key}" in hint for hint in error.hints)


def test_where_a_key_or_a_workflow_tells_no_key_is_advised() -> None:
    for of in (spec(), keyed(), to_target()):
        error = lost_trigger(listing(), of=of).fails(Uncertain, "uncertain")
        assert not any("${deploy.key}" in hint for hint in error.hints)


def test_a_key_is_advised_only_where_it_would_help() -> None:
    """A job of API v1.1 shows no configuration."""
    job = spec(job="deploy", workflow=None, api=ApiVersion.V1_1, sharing=("staging",))
    routes = {"GET /tree/main": answer(200, []), "POST /tree/main": lost()}
    for scene in (Scene(routes, job), Scene({LIST: answer(404), "POST /pipeline/run": lost()}, again="x")):
        error = scene.fails(Uncertain, "uncertain")
        assert not any("${deploy.key}" in hint for hint in error.hints)


def test_what_is_new_is_not_looked_for_beyond_what_was_there_before() -> None:
    pages = [listing(NEW, pipeline(sha=OTHER_SHA, number=20, identity=B), following="1"), lost()]
    found = {"GET /config": MINE, f"GET /{B}/config": NONE, "GET /workflow": RUNNING}
    before = listing(pipeline(sha=OTHER_SHA, number=20, identity=B))
    scene = Scene({LIST: [before, pages[0], pages[1]], "POST /pipeline/run": lost(), **found})
    assert (scene.raised, scene.transport.count(LIST.removeprefix("GET "))) == (None, 2)


def test_again_after_the_list_could_not_be_read_takes_no_older_run_for_its_own() -> None:
    """A loop in one job sends the same key twice: what the first has sent is not what became of the second."""
    routes = {
        LIST: [answer(404), listing(NEW)],
        "POST /pipeline/run": lost(),
        "GET /config": MINE,
        "GET /workflow": RUNNING,
    }
    scene = Scene(routes, again="rolled back")
    scene.fails(Uncertain, "uncertain")
    assert scene.sent == 1


def test_a_lost_trigger_whose_run_does_not_deploy_is_no_success() -> None:
    more = {"GET /config": MINE, f"GET /{A}": answer(200, NEW), "GET /workflow": [workflows("error")]}
    scene = lost_trigger(listing(NEW), more=more, confirm=5.0)
    scene.fails(NothingRuns, "did-not-run")


def test_the_key_is_exact_in_time_and_needs_no_clock() -> None:
    for age in (-9000.0, 0.0, 9000.0, None):
        run = pipeline(A, 26, age=age)
        assert lost_trigger(listing(run, date=START - timedelta(days=3)), more={"GET /config": MINE}).raised is None
