"""The step, from environment to trigger, as a list of steps. A dry run is the same list, ended before sending."""

from typing import Final

from deploystep.app.facts import LiveFacts, raise_if_undecided, resolve, stated_facts
from deploystep.app.options import Options
from deploystep.app.ports import Services
from deploystep.app.report import Report
from deploystep.core.build import Branch, BuildContext, ProjectSlug
from deploystep.core.decide import Decision, Verdict
from deploystep.core.deploy import Outcome, TriggerSpec, trigger_specs
from deploystep.core.errors import EnvironmentInvalid, FactUnavailable, Held, RuleFileInvalid
from deploystep.core.rules import RuleSet
from deploystep.core.source import Diagnostic, in_order
from deploystep.core.times import zone
from deploystep.rulefile.load import load

#: Stands in a dry run's URL for a project that only CircleCI's API could name.
UNKNOWN_PROJECT: Final = ProjectSlug("VCS", "ORGANIZATION", "PROJECT")
_SSH_RERUN: Final = "this is a rerun with SSH, which does not deploy: rerun the job without SSH, or give --allow-ssh"
_FORK_SENDS_NOTHING: Final = "a fork's build is not given the token, so nothing is sent"


def run(options: Options, services: Services, report: Report) -> None:
    """Decide and, unless it is a dry run, trigger. What is known at any moment is in `report`.

    Raises ToolError where the job cannot be done, and Interrupted on a signal.
    """
    _run(options, services, report)
    if options.held == "fail" and not report.skipped and report.decision:
        raise_if_held(report.decision.deploys, report)


def raise_if_held(decision: Decision, report: Report) -> None:
    """Raise where a deploy that is due is held, so that somebody notices; not where a newer commit took its place."""
    held = [j for j in decision.judgements if j.verdict is Verdict.HELD]
    if held and not any(entry.outcome is Outcome.SUPERSEDED for entry in report.triggers):
        raise Held(
            "held",
            "; ".join(f"rule {j.rule.name.value} is held: {j.because}" for j in held),
            "nothing deploys it later by itself: rerun this job when nothing holds it any more",
        )


def _run(options: Options, services: Services, report: Report) -> None:
    report.again = options.again
    build = deciding_build(options, services, report)
    if build is None:
        return
    rules = load(services.source)
    report.source = rules.source
    judge(rules, build, options, services, report)
    if _is_fork_without_token(build, options, services, report):
        report.skipped = _FORK_SENDS_NOTHING
        return
    specs = _due(rules, build, options, report)
    if not specs:
        return
    project = project_of(specs, build, options, services)
    if not options.is_dry:
        services.client(specs)  # without a token nothing is planned
    _plan(specs, project, rules, services, report)
    _remark(specs, rules, options, services)
    if options.is_dry:
        return
    if build.node.total > 1:
        specs = _wait_for_nodes(project, rules, options, services, report)
    specs = _without_own(specs, project, options, services, report)
    if specs:
        from deploystep.app.trigger import trigger_all  # noqa: PLC0415 - most runs send nothing

        trigger_all(project, options, services, report)


def deciding_build(options: Options, services: Services, report: Report) -> BuildContext | None:
    """The build, where this node of it decides and it is no rerun with SSH; else None, and the report says why."""
    report.skipped = services.other_node
    if report.skipped:
        return None
    build = report.build = services.build
    if build.claims.ssh_rerun and not options.allow_ssh:
        report.skipped = _SSH_RERUN
        return None
    return build


def _without_own(
    specs: tuple[TriggerSpec, ...], project: ProjectSlug, options: Options, services: Services, report: Report
) -> tuple[TriggerSpec, ...]:
    """What is to be sent, without that whose deploy this very build is part of."""
    if not specs or report.decision is None:
        return specs
    from deploystep.app.own_pipeline import own_deploys, without  # noqa: PLC0415 - most runs send nothing

    stopped = own_deploys(specs, project, services, is_again=options.again is not None)
    if stopped:
        report.decision = without(report.decision, stopped)
        report.triggers = [entry for entry in report.triggers if entry.spec.rule not in stopped]
    return tuple(spec for spec in specs if spec.rule not in stopped)


def judge(rules: RuleSet, build: BuildContext, options: Options, services: Services, report: Report) -> Decision:
    """Decide by what is known at this moment, and note it."""
    report.now = services.now(zone(rules.timezone))
    answer = LiveFacts(options, services, rules).answer if services.given is None else stated_facts(services.given)
    report.decision = resolve(rules, build, report.now, answer)
    return report.decision


def _is_fork_without_token(build: BuildContext, options: Options, services: Services, report: Report) -> bool:
    """Whether a fork's build is due to send, or cannot tell: without a token that is a normal state, no failure."""
    judgements = report.decision.deploys.judgements if report.decision else ()
    is_open = any(j.verdict in (Verdict.FIRE, Verdict.UNKNOWN) for j in judgements)
    return build.fork is True and is_open and not options.is_dry and not services.can_ask


def _due(rules: RuleSet, build: BuildContext, options: Options, report: Report) -> tuple[TriggerSpec, ...]:
    """What is to be sent, complete and checked. Raises where that is undecided or wrong."""
    report.triggers = []
    if report.decision is None:
        return ()
    decision = report.decision.deploys
    raise_if_undecided(decision, rules, build)
    once = (build.variables.get("CIRCLE_WORKFLOW_JOB_ID") or str(build.build_num)) if options.again is not None else ""
    found = trigger_specs(rules, decision.firing, build, once)
    if found.diagnostics:
        raise unsendable(rules, found.diagnostics)
    return found.specs


def unsendable(rules: RuleSet, diagnostics: tuple[Diagnostic, ...]) -> RuleFileInvalid:
    """The error that says what keeps a deploy that is due from being made."""
    what = "a deploy that is due cannot be sent as it is written"
    return RuleFileInvalid("parameters-invalid", what, source=rules.source, diagnostics=in_order(diagnostics))


def _plan(
    specs: tuple[TriggerSpec, ...], project: ProjectSlug, rules: RuleSet, services: Services, report: Report
) -> None:
    """Make every request, before the first is sent."""
    from deploystep.app.trigger import duplicates, planned  # noqa: PLC0415 - most runs plan nothing

    outcome = Outcome.PLANNED if report.is_dry else Outcome.NOT_SENT
    host = str(services.address)
    entries = [planned(spec, spec.project or project, host, outcome) for spec in specs]
    problems = duplicates(entries, rules)
    if problems:
        raise unsendable(rules, problems)
    report.triggers = entries


def project_of(
    specs: tuple[TriggerSpec, ...], build: BuildContext, options: Options, services: Services
) -> ProjectSlug:
    """The slug of this build's project: from a variable, else from its own pipeline where the slug is needed."""
    waits = build.node.total > 1 and options.nodes == "all" and not options.is_dry
    is_needed = waits or any(spec.project is None for spec in specs)
    if build.project is not None or not is_needed or (options.is_dry and not services.can_ask):
        return build.project or UNKNOWN_PROJECT
    if build.pipeline_id is None:
        raise EnvironmentInvalid(
            "project-unknown",
            "nothing tells which project this is",
            "in a build CIRCLE_PROJECT_USERNAME, _REPONAME and CIRCLE_BUILD_URL tell it, or CIRCLE_PIPELINE_ID",
            "outside of one git's origin does, where it is at github.com or bitbucket.org; else set"
            "  CIRCLE_PROJECT_USERNAME=acme CIRCLE_PROJECT_REPONAME=shop"
            " CIRCLE_BUILD_URL=https://circleci.com/gh/acme/shop/1",
        )
    from deploystep.circleci import v2  # noqa: PLC0415 - most builds say it
    from deploystep.circleci.errors import cannot_see, describe_failure, not_received  # noqa: PLC0415 - as above

    client = services.client(specs)
    project, result = v2.pipeline_project(client, build.pipeline_id)
    if project is None:
        raise not_received(result, client.host, specs[0].rule if specs else "") or FactUnavailable(
            "project-unknown",
            f"cannot tell which project this is: pipeline {build.pipeline_id} could not be read "
            f"({describe_failure(result, client.host)})",
            cannot_see(services.token_name),
            "ask who the token is by a step of this job:  deploystep doctor",
        )
    return project


def _remark(specs: tuple[TriggerSpec, ...], rules: RuleSet, options: Options, services: Services) -> None:
    """Say what is allowed and may surprise, before anything is sent."""
    console = services.console
    if options.again is not None:
        console.info(f"{options.written('again')}: an earlier deploy of this commit is not looked for: {options.again}")
    for spec in specs:
        if not spec.is_recognised and options.again is None:
            why = "it names no workflow" if spec.starts is None else "runs of another project carry other commits"
            console.info(
                f"rule {spec.rule}: a rerun of this step is not recognised and deploys again: {why}; "
                "send  deploy_key: ${deploy.key}  as a parameter, and use it in the config that receives it"
            )
        is_own_run = spec.revision is not None and spec.job is None
        if is_own_run and isinstance(spec.ref, Branch):
            default = services.history(rules.default_branch).default_branch
            if spec.ref.name not in ((default,) if default else ("main", "master")):
                console.warning(
                    f"rule {spec.rule} starts a run on {spec.ref.name}: where auto-cancel is on in the project's "
                    "settings, it cancels older workflows of that branch, this build's own too; switch it off, or "
                    f"name this project as a target at {default or 'its default branch'} and send the commit"
                )


def _wait_for_nodes(
    project: ProjectSlug, rules: RuleSet, options: Options, services: Services, report: Report
) -> tuple[TriggerSpec, ...]:
    """Wait until every other node of the job has succeeded, and decide again: windows may have closed meanwhile."""
    build = services.build
    if not wait_for_others(project, options, services, report):
        return tuple(entry.spec for entry in report.triggers)
    judge(rules, build, options, services, report)
    specs = _due(rules, build, options, report)
    if specs:
        _plan(specs, project, rules, services, report)
    return specs


def wait_for_others(project: ProjectSlug, options: Options, services: Services, report: Report) -> bool:
    """Wait until every other node of the job has succeeded; with `--nodes first` nobody waits, and it is False."""
    build = services.build
    if options.nodes != "all":
        are = "is" if build.node.total == 2 else "are"  # noqa: PLR2004
        services.console.warning(
            f"{build.node.others} {are} not waited for: one that fails now does not stop this deploy"
        )
        return False
    from deploystep.app.parallel_nodes import wait_for_nodes  # noqa: PLC0415 - few builds are parallel

    wait_for_nodes(project, options.nodes_timeout, services, report)
    return True
