"""What a command has to tell, at any moment: the one mutable fact that steps, signals and renderers share."""

from enum import Enum, unique
from typing import TYPE_CHECKING

from deploystep.core.deploy import Outcome, TriggerSpec
from deploystep.core.errors import ExitCode, Interrupted, ToolError
from deploystep.core.frozen import dataclass
from deploystep.core.rules import Case
from deploystep.core.source import Diagnostic, SourceFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from deploystep.app.init import Start
    from deploystep.app.matrix import Matrix
    from deploystep.circleci.http import Request
    from deploystep.core.build import BuildContext
    from deploystep.core.decide import Decision
    from deploystep.core.runs import Created, WorkflowState
    from deploystep.migrate.plan import Migration
    from deploystep.project.config import WouldRun


class TriggerEntry:
    """One trigger: what is or would be sent, and what came of it so far; `because` is why nothing was sent.

    Its outcome is `uncertain` from before the request leaves until the answer is read. While its run is being
    cancelled, `cancelled` tells of each workflow by name whether CircleCI accepted that, and `other_commit` of which
    commit the run is where it is of another.
    """

    def __init__(self, spec: TriggerSpec, url: str, request: "Request", outcome: Outcome) -> None:
        self.spec = spec
        self.url = url
        self.request = request
        self.outcome = outcome
        self.created: Created | None = None
        self.workflows: tuple[WorkflowState, ...] = ()
        self.because = ""
        self.other_commit = ""
        self.cancelled: dict[str, bool] | None = None
        self.would_run: WouldRun | None = None


@dataclass(frozen=True, slots=True)
class TriedCase:
    """One case of the rule file and what was found wrong; nothing where it passed."""

    case: Case
    failures: tuple[Diagnostic, ...]


@unique
class GateOutcome(Enum):
    """What becomes of the command of `gate`."""

    DUE = "due"
    PLANNED = "planned"
    NOT_DUE = "not-due"
    HELD = "held"
    SUPERSEDED = "superseded"


class Gated:
    """A rule that `gate` judges, with the words of its command (none: only the answer is wanted), and what came of it.

    `variables` are added to the environment of the command, whose file is at `path`.
    """

    def __init__(self, rule: str, command: tuple[str, ...]) -> None:
        self.rule = rule
        self.command = command
        self.outcome: GateOutcome | None = None
        self.because = ""
        self.variables: Mapping[str, str] = {}
        self.path = ""

    @property
    def program(self) -> str:
        """The first word of the command; the others can hold secrets, and are not shown."""
        return self.command[0] if self.command else ""


@unique
class Grade(Enum):
    """How it is: as it should be, worth a thought, or in the way of a deploy."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, what was found and the cure. `is_refusal`: CircleCI said no."""

    name: str
    grade: Grade
    text: str
    cure: str = ""
    is_refusal: bool = False


class Report:
    """One command's result so far. Parts that were not reached are empty.

    An interruption can come between any two statements, so each step writes down what it knows as soon as it knows it.
    `signalled` is what a signal asked for: code that imports or tidies up can swallow the exception, not this. While
    `is_cancelling` that is being done, until another signal comes.
    """

    def __init__(self, command: str, *, is_dry: bool = True) -> None:
        self.command = command
        self.is_dry = is_dry
        self.build: BuildContext | None = None
        self.now: datetime | None = None
        self.source: SourceFile | None = None
        self.decision: Decision | None = None
        self.triggers: list[TriggerEntry] = []
        self.gated: Gated | None = None
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self.again: str | None = None
        self.skipped = ""
        self.is_strict = False
        self.tried: tuple[TriedCase, ...] = ()
        self.gaps: tuple[Diagnostic, ...] = ()
        self.start: Start | None = None
        self.findings: list[Finding] = []
        self.migration: Migration | None = None
        self.has_written = False
        self.shows_diff = False
        self.matrix: Matrix | None = None
        self.error: ToolError | None = None
        self.exit = ExitCode.OK
        self.signalled: ExitCode | None = None
        self.is_cancelling = False

    @property
    def to_execute(self) -> Gated | None:
        """What is to take the place of this process, where it is certain that it may."""
        is_due = self.gated is not None and self.gated.outcome is GateOutcome.DUE and bool(self.gated.command)
        return self.gated if is_due and self.exit is ExitCode.OK else None

    def fail(self, error: ToolError) -> None:
        """End with an error."""
        self.error, self.exit = error, error.exit
        self.diagnostics = error.diagnostics or self.diagnostics
        self.source = error.source or self.source

    def raise_if_signalled(self) -> None:
        """Raise Interrupted where a signal has come, also one whose own exception was swallowed on the way."""
        if self.signalled is not None and not self.is_cancelling:
            raise Interrupted(self.signalled)
