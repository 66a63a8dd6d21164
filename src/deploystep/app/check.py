"""Reads the rule file and reports everything wrong or suspicious in it."""

from dataclasses import replace

from deploystep.app.ports import RuleSource
from deploystep.app.report import Report
from deploystep.core.errors import RuleFileInvalid
from deploystep.rulefile.load import examine


def check(source: RuleSource) -> Report:
    """Every diagnostic; the exit code tells whether one of them is an error."""
    report = Report("check", is_dry=True)
    try:
        text = source.read()
    except RuleFileInvalid as error:
        return report.failed(error)
    found = examine(text)
    report = replace(report, source=text, diagnostics=found.diagnostics)
    errors = sum(d.is_error for d in found.diagnostics)
    if errors == 0:
        return report
    message = f"{errors} error{'s' if errors > 1 else ''} in {text.path}"
    return report.failed(RuleFileInvalid("rules-invalid", message, source=text, diagnostics=found.diagnostics))
