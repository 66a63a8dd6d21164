"""After the trigger: the run must be of the commit that was tested, and something must run because of it.

A run of another commit is cancelled, and seen to have ended. A run that errored, was skipped or holds no workflow is an
error, for otherwise the step would be green without a deploy.
"""

from typing import TYPE_CHECKING, Final

from deploystep.app.polling import BRISK, poll
from deploystep.circleci.apis import Api, run_key
from deploystep.core.errors import NothingRuns, Stopped, TimedOut, ToolError
from deploystep.core.frozen import replace
from deploystep.core.runs import NEVER_RAN, Created, Run, WorkflowState, ends_in_setup, newest

if TYPE_CHECKING:
    from deploystep.app.report import TriggerEntry

_CONTINUING: Final = 25.0  # seconds after a setup workflow in which what it decided on appears
_SETTLING: Final = 5.0  # seconds without another workflow, after which none is expected
_CANCELLING: Final = 10.0  # seconds for which a run of another commit is cancelled at the least


def confirm(entry: "TriggerEntry", api: Api, limit: float, option: str = "--confirm") -> None:
    """See that the right thing runs, and note its workflows and revision; `limit` is in seconds, 0 does not look.

    Raises Stopped (after cancelling the run), NothingRuns with CircleCI's words, or TimedOut where what must be known
    could not be read.
    """
    if entry.created is None:
        return
    if limit <= 0:
        api.client.console.warning(f"not confirmed that anything runs, nor of which commit: {option} is 0")
        return
    confirmation = Confirmation(entry, entry.created, api, limit)
    if entry.created.id is None and entry.created.revision is not None:
        confirmation.stop_if_of_another_commit(entry.created.revision)  # v1.1 answers with the job itself
    else:
        confirmation.watch()


class Confirmation:
    """One created run that is being confirmed. `limit` is in seconds."""

    def __init__(self, entry: "TriggerEntry", created: Created, api: Api, limit: float) -> None:
        self._entry = entry
        self._created = created
        self._spec = entry.spec
        self._api = api
        self._limit = limit
        self._url = created.url

    def watch(self) -> None:
        """Look until the workflow that is to run is there and the revision is known, or until neither will be."""
        revision = self._created.revision
        continued_at: float | None = None
        for look in poll(self._api.client, self._limit, BRISK, f"waiting for the workflows of {self._url}"):
            asked_at = look.elapsed  # an answer tells how it stood then, however late it comes
            run = self._api.run(run_key(self._created))
            revision = (run.revision if run else None) or revision
            if run is not None and run.is_errored:
                raise self._errored(run.errors)
            self.stop_if_of_another_commit(revision)
            workflows = self._api.workflows(run_key(self._created))
            is_running = bool(workflows) and self._is_running(workflows or ())
            if is_running and (revision or self._spec.revision is None):
                self._entry.workflows = workflows or ()
                self._entry.created = replace(self._created, revision=revision)
                return
            if ends_in_setup(workflows or ()) and not any(w.reruns_left for w in workflows or ()):
                raise self._setup_failed(workflows or ())
            is_set_up = any(w.is_setup and w.succeeded for w in workflows or ())
            continued_at = (look.elapsed if continued_at is None else continued_at) if is_set_up else None
            if look.is_last:
                is_continuing = continued_at is not None and asked_at - continued_at < _CONTINUING
                raise self._gave_up(revision, workflows, run, is_continuing=is_continuing)

    def _is_running(self, workflows: tuple[WorkflowState, ...]) -> bool:
        """Whether the named workflow (or any, where none is named) has appeared; a setup workflow is only the start."""
        started = newest(workflows, self._spec.starts)
        unauthorized = next((w for w in started if w.status == "unauthorized"), None)
        if unauthorized is not None:
            token_name = self._api.context.token_name
            raise NothingRuns(
                "unauthorized",
                f"workflow {unauthorized.name} of {self._url} is unauthorized: it does not run",
                f"the user of the token in {token_name} may not use a context that the workflow needs",
            )
        if started and all(w.status in NEVER_RAN for w in started):
            raise NothingRuns(
                "did-not-run",
                f"workflow {started[0].name} of {self._url} does not run: status: {started[0].status}",
                "look at it there; possible causes: a config error, a filter, or a newer pipeline of the branch",
            )
        return bool(started)

    # A run of another commit

    def stop_if_of_another_commit(self, revision: str | None) -> None:
        """Where the run certainly is of another commit, cancel all that runs of it, and raise Stopped.

        Workflows appear a while after their run, and what deploys comes after a setup workflow: each is cancelled as
        soon as it is there. That a cancelling was accepted is not the same as an end, so the end is read.
        """
        if revision is None or self._spec.revision in (None, revision):
            return
        accepted: set[str] = set()
        told = self._entry.cancelled = {}  # an interruption can come at any moment
        self._entry.other_commit = revision
        seen: frozenset[str] = frozenset()
        workflows: tuple[WorkflowState, ...] | None = None
        changed_at = 0.0
        what = f"cancelling {self._url}, which is of another commit"
        for look in poll(self._api.client, max(self._limit, _CANCELLING), BRISK, what):
            asked_at = look.elapsed
            workflows = self._api.workflows(run_key(self._created))
            if seen != (ids := frozenset(w.id for w in workflows or ())):
                seen, changed_at = ids, look.elapsed
            active = [w for w in workflows or () if w.is_active]
            told |= {workflow.name: workflow.id in accepted for workflow in active}
            for workflow in active:
                if workflow.id not in accepted and self._api.cancel(workflow):
                    accepted.add(workflow.id)
                    told[workflow.name] = True
            if not active and self._is_over(workflows or (), asked_at - changed_at):
                break
        self._entry.cancelled = None  # the error says how it ended
        raise self._wrong_commit(revision, workflows or ())

    def _is_over(self, workflows: tuple[WorkflowState, ...], unchanged: float) -> bool:
        """Whether nothing comes after what has ended: workflows of one run appear one after the other."""
        if ends_in_setup(workflows) or (self._spec.starts is not None and newest(workflows, self._spec.starts)):
            return True
        return bool(newest(workflows)) and unchanged >= _SETTLING

    def _wrong_commit(self, revision: str | None, workflows: tuple[WorkflowState, ...]) -> Stopped:
        counted = tuple(w for w in workflows if not (w.is_setup and w.succeeded))
        is_stopped = bool(counted) and all(w.failed for w in counted)
        states = ", ".join(f"{w.name}: {w.status}" for w in counted)
        if is_stopped and all(w.status == "canceled" for w in counted):
            end = "it was cancelled"
        else:
            end = f"it does not run: {states}" if is_stopped else f"it could NOT be cancelled{states and ': '}{states}"
        return Stopped(
            "wrong-commit",
            f"run {self._url} is of commit {revision}, not of {self._spec.revision} that was tested; {end}",
            *(() if is_stopped else (f"cancel it by hand: {self._url}",)),
            f"if {self._api.context.ref.name} has moved on, the newer commit's own build decides, if it has one",
        )

    # Nothing runs

    def _errored(self, errors: tuple[str, ...]) -> NothingRuns:
        words = "; ".join(errors) or "CircleCI gives no reason"
        context = self._api.context
        declare = "declare each of these under parameters: at the top of its .circleci/config.yml"
        return NothingRuns(
            "errored",
            f"run {self._url} was created and errored: {words}",
            *((declare,) if "Unexpected argument" in words else ()),
            f"see the error at {self._url}; the config is that of {context.project} at {context.ref.name}",
        )

    def _setup_failed(self, workflows: tuple[WorkflowState, ...]) -> NothingRuns:
        failed = next(w for w in workflows if w.is_setup)
        return NothingRuns(
            "setup-failed",
            f"the setup workflow failed, so no other workflow starts: {failed.name} of {self._url}, "
            f"status: {failed.status}",
            f"see why at {self._url}; parameters that the setup config also declares are one possible cause",
        )

    def _gave_up(
        self, revision: str | None, workflows: tuple[WorkflowState, ...] | None, run: Run | None, *, is_continuing: bool
    ) -> ToolError:
        seconds, url = f"{self._limit:.0f} s", self._url
        if run is None or workflows is None:
            return TimedOut(
                "not-confirmed",
                f"run {url} was created but could not be read for {seconds}",
                f"look at {url}: the deploy may be under way",
            )
        if revision is None and self._spec.revision is not None and newest(workflows, self._spec.starts):
            return TimedOut(
                "commit-unknown",
                f"run {url} does not tell its commit",
                f"look at {url}, and compare its commit with {self._spec.revision}, which was tested",
            )
        if run.errors and not workflows:
            return self._errored(run.errors)
        names = ", ".join(sorted({w.name for w in workflows if not w.is_setup}))
        is_setting_up = any(w.is_setup and w.is_active for w in workflows)
        if not names and (run.is_forming or is_continuing or is_setting_up):
            return TimedOut(
                "not-started",
                f"run {url} was created, and within {seconds} CircleCI has not finished making its workflows",
                f"look at {url}: it goes on",
                "do not run this step again for it; give it longer with  --confirm 5m",
            )
        if self._spec.starts and names:
            return NothingRuns(
                "workflow-absent",
                f"workflow '{self._spec.starts}' did not start within {seconds}; run {url} has: {names}",
                f"look at {url} before you run this step again, which triggers anew: what it has may be the deploy",
                f"possible causes: its name is written otherwise, or its when: does not fit rule '{self._spec.rule}'",
            )
        return NothingRuns(
            "no-workflow",
            f"run {url} was created and no workflow started within {seconds}",
            f"look at {url}",
            "possible causes: no workflow's when: or filters fit the trigger; a tag needs a filter in each job",
        )
