"""After the trigger: the run must be of the commit that was tested, and something must run because of it.

A run of another commit is cancelled. A run that errored, was skipped or holds no workflow is an error,
for otherwise the step would be green without a deploy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from deploystep.app.courier import Courier
from deploystep.circleci import v1_1, v2
from deploystep.circleci.answers import Asked
from deploystep.circleci.wire import Request, Response
from deploystep.core.deploy import Created, TriggerSpec, WorkflowState
from deploystep.core.errors import NothingRuns, TimedOut, ToolError, WrongCommit

_MOST_PAGES: Final = 20
_NEVER_RAN: Final = frozenset({"error", "canceled", "not_run"})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to look for the run's workflows, and the pauses between two looks. All in seconds."""

    limit: float = 60.0
    first_pause: float = 0.5
    longest_pause: float = 5.0

    @property
    def is_none(self) -> bool:
        """Whether not to look at all."""
        return self.limit <= 0

    def pauses(self) -> Iterator[float]:
        """The pauses, each twice the last, without end."""
        pause = self.first_pause
        while True:
            yield pause
            pause = min(pause * 2, self.longest_pause)


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

    def confirm(self) -> Confirmed:
        """See that the right thing runs.

        Raises WrongCommit (after cancelling the run), NothingRuns with CircleCI's words, or TimedOut where what
        must be known could not be read.
        """
        if self.patience.is_none:
            self.courier.progress.warn("not confirmed that anything runs, nor of which commit: --confirm is 0")
            return Confirmed((), self.created.revision)
        if self.created.id is None:
            return self._confirm_job()
        return self._confirm_pipeline(self.created.id)

    def _confirm_job(self) -> Confirmed:
        """API v1.1 pins the revision and answers with the job itself: what it says is compared."""
        if self._is_other(self.created.revision):
            cancel = v1_1.cancel_request(self.asked.project, self.created.number)
            raise self._wrong_commit(self.created.revision, is_cancelled=self._is_accepted(cancel))
        return Confirmed((), self.created.revision)

    def _confirm_pipeline(self, pipeline: str) -> Confirmed:
        deadline = self._deadline()
        revision: str | None = None
        for pause in self.patience.pauses():
            read = v2.read_pipeline(self.courier.deliver(v2.pipeline_by_id_request(pipeline)))
            revision = (read.revision if read else None) or revision
            self._stop_if_errored(read)
            workflows = self._workflows(pipeline)
            if self._is_other(revision):
                self._stop_wrong(pipeline, revision, workflows)
            if workflows and self._is_enough(workflows) and (revision or self.spec.revision is None):
                return Confirmed(workflows, revision)
            if self.courier.clock.now() >= deadline:
                raise self._gave_up(revision, workflows, read)
            self.courier.clock.sleep(pause)
        raise AssertionError("pauses never end")

    def _deadline(self) -> datetime:
        return self.courier.clock.now() + timedelta(seconds=self.patience.limit)

    def _is_other(self, revision: str | None) -> bool:
        """Whether this certainly is another commit than the one that was tested."""
        return revision is not None and self.spec.revision is not None and revision != self.spec.revision

    def _is_enough(self, workflows: tuple[WorkflowState, ...]) -> bool:
        """Whether the named workflow (or any, where none is named) has appeared; a setup workflow is only the start."""
        started = [w for w in workflows if not w.is_setup and self.spec.workflow in (None, w.name)]
        unauthorized = [w for w in started if w.status == "unauthorized"]
        if unauthorized:
            raise NothingRuns(
                "unauthorized",
                f"workflow {unauthorized[0].name} of {self.created.url} is unauthorized: it does not run",
                f"the user of the token in {self.asked.token_name} may not use a context that the workflow needs",
            )
        ended = [w for w in started if w.status in _NEVER_RAN]
        if started and len(ended) == len(started):
            raise NothingRuns(
                "did-not-run",
                f"workflow {ended[0].name} of {self.created.url} does not run: it is {ended[0].status}",
                "look at it there: a config error, a filter or a newer pipeline of the branch may be why",
            )
        return bool(started)

    def _workflows(self, pipeline: str) -> tuple[WorkflowState, ...] | None:
        """Every workflow of the run; None where they could not be read, which is not the same as having none."""
        found: tuple[WorkflowState, ...] = ()
        following: str | None = None
        for _ in range(_MOST_PAGES):
            page = v2.read_workflows(self.courier.deliver(v2.workflows_request(pipeline, following)))
            if page is None:
                return None
            found += page.workflows
            following = page.following
            if following is None:
                break
        return found

    def _stop_if_errored(self, read: v2.Pipeline | None) -> None:
        if read is not None and read.state == "errored":
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

    def _stop_wrong(self, pipeline: str, revision: str | None, workflows: tuple[WorkflowState, ...] | None) -> None:
        """Cancel what runs. Workflows appear a while after their run: until one does, there is nothing to cancel."""
        deadline, pauses = self._deadline(), self.patience.pauses()
        # a setup workflow is only the start: what deploys comes after it
        while all(w.is_setup for w in workflows or ()) and self.courier.clock.now() < deadline:
            self.courier.clock.sleep(next(pauses))
            workflows = self._workflows(pipeline)
        done = [self._is_accepted(v2.cancel_request(w.id)) for w in workflows or ()]
        raise self._wrong_commit(revision, is_cancelled=bool(done) and all(done))

    def _is_accepted(self, request: Request) -> bool:
        result = self.courier.deliver(request)
        return isinstance(result, Response) and 200 <= result.status < 300  # noqa: PLR2004

    def _wrong_commit(self, revision: str | None, *, is_cancelled: bool) -> WrongCommit:
        end = "it was cancelled" if is_cancelled else "it could NOT be cancelled"
        hint = f"cancel it by hand: {self.created.url}"
        return WrongCommit(
            "wrong-commit",
            f"run {self.created.url} is of commit {revision}, not of {self.spec.revision} that was tested; {end}",
            *(() if is_cancelled else (hint,)),
            f"{self.asked.ref.name} has moved on: its own build decides about the newer commit",
        )

    def _gave_up(
        self, revision: str | None, workflows: tuple[WorkflowState, ...] | None, read: v2.Pipeline | None
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
        names = ", ".join(sorted({w.name for w in workflows if not w.is_setup}))
        if self.spec.workflow and names:
            return NothingRuns(
                "workflow-absent",
                f"workflow '{self.spec.workflow}' did not start within {seconds}; run {url} has: {names}",
                f"does its when: in config.yml fit the parameters of rule '{self.asked.rule}'?",
            )
        return NothingRuns(
            "no-workflow",
            f"run {url} was created and no workflow started within {seconds}",
            "no workflow's when: or branch and tag filters fit this trigger; tag runs need tag filters on every job",
        )
