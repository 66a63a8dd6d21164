"""Pipelines and workflows as API v2 shows them when the fake clock starts, and an attempt to trigger beside them."""

from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from builds import PIPELINE, RUN, SHA, SHOP, environ, spec
from fakes import HOST, START, FakeServices, answer

from deploystep.app.options import Options
from deploystep.app.report import Report, TriggerEntry
from deploystep.app.run import planned
from deploystep.app.trigger import trigger_all
from deploystep.circleci.http import Response
from deploystep.core.deploy import Outcome, TriggerSpec
from deploystep.core.errors import Interrupted, ToolError

A, B = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
URL = "https://app.circleci.com/pipelines/gh/acme/shop"
ACCEPTED = answer(201, {"id": RUN, "number": 25, "state": "pending"})
LIST, TARGETS = "GET /shop/pipeline", "GET /deployer/pipeline"


def ago(seconds: float) -> str:
    """That many seconds before the fake clock starts."""
    return (START - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def pipeline(identity: str = A, number: int = 25, *, age: float | None = 3600.0, **changes: Any) -> dict[str, Any]:
    """A pipeline of this commit, triggered `age` seconds ago, but for `sha`, `ref`, `by`, `state`, `errors`."""
    said: dict[str, Any] = {"sha": SHA, "ref": {"branch": "main"}, "by": "api", "state": "created", "errors": ()}
    said |= changes
    body = {"id": identity, "number": number, "state": said["state"], "created_at": None if age is None else ago(age)}
    body["errors"] = [{"type": "config", "message": words} for words in said["errors"]]
    body |= {"trigger": {"type": said["by"]}} if said["by"] else {}
    return body | ({"vcs": {"revision": said["sha"], **said["ref"]}} if said["sha"] else {})


#: What the push of this commit made: the build that triggers is in it.
OWN = pipeline(PIPELINE, 24, by="webhook", age=4000.0)


def seen(identity: str = RUN, **changes: Any) -> Response:
    """The answer of who asks for that one pipeline."""
    return answer(200, pipeline(identity, **changes))


def listing(*found: dict[str, Any], following: str | None = None, date: datetime | None = START) -> Response:
    dated = {} if date is None else {"date": format_datetime(date, usegmt=True)}
    return answer(200, {"items": list(found), "next_page_token": following}, **dated)


def workflow(status: str, name: str = "deploy", **more: Any) -> dict[str, Any]:
    return {"name": name, "status": status, **more}


def setup(status: str, **more: Any) -> dict[str, Any]:
    return workflow(status, "setup", tag="setup", **more)


def workflows(*found: dict[str, Any] | str) -> Response:
    """The workflows of a pipeline, with the ids w0, w1 and so on; a word alone is the state of `deploy`."""
    items = [workflow(each) if isinstance(each, str) else each for each in found]
    return answer(200, {"items": [{"id": f"w{n}", **item} for n, item in enumerate(items)]})


def entry(of: TriggerSpec, outcome: Outcome = Outcome.NOT_SENT) -> TriggerEntry:
    return planned(of, of.project or SHOP, HOST, outcome)


#: The answers to a trigger and to the two looks that confirm it.
WHOLE = [ACCEPTED, seen(), workflows("running")]


def listed(*entries: Any) -> Response:
    """A reading of job 12 with its nodes: pairs of index and state, in this order."""
    runs = [{"index": e[0], "status": e[1]} if isinstance(e, tuple) else e for e in entries]
    return answer(200, {"number": 12, "status": "running", "parallel_runs": runs})


def nodes(*states: str) -> Response:
    return listed(*enumerate(states))


class Attempt:
    """One attempt to trigger these, begun by `run`; `raised` is what ended it. By default nothing is confirmed."""

    def __init__(
        self, transport: Any, *specs: TriggerSpec, remote: Any = None, committed: datetime | None = None,
        **options: Any,
    ) -> None:  # fmt: skip
        self.transport = transport
        self.options = Options("run", **{"confirm": 0.0, **options})
        self.services = FakeServices(transport, environ=environ(), remote=remote, committed=committed)
        self.clock, self.console = self.services.clock, self.services.console
        self.report = Report("run", is_dry=False)
        self.report.build = self.services.build
        self.report.triggers = [entry(each) for each in specs or (spec(),)]
        self.raised: BaseException | None = None

    def run(self) -> "Attempt":
        try:
            trigger_all(SHOP, self.options, self.services, self.report)
        except (ToolError, Interrupted) as error:
            self.raised = error
        return self

    @property
    def outcomes(self) -> list[Outcome]:
        return [each.outcome for each in self.report.triggers]

    @property
    def sent(self) -> int:
        """How many triggers left."""
        return sum(request.method == "POST" and request.body is not None for request in self.transport.sent)

    def fails(self, kind: type[ToolError], code: str) -> ToolError:
        """What was raised: of that kind, with that code, and with a next step."""
        error = self.raised
        assert isinstance(error, kind), error
        assert (error.code, bool(error.hints)) == (code, True)
        return error
