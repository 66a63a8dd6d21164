"""`check` and `test`: what is said about the rule file itself, by everything that a deploy has no use for."""

from functools import partial
from pathlib import Path
from typing import Final

from deploystep.adapters.clock import SystemClock
from deploystep.adapters.files import read_config, write_text
from deploystep.adapters.git import GitRepository
from deploystep.app import check as checked
from deploystep.app.cases import try_cases
from deploystep.app.ports import Clock, Progress, RuleSource
from deploystep.app.report import Report
from deploystep.cli.args import Invocation
from deploystep.render import junit
from deploystep.rulefile.config import ProjectConfig
from deploystep.rulefile.config import read_config as parse_config
from deploystep.rulefile.project import Project

_HERE: Final = Path()
_PATIENCE: Final = 3.0
_PAUSE: Final = 10.0
CONFIG: Final = ".circleci/config.yml"


def check(invocation: Invocation, rules: RuleSource, repository: GitRepository, progress: Progress) -> Report:
    """Everything wrong or suspicious in the rule file, alone and beside the project."""
    told = Comparison(SystemClock(), progress)
    project = partial(_project, invocation, repository, progress)
    return checked.check(rules, project, told.at, is_strict=invocation.strict)


class Comparison:
    """Tells how far the comparison of all rules is: nothing at first, then a line now and then."""

    def __init__(self, clock: Clock, progress: Progress) -> None:
        self._clock = clock
        self._progress = progress
        self._next = clock.monotonic() + _PATIENCE

    def at(self, done: int, total: int) -> None:
        """So many of so many rules have been compared with those before them."""
        now = self._clock.monotonic()
        if now >= self._next:
            self._progress.info(f"compared {done} of {total} rules with each other")
            self._next = now + _PAUSE


def test(invocation: Invocation, rules: RuleSource, _repository: GitRepository, _progress: Progress) -> Report:
    """The cases in the rule file, tried offline."""
    report = try_cases(rules, with_coverage=invocation.coverage)
    if invocation.junit is not None and report.source is not None:
        write_text(_HERE / invocation.junit, junit.render(report), "--junit")
    return report


def _project(invocation: Invocation, repository: GitRepository, progress: Progress) -> Project:
    """The configs that rules are compared with, and the files of the clone."""
    named = dict(map(_named_config, invocation.configs))
    own = _config(named.get("", CONFIG), progress, is_named="" in named)
    others = {name: path for name, path in named.items() if name}
    targets = {name: found for name, path in others.items() if (found := _config(path, progress, is_named=True))}
    return Project(own, targets, repository.files())


def _named_config(text: str) -> tuple[str, str]:
    """`FILE` is this project's, `TARGET=FILE` that of a target."""
    target, equals, path = text.partition("=")
    return (target, path) if equals else ("", text)


def _config(path: str, progress: Progress, *, is_named: bool) -> ProjectConfig | None:
    """A config; where there is nothing to compare with, that is said."""
    text = read_config(path, _HERE, is_named=is_named)
    if text is None:
        progress.info(f"there is no {path} here: the rules are compared with no config")
        return None
    config = parse_config(path, text)
    if config is None:
        progress.warning(f"{path} is not compared with: it is a setup config, or not a map that YAML can read")
    return config
