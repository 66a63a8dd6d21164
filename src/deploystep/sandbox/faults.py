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
from typing import NamedTuple, TypeAlias

from .messages import Call, Delivery, Reply, RunOverride, http_date, message
from .state import WORKFLOW_STATES

Handle: TypeAlias = Callable[[Call], Reply]
"""Answers a call as it should be answered; raises if the request is refused."""
FaultAction: TypeAlias = Callable[[Handle, Call], Reply]
"""Answers a call in another way, before, after or instead of letting it be handled."""

Reader: TypeAlias = Callable[[str, str], FaultAction]
"""Turns a fault's name and the text after its colon into an action; raises `FaultError`."""

SKIP_TEXT = "Ignoring pipeline due to CI skip in the commit"
"""v2 OpenAPI, pipelineNotTriggeredResponse."""
V1_TEXT = "Your config file has errors and may not run correctly"
LIMITED = "Rate limit exceeded"
GARBAGE = b"<html><body>upstream sent something else</body></html>"
NO_ANSWER = Reply(0, delivery=Delivery.NONE)
METHODS = ("*", "GET", "POST")
LONGEST_WAIT = 3600.0
"""Seconds."""
SCOPED = re.compile(r"(?P<method>[A-Za-z]+|\*)\s+(?P<path>/\S*)\s*=>\s*(?P<fault>.*)", re.DOTALL)
COUNTED = re.compile(r"(?P<fault>.*?)\*(?P<count>[1-9][0-9]{0,5})", re.DOTALL)


class FaultError(ValueError):
    """A fault's text that cannot be read; the message names what was found and lists what is known."""


class Kind(NamedTuple):
    """A row of the table: how the text form looks, what it means, and how its argument becomes an action."""

    form: str
    meaning: str
    read: Reader

    @property
    def name(self) -> str:
        """The word that the text form starts with."""
        return self.form.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `count` is how many requests it meets; `path` is a glob, without which it meets what is usual."""

    kind: str
    action: FaultAction
    count: int = 1
    method: str = "POST"
    path: str = ""

    def meets(self, method: str, path: str, *, triggers: bool, reads_job: bool) -> bool:
        """Tell whether a request is one that this fault waits for."""
        if self.path:
            return self.method in ("*", method) and fnmatchcase(path, self.path)
        return reads_job if self.kind == "siblings" else triggers


def parse_fault(text: str) -> Fault:
    """Read a fault's text form; raises `FaultError`, whose message lists the known ones."""
    scoped = SCOPED.fullmatch(text.strip())
    told = scoped["fault"].strip() if scoped else text.strip()
    counted = COUNTED.fullmatch(told)
    name, _, argument = (counted["fault"] if counted else told).partition(":")
    name = name.strip()
    if name not in FAULTS:
        known = ", ".join(f"`{kind.form}`" for kind in FAULTS.values())
        raise FaultError(f"unknown fault `{name}`; known are {known}")
    fault = Fault(name, FAULTS[name].read(name, argument), int(counted["count"]) if counted else 1)
    if scoped is None:
        return fault
    method = scoped["method"].upper()
    if method not in METHODS:
        raise FaultError(f"a fault is limited to {', '.join(METHODS)}, not `{method}`")
    if FAULTS[name] in _OF_RUNS and method == "GET":
        raise FaultError(f"`{name}` changes a run that is being created, so it cannot meet a {method}")
    return replace(fault, method=method, path=scoped["path"])


# Readers


def _bare(action: FaultAction) -> Reader:
    def read(name: str, argument: str) -> FaultAction:
        if argument:
            raise FaultError(f"`{name}` takes no argument, but `{argument}` was given")
        return action

    return read


def _timed(make: Callable[[float], FaultAction]) -> Reader:
    def read(name: str, argument: str) -> FaultAction:
        if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", argument) or float(argument) > LONGEST_WAIT:
            raise FaultError(f"`{name}` needs seconds from 0 to {LONGEST_WAIT:.0f}, as in `{name}:5`, not `{argument}`")
        return make(float(argument))

    return read


def _override(**fields: str | bool) -> Reader:
    """Let a run be created, but not as asked."""
    return _bare(_overriding(RunOverride(**fields)))  # type: ignore[arg-type]


def _worded(field: str, usual: str = "") -> Reader:
    """Let a run be created, but not as asked: the argument goes into one field of `RunOverride`."""
    return lambda _name, argument: _overriding(RunOverride(**{field: argument or usual}))  # type: ignore[arg-type]


def _overriding(override: RunOverride) -> FaultAction:
    return lambda handle, call: handle(replace(call, override=override))


def _answer(status: int, text: str, *headers: tuple[str, str]) -> FaultAction:
    return lambda _handle, _call: message(status, text, *headers)


def _lagging(seconds: float) -> FaultAction:
    return _overriding(RunOverride(lag=seconds))


def _changed(**fields: bytes | str | Delivery) -> Reader:
    """Let the request be handled, and spoil the answer."""
    return _bare(lambda handle, call: replace(handle(call), **fields))  # type: ignore[arg-type]


def _late_answer(seconds: float) -> FaultAction:
    return lambda handle, call: replace(handle(call), delay=seconds)


def _late(seconds: float, *, even_so: bool) -> FaultAction:
    # The client is asked first: only by waiting for it does time pass.
    return lambda handle, call: handle(call) if call.client(seconds) or even_so else NO_ANSWER


def _retry_at(seconds: float) -> FaultAction:
    def act(_handle: Handle, call: Call) -> Reply:
        return message(429, LIMITED, ("Retry-After", http_date(call.now + timedelta(seconds=seconds))))

    return act


def _read_limit(name: str, argument: str) -> FaultAction:
    if not argument:
        return _answer(429, LIMITED)
    return _timed(lambda seconds: _answer(429, LIMITED, ("Retry-After", f"{seconds:g}")))(name, argument)


def _read_status(name: str, argument: str) -> FaultAction:
    found = re.fullmatch("([2-5][0-9]{2})(?::(.*))?", argument, re.DOTALL)
    if found is None:
        raise FaultError(f"`{name}` needs an HTTP status, as in `{FAULTS[name].form}`, not `{argument}`")
    return _answer(int(found[1]), found[2] or f"Status {found[1]}")


def _read_redirect(name: str, argument: str) -> FaultAction:
    found = re.fullmatch("([2-5][0-9]{2}):([!-~]+)", argument)
    if found is None:
        raise FaultError(f"`{name}` needs a status and a location, as in `{FAULTS[name].form}`")
    return _answer(int(found[1]), "Redirecting", ("Location", found[2]))


def _read_ends(name: str, argument: str) -> FaultAction:
    if argument not in WORKFLOW_STATES:
        raise FaultError(f"`{name}` needs one of {', '.join(sorted(WORKFLOW_STATES))}, not `{argument}`")
    return _overriding(RunOverride(outcome=argument))


def _read_siblings(name: str, argument: str) -> FaultAction:
    indexes, _, status = argument.partition(":")
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*", indexes):
        raise FaultError(f"`{name}` needs node indexes, as in `{FAULTS[name].form}`, not `{argument}`")
    nodes = {int(index): status or "failed" for index in indexes.split(",")}
    return lambda handle, call: handle(replace(call, nodes=nodes))


def _server_error(name: str, argument: str) -> FaultAction:
    reply = message(int(name[:3]), argument or "Internal server error")
    return lambda handle, call: (handle(call), reply)[1] if name.endswith("-after-create") else reply


_CODES = (500, 502, 503, 504)
_OF_REQUESTS = (
    Kind("close", "end the connection; nothing is created", _bare(lambda _handle, _call: NO_ANSWER)),
    Kind("close-after-create", "create, then end the connection", _changed(delivery=Delivery.NONE)),
    Kind("late:5", "handle 5 s late; not at all if the client has left", _timed(lambda s: _late(s, even_so=False))),
    Kind("create-late:5", "handle 5 s late, even if the client has left", _timed(lambda s: _late(s, even_so=True))),
    Kind("late-after-create:5", "create at once, answer 5 s late", _timed(_late_answer)),
    Kind("cut", "create, then cut the answer's body short", _changed(delivery=Delivery.CUT)),
    Kind(
        "garbage",
        "create, then answer with something that is not JSON",
        _changed(body=GARBAGE, content_type="text/html"),
    ),
    Kind("429:1", "too many requests, Retry-After in seconds (none: no such header)", _read_limit),
    Kind("429-date:1", "too many requests, Retry-After as a date", _timed(_retry_at)),
    *(Kind(f"{code}", f"answer {code}; nothing is created", _server_error) for code in _CODES),
    *(Kind(f"{code}-after-create", f"create, then answer {code}", _server_error) for code in _CODES),
    Kind("status:403:message", "answer this status and message; nothing is created", _read_status),
    Kind("redirect:307:http://127.0.0.1:1/", "answer with a redirect", _read_redirect),
    Kind("siblings:1,2:failed", "show these nodes of a parallel job in this state", _read_siblings),
)
_OF_RUNS = (
    Kind("skip", "200 and CircleCI's words for a skipped commit", _worded("instead", SKIP_TEXT)),
    Kind("message:text", "200 with only a message, as v1.1 may fail", _worded("instead", V1_TEXT)),
    Kind("errored:message", "create a run whose config has this error", _worded("errors", "Config is not valid")),
    Kind("no-workflow", "create a run in which nothing starts", _override(no_workflow=True)),
    Kind("moved", "create a run of another commit", _worded("revision")),
    Kind("unauthorized", "create workflows that may not run", _override(outcome="unauthorized")),
    Kind("ends:failed", "create workflows that end in this state", _read_ends),
    Kind("lag:5", "create a run that lists and searches show 5 s late", _timed(_lagging)),
    Kind("setup", "create a run of a dynamic config: first a setup workflow, then the others", _override(setup=True)),
)
"""These change a run that is being created, so they can meet nothing else."""
FAULTS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in (*_OF_REQUESTS, *_OF_RUNS)})
"""Every kind by the word it starts with, in the order of the documentation."""
