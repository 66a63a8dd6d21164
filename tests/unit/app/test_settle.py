"""Learning what a decision needs: no more than it needs, and nothing decided by what could not be learned."""

from __future__ import annotations

from collections import Counter

import pytest
from builds import build, environ, fork_environ, rules, tag_build
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.app.settle import raise_if_undecided, settle
from deploystep.core.build import BuildContext
from deploystep.core.decide import Decision, Verdict, decide
from deploystep.core.errors import FactUnavailable, RuleFileInvalid
from deploystep.core.exits import ExitCode
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
from deploystep.core.source import Pos
from deploystep.core.times import read_moment, zone

MERGED, MESSAGE, AUTHOR, JOBS = IsMergedInto("main"), MessageOf(), AuthorOf(), JobsOf()
CHANGED = ChangedSince(Base.PREVIOUS_COMMIT)
LOST = Unavailable("U102", "cannot tell whether 4f2c1aa is on main", "run  git fetch origin main")
YES, NO = Known(value=True), Known(value=False)
FIX, SKIP = Known("fix"), Known("x [skip] y")
PASSED, FAILED = Known({"test": "success"}), Known({"test": "failed"})

RELEASE = rules(
    """
    version: 1
    rules:
      - name: a
        when: {merged_into: main, tag: v*}
        unless: {message_contains: "[skip]"}
        requires: test
        deploy: {workflow: x}
    """
)
TAG = tag_build("v1")
TUESDAY, SUNDAY = "2026-06-16 10:00", "2026-06-14 10:00"


def settled(
    text: str, answers: dict[Question, Answered], of: BuildContext | None = None, now: str | None = TUESDAY
) -> tuple[list[str], list[Question]]:
    """What becomes of each rule, and what was asked for it, in order."""
    read, asked = rules(text), []

    def learn(question: Question) -> Answered:
        asked.append(question)
        return answers[question]

    moment = read_moment(now, zone("UTC")) if now else None
    decision = settle(read, Facts(of or build(), moment), learn)
    return [j.verdict.value for j in decision.judgements], asked


def release(answers: dict[Question, Answered], of: BuildContext = TAG) -> tuple[Decision, list[Question]]:
    asked: list[Question] = []

    def learn(question: Question) -> Answered:
        asked.append(question)
        return answers[question]

    return settle(RELEASE, Facts(of), learn), asked


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ({MERGED: YES, MESSAGE: FIX, JOBS: PASSED}, Verdict.FIRE),
        ({MERGED: YES, MESSAGE: FIX, JOBS: FAILED}, Verdict.HELD),
        ({MERGED: NO}, Verdict.NO),
        ({MERGED: YES, MESSAGE: SKIP}, Verdict.NO),
        ({MERGED: LOST, MESSAGE: SKIP}, Verdict.NO),
        ({MERGED: LOST, MESSAGE: FIX, JOBS: PASSED}, Verdict.UNKNOWN),
        ({MERGED: LOST, MESSAGE: FIX, JOBS: FAILED}, Verdict.HELD),
        ({MERGED: YES, MESSAGE: LOST, JOBS: PASSED}, Verdict.UNKNOWN),
        ({MERGED: YES, MESSAGE: FIX, JOBS: LOST}, Verdict.UNKNOWN),
    ],
)
def test_only_what_matters_is_asked(answers: dict[Question, Answered], verdict: Verdict) -> None:
    """In the order of cost, each once: of merges, then of the reason to stop, then of the jobs."""
    decision, asked = release(answers)
    assert [j.verdict for j in decision.judgements] == [verdict]
    assert asked == list(answers)
    assert (decision.firing != ()) is (verdict is Verdict.FIRE)


def test_nothing_is_asked_where_the_tag_settles_it() -> None:
    decision, asked = release({}, tag_build("x1"))
    assert (decision.judgements[0].verdict, asked) == (Verdict.NO, [])


DEAR_FIRST = """
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
    MESSAGE: Known("ship it"),
    MERGED: YES,
    CHANGED: Known(("src/a",)),
    JOBS: PASSED,
}


def test_the_cheap_is_asked_first_whatever_is_written_first() -> None:
    verdicts, asked = settled(DEAR_FIRST, ALL, build(MODE="live"))
    assert (verdicts, asked) == (["fire"], [AUTHOR, MESSAGE, MERGED, CHANGED, JOBS])


@pytest.mark.parametrize(
    ("settling", "answer"),
    [(AUTHOR, Known("eve@x")), (MESSAGE, Known("no")), (MERGED, NO), (CHANGED, Known(("README",)))],
)
def test_the_first_no_ends_the_asking(settling: Question, answer: Answered) -> None:
    verdicts, asked = settled(DEAR_FIRST, {**ALL, settling: answer}, build(MODE="live"))
    assert verdicts == ["no"]
    assert asked == list(ALL)[: list(ALL).index(settling) + 1]


def test_the_environment_alone_settles_it_without_a_question() -> None:
    assert settled(DEAR_FIRST, {}, build(MODE="dry")) == (["no"], [])


def test_a_known_alternative_makes_the_others_idle() -> None:
    text = """
        version: 1
        rules:
          - name: a
            when: [{branch: main, message_contains: ship}, {branch: main}]
            deploy: {workflow: x}
        """
    assert settled(text, {}) == (["fire"], [])


def test_a_fork_that_is_not_named_asks_nothing() -> None:
    fork = BuildContext.from_environ(fork_environ())
    text = """
        version: 1
        rules: [{name: a, when: {branch: "**", message_contains: x}, requires: test, deploy: {workflow: x}}]
        """
    assert settled(text, {}, fork) == (["no"], [])


SHARED = """
    version: 1
    never:
      - when: {message_contains: "[freeze]"}
    rules:
      - {name: a, when: {branch: main, message_contains: ship}, requires: test, deploy: {workflow: a}}
      - {name: b, when: {branch: main, message_contains: it}, requires: [test, scan], deploy: {workflow: b}}
      - {name: c, when: {branch: other, author: x}, requires: test, deploy: {workflow: c}}
    """


def test_what_rules_share_is_asked_once() -> None:
    jobs = Known({"test": "success", "scan": "failed"})
    verdicts, asked = settled(SHARED, {MESSAGE: Known("ship it"), JOBS: jobs})
    assert (verdicts, asked) == (["fire", "held", "no"], [MESSAGE, JOBS])


def test_a_guard_that_holds_settles_every_rule() -> None:
    assert settled(SHARED, {MESSAGE: Known("ship it [freeze]")}) == (["no", "no", "no"], [MESSAGE])


def test_a_guard_that_is_unknown_leaves_open_only_what_could_fire() -> None:
    verdicts, asked = settled(SHARED, {MESSAGE: LOST, JOBS: Known({"test": "success", "scan": "success"})})
    assert verdicts == ["unknown", "unknown", "no"]
    assert asked == [MESSAGE, JOBS]


def test_a_guard_is_not_asked_about_where_no_rule_is_meant() -> None:
    assert settled(SHARED, {}, build(CIRCLE_BRANCH="x")) == (["no", "no", "no"], [])


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


@pytest.mark.parametrize("now", [SUNDAY, "2026-07-01 10:00"])
def test_what_the_clock_holds_does_not_ask_the_api(now: str) -> None:
    """Git is asked all the same: a rule that is not meant is not held."""
    assert settled(TIMED, {MESSAGE: Known("ship it")}, now=now) == (["held"], [MESSAGE])
    assert settled(TIMED, {MESSAGE: Known("fix")}, now=now) == (["no"], [MESSAGE])


def test_inside_of_its_hours_a_rule_asks_the_api() -> None:
    assert settled(TIMED, {MESSAGE: Known("ship it"), JOBS: PASSED}) == (["fire"], [MESSAGE, JOBS])


def test_without_the_time_a_failed_job_still_holds() -> None:
    assert settled(TIMED, {MESSAGE: Known("ship it"), JOBS: FAILED}, now=None) == (["held"], [MESSAGE, JOBS])
    assert settled(TIMED, {MESSAGE: Known("ship it"), JOBS: PASSED}, now=None)[0] == ["unknown"]


ANSWERS = st.fixed_dictionaries(
    {
        AUTHOR: st.sampled_from([Known("anna@x"), Known("eve@x"), LOST]),
        MESSAGE: st.sampled_from([Known("ship it"), Known("ship it [freeze]"), Known("no"), LOST]),
        MERGED: st.sampled_from([YES, NO, LOST]),
        CHANGED: st.sampled_from([Known(("src/a",)), Known(()), LOST]),
        JOBS: st.sampled_from([PASSED, FAILED, Known({"test": "success", "scan": "success"}), Known({}), LOST]),
    }
)


@settings(deadline=None)
@given(st.sampled_from([DEAR_FIRST, SHARED, TIMED]), ANSWERS, st.sampled_from([TUESDAY, SUNDAY, None]))
def test_lazy_asking_ends_repeats_nothing_and_decides_as_if_all_were_known(
    text: str, answers: dict[Question, Answered], now: str | None
) -> None:
    verdicts, asked = settled(text, answers, build(MODE="live"), now)
    assert max(Counter(asked).values(), default=0) <= 1
    moment = read_moment(now, zone("UTC")) if now else None
    eager = decide(rules(text), Facts(build(MODE="live"), moment, answers))
    assert verdicts == [j.verdict.value for j in eager.judgements]


# what could not be learned


def test_what_could_not_be_learned_is_told_at_its_place_with_its_cure() -> None:
    decision, _ = release({MERGED: LOST, MESSAGE: FIX, JOBS: PASSED})
    with pytest.raises(FactUnavailable) as caught:
        raise_if_undecided(decision, RELEASE, TAG)
    assert (caught.value.exit, caught.value.code) == (ExitCode.UNDECIDED, "undecided")
    assert caught.value.message == "what to deploy at 4f2c1aa hangs on a fact that could not be learned"
    assert caught.value.source is RELEASE.source
    assert [(d.code, d.message, d.hint, d.span.start) for d in caught.value.diagnostics] == [
        ("U102", "cannot tell whether 4f2c1aa is on main", "run  git fetch origin main", Pos(5, 25))
    ]


def test_every_open_fact_is_told_once_in_the_order_of_the_file() -> None:
    unknown = Unavailable("U103", "cannot read commit 4f2c1aa", "look elsewhere")
    decision, _ = release({MERGED: LOST, MESSAGE: unknown, JOBS: LOST})
    with pytest.raises(FactUnavailable) as caught:
        raise_if_undecided(decision, RELEASE, TAG)
    assert [(d.code, d.span.line) for d in caught.value.diagnostics] == [("U102", 5), ("U103", 6), ("U102", 7)]


def test_a_job_that_is_not_there_is_the_files_error() -> None:
    decision, _ = release({MERGED: YES, MESSAGE: FIX, JOBS: Known({"tests": "success"})})
    with pytest.raises(RuleFileInvalid) as caught:
        raise_if_undecided(decision, RELEASE, TAG)
    assert caught.value.exit is ExitCode.RULES
    (problem,) = caught.value.diagnostics
    assert (problem.code, problem.message, problem.span.start) == (
        "E701",
        "no job 'test' in this workflow",
        Pos(7, 15),
    )
    assert problem.hint.startswith("did you mean 'tests'?")


def test_the_files_error_comes_before_what_is_unknown() -> None:
    decision, _ = release({MERGED: LOST, MESSAGE: FIX, JOBS: Known({})})
    with pytest.raises(RuleFileInvalid) as caught:
        raise_if_undecided(decision, RELEASE, TAG)
    assert [d.code for d in caught.value.diagnostics] == ["E701"]


@pytest.mark.parametrize("answers", [{MERGED: NO}, {MERGED: LOST, MESSAGE: SKIP}])
def test_what_does_not_matter_is_not_insisted_on(answers: dict[Question, Answered]) -> None:
    decision, _ = release(answers)
    raise_if_undecided(decision, RELEASE, TAG)


def test_one_unknown_rule_stops_those_that_fire() -> None:
    text = """
        version: 1
        rules:
          - {name: a, when: {branch: main}, deploy: {workflow: a}}
          - {name: b, when: {branch: main, message_contains: x}, deploy: {workflow: b}}
        """
    read = rules(text)
    decision = settle(read, Facts(BuildContext.from_environ(environ())), lambda _: LOST)
    assert ([j.verdict.value for j in decision.judgements], decision.firing) == (["fire", "unknown"], ())
    with pytest.raises(FactUnavailable):
        raise_if_undecided(decision, read, build())
