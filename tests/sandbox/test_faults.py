"""Everything that can go wrong on demand: what the client sees, and what was created all the same."""

import http.client
import json
import re
import time
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from sandbox.calls import MAIN, PIPELINE, RUN, START, TREE, V3_RUNS, Clock, call, get, trigger, v3_body

from deploystep.sandbox import FAULTS, Reply, Sandbox, parse_fault

TRIGGERS = [(RUN, {}), (TREE, {}), (V3_RUNS, v3_body())]
GONE, BROKEN, NO_JSON = http.client.RemoteDisconnected, http.client.IncompleteRead, json.JSONDecodeError


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    sandbox.projects = ["gh/acme/shop"]
    return sandbox


#: By fault: the status or how the reading of the answer fails, the message, how many runs are created, and a header.
ANSWERS: dict[str, tuple[Any, ...]] = {
    "close": (GONE, "", 0),
    "close-after-create": (GONE, "", 1),
    "cut": (BROKEN, "", 1),
    "garbage": (NO_JSON, "", 1),
    "500": (500, "Internal server error", 0),
    "502-after-create": (502, "Internal server error", 1),
    "503:try later": (503, "try later", 0),
    "status:403:Permission denied": (403, "Permission denied", 0),
    "status:410": (410, "Status 410", 0),
    "status:204": (204, "", 0),
    "status:404:a: b": (404, "a: b", 0),
    "skip": (200, "Ignoring pipeline due to CI skip in the commit", 0),
    "message:no": (200, "no", 0),
    "429": (429, "Rate limit exceeded", 0, ("Retry-After", None)),
    "429:1.5": (429, "Rate limit exceeded", 0, ("Retry-After", "1.5")),
    "429-date:90": (429, "Rate limit exceeded", 0, ("Retry-After", "Tue, 16 Jun 2026 08:03:41 GMT")),
    "redirect:307:http://x/?a=b": (307, "http://x/?a=b", 0, ("Location", "http://x/?a=b")),
}


@pytest.mark.parametrize("fault", ANSWERS)
@pytest.mark.parametrize(("path", "body"), TRIGGERS, ids=["v2", "v1.1", "v3"])
def test_what_a_trigger_is_answered_and_creates(sandbox: Sandbox, path: str, body: object, fault: str) -> None:
    comes, message, created, *headers = ANSWERS[fault]
    sandbox.add_fault(parse_fault(fault))
    if isinstance(comes, int):
        answer = call(sandbox, "POST", path, body)
        told = json.loads(answer.text or '{"message": ""}')
        assert ("error" in told) == (path == V3_RUNS and answer.status >= 400)
        assert (answer.status, told["error"]["detail"] if "error" in told else told["message"]) == (comes, message)
        assert [(name, answer.headers[name]) for name, _ in headers] == headers
    else:
        with pytest.raises(comes):
            _ = call(sandbox, "POST", path, body).json
    usual = None if comes is GONE else 200 if path == TREE else 201
    status = comes if isinstance(comes, int) else usual
    assert [(entry.body, entry.status) for entry in sandbox.requests] == [(body, status)]
    assert len(sandbox.runs) == created
    assert call(sandbox, "POST", path, body).status in {200, 201}, "it is used up"


@pytest.mark.parametrize(("fault", "created"), [("late:0.2", 0), ("create-late:0.2", 1)])
def test_an_answer_that_comes_too_late(sandbox: Sandbox, fault: str, created: int) -> None:
    sandbox.add_fault(parse_fault(fault))
    with pytest.raises(TimeoutError):
        trigger(sandbox, timeout=0.05)
    assert len(sandbox.runs) == 0
    time.sleep(0.3)
    assert (len(sandbox.requests), len(sandbox.runs)) == (1, created)


def test_stopping_does_not_wait_for_what_is_late(sandbox: Sandbox) -> None:
    began = time.monotonic()
    sandbox.add_fault(parse_fault("create-late:60"))
    with pytest.raises(TimeoutError):
        trigger(sandbox, timeout=0.05)
    sandbox.stop()
    assert time.monotonic() - began < 5
    assert sandbox.runs == ()


#: By fault: the state of the run, its errors, and the states of its workflows.
NOT_AS_ASKED: dict[str, tuple[str, list[str], list[str]]] = {
    "errored:Unexpected argument(s): x": ("errored", ["Unexpected argument(s): x"], []),
    "no-workflow": ("created", [], []),
    "unauthorized": ("created", [], ["unauthorized"]),
    "ends:failed": ("created", [], ["failed"]),
}


@pytest.mark.parametrize("fault", NOT_AS_ASKED)
def test_runs_that_are_not_as_asked(sandbox: Sandbox, clock: Clock, fault: str) -> None:
    sandbox.add_fault(parse_fault(fault))
    assert call(sandbox, "GET", PIPELINE).status == 200, "only triggers are met"
    run = trigger(sandbox).json
    assert run["state"] == "pending"
    clock.passes(3600)
    pipeline, workflows = get(sandbox, f"/api/v2/pipeline/{run['id']}"), sandbox.runs[0].workflows
    told = (pipeline["state"], [error["message"] for error in pipeline["errors"]], [w.status for w in workflows])
    assert told == NOT_AS_ASKED[fault]


def test_a_branch_that_moved(sandbox: Sandbox) -> None:
    for path, body in TRIGGERS:
        for fault in ("moved", f"moved:{'c' * 40}"):
            sandbox.add_fault(parse_fault(fault))
        for _ in range(3):
            call(sandbox, "POST", path, body)
        moved, told, usual = (run.revision for run in sandbox.runs[-3:])
        assert (told, len({moved, told, usual}), len(moved)) == ("c" * 40, 3, 40)


def test_which_requests_faults_meet_and_how_often(sandbox: Sandbox, clock: Clock) -> None:
    for text in ("500*2", "429:1", "status:403:a*2", "GET /api/v2/pipeline/* => 502*2", "* /api/v2/me => cut"):
        sandbox.add_fault(parse_fault(text))
    assert [trigger(sandbox).status for _ in range(6)] == [500, 500, 429, 403, 403, 201]
    clock.passes(1)
    assert call(sandbox, "GET", "/api/v2/me", token=None).status == 401
    with pytest.raises(BROKEN):
        call(sandbox, "GET", "/api/v2/me")
    path = f"/api/v2/pipeline/{sandbox.runs[0].id}/workflow"
    assert [call(sandbox, "GET", path).status for _ in range(3)] == [502, 502, 200]


def test_a_request_that_is_wrong_is_told_so_and_uses_up_nothing(sandbox: Sandbox) -> None:
    for fault in ("garbage", "cut", "close-after-create", "errored:x", "skip", "500-after-create"):
        sandbox.faults[:] = [parse_fault(fault)]
        assert (trigger(sandbox, {"branch": "main"}).status, trigger(sandbox, token=None).status) == (400, 401)
        assert len(sandbox.faults) == 1


def test_every_form_in_the_table_can_be_read() -> None:
    for name, kind in FAULTS.items():
        fault = parse_fault(kind.form)
        assert (fault.kind, fault.count, fault.path) == (name, 1, "")
        assert parse_fault(f" POST /a/* => {kind.form}*3 ").count == 3


WRITTEN = ("late:99999", "429:soon", "status:100:x", "status:abc", "ends:green", "redirect:307", "siblings:a")
UNREADABLE = [
    *((text, f"unknown fault `{text}`; known are `close`, ") for text in ("", "nonsense", "close*0", "GET x => close")),
    ("close:now", "`close` is written as in `close`, not with `now`"),
    ("late", "`late` is written as in `late:5`, not with ``"),
    *((text, "is written as in") for text in (*WRITTEN, "redirect:307:http://x/\r\nA: b")),
    ("GET /x => errored:a", "cannot meet a GET"),
]


@pytest.mark.parametrize(("text", "words"), UNREADABLE)
def test_texts_that_cannot_be_read(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_fault(text)


# Without a socket

HEADERS = {"Authorization": "Bearer token", "Content-Type": "application/json"}


def _post(sandbox: Sandbox, clock: Clock) -> Reply:
    """Of a client whose waiting moves the clock, and who leaves after a minute."""

    def wait(seconds: float) -> bool:
        clock.passes(seconds)
        return clock() <= START + timedelta(seconds=60)

    return sandbox.respond("POST", RUN, "", HEADERS, json.dumps(MAIN).encode(), wait)


def test_it_answers_without_being_started(clock: Clock) -> None:
    sandbox = Sandbox(now=clock)
    reply = _post(sandbox, clock)
    assert (reply.status, reply.delay, reply.delivery) == (201, 0.0, "whole")
    assert json.loads(reply.payload())["created_at"] == "2026-06-16T08:02:11.000Z"
    assert [(request.method, request.body, request.status) for request in sandbox.requests] == [("POST", MAIN, 201)]
    listed = sandbox.respond("GET", PIPELINE, "branch=main", HEADERS)
    assert [item["id"] for item in listed.body["items"]] == [reply.body["id"]]


@pytest.mark.parametrize(
    ("fault", "delay", "waited", "runs"),
    [("late:5", 0, 5, 1), ("create-late:90", 0, 90, 1), ("late:90", 0, 90, 0), ("late-after-create:5", 5, 0, 1)],
)
def test_what_is_late(clock: Clock, fault: str, delay: float, waited: float, runs: int) -> None:
    sandbox = Sandbox(now=clock)
    sandbox.add_fault(parse_fault(fault))
    reply = _post(sandbox, clock)
    assert (reply.delay, clock()) == (delay, START + timedelta(seconds=waited))
    assert (len(sandbox.runs), reply.delivery == "none") == (runs, runs == 0)
    assert parsedate_to_datetime(dict(reply.headers)["Date"]) == START + timedelta(seconds=waited + delay)


def test_every_answer_tells_the_time_of_its_own_clock_once(sandbox: Sandbox, clock: Clock) -> None:
    clock.passes(3)
    answers = [trigger(sandbox), trigger(sandbox, token=None)]
    answers += [call(sandbox, "GET", path) for path in ("/nothing", "/sandbox/runs")]
    assert [answer.status for answer in answers] == [201, 401, 404, 200]
    for answer in answers:
        assert sorted(answer.headers.keys()) == ["Content-Length", "Content-Type", "Date"]
        assert parsedate_to_datetime(answer.headers["Date"]) == START + timedelta(seconds=3)
