"""What a rule names, and whether the config has it: jobs, the workflow, and parameters with their types and uses."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from deploystep.core.deploy_key import NAME as DEPLOY_KEY
from deploystep.core.holds import own_job
from deploystep.core.parameters import Template
from deploystep.core.rules import Deploy, Parameter, Rule
from deploystep.core.source import Diagnostic, Place, Severity, Span
from deploystep.core.text import did_you_mean
from deploystep.project.config import Config, Declared
from deploystep.project.expressions import parameters_in
from deploystep.project.reading import ConfigUnreadable, all_texts, at, map_of, read_yaml
from deploystep.project.steps import Read

#: Conditions are decided when the config is compiled, and leave nothing of a parameter behind.
_CONDITIONS: Final = frozenset({"when", "unless", "filters", "condition"})
_SHOWN: Final = 60
#: For each type of CircleCI's: what a value of it is here, and how one is written.
_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "boolean": (bool, "write true or false"),
    "integer": (int, "write a whole number, without quotes"),
    "string": (Template, "quote it"),
    "enum": (Template, "quote it"),
}
_KINDS: Final[Mapping[type, str]] = {bool: "true or false", int: "a number", Template: "a text"}


def required(rule: Rule, config: Config, steps: Iterable[str]) -> Iterator[Diagnostic]:
    """Jobs that the rule requires and no workflow has. `steps` are the jobs that run this step."""
    names = config.job_names
    for job in rule.requires if config.workflows else ():
        if job.value in steps:
            yield own_job(job)
        # a job called by a template may have any name that begins as the template does
        elif not any(job.value == n or ("<<" in n and job.value.startswith(n.partition("<<")[0])) for n in names):
            what = f"no workflow of {config.path} has a job {shown(job.value)}"
            yield warning("W702", what, job.span, near(job.value, names))


def parameters(deploy: Deploy, config: Config) -> Iterator[Diagnostic]:
    """Parameters that the config does not declare, or not so, or does not use."""
    everywhere = _used(config, without=frozenset())
    leaves_mark = _used(config, without=_CONDITIONS)
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
        place, subject = Place(config.path, declared.line), f"parameter {shown(name)}"
        if name not in everywhere:
            hint = f"use << pipeline.parameters.{name} >> in the job that deploys, or do not send it"
            yield warning("P06", f"{subject} is never used there", key.span, hint).cured_in(place)
        elif name not in leaves_mark and (f"${{{DEPLOY_KEY}}}" in text or "${CIRCLE_SHA1}" in text):
            mark = "leaves no mark in the run" if DEPLOY_KEY in text else "is checked out by no job"
            hint = f"write in the job that deploys  environment: {{{name.upper()}: << pipeline.parameters.{name} >>}}"
            yield warning("P06", f"{subject} is used in conditions alone, so it {mark}", key.span, hint).cured_in(place)
    for name, declared in config.parameters.items():
        if not declared.has_default:
            what = f"parameter {shown(name)} has no default, so every push fails"
            hint, place = 'give it a default there, for example  default: ""', Place(config.path, declared.line)
            yield Diagnostic("P07", what, deploy.span, hint).cured_in(place)


def _used(config: Config, without: frozenset[str]) -> frozenset[str]:
    parts = [value for key, value in config.root.items() if key != "parameters"]
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
                place = Place(config.path, config.parameters[name].line)
                what = f"the setup config declares {shown(name)}, and {file} declares it too"
                hint = "CircleCI ends such a run with an error: pass it on under another name"
                yield Diagnostic("P08", what, parameter.key.span, hint).cured_in(place)


def shown(text: str) -> str:
    """A name in quotes, not endless."""
    return f"'{text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'}'"


def near(name: str, known: Iterable[str]) -> str:
    """The name that was probably meant, else those that there are."""
    known = sorted({each for each in known if "<<" not in each})
    return did_you_mean(name, known, f"known: {', '.join(known) or 'none'}")


def warning(code: str, message: str, span: Span, hint: str) -> Diagnostic:
    """A diagnostic that keeps nothing from running."""
    return Diagnostic(code, message, span, hint, Severity.WARNING)
