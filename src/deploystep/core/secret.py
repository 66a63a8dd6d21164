"""A token that cannot be printed by accident, and where it may go: https anywhere, plain http to this machine only."""

import re
from typing import Final
from urllib.parse import quote, urlsplit

from deploystep.core.frozen import Frozen

MASK: Final = "***"


class Secret:
    """Holds a token. Its repr and str are masks; `reveal` is for the one header that carries it."""

    __slots__ = ("_spellings", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        # as it is, and as Python, URLs and JSON write it
        urls = (quote(value, safe, errors="surrogateescape") for safe in ("", "/"))
        found = {value, repr(value)[1:-1], *urls}
        if not re.fullmatch("[A-Za-z0-9_-]*", value):
            import json  # noqa: PLC0415 - CircleCI's own tokens need no escape

            found.add(json.dumps(value)[1:-1])
        # masking shorter texts would mangle words; no token is that short
        self._spellings = sorted(found, key=len, reverse=True) if len(value) > 5 else []  # noqa: PLR2004

    def reveal(self) -> str:
        return self._value

    def masked(self, text: str) -> str:
        """The text without the token, in whichever spelling it may have come back."""
        for spelling in self._spellings:
            text = text.replace(spelling, MASK)
        return text

    def __repr__(self) -> str:
        return MASK


class Address(Frozen):
    """An API host: scheme and authority, no path."""

    scheme: str
    authority: str

    @property
    def app(self) -> str:
        return "https://app.circleci.com" if str(self) == "https://circleci.com" else str(self)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def read_address(text: str) -> Address:
    """Read a host as `https://circleci.acme.dev`; a bare name means https. Raises ValueError with what is wrong."""
    try:
        url = urlsplit(text if "://" in text else f"https://{text}")
        name, port = url.hostname or "", url.port
    except ValueError:
        raise ValueError("it is not a URL") from None
    # a host name, or an IPv6 address
    is_host = re.fullmatch(r"[\w-]+(?:\.[\w-]+)*\.?|[0-9a-f:.]+", name) and url.path in ("", "/")
    if url.scheme not in ("https", "http") or not is_host or "@" in url.netloc or url.query or url.fragment:
        raise ValueError("expected https://HOST, without a user, a password or a path")
    if url.scheme == "http" and name not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError("plain http is for this machine only (127.0.0.1, localhost): write https://")
    bracketed = f"[{name}]" if ":" in name else name
    return Address(url.scheme, bracketed if port is None else f"{bracketed}:{port}")
