"""Which changed files count for which rules, found for all rules at once.

A thousand rules with their patterns would each walk through a hundred thousand files. Instead all patterns go into one
automaton that reads each file once. Files that match the same patterns are alike, and are looked at together.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeAlias

from deploystep.core.frozen import dataclass
from deploystep.core.patterns import Pattern, PatternSet
from deploystep.core.rules import PathsChanged, RuleSet, matchers_of

#: What makes files count: they match one of the first patterns (if there are any), and none of the second.
_Filter: TypeAlias = tuple[frozenset[Pattern], frozenset[Pattern]]


@dataclass(frozen=True, slots=True)
class MatchCount:
    """How many of the changed files count, and the first of them; None where there is none."""

    count: int
    first: str | None


class PathIndex:
    """The path matchers of a rule set, used together. It keeps what it has found, and otherwise never changes."""

    def __init__(self, matchers: Iterable[PathsChanged]) -> None:
        self._filters = tuple(dict.fromkeys(map(_filter, matchers)))
        self._found: dict[object, Mapping[_Filter, MatchCount]] = {}

    @classmethod
    def of(cls, rules: RuleSet) -> "PathIndex":
        """Every path matcher of the rules and of what stops them."""
        conditions = (c for rule in rules.rules for c in (rule.when, rule.unless))
        found = matchers_of(*(guard.when for guard in rules.never), *conditions)
        return cls(matcher for matcher in found if isinstance(matcher, PathsChanged))

    def count_of(self, matcher: PathsChanged, changed: tuple[str, ...]) -> MatchCount:
        """What counts for one matcher among the files that are the answer to its question.

        The first to ask has the files read for all matchers.
        """
        if matcher.since not in self._found:
            self._found[matcher.since] = _counted(self._filters, changed)
        return self._found[matcher.since][_filter(matcher)]


def _filter(matcher: PathsChanged) -> _Filter:
    return frozenset(p.value for p in matcher.only), frozenset(p.value for p in matcher.ignore)


@lru_cache(maxsize=8)  # a decision is made in rounds, and rarely about more than two lists of files
def _counted(filters: tuple[_Filter, ...], changed: tuple[str, ...]) -> Mapping[_Filter, MatchCount]:
    """Group the files by the patterns that match them, then count for each filter the groups that it lets through."""
    patterns = tuple(dict.fromkeys(pattern for only, ignore in filters for pattern in (*only, *ignore)))
    groups: dict[frozenset[int], list[int]] = {}  # how many files, and the position of the first
    for at, labels in enumerate(PatternSet(patterns).matching_sorted(changed)):
        groups.setdefault(labels, [0, at])[0] += 1
    position = {pattern: at for at, pattern in enumerate(patterns)}
    asking: dict[int | None, list[int]] = {}  # which filters ask for a pattern; under None those that take any file
    for number, (only, _) in enumerate(filters):
        for pattern in only or (None,):
            asking.setdefault(None if pattern is None else position[pattern], []).append(number)
    ignored = [frozenset(position[pattern] for pattern in ignore) for _, ignore in filters]
    counts = [0] * len(filters)
    firsts = [len(changed)] * len(filters)
    for labels, (count, first) in groups.items():
        for number in {number for at in (None, *labels) for number in asking.get(at, ())}:
            if labels.isdisjoint(ignored[number]):
                counts[number] += count
                firsts[number] = min(firsts[number], first)
    found = (MatchCount(count, changed[at] if count else None) for count, at in zip(counts, firsts, strict=True))
    return dict(zip(filters, found, strict=True))
