"""Windows and freezes of the rule file: texts to times, in the file's zone where a text names none."""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final

from deploystep.core.rules import Freeze
from deploystep.core.source import Spanned
from deploystep.core.text import did_you_mean
from deploystep.core.times import Interval, UnknownZone, Window, read_moment, read_window
from deploystep.rulefile import fields as f
from deploystep.rulefile.field_types import Fields, refuse_zone
from deploystep.rulefile.yaml_nodes import Report, shown

Windows = tuple[Window, ...]
_WRITE: Final = "write for example  Mon-Thu 09:00-17:00  or  Fri 22:00-06:00 Europe/Berlin"


def windows_of(texts: tuple[Spanned[str], ...], place: tzinfo, report: Report) -> Windows:
    """The windows that could be read."""
    found = []
    for text in texts:
        try:
            window = read_window(text.value, place)
        except UnknownZone as unknown:
            refuse_zone(unknown, text.span, report)
            continue
        if window is None:
            report.error("E402", f"cannot read the window {shown(text.value)}", text.span, _WRITE)
        else:
            found.append(window)
    return tuple(found)


def during(text: Spanned[str], named: Mapping[str, Windows], place: tzinfo, report: Report) -> Spanned[Windows] | None:
    """The windows of a rule: those of a name, or one that is written in place."""
    if " " in text.value:
        return Spanned(windows_of((text,), place, report), text.span)
    if text.value not in named:
        hint = did_you_mean(text.value, named, f"known: {', '.join(named)}" if named else _WRITE)
        report.error("E404", f"no window is called {shown(text.value)}", text.span, hint)
        return None
    return Spanned(named[text.value], text.span)


def freeze(read: Fields, place: tzinfo, report: Report) -> Freeze | None:
    """One freeze; None after a report."""
    name, start, until, reason = (read.get(known) for known in (f.FREEZE_NAME, f.FROM, f.UNTIL, f.REASON))
    begins, ends = (_moment(text, place, report) if text else None for text in (start, until))
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


def _moment(text: Spanned[str], place: tzinfo, report: Report) -> datetime | None:
    try:
        return read_moment(text.value, place)
    except UnknownZone as unknown:
        refuse_zone(unknown, text.span, report)
    except ValueError as error:
        what = str(error).partition(": expected")[0]
        report.error("E403", what, text.span, "write for example  2026-12-18 18:00")
    return None
