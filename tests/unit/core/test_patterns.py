"""What patterns match, one rule of the language at a time, and what is proved about them."""

import random
import tracemalloc
from functools import partial
from sys import maxunicode

import pytest

from deploystep.core.patterns import Kind, Pattern, PatternSet, Problem, is_legal_ref, parse
from deploystep.core.patterns.automaton import Chars
from deploystep.core.patterns.proofs import covers, find_name, overlap, why_no_ref
from deploystep.core.source import shown

ref, path, name = (partial(parse, kind=kind) for kind in (Kind.REF, Kind.PATH, Kind.NAME))


def refs(*texts: str) -> list[Pattern]:
    return [ref(text) for text in texts]


# fmt: off
#: What the laws in tests/property do not try, and what documents a rule.
MATCHES: dict[tuple[Kind, ...], list[tuple[str, list[str], list[str]]]] = {
    (Kind.REF, Kind.PATH): [
        ("main", ["main"], ["Main", "main2", "mai", "", "a/main", "main\n"]), ("*", ["a b", "\n"], ["", "a/b", "/"]),
        ("release/*", ["release/1.0", "release/.x", "release/ü"], ["release", "release/", "release/1/2", "xrelease/1"]),
        ("**", ["a", "a/b", "a/b/c.md", "\n"], [""]), ("a/**", ["a/b", "a/b/c"], ["a", "a/", "b/a/c", "ab/c"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["xx", "a/xx", "/x"]), ("a/**/b", ["a/b", "a/x/y/b"], ["a//b", "ab", "a/xb"]),
        (r"\*\?\[\]\{\}\\", [r"*?[]{}" + "\\"], ["x?[]{}\\"]), (r"\!x", ["!x"], ["x", r"\!x"]),
        ("a!b^c$d.e+f(g)|h", ["a!b^c$d.e+f(g)|h"], ["a!b^c$dxe+f(g)|h"]), ("ünï/*", ["ünï/ö", "ünï/😀"], ["Ünï/x"]),
        ("src/*.txt", ["src/caf\udce9.txt"], []),  # git knows names that are no UTF-8: halves of surrogate pairs
    ],
    (Kind.NAME,): [
        ("dependabot[bot]", ["dependabot[bot]"], ["dependabotb"]), ("/root", ["/root"], ["root"]), ("/", ["/"], [""]),
        ("*", ["x", "a/b", "\n", " "], [""]), ("!x", ["!x"], ["x", "y"]), ("refs/heads/x", ["refs/heads/x"], ["x"]),
        ("*@acme.dev", ["a/b@acme.dev", "@acme.dev"], ["anna@acme.dev.evil.org"]), ("./x/", ["./x/"], ["x"]),
        (r"a\*?{}!", [r"a\*?{}!", r"a\x/y?{}!"], ["a*?{}!", r"a\*x{}!"]), ("**", ["x"], [""]),
    ],
    tuple(Kind): [
        (r"/v\d+\.\d+\.\d+/", ["v1.4.0", "v10.20.30"], ["v1.4", "v1.4.0-rc", "xv1.4.0", "v1x4x0", "v\u0661.\u0662.3"]),
        ("/^v.*/", ["v", "v1/2"], ["", "av", "v\n"]), ("/^(?:main|dev)$/", ["main", "dev"], ["maindev", "main2"]),
        ("/^main$|^dev$/", ["main", "dev"], ["main|dev"]), ("/(^a|b)(c|d$)/", ["ac", "bc", "ad", "bd"], ["a", "c"]),
        ("/(^main$)|(^dev$)/", ["main", "dev"], ["maindev"]), ("/(^a|^b)$/", ["a", "b"], ["ab"]),
        ("/x|/", ["x", ""], ["xx"]), ("/./", ["a", "/", "\r", "😀", "\udc80"], ["\n", "", "ab"]),
        (r"/\w\W\s\S\D/", ["a- bc", "_é\tzz"], ["é- bc", "a- b1", "a-\x1cbc"]), ("/[]]/", ["]"], ["[", ""]),
        (r"/[-a]+[]x][\]\-^][a\d_-]/", ["-a]^-", "a]]_", "-x-7", "ax-a"], ["b]^-", "axxx"]), ("/ #/", [" #"], ["#"]),
        ("/[^]]/", ["[", "a"], ["]"]), (r"/[^\n]/", ["a"], ["\n"]), ("/[a-]-}]/", ["a-}]", "--}]"], ["b-}]"]),
        (r"/\t\n\r\f\v/", ["\t\n\r\f\v"], ["tnrfv"]), (r"/\x41\u00e9\.\/\_\ \-\//", ["Aé./_ -/"], ["Aéx/_ -/"]),
        ("/a{0,0}b{0001}c{1,}/", ["bc", "bccc"], ["abc", "b"]), ("/(a|b)*?c+?d??/", ["c", "ababccd"], ["d", "abd"]),
        ("/((a?)+){3}/", ["", "a", "aaaa"], ["b"]), (r"/a\\/", ["a\\"], ["a", r"a\\"]), ("/a}b]c/", ["a}b]c"], ["abc"]),
        ("/release/.+/", ["release/1"], ["release/"]), ("/^v[12]/", ["v1", "v2"], ["v", "v12"]),
        ("/[😀-😂]+/", ["😁😂"], ["😃"]), (r"/\😀/", ["😀"], ["x"]), ("/" + "(a)" * 51 + "b*/", ["a" * 51], ["a" * 50]),
        ("/" + "(" * 50 + "a" + ")" * 50 + "b*/", ["abb"], ["b"]),
    ],
}
# fmt: on
ROWS = [(kind, *row) for kinds, rows in MATCHES.items() for row in rows for kind in kinds]


@pytest.mark.parametrize(("kind", "text", "matched", "unmatched"), ROWS)
def test_matches(kind: Kind, text: str, matched: list[str], unmatched: list[str]) -> None:
    pattern = parse(text, kind)
    assert [value for value in matched if not pattern.matches(value)] == []
    assert [value for value in unmatched if pattern.matches(value)] == []


def test_a_pattern_is_its_text_and_its_kind() -> None:
    assert ref("main") == ref("main")
    assert hash(ref("main")) == hash(ref("main"))
    assert ref("main") != path("main")
    assert ref("main") != ref("/main/")
    assert ref("main") != "main"


# fmt: off
VIABLE = {
    (r"/v\d+\.\d+\.\d+/", "v1.4-rc"): "v1.4", (r"/v\d+\.\d+\.\d+/", "1.4"): "", ("main", "maintenance"): "main",
    ("main", "main"): "main", ("hotfix/**", "hot/fix"): "hot", ("release/*", "release/1/2"): "release/1",
}
ONLY = {
    "main": "main", r"\*": "*", "/(?:ma)in/": "main", "/a{3}b{0}(?:c|c)/": "aaac", "/(){2}x/": "x", "/[ab]{0}x/": "x",
    "ma*": None, "/a|b/": None, "/ab?/": None, "/[ab]/": None, "/a{2,3}/": None, "/.*/": None,
}
EXAMPLES = {"**": "aa", "v*/main": "va/main", r"/v\d+\.\d*/": "v00.0", "/x{2,3}y?(%|b)[^a]z{0}/": "xxxy%0", "/é/": "é"}
# fmt: on


def test_what_a_pattern_says_of_its_texts() -> None:
    """How far a near miss is viable, the only text that there is, and an example, not empty where it need not be."""
    assert {(text, value): ref(text).viable_prefix(value) for text, value in VIABLE} == VIABLE
    assert {text: ref(text).only_match for text in ONLY} == ONLY
    assert {text: ref(text).example for text in EXAMPLES} == EXAMPLES


def test_a_set_names_every_pattern_that_matches_in_the_order_of_the_values_whatever_that_is() -> None:
    several = PatternSet(refs("main", "ma*", "**", "dev", "main", "/main|dev/"))
    found = list(several.matching_sorted(["a/b", "dev", "main", ""]))
    assert found == [{2}, {2, 3, 5}, {0, 1, 2, 4, 5}, set()]
    assert list(PatternSet([]).matching_sorted(["", "a/b"])) == [set(), set()]


# fmt: off
WITNESSES: dict[tuple[str, str], str | None] = {
    ("release/*", r"/release\/\d+\.\d+/"): "release/0.0", ("main", "**"): "main", ("main", "ma*"): "main",
    ("**", "**"): "a", ("*", "feature/**"): None, ("a*", "/b.*/"): None, ("main", "dev"): None, ("*-rc", "v*"): "v-rc",
    ("/.{3}/", "/[^a-z]+/"): "000", ("/[é-ü]+|y/", "**"): "y", ("/[é-ü]/", "**"): "é", ("*é", "**"): "é",
    ("/[%z]/", "**"): "z", ("/x?/", "/y?|x/"): "x", ("/(a|b).*/", "/.*z/"): "az", ("/(ab?){2}/", "aba"): "aba",
    # which names git allows
    ("a*", "/a[ .]/"): None, ("a*", "/a[ .]b/"): "a.b", ("**", "/.*[.]lock/"): None, ("/.*[.]lock.+/", "**"): "a.locka",
}
# fmt: on


def test_an_overlap_is_something_natural_that_both_match() -> None:
    assert {(a, b): overlap(refs(a), refs(b)) for a, b in WITNESSES} == WITNESSES
    assert overlap(refs("main", "v*"), refs("dev", "x*", "/v2/")) == "v2", "every pair is looked at"
    assert overlap([], refs("**")) is overlap(refs("**"), []) is None
    # a name of another kind follows its own law
    assert overlap([path("docs/**")], [path("**/*.lock")]) == "docs/.lock"
    assert overlap([path("*")], [path("/[ ]/")]) == " "
    assert overlap([name("*")], [name("/a?/")]) == "a"
    assert overlap([name("*")], [name(r"/[\x01é]/")]) == "é"


# fmt: off
COVERED = [
    (["v*"], r"/^v\d+\.\d+\.\d+$/"), (["**"], "*"), (["main"], "main"), (["*", "*/**"], "**"),
    (["/[a-m].*/", "/[^a-m].*/"], "**"), (["/[^.].*/"], "**"), (["a/**"], "a/**/b"), (["**/b"], "a/**/b"),
    (["feature/**"], "feature/*"), (["/.*/"], "**"),  # `.` is no newline, but neither is any character of a name
    (["a"], "a..b"),  # only names that can exist count
]
NOT_COVERED = [
    (["*"], "**"), (["a/**"], "**/b"), ([r"/v\d+/"], "v*"), (["main", "dev"], "/main|dev|test/"), ([], "main"),
]
LEGAL = ["main", "a/b/c", "v1.0", "foo./bar", "a@b", "a@", "@a", "é", "a.lockx", "😀", "{", "a{b}", "\udc80", "HEAD"]
ILLEGAL = ["", "@", "/a", "a/", "a//b", ".a", "a/.b", "a..b", "a.", "a.lock", "a.lock/b", "a@{b", "a b", "a\x7f", "a\n"]
# fmt: on


def test_covers() -> None:
    assert [pair for pair in COVERED if not covers(refs(*pair[0]), ref(pair[1]))] == []
    assert [pair for pair in NOT_COVERED if covers(refs(*pair[0]), ref(pair[1]))] == []
    assert not covers([path("/.*/")], path("**"))
    assert covers([name("/(.|[\\n])*/")], name("*"))


# fmt: off
#: Patterns that match no name of git's, and what it does not allow.
WITHOUT_NAMES = {
    "release..1": "'..'", "main, dev": "spaces", "/a\\tb/": "control characters", "^v.*$": "'^'", r"v1\?": "'?'",
    r"a\\b": r"'\'", r"a@\{1\}": "'@{'", "/a\\/\\/b/": "'//'", "/\\/.*/": "'/' at the start", "v1.": "'.' at the end",
    "/.*\\//": "'/' at the end", ".github*": "'.' at the start", "x/.y/**": "'.' after '/'", "@": "'@' alone",
    "*.lock": "'.lock' at the end", "*.lock/*": "'.lock' before '/'", "/@?/": "'@' alone", "/ x|y~/": "any such name",
}
# fmt: on


def test_a_name_is_legal_as_git_says_and_a_pattern_without_one_names_the_law() -> None:
    assert [text for text in LEGAL if not is_legal_ref(text)] == []
    assert [text for text in (*ILLEGAL, *(f"a{c}" for c in "~^:?*[\\\t\0")) if is_legal_ref(text)] == []
    for text, law in WITHOUT_NAMES.items():
        only = ref(text).only_match
        claim = f"match '{text}'" if only is None else f"be called {shown(only)}"
        expected = Problem("E207", f"no tag can {claim} (git does not allow {law})", "", 0, len(text))
        assert why_no_ref(ref(text), "tag") == expected
    assert why_no_ref(ref("**/*.lock*"), "branch") is None


class TestBounds:
    @pytest.mark.parametrize(
        "text",
        ["/(a+)+b/", "/(a|a)*b/", "/(a|aa)+b/", "/(.*)*b/", "/(.*a){20}b/", "/(a?){100}a{100}b/", "/([a-zA-Z]+)*b/"],
    )
    def test_no_text_takes_more_than_linear_time(self, text: str) -> None:
        """A backtracking engine would not be back today."""
        assert not ref(text).matches("a" * 100_000 + "!")

    def test_what_is_remembered_while_reading_is_bounded(self) -> None:
        pattern = name("/(a|b)*a(a|b){14}/")  # 32,768 states
        text = "".join(random.Random(1).choices("ab", k=3_000))  # noqa: S311 - no secret
        peaks = []
        for limit in (1_000, 1_000_000):
            automaton = PatternSet([pattern], limit)
            tracemalloc.start()
            assert bool(automaton.run(text).labels) is (text[-15] == "a")
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[0] * 5 < peaks[1]

    def test_a_search_that_is_cut_short_claims_nothing(self) -> None:
        hard = name("/(a|b)*a(a|b){6}/")
        harder = name("/(a|b)*b(a|b){6}/")
        assert find_name(((hard,), (harder,)), (), limit=500) is None
        assert find_name(((hard,), (harder,)), ()) == ""

    def test_the_questions_pass_that_on(self) -> None:
        """No two of these match the same name, but to prove it takes 2^80 states."""
        a, b = ref("/(a|b)*a(a|b){80}/"), ref("/(a|b)*b(a|b){80}/")
        unlike = ref("/(a|b)*a(a|b){80} /")
        assert overlap([a], [b]) is None
        assert not covers([b], unlike)
        assert covers([b, unlike], unlike)
        assert why_no_ref(unlike, "branch") is None


def test_intervals_are_merged_and_inverted() -> None:
    assert Chars.of([(5, 6), (1, 2), (3, 3), (6, 9), (20, 30), (22, 25)]).ranges == ((1, 3), (5, 9), (20, 30))
    for ranges in ([(0, 5)], [(5, maxunicode)], [(3, 4), (8, 9)], []):
        assert Chars.of(ranges).inverted().inverted() == Chars.of(ranges)
    assert Chars.of([(3, 4)]).inverted().ranges == ((0, 2), (5, maxunicode))
