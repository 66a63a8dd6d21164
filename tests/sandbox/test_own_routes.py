"""The routes by which another process looks into the sandbox and sets it up, and the pages of runs for people."""

from typing import Any
from uuid import uuid4

import pytest
from sandbox.calls import MAIN, PIPELINE, RUN, SHA, SHOP, Answer, Clock, call, get, trigger

from deploystep.sandbox import Pace, Sandbox, Workflow

JOB = {"project": "github/acme/shop", "number": 7, "parallel_runs": ["running"]}
BUILD = {"pipeline_id": str(uuid4()), "project": SHOP}


def _post(sandbox: Sandbox, name: str, body: object) -> Answer:
    return call(sandbox, "POST", f"/sandbox/{name}", body, token=None)


def _told(sandbox: Sandbox, name: str) -> Any:
    return call(sandbox, "GET", f"/sandbox/{name}", token=None).json[name]


def test_requests_and_runs(sandbox: Sandbox, clock: Clock) -> None:
    trigger(sandbox, {**MAIN, "parameters": {"sha": SHA}})
    clock.passes(60)
    (request,), (run,) = _told(sandbox, "requests"), _told(sandbox, "runs")
    assert (request["method"], request["status"], request["at"]) == ("POST", 201, "2026-06-16T08:02:11.000Z")
    assert request["headers"]["content-type"] == "application/json"
    assert request["body"]["parameters"] == {"sha": SHA}
    assert (run["number"], run["project"], run["revision"], run["state"]) == (1, SHOP, SHA, "created")
    assert [(w["name"], w["status"]) for w in run["workflows"]] == [("deploy", "success")]
    call(sandbox, "GET", f"{PIPELINE}?branch=a%2Fb&page-token=")
    call(sandbox, "POST", "/api/v2/x%2Fy", b"not json")
    _, first, second = sandbox.requests
    assert (first.method, first.body, first.status) == ("GET", None, 200)
    assert first.query == {"branch": "a/b", "page-token": ""}
    assert (second.path, second.body, second.status) == ("/api/v2/x%2Fy", "not json", 404)


def test_what_it_is_told(sandbox: Sandbox) -> None:
    for body in ({"fault": "500*2"}, {"faults": ["skip", "GET /x => close"]}):
        assert _post(sandbox, "faults", body).status == 200
    assert _post(sandbox, "faults", {"faults": ["skip", "nonsense"]}).status == 400
    assert [fault["kind"] for fault in _told(sandbox, "faults")] == ["500", "500", "skip", "close"]
    assert (trigger(sandbox).status, len(sandbox.faults)) == (500, 3)
    sandbox.faults.clear()
    assert _post(sandbox, "heads", {"main": SHA, "gone": ""}).json == {"main": SHA, "gone": ""}
    assert _post(sandbox, "configs", {"github/acme/shop": "version: 2.1"}).status == 200
    run = trigger(sandbox).json["id"]
    assert sandbox.runs[0].revision == SHA
    assert get(sandbox, f"/api/v2/pipeline/{run}/config")["source"] == "version: 2.1"
    assert trigger(sandbox, {"config": {"branch": "gone"}}).status == 400
    for more in ({}, {"parallel_runs": ["success"], "status": "success"}):
        assert _post(sandbox, "jobs", {**JOB, **more}).status == 200
        assert get(sandbox, f"/api/v2/project/{SHOP}/job/7")["status"] == more.get("status", "running")


def test_builds_and_workflows(sandbox: Sandbox) -> None:
    build, workflow = str(uuid4()), str(uuid4())
    body = {**BUILD, "pipeline_id": build.upper(), "workflow_id": workflow, "tag": "v1", "jobs": {"test": "success"}}
    body |= {"revision": SHA, "trigger": "scheduled_pipeline", "created": "2026-06-16T09:00:00+02:00"}
    assert _post(sandbox, "builds", body).status == 200
    (pipeline,) = get(sandbox, PIPELINE)["items"]
    assert (pipeline["id"], pipeline["vcs"]["tag"], pipeline["vcs"]["revision"]) == (build, "v1", SHA)
    started = (pipeline["created_at"], pipeline["trigger"]["type"])
    assert started == ("2026-06-16T07:00:00.000Z", "scheduled_pipeline")
    jobs = get(sandbox, f"/api/v2/workflow/{workflow}/job")["items"]
    assert [(job["name"], job["status"]) for job in jobs] == [("test", "success")]
    assert _told(sandbox, "runs") == []
    told = {"status": "quantum", "id": workflow}
    assert _post(sandbox, "workflows", told).json == told
    assert get(sandbox, f"/api/v2/pipeline/{build}/workflow")["items"][0]["status"] == "quantum"


def test_reset_forgets_all_but_the_settings() -> None:
    with Sandbox(heads={"main": SHA}) as sandbox:
        sandbox.moved["main"] = "b" * 40
        first = trigger(sandbox).json["id"]
        _post(sandbox, "faults", {"fault": "500"})
        assert _post(sandbox, "reset", b"").status == 200
        assert (sandbox.requests, sandbox.runs, sandbox.faults) == ([], (), [])
        again = trigger(sandbox)
        assert (again.json["number"], again.json["id"], sandbox.runs[0].revision) == (1, first, SHA)


#: What is told where, and how it is refused.
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


def test_what_cannot_be_read_is_explained(sandbox: Sandbox) -> None:
    for name, body, words in WRONG:
        answer = _post(sandbox, name, body)
        assert (answer.status, words in answer.json["message"]) == (400, True), words
    assert call(sandbox, "GET", "/sandbox/nothing").status == 404
    assert call(sandbox, "POST", "/sandbox/runs", {}).status == 405


# Pages


def page(sandbox: Sandbox, path: str = f"{SHOP}/1") -> str:
    before = len(sandbox.requests)
    answer = call(sandbox, "GET", f"/pipelines/{path}", token=None)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html;charset=utf-8")
    assert len(sandbox.requests) == before, "it is no request of the client"
    return answer.text


def test_a_run_has_a_page_with_all_there_is_to_know(sandbox: Sandbox, clock: Clock) -> None:
    sandbox.workflows, sandbox.pace = [Workflow("release")], Pace(finish=60)
    trigger(sandbox, {"parameters": {"deploy": True, "note": "<b>hi</b>", "sha": SHA}})
    clock.passes(1)
    text = page(sandbox)
    for part in ("Run 1 of gh/acme/shop", "created", "branch main", SHA, "release", "running", "true"):
        assert part in text
    assert ("&lt;b&gt;hi&lt;/b&gt;" in text, "<b>" in text) == (True, False)
    assert "PARAMETER_1: true" in text.partition("Compiled config</h2>")[2]
    sandbox.set_workflow(sandbox.runs[0].workflows[0].id, "success")
    assert "success" in page(sandbox).partition("<body>")[2], "it moves on"
    for path in (f"{SHOP}/3", "gh/acme/other/1", "x"):
        assert call(sandbox, "GET", f"/pipelines/{path}").status == 404
    _post(sandbox, "faults", {"fault": "errored:Unexpected argument(s): <x>"})
    trigger(sandbox)
    clock.passes(1)
    text = page(sandbox, f"{SHOP}/2")
    for part in ("Unexpected argument(s): &lt;x&gt;", "It is not compiled.", "None has started."):
        assert part in text


@pytest.mark.parametrize("project", [SHOP, "gh/acme/a%20b%3Fc%23d"])
def test_list_and_run_link_to_each_other(sandbox: Sandbox, project: str) -> None:
    for _ in range(2):
        call(sandbox, "POST", RUN.replace(SHOP, project), {})
    assert page(sandbox, project).count(f'href="/pipelines/{project}/') == 2
    assert f'href="/pipelines/{project}"' in page(sandbox, f"{project}/1")
    assert "run 1" not in page(sandbox, f"{project}?branch=other")
