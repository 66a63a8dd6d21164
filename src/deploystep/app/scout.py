"""Looks through CircleCI's lists for an earlier run of this deploy.

Lists lag behind. What is missing in one may be there a moment later; so what must not be missed is looked for again,
and what cannot be told is an error, never a guess.
"""

from datetime import datetime, timedelta
from typing import Final

from deploystep.app.courier import Courier
from deploystep.app.vigil import BRISK, Vigil
from deploystep.circleci.answers import Asked, unread
from deploystep.circleci.dialects import DIALECTS, Dialect, Enough, told
from deploystep.circleci.recent import Recent
from deploystep.circleci.wire import Failure, Response
from deploystep.core.deploy import TriggerSpec
from deploystep.core.earlier import Adopt, Ambiguous, Choice, Earlier, State, choose
from deploystep.core.errors import FactUnavailable
from deploystep.core.frozen import dataclass, replace
from deploystep.core.runs import RERUN, Run, WorkflowState, ends_in_setup, newest

DEPTH: Final = 100  # runs that are read, where this build's own pipeline is not among them
_BEYOND: Final = 20  # runs of other commits, after which none of this one is expected
_YOUNG: Final = timedelta(seconds=60)  # what a setup workflow of that age starts may not be there yet
_APPEARING: Final = timedelta(seconds=5)  # in a run of that age another workflow may yet appear beside others
_SETTLING: Final = timedelta(seconds=10)  # a run of that age may be about to be cancelled by the build that made it


@dataclass(frozen=True, slots=True)
class Survey:
    """What there was just before a trigger: the runs by id, and the time. Without `is_read`, unknown.

    `moment` is by the server's clock, `at` by that which counts seconds here.
    """

    known: frozenset[str]
    moment: datetime | None
    at: float = 0.0
    is_read: bool = True


@dataclass(frozen=True, slots=True)
class Scout:
    """Looks on behalf of one trigger. `limit` is in seconds.

    `own` is the pipeline that this build is in: it can be an earlier run itself, if a trigger made it. `claimed` are
    the runs of other rules, which are not this rule's whatever workflows they hold.
    """

    spec: TriggerSpec
    asked: Asked
    courier: Courier
    limit: float
    own: str | None = None
    claimed: frozenset[str] = frozenset()

    @property
    def dialect(self) -> Dialect:
        """How the rule's API is spoken to."""
        return DIALECTS[self.spec.api]

    def survey(self) -> tuple[Survey, tuple[Run, ...]]:
        """What there is now, and of it what may be earlier runs of this deploy, newest first.

        Raises Refused, Unreachable or FactUnavailable where that must be known and cannot be read.
        """
        result = self.recent(self._reaches_back)
        if not isinstance(result, Recent):
            if self.spec.is_recognised:
                raise unread(result, self.asked)
            return Survey(frozenset(), None, is_read=False), ()
        if self.spec.is_recognised and not result.is_whole:
            raise self._undecided("the list of runs does not end, and this build's own is not in it")
        survey = Survey(frozenset(r.id for r in result.runs), result.moment, self.courier.clock.monotonic())
        return survey, self._of_this_commit(result)

    def recent(self, enough: Enough) -> Recent | Response | Failure:
        """The runs there are, newest first; where they cannot be read, what came instead."""
        talk = self.dialect.recent(self.asked, enough, self.courier.clock.now())
        return self.courier.converse(talk)

    def _reaches_back(self, runs: tuple[Run, ...]) -> bool:
        """Whether the list goes back beyond this commit: to this build's own pipeline, and to many of other commits.

        An earlier run can be older than this build's own pipeline, if another build of the commit made it. Where none
        is looked for, the newest are enough to tell what is new after them.
        """
        if not self.spec.is_recognised:
            return len(runs) >= DEPTH
        ours = [at for at, run in enumerate(runs) if run.id == self.own or run.revision == self.spec.revision]
        is_far = len(runs) >= DEPTH if self.own is None else any(runs[at].id == self.own for at in ours)
        return is_far and len(runs) - max(ours, default=-1) > _BEYOND

    def _of_this_commit(self, recent: Recent) -> tuple[Run, ...]:
        if not self.spec.is_recognised:
            return ()
        # rules that share a workflow are told apart by the order of all their runs
        others = self.claimed if self.spec.share.count == 1 else frozenset()
        may_be = (run for run in recent.runs if run.revision in (self.spec.revision, None) and run.id not in others)
        return tuple(filter(self.is_ours, may_be))

    def is_ours(self, run: Run) -> bool:
        """Whether it is of this branch or tag, and a trigger may have made it."""
        return run.is_by_api is not False and run.ref in (self.spec.ref, None)

    def choose(self, candidates: tuple[Run, ...], survey: Survey) -> Choice:
        """Whether one of the runs is this deploy. Raises FactUnavailable where that cannot be told."""
        found = _in_order(tuple(held for run in candidates if (held := self._holding(run, survey)) is not None))
        choice = choose(found, self.spec.share, self.claimed)
        if isinstance(choice, Adopt) and self._is_unsettled(choice.earlier, survey):
            choice = choose(self._settled(found, survey), self.spec.share, self.claimed)
        if isinstance(choice, Adopt) and self.spec.share.count > 1 and any(run.is_errored for run in candidates):
            choice = Ambiguous(found)  # a run that errored was one of the order, and does not tell whose
        if isinstance(choice, Ambiguous):
            raise self._ambiguous(choice)
        return choice

    def _holding(self, run: Run, survey: Survey) -> Earlier | None:
        """The run with the workflow that the rule starts; None where it has none, or is no run of this deploy."""
        known = self._told(run)
        if known.is_by_api is False or known.revision not in (self.spec.revision, None):
            return None
        earlier = self._awaited(known, survey)
        if earlier is None:
            return None
        earlier = self._rerun(earlier, survey)
        if earlier.state is not State.FAILED and known.revision is None:
            raise self._undecided(f"run {self.url(known)} does not tell of which commit it is")
        if earlier.state is not State.FAILED and known.is_by_api is None:
            raise self._undecided(f"run {self.url(known)} does not tell how it was triggered")
        return earlier

    def _told(self, run: Run) -> Run:
        """The run with what a list may leave out, as far as it can be learned."""
        known = self.courier.converse(told(self.asked, run)) or run
        if known.revision is not None:
            return known
        read = self.courier.converse(self.dialect.run(self.asked, run.id))
        return known if read is None else replace(known, revision=read.revision)

    def _awaited(self, run: Run, survey: Survey) -> Earlier | None:
        vigil = self.vigil("waiting for the workflows of an earlier run")
        while True:
            passed = timedelta(seconds=self.courier.clock.monotonic() - survey.at)
            workflow, may_come = self._workflow(run, survey.moment and survey.moment + passed)
            if workflow is not None:
                return Earlier(run, workflow)
            if not may_come:
                return None
            if vigil.has_ended:
                if run.is_forming or survey.moment is not None:
                    raise self._undecided(f"run {self.url(run)} of this commit has not shown its workflows")
                return None
            vigil.tell(f"run {self.url(run)} is of this commit, and its workflows are not there yet")
            vigil.rest()
            run = self.courier.converse(self.dialect.run(self.asked, run.id)) or run

    def _workflow(self, run: Run, moment: datetime | None) -> tuple[WorkflowState | None, bool]:
        """The rule's workflow in a run, and whether it may yet appear."""
        workflows = self.courier.converse(self.dialect.workflows(self.asked, run.id))
        if workflows is None:
            raise self._undecided(f"the workflows of run {self.url(run)} could not be read")
        found = newest(workflows, self.spec.starts)
        if found:
            return found[0], False
        if ends_in_setup(workflows):
            return None, False
        if newest(workflows):  # those of one run appear one after the other, within moments
            may_begin = None not in (run.created, moment) and _is_within(run.created, moment, _APPEARING)
        else:
            is_young = _is_within(run.created, moment, timedelta(seconds=self.limit))
            may_begin = is_young or any(
                w.is_setup and w.succeeded and _is_within(w.stopped, moment, _YOUNG) for w in workflows
            )
        return None, not run.is_errored and (run.is_forming or may_begin)

    def _rerun(self, earlier: Earlier, survey: Survey) -> Earlier:
        """The same; where it failed and CircleCI is about to rerun it by itself, as soon as it has."""
        vigil = Vigil(self.courier.clock, self.courier.progress, RERUN, BRISK, "waiting for an earlier run's rerun")
        while _is_to_be_rerun(earlier.workflow, survey.moment) and not vigil.has_ended:
            vigil.tell(f"run {self.url(earlier.run)} is of this commit; it failed, and CircleCI is to rerun it")
            vigil.rest()
            workflow, _ = self._workflow(earlier.run, None)
            earlier = replace(earlier, workflow=workflow or earlier.workflow)
        return earlier

    def _is_unsettled(self, earlier: Earlier, survey: Survey) -> bool:
        return earlier.state is State.ALIVE and _is_within(earlier.run.created, survey.moment, _SETTLING)

    def _settled(self, found: tuple[Earlier, ...], survey: Survey) -> tuple[Earlier, ...]:
        """Look once more: a build that got a run instead of one of its own commit cancels it at once."""
        pause = _SETTLING.total_seconds() / 2
        self.courier.progress.info(f"a run of this commit is seconds old: it is looked at again in {pause:.0f} s")
        self.vigil("waiting for an earlier run to settle").wait(pause)
        return tuple(
            self._again(earlier, survey) if self._is_unsettled(earlier, survey) else earlier for earlier in found
        )

    def _again(self, earlier: Earlier, survey: Survey) -> Earlier:
        again = replace(earlier, workflow=self._workflow(earlier.run, None)[0] or earlier.workflow)
        return self._rerun(again, survey)

    def _ambiguous(self, choice: Ambiguous) -> FactUnavailable:
        urls = ", ".join(self.url(earlier.run) for earlier in choice.earlier)
        return FactUnavailable(
            "undecided",
            f"cannot tell whether rule '{self.spec.rule}' was triggered for this commit before: "
            f"{self.spec.share.count} rules start '{self.spec.starts}', and nothing tells which of them started {urls}",
            "give each rule a workflow of its own",
            "to send it all the same, give  --again REASON",
        )

    def _undecided(self, why: str) -> FactUnavailable:
        return FactUnavailable(
            "undecided",
            f"cannot tell whether rule '{self.spec.rule}' was triggered for this commit before: {why}; it was not sent",
            f"look at {self.asked.list_url}, and run this step again",
            "to send it all the same, give  --again REASON",
        )

    def vigil(self, what: str) -> Vigil:
        """A wait for what is about to be seen."""
        return Vigil(self.courier.clock, self.courier.progress, self.limit, BRISK, what)

    def url(self, run: Run) -> str:
        """Where a person sees the run."""
        return self.asked.run_url(run.number)


def _in_order(found: tuple[Earlier, ...]) -> tuple[Earlier, ...]:
    """The newest first, by the times they tell; where one does not, as they were listed."""
    times = {e.run.id: e.run.created for e in found}
    known = {identity: created for identity, created in times.items() if created is not None}
    if len(known) < len(times):
        return found
    return tuple(sorted(found, key=lambda e: known[e.run.id], reverse=True))


def _is_within(since: datetime | None, moment: datetime | None, time: timedelta) -> bool:
    """Whether something happened less than `time` before a moment; where one of them is not told, it may have."""
    return since is None or moment is None or moment - since < time


def _is_to_be_rerun(workflow: WorkflowState, moment: datetime | None) -> bool:
    is_failed = workflow.status == "failed" and workflow.reruns_left > 0
    return is_failed and _is_within(workflow.stopped, moment, timedelta(seconds=RERUN))
