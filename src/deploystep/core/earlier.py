"""Was this deploy triggered before? What earlier runs of the same commit mean for a rule that is due again.

Pure. A run does not show the parameters that it was given, so a rule knows its runs by the name of the workflow that it
starts. Where several rules start one workflow, the order of the runs tells them apart, or nothing does.
"""

from enum import Enum, unique
from typing import TypeAlias

from deploystep.core.frozen import dataclass
from deploystep.core.runs import NEVER_RAN, Run, WorkflowState
from deploystep.core.sharing import ALONE, Share


@unique
class State(Enum):
    """How the workflow of an earlier run stands."""

    ALIVE = "alive"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier run of this commit that holds the rule's workflow."""

    run: Run
    workflow: WorkflowState

    @property
    def state(self) -> State:
        """How it stands."""
        if self.workflow.is_active:
            return State.ALIVE
        return State.SUCCEEDED if self.workflow.succeeded else State.FAILED


@dataclass(frozen=True, slots=True)
class Adopt:
    """The rule's deploy is this run: nothing is to be sent."""

    earlier: Earlier


@dataclass(frozen=True, slots=True)
class Fire:
    """There is none, or it failed: the rule is to be sent."""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """There are runs, and nothing tells which rules they are of."""

    earlier: tuple[Earlier, ...]


Choice: TypeAlias = Adopt | Fire | Ambiguous


def choose(found: tuple[Earlier, ...], share: Share = ALONE, claimed: frozenset[str] | None = None) -> Choice:
    """What to do, given the earlier runs, newest first.

    `claimed` are the ids of the runs that the rules before this one turned out to have; None where nobody has looked.
    """
    if not found:
        return Fire()
    if share.count > 1:
        return _among(found, share, claimed)
    alive = next((e for e in found if e.state is State.ALIVE), None)
    if alive is not None:
        return Adopt(alive)  # never two, whatever came after it
    # what was cancelled, or never ran, has undone nothing: a build cancels a run that turns out to be of another commit
    ran = next((e for e in found if e.workflow.status not in NEVER_RAN), None)
    return Adopt(ran) if ran is not None and ran.state is State.SUCCEEDED else Fire()


def _among(found: tuple[Earlier, ...], share: Share, claimed: frozenset[str] | None) -> Choice:
    """Runs of several rules: the first run is the first rule's, as long as each rule has sent at most one."""
    if not share.is_steady or len(found) > share.count or any(e.state is State.FAILED for e in found):
        return Ambiguous(found)
    in_order = found[::-1]
    if claimed is not None and [e.run.id in claimed for e in in_order] != [
        at < share.place for at in range(len(found))
    ]:
        return Ambiguous(found)  # the runs before this rule's own must be those of the rules before it
    return Adopt(in_order[share.place]) if share.place < len(in_order) else Fire()
