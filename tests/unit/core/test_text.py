"""Names that were nearly right."""

from __future__ import annotations

import pytest

from deploystep.core.text import did_you_mean, nearest

KNOWN = ("branch", "tag", "paths", "pull_request", "office-hours")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("brnch", "branch"),
        ("barnch", "branch"),
        ("BRANCH", "branch"),
        ("tga", "tag"),
        ("tg", "tag"),
        ("ofice-hours", "office-hours"),
        ("pull-request", "pull_request"),
        ("xyz", None),
        ("", None),
        ("t", None),
    ],
)
def test_nearest(name: str, meant: str | None) -> None:
    assert nearest(name, KNOWN) == meant


def test_a_hint() -> None:
    assert did_you_mean("brnch", KNOWN) == "did you mean 'branch'?"
    assert did_you_mean("tga", KNOWN, form="${{{}}}") == "did you mean ${tag}?"
    assert (did_you_mean("xyz", KNOWN), did_you_mean("xyz", KNOWN, "ask")) == ("", "ask")
