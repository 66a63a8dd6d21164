"""HTTP by `requests`: one request, one attempt, and what is certain where no answer came back.

The token goes into one header, to one host. Redirects are not followed, `.netrc` is not asked, cookies are not read,
and every request has a connection of its own: on one that is reused, a server that has just closed it looks like a lost
trigger.
"""

import ssl
import time
from collections.abc import Iterator
from http.client import IncompleteRead, RemoteDisconnected
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from deploystep import __version__
from deploystep.circleci.http import Failure, Request, Response
from deploystep.core.address import Address
from deploystep.core.retry import Fate
from deploystep.core.secret import Secret

CONNECT_TIMEOUT: Final = 10.0
READ_TIMEOUT: Final = 60.0
WHOLE_TIMEOUT: Final = 120.0
LARGEST_BODY: Final = 16 * 1024 * 1024
_PIECE: Final = 64 * 1024


class _Bearer(AuthBase):
    """Sets the header last, so that neither `.netrc` nor a session can replace it."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


class _Session(requests.Session):
    """A session that does not even look at redirects: reading a malformed Location would raise, as if never sent."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """There is none, whatever the answer says."""


class _Adapter(HTTPAdapter):
    """Takes no cookies: of one that it cannot read, the standard library prints a traceback."""

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """The answer without the headers that set cookies."""
        original = getattr(resp, "_original_response", None)  # where `requests` looks for them
        if original is not None:
            del original.msg["Set-Cookie"], original.msg["Set-Cookie2"]
        return super().build_response(req, resp)


class _TooLong(Exception):
    """The body is larger, or took longer, than any answer of CircleCI's."""


class HttpTransport:
    """Sends requests to one address with one token."""

    def __init__(self, address: Address, token: Secret) -> None:
        self._address = address
        self._token = token

    @property
    def host(self) -> str:
        """The address that requests go to, without a trailing slash."""
        return str(self._address)

    def send(self, request: Request) -> Response | Failure:
        """The complete answer, or what is certain about the attempt."""
        try:
            with _Session() as session, self._open(session, request) as answer:
                body = b"".join(_limited(answer))
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status_code, headers, body)
        except (requests.RequestException, HTTPError, OSError, ValueError, _TooLong) as error:
            return Failure(_fate(error), _reason(error))

    def _open(self, session: requests.Session, request: Request) -> requests.Response:
        # plain http goes to loopback only, and must not pass through a proxy on the way
        session.trust_env = self._address.is_secure
        session.mount(f"{self._address.scheme}://", _Adapter())
        return session.request(
            request.method,
            self.host + request.path,
            params=dict(request.query),
            json=request.body,
            auth=_Bearer(self._token),
            headers={
                "Accept": "application/json",
                "User-Agent": f"deploystep/{__version__}",
                "Connection": "close",
            },
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            allow_redirects=False,
            stream=True,
        )


def _limited(answer: requests.Response) -> Iterator[bytes]:
    """The body in pieces. A server that drips for ever must not hold the build for ever."""
    end, size = time.monotonic() + WHOLE_TIMEOUT, 0
    for piece in _pieces(answer):
        size += len(piece)
        if size > LARGEST_BODY or time.monotonic() > end:
            raise _TooLong("the answer is too long")
        yield piece


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    """What there is of the body, as it arrives: other ways of reading wait for a full piece, however it drips."""
    if not hasattr(answer.raw, "read1"):  # urllib3 1
        answer.raw.enforce_content_length = True  # it takes a body that was cut off for a whole one
        return answer.iter_content(1)
    return iter(lambda: bytes(answer.raw.read1(_PIECE, decode_content=True)), b"")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and everything that is said to have caused it, `requests` and urllib3 fashion."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        current = queue.pop()
        if isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            yield current
            queue += [*current.args, getattr(current, "reason", None), current.__cause__, current.__context__]


def _fate(error: BaseException) -> Fate:
    """Certainly not received only where no connection was made; anything else is unknown.

    `requests.ConnectionError` alone says nothing: it also wraps a connection lost after sending.
    """
    causes = tuple(_chain(error))
    is_unsent = any(isinstance(cause, _BEFORE_SENDING) for cause in causes) or _said(causes, _NO_TUNNEL, _NO_BUNDLE)
    return Fate.NOT_RECEIVED if is_unsent else Fate.UNKNOWN


def _said(causes: tuple[BaseException, ...], *words: str) -> bool:
    """Whether one of the causes that only their words tell apart is among these."""
    # exactly OSError: what derives from it can quote the server, which must not decide that nothing was sent
    return any(type(cause) is OSError and str(cause).startswith(words) for cause in causes)


_BEFORE_SENDING: Final = (
    requests.ConnectTimeout,
    NewConnectionError,
    ssl.SSLCertVerificationError,
    requests.exceptions.InvalidURL,  # of the host or of a proxy
    requests.exceptions.InvalidSchema,  # a SOCKS proxy without the package for it
)
_NO_TUNNEL: Final = "Tunnel connection failed"  # the proxy said no: there was no connection to CircleCI
_NO_BUNDLE: Final = "Could not find a suitable TLS CA certificate bundle"


_REASONS: Final = (
    (requests.ConnectTimeout, f"no connection within {CONNECT_TIMEOUT:.0f} s"),
    ((requests.ReadTimeout, ReadTimeoutError), f"no answer within {READ_TIMEOUT:.0f} s"),
    (ssl.SSLCertVerificationError, "its certificate could not be verified"),
    (ConnectionRefusedError, "connection refused"),
    (RemoteDisconnected, "the connection was closed before an answer"),
    (ConnectionResetError, "the connection was reset"),
    ((requests.exceptions.ChunkedEncodingError, IncompleteRead), "the answer was cut off"),
    (_TooLong, "the answer was too long"),
    (requests.exceptions.InvalidURL, "its address, or that of a proxy, is not a URL"),
    (requests.exceptions.InvalidSchema, "its proxy needs a package that is not installed"),
)


def _reason(error: BaseException) -> str:
    """A few words for people. Library texts can quote URLs and headers, so none is passed on."""
    causes = tuple(_chain(error))
    for kind, words in _REASONS:
        if any(isinstance(cause, kind) for cause in causes):
            return words
    names = {type(cause).__name__ for cause in causes}
    if "NameResolutionError" in names or "gaierror" in names:
        return "its name was not found"
    if "NewConnectionError" in names:
        return "no connection could be made"
    if _said(causes, _NO_TUNNEL):
        return "the proxy refused the connection"
    if _said(causes, _NO_BUNDLE):
        return "the file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names is not there"
    return f"the connection failed ({type(causes[-1]).__name__})"
