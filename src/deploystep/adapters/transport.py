"""HTTP by `requests`: one request, one attempt, and what is certain where no answer came back.

The token goes into one header, to one host. Redirects are not followed, `.netrc` is not asked, cookies are not read,
and every request has a connection of its own: on one that is reused, a server that has just closed it looks like a lost
trigger.

An exchange has one deadline, whatever is slow. It takes place in a thread, which is not waited for after that.
"""

import signal
import socket
import ssl
import time
from contextlib import suppress
from http.client import IncompleteRead, RemoteDisconnected
from threading import Condition, Thread
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from deploystep import __version__
from deploystep.circleci.http import Failure, Request, Response, Result, segment
from deploystep.core.retry import Fate, Repeat
from deploystep.core.secret import Address, Secret

CONNECT_TIMEOUT: Final = 10.0  # seconds until a connection is ready: name, TCP, proxy and TLS
READ_TIMEOUT: Final = 60.0  # seconds until the whole answer to a read is there
TRIGGER_TIMEOUT: Final = 120.0  # the same for what may be sent only once
ADDRESS_TIMEOUT: Final = 5.0  # seconds for one address of several that a name has
LARGEST_BODY: Final = 16 * 1024 * 1024
_PIECE: Final = 64 * 1024


class _Ended(Exception):
    """Why this exchange is ended from here, in words."""


class _Exchange:
    """How far one request has got. Once it is given up, nothing more of it is sent."""

    def __init__(self) -> None:
        self.is_begun = False  # whether the first byte of the request may have left
        self._result: Response | BaseException | None = None
        self._is_given_up = False
        self._changed = Condition()
        self._sockets: list[tuple[socket.socket, socket.socket]] = []

    def hold(self, connection: socket.socket) -> None:
        """Keep a second handle on a connection, with which it can be shut down whatever is made of the first."""
        with self._changed:
            if self._is_given_up:
                connection.close()
                raise _Ended("given up")
            self._sockets.append((connection, connection.dup()))

    def check(self, *, is_begun: bool = False) -> None:
        """Raise where nothing must be sent any more; else the request may be about to be sent (`is_begun`)."""
        with self._changed:
            if self._is_given_up:
                raise _Ended("given up")
            self.is_begun = is_begun
            self._changed.notify()

    def end(self, result: Response | BaseException) -> None:
        """Note what came of it, and close what the thread leaves open.

        urllib3 1 does so with a connection whose proxy said no; what still reads from it would put off a mere close.
        """
        with self._changed:
            self._result = self._result or result
            self._changed.notify()
        for connection, _ in self._sockets:
            descriptor = connection.detach()
            if descriptor >= 0:
                socket.close(descriptor)

    def wait(self, limit: float) -> Response | BaseException | None:
        """What came of it; None where it was not begun, or not ended, in time; `limit` is in seconds."""
        end = time.monotonic() + limit
        with self._changed:
            if self._changed.wait_for(lambda: self.is_begun or self._result is not None, CONNECT_TIMEOUT):
                self._changed.wait_for(lambda: self._result is not None, end - time.monotonic())
            self._is_given_up = True
            return self._result

    def give_up(self) -> None:
        """Let nothing more leave, and end what the thread is waiting for."""
        with self._changed:
            self._is_given_up = True
            for _, handle in self._sockets:
                with suppress(OSError), handle:
                    handle.shutdown(socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Tells an exchange how far its request has got."""

    def __init__(self, exchange: _Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Prepare a pool of connections, of whatever kind it is: direct, or through a proxy."""
        conn.ConnectionCls = _told(conn.ConnectionCls, self._exchange)
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """The answer without headers at which `requests` would look: a malformed Location raises, as if never sent.

        Of a cookie that it cannot read, the standard library prints a traceback.
        """
        resp.headers.pop("location", None)
        original = getattr(resp, "_original_response", None)  # where `requests` looks for cookies
        if original is not None:
            del original.msg["Set-Cookie"], original.msg["Set-Cookie2"]
        return super().build_response(req, resp)


def _told(kind: Any, exchange: _Exchange) -> Any:
    """A kind of connection that tells the exchange of its socket, and when the request itself is about to be sent."""

    class Connection(kind):  # type: ignore[misc] # urllib3 and PySocks have a class for each way to connect
        def _new_conn(self) -> socket.socket:
            made: socket.socket = super()._new_conn()
            exchange.hold(made)
            return made

        def _tunnel(self) -> None:
            super()._tunnel()
            exchange.check()  # to a proxy that was cut off, its answer looks like a whole one

        def endheaders(self, *body: Any, **more: Any) -> None:
            if self.sock is None:
                self.connect()
            exchange.check(is_begun=True)
            super().endheaders(*body, **more)

    return Connection


class HttpTransport:
    """Sends requests to one address with one token."""

    def __init__(self, address: Address, token: Secret, *, read_timeout: float | None = None) -> None:
        self._address = address
        self._token = token
        self._read_timeout = read_timeout

    @property
    def host(self) -> str:
        """The address that requests go to, without a trailing slash."""
        return str(self._address)

    def send(self, request: Request) -> Result:
        """The complete answer, or what is certain about the attempt."""
        exchange = _Exchange()
        limit = (self._read_timeout or READ_TIMEOUT) if request.repeat is Repeat.FREELY else TRIGGER_TIMEOUT
        Thread(target=self._carry_out, args=(request, exchange, limit), daemon=True).start()
        try:
            result = exchange.wait(limit)
        finally:
            exchange.give_up()  # on a signal too
        if isinstance(result, Response):
            return result
        # certainly not received only where the request was not begun; of the rest nothing is certain
        fate = Fate.UNKNOWN if exchange.is_begun else Fate.NOT_RECEIVED
        if result is not None:
            if not isinstance(result, _FORESEEN):
                raise result
            return Failure(fate, _reason(result))
        what, seconds = ("whole answer", limit) if exchange.is_begun else ("connection", CONNECT_TIMEOUT)
        return Failure(fate, f"no {what} within {seconds:.0f} s")

    def _carry_out(self, request: Request, exchange: _Exchange, limit: float) -> None:
        """Send the request and read the answer, in a thread of its own, which leaves signals to the main one."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            with requests.Session() as session, self._open(session, request, exchange, limit) as answer:
                answer.raw.enforce_content_length = True  # urllib3 1 takes a body that was cut off for a whole one
                body = bytearray()
                for piece in answer.iter_content(_PIECE):
                    body += piece
                    if len(body) > LARGEST_BODY:
                        raise _Ended("the answer was too long")  # noqa: TRY301 - as every other end
                headers = {name.lower(): value for name, value in answer.headers.items()}
                exchange.end(Response(answer.status_code, headers, bytes(body)))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the result is waited for
            exchange.end(error)

    def _open(
        self, session: requests.Session, request: Request, exchange: _Exchange, limit: float
    ) -> requests.Response:
        # plain http goes to loopback only, and must not pass through a proxy on the way
        session.trust_env = self._address.scheme == "https"
        session.mount(f"{self._address.scheme}://", _Adapter(exchange))
        query = "&".join(f"{segment(name)}={segment(value)}" for name, value in request.query.items())
        url = self.host + request.path + ("?" * bool(query)) + query
        headers = {"Accept": "application/json", "User-Agent": f"deploystep/{__version__}", "Connection": "close"}
        return session.request(
            request.method,
            url,
            json=request.body,
            auth=self._authorized,
            headers=headers,
            timeout=(ADDRESS_TIMEOUT, limit + 1.0),  # later than the deadline, which says what it was
            allow_redirects=False,
            stream=True,
        )

    def _authorized(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with its header, set last, so that neither `.netrc` nor a session can replace it."""
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


def _reason(error: BaseException) -> str:
    """A few words for people. Library texts can quote URLs and headers, so none is passed on."""
    causes = [error]
    for cause in causes:  # which grow: urllib3 keeps some that were never raised in `args` and `reason`
        more = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        causes += [each for each in more if isinstance(each, BaseException) and each not in causes]
    for kind, beginning, words in _REASONS:
        for cause in causes:
            if isinstance(cause, kind) and str(cause).startswith(beginning):
                return words or str(cause)
    return f"the connection failed ({type(causes[-1]).__name__})"


_FORESEEN: Final = (requests.RequestException, HTTPError, OSError, ValueError, _Ended)
_NO_BUNDLE: Final = "the file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names is not there"
#: A kind of exception, how its text begins, and what that means; an empty text stands for the exception's own.
_REASONS: Final = (
    (requests.ConnectTimeout, "", f"no connection within {ADDRESS_TIMEOUT:.0f} s"),
    (ssl.SSLCertVerificationError, "", "its certificate could not be verified"),
    (ConnectionRefusedError, "", "connection refused"),
    (RemoteDisconnected, "", "the connection was closed before an answer"),
    (ConnectionResetError, "", "the connection was reset"),
    ((requests.exceptions.ChunkedEncodingError, IncompleteRead), "", "the answer was cut off"),
    (_Ended, "", ""),
    (requests.exceptions.InvalidURL, "", "its address, or that of a proxy, is not a URL"),
    (requests.exceptions.InvalidSchema, "", "its proxy needs a package that is not installed"),
    (socket.gaierror, "", "its name was not found"),
    (OSError, "Tunnel connection failed", "the proxy refused the connection"),
    (OSError, "Could not find a suitable TLS CA", _NO_BUNDLE),
    (ssl.SSLError, "", "TLS failed"),
)
