"""Lists in pages, with tokens that only the stand-in can read."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


@dataclass(frozen=True)
class Cut(Generic[T]):
    """One page, and the token of the next one if there is one."""

    items: Sequence[T]
    next_token: str | None


def cut(items: Sequence[T], token: str | None, size: int) -> Cut[T] | None:
    """Cut one page from a list; None if nobody gave out this token.

    The token counts the items still to come, from the old end: so what is created while somebody pages
    neither repeats nor hides an item.
    """
    left = _left(token) if token else len(items)
    if left is None or left > len(items):
        return None
    start = len(items) - left
    rest = left - size
    return Cut(items[start : start + size], _token(rest) if rest > 0 else None)


def _token(left: int) -> str:
    return base64.urlsafe_b64encode(f"left:{left}".encode()).decode()


def _left(token: str) -> int | None:
    try:
        text = base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, ValueError):
        return None
    found = re.fullmatch(r"left:([0-9]{1,15})", text)
    return int(found[1]) if found else None
