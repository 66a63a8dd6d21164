"""Patience: what is sent again, after how long, and what is said meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builds import SHOP, spec
from fakes import FakeClock, RecordingProgress, ScriptedTransport, answer, courier, lost, refused_connection

from deploystep.circleci import v2
from deploystep.core.retry import DEFAULT

if TYPE_CHECKING:
    from fakes import Event

TRIGGER = v2.run_request(spec(), SHOP)
READING = v2.pipeline_by_id_request("x")


def test_an_answer_is_an_answer() -> None:
    transport = ScriptedTransport([answer(201, {})])
    assert courier(transport).deliver(TRIGGER) == answer(201, {})
    assert transport.is_used_up


@pytest.mark.parametrize("final", [lost(), answer(500), answer(502), answer(302), answer(404), answer(200)])
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


@pytest.mark.parametrize("trouble", [lost(), answer(500), answer(503), refused_connection(), answer(429)])
def test_a_reading_is_repeated_freely(trouble: Event) -> None:
    transport = ScriptedTransport([trouble, answer(200, {})])
    assert courier(transport).deliver(READING) == answer(200, {})


def test_the_end_of_an_endpoint_is_told() -> None:
    progress = RecordingProgress()
    transport = ScriptedTransport([answer(200, sunset="Mon, 01 Feb 2027 00:00:00 GMT")])
    courier(transport, progress=progress).deliver(TRIGGER)
    assert progress.warned == ["CircleCI removes this endpoint on 1 February 2027: see docs/migrating.md"]
