"""`cases:` are tried by the decision that a run makes, and a failure says what became of each rule."""

import json
from textwrap import dedent
from xml.etree import ElementTree as ET

import pytest

from deploystep.app.check import try_cases
from deploystep.app.report import Report
from deploystep.core.errors import ExitCode, RuleFileInvalid
from deploystep.core.source import SourceFile
from deploystep.render import document, findings
from deploystep.render.text import Style, result

RULES = """\
    version: 1
    timezone: Europe/Berlin
    never:
      - name: kill-switch
        when: {env: {DEPLOYS_OFF: "*"}}
    freezes:
      - {name: winter, from: 2026-12-18 18:00, until: 2027-01-04 09:00, environments: [production]}
    rules:
      - name: staging
        when: {branch: main, paths: {only: src/**, since: previous-commit}}
        unless: {user: bot}
        requires: [test]
        deploy: {workflow: staging, parameters: {env: staging, fast: true, retries: 3}}
      - name: production
        environment: production
        when: {tag: v*}
        deploy: {workflow: production, parameters: {version: "${tag.version}"}}
    cases:
    """
FACTS = "branch: main, changed: [src/a.py], jobs: {test: success}"
FULL = f"{FACTS}, user: anna"


def tried(*cases: str, text: str = RULES, coverage: bool = False) -> Report:
    lines = "".join(f"  - {{name: case {n}, {case}}}\n" for n, case in enumerate(cases, 1))
    report = Report("test")
    try:
        try_cases(SourceFile("deploy.yml", dedent(text) + lines), report, with_coverage=coverage)
    except RuleFileInvalid as error:
        report.fail(error)
    return report


def failures(report: Report) -> list[str]:
    return [f"{d.code} {d.message} — {d.hint}" for t in report.tried for d in t.failures]


def test_a_case_that_holds_passes() -> None:
    expected = "fire: [staging], held: [], parameters: {staging: {fast: true, retries: 3}}"
    report = tried(f"given: {{{FULL}}}, expect: {{{expected}}}")
    assert (failures(report), report.exit) == ([], ExitCode.OK)


def test_every_rule_that_is_not_as_expected_is_told() -> None:
    report = tried(f"given: {{{FULL}}}, expect: {{fire: [production]}}", f"given: {{{FULL}}}, expect: {{held: []}}")
    first, second = failures(report)
    assert first.startswith("C102 case 'case 1': rule 'staging' should not fire: it fires — branch main")
    assert second.startswith("C102 case 'case 1': rule 'production' should fire: it does not fire — line 16: tag")
    assert report.exit is ExitCode.RULES
    assert report.error is not None
    assert report.error.message == "1 of 2 cases failed"


NOW, WINTER = "given: {tag: v1.4.0, now: 2026-06-16 10:00}", "given: {tag: v1, now: 2026-12-24 10:00}"
HELD_UNTIL = "rule 'production' should not be held: it is held — line 7: freeze winter; held until"


@pytest.mark.parametrize(("case", "code", "told"), [
    # what is not stated is not guessed, the time included
    (f"given: {{{FULL.replace('changed: [src/a.py], ', '')}}}, expect: {{fire: []}}", "C101",
     "rule 'staging' asks which files changed — add changed: [path/to/file] to given"),
    ("given: {tag: v1}, expect: {fire: []}", "C101", "rule 'production' asks the time — add now: to given"),
    # a rule can be held
    (f"{WINTER}, expect: {{held: [production], fire: []}}", "", ""),
    (f"{NOW}, expect: {{held: [production]}}", "C102",
     "rule 'production' should be held: it fires — tag v1.4.0 matches v* (line 16)"),
    (f"{WINTER}, expect: {{held: []}}", "C102", HELD_UNTIL),
    # parameters are compared with their types
    (f"{NOW}, expect: {{parameters: {{production: {{version: 1.4.1}}}}}}", "C103",
     "rule 'production' sends version '1.4.0', expected '1.4.1' — "),
    (f"{NOW}, expect: {{parameters: {{production: {{versio: 1.4.0}}}}}}", "C103",
     "rule 'production' sends versio nothing, expected '1.4.0' — "),
    (f"{NOW}, expect: {{parameters: {{production: {{version: 14}}}}}}", "C103",
     "rule 'production' sends version '1.4.0', expected 14 — "),
    (f"given: {{{FULL}}}, expect: {{parameters: {{staging: {{fast: 1}}}}}}", "C103",
     "rule 'staging' sends fast true, expected 1 — "),
    # what could not be sent fails the case
    ('given: {tag: "v1;rm -rf", now: 2026-06-16 10:00}, expect: {fire: [production]}', "C104",
     'the value of ${tag.version} has characters that are not allowed: "1;rm -rf"'),
])  # fmt: skip
def test_what_a_case_finds(case: str, code: str, told: str) -> None:
    found = failures(tried(case))
    assert [text.startswith(f"{code} case 'case 1': {told}") for text in found] == [True] * bool(code), found


def test_a_fact_that_a_rule_asks_for_twice_is_told_once() -> None:
    either = "when: [{branch: main, message_contains: a}, {branch: main, message_contains: b}]"
    text = f"version: 1\nrules:\n  - {{name: a, {either}, deploy: {{workflow: x}}}}\ncases:\n"
    (told,) = failures(tried("given: {branch: main}, expect: {fire: [a]}", text=text))
    assert told.startswith("C101 case 'case 1': rule 'a' asks what the commit message says")


def test_two_rules_that_send_the_same_fail_the_case() -> None:
    lines = "".join(f"  - {{name: {n}, when: {{branch: main}}, deploy: {{workflow: {n}}}}}\n" for n in "ab")
    text = f"version: 1\nrules:\n{lines}cases:\n"
    (told,) = failures(tried("given: {branch: main}, expect: {fire: [a, b]}", text=text))
    assert told.startswith("C104 case 'case 1': rule 'b' would send the same request as rule 'a' (line 3) (line 4)")


def test_coverage_names_what_no_case_shows() -> None:
    report = tried(f"given: {{{FULL}}}, expect: {{fire: [staging]}}", coverage=True)
    assert [gap.message for gap in report.gaps] == [
        "no case shows rule 'staging' not firing",
        "no case shows rule 'production' firing",
        "no case shows never kill-switch deciding",
        "no case shows this unless of rule 'staging' deciding",
        "no case shows freeze winter deciding",
    ]
    assert tried(f"given: {{{FULL}}}, expect: {{fire: [staging]}}").gaps == ()


WHOLE = (
    f"given: {{{FULL}}}, expect: {{fire: [staging]}}",
    f"given: {{{FACTS}, user: bot}}, expect: {{fire: []}}",
    f"given: {{{FULL}, env: {{DEPLOYS_OFF: x}}}}, expect: {{fire: []}}",
    "given: {tag: v1, now: 2026-06-16 10:00}, expect: {fire: [production]}",
    "given: {tag: v1, now: 2026-12-24 10:00}, expect: {held: [production]}",
)


def test_coverage_is_whole_when_every_item_decides_once() -> None:
    """Of two items that stop a rule none decides alone, and of two alternatives the one that holds."""
    both = f"given: {{{FACTS}, user: bot, env: {{DEPLOYS_OFF: x}}}}, expect: {{fire: []}}"
    this_unless = "no case shows this unless of rule 'staging' deciding"
    report = tried(*WHOLE, coverage=True)
    assert (failures(report), report.gaps, report.exit) == ([], (), ExitCode.OK)
    report = tried(WHOLE[0], both, *WHOLE[3:], coverage=True)
    assert [gap.message for gap in report.gaps] == ["no case shows never kill-switch deciding", this_unless]
    text = RULES.replace("unless: {user: bot}", "unless: [{user: eve}, {user: bot}]")
    report = tried(*WHOLE, text=text, coverage=True)
    assert [(gap.message, gap.span.start.column) for gap in report.gaps] == [(this_unless, 14)]


def test_the_text_ends_with_the_count() -> None:
    report = tried(f"given: {{{FULL}}}, expect: {{fire: [staging]}}", "given: {tag: v1}, expect: {fire: []}")
    lines = result(report, Style()).splitlines()
    assert (lines[0], lines[1], lines[-1]) == ("ok    case 1", "FAIL  case 2", "1 passed, 1 failed")
    what = "case 'case 2': rule 'production' asks the time — add now: to given"
    assert lines[2] == f"      deploy.yml:20:5: failed[C101]: {what}"


def test_no_cases_are_no_failure() -> None:
    report = tried(text=RULES.replace("cases:\n", ""))
    assert result(report, Style()) == "there are no cases: write some under cases:\n0 passed, 0 failed"
    assert report.exit is ExitCode.OK


def test_results_for_machines() -> None:
    report = tried(f"given: {{{FULL}}}, expect: {{fire: []}}", "given: {branch: x}, expect: {fire: []}")
    suite = ET.fromstring(findings.tried(report)).find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    texts = [case.findtext("failure") for case in suite.findall("testcase")]
    assert ("rule 'staging' should not fire" in (texts[0] or ""), texts[1]) == (True, None)
    cases = json.loads(document.render(report))["cases"]
    assert [(c["name"], c["outcome"]) for c in cases] == [("case 1", "failed"), ("case 2", "passed")]
    assert [d["code"] for d in cases[0]["failures"]] == ["C102"]
