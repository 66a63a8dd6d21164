"""What holds for every test: no variable and no ignored signal of the shell that runs it, no network but loopback."""

import os
import signal
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

SCRUBBED_PREFIXES = ("CIRCLE", "DEPLOYSTEP_", "GIT_", "PYTHONWARNINGS", "PYTHONIOENCODING")
SCRUBBED = frozenset(
    {
        *("CI", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "TERM", "COLUMNS", "LINES", "NETRC"),
        *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    }
)


def is_scrubbed(name: str) -> bool:
    return name.upper() in SCRUBBED or name.startswith(SCRUBBED_PREFIXES)


@pytest.fixture(scope="session", autouse=True)
def _scrubbed_environment() -> Iterator[None]:
    """A test run inside CircleCI, or with a developer's proxy, sees what every other run sees."""
    with pytest.MonkeyPatch.context() as patch:
        for name in tuple(os.environ):
            if is_scrubbed(name):
                patch.delenv(name)
        patch.setenv("GIT_SSH_COMMAND", "false")  # a clone's origin may name a host that is not this machine
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_ignored_signal() -> None:
    """A shell script's background job ignores SIGINT, and `nohup` SIGHUP: what the tests start would inherit that."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """A name is not found and an address is out of reach, unless it is this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex))
        patch.setattr(socket, "getaddrinfo", _local_names(socket.getaddrinfo))
        yield


def _guarded(real: Any) -> Any:
    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(str(address[0])):
            raise AssertionError(f"a test tried to reach {address[0]}")
        return real(self, address)

    return connect


def _local_names(real: Any) -> Any:
    def getaddrinfo(host: Any, *more: Any, **named: Any) -> Any:
        if host is not None and not _is_local(host if isinstance(host, str) else host.decode()):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *more, **named)

    return getaddrinfo


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
