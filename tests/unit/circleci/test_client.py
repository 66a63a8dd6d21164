"""Client: what is sent again, after how long, what is said meanwhile, and lists page by page."""

from typing import Any

import pytest
from builds import SHOP, spec
from fakes import START, Event, FakeClock, RecordingConsole, ScriptedTransport, answer, client, lost, refused_connection

from deploystep.circleci.apis import trigger_request
from deploystep.circleci.client import MOST_PAGES, Client, Recent
from deploystep.circleci.http import Request, Response, listing, page_of, reading
from deploystep.core.retry import ATTEMPTS, Repeat
from deploystep.core.runs import Run

TRIGGER = trigger_request(spec(), SHOP)
READ = reading("/api/v2/pipeline/x")


@pytest.mark.parametrize(
    ("events", "slept"),
    [
        *(([final], 0) for final in (lost(), *(answer(status) for status in (201, 200, 302, 404, 408, 500, 502)))),
        # after a 429 a loss ends it: of the second nobody knows, a third could be the second deploy
        ([answer(429), lost()], 1),
        ([answer(429, retry_after="61")], 0),  # it does not come back early
        ([answer(429, retry_after="30"), answer(201)], 30),
        ([refused_connection()] * ATTEMPTS, 15),  # it gives up
    ],
)
def test_a_trigger_is_sent_again_only_where_it_certainly_was_not_received(events: list[Event], slept: float) -> None:
    for luck, longer in ((0.0, 1.0), (0.8, 1.2)):  # the waits of many builds spread
        transport, clock = ScriptedTransport(events), FakeClock(luck=luck)
        assert client(transport, clock).send(TRIGGER) == events[-1]
        assert transport.is_used_up
        assert sum(clock.slept) == pytest.approx(slept * longer)
    hasty = Client(ScriptedTransport(events[:1]), FakeClock(), RecordingConsole(), 1)
    assert hasty.send(TRIGGER) == events[0]


def test_a_trigger_that_was_not_received_is_sent_again() -> None:
    events: list[Event] = [refused_connection(), answer(429), refused_connection(), answer(201)]
    console = RecordingConsole()
    assert client(ScriptedTransport(events), console=console).send(TRIGGER) == answer(201)
    assert console.infos == [
        "CircleCI was not reached (connection refused); trying again in 1 s",
        "CircleCI answered 429, too many requests; trying again in 2 s",
        "CircleCI was not reached (connection refused); trying again in 4 s",
    ]


def test_a_read_is_repeated_freely() -> None:
    for trouble in (lost(), answer(500), answer(503), refused_connection(), answer(429)):
        transport = ScriptedTransport([trouble, answer(200, {})])
        assert client(transport).get("/api/v2/pipeline/x", mine="true") == answer(200, {})
        assert transport.sent == [Request("GET", "/api/v2/pipeline/x", Repeat.FREELY, query={"mine": "true"})] * 2


def test_each_attempt_is_told_of_before_it_leaves_and_after_it_ended() -> None:
    """Who notes this knows at every moment whether a trigger may be under way."""
    transport, clock, told = ScriptedTransport([answer(429), answer(201)]), FakeClock(), list[Any]()
    client(transport, clock).send(TRIGGER, lambda result: told.append((clock.monotonic(), len(transport.sent), result)))
    assert told == [(0.0, 0, None), (0.0, 1, answer(429)), (1.0, 1, None), (1.0, 2, answer(201))]


def test_a_read_and_no_act_is_not_sent_before_it_was_asked_to() -> None:
    limit, act, clock = answer(429, retry_after="600"), Request("POST", READ.path, Repeat.FREELY), FakeClock()
    transport = ScriptedTransport([limit, limit, answer(200), answer(200, {}), answer(200, {})])
    patient, told = client(transport, clock), list[Any]()
    assert [patient.send(r) for r in (act, READ, act, reading("/y"))] == [limit, limit, answer(200), answer(200, {})]
    for _ in range(30):
        assert patient.send(READ, told.append) == limit
        clock.sleep(20.0)
    assert (patient.send(READ), told, transport.is_used_up) == (answer(200, {}), [], True)


def test_the_end_of_an_endpoint_is_told() -> None:
    console, day = RecordingConsole(), "Mon, 01 Feb 2027 00:00:00 GMT"
    for headers in ({"sunset": day}, {"deprecation": "@1777593600"}, {}):
        client(ScriptedTransport([answer(200, **headers)]), console=console).send(TRIGGER)
    assert console.warnings == [
        f"CircleCI removes this endpoint ({when}): see docs/migrating.md" for when in (day, "it does not say when")
    ]


def page(*ids: str, following: str | None = None, date: str = "") -> Response:
    return answer(200, {"items": [{"id": each} for each in ids], "next_page_token": following}, date=date)


ASK, RUNS = listing("/list", "page"), page_of(lambda item: Run(item.text("id") or ""))
CIRCLE = [page("1", following="b"), page("2", following="c"), page("3", following="b")]
ENDLESS = [page("x", following=str(n)) for n in range(MOST_PAGES)]


def test_runs_are_read_until_there_is_enough() -> None:
    events = [page("1", "2", following="b", date="Tue, 16 Jun 2026 08:02:11 GMT"), page("3", "4", following="c")]
    recent = client(ScriptedTransport(events)).runs(ASK, RUNS, lambda runs: len(runs) >= 3)
    assert recent == Recent(tuple(map(Run, "1234")), is_whole=True, moment=START), "that of the newest page"


@pytest.mark.parametrize("events", [CIRCLE, ENDLESS])
def test_a_list_without_end_is_not_whole(events: list[Event]) -> None:
    """One page that comes again and again does not go back far."""
    transport = ScriptedTransport(events)
    assert (client(transport).pages(ASK, RUNS), transport.is_used_up) == (None, True)
    recent = client(ScriptedTransport(events)).runs(ASK, RUNS, lambda _: False)
    assert isinstance(recent, Recent)
    assert not recent.is_whole
