"""Where requests may go: https anywhere, plain http to this machine only."""

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from deploystep.core.frozen import dataclass

_NAME: Final = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?|[0-9a-f:.]+")  # a host name, or an IPv6 address


@dataclass(frozen=True, slots=True)
class Address:
    """An API host: scheme and authority, no path."""

    scheme: str
    authority: str

    @property
    def is_secure(self) -> bool:
        """Whether it is reached over https."""
        return self.scheme == "https"

    @property
    def app(self) -> str:
        """The web application that belongs to it."""
        return "https://app.circleci.com" if str(self) == "https://circleci.com" else str(self)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def read_address(text: str) -> Address:
    """Read a host such as `https://circleci.acme.dev`; a bare name means https.

    Raises ValueError with what is wrong.
    """
    try:
        url = urlsplit(text if "://" in text else f"https://{text}")
        name, port = url.hostname or "", url.port
    except ValueError:
        raise ValueError("it is not a URL") from None
    if url.scheme not in ("https", "http") or not _NAME.fullmatch(name):
        raise ValueError("expected https://HOST")
    if url.username is not None or url.password is not None:
        raise ValueError("a URL must not hold a user or a password")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError("expected a host without a path")
    if url.scheme == "http" and not is_loopback(name):
        raise ValueError("plain http is for this machine only (127.0.0.1, localhost): write https://")
    bracketed = f"[{name}]" if ":" in name else name
    return Address(url.scheme, bracketed if port is None else f"{bracketed}:{port}")


def is_loopback(name: str) -> bool:
    """Whether a host name certainly is this machine."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
