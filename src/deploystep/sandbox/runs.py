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
    from collections.abc import Callable, Mapping, Sequence

    from .schema import Scalar

ENDED = frozenset({"success", "failed", "error", "canceled", "unauthorized", "not_run"})
"""Workflow states that do not change any more (v2 OpenAPI, Workflow.status)."""
WORKFLOW_STATES = ENDED | {"running", "failing", "on_hold", "queued"}
"""`queued` is missing in the OpenAPI enumeration, but the documentation shows it for serial groups."""
AT_ONCE = frozenset({"unauthorized", "error", "not_run"})
"""Outcomes that need no running time."""
JOB_ENDED = ENDED | {"infrastructure_fail", "timedout"}
"""Job states that do not change any more (v2 OpenAPI, Job.status)."""
JOB_OF_WORKFLOW = MappingProxyType({"error": "failed", "failing": "failed"})
"""Workflow states for which the job's word is another one (v2 OpenAPI, Job.status)."""
SETUP = "setup"
"""The tag of the workflow that a dynamic config starts with (v2 OpenAPI, Workflow.tag), and its name here."""
SCHEDULED = "scheduled_pipeline"
SEED_TRIGGERS = frozenset({"webhook", SCHEDULED})
"""What may have started a build that was put there from outside (v2 OpenAPI, Pipeline.trigger)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take, in seconds since a run was created."""

    appear: float = 0.2
    """Until its workflows exist and it is no longer `pending`."""
    finish: float = 2.0
    """Until its workflows reach their outcome."""
    listed: float = 0.0
    """Until it appears in lists and searches; whoever asks by id finds it at once."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow of the imaginary config.

    It starts in a created run if every pair in `when` equals the request's parameter of that name, in type
    too. An `outcome` that is no end (`on_hold`, `failing`) is where it stays. Without `jobs` it has one job of
    its own name. `reruns` are the outcomes of its automatic reruns: each follows if the one before has failed.
    """

    name: str
    when: Mapping[str, Scalar] = field(default_factory=dict)
    outcome: str = "success"
    jobs: Sequence[str] = ()
    reruns: Sequence[str] = ()

    def starts_with(self, parameters: Mapping[str, Scalar]) -> bool:
        """Tell whether a run with these parameters contains this workflow."""
        return all(
            name in parameters and type(parameters[name]) is type(value) and parameters[name] == value
            for name, value in self.when.items()
        )


@dataclass(frozen=True, slots=True)
class JobRun:
    """A job of a workflow; its status is the workflow's unless it has one of its own, since `fixed_at`."""

    id: str
    number: int
    name: str
    fixed_status: str | None = None
    fixed_at: datetime | None = None

    def status_in(self, workflow_status: str) -> str:
        """Return the job's status, given its workflow's."""
        return self.fixed_status or JOB_OF_WORKFLOW.get(workflow_status, workflow_status)

    def stopped_in(self, workflow: WorkflowRun) -> datetime | None:
        """Return when the job ended, given its workflow as it is now."""
        return self.fixed_at if self.fixed_status in JOB_ENDED else workflow.stopped_at


@dataclass(frozen=True, slots=True)
class Follow:
    """What a workflow waits for: that another one of its run ends in this state.

    `delay` is how long after that end it starts, `length` how long it then runs (None: for ever), in seconds.
    """

    workflow_id: str
    status: str
    delay: float
    length: float | None


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """One workflow instance.

    `status` and `stopped_at` are as of the moment it was asked for. `ends_at` is when it gets to `outcome`
    (None: it stays `running`). `set_to` is a status that it was given from outside, which holds from `set_at`
    on whatever the plan was. One that `follows` another has no times of its own until that one has ended.
    """

    id: str
    name: str
    outcome: str
    created_at: datetime
    ends_at: datetime | None
    jobs: tuple[JobRun, ...]
    tag: str | None = None
    is_rerun: bool = False
    auto_rerun_number: int | None = None
    max_auto_reruns: int | None = None
    follows: Follow | None = None
    set_to: str = ""
    set_at: datetime | None = None
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
    job's (`build_num`). `api` says who created it: `v2-run`, `v2`, `v1.1`, `v3`, or `webhook` for a build that
    was put there from outside, whatever its `trigger` (a word of v2's). A v1.1 job is shown as one workflow with
    that job. `state`, `errors` and `workflows` are as of the moment it was asked for.
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
    trigger: str
    created_at: datetime
    appears_at: datetime
    listed_at: datetime
    state: str
    errors: tuple[RunError, ...]
    workflows: tuple[WorkflowRun, ...]

    @property
    def is_pipeline(self) -> bool:
        """Whether it is what v2 calls a pipeline and v3 a run: everything but v1.1's single jobs."""
        return self.api != "v1.1"


@dataclass(frozen=True, slots=True)
class BuildSeed:
    """A build put there from outside, as if a push had started it.

    `jobs` maps names to statuses, which stay, and `numbers` may give a job its number. `created` is when it was
    created (None: now).
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
    trigger: str = "webhook"
    created: datetime | None = None


def run_at(run: Run, now: datetime) -> Run:
    """Show a stored run as it is at one moment."""
    if now < run.appears_at:
        return replace(run, state="setup-pending" if _has_setup(run) else "pending", errors=(), workflows=())
    shown = workflows_at(run, now)
    return replace(run, state=_state(run, shown), workflows=shown)


def _has_setup(run: Run) -> bool:
    return any(w.tag == SETUP for w in run.workflows)


def _state(run: Run, shown: Sequence[WorkflowRun]) -> str:
    """Return v2's word. Guess: the run of a dynamic config stays in `setup` until that workflow has succeeded."""
    if run.errors:
        return "errored"
    return "setup" if any(w.tag == SETUP and w.status != "success" for w in shown) else "created"


def workflows_at(run: Run, now: datetime) -> tuple[WorkflowRun, ...]:
    """Show the workflows of a stored run that have been created by then, in the order of their creation."""
    shown: dict[str, WorkflowRun] = {}
    for workflow in run.workflows:
        begun = _begun(workflow, shown, now)
        if begun is not None:
            shown[workflow.id] = workflow_at(begun, now)
    return tuple(shown.values())


def _begun(workflow: WorkflowRun, shown: Mapping[str, WorkflowRun], now: datetime) -> WorkflowRun | None:
    """Give a workflow that follows another its times; None while it has not been created."""
    follow = workflow.follows
    if follow is None:
        return workflow
    before = shown.get(follow.workflow_id)
    if before is None or before.status != follow.status or before.stopped_at is None:
        return None
    created = before.stopped_at + timedelta(seconds=follow.delay)
    if created > now:
        return None
    ends = None if follow.length is None else created + timedelta(seconds=follow.length)
    return replace(workflow, created_at=created, ends_at=ends, follows=None)


def workflow_at(workflow: WorkflowRun, now: datetime) -> WorkflowRun:
    """Show a stored workflow as it is at one moment."""
    if workflow.set_at is not None and now >= workflow.set_at:
        stopped = max(workflow.set_at, workflow.created_at) if workflow.set_to in ENDED else None
        return replace(workflow, status=workflow.set_to, stopped_at=stopped)
    if workflow.ends_at is None or now < workflow.ends_at:
        return replace(workflow, status="running", stopped_at=None)
    ended = workflow.outcome in ENDED
    return replace(workflow, status=workflow.outcome, stopped_at=workflow.ends_at if ended else None)


def end_of(outcome: str, created_at: datetime, pace: Pace) -> datetime | None:
    """Return when a workflow reaches its outcome, in a run that was created then."""
    if outcome == "running":
        return None
    return created_at + timedelta(seconds=pace.appear if outcome in AT_ONCE else max(pace.appear, pace.finish))


def length_of(outcome: str, pace: Pace) -> float | None:
    """Return how long a workflow runs once it exists, in seconds."""
    if outcome == "running":
        return None
    return 0.0 if outcome in AT_ONCE else max(0.0, pace.finish - pace.appear)


# Changes. Each first writes down what has begun by now, so that it changes the future only.


def given(run: Run, workflow_id: str, status: str, now: datetime) -> Run:
    """Give a run's workflow a status, whatever it was."""
    return _changed(run, now, lambda w: w.id == workflow_id, status)


def canceled(run: Run, workflow_id: str, now: datetime) -> Run:
    """Cancel a run's workflow, if it has not ended yet."""
    return _changed(run, now, lambda w: w.id == workflow_id and w.status not in ENDED, "canceled")


def superseded(run: Run, now: datetime) -> Run:
    """Cancel all that has not ended, except reruns: what a newer run of the branch does to this one.

    Guess: what has not been created yet is canceled too, and shows it as soon as it is created.
    """
    return _changed(run, now, lambda w: not w.is_rerun and w.status not in ENDED, "canceled")


def job_canceled(run: Run, number: int, now: datetime) -> Run:
    """Cancel one job that has not ended; guess: its workflow goes on without it."""
    shown = {w.id: w for w in workflows_at(run, now)}

    def stopped(workflow: WorkflowRun) -> WorkflowRun:
        status = shown.get(workflow.id, workflow).status
        jobs = (
            replace(job, fixed_status="canceled", fixed_at=now) if _is_open(job, number, status) else job
            for job in workflow.jobs
        )
        return replace(workflow, jobs=tuple(jobs))

    return replace(run, workflows=tuple(stopped(w) for w in run.workflows))


def _is_open(job: JobRun, number: int, workflow_status: str) -> bool:
    return job.number == number and job.status_in(workflow_status) not in JOB_ENDED


def _changed(run: Run, now: datetime, chosen: Callable[[WorkflowRun], bool], status: str) -> Run:
    """Set the status of the workflows that are chosen by how they are now."""
    stored: list[WorkflowRun] = []
    shown: dict[str, WorkflowRun] = {}
    for workflow in run.workflows:
        begun = _begun(workflow, shown, now)
        current = workflow_at(begun or workflow, now)
        if begun is not None:
            shown[workflow.id] = current
        kept = begun or workflow
        stored.append(replace(kept, set_to=status, set_at=now) if chosen(current) else kept)
    return replace(run, workflows=tuple(stored))
