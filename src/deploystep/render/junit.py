"""JUnit XML, for CircleCI's `store_test_results`: the cases of a rule file, and the parts of such a document."""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from deploystep.app.report import Report, TriedCase
from deploystep.core.source import Diagnostic
from deploystep.core.text import visible


def render(report: Report) -> str:
    """The cases that were tried, as a whole document with a final line end."""
    path = report.source.path if report.source else ""
    return testsuite([testcase(tried.case.name, path, _failure(tried, path)) for tried in report.tried])


def testsuite(cases: Sequence[str]) -> str:
    """A whole document of test cases that `testcase` wrote, with a final line end."""
    failed = sum("<failure" in case for case in cases)
    head = f'<testsuite name="deploystep" tests="{len(cases)}" failures="{failed}" errors="0" skipped="0">'
    body = "".join(cases)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n{head}\n{body}</testsuite>\n</testsuites>\n'


def testcase(name: str, path: str, failure: tuple[str, str] | None) -> str:
    """One test case about a file; `failure` is a message and the text below it, None where it passed."""
    head = f"  <testcase name={_attribute(name)} classname={_attribute(path)} file={_attribute(path)}"
    if failure is None:
        return f"{head}/>\n"
    message, text = failure
    return f"{head}>\n    <failure message={_attribute(message)}>{escape(text)}</failure>\n  </testcase>\n"


def _failure(tried: TriedCase, path: str) -> tuple[str, str] | None:
    if not tried.failures:
        return None
    return tried.failures[0].message, "\n".join(visible(_line(failure, path)) for failure in tried.failures)


def _line(failure: Diagnostic, path: str) -> str:
    return f"{path}:{failure.span.line}: {failure.message}" + (f" — {failure.hint}" if failure.hint else "")


def _attribute(text: str) -> str:
    return quoteattr(visible(text))
