"""Routes as data: which handler answers which request."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

from .faults import PLAIN, Twist
from .state import State, canonical
from .wire import Reply, Request, message

if TYPE_CHECKING:
    import re


class Family(enum.Enum):
    """Which API a route belongs to; that decides how it refuses."""

    V1_1 = "v1.1"
    V2 = "v2"
    V2_RUN = "v2-run"
    """The newest of v2's routes, with error texts of its own."""
    V2_ME = "v2-me"
    """v2's only route here that belongs to no project."""
    V3 = "v3"
    CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Call:
    """A request, what its path says (decoded), and what a fault makes of it."""

    request: Request
    args: Mapping[str, str]
    twist: Twist = PLAIN
    nodes: Mapping[int, str] = field(default_factory=dict)

    @property
    def project(self) -> str:
        """The project's slug with the provider in its short form."""
        return canonical(self.args["slug"])


Handler: TypeAlias = Callable[[State, Call], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of a route table; `pattern` is for the path as sent, percent-encoded."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler
    family: Family
    triggers: bool = False
    reads_job: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A route and what the path says."""

    route: Route
    args: Mapping[str, str]


def find(routes: Iterable[Route], request: Request) -> Match | Reply:
    """Find the route of a request, or say as the real one does that there is none."""
    others = set()
    for route in routes:
        match = route.pattern.fullmatch(request.path)
        if match and route.method == request.method:
            return Match(route, {name: unquote(text) for name, text in match.groupdict().items()})
        if match:
            others.add(route.method)
    if others:
        return message(405, "Method not allowed", ("Allow", ", ".join(sorted(others))))
    return message(404, "Not found")
