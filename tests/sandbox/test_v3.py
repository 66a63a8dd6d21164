"""API v3: runs that v2 knows as pipelines, searched and followed in other words."""

from __future__ import annotations

import base64
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import uuid4

import pytest
from sandbox.calls import MAIN, PIPELINE, RUN, SHA, START, TREE, Answer, Clock, call, trigger

from deploystep.sandbox import Pace, Sandbox, Workflow, parse_fault

RUNS = "/api/v3/runs"
DEFINITION = "2338d0ae-5541-4bbf-88a2-55e9f7281f80"
PROJECT = "gh/acme/shop"
PACE = Pace(appear=1, finish=10)


def _body(attributes: object = None, definition: str = DEFINITION) -> Any:
    usual = {"config": {"branch": "main"}, "checkout": {"branch": "main"}, "parameters": {"deploy": True}}
    references = {"pipeline": {"id": definition}}
    return {"data": {"attributes": usual if attributes is None else attributes, "references": references}}


def _create(sandbox: Sandbox, body: object = None) -> Answer:
    return call(sandbox, "POST", RUNS, _body() if body is None else body)


def _run(sandbox: Sandbox, run: str) -> Any:
    answer = call(sandbox, "GET", f"{RUNS}/{run}")
    assert answer.status == 200
    return answer.json["data"]


def _workflows(sandbox: Sandbox, run: str) -> Answer:
    return call(sandbox, "GET", f"/api/v3/workflows?filter[run_id]={run}")


def _phase(sandbox: Sandbox, run: str) -> tuple[str, str | None]:
    attributes = _run(sandbox, run)["attributes"]
    assert "outcome" not in attributes
    return attributes["phase"], attributes.get("current_outcome")


def _project_id(sandbox: Sandbox, slug: str = PROJECT) -> str:
    (project,) = call(sandbox, "GET", f"/api/v3/projects?filter%5Bslug%5D={slug}").json["data"]
    return str(project["id"])


def _error(answer: Answer) -> Any:
    assert set(answer.json) == {"error"}
    error = answer.json["error"]
    assert set(error) >= {"id", "type", "title", "detail"}
    return error


# Creating


def test_a_run_is_a_pipeline_of_v2() -> None:
    clock = Clock()
    with Sandbox(now=clock, pace=PACE, projects=[PROJECT], heads={"main": SHA}) as sandbox:
        answer = _create(sandbox)
        assert answer.status == 201
        data = answer.json["data"]
        assert (data["type"], data["attributes"]) == (
            "run",
            {"phase": "created", "created_at": "2026-06-16T08:02:11.000Z", "number": 1},
        )
        pipeline = call(sandbox, "GET", f"/api/v2/pipeline/{data['id']}").json
        assert (pipeline["number"], pipeline["vcs"]["revision"], pipeline["trigger"]["type"]) == (1, SHA, "api")
        assert [item["id"] for item in call(sandbox, "GET", PIPELINE).json["items"]] == [data["id"]]
        (run,) = sandbox.runs
        assert (run.api, run.definition_id, run.parameters) == ("v3", DEFINITION, {"deploy": True})


def test_a_pipeline_of_v2_is_a_run() -> None:
    clock = Clock()
    with Sandbox(now=clock, pace=PACE) as sandbox:
        pipeline = trigger(sandbox, {**MAIN, "parameters": {"sha": SHA}}).json["id"]
        run = _run(sandbox, pipeline.upper())
        assert run["id"] == pipeline
        assert run["attributes"] == {"phase": "created", "created_at": "2026-06-16T08:02:11.000Z", "errors": []}
        assert run["references"]["event"]["attributes"]["vcs"] == {
            "branch": "main",
            "revision": SHA,
            "origin_repository_url": "https://github.com/acme/shop",
        }
        assert run["references"]["project"]["id"] == _project_id(sandbox)
        tagged = trigger(sandbox, {"config": {"tag": "v1"}}).json["id"]
        assert _run(sandbox, tagged)["references"]["event"]["attributes"]["vcs"]["tag"] == "v1"
        app = call(sandbox, "POST", "/api/v2/project/circleci/abc/def/pipeline/run", MAIN).json["id"]
        assert "origin_repository_url" not in _run(sandbox, app)["references"]["event"]["attributes"]["vcs"]


def test_single_jobs_of_v1_1_are_no_runs() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        call(sandbox, "POST", TREE, {})
        clock.passes(1)
        (job,) = sandbox.runs
        assert call(sandbox, "GET", f"{RUNS}/{job.id}").status == 404
        assert _workflows(sandbox, job.id).status == 404
        assert call(sandbox, "GET", f"/api/v3/workflows/{job.workflows[0].id}").status == 404
        assert _search(sandbox) == []


WRONG_BODIES: list[tuple[Any, str]] = [
    (b"{", ""),
    ([], ""),
    ({}, "/data/references/pipeline/id"),
    ({"data": 7}, "/data"),
    ({**_body(), "pipeline_id": DEFINITION}, "/pipeline_id"),
    ({"data": {**_body()["data"], "tag": "v1"}}, "/data/tag"),
    (_body(definition="main"), "/data/references/pipeline/id"),
    (_body({"config": {"tag": "v1"}, "checkout": {"tag": "v1"}}), "/data/attributes/config/tag"),
    (_body({"checkout": {"branch": "main", "revision": SHA}}), "/data/attributes/checkout/revision"),
    (_body({"config": {"branch": 7}}), "/data/attributes/config/branch"),
    (_body({"parameters": {"a": None}}), "/data/attributes/parameters"),
    (_body({"parameters": []}), "/data/attributes/parameters"),
    (_body({"sha": SHA}), "/data/attributes/sha"),
    (_body({"checkout": {"branch": ""}}), "/data/attributes/checkout/branch"),
]


@pytest.mark.parametrize(("body", "pointer"), WRONG_BODIES, ids=lambda value: str(value)[-60:].replace("/", "|"))
def test_bodies_that_are_refused(body: object, pointer: str) -> None:
    with Sandbox(projects=[PROJECT]) as sandbox:
        answer = _create(sandbox, body)
        assert answer.status == 400
        error = _error(answer)
        assert (error["type"], error.get("source", {}).get("pointer", "")) == ("validation_error", pointer)
        assert sandbox.runs == ()


def test_a_body_that_is_not_declared_as_json() -> None:
    with Sandbox(projects=[PROJECT]) as sandbox:
        assert call(sandbox, "POST", RUNS, _body(), headers={"Content-Type": "text/plain"}).status == 400


@pytest.mark.parametrize("attributes", [{}, {"checkout": {}}, {"config": {"branch": "main"}}, {"parameters": {}}])
def test_what_may_be_left_out(attributes: object) -> None:
    with Sandbox(projects=[PROJECT]) as sandbox:
        assert _create(sandbox, _body(attributes)).status == 201
        assert sandbox.runs[0].branch == "main"


def test_whose_definition_it_is() -> None:
    other = str(uuid4())
    with Sandbox() as sandbox:
        assert _error(_create(sandbox))["source"]["pointer"] == "/data/references/pipeline/id"
        trigger(sandbox, {**MAIN, "definition_id": DEFINITION.upper()})
        call(sandbox, "POST", RUN.replace("shop", "till"), {**MAIN, "definition_id": other})
        assert [_create(sandbox, _body(definition=d)).status for d in (DEFINITION, other, str(uuid4()))] == [
            201,
            201,
            404,
        ]
        assert [run.project for run in sandbox.runs[2:]] == [PROJECT, "gh/acme/till"]
    with Sandbox(definitions={other.upper(): "github/acme/till"}, projects=[PROJECT]) as sandbox:
        assert [_create(sandbox, _body(definition=d)).status for d in (DEFINITION, other)] == [404, 201]
        assert sandbox.runs[0].project == "gh/acme/till"
    with pytest.raises(ValueError, match="not a project slug"):
        Sandbox(definitions={other: "shop"})


# Following


@pytest.mark.parametrize(
    ("outcome", "phase", "current"),
    [
        ("success", "ended", "succeeded"),
        ("failed", "ended", "failed"),
        ("canceled", "ended", "canceled"),
        ("error", "ended", "errored"),
        ("not_run", "ended", "not_run"),
        ("unauthorized", "ended", "unauthorized"),
        ("failing", "started", "failed"),
        ("running", "started", None),
        ("on_hold", "started", None),
        ("queued", "queued", None),
    ],
)
def test_every_outcome_in_two_words(outcome: str, phase: str, current: str | None) -> None:
    clock = Clock()
    with Sandbox(now=clock, pace=PACE, workflows=[Workflow("w", outcome=outcome)], projects=[PROJECT]) as sandbox:
        run = _create(sandbox).json["data"]["id"]
        clock.passes(60)
        assert _phase(sandbox, run) == (phase, current)
        (workflow,) = _workflows(sandbox, run).json["data"]
        attributes = workflow["attributes"]
        assert (attributes["name"], attributes["phase"], attributes.get("current_outcome")) == ("w", phase, current)
        assert attributes.get("outcome") == (current if phase == "ended" else None)
        assert (attributes["ended_at"] is not None) == ("outcome" in attributes) == (phase == "ended")
        assert call(sandbox, "GET", f"/api/v3/workflows/{workflow['id']}").json == {"data": workflow}
        assert workflow["references"]["run"]["id"] == run
        assert [r["id"] for r in _search(sandbox, f'pipeline.status == "{outcome}"')] == [run]


def test_created_then_started_then_ended() -> None:
    clock = Clock()
    with Sandbox(now=clock, pace=PACE) as sandbox:
        run = trigger(sandbox).json["id"]
        assert (_phase(sandbox, run), _workflows(sandbox, run).status) == (("created", None), 404)
        clock.passes(1)
        assert (_phase(sandbox, run), _workflows(sandbox, run).status) == (("started", None), 200)
        clock.passes(9)
        assert _phase(sandbox, run) == ("ended", "succeeded")
        (workflow,) = _workflows(sandbox, run).json["data"]
        assert workflow["attributes"]["ended_at"] == "2026-06-16T08:02:21.000Z"


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (("success", "failed"), ("ended", "failed")),
        (("running", "failed"), ("started", "failed")),
        (("running", "success"), ("started", None)),
        (("on_hold", "queued"), ("started", None)),
        (("canceled", "success"), ("ended", "canceled")),
    ],
)
def test_a_run_sums_up_its_workflows(outcomes: tuple[str, ...], expected: tuple[str, str | None]) -> None:
    clock = Clock()
    workflows = [Workflow(f"w{i}", outcome=outcome) for i, outcome in enumerate(outcomes)]
    with Sandbox(now=clock, workflows=workflows) as sandbox:
        run = trigger(sandbox).json["id"]
        clock.passes(60)
        assert _phase(sandbox, run) == expected


def test_a_word_that_nobody_knows() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        run = trigger(sandbox).json["id"]
        clock.passes(60)
        sandbox.set_workflow(sandbox.runs[0].workflows[0].id, "quantum")
        assert _phase(sandbox, run) == ("quantum", None)
        (workflow,) = _workflows(sandbox, run).json["data"]
        assert (workflow["attributes"]["phase"], "outcome" in workflow["attributes"]) == ("quantum", False)


def test_a_run_that_errors_and_one_in_which_nothing_starts() -> None:
    clock = Clock()
    with Sandbox(now=clock, projects=[PROJECT]) as sandbox:
        for fault in ("errored:Unexpected argument(s): x", "no-workflow"):
            sandbox.add_fault(parse_fault(fault))
        errored, empty = (_create(sandbox).json["data"]["id"] for _ in range(2))
        clock.passes(60)
        assert _phase(sandbox, errored) == ("ended", "errored")
        errors = _run(sandbox, errored)["attributes"]["errors"]
        assert errors == [{"type": "config", "message": "Unexpected argument(s): x"}]
        assert _phase(sandbox, empty) == ("created", None)
        assert [_workflows(sandbox, run).status for run in (errored, empty)] == [404, 404]


def test_a_dynamic_config_is_not_over_with_its_setup() -> None:
    clock = Clock()
    with Sandbox(now=clock, pace=PACE, setup=True) as sandbox:
        run = trigger(sandbox).json["id"]
        clock.passes(10)
        assert [w["attributes"]["phase"] for w in _workflows(sandbox, run).json["data"]] == ["ended"]
        assert _phase(sandbox, run) == ("started", None)
        clock.passes(10)
        assert _phase(sandbox, run) == ("ended", "succeeded")


def test_canceling() -> None:
    clock = Clock()
    with Sandbox(now=clock, pace=PACE) as sandbox:
        run = trigger(sandbox).json["id"]
        clock.passes(1)
        workflow = sandbox.runs[0].workflows[0].id
        answer = call(sandbox, "POST", f"/api/v3/workflows/{workflow.upper()}/cancel")
        assert (answer.status, answer.json["data"]["id"]) == (202, workflow)
        assert _phase(sandbox, run) == ("ended", "canceled")
        assert call(sandbox, "GET", f"/api/v2/workflow/{workflow}").json["status"] == "canceled"


def test_running_again() -> None:
    clock = Clock()
    with Sandbox(now=clock, workflows=[Workflow("w", outcome="failed")]) as sandbox:
        run = trigger(sandbox).json["id"]
        clock.passes(60)
        assert _phase(sandbox, run) == ("ended", "failed")
        workflow = sandbox.runs[0].workflows[0].id
        body = {"is_from_failed": True, "from_failed": 7}
        answer = call(sandbox, "POST", f"/api/v3/workflows/{workflow}/rerun", body)
        assert answer.status == 201
        assert [w["id"] for w in _workflows(sandbox, run).json["data"]] == [workflow, answer.json["data"]["id"]]
        assert _phase(sandbox, run) == ("started", None)
        clock.passes(60)
        assert _phase(sandbox, run) == ("ended", "succeeded")


# Searching


def _query(filter_text: str = "", **changes: Any) -> Any:
    scope = {"project_ids": [], "from": "2026-06-16T00:00:00Z", "to": "2026-06-16T23:59:59Z"}
    return {"scope": scope, "filter": filter_text, "order_by": "", "page": {"cursor": "", "limit": 20}, **changes}


def _search(sandbox: Sandbox, filter_text: str = "") -> list[Any]:
    body = _query(filter_text)
    body["scope"]["project_ids"] = [_project_id(sandbox)]
    answer = call(sandbox, "POST", f"{RUNS}/search", body)
    assert answer.status == 200, answer.text
    found: list[Any] = answer.json["data"]
    return found


def test_searching_by_branch_revision_and_status() -> None:
    clock = Clock()
    odd = 'a"b\\c and d'
    with Sandbox(now=clock) as sandbox:
        ids = []
        for branch in ("main", odd, "main"):
            parameters = {"sha": SHA} if branch == "main" else {}
            ids.append(trigger(sandbox, {"config": {"branch": branch}, "parameters": parameters}).json["id"])
        call(sandbox, "POST", RUN.replace("shop", "till"), MAIN)
        main, other, last = ids

        def found(text: str) -> list[str]:
            return [run["id"] for run in _search(sandbox, text)]

        assert found("") == found("  ") == [last, other, main]
        assert found('pipeline.git.branch == "main"') == [last, main]
        assert found('pipeline.git.branch == "a\\"b\\\\c and d"') == [other]
        assert found(f'pipeline.git.branch == "main" and pipeline.git.revision == "{SHA}"') == [last, main]
        assert found('pipeline.git.branch=="main" and pipeline.status == "success"') == []
        clock.passes(60)
        assert found('pipeline.git.branch == "main" and pipeline.status == "success"') == [last, main]


def test_searching_by_project_and_time() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        run = trigger(sandbox).json["id"]
        till = call(sandbox, "POST", RUN.replace("shop", "till"), MAIN).json["id"]
        both = [_project_id(sandbox), _project_id(sandbox, "gh/acme/till").upper()]

        def found(projects: list[str], start: timedelta, end: timedelta) -> list[str]:
            times = {"from": (START + start).isoformat(), "to": (START + end).isoformat()}
            answer = call(sandbox, "POST", f"{RUNS}/search", _query(scope={"project_ids": projects, **times}))
            assert answer.status == 200
            return [entry["id"] for entry in answer.json["data"]]

        second = timedelta(seconds=1)
        assert found(both, -second, second) == [till, run]
        assert found(both[:1], 0 * second, 0 * second) == [run]
        assert found(both, second, 2 * second) == found(both, -2 * second, -second) == []
        assert found([str(uuid4())], -second, second) == []


def test_a_search_is_late_and_a_run_is_not() -> None:
    clock = Clock()
    with Sandbox(now=clock, projects=[PROJECT]) as sandbox:
        sandbox.add_fault(parse_fault("lag:5"))
        run = _create(sandbox).json["data"]["id"]
        assert (_search(sandbox), _run(sandbox, run)["id"]) == ([], run)
        clock.passes(5)
        assert [entry["id"] for entry in _search(sandbox)] == [run]


def test_a_search_in_pages() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        ids = [trigger(sandbox).json["id"] for _ in range(7)]
        body = _query()
        body["scope"]["project_ids"] = [_project_id(sandbox)]
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            body["page"] = {"cursor": cursor, "limit": 3}
            answer = call(sandbox, "POST", f"{RUNS}/search", body).json
            seen += [entry["id"] for entry in answer["data"]]
            cursor = answer["page"]["next"]
            assert answer["page"]["prev"] is None
            trigger(sandbox)
        assert seen == ids[::-1]


SCOPE = {"project_ids": [str(uuid4())], "from": "2026-06-16T00:00:00Z", "to": "2026-06-16T23:59:59+02:00"}
WRONG_SEARCHES: list[tuple[Any, str, str]] = [
    (_query(scope=SCOPE, page={"limit": 21}), "/page/limit", "Invalid page size"),
    (_query(scope=SCOPE, page={"limit": 0}), "/page/limit", "Invalid page size"),
    (_query(scope=SCOPE, page={"limit": True}), "/page/limit", "Invalid page size"),
    (_query(scope=SCOPE, page={"cursor": "x"}), "", "Invalid Request"),
    (_query(scope=SCOPE, order_by="created_at"), "/order_by", "Invalid Request"),
    (_query(scope=SCOPE, sort="up"), "/sort", "Invalid Request"),
    (_query(), "/scope/project_ids", "Invalid Request"),
    (_query(scope={**SCOPE, "project_ids": ["gh/acme/shop"]}), "/scope/project_ids/0", "Invalid Request"),
    (_query(scope={**SCOPE, "from": "yesterday"}), "/scope/from", "Invalid Request"),
    (_query(scope={**SCOPE, "to": None}), "/scope/to", "Invalid Request"),
    (_query('pipeline.git.branch = "main"', scope=SCOPE), "/filter", "Invalid Request"),
    (_query('pipeline.git.tag == "v1"', scope=SCOPE), "/filter", "Invalid Request"),
    (_query('pipeline.git.branch == "main" and', scope=SCOPE), "/filter", "Invalid Request"),
    (_query('pipeline.git.branch == "main" or pipeline.git.branch == "x"', scope=SCOPE), "/filter", "Invalid Request"),
    (_query('pipeline.git.branch == "a"b"', scope=SCOPE), "/filter", "Invalid Request"),
    (_query('pipeline.git.branch == "\\x"', scope=SCOPE), "/filter", "Invalid Request"),
    (_query('pipeline.status == "green"', scope=SCOPE), "/filter", "Invalid Request"),
]


@pytest.mark.parametrize(("body", "pointer", "title"), WRONG_SEARCHES, ids=range(len(WRONG_SEARCHES)))
def test_searches_that_are_refused(body: object, pointer: str, title: str) -> None:
    with Sandbox() as sandbox:
        answer = call(sandbox, "POST", f"{RUNS}/search", body)
        assert answer.status == 400
        error = _error(answer)
        assert (error["type"], error["title"]) == ("validation_error", title)
        assert error.get("source", {}).get("pointer", "") == pointer


# Projects


def test_projects_have_the_same_id_everywhere() -> None:
    with Sandbox(projects=[PROJECT]) as sandbox:
        sandbox.set_job(PROJECT, 7, parallel_runs=["running"])
        job = call(sandbox, "GET", f"/api/v2/project/{PROJECT}/job/7").json
        assert _project_id(sandbox) == _project_id(sandbox, "github/acme/shop") == job["project"]["id"]
        assert call(sandbox, "GET", "/api/v3/projects?filter[slug]=gh/acme/till").json["data"] == []


# Errors


@pytest.mark.parametrize("path", ["/api/v3/projects", "/api/v3/workflows", "/api/v3/workflows?filter[run_id]="])
def test_a_filter_that_is_missing(path: str) -> None:
    with Sandbox() as sandbox:
        answer = call(sandbox, "GET", path)
        assert (answer.status, _error(answer)["title"]) == (400, "Missing Required Filter")


@pytest.mark.parametrize("path", ["runs/{}", "workflows/{}", "workflows?filter[run_id]={}"])
def test_ids(path: str) -> None:
    with Sandbox() as sandbox:
        for text, status, kind in (("x", 400, "validation_error"), (str(uuid4()), 404, "not_found")):
            answer = call(sandbox, "GET", "/api/v3/" + path.format(text))
            assert (answer.status, _error(answer)["type"]) == (status, kind)


@pytest.mark.parametrize("act", ["cancel", "rerun"])
def test_workflows_that_are_not_there(act: str) -> None:
    with Sandbox() as sandbox:
        assert call(sandbox, "POST", f"/api/v3/workflows/{uuid4()}/{act}", {}).status == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/v3/jobs", 404), ("GET", RUNS, 405), ("GET", f"{RUNS}/search", 405), ("DELETE", RUNS, 405)],
)
def test_routes_that_are_not_there(method: str, path: str, status: int) -> None:
    with Sandbox() as sandbox:
        answer = call(sandbox, method, path)
        assert answer.status == status
        assert _error(answer)["detail"]


def test_only_bearer_tokens_are_good() -> None:
    basic = "Basic " + base64.b64encode(b"token:").decode()
    with Sandbox(projects=[PROJECT]) as sandbox:
        bad: list[dict[str, str]] = [
            {},
            {"Circle-Token": "token"},
            {"Authorization": basic},
            {"Authorization": "Bearer invalid"},
            {"Authorization": "Bearer project-token"},
        ]
        for headers in bad:
            answer = call(sandbox, "POST", RUNS, _body(), headers=headers, token=None)
            assert (answer.status, _error(answer)["type"]) == (401, "unauthorized")
        assert call(sandbox, "POST", f"{RUNS}?circle-token=token", _body()).status == 401
        assert call(sandbox, "POST", RUNS, _body(), headers={"Authorization": "bearer token"}).status == 201


def test_faults_in_v3s_shape() -> None:
    with Sandbox(projects=[PROJECT], now=Clock()) as sandbox:
        for fault in ("429:3", "429-date:90", "status:404:no", "502", "503-after-create:oops", "skip", "moved"):
            sandbox.add_fault(parse_fault(fault))
        limited, dated = _create(sandbox), _create(sandbox)
        assert (limited.status, limited.headers["Retry-After"]) == (429, "3")
        assert parsedate_to_datetime(dated.headers["Retry-After"]) == START + timedelta(seconds=90)
        assert _error(limited)["type"] == "rate_limited"
        others = [_create(sandbox) for _ in range(3)]
        assert [(a.status, _error(a)["detail"]) for a in others] == [
            (404, "no"),
            (502, "Internal server error"),
            (503, "oops"),
        ]
        skipped = _create(sandbox)
        assert (skipped.status, skipped.json) == (200, {"message": "Ignoring pipeline due to CI skip in the commit"})
        assert _create(sandbox).status == 201
        assert len(sandbox.runs) == 2
        assert len({run.revision for run in sandbox.runs}) == 2
