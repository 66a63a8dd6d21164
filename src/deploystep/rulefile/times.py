"""Windows and freezes of the rule file: texts to times, in the file's zone where a text names none."""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Final, TypeVar

from deploystep.core.rules import Freeze
from deploystep.core.source import Spanned
from deploystep.core.times import Interval, UnknownZone, Window, read_moment, read_window
from deploystep.rulefile import fields as f
from deploystep.rulefile.field_types import Fields, unknown_zone
from deploystep.rulefile.yaml_nodes import Report

T = TypeVar("T")
Windows = tuple[Window, ...]
_MOMENT: Final = "write for example  2026-12-18 18:00"
_WINDOW: Final = "write for example  Mon-Thu 09:00-17:00  or  Fri 22:00-06:00 Europe/Berlin"


def windows_of(texts: tuple[Spanned[str], ...], place: tzinfo, report: Report) -> Windows:
    """The windows that could be read."""
    read = (_read(read_window, text, place, report) for text in texts)
    return tuple(window for window in read if window is not None)


def during(text: Spanned[str], named: Mapping[str, Windows], place: tzinfo, report: Report) -> Spanned[Windows] | None:
    """The windows of a rule: those of a name, or one that is written in place."""
    if " " in text.value:
        return Spanned(windows_of((text,), place, report), text.span)
    is_known = report.check_known("E404", "no window is called", text, named, _WINDOW)
    return Spanned(named[text.value], text.span) if is_known else None


def freeze(read: Fields, place: tzinfo, report: Report) -> Freeze | None:
    """One freeze; None after a report."""
    name, start, until, reason = (read.get(known) for known in (f.FREEZE_NAME, f.FROM, f.UNTIL, f.REASON))
    begins, ends = (_read(read_moment, text, place, report) if text else None for text in (start, until))
    if name is None or until is None or begins is None or ends is None:
        return None
    if begins >= ends:
        report.error("E405", "'until' is not after 'from'", until.span)
    return Freeze(
        name=name.value,
        interval=Interval(begins, ends),
        environments=frozenset(e.value for e in read.get(f.ENVIRONMENTS) or ()),
        exempt=frozenset(r.value for r in read.get(f.EXCEPT) or ()),
        reason=reason.value if reason else None,
        span=read.span,
    )


def _read(reader: Callable[[str, tzinfo], T], text: Spanned[str], place: tzinfo, report: Report) -> T | None:
    """What a reader of `core.times` makes of a text; None after a report."""
    try:
        return reader(text.value, place)
    except UnknownZone as unknown:
        report.error(*unknown_zone(unknown.name, text.span))
    except ValueError as error:
        code, hint = ("E402", _WINDOW) if reader is read_window else ("E403", _MOMENT)
        report.error(code, str(error).partition(": expected")[0], text.span, hint)
    return None
