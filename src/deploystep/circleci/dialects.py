"""Which functions speak for which API."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, TypeAlias

from deploystep.circleci import v1_1, v2, v3
from deploystep.circleci.answers import Asked
from deploystep.circleci.recent import Recent
from deploystep.circleci.wire import Failure, Request, Response, Talk
from deploystep.core.build import ProjectSlug
from deploystep.core.deploy import TriggerSpec
from deploystep.core.frozen import dataclass, replace
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created, Run, WorkflowState

Enough: TypeAlias = Callable[[tuple[Run, ...]], bool]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one API is asked to trigger, to show what was created, to list what there is, and to cancel.

    A run is asked for by its `identity`. `recent` takes the time for APIs that search by time.
    """

    trigger_request: Callable[[TriggerSpec, ProjectSlug], Request]
    read_triggered: Callable[[Response, Asked], Created]
    run: Callable[[Asked, str], Talk[Run | None]]
    workflows: Callable[[Asked, str], Talk[tuple[WorkflowState, ...] | None]]
    recent: Callable[[Asked, Enough, datetime], Talk[Recent | Response | Failure]]
    cancel: Callable[[Asked, WorkflowState], Request]


def _v2(trigger_request: Callable[[TriggerSpec, ProjectSlug], Request]) -> Dialect:
    def recent(asked: Asked, enough: Enough, _now: datetime) -> Talk[Recent | Response | Failure]:
        return v2.recent(asked, enough)

    return Dialect(trigger_request, v2.read_triggered, v2.run, v2.workflows, recent, v2.cancel)


def _v1_1_recent(asked: Asked, enough: Enough, _now: datetime) -> Talk[Recent | Response | Failure]:
    return v1_1.recent(asked, enough)


DIALECTS: Final[Mapping[ApiVersion, Dialect]] = MappingProxyType(
    {
        ApiVersion.V2_RUN: _v2(v2.run_request),
        ApiVersion.V2_PIPELINE: _v2(v2.pipeline_request),
        ApiVersion.V3: Dialect(v3.run_request, v3.read_triggered, v3.run, v3.workflows, v3.recent, v3.cancel),
        ApiVersion.V1_1: Dialect(
            v1_1.job_request, v1_1.read_triggered, v1_1.run, v1_1.workflows, _v1_1_recent, v1_1.cancel
        ),
    }
)


def identity(created: Created) -> str:
    """What a run is asked for by: its id, or for a job of API v1.1 its number."""
    return created.id if created.id is not None else str(created.number)


def told(asked: Asked, run: Run) -> Talk[Run | None]:
    """The run with how it was triggered; where a list does not tell, v2 does by the same id. None where it does not."""
    if run.is_by_api is not None:
        return run
    if asked.api is ApiVersion.V1_1:
        return None  # a job's number is no id of v2
    known = yield from v2.run(asked, run.id)
    if known is None or known.is_by_api is None:
        return None
    return replace(run, is_by_api=known.is_by_api, number=run.number or known.number)
