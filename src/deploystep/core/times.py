"""Times: moments as people write them, windows and freezes, on the local clock: daylight saving shifts no window."""

import re
from collections.abc import Iterable, Iterator
from datetime import MAXYEAR, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final

from deploystep.core.frozen import Frozen
from deploystep.core.source import shown

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class UnknownZone(ValueError):
    """There is no time zone of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown time zone '{name}'")
        self.name = name


def zone(name: str) -> tzinfo:
    """The time zone of that name. Raises UnknownZone where there is none."""
    if name == "UTC":  # by far the commonest: spare the start of the zone database
        return timezone.utc
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - costs milliseconds, needed by few runs

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, malformed, or a directory of the database
        raise UnknownZone(name) from None


def zone_names() -> frozenset[str]:
    """Every name that `zone` knows, for suggestions."""
    from zoneinfo import available_timezones  # noqa: PLC0415

    return frozenset(available_timezones()) | {"UTC"}


def read_moment(text: str, default: tzinfo) -> datetime:
    """Read `YYYY-MM-DD HH:MM[:SS] [ZONE]` or ISO 8601, in the default zone if none is named. Raises ValueError."""
    day, clock = r"\d{4}-\d\d-\d\d", r"(?:[01]\d|2[0-3]):\d\d(?::\d\d)?"
    match = re.fullmatch(rf"({day})[ T]({clock})(?: ?(Z|[+-]\d\d:\d\d)| ([^\s.:+-]\S*))?", text.strip(), re.ASCII)
    try:
        if match is None:
            raise ValueError("expected for example 2026-06-16 10:00 or 2026-06-16T10:00:00+02:00")  # noqa: TRY301
        offset = (match[3] or "").replace("Z", "+00:00")
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{offset}")
    except ValueError as error:
        raise ValueError(f"cannot read the time {text!r}: {error}") from None
    return moment if offset else moment.replace(tzinfo=zone(match[4]) if match[4] else default)


def read_now(text: str, default: tzinfo) -> datetime:
    """Read the time at which a build is to be decided: a freeze can last for ever, but no build runs then."""
    moment = read_moment(text, default)
    if not 1900 < moment.year < 2200:  # noqa: PLR2004 - at the very ends Python's calendar cannot be reckoned with
        raise ValueError(f"cannot read the time {text!r}: no build runs in the year {moment.year}")
    return moment


class Window(Frozen):
    """Days on which it starts, and minutes from 00:00: the start is in, the end is not; past midnight if it is less."""

    text: str
    days: frozenset[int]
    start: int
    end: int
    zone: tzinfo

    def is_open(self, moment: datetime) -> bool:
        local = moment.astimezone(self.zone)
        minute, began = local.hour * 60 + local.minute, local.weekday()
        if minute < self.end < self.start:
            minute, began = minute + 24 * 60, (began - 1) % 7
        return began in self.days and self.start <= minute and (self.end < self.start or minute < self.end)


def read_window(text: str, default: tzinfo) -> Window:
    """Read `Mon-Thu 09:00-17:00 [ZONE]`. Raises ValueError with what is wrong."""
    day, clock = "|".join(DAYS), r"(?:[01]\d|2[0-3]):[0-5]\d|24:00"
    match = re.fullmatch(rf"({day})(?:-({day}))? ({clock})-({clock})(?: (\S+))?", text.strip(), re.ASCII)
    if match is None or match[3] in (match[4], "24:00"):
        raise ValueError(f"cannot read the window {shown(text)}")
    first, last = DAYS.index(match[1]), DAYS.index(match[2] or match[1])
    days = frozenset((first + n) % 7 for n in range((last - first) % 7 + 1))  # also over the weekend
    start, end = (int(written[:2]) * 60 + int(written[3:]) for written in match.group(3, 4))
    return Window(text.strip(), days, start, end, zone(match[5]) if match[5] else default)


class Interval(Frozen):
    """From a moment in UTC, included, until another, not included."""

    begins: datetime  # in UTC: Python compares two of one zone by what the clock shows, which is wrong twice a year
    ends: datetime

    @classmethod
    def between(cls, start: datetime, end: datetime) -> "Interval":
        """The longer one, where a clock that is changed shows one of them twice, or not at all."""

        def utc(moment: datetime, fold: int) -> datetime:
            try:
                return moment.replace(fold=fold).astimezone(timezone.utc)
            except OverflowError:  # the ends of the calendar, which mean `always`, stay where they are in every zone
                return moment.replace(tzinfo=timezone.utc)

        return cls(min(utc(start, 0), utc(start, 1)), max(utc(end, 0), utc(end, 1)))

    def holds(self, moment: datetime) -> bool:
        return self.begins <= moment.astimezone(timezone.utc) < self.ends


def next_opening(moment: datetime, windows: tuple[Window, ...], freezes: tuple[Interval, ...]) -> datetime | None:
    """The first moment from now on, in UTC, at which a window is open (or there is none) and no freeze holds."""
    at: datetime | None = moment.astimezone(timezone.utc)
    while at is not None and at.year < MAXYEAR:  # who freezes until the year 9999 means for ever
        frozen = [freeze.ends for freeze in freezes if freeze.holds(at)]
        if not frozen and (not windows or any(window.is_open(at) for window in windows)):
            return at
        at = max(frozen, default=None) or next_change(at, windows, ())
    return None


def next_change(moment: datetime, windows: Iterable[Window], freezes: Iterable[Interval]) -> datetime | None:
    """The first moment after this one, in UTC, at which a window opens or closes or a freeze begins or ends."""
    before = moment.astimezone(timezone.utc).replace(second=0, microsecond=0)
    edges = [edge for freeze in freezes for edge in (freeze.begins, freeze.ends) if edge.year < MAXYEAR]
    edges += [edge for window in windows if (edge := _changed_minute(window, before)) is not None]
    return min((edge for edge in edges if edge > moment), default=None)


@lru_cache(maxsize=256)  # rules share windows, and a decision is made in rounds
def _changed_minute(window: Window, before: datetime) -> datetime | None:
    """The first minute after one at which the window is what it is not then: open or closed."""
    was_open = window.is_open(before)
    # each is looked at: a clock that is put forward can jump inside, and one that is put back can return there;
    # for over two weeks: the one hour of a week may be the one that the clock skips next week
    later = (before + timedelta(minutes=n) for n in range(1, 15 * 24 * 60))
    return next((minute for minute in later if window.is_open(minute) is not was_open), None)


def open_spans(window: Window, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """When a window is open between two moments, in UTC: from when, until when."""
    at = start.astimezone(timezone.utc)
    while at < end:
        until = min(next_change(at, [window], ()) or end, end)
        if window.is_open(at):
            yield at, until
        at = until
