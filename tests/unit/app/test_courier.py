"""Patience: what is sent again, after how long, and what is said meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builds import SHOP, asked, spec
from fakes import FakeClock, RecordingProgress, ScriptedTransport, answer, courier, lost, refused_connection

from deploystep.circleci import v2
from deploystep.core.retry import DEFAULT
from deploystep.core.runs import WorkflowState

if TYPE_CHECKING:
    from fakes import Event

TRIGGER = v2.run_request(spec(), SHOP)
READING = v2.pipeline_by_id_request("x")


def test_an_answer_is_an_answer() -> None:
    transport = ScriptedTransport([answer(201, {})])
    assert courier(transport).deliver(TRIGGER) == answer(201, {})
    assert transport.is_used_up


@pytest.mark.parametrize(
    "final", [lost(), answer(500), answer(502), answer(302), answer(404), answer(408), answer(200)]
)
def test_a_trigger_is_sent_once(final: Event) -> None:
    transport, clock = ScriptedTransport([final]), FakeClock()
    assert courier(transport, clock).deliver(TRIGGER) == final
    assert clock.slept == []


def test_a_trigger_that_was_not_received_is_sent_again() -> None:
    transport, clock, progress = (
        ScriptedTransport([refused_connection(), answer(429), refused_connection(), answer(201)]),
        FakeClock(),
        RecordingProgress(),
    )
    assert courier(transport, clock, progress).deliver(TRIGGER) == answer(201)
    assert clock.slept == [1.0, 2.0, 4.0]
    assert progress.said == [
        "CircleCI was not reached (connection refused); trying again in 1 s",
        "CircleCI answered 429, too many requests; trying again in 2 s",
        "CircleCI was not reached (connection refused); trying again in 4 s",
    ]


def test_after_a_429_a_loss_ends_it() -> None:
    """The first was not received, of the second nobody knows: a third could be the second deploy."""
    transport = ScriptedTransport([answer(429), lost()])
    assert courier(transport).deliver(TRIGGER) == lost()


def test_it_gives_up() -> None:
    transport, clock = ScriptedTransport([refused_connection()] * DEFAULT.attempts), FakeClock()
    assert courier(transport, clock).deliver(TRIGGER) == refused_connection()
    assert transport.is_used_up
    assert clock.slept == [1.0, 2.0, 4.0, 8.0]


def test_it_waits_as_long_as_it_is_asked_to() -> None:
    transport, clock = ScriptedTransport([answer(429, retry_after="30"), answer(201)]), FakeClock()
    courier(transport, clock).deliver(TRIGGER)
    assert clock.slept == [30.0]


def test_it_does_not_come_back_early() -> None:
    transport, clock = ScriptedTransport([answer(429, retry_after="61")]), FakeClock()
    assert courier(transport, clock).deliver(TRIGGER).status == 429  # type: ignore[union-attr]
    assert clock.slept == []


def test_a_reading_is_not_sent_before_it_was_asked_to() -> None:
    """Whoever follows a run looks every 18 seconds; a limit of ten minutes is no reason to ask in vain thirty times."""
    limit, clock = answer(429, retry_after="600"), FakeClock()
    transport = ScriptedTransport([limit, answer(200, {})])
    patient = courier(transport, clock)
    for _ in range(30):
        assert patient.deliver(READING) == limit
        clock.sleep(20.0)
    assert patient.deliver(READING) == answer(200, {})
    assert transport.is_used_up


def test_what_is_limited_is_one_reading_and_no_act() -> None:
    limit = answer(429, retry_after="600")
    transport = ScriptedTransport([limit, limit, answer(200), answer(202), answer(201)])
    patient = courier(transport)
    cancel = v2.cancel(asked(), WorkflowState("w", "deploy", "running"))
    assert [patient.deliver(r) for r in (READING, cancel, v2.pipeline_by_id_request("y"), cancel, TRIGGER)] == [
        limit,
        limit,
        answer(200),
        answer(202),
        answer(201),
    ]


@pytest.mark.parametrize("when", ["Tue, 16 Jun 2026 08:12:11 GMT", "600"])
def test_a_limit_is_told_in_seconds_or_as_a_date(when: str) -> None:
    transport, clock = ScriptedTransport([answer(429, retry_after=when), answer(200)]), FakeClock()
    patient = courier(transport, clock)
    patient.deliver(READING)
    clock.sleep(599.0)
    assert patient.deliver(READING).status == 429  # type: ignore[union-attr]
    clock.sleep(1.0)
    assert patient.deliver(READING) == answer(200)


def test_a_limit_without_a_time_is_asked_again_as_usual() -> None:
    transport = ScriptedTransport([*[answer(429)] * DEFAULT.attempts, answer(200)])
    patient = courier(transport)
    assert patient.deliver(READING) == answer(429)
    assert patient.deliver(READING) == answer(200)


@pytest.mark.parametrize("trouble", [lost(), answer(500), answer(503), refused_connection(), answer(429)])
def test_a_reading_is_repeated_freely(trouble: Event) -> None:
    transport = ScriptedTransport([trouble, answer(200, {})])
    assert courier(transport).deliver(READING) == answer(200, {})


def test_the_end_of_an_endpoint_is_told() -> None:
    progress = RecordingProgress()
    transport = ScriptedTransport([answer(200, sunset="Mon, 01 Feb 2027 00:00:00 GMT")])
    courier(transport, progress=progress).deliver(TRIGGER)
    assert progress.warned == ["CircleCI removes this endpoint on 1 February 2027: see docs/migrating.md"]
