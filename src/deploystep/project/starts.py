"""What a rule's trigger starts, and what every push starts beside it: P01, P02, P03, P08 and P09."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from deploystep.core.deploy_key import carries_key
from deploystep.core.rules import Deploy
from deploystep.core.source import Diagnostic, Severity, Spanned
from deploystep.core.text import shown
from deploystep.core.trace import Answer
from deploystep.project import parameters
from deploystep.project.config import Config, Job, WorkflowRuns
from deploystep.project.cures import cure, gated, named, near, shut
from deploystep.project.expressions import parameters_in
from deploystep.project.reading import Map, all_texts, at, key_line, map_of, under
from deploystep.project.refs import Ref, Refs, sent
from deploystep.project.staying import deploys
from deploystep.project.step_jobs import StepJobs

#: A shell command that does something on a condition.
_ASKS: Final = re.compile(r"\b(?:if|case|test|halt)\b|\[ ")


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


class Starts:
    """What a deploy starts in a config, for the refs of its rule."""

    def __init__(self, jobs: StepJobs, deploy: Deploy, refs: list[Refs]) -> None:
        self.jobs, self.config, self.deploy, self.refs = jobs, jobs.config, deploy, refs
        self.name = deploy.workflow.value if deploy.workflow else None
        self.span = deploy.workflow.span if deploy.workflow else deploy.span
        self.sent = {p.key.value for p in deploy.parameters}
        triggers = {ref: self.config.trigger(ref, sent(deploy, ref)) for group in refs for ref in group}
        self.started = {ref: self.config.runs(trigger) for ref, trigger in triggers.items()}

    def _told(self, code: str, what: str, hint: str, line: int, severity: Severity = Severity.WARNING) -> Diagnostic:
        return Diagnostic(code, what, self.span, hint, severity).cured_in(self.config.place(line))

    # --- the trigger

    def problems(self) -> Iterator[Diagnostic]:
        """What is wrong with the trigger, and with what it starts."""
        deploy, config = self.deploy, self.config
        if config.is_version_2 and deploy.parameters:
            place, span = config.place(key_line(config.root, "version")), deploy.parameters[0].key.span
            what = "a config of version 2 knows no parameters, so CircleCI refuses this trigger"
            yield Diagnostic("P01", what, span, "write  version: 2.1  there").cured_in(place)
            return
        if self.jobs.is_first("parameters"):
            yield from parameters.declarations(config, deploy.span)
        started = [w for ref, *_ in self.refs for w in self.started[ref] if w.runs.answer is not Answer.NO]
        problems = list(parameters.problems(deploy, config, [w.workflow for w in started] or config.workflows))
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
        partly: Diagnostic | None = None
        for group in self.refs:
            wanted = {ref: [w.runs for w in self.started[ref] if name in (None, w.workflow.name)] for ref in group}
            out = [ref for ref, runs in wanted.items() if runs and all(each.answer is Answer.NO for each in runs)]
            if out:
                decides = wanted[out[0]][-1]
                subject = f"workflow {shown(name)} does not run" if name else "no workflow runs"
                what = f"{subject} for this trigger on {named(out[0])}: {decides.why}"
                severity = Severity.ERROR if len(out) == len(group) else Severity.WARNING
                told = self._told("P01", what, cure(decides, out[0], self.deploy), decides.line, severity)
                if told.is_error:
                    return told
                partly = partly or told
        return partly

    def _without(self) -> Diagnostic | None:
        """P01: the named workflow runs, and none of its jobs that deploy: those called so, else the last ones."""
        for ref, w in ((ref, w) for ref, started in self.started.items() for w in started):
            if w.workflow.name == self.name:
                waited = [id(other) for job in w.workflow.jobs for other in w.workflow.required(job)]
                last = [found for found in w.jobs if id(found[0]) not in waited]
                deploying = [found for found in w.jobs if deploys(found[0])] or last
                if deploying and all(runs.is_out for _, runs in deploying):
                    job, runs = deploying[0]
                    verb = "runs" if w.runs.answer is Answer.YES and runs.answer is Answer.NO else "may run"
                    what = f"workflow {shown(self.name)} {verb} for this trigger on {named(ref)} without job"
                    text = f"{what} {shown(job.alias)}: {runs.why}"
                    return self._told("P01", text, cure(runs, ref, self.deploy), runs.line)
        return None

    def _both(self) -> Diagnostic | None:
        """P09: two workflows run for one trigger."""
        for ref, *_ in self.refs:
            running = [w.workflow for w in self.started[ref] if w.runs.answer is Answer.YES]
            is_loop = any(map(self.jobs.sends, (job for w in running for job in w.jobs)))  # which is told as one
            if len(running) > 1 and not is_loop:
                names = " and ".join(shown(w.name) for w in running)
                what = f"workflows {names} both run for this trigger on {named(ref)}"
                hint = shut(self.deploy, "the one that is not meant", self.config)
                return self._told("P09", what, hint, running[1].line)
        return None

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
        hint = shut(self.deploy, f"workflow {shown(workflow.name)}", self.config)
        return self._told("P03", what, hint, job.line, severity)

    def _pushed(self, ref: Ref) -> Diagnostic | None:
        """P02: a push runs the deploy's workflow, or in another one a job of it that is called a deploy."""
        on_push = self.config.runs(self.config.trigger(ref, {}, by_api=False))
        started = [w for w in self.started[ref] if w.certain]
        is_sent = bool(self.sent) and self.config.parameters.keys() >= self.sent
        names = {w.workflow.name for w in started if is_sent} if self.name is None else {self.name}
        pushed = [w for w in on_push if w.workflow.name in names and w.runs.answer is Answer.YES]
        if 0 < len(names) == len(pushed) and self._deploys(ref, pushed[0]):
            subject = f"workflow {shown(pushed[0].workflow.name)}"
            what, hint = f"{subject} also runs for every push to {named(ref)}", gated(self.deploy, subject)
            return self._told("P02", what, hint, pushed[0].workflow.line, Severity.ERROR)
        own = [job for w in started if w.workflow.name == self.name for job in w.certain if deploys(job)]
        same = [(job.key, _arguments(job)) for job in own]
        beside = [w for w in on_push if w.workflow.name != self.name]
        for workflow, job in ((w.workflow, job) for w in beside for job in w.certain):
            waits = any(other.is_approval for other in workflow.required(job))
            if (job.key, _arguments(job)) in same and not waits and not self._asks([job]):
                where = f"job {shown(job.alias)} of workflow {shown(self.name or '')} also runs for every push"
                what = f"{where} to {named(ref)}, in workflow {shown(workflow.name)}"
                return self._told("P02", what, "remove it there, or filter it by a parameter", job.line)
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
