"""HTTP/1.1 on loopback: bytes to requests, replies to bytes. Nothing here knows what CircleCI is."""

import select
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from .messages import Client, Delivery, Reply, Request, message

LOOPBACK = "127.0.0.1"
MAX_BODY = 1_000_000
"""Bytes; a trigger needs a few hundred."""
IDLE = 60.0
"""Seconds that a connection may stay silent."""
WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
LAST_WORDS = 2.0
"""Seconds that requests under way get when the server stops."""


class Server(ThreadingHTTPServer):
    """A server that ends with its connections: once stopped, nothing answers any more."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, answer: Callable[[Request, Client], Reply]) -> None:
        self.answer = answer
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._idle = threading.Condition()
        super().__init__((LOOPBACK, port), Connection)
        # A thread of its own, so that whoever starts the server goes on.
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def server_bind(self) -> None:
        """Bind without asking a name server who 127.0.0.1 is, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    def _accept(self) -> None:
        """Accept until told to stop, without waking up in between as `serve_forever` does."""
        while not self.stopping.is_set():
            self.handle_request()

    def verify_request(self, request: object, client_address: object) -> bool:
        """Turn away whoever comes once the server stops, `stop`'s own wake-up call included."""
        del request, client_address
        return not self.stopping.is_set()

    def stop(self) -> None:
        """Stop accepting, end what is open, and wait for the threads to notice."""
        self.stopping.set()
        with socket.create_connection((LOOPBACK, self.server_port), timeout=LAST_WORDS):
            self._thread.join()
        self.server_close()
        with self._idle:
            for connection in self._open:
                _shut(connection)
            self._idle.wait_for(lambda: not self._open, timeout=LAST_WORDS)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Remember the connection, then serve it in a thread of its own."""
        with self._idle:
            self._open.add(cast("socket.socket", request))
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close a connection and forget it."""
        super().shutdown_request(request)
        with self._idle:
            self._open.discard(cast("socket.socket", request))
            self._idle.notify_all()

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Stay silent about connections that broke: clients in tests break them on purpose."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it was faster


class Connection(BaseHTTPRequestHandler):
    """One connection and the requests that come over it, one after the other."""

    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    timeout = IDLE
    wbufsize = 65_536
    """Head and body leave in one piece; two would wait for each other on loopback (delayed ACK)."""
    server: Server

    def wait(self, seconds: float) -> bool:
        """Let time pass and tell whether the client is still there; raises `ConnectionError` if the server stops."""
        if self.server.stopping.wait(seconds):
            raise ConnectionAbortedError("the server stops")
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return not readable or self.connection.recv(1, socket.MSG_PEEK) != b""
        except OSError:
            return False

    def _serve(self) -> None:
        request = self._read()
        if isinstance(request, Reply):
            self.close_connection = True
            self._send(request)
            return
        self._send(self.server.answer(request, self.wait))

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - names of http.server

    def _read(self) -> Request | Reply:
        """Read one request, or say why it cannot be read; then the connection must end."""
        length = self.headers.get("Content-Length", "0").strip()
        if "Transfer-Encoding" in self.headers:
            return message(411, "Content-Length is required")
        if not length.isascii() or not length.isdigit():
            return message(400, "Content-Length must be a number")
        if len(length) > len(str(MAX_BODY)) or int(length) > MAX_BODY:
            return message(413, f"The body is longer than {MAX_BODY} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionResetError("the request ended early")
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, path, query, headers, body)

    def _send(self, reply: Reply) -> None:
        if reply.delay:
            self.wait(reply.delay)
        if reply.delivery is Delivery.NONE:
            self.close_connection = True
            return
        payload = b"" if reply.status in WITHOUT_BODY else reply.payload()
        if reply.delivery is Delivery.CUT:
            self.close_connection = True
        self.send_response_only(reply.status)
        fields = (("Content-Type", reply.content_type), ("Content-Length", str(len(payload))), *reply.headers)
        for name, value in (("Server", self.server_version), *fields):
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(payload[: len(payload) // 2] if reply.delivery is Delivery.CUT else payload)

    def handle_expect_100(self) -> bool:
        """Ask for the body at once: what is only buffered would leave both sides waiting."""
        allowed = super().handle_expect_100()
        self.wfile.flush()
        return allowed

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing: what was asked is in the record."""
