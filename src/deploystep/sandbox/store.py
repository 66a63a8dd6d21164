"""What the server knows: projects, heads, runs, jobs, faults, requests; and how runs are made.

Requests are handled under `lock`, so that each of them sees every change as a whole.
"""

import hashlib
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple
from urllib.parse import quote

from .faults import Fault
from .messages import Call, RefusedError, Request
from .shapes import UUID_FORM
from .state import ENDED, NOTHING, SETUP, Change, Job, Pace, Run, RunOverride, TriggerBody, Workflow, WorkflowRun

NAMES = uuid.UUID("6a9f0e5c-0a1b-5e0f-9f43-0d5a3c0b7d11")
HOSTS = {"gh": ("GitHub", "https://github.com"), "bb": ("Bitbucket", "https://bitbucket.org")}
"""By a slug's provider: its name and where its repositories are."""
DEFAULT_BRANCH = "main"
AT_ONCE = frozenset({"unauthorized", "error", "not_run"})
"""Outcomes that need no running time."""


class ProjectConfig(NamedTuple):
    """A project's config: its text, what its parameters are where they are not sent, and the workflows of a trigger.

    `starts` raises `ValueError` with CircleCI's words for a trigger or a config that is refused. Without it, the
    workflows are those of the server.
    """

    text: str
    defaults: Mapping[str, Any] = NOTHING
    starts: Callable[[TriggerBody], Sequence[Workflow]] | None = None


class JobView(NamedTuple):
    """A job in its workflow and run. Nothing queues here: it starts when its workflow is created."""

    run: Run
    workflow: WorkflowRun
    job: Job


def jobs_of(run: Run) -> list[JobView]:
    """Return the jobs of a run, in the order of their creation."""
    return [JobView(run, workflow, job) for workflow in run.workflows for job in workflow.jobs]


@dataclass(kw_only=True, eq=False)
class Store:
    """The settings of a mock CircleCI server, and all that it has been told and has created.

    `token` is the only good one; without it any token is. `projects` are the slugs that exist, all if none is named.
    `heads` says which commit a branch or tag points at (empty: there is no such ref), `head_of` is asked for the rest.
    `workflows` is the imaginary config's list. `now` must return times with a zone. Raises `ValueError`.
    """

    token: str | None = None
    projects: Sequence[str] = ()
    heads: Mapping[str, str] = field(default_factory=dict)
    head_of: Callable[[str], str | None] | None = None
    workflows: Sequence[Workflow] = (Workflow("deploy"),)
    pace: Pace = field(default_factory=Pace)
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)

    def __post_init__(self) -> None:
        self.projects = [project_slug(project) for project in self.projects]
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """Forget everything but the settings. Then numbers and ids come in the same sequence again."""
        with self.lock:
            self._numbers: Counter[tuple[str, str]] = Counter()
            self.moved = dict(self.heads)
            self.configs: dict[str, ProjectConfig] = {}
            self.kept: dict[str, Run] = {}
            """Runs as they will end, by id."""
            self._jobs: dict[tuple[str, int], JobView] = {}
            self.faults: list[Fault] = []
            """What has not been used up, the next one first."""
            self.recorded: list[Request] = []

    # What it is told, and tells

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every API request so far, in the order of arrival."""
        with self.lock:
            return tuple(self.recorded)

    @property
    def runs(self) -> tuple[Run, ...]:
        """What triggers created, as it is now, oldest first."""
        return tuple(run.at(self.now()) for run in self.stored_runs() if run.api != "webhook")

    def stored_runs(self) -> list[Run]:
        """Return every run as it will end, oldest first, builds from outside included."""
        with self.lock:
            return sorted(self.kept.values(), key=lambda run: run.created_at)

    def add_fault(self, fault: Fault) -> None:
        """Queue a fault as often as it says; of several that meet a request the first is used."""
        self.faults += [replace(fault, count=1)] * fault.count

    def set_config(self, project: str, text: str, **more: Any) -> None:
        """Let a project have this config from now on; `more` are fields of `ProjectConfig`. Raises `ValueError`."""
        self.configs[project_slug(project)] = ProjectConfig(text, **more)

    def move(self, ref: str, revision: str) -> None:
        """Let a branch or tag point at another commit from now on; an empty one removes it."""
        self.moved[ref] = revision

    def head(self, project: str, ref: str, parameters: Mapping[str, Any]) -> str | None:
        """Return the commit that a ref points at; None if there is no such ref.

        In this order: what was told; a commit named by the parameters, since a branch that the server was told
        nothing about is taken not to have moved; the caller's own look-up; a made-up one.
        """
        if ref in self.moved:
            return self.moved[ref] or None
        named = (v for v in parameters.values() if isinstance(v, str) and re.fullmatch("[0-9a-f]{40}", v))
        return next(named, None) or (self.head_of(ref) if self.head_of else None) or made_up_sha(project, ref)

    # Making runs

    def create(self, api: str, project: str, body: TriggerBody, override: RunOverride) -> Run:
        """Create what is asked for, and return it as it is now; raises `RefusedError` where nothing is created."""
        if override.instead:
            raise RefusedError(200, override.instead)
        if body.branch is None and body.tag is None:
            body = body._replace(branch=DEFAULT_BRANCH)
        ref = (body.tag if body.branch is None else body.branch) or ""
        # v1.1 names a pull request `pull/5`; v2 wants `pull/5/head` and knows no other.
        is_known = ref and (api == "v1.1" or not re.fullmatch(r"pull/[0-9]+", ref))
        revision = body.revision or (self.head(project, ref, body.parameters) if is_known else None)
        if revision is None:
            raise RefusedError(404 if api == "v1.1" else 400, "Branch not found")
        if override.revision is not None:
            revision = override.revision or made_up_sha(revision, "moved")
        now, pace = self.now(), self.pace
        workflows, errors = [], override.errors
        try:
            workflows = self._started(api, project, body, override, now)
        except ValueError as error:
            errors = str(error)
        formed, listed = min(pace.form, pace.appear), pace.listed if override.lag is None else override.lag
        times = (now, now + timedelta(seconds=formed), now + timedelta(seconds=listed))
        number = workflows[0].jobs[0].number if api == "v1.1" else self._count("run", project)
        made = (self._new_id(), number, project, body.branch, body.tag, revision, api, *times, tuple(workflows))
        run = self.on_create(Run(*made, (errors,) if errors else (), dict(body.parameters)))
        self.kept[run.id] = run
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
    ) -> list[WorkflowRun]:
        """Make what starts; raises `ValueError` for a trigger or a config that is refused.

        v1.1 knows no workflows: it starts its one job, come what may.
        """
        begins = now + timedelta(seconds=self.pace.appear)
        if api == "v1.1":
            outcome = override.outcome or ("failed" if override.errors else "success")
            job = self.new_workflow(project, body.job, outcome, begins)
            return [replace(job, changes=(Change(now, "not_running"), *job.changes))]
        if override.errors:
            raise ValueError(override.errors)
        starts = config.starts if (config := self.configs.get(project)) else None
        chosen = starts(body) if starts else [w for w in self.workflows if w.starts_with(body.parameters)]
        made, follows = [], None
        if override.setup:
            made = [replace(self.new_workflow(project, SETUP, "success", begins), tag=SETUP)]
            begins, follows = made[0].changes[-1].at + timedelta(seconds=self.pace.appear), (made[0].id, "success")
        for workflow in () if override.no_workflow else chosen:
            outcome = override.outcome or workflow.outcome
            made.append(self.new_workflow(project, workflow.name, outcome, begins, follows))
        return made

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
        pipeline id again adds another workflow. `trigger` may be `scheduled_pipeline` (v2 OpenAPI, Pipeline.trigger).
        Raises `ValueError`.
        """
        project, pipeline_id, at = project_slug(project), pipeline_id.lower(), created or self.now()
        if branch is None and tag is None:
            branch = DEFAULT_BRANCH
        with self.lock:
            made = tuple(Job(self._new_id(), self._count("job", project), n, s) for n, s in jobs.items())
            workflow_id = (workflow_id or self._new_id()).lower()
            workflow = WorkflowRun(workflow_id, "build", made, (Change(at, "running"),))
            if pipeline_id in self.kept:
                run = self.kept[pipeline_id]
                self.kept[pipeline_id] = replace(run, workflows=(*run.workflows, workflow))
                return
            number = self._count("run", project)
            revision = revision or self.head(project, branch or tag or "", NOTHING) or made_up_sha(project)
            run = Run(pipeline_id, number, project, branch, tag, revision, "webhook", at, at, at, (workflow,))
            self.kept[pipeline_id] = self.on_create(replace(run, trigger=trigger))

    # Runs, workflows and jobs as they are now

    def named(self, part: str, text: str, call: Call, known: Mapping[str, Any] = NOTHING) -> Any:
        """Return what a part of a path names, `known` being what those before it do.

        Raises `RefusedError` if it should be an id and is no UUID, or if there is no such thing.
        """
        name, runs = text.lower(), (run.at(self.now()) for run in self.stored_runs() if run.is_pipeline)
        look_up: Mapping[str, Callable[[], object]] = {
            "project": lambda: self.known(text),
            "pipeline": lambda: next((run for run in runs if run.id == name), None),
            "workflow": lambda: next(((run, w) for run in runs for w in run.workflows if w.id == name), None),
            "job": lambda: self.job(known["project"], int(text), call.nodes),
        }
        if part in {"pipeline", "workflow"} and not UUID_FORM.fullmatch(text):
            raise RefusedError(400, f"The {part} id must be a UUID")
        what = look_up[part]() if part in look_up else text
        if what is None:
            is_run = part == "project" and call.request.path.endswith("/pipeline/run")
            raise RefusedError(404, "Project does not exist." if is_run else f"{part.capitalize()} not found")
        return what

    def known(self, project: str) -> str | None:
        """Return a project's canonical slug, if there is such a project: without a list every well-formed one is."""
        with suppress(ValueError):
            slug = project_slug(project)
            return slug if not self.projects or slug in self.projects else None
        return None

    def listed(self, is_wanted: Callable[[Run], bool]) -> list[Run]:
        """Return the runs wanted that lists show by now, newest first."""
        now = self.now()
        return [run.at(now) for run in reversed(self.stored_runs()) if run.listed_at <= now and is_wanted(run)]

    def pipelines(self, project: str, branch: str | None) -> list[Run]:
        """Return a project's pipelines that lists show by now, newest first, of one branch if one is named."""
        return self.listed(lambda r: r.is_pipeline and r.project == project and branch in {None, "", r.branch})

    def set_workflow(self, workflow_id: str, status: str) -> None:
        """Give a workflow a status from now on, or from its creation on if that is still to come.

        `status` may be any word, also one that nobody knows. Raises `ValueError`.
        """
        with self.lock:
            both = ((run, w) for run in self.kept.values() for w in run.workflows if w.id == workflow_id.lower())
            run, workflow = next(both, (None, None))
            if run is None or workflow is None:
                raise ValueError(f"there is no workflow `{workflow_id}`")
            now = self.now()
            past = tuple(change for change in workflow.changes if change.at <= now)
            changed = replace(workflow, changes=(*past, Change(now if past else workflow.created_at, status)))
            workflows = tuple(changed if w is workflow else w for w in run.workflows)
            self.kept[run.id] = replace(run, workflows=workflows)

    def cancel(self, workflow: WorkflowRun) -> None:
        """Cancel a workflow, as it is now, that has not ended."""
        if workflow.status not in ENDED:
            self.set_workflow(workflow.id, "canceled")

    def set_job(self, project: str, number: int, *, parallel_runs: Sequence[str], status: str = "running") -> None:
        """Put a parallel job there, with one status per node. Raises `ValueError`."""
        project, at = project_slug(project), self.now()
        with self.lock:
            job = Job(self._new_id(), number, "build", status, tuple(parallel_runs))
            workflow = WorkflowRun(self._new_id(), "build", (job,), (Change(at, "running"),))
            run = Run(self._new_id(), 0, project, None, None, "", "webhook", at, at, at, (workflow,))
            self._jobs[project, number] = JobView(run, workflow, job)
            self._numbers["job", project] = max(number, self._numbers["job", project])

    def job(self, project: str, number: int, nodes: Mapping[int, str] = NOTHING) -> JobView | None:
        """Return a job as it is now; `nodes` are what nodes of one that was put there are from now on."""
        if view := self._jobs.get((project, number)):
            now = tuple(nodes.get(index, status) for index, status in enumerate(view.job.nodes))
            self._jobs[project, number] = view._replace(job=replace(view.job, nodes=now))
            return self._jobs[project, number]
        runs = (run.at(self.now()) for run in self.stored_runs() if run.project == project)
        return next((each for run in runs for each in jobs_of(run) if each.job.number == number), None)


def project_slug(text: str) -> str:
    """Return a project's slug in its short form; raises `ValueError` (v2 OpenAPI, providerNoGitlab)."""
    slug = re.sub("^github/", "gh/", re.sub("^bitbucket/", "bb/", text))
    if not re.fullmatch(r"(gh|bb|circleci)/[^/]+/[^/]+", slug):
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
