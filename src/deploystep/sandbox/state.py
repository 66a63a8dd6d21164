"""Runs, workflows and jobs as values: what was asked, what it becomes, and what the passing of time makes of it.

A run is kept as it will end; `Run.at` shows it as it is at one moment. Nothing has to tick in between, so a test that
owns the clock owns the whole progress.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

Scalar: TypeAlias = str | int | bool
"""A pipeline parameter."""
NOTHING: Mapping[Any, Any] = MappingProxyType({})
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
    """How long things take, in seconds since a run was created.

    After `appear` its workflows are listed, after `finish` they reach their outcome. After `listed` it appears in lists
    and searches, while whoever asks by id finds it at once. After `form` (never later than its workflows) its config is
    compiled and it is `created`, no longer `pending`.
    """

    appear: float = 0.2
    finish: float = 2.0
    listed: float = 0.0
    form: float = 0.1


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow of the imaginary config; raises `ValueError` for an outcome that is no state of a workflow.

    It starts in a created run if every pair in `when` equals the request's parameter of that name, in type too.
    An `outcome` that is no end (`on_hold`, `failing`) is where it stays. It has one job, of its own name.
    """

    name: str
    when: Mapping[str, Scalar] = field(default_factory=dict)
    outcome: str = "success"

    def __post_init__(self) -> None:
        if self.outcome not in WORKFLOW_STATES:
            known = ", ".join(sorted(WORKFLOW_STATES))
            raise ValueError(f"`{self.outcome}` is not a state of a workflow, one of {known}")

    def starts_with(self, parameters: Mapping[str, Scalar]) -> bool:
        """Tell whether a run with these parameters contains this workflow."""
        return all((type(value), value) == (type(sent := parameters.get(n)), sent) for n, value in self.when.items())


@dataclass(frozen=True, slots=True)
class TriggerBody:
    """What was asked for, whichever API asked. Without branch and tag the default branch is meant.

    Only v1.1 can pin a `revision` and names a `job`; only v2 and v3 name a pipeline definition.
    """

    branch: str | None = None
    tag: str | None = None
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    definition_id: str | None = None
    revision: str | None = None
    job: str = "build"


class ProjectConfig(NamedTuple):
    """A project's config: its text, what its parameters are where they are not sent, and the workflows of a trigger.

    `starts` raises `ValueError` with CircleCI's words for a trigger or a config that is refused. Without it, the
    workflows are those of the server.
    """

    text: str
    defaults: Mapping[str, Scalar] = NOTHING
    starts: Callable[[TriggerBody], Sequence[Workflow]] | None = None


@dataclass(frozen=True, slots=True)
class RunOverride:
    """How a created run differs from what was asked.

    With `instead` nothing is created: the answer is 200 with this message. `errors` is the message of a config error.
    `revision` is another commit, empty for one that the server makes up. `outcome` is the state in which its workflows
    end, `lag` how many seconds pass until lists show it. With `setup` it starts with a setup workflow.
    """

    instead: str = ""
    errors: str = ""
    no_workflow: bool = False
    revision: str | None = None
    outcome: str = ""
    lag: float | None = None
    setup: bool = False


AS_ASKED = RunOverride()


class Change(NamedTuple):
    """A status and when it begins."""

    at: datetime
    status: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a workflow; `status` is its own where it differs from the workflow's. `nodes` has one per node."""

    id: str
    number: int
    name: str
    status: str = ""
    nodes: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Run:
    """What one trigger created: a pipeline in v2's words, a single job in v1.1's.

    `project` is the slug in its short form, `gh/acme/shop`. `number` is the pipeline's number, for v1.1 the job's
    (`build_num`). `api` says who created it: `v2`, `v1.1`, `v3`, or `webhook` for a build that was put
    there from outside, whatever its `trigger` (a word of v2's). A v1.1 job is one workflow with that job. `errors` are
    messages about its config. `state`, `errors` and `workflows` are as of the moment for which it is shown.
    """

    id: str
    number: int
    project: str
    branch: str | None
    tag: str | None
    revision: str
    api: str
    created_at: datetime
    formed_at: datetime
    listed_at: datetime
    workflows: tuple[WorkflowRun, ...]
    errors: tuple[str, ...] = ()
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    definition_id: str | None = None
    trigger: str = "api"
    state: str = ""

    @property
    def is_pipeline(self) -> bool:
        """Whether it is what v2 calls a pipeline and v3 a run: everything but v1.1's single jobs."""
        return self.api != "v1.1"

    def at(self, now: datetime) -> "Run":
        """Show it as it is at one moment.

        Guess: the run of a dynamic config is in `setup` until that workflow has succeeded.
        """
        shown: dict[str, WorkflowRun] = {}
        for workflow in self.workflows:
            changes = tuple(change for change in workflow.changes if change.at <= now)
            before = shown.get(workflow.follows[0]) if workflow.follows else None
            if changes and (workflow.follows is None or (before and before.status == workflow.follows[1])):
                shown[workflow.id] = replace(workflow, changes=changes)
        setup = next((shown.get(w.id, w) for w in self.workflows if w.tag == SETUP), None)
        is_set_up = setup is None or (setup.id in shown and setup.status == "success")
        state = "errored" if self.errors else "created" if is_set_up else "setup"
        if now < self.formed_at:
            state = "setup-pending" if setup else "pending"
        errors = self.errors if now >= self.formed_at else ()
        return replace(self, state=state, errors=errors, workflows=tuple(shown.values()))


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


class JobView(NamedTuple):
    """A job as it is now, in its workflow and run. Nothing queues here: it starts when its workflow is created."""

    run: Run
    workflow: WorkflowRun
    job: Job

    @property
    def status(self) -> str:
        """Its state, in v2's words."""
        return self.job.status or JOB_OF_WORKFLOW.get(self.workflow.status, self.workflow.status)

    @property
    def stopped_at(self) -> datetime | None:
        """When it ended; None if it has not."""
        return self.workflow.created_at if self.job.status in JOB_ENDED else self.workflow.stopped_at

    @property
    def parallel_runs(self) -> tuple[str, ...]:
        """One state per node."""
        return self.job.nodes or (self.status,)


def jobs_of(run: Run) -> list[JobView]:
    """Return the jobs of a run as it is shown, in the order of their creation."""
    return [JobView(run, workflow, job) for workflow in run.workflows for job in workflow.jobs]


class ScriptedJob:
    """A parallel job: of the states of its script the last one whose conditions hold is shown.

    `nodes` are the states, by index, that faults have given to nodes for good.
    """

    def __init__(self, view: JobView, states: Sequence[JobState]) -> None:
        self.view, self.states, self.polls = view, tuple(states), 0
        self.nodes: Mapping[int, str] = NOTHING

    def shown(self, now: datetime) -> JobView:
        """Return the job as it is now."""
        passed = (now - self.view.workflow.created_at).total_seconds()
        holding = [s for s in self.states if self.polls >= s.after_polls and passed >= s.after_seconds]
        state = (holding or self.states)[-1 if holding else 0]
        nodes = tuple(self.nodes.get(index, status) for index, status in enumerate(state.parallel_runs))
        return self.view._replace(job=replace(self.view.job, status=state.status, nodes=nodes))

    def cancel(self) -> None:
        """Let all its nodes be canceled from now on."""
        nodes = ("canceled",) * len(self.states[0].parallel_runs)
        self.states, self.nodes = (JobState(nodes, "canceled"),), NOTHING
