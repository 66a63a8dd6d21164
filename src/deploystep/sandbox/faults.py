"""Faults on demand: what can go wrong between a client and CircleCI, each a small function with a text form.

A fault is `KIND[:ARGUMENT...][*COUNT]`, optionally limited to some requests: `METHOD /path-glob => FAULT`. Without a
limit it meets the next trigger POST (`siblings`: the next reading of a job). `FAULTS` is the table.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from .messages import Call, Delivery, Reply, http_date, message
from .state import WORKFLOW_STATES, RunOverride

Handle: TypeAlias = Callable[[Call], Reply]
"""Answers a call as it should be answered; raises if the request is refused."""
Action: TypeAlias = Callable[[str, Handle, Call], Reply]
"""Takes a fault's argument, and answers a call before, after or instead of letting it be handled."""

SKIP_TEXT = "Ignoring pipeline due to CI skip in the commit"
"""v2 OpenAPI, pipelineNotTriggeredResponse."""
V1_TEXT = "Your config file has errors and may not run correctly"
LIMITED = "Rate limit exceeded"
GARBAGE = {"body": b"<html><body>upstream sent something else</body></html>", "content_type": "text/html"}
NO_ANSWER = Reply(0, delivery=Delivery.NONE)
SCOPED = re.compile(r"(?P<method>GET|POST|\*)\s+(?P<path>/\S*)\s*=>\s*(?P<fault>.*)", re.DOTALL | re.IGNORECASE)
COUNTED = re.compile(r"(?P<fault>.*?)\*(?P<count>[1-9][0-9]{0,5})", re.DOTALL)


class FaultError(ValueError):
    """A fault's text that cannot be read; the message names what was found and lists what is known."""


Argument: TypeAlias = tuple[str, str]
"""What may stand after a fault's colon, in words and as a pattern."""
NONE: Argument = ("nothing", "")
TEXT: Argument = ("a text", ".*")
SECONDS: Argument = ("seconds below 10000", r"[0-9]{1,4}(\.[0-9]{1,3})?")
MAYBE_SECONDS: Argument = ("seconds below 10000 or nothing", r"([0-9]{1,4}(\.[0-9]{1,3})?)?")
STATUS: Argument = ("a status from 200 to 599 and a message", "[2-5][0-9]{2}(:.*)?")
LOCATION: Argument = ("a status from 200 to 599 and a location", "[2-5][0-9]{2}:[!-~]+")
NODES: Argument = ("node indexes and a state", r"[0-9]+(,[0-9]+)*(:.*)?")
OUTCOME: Argument = (f"one of {', '.join(sorted(WORKFLOW_STATES))}", "|".join(WORKFLOW_STATES))


class Kind(NamedTuple):
    """A row of the table: how the text form looks, what it means, what its argument may be, and what it does."""

    form: str
    meaning: str
    argument: Argument
    action: Action


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `count` is how many requests it meets; `path` is a glob, without which it meets what is usual."""

    kind: str
    argument: str = ""
    count: int = 1
    method: str = "POST"
    path: str = ""

    def meets(self, method: str, path: str, route: str) -> bool:
        """Tell whether a request, to a route of this kind, is one that this fault waits for."""
        if self.path:
            return self.method in ("*", method) and fnmatchcase(path, self.path)
        return route == ("job" if self.kind == "siblings" else "trigger")

    def answer(self, handle: Handle, call: Call) -> Reply:
        """Answer a call that it meets."""
        return FAULTS[self.kind].action(self.argument, handle, call)


def parse_fault(text: str) -> Fault:
    """Read a fault's text form; raises `FaultError`, whose message lists the known ones."""
    scoped = SCOPED.fullmatch(text.strip())
    told = scoped["fault"].strip() if scoped else text.strip()
    counted = COUNTED.fullmatch(told)
    name, _, argument = (counted["fault"] if counted else told).partition(":")
    name = name.strip()
    kind = FAULTS.get(name)
    if kind is None:
        raise FaultError(f"unknown fault `{name}`; known are {', '.join(f'`{kind.form}`' for kind in FAULTS.values())}")
    words, pattern = kind.argument
    if not re.fullmatch(pattern, argument, re.DOTALL):
        raise FaultError(f"`{name}` takes {words}, as in `{kind.form}`, not `{argument}`")
    fault = Fault(name, argument, int(counted["count"]) if counted else 1)
    if scoped is None:
        return fault
    method = scoped["method"].upper()
    if kind in _OF_RUNS and method == "GET":
        raise FaultError(f"`{name}` changes a run that is being created, so it cannot meet a {method}")
    return replace(fault, method=method, path=scoped["path"])


# Actions


def _late(text: str, handle: Handle, call: Call) -> Reply:
    return handle(call) if call.client(float(text)) else NO_ANSWER


def _late_answer(text: str, handle: Handle, call: Call) -> Reply:
    return replace(handle(call), delay=float(text))


def _create_late(text: str, handle: Handle, call: Call) -> Reply:
    call.client(float(text))  # only by waiting for the client does time pass
    return handle(call)


def _limited(text: str, _handle: Handle, _call: Call) -> Reply:
    return message(429, LIMITED, *([("Retry-After", f"{float(text):g}")] if text else []))


def _limited_until(text: str, _handle: Handle, call: Call) -> Reply:
    return message(429, LIMITED, ("Retry-After", http_date(call.now + timedelta(seconds=float(text)))))


def _status(text: str, _handle: Handle, _call: Call) -> Reply:
    return message(int(text[:3]), text[4:] or f"Status {text}")


def _redirect(text: str, _handle: Handle, _call: Call) -> Reply:
    return message(int(text[:3]), "Redirecting", ("Location", text[4:]))


def _siblings(text: str, handle: Handle, call: Call) -> Reply:
    indexes, _, status = text.partition(":")
    return handle(replace(call, nodes={int(index): status or "failed" for index in indexes.split(",")}))


def _server_error(code: int, *, is_created: bool) -> Action:
    def act(text: str, handle: Handle, call: Call) -> Reply:
        if is_created:
            handle(call)
        return message(code, text or "Internal server error")

    return act


def _spoilt(**fields: Any) -> Action:
    """Let the request be handled, and change fields of the `Reply`."""
    return lambda _text, handle, call: replace(handle(call), **fields)


def _with(field: str, usual: str = "", read: Callable[[str], Any] = str) -> Action:
    """Let a run be created, but with the argument in one field of `RunOverride`."""
    return lambda text, handle, call: handle(replace(call, override=RunOverride(**{field: read(text or usual)})))


_CODES = (500, 502, 503, 504)
_OF_REQUESTS = (
    Kind("close", "end the connection; nothing is created", NONE, lambda *_: NO_ANSWER),
    Kind("close-after-create", "create, then end the connection", NONE, _spoilt(delivery=Delivery.NONE)),
    Kind("late:5", "handle 5 s late; not at all if the client has left", SECONDS, _late),
    Kind("create-late:5", "handle 5 s late, even if the client has left", SECONDS, _create_late),
    Kind("late-after-create:5", "create at once, answer 5 s late", SECONDS, _late_answer),
    Kind("cut", "create, then cut the answer's body short", NONE, _spoilt(delivery=Delivery.CUT)),
    Kind("garbage", "create, then answer with something that is not JSON", NONE, _spoilt(**GARBAGE)),
    Kind("429:1", "too many requests, Retry-After in seconds (none: no such header)", MAYBE_SECONDS, _limited),
    Kind("429-date:1", "too many requests, Retry-After as a date", SECONDS, _limited_until),
    *(Kind(f"{c}", f"answer {c}; nothing is created", TEXT, _server_error(c, is_created=False)) for c in _CODES),
    *(Kind(f"{c}-after-create", f"create, then answer {c}", TEXT, _server_error(c, is_created=True)) for c in _CODES),
    Kind("status:403:message", "answer this status and message; nothing is created", STATUS, _status),
    Kind("redirect:307:http://127.0.0.1:1/", "answer with a redirect", LOCATION, _redirect),
    Kind("siblings:1,2:failed", "show these nodes so when a job of /sandbox/jobs is read next", NODES, _siblings),
)
_SETUP = "create a run of a dynamic config: first a setup workflow, then the others"
_OF_RUNS = (
    Kind("skip", "200 and CircleCI's words for a skipped commit", TEXT, _with("instead", SKIP_TEXT)),
    Kind("message:text", "200 with only a message, as v1.1 may fail", TEXT, _with("instead", V1_TEXT)),
    Kind("errored:message", "create a run whose config has this error", TEXT, _with("errors", "Config is not valid")),
    Kind("no-workflow", "create a run in which nothing starts", NONE, _with("no_workflow", "yes", bool)),
    Kind("moved", "create a run of another commit", TEXT, _with("revision")),
    Kind("unauthorized", "create workflows that may not run", NONE, _with("outcome", "unauthorized")),
    Kind("ends:failed", "create workflows that end in this state", OUTCOME, _with("outcome")),
    Kind("lag:5", "create a run that lists and searches show 5 s late", SECONDS, _with("lag", read=float)),
    Kind("setup", _SETUP, NONE, _with("setup", "yes", bool)),
)
"""These change a run that is being created, so they can meet nothing else."""
FAULTS: Mapping[str, Kind] = MappingProxyType(
    {kind.form.partition(":")[0]: kind for kind in (*_OF_REQUESTS, *_OF_RUNS)}
)
"""Every kind by the word it starts with, in the order of the documentation."""
