"""The server's own routes, for other processes on the same machine: what was asked, and what to do wrong next.

They need no token, are not recorded, and speak JSON: `GET /sandbox/requests`, `GET /sandbox/runs`,
`GET /sandbox/faults`, and `POST` of faults, heads, configs, jobs, builds, workflows and reset.
"""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime

from .bodies import Reader, decoded, integer, list_of, map_of, members, moment, number, string, uuid
from .faults import parse_fault
from .messages import Call, JsonValue, RefusedError, Reply, stamp
from .routes import Route
from .state import JobState, Run
from .store import Store

STATE = {"parallel_runs!": list_of(string), "status": string, "after_polls": integer, "after_seconds": number}
JOB = {"project!": string, "number!": integer}
WORKFLOW = members({"id!": uuid, "status!": string})
BUILD = {
    "pipeline_id!": uuid,
    "project!": string,
    "workflow_id": uuid,
    "workflow_name": string,
    "status": string,
    "jobs": map_of(string),
    "branch": string,
    "tag": string,
    "revision": string,
    "created": moment,
    "trigger": string,
}


def _add_faults(store: Store, body: JsonValue) -> None:
    """Queue all of them or, if one is wrong, none."""
    texts = [*body.get("faults", ()), *([body["fault"]] if "fault" in body else [])]
    if not texts:
        raise ValueError('expected {"fault": "text"} or {"faults": ["text", ...]}')
    for fault in [parse_fault(text) for text in texts]:
        store.add_fault(fault)


def _set_job(store: Store, body: JsonValue) -> None:
    then = [JobState(**{**state, "parallel_runs": tuple(state["parallel_runs"])}) for state in body.get("then", ())]
    store.set_job(**{**body, "then": then})


def _for_each(act: Callable[[Store, str, str], None]) -> Callable[[Store, JsonValue], None]:
    def each(store: Store, body: JsonValue) -> None:
        for name, text in body.items():
            act(store, name, text)

    return each


def _shown(run: Run) -> JsonValue:
    workflows = [{"id": w.id, "name": w.name, "status": w.status, "jobs": w.jobs} for w in run.workflows]
    return {**asdict(run), "workflows": workflows}


def _as_json(value: JsonValue) -> JsonValue:
    def plain(entry: JsonValue) -> JsonValue:
        return stamp(entry) if isinstance(entry, datetime) else asdict(entry)

    return json.loads(json.dumps(value, default=plain))


def _reading(name: str, show: Callable[[Store], JsonValue]) -> Route:
    pattern = re.compile(f"/sandbox/{name}")
    return Route("GET", pattern, lambda store, _call: Reply(200, {name: _as_json(show(store))}))


def _change(name: str, shape: Reader, act: Callable[[Store, JsonValue], None]) -> Route:
    """Answer with the body as it was understood, or say why it cannot be."""

    def handle(store: Store, call: Call) -> Reply:
        body = shape(decoded(call.request.body or b"{}"), "")
        try:
            act(store, body)
        except (LookupError, ValueError) as error:
            raise RefusedError(400, str(error)) from error
        return Reply(200, _as_json(body))

    return Route("POST", re.compile(f"/sandbox/{name}"), handle)


ROUTES = (
    _reading("requests", lambda store: store.requests),
    _reading("runs", lambda store: [_shown(run) for run in store.runs]),
    _reading("faults", lambda s: [{n: getattr(f, n) for n in ("kind", "method", "path", "count")} for f in s.faults]),
    _change("faults", members({"fault": string, "faults": list_of(string)}), _add_faults),
    _change("heads", map_of(string), _for_each(Store.move)),
    _change("configs", map_of(string), _for_each(Store.set_config)),
    _change("jobs", members({**JOB, **STATE, "then": list_of(members(STATE))}), _set_job),
    _change("builds", members(BUILD), lambda store, body: store.add_build(**body)),
    _change("workflows", WORKFLOW, lambda store, body: store.set_workflow(body["id"], body["status"])),
    _change("reset", members({}), lambda store, _body: store.reset()),
)
