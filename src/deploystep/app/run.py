"""The step, from environment to trigger, as a list of steps. A dry run is the same list, ended before sending.

`gate` judges one rule as `run` judges it, for a deploy that is a command of this job and no pipeline of its own. The
command takes the place of this process once everything has been told: nothing here executes it.
"""

from collections.abc import Mapping
from typing import Final

from deploystep.app.facts import live_facts, raise_if_undecided, resolve, stated_facts
from deploystep.app.options import Options
from deploystep.app.ports import Services
from deploystep.app.report import Gated, GateOutcome, Report, TriggerEntry
from deploystep.core.build import Branch, BuildContext, ProjectSlug
from deploystep.core.decide import Decision, Verdict
from deploystep.core.deploy import Outcome, TriggerSpec, deploy_key, filled, trigger_specs
from deploystep.core.errors import EnvironmentInvalid, ExitCode, FactUnavailable, Held, RuleFileInvalid, UsageError
from deploystep.core.frozen import replace
from deploystep.core.rules import RuleSet
from deploystep.core.source import Diagnostic, did_you_mean, in_order, shown
from deploystep.core.times import zone
from deploystep.rulefile.load import load

UNKNOWN_PROJECT: Final = ProjectSlug("VCS", "ORGANIZATION", "PROJECT")  # in a dry run, where only CircleCI knows it


def run(options: Options, services: Services, report: Report) -> None:
    """Decide and, unless it is a dry run, trigger. What is known at any moment is in `report`."""
    report.again, step = options.again, Step(options, services, report)
    if step.decides():
        _run(step, load(services.source))
    step.raise_if_held()


def _run(step: "Step", rules: RuleSet) -> None:
    options, services, report, build = step.options, step.services, step.report, step.services.build
    decision = step.judge(rules)
    is_open = any(j.verdict in (Verdict.FIRE, Verdict.UNKNOWN) for j in decision.deploys.judgements)
    if build.fork is True and is_open and not options.is_dry and not services.can_ask:
        report.skipped = "a fork's build is not given the token, so nothing is sent"  # a normal state, no failure
        return
    if specs := step.plan(decision, rules):
        _remark(specs, rules, step)
    if options.is_dry or not specs:
        return
    if build.node.total > 1 and step.wait_for_others():
        step.plan(step.judge(rules), rules)  # windows may have closed meanwhile
    if report.triggers:
        from deploystep.app.trigger import drop_own_deploys, trigger_all  # noqa: PLC0415 - most runs send nothing

        own = step.own or UNKNOWN_PROJECT
        drop_own_deploys(own, options, services, report)
        if report.triggers:
            trigger_all(own, options, services, report)


class Step:
    """What `run` and `gate` have in common: whose decision it is, what is decided, and what that waits for."""

    def __init__(self, options: Options, services: Services, report: Report) -> None:
        self.options, self.services, self.report = options, services, report
        self.own: ProjectSlug | None = None  # the build's project, as far as it is known

    def decides(self) -> bool:
        """Whether this node of the build decides, and it is no rerun with SSH; else the report says why."""
        report = self.report
        report.skipped = self.services.other_node
        if not report.skipped:
            build = report.build = self.services.build
            self.own = build.project
            if build.ssh_rerun and not self.options.allow_ssh:
                without = "rerun the job without SSH, or give --allow-ssh"
                report.skipped = f"this is a rerun with SSH, which does not deploy: {without}"
        return not report.skipped

    def judge(self, rules: RuleSet) -> Decision:
        report, services = self.report, self.services
        report.source, report.now = rules.source, services.now(zone(rules.timezone))
        given = services.given
        answer = live_facts(self.options, services, rules) if given is None else stated_facts(given)
        report.decision = resolve(rules, services.build, report.now, answer)
        return report.decision

    def plan(self, decision: Decision, rules: RuleSet) -> tuple[TriggerSpec, ...]:
        """Make every request, before the first is sent. Raises where something is undecided or wrong."""
        options, services, build, self.report.triggers = self.options, self.services, self.services.build, []
        raise_if_undecided(decision.deploys, rules, build)
        this_job = build.variables.get("CIRCLE_WORKFLOW_JOB_ID") or str(build.build_num)
        found = trigger_specs(rules, decision.deploys.firing, build, "" if options.again is None else this_job)
        _raise_if_wrong(rules, found.diagnostics)
        if not found.specs:
            return ()
        if any(spec.project is None for spec in found.specs):
            self.project(found.specs)
        if not options.is_dry:
            services.client(found.specs)  # without a token nothing is planned
        outcome, host = Outcome.PLANNED if options.is_dry else Outcome.NOT_SENT, str(services.address)
        entries = [planned(spec, spec.project or self.own or UNKNOWN_PROJECT, host, outcome) for spec in found.specs]
        _raise_if_wrong(rules, duplicates(entries, rules))
        self.report.triggers = entries
        return found.specs

    def raise_if_held(self) -> None:
        """With `--held fail`, raise where a due deploy is held; not where a newer commit took its place."""
        report = self.report
        if self.options.held != "fail" or report.skipped or report.decision is None:
            return
        decision = report.decision if report.gated else report.decision.deploys
        held = [j for j in decision.judgements if j.verdict is Verdict.HELD]
        if held and not any(entry.outcome is Outcome.SUPERSEDED for entry in report.triggers):
            what = "; ".join(f"rule {j.rule.name.value} is held: {j.because}" for j in held)
            raise Held("held", what, "nothing deploys it later by itself: rerun this job when nothing holds it")

    def project(self, specs: tuple[TriggerSpec, ...] = ()) -> ProjectSlug:
        """The slug of this build's project: from a variable, else from its own pipeline, else in a dry run none."""
        services, what = self.services, "cannot tell which project this is"
        if self.own is not None or (self.options.is_dry and not services.can_ask):
            return self.own or UNKNOWN_PROJECT
        if services.build.pipeline_id is None:
            cure = "in a build CIRCLE_PIPELINE_ID tells it; outside of one git's origin does, or CIRCLE_BUILD_URL"
            raise EnvironmentInvalid("project-unknown", what, cure)
        from deploystep.circleci import errors, v2  # noqa: PLC0415 - most builds say it

        client = services.client(specs)
        self.own, result = v2.Reader(client).project(services.build.pipeline_id)
        if self.own is None:
            why = f"pipeline {services.build.pipeline_id}: {errors.describe_failure(result, client.host)}"
            error = FactUnavailable("project-unknown", f"{what}: {why}", errors.cannot_see(services.token_name))
            raise errors.not_received(result, client.host, specs[0].rule if specs else "") or error
        return self.own

    def wait_for_others(self) -> bool:
        """Wait until every other node of the job has succeeded; with `--nodes first` nobody waits, and it is False."""
        services, others = self.services, self.services.build.node.others
        if self.options.nodes != "all":
            services.console.warning(f"--nodes first: {others} may yet fail, which does not stop this deploy")
            return False
        from deploystep.app.guards import WITHOUT, wait_for_nodes  # noqa: PLC0415 - few builds are parallel

        try:
            services.client()
        except EnvironmentInvalid as error:
            what = f"{others} of this job cannot be waited for: {error.message}"
            raise EnvironmentInvalid(error.code, what, WITHOUT, *error.hints) from None
        wait_for_nodes(self.project(), self.options.nodes_timeout, services, self.report)
        return True


def _raise_if_wrong(rules: RuleSet, diagnostics: tuple[Diagnostic, ...]) -> None:
    if diagnostics:
        what = "a deploy that is due cannot be sent as it is written"
        raise RuleFileInvalid("parameters-invalid", what, source=rules.source, diagnostics=in_order(diagnostics))


def planned(spec: TriggerSpec, project: ProjectSlug, host: str, outcome: Outcome) -> TriggerEntry:
    """The request of one trigger, made but not sent."""
    from deploystep.circleci.apis import trigger_request  # noqa: PLC0415 - most runs plan nothing

    request = trigger_request(spec, project)
    return TriggerEntry(spec, host + request.path, request, outcome)


def duplicates(entries: list[TriggerEntry], rules: RuleSet) -> tuple[Diagnostic, ...]:
    """Requests that are sent by two rules. Rules can name one project in two ways: only requests tell."""
    if len(entries) < 2:  # noqa: PLR2004
        return ()
    from json import dumps  # noqa: PLC0415 - few runs plan several

    written, first, found = {rule.name.value: rule for rule in rules.rules}, dict[str, str](), list[Diagnostic]()
    for entry in entries:
        body = {**(entry.request.body or {}), "definition_id": None}
        # as JSON, for to Python 1 and true are equal and to CircleCI they are not; the order of keys says nothing,
        # and of two requests that differ in their deploy keys alone both deploy the same
        text = dumps(body, sort_keys=True).replace(entry.spec.key or "\0", "")
        name, other = entry.spec.rule, first.setdefault(f"{entry.url.casefold()} {text}", entry.spec.rule)
        if other != name:
            same = f"would send the same request as rule '{other}' (line {written[other].span.line})"
            hint = "make their conditions exclude each other, or merge them"
            found.append(Diagnostic("E608", f"rule '{name}' {same}", written[name].name.span, hint))
    return tuple(found)


def _remark(specs: tuple[TriggerSpec, ...], rules: RuleSet, step: Step) -> None:
    """Say what is allowed and may surprise, before anything is sent."""
    console, options = step.services.console, step.options
    if options.again is not None:
        console.info(f"{options.written('again')}: an earlier deploy of this commit is not looked for: {options.again}")
    for spec in specs:
        if not spec.is_recognised and options.again is None:
            cure = "send  deploy_key: ${deploy.key}  as a parameter, and use it in the config that receives it"
            console.info(f"rule {spec.rule}: a rerun of this step is not recognised and deploys again: {cure}")
        if spec.revision is None or spec.job is not None or not isinstance(spec.ref, Branch):
            continue
        default = step.services.history(rules.default_branch).default_branch
        if spec.ref.name not in ((default,) if default else ("main", "master")):
            what = f"rule {spec.rule} starts a run on {spec.ref.name}, where auto-cancel cancels this build"
            cure = "switch it off in the project's settings, or send the commit to this project as a target at"
            console.warning(f"{what}: {cure} {default or 'its default branch'}")


def gate(options: Options, services: Services, report: Report) -> None:
    """Judge the rule that the options name; the report then says whether its command is to be executed."""
    gated = report.gated = Gated(options.rule, options.execute)
    step = Step(options, services, report)
    if step.decides():
        rules = load(services.source)
        only = tuple(rule for rule in rules.rules if rule.name.value == options.rule)
        if not only:
            names = [rule.name.value for rule in rules.rules]
            what = f"no rule of {rules.source.path} is called {shown(options.rule)}"
            raise UsageError("rule-unknown", what, did_you_mean(options.rule, names, f"known: {', '.join(names)}"))
        _gate(gated, replace(rules, rules=only), step)  # what is not known of other rules must not matter
    step.raise_if_held()
    if not gated.command and gated.outcome is not GateOutcome.DUE:
        report.exit = ExitCode.NOT_DUE


def _gate(gated: Gated, rules: RuleSet, step: Step) -> None:
    services, build = step.services, step.services.build
    if not _is_due(gated, rules, step):
        return
    gated.variables = _variables(rules, build)
    if step.options.is_dry:
        gated.outcome = GateOutcome.PLANNED
        return
    if gated.command:
        gated.path = services.executable(gated.program)
    if build.node.total > 1 and step.wait_for_others() and not _is_due(gated, rules, step):
        return
    from deploystep.app.guards import superseded_by  # noqa: PLC0415 - most runs execute nothing

    gated.because = superseded_by(services)
    gated.outcome = GateOutcome.SUPERSEDED if gated.because else GateOutcome.DUE
    if gated.outcome is GateOutcome.DUE:
        unknown = "gate does not know whether this commit was deployed before: a rerun deploys it again"
        services.console.info(f"rule {gated.rule}: {unknown}")


def _is_due(gated: Gated, rules: RuleSet, step: Step) -> bool:
    """Whether the rule certainly fires now; else the outcome says what became of it."""
    gated.outcome = None
    decision = step.judge(rules)
    raise_if_undecided(decision, rules, step.services.build)
    if not decision.firing:
        is_held = any(j.verdict is Verdict.HELD for j in decision.judgements)
        gated.outcome = GateOutcome.HELD if is_held else GateOutcome.NOT_DUE
    return bool(decision.firing)


def _variables(rules: RuleSet, build: BuildContext) -> Mapping[str, str]:
    """What the command finds in its environment beside all that is there already."""
    rule, problems = rules.rules[0], list[Diagnostic]()
    key = deploy_key(rule, build)
    variables = {
        "DEPLOYSTEP_RULE": rule.name.value,
        "DEPLOYSTEP_ENVIRONMENT": rule.environment.value if rule.environment else rule.name.value,
        "DEPLOYSTEP_REVISION": build.revision,
        "DEPLOYSTEP_KEY": key,
    }
    for name, value in filled(rule, build, key, problems).items():
        if (variable := f"DEPLOYSTEP_PARAM_{name.upper().replace('-', '_')}") in variables:
            problems.append(Diagnostic("E501", f"two parameters become {variable}", rule.span, "rename one"))
        variables[variable] = str(value).lower() if isinstance(value, bool) else str(value)
    _raise_if_wrong(rules, tuple(problems))
    return variables
