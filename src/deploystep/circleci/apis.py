"""The API versions behind one interface: each triggers, shows what was created, lists what there is, and cancels."""

from typing import TYPE_CHECKING, Any, TypeAlias

from deploystep.circleci.http import Request, project_path, segment
from deploystep.core.build import ProjectSlug, Tag
from deploystep.core.deploy import TriggerSpec
from deploystep.core.retry import Repeat
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created

if TYPE_CHECKING:  # a dry run needs none of them
    from deploystep.circleci.client import Client
    from deploystep.circleci.errors import TriggerContext
    from deploystep.circleci.v2 import V2

#: One API version, for the project and ref of one trigger. A run is asked for by its `run_key`.
Api: TypeAlias = "V2"


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


def api_for(client: "Client", context: "TriggerContext") -> Api:
    """The API version of this trigger; those other than v2 are imported only where one of them is used."""
    from deploystep.circleci import v2  # noqa: PLC0415

    if context.api not in (ApiVersion.V1_1, ApiVersion.V3):
        return v2.V2(client, context)
    from deploystep.circleci import v1_1, v3  # noqa: PLC0415

    return v3.V3(client, context) if context.api is ApiVersion.V3 else v1_1.V1Job(client, context)


def run_key(created: Created) -> str:
    """What a run is asked for by: its id, or for a job of API v1.1 its number."""
    return created.id if created.id is not None else str(created.number)
