"""Runs, workflows and jobs as values: what was asked, what it becomes, and what the passing of time makes of it.

A run is kept as it will end; `Run.at` shows it as it is at one moment. Nothing has to tick in between, so a test that
owns the clock owns the whole progress.
"""

from collections.abc import Mapping
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
JOB_OF_WORKFLOW = {"error": "failed", "failing": "failed"}
"""Workflow states for which the job's word is another one (v2 OpenAPI, Job.status)."""
SETUP = "setup"
"""The tag of the workflow that a dynamic config starts with (v2 OpenAPI, Workflow.tag), and its name here."""


class Pace(NamedTuple):
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
    """A workflow of the imaginary config.

    It starts in a created run if every pair in `when` equals the request's parameter of that name, in type too.
    An `outcome` that is no end (`on_hold`, `failing`) is where it stays. It has one job, of its own name.
    """

    name: str
    when: Mapping[str, Scalar] = field(default_factory=dict)
    outcome: str = "success"

    def starts_with(self, parameters: Mapping[str, Scalar]) -> bool:
        """Tell whether a run with these parameters contains this workflow."""
        return all((type(value), value) == (type(sent := parameters.get(n)), sent) for n, value in self.when.items())


class TriggerBody(NamedTuple):
    """What was asked for, whichever API asked. Without branch and tag the default branch is meant.

    Only v1.1 can pin a `revision` and names a `job`.
    """

    branch: str | None = None
    tag: str | None = None
    parameters: Mapping[str, Scalar] = NOTHING
    revision: str | None = None
    job: str = "build"


class RunOverride(NamedTuple):
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


class Change(NamedTuple):
    """A status and when it begins."""

    at: datetime
    status: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a workflow; `nodes` has one status per node. As it is kept, both are empty where the workflow's hold."""

    id: str
    number: int
    name: str
    status: str = ""
    nodes: tuple[str, ...] = ()

    def within(self, workflow_status: str) -> "Job":
        """Show it as it is where its workflow has this status."""
        status = self.status or JOB_OF_WORKFLOW.get(workflow_status, workflow_status)
        return replace(self, status=status, nodes=self.nodes or (status,))


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
            before, status = workflow.follows or ("", "")
            if changes and (not before or (before in shown and shown[before].status == status)):
                jobs = tuple(job.within(changes[-1].status) for job in workflow.jobs)
                shown[workflow.id] = replace(workflow, changes=changes, jobs=jobs)
        setups = [workflow.id for workflow in self.workflows if workflow.tag == SETUP]
        is_set_up = all(name in shown and shown[name].status == "success" for name in setups)
        has_formed = now >= self.formed_at
        state = "errored" if self.errors else "created" if is_set_up else "setup"
        if not has_formed:
            state = "setup-pending" if setups else "pending"
        errors = self.errors if has_formed else ()
        return replace(self, state=state, errors=errors, workflows=tuple(shown.values()))
