"""Questions about everything that patterns can match, answered by a text, by a proof that there is none, or not at all.

The search walks the deterministic automaton of all trees together, and goes first where the least is still missing.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from deploystep.core.automata import Dfa, Nfa, State
from deploystep.core.frozen import dataclass

if TYPE_CHECKING:
    from deploystep.core.pattern_nodes import Node

_SEARCH_LIMIT = 200_000  # some tenths of a second; what people write takes a hundredth of it
_OUT_OF_REACH = 1 << 60


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to a search: a text, or the proof that there is none, or neither (the search was cut short)."""

    text: str | None
    proves_none: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to search for: a text that each of `all_of` matches with one of its trees, and that is allowed.

    No tree of `none_of` may match the text, and none of `hopeless` any beginning of it.
    """

    all_of: tuple[tuple[Node, ...], ...]
    none_of: tuple[Node, ...] = ()
    hopeless: tuple[Node, ...] = ()


def find_text(wanted: Wanted, limit: int = _SEARCH_LIMIT) -> Finding:
    """Search for the friendliest short text; the work is bounded by `limit`, in junctions looked at."""
    return _Search(wanted, limit).run()


@dataclass(frozen=True, slots=True)
class _Step:
    """A character on the way to a text, and the way before it."""

    character: str
    before: _Step | None


class _Search:
    """The cheapest way to a text by the A* method; what is still missing is never overestimated."""

    def __init__(self, wanted: Wanted, limit: int) -> None:
        self._nfa = Nfa()
        for nodes in (*wanted.all_of, wanted.none_of, wanted.hopeless):
            root = self._nfa.add_root()
            for node in nodes:
                self._nfa.add(root, node, label=root)
        self._dfa = Dfa(self._nfa)
        self._goal = frozenset(range(len(wanted.all_of)))
        self._hopeless = len(self._nfa.roots) - 1
        self._examples = list(self._dfa.alphabet.examples())
        self._missing = self._missing_costs()
        self._left = limit
        self._queue: list[tuple[int, int, int, State, _Step | None]] = []
        self._seen: set[frozenset[int]] = set()
        self._queued = 0

    def run(self) -> Finding:
        self._push(0, self._dfa.start, None)
        while self._queue:
            total, missing, _, state, step = heapq.heappop(self._queue)
            if state.junctions in self._seen:
                continue
            self._seen.add(state.junctions)
            if state.labels == self._goal:
                return Finding(_spelled(step), proves_none=False)
            if self._left <= 0:
                return Finding(None, proves_none=False)
            self._spread(total - missing, state, step)
        return Finding(None, proves_none=True)

    def _spread(self, spent: int, state: State, step: _Step | None) -> None:
        ways = -1
        for root in self._goal:
            ways &= self._dfa.ways_on(state, root)
        for character, number, price in self._examples:
            if ways >> number & 1:
                self._left -= len(state.junctions)
                self._push(spent + price, self._dfa.move(state, number), _Step(character, step))

    def _push(self, spent: int, state: State, step: _Step | None) -> None:
        if self._hopeless in state.labels or state.junctions in self._seen:
            return
        missing = self._missing_from(state)
        self._queued += 1  # equals leave in the order they came: the friendlier character first
        heapq.heappush(self._queue, (spent + missing, missing, self._queued, state, step))

    def _missing_from(self, state: State) -> int:
        """Bound from below what a text still costs: each of the wanted automata has its own nearest end."""
        nearest = dict.fromkeys(self._goal, _OUT_OF_REACH)
        for at in state.junctions:
            owner = self._nfa.owners[at]
            if self._missing[at] < nearest.get(owner, 0):
                nearest[owner] = self._missing[at]
        return max(nearest.values())

    def _missing_costs(self) -> list[int]:
        """Find the cheapest way from each junction to an end of its own automaton, backwards from the ends."""
        ways_here = self._ways_here()
        costs = [_OUT_OF_REACH] * len(ways_here)
        queue = [(0, at) for at in self._nfa.labels]
        while queue:
            cost, at = heapq.heappop(queue)
            if cost < costs[at]:
                costs[at] = cost
                for before, price in ways_here[at]:
                    heapq.heappush(queue, (cost + price, before))
        return costs

    def _ways_here(self) -> list[list[tuple[int, int]]]:
        """List for each junction where it can be reached from, and at what cost."""
        prices = [(1 << number, price) for _, number, price in self._examples]  # the cheapest first
        ways: list[list[tuple[int, int]]] = [[] for _ in self._nfa.owners]
        for before, jumps in enumerate(self._nfa.jumps):
            for to in jumps:
                ways[to].append((before, 0))
        for before, edges in enumerate(self._nfa.edges):
            for chars, to in edges:
                mask = self._dfa.alphabet.mask(chars)
                ways[to].append((before, next(price for bit, price in prices if mask & bit)))
        return ways


def _spelled(step: _Step | None) -> str:
    characters: list[str] = []
    while step is not None:
        characters.append(step.character)
        step = step.before
    return "".join(reversed(characters))
