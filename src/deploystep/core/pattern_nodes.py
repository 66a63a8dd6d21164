"""The tree that globs and regexes are both read into, over intervals of code points."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from deploystep.core.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

LAST_CODE_POINT = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Chars:
    """Exactly one character out of sorted intervals that neither overlap nor touch (both ends included)."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> Chars:
        """Merge intervals given in any order."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return cls(tuple(merged))

    @staticmethod
    @lru_cache(maxsize=512)
    def one(character: str) -> Chars:
        """Stand for this character alone."""
        return Chars(((ord(character), ord(character)),))

    def inverted(self) -> Chars:
        """Stand for every other character."""
        gaps: list[tuple[int, int]] = []
        free = 0
        for low, high in self.ranges:
            if free < low:
                gaps.append((free, low - 1))
            free = high + 1
        if free <= LAST_CODE_POINT:
            gaps.append((free, LAST_CODE_POINT))
        return Chars(tuple(gaps))

    def sole(self) -> str | None:
        """Name the character if there is only one."""
        low, high = self.ranges[0]
        return chr(low) if len(self.ranges) == 1 and low == high else None


@dataclass(frozen=True, slots=True)
class Concat:
    """One part after the other; no parts match the empty text."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Any one of the parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The part at least `low` and at most `high` times; without `high` there is no upper limit."""

    part: Node
    low: int
    high: int | None


Node: TypeAlias = Chars | Concat | Choice | Repeat

EMPTY = Concat(())
ANY_CHARACTER = Chars(((0, LAST_CODE_POINT),))
SLASH = Chars.one("/")
NOT_SLASH = SLASH.inverted()
ANYTHING = Repeat(ANY_CHARACTER, 0, None)
SOMETHING = Repeat(ANY_CHARACTER, 1, None)


def concat(parts: Iterable[Node]) -> Node:
    """Put parts in a row, leaving out those that are empty and unfolding a row within a row."""
    flat: list[Node] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Concat) else (part,))
    return flat[0] if len(flat) == 1 else Concat(tuple(flat))


def literal(text: str) -> Node:
    """Match this text alone."""
    return concat(Chars.one(character) for character in text)


def state_count(node: Node) -> int:
    """Tell how many automaton states the node needs, without building them: a repeat may ask for billions."""
    if isinstance(node, Chars):
        return 1
    if isinstance(node, Repeat):
        copies = node.low + 1 if node.high is None else node.high
        return 1 + copies * state_count(node.part)
    return 1 + sum(state_count(part) for part in node.parts)


def sole_text(node: Node) -> str | None:
    """Name the only text that the node matches, or None if there may be several."""
    if isinstance(node, Chars):
        return node.sole()
    if isinstance(node, Repeat):
        return _sole_repeat(node)
    texts = [sole_text(part) for part in node.parts]
    if isinstance(node, Choice):
        return texts[0] if len(set(texts)) == 1 else None
    known = [text for text in texts if text is not None]
    return "".join(known) if len(known) == len(texts) else None


def _sole_repeat(node: Repeat) -> str | None:
    part = "" if node.high == 0 else sole_text(node.part)
    if part == "":
        return ""
    return part * node.low if part is not None and node.low == node.high else None


def text_at_hand(node: Node) -> str | None:
    """Name some text that the node matches, found without a search; None where that is not as simple."""
    if isinstance(node, Chars):
        return _at_hand(node)
    if isinstance(node, Repeat):
        part = text_at_hand(node.part)
        return None if part is None else part * (node.low if node.high == node.low else max(node.low, 1))
    if isinstance(node, Choice):
        return text_at_hand(node.parts[0]) if node.parts else None
    texts = [text_at_hand(part) for part in node.parts]
    known = [text for text in texts if text is not None]
    return "".join(known) if len(known) == len(texts) else None


def _at_hand(chars: Chars) -> str | None:
    usual = (c for c in "a0" if any(low <= ord(c) <= high for low, high in chars.ranges))
    return next(usual, chr(chars.ranges[0][0]) if chars.ranges else None)


def beginning(node: Node) -> str:
    """Name the longest text that is plainly the beginning of everything that the node matches."""
    found = ""
    for part in node.parts if isinstance(node, Concat) else (node,):
        character = part.sole() if isinstance(part, Chars) else None
        if character is None:
            break
        found += character
    return found
