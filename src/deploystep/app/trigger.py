"""Sends the triggers of all firing rules in file order, once each; the first failure stops the rest."""

import json
from datetime import datetime, timedelta
from typing import Final

from deploystep.app.confirm import confirm
from deploystep.app.earlier_runs import NOT_READ, EarlierRuns
from deploystep.app.follow import follow
from deploystep.app.options import Options
from deploystep.app.ports import Services
from deploystep.app.report import Report, TriggerEntry
from deploystep.app.superseded import superseded_by
from deploystep.circleci import v2
from deploystep.circleci.apis import Api, TriggerContext, api_for, run_key, trigger_request
from deploystep.circleci.errors import unanswered
from deploystep.circleci.http import Failure, Response, fate_of
from deploystep.core.build import ProjectSlug
from deploystep.core.deploy import Outcome, TriggerSpec
from deploystep.core.errors import Interrupted, NothingRuns, Refused, Stopped, ToolError, Uncertain, Unreachable
from deploystep.core.retry import Fate, may_repeat
from deploystep.core.rules import RuleSet
from deploystep.core.runs import Created, Run
from deploystep.core.source import Diagnostic

_LOOKING: Final = 10.0  # seconds for which a lost trigger's run is looked for at the least


def planned(spec: TriggerSpec, project: ProjectSlug, host: str, outcome: Outcome) -> TriggerEntry:
    """The request of one trigger, made but not sent."""
    request = trigger_request(spec, project)
    return TriggerEntry(spec, host + request.path, request, outcome)


def duplicates(entries: list[TriggerEntry], rules: RuleSet) -> tuple[Diagnostic, ...]:
    """Requests that are sent by two rules. Rules can name one project in two ways: only requests tell."""
    written = {rule.name.value: rule for rule in rules.rules}
    first: dict[str, str] = {}
    found: list[Diagnostic] = []
    for entry in entries:
        rule = written[entry.spec.rule]
        body = {key: value for key, value in (entry.request.body or {}).items() if key != "definition_id"}
        # as JSON, for to Python 1 and true are equal and to CircleCI they are not; the order of keys says nothing,
        # and of two requests that differ in their deploy keys alone both deploy the same
        text = json.dumps(body, sort_keys=True).replace(entry.spec.key or "\0", "")
        other = first.setdefault(f"{entry.url.casefold()} {text}", entry.spec.rule)
        if other != entry.spec.rule:
            earlier = f"rule '{other}' (line {written[other].span.line})"
            message = f"rule '{entry.spec.rule}' would send the same request as {earlier}"
            hint = "make their conditions exclude each other, or merge them"
            found.append(Diagnostic("E608", message, rule.name.span, hint))
    return tuple(found)


def trigger_all(project: ProjectSlug, options: Options, services: Services, report: Report) -> None:
    """Send everything that the report plans. Raises the first ToolError; the report then says how far it went."""
    build, client, remote = services.build, services.client(), services.remote
    reason = superseded_by(build, remote, client.clock, client.console) if remote is not None else ""
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
            entry.outcome = _OUTCOMES.get(type(error), entry.outcome)
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
    build = services.build
    if spec.revision is not None:
        committed = services.history().committed_at()
        now = services.clock.now()
        return committed - _CLOCKS_DIFFER if committed is not None and committed < now else None
    if spec.key is None or build.pipeline_id is None:
        return None
    own = v2.pipeline(services.client(), build.pipeline_id)
    return own.created if own else None


_CLOCKS_DIFFER: Final = timedelta(days=1)
_OUTCOMES: Final = {
    Refused: Outcome.REFUSED,
    Unreachable: Outcome.UNREACHABLE,
    NothingRuns: Outcome.NOTHING_RUNS,
    Stopped: Outcome.STOPPED,
}


def trigger_one(entry: TriggerEntry, api: Api, runs: EarlierRuns, options: Options, report: Report) -> None:
    """One trigger, from the look for an earlier run to the end of what it started."""
    spec, console = entry.spec, api.client.console
    looks_back = spec.is_recognised and options.again is None
    before = runs.snapshot(must_be_read=looks_back) if spec.is_recognised else NOT_READ
    earlier = runs.find(before) if looks_back else None
    try:
        if earlier is not None:
            entry.created, entry.workflows = _created(spec, earlier.run, api), earlier.workflows
            known_by = f"holds the deploy key {spec.key}" if earlier.has_key else f"of this commit holds {spec.starts}"
            entry.because = f"run {entry.created.url} {known_by}: status: {earlier.status}"
            entry.outcome = Outcome.ALREADY_TRIGGERED
            console.info(f"already triggered {spec.rule}: {entry.created.url}")
        else:
            try:
                created = post(entry, api, report)
            except Uncertain as error:  # nobody knows what came of it: what it may have created is looked for
                created = _created(spec, runs.lost(before, error, max(options.confirm, _LOOKING)), api)
            entry.created, entry.outcome = created, Outcome.TRIGGERED
            console.info(f"triggered {spec.rule}: {created.url}")
            confirm(entry, api, options.confirm, options.written("confirm"))
        if options.wait is not None:
            follow(entry, api, options.wait)
    except Interrupted:
        # what this step triggered itself, as far as that is known; what it adopted is another's
        if options.cancel_on_interrupt and options.wait is not None and entry.outcome is Outcome.TRIGGERED:
            report.is_cancelling = True
            try:
                _cancel(entry, api)
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


def _cancel(entry: TriggerEntry, api: Api) -> None:
    """Ask to cancel all that is active of a run; its end is not waited for, somebody wants to leave."""
    if entry.created is None:
        return
    url, console = entry.created.url, api.client.console
    entry.cancelled = entry.cancelled or {}
    found = api.workflows(run_key(entry.created))
    if not found:
        console.warning(f"no workflow of {url} was seen, so none was cancelled")
    active = [workflow for workflow in found or () if workflow.is_active]
    entry.cancelled |= {workflow.name: False for workflow in active}
    for workflow in active:
        entry.cancelled[workflow.name] = api.cancel(workflow)
        said = "was told to cancel" if entry.cancelled[workflow.name] else "could NOT be told to cancel"
        console.info(f"CircleCI {said} workflow {workflow.name} of {url}")
