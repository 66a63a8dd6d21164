"""Shows what a project has that CircleCI takes away, and writes what takes its place."""

from collections.abc import Callable
from typing import Protocol

from deploystep.app.options import Options
from deploystep.app.report import Report
from deploystep.core.build import ProjectSlug
from deploystep.core.errors import RuleFileInvalid
from deploystep.core.source import SourceFile
from deploystep.migrate.plan import plan


class Tree(Protocol):
    """The files of a project, by their paths as they are shown: also of the rule file that there may be."""

    rule_path: str
    own: ProjectSlug | None  # the project, where the clone's origin tells it

    def configs(self) -> list[SourceFile]:
        """The configs to look through. Raises UsageError where there are none."""

    def read(self, path: str) -> str | None:
        """A file of the project by its path from the root."""

    def rule_file(self) -> SourceFile | None:
        """The rule file, where there is one."""

    def write(self, texts: dict[str, str], *, is_forced: bool) -> None:
        """Write files. Raises UsageError where one may not or cannot be written; unless forced, git must have all."""


def migrate(options: Options, tree: Tree, report: Report, warn: Callable[[str], None]) -> None:
    """Note what is found, and with --write write the changes.

    Raises UsageError where a file to be written is not committed as it is, and RuleFileInvalid where a file cannot be
    read or changed, or with --check where something remains that stops working.
    """
    report.shows_diff = options.diff
    report.migration = found = plan(tree.configs(), tree.rule_file(), tree.rule_path, tree.read, tree.own)
    fatal = [problem for problem in found.problems if problem.why.is_error]
    for source, why in found.problems:
        if not why.is_error:
            warn(f"{source.path}:{why.span.start.line}:{why.span.start.column}: {why.message}")
    if options.write and found.changes:
        tree.write({change.path: change.new for change in found.changes}, is_forced=options.force)
        report.has_written = True
    elif options.write and any(f.is_alarm for f in found.findings):
        warn("--write: nothing is written: no call or step that was found can be changed for certain")
    for source, why in fatal:
        raise RuleFileInvalid("unreadable", f"{source.path} is not migrated", source=source, diagnostics=(why,))
    left = [f for f in found.findings if f.is_alarm and not (options.write and f.is_written)]
    if options.check and left:
        kinds = [f.kind for f in left]
        numbers = {"deploy step": kinds.count("deploy-step"), "call": kinds.count("call")}
        noun = " and ".join(f"{n} {word}{'s' * (n > 1)}" for word, n in numbers.items() if n)
        how = "write what can be written:  deploystep migrate --write"
        hint = how if any(f.is_written for f in left) else "write the rest by hand, as is said for each"
        raise RuleFileInvalid("doomed", f"{noun} to be migrated", hint)
