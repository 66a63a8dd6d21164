"""Whether a job runs this step, followed through the commands and scripts that are at hand."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

from deploystep.core.frozen import dataclass, replace
from deploystep.core.trace import Answer
from deploystep.project.config import Config, Job
from deploystep.project.reading import Items, Map, Node, Text, at, items_of, map_of, typed

Read = Callable[[str], str | None]  #: the text of a file of the repository; None where there is none

_STEP: Final = re.compile(r"\bdeploystep(?:\.pyz)?\s+(run|gate|plan)\b((?:(?!\bdeploystep\s)(?:\\\n|[^\n]))*)")
_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#[^\n]*", re.MULTILINE)
_IDLE: Final = re.compile(r"--(?:dry-run|sandbox)\b")
_FILE: Final = re.compile(r"(?<![\w./-])(?:\./)?([\w-][\w./-]*)")
_BUILT_IN: Final = frozenset({
    "checkout", "run", "when", "unless", "save_cache", "restore_cache", "setup_remote_docker", "store_artifacts",
    "store_test_results", "persist_to_workspace", "attach_workspace", "add_ssh_keys", "deploy",
})  # fmt: skip
_MOST_DEEP: Final = 8
_MOST_STEPS: Final = 2000
_PARAMETER: Final = re.compile(r"<<\s*parameters\.([\w-]+)\s*>>")
#: A value that is filled in where the shell expects a command, or the name of a script.
_MAY_RUN: Final = re.compile(
    r"(?:^|[;&|(`]|(?<!\S)(?:then|do|else|bash|sh|zsh|source|\.|eval|exec|sudo|env|xargs|time|nohup|deploystep)\s)"
    r"\s*(?:-\w+\s+)*[\"']?[\w./-]*<<[^<>]*>>",
    re.MULTILINE,
)
_END: Final = re.compile(r" -- |[;&|]")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
RUN: Final = "run "  #: stands for `deploystep run`; no rule is called so


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a job as far as it concerns this one.

    `runs` holds for each call of it `RUN`, or the words among which `gate` has the name of its rule. `is_idle` calls it
    and does nothing.
    """

    line: int
    has_checkout: bool = False
    runs: tuple[tuple[str, ...], ...] = ()
    is_idle: bool = False
    is_open: bool = False  # what it does is not known
    is_certain: bool = True  # it stands under no condition
    attaches: bool = False  # the workspace that other jobs of the pipeline have left


@dataclass(frozen=True, slots=True)
class RunsStep:
    """Whether a job runs the step, on which line, and whether the repository has been checked out by then."""

    answer: Answer
    line: int
    has_checkout: Answer
    is_idle: bool = False
    words: tuple[str, ...] = ()

    @property
    def is_gate(self) -> bool:
        """Whether the step is `gate`, which sends nothing."""
        return bool(self.words) and self.words != (RUN,)


@dataclass(frozen=True, slots=True)
class JobSteps:
    """All calls of the step in a job; `otherwise` is what is known where none of them is meant.

    `workspace` is the line on which the job attaches the workspace of its pipeline; 0 where it does not.
    """

    calls: tuple[RunsStep, ...]
    otherwise: RunsStep
    workspace: int = 0

    def of(self, *names: str) -> RunsStep:
        """The first call for one of the names: `RUN`, or a rule that `gate` judges."""
        meant = [call for call in self.calls if not {*names}.isdisjoint(call.words)]
        found = next((call for call in meant if call.answer is Answer.YES), next(iter(meant), None))
        may_be = any("$" in word or "<<" in word for call in self.calls for word in call.words) and names != (RUN,)
        otherwise = replace(self.otherwise, answer=Answer.UNKNOWN) if may_be else self.otherwise
        return found or otherwise

    @property
    def unlike(self) -> Iterator[tuple[str, int]]:
        """Yield the rule that each `gate` names for certain, with its line."""
        for call in self.calls:
            if call.is_gate and len(call.words) == 1 and _NAME.fullmatch(call.words[0]):
                yield call.words[0], call.line


def runs_step(config: Config, job: Job, read: Read) -> JobSteps:
    """Look at the steps of a job in their order, with `pre-steps` and `post-steps` of its workflow.

    Another job may stand in for one with `override-with`, where its orb has that.
    """
    definition = None if at(job.fields, "override-with") else at(config.root, "jobs", job.key)
    if job.is_approval:
        return JobSteps((), RunsStep(Answer.NO, job.line, Answer.UNKNOWN))
    listed = [*items_of(at(job.fields, "pre-steps")), *items_of(at(definition, "steps"))]
    listed += items_of(at(job.fields, "post-steps"))
    checkout, answer = Answer.NO, Answer.NO if isinstance(definition, Map) else Answer.UNKNOWN
    if definition is None and (named := _of_orb(job.key, job.fields, config)):
        ours = tuple(RunsStep(Answer.YES, job.line, Answer.UNKNOWN, words=words) for words in named)
        return JobSteps(ours, RunsStep(Answer.NO, job.line, Answer.UNKNOWN))
    idle: RunsStep | None = None
    calls: list[RunsStep] = []
    workspace = 0
    values = _arguments(definition, job.fields, {})
    steps = (found for node in listed for found in _steps(node, config, read, values, 0))
    for step in (*islice(steps, _MOST_STEPS), *(Step(job.line, is_open=True) for _ in islice(steps, 1))):
        if step.has_checkout and checkout is not Answer.YES:
            checkout = Answer.YES if step.is_certain else Answer.UNKNOWN
        runs = Answer.YES if step.is_certain else Answer.UNKNOWN
        calls += [RunsStep(runs, step.line, checkout, words=words) for words in step.runs]
        if step.is_idle:
            idle = idle or RunsStep(Answer.NO, step.line, checkout, is_idle=True)
        if step.attaches:
            workspace = workspace or step.line
        if step.is_open:
            answer = Answer.UNKNOWN
            checkout = checkout if checkout is Answer.YES else Answer.UNKNOWN
    otherwise = idle if idle and answer is Answer.NO else RunsStep(answer, job.line, checkout)
    return JobSteps(tuple(calls), otherwise, workspace)


def _of_orb(name: str, fields: Node | None, config: Config) -> tuple[tuple[str, ...], ...]:
    """What a job or command calls where it is that of an orb for this step; nothing where it is not."""
    orb, _, command = name.partition("/")
    source, rule = at(config.root, "orbs", orb), at(fields, "rule")
    if "deploystep" not in (f"{orb} {source}" if isinstance(source, Text) else orb) or command not in ("run", "gate"):
        return ()
    return ((RUN,) if command == "run" else (rule,) if isinstance(rule, Text) else ("$",),)


def _arguments(definition: Node | None, given: Node | None, outer: Mapping[str, str]) -> dict[str, str]:
    """The values of the parameters of a job or command, where one stands there or in its place."""
    found: dict[str, str] = {}
    for name, declared in map_of(at(definition, "parameters")).items():
        value = at(given, name) or at(declared, "default")
        if isinstance(value, Text) and at(given, "matrix", "parameters", name) is None:
            found[str(name)] = _filled(value, outer)
    return found


def _filled(text: Text, values: Mapping[str, str]) -> Text:
    made = _PARAMETER.sub(lambda found: values.get(found[1], found[0]), text)
    return Text(made, text.line, text.column, text.end, is_plain=text.is_plain)


def _steps(node: Node, config: Config, read: Read, values: Mapping[str, str], depth: int) -> Iterator[Step]:
    name, fields = (node, None) if isinstance(node, Text) else next(iter(map_of(node).items()), (Text(""), None))
    if depth > _MOST_DEEP or isinstance(node, Items) or "<<" in name:
        yield Step(node.line, is_open=True)
    elif name == "checkout":
        yield Step(name.line, has_checkout=True)
    elif name in ("run", "deploy"):
        command = fields if isinstance(fields, Text) else at(fields, "command")
        yield _command(_filled(command, values), read) if isinstance(command, Text) else Step(name.line, is_open=True)
    elif name in ("when", "unless"):
        condition = at(fields, "condition")
        holds = typed(_filled(condition, values)) if isinstance(condition, Text) else None
        for inner in items_of(at(fields, "steps")) if holds is not (name == "unless") else ():
            for step in _steps(inner, config, read, values, depth + 1):
                yield step if isinstance(holds, bool) else replace(step, is_certain=False)
    elif name in map_of(at(config.root, "commands")):
        command = at(config.root, "commands", name)
        inside = _arguments(command, fields, values)
        for inner in items_of(at(command, "steps")):
            yield from _steps(inner, config, read, inside, depth + 1)
    elif name == "attach_workspace" or name not in _BUILT_IN:
        yield Step(name.line, runs=_of_orb(name, fields, config), is_open=True, attaches=name == "attach_workspace")


def _command(command: Text, read: Read) -> Step:
    """What a shell command, or a script of the repository that it names, does."""
    texts: list[str] = [command]
    texts += [text for name in dict.fromkeys(_FILE.findall(command)) if (text := read(name)) is not None]
    found = [(m[1], m[2]) for text in texts for m in _STEP.finditer(_COMMENT.sub("", text))]
    live = [(w, _END.split(rest)[0]) for w, rest in found if w != "plan" and not _IDLE.search(rest)]
    runs = tuple((RUN,) if word == "run" else _words(rest) for word, rest in live)
    clones = any("git clone" in text or "git fetch" in text for text in texts)
    is_open = not found and _MAY_RUN.search(command) is not None
    return Step(command.line, clones, runs=runs, is_idle=bool(found) and not live, is_open=is_open)


def _words(rest: str) -> tuple[str, ...]:
    """The words behind `gate` of which one names its rule: an option's value may be among them."""
    words = [word.strip("'\";)") for word in rest.replace("\\\n", " ").split()]
    return tuple(word for word in words if not word.startswith("-")) or ("$",)
