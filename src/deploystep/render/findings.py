"""What `check` found, in the formats that other tools read: GitHub's annotations, SARIF and JUnit XML.

Sources: GitHub docs, "Workflow commands for GitHub Actions" (setting an error message); SARIF 2.1.0 (OASIS), sections
3.19 (tool component), 3.27 (result) and 3.30 (region); the JUnit XML that CircleCI's `store_test_results` reads.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from deploystep import __version__
from deploystep.app.report import Report
from deploystep.core.codes import CODES
from deploystep.core.source import Diagnostic
from deploystep.core.text import visible
from deploystep.render.junit import testcase, testsuite

_SARIF: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def github(report: Report) -> str:
    """A workflow command a line, which GitHub shows beside the line of the file."""
    lines = [_command(d, report) for d in report.diagnostics]
    return "\n".join(lines or ([f"::error::{_data(_failure(report))}"] if report.error else []))


def _command(diagnostic: Diagnostic, report: Report) -> str:
    start = diagnostic.span.start
    properties = {
        "file": _path(report),
        "line": start.line,
        "col": start.column,
        "endColumn": start.column + diagnostic.span.width,
        "title": f"deploystep {diagnostic.code}",
    }
    shown = ",".join(f"{k}={_data(v).replace(':', '%3A').replace(',', '%2C')}" for k, v in properties.items())
    return f"::{_level(diagnostic)} {shown}::{_data(_words(diagnostic))}"


def _data(value: object) -> str:
    return str(value).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def sarif(report: Report) -> str:
    """A SARIF 2.1.0 log of one run, for code scanning."""
    codes = sorted({d.code for d in report.diagnostics})
    driver: dict[str, Any] = {"name": "deploystep", "version": __version__}
    driver["rules"] = [_rule(code) for code in codes]
    invocation: dict[str, Any] = {"executionSuccessful": report.error is None or bool(report.diagnostics)}
    if not invocation["executionSuccessful"]:
        said = {"level": "error", "message": {"text": _failure(report)}}
        invocation["toolExecutionNotifications"] = [said]
    results = [_result(d, codes.index(d.code), report) for d in report.diagnostics]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": results,
    }
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(code: str) -> dict[str, Any]:
    known = CODES[code]
    return {"id": code, "shortDescription": {"text": known.meaning}, "help": {"text": f"{known.cause}. {known.cure}."}}


def _result(diagnostic: Diagnostic, index: int, report: Report) -> dict[str, Any]:
    start = diagnostic.span.start
    region = {
        "startLine": start.line,
        "startColumn": start.column,
        "endColumn": start.column + diagnostic.span.width,
    }
    location = {"physicalLocation": {"artifactLocation": {"uri": _path(report)}, "region": region}}
    return {
        "ruleId": diagnostic.code,
        "ruleIndex": index,
        "level": _level(diagnostic),
        "message": {"text": _words(diagnostic)},
        "locations": [location],
    }


def junit(report: Report) -> str:
    """JUnit XML: a test case for each diagnostic, failed if it ends `check`, or one that passed if there is none."""
    path = _path(report)
    cases = [_case(d, path, is_failed=d.is_error or report.is_strict) for d in report.diagnostics]
    if not cases:
        failure = (_failure(report), "") if report.error else None
        cases = [testcase(report.source.path if report.source else "check", path, failure)]
    return testsuite(cases).removesuffix("\n")


def _case(diagnostic: Diagnostic, path: str, *, is_failed: bool) -> str:
    start = diagnostic.span.start
    where = f"{path}:{start.line}:{start.column}"
    name = f"{diagnostic.code} {where}: {diagnostic.message}"
    return testcase(name, path, (diagnostic.message, f"{where}: {_words(diagnostic)}") if is_failed else None)


def _path(report: Report) -> str:
    return report.source.path if report.source else ""


def _words(diagnostic: Diagnostic) -> str:
    return visible(diagnostic.message + (f" — {diagnostic.hint}" if diagnostic.hint else ""))


def _level(diagnostic: Diagnostic) -> str:
    return "error" if diagnostic.is_error else "warning"


def _failure(report: Report) -> str:
    return visible("; ".join((report.error.message, *report.error.hints))) if report.error else ""


RENDERERS: Final[Mapping[str, Callable[[Report], str]]] = {"github": github, "sarif": sarif, "junit": junit}
