"""What a command has to tell, whatever happened: the value that both renderers take."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from deploystep.core.build import BuildContext
from deploystep.core.cases import Case
from deploystep.core.decide import Decision
from deploystep.core.deploy import Outcome, TriggerSpec
from deploystep.core.errors import Diagnosed, ToolError
from deploystep.core.exits import ExitCode
from deploystep.core.frozen import dataclass, replace
from deploystep.core.runs import Created, WorkflowState
from deploystep.core.source import Diagnostic, SourceFile

if TYPE_CHECKING:
    from deploystep.circleci.wire import Request


@dataclass(frozen=True, slots=True)
class TriggerReport:
    """One trigger: what is or would be sent, and what came of it; `because` is why nothing was sent."""

    spec: TriggerSpec
    url: str
    request: "Request"
    outcome: Outcome
    created: Created | None = None
    workflows: tuple[WorkflowState, ...] = ()
    because: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """The step has nothing to do here, and why, in one sentence."""

    because: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One case of the rule file and what was found wrong; nothing where it passed."""

    case: Case
    failures: tuple[Diagnostic, ...]


class Journal:
    """What is known to have been sent, at any moment: an interruption can come between any two steps.

    The one mutable thing of a run. A trigger is `uncertain` from before its request leaves until the answer is read.
    """

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        """`check` is the last word before a request leaves: it raises where none is to leave any more."""
        self._check = check
        self._entries: list[TriggerReport] = []

    def plan(self, entries: tuple[TriggerReport, ...]) -> None:
        """Everything that is to be sent; nothing of it has been."""
        self._entries = list(entries)

    def sending(self, index: int) -> None:
        """The request of one trigger is about to leave: from now on it may have been received."""
        self._check()
        self._set(index, replace(self._entries[index], outcome=Outcome.UNCERTAIN))

    def created(self, index: int, created: Created) -> None:
        """CircleCI has said what it created."""
        self._set(index, replace(self._entries[index], outcome=Outcome.TRIGGERED, created=created))

    def adopted(self, index: int, created: Created, workflows: tuple[WorkflowState, ...], because: str) -> None:
        """The deploy was triggered before: nothing is sent."""
        outcome = Outcome.ALREADY_TRIGGERED
        entry = replace(self._entries[index], outcome=outcome, created=created, workflows=workflows, because=because)
        self._set(index, entry)

    def superseded(self, index: int, because: str) -> None:
        """Another commit has taken this one's place: nothing is sent."""
        self._set(index, replace(self._entries[index], outcome=Outcome.SUPERSEDED, because=because))

    def seen(self, index: int, workflows: tuple[WorkflowState, ...], revision: str | None) -> None:
        """What runs because of the trigger, and of which commit."""
        entry = self._entries[index]
        created = replace(entry.created, revision=revision) if entry.created else None
        self._set(index, replace(entry, created=created, workflows=workflows))

    def ended(self, index: int, outcome: Outcome) -> None:
        """Something went wrong, and this is what it means for the trigger."""
        self._set(index, replace(self._entries[index], outcome=outcome))

    def _set(self, index: int, entry: TriggerReport) -> None:
        self._entries[index] = entry

    @property
    def entries(self) -> tuple[TriggerReport, ...]:
        """Every trigger in the order of sending."""
        return tuple(self._entries)


@dataclass(frozen=True, slots=True)
class Report:
    """One command's result. Parts that were not reached are empty."""

    command: str
    is_dry: bool
    build: BuildContext | None = None
    now: datetime | None = None
    source: SourceFile | None = None
    decision: Decision | None = None
    triggers: tuple[TriggerReport, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    again: str | None = None
    skipped: Skipped | None = None
    tried: tuple[Tried, ...] = ()
    gaps: tuple[Diagnostic, ...] = ()
    error: ToolError | None = None
    exit: ExitCode = ExitCode.OK

    def failed(self, error: ToolError) -> "Report":
        """The same, ended by an error."""
        if not isinstance(error, Diagnosed):
            return replace(self, error=error, exit=error.exit)
        source = error.source or self.source
        return replace(self, error=error, exit=error.exit, diagnostics=error.diagnostics, source=source)
