"""What CircleCI answers, written by hand after its reference: neither the client nor the sandbox is asked."""

from collections.abc import Mapping, Sequence
from typing import Any

from acceptance.process import Ended, Project
from acceptance.server import Answer, ScriptedServer
from builds import PIPELINE, RUN, SHA

Routes = Mapping[str, Answer | Sequence[Answer]]
DATE = {"Date": "Tue, 16 Jun 2026 08:00:00 GMT"}
SHOP = "/api/v2/project/gh/acme/shop"
LIST, POST = f"GET {SHOP}/pipeline", f"POST {SHOP}/pipeline/run"
JOB = f"GET {SHOP}/job/12"
NEW = f"GET /api/v2/pipeline/{RUN}"
MINE = f"GET /api/v2/pipeline/{PIPELINE}"
CREATED = Answer(201, {"id": RUN, "number": 25, "state": "pending", "created_at": "2026-06-16T08:00:00Z"})
NO = Answer(403, {"message": "no"})
LOST = Answer(closes=True)


def pipeline(identity: str = RUN, created: str = "2026-06-16T08:00:00Z", **changes: Any) -> dict[str, Any]:
    """A pipeline of main at this commit that the API started."""
    usual = {"id": identity, "number": 25, "state": "created", "created_at": created, "errors": []}
    return {**usual, "trigger": {"type": "api"}, "vcs": {"revision": SHA, "branch": "main"}, **changes}


def read(item: object) -> Answer:
    """The answer to a request for one thing."""
    return Answer(200, item, DATE)


def page(*items: object) -> Answer:
    """The answer to a request for a list; this is all of it."""
    return read({"items": items, "next_page_token": None})


#: The pipeline that the build itself is in.
OWN = pipeline(PIPELINE, "2026-06-16T07:00:00Z", trigger={"type": "webhook"})


def workflows(**states: str) -> Answer:
    """Workflows by name."""
    return page(*({"id": f"w-{name}", "name": name, "status": status} for name, status in states.items()))


def nodes(*states: str) -> Answer:
    """The nodes of the build's own job."""
    return read({"number": 12, "parallel_runs": [{"index": n, "status": s} for n, s in enumerate(states)]})


def created_run(**states: str) -> dict[str, Answer | Sequence[Answer]]:
    """Routes for a trigger that is accepted, and of whose run these are the workflows."""
    own = {LIST: page(OWN), MINE: read(OWN)}
    return {**own, POST: CREATED, NEW: read(pipeline()), f"{NEW}/workflow": workflows(**states)}


def step(project: Project, routes: Routes, *arguments: str, **variables: str | None) -> tuple[Ended, ScriptedServer]:
    """What a step that does not really wait has come to, and the server that it spoke with."""
    with ScriptedServer({MINE: read(OWN), **routes}) as server:
        variables = {**project.without_waits(), "DEPLOYSTEP_HOST": server.url, **variables}
        return project.step(None, *arguments, **variables), server
