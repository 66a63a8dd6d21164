"""Was this deploy triggered before? What earlier runs of the same commit mean for a rule that is due again.

Pure. A run does not show the parameters that it was given, so a rule knows its runs by the name of the workflow that it
starts. Where several rules start one workflow, nothing tells whose a run is.
"""

from collections.abc import Sequence

from deploystep.core.frozen import dataclass
from deploystep.core.runs import NEVER_RAN, Run, WorkflowState


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """An earlier run of this commit that holds the rule's workflow."""

    run: Run
    workflow: WorkflowState

    @property
    def is_active(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self.workflow.is_active

    @property
    def failed(self) -> bool:
        """Whether it ended badly, or never ran."""
        return self.workflow.failed


def adoptable(found: Sequence[EarlierRun]) -> EarlierRun | None:
    """The run, of those given newest first, that makes another trigger a second deploy; None where none does."""
    active = next((earlier for earlier in found if earlier.is_active), None)
    if active is not None:
        return active  # never two, whatever came after it
    # what was cancelled, or never ran, has undone nothing: a build cancels a run that turns out to be of another commit
    ran = next((earlier for earlier in found if earlier.workflow.status not in NEVER_RAN), None)
    return ran if ran is not None and not ran.failed else None
