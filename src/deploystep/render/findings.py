"""What `check` found, in the formats that other tools read: GitHub's annotations, SARIF and JUnit XML.

Sources: GitHub docs, "Workflow commands for GitHub Actions" (setting an error message); SARIF 2.1.0 (OASIS), sections
3.19 (tool component), 3.27 (result) and 3.30 (region); the JUnit XML that CircleCI's `store_test_results` reads.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from deploystep import __version__
from deploystep.app.report import Report
from deploystep.core.codes import CODES
from deploystep.core.frozen import replace
from deploystep.core.source import Diagnostic, Span
from deploystep.core.text import visible
from deploystep.render.junit import testcase, testsuite

_SARIF: Final = "https://json.schemastore.org/sarif-2.1.0.json"


FromRoot: TypeAlias = Callable[[str], str]  #: a path as these tools want it: from the root of the repository


def github(report: Report, from_root: FromRoot) -> str:
    """A workflow command a line, which GitHub shows beside the line of the file."""
    lines = [_command(d, report, from_root) for d in _found(report, from_root)]
    return "\n".join(lines or ([f"::error::{_data(_failure(report))}"] if report.error else []))


def _command(diagnostic: Diagnostic, report: Report, from_root: FromRoot) -> str:
    path, region = _where(diagnostic, report, from_root)
    names = {"startLine": "line", "startColumn": "col", "endColumn": "endColumn"}
    properties = {"file": path, **{names[key]: number for key, number in region.items()}}
    properties["title"] = f"deploystep {diagnostic.code}"
    rule = f" (rule: {from_root(_path(report))}:{diagnostic.span.line})" if diagnostic.cured_at else ""
    shown = ",".join(f"{k}={_data(v).replace(':', '%3A').replace(',', '%2C')}" for k, v in properties.items())
    return f"::{_level(diagnostic)} {shown}::{_data(_words(diagnostic) + rule)}"


def _found(report: Report, from_root: FromRoot) -> Iterator[Diagnostic]:
    """Yield the diagnostics. One that is cured in another repository is shown at the rule."""
    for found in report.diagnostics:
        is_here = found.cured_at is None or not from_root(found.cured_at.path).startswith(("/", "../"))
        yield found if is_here else replace(found, cured_at=None)


def _where(diagnostic: Diagnostic, report: Report, from_root: FromRoot) -> tuple[str, dict[str, int]]:
    """The file and the part of it that the reader has to edit."""
    place = diagnostic.cured_at
    if place is not None:
        return from_root(place.path), {"startLine": place.line}
    return from_root(_path(report)), _region(diagnostic.span)


def _region(span: Span) -> dict[str, int]:
    return {"startLine": span.line, "startColumn": span.start.column, "endColumn": span.start.column + span.width}


def _data(value: object) -> str:
    return str(value).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def sarif(report: Report, from_root: FromRoot) -> str:
    """A SARIF 2.1.0 log of one run, for code scanning."""
    codes = sorted({d.code for d in report.diagnostics})
    driver: dict[str, Any] = {"name": "deploystep", "version": __version__}
    driver["rules"] = [_rule(code) for code in codes]
    invocation: dict[str, Any] = {"executionSuccessful": report.error is None or bool(report.diagnostics)}
    if not invocation["executionSuccessful"]:
        said = {"level": "error", "message": {"text": _failure(report)}}
        invocation["toolExecutionNotifications"] = [said]
    results = [_result(d, codes.index(d.code), report, from_root) for d in _found(report, from_root)]
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


def _result(diagnostic: Diagnostic, index: int, report: Report, from_root: FromRoot) -> dict[str, Any]:
    result = {
        "ruleId": diagnostic.code,
        "ruleIndex": index,
        "level": _level(diagnostic),
        "message": {"text": _words(diagnostic)},
        "locations": [_location(*_where(diagnostic, report, from_root))],
    }
    if diagnostic.cured_at:
        rule = _location(from_root(_path(report)), _region(diagnostic.span))
        result["relatedLocations"] = [{**rule, "message": {"text": "the rule"}}]
    return result


def _location(path: str, region: Mapping[str, int]) -> dict[str, Any]:
    uri = quote(path, errors="surrogateescape")
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}


def junit(report: Report, from_root: FromRoot) -> str:
    """JUnit XML: a test case for each diagnostic, failed if it ends `check`, or one that passed if there is none."""
    cases = [_case(d, report, from_root) for d in _found(report, from_root)]
    if not cases:
        path = from_root(_path(report)) if report.source else ""
        cases = [testcase(path or "check", path, (_failure(report), "") if report.error else None)]
    return testsuite(cases).removesuffix("\n")


def _case(diagnostic: Diagnostic, report: Report, from_root: FromRoot) -> str:
    path, region = _where(diagnostic, report, from_root)
    where = ":".join([path, *(str(region[key]) for key in ("startLine", "startColumn") if key in region)])
    failure = (_message(diagnostic), visible(f"{where}: {_words(diagnostic)}"))
    is_failed = diagnostic.is_error or report.is_strict
    return testcase(f"{diagnostic.code} {where}: {_message(diagnostic)}", path, failure if is_failed else None)


def _path(report: Report) -> str:
    return report.source.path if report.source else ""


def _message(diagnostic: Diagnostic) -> str:
    return diagnostic.message.removeprefix(f"{diagnostic.cured_at}: ")


def _words(diagnostic: Diagnostic) -> str:
    return visible(_message(diagnostic) + (f" — {diagnostic.hint}" if diagnostic.hint else ""))


def _level(diagnostic: Diagnostic) -> str:
    return "error" if diagnostic.is_error else "warning"


def _failure(report: Report) -> str:
    return visible("; ".join((report.error.message, *report.error.hints))) if report.error else ""


RENDERERS: Final[Mapping[str, Callable[[Report, FromRoot], str]]] = {"github": github, "sarif": sarif, "junit": junit}
