"""Reads the rule file and reports everything wrong or suspicious in it, alone and beside the project."""

from collections.abc import Callable

from deploystep.app.ports import RuleSource
from deploystep.app.report import Report
from deploystep.core.errors import RuleFileInvalid
from deploystep.core.frozen import replace
from deploystep.core.source import in_order
from deploystep.rulefile.load import examine
from deploystep.rulefile.project import Project, compare


def check(
    source: RuleSource,
    project: Callable[[], Project],
    tell: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    is_strict: bool,
) -> Report:
    """Every diagnostic; the exit code tells whether one of them is an error, or with `is_strict` a warning.

    `tell` hears how many of how many rules have been compared: with a thousand of them it takes a while.
    """
    report = Report("check", is_dry=True)
    try:
        text = source.read()
        found = examine(text, tell)
        beside = tuple(compare(found.rules, project())) if found.rules else ()
    except RuleFileInvalid as error:
        return report.failed(error)
    diagnostics = in_order((*found.diagnostics, *beside))
    report = replace(report, source=text, diagnostics=diagnostics)
    counted = [d for d in diagnostics if d.is_error or is_strict]
    if not counted:
        return report
    noun = "problem" if is_strict else "error"
    message = f"{len(counted)} {noun}{'s' if len(counted) > 1 else ''} in {text.path}"
    return report.failed(RuleFileInvalid("rules-invalid", message, source=text, diagnostics=diagnostics))
