"""Laws of the pattern engine, against slow and obvious matchers and against each other."""

import re
from fnmatch import fnmatchcase

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from deploystep.core.patterns import ANYTHING, Kind, Pattern, PatternError, PatternSet, Problem, is_legal_ref, parse
from deploystep.core.patterns.automaton import Chars, Rows, sample
from deploystep.core.patterns.proofs import FORBIDDEN, covers, find_name, overlap, why_no_ref

thorough = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
ordinary = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])

segments = st.one_of(
    st.sampled_from(["**", "*", "a", "b", "ab"]),
    st.lists(st.sampled_from(["a", "b", ".", "*"]), min_size=1, max_size=4).map("".join),
)
_sound = segments.filter(lambda text: text not in (".", "..") and (text == "**" or "**" not in text))
globs = st.lists(_sound, min_size=1, max_size=4).map("/".join)
names = st.text("aab./", max_size=9)

_ATOMS = [
    "a", "b", "1", ".", r"\d", r"\w", r"\s", r"\D", r"\S", r"\W", "[ab]", "[^a]", "[a-c1]", r"\.", r"\/", r"[^\d/]",
]  # fmt: skip
_REPEATS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "{0,}", "*?", "??", "{0}"])


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    parts, start = st.lists(inner, min_size=1, max_size=3), st.sampled_from(["(", "(?:"])
    group = st.tuples(start, parts.map("|".join), st.just(")"), _REPEATS)
    return parts.map("".join) | group.map("".join)


pieces = st.tuples(st.sampled_from(_ATOMS), _REPEATS).map("".join)
bodies = st.recursive(pieces, _joined, max_leaves=6)
anchored = st.tuples(st.sampled_from(["", "^"]), bodies, st.sampled_from(["", "$"])).map("".join)
regexes = st.lists(anchored, min_size=1, max_size=2).map("|".join)
texts = st.text("aab1./\n-é ", max_size=7)
any_text = st.text(st.characters(exclude_categories=[]), max_size=12)
pattern_like = st.text(r"ab1/*\.?!()[]{}|^$+-,:=<d&", max_size=14)


def _problem(text: str, kind: Kind) -> Problem | None:
    try:
        parse(text, kind)
    except PatternError as error:
        return error.problem
    return None


def _parsed(text: str, kind: Kind = Kind.REF) -> Pattern:
    """Read a pattern, passing by those that the language refuses for what they mean, not for how they look."""
    problem = _problem(text, kind)
    assert problem is None or problem.code in ("E203", "E205")
    assume(problem is None)
    return parse(text, kind)


_chosen = st.sampled_from(["**", "*", "a*", "a/**", "**/b", "a", "/a+/", "/[ab]+/", "/a.*/", "/.*b/", "/a{1,3}/"])
_short = st.lists(pieces, min_size=1, max_size=3).map("".join).map("/{}/".format)
small_patterns = st.one_of(_chosen, globs, _short).map(_parsed)
ref_patterns = st.one_of(small_patterns, bodies.map("/{}/".format).map(_parsed))


def matched_by(patterns: list[Pattern], value: str) -> frozenset[int]:
    return next(PatternSet(patterns).matching_sorted([value]))


def _glob_matches(parts: list[str], name: str) -> bool:
    """Follow the words of the language, one segment after the other."""
    first, rest = parts[0], parts[1:]
    if parts == ["**"]:
        return name != ""
    segment, slash, below = name.partition("/")
    if first == "**":
        return _glob_matches(rest, name) or (slash == "/" and segment != "" and _glob_matches(parts, below))
    here = segment != "" if first == "*" else fnmatchcase(segment, first)
    return here and (_glob_matches(rest, below) if rest and slash else not rest and not slash)


@thorough
@given(globs, names)
def test_a_glob_matches_what_its_words_say(glob: str, value: str) -> None:
    assert parse(glob, Kind.REF).matches(value) is _glob_matches(glob.split("/"), value)


@ordinary
@given(st.text("ab/*[?\\", min_size=1, max_size=6).filter(lambda text: text[0] != "/"), st.text("ab/[?\\*", max_size=8))
def test_in_a_name_only_the_star_is_special(text: str, value: str) -> None:
    expected = re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL).fullmatch(value) is not None
    assert parse(text, Kind.NAME).matches(value) is (expected and (value != "" or text.strip("*") != ""))


@thorough
@given(regexes, st.lists(texts, min_size=1, max_size=8))
def test_a_regex_agrees_with_the_one_of_python(body: str, values: list[str]) -> None:
    pattern = _parsed(f"/{body}/", Kind.NAME)
    oracle = re.compile(body, re.ASCII)
    for value in (*values, pattern.example):
        assert pattern.matches(value) is (oracle.fullmatch(value) is not None), value
    assert pattern.matches(pattern.example)


@thorough
@given(ref_patterns, names)
def test_a_viable_prefix_is_the_longest_that_can_grow(pattern: Pattern, value: str) -> None:
    prefix = pattern.viable_prefix(value)
    assert value.startswith(prefix)
    for cut in range(len(value) + 1):
        grown = Pattern(f"grown from {value[:cut]}", Kind.NAME, Rows(((*map(Chars.one, value[:cut]), ANYTHING),)))
        can_grow = bool(find_name(((grown,), (pattern,)), ())) or (cut == 0 and pattern.matches(""))
        assert can_grow is (cut <= len(prefix))


@thorough
@given(st.sampled_from(Kind), st.one_of(any_text, pattern_like, pattern_like.map("/{}/".format)))
def test_any_text_is_a_pattern_or_has_a_problem_within_it(kind: Kind, text: str) -> None:
    problem = _problem(text, kind)
    if problem is not None:
        assert re.fullmatch("E20[12356]", problem.code)
        assert 0 <= problem.offset <= problem.offset + problem.width <= len(text)
        assert (problem.message.isprintable(), problem.message[-1] == ".") == (True, False)


@thorough
@given(st.text("ab*/.", min_size=1, max_size=8).filter(lambda text: text[0] != "/" or text[-1] != "/"))
def test_doing_what_the_hints_say_leads_to_a_pattern(text: str) -> None:
    for _ in range(4):
        problem = _problem(text, Kind.PATH)
        if problem is None or "is never part of a name" in problem.message:
            return
        advice = re.match(r"write ([^\s,]+)", problem.hint)
        assert advice is not None, problem
        text = advice[1]
    assert _problem(text, Kind.PATH) is None


@ordinary
@given(st.lists(ref_patterns, max_size=6), st.lists(names, max_size=8), st.integers(0, 20))
def test_a_set_answers_as_each_pattern_alone_and_forgetting_changes_nothing(
    several: list[Pattern], values: list[str], room: int
) -> None:
    alone = [frozenset(at for at, each in enumerate(several) if each.matches(value)) for value in values]
    assert list(PatternSet(several).matching_sorted(values)) == alone
    forgetful = PatternSet(several, room)
    assert [forgetful.run(value).labels for value in values] == alone


@ordinary
@given(st.lists(ref_patterns, min_size=1, max_size=3), st.lists(ref_patterns, min_size=1, max_size=3), names)
def test_an_overlap_is_symmetric_and_shows_a_witness(a: list[Pattern], b: list[Pattern], value: str) -> None:
    witness = overlap(a, b)
    assert overlap(b, a) == witness
    if witness is None:
        assert not (is_legal_ref(value) and matched_by(a, value) and matched_by(b, value))
    else:
        assert all((is_legal_ref(witness), matched_by(a, witness), matched_by(b, witness)))


@ordinary
@given(small_patterns, small_patterns, small_patterns)
def test_covering_is_reflexive_and_transitive(a: Pattern, b: Pattern, c: Pattern) -> None:
    assert covers([a], a)
    assert covers([a, b], b)
    if covers([a], b) and covers([b], c):
        assert covers([a], c)


@ordinary
@given(st.lists(ref_patterns, max_size=3), ref_patterns, st.lists(names, min_size=1, max_size=10))
def test_covering_agrees_with_single_names(covering: list[Pattern], covered: Pattern, values: list[str]) -> None:
    members = [value for value in values if is_legal_ref(value) and covered.matches(value)]
    if covers(covering, covered):
        assert all(matched_by(covering, value) for value in members)


@ordinary
@given(ref_patterns, small_patterns)
def test_a_pattern_has_a_legal_name_or_a_reason_and_a_short_one_is_decided(pattern: Pattern, short: Pattern) -> None:
    for each in (pattern, short):
        found, reason = overlap([each], [each]), why_no_ref(each, "branch")
        assert found is None or (each.matches(found) and is_legal_ref(found) and reason is None)
        assert covers([], each) is (reason is not None)
        assert each is pattern or (found is None) is (reason is not None)


@thorough
@given(st.one_of(st.text("ab./@{lock ~", max_size=8), st.lists(st.sampled_from(["a", ".", "/", ".lock"])).map("".join)))
def test_illegal_names_are_those_that_the_proofs_forbid(name: str) -> None:
    is_forbidden = any(pattern.matches(name) for pattern in FORBIDDEN[Kind.REF])
    assert is_forbidden is (name != "" and not is_legal_ref(name))


@ordinary
@given(ref_patterns, names)
def test_a_plain_name_needs_no_automaton_and_all_that_is_matched_begins_alike(pattern: Pattern, name: str) -> None:
    assert pattern.matches(pattern.example)
    assert pattern.matches(name) is bool(matched_by([pattern], name))
    text, sure = sample(pattern.node)
    assert pattern.only_match == (text if sure == len(text) else None)
    assert not pattern.matches(name) or name.startswith(text[:sure])
