"""What the server knows, how runs are made, and what the passing of time makes of them.

A run is kept as it will end; `Run.at` shows it as it is at one moment. Nothing has to tick in between, so a test that
owns the clock owns the whole progress.
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
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

from .faults import Fault
from .messages import NOTHING, UUID_FORM, Call, RefusedError, Request

# Of v2 OpenAPI: workflow states that do not change any more, and those for which the job's word is another one.
ENDED = frozenset({"success", "failed", "error", "canceled", "unauthorized", "not_run"})
JOB_OF_WORKFLOW = {"error": "failed", "failing": "failed"}
SETUP = "setup"  # the tag of the workflow that a dynamic config starts with, and its name here
HOSTS = {"gh": ("GitHub", "https://github.com"), "bb": ("Bitbucket", "https://bitbucket.org")}  # by slugs' providers


class Pace(NamedTuple):
    """How long things take, in seconds since a run was created.

    After `appear` its workflows are listed, after `finish` they reach their outcome. After `listed` it appears in lists
    and searches, while whoever asks by id finds it at once. After `form` (never later than its workflows) its config is
    compiled and it is `created`, no longer `pending`.
    """

    appear: float = 0.2
    finish: float = 2.0
    listed: float = 0.0
    form: float = 0.1


class Workflow(NamedTuple):
    """A workflow of the imaginary config: it starts if every pair in `when` is a parameter sent, of the same type.

    An `outcome` that is no end (`on_hold`, `failing`) is where it stays. It has one job, of its own name.
    """

    name: str
    when: Mapping[str, Any] = NOTHING
    outcome: str = "success"


class TriggerBody(NamedTuple):
    """What was asked for, whichever API asked (only v1.1 names a `revision` and a `job`), and what is made of it.

    With `instead` nothing is created: the answer is 200 with this message. `errors` is the message of a config error.
    `moved` is another commit, empty for one that is made up. `outcome` is the state in which its workflows end, `lag`
    how many seconds pass until lists show it. With `setup` it starts with a setup workflow.
    """

    branch: str | None = None
    tag: str | None = None
    parameters: Mapping[str, Any] = NOTHING
    revision: str | None = None
    job: str = "build"
    instead: str = ""
    errors: str = ""
    no_workflow: bool = False
    moved: str | None = None
    outcome: str = ""
    lag: float | None = None
    setup: bool = False


class ProjectConfig(NamedTuple):
    """A project's config: its text, its parameters where they are not sent, and the workflows of a trigger.

    `starts` raises ValueError with CircleCI's words where it is refused; without it, the workflows are the server's.
    """

    text: str
    defaults: Mapping[str, Any] = NOTHING
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
    """One workflow of a run. Its `changes`, times and statuses in order, reach into the future as it is kept.

    One that `follows` another (its id and a status) is not created before that one has this status.
    """

    id: str
    name: str
    jobs: tuple[Job, ...]
    created_at: datetime
    changes: tuple[tuple[datetime, str], ...]
    tag: str | None = None
    follows: tuple[str, str] | None = None
    auto_rerun_number: int = 0
    max_auto_reruns: int = 0
    status: str = ""
    stopped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What one trigger created: a pipeline in v2's words, a single job in v1.1's, which is a workflow with that job.

    `number` is the pipeline's, for v1.1 the job's. `api` says who created it: `v2`, `v1.1`, `v3`, or `webhook` for a
    build that was put there from outside, whatever its `trigger` (a word of v2's). `errors` are about its config.
    """

    id: str
    number: int
    project: str
    branch: str | None
    tag: str | None
    revision: str
    api: str
    created_at: datetime
    formed_at: datetime
    listed_at: datetime
    workflows: tuple[WorkflowRun, ...]
    errors: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    trigger: str = "api"
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
        state, errors = "errored" if self.errors else "created" if is_set_up else "setup", self.errors
        if now < self.formed_at:
            state, errors = "setup-pending" if is_dynamic else "pending", ()
        return replace(self, state=state, errors=errors, workflows=tuple(shown))


JobView: TypeAlias = tuple[Run, WorkflowRun, Job]


def jobs_of(run: Run) -> list[JobView]:
    """Return the jobs of a run, each in its workflow, in the order of their creation."""
    return [(run, workflow, job) for workflow in run.workflows for job in workflow.jobs]


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

    def move(self, ref: str, revision: str) -> None:
        """Let a branch or tag point at another commit from now on; an empty one removes it."""
        self.moved[ref] = revision

    def create(self, api: str, project: str, body: TriggerBody) -> Run:
        """Create what is asked for, and return it as it is now; raises `RefusedError` where nothing is created."""
        if body.instead:
            raise RefusedError(200, body.instead)
        if body.branch is None and body.tag is None:
            body = body._replace(branch="main")
        ref = (body.tag if body.branch is None else body.branch) or ""
        # v1.1 names a pull request `pull/5`; v2 wants `pull/5/head` and knows no other.
        is_known = ref and (api == "v1.1" or not re.fullmatch(r"pull/[0-9]+", ref))
        revision = body.revision or (self._head(project, ref, body.parameters) if is_known else None)
        if revision is None:
            raise RefusedError(404 if api == "v1.1" else 400, "Branch not found")
        if body.moved is not None:
            revision = body.moved or made_up_sha(revision, "moved")
        workflows, errors = [], body.errors
        try:
            workflows = self._started(api, project, body)
        except ValueError as error:
            errors = str(error)
        lag = self.pace.listed if body.lag is None else body.lag
        now, formed, listed = (
            self.now() + timedelta(seconds=s) for s in (0, min(self.pace.form, self.pace.appear), lag)
        )
        number = workflows[0].jobs[0].number if api == "v1.1" else self._count("run", project)
        run = Run(
            self._new_id(), number, project, body.branch, body.tag, revision, api, now, formed, listed,
            tuple(workflows), (errors,) if errors else (), dict(body.parameters),
        )  # fmt: skip
        run = self.kept[run.id] = self.on_create(run)
        return run.at(now)

    def on_create(self, run: Run) -> Run:
        """Return what is to be kept of a new run: a hook for subclasses."""
        return run

    def _count(self, what: str, project: str = "") -> int:
        self._numbers[what, project] += 1
        return self._numbers[what, project]

    def _new_id(self) -> str:
        return made_up_uuid(str(self._count("id")))

    def _head(self, project: str, ref: str, parameters: Mapping[str, Any]) -> str | None:
        # what was told (empty: there is no such ref); a commit that the parameters name, since a branch of which
        # nothing is known is taken not to have moved; the caller's own look-up; a made-up one
        if ref in self.moved:
            return self.moved[ref] or None
        named = (v for v in parameters.values() if isinstance(v, str) and re.fullmatch("[0-9a-f]{40}", v))
        return next(named, None) or (self.head_of(ref) if self.head_of else None) or made_up_sha(project, ref)

    def _started(self, api: str, project: str, body: TriggerBody) -> list[WorkflowRun]:
        now, pause = self.now(), timedelta(seconds=self.pace.appear)
        if api == "v1.1":  # which knows no workflows: it starts its one job, come what may
            outcome = body.outcome or ("failed" if body.errors else "success")
            job = self.new_workflow(project, body.job, outcome, now + pause)
            return [replace(job, created_at=now, changes=((now, "not_running"), *job.changes))]
        if body.errors:
            raise ValueError(body.errors)
        config, sent = self.configs.get(project), {name: (type(v), v) for name, v in body.parameters.items()}
        if config and config.starts:
            chosen = config.starts(body)
        else:
            chosen = [w for w in self.workflows if all(sent.get(n) == (type(v), v) for n, v in w.when.items())]
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
        """Put a build there as if a push had started it: the one in which the client's own step runs.

        Its workflow is running, and its `jobs` (by name) have their statuses; all of them stay as they are. The same
        pipeline id again adds another workflow. `more` is when it was `created`, and what a `Run` has: a branch or tag,
        a revision, a trigger such as `scheduled_pipeline` (v2 OpenAPI, Pipeline.trigger).
        """
        project, pipeline_id, at = project_slug(project), pipeline_id.lower(), more.pop("created", None) or self.now()
        branch, tag = more.pop("branch", None), more.pop("tag", None)
        branch = "main" if branch is None and tag is None else branch
        with self.lock:
            made = tuple(Job(self._new_id(), self._count("job", project), n, s) for n, s in jobs.items())
            workflow = WorkflowRun((workflow_id or self._new_id()).lower(), "build", made, at, ((at, "running"),))
            if run := self.kept.get(pipeline_id):
                self.kept[pipeline_id] = replace(run, workflows=(*run.workflows, workflow))
                return
            revision = more.pop("revision", None) or self._head(project, branch or tag, NOTHING) or made_up_sha(project)
            found = (pipeline_id, self._count("run", project), project, branch, tag, revision, "webhook", at, at, at)
            self.kept[pipeline_id] = self.on_create(Run(*found, (workflow,), **{"trigger": "webhook", **more}))

    def set_job(self, project: str, number: int, *, parallel_runs: Sequence[str], status: str = "running") -> None:
        """Put a parallel job there, in a run that no list shows, with one status per node. Raises `ValueError`."""
        project, at, never = project_slug(project), self.now(), datetime.max.replace(tzinfo=timezone.utc)
        with self.lock:
            job = Job(self._new_id(), number, "build", status, tuple(parallel_runs))
            workflow = WorkflowRun(self._new_id(), "build", (job,), at, ((at, "running"),))
            run = Run(self._new_id(), 0, project, None, None, "", "webhook", at, at, never, (workflow,))
            self.kept[run.id] = run
            self._nodes.pop((project, number), None)
            self._numbers["job", project] = max(number, self._numbers["job", project])

    def set_workflow(self, workflow_id: str, status: str) -> None:
        """Give a workflow a status, any word, from now on, or from its creation on if that is still to come."""
        with self.lock:
            both = [(run, w) for run in self.kept.values() for w in run.workflows if w.id == workflow_id.lower()]
            if not both:
                raise ValueError(f"there is no workflow `{workflow_id}`")
            (run, workflow), now = both[0], self.now()
            past = tuple(change for change in workflow.changes if change[0] <= now)
            changed = replace(workflow, changes=(*past, (now if past else workflow.created_at, status)))
            self.kept[run.id] = replace(run, workflows=tuple(changed if w is workflow else w for w in run.workflows))

    def named(self, part: str, text: str, call: Call, known: Mapping[str, Any] = NOTHING) -> Any:
        """Return what a part of a path names, `known` being what those before it do.

        Raises `RefusedError` if it should be an id and is no UUID, or if there is no such thing.
        """
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
        """Return the runs wanted that lists show by now, newest first."""
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
        told = self._nodes.setdefault((project, number), {})
        told.update(nodes)
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
