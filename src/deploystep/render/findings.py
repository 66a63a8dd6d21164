"""What `check` and `test` found, in the formats that other tools read: GitHub's annotations, SARIF and JUnit XML.

Sources: GitHub docs, "Workflow commands for GitHub Actions" (setting an error message); SARIF 2.1.0 (OASIS), sections
3.27 (result) and 3.30 (region); the JUnit XML that CircleCI's `store_test_results` reads.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from deploystep import __version__
from deploystep.app.report import Report
from deploystep.core.source import Diagnostic, visible


def _words(found: Diagnostic) -> str:
    return visible(found.message + (f" — {found.hint}" if found.hint else ""))


def _failure(report: Report) -> str:
    return visible("; ".join((report.error.message, *report.error.hints))) if report.error else ""


def github(report: Report, path: str) -> str:
    """A workflow command a line, which GitHub shows beside the line of the file."""
    file, lines = visible(path).replace("%", "%25").replace(":", "%3A").replace(",", "%2C"), []
    for found in report.diagnostics:
        line, column = found.span.start
        place = f"file={file},line={line},col={column},endColumn={column + found.span.width}"
        words = _words(found).replace("%", "%25")
        lines.append(f"::{found.severity.value} {place},title=deploystep {found.code}::{words}")
    return "\n".join(lines or ([f"::error::{_failure(report)}"] if report.error else []))


def sarif(report: Report, path: str) -> str:
    """A SARIF 2.1.0 log of one run, for code scanning."""
    results = []
    for found in report.diagnostics:
        line, column = found.span.start
        region = {"startLine": line, "startColumn": column, "endColumn": column + found.span.width}
        place = {"artifactLocation": {"uri": quote(path, errors="surrogateescape")}, "region": region}
        named = {"ruleId": found.code, "level": found.severity.value, "message": {"text": _words(found)}}
        results.append({**named, "locations": [{"physicalLocation": place}]})
    failed = [{"level": "error", "message": {"text": _failure(report)}}] if report.error and not results else []
    run = {
        "tool": {"driver": {"name": "deploystep", "version": __version__}},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": not failed, "toolExecutionNotifications": failed}],
        "results": results,
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=2)


def junit(report: Report, path: str) -> str:
    """JUnit XML: a test case for each diagnostic, failed if it ends `check`, or one that passed if there is none."""
    cases = []
    for found in report.diagnostics:
        name = f"{found.code} {path}:{found.span.line}: {_words(found)}"
        cases.append((name, name if found.is_error or report.is_strict else ""))
    return _suite(path, cases or [("deploystep check", _failure(report))])


def tried(report: Report) -> str:
    """JUnit XML of the cases that `test` tried."""
    path = report.source.path if report.source else ""
    failures = ("\n".join(f"{path}:{f.span.line}: {_words(f)}" for f in each.failures) for each in report.tried)
    return _suite(path, list(zip((each.case.name for each in report.tried), failures, strict=True)))


def _suite(path: str, cases: list[tuple[str, str]]) -> str:
    """A whole document of names, and why each failed (empty: it passed), without a final line end."""
    top, failed = ET.Element("testsuites"), sum(bool(why) for _, why in cases)
    counts = {"tests": str(len(cases)), "failures": str(failed), "errors": "0", "skipped": "0"}
    suite = ET.SubElement(top, "testsuite", {"name": "deploystep", **counts})
    for name, why in cases:
        case = ET.SubElement(suite, "testcase", name=visible(name), classname=visible(path), file=visible(path))
        if why:
            lines = [visible(line) for line in why.split("\n")]
            ET.SubElement(case, "failure", message=lines[0]).text = "\n".join(lines)
    ET.indent(top)
    document: bytes = ET.tostring(top, "utf-8", xml_declaration=True)
    return document.decode()


RENDERERS: Final[Mapping[str, Callable[[Report, str], str]]] = {"github": github, "sarif": sarif, "junit": junit}
