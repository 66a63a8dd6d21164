"""What can be said about rules beside the project they stand in: its config and its files.

All but E702 is a warning: what compiles the config knows more than its text, and only what certainly follows from the
text is said. CircleCI docs, "Configuration reference": `parameters` and `workflows` at the top; a workflow's job can be
renamed (`name:`) and multiplied (`matrix:`); a `setup: true` config is replaced by another, of which nothing is known.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import yaml

from deploystep.core.frozen import dataclass
from deploystep.core.holds import own_job
from deploystep.core.parameters import Template
from deploystep.core.patterns import PatternSet
from deploystep.core.rules import Deploy, Parameter, PathsChanged, Rule, RuleSet, matchers_of
from deploystep.core.source import Diagnostic, Severity, Span
from deploystep.core.text import did_you_mean, nearest, shown

_STEP: Final = re.compile(r"^[^#\n]*\bdeploystep\s+(?:run|gate)\b(?!.*--dry-run)", re.MULTILINE)
Plain: TypeAlias = Any  #: YAML as it came; read into values here and nowhere else


@dataclass(frozen=True, slots=True)
class Declared:
    """A pipeline parameter: its type in CircleCI's words, and the values of an enum."""

    type: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectConfig:
    """A config. `jobs` is None where their names cannot be told without compiling it.

    `steps` are the jobs, by their names in workflows, that are seen to run this step.
    """

    path: str
    workflows: frozenset[str]
    jobs: frozenset[str] | None
    parameters: Mapping[str, Declared]
    steps: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Project:
    """What is known of the project: its config, those of targets by name, and its files (None where unknown)."""

    config: ProjectConfig | None
    targets: Mapping[str, ProjectConfig]
    files: tuple[str, ...] | None


def read_config(path: str, text: str) -> ProjectConfig | None:
    """Read a config; None where nothing certain can be said about what it runs."""
    try:
        config = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    if not isinstance(config, dict) or config.get("setup"):
        return None
    workflows = {k: v for k, v in _map(config.get("workflows")).items() if isinstance(v, dict)}
    entries = [entry for workflow in workflows.values() for entry in _list(workflow.get("jobs"))]
    jobs = {_job_name(entry) for entry in entries}
    runs_step = {str(name) for name, job in _map(config.get("jobs")).items() if _runs_step(job)}
    declared = {str(name): _map(fields) for name, fields in _map(config.get("parameters")).items()}
    return ProjectConfig(
        path=path,
        workflows=frozenset(map(str, workflows)),
        jobs=None if None in jobs else frozenset(job for job in jobs if job),
        parameters={
            name: Declared(str(fields.get("type", "string")), tuple(map(str, _list(fields.get("enum")))))
            for name, fields in declared.items()
        },
        steps=frozenset(
            n for e in entries if (n := _job_name(e)) and (e if isinstance(e, str) else next(iter(e))) in runs_step
        ),
    )


def _runs_step(job: Plain) -> bool:
    """Whether a step of the job itself is `deploystep run`."""
    runs = (_map(step).get("run") for step in _list(_map(job).get("steps")))
    texts = (run if isinstance(run, str) else _map(run).get("command") for run in runs)
    return any(isinstance(text, str) and _STEP.search(text) for text in texts)


def _job_name(entry: Plain) -> str | None:
    """What the job is called in the workflow; None where only compiling tells."""
    if isinstance(entry, str):
        return entry
    if not isinstance(entry, dict) or len(entry) != 1:
        return None
    job, fields = next(iter(entry.items()))
    name = str(_map(fields).get("name", job))
    return None if "matrix" in _map(fields) or "<<" in name else name


def _map(value: Plain) -> Mapping[Plain, Plain]:
    return value if isinstance(value, dict) else {}


def _list(value: Plain) -> list[Plain]:
    return value if isinstance(value, list) else []


def compare(rules: RuleSet, project: Project) -> Iterator[Diagnostic]:
    """Everything that the rules name and the project does not have."""
    for rule in rules.rules:
        if project.config is not None:
            yield from _requires(rule, project.config)
        to = rule.deploy.to
        config = project.targets.get(to.name) if to else project.config
        if config is not None and rule.deploy.job is None:
            yield from _deploy(rule.deploy, config)
    if project.files:
        yield from _paths(rules, project.files)


def _requires(rule: Rule, config: ProjectConfig) -> Iterator[Diagnostic]:
    for job in rule.requires:
        if job.value in config.steps:
            yield own_job(job)
        elif config.jobs is not None and job.value not in config.jobs:
            what = f"no workflow of {config.path} has a job {shown(job.value)}"
            yield _warning("W702", what, job.span, _near(job.value, config.jobs))


def _deploy(deploy: Deploy, config: ProjectConfig) -> Iterator[Diagnostic]:
    workflow = deploy.workflow
    if workflow is not None and workflow.value not in config.workflows:
        what = f"{config.path} has no workflow {shown(workflow.value)}"
        yield _warning("W703", what, workflow.span, _near(workflow.value, config.workflows))
    for parameter in deploy.parameters:
        declared, key = config.parameters.get(parameter.key.value), parameter.key
        if declared is None:
            hint = _near(key.value, config.parameters) if config.parameters else "declare it under parameters: there"
            what = f"{config.path} does not declare the parameter {shown(key.value)}"
            yield _warning("W704", what, key.span, hint)
        else:
            yield from _value(parameter, declared, config.path)


#: For each type of CircleCI's: what a value of it is here, and how one is written.
_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "boolean": (bool, "write true or false"),
    "integer": (int, "write a whole number, without quotes"),
    "string": (Template, "quote it"),
    "enum": (Template, "quote it"),
}
_KINDS: Final[Mapping[type, str]] = {bool: "true or false", int: "a number", Template: "a text"}


def _value(parameter: Parameter, declared: Declared, path: str) -> Iterator[Diagnostic]:
    value, key, span = parameter.value.value, shown(parameter.key.value), parameter.value.span
    fitting, how = _TYPES.get(declared.type, (type(value), ""))
    if type(value) is not fitting:
        what = f"{path} declares {key} as {declared.type}, and this is {_KINDS[type(value)]}"
        yield _warning("W704", what, span, how)
    elif declared.values and isinstance(value, Template) and not value.references and value.text not in declared.values:
        what = f"{path} does not allow {shown(value.text)} for {key}"
        yield _warning("W704", what, span, _near(value.text, declared.values))


def _paths(rules: RuleSet, files: tuple[str, ...]) -> Iterator[Diagnostic]:
    """Patterns of paths that match no file which git tracks."""
    filters = [m for r in rules.rules for m in matchers_of(r.when, r.unless) if isinstance(m, PathsChanged)]
    patterns = [pattern for m in filters for pattern in (*m.only, *m.ignore)]
    matched = set[int]().union(*PatternSet(p.value for p in patterns).matching_sorted(sorted(files)))
    folders = {file[:at] for file in files for at, character in enumerate(file) if character == "/"}
    for index, pattern in enumerate(patterns):
        if index not in matched:
            literal = pattern.value.text.split("*", 1)[0].rstrip("/")
            near = nearest(literal, folders | set(files)) if literal else None
            rest = pattern.value.text[len(literal) :] or ("/**" if near in folders else "")
            hint = f"did you mean {shown(near + rest)}?" if near else "is the path spelt as git has it?"
            what = f"no file of this repository matches {shown(pattern.value.text)}"
            yield _warning("W705", what, pattern.span, hint)


def _near(name: str, known: Iterable[str]) -> str:
    return did_you_mean(name, known, f"known: {', '.join(sorted(known)) or 'none'}")


def _warning(code: str, message: str, span: Span, hint: str) -> Diagnostic:
    return Diagnostic(code, message, span, hint, Severity.WARNING)
