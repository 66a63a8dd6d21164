"""Looks through CircleCI's lists: for an earlier run of this deploy, and for what a trigger of unknown fate created.

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
from deploystep.core.earlier import Adopt, Ambiguous, Choice, Earlier, Fire, State, choose
from deploystep.core.errors import FactUnavailable, Uncertain
from deploystep.core.runs import RERUN, Run, WorkflowState, ends_in_setup, newest
from deploystep.core.values import dataclass, replace

_DEPTH: Final = 100  # runs that are read, where this build's own pipeline is not among them
_BEYOND: Final = 20  # runs of other commits, after which none of this one is expected
_YOUNG: Final = timedelta(seconds=60)  # what a setup workflow of that age starts may not be there yet
_SETTLING: Final = timedelta(seconds=10)  # a run of that age may be about to be cancelled by the build that made it
_PROMPT: Final = timedelta(seconds=5)  # after it has left, a trigger that is acted on at all usually is
_SKEW: Final = timedelta(seconds=2)  # the server's clock is told in whole seconds


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
    def _dialect(self) -> Dialect:
        return DIALECTS[self.spec.api]

    def survey(self) -> tuple[Survey, tuple[Run, ...]]:
        """What there is now, and of it what may be earlier runs of this deploy, newest first.

        Raises Refused, Unreachable or FactUnavailable where that must be known and cannot be read.
        """
        result = self._recent(self._reaches_back)
        if not isinstance(result, Recent):
            if self.spec.is_recognised:
                raise unread(result, self.asked)
            return Survey(frozenset(), None, is_read=False), ()
        if self.spec.is_recognised and not result.is_whole:
            raise self._undecided("the list of runs does not end, and this build's own is not in it")
        survey = Survey(frozenset(r.id for r in result.runs), result.moment, self.courier.clock.monotonic())
        return survey, self._of_this_commit(result)

    def _recent(self, enough: Enough) -> Recent | Response | Failure:
        talk = self._dialect.recent(self.asked, enough, self.courier.clock.now())
        return self.courier.converse(talk)

    def _reaches_back(self, runs: tuple[Run, ...]) -> bool:
        """Whether the list goes back beyond this commit: to this build's own pipeline, and to many of other commits.

        An earlier run can be older than this build's own pipeline, if another build of the commit made it. Where none
        is looked for, the newest are enough to tell what is new after them.
        """
        if not self.spec.is_recognised:
            return len(runs) >= _DEPTH
        ours = [at for at, run in enumerate(runs) if run.id == self.own or run.revision == self.spec.revision]
        is_far = len(runs) >= _DEPTH if self.own is None else any(runs[at].id == self.own for at in ours)
        return is_far and len(runs) - max(ours, default=-1) > _BEYOND

    def _of_this_commit(self, recent: Recent) -> tuple[Run, ...]:
        if not self.spec.is_recognised:
            return ()
        # rules that share a workflow are told apart by the order of all their runs
        others = self.claimed if self.spec.share.count == 1 else frozenset()
        ours = (run for run in recent.runs if run.revision == self.spec.revision and run.id not in others)
        return tuple(filter(self._is_ours, ours))

    def _is_ours(self, run: Run) -> bool:
        """Whether it is of this branch or tag, and a trigger may have made it."""
        return run.is_by_api is not False and run.ref in (self.spec.ref, None)

    # An earlier run

    def choose(self, candidates: tuple[Run, ...], survey: Survey) -> Choice:
        """Whether one of the runs is this deploy. Raises FactUnavailable where that cannot be told."""
        found = tuple(held for run in candidates if (held := self._holding(run, survey)) is not None)
        choice = choose(found, self.spec.share)
        if isinstance(choice, Adopt) and self._is_unsettled(choice.earlier, survey):
            choice = choose(self._settled(found, survey), self.spec.share)
        if isinstance(choice, Adopt) and choice.earlier.run.id in self.claimed:
            # the order of the runs misleads: this one is known to be another rule's
            choice = Fire() if all(earlier.run.id in self.claimed for earlier in found) else Ambiguous(found)
        if isinstance(choice, Ambiguous):
            raise self._ambiguous(choice)
        return choice

    def _holding(self, run: Run, survey: Survey) -> Earlier | None:
        """The run with the workflow that the rule starts; None where it has none or no trigger made it."""
        known = self.courier.converse(told(self.asked, run))
        if known is None:
            raise self._undecided(f"run {run.id} does not tell how it was triggered")
        earlier = self._awaited(known, survey) if known.is_by_api else None
        return None if earlier is None else self._rerun(earlier, survey)

    def _awaited(self, run: Run, survey: Survey) -> Earlier | None:
        vigil = self._vigil("waiting for the workflows of an earlier run")
        began = self.courier.clock.monotonic()
        while True:
            passed = timedelta(seconds=self.courier.clock.monotonic() - began)
            workflow, may_come = self._workflow(run, survey.moment and survey.moment + passed)
            if workflow is not None:
                return Earlier(run, workflow)
            if not may_come:
                return None
            if vigil.has_ended:
                if run.is_forming or survey.moment is not None:
                    raise self._undecided(f"run {self._url(run)} of this commit has not shown its workflows")
                return None
            vigil.tell(f"run {self._url(run)} is of this commit, and its workflows are not there yet")
            vigil.rest()
            run = self.courier.converse(self._dialect.run(self.asked, run.id)) or run

    def _workflow(self, run: Run, moment: datetime | None) -> tuple[WorkflowState | None, bool]:
        """The rule's workflow in a run, and whether it may yet appear."""
        workflows = self.courier.converse(self._dialect.workflows(self.asked, run.id))
        if workflows is None:
            raise self._undecided(f"the workflows of run {self._url(run)} could not be read")
        found = newest(workflows, self.spec.starts)
        if found:
            return found[0], False
        if ends_in_setup(workflows):
            return None, False
        is_young = _is_within(run.created, moment, timedelta(seconds=self.limit))
        has_others = bool(newest(workflows))
        is_continued = any(w.is_setup and w.succeeded and _is_within(w.stopped, moment, _YOUNG) for w in workflows)
        may_begin = not has_others and (is_young or is_continued)
        return None, not run.is_errored and (run.is_forming or may_begin)

    def _rerun(self, earlier: Earlier, survey: Survey) -> Earlier:
        """The same; where it failed and CircleCI is about to rerun it by itself, as soon as it has."""
        vigil = Vigil(self.courier.clock, self.courier.progress, RERUN, BRISK, "waiting for an earlier run's rerun")
        while _is_to_be_rerun(earlier.workflow, survey.moment) and not vigil.has_ended:
            vigil.tell(f"run {self._url(earlier.run)} is of this commit; it failed, and CircleCI is to rerun it")
            vigil.rest()
            workflow, _ = self._workflow(earlier.run, None)
            earlier = replace(earlier, workflow=workflow or earlier.workflow)
        return earlier

    def _is_unsettled(self, earlier: Earlier, survey: Survey) -> bool:
        created = earlier.run.created
        is_young = created is not None and survey.moment is not None and survey.moment - created < _SETTLING
        return is_young and earlier.state is State.ALIVE

    def _settled(self, found: tuple[Earlier, ...], survey: Survey) -> tuple[Earlier, ...]:
        """Look once more: a build that got a run instead of one of its own commit cancels it at once."""
        self._vigil("waiting for an earlier run to settle").wait(_SETTLING.total_seconds() / 2)
        return tuple(
            self._again(earlier, survey) if self._is_unsettled(earlier, survey) else earlier for earlier in found
        )

    def _again(self, earlier: Earlier, survey: Survey) -> Earlier:
        again = replace(earlier, workflow=self._workflow(earlier.run, None)[0] or earlier.workflow)
        return self._rerun(again, survey)

    def _ambiguous(self, choice: Ambiguous) -> FactUnavailable:
        urls = ", ".join(self._url(earlier.run) for earlier in choice.earlier)
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

    # What a trigger of unknown fate created

    def find_created(self, survey: Survey, sent: float, cause: Uncertain) -> Run:
        """The one run that the trigger certainly created. Raises Uncertain where there is none, or several.

        `sent` is when the trigger left, in seconds by the clock that nobody can set back.
        """
        if not survey.is_read:
            raise cause
        vigil = self._vigil("looking for what the trigger created")
        self.courier.progress.say(f"{cause.message}; looking for what it created")
        until = survey.moment and survey.moment + timedelta(seconds=sent - survey.at) + _PROMPT
        before: tuple[str, ...] = ()
        while True:
            found = self._created_since(survey, until)
            sure = tuple(run.id for run, is_sure in found if is_sure)
            if len(found) == 1 and sure and sure == before:
                return found[0][0]
            before = sure
            if vigil.has_ended:
                raise self._not_found(tuple(run for run, _ in found), cause)
            vigil.rest()

    def _created_since(self, survey: Survey, until: datetime | None) -> tuple[tuple[Run, bool], ...]:
        """Runs that were not there before the trigger and may be its own, each with whether it is seen to be.

        `until` is a moment after the trigger left, by the server's clock.
        """
        result = self._recent(lambda runs: len(runs) >= _DEPTH or any(r.id in survey.known for r in runs))
        if not isinstance(result, Recent):
            return ()
        known = survey.known | self.claimed  # what other rules have just triggered may not have been listed
        new = [r for r in result.runs if r.id not in known and self._may_be_created(r) and _is_since(r, survey)]
        seen = ((run, self._is_created(run, result, until)) for run in new)
        return tuple((run, is_sure) for run, is_sure in seen if is_sure is not None)

    def _may_be_created(self, run: Run) -> bool:
        """Whether the trigger may have made it as it is: API v1.1 pins the revision, so no other can be its own."""
        return self._is_ours(run) and (self.spec.job is None or run.revision in (self.spec.revision, None))

    def _is_created(self, run: Run, recent: Recent, until: datetime | None) -> bool | None:
        """Whether a new run is the trigger's: yes, perhaps, or (None) certainly not.

        A run of this commit that holds the rule's workflow is this deploy, whoever made it. Of others, only one made
        in the very seconds after the trigger left is taken for its own.
        """
        known = self.courier.converse(told(self.asked, run))
        if known is not None and not known.is_by_api:
            return None
        if known is None or self._is_perhaps_foreign(run, recent):
            return False
        is_told = self.spec.is_recognised or _is_before(run, until)
        if self.spec.starts is None or run.is_errored:
            return is_told
        workflows = self.courier.converse(self._dialect.workflows(self.asked, run.id))
        if workflows is None or not newest(workflows):
            return False
        return is_told if newest(workflows, self.spec.starts) else None

    def _is_perhaps_foreign(self, run: Run, recent: Recent) -> bool:
        """Whether a build of that other commit may have made it: to cancel it would take that build's deploy away."""
        is_other = self.spec.revision is not None and run.revision != self.spec.revision
        return is_other and any(r.revision == run.revision and r.is_by_api is False for r in recent.runs)

    def _not_found(self, found: tuple[Run, ...], cause: Uncertain) -> Uncertain:
        if not found:
            return _more(cause, f"no run of it was found in {self.limit:.0f} s")
        urls = ", ".join(map(self._url, found))
        return _more(cause, f"what may be its run, or that of another build: {urls}")

    def _vigil(self, what: str) -> Vigil:
        return Vigil(self.courier.clock, self.courier.progress, self.limit, BRISK, what)

    def _url(self, run: Run) -> str:
        return self.asked.run_url(run.number)


def _is_since(run: Run, survey: Survey) -> bool:
    """Whether it was made after the survey, by the server's own clock; where that is not told, it may be."""
    return run.created is None or survey.moment is None or run.created >= survey.moment - _SKEW


def _is_before(run: Run, until: datetime | None) -> bool:
    return run.created is not None and until is not None and run.created <= until


def _is_within(since: datetime | None, moment: datetime | None, time: timedelta) -> bool:
    """Whether something happened less than `time` before a moment; where one of them is not told, it may have."""
    return since is None or moment is None or moment - since < time


def _is_to_be_rerun(workflow: WorkflowState, moment: datetime | None) -> bool:
    is_failed = workflow.status == "failed" and workflow.reruns_left > 0
    return is_failed and _is_within(workflow.stopped, moment, timedelta(seconds=RERUN))


def _more(cause: Uncertain, found: str) -> Uncertain:
    return Uncertain(cause.code, f"{cause.message}; {found}", *cause.hints)
