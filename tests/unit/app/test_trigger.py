"""Sending: the journal tells the truth at every moment, whoever interrupts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builds import OTHER_SHA, RUN, SHA, SHOP, build, spec
from fakes import NO_RUNS, FakeClock, RecordingProgress, ScriptedTransport, answer, lost, refused_connection

from deploystep.app.courier import Courier
from deploystep.app.report import Journal
from deploystep.app.trigger import Sender, planned, send_all
from deploystep.app.vigil import Patience
from deploystep.core.build import ProjectSlug
from deploystep.core.deploy import Outcome
from deploystep.core.errors import (
    Interrupted,
    NothingRuns,
    Refused,
    Stopped,
    TimedOut,
    ToolError,
    Uncertain,
    Unreachable,
)
from deploystep.core.exits import ExitCode
from deploystep.core.rules import ApiVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fakes import Event

    from deploystep.circleci.wire import Response

STOP = Interrupted(ExitCode.TERMINATED)
ACCEPTED = answer(201, {"id": RUN, "number": 25, "state": "pending"})
PIPELINE = answer(200, {"state": "created", "vcs": {"revision": SHA}, "errors": []})
WRONG = answer(200, {"state": "created", "vcs": {"revision": OTHER_SHA}, "errors": []})
WORKFLOWS = answer(200, {"items": [{"id": "w1", "name": "deploy", "status": "running"}]})
CANCELED = answer(200, {"items": [{"id": "w1", "name": "deploy", "status": "canceled"}]})
NONE_YET = answer(200, {"items": []})
WHOLE = [ACCEPTED, PIPELINE, WORKFLOWS]


class Attempt:
    """One call of `send_all` with a script; what was raised and what the journal then says."""

    def __init__(self, events: Sequence[Event], *, count: int = 1, patience: Patience | None = None) -> None:
        self.transport = ScriptedTransport(events, earlier=NO_RUNS)
        self.clock, self.progress = FakeClock(), RecordingProgress()
        sender = Sender(
            Courier(self.transport, self.clock, self.progress),
            "CIRCLE_TOKEN",
            "https://app.circleci.com",
            patience or Patience(limit=2.0),
        )
        self.journal = Journal()
        specs = [spec(rule=f"rule-{n}", parameters={"n": n}) for n in range(count)]
        self.journal.plan(tuple(planned(s, SHOP, sender.host, Outcome.NOT_SENT) for s in specs))
        self.raised: BaseException | None = None
        try:
            send_all(self.journal, build(), SHOP, sender)
        except (ToolError, Interrupted) as error:
            self.raised = error

    @property
    def outcomes(self) -> list[Outcome]:
        return [entry.outcome for entry in self.journal.entries]


def test_all_is_well() -> None:
    attempt = Attempt(WHOLE)
    assert attempt.raised is None
    (entry,) = attempt.journal.entries
    assert entry.outcome is Outcome.TRIGGERED
    assert entry.created is not None
    assert (entry.created.id, entry.created.revision) == (RUN, SHA)
    assert [w.name for w in entry.workflows] == ["deploy"]
    assert attempt.progress.said == ["triggered rule-0: https://app.circleci.com/pipelines/gh/acme/shop/25"]
    assert attempt.transport.paths == [
        "POST /api/v2/project/gh/acme/shop/pipeline/run",
        f"GET /api/v2/pipeline/{RUN}",
        f"GET /api/v2/pipeline/{RUN}/workflow",
    ]


@pytest.mark.parametrize(
    ("events", "kind", "outcome"),
    [
        ([answer(404, {"message": "x"})], Refused, Outcome.REFUSED),
        ([refused_connection()] * 5, Unreachable, Outcome.UNREACHABLE),
        ([answer(429, retry_after="999")], Unreachable, Outcome.UNREACHABLE),
        ([lost()], Uncertain, Outcome.UNCERTAIN),
        ([answer(500)], Uncertain, Outcome.UNCERTAIN),
        ([answer(201, b"<html>")], Uncertain, Outcome.UNCERTAIN),
        ([answer(200, {"message": "CI skip"})], NothingRuns, Outcome.NOTHING_RUNS),
        ([ACCEPTED, answer(200, {"state": "errored"})], NothingRuns, Outcome.NOTHING_RUNS),
        ([ACCEPTED, WRONG, WORKFLOWS, answer(202), CANCELED], Stopped, Outcome.STOPPED),
        ([ACCEPTED, *[answer(404), answer(404)] * 9], TimedOut, Outcome.TRIGGERED),
    ],
)
def test_how_it_can_end(events: list[Event], kind: type[ToolError], outcome: Outcome) -> None:
    attempt = Attempt(events, count=3)
    assert type(attempt.raised) is kind
    assert attempt.outcomes == [outcome, Outcome.NOT_SENT, Outcome.NOT_SENT]


def test_what_follows_a_failure_is_not_sent() -> None:
    attempt = Attempt([*WHOLE, answer(403)], count=3)
    assert attempt.outcomes == [Outcome.TRIGGERED, Outcome.REFUSED, Outcome.NOT_SENT]
    assert attempt.transport.is_used_up


@pytest.mark.parametrize(
    ("events", "outcome", "is_created"),
    [
        ([STOP], Outcome.UNCERTAIN, False),
        ([ACCEPTED, STOP], Outcome.TRIGGERED, True),
        ([ACCEPTED, PIPELINE, STOP], Outcome.TRIGGERED, True),
        ([ACCEPTED, PIPELINE, NONE_YET, STOP], Outcome.TRIGGERED, True),
        ([ACCEPTED, WRONG, WORKFLOWS, STOP], Outcome.TRIGGERED, True),
        ([answer(429), STOP], Outcome.UNCERTAIN, False),
        ([refused_connection(), STOP], Outcome.UNCERTAIN, False),
    ],
)
def test_an_interruption_between_any_two_steps(events: list[Event], outcome: Outcome, is_created: bool) -> None:  # noqa: FBT001 - a column
    attempt = Attempt(events, count=2)
    assert attempt.raised is STOP
    assert attempt.outcomes == [outcome, Outcome.NOT_SENT]
    assert (attempt.journal.entries[0].created is not None) is is_created


def test_an_interruption_of_the_second_keeps_the_first() -> None:
    attempt = Attempt([*WHOLE, STOP], count=3)
    assert attempt.outcomes == [Outcome.TRIGGERED, Outcome.UNCERTAIN, Outcome.NOT_SENT]


class Impatient(FakeClock):
    """A clock on which somebody interrupts the first wait."""

    def sleep(self, seconds: float) -> None:
        del seconds
        raise STOP


@pytest.mark.parametrize("event", [answer(429, retry_after="30"), refused_connection()])
def test_an_interruption_while_waiting_to_send_again(event: Event) -> None:
    """What was tried certainly was not received: to call it uncertain would keep somebody from running it again."""
    sender = Sender(
        Courier(ScriptedTransport([event], earlier=NO_RUNS), Impatient(), RecordingProgress()),
        "CIRCLE_TOKEN",
        "x",
        Patience(),
    )
    journal = Journal()
    journal.plan((planned(spec(), SHOP, sender.host, Outcome.NOT_SENT),))
    with pytest.raises(Interrupted):
        send_all(journal, build(), SHOP, sender)
    assert [entry.outcome for entry in journal.entries] == [Outcome.NOT_SENT]


def test_a_request_is_made_before_the_first_is_sent() -> None:
    report = planned(spec(api=ApiVersion.V1_1, job="deploy"), SHOP, "https://circleci.com", Outcome.PLANNED)
    assert report.url == "https://circleci.com/api/v1.1/project/github/acme/shop/tree/main"
    assert report.outcome is Outcome.PLANNED
    assert report.request.body == {"revision": SHA, "build_parameters": {"CIRCLE_JOB": "deploy"}}


def test_a_target_is_sent_to_its_own_project() -> None:
    transport = ScriptedTransport(WHOLE, earlier=NO_RUNS)
    sender = Sender(Courier(transport, FakeClock(), RecordingProgress()), "T", "https://app.circleci.com", Patience())
    deployer = ProjectSlug("circleci", "9Yy", "44n")
    journal = Journal()
    journal.plan((planned(spec(project=deployer, revision=None), deployer, sender.host, Outcome.NOT_SENT),))
    send_all(journal, build(), SHOP, sender)
    assert transport.paths[0] == "POST /api/v2/project/circleci/9Yy/44n/pipeline/run"
    assert journal.entries[0].created is not None
    assert journal.entries[0].created.url == "https://app.circleci.com/pipelines/circleci/9Yy/44n/25"


# --cancel-on-interrupt


def interrupted(
    events: Sequence[Event], *, cancels: bool = True, wait: float | None = 60.0, earlier: Response = NO_RUNS
) -> tuple[list[str], list[str], list[Outcome]]:
    """Somebody interrupts in between: what was sent, what was said, and what is known."""
    transport, progress, journal = ScriptedTransport(events, earlier=earlier), RecordingProgress(), Journal()
    courier = Courier(transport, FakeClock(), progress)
    sender = Sender(courier, "T", "https://app.circleci.com", Patience(limit=5.0, wait=wait), cancels=cancels)
    journal.plan((planned(spec(), SHOP, sender.host, Outcome.NOT_SENT),))
    with pytest.raises(Interrupted):
        send_all(journal, build(), SHOP, sender)
    assert transport.is_used_up
    lines = [*progress.said, *progress.warned]
    return transport.paths, lines, [entry.outcome for entry in journal.entries]


CANCEL = "POST /api/v2/workflow/w1/cancel"


@pytest.mark.parametrize(
    "before",
    [
        [ACCEPTED, STOP],
        [ACCEPTED, PIPELINE, STOP],
        [ACCEPTED, PIPELINE, NONE_YET, PIPELINE, STOP],
        [*WHOLE, STOP],
        [*WHOLE, WORKFLOWS, WORKFLOWS, STOP],
    ],
)
def test_what_was_triggered_is_cancelled_whenever_somebody_interrupts(before: list[Event]) -> None:
    paths, said, outcomes = interrupted([*before, WORKFLOWS, answer(202)])
    assert paths[-1] == CANCEL
    assert said[-1].startswith("CircleCI was told to cancel workflow deploy of https://")
    assert outcomes == [Outcome.TRIGGERED]


@pytest.mark.parametrize("no", [answer(403), answer(404), answer(500)])
def test_a_cancelling_that_is_refused_is_told(no: Event) -> None:
    _, said, _ = interrupted([*WHOLE, STOP, WORKFLOWS, *[no] * (5 if no == answer(500) else 1)])
    assert said[-1].startswith("CircleCI could NOT be told to cancel workflow deploy")


@pytest.mark.parametrize("seen", [NONE_YET, answer(404)])
def test_nothing_that_could_be_cancelled_is_told(seen: Event) -> None:
    _, said, _ = interrupted([ACCEPTED, STOP, seen])
    assert (
        said[-1] == "no workflow of https://app.circleci.com/pipelines/gh/acme/shop/25 was seen, so none was cancelled"
    )


@pytest.mark.parametrize(("cancels", "wait"), [(False, 60.0), (True, None)])
def test_nothing_is_cancelled_where_that_was_not_asked_for(cancels: bool, wait: float | None) -> None:  # noqa: FBT001 - a column
    paths, _, _ = interrupted([ACCEPTED, PIPELINE, STOP], cancels=cancels, wait=wait)
    assert CANCEL not in paths


def test_what_may_not_have_been_created_cannot_be_cancelled() -> None:
    paths, _, outcomes = interrupted([STOP])
    assert (len(paths), outcomes) == (1, [Outcome.UNCERTAIN])


def test_what_another_build_triggered_is_not_cancelled() -> None:
    run = {"id": RUN, "number": 25, "state": "created", "trigger": {"type": "api"}, "vcs": {"revision": SHA}}
    there = answer(200, {"items": [run]})
    paths, _, outcomes = interrupted([WORKFLOWS, WORKFLOWS, STOP], earlier=there)
    assert (CANCEL in paths, outcomes) == (False, [Outcome.ALREADY_TRIGGERED])
