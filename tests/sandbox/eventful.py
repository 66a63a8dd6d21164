"""A mock CircleCI in which more happens by itself: auto-cancel, automatic reruns, dynamic configs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from deploystep.sandbox import JobView, Run, Sandbox, TriggerBody, WorkflowRun

ENDED = frozenset({"success", "failed", "error", "canceled", "unauthorized", "not_run"})


@dataclass(kw_only=True, eq=False)
class EventfulSandbox(Sandbox):
    """`reruns` are the outcomes of a workflow's automatic reruns, by its name: each follows if the one before failed.

    With `has_setup` every run begins with a setup workflow. With `auto_cancel` a newer run of a branch other than
    main cancels what older ones are still doing. A workflow in `skips` does not run its job the first time, and says
    success all the same. `on_trigger` is told of every run that a trigger creates. `ends` says of jobs, by project and
    number, how each node ends and when; what a fault has shown of a node stays so.
    """

    has_setup: bool = False
    auto_cancel: bool = False
    reruns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    skips: Sequence[str] = ()
    on_trigger: Callable[[Run], None] = lambda _run: None
    ends: dict[tuple[str, int], dict[int, tuple[datetime, str]]] = field(default_factory=dict)

    def next_job(self, project: str) -> int:
        return self._count("job", project)

    def create(self, api: str, project: str, body: TriggerBody) -> Run:
        run = super().create(api, project, body._replace(setup=body.setup or self.has_setup))
        self.on_trigger(run)
        return run

    def job(self, project: str, number: int, nodes: Mapping[int, str] = MappingProxyType({})) -> JobView | None:
        ends = self.ends.get((project, number), {})
        ends.update({index: (self.now(), status) for index, status in nodes.items()})
        ended = {index: status for index, (at, status) in ends.items() if at <= self.now()}
        return super().job(project, number, {**nodes, **ended})

    def on_create(self, run: Run) -> Run:
        if self.auto_cancel and run.branch not in {None, "main"} and _takes_part(run):
            for older in filter(_takes_part, self.stored_runs()):
                if (older.project, older.branch) == (run.project, run.branch):
                    self._supersede(older)
        if not run.is_pipeline:
            return run
        chains = [self._chain(run, self._skipped(workflow)) for workflow in run.workflows]
        return replace(run, workflows=tuple(workflow for chain in chains for workflow in chain))

    def _supersede(self, run: Run) -> None:
        """Guess: what has not been created yet is canceled too; reruns go on."""
        over = {workflow.id for workflow in run.at(self.now()).workflows if workflow.status in ENDED}
        for workflow in run.workflows:
            if workflow.id not in over and not workflow.auto_rerun_number:
                self.set_workflow(workflow.id, "canceled")

    def _skipped(self, workflow: WorkflowRun) -> WorkflowRun:
        is_first = not any(w.name == workflow.name for run in self.stored_runs() for w in run.workflows)
        if not is_first or workflow.name not in self.skips:
            return workflow
        return replace(workflow, jobs=tuple(replace(job, status="not_run") for job in workflow.jobs))

    def _chain(self, run: Run, workflow: WorkflowRun) -> Sequence[WorkflowRun]:
        outcomes = self.reruns.get(workflow.name, ())
        chain = [replace(workflow, max_auto_reruns=len(outcomes))]
        for number, outcome in enumerate(outcomes, start=1):
            begins = chain[-1].changes[-1][0] + timedelta(seconds=self.pace.appear)
            made = self.new_workflow(run.project, workflow.name, outcome, begins, (chain[-1].id, "failed"))
            chain.append(replace(made, auto_rerun_number=number, max_auto_reruns=len(outcomes)))
        return chain


def _takes_part(run: Run) -> bool:
    """Guess: v1.1's single jobs and scheduled runs neither cancel nor are canceled."""
    return run.is_pipeline and run.trigger != "scheduled_pipeline"
