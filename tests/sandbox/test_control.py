"""The routes by which another process looks into the sandbox and sets it up."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from sandbox.calls import MAIN, PIPELINE, SHA, Answer, Clock, call, trigger

from deploystep.sandbox import Sandbox

JOB_PATH = "/api/v2/project/gh/acme/shop/job/7"


def _post(sandbox: Sandbox, name: str, body: object) -> Answer:
    return call(sandbox, "POST", f"/sandbox/{name}", body, token=None)


def _get(sandbox: Sandbox, name: str) -> Any:
    answer = call(sandbox, "GET", f"/sandbox/{name}", token=None)
    assert answer.status == 200
    return answer.json[name]


def test_requests_and_runs(sandbox: Sandbox, clock: Clock) -> None:
    trigger(sandbox, {**MAIN, "parameters": {"sha": SHA}})
    clock.passes(60)
    (request,), (run,) = _get(sandbox, "requests"), _get(sandbox, "runs")
    assert (request["method"], request["status"], request["at"]) == ("POST", 201, "2026-06-16T08:02:11.000Z")
    assert request["headers"]["content-type"] == "application/json"
    assert request["body"]["parameters"] == {"sha": SHA}
    assert (run["number"], run["project"], run["revision"], run["state"]) == (1, "gh/acme/shop", SHA, "created")
    assert [(w["name"], w["status"]) for w in run["workflows"]] == [("deploy", "success")]
    assert len(sandbox.requests) == 1


def test_what_it_is_told(sandbox: Sandbox) -> None:
    job = {"project": "github/acme/shop", "number": 7, "parallel_runs": ["running"]}
    for body in ({"fault": "500*2"}, {"faults": ["skip", "GET /x => close"]}):
        assert _post(sandbox, "faults", body).status == 200
    assert _post(sandbox, "faults", {"faults": ["skip", "nonsense"]}).status == 400
    assert [fault["kind"] for fault in _get(sandbox, "faults")] == ["500", "500", "skip", "close"]
    assert (trigger(sandbox).status, len(sandbox.faults)) == (500, 3)
    sandbox.faults.clear()
    assert _post(sandbox, "heads", {"main": SHA, "gone": ""}).json == {"main": SHA, "gone": ""}
    assert _post(sandbox, "configs", {"github/acme/shop": "version: 2.1"}).status == 200
    run = trigger(sandbox).json["id"]
    assert sandbox.runs[0].revision == SHA
    assert call(sandbox, "GET", f"/api/v2/pipeline/{run}/config").json["source"] == "version: 2.1"
    assert trigger(sandbox, {"config": {"branch": "gone"}}).status == 400
    for more in ({}, {"parallel_runs": ["success"], "status": "success"}):
        assert _post(sandbox, "jobs", {**job, **more}).status == 200
        assert call(sandbox, "GET", JOB_PATH).json["status"] == more.get("status", "running")


def test_builds_and_workflows(sandbox: Sandbox) -> None:
    build, workflow = str(uuid4()), str(uuid4())
    body = {
        "pipeline_id": build.upper(),
        "project": "gh/acme/shop",
        "workflow_id": workflow,
        "jobs": {"test": "success"},
        "tag": "v1",
        "revision": SHA,
        "created": "2026-06-16T09:00:00+02:00",
        "trigger": "scheduled_pipeline",
    }
    assert _post(sandbox, "builds", body).status == 200
    (pipeline,) = call(sandbox, "GET", PIPELINE).json["items"]
    assert (pipeline["id"], pipeline["vcs"]["tag"], pipeline["vcs"]["revision"]) == (build, "v1", SHA)
    assert (pipeline["created_at"], pipeline["trigger"]["type"]) == (
        "2026-06-16T07:00:00.000Z",
        "scheduled_pipeline",
    )
    jobs = call(sandbox, "GET", f"/api/v2/workflow/{workflow}/job").json["items"]
    assert [(job["name"], job["status"]) for job in jobs] == [("test", "success")]
    assert _get(sandbox, "runs") == []
    told = {"id": workflow, "status": "quantum"}
    assert _post(sandbox, "workflows", told).json == told
    assert call(sandbox, "GET", f"/api/v2/pipeline/{build}/workflow").json["items"][0]["status"] == "quantum"


def test_reset_forgets_all_but_the_settings() -> None:
    with Sandbox(heads={"main": SHA}) as sandbox:
        sandbox.move("main", "b" * 40)
        first = trigger(sandbox).json["id"]
        _post(sandbox, "faults", {"fault": "500"})
        assert _post(sandbox, "reset", b"").status == 200
        assert (sandbox.requests, sandbox.runs, sandbox.faults) == ((), (), [])
        again = trigger(sandbox)
        assert (again.json["number"], again.json["id"]) == (1, first)
        assert sandbox.runs[0].revision == SHA


JOB = {"project": "gh/a/b", "number": 7, "parallel_runs": ["running"]}
BUILD = {"pipeline_id": str(uuid4()), "project": "gh/a/b"}
WRONG: list[tuple[str, Any, str]] = [
    ("faults", b"{", "the body is not JSON"),
    ("faults", {"fault": 7}, "`fault` must be a string"),
    ("faults", {"fault": "nonsense"}, "known are"),
    ("heads", {"main": 7}, "`main` must be a string"),
    ("configs", {"shop": "x"}, "`shop` is not a project slug"),
    ("jobs", {**JOB, "parallel_runs": []}, "`parallel_runs` must be a list that is not empty"),
    ("jobs", {**JOB, "parallel_runs": [1]}, "`parallel_runs/0` must be a string"),
    ("jobs", {"parallel_runs": ["running"]}, "`project` is required"),
    ("jobs", {**JOB, "number": True}, "`number` must be an integer"),
    ("jobs", {**JOB, "nodes": 4}, "`nodes` is not a known member"),
    ("workflows", {"id": "x", "status": "success"}, "`id` must be a UUID"),
    ("workflows", {"id": str(uuid4()), "status": "success"}, "there is no workflow"),
    ("builds", {**BUILD, "created": "2026-06-16T08:02:11"}, "`created` must be a time with its zone"),
    ("builds", {**BUILD, "jobs": {"a": 1}}, "`jobs/a` must be a string"),
]


@pytest.mark.parametrize(("name", "body", "words"), WRONG)
def test_what_cannot_be_read_is_explained(sandbox: Sandbox, name: str, body: object, words: str) -> None:
    answer = _post(sandbox, name, body)
    assert answer.status == 400
    assert words in answer.json["message"]


def test_routes_that_are_not_there(sandbox: Sandbox) -> None:
    assert call(sandbox, "GET", "/sandbox/nothing").status == 404
    assert call(sandbox, "POST", "/sandbox/runs", {}).status == 405
