"""How a run moves on, on a clock that the test owns; and reading lists page by page."""

from __future__ import annotations

from datetime import timezone
from uuid import uuid4

import pytest
from sandbox.calls import MAIN, PIPELINE, SHA, START, Clock, call, trigger

from deploystep.sandbox import Pace, Sandbox, Workflow


def _state(sandbox: Sandbox, run_id: str) -> tuple[str, list[tuple[str, str]]]:
    state = call(sandbox, "GET", f"/api/v2/pipeline/{run_id}").json["state"]
    items = call(sandbox, "GET", f"/api/v2/pipeline/{run_id}/workflow").json["items"]
    return state, [(item["name"], item["status"]) for item in items]


def test_pending_then_running_then_success() -> None:
    clock = Clock()
    with Sandbox(now=clock, pace=Pace(appear=1, finish=10)) as sandbox:
        run = trigger(sandbox).json["id"]
        assert _state(sandbox, run) == ("pending", [])
        clock.passes(0.999)
        assert _state(sandbox, run) == ("pending", [])
        clock.passes(0.001)
        assert _state(sandbox, run) == ("created", [("deploy", "running")])
        clock.passes(8.999)
        assert _state(sandbox, run) == ("created", [("deploy", "running")])
        clock.passes(0.001)
        assert _state(sandbox, run) == ("created", [("deploy", "success")])


@pytest.mark.parametrize("outcome", ["unauthorized", "error", "not_run"])
def test_some_outcomes_need_no_time(outcome: str) -> None:
    clock = Clock()
    with Sandbox(now=clock, workflows=[Workflow("w", outcome=outcome)]) as sandbox:
        run = trigger(sandbox).json["id"]
        clock.passes(0.3)
        assert _state(sandbox, run) == ("created", [("w", outcome)])


def test_what_waits_for_a_person_does_not_end() -> None:
    clock = Clock()
    with Sandbox(now=clock, workflows=[Workflow("w", outcome="on_hold")]) as sandbox:
        trigger(sandbox)
        clock.passes(86_400)
        assert sandbox.runs[0].workflows[0].status == "on_hold"
        assert sandbox.runs[0].workflows[0].stopped_at is None


def test_nothing_is_there_without_time_in_between() -> None:
    with Sandbox(pace=Pace(appear=0, finish=0)) as sandbox:
        answer = trigger(sandbox)
        assert answer.json["state"] == "created"
        assert sandbox.runs[0].workflows[0].status == "success"


def test_canceling_counts_only_before_the_end() -> None:
    clock = Clock()
    with Sandbox(now=clock, workflows=[Workflow("a"), Workflow("b")]) as sandbox:
        run = trigger(sandbox).json["id"]
        clock.passes(1)
        first, second = sandbox.runs[0].workflows
        assert call(sandbox, "POST", f"/api/v2/workflow/{first.id}/cancel").status == 202
        clock.passes(5)
        assert call(sandbox, "POST", f"/api/v2/workflow/{second.id.upper()}/cancel").status == 202
        assert _state(sandbox, run) == ("created", [("a", "canceled"), ("b", "success")])
        jobs = call(sandbox, "GET", f"/api/v2/workflow/{first.id}/job").json["items"]
        assert [job["status"] for job in jobs] == ["canceled"]


@pytest.mark.parametrize("path", ["pipeline/{}", "pipeline/{}/workflow", "workflow/{}", "workflow/{}/job"])
def test_ids(path: str) -> None:
    with Sandbox() as sandbox:
        assert call(sandbox, "GET", "/api/v2/" + path.format("not-a-uuid")).status == 400
        assert call(sandbox, "GET", "/api/v2/" + path.format(uuid4())).status == 404


def test_times_are_utc_with_milliseconds() -> None:
    with Sandbox(now=Clock(START.astimezone(timezone.utc))) as sandbox:
        assert trigger(sandbox).json["created_at"] == "2026-06-16T08:02:11.000Z"


def test_lists_are_newest_first_and_paged_by_twenty() -> None:
    with Sandbox() as sandbox:
        for _ in range(45):
            trigger(sandbox)
        first = call(sandbox, "GET", PIPELINE).json
        trigger(sandbox)  # what comes in between neither repeats nor hides anything
        second = call(sandbox, "GET", f"{PIPELINE}?page-token={first['next_page_token']}").json
        third = call(sandbox, "GET", f"{PIPELINE}?page-token={second['next_page_token']}").json
        numbers = [item["number"] for page in (first, second, third) for item in page["items"]]
        assert numbers == list(range(45, 0, -1))
        assert [len(page["items"]) for page in (first, second, third)] == [20, 20, 5]
        assert third["next_page_token"] is None
        assert call(sandbox, "GET", f"{PIPELINE}?page-token=").json["items"][0]["number"] == 46


@pytest.mark.parametrize("token", ["x", "bGVmdDp4", "bGVmdDo5OTk=", "%ff"])
def test_page_tokens_that_nobody_gave_out(token: str) -> None:
    with Sandbox() as sandbox:
        assert call(sandbox, "GET", f"{PIPELINE}?page-token={token}").status == 400


def test_lists_can_be_of_one_branch() -> None:
    with Sandbox() as sandbox:
        for branch in ("main", "feature/x", "main"):
            trigger(sandbox, {"config": {"branch": branch}})
        call(sandbox, "POST", PIPELINE.replace("shop", "other"), {})
        listed = call(sandbox, "GET", f"{PIPELINE}?branch=feature%2Fx").json["items"]
        assert [item["number"] for item in listed] == [2]
        assert call(sandbox, "GET", f"{PIPELINE}?branch=none").json == {"items": [], "next_page_token": None}


def test_a_pipeline_by_its_number() -> None:
    with Sandbox() as sandbox:
        run = trigger(sandbox).json
        assert call(sandbox, "GET", f"{PIPELINE}/1").json["id"] == run["id"]
        assert call(sandbox, "GET", f"{PIPELINE}/2").status == 404
        assert call(sandbox, "GET", f"{PIPELINE}/x").status == 400


def test_a_github_app_run_has_no_vcs() -> None:
    with Sandbox() as sandbox:
        body = {**MAIN, "parameters": {"sha": SHA}}
        run = call(sandbox, "POST", "/api/v2/project/circleci/abc/def/pipeline/run", body).json
        pipeline = call(sandbox, "GET", f"/api/v2/pipeline/{run['id']}").json
        assert "vcs" not in pipeline
        assert pipeline["trigger_parameters"]["git"] == {"branch": "main", "checkout_sha": SHA}


def test_a_build_from_outside() -> None:
    build, workflow = str(uuid4()), str(uuid4())
    jobs = {"lint": "success", "test": "failed", "deploy": "running"}
    with Sandbox() as sandbox:
        sandbox.add_build(
            build, "github/acme/shop", workflow_id=workflow, jobs=jobs, numbers={"deploy": 40}, branch="x", revision=SHA
        )
        pipeline = call(sandbox, "GET", f"/api/v2/pipeline/{build}").json
        assert (pipeline["project_slug"], pipeline["trigger"]["type"]) == ("gh/acme/shop", "webhook")
        assert (pipeline["vcs"]["branch"], pipeline["vcs"]["revision"]) == ("x", SHA)
        items = call(sandbox, "GET", f"/api/v2/workflow/{workflow}/job").json["items"]
        assert {item["name"]: item["status"] for item in items} == jobs
        assert items[2]["job_number"] == 40
        assert call(sandbox, "GET", "/api/v2/project/gh/acme/shop/job/40").json["status"] == "running"
        assert sandbox.runs == ()
        sandbox.add_build(build, "gh/acme/shop", workflow_name="again", status="failed")
        assert _state(sandbox, build) == ("created", [("build", "running"), ("again", "failed")])
