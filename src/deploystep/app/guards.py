"""What must be so before anything is done: every other node has succeeded, and the branch is still at this commit.

A node is running until its last step has ended, so nodes that wait for one another would wait for ever: only node 0
waits. Whether the branch has moved on is decided by where it is now and by ancestry, never by time.
"""

from collections.abc import Iterable
from typing import Final

from deploystep.app.polling import CALM, poll
from deploystep.app.ports import Services
from deploystep.app.report import Report
from deploystep.circleci import v2
from deploystep.circleci.errors import cannot_see, describe_failure
from deploystep.circleci.http import Response
from deploystep.core.build import ProjectSlug, Tag
from deploystep.core.deploy import Outcome
from deploystep.core.errors import EnvironmentInvalid, FactUnavailable, Stopped, TimedOut
from deploystep.core.runs import NodeState

_LAGS: Final = (2.0, 4.0, 8.0, 16.0)  # seconds between two looks at a branch: hosts can be behind a push
_MOST_FAILED_READS: Final = 3
_CONFIRMING: Final = 2.0  # seconds until success is read once more: what was read once may be stale
#: What needs no wait for the other nodes.
WITHOUT: Final = (
    "a job of its own for the step, which requires this one, needs no wait; --nodes first does not wait either, "
    "and then deploys though another node fails"
)


def wait_for_nodes(project: ProjectSlug, limit: float, services: Services, report: Report) -> None:
    """Return when every other node of the build's job has certainly succeeded; `limit` is in seconds."""
    build, client = services.build, services.client()
    job, others = build.build_num, build.node.others
    if job is None:
        what = f"{others} of this job cannot be waited for: CIRCLE_BUILD_NUM is not set"
        raise EnvironmentInvalid("job-unknown", what, "CircleCI sets it in every job: see what takes it away", WITHOUT)
    seen: tuple[NodeState, ...] = ()
    failed_reads = successes = 0
    for look in poll(client, limit, CALM, f"waiting for {others} of job {job}"):
        nodes, result = v2.Reader(client).nodes(project, job)
        if nodes is None:
            status = result.status if isinstance(result, Response) else 0
            is_limit, is_no = status == 429, 400 <= status < 500  # noqa: PLR2004
            successes, failed_reads = 0, failed_reads + (not is_limit)
            # a no is believed at once, silence at the beginning or the third time; a limit only asks to come later
            if not is_limit and (is_no or not seen or failed_reads >= _MOST_FAILED_READS):
                why = describe_failure(result, client.host)
                what = f"cannot tell whether the other nodes of job {job} have succeeded: {why}"
                causes = (cannot_see(services.token_name),) if is_no else ()
                raise FactUnavailable("nodes-unknown", what, *causes, "it is safe to run this job again", WITHOUT)
        else:
            failed_reads, seen = 0, other_nodes(nodes, build.node.total)
            look.tell(f"nodes: {_listed(seen)}")
            if failed := ", ".join(f"node {node.index} {node.status}" for node in seen if node.failed):
                for entry in report.triggers[:1]:
                    entry.outcome = Outcome.STOPPED
                what = f"not every node of job {job} has succeeded: {failed}"
                raise Stopped("node-failed", what, "see what failed there, and rerun the job")
            successes = successes + 1 if all(node.succeeded for node in seen) else 0
        if successes > 1:
            break
        if look.is_last:
            what = f"the other nodes were not seen to succeed within {limit:.0f} s: {_listed(seen) or 'nothing read'}"
            raise TimedOut("nodes-timeout", what, "give them longer with  --nodes-timeout 1h", WITHOUT)
        look.pause = _CONFIRMING if successes else None
    client.console.info(f"{others} of job {job} succeeded")


def other_nodes(listed: Iterable[NodeState], total: int) -> tuple[NodeState, ...]:
    """Every node but the first, in order; of its entries one that failed decides, then one that has not succeeded."""
    listed = [node for node in listed if node.index > 0]
    indexes = sorted({*range(1, total), *(node.index for node in listed)})
    of = ([node for node in listed if node.index == index] or [NodeState(index, "")] for index in indexes)
    return tuple(min(entries, key=lambda node: (not node.failed, node.succeeded)) for entries in of)


def _listed(nodes: tuple[NodeState, ...]) -> str:
    """Each state with the nodes that are in it, as in `1 2 success, 3 running`."""
    of: dict[str, list[str]] = {}
    for node in nodes:
        of.setdefault(node.status or "unknown", []).append(str(node.index))
    return ", ".join(f"{' '.join(indexes)} {state}" for state, indexes in of.items())


def superseded_by(services: Services) -> str:
    """Why the commit is not to be deployed any more, or empty. A head that cannot be read stops nothing."""
    build, remote, console, lags = services.build, services.remote, services.console, iter(_LAGS)
    name = f"{'tag' if isinstance(build.ref, Tag) else 'branch'} {build.ref.name}"
    while remote is not None:
        head = remote.head(build.ref)
        if head.trouble:
            console.info(f"the head of {name} could not be read ({head.trouble}): nothing tells whether it moved on")
        elif head.revision is None:
            console.warning(f"{name} is not in the repository any more")
        if head.trouble or head.revision is None or head.revision == build.revision:
            break
        if remote.contains(head.revision, build.revision):
            is_skipped = remote.is_skipped(head.revision)
            skipped = "; its message says [skip ci], so nothing is deployed until the next push" if is_skipped else ""
            return f"{name} has moved on to {head.revision}, which is newer{skipped}"
        at, pause = f"{name} is at {head.revision}, which is not known to be newer", next(lags, None)
        if pause is None:
            what = f"cannot tell whether {build.revision} is still to be deployed: {at}"
            again = "run this step again: hosts can be some seconds behind a push"
            raise FactUnavailable("undecided", what, again, f"if it was rewritten, let {name} point at this commit")
        console.info(f"{at}: looking again in {pause:.0f} s")
        services.clock.sleep(pause)
    return ""
