"""Learning what a decision needs: no more than it needs, and nothing decided by what could not be learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builds import rules, tag_build

from deploystep.app.settle import insist, settle
from deploystep.core.decide import Decision, Verdict
from deploystep.core.errors import FactUnavailable
from deploystep.core.exits import ExitCode
from deploystep.core.facts import Answered, Facts, IsMergedInto, JobsOf, Known, MessageOf, Question, Unavailable
from deploystep.core.rules import Alternative, Condition, MergedInto, MessageContains, RuleSet
from deploystep.core.source import Pos, Span, Spanned

HERE = Span(Pos(4, 7))
MERGED, MESSAGE, JOBS = IsMergedInto("main"), MessageOf(), JobsOf()
LOST = Unavailable("U102", "cannot tell whether 4f2c1aa is on main", "run  git fetch origin main")


def release(text: str = "tag: v*") -> RuleSet:
    """When the tag fits and is merged into main, unless the message says no; requires test."""
    read = rules(f"version: 1\nrules:\n  - name: a\n    when: {{{text}}}\n    deploy: {{workflow: x}}\n")
    (rule,) = read.rules
    (first,) = rule.when.alternatives
    merged = replace(first, matchers=(MergedInto((Spanned("main", HERE),), HERE), *first.matchers))
    skip = Alternative((MessageContains((Spanned("[skip]", HERE),), HERE),), HERE)
    changed = replace(
        rule,
        when=replace(rule.when, alternatives=(merged,)),
        unless=Condition((skip,), HERE),
        requires=(Spanned("test", HERE),),
    )
    return replace(read, rules=(changed,))


def settled(answers: dict[Question, Answered], of: RuleSet | None = None) -> tuple[Decision, list[Question]]:
    asked: list[Question] = []

    def learn(question: Question) -> Answered:
        asked.append(question)
        return answers[question]

    return settle(of or release(), Facts(tag_build("v1")), learn), asked


YES, NO = Known(value=True), Known(value=False)
FIX, SKIP = Known("fix"), Known("x [skip] y")
PASSED, FAILED = Known({"test": "success"}), Known({"test": "failed"})


@pytest.mark.parametrize(
    ("answers", "verdict", "asked"),
    [
        ({MERGED: YES, MESSAGE: FIX, JOBS: PASSED}, Verdict.FIRE, {MERGED, MESSAGE, JOBS}),
        ({MERGED: YES, MESSAGE: FIX, JOBS: FAILED}, Verdict.HELD, {MERGED, MESSAGE, JOBS}),
        ({MERGED: NO, MESSAGE: FIX}, Verdict.NO, {MERGED}),
        ({MERGED: YES, MESSAGE: SKIP}, Verdict.NO, {MERGED, MESSAGE}),
        ({MERGED: LOST, MESSAGE: SKIP}, Verdict.NO, {MERGED, MESSAGE}),
        ({MERGED: LOST, MESSAGE: FIX, JOBS: PASSED}, Verdict.UNKNOWN, {MERGED, MESSAGE, JOBS}),
        ({MERGED: LOST, MESSAGE: FIX, JOBS: FAILED}, Verdict.HELD, {MERGED, MESSAGE, JOBS}),
        ({MERGED: YES, MESSAGE: FIX, JOBS: LOST}, Verdict.UNKNOWN, {MERGED, MESSAGE, JOBS}),
    ],
)
def test_only_what_matters_is_asked(answers: dict[Question, Answered], verdict: Verdict, asked: set[Question]) -> None:
    decision, questions = settled(answers)
    assert [j.verdict for j in decision.judgements] == [verdict]
    assert len(questions) == len(set(questions)), "nothing is asked twice"
    assert set(questions) <= asked
    assert (decision.firing != ()) is (verdict is Verdict.FIRE)


def test_nothing_is_asked_where_the_tag_settles_it() -> None:
    decision, questions = settled({}, release("tag: x*"))
    assert (decision.judgements[0].verdict, questions) == (Verdict.NO, [])


def test_what_could_not_be_learned_is_told_with_its_cure() -> None:
    decision, _ = settled({MERGED: LOST, MESSAGE: FIX, JOBS: PASSED})
    with pytest.raises(FactUnavailable) as caught:
        insist(decision, release(), tag_build("v1"))
    assert caught.value.exit is ExitCode.UNDECIDED
    assert [(d.code, d.message, d.hint) for d in caught.value.diagnostics] == [
        ("U102", "cannot tell whether 4f2c1aa is on main", "run  git fetch origin main")
    ]


@pytest.mark.parametrize("answers", [{MERGED: NO}, {MERGED: LOST, MESSAGE: SKIP}])
def test_what_does_not_matter_is_not_insisted_on(answers: dict[Question, Answered]) -> None:
    decision, _ = settled(answers)
    insist(decision, release(), tag_build("v1"))
