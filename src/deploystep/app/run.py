"""The step, from environment to trigger, as a list of steps. A dry run is the same list, ended before sending."""

from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Final

from deploystep.app.ports import Progress, RuleSource
from deploystep.app.report import Journal, Report, Skipped, TriggerReport
from deploystep.app.settle import Learn, raise_if_undecided, settle
from deploystep.core.build import Branch, BuildContext, ProjectSlug
from deploystep.core.decide import Decision, Verdict
from deploystep.core.deploy import Outcome, TriggerSpec, trigger_specs
from deploystep.core.errors import (
    EnvironmentInvalid,
    FactUnavailable,
    Interrupted,
    RuleFileInvalid,
    Stopped,
    ToolError,
)
from deploystep.core.facts import Facts
from deploystep.core.frozen import dataclass, replace
from deploystep.core.rules import RuleSet
from deploystep.core.source import in_order
from deploystep.core.times import zone
from deploystep.rulefile.load import load

if TYPE_CHECKING:
    from deploystep.app.courier import Courier
    from deploystep.app.trigger import Sender

#: Stands in a dry run's URL for a project that only CircleCI's API could name.
UNKNOWN_PROJECT: Final = ProjectSlug("VCS", "ORGANIZATION", "PROJECT")


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. `is_dry` ends before anything is sent, `allow_ssh` also acts in a rerun with SSH.

    `nodes_limit` is how long to wait for the other nodes of a parallel job, in seconds; None does not wait for them.
    `again` is why an earlier deploy of this commit is not to be looked for.
    """

    command: str
    is_dry: bool
    allow_ssh: bool = False
    nodes_limit: float | None = 1800.0
    again: str | None = None


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
    sender: Callable[[BuildContext, tuple[TriggerSpec, ...]], "Sender"] | None
    can_ask: bool
    learn: Callable[[BuildContext, RuleSet], Learn]


def run(order: Order, world: World, journal: Journal) -> Report:
    """Decide and, unless it is a dry run, trigger. Errors come back inside the report, with all that was known."""
    report = Report(order.command, is_dry=order.is_dry, again=order.again)
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
    errand = _Errand(order, world, journal, build, rules)
    report = replace(report, source=rules.source)
    yield (report := errand.decided(report))
    if errand.is_fork_without_token(report.decision):
        yield replace(report, skipped=_FORK_WITHOUT_TOKEN)
        return
    trip = errand.prepared(report.decision)
    if trip is None or trip.sender is None or order.is_dry:
        return
    if build.node.total > 1 and errand.waits(trip):
        # windows may have closed meanwhile, and jobs have ended
        yield (report := errand.decided(report))
        trip = errand.prepared(report.decision, trip)
    if trip is not None and trip.sender is not None:
        from deploystep.app.trigger import send_all  # noqa: PLC0415 - most runs send nothing

        send_all(journal, build, trip.project, trip.sender)


_SSH_RERUN: Final = Skipped("this is a rerun with SSH, which never deploys; --allow-ssh lets it")
_FORK_WITHOUT_TOKEN: Final = Skipped("a fork's build is not given the token, so nothing is sent")


@dataclass(frozen=True, slots=True)
class _Trip:
    """Where to send what the journal plans: the project of this build, and the way; a dry run may need no way."""

    project: ProjectSlug
    sender: "Sender | None"


@dataclass(frozen=True, slots=True)
class _Errand:
    """One build with its rules and what was asked for."""

    order: Order
    world: World
    journal: Journal
    build: BuildContext
    rules: RuleSet

    def decided(self, report: Report) -> Report:
        """The report with the decision as of now."""
        now = self.world.now(zone(self.rules.timezone))
        learn = self.world.learn(self.build, self.rules)
        return replace(report, now=now, decision=settle(self.rules, Facts(self.build, now), learn))

    def is_fork_without_token(self, decision: Decision | None) -> bool:
        """Whether a fork's build is due to send, or cannot tell: without a token that is a normal state, no failure."""
        judgements = decision.judgements if decision else ()
        is_fork = self.build.fork and not self.order.is_dry and not self.world.can_ask
        return is_fork and any(j.verdict in (Verdict.FIRE, Verdict.UNKNOWN) for j in judgements)

    def prepared(self, decision: Decision | None, before: _Trip | None = None) -> _Trip | None:
        """Plan what is due, complete and checked; None where nothing is. `before` knows the way already."""
        self.journal.plan(())
        if decision is None:
            return None
        raise_if_undecided(decision, self.rules, self.build)
        specs = _specs(self.rules, decision, self.build)
        if not specs:
            return None
        trip = before or self._trip(specs)
        entries = _plan(self.order, specs, trip.project, trip.sender.host if trip.sender else self._host)
        _refuse_twins(entries, self.rules)
        self.journal.plan(entries)
        if before is None:
            self._remark(specs)
        return trip

    @property
    def _host(self) -> str:
        return self.world.host(self.build)

    def _trip(self, specs: tuple[TriggerSpec, ...]) -> _Trip:
        """The way to CircleCI, and this build's project, which is asked for where no variable tells it."""
        waits = self.build.node.total > 1 and self.order.nodes_limit is not None and not self.order.is_dry
        is_asked = self.build.project is None and (waits or any(spec.project is None for spec in specs))
        needs_sender = not self.order.is_dry or (is_asked and self.world.can_ask)
        sender = self.world.sender(self.build, specs) if needs_sender and self.world.sender is not None else None
        return _Trip(_asked_project(self.build, sender) if is_asked else self.build.project or UNKNOWN_PROJECT, sender)

    def waits(self, trip: _Trip) -> bool:
        """Wait for the other nodes, unless that was not wanted; whether there was a wait."""
        if self.order.nodes_limit is None or trip.sender is None:
            node = self.build.node
            are = "is" if node.total == 2 else "are"  # noqa: PLR2004
            self.world.progress.warning(
                f"{node.others} {are} not waited for: one that fails now does not stop this deploy"
            )
            return False
        from deploystep.app.siblings import siblings_of  # noqa: PLC0415 - as above

        try:
            siblings_of(self.build, trip.project, trip.sender.courier, self.order.nodes_limit).wait()
        except Stopped:
            self.journal.ended(0, Outcome.STOPPED)
            raise
        return True

    def _remark(self, specs: tuple[TriggerSpec, ...]) -> None:
        """What is allowed and may surprise, before anything is sent."""
        progress, again = self.world.progress, self.order.again
        if again is not None:
            progress.info(f"--again: an earlier deploy of this commit is not looked for: {again}")
        for spec in specs:
            if not spec.is_recognised and again is None:
                why = "it names no workflow" if spec.starts is None else "runs of another project carry other commits"
                progress.info(f"rule {spec.rule}: a rerun of this step is not recognised and deploys again: {why}")
            if self._may_cancel_itself(spec):
                progress.warning(
                    f"rule {spec.rule} starts a run on {spec.ref.name}: where auto-cancel is on in the project's "
                    "settings, it cancels older workflows of that branch, this build's own too"
                )

    def _may_cancel_itself(self, spec: TriggerSpec) -> bool:
        is_own_run = spec.revision is not None and spec.job is None
        return is_own_run and isinstance(spec.ref, Branch) and spec.ref.name != self.rules.default_branch


def _specs(rules: RuleSet, decision: Decision, build: BuildContext) -> tuple[TriggerSpec, ...]:
    found = trigger_specs(rules, decision.firing, build)
    if found.diagnostics:
        problems = in_order(found.diagnostics)
        what = "a deploy that is due cannot be sent as it is written"
        raise RuleFileInvalid("parameters-invalid", what, source=rules.source, diagnostics=problems)
    return found.specs


def _plan(order: Order, specs: tuple[TriggerSpec, ...], project: ProjectSlug, host: str) -> tuple[TriggerReport, ...]:
    """Every request, made before the first is sent."""
    from deploystep.app.trigger import planned  # noqa: PLC0415 - most runs plan nothing

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


def _asked_project(build: BuildContext, sender: "Sender | None") -> ProjectSlug:
    """The slug of this build's project from its own pipeline (`GET /pipeline/{id}`), where no variable tells it."""
    if sender is None:
        return UNKNOWN_PROJECT
    if build.pipeline_id is None:
        raise EnvironmentInvalid(
            "project-unknown",
            "nothing tells which project this is",
            "in a build CIRCLE_PROJECT_USERNAME, _REPONAME and CIRCLE_BUILD_URL tell it, or CIRCLE_PIPELINE_ID",
            "outside of one git's origin does, where it is at github.com or bitbucket.org; else set"
            "  CIRCLE_PROJECT_USERNAME=acme CIRCLE_PROJECT_REPONAME=shop"
            " CIRCLE_BUILD_URL=https://circleci.com/gh/acme/shop/1",
        )
    return _read_project(build.pipeline_id, sender.courier)


def _read_project(pipeline_id: str, courier: "Courier") -> ProjectSlug:
    from deploystep.circleci import v2  # noqa: PLC0415 - most builds say it

    project = v2.read_project(courier.deliver(v2.pipeline_by_id_request(pipeline_id)))
    if project is None:
        raise FactUnavailable(
            "project-unknown",
            f"cannot tell which project this is: {courier.transport.host} did not describe pipeline {pipeline_id}",
            "the token must be a personal API token of a user who can see this project; nothing was sent",
        )
    return project
