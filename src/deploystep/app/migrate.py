"""Shows what a project has that CircleCI takes away, and writes what takes its place."""

from collections.abc import Callable

from deploystep.app.options import Options
from deploystep.app.report import Report
from deploystep.core.errors import RuleFileInvalid
from deploystep.migrate.plan import Migration

_Write = Callable[[dict[str, str]], None]


def migrate(options: Options, found: Migration, write: _Write, report: Report, warn: Callable[[str], None]) -> None:
    """Note what was found, and with --write write the changes; with --check fail where something is left."""
    report.shows_diff, report.migration = options.diff, found
    alarms = [finding for finding in found.findings if finding.is_alarm]
    for source, why in found.problems:
        if not why.is_error:
            warn(f"{source.path}:{why.span.start.line}:{why.span.start.column}: {why.message}")
    if options.write and found.changes:
        write({change.path: change.new for change in found.changes})
        report.has_written = True
    elif options.write and alarms:
        warn("--write: nothing is written: no call or step that was found can be changed for certain")
    for source, why in found.problems:
        if why.is_error:
            raise RuleFileInvalid("unreadable", f"{source.path} is not migrated", source=source, diagnostics=(why,))
    left = [finding for finding in alarms if not (options.write and finding.is_written)]
    if options.check and left:
        steps = sum(finding.kind == "deploy-step" for finding in left)
        numbers = ((steps, "deploy step"), (len(left) - steps, "call"))
        noun = " and ".join(f"{n} {word}{'s' * (n > 1)}" for n, word in numbers if n)
        by_hand, written = "write the rest by hand, as is said for each", any(finding.is_written for finding in left)
        hint = "write what can be written:  deploystep migrate --write" if written else by_hand
        raise RuleFileInvalid("doomed", f"{noun} to be migrated", hint)
