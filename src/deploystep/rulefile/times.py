"""Windows and freezes of the rule file: texts to times, in the file's zone where a text names none."""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Final, TypeVar

from deploystep.core.rules import Freeze
from deploystep.core.source import Spanned
from deploystep.core.text import did_you_mean, shown
from deploystep.core.times import Interval, UnknownZone, Window, read_moment, read_window
from deploystep.rulefile import fields as f
from deploystep.rulefile.field_types import Fields, unknown_zone
from deploystep.rulefile.yaml_nodes import Report

T = TypeVar("T")
Windows = tuple[Window, ...]
_NO_MOMENT: Final = ("E403", "write for example  2026-12-18 18:00")
_NO_WINDOW: Final = ("E402", "write for example  Mon-Thu 09:00-17:00  or  Fri 22:00-06:00 Europe/Berlin")


def windows_of(texts: tuple[Spanned[str], ...], place: tzinfo, report: Report) -> Windows:
    """The windows that could be read."""
    read = (_read(read_window, text, place, report, _NO_WINDOW) for text in texts)
    return tuple(window for window in read if window is not None)


def during(text: Spanned[str], named: Mapping[str, Windows], place: tzinfo, report: Report) -> Spanned[Windows] | None:
    """The windows of a rule: those of a name, or one that is written in place."""
    if " " in text.value:
        return Spanned(windows_of((text,), place, report), text.span)
    if text.value in named:
        return Spanned(named[text.value], text.span)
    hint = did_you_mean(text.value, named, f"known: {', '.join(named)}" if named else _NO_WINDOW[1])
    report.error("E404", f"no window is called {shown(text.value)}", text.span, hint)
    return None


def freeze(read: Fields, place: tzinfo, report: Report) -> Freeze | None:
    """One freeze; None after a report."""
    name, start, until, reason = (read.get(known) for known in (f.FREEZE_NAME, f.FROM, f.UNTIL, f.REASON))
    begins, ends = (_read(read_moment, text, place, report, _NO_MOMENT) if text else None for text in (start, until))
    if name is None or until is None or begins is None or ends is None:
        return None
    interval = Interval(begins, ends)
    if interval.begins >= interval.ends:
        report.error("E405", "'until' is not after 'from'", until.span)
    return Freeze(
        name=name.value,
        interval=interval,
        environments=frozenset(e.value for e in read.get(f.ENVIRONMENTS) or ()),
        exempt=frozenset(r.value for r in read.get(f.EXCEPT) or ()),
        reason=reason.value if reason else None,
        span=read.span,
    )


def _read(
    reader: Callable[[str, tzinfo], T], text: Spanned[str], place: tzinfo, report: Report, otherwise: tuple[str, str]
) -> T | None:
    """What a reader of `core.times` makes of a text; None after a report, which has a code and a hint."""
    try:
        return reader(text.value, place)
    except UnknownZone as unknown:
        report.error(*unknown_zone(unknown.name, text.span))
    except ValueError as error:
        report.error(otherwise[0], str(error).partition(": expected")[0], text.span, otherwise[1])
    return None
