"""Patterns and what they match, found by automata over code points: in time linear in the text.

Trees become one nondeterministic automaton; the states of a deterministic one are built from it where some text leads.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from deploystep.core.frozen import dataclass
from deploystep.core.patterns.nodes import LAST_CODE_POINT, Chars, Concat, Kind, Node, Repeat, beginning, example

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_REMEMBERED_CHARACTERS: Final = 4_096
_ONE_PATTERN_CACHE: Final = 100_000
_PER_NUMBER: Final = 5  # what it costs to build the automaton, beside a member looked at
_LARGE_CACHE: Final = 1_000_000


class Work:
    """How much work comparing the patterns of one file may yet take, in members of states looked at.

    It is counted and not timed, so that the same is said of a file on each machine; a million takes up to a second.
    """

    MOST: Final = 4_000_000
    left = MOST

    def begin(self) -> None:
        """Begin with another file."""
        self.left = self.MOST

    @property
    def is_done(self) -> bool:
        """Whether nothing more is compared."""
        return self.left <= 0


WORK: Final = Work()


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that was read; made by `parse`, and equal to each other one of the same text and kind."""

    text: str
    kind: Kind
    node: Node

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and self.text == other.text and self.kind is other.kind

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r}, {self.kind})"

    def matches(self, value: str) -> bool:
        """Tell whether the pattern matches the whole value."""
        only = self.only_match  # most patterns are a plain name, for which no automaton is needed
        return bool(automaton_of((self,)).run(value).labels) if only is None else value == only

    def viable_prefix(self, value: str) -> str:
        """Return the longest beginning of the value that could still grow into a match."""
        automaton = automaton_of((self,))
        state = automaton.start
        for length, character in enumerate(value):
            state = automaton.run(character, state)
            if state.is_dead:
                return value[:length]
        return value

    @property
    def only_match(self) -> str | None:
        """The one text that the pattern matches, or None if there may be several."""
        text, is_all = beginning(self.node)
        return text if is_all else None

    @property
    def example(self) -> str:
        """Some text that the pattern matches; not always a name that can exist."""
        return example(self.node)


class PatternSet:
    """Many patterns in one automaton: a value is read once, however many patterns there are."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self.patterns = tuple(patterns)
        self._automaton = Automaton((pattern.node for pattern in self.patterns), _LARGE_CACHE)

    def matching_sorted(self, values: Iterable[str]) -> Iterator[frozenset[int]]:
        """Give for each value the positions, from 0, of the patterns that match it.

        A folder is read once for all values in it that follow each other, so sorted values take the least time.
        """
        run = self._automaton.run
        folder, after_folder = "", self._automaton.start
        for value in values:
            length = value.rfind("/") + 1
            if value[:length] != folder:
                folder = value[:length]
                after_folder = run(folder)
            yield after_folder.labels if after_folder.is_dead else run(value[length:], after_folder).labels


@lru_cache(maxsize=1_024)
def automaton_of(patterns: tuple[Pattern, ...]) -> Automaton:
    """Return the automaton of some patterns, in which each label is a position, from 0; it is kept for the next use."""
    return Automaton((pattern.node for pattern in patterns), _ONE_PATTERN_CACHE)


class Alphabet(dict[int, str]):
    """Maps each code point to its equivalence class, so that a state needs few transitions.

    Characters that no edge tells apart form a class. Classes are numbered, and each is written as the character of
    that number, for `str.translate`: nothing in Python reads text faster.
    """

    def __init__(self, sets: Iterable[Chars]) -> None:
        super().__init__()
        distinct = tuple(dict.fromkeys(sets))
        cuts = {cut for chars in distinct for low, high in chars.ranges for cut in (low, high + 1)}
        self.starts = sorted({0, *cuts} - {LAST_CODE_POINT + 1})
        inside: list[list[int]] = [[] for _ in self.starts]
        for number, chars in enumerate(distinct):
            for low, high in chars.ranges:
                for interval in range(bisect_left(self.starts, low), bisect_right(self.starts, high)):
                    inside[interval].append(number)
        symbols: dict[tuple[int, ...], str] = {}
        self._class_of = [symbols.setdefault(tuple(numbers), chr(len(symbols))) for numbers in inside]
        self.classes: dict[Chars, set[str]] = {
            chars: {symbol for numbers, symbol in symbols.items() if number in numbers}
            for number, chars in enumerate(distinct)
        }

    def __missing__(self, code_point: int) -> str:
        symbol = self._class_of[bisect_right(self.starts, code_point) - 1]
        if len(self) < _REMEMBERED_CHARACTERS:
            self[code_point] = symbol
        return symbol


class State:
    """All that the text so far may have led to; the labels name the trees that match the text as it is."""

    __slots__ = ("labels", "members", "moves")

    def __init__(self, members: frozenset[int], labels: frozenset[int]) -> None:
        self.members = members
        self.labels = labels
        self.moves: dict[str, State] = {}

    @property
    def is_dead(self) -> bool:
        """Whether nothing that follows can match any more."""
        return not self.members


class Automaton:
    """Tells which of several trees match a text; each tree's label is its position, from 0.

    States of the nondeterministic automaton are numbers. Equal beginnings of several trees share theirs. That is sound
    because what leads to a number is settled when `_append` returns it: later construction only adds ways out of it.
    """

    def __init__(self, nodes: Iterable[Node], cache_limit: int) -> None:
        self._sets: list[list[tuple[Chars, int]]] = []
        self._jumps: list[list[int]] = []  # ways that take no character
        self._labels: dict[int, list[int]] = {}
        self._shared: dict[tuple[int, Node], int] = {}
        root = self._add_number()
        for label, node in enumerate(nodes):
            self._labels.setdefault(self._append(root, node), []).append(label)
        self._shared.clear()
        WORK.left -= _PER_NUMBER * len(self._jumps)
        self.alphabet = Alphabet(chars for ways in self._sets for chars, _ in ways)
        self._edges = [[(self.alphabet.classes[chars], to) for chars, to in ways] for ways in self._sets]
        self._cache_limit = cache_limit
        self._cells = 0
        self._states: dict[frozenset[int], State] = {}
        self._steps: dict[str, dict[int, frozenset[int]]] = {}
        self._known_labels: dict[frozenset[int], frozenset[int]] = {}
        self._first = self._closure([root])

    def _add_number(self) -> int:
        self._sets.append([])
        self._jumps.append([])
        return len(self._jumps) - 1

    def _append(self, entry: int, node: Node) -> int:
        """Lead from `entry` over `node`, and return the number behind it."""
        if isinstance(node, Concat):
            for part in node.parts:
                entry = self._append(entry, part)
            return entry
        if (entry, node) not in self._shared:
            self._shared[entry, node] = self._build(entry, node)
        return self._shared[entry, node]

    def _build(self, entry: int, node: Node) -> int:
        if isinstance(node, Repeat):
            return self._build_repeat(entry, node)
        behind = self._add_number()
        if isinstance(node, Chars):
            self._sets[entry].append((node, behind))
        else:
            for part in node.parts:
                self._jumps[self._append(entry, part)].append(behind)
        return behind

    def _build_repeat(self, entry: int, node: Repeat) -> int:
        for _ in range(node.low):
            entry = self._append(entry, node.part)
        behind = self._add_number()
        self._jumps[entry].append(behind)
        if node.high is None:
            self._jumps[self._append(behind, node.part)].append(behind)
            return behind
        for _ in range(node.high - node.low):
            entry = self._append(entry, node.part)
            self._jumps[entry].append(behind)
        return behind

    @property
    def start(self) -> State:
        """The state before the first character."""
        return self._state(self._first)

    def run(self, text: str, state: State | None = None) -> State:
        """Read `text` from the start, or from a state that an earlier text led to."""
        state = state or self.start
        for symbol in text.translate(self.alphabet):
            state = state.moves.get(symbol) or self.move(state, symbol)
        return state

    def move(self, state: State, symbol: str) -> State:
        """Read one character of a class for the first time from this state."""
        known = self._steps.setdefault(symbol, {})  # where a member's edges lead; many states have the same member
        for at in state.members:
            if at not in known:
                known[at] = self._closure(to for classes, to in self._edges[at] if symbol in classes)
                self._cells += len(known[at]) + 1
        following = state.moves[symbol] = self._state(frozenset().union(*map(known.__getitem__, state.members)))
        return following

    def _closure(self, numbers: Iterable[int]) -> frozenset[int]:
        """Add what can be reached without a character; keep what an edge leaves or a tree ends at."""
        reached = set[int]()
        pending = list(numbers)
        while pending:
            at = pending.pop()
            if at not in reached:
                reached.add(at)
                pending += self._jumps[at]
        return frozenset(at for at in reached if self._sets[at] or at in self._labels)

    def _state(self, members: frozenset[int]) -> State:
        known = self._states.get(members)
        if known is None:
            if self._cells > self._cache_limit:
                self._forget()
            self._cells += len(members) + 1
            labels = frozenset(label for at in members for label in self._labels.get(at, ()))
            # equal sets of labels are one object, so that who counts by them compares no contents
            labels = self._known_labels.setdefault(labels, labels)
            known = self._states[members] = State(members, labels)
        return known

    def _forget(self) -> None:
        """Start afresh when full, which is cheaper and simpler than choosing what to forget."""
        for state in self._states.values():
            state.moves = {}  # so that the old states do not keep each other alive
        for remembered in (self._states, self._steps, self._known_labels):
            remembered.clear()
        self._cells = 0
