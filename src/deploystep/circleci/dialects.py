"""Which functions speak for which API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from deploystep.circleci import v1_1, v2
from deploystep.circleci.answers import Asked
from deploystep.circleci.wire import Request, Response
from deploystep.core.build import ProjectSlug
from deploystep.core.deploy import Created, TriggerSpec
from deploystep.core.rules import Api


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one API is asked to trigger, and how its answer is read."""

    trigger_request: Callable[[TriggerSpec, ProjectSlug], Request]
    read_triggered: Callable[[Response, Asked], Created]


DIALECTS: Final[Mapping[Api, Dialect]] = MappingProxyType(
    {
        Api.V2_RUN: Dialect(v2.run_request, v2.read_triggered),
        Api.V2_PIPELINE: Dialect(v2.pipeline_request, v2.read_triggered),
        Api.V1_1: Dialect(v1_1.job_request, v1_1.read_triggered),
    }
)
