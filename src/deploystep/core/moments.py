"""Points in time as people write them in options and rule files: `2026-06-16 10:00 Europe/Berlin`."""

import re
from datetime import datetime, timezone, tzinfo
from typing import Final

_WRITTEN: Final = r"(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)(?: ?(\S+))?"
_OFFSET: Final = r"[+-]\d{2}:?\d{2}"


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
    """Read `YYYY-MM-DD HH:MM[:SS] [ZONE]` or ISO 8601; `default` is the zone of a text that names none.

    Raises ValueError with what is wrong.
    """
    match = re.fullmatch(_WRITTEN, text.strip(), re.ASCII)
    if match is None:
        raise ValueError(
            f"cannot read the time {text!r}: expected for example 2026-06-16 10:00 or 2026-06-16T10:00:00+02:00"
        )
    day, clock, place = match.groups()
    try:
        naive = datetime.fromisoformat(f"{day}T{_padded(clock)}")
    except ValueError as error:
        raise ValueError(f"cannot read the time {text!r}: {error}") from None
    return naive.replace(tzinfo=_place(place, default))


def read_now(text: str, default: tzinfo) -> datetime:
    """The same, of a time at which a build is to be decided: a freeze can last for ever, but no build runs then."""
    moment = read_moment(text, default)
    if not 1900 < moment.year < 2200:  # noqa: PLR2004 - at the very ends Python's calendar cannot be reckoned with
        raise ValueError(f"cannot read the time {text!r}: no build runs in the year {moment.year}")
    return moment


def _padded(clock: str) -> str:
    """Fractions of a second with six digits, as Python 3.10 wants them."""
    whole, dot, fraction = clock.partition(".")
    return whole + (dot + fraction.ljust(6, "0") if dot else "")


def _place(text: str | None, default: tzinfo) -> tzinfo:
    if text is None:
        return default
    if text in ("Z", "z"):
        return timezone.utc
    if re.fullmatch(_OFFSET, text, re.ASCII):
        offset = datetime.strptime(text, "%z").tzinfo
        return offset or default
    return zone(text)
