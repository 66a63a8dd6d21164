"""One request from end to end: find its route, judge its token, apply a fault, let the handler answer."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import unquote

from . import control, v1_1, v2, v3
from .bodies import BodyError
from .credentials import raise_unless_allowed, recorded
from .messages import Call, Client, Delivery, RefusedError, Reply, Request, message
from .routes import Route
from .store import Store

CONTROL = "/sandbox/"
ROUTES = (*v2.ROUTES, *v3.ROUTES, *v1_1.ROUTES, *control.ROUTES)


def answer(store: Store, request: Request, client: Client) -> Reply:
    """Answer one request, in the error shape of the API that was asked, and record it unless it is the server's own."""
    record = recorded(request, store.now())
    if not request.path.startswith(CONTROL):
        store.record(record)
    is_v3, pointer, title = request.path.startswith("/api/v3/"), "", ""
    try:
        reply = _handled(store, request, client)
    except RefusedError as error:
        reply, pointer, title = message(error.status, str(error)), error.pointer, error.title
    except BodyError as error:
        pointer, title = error.pointer, error.title
        reply = message(400, error.detail if is_v3 else str(error))
    if is_v3 and "message" in (reply.body or ()) and reply.status >= HTTPStatus.BAD_REQUEST:
        reply = v3.problem(reply, pointer, title)
    if request.path.startswith("/api/v1.1/") and "accept" not in request.headers:
        # v1.1 gives EDN to who does not ask for JSON; that it is no JSON is all that matters here.
        reply = replace(reply, body=b'{:message "ask for application/json"}', content_type="application/edn")
    record.status = None if reply.delivery is Delivery.NONE else reply.status
    return reply


def _handled(store: Store, request: Request, client: Client) -> Reply:
    """Answer one request; raises `RefusedError` or `BodyError`.

    A request without a route or a good token uses up no fault, and neither does one that is refused for what it
    says: a fault is there to befall a request that was right.
    """
    route, args = find(request)
    call = Call(request, args, store.now(), client)
    if request.path.startswith(CONTROL):
        return route.handler(store, call)
    raise_unless_allowed(request, store.token)
    fault = store.take_fault(request.method, request.path, triggers=route.triggers, reads_job=route.reads_job)
    if fault is None:
        return route.handler(store, call)
    try:
        return fault.action(lambda changed: route.handler(store, changed), call)
    except (RefusedError, BodyError):
        store.give_back(fault)
        raise


def find(request: Request) -> tuple[Route, Mapping[str, str]]:
    """Find the route of a request, and what its path says; raises `RefusedError` as the real one would."""
    is_known = False
    for route in ROUTES:
        match = route.pattern.fullmatch(request.path)
        if match and route.method == request.method:
            return route, {name: unquote(text) for name, text in match.groupdict().items()}
        is_known = is_known or match is not None
    raise RefusedError(405, "Method not allowed") if is_known else RefusedError(404, "Not found")
