"""The stand-in's own routes, for other processes on the same machine: what was asked, and what to do wrong next.

They need no token, are not recorded, and speak JSON: `GET /sandbox/requests`, `GET /sandbox/runs`,
`GET /sandbox/faults`, and `POST` of faults, heads, jobs, builds, workflows and reset.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from .faults import FaultError, parse_fault
from .jobs import JobState, ScriptedJob
from .routing import Call, Family, Handler, Route
from .runs import SEED_TRIGGERS, WORKFLOW_STATES, BuildSeed
from .schema import UUID
from .state import State, canonical, is_slug
from .vocabulary import read_stamp, stamp
from .wire import JsonValue, NotJsonError, Reply, Request, message, read_json

if TYPE_CHECKING:
    from .faults import Fault
    from .recorder import Recorder

T = TypeVar("T")


class ControlError(ValueError):
    """A control request that cannot be read; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object whose entries are read one by one, each with its type."""

    values: Mapping[str, JsonValue]

    def get(self, name: str, kind: type[T], default: T) -> T:
        """Read an entry that may be missing."""
        return self.need(name, kind) if self.values.get(name) is not None else default

    def optional(self, name: str) -> str | None:
        """Read a text that may be missing."""
        return self.need(name, str) if self.values.get(name) is not None else None

    def need(self, name: str, kind: type[T]) -> T:
        """Read an entry; raises `ControlError` if it is missing or of another type."""
        value = self.values.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ControlError(f"`{name}` must be {KINDS[kind]}")
        return value

    def project(self) -> str:
        """Read a project's slug."""
        slug = canonical(self.need("project", str))
        if not is_slug(slug):
            raise ControlError("`project` must be a slug such as gh/acme/shop")
        return slug


KINDS: Mapping[type, str] = {
    str: "a string",
    int: "an integer",
    list: "a list",
    dict: "an object",
}


def routes(recorder: Recorder) -> tuple[Route, ...]:
    """Build the route table; the requests shown are the recorder's."""
    return (
        _route("GET", "requests", lambda _state, _call: _requests(recorder)),
        _route("GET", "runs", lambda state, _call: Reply(200, {"runs": _json(triggered(state))})),
        _route("GET", "faults", lambda state, _call: Reply(200, _pending(state))),
        _route("POST", "faults", _checked(add_faults)),
        _route("POST", "heads", _checked(move_heads)),
        _route("POST", "jobs", _checked(set_job)),
        _route("POST", "builds", _checked(add_build)),
        _route("POST", "workflows", _checked(set_workflow)),
        _route("POST", "reset", lambda state, _call: _reset(state, recorder)),
    )


def _route(method: str, name: str, handler: Handler) -> Route:
    return Route(method, re.compile(f"/sandbox/{name}"), handler, Family.CONTROL)


def _checked(act: Callable[[State, Fields], Reply]) -> Handler:
    def handle(state: State, call: Call) -> Reply:
        try:
            return act(state, read_fields(call.request))
        except (ControlError, FaultError) as error:
            return message(400, str(error))

    return handle


def read_fields(request: Request) -> Fields:
    """Read a control request's body; raises `ControlError` unless it is a JSON object."""
    try:
        body = read_json(request.body)
    except NotJsonError as error:
        raise ControlError("the body must be a JSON object") from error
    if not isinstance(body, dict):
        raise ControlError("the body must be a JSON object")
    return Fields(body)


def triggered(state: State) -> JsonValue:
    """Return the runs that triggers created, oldest first."""
    return [run for run in state.all_runs() if run.api != "webhook"]


def _requests(recorder: Recorder) -> Reply:
    return Reply(200, {"requests": _json(recorder.entries())})


def _reset(state: State, recorder: Recorder) -> Reply:
    state.reset()
    recorder.clear()
    return Reply(200, {"reset": True})


def add_faults(state: State, fields: Fields) -> Reply:
    """Queue `{"fault": text}` or `{"faults": [text, ...]}`: all of them or, if one is wrong, none."""
    texts = fields.get("faults", list, []) + ([fields.values["fault"]] if "fault" in fields.values else [])
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ControlError('expected {"fault": "text"} or {"faults": ["text", ...]}')
    read: list[Fault] = [parse_fault(text) for text in texts]
    for fault in read:
        state.add_fault(fault)
    return Reply(201, _pending(state))


def _pending(state: State) -> JsonValue:
    return {"faults": [{"kind": f.kind, "method": f.method, "path": f.path, "count": f.count} for f in state.faults()]}


def move_heads(state: State, fields: Fields) -> Reply:
    """Let refs point at commits, `{"main": "<sha>"}`; an empty commit removes the ref."""
    heads = {ref: fields.need(ref, str) for ref in fields.values}
    for ref, revision in heads.items():
        state.move(ref, revision)
    return Reply(200, {"heads": heads})


def set_job(state: State, fields: Fields) -> Reply:
    """Script a parallel job: `project`, `number`, `parallel_runs`, `status`, and `then`, its later states."""
    later = [_job_state(entry) for entry in fields.get("then", list, [])]
    job = ScriptedJob(
        project=fields.project(),
        number=fields.need("number", int),
        name=fields.get("name", str, "build"),
        states=(_job_state(fields.values), *later),
        set_at=state.settings.now(),
        pipeline_id=fields.get("pipeline_id", str, ""),
        workflow_id=fields.get("workflow_id", str, ""),
    )
    state.set_job(job)
    return Reply(201, {"project": job.project, "number": job.number})


def _job_state(value: JsonValue) -> JobState:
    if not isinstance(value, dict):
        raise ControlError("each state in `then` must be an object")
    fields = Fields(value)
    nodes = fields.need("parallel_runs", list)
    if not nodes or not all(isinstance(status, str) for status in nodes):
        raise ControlError("`parallel_runs` must be a list of statuses, one per node")
    return JobState(
        parallel_runs=tuple(nodes),
        status=fields.get("status", str, "running"),
        after_polls=fields.get("after_polls", int, 0),
        after_seconds=_seconds(value.get("after_seconds", 0)),
    )


def _seconds(value: JsonValue) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ControlError("`after_seconds` must be a number")
    return float(value)


def add_build(state: State, fields: Fields) -> Reply:
    """Put a build there: `pipeline_id`, `project`, and what else `BuildSeed` has."""
    seed = BuildSeed(
        pipeline_id=_uuid(fields.need("pipeline_id", str)),
        project=fields.project(),
        workflow_id=_uuid(fields.optional("workflow_id")),
        workflow_name=fields.get("workflow_name", str, "build"),
        status=fields.get("status", str, "running"),
        jobs=_mapping(fields, "jobs", str),
        numbers=_mapping(fields, "numbers", int),
        branch=fields.optional("branch"),
        tag=fields.optional("tag"),
        revision=fields.optional("revision"),
        trigger=fields.get("trigger", str, "webhook"),
        created=_moment(fields.optional("created")),
    )
    if seed.status not in WORKFLOW_STATES:
        raise ControlError(f"`status` must be one of {', '.join(sorted(WORKFLOW_STATES))}")
    if seed.trigger not in SEED_TRIGGERS:
        raise ControlError(f"`trigger` must be one of {', '.join(sorted(SEED_TRIGGERS))}")
    try:
        state.add_build(seed)
    except ValueError as error:
        raise ControlError(f"`created`: {error}") from error
    return Reply(201, {"pipeline_id": seed.pipeline_id, "project": seed.project})


def set_workflow(state: State, fields: Fields) -> Reply:
    """Give a workflow a status, `{"id": uuid, "status": word}`; any word will do."""
    workflow_id, status = _uuid(fields.need("id", str)), fields.need("status", str)
    if not status:
        raise ControlError("`status` must not be empty")
    try:
        state.set_workflow(workflow_id, status)
    except LookupError as error:
        raise ControlError(str(error)) from error
    return Reply(200, {"id": workflow_id, "status": status})


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = read_stamp(text)
    if moment is None:
        raise ControlError("`created` must be a time with its zone, such as 2026-06-16T08:02:11Z")
    return moment


def _uuid(text: str | None) -> JsonValue:
    if text is not None and not UUID.fullmatch(text):
        raise ControlError(f"`{text}` is not a UUID")
    return text.lower() if text is not None else None


def _mapping(fields: Fields, name: str, kind: type[T]) -> dict[str, T]:
    entries = Fields(fields.get(name, dict, {}))
    return {key: entries.need(key, kind) for key in entries.values}


def _json(value: JsonValue) -> JsonValue:
    """Turn recorded values into JSON: dataclasses into objects, times into text."""
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, Mapping):
        return {key: _json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(entry) for entry in value]
    return _json(asdict(value)) if hasattr(value, "__dataclass_fields__") else value
