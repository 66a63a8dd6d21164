"""What can be said about rules beside the project they stand in: its config and its files.

All of it is a warning: what compiles the config knows more than its text.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from deploystep.core.frozen import dataclass
from deploystep.core.parameters import Template, Value
from deploystep.core.patterns import PatternSet
from deploystep.core.rules import Condition, Parameter, PathsChanged, Patterns, Rule, RuleSet
from deploystep.core.source import Diagnostic, Severity, Span
from deploystep.core.text import nearest
from deploystep.rulefile.config import Declared, ProjectConfig
from deploystep.rulefile.nodes import shown


@dataclass(frozen=True, slots=True)
class Project:
    """What is known of the project: its config, those of targets by name, and its files (None where unknown)."""

    config: ProjectConfig | None
    targets: Mapping[str, ProjectConfig]
    files: tuple[str, ...] | None


def compare(rules: RuleSet, project: Project) -> Iterator[Diagnostic]:
    """Everything that the rules name and the project does not have."""
    for rule in rules.rules:
        yield from _requires(rule, project.config)
        to = rule.deploy.to
        config = project.targets.get(to.name) if to else project.config
        if config is not None and rule.deploy.job is None:
            yield from _workflow(rule, config)
            yield from _parameters(rule, config)
    if project.files:
        yield from _paths(rules, project.files)


def _requires(rule: Rule, config: ProjectConfig | None) -> Iterator[Diagnostic]:
    if config is None or config.jobs is None:
        return
    for job in rule.requires:
        if job.value not in config.jobs:
            hint = _near(job.value, config.jobs)
            yield _warning("W702", f"no workflow of {config.path} has a job {shown(job.value)}", job.span, hint)


def _workflow(rule: Rule, config: ProjectConfig) -> Iterator[Diagnostic]:
    workflow = rule.deploy.workflow
    if workflow is not None and workflow.value not in config.workflows:
        hint = _near(workflow.value, config.workflows)
        yield _warning("W703", f"{config.path} has no workflow {shown(workflow.value)}", workflow.span, hint)


def _parameters(rule: Rule, config: ProjectConfig) -> Iterator[Diagnostic]:
    for parameter in rule.deploy.parameters:
        declared = config.parameters.get(parameter.key.value)
        if declared is None:
            key = parameter.key.value
            hint = _near(key, config.parameters) if config.parameters else "declare it under parameters: there"
            yield _warning(
                "W704", f"{config.path} does not declare the parameter {shown(key)}", parameter.key.span, hint
            )
        else:
            yield from _type(parameter, declared, config)


_FITTING: Final[Mapping[str, type]] = {"boolean": bool, "integer": int, "string": Template, "enum": Template}
_HOW: Final = {
    "boolean": "write true or false",
    "integer": "write a whole number, without quotes",
    "string": "quote it",
    "enum": "quote it",
}


def _type(parameter: Parameter, declared: Declared, config: ProjectConfig) -> Iterator[Diagnostic]:
    value, key = parameter.value.value, parameter.key.value
    fitting = _FITTING.get(declared.type)
    if fitting is None:
        return
    if type(value) is not fitting:
        message = f"{config.path} declares {shown(key)} as {declared.type}, and this is {_kind(value)}"
        yield _warning("W704", message, parameter.value.span, _HOW[declared.type])
    elif declared.values and isinstance(value, Template) and not value.references and value.text not in declared.values:
        message = f"{config.path} does not allow {shown(value.text)} for {shown(key)}"
        yield _warning("W704", message, parameter.value.span, _near(value.text, declared.values))


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, int) else "a text"


def _paths(rules: RuleSet, files: tuple[str, ...]) -> Iterator[Diagnostic]:
    """Patterns of paths that match no file which git tracks."""
    written = [pattern for rule in rules.rules for pattern in _path_patterns(rule)]
    matched: set[int] = set()
    for found in PatternSet(p.value for p in written).matching_sorted(sorted(files)):
        matched |= found
    folders = {part for file in files for part in _prefixes(file)}
    for index, pattern in enumerate(written):
        if index not in matched:
            literal = pattern.value.text.split("*", 1)[0].rstrip("/")
            near = nearest(literal, folders | set(files)) if literal else None
            hint = f"did you mean {shown(near)}?" if near else "is the path spelt as git has it?"
            yield _warning(
                "W705", f"no file of this repository matches {shown(pattern.value.text)}", pattern.span, hint
            )


def _path_patterns(rule: Rule) -> Patterns:
    conditions: list[Condition] = [c for c in (rule.when, rule.unless) if c]
    matchers = [m for c in conditions for a in c.alternatives for m in a.matchers if isinstance(m, PathsChanged)]
    return tuple(pattern for m in matchers for pattern in (*m.only, *m.ignore))


def _prefixes(file: str) -> Iterator[str]:
    parts = file.split("/")[:-1]
    return ("/".join(parts[: i + 1]) for i in range(len(parts)))


def _near(name: str, known: "frozenset[str] | Mapping[str, Declared] | tuple[str, ...]") -> str:
    near = nearest(name, sorted(known))
    return f"did you mean {shown(near)}?" if near else f"known: {', '.join(sorted(known)) or 'none'}"


def _warning(code: str, message: str, span: Span, hint: str) -> Diagnostic:
    return Diagnostic(code, message, span, hint, Severity.WARNING)
