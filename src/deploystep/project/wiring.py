"""Rules beside the project that they stand in: what the configs make of each trigger, and of the jobs of this step.

Only what certainly follows from the text is said: where the model of the config does not know, nothing is.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from deploystep.core.build import Tag
from deploystep.core.deploy import NAME as DEPLOY_KEY
from deploystep.core.deploy import carries_key
from deploystep.core.facts import Answer
from deploystep.core.frozen import dataclass
from deploystep.core.matchers import own_job
from deploystep.core.parameters import Template
from deploystep.core.rules import Deploy, Rule, RuleSet
from deploystep.core.source import Diagnostic, Severity, Spanned
from deploystep.core.text import did_you_mean, shown
from deploystep.project.conditions import UNKNOWN, Runs, Trigger, Unknown, Value, parameters_in
from deploystep.project.config import Config, Declared, Job, WorkflowRuns, job_of
from deploystep.project.reading import (
    ConfigUnreadable,
    Node,
    all_texts,
    at,
    key_line,
    map_of,
    read_yaml,
    texts_of,
    under,
)
from deploystep.project.steps import RUN, Call, JobSteps, Read, runs_step
from deploystep.project.would_run import Ref, Refs, refs_of, sent, value_at

_TESTS: Final = re.compile(r"test|spec|lint|check|verify|integration|\bunit\b|\be2e|\bqa\b|jest|cypress", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # one that is certain
_TOKENS: Final = re.compile(r"CIRCLE_TOKEN|CIRCLE_API_USER_TOKEN|CIRCLE_API_TOKEN|CIRCLECI_TOKEN|TOKEN_ENV|--token-env")
_CONTEXT_CURE: Final = (
    "add  context: NAME  to the job in its workflow, with a context that holds CIRCLE_TOKEN; or set that among the "
    "project's environment variables, which are not seen here, and write  ignore: [P05]"
)
#: Files that run commands for others: who runs the step from one of them is not told that nobody does.
_RUNNERS: Final = ("Makefile", "GNUmakefile", "package.json", "justfile", "Rakefile", "Taskfile.yml", "tox.ini")
#: A shell command that does something on a condition.
_ASKS: Final = re.compile(r"\b(?:if|case|test|halt)\b|\[ ")
#: Conditions are decided when the config is compiled, and leave nothing of a parameter behind.
_CONDITIONS: Final = frozenset({"when", "unless", "filters", "condition"})
#: For each type of CircleCI's: what a value of it is here, and how one is written.
_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "boolean": (bool, "write true or false"), "integer": (int, "write a whole number, without quotes"),
    "string": (str, "quote it"), "enum": (str, "quote it"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Project:
    """What is known of the project: its config, those of targets by name, and its files (None where unknown)."""

    config: Config | None
    targets: Mapping[str, Config]
    files: tuple[str, ...] | None
    read: Read


def compare(rules: RuleSet, project: Project) -> Iterator[Diagnostic]:
    """Everything in which rules and configs do not fit together."""
    own = _Beside(project.config, project.read) if project.config and not project.config.setup else None
    yield from own.unknown_rules(rules) if own else ()
    for rule in rules.rules:
        deploy, to = rule.sends, rule.sends.to if rule.sends else None
        config = project.targets.get(to.name) if to else project.config
        refs = [group for _, group in refs_of(rule, rules, own.config)] if own else []
        yield from own.problems(rule, refs) if own else ()
        if config is None or deploy is None or (to is None and own is not None and own.is_gated(rule)):
            continue
        if config.setup:
            yield from _declared_twice(deploy, config, project)
        elif deploy.job is not None:
            yield from _a_job(deploy.job, config)
        elif to is not None:
            yield from _Starts(_Beside(config, project.read), deploy, [(to.ref,)]).problems()
        elif own is not None:
            starts = _Starts(own, deploy, refs)
            yield from starts.problems()
            yield from [*starts.loops()][:1]


def _named(ref: Ref) -> str:
    return f"{'tag' if isinstance(ref, Tag) else 'branch'} {shown(ref.name)}"


def _near(name: str, known: Iterable[str]) -> str:
    """The name that was probably meant, else those that there are."""
    known = sorted({each for each in known if "<<" not in each})
    return did_you_mean(name, known, f"known: {', '.join(known) or 'none'}")


def _a_job(name: Spanned[str], config: Config) -> Iterator[Diagnostic]:
    """P08: API v1.1 cannot start the job, or there is none."""
    jobs = map_of(at(config.root, "jobs"))
    if config.version and not config.is_version_2:
        what = f"API v1.1 starts a job of a version 2 config, and this is version {config.version}"
        place = config.place(key_line(config.root, "version"))
        yield Diagnostic("P08", what, name.span, "gate a workflow on a parameter and use workflow:").cured_in(place)
    elif jobs and name.value not in jobs:
        yield Diagnostic("P08", f"{config.path} has no job {shown(name.value)}", name.span, _near(name.value, jobs))


def _declared_twice(deploy: Deploy, setup: Config, project: Project) -> Iterator[Diagnostic]:
    """P08: parameters that the setup config and the config that continues it both declare: sent, the two conflict."""
    for file in project.files or ():
        try:
            is_config = re.fullmatch(r"\.circleci/.*\.ya?ml", file) and not setup.path.endswith(file)
            other = map_of(at(read_yaml(project.read(file) or ""), "parameters")) if is_config else {}
        except ConfigUnreadable:
            continue
        for key in (p.key for p in deploy.parameters if p.key.value in setup.parameters and p.key.value in other):
            what = f"the setup config declares {shown(key.value)}, and {file} declares it too"
            hint = "CircleCI ends such a run with an error: pass it on under another name"
            yield Diagnostic("P08", what, key.span, hint).cured_in(setup.place(setup.parameters[key.value].line))


class _Beside:
    """The jobs of one config, what each of them calls of this step, and what that lacks."""

    def __init__(self, config: Config, read: Read) -> None:
        self.config, self.read = config, read
        self.steps = {id(job): runs_step(config, job, read) for job in config.jobs}
        self.told: set[tuple[str, str]] = set()  # what is said once

    def sends(self, job: Job) -> bool:
        """Whether a job runs the step that sends, for sure."""
        return self.steps[id(job)].of(RUN).answer is Answer.YES

    def is_gated(self, rule: Rule) -> bool:
        """Whether `gate` alone judges the rule: then nothing is sent, and no workflow waits for it."""
        is_called = any(_call(steps, rule).answer is Answer.YES for steps in self.steps.values())
        return is_called and not any(map(self.sends, self.config.jobs))

    def unknown_rules(self, rules: RuleSet) -> Iterator[Diagnostic]:
        """P10: `gate` names a rule that there is not."""
        names = [rule.name.value for rule in rules.rules]
        calls = [call for steps in self.steps.values() for call in steps.calls if call.words != (RUN,)]
        for name, line in dict.fromkeys((call.words[0], call.line) for call in calls if len(call.words) == 1):
            if name not in names and _NAME.fullmatch(name):
                what, span = f"gate names rule {shown(name)}, which there is not", rules.rules[0].name.span
                yield Diagnostic("P10", what, span, _near(name, names)).cured_in(self.config.place(line))

    def problems(self, rule: Rule, refs: list[Refs]) -> Iterator[Diagnostic]:
        """What is wrong with the jobs that run the step for a rule."""
        calls, span = {key: _call(steps, rule) for key, steps in self.steps.items()}, rule.name.span
        at_ref = {ref: Trigger(ref, by_api=True, parameters={}, is_any=True) for group in refs for ref in group}
        found = {ref: self.config.runs(trigger) for ref, trigger in at_ref.items()}
        yield from self._required(rule, {ref: found[ref] for ref, *_ in refs}, calls)
        for group in refs:
            missing = [self._missing(found[ref], rule, calls) for ref in group]
            if missing[0] is not None and all(missing):
                command = "run" if rule.sends else f"gate {rule.name.value}"
                hint = missing[0].cure or f"run  deploystep {command}  in a job that runs for what this rule is for"
                what = f"the step never runs on {_named(group[0])}: {missing[0].why}"
                yield self.config.warning("P04", what, span, hint, missing[0].line)
                break
        for w in (w for runs in found.values() for w in runs):
            for job in (job for job, runs in w.jobs if runs.answer is not Answer.NO):
                if calls[id(job)].answer is Answer.YES:
                    yield from self._lacks(rule, w, job, calls[id(job)])
        certain = [
            [c for s in self.steps.values() if (c := s.of(n)).answer is Answer.YES] for n in (rule.name.value, RUN)
        ]
        if rule.sends and all(certain):
            what = f"this step gates the rule, and run (line {certain[1][0].line}) sends it: two deploys"
            hint = "remove deploy: from the rule, or one of the steps"
            yield self.config.warning("P11", what, span, hint, certain[0][0].line)

    def _required(
        self, rule: Rule, found: Mapping[Ref, tuple[WorkflowRuns, ...]], calls: Mapping[int, Call]
    ) -> Iterator[Diagnostic]:
        """W702: a job that the rule requires is not in the workflow of the step, or does not run there for the rule."""
        config = self.config
        beside = [w for w in config.workflows if any(calls[id(job)].answer is not Answer.NO for job in w.jobs)]
        jobs = [job for w in beside or config.workflows for job in w.jobs]
        for name in rule.requires if config.workflows else ():
            if any(name.value in job.names and calls[id(job)].answer is Answer.YES for job in config.jobs):
                yield own_job(name)
            elif not any(job.is_called(name.value) for job in jobs):
                what = f"no workflow {'with the step' if beside else f'of {config.path}'} has a job {shown(name.value)}"
                hint = _near(name.value, [each for job in jobs for each in job.names])
                yield Diagnostic("W702", what, name.span, hint, Severity.WARNING)
            else:
                for ref, runs in found.items():
                    running = [job for w in runs if w.workflow in beside for job in w.jobs]
                    of_job = [each for job, each in running if job.is_called(name.value)]
                    if of_job and all(each.answer is Answer.NO for each in of_job):
                        what = f"job {shown(name.value)} does not run on {_named(ref)}: {of_job[0].why}"
                        hint = of_job[0].cure or f"let it run for {_named(ref)}, or keep that out of this rule"
                        yield config.warning("W702", what, name.span, hint, of_job[0].line)
                        break

    def _missing(self, found: tuple[WorkflowRuns, ...], rule: Rule, calls: Mapping[int, Call]) -> Runs | None:
        """Why no job can run the step for a ref; None where one may."""
        jobs = [each for w in found for each in w.jobs]
        with_step = [(job, runs) for job, runs in jobs if calls[id(job)].answer is not Answer.NO]
        if any(runs.answer is not Answer.NO for _, runs in with_step):
            return None
        if with_step:
            job, runs = with_step[0]
            return Runs(Answer.NO, runs.line or job.line, f"job {shown(job.alias)} does not run: {runs.why}", runs.cure)
        idle = next((steps.idle for steps in self.steps.values() if steps.idle), 0)
        if idle:
            return Runs(Answer.NO, idle, "it only plans here: plan, --dry-run or --sandbox")
        used = {job.key for job in self.config.jobs}
        for key in (key for key in map_of(at(self.config.root, "jobs")) if key not in used):
            if _call(runs_step(self.config, job_of(key), self.read), rule).answer is not Answer.NO:
                return Runs(Answer.NO, key.line, f"job {shown(key)} is in no workflow")
        hidden = any("deploystep" in (self.read(name) or "") for name in _RUNNERS)
        return None if hidden or not jobs else Runs(Answer.NO, 0, "no job of this config runs it")

    def _lacks(self, rule: Rule, w: WorkflowRuns, job: Job, call: Call) -> Iterator[Diagnostic]:
        """P05: what a job that runs the step lacks for it."""
        asks = call.words == (RUN,) or at(self.config.root, "jobs", job.key, "parallelism") is not None or rule.requires
        has_context = bool(texts_of(at(job.fields, "context")))
        has_token = not asks or has_context or any(_TOKENS.search(text) for text in all_texts(self.config.root))
        needed = [job, *w.workflow.all_required(job)]
        tests = [
            other.alias for other, runs in w.jobs
            if _TESTS.search(other.alias) and other not in needed
            and runs.answer is not Answer.NO and job not in w.workflow.required(other)
        ][:3]  # fmt: skip
        lacks = (
            (not has_token, job.line, "names no context, and nothing here sets CIRCLE_TOKEN", _CONTEXT_CURE),
            (call.has_checkout is Answer.NO, call.line, "runs the step before any checkout",
             "add  - checkout  before it: the rule file is in the repository"),
            (bool(tests), job.line, f"does not require {', '.join(map(shown, tests))}",
             f"add  requires: [{', '.join(tests)}]  to it"),
        )  # fmt: skip
        for is_so, line, words, hint in lacks:
            if is_so and (job.alias, words) not in self.told and "P05" not in rule.ignore:
                self.told.add((job.alias, words))
                yield self.config.warning("P05", f"job {shown(job.alias)} {words}", rule.name.span, hint, line)


def _call(steps: JobSteps, rule: Rule) -> Call:
    """The call that is meant for a rule: one that sends it, or that gates it."""
    return steps.of(rule.name.value, *((RUN,) if rule.sends else ()))


class _Starts:
    """What a deploy starts in a config, for the refs of its rule: P01 to P03, P06, P07 and P09."""

    def __init__(self, beside: _Beside, deploy: Deploy, refs: list[Refs]) -> None:
        self.beside, self.config, self.deploy, self.refs = beside, beside.config, deploy, refs
        self.name = deploy.workflow.value if deploy.workflow else None
        self.span = deploy.workflow.span if deploy.workflow else deploy.span
        triggers = {ref: self.config.trigger(ref, sent(deploy, ref)) for group in refs for ref in group}
        self.started = {ref: self.config.runs(trigger) for ref, trigger in triggers.items()}

    def _say(self, code: str, what: str, hint: str, line: int, *, is_error: bool = True) -> Diagnostic:
        severity = Severity.ERROR if is_error else Severity.WARNING
        return Diagnostic(code, what, self.span, hint, severity).cured_in(self.config.place(line))

    def problems(self) -> Iterator[Diagnostic]:
        """What is wrong with the trigger, and with what it starts."""
        config, names = self.config, [w.name for w in self.config.workflows]
        if config.is_version_2 and self.deploy.parameters:
            what = "a config of version 2 knows no parameters, so CircleCI refuses this trigger"
            yield self._say("P01", what, "write  version: 2.1  there", key_line(config.root, "version"))
            return
        problems = [*self._declarations(), *self._parameters()]
        yield from problems
        if self.name is not None and config.has_workflows and self.name not in names:
            what = f"{config.path} has no workflow {shown(self.name)}"
            yield Diagnostic("P01", what, self.span, _near(self.name, names))
        elif not any(problem.is_error for problem in problems):
            yield from sorted([*self._nothing()] or [*self._both()], key=lambda each: not each.is_error)[:1]

    def _nothing(self) -> Iterator[Diagnostic]:
        """P01: the trigger starts nothing, not the named workflow, or it without the job that deploys."""
        for group in self.refs:
            found = [each for ref in group for each in self._without(ref)]
            nothing = [each for each in found if each[2]]
            for what, runs, _ in (nothing or found)[:1]:
                hint = runs.cure or f"send what it asks for, or {self._gate('the workflow')}"
                is_error = len(nothing) == len(group)
                yield self._say("P01", f"{what}: {runs.why}", hint, runs.line, is_error=is_error)

    def _without(self, ref: Ref) -> Iterator[tuple[str, Runs, bool]]:
        """What does not run at a ref, why, and whether it is the whole workflow, not only its jobs that deploy.

        Those are the ones called so, else the last ones.
        """
        name, trigger = self.name if self.config.has_workflows else None, f"for this trigger on {_named(ref)}"
        wanted = [w for w in self.started[ref] if name in (None, w.workflow.name)]
        if wanted and all(w.runs.answer is Answer.NO for w in wanted):
            subject = f"workflow {shown(name)} does not run" if name else "no workflow runs"
            yield f"{subject} {trigger}", wanted[-1].runs, True
        for w in wanted if name and wanted[0].runs.answer is not Answer.NO else ():
            waited = [id(other) for job in w.workflow.jobs for other in w.workflow.required(job)]
            last = [found for found in w.jobs if id(found[0]) not in waited]
            deploying = [found for found in w.jobs if found[0].deploys] or last
            if deploying and all(runs.answer is Answer.NO for _, runs in deploying):
                verb = "runs" if w.runs.answer is Answer.YES else "may run"
                what = f"workflow {shown(w.workflow.name)} {verb} {trigger} without job {shown(deploying[0][0].alias)}"
                yield what, deploying[0][1], False

    def _both(self) -> Iterator[Diagnostic]:
        """P09: two workflows run for one trigger."""
        for ref, *_ in self.refs:
            running = [w.workflow for w in self.started[ref] if w.runs.answer is Answer.YES]
            is_loop = any(map(self.beside.sends, (job for w in running for job in w.jobs)))  # which is told as one
            if len(running) > 1 and not is_loop:
                what = f"workflows {' and '.join(shown(w.name) for w in running)} both run for this trigger"
                hint = self._gate("the one that is not meant", "unless")
                yield self._say("P09", f"{what} on {_named(ref)}", hint, running[1].line, is_error=False)

    def _gate(self, what: str, word: str = "when") -> str:
        """How to gate a workflow by what the rule sends, or with `unless` to keep one from it."""
        defaults = {name: declared.default for name, declared in self.config.parameters.items()}
        values = ((p.key.value, value_at(p.value.value, None)) for p in self.deploy.parameters)
        literal = {n: v for n, v in values if not isinstance(v, Unknown) and v != defaults.get(n)}
        name = max(literal, key=lambda name: (literal[name] is True, type(literal[name]) is str), default="deploy")
        asked = f"<< pipeline.parameters.{name} >>"
        if not literal:
            return f"send a parameter whose default is another, such as deploy: true, and give {what}  {word}: {asked}"
        if literal[name] is not True:
            asked = f"{{equal: [{json.dumps(literal[name])}, {asked}]}}"
        return f"give {what}  {word}: {asked}"

    def _declarations(self) -> Iterator[Diagnostic]:
        """P07: declarations for which CircleCI refuses every push; told once for a config."""
        for name, declared in self.config.parameters.items():
            hint = _misfit(declared.default, declared)
            what = f"has a default that type {shown(declared.type)} does not allow"
            if declared.default is UNKNOWN:
                what, hint = "has no default, so every push fails", 'give it a default there, for example  default: ""'
            if hint and (name, what) not in self.beside.told:
                self.beside.told.add((name, what))
                yield self._say("P07", f"parameter {shown(name)} {what}", hint, declared.line)

    def _parameters(self) -> Iterator[Diagnostic]:
        """P07: the config does not declare a parameter so. P06: what is started does not use it."""
        config, root = self.config, self.config.root
        started = [w.workflow for ref, *_ in self.refs for w in self.started[ref] if w.runs.answer is not Answer.NO]
        apart = ("parameters", "workflows", *([] if "job-groups" in root else ["jobs"]))
        parts: list[Node | None] = [value for key, value in root.items() if key not in apart]
        for w in started or config.workflows:
            parts += [w.fields, *(at(root, "jobs", job.key) for job in w.jobs)]
        marked, everywhere = _used(parts, _CONDITIONS), _used([*parts, at(root, "workflows")])
        for parameter in self.deploy.parameters:
            key, name, value = parameter.key, parameter.key.value, parameter.value.value
            declared = config.parameters.get(name)
            if declared is None:
                hint = _near(name, config.parameters) if config.parameters else "declare it under parameters: there"
                yield Diagnostic("P07", f"{config.path} does not declare the parameter {shown(name)}", key.span, hint)
                continue
            if hint := _misfit(value_at(value, None), declared):
                what = f"{config.path}:{declared.line}: {shown(name)} is declared as {declared.type}, which this is not"
                yield Diagnostic("P07", what, parameter.value.span, hint)
            elif config.refused is None and name not in marked:
                text = value.text if isinstance(value, Template) else ""
                what = f"parameter {shown(name)} is not used in what this trigger starts"
                if name in everywhere:
                    what = f"parameter {shown(name)} is used in conditions alone, which leave no mark in the run"
                if name not in everywhere or f"${{{DEPLOY_KEY}}}" in text or "${CIRCLE_SHA1}" in text:
                    environment = f"{{{name.upper()}: << pipeline.parameters.{name} >>}}"
                    hint = f"write in the job that deploys  environment: {environment}"
                    yield config.warning("P06", what, key.span, hint, declared.line)

    def loops(self) -> Iterator[Diagnostic]:
        """P03: what the trigger starts runs the step again. P02: a push runs the deploy's workflow."""
        for ref, *_ in self.refs:
            for w in self.started[ref]:
                for job in filter(self.beside.sends, w.certain):
                    is_stopped = self.name is not None or carries_key(self.deploy)
                    name, ends = shown(w.workflow.name), "after one more round" if is_stopped else "never"
                    again = f"runs this step again (workflow {name}, job {shown(job.alias)}); that ends {ends}"
                    what = f"what this trigger starts on {_named(ref)} {again}"
                    hint = self._gate(f"workflow {name}", "unless")
                    yield self._say("P03", what, hint, job.line, is_error=not is_stopped)
            parameters = {p.key.value for p in self.deploy.parameters}
            is_known = bool(parameters) and self.config.parameters.keys() >= parameters
            started = {w.workflow.name for w in self.started[ref] if w.certain and is_known}
            names = started if self.name is None else {self.name}
            on_push = self.config.runs(self.config.trigger(ref, {}, by_api=False))
            pushed = [w for w in on_push if w.workflow.name in names and w.runs.answer is Answer.YES]
            if 0 < len(names) == len(pushed) and self._deploys(ref, pushed[0], parameters):
                subject = f"workflow {shown(pushed[0].workflow.name)}"
                what, line = f"{subject} also runs for every push to {_named(ref)}", pushed[0].workflow.line
                yield self._say("P02", what, self._gate(subject), line)

    def _deploys(self, ref: Ref, pushed: WorkflowRuns, parameters: set[str]) -> bool:
        """Whether a push runs all that the trigger runs, with nobody's approval and no condition inside of the jobs."""
        started = {id(job) for w in self.started[ref] for job, runs in w.jobs if runs.answer is not Answer.NO}
        jobs, root = pushed.workflow.jobs, self.config.root
        if started & {id(job) for job in jobs} - {id(job) for job in pushed.certain}:
            return False
        bodies = [*(at(root, "jobs", job.key) for job in jobs), at(root, "commands")]
        asked = [text for body in bodies for text in under(body, "condition")]
        asked += [text for body in bodies for text in all_texts(body) if _ASKS.search(text)]
        is_asked = any("step halt" in text or parameters & parameters_in(text) for text in asked)
        return not is_asked and not any(job.is_approval or self.beside.sends(job) for job in jobs)


def _used(parts: Iterable[Node | None], without: frozenset[str] = frozenset()) -> frozenset[str]:
    texts = (text for part in parts for text in all_texts(part, without) if "pipeline.parameters." in text)
    return frozenset(name for text in texts for name in parameters_in(text))


def _misfit(value: Value, declared: Declared) -> str:
    """What to write instead of a value that the declared type does not allow; nothing where it does."""
    fitting, hint = _TYPES.get(declared.type, (object, "write string, boolean, integer or enum"))
    if fitting is str and isinstance(value, str) and declared.values:
        return "" if value in declared.values else _near(value, declared.values)
    return "" if type(value) is fitting or (fitting is str and isinstance(value, Unknown)) else hint
