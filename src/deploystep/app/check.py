"""Reads the rule file and reports everything wrong or suspicious in it, alone and beside the project."""

from bisect import bisect_right
from collections.abc import Callable

from deploystep.app.report import Report
from deploystep.core.errors import RuleFileInvalid
from deploystep.core.rules import RuleSet
from deploystep.core.source import Diagnostic, SourceFile, in_order
from deploystep.project.wiring import Project, compare
from deploystep.rulefile.lint import check_paths
from deploystep.rulefile.load import examine
from deploystep.rulefile.yaml_reader import Report as Found


def check(source: SourceFile, project: Callable[[], Project], report: Report, *, is_strict: bool) -> None:
    """Note every diagnostic. Raises RuleFileInvalid where one of them is an error, or with `is_strict` a warning."""
    report.source, report.is_strict = source, is_strict
    found = examine(source)
    diagnostics = list(found.diagnostics)
    if found.rules is not None:
        beside, paths = project(), Found()
        diagnostics += compare(found.rules, beside)
        if beside.files:
            check_paths(found.rules, beside.files, paths)
        diagnostics = _not_ignored(found.rules, [*diagnostics, *paths.diagnostics])
    report.diagnostics = in_order(diagnostics)
    counted = [d for d in report.diagnostics if d.is_error or is_strict]
    if counted:
        noun = "problem" if is_strict else "error"
        message = f"{len(counted)} {noun}{'s' if len(counted) > 1 else ''} in {source.path}"
        raise RuleFileInvalid("rules-invalid", message, source=source, diagnostics=report.diagnostics)


def _not_ignored(rules: RuleSet, diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """Without those that the file, or the rule in whose lines they are, does not want to see."""
    parts = (rules.targets.values(), rules.never, rules.freezes, rules.cases)
    owners = {0: frozenset[str](), **{part.span.line: frozenset[str]() for each in parts for part in each}}
    owners |= {rule.span.line: rule.ignore for rule in rules.rules}
    starts = sorted(owners)
    ignored = [owners[starts[bisect_right(starts, d.span.line) - 1]] for d in diagnostics]
    return [d for d, codes in zip(diagnostics, ignored, strict=True) if d.code not in rules.ignore | codes]
