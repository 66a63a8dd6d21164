"""A server that answers what a test has written down, and knows nothing of CircleCI.

It shares no code with the client, nor with the sandbox: what is sent and received here is exactly what a test says.
"""

import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from typing_extensions import Self

WORKFLOW_JOBS = re.compile(r"GET /api/v2/workflow/[^/]+/job")


@dataclass(frozen=True)
class Answer:
    """One answer. `body` is sent as JSON, bytes as they are; `delay` is in seconds; `closes` answers nothing at all."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    closes: bool = False


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]


class ScriptedServer(ThreadingHTTPServer):
    """Routes, such as `GET /api/v2/me`, to answers in order, of which the last is repeated.

    A request without a route is answered with 404, and fails the test when the server is left; but workflows whose jobs
    a test does not name have none that did not run.
    """

    def __init__(self, routes: Mapping[str, Answer | Sequence[Answer]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[Received] = []
        self._routes = {route: [a] if isinstance(a, Answer) else list(a) for route, a in routes.items()}
        self._unexpected: list[str] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.shutdown()
        self.server_close()
        assert kind is not None or not self._unexpected, self._unexpected

    def asked(self, route: str) -> list[Received]:
        """Every request to this route, in the order in which they came."""
        return [r for r in self.requests if f"{r.method} {r.path}" == route]

    def answer(self, received: Received) -> Answer:
        route = f"{received.method} {received.path}"
        with self._lock:
            self.requests.append(received)
            if answers := self._routes.get(route):
                return answers.pop(0) if len(answers) > 1 else answers[0]
            if WORKFLOW_JOBS.fullmatch(route):
                return Answer(200, {"items": [], "next_page_token": None})
            self._unexpected.append(route)
            return Answer(404, {"message": "this test has no such route"})


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.answer(Received(self.command, urlsplit(self.path).path, headers))
        time.sleep(answer.delay)
        self.close_connection = True
        if answer.closes:
            return
        body = answer.body
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        usual = {"Date": self.date_time_string(), "Content-Type": "application/json", "Connection": "close"}
        self.send_response_only(answer.status)
        for name, value in {**usual, "Content-Length": str(len(content)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - named by http.server

    def log_message(self, *_: object) -> None:
        pass
