"""The sandbox without a socket, on a clock that only the client moves; and whose clock the answers tell."""

from __future__ import annotations

import json
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest
from sandbox.calls import MAIN, RUN, START, Clock, call, trigger

from deploystep.sandbox import Reply, Sandbox, parse_fault

if TYPE_CHECKING:
    from deploystep.sandbox import Client

HEADERS = {"Authorization": "Bearer token", "Content-Type": "application/json"}
BODY = json.dumps(MAIN).encode()


def _leaves_after_a_minute(clock: Clock) -> Client:
    """Make a client whose waiting moves the clock."""

    def wait(seconds: float) -> bool:
        clock.passes(seconds)
        return clock() <= START + timedelta(seconds=60)

    return wait


def _post(sandbox: Sandbox, clock: Clock) -> Reply:
    return sandbox.respond("POST", RUN, "", HEADERS, BODY, _leaves_after_a_minute(clock))


def test_it_answers_without_being_started() -> None:
    clock = Clock()
    sandbox = Sandbox(now=clock)
    reply = _post(sandbox, clock)
    assert (reply.status, reply.delay, reply.delivery) == (201, 0.0, "whole")
    assert json.loads(reply.payload())["created_at"] == "2026-06-16T08:02:11.000Z"
    (request,) = sandbox.requests
    assert (request.method, request.path, request.body, request.status) == ("POST", RUN, MAIN, 201)
    assert json.loads(sandbox.respond("GET", "/sandbox/runs").payload())["runs"][0]["id"] == reply.body["id"]
    assert len(sandbox.requests) == 1
    listed = sandbox.respond("GET", RUN.removesuffix("/run"), "branch=main", HEADERS)
    assert [item["id"] for item in listed.body["items"]] == [reply.body["id"]]


@pytest.mark.parametrize(
    ("fault", "delay", "waited", "runs"),
    [("late:5", 0, 5, 1), ("create-late:90", 0, 90, 1), ("late:90", 0, 90, 0), ("late-after-create:5", 5, 0, 1)],
)
def test_what_is_late(fault: str, delay: float, waited: float, runs: int) -> None:
    clock = Clock()
    sandbox = Sandbox(now=clock)
    sandbox.add_fault(parse_fault(fault))
    reply = _post(sandbox, clock)
    assert (reply.delay, clock()) == (delay, START + timedelta(seconds=waited))
    assert len(sandbox.runs) == runs
    assert (reply.delivery == "none") == (runs == 0)
    assert parsedate_to_datetime(dict(reply.headers)["Date"]) == START + timedelta(seconds=waited + delay)


def test_every_answer_tells_the_time_of_its_own_clock_once(sandbox: Sandbox, clock: Clock) -> None:
    clock.passes(3)
    answers = [
        trigger(sandbox),
        trigger(sandbox, token=None),
        call(sandbox, "GET", "/nothing"),
        call(sandbox, "GET", "/sandbox/runs"),
    ]
    assert [answer.status for answer in answers] == [201, 401, 404, 200]
    for answer in answers:
        assert sorted(name for name, _ in answer.pairs) == ["Content-Length", "Content-Type", "Date"]
        assert parsedate_to_datetime(answer.headers["Date"]) == START + timedelta(seconds=3)
