"""The server's own routes, for other processes on the same machine: what was asked, and what is to go wrong next.

They need no token, are not recorded, and speak JSON. `SHOWN` is what can be read, `TOLD` what can be changed.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime

from .faults import parse_fault
from .messages import Call, JsonValue, RefusedError, Reply, stamp
from .routes import Route, route
from .schema import INTEGER, NUMBER, STRING, TIME, UUID, Shape, checked, decoded
from .state import JobState, Run
from .store import Store

STATE: dict[str, Shape] = {
    "parallel_runs!": [STRING],
    "status": STRING,
    "after_polls": INTEGER,
    "after_seconds": NUMBER,
}
BUILD: Shape = {
    "pipeline_id!": UUID,
    "project!": STRING,
    "workflow_id": UUID,
    "jobs": {"*": STRING},
    "branch": STRING,
    "tag": STRING,
    "revision": STRING,
    "created": TIME,
    "trigger": STRING,
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


def _each(tell: Callable[[Store, str, str], None]) -> Callable[[Store, JsonValue], None]:
    def act(store: Store, body: JsonValue) -> None:
        for name, text in body.items():
            tell(store, name, text)

    return act


def _run(run: Run) -> JsonValue:
    return {**asdict(run), "workflows": [{**asdict(w), "status": w.status} for w in run.workflows]}


SHOWN: Mapping[str, Callable[[Store], JsonValue]] = {
    "requests": lambda store: [asdict(request) for request in store.requests],
    "runs": lambda store: [_run(run) for run in store.runs],
    "faults": lambda store: [asdict(fault) for fault in store.faults],
}
TOLD: Mapping[str, tuple[Shape, Callable[[Store, JsonValue], None]]] = {
    "faults": ({"fault": STRING, "faults": [STRING]}, _add_faults),
    "heads": ({"*": STRING}, _each(Store.move)),
    "configs": ({"*": STRING}, _each(Store.set_config)),
    "jobs": ({"project!": STRING, "number!": INTEGER, **STATE, "then": [STATE]}, _set_job),
    "builds": (BUILD, lambda store, body: store.add_build(**body)),
    "workflows": ({"id!": UUID, "status!": STRING}, lambda store, body: store.set_workflow(body["id"], body["status"])),
    "reset": ({}, lambda store, _body: store.reset()),
}


def _as_json(value: JsonValue) -> JsonValue:
    return json.loads(json.dumps(value, default=lambda entry: stamp(entry) if isinstance(entry, datetime) else entry))


def _reading(name: str) -> Route:
    return route(f"GET /sandbox/{name}", lambda store, _call: Reply(200, {name: _as_json(SHOWN[name](store))}))


def _change(name: str) -> Route:
    """Answer with the body as it was understood, or say why it cannot be."""
    shape, act = TOLD[name]

    def handle(store: Store, call: Call) -> Reply:
        body = checked(decoded(call.request.body or b"{}"), shape)
        try:
            act(store, body)
        except (LookupError, ValueError) as error:
            raise RefusedError(400, str(error)) from error
        return Reply(200, _as_json(body))

    return route(f"POST /sandbox/{name}", handle)


ROUTES = (*map(_reading, SHOWN), *map(_change, TOLD))
