"""Sends the triggers of all firing rules in file order, once each; the first failure stops the rest.

Then the run must be of the commit that was tested, else it is cancelled, and something must run because of it, or
the step would be green without a deploy. With --wait it is followed to its end.
"""

from datetime import datetime, timedelta
from typing import Final

from deploystep.app.earlier_runs import EarlierRuns
from deploystep.app.guards import superseded_by
from deploystep.app.options import Options
from deploystep.app.polling import BRISK, CALM, poll
from deploystep.app.ports import Services
from deploystep.app.report import Report, TriggerEntry
from deploystep.circleci import v2
from deploystep.circleci.apis import api_for, run_key
from deploystep.circleci.errors import TriggerContext, describe_failure, kept_out, unanswered
from deploystep.circleci.http import Failure, Response, fate_of
from deploystep.core import errors
from deploystep.core.build import ProjectSlug
from deploystep.core.decide import Decision, Judgement, Verdict
from deploystep.core.deploy import Outcome, TriggerSpec, keys_in
from deploystep.core.facts import Answer, Reason, Trace
from deploystep.core.frozen import replace
from deploystep.core.retry import Fate, may_repeat
from deploystep.core.runs import NEVER_RAN, ON_HOLD, RERUN, Created, Run, WorkflowState, ends_in_setup, newest

_LOOKING: Final = 10.0  # seconds for which a lost trigger's run is looked for at the least
_CLOCKS_DIFFER: Final = timedelta(days=1)
_CONTINUING: Final = 25.0  # seconds after a setup workflow in which what it decided on appears
_CANCELLING: Final = 10.0  # seconds for which a run of another commit is cancelled at the least
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
_CANCELLED, _FOLLOWED = 5.0, 15.0  # seconds without another workflow, after which none is expected in such a run


def trigger_all(project: ProjectSlug, options: Options, services: Services, report: Report) -> None:
    """Send everything that the report plans. Raises the first ToolError; the report then says how far it went."""
    client, reason = services.client(), superseded_by(services)
    made_here: set[str] = set()
    for entry in report.triggers:
        if reason:  # the branch has moved on for all rules or for none
            entry.outcome, entry.because = Outcome.SUPERSEDED, reason
            continue
        api = api_for(client, _context_of(entry.spec, project, services))
        runs = EarlierRuns(entry.spec, api, _made_since(entry.spec, services), frozenset(made_here))
        try:
            trigger_one(entry, api, runs, options, report)
        except errors.ToolError as error:
            entry.outcome = _OUTCOMES.get(error.exit.label, entry.outcome)
            raise
        if entry.created is not None and not runs.is_guess:
            made_here.add(run_key(entry.created))


def _context_of(spec: TriggerSpec, project: ProjectSlug, services: Services) -> TriggerContext:
    client, address, build = services.client(), services.address, services.build
    project, project_id = spec.project or project, None if spec.revision is None else build.project_id
    sends = spec.rule, project, spec.ref, spec.api
    return TriggerContext(*sends, client.host, address.app, services.token_name, bool(spec.parameters), project_id)


def _made_since(spec: TriggerSpec, services: Services) -> datetime | None:
    """A time before which no run of this deploy was made; None where it is not known."""
    # in this project none is older than its commit, by the committer's clock; in another, than this build's pipeline
    if spec.revision is not None:
        committed = services.history().committed_at()
        return committed - _CLOCKS_DIFFER if committed and committed < services.clock.now() else None
    pipeline_id = services.build.pipeline_id if spec.key is not None else None
    own = v2.Reader(services.client()).run(pipeline_id) if pipeline_id is not None else None
    return own.created if own else None


def trigger_one(entry: TriggerEntry, api: v2.Api, runs: EarlierRuns, options: Options, report: Report) -> None:
    """One trigger, from the look for an earlier run to the end of what it started."""
    spec, console = entry.spec, api.client.console
    earlier = runs.find(is_again=options.again is not None)
    try:
        if earlier is not None:
            created = _created(spec, earlier.run, api)
            known_by = f"holds the deploy key {spec.key}" if earlier.has_key else f"of this commit holds {spec.starts}"
            entry.because = f"run {created.url} {known_by}: status: {earlier.status}"
            entry.created, entry.workflows, entry.outcome = created, earlier.workflows, Outcome.ALREADY_TRIGGERED
            console.info(f"already triggered {spec.rule}: {created.url}")
        else:
            try:
                created = _post(entry, api, report)
            except errors.Uncertain as error:  # nobody knows what came of it: what it may have created is looked for
                created = _created(spec, runs.lost(error, max(options.confirm, _LOOKING)), api)
            entry.created, entry.outcome = created, Outcome.TRIGGERED
            console.info(f"triggered {spec.rule}: {created.url}")
            Watched(entry, created, api).confirm(options.confirm, options.written("confirm"))
        if options.wait is not None:
            Watched(entry, created, api).follow(options.wait)
    except errors.Interrupted:
        # what this step triggered itself, as far as that is known; what it adopted is another's
        cancels = options.cancel_on_interrupt and options.wait is not None and entry.outcome is Outcome.TRIGGERED
        if cancels and entry.created is not None:
            report.is_cancelling = True
            try:
                Watched(entry, entry.created, api).cancel()
            finally:
                report.is_cancelling = False
        raise


def _post(entry: TriggerEntry, api: v2.Api, report: Report) -> Created:
    """Send one POST; the client repeats it only where it certainly was not received."""

    def note(result: Response | Failure | None) -> None:
        # between two attempts nothing is under way, and who interrupts the wait leaves nothing uncertain
        if result is None:
            report.raise_if_signalled()  # the last moment at which a signal can keep it from leaving
            entry.outcome = Outcome.UNCERTAIN
        elif may_repeat(entry.request.repeat, fate_of(result)):
            entry.outcome = Outcome.NOT_SENT

    result = api.client.send(entry.request, on_attempt=note)
    if isinstance(result, Failure) or fate_of(result) is not Fate.ANSWERED:
        raise unanswered(result, api.context)
    return api.read_created(result)


def _created(spec: TriggerSpec, run: Run, api: v2.Api) -> Created:
    """A run that was found, as if its trigger had been answered."""
    url = api.context.run_url(run.number)
    return Created(None if spec.job is not None else run.id, run.number, url, revision=run.revision)


class Watched:
    """One run, and its workflows as they were last read. Every `limit` is in seconds."""

    def __init__(self, entry: TriggerEntry, created: Created, api: v2.Api) -> None:
        self._entry, self._created, self._spec, self._api = entry, created, entry.spec, api
        self._console, self._url, self._workflows = api.client.console, created.url, entry.workflows
        self._accepted: set[str] = set()  # ids of workflows that CircleCI was told to cancel

    def _read(self) -> bool:
        """Read the workflows; whether they could be read."""
        read = self._api.workflows(run_key(self._created))
        self._workflows = self._workflows if read is None else read
        return read is not None

    @property
    def _counted(self) -> tuple[WorkflowState, ...]:
        return newest(self._workflows, self._spec.starts)

    def confirm(self, limit: float, option: str = "--confirm") -> None:
        """See that the right thing runs, and note its workflows and revision; a limit of 0 does not look."""
        revision, key = self._created.revision, run_key(self._created)
        if limit <= 0:
            self._console.warning(f"not confirmed that anything runs, nor of which commit: {option} is 0")
            return
        if self._created.id is None and revision is not None:  # API v1.1 answers with the job itself
            self.stop_if_of_another_commit(revision, limit)
            self._workflows = (WorkflowState(key, self._spec.job or "", self._created.state),)
            self._raise_if_dead()
            return
        for look in poll(self._api.client, limit, BRISK, f"waiting for the workflows of {self._url}"):
            run = self._api.run(key)
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
        kept_out = tuple(w for w in self._counted if w.status == "unauthorized")
        if dead := kept_out or (self._counted if all(w.status in NEVER_RAN for w in self._counted) else ()):
            causes = "possible causes: a config error, a filter, a newer pipeline of the branch, or a context"
            why = f"{causes} that the user of the token in {self._api.context.token_name} may not use"
            what = f"run {self._url} does not run: {_listed(dead)}"
            raise errors.NothingRuns("did-not-run", what, f"look at it there; {why}")
        if ends_in_setup(self._workflows) and not any(w.reruns_left for w in self._workflows):
            what = f"the setup workflow of {self._url} failed, so no other workflow starts: {_listed(self._workflows)}"
            why = "parameters that the setup config also declares are one possible cause"
            raise errors.NothingRuns("setup-failed", what, f"see why at {self._url}; {why}")

    def _errored(self, run: Run) -> errors.NothingRuns:
        context, words = self._api.context, "; ".join(run.errors) or "CircleCI gives no reason"
        what = f"run {self._url} was created and errored: {words}"
        hint = f"see it at {self._url}: is each parameter declared in the config of {context.project}"
        return errors.NothingRuns("errored", what, f"{hint} at {context.ref.name}?")

    def _gave_up(self, limit: str, revision: str | None, run: Run | None, *, is_continuing: bool) -> errors.ToolError:
        """Why it is not confirmed; `run` is None where it or its workflows could not be read."""
        created, look, lacks = f"run {self._url} was created", f"look at {self._url}", ""
        others = tuple(w for w in self._workflows if not w.is_setup)
        is_setting_up = is_continuing or any(w.is_setup and w.is_active for w in self._workflows)
        if run is None or (revision is None and self._spec.revision is not None and self._counted):
            lacks = f"its {'commit' if run else 'state'} could not be read"
        elif run.errors and not self._workflows:
            return self._errored(run)
        elif not others and (run.is_forming or is_setting_up):
            lacks = "CircleCI has not finished making its workflows"
        if lacks:
            longer = "do not run this step again for it: it may go on; give it longer with  --confirm 5m"
            return errors.TimedOut("not-confirmed", f"{created}, and within {limit} {lacks}", look, longer)
        starts = f"workflow '{self._spec.starts}'" if self._spec.starts else "a workflow"
        why = "possible causes: its name is written otherwise, or its when: or a filter does not fit the trigger"
        first = f"{look} before you run this step again, which triggers anew: what it has may be the deploy"
        what = f"{created}, and {starts} did not start within {limit}: {_listed(others)}"
        return errors.NothingRuns("no-workflow", what, first, why)

    def stop_if_of_another_commit(self, revision: str | None, limit: float) -> None:
        """Where the run certainly is of another commit, cancel all that runs of it, and raise Stopped."""
        if revision is None or self._spec.revision in (None, revision):
            return
        self._entry.other_commit = revision
        what = f"cancelling {self._url}, which is of another commit"
        # each workflow is cancelled as soon as it is there; that this was accepted is no end, so the end is read
        for look in poll(self._api.client, max(limit, _CANCELLING), BRISK, what):
            is_read, is_active = self.cancel()
            # nothing comes after what has ended: workflows of one run appear one after the other
            is_same = look.lasts(frozenset(w.id for w in self._workflows)) >= _CANCELLED
            is_settled = is_same and bool(newest(self._workflows))
            is_there = self._spec.starts is not None and bool(self._counted)
            if is_read and not is_active and (is_there or is_settled or ends_in_setup(self._workflows)):
                break
        self._entry.cancelled = None  # the error says how it ended
        counted = tuple(w for w in self._workflows if not (w.is_setup and w.succeeded))
        is_stopped = bool(counted) and all(w.failed for w in counted)
        end = f"{'it does not run' if is_stopped else 'it could NOT be cancelled'}: {_listed(counted)}"
        end = "it was cancelled" if {w.status for w in counted} == {"canceled"} else end
        what = f"run {self._url} is of commit {revision}, not of {self._spec.revision} that was tested; {end}"
        by_hand = () if is_stopped else (f"cancel it by hand: {self._url}",)
        newer = f"if {self._api.context.ref.name} has moved on, the newer commit's own build decides, if it has one"
        raise errors.Stopped("wrong-commit", what, *by_hand, newer)

    def cancel(self) -> tuple[bool, bool]:
        """Ask to cancel all that is active; whether that could be read, and is any. Its end is not waited for."""
        told = self._entry.cancelled = self._entry.cancelled or {}  # an interruption can come at any moment
        is_read = self._read()
        active = [w for w in self._workflows if w.is_active]
        told |= {workflow.name: workflow.id in self._accepted for workflow in active}
        for workflow in active:
            if workflow.id not in self._accepted and self._api.cancel(workflow):
                self._accepted.add(workflow.id)
                told[workflow.name] = True
        return is_read, bool(active)

    def follow(self, limit: float) -> None:
        """Look until the named workflow, else all, ended. States that nobody knows go on."""
        rule, what = self._spec.rule, f"what rule '{self._spec.rule}' triggered"
        for look in poll(self._api.client, limit, CALM, f"following {self._url}"):
            is_read = self._read()
            self._entry.workflows, counted = self._workflows, self._counted
            approve = f"; approve it at {self._url}" if any(w.status == ON_HOLD for w in counted) else ""
            look.tell(f"{rule}: {_listed(counted) + approve if is_read else 'could not be read just now'}")
            may_rerun = any(w.failed and w.reruns_left for w in counted)
            is_final = look.lasts("failed", is_so=may_rerun) >= RERUN or not may_rerun
            is_same = look.lasts(frozenset(w.id for w in self._workflows)) >= _FOLLOWED
            is_whole = is_same or self._spec.starts is not None
            if counted and is_final and is_whole and not any(w.is_active for w in counted):
                jobs = [self._api.jobs_not_run(w) if w.succeeded else () for w in counted]
                skipped = ", ".join(name for names in jobs for name in names or ())
                failed = tuple(w for w in counted if not w.succeeded)
                if failed or skipped:
                    end = f"ended badly: {_listed(failed)}" if failed else f"says success, but did not run: {skipped}"
                    why = "a job may not run because a newer run took over its serial group"
                    again = "rerun this job to trigger it again: this is not taken for a deploy"
                    raise errors.DeployFailed("deploy-failed", f"{what} {end}", f"see why at {self._url}; {why}", again)
                if None not in jobs:
                    return
                look.tell(f"{rule}: the jobs of what has ended could not be read just now")
            if look.is_last:
                finds = self._spec.is_recognised
                again = "rerun this job to wait on: it finds this run" if finds else "do not run this step again for it"
                what = f"{what} has not ended within {limit:.0f} s: {_listed(counted)}"
                longer = f"{again}; or give it longer with  --wait 2h"
                raise errors.TimedOut("wait-timeout", what, f"it goes on: {self._url}", longer)


def _listed(workflows: tuple[WorkflowState, ...]) -> str:
    return ", ".join(f"workflow {w.name}: {w.status}" for w in workflows) or "no workflow was seen"


def drop_own_deploys(project: ProjectSlug, options: Options, services: Services, report: Report) -> None:
    """Take from the plan, and from the decision, every rule whose deploy this build's own pipeline is."""
    build, client, is_again = services.build, services.client(), options.again is not None
    here = [entry.spec for entry in report.triggers if entry.spec.project in (None, project)]
    if not here or build.pipeline_id is None:
        return
    body, result = v2.Reader(client).one(build.pipeline_id)
    own = v2.read_run(body)
    if own is None:
        # what is recognised is found among the earlier runs, or they cannot be read
        for spec in here:
            if is_again or not spec.is_recognised:
                unread = f"pipeline {build.pipeline_id} could not be read ({describe_failure(result, client.host)})"
                raise kept_out(result, _context_of(spec, project, services)) or _undecided(spec, unread)
        return
    here = [spec for spec in here if spec.revision is not None or own.ref in (spec.ref, None)]
    if own.is_by_api is False or not here:
        return
    text = v2.Reader(client).compiled_config(own.id) if any(spec.key is not None for spec in here) else ""
    workflows = v2.Reader(client).workflows(own.id) if any(spec.workflow is not None for spec in here) else ()
    if own.is_by_api and (text is None or workflows is None):
        raise _undecided(here[0], f"what pipeline {own.id} is made of could not be read")
    keys, started = keys_in(text or ""), frozenset(w.name for w in workflows or ())
    for spec in here:
        why = _known_by(spec, build.variables.get("CIRCLE_JOB"), keys, started, is_again=is_again)
        if why is None and own.is_by_api:
            raise _undecided(spec, "its pipeline was triggered through the API, and no deploy key or workflow tells")
        if why:
            _drop(spec, f"this build's own pipeline is this rule's deploy: {why}; {_keep_out(spec)}", report)


def _drop(spec: TriggerSpec, why: str, report: Report) -> None:
    report.triggers = [entry for entry in report.triggers if entry.spec is not spec]
    judgements = list(report.decision.judgements) if report.decision else []
    for at, judgement in enumerate(judgements):
        rule, trace, reasons = judgement.rule, judgement.trace, (Reason(why, judgement.rule.span.line),)
        if rule.name.value == spec.rule:
            no = Trace("this is not its own deploy", Answer.NO, reasons, rule.span)
            stopped = replace(trace, answer=Answer.NO, reasons=reasons, parts=(*trace.parts, no))
            judgements[at] = Judgement(rule, Verdict.NO, stopped)
    report.decision = Decision(tuple(judgements))


def _known_by(
    spec: TriggerSpec, job: str | None, keys: frozenset[str], started: frozenset[str], *, is_again: bool
) -> str | None:
    """What shows that the pipeline is this rule's deploy; empty where it is not, None where nothing tells."""
    if spec.key is not None and keys:  # with --again they are made anew, so any key shows a deploy
        return "it holds its deploy key" if spec.key in keys else "it holds a deploy key" if is_again else ""
    if spec.job is not None:
        return f"this is job {job}" if job == spec.job else ""
    is_started = spec.workflow in started
    if is_started and not spec.sharing and not spec.own_variables:
        return f"it was triggered through the API and holds workflow {spec.workflow}"
    return None if spec.workflow is None or (spec.revision is None and is_started) else ""


def _keep_out(spec: TriggerSpec) -> str:
    name = next((key for key, value in spec.parameters.items() if value is True), "deploy")
    return f"keep this step out of it: give its workflow in config.yml  unless: << pipeline.parameters.{name} >>"


def _undecided(spec: TriggerSpec, why: str) -> errors.FactUnavailable:
    what = f"cannot tell whether this build is itself the deploy of rule '{spec.rule}': {why}; nothing was sent"
    send = "name the workflow that the rule starts, send  deploy_key: ${deploy.key} , and use it in the config"
    return errors.FactUnavailable("undecided", what, send, f"or {_keep_out(spec)}")
