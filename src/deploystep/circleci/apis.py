"""The API versions behind one interface: each triggers, shows what was created, lists what there is, and cancels."""

from typing import TypeAlias

from deploystep.circleci.client import Client
from deploystep.circleci.context import TriggerContext
from deploystep.circleci.http import Request
from deploystep.circleci.v1_1 import V1Job, job_request
from deploystep.circleci.v2 import V2, pipeline_request, pipeline_run_request
from deploystep.circleci.v3 import V3, run_request
from deploystep.core.build import ProjectSlug
from deploystep.core.deploy import TriggerSpec
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created

__all__ = ["Api", "TriggerContext", "api_for", "run_key", "trigger_request"]


#: One API version, for the project and ref of one trigger. A run is asked for by its `run_key`.
Api: TypeAlias = V2 | V3 | V1Job


def trigger_request(spec: TriggerSpec, project: ProjectSlug) -> Request:
    """The one request that triggers the deploy; it is never repeated once it may have been received."""
    if spec.api is ApiVersion.V3:
        return run_request(spec)
    make = {
        ApiVersion.V2_RUN: pipeline_run_request,
        ApiVersion.V2_PIPELINE: pipeline_request,
        ApiVersion.V1_1: job_request,
    }
    return make[spec.api](spec, project)


def api_for(client: Client, context: TriggerContext) -> Api:
    """The API version of this trigger."""
    if context.api is ApiVersion.V3:
        return V3(client, context)
    return V1Job(client, context) if context.api is ApiVersion.V1_1 else V2(client, context)


def run_key(created: Created) -> str:
    """What a run is asked for by: its id, or for a job of API v1.1 its number."""
    return created.id if created.id is not None else str(created.number)
