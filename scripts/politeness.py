"""How often a step that waits asks CircleCI: the product's own waits, in time that only they let pass."""

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from deploystep.app.guards import wait_for_nodes
from deploystep.app.report import Report, TriggerEntry
from deploystep.app.trigger import Watched
from deploystep.circleci.apis import api_for, trigger_request
from deploystep.circleci.client import Client
from deploystep.circleci.errors import TriggerContext
from deploystep.circleci.http import Failure, Request, Response
from deploystep.core.build import Branch, BuildContext, ProjectSlug
from deploystep.core.deploy import Outcome, TriggerSpec
from deploystep.core.errors import TimedOut
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created

SHOP = ProjectSlug("gh", "acme", "shop")
ENVIRON = {
    "CIRCLECI": "true",
    "CIRCLE_BRANCH": "main",
    "CIRCLE_BUILD_NUM": "57",
    "CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/shop/57",
    "CIRCLE_NODE_INDEX": "0",
    "CIRCLE_NODE_TOTAL": "4",
    "CIRCLE_PROJECT_REPONAME": "shop",
    "CIRCLE_PROJECT_USERNAME": "acme",
    "CIRCLE_SHA1": "1" * 40,
}
BEGIN = datetime(2026, 6, 16, 8, tzinfo=timezone.utc)
BUILDS = 100
_FIRST_MINUTE = 60.0
NODES = {"number": 57, "parallel_runs": [{"index": index, "status": "running"} for index in range(4)]}
WORKFLOWS = {"items": [{"id": "w", "name": "deploy", "status": "running"}], "next_page_token": None}


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    luck: random.Random
    passed: float = 0.0

    def now(self) -> datetime:
        """The time of day."""
        return BEGIN + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        """Seconds since the beginning."""
        return self.passed

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.passed += seconds

    def chance(self) -> float:
        """A number from 0 up to 1."""
        return self.luck.random()


@dataclass
class Unchanging:
    """A CircleCI in which everything goes on for ever; `asked` is when it was asked, in seconds."""

    clock: Clock
    answer: object
    host: str = "https://circleci.com"
    asked: list[float] = field(default_factory=list)

    def send(self, request: Request) -> Response | Failure:
        """The same answer every time."""
        del request
        self.asked.append(self.clock.passed)
        return Response(200, {}, json.dumps(self.answer).encode())


class Silent:
    """Nobody is told anything."""

    def info(self, text: str) -> None:
        """Nothing."""

    detail = alive = warning = info


@dataclass(frozen=True)
class Calls:
    """The most calls of one of many builds that begin at once, and the most in one second of all of them together."""

    of_one: int
    in_a_second: int


def of_nodes(minutes: int) -> Calls:
    """A wait for nodes that do not end."""
    return _of_all([_asked_for_nodes(seed, minutes * 60.0) for seed in range(BUILDS)], minutes * 60.0)


def of_wait(minutes: int) -> Calls:
    """A `--wait` for a workflow that does not end."""
    return _of_all([_asked_for_workflows(seed, minutes * 60.0) for seed in range(BUILDS)], minutes * 60.0)


def _of_all(builds: list[list[float]], limit: float) -> Calls:
    between = (moment for asked in builds for moment in asked if _FIRST_MINUTE < moment < limit)
    return Calls(max(map(len, builds)), max(Counter(map(int, between)).values()))


class Waiting:
    """One build that waits, as far as a wait uses the outside; `circleci` notes what it asks."""

    def __init__(self, seed: int, answer: object) -> None:
        clock = Clock(random.Random(seed))  # noqa: S311 - it spreads waits
        self.build = BuildContext.from_environ(ENVIRON)
        self.circleci = Unchanging(clock, answer)
        self._client = Client(self.circleci, clock, Silent())

    def client(self) -> Client:
        """The way to CircleCI."""
        return self._client


def _asked_for_nodes(seed: int, limit: float) -> list[float]:
    waiting = Waiting(seed, NODES)
    try:
        wait_for_nodes(SHOP, limit, waiting, Report("run"))  # type: ignore[arg-type]
    except TimedOut:
        return waiting.circleci.asked
    raise AssertionError("nodes that do not end have ended")


def _asked_for_workflows(seed: int, limit: float) -> list[float]:
    waiting = Waiting(seed, WORKFLOWS)
    client, host = waiting.client(), waiting.circleci.host
    spec = TriggerSpec("production", ApiVersion.V2_RUN, None, Branch("main"), "0" * 40, None, None, "deploy", {})
    context = TriggerContext("production", SHOP, spec.ref, spec.api, host, host, "CIRCLE_TOKEN", has_parameters=False)
    entry = TriggerEntry(spec, host, trigger_request(spec, SHOP), Outcome.TRIGGERED)
    created = Created("run", 1, "https://app.circleci.com")
    try:
        Watched(entry, created, api_for(client, context)).follow(limit)
    except TimedOut:
        return waiting.circleci.asked
    raise AssertionError("a workflow that does not end has ended")
