"""Faults on demand: what can go wrong between a client and CircleCI, each with a text form.

A fault is `KIND[:ARGUMENT...][*COUNT]`, optionally limited to some requests: `METHOD /path-glob => FAULT`. Without a
limit it meets the next trigger POST (`siblings`: the next reading of a job). `FAULTS` is the table.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from .messages import Call, Reply, http_date, message

SKIP_TEXT = "Ignoring pipeline due to CI skip in the commit"  # v2 OpenAPI, pipelineNotTriggeredResponse
V1_TEXT = "Your config file has errors and may not run correctly"
FAILED = "Internal server error"
NO_ANSWER = Reply(0, delivery="none")
FORM = re.compile(
    r"((?P<method>GET|POST|\*)\s+(?P<path>/\S*)\s*=>\s*)?(?P<name>[^:*]*)(:(?P<argument>.*?))?"
    r"(\*(?P<count>[1-9][0-9]{0,5}))?",
    re.DOTALL | re.IGNORECASE,
)
# What may stand after a fault's colon.
SECONDS, NODES = r"[0-9]{1,4}(\.[0-9]{1,3})?", "[0-9]+(,[0-9]+)*(:.*)?"
STATES = "success|failed|error|canceled|unauthorized|not_run|running|failing|on_hold|queued"
"""v2 OpenAPI, Workflow.status; `queued` is missing there, but the documentation shows it for serial groups."""


class Kind(NamedTuple):
    """A row of the table."""

    form: str
    meaning: str
    argument: str = ""  # its pattern
    of_run: tuple[str, Any] | None = None  # the field of `TriggerBody` that it changes, and what it usually puts there


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault."""

    kind: str
    argument: str = ""
    count: int = 1  # how many requests it meets
    method: str = "POST"
    path: str = ""  # a glob, without which it meets what is usual

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
    if kind.of_run and method == "GET":
        raise ValueError(f"`{name}` changes a run that is being created, so it cannot meet a {method}")
    return Fault(name, argument, int(found["count"] or 1), method, found["path"] or "")


def befall(fault: Fault, handle: Callable[[Call], Reply], call: Call) -> Reply:  # noqa: C901, PLR0911 - a fault each
    """Answer a call before, after or instead of letting it be handled as it should be; raises if that refuses it."""
    name, text, of_run = fault.kind, fault.argument, FAULTS[fault.kind].of_run
    first, _, words = text.partition(":")
    if of_run:
        member, usual = of_run
        return handle(call._replace(override={member: type(usual)(text or usual)}))
    if name == "siblings":
        return handle(call._replace(nodes={int(index): words or "failed" for index in first.split(",")}))
    if name in {"late", "create-late"}:
        is_there = call.client(float(text))  # only by waiting for the client does time pass
        return handle(call) if is_there or name == "create-late" else NO_ANSWER
    if name in {"429", "429-date"}:
        after = f"{float(text):g}" if text else ""
        if name == "429-date":
            after = http_date(call.request.at + timedelta(seconds=float(text)))
        return message(429, "Rate limit exceeded", *([("Retry-After", after)] if after else []))
    if name in {"status", "redirect"}:
        return message(int(first), words or f"Status {first}", *([("Location", words)] if first[0] == "3" else []))
    if name == "close":
        return NO_ANSWER
    if name.isdigit():
        return message(int(name), text or FAILED)
    reply = handle(call)
    if name == "late-after-create":
        return replace(reply, delay=float(text))
    if name == "garbage":
        return replace(reply, body=b"<html>upstream sent something else</html>", content_type="text/html")
    if name[:3].isdigit():
        return replace(reply, status=int(name[:3]), body={"message": FAILED})
    return replace(reply, delivery="cut" if name == "cut" else "none")


_CODES, _SETUP = (500, 502, 503, 504), "create a run of a dynamic config: first a setup workflow, then the others"
_KINDS = (
    Kind("close", "end the connection; nothing is created"),
    Kind("close-after-create", "create, then end the connection"),
    Kind("late:5", "handle 5 s late; not at all if the client has left", SECONDS),
    Kind("create-late:5", "handle 5 s late, even if the client has left", SECONDS),
    Kind("late-after-create:5", "create at once, answer 5 s late", SECONDS),
    Kind("cut", "create, then cut the answer's body short"),
    Kind("garbage", "create, then answer with something that is not JSON"),
    Kind("429:1", "too many requests, Retry-After in seconds (none: no such header)", f"({SECONDS})?"),
    Kind("429-date:1", "too many requests, Retry-After as a date", SECONDS),
    *(Kind(f"{code}", f"answer {code}; nothing is created", ".*") for code in _CODES),
    *(Kind(f"{code}-after-create", f"create, then answer {code}") for code in _CODES),
    Kind("status:403:message", "answer this status and message; nothing is created", "[245][0-9]{2}(:.*)?"),
    Kind("redirect:307:http://127.0.0.1:1/", "answer with a redirect", "3[0-9]{2}:[!-~]+"),
    Kind("siblings:1,2:failed", "show these nodes so when a job of /sandbox/jobs is read next", NODES),
    Kind("skip", "200 and CircleCI's words for a skipped commit", ".*", ("instead", SKIP_TEXT)),
    Kind("message:text", "200 with only a message, as v1.1 may fail", ".*", ("instead", V1_TEXT)),
    Kind("errored:message", "create a run whose config has this error", ".*", ("errors", "Config is not valid")),
    Kind("no-workflow", "create a run in which nothing starts", "", ("no_workflow", True)),
    Kind("moved", "create a run of another commit", ".*", ("moved", "")),
    Kind("unauthorized", "create workflows that may not run", "", ("outcome", "unauthorized")),
    Kind("ends:failed", "create workflows that end in this state", STATES, ("outcome", "")),
    Kind("lag:5", "create a run that lists and searches show 5 s late", SECONDS, ("lag", 0.0)),
    Kind("setup", _SETUP, "", ("setup", True)),
)
FAULTS: Mapping[str, Kind] = {kind.form.partition(":")[0]: kind for kind in _KINDS}  # in the order of the documentation
