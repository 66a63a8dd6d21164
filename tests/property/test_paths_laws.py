"""All filters together find what each would find alone, file by file and rule by rule, and read each file once."""

from collections.abc import Iterable, Iterator

import pytest
from builds import build, rules
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.core.decide import PathIndex, decide, match
from deploystep.core.facts import Base, ChangedSince, Facts, Known
from deploystep.core.patterns import Kind, PatternSet, parse
from deploystep.core.rules import PathsChanged, Patterns
from deploystep.core.source import Pos, Span, Spanned

HERE = Span(Pos(1, 1))
SINCE = ChangedSince(Base.PREVIOUS_COMMIT)
ordinary = settings(max_examples=150, deadline=None)
PATTERNS = ("**", "*", "a/**", "**/a", "a/*/b", "*.md", "**/*.md", "a.md", "a/b", "b/**", "**/b/*", "**/a/**", "ä/**")
patterns = st.lists(st.sampled_from([*PATTERNS, r"/a|b\/.*/", "/.*[ab]/"]), max_size=4)
folders = st.lists(st.sampled_from(("a", "b", "ä", "a.md", "")), max_size=4).map("/".join)
changed = st.lists(folders, max_size=12)


def read(texts: list[str]) -> Patterns:
    return tuple(Spanned(parse(text, Kind.PATH), HERE) for text in texts)


matchers = st.builds(PathsChanged, patterns.map(read), patterns.map(read), st.just(SINCE), st.just(HERE))


def counting(one: PathsChanged, files: list[str]) -> list[str]:
    """The slow and obvious way."""

    def is_one_of(texts: Patterns, file: str) -> bool:
        return any(t.value.matches(file) for t in texts)

    return [f for f in files if (not one.only or is_one_of(one.only, f)) and not is_one_of(one.ignore, f)]


@ordinary
@given(st.lists(matchers, min_size=1, max_size=8), changed, changed)
def test_together_they_count_as_each_does_alone(several: list[PathsChanged], here: list[str], there: list[str]) -> None:
    """Each question has files of its own."""
    other = ChangedSince(Base.MERGE_BASE)
    elsewhere = [PathsChanged(m.only, m.ignore, other, m.span) for m in several]
    index = PathIndex([*several, *elsewhere])
    for asking, files in ((several, here), (elsewhere, there)):
        for each in asking:
            found, expected = index.count_of(each, tuple(files)), counting(each, files)
            assert found == (len(expected), expected[0] if expected else "")


WRITTEN = """
    version: 1
    never: [{when: {branch: main, paths: {only: "**/b/*", since: previous-commit}}}]
    rules:
      - name: a
        when: {branch: main, paths: {only: [a/**, "**/*.md"], since: previous-commit}}
        unless: {paths: {only: a.md, since: previous-commit}}
        deploy: {workflow: a}
      - {name: b, when: {branch: main, paths: {ignore: "**/*.md", since: previous-commit}}, deploy: {workflow: b}}
    """


@ordinary
@given(changed)
def test_a_decision_says_of_each_matcher_what_it_says_alone(files: list[str]) -> None:
    facts = Facts(build(), None, {SINCE: Known(tuple(files))})
    for judgement in decide(rules(WRITTEN), facts).judgements:
        when = next(p for p in judgement.trace.parts if p.claim == "when")
        alone = [match(m, facts) for a in judgement.rule.when.alternatives for m in a.matchers]
        assert list(when.parts[0].parts) == alone


@pytest.mark.parametrize(("count", "services", "patterns"), [(50, 50, 51), (100, 5, 6)])
def test_every_file_is_read_once_for_all_rules_and_rounds(
    count: int, services: int, patterns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do more rules with the same patterns read anything more."""
    told: list[tuple[int, int]] = []
    matching = PatternSet.matching_sorted

    def noted(several: PatternSet, values: Iterable[str]) -> Iterator[frozenset[int]]:
        kept = tuple(values)
        told.append((len(kept), len(several.patterns)))
        return matching(several, kept)

    monkeypatch.setattr(PatternSet, "matching_sorted", noted)
    more = "ignore: '**/*.md', since: previous-commit}}, deploy: {workflow: w}}"
    each = "  - {{name: r{}, when: {{branch: main, paths: {{only: services/s{}/**, {}\n".format
    written = rules("version: 1\nrules:\n" + "".join(each(n, n % services, more) for n in range(count)))
    assert decide(written, Facts(build())).firing == ()
    assert told == []  # without a question about files there is no automaton
    files = tuple(f"services/s{n}/{count}" for n in range(30))
    firing = [len(decide(written, Facts(build(), None, {SINCE: Known(files)})).firing) for _ in range(2)]
    assert firing == [sum(n % services < 30 for n in range(count))] * 2
    assert told == [(30, patterns)]
