"""HTTP by `requests`: one request, one attempt, and what is certain where no answer came back.

The token goes into one header, to one host. Redirects are not followed, `.netrc` is not asked, cookies are not read,
and every request has a connection of its own: on one that is reused, a server that has just closed it looks like a lost
trigger. An exchange has one deadline, whatever is slow. It takes place in a thread, which is not waited for after that.
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


class _Ended(Exception):
    """Why this exchange is ended from here, in words."""


class _Exchange(HTTPAdapter):
    """One request, and how far it has got. Once it is given up, nothing more of it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.is_begun = False  # whether the first byte of the request may have left
        self._result: Response | BaseException | None = None
        self._is_given_up, self._changed = False, Condition()
        self._sockets: list[tuple[socket.socket, socket.socket]] = []

    def hold(self, connection: socket.socket) -> None:
        # a second handle, with which a connection can be shut down whatever is made of the first
        with self._changed:
            if self._is_given_up:
                connection.close()
                raise _Ended("given up")
            self._sockets.append((connection, connection.dup()))

    def check(self, *, is_begun: bool = False) -> None:
        # raises where nothing must be sent any more; else the request may be about to be sent
        with self._changed:
            if self._is_given_up:
                raise _Ended("given up")
            self.is_begun = is_begun
            self._changed.notify()

    def end(self, result: Response | BaseException) -> None:
        with self._changed:
            self._result = self._result or result
            self._changed.notify()
        # urllib3 1 leaves one open whose proxy said no; what still reads from it would put off a mere close
        for connection, _ in self._sockets:
            descriptor = connection.detach()
            if descriptor >= 0:
                socket.close(descriptor)

    def wait(self, limit: float) -> Response | BaseException | None:
        """What came of it; None where it was not begun, or not ended, in so many seconds. Then nothing goes on."""
        end = time.monotonic() + limit
        try:
            with self._changed:
                if self._changed.wait_for(lambda: self.is_begun or self._result is not None, CONNECT_TIMEOUT):
                    self._changed.wait_for(lambda: self._result is not None, end - time.monotonic())
                self._is_given_up = True
                return self._result
        finally:  # on a signal too
            with self._changed:
                self._is_given_up = True
                for _, handle in self._sockets:
                    with suppress(OSError), handle:
                        handle.shutdown(socket.SHUT_RDWR)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        # which prepares a pool of connections, of whatever kind it is: direct, or through a proxy
        conn.ConnectionCls = _told(conn.ConnectionCls, self)
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        # without headers at which `requests` would look: a malformed Location raises, as if never sent; of a cookie
        # that it cannot read, the standard library prints a traceback
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
        self._address, self._token, self._read_timeout = address, token, read_timeout
        self.host = str(address)  # without a trailing slash

    def send(self, request: Request) -> Result:
        """The complete answer, or what is certain about the attempt."""
        exchange = _Exchange()
        limit = (self._read_timeout or READ_TIMEOUT) if request.repeat is Repeat.FREELY else TRIGGER_TIMEOUT
        Thread(target=self._carry_out, args=(request, exchange, limit), daemon=True).start()
        result = exchange.wait(limit)
        if isinstance(result, Response):
            return result
        # certainly not received only where the request was not begun; of the rest nothing is certain
        fate = Fate.UNKNOWN if exchange.is_begun else Fate.NOT_RECEIVED
        if result is None:
            what, seconds = ("whole answer", limit) if exchange.is_begun else ("connection", CONNECT_TIMEOUT)
            return Failure(fate, f"no {what} within {seconds:.0f} s")
        if not isinstance(result, (requests.RequestException, HTTPError, OSError, ValueError, _Ended)):
            raise result
        return Failure(fate, _reason(result))

    def _carry_out(self, request: Request, exchange: _Exchange, limit: float) -> None:
        """Send the request and read the answer, in a thread of its own, which leaves signals to the main one."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        query = "&".join(f"{segment(name)}={segment(value)}" for name, value in request.query.items())
        url = self.host + request.path + ("?" * bool(query)) + query
        headers = {"Accept": "application/json", "User-Agent": f"deploystep/{__version__}", "Connection": "close"}

        def authorized(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
            # set last, so that neither `.netrc` nor a session can replace it
            prepared.headers["Authorization"] = f"Bearer {self._token.reveal()}"
            return prepared

        try:
            with requests.Session() as session:
                # plain http goes to loopback only, and must not pass through a proxy on the way
                session.trust_env = self._address.scheme == "https"
                session.mount(f"{self._address.scheme}://", exchange)
                with session.request(
                    request.method, url, json=request.body, auth=authorized, headers=headers, stream=True,
                    timeout=(ADDRESS_TIMEOUT, limit + 1.0), allow_redirects=False,  # the deadline comes first
                ) as answer:  # fmt: skip
                    answer.raw.enforce_content_length = True  # urllib3 1 takes a body that was cut off for a whole one
                    body = bytearray()
                    for piece in answer.iter_content(64 * 1024):
                        body += piece
                        if len(body) > LARGEST_BODY:
                            raise _Ended("the answer was too long")  # noqa: TRY301 - as every other end
                    named = {name.lower(): value for name, value in answer.headers.items()}
                    exchange.end(Response(answer.status_code, named, bytes(body)))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the result is waited for
            exchange.end(error)


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
    (OSError, "Could not find a suitable TLS", "the file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names is not there"),
    (ssl.SSLError, "", "TLS failed"),
)
