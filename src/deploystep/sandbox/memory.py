"""Everything that a reset forgets, and the indexes by which it is found again."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .planning import Counters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .faults import Fault
    from .jobs import ScriptedJob
    from .runs import Run


@dataclass(slots=True)
class Memory:
    """What was told and what was created. Runs are kept as they will end, in the order of their creation."""

    heads: dict[str, str]
    counters: Counters = field(default_factory=Counters)
    jobs: dict[tuple[str, int], ScriptedJob] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    _runs: dict[str, Run] = field(default_factory=dict)
    _order: list[tuple[datetime, int, str]] = field(default_factory=list)
    _workflows: dict[str, str] = field(default_factory=dict)
    _numbers: dict[tuple[str, int], str] = field(default_factory=dict)

    def put(self, run: Run) -> None:
        """Keep a run, or what has become of one."""
        if run.id not in self._runs:
            insort(self._order, (run.created_at, len(self._order), run.id))
        self._runs[run.id] = run
        for workflow in run.workflows:
            self._workflows.setdefault(workflow.id, run.id)
            for job in workflow.jobs:
                self._numbers.setdefault((run.project, job.number), run.id)

    def __iter__(self) -> Iterator[Run]:
        """Return the runs, oldest first."""
        return (self._runs[run_id] for _, _, run_id in self._order)

    def newest_first(self) -> Iterator[Run]:
        """Return the runs the other way round."""
        return (self._runs[run_id] for _, _, run_id in reversed(self._order))

    def run(self, run_id: str) -> Run | None:
        """Return the run with this id."""
        return self._runs.get(run_id)

    def run_of_workflow(self, workflow_id: str) -> Run | None:
        """Return the run that a workflow belongs to."""
        return self._runs.get(self._workflows.get(workflow_id, ""))

    def run_of_job(self, project: str, number: int) -> Run | None:
        """Return the run that a job belongs to."""
        return self._runs.get(self._numbers.get((project, number), ""))
