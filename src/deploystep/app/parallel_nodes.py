"""The other nodes of a parallel job: node 0 waits until each has ended, and acts only if all have succeeded.

That is what CircleCI's `deploy` step did. A node is running until its last step has ended, so nodes that wait for one
another would wait for ever: only node 0 waits.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from deploystep.app.polling import CALM, poll
from deploystep.circleci import v2
from deploystep.circleci.errors import cannot_see, describe_failure
from deploystep.circleci.http import Failure, Response
from deploystep.core.build import ProjectSlug
from deploystep.core.deploy import Outcome
from deploystep.core.errors import EnvironmentInvalid, FactUnavailable, Stopped, TimedOut
from deploystep.core.runs import NodeState

if TYPE_CHECKING:
    from deploystep.app.ports import Services
    from deploystep.app.report import Report

_MOST_FAILED_READS: Final = 3
_CONFIRMING: Final = 2.0  # seconds until success is read once more: what was read once may be stale
_TOO_MANY_REQUESTS: Final = 429


#: What needs no wait for the other nodes.
WITHOUT: Final = (
    "a job of its own for the step, which requires this one, needs no wait; --nodes first does not wait either, "
    "and then deploys though another node fails"
)


def wait_for_nodes(project: ProjectSlug, limit: float, services: "Services", report: "Report") -> None:
    """Return when every other node of the build's job has certainly succeeded; `limit` is in seconds.

    Raises Stopped where one did not, TimedOut at the limit, FactUnavailable where the nodes cannot be read, and
    EnvironmentInvalid where the job's number is not known.
    """
    build, client = services.build, services.client()
    if build.build_num is None:
        raise EnvironmentInvalid(
            "job-unknown",
            f"{build.node.others} of this job cannot be waited for: CIRCLE_BUILD_NUM is not set",
            "CircleCI sets it in every job: see what takes it away",
            WITHOUT,
        )
    job, count = build.build_num, build.node.total - 1
    what = f"waiting for {count} other node{'s' if count > 1 else ''} of job {job}"
    seen: tuple[NodeState, ...] = ()
    failed_reads = successes = 0
    for look in poll(client, limit, CALM, what):
        nodes, result = v2.nodes(client, project, job)
        if nodes is None:
            successes = 0
            failed_reads += not _is_limited(result)
            if _is_final(result, failed_reads, is_first=not seen):
                raise _unreadable(job, result, client.host, services.token_name)
        else:
            failed_reads, seen = 0, other_nodes(nodes, build.node.total)
            look.tell(f"nodes: {_listed(seen)}")
            _stop_if_one_failed(job, seen, report)
            successes = successes + 1 if all(node.succeeded for node in seen) else 0
        if successes > 1:
            break
        if look.is_last:
            raise _timed_out(limit, seen)
        look.pause = _CONFIRMING if successes else None
    have = f"all {count} other nodes of job {job} have" if count > 1 else f"the other node of job {job} has"
    client.console.info(f"{have} succeeded")


def other_nodes(listed: Iterable[NodeState], total: int) -> tuple[NodeState, ...]:
    """Every node but the first, in order, as its listed entries show it together.

    Of a node that is not listed nothing is known, and it has not ended. Of one that is listed more than once, every
    entry must have succeeded; one that failed decides.
    """
    known: dict[int, NodeState] = {}
    for node in listed:
        before = known.get(node.index)
        if node.index > 0 and (before is None or node.failed or (before.succeeded and not node.succeeded)):
            known[node.index] = node
    return tuple(known.get(index, NodeState(index, "")) for index in sorted({*range(1, total), *known}))


def _stop_if_one_failed(job: int, nodes: tuple[NodeState, ...], report: "Report") -> None:
    failed = [node for node in nodes if node.failed]
    if not failed:
        return
    if report.triggers:
        report.triggers[0].outcome = Outcome.STOPPED
    names = ", ".join(f"node {node.index} {_ENDED.get(node.status, f'is {node.status}')}" for node in failed)
    raise Stopped(
        "node-failed",
        f"not every node of job {job} has succeeded: {names}",
        "see what failed there, and rerun the job",
    )


_ENDED: Final = {"failed": "failed", "timedout": "timed out", "canceled": "was cancelled", "not_run": "did not run"}


def _is_limited(result: Response | Failure) -> bool:
    return isinstance(result, Response) and result.status == _TOO_MANY_REQUESTS


def _is_final(result: Response | Failure, failed_reads: int, *, is_first: bool) -> bool:
    """A no is believed at once, silence at the beginning or the third time; a limit only asks to come later."""
    return not _is_limited(result) and (_is_no(result) or is_first or failed_reads >= _MOST_FAILED_READS)


def _is_no(result: Response | Failure) -> bool:
    return isinstance(result, Response) and 400 <= result.status < 500  # noqa: PLR2004


def _unreadable(job: int, result: Response | Failure, host: str, token_name: str) -> FactUnavailable:
    return FactUnavailable(
        "nodes-unknown",
        f"cannot tell whether the other nodes of job {job} have succeeded: {describe_failure(result, host)}",
        *((cannot_see(token_name),) if _is_no(result) else ()),
        "it is safe to run this job again",
        WITHOUT,
    )


def _timed_out(limit: float, seen: tuple[NodeState, ...]) -> TimedOut:
    waiting = _listed(tuple(node for node in seen if not node.succeeded)) or "all were seen to succeed only once"
    return TimedOut(
        "nodes-timeout",
        f"the other nodes have not ended within {limit:.0f} s: {waiting}",
        "give them longer with  --nodes-timeout 1h",
        WITHOUT,
    )


def _listed(nodes: tuple[NodeState, ...]) -> str:
    """Each state with the nodes that are in it, as in `1 2 success, 3 running`."""
    states = dict.fromkeys(node.status for node in nodes)
    of = {state: " ".join(str(n.index) for n in nodes if n.status == state) for state in states}
    return ", ".join(f"{indexes} {state or 'unknown'}" for state, indexes in of.items())
