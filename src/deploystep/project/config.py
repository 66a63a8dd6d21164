"""What a config runs: given a ref, an origin and parameters, which workflows and jobs, and on which lines it says so.

CircleCI docs, "Configuration reference": a workflow with `triggers:` runs by its schedule alone; a config without
workflows runs the job `build`; a job all of whose `requires` are filtered out does not run either, and of several of
which one is, for a tag, the page says two things; a matrix is required by its `alias`. Version 2 knows no parameters.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import permutations, product
from math import prod
from typing import Final

from deploystep.core.build import Branch, Tag
from deploystep.core.frozen import dataclass, replace
from deploystep.core.source import Place
from deploystep.core.trace import Answer, kleene_and, kleene_or
from deploystep.project.conditions import Reason, Runs, filtered, gate
from deploystep.project.expressions import UNKNOWN, Trigger, Undeclared, Value, filled_parameters
from deploystep.project.reading import (
    ConfigUnreadable,
    Items,
    Map,
    Node,
    Text,
    all_texts,
    at,
    items_of,
    key_line,
    map_of,
    read_yaml,
    size,
    texts_of,
    typed,
)

_MOST_JOBS: Final = 500  # of one matrix
_MOST_ORDERED: Final = 4  # parameters of a matrix that are put into every order
_MOST_NODES: Final = 100_000  # with what aliases repeat
_MOST_CHAINED: Final = 200  # jobs of which each requires the next
_ONE_JOB: Final = "build"
_SUCCEEDED: Final = frozenset({"success", "terminal"})
_REFUSED: Final = "CircleCI refuses this config: "


@dataclass(frozen=True, slots=True)
class Declared:
    """A pipeline parameter: its type in CircleCI's words, the values of an enum, and its default where it has one."""

    type: str
    line: int
    values: tuple[str, ...] = ()
    default: Value = UNKNOWN
    has_default: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a workflow. `names` are all that a matrix makes of it; one that only compiling tells has a `<<`."""

    key: str
    names: tuple[str, ...]
    alias: str
    line: int
    fields: Map

    @classmethod
    def plain(cls, key: Text) -> "Job":
        """One of which nothing is written but its name."""
        return cls(str(key), (str(key),), str(key), key.line, Map())

    @property
    def requires(self) -> list[str]:
        """Names of the jobs that it waits for, with whatever status."""
        found = at(self.fields, "requires")
        return [*map(str, texts_of(found)), *(str(key) for item in items_of(found) for key in map_of(item))]

    @property
    def after(self) -> Map:
        """Of the jobs that it waits for those whose success it does not start on."""
        found = [pair for item in items_of(at(self.fields, "requires")) for pair in map_of(item).items()]
        return Map({key: node for key, node in found if not {*texts_of(node)} & _SUCCEEDED})

    @property
    def is_approval(self) -> bool:
        """Whether it is a person's word, and runs nothing."""
        return at(self.fields, "type") == "approval"


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow and its jobs, also by their names; `fields` are empty for a config that has jobs alone."""

    name: str
    line: int
    fields: Map
    jobs: tuple[Job, ...]
    named: Mapping[str, tuple[Job, ...]]

    def required(self, job: Job) -> list[Job]:
        """The jobs that a job waits for, directly; where a matrix fills in a name, all that it may be."""
        found = [other for need in job.requires for other in self.named.get(need, ())]
        for start in (need.partition("<<")[0] for need in job.requires if "<<" in need):
            found += [other for name, others in self.named.items() if name.startswith(start) for other in others]
        return list({id(other): other for other in found}.values())

    def all_required(self, *jobs: Job) -> list[Job]:
        """The jobs that these wait for, directly or through others; not in order."""
        found: dict[int, Job] = {}
        waiting = list(jobs)
        while waiting:
            new = [other for other in self.required(waiting.pop()) if id(other) not in found]
            found |= {id(other): other for other in new}
            waiting += new
        return list(found.values())


@dataclass(frozen=True, slots=True)
class WorkflowRuns:
    """Whether a workflow runs, and each of its jobs."""

    workflow: Workflow
    runs: Runs
    jobs: tuple[tuple[Job, Runs], ...]

    @property
    def certain(self) -> tuple[Job, ...]:
        """The jobs that run for sure."""
        return tuple(job for job, runs in self.jobs if runs.answer is Answer.YES)


@dataclass(frozen=True, slots=True)
class Config:
    """A config. `setup` is the line that says that another one takes its place; 0 where none does."""

    path: str
    text: str
    root: Map
    version: str
    setup: int
    parameters: Mapping[str, Declared]
    workflows: tuple[Workflow, ...]
    has_workflows: bool
    refused: Runs | None  # where it is certain that CircleCI refuses it

    @property
    def is_version_2(self) -> bool:
        """Whether it is one of those that know no parameters, and whose jobs API v1.1 can start."""
        return self.version in ("2", "2.0")

    @property
    def jobs(self) -> list[Job]:
        """The jobs of all workflows."""
        return [job for workflow in self.workflows for job in workflow.jobs]

    @property
    def job_names(self) -> list[str]:
        """What they are called, with names that only compiling tells."""
        return [name for job in self.jobs for name in job.names]

    def place(self, line: int) -> Place:
        """A line of it; 0 is the whole file."""
        return Place(self.path, line)

    def trigger(self, ref: Branch | Tag, sent: Mapping[str, Value], *, by_api: bool = True) -> Trigger:
        """A trigger that sends some parameters; the others have their defaults."""
        return Trigger(
            ref, by_api, {name: sent.get(name, declared.default) for name, declared in self.parameters.items()}
        )

    def any_trigger(self, ref: Branch | Tag) -> Trigger:
        """Whatever starts a pipeline at a ref."""
        return Trigger(ref, by_api=True, parameters={}, is_any=True)

    def runs(self, trigger: Trigger) -> tuple[WorkflowRuns, ...]:
        """What runs for a trigger, in the order written."""
        none = None if trigger.is_any else self.refused
        try:
            if none is None:
                return tuple(_workflow_runs(workflow, trigger) for workflow in self.workflows)
        except Undeclared as error:
            why = f"parameter '{error.name}' is not declared in this config"
            none = Runs(Answer.NO, error.line, why, Reason.UNDECLARED)
        return tuple(WorkflowRuns(w, none, tuple((job, none) for job in w.jobs)) for w in self.workflows)


def _workflow_runs(workflow: Workflow, trigger: Trigger) -> WorkflowRuns:
    opened = gate(workflow.fields, trigger)
    if items_of(at(workflow.fields, "triggers")) and opened.answer is not Answer.NO:
        line = key_line(workflow.fields, "triggers")
        why = "a workflow with triggers: runs by its schedule alone"
        opened = Runs(Answer.UNKNOWN if trigger.is_any else Answer.NO, line, why, Reason.SCHEDULE)
    found: dict[int, Runs] = {}
    jobs = []
    for job in workflow.jobs:
        runs = _job_runs(job, workflow, found, trigger, _MOST_CHAINED)
        answer = kleene_and((opened.answer, runs.answer))
        is_open = Answer.UNKNOWN is opened.answer is runs.answer  # then the filters tell more
        jobs.append((job, runs if is_open or opened.answer is not answer or answer is Answer.YES else opened))
    running = kleene_or(runs.answer for _, runs in jobs)
    decides = next((runs for _, runs in jobs if runs.answer is running is not Answer.YES), opened)
    return WorkflowRuns(workflow, replace(decides, answer=running), tuple(jobs))


def _job_runs(job: Job, workflow: Workflow, found: dict[int, Runs], trigger: Trigger, most: int) -> Runs:
    """Whether the filters of a job and of what it requires let it run; each job is looked at once."""
    if id(job) in found:
        return found[id(job)]
    mine = filtered(at(job.fields, "filters"), trigger, job.line)
    if not workflow.fields and isinstance(trigger.ref, Tag):
        mine = Runs(Answer.UNKNOWN)  # of a config without workflows the docs do not tell
    found[id(job)] = mine  # a circle of jobs ends here
    if mine.answer is Answer.NO:
        return mine
    if most == 0:
        return Runs(Answer.UNKNOWN)
    needed = [(other, _job_runs(other, workflow, found, trigger, most - 1)) for other in workflow.required(job)]
    out = [(other, runs) for other, runs in needed if runs.answer is Answer.NO]
    if out:
        other, runs = out[0]
        is_open = isinstance(trigger.ref, Tag) or any("<<" in need for need in job.requires)
        answer = Answer.NO if len(out) == len(needed) else Answer.UNKNOWN if is_open else mine.answer
        mine = Runs(answer, runs.line, f"it requires '{other.alias}': {runs.why}", runs.reason, is_required=True)
    elif mine.answer is Answer.YES and (statuses := job.after):
        name = next(iter(statuses))
        mine = Runs(Answer.UNKNOWN, name.line, f"it waits for job '{name}' to end in another way than success")
    elif needed and mine.answer is Answer.YES and all(runs.answer is Answer.UNKNOWN for _, runs in needed):
        mine = needed[0][1]
    found[id(job)] = mine
    return mine


def read_config(path: str, text: str) -> Config:
    """Read a config. Raises ConfigUnreadable."""
    root = read_yaml(text)
    if not isinstance(root, Map):
        raise ConfigUnreadable(root.line, "it is not a map")
    if any(size(node, {}) > _MOST_NODES for key, node in root.items() if key in ("workflows", "jobs", "commands")):
        raise ConfigUnreadable(1, "it is too large, with what its aliases repeat")
    version, setup = at(root, "version"), at(root, "setup")
    is_setup = setup is not None and not (isinstance(setup, Text) and typed(setup) is False)
    written, jobs = map_of(at(root, "workflows")), map_of(at(root, "jobs"))
    workflows = [_workflow(name, fields) for name, fields in written.items() if isinstance(fields, Map)]
    if not written and _ONE_JOB in jobs:
        only = Job.plain(next(key for key in jobs if key == _ONE_JOB))
        workflows = [Workflow(_ONE_JOB, only.line, Map(), (only,), {_ONE_JOB: (only,)})]
    parameters = {str(name): _declared(name, map_of(node)) for name, node in map_of(at(root, "parameters")).items()}
    return Config(
        path=path,
        text=text,
        root=root,
        version=str(version) if isinstance(version, Text) else "",
        setup=key_line(root, "setup") if is_setup else 0,
        parameters=parameters,
        workflows=() if is_setup else tuple(workflows),
        has_workflows=bool(written),
        refused=next(_refusals(workflows, root, parameters if version == "2.1" else None), None),
    )


def _declared(name: Text, fields: Map) -> Declared:
    default, kind = at(fields, "default"), at(fields, "type")
    value: Value = UNKNOWN
    if isinstance(default, Text):
        value = str(default) if kind in ("string", "enum") else typed(default)
    return Declared(
        type=str(kind) if isinstance(kind, Text) else "string",
        line=name.line,
        values=tuple(map(str, texts_of(at(fields, "enum")))),
        default=value,
        has_default=default is not None,
    )


def _workflow(name: Text, fields: Map) -> Workflow:
    jobs = tuple(job for entry in items_of(at(fields, "jobs")) for job in _jobs(entry))
    named: dict[str, tuple[Job, ...]] = {}
    for job in jobs:
        for each in {job.alias, *job.names}:
            named[each] = (*named.get(each, ()), job)
    return Workflow(str(name), name.line, fields, jobs, named)


def _refusals(workflows: Iterable[Workflow], root: Map, parameters: Mapping[str, Declared] | None) -> Iterator[Runs]:
    """Why CircleCI refuses a config: workflows name jobs, and jobs parameters, that there are not."""
    jobs = map_of(at(root, "jobs"))
    for workflow in workflows:
        # of groups, and of names that compiling makes, it is not said
        if "job-groups" not in root and all("<<" not in n and len(found) == 1 for n, found in workflow.named.items()):
            yield from _lost(workflow, jobs)
        nodes = [node for job in workflow.jobs for node in (at(jobs, job.key), job.fields)]
        texts = (text for node in nodes for text in all_texts(node) if "pipeline.parameters." in text)
        for text in texts if parameters is not None else ():
            for name in sorted(filled_parameters(text) - (parameters or {}).keys()):
                yield Runs(Answer.NO, text.line, f"{_REFUSED}parameter '{name}' is not declared", Reason.UNDECLARED)


def _lost(workflow: Workflow, jobs: Map) -> Iterator[Runs]:
    names = {*workflow.named, *(job.key for job in workflow.jobs)}
    for job in workflow.jobs:
        lost = next((need for need in job.requires if "<<" not in need and need not in names), None)
        if jobs and "/" not in job.key and job.key not in jobs and not job.is_approval:
            yield Runs(Answer.NO, job.line, f"{_REFUSED}there is no job '{job.key}'", Reason.REFUSED)
        elif lost is not None:
            why = f"job '{job.alias}' requires '{lost}', which workflow '{workflow.name}' has not"
            yield Runs(Answer.NO, job.line, _REFUSED + why, Reason.REFUSED)


def _jobs(entry: Node) -> Iterator[Job]:
    if isinstance(entry, Text):
        yield Job.plain(entry)
    elif isinstance(entry, Map) and len(entry) == 1:
        key, node = next(iter(entry.items()))
        fields = map_of(node)
        matrix = map_of(at(fields, "matrix"))
        name, alias = at(fields, "name"), at(matrix, "alias")
        names = _names(str(name) if isinstance(name, Text) else str(key), matrix, is_named=name is not None)
        shown = str(alias) if isinstance(alias, Text) else str(key) if matrix else names[0]
        yield Job(str(key), names, shown, key.line, fields)


def _names(name: str, matrix: Map, *, is_named: bool) -> tuple[str, ...]:
    """Every name that a matrix gives a job; those of an unnamed one in each order, which the docs do not tell."""
    if not matrix:
        return (name,)
    parameters = map_of(at(matrix, "parameters"))
    lists = [[str(text) for text in texts_of(node)] for node in parameters.values()]
    known = all(
        isinstance(n, Items) and all(isinstance(i, Text) and "<<" not in i for i in n) for n in parameters.values()
    )
    if not known or not 0 < prod(map(len, lists)) <= _MOST_JOBS:
        return (f"{name}<<",)
    excluded = [{str(k): str(v) for k, v in map_of(item).items()} for item in items_of(at(matrix, "exclude"))]
    found: list[str] = []
    for values in product(*lists):
        chosen = dict(zip(map(str, parameters), values, strict=True))
        if chosen in excluded:
            continue
        if is_named:
            made = name
            for key, value in chosen.items():
                for form in (f"<< matrix.{key} >>", f"<<matrix.{key}>>"):
                    made = made.replace(form, value)
            found.append(made)
        elif len(values) <= _MOST_ORDERED:
            found += ["-".join((name, *order)) for order in permutations(values)]
    return tuple(found) or (f"{name}<<",)
