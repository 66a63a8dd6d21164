"""Who may ask: the ways to present a token, and what the stand-in makes of the token presented."""

from __future__ import annotations

import base64
import binascii
import enum
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .wire import Request

SECRET_HEADERS = ("authorization", "circle-token", "proxy-authorization", "cookie")
QUERY_KEY = "circle-token"
MASK = "***"
SHORTEST_SCRUBBED = 8
"""Shorter tokens are not searched for in texts: they would blot out innocent letters."""


class Standing(enum.Enum):
    """What a request's credentials are worth."""

    PERSONAL = "personal"
    PROJECT = "project"
    """A project token: good for v1.1, unknown to v2 (API developer's guide)."""
    INVALID = "invalid"
    MISSING = "missing"
    IN_QUERY = "in-query"
    """Refused whatever its value (v2 OpenAPI, 401 example `query_auth`)."""


def presented_token(headers: Mapping[str, str]) -> str | None:
    """Return the token of `Authorization` or `Circle-Token`; empty when malformed, None when there is none."""
    authorization = headers.get("authorization")
    if authorization is None:
        return headers.get("circle-token")
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return _basic_user(value) if scheme.lower() == "basic" else ""


def _basic_user(value: str) -> str:
    """Read the user name of a Basic credential: that is where the token goes, the password stays empty."""
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def bearer(request: Request, standing: Standing) -> Standing:
    """Judge them as v3 does, of which only Bearer tokens are attested: what comes otherwise counts as missing."""
    scheme = request.headers.get("authorization", "").strip().partition(" ")[0]
    return standing if scheme.lower() == "bearer" else Standing.MISSING


def standing(request: Request, accepted: str | None) -> Standing:
    """Judge a request's credentials.

    `accepted` is the only good token. Without one, every token is good that is not empty and does not start
    with `invalid`. A good token that starts with `project` is a project token.
    """
    if QUERY_KEY in request.query:
        return Standing.IN_QUERY
    token = presented_token(request.headers)
    if token is None:
        return Standing.MISSING
    if not _is_good(token, accepted):
        return Standing.INVALID
    return Standing.PROJECT if token.startswith("project") else Standing.PERSONAL


def _is_good(token: str, accepted: str | None) -> bool:
    if accepted is not None:
        return hmac.compare_digest(token.encode(errors="replace"), accepted.encode(errors="replace"))
    return bool(token) and not token.startswith("invalid")


def masked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with every credential replaced, its scheme kept: `Bearer ***`."""
    return {name: _masked(value) if name in SECRET_HEADERS else value for name, value in headers.items()}


def _masked(value: str) -> str:
    scheme, space, _ = value.strip().partition(" ")
    return f"{scheme} {MASK}" if space else MASK


def scrub(text: str, secret: str | None) -> str:
    """Replace a token wherever it stands in a text."""
    return text.replace(secret, MASK) if secret and len(secret) >= SHORTEST_SCRUBBED else text
