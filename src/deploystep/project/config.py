"""What a config runs: given a ref, an origin and parameters, which workflows and jobs, and on which lines it says so.

CircleCI docs, "Configuration reference": a workflow with `triggers:` runs by its schedule alone; a config without
workflows runs the job `build`; a job all of whose `requires` are filtered out does not run either, for a tag one of
which is; a matrix is required by its `alias`. Version 2 knows no parameters.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Final

from deploystep.core.build import Branch, Tag
from deploystep.core.facts import Answer, kleene_or
from deploystep.core.frozen import Frozen, replace
from deploystep.project import conditions, reading
from deploystep.project.conditions import UNKNOWN, Runs, Trigger, Value
from deploystep.project.reading import ConfigUnreadable, Map, Node, Text, at, items_of, key_line, map_of, texts_of

DEPLOYS: Final = re.compile(r"deploy(?!step)|release|publish|ship", re.IGNORECASE)
VERSION_2: Final = ("2", "2.0")  # of it CircleCI reads no parameters, and API v1.1 can start its jobs
_MOST_NODES: Final = 100_000  # with what aliases repeat
_MOST_NAMES: Final = 5000  # of one matrix
_MOST_CHAINED: Final = 200  # jobs of which each requires the next
_NO_STEPS: Final = frozenset({"pre-steps", "post-steps"})
_REFUSED: Final = "CircleCI refuses this config: "
Read = Callable[[str], str | None]  #: the text of a file of the repository; None where there is none
_STEP: Final = re.compile(r"\bdeploystep(?:\.pyz)?\s+(run|gate|plan)\b((?:(?!\bdeploystep\s)(?:\\\n|[^\n]))*)")
_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#[^\n]*", re.MULTILINE)
_FILE: Final = re.compile(r"(?<![\w./-])(?:\./)?([\w-][\w./-]*)")
_BUILT_IN: Final = frozenset({
    "checkout", "run", "when", "unless", "save_cache", "restore_cache", "setup_remote_docker", "store_artifacts",
    "store_test_results", "persist_to_workspace", "add_ssh_keys", "deploy",
})  # fmt: skip
_MOST_DEEP: Final = 8  # commands and conditions in each other
#: A value that is filled in where the shell expects a command, or the name of a script.
_MAY_RUN: Final = re.compile(
    r"(?:^|[;&|(`]|(?<!\S)(?:then|do|else|bash|sh|zsh|source|\.|eval|exec|sudo|env|xargs|time|nohup|deploystep)\s)"
    r"\s*(?:-\w+\s+)*[\"']?[\w./-]*<<[^<>]*>>",
    re.MULTILINE,
)
RUN: Final = "run "  #: stands for `deploystep run`; no rule is called so


class Declared(Frozen):
    """A pipeline parameter: its type in CircleCI's words, the values of an enum, and its default if it has one."""

    type: str
    line: int
    values: tuple[str, ...] = ()
    default: Value = UNKNOWN


class Job(Frozen):
    """A job of a workflow. `names` are all that a matrix makes of it; one that only compiling tells has a `<<`."""

    key: str
    names: tuple[str, ...]
    alias: str
    line: int
    fields: Map

    @property
    def requires(self) -> list[str]:
        found = at(self.fields, "requires")
        return [*map(str, texts_of(found)), *(str(key) for item in items_of(found) for key in map_of(item))]

    def is_called(self, name: str) -> bool:
        """Whether it, or one that its matrix makes of it, has a name, or may have it once the config is compiled."""
        return any(name == n or ("<<" in n and name.startswith(n.partition("<<")[0])) for n in self.names)

    @property
    def is_approval(self) -> bool:
        """Whether it is a person's word, and runs nothing."""
        return at(self.fields, "type") == "approval"

    @property
    def deploys(self) -> bool:
        """Whether it deploys, as far as its name tells."""
        return not self.is_approval and any(map(DEPLOYS.search, (self.alias, self.key)))


class Workflow(Frozen):
    """A workflow and its jobs; `fields` are empty for a config that has jobs alone."""

    name: str
    line: int
    fields: Map
    jobs: tuple[Job, ...]

    def required(self, job: Job) -> list[Job]:
        """The jobs that a job waits for, directly, or may once CircleCI has compiled the config."""
        needs = job.requires
        return [o for o in self.jobs if any(need == o.alias or o.is_called(need) for need in needs)]


class WorkflowRuns(Frozen):
    """Whether a workflow runs, and each of its jobs."""

    workflow: Workflow
    runs: Runs
    jobs: tuple[tuple[Job, Runs], ...]

    @property
    def certain(self) -> tuple[Job, ...]:
        return tuple(job for job, runs in self.jobs if runs.answer is Answer.YES)


class Config(Frozen):
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
    def jobs(self) -> list[Job]:
        return [job for workflow in self.workflows for job in workflow.jobs]

    def trigger(self, ref: Branch | Tag, sent: Mapping[str, Value], *, by_api: bool = True) -> Trigger:
        """A trigger that sends some parameters; the others have their defaults."""
        return Trigger(ref, by_api, {name: sent.get(name, each.default) for name, each in self.parameters.items()})

    def runs(self, trigger: Trigger) -> tuple[WorkflowRuns, ...]:
        """What runs for a trigger, in the order written."""
        no = self.refused
        if no is None or trigger.by_api is None:
            return tuple(_workflow_runs(workflow, trigger) for workflow in self.workflows)
        return tuple(WorkflowRuns(w, no, tuple((job, no) for job in w.jobs)) for w in self.workflows)


def _workflow_runs(workflow: Workflow, trigger: Trigger) -> WorkflowRuns:
    opened = conditions.gate(workflow.fields, trigger)
    if items_of(at(workflow.fields, "triggers")) and opened.answer is not Answer.NO:
        answer, line = Answer.UNKNOWN if trigger.by_api is None else Answer.NO, key_line(workflow.fields, "triggers")
        cure = "name a workflow without triggers:, or make one of the same jobs"
        opened = Runs(answer, line, "a workflow with triggers: runs by its schedule alone", cure)
    found: dict[int, Runs] = {}
    jobs = [(job, _job_runs(job, workflow, found, trigger, _MOST_CHAINED)) for job in workflow.jobs]
    if opened.answer is not Answer.YES:  # where both are unknown, the filters tell more
        jobs = [(j, opened if Answer.NO is opened.answer or runs.answer is Answer.YES else runs) for j, runs in jobs]
    running = kleene_or(runs.answer for _, runs in jobs)
    decides = next((runs for _, runs in jobs if runs.answer is running is not Answer.YES), opened)
    return WorkflowRuns(workflow, replace(decides, answer=running), tuple(jobs))


def _job_runs(job: Job, workflow: Workflow, found: dict[int, Runs], trigger: Trigger, most: int) -> Runs:
    """Whether the filters of a job and of what it requires let it run; each job is looked at once."""
    if id(job) in found:
        return found[id(job)]
    mine = conditions.filtered(at(job.fields, "filters"), trigger, job.line)
    if most == 0 or (not workflow.fields and isinstance(trigger.ref, Tag)):
        mine = Runs(Answer.UNKNOWN)  # of a config without workflows the docs do not tell
    found[id(job)] = mine  # a circle of jobs ends here
    if most == 0 or mine.answer is Answer.NO:
        return mine
    needed = [(other, _job_runs(other, workflow, found, trigger, most - 1)) for other in workflow.required(job)]
    statuses = (texts_of(node) for item in items_of(at(job.fields, "requires")) for node in map_of(item).values())
    out = [(other, runs) for other, runs in needed if runs.answer is Answer.NO]
    if out:
        other, runs = out[0]
        is_certain = len(needed) == len(job.requires)  # no name may be that of several jobs
        is_out = len(out) == len(needed) or (is_certain and isinstance(trigger.ref, Tag))
        answer = Answer.NO if is_out else mine.answer if is_certain else Answer.UNKNOWN
        mine = Runs(answer, runs.line, f"it requires '{other.alias}': {runs.why}", runs.cure)
    elif mine.answer is Answer.YES and (
        len(needed) < len(job.requires) or any(map({"success", "terminal"}.isdisjoint, statuses))
    ):
        mine = Runs(Answer.UNKNOWN, job.line, "it requires a job, or a status of one, that is not known")
    elif needed and mine.answer is Answer.YES and all(runs.answer is Answer.UNKNOWN for _, runs in needed):
        mine = needed[0][1]
    found[id(job)] = mine
    return mine


class WouldRun(Frozen):
    """What a trigger would start: in words, and each workflow that runs or may, with its jobs."""

    text: str
    workflows: tuple[WorkflowRuns, ...] = ()


def would_run(config: Config, ref: Branch | Tag, parameters: Mapping[str, Value]) -> WouldRun:
    """What a trigger with these parameters would start."""
    if config.setup:
        return WouldRun(f"not known: {config.path}:{config.setup}: a setup config is continued by another one")
    for name in (name for name in parameters if name not in config.parameters):
        return WouldRun(f"nothing: {config.path} does not declare parameter '{name}'")
    all_runs = config.runs(config.trigger(ref, parameters))
    running = tuple(w for w in all_runs if w.runs.answer is not Answer.NO)
    if running:
        return WouldRun("; ".join(map(_told, running)), running)
    reasons = "; ".join(f"{w.workflow.name} ({config.path}:{w.runs.line}: {w.runs.why})" for w in all_runs)
    return WouldRun(f"nothing: {reasons or 'there is no workflow'}")


def _told(w: WorkflowRuns) -> str:
    """A workflow and its jobs; "perhaps" is said of a job only where it is not said of all of them."""
    perhaps, maybe = ("", "perhaps ") if w.runs.answer is Answer.YES else ("perhaps ", "")
    words = {Answer.YES: "", Answer.UNKNOWN: maybe}
    jobs = [f"{words[runs.answer]}{job.alias}" for job, runs in w.jobs if runs.answer in words]
    return f"{perhaps}workflow {w.workflow.name}: {', '.join(jobs)}"


def read_config(path: str, text: str, root: Node | None = None) -> Config:
    """Read a config; `root` is its tree, if that is made already. Raises ConfigUnreadable."""
    root = reading.read_yaml(text) if root is None else root
    if not isinstance(root, Map):
        raise ConfigUnreadable(root.line, "it is not a map")
    if root.size > _MOST_NODES:
        raise ConfigUnreadable(1, "it is too large, with what its aliases repeat")
    version, setup = at(root, "version"), at(root, "setup")
    is_setup = setup is not None and not (isinstance(setup, Text) and reading.typed(setup) is False)
    written, jobs = map_of(at(root, "workflows")), map_of(at(root, "jobs"))
    workflows = []
    for name, fields in ((name, each) for name, each in written.items() if isinstance(each, Map)):
        entries = [each for each in items_of(at(fields, "jobs")) if each and not isinstance(each, reading.Items)]
        workflows.append(Workflow(str(name), name.line, fields, tuple(map(job_of, entries))))
    workflows += [Workflow(key, key.line, Map(), (job_of(key),)) for key in jobs if key == "build" and not written]
    declared = map_of(at(root, "parameters")) if version not in VERSION_2 else {}
    parameters = {str(name): _declared(name, map_of(node)) for name, node in declared.items()}
    refused = next(_refusals(workflows, root, parameters if version == "2.1" else None), None)
    line, kind = key_line(root, "setup") if is_setup else 0, str(version) if isinstance(version, Text) else ""
    shown = () if is_setup else tuple(workflows)
    return Config(path, text, root, kind, line, parameters, shown, bool(written), refused)


def _declared(name: Text, fields: Map) -> Declared:
    default, kind = at(fields, "default"), at(fields, "type")
    read = str if kind in ("string", "enum") else reading.typed
    value: Value = read(default) if isinstance(default, Text) else UNKNOWN
    return Declared(str(kind or "string"), name.line, tuple(map(str, texts_of(at(fields, "enum")))), value)


def _refusals(workflows: Iterable[Workflow], root: Map, parameters: Mapping[str, Declared] | None) -> Iterator[Runs]:
    """Why CircleCI refuses a config: workflows name jobs, and they or jobs parameters, that there are not."""
    jobs = map_of(at(root, "jobs"))
    for workflow in workflows:
        called = [name for job in workflow.jobs for name in {job.alias, *job.names}]
        # a name that only compiling tells, or a second one that CircleCI numbers, may be the one that is required
        is_clear = len({*called}) == len(called) and "<<" not in "".join(called)
        called += [job.key for job in workflow.jobs]
        for job in workflow.jobs if "job-groups" not in root else ():
            for need in (need for need in job.requires if is_clear and "<<" not in need and need not in called):
                why = f"{_REFUSED}job '{job.alias}' requires '{need}', which workflow '{workflow.name}' has not"
                yield Runs(Answer.NO, job.line, why, "correct the name there")
            if jobs and "/" not in job.key and job.key not in jobs and not job.is_approval:
                yield Runs(Answer.NO, job.line, f"{_REFUSED}there is no job '{job.key}'", "correct the name there")
        gates = (reading.under(workflow.fields, word, _NO_STEPS) for word in ("when", "unless", "filters"))
        named = [(text, conditions.parameters_in(text)) for texts in gates for text in texts]
        bodies = (text for job in workflow.jobs for text in reading.all_texts(at(jobs, job.key)))
        named += [(text, conditions.parameters_in(" ".join(conditions.TAG.findall(text)))) for text in bodies]
        for text, names in named if parameters is not None else ():
            for name in sorted(names - (parameters or {}).keys()):
                cure = "declare it under parameters: there, or correct its name"
                yield Runs(Answer.NO, text.line, f"{_REFUSED}parameter '{name}' is not declared", cure)


def job_of(entry: Node) -> Job:
    """A job as it is written in the list of a workflow: its name, or a map of that."""
    key = entry if isinstance(entry, Text) else next(iter(map_of(entry)))
    fields, matrix = map_of(at(entry, key)), at(entry, key, "matrix")
    names = _names(str(key), fields)
    alias = at(matrix, "alias") or (names[0] if matrix is None else key)
    return Job(str(key), names, str(alias), key.line, fields)


def _names(key: str, fields: Map) -> tuple[str, ...]:
    """Every name that a matrix gives a job; of an unnamed one with several parameters their order is not documented."""
    name, values = at(fields, "name"), map_of(at(fields, "matrix", "parameters"))
    lists = [[str(item) if isinstance(item, Text) else "<<" for item in items_of(each)] for each in values.values()]
    if not isinstance(name, Text):
        names = tuple(f"{key}-{item}" for item in lists[0]) if len(lists) == 1 else ()
        return names or (f"{key}-<<" if "matrix" in fields else key,)
    chosen = product(*lists) if prod(map(len, lists)) <= _MOST_NAMES else ()
    return tuple(_filled(name, dict(zip(map(str, values), each, strict=True))) for each in chosen) or (str(name),)


def _filled(name: str, values: Mapping[str, str]) -> str:
    return re.sub(r"<<\s*matrix\.([\w-]+)\s*>>", lambda found: values.get(found[1], found[0]), name)


class Call(Frozen):
    """A call of this step: whether it is made, on which line, and whether the repository is checked out by then."""

    answer: Answer
    line: int
    has_checkout: Answer = Answer.UNKNOWN
    words: tuple[str, ...] = ()  # `RUN`, or those among which `gate` has the name of its rule


def _of_orb(name: str, fields: Node | None, config: Config) -> tuple[tuple[str, ...], ...]:
    """What a job or command calls where it is that of an orb for this step; nothing where it is not."""
    orb, _, command = name.partition("/")
    source, rule, file = at(config.root, "orbs", orb), at(fields, "rule"), texts_of(at(fields, "rules"))
    if "deploystep" not in (f"{orb} {source}" if isinstance(source, Text) else orb) or command not in ("run", "gate"):
        return ()
    return ((RUN,) if command == "run" else (rule, *file) if isinstance(rule, Text) else ("$",),)


class JobSteps:
    """What the steps of a job do, in their order, with `pre-steps` and `post-steps` of its workflow.

    `answer` is NO until one of them may run anything; `calls` are those of this step; `idle` is the line of one that
    does nothing, 0 where there is none. Another job may stand in with `override-with`, where its orb has that.
    """

    def __init__(self, config: Config, job: Job, read: Read) -> None:
        self.config, self.read, self.line = config, read, job.line
        definition = None if at(job.fields, "override-with") else at(config.root, "jobs", job.key)
        ours = _of_orb(job.key, job.fields, config) if definition is None else ()
        self.calls = [Call(Answer.YES, job.line, words=words) for words in ours]
        self.answer = Answer.UNKNOWN if definition is None and not ours and not job.is_approval else Answer.NO
        self.checkout, self.idle = Answer.NO, 0
        for node in (at(job.fields, "pre-steps"), at(definition, "steps"), at(job.fields, "post-steps")):
            self.follow(items_of(node), Answer.YES, 0)

    def of(self, *names: str) -> Call:
        """The first call for one of the names: `RUN`, or a rule that `gate` judges; else whether there may be one."""
        meant = [call for call in self.calls if not {*names}.isdisjoint(call.words)]
        may_be = any("$" in word or "<<" in word for call in self.calls for word in call.words) and names != (RUN,)
        other = Call(Answer.UNKNOWN if may_be else self.answer, self.line, self.checkout)
        return next((call for call in meant if call.answer is Answer.YES), [*meant, other][0])

    def follow(self, steps: Sequence[Node], certain: Answer, depth: int) -> None:
        """Follow steps, which are run for certain or perhaps, into commands and conditions."""
        commands = map_of(at(self.config.root, "commands"))
        for node in steps:
            name = node if isinstance(node, Text) else next(iter(map_of(node)), Text(""))
            fields = at(node, name)
            if depth > _MOST_DEEP or isinstance(node, reading.Items) or "<<" in name:
                self.is_open()
            elif name == "checkout":
                self.checkout = kleene_or((self.checkout, certain))
            elif name in ("run", "deploy"):
                command = fields if isinstance(fields, Text) else at(fields, "command")
                self.run(command, certain) if isinstance(command, Text) else self.is_open()
            elif name in ("when", "unless"):
                condition = at(fields, "condition")
                holds = reading.typed(condition) if isinstance(condition, Text) else None
                if holds is not (name == "unless"):
                    is_known = certain if isinstance(holds, bool) else Answer.UNKNOWN
                    self.follow(items_of(at(fields, "steps")), is_known, depth + 1)
            elif name in commands:
                self.follow(items_of(at(commands, name, "steps")), certain, depth + 1)
            elif name not in _BUILT_IN:
                ours = _of_orb(name, fields, self.config)
                self.calls += [Call(certain, name.line, self.checkout, words) for words in ours]
                self.is_open()

    def is_open(self) -> None:
        """Something is done that is not known."""
        self.answer, self.checkout = Answer.UNKNOWN, kleene_or((self.checkout, Answer.UNKNOWN))

    def run(self, command: Text, certain: Answer) -> None:
        """Look at a shell command, and the scripts of the repository that it names."""
        texts = [command, *(t for name in dict.fromkeys(_FILE.findall(command)) if (t := self.read(name)) is not None)]
        if any("git clone" in text or "git fetch" in text for text in texts):
            self.checkout = kleene_or((self.checkout, certain))
        found = [(m[1], m[2]) for text in texts for m in _STEP.finditer(_COMMENT.sub("", text))]
        for word, rest in found:
            if word == "plan" or re.search(r"--(?:dry-run|sandbox)\b", rest):
                self.idle = self.idle or command.line
                continue
            options = re.split(r" -- |[;&|]", rest)[0].replace("\\\n", " ")
            named = [w.strip("'\";)") for w in options.split() if w[:1] != "-" or w[:7] == "--rules"]
            words = (RUN,) if word == "run" else tuple(named) or ("$",)
            self.calls.append(Call(Answer.UNKNOWN if "<<" in options else certain, command.line, self.checkout, words))
        if not found and _MAY_RUN.search(command):
            self.is_open()
