"""What is certain of a trigger, by what became of it on a real socket."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from builds import SHOP, spec

from deploystep.adapters import http
from deploystep.adapters.http import HttpTransport
from deploystep.circleci import v2
from deploystep.circleci.wire import Failure, Response
from deploystep.core.address import read_address
from deploystep.core.retry import Fate
from deploystep.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

TOKEN = "a-token-of-some-length"
OK = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def post(host: str) -> Response | Failure:
    return HttpTransport(read_address(host), Secret(TOKEN)).send(v2.run_request(spec(), SHOP))


def failed(host: str) -> Failure:
    result = post(host)
    assert isinstance(result, Failure), result
    assert TOKEN not in result.reason
    return result


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def says(data: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(data)


def resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def sleeps(_connection: socket.socket) -> None:
    time.sleep(0.6)


def test_an_answer(serve: Any) -> None:
    server = serve(says(OK))
    assert post(f"http://127.0.0.1:{server.port}") == Response(
        201, {"content-type": "application/json", "content-length": "2"}, b"{}"
    )
    assert len(server.received) == 1


def test_refused() -> None:
    assert failed(f"http://127.0.0.1:{free_port()}") == Failure(Fate.NOT_RECEIVED, "connection refused")


def test_name_not_found() -> None:
    assert failed("https://circleci.invalid") == Failure(Fate.NOT_RECEIVED, "its name was not found")


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (says(b""), "the connection was closed before an answer"),
        (resets, "the connection was reset"),
        (says(b"\x16\x03\x01 what is this\r\n\r\n"), None),
        (says(b"HTTP/1.1 two hundred\r\n\r\n"), None),
        (says(b"HTTP/1.1 200 OK\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(200)) + b"\r\n{}"), None),
        (says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n{}"), None),
        (says(b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{"), "the answer was cut off"),
        (says(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"), "the answer was cut off"),
        (says(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{"), None),
        (says(b"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"), None),
    ],
)
def test_lost_after_sending_is_unknown(serve: Any, behave: Callable[[socket.socket], None], reason: str | None) -> None:
    server = serve(behave)
    result = failed(f"http://127.0.0.1:{server.port}")
    assert result.fate is Fate.UNKNOWN
    assert reason is None or result.reason == reason
    assert len(server.received) == 1, "it was sent once and never again"
    assert server.received[0].startswith(b"POST /api/v2/project/gh/acme/shop/pipeline/run HTTP/1.1\r\n")


def test_no_answer_in_time(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ_TIMEOUT", 0.1)
    server = serve(sleeps)
    result = failed(f"http://127.0.0.1:{server.port}")
    assert result.fate is Fate.UNKNOWN
    assert result.reason.startswith("no answer within")
    assert len(server.received) == 1


def test_the_body_stops(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ_TIMEOUT", 0.1)

    def stops(connection: socket.socket) -> None:
        connection.sendall(OK[:-1])
        time.sleep(0.4)

    result = failed(f"http://127.0.0.1:{serve(stops).port}")
    assert result.fate is Fate.UNKNOWN
    assert result.reason.startswith("no answer within")


@pytest.mark.parametrize("head", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_a_body_that_drips_for_ever(serve: Any, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    """Each piece comes in time, the whole never would."""
    monkeypatch.setattr(http, "WHOLE_TIMEOUT", 0.2)

    def drips(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 201 Created\r\n" + head + b"\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"1\r\nx\r\n" if b"chunked" in head else b"x")
            time.sleep(0.03)

    began = time.monotonic()
    result = failed(f"http://127.0.0.1:{serve(drips).port}")
    assert result == Failure(Fate.UNKNOWN, "the answer was too long")
    assert time.monotonic() - began < 1


def test_a_body_without_end(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_BODY", 100_000)
    server = serve(says(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000))
    assert failed(f"http://127.0.0.1:{server.port}") == Failure(Fate.UNKNOWN, "the answer was too long")


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl command to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return folder


def tls(folder: Path) -> Callable[[socket.socket], socket.socket]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return lambda plain: context.wrap_socket(plain, server_side=True)


def test_a_certificate_that_nobody_vouches_for(serve: Any, certificate: Path) -> None:
    server = serve(says(OK), tls(certificate))
    assert failed(f"https://127.0.0.1:{server.port}") == Failure(
        Fate.NOT_RECEIVED, "its certificate could not be verified"
    )
    assert server.received == []


def test_a_private_certificate_authority(serve: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    server = serve(says(OK), tls(certificate))
    result = post(f"https://127.0.0.1:{server.port}")
    assert isinstance(result, Response)
    assert result.status == 201


def test_lost_after_sending_over_tls(serve: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    server = serve(says(b""), tls(certificate))
    assert failed(f"https://127.0.0.1:{server.port}").fate is Fate.UNKNOWN
    assert len(server.received) == 1


def test_a_bundle_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    result = failed(f"https://127.0.0.1:{free_port()}")
    assert result.fate is Fate.NOT_RECEIVED
    assert "REQUESTS_CA_BUNDLE" in result.reason


# Proxies


def test_a_proxy_is_not_used_on_the_way_to_this_machine(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, server = serve(says(OK)), serve(says(OK))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert isinstance(post(f"http://127.0.0.1:{server.port}"), Response)
    assert (len(server.received), proxy.received) == (1, [])


@pytest.mark.parametrize("status", [b"403 Forbidden", b"407 Proxy Authentication Required", b"502 Bad Gateway"])
def test_a_proxy_that_refuses(serve: Any, monkeypatch: pytest.MonkeyPatch, status: bytes) -> None:
    proxy = serve(says(b"HTTP/1.1 " + status + b"\r\n\r\n"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pw-123456@127.0.0.1:{proxy.port}")
    result = failed("https://circleci.example")
    assert result == Failure(Fate.NOT_RECEIVED, "the proxy refused the connection")
    assert proxy.received[0].startswith(b"CONNECT circleci.example:443 HTTP/1.")
    assert TOKEN.encode() not in proxy.received[0], "the token goes to CircleCI and to nobody on the way"


def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pw-123456@127.0.0.1:{free_port()}")
    result = failed("https://circleci.example")
    assert result.fate is Fate.NOT_RECEIVED
    assert "pw-123456" not in result.reason


@pytest.mark.parametrize("proxy", ["http://", "socks5://127.0.0.1:1", "gopher://127.0.0.1:1", "http://[::1"])
def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert failed("https://circleci.example").fate is Fate.NOT_RECEIVED
