"""Speaking to a sandbox over real HTTP, and a clock for it that only moves when told."""

import http.client
import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from deploystep.sandbox import Sandbox

SHOP = "gh/acme/shop"
PIPELINE = f"/api/v2/project/{SHOP}/pipeline"
RUN = f"{PIPELINE}/run"
TREE = "/api/v1.1/project/github/acme/shop/tree/main"
V3_RUNS = "/api/v3/runs"
MAIN = {"config": {"branch": "main"}, "checkout": {"branch": "main"}}
SHA = "4f2c1aa0b3d5e7f9a1b2c3d4e5f60718293a4b5c"
START = datetime(2026, 6, 16, 8, 2, 11, tzinfo=timezone.utc)


@dataclass
class Clock:
    """Use it as `now`; `passes` moves it on, in seconds."""

    moment: datetime = START

    def __call__(self) -> datetime:
        return self.moment

    def passes(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class Answer(NamedTuple):
    status: int
    headers: Message
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def call(sandbox: Sandbox, method: str, path: str, body: object = None, **more: Any) -> Answer:
    """Send one request; `body` is bytes or becomes JSON; `more`: headers, token, timeout. Raises as `http.client`."""
    token = more.get("token", "token")
    sent = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token is not None else {})}
    payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent |= {"Content-Type": "application/json"} if payload is not None else {}
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=more.get("timeout", 5.0))
    try:
        connection.request(method, path, body=payload, headers={**sent, **more.get("headers", {})})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read().decode())
    finally:
        connection.close()


def get(sandbox: Sandbox, path: str) -> Any:
    """What a reading is answered, as JSON."""
    return call(sandbox, "GET", path).json


def trigger(sandbox: Sandbox, body: object = None, **more: Any) -> Answer:
    return call(sandbox, "POST", RUN, MAIN if body is None else body, **more)


def v3_body(attributes: object = None, definition: str = "2338d0ae-5541-4bbf-88a2-55e9f7281f80") -> Any:
    references = {"pipeline": {"id": definition}}
    return {"data": {"attributes": dict(MAIN) if attributes is None else attributes, "references": references}}
