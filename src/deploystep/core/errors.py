"""How a command can end, and what can keep it from doing its job: only that is raised; outcomes are values."""

from enum import IntEnum
from typing import ClassVar

from deploystep.core.source import Diagnostic, SourceFile


class ExitCode(IntEnum):
    """How a command ended: what the shell sees, and what it means; the docs' table is built from this."""

    meaning: str

    def __new__(cls, number: int, meaning: str) -> "ExitCode":  # noqa: PYI034 - what an enum is made of
        code = int.__new__(cls, number)
        code._value_, code.meaning = number, meaning
        return code

    OK = 0, "triggered and confirmed, or rightly did nothing"
    BUG = 1, "an exception nobody foresaw"
    USAGE = 2, "bad arguments"
    RULES = 3, "the rule file is missing or wrong; `check` found errors; `test` had a failing case"
    ENVIRONMENT = 4, "not in a build, a variable is missing or malformed, or there is no token"
    UNDECIDED = 5, "a fact that the decision depends on could not be learned; nothing was sent"
    REFUSED = 6, "CircleCI said no; nothing was triggered"
    UNREACHABLE = 7, "certainly nothing was triggered; safe to run again"
    UNCERTAIN = 8, "a trigger may have been accepted; look before you run it again"
    STOPPED = 9, "a guard stopped it: another node failed, or the run that was created was of another commit"
    NOTHING_RUNS = 10, "accepted, but nothing runs: skipped, errored, or no workflow matched"
    DEPLOY_FAILED = 11, "what was triggered ended badly"
    TIMED_OUT = 12, "a wait ended first"
    HELD = 13, "with `--held fail`: a deploy that is due is held by a window, a freeze or a job"
    NOT_DUE = 20, "`gate` without COMMAND: the rule does not fire, or nothing is to be done on this node"
    NOT_EXECUTABLE = 126, "`gate`: COMMAND is there and cannot be executed"
    NOT_FOUND = 127, "`gate`: there is no such COMMAND"
    INTERRUPTED = 130, "interrupted; the last line says whether a trigger had been sent"
    TERMINATED = 143, "terminated; the last line says whether a trigger had been sent"

    @property
    def label(self) -> str:
        """The name as the contract writes it, for example `nothing-runs`."""
        return self.name.lower().replace("_", "-")

    @property
    def is_result(self) -> bool:
        """Whether it is the answer to what was asked, and no failure."""
        return self in (ExitCode.OK, ExitCode.NOT_DUE)


class ToolError(Exception):
    """A foreseen failure: what happened, in one sentence, and concrete next steps."""

    exit: ClassVar[ExitCode]

    def __init_subclass__(cls, exit_code: ExitCode = ExitCode.BUG) -> None:
        cls.exit = exit_code

    def __init__(
        self,
        code: str,
        message: str,
        *hints: str,
        problems: tuple[str, ...] = (),  # a line for each of several things wrong
        source: SourceFile | None = None,
        diagnostics: tuple[Diagnostic, ...] = (),  # all that is wrong in the source, sorted
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.hints, self.problems = code, message, hints, problems
        self.source, self.diagnostics = source, diagnostics


class UsageError(ToolError, exit_code=ExitCode.USAGE):
    """The command line, or a variable that stands for an option, cannot be understood."""


class RuleFileInvalid(ToolError, exit_code=ExitCode.RULES):
    """The rule file is missing, unreadable or wrong."""


class EnvironmentInvalid(ToolError, exit_code=ExitCode.ENVIRONMENT):
    """The build's environment does not tell what a build tells."""


class FactUnavailable(ToolError, exit_code=ExitCode.UNDECIDED):
    """The outcome depends on a fact that could not be learned; nothing was sent."""


class Refused(ToolError, exit_code=ExitCode.REFUSED):
    """CircleCI answered no; nothing was triggered."""


class Unreachable(ToolError, exit_code=ExitCode.UNREACHABLE):
    """No request was received; nothing was triggered, and running again is safe."""


class Uncertain(ToolError, exit_code=ExitCode.UNCERTAIN):
    """A trigger may have been accepted; only a person (or a look at the list) can tell."""


class Stopped(ToolError, exit_code=ExitCode.STOPPED):
    """A guard stopped it: another node of the job failed, or the run that was created is of another commit."""


class NothingRuns(ToolError, exit_code=ExitCode.NOTHING_RUNS):
    """The trigger was accepted, but no workflow runs because of it."""


class DeployFailed(ToolError, exit_code=ExitCode.DEPLOY_FAILED):
    """What was triggered ran, and ended badly."""


class TimedOut(ToolError, exit_code=ExitCode.TIMED_OUT):
    """A wait ended before what was waited for could be seen."""


class Held(ToolError, exit_code=ExitCode.HELD):
    """A deploy that is due is held, and `--held fail` asked for a failure."""


class NotExecutable(ToolError, exit_code=ExitCode.NOT_EXECUTABLE):
    """The command of `gate` is there, and the system does not execute it."""


class NotFound(ToolError, exit_code=ExitCode.NOT_FOUND):
    """The command of `gate` is not there."""


class Interrupted(BaseException):
    """A signal asked to stop; `exit` says which. It is no Exception, so that no handler on the way swallows it."""

    def __init__(self, exit_code: ExitCode = ExitCode.BUG) -> None:
        super().__init__(exit_code.label)
        self.exit = exit_code
