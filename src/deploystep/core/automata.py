"""Automata over code points, which match in linear time.

Trees become one nondeterministic automaton; a deterministic one is built from it lazily, only where some text goes.

The invariant that makes sharing sound: what leads to a junction is settled when it is returned by `_append`; later
construction only adds ways *out* of it. So equal beginnings of many patterns can share their junctions.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from deploystep.core.pattern_nodes import LAST_CODE_POINT, Chars, Choice, Concat, Node, Repeat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_CACHE_LIMIT = 1_000_000
_REMEMBERED_CHARACTERS = 4_096
_NOWHERE: frozenset[int] = frozenset()

# In the order in which an example prefers them; all others cost more, so that they only appear where they must.
_FRIENDLY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_./"
_PRINTABLE = (ord("!"), ord("~"))
_SURROGATES = (0xD800, 0xDFFF)
_FRIENDLY_COST = 1
_OTHER_COST = 10


class Nfa:
    """A growing nondeterministic automaton; `add` trees to one or several roots, then hand it to a `Dfa`."""

    def __init__(self) -> None:
        self.roots: list[int] = []
        self.edges: list[list[tuple[Chars, int]]] = []
        self.jumps: list[list[int]] = []
        self.owners: list[int] = []
        self.labels: dict[int, list[int]] = {}
        self._shared: dict[tuple[int, Node], int] = {}

    def add_root(self) -> int:
        """Open a further automaton beside the others and return its number; junctions know whose they are."""
        self.roots.append(self._junction(len(self.roots)))
        return len(self.roots) - 1

    def add(self, root: int, node: Node, label: int) -> None:
        """Accept the texts of `node` from `root`, under `label`."""
        exit_junction = self._append(self.roots[root], node)
        self.labels.setdefault(exit_junction, []).append(label)

    def _junction(self, owner: int) -> int:
        self.edges.append([])
        self.jumps.append([])
        self.owners.append(owner)
        return len(self.owners) - 1

    def _append(self, entry: int, node: Node) -> int:
        """Lead from `entry` over `node`, and return the junction behind it."""
        if isinstance(node, Concat):
            for part in node.parts:
                entry = self._append(entry, part)
            return entry
        known = self._shared.get((entry, node))
        if known is None:
            known = self._shared[entry, node] = self._build(entry, node)
        return known

    def _build(self, entry: int, node: Chars | Choice | Repeat) -> int:
        if isinstance(node, Repeat):
            return self._build_repeat(entry, node)
        behind = self._junction(self.owners[entry])
        if isinstance(node, Chars):
            self.edges[entry].append((node, behind))
        else:
            for part in node.parts:
                self.jumps[self._append(entry, part)].append(behind)
        return behind

    def _build_repeat(self, entry: int, node: Repeat) -> int:
        for _ in range(node.low):
            entry = self._append(entry, node.part)
        behind = self._junction(self.owners[entry])
        self.jumps[entry].append(behind)
        if node.high is None:
            self.jumps[self._append(behind, node.part)].append(behind)
            return behind
        for _ in range(node.high - node.low):
            entry = self._append(entry, node.part)
            self.jumps[entry].append(behind)
        return behind


class Alphabet:
    """Characters that no edge tells apart are one class, so that a state needs few transitions."""

    def __init__(self, sets: Iterable[Chars]) -> None:
        distinct = list(dict.fromkeys(sets))
        cuts = {cut for chars in distinct for low, high in chars.ranges for cut in (low, high + 1)}
        self._starts = sorted({0, *cuts} - {LAST_CODE_POINT + 1})
        self._classes, masks = self._group(distinct)
        self._masks = dict(zip(distinct, masks, strict=True))
        self._known = _Known(self._find)

    def _group(self, distinct: Sequence[Chars]) -> tuple[list[int], list[int]]:
        """Number the intervals by the sets they are in; return each interval's class, and each set's as bits."""
        inside: list[list[int]] = [[] for _ in self._starts]
        for number, chars in enumerate(distinct):
            for low, high in chars.ranges:
                for interval in range(self._interval(low), self._interval(high) + 1):
                    inside[interval].append(number)
        numbers: dict[tuple[int, ...], int] = {}
        classes = [numbers.setdefault(tuple(sets), len(numbers)) for sets in inside]
        masks = [0] * len(distinct)
        for sets, number in numbers.items():
            for each in sets:
                masks[each] |= 1 << number
        return classes, masks

    def _interval(self, code_point: int) -> int:
        return bisect_right(self._starts, code_point) - 1

    def mask(self, chars: Chars) -> int:
        """Return the classes of one of the sets, as bits."""
        return self._masks[chars]

    def class_of(self, character: str) -> int:
        """Return the class of any character."""
        return ord(self._known[ord(character)])

    def translated(self, text: str) -> str:
        """Spell a text in classes, each class as the character of that number; nothing in Python reads faster."""
        return text.translate(self._known)

    def _find(self, code_point: int) -> str:
        return chr(self._classes[self._interval(code_point)])

    def examples(self) -> Iterator[tuple[str, int, int]]:
        """Give a character, its class and its cost for each class, the friendliest first."""
        seen: set[int] = set()
        candidates = [(character, _FRIENDLY_COST) for character in _FRIENDLY]
        candidates += [(character, _OTHER_COST) for character in self._others()]
        for character, cost in candidates:
            number = self.class_of(character)
            if number not in seen:
                seen.add(number)
                yield character, number, cost

    def _others(self) -> list[str]:
        """List a character of each interval, control characters and halves of surrogate pairs last."""
        printable = range(_PRINTABLE[0], _PRINTABLE[1] + 1)
        starts = sorted(self._starts, key=_strangeness)
        return [chr(code_point) for code_point in (*printable, *starts)]


class _Known(dict[int, str]):
    """The classes of the characters that were met, in the form that `str.translate` asks for."""

    def __init__(self, find: Callable[[int], str]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, code_point: int) -> str:
        found = self._find(code_point)
        if len(self) < _REMEMBERED_CHARACTERS:
            self[code_point] = found
        return found


def _strangeness(code_point: int) -> tuple[bool, bool, int]:
    surrogate = _SURROGATES[0] <= code_point <= _SURROGATES[1]
    return (surrogate, not chr(code_point).isprintable(), code_point)


class State:
    """A set of junctions that the text so far may have led to; without any, nothing that follows can match."""

    __slots__ = ("junctions", "labels", "moves")

    def __init__(self, junctions: frozenset[int], labels: frozenset[int]) -> None:
        self.junctions = junctions
        self.labels = labels
        self.moves: dict[str, State] = {}


class Dfa:
    """The deterministic automaton of an `Nfa`, built where texts lead and forgotten when it grows too large."""

    def __init__(self, nfa: Nfa, cache_limit: int = _CACHE_LIMIT) -> None:
        self._nfa = nfa
        self.alphabet = Alphabet(chars for edges in nfa.edges for chars, _ in edges)
        self._edges = [[(self.alphabet.mask(chars), to) for chars, to in edges] for edges in nfa.edges]
        self._telling = {at for at, edges in enumerate(nfa.edges) if edges} | nfa.labels.keys()
        self._cache_limit = cache_limit
        self._states: dict[frozenset[int], State] = {}
        self._accepted: dict[frozenset[int], frozenset[int]] = {}
        self._steps: dict[int, dict[int, frozenset[int]]] = {}
        self._accepting = frozenset(nfa.labels)
        self._cells = 0
        self._first = self._closure(nfa.roots)

    @property
    def start(self) -> State:
        """The state before the first character."""
        return self._state(self._first)

    def run(self, text: str, state: State | None = None) -> State:
        """Read `text` from the start, or from a state that an earlier text led to."""
        state = state or self.start
        for number in self.alphabet.translated(text):
            state = state.moves.get(number) or self.move(state, ord(number))
        return state

    def move(self, state: State, number: int) -> State:
        """Read one character of class `number` for the first time from this state."""
        known = self._steps.setdefault(number, {})
        steps = [known[at] if at in known else self._step(known, at, number) for at in state.junctions]
        following = state.moves[chr(number)] = self._state(_NOWHERE.union(*steps))
        return following

    def _step(self, known: dict[int, frozenset[int]], at: int, number: int) -> frozenset[int]:
        """Follow one junction's edges for a class; many states hold the same junction."""
        bit = 1 << number
        step = known[at] = self._closure(to for mask, to in self._edges[at] if mask & bit)
        self._cells += len(step) + 1
        return step

    def ways_on(self, state: State, root: int) -> int:
        """Return the classes, as bits, with which the automaton of `root` could go on."""
        owners = self._nfa.owners
        ways = 0
        for at in state.junctions:
            if owners[at] == root:
                for mask, _ in self._edges[at]:
                    ways |= mask
        return ways

    def _closure(self, junctions: Iterable[int]) -> frozenset[int]:
        reached = set(junctions)
        pending = list(reached)
        jumps = self._nfa.jumps
        while pending:
            for to in jumps[pending.pop()]:
                if to not in reached:
                    reached.add(to)
                    pending.append(to)
        return frozenset(reached & self._telling)

    def _state(self, junctions: frozenset[int]) -> State:
        known = self._states.get(junctions)
        if known is None:
            self._make_room(len(junctions) + 1)
            labels = self._nfa.labels
            accepted = frozenset(label for at in junctions & self._accepting for label in labels[at])
            # equal sets of labels are one object, so that who counts by them compares no contents
            accepted = self._accepted.setdefault(accepted, accepted)
            known = self._states[junctions] = State(junctions, accepted)
        return known

    def _make_room(self, cells: int) -> None:
        """Start afresh when full, which is cheaper and simpler than choosing what to forget."""
        if self._cells > self._cache_limit:
            for state in self._states.values():
                state.moves = {}  # so that the old states do not keep each other alive
            self._states = {}
            self._accepted = {}
            self._steps = {}
            self._cells = 0
        self._cells += cells
