"""Looks through CircleCI's lists for an earlier run of a deploy, and for the run of a trigger whose answer was lost.

Lists lag behind. What is missing in one may be there a moment later; so what must not be missed is looked for again,
and what cannot be told is an error, never a guess.
"""

from datetime import datetime, timedelta
from typing import Final

from deploystep.app.polling import BRISK, poll
from deploystep.circleci.apis import Api
from deploystep.circleci.client import Client, Recent
from deploystep.circleci.errors import unread
from deploystep.core.deploy import TriggerSpec
from deploystep.core.earlier import EarlierRun, adoptable
from deploystep.core.errors import FactUnavailable, Uncertain
from deploystep.core.frozen import dataclass, replace
from deploystep.core.runs import RERUN, Run, WorkflowState, ends_in_setup, newest

_DEPTH: Final = 100  # runs that are read, where this build's own pipeline is not among them
_BEYOND: Final = 20  # runs of other commits, after which none of this one is expected
_LOOKING: Final = 90.0  # seconds in which an earlier run must show whether it is this deploy
_SETTLING: Final = 10.0  # a run of that age, in seconds, may be about to be cancelled by the build that made it
_BESIDE: Final = timedelta(seconds=60)  # in a run of that age another workflow may yet appear beside others
_AT_ALL: Final = timedelta(minutes=15)  # in a run, or after a setup workflow, of that age workflows may yet appear


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The runs that there were just before a trigger, newest first; `is_read` is whether the list could be read.

    `moment` is the time by the server's clock, None where it does not tell; `at` is the monotonic time in seconds.
    """

    runs: tuple[Run, ...]
    moment: datetime | None = None
    at: float = 0.0
    is_read: bool = True


NOT_READ: Final = Snapshot((), is_read=False)


class EarlierRuns:
    """Looks on behalf of one trigger.

    `own` is the pipeline that this build is in: it can be an earlier run itself, if a trigger made it. `made_here` are
    the runs that this very process has triggered for other rules.
    """

    def __init__(
        self, spec: TriggerSpec, api: Api, client: Client, own: str | None, made_here: frozenset[str] = frozenset()
    ) -> None:
        self._spec = spec
        self._api = api
        self._client = client
        self._own = None if spec.job is not None else own  # a list of jobs has no pipelines in it
        self._made_here = made_here

    def snapshot(self, *, must_be_read: bool) -> Snapshot:
        """What there is now.

        Raises Refused, Unreachable or FactUnavailable where that must be known and cannot be read.
        """
        result = self._api.recent(self._reaches_back if must_be_read else _is_deep)
        if not isinstance(result, Recent):
            if must_be_read:
                raise unread(result, self._api.context)
            return NOT_READ
        if must_be_read and not result.is_whole:
            raise self._undecided("the list of runs does not end, and this build's own is not in it")
        return Snapshot(result.runs, result.moment, self._client.clock.monotonic())

    def find(self, snapshot: Snapshot) -> EarlierRun | None:
        """The earlier run of this very deploy. Raises FactUnavailable where nobody can tell whether there is one."""
        candidates = [r for r in snapshot.runs if r.revision in (self._spec.revision, None) and self._may_be_ours(r)]
        found = [held for run in candidates if (held := self._holding(run, snapshot)) is not None]
        found = _newest_first(found)
        choice = adoptable(found)
        if choice is not None and self._is_unsettled(choice, snapshot):
            found = self._settled(found, snapshot)
            choice = adoptable(found)
        if self._spec.sharing and any(not earlier.failed for earlier in found):
            raise self._ambiguous(found)
        return choice

    def _reaches_back(self, runs: tuple[Run, ...]) -> bool:
        """Whether the list goes back beyond this commit: to this build's own pipeline, and to many of other commits.

        An earlier run can be older than this build's own pipeline, if another build of the commit made it.
        """
        ours = [at for at, run in enumerate(runs) if run.id == self._own or run.revision == self._spec.revision]
        is_far = len(runs) >= _DEPTH if self._own is None else any(runs[at].id == self._own for at in ours)
        return is_far and len(runs) - max(ours, default=-1) > _BEYOND

    def _may_be_ours(self, run: Run) -> bool:
        """Whether it is of this branch or tag, and a trigger of another process may have made it."""
        return run.is_by_api is not False and run.ref in (self._spec.ref, None) and run.id not in self._made_here

    def _holding(self, run: Run, snapshot: Snapshot) -> EarlierRun | None:
        """The run with the workflow that the rule starts; None where it has none, or is no run of this deploy."""
        known = self._api.details(run)
        if known.is_by_api is False or known.revision not in (self._spec.revision, None):
            return None
        workflow = self._awaited(known, snapshot)
        if workflow is None:
            return None
        earlier = EarlierRun(known, self._rerun(known, workflow, snapshot))
        if not earlier.failed and known.revision is None:
            raise self._undecided(f"run {self._url(known)} does not tell of which commit it is")
        if not earlier.failed and known.is_by_api is None:
            raise self._undecided(f"run {self._url(known)} does not tell how it was triggered")
        return earlier

    def _awaited(self, run: Run, snapshot: Snapshot) -> WorkflowState | None:
        """The rule's workflow in a run, as soon as it is there; None where it certainly will not be."""
        clock = self._client.clock
        for look in poll(clock, self._client.console, _LOOKING, BRISK, "waiting for the workflows of an earlier run"):
            workflows = self._workflows(run)
            workflow = next(iter(newest(workflows, self._spec.starts)), None)
            passed = timedelta(seconds=clock.monotonic() - snapshot.at)
            if workflow is not None or not _may_yet_start(run, workflows, snapshot.moment and snapshot.moment + passed):
                return workflow
            look.tell(f"run {self._url(run)} is of this commit, and its workflows are not there yet")
            if not look.is_last:
                run = self._api.run(run.id) or run
        raise self._undecided(f"run {self._url(run)} of this commit has not shown its workflows")

    def _workflows(self, run: Run) -> tuple[WorkflowState, ...]:
        workflows = self._api.workflows(run.id)
        if workflows is None:
            raise self._undecided(f"the workflows of run {self._url(run)} could not be read")
        return workflows

    def _rerun(self, run: Run, workflow: WorkflowState, snapshot: Snapshot) -> WorkflowState:
        """The workflow; where it failed and CircleCI is about to rerun it by itself, that rerun."""
        what = "waiting for an earlier run's rerun"
        for look in poll(self._client.clock, self._client.console, RERUN, BRISK, what):
            is_failed = workflow.status == "failed" and workflow.reruns_left > 0
            if not (is_failed and _is_within(timedelta(seconds=RERUN), workflow.stopped, snapshot.moment)):
                break
            look.tell(f"run {self._url(run)} is of this commit; it failed, and CircleCI is to rerun it")
            if not look.is_last:
                workflow = next(iter(newest(self._workflows(run), self._spec.starts)), workflow)
        return workflow

    def _is_unsettled(self, earlier: EarlierRun, snapshot: Snapshot) -> bool:
        return earlier.is_active and _is_within(timedelta(seconds=_SETTLING), earlier.run.created, snapshot.moment)

    def _settled(self, found: list[EarlierRun], snapshot: Snapshot) -> list[EarlierRun]:
        """Look once more: a build that got a run instead of one of its own commit cancels it at once."""
        pause = _SETTLING / 2
        self._client.console.info(f"a run of this commit is seconds old: it is looked at again in {pause:.0f} s")
        self._client.clock.sleep(pause)
        return [
            self._again(earlier, snapshot) if self._is_unsettled(earlier, snapshot) else earlier for earlier in found
        ]

    def _again(self, earlier: EarlierRun, snapshot: Snapshot) -> EarlierRun:
        workflow = next(iter(newest(self._workflows(earlier.run), self._spec.starts)), earlier.workflow)
        return replace(earlier, workflow=self._rerun(earlier.run, workflow, snapshot))

    # A trigger whose answer was lost

    def lost(self, before: Snapshot, cause: Uncertain, limit: float) -> Run:
        """The run that the trigger certainly created; `limit` is in seconds. Raises Uncertain where none is sure."""
        if not before.is_read or not self._spec.is_recognised or self._spec.sharing:
            raise cause  # nothing tells its run from another build's
        console = self._client.console
        console.info(f"{cause.message}; looking for what it created, for {limit:.0f} s at the most")
        known = {run.id for run in before.runs}
        seen: list[Run] = []
        only: Run | None = None
        for _ in poll(self._client.clock, console, limit, BRISK, "looking for what the trigger created"):
            seen, before_that = self._new_since(known), only
            only = seen[0] if len(seen) == 1 and self._is_certain(seen[0]) else None
            if only is not None and before_that is not None and only.id == before_that.id:
                return only
        urls = ", ".join(map(self._url, seen))
        found = (
            f"what may be its run, or that of another build: {urls}"
            if seen
            else f"no run of it was found in {limit:.0f} s"
        )
        raise Uncertain(cause.code, f"{cause.message}; {found}", *cause.hints)

    def _new_since(self, known: set[str]) -> list[Run]:
        """Runs that were not there before, and may be of this deploy."""
        result = self._api.recent(lambda runs: _is_deep(runs) or any(run.id in known for run in runs))
        if not isinstance(result, Recent):
            return []
        new = (self._api.details(run) for run in result.runs if run.id not in known and self._may_be_ours(run))
        return [run for run in new if run.is_by_api is not False and run.revision in (self._spec.revision, None)]

    def _is_certain(self, run: Run) -> bool:
        """Whether a new run certainly is this deploy: of this commit, by a trigger, with the rule's workflow."""
        if run.revision is None or not run.is_by_api:
            return False
        workflows = self._api.workflows(run.id)
        return workflows is not None and bool(newest(workflows, self._spec.starts))

    # What cannot be told

    def _ambiguous(self, found: list[EarlierRun]) -> FactUnavailable:
        urls = ", ".join(self._url(earlier.run) for earlier in found)
        others = ", ".join(f"'{name}'" for name in self._spec.sharing)
        return FactUnavailable(
            "undecided",
            f"cannot tell whether rule '{self._spec.rule}' was triggered for this commit before: rule {others} "
            f"also starts '{self._spec.starts}', and nothing tells which of them started {urls}",
            "give each rule a workflow of its own",
            "to send it all the same, give  --again REASON",
        )

    def _undecided(self, why: str) -> FactUnavailable:
        return FactUnavailable(
            "undecided",
            f"cannot tell whether rule '{self._spec.rule}' was triggered for this commit before: {why}; "
            "it was not sent",
            f"look at {self._api.context.list_url}, and run this step again",
            "to send it all the same, give  --again REASON",
        )

    def _url(self, run: Run) -> str:
        return self._api.context.run_url(run.number)


def _is_deep(runs: tuple[Run, ...]) -> bool:
    return len(runs) >= _DEPTH


def _newest_first(found: list[EarlierRun]) -> list[EarlierRun]:
    """By the times they tell; where one does not, as they were listed."""
    times = {earlier.run.id: created for earlier in found if (created := earlier.run.created) is not None}
    if len(times) < len(found):
        return found
    return sorted(found, key=lambda earlier: times[earlier.run.id], reverse=True)


def _may_yet_start(run: Run, workflows: tuple[WorkflowState, ...], moment: datetime | None) -> bool:
    """Whether another workflow may appear in a run. `moment` is the time by the server's clock: unknown, it may."""
    if run.is_errored or ends_in_setup(workflows):
        return False
    if newest(workflows):
        return run.is_forming or _is_within(_BESIDE, run.created, moment)
    setups = [workflow for workflow in workflows if workflow.is_setup]
    if setups:
        return any(not w.succeeded or _is_within(_AT_ALL, w.stopped, moment) for w in setups)
    return run.is_forming or _is_within(_AT_ALL, run.created, moment)


def _is_within(time: timedelta, since: datetime | None, moment: datetime | None) -> bool:
    """Whether something happened less than `time` before a moment; where one of them is not told, it may have."""
    return since is None or moment is None or moment - since < time
