"""Learning what a decision needs: from whom, no more than it needs, and nothing decided by what is not known."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from builds import OTHER_SHA, PIPELINE, SHA, WORKFLOW, build, environ, fork_environ, rules, tag_build, tag_environ
from fakes import FakeServices, RoutedTransport, ScriptedTransport, answer, lost, refused_connection
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.app.facts import LiveFacts, raise_if_undecided, resolve, stated_facts
from deploystep.app.options import Options
from deploystep.core.build import BuildContext
from deploystep.core.decide import Decision, decide
from deploystep.core.errors import Diagnosed, FactUnavailable, RuleFileInvalid
from deploystep.core.facts import (
    Answered,
    AuthorOf,
    Base,
    ChangedSince,
    Facts,
    IsMergedInto,
    JobsOf,
    Known,
    MessageOf,
    Question,
    Unavailable,
)
from deploystep.core.frozen import replace
from deploystep.core.source import Pos, SourceFile
from deploystep.core.times import read_moment, zone
from deploystep.rulefile.given import read_given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fakes import Event

    from deploystep.circleci.http import Response

MERGED, MESSAGE, AUTHOR, JOBS = IsMergedInto("main"), MessageOf(), AuthorOf(), JobsOf()
LAST, PREVIOUS, NAMED = (
    ChangedSince(Base.LAST_DEPLOY, workflow="deploy"),
    ChangedSince(Base.PREVIOUS_COMMIT),
    ChangedSince(),
)
LOST = Unavailable("U102", "cannot tell whether 4f2c1aa is on main", "run  git fetch origin main")
YES, NO = Known(value=True), Known(value=False)
FIX, SKIP, SHIP = Known("fix"), Known("x [skip] y"), Known("ship it")
PASSED, FAILED = Known({"test": "success"}), Known({"test": "failed"})
TUESDAY, SUNDAY = "2026-06-16 10:00", "2026-06-14 10:00"

RELEASE = """
    version: 1
    rules:
      - name: a
        when: {merged_into: main, tag: v*}
        unless: {message_contains: "[skip]"}
        requires: test
        deploy: {workflow: x}
    """
TAG = tag_build("v1")

# Only what matters is asked


def resolved(
    text: str, answers: Mapping[Question, Answered], of: BuildContext | None = None, now: str | None = TUESDAY
) -> tuple[Decision, list[Question]]:
    """The decision, and what was asked for it, in order."""
    asked: list[Question] = []

    def reply(question: Question) -> Answered:
        asked.append(question)
        return answers[question]

    moment = read_moment(now, zone("UTC")) if now else None
    return resolve(rules(text), of or build(), moment, reply), asked


def words(decision: Decision) -> str:
    return " ".join(j.verdict.value for j in decision.judgements)


CHEAP_LAST = """
    version: 1
    rules:
      - name: a
        when:
          paths: {only: src/**, since: previous-commit}
          merged_into: main
          author: anna@x
          message_contains: ship
          env: {MODE: live}
          branch: main
        requires: test
        deploy: {workflow: x}
    """
ALL: dict[Question, Answered] = {
    AUTHOR: Known("anna@x"),
    MESSAGE: SHIP,
    MERGED: YES,
    PREVIOUS: Known(("src/a",)),
    JOBS: PASSED,
}
SHARED = """
    version: 1
    never:
      - when: {message_contains: "[freeze]"}
    rules:
      - {name: a, when: {branch: main, message_contains: ship}, requires: test, deploy: {workflow: a}}
      - {name: b, when: {branch: main, message_contains: it}, requires: [test, scan], deploy: {workflow: b}}
      - {name: c, when: {branch: other, author: x}, requires: test, deploy: {workflow: c}}
    """
TIMED = """
    version: 1
    freezes:
      - {name: move, from: 2026-07-01 00:00, until: 2026-07-02 00:00}
    rules:
      - name: a
        when: {branch: main, message_contains: ship}
        during: Mon-Thu 09:00-17:00
        requires: test
        deploy: {workflow: x}
    """
EITHER = """
    version: 1
    rules:
      - {name: a, when: [{branch: main, message_contains: ship}, {branch: main}], deploy: {workflow: x}}
    """
FORK = BuildContext.from_environ(fork_environ())
NO_FORK = EITHER.replace("main", '"**"')
LIVE, DRY = build(MODE="live"), build(MODE="dry")
BOTH = Known({"test": "success", "scan": "success"})


@pytest.mark.parametrize(
    ("text", "of", "now", "answers", "verdicts"),
    [
        (RELEASE, TAG, None, {MERGED: YES, MESSAGE: FIX, JOBS: PASSED}, "fire"),
        (RELEASE, TAG, None, {MERGED: YES, MESSAGE: FIX, JOBS: FAILED}, "held"),
        (RELEASE, TAG, None, {MERGED: NO}, "no"),
        (RELEASE, TAG, None, {MERGED: YES, MESSAGE: SKIP}, "no"),
        (RELEASE, TAG, None, {MERGED: LOST, MESSAGE: SKIP}, "no"),
        (RELEASE, TAG, None, {MERGED: LOST, MESSAGE: FIX, JOBS: PASSED}, "unknown"),
        (RELEASE, TAG, None, {MERGED: LOST, MESSAGE: FIX, JOBS: FAILED}, "held"),
        (RELEASE, TAG, None, {MERGED: YES, MESSAGE: LOST, JOBS: PASSED}, "unknown"),
        (RELEASE, TAG, None, {MERGED: YES, MESSAGE: FIX, JOBS: LOST}, "unknown"),
        (RELEASE, tag_build("x1"), None, {}, "no"),
        (CHEAP_LAST, LIVE, TUESDAY, ALL, "fire"),
        (CHEAP_LAST, LIVE, TUESDAY, {AUTHOR: Known("eve@x")}, "no"),
        (CHEAP_LAST, LIVE, TUESDAY, {AUTHOR: Known("anna@x"), MESSAGE: FIX}, "no"),
        (CHEAP_LAST, LIVE, TUESDAY, {AUTHOR: Known("anna@x"), MESSAGE: SHIP, MERGED: NO}, "no"),
        (CHEAP_LAST, LIVE, TUESDAY, {**{q: a for q, a in ALL.items() if q != JOBS}, PREVIOUS: Known(("x",))}, "no"),
        (CHEAP_LAST, DRY, TUESDAY, {}, "no"),
        (EITHER, None, TUESDAY, {}, "fire"),  # a known alternative makes the others idle
        (NO_FORK, FORK, TUESDAY, {}, "no"),  # no rule here names forks
        # what rules share is asked once; a guard that holds settles every rule
        (SHARED, None, TUESDAY, {MESSAGE: SHIP, JOBS: Known({"test": "success", "scan": "failed"})}, "fire held no"),
        (SHARED, None, TUESDAY, {MESSAGE: Known("ship it [freeze]")}, "no no no"),
        (SHARED, None, TUESDAY, {MESSAGE: LOST, JOBS: BOTH}, "unknown unknown no"),
        (SHARED, build(CIRCLE_BRANCH="x"), TUESDAY, {}, "no no no"),
        # what the clock holds asks git all the same, for a rule that is not meant is not held, and not the API
        (TIMED, None, SUNDAY, {MESSAGE: SHIP}, "held"),
        (TIMED, None, SUNDAY, {MESSAGE: FIX}, "no"),
        (TIMED, None, "2026-07-01 10:00", {MESSAGE: SHIP}, "held"),
        (TIMED, None, TUESDAY, {MESSAGE: SHIP, JOBS: PASSED}, "fire"),
        (TIMED, None, None, {MESSAGE: SHIP, JOBS: FAILED}, "held"),
        (TIMED, None, None, {MESSAGE: SHIP, JOBS: PASSED}, "unknown"),
    ],
)
def test_only_what_matters_is_asked(
    text: str, of: BuildContext | None, now: str | None, answers: dict[Question, Answered], verdicts: str
) -> None:
    """In the order of cost, each once."""
    decision, asked = resolved(text, answers, of, now)
    assert (words(decision), asked) == (verdicts, list(answers))
    assert bool(decision.firing) is ("fire" in verdicts)


ANSWERS = st.fixed_dictionaries(
    {
        AUTHOR: st.sampled_from([Known("anna@x"), Known("eve@x"), LOST]),
        MESSAGE: st.sampled_from([SHIP, Known("ship it [freeze]"), Known("no"), LOST]),
        MERGED: st.sampled_from([YES, NO, LOST]),
        PREVIOUS: st.sampled_from([Known(("src/a",)), Known(()), LOST]),
        JOBS: st.sampled_from([PASSED, FAILED, BOTH, Known({}), LOST]),
    }
)


@settings(deadline=None)
@given(st.sampled_from([CHEAP_LAST, SHARED, TIMED]), ANSWERS, st.sampled_from([TUESDAY, SUNDAY, None]))
def test_lazy_asking_ends_repeats_nothing_and_decides_as_if_all_were_known(
    text: str, answers: dict[Question, Answered], now: str | None
) -> None:
    decision, asked = resolved(text, answers, LIVE, now)
    assert max(Counter(asked).values(), default=0) <= 1
    moment = read_moment(now, zone("UTC")) if now else None
    assert words(decision) == words(decide(rules(text), Facts(LIVE, moment, answers)))


# What is not known


def undecided(answers: dict[Question, Answered]) -> Diagnosed:
    decision, _ = resolved(RELEASE, answers, TAG)
    with pytest.raises(Diagnosed) as caught:
        raise_if_undecided(decision, rules(RELEASE), TAG)
    return caught.value


def test_what_is_not_known_is_told_at_its_place_with_its_cure() -> None:
    error = undecided({MERGED: LOST, MESSAGE: FIX, JOBS: PASSED})
    assert (type(error), error.code) == (FactUnavailable, "undecided")
    assert error.message == "cannot decide what to deploy at 4f2c1aa: required information is unavailable"
    assert error.source == rules(RELEASE).source
    assert [(d.code, d.message, d.hint, d.span.start) for d in error.diagnostics] == [
        ("U102", "cannot tell whether 4f2c1aa is on main", "run  git fetch origin main", Pos(5, 25))
    ]


UNREAD = Unavailable("U103", "cannot read commit 4f2c1aa", "look elsewhere")


@pytest.mark.parametrize(
    ("answers", "kind", "told"),
    [
        ({MERGED: LOST, MESSAGE: UNREAD, JOBS: LOST}, FactUnavailable, [("U102", 5), ("U103", 6), ("U102", 7)]),
        ({MERGED: YES, MESSAGE: FIX, JOBS: Known({"tests": "success"})}, RuleFileInvalid, [("E701", 7)]),
        # what is wrong in the file comes before what is unknown
        ({MERGED: LOST, MESSAGE: FIX, JOBS: Known({})}, RuleFileInvalid, [("E701", 7)]),
    ],
)
def test_every_problem_is_told_once_in_the_order_of_the_file(
    answers: dict[Question, Answered], kind: type, told: list[tuple[str, int]]
) -> None:
    error = undecided(answers)
    assert (type(error), [(d.code, d.span.line) for d in error.diagnostics]) == (kind, told)


def test_a_job_that_is_not_there_may_be_meant_for_another() -> None:
    (found,) = undecided({MERGED: YES, MESSAGE: FIX, JOBS: Known({"tests": "success"})}).diagnostics
    assert (found.message, found.span.start) == ("no job 'test' in this workflow", Pos(7, 15))
    assert found.hint.startswith("did you mean 'tests'?")


@pytest.mark.parametrize("answers", [{MERGED: NO}, {MERGED: LOST, MESSAGE: SKIP}])
def test_what_does_not_matter_is_not_insisted_on(answers: dict[Question, Answered]) -> None:
    raise_if_undecided(resolved(RELEASE, answers, TAG)[0], rules(RELEASE), TAG)


def test_one_unknown_rule_stops_those_that_fire() -> None:
    text = """
        version: 1
        rules:
          - {name: a, when: {branch: main}, deploy: {workflow: a}}
          - {name: b, when: {branch: main, message_contains: x}, deploy: {workflow: b}}
        """
    decision, _ = resolved(text, {MESSAGE: LOST})
    assert (words(decision), decision.firing) == ("fire unknown", ())
    with pytest.raises(FactUnavailable):
        raise_if_undecided(decision, rules(text), build())


# Who is asked


class Live:
    """The facts of a build; `git` notes what the clone was asked."""

    def __init__(
        self, transport: Any = None, of: Mapping[str, str] | None = None, text: str = RELEASE, **options: Any
    ) -> None:
        self.git: list[Question] = []
        chosen = Options(**{"command": "run", **options})
        self.services = FakeServices(
            transport or ScriptedTransport(),
            environ=environ() if of is None else of,
            options=chosen,
            has_token=transport is not None,
            answers=self._answer,
        )
        self.answer = LiveFacts(chosen, self.services, rules(text)).answer

    def _answer(self, question: Question) -> Answered:
        self.git.append(question)
        return Known("from git")

    def unavailable(self, question: Question = JOBS) -> Unavailable:
        found = self.answer(question)
        assert isinstance(found, Unavailable), found
        assert found.cure
        return found


@pytest.mark.parametrize("question", [AUTHOR, MESSAGE, MERGED, PREVIOUS, NAMED])
def test_git_is_asked_about_commits_and_the_api_is_not(question: Question) -> None:
    transport = ScriptedTransport()
    live = Live(transport)
    assert live.answer(question) == Known("from git")
    assert (live.git, transport.sent) == ([question], [])


@pytest.mark.parametrize(
    ("question", "branch", "is_known"),
    [
        (ChangedSince(Base.MERGE_BASE), "main", False),
        (ChangedSince(ref="main"), "main", False),
        (ChangedSince(ref="refs/remotes/origin/main"), "main", False),
        (ChangedSince(Base.MERGE_BASE), "feature/x", True),
        (ChangedSince(ref="main"), "feature/x", True),
        (ChangedSince(ref="deployed"), "deployed", True),
        (PREVIOUS, "main", True),
    ],
)
def test_the_default_branch_is_not_compared_with_itself(question: ChangedSince, branch: str, is_known: bool) -> None:  # noqa: FBT001 - a column
    """Where neither the rule file nor its patterns tell which branch that is, the build does."""
    live = Live(of=environ(CIRCLE_BRANCH=branch))
    if is_known:
        assert live.answer(question) == Known("from git")
        return
    assert live.unavailable(question) == Unavailable(
        "U101",
        "cannot tell which files changed: main is the default branch, and would be compared with itself",
        "write since: previous-commit, since: {ref: NAME} or since: last-deploy",
    )
    assert live.git == []


def test_the_clone_is_told_every_ref_that_the_rules_ask_about() -> None:
    text = """
        version: 1
        never: [{when: {tag: v*, merged_into: old}}]
        rules:
          - name: a
            when: {tag: v*, merged_into: [main, next], paths: {only: a, since: {ref: origin/live}}}
            unless: {paths: {only: b, since: {ref: refs/tags/done}}}
            deploy: {workflow: x}
        """
    live = Live(text=text)
    live.answer(MERGED)
    assert live.services.refs == frozenset({"old", "main", "next", "live", "done"})


@pytest.mark.parametrize("question", [PREVIOUS, LAST, NAMED])
@pytest.mark.parametrize("transport", [None, ScriptedTransport()])
def test_changed_files_that_were_stated_replace_what_git_would_say(question: Question, transport: Any) -> None:
    live = Live(transport, changed=("a", "b"))
    assert live.answer(question) == Known(("a", "b"))
    assert live.answer(MESSAGE) == Known("from git")
    assert live.git == [MESSAGE]


@pytest.mark.parametrize("options", [{"command": "plan"}, {"sandbox": True}])
def test_where_circleci_cannot_be_asked_git_says_what_it_knows_of_the_last_deploy(options: dict[str, Any]) -> None:
    live = Live(ScriptedTransport(), **options)
    assert (live.answer(LAST), live.git) == (Known("from git"), [LAST])


def test_in_the_sandbox_required_jobs_have_succeeded() -> None:
    assert Live(sandbox=True, text=SHARED).answer(JOBS) == BOTH


# Jobs


def job(
    name: str, status: str = "success", started: str | None = "2026-06-16T08:00:00Z", **more: Any
) -> dict[str, Any]:
    return {"name": name, "status": status, "type": "build", "started_at": started, "job_number": 1, **more}


def page(*jobs: Any, following: str | None = None) -> Response:
    return answer(200, {"items": list(jobs), "next_page_token": following})


def jobs_of(*events: Event) -> Answered:
    transport = ScriptedTransport(events)
    live = Live(transport)
    found = live.answer(JOBS)
    assert (live.git, set(transport.paths)) == ([], {f"GET /api/v2/workflow/{WORKFLOW}/job"})
    return found


@pytest.mark.parametrize(
    ("events", "jobs"),
    [
        ([page()], {}),
        ([page(job("test"), job("scan", "failed"))], {"test": "success", "scan": "failed"}),
        ([page(job("a"), following="p2"), page(job("b", "failed"))], {"a": "success", "b": "failed"}),
        ([refused_connection(), answer(503), lost(), page(job("a"))], {"a": "success"}),
    ],
)
def test_circleci_is_asked_about_jobs(events: list[Event], jobs: dict[str, str]) -> None:
    assert jobs_of(*events) == Known(jobs)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (job("test", "failed", "2026-06-16T08:00:00Z"), job("test", "success", "2026-06-16T09:00:00Z")),
        (job("test", "success", "2026-06-16T08:00:00Z"), job("test", "failed", "2026-06-16T09:00:00Z")),
        # one that has not started yet is newer than all that have
        (job("test", "success", "2026-06-16T08:00:00Z"), job("test", "blocked", None)),
        (job("test", "success"), {"name": "test", "status": "not_run"}),
        # started in the same second: the higher number
        (job("test", "success", job_number=7), job("test", "failed", job_number=8)),
    ],
)
def test_the_newest_job_of_a_name_counts_wherever_it_is_listed(older: Any, newer: Any) -> None:
    for one, two, three in permutations((older, newer, job("other"))):
        found = Known({"test": newer["status"], "other": "success"})
        assert jobs_of(page(one, two, three)) == found
        assert jobs_of(page(one, following="p2"), page(two, three)) == found


@pytest.mark.parametrize(
    "event",
    [
        *(answer(404, {"message": "Workflow not found"}), answer(401), answer(200, b"<html>"), answer(200, {}), lost()),
        *(page(job("test"), item) for item in (None, 7, {}, {"name": "x"}, {"name": 1, "status": "success"})),
        page(job("a"), following="again"),  # without end
    ],
)
def test_jobs_that_are_not_all_listed_are_not_known(event: Event) -> None:
    """The one that is missing could be the newer one of its name."""
    for before in ((), (page(job("a"), following="p2"),)):
        found = jobs_of(*before, *[event] * 60)
        assert isinstance(found, Unavailable)
        what = f"CircleCI did not list the jobs of workflow {WORKFLOW}"
        assert (found.code, found.reason) == ("U105", f"cannot tell which jobs have succeeded: {what}")
        assert "token" in found.cure


@pytest.mark.parametrize(
    ("transport", "of", "options", "words"),
    [
        (ScriptedTransport(), environ(CIRCLE_WORKFLOW_ID=None), {}, "CIRCLE_WORKFLOW_ID is not set"),
        (None, environ(), {}, "without asking CircleCI"),
        (ScriptedTransport(), environ(), {"command": "plan"}, "without asking CircleCI"),
    ],
)
def test_jobs_that_nobody_can_be_asked_about(
    transport: Any, of: Mapping[str, str], options: dict[str, Any], words: str
) -> None:
    found = Live(transport, of, **options).unavailable()
    assert found.code == "U105"
    assert words in found.reason


# The last deploy

LIST = "GET /shop/pipeline"
SHAS = [f"{n:040x}" for n in range(1, 9)]
NO_SLUG = {"CIRCLE_BUILD_URL": None, "CIRCLE_REPOSITORY_URL": None}


def run(n: int, **changes: Any) -> dict[str, Any]:
    """The run number n is of the commit n."""
    told = {"by": "api", "ref": {"branch": "main"}, "state": "created", "sha": SHAS[n], **changes}
    vcs = {"vcs": {"revision": told["sha"], **told["ref"]}} if told["sha"] else {}
    by = {"trigger": {"type": told["by"]}} if told["by"] else {}
    return {"id": f"run-{n}", "number": n, "state": told["state"], **by, **vcs}


def ended(status: str, name: str = "deploy") -> Response:
    return answer(200, {"items": [{"id": "w", "name": name, "status": status}]})


WELL, BADLY = ended("success"), ended("failed")


def reran(*statuses: str) -> Response:
    """One workflow, run again each hour."""
    items = [
        {"id": f"w{n}", "name": "deploy", "status": status, "created_at": f"2026-06-16T0{n}:00:00Z"}
        for n, status in enumerate(statuses)
    ]
    return answer(200, {"items": items})


def base(routes: Any, of: Mapping[str, str] | None = None, workflow: str | None = "deploy") -> object:
    """The commit that git compares with, else why there is none."""
    question = replace(LAST, workflow=workflow)
    live = Live(routes if isinstance(routes, RoutedTransport) else RoutedTransport(routes), of)
    found = live.answer(question)
    if isinstance(found, Unavailable):
        assert (found.code, live.git) == ("U101", [])
        assert found.cure
        return found.reason.removeprefix("cannot tell which files changed since the last deploy: ")
    (asked,) = live.git
    assert isinstance(asked, ChangedSince)
    assert asked == replace(question, ref=asked.ref)
    return asked.ref


def listed(*runs: dict[str, Any], **ends: Event) -> dict[str, Any]:
    """Runs that are listed, newest first; `run_3` is how the workflows of run number 3 are."""
    found = {f"GET /{name.replace('_', '-')}/workflow": event for name, event in ends.items()}
    return {LIST: answer(200, {"items": list(runs)}), **found}


FORKS = {"ref": {"branch": "pull/7/head"}}
NONE = ""  # no deploy is known: every file counts as changed


@pytest.mark.parametrize(
    ("routes", "of", "found"),
    [
        # what has not succeeded has not deployed; a rerun counts, and another workflow is another deploy
        *(
            (listed(run(4), run(3), run_4=ends, run_3=WELL), None, SHAS[3])
            for ends in (
                *map(ended, ("running", "failed", "canceled", "on_hold", "error", "no such word")),
                ended("success", "x"),
                reran("success", "failed"),
            )
        ),
        (listed(run(4), run_4=reran("failed", "success")), None, SHAS[4]),
        # runs that are no deploys of this branch: their workflows are not looked at
        *(
            (listed(run(4, **changes), run(3), run_3=WELL), None, SHAS[3])
            for changes in (
                *({"by": "webhook"}, {"by": "scheduled_pipeline"}, {"state": "errored"}),
                *({"ref": {"branch": "dev"}}, {"ref": {"tag": "v1"}}),
            )
        ),
        (listed(run(4, sha=SHA), run(3, sha=OTHER_SHA), run_4=WELL), None, SHA),  # this build's own commit
        (listed(run(4, ref={}), run_4=WELL), None, SHAS[4]),  # of a branch only that branch's runs are listed
        # a tag compares with whatever tag came before it
        (listed(run(5), run(4, ref={"tag": "v1.9"}), run(3, ref={"tag": "v1.8"}), run_4=WELL), "v2", SHAS[4]),
        # a fork compares with what its pull request deployed, which the API calls by another name
        (listed(run(4, **FORKS), run_4=WELL), "fork", SHAS[4]),
        # no answer
        (listed(), None, NONE),
        (listed(run(4), run_4=BADLY), None, NONE),
        (listed(run(4, sha=None), run_4=WELL), None, "run 4 does not tell its commit"),
        (listed(run(4, by=None), run(3), run_4=WELL, run_3=WELL), None, "run 4 does not tell how it was triggered"),
        # it may be the last deploy: an older one would show changes that are deployed, or hide some that are not
        *(
            (listed(run(4), run(3), run_4=trouble, run_3=WELL), None, "run 4 could not be read")
            for trouble in (answer(404), answer(500), lost())
        ),
    ],
)
def test_the_last_deploy(routes: dict[str, Any], of: str | None, found: object) -> None:
    """The commit of the newest run, by a trigger of this branch or of any tag, whose workflow succeeded."""
    build_of = {None: environ(), "fork": fork_environ(), "v2": tag_environ("v2")}[of]
    branch = {None: {"branch": "main"}, "fork": {"branch": "pull/7/head"}, "v2": {}}[of]
    transport = RoutedTransport(routes)
    assert base(transport, build_of) == found
    assert dict(transport.sent[0].query) == branch


def test_a_rule_without_a_workflow() -> None:
    assert base({}, workflow=None) == "the rule names no workflow of this project"


@pytest.mark.parametrize("trouble", [answer(404), answer(500), lost(), answer(200, b"<html>")])
def test_a_list_that_cannot_be_read(trouble: Event) -> None:
    assert str(base({LIST: trouble})).startswith("the runs of gh/acme/shop could not be read (")


@pytest.mark.parametrize("size", [20, 40])
def test_a_hundred_runs_are_enough(size: int) -> None:
    """Of those that a trigger made: a busy branch has any number of pushes in between."""
    made = [*[run(1)] * 100, *[run(4)] * 40]
    items = [each for n, each in enumerate(made) for each in ([run(2, by="webhook"), each] if n < 70 else [each])]
    pages: list[Event] = [
        answer(200, {"items": items[at : at + size], "next_page_token": str(at)}) for at in range(0, len(items), size)
    ]
    transport = RoutedTransport({LIST: pages, "GET /run-1/workflow": BADLY, "GET /run-4/workflow": WELL})
    assert base(transport) == NONE
    assert transport.count("/shop/pipeline") == -(-170 // size)


@pytest.mark.parametrize(
    ("pipeline", "told", "found"),
    [
        (PIPELINE, answer(200, {"id": PIPELINE, "state": "created", "project_slug": "circleci/9Yy/44n"}), SHAS[4]),
        (PIPELINE, answer(404), "CircleCI did not tell which project this is"),
        (None, answer(404), "CircleCI did not tell which project this is"),
    ],
)
def test_the_project_is_asked_for_where_no_variable_tells_it(pipeline: str | None, told: Event, found: str) -> None:
    routes = {f"GET /{PIPELINE}": told, "GET /44n/pipeline": answer(200, {"items": [run(4)]}), **listed(run_4=WELL)}
    assert base(routes, environ(CIRCLE_PIPELINE_ID=pipeline, **NO_SLUG)) == found


# Stated facts

FACTS = """
branch: main
changed: [src/a.py, "b c"]
merged_into: [main]
author: anna@acme.dev
message: "ship it"
jobs: {test: success, scan: failed}
"""


def stated(text: str, question: Question) -> Answered:
    return stated_facts(read_given(SourceFile("given.yml", text)))(question)


@pytest.mark.parametrize(
    ("question", "value", "key"),
    [
        (PREVIOUS, ("src/a.py", "b c"), "changed:"),
        (LAST, ("src/a.py", "b c"), "changed:"),
        (MERGED, True, "merged_into: [main]"),
        (IsMergedInto("live"), False, "merged_into: [live]"),
        (AUTHOR, "anna@acme.dev", "author:"),
        (MESSAGE, "ship it", "message:"),
        (JOBS, {"test": "success", "scan": "failed"}, "jobs:"),
    ],
)
def test_a_stated_fact(question: Question, value: object, key: str) -> None:
    assert stated(FACTS, question) == Known(value)
    missing = stated("branch: main\n", question)
    assert isinstance(missing, Unavailable)
    assert (missing.code, missing.cure.startswith(f"add {key}")) == ("C101", True)


@pytest.mark.parametrize(
    ("text", "question", "value"),
    [
        ("changed: []", PREVIOUS, ()),
        ("merged_into: []", MERGED, False),
        ('message: ""', MESSAGE, ""),
        ("jobs: {}", JOBS, {}),
    ],
)
def test_nothing_is_a_fact_too_where_it_is_stated(text: str, question: Question, value: object) -> None:
    assert stated(f"branch: main\n{text}\n", question) == Known(value)
