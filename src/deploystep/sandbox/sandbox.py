"""The mock CircleCI server as one object, and how it answers one request from end to end."""

from __future__ import annotations

import base64
import hmac
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from . import control, pages, v1_1, v2, v3
from .messages import (
    CREDENTIALS,
    Call,
    Delivery,
    Recorded,
    RefusedError,
    Reply,
    Request,
    http_date,
    message,
)
from .schema import decoded
from .server import LOOPBACK, Server
from .state import NOTHING
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from typing_extensions import Self

    from .messages import Client
    from .routes import Route

CONTROL = "/sandbox/"
ROUTES = (*v2.ROUTES, *v3.ROUTES, *v1_1.ROUTES, *control.ROUTES, *pages.ROUTES)
OPEN = (CONTROL, pages.PLACE)
"""Paths for people and tests: they need no token, are not recorded, and meet no fault."""
QUERY_REFUSED = (
    "Support for query parameter authentication has been deprecated to improve security. "
    "Please use a supported authentication method such as header-based, or basic authentication."
)
"""v2 OpenAPI, 401_invalid_token, example `query_auth`."""
INVALID_TOKEN = "Invalid token provided."  # noqa: S105 - the answer's words (v2 OpenAPI, 401_invalid_token)
LOG_IN = "You must log in first."
"""Seen from v1.1 and the older v2 routes; v2's `me` says it to project tokens too."""


@dataclass(kw_only=True, eq=False)
class Sandbox(Store):
    """A small CircleCI on loopback. Use it as a context manager, or call `start` and `stop`; or only `respond`.

    `port` is where it listens; 0 is a free one. `Store` tells what else it can be given and asked.
    """

    port: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._server: Server | None = None

    def start(self) -> Self:
        """Listen; raises `OSError` if the port is taken."""
        self._server = Server(self.port, self._answer)
        return self

    def stop(self) -> None:
        """Stop listening and end every connection; what was recorded stays readable."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address to use in place of https://circleci.com; no slash at the end."""
        if self._server is None:
            raise RuntimeError("the sandbox has not been started")
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def respond(  # noqa: PLR0913, PLR0917 - the parts of a request, and who sends it
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] = NOTHING,
        body: bytes = b"",
        client: Client = lambda _seconds: True,
    ) -> Reply:
        """Answer one request without a socket, whether or not it was started; for simulations.

        `path` is percent-encoded and has no query. Faults that wait before they handle the request call `client` with
        the seconds to let pass; it returns whether the client is still there.
        """
        lower = {name.lower(): value for name, value in headers.items()}
        return self._answer(Request(method, path, query, lower, body), client)

    def _answer(self, request: Request, client: Client) -> Reply:
        """Answer in the error shape of the API that was asked, dated when the reply leaves; and record the request."""
        record = recorded(request, self.now())
        if not request.path.startswith(OPEN):
            with self.lock:
                self.recorded.append(record)
        pointer = title = ""
        try:
            reply = self._handled(request, client)
        except RefusedError as error:
            reply, pointer, title = message(error.status, str(error)), error.pointer, error.title
        if request.path.startswith("/api/v3/") and reply.status >= HTTPStatus.BAD_REQUEST:
            reply = v3.problem(reply, pointer, title)
        if request.path.startswith("/api/v1.1/") and "accept" not in request.headers:
            # v1.1 gives EDN to who does not ask for JSON; that it is no JSON is all that matters here.
            reply = replace(reply, body=b'{:message "ask for application/json"}', content_type="application/edn")
        record.status = None if reply.delivery is Delivery.NONE else reply.status
        leaves = self.now() + timedelta(seconds=reply.delay)
        return replace(reply, headers=(*reply.headers, ("Date", http_date(leaves))))

    def _handled(self, request: Request, client: Client) -> Reply:
        """Answer one request; raises `RefusedError`.

        A request without a route or a good token uses up no fault, and neither does one that is refused for what it
        says: a fault is there to befall a request that was right.
        """
        route, args = find(request)
        call = Call(request, args, self.now(), client)
        if request.path.startswith(OPEN):
            return route.handler(self, call)
        raise_unless_allowed(request, self.token)

        def handle(call: Call) -> Reply:
            with self.lock:
                return route.handler(self, call)

        fault = self.take_fault(request.method, request.path, route.kind)
        try:
            return fault.answer(handle, call) if fault else handle(call)
        except RefusedError as error:
            if fault and error.status >= HTTPStatus.BAD_REQUEST:
                self.give_back(fault)
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


def raise_unless_allowed(request: Request, accepted: str | None) -> None:
    """Let a request pass or raise `RefusedError`, in the words of the API asked; `Store` says which tokens are good.

    A project token is good for v1.1, while v2 answers as if the project did not exist (API developer's guide);
    elsewhere it is no token at all, which for v3 is a guess. v3 takes only Bearer tokens, as far as is attested.
    """
    path, headers = request.path, request.headers
    if "circle-token" in request.query:
        raise RefusedError(401, QUERY_REFUSED)
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    token = "" if "authorization" in headers else headers.get("circle-token", "")
    if scheme.lower() == "bearer":
        token = value.strip()
    elif scheme.lower() == "basic":
        with suppress(ValueError):
            # The token goes where the user name belongs; the password stays empty.
            token = base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
    if accepted is None:
        is_good = bool(token) and not token.startswith("invalid")
    else:
        is_good = hmac.compare_digest(token.encode(errors="replace"), accepted.encode(errors="replace"))
    if not is_good or (path.startswith("/api/v3/") and scheme.lower() != "bearer"):
        raise RefusedError(401, INVALID_TOKEN if path.endswith("/pipeline/run") else LOG_IN)
    if token.startswith("project") and not path.startswith("/api/v1.1/"):
        has_project = path.startswith("/api/v2/") and path != "/api/v2/me"
        raise RefusedError(404, "Project not found") if has_project else RefusedError(401, LOG_IN)


def recorded(request: Request, at: datetime) -> Recorded:
    """Turn a request into its record, without credentials."""
    body = request.body.decode(errors="replace") or None
    if body:
        with suppress(RefusedError):
            body = decoded(request.body)
    return Recorded(
        method=request.method,
        path=request.path,
        query={name: text for name, text in request.query.items() if name not in CREDENTIALS},
        headers={name: text for name, text in request.headers.items() if name not in CREDENTIALS},
        body=body,
        at=at,
    )
