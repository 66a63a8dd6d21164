"""What a command has to tell, at any moment: the one mutable fact that steps, signals and renderers share."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias

from deploystep.core.deploy import Outcome, TriggerSpec
from deploystep.core.errors import ExitCode, Interrupted, ToolError
from deploystep.core.frozen import Frozen
from deploystep.core.rules import Case
from deploystep.core.source import Diagnostic, SourceFile

if TYPE_CHECKING:
    from deploystep.app.init import Start
    from deploystep.app.matrix import Matrix
    from deploystep.circleci.http import Request
    from deploystep.core.build import BuildContext
    from deploystep.core.decide import Decision
    from deploystep.core.runs import Created, WorkflowState
    from deploystep.migrate.plan import Migration
    from deploystep.project.config import WouldRun

Grade: TypeAlias = Literal["ok", "warning", "error"]


class TriggerEntry:
    """One trigger: what is sent, and what came of it: `uncertain` from before it leaves until the answer is read."""

    because = ""  # why nothing was sent
    created: "Created | None" = None
    workflows: "tuple[WorkflowState, ...]" = ()
    other_commit = ""  # of which commit the run is, where it is of another
    cancelled: dict[str, bool] | None = None  # while it is being done: by name, whether CircleCI accepted it
    would_run: "WouldRun | None" = None

    def __init__(self, spec: TriggerSpec, url: str, request: "Request", outcome: Outcome) -> None:
        self.spec, self.url, self.request, self.outcome = spec, url, request, outcome


class TriedCase(Frozen):
    """One case of the rule file and what was found wrong; nothing where it passed."""

    case: Case
    failures: tuple[Diagnostic, ...]


class GateOutcome(Enum):
    """What becomes of the command of `gate`."""

    DUE = "due"
    PLANNED = "planned"
    NOT_DUE = "not-due"
    HELD = "held"
    SUPERSEDED = "superseded"


class Gated:
    """A rule that `gate` judges, the words of its command (none: only the answer is wanted), and what came of it."""

    outcome: GateOutcome | None = None
    because = path = ""
    variables: Mapping[str, str]

    def __init__(self, rule: str, command: tuple[str, ...]) -> None:
        self.rule, self.command, self.variables = rule, command, {}
        self.program = "".join(command[:1])  # the other words can hold secrets, and are not shown


class Finding(Frozen):
    """One thing that `doctor` looked at, what was found and the cure. `is_refusal`: CircleCI said no."""

    name: str
    grade: Grade
    text: str
    cure: str = ""
    is_refusal: bool = False


class Report:
    """One command's result so far, for an interruption can come between any two statements; empty: not reached."""

    build: "BuildContext | None" = None
    now: datetime | None = None
    source: SourceFile | None = None
    decision: "Decision | None" = None
    gated: Gated | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    again: str | None = None
    skipped = ""
    is_strict = has_written = shows_diff = is_cancelling = False
    tried: tuple[TriedCase, ...] = ()
    gaps: tuple[Diagnostic, ...] = ()
    start: "Start | None" = None
    migration: "Migration | None" = None
    matrix: "Matrix | None" = None
    error: ToolError | None = None
    exit = ExitCode.OK
    signalled: ExitCode | None = None  # what a signal asked for: code can swallow the exception, not this

    def __init__(self, command: str, *, is_dry: bool = True) -> None:
        self.command, self.is_dry = command, is_dry
        self.triggers, self.findings = list[TriggerEntry](), list[Finding]()

    @property
    def to_execute(self) -> Gated | None:
        """What is to take the place of this process, where it is certain that it may."""
        is_due = self.gated is not None and self.gated.outcome is GateOutcome.DUE and bool(self.gated.command)
        return self.gated if is_due and self.exit is ExitCode.OK else None

    def fail(self, error: ToolError) -> None:
        self.error, self.exit, self.source = error, error.exit, error.source or self.source
        self.diagnostics = error.diagnostics or self.diagnostics

    def raise_if_signalled(self) -> None:
        """Raise Interrupted where a signal has come, also one whose own exception was swallowed on the way."""
        if self.signalled is not None and not self.is_cancelling:
            raise Interrupted(self.signalled)
