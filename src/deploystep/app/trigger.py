"""Sends the triggers of all firing rules in file order, once each; the first failure stops the rest."""

from dataclasses import dataclass, replace

from deploystep.app.confirm import Patience, Watch
from deploystep.app.courier import Courier
from deploystep.app.ports import Transport
from deploystep.app.report import Journal, TriggerReport
from deploystep.circleci.answers import Asked, unanswered
from deploystep.circleci.dialects import DIALECTS
from deploystep.circleci.wire import Failure, Request, Response, fate_of
from deploystep.core.build import ProjectSlug
from deploystep.core.deploy import Created, Outcome, TriggerSpec
from deploystep.core.errors import NothingRuns, Refused, ToolError, Unreachable, WrongCommit
from deploystep.core.retry import Fate, may_repeat


@dataclass(frozen=True, slots=True)
class Sender:
    """Everything that sending needs besides the triggers themselves."""

    courier: Courier
    token_name: str
    app: str
    patience: Patience

    @property
    def host(self) -> str:
        """The address that requests go to."""
        return self.courier.transport.host

    def asked(self, spec: TriggerSpec, project: ProjectSlug) -> Asked:
        """What messages say about this trigger."""
        has_parameters = bool(spec.parameters)
        return Asked(spec.rule, project, spec.ref, spec.api, self.host, self.app, self.token_name, has_parameters)


@dataclass(frozen=True, slots=True)
class _Noting:
    """A transport that notes in the journal when a trigger leaves, and when it certainly was not received.

    Between two attempts nothing is under way: who interrupts the wait leaves nothing uncertain.
    """

    transport: Transport
    journal: Journal
    index: int

    @property
    def host(self) -> str:
        return self.transport.host

    def send(self, request: Request) -> Response | Failure:
        self.journal.sending(self.index)
        result = self.transport.send(request)
        if may_repeat(request.repeat, fate_of(result)):
            self.journal.ended(self.index, Outcome.NOT_SENT)
        return result


def planned(spec: TriggerSpec, project: ProjectSlug, host: str, outcome: Outcome) -> TriggerReport:
    """The request of one trigger, made but not sent."""
    request = DIALECTS[spec.api].trigger_request(spec, project)
    return TriggerReport(spec, host + request.path, request, outcome)


def send_all(journal: Journal, project: ProjectSlug, sender: Sender) -> None:
    """Send everything the journal plans. Raises the first ToolError; the journal then says how far it went."""
    for index, entry in enumerate(journal.entries):
        _send_one(index, entry, journal, sender, entry.spec.project or project)


def _send_one(index: int, entry: TriggerReport, journal: Journal, sender: Sender, project: ProjectSlug) -> None:
    asked = sender.asked(entry.spec, project)
    noting = replace(sender.courier, transport=_Noting(sender.courier.transport, journal, index))
    try:
        created = _post(entry.request, asked, noting)
        journal.created(index, created)
        sender.courier.progress.say(f"triggered {asked.rule}: {created.url}")
        seen = Watch(entry.spec, created, asked, sender.courier, sender.patience).confirm()
        journal.seen(index, seen.workflows, seen.revision)
    except ToolError as error:
        journal.ended(index, outcome_of(error, journal.entries[index].outcome))
        raise


def _post(request: Request, asked: Asked, courier: Courier) -> Created:
    """The dangerous act: one POST, repeated by the courier only where it certainly was not received."""
    result = courier.deliver(request)
    if isinstance(result, Failure) or fate_of(result) is not Fate.ANSWERED:
        raise unanswered(result, asked)
    return DIALECTS[asked.api].read_triggered(result, asked)


def outcome_of(error: ToolError, before: Outcome) -> Outcome:
    """What an error means for the trigger it happened to; others leave what was known before."""
    known = {
        Refused: Outcome.REFUSED,
        Unreachable: Outcome.UNREACHABLE,
        NothingRuns: Outcome.NOTHING_RUNS,
        WrongCommit: Outcome.STOPPED,
    }
    return known.get(type(error), before)
