"""Reads the rule file and reports everything wrong or suspicious in it, alone and beside the project."""

from collections.abc import Callable

from deploystep.app.report import Report
from deploystep.core.errors import RuleFileInvalid
from deploystep.core.source import SourceFile, in_order
from deploystep.rulefile.load import examine
from deploystep.rulefile.project import Project, compare


def check(source: SourceFile, project: Callable[[], Project], report: Report, *, is_strict: bool) -> None:
    """Note every diagnostic. Raises RuleFileInvalid where one of them is an error, or with `is_strict` a warning."""
    report.source = source
    found = examine(source)
    beside = tuple(compare(found.rules, project())) if found.rules else ()
    report.diagnostics = in_order((*found.diagnostics, *beside))
    counted = [d for d in report.diagnostics if d.is_error or is_strict]
    if counted:
        noun = "problem" if is_strict else "error"
        message = f"{len(counted)} {noun}{'s' if len(counted) > 1 else ''} in {source.path}"
        raise RuleFileInvalid("rules-invalid", message, source=source, diagnostics=report.diagnostics)
