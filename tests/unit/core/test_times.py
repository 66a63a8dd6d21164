"""Times as people write them, when windows are open, and what freezes hold, above all where clocks are changed."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deploystep.core import times
from deploystep.core.times import Interval, Window, next_change, next_opening, read_moment, read_window, zone

UTC = timezone.utc
BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def window(text: str, default: str = "UTC") -> Window:
    return read_window(text, zone(default))


def at(text: str) -> datetime:
    """A moment in a zone; `+` after it is the second time that the clock shows it."""
    moment = read_moment(text.rstrip("+"), UTC)
    return moment.replace(fold=int(text.endswith("+")))


def opening(moment: str, *windows: str, freezes: tuple[tuple[str, str], ...] = ()) -> str | None:
    """The next opening as the clock of the moment's own zone shows it, `+` where it does so for the second time."""
    now = at(moment)
    found = next_opening(now, tuple(map(window, windows)), tuple(Interval.between(at(a), at(b)) for a, b in freezes))
    if found is None:
        return None
    assert found.utcoffset() == timedelta(0), "openings are told in UTC"
    local = found.astimezone(now.tzinfo)
    return f"{times.DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M}{'+' * local.fold}"


# moments

# fmt: off
TIMES = {
    "2026-06-16 10:00": "2026-06-16T10:00:00+02:00", "2026-12-16 10:00": "2026-12-16T10:00:00+01:00",
    " 2026-06-16T10:00:11 ": "2026-06-16T10:00:11+02:00", "2026-06-16 10:00 UTC": "2026-06-16T10:00:00+00:00",
    "2026-06-16 10:00 America/New_York": "2026-06-16T10:00:00-04:00",
    "2026-06-16T10:00:00Z": "2026-06-16T10:00:00+00:00", "2026-06-16T10:00:00-05:30": "2026-06-16T10:00:00-05:30",
}
NO_TIMES = (
    "noon", "10:00", "2026-06-16", "2026-6-16 10:00", "2026-02-30 10:00", "2026-06-16 24:00", "2026-06-16 10:60",
    "2026-06-16 10:00 Nowhere/Land", "2026-06-16 10:00 +99:00", "2026-06-16 10:00 x y", "2026-06-16 10:00 Europe",
    "2026-06-16 10:00 ../../etc/passwd", "2026-06-16T10:00:30.5Z", "٢٠٢٦-06-16 10:00",
)
NO_NOWS = ("0001-01-01 00:00", "9999-12-31T23:59-14:00", "1900-12-31 00:00", "2200-01-01 00:00")
NO_WINDOWS = (
    "Mon", "09:00-17:00", "Mon-Fri 9-17", "mon 09:00-17:00", "Mon,Tue 09:00-17:00", "Mon-Foo 09:00-17:00",
    "Mon 09:00-09:00", "Mon 24:00-06:00", "Mon 09:00-24:01", "Mon 09:60-17:00", "Mon 25:00-26:00", "Mon ٠٩:00-17:00",
    "Mon 09:00 - 17:00", "Mon 09:00-17:00 Europe/Berlin x", "Mon 09:00-17:00 Europe/Berln",
)
READ = {
    "Mon-Thu 09:00-17:00": ({0, 1, 2, 3}, 540, 1020, BERLIN), "Fri 22:00-06:00": ({4}, 1320, 360, BERLIN),
    "Fri-Mon 00:00-24:00": ({4, 5, 6, 0}, 0, 1440, BERLIN), "Sun-Sun 00:00-00:01": ({6}, 0, 1, BERLIN),
    "Tue-Mon 22:00-00:00": (set(range(7)), 1320, 0, BERLIN), "  Mon 09:00-17:00 ": ({0}, 540, 1020, BERLIN),
    "Mon 09:00-17:00 America/New_York": ({0}, 540, 1020, NEW_YORK),
}
# fmt: on


def test_reading() -> None:
    assert {text: read_moment(text, zone(BERLIN)).isoformat() for text in TIMES} == TIMES
    windows = {text: window(text, BERLIN) for text in READ}
    assert {text: (set(w.days), w.start, w.end, str(w.zone)) for text, w in windows.items()} == READ
    assert [w.text for w in windows.values()] == [text.strip() for text in READ]
    assert times.read_now("2026-06-16 10:00", zone(BERLIN)) == read_moment("2026-06-16 10:00", zone(BERLIN))
    assert zone("UTC") is UTC
    assert {"UTC", BERLIN} <= times.zone_names()


def test_what_is_no_time_and_no_window() -> None:
    refused: list[tuple[Callable[[str, tzinfo], object], str, tuple[str, ...]]] = [
        (read_moment, "cannot read the time|unknown time zone|offset|does not match", NO_TIMES),
        (times.read_now, "no build runs in the year", NO_NOWS),
        (read_window, "cannot read the window|unknown time zone 'Europe/Berln'", NO_WINDOWS),
    ]
    for read, words, texts in refused:
        for text in texts:
            with pytest.raises(ValueError, match=words):
                read(text, zone(BERLIN))


# windows


# fmt: off
#: When a window is open, and when it is not; 2026-06-15 is a Monday.
OPEN = {
    # the start is inside, the end is not
    "Mon-Thu 09:00-17:00": (["15 09:00", "18 16:59:59"], ["15 08:59:59", "18 17:00", "19 10:00"]),
    # over midnight: the day is the one on which it starts
    "Fri 22:00-06:00": (["19 22:00", "20 05:59"], ["20 06:00", "19 05:00", "20 22:00"]),
    "Sun 22:00-06:00": (["15 05:59"], []),
    # over the weekend
    "Fri-Mon 09:00-17:00": (["14 10:00", "15 10:00"], ["16 10:00"]),
    "Fri-Mon 22:00-06:00": (["16 05:00"], ["16 23:00"]),
    # until midnight, written in either way
    "Mon 00:00-24:00": (["15 23:59"], ["16 00:00"]), "Mon 22:00-00:00": (["15 23:59"], ["16 00:00"]),
    # the zone is the window's, whatever the moment's is
    "Mon 09:00-17:00 Europe/Berlin": (["15 07:00"], ["15 15:00"]), "Mon 00:00-01:00 Europe/Berlin": (["14 22:30"], []),
    "Mon 09:00-17:00 America/New_York": (["15 22:59 Europe/Berlin"], []),
}
CHANGED_CLOCKS = [  # the days before and of the change
    (BERLIN, "2026-03-28", "2026-03-29"), (NEW_YORK, "2026-10-31", "2026-11-01"),
    (LORD_HOWE, "2026-04-04", "2026-04-05"), (LORD_HOWE, "2026-10-03", "2026-10-04"),
]
FREEZES_AND_MOMENTS = [  # from, until; a moment inside, one outside
    ("2026-12-18 18:00", "2027-01-04 09:00", "2026-12-18 18:00", "2026-12-18 17:59:59"),
    ("2026-12-18 18:00", "2027-01-04 09:00", "2027-01-04 08:59:59", "2027-01-04 09:00"),
    # in the hour that comes twice a freeze starts the first time and ends the second; where it is skipped, likewise
    ("2026-10-25 02:30 Europe/Berlin+", "2026-10-26 00:00", "2026-10-25 00:30", "2026-10-25 00:29"),
    ("2026-10-25 00:00", "2026-10-25 02:30 Europe/Berlin", "2026-10-25 01:29", "2026-10-25 01:30"),
    ("2026-10-25 02:10 Europe/Berlin", "2026-10-25 02:20 Europe/Berlin", "2026-10-25 01:00", "2026-10-25 01:20"),
    ("2026-03-29 02:30 Europe/Berlin", "2026-03-30 00:00", "2026-03-29 00:30", "2026-03-29 00:29"),
    ("2026-03-29 00:00", "2026-03-29 02:30 Europe/Berlin", "2026-03-29 01:29", "2026-03-29 01:30"),
    # for ever, in every zone
    ("0001-01-01 00:00 Asia/Tokyo", "9999-12-31 23:59 America/New_York", "2026-06-15 12:00", None),
    ("0001-01-01 00:00 America/New_York", "9999-12-31 23:59 Asia/Tokyo", "2026-06-15 12:00", None),
]
FRIDAY, YEAR_END = "Fri 10:00-12:00", ("2026-12-18 18:00", "2027-01-04 09:00")
#: Now, the windows and the freezes, also where the clock skips an hour or shows it twice; the next opening.
OPENINGS: list[tuple[str, tuple[str, ...], tuple[tuple[str, str], ...], str | None]] = [
    ("2026-06-15 10:00", (), (), "Mon 2026-06-15 10:00"),
    ("2026-06-18 17:00", ("Mon-Thu 09:00-17:00", FRIDAY), (), "Fri 2026-06-19 10:00"),
    # the window opens before the freeze starts, or only after it
    ("2026-12-17 20:00", (FRIDAY,), (YEAR_END,), "Fri 2026-12-18 10:00"),
    ("2026-12-18 12:00", (FRIDAY,), (YEAR_END,), "Fri 2027-01-08 10:00"),
    # freezes one after the other; one that ends inside a window opens it in the middle
    ("2026-12-24 23:00", (), (("2027-01-04 09:00", "2027-01-05 00:00"), YEAR_END), "Tue 2027-01-05 00:00"),
    ("2026-06-15 08:00", ("Mon 09:00-17:00",), (("2026-06-15 07:00", "2026-06-15 11:30"),), "Mon 2026-06-15 11:30"),
    # 02:00 to 03:00 does not exist in Berlin on 2026-03-29
    ("2026-03-29 01:59 Europe/Berlin", ("Sun 02:30-04:00 Europe/Berlin",), (), "Sun 2026-03-29 03:00"),
    ("2026-03-29 03:00 Europe/Berlin", ("Sat 22:00-02:30 Europe/Berlin",), (), "Sat 2026-04-04 22:00"),
    # all of the window is skipped: the next is a week later, even where it is asked a week before
    ("2026-03-23 12:00 Europe/Berlin", ("Sun 02:15-02:45 Europe/Berlin",), (), "Sun 2026-04-05 02:15"),
    # half an hour, 02:00 to 02:30, on Lord Howe; a whole day on Samoa: there was no 30 December 2011
    ("2026-10-04 01:59 Australia/Lord_Howe", ("Sun 02:15-02:45 Australia/Lord_Howe",), (), "Sun 2026-10-04 02:30"),
    ("2011-12-29 12:00 Pacific/Apia", ("Fri 09:00-17:00 Pacific/Apia",), (), "Fri 2012-01-06 09:00"),
    # 02:00 to 03:00 comes twice in Berlin on 2026-10-25
    ("2026-10-25 02:45 Europe/Berlin", ("Sun 02:30-02:45 Europe/Berlin",), (), "Sun 2026-10-25 02:30+"),
    ("2026-10-25 02:45 Europe/Berlin+", ("Sun 02:30-02:45 Europe/Berlin",), (), "Sun 2026-11-01 02:30"),
    # it closes, and the clock goes back into it
    ("2026-10-25 02:40 Europe/Berlin", ("Sun 01:00-02:30 Europe/Berlin",), (), "Sun 2026-10-25 02:00+"),
    # never
    ("2026-06-15 10:00", (), (("2026-01-01 00:00", "9999-12-31 23:59 America/New_York"),), None),
    ("2026-06-15 10:00", (FRIDAY,), (("2026-01-01 00:00", "9999-12-31 23:59"),), None),
]
# fmt: on


def test_a_window_is_open_on_its_days_and_at_its_hours_on_the_clock_of_its_zone() -> None:
    for text, (inside, outside) in OPEN.items():
        assert all(window(text).is_open(at(f"2026-06-{moment}")) for moment in inside), text
        assert not any(window(text).is_open(at(f"2026-06-{moment}")) for moment in outside), text
    for place, before, after in CHANGED_CLOCKS:
        hours = f"Sat-Sun 09:00-17:00 {place}"
        for day in (before, after):
            edges = [window(hours).is_open(at(f"{day} {t} {place}")) for t in ("08:59", "09:00", "16:59", "17:00")]
            assert edges == [False, True, True, False]
        assert opening(f"{before} 18:00 {place}", hours) == f"Sun {after} 09:00"


def test_a_freeze() -> None:
    for start, end, inside, outside in FREEZES_AND_MOMENTS:
        freeze = Interval.between(at(start), at(end))
        assert freeze.holds(at(inside)), inside
        assert outside is None or not freeze.holds(at(outside)), outside


@pytest.mark.parametrize(("now", "windows", "freezes", "expected"), OPENINGS)
def test_the_next_opening(now: str, windows: tuple[str, ...], freezes: Any, expected: str | None) -> None:
    assert opening(now, *windows, freezes=freezes) == expected


def test_an_opening_is_the_start_of_a_minute_unless_it_is_now_and_is_found_however_late_it_is() -> None:
    assert next_opening(at("2026-06-15 08:59:30"), (window("Mon 09:00-17:00"),), ()) == at("2026-06-15 09:00")
    assert next_opening(at("2026-06-15 09:00:30"), (window("Mon 09:00-17:00"),), ()) == at("2026-06-15 09:00:30")
    first = at("2026-06-15 00:00")
    mondays = tuple(first + timedelta(weeks=n) for n in range(30))
    freezes = tuple(Interval.between(day, day + timedelta(days=1)) for day in mondays)
    assert next_opening(first, (window("Mon 00:00-24:00"),), freezes) == first + timedelta(weeks=30)
    assert next_opening(first, (Window("never", frozenset(), 540, 1020, UTC),), ()) is None


MOMENTS = st.sampled_from(
    [f"2026-{day} 00:00" for day in ("03-08", "03-29", "04-05", "06-15", "10-04", "10-25", "11-01")]
).flatmap(lambda text: st.integers(-3000, 3000).map(lambda minutes: at(text) + timedelta(minutes=minutes)))
WINDOWS = st.builds(
    lambda days, start, length, place: Window("", days, start, (start + length) % 1440, zone(place)),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439) | st.integers(60, 210),
    st.integers(1, 1439),
    st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, "UTC"]),
)
FREEZES = st.builds(
    lambda start, hours: Interval.between(start, start + timedelta(hours=hours)), MOMENTS, st.integers(1, 60)
)


@settings(deadline=None, max_examples=60)
@given(MOMENTS, st.lists(WINDOWS, max_size=2).map(tuple), st.lists(FREEZES, max_size=3).map(tuple))
@example(at("2026-10-25 00:40"), (window("Sun 01:00-02:30 Europe/Berlin"),), ())
@example(at("2026-03-23 12:00"), (window("Sun 02:15-02:45 Europe/Berlin"),), ())
def test_the_next_opening_is_open_and_none_is_sooner(
    now: datetime, windows: tuple[Window, ...], freezes: tuple[Interval, ...]
) -> None:
    def passes(moment: datetime) -> bool:
        is_free = not any(freeze.holds(moment) for freeze in freezes)
        return is_free and (not windows or any(w.is_open(moment) for w in windows))

    found = next_opening(now, windows, freezes)
    assert found is not None
    assert passes(found)
    sooner = range(int((found - now) / timedelta(minutes=1)))
    assert not any(passes(now + timedelta(minutes=n)) for n in sooner)


# changes


@given(st.sampled_from(["Mon-Thu 09:00-17:00", "Fri 22:00-02:00", "Mon-Sun 00:00-24:00", "Sun 02:30-03:30"]), MOMENTS)
@settings(deadline=None)
def test_spans_are_the_minutes_in_which_a_window_is_open(text: str, moment: datetime) -> None:
    judged, minute, end = window(text, BERLIN), timedelta(minutes=1), moment + timedelta(days=3)
    spans = list(times.open_spans(judged, moment, end))
    for n in range(0, 3 * 24 * 60, 13):
        assert any(a <= moment + n * minute < b for a, b in spans) is judged.is_open(moment + n * minute)
    for a, b in spans:
        assert a == moment or not judged.is_open(a - minute)
        assert b == end or not judged.is_open(b)


def test_the_next_change_is_the_first_of_all_and_for_ever_is_none() -> None:
    judged = window("Mon 09:00-10:00")
    monday = at("2026-06-15 09:30")
    freeze = Interval.between(monday + timedelta(minutes=5), datetime.max.replace(tzinfo=UTC))
    assert next_change(monday, [judged], [freeze]) == monday + timedelta(minutes=5)
    assert next_change(monday, [judged], []) == monday + timedelta(minutes=30)
    assert next_change(monday + timedelta(minutes=5), [window("Mon-Sun 00:00-24:00")], [freeze]) is None
