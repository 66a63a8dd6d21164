"""Workflows that do not go as planned: told otherwise, canceled by a newer run, run again, or set up first."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from sandbox.calls import PIPELINE, TREE, Clock, call, trigger

from deploystep.sandbox import Pace, Sandbox, Workflow, parse_fault

PACE = Pace(appear=1, finish=10)


def _workflows(sandbox: Sandbox, run: str) -> list[Any]:
    items: list[Any] = call(sandbox, "GET", f"/api/v2/pipeline/{run}/workflow").json["items"]
    return items


def _shown(sandbox: Sandbox, run: str) -> list[tuple[str, str]]:
    return [(item["name"], item["status"]) for item in _workflows(sandbox, run)]


def _state(sandbox: Sandbox, run: str) -> str:
    return str(call(sandbox, "GET", f"/api/v2/pipeline/{run}").json["state"])


# Told otherwise


def test_what_waited_for_a_person_goes_on() -> None:
    clock = Clock()
    with Sandbox(now=clock, workflows=[Workflow("w", outcome="on_hold")]) as sandbox:
        run = trigger(sandbox).json["id"]
        clock.passes(60)
        (workflow,) = _workflows(sandbox, run)
        assert (workflow["status"], workflow["stopped_at"]) == ("on_hold", None)
        sandbox.set_workflow(workflow["id"].upper(), "running")
        clock.passes(60)
        assert _shown(sandbox, run) == [("w", "running")]
        sandbox.set_workflow(workflow["id"], "success")
        (workflow,) = _workflows(sandbox, run)
        assert (workflow["status"], workflow["stopped_at"]) == ("success", "2026-06-16T08:04:11.000Z")


def test_a_word_that_nobody_knows_is_shown_as_given() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        run = trigger(sandbox).json["id"]
        clock.passes(60)
        workflow = sandbox.runs[0].workflows[0].id
        body = {"id": workflow, "status": "quantum"}
        assert call(sandbox, "POST", "/sandbox/workflows", body, token=None).json == body
        (shown,) = _workflows(sandbox, run)
        assert (shown["status"], shown["stopped_at"]) == ("quantum", None)
        assert call(sandbox, "GET", f"/api/v2/workflow/{workflow}").json == shown
        assert call(sandbox, "GET", f"/api/v2/workflow/{workflow}/job").json["items"][0]["status"] == "quantum"


def test_nodes_in_a_state_that_nobody_knows() -> None:
    with Sandbox() as sandbox:
        sandbox.set_job("gh/acme/shop", 7, parallel_runs=["quantum", "success"], status="entangled")
        job = call(sandbox, "GET", "/api/v2/project/gh/acme/shop/job/7").json
        assert (job["status"], [node["status"] for node in job["parallel_runs"]]) == (
            "entangled",
            ["quantum", "success"],
        )
        build = call(sandbox, "GET", "/api/v1.1/project/gh/acme/shop/7").json
        actions = [(action["status"], action["exit_code"]) for action in build["steps"][0]["actions"]]
        assert actions == [("quantum", None), ("success", 0)]
        sandbox.add_fault(parse_fault("GET /api/v2/project/*/job/* => 500*99"))
        assert call(sandbox, "GET", "/api/v2/project/gh/acme/shop/job/7").status == 500


def test_workflows_that_are_not_there() -> None:
    sandbox = Sandbox()
    with pytest.raises(LookupError, match="there is no workflow"):
        sandbox.set_workflow(str(uuid4()), "success")
    with pytest.raises(LookupError, match="there is no workflow"):
        sandbox.rerun(str(uuid4()))
    with pytest.raises(ValueError, match="not a state"):
        sandbox.rerun(str(uuid4()), outcome="green")


# Setup


def test_a_dynamic_config() -> None:
    clock = Clock()
    with Sandbox(
        now=clock, pace=PACE, setup=True, workflows=[Workflow("a"), Workflow("b", outcome="failed")]
    ) as sandbox:
        answer = trigger(sandbox).json
        run = answer["id"]
        assert answer["state"] == _state(sandbox, run) == "setup-pending"
        assert _shown(sandbox, run) == []
        clock.passes(1)
        assert (_state(sandbox, run), _shown(sandbox, run)) == ("setup", [("setup", "running")])
        assert [w["tag"] for w in _workflows(sandbox, run)] == ["setup"]
        clock.passes(9)
        assert (_state(sandbox, run), _shown(sandbox, run)) == ("created", [("setup", "success")])
        clock.passes(1)
        assert _shown(sandbox, run) == [("setup", "success"), ("a", "running"), ("b", "running")]
        assert [w["tag"] for w in _workflows(sandbox, run)] == ["setup", None, None]
        clock.passes(9)
        assert _shown(sandbox, run) == [("setup", "success"), ("a", "success"), ("b", "failed")]


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_setup_that_does_not_succeed_is_not_continued(status: str) -> None:
    clock = Clock()
    with Sandbox(now=clock, pace=PACE) as sandbox:
        sandbox.add_fault(parse_fault("setup"))
        run = trigger(sandbox).json["id"]
        clock.passes(5)
        sandbox.set_workflow(_workflows(sandbox, run)[0]["id"], status)
        clock.passes(3600)
        assert (_state(sandbox, run), _shown(sandbox, run)) == ("setup", [("setup", status)])


def test_what_a_dynamic_config_does_not_change() -> None:
    clock = Clock()
    with Sandbox(now=clock, setup=True) as sandbox:
        assert call(sandbox, "POST", TREE, {}).json["job_name"] == "build"
        sandbox.add_fault(parse_fault("errored:bad config"))
        run = trigger(sandbox).json["id"]
        clock.passes(60)
        assert (_state(sandbox, run), _shown(sandbox, run)) == ("errored", [])
        assert [w.tag for w in sandbox.runs[0].workflows] == [None]


def test_jobs_that_only_may_come_are_not_listed() -> None:
    clock = Clock()
    with Sandbox(now=clock, pace=PACE, setup=True) as sandbox:
        trigger(sandbox)
        assert [b["job_name"] for b in call(sandbox, "GET", TREE).json] == ["setup"]
        clock.passes(11)
        assert [b["job_name"] for b in call(sandbox, "GET", TREE).json] == ["deploy", "setup"]


# Reruns


def test_a_rerun_is_another_workflow_of_that_name_in_the_same_pipeline() -> None:
    clock = Clock()
    with Sandbox(now=clock, pace=PACE, workflows=[Workflow("w", outcome="failed", jobs=["x", "y"])]) as sandbox:
        run = trigger(sandbox).json["id"]
        clock.passes(20)
        first = _workflows(sandbox, run)[0]
        answer = call(sandbox, "POST", f"/api/v2/workflow/{first['id']}/rerun", {"from_failed": True})
        assert answer.status == 202
        again = answer.json["workflow_id"]
        assert call(sandbox, "GET", f"/api/v2/workflow/{again}").json["status"] == "running"
        clock.passes(9)
        assert _shown(sandbox, run) == [("w", "failed"), ("w", "success")]
        old, new = _workflows(sandbox, run)
        assert new["id"] == again
        assert new["created_at"] > old["created_at"]
        assert (new["tag"], "auto_rerun_number" in new, "max_auto_reruns" in new) == (None, False, False)
        jobs = call(sandbox, "GET", f"/api/v2/workflow/{again}/job").json["items"]
        assert [(job["name"], job["job_number"]) for job in jobs] == [("x", 3), ("y", 4)]
        third = sandbox.rerun(again.upper(), outcome="on_hold")
        clock.passes(9)
        assert _shown(sandbox, run)[2] == ("w", "on_hold")
        assert sandbox.rerun(third, outcome="running")


def test_a_rerun_at_the_same_moment_is_later_all_the_same() -> None:
    with Sandbox(now=Clock(), pace=Pace(appear=0, finish=0)) as sandbox:
        run = trigger(sandbox).json["id"]
        sandbox.rerun(_workflows(sandbox, run)[0]["id"])
        old, new = _workflows(sandbox, run)
        assert new["created_at"] > old["created_at"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (None, 202),
        (b"null", 202),
        ({}, 202),
        ({"jobs": [str(uuid4())], "enable_ssh": True}, 202),
        (b"{", 400),
        ([], 400),
        ({"from_failed": "yes"}, 400),
        ({"jobs": ["x"]}, 400),
        ({"jobs": "x"}, 400),
        ({"from_failed": True, "jobs": [str(uuid4())]}, 400),
        ({"enable_ssh": True}, 400),
    ],
)
def test_what_a_rerun_may_be_asked(body: object, status: int) -> None:
    with Sandbox(pace=Pace(appear=0)) as sandbox:
        trigger(sandbox)
        workflow = sandbox.runs[0].workflows[0].id
        assert call(sandbox, "POST", f"/api/v2/workflow/{workflow}/rerun", body).status == status
        assert len(sandbox.runs[0].workflows) == (2 if status == 202 else 1)


def test_reruns_of_what_is_not_there() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        number = call(sandbox, "POST", TREE, {}).json["build_num"]
        clock.passes(1)
        job = call(sandbox, "GET", f"/api/v1.1/project/gh/acme/shop/{number}").json
        assert job["workflows"] is None
        for path in (sandbox.runs[0].workflows[0].id, str(uuid4())):
            assert call(sandbox, "POST", f"/api/v2/workflow/{path}/rerun", {}).status == 404


def test_automatic_reruns_go_on_until_one_has_not_failed() -> None:
    clock = Clock()
    flaky = Workflow("flaky", outcome="failed", reruns=("failed", "success", "success"))
    with Sandbox(now=clock, pace=PACE, workflows=[flaky, Workflow("solid", reruns=("success",))]) as sandbox:
        run = trigger(sandbox).json["id"]
        seen = []
        for _ in range(5):
            clock.passes(10)
            seen.append([status for name, status in _shown(sandbox, run) if name == "flaky"])
        assert seen == [
            ["failed"],
            ["failed", "failed"],
            ["failed", "failed", "success"],
            ["failed", "failed", "success"],
            ["failed", "failed", "success"],
        ]
        items = [w for w in _workflows(sandbox, run) if w["name"] == "flaky"]
        assert [w.get("auto_rerun_number") for w in items] == [None, 1, 2]
        assert [w["max_auto_reruns"] for w in items] == [3, 3, 3]
        assert [w["created_at"][14:19] for w in items] == ["02:12", "02:22", "02:32"]
        (solid,) = [w for w in _workflows(sandbox, run) if w["name"] == "solid"]
        assert (solid["max_auto_reruns"], "auto_rerun_number" in solid) == (1, False)


def test_what_is_canceled_is_not_run_again_and_what_has_begun_stays() -> None:
    clock = Clock()
    flaky = Workflow("w", outcome="failed", reruns=("failed", "success"))
    with Sandbox(now=clock, pace=PACE, workflows=[flaky]) as sandbox:
        first, second = (trigger(sandbox).json["id"] for _ in range(2))
        clock.passes(5)
        call(sandbox, "POST", f"/api/v2/workflow/{_workflows(sandbox, first)[0]['id']}/cancel")
        clock.passes(10)
        assert (_shown(sandbox, first), _shown(sandbox, second)) == (
            [("w", "canceled")],
            [("w", "failed"), ("w", "running")],
        )
        old, rerun = _workflows(sandbox, second)
        sandbox.set_workflow(old["id"], "success")
        assert [w["id"] for w in _workflows(sandbox, second)] == [old["id"], rerun["id"]]
        clock.passes(3600)
        assert [status for _, status in _shown(sandbox, second)] == ["success", "failed", "success"]


# Canceled by a newer run


def _branches(sandbox: Sandbox, *branches: str) -> list[str]:
    return [trigger(sandbox, {"config": {"branch": branch}}).json["id"] for branch in branches]


def test_a_newer_run_cancels_older_ones_of_its_branch() -> None:
    clock = Clock()
    with Sandbox(now=clock, pace=PACE, auto_cancel=True) as sandbox:
        done, main, other = _branches(sandbox, "x", "main", "y")
        elsewhere = call(sandbox, "POST", PIPELINE.replace("shop", "till"), {"branch": "x"}).json["id"]
        clock.passes(20)
        running, waiting = _branches(sandbox, "y", "x")
        clock.passes(5)
        newest = _branches(sandbox, "x", "main")
        clock.passes(1)
        statuses = {
            run: _shown(sandbox, run)[0][1] for run in (done, main, other, elsewhere, running, waiting, *newest)
        }
        assert list(statuses.values()) == [
            "success",
            "success",
            "success",
            "success",
            "running",
            "canceled",
            "running",
            "running",
        ]


def test_what_has_not_appeared_yet_is_canceled_too() -> None:
    clock = Clock()
    with Sandbox(now=clock, pace=PACE, auto_cancel=True) as sandbox:
        first, second = _branches(sandbox, "x", "x")
        assert _shown(sandbox, first) == []
        clock.passes(1)
        assert (_shown(sandbox, first), _shown(sandbox, second)) == ([("deploy", "canceled")], [("deploy", "running")])
        (canceled,) = _workflows(sandbox, first)
        assert canceled["stopped_at"] == canceled["created_at"]


def test_builds_from_outside_cancel_and_are_canceled() -> None:
    build, scheduled, newer = (str(uuid4()) for _ in range(3))
    clock = Clock()
    with Sandbox(now=clock, auto_cancel=True, default_branch="trunk") as sandbox:
        sandbox.add_build(build, "gh/acme/shop", branch="main", status="on_hold")
        sandbox.add_build(build, "gh/acme/shop", branch="main", workflow_name="other")
        sandbox.add_build(scheduled, "gh/acme/shop", branch="main", trigger="scheduled_pipeline")
        assert _shown(sandbox, build) == [("build", "on_hold"), ("other", "running")]
        again = sandbox.rerun(_workflows(sandbox, build)[0]["id"], outcome="running")
        clock.passes(1)
        sandbox.add_build(newer, "gh/acme/shop", branch="main")
        assert [(w["id"] == again, w["status"]) for w in _workflows(sandbox, build)] == [
            (False, "canceled"),
            (False, "canceled"),
            (True, "running"),
        ]
        assert _shown(sandbox, scheduled) == [("build", "running")]
        trunk = [trigger(sandbox, {}).json["id"] for _ in range(2)]
        clock.passes(1)
        assert [_shown(sandbox, run)[0][1] for run in trunk] == ["running", "running"]
        assert {run.branch for run in sandbox.runs} == {"trunk"}
        tags = [trigger(sandbox, {"config": {"tag": "v1"}}).json["id"] for _ in range(2)]
        clock.passes(1)
        assert [_shown(sandbox, run)[0][1] for run in tags] == ["running", "running"]


def test_nothing_is_canceled_unless_it_is_set_up_so() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        runs = _branches(sandbox, "x", "x")
        clock.passes(1)
        assert [_shown(sandbox, run)[0][1] for run in runs] == ["running", "running"]


def test_single_jobs_of_v1_1_take_no_part() -> None:
    clock = Clock()
    tree = TREE.replace("main", "x")
    with Sandbox(now=clock, auto_cancel=True) as sandbox:
        (run,) = _branches(sandbox, "x")
        call(sandbox, "POST", tree, {})
        clock.passes(1)
        assert _shown(sandbox, run) == [("deploy", "running")]
        _branches(sandbox, "x")
        assert [w.status for w in sandbox.runs[1].workflows] == ["running"]
