"""Patterns and what they match, found in time linear in the text: by automata over intervals of code points."""

from collections.abc import Iterable, Iterator
from enum import Enum
from functools import lru_cache, reduce
from itertools import accumulate
from sys import maxunicode
from typing import Final, NamedTuple, TypeAlias

from deploystep.core.frozen import Frozen


class Kind(Enum):
    """What a pattern is for, which decides how it is read."""

    REF = "name"  # the word for what a regex of this kind must match as a whole
    PATH = "path"
    NAME = "text"


class Chars(Frozen):
    """Exactly one character out of sorted intervals that neither overlap nor touch (both ends included)."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> "Chars":
        """Merge intervals given in any order."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + 1:
                low, high = merged[-1][0], max(merged.pop()[1], high)  # noqa: PLW2901 - both grow into one
            merged.append((low, high))
        return cls(tuple(merged))

    @staticmethod
    @lru_cache(maxsize=512)
    def one(character: str) -> "Chars":
        return Chars(((ord(character), ord(character)),))

    def inverted(self) -> "Chars":
        before = [0, *(high + 1 for _, high in self.ranges)]
        after = [*(low - 1 for low, _ in self.ranges), maxunicode]
        return Chars(tuple((low, high) for low, high in zip(before, after, strict=True) if low <= high))

    def holds(self, code_point: int) -> bool:
        return any(low <= code_point <= high for low, high in self.ranges)


class Rows(Frozen):
    """Any one of some rows, of which there is at least one; the parts of a row follow one another."""

    rows: tuple[tuple["Node", ...], ...]


class Repeat(Frozen):
    """The part at least `low` and at most `high` times; without `high` there is no upper limit."""

    part: "Node"
    low: int
    high: int | None


Node: TypeAlias = Chars | Rows | Repeat


def sample(node: Node) -> tuple[str, int]:
    """Name some text that the node matches, and how many of its characters begin each (all, where it is the sole)."""
    if isinstance(node, Chars):
        low, high = node.ranges[0]
        if low == high and len(node.ranges) == 1:
            return chr(low), 1
        return next((c for c in "a0" if node.holds(ord(c))), chr(low)), 0
    if isinstance(node, Repeat):
        text, sure = sample(node.part)
        copies = node.low + (node.low != node.high)
        return text * copies, sure * node.low if sure == len(text) else sure * (node.low > 0)
    found = []
    for row in node.rows:
        whole, all_begin, is_sole = "", 0, True
        for text, sure in map(sample, row):
            all_begin += sure * is_sole
            is_sole = is_sole and sure == len(text)
            whole += text
        found.append((whole, all_begin))
    begun = {text[:sure] for text, sure in found}
    return max((text for text, _ in found), key=len), len(begun.pop()) if len(begun) == 1 else 0


class Work:
    """How much comparing the patterns of one file may yet take, in members of states: about a million a second."""

    left = MOST = 4_000_000


WORK: Final = Work()


class Pattern(Frozen):
    """A pattern that was read; made by `parse`, and equal to each other one of the same text and kind."""

    text: str
    kind: Kind
    node: Node

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and self.text == other.text and self.kind is other.kind

    def __hash__(self) -> int:
        return hash(self.text)

    @lru_cache(maxsize=8_192)  # noqa: B019 - patterns are few and live as long
    def sample(self) -> tuple[str, int]:
        return sample(self.node)

    @property
    def only_match(self) -> str | None:
        """The one text that the pattern matches, or None if there are several."""
        text, sure = self.sample()
        return text if sure == len(text) else None

    @property
    def example(self) -> str:
        """Some text that the pattern matches; not always a name that can exist."""
        return self.sample()[0]

    def matches(self, value: str) -> bool:
        if self.text[0] != "/" and "*" not in self.text and "\\" not in self.text:
            return value == self.text  # most patterns are a plain name, for which no automaton is needed
        return bool(automaton_of((self,)).run(value).labels)

    def viable_prefix(self, value: str) -> str:
        """Return the longest beginning of the value that could still grow into a match."""
        automaton = automaton_of((self,))
        states = accumulate(value, lambda state, character: automaton.run(character, state), initial=automaton.start)
        return value[: sum(bool(state.members) for state in states) - 1]


class Alphabet(dict[int, str]):
    """For `str.translate`: each code point becomes the first that was seen of those that no set tells apart."""

    def __init__(self, sets: Iterable[Chars]) -> None:
        self.sets = tuple(dict.fromkeys(sets))
        self._symbols: dict[tuple[bool, ...], str] = {}

    def __missing__(self, code_point: int) -> str:
        told = tuple([chars.holds(code_point) for chars in self.sets])
        return self.setdefault(code_point, self._symbols.setdefault(told, chr(code_point)))


class State(NamedTuple):
    """All that the text so far may have led to; without members nothing that follows can match any more."""

    members: frozenset[int]
    labels: frozenset[int]  # the patterns that match the text as it is
    moves: dict[str, "State"]


class PatternSet:
    """Many patterns in one automaton: a value is read once, however many they are. A label is a position, from 0.

    States of the nondeterministic automaton are numbers; those of a deterministic one are made where a text leads.
    Equal beginnings share numbers, which is sound: what leads to a number is settled when `_append` returns it.
    """

    def __init__(self, patterns: Iterable[Pattern], most: int = 1_000_000) -> None:
        self.patterns = tuple(patterns)
        self._sets: list[list[tuple[Chars, int]]] = [[]]
        self._jumps: list[list[int]] = [[]]  # ways that take no character
        self._labels: dict[int, list[int]] = {}
        self._shared: dict[tuple[int, Node], int] = {}
        for label, pattern in enumerate(self.patterns):
            self._labels.setdefault(self._append(0, pattern.node), []).append(label)
        self._shared.clear()
        WORK.left -= 5 * len(self._jumps)  # what it costs to build a number, beside a member looked at
        self.alphabet = Alphabet(chars for ways in self._sets for chars, _ in ways)
        self._room = self._most = most  # members of states that are remembered
        self._states: dict[frozenset[int], State] = {}
        # where a member's edges lead, by symbol: many states have the same member
        self._steps: dict[str, dict[int, frozenset[int]]] = {}
        self._first = self._closure([0])

    def _append(self, entry: int, node: Node) -> int:
        """Lead from `entry` over `node`, and return the number behind it."""
        if isinstance(node, Rows) and len(node.rows) == 1:
            return reduce(self._append, node.rows[0], entry)
        if (behind := self._shared.get((entry, node))) is not None:
            return behind
        behind = self._shared[entry, node] = len(self._jumps)
        self._sets.append([])
        self._jumps.append([])
        if isinstance(node, Chars):
            self._sets[entry].append((node, behind))
        elif isinstance(node, Rows):
            for row in node.rows:
                self._jumps[reduce(self._append, row, entry)].append(behind)
        else:
            for _ in range(node.low):
                entry = self._append(entry, node.part)
            self._jumps[entry].append(behind)
            if node.high is None:
                self._jumps[self._append(behind, node.part)].append(behind)
            for _ in range(node.low, node.high or 0):
                entry = self._append(entry, node.part)
                self._jumps[entry].append(behind)
        return behind

    def _closure(self, numbers: Iterable[int]) -> frozenset[int]:
        """Add what can be reached without a character; keep what an edge leaves or a tree ends at."""
        reached, pending = set[int](), list(numbers)
        while pending:
            at = pending.pop()
            if at not in reached:
                reached.add(at)
                pending += self._jumps[at]
        return frozenset(at for at in reached if self._sets[at] or at in self._labels)

    @property
    def start(self) -> State:
        return self._state(self._first)

    def run(self, text: str, state: State | None = None) -> State:
        """Read `text` from the start, or from a state that an earlier text led to."""
        state = state or self.start
        for symbol in text.translate(self.alphabet):
            state = state.moves.get(symbol) or self.move(state, symbol)
        return state

    def move(self, state: State, symbol: str) -> State:
        """Read one character of a class for the first time from this state."""
        known, code = self._steps.setdefault(symbol, {}), ord(symbol)
        for at in state.members.difference(known):
            known[at] = self._closure(to for chars, to in self._sets[at] if chars.holds(code))
            self._room -= len(known[at]) + 1
        following = state.moves[symbol] = self._state(frozenset().union(*map(known.__getitem__, state.members)))
        return following

    def _state(self, members: frozenset[int]) -> State:
        if members not in self._states:
            if self._room < 0:  # to start afresh is cheaper and simpler than to choose what to forget
                for state in self._states.values():
                    state.moves.clear()  # so that the old states do not keep each other alive
                self._states.clear()
                self._steps.clear()
                self._room = self._most
            self._room -= len(members) + 1
            labels = frozenset(label for at in members for label in self._labels.get(at, ()))
            self._states[members] = State(members, labels, {})
        return self._states[members]

    def matching_sorted(self, values: Iterable[str]) -> Iterator[frozenset[int]]:
        """Give for each value the labels of the patterns that match it; a folder is read once for values in a row."""
        folder, after_folder = "", self.start
        for value in values:
            length = value.rfind("/") + 1
            if value[:length] != folder:
                folder = value[:length]
                after_folder = self.run(folder)
            yield self.run(value[length:], after_folder).labels if after_folder.members else after_folder.labels


#: The automaton of some patterns, kept for the next use.
automaton_of: Final = lru_cache(maxsize=1_024)(PatternSet)
