"""What `check` and `test` found, in the formats that other tools read: GitHub's annotations, SARIF and JUnit XML.

Sources: GitHub docs, "Workflow commands for GitHub Actions" (setting an error message); SARIF 2.1.0 (OASIS), sections
3.19 (tool component), 3.27 (result) and 3.30 (region); the JUnit XML that CircleCI's `store_test_results` reads.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias
from urllib.parse import quote
from xml.etree import ElementTree as ET

from deploystep import __version__
from deploystep.app.report import Report
from deploystep.core.codes import CODES
from deploystep.core.source import Diagnostic, visible

FromRoot: TypeAlias = Callable[[str], str]  #: a path as these tools want it: from the root of the repository


def _all(report: Report, from_root: FromRoot) -> Iterator[tuple[Diagnostic, str, dict[str, int], str]]:
    """Each with the file and region (in SARIF's terms) that the reader has to edit, and its words."""
    rules = from_root(report.source.path) if report.source else ""
    for found in report.diagnostics:
        line, column = found.span.start
        path, region = rules, {"startLine": line, "startColumn": column, "endColumn": column + found.span.width}
        # what is cured in another file is placed there, with the rule beside it, unless that is another repository's
        words, place = _words(found), found.cured_at
        if place and not (there := from_root(place.path)).startswith("/"):
            path, region = there, {"startLine": place.line}
            words = f"{words.removeprefix(visible(f'{place}: '))} (rule: {visible(rules)}:{line})"
        yield found, path, region, words


def _words(found: Diagnostic) -> str:
    return visible(found.message + (f" — {found.hint}" if found.hint else ""))


def _failure(report: Report) -> str:
    return visible("; ".join((report.error.message, *report.error.hints))) if report.error else ""


def github(report: Report, from_root: FromRoot) -> str:
    """A workflow command a line, which GitHub shows beside the line of the file."""
    names, lines = {"startLine": "line", "startColumn": "col", "endColumn": "endColumn"}, []
    for found, path, region, words in _all(report, from_root):
        file = visible(path).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
        place = ",".join([f"file={file}", *(f"{names[key]}={number}" for key, number in region.items())])
        lines.append(f"::{found.severity.value} {place},title=deploystep {found.code}::{words.replace('%', '%25')}")
    return "\n".join(lines or ([f"::error::{_failure(report)}"] if report.error else []))


def sarif(report: Report, from_root: FromRoot) -> str:
    """A SARIF 2.1.0 log of one run, for code scanning."""
    codes, results = sorted({found.code for found in report.diagnostics}), []
    rules = [
        {"id": code, "shortDescription": {"text": told.meaning}, "help": {"text": f"{told.cause}. {told.cure}."}}
        for code, told in ((code, CODES[code]) for code in codes)
    ]
    for found, path, region, words in _all(report, from_root):
        place = {"artifactLocation": {"uri": quote(path, errors="surrogateescape")}, "region": region}
        named = {"ruleId": found.code, "ruleIndex": codes.index(found.code), "level": found.severity.value}
        results.append({**named, "message": {"text": words}, "locations": [{"physicalLocation": place}]})
    failed = [{"level": "error", "message": {"text": _failure(report)}}] if report.error and not results else []
    run = {
        "tool": {"driver": {"name": "deploystep", "version": __version__, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": not failed, "toolExecutionNotifications": failed}],
        "results": results,
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=2)


def junit(report: Report, from_root: FromRoot) -> str:
    """JUnit XML: a test case for each diagnostic, failed if it ends `check`, or one that passed if there is none."""
    cases = []
    for found, path, region, words in _all(report, from_root):
        place = ":".join(str(region[key]) for key in ("startLine", "startColumn") if key in region)
        name = f"{found.code} {path}:{place}: {words}"
        cases.append((name, path, name if found.is_error or report.is_strict else ""))
    path = from_root(report.source.path) if report.source else ""
    return _suite(cases or [("deploystep check", path, _failure(report))])


def tried(report: Report) -> str:
    """JUnit XML of the cases that `test` tried."""
    path = report.source.path if report.source else ""
    failures = ("\n".join(f"{path}:{f.span.line}: {_words(f)}" for f in each.failures) for each in report.tried)
    return _suite([(each.case.name, path, why) for each, why in zip(report.tried, failures, strict=True)])


def _suite(cases: list[tuple[str, str, str]]) -> str:
    """A whole document of names with files, and why each failed (empty: it passed), without a final line end."""
    top, failed = ET.Element("testsuites"), sum(bool(why) for *_, why in cases)
    counts = {"tests": str(len(cases)), "failures": str(failed), "errors": "0", "skipped": "0"}
    suite = ET.SubElement(top, "testsuite", {"name": "deploystep", **counts})
    for name, path, why in cases:
        case = ET.SubElement(suite, "testcase", name=visible(name), classname=visible(path), file=visible(path))
        if why:
            lines = [visible(line) for line in why.split("\n")]
            ET.SubElement(case, "failure", message=lines[0]).text = "\n".join(lines)
    ET.indent(top)
    return str(ET.tostring(top, "utf-8", xml_declaration=True), "utf-8")


RENDERERS: Final[Mapping[str, Callable[[Report, FromRoot], str]]] = {"github": github, "sarif": sarif, "junit": junit}
