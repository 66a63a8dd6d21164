"""The other nodes of a parallel job: node 0 waits until each has ended, and acts only if all have succeeded.

That is what CircleCI's `deploy` step did. A node is running until its last step has ended, so nodes that wait for one
another would wait for ever: only node 0 waits.
"""

from typing import Final

from deploystep.app.courier import Courier
from deploystep.app.vigil import CALM, Vigil
from deploystep.circleci import v2
from deploystep.circleci.answers import describe_failure
from deploystep.circleci.wire import Failure, Response
from deploystep.core.build import BuildContext, ProjectSlug
from deploystep.core.errors import EnvironmentInvalid, FactUnavailable, Stopped, TimedOut
from deploystep.core.frozen import dataclass
from deploystep.core.runs import NodeState

_MOST_HICCUPS: Final = 3
_CONFIRMING: Final = 2.0  # seconds until all that has succeeded is read once more


@dataclass(frozen=True, slots=True)
class Siblings:
    """The nodes 1 to `total` - 1 of one job. `limit` is in seconds."""

    project: ProjectSlug
    number: int
    total: int
    courier: Courier
    limit: float

    def wait(self) -> None:
        """Return when every other node has certainly succeeded.

        Raises Stopped where one did not, TimedOut at the limit, FactUnavailable where the nodes cannot be read.
        """
        count, of = self.total - 1, f"of job {self.number}"
        others = f"{count} other nodes {of}" if count > 1 else f"1 other node {of}"
        vigil = Vigil(self.courier.clock, self.courier.progress, self.limit, CALM, f"waiting for {others}")
        seen: tuple[NodeState, ...] = ()
        hiccups = successes = 0
        while successes < 2:  # noqa: PLR2004 - what was read once may be stale
            result = self.courier.deliver(v2.nodes_request(self.project, self.number))
            nodes = v2.read_nodes(result)
            if nodes is None:
                hiccups += not _is_limited(result)
                self._stop_unread(result, hiccups, is_first=not seen)
            else:
                hiccups, seen = 0, self._others(nodes)
                vigil.tell(f"nodes: {_listed(seen)}")
                self._stop_failed(seen)
            successes = successes + 1 if nodes is not None and all(n.succeeded for n in seen) else 0
            if successes < 2:  # noqa: PLR2004
                self._rest(vigil, seen, is_confirming=successes == 1)
        self.courier.progress.info(
            f"all {others} have succeeded" if count > 1 else f"the other node {of} has succeeded"
        )

    def _others(self, nodes: tuple[NodeState, ...]) -> tuple[NodeState, ...]:
        """Every node but the first; of one that is not listed nothing is known, and it has not ended."""
        # of one that is listed twice, only success both times is success
        known = {node.index: node for node in sorted(nodes, key=lambda node: not node.succeeded)}
        indexes = sorted({*range(1, self.total), *(index for index in known if index > 0)})
        return tuple(known.get(index, NodeState(index, "")) for index in indexes)

    def _rest(self, vigil: Vigil, seen: tuple[NodeState, ...], *, is_confirming: bool) -> None:
        if vigil.has_ended:
            raise self._gave_up(seen)
        if is_confirming:
            vigil.wait(_CONFIRMING)
        else:
            vigil.rest()

    def _stop_failed(self, nodes: tuple[NodeState, ...]) -> None:
        failed = [node for node in nodes if node.failed]
        if failed:
            names = ", ".join(f"node {node.index} is {node.status}" for node in failed)
            raise Stopped(
                "node-failed",
                f"not every node of job {self.number} has succeeded: {names}; nothing was triggered",
                "see what failed there, and rerun the job",
            )

    def _stop_unread(self, result: Response | Failure, hiccups: int, *, is_first: bool) -> None:
        """A no is believed at once, silence at the beginning or the third time; a limit only asks to come later."""
        is_no = isinstance(result, Response) and 400 <= result.status < 500  # noqa: PLR2004
        if not _is_limited(result) and (is_no or is_first or hiccups >= _MOST_HICCUPS):
            came = describe_failure(result, self.courier.transport.host)
            raise FactUnavailable(
                "nodes-unknown",
                f"cannot tell whether the other nodes of job {self.number} have succeeded: {came}; nothing was sent",
                f"the token must be a personal API token of a user who can see {self.project}",
                "or put the step into a job of its own that requires this one, or give  --nodes first",
            )

    def _gave_up(self, nodes: tuple[NodeState, ...]) -> TimedOut:
        waiting = _listed(tuple(node for node in nodes if not node.succeeded)) or "all were seen to succeed only once"
        return TimedOut(
            "nodes-timeout",
            f"the other nodes have not ended within {self.limit:.0f} s: {waiting}; nothing was triggered",
            "give them longer with  --nodes-timeout 1h",
            "or put the step into a job of its own that requires this one",
        )


def _is_limited(result: Response | Failure) -> bool:
    return isinstance(result, Response) and result.status == 429  # noqa: PLR2004


def _listed(nodes: tuple[NodeState, ...]) -> str:
    """Each state with the nodes that are in it, as in `1 2 success, 3 running`."""
    states = dict.fromkeys(node.status for node in nodes)
    of = {state: " ".join(str(n.index) for n in nodes if n.status == state) for state in states}
    return ", ".join(f"{indexes} {state or 'unknown'}" for state, indexes in of.items())


def siblings_of(build: BuildContext, project: ProjectSlug, courier: Courier, limit: float) -> Siblings:
    """The other nodes of this build's job. Raises EnvironmentInvalid where the job's number is not known."""
    if build.build_num is None:
        raise EnvironmentInvalid(
            "job-unknown",
            f"{build.node.others} of this job cannot be waited for: CIRCLE_BUILD_NUM is not set",
            "run the step inside a job, or give  --nodes first",
        )
    return Siblings(project, build.build_num, build.node.total, courier, limit)
