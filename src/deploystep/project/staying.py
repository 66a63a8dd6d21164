"""The jobs that deploy and cannot move into a workflow of their own, with the reason for each, and `gate` in them."""

import re
from collections.abc import Iterator
from typing import Final

from deploystep.core.frozen import dataclass
from deploystep.project.config import Config, Job, Workflow
from deploystep.project.reading import Map, Text, all_texts, at, items_of, map_of
from deploystep.project.steps import Read, runs_step

DEPLOYS: Final = re.compile(r"deploy(?!step)|release|publish|ship", re.IGNORECASE)
#: A command that any program can be put before: it holds nothing that is for a shell.
_PLAIN: Final = re.compile(
    r"(?!(?:cd|export|source|set|eval|exit|if|for|while|case|exec|trap)\b)[\w./-]+(?: [\w./:=@+<> -]+)?"
)


@dataclass(frozen=True, slots=True)
class Staying:
    """A job of a workflow that deploys, and why it cannot be moved."""

    workflow: Workflow
    job: Job
    why: str


def deploys(job: Job) -> bool:
    """Whether a job deploys, as far as its name tells."""
    return not job.is_approval and any(DEPLOYS.search(name) for name in (job.alias, job.key))


def staying(config: Config, build: str, read: Read, every: str = "") -> Iterator[Staying]:
    """Yield every job that deploys and cannot move out of `build`, in the order written; `every` is why none can."""
    for workflow in config.workflows:
        for job in filter(deploys, workflow.jobs):
            why = every or _why(config, workflow, job, build, read)
            if why:
                yield Staying(workflow, job, why)


def _why(config: Config, workflow: Workflow, job: Job, build: str, read: Read) -> str:
    definition = at(config.root, "jobs", job.key)
    steps = runs_step(config, job, read)
    after = [other.alias for other in workflow.jobs if job in workflow.required(other)]
    has_values = at(definition, "parameters") is not None or job.alias != job.key or len(job.names) != 1
    reasons = (
        (bool(steps.calls), "it runs deploystep already"),
        (bool(steps.workspace), f"line {steps.workspace} attaches a workspace, which another pipeline does not have"),
        (definition is None, "its steps are not in this config"),
        (has_values, "it has parameters, or a name beside that of its steps"),
        (at(job.fields, "filters", "tags") is not None, "it deploys tags"),
        (bool(after), f"{', '.join(after)} requires it"),
        (workflow.name != build, f"workflow {workflow.name} is not the one that a push runs first"),
    )
    return next((why for is_so, why in reasons if is_so), "")


def command_of(config: Config, job: Job) -> Text | None:
    """The command of the last `run` step of a job; None where it has none of its own."""
    steps = (at(s, "run") for s in reversed(items_of(at(config.root, "jobs", job.key, "steps"))) if isinstance(s, Map))
    run = next((found for found in steps if found is not None), None)
    command = run if isinstance(run, Text) else at(run, "command")
    return command if isinstance(command, Text) else None


def is_gateable(config: Config, job: Job, command: Text, line: str) -> bool:
    """Whether `gate` can be written before a command where it stands: one program, which one job alone runs."""
    is_here = line[command.column - 1 :].startswith(command) and command.is_plain and command.end[0] == command.line
    uses = [name for other in config.jobs if other.key == job.key for name in other.names]
    others = [node for key, node in map_of(at(config.root, "jobs")).items() if key != job.key]
    is_shared = any(text is command for node in (*others, at(config.root, "commands")) for text in all_texts(node))
    return is_here and len(uses) == 1 and not is_shared and _PLAIN.fullmatch(command) is not None
