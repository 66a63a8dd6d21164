"""API v2: pipelines, their workflows and jobs, and the two ways to trigger a pipeline.

Sources: CircleCI's v2 OpenAPI document, operations `triggerPipelineRun`, `triggerPipeline`, `getPipelineById`,
`listPipelinesForProject`, `listWorkflowsByPipelineId`, `listWorkflowJobs`, `getJobDetails`, `cancelWorkflow`.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from deploystep.circleci.answers import Asked, believe, not_created
from deploystep.circleci.recent import Recent, recent_runs
from deploystep.circleci.wire import (
    Failure,
    Json,
    Page,
    Request,
    Response,
    Talk,
    body_of,
    every,
    every_page,
    identity_of,
    message_of,
    moment_of,
    number_of,
    objects,
    ref_of,
    revision_of,
    segment,
    text_of,
)
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.deploy import TriggerSpec
from deploystep.core.errors import NothingRuns
from deploystep.core.frozen import dataclass
from deploystep.core.retry import Repeat
from deploystep.core.runs import Created, NodeState, Run, WorkflowState

T = TypeVar("T")
_OK: Final = 200
_FORMING: Final = frozenset({"pending", "setup-pending", "setup"})


# Triggers


def run_request(spec: TriggerSpec, project: ProjectSlug) -> Request:
    """`POST …/pipeline/run`: config and checkout from the same branch or tag (it has no key for a revision)."""
    where = _where(spec.ref)
    body: dict[str, Json] = {"definition_id": spec.definition} if spec.definition else {}
    body |= {"config": where, "checkout": where}
    return _trigger(f"{_project_path(project)}/pipeline/run", body, spec)


def pipeline_request(spec: TriggerSpec, project: ProjectSlug) -> Request:
    """`POST …/pipeline`, for a CircleCI Server that has no `pipeline/run`."""
    return _trigger(f"{_project_path(project)}/pipeline", dict(_where(spec.ref)), spec)


def _trigger(path: str, body: dict[str, Json], spec: TriggerSpec) -> Request:
    if spec.parameters:
        body["parameters"] = dict(spec.parameters)
    return Request("POST", path, Repeat.ONLY_IF_NOT_RECEIVED, body)


def _where(ref: Branch | Tag) -> Mapping[str, str]:
    return {"tag": ref.name} if isinstance(ref, Tag) else {"branch": ref.name}


def _project_path(project: ProjectSlug) -> str:
    # three segments, each encoded on its own: a joined slug (%2F) is answered with 404
    return "/api/v2/project/" + "/".join(map(segment, (project.vcs, project.organization, project.project)))


def read_triggered(response: Response, asked: Asked) -> Created:
    """What was created. Raises NothingRuns, Refused or Uncertain where nothing certainly was."""
    body = believe(response, asked)
    if response.status == _OK and "id" not in body and message_of(response):
        raise NothingRuns(
            "skipped",
            f"CircleCI accepted the trigger of rule '{asked.rule}' and created nothing: {message_of(response)}",
            "a commit message with [skip ci] or [ci skip] stops API triggers too; push a commit without it",
        )
    match body:
        case {"id": str(pipeline), "number": number} if identity_of(pipeline) and number_of(number) is not None:
            return Created(pipeline, number, asked.run_url(number), text_of(body.get("state")) or "")
        case _:
            raise not_created(response, asked)


# Pipelines


def pipeline_by_id_request(pipeline: str) -> Request:
    """`GET /pipeline/{id}`."""
    return Request("GET", f"/api/v2/pipeline/{segment(pipeline)}", Repeat.FREELY)


def read_project(result: Response | Failure) -> ProjectSlug | None:
    """The project of a pipeline, from an answer to `GET /pipeline/{id}`; None where it does not tell."""
    slug = text_of((body_of(result) or {}).get("project_slug"))
    return ProjectSlug.parse(slug) if slug else None


def run(_asked: Asked, pipeline: str) -> Talk[Run | None]:
    """The pipeline; None where it cannot be read."""
    body = body_of((yield pipeline_by_id_request(pipeline)))
    return None if body is None else _run({"id": pipeline, **body})


def _run(body: Mapping[str, Json]) -> Run | None:
    identity, state, trigger = identity_of(body.get("id")), text_of(body.get("state")), body.get("trigger")
    if identity is None:
        return None
    kind = text_of(trigger.get("type")) if isinstance(trigger, dict) else None
    return Run(
        id=identity,
        number=number_of(body.get("number")),
        revision=_revision(body),
        ref=_ref(body),
        created=moment_of(body.get("created_at")),
        is_by_api=_BY_API.get(kind or ""),
        is_errored=state == "errored",
        is_forming=state in _FORMING,
        errors=tuple(words for e in objects(body.get("errors")) if (words := text_of(e.get("message")))),
    )


#: Of other words it is not known whether a trigger through the API made the run (v2 OpenAPI, Pipeline.trigger).
_BY_API: Final = {"api": True, "webhook": False, "scheduled_pipeline": False, "explicit": False}


def _revision(body: Mapping[str, Json]) -> str | None:
    """`vcs.revision`; where `vcs` is absent (GitHub App), what the trigger's parameters say was checked out."""
    return revision_of(_vcs(body).get("revision")) or revision_of(_git(body).get("checkout_sha"))


def _ref(body: Mapping[str, Json]) -> Branch | Tag | None:
    vcs, git = _vcs(body), _git(body)
    return ref_of(vcs.get("branch"), vcs.get("tag")) or ref_of(git.get("branch"), git.get("tag"))


def _vcs(body: Mapping[str, Json]) -> Mapping[str, Json]:
    match body:
        case {"vcs": dict(vcs)}:
            return vcs
        case _:
            return {}


def _git(body: Mapping[str, Json]) -> Mapping[str, Json]:
    match body:
        case {"trigger_parameters": {"git": dict(git)}}:
            return git
        case _:
            return {}


def recent(asked: Asked, enough: Callable[[tuple[Run, ...]], bool]) -> Talk[Recent | Response | Failure]:
    """The project's pipelines, newest first, as far back as `enough` wants; of a branch only that branch's."""
    return pipelines(asked.project, asked.ref, enough)


def pipelines(
    project: ProjectSlug, ref: Branch | Tag, enough: Callable[[tuple[Run, ...]], bool]
) -> Talk[Recent | Response | Failure]:
    """The same, of any project. There is no filter for tags, so for a tag the whole project's are read."""
    branch = {"branch": ref.name} if isinstance(ref, Branch) else {}

    def request(page: str | None) -> Request:
        query = {**branch, **({"page-token": page} if page else {})}
        return Request("GET", f"{_project_path(project)}/pipeline", Repeat.FREELY, query=query)

    return recent_runs(request, _read_pipelines, enough)


def _read_pipelines(result: Response | Failure) -> Page[Run] | None:
    return _read_page(result, _run)


# Workflows


def workflows_request(pipeline: str, page: str | None = None) -> Request:
    """`GET /pipeline/{id}/workflow`."""
    path = f"/api/v2/pipeline/{segment(pipeline)}/workflow"
    return Request("GET", path, Repeat.FREELY, query={"page-token": page} if page else {})


def workflows(_asked: Asked, pipeline: str) -> Talk[tuple[WorkflowState, ...] | None]:
    """Every workflow of the pipeline; None where they cannot be read."""
    return workflows_of(pipeline)


def workflows_of(pipeline: str) -> Talk[tuple[WorkflowState, ...] | None]:
    """The same, of any pipeline."""
    return every_page(lambda page: workflows_request(pipeline, page), read_workflows)


def read_workflows(result: Response | Failure) -> Page[WorkflowState] | None:
    """Read an answer to `GET /pipeline/{id}/workflow`; None where it is not one."""
    return _read_page(result, _workflow)


def _read_page(result: Response | Failure, read: Callable[[Mapping[str, Json]], T | None]) -> Page[T] | None:
    body = body_of(result) or {}
    items = every(body.get("items"), read)
    return None if items is None else Page(items, text_of(body.get("next_page_token")))


def _workflow(item: Mapping[str, Json]) -> WorkflowState | None:
    match item:
        case {"id": str(workflow), "name": str(name), "status": str(status)} if identity_of(workflow):
            most, done = number_of(item.get("max_auto_reruns")), number_of(item.get("auto_rerun_number"))
            return WorkflowState(
                workflow,
                name,
                status,
                is_setup=item.get("tag") == "setup",
                created=moment_of(item.get("created_at")),
                reruns_left=max(0, (most or 0) - (done or 0)),
                stopped=moment_of(item.get("stopped_at")),
            )
        case _:
            return None


def cancel(_asked: Asked, workflow: WorkflowState) -> Request:
    """`POST /workflow/{id}/cancel`; cancelling twice does no harm."""
    return Request("POST", f"/api/v2/workflow/{segment(workflow.id)}/cancel", Repeat.FREELY)


# Jobs


def jobs_request(workflow: str, page: str | None = None) -> Request:
    """`GET /workflow/{id}/job`."""
    path = f"/api/v2/workflow/{segment(workflow)}/job"
    return Request("GET", path, Repeat.FREELY, query={"page-token": page} if page else {})


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a workflow. `age` orders jobs of one name: one that has not started is newer than any that has."""

    name: str
    status: str
    age: tuple[bool, str, int]


def jobs(workflow: str) -> Talk[tuple[Job, ...] | None]:
    """Every job of a workflow; None where they cannot be read."""
    return every_page(lambda page: jobs_request(workflow, page), read_jobs)


def read_jobs(result: Response | Failure) -> Page[Job] | None:
    """Read an answer to `GET /workflow/{id}/job`; None where it is not one."""
    return _read_page(result, _job)


def _job(item: Mapping[str, Json]) -> Job | None:
    match item:
        case {"name": str(name), "status": str(status)}:
            started, number = item.get("started_at"), item.get("job_number")
            is_started = isinstance(started, str)
            return Job(name, status, (not is_started, str(started or ""), number if isinstance(number, int) else 0))
        case _:
            return None


def nodes_request(project: ProjectSlug, number: int) -> Request:
    """`GET /project/{slug}/job/{number}`: the job, with its nodes in `parallel_runs`."""
    return Request("GET", f"{_project_path(project)}/job/{number}", Repeat.FREELY)


def read_nodes(result: Response | Failure) -> tuple[NodeState, ...] | None:
    """The nodes of a job in the order of the answer; None where it does not list them."""
    return every((body_of(result) or {}).get("parallel_runs"), _node)


def _node(item: Mapping[str, Json]) -> NodeState | None:
    index = number_of(item.get("index"))
    return None if index is None else NodeState(index, text_of(item.get("status")) or "")
