"""Servers that misbehave on a real socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Server:
    """Accepts connections and lets `behave` do with each what it likes; `received` holds what was sent."""

    def __init__(self, behave: Callable[[socket.socket], None], wrap: Any = None) -> None:
        self._behave, self._wrap = behave, wrap
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.received: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), plain, self._wrapped(plain) as connection:
                self.received.append(_request(connection))
                self._behave(connection)

    def _wrapped(self, plain: socket.socket) -> socket.socket:
        wrapped: socket.socket = self._wrap(plain) if self._wrap else plain
        return wrapped

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


def _request(connection: socket.socket) -> bytes:
    """Everything up to the end of the body, as far as Content-Length tells."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < int(lengths[0] if lengths else 0):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(behave: Callable[[socket.socket], None], wrap: Any = None) -> Server:
        started.append(Server(behave, wrap))
        return started[-1]

    yield start
    for server in started:
        server.stop()
