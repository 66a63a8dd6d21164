"""HTTP itself: connections that live on, limits, and input that is no HTTP at all."""

from __future__ import annotations

import http.client
import socket
import time
from urllib.parse import urlsplit

import pytest
from sandbox.calls import RUN, trigger

from deploystep.sandbox import Sandbox


def _raw(sandbox: Sandbox, data: bytes) -> bytes:
    """Send bytes and read until the other end closes."""
    port = urlsplit(sandbox.url).port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def _ask_again(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/api/v2/me", headers={"Circle-Token": "abc"})
    connection.getresponse()


def test_many_requests_over_one_connection(sandbox: Sandbox) -> None:
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)
    began = time.monotonic()
    for index in range(20):
        headers = {"Circle-Token": "abc", "Content-Type": "application/json"}
        connection.request("POST", RUN, body=b"{}" if index % 2 else b"[]", headers=headers)
        response = connection.getresponse()
        assert response.status == (201 if index % 2 else 400)
        assert response.version == 11
        response.read()
    connection.close()
    assert time.monotonic() - began < 0.5
    assert len(sandbox.runs) == 10


def test_a_port_can_be_chosen_and_taken() -> None:
    with Sandbox() as first:
        port = urlsplit(first.url).port
        assert port
        with pytest.raises(OSError, match="in use"):
            Sandbox(port=port).start()
    with Sandbox(port=port) as again:
        assert again.url == f"http://127.0.0.1:{port}"


def test_nothing_answers_once_it_is_stopped() -> None:
    sandbox = Sandbox().start()
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)
    connection.request("GET", "/api/v2/me", headers={"Circle-Token": "abc"})
    connection.getresponse().read()
    url = sandbox.url
    sandbox.stop()
    sandbox.stop()
    with pytest.raises(ConnectionError):
        _ask_again(connection)
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(urlsplit(url).netloc, timeout=5).connect()
    with pytest.raises(RuntimeError):
        _ = sandbox.url
    assert len(sandbox.requests) == 1


MALFORMED = [
    (b"", b""),
    (b"\x00\xff\xfe garbage\r\n\r\n", b"400"),
    (b"GET\r\n\r\n", b"400"),
    (b"GET /api/v2/me HTTP/9.9\r\n\r\n", b"505"),
    (b"BREW /api/v2/me HTTP/1.1\r\n\r\n", b"501"),
    (b"POST /x HTTP/1.1\r\nContent-Length: abc\r\n\r\n", b"400"),
    (b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
    (b"POST /x HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n", b"400"),
    (b"POST /x HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"400"),
    (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    (b"POST /x HTTP/1.1\r\nContent-Length: 10\r\n\r\nshort", b""),
    (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
    (b"GET /x HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"431"),
]


@pytest.mark.parametrize(("data", "status"), MALFORMED, ids=lambda value: repr(value)[:40])
def test_what_is_no_http_is_refused_and_kills_nothing(
    data: bytes, status: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with Sandbox() as sandbox:
        first_line = _raw(sandbox, data).partition(b"\r\n")[0]
        assert status in first_line
        assert bool(first_line) == bool(status)
        assert trigger(sandbox).status == 201
        assert len(sandbox.runs) == 1
    assert capfd.readouterr() == ("", "")
