"""Rules beside the project that they stand in: what the configs make of each trigger, and of the jobs of this step.

Only what certainly follows from the text is said: where the model of the config does not know, nothing is.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from deploystep.core.build import Branch, Tag
from deploystep.core.decide import own_job
from deploystep.core.deploy import NAME as DEPLOY_KEY
from deploystep.core.deploy import carries_key
from deploystep.core.facts import Answer
from deploystep.core.frozen import Frozen
from deploystep.core.parameters import Scalar, Template
from deploystep.core.patterns import Pattern, is_legal_ref
from deploystep.core.patterns.proofs import overlap, witness
from deploystep.core.rules import Alternative, Deploy, FlagIs, NameIs, Rule, RuleSet
from deploystep.core.source import Diagnostic, Place, Severity, Span, Spanned, did_you_mean, shown
from deploystep.project.conditions import UNKNOWN, Runs, Trigger, Unknown, Value, parameters_in, regex_of
from deploystep.project.config import RUN, VERSION_2, Call, Config, Declared, Job, JobSteps, Read, WorkflowRuns, job_of
from deploystep.project.reading import ConfigUnreadable, all_texts, at, key_line, map_of, read_yaml, texts_of, under

_TESTS: Final = re.compile(r"test|spec|lint|check|verify|integration|\bunit\b|\be2e|\bqa\b|jest|cypress", re.IGNORECASE)
_TOKENS: Final = re.compile(r"CIRCLE_TOKEN|CIRCLE_API_USER_TOKEN|CIRCLE_API_TOKEN|CIRCLECI_TOKEN|TOKEN_ENV|--token-env")
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
Ref: TypeAlias = Branch | Tag
Refs: TypeAlias = tuple[Ref, ...]  #: for which a rule is by one of its patterns


class Project(Frozen):
    """What is known of the project: its config, those of targets by name, and its files (None where unknown)."""

    config: Config | None
    targets: Mapping[str, Config]
    files: tuple[str, ...] | None
    read: Read


def compare(rules: RuleSet, project: Project) -> Iterator[Diagnostic]:
    """Everything in which rules and configs do not fit together."""
    own = _Steps(project.config, project.read) if project.config and not project.config.setup else None
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
            yield from _Starts(_Steps(config, project.read), deploy, [(to.ref,)]).problems()
        elif own is not None:
            starts = _Starts(own, deploy, refs)
            yield from starts.problems()
            yield from [*starts.loops()][:1]


def _say(  # noqa: PLR0913, PLR0917 - all that there is to say
    config: Config, code: str, span: Span, line: int, what: str, hint: str, *, is_error: bool = False
) -> Diagnostic:
    """Say what is wrong, with its cure on a line of the config; 0 is the whole of it."""
    severity = Severity.ERROR if is_error else Severity.WARNING
    return Diagnostic(code, what, span, hint, severity).cured_in(Place(config.path, line))


def _named(ref: Ref) -> str:
    return f"{'tag' if isinstance(ref, Tag) else 'branch'} {shown(ref.name)}"


def _near(name: str, known: Iterable[str]) -> str:
    """The name that was probably meant, else those that there are."""
    known = sorted({each for each in known if "<<" not in each})
    return did_you_mean(name, known, f"known: {', '.join(known) or 'none'}")


def refs_of(rule: Rule, rules: RuleSet, config: Config | None) -> Iterator[tuple[Alternative, Refs]]:
    """For each pattern of the rule its alternative, and names that it matches: its own, and some of the config's."""
    stops = (when for when in (rule.unless, *(guard.when for guard in rules.never)) if when)
    alone = [a.matchers[0] for when in stops for a in when.alternatives if len(a.matchers) == 1]
    texts = _ref_texts(config) if config is not None else []
    for alternative in rule.when.alternatives:
        if any(isinstance(m, FlagIs) and m.word == "fork" and m.wanted for m in alternative.matchers):
            continue
        for matcher in (m for m in alternative.matchers if isinstance(m, NameIs) and m.word in ("branch", "tag")):
            unlike = [p.value for m in alone if isinstance(m, NameIs) and m.word == matcher.word for p in m.patterns]
            for names in (_names(pattern.value, unlike, texts) for pattern in matcher.patterns):
                if names:
                    yield alternative, tuple(Branch(n) if matcher.word == "branch" else Tag(n) for n in names)


def _names(pattern: Pattern, unlike: list[Pattern], texts: list[str]) -> list[str]:
    only = pattern.only_match
    found = [only if only is not None else witness(pattern, unlike) or ""]
    for text, regex in ((text, regex_of(text)) for text in texts if only is None):
        found.append((overlap([pattern], [regex]) or "") if regex else text)
    legal = [name for name in dict.fromkeys(found) if is_legal_ref(name) and pattern.matches(name)]
    return [name for name in legal if not any(stop.matches(name) for stop in unlike)][:6]


def _ref_texts(config: Config) -> list[str]:
    """What the gates and filters compare with, which may be names of branches or tags, or regexes for them."""
    found: list[str] = []
    for w in config.workflows:
        found += [a or b for text in all_texts(w.fields) for a, b in re.findall(r'"([^"\\]+)"|(/.+/)', text)]
        found += [str(text) for word in ("only", "ignore", "equal") for text in under(w.fields, word)]
        found += [f"/{text}/" for text in under(w.fields, "pattern")]
    return list(dict.fromkeys(found))[:200]


def sent(deploy: Deploy, ref: Ref) -> Mapping[str, Value]:
    """What a deploy's parameters will be at a ref, as far as that is known."""
    return {p.key.value: _value(p.value.value, ref) for p in deploy.parameters}


def _value(value: Scalar | Template, ref: Ref | None) -> Value:
    """A value with the name of the ref filled in, if one is given; one that only the build tells is never empty."""
    if not isinstance(value, Template):
        return value
    known = {"CIRCLE_BRANCH": isinstance(ref, Branch), "CIRCLE_TAG": isinstance(ref, Tag)}
    if ref is None or any(not known.get(reference.name) for reference in value.references):
        return Unknown.SOMETHING if value.references else value.text
    return "".join(part if isinstance(part, str) else ref.name for part in value.parts)


def _a_job(name: Spanned[str], config: Config) -> Iterator[Diagnostic]:
    """P08: API v1.1 cannot start the job, or there is none."""
    jobs = map_of(at(config.root, "jobs"))
    if config.version and config.version not in VERSION_2:
        what = f"API v1.1 starts a job of a version 2 config, and this is version {config.version}"
        hint, line = "gate a workflow on a parameter and use workflow:", key_line(config.root, "version")
        yield _say(config, "P08", name.span, line, what, hint, is_error=True)
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
            yield _say(setup, "P08", key.span, setup.parameters[key.value].line, what, hint, is_error=True)


class _Steps:
    """The jobs of one config, what each of them calls of this step, and what that lacks."""

    def __init__(self, config: Config, read: Read) -> None:
        self.config, self.read = config, read
        self.steps = {id(job): JobSteps(config, job, read) for job in config.jobs}
        self.told: set[tuple[str, str]] = set()  # what is said once

    def sends(self, job: Job) -> bool:
        """Whether a job runs the step that sends, for sure."""
        return self.steps[id(job)].of(RUN).answer is Answer.YES

    def is_gated(self, rule: Rule) -> bool:
        """Whether `gate` alone judges the rule: then nothing is sent, and no workflow waits for it."""
        is_called = any(_call(steps, rule).answer is Answer.YES for steps in self.steps.values())
        return is_called and not any(map(self.sends, self.config.jobs))

    def unknown_rules(self, rules: RuleSet) -> Iterator[Diagnostic]:
        """P10: `gate` names a rule that there is not. Of several words one may be the value of an option."""
        names, span = [rule.name.value for rule in rules.rules], rules.rules[0].name.span
        calls = {c.words[0]: c.line for s in self.steps.values() for c in s.calls if len(c.words) == 1}
        for name, line in calls.items():
            if name not in (RUN, *names) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):  # for sure a rule's
                what = f"gate names rule {shown(name)}, which there is not"
                yield _say(self.config, "P10", span, line, what, _near(name, names), is_error=True)

    def problems(self, rule: Rule, refs: list[Refs]) -> Iterator[Diagnostic]:
        config, span, calls = self.config, rule.name.span, {n: _call(steps, rule) for n, steps in self.steps.items()}
        found = {ref: config.runs(Trigger(ref, None, {})) for group in refs for ref in group}
        yield from self._required(rule, calls, {ref: found[ref] for ref, *_ in refs})
        for group in refs:
            missing = [self._missing(found[ref], rule, calls) for ref in group]
            if missing[0] is not None and all(missing):
                command = "run" if rule.sends else f"gate {rule.name.value}"
                hint = missing[0].cure or f"run  deploystep {command}  in a job that runs for what this rule is for"
                what = f"the step never runs on {_named(group[0])}: {missing[0].why}"
                yield _say(config, "P04", span, missing[0].line, what, hint)
                break
        for w in (w for runs in found.values() for w in runs):
            for job in (job for job, runs in w.jobs if runs.answer is not Answer.NO):
                if calls[id(job)].answer is Answer.YES:
                    yield from self._lacks(rule, w, job, calls[id(job)])
        ways = [[c for s in self.steps.values() if (c := s.of(n)).answer is Answer.YES] for n in (rule.name.value, RUN)]
        if rule.sends and all(ways):
            what = f"this step gates the rule, and run (line {ways[1][0].line}) sends it: two deploys"
            yield _say(config, "P11", span, ways[0][0].line, what, "remove deploy: from the rule, or one of the steps")

    def _required(
        self, rule: Rule, calls: Mapping[int, Call], found: Mapping[Ref, tuple[WorkflowRuns, ...]]
    ) -> Iterator[Diagnostic]:
        """W702: a job that the rule requires is not in the step's workflow, or does not run. E702: it is its own."""
        workflows = self.config.workflows
        beside = [w for w in workflows if any(calls[id(job)].answer is not Answer.NO for job in w.jobs)]
        jobs = [job for w in beside or workflows for job in w.jobs]
        for name in rule.requires if jobs else ():
            if any(name.value in job.names and calls[id(job)].answer is Answer.YES for job in jobs):
                yield own_job(name)
                continue
            if not any(job.is_called(name.value) for job in jobs):
                what = f"no workflow{' with the step' if beside else ''} has a job {shown(name.value)}"
                hint = _near(name.value, [each for job in jobs for each in job.names])
                yield Diagnostic("W702", what, name.span, hint, Severity.WARNING)
            for ref, running in found.items():
                all_of = [r for w in running if w.workflow in beside for job, r in w.jobs if job.is_called(name.value)]
                if all_of and all(runs.answer is Answer.NO for runs in all_of):
                    what, runs = f"job {shown(name.value)} does not run on {_named(ref)}", all_of[0]
                    hint = runs.cure or f"let it run for {_named(ref)}, or keep that out of this rule"
                    yield _say(self.config, "W702", name.span, runs.line, f"{what}: {runs.why}", hint)
                    break

    def _missing(self, found: tuple[WorkflowRuns, ...], rule: Rule, calls: Mapping[int, Call]) -> Runs | None:
        """Why no job can run the step for a ref; None where one may."""
        jobs = [each for w in found for each in w.jobs]
        with_step = [(job, runs) for job, runs in jobs if calls[id(job)].answer is not Answer.NO]
        for job, runs in with_step[:1]:
            may_run = any(each.answer is not Answer.NO for _, each in with_step)
            why = f"job {shown(job.alias)} does not run: {runs.why}"
            return None if may_run else Runs(Answer.NO, runs.line or job.line, why, runs.cure)
        for line in (steps.idle for steps in self.steps.values() if steps.idle):
            return Runs(Answer.NO, line, "it only plans here: plan, --dry-run or --sandbox")
        used = {job.key for job in self.config.jobs}
        for key in (key for key in map_of(at(self.config.root, "jobs")) if key not in used):
            if _call(JobSteps(self.config, job_of(key), self.read), rule).answer is not Answer.NO:
                return Runs(Answer.NO, key.line, f"job {shown(key)} is in no workflow")
        hidden = any("deploystep" in (self.read(name) or "") for name in _RUNNERS)
        return None if hidden or not jobs else Runs(Answer.NO, 0, "no job of this config runs it")

    def _lacks(self, rule: Rule, w: WorkflowRuns, job: Job, call: Call) -> Iterator[Diagnostic]:
        """P05: what a job that runs the step lacks for it."""
        asks = call.words == (RUN,) or at(self.config.root, "jobs", job.key, "parallelism") is not None or rule.requires
        seen = (texts_of(at(job.fields, "context")), *map(_TOKENS.search, all_texts(self.config.root)))
        needed = [job]
        for each in needed:
            needed += [other for other in w.workflow.required(each) if other not in needed]
        beside = [other for other, runs in w.jobs if runs.answer is not Answer.NO and other not in needed]
        tests = [o.alias for o in beside if _TESTS.search(o.alias) and job not in w.workflow.required(o)][:3]
        lacks = (
            (asks and not any(seen), job.line, "names no context, and nothing here sets CIRCLE_TOKEN",
             ("add  context: NAME  to the job in its workflow, with a context that holds CIRCLE_TOKEN; or set that "
              "among the project's environment variables, which are not seen here, and write  ignore: [P05]")),
            (call.has_checkout is Answer.NO, call.line, "runs the step before any checkout",
             "add  - checkout  before it: the rule file is in the repository"),
            (bool(tests), job.line, f"does not require {', '.join(map(shown, tests))}",
             f"add  requires: [{', '.join(tests)}]  to it"),
        )  # fmt: skip
        for is_so, line, words, hint in lacks:
            if is_so and (job.alias, words) not in self.told and "P05" not in rule.ignore:
                self.told.add((job.alias, words))
                yield _say(self.config, "P05", rule.name.span, line, f"job {shown(job.alias)} {words}", hint)


def _call(steps: JobSteps, rule: Rule) -> Call:
    """The call that is meant for a rule: one that sends it, or that gates it."""
    return steps.of(rule.name.value, *((RUN,) if rule.sends else ()))


class _Starts:
    """What a deploy starts in a config, for the refs of its rule: P01 to P03, P06, P07 and P09."""

    def __init__(self, steps: _Steps, deploy: Deploy, refs: list[Refs]) -> None:
        self.steps, self.config, self.deploy, self.refs = steps, steps.config, deploy, refs
        self.name = deploy.workflow.value if deploy.workflow else None
        self.span = deploy.workflow.span if deploy.workflow else deploy.span
        runs, trigger = self.config.runs, self.config.trigger
        self.started = {ref: runs(trigger(ref, sent(deploy, ref))) for group in refs for ref in group}

    def problems(self) -> Iterator[Diagnostic]:
        config, names = self.config, [w.name for w in self.config.workflows]
        if config.version in VERSION_2 and self.deploy.parameters:
            what = "a config of version 2 knows no parameters, so CircleCI refuses this trigger"
            line, hint = key_line(config.root, "version"), "write  version: 2.1  there"
            yield _say(config, "P01", self.deploy.parameters[0].key.span, line, what, hint, is_error=True)
            return
        problems = [*self._parameters()]
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
                hint, is_error = self._gate("the workflow"), len(nothing) == len(group)
                hint = runs.cure or f"send what it asks for, or {hint}"
                yield _say(self.config, "P01", self.span, runs.line, f"{what}: {runs.why}", hint, is_error=is_error)

    def _without(self, ref: Ref) -> Iterator[tuple[str, Runs, bool]]:
        """What does not run at a ref, why, and whether it is the whole workflow, or only its jobs that deploy."""
        name, trigger = self.name if self.config.has_workflows else None, f"for this trigger on {_named(ref)}"
        wanted = [w for w in self.started[ref] if name in (None, w.workflow.name)]
        if wanted and all(w.runs.answer is Answer.NO for w in wanted):
            subject = f"workflow {shown(name)} does not run" if name else "no workflow runs"
            yield f"{subject} {trigger}", wanted[-1].runs, True
        for w in wanted if name and wanted[0].runs.answer is not Answer.NO else ():
            waited = [id(other) for job in w.workflow.jobs for other in w.workflow.required(job)]
            last = [found for found in w.jobs if id(found[0]) not in waited]
            deploying = [found for found in w.jobs if found[0].deploys] or last  # by their names, else the last
            if deploying and all(runs.answer is Answer.NO for _, runs in deploying):
                verb = "runs" if w.runs.answer is Answer.YES else "may run"
                what = f"workflow {shown(w.workflow.name)} {verb} {trigger} without job {shown(deploying[0][0].alias)}"
                yield what, deploying[0][1], False

    def _both(self) -> Iterator[Diagnostic]:
        """P09: two workflows run for one trigger."""
        for ref, *_ in self.refs:
            running = [w.workflow for w in self.started[ref] if w.runs.answer is Answer.YES]
            is_loop = any(map(self.steps.sends, (job for w in running for job in w.jobs)))  # which is told as one
            if len(running) > 1 and not is_loop:
                what = f"workflows {' and '.join(shown(w.name) for w in running)} both run for this trigger"
                hint = self._gate("the one that is not meant", "unless")
                yield _say(self.config, "P09", self.span, running[1].line, f"{what} on {_named(ref)}", hint)

    def _gate(self, what: str, word: str = "when") -> str:
        """How to gate a workflow by what the rule sends, or with `unless` to keep one from it."""
        defaults = {name: declared.default for name, declared in self.config.parameters.items()}
        values = [(p.key.value, _value(p.value.value, None)) for p in self.deploy.parameters]
        literal = {n: v for n, v in values if not isinstance(v, Unknown) and v != defaults.get(n)}
        for name in (n for n, value in values if not literal and value is True):
            return f"give parameter {shown(name)}  default: false"
        name = max(literal, key=lambda name: (literal[name] is True, type(literal[name]) is str), default="deploy")
        asked, value, default = f"<< pipeline.parameters.{name} >>", literal.get(name, True), defaults.get(name)
        if word == "unless" and value is not True and isinstance(default, str | int):
            word, value = "when", default  # whatever another rule sends
        if value is not True:
            asked = f"{{equal: [{json.dumps(value)}, {asked}]}}"
        send = "" if literal else "send a parameter whose default is another, such as deploy: true, and "
        return f"{send}give {what}  {word}: {asked}"

    def _parameters(self) -> Iterator[Diagnostic]:
        """P07: the config does not declare a parameter so. P06: it does not use it."""
        config, parts = self.config, [node for key, node in self.config.root.items() if key != "parameters"]
        for name, each in config.parameters.items():
            what, hint = "has no default, so every push fails", 'add one:  default: ""'
            if each.default is not UNKNOWN:
                what = f"has a default that type {shown(each.type)} does not allow"
                hint = _misfit(each.default, each) if each.type != "string" else ""
            if hint and (name, "") not in self.steps.told:
                self.steps.told.add((name, ""))
                what = f"parameter {shown(name)} {what}"
                yield _say(config, "P07", self.deploy.span, each.line, what, hint, is_error=True)
        for parameter in self.deploy.parameters:
            key, name, value = parameter.key, parameter.key.value, parameter.value.value
            declared, text = config.parameters.get(name), value.text if isinstance(value, Template) else ""
            if declared is None:
                hint = _near(name, config.parameters) if config.parameters else "declare it under parameters: there"
                yield Diagnostic("P07", f"{config.path} does not declare the parameter {shown(name)}", key.span, hint)
            elif hint := _misfit(_value(value, None), declared):
                is_not = shown(text) if isinstance(value, Template) else json.dumps(value)
                what = f"{shown(name)} is declared as {declared.type}, which {is_not} is not"
                yield Diagnostic("P07", f"{config.path}:{declared.line}: {what}", parameter.value.span, hint)
            else:
                is_mark = f"${{{DEPLOY_KEY}}}" in text or "${CIRCLE_SHA1}" in text
                texts = (text for part in parts for text in all_texts(part, _CONDITIONS if is_mark else frozenset()))
                if not any(name in parameters_in(text) for text in texts):
                    where = "outside of conditions, which leave no mark in the run" if is_mark else "in this config"
                    mark, what = f"<< pipeline.parameters.{name} >>", f"parameter {shown(name)} is not used {where}"
                    hint = f"write in the job that deploys  environment: {{{name.upper()}: {mark}}}"
                    yield _say(config, "P06", key.span, declared.line, what, hint)

    def loops(self) -> Iterator[Diagnostic]:
        """P03: what the trigger starts runs the step again. P02: a push runs the deploy's workflow."""
        for ref, *_ in self.refs:
            again = [(w, job) for w in self.started[ref] for job in w.certain if self.steps.sends(job)]
            for w, job in again:
                is_stopped = self.name is not None or carries_key(self.deploy)
                name, ends = f"workflow {shown(w.workflow.name)}", "after one more round" if is_stopped else "never"
                by, hint = f"{name}, job {shown(job.alias)}", self._gate(name, "unless")
                what = f"what this trigger starts on {_named(ref)} runs this step again ({by}); that ends {ends}"
                yield _say(self.config, "P03", self.span, job.line, what, hint, is_error=not is_stopped)
            parameters = {p.key.value for p in self.deploy.parameters}
            is_known = bool(parameters) and self.config.parameters.keys() >= parameters
            started = {w.workflow.name for w in self.started[ref] if w.certain and is_known}
            names = started if self.name is None else {self.name}
            on_push = self.config.runs(self.config.trigger(ref, {}, by_api=False))
            pushed = [w for w in on_push if w.workflow.name in names and w.runs.answer is Answer.YES]
            if 0 < len(names) == len(pushed) and self._deploys(ref, pushed[0], parameters):
                workflow, subject = pushed[0].workflow, f"workflow {shown(pushed[0].workflow.name)}"
                what = f"{subject} also runs for every push to {_named(ref)}"
                yield _say(self.config, "P02", self.span, workflow.line, what, self._gate(subject), is_error=True)
            own = [job for w in self.started[ref] if w.workflow.name == self.name for job in w.certain if job.deploys]
            beside = ((w.workflow, job) for w in on_push if w.workflow.name != self.name for job in w.certain)
            for workflow, job in beside if not pushed else ():
                waits = any(other.is_approval for other in workflow.required(job))
                if not waits and any(_is_same(job, each) for each in own) and not self._asks([job], parameters):
                    what = f"job {shown(job.alias)} of the deploy also runs for every push to {_named(ref)}"
                    hint = f"remove it from workflow {shown(workflow.name)}, or filter it there by a parameter"
                    yield _say(self.config, "P02", self.span, job.line, what, hint)

    def _deploys(self, ref: Ref, pushed: WorkflowRuns, parameters: set[str]) -> bool:
        """Whether a push runs all that the trigger runs, with nobody's approval and no condition inside of the jobs."""
        started = {id(job) for w in self.started[ref] for job, runs in w.jobs if runs.answer is not Answer.NO}
        jobs = pushed.workflow.jobs
        is_held = any(job.is_approval or self.steps.sends(job) for job in jobs)
        is_less = started & {id(job) for job in jobs} - {id(job) for job in pushed.certain}
        return not is_less and not is_held and not self._asks(jobs, parameters)

    def _asks(self, jobs: Iterable[Job], parameters: set[str]) -> bool:
        """Whether a condition inside of the jobs may ask for what is sent."""
        root = self.config.root
        bodies = [*(at(root, "jobs", job.key) for job in jobs), at(root, "commands")]
        asked = (t for body in bodies for t in (*under(body, "condition"), *filter(_ASKS.search, all_texts(body))))
        return any("step halt" in text or parameters & parameters_in(text) for text in asked)


def _is_same(one: Job, other: Job) -> bool:
    """Whether two jobs run the same, with the same parameters."""
    keys = {*one.fields, *other.fields} - {"requires", "context", "filters", "name"}
    return one.key == other.key and all(at(one.fields, key) == at(other.fields, key) for key in keys)


def _misfit(value: Value, declared: Declared) -> str:
    """What to write instead of a value that the declared type does not allow; nothing where it does."""
    fitting, hint = _TYPES.get(declared.type, (object, "write string, boolean, integer or enum"))
    if fitting is str and isinstance(value, str) and declared.values:
        return "" if value in declared.values else _near(value, declared.values)
    return "" if type(value) is fitting or (fitting is str and isinstance(value, Unknown)) else hint
