"""Which changed files count for which rules, found for all rules at once.

A thousand rules with their patterns would each walk through a hundred thousand files. Instead every pattern of every
rule goes into one automaton, and each file is read once: what it arrives at says which patterns match. Files that
arrive at the same are of one sort, and only sorts are looked at rule by rule.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from deploystep.core.frozen import dataclass
from deploystep.core.patterns import PatternSet
from deploystep.core.rules import PathsChanged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from deploystep.core.facts import ChangedSince
    from deploystep.core.patterns import Pattern
    from deploystep.core.rules import RuleSet


@dataclass(frozen=True, slots=True)
class Filter:
    """Lets through the files that one of `only` matches (empty: all) and none of `ignore`."""

    only: frozenset[Pattern]
    ignore: frozenset[Pattern]

    @classmethod
    def of(cls, matcher: PathsChanged) -> Filter:
        """The filter that a matcher describes; equal for all matchers that list the same patterns."""
        return cls(frozenset(p.value for p in matcher.only), frozenset(p.value for p in matcher.ignore))


@dataclass(frozen=True, slots=True)
class MatchCount:
    """How many of the changed files count, and the first of them; None where there is none."""

    count: int
    first: str | None


_NONE: Final = MatchCount(0, None)


class PathIndex:
    """The filters of a rule set, used together. It keeps what it has found, and otherwise never changes."""

    __slots__ = ("_filters", "_found")

    def __init__(self, matchers: Iterable[PathsChanged]) -> None:
        self._filters = tuple(dict.fromkeys(map(Filter.of, matchers)))
        self._found: dict[ChangedSince, Mapping[Filter, MatchCount]] = {}

    @classmethod
    def of(cls, rules: RuleSet) -> PathIndex:
        """Every filter of the rules and of what stops them."""
        return cls(_matchers(rules))

    def count_of(self, matcher: PathsChanged, changed: tuple[str, ...]) -> MatchCount:
        """What counts for one matcher among the files that are the answer to its question.

        The first to ask has the files read for all filters.
        """
        if matcher.since not in self._found:
            self._found[matcher.since] = _sifted(self._filters, changed)
        return self._found[matcher.since][Filter.of(matcher)]


def _matchers(rules: RuleSet) -> Iterator[PathsChanged]:
    conditions = [guard.when for guard in rules.never]
    for rule in rules.rules:
        conditions += [rule.when] if rule.unless is None else [rule.when, rule.unless]
    found = (m for each in conditions for alternative in each.alternatives for m in alternative.matchers)
    return (matcher for matcher in found if isinstance(matcher, PathsChanged))


@lru_cache(maxsize=8)  # a decision is made in rounds, and rarely about more than two lists of files
def _sifted(filters: tuple[Filter, ...], changed: tuple[str, ...]) -> Mapping[Filter, MatchCount]:
    """Count the files of each sort, then for each filter the sorts that it lets through."""
    mesh = _mesh(filters)
    counts = [0] * len(filters)
    firsts = [len(changed)] * len(filters)
    for labels, (count, first) in _sorts(mesh.patterns.matching_sorted(changed)).items():
        for each in mesh.letting_through(labels):
            counts[each] += count
            firsts[each] = min(firsts[each], first)
    tallies = (MatchCount(n, changed[first]) if n else _NONE for n, first in zip(counts, firsts, strict=True))
    return dict(zip(filters, tallies, strict=True))


def _sorts(arrivals: Iterable[frozenset[int]]) -> dict[frozenset[int], tuple[int, int]]:
    """For each set of patterns that match together: how many files match so, and which is the first."""
    counts: dict[frozenset[int], int] = {}
    firsts: dict[frozenset[int], int] = {}
    for at, labels in enumerate(arrivals):
        if labels in counts:
            counts[labels] += 1
        else:
            counts[labels] = 1
            firsts[labels] = at
    return {labels: (count, firsts[labels]) for labels, count in counts.items()}


@dataclass(frozen=True, slots=True)
class _Mesh:
    """Filters by their positions: which ask for a pattern (under None those that take every file), which ignore one."""

    patterns: PatternSet
    asking: Mapping[int | None, Sequence[int]]
    ignored: Sequence[frozenset[int]]

    def letting_through(self, labels: frozenset[int]) -> Iterator[int]:
        """The filters that let a file through which exactly these patterns match."""
        asking = {each for at in (None, *labels) for each in self.asking.get(at, ())}
        return (each for each in asking if labels.isdisjoint(self.ignored[each]))


@lru_cache(maxsize=8)
def _mesh(filters: tuple[Filter, ...]) -> _Mesh:
    patterns = tuple(dict.fromkeys(p for each in filters for p in (*each.only, *each.ignore)))
    position = {pattern: at for at, pattern in enumerate(patterns)}
    asking: dict[int | None, list[int]] = {}
    for number, each in enumerate(filters):
        places: Iterable[int | None] = [position[p] for p in each.only] if each.only else (None,)
        for at in places:
            asking.setdefault(at, []).append(number)
    ignored = tuple(frozenset(position[p] for p in each.ignore) for each in filters)
    return _Mesh(PatternSet(patterns), asking, ignored)
