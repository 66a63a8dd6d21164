"""Everything that can go wrong on demand: what the client sees, and what was created all the same."""

from __future__ import annotations

import http.client
import json
import re
import time
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
from sandbox.calls import MAIN, PIPELINE, RUN, START, TREE, V3_RUNS, Clock, call, trigger, v3_body

from deploystep.sandbox import FAULTS, Reply, Sandbox, parse_fault

TRIGGERS = [(RUN, {}), (TREE, {}), (V3_RUNS, v3_body())]


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    sandbox.projects = ["gh/acme/shop"]
    return sandbox


@pytest.mark.parametrize(("fault", "created"), [("close", 0), ("close-after-create", 1)])
@pytest.mark.parametrize(("path", "body"), TRIGGERS)
def test_closing(sandbox: Sandbox, path: str, body: object, fault: str, created: int) -> None:
    sandbox.add_fault(parse_fault(fault))
    with pytest.raises(http.client.RemoteDisconnected):
        call(sandbox, "POST", path, body)
    assert len(sandbox.runs) == created
    assert [(entry.body, entry.status) for entry in sandbox.requests] == [(body, None)]
    assert call(sandbox, "POST", path, body).status in {200, 201}


@pytest.mark.parametrize(("fault", "error"), [("cut", http.client.IncompleteRead), ("garbage", json.JSONDecodeError)])
def test_bodies_that_cannot_be_read(sandbox: Sandbox, fault: str, error: type[Exception]) -> None:
    sandbox.add_fault(parse_fault(fault))
    with pytest.raises(error):
        _ = trigger(sandbox).json
    assert (len(sandbox.runs), sandbox.requests[0].status) == (1, 201)


@pytest.mark.parametrize(("fault", "created"), [("late:0.2", 0), ("create-late:0.2", 1)])
def test_an_answer_that_comes_too_late(sandbox: Sandbox, fault: str, created: int) -> None:
    sandbox.add_fault(parse_fault(fault))
    with pytest.raises(TimeoutError):
        trigger(sandbox, timeout=0.05)
    assert len(sandbox.runs) == 0
    time.sleep(0.3)
    assert (len(sandbox.requests), len(sandbox.runs)) == (1, created)


def test_stopping_does_not_wait_for_what_is_late() -> None:
    began = time.monotonic()
    with Sandbox() as sandbox:
        sandbox.add_fault(parse_fault("create-late:60"))
        with pytest.raises(TimeoutError):
            trigger(sandbox, timeout=0.05)
    assert time.monotonic() - began < 5
    assert sandbox.runs == ()


ANSWERS = [
    ("500", 500, "Internal server error", 0, {}),
    ("502-after-create", 502, "Internal server error", 1, {}),
    ("503:try later", 503, "try later", 0, {}),
    ("status:403:Permission denied", 403, "Permission denied", 0, {}),
    ("status:410", 410, "Status 410", 0, {}),
    ("status:204", 204, "", 0, {}),
    ("status:404:a: b", 404, "a: b", 0, {}),
    ("skip", 200, "Ignoring pipeline due to CI skip in the commit", 0, {}),
    ("message:no", 200, "no", 0, {}),
    ("429", 429, "Rate limit exceeded", 0, {"Retry-After": None}),
    ("429:1.5", 429, "Rate limit exceeded", 0, {"Retry-After": "1.5"}),
    ("429-date:90", 429, "Rate limit exceeded", 0, {"Retry-After": "Tue, 16 Jun 2026 08:03:41 GMT"}),
    ("redirect:307:http://x/?a=b", 307, "http://x/?a=b", 0, {"Location": "http://x/?a=b"}),
]


@pytest.mark.parametrize(("fault", "status", "message", "created", "headers"), ANSWERS, ids=lambda v: str(v)[:20])
@pytest.mark.parametrize(("path", "body"), TRIGGERS, ids=["v2", "v1.1", "v3"])
def test_other_answers(  # noqa: PLR0913, PLR0917 - columns of a table
    sandbox: Sandbox,
    path: str,
    body: object,
    fault: str,
    status: int,
    message: str,
    created: int,
    headers: dict[str, str | None],
) -> None:
    sandbox.add_fault(parse_fault(fault))
    answer = call(sandbox, "POST", path, body)
    told = json.loads(answer.text or '{"message": ""}')
    said = told["error"]["detail"] if "error" in told else told["message"]
    assert ("error" in told) == (path == V3_RUNS and status >= 400)
    assert (answer.status, said, len(sandbox.runs)) == (status, message, created)
    assert {name: answer.headers.get(name) for name in headers} == headers
    assert call(sandbox, "POST", path, body).status in {200, 201}


@pytest.mark.parametrize(
    ("fault", "state", "errors", "statuses"),
    [
        ("errored:Unexpected argument(s): x", "errored", ["Unexpected argument(s): x"], []),
        ("no-workflow", "created", [], []),
        ("unauthorized", "created", [], ["unauthorized"]),
        ("ends:failed", "created", [], ["failed"]),
    ],
)
def test_runs_that_are_not_as_asked(  # noqa: PLR0913, PLR0917 - columns of a table
    sandbox: Sandbox, clock: Clock, fault: str, state: str, errors: list[str], statuses: list[str]
) -> None:
    sandbox.add_fault(parse_fault(fault))
    assert call(sandbox, "GET", PIPELINE).status == 200, "only triggers are met"
    run = trigger(sandbox).json
    assert run["state"] == "pending"
    clock.passes(3600)
    pipeline = call(sandbox, "GET", f"/api/v2/pipeline/{run['id']}").json
    assert (pipeline["state"], [error["message"] for error in pipeline["errors"]]) == (state, errors)
    assert [workflow.status for workflow in sandbox.runs[0].workflows] == statuses


def test_a_branch_that_moved(sandbox: Sandbox) -> None:
    for path, body in TRIGGERS:
        for fault in ("moved", f"moved:{'c' * 40}"):
            sandbox.add_fault(parse_fault(fault))
        for _ in range(3):
            call(sandbox, "POST", path, body)
        moved, told, usual = (run.revision for run in sandbox.runs[-3:])
        assert (told, len({moved, told, usual}), len(moved)) == ("c" * 40, 3, 40)


def test_faults_come_in_order_and_as_often_as_they_say(sandbox: Sandbox) -> None:
    for text in ("500*2", "429:1", "status:403:a*2"):
        sandbox.add_fault(parse_fault(text))
    assert [trigger(sandbox).status for _ in range(6)] == [500, 500, 429, 403, 403, 201]


def test_a_fault_for_some_requests(sandbox: Sandbox, clock: Clock) -> None:
    sandbox.add_fault(parse_fault("GET /api/v2/pipeline/* => 502*2"))
    sandbox.add_fault(parse_fault("* /api/v2/me => cut"))
    run = trigger(sandbox).json["id"]
    clock.passes(1)
    assert call(sandbox, "GET", "/api/v2/me", timeout=1, token=None).status == 401
    with pytest.raises(http.client.IncompleteRead):
        call(sandbox, "GET", "/api/v2/me")
    statuses = [call(sandbox, "GET", f"/api/v2/pipeline/{run}/workflow").status for _ in range(3)]
    assert statuses == [502, 502, 200]


def test_a_request_that_is_wrong_is_told_so_and_uses_up_nothing(sandbox: Sandbox) -> None:
    for fault in ("garbage", "cut", "close-after-create", "errored:x", "skip", "500-after-create"):
        sandbox.faults[:] = [parse_fault(fault)]
        assert (trigger(sandbox, {"branch": "main"}).status, trigger(sandbox, token=None).status) == (400, 401)
        assert len(sandbox.faults) == 1


def test_every_form_in_the_table_can_be_read() -> None:
    for name, kind in FAULTS.items():
        fault = parse_fault(kind.form)
        assert fault.kind == name
        assert (fault.count, fault.path) == (1, "")
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
BODY = json.dumps(MAIN).encode()


def _post(sandbox: Sandbox, clock: Clock) -> Reply:
    """Of a client whose waiting moves the clock, and who leaves after a minute."""

    def wait(seconds: float) -> bool:
        clock.passes(seconds)
        return clock() <= START + timedelta(seconds=60)

    return sandbox.respond("POST", RUN, "", HEADERS, BODY, wait)


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
