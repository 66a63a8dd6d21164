"""What the server knows, and how runs are made. One is kept as it will end; `Run.at` shows it as it is at a moment."""

import hashlib
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

from .faults import Fault
from .messages import NOTHING, UUID_FORM, Call, RefusedError, Request, in_text

# Of v2 OpenAPI: workflow states that do not change any more, and those for which the job's word is another one.
ENDED = frozenset({"success", "failed", "error", "canceled", "unauthorized", "not_run"})
JOB_OF_WORKFLOW = {"error": "failed", "failing": "failed"}
PARAMETER = re.compile(r"<<\s*pipeline\.parameters\.([A-Za-z0-9_-]+)\s*>>")
SETUP = "setup"  # the tag of the workflow that a dynamic config starts with, and its name here
HOSTS = {"gh": ("GitHub", "https://github.com"), "bb": ("Bitbucket", "https://bitbucket.org")}  # by slugs' providers


class Pace(NamedTuple):
    """How long things take, in seconds since a run was created."""

    appear: float = 0.2  # until its workflows are listed
    finish: float = 2.0  # until they reach their outcome
    listed: float = 0.0  # until lists and searches show it; whoever asks by id finds it at once
    form: float = 0.1  # until its config is compiled and it is `created`: never later than its workflows


class Workflow(NamedTuple):
    """A workflow of the imaginary config, with one job of its own name."""

    name: str
    when: Mapping[str, Any] = NOTHING  # it starts if every pair is a parameter sent, of the same type
    outcome: str = "success"  # where it stays, also where that is no end (`on_hold`, `failing`)


class TriggerBody(NamedTuple):
    """What was asked for, whichever API asked (only v1.1 names a `revision` and a `job`), and what is made of it."""

    branch: str | None = None
    tag: str | None = None
    parameters: Mapping[str, Any] = NOTHING
    revision: str | None = None
    job: str = "build"
    instead: str = ""  # nothing is created: the answer is 200 with this message
    errors: str = ""  # the message of a config error
    no_workflow: bool = False
    moved: str | None = None  # another commit, empty for one that is made up
    outcome: str = ""  # in which its workflows end
    lag: float | None = None  # seconds until lists show it
    setup: bool = False  # it starts with a setup workflow


class ProjectConfig(NamedTuple):
    """A project's config."""

    text: str
    defaults: Mapping[str, Any] = NOTHING  # its parameters where they are not sent
    #: The workflows of a trigger; raises ValueError, with CircleCI's words, for one that errors. Else the server's own.
    starts: Callable[[TriggerBody], Sequence[Workflow]] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a workflow; `nodes` has one status per node. As it is kept, both are empty where the workflow's hold."""

    id: str
    number: int
    name: str
    status: str = ""
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """One workflow of a run. Its `changes`, times and statuses in order, reach into the future as it is kept."""

    id: str
    name: str
    jobs: tuple[Job, ...]
    created_at: datetime
    changes: tuple[tuple[datetime, str], ...]
    tag: str | None = None
    follows: tuple[str, str] | None = None  # another's id, and the status before which this one is not created
    auto_rerun_number: int = 0
    max_auto_reruns: int = 0
    status: str = ""
    stopped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What one trigger created: a pipeline in v2's words, a single job in v1.1's, which is a workflow with that job."""

    id: str
    number: int  # the pipeline's, for v1.1 the job's
    project: str
    branch: str | None
    tag: str | None
    revision: str
    api: str  # `v2`, `v1.1`, `v3`, or `webhook` for a build that was put there from outside
    created_at: datetime
    formed_at: datetime
    listed_at: datetime
    workflows: tuple[WorkflowRun, ...]
    errors: tuple[str, ...] = ()  # of its config
    parameters: Mapping[str, Any] = field(default_factory=dict)
    trigger: str = "api"  # a word of v2's
    state: str = ""

    @property
    def is_pipeline(self) -> bool:
        """Whether it is what v2 calls a pipeline and v3 a run: everything but v1.1's single jobs."""
        return self.api != "v1.1"

    def at(self, now: datetime) -> "Run":
        """Show it as it is at one moment. Guess: one of a dynamic config is in `setup` until that has succeeded."""
        shown: list[WorkflowRun] = []
        for each in self.workflows:
            changes = tuple((at, status) for at, status in each.changes if at <= now)
            if changes and (each.follows is None or each.follows in {(w.id, w.status) for w in shown}):
                at, status = changes[-1]
                word = JOB_OF_WORKFLOW.get(status, status)
                jobs = (replace(j, status=j.status or word, nodes=j.nodes or (j.status or word,)) for j in each.jobs)
                stopped = at if status in ENDED else None
                shown.append(replace(each, jobs=tuple(jobs), changes=changes, status=status, stopped_at=stopped))
        is_dynamic = any(each.tag == SETUP for each in self.workflows)
        is_set_up = not is_dynamic or (SETUP, "success") in {(each.tag, each.status) for each in shown}
        if now < self.formed_at:
            return replace(self, state="setup-pending" if is_dynamic else "pending", errors=(), workflows=tuple(shown))
        state = "errored" if self.errors else "created" if is_set_up else "setup"
        return replace(self, state=state, workflows=tuple(shown))


JobView: TypeAlias = tuple[Run, WorkflowRun, Job]


def jobs_of(run: Run) -> list[JobView]:
    """Return the jobs of a run, each in its workflow, in the order of their creation."""
    return [(run, workflow, job) for workflow in run.workflows for job in workflow.jobs]


@dataclass(kw_only=True, eq=False)
class Store:
    """The settings of a mock CircleCI server, and all that it has been told and has created. Raises `ValueError`."""

    token: str | None = None  # the only good one; without it any is
    projects: Sequence[str] = ()  # the slugs that exist, all if none is named
    heads: Mapping[str, str] = field(default_factory=dict)  # commits of branches and tags (empty: there is no such ref)
    head_of: Callable[[str], str | None] = lambda _ref: None  # is asked for the rest
    workflows: Sequence[Workflow] = (Workflow("deploy"),)  # of the imaginary config
    pace: Pace = field(default_factory=Pace)
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)  # with a zone

    def __post_init__(self) -> None:
        self.projects = [project_slug(project) for project in self.projects]
        self.lock = threading.RLock()  # held while a request is handled, so that it sees every change as a whole
        self.reset()

    def reset(self) -> None:
        """Forget everything but the settings. Then numbers and ids come in the same sequence again."""
        with self.lock:
            self._numbers: Counter[tuple[str, str]] = Counter()
            self._nodes: dict[tuple[str, int], dict[int, str]] = {}  # what faults have shown of jobs' nodes
            self.moved = dict(self.heads)
            self.configs: dict[str, ProjectConfig] = {}
            self.kept: dict[str, Run] = {}  # as they will end, by id
            self.faults: list[Fault] = []  # what has not been used up, the next one first
            self.requests: list[Request] = []  # every API request, in the order of arrival

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

    def create(self, api: str, project: str, body: TriggerBody) -> Run:
        """Create what is asked for, and return it as it is now; raises `RefusedError` where nothing is created."""
        if body.instead:
            raise RefusedError(200, body.instead)
        branch = "main" if body.branch is None and body.tag is None else body.branch
        ref = (body.tag if branch is None else branch) or ""
        # v1.1 names a pull request `pull/5`; v2 wants `pull/5/head` and knows no other.
        is_known = ref and (api == "v1.1" or not re.fullmatch(r"pull/[0-9]+", ref))
        revision = body.revision or (self._head(project, ref, body.parameters) if is_known else None)
        if not revision:
            raise RefusedError(404 if api == "v1.1" else 400, "Branch not found")
        if body.moved is not None:
            revision = body.moved or made_up_sha(revision, "moved")
        workflows, errors = list[WorkflowRun](), tuple(filter(None, [body.errors]))
        try:
            workflows = self._started(api, project, body._replace(branch=branch))
        except ValueError as error:
            errors = (str(error),)
        now, lag = self.now(), self.pace.listed if body.lag is None else body.lag
        formed, listed = (now + timedelta(seconds=s) for s in (min(self.pace.form, self.pace.appear), lag))
        number = workflows[0].jobs[0].number if api == "v1.1" else self._count("run", project)
        found = (self._new_id(), number, project, branch, body.tag, revision, api, now, formed, listed)
        run = self.kept[found[0]] = self.on_create(Run(*found, tuple(workflows), errors, dict(body.parameters)))
        return run.at(now)

    def on_create(self, run: Run) -> Run:
        """Return what is to be kept of a new run: a hook for subclasses."""
        return run

    def _count(self, what: str, project: str = "") -> int:
        self._numbers[what, project] += 1
        return self._numbers[what, project]

    def _new_id(self) -> str:
        return made_up_uuid(str(self._count("id")))

    def _head(self, project: str, ref: str, parameters: Mapping[str, Any] = NOTHING) -> str:
        # what was told (empty: there is no such ref); a commit that the parameters name, since a branch of which
        # nothing is known is taken not to have moved; the caller's own look-up; a made-up one
        named = (v for v in parameters.values() if isinstance(v, str) and re.fullmatch("[0-9a-f]{40}", v))
        told = self.moved.get(ref)
        return next(named, None) or self.head_of(ref) or made_up_sha(project, ref) if told is None else told

    def _started(self, api: str, project: str, body: TriggerBody) -> list[WorkflowRun]:
        now, pause = self.now(), timedelta(seconds=self.pace.appear)
        if api == "v1.1":  # which knows no workflows: it starts its one job, come what may
            outcome = body.outcome or ("failed" if body.errors else "success")
            job = self.new_workflow(project, body.job, outcome, now + pause)
            return [replace(job, created_at=now, changes=((now, "not_running"), *job.changes))]
        if body.errors:
            raise ValueError(body.errors)
        config, sent = self.configs.get(project), {name: (type(v), v) for name, v in body.parameters.items()}
        chosen = [w for w in self.workflows if all(sent.get(n) == (type(v), v) for n, v in w.when.items())]
        if config and config.starts:
            chosen = [*config.starts(body)]
        made, begins, follows = [], now + pause, None
        if body.setup:
            made = [replace(self.new_workflow(project, SETUP, "success", begins), tag=SETUP)]
            begins, follows = made[0].changes[-1][0] + pause, (made[0].id, "success")
        for workflow in () if body.no_workflow else chosen:
            made.append(self.new_workflow(project, workflow.name, body.outcome or workflow.outcome, begins, follows))
        return made

    def new_workflow(
        self, project: str, name: str, outcome: str, begins: datetime, follows: tuple[str, str] | None = None
    ) -> WorkflowRun:
        """Make a workflow that begins at a moment, runs until it gets to its outcome, and has one job."""
        length = 0.0 if outcome in {"unauthorized", "error", "not_run"} else self.pace.finish - self.pace.appear
        changes = ((begins, "running"), (begins + timedelta(seconds=max(0.0, length)), outcome))
        job = Job(self._new_id(), self._count("job", project), name)
        return WorkflowRun(self._new_id(), name, (job,), begins, changes, follows=follows)

    def add_build(
        self, pipeline_id: str, project: str, *, workflow_id: str = "", jobs: Mapping[str, str] = NOTHING, **more: Any
    ) -> None:
        """Put a build there as if a push had started it, or add a workflow to that of this id: all stay as they are."""
        created, branch, tag, revision = (more.pop(name, None) for name in ("created", "branch", "tag", "revision"))
        project, pipeline_id, at = project_slug(project), pipeline_id.lower(), created or self.now()
        branch = "main" if branch is tag is None else branch
        with self.lock:
            made = tuple(Job(self._new_id(), self._count("job", project), n, s) for n, s in jobs.items())
            workflow = WorkflowRun((workflow_id or self._new_id()).lower(), "build", made, at, ((at, "running"),))
            if run := self.kept.get(pipeline_id):
                self.kept[pipeline_id] = replace(run, workflows=(*run.workflows, workflow))
                return
            revision = revision or self._head(project, branch or tag) or made_up_sha(project)
            found = (pipeline_id, self._count("run", project), project, branch, tag, revision, "webhook", at, at, at)
            self.kept[pipeline_id] = self.on_create(Run(*found, (workflow,), **{"trigger": "webhook", **more}))

    def set_job(self, project: str, number: int, *, parallel_runs: Sequence[str], status: str = "running") -> None:
        """Put a parallel job there, in a run that no list shows, with one status per node. Raises `ValueError`."""
        project, at, never = project_slug(project), self.now(), datetime.max.replace(tzinfo=timezone.utc)
        with self.lock:
            job, name = Job(self._new_id(), number, "build", status, tuple(parallel_runs)), self._new_id()
            workflow = WorkflowRun(self._new_id(), "build", (job,), at, ((at, "running"),))
            self.kept[name] = Run(name, 0, project, None, None, "", "webhook", at, at, never, (workflow,))
            self._nodes.pop((project, number), None)
            self._numbers["job", project] = max(number, self._numbers["job", project])

    def set_workflow(self, workflow_id: str, status: str) -> None:
        """Give a workflow a status, any word, from now on, or from its creation on if that is still to come."""
        with self.lock:
            run = next((run for run in self.kept.values() for w in run.workflows if w.id == workflow_id.lower()), None)
            if run is None:
                raise ValueError(f"there is no workflow `{workflow_id}`")
            made, now = {w.id: w for w in run.workflows}, self.now()
            workflow = made[workflow_id.lower()]
            past = tuple(change for change in workflow.changes if change[0] <= now)
            made[workflow.id] = replace(workflow, changes=(*past, (now if past else workflow.created_at, status)))
            self.kept[run.id] = replace(run, workflows=tuple(made.values()))

    def config_of(self, run: Run) -> dict[str, str]:
        """Return the config of a run: its source, and compiled, which is empty until then or if it errored."""
        # a project without a config has one that declares each parameter and uses it once
        types = {str: "{type: string, default: ''}", bool: "{type: boolean, default: false}"}
        lines = ["version: 2.1", "parameters:"]
        lines += [f"  {n}: {types.get(type(v), '{type: integer, default: 0}')}" for n, v in run.parameters.items()]
        lines += ["jobs:", "  deploy:", "    steps: [{run: ./deploy.sh}]", "    environment:"]
        lines += [f"      PARAMETER_{i}: << pipeline.parameters.{n} >>" for i, n in enumerate(run.parameters, 1)]
        text = "\n".join([*lines, "workflows: {deploy: {jobs: [deploy]}}", ""])
        config = self.configs.get(run.project, ProjectConfig(text))
        values = {**config.defaults, **run.parameters}
        compiled = PARAMETER.sub(lambda used: in_text(values.get(used[1], "")), config.text)
        is_compiled = run.state not in {"pending", "setup-pending", "errored"}
        return {"source": config.text, "compiled": compiled if is_compiled else ""}

    def named(self, part: str, text: str, call: Call, known: Mapping[str, Any] = NOTHING) -> Any:
        """Return what a part of a path names, `known` being what those before it do; raises `RefusedError`."""
        if part in {"pipeline", "workflow"} and not UUID_FORM.fullmatch(text):
            raise RefusedError(400, f"The {part} id must be a UUID")
        name, runs = text.lower(), (run.at(self.now()) for run in self.stored_runs() if run.is_pipeline)
        look_up: Mapping[str, Callable[[], object]] = {
            "project": lambda: self.known(text),
            "pipeline": lambda: next((run for run in runs if run.id == name), None),
            "workflow": lambda: next(((run, w) for run in runs for w in run.workflows if w.id == name), None),
            "job": lambda: self.job(known["project"], int(text), call.nodes),
        }
        what = look_up[part]() if part in look_up else text
        if what is None:
            is_run = part == "project" and call.request.path.endswith("/pipeline/run")
            raise RefusedError(404, "Project does not exist." if is_run else f"{part.capitalize()} not found")
        return what

    def known(self, project: str) -> str | None:
        """Return a project's canonical slug, if there is such a project: without a list every well-formed one is."""
        with suppress(ValueError):
            return slug if (slug := project_slug(project)) in (self.projects or [slug]) else None
        return None

    def listed(self, is_wanted: Callable[[Run], bool]) -> list[Run]:
        now = self.now()
        return [run.at(now) for run in reversed(self.stored_runs()) if run.listed_at <= now and is_wanted(run)]

    def pipelines(self, call: Call, project: str) -> list[Run]:
        """Return a project's pipelines that lists show by now, newest first, of one branch if the query names one."""
        branch = call.request.query.get("branch")
        return self.listed(lambda r: r.is_pipeline and r.project == project and branch in {None, "", r.branch})

    def job(self, project: str, number: int, nodes: Mapping[int, str] = NOTHING) -> JobView | None:
        """Return a job as it is now; `nodes` are what some of its nodes are from now on."""
        runs = (run.at(self.now()) for run in reversed(self.stored_runs()) if run.project == project)
        view = next((each for run in runs for each in jobs_of(run) if each[2].number == number), None)
        if view is None:
            return None
        told = self._nodes[project, number] = {**self._nodes.get((project, number), {}), **nodes}
        return *view[:2], replace(view[2], nodes=tuple(told.get(i, status) for i, status in enumerate(view[2].nodes)))


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
    return hashlib.sha1(repr(parts).encode(), usedforsecurity=False).hexdigest()


def made_up_uuid(name: str) -> str:
    """Return a UUID that is always the same for the same name, such as a project's slug."""
    return str(uuid.UUID(made_up_sha(name)[:32]))
