"""Jobs as they are read one by one; above all a parallel job whose nodes follow a script."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .runs import JOB_ENDED, JobRun, Run, WorkflowRun, workflow_at, workflows_at

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class JobState:
    """What a job shows from one moment on.

    `parallel_runs` has one status per node, by index. The state holds once `after_polls` readings have been
    answered and `after_seconds` have passed, both since the job was set.
    """

    parallel_runs: tuple[str, ...]
    status: str = "running"
    after_polls: int = 0
    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ScriptedJob:
    """A job and its states in order; the last one whose conditions hold is the one that is shown."""

    project: str
    number: int
    name: str
    states: tuple[JobState, ...]
    set_at: datetime
    polls: int = 0
    pipeline_id: str = ""
    workflow_id: str = ""
    overrides: Mapping[int, str] = field(default_factory=dict)
    """Node statuses that beat the script, by index."""


@dataclass(frozen=True, slots=True)
class JobView:
    """One job as it is now: what v2 and v1.1 each put into their own words.

    `parallel_runs` has one status per node, by index. `created_at` also stands for the start, since nothing
    queues here.
    """

    project: str
    number: int
    name: str
    status: str
    parallel_runs: tuple[str, ...]
    pipeline_id: str
    workflow_id: str
    workflow_name: str
    created_at: datetime
    stopped_at: datetime | None


def state_at(job: ScriptedJob, now: datetime) -> JobState:
    """Return the state to show now."""
    holding = [state for state in job.states if _holds(state, job, now)]
    current = holding[-1] if holding else job.states[0]
    if not job.overrides:
        return current
    nodes = tuple(job.overrides.get(index, status) for index, status in enumerate(current.parallel_runs))
    return replace(current, parallel_runs=nodes)


def _holds(state: JobState, job: ScriptedJob, now: datetime) -> bool:
    return job.polls >= state.after_polls and now >= job.set_at + timedelta(seconds=state.after_seconds)


def scripted_view(job: ScriptedJob, now: datetime) -> JobView:
    """Show a scripted job as it is now."""
    state = state_at(job, now)
    return JobView(
        project=job.project,
        number=job.number,
        name=job.name,
        status=state.status,
        parallel_runs=state.parallel_runs,
        pipeline_id=job.pipeline_id,
        workflow_id=job.workflow_id,
        workflow_name="build",
        created_at=job.set_at,
        stopped_at=now if state.status in JOB_ENDED else None,
    )


def views_of(run: Run, now: datetime) -> list[JobView]:
    """Show a stored run's jobs as they are now, except those of workflows that only may come."""
    shown = {w.id: w for w in workflows_at(run, now)}
    coming = (shown.get(w.id) or workflow_at(w, now) for w in run.workflows if w.id in shown or w.follows is None)
    return [_view(run, workflow, job, now) for workflow in coming for job in workflow.jobs]


def _view(run: Run, workflow: WorkflowRun, job: JobRun, now: datetime) -> JobView:
    has_begun = now >= run.appears_at or workflow.set_at is not None
    status = job.status_in(workflow.status) if has_begun else "not_running"
    return JobView(
        project=run.project,
        number=job.number,
        name=job.name,
        status=status,
        parallel_runs=(status,),
        pipeline_id=run.id,
        workflow_id=workflow.id,
        workflow_name=workflow.name,
        created_at=run.created_at,
        stopped_at=job.stopped_in(workflow),
    )
