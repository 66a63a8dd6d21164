"""Times as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from deploystep.core.times import read_moment, read_now, zone, zone_names

BERLIN = zone("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-06-16 10:00", "2026-06-16T10:00:00+02:00"),
        ("2026-12-16 10:00", "2026-12-16T10:00:00+01:00"),
        (" 2026-06-16T10:00:11 ", "2026-06-16T10:00:11+02:00"),
        ("2026-06-16 10:00 UTC", "2026-06-16T10:00:00+00:00"),
        ("2026-06-16 10:00 America/New_York", "2026-06-16T10:00:00-04:00"),
        ("2026-06-16T10:00:00Z", "2026-06-16T10:00:00+00:00"),
        ("2026-06-16T10:00:00+0530", "2026-06-16T10:00:00+05:30"),
        ("2026-06-16T10:00:00-05:00", "2026-06-16T10:00:00-05:00"),
        ("2026-06-16T10:00:00.5Z", "2026-06-16T10:00:00.500000+00:00"),
    ],
)
def test_read(text: str, iso: str) -> None:
    assert read_moment(text, BERLIN).isoformat() == iso


@pytest.mark.parametrize(
    "text",
    [
        *("", "noon", "10:00", "2026-06-16", "16.06.2026 10:00", "2026-6-16 10:00", "2026-02-30 10:00"),
        *("2026-06-16 24:00", "2026-06-16 10:60", "2026-06-16 10:00 Nowhere/Land", "2026-06-16 10:00 +99:00"),
        *("2026-06-16 10:00 ../../etc/passwd", "2026-06-16 10:00 Europe", "2026-06-16 10:00 x y", "٢٠٢٦-06-16 10:00"),
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot read|unknown time zone|offset|does not match"):
        read_moment(text, BERLIN)


@pytest.mark.parametrize(
    "text", ["0001-01-01 00:00", "9999-12-31T23:59:00-14:00", "1900-12-31 00:00", "2200-01-01 00:00"]
)
def test_no_build_runs_at_the_ends_of_the_calendar(text: str) -> None:
    with pytest.raises(ValueError, match="no build runs in the year"):
        read_now(text, BERLIN)


def test_a_build_runs_now() -> None:
    assert read_now("2026-06-16 10:00", BERLIN) == read_moment("2026-06-16 10:00", BERLIN)


def test_zones() -> None:
    assert zone("UTC") is timezone.utc
    assert "UTC" in zone_names()
    assert "Europe/Berlin" in zone_names()
    summer = datetime(2026, 7, 1, tzinfo=BERLIN)
    assert summer.utcoffset() == timedelta(hours=2)
