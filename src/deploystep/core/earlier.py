"""Was this deploy triggered before? What earlier runs mean for a rule that is due again. Pure.

A run is known by the deploy key that its compiled configuration holds; a run that holds none, by its commit and by the
workflow that the rule starts. Where several rules start one workflow, nothing but the key tells whose a run is.
"""

from collections.abc import Sequence

from deploystep.core.frozen import dataclass
from deploystep.core.runs import NEVER_RAN, Run, WorkflowState


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """An earlier run of a deploy with the workflows that count. `has_key`: its configuration holds the deploy key."""

    run: Run
    workflows: tuple[WorkflowState, ...]
    has_key: bool = False

    @property
    def is_active(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return any(workflow.is_active for workflow in self.workflows)

    @property
    def succeeded(self) -> bool:
        """Whether every workflow that counts has ended well."""
        return bool(self.workflows) and all(workflow.succeeded for workflow in self.workflows)

    @property
    def failed(self) -> bool:
        """Whether it ended badly, or never ran."""
        return not self.is_active and not self.succeeded

    @property
    def never_ran(self) -> bool:
        """Whether it ended without having run at all."""
        return all(workflow.status in NEVER_RAN for workflow in self.workflows)

    @property
    def status(self) -> str:
        """CircleCI's words for its workflows' states, as in `success` or `running, on_hold`."""
        return ", ".join(dict.fromkeys(workflow.status for workflow in self.workflows))


def adoptable(found: Sequence[EarlierRun]) -> EarlierRun | None:
    """The run, of those given newest first, that makes another trigger a second deploy; None where none does."""
    active = next((earlier for earlier in found if earlier.is_active), None)
    if active is not None:
        return active  # never two, whatever came after it
    # what was cancelled, or never ran, has undone nothing: a build cancels a run that turns out to be of another commit
    ran = next((earlier for earlier in found if not earlier.never_ran), None)
    return ran if ran is not None and ran.succeeded else None
