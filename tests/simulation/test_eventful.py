"""What the simulation's mock CircleCI does by itself: auto-cancel, automatic reruns, a setup workflow for every run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

from simulation.eventful import EventfulSandbox

from deploystep.sandbox import Pace, RunOverride, Sandbox, TriggerBody, Workflow

SHOP = "gh/acme/shop"
PACE = Pace(appear=1, finish=10)


@dataclass
class Clock:
    moment: datetime = datetime(2026, 6, 16, 8, 2, 11, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.moment

    def passes(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def eventful(clock: Clock, **settings: Any) -> EventfulSandbox:
    return EventfulSandbox(now=clock, pace=PACE, **settings)


def start(sandbox: Sandbox, branch: str | None = "x", tag: str | None = None, api: str = "v2") -> str:
    run = sandbox.create(api, SHOP, TriggerBody(branch, tag), RunOverride())
    assert run is not None
    return run.id


def shown(sandbox: Sandbox, run: str) -> list[tuple[str, str]]:
    stored = sandbox.stored(run)
    assert stored is not None
    return [(workflow.name, workflow.status) for workflow in stored.at(sandbox.now()).workflows]


def test_automatic_reruns_go_on_until_one_has_not_failed() -> None:
    clock = Clock()
    reruns = {"flaky": ["failed", "success", "success"], "solid": ["success"]}
    workflows = [Workflow("flaky", outcome="failed"), Workflow("solid")]
    sandbox = eventful(clock, workflows=workflows, reruns=reruns)
    run = start(sandbox)
    seen = []
    for _ in range(5):
        clock.passes(10)
        seen.append([status for name, status in shown(sandbox, run) if name == "flaky"])
    assert seen == [["failed"], ["failed", "failed"], *[["failed", "failed", "success"]] * 3]
    assert shown(sandbox, run)[-1] == ("solid", "success")
    flaky = [w for w in sandbox.runs[0].workflows if w.name == "flaky"]
    assert [(w.auto_rerun_number, w.max_auto_reruns) for w in flaky] == [(0, 3), (1, 3), (2, 3)]
    assert [w.created_at.second for w in flaky] == [12, 22, 32]


def test_what_is_canceled_is_not_run_again() -> None:
    clock = Clock()
    sandbox = eventful(clock, workflows=[Workflow("w", outcome="failed")], reruns={"w": ["failed", "success"]})
    run = start(sandbox)
    clock.passes(5)
    sandbox.cancel(sandbox.runs[0].workflows[0])
    clock.passes(3600)
    assert shown(sandbox, run) == [("w", "canceled")]


def test_a_newer_run_cancels_older_ones_of_its_branch() -> None:
    clock = Clock()
    sandbox = eventful(clock, auto_cancel=True)
    done, main, other = start(sandbox), start(sandbox, "main"), start(sandbox, "y")
    clock.passes(20)
    running, going, job = start(sandbox, "y"), start(sandbox), start(sandbox, api="v1.1")
    clock.passes(5)
    waiting, newest, last = start(sandbox), start(sandbox), start(sandbox, "main")
    assert shown(sandbox, waiting) == []
    clock.passes(1)
    statuses = [shown(sandbox, run)[0][1] for run in (done, main, other, running, going, job, waiting, newest, last)]
    expected = ["success", "success", "success", "running", "canceled", "running", "canceled", "running", "running"]
    assert statuses == expected


def test_builds_from_outside_cancel_and_scheduled_ones_take_no_part() -> None:
    clock = Clock()
    build, scheduled = str(uuid4()), str(uuid4())
    sandbox = eventful(clock, auto_cancel=True)
    sandbox.add_build(build, SHOP, branch="x")
    sandbox.add_build(scheduled, SHOP, branch="x", trigger="scheduled_pipeline")
    assert shown(sandbox, build) == [("build", "running")]
    sandbox.add_build(str(uuid4()), SHOP, branch="x")
    assert (shown(sandbox, build), shown(sandbox, scheduled)) == ([("build", "canceled")], [("build", "running")])
    tags = [start(sandbox, None, "v1") for _ in range(2)]
    clock.passes(1)
    assert [shown(sandbox, run)[0][1] for run in tags] == ["running", "running"]


def test_every_run_can_begin_with_a_setup_workflow() -> None:
    clock = Clock()
    told: list[str] = []
    sandbox = eventful(clock, has_setup=True, on_trigger=lambda run: told.append(run.id))
    run = start(sandbox)
    clock.passes(11)
    assert (shown(sandbox, run), told) == ([("setup", "success"), ("deploy", "running")], [run])
