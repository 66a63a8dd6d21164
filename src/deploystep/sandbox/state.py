"""What the stand-in knows: projects, heads, runs, jobs. One lock, so that every step is seen whole."""

from __future__ import annotations

import functools
import hashlib
import re
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from . import jobs, runs
from .faults import PLAIN, Fault, Twist
from .jobs import JobState
from .memory import Memory
from .planning import Plan, rerun_of, seeded
from .runs import JOB_ENDED, SCHEDULED, BuildSeed, Pace, Run, RunError, Workflow, WorkflowRun
from .schema import Ref, Scalar, TriggerBody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .jobs import JobView, ScriptedJob

SHA1 = re.compile(r"[0-9a-f]{40}")
SHORT_PROVIDERS = {"github": "gh", "bitbucket": "bb"}
PROVIDERS = frozenset({"gh", "bb", "circleci"})
"""After shortening; v2 OpenAPI, providerNoGitlab."""
SEGMENTS = 3
TYPES: Mapping[str, type] = {"string": str, "boolean": bool, "integer": int, "enum": str}
"""Parameter types of a config, and what they are over JSON."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a stand-in was set up; constant while it runs."""

    token: str | None
    projects: frozenset[str]
    heads: Mapping[str, str]
    head_of: Callable[[str], str | None] | None
    workflows: tuple[Workflow, ...]
    parameters: Mapping[str, str] | None
    pace: Pace
    gone: bool
    setup: bool
    auto_cancel: bool
    default_branch: str
    definitions: Mapping[str, str]
    now: Callable[[], datetime]


class BranchNotFoundError(LookupError):
    """The ref that was asked for does not exist."""


class State:
    """The stand-in's memory. Runs are kept as they will end; readers get them as they are now."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.RLock()
        self._memory = Memory(dict(settings.heads))

    def reset(self) -> None:
        """Forget everything but the settings."""
        with self._lock:
            self._memory = Memory(dict(self.settings.heads))

    def knows(self, project: str) -> bool:
        """Tell whether a project exists; without a list of projects every well-formed slug does."""
        return is_slug(project) and (not self.settings.projects or project in self.settings.projects)

    def project_of(self, definition_id: str) -> str | None:
        """Return the project that a pipeline definition belongs to, as far as somebody knows.

        If the settings name definitions, no others exist. Else it is the project for which it was named before,
        or the only project there is.
        """
        if self.settings.definitions:
            return self.settings.definitions.get(definition_id)
        with self._lock:
            stored = tuple(self._memory)
        named = {run.project for run in stored if (run.definition_id or "").lower() == definition_id}
        for projects in (named, self.settings.projects, {run.project for run in stored}):
            if len(projects) == 1:
                return next(iter(projects))
        return None

    # Heads

    def move(self, ref: str, revision: str) -> None:
        """Let a branch or tag point at another commit; an empty one removes it."""
        with self._lock:
            self._memory.heads[ref] = revision

    def head(self, project: str, ref: str, parameters: Mapping[str, Scalar]) -> str:
        """Return the commit that a ref points at; raises `BranchNotFoundError`.

        In this order: what was told; a commit named by the parameters, since a branch that the stand-in was
        told nothing about is taken not to have moved; the caller's own look-up; a made-up one.
        """
        with self._lock:
            told = self._memory.heads.get(ref)
        if told == "":
            raise BranchNotFoundError(ref)
        found = told or _named_commit(parameters)
        if found is None and self.settings.head_of is not None:
            found = self.settings.head_of(ref)
        return found or made_up_sha(project, ref)

    # Creating runs

    def create(self, api: str, project: str, body: TriggerBody, twist: Twist = PLAIN) -> Run:
        """Create what a trigger asks for; raises `BranchNotFoundError`."""
        named = body.ref.branch is not None or body.ref.tag is not None
        ref = body.ref if named else Ref(branch=self.settings.default_branch)
        name = ref.branch if ref.branch is not None else ref.tag or ""
        # v1.1 names a pull request `pull/5`; v2 wants `pull/5/head` and knows no other.
        if not name or (api != "v1.1" and re.fullmatch(r"pull/[0-9]+", name)):
            raise BranchNotFoundError(name)
        revision = body.revision or self.head(project, name, body.parameters)
        if twist.revision is not None:
            revision = twist.revision or made_up_sha(revision, "moved")
        with self._lock:
            run = self._planned(api, project, replace(body, ref=ref, revision=revision), twist)
            self._memory.put(run)
            self._supersede(run)
        return runs.run_at(run, run.created_at)

    def _planned(self, api: str, project: str, body: TriggerBody, twist: Twist) -> Run:
        created, pace = self.settings.now(), self.settings.pace
        errors = self._errors(api, body.parameters, twist)
        plan = Plan(self._memory.counters, project, created, pace, twist.outcome)
        is_dynamic = (self.settings.setup or twist.setup) and api != "v1.1" and not errors
        workflows = plan.workflows(self._chosen(api, body, twist, errors), with_setup=is_dynamic)
        number = workflows[0].jobs[0].number if api == "v1.1" else self._memory.counters.count("run", project)
        return Run(
            id=self._memory.counters.new_id(),
            number=number,
            project=project,
            branch=body.ref.branch,
            tag=body.ref.tag,
            revision=body.revision or "",
            parameters=dict(body.parameters),
            definition_id=body.definition_id,
            api=api,
            trigger="api",
            created_at=created,
            appears_at=created + timedelta(seconds=pace.appear),
            listed_at=created + timedelta(seconds=pace.listed if twist.lag is None else twist.lag),
            state="pending",
            errors=errors,
            workflows=workflows,
        )

    def _errors(self, api: str, parameters: Mapping[str, Scalar], twist: Twist) -> tuple[RunError, ...]:
        if twist.errors:
            return (RunError("config", twist.errors),)
        declared = self.settings.parameters
        # v1.1's build parameters are environment variables: no config declares them.
        found = config_errors(declared, parameters) if declared is not None and api != "v1.1" else []
        return tuple(RunError("config", words) for words in found)

    def _chosen(self, api: str, body: TriggerBody, twist: Twist, errors: tuple[RunError, ...]) -> list[Workflow]:
        """Return what starts in a run. v1.1 knows no workflows: it starts its one job, come what may."""
        if api == "v1.1":
            return [Workflow(body.job, outcome="failed" if errors else "success")]
        if errors or twist.no_workflow:
            return []
        return [w for w in self.settings.workflows if w.starts_with(body.parameters)]

    def add_build(self, seed: BuildSeed) -> None:
        """Put a build there; the same pipeline id again adds its workflow to what is known."""
        now = self.settings.now()
        created = seed.created or now
        if created > now:
            raise ValueError("a build cannot have been created later than now")
        with self._lock:
            known = self._memory.run(seed.pipeline_id)
            workflow = seeded(seed, created, self._memory.counters)
            if known is not None:
                self._memory.put(replace(known, workflows=(*known.workflows, workflow)))
                return
            run = self._seeded_run(seed, created, workflow)
            self._memory.put(run)
            self._supersede(run)

    def _seeded_run(self, seed: BuildSeed, created: datetime, workflow: WorkflowRun) -> Run:
        branch = seed.branch if seed.branch is not None or seed.tag is not None else self.settings.default_branch
        return Run(
            id=seed.pipeline_id,
            number=self._memory.counters.count("run", seed.project),
            project=seed.project,
            branch=branch,
            tag=seed.tag,
            revision=seed.revision or self.head(seed.project, branch or seed.tag or "", {}),
            parameters={},
            definition_id=None,
            api="webhook",
            trigger=seed.trigger,
            created_at=created,
            appears_at=created,
            listed_at=created,
            state="created",
            errors=(),
            workflows=(workflow,),
        )

    def _supersede(self, newer: Run) -> None:
        """Cancel what a new run makes redundant, if the project is set up so.

        Guess: v1.1's single jobs and scheduled runs neither cancel nor are canceled; the documentation speaks
        of pipelines that a push or the API triggers.
        """
        if not self.settings.auto_cancel or newer.branch in {None, self.settings.default_branch}:
            return
        now = self.settings.now()
        for run in list(self._memory) if _is_redundant(newer, newer) else ():
            if run.id != newer.id and _is_redundant(run, newer):
                self._memory.put(runs.superseded(run, now))

    # Changing runs

    def cancel(self, workflow_id: str) -> None:
        """Cancel a workflow that has not ended."""
        with self._lock:
            run = self._memory.run_of_workflow(workflow_id)
            if run is not None:
                self._memory.put(runs.canceled(run, workflow_id, self.settings.now()))

    def set_workflow(self, workflow_id: str, status: str) -> None:
        """Give a workflow a status, any word; raises `LookupError` if there is no such workflow."""
        with self._lock:
            run = self._memory.run_of_workflow(workflow_id)
            if run is None:
                raise LookupError(f"there is no workflow `{workflow_id}`")
            self._memory.put(runs.given(run, workflow_id, status, self.settings.now()))

    def rerun(self, workflow_id: str, outcome: str) -> str:
        """Run a workflow again, in the same run; returns the new one's id. Raises `LookupError`."""
        with self._lock:
            found = self.workflow(workflow_id)
            if found is None:
                raise LookupError(f"there is no workflow `{workflow_id}`")
            run, workflow = found
            plan = Plan(self._memory.counters, run.project, self.settings.now(), self.settings.pace)
            again = rerun_of(workflow, outcome, plan)
            stored = self._memory.run(run.id) or run
            self._memory.put(replace(stored, workflows=(*stored.workflows, again)))
        return again.id

    # Reading runs

    def shown(self, run: Run) -> Run:
        """Return a stored run as it is now."""
        return runs.run_at(run, self.settings.now())

    def all_runs(self) -> tuple[Run, ...]:
        """Return every run as it is now, oldest first, builds from outside included."""
        with self._lock:
            stored = tuple(self._memory)
        return tuple(map(self.shown, stored))

    def run(self, run_id: str) -> Run | None:
        """Return one run as it is now."""
        with self._lock:
            run = self._memory.run(run_id)
        return self.shown(run) if run is not None else None

    def pipeline(self, run_id: str) -> Run | None:
        """Return one run as it is now, unless it is a single job of v1.1's."""
        run = self.run(run_id)
        return run if run is not None and run.is_pipeline else None

    def numbered_pipeline(self, project: str, number: int) -> Run | None:
        """Return the project's pipeline of this number as it is now."""
        with self._lock:
            named = (r for r in self._memory if r.is_pipeline and r.project == project and r.number == number)
            run = next(named, None)
        return self.shown(run) if run is not None else None

    def listed(self) -> list[Run]:
        """Return what lists show by now, newest first, as it is stored: `shown` is for those that are needed."""
        now = self.settings.now()
        with self._lock:
            return [run for run in self._memory.newest_first() if run.listed_at <= now]

    def workflow(self, workflow_id: str) -> tuple[Run, WorkflowRun] | None:
        """Return a workflow that exists by now, and its run."""
        with self._lock:
            stored = self._memory.run_of_workflow(workflow_id)
        if stored is None:
            return None
        run = self.shown(stored)
        return next(((run, workflow) for workflow in run.workflows if workflow.id == workflow_id), None)

    # Jobs

    def set_job(self, job: ScriptedJob) -> None:
        """Script a job; what was scripted for that number before is forgotten."""
        counters = self._memory.counters
        with self._lock:
            named = replace(
                job,
                pipeline_id=job.pipeline_id or counters.new_id(),
                workflow_id=job.workflow_id or counters.new_id(),
            )
            self._memory.jobs[job.project, job.number] = named
            counters.reserve_job(job.project, job.number)

    def read_job(self, project: str, number: int, nodes: Mapping[int, str]) -> JobView | None:
        """Return a job as it is now, a scripted one before others, and count the reading.

        `nodes` are statuses that stay with a scripted job's nodes from now on.
        """
        with self._lock:
            job = self._memory.jobs.get((project, number))
            if job is None:
                return self._job_of_run(project, number)
            seen = replace(job, overrides={**job.overrides, **nodes})
            self._memory.jobs[project, number] = replace(seen, polls=job.polls + 1)
        return jobs.scripted_view(seen, self.settings.now())

    def _job_of_run(self, project: str, number: int) -> JobView | None:
        run = self._memory.run_of_job(project, number)
        views = jobs.views_of(run, self.settings.now()) if run is not None else []
        return next((view for view in views if view.number == number), None)

    def cancel_job(self, project: str, number: int) -> None:
        """Cancel a job that has not ended, as v1.1 does: its own job as a whole, another one by itself."""
        now = self.settings.now()
        with self._lock:
            script, run = self._memory.jobs.get((project, number)), self._memory.run_of_job(project, number)
            if script is not None:
                self._memory.jobs[project, number] = _stopped(script, now)
            elif run is not None and run.is_pipeline:
                self._memory.put(runs.job_canceled(run, number, now))
            elif run is not None:
                self._memory.put(runs.canceled(run, run.workflows[0].id, now))

    def listed_jobs(self, project: str) -> Iterator[tuple[JobView, Run]]:
        """Return the project's jobs that belong to listed runs, each with its run as stored, newest first."""
        now = self.settings.now()
        listed = (run for run in self.listed() if run.project == project)
        return ((view, run) for run in listed for view in reversed(jobs.views_of(run, now)))

    # Faults

    def add_fault(self, fault: Fault) -> None:
        """Queue a fault."""
        with self._lock:
            self._memory.faults.append(fault)

    def faults(self) -> tuple[Fault, ...]:
        """Return the faults that have not been used up, first to come first."""
        with self._lock:
            return tuple(self._memory.faults)

    def take_fault(self, method: str, path: str, *, triggers: bool, reads_job: bool) -> Fault | None:
        """Use the first fault that meets a request."""
        with self._lock:
            for index, fault in enumerate(self._memory.faults):
                if fault.meets(method, path, triggers=triggers, reads_job=reads_job):
                    self._memory.faults[index : index + 1] = _rest(fault)
                    return fault
        return None

    def give_back(self, fault: Fault) -> None:
        """Undo `take_fault`: the request turned out not to be worth it."""
        with self._lock:
            self._memory.faults.insert(0, replace(fault, count=1))


def _is_redundant(run: Run, newer: Run) -> bool:
    """Tell whether a newer run may cancel this one; asked of the newer one itself, whether it cancels any."""
    same_branch = (run.project, run.branch) == (newer.project, newer.branch)
    return same_branch and run.created_at <= newer.created_at and run.is_pipeline and run.trigger != SCHEDULED


def _stopped(job: ScriptedJob, now: datetime) -> ScriptedJob:
    state = jobs.state_at(job, now)
    if state.status in JOB_ENDED:
        return job
    return replace(job, states=(JobState(("canceled",) * len(state.parallel_runs), "canceled"),), overrides={})


def _rest(fault: Fault) -> list[Fault]:
    return [replace(fault, count=fault.count - 1)] if fault.count > 1 else []


def canonical(slug: str) -> str:
    """Return a slug with its provider in the short form."""
    provider, slash, rest = slug.partition("/")
    return SHORT_PROVIDERS.get(provider, provider) + slash + rest


def is_slug(slug: str) -> bool:
    """Tell whether a canonical slug has a known provider and two more parts that are not empty."""
    parts = slug.split("/")
    return len(parts) == SEGMENTS and parts[0] in PROVIDERS and all(parts)


def made_up_sha(*parts: str) -> str:
    """Return a commit for something that has none: the same for the same parts."""
    text = "\0".join(parts).encode(errors="backslashreplace")
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


@functools.lru_cache(maxsize=1024)
def project_id(project: str) -> str:
    """Return a project's made-up UUID: the same in every API version."""
    digits = made_up_sha("project", project)
    return "-".join((digits[:8], digits[8:12], f"5{digits[13:16]}", f"8{digits[17:20]}", digits[20:32]))


def _named_commit(parameters: Mapping[str, Scalar]) -> str | None:
    texts = (value for value in parameters.values() if isinstance(value, str))
    return next((text for text in texts if SHA1.fullmatch(text)), None)


def config_errors(declared: Mapping[str, str], given: Mapping[str, Scalar]) -> list[str]:
    """Compare parameters with a config's declarations, in the words of CircleCI's config compiler."""
    unexpected = sorted(set(given) - set(declared))
    found = [f"Unexpected argument(s): {', '.join(unexpected)}"] if unexpected else []
    known = ((name, declared[name], value) for name, value in given.items() if name in declared)
    return found + [_type_error(*entry) for entry in known if type(entry[2]) is not TYPES[entry[1]]]


def _type_error(name: str, expected: str, value: Scalar) -> str:
    actual = {str: "string", bool: "boolean", int: "integer"}[type(value)]
    spelled = f'"{value}"' if isinstance(value, str) else str(value).lower()
    return f"Type error for argument {name}: expected type: {expected}, actual value: {spelled} (type {actual})"
