"""HTTP itself: connections that live on, limits, and input that is no HTTP at all."""

import http.client
import socket
import time
from urllib.parse import urlsplit

import pytest
from sandbox.calls import RUN, trigger

from deploystep.sandbox import Sandbox

HEADERS = {"Circle-Token": "abc", "Content-Type": "application/json"}


def _ask(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/api/v2/me", headers=HEADERS)
    connection.getresponse().read()


def test_many_requests_over_one_connection(sandbox: Sandbox) -> None:
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)
    began = time.monotonic()
    for index in range(20):
        connection.request("POST", RUN, body=b"{}" if index % 2 else b"[]", headers=HEADERS)
        response = connection.getresponse()
        assert (response.status, response.version) == (201 if index % 2 else 400, 11)
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


def test_nothing_answers_once_it_is_stopped(sandbox: Sandbox) -> None:
    connection, another = (http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5) for _ in range(2))
    _ask(connection)
    sandbox.stop()
    sandbox.stop()
    with pytest.raises(ConnectionError):
        _ask(connection)
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        another.connect()
    with pytest.raises(RuntimeError):
        _ = sandbox.url
    assert len(sandbox.requests) == 1


#: What is sent, and the status in the first line of the answer; empty where there is none.
MALFORMED = [
    (b"", b""),
    (b"\x00\xff\xfe garbage\r\n\r\n", b"400"),
    (b"GET /api/v2/me HTTP/9.9\r\n\r\n", b"505"),
    (b"BREW /api/v2/me HTTP/1.1\r\n\r\n", b"501"),
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
    sandbox: Sandbox, data: bytes, status: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", int(urlsplit(sandbox.url).port or 0)), timeout=5) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        first_line = b"".join(iter(lambda: connection.recv(65_536), b"")).partition(b"\r\n")[0]
    assert (status in first_line, bool(first_line)) == (True, bool(status))
    assert (trigger(sandbox).status, len(sandbox.runs)) == (201, 1)
    sandbox.stop()
    assert capfd.readouterr() == ("", "")
