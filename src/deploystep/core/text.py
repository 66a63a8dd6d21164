"""Texts for people: untrusted ones made harmless to look at, and names that were nearly right."""

import unicodedata
from collections.abc import Iterable
from typing import Final

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_FAR: Final = 3


def visible(text: str) -> str:
    """The text with everything that a terminal would obey, or not show, written as an escape."""
    return "".join(_escape(c) if unicodedata.category(c) in _HIDDEN else c for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "", form: str = "'{}'") -> str:
    """A hint with the known name that was probably meant, shown in a form; `otherwise` where none is close."""
    near = nearest(name, known)
    return f"did you mean {form.format(near)}?" if near else otherwise


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to `name`, where it is close enough to be a slip; ties go to the first in order."""
    limit = min(_FAR, max(1, len(name) // 3))
    scored = sorted((distance(name.lower(), k.lower()), k) for k in known if abs(len(k) - len(name)) <= limit)
    return scored[0][1] if scored and scored[0][0] <= limit else None


def distance(a: str, b: str) -> int:
    """How many insertions, deletions, changes or swaps of neighbours make one text the other."""
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
