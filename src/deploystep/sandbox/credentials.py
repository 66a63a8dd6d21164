"""Tokens: how a request presents one, what it is worth, and how a record is kept free of it."""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, quote

from .bodies import BodyError, decoded
from .messages import JsonValue, RefusedError, Request

SECRET_HEADERS = ("authorization", "circle-token", "proxy-authorization", "cookie")
QUERY_KEY = "circle-token"
MASK = "***"
SHORTEST_MASKED = 8
"""Shorter tokens are not searched for in texts: they would blot out innocent letters."""
QUERY_REFUSED = (
    "Support for query parameter authentication has been deprecated to improve security. "
    "Please use a supported authentication method such as header-based, or basic authentication."
)
"""v2 OpenAPI, 401_invalid_token, example `query_auth`."""
INVALID_TOKEN = "Invalid token provided."  # noqa: S105 - the answer's words (v2 OpenAPI, 401_invalid_token)
LOG_IN = "You must log in first."
"""Seen from v1.1 and the older v2 routes; v2's `me` says it to project tokens too."""


def presented_token(headers: Mapping[str, str]) -> str | None:
    """Return the token of `Authorization` or `Circle-Token`; empty when malformed, None when there is none."""
    authorization = headers.get("authorization")
    if authorization is None:
        return headers.get("circle-token")
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        # The token goes where the user name belongs; the password stays empty.
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


def raise_unless_allowed(request: Request, accepted: str | None) -> None:
    """Let a request pass or raise `RefusedError`, in the words of the API asked.

    `accepted` is the only good token. Without one, every token is good that is not empty and does not start with
    `invalid`. A good token that starts with `project` is a project token: good for v1.1, while v2 answers as if the
    project did not exist (API developer's guide); elsewhere it is no token at all, which for v3 is a guess. v3 takes
    only Bearer tokens, as far as is attested.
    """
    path = request.path
    if QUERY_KEY in request.query:
        raise RefusedError(401, QUERY_REFUSED)
    token = presented_token(request.headers) or ""
    if accepted is None:
        is_good = bool(token) and not token.startswith("invalid")
    else:
        is_good = hmac.compare_digest(token.encode(errors="replace"), accepted.encode(errors="replace"))
    scheme = request.headers.get("authorization", "").strip().partition(" ")[0]
    if not is_good or (path.startswith("/api/v3/") and scheme.lower() != "bearer"):
        raise RefusedError(401, INVALID_TOKEN if path.endswith("/pipeline/run") else LOG_IN)
    if token.startswith("project") and not path.startswith("/api/v1.1/"):
        has_project = path.startswith("/api/v2/") and path != "/api/v2/me"
        raise RefusedError(404, "Project not found") if has_project else RefusedError(401, LOG_IN)


@dataclass(slots=True)
class Recorded:
    """One request as it was asked, and how it was answered.

    `path` is as sent (percent-encoded), `query` decoded, `headers` have lower-case names with credentials
    masked, `body` is the parsed JSON where it is JSON, else text. `status` is None while no answer has been
    chosen, and stays None when the connection was ended without one. `at` is the time of arrival.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: JsonValue
    at: datetime
    status: int | None = None


def recorded(request: Request, at: datetime) -> Recorded:
    """Turn a request into its record.

    The token is masked everywhere, not only where it belongs: a client that puts it into a path or a body has a
    bug, and a record that is printed or uploaded must not make that bug worse.
    """
    token = presented_token(request.headers) or ""
    forms = (token, quote(token, safe=""), json.dumps(token)[1:-1]) if len(token) >= SHORTEST_MASKED else ()

    def masked(text: str) -> str:
        for form in forms:
            text = text.replace(form, MASK)
        return text

    def header(name: str, value: str) -> str:
        scheme, space, _ = value.strip().partition(" ")
        return masked(value) if name not in SECRET_HEADERS else f"{scheme} {MASK}" if space else MASK

    pairs = parse_qsl(request.query_text, keep_blank_values=True)
    text = masked(request.body.decode(errors="replace"))
    return Recorded(
        method=request.method,
        path=masked(request.path),
        query={name: MASK if name == QUERY_KEY else masked(value) for name, value in pairs},
        headers={name: header(name, value) for name, value in request.headers.items()},
        body=_readable(text),
        at=at,
    )


def _readable(text: str) -> JsonValue:
    try:
        return decoded(text.encode()) if text else None
    except BodyError:
        return text
