"""How much is read for a decision, in files and patterns; what is found is in `property/test_changes_laws`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builds import build, rules

from deploystep.core.decide import decide
from deploystep.core.facts import Base, ChangedSince, Facts, Known
from deploystep.core.patterns import PatternSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest

    from deploystep.core.rules import RuleSet

SINCE = ChangedSince(Base.PREVIOUS_COMMIT)


def written(count: int, services: int) -> str:
    rest = "ignore: '**/*.md', since: previous-commit"
    head = "version: 1\nrules:\n"
    return head + "".join(
        f"  - name: r{n}\n"
        f"    when: {{branch: main, paths: {{only: services/s{n % services}/**, {rest}}}}}\n"
        f"    deploy: {{workflow: w{n}}}\n"
        for n in range(count)
    )


class Reader:
    """Counts what is read for decisions: files, and the patterns that read them together."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[int] = []
        self.patterns: list[int] = []
        self._matching = PatternSet.matching_sorted
        read = self._read
        # a bound method would not be told which set it was called on
        monkeypatch.setattr(PatternSet, "matching_sorted", lambda patterns, values: read(patterns, values))  # noqa: PLW0108

    def _read(self, patterns: PatternSet, values: Iterable[str]) -> Iterator[frozenset[int]]:
        kept = tuple(values)
        self.files.append(len(kept))
        self.patterns.append(len(patterns.patterns))
        return self._matching(patterns, kept)


def firing(read: RuleSet, files: tuple[str, ...]) -> int:
    return len(decide(read, Facts(build(), None, {SINCE: Known(files)})).firing)


def test_every_file_is_read_once_for_all_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(monkeypatch)
    assert firing(rules(written(50, 50)), tuple(f"services/s{n}/once" for n in range(30))) == 30
    assert (reader.files, reader.patterns) == ([30], [51])


def test_more_rules_with_the_same_patterns_read_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(monkeypatch)
    assert firing(rules(written(100, 5)), tuple(f"services/s{n}/same" for n in range(30))) == 100
    assert (reader.files, reader.patterns) == ([30], [6])


def test_a_later_round_reads_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision is made again when a further question has been answered; the files are still the same."""
    reader = Reader(monkeypatch)
    read, files = rules(written(10, 10)), tuple(f"services/s{n}/again" for n in range(30))
    assert firing(read, files) == firing(read, files) == 10
    assert reader.files == [30]


def test_without_a_question_about_files_there_is_no_automaton(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(monkeypatch)
    assert not decide(rules(written(3, 3)), Facts(build())).firing
    assert reader.files == []
