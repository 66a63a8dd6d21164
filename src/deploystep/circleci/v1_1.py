"""API v1.1: one job on a branch, at a given revision. CircleCI removes these triggers on 1 February 2027.

Sources: CircleCI's v1.1 reference, "Trigger a new job with a branch"; the v1.1 OpenAPI document, `triggerJobOnBranch`.
"""

from collections.abc import Mapping

from deploystep.circleci.answers import Asked, believe
from deploystep.circleci.wire import Json, Request, Response, message_of, segment
from deploystep.core.build import ProjectSlug
from deploystep.core.deploy import Created, TriggerSpec
from deploystep.core.errors import Refused
from deploystep.core.parameters import Scalar
from deploystep.core.retry import Repeat

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
    """The job that was created. A 200 without `build_num` is a refusal: failures can come that way."""
    body = believe(response, asked)
    match body:
        case {"build_num": int(number)}:
            return Created(None, number, _url(body, number, asked), revision=_revision(body))
        case _:
            words = message_of(response) or "no build_num in the answer"
            raise Refused(
                "refused",
                f"CircleCI answered {response.status} and started no job for rule '{asked.rule}': {words}",
                "API v1.1 cannot trigger jobs of a config that says version: 2.1; gate a workflow on a parameter"
                " and use workflow:",
            )


def _url(body: Mapping[str, Json], number: int, asked: Asked) -> str:
    url = body.get("build_url")
    return url if isinstance(url, str) and url else f"{asked.app}/pipelines/{asked.project}?job={number}"


def _revision(body: Mapping[str, Json]) -> str | None:
    revision = body.get("vcs_revision")
    return revision.lower() if isinstance(revision, str) and revision else None


def cancel_request(project: ProjectSlug, number: int) -> Request:
    """`POST …/:build_num/cancel`; cancelling twice does no harm."""
    return Request("POST", f"{_path(project)}/{number}/cancel", Repeat.FREELY)
