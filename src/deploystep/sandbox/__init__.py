"""A mock CircleCI server: HTTP/1.1 on loopback, and how one request is answered from end to end."""

import base64
import re
import select
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from . import apis, own_routes
from .faults import FAULTS, Fault, befall, parse_fault
from .messages import NOTHING, Call, Client, RefusedError, Reply, Request, decoded, http_date, message
from .store import JobView, Pace, Run, Store, TriggerBody, Workflow, WorkflowRun

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FAULTS", "Client", "Fault", "JobView", "Pace", "RefusedError", "Reply", "Run", "Sandbox"]
__all__ += ["TriggerBody", "Workflow", "WorkflowRun", "parse_fault"]

LOOPBACK = "127.0.0.1"
CREDENTIALS = frozenset({"authorization", "circle-token", "proxy-authorization", "cookie"})


class _Server(socketserver.ThreadingTCPServer):
    """Runs in threads of its own, until it is stopped: then nothing answers any more, also on open connections."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

    answer: Callable[..., Reply]
    stopping: threading.Event

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # clients in tests break connections on purpose
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60.0  # seconds that it may stay silent
    wbufsize = 65_536  # head and body leave in one piece; two would wait for each other on loopback (delayed ACK)
    server: _Server

    def wait(self, seconds: float) -> bool:
        if self.server.stopping.wait(seconds):
            raise ConnectionAbortedError("the server stops")
        readable, _, _ = select.select([self.connection], [], [], 0)
        with suppress(OSError):
            return not readable or self.connection.recv(1, socket.MSG_PEEK) != b""
        return False

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0").strip()
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,6}", length):
            self.close_connection = True
            self._send(message(400, "Content-Length must say how long the body is, in less than 1000000 bytes"))
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionResetError("the request ended early")
        self.wait(0)
        path, _, query = self.path.partition("?")
        self._send(self.server.answer(self.command, path, query, dict(self.headers), body, self.wait))

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - names of http.server

    def _send(self, reply: Reply) -> None:
        self.wait(reply.delay)
        self.close_connection = self.close_connection or reply.delivery != "whole"
        if reply.delivery == "none":
            return
        payload = b"" if reply.status in {204, 304} else reply.payload()
        self.send_response_only(reply.status)
        fields = [("Content-Type", reply.content_type), ("Content-Length", str(len(payload))), *reply.headers]
        for name, value in [*fields, *([("Connection", "close")] if self.close_connection else [])]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload[: len(payload) // 2] if reply.delivery == "cut" else payload)

    def log_message(self, *_: object) -> None:
        """Say nothing: what was asked is in the record."""


@dataclass(kw_only=True, eq=False)
class Sandbox(Store):
    """A small CircleCI on loopback. Use it as a context manager, or call `start` and `stop`; or only `respond`."""

    port: int = 0  # where it listens; 0 is a free one
    _server: _Server | None = field(default=None, init=False, repr=False)

    def start(self) -> "Self":
        """Listen; raises `OSError` if the port is taken."""
        self._server = server = _Server((LOOPBACK, self.port), _Connection)
        server.answer, server.stopping = self.respond, threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self, *_: object) -> None:
        """Stop listening, and answer nothing any more; what was recorded stays readable."""
        server, self._server = self._server, None
        if server is not None:
            server.stopping.set()
            server.shutdown()
            server.server_close()

    __enter__, __exit__ = start, stop

    @property
    def url(self) -> str:
        """The address to use in place of https://circleci.com; no slash at the end."""
        if self._server is None:
            raise RuntimeError("the sandbox has not been started")
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def respond(  # noqa: PLR0913, PLR0917 - the parts of a request, and who sends it
        self, method: str, path: str, query: str = "", headers: Mapping[str, str] = NOTHING, body: bytes = b"",
        client: Client = lambda _seconds: True,
    ) -> Reply:  # fmt: skip
        """Answer one request (its path percent-encoded), errors in the shape of the API asked; and record it."""
        lower = {name.lower(): value for name, value in headers.items()}
        request = Request(method, path, dict(parse_qsl(query, keep_blank_values=True)), lower, body, self.now())
        told, kept = ({n: v for n, v in part.items() if n not in CREDENTIALS} for part in (request.query, lower))
        record = Request(method, path, told, kept, body.decode(errors="replace") or None, request.at)
        with suppress(RefusedError):
            record.body = decoded(body)
        if not path.startswith(own_routes.PLACES):
            with self.lock:
                self.requests.append(record)
        try:
            reply = self._handled(request, client)
        except ValueError as error:
            reply = message(error.status if isinstance(error, RefusedError) else 400, str(error))
        if path.startswith("/api/v3/") and reply.status >= 400:  # noqa: PLR2004 - an error
            reply = apis.problem(reply)
        if path.startswith("/api/v1.1/") and "accept" not in lower:
            # v1.1 gives EDN to who does not ask for JSON; that it is no JSON is all that matters here.
            reply = replace(reply, body=b'{:message "ask for application/json"}', content_type="application/edn")
        record.status = None if reply.delivery == "none" else reply.status
        leaves = self.now() + timedelta(seconds=reply.delay)
        return replace(reply, headers=(*reply.headers, ("Date", http_date(leaves))))

    def _handled(self, request: Request, client: Client) -> Reply:
        # the server's own routes need no token, and meet no fault; a request that is refused uses none up
        routes = ((route, route[1].fullmatch(request.path)) for route in (*apis.ROUTES, *own_routes.ROUTES))
        matches = {route[0]: (*route[2:], match.groupdict()) for route, match in routes if match}
        if request.method not in matches:
            raise RefusedError(405, "Method not allowed") if matches else RefusedError(404, "Not found")
        handler, kind, parts = matches[request.method]

        def handle(call: Call) -> Reply:
            known: dict[str, Any] = {}
            with self.lock:
                for name, text in parts.items():
                    known[name] = self.named(name, unquote(text), call, known)
                answer = handler(self, call, **known)
            return answer if isinstance(answer, Reply) else Reply(200, answer)

        if request.path.startswith(own_routes.PLACES):
            return handle(Call(request, client))
        _raise_unless_allowed(request, self.token)
        with self.lock:
            fault = next((each for each in self.faults if each.meets(request.method, request.path, kind)), None)
            if fault is None:
                return handle(Call(request, client))
            self.faults.remove(fault)
        try:
            return befall(fault, handle, Call(request, client))
        except RefusedError as error:
            if error.status >= 400:  # noqa: PLR2004 - an error
                self.faults.insert(0, fault)
            raise


def _raise_unless_allowed(request: Request, accepted: str | None) -> None:
    """Let a request pass, or refuse it in the words of the API asked; without `accepted` any token is good."""
    if "circle-token" in request.query:  # v2 OpenAPI, 401_invalid_token, example `query_auth`
        raise RefusedError(401, "Support for query parameter authentication has been deprecated to improve security.")
    scheme, _, value = request.headers.get("authorization", "").strip().partition(" ")
    is_v3 = request.path.startswith("/api/v3/")  # which takes only Bearer tokens, as far as is attested
    token = "" if scheme or is_v3 else request.headers.get("circle-token", "")
    if scheme.lower() == "bearer":
        token = value.strip()
    elif scheme.lower() == "basic" and not is_v3:  # the user name is the token; the password stays empty
        with suppress(ValueError):
            token = base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
    if not token or accepted not in {None, token}:
        # v2 OpenAPI, 401_invalid_token; the other text was seen from v1.1 and the older v2 routes
        text = "Invalid token provided." if request.path.endswith("/pipeline/run") else "You must log in first."
        raise RefusedError(401, text)
