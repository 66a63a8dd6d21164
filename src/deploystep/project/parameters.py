"""The parameters that a rule sends, beside their declarations and uses: P06, P07, and P08 of a setup config."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from deploystep.core.deploy_key import NAME as DEPLOY_KEY
from deploystep.core.parameters import Template
from deploystep.core.rules import Deploy, Parameter
from deploystep.core.source import Diagnostic, Span
from deploystep.core.text import shown
from deploystep.project.config import Config, Declared, Workflow
from deploystep.project.cures import near, warning
from deploystep.project.expressions import UNKNOWN, parameters_in
from deploystep.project.reading import ConfigUnreadable, Node, all_texts, at, map_of, read_yaml
from deploystep.project.steps import Read

#: Conditions are decided when the config is compiled, and leave nothing of a parameter behind.
_CONDITIONS: Final = frozenset({"when", "unless", "filters", "condition"})
#: For each type of CircleCI's: what a value of it is here, and how one is written.
_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "boolean": (bool, "write true or false"),
    "integer": (int, "write a whole number, without quotes"),
    "string": (Template, "quote it"),
    "enum": (Template, "quote it"),
}
_KNOWN_TYPES: Final = "write string, boolean, integer or enum"
_THE_DEFAULT: Final = "the default of parameter"
_REFUSED: Final = ", so CircleCI refuses the config"
_KINDS: Final[Mapping[type, str]] = {bool: "true or false", int: "a number", Template: "a text"}


def problems(deploy: Deploy, config: Config, started: Iterable[Workflow]) -> Iterator[Diagnostic]:
    """Parameters that the config does not declare, or not so, or that what is started does not use."""
    apart = ("parameters", "workflows", *([] if "job-groups" in config.root else ["jobs"]))
    parts: list[Node | None] = [value for key, value in config.root.items() if key not in apart]
    parts += [part for w in started for part in (w.fields, *(at(config.root, "jobs", job.key) for job in w.jobs))]
    gates = [at(fields, word) for w in config.workflows for fields in (w.fields, *(j.fields for j in w.jobs))
             for word in _CONDITIONS]  # fmt: skip
    everywhere = _used([*parts, *gates])
    leaves_mark = _used(parts, without=_CONDITIONS)
    for parameter in deploy.parameters:
        name, key = parameter.key.value, parameter.key
        declared = config.parameters.get(name)
        if declared is None:
            hint = near(name, config.parameters) if config.parameters else "declare it under parameters: there"
            yield Diagnostic("P07", f"{config.path} does not declare the parameter {shown(name)}", key.span, hint)
            continue
        if wrong := _value(parameter, declared, config.path):
            yield wrong
            continue
        text = parameter.value.value.text if isinstance(parameter.value.value, Template) else ""
        place, subject = config.place(declared.line), f"parameter {shown(name)}"
        if config.refused:
            continue
        if name not in everywhere:
            hint = f"use << pipeline.parameters.{name} >> in the job that deploys, or do not send it"
            others = [value for word, value in config.root.items() if word != "parameters"]
            what = "not used in what this trigger starts" if name in _used(others) else "never used there"
            yield warning("P06", f"{subject} is {what}", key.span, hint).cured_in(place)
        elif name not in leaves_mark and (f"${{{DEPLOY_KEY}}}" in text or "${CIRCLE_SHA1}" in text):
            mark = "leaves no mark in the run" if DEPLOY_KEY in text else "is checked out by no job"
            hint = f"write in the job that deploys  environment: {{{name.upper()}: << pipeline.parameters.{name} >>}}"
            yield warning("P06", f"{subject} is used in conditions alone, so it {mark}", key.span, hint).cured_in(place)


def declarations(config: Config, span: Span) -> Iterator[Diagnostic]:
    """Declarations for which CircleCI refuses the config, or every push. `span` is that of a deploy."""
    for name, declared in config.parameters.items():
        what = hint = ""
        fitting, how = _TYPES.get(declared.type, (None, ""))
        if fitting is None:
            what, hint = f"parameter {shown(name)} has type {shown(declared.type)}", _KNOWN_TYPES
        elif not declared.has_default:
            what = f"parameter {shown(name)} has no default, so every push fails"
            hint = 'give it a default there, for example  default: ""'
        elif declared.values and declared.default not in declared.values:
            what, hint = f"{_THE_DEFAULT} {shown(name)} is not in its enum{_REFUSED}", near("", declared.values)
        elif fitting in (bool, int) and type(declared.default) is not fitting and declared.default is not UNKNOWN:
            what, hint = f"{_THE_DEFAULT} {shown(name)} is no {declared.type}{_REFUSED}", how
        if what:
            yield Diagnostic("P07", what, span, hint).cured_in(config.place(declared.line))


def _used(parts: Iterable[Node | None], without: frozenset[str] = frozenset()) -> frozenset[str]:
    texts = (text for part in parts for text in all_texts(part, without) if "pipeline.parameters." in text)
    return frozenset(name for text in texts for name in parameters_in(text))


def _value(parameter: Parameter, declared: Declared, path: str) -> Diagnostic | None:
    value, key, span = parameter.value.value, shown(parameter.key.value), parameter.value.span
    fitting, how = _TYPES.get(declared.type, (type(value), ""))
    if type(value) is not fitting:
        what = f"{path}:{declared.line}: {key} is declared as {declared.type}, and this is {_KINDS[type(value)]}"
        return Diagnostic("P07", what, span, how)
    if declared.values and isinstance(value, Template) and not value.references and value.text not in declared.values:
        what = f"{path}:{declared.line}: {shown(value.text)} is not allowed for {key}"
        return Diagnostic("P07", what, span, near(value.text, declared.values))
    return None


def twice(deploy: Deploy, config: Config, files: Iterable[str], read: Read) -> Iterator[Diagnostic]:
    """Parameters that the setup config and the config that continues it both declare: sent, the two conflict."""
    for file in files if config.setup else ():
        if not file.startswith(".circleci/") or not file.endswith((".yml", ".yaml")) or config.path.endswith(file):
            continue
        try:
            other = map_of(at(read_yaml(read(file) or ""), "parameters"))
        except ConfigUnreadable:
            continue
        for parameter in deploy.parameters:
            name = parameter.key.value
            if name in config.parameters and name in other:
                place = config.place(config.parameters[name].line)
                what = f"the setup config declares {shown(name)}, and {file} declares it too"
                hint = "CircleCI ends such a run with an error: pass it on under another name"
                yield Diagnostic("P08", what, parameter.key.span, hint).cured_in(place)
