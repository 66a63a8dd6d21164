"""What `check` and `test` found, in the formats that other tools read: GitHub's annotations, SARIF and JUnit XML.

Sources: GitHub docs, "Workflow commands for GitHub Actions" (setting an error message); SARIF 2.1.0 (OASIS), sections
3.19 (tool component), 3.27 (result) and 3.30 (region); the JUnit XML that CircleCI's `store_test_results` reads.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from deploystep import __version__
from deploystep.app.report import Report
from deploystep.core.codes import CODES
from deploystep.core.text import visible

_SARIF: Final = "https://json.schemastore.org/sarif-2.1.0.json"
FromRoot: TypeAlias = Callable[[str], str]  #: a path as these tools want it: from the root of the repository


class _Found(NamedTuple):
    """A diagnostic: the file and the part of it that the reader has to edit, and what is wrong, without and with hint.

    `region` is in SARIF's words. `fails` is whether it ends `check`.
    """

    code: str
    level: str
    path: str
    region: dict[str, int]
    message: str
    words: str
    fails: bool


def _all(report: Report, from_root: FromRoot) -> Iterator[_Found]:
    """What is cured in another file is placed there, with the rule beside it, unless that is another repository's."""
    rules = from_root(report.source.path) if report.source else ""
    for found in report.diagnostics:
        line, column = found.span.start
        path, region = rules, {"startLine": line, "startColumn": column, "endColumn": column + found.span.width}
        message, rule, place = found.message, "", found.cured_at
        if place and not (there := from_root(place.path)).startswith("/"):
            path, region = there, {"startLine": place.line}
            message, rule = message.removeprefix(f"{place}: "), f" (rule: {rules}:{line})"
        words = visible(message + (f" — {found.hint}" if found.hint else "") + rule)
        level = "error" if found.is_error else "warning"
        yield _Found(found.code, level, path, region, message, words, found.is_error or report.is_strict)


def _failure(report: Report) -> str:
    return visible("; ".join((report.error.message, *report.error.hints))) if report.error else ""


def github(report: Report, from_root: FromRoot) -> str:
    """A workflow command a line, which GitHub shows beside the line of the file."""

    def data(value: object) -> str:
        return str(value).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    lines = []
    for found in _all(report, from_root):
        names = {"startLine": "line", "startColumn": "col", "endColumn": "endColumn"}
        told = {"file": found.path, **{names[key]: number for key, number in found.region.items()}}
        told["title"] = f"deploystep {found.code}"
        shown = ",".join(f"{k}={data(v).replace(':', '%3A').replace(',', '%2C')}" for k, v in told.items())
        lines.append(f"::{found.level} {shown}::{data(found.words)}")
    return "\n".join(lines or ([f"::error::{data(_failure(report))}"] if report.error else []))


def sarif(report: Report, from_root: FromRoot) -> str:
    """A SARIF 2.1.0 log of one run, for code scanning."""
    codes = sorted({d.code for d in report.diagnostics})
    rules = [
        {"id": code, "shortDescription": {"text": known.meaning}, "help": {"text": f"{known.cause}. {known.cure}."}}
        for code, known in ((code, CODES[code]) for code in codes)
    ]
    invocation: dict[str, Any] = {"executionSuccessful": report.error is None or bool(report.diagnostics)}
    if not invocation["executionSuccessful"]:
        said = {"level": "error", "message": {"text": _failure(report)}}
        invocation["toolExecutionNotifications"] = [said]
    results = []
    for found in _all(report, from_root):
        place = {"artifactLocation": {"uri": quote(found.path, errors="surrogateescape")}, "region": found.region}
        named = {"ruleId": found.code, "ruleIndex": codes.index(found.code), "level": found.level}
        results.append({**named, "message": {"text": found.words}, "locations": [{"physicalLocation": place}]})
    run = {
        "tool": {"driver": {"name": "deploystep", "version": __version__, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": results,
    }
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2)


def junit(report: Report, from_root: FromRoot) -> str:
    """JUnit XML: a test case for each diagnostic, failed if it ends `check`, or one that passed if there is none."""
    cases = []
    for found in _all(report, from_root):
        where = ":".join(
            [found.path, *(str(found.region[k]) for k in ("startLine", "startColumn") if k in found.region)]
        )
        failure = (found.message, visible(f"{where}: ") + found.words) if found.fails else None
        cases.append((f"{found.code} {where}: {found.message}", found.path, failure))
    path = from_root(report.source.path) if report.source else ""
    return _suite(cases or [(path or "check", path, (_failure(report), "") if report.error else None)])


def tried(report: Report) -> str:
    """JUnit XML of the cases that `test` tried."""
    path = report.source.path if report.source else ""
    cases: list[_Case] = []
    for each in report.tried:
        lines = [f"{path}:{f.span.line}: {f.message}" + (f" — {f.hint}" if f.hint else "") for f in each.failures]
        failure = (each.failures[0].message, "\n".join(map(visible, lines))) if lines else None
        cases.append((each.case.name, path, failure))
    return _suite(cases) + "\n"


_Case: TypeAlias = tuple[
    str, str, tuple[str, str] | None
]  #: a name, a file, and a message with more below it if failed


def _suite(cases: list[_Case]) -> str:
    """A whole document, without a final line end."""

    def attribute(text: str) -> str:
        return quoteattr(visible(text))

    failed = sum(failure is not None for _, _, failure in cases)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    lines.append(f'<testsuite name="deploystep" tests="{len(cases)}" failures="{failed}" errors="0" skipped="0">')
    for name, path, failure in cases:
        head = f"  <testcase name={attribute(name)} classname={attribute(path)} file={attribute(path)}"
        if failure is None:
            lines.append(f"{head}/>")
        else:
            shown = f"    <failure message={attribute(failure[0])}>{escape(failure[1])}</failure>"
            lines += [f"{head}>", shown, "  </testcase>"]
    return "\n".join([*lines, "</testsuite>", "</testsuites>"])


RENDERERS: Final[Mapping[str, Callable[[Report, FromRoot], str]]] = {"github": github, "sarif": sarif, "junit": junit}
