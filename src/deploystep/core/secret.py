"""A token that cannot be printed by accident, and where it may go: https anywhere, plain http to this machine only."""

import re
from binascii import b2a_base64
from typing import Final
from urllib.parse import quote, urlsplit

from deploystep.core.frozen import dataclass

MASK: Final = "***"
_NAME: Final = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?|[0-9a-f:.]+")  # a host name, or an IPv6 address
_SHORTEST: Final = 6  # masking shorter texts would mangle words; no token is that short


class Secret:
    """Holds a token. Its repr and str are masks; `reveal` is for the one header that carries it."""

    __slots__ = ("_spellings", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        self._spellings = _spellings(value) if len(value) >= _SHORTEST else ()

    def reveal(self) -> str:
        """The token itself."""
        return self._value

    def masked(self, text: str) -> str:
        """The text without the token, in whichever spelling it may have come back."""
        for spelling in self._spellings:
            text = text.replace(spelling, MASK)
        return text

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__


def _spellings(value: str) -> tuple[str, ...]:
    """The token as it is, as Python, JSON and URLs write it, and as Basic authentication would: longest first."""
    data = value.encode("utf-8", "surrogateescape")
    basic = (b2a_base64(each, newline=False).decode() for each in (data, data + b":"))
    found = {value, repr(value)[1:-1], *basic}
    if not (value.isascii() and value.replace("_", "").replace("-", "").isalnum()):
        import json  # noqa: PLC0415 - CircleCI's own tokens need no escape

        urls = (quote(value, safe=safe, errors="surrogateescape") for safe in ("", "/"))
        found |= {json.dumps(value)[1:-1], *urls}
    return tuple(sorted(found, key=len, reverse=True))


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
    if name in ("localhost", "127.0.0.1"):
        return True
    import ipaddress  # noqa: PLC0415 - other names of this machine are rare

    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
