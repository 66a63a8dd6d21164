"""Looks through CircleCI's lists for an earlier run of a deploy, and for the run of a trigger whose answer was lost.

A run is this deploy where its compiled configuration holds the deploy key. Where it holds none, a run of this project
is known by its commit and workflow. Lists lag behind: what must not be missed is looked for again, and what cannot be
told is an error, never a guess.
"""

from datetime import datetime, timedelta
from typing import Final

from deploystep.app.polling import BRISK, poll
from deploystep.circleci.apis import Api
from deploystep.circleci.client import Recent
from deploystep.circleci.errors import unread
from deploystep.core.deploy import TriggerSpec
from deploystep.core.deploy_key import holds, keys_in
from deploystep.core.earlier import EarlierRun, adoptable
from deploystep.core.errors import FactUnavailable, Uncertain
from deploystep.core.frozen import dataclass, replace
from deploystep.core.runs import RERUN, Run, WorkflowState, ends_in_setup, newest

_MOST_OF_TARGET: Final = 100  # runs of another project that may be this deploy and are looked through
_IN_A_ROW: Final = 20  # runs that must be older than the deploy can be, until no younger one is expected to follow
_LOOKING: Final = 90.0  # seconds in which an earlier run must show whether it is this deploy
_SETTLING: Final = 10.0  # a run of that age, in seconds, may be about to be cancelled by the build that made it
_BESIDE: Final = timedelta(seconds=60)  # in a run of that age another workflow may yet appear beside others
_AT_ALL: Final = timedelta(minutes=15)  # in a run, or after a setup workflow, of that age workflows may yet appear
_KEY: Final = "deploy_key: ${deploy.key}"


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

    `since` is a time before which no run of this deploy was made, None where it is not known: then every run is looked
    at. Of another project no more than a hundred are; where that is not far enough, nothing is sent. `made_here` are
    the runs that certainly are deploys of other rules of this build. `is_guess` is set where the run that was found is
    known by less than the deploy key.
    """

    def __init__(
        self, spec: TriggerSpec, api: Api, since: datetime | None = None, made_here: frozenset[str] = frozenset()
    ) -> None:
        self._spec = spec
        self._api = api
        self._client = api.client
        self._since = since
        self._made_here = made_here
        self.is_guess = False

    def snapshot(self, *, must_be_read: bool) -> Snapshot:
        """What there is now.

        Raises Refused, Unreachable or FactUnavailable where that must be known and cannot be read.
        """
        result = self._api.recent(self._reaches_back if must_be_read else bool)
        if not isinstance(result, Recent):
            if must_be_read:
                raise unread(result, self._api.context)
            return NOT_READ
        if must_be_read and (self._is_too_long(result.runs) or not result.is_whole):
            raise self._undecided(f"its runs go back further than the {len(result.runs)} newest, which were looked at")
        return Snapshot(result.runs, result.moment, self._client.clock.monotonic())

    def find(self, snapshot: Snapshot) -> EarlierRun | None:
        """The earlier run of this very deploy. Raises FactUnavailable where nobody can tell whether there is one."""
        candidates = (self._api.details(run) for run in snapshot.runs if self._may_be_ours(run))
        seen = (self._recognised(run, snapshot) for run in candidates)
        found = [earlier for earlier in seen if earlier is not None]
        choice = _choice(found)
        if choice is not None and self._is_unsettled(choice, snapshot):
            found = self._settled(found, snapshot)
            choice = _choice(found)
        if choice is not None and choice.succeeded:
            found = [self._without_skipped(earlier) for earlier in found]
            choice = _choice(found)
        is_sure = choice is not None and choice.has_key
        if not is_sure and any(not (earlier.has_key or earlier.failed) for earlier in found):
            self._raise_if_ambiguous(found)
        self.is_guess = choice is not None and not is_sure
        return choice

    def _reaches_back(self, runs: tuple[Run, ...]) -> bool:
        """Whether the list has been read far enough. Its order is not documented, so one older run proves nothing."""
        return self._is_too_long(runs) or self._has_passed(runs)

    def _is_too_long(self, runs: tuple[Run, ...]) -> bool:
        """Whether another project has too many runs of the time in which this deploy can have been made."""
        return self._spec.revision is None and sum(not _is_before(run, self._since) for run in runs) >= _MOST_OF_TARGET

    def _has_passed(self, runs: tuple[Run, ...]) -> bool:
        older = runs[-_IN_A_ROW:]
        is_oldest_first = _is_before(runs[0], runs[-1].created) if runs else False
        return len(older) == _IN_A_ROW and all(_is_before(run, self._since) for run in older) and not is_oldest_first

    def _may_be_ours(self, run: Run) -> bool:
        """Whether it is of the ref and commit of this deploy, and a trigger of another process may have made it."""
        is_recent = run.revision in (self._spec.revision, None) and not _is_before(run, self._since)
        is_of_commit = self._spec.revision is None or is_recent
        return is_of_commit and self._may_be_triggered(run)

    def _may_be_triggered(self, run: Run) -> bool:
        is_of_ref = run.ref in (self._spec.ref, None)
        return run.is_by_api is not False and is_of_ref and run.id not in self._made_here

    # Is a run this deploy?

    def _recognised(self, run: Run, snapshot: Snapshot) -> EarlierRun | None:
        """The run with the workflows that count; None where it is no run of this deploy."""
        if not self._may_be_ours(run) or run.is_errored:
            return None  # what errored has deployed nothing
        has_key = False
        if self._spec.key is not None:
            text = self._configuration(run, snapshot)
            has_key = holds(text, self._spec.key)
            if not has_key and keys_in(text):
                return None  # it is another deploy
        if not has_key and (self._spec.revision is None or self._spec.starts is None):
            return None  # nothing else tells its runs from others
        workflows = self._awaited(run, snapshot)
        earlier = EarlierRun(run, tuple(self._rerun(run, w, snapshot) for w in workflows), has_key)
        if not (earlier.failed or has_key) and run.revision is None:
            raise self._undecided(f"run {self._url(run)} does not tell of which commit it is")
        if not (earlier.failed or has_key) and run.is_by_api is None:
            raise self._undecided(f"run {self._url(run)} does not tell how it was triggered")
        return earlier

    def _configuration(self, run: Run, snapshot: Snapshot) -> str:
        """A run's compiled configuration, as soon as it is there; after a setup workflow another may hold the key."""
        what = "waiting for the configuration of an earlier run"
        for look in poll(self._client, _LOOKING, BRISK, what):
            text = self._api.compiled_config(run.id)
            if text is None:
                raise self._undecided(f"the configuration of run {self._url(run)} could not be read")
            if run.is_errored or keys_in(text) or (text and not self._is_continued(run, snapshot)):
                return text
            look.tell(f"run {self._url(run)} may be this deploy, and its configuration is not compiled yet")
            if not look.is_last:
                run = self._api.run(run.id) or run
        raise self._undecided(f"run {self._url(run)} has not shown its configuration")

    def _is_continued(self, run: Run, snapshot: Snapshot) -> bool:
        """Whether another configuration may yet be compiled for a run that has one."""
        return run.is_forming and _may_yet_start(run, self._workflows(run), self._now(snapshot))

    def _now(self, snapshot: Snapshot) -> datetime | None:
        """The time by the server's clock; None where it is not told."""
        passed = timedelta(seconds=self._client.clock.monotonic() - snapshot.at)
        return snapshot.moment and snapshot.moment + passed

    def _awaited(self, run: Run, snapshot: Snapshot) -> tuple[WorkflowState, ...]:
        """The workflows that count, as soon as one is there; none where none will come."""
        for look in poll(self._client, _LOOKING, BRISK, "waiting for the workflows of an earlier run"):
            workflows = self._workflows(run)
            counted = newest(workflows, self._spec.starts)
            is_whole = self._spec.job is not None and all(w.name for w in workflows)  # a job never becomes another one
            # where no workflow is named, one that failed says nothing of another that appears beside it
            is_told = bool(counted) and (self._spec.starts is not None or not all(w.failed for w in counted))
            if is_told or is_whole or not _may_yet_start(run, workflows, self._now(snapshot)):
                return counted
            look.tell(f"run {self._url(run)} may be this deploy, and its workflows are not there yet")
            if not look.is_last:
                run = self._api.run(run.id) or run
        raise self._undecided(f"run {self._url(run)} has not shown its workflows")

    def _workflows(self, run: Run) -> tuple[WorkflowState, ...]:
        workflows = self._api.workflows(run.id)
        if workflows is None:
            raise self._undecided(f"the workflows of run {self._url(run)} could not be read")
        return workflows

    def _again(self, run: Run, workflow: WorkflowState) -> WorkflowState:
        """The workflow as it stands now."""
        return next(iter(newest(self._workflows(run), workflow.name)), workflow)

    def _rerun(self, run: Run, workflow: WorkflowState, snapshot: Snapshot) -> WorkflowState:
        """The workflow; where it failed and CircleCI is about to rerun it by itself, that rerun."""
        what = "waiting for an earlier run's rerun"
        for look in poll(self._client, RERUN, BRISK, what):
            is_failed = workflow.status == "failed" and workflow.reruns_left > 0
            if not (is_failed and _is_within(timedelta(seconds=RERUN), workflow.stopped, snapshot.moment)):
                break
            look.tell(f"run {self._url(run)} is this deploy; it failed, and CircleCI is to rerun it")
            if not look.is_last:
                workflow = self._again(run, workflow)
        return workflow

    def _is_unsettled(self, earlier: EarlierRun, snapshot: Snapshot) -> bool:
        return earlier.is_active and _is_within(timedelta(seconds=_SETTLING), earlier.run.created, snapshot.moment)

    def _settled(self, found: list[EarlierRun], snapshot: Snapshot) -> list[EarlierRun]:
        """Look once more: a build that got a run instead of one of its own commit cancels it at once."""
        pause = _SETTLING / 2
        self._client.console.info(f"an earlier run is seconds old: it is looked at again in {pause:.0f} s")
        self._client.clock.sleep(pause)
        return [self._as_now(e, snapshot) if self._is_unsettled(e, snapshot) else e for e in found]

    def _as_now(self, earlier: EarlierRun, snapshot: Snapshot) -> EarlierRun:
        now = (self._again(earlier.run, workflow) for workflow in earlier.workflows)
        return replace(earlier, workflows=tuple(self._rerun(earlier.run, workflow, snapshot) for workflow in now))

    def _without_skipped(self, earlier: EarlierRun) -> EarlierRun:
        """The run; a workflow that says success while one of its jobs did not run has not run (`Job.status`)."""
        return replace(earlier, workflows=tuple(self._seen_through(earlier.run, w) for w in earlier.workflows))

    def _seen_through(self, run: Run, workflow: WorkflowState) -> WorkflowState:
        if not workflow.succeeded:
            return workflow
        skipped = self._api.jobs_not_run(workflow)
        if skipped is None:
            raise self._undecided(f"the jobs of workflow {workflow.name} of run {self._url(run)} could not be read")
        return replace(workflow, status="not_run") if skipped else workflow

    # A trigger whose answer was lost

    def lost(self, before: Snapshot, cause: Uncertain, limit: float) -> Run:
        """The run that the trigger certainly created; `limit` is in seconds. Raises Uncertain where none is sure."""
        is_known = self._spec.key is not None or self._spec.is_known_by_workflow
        if not (is_known and before.is_read):  # nothing tells its run from another's, or from one that was there before
            cure = f"next time it is found by its key: send  {_KEY}  as a parameter of rule '{self._spec.rule}'"
            hints = () if is_known or self._spec.job else (cure,)
            raise Uncertain(cause.code, cause.message, *cause.hints, *hints)
        console = self._client.console
        console.info(f"{cause.message}; looking for what it created, for {limit:.0f} s at the most")
        known = {run.id for run in before.runs}
        seen: list[Run] = []
        only: Run | None = None
        for _ in poll(self._client, limit, BRISK, "looking for what the trigger created"):
            seen, before_that = self._new_since(known), only
            sure = [run for run in seen if self._is_certain(run)]
            if len(sure) == 1 and self._has_not_deployed(sure[0]):
                only = None
                continue
            if self._spec.key is not None and len(sure) == 1:
                return sure[0]
            only = sure[0] if len(seen) == len(sure) == 1 else None
            if only is not None and before_that is not None and only.id == before_that.id:
                self.is_guess = True
                return only  # without a key, the one new run of two looks
        found = f"no run of it was found in {limit:.0f} s"
        if seen:
            found = f"what may be its run, or that of another build: {', '.join(map(self._url, seen))}"
        raise Uncertain(cause.code, f"{cause.message}; {found}", *cause.hints)

    def _new_since(self, known: set[str]) -> list[Run]:
        """Runs that were not there before, and may be of this deploy.

        Where the key tells, also those of another commit: the branch may have moved on, and then it must be cancelled.
        """
        may_be_it = self._may_be_ours if self._spec.key is None else self._may_be_triggered
        result = self._api.recent(lambda runs: len(runs) >= _MOST_OF_TARGET or any(run.id in known for run in runs))
        if not isinstance(result, Recent):
            return []
        new = (self._api.details(run) for run in result.runs if run.id not in known and may_be_it(run))
        return [run for run in new if may_be_it(run)]

    def _is_certain(self, run: Run) -> bool:
        """Whether a new run certainly is this deploy: it holds the key, or is of this commit and has the workflow."""
        if self._spec.key is not None:
            return self._spec.key in (self._api.compiled_config(run.id) or "")
        if run.revision is None or not run.is_by_api:
            return False
        workflows = self._api.workflows(run.id)
        return workflows is not None and bool(newest(workflows, self._spec.starts))

    def _has_not_deployed(self, run: Run) -> bool:
        """Whether it has ended without having deployed: it may be an earlier one, which was not listed before."""
        if self._spec.revision is not None and run.revision not in (None, self._spec.revision):
            return False  # the branch has moved on since: an earlier one was of this commit
        counted = newest(self._api.workflows(run.id) or (), self._spec.starts)
        if not counted or any(workflow.is_active for workflow in counted):
            return False
        return not all(w.succeeded and self._api.jobs_not_run(w) == () for w in counted)

    # What cannot be told

    def _raise_if_ambiguous(self, found: list[EarlierRun]) -> None:
        """Runs without a key are of this deploy only where nothing else starts the workflow for this commit."""
        others = [f"rule '{name}' also starts '{self._spec.starts}'" for name in self._spec.sharing]
        others += [f"it is sent once for each value of ${{{name}}}" for name in self._spec.own_variables]
        if not others:
            return
        urls = ", ".join(self._url(earlier.run) for earlier in found if not (earlier.has_key or earlier.failed))
        raise FactUnavailable(
            "undecided",
            f"cannot tell whether rule '{self._spec.rule}' was triggered for this commit before: "
            f"{' and '.join(others)}, and nothing tells which deploy {urls} is",
            f"send the deploy key: add  {_KEY}  to the parameters of rule '{self._spec.rule}'",
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


def _choice(found: list[EarlierRun]) -> EarlierRun | None:
    """The run that is this deploy, of those given newest first: one that holds the key rather than one that may be."""
    return adoptable([earlier for earlier in found if earlier.has_key]) or adoptable(found)


def _is_before(run: Run, moment: datetime | None) -> bool:
    return run.created is not None and moment is not None and run.created < moment


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
