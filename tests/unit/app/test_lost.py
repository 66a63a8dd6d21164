"""A trigger whose answer was lost: its run is found where exactly one can be it, and else nobody knows."""

from typing import Any

import pytest
from builds import AGAIN, DEPLOYER, OTHER_SHA, REGIONAL, SHA, SHARED, keyed, spec, to_target
from fakes import FOREIGN, MINE, NONE, NOT_YET, Event, RoutedTransport, answer, config, lost, v1_job
from triggers import LIST, OWN, TARGETS, URL, A, Attempt, B, listing, pipeline, seen, setup, workflow, workflows

from deploystep.core.deploy import Outcome, TriggerSpec
from deploystep.core.errors import ExitCode, Stopped, Uncertain
from deploystep.core.rules import ApiVersion

BEFORE = listing(OWN)
NEW, TWIN = pipeline(A, 26, age=-1.0), pipeline(B, 27, age=-2.0)
ONE, TWO, OTHER_ONE = listing(NEW, OWN), listing(TWIN, NEW, OWN), listing(TWIN, OWN)
RUNNING, NOTHING = workflows("running"), workflows()
PERHAPS = "what may be its run, or that of another build: "
NOBODY = "no run of it was found in 10 s"
ADVICE = "${deploy.key}"


class Scene(Attempt):
    """The trigger is lost; these are the lists that come after it."""

    def __init__(self, *lists: Event, of: TriggerSpec | None = None, routes: Any = None, **options: Any) -> None:
        of = of or spec()
        end = LIST if of.revision else TARGETS
        usual: dict[str, Any] = {"POST /pipeline/run": lost(), "GET /workflow": RUNNING, end: [BEFORE, *lists]}
        super().__init__(RoutedTransport({**usual, **(routes or {})}), of, **options)
        self.run()

    @property
    def verdict(self) -> object:
        """The id of the run that is taken for it, else what is said at the end; it was sent once in any case."""
        (entry,) = self.report.triggers
        assert self.sent == 1, "never a second time"
        if self.raised is None:
            assert (entry.outcome, entry.created is None) == (Outcome.TRIGGERED, False)
            return entry.created and entry.created.id
        error = self.fails(Uncertain, "uncertain")
        assert (entry.outcome, entry.created, error.exit) == (Outcome.UNCERTAIN, None, ExitCode.UNCERTAIN)
        assert error.message.startswith("the trigger of rule 'production' may have been accepted: the connection")
        assert "/pipelines/gh/acme/" in error.hints[0]
        assert "do not run this step again" in error.hints[1]
        return error.message.partition("; ")[2]


@pytest.mark.parametrize(("lists", "routes", "verdict", "looks"), [
    # the only new run, when it is seen in two looks one after the other: a second may come
    ([ONE], {}, A, 2),
    ([*[BEFORE] * 4, ONE], {}, A, 6),
    ([ONE, BEFORE, ONE, ONE], {}, A, 4),  # a list can be answered by servers of which some are behind
    ([TWO, ONE, ONE], {f"GET /{B}/workflow": NOTHING}, A, 3),
    ([*[answer(404)] * 3, ONE], {}, A, 5),
    ([listing(NEW, NEW, OWN)], {}, A, 2),  # as a list that grows while its pages are read
    *(([listing(pipeline(A, 26, age=age), OWN, date=None)], {}, A, 2) for age in (-5000.0, 0.0, 5000.0, None)),
    ([ONE], {"GET /workflow": [NOTHING, answer(404), workflows(setup("success")), RUNNING]}, A, None),
    # nothing else
    *(([listed], {}, NOBODY, None) for listed in (BEFORE, answer(404))),
    *(([listing(pipeline(**changes), OWN)], {}, NOBODY, None)
      for changes in ({"by": "webhook"}, {"ref": {"branch": "x"}}, {"sha": OTHER_SHA})),
    ([], {LIST: ONE, "GET /workflow": workflows("failed")}, NOBODY, None),  # it was there before
    ([TWO], {}, f"{PERHAPS}{URL}/27, {URL}/26", None),
    ([TWO], {f"GET /{B}/workflow": NOTHING}, f"{PERHAPS}{URL}/27, {URL}/26", None),  # nobody knows what B holds
    ([ONE, OTHER_ONE] * 9, {}, f"{PERHAPS}{URL}/27", None),  # it must be the same in both looks
    *(([ONE], {"GET /workflow": there}, f"{PERHAPS}{URL}/26", None)
      for there in (NOTHING, workflows(workflow("running", "lint")), workflows(setup("running")), answer(404))),
])  # fmt: skip
def test_without_a_key_the_only_new_run_is_the_one(lists: Any, routes: Any, verdict: str, looks: int | None) -> None:
    scene = Scene(*lists, routes=routes)
    assert scene.verdict == verdict
    assert looks is None or scene.transport.count("/shop/pipeline") == looks + 1
    (entry,) = scene.report.triggers
    assert entry.created is None or entry.created.revision == SHA
    assert entry.created is None or scene.console.infos[-1] == f"triggered production: {URL}/26"


@pytest.mark.parametrize(
    ("untold", "told", "verdict"),
    [
        *(({"by": word}, {"by": "api"}, A) for word in (None, "a new word")),
        *(({"by": word}, {"by": "webhook"}, NOBODY) for word in (None, "a new word")),
        ({"sha": None}, {"sha": SHA}, A),
        ({"sha": None}, {"sha": OTHER_SHA}, NOBODY),
        *((untold, untold, f"{PERHAPS}{URL}/26") for untold in ({"by": None}, {"by": "a new word"}, {"sha": None})),
    ],
)
def test_what_the_list_does_not_tell_the_run_does_or_nobody(untold: Any, told: dict[str, Any], verdict: str) -> None:
    listed = listing(pipeline(number=26, **untold), OWN)
    assert Scene(listed, routes={f"GET /{A}": seen(A, number=26, **told)}).verdict == verdict


@pytest.mark.parametrize("of", [keyed(), keyed(**SHARED), keyed(workflow=None), keyed(**REGIONAL), to_target()])
@pytest.mark.parametrize(
    ("configs", "lists", "found"),
    [
        ({A: MINE}, [ONE], A),
        ({A: MINE, B: FOREIGN}, [TWO], A),  # beside a twin's of another deploy
        ({A: MINE, B: NONE}, [TWO], A),
        ({A: MINE, B: answer(404)}, [TWO], A),
        ({A: [NOT_YET, NOT_YET, MINE]}, [ONE], A),
        ({A: [answer(500), MINE]}, [answer(404), BEFORE, ONE], A),
        *(({A: MINE}, [listing(pipeline(A, 26, age=age))], A) for age in (-9000.0, 0.0, 9000.0, None)),
        ({A: MINE, B: MINE}, [TWO], f"{PERHAPS}/27, /26"),  # another build of the commit has triggered it too
        ({A: NONE}, [ONE], f"{PERHAPS}/26"),
        ({A: FOREIGN}, [ONE], f"{PERHAPS}/26"),
        ({A: NOT_YET}, [ONE], f"{PERHAPS}/26"),
        ({A: answer(404)}, [ONE], f"{PERHAPS}/26"),
        ({A: config(f"k: {AGAIN}")}, [ONE], f"{PERHAPS}/26"),  # somebody else's, who wanted it again
        ({}, [answer(404)], NOBODY),
    ],
)
def test_the_run_of_a_lost_trigger_is_the_one_that_holds_its_key(of: Any, configs: Any, lists: Any, found: str) -> None:
    scene = Scene(*lists, of=of, routes={f"GET /{run}/config": configured for run, configured in configs.items()})
    assert str(scene.verdict).replace(f"https://app.circleci.com/pipelines/{of.project or 'gh/acme/shop'}", "") == found
    assert not any(ADVICE in hint for hint in getattr(scene.raised, "hints", ()))


@pytest.mark.parametrize(
    "of",
    [to_target(key=None), spec(workflow=None), spec(**SHARED), spec(**REGIONAL), spec(project=DEPLOYER, revision=None)],
)
def test_without_a_key_nothing_is_guessed_and_the_cure_is_named(of: TriggerSpec) -> None:
    scene = Scene(ONE, ONE, of=of)
    assert (scene.verdict, scene.transport.paths[-1].split()[0]) == ("", "POST")
    assert any(ADVICE in hint for hint in scene.fails(Uncertain, "uncertain").hints)


def test_what_may_have_been_there_before_is_not_its_run() -> None:
    routes = {"GET /config": MINE, "GET /workflow": workflows("failed")}
    # it failed: that is why there is another trigger
    assert Scene(of=keyed(), routes={LIST: listing(pipeline()), **routes}).verdict == NOBODY
    # a loop in one job sends the same key twice: what the first has sent is not what became of the second
    lists = [answer(404), listing(NEW)]
    assert Scene(of=keyed(), routes={LIST: lists, **routes}, again="rolled back").verdict == ""
    assert Scene(ONE, again="rolled back").verdict == A


def test_a_branch_that_has_moved_on_is_found_and_its_run_cancelled() -> None:
    """The request names no commit: the run that it created is of whatever the branch was at."""
    moved = pipeline(A, 26, age=-1.0, sha=OTHER_SHA)
    standing = [RUNNING, workflows("canceled")]
    more = {f"GET /{A}": answer(200, moved), "GET /workflow": standing, "POST /cancel": answer(202)}
    scene = Scene(listing(moved), of=keyed(), routes={"GET /config": MINE, **more}, confirm=5.0)
    assert scene.fails(Stopped, "wrong-commit").message.endswith("it was cancelled")
    assert (scene.sent, scene.transport.count("/cancel")) == (1, 1)
    for configured in (NONE, FOREIGN, config(f"k: {AGAIN}"), answer(404)):  # another build's is never cancelled
        scene = Scene(listing(moved), of=keyed(), routes={"GET /config": configured, **more}, confirm=5.0)
        assert (scene.fails(Uncertain, "uncertain").exit, scene.transport.count("/cancel")) == (ExitCode.UNCERTAIN, 0)


def test_what_is_new_is_not_looked_for_beyond_what_was_there_before() -> None:
    there, later = pipeline(B, 20, sha=OTHER_SHA), pipeline("c", 28, ref={"branch": "x"})
    lists = [listing(there), listing(later, following="1"), listing(NEW, there, following="2"), lost()]
    scene = Scene(of=keyed(), routes={LIST: lists, "GET /config": MINE, f"GET /{B}/config": NONE})
    assert (scene.verdict, scene.transport.count("/shop/pipeline")) == (A, 3)


@pytest.mark.parametrize("of", [spec(), keyed()])
def test_a_run_that_has_not_deployed_may_be_an_earlier_one_that_was_not_listed(of: TriggerSpec) -> None:
    for standing, job in (("failed", ""), ("canceled", ""), ("success", "not_run"), ("success", "success")):
        jobs = answer(200, {"items": [{"name": "deploy", "status": job}] if job else []})
        routes = {"GET /config": MINE, "GET /workflow": workflows(standing), "GET /job": jobs}
        assert (Scene(ONE, ONE, of=of, routes=routes).verdict == A) is (job == "success")


@pytest.mark.parametrize(("confirm", "looking"), [(0.0, 10.0), (5.0, 10.0), (30.0, 30.0)])
def test_it_is_looked_for_ten_seconds_or_as_long_as_a_run_is_confirmed(confirm: float, looking: float) -> None:
    scene = Scene(BEFORE, confirm=confirm)
    assert scene.verdict == f"no run of it was found in {looking:.0f} s"
    assert f"looking for what it created, for {looking:.0f} s at the most" in scene.console.infos[0]
    assert scene.clock.waited == pytest.approx(looking)
    assert len(scene.transport.sent) <= 14


@pytest.mark.parametrize(("sha", "outcome"), [(SHA, Outcome.TRIGGERED), (OTHER_SHA, Outcome.UNCERTAIN)])
def test_a_lost_job_of_v1_1(sha: str, outcome: Outcome) -> None:
    """The request pins the revision: a job of another commit is another build's, and must not be cancelled."""
    job = v1_job(30, vcs_revision=sha)
    lists = [answer(200, []), answer(200, [job])]
    routes: dict[str, Any] = {"GET /tree/main": lists, "POST /tree/main": lost(), "GET /shop/30": answer(200, job)}
    scene = Scene(of=spec(job="deploy", workflow=None, api=ApiVersion.V1_1), routes=routes)
    created = scene.report.triggers[0].created
    assert (scene.outcomes, scene.sent) == ([outcome], 1)
    assert (created and (created.id, created.number)) == ((None, 30) if sha == SHA else None)
