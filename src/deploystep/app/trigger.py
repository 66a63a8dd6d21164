"""Sends the triggers of all firing rules in file order, once each; the first failure stops the rest."""

from datetime import datetime, timedelta
from typing import Final

from deploystep.app.confirm import Watched
from deploystep.app.earlier_runs import EarlierRuns
from deploystep.app.guards import superseded_by
from deploystep.app.options import Options
from deploystep.app.ports import Services
from deploystep.app.report import Report, TriggerEntry
from deploystep.circleci import v2
from deploystep.circleci.apis import Api, api_for, run_key
from deploystep.circleci.errors import TriggerContext, describe_failure, kept_out, unanswered
from deploystep.circleci.http import Failure, Response, fate_of
from deploystep.core.build import ProjectSlug
from deploystep.core.decide import Decision, Judgement, Verdict
from deploystep.core.deploy import Outcome, TriggerSpec, keys_in
from deploystep.core.errors import FactUnavailable, Interrupted, ToolError, Uncertain
from deploystep.core.facts import Answer, Reason, Trace
from deploystep.core.frozen import replace
from deploystep.core.retry import Fate, may_repeat
from deploystep.core.runs import Created, Run

_LOOKING: Final = 10.0  # seconds for which a lost trigger's run is looked for at the least
_CLOCKS_DIFFER: Final = timedelta(days=1)
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}


def trigger_all(project: ProjectSlug, options: Options, services: Services, report: Report) -> None:
    """Send everything that the report plans. Raises the first ToolError; the report then says how far it went."""
    client, reason = services.client(), superseded_by(services)
    made_here: set[str] = set()
    for entry in report.triggers:
        spec = entry.spec
        if reason:  # the branch has moved on for all rules or for none
            entry.outcome, entry.because = Outcome.SUPERSEDED, reason
            continue
        api = api_for(client, context_of(spec, project, services))
        runs = EarlierRuns(spec, api, _made_since(spec, services), frozenset(made_here))
        try:
            trigger_one(entry, api, runs, options, report)
        except ToolError as error:
            entry.outcome = _OUTCOMES.get(error.exit.label, entry.outcome)
            raise
        if entry.created is not None and not runs.is_guess:
            made_here.add(run_key(entry.created))


def context_of(spec: TriggerSpec, project: ProjectSlug, services: Services) -> TriggerContext:
    """What is asked and said about one trigger of this build."""
    return TriggerContext(
        rule=spec.rule,
        project=spec.project or project,
        ref=spec.ref,
        api=spec.api,
        host=services.client().host,
        app=services.address.app,
        token_name=services.token_name,
        has_parameters=bool(spec.parameters),
        project_id=None if spec.revision is None else services.build.project_id,  # of another project it is not known
    )


def _made_since(spec: TriggerSpec, services: Services) -> datetime | None:
    """A time before which no run of this deploy was made; None where it is not known.

    In this project none is older than its commit, by the committer's clock. What this build sends to another project is
    no older than the build's own pipeline.
    """
    if spec.revision is not None:
        committed = services.history().committed_at()
        return committed - _CLOCKS_DIFFER if committed and committed < services.clock.now() else None
    pipeline_id = services.build.pipeline_id if spec.key is not None else None
    own = v2.pipeline(services.client(), pipeline_id) if pipeline_id is not None else None
    return own.created if own else None


def trigger_one(entry: TriggerEntry, api: Api, runs: EarlierRuns, options: Options, report: Report) -> None:
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
                created = post(entry, api, report)
            except Uncertain as error:  # nobody knows what came of it: what it may have created is looked for
                created = _created(spec, runs.lost(error, max(options.confirm, _LOOKING)), api)
            entry.created, entry.outcome = created, Outcome.TRIGGERED
            console.info(f"triggered {spec.rule}: {created.url}")
            Watched(entry, created, api).confirm(options.confirm, options.written("confirm"))
        if options.wait is not None:
            Watched(entry, created, api).follow(options.wait)
    except Interrupted:
        # what this step triggered itself, as far as that is known; what it adopted is another's
        cancels = options.cancel_on_interrupt and options.wait is not None and entry.outcome is Outcome.TRIGGERED
        if cancels and entry.created is not None:
            report.is_cancelling = True
            try:
                Watched(entry, entry.created, api).cancel()
            finally:
                report.is_cancelling = False
        raise


def post(entry: TriggerEntry, api: Api, report: Report) -> Created:
    """Send one POST; the client repeats it only where it certainly was not received.

    The entry is marked before and after each attempt: between two attempts nothing is under way, and who interrupts
    the wait leaves nothing uncertain. Raises Refused, Unreachable, NothingRuns or Uncertain.
    """

    def note(result: Response | Failure | None) -> None:
        if result is None:
            report.raise_if_signalled()  # the last moment at which a signal can keep it from leaving
            entry.outcome = Outcome.UNCERTAIN
        elif may_repeat(entry.request.repeat, fate_of(result)):
            entry.outcome = Outcome.NOT_SENT

    result = api.client.send(entry.request, on_attempt=note)
    if isinstance(result, Failure) or fate_of(result) is not Fate.ANSWERED:
        raise unanswered(result, api.context)
    return api.read_created(result)


def _created(spec: TriggerSpec, run: Run, api: Api) -> Created:
    """A run that was found, as if its trigger had been answered."""
    url = api.context.run_url(run.number)
    return Created(None if spec.job is not None else run.id, run.number, url, revision=run.revision)


# Is this build itself part of the deploy?


def drop_own_deploys(project: ProjectSlug, options: Options, services: Services, report: Report) -> None:
    """Take from the plan, and from the decision, every rule whose deploy this build's own pipeline is.

    Raises FactUnavailable where it may be the deploy of a rule, and nothing could tell; Unreachable or Refused where
    nobody could be asked.
    """
    build, client, is_again = services.build, services.client(), options.again is not None
    here = [entry.spec for entry in report.triggers if entry.spec.project in (None, project)]
    if not here or build.pipeline_id is None:
        return
    own, result = v2.pipeline_answer(client, build.pipeline_id)
    unknown = next((spec for spec in here if is_again or not spec.is_recognised), None)
    # what is recognised is found among the earlier runs, or they cannot be read
    if own is None and unknown is not None:
        unread = f"pipeline {build.pipeline_id} could not be read ({describe_failure(result, client.host)})"
        raise kept_out(result, context_of(unknown, project, services)) or _undecided(unknown, unread)
    if own is None or own.is_by_api is False:
        return
    here = [spec for spec in here if spec.revision is not None or own.ref in (spec.ref, None)]
    text = v2.compiled_config(client, own.id) if any(spec.key is not None for spec in here) else ""
    workflows = v2.workflows(client, own.id) if any(spec.workflow is not None for spec in here) else ()
    if own.is_by_api and here and (text is None or workflows is None):
        raise _undecided(here[0], f"what pipeline {own.id} is made of could not be read")
    keys, started = keys_in(text or ""), frozenset(w.name for w in workflows or ())
    for spec in here:
        why = _known_by(spec, build.variables.get("CIRCLE_JOB"), keys, started, is_again=is_again)
        if why is None and own.is_by_api:
            key = "shows no deploy key" if spec.key else "the rule sends no deploy key"
            raise _undecided(spec, f"its pipeline was triggered through the API, {key}, and no workflow tells")
        if why:
            reason = f"this build's own pipeline is this rule's deploy: {why}; {_gate(spec)}"
            report.triggers = [entry for entry in report.triggers if entry.spec is not spec]
            judgements = report.decision.judgements if report.decision else ()
            report.decision = Decision(
                tuple(_stopped(j, reason) if j.rule.name.value == spec.rule else j for j in judgements)
            )


def _stopped(judgement: Judgement, reason: str) -> Judgement:
    rule, trace = judgement.rule, judgement.trace
    reasons = (Reason(reason, rule.span.line),)
    no = Trace("this is not its own deploy", Answer.NO, reasons, rule.span)
    return Judgement(rule, Verdict.NO, replace(trace, answer=Answer.NO, reasons=reasons, parts=(*trace.parts, no)))


def _known_by(
    spec: TriggerSpec, job: str | None, keys: frozenset[str], started: frozenset[str], *, is_again: bool
) -> str | None:
    """What shows that the pipeline is this rule's deploy; empty where it is not, or where earlier runs will tell.

    None where it may be, and nothing tells. `is_again`: deploy keys are made anew, so any key shows a deploy.
    """
    if spec.key is not None and keys:
        again = "it holds a deploy key, and --again makes another each time" if is_again else ""
        return "it holds its deploy key" if spec.key in keys else again
    if spec.job is not None:
        return f"this is job {job}" if job == spec.job else ""
    is_started = spec.workflow in started
    if is_started and not spec.sharing and not spec.own_variables:
        return f"it was triggered through the API and holds workflow {spec.workflow}"
    may_be = spec.workflow is None or (spec.revision is None and is_started)
    return None if may_be else ""


def _gate(spec: TriggerSpec) -> str:
    name = [*(key for key, value in spec.parameters.items() if value is True), *spec.parameters, "deploy"][0]
    return f"keep this step out of it: give its workflow in config.yml  unless: << pipeline.parameters.{name} >>"


def _undecided(spec: TriggerSpec, why: str) -> FactUnavailable:
    what = f"cannot tell whether this build is itself the deploy of rule '{spec.rule}': {why}; nothing was sent"
    name = f"name the workflow that rule '{spec.rule}' starts, and use its deploy key in the config"
    send = f"add  deploy_key: ${{deploy.key}}  to the parameters of rule '{spec.rule}'"
    return FactUnavailable("undecided", what, name if spec.key else send, f"or {_gate(spec)}")
