"""A parallel job under a script: by poll, by time, and with nodes that fail on demand."""

from __future__ import annotations

from sandbox.calls import Clock, call

from deploystep.sandbox import JobState, Sandbox, parse_fault

JOB = "/api/v2/project/gh/acme/shop/job/7"


def _nodes(sandbox: Sandbox) -> list[str]:
    runs = call(sandbox, "GET", JOB).json["parallel_runs"]
    assert [run["index"] for run in runs] == list(range(len(runs)))
    return [run["status"] for run in runs]


def test_states_by_poll() -> None:
    later = [
        JobState(("running", "success"), after_polls=2),
        JobState(("success", "success"), "success", after_polls=3),
    ]
    with Sandbox() as sandbox:
        sandbox.set_job("github/acme/shop", 7, parallel_runs=["running", "running"], then=later)
        seen = [_nodes(sandbox) for _ in range(5)]
        assert seen == [["running", "running"]] * 2 + [["running", "success"]] + [["success", "success"]] * 2
        details = call(sandbox, "GET", JOB).json
        assert (details["status"], details["parallelism"]) == ("success", 2)


def test_states_by_time() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        later = [JobState(("running", "failed"), after_seconds=30)]
        sandbox.set_job("gh/acme/shop", 7, parallel_runs=["running", "running"], then=later)
        clock.passes(29)
        assert _nodes(sandbox) == ["running", "running"]
        clock.passes(1)
        assert _nodes(sandbox) == ["running", "failed"]


def test_siblings_fail_on_demand_and_stay_failed() -> None:
    with Sandbox() as sandbox:
        sandbox.add_fault(parse_fault("siblings:1,3:timedout"))
        assert call(sandbox, "GET", JOB).status == 404
        sandbox.set_job("gh/acme/shop", 7, parallel_runs=["running"] * 4)
        expected = ["running", "timedout", "running", "timedout"]
        assert [_nodes(sandbox), _nodes(sandbox)] == [expected, expected]
        sandbox.add_fault(parse_fault("siblings:2"))
        assert _nodes(sandbox) == ["running", "timedout", "failed", "timedout"]


def test_v1_1_shows_the_nodes_in_its_steps() -> None:
    with Sandbox() as sandbox:
        sandbox.set_job("gh/acme/shop", 7, parallel_runs=["running", "failed", "success"], name="test")
        build = call(sandbox, "GET", "/api/v1.1/project/github/acme/shop/7", token="project-token").json
        actions = build["steps"][0]["actions"]
        shown = [(action["index"], action["status"], action["exit_code"]) for action in actions]
        assert shown == [(0, "running", None), (1, "failed", 1), (2, "success", 0)]
        assert (build["parallel"], build["lifecycle"], build["status"]) == (3, "running", "running")


def test_numbers_given_out_later_are_higher() -> None:
    with Sandbox() as sandbox:
        sandbox.set_job("gh/acme/shop", 7, parallel_runs=["running"])
        answer = call(sandbox, "POST", "/api/v1.1/project/gh/acme/shop/tree/main", {})
        assert answer.json["build_num"] == 8


def test_jobs_that_are_not_there() -> None:
    with Sandbox(projects=["gh/acme/shop"]) as sandbox:
        for path in (JOB, JOB + "x", JOB.replace("acme", "nobody")):
            assert call(sandbox, "GET", path).status == 404
