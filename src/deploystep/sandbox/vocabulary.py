"""Words that both API versions share: how a time is written, where code is hosted, who is asking."""

from __future__ import annotations

from datetime import datetime, timezone

LOGIN = "sandbox"
HOSTS = {"gh": ("GitHub", "https://github.com"), "bb": ("Bitbucket", "https://bitbucket.org")}
"""By a slug's provider: the provider's name and where its repositories are."""


def stamp(moment: datetime) -> str:
    """Write a time as the API does: UTC, milliseconds, `Z`."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
