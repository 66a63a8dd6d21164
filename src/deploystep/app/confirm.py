"""After the trigger: the run must be of the commit that was tested, and something must run because of it.

A run of another commit is cancelled, and seen to have ended. A run that errored, was skipped or holds no workflow is an
error, for otherwise the step would be green without a deploy. With --wait it is followed to its end.
"""

from typing import TYPE_CHECKING, Final

from deploystep.app.polling import BRISK, CALM, Look, poll
from deploystep.circleci.apis import Api, run_key
from deploystep.core.errors import DeployFailed, NothingRuns, Stopped, TimedOut, ToolError
from deploystep.core.frozen import replace
from deploystep.core.runs import NEVER_RAN, ON_HOLD, RERUN, Created, Run, WorkflowState, ends_in_setup, newest

if TYPE_CHECKING:
    from deploystep.app.report import TriggerEntry

_CONTINUING: Final = 25.0  # seconds after a setup workflow in which what it decided on appears
_CANCELLING: Final = 10.0  # seconds for which a run of another commit is cancelled at the least
#: Seconds without another workflow, after which none is expected: in a run that is cancelled, in one that is followed.
_CANCELLED, _FOLLOWED = 5.0, 15.0


class Watched:
    """One run, and its workflows as they were last read. Every `limit` is in seconds."""

    def __init__(self, entry: "TriggerEntry", created: Created, api: Api) -> None:
        self._entry = entry
        self._created = created
        self._spec = entry.spec
        self._api = api
        self._console = api.client.console
        self._url = created.url
        self._workflows = entry.workflows
        self._accepted: set[str] = set()  # ids of workflows that CircleCI was told to cancel

    def _read(self) -> bool:
        """Read the workflows; whether they could be read."""
        read = self._api.workflows(run_key(self._created))
        self._workflows = self._workflows if read is None else read
        return read is not None

    def _unchanged(self, look: Look) -> float:
        """Seconds for which no other workflow has appeared."""
        return look.lasts(frozenset(w.id for w in self._workflows))

    @property
    def _counted(self) -> tuple[WorkflowState, ...]:
        return newest(self._workflows, self._spec.starts)

    def confirm(self, limit: float, option: str = "--confirm") -> None:
        """See that the right thing runs, and note its workflows and revision; a limit of 0 does not look.

        Raises Stopped (after cancelling the run), NothingRuns with CircleCI's words, or TimedOut where what must be
        known could not be read.
        """
        revision = self._created.revision
        if limit <= 0:
            self._console.warning(f"not confirmed that anything runs, nor of which commit: {option} is 0")
            return
        if self._created.id is None and revision is not None:
            self.stop_if_of_another_commit(revision, limit)  # v1.1 answers with the job itself, which may be skipped
            self._workflows = (WorkflowState(run_key(self._created), self._spec.job or "", self._created.state),)
            self._raise_if_dead()
            return
        for look in poll(self._api.client, limit, BRISK, f"waiting for the workflows of {self._url}"):
            run = self._api.run(run_key(self._created))
            revision = (run.revision if run else None) or revision
            if run is not None and run.is_errored:
                raise self._errored(run)
            self.stop_if_of_another_commit(revision, limit)
            is_read = self._read()
            self._raise_if_dead()
            if self._counted and (revision or self._spec.revision is None):
                self._entry.workflows = self._workflows
                self._entry.created = replace(self._created, revision=revision)
                return
            is_set_up = is_read and any(w.is_setup and w.succeeded for w in self._workflows)
            is_continuing = look.lasts("set up", is_so=is_set_up) < _CONTINUING and is_set_up
            if look.is_last:
                raise self._gave_up(f"{limit:.0f} s", revision, run if is_read else None, is_continuing=is_continuing)

    def _raise_if_dead(self) -> None:
        """Raise where what is to run certainly does not; a setup workflow is only the start of it."""
        counted, setups = self._counted, [w for w in self._workflows if w.is_setup]
        kept_out = [w for w in counted if w.status == "unauthorized"]
        if kept_out or (counted and all(w.status in NEVER_RAN for w in counted)):
            dead = (*kept_out, *counted)[0]
            what = f"workflow {dead.name} of {self._url}"
            if kept_out:
                why = f"the user of the token in {self._api.context.token_name} may not use a context that it needs"
                raise NothingRuns("unauthorized", f"{what} is unauthorized: it does not run", why)
            why = "possible causes: a config error, a filter, or a newer pipeline of the branch"
            raise NothingRuns("did-not-run", f"{what} does not run: status: {dead.status}", f"look at it there; {why}")
        if ends_in_setup(self._workflows) and not any(w.reruns_left for w in self._workflows):
            failed = f"{setups[0].name} of {self._url}, status: {setups[0].status}"
            what = f"the setup workflow failed, so no other workflow starts: {failed}"
            why = "parameters that the setup config also declares are one possible cause"
            raise NothingRuns("setup-failed", what, f"see why at {self._url}; {why}")

    def _errored(self, run: Run) -> NothingRuns:
        context, words = self._api.context, "; ".join(run.errors) or "CircleCI gives no reason"
        hints = [f"see the error at {self._url}; the config is that of {context.project} at {context.ref.name}"]
        if "Unexpected argument" in words:
            hints.insert(0, "declare each of these under parameters: at the top of its .circleci/config.yml")
        return NothingRuns("errored", f"run {self._url} was created and errored: {words}", *hints)

    def _gave_up(self, limit: str, revision: str | None, run: Run | None, *, is_continuing: bool) -> ToolError:
        """Why it is not confirmed; `run` is None where it or its workflows could not be read."""
        created, look, wanted = f"run {self._url} was created", f"look at {self._url}", self._spec.revision
        if run is None:
            what = f"{created} but could not be read for {limit}"
            return TimedOut("not-confirmed", what, f"{look}: the deploy may be under way")
        if revision is None and wanted is not None and self._counted:
            compare = f"{look}, and compare its commit with {wanted}, which was tested"
            return TimedOut("commit-unknown", f"run {self._url} does not tell its commit", compare)
        if run.errors and not self._workflows:
            return self._errored(run)
        names = ", ".join(sorted({w.name for w in self._workflows if not w.is_setup}))
        is_setting_up = any(w.is_setup and w.is_active for w in self._workflows)
        if not names and (run.is_forming or is_continuing or is_setting_up):
            what = f"{created}, and within {limit} CircleCI has not finished making its workflows"
            longer = "do not run this step again for it; give it longer with  --confirm 5m"
            return TimedOut("not-started", what, f"{look}: it goes on", longer)
        if self._spec.starts and names:
            what = f"workflow '{self._spec.starts}' did not start within {limit}; run {self._url} has: {names}"
            first = f"{look} before you run this step again, which triggers anew: what it has may be the deploy"
            why = f"its name is written otherwise, or its when: does not fit rule '{self._spec.rule}'"
            return NothingRuns("workflow-absent", what, first, f"possible causes: {why}")
        what = f"{created} and no workflow started within {limit}"
        why = "possible causes: no workflow's when: or filters fit the trigger; a tag needs a filter in each job"
        return NothingRuns("no-workflow", what, look, why)

    # A run of another commit

    def stop_if_of_another_commit(self, revision: str | None, limit: float) -> None:
        """Where the run certainly is of another commit, cancel all that runs of it, and raise Stopped.

        Workflows appear a while after their run, and what deploys comes after a setup workflow: each is cancelled as
        soon as it is there. That a cancelling was accepted is not the same as an end, so the end is read.
        """
        if revision is None or self._spec.revision in (None, revision):
            return
        self._entry.other_commit = revision
        what = f"cancelling {self._url}, which is of another commit"
        for look in poll(self._api.client, max(limit, _CANCELLING), BRISK, what):
            is_read, active = self.cancel()
            # nothing comes after what has ended: workflows of one run appear one after the other
            is_settled = self._unchanged(look) >= _CANCELLED and bool(newest(self._workflows))
            is_there = self._spec.starts is not None and bool(self._counted)
            if is_read and not active and (is_there or is_settled or ends_in_setup(self._workflows)):
                break
        self._entry.cancelled = None  # the error says how it ended
        raise self._wrong_commit(revision)

    def _wrong_commit(self, revision: str) -> Stopped:
        counted = tuple(w for w in self._workflows if not (w.is_setup and w.succeeded))
        is_stopped = bool(counted) and all(w.failed for w in counted)
        states = ", ".join(f"{w.name}: {w.status}" for w in counted)
        end = f"it does not run: {states}" if is_stopped else f"it could NOT be cancelled{states and ': '}{states}"
        if is_stopped and all(w.status == "canceled" for w in counted):
            end = "it was cancelled"
        what = f"run {self._url} is of commit {revision}, not of {self._spec.revision} that was tested; {end}"
        newer = f"if {self._api.context.ref.name} has moved on, the newer commit's own build decides, if it has one"
        return Stopped("wrong-commit", what, *(() if is_stopped else (f"cancel it by hand: {self._url}",)), newer)

    def cancel(self) -> tuple[bool, list[WorkflowState]]:
        """Ask to cancel all that is active; whether that could be read, and what it is. Its end is not waited for."""
        told = self._entry.cancelled = self._entry.cancelled or {}  # an interruption can come at any moment
        is_read = self._read()
        active = [w for w in self._workflows if w.is_active]
        told |= {workflow.name: workflow.id in self._accepted for workflow in active}
        for workflow in active:
            if workflow.id not in self._accepted and self._api.cancel(workflow):
                self._accepted.add(workflow.id)
                told[workflow.name] = True
        return is_read, active

    # To its end

    def follow(self, limit: float) -> None:
        """Look until the workflow that the rule names (or all, where it names none) has ended.

        States that nobody knows go on. Raises DeployFailed, or TimedOut where the time is up.
        """
        rule = self._spec.rule
        held: set[str] = set()
        for look in poll(self._api.client, limit, CALM, f"following {self._url}"):
            is_read = self._read()
            self._entry.workflows, counted = self._workflows, self._counted
            look.tell(f"{rule}: {_listed(counted) if is_read else 'could not be read just now'}")
            for workflow in counted:
                if workflow.status == ON_HOLD and workflow.id not in held:
                    held.add(workflow.id)
                    self._console.warning(f"workflow {workflow.name} is on hold: approve it at {self._page(workflow)}")
            may_rerun = any(w.failed and w.reruns_left for w in counted)
            is_final = look.lasts("failed", is_so=may_rerun) >= RERUN or not may_rerun
            is_whole = self._unchanged(look) >= _FOLLOWED or self._spec.starts is not None
            if counted and is_final and is_whole and not any(w.is_active for w in counted):
                skipped = [self._api.jobs_not_run(w) if w.succeeded else () for w in counted]
                if None not in skipped:
                    self._raise_if_failed(counted, ", ".join(name for names in skipped for name in names or ()))
                    return
                look.tell(f"{rule}: the jobs of what has ended could not be read just now")
            if look.is_last:
                again = "rerun this job to wait on: it finds this run"
                again = again if self._spec.is_recognised else "do not run this step again for it"
                what = f"what rule '{rule}' triggered has not ended within {limit:.0f} s: {_listed(counted)}"
                longer = f"{again}; or give it longer with  --wait 2h"
                raise TimedOut("wait-timeout", what, f"it goes on: {self._url}", longer)

    def _raise_if_failed(self, counted: tuple[WorkflowState, ...], skipped: str) -> None:
        failed, what = tuple(w for w in counted if not w.succeeded), f"what rule '{self._spec.rule}' triggered"
        why = "possible causes: a newer run took over its serial group, or what the job requires did not happen"
        again = "rerun this job to trigger it again: what has failed or did not run is not taken for a deploy"
        see = f"see why at {self._page((failed or counted)[0])}"
        if failed:
            raise DeployFailed("deploy-failed", f"{what} ended badly: {_listed(failed)}", see, again)
        if skipped:
            raise DeployFailed("deploy-skipped", f"{what} says success, but did not run: {skipped}", see, why, again)

    def _page(self, workflow: WorkflowState) -> str:
        is_numbered = self._created.id is not None and self._created.number is not None
        return f"{self._url}/workflows/{workflow.id}" if is_numbered else self._url


def _listed(workflows: tuple[WorkflowState, ...]) -> str:
    return ", ".join(f"workflow {w.name}: {w.status}" for w in workflows) or "no workflow was seen"
