"""One request from end to end: find its route, judge its token, apply a fault, let the handler answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from . import auth, routing, v1_1, v3
from .auth import Standing
from .faults import Act, Fault
from .routing import Call, Family, Match, Route
from .vocabulary import http_date
from .wire import Delivery, Reply, Request, message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .state import State

QUERY_REFUSED = (
    "Support for query parameter authentication has been deprecated to improve security. "
    "Please use a supported authentication method such as header-based, or basic authentication."
)
"""v2 OpenAPI, 401_invalid_token, example `query_auth`."""
INVALID_TOKEN = "Invalid token provided."  # noqa: S105 - the answer's words (v2 OpenAPI, 401_invalid_token)
LOG_IN = "You must log in first."
"""Seen from v1.1 and the older v2 routes; v2's `me` says it to project tokens too."""
GARBAGE = b"<html><body>upstream sent something else</body></html>"
WITHOUT_PROJECT = frozenset({Family.V2_ME, Family.V3})
"""Where a project token is no token at all; for v3 that is a guess."""
NO_ANSWER = Reply(0, delivery=Delivery.NONE)
BEFORE_HANDLING = frozenset({Act.CLOSE, Act.LATE, Act.LATE_EVEN_SO, Act.REPLY, Act.REDIRECT, Act.LIMIT, Act.LIMIT_DATE})


class Client(Protocol):
    """The other end of the connection, as far as faults need it. A simulation's moves its own clock in `wait`."""

    def wait(self, seconds: float) -> bool:
        """Let time pass; False if the stand-in is being stopped."""
        ...

    def has_left(self) -> bool:
        """Tell whether the client has given up waiting."""
        ...


class Patient:
    """A client that never leaves, and for which no time passes."""

    def wait(self, seconds: float) -> bool:
        """Go on at once."""
        del seconds
        return True

    def has_left(self) -> bool:
        """Say that it is still there."""
        return False


PATIENT = Patient()


def answer(state: State, routes: Iterable[Route], request: Request, client: Client) -> Reply:
    """Answer one request, in the error shape of the API that was asked."""
    reply = _answer(state, routes, request, client)
    return v3.worded(reply) if request.path.startswith(v3.ROOT) else reply


def _answer(state: State, routes: Iterable[Route], request: Request, client: Client) -> Reply:
    """Answer one request.

    A request without a route or a good token uses up no fault, and neither does one that is refused for
    what it says: a fault is there to befall a request that was right.
    """
    match = routing.find(routes, request)
    if isinstance(match, Reply):
        return match
    if match.route.family is Family.CONTROL:
        return match.route.handler(state, Call(request, match.args))
    reply = refusal(_standing(state, request, match.route.family), match.route.family)
    reply = reply or _answer_with_fault(state, match, request, client)
    return v1_1.encoded(reply, request.headers.get("accept")) if match.route.family is Family.V1_1 else reply


def _standing(state: State, request: Request, family: Family) -> Standing:
    standing = auth.standing(request, state.settings.token)
    return auth.bearer(request, standing) if family is Family.V3 else standing


def refusal(standing: Standing, family: Family) -> Reply | None:
    """Refuse credentials in the words of the API asked, or let them pass."""
    if standing is Standing.PERSONAL or (standing is Standing.PROJECT and family is Family.V1_1):
        return None
    if standing is Standing.IN_QUERY:
        return message(401, QUERY_REFUSED)
    if standing is Standing.PROJECT and family not in WITHOUT_PROJECT:
        return message(404, "Project not found")
    return message(401, INVALID_TOKEN if family is Family.V2_RUN else LOG_IN)


def _answer_with_fault(state: State, match: Match, request: Request, client: Client) -> Reply:
    route = match.route
    fault = state.take_fault(request.method, request.path, triggers=route.triggers, reads_job=route.reads_job)
    call = Call(request, match.args)
    if fault is None:
        return route.handler(state, call)
    if fault.act in BEFORE_HANDLING:
        return _instead(state, fault, client) or route.handler(state, call)
    reply = route.handler(state, replace(call, twist=fault.twist, nodes=fault.nodes))
    if reply.status >= 400:  # noqa: PLR2004 - where HTTP's errors begin
        state.give_back(fault)
        return reply
    return _spoiled(fault, reply)


def _instead(state: State, fault: Fault, client: Client) -> Reply | None:
    """Answer in the handler's place; None lets it answer after all."""
    if fault.act in (Act.LATE, Act.LATE_EVEN_SO):
        going_on = client.wait(fault.seconds)
        wanted = going_on and (fault.act is Act.LATE_EVEN_SO or not client.has_left())
        return None if wanted else NO_ANSWER
    return _REPLIES[fault.act](state, fault)


def _plain(_state: State, fault: Fault) -> Reply:
    return message(fault.status, fault.text)


def _redirect(_state: State, fault: Fault) -> Reply:
    return message(fault.status, "Redirecting", ("Location", fault.text))


def _limit(_state: State, fault: Fault) -> Reply:
    return message(429, "Rate limit exceeded", ("Retry-After", f"{fault.seconds:g}"))


def _limit_date(state: State, fault: Fault) -> Reply:
    date = http_date(state.settings.now() + timedelta(seconds=fault.seconds))
    return message(429, "Rate limit exceeded", ("Retry-After", date))


_REPLIES: dict[Act, Callable[[State, Fault], Reply]] = {
    Act.CLOSE: lambda _state, _fault: NO_ANSWER,
    Act.REPLY: _plain,
    Act.REDIRECT: _redirect,
    Act.LIMIT: _limit,
    Act.LIMIT_DATE: _limit_date,
}


def _spoiled(fault: Fault, reply: Reply) -> Reply:
    """Let something happen to the answer of a request that has been handled."""
    if fault.act is Act.CLOSE_AFTER:
        return replace(reply, delivery=Delivery.NONE)
    if fault.act is Act.LATE_ANSWER:
        return replace(reply, delay=fault.seconds)
    if fault.act is Act.CUT:
        return replace(reply, delivery=Delivery.CUT)
    if fault.act is Act.GARBAGE:
        return replace(reply, body=GARBAGE, content_type="text/html")
    return message(fault.status, fault.text) if fault.act is Act.REPLY_AFTER else reply
