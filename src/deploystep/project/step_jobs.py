"""Which jobs run the step for a rule, and what they lack: W702, P04, P05, P10 and P11."""

import re
from collections.abc import Iterator
from typing import Final

from deploystep.core.holds import own_job
from deploystep.core.rules import Rule, RuleSet
from deploystep.core.source import Diagnostic
from deploystep.core.text import shown
from deploystep.core.trace import Answer
from deploystep.project.conditions import Reason, Runs
from deploystep.project.config import Config, Job, Workflow, WorkflowRuns
from deploystep.project.cures import cure, named, near, warning
from deploystep.project.reading import all_texts, at, map_of, texts_of
from deploystep.project.refs import Ref, Refs
from deploystep.project.steps import RUN, JobSteps, Read, RunsStep, runs_step

_TESTS: Final = re.compile(r"test|spec|lint|check|verify|integration|\bunit\b|\be2e|\bqa\b|jest|cypress", re.IGNORECASE)
_TOKENS: Final = re.compile(r"CIRCLE_TOKEN|CIRCLE_API_USER_TOKEN|CIRCLE_API_TOKEN|CIRCLECI_TOKEN|TOKEN_ENV|--token-env")
_CONTEXT_CURE: Final = (
    "add  context: NAME  to the job in its workflow, with a context that holds CIRCLE_TOKEN; or set that among the "
    "project's environment variables, which are not seen here, and write  ignore: [P05]"
)
#: Files that run commands for others: who runs the step from one of them is not told that nobody does.
_RUNNERS: Final = ("Makefile", "GNUmakefile", "package.json", "justfile", "Rakefile", "Taskfile.yml", "tox.ini")


class StepJobs:
    """The jobs of one config, and what each of them calls of this step."""

    def __init__(self, config: Config, read: Read) -> None:
        self.config, self.read = config, read
        self.steps = {id(job): runs_step(config, job, read) for job in config.jobs}
        self._told: set[tuple[str, ...]] = set()

    def is_first(self, *about: str) -> bool:
        """Whether this has not been said yet; from now on it has."""
        is_new = about not in self._told
        self._told.add(about)
        return is_new

    def sends(self, job: Job) -> bool:
        """Whether a job runs the step that sends, for sure."""
        return self.steps[id(job)].of(RUN).answer is Answer.YES

    def _of(self, job: Job, rule: Rule) -> RunsStep:
        return _step_for(self.steps[id(job)], rule)

    def _step_names(self, rule: Rule) -> list[str]:
        return [n for job in self.config.jobs if self._of(job, rule).answer is Answer.YES for n in job.names]

    def is_gated(self, rule: Rule) -> bool:
        """Whether `gate` alone judges the rule: then nothing is sent, and no workflow waits for it."""
        return bool(self._step_names(rule)) and not any(map(self.sends, self.config.jobs))

    # --- what the rules name

    def required(self, rule: Rule, refs: list[Refs]) -> Iterator[Diagnostic]:
        """W702: a job that the rule requires is not in the workflow of the step, or does not run there for the rule."""
        is_step = {id(job) for job in self.config.jobs if self._of(job, rule).answer is not Answer.NO}
        beside = [w for w in self.config.workflows if any(id(job) in is_step for job in w.jobs)]
        workflows = beside or self.config.workflows
        names = [name for w in workflows for job in w.jobs for name in job.names]
        where = "with the step" if beside else f"of {self.config.path}"
        for name in rule.requires if workflows else ():
            if name.value in self._step_names(rule):
                yield own_job(name)
            # a job called by a template may have any name that begins as the template does
            elif not any(name.value == n or ("<<" in n and name.value.startswith(n.partition("<<")[0])) for n in names):
                what = f"no workflow {where} has a job {shown(name.value)}"
                yield warning("W702", what, name.span, near(name.value, names))
            elif found := self._filtered(name.value, beside, refs):
                ref, runs = found
                what = f"job {shown(name.value)} does not run on {named(ref)}: {runs.why}"
                hint, place = cure(runs, ref, rule.sends), self.config.place(runs.line)
                yield warning("W702", what, name.span, hint).cured_in(place)

    def _filtered(self, name: str, beside: list[Workflow], refs: list[Refs]) -> tuple[Ref, Runs] | None:
        """A ref for which a job never runs beside the step."""
        for ref, *_ in refs:
            running = [w for w in self.config.runs(self.config.any_trigger(ref)) if w.workflow in beside]
            found = [runs for w in running for job, runs in w.jobs if name in job.names]
            if found and all(runs.answer is Answer.NO for runs in found):
                return ref, found[0]
        return None

    def twice(self, rule: Rule) -> Iterator[Diagnostic]:
        """P11: the config both sends a rule and gates it."""
        gate, sends = (
            next((step for s in self.steps.values() if (step := s.of(name)).answer is Answer.YES), None)
            for name in (rule.name.value, RUN)
        )
        if rule.sends and gate and sends:
            what = f"this step gates the rule, and run (line {sends.line}) sends it: two deploys"
            hint = "remove deploy: from the rule, or one of the steps"
            yield warning("P11", what, rule.name.span, hint).cured_in(self.config.place(gate.line))

    def unknown_rules(self, rules: RuleSet) -> Iterator[Diagnostic]:
        """P10: `gate` names a rule that there is not."""
        names = [rule.name.value for rule in rules.rules]
        for name, line in dict.fromkeys(found for steps in self.steps.values() for found in steps.unlike):
            if name not in names:
                what, hint = f"gate names rule {shown(name)}, which there is not", near(name, names)
                yield Diagnostic("P10", what, rules.rules[0].name.span, hint).cured_in(self.config.place(line))

    # --- the step

    def never(self, rule: Rule, refs: list[Refs]) -> Iterator[Diagnostic]:
        """P04: the step never runs for one of the rule's patterns."""
        for group in refs:
            missing = [self._missing(ref, rule) for ref in group]
            runs = missing[0]
            if runs is not None and all(missing):
                verb = "never runs" if runs.answer is Answer.NO else "may never run"
                what = f"the step {verb} on {named(group[0])}: {runs.why}"
                command = "run" if rule.sends else f"gate {rule.name.value}"
                hint = f"run  deploystep {command}  in a job that runs for what this rule is for"
                if runs.reason in (Reason.FILTERS, Reason.NO_TAGS):
                    hint = cure(runs, group[0], rule.sends)
                yield warning("P04", what, rule.name.span, hint).cured_in(self.config.place(runs.line))
                return

    def _missing(self, ref: Ref, rule: Rule) -> Runs | None:
        """Why no job can run the step for a ref; None where one may."""
        jobs = [found for w in self.config.runs(self.config.any_trigger(ref)) for found in w.jobs]
        with_step = [(job, runs) for job, runs in jobs if self._of(job, rule).answer is not Answer.NO]
        if not all(runs.is_out for _, runs in with_step):
            return None
        if with_step:
            job, runs = with_step[0]
            ends = " does not run" if runs.answer is Answer.NO else ""
            return Runs(runs.answer, runs.line or job.line, f"job {shown(job.alias)}{ends}: {runs.why}", runs.reason)
        idle = next((s.otherwise for s in self.steps.values() if s.otherwise.is_idle), None)
        if idle is not None:
            return Runs(Answer.NO, idle.line, "it only plans here: plan, --dry-run or --sandbox")
        used = {job.key for job in self.config.jobs}
        for key in (key for key in map_of(at(self.config.root, "jobs")) if key not in used):
            unused = runs_step(self.config, Job.plain(key), self.read)
            if _step_for(unused, rule).answer is not Answer.NO:
                return Runs(Answer.NO, key.line, f"job {shown(key)} is in no workflow")
        hidden = any("deploystep" in (self.read(name) or "") for name in _RUNNERS)
        return None if hidden or not jobs else Runs(Answer.NO, 0, "no job of this config runs it")

    def lacking(self, rule: Rule, refs: list[Refs]) -> Iterator[Diagnostic]:
        """P05: what a job that runs the step lacks for it."""
        for ref in (ref for group in refs for ref in group) if "P05" not in rule.ignore else ():
            for w in self.config.runs(self.config.any_trigger(ref)):
                for job, runs in w.jobs:
                    step = self._of(job, rule)
                    if runs.answer is not Answer.NO and step.answer is Answer.YES:
                        yield from self._lacks(rule, w, job, step)

    def _lacks(self, rule: Rule, w: WorkflowRuns, job: Job, step: RunsStep) -> Iterator[Diagnostic]:
        asks = not step.is_gate or at(self.config.root, "jobs", job.key, "parallelism") is not None or rule.requires
        has_context = bool(texts_of(at(job.fields, "context")))
        has_token = not asks or has_context or any(_TOKENS.search(text) for text in all_texts(self.config.root))
        needed = [job, *w.workflow.all_required(job)]
        tests = [
            other.alias for other, runs in w.jobs
            if _TESTS.search(other.alias) and other not in needed
            and runs.answer is not Answer.NO and job not in w.workflow.required(other)
        ][:3]  # fmt: skip
        lacks = [
            ("context", not has_token, job.line, "names no context, and nothing here sets CIRCLE_TOKEN",
             _CONTEXT_CURE),
            ("checkout", step.has_checkout is Answer.NO, step.line, "runs the step before any checkout",
             "add  - checkout  before it: the rule file is in the repository"),
            ("tests", bool(tests), job.line, f"does not require {', '.join(map(shown, tests))}",
             f"add  requires: [{', '.join(tests)}]  to it"),
        ]  # fmt: skip
        for what, is_so, line, words, hint in lacks:
            if is_so and self.is_first(job.alias, what):
                where = self.config.place(line)
                yield warning("P05", f"job {shown(job.alias)} {words}", rule.name.span, hint).cured_in(where)


def _step_for(steps: JobSteps, rule: Rule) -> RunsStep:
    """The call that is meant for a rule: one that sends it, or that gates it."""
    return steps.of(rule.name.value, *((RUN,) if rule.sends else ()))
