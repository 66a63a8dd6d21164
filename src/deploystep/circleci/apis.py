"""The API versions: the request that triggers by each, and the class that reads, looks back and cancels by each."""

from typing import TYPE_CHECKING, Any

from deploystep.circleci.http import Request, project_path, segment
from deploystep.core.build import ProjectSlug, Tag
from deploystep.core.deploy import TriggerSpec
from deploystep.core.retry import Repeat
from deploystep.core.rules import ApiVersion

if TYPE_CHECKING:
    from deploystep.circleci.client import Client
    from deploystep.circleci.errors import TriggerContext
    from deploystep.circleci.v2 import Api
    from deploystep.core.runs import Created


def trigger_request(spec: TriggerSpec, project: ProjectSlug) -> Request:
    """The one request that triggers the deploy; it is never repeated once it may have been received."""
    # config and checkout come from one place; neither v2 nor v3 has a key for a revision
    where: dict[str, Any] = {"tag" if isinstance(spec.ref, Tag) else "branch": spec.ref.name}
    parameters = {"parameters": dict(spec.parameters)} if spec.parameters else {}
    # v2 OpenAPI, `triggerPipelineRun`, and for a CircleCI Server that lacks it `triggerPipeline`
    path = f"{project_path(project)}/pipeline/run"
    body: dict[str, Any] = {"config": where, "checkout": where, **parameters}
    if spec.api is ApiVersion.V2_PIPELINE:
        path, body = f"{project_path(project)}/pipeline", where | parameters
    elif spec.api is ApiVersion.V3:
        # the pipeline definition stands for the project
        path, body = "/api/v3/runs", {"data": {"attributes": body, "references": {"pipeline": {"id": spec.definition}}}}
    elif spec.api is ApiVersion.V1_1:
        # the branch is one path segment (`/` is %2F), the revision is pinned where it is ours; build parameters become
        # environment variables: texts, with booleans as JSON writes them
        path = f"{project_path(project, 'v1.1')}/tree/{segment(spec.ref.name)}"
        texts = {key: str(v).lower() if isinstance(v, bool) else str(v) for key, v in spec.parameters.items()}
        body = {"revision": spec.revision} if spec.revision else {}
        body["build_parameters"] = {"CIRCLE_JOB": spec.job, **texts}
    elif spec.definition:
        body["definition_id"] = spec.definition
    return Request("POST", path, Repeat.ONLY_IF_NOT_RECEIVED, body)


def api_for(client: "Client", context: "TriggerContext") -> "Api":
    """The API version of this trigger."""
    if context.api is ApiVersion.V1_1:
        from deploystep.circleci.v1_1 import V1Job  # noqa: PLC0415 - few name another version than v2

        return V1Job(client, context)
    if context.api is ApiVersion.V3:
        from deploystep.circleci.v3 import V3  # noqa: PLC0415 - as above

        return V3(client, context)
    from deploystep.circleci.v2 import V2  # noqa: PLC0415 - a dry run plans requests, and sends none

    return V2(client, context)


def run_key(created: "Created") -> str:
    """What a run is asked for by: its id, or for a job of API v1.1 its number."""
    return created.id if created.id is not None else str(created.number)
