"""Names that were nearly right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploystep.core.text import did_you_mean, distance, nearest

KNOWN = ("branch", "tag", "paths", "pull_request", "office-hours")
words = st.text("abcd", max_size=6)


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


@pytest.mark.parametrize(
    ("a", "b", "steps"),
    [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("abc", "acb", 1), ("kitten", "sitting", 3), ("same", "same", 0)],
)
def test_distance(a: str, b: str, steps: int) -> None:
    assert distance(a, b) == steps


@given(words, words)
def test_distance_is_a_distance(a: str, b: str) -> None:
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) is (a == b)
    assert abs(len(a) - len(b)) <= distance(a, b) <= max(len(a), len(b))
