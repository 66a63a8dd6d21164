"""What a new run will consist of: its workflows and jobs, with their numbers, ids and times."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .runs import SETUP, BuildSeed, Follow, JobRun, Pace, Workflow, WorkflowRun, end_of, length_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAMES = uuid.UUID("6a9f0e5c-0a1b-5e0f-9f43-0d5a3c0b7d11")
MILLISECOND = timedelta(milliseconds=1)


@dataclass(slots=True)
class Counters:
    """Gives out numbers and ids; the same sequence in every stand-in, so that what it prints can be compared."""

    last: dict[tuple[str, str], int] = field(default_factory=dict)

    def count(self, what: str, project: str) -> int:
        """Return the project's next number of a kind."""
        number = self.last.get((what, project), 0) + 1
        self.last[what, project] = number
        return number

    def reserve_job(self, project: str, number: int) -> None:
        """Let job numbers given out later be higher."""
        key = ("job", project)
        self.last[key] = max(number, self.last.get(key, 0))

    def new_id(self) -> str:
        """Return the next id."""
        return str(uuid.uuid5(NAMES, str(self.count("id", ""))))

    def jobs(self, project: str, names: Iterable[str]) -> tuple[JobRun, ...]:
        """Return new jobs of these names."""
        return tuple(JobRun(self.new_id(), self.count("job", project), name) for name in names)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where and when a run starts, how fast it goes, and what its workflows end in if not in their own outcome."""

    counters: Counters
    project: str
    created: datetime
    pace: Pace
    outcome: str = ""

    def workflows(self, chosen: Iterable[Workflow], *, with_setup: bool) -> tuple[WorkflowRun, ...]:
        """Plan the workflows of a run, after the one that a dynamic config starts with if there is one."""
        setup = [replace(self._started(Workflow(SETUP), "success"), tag=SETUP)] if with_setup else []
        after = setup[0].id if setup else None
        return (*setup, *(run for workflow in chosen for run in self._chain(workflow, after)))

    def _chain(self, workflow: Workflow, after: str | None) -> Iterator[WorkflowRun]:
        """Plan one workflow and its automatic reruns."""
        outcome = self.outcome or workflow.outcome
        limit = len(workflow.reruns) or None
        first = replace(self._started(workflow, outcome), max_auto_reruns=limit)
        if after is not None:
            first = replace(first, follows=self._follow(after, "success", outcome))
        yield first
        before = first.id
        for number, later in enumerate(workflow.reruns, start=1):
            rerun = replace(
                self._started(workflow, later),
                follows=self._follow(before, "failed", later),
                is_rerun=True,
                auto_rerun_number=number,
                max_auto_reruns=limit,
            )
            yield rerun
            before = rerun.id

    def _follow(self, before: str, status: str, outcome: str) -> Follow:
        return Follow(before, status, delay=self.pace.appear, length=length_of(outcome, self.pace))

    def _started(self, workflow: Workflow, outcome: str) -> WorkflowRun:
        return WorkflowRun(
            id=self.counters.new_id(),
            name=workflow.name,
            outcome=outcome,
            created_at=self.created + timedelta(seconds=self.pace.appear),
            ends_at=end_of(outcome, self.created, self.pace),
            jobs=self.counters.jobs(self.project, tuple(workflow.jobs) or (workflow.name,)),
        )


def rerun_of(workflow: WorkflowRun, outcome: str, plan: Plan) -> WorkflowRun:
    """Plan a rerun from the start: the same name and jobs, later than the workflow that it repeats.

    Guess: a rerun from failed has the same jobs; whether those that had succeeded are listed is not known.
    """
    created = max(plan.created, workflow.created_at + MILLISECOND)
    length = length_of(outcome, plan.pace)
    return WorkflowRun(
        id=plan.counters.new_id(),
        name=workflow.name,
        outcome=outcome,
        created_at=created,
        ends_at=None if length is None else created + timedelta(seconds=length),
        jobs=plan.counters.jobs(plan.project, (job.name for job in workflow.jobs)),
        is_rerun=True,
    )


def seeded(seed: BuildSeed, created: datetime, counters: Counters) -> WorkflowRun:
    """Return the workflow of a build from outside; it stays as it is."""
    return WorkflowRun(
        id=seed.workflow_id or counters.new_id(),
        name=seed.workflow_name,
        outcome=seed.status,
        created_at=created,
        ends_at=None if seed.status == "running" else created,
        jobs=tuple(_seeded_job(seed, JobRun("", 0, *job, created), counters) for job in seed.jobs.items()),
    )


def _seeded_job(seed: BuildSeed, job: JobRun, counters: Counters) -> JobRun:
    number = seed.numbers.get(job.name)
    if number is None:
        number = counters.count("job", seed.project)
    counters.reserve_job(seed.project, number)
    return replace(job, id=counters.new_id(), number=number)
