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


def test_requests_and_runs() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        trigger(sandbox, {**MAIN, "parameters": {"sha": SHA}})
        (request,) = _get(sandbox, "requests")
        assert (request["method"], request["status"], request["at"]) == ("POST", 201, "2026-06-16T08:02:11.000Z")
        assert request["headers"]["content-type"] == "application/json"
        assert request["body"]["parameters"] == {"sha": SHA}
        clock.passes(60)
        (run,) = _get(sandbox, "runs")
        assert (run["number"], run["project"], run["revision"], run["state"]) == (1, "gh/acme/shop", SHA, "created")
        assert [(w["name"], w["status"]) for w in run["workflows"]] == [("deploy", "success")]
        assert len(sandbox.requests) == 1


def test_faults() -> None:
    with Sandbox() as sandbox:
        assert _post(sandbox, "faults", {"fault": "500*2"}).status == 200
        assert _post(sandbox, "faults", {"faults": ["skip", "GET /x => close"]}).status == 200
        assert [fault["kind"] for fault in _get(sandbox, "faults")] == ["500", "500", "skip", "close"]
        assert trigger(sandbox).status == 500
        assert _post(sandbox, "faults", {"faults": ["skip", "nonsense"]}).status == 400
        assert len(sandbox.faults) == 3
        sandbox.drop_faults()
        assert len(sandbox.faults) == 0


def test_heads_and_configs() -> None:
    with Sandbox() as sandbox:
        assert _post(sandbox, "heads", {"main": SHA, "gone": ""}).json == {"main": SHA, "gone": ""}
        assert _post(sandbox, "configs", {"github/acme/shop": "version: 2.1"}).status == 200
        run = trigger(sandbox).json["id"]
        assert sandbox.runs[0].revision == SHA
        assert call(sandbox, "GET", f"/api/v2/pipeline/{run}/config").json["source"] == "version: 2.1"
        assert trigger(sandbox, {"config": {"branch": "gone"}}).status == 400


def test_jobs_follow_their_script() -> None:
    then = [{"parallel_runs": ["success"], "status": "success", "after_polls": 1, "after_seconds": 0}]
    body = {"project": "github/acme/shop", "number": 7, "parallel_runs": ["running"], "then": then}
    with Sandbox() as sandbox:
        assert _post(sandbox, "jobs", body).status == 200
        assert [call(sandbox, "GET", JOB_PATH).json["status"] for _ in range(2)] == ["running", "success"]


def test_builds_and_workflows() -> None:
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
    with Sandbox(now=Clock()) as sandbox:
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
        assert (sandbox.requests, sandbox.runs, sandbox.faults) == ((), (), ())
        again = trigger(sandbox)
        assert (again.json["number"], again.json["id"]) == (1, first)
        assert sandbox.runs[0].revision == SHA


JOB = {"project": "gh/a/b", "number": 7, "parallel_runs": ["running"]}
BUILD = {"pipeline_id": str(uuid4()), "project": "gh/a/b"}
WRONG: list[tuple[str, Any, str]] = [
    ("faults", b"{", "the body is not JSON"),
    ("faults", {}, 'expected {"fault": "text"}'),
    ("faults", {"fault": 7}, "`fault` must be a string"),
    ("faults", {"fault": "nonsense"}, "known are"),
    ("heads", {"main": 7}, "`main` must be a string"),
    ("configs", {"shop": "x"}, "`shop` is not a project slug"),
    ("jobs", {**JOB, "parallel_runs": []}, "`parallel_runs` must be a list that is not empty"),
    ("jobs", {**JOB, "parallel_runs": [1]}, "`parallel_runs/0` must be a string"),
    ("jobs", {"parallel_runs": ["running"]}, "`project` is required"),
    ("jobs", {**JOB, "number": True}, "`number` must be an integer"),
    ("jobs", {**JOB, "after_seconds": "1"}, "`after_seconds` must be a number"),
    ("jobs", {**JOB, "nodes": 4}, "`nodes` is not a known member"),
    ("workflows", {"id": "x", "status": "success"}, "`id` must be a UUID"),
    ("workflows", {"id": str(uuid4()), "status": "success"}, "there is no workflow"),
    ("builds", {**BUILD, "created": "2026-06-16T08:02:11"}, "`created` must be a time with its zone"),
    ("builds", {**BUILD, "created": "9999-06-16T08:02:11Z"}, "later than now"),
    ("builds", {**BUILD, "trigger": "explicit"}, "`explicit` is not one of scheduled_pipeline, webhook"),
    ("builds", {**BUILD, "jobs": {"a": 1}}, "`jobs/a` must be a string"),
]


@pytest.mark.parametrize(("name", "body", "words"), WRONG)
def test_what_cannot_be_read_is_explained(name: str, body: object, words: str) -> None:
    with Sandbox() as sandbox:
        answer = _post(sandbox, name, body)
        assert answer.status == 400
        assert words in answer.json["message"]


def test_routes_that_are_not_there() -> None:
    with Sandbox() as sandbox:
        assert call(sandbox, "GET", "/sandbox/nothing").status == 404
        assert call(sandbox, "POST", "/sandbox/runs", {}).status == 405
