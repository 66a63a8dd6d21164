"""Words that all API versions share: how a time is written, where code is hosted, who is asking."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import format_datetime
from urllib.parse import quote

LOGIN = "sandbox"
HOSTS = {"gh": ("GitHub", "https://github.com"), "bb": ("Bitbucket", "https://bitbucket.org")}
"""By a slug's provider: the provider's name and where its repositories are."""


def repository_url(project: str) -> str | None:
    """Return where a project's code is, if its slug says so."""
    provider, _, name = project.partition("/")
    return f"{HOSTS[provider][1]}/{quote(name)}" if provider in HOSTS else None


def stamp(moment: datetime) -> str:
    """Write a time as the API does: UTC, milliseconds, `Z`."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(moment: datetime) -> str:
    """Write a time as HTTP does: `Tue, 16 Jun 2026 08:02:11 GMT`."""
    return format_datetime(moment.astimezone(timezone.utc), usegmt=True)


def read_stamp(text: str) -> datetime | None:
    """Read a time as RFC 3339 writes it; None if it is none or has no zone."""
    try:
        # Before 3.11 `fromisoformat` knows neither `Z` nor a space for `T`; the space is not wanted here either.
        moment = datetime.fromisoformat(f"{text[:-1]}+00:00" if text[-1:] in {"Z", "z"} else text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None and moment.utcoffset() is not None else None
