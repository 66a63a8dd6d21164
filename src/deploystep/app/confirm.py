"""After the trigger: the run must be of the commit that was tested, and something must run because of it.

A run of another commit is cancelled, and seen to have ended. A run that errored, was skipped or holds no workflow is an
error, for otherwise the step would be green without a deploy.
"""

from typing import Final

from deploystep.app.courier import Courier
from deploystep.app.vigil import BRISK, Patience, Vigil
from deploystep.circleci.answers import Asked
from deploystep.circleci.dialects import DIALECTS, Dialect, identity
from deploystep.circleci.wire import Request, Response
from deploystep.core.deploy import TriggerSpec
from deploystep.core.errors import NothingRuns, Stopped, TimedOut, ToolError
from deploystep.core.frozen import dataclass
from deploystep.core.runs import NEVER_RAN, Created, Run, WorkflowState, ends_in_setup, newest

_CONTINUING: Final = 10.0  # seconds after a setup workflow in which what it decided on appears
_SETTLING: Final = 5.0  # seconds without another workflow, after which none is expected


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What was seen of the run: its workflows, and the commit it is of (None where that was not looked at)."""

    workflows: tuple[WorkflowState, ...]
    revision: str | None


@dataclass(frozen=True, slots=True)
class Watch:
    """One trigger that is being confirmed, and all that is needed to do it."""

    spec: TriggerSpec
    created: Created
    asked: Asked
    courier: Courier
    patience: Patience

    @property
    def _dialect(self) -> Dialect:
        return DIALECTS[self.spec.api]

    def confirm(self) -> Confirmed:
        """See that the right thing runs.

        Raises Stopped (after cancelling the run), NothingRuns with CircleCI's words, or TimedOut where what must be
        known could not be read.
        """
        if self.patience.is_none:
            self.courier.progress.warning("not confirmed that anything runs, nor of which commit: --confirm is 0")
            return Confirmed((), self.created.revision)
        if self.created.id is None and self.created.revision is not None:
            return self._confirm_job(self.created.revision)
        return self._confirm_run()

    def _confirm_job(self, revision: str) -> Confirmed:
        """API v1.1 pins the revision and answers with the job itself: what it says is compared."""
        if self._is_other(revision):
            self._stop_wrong(revision)
        return Confirmed((), revision)

    def _confirm_run(self) -> Confirmed:
        vigil = self._vigil(f"waiting for the workflows of {self.created.url}", self.patience.limit)
        revision, continued_at = self.created.revision, None
        while True:
            is_last = vigil.has_ended  # before the look: an answer that came late tells how it was, not how it is
            read = self.courier.converse(self._dialect.run(self.asked, identity(self.created)))
            revision = (read.revision if read else None) or revision
            self._stop_if_errored(read)
            if self._is_other(revision):
                self._stop_wrong(revision)
            workflows = self._workflows()
            if workflows and self._is_enough(workflows) and (revision or self.spec.revision is None):
                return Confirmed(workflows, revision)
            continued_at = self._continued_at(workflows or (), continued_at)
            if is_last:
                raise self._gave_up(revision, workflows, read, continued_at)
            vigil.rest()

    def _continued_at(self, workflows: tuple[WorkflowState, ...], before: float | None) -> float | None:
        """Since when a setup workflow has succeeded; what comes after it appears a moment later."""
        if not any(w.is_setup and w.succeeded for w in workflows):
            return None
        return self.courier.clock.monotonic() if before is None else before

    def _is_other(self, revision: str | None) -> bool:
        """Whether this certainly is another commit than the one that was tested."""
        return revision is not None and self.spec.revision is not None and revision != self.spec.revision

    def _is_enough(self, workflows: tuple[WorkflowState, ...]) -> bool:
        """Whether the named workflow (or any, where none is named) has appeared; a setup workflow is only the start."""
        started = newest(workflows, self.spec.starts)
        unauthorized = [w for w in started if w.status == "unauthorized"]
        if unauthorized:
            raise NothingRuns(
                "unauthorized",
                f"workflow {unauthorized[0].name} of {self.created.url} is unauthorized: it does not run",
                f"the user of the token in {self.asked.token_name} may not use a context that the workflow needs",
            )
        ended = [w for w in started if w.status in NEVER_RAN]
        if started and len(ended) == len(started):
            raise NothingRuns(
                "did-not-run",
                f"workflow {ended[0].name} of {self.created.url} does not run: it is {ended[0].status}",
                "look at it there: a config error, a filter or a newer pipeline of the branch may be why",
            )
        return bool(started)

    def _workflows(self) -> tuple[WorkflowState, ...] | None:
        """Every workflow of the run; None where they could not be read, which is not the same as having none."""
        return self.courier.converse(self._dialect.workflows(self.asked, identity(self.created)))

    def _stop_if_errored(self, read: Run | None) -> None:
        if read is not None and read.is_errored:
            raise self._errored(read.errors)

    def _errored(self, errors: tuple[str, ...]) -> NothingRuns:
        words = "; ".join(errors) or "it says no more"
        return NothingRuns(
            "errored",
            f"run {self.created.url} was created and errored: {words}",
            *self._declare(words),
            f"the config is that of {self.asked.project} at {self.asked.ref.name}",
        )

    def _declare(self, words: str) -> tuple[str, ...]:
        if "Unexpected argument" not in words:
            return ()
        return ("declare each of these under parameters: at the top of its .circleci/config.yml",)

    # A run of another commit

    def _stop_wrong(self, revision: str | None) -> None:
        """Cancel all that runs, until nothing does or the time is up.

        Workflows appear a while after their run, and what deploys comes after a setup workflow: each is cancelled as
        soon as it is there. That a cancelling was accepted is not the same as an end, so the end is read.
        """
        vigil = self._vigil(f"cancelling {self.created.url}, which is of another commit", self.patience.looking)
        accepted: set[str] = set()
        seen: frozenset[str] = frozenset()
        since = self.courier.clock.monotonic()
        while True:
            workflows = self._workflows()
            if seen != (ids := frozenset(w.id for w in workflows or ())):
                seen, since = ids, self.courier.clock.monotonic()
            for workflow in workflows or ():
                if workflow.is_active and workflow.id not in accepted and self._is_accepted(self._cancel(workflow)):
                    accepted.add(workflow.id)
                    workflows = None  # how it stands now is yet to be read
            if self._is_over(workflows, self.courier.clock.monotonic() - since) or vigil.has_ended:
                raise self._wrong_commit(revision, workflows or ())
            vigil.rest()

    def _is_over(self, workflows: tuple[WorkflowState, ...] | None, unchanged: float) -> bool:
        """Whether all has ended, and nothing comes after it: workflows of one run appear one after the other."""
        if not workflows or any(w.is_active for w in workflows):
            return False
        if ends_in_setup(workflows) or (self.spec.starts is not None and newest(workflows, self.spec.starts)):
            return True
        return bool(newest(workflows)) and unchanged >= _SETTLING

    def _cancel(self, workflow: WorkflowState) -> Request:
        return self._dialect.cancel(self.asked, workflow)

    def _is_accepted(self, request: Request) -> bool:
        result = self.courier.deliver(request)
        return isinstance(result, Response) and 200 <= result.status < 300  # noqa: PLR2004

    def _wrong_commit(self, revision: str | None, workflows: tuple[WorkflowState, ...]) -> Stopped:
        counted = tuple(w for w in workflows if not (w.is_setup and w.succeeded))
        is_stopped = bool(counted) and all(w.failed for w in counted)
        hint = f"cancel it by hand: {self.created.url}"
        return Stopped(
            "wrong-commit",
            f"run {self.created.url} is of commit {revision}, not of {self.spec.revision} that was tested; "
            f"{_end(counted, is_stopped=is_stopped)}",
            *(() if is_stopped else (hint,)),
            f"where {self.asked.ref.name} has moved on, the newer commit's own build decides about it",
        )

    # Nothing, in time

    def _gave_up(
        self,
        revision: str | None,
        workflows: tuple[WorkflowState, ...] | None,
        read: Run | None,
        continued_at: float | None,
    ) -> ToolError:
        seconds, url = f"{self.patience.limit:.0f} s", self.created.url
        if read is None or workflows is None:
            return TimedOut(
                "not-confirmed", f"run {url} was created but could not be read for {seconds}", f"look at {url}"
            )
        if self._is_enough(workflows) and revision is None:
            return TimedOut(
                "commit-unknown",
                f"run {url} does not say of which commit it is",
                f"compare it with {self.spec.revision}",
            )
        if read.errors and not workflows:
            return self._errored(read.errors)
        is_continued = continued_at is not None and self.courier.clock.monotonic() - continued_at < _CONTINUING
        names = ", ".join(sorted({w.name for w in workflows if not w.is_setup}))
        if (
            not names
            and not ends_in_setup(workflows)
            and (read.is_forming or is_continued or any(w.is_setup and w.is_active for w in workflows))
        ):
            return TimedOut(
                "not-started",
                f"run {url} was created, and within {seconds} CircleCI has not finished making its workflows",
                f"look at {url}: it goes on",
                "do not run this step again for it; give it longer with  --confirm 5m",
            )
        if self.spec.starts and names:
            return NothingRuns(
                "workflow-absent",
                f"workflow '{self.spec.starts}' did not start within {seconds}; run {url} has: {names}",
                f"does its when: in config.yml fit the parameters of rule '{self.asked.rule}'?",
            )
        return NothingRuns(
            "no-workflow",
            f"run {url} was created and no workflow started within {seconds}",
            "no workflow's when: or branch and tag filters fit this trigger; tag runs need tag filters on every job",
        )

    def _vigil(self, what: str, limit: float) -> Vigil:
        return Vigil(self.courier.clock, self.courier.progress, limit, BRISK, what)


def _end(workflows: tuple[WorkflowState, ...], *, is_stopped: bool) -> str:
    if is_stopped and all(w.status == "canceled" for w in workflows):
        return "it was cancelled"
    states = ", ".join(f"{w.name} is {w.status}" for w in workflows)
    return f"it does not run: {states}" if is_stopped else f"it could NOT be cancelled{states and ': '}{states}"
