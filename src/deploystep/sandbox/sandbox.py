"""The mock CircleCI server as one object: started, asked, told what goes wrong, stopped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from . import dispatch
from .messages import NOTHING, Reply, Request, http_date
from .server import LOOPBACK, Server
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

    from .messages import Client


@dataclass(kw_only=True, eq=False)
class Sandbox(Store):
    """A small CircleCI on loopback. Use it as a context manager, or call `start` and `stop`; or only `respond`.

    `port` is where it listens; 0 is a free one. `Store` tells what else it can be given and asked.
    """

    port: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._server: Server | None = None

    def start(self) -> Self:
        """Listen; raises `OSError` if the port is taken."""
        if self._server is None:
            self._server = Server(self.port, self._answer)
        return self

    def stop(self) -> None:
        """Stop listening and end every connection; what was recorded stays readable."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address to use in place of https://circleci.com; no slash at the end."""
        if self._server is None:
            raise RuntimeError("the sandbox has not been started")
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def respond(  # noqa: PLR0913, PLR0917 - the parts of a request, and who sends it
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] = NOTHING,
        body: bytes = b"",
        client: Client = lambda _seconds: True,
    ) -> Reply:
        """Answer one request without a socket, whether or not it was started; for simulations.

        `path` is percent-encoded and has no query. What the socket would do to the answer is said in the reply:
        how late it comes (`delay`), and whether it is cut or does not come at all (`delivery`). Faults that wait
        before they handle the request call `client` with the seconds to let pass; it returns whether the client is
        still there.
        """
        lower = {name.lower(): value for name, value in headers.items()}
        return self._answer(Request(method, path, query, lower, body), client)

    def _answer(self, request: Request, client: Client) -> Reply:
        """Answer with the date of the moment at which the reply leaves."""
        reply = dispatch.answer(self, request, client)
        leaves = self.now() + timedelta(seconds=reply.delay)
        return replace(reply, headers=(*reply.headers, ("Date", http_date(leaves))))
