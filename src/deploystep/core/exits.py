"""The exit codes: one number, one name, one meaning each. The table in the docs is built from this."""

from enum import IntEnum, unique


@unique
class ExitCode(IntEnum):
    """How a command ended. The number is what the shell sees, `label` is what JSON shows."""

    OK = 0
    BUG = 1
    USAGE = 2
    RULES = 3
    ENVIRONMENT = 4
    UNDECIDED = 5
    REFUSED = 6
    UNREACHABLE = 7
    UNCERTAIN = 8
    STOPPED = 9
    NOTHING_RUNS = 10
    DEPLOY_FAILED = 11
    TIMED_OUT = 12
    HELD = 13
    NOT_DUE = 20
    NOT_EXECUTABLE = 126
    NOT_FOUND = 127
    INTERRUPTED = 130
    TERMINATED = 143

    @property
    def label(self) -> str:
        """The name as the contract writes it, for example `nothing-runs`."""
        return self.name.lower().replace("_", "-")

    @property
    def is_result(self) -> bool:
        """Whether it is the answer to what was asked, and no failure."""
        return self in (ExitCode.OK, ExitCode.NOT_DUE)

    @property
    def meaning(self) -> str:
        """One line for people."""
        return _MEANING[self]


_MEANING = {
    ExitCode.OK: "triggered and confirmed, or rightly did nothing",
    ExitCode.BUG: "an exception nobody foresaw",
    ExitCode.USAGE: "bad arguments",
    ExitCode.RULES: "the rule file is missing or wrong; `check` found errors; `test` had a failing case",
    ExitCode.ENVIRONMENT: "not in a build, a variable is missing or malformed, or there is no token",
    ExitCode.UNDECIDED: "a fact that the decision depends on could not be learned; nothing was sent",
    ExitCode.REFUSED: "CircleCI said no; nothing was triggered",
    ExitCode.UNREACHABLE: "certainly nothing was triggered; safe to run again",
    ExitCode.UNCERTAIN: "a trigger may have been accepted; look before you run it again",
    ExitCode.STOPPED: "a guard stopped it: another node failed, or the run that was created was of another commit",
    ExitCode.NOTHING_RUNS: "accepted, but nothing runs: skipped, errored, or no workflow matched",
    ExitCode.DEPLOY_FAILED: "what was triggered ended badly",
    ExitCode.TIMED_OUT: "a wait ended first",
    ExitCode.HELD: "with `--held fail`: a deploy that is due is held by a window, a freeze or a job",
    ExitCode.NOT_DUE: "`gate` without COMMAND: the rule does not fire, or nothing is to be done on this node",
    ExitCode.NOT_EXECUTABLE: "`gate`: COMMAND is there and cannot be executed",
    ExitCode.NOT_FOUND: "`gate`: there is no such COMMAND",
    ExitCode.INTERRUPTED: "interrupted; the last line says whether a trigger had been sent",
    ExitCode.TERMINATED: "terminated; the last line says whether a trigger had been sent",
}
