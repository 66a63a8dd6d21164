"""The stand-in as one object: started, asked, told to add_fault, stopped."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING

from . import control, gate, v1_1, v2, v3
from .gate import PATIENT
from .jobs import JobState, ScriptedJob
from .recorder import Recorded, Recorder
from .runs import SEED_TRIGGERS, WORKFLOW_STATES, BuildSeed, Pace, Run, Workflow
from .server import LOOPBACK, Server
from .state import TYPES, Settings, State, canonical, is_slug
from .vocabulary import http_date
from .wire import Delivery, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Self

    from .faults import Fault
    from .gate import Client

NOTHING: Mapping[str, str] = MappingProxyType({})
USUAL_PACE = Pace()


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(timezone.utc)


class Sandbox:
    """A small CircleCI on loopback. Use it as a context manager, or call `start` and `stop`; or only `respond`.

    `token` is the only good one; without it any token is good that does not start with `invalid`, and one
    that starts with `project` is a project token. `projects` are the slugs that exist, all if none is named.
    `heads` says which commit a branch or tag points at (empty: there is no such ref), `head_of` is asked for
    the rest. `workflows` is the imaginary config's list and `parameters` its declarations, name to type
    (None: any parameter is fine). With `gone`, v1.1's triggers answer 410 as they will from February 2027.
    With `setup`, the imaginary config is a dynamic one: its workflows come after one with the tag `setup`. With
    `auto_cancel`, a newer run of a branch other than `default_branch` cancels what older ones are still doing.
    `definitions` says which project a pipeline definition belongs to, for v3, by its UUID; if none is named, any
    UUID is one of the only project that is known. `now` must return times with a zone.
    """

    def __init__(  # noqa: PLR0913 - each is one fact about the world, named by the caller
        self,
        *,
        port: int = 0,
        token: str | None = None,
        projects: Sequence[str] = (),
        heads: Mapping[str, str] = NOTHING,
        head_of: Callable[[str], str | None] | None = None,
        workflows: Sequence[Workflow] = (Workflow("deploy"),),
        parameters: Mapping[str, str] | None = None,
        pace: Pace = USUAL_PACE,
        gone: bool = False,
        setup: bool = False,
        auto_cancel: bool = False,
        default_branch: str = "main",
        definitions: Mapping[str, str] = NOTHING,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        _check((*projects, *definitions.values()), workflows, parameters)
        settings = Settings(
            token=token,
            projects=frozenset(canonical(project) for project in projects),
            heads=dict(heads),
            head_of=head_of,
            workflows=tuple(workflows),
            parameters=parameters,
            pace=pace,
            gone=gone,
            setup=setup,
            auto_cancel=auto_cancel,
            default_branch=default_branch,
            definitions={key.lower(): canonical(slug) for key, slug in definitions.items()},
            now=now,
        )
        self._state = State(settings)
        self._recorder = Recorder()
        self._routes = (*v2.ROUTES, *v3.ROUTES, *v1_1.ROUTES, *control.routes(self._recorder))
        self._port = port
        self._server: Server | None = None

    def start(self) -> Self:
        """Listen; raises `OSError` if the port is taken."""
        if self._server is None:
            self._server = Server(self._port, self._answer, lambda: http_date(self._state.settings.now()))
        return self

    def stop(self) -> None:
        """Stop listening and end every connection; what was recorded stays readable."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address to use in place of https://circleci.com; no slash at the end."""
        if self._server is None:
            raise RuntimeError("the sandbox has not been started")
        return f"http://{LOOPBACK}:{self._server.server_port}"

    @property
    def requests(self) -> tuple[Recorded, ...]:
        """Every API request so far, in the order of arrival."""
        return self._recorder.entries()

    @property
    def runs(self) -> tuple[Run, ...]:
        """What triggers created, as it is now, oldest first."""
        return tuple(control.triggered(self._state))

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults that have not been used up."""
        return self._state.faults()

    def add_fault(self, fault: Fault) -> None:
        """Queue a fault; of several that meet a request the first is used."""
        self._state.add_fault(fault)

    def move(self, ref: str, revision: str) -> None:
        """Let a branch or tag point at another commit from now on; an empty one removes it."""
        self._state.move(ref, revision)

    def set_job(  # noqa: PLR0913 - the fields of one job, all but three optional
        self,
        project: str,
        number: int,
        *,
        parallel_runs: Sequence[str],
        status: str = "running",
        then: Sequence[JobState] = (),
        name: str = "build",
        pipeline_id: str = "",
        workflow_id: str = "",
    ) -> None:
        """Script a parallel job: one status per node now, and its later states in order."""
        states = (JobState(tuple(parallel_runs), status), *then)
        now = self._state.settings.now()
        job = ScriptedJob(
            canonical(project), number, name, states, now, pipeline_id=pipeline_id, workflow_id=workflow_id
        )
        self._state.set_job(job)

    def add_build(  # noqa: PLR0913 - the fields of one build, all but two optional
        self,
        pipeline_id: str,
        project_slug: str,
        *,
        workflow_id: str | None = None,
        workflow_name: str = "build",
        status: str = "running",
        jobs: Mapping[str, str] = NOTHING,
        numbers: Mapping[str, int] = MappingProxyType({}),
        branch: str | None = None,
        tag: str | None = None,
        revision: str | None = None,
        created: datetime | None = None,
        trigger: str = "webhook",
    ) -> None:
        """Put a build there as if a push had started it: the one in which the client's own step runs.

        `status` is the workflow's, `jobs` maps names to statuses; all of them stay as they are. The same
        pipeline id again adds another workflow. `created` is when it was created, not later than now: lists are
        in that order, and its number is the next one all the same. `trigger` may be `scheduled_pipeline`.
        Raises `ValueError`.
        """
        if trigger not in SEED_TRIGGERS:
            raise ValueError(f"`{trigger}` is not one of {', '.join(sorted(SEED_TRIGGERS))}")
        seed = BuildSeed(
            pipeline_id.lower(),
            canonical(project_slug),
            workflow_id.lower() if workflow_id else None,
            workflow_name,
            status,
            dict(jobs),
            dict(numbers),
            branch,
            tag,
            revision,
            trigger,
            created,
        )
        self._state.add_build(seed)

    def set_workflow(self, workflow_id: str, status: str) -> None:
        """Give a workflow a status from now on: any word, also one that nobody knows. Raises `LookupError`."""
        self._state.set_workflow(workflow_id.lower(), status)

    def rerun(self, workflow_id: str, outcome: str = "success") -> str:
        """Run a workflow again, as a person may; returns the id of the new one. Raises `LookupError`."""
        if outcome not in WORKFLOW_STATES:
            raise ValueError(f"`{outcome}` is not a state of a workflow")
        return self._state.rerun(workflow_id.lower(), outcome)

    def reset(self) -> None:
        """Forget everything but the settings."""
        self._state.reset()
        self._recorder.clear()

    def respond(  # noqa: PLR0913, PLR0917 - the parts of a request, and who sends it
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] = NOTHING,
        body: bytes = b"",
        client: Client = PATIENT,
    ) -> Reply:
        """Answer one request without a socket, whether or not it was started; for simulations.

        `path` is percent-encoded and has no query. What the socket would do to the answer is said in the reply:
        how late it comes (`delay`), and whether it is cut or does not come at all (`delivery`). Faults that wait
        before they handle the request do so by `client.wait`.
        """
        lower = {name.lower(): value for name, value in headers.items()}
        return self._answer(Request(method, path, query, lower, body), client)

    def _answer(self, request: Request, client: Client) -> Reply:
        if request.path.startswith("/sandbox/"):
            return self._dated(gate.answer(self._state, self._routes, request, client))
        key = self._recorder.begin(request, self._state.settings.now())
        reply = gate.answer(self._state, self._routes, request, client)
        self._recorder.finish(key, None if reply.delivery is Delivery.NONE else reply.status)
        return self._dated(reply)

    def _dated(self, reply: Reply) -> Reply:
        """Add the date of the moment at which the reply leaves."""
        leaves = self._state.settings.now() + timedelta(seconds=reply.delay)
        return replace(reply, headers=(*reply.headers, ("Date", http_date(leaves))))


def _check(projects: Sequence[str], workflows: Sequence[Workflow], parameters: Mapping[str, str] | None) -> None:
    """Refuse settings that could only puzzle later; raises `ValueError`."""
    for project in projects:
        if not is_slug(canonical(project)):
            raise ValueError(f"`{project}` is not a project slug such as gh/acme/shop")
    for outcome in (outcome for workflow in workflows for outcome in (workflow.outcome, *workflow.reruns)):
        if outcome not in WORKFLOW_STATES:
            raise ValueError(f"`{outcome}` is not a state of a workflow")
    for name, kind in (parameters or {}).items():
        if kind not in TYPES:
            raise ValueError(f"parameter `{name}` has the unknown type `{kind}`")
