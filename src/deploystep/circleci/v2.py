"""API v2: pipelines, their workflows, and the two ways to trigger one.

Sources: CircleCI's v2 OpenAPI document, operations `triggerPipelineRun`, `triggerPipeline`, `getPipelineById`,
`listWorkflowsByPipelineId`, `cancelWorkflow`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from deploystep.circleci.answers import Asked, believe, not_created
from deploystep.circleci.wire import Failure, Json, Request, Response, json_of, message_of, segment
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.deploy import Created, TriggerSpec, WorkflowState
from deploystep.core.errors import NothingRuns
from deploystep.core.retry import Repeat

_CREATED = 201


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
    if response.status != _CREATED and "id" not in body and message_of(response):
        raise NothingRuns(
            "skipped",
            f"CircleCI accepted the trigger of rule '{asked.rule}' and created nothing: {message_of(response)}",
            "a commit message with [skip ci] or [ci skip] stops API triggers too; push a commit without it",
        )
    created = _created(body, asked)
    if created is None:
        raise not_created(response, asked)
    return created


def _created(body: Mapping[str, Json], asked: Asked) -> Created | None:
    match body:
        case {"id": str(pipeline), "number": int(number)} if pipeline and pipeline.isascii() and number is not True:
            state = body.get("state")
            url = f"{asked.app}/pipelines/{asked.project}/{number}"
            return Created(pipeline, number, url, state if isinstance(state, str) else "")
        case _:
            return None


def pipeline_by_id_request(pipeline: str) -> Request:
    """`GET /pipeline/{id}`."""
    return Request("GET", f"/api/v2/pipeline/{segment(pipeline)}", Repeat.FREELY)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline as read back. `revision` is None where the answer has none."""

    project: ProjectSlug | None
    state: str
    errors: tuple[str, ...]
    revision: str | None


def read_pipeline(result: Response | Failure) -> Pipeline | None:
    """Read an answer to `GET /pipeline/{id}`; None where it is not one."""
    body = _body(result)
    if body is None:
        return None
    slug, state, errors = body.get("project_slug"), body.get("state"), body.get("errors")
    return Pipeline(
        project=ProjectSlug.parse(slug) if isinstance(slug, str) else None,
        state=state if isinstance(state, str) else "",
        errors=tuple(e["message"] for e in _objects(errors) if isinstance(e.get("message"), str)),
        revision=_revision(body),
    )


def _body(result: Response | Failure) -> Mapping[str, Json] | None:
    if isinstance(result, Failure) or result.status != 200:  # noqa: PLR2004
        return None
    return json_of(result)


def _revision(body: Mapping[str, Json]) -> str | None:
    """`vcs.revision`; where `vcs` is absent (GitHub App), what the trigger's parameters say was checked out."""
    match body:
        case {"vcs": {"revision": str(revision)}} | {"trigger_parameters": {"git": {"checkout_sha": str(revision)}}}:
            return revision.lower() or None
        case _:
            return None


def workflows_request(pipeline: str, page: str | None = None) -> Request:
    """`GET /pipeline/{id}/workflow`."""
    path = f"/api/v2/pipeline/{segment(pipeline)}/workflow"
    return Request("GET", path, Repeat.FREELY, query={"page-token": page} if page else {})


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a pipeline's workflows, and the token of the next."""

    workflows: tuple[WorkflowState, ...]
    following: str | None


def read_workflows(result: Response | Failure) -> Page | None:
    """Read an answer to `GET /pipeline/{id}/workflow`; None where it is not one."""
    body = _body(result)
    if body is None:
        return None
    found = (_workflow(item) for item in _objects(body.get("items")))
    following = body.get("next_page_token")
    return Page(tuple(w for w in found if w), following if isinstance(following, str) and following else None)


def _workflow(item: Mapping[str, Json]) -> WorkflowState | None:
    match item:
        case {"id": str(workflow), "name": str(name), "status": str(status)}:
            return WorkflowState(workflow, name, status, is_setup=item.get("tag") == "setup")
        case _:
            return None


def _objects(value: Json) -> list[Mapping[str, Json]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


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


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of a workflow's jobs, and the token of the next."""

    jobs: tuple[Job, ...]
    following: str | None


def read_jobs(result: Response | Failure) -> JobPage | None:
    """Read an answer to `GET /workflow/{id}/job`; None where it is not one."""
    body = _body(result)
    if body is None or not isinstance(body.get("items"), list):
        return None
    found = (_job(item) for item in _objects(body.get("items")))
    following = body.get("next_page_token")
    return JobPage(tuple(j for j in found if j), following if isinstance(following, str) and following else None)


def _job(item: Mapping[str, Json]) -> Job | None:
    match item:
        case {"name": str(name), "status": str(status)}:
            started, number = item.get("started_at"), item.get("job_number")
            is_started = isinstance(started, str)
            return Job(name, status, (not is_started, str(started or ""), number if isinstance(number, int) else 0))
        case _:
            return None


def cancel_request(workflow: str) -> Request:
    """`POST /workflow/{id}/cancel`; cancelling twice does no harm."""
    return Request("POST", f"/api/v2/workflow/{segment(workflow)}/cancel", Repeat.FREELY)
