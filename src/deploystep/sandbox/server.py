"""HTTP/1.1 on loopback: bytes to requests, replies to bytes. Nothing here knows what CircleCI is."""

import re
import select
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from .messages import Client, Delivery, Reply, Request, message

LOOPBACK = "127.0.0.1"
IDLE = 60.0
"""Seconds that a connection may stay silent."""
WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
POLL = 0.02
"""Seconds after which the server looks whether it is to stop."""


class Server(ThreadingHTTPServer):
    """A server that ends with its connections: once stopped, nothing answers any more."""

    daemon_threads = False  # so that closing the server waits for the threads of its connections
    request_queue_size = 128

    def __init__(self, port: int, answer: Callable[[Request, Client], Reply]) -> None:
        self.answer = answer
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        super().__init__((LOOPBACK, port), Connection)
        # A thread of its own, so that whoever starts the server goes on.
        threading.Thread(target=self.serve_forever, args=(POLL,), daemon=True).start()

    def server_bind(self) -> None:
        """Bind without asking a name server who 127.0.0.1 is, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    def stop(self) -> None:
        """Stop accepting, end what is open, and wait for the threads to notice."""
        self.stopping.set()
        self.shutdown()
        for connection in tuple(self._open):
            with suppress(OSError):  # it may be faster
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Remember the connection, then serve it in a thread of its own."""
        self._open.add(cast("socket.socket", request))
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close a connection and forget it."""
        self._open.discard(cast("socket.socket", request))
        super().shutdown_request(request)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Stay silent about connections that broke: clients in tests break them on purpose."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Connection(BaseHTTPRequestHandler):
    """One connection and the requests that come over it, one after the other."""

    protocol_version = "HTTP/1.1"
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
        """Answer one request; after one that cannot be read the connection must end."""
        length = self.headers.get("Content-Length", "0").strip()
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,6}", length):
            self.close_connection = True
            self._send(message(400, "Content-Length must say how long the body is, in less than 1000000 bytes"))
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionResetError("the request ended early")
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.server.answer(Request(self.command, path, query, headers, body), self.wait))

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - names of http.server

    def _send(self, reply: Reply) -> None:
        if reply.delay:
            self.wait(reply.delay)
        if reply.delivery is not Delivery.WHOLE:
            self.close_connection = True
        if reply.delivery is Delivery.NONE:
            return
        payload = b"" if reply.status in WITHOUT_BODY else reply.payload()
        self.send_response_only(reply.status)
        fields = (("Content-Type", reply.content_type), ("Content-Length", str(len(payload))), *reply.headers)
        for name, value in fields:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(payload[: len(payload) // 2] if reply.delivery is Delivery.CUT else payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing: what was asked is in the record."""
