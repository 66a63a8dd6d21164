"""What a trigger would start, in words: for `plan`, `matrix` and `run --sandbox`."""

from collections.abc import Mapping

from deploystep.core.facts import Answer
from deploystep.core.frozen import dataclass
from deploystep.project.conditions import Value
from deploystep.project.config import Config, WorkflowRuns
from deploystep.project.refs import Ref


@dataclass(frozen=True, slots=True)
class WouldRun:
    """What a trigger would start: in words, and each workflow that runs or may, with its jobs."""

    text: str
    workflows: tuple[WorkflowRuns, ...] = ()


def would_run(config: Config, ref: Ref, parameters: Mapping[str, Value]) -> WouldRun:
    """What a trigger with these parameters would start."""
    if config.setup:
        return WouldRun(f"not known: {config.path}:{config.setup}: a setup config is continued by another one")
    for name in parameters:
        if name not in config.parameters:
            return WouldRun(f"nothing: {config.path} does not declare parameter '{name}'")
    all_runs = config.runs(config.trigger(ref, parameters))
    running = tuple(w for w in all_runs if w.runs.answer is not Answer.NO)
    if running:
        return WouldRun("; ".join(map(_told, running)), running)
    reasons = [f"{w.workflow.name} ({config.path}:{w.runs.line}: {w.runs.why})" for w in all_runs]
    return WouldRun(f"nothing: {'; '.join(reasons) or 'there is no workflow'}")


def _told(w: WorkflowRuns) -> str:
    """A workflow and its jobs; "perhaps" is said of a job only where it is not said of all of them."""
    perhaps, maybe = ("", "perhaps ") if w.runs.answer is Answer.YES else ("perhaps ", "")
    words = {Answer.YES: "", Answer.UNKNOWN: maybe}
    jobs = [f"{words[runs.answer]}{job.alias}" for job, runs in w.jobs if runs.answer in words]
    return f"{perhaps}workflow {w.workflow.name}: {', '.join(jobs)}"
