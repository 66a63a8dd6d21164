"""How runs move on, on a clock that the test owns, as every API version tells it; lists, pages, searches, nodes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sandbox.calls import MAIN, PIPELINE, RUN, SHA, START, TREE, V3_RUNS, Clock, call, trigger, v3_body

from deploystep.sandbox import Pace, Sandbox, Workflow, parse_fault

SHOP = "gh/acme/shop"
PACE = Pace(appear=1, finish=10)
JOB = "/api/v2/project/gh/acme/shop/job/7"
BUILDS = "/api/v1.1/project/github/acme/shop"


def in_v2(sandbox: Sandbox, run: str) -> tuple[str, list[tuple[str, str]]]:
    """The state of a run, and its workflows."""
    state = call(sandbox, "GET", f"/api/v2/pipeline/{run}").json["state"]
    items = call(sandbox, "GET", f"/api/v2/pipeline/{run}/workflow").json["items"]
    return state, [(item["name"], item["status"]) for item in items]


def in_v3(sandbox: Sandbox, run: str) -> tuple[str, str | None, list[str]]:
    """Phase and outcome of a run, and the phases of its workflows."""
    attributes = call(sandbox, "GET", f"{V3_RUNS}/{run}").json["data"]["attributes"]
    listed = call(sandbox, "GET", f"/api/v3/workflows?filter[run_id]={run}")
    assert listed.status == (200 if "data" in listed.json else 404)
    phases = [workflow["attributes"]["phase"] for workflow in listed.json.get("data", ())]
    return attributes["phase"], attributes.get("current_outcome"), phases


def in_v1_1(sandbox: Sandbox, number: int) -> tuple[str, str, str | None]:
    """Lifecycle, status and outcome of a job."""
    build = call(sandbox, "GET", f"{BUILDS}/{number}").json
    return build["lifecycle"], build["status"], build["outcome"]


def project_id(sandbox: Sandbox, slug: str = SHOP) -> str:
    (project,) = call(sandbox, "GET", f"/api/v3/projects?filter%5Bslug%5D={slug}").json["data"]
    return str(project["id"])


def search(sandbox: Sandbox, text: str = "", **changes: Any) -> Any:
    scope = {"project_ids": [project_id(sandbox)], "from": "2026-06-16T00:00:00Z", "to": "2026-06-16T23:59:59Z"}
    body = {"scope": scope, "filter": text, "order_by": "", "page": {"cursor": "", "limit": 20}, **changes}
    return call(sandbox, "POST", f"{V3_RUNS}/search", body)


def found(sandbox: Sandbox, text: str = "", **changes: Any) -> list[str]:
    answer = search(sandbox, text, **changes)
    assert answer.status == 200, answer.text
    return [run["id"] for run in answer.json["data"]]


# Progress

RUNNING, SUCCESS = [("deploy", "running")], [("deploy", "success")]
TIMES = [
    (0.0, ("pending", []), ("created", None, []), ("not_running", "not_running", None)),
    (0.1, ("created", []), ("created", None, []), ("not_running", "not_running", None)),
    (0.999, ("created", []), ("created", None, []), ("not_running", "not_running", None)),
    (1.0, ("created", RUNNING), ("started", None, ["started"]), ("running", "running", None)),
    (10.0, ("created", SUCCESS), ("ended", "succeeded", ["ended"]), ("finished", "success", "success")),
]


@pytest.mark.parametrize("row", TIMES)
def test_a_run_is_created_before_its_workflows_are_listed(sandbox: Sandbox, clock: Clock, row: Any) -> None:
    seconds, v2, v3, v1_1 = row
    sandbox.pace = PACE
    answer = trigger(sandbox).json
    assert (answer["state"], answer["created_at"]) == ("pending", "2026-06-16T08:02:11.000Z")
    number = call(sandbox, "POST", TREE, {}).json["build_num"]
    clock.passes(seconds)
    assert in_v2(sandbox, answer["id"]) == v2
    assert in_v3(sandbox, answer["id"]) == v3
    assert in_v1_1(sandbox, number) == v1_1


OUTCOMES = [
    (("success",), "ended", "succeeded"),
    (("failed",), "ended", "failed"),
    (("canceled",), "ended", "canceled"),
    (("unauthorized",), "ended", "unauthorized"),
    (("failing",), "started", "failed"),
    (("running",), "started", None),
    (("queued",), "queued", None),
    (("success", "failed"), "ended", "failed"),
    (("running", "failed"), "started", "failed"),
    (("running", "success"), "started", None),
    (("on_hold", "queued"), "started", None),
    (("canceled", "success"), "ended", "canceled"),
]


@pytest.mark.parametrize(("outcomes", "phase", "current"), OUTCOMES)
def test_a_run_sums_up_its_workflows_in_v3(
    sandbox: Sandbox, clock: Clock, outcomes: tuple[str, ...], phase: str, current: str | None
) -> None:
    workflows = [Workflow(f"w{i}", outcome=outcome) for i, outcome in enumerate(outcomes)]
    sandbox.workflows = workflows
    run = trigger(sandbox).json["id"]
    clock.passes(60)
    assert in_v3(sandbox, run)[:2] == (phase, current)
    for workflow in call(sandbox, "GET", f"/api/v3/workflows?filter[run_id]={run}").json["data"]:
        attributes = workflow["attributes"]
        has_ended = attributes["phase"] == "ended"
        assert ("outcome" in attributes) == (attributes["ended_at"] is not None) == has_ended
        assert workflow["references"]["run"]["id"] == run


def test_a_status_can_be_given_from_outside(sandbox: Sandbox, clock: Clock) -> None:
    sandbox.workflows = [Workflow("w", outcome="on_hold")]
    run = trigger(sandbox).json["id"]
    clock.passes(60)
    workflow = sandbox.runs[0].workflows[0].id
    for status, phase in (("running", "started"), ("quantum", "quantum"), ("success", "ended")):
        sandbox.set_workflow(workflow.upper(), status)
        assert in_v2(sandbox, run) == ("created", [("w", status)])
        assert in_v3(sandbox, run)[0] == phase
        assert call(sandbox, "GET", f"/api/v2/workflow/{workflow}/job").json["items"][0]["status"] == status
    assert sandbox.runs[0].workflows[0].stopped_at == START + timedelta(seconds=60)
    with pytest.raises(ValueError, match="there is no workflow"):
        sandbox.set_workflow(str(uuid4()), "success")


@pytest.mark.parametrize("path", ["/api/v2/workflow/{}/cancel", "/api/v3/workflows/{}/cancel", f"{BUILDS}/{{}}/cancel"])
def test_canceling_counts_only_before_the_end(sandbox: Sandbox, clock: Clock, path: str) -> None:
    for seconds, status in ((0, "canceled"), (1, "canceled"), (5, "success")):
        number = call(sandbox, "POST", TREE, {}).json["build_num"] if path.startswith(BUILDS) else 0
        run = "" if number else trigger(sandbox).json["id"]
        clock.passes(seconds or not number)
        name = number or sandbox.runs[-1].workflows[0].id.upper()
        assert call(sandbox, "POST", path.format(name)).status == (200 if number else 202)
        assert call(sandbox, "POST", path.format(name), token=None).status == 401
        clock.passes(60)
        assert (in_v1_1(sandbox, number)[1] if number else in_v2(sandbox, run)[1][0][1]) == status
    assert call(sandbox, "POST", path.format(99 if path.startswith(BUILDS) else uuid4())).status == 404


SETUP_RUNNING, SETUP_DONE = [("setup", "running")], [("setup", "success")]
SETUP_TIMES = [
    (0.0, "setup-pending", [], ("created", None, [])),
    (0.1, "setup", [], ("created", None, [])),
    (1.0, "setup", SETUP_RUNNING, ("started", None, ["started"])),
    (10.0, "created", SETUP_DONE, ("started", None, ["ended"])),
    (11.0, "created", [*SETUP_DONE, ("deploy", "running")], ("started", None, ["ended", "started"])),
    (20.0, "created", [*SETUP_DONE, ("deploy", "success")], ("ended", "succeeded", ["ended", "ended"])),
]


@pytest.mark.parametrize("row", SETUP_TIMES)
def test_a_dynamic_config_is_set_up_first(sandbox: Sandbox, clock: Clock, row: Any) -> None:
    seconds, state, workflows, v3 = row
    sandbox.pace = PACE
    sandbox.add_fault(parse_fault("setup"))
    run = trigger(sandbox).json["id"]
    clock.passes(seconds)
    assert (in_v2(sandbox, run), in_v3(sandbox, run)) == ((state, workflows), v3)
    items = call(sandbox, "GET", f"/api/v2/pipeline/{run}/workflow").json["items"]
    assert [item["tag"] for item in items] == ["setup", None][: len(items)]
    if workflows == SETUP_RUNNING:  # what is not set up is not continued
        sandbox.set_workflow(items[0]["id"], "failed")
        clock.passes(3600)
        assert in_v2(sandbox, run) == ("setup", [("setup", "failed")])


IDS = ["v2/pipeline/{}", "v2/pipeline/{}/workflow", "v2/pipeline/{}/config", "v2/workflow/{}/job", "v3/runs/{}"]


@pytest.mark.parametrize("path", [*IDS, "v3/workflows?filter[run_id]={}"])
def test_ids(sandbox: Sandbox, path: str) -> None:
    assert call(sandbox, "GET", "/api/" + path.format("not-a-uuid")).status == 400
    assert call(sandbox, "GET", "/api/" + path.format(uuid4())).status == 404


# Lists


def listed(sandbox: Sandbox) -> list[list[Any]]:
    """What each list shows: v2's numbers, v3's number of runs, v1.1's job numbers."""
    numbers = [item["number"] for item in call(sandbox, "GET", f"{PIPELINE}?branch=main").json["items"]]
    return [numbers, [len(found(sandbox))], [build["build_num"] for build in call(sandbox, "GET", TREE).json]]


@pytest.mark.parametrize(("pace", "faults"), [(Pace(listed=5), []), (Pace(), ["lag:5"] * 2)])
def test_lists_are_late_and_readings_by_id_are_not(
    sandbox: Sandbox, clock: Clock, pace: Pace, faults: list[str]
) -> None:
    sandbox.pace = pace
    for fault in faults:
        sandbox.add_fault(parse_fault(fault))
    run = trigger(sandbox).json["id"]
    job = call(sandbox, "POST", TREE, {}).json["build_num"]
    clock.passes(4.999)
    assert listed(sandbox) == [[], [0], []]
    assert (in_v2(sandbox, run), in_v1_1(sandbox, job)[1]) == (("created", SUCCESS), "success")
    clock.passes(0.001)
    assert listed(sandbox) == [[1], [1], [job, 1]]


def test_lists_are_newest_first_and_paged_by_twenty(sandbox: Sandbox) -> None:
    for _ in range(45):
        trigger(sandbox)
    first = call(sandbox, "GET", PIPELINE).json
    trigger(sandbox)  # what comes in between neither repeats nor hides anything
    second = call(sandbox, "GET", f"{PIPELINE}?page-token={first['next_page_token']}").json
    third = call(sandbox, "GET", f"{PIPELINE}?page-token={second['next_page_token']}").json
    pages = [[item["number"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [list(range(45, 25, -1)), list(range(25, 5, -1)), list(range(5, 0, -1))]
    assert third["next_page_token"] is None
    assert call(sandbox, "GET", f"{PIPELINE}?page-token=").json["items"][0]["number"] == 46
    for token in ("x", "bGVmdDp4", "bGVmdDo5OTk=", "%ff"):
        assert call(sandbox, "GET", f"{PIPELINE}?page-token={token}").status == 400


def test_lists_are_of_one_project_and_one_branch(sandbox: Sandbox) -> None:
    for branch in ("main", "feature/x", "main"):
        trigger(sandbox, {"config": {"branch": branch}})
    call(sandbox, "POST", RUN.replace("shop", "other"), {})
    items = call(sandbox, "GET", f"{PIPELINE}?branch=feature%2Fx").json["items"]
    assert [item["number"] for item in items] == [2]
    assert call(sandbox, "GET", f"{PIPELINE}?branch=none").json == {"items": [], "next_page_token": None}
    for branch in ("main", "x", "main", "main"):
        call(sandbox, "POST", TREE.replace("main", branch), {})
    assert [build["build_num"] for build in call(sandbox, "GET", f"{TREE}?limit=2&offset=1").json] == [6, 4]


def test_builds_from_outside_are_in_the_order_of_their_creation(sandbox: Sandbox, clock: Clock) -> None:
    trigger(sandbox)
    clock.passes(60)
    early, middle, late = (str(uuid4()) for _ in range(3))
    sandbox.add_build(middle, SHOP, created=START + timedelta(seconds=30))
    sandbox.add_build(late, "github/acme/shop", branch="x", revision=SHA)
    sandbox.add_build(early, SHOP, created=START - timedelta(days=1), trigger="scheduled_pipeline")
    sandbox.add_build(early, SHOP)
    items = call(sandbox, "GET", PIPELINE).json["items"]
    assert [item["id"] for item in items] == [late, middle, sandbox.runs[0].id, early]
    assert [item["trigger"]["type"] for item in items] == ["webhook", "webhook", "api", "scheduled_pipeline"]
    assert (items[0]["vcs"]["branch"], items[0]["vcs"]["revision"]) == ("x", SHA)
    assert in_v2(sandbox, early) == ("created", [("build", "running")] * 2)


# Searches


def test_searching_by_branch_and_time(sandbox: Sandbox) -> None:
    odd = 'a"b\\c and d'
    main, other, last = (
        trigger(sandbox, {"config": {"branch": branch}}).json["id"] for branch in ("main", odd, "main")
    )
    till = call(sandbox, "POST", RUN.replace("shop", "till"), MAIN).json["id"]
    assert found(sandbox) == found(sandbox, "  ") == [last, other, main]
    assert found(sandbox, 'pipeline.git.branch == "main"') == [last, main]
    assert found(sandbox, 'pipeline.git.branch == "a\\"b\\\\c and d"') == [other]
    both = [project_id(sandbox), project_id(sandbox, "gh/acme/till").upper()]
    for start, end, wanted in ((-1, 1, True), (0, 0, True), (1, 2, False), (-2, -1, False)):
        times = {n: (START + timedelta(seconds=s)).isoformat() for n, s in (("from", start), ("to", end))}
        scope = {"project_ids": both, **times}
        assert found(sandbox, scope=scope) == ([till, last, other, main] if wanted else [])


def test_a_search_in_pages(sandbox: Sandbox) -> None:
    ids = [trigger(sandbox).json["id"] for _ in range(7)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = search(sandbox, page={"cursor": cursor, "limit": 3}).json
        seen += [entry["id"] for entry in answer["data"]]
        cursor = answer["page"]["next"]
        trigger(sandbox)
    assert seen == ids[::-1]


SCOPE = {"project_ids": [str(uuid4())], "from": "2026-06-16T00:00:00Z", "to": "2026-06-16T23:59:59+02:00"}
WRONG_SEARCHES: list[tuple[dict[str, Any], str]] = [
    ({"page": {"limit": 21}}, "/page/limit"),
    ({"page": {"limit": 0}}, "/page/limit"),
    ({"page": {"cursor": "x"}}, ""),
    ({"order_by": "created_at"}, "/order_by"),
    ({"sort": "up"}, "/sort"),
    ({"scope": {**SCOPE, "project_ids": []}}, "/scope/project_ids"),
    ({"scope": {**SCOPE, "project_ids": [SHOP]}}, "/scope/project_ids/0"),
    ({"scope": {**SCOPE, "from": "yesterday"}}, "/scope/from"),
    *(
        ({"filter": f"pipeline.git.{text}"}, "/filter")
        for text in (
            'branch = "main"',
            'tag == "v1"',
            'branch=="main"',
            'branch == "main" and pipeline.git.branch == "x"',
            'branch == "a"b"',
            'branch == "\\x"',
        )
    ),
]


@pytest.mark.parametrize(("changes", "pointer"), WRONG_SEARCHES, ids=range(len(WRONG_SEARCHES)))
def test_searches_that_are_refused(sandbox: Sandbox, changes: dict[str, Any], pointer: str) -> None:
    answer = search(sandbox, **{"scope": SCOPE, **changes})
    error = answer.json["error"]
    assert (answer.status, error["type"]) == (400, "validation_error")
    assert f"`{pointer[1:]}` " in error["detail"] or not pointer


@pytest.mark.parametrize("path", ["/api/v3/projects", "/api/v3/workflows", "/api/v3/workflows?filter[run_id]="])
def test_a_filter_that_is_missing(sandbox: Sandbox, path: str) -> None:
    answer = call(sandbox, "GET", path)
    assert (answer.status, "is required" in answer.json["error"]["detail"]) == (400, True)


def test_projects_have_the_same_id_everywhere() -> None:
    with Sandbox(projects=[SHOP]) as sandbox:
        sandbox.set_job(SHOP, 7, parallel_runs=["running"])
        job = call(sandbox, "GET", JOB).json
        assert project_id(sandbox) == project_id(sandbox, "github/acme/shop") == job["project"]["id"]
        run = call(sandbox, "POST", V3_RUNS, v3_body()).json["data"]["id"]
        data = call(sandbox, "GET", f"{V3_RUNS}/{run}").json["data"]
        assert data["references"]["project"]["id"] == project_id(sandbox)
        assert call(sandbox, "GET", "/api/v3/projects?filter[slug]=gh/acme/till").json["data"] == []


# Nodes


def nodes(sandbox: Sandbox) -> list[str]:
    runs = call(sandbox, "GET", JOB).json["parallel_runs"]
    assert [run["index"] for run in runs] == list(range(len(runs)))
    return [run["status"] for run in runs]


def test_nodes_fail_on_demand_and_stay_failed(sandbox: Sandbox) -> None:
    sandbox.add_fault(parse_fault("siblings:1,3:timedout"))
    assert call(sandbox, "GET", JOB).status == 404
    sandbox.set_job(SHOP, 7, parallel_runs=["running"] * 4)
    expected = ["running", "timedout", "running", "timedout"]
    assert [nodes(sandbox), nodes(sandbox)] == [expected, expected]
    sandbox.add_fault(parse_fault("siblings:2"))
    assert nodes(sandbox) == ["running", "timedout", "failed", "timedout"]
    details = call(sandbox, "GET", JOB).json
    assert (details["status"], details["parallelism"]) == ("running", 4)
    assert call(sandbox, "POST", TREE, {}).json["build_num"] == 8
