"""A trigger whose answer was lost: its run is found where exactly one can be it, and else nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import OTHER_SHA, SHA, spec
from fakes import RoutedTransport, answer, lost, refused_connection
from triggers import OWN, URL, A, Attempt, B, listing, pipeline, seen, setup, workflow, workflows

from deploystep.core.deploy import Outcome
from deploystep.core.errors import Uncertain
from deploystep.core.exits import ExitCode
from deploystep.core.rules import ApiVersion

if TYPE_CHECKING:
    from fakes import Event

    from deploystep.circleci.http import Response

LIST = "GET /shop/pipeline"
BEFORE = listing(OWN)
NEW = pipeline(A, 26, age=-1.0)
ONE = listing(NEW, OWN)
TWO = listing(pipeline(B, 27, age=-2.0), NEW, OWN)
RUNNING = workflows("running")
PERHAPS = "what may be its run, or that of another build: "


class Scene(Attempt):
    """The trigger is lost; these are the lists that come after it."""

    def __init__(
        self, *lists: Event, routes: dict[str, Any] | None = None, confirm: float = 0.0, **changes: Any
    ) -> None:
        usual: dict[str, Any] = {LIST: [BEFORE, *lists], "POST /pipeline/run": lost(), "GET /workflow": RUNNING}
        super().__init__(RoutedTransport({**usual, **(routes or {})}), spec(**changes), confirm=confirm)
        self.run()

    def finds(self, identity: str = A) -> None:
        assert (self.raised, self.outcomes, self.sent) == (None, [Outcome.TRIGGERED], 1)
        (entry,) = self.report.triggers
        assert entry.created is not None
        assert (entry.created.id, entry.created.revision) == (identity, SHA)

    @property
    def uncertain(self) -> str:
        error = self.fails(Uncertain, "uncertain")
        assert (self.outcomes, self.sent, error.exit) == ([Outcome.UNCERTAIN], 1, ExitCode.UNCERTAIN)
        assert error.message.startswith("the trigger of rule 'production' may have been accepted: the connection")
        assert f"{URL}?branch=main" in error.hints[0]
        assert "do not run this step again" in error.hints[1]
        return error.message


@pytest.mark.parametrize(
    ("lists", "looks"),
    [
        ([ONE], 2),  # it is seen twice, for a second may come
        ([*[BEFORE] * 4, ONE], 6),
        ([ONE, BEFORE, ONE, ONE], 4),  # a list can be answered by servers of which some are behind
        ([TWO, ONE, ONE], 3),
        ([*[answer(404)] * 3, ONE], 5),
        ([ONE, answer(404), ONE, ONE], 4),
        ([listing(NEW, following="x"), answer(404), ONE], None),
    ],
)
def test_the_only_new_run_is_the_one_when_it_is_seen_in_two_looks_one_after_the_other(
    lists: list[Response], looks: int | None
) -> None:
    scene = Scene(*lists, routes={f"GET /{B}/workflow": workflows()})
    scene.finds()
    assert looks is None or scene.transport.count("/shop/pipeline") == looks + 1
    assert scene.console.infos[-1] == f"triggered production: {URL}/26"


@pytest.mark.parametrize("age", [-5000.0, 0.0, 5000.0, None])
def test_no_clock_is_consulted(age: float | None) -> None:
    Scene(listing(pipeline(age=age), OWN, date=None)).finds()


def test_its_workflows_may_come_later() -> None:
    looks = [workflows(), answer(404), workflows(setup("success")), workflows(setup("success"), "queued")]
    Scene(ONE, routes={"GET /workflow": looks}).finds()


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (BEFORE, ""),
        (answer(404), ""),
        (answer(500), ""),
        (refused_connection(), ""),
        (listing(pipeline(by="webhook"), OWN), ""),
        (listing(pipeline(ref={"branch": "x"}), OWN), ""),
        (listing(pipeline(sha=OTHER_SHA), OWN), ""),  # another build's: to adopt it would be to cancel it
        (TWO, f"{URL}/27, {URL}/26"),
    ],
)
def test_nothing_else_is_found(listed: Event, found: str) -> None:
    expected = f"; {PERHAPS}{found}" if found else "; no run of it was found in 10 s"
    assert Scene(listed).uncertain.endswith(expected)


def test_what_was_there_before_is_not_what_it_created() -> None:
    there = {LIST: ONE, "GET /workflow": workflows("failed")}
    assert Scene(routes=there).uncertain.endswith("no run of it was found in 10 s")


@pytest.mark.parametrize(
    "there", [workflows(), workflows(workflow("running", "lint")), workflows(setup("running")), answer(404)]
)
def test_a_new_run_that_does_not_hold_the_workflow_is_not_sure(there: Response) -> None:
    assert Scene(ONE, routes={"GET /workflow": there}).uncertain.endswith(f"{PERHAPS}{URL}/26")


def test_a_second_new_run_that_may_be_of_this_deploy_leaves_neither_sure() -> None:
    """Of B nobody knows yet what it holds."""
    assert Scene(TWO, routes={f"GET /{B}/workflow": workflows()}).uncertain.endswith(f"{PERHAPS}{URL}/27, {URL}/26")


def test_which_one_it_is_must_be_the_same_in_both_looks() -> None:
    one, other = listing(NEW, OWN), listing(pipeline(B, 27), OWN)
    assert PERHAPS in Scene(*[one, other] * 9).uncertain


@pytest.mark.parametrize(
    ("untold", "told", "expected"),
    [
        *(({"by": word}, {"by": "api"}, None) for word in (None, "a new word")),
        *(({"by": word}, {"by": "webhook"}, "no run of it was found") for word in (None, "a new word")),
        ({"sha": None}, {"sha": SHA}, None),
        ({"sha": None}, {"sha": OTHER_SHA}, "no run of it was found"),
        *((untold, untold, PERHAPS) for untold in ({"by": None}, {"by": "a new word"}, {"sha": None})),
    ],
)
def test_what_the_list_does_not_tell_the_run_does_or_nobody(
    untold: dict[str, Any], told: dict[str, Any], expected: str | None
) -> None:
    scene = Scene(listing(pipeline(number=26, **untold), OWN), routes={f"GET /{A}": seen(A, **told)})
    if expected is None:
        scene.finds()
    else:
        assert expected in scene.uncertain


@pytest.mark.parametrize("changes", [{"workflow": None}, {"revision": None}, {"sharing": ("staging",)}])
def test_where_nothing_tells_its_run_from_anothers_none_is_looked_for(changes: dict[str, Any]) -> None:
    scene = Scene(ONE, **changes)
    assert "run of" not in scene.uncertain.removeprefix("the trigger of")
    assert scene.transport.paths[-1].startswith("POST ")


@pytest.mark.parametrize(("confirm", "looking"), [(0.0, 10.0), (5.0, 10.0), (30.0, 30.0)])
def test_it_is_looked_for_as_long_as_a_run_is_confirmed_and_ten_seconds_at_the_least(
    confirm: float, looking: float
) -> None:
    scene = Scene(BEFORE, confirm=confirm)
    assert f"no run of it was found in {looking:.0f} s" in scene.uncertain
    assert f"looking for what it created, for {looking:.0f} s at the most" in scene.console.infos[0]
    assert sum(scene.clock.slept) == pytest.approx(looking)
    assert len(scene.transport.sent) <= 14


def test_what_is_found_is_confirmed_as_if_it_had_been_answered() -> None:
    scene = Scene(ONE, routes={f"GET /{A}": seen(A), "GET /workflow": [RUNNING, workflows("error")]}, confirm=30.0)
    assert scene.raised is not None
    assert scene.outcomes == [Outcome.NOTHING_RUNS]


@pytest.mark.parametrize(("sha", "outcome"), [(SHA, Outcome.TRIGGERED), (OTHER_SHA, Outcome.UNCERTAIN)])
def test_a_lost_job_of_v1_1(sha: str, outcome: Outcome) -> None:
    """The request pins the revision: a job of another commit is another build's, and must not be cancelled."""
    job = {"build_num": 30, "branch": "main", "vcs_revision": sha, "why": "api", "job_name": "deploy"}
    there = {**job, "status": "running"}
    routes: dict[str, Any] = {
        "GET /tree/main": [answer(200, []), answer(200, [there])],
        "POST /tree/main": lost(),
        "GET /shop/30": answer(200, there),
    }
    changes: dict[str, Any] = {"job": "deploy", "workflow": None, "api": ApiVersion.V1_1}
    tried = Attempt(RoutedTransport(routes), spec(**changes)).run()
    assert (tried.outcomes, tried.sent) == ([outcome], 1)
    (entry,) = tried.report.triggers
    assert (entry.created is None) is (outcome is Outcome.UNCERTAIN)
    assert entry.created is None or (entry.created.id, entry.created.number) == (None, 30)
