"""Rules beside the project that they stand in: what the config makes of each trigger.

Only what certainly follows from the text is said: where the model of the config does not know, nothing is.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from deploystep.core.build import Branch, Tag
from deploystep.core.deploy_key import carries_key
from deploystep.core.frozen import dataclass
from deploystep.core.holds import own_job
from deploystep.core.parameters import Scalar, Template
from deploystep.core.patterns import Pattern, is_legal_ref
from deploystep.core.patterns.proofs import overlap, witness
from deploystep.core.rules import Alternative, Deploy, FlagIs, NameIs, Parameter, Rule, RuleSet
from deploystep.core.source import Diagnostic, Place, Severity, Span
from deploystep.core.trace import Answer
from deploystep.project import declared
from deploystep.project.conditions import Runs
from deploystep.project.config import Config, Job, Workflow, WorkflowRuns
from deploystep.project.declared import shown, warning
from deploystep.project.expressions import Unknown, Value, parameters_in, pattern_of
from deploystep.project.reading import Map, all_texts, at, key_line, map_of, texts_of, under
from deploystep.project.staying import deploys
from deploystep.project.steps import RUN, Read, RunsStep, runs_step

_TESTS: Final = re.compile(r"test|spec|lint|check|verify|integration|\bunit\b|\be2e|\bqa\b|jest|cypress", re.IGNORECASE)
_TOKENS: Final = re.compile(r"CIRCLE_TOKEN|CIRCLE_API_USER_TOKEN|CIRCLE_API_TOKEN|CIRCLECI_TOKEN|TOKEN_ENV|--token-env")
_CONTEXT_CURE: Final = (
    "add  context: NAME  to the job in its workflow, with a context that holds CIRCLE_TOKEN; or set that among the "
    "project's environment variables, which are not seen here, and write  ignore: [P05]"
)
#: Files that run commands for others: who runs the step from one of them is not told that nobody does.
_RUNNERS: Final = ("Makefile", "GNUmakefile", "package.json", "justfile", "Rakefile", "Taskfile.yml", "tox.ini")
#: A shell command that does something on a condition.
_ASKS: Final = re.compile(r"\b(?:if|case|test|halt)\b|\[ ")
_MOST_REFS: Final = 6  # that are tried for one pattern
_MOST_TEXTS: Final = 200
Ref: TypeAlias = Branch | Tag
Refs: TypeAlias = tuple[Ref, ...]  #: for which a rule is by one of its patterns


@dataclass(frozen=True, slots=True)
class Project:
    """What is known of the project: its config, those of targets by name, and its files (None where unknown)."""

    config: Config | None
    targets: Mapping[str, Config]
    files: tuple[str, ...] | None
    read: Read


def compare(rules: RuleSet, project: Project) -> Iterator[Diagnostic]:
    """Everything in which rules and configs do not fit together."""
    own = _Wiring(project.config, project.read) if project.config and not project.config.setup else None
    yield from own.unknown_rules(rules) if own else ()
    for rule in rules.rules:
        to = rule.sends.to if rule.sends else None
        config = project.targets.get(to.name) if to else project.config
        named = refs_of(rule, rules, own.config if own else config) if own or config else ()
        refs = [group for _, group in named]
        if own is not None:
            yield from own.required(rule, refs)
            yield from own.step(rule, refs)
            yield from own.twice(rule)
        if config is None or rule.sends is None:
            continue
        if config.setup:
            yield from declared.twice(rule.sends, config, project.files or (), project.read)
        elif to is not None:
            yield from _Wiring(config, project.read).deploy(rule, [(to.ref,)])
        elif own is not None and not own.is_gated(rule):
            yield from own.deploy(rule, refs)
            yield from own.loops(rule, refs)


class _Wiring:
    """One config, and what was found out about it so far."""

    def __init__(self, config: Config, read: Read) -> None:
        self.config = config
        self.read = read
        jobs = [job for workflow in config.workflows for job in workflow.jobs]
        self.steps = {id(job): runs_step(config, job, read) for job in jobs}
        self.jobs = jobs
        self.told: set[tuple[str, str]] = set()

    def _runs_step(self, job: Job) -> Answer:
        return self.steps[id(job)].of(RUN).answer

    def _step_for(self, job: Job, rule: Rule) -> RunsStep:
        return self.steps[id(job)].of(rule.name.value, *((RUN,) if rule.sends else ()))

    def step_names(self, rule: Rule) -> list[str]:
        """The names of the jobs that run the step for a rule."""
        return [n for job in self.jobs if self._step_for(job, rule).answer is Answer.YES for n in job.names]

    def required(self, rule: Rule, refs: list[Refs]) -> Iterator[Diagnostic]:
        """W702: a job that the rule requires is not in the workflow of the step, or does not run there for the rule."""
        beside = [w for w in self.config.workflows if any(self._may_step(job, rule) for job in w.jobs)]
        workflows = beside or self.config.workflows
        names = [name for w in workflows for job in w.jobs for name in job.names]
        where = "with the step" if beside else f"of {self.config.path}"
        for name in rule.requires if workflows else ():
            if name.value in self.step_names(rule):
                yield own_job(name)
            # a job called by a template may have any name that begins as the template does
            elif not any(name.value == n or ("<<" in n and name.value.startswith(n.partition("<<")[0])) for n in names):
                what = f"no workflow {where} has a job {shown(name.value)}"
                yield warning("W702", what, name.span, declared.near(name.value, names))
            elif found := self._filtered(name.value, beside, refs):
                ref, runs = found
                what = f"job {shown(name.value)} does not run on {_named(ref)}: {runs.why}"
                yield warning("W702", what, name.span, _cure(runs, ref, rule)).cured_in(self._at(runs.line))

    def _filtered(self, name: str, beside: list[Workflow], refs: list[Refs]) -> tuple[Ref, Runs] | None:
        """A ref for which a job never runs beside the step."""
        for ref in (group[0] for group in refs):
            running = [w for w in self.config.runs(self.config.any_trigger(ref)) if w.workflow in beside]
            found = [runs for w in running for job, runs in w.jobs if name in job.names]
            if found and all(runs.answer is Answer.NO for runs in found):
                return ref, found[0]
        return None

    def _may_step(self, job: Job, rule: Rule) -> bool:
        return self._step_for(job, rule).answer is not Answer.NO

    def is_gated(self, rule: Rule) -> bool:
        """Whether `gate` alone judges the rule: then nothing is sent, and no workflow waits for it."""
        return bool(self.step_names(rule)) and all(self._runs_step(job) is not Answer.YES for job in self.jobs)

    def twice(self, rule: Rule) -> Iterator[Diagnostic]:
        """P11: the config both sends a rule and gates it."""
        gates = [s.of(rule.name.value) for s in self.steps.values()]
        gate = next((step for step in gates if step.answer is Answer.YES), None)
        sends = next((s.of(RUN) for s in self.steps.values() if s.of(RUN).answer is Answer.YES), None)
        if rule.sends and gate and sends:
            what = f"this step gates the rule, and run (line {sends.line}) sends it: two deploys"
            hint = "remove deploy: from the rule, or one of the steps"
            yield warning("P11", what, rule.name.span, hint).cured_in(self._at(gate.line))

    def unknown_rules(self, rules: RuleSet) -> Iterator[Diagnostic]:
        """P10: `gate` names a rule that there is not."""
        names = [rule.name.value for rule in rules.rules]
        for name, line in dict.fromkeys(found for steps in self.steps.values() for found in steps.unlike):
            if name not in names:
                what, hint = f"gate names rule {shown(name)}, which there is not", declared.near(name, names)
                yield Diagnostic("P10", what, rules.rules[0].name.span, hint).cured_in(self._at(line))

    def _at(self, line: int) -> Place:
        return Place(self.config.path, line)

    # --- the trigger

    def deploy(self, rule: Rule, refs: list[Refs]) -> Iterator[Diagnostic]:
        """What the rule sends, and what that starts."""
        deploy, config = rule.deploy, self.config
        if deploy.job is not None:
            yield from self._job(deploy)
            return
        if config.is_version_2 and deploy.parameters:
            where, span = self._at(key_line(config.root, "version")), deploy.parameters[0].key.span
            what = "a config of version 2 knows no parameters, so CircleCI refuses this trigger"
            yield Diagnostic("P01", what, span, "write  version: 2.1  there").cured_in(where)
            return
        if ("parameters", "") not in self.told:
            self.told.add(("parameters", ""))
            yield from declared.declarations(config, deploy.span)
        runs = [w for ref, *_ in refs for w in self._started(rule, ref) if w.runs.answer is not Answer.NO]
        problems = list(declared.parameters(deploy, config, [w.workflow for w in runs] or config.workflows))
        yield from problems
        name = deploy.workflow.value if deploy.workflow else None
        if name is not None and config.has_workflows and name not in (w.name for w in config.workflows):
            what = f"{config.path} has no workflow {shown(name)}"
            yield Diagnostic("P01", what, _span(deploy), declared.near(name, (w.name for w in config.workflows)))
        elif not any(problem.is_error for problem in problems):
            found = self._starts(rule, refs) or self._without(rule, refs) or self._both(rule, refs)
            if found is not None:
                yield found

    def _job(self, deploy: Deploy) -> Iterator[Diagnostic]:
        job, jobs = deploy.job, map_of(at(self.config.root, "jobs"))
        if job is not None and self.config.version and not self.config.is_version_2:
            where = self._at(key_line(self.config.root, "version"))
            what = f"API v1.1 starts a job of a version 2 config, and this is version {self.config.version}"
            hint = "gate a workflow on a parameter and use workflow:"
            yield Diagnostic("P08", what, job.span, hint).cured_in(where)
        elif job is not None and jobs and job.value not in jobs:
            what = f"{self.config.path} has no job {shown(job.value)}"
            yield Diagnostic("P08", what, job.span, declared.near(job.value, map(str, jobs)))

    def _started(self, rule: Rule, ref: Ref) -> tuple[WorkflowRuns, ...]:
        return self.config.runs(self.config.trigger(ref, _all_sent(rule, ref)))

    def _starts(self, rule: Rule, refs: list[Refs]) -> Diagnostic | None:
        """P01: the trigger starts nothing, or not the named workflow."""
        name = rule.deploy.workflow.value if rule.deploy.workflow and self.config.has_workflows else None
        partly: Diagnostic | None = None
        for group in refs:
            wanted = [(ref, [w for w in self._started(rule, ref) if name in (None, w.workflow.name)]) for ref in group]
            out = [(ref, runs) for ref, runs in wanted if runs and all(w.runs.answer is Answer.NO for w in runs)]
            if not out:
                continue
            ref, runs = out[0]
            decides = runs[-1].runs
            subject = f"workflow {shown(name)}" if name else "no workflow"
            verb = "does not run" if name else "runs"
            place, hint = self._at(decides.line), _cure(decides, ref, rule)
            what = f"{subject} {verb} for this trigger on {_named(ref)}: {decides.why}"
            if len(out) == len(wanted):
                return Diagnostic("P01", what, _span(rule.deploy), hint).cured_in(place)
            partly = partly or warning("P01", what, _span(rule.deploy), hint).cured_in(place)
        return partly

    def _without(self, rule: Rule, refs: list[Refs]) -> Diagnostic | None:
        """P01: the named workflow runs, and the job in it that deploys does not."""
        for group in refs if rule.deploy.workflow else ():
            for ref, (w, job, runs) in ((ref, found) for ref in group if (found := self._left_out(rule, ref))):
                verb = "runs" if w.runs.answer is Answer.YES and runs.answer is Answer.NO else "may run"
                what = f"workflow {shown(w.workflow.name)} {verb} for this trigger on {_named(ref)} without job"
                text, hint = f"{what} {shown(job.alias)}: {runs.why}", _cure(runs, ref, rule)
                return warning("P01", text, _span(rule.deploy), hint).cured_in(self._at(runs.line))
        return None

    def _left_out(self, rule: Rule, ref: Ref) -> tuple[WorkflowRuns, Job, Runs] | None:
        """A job that deploys and does not run, where none does that is called so, or that nothing waits for."""
        for w in self._started(rule, ref):
            if rule.deploy.workflow and w.workflow.name == rule.deploy.workflow.value:
                waited = [id(other) for job in w.workflow.jobs for other in w.workflow.required(job)]
                last = [found for found in w.jobs if id(found[0]) not in waited]
                deploying = [found for found in w.jobs if deploys(found[0])] or last
                if deploying and all(_is_out(runs) for _, runs in deploying):
                    return (w, *deploying[0])
        return None

    def _both(self, rule: Rule, refs: list[Refs]) -> Diagnostic | None:
        """P09: two workflows run for one trigger."""
        for ref, *_ in refs:
            running = [w.workflow for w in self._started(rule, ref) if w.runs.answer is Answer.YES]
            if any(self._runs_step(job) is Answer.YES for w in running for job in w.jobs):
                continue  # a loop, which is told as one
            if len(running) > 1:
                names = " and ".join(shown(w.name) for w in running)
                what = f"workflows {names} both run for this trigger on {_named(ref)}"
                hint = self._shut(rule, "the one that is not meant")
                return warning("P09", what, _span(rule.deploy), hint).cured_in(self._at(running[1].line))
        return None

    # --- pushes and loops

    def loops(self, rule: Rule, refs: list[Refs]) -> Iterator[Diagnostic]:
        """P02: the deploy's workflow runs for pushes too. P03: what the trigger starts runs the step again."""
        if rule.deploy.job is not None:
            return
        name = rule.deploy.workflow.value if rule.deploy.workflow else None
        sent = [p.key.value for p in rule.deploy.parameters]
        is_sent = bool(sent) and self.config.parameters.keys() >= set(sent)
        for ref, *_ in refs:
            started = [(w.workflow, job) for w in self._started(rule, ref) for job in w.certain]
            again = [(workflow, job) for workflow, job in started if self._runs_step(job) is Answer.YES]
            on_push = self.config.runs(self.config.trigger(ref, {}, by_api=False))
            names = {name} if name is not None else {workflow.name for workflow, _ in started if is_sent}
            pushed = [w for w in on_push if w.workflow.name in names and w.runs.answer is Answer.YES]
            if again:
                workflow, job = again[0]
                is_stopped = name is not None or carries_key(rule.deploy)
                ends = "after one more round" if is_stopped else "never"
                what = (
                    f"what this trigger starts on {_named(ref)} runs this step again "
                    f"(workflow {shown(workflow.name)}, job {shown(job.alias)}); that ends {ends}"
                )
                severity = Severity.WARNING if is_stopped else Severity.ERROR
                hint = self._shut(rule, f"workflow {shown(workflow.name)}")
                yield Diagnostic("P03", what, _span(rule.deploy), hint, severity).cured_in(self._at(job.line))
            elif 0 < len(names) == len(pushed) and self._deploys(rule, ref, pushed[0]):
                found = pushed[0].workflow
                what = f"workflow {shown(found.name)} also runs for every push to {_named(ref)}"
                hint = _gate(rule, f"workflow {shown(found.name)}")
                yield Diagnostic("P02", what, _span(rule.deploy), hint).cured_in(self._at(found.line))
            elif twice := next(self._again(rule, ref, on_push), None):
                beside, job = twice
                where = f"job {shown(job.alias)} of workflow {shown(name or '')} also runs for every push"
                what = f"{where} to {_named(ref)}, in workflow {shown(beside.name)}"
                hint = "remove it there, or filter it by a parameter"
                yield warning("P02", what, _span(rule.deploy), hint).cured_in(self._at(job.line))
            else:
                continue
            return

    def _again(self, rule: Rule, ref: Ref, on_push: Iterable[WorkflowRuns]) -> Iterator[tuple[Workflow, Job]]:
        """Jobs that are called a deploy, that the trigger starts, and that a push runs too, alike and by itself."""
        name = rule.deploy.workflow.value if rule.deploy.workflow else None
        started = [w for w in self._started(rule, ref) if w.workflow.name == name]
        same = [(job.key, _arguments(job)) for w in started for job in w.certain if deploys(job)]
        for w in on_push:
            for job in w.certain if w.workflow.name != name else ():
                waits = any(other.is_approval for other in w.workflow.required(job))
                if (job.key, _arguments(job)) in same and not waits and not self._asks(rule, [job]):
                    yield w.workflow, job

    def _deploys(self, rule: Rule, ref: Ref, pushed: WorkflowRuns) -> bool:
        """Whether a push runs all that the trigger runs, with nobody's approval and no condition inside of the jobs."""
        started = {id(job) for w in self._started(rule, ref) for job, runs in w.jobs if runs.answer is not Answer.NO}
        jobs = pushed.workflow.jobs
        if started & {id(job) for job in jobs} - {id(job) for job in pushed.certain}:
            return False
        if any(job.is_approval or self._runs_step(job) is Answer.YES for job in jobs):
            return False
        return not self._asks(rule, jobs)

    def _asks(self, rule: Rule, jobs: Iterable[Job]) -> bool:
        """Whether a condition inside of the jobs may ask for what the rule sends."""
        bodies = [at(self.config.root, "jobs", job.key) for job in jobs] + [at(self.config.root, "commands")]
        sent = {p.key.value for p in rule.deploy.parameters}
        asked = [text for body in bodies for text in under(body, "condition")]
        asked += [text for body in bodies for text in all_texts(body) if _ASKS.search(text)]
        return any("step halt" in text or sent & parameters_in(text) for text in asked)

    def _shut(self, rule: Rule, what: str) -> str:
        """How to keep a workflow from what the rules send: where they send several values, all but the default."""
        flag = _flag(rule)
        found = self.config.parameters.get(flag.key.value) if flag else None
        if flag is None or found is None or flag.value.value is True or not isinstance(found.default, (str, int)):
            return _gate(rule, what, "unless")
        return f"give {what}  when: {{equal: [{_literal(found.default)}, << pipeline.parameters.{flag.key.value} >>]}}"

    # --- the step

    def step(self, rule: Rule, refs: list[Refs]) -> Iterator[Diagnostic]:
        """P04: the step never runs for the rule. P05: what its job lacks."""
        for group in refs:
            missing = [self._missing(ref, rule) for ref in group]
            if missing and all(missing):
                runs = next(m for m in missing if m)
                verb = "never runs" if runs.answer is Answer.NO else "may never run"
                what = f"the step {verb} on {_named(group[0])}: {runs.why}"
                command = "run" if rule.sends else f"gate {rule.name.value}"
                hint = f"run  deploystep {command}  in a job that runs for what this rule is for"
                if "filter" in runs.why:
                    hint = _cure(runs, group[0], rule)
                yield warning("P04", what, rule.name.span, hint).cured_in(self._at(runs.line))
                break
        if "P05" in rule.ignore:
            return
        for ref in (ref for group in refs for ref in group):
            for w in self.config.runs(self.config.any_trigger(ref)):
                for job, runs in w.jobs:
                    if runs.answer is not Answer.NO and self._step_for(job, rule).answer is Answer.YES:
                        yield from self._lacks(rule, w, job)

    def _missing(self, ref: Ref, rule: Rule) -> Runs | None:
        """Why no job can run the step for a ref; None where one may."""
        jobs = [found for w in self.config.runs(self.config.any_trigger(ref)) for found in w.jobs]
        with_step = [(job, runs) for job, runs in jobs if self._may_step(job, rule)]
        if not all(_is_out(runs) for _, runs in with_step):
            return None
        if with_step:
            job, runs = with_step[0]
            ends = " does not run" if runs.answer is Answer.NO else ""
            return Runs(runs.answer, runs.line or job.line, f"job {shown(job.alias)}{ends}: {runs.why}")
        idle = next((s.otherwise for s in self.steps.values() if s.otherwise.is_idle), None)
        if idle is not None:
            return Runs(Answer.NO, idle.line, "it only plans here: plan, --dry-run or --sandbox")
        used = {job.key for job in self.jobs}
        for key in (key for key in map_of(at(self.config.root, "jobs")) if key not in used):
            job = Job(str(key), (str(key),), str(key), key.line, Map())
            found = runs_step(self.config, job, self.read)
            if found.of(rule.name.value, *((RUN,) if rule.sends else ())).answer is not Answer.NO:
                return Runs(Answer.NO, key.line, f"job {shown(key)} is in no workflow")
        hidden = any("deploystep" in (self.read(name) or "") for name in _RUNNERS)
        return None if hidden or not jobs else Runs(Answer.NO, 0, "no job of this config runs it")

    def _lacks(self, rule: Rule, w: WorkflowRuns, job: Job) -> Iterator[Diagnostic]:
        found = self._step_for(job, rule)
        asks = not found.is_gate or at(self.config.root, "jobs", job.key, "parallelism") is not None or rule.requires
        has_context = bool(texts_of(at(job.fields, "context")))
        has_token = not asks or has_context or any(_TOKENS.search(text) for text in all_texts(self.config.root))
        needed = [job]
        for one in needed:
            needed += [other for other in w.workflow.required(one) if other not in needed]
        tests = [
            other for other, runs in w.jobs
            if _TESTS.search(other.alias) and other not in needed
            and runs.answer is not Answer.NO and job not in w.workflow.required(other)
        ]  # fmt: skip
        lacks = [
            ("context", not has_token, job.line, "names no context, and nothing here sets CIRCLE_TOKEN",
             _CONTEXT_CURE),
            ("checkout", found.has_checkout is Answer.NO, found.line, "runs the step before any checkout",
             "add  - checkout  before it: the rule file is in the repository"),
            ("tests", bool(tests), job.line, f"does not require {', '.join(shown(t.alias) for t in tests[:3])}",
             f"add  requires: [{', '.join(t.alias for t in tests[:3])}]  to it"),
        ]  # fmt: skip
        for what, is_so, line, words, hint in lacks:
            if is_so and (job.alias, what) not in self.told:
                self.told.add((job.alias, what))
                yield warning("P05", f"job {shown(job.alias)} {words}", rule.name.span, hint).cured_in(self._at(line))


# --- the refs for which a rule is


def refs_of(rule: Rule, rules: RuleSet, config: Config | None) -> Iterator[tuple[Alternative, Refs]]:
    """For each pattern of the rule its alternative, and names that it matches: one of its own, some of the config's."""
    guards = [a for guard in rules.never for a in guard.when.alternatives]
    stops = [a for a in (*(rule.unless.alternatives if rule.unless else ()), *guards) if len(a.matchers) == 1]
    for alternative in rule.when.alternatives:
        if any(isinstance(m, FlagIs) and m.word == "fork" and m.wanted for m in alternative.matchers):
            continue
        for matcher in (m for m in alternative.matchers if isinstance(m, NameIs) and m.word in ("branch", "tag")):
            same = [m for a in stops for m in a.matchers if isinstance(m, NameIs) and m.word == matcher.word]
            unlike = [pattern.value for m in same for pattern in m.patterns]
            for pattern in matcher.patterns:
                names = _names(pattern.value, unlike, config)
                if names:
                    yield alternative, tuple(Branch(n) if matcher.word == "branch" else Tag(n) for n in names)


def _names(pattern: Pattern, unlike: list[Pattern], config: Config | None) -> list[str]:
    only = pattern.only_match
    found = [only] if only is not None else [name for name in (witness(pattern, unlike),) if name]
    for text in _ref_texts(config) if only is None else ():
        regex = pattern_of(text) if len(text) > 1 and text[0] == text[-1] == "/" else None
        found.append((overlap([pattern], [regex]) or "") if regex else text)
    legal = [name for name in dict.fromkeys(found) if is_legal_ref(name) and pattern.matches(name)]
    return [name for name in legal if not any(stop.matches(name) for stop in unlike)][:_MOST_REFS]


def _ref_texts(config: Config | None) -> list[str]:
    """What the gates and filters compare with, which may be names of branches or tags, or regexes for them."""
    found: list[str] = []
    for w in config.workflows if config else ():
        quoted = [pair for text in all_texts(w.fields) for pair in re.findall(r'"([^"\\]+)"|(/.+/)', text)]
        found += [name for pair in quoted for name in pair if name]
        found += [str(text) for word in ("only", "ignore", "equal") for text in under(w.fields, word)]
        found += [f"/{text}/" for text in under(w.fields, "pattern")]
    return list(dict.fromkeys(found))[:_MOST_TEXTS]


def _all_sent(rule: Rule, ref: Ref) -> Mapping[str, Value]:
    return {p.key.value: _sent(p.value.value, ref) for p in rule.deploy.parameters}


def _sent(value: Scalar | Template, ref: Ref) -> Value:
    """What a parameter will be at a ref, as far as that is known: never empty."""
    if not isinstance(value, Template):
        return value
    known = {"CIRCLE_BRANCH": isinstance(ref, Branch), "CIRCLE_TAG": isinstance(ref, Tag)}
    if any(not known.get(reference.name) for reference in value.references):
        return Unknown.SOMETHING
    return "".join(part if isinstance(part, str) else ref.name for part in value.parts)


# --- words


def _span(deploy: Deploy) -> Span:
    return deploy.workflow.span if deploy.workflow else deploy.span


def _named(ref: Ref) -> str:
    return f"{'tag' if isinstance(ref, Tag) else 'branch'} {shown(ref.name)}"


def _flag(rule: Rule) -> Parameter | None:
    """The parameter by which a workflow is best gated: a literal, true before a text before a number."""
    sent = [p for p in rule.deploy.parameters if not (isinstance(v := p.value.value, Template) and v.references)]
    return max(sent, key=lambda p: (p.value.value is True, isinstance(p.value.value, Template)), default=None)


def _gate(rule: Rule, what: str, word: str = "when") -> str:
    """How to gate a workflow by what the rule sends."""
    flag = _flag(rule)
    if flag is None:
        return f"send a parameter such as deploy: true, and give {what}  {word}: << pipeline.parameters.deploy >>"
    name, value = f"<< pipeline.parameters.{flag.key.value} >>", flag.value.value
    text = value.text if isinstance(value, Template) else _literal(value)
    return f"give {what}  {word}: {name if value is True else f'{{equal: [{text}, {name}]}}'}"


def _literal(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'


def _arguments(job: Job) -> Map:
    return Map({key: value for key, value in job.fields.items() if key not in ("requires", "context", "filters")})


def _is_out(runs: Runs) -> bool:
    """Whether a job does not run, or requires one that does not, of which the docs tell two things for a tag."""
    return runs.answer is Answer.NO or (runs.answer is Answer.UNKNOWN and runs.why.startswith("it requires"))


def _cure(runs: Runs, ref: Ref, rule: Rule) -> str:
    if "not declared" in runs.why:
        return "declare it under parameters: there, or correct its name"
    if "refuses" in runs.why:
        return "correct the name there"
    if "for a tag" in runs.why or (isinstance(ref, Tag) and "filters" in runs.why):
        return "add to the job, and to all that it requires,  filters: {tags: {only: /.*/}}"
    if "filters" in runs.why:
        return f"let the filters there allow {_named(ref)}, or keep it out of this rule"
    if "triggers:" in runs.why:
        return "name a workflow without triggers:, or make one of the same jobs"
    return f"send what it asks for, or {_gate(rule, 'the workflow')}"


# --- for a plan


@dataclass(frozen=True, slots=True)
class WouldRun:
    """What a trigger would start: in words, and each workflow that runs or may, with its jobs."""

    text: str
    workflows: tuple[WorkflowRuns, ...]


def rule_would_run(config: Config, rule: Rule, ref: Ref) -> WouldRun:
    """What the rule's trigger would start for a build of this ref."""
    return would_run(config, ref, _all_sent(rule, ref))


def would_run(config: Config, ref: Ref, parameters: Mapping[str, Value]) -> WouldRun:
    """What a trigger with these parameters would start."""
    unknown = [name for name in parameters if name not in config.parameters]
    if config.setup:
        return WouldRun(f"not known: {config.path}:{config.setup}: a setup config is continued by another one", ())
    if unknown:
        return WouldRun(f"nothing: {config.path} does not declare parameter '{unknown[0]}'", ())
    all_runs = config.runs(config.trigger(ref, parameters))
    running = tuple(w for w in all_runs if w.runs.answer is not Answer.NO)
    if running:
        texts = []
        for w in running:
            doubted = w.runs.answer if w.runs.answer is Answer.YES else None
            jobs = ", ".join(
                f"{'perhaps ' if doubted and runs.answer is Answer.UNKNOWN else ''}{job.alias}"
                for job, runs in w.jobs
                if runs.answer is not Answer.NO
            )
            texts.append(f"{'' if w.runs.answer is Answer.YES else 'perhaps '}workflow {w.workflow.name}: {jobs}")
        return WouldRun("; ".join(texts), running)
    reasons = [f"{w.workflow.name} ({config.path}:{w.runs.line}: {w.runs.why})" for w in all_runs]
    return WouldRun(f"nothing: {'; '.join(reasons) or 'there is no workflow'}", ())
