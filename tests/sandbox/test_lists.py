"""Lists that learn of a run later than those who ask for it by its id."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from sandbox.calls import MAIN, PIPELINE, START, TREE, Clock, call, trigger

from deploystep.sandbox import Pace, Sandbox, parse_fault


def _numbers(sandbox: Sandbox) -> list[int]:
    return [item["number"] for item in call(sandbox, "GET", f"{PIPELINE}?branch=main").json["items"]]


def _builds(sandbox: Sandbox) -> list[int]:
    return [build["build_num"] for build in call(sandbox, "GET", TREE).json]


def test_every_run_is_late() -> None:
    clock = Clock()
    with Sandbox(now=clock, pace=Pace(listed=3)) as sandbox:
        run = trigger(sandbox).json["id"]
        job = call(sandbox, "POST", TREE, {}).json["build_num"]
        clock.passes(2.999)
        assert (_numbers(sandbox), _builds(sandbox)) == ([], [])
        assert call(sandbox, "GET", f"/api/v2/pipeline/{run}").status == 200
        assert call(sandbox, "GET", f"{PIPELINE}/1").status == 200
        assert call(sandbox, "GET", f"/api/v2/pipeline/{run}/workflow").json["items"]
        assert call(sandbox, "GET", f"/api/v1.1/project/gh/acme/shop/{job}").status == 200
        clock.passes(0.001)
        assert (_numbers(sandbox), _builds(sandbox)) == ([1], [job, 1])


def test_one_run_is_late() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        sandbox.add_fault(parse_fault("lag:5"))
        for _ in range(3):
            trigger(sandbox)
        assert _numbers(sandbox) == [3, 2]
        clock.passes(5)
        assert _numbers(sandbox) == [3, 2, 1]
        assert len(sandbox.runs) == 3


def test_builds_are_in_the_order_of_their_creation() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        trigger(sandbox)
        clock.passes(60)
        early, middle, late = (str(uuid4()) for _ in range(3))
        sandbox.add_build(middle, "gh/acme/shop", created=START + timedelta(seconds=30))
        sandbox.add_build(late, "gh/acme/shop")
        sandbox.add_build(early, "gh/acme/shop", created=START - timedelta(days=1), trigger="scheduled_pipeline")
        items = call(sandbox, "GET", PIPELINE).json["items"]
        assert [item["id"] for item in items] == [late, middle, sandbox.runs[0].id, early]
        assert [item["trigger"]["type"] for item in items] == ["webhook", "webhook", "api", "scheduled_pipeline"]
        assert items[3]["created_at"] == "2026-06-15T08:02:11.000Z"
        workflow = call(sandbox, "GET", f"/api/v2/pipeline/{early}/workflow").json["items"][0]
        assert workflow["created_at"] == "2026-06-15T08:02:11.000Z"


@pytest.mark.parametrize("wrong", [{"created": START + timedelta(seconds=1)}, {"trigger": "explicit"}])
def test_builds_that_cannot_be(wrong: dict[str, object]) -> None:
    sandbox = Sandbox(now=Clock())
    with pytest.raises(ValueError, match="not"):
        sandbox.add_build(str(uuid4()), "gh/acme/shop", **wrong)  # type: ignore[arg-type]


def test_builds_by_another_process() -> None:
    body = {"project": "gh/acme/shop", "created": "2026-06-16T09:00:00+02:00", "trigger": "scheduled_pipeline"}
    with Sandbox(now=Clock()) as sandbox:
        answer = call(sandbox, "POST", "/sandbox/builds", {**body, "pipeline_id": str(uuid4())}, token=None)
        assert answer.status == 201
        (item,) = call(sandbox, "GET", PIPELINE).json["items"]
        assert (item["created_at"], item["trigger"]["type"]) == ("2026-06-16T07:00:00.000Z", "scheduled_pipeline")
        assert trigger(sandbox, MAIN).json["number"] == 2
