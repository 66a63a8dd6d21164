"""What a pattern is read into: a tree over intervals of code points, or a problem at a place in the pattern's text."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from deploystep.core.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deploystep.core.source import Problem

LAST_CODE_POINT: Final = 0x10FFFF


class Kind(Enum):
    """What a pattern is for, which decides how it is read."""

    REF = "name"  # the word for what a regex of this kind must match as a whole
    PATH = "path"
    NAME = "text"


class PatternError(ValueError):
    """The text is no pattern of this language."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.message} — {problem.hint}" if problem.hint else problem.message)
        self.problem = problem


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
        """Match this character alone."""
        return Chars(((ord(character), ord(character)),))

    def inverted(self) -> Chars:
        """Match every other character."""
        gaps: list[tuple[int, int]] = []
        free = 0
        for low, high in (*self.ranges, (LAST_CODE_POINT + 1, LAST_CODE_POINT + 1)):
            if free < low:
                gaps.append((free, low - 1))
            free = high + 1
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
    """Any one of the parts, of which there is at least one."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The part at least `low` and at most `high` times; without `high` there is no upper limit."""

    part: Node
    low: int
    high: int | None


Node: TypeAlias = Chars | Concat | Choice | Repeat

EMPTY: Final = Concat(())
SLASH: Final = Chars.one("/")
NOT_SLASH: Final = SLASH.inverted()
ANYTHING: Final = Repeat(Chars(((0, LAST_CODE_POINT),)), 0, None)
SOMETHING: Final = Repeat(ANYTHING.part, 1, None)


def concat(parts: Iterable[Node]) -> Node:
    """Put parts in a row, leaving out those that are empty and unfolding a row within a row."""
    flat: list[Node] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Concat) else (part,))
    return flat[0] if len(flat) == 1 else Concat(tuple(flat))


def state_count(node: Node) -> int:
    """Tell how many automaton states the node needs, without building them: a repeat may ask for billions."""
    if isinstance(node, Chars):
        return 1
    if isinstance(node, Repeat):
        copies = node.low + 1 if node.high is None else node.high
        return 1 + copies * state_count(node.part)
    return 1 + sum(map(state_count, node.parts))


def beginning(node: Node) -> tuple[str, bool]:
    """Name a text that all begins with which the node matches, and tell whether it is the only text that matches."""
    if isinstance(node, Chars):
        character = node.sole()
        return character or "", character is not None
    if isinstance(node, Repeat):
        text, is_all = ("", True) if node.high == 0 else beginning(node.part)
        is_sole = is_all and (text == "" or node.low == node.high)
        return text * (node.low if is_all else min(node.low, 1)), is_sole
    if isinstance(node, Choice):
        several = {beginning(part) for part in node.parts}
        return several.pop() if len(several) == 1 else ("", False)
    found = ""
    for part in node.parts:
        text, is_all = beginning(part)
        found += text
        if not is_all:
            return found, False
    return found, True


def example(node: Node) -> str:
    """Name some text that the node matches, found without a search."""
    if isinstance(node, Chars):
        usual = (c for c in "a0" if any(low <= ord(c) <= high for low, high in node.ranges))
        return next(usual, chr(node.ranges[0][0]))
    if isinstance(node, Repeat):
        return example(node.part) * (node.low if node.high == node.low else max(node.low, 1))
    if isinstance(node, Choice):
        return example(node.parts[0])
    return "".join(map(example, node.parts))
