"""Runs of CircleCI (pipelines of API v2) as they are seen; a job of API v1.1 is one with one workflow of its name."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import ClassVar, Final

from deploystep.core.build import Branch, Tag
from deploystep.core.frozen import Frozen

# States in CircleCI's own words (v2 OpenAPI, Workflow.status and Job.status); one that is not known here goes on.
#: Ended without having run at all.
NEVER_RAN: Final = frozenset({"error", "canceled", "not_run", "unauthorized"})
_ENDED_BADLY: Final = NEVER_RAN | {"failed", "infrastructure_fail", "timedout", "terminated-unknown"}
ON_HOLD: Final = "on_hold"
RERUN: Final = 120.0  # seconds in which CircleCI's own rerun of a failed workflow is to appear


class Created(Frozen):
    """What CircleCI says it created: a run, or by API v1.1 one job; `state` is in CircleCI's words."""

    id: str | None  # None of a job
    number: int | None
    url: str
    state: str = ""
    revision: str | None = None


class _State:
    __slots__ = ()
    _bad: ClassVar = _ENDED_BADLY
    status: str

    @property
    def succeeded(self) -> bool:
        return self.status == "success"

    @property
    def failed(self) -> bool:
        return self.status in self._bad

    @property
    def is_active(self) -> bool:
        return not (self.succeeded or self.failed)


class WorkflowState(Frozen, _State):
    """A workflow of a run, by name, with CircleCI's word for its state."""

    id: str
    name: str
    status: str
    is_setup: bool = False
    created: datetime | None = None  # of those of one name the newest counts: a rerun has the name of what it repeats
    reruns_left: int = 0  # how often CircleCI will yet rerun it by itself if it fails
    stopped: datetime | None = None


class NodeState(Frozen, _State):
    """One node of a parallel job, with CircleCI's word for its state (v2 OpenAPI, Job Details, parallel_runs)."""

    _bad = _ENDED_BADLY | {"retried"}
    index: int
    status: str


class Run(Frozen):
    """A run as it was seen at one moment. None stands for what the answer does not tell."""

    id: str
    number: int | None = None
    revision: str | None = None
    ref: Branch | Tag | None = None
    created: datetime | None = None
    is_by_api: bool | None = None  # whether a trigger through the API made it
    is_errored: bool = False
    is_forming: bool = False  # its workflows may not have been made yet
    errors: tuple[str, ...] = ()


class EarlierRun(Frozen):
    """An earlier run of a deploy with the workflows that count. `has_key`: its configuration holds the deploy key."""

    run: Run
    workflows: tuple[WorkflowState, ...]
    has_key: bool = False

    @property
    def is_active(self) -> bool:
        return any(workflow.is_active for workflow in self.workflows)

    @property
    def succeeded(self) -> bool:
        return bool(self.workflows) and all(workflow.succeeded for workflow in self.workflows)

    @property
    def failed(self) -> bool:
        """Whether it ended badly, or never ran."""
        return not self.is_active and not self.succeeded

    @property
    def status(self) -> str:
        """CircleCI's words for its workflows' states, as in `success` or `running, on_hold`."""
        return ", ".join(dict.fromkeys(workflow.status for workflow in self.workflows))


def newest(workflows: Iterable[WorkflowState], name: str | None = None) -> tuple[WorkflowState, ...]:
    """The workflows that count, without setup workflows: of each name the newest; with `name` only that one."""
    found: dict[str, WorkflowState] = {}
    for one in workflows:
        if one.is_setup or name not in (None, one.name):
            continue
        other = found.setdefault(one.name, one)
        # where nothing tells which is the newest, one that is alive, or else one that succeeded, is taken for it
        is_newer = (one.is_active, one.succeeded) > (other.is_active, other.succeeded)
        if one.created and other.created and one.created != other.created:
            is_newer = one.created > other.created
        found[one.name] = one if is_newer else other
    return tuple(found.values())


def ends_in_setup(workflows: Iterable[WorkflowState]) -> bool:
    """Whether a setup workflow did not succeed, and none was run again: nothing comes after it."""
    setups = [workflow for workflow in workflows if workflow.is_setup]
    return bool(setups) and all(workflow.failed for workflow in setups)


def adoptable(found: Sequence[EarlierRun]) -> EarlierRun | None:
    """The run, of those given newest first, that makes another trigger a second deploy; None where none does."""
    # what never ran, or was cancelled, has undone nothing: a build cancels a run that is of another commit
    ran = [earlier for earlier in found if any(workflow.status not in NEVER_RAN for workflow in earlier.workflows)]
    last = ran[0] if ran and ran[0].succeeded else None
    return next((earlier for earlier in found if earlier.is_active), last)  # never two, whatever came after it
