"""Is this build part of a deploy that this step triggered? Then the rule that triggered it does not fire again in it.

A config that runs the step in every pipeline, the deploy's own among them, would otherwise deploy for ever. One request
tells for the builds of a push; the few whose pipeline was triggered through the API are looked at more closely.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deploystep.app.trigger import context_of
from deploystep.circleci import v2
from deploystep.circleci.errors import describe_failure, kept_out
from deploystep.core.build import BuildContext, ProjectSlug
from deploystep.core.decide import Decision, Judgement, Verdict
from deploystep.core.deploy import TriggerSpec
from deploystep.core.deploy_key import keys_in
from deploystep.core.errors import FactUnavailable
from deploystep.core.frozen import replace
from deploystep.core.trace import Answer, Reason, Trace

if TYPE_CHECKING:
    from deploystep.app.ports import Services


def own_deploys(
    specs: tuple[TriggerSpec, ...], project: ProjectSlug, services: "Services", *, is_again: bool
) -> Mapping[str, str]:
    """The rules whose deploy this build's own pipeline is, each with the reason.

    `is_again`: deploy keys are made anew, so any key that the pipeline holds shows that it is a deploy. Raises
    FactUnavailable where the pipeline may be the deploy of a rule, and nothing could tell; Unreachable or Refused where
    nobody could be asked.
    """
    build, client = services.build, services.client()
    here = [spec for spec in specs if spec.project in (None, project)]
    if not here or build.pipeline_id is None:
        return {}
    own, result = v2.pipeline_answer(client, build.pipeline_id)
    if own is None:
        unknown = next((spec for spec in here if is_again or not spec.is_recognised), None)
        if unknown is not None:
            why = f"pipeline {build.pipeline_id} could not be read ({describe_failure(result, client.host)})"
            raise kept_out(result, context_of(unknown, project, services)) or _undecided(unknown, why)
        services.console.info("this build's own pipeline could not be read: earlier runs are still looked for")
    if own is None or own.is_by_api is False:
        return {}
    sends_key = any(spec.key is not None for spec in here)
    text = v2.compiled_config(client, own.id) if sends_key else ""
    if text is None and is_again and own.is_by_api:
        unread = next(spec for spec in here if spec.key is not None)
        raise _undecided(unread, f"the configuration of pipeline {own.id} could not be read")
    keys = keys_in(text or "")
    here = [spec for spec in here if spec.revision is not None or own.ref in (spec.ref, None)]
    is_named = any(spec.workflow is not None for spec in here)
    workflows = v2.workflows(client, own.id) if is_named else None
    started = frozenset(w.name for w in workflows or ())
    found: dict[str, str] = {}
    for spec in here:
        why = _known_by(spec, build, keys, started, is_again=is_again)
        if why:
            found[spec.rule] = f"this build's own pipeline is this rule's deploy: {why}; {_gate(spec)}"
        elif own.is_by_api and _may_be(spec, keys, None if workflows is None else started):
            key = "shows no deploy key" if spec.key else "the rule sends no deploy key"
            raise _undecided(spec, f"its pipeline was triggered through the API, {key}, and no workflow tells")
    return found


def _known_by(
    spec: TriggerSpec, build: BuildContext, keys: frozenset[str], started: frozenset[str], *, is_again: bool
) -> str:
    """What shows that the pipeline is this rule's deploy; empty where nothing does."""
    if spec.key is not None and keys:
        if spec.key in keys:
            return "it holds its deploy key"
        return "it holds a deploy key, and --again makes another each time" if is_again else ""
    if spec.job is not None:
        return f"this is job {spec.job}" if build.variables.get("CIRCLE_JOB") == spec.job else ""
    is_started = spec.workflow in started and not spec.sharing and not spec.own_variables
    return f"it was triggered through the API and holds workflow {spec.workflow}" if is_started else ""


def _may_be(spec: TriggerSpec, keys: frozenset[str], started: frozenset[str] | None) -> bool:
    """Whether the pipeline may be the deploy though nothing shows it, and no look for an earlier run will find it."""
    if spec.job is not None or (spec.key is not None and keys):
        return False
    return spec.workflow is None or (spec.revision is None and (started is None or spec.workflow in started))


def _gate(spec: TriggerSpec) -> str:
    parameters = [key for key, value in spec.parameters.items() if value is True] or [*spec.parameters, "deploy"]
    return (
        f"keep this step out of it: give its workflow in config.yml  unless: << pipeline.parameters.{parameters[0]} >>"
    )


def _undecided(spec: TriggerSpec, why: str) -> FactUnavailable:
    name = f"name the workflow that rule '{spec.rule}' starts, and use its deploy key in the config"
    return FactUnavailable(
        "undecided",
        f"cannot tell whether this build is itself the deploy of rule '{spec.rule}': {why}; nothing was sent",
        name if spec.key else f"add  deploy_key: ${{deploy.key}}  to the parameters of rule '{spec.rule}'",
        f"or {_gate(spec)}",
    )


def without(decision: Decision, stopped: Mapping[str, str]) -> Decision:
    """The decision in which these rules do not fire, for the given reasons."""
    return replace(decision, judgements=tuple(_stopped(j, stopped.get(j.rule.name.value)) for j in decision.judgements))


def _stopped(judgement: Judgement, reason: str | None) -> Judgement:
    if reason is None:
        return judgement
    rule = judgement.rule
    claim = "this is not its own deploy"
    no = Trace(claim, Answer.NO, (Reason(reason, rule.span.line),), rule.span)
    trace = replace(judgement.trace, answer=Answer.NO, reasons=no.reasons, parts=(*judgement.trace.parts, no))
    return Judgement(rule, Verdict.NO, trace)
