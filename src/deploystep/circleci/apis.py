"""The API versions behind one interface: each triggers, shows what was created, lists what there is, and cancels."""

from collections.abc import Callable
from typing import Protocol

from deploystep.circleci.client import Client, Recent
from deploystep.circleci.context import TriggerContext
from deploystep.circleci.http import Failure, Request, Response
from deploystep.circleci.v1_1 import V1Job, job_request
from deploystep.circleci.v2 import V2, pipeline_request, pipeline_run_request
from deploystep.circleci.v3 import V3, run_request
from deploystep.core.build import ProjectSlug
from deploystep.core.deploy import TriggerSpec
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created, Run, WorkflowState

__all__ = ["Api", "TriggerContext", "api_for", "run_key", "trigger_request"]


class Api(Protocol):
    """One API version, for the project and ref of one trigger. A run is asked for by its `run_key`."""

    context: TriggerContext
    client: Client

    def read_created(self, response: Response) -> Created:
        """What the trigger created. Raises NothingRuns, Refused or Uncertain where nothing certainly was."""

    def run(self, run_id: str) -> Run | None:
        """The run; None where it cannot be read."""

    def workflows(self, run_id: str) -> tuple[WorkflowState, ...] | None:
        """Every workflow of the run; None where they cannot be read."""

    def recent(self, enough: Callable[[tuple[Run, ...]], bool]) -> Recent | Response | Failure:
        """The runs there are, newest first, as far back as `enough` wants; where unreadable, what came instead."""

    def details(self, run: Run) -> Run:
        """The run with what a list may leave out (revision, is_by_api, number), as far as it can be learned."""

    def compiled_config(self, run_id: str) -> str | None:
        """The run's compiled configuration; empty until it has been compiled, None where it cannot be read."""

    def jobs_not_run(self, workflow: WorkflowState) -> tuple[str, ...] | None:
        """Names of the workflow's jobs that were skipped (`not_run`); None where its jobs cannot be read."""

    def cancel(self, workflow: WorkflowState) -> bool:
        """Ask for its end; whether CircleCI accepted that. Cancelling twice does no harm."""


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
