"""What the server knows: projects, heads, runs, jobs, faults, requests; and how runs are made.

Requests are handled under `lock`, so that each of them sees every change as a whole.
"""

import hashlib
import re
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

from .faults import Fault
from .messages import Recorded
from .state import (
    ENDED,
    NOTHING,
    SETUP,
    Change,
    Job,
    JobState,
    JobView,
    Pace,
    ProjectConfig,
    Run,
    RunOverride,
    Scalar,
    ScriptedJob,
    TriggerBody,
    Workflow,
    WorkflowRun,
    jobs_of,
)

NAMES = uuid.UUID("6a9f0e5c-0a1b-5e0f-9f43-0d5a3c0b7d11")
SHA1 = re.compile(r"[0-9a-f]{40}")
SHORT_PROVIDERS = {"github": "gh", "bitbucket": "bb"}
HOSTS = {"gh": ("GitHub", "https://github.com"), "bb": ("Bitbucket", "https://bitbucket.org")}
"""By a slug's provider: its name and where its repositories are."""
SLUG = re.compile(r"(gh|bb|circleci)/[^/]+/[^/]+")
"""A canonical slug; v2 OpenAPI, providerNoGitlab."""
SEED_TRIGGERS = frozenset({"webhook", "scheduled_pipeline"})
"""What may have started a build that was put there from outside (v2 OpenAPI, Pipeline.trigger)."""
DEFAULT_BRANCH = "main"
AT_ONCE = frozenset({"unauthorized", "error", "not_run"})
"""Outcomes that need no running time."""
KEPT = 10_000
"""So many requests are remembered; a server left running for days must not grow for ever."""


@dataclass(kw_only=True, eq=False)
class Store:
    """The settings of a mock CircleCI server, and all that it has been told and has created.

    `token` is the only good one; without it any token is good that does not start with `invalid`, and one that
    starts with `project` is a project token. `projects` are the slugs that exist, all if none is named. `heads` says
    which commit a branch or tag points at (empty: there is no such ref), `head_of` is asked for the rest.
    `workflows` is the imaginary config's list. With `gone`, v1.1's triggers answer 410 as they will from February
    2027. `now` must return times with a zone. Raises `ValueError`.
    """

    token: str | None = None
    projects: Sequence[str] = ()
    heads: Mapping[str, str] = field(default_factory=dict)
    head_of: Callable[[str], str | None] | None = None
    workflows: Sequence[Workflow] = (Workflow("deploy"),)
    pace: Pace = field(default_factory=Pace)
    gone: bool = False
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)

    def __post_init__(self) -> None:
        self.projects = [project_slug(project) for project in self.projects]
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """Forget everything but the settings. Then numbers and ids come in the same sequence again."""
        with self.lock:
            self._numbers: Counter[tuple[str, str]] = Counter()
            self._heads = dict(self.heads)
            self.configs: dict[str, ProjectConfig] = {}
            self._runs: dict[str, Run] = {}
            self._jobs: dict[tuple[str, int], ScriptedJob] = {}
            self._faults: list[Fault] = []
            self.recorded: deque[Recorded] = deque(maxlen=KEPT)

    # Inspection

    @property
    def requests(self) -> tuple[Recorded, ...]:
        """Every API request so far, in the order of arrival."""
        with self.lock:
            return tuple(self.recorded)

    @property
    def runs(self) -> tuple[Run, ...]:
        """What triggers created, as it is now, oldest first."""
        return tuple(run.at(self.now()) for run in self.stored_runs() if run.api != "webhook")

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults that have not been used up, the next one first."""
        return tuple(self._faults)

    def stored_runs(self) -> list[Run]:
        """Return every run as it will end, oldest first, builds from outside included."""
        with self.lock:
            return sorted(self._runs.values(), key=lambda run: run.created_at)

    def stored(self, run_id: str) -> Run | None:
        """Return one run as it will end."""
        return self._runs.get(run_id)

    # Projects and refs

    def knows(self, project: str) -> bool:
        """Tell whether a project exists; without a list of projects every well-formed slug does."""
        return bool(SLUG.fullmatch(project)) and (not self.projects or project in self.projects)

    def set_config(self, project: str, text: str, **more: Any) -> None:
        """Let a project have this config from now on; `more` are fields of `ProjectConfig`. Raises `ValueError`."""
        self.configs[project_slug(project)] = ProjectConfig(text, **more)

    def move(self, ref: str, revision: str) -> None:
        """Let a branch or tag point at another commit from now on; an empty one removes it."""
        self._heads[ref] = revision

    def head(self, project: str, ref: str, parameters: Mapping[str, Scalar]) -> str | None:
        """Return the commit that a ref points at; None if there is no such ref.

        In this order: what was told; a commit named by the parameters, since a branch that the server was told
        nothing about is taken not to have moved; the caller's own look-up; a made-up one.
        """
        if ref in self._heads:
            return self._heads[ref] or None
        named = (value for value in parameters.values() if isinstance(value, str) and SHA1.fullmatch(value))
        return next(named, None) or (self.head_of(ref) if self.head_of else None) or made_up_sha(project, ref)

    # Making runs

    def create(self, api: str, project: str, body: TriggerBody, override: RunOverride) -> Run | None:
        """Create what a trigger asks for, and return it as it is now; None if the ref does not exist."""
        ref = body.branch if body.branch is not None else body.tag
        if ref is None:
            ref, body = DEFAULT_BRANCH, replace(body, branch=DEFAULT_BRANCH)
        # v1.1 names a pull request `pull/5`; v2 wants `pull/5/head` and knows no other.
        is_known = ref and (api == "v1.1" or not re.fullmatch(r"pull/[0-9]+", ref))
        revision = body.revision or (self.head(project, ref, body.parameters) if is_known else None)
        if revision is None:
            return None
        if override.revision is not None:
            revision = override.revision or made_up_sha(revision, "moved")
        now, pace = self.now(), self.pace
        workflows: tuple[WorkflowRun, ...] = ()
        errors = override.errors
        try:
            workflows = self._started(api, project, body, override, now)
        except ValueError as error:
            errors = str(error)
        run = Run(
            id=self._new_id(),
            number=workflows[0].jobs[0].number if api == "v1.1" else self._count("run", project),
            project=project,
            branch=body.branch,
            tag=body.tag,
            revision=revision,
            api=api,
            created_at=now,
            formed_at=now + timedelta(seconds=min(pace.form, pace.appear)),
            listed_at=now + timedelta(seconds=pace.listed if override.lag is None else override.lag),
            workflows=workflows,
            errors=(errors,) if errors else (),
            parameters=dict(body.parameters),
            definition_id=body.definition_id,
        )
        self._runs[run.id] = run = self.on_create(run)
        return run.at(now)

    def on_create(self, run: Run) -> Run:
        """Return what is to be kept of a new run: a hook for subclasses."""
        return run

    def _count(self, what: str, project: str = "") -> int:
        self._numbers[what, project] += 1
        return self._numbers[what, project]

    def _new_id(self) -> str:
        return made_up_uuid(str(self._count("id")))

    def _started(
        self, api: str, project: str, body: TriggerBody, override: RunOverride, now: datetime
    ) -> tuple[WorkflowRun, ...]:
        """Make what starts; raises `ValueError` for an error of the config.

        v1.1 knows no workflows: it starts its one job, come what may.
        """
        begins = now + timedelta(seconds=self.pace.appear)
        if api == "v1.1":
            outcome = override.outcome or ("failed" if override.errors else "success")
            job = self.new_workflow(project, body.job, outcome, begins)
            return (replace(job, changes=(Change(now, "not_running"), *job.changes)),)
        if override.errors:
            raise ValueError(override.errors)
        starts = config.starts if (config := self.configs.get(project)) else None
        chosen = starts(body) if starts else [w for w in self.workflows if w.starts_with(body.parameters)]
        setup: tuple[WorkflowRun, ...] = ()
        if override.setup:
            setup = (replace(self.new_workflow(project, SETUP, "success", begins), tag=SETUP),)
            begins = setup[0].changes[-1].at + timedelta(seconds=self.pace.appear)
        follows = (setup[0].id, "success") if setup else None
        made = (self.new_workflow(project, w.name, override.outcome or w.outcome, begins, follows) for w in chosen)
        return setup if override.no_workflow else (*setup, *made)

    def new_workflow(
        self, project: str, name: str, outcome: str, begins: datetime, follows: tuple[str, str] | None = None
    ) -> WorkflowRun:
        """Make a workflow that begins at a moment, runs until it gets to its outcome, and has one job."""
        length = 0.0 if outcome in AT_ONCE else max(0.0, self.pace.finish - self.pace.appear)
        changes = (Change(begins, "running"), Change(begins + timedelta(seconds=length), outcome))
        job = Job(self._new_id(), self._count("job", project), name)
        return WorkflowRun(self._new_id(), name, (job,), changes, follows=follows)

    def add_build(  # noqa: PLR0913 - the fields of one build, all but two optional
        self,
        pipeline_id: str,
        project: str,
        *,
        workflow_id: str | None = None,
        jobs: Mapping[str, str] = NOTHING,
        branch: str | None = None,
        tag: str | None = None,
        revision: str | None = None,
        created: datetime | None = None,
        trigger: str = "webhook",
    ) -> None:
        """Put a build there as if a push had started it: the one in which the client's own step runs.

        Its workflow is running, and its `jobs` (by name) have their statuses; all of them stay as they are. The same
        pipeline id again adds another workflow. `created` is when it was created, not later than now. `trigger` may be
        `scheduled_pipeline`. Raises `ValueError`.
        """
        project, pipeline_id, now = project_slug(project), pipeline_id.lower(), self.now()
        at = created or now
        if trigger not in SEED_TRIGGERS:
            raise ValueError(f"`{trigger}` is not one of {', '.join(sorted(SEED_TRIGGERS))}")
        if at > now:
            raise ValueError("a build cannot have been created later than now")
        if branch is None and tag is None:
            branch = DEFAULT_BRANCH
        with self.lock:
            made = tuple(Job(self._new_id(), self._count("job", project), n, s) for n, s in jobs.items())
            workflow_id = (workflow_id or self._new_id()).lower()
            workflow = WorkflowRun(workflow_id, "build", made, (Change(at, "running"),))
            if pipeline_id in self._runs:
                run = self._runs[pipeline_id]
                self._runs[pipeline_id] = replace(run, workflows=(*run.workflows, workflow))
                return
            number = self._count("run", project)
            revision = revision or self.head(project, branch or tag or "", NOTHING) or made_up_sha(project)
            run = Run(pipeline_id, number, project, branch, tag, revision, "webhook", at, at, at, (workflow,))
            self._runs[pipeline_id] = self.on_create(replace(run, trigger=trigger))

    # Runs and workflows as they are now

    def pipeline(self, run_id: str) -> Run | None:
        """Return one run, unless it is a single job of v1.1's."""
        run = self.stored(run_id)
        return run.at(self.now()) if run is not None and run.is_pipeline else None

    def listed(self, is_wanted: Callable[[Run], bool]) -> Iterator[Run]:
        """Return the runs wanted that lists show by now, newest first."""
        now = self.now()
        return (run.at(now) for run in reversed(self.stored_runs()) if run.listed_at <= now and is_wanted(run))

    def workflow(self, workflow_id: str) -> tuple[Run, WorkflowRun] | None:
        """Return a workflow of a pipeline that exists by now, and its run."""
        runs = (run.at(self.now()) for run in self.stored_runs() if run.is_pipeline)
        return next(((run, w) for run in runs for w in run.workflows if w.id == workflow_id), None)

    def set_workflow(self, workflow_id: str, status: str) -> None:
        """Give a workflow a status from now on, or from its creation on if that is still to come.

        `status` may be any word, also one that nobody knows. Raises `LookupError`.
        """
        with self.lock:
            both = ((run, w) for run in self._runs.values() for w in run.workflows if w.id == workflow_id.lower())
            run, workflow = next(both, (None, None))
            if run is None or workflow is None:
                raise LookupError(f"there is no workflow `{workflow_id}`")
            now = self.now()
            past = tuple(change for change in workflow.changes if change.at <= now)
            changed = replace(workflow, changes=(*past, Change(now if past else workflow.created_at, status)))
            workflows = tuple(changed if w is workflow else w for w in run.workflows)
            self._runs[run.id] = replace(run, workflows=workflows)

    def cancel(self, workflow: WorkflowRun) -> None:
        """Cancel a workflow, as it is now, that has not ended."""
        if workflow.status not in ENDED:
            self.set_workflow(workflow.id, "canceled")

    # Jobs

    def set_job(
        self,
        project: str,
        number: int,
        *,
        parallel_runs: Sequence[str],
        status: str = "running",
        then: Sequence[JobState] = (),
    ) -> None:
        """Script a parallel job: one status per node now, and its later states in order. Raises `ValueError`."""
        project, states, at = project_slug(project), (JobState(tuple(parallel_runs), status), *then), self.now()
        with self.lock:
            job = Job(self._new_id(), number, "build")
            workflow = WorkflowRun(self._new_id(), "build", (job,), (Change(at, "running"),))
            run = Run(self._new_id(), 0, project, None, None, "", "webhook", at, at, at, (workflow,))
            self._jobs[project, number] = ScriptedJob(JobView(run, workflow, job), states)
            self._numbers["job", project] = max(number, self._numbers["job", project])

    def job(self, project: str, number: int) -> JobView | None:
        """Return a job as it is now, a scripted one before others."""
        if (project, number) in self._jobs:
            return self._jobs[project, number].shown(self.now())
        runs = (run.at(self.now()) for run in self.stored_runs() if run.project == project)
        return next((each for run in runs for each in jobs_of(run) if each.job.number == number), None)

    def read_job(self, project: str, number: int, nodes: Mapping[int, str]) -> JobView | None:
        """Return a job as it is now, and count the reading; `nodes` are statuses that stay with a scripted job's."""
        if scripted := self._jobs.get((project, number)):
            scripted.nodes = {**scripted.nodes, **nodes}
        view = self.job(project, number)
        if scripted:
            scripted.polls += 1
        return view

    def cancel_job(self, view: JobView) -> None:
        """Cancel a job that has not ended; guess: one of a workflow takes the workflow with it."""
        scripted = self._jobs.get((view.run.project, view.job.number))
        if view.stopped_at is None and scripted is not None:
            scripted.cancel()
        elif view.stopped_at is None:
            self.set_workflow(view.workflow.id, "canceled")

    # Requests and faults

    def add_fault(self, fault: Fault) -> None:
        """Queue a fault as often as it says; of several that meet a request the first is used."""
        self._faults += [replace(fault, count=1)] * fault.count

    def take_fault(self, method: str, path: str, kind: str) -> Fault | None:
        """Use up the first fault that meets a request to a route of this kind."""
        with self.lock:
            fault = next((fault for fault in self._faults if fault.meets(method, path, kind)), None)
            if fault is not None:
                self._faults.remove(fault)
        return fault

    def give_back(self, fault: Fault) -> None:
        """Undo `take_fault`: the request turned out not to be worth it."""
        self._faults.insert(0, fault)

    def drop_faults(self) -> None:
        """Forget the faults that have not been used up."""
        self._faults.clear()


def canonical(slug: str) -> str:
    """Return a slug with its provider in the short form."""
    provider, slash, rest = slug.partition("/")
    return SHORT_PROVIDERS.get(provider, provider) + slash + rest


def project_slug(text: str) -> str:
    """Return a project's slug in its short form; raises `ValueError`."""
    slug = canonical(text)
    if not SLUG.fullmatch(slug):
        raise ValueError(f"`{text}` is not a project slug such as gh/acme/shop")
    return slug


def repository_url(project: str) -> str | None:
    """Return where a project's repository is; None for one that only CircleCI knows."""
    provider, _, name = project.partition("/")
    return f"{HOSTS[provider][1]}/{quote(name)}" if provider in HOSTS else None


def made_up_sha(*parts: str) -> str:
    """Return a commit for something that has none: always the same for the same parts."""
    text = "\0".join(parts).encode(errors="backslashreplace")
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def made_up_uuid(name: str) -> str:
    """Return a UUID that is always the same for the same name, such as a project's slug."""
    return str(uuid.uuid5(NAMES, name.encode(errors="backslashreplace").decode()))
