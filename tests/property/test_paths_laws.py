"""All filters together find what each would find alone, file by file and rule by rule."""

from __future__ import annotations

from builds import build, rules
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.core.decide import decide
from deploystep.core.facts import Base, ChangedSince, Facts, Known
from deploystep.core.matchers import match
from deploystep.core.paths import PathIndex
from deploystep.core.patterns import Kind, parse
from deploystep.core.rules import PathsChanged, Patterns
from deploystep.core.source import Pos, Span, Spanned

HERE = Span(Pos(1, 1))
SINCE = ChangedSince(Base.PREVIOUS_COMMIT)
ordinary = settings(max_examples=150, deadline=None)
PATTERNS = (
    "**", "*", "a/**", "**/a", "a/*/b", "*.md", "**/*.md", "a.md", "a/b", "b/**", "**/b/*", "**/a/**", r"/a|b\/.*/",
    "/.*[ab]/", "ä/**",
)  # fmt: skip
patterns = st.lists(st.sampled_from(PATTERNS), max_size=4)
folders = st.lists(st.sampled_from(("a", "b", "ä", "a.md", "")), max_size=4).map("/".join)
changed = st.lists(folders, max_size=12)


def matcher(only: list[str], ignore: list[str], since: ChangedSince = SINCE) -> PathsChanged:
    def read(texts: list[str]) -> Patterns:
        return tuple(Spanned(parse(text, Kind.PATH), HERE) for text in texts)

    return PathsChanged(read(only), read(ignore), since, HERE)


matchers = st.builds(matcher, patterns, patterns)


def counting(one: PathsChanged, files: list[str]) -> list[str]:
    """The slow and obvious way."""

    def is_one_of(texts: Patterns, file: str) -> bool:
        return any(t.value.matches(file) for t in texts)

    return [f for f in files if (not one.only or is_one_of(one.only, f)) and not is_one_of(one.ignore, f)]


@ordinary
@given(st.lists(matchers, min_size=1, max_size=8), changed)
def test_together_they_count_as_each_does_alone(several: list[PathsChanged], files: list[str]) -> None:
    index = PathIndex(several)
    for each in several:
        found, expected = index.count_of(each, tuple(files)), counting(each, files)
        assert found.count == len(expected)
        assert found.first == (expected[0] if expected else None)


@ordinary
@given(st.lists(matchers, min_size=1, max_size=4), changed, changed)
def test_each_question_has_its_own_files(several: list[PathsChanged], here: list[str], there: list[str]) -> None:
    other = ChangedSince(Base.MERGE_BASE)
    elsewhere = [PathsChanged(m.only, m.ignore, other, m.span) for m in several]
    index = PathIndex([*several, *elsewhere])
    for mine, its in zip(several, elsewhere, strict=True):
        assert index.count_of(mine, tuple(here)).count == len(counting(mine, here))
        assert index.count_of(its, tuple(there)).count == len(counting(its, there))


WRITTEN = """\
version: 1
never:
  - when: {branch: main, paths: {only: "**/b/*", since: previous-commit}}
rules:
  - name: a
    when: {branch: main, paths: {only: [a/**, "**/*.md"], since: previous-commit}}
    unless: {paths: {only: a.md, since: previous-commit}}
    deploy: {workflow: a}
  - name: b
    when: {branch: main, paths: {ignore: "**/*.md", since: previous-commit}}
    deploy: {workflow: b}
"""


@ordinary
@given(changed)
def test_a_decision_says_of_each_matcher_what_it_says_alone(files: list[str]) -> None:
    read = rules(WRITTEN)
    facts = Facts(build(), None, {SINCE: Known(tuple(files))})
    decision = decide(read, facts)
    for rule, judgement in zip(read.rules, decision.judgements, strict=True):
        when = next(p for p in judgement.trace.parts if p.claim == "when")
        alone = [match(m, facts) for a in rule.when.alternatives for m in a.matchers]
        assert list(when.parts[0].parts) == alone
