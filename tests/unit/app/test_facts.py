"""Learning what a decision needs: from whom, no more than it needs, and nothing decided by what is not known."""

from collections import Counter
from itertools import permutations
from typing import Any

import pytest
from builds import WORKFLOW, build, environ, rules, tag_build
from fakes import FakeServices, RoutedTransport, ScriptedTransport, answer
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.app.facts import live_facts, raise_if_undecided, resolve, stated_facts
from deploystep.app.options import Options
from deploystep.circleci.http import Response
from deploystep.core import facts
from deploystep.core.build import BuildContext
from deploystep.core.decide import Decision, decide
from deploystep.core.errors import FactUnavailable, RuleFileInvalid
from deploystep.core.facts import (
    Answered,
    AuthorOf,
    Base,
    ChangedSince,
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

MERGED, MESSAGE, AUTHOR, JOBS = IsMergedInto("main"), MessageOf(), AuthorOf(), JobsOf()
LAST, NAMED = ChangedSince(Base.LAST_DEPLOY, workflow="deploy"), ChangedSince()
PREVIOUS = ChangedSince(Base.PREVIOUS_COMMIT)
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
    text: str, answers: dict[Question, Answered], of: BuildContext | None = None, now: str | None = TUESDAY
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
        when: {paths: {only: src/**, since: previous-commit}, merged_into: main, author: anna@x,
               message_contains: ship, env: {MODE: live}, branch: main}
        requires: test
        deploy: {workflow: x}
    """
ALL: dict[Question, Answered] = {AUTHOR: Known("anna@x"), MESSAGE: SHIP, MERGED: YES, PREVIOUS: Known(("src/a",))}
SHARED = """
    version: 1
    never: [{when: {message_contains: "[freeze]"}}]
    rules:
      - {name: a, when: {branch: main, message_contains: ship}, requires: test, deploy: {workflow: a}}
      - {name: b, when: {branch: main, message_contains: it}, requires: [test, scan], deploy: {workflow: b}}
      - {name: c, when: {branch: other, author: x}, requires: test, deploy: {workflow: c}}
    """
TIMED = """
    version: 1
    freezes: [{name: move, from: 2026-07-01 00:00, until: 2026-07-02 00:00}]
    rules:
      - name: a
        when: {branch: main, message_contains: ship}
        during: Mon-Thu 09:00-17:00
        requires: test
        deploy: {workflow: x}
    """
LIVE, DRY = build(MODE="live"), build(MODE="dry")
BOTH = Known({"test": "success", "scan": "success"})


@pytest.mark.parametrize(
    ("text", "of", "now", "answers", "verdicts"),
    [
        (RELEASE, TAG, None, {MERGED: YES, MESSAGE: FIX, JOBS: PASSED}, "fire"),
        (RELEASE, TAG, None, {MERGED: NO}, "no"),
        (RELEASE, TAG, None, {MERGED: LOST, MESSAGE: SKIP}, "no"),
        (RELEASE, TAG, None, {MERGED: LOST, MESSAGE: FIX, JOBS: PASSED}, "unknown"),
        (RELEASE, TAG, None, {MERGED: LOST, MESSAGE: FIX, JOBS: FAILED}, "held"),
        (RELEASE, tag_build("x1"), None, {}, "no"),
        (CHEAP_LAST, LIVE, TUESDAY, {**ALL, JOBS: PASSED}, "fire"),
        (CHEAP_LAST, LIVE, TUESDAY, {AUTHOR: Known("eve@x")}, "no"),
        (CHEAP_LAST, LIVE, TUESDAY, {**ALL, PREVIOUS: Known(("x",))}, "no"),
        (CHEAP_LAST, DRY, TUESDAY, {}, "no"),
        # what rules share is asked once; a guard that holds settles every rule
        (SHARED, None, TUESDAY, {MESSAGE: SHIP, JOBS: Known({"test": "success", "scan": "failed"})}, "fire held no"),
        (SHARED, None, TUESDAY, {MESSAGE: Known("ship it [freeze]")}, "no no no"),
        (SHARED, None, TUESDAY, {MESSAGE: LOST, JOBS: BOTH}, "unknown unknown no"),
        # what the clock holds asks git all the same, for a rule that is not meant is not held, and not the API
        (TIMED, None, SUNDAY, {MESSAGE: SHIP}, "held"),
        (TIMED, None, SUNDAY, {MESSAGE: FIX}, "no"),
        (TIMED, None, "2026-07-01 10:00", {MESSAGE: SHIP}, "held"),
        (TIMED, None, TUESDAY, {MESSAGE: SHIP, JOBS: PASSED}, "fire"),
        (TIMED, None, None, {MESSAGE: SHIP, JOBS: FAILED}, "held"),
        (TIMED, None, None, {MESSAGE: SHIP, JOBS: PASSED}, "unknown"),
    ],
)
def test_only_what_matters_is_asked(text: str, of: Any, now: str | None, answers: Any, verdicts: str) -> None:
    """In the order of cost, each once."""
    decision, asked = resolved(text, answers, of, now)
    assert (words(decision), asked) == (verdicts, list(answers))
    assert bool(decision.firing) is ("fire" in verdicts)
    if "unknown" not in verdicts:  # what does not matter is not insisted on
        raise_if_undecided(decision, rules(text), of or build())


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
def test_lazy_asking_ends_repeats_nothing_and_decides_as_if_all_were_known(text: str, answers: Any, now: Any) -> None:
    decision, asked = resolved(text, answers, LIVE, now)
    assert max(Counter(asked).values(), default=0) <= 1
    moment = read_moment(now, zone("UTC")) if now else None
    assert words(decision) == words(decide(rules(text), facts.Facts(LIVE, moment, answers)))


# What is not known

UNREAD = Unavailable("U103", "cannot read commit 4f2c1aa", "look elsewhere")
MISSED = ("E701", "no job 'test' in this workflow", Pos(7, 15))


@pytest.mark.parametrize(("answers", "code", "told"), [
    ({MERGED: LOST, MESSAGE: FIX, JOBS: PASSED}, "undecided", [("U102", LOST.reason, Pos(5, 25))]),
    (
        {MERGED: LOST, MESSAGE: UNREAD, JOBS: LOST}, "undecided",
        [("U102", LOST.reason, Pos(5, 25)), ("U103", UNREAD.reason, Pos(6, 14)), ("U102", LOST.reason, Pos(7, 15))],
    ),
    ({MERGED: YES, MESSAGE: FIX, JOBS: Known({"tests": "success"})}, "rules-invalid", [MISSED]),
    # what is wrong in the file comes before what is unknown
    ({MERGED: LOST, MESSAGE: FIX, JOBS: Known({})}, "rules-invalid", [MISSED]),
])  # fmt: skip
def test_every_problem_is_told_once_in_the_order_of_the_file(answers: Any, code: str, told: Any) -> None:
    decision, _ = resolved(RELEASE, answers, TAG)
    with pytest.raises(FactUnavailable if code == "undecided" else RuleFileInvalid) as caught:
        raise_if_undecided(decision, rules(RELEASE), TAG)
    error = caught.value
    assert (error.code, error.source) == (code, rules(RELEASE).source)
    assert [(d.code, d.message, d.span.start) for d in error.diagnostics] == told
    assert {d.hint for d in error.diagnostics if d.code == "U102"} <= {LOST.cure}
    assert code != "undecided" or "what to deploy at 4f2c1aa: required information is" in error.message


# Who is asked


class Live:
    """The facts of a build; `git` notes what the clone was asked."""

    def __init__(
        self, transport: Any = None, of: dict[str, str] | None = None, text: str = RELEASE, **options: Any
    ) -> None:
        self.git: list[Question] = []
        chosen, has_token = Options(**{"command": "run", **options}), transport is not None
        asks = transport or ScriptedTransport()
        self.services = FakeServices(asks, of or environ(), "", chosen, has_token, self._answer)
        self.answer = live_facts(chosen, self.services, rules(text))

    def _answer(self, question: Question) -> Answered:
        self.git.append(question)
        return Known("from git")


def page(*jobs: Any, following: str | None = None) -> Response:
    return answer(200, {"items": list(jobs), "next_page_token": following})


BRANCHING, ON_MAIN, ON_DEPLOYED = ChangedSince(Base.MERGE_BASE), ChangedSince(ref="main"), ChangedSince(ref="deployed")
#: What is compared with, and another branch than that, or one that is not the default branch.
BASES = ((BRANCHING, "feature/x"), (ON_MAIN, "feature/x"), (ON_DEPLOYED, "deployed"))


@pytest.mark.parametrize(
    ("question", "how", "found", "git"),
    [
        # git is asked about commits, and the API is not
        *((question, {}, "from git", [question]) for question in (AUTHOR, MESSAGE, MERGED, PREVIOUS, NAMED)),
        *((question, {"of": environ(CIRCLE_BRANCH=branch)}, "from git", [question]) for question, branch in BASES),
        # changed files that were stated replace what git would say
        *((question, {"changed": ("a", "b")}, ("a", "b"), []) for question in (PREVIOUS, LAST, NAMED)),
        (MESSAGE, {"changed": ("a", "b")}, "from git", [MESSAGE]),
        # where CircleCI cannot be asked git says what it knows of the last deploy
        *((LAST, options, "from git", [LAST]) for options in ({"command": "plan"}, {"sandbox": True})),
        # else git compares with what that says; empty where no deploy is known: every file counts as changed
        (LAST, {"transport": RoutedTransport({"GET /shop/pipeline": page()})}, "from git", [replace(LAST, ref="")]),
        # in the sandbox required jobs have succeeded
        (JOBS, {"sandbox": True, "text": SHARED}, {"test": "success", "scan": "success"}, []),
    ],
)
def test_who_answers(question: Question, how: Any, found: object, git: list[Question]) -> None:
    live = Live(**{"transport": ScriptedTransport(), **how})
    assert (live.answer(question), live.git) == (Known(found), git)


@pytest.mark.parametrize(("question", "how", "code", "words"), [
    # the default branch is not compared with itself; where the rule file does not tell it, the build does
    *((question, {}, "U101", "main is the default branch, and would be compared with itself")
      for question in (BRANCHING, ChangedSince(ref="refs/remotes/origin/main"))),
    (LAST, {"transport": RoutedTransport({"GET /shop/pipeline": answer(404)})}, "U101", "could not be read"),
    (JOBS, {"of": environ(CIRCLE_WORKFLOW_ID=None)}, "U105", "CIRCLE_WORKFLOW_ID is not set"),
    *((JOBS, how, "U105", "without asking CircleCI") for how in ({"transport": None}, {"command": "plan"})),
])  # fmt: skip
def test_what_nobody_can_answer(question: Question, how: Any, code: str, words: str) -> None:
    live = Live(**{"transport": ScriptedTransport(), **how})
    found = live.answer(question)
    assert isinstance(found, Unavailable), found
    assert (found.code, words in found.reason, bool(found.cure), live.git) == (code, True, True, [])


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


# Jobs


def job(name: str, status: str = "success", hour: int | None = 8, **more: Any) -> dict[str, Any]:
    started = None if hour is None else f"2026-06-16T{hour:02d}:00:00Z"
    return {"name": name, "status": status, "type": "build", "started_at": started, "job_number": 1, **more}


def jobs_of(*events: Response) -> Answered:
    transport = ScriptedTransport(events)
    live = Live(transport)
    found = live.answer(JOBS)
    assert (live.git, set(transport.paths)) == ([], {f"GET /api/v2/workflow/{WORKFLOW}/job"})
    return found


def test_circleci_is_asked_about_jobs() -> None:
    assert jobs_of(page()) == Known({})
    assert jobs_of(page(job("a"), following="p2"), page(job("b", "failed"))) == Known({"a": "success", "b": "failed"})
    found = jobs_of(page(job("a"), following="p2"), answer(404, {"message": "Not found"}))
    assert isinstance(found, Unavailable), "the one that is missing could be the newer one of its name"
    what = f"CircleCI did not list the jobs of workflow {WORKFLOW}"
    assert (found.code, found.reason) == ("U105", f"cannot tell which jobs have succeeded: {what}")
    assert "token" in found.cure


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (job("test", "failed", 8), job("test", "success", 9)),
        (job("test", "success", 8), job("test", "failed", 9)),
        # one that has not started yet is newer than all that have
        (job("test", "success", 8), job("test", "blocked", None)),
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


# Stated facts

FACTS = """{branch: main, changed: [src/a.py, "b c"], merged_into: [main], author: anna@acme.dev, message: ship it,
jobs: {test: success, scan: failed}}"""


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
    told, nothing = (stated_facts(read_given(SourceFile("given.yml", text))) for text in (FACTS, "branch: main"))
    missing = nothing(question)
    assert isinstance(missing, Unavailable)
    assert (told(question), missing.code, missing.cure.startswith(f"add {key}")) == (Known(value), "C101", True)
