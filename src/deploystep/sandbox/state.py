"""Runs, workflows and jobs as values, and what the passing of time makes of them.

A run is kept as it will end; `Run.at` shows it as it is at one moment. Nothing has to tick in between, so a test that
owns the clock owns the whole progress.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from .messages import NOTHING, Scalar

ENDED = frozenset({"success", "failed", "error", "canceled", "unauthorized", "not_run"})
"""Workflow states that do not change any more (v2 OpenAPI, Workflow.status)."""
WORKFLOW_STATES = ENDED | {"running", "failing", "on_hold", "queued"}
"""`queued` is missing in the OpenAPI enumeration, but the documentation shows it for serial groups."""
JOB_ENDED = ENDED | {"infrastructure_fail", "timedout"}
"""Job states that do not change any more (v2 OpenAPI, Job.status)."""
JOB_OF_WORKFLOW = MappingProxyType({"error": "failed", "failing": "failed"})
"""Workflow states for which the job's word is another one (v2 OpenAPI, Job.status)."""
SETUP = "setup"
"""The tag of the workflow that a dynamic config starts with (v2 OpenAPI, Workflow.tag), and its name here."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take, in seconds since a run was created."""

    appear: float = 0.2
    """Until its workflows are listed."""
    finish: float = 2.0
    """Until its workflows reach their outcome."""
    listed: float = 0.0
    """Until it appears in lists and searches; whoever asks by id finds it at once."""
    form: float = 0.1
    """Until its config is compiled and it is `created`, no longer `pending`; never later than its workflows."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow of the imaginary config.

    It starts in a created run if every pair in `when` equals the request's parameter of that name, in type too.
    An `outcome` that is no end (`on_hold`, `failing`) is where it stays. It has one job, of its own name.
    """

    name: str
    when: Mapping[str, Scalar] = field(default_factory=dict)
    outcome: str = "success"

    def starts_with(self, parameters: Mapping[str, Scalar]) -> bool:
        """Tell whether a run with these parameters contains this workflow."""
        return all(
            name in parameters and type(parameters[name]) is type(value) and parameters[name] == value
            for name, value in self.when.items()
        )


class Change(NamedTuple):
    """A status and when it begins."""

    at: datetime
    status: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a workflow; `status` is its own where it differs from the workflow's."""

    id: str
    number: int
    name: str
    status: str = ""


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """One workflow of a run. Its `changes` are in order; the first is its creation.

    As it is kept, they reach into the future; as it is shown, the last one is what it is now. One that `follows`
    another (its id and a status) is not created before that one has this status.
    """

    id: str
    name: str
    jobs: tuple[Job, ...]
    changes: tuple[Change, ...]
    tag: str | None = None
    follows: tuple[str, str] | None = None
    auto_rerun_number: int = 0
    max_auto_reruns: int = 0

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return self.changes[0].at

    @property
    def status(self) -> str:
        """Its last status."""
        return self.changes[-1].status

    @property
    def stopped_at(self) -> datetime | None:
        """When it ended; None if it has not."""
        return self.changes[-1].at if self.status in ENDED else None


class RunError(NamedTuple):
    """Why a run did not become what was asked; `type` is of v2 OpenAPI's Pipeline.errors."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Run:
    """What one trigger created: a pipeline in v2's words, a single job in v1.1's.

    `project` is the slug in its short form, `gh/acme/shop`. `number` is the pipeline's number, for v1.1 the job's
    (`build_num`). `api` says who created it: `v2-run`, `v2`, `v1.1`, `v3`, or `webhook` for a build that was put
    there from outside, whatever its `trigger` (a word of v2's). A v1.1 job is one workflow with that job. `state`,
    `errors` and `workflows` are as of the moment for which it is shown.
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
    formed_at: datetime
    listed_at: datetime
    errors: tuple[RunError, ...]
    workflows: tuple[WorkflowRun, ...]
    state: str = ""

    @property
    def is_pipeline(self) -> bool:
        """Whether it is what v2 calls a pipeline and v3 a run: everything but v1.1's single jobs."""
        return self.api != "v1.1"

    def at(self, now: datetime) -> "Run":
        """Show it as it is at one moment."""
        shown: dict[str, WorkflowRun] = {}
        for workflow in self.workflows:
            changes = tuple(change for change in workflow.changes if change.at <= now)
            before = shown.get(workflow.follows[0]) if workflow.follows else None
            if changes and (workflow.follows is None or (before and before.status == workflow.follows[1])):
                shown[workflow.id] = replace(workflow, changes=changes)
        errors = self.errors if now >= self.formed_at else ()
        return replace(self, state=self._state(now, shown), errors=errors, workflows=tuple(shown.values()))

    def _state(self, now: datetime, shown: Mapping[str, WorkflowRun]) -> str:
        """Return v2's word. Guess: the run of a dynamic config is in `setup` until that workflow has succeeded."""
        setup = next((shown.get(w.id, w) for w in self.workflows if w.tag == SETUP), None)
        if now < self.formed_at:
            return "pending" if setup is None else "setup-pending"
        if self.errors:
            return "errored"
        return "created" if setup is None or (setup.id in shown and setup.status == "success") else "setup"

    def changed(self, workflow_id: str, now: datetime, status: str) -> "Run":
        """Give a workflow a status from now on, or from its creation on if that is still to come."""
        workflows = {workflow.id: workflow for workflow in self.workflows}
        workflow = workflows[workflow_id]
        past = tuple(change for change in workflow.changes if change.at <= now)
        changes = (*past, Change(now if past else workflow.created_at, status))
        workflows[workflow_id] = replace(workflow, changes=changes)
        return replace(self, workflows=tuple(workflows.values()))


@dataclass(frozen=True, slots=True)
class JobState:
    """What a scripted job shows from one moment on.

    `parallel_runs` has one status per node, by index. The state holds once `after_polls` readings have been
    answered and `after_seconds` have passed, both since the job was set.
    """

    parallel_runs: tuple[str, ...]
    status: str = "running"
    after_polls: int = 0
    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it is now: what v2 and v1.1 each put into their own words. `run` is None where it is scripted.

    `parallel_runs` has one status per node. `created_at` also stands for the start, since nothing queues here.
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
    run: Run | None = None


def jobs_of(run: Run) -> Iterator[JobView]:
    """Return the jobs of a run as it is shown, in the order of their creation."""
    for workflow in run.workflows:
        for job in workflow.jobs:
            status = job_status(workflow, job)
            yield JobView(
                run.project,
                job.number,
                job.name,
                status,
                (status,),
                run.id,
                workflow.id,
                workflow.name,
                workflow.created_at,
                workflow.created_at if job.status in JOB_ENDED else workflow.stopped_at,
                run,
            )


def job_status(workflow: WorkflowRun, job: Job) -> str:
    """Return the status of a workflow's job."""
    return job.status or JOB_OF_WORKFLOW.get(workflow.status, workflow.status)


class ScriptedJob:
    """A parallel job whose nodes follow a script: of its states the last one whose conditions hold is shown."""

    def __init__(self, view: JobView, states: Sequence[JobState]) -> None:
        self.view = view
        self.states = tuple(states)
        self.polls = 0
        self.nodes: Mapping[int, str] = NOTHING

    def state(self, now: datetime) -> JobState:
        """Return the state as of now, with the nodes that faults have changed."""
        passed = (now - self.view.created_at).total_seconds()
        holding = [s for s in self.states if self.polls >= s.after_polls and passed >= s.after_seconds]
        current = holding[-1] if holding else self.states[0]
        nodes = tuple(self.nodes.get(index, status) for index, status in enumerate(current.parallel_runs))
        return replace(current, parallel_runs=nodes)

    def shown(self, now: datetime) -> JobView:
        """Return the job as it is now."""
        state = self.state(now)
        stopped_at = now if state.status in JOB_ENDED else None
        return replace(self.view, status=state.status, parallel_runs=state.parallel_runs, stopped_at=stopped_at)

    def cancel(self, now: datetime) -> None:
        """Cancel it with all its nodes, unless it has ended."""
        state = self.state(now)
        if state.status not in JOB_ENDED:
            self.states = (JobState(("canceled",) * len(state.parallel_runs), "canceled"),)
            self.nodes = NOTHING
