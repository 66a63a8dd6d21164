"""What a rule's trigger starts, what it is sent, and what every push starts beside it: P01 to P03 and P06 to P09."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from deploystep.core.deploy import NAME as DEPLOY_KEY
from deploystep.core.deploy import carries_key
from deploystep.core.facts import Answer
from deploystep.core.parameters import Template
from deploystep.core.rules import Deploy, Parameter
from deploystep.core.source import Diagnostic, Severity, Spanned
from deploystep.core.text import shown
from deploystep.project.conditions import UNKNOWN, parameters_in, written
from deploystep.project.config import Config, Declared, Job, WorkflowRuns
from deploystep.project.reading import ConfigUnreadable, Map, Node, all_texts, at, key_line, map_of, read_yaml, under
from deploystep.project.refs import Ref, Refs, sent
from deploystep.project.step_jobs import StepJobs, named, near
from deploystep.project.steps import Read

#: A shell command that does something on a condition.
_ASKS: Final = re.compile(r"\b(?:if|case|test|halt)\b|\[ ")
#: Conditions are decided when the config is compiled, and leave nothing of a parameter behind.
_CONDITIONS: Final = frozenset({"when", "unless", "filters", "condition"})
#: For each type of CircleCI's: what a value of it is here, and how one is written.
_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "boolean": (bool, "write true or false"),
    "integer": (int, "write a whole number, without quotes"),
    "string": (Template, "quote it"),
    "enum": (Template, "quote it"),
}


def a_job(name: Spanned[str], config: Config) -> Iterator[Diagnostic]:
    """P08: API v1.1 cannot start the job, or there is none."""
    jobs = map_of(at(config.root, "jobs"))
    if config.version and not config.is_version_2:
        place = config.place(key_line(config.root, "version"))
        what = f"API v1.1 starts a job of a version 2 config, and this is version {config.version}"
        yield Diagnostic("P08", what, name.span, "gate a workflow on a parameter and use workflow:").cured_in(place)
    elif jobs and name.value not in jobs:
        what = f"{config.path} has no job {shown(name.value)}"
        yield Diagnostic("P08", what, name.span, near(name.value, map(str, jobs)))


def declared_twice(deploy: Deploy, setup: Config, files: Iterable[str], read: Read) -> Iterator[Diagnostic]:
    """P08: parameters that the setup config and the config that continues it both declare: sent, the two conflict."""
    for file in files:
        if not re.fullmatch(r"\.circleci/.*\.ya?ml", file) or setup.path.endswith(file):
            continue
        try:
            other = map_of(at(read_yaml(read(file) or ""), "parameters"))
        except ConfigUnreadable:
            continue
        for key in (parameter.key for parameter in deploy.parameters):
            if key.value in setup.parameters and key.value in other:
                what = f"the setup config declares {shown(key.value)}, and {file} declares it too"
                hint = "CircleCI ends such a run with an error: pass it on under another name"
                place = setup.place(setup.parameters[key.value].line)
                yield Diagnostic("P08", what, key.span, hint).cured_in(place)


class Starts:
    """What a deploy starts in a config, for the refs of its rule."""

    def __init__(self, jobs: StepJobs, deploy: Deploy, refs: list[Refs]) -> None:
        self.jobs, self.config, self.deploy, self.refs = jobs, jobs.config, deploy, refs
        self.name = deploy.workflow.value if deploy.workflow else None
        self.span = deploy.workflow.span if deploy.workflow else deploy.span
        self.sent = {p.key.value for p in deploy.parameters}
        triggers = {ref: self.config.trigger(ref, sent(deploy, ref)) for group in refs for ref in group}
        self.started = {ref: self.config.runs(trigger) for ref, trigger in triggers.items()}

    # --- the trigger

    def problems(self) -> Iterator[Diagnostic]:
        """What is wrong with the trigger, and with what it starts."""
        deploy, config = self.deploy, self.config
        if config.is_version_2 and deploy.parameters:
            what = "a config of version 2 knows no parameters, so CircleCI refuses this trigger"
            line, span = key_line(config.root, "version"), deploy.parameters[0].key.span
            yield Diagnostic("P01", what, span, "write  version: 2.1  there").cured_in(self.config.place(line))
            return
        if ("parameters",) not in self.jobs.told:
            self.jobs.told.add(("parameters",))
            yield from self._declarations()
        problems = [*self._parameters()]
        yield from problems
        names = [w.name for w in config.workflows]
        if self.name is not None and config.has_workflows and self.name not in names:
            what = f"{config.path} has no workflow {shown(self.name)}"
            yield Diagnostic("P01", what, self.span, near(self.name, names))
        elif not any(problem.is_error for problem in problems):
            found = self._nothing() or self._without() or self._both()
            yield from [found] if found else []

    def _nothing(self) -> Diagnostic | None:
        """P01: the trigger starts nothing, or not the named workflow."""
        name = self.name if self.config.has_workflows else None
        told: list[Diagnostic] = []
        for group in self.refs:
            wanted = {ref: [w.runs for w in self.started[ref] if name in (None, w.workflow.name)] for ref in group}
            out = [ref for ref, runs in wanted.items() if runs and all(each.answer is Answer.NO for each in runs)]
            if out:
                decides = wanted[out[0]][-1]
                subject = f"workflow {shown(name)} does not run" if name else "no workflow runs"
                what = f"{subject} for this trigger on {named(out[0])}: {decides.why}"
                hint = decides.cure or f"send what it asks for, or {self._gate('the workflow')}"
                severity = Severity.ERROR if len(out) == len(group) else Severity.WARNING
                found = Diagnostic("P01", what, self.span, hint, severity)
                told.append(found.cured_in(self.config.place(decides.line)))
        return min(told, key=lambda each: not each.is_error, default=None)

    def _without(self) -> Diagnostic | None:
        """P01: the named workflow runs, and none of its jobs that deploy: those called so, else the last ones."""
        for ref, w in ((ref, w) for ref, started in self.started.items() for w in started):
            if w.workflow.name == self.name:
                waited = [id(other) for job in w.workflow.jobs for other in w.workflow.required(job)]
                last = [found for found in w.jobs if id(found[0]) not in waited]
                deploying = [found for found in w.jobs if found[0].deploys] or last
                if deploying and all(runs.answer is Answer.NO for _, runs in deploying):
                    job, runs = deploying[0]
                    verb = "runs" if w.runs.answer is Answer.YES else "may run"
                    what = f"workflow {shown(self.name)} {verb} for this trigger on {named(ref)} without job"
                    text = f"{what} {shown(job.alias)}: {runs.why}"
                    hint = runs.cure or f"send what it asks for, or {self._gate('the workflow')}"
                    return self.config.warning("P01", text, self.span, hint, runs.line)
        return None

    def _both(self) -> Diagnostic | None:
        """P09: two workflows run for one trigger."""
        for ref, *_ in self.refs:
            running = [w.workflow for w in self.started[ref] if w.runs.answer is Answer.YES]
            is_loop = any(map(self.jobs.sends, (job for w in running for job in w.jobs)))  # which is told as one
            if len(running) > 1 and not is_loop:
                what = f"workflows {' and '.join(shown(w.name) for w in running)} both run for this trigger"
                hint = self._gate("the one that is not meant", is_shut=True)
                return self.config.warning("P09", f"{what} on {named(ref)}", self.span, hint, running[1].line)
        return None

    def _gate(self, what: str, *, is_shut: bool = False) -> str:
        """How to gate a workflow by what the rule sends, or to keep one from what all rules send."""
        word = "unless" if is_shut else "when"
        literal = [p for p in self.deploy.parameters if not (isinstance(v := p.value.value, Template) and v.references)]
        flag = max(literal, key=lambda p: (p.value.value is True, isinstance(p.value.value, Template)), default=None)
        if flag is None:
            return f"send a parameter such as deploy: true, and give {what}  {word}: << pipeline.parameters.deploy >>"
        name, value = f"<< pipeline.parameters.{flag.key.value} >>", flag.value.value
        if value is True:
            return f"give {what}  {word}: {name}"
        text = (value.text if isinstance(value, Template) else written(value)) or '""'
        declared = self.config.parameters.get(flag.key.value)
        if is_shut and declared is not None and isinstance(declared.default, str | int):
            word, text = "when", written(declared.default) or '""'  # whatever another rule sends
        return f"give {what}  {word}: {{equal: [{text}, {name}]}}"

    # --- what is sent

    def _parameters(self) -> Iterator[Diagnostic]:
        """P07: the config does not declare a parameter so. P06: what is started does not use it."""
        root, place = self.config.root, self.config.path
        started = [w.workflow for ref, *_ in self.refs for w in self.started[ref] if w.runs.answer is not Answer.NO]
        apart = ("parameters", "workflows", *([] if "job-groups" in root else ["jobs"]))
        parts: list[Node | None] = [value for key, value in root.items() if key not in apart]
        for w in started or self.config.workflows:
            parts += [w.fields, *(at(root, "jobs", job.key) for job in w.jobs)]
        gates = [at(fields, word) for w in self.config.workflows for fields in (w.fields, *(j.fields for j in w.jobs))
                 for word in _CONDITIONS]  # fmt: skip
        everywhere, marked = _used([*parts, *gates]), _used(parts, without=_CONDITIONS)
        for parameter in self.deploy.parameters:
            key, name, declared = parameter.key, parameter.key.value, self.config.parameters.get(parameter.key.value)
            if declared is None:
                known = self.config.parameters
                hint = near(name, known) if known else "declare it under parameters: there"
                yield Diagnostic("P07", f"{place} does not declare the parameter {shown(name)}", key.span, hint)
            elif wrong := _value(parameter, declared, f"{place}:{declared.line}"):
                yield wrong
            elif self.config.refused is None and name not in marked:
                text = parameter.value.value.text if isinstance(parameter.value.value, Template) else ""
                what = f"parameter {shown(name)} is not used in what this trigger starts"
                if name in everywhere:
                    what = f"parameter {shown(name)} is used in conditions alone, which leave no mark in the run"
                if name not in everywhere or f"${{{DEPLOY_KEY}}}" in text or "${CIRCLE_SHA1}" in text:
                    value = f"{{{name.upper()}: << pipeline.parameters.{name} >>}}"
                    hint = f"write in the job that deploys  environment: {value}"
                    yield self.config.warning("P06", what, key.span, hint, declared.line)

    def _declarations(self) -> Iterator[Diagnostic]:
        """P07: declarations for which CircleCI refuses the config, or every push."""
        for name, declared in self.config.parameters.items():
            fitting, hint = _TYPES.get(declared.type, (object, "write string, boolean, integer or enum"))
            what, default = f"has a default that type {shown(declared.type)} does not allow", declared.default
            if default is UNKNOWN:
                what, hint = "has no default, so every push fails", 'give it a default there, for example  default: ""'
            elif declared.values and fitting is Template:
                hint = near("", declared.values) if default not in declared.values else ""
            elif fitting is Template or type(default) is fitting:
                continue
            if hint:
                subject = f"parameter {shown(name)} {what}"
                yield Diagnostic("P07", subject, self.deploy.span, hint).cured_in(self.config.place(declared.line))

    # --- pushes and loops

    def loops(self) -> Iterator[Diagnostic]:
        """P02: what deploys runs for pushes too. P03: what the trigger starts runs the step again."""
        found = (self._again(ref) or self._pushed(ref) for ref, *_ in self.refs)
        yield from islice(filter(None, found), 1)

    def _again(self, ref: Ref) -> Diagnostic | None:
        """P03: a job that the trigger starts runs the step."""
        again = [(w.workflow, job) for w in self.started[ref] for job in w.certain if self.jobs.sends(job)]
        if not again:
            return None
        workflow, job = again[0]
        is_stopped = self.name is not None or carries_key(self.deploy)
        what = (
            f"what this trigger starts on {named(ref)} runs this step again (workflow {shown(workflow.name)}, "
            f"job {shown(job.alias)}); that ends {'after one more round' if is_stopped else 'never'}"
        )
        severity = Severity.WARNING if is_stopped else Severity.ERROR
        hint = self._gate(f"workflow {shown(workflow.name)}", is_shut=True)
        return Diagnostic("P03", what, self.span, hint, severity).cured_in(self.config.place(job.line))

    def _pushed(self, ref: Ref) -> Diagnostic | None:
        """P02: a push runs the deploy's workflow, or in another one a job of it that is called a deploy."""
        on_push = self.config.runs(self.config.trigger(ref, {}, by_api=False))
        started = [w for w in self.started[ref] if w.certain]
        is_sent = bool(self.sent) and self.config.parameters.keys() >= self.sent
        names = {w.workflow.name for w in started if is_sent} if self.name is None else {self.name}
        pushed = [w for w in on_push if w.workflow.name in names and w.runs.answer is Answer.YES]
        if 0 < len(names) == len(pushed) and self._deploys(ref, pushed[0]):
            subject = f"workflow {shown(pushed[0].workflow.name)}"
            what = f"{subject} also runs for every push to {named(ref)}"
            line = pushed[0].workflow.line
            return Diagnostic("P02", what, self.span, self._gate(subject)).cured_in(self.config.place(line))
        own = [job for w in started if w.workflow.name == self.name for job in w.certain if job.deploys]
        same = [(job.key, _arguments(job)) for job in own]
        beside = [w for w in on_push if w.workflow.name != self.name]
        for workflow, job in ((w.workflow, job) for w in beside for job in w.certain):
            waits = any(other.is_approval for other in workflow.required(job))
            if (job.key, _arguments(job)) in same and not waits and not self._asks([job]):
                where = f"job {shown(job.alias)} of workflow {shown(self.name or '')} also runs for every push"
                what = f"{where} to {named(ref)}, in workflow {shown(workflow.name)}"
                hint = "remove it there, or filter it by a parameter"
                return self.config.warning("P02", what, self.span, hint, job.line)
        return None

    def _deploys(self, ref: Ref, pushed: WorkflowRuns) -> bool:
        """Whether a push runs all that the trigger runs, with nobody's approval and no condition inside of the jobs."""
        started = {id(job) for w in self.started[ref] for job, runs in w.jobs if runs.answer is not Answer.NO}
        jobs = pushed.workflow.jobs
        is_less = started & {id(job) for job in jobs} - {id(job) for job in pushed.certain}
        is_held = any(job.is_approval or self.jobs.sends(job) for job in jobs)
        return not is_less and not is_held and not self._asks(jobs)

    def _asks(self, jobs: Iterable[Job]) -> bool:
        """Whether a condition inside of the jobs may ask for what the rule sends."""
        root = self.config.root
        bodies = [*(at(root, "jobs", job.key) for job in jobs), at(root, "commands")]
        asked = [text for body in bodies for text in under(body, "condition")]
        asked += [text for body in bodies for text in all_texts(body) if _ASKS.search(text)]
        return any("step halt" in text or self.sent & parameters_in(text) for text in asked)


def _arguments(job: Job) -> Map:
    return Map({key: value for key, value in job.fields.items() if key not in ("requires", "context", "filters")})


def _used(parts: Iterable[Node | None], without: frozenset[str] = frozenset()) -> frozenset[str]:
    texts = (text for part in parts for text in all_texts(part, without) if "pipeline.parameters." in text)
    return frozenset(name for text in texts for name in parameters_in(text))


def _value(parameter: Parameter, declared: Declared, place: str) -> Diagnostic | None:
    value, key, span = parameter.value.value, shown(parameter.key.value), parameter.value.span
    fitting, how = _TYPES.get(declared.type, (type(value), ""))
    if type(value) is not fitting:
        return Diagnostic("P07", f"{place}: {key} is declared as {declared.type}, which this is not", span, how)
    if declared.values and isinstance(value, Template) and not value.references and value.text not in declared.values:
        what, how = f"{place}: {shown(value.text)} is not allowed for {key}", near(value.text, declared.values)
        return Diagnostic("P07", what, span, how)
    return None
