"""The routes by which another process looks into the sandbox and sets it up."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from sandbox.calls import MAIN, SHA, Answer, call, trigger

from deploystep.sandbox import Sandbox


def _post(sandbox: Sandbox, name: str, body: object) -> Answer:
    return call(sandbox, "POST", f"/sandbox/{name}", body, token=None)


def _get(sandbox: Sandbox, name: str) -> Any:
    answer = call(sandbox, "GET", f"/sandbox/{name}", token=None)
    assert answer.status == 200
    return answer.json


def test_requests_and_runs() -> None:
    with Sandbox() as sandbox:
        trigger(sandbox, {**MAIN, "parameters": {"sha": SHA}})
        (request,) = _get(sandbox, "requests")["requests"]
        assert (request["method"], request["status"]) == ("POST", 201)
        assert request["headers"]["authorization"] == "Bearer ***"
        assert request["body"]["parameters"] == {"sha": SHA}
        (run,) = _get(sandbox, "runs")["runs"]
        assert (run["number"], run["revision"], run["api"]) == (1, SHA, "v2-run")
        assert len(sandbox.requests) == 1


def test_faults() -> None:
    with Sandbox() as sandbox:
        assert _post(sandbox, "faults", {"fault": "500*2"}).status == 201
        assert _post(sandbox, "faults", {"faults": ["skip", "GET /x => close"]}).status == 201
        kinds = [(fault["kind"], fault["count"]) for fault in _get(sandbox, "faults")["faults"]]
        assert kinds == [("500", 2), ("skip", 1), ("close", 1)]
        assert trigger(sandbox).status == 500
        assert _post(sandbox, "faults", {"faults": ["skip", "nonsense"]}).status == 400
        assert len(sandbox.faults) == 3


def test_heads() -> None:
    with Sandbox() as sandbox:
        assert _post(sandbox, "heads", {"main": SHA, "gone": ""}).status == 200
        trigger(sandbox)
        assert sandbox.runs[0].revision == SHA
        assert trigger(sandbox, {"config": {"branch": "gone"}}).status == 400


def test_jobs() -> None:
    then = [{"parallel_runs": ["success"], "status": "success", "after_polls": 1, "after_seconds": 0}]
    body = {"project": "github/acme/shop", "number": 7, "parallel_runs": ["running"], "then": then}
    with Sandbox() as sandbox:
        assert _post(sandbox, "jobs", body).status == 201
        path = "/api/v2/project/gh/acme/shop/job/7"
        assert [call(sandbox, "GET", path).json["status"] for _ in range(2)] == ["running", "success"]


def test_builds() -> None:
    build, workflow = str(uuid4()), str(uuid4())
    body = {
        "pipeline_id": build,
        "project": "gh/acme/shop",
        "workflow_id": workflow,
        "jobs": {"test": "success"},
        "numbers": {"test": 12},
        "tag": "v1",
        "revision": SHA,
    }
    with Sandbox() as sandbox:
        assert _post(sandbox, "builds", body).status == 201
        pipeline = call(sandbox, "GET", f"/api/v2/pipeline/{build}").json
        assert (pipeline["vcs"]["tag"], pipeline["vcs"]["revision"]) == ("v1", SHA)
        items = call(sandbox, "GET", f"/api/v2/workflow/{workflow}/job").json["items"]
        assert [(item["name"], item["job_number"]) for item in items] == [("test", 12)]
        assert _get(sandbox, "runs") == {"runs": []}


def test_reset_forgets_all_but_the_settings() -> None:
    with Sandbox(heads={"main": SHA}) as sandbox:
        sandbox.move("main", "b" * 40)
        first = trigger(sandbox).json["id"]
        _post(sandbox, "faults", {"fault": "500"})
        assert call(sandbox, "POST", "/sandbox/reset", token=None).status == 200
        assert (sandbox.requests, sandbox.runs, sandbox.faults) == ((), (), ())
        again = trigger(sandbox)
        assert (again.json["number"], again.json["id"]) == (1, first)
        assert sandbox.runs[0].revision == SHA
        sandbox.reset()
        assert sandbox.runs == ()


JOB = {"project": "gh/a/b", "number": 7, "parallel_runs": ["running"]}
BUILD = {"pipeline_id": str(uuid4()), "project": "gh/a/b"}
WRONG: list[Any] = [
    ("faults", b"{", "JSON object"),
    ("faults", [], "JSON object"),
    ("faults", {}, "expected"),
    ("faults", {"fault": 7}, "expected"),
    ("faults", {"fault": "nonsense"}, "known are"),
    ("heads", {"main": 7}, "`main` must be a string"),
    ("jobs", {**JOB, "parallel_runs": None}, "`parallel_runs` must be a list"),
    ("jobs", {**JOB, "parallel_runs": []}, "one per node"),
    ("jobs", {**JOB, "parallel_runs": [1]}, "one per node"),
    ("jobs", {"parallel_runs": ["running"]}, "`project` must be a string"),
    ("jobs", {"parallel_runs": ["running"], "project": "shop"}, "slug"),
    ("jobs", {"parallel_runs": ["running"], "project": "gh/a/b", "number": True}, "`number` must be an integer"),
    ("jobs", {"parallel_runs": ["running"], "then": [7]}, "must be an object"),
    ("jobs", {**JOB, "after_seconds": "1"}, "`after_seconds` must be a number"),
    ("workflows", {"id": "x", "status": "success"}, "not a UUID"),
    ("workflows", {"id": str(uuid4()), "status": "success"}, "there is no workflow"),
    ("workflows", {"id": str(uuid4()), "status": ""}, "must not be empty"),
    ("builds", {"pipeline_id": "x"}, "not a UUID"),
    ("builds", {**BUILD, "created": "yesterday"}, "a time with its zone"),
    ("builds", {**BUILD, "created": "2026-06-16T08:02:11"}, "a time with its zone"),
    ("builds", {**BUILD, "created": "9999-06-16T08:02:11Z"}, "later than now"),
    ("builds", {**BUILD, "trigger": "explicit"}, "`trigger` must be one of"),
    ("builds", {"pipeline_id": str(uuid4()), "project": "gh/a/b", "status": "green"}, "`status` must be one of"),
    ("builds", {"pipeline_id": str(uuid4()), "project": "gh/a/b", "jobs": {"a": 1}}, "`a` must be a string"),
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
