"""`gate`: one rule judged as `run` judges it, for a deploy that is a command of this job and no pipeline of its own.

The command takes the place of this process once everything has been told: nothing here executes it.
"""

from collections.abc import Mapping

from deploystep.app.facts import raise_if_undecided
from deploystep.app.options import Options
from deploystep.app.parallel_nodes import WITHOUT
from deploystep.app.ports import Services
from deploystep.app.report import Gated, GateOutcome, Report
from deploystep.app.run import deciding_build, judge, project_of, raise_if_held, unsendable, wait_for_others
from deploystep.app.superseded import superseded_by
from deploystep.core.build import BuildContext
from deploystep.core.decide import Verdict
from deploystep.core.deploy import filled
from deploystep.core.deploy_key import deploy_key
from deploystep.core.errors import EnvironmentInvalid, UsageError
from deploystep.core.exits import ExitCode
from deploystep.core.frozen import replace
from deploystep.core.rules import Rule, RuleSet
from deploystep.core.source import Diagnostic
from deploystep.core.text import did_you_mean, shown
from deploystep.rulefile.load import load


def gate(options: Options, services: Services, report: Report) -> None:
    """Judge the rule that the options name; the report then says whether its command is to be executed.

    Raises ToolError where that cannot be told for certain, and Interrupted on a signal.
    """
    gated = report.gated = Gated(options.rule, options.execute)
    _gate(gated, options, services, report)
    if options.held == "fail" and not report.skipped and report.decision:
        raise_if_held(report.decision, report)
    if not gated.command and gated.outcome is not GateOutcome.DUE:
        report.exit = ExitCode.NOT_DUE


def _gate(gated: Gated, options: Options, services: Services, report: Report) -> None:
    build = deciding_build(options, services, report)
    if build is None:
        return
    rules = _only(options.rule, load(services.source))
    report.source = rules.source
    if not _is_due(gated, rules, options, services, report):
        return
    gated.variables = _variables(rules, build)
    if options.is_dry:
        gated.outcome = GateOutcome.PLANNED
        return
    if gated.command:
        gated.path = services.executable(gated.program)
    is_again = build.node.total > 1 and _waited(options, services, report)
    if is_again and not _is_due(gated, rules, options, services, report):
        return
    remote = services.remote
    gated.because = superseded_by(build, remote, services.clock, services.console) if remote is not None else ""
    gated.outcome = GateOutcome.SUPERSEDED if gated.because else GateOutcome.DUE
    if gated.outcome is GateOutcome.DUE:
        services.console.info(
            f"rule {gated.rule}: gate does not know whether this commit was deployed before: a rerun deploys it again"
        )


def _only(name: str, rules: RuleSet) -> RuleSet:
    """The rules with no other than this one: what is not known of the others must not matter."""
    found = tuple(rule for rule in rules.rules if rule.name.value == name)
    if not found:
        names = [rule.name.value for rule in rules.rules]
        what = f"no rule of {rules.source.path} is called {shown(name)}"
        raise UsageError("rule-unknown", what, did_you_mean(name, names, f"known: {', '.join(names)}"))
    return replace(rules, rules=found)


def _is_due(gated: Gated, rules: RuleSet, options: Options, services: Services, report: Report) -> bool:
    """Whether the rule certainly fires now; else the outcome says what became of it."""
    gated.outcome = None
    decision = judge(rules, services.build, options, services, report)
    raise_if_undecided(decision, rules, services.build)
    if not decision.firing:
        is_held = any(j.verdict is Verdict.HELD for j in decision.judgements)
        gated.outcome = GateOutcome.HELD if is_held else GateOutcome.NOT_DUE
    return bool(decision.firing)


def _variables(rules: RuleSet, build: BuildContext) -> Mapping[str, str]:
    """What the command finds in its environment beside all that is there already."""
    (rule,) = rules.rules
    key = deploy_key(rule, build)
    problems: list[Diagnostic] = []
    values = filled(rule, build, key, problems)
    variables = {
        "DEPLOYSTEP_RULE": rule.name.value,
        "DEPLOYSTEP_ENVIRONMENT": rule.environment.value if rule.environment else rule.name.value,
        "DEPLOYSTEP_REVISION": build.revision,
        "DEPLOYSTEP_KEY": key,
    }
    for name, value in values.items():
        variable = f"DEPLOYSTEP_PARAM_{name.upper().replace('-', '_')}"
        if variable in variables:
            problems.append(_alike(rule, name, variable))
        variables[variable] = str(value).lower() if isinstance(value, bool) else str(value)
    if problems:
        raise unsendable(rules, tuple(problems))
    return variables


def _alike(rule: Rule, name: str, variable: str) -> Diagnostic:
    span = next(p.key.span for p in rule.deploy.parameters if p.key.value == name)
    return Diagnostic("E501", f"parameter {shown(name)} is not the only one that becomes {variable}", span, "rename it")


def _waited(options: Options, services: Services, report: Report) -> bool:
    """Wait for the other nodes of the job; whether that was asked for."""
    build = services.build
    if options.nodes == "all":
        try:
            services.client()
        except EnvironmentInvalid as error:
            what = f"{build.node.others} of this job cannot be waited for: {error.message}"
            raise EnvironmentInvalid(error.code, what, WITHOUT, *error.hints) from None
    return wait_for_others(project_of((), build, options, services), options, services, report)
