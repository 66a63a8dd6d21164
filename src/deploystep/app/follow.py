"""With --wait: follows what was triggered to its end, and says whether it ended well."""

from deploystep.app.courier import Courier
from deploystep.app.vigil import CALM, Vigil
from deploystep.circleci.answers import Asked
from deploystep.circleci.dialects import DIALECTS, identity
from deploystep.core.deploy import TriggerSpec
from deploystep.core.errors import DeployFailed, TimedOut
from deploystep.core.frozen import dataclass
from deploystep.core.runs import ON_HOLD, RERUN, Created, WorkflowState, newest


@dataclass(frozen=True, slots=True)
class Ending:
    """How the followed workflows ended, or None where they have not; in any case what was seen of all."""

    workflows: tuple[WorkflowState, ...]
    error: DeployFailed | TimedOut | None


@dataclass(frozen=True, slots=True)
class Follower:
    """Follows one run: the workflow that the rule names, or all where it names none. `limit` is in seconds."""

    spec: TriggerSpec
    created: Created
    asked: Asked
    courier: Courier
    limit: float

    def follow(self) -> Ending:
        """Look until the workflows have ended or the time is up. States that nobody knows go on."""
        vigil = Vigil(self.courier.clock, self.courier.progress, self.limit, CALM, f"following {self.created.url}")
        held: set[str] = set()
        seen: tuple[WorkflowState, ...] = ()
        failed_at: float | None = None
        while True:
            read = self.courier.converse(DIALECTS[self.spec.api].workflows(self.asked, identity(self.created)))
            seen = seen if read is None else read
            counted = newest(seen, self.spec.starts)
            vigil.tell(f"{self.asked.rule}: {_listed(counted) if read is not None else 'could not be read just now'}")
            self._tell_held(counted, held)
            failed_at = self._failed_since(counted, failed_at)
            if self._is_over(counted, failed_at):
                return Ending(seen, self._verdict(counted))
            if vigil.has_ended:
                return Ending(seen, self._timed_out(counted))
            vigil.rest()

    def _tell_held(self, workflows: tuple[WorkflowState, ...], held: set[str]) -> None:
        """Say once that a workflow waits for a person."""
        for workflow in workflows:
            if workflow.status == ON_HOLD and workflow.id not in held:
                held.add(workflow.id)
                self.courier.progress.warning(
                    f"workflow {workflow.name} is on hold: approve it at {self._url(workflow)}"
                )

    def _url(self, workflow: WorkflowState) -> str:
        if self.created.id is None or self.created.number is None:
            return self.created.url
        return f"{self.created.url}/workflows/{workflow.id}"

    def _failed_since(self, workflows: tuple[WorkflowState, ...], before: float | None) -> float | None:
        """Since when all has ended while CircleCI may rerun what failed; None where that is not so."""
        if not any(w.failed and w.reruns_left for w in workflows):
            return None
        return self.courier.clock.monotonic() if before is None else before

    def _is_over(self, workflows: tuple[WorkflowState, ...], failed_at: float | None) -> bool:
        if not workflows or any(w.is_active for w in workflows):
            return False
        return failed_at is None or self.courier.clock.monotonic() - failed_at >= RERUN

    def _verdict(self, workflows: tuple[WorkflowState, ...]) -> DeployFailed | None:
        failed = tuple(w for w in workflows if not w.succeeded)
        if not failed:
            return None
        return DeployFailed(
            "deploy-failed",
            f"what rule '{self.asked.rule}' triggered ended badly: {_listed(failed)}",
            f"see why at {self._url(failed[0])}",
            "rerun this job to trigger it again: what has failed is not taken for a deploy",
        )

    def _timed_out(self, workflows: tuple[WorkflowState, ...]) -> TimedOut:
        return TimedOut(
            "wait-timeout",
            f"what rule '{self.asked.rule}' triggered has not ended within {self.limit:.0f} s: {_listed(workflows)}",
            f"it goes on: {self.created.url}",
            "do not run this step again for it; give it longer with  --wait 2h",
        )


def _listed(workflows: tuple[WorkflowState, ...]) -> str:
    return ", ".join(f"workflow {w.name} is {w.status}" for w in workflows) or "no workflow was seen"
