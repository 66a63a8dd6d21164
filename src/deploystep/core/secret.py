"""A token that cannot be printed by accident."""

import binascii
from typing import Final

MASK: Final = "***"
#: Characters that JSON and URLs write as they are.
_SAFE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")
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
    """The token as it is, as JSON and URLs write it, and as Basic authentication would: longest first."""
    found = {value, repr(value)[1:-1], _base64(f"{value}:"), _base64(value)}
    if not (value.isascii() and _SAFE.issuperset(value)):
        import json  # noqa: PLC0415 - CircleCI's own tokens need no escape
        from urllib.parse import quote  # noqa: PLC0415 - as above

        urls = (quote(value, safe=safe, errors="surrogateescape") for safe in ("", "/"))
        found |= {json.dumps(value)[1:-1], *urls}
    return tuple(sorted(found, key=len, reverse=True))


def _base64(text: str) -> str:
    return binascii.b2a_base64(text.encode("utf-8", "surrogateescape"), newline=False).decode()
