"""Faults on demand: what can go wrong between a client and CircleCI, as values with a compact text form.

A fault is `KIND[:ARGUMENT...][*COUNT]`, optionally limited to some requests: `METHOD /path-glob => FAULT`.
Without a limit it meets the next trigger POST (`siblings`: the next reading of a job). `FAULTS` is the table.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING

from .runs import WORKFLOW_STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SKIP_TEXT = "Ignoring pipeline due to CI skip in the commit"
"""v2 OpenAPI, pipelineNotTriggeredResponse."""
V1_TEXT = "Your config file has errors and may not run correctly"
METHODS = frozenset({"GET", "POST", "*"})
LOCATION = re.compile(r"[!-~]+")
HTTP_STATUS = range(200, 600)
LONGEST_WAIT = 3600.0
"""Seconds."""

SCOPED = re.compile(r"(?P<method>[A-Za-z]+|\*)\s+(?P<path>/\S*)\s*=>\s*(?P<fault>.*)", re.DOTALL)
COUNTED = re.compile(r"(?P<fault>.*?)\*(?P<count>[1-9][0-9]{0,5})", re.DOTALL)


class FaultError(ValueError):
    """A fault's text that cannot be read; the message names what was found and lists what is known."""


class Act(enum.Enum):
    """What a fault does to the request it meets."""

    CLOSE = "close"
    """End the connection without an answer."""
    LATE = "late"
    """Handle the request late, unless the client has given up by then."""
    LATE_EVEN_SO = "late-even-so"
    """Handle the request late, whether or not anybody still waits."""
    LATE_ANSWER = "late-answer"
    """Handle the request at once and answer late."""
    CUT = "cut"
    REPLY = "reply"
    """Answer with `status` and `text`; nothing is created."""
    REPLY_AFTER = "reply-after"
    """The same after the request has been handled."""
    CLOSE_AFTER = "close-after"
    GARBAGE = "garbage"
    REDIRECT = "redirect"
    LIMIT = "limit"
    """429 with Retry-After in seconds."""
    LIMIT_DATE = "limit-date"
    """429 with Retry-After as an HTTP-date."""
    TWIST = "twist"
    """Let the run be created, but not as asked."""
    SIBLINGS = "siblings"
    """Show nodes of a scripted job in another state, from this reading on."""


@dataclass(frozen=True, slots=True)
class Twist:
    """How a created run differs from what was asked."""

    instead: str = ""
    """Nothing is created after all: the answer is 200 with this message."""
    errors: str = ""
    """The message of a config error."""
    no_workflow: bool = False
    revision: str | None = None
    """Another commit; empty for one that the stand-in makes up."""
    outcome: str = ""
    """The state in which its workflows end up."""
    lag: float | None = None
    """Seconds until lists show it."""
    setup: bool = False
    """It starts with a setup workflow."""


PLAIN = Twist()


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `count` is how many requests it meets; `seconds` is a delay or a Retry-After.

    Without `path` it meets trigger POSTs, or readings of a job if its act is `SIBLINGS`.
    """

    kind: str
    act: Act
    count: int = 1
    method: str = "POST"
    path: str = ""
    seconds: float = 0.0
    status: int = 0
    text: str = ""
    twist: Twist = PLAIN
    nodes: Mapping[int, str] = field(default_factory=dict)

    def meets(self, method: str, path: str, *, triggers: bool, reads_job: bool) -> bool:
        """Tell whether a request is one that this fault waits for."""
        if self.path:
            return self.method in ("*", method) and fnmatchcase(path, self.path)
        return reads_job if self.act is Act.SIBLINGS else triggers


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the table: how the text form looks, what it means, and how its argument is read."""

    form: str
    meaning: str
    read: Callable[[str, str], Fault]


def parse_fault(text: str) -> Fault:
    """Read a fault's text form; raises `FaultError`, whose message lists the known ones."""
    scoped = SCOPED.fullmatch(text.strip())
    fault = _read_counted(scoped["fault"].strip() if scoped else text.strip())
    return _limited(fault, scoped["method"].upper(), scoped["path"]) if scoped else fault


def _limited(fault: Fault, method: str, path: str) -> Fault:
    if method not in METHODS:
        raise FaultError(f"a fault is limited to {', '.join(sorted(METHODS))}, not `{method}`")
    if fault.act is Act.TWIST and method not in ("POST", "*"):
        raise FaultError(f"`{fault.kind}` changes a run that is being created, so it cannot meet a {method}")
    return replace(fault, method=method, path=path)


def _read_counted(text: str) -> Fault:
    counted = COUNTED.fullmatch(text)
    body = counted["fault"] if counted else text
    name, _, argument = body.partition(":")
    kind = FAULTS.get(name.strip())
    if kind is None:
        raise FaultError(_unknown(name.strip()))
    fault = kind.read(name.strip(), argument)
    return replace(fault, count=int(counted["count"])) if counted else fault


def _unknown(name: str) -> str:
    known = ", ".join(f"`{kind.form}`" for kind in FAULTS.values())
    return f"unknown fault `{name}`; known are {known}"


def _bare(act: Act) -> Callable[[str, str], Fault]:
    def read(name: str, argument: str) -> Fault:
        _refuse(name, argument)
        return Fault(name, act)

    return read


def _timed(act: Act) -> Callable[[str, str], Fault]:
    return lambda name, argument: Fault(name, act, seconds=_seconds(name, argument))


def _limiting(act: Act) -> Callable[[str, str], Fault]:
    def read(name: str, argument: str) -> Fault:
        if not argument:
            return Fault(name, Act.REPLY, status=429, text="Rate limit exceeded")
        return Fault(name, act, seconds=_seconds(name, argument))

    return read


def _server_error(act: Act) -> Callable[[str, str], Fault]:
    def read(name: str, argument: str) -> Fault:
        return Fault(name, act, status=int(name[:3]), text=argument or "Internal server error")

    return read


def _twisted(make: Callable[[str], Twist]) -> Callable[[str, str], Fault]:
    return lambda name, argument: Fault(name, Act.TWIST, twist=make(argument))


def _plain_twist(twist: Twist) -> Callable[[str, str], Fault]:
    def read(name: str, argument: str) -> Fault:
        _refuse(name, argument)
        return Fault(name, Act.TWIST, twist=twist)

    return read


def _read_ends(name: str, argument: str) -> Fault:
    if argument not in WORKFLOW_STATES:
        raise FaultError(f"`{name}` needs one of {', '.join(sorted(WORKFLOW_STATES))}, not `{argument}`")
    return Fault(name, Act.TWIST, twist=Twist(outcome=argument))


def _read_lag(name: str, argument: str) -> Fault:
    return Fault(name, Act.TWIST, twist=Twist(lag=_seconds(name, argument)))


def _read_status(name: str, argument: str) -> Fault:
    number, _, words = argument.partition(":")
    return Fault(name, Act.REPLY, status=_status(name, number), text=words or f"Status {number}")


def _read_redirect(name: str, argument: str) -> Fault:
    number, _, location = argument.partition(":")
    if not LOCATION.fullmatch(location):
        raise FaultError(f"`{name}` needs a status and a location, as in `{FAULTS[name].form}`")
    return Fault(name, Act.REDIRECT, status=_status(name, number), text=location)


def _read_siblings(name: str, argument: str) -> Fault:
    indexes, _, status = argument.partition(":")
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*", indexes):
        raise FaultError(f"`{name}` needs node indexes, as in `{FAULTS[name].form}`, not `{argument}`")
    nodes = {int(index): status or "failed" for index in indexes.split(",")}
    return Fault(name, Act.SIBLINGS, method="GET", nodes=nodes)


def _refuse(name: str, argument: str) -> None:
    if argument:
        raise FaultError(f"`{name}` takes no argument, but `{argument}` was given")


def _seconds(name: str, argument: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", argument) or float(argument) > LONGEST_WAIT:
        raise FaultError(f"`{name}` needs seconds from 0 to {LONGEST_WAIT:.0f}, as in `{name}:5`, not `{argument}`")
    return float(argument)


def _status(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) not in HTTP_STATUS:
        raise FaultError(f"`{name}` needs an HTTP status, as in `{FAULTS[name].form}`, not `{text}`")
    return int(text)


def _table() -> dict[str, Kind]:
    rows = (
        Kind("close", "end the connection; nothing is created", _bare(Act.CLOSE)),
        Kind("close-after-create", "create, then end the connection", _bare(Act.CLOSE_AFTER)),
        Kind("late:5", "handle 5 s late; not at all if the client has left", _timed(Act.LATE)),
        Kind("create-late:5", "handle 5 s late, even if the client has left", _timed(Act.LATE_EVEN_SO)),
        Kind("late-after-create:5", "create at once, answer 5 s late", _timed(Act.LATE_ANSWER)),
        Kind("cut", "create, then cut the answer's body short", _bare(Act.CUT)),
        Kind("garbage", "create, then answer with something that is not JSON", _bare(Act.GARBAGE)),
        Kind("429:1", "too many requests, Retry-After in seconds (none: no such header)", _limiting(Act.LIMIT)),
        Kind("429-date:1", "too many requests, Retry-After as a date", _limiting(Act.LIMIT_DATE)),
        *(Kind(f"{code}", f"answer {code}; nothing is created", _server_error(Act.REPLY)) for code in FIVES),
        *(
            Kind(f"{code}-after-create", f"create, then answer {code}", _server_error(Act.REPLY_AFTER))
            for code in FIVES
        ),
        Kind("status:403:message", "answer this status and message; nothing is created", _read_status),
        Kind(
            "skip",
            "200 and CircleCI's words for a skipped commit",
            _twisted(lambda words: Twist(instead=words or SKIP_TEXT)),
        ),
        Kind(
            "message:text",
            "200 with only a message, as v1.1 may fail",
            _twisted(lambda words: Twist(instead=words or V1_TEXT)),
        ),
        Kind("redirect:307:http://127.0.0.1:1/", "answer with a redirect", _read_redirect),
        Kind("errored:message", "create a run whose config has this error", _twisted(_erring)),
        Kind("no-workflow", "create a run in which nothing starts", _plain_twist(Twist(no_workflow=True))),
        Kind("moved", "create a run of another commit", _twisted(lambda sha: Twist(revision=sha))),
        Kind("unauthorized", "create workflows that may not run", _plain_twist(Twist(outcome="unauthorized"))),
        Kind("ends:failed", "create workflows that end in this state", _read_ends),
        Kind("lag:5", "create a run that lists and searches show 5 s late", _read_lag),
        Kind(
            "setup", "create a run of a dynamic config: first a setup workflow, then the others", _plain_twist(DYNAMIC)
        ),
        Kind("siblings:1,2:failed", "show these nodes of a parallel job in this state", _read_siblings),
    )
    return {kind.form.partition(":")[0]: kind for kind in rows}


def _erring(words: str) -> Twist:
    return Twist(errors=words or "Config is not valid")


DYNAMIC = Twist(setup=True)
FIVES = (500, 502, 503, 504)
FAULTS: Mapping[str, Kind] = MappingProxyType(_table())
"""Every kind by the word it starts with, in the order of the documentation."""
