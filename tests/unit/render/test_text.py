"""What people read, to the letter."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from textwrap import dedent

import pytest
from builds import OTHER_SHA, RUN, SHA, build, tag_build
from hypothesis import given
from hypothesis import strategies as st
from reports import URL, outcome, report

from deploystep.app.report import Report, Skipped
from deploystep.core.deploy import Outcome
from deploystep.core.errors import EnvironmentInvalid, Refused, RuleFileInvalid, Uncertain
from deploystep.core.exits import ExitCode
from deploystep.core.runs import Created, WorkflowState
from deploystep.core.source import Diagnostic, Pos, Severity, SourceFile, Span
from deploystep.core.text import visible
from deploystep.render.text import Style, diagnostics, failure, result

PLAIN = Style()


def test_a_dry_run() -> None:
    assert result(report(), PLAIN) == dedent(
        """\
        .circleci/deploy.yml · branch main @ 4f2c1aa · 2026-06-16 10:02 Europe/Berlin · user anna
        fire  staging     branch main (line 5)
                          → POST https://circleci.com/api/v2/project/gh/acme/shop/pipeline/run
                            branch main · workflow deploy · {sha: 4f2c1aa, dry: false, n: 3}
                          = not sent: this is a dry run
        no    production  line 8: tag — this is a branch build"""
    )


def test_a_run() -> None:
    shown = outcome(Outcome.TRIGGERED, Created(RUN, 25, URL, revision=SHA), WorkflowState("1", "deploy", "running"))
    assert result(shown, PLAIN).splitlines()[4:7] == [
        f"                  = triggered: {URL}",
        f"                    revision {SHA}",
        "                    workflow deploy: running",
    ]


@pytest.mark.parametrize("kind", [o for o in Outcome if o is not Outcome.TRIGGERED])
def test_every_outcome_without_a_run_has_words(kind: Outcome) -> None:
    assert "                  = " in result(outcome(kind), PLAIN)


def test_a_run_of_another_commit() -> None:
    shown = result(outcome(Outcome.STOPPED, Created(RUN, 25, URL, revision=OTHER_SHA)), PLAIN)
    assert f"= stopped: {URL}" in shown


def test_no_rule_fires() -> None:
    of = tag_build("x")
    assert result(report(of), PLAIN).splitlines() == [
        ".circleci/deploy.yml · tag x @ 4f2c1aa · 2026-06-16 10:02 Europe/Berlin · user anna",
        "no    staging     line 5: branch — this is a tag build",
        "no    production  line 8: tag x does not match v*",
        "no rule fires: there is nothing to deploy",
    ]


def test_a_skip_is_not_said_to_be_no_rule() -> None:
    shown = result(report(triggers=(), skipped=Skipped("a fork's build is not given the token")), PLAIN)
    assert shown.splitlines()[-1] == "a fork's build is not given the token"
    assert "no rule fires" not in shown


def test_colour_only_decorates() -> None:
    import re  # noqa: PLC0415 - used here alone

    coloured = result(report(), Style(is_coloured=True))
    assert "\x1b[32mfire" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == result(report(), PLAIN)


def test_what_came_from_outside_obeys_nobody() -> None:
    of = build(CIRCLE_BRANCH="x\x1b[2J\u202e", CIRCLE_USERNAME="a\nfire  fake")
    shown = result(report(of), PLAIN)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert r"branch x\x1b[2J\u202e @ 4f2c1aa" in shown
    assert r"user a\nfire  fake" in shown
    (trigger,) = report().triggers
    odd = replace(trigger, url="https://a\x1b[2J/", created=Created(RUN, 1, "u\x07"), outcome=Outcome.TRIGGERED)
    assert not set(result(report(triggers=(odd,)), PLAIN)) & {"\x1b", "\x07"}
    assert "\x1b" not in result(report(triggers=(replace(odd, created=None),)), PLAIN)


@given(st.text(st.characters(exclude_categories=[])))
def test_visible(text: str) -> None:
    shown = visible(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    shown.encode()
    assert visible(shown) == shown


@pytest.mark.parametrize("plain", ["main", "ü", "日本", "a b", "`x`", "é"])
def test_innocent_texts_stay_as_they_are(plain: str) -> None:
    assert visible(plain) == plain


# Failures


def test_nothing_went_wrong() -> None:
    assert failure(report(), PLAIN) == ""


def test_an_error() -> None:
    error = Refused("refused-404", "CircleCI answered 404:\x1b[31m no", "do this", "or that")
    shown = outcome(Outcome.REFUSED).failed(error)
    assert failure(shown, PLAIN).splitlines() == [
        r"error[refused-404]: CircleCI answered 404:\x1b[31m no",
        "  hint: do this",
        "  hint: or that",
        "exit 6 (refused): nothing was triggered",
    ]


def test_uncertain() -> None:
    shown = outcome(Outcome.UNCERTAIN).failed(Uncertain("uncertain", "lost", "look"))
    assert failure(shown, PLAIN).splitlines()[-1] == (
        "exit 8 (uncertain): the trigger of rule staging was sent, and whether it was accepted is not known"
    )


def test_problems() -> None:
    error = EnvironmentInvalid("environment-invalid", "no build", "plan", problems=("A is x", "B is y"))
    shown = Report("run", is_dry=False).failed(error)
    assert failure(shown, PLAIN).splitlines() == [
        "error[environment-invalid]: no build",
        "  - A is x",
        "  - B is y",
        "  hint: plan",
        "exit 4 (environment): nothing was triggered",
    ]


@pytest.mark.parametrize(
    ("kind", "created", "words"),
    [
        (Outcome.NOT_SENT, None, "nothing was triggered"),
        (Outcome.UNCERTAIN, None, "the trigger of rule staging was sent, and whether it was accepted is not known"),
        (Outcome.TRIGGERED, Created(RUN, 25, URL), f"rule staging was triggered: {URL}"),
    ],
)
def test_an_interruption_says_whether_anything_was_sent(kind: Outcome, created: Created | None, words: str) -> None:
    shown = replace(outcome(kind, created), exit=ExitCode.TERMINATED)
    assert failure(shown, PLAIN).splitlines()[-1] == f"terminated: {words}"


# Diagnostics

FILE = SourceFile("deploy.yml", "version: 1\n\tx: 日本 ab\n")
WRONG = Diagnostic("E102", "unknown key 'ab'", Span(Pos(2, 8), 2), "did you mean 'ba'?")


def test_short() -> None:
    quiet = Diagnostic("W1", "odd", Span(Pos(1, 1)), severity=Severity.WARNING)
    assert diagnostics((WRONG, quiet), FILE, PLAIN) == [
        "deploy.yml:2:8: error[E102]: unknown key 'ab' — did you mean 'ba'?",
        "deploy.yml:1:1: warning[W1]: odd",
    ]


def test_long() -> None:
    assert diagnostics((WRONG,), FILE, Style(is_long=True)) == [
        "error[E102]: unknown key 'ab'",
        " --> deploy.yml:2:8",
        "  |",
        "2 |     x: 日本 ab",
        "  |             ^^ did you mean 'ba'?",
        "",
    ]


def test_long_beyond_the_end() -> None:
    beyond = Diagnostic("E1", "m", Span(Pos(9, 4), 3), "h")
    assert diagnostics((beyond,), FILE, Style(is_long=True))[3:5] == ["9 | ", "  | ^ h"]


def test_rules_that_are_wrong() -> None:
    error = RuleFileInvalid("rules-invalid", "1 problem in deploy.yml", source=FILE, diagnostics=(WRONG,))
    shown = Report("run", is_dry=False).failed(error)
    assert failure(shown, PLAIN).splitlines() == [
        "deploy.yml:2:8: error[E102]: unknown key 'ab' — did you mean 'ba'?",
        "error[rules-invalid]: 1 problem in deploy.yml",
        "exit 3 (rules): nothing was triggered",
    ]


def test_check() -> None:
    good = Report("check", is_dry=True, source=FILE)
    assert result(good, PLAIN) == "deploy.yml: nothing wrong found"
    bad = replace(good, diagnostics=(WRONG, WRONG))
    assert result(bad, PLAIN).splitlines()[-1] == "2 errors, 0 warnings"
