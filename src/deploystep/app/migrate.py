"""Shows what a project has that CircleCI takes away, and writes what takes its place."""

from collections.abc import Callable, Iterable
from typing import Protocol

from deploystep.app.options import Options
from deploystep.app.report import Report
from deploystep.core.build import ProjectSlug
from deploystep.core.errors import RuleFileInvalid, UsageError
from deploystep.core.source import SourceFile
from deploystep.migrate.plan import Migration, plan


class Tree(Protocol):
    """The files of a project, by their paths as they are shown."""

    @property
    def rule_path(self) -> str:
        """Where the rule file is, or will be."""
        ...

    @property
    def own(self) -> ProjectSlug | None:
        """The project, where the clone's origin tells it."""
        ...

    def configs(self) -> list[SourceFile]:
        """The configs to look through. Raises UsageError where there are none."""
        ...

    def read(self, path: str) -> str | None:
        """A file of the project by its path from the root."""
        ...

    def rule_file(self) -> SourceFile | None:
        """The rule file, where there is one."""
        ...

    def must_be_writable(self, paths: Iterable[str]) -> None:
        """Raises UsageError where a file is not of this project alone, or a link leads out of its repository."""
        ...

    def uncommitted(self, paths: Iterable[str]) -> str | None:
        """The first file that is not as it is committed, empty where all are; None where there is no clone."""
        ...

    def replace(self, texts: dict[str, str]) -> None:
        """Write files: all of them beside the old ones, then in their places."""
        ...


def migrate(options: Options, tree: Tree, report: Report, warn: Callable[[str], None]) -> None:
    """Note what is found, and with --write write the changes.

    Raises UsageError where a file to be written is not committed as it is, and RuleFileInvalid where a file cannot be
    read or changed, or with --check where something remains that stops working.
    """
    report.shows_diff = options.diff
    found = plan(tree.configs(), tree.rule_file(), tree.rule_path, tree.read, tree.own)
    report.migration = found
    for source, why in found.problems:
        if not why.is_error:
            (line, column), hint = why.span.start, f" — {why.hint}" if why.hint else ""
            warn(f"{source.path}:{line}:{column}: {why.message}{hint}")
    if options.write and found.changes:
        _write(found, tree, is_forced=options.force)
        report.has_written = True
    elif options.write and any(f.is_alarm for f in found.findings):
        warn("--write: nothing is written: no call or step that was found can be changed for certain")
    fatal = next((problem for problem in found.problems if problem.why.is_error), None)
    if fatal is not None:
        what = f"{fatal.source.path} is not migrated"
        raise RuleFileInvalid("unreadable", what, source=fatal.source, diagnostics=(fatal.why,))
    left = [f for f in found.findings if f.is_alarm and not (options.write and f.is_written)]
    if options.check and left:
        kinds = [f.kind for f in left]
        numbers = {"deploy step": kinds.count("deploy-step"), "call": kinds.count("call")}
        noun = " and ".join(f"{n} {word}{'s' * (n > 1)}" for word, n in numbers.items() if n)
        how = "write what can be written:  deploystep migrate --write"
        hint = how if any(f.is_written for f in left) else "write the rest by hand, as is said for each"
        raise RuleFileInvalid("doomed", f"{noun} to be migrated", hint)


def _write(found: Migration, tree: Tree, *, is_forced: bool) -> None:
    paths = [change.path for change in found.changes]
    tree.must_be_writable(paths)
    uncommitted = "" if is_forced else tree.uncommitted(paths)
    if uncommitted is None:
        raise UsageError("work-tree", "--write: git does not keep these files", "run it in a clone, or give  --force")
    if uncommitted:
        hint = "commit or stash it, so that git can undo the changes, or give  --force"
        raise UsageError("work-tree", f"--write: {uncommitted} is not committed", hint)
    tree.replace({change.path: change.new for change in found.changes})
