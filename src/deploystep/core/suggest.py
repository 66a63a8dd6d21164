"""Names that were nearly right: the one that was probably meant."""

from collections.abc import Iterable
from typing import Final

_FAR: Final = 3


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
