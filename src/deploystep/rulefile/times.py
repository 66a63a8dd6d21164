"""Windows and freezes of the rule file: texts to times."""

from datetime import datetime, timezone, tzinfo
from typing import Final

from deploystep.core.rules import Freeze
from deploystep.core.source import Span, Spanned
from deploystep.core.text import nearest
from deploystep.core.times import Interval, UnknownZone, Window, read_moment, read_window, zone, zone_names
from deploystep.rulefile import fields as f
from deploystep.rulefile.nodes import Report, shown
from deploystep.rulefile.shapes import Fields

_WRITE: Final = "write for example  Mon-Thu 09:00-17:00  or  Fri 22:00-06:00 Europe/Berlin"


def zone_or_utc(name: str) -> tzinfo:
    """The zone of that name; UTC stands in for one that does not exist, which has been reported."""
    try:
        return zone(name)
    except UnknownZone:
        return timezone.utc


def refuse_zone(unknown: UnknownZone, span: Span, report: Report) -> None:
    """Report a time zone that does not exist, with the one that was probably meant."""
    near = nearest(unknown.name, zone_names())
    hint = f"did you mean {shown(near)}?" if near else "write for example  Europe/Berlin"
    report.error("E401", f"unknown time zone {shown(unknown.name)}", span, hint)


class Times:
    """Reads what is about time, in the file's zone where a text names none."""

    def __init__(self, place: tzinfo, report: Report) -> None:
        self.place = place
        self.report = report
        self.windows: dict[str, tuple[Window, ...]] = {}

    def name_windows(self, read: tuple[tuple[Spanned[str], tuple[Spanned[str], ...]], ...]) -> None:
        """The windows that rules can name."""
        for name, texts in read:
            self.windows[name.value] = tuple(w for text in texts if (w := self._window(text)) is not None)

    def during(self, written: Spanned[str] | None) -> Spanned[tuple[Window, ...]] | None:
        """The windows of a rule: those of a name, or one that is written in place."""
        if written is None:
            return None
        if " " in written.value:
            window = self._window(written)
            return Spanned((window,), written.span) if window else None
        if written.value not in self.windows:
            near = nearest(written.value, self.windows)
            known = f"known: {', '.join(self.windows)}" if self.windows else _WRITE
            hint = f"did you mean {shown(near)}?" if near else known
            self.report.error("E404", f"no window is called {shown(written.value)}", written.span, hint)
            return None
        return Spanned(self.windows[written.value], written.span)

    def _window(self, text: Spanned[str]) -> Window | None:
        try:
            window = read_window(text.value, self.place)
        except UnknownZone as unknown:
            refuse_zone(unknown, text.span, self.report)
            return None
        if window is None:
            self.report.error("E402", f"cannot read the window {shown(text.value)}", text.span, _WRITE)
        return window

    def freeze(self, read: Fields) -> Freeze | None:
        """One freeze."""
        name, reason = read.get(f.FREEZE_NAME), read.get(f.REASON)
        interval = self._stretch(read)
        if name is None or interval is None:
            return None
        return Freeze(
            name=name.value,
            interval=interval,
            environments=frozenset(e.value for e in read.get(f.ENVIRONMENTS) or ()),
            exempt=frozenset(r.value for r in read.get(f.EXCEPT) or ()),
            reason=reason.value if reason else None,
            span=read.span,
        )

    def _stretch(self, read: Fields) -> Interval | None:
        start, until = read.get(f.FROM), read.get(f.UNTIL)
        if start is None or until is None:
            return None
        interval = self._moments(start, until)
        if interval is not None and interval.begins >= interval.ends:
            self.report.error("E405", "'until' is not after 'from'", until.span)
        return interval

    def _moments(self, start: Spanned[str], until: Spanned[str]) -> Interval | None:
        begins, ends = self._moment(start), self._moment(until)
        return Interval(begins, ends) if begins and ends else None

    def _moment(self, text: Spanned[str]) -> datetime | None:
        try:
            return read_moment(text.value, self.place)
        except UnknownZone as unknown:
            refuse_zone(unknown, text.span, self.report)
        except ValueError as error:
            what = str(error).partition(": expected")[0]
            self.report.error("E403", what, text.span, "write for example  2026-12-18 18:00")
        return None
