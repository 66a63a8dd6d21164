"""What can keep a command from doing its job. Data only; words for the screen are made in `render`.

ToolError                   code, message, hints, exit
├─ UsageError               2   bad arguments
├─ RuleFileInvalid          3   every diagnostic
├─ EnvironmentInvalid       4   every problem
├─ FactUnavailable          5   a fact the decision depends on
├─ Refused                  6   CircleCI answered no
├─ Unreachable              7   certainly nothing was triggered
├─ Uncertain                8   a trigger may exist
├─ Stopped                  9   a node failed, or the created run was of another commit
├─ NothingRuns             10   accepted, but nothing runs
├─ DeployFailed            11   what was triggered ended badly
├─ TimedOut                12   a wait ended first
└─ Held                    13   a deploy that is due is held, and that was to be a failure

Interrupted               130, 143   a signal; not an Exception, so that no handler on the way can swallow it

Outcomes are values; only "I could not do my job" is raised.
"""

from typing import ClassVar

from deploystep.core.exits import ExitCode
from deploystep.core.source import Diagnostic, SourceFile


class ToolError(Exception):
    """A foreseen failure: what happened, in one sentence, and concrete next steps."""

    exit: ClassVar[ExitCode]

    def __init__(self, code: str, message: str, *hints: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hints = hints


class UsageError(ToolError):
    """The command line, or a variable that stands for an option, cannot be understood."""

    exit = ExitCode.USAGE


class Diagnosed(ToolError):
    """An error about places in the rule file; `diagnostics` holds them all, sorted."""

    def __init__(
        self,
        code: str,
        message: str,
        *hints: str,
        source: SourceFile | None = None,
        diagnostics: tuple[Diagnostic, ...] = (),
    ) -> None:
        super().__init__(code, message, *hints)
        self.source = source
        self.diagnostics = diagnostics


class RuleFileInvalid(Diagnosed):
    """The rule file is missing, unreadable or wrong."""

    exit = ExitCode.RULES


class EnvironmentInvalid(ToolError):
    """The build's environment does not tell what a build tells; `problems` holds one line each."""

    exit = ExitCode.ENVIRONMENT

    def __init__(self, code: str, message: str, *hints: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(code, message, *hints)
        self.problems = problems


class FactUnavailable(Diagnosed):
    """The outcome depends on a fact that could not be learned; nothing was sent."""

    exit = ExitCode.UNDECIDED


class Refused(ToolError):
    """CircleCI answered no; nothing was triggered."""

    exit = ExitCode.REFUSED


class Unreachable(ToolError):
    """No request was received; nothing was triggered, and running again is safe."""

    exit = ExitCode.UNREACHABLE


class Uncertain(ToolError):
    """A trigger may have been accepted; only a person (or a look at the list) can tell."""

    exit = ExitCode.UNCERTAIN


class Stopped(ToolError):
    """A guard stopped it: another node of the job failed, or the run that was created is of another commit."""

    exit = ExitCode.STOPPED


class NothingRuns(ToolError):
    """The trigger was accepted, but no workflow runs because of it."""

    exit = ExitCode.NOTHING_RUNS


class DeployFailed(ToolError):
    """What was triggered ran, and ended badly."""

    exit = ExitCode.DEPLOY_FAILED


class TimedOut(ToolError):
    """A wait ended before what was waited for could be seen."""

    exit = ExitCode.TIMED_OUT


class Held(ToolError):
    """A deploy that is due is held, and `--held fail` asked for a failure."""

    exit = ExitCode.HELD


class Interrupted(BaseException):
    """A signal asked to stop. `exit` says which."""

    def __init__(self, exit_code: ExitCode) -> None:
        super().__init__(exit_code.label)
        self.exit = exit_code
