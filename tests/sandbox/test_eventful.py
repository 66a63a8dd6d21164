"""What the simulation's sandbox does by itself: auto-cancel, automatic reruns, setup workflows, skipped jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from fakes import FakeClock
from sandbox.eventful import EventfulSandbox

from deploystep.sandbox import Pace, TriggerBody, Workflow

SHOP = "gh/acme/shop"


class World:
    """A sandbox, and time that passes by hand."""

    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.sandbox = EventfulSandbox(now=self.clock.now, pace=Pace(appear=1, finish=10), **settings)

    def after(self, seconds: float) -> None:
        self.clock.moment += timedelta(seconds=seconds)

    def start(self, branch: str | None = "x", tag: str | None = None, api: str = "v2") -> str:
        return self.sandbox.create(api, SHOP, TriggerBody(branch, tag)).id

    def build(self, trigger: str = "webhook") -> str:
        self.sandbox.add_build(name := str(uuid4()), SHOP, branch="x", trigger=trigger)
        return name

    def shown(self, *runs: str) -> str:
        stored = [self.sandbox.kept.get(run) for run in runs]
        return " ".join(w.status for run in stored if run for w in run.at(self.clock.now()).workflows)


def test_automatic_reruns_go_on_until_one_has_not_failed_or_was_canceled() -> None:
    world = World(workflows=[Workflow("flaky", outcome="failed")], reruns={"flaky": ["failed", "success", "success"]})
    run, seen = world.start(), []
    for _ in range(4):
        world.after(10)
        seen.append(world.shown(run))
    assert seen == ["failed", "failed failed", *["failed failed success"] * 2]
    workflows = world.sandbox.runs[0].workflows
    assert [(w.auto_rerun_number, w.max_auto_reruns) for w in workflows] == [(0, 3), (1, 3), (2, 3)]
    run = world.start()
    world.after(5)
    world.sandbox.set_workflow(world.sandbox.runs[1].workflows[0].id, "canceled")
    world.after(3600)
    assert world.shown(run) == "canceled"


def test_a_newer_run_cancels_older_ones_of_its_branch() -> None:
    world = World(auto_cancel=True)
    runs = [world.start(), world.start("main"), world.start("y")]
    world.after(20)
    runs += [world.start("y"), world.start(), world.start(api="v1.1")]
    world.after(5)
    runs += [world.start(), world.start(), world.start("main"), world.start(None, "v1"), world.start(None, "v1")]
    world.after(1)
    expected = "success success success running canceled running canceled running running running running"
    assert world.shown(*runs) == expected
    builds = [world.build(), world.build("scheduled_pipeline"), world.build()]
    assert world.shown(*builds) == "canceled running running"


def test_setup_workflows_and_skipped_jobs() -> None:
    told: list[str] = []
    world = World(has_setup=True, skips=("deploy",), on_trigger=lambda run: told.append(run.id))
    runs = [world.start(), world.start()]
    world.after(11)
    assert (world.shown(*runs), told) == ("success running success running", runs)
    assert [run.workflows[-1].jobs[0].status for run in world.sandbox.runs] == ["not_run", "running"]
