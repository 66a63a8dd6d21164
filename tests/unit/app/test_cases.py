"""`cases:` are tried by the decision that a run makes, and a failure says what became of each rule."""

from textwrap import dedent
from xml.etree import ElementTree as ET

import pytest

from deploystep.app.cases import try_cases
from deploystep.app.report import Report
from deploystep.core.exits import ExitCode
from deploystep.core.source import SourceFile
from deploystep.render import document, junit
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
FULL = "branch: main, changed: [src/a.py], jobs: {test: success}"


class Text:
    def __init__(self, text: str) -> None:
        self.text = text

    def read(self) -> SourceFile:
        return SourceFile("deploy.yml", self.text)


def tried(*cases: str, coverage: bool = False) -> Report:
    lines = "".join(f"  - {{name: case {n}, {case}}}\n" for n, case in enumerate(cases, 1))
    return try_cases(Text(dedent(RULES) + lines), with_coverage=coverage)


def failures(report: Report) -> list[str]:
    return [f"{d.code} {d.message} — {d.hint}" for t in report.tried for d in t.failures]


def test_a_case_that_holds_passes() -> None:
    report = tried(
        f"given: {{{FULL}}}, expect: {{fire: [staging], held: [], parameters: {{staging: {{fast: true, retries: 3}}}}}}"
    )
    assert failures(report) == []
    assert report.exit is ExitCode.OK


def test_every_rule_that_is_not_as_expected_is_told() -> None:
    report = tried(f"given: {{{FULL}}}, expect: {{fire: [production]}}")
    first, second = failures(report)
    assert first.startswith("C102 case 'case 1': rule 'staging' should not fire: it fires — branch main")
    assert second.startswith("C102 case 'case 1': rule 'production' should fire: it does not fire — line 16: tag")
    assert report.exit is ExitCode.RULES
    assert report.error is not None
    assert report.error.message == "1 of 1 cases failed"


def test_what_is_not_stated_is_not_guessed() -> None:
    report = tried("given: {branch: main, jobs: {test: success}}, expect: {fire: []}")
    assert failures(report) == [
        "C101 case 'case 1': rule 'staging' asks which files changed — add changed: [path/to/file] to given"
    ]


def test_the_time_is_a_fact_too() -> None:
    report = tried("given: {tag: v1}, expect: {fire: [production]}")
    assert failures(report) == ["C101 case 'case 1': rule 'production' asks the time — add now: to given"]


def test_a_rule_can_be_held() -> None:
    held = tried("given: {tag: v1, now: 2026-12-24 10:00}, expect: {held: [production], fire: []}")
    assert failures(held) == []
    wrong = tried("given: {tag: v1, now: 2026-06-24 10:00}, expect: {held: [production]}")
    assert failures(wrong)[0].startswith("C102 case 'case 1': rule 'production' should be held: it fires")


@pytest.mark.parametrize(
    ("expected", "told"),
    [
        ("version: 1.4.1", "sends version '1.4.0', expected '1.4.1'"),
        ("versio: 1.4.0", "sends versio nothing, expected '1.4.0'"),
        ("version: 14", "sends version '1.4.0', expected 14"),
    ],
)
def test_parameters_are_compared_with_their_types(expected: str, told: str) -> None:
    report = tried(
        f"given: {{tag: v1.4.0, now: 2026-06-16 10:00}}, expect: {{parameters: {{production: {{{expected}}}}}}}"
    )
    assert failures(report) == [f"C103 case 'case 1': rule 'production' {told} — "]


def test_true_is_not_one() -> None:
    report = tried(f"given: {{{FULL}}}, expect: {{parameters: {{staging: {{fast: 1}}}}}}")
    assert failures(report) == ["C103 case 'case 1': rule 'staging' sends fast true, expected 1 — "]


def test_a_deploy_that_could_not_be_sent_fails_the_case() -> None:
    report = tried('given: {tag: "v;rm -rf", now: 2026-06-16 10:00}, expect: {fire: [production]}')
    assert len(failures(report)) == 1
    assert "has characters that are not allowed" in failures(report)[0]


def test_coverage_names_what_no_case_shows() -> None:
    report = tried(f"given: {{{FULL}}}, expect: {{fire: [staging]}}", coverage=True)
    assert [gap.message for gap in report.gaps] == [
        "no case shows rule 'staging' not firing",
        "no case shows rule 'production' firing",
        "no case shows never kill-switch deciding",
        "no case shows this unless of rule 'staging' deciding",
        "no case shows freeze winter deciding",
    ]


def test_coverage_is_whole_when_every_item_decides_once() -> None:
    report = tried(
        f"given: {{{FULL}}}, expect: {{fire: [staging]}}",
        f"given: {{{FULL}, user: bot}}, expect: {{fire: []}}",
        f"given: {{{FULL}, env: {{DEPLOYS_OFF: x}}}}, expect: {{fire: []}}",
        "given: {tag: v1, now: 2026-06-16 10:00}, expect: {fire: [production]}",
        "given: {tag: v1, now: 2026-12-24 10:00}, expect: {held: [production]}",
        coverage=True,
    )
    assert failures(report) == []
    assert report.gaps == ()


def test_the_text_ends_with_the_count() -> None:
    report = tried(f"given: {{{FULL}}}, expect: {{fire: [staging]}}", "given: {tag: v1}, expect: {fire: []}")
    lines = result(report, Style()).splitlines()
    assert lines[0] == "ok    case 1"
    assert lines[1] == "FAIL  case 2"
    assert lines[-1] == "1 passed, 1 failed"


def test_no_cases_are_no_failure() -> None:
    report = try_cases(Text(dedent(RULES).replace("cases:\n", "")), with_coverage=False)
    assert result(report, Style()) == "there are no cases: write some under cases:\n0 passed, 0 failed"
    assert report.exit is ExitCode.OK


def test_junit_is_what_circleci_reads() -> None:
    report = tried(f"given: {{{FULL}}}, expect: {{fire: []}}", "given: {branch: x}, expect: {fire: []}")
    suite = ET.fromstring(junit.render(report)).find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    first, second = suite.findall("testcase")
    failure = first.find("failure")
    assert failure is not None
    assert "rule 'staging' should not fire" in (failure.text or "")
    assert second.find("failure") is None


def test_the_document_lists_every_case() -> None:
    report = tried(f"given: {{{FULL}}}, expect: {{fire: []}}")
    written = document.render(report)
    assert '"outcome": "failed"' in written
    assert '"code": "C102"' in written
