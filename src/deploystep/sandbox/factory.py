"""What a new run consists of: its workflows and jobs with their numbers, ids and times, and its config."""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from .bodies import TriggerBody
from .messages import RunOverride, Scalar
from .state import SETUP, Change, Job, Pace, Run, RunError, Workflow, WorkflowRun

NAMES = uuid.UUID("6a9f0e5c-0a1b-5e0f-9f43-0d5a3c0b7d11")
AT_ONCE = frozenset({"unauthorized", "error", "not_run"})
"""Outcomes that need no running time."""
PARAMETER = re.compile(r"<<\s*pipeline\.parameters\.([A-Za-z0-9_-]+)\s*>>")
TYPES = {str: "string", bool: "boolean", int: "integer"}


class Factory:
    """Makes runs. Numbers and ids come in the same sequence in every server, so that what it prints can be compared."""

    def __init__(self, pace: Pace, workflows: Sequence[Workflow]) -> None:
        self.pace = pace
        self.workflows = tuple(workflows)
        self._last: dict[tuple[str, str], int] = {}

    def count(self, what: str, project: str = "") -> int:
        """Return the project's next number of a kind."""
        self._last[what, project] = self._last.get((what, project), 0) + 1
        return self._last[what, project]

    def reserve_job(self, project: str, number: int) -> None:
        """Let job numbers given out later be higher."""
        self._last["job", project] = max(number, self._last.get(("job", project), 0))

    def new_id(self) -> str:
        """Return the next id."""
        return str(uuid.uuid5(NAMES, str(self.count("id"))))

    def run(self, api: str, project: str, body: TriggerBody, override: RunOverride, now: datetime) -> Run:
        """Make what a trigger asks for, at `body.revision`."""
        errors = (RunError("config", override.errors),) if override.errors else ()
        workflows = self._workflows(api, project, body, override, now)
        listed = self.pace.listed if override.lag is None else override.lag
        return Run(
            id=self.new_id(),
            number=workflows[0].jobs[0].number if api == "v1.1" else self.count("run", project),
            project=project,
            branch=body.branch,
            tag=body.tag,
            revision=body.revision or "",
            parameters=dict(body.parameters),
            definition_id=body.definition_id,
            api=api,
            trigger="api",
            created_at=now,
            formed_at=now + timedelta(seconds=min(self.pace.form, self.pace.appear)),
            listed_at=now + timedelta(seconds=listed),
            errors=errors,
            workflows=workflows,
        )

    def _workflows(
        self, api: str, project: str, body: TriggerBody, override: RunOverride, now: datetime
    ) -> tuple[WorkflowRun, ...]:
        """Make what starts. v1.1 knows no workflows: it starts its one job, come what may."""
        begins = now + timedelta(seconds=self.pace.appear)
        if api == "v1.1":
            outcome = override.outcome or ("failed" if override.errors else "success")
            job = self.workflow(project, Workflow(body.job), outcome, begins)
            return (WorkflowRun(job.id, job.name, job.jobs, (Change(now, "not_running"), *job.changes)),)
        if override.errors:
            return ()
        setup: tuple[WorkflowRun, ...] = ()
        if override.setup:
            setup = (self.workflow(project, Workflow(SETUP), "success", begins, tag=SETUP),)
            begins = setup[0].changes[-1].at + timedelta(seconds=self.pace.appear)
        follows = (setup[0].id, "success") if setup else None
        chosen = [w for w in self.workflows if w.starts_with(body.parameters) and not override.no_workflow]
        return (
            *setup,
            *(self.workflow(project, w, override.outcome or w.outcome, begins, follows=follows) for w in chosen),
        )

    def workflow(  # noqa: PLR0913 - what a workflow is made of
        self,
        project: str,
        workflow: Workflow,
        outcome: str,
        begins: datetime,
        *,
        tag: str | None = None,
        follows: tuple[str, str] | None = None,
    ) -> WorkflowRun:
        """Make a workflow that begins at a moment and runs until it gets to its outcome."""
        length = 0.0 if outcome in AT_ONCE else max(0.0, self.pace.finish - self.pace.appear)
        changes = (Change(begins, "running"), Change(begins + timedelta(seconds=length), outcome))
        jobs = (self._job(project, workflow.name),)
        return WorkflowRun(self.new_id(), workflow.name, jobs, changes, tag, follows)

    def build(self, project: str, workflow: Workflow, statuses: Mapping[str, str], at: datetime) -> WorkflowRun:
        """Make the workflow of a build from outside, which stays as it is."""
        jobs = (self._job(project, name, status) for name, status in statuses.items())
        return WorkflowRun(self.new_id(), workflow.name, tuple(jobs), (Change(at, workflow.outcome),))

    def _job(self, project: str, name: str, status: str = "") -> Job:
        return Job(self.new_id(), self.count("job", project), name, status)


def default_config(parameters: Mapping[str, Scalar]) -> str:
    """Write a config that declares each parameter and uses it once."""
    declared = [
        f"  {name}: {{type: {TYPES[type(value)]}, default: {json.dumps(type(value)())}}}"
        for name, value in parameters.items()
    ]
    used = [f"      PARAMETER_{i}: << pipeline.parameters.{name} >>" for i, name in enumerate(parameters, start=1)]
    lines = ["version: 2.1", *(["parameters:", *declared] if declared else [])]
    lines += ["jobs:", "  deploy:", "    docker: [{image: cimg/base:stable}]"]
    lines += ["    environment:", *used] if used else []
    lines += ["    steps: [{run: ./deploy.sh}]", "workflows:", "  deploy: {jobs: [deploy]}"]
    return "\n".join(lines) + "\n"


def compiled(source: str, parameters: Mapping[str, Scalar]) -> str:
    """Replace the parameters that a config uses by their values; one that was not sent is empty."""

    def value(found: re.Match[str]) -> str:
        sent = parameters.get(found[1], "")
        return sent if isinstance(sent, str) else json.dumps(sent)

    return PARAMETER.sub(value, source)
