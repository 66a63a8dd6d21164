"""Faults on demand: what can go wrong between a client and CircleCI, each a small function with a text form.

A fault is `KIND[:ARGUMENT...][*COUNT]`, optionally limited to some requests: `METHOD /path-glob => FAULT`. Without a
limit it meets the next trigger POST (`siblings`: the next reading of a job). `FAULTS` is the table.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeAlias

from .messages import Call, Reply, http_date, message

Handle: TypeAlias = Callable[[Call], Reply]  # answers a call as it should be answered; raises if it is refused
Action: TypeAlias = Callable[[str, Handle, Call], Reply]
"""Takes a fault's argument, and answers a call before, after or instead of letting it be handled."""
SKIP_TEXT = "Ignoring pipeline due to CI skip in the commit"  # v2 OpenAPI, pipelineNotTriggeredResponse
V1_TEXT = "Your config file has errors and may not run correctly"
LIMITED, FAILED = "Rate limit exceeded", "Internal server error"
GARBAGE = {"body": b"<html>upstream sent something else</html>", "content_type": "text/html"}
NO_ANSWER = Reply(0, delivery="none")
FORM = re.compile(
    r"((?P<method>GET|POST|\*)\s+(?P<path>/\S*)\s*=>\s*)?(?P<name>[^:*]*)(:(?P<argument>.*?))?"
    r"(\*(?P<count>[1-9][0-9]{0,5}))?",
    re.DOTALL | re.IGNORECASE,
)
# What may stand after a fault's colon.
NONE, TEXT, SECONDS, MAYBE_SECONDS = "", ".*", r"[0-9]{1,4}(\.[0-9]{1,3})?", r"([0-9]{1,4}(\.[0-9]{1,3})?)?"
STATUS, LOCATION, NODES = "[245][0-9]{2}(:.*)?", "3[0-9]{2}:[!-~]+", "[0-9]+(,[0-9]+)*(:.*)?"
STATES = "success|failed|error|canceled|unauthorized|not_run|running|failing|on_hold|queued"
"""v2 OpenAPI, Workflow.status; `queued` is missing there, but the documentation shows it for serial groups."""


class Kind(NamedTuple):
    """A row of the table: the text form, what it means, its argument's pattern, and what it does.

    One with `is_of_run` changes a run that is being created, so it can meet nothing else.
    """

    form: str
    meaning: str
    argument: str
    action: Action
    is_of_run: bool = False


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


def parse_fault(text: str) -> Fault:
    """Read a fault's text form; raises `ValueError`, whose message lists the known ones."""
    found = FORM.fullmatch(text.strip())
    kind = FAULTS.get(name := found["name"].strip()) if found else None
    if found is None or kind is None:
        raise ValueError(f"unknown fault `{text}`; known are {', '.join(f'`{k.form}`' for k in FAULTS.values())}")
    argument, method = found["argument"] or "", (found["method"] or "POST").upper()
    if not re.fullmatch(kind.argument, argument, re.DOTALL):
        raise ValueError(f"`{name}` is written as in `{kind.form}`, not with `{argument}`")
    if kind.is_of_run and method == "GET":
        raise ValueError(f"`{name}` changes a run that is being created, so it cannot meet a {method}")
    return Fault(name, argument, int(found["count"] or 1), method, found["path"] or "")


def _late(text: str, handle: Handle, call: Call) -> Reply:
    return handle(call) if call.client(float(text)) else NO_ANSWER


def _create_late(text: str, handle: Handle, call: Call) -> Reply:
    call.client(float(text))  # only by waiting for the client does time pass
    return handle(call)


def _late_after_create(text: str, handle: Handle, call: Call) -> Reply:
    return replace(handle(call), delay=float(text))


def _limited(text: str, _handle: Handle, _call: Call) -> Reply:
    return message(429, LIMITED, *([("Retry-After", f"{float(text):g}")] if text else []))


def _until(text: str, _handle: Handle, call: Call) -> Reply:
    return message(429, LIMITED, ("Retry-After", http_date(call.request.at + timedelta(seconds=float(text)))))


def _siblings(text: str, handle: Handle, call: Call) -> Reply:
    indexes, _, status = text.partition(":")
    return handle(call._replace(nodes={int(index): status or "failed" for index in indexes.split(",")}))


def _status(text: str, _handle: Handle, _call: Call) -> Reply:
    status, _, words = text.partition(":")
    return message(int(status), words or f"Status {status}", *([("Location", words)] if status[0] == "3" else []))


def _spoilt(**fields: Any) -> Action:
    """Let the request be handled, and change fields of the `Reply`."""
    return lambda _text, handle, call: replace(handle(call), **fields)


def _of_run(form: str, meaning: str, argument: str, name: str, usual: Any = "") -> Kind:
    """Let a run be created, but with the argument in one field of `TriggerBody`."""

    def act(text: str, handle: Handle, call: Call) -> Reply:
        return handle(call._replace(override={name: type(usual)(text or usual)}))

    return Kind(form, meaning, argument, act, is_of_run=True)


_CODES, _SETUP = (500, 502, 503, 504), "create a run of a dynamic config: first a setup workflow, then the others"
_BROKEN = {"message": FAILED}
_KINDS = (
    Kind("close", "end the connection; nothing is created", NONE, lambda *_: NO_ANSWER),
    Kind("close-after-create", "create, then end the connection", NONE, _spoilt(delivery="none")),
    Kind("late:5", "handle 5 s late; not at all if the client has left", SECONDS, _late),
    Kind("create-late:5", "handle 5 s late, even if the client has left", SECONDS, _create_late),
    Kind("late-after-create:5", "create at once, answer 5 s late", SECONDS, _late_after_create),
    Kind("cut", "create, then cut the answer's body short", NONE, _spoilt(delivery="cut")),
    Kind("garbage", "create, then answer with something that is not JSON", NONE, _spoilt(**GARBAGE)),
    Kind("429:1", "too many requests, Retry-After in seconds (none: no such header)", MAYBE_SECONDS, _limited),
    Kind("429-date:1", "too many requests, Retry-After as a date", SECONDS, _until),
    *(
        Kind(f"{c}", f"answer {c}; nothing is created", TEXT, lambda text, *_, c=c: message(c, text or FAILED))
        for c in _CODES
    ),
    *(Kind(f"{c}-after-create", f"create, then answer {c}", NONE, _spoilt(status=c, body=_BROKEN)) for c in _CODES),
    Kind("status:403:message", "answer this status and message; nothing is created", STATUS, _status),
    Kind("redirect:307:http://127.0.0.1:1/", "answer with a redirect", LOCATION, _status),
    Kind("siblings:1,2:failed", "show these nodes so when a job of /sandbox/jobs is read next", NODES, _siblings),
    _of_run("skip", "200 and CircleCI's words for a skipped commit", TEXT, "instead", SKIP_TEXT),
    _of_run("message:text", "200 with only a message, as v1.1 may fail", TEXT, "instead", V1_TEXT),
    _of_run("errored:message", "create a run whose config has this error", TEXT, "errors", "Config is not valid"),
    _of_run("no-workflow", "create a run in which nothing starts", NONE, "no_workflow", usual=True),
    _of_run("moved", "create a run of another commit", TEXT, "moved"),
    _of_run("unauthorized", "create workflows that may not run", NONE, "outcome", "unauthorized"),
    _of_run("ends:failed", "create workflows that end in this state", STATES, "outcome"),
    _of_run("lag:5", "create a run that lists and searches show 5 s late", SECONDS, "lag", 0.0),
    _of_run("setup", _SETUP, NONE, "setup", usual=True),
)
FAULTS: Mapping[str, Kind] = {kind.form.partition(":")[0]: kind for kind in _KINDS}
"""Every kind by the word it starts with, in the order of the documentation."""
