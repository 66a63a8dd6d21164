"""What the stand-in knows: projects, heads, runs, jobs. One lock, so that every step is seen whole."""

from __future__ import annotations

import hashlib
import re
import threading
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from . import jobs, runs
from .faults import PLAIN, Fault, Twist
from .runs import BuildSeed, JobRun, Pace, Run, RunError, Workflow, WorkflowRun
from .schema import Ref, Scalar, TriggerBody

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .jobs import JobView, ScriptedJob

DEFAULT_BRANCH = "main"
SHA1 = re.compile(r"[0-9a-f]{40}")
SHORT_PROVIDERS = {"github": "gh", "bitbucket": "bb"}
PROVIDERS = frozenset({"gh", "bb", "circleci"})
"""After shortening; v2 OpenAPI, providerNoGitlab."""
SEGMENTS = 3
NAMES = uuid.UUID("6a9f0e5c-0a1b-5e0f-9f43-0d5a3c0b7d11")
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
    now: Callable[[], datetime]


@dataclass(slots=True)
class _Memory:
    """Everything that `reset` forgets."""

    heads: dict[str, str]
    runs: list[Run] = field(default_factory=list)
    jobs: dict[tuple[str, int], ScriptedJob] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    counters: dict[tuple[str, str], int] = field(default_factory=dict)


class BranchNotFoundError(LookupError):
    """The ref that was asked for does not exist."""


class State:
    """The stand-in's memory. Runs are kept as they will end; readers get them as they are now."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.RLock()
        self._memory = _Memory(dict(settings.heads))

    def reset(self) -> None:
        """Forget everything but the settings."""
        with self._lock:
            self._memory = _Memory(dict(self.settings.heads))

    def knows(self, project: str) -> bool:
        """Tell whether a project exists; without a list of projects every well-formed slug does."""
        return is_slug(project) and (not self.settings.projects or project in self.settings.projects)

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

    # Runs

    def create(self, api: str, project: str, body: TriggerBody, twist: Twist = PLAIN) -> Run:
        """Create what a trigger asks for; raises `BranchNotFoundError`."""
        ref = body.ref if body.ref.branch is not None or body.ref.tag is not None else Ref(branch=DEFAULT_BRANCH)
        name = ref.branch if ref.branch is not None else ref.tag or ""
        # v1.1 names a pull request `pull/5`; v2 wants `pull/5/head` and knows no other.
        if not name or (api != "v1.1" and re.fullmatch(r"pull/[0-9]+", name)):
            raise BranchNotFoundError(name)
        revision = body.revision or self.head(project, name, body.parameters)
        if twist.revision is not None:
            revision = twist.revision or made_up_sha(revision, "moved")
        with self._lock:
            run = self._planned(api, project, replace(body, ref=ref, revision=revision), twist)
            self._memory.runs.append(run)
        return runs.run_at(run, run.created_at)

    def _planned(self, api: str, project: str, body: TriggerBody, twist: Twist) -> Run:
        created = self.settings.now()
        errors = self._errors(api, body.parameters, twist)
        chosen = self._chosen(api, body, twist, errors)
        workflows = tuple(self._started(project, w, twist.outcome or w.outcome, created) for w in chosen)
        number = workflows[0].jobs[0].number if api == "v1.1" else self._count("run", project)
        return Run(
            id=self._new_id(),
            number=number,
            project=project,
            branch=body.ref.branch,
            tag=body.ref.tag,
            revision=body.revision or "",
            parameters=dict(body.parameters),
            definition_id=body.definition_id,
            api=api,
            created_at=created,
            appears_at=created + timedelta(seconds=self.settings.pace.appear),
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

    def _started(self, project: str, workflow: Workflow, outcome: str, created: datetime) -> WorkflowRun:
        names = tuple(workflow.jobs) or (workflow.name,)
        return WorkflowRun(
            id=self._new_id(),
            name=workflow.name,
            outcome=outcome,
            created_at=created + timedelta(seconds=self.settings.pace.appear),
            ends_at=runs.end_of(outcome, created, self.settings.pace),
            jobs=tuple(JobRun(self._new_id(), self._count("job", project), name) for name in names),
        )

    def _count(self, what: str, project: str) -> int:
        number = self._memory.counters.get((what, project), 0) + 1
        self._memory.counters[what, project] = number
        return number

    def _new_id(self) -> str:
        """Return the next id; the same sequence in every stand-in, so that what it prints can be compared."""
        return str(uuid.uuid5(NAMES, str(self._count("id", ""))))

    def all_runs(self) -> tuple[Run, ...]:
        """Return every run as it is now, oldest first, builds from outside included."""
        with self._lock:
            stored = tuple(self._memory.runs)
        now = self.settings.now()
        return tuple(runs.run_at(run, now) for run in stored)

    def pipelines(self) -> tuple[Run, ...]:
        """Return what v2 calls pipelines: every run but v1.1's single jobs."""
        return tuple(run for run in self.all_runs() if run.api != "v1.1")

    def cancel(self, workflow_id: str) -> None:
        """Cancel a workflow that has not ended."""
        now = self.settings.now()
        with self._lock:
            self._memory.runs = [runs.canceled(run, workflow_id, now) for run in self._memory.runs]

    def add_build(self, seed: BuildSeed) -> None:
        """Put a build there; the same pipeline id again adds its workflow to what is known."""
        with self._lock:
            workflow = self._seeded_workflow(seed)
            index = next((i for i, run in enumerate(self._memory.runs) if run.id == seed.pipeline_id), None)
            if index is None:
                self._memory.runs.append(self._seeded_run(seed, workflow))
            else:
                known = self._memory.runs[index]
                self._memory.runs[index] = replace(known, workflows=(*known.workflows, workflow))

    def _seeded_run(self, seed: BuildSeed, workflow: WorkflowRun) -> Run:
        branch = seed.branch if seed.branch is not None or seed.tag is not None else DEFAULT_BRANCH
        now = self.settings.now()
        return Run(
            id=seed.pipeline_id,
            number=self._count("run", seed.project),
            project=seed.project,
            branch=branch,
            tag=seed.tag,
            revision=seed.revision or self.head(seed.project, branch or seed.tag or "", {}),
            parameters={},
            definition_id=None,
            api="webhook",
            created_at=now,
            appears_at=now,
            state="created",
            errors=(),
            workflows=(workflow,),
        )

    def _seeded_workflow(self, seed: BuildSeed) -> WorkflowRun:
        now = self.settings.now()
        return WorkflowRun(
            id=seed.workflow_id or self._new_id(),
            name=seed.workflow_name,
            outcome=seed.status,
            created_at=now,
            ends_at=None if seed.status == "running" else now,
            jobs=tuple(self._seeded_job(seed, name, status) for name, status in seed.jobs.items()),
        )

    def _seeded_job(self, seed: BuildSeed, name: str, status: str) -> JobRun:
        number = seed.numbers.get(name)
        if number is None:
            number = self._count("job", seed.project)
        self._reserve_job(seed.project, number)
        return JobRun(self._new_id(), number, name, status)

    def _reserve_job(self, project: str, number: int) -> None:
        """Let numbers given out later be higher."""
        key = ("job", project)
        self._memory.counters[key] = max(number, self._memory.counters.get(key, 0))

    # Jobs

    def set_job(self, job: ScriptedJob) -> None:
        """Script a job; what was scripted for that number before is forgotten."""
        with self._lock:
            named = replace(
                job,
                pipeline_id=job.pipeline_id or self._new_id(),
                workflow_id=job.workflow_id or self._new_id(),
            )
            self._memory.jobs[job.project, job.number] = named
            self._reserve_job(job.project, job.number)

    def read_job(self, project: str, number: int, nodes: Mapping[int, str]) -> JobView | None:
        """Return a job as it is now, a scripted one before others, and count the reading.

        `nodes` are statuses that stay with a scripted job's nodes from now on.
        """
        with self._lock:
            job = self._memory.jobs.get((project, number))
            if job is None:
                return next((v for v in self.job_views(project) if v.number == number), None)
            seen = replace(job, overrides={**job.overrides, **nodes})
            self._memory.jobs[project, number] = replace(seen, polls=job.polls + 1)
        return jobs.scripted_view(seen, self.settings.now())

    def job_views(self, project: str) -> list[JobView]:
        """Return the project's jobs that belong to runs, oldest run first."""
        now = self.settings.now()
        with self._lock:
            stored = [run for run in self._memory.runs if run.project == project]
        return [view for run in stored for view in jobs.views_of(run, now)]

    def run(self, run_id: str) -> Run | None:
        """Return one run as it is now."""
        return next((run for run in self.all_runs() if run.id == run_id), None)

    # Faults

    def misbehave(self, fault: Fault) -> None:
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
