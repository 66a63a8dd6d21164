"""Patterns for branches, tags, changed paths and other names: whether they match.

`Pattern` answers for one value, `PatternSet` for many patterns and values at once. What can be proved about whole
patterns is in `core.pattern_proofs`, which few runs need.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from deploystep.core.automata import Dfa, Nfa, State
from deploystep.core.frozen import dataclass, field
from deploystep.core.pattern_nodes import Node, sole_text
from deploystep.core.pattern_problems import PatternError, Problem
from deploystep.core.pattern_syntax import Kind, read_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Kind", "Pattern", "PatternError", "PatternSet", "Problem", "parse"]

_ONE_PATTERN_CACHE = 100_000


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that was read; made by `parse`, and equal to each other one of the same text and kind."""

    text: str
    kind: Kind
    node: Node = field(repr=False, compare=False)

    def matches(self, value: str) -> bool:
        """Tell whether the pattern matches the whole value, in time linear in its length."""
        only = self.only_match  # most patterns are a plain name, for which no automaton is needed
        return bool(_automaton(self).run(value).labels) if only is None else value == only

    def viable_prefix(self, value: str) -> str:
        """Return the longest beginning of the value that could still grow into a match."""
        automaton = _automaton(self)
        state = automaton.start
        for length, character in enumerate(value):
            state = automaton.run(character, state)
            if not state.junctions:
                return value[:length]
        return value

    @property
    def only_match(self) -> str | None:
        """The one text that the pattern matches, or None if there may be several."""
        return sole_text(self.node)


def parse(text: str, kind: Kind) -> Pattern:
    """Read a pattern; raises PatternError with the place of the first problem."""
    return Pattern(text, kind, read_pattern(text, kind))


@lru_cache(maxsize=1_024)
def _automaton(pattern: Pattern) -> Dfa:
    return _union([pattern.node], _ONE_PATTERN_CACHE)


def _union(nodes: Iterable[Node], cache_limit: int) -> Dfa:
    nfa = Nfa()
    root = nfa.add_root()
    for label, node in enumerate(nodes):
        nfa.add(root, node, label)
    return Dfa(nfa, cache_limit)


class PatternSet:
    """Many patterns in one automaton: a value is read once, however many patterns there are."""

    __slots__ = ("_automaton", "patterns")

    _CACHE = 1_000_000

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self.patterns = tuple(patterns)
        self._automaton = _union((pattern.node for pattern in self.patterns), self._CACHE)

    def matching(self, value: str) -> frozenset[int]:
        """Return the positions, from 0, of the patterns that match the value."""
        return self._automaton.run(value).labels

    def matching_sorted(self, values: Iterable[str]) -> Iterator[frozenset[int]]:
        """Give `matching` of each value in turn; folders shared with the value before are not read again.

        Any order is answered rightly, but only a sorted one shares all that there is to share.
        """
        run = self._automaton.run
        folders = [("", self._automaton.start)]
        folder, state = folders[0]
        for value in values:
            length = value.rfind("/") + 1
            if value[:length] != folder:
                folder, state = value[:length], self._folder(folders, value[:length])
            # where nothing can match any more, the name is not looked at
            yield run(value[length:], state).labels if state.junctions else NOTHING

    def _folder(self, folders: list[tuple[str, State]], wanted: str) -> State:
        """Return the state after a folder, and note those after the folders around it."""
        while not wanted.startswith(folders[-1][0]):
            folders.pop()
        read, state = len(folders[-1][0]), folders[-1][1]
        while read < len(wanted) and state.junctions:
            slash = wanted.index("/", read) + 1
            state = self._automaton.run(wanted[read:slash], state)
            read = slash
            folders.append((wanted[:read], state))
        return state


#: What no pattern matches.
NOTHING: Final[frozenset[int]] = frozenset()
