"""API v1.1: one job on a branch, at a given revision. CircleCI removes these triggers on 1 February 2027.

Sources: CircleCI's v1.1 reference, "Trigger a new job with a branch", "Single job", "Recent builds"; the v1.1 OpenAPI
document, `triggerJobOnBranch`.
"""

from collections.abc import Callable, Mapping
from typing import Final

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
    list_of,
    message_of,
    moment_of,
    number_of,
    ref_of,
    revision_of,
    segment,
    text_of,
)
from deploystep.core.build import ProjectSlug
from deploystep.core.deploy import TriggerSpec
from deploystep.core.errors import Refused
from deploystep.core.parameters import Scalar
from deploystep.core.retry import Repeat
from deploystep.core.runs import Created, Run, WorkflowState

_PAGE: Final = 100  # v1.1 reference: the most that `limit` may be
_VCS = {"gh": "github", "bb": "bitbucket"}


def job_request(spec: TriggerSpec, project: ProjectSlug) -> Request:
    """`POST …/tree/BRANCH`: the branch is one path segment (`/` is %2F), the revision is pinned where it is ours."""
    body: dict[str, Json] = {"revision": spec.revision} if spec.revision else {}
    parameters = {"CIRCLE_JOB": spec.job, **{key: _text(value) for key, value in spec.parameters.items()}}
    body["build_parameters"] = parameters
    return Request("POST", f"{_path(project)}/tree/{segment(spec.ref.name)}", Repeat.ONLY_IF_NOT_RECEIVED, body)


def _text(value: Scalar) -> str:
    """Build parameters become environment variables: texts, with booleans as JSON writes them."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _path(project: ProjectSlug) -> str:
    vcs = _VCS.get(project.vcs, project.vcs)
    return "/api/v1.1/project/" + "/".join(map(segment, (vcs, project.organization, project.project)))


def read_triggered(response: Response, asked: Asked) -> Created:
    """The job that was created. A 200 with words and no `build_num` is a refusal: failures can come that way."""
    body = believe(response, asked)
    number, words = number_of(body.get("build_num")), message_of(response)
    if number is not None:
        return Created(None, number, _url(body, number, asked), revision=_revision(body))
    if response.status != 200 or not words:  # noqa: PLR2004
        raise not_created(response, asked)
    raise Refused(
        "refused",
        f"CircleCI answered {response.status} and started no job for rule '{asked.rule}': {words}",
        "API v1.1 cannot trigger jobs of a config that says version: 2.1; gate a workflow on a parameter"
        " and use workflow:",
    )


def _url(body: Mapping[str, Json], number: int, asked: Asked) -> str:
    told = text_of(body.get("build_url")) or ""
    return told if told.startswith("https://") else asked.run_url(number)


def _revision(body: Mapping[str, Json]) -> str | None:
    return revision_of(body.get("vcs_revision"))


def build_request(project: ProjectSlug, number: str) -> Request:
    """`GET …/:build_num`."""
    return Request("GET", f"{_path(project)}/{segment(number)}", Repeat.FREELY)


def run(asked: Asked, number: str) -> Talk[Run | None]:
    """The job, seen as a run; None where it cannot be read."""
    body = _body((yield build_request(asked.project, number)))
    return None if body is None else _run(body)


def workflows(asked: Asked, number: str) -> Talk[tuple[WorkflowState, ...] | None]:
    """The job, seen as the one workflow of its run; None where it cannot be read."""
    body = _body((yield build_request(asked.project, number)))
    return None if body is None else (_workflow(body),)


def _body(result: Response | Failure) -> Mapping[str, Json] | None:
    body = body_of(result)
    return body if body is not None and number_of(body.get("build_num")) is not None else None


def _run(body: Mapping[str, Json]) -> Run | None:
    number = number_of(body.get("build_num"))
    if number is None:
        return None
    return Run(
        id=str(number),
        number=number,
        revision=_revision(body),
        ref=ref_of(body.get("branch"), body.get("vcs_tag")),
        created=moment_of(body.get("queued_at")) or moment_of(body.get("usage_queued_at")),
        is_by_api=_is_by_api(body),
    )


def _is_by_api(body: Mapping[str, Json]) -> bool | None:
    # a job of a workflow was started by that workflow, whoever started the workflow
    if body.get("workflows"):
        return False
    return _BY_API.get(text_of(body.get("why")) or "")


#: The words of `why`; the reference shows `edit` for what recorded answers call `api`.
_BY_API: Final = {"api": True, "edit": True, "github": False, "bitbucket": False}


def _workflow(body: Mapping[str, Json]) -> WorkflowState:
    status = text_of(body.get("outcome")) or text_of(body.get("status")) or ""
    return WorkflowState(str(body.get("build_num")), _job(body), _WORDS.get(status, status))


def _job(body: Mapping[str, Json]) -> str:
    match body:
        case {"job_name": str(name)} | {"workflows": {"job_name": str(name)}} if name:
            return name
        case {"build_parameters": {"CIRCLE_JOB": str(name)}}:
            return name
        case _:
            return ""


#: Words of v1.1 for an end that is a success (v1.1 reference, "Build status").
_WORDS: Final = {"fixed": "success", "no_tests": "success"}


def recent(asked: Asked, enough: Callable[[tuple[Run, ...]], bool]) -> Talk[Recent | Response | Failure]:
    """The branch's jobs, newest first (`GET …/tree/:branch`); those that wait to start may be missing."""

    def request(offset: str | None) -> Request:
        query = {"limit": str(_PAGE), "shallow": "true", **({"offset": offset} if offset else {})}
        return Request("GET", f"{_path(asked.project)}/tree/{segment(asked.ref.name)}", Repeat.FREELY, query=query)

    pages = _Pages()
    return recent_runs(request, pages.read, enough)


class _Pages:
    """Pages by offset: a full one may have another after it."""

    def __init__(self) -> None:
        self._read = 0

    def read(self, result: Response | Failure) -> Page[Run] | None:
        runs = every(list_of(result), _run)
        if runs is None:
            return None
        self._read += len(runs)
        return Page(runs, str(self._read) if len(runs) >= _PAGE else None)


def cancel(asked: Asked, workflow: WorkflowState) -> Request:
    """`POST …/:build_num/cancel`; cancelling twice does no harm."""
    return Request("POST", f"{_path(asked.project)}/{segment(workflow.id)}/cancel", Repeat.FREELY)
