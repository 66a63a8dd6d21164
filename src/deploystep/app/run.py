"""The step, from environment to trigger, as a list of steps. A dry run is the same list, ended before sending."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Final

from deploystep.app.courier import Courier
from deploystep.app.ports import Progress, RuleSource
from deploystep.app.report import Journal, Report, Skipped, TriggerReport
from deploystep.app.settle import Learn, insist, settle
from deploystep.app.trigger import Sender, planned, send_all
from deploystep.circleci import v2
from deploystep.core.build import BuildContext, ProjectSlug
from deploystep.core.decide import Decision
from deploystep.core.deploy import Outcome, TriggerSpec, trigger_specs
from deploystep.core.errors import EnvironmentInvalid, FactUnavailable, Interrupted, RuleFileInvalid, ToolError
from deploystep.core.facts import Facts
from deploystep.core.moments import zone
from deploystep.core.rules import RuleSet
from deploystep.core.source import in_order
from deploystep.rulefile.load import load

#: Stands in a dry run's URL for a project that only CircleCI's API could name.
UNKNOWN_PROJECT: Final = ProjectSlug("VCS", "ORGANIZATION", "PROJECT")


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. `is_dry` ends before anything is sent, `allow_ssh` also acts in a rerun with SSH."""

    command: str
    is_dry: bool
    allow_ssh: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """The outside, as far as this command may use it. Each part is made only when it is needed.

    `other_node` is what to say where another node decides. `now` takes the rule file's zone and gives None where the
    time is not known. `sender` raises EnvironmentInvalid where there is no token, and is None where the command never
    speaks to CircleCI; `can_ask` is whether there is a token. `learn` answers what a rule needs to know.
    """

    other_node: str | None
    build: Callable[[], BuildContext]
    rules: RuleSource
    now: Callable[[tzinfo], datetime | None]
    progress: Progress
    host: Callable[[BuildContext], str]
    sender: Callable[[BuildContext, tuple[TriggerSpec, ...]], Sender] | None
    can_ask: bool
    learn: Callable[[BuildContext, RuleSet], Learn]


def run(order: Order, world: World, journal: Journal) -> Report:
    """Decide and, unless it is a dry run, trigger. Errors come back inside the report, with all that was known."""
    report = Report(order.command, is_dry=order.is_dry)
    try:
        for known in _steps(order, world, journal, report):
            report = known
    except ToolError as error:
        return replace(report, triggers=journal.entries).failed(error)
    except Interrupted as signalled:
        return replace(report, triggers=journal.entries, exit=signalled.exit)
    return replace(report, triggers=journal.entries)


def _steps(order: Order, world: World, journal: Journal, report: Report) -> Iterator[Report]:
    """One step after the other; what is yielded is all that is known so far, and ending early is an answer too."""
    if world.other_node is not None:
        yield replace(report, skipped=Skipped(world.other_node))
        return
    build = world.build()
    yield (report := replace(report, build=build))
    if build.claims.ssh_rerun and not order.allow_ssh:
        yield replace(report, skipped=_SSH_RERUN)
        return
    rules = load(world.rules.read())
    now = world.now(zone(rules.timezone))
    yield (report := replace(report, source=rules.source, now=now))
    decision = settle(rules, Facts(build, now), world.learn(build, rules))
    yield (report := replace(report, decision=decision))
    insist(decision, rules, build)
    specs = _specs(rules, decision, build)
    if not specs:
        return
    if build.fork and not order.is_dry and not world.can_ask:
        yield replace(report, skipped=_FORK_WITHOUT_TOKEN)
        return
    is_asked = build.project is None and any(spec.project is None for spec in specs)
    sender = _sender(order, world, build, specs, is_asked=is_asked)
    project = _asked_project(build, sender) if is_asked else build.project or UNKNOWN_PROJECT
    entries = _plan(order, specs, project, sender.host if sender else world.host(build))
    _refuse_twins(entries, rules)
    journal.plan(entries)
    if sender is not None and not order.is_dry:
        _warn_of_siblings(build, world.progress)
        send_all(journal, project, sender)


_SSH_RERUN: Final = Skipped("this is a rerun with SSH, which never deploys; --allow-ssh lets it")
_FORK_WITHOUT_TOKEN: Final = Skipped("a fork's build is not given the token, so nothing is sent")


def _specs(rules: RuleSet, decision: Decision, build: BuildContext) -> tuple[TriggerSpec, ...]:
    found = trigger_specs(rules, decision.firing, build)
    if found.diagnostics:
        problems = in_order(found.diagnostics)
        what = "a deploy that is due cannot be sent as it is written"
        raise RuleFileInvalid("parameters-invalid", what, source=rules.source, diagnostics=problems)
    return found.specs


def _sender(
    order: Order, world: World, build: BuildContext, specs: tuple[TriggerSpec, ...], *, is_asked: bool
) -> Sender | None:
    """The way to CircleCI, where this command needs one: to send, or (`is_asked`) to ask which project this is."""
    needs_one = not order.is_dry or (is_asked and world.can_ask)
    return world.sender(build, specs) if needs_one and world.sender is not None else None


def _plan(order: Order, specs: tuple[TriggerSpec, ...], project: ProjectSlug, host: str) -> tuple[TriggerReport, ...]:
    """Every request, made before the first is sent."""
    outcome = Outcome.PLANNED if order.is_dry else Outcome.NOT_SENT
    return tuple(planned(spec, spec.project or project, host, outcome) for spec in specs)


def _refuse_twins(entries: tuple[TriggerReport, ...], rules: RuleSet) -> None:
    """Two rules may name one project in two ways: only the finished requests tell that they are the same."""
    first: dict[str, str] = {}
    for entry in entries:
        body = {key: value for key, value in (entry.request.body or {}).items() if key != "definition_id"}
        other = first.setdefault(f"{entry.url.casefold()} {sorted(body.items())!r}", entry.spec.rule)
        if other != entry.spec.rule:
            raise RuleFileInvalid(
                "duplicate",
                f"rule '{entry.spec.rule}' would send the same request as rule '{other}'",
                "make their conditions exclude each other, or merge them",
                source=rules.source,
            )


def _asked_project(build: BuildContext, sender: Sender | None) -> ProjectSlug:
    """The slug of this build's project from its own pipeline (`GET /pipeline/{id}`), where no variable tells it."""
    if sender is None:
        return UNKNOWN_PROJECT
    if build.pipeline_id is None:
        raise EnvironmentInvalid(
            "project-unknown",
            "nothing tells which project this is",
            "expected CIRCLE_PROJECT_USERNAME and _REPONAME with CIRCLE_BUILD_URL, or CIRCLE_PIPELINE_ID",
        )
    return _read_project(build.pipeline_id, sender.courier)


def _read_project(pipeline_id: str, courier: Courier) -> ProjectSlug:
    read = v2.read_pipeline(courier.deliver(v2.pipeline_by_id_request(pipeline_id)))
    if read is None or read.project is None:
        raise FactUnavailable(
            "project-unknown",
            f"cannot tell which project this is: {courier.transport.host} did not describe pipeline {pipeline_id}",
            "the token must be a personal API token of a user who can see this project; nothing was sent",
        )
    return read.project


def _warn_of_siblings(build: BuildContext, progress: Progress) -> None:
    if build.node.total > 1:
        progress.warn(
            f"the other {build.node.total - 1} nodes are not waited for: one that fails now does not stop this deploy"
        )
