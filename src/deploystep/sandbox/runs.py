"""Runs, workflows and jobs as values, and what the passing of time makes of them.

A run is stored as it will end up; `run_at` shows it as it is at one moment. Nothing has to tick in between, so
a test that owns the clock owns the whole progress.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .schema import Scalar

ENDED = frozenset({"success", "failed", "error", "canceled", "unauthorized", "not_run"})
"""Workflow states that do not change any more (v2 OpenAPI, Workflow.status)."""
WORKFLOW_STATES = ENDED | {"running", "failing", "on_hold", "queued"}
"""`queued` is missing in the OpenAPI enumeration, but the documentation shows it for serial groups."""
AT_ONCE = frozenset({"unauthorized", "error", "not_run"})
"""Outcomes that need no running time."""
JOB_OF_WORKFLOW = MappingProxyType({"error": "failed", "failing": "failed"})
"""Workflow states for which the job's word is another one (v2 OpenAPI, Job.status)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take, in seconds since a run was created."""

    appear: float = 0.2
    """Until its workflows exist and it is no longer `pending`."""
    finish: float = 2.0
    """Until its workflows reach their outcome."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow of the imaginary config.

    It starts in a created run if every pair in `when` equals the request's parameter of that name, in type
    too. An `outcome` that is no end (`on_hold`, `failing`) is where it stays. Without `jobs` it has one job of
    its own name.
    """

    name: str
    when: Mapping[str, Scalar] = field(default_factory=dict)
    outcome: str = "success"
    jobs: Sequence[str] = ()

    def starts_with(self, parameters: Mapping[str, Scalar]) -> bool:
        """Tell whether a run with these parameters contains this workflow."""
        return all(
            name in parameters and type(parameters[name]) is type(value) and parameters[name] == value
            for name, value in self.when.items()
        )


@dataclass(frozen=True, slots=True)
class JobRun:
    """A job of a workflow; its status is the workflow's unless it has one of its own."""

    id: str
    number: int
    name: str
    fixed_status: str | None = None

    def status_in(self, workflow_status: str) -> str:
        """Return the job's status, given its workflow's."""
        return self.fixed_status or JOB_OF_WORKFLOW.get(workflow_status, workflow_status)


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """One workflow instance.

    `status` and `stopped_at` are as of the moment it was asked for. `ends_at` is when it gets to `outcome`
    (None: it stays `running`).
    """

    id: str
    name: str
    outcome: str
    created_at: datetime
    ends_at: datetime | None
    jobs: tuple[JobRun, ...]
    canceled_at: datetime | None = None
    status: str = "running"
    stopped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run did not become what was asked; `type` is of v2 OpenAPI's Pipeline.errors."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Run:
    """What one trigger created: a pipeline in v2's words, a single job in v1.1's.

    `project` is the slug in its short form, `gh/acme/shop`. `number` is the pipeline's number, for v1.1 the
    job's (`build_num`). `api` says who created it: `v2-run`, `v2`, `v1.1`, or `webhook` for a build that was
    put there from outside. A v1.1 job is shown as one workflow with that job. `state`, `errors` and
    `workflows` are as of the moment it was asked for.
    """

    id: str
    number: int
    project: str
    branch: str | None
    tag: str | None
    revision: str
    parameters: Mapping[str, Scalar]
    definition_id: str | None
    api: str
    created_at: datetime
    appears_at: datetime
    state: str
    errors: tuple[RunError, ...]
    workflows: tuple[WorkflowRun, ...]


@dataclass(frozen=True, slots=True)
class BuildSeed:
    """A build put there from outside, as if a push had started it.

    `jobs` maps names to statuses, which stay, and `numbers` may give a job its number.
    """

    pipeline_id: str
    project: str
    workflow_id: str | None = None
    workflow_name: str = "build"
    status: str = "running"
    jobs: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    branch: str | None = None
    tag: str | None = None
    revision: str | None = None


def run_at(run: Run, now: datetime) -> Run:
    """Show a stored run as it is at one moment."""
    if now < run.appears_at:
        return replace(run, state="pending", errors=(), workflows=())
    state = "errored" if run.errors else "created"
    return replace(run, state=state, workflows=tuple(workflow_at(w, now) for w in run.workflows))


def workflow_at(workflow: WorkflowRun, now: datetime) -> WorkflowRun:
    """Show a stored workflow as it is at one moment."""
    if workflow.canceled_at is not None and now >= workflow.canceled_at:
        return replace(workflow, status="canceled", stopped_at=workflow.canceled_at)
    if workflow.ends_at is None or now < workflow.ends_at:
        return replace(workflow, status="running", stopped_at=None)
    ended = workflow.outcome in ENDED
    return replace(workflow, status=workflow.outcome, stopped_at=workflow.ends_at if ended else None)


def end_of(outcome: str, created_at: datetime, pace: Pace) -> datetime | None:
    """Return when a workflow reaches its outcome, in a run that was created then."""
    if outcome == "running":
        return None
    return created_at + timedelta(seconds=pace.appear if outcome in AT_ONCE else max(pace.appear, pace.finish))


def canceled(run: Run, workflow_id: str, now: datetime) -> Run:
    """Cancel a run's workflow, if it has not ended yet."""
    return replace(run, workflows=tuple(_canceled(w, workflow_id, now) for w in run.workflows))


def _canceled(workflow: WorkflowRun, workflow_id: str, now: datetime) -> WorkflowRun:
    if workflow.id != workflow_id or workflow_at(workflow, now).status in ENDED:
        return workflow
    return replace(workflow, canceled_at=now)
