"""Windows and freezes: when a deploy may go out, judged on the local clock.

A window names days and times of day in a zone; daylight saving shifts neither. A freeze is a stretch between two
moments. What is asked most is not "is it open?" but "when does it open?".

Moments are compared in UTC: Python compares two of the same zone by what the clock shows, which is wrong twice a year.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import Final

from deploystep.core.moments import zone

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WINDOW: Final = re.compile(
    r"(?P<first>[A-Z][a-z]{2})(?:-(?P<last>[A-Z][a-z]{2}))? (?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)(?: (?P<zone>\S+))?",
    re.ASCII,
)
_MINUTE: Final = timedelta(minutes=1)
_LONGEST_GAP: Final = 24 * 60
_MOST_STEPS: Final = 1000


@dataclass(frozen=True, slots=True)
class Window:
    """Days and a stretch of the day, minutes from 00:00; one that ends before it starts runs past midnight.

    The day is that on which the window starts. The start is included, the end is not.
    """

    text: str
    days: frozenset[int]
    start: int
    end: int
    zone: tzinfo

    def is_open(self, moment: datetime) -> bool:
        """Whether this moment is inside."""
        local = moment.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        if self.start < self.end:
            return local.weekday() in self.days and self.start <= minute < self.end
        is_evening = local.weekday() in self.days and minute >= self.start
        return is_evening or ((local.weekday() - 1) % 7 in self.days and minute < self.end)

    def next_opening(self, moment: datetime) -> datetime | None:
        """The first moment from now on that is inside, in UTC."""
        moment = moment.astimezone(timezone.utc)
        if self.is_open(moment):
            return moment
        today = moment.astimezone(self.zone).date()
        candidates = (start for ahead in range(9) for start in self._starts(today + timedelta(days=ahead)))
        return min((start for start in candidates if start > moment and self.is_open(start)), default=None)

    def _starts(self, day: date) -> Iterator[datetime]:
        """When the clock shows the start on that day: once, twice in autumn, or as soon as it has passed in spring."""
        if day.weekday() not in self.days:
            return
        shown = time(self.start // 60, self.start % 60)
        for fold in (0, 1):
            moment = datetime.combine(day, shown, self.zone).replace(fold=fold).astimezone(timezone.utc)
            yield self._at_or_after(moment, datetime.combine(day, shown))

    def _at_or_after(self, moment: datetime, shown: datetime) -> datetime:
        """From here on, the first moment at which the local clock shows at least `shown`."""
        for _ in range(_LONGEST_GAP):
            if moment.astimezone(self.zone).replace(tzinfo=None) >= shown:
                break
            moment += _MINUTE
        return moment


@dataclass(frozen=True, slots=True)
class Stretch:
    """From a moment, included, until another, not included."""

    start: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        """Whether this moment is inside."""
        moment = moment.astimezone(timezone.utc)
        return self.start.astimezone(timezone.utc) <= moment < self.end.astimezone(timezone.utc)


def read_window(text: str, default: tzinfo) -> Window | None:
    """Read `Mon-Thu 09:00-17:00 [ZONE]`; None where it is not a window. Raises ValueError for an unknown zone."""
    match = _WINDOW.fullmatch(text.strip())
    if match is None or match["first"] not in DAYS or (match["last"] or "Mon") not in DAYS:
        return None
    start, end = _minutes(match["start"]), _minutes(match["end"])
    if start is None or end is None or start in (end, 24 * 60):
        return None
    place = zone(match["zone"]) if match["zone"] else default
    return Window(text.strip(), _days(match["first"], match["last"] or match["first"]), start, end, place)


def _days(first: str, last: str) -> frozenset[int]:
    """The days from one to the other, over the weekend where the second is the earlier."""
    start, length = DAYS.index(first), (DAYS.index(last) - DAYS.index(first)) % 7
    return frozenset((start + i) % 7 for i in range(length + 1))


def _minutes(text: str) -> int | None:
    hours, minutes = int(text[:2]), int(text[3:])
    found = hours * 60 + minutes
    return found if minutes < 60 and found <= 24 * 60 else None  # noqa: PLR2004


def next_opening(moment: datetime, windows: tuple[Window, ...], freezes: tuple[Stretch, ...]) -> datetime | None:
    """The first moment from now on, in UTC, at which a window is open (or there is none) and no freeze holds."""
    moment = moment.astimezone(timezone.utc)
    for _ in range(_MOST_STEPS):
        frozen = [freeze.end for freeze in freezes if freeze.holds(moment)]
        if frozen:
            moment = max(end.astimezone(timezone.utc) for end in frozen)
            continue
        if not windows:
            return moment
        opening = min((o for w in windows if (o := w.next_opening(moment)) is not None), default=None)
        if opening is None or opening == moment:
            return opening
        moment = opening
    return None
