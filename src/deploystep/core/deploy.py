"""What a firing rule asks for, and what came of it.

The deploy key names the deploy that a run is: API v2 returns a run's compiled configuration, with the values of its
parameters (v2 OpenAPI, `getPipelineConfigById`; CircleCI docs, "Config templating"). A missing key proves nothing.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final

from deploystep.core import parameters as fill
from deploystep.core.build import Branch, BuildContext, ProjectSlug, Tag
from deploystep.core.decide import match
from deploystep.core.facts import Answer, Facts
from deploystep.core.frozen import Frozen
from deploystep.core.rules import ApiVersion, Deploy, Matcher, NameIs, Rule, RuleSet
from deploystep.core.source import Diagnostic, clipped

NAME: Final = "deploy.key"
_SHARED: Final = len("ds-") + 16  # characters that every run of one deploy has, also one that was wanted again


class TriggerSpec(Frozen):
    """One trigger, complete: everything that its request says."""

    rule: str
    api: ApiVersion
    project: ProjectSlug | None  # None is still to be asked of CircleCI
    ref: Branch | Tag
    revision: str | None  # the commit that the run must be of; None for another project, whose commits are its own
    definition: str | None
    job: str | None
    workflow: str | None
    parameters: Mapping[str, fill.Scalar]
    key: str | None = None  # the deploy key, where a parameter carries it
    sharing: tuple[str, ...] = ()  # the other rules that may start the same workflow in a build of this ref
    own_variables: tuple[str, ...] = ()  # those outside CIRCLE_* that the parameters use

    @property
    def starts(self) -> str | None:
        """The workflow (or by API v1.1 the job) by which its runs are known; None where nothing tells."""
        return self.job or self.workflow

    @property
    def is_known_by_workflow(self) -> bool:
        """Whether a run of this commit with the workflow can only be of this rule's deploy."""
        return None not in (self.starts, self.revision) and not (self.sharing or self.own_variables)

    @property
    def is_recognised(self) -> bool:
        """Whether an earlier run is looked for: a rerun then does not send it again."""
        return self.key is not None or None not in (self.starts, self.revision)


class Specs(Frozen):
    """The triggers of all firing rules in file order, and what is wrong with them; sendable only if nothing is."""

    specs: tuple[TriggerSpec, ...]
    diagnostics: tuple[Diagnostic, ...]


def trigger_specs(rules: RuleSet, firing: tuple[Rule, ...], build: BuildContext, once: str = "") -> Specs:
    """Fill in the parameters of every firing rule. `once` makes new deploy keys, for a deploy that is wanted again."""
    diagnostics, specs = list[Diagnostic](), list[TriggerSpec]()
    for rule in firing:
        to, job, workflow = rule.deploy.to, rule.deploy.job, rule.deploy.workflow
        key = deploy_key(rule, build, once=once) if carries_key(rule.deploy) else ""
        spec = TriggerSpec(
            rule=rule.name.value,
            api=ApiVersion.V1_1 if job else (to.api if to and to.api else rules.api),
            project=to.project if to else build.project,
            ref=to.ref if to else api_ref(build),
            revision=None if to else build.revision,
            definition=to.definition if to else build.definition_id,
            job=job.value if job else None,
            workflow=workflow.value if workflow else None,
            parameters=filled(rule, build, key, diagnostics),
            key=key if carries_key(rule.deploy) and not job else None,  # a job of API v1.1 shows no configuration
            sharing=_sharing(rule, rules, build),
            own_variables=tuple(sorted(own_variables(rule.deploy))),
        )
        specs.append(spec)
        diagnostics += _unsendable(rule, spec)
    return Specs(tuple(specs), tuple(diagnostics))


def _sharing(rule: Rule, rules: RuleSet, build: BuildContext) -> tuple[str, ...]:
    """Names of the other rules whose runs look like this rule's, as far as branch and tag tell."""
    known_by, facts, words = rule.deploy.known_by, Facts(build), ("branch", "tag")
    alike = [other for other in rules.sending if other is not rule and known_by and other.deploy.known_by == known_by]

    def fits(m: Matcher) -> bool:
        return not (isinstance(m, NameIs) and m.word in words) or match(m, facts).answer is Answer.YES

    return tuple(r.name.value for r in alike if any(all(map(fits, it.matchers)) for it in r.when.alternatives))


def api_ref(build: BuildContext) -> Branch | Tag:
    """The ref as the API wants it: a fork's `pull/7` is `pull/7/head` there."""
    if isinstance(build.ref, Branch) and build.ref.name in {f"pull/{number}" for number in build.pull_requests}:
        return Branch(f"{build.ref.name}/head")
    return build.ref


def filled(rule: Rule, build: BuildContext, key: str, problems: list[Diagnostic]) -> Mapping[str, fill.Scalar]:
    """The parameters with the values of this build; what is wrong with them is added to `problems`."""
    known = fill.values_of(build, rule.name.value, rule.environment.value if rule.environment else None, key)
    values: dict[str, fill.Scalar] = {}
    for parameter in rule.sends.parameters if rule.sends else ():
        name, template, span = parameter.key.value, parameter.value.value, parameter.value.span
        if not isinstance(template, fill.Template):
            values[name] = template
            continue
        for wanted in (reference.name for reference in template.references):
            value = known.get(wanted)
            if not value:
                what, hint = f"${{{wanted}}} is not set in this build", "set it, or take it out of the parameter"
                problems.append(Diagnostic("E508", what, span, hint))
            elif not fill.is_safe(value):
                what, hint = f"the value of ${{{wanted}}} has characters that are not allowed", "use ${branch.slug}"
                if wanted in fill.PUBLIC_VARIABLES or not fill.is_variable(wanted):  # others can hold secrets
                    what += f': "{clipped(value)}"'
                if wanted != "CIRCLE_BRANCH":
                    hint = "allowed are letters, digits and _ . / : @ + -"
                problems.append(Diagnostic("E509", what, span, hint))
        text = "".join(p if isinstance(p, str) else known.get(p.name) or "" for p in template.parts)
        if len(text) > fill.MAX_VALUE:
            what = f"parameter '{name}' is too long: {len(text)} characters"
            problems.append(Diagnostic("E510", what, span, f"CircleCI takes {fill.MAX_VALUE} at most"))
        values[name] = text
    return values


def _unsendable(rule: Rule, spec: TriggerSpec) -> Iterator[Diagnostic]:
    """What the rule's API cannot do, or is not known to do."""
    span = rule.deploy.span
    if rule.deploy.job and isinstance(spec.ref, Tag):
        what = f"'job' cannot be sent for a tag: API v1.1 triggers a job on a branch, and this is tag {spec.ref.name}"
        yield Diagnostic("E602", what, rule.deploy.job.span, "gate a workflow on a parameter and use workflow:")
    elif spec.api is ApiVersion.V3 and isinstance(spec.ref, Tag):
        what = f"API v3 is not known to take a tag, and this is tag {spec.ref.name}"
        yield Diagnostic("E609", what, span, "send this rule to a target with api: v2, or leave api: out")
    elif spec.api is ApiVersion.V3 and spec.definition is None:
        what = "API v3 needs the id of a pipeline definition, and this build's OIDC token names none"
        yield Diagnostic("E610", what, span, "send it to a target with definition: UUID, or use api: v2")


def deploy_key(
    rule: Rule, build: BuildContext, ref: Branch | Tag | None = None, revision: str | None = None, *, once: str = ""
) -> str:
    """`ds-` and 24 hexadecimal digits, the same for every build of one commit and ref that this rule deploys."""
    # What the rule sends belongs to it as written, as do the values of CIRCLE_JOB and of variables outside CIRCLE_*.
    # With `once` the last digits differ: the run can be told from earlier ones, and still is one of this deploy.
    from hashlib import sha256  # noqa: PLC0415 - most builds deploy nothing

    def digest(*words: str) -> str:
        texts = (word.encode("utf-8", "surrogateescape") for word in words)
        return sha256(b"".join(b"%d:%b" % (len(text), text) for text in texts)).hexdigest()

    ref, sent = ref or build.ref, rule.sends
    kind = "tag" if isinstance(ref, Tag) else "branch"
    name = ref.name.removesuffix("/head") if kind == "branch" and ref.name.startswith("pull/") else ref.name
    project = str(build.project) if build.project else build.project_id or ""
    words = ["deploystep 1", project, rule.name.value, kind, name, revision or build.revision]
    if sent is not None:
        words.append(f"{sent.to.project} {type(sent.to.ref).__name__} {sent.to.ref.name}" if sent.to else "")
        words += [named.value if named else "" for named in (sent.job, sent.workflow)]
        for parameter in sent.parameters:
            value = parameter.value.value
            text = f"text {value.text}" if isinstance(value, fill.Template) else f"{type(value).__name__} {value}"
            words += [parameter.key.value, text]
    for variable in sorted(own_variables(sent) | ({"CIRCLE_JOB"} & _names(sent))):
        words += [variable, build.variables.get(variable) or ""]
    key = f"ds-{digest(*words)[:24]}"
    return key[:_SHARED] + digest(once)[: len(key) - _SHARED] if once else key


def holds(text: str, key: str) -> bool:
    """Whether a text holds a key of this deploy, whatever it is joined to; also that of a run that was wanted again."""
    return key[:_SHARED] in text


def keys_in(text: str) -> frozenset[str]:
    """Every deploy key that a text holds."""
    return frozenset(re.findall(r"(?<![0-9A-Za-z])ds-[0-9a-f]{24}(?![0-9A-Za-z])", text))


def carries_key(deploy: Deploy) -> bool:
    """Whether the key is sent as a parameter."""
    return NAME in _names(deploy)


def own_variables(deploy: Deploy | None) -> frozenset[str]:
    """Names of the variables outside `CIRCLE_*` that the parameters use."""
    return frozenset(name for name in _names(deploy) if fill.is_variable(name) and not name.startswith("CIRCLE_"))


def _names(deploy: Deploy | None) -> frozenset[str]:
    values = (parameter.value.value for parameter in (deploy.parameters if deploy else ()))
    return frozenset(r.name for value in values if isinstance(value, fill.Template) for r in value.references)


class Outcome(Enum):
    """What came of one trigger."""

    PLANNED = "planned"
    TRIGGERED = "triggered"
    ALREADY_TRIGGERED = "already-triggered"
    SUPERSEDED = "superseded"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    UNCERTAIN = "uncertain"
    STOPPED = "stopped"
    NOTHING_RUNS = "nothing-runs"
    NOT_SENT = "not-sent"
