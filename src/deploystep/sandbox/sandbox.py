"""The stand-in as one object: started, asked, told to misbehave, stopped."""

from __future__ import annotations

from datetime import datetime, timezone
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING

from . import control, gate, v1_1, v2
from .jobs import JobState, ScriptedJob
from .recorder import Recorded, Recorder
from .runs import WORKFLOW_STATES, BuildSeed, Pace, Run, Workflow
from .server import LOOPBACK, Connection, Server
from .state import TYPES, Settings, State, canonical, is_slug
from .wire import Delivery, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Self

    from .faults import Fault

NOTHING: Mapping[str, str] = MappingProxyType({})
USUAL_PACE = Pace()


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(timezone.utc)


class Sandbox:
    """A small CircleCI on loopback. Use it as a context manager, or call `start` and `stop`.

    `token` is the only good one; without it any token is good that does not start with `invalid`, and one
    that starts with `project` is a project token. `projects` are the slugs that exist, all if none is named.
    `heads` says which commit a branch or tag points at (empty: there is no such ref), `head_of` is asked for
    the rest. `workflows` is the imaginary config's list and `parameters` its declarations, name to type
    (None: any parameter is fine). With `gone`, v1.1's triggers answer 410 as they will from February 2027.
    `now` must return times with a zone.
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
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        _check(projects, workflows, parameters)
        known = frozenset(canonical(project) for project in projects)
        self._state = State(Settings(token, known, dict(heads), head_of, tuple(workflows), parameters, pace, gone, now))
        self._recorder = Recorder()
        self._routes = (*v2.ROUTES, *v1_1.ROUTES, *control.routes(self._recorder))
        self._port = port
        self._server: Server | None = None

    def start(self) -> Self:
        """Listen; raises `OSError` if the port is taken."""
        if self._server is None:
            self._server = Server(self._port, self._answer)
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

    def misbehave(self, fault: Fault) -> None:
        """Queue a fault; of several that meet a request the first is used."""
        self._state.misbehave(fault)

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
    ) -> None:
        """Put a build there as if a push had started it: the one in which the client's own step runs.

        `status` is the workflow's, `jobs` maps names to statuses; all of them stay as they are. The same
        pipeline id again adds another workflow.
        """
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
        )
        self._state.add_build(seed)

    def reset(self) -> None:
        """Forget everything but the settings."""
        self._state.reset()
        self._recorder.clear()

    def _answer(self, request: Request, client: Connection) -> Reply:
        if request.path.startswith("/sandbox/"):
            return gate.answer(self._state, self._routes, request, client)
        key = self._recorder.begin(request, self._state.settings.now())
        reply = gate.answer(self._state, self._routes, request, client)
        self._recorder.finish(key, None if reply.delivery is Delivery.NONE else reply.status)
        return reply


def _check(projects: Sequence[str], workflows: Sequence[Workflow], parameters: Mapping[str, str] | None) -> None:
    """Refuse settings that could only puzzle later; raises `ValueError`."""
    for project in projects:
        if not is_slug(canonical(project)):
            raise ValueError(f"`{project}` is not a project slug such as gh/acme/shop")
    for workflow in workflows:
        if workflow.outcome not in WORKFLOW_STATES:
            raise ValueError(f"`{workflow.outcome}` is not a state of a workflow")
    for name, kind in (parameters or {}).items():
        if kind not in TYPES:
            raise ValueError(f"parameter `{name}` has the unknown type `{kind}`")
