"""Texts for people: untrusted ones made harmless to look at, and names that were nearly right."""

from collections.abc import Iterable


def visible(text: str) -> str:
    """The text on one line, with everything that a terminal would obey, or not show as itself, written as an escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def clipped(text: str) -> str:
    """The text, or its beginning where it is long."""
    return text if len(text) <= 60 else f"{text[:59]}…"  # noqa: PLR2004


def shown(text: str) -> str:
    """A text in quotes as a message shows it: on one line, nothing invisible, not long."""
    return f"'{visible(clipped(text))}'"


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "", form: str = "'{}'") -> str:
    """A hint with the known name that was probably meant, shown in a form; `otherwise` where none is close."""
    near = nearest(name, known)
    return f"did you mean {form.format(near)}?" if near else otherwise


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to `name`, where it is close enough to be a slip."""
    from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

    lowered = {k.lower(): k for k in known}
    near = get_close_matches(name.lower(), lowered, 1, 0.75)
    near = near or [k for k in lowered if sorted(k) == sorted(name.lower())]  # `tga`: a short word is soon far away
    return lowered[near[0]] if near else None
