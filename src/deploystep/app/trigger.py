"""Sends the triggers of all firing rules in file order, once each; the first failure stops the rest."""

from collections.abc import Callable
from typing import Final

from deploystep.app.confirm import Watch
from deploystep.app.courier import Courier
from deploystep.app.follow import Follower
from deploystep.app.lost import LostTrigger
from deploystep.app.ports import Clock, Transport
from deploystep.app.report import Journal, TriggerReport
from deploystep.app.scout import Scout, Survey
from deploystep.app.vigil import Patience
from deploystep.circleci.answers import Asked, unanswered
from deploystep.circleci.dialects import DIALECTS, identity
from deploystep.circleci.wire import Failure, Request, Response, fate_of
from deploystep.core.build import BuildContext, ProjectSlug
from deploystep.core.deploy import Outcome, TriggerSpec
from deploystep.core.earlier import Adopt, Earlier
from deploystep.core.errors import Interrupted, NothingRuns, Refused, Stopped, ToolError, Uncertain, Unreachable
from deploystep.core.frozen import dataclass, field, replace
from deploystep.core.retry import Fate, may_repeat
from deploystep.core.runs import Created, Run


@dataclass(frozen=True, slots=True)
class Sender:
    """Everything that sending needs besides the triggers themselves.

    `superseded` says why this commit is not to be deployed any more, or None. `again` is why an earlier run is not to
    be looked for. `cancels` is whether an interruption cancels what is followed.
    """

    courier: Courier
    token_name: str
    app: str
    patience: Patience
    superseded: Callable[[], str | None] = lambda: None
    again: str | None = None
    cancels: bool = False

    @property
    def host(self) -> str:
        """The address that requests go to."""
        return self.courier.transport.host

    def asked(self, spec: TriggerSpec, project: ProjectSlug, project_id: str | None = None) -> Asked:
        """What messages say about this trigger."""
        return Asked(
            rule=spec.rule,
            project=project,
            ref=spec.ref,
            api=spec.api,
            host=self.host,
            app=self.app,
            token_name=self.token_name,
            has_parameters=bool(spec.parameters),
            project_id=None if spec.revision is None else project_id,  # of another project it is not known
        )


@dataclass(frozen=True, slots=True)
class _Noting:
    """A transport that notes in the journal when a trigger leaves, and when it certainly was not received.

    `left` is when each attempt left, in seconds by the clock that nobody can set back. Between two attempts nothing is
    under way: who interrupts the wait leaves nothing uncertain.
    """

    transport: Transport
    clock: Clock
    journal: Journal
    index: int
    left: list[float] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.transport.host

    def send(self, request: Request) -> Response | Failure:
        self.left.append(self.clock.monotonic())
        self.journal.sending(self.index)
        result = self.transport.send(request)
        if may_repeat(request.repeat, fate_of(result)):
            self.journal.ended(self.index, Outcome.NOT_SENT)
        return result


def planned(spec: TriggerSpec, project: ProjectSlug, host: str, outcome: Outcome) -> TriggerReport:
    """The request of one trigger, made but not sent."""
    request = DIALECTS[spec.api].trigger_request(spec, project)
    return TriggerReport(spec, host + request.path, request, outcome)


def send_all(journal: Journal, build: BuildContext, project: ProjectSlug, sender: Sender) -> None:
    """Send everything the journal plans. Raises the first ToolError; the journal then says how far it went."""
    for index, entry in enumerate(journal.entries):
        asked = sender.asked(entry.spec, entry.spec.project or project, build.project_id)
        one = _One(index, entry.spec, asked, journal, sender, build.pipeline_id)
        try:
            one.send()
        except ToolError as error:
            journal.ended(index, outcome_of(error, journal.entries[index].outcome))
            raise


@dataclass(frozen=True, slots=True)
class _One:
    """One trigger, from the last look before it to the end of what it started."""

    index: int
    spec: TriggerSpec
    asked: Asked
    journal: Journal
    sender: Sender
    own: str | None

    def send(self) -> None:
        """Each step may find that this was all."""
        reason = self.sender.superseded()
        if reason is not None:
            self.journal.superseded(self.index, reason)
            return
        survey, earlier = self._look_back()
        try:
            if earlier is not None:
                self._adopt(earlier)
            else:
                self._confirm(self._trigger(survey))
            if self.sender.patience.wait is not None:
                self._follow(self.sender.patience.wait)
        except Interrupted:
            self._cancel_if_wanted()
            raise

    @property
    def _scout(self) -> Scout:
        others = (e.created for e in self.journal.entries if e.created is not None and e.spec is not self.spec)
        claimed = frozenset(map(identity, others))
        own = None if self.spec.job is not None else self.own  # a list of jobs has no pipelines in it
        return Scout(self.spec, self.asked, self.sender.courier, self.sender.patience.looking, own, claimed)

    def _look_back(self) -> tuple[Survey, Earlier | None]:
        """What there is before the trigger, and an earlier run of this very deploy."""
        if self.sender.again is not None:
            scout = replace(self._scout, spec=replace(self.spec, workflow=None, job=None))
            return scout.survey()[0], None
        survey, candidates = self._scout.survey()
        choice = self._scout.choose(candidates, survey)
        return survey, choice.earlier if isinstance(choice, Adopt) else None

    def _adopt(self, earlier: Earlier) -> None:
        run = earlier.run
        created = self._created(run)
        because = f"run {created.url} of this commit holds {self.spec.starts}: it is {earlier.workflow.status}"
        self.journal.adopted(self.index, created, (earlier.workflow,), because)
        self.sender.courier.progress.info(f"already triggered {self.asked.rule}: {created.url}")

    def _created(self, run: Run) -> Created:
        is_job = self.spec.job is not None
        return Created(None if is_job else run.id, run.number, self.asked.run_url(run.number), revision=run.revision)

    def _trigger(self, survey: Survey) -> Created:
        """The dangerous act; where nobody knows what came of it, what it may have created is looked for."""
        request = self.journal.entries[self.index].request
        courier = self.sender.courier
        noting = _Noting(courier.transport, courier.clock, self.journal, self.index)
        try:
            created = _post(request, self.asked, replace(courier, transport=noting))
        except Uncertain as error:
            created = self._created(LostTrigger(self._scout, survey, noting.left[-1]).found(error))
        self.journal.created(self.index, created)
        courier.progress.info(f"triggered {self.asked.rule}: {created.url}")
        return created

    def _confirm(self, created: Created) -> None:
        seen = Watch(self.spec, created, self.asked, self.sender.courier, self.sender.patience).confirm()
        self.journal.seen(self.index, seen.workflows, seen.revision)

    def _follow(self, limit: float) -> None:
        created = self.journal.entries[self.index].created
        if created is None:
            return
        ending = Follower(self.spec, created, self.asked, self.sender.courier, limit).follow()
        self.journal.seen(self.index, ending.workflows, created.revision)
        if ending.error is not None:
            raise ending.error

    def _cancel_if_wanted(self) -> None:
        """What this step triggered itself, as far as that is known; what it adopted is another's."""
        entry = self.journal.entries[self.index]
        is_wanted = self.sender.cancels and self.sender.patience.wait is not None
        if is_wanted and entry.created is not None and entry.outcome is Outcome.TRIGGERED:
            self._cancel(entry.created)

    def _cancel(self, created: Created) -> None:
        """Ask to cancel all that is alive of a run; whether it ends is not waited for, somebody wants to leave."""
        courier, dialect = self.sender.courier, DIALECTS[self.spec.api]
        found = courier.converse(dialect.workflows(self.asked, identity(created)))
        if not found:
            courier.progress.warning(f"no workflow of {created.url} was seen, so none was cancelled")
        for workflow in found or ():
            if workflow.is_active:
                result = courier.deliver(dialect.cancel(self.asked, workflow))
                is_accepted = isinstance(result, Response) and fate_of(result) is Fate.ANSWERED and result.status < 300  # noqa: PLR2004
                said = "was told to cancel" if is_accepted else "could NOT be told to cancel"
                courier.progress.info(f"CircleCI {said} workflow {workflow.name} of {created.url}")


def _post(request: Request, asked: Asked, courier: Courier) -> Created:
    """One POST, repeated by the courier only where it certainly was not received."""
    result = courier.deliver(request)
    if isinstance(result, Failure) or fate_of(result) is not Fate.ANSWERED:
        raise unanswered(result, asked)
    return DIALECTS[asked.api].read_triggered(result, asked)


def outcome_of(error: ToolError, before: Outcome) -> Outcome:
    """What an error means for the trigger it happened to; others leave what was known before."""
    return _OUTCOMES.get(type(error), before)


_OUTCOMES: Final = {
    Refused: Outcome.REFUSED,
    Unreachable: Outcome.UNREACHABLE,
    NothingRuns: Outcome.NOTHING_RUNS,
    Stopped: Outcome.STOPPED,
}
