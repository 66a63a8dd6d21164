"""Cases as JUnit XML, for CircleCI's `store_test_results`."""

from xml.sax.saxutils import escape, quoteattr

from deploystep.app.report import Report, TriedCase
from deploystep.core.source import Diagnostic
from deploystep.core.text import visible


def render(report: Report) -> str:
    """The whole document, with a final line end."""
    path = report.source.path if report.source else ""
    failed = sum(bool(t.failures) for t in report.tried)
    cases = "".join(_case(tried, path) for tried in report.tried)
    head = f'<testsuite name="deploystep" tests="{len(report.tried)}" failures="{failed}" errors="0" skipped="0">'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n{head}\n{cases}</testsuite>\n</testsuites>\n'


def _case(tried: TriedCase, path: str) -> str:
    head = f"  <testcase name={_attribute(tried.case.name)} classname={_attribute(path)} file={_attribute(path)}"
    if not tried.failures:
        return f"{head}/>\n"
    text = "\n".join(visible(_line(failure, path)) for failure in tried.failures)
    message = _attribute(tried.failures[0].message)
    return f"{head}>\n    <failure message={message}>{escape(text)}</failure>\n  </testcase>\n"


def _line(failure: Diagnostic, path: str) -> str:
    return f"{path}:{failure.span.line}: {failure.message}" + (f" — {failure.hint}" if failure.hint else "")


def _attribute(text: str) -> str:
    return quoteattr(visible(text))
