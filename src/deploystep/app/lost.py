"""Looks for what a trigger of unknown fate created: nothing is sent again, so what there is must be found."""

from datetime import timedelta
from typing import Final

from deploystep.app.scout import DEPTH, Scout, Survey
from deploystep.circleci.dialects import told
from deploystep.circleci.recent import Recent
from deploystep.core.deploy import TriggerSpec
from deploystep.core.errors import Uncertain
from deploystep.core.frozen import dataclass
from deploystep.core.runs import Run, newest

_PROMPT: Final = timedelta(seconds=5)  # after it has left, a trigger that is acted on at all usually is
_SKEW: Final = timedelta(seconds=2)  # by which the clocks of two of CircleCI's machines may differ


@dataclass(frozen=True, slots=True)
class LostTrigger:
    """A trigger that may have been received. `survey` is what there was before it.

    `sent` is when it left, in seconds by the clock that nobody can set back.
    """

    scout: Scout
    survey: Survey
    sent: float

    @property
    def _spec(self) -> TriggerSpec:
        return self.scout.spec

    def found(self, cause: Uncertain) -> Run:
        """The one run that the trigger certainly created. Raises Uncertain where there is none, or several."""
        if not self.survey.is_read:
            raise cause
        vigil = self.scout.vigil("looking for what the trigger created")
        limit = f"for {self.scout.limit:.0f} s at the most"
        self.scout.courier.progress.info(f"{cause.message}; looking for what it created, {limit}")
        before: tuple[str, ...] = ()
        while True:
            found = self._created_since()
            sure = tuple(run.id for run, is_sure in found if is_sure)
            if len(found) == 1 and sure and sure == before:
                return found[0][0]
            before = sure
            if vigil.has_ended:
                raise self._not_found(tuple(run for run, _ in found), cause)
            vigil.rest()

    def _created_since(self) -> tuple[tuple[Run, bool], ...]:
        """Runs that were not there before the trigger and may be its own, each with whether it is seen to be."""
        survey = self.survey
        result = self.scout.recent(lambda runs: len(runs) >= DEPTH or any(r.id in survey.known for r in runs))
        if not isinstance(result, Recent):
            return ()
        known = survey.known | self.scout.claimed  # what other rules have just triggered may not have been listed
        new = [r for r in result.runs if r.id not in known and self._may_be_created(r) and self._is_since(r)]
        seen = ((run, self._is_created(run, result)) for run in new)
        return tuple((run, is_sure) for run, is_sure in seen if is_sure is not None)

    def _may_be_created(self, run: Run) -> bool:
        """Whether the trigger may have made it as it is: API v1.1 pins the revision, so no other can be its own."""
        return self.scout.is_ours(run) and (self._spec.job is None or run.revision in (self._spec.revision, None))

    def _is_created(self, run: Run, recent: Recent) -> bool | None:
        """Whether a new run is the trigger's: yes, perhaps, or (None) certainly not.

        A run of this commit that holds the rule's workflow is this deploy, whoever made it. Of others, only one made
        in the very seconds after the trigger left is taken for its own.
        """
        known = self.scout.courier.converse(told(self.scout.asked, run))
        if known is not None and not known.is_by_api:
            return None
        if known is None or self._is_perhaps_foreign(run, recent):
            return False
        if self._spec.starts is None or run.is_errored:
            return self._is_prompt(run)
        workflows = self.scout.courier.converse(self.scout.dialect.workflows(self.scout.asked, run.id))
        if workflows is None or not newest(workflows):
            return False
        if not newest(workflows, self._spec.starts):
            return None
        return (self._spec.is_recognised and run.revision == self._spec.revision) or self._is_prompt(run)

    def _is_perhaps_foreign(self, run: Run, recent: Recent) -> bool:
        """Whether a build of that other commit may have made it: to cancel it would take that build's deploy away."""
        is_other = self._spec.revision is not None and run.revision != self._spec.revision
        return is_other and any(r.revision == run.revision and r.id != run.id for r in recent.runs)

    def _not_found(self, found: tuple[Run, ...], cause: Uncertain) -> Uncertain:
        if not found:
            return _more(cause, f"no run of it was found in {self.scout.limit:.0f} s")
        urls = ", ".join(map(self.scout.url, found))
        return _more(cause, f"what may be its run, or that of another build: {urls}")

    def _is_since(self, run: Run) -> bool:
        """Whether it was made after the survey, by the server's own clock; where that is not told, it may be.

        A run that nothing but its time tells from others gets no benefit of the doubt.
        """
        moment = self.survey.moment
        skew = _SKEW if self._spec.is_recognised else timedelta(0)
        return run.created is None or moment is None or run.created >= moment - skew

    def _is_prompt(self, run: Run) -> bool:
        """Whether it was made in the very seconds after the trigger left; where that is not told, it was not."""
        moment = self.survey.moment
        if run.created is None or moment is None:
            return False
        return run.created <= moment + timedelta(seconds=self.sent - self.survey.at) + _PROMPT


def _more(cause: Uncertain, found: str) -> Uncertain:
    return Uncertain(cause.code, f"{cause.message}; {found}", *cause.hints)
