"""What people read, to the letter."""

import re
import unicodedata
from textwrap import dedent

import pytest
from builds import RUN, SHA, build, tag_build
from hypothesis import given
from hypothesis import strategies as st
from reports import URL, outcome, report

from deploystep.app.report import Report
from deploystep.core.deploy import Outcome
from deploystep.core.errors import EnvironmentInvalid, ExitCode, Refused, RuleFileInvalid, ToolError, Uncertain
from deploystep.core.runs import Created, WorkflowState
from deploystep.core.source import Diagnostic, Pos, Severity, SourceFile, Span, visible
from deploystep.render.text import Style, diagnostics, failure, result

PLAIN, LONG = Style(), Style(is_long=True)
RUNS = Created(RUN, 25, URL, revision=SHA)


def test_a_run() -> None:
    assert result(report(), PLAIN) == dedent(
        """\
        .circleci/deploy.yml · branch main @ 4f2c1aa · 2026-06-16 10:02 Europe/Berlin · user anna
        fire  staging     branch main (line 5)
                          → POST https://circleci.com/api/v2/project/gh/acme/shop/pipeline/run
                            branch main · workflow deploy · {sha: 4f2c1aa, dry: false, n: 3}
                          = not sent: this is a dry run
        no    production  line 8: tag — this is a branch build"""
    )
    shown = outcome(Outcome.ALREADY_TRIGGERED, RUNS, WorkflowState("1", "deploy", "running"))
    shown.triggers[0].because = "it holds deploy"
    assert result(shown, PLAIN).splitlines()[4:8] == [
        f"                  = already-triggered: {URL}",
        "                    it holds deploy",
        f"                    revision {SHA}",
        "                    workflow deploy: running",
    ]


def test_every_outcome_without_a_run_has_words() -> None:
    shown = {kind.value: result(outcome(kind), PLAIN).splitlines()[4].strip() for kind in Outcome}
    words = {"planned": "not sent: this is a dry run", "uncertain": "it may have been triggered"}
    assert shown == {kind.value: f"= {words.get(kind.value, kind.value)}" for kind in Outcome}


def test_no_rule_fires() -> None:
    assert result(report(tag_build("x")), PLAIN).splitlines() == [
        ".circleci/deploy.yml · tag x @ 4f2c1aa · 2026-06-16 10:02 Europe/Berlin · user anna",
        "no    staging     line 5: branch — this is a tag build",
        "no    production  line 8: tag x does not match v*",
        "no rule fires: there is nothing to deploy",
    ]
    alone = report(text="version: 1\nrules: [{name: production, when: {branch: main}}]\n")
    assert result(alone, PLAIN).splitlines()[1:] == [
        "fire  production  gate only: branch main (line 2)",
        "nothing is sent: what fires is for deploystep gate alone",
    ]
    skipped = report(is_dry=False)
    skipped.triggers, skipped.skipped = [], "a fork's build is not given the token"
    assert result(skipped, PLAIN).endswith("this is a branch build\na fork's build is not given the token")


def test_colour_only_decorates() -> None:
    coloured = result(report(), Style(is_coloured=True))
    assert "\x1b[32mfire" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == result(report(), PLAIN)


def test_what_came_from_outside_obeys_nobody() -> None:
    shown = result(report(build(CIRCLE_BRANCH="x\x1b[2J\u202e", CIRCLE_USERNAME="a\nfire  fake")), PLAIN)
    assert not set(shown) & {"\x1b", "\u202e"}
    assert r"branch x\x1b[2J\u202e @ 4f2c1aa" in shown
    assert r"user a\nfire  fake" in shown
    for created in (Created(RUN, 1, "u\x07"), None):
        odd = outcome(Outcome.TRIGGERED, created, WorkflowState("1", "x\x1b", "y\x07"))
        odd.triggers[0].url, odd.triggers[0].because = "https://a\x1b[2J/", "\x07"
        assert not set(result(odd, PLAIN)) & {"\x1b", "\x07"}


@given(st.text(st.characters(exclude_categories=[])))
def test_visible(text: str) -> None:
    shown = visible(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    shown.encode()
    assert visible(shown) == shown


# Failures

FILE = SourceFile("deploy.yml", "version: 1\n\tx: 日本 ab\n")
WRONG = Diagnostic("E102", "unknown key 'ab'", Span(Pos(2, 8), 2), "did you mean 'ba'?")
REFUSED = Refused("refused-404", "CircleCI answered 404:\x1b[31m no", "do this", "or that")
NO_BUILD = EnvironmentInvalid("environment-invalid", "no build", "plan", problems=("A is x", "B is y"))
INVALID = RuleFileInvalid("rules-invalid", "1 problem in deploy.yml", source=FILE, diagnostics=(WRONG,))
SHORT = "deploy.yml:2:8: error[E102]: unknown key 'ab' — did you mean 'ba'?"
NO = r"error[refused-404]: CircleCI answered 404:\x1b[31m no"
ERRORS: list[tuple[ToolError, str, list[str]]] = [
    (REFUSED, "6 (refused)", [NO, "  hint: do this", "  hint: or that"]),
    (NO_BUILD, "4 (environment)", ["error[environment-invalid]: no build", "  - A is x", "  - B is y", "  hint: plan"]),
    (INVALID, "3 (rules)", [SHORT, "error[rules-invalid]: 1 problem in deploy.yml"]),
]


@pytest.mark.parametrize(("error", "code", "lines"), ERRORS)
def test_an_error(error: ToolError, code: str, lines: list[str]) -> None:
    shown = outcome(Outcome.REFUSED) if error is REFUSED else Report("run", is_dry=False)
    shown.fail(error)
    assert failure(shown, PLAIN).splitlines() == [*lines, f"exit {code}: nothing was triggered"]


UNKNOWN = "the trigger of rule staging may have been sent, and whether it was accepted is not known"


@pytest.mark.parametrize(
    ("kind", "created", "words"),
    [
        (Outcome.NOT_SENT, None, "nothing was triggered"),
        (Outcome.UNCERTAIN, None, UNKNOWN),
        *((kind, RUNS, f"rule staging was triggered: {URL}") for kind in (Outcome.TRIGGERED, Outcome.STOPPED)),
        (Outcome.ALREADY_TRIGGERED, RUNS, f"rule staging had been triggered before: {URL}"),
    ],
)
def test_the_last_line_says_whether_anything_was_sent(kind: Outcome, created: Created | None, words: str) -> None:
    shown = outcome(kind, created)
    shown.exit = ExitCode.TERMINATED
    assert failure(shown, PLAIN) == f"terminated: {words}"
    shown.fail(Uncertain("uncertain", "lost", "look"))
    assert failure(shown, PLAIN).splitlines()[-1] == f"exit 8 (uncertain): {words}"


@pytest.mark.parametrize(
    ("cancelled", "other", "words"),
    [
        ({}, "", " (none of its workflows was cancelled)"),
        ({"deploy": True}, "", " (CircleCI was told to cancel deploy)"),
        ({"a": True, "b": False, "c": True}, "", " (CircleCI was told to cancel a, c; NOT cancelled: b)"),
        ({"a\x1b": False}, "f" * 40, r" (it is of another commit, fffffff; NOT cancelled: a\x1b)"),
    ],
)
def test_the_last_line_says_what_was_cancelled(cancelled: dict[str, bool], other: str, words: str) -> None:
    shown = outcome(Outcome.TRIGGERED, RUNS)
    shown.exit = ExitCode.TERMINATED
    shown.triggers[0].cancelled, shown.triggers[0].other_commit = cancelled, other
    assert failure(shown, PLAIN) == f"terminated: rule staging was triggered: {URL}{words}"


# Diagnostics


def test_short_and_long() -> None:
    quiet = Diagnostic("W1", "odd", Span(Pos(1, 1)), severity=Severity.WARNING)
    assert diagnostics((WRONG, quiet), FILE, PLAIN) == [SHORT, "deploy.yml:1:1: warning[W1]: odd"]
    long = ["error[E102]: unknown key 'ab'", " --> deploy.yml:2:8", "  |", "2 |  x: 日本 ab"]
    assert diagnostics((WRONG,), FILE, LONG) == [*long, "  |          ^^ did you mean 'ba'?", ""]
    wide = Diagnostic("E1", "m", Span(Pos(1, 4), 3))
    shown = diagnostics((wide,), SourceFile("a", "\te\u0301日本\u0301語x\n"), LONG)
    assert shown[3:5] == ["1 |  e\u0301日本\u0301語x", "  |   ^^^^"], "a combining character takes no column"
    beyond = Diagnostic("E1", "m", Span(Pos(9, 4), 3), "h")
    assert diagnostics((beyond,), FILE, LONG)[3:5] == ["9 | ", "  | ^ h"]


@pytest.mark.parametrize("at", [0, 150, 5000, 9_990])
def test_of_a_long_line_a_window_is_shown(at: int) -> None:
    """The mark is below what it marks."""
    source = SourceFile("deploy.yml", "x" * at + "WRONG" + "x" * (9_995 - at))
    found = Diagnostic("E1", "m", Span(Pos(1, at + 1), 5), "h")
    line, carets = diagnostics((found,), source, LONG)[3:5]
    assert line.index("WRONG") == carets.index("^^^^^ h")
    assert len(line) < 200


def test_many_problems_are_not_all_shown_and_no_error_is_left_out() -> None:
    warnings = tuple(Diagnostic("W1", "m", Span(Pos(1, n)), severity=Severity.WARNING) for n in range(1, 131))
    *shown, last = diagnostics((*warnings, WRONG), FILE, PLAIN)
    assert (len(shown), last, "E102" in shown[0]) == (100, "and 31 more", True)
    checked = Report("check")
    checked.source = FILE
    assert result(checked, PLAIN) == "deploy.yml: nothing wrong found"
    checked.diagnostics = (WRONG, WRONG)
    assert result(checked, PLAIN).splitlines()[-1] == "2 errors, 0 warnings"
