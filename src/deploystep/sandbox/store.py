"""What the server knows: projects, heads, runs, jobs, faults, requests. One lock, so that every step is seen whole."""

import functools
import hashlib
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from .bodies import TriggerBody
from .credentials import Recorded
from .factory import Factory
from .faults import Fault
from .messages import NOTHING, RunOverride, Scalar
from .state import ENDED, WORKFLOW_STATES, JobState, JobView, Pace, Run, ScriptedJob, Workflow, WorkflowRun, jobs_of

SHA1 = re.compile(r"[0-9a-f]{40}")
SHORT_PROVIDERS = {"github": "gh", "bitbucket": "bb"}
SLUG = re.compile(r"(gh|bb|circleci)/[^/]+/[^/]+")
"""A canonical slug; v2 OpenAPI, providerNoGitlab."""
SEED_TRIGGERS = frozenset({"webhook", "scheduled_pipeline"})
"""What may have started a build that was put there from outside (v2 OpenAPI, Pipeline.trigger)."""
DEFAULT_BRANCH = "main"
KEPT = 10_000
"""So many requests are remembered; a server left running for days must not grow for ever."""


@dataclass(kw_only=True, eq=False)
class Store:
    """The settings of a mock CircleCI server, and all that it has been told and has created.

    `token` is the only good one; without it any token is good that does not start with `invalid`, and one that
    starts with `project` is a project token. `projects` are the slugs that exist, all if none is named. `heads` says
    which commit a branch or tag points at (empty: there is no such ref), `head_of` is asked for the rest.
    `workflows` is the imaginary config's list, `configs` has the text of a project's config by its slug. With
    `gone`, v1.1's triggers answer 410 as they will from February 2027. `now` must return times with a zone. Raises
    `ValueError`.
    """

    token: str | None = None
    projects: Sequence[str] = ()
    heads: Mapping[str, str] = field(default_factory=dict)
    head_of: Callable[[str], str | None] | None = None
    workflows: Sequence[Workflow] = (Workflow("deploy"),)
    configs: Mapping[str, str] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)
    gone: bool = False
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)

    def __post_init__(self) -> None:
        self.projects = [project_slug(project) for project in self.projects]
        for workflow in self.workflows:
            check_status(workflow.outcome)
        self._lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """Forget everything but the settings."""
        with self._lock:
            self.factory = Factory(self.pace, self.workflows)
            self._heads = dict(self.heads)
            self._configs = {project_slug(slug): text for slug, text in self.configs.items()}
            self._runs: dict[str, Run] = {}
            self._jobs: dict[tuple[str, int], ScriptedJob] = {}
            self._faults: list[Fault] = []
            self._requests: deque[Recorded] = deque(maxlen=KEPT)

    # Inspection

    @property
    def requests(self) -> tuple[Recorded, ...]:
        """Every API request so far, in the order of arrival."""
        with self._lock:
            return tuple(self._requests)

    @property
    def runs(self) -> tuple[Run, ...]:
        """What triggers created, as it is now, oldest first."""
        return tuple(run.at(self.now()) for run in self.stored_runs() if run.api != "webhook")

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults that have not been used up, first to come first."""
        with self._lock:
            return tuple(self._faults)

    def stored_runs(self) -> list[Run]:
        """Return every run as it will end, oldest first, builds from outside included."""
        with self._lock:
            return sorted(self._runs.values(), key=lambda run: run.created_at)

    # Projects and refs

    def knows(self, project: str) -> bool:
        """Tell whether a project exists; without a list of projects every well-formed slug does."""
        return bool(SLUG.fullmatch(project)) and (not self.projects or project in self.projects)

    def only_project(self) -> str | None:
        """Return the project that is known, if it is the only one: every pipeline definition is taken for its."""
        known = set(self.projects) or {run.project for run in self.stored_runs()}
        return known.pop() if len(known) == 1 else None

    def config(self, project: str) -> str | None:
        """Return the text of a project's config; None where none was set."""
        return self._configs.get(project)

    def set_config(self, project: str, text: str) -> None:
        """Let a project have this config from now on. Raises `ValueError`."""
        self._configs[project_slug(project)] = text

    def move(self, ref: str, revision: str) -> None:
        """Let a branch or tag point at another commit from now on; an empty one removes it."""
        with self._lock:
            self._heads[ref] = revision

    def head(self, project: str, ref: str, parameters: Mapping[str, Scalar]) -> str | None:
        """Return the commit that a ref points at; None if there is no such ref.

        In this order: what was told; a commit named by the parameters, since a branch that the server was told
        nothing about is taken not to have moved; the caller's own look-up; a made-up one.
        """
        told = self._heads.get(ref)
        if told is not None:
            return told or None
        texts = (value for value in parameters.values() if isinstance(value, str))
        named = next((text for text in texts if SHA1.fullmatch(text)), None)
        return named or (self.head_of(ref) if self.head_of else None) or made_up_sha(project, ref)

    # Runs

    def create(self, api: str, project: str, body: TriggerBody, override: RunOverride) -> Run | None:
        """Create what a trigger asks for, and return it as it is now; None if the ref does not exist."""
        name = body.branch if body.branch is not None else body.tag
        if name is None:
            name, body = DEFAULT_BRANCH, replace(body, branch=DEFAULT_BRANCH)
        # v1.1 names a pull request `pull/5`; v2 wants `pull/5/head` and knows no other.
        is_known = name and (api == "v1.1" or not re.fullmatch(r"pull/[0-9]+", name))
        revision = body.revision or (self.head(project, name, body.parameters) if is_known else None)
        if revision is None:
            return None
        if override.revision is not None:
            revision = override.revision or made_up_sha(revision, "moved")
        with self._lock:
            now = self.now()
            run = self._keep(self.factory.run(api, project, replace(body, revision=revision), override, now))
        return run.at(now)

    def on_create(self, run: Run) -> Run:
        """Return what is to be kept of a new run: a hook for subclasses, called under the lock."""
        return run

    def _keep(self, run: Run) -> Run:
        run = self.on_create(run)
        self._runs[run.id] = run
        return run

    def add_build(  # noqa: PLR0913 - the fields of one build, all but two optional
        self,
        pipeline_id: str,
        project: str,
        *,
        workflow_id: str | None = None,
        workflow_name: str = "build",
        status: str = "running",
        jobs: Mapping[str, str] = NOTHING,
        branch: str | None = None,
        tag: str | None = None,
        revision: str | None = None,
        created: datetime | None = None,
        trigger: str = "webhook",
    ) -> None:
        """Put a build there as if a push had started it: the one in which the client's own step runs.

        `status` is the workflow's, `jobs` maps names to statuses; all of them stay as they are. The same pipeline id
        again adds another workflow. `created` is when it was created, not later than now. `trigger` may be
        `scheduled_pipeline`. Raises `ValueError`.
        """
        project, pipeline_id, now = project_slug(project), pipeline_id.lower(), self.now()
        at = created or now
        if trigger not in SEED_TRIGGERS:
            raise ValueError(f"`{trigger}` is not one of {', '.join(sorted(SEED_TRIGGERS))}")
        if at > now:
            raise ValueError("a build cannot have been created later than now")
        workflow = Workflow(workflow_name, outcome=check_status(status))
        if branch is None and tag is None:
            branch = DEFAULT_BRANCH
        with self._lock:
            made = self.factory.build(project, workflow, jobs, at)
            made = replace(made, id=workflow_id.lower()) if workflow_id else made
            if pipeline_id in self._runs:
                run = self._runs[pipeline_id]
                self._runs[pipeline_id] = replace(run, workflows=(*run.workflows, made))
                return
            revision = revision or self.head(project, branch or tag or "", NOTHING) or made_up_sha(project)
            body = TriggerBody(branch, tag, revision=revision)
            run = self.factory.run("webhook", project, body, RunOverride(no_workflow=True), at)
            run = replace(run, id=pipeline_id, trigger=trigger, formed_at=at, listed_at=at, workflows=(made,))
            self._keep(run)

    def stored(self, run_id: str) -> Run | None:
        """Return one run as it will end."""
        with self._lock:
            return self._runs.get(run_id)

    def pipeline(self, run_id: str) -> Run | None:
        """Return one run as it is now, unless it is a single job of v1.1's."""
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
        """Give a workflow a status from now on: any word, also one that nobody knows. Raises `LookupError`."""
        workflow_id = workflow_id.lower()
        with self._lock:
            for run in self._runs.values():
                if any(workflow.id == workflow_id for workflow in run.workflows):
                    self._runs[run.id] = run.changed(workflow_id, self.now(), status)
                    return
        raise LookupError(f"there is no workflow `{workflow_id}`")

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
        project, states = project_slug(project), (JobState(tuple(parallel_runs), status), *then)
        with self._lock:
            ids = self.factory.new_id(), self.factory.new_id()
            view = JobView(project, number, "build", status, (), *ids, "build", self.now(), None)
            self._jobs[project, number] = ScriptedJob(view, states)
            self.factory.reserve_job(project, number)

    def next_job(self, project: str) -> int:
        """Take the project's next job number."""
        with self._lock:
            return self.factory.count("job", project_slug(project))

    def job(self, project: str, number: int) -> JobView | None:
        """Return a job as it is now, a scripted one before others."""
        with self._lock:
            if (project, number) in self._jobs:
                return self._jobs[project, number].shown(self.now())
        runs = (run.at(self.now()) for run in self.stored_runs() if run.project == project)
        return next((job for run in runs for job in jobs_of(run) if job.number == number), None)

    def read_job(self, project: str, number: int, nodes: Mapping[int, str]) -> JobView | None:
        """Return a job as it is now, and count the reading; `nodes` are statuses that stay with a scripted job's."""
        with self._lock:
            scripted = self._jobs.get((project, number))
            if scripted is not None:
                scripted.nodes = {**scripted.nodes, **nodes}
            view = self.job(project, number)
            if scripted is not None:
                scripted.polls += 1
        return view

    def cancel_job(self, job: JobView) -> None:
        """Cancel a job that has not ended; guess: one of a workflow takes the workflow with it."""
        with self._lock:
            scripted = self._jobs.get((job.project, job.number))
            if scripted is not None:
                scripted.cancel(self.now())
            elif job.stopped_at is None:
                self.set_workflow(job.workflow_id, "canceled")

    # Requests and faults

    def record(self, request: Recorded) -> None:
        """Remember a request."""
        with self._lock:
            self._requests.append(request)

    def add_fault(self, fault: Fault) -> None:
        """Queue a fault; of several that meet a request the first is used."""
        with self._lock:
            self._faults.append(fault)

    def take_fault(self, method: str, path: str, *, triggers: bool, reads_job: bool) -> Fault | None:
        """Use the first fault that meets a request."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.meets(method, path, triggers=triggers, reads_job=reads_job):
                    rest = [replace(fault, count=fault.count - 1)] if fault.count > 1 else []
                    self._faults[index : index + 1] = rest
                    return fault
        return None

    def give_back(self, fault: Fault) -> None:
        """Undo `take_fault`: the request turned out not to be worth it."""
        with self._lock:
            self._faults.insert(0, replace(fault, count=1))

    def drop_faults(self) -> None:
        """Forget the faults that have not been used up."""
        with self._lock:
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


def check_status(status: str) -> str:
    """Return the state of a workflow; raises `ValueError` if it is none."""
    if status not in WORKFLOW_STATES:
        raise ValueError(f"`{status}` is not a state of a workflow, one of {', '.join(sorted(WORKFLOW_STATES))}")
    return status


def made_up_sha(*parts: str) -> str:
    """Return a commit for something that has none: always the same for the same parts."""
    text = "\0".join(parts).encode(errors="backslashreplace")
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


@functools.lru_cache(maxsize=1024)
def project_id(project: str) -> str:
    """Return a project's made-up UUID, which every API version shows."""
    digits = made_up_sha("project", project)
    return "-".join((digits[:8], digits[8:12], f"5{digits[13:16]}", f"8{digits[17:20]}", digits[20:32]))
