"""Patterns for branches, tags, changed paths and other names: matching, and what can be proved about them.

`Pattern` answers for one value, `PatternSet` for many patterns and values at once. The other functions compare whole
patterns; each says in which direction its answer is a claim, because a search that was cut short claims nothing.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from deploystep.core.automata import Dfa, Nfa, State
from deploystep.core.legal_names import Illegal, Law, illegal, laws
from deploystep.core.pattern_nodes import Node, sole_text
from deploystep.core.pattern_problems import PatternError, Problem, shown
from deploystep.core.pattern_search import Finding, Wanted, find_text
from deploystep.core.pattern_syntax import Kind, read_pattern
from deploystep.core.values import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "Kind",
    "Pattern",
    "PatternError",
    "PatternSet",
    "Problem",
    "covers",
    "is_legal_ref",
    "legal_example",
    "overlap",
    "parse",
    "why_no_ref",
]

_ONE_PATTERN_CACHE = 100_000


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that was read; made by `parse`, and equal to each other one of the same text and kind."""

    text: str
    kind: Kind
    node: Node = field(repr=False, compare=False)

    def matches(self, value: str) -> bool:
        """Tell whether the pattern matches the whole value, in time linear in its length."""
        return bool(_automaton(self).run(value).labels)

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


def overlap(a: Sequence[Pattern], b: Sequence[Pattern]) -> str | None:
    """Return a legal name that a pattern of `a` and a pattern of `b` both match.

    A name is a proof. None claims nothing: the search may have been cut short. All patterns are of one kind.
    """
    if not a or not b:
        return None
    return _find(a[0].kind, (_nodes(a), _nodes(b))).text


def covers(covering: Sequence[Pattern], covered: Pattern) -> bool:
    """Prove that each legal name that `covered` matches is matched by one of `covering` as well.

    False claims nothing: there may be such a name, or the search was cut short. All patterns are of one kind.
    """
    if covered.node in _nodes(covering):
        return True  # plain to see, while a proof may be long
    return _find(covered.kind, ((covered.node,),), _nodes(covering)).proves_none


def legal_example(pattern: Pattern) -> str | None:
    """Return a short legal name that the pattern matches; None claims nothing, see `why_no_ref`."""
    return _find(pattern.kind, ((pattern.node,),)).text


def why_no_ref(pattern: Pattern, noun: str) -> Problem | None:
    """Explain why git allows no name that the pattern matches; None if there is one or nothing was proved.

    `noun` is what the pattern is for: branch or tag.
    """
    if not _find(Kind.REF, ((pattern.node,),)).proves_none:
        return None
    reason = next((law.words for law in laws(Kind.REF) if _breaks(pattern, law)), "any such name")
    name = pattern.only_match
    claim = f"match '{shown(pattern.text)}'" if name is None else f"be called '{shown(name)}'"
    message = f"no {noun} can {claim} (git does not allow {reason})"
    return Problem("E207", message, "", 0, len(pattern.text))


def _breaks(pattern: Pattern, law: Law) -> bool:
    """Prove that this law alone forbids each name that the pattern matches."""
    hopeless, unfinished = ((law.broken_by,), ()) if law.is_final else ((), (law.broken_by,))
    return find_text(Wanted(((pattern.node,),), unfinished, hopeless)).proves_none


def is_legal_ref(name: str) -> bool:
    """Tell whether git allows the name for a branch or a tag (`git check-ref-format --allow-onelevel`)."""
    automaton = _illegal_refs()
    state = automaton.start
    for character in name:
        state = automaton.run(character, state)
        if _HOPELESS in state.labels:
            return False
    return not state.labels


_HOPELESS = 0


@cache
def _illegal_refs() -> Dfa:
    names = _illegal(Kind.REF)
    return _union([names.hopeless, names.unfinished], _ONE_PATTERN_CACHE)


@cache
def _illegal(kind: Kind) -> Illegal:
    return illegal(kind)


def _find(kind: Kind, all_of: tuple[tuple[Node, ...], ...], none_of: tuple[Node, ...] = ()) -> Finding:
    names = _illegal(kind)
    return find_text(Wanted(all_of, (*none_of, names.unfinished), (names.hopeless,)))


def _nodes(patterns: Sequence[Pattern]) -> tuple[Node, ...]:
    return tuple(pattern.node for pattern in patterns)
