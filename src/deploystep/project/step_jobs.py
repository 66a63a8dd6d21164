"""Which jobs run the step for a rule, and what they lack: W702, P04, P05, P10 and P11."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from deploystep.core.build import Tag
from deploystep.core.facts import Answer
from deploystep.core.matchers import own_job
from deploystep.core.rules import Rule, RuleSet
from deploystep.core.source import Diagnostic, Severity
from deploystep.core.text import did_you_mean, shown
from deploystep.project.conditions import Runs, Trigger
from deploystep.project.config import Config, Job, WorkflowRuns, job_of
from deploystep.project.reading import all_texts, at, map_of, texts_of
from deploystep.project.refs import Ref, Refs
from deploystep.project.steps import RUN, Call, JobSteps, Read, runs_step

_TESTS: Final = re.compile(r"test|spec|lint|check|verify|integration|\bunit\b|\be2e|\bqa\b|jest|cypress", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # one that is certain
_TOKENS: Final = re.compile(r"CIRCLE_TOKEN|CIRCLE_API_USER_TOKEN|CIRCLE_API_TOKEN|CIRCLECI_TOKEN|TOKEN_ENV|--token-env")
_CONTEXT_CURE: Final = (
    "add  context: NAME  to the job in its workflow, with a context that holds CIRCLE_TOKEN; or set that among the "
    "project's environment variables, which are not seen here, and write  ignore: [P05]"
)
#: Files that run commands for others: who runs the step from one of them is not told that nobody does.
_RUNNERS: Final = ("Makefile", "GNUmakefile", "package.json", "justfile", "Rakefile", "Taskfile.yml", "tox.ini")


def named(ref: Ref) -> str:
    """A ref in words."""
    return f"{'tag' if isinstance(ref, Tag) else 'branch'} {shown(ref.name)}"


def near(name: str, known: Iterable[str]) -> str:
    """The name that was probably meant, else those that there are."""
    known = sorted({each for each in known if "<<" not in each})
    return did_you_mean(name, known, f"known: {', '.join(known) or 'none'}")


class StepJobs:
    """The jobs of one config, and what each of them calls of this step."""

    def __init__(self, config: Config, read: Read) -> None:
        self.config, self.read = config, read
        self.steps = {id(job): runs_step(config, job, read) for job in config.jobs}
        self.told: set[tuple[str, ...]] = set()  # what is said once

    def sends(self, job: Job) -> bool:
        """Whether a job runs the step that sends, for sure."""
        return self.steps[id(job)].of(RUN).answer is Answer.YES

    def is_gated(self, rule: Rule) -> bool:
        """Whether `gate` alone judges the rule: then nothing is sent, and no workflow waits for it."""
        calls = self._calls(rule).values()
        return any(c.answer is Answer.YES for c in calls) and not any(map(self.sends, self.config.jobs))

    def _calls(self, rule: Rule) -> dict[int, Call]:
        return {key: _call(steps, rule) for key, steps in self.steps.items()}

    def _at(self, ref: Ref) -> tuple[WorkflowRuns, ...]:
        """What may run at a ref, whatever started it."""
        return self.config.runs(Trigger(ref, by_api=True, parameters={}, is_any=True))

    def unknown_rules(self, rules: RuleSet) -> Iterator[Diagnostic]:
        """P10: `gate` names a rule that there is not."""
        names = [rule.name.value for rule in rules.rules]
        calls = [call for steps in self.steps.values() for call in steps.calls if call.words != (RUN,)]
        for name, line in dict.fromkeys((call.words[0], call.line) for call in calls if len(call.words) == 1):
            if name not in names and _NAME.fullmatch(name):
                what, span = f"gate names rule {shown(name)}, which there is not", rules.rules[0].name.span
                yield Diagnostic("P10", what, span, near(name, names)).cured_in(self.config.place(line))

    def problems(self, rule: Rule, refs: list[Refs]) -> Iterator[Diagnostic]:
        """What is wrong with the jobs that run the step for a rule."""
        calls = self._calls(rule)
        yield from self._required(rule, refs, calls)
        yield from self._never(rule, refs, calls)
        for ref in (ref for group in refs for ref in group) if "P05" not in rule.ignore else ():
            for w in self._at(ref):
                for job, runs in w.jobs:
                    if runs.answer is not Answer.NO and calls[id(job)].answer is Answer.YES:
                        yield from self._lacks(rule, w, job, calls[id(job)])
        gate, sends = (
            next((call for steps in self.steps.values() if (call := steps.of(name)).answer is Answer.YES), None)
            for name in (rule.name.value, RUN)
        )
        if rule.sends and gate and sends:
            what = f"this step gates the rule, and run (line {sends.line}) sends it: two deploys"
            hint = "remove deploy: from the rule, or one of the steps"
            yield self.config.warning("P11", what, rule.name.span, hint, gate.line)

    def _required(self, rule: Rule, refs: list[Refs], calls: Mapping[int, Call]) -> Iterator[Diagnostic]:
        """W702: a job that the rule requires is not in the workflow of the step, or does not run there for the rule."""
        config = self.config
        beside = [w for w in config.workflows if any(calls[id(job)].answer is not Answer.NO for job in w.jobs)]
        workflows = beside or config.workflows
        for name in rule.requires if workflows else ():
            if any(name.value in job.names and calls[id(job)].answer is Answer.YES for job in config.jobs):
                yield own_job(name)
            elif not any(job.is_called(name.value) for w in workflows for job in w.jobs):
                where = "with the step" if beside else f"of {config.path}"
                hint = near(name.value, [each for w in workflows for job in w.jobs for each in job.names])
                what = f"no workflow {where} has a job {shown(name.value)}"
                yield Diagnostic("W702", what, name.span, hint, Severity.WARNING)
            else:
                for ref, *_ in refs:
                    running = [w for w in self._at(ref) if w.workflow in beside]
                    found = [runs for w in running for job, runs in w.jobs if job.is_called(name.value)]
                    if found and all(runs.answer is Answer.NO for runs in found):
                        what = f"job {shown(name.value)} does not run on {named(ref)}: {found[0].why}"
                        hint = found[0].cure or f"let it run for {named(ref)}, or keep that out of this rule"
                        yield self.config.warning("W702", what, name.span, hint, found[0].line)
                        break

    def _never(self, rule: Rule, refs: list[Refs], calls: Mapping[int, Call]) -> Iterator[Diagnostic]:
        """P04: the step never runs for one of the rule's patterns."""
        for group in refs:
            missing = [self._missing(ref, rule, calls) for ref in group]
            runs = missing[0]
            if runs is not None and all(missing):
                what = f"the step never runs on {named(group[0])}: {runs.why}"
                command = "run" if rule.sends else f"gate {rule.name.value}"
                hint = runs.cure or f"run  deploystep {command}  in a job that runs for what this rule is for"
                yield self.config.warning("P04", what, rule.name.span, hint, runs.line)
                return

    def _missing(self, ref: Ref, rule: Rule, calls: Mapping[int, Call]) -> Runs | None:
        """Why no job can run the step for a ref; None where one may."""
        jobs = [found for w in self._at(ref) for found in w.jobs]
        with_step = [(job, runs) for job, runs in jobs if calls[id(job)].answer is not Answer.NO]
        if not all(runs.answer is Answer.NO for _, runs in with_step):
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
            if is_so and (job.alias, words) not in self.told:
                self.told.add((job.alias, words))
                yield self.config.warning("P05", f"job {shown(job.alias)} {words}", rule.name.span, hint, line)


def _call(steps: JobSteps, rule: Rule) -> Call:
    """The call that is meant for a rule: one that sends it, or that gates it."""
    return steps.of(rule.name.value, *((RUN,) if rule.sends else ()))
