"""Everything that can go wrong on demand: what the client sees, and what was created all the same."""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING, Any

import pytest
from sandbox.calls import PIPELINE, RUN, TREE, V3_RUNS, Clock, call, trigger, v3_body

from deploystep.sandbox import FAULTS, FaultError, Sandbox, parse_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIGGERS = [(RUN, {}), (TREE, {}), (V3_RUNS, v3_body())]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(now=clock, projects=["gh/acme/shop"]) as running:
        yield running


@pytest.mark.parametrize(("fault", "created"), [("close", 0), ("close-after-create", 1)])
@pytest.mark.parametrize(("path", "body"), TRIGGERS)
def test_closing(sandbox: Sandbox, path: str, body: object, fault: str, created: int) -> None:
    sandbox.add_fault(parse_fault(fault))
    with pytest.raises(http.client.RemoteDisconnected):
        call(sandbox, "POST", path, body)
    assert len(sandbox.runs) == created
    assert [(entry.body, entry.status) for entry in sandbox.requests] == [(body, None)]
    assert call(sandbox, "POST", path, body).status in {200, 201}


def test_a_cut_body(sandbox: Sandbox) -> None:
    sandbox.add_fault(parse_fault("cut"))
    with pytest.raises(http.client.IncompleteRead):
        trigger(sandbox)
    assert (len(sandbox.runs), sandbox.requests[0].status) == (1, 201)


@pytest.mark.parametrize(("fault", "created"), [("late:0.2", 0), ("create-late:0.2", 1), ("late-after-create:0.2", 1)])
def test_an_answer_that_comes_too_late(sandbox: Sandbox, fault: str, created: int) -> None:
    sandbox.add_fault(parse_fault(fault))
    with pytest.raises(TimeoutError):
        trigger(sandbox, timeout=0.05)
    assert len(sandbox.runs) == (1 if fault.startswith("late-after") else 0)
    _wait_until_answered(sandbox)
    assert len(sandbox.runs) == created


def _wait_until_answered(sandbox: Sandbox) -> None:
    """Wait until the late request has been dealt with, whichever way."""
    time.sleep(0.3)
    assert len(sandbox.requests) == 1


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
    ("503:try later", 503, "try later", 0, {}),
    ("502-after-create", 502, "Internal server error", 1, {}),
    ("500-after-create:oops", 500, "oops", 1, {}),
    ("status:403:Permission denied", 403, "Permission denied", 0, {}),
    ("status:410", 410, "Status 410", 0, {}),
    ("status:404:a: b", 404, "a: b", 0, {}),
    ("skip", 200, "Ignoring pipeline due to CI skip in the commit", 0, {}),
    ("message:no", 200, "no", 0, {}),
    ("429", 429, "Rate limit exceeded", 0, {"Retry-After": None}),
    ("429:1.5", 429, "Rate limit exceeded", 0, {"Retry-After": "1.5"}),
    ("429-date:90", 429, "Rate limit exceeded", 0, {"Retry-After": "Tue, 16 Jun 2026 08:03:41 GMT"}),
    ("redirect:307:http://x/?a=b", 307, "Redirecting", 0, {"Location": "http://x/?a=b"}),
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
    said = answer.json["error"]["detail"] if "error" in answer.json else answer.json["message"]
    assert ("error" in answer.json) == (path == V3_RUNS and status >= 400)
    assert (answer.status, said, len(sandbox.runs)) == (status, message, created)
    assert {name: answer.headers.get(name) for name in headers} == headers
    assert call(sandbox, "POST", path, body).status in {200, 201}


def test_garbage(sandbox: Sandbox) -> None:
    sandbox.add_fault(parse_fault("garbage"))
    answer = trigger(sandbox)
    assert (answer.status, answer.headers["Content-Type"]) == (201, "text/html")
    with pytest.raises(ValueError, match="Expecting value"):
        _ = answer.json
    assert len(sandbox.runs) == 1


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


@pytest.mark.parametrize(("path", "body"), TRIGGERS)
def test_a_branch_that_moved(sandbox: Sandbox, path: str, body: object) -> None:
    for fault in ("moved", f"moved:{'c' * 40}"):
        sandbox.add_fault(parse_fault(fault))
    for _ in range(3):
        call(sandbox, "POST", path, body)
    moved, told, usual = (run.revision for run in sandbox.runs)
    assert told == "c" * 40
    assert len({moved, told, usual}) == 3


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


@pytest.mark.parametrize("fault", ["garbage", "cut", "close-after-create", "errored:x", "skip", "500-after-create"])
def test_a_request_that_is_wrong_is_told_so_and_uses_up_nothing(sandbox: Sandbox, fault: str) -> None:
    sandbox.add_fault(parse_fault(fault))
    assert trigger(sandbox, {"branch": "main"}).status == 400
    assert trigger(sandbox, token=None).status == 401
    assert len(sandbox.faults) == 1


def test_every_form_in_the_table_can_be_read() -> None:
    for name, kind in FAULTS.items():
        fault = parse_fault(kind.form)
        assert fault.kind == name
        assert (fault.count, fault.path) == (1, "")
        assert parse_fault(f" POST /a/* => {kind.form}*3 ").count == 3


UNREADABLE: list[Any] = [
    ("", "unknown fault ``"),
    ("nonsense", "`close-after-create`"),
    ("close:now", "takes nothing"),
    ("close*0", "unknown fault `close*0`"),
    ("late", "`late` takes seconds below 10000, as in `late:5`, not ``"),
    ("late:99999", "takes seconds"),
    ("429:soon", "takes seconds below 10000 or nothing"),
    ("status:100:x", "takes a status"),
    ("status:abc", "takes a status"),
    ("redirect:307", "a status from 200 to 599 and a location"),
    ("redirect:307:http://x/\r\nA: b", "a status from 200 to 599 and a location"),
    ("ends:green", "takes one of canceled"),
    ("siblings:a", "takes node indexes"),
    ("GET /x => errored:a", "cannot meet a GET"),
    ("FETCH /x => close", "unknown fault"),
    ("GET x => close", "unknown fault"),
]


@pytest.mark.parametrize(("text", "words"), UNREADABLE)
def test_texts_that_cannot_be_read(text: str, words: str) -> None:
    with pytest.raises(FaultError) as caught:
        parse_fault(text)
    assert words in str(caught.value)


def test_a_status_that_allows_no_body_gets_none(sandbox: Sandbox) -> None:
    sandbox.add_fault(parse_fault("status:204"))
    answer = trigger(sandbox)
    assert (answer.status, answer.text) == (204, "")
