"""With --wait: follows what was triggered to its end, and says whether it ended well."""

from typing import TYPE_CHECKING, Final

from deploystep.app.polling import CALM, poll
from deploystep.circleci.apis import Api, run_key
from deploystep.core.errors import DeployFailed, TimedOut
from deploystep.core.runs import ON_HOLD, RERUN, Created, WorkflowState, newest

if TYPE_CHECKING:
    from deploystep.app.report import TriggerEntry

_SETTLING: Final = 15.0  # seconds without another workflow, after which none is expected where none is named


def follow(entry: "TriggerEntry", api: Api, limit: float) -> None:
    """Look until the workflow that the rule names (or all, where it names none) has ended; `limit` is in seconds.

    States that nobody knows go on. Raises DeployFailed, or TimedOut where the time is up.
    """
    if entry.created is None:
        return
    created, rule, client = entry.created, entry.spec.rule, api.client
    held: set[str] = set()
    failed_at: float | None = None
    seen: frozenset[str] = frozenset()
    changed_at = 0.0
    for look in poll(client, limit, CALM, f"following {created.url}"):
        asked_at = look.elapsed  # an answer tells how it stood then, however late it comes
        read = api.workflows(run_key(created))
        entry.workflows = entry.workflows if read is None else read
        if seen != (ids := frozenset(w.id for w in entry.workflows)):
            seen, changed_at = ids, look.elapsed
        counted = newest(entry.workflows, entry.spec.starts)
        look.tell(f"{rule}: {_listed(counted) if read is not None else 'could not be read just now'}")
        for workflow in counted:
            if workflow.status == ON_HOLD and workflow.id not in held:
                held.add(workflow.id)
                client.console.warning(f"workflow {workflow.name} is on hold: approve it at {_url(created, workflow)}")
        may_rerun = any(w.failed and w.reruns_left for w in counted)
        failed_at = (look.elapsed if failed_at is None else failed_at) if may_rerun else None
        is_final = failed_at is None or asked_at - failed_at >= RERUN
        is_whole = entry.spec.starts is not None or asked_at - changed_at >= _SETTLING
        if counted and is_final and is_whole and not any(w.is_active for w in counted):
            skipped = _jobs_not_run(counted, api)
            if skipped is not None:
                _raise_if_failed(rule, created, counted, skipped)
                return
            look.tell(f"{rule}: the jobs of what has ended could not be read just now")
        if look.is_last:
            raise TimedOut(
                "wait-timeout",
                f"what rule '{rule}' triggered has not ended within {limit:.0f} s: {_listed(counted)}",
                f"it goes on: {created.url}",
                "rerun this job to wait on: it finds this run; or give it longer with  --wait 2h"
                if entry.spec.is_recognised
                else "do not run this step again for it; give it longer with  --wait 2h",
            )


def _jobs_not_run(workflows: tuple[WorkflowState, ...], api: Api) -> tuple[str, ...] | None:
    """Jobs that did not run although their workflow says success; None where that cannot be read."""
    found: tuple[str, ...] = ()
    for workflow in workflows:
        skipped = api.jobs_not_run(workflow) if workflow.succeeded else ()
        if skipped is None:
            return None
        found += skipped
    return found


def _raise_if_failed(
    rule: str, created: Created, workflows: tuple[WorkflowState, ...], skipped: tuple[str, ...]
) -> None:
    failed = tuple(w for w in workflows if not w.succeeded)
    rerun = "rerun this job to trigger it again: what has failed or did not run is not taken for a deploy"
    if failed:
        raise DeployFailed(
            "deploy-failed",
            f"what rule '{rule}' triggered ended badly: {_listed(failed)}",
            f"see why at {_url(created, failed[0])}",
            rerun,
        )
    if skipped:
        raise DeployFailed(
            "deploy-skipped",
            f"what rule '{rule}' triggered says success, but did not run: {', '.join(skipped)}",
            f"look at {_url(created, workflows[0])}",
            "possible causes: a newer run took over its serial group, or what the job requires did not happen",
            rerun,
        )


def _url(created: Created, workflow: WorkflowState) -> str:
    if created.id is None or created.number is None:
        return created.url
    return f"{created.url}/workflows/{workflow.id}"


def _listed(workflows: tuple[WorkflowState, ...]) -> str:
    return ", ".join(f"workflow {w.name}: {w.status}" for w in workflows) or "no workflow was seen"
