"""What leaves on a real socket, byte for byte, and what is certain by what became of it."""

import contextlib
import gzip
import itertools
import json
import re
import shutil
import signal
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import requests
from builds import SHA, SHOP, spec

from deploystep import __version__
from deploystep.adapters import transport
from deploystep.adapters.transport import HttpTransport
from deploystep.circleci.apis import trigger_request
from deploystep.circleci.http import Failure, Request, Response, reading
from deploystep.core.retry import Fate
from deploystep.core.secret import Secret, read_address

Behave: TypeAlias = "Callable[[socket.socket], None]"
TOKEN, ELSEWHERE = "a-token-of-some-length", "https://circleci.example"
OK = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
CREATED = Response(201, {"content-type": "application/json", "content-length": "2"}, b"{}")
TRIGGER = trigger_request(spec(parameters={"sha": SHA, "dry": False, "n": 3}), SHOP)


class Server(socketserver.TCPServer):
    """Lets `behave` do with each connection what it likes; `received` holds what was sent."""

    def __init__(self, behave: Behave, wrap: Any) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.received: list[bytes] = []
        self._behave, self._wrap = behave, wrap
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        connection.settimeout(5)
        return self._wrap(connection), address

    def finish_request(self, connection: Any, _address: Any) -> None:
        lines = connection.makefile("rb")
        head = b"".join(itertools.takewhile(b"\r\n".__ne__, lines))
        length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
        self.received.append(head and head + b"\r\n" + lines.read(int(length[1]) if length else 0))
        lines.close()
        self._behave(connection)

    def handle_error(self, *_: Any) -> None:
        """Nothing: the client may leave whenever it likes."""

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    with contextlib.ExitStack() as stack:

        def start(behave: Behave, wrap: Any = lambda plain: plain) -> Server:
            server = Server(behave, wrap)
            stack.callback(server.stop)
            return server

        yield start


def send(host: str, request: Request = TRIGGER) -> Response | Failure:
    return HttpTransport(read_address(host), Secret(TOKEN)).send(request)


def at(server: Any, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{server.server_address[1]}"


def failed(host: str) -> Failure:
    result = send(host)
    assert isinstance(result, Failure), result
    assert TOKEN not in result.reason
    return result


def says(data: bytes) -> Behave:
    return lambda connection: connection.sendall(data)


# What leaves


def test_a_trigger_as_it_leaves(serve: Any) -> None:
    server = serve(says(OK))
    assert send(at(server)) == CREATED
    (received,) = server.received
    head, _, body = received.decode().partition("\r\n\r\n")
    first, *headers = head.split("\r\n")
    assert first == "POST /api/v2/project/gh/acme/shop/pipeline/run HTTP/1.1"
    assert {name for name in headers if not name.startswith("Accept-Encoding: ")} == {
        "Accept: application/json",
        f"Authorization: Bearer {TOKEN}",
        "Connection: close",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        f"Host: 127.0.0.1:{server.server_address[1]}",
        f"User-Agent: deploystep/{__version__}",
    }
    assert json.loads(body) == TRIGGER.body
    assert '"dry": false, "n": 3' in body


def test_a_read_as_it_leaves(serve: Any) -> None:
    server = serve(says(OK))
    send(at(server), reading("/api/v2/a%2Fb%20c%23%3F%252f", page="a b&c=/+ü%\ud800"))
    (received,) = server.received
    assert received.startswith(
        b"GET /api/v2/a%2Fb%20c%23%3F%252f?page=a%20b%26c%3D%2F%2B%C3%BC%25%ED%A0%80 HTTP/1.1\r\n"
    )
    assert b"Content-Type" not in received


def test_every_request_has_a_connection_of_its_own(serve: Any) -> None:
    """On one that is used again, a server that has just closed it looks like a lost trigger."""
    more: list[bytes] = []

    def keeps(connection: socket.socket) -> None:
        connection.sendall(OK)
        more.append(connection.recv(100))

    server = serve(keeps)
    sender = HttpTransport(read_address(at(server)), Secret(TOKEN))
    assert [sender.send(TRIGGER), sender.send(TRIGGER)] == [CREATED, CREATED]
    server.stop()
    assert more == [b"", b""], "the client closed it, and said no more"
    assert TOKEN not in repr(vars(sender))


# What comes back


def test_compressed(serve: Any) -> None:
    body = gzip.compress(b'{"id": 1}' + b" " * 500_000)
    head = b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    result = send(at(serve(says(head + body))))
    assert isinstance(result, Response)
    assert (result.status, result.headers["retry-after"], json.loads(result.body)) == (429, "7", {"id": 1})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", [b"https://evil.example/", b"/elsewhere", b"http://[", b"", b"http://a:b:c/"])
def test_no_redirect_is_followed(serve: Any, status: int, location: bytes) -> None:
    """A malformed Location would raise where it is looked at: as if nothing had been sent."""
    server = serve(says(b"HTTP/1.1 %d X\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, location)))
    result = send(at(server))
    assert isinstance(result, Response)
    assert (result.status, len(server.received)) == (status, 1)


@pytest.mark.parametrize("cookie", [b"a=b", b"a=b; Max-Age=" + b"9" * 4000, b"a=b; Max-Age=" + b"9" * 400, b"=;=\xff"])
def test_no_cookie_is_taken(serve: Any, cookie: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """Of one that it cannot read, the standard library prints a traceback."""
    server = serve(says(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: " + cookie + b"\r\nSet-Cookie2: x=y\r\n\r\n")))
    sender = HttpTransport(read_address(at(server)), Secret(TOKEN))
    results = [sender.send(TRIGGER), sender.send(TRIGGER)]
    assert [isinstance(result, Response) and result.body for result in results] == [b"{}", b"{}"]
    assert b"Cookie" not in b"".join(server.received)
    assert capsys.readouterr().err == ""


# What is certain where no answer came


NO_URL = "its address, or that of a proxy, is not a URL"
NO_BUNDLE = "the file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names is not there"


@pytest.mark.parametrize(
    ("host", "environ", "reason"),
    [
        ("http://127.0.0.1:1", {}, "connection refused"),
        ("https://circleci.invalid", {}, "its name was not found"),
        (ELSEWHERE, {"HTTPS_PROXY": "http://user:pw-123456@127.0.0.1:1"}, "connection refused"),
        (ELSEWHERE, {"HTTPS_PROXY": "http://"}, NO_URL),
        (ELSEWHERE, {"HTTPS_PROXY": "http://[::1"}, NO_URL),
        (ELSEWHERE, {"HTTPS_PROXY": "gopher://127.0.0.1:1"}, NO_URL),
        (ELSEWHERE, {"HTTPS_PROXY": "socks5://127.0.0.1:1"}, "its proxy needs a package that is not installed"),
        ("https://127.0.0.1:1", {"REQUESTS_CA_BUNDLE": "/nowhere/bundle.pem"}, NO_BUNDLE),
    ],
)
def test_not_reached(monkeypatch: pytest.MonkeyPatch, host: str, environ: dict[str, str], reason: str) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert failed(host) == Failure(Fate.NOT_RECEIVED, reason)


def resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (says(b""), "the connection was closed before an answer"),
        (resets, "the connection was reset"),
        (says(b"\x16\x03\x01 what is this\r\n\r\n"), None),
        (says(b"HTTP/1.1 " + TOKEN.encode() + b"\r\n\r\n"), None),
        (says(b"HTTP/1.1 200 OK\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(200)) + b"\r\n{}"), None),
        (says(b"HTTP/1.1 200 OK\r\nX: " + TOKEN.encode() * 4_000 + b"\r\n\r\n{}"), None),
        (says(b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{"), "the answer was cut off"),
        (says(CHUNKED + b"5\r\n{"), "the answer was cut off"),
        (says(CHUNKED + TOKEN.encode() + b"\r\n{"), "the answer was cut off"),
        (says(b"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"), None),
    ],
)
def test_lost_after_sending_is_unknown(serve: Any, behave: Behave, reason: str | None) -> None:
    server = serve(behave)
    result = failed(at(server))
    assert result.fate is Fate.UNKNOWN
    assert result.reason == reason if reason else re.fullmatch(r"the connection failed \(\w+\)", result.reason)
    assert len(server.received) == 1, "it was sent once and never again"


def drips(*pieces: bytes, again: bytes) -> Behave:
    """Pieces, of which the last comes again and again, each in time; then nothing, until the client leaves."""

    def behave(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
        for _ in range(60 if again else 0):
            connection.sendall(again)
            time.sleep(0.02)
        connection.recv(1)

    return behave


OK_HEAD = b"HTTP/1.1 201 Created\r\n"
SLOW = {
    "nothing": drips(again=b""),
    "status line": drips(b"HTTP/1.1 201 ", again=b"x"),
    "headers": drips(OK_HEAD, again=b"A: b\r\n"),
    "one header": drips(OK_HEAD + b"A: ", again=b"b"),
    "1xx": drips(b"", again=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": drips(OK_HEAD + b"Content-Length: 1000\r\n\r\n", again=b"x"),
    "body without length": drips(OK_HEAD + b"\r\n{}", again=b" "),
    "chunks": drips(CHUNKED, again=b"1\r\nx\r\n"),
    "chunk size": drips(CHUNKED, again=b"0"),
    "trailers": drips(CHUNKED + b"2\r\n{}\r\n0\r\n", again=b"A: b\r\n"),
    "empty gzip": drips(OK_HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"")[:10], again=b"\0\0\0\xff\xff"),
    "all but a byte": drips(OK[:-1], again=b""),
}


@pytest.mark.parametrize("behave", SLOW.values(), ids=SLOW)
@pytest.mark.parametrize(("request_", "limit"), [(TRIGGER, 0.1), (reading("/x"), 0.2)], ids=["trigger", "read"])
def test_a_deadline_for_the_whole_exchange(
    serve: Any, monkeypatch: pytest.MonkeyPatch, behave: Any, request_: Request, limit: float
) -> None:
    """Whatever is slow; and the end of a connection that was given up does not make a whole answer of a part."""
    monkeypatch.setattr(transport, "TRIGGER_TIMEOUT", 0.1)
    monkeypatch.setattr(transport, "READ_TIMEOUT", 0.2)
    server = serve(behave)
    began = time.monotonic()
    assert send(at(server), request_) == Failure(Fate.UNKNOWN, "no whole answer within 0 s")
    assert limit <= time.monotonic() - began < limit + 0.5
    server.stop()  # which waits until the client has left
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("slow", ["nothing", "headers"])
@pytest.mark.parametrize("way", ["TLS", "proxy"])
def test_a_deadline_for_the_connection(serve: Any, monkeypatch: pytest.MonkeyPatch, slow: str, way: str) -> None:
    """What was not begun by then is never sent."""
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.2)
    server = serve(SLOW[slow])
    if way == "proxy":
        monkeypatch.setenv("HTTPS_PROXY", at(server))
    began = time.monotonic()
    assert failed(at(server, "https") if way == "TLS" else ELSEWHERE).fate is Fate.NOT_RECEIVED
    assert time.monotonic() - began < 1
    server.stop()
    assert b"POST" not in b"".join(server.received)


def test_a_name_that_is_found_too_late(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.1)
    server, found = serve(says(OK)), socket.getaddrinfo

    def slowly(*arguments: Any, **named: Any) -> Any:
        time.sleep(0.4)
        return found(*arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    assert failed(at(server)) == Failure(Fate.NOT_RECEIVED, "no connection within 0 s")
    time.sleep(0.6)
    assert server.received in ([], [b""]), "nothing leaves after it was given up"


def test_a_signal_ends_the_wait_at_once(serve: Any) -> None:
    """And what has not left by then never does."""

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            send(at(serve(SLOW["headers"])))
        assert time.monotonic() - began < 0.5
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_body_without_end(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = (transport.CONNECT_TIMEOUT, transport.READ_TIMEOUT, transport.TRIGGER_TIMEOUT, transport.LARGEST_BODY)
    assert limits == (10.0, 60.0, 120.0, 16 * 1024 * 1024)
    monkeypatch.setattr(transport, "LARGEST_BODY", 100_000)
    server = serve(says(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000))
    assert failed(at(server)) == Failure(Fate.UNKNOWN, "the answer was too long")


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl command to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run([*command.split(), "-addext", names], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def serve_tls(serve: Any, certificate: Path) -> Callable[[bytes], Any]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return lambda data: serve(says(data), lambda plain: context.wrap_socket(plain, server_side=True))


@pytest.mark.parametrize("way", ["direct", "proxy"])
def test_a_certificate_that_nobody_vouches_for(serve_tls: Any, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Of a proxy's urllib3 tells in an error that was never raised."""
    server = serve_tls(OK)
    if way == "proxy":
        monkeypatch.setenv("HTTPS_PROXY", at(server, "https"))
    result = failed(at(server, "https") if way == "direct" else ELSEWHERE)
    assert result == Failure(Fate.NOT_RECEIVED, "its certificate could not be verified")
    assert server.received == []


ALERT = b"\x15\x03\x01\x00\x02\x02\x28"  # of TLS: handshake failure


@pytest.mark.parametrize("behave", [says(ALERT), says(OK), says(b""), resets], ids=["alert", "http", "closed", "reset"])
def test_no_tls_is_no_request(serve: Any, behave: Any) -> None:
    """Nothing of the trigger can have been received before the connection is secure."""

    def instead(plain: socket.socket) -> socket.socket:
        plain.recv(4096)
        behave(plain)
        plain.close()
        return plain

    server = serve(SLOW["nothing"], instead)
    assert failed(at(server, "https")).fate is Fate.NOT_RECEIVED
    assert b"POST" not in b"".join(server.received)


def test_a_private_certificate_authority(
    serve_tls: Any, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And `.netrc`, which would be asked on the way to any other host than this machine's plain http, is not."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password hunter2\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    assert requests.utils.get_netrc_auth("https://127.0.0.1") == ("mallory", "hunter2")
    server = serve_tls(OK)
    assert send(at(server, "https")) == CREATED
    assert f"Authorization: Bearer {TOKEN}\r\n".encode() in server.received[0]
    lost = serve_tls(b"")
    assert failed(at(lost, "https")).fate is Fate.UNKNOWN
    assert len(lost.received) == 1


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_bundle_that_holds_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    (tmp_path / "bundle.pem").write_text(text, encoding="utf-8")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "bundle.pem"))
    assert failed("https://127.0.0.1:1").fate is Fate.NOT_RECEIVED


# Proxies


def test_a_proxy_is_not_used_on_the_way_to_this_machine(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, server = serve(says(OK)), serve(says(OK))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, at(proxy))
    assert isinstance(send(at(server)), Response)
    assert (len(server.received), proxy.received) == (1, [])


@pytest.mark.parametrize("status", [b"403 Forbidden", b"407 Proxy Authentication Required", b"502 Bad Gateway"])
def test_a_proxy_that_refuses(serve: Any, monkeypatch: pytest.MonkeyPatch, status: bytes) -> None:
    proxy = serve(says(b"HTTP/1.1 " + status + b"\r\n\r\n"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pw-123456@127.0.0.1:{proxy.server_address[1]}")
    result = failed(ELSEWHERE)
    assert result == Failure(Fate.NOT_RECEIVED, "the proxy refused the connection")
    assert proxy.received[0].startswith(b"CONNECT circleci.example:443 HTTP/1.")
    assert TOKEN.encode() not in proxy.received[0], "the token goes to CircleCI and to nobody on the way"
