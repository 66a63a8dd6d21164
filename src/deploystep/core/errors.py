"""What can keep a command from doing its job. Data only; words for the screen are made in `render`.

Outcomes are values; only "I could not do my job" is raised, as a ToolError with an exit code of its own. A signal
raises Interrupted, which is no Exception, so that no handler on the way can swallow it.
"""

from typing import ClassVar

from deploystep.core.exits import ExitCode
from deploystep.core.source import Diagnostic, SourceFile


class ToolError(Exception):
    """A foreseen failure: what happened, in one sentence, and concrete next steps.

    `problems` holds a line for each of several things wrong. An error about places in the rule file names the file,
    and holds them all in `diagnostics`, sorted.
    """

    exit: ClassVar[ExitCode]

    def __init__(
        self,
        code: str,
        message: str,
        *hints: str,
        problems: tuple[str, ...] = (),
        source: SourceFile | None = None,
        diagnostics: tuple[Diagnostic, ...] = (),
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.hints = code, message, hints
        self.problems, self.source, self.diagnostics = problems, source, diagnostics


class UsageError(ToolError):
    """The command line, or a variable that stands for an option, cannot be understood."""

    exit = ExitCode.USAGE


class RuleFileInvalid(ToolError):
    """The rule file is missing, unreadable or wrong."""

    exit = ExitCode.RULES


class EnvironmentInvalid(ToolError):
    """The build's environment does not tell what a build tells."""

    exit = ExitCode.ENVIRONMENT


class FactUnavailable(ToolError):
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


class NotExecutable(ToolError):
    """The command of `gate` is there, and the system does not execute it."""

    exit = ExitCode.NOT_EXECUTABLE


class NotFound(ToolError):
    """The command of `gate` is not there."""

    exit = ExitCode.NOT_FOUND


class Interrupted(BaseException):
    """A signal asked to stop. `exit` says which."""

    def __init__(self, exit_code: ExitCode) -> None:
        super().__init__(exit_code.label)
        self.exit = exit_code
