"""What is no pattern is refused at the right place, in words that say what to write instead.

The whole messages of the commonest mistakes are beside the rule files of tests/golden/rules/err.
"""

import pytest

from deploystep.core.patterns import Kind, PatternError, Problem, parse


def problem(text: str, kind: Kind = Kind.REF) -> Problem:
    with pytest.raises(PatternError) as raised:
        parse(text, kind)
    return raised.value.problem


# fmt: off
#: What is wrong, how the hint begins, and texts; what is pointed at stands between « and ».
GLOBS: list[tuple[str, str, list[str]]] = [
    ("']' is not a wildcard here", r"write \] for", [r"\*\[«]»"]),
    ("'}' is not a wildcard here", r"write \} for", ["a«}»"]),
    ("names are written in full, without './'", "write x", ["«./»./x"]),
    ("names are written in full, without './'", "write **", ["«./»"]),
    ("pattern starts with '/'", "write main/**, or put", [r"«/»main\/"]),
    ("'//' is never part of a name", "write a/**", ["a«//»"]),
    ("pattern ends with '/'", "write a/**", ["a«/»", "a/**«/»"]),
    ("** must stand alone", "write a*/**/*b for any depth", ["a«**»b"]),
    ("** must stand alone", "write x/**/*.py/y for any depth", ["x/«**».py/y"]),
    ("** must stand alone", "write a/** for any depth", ["a/«***»"]),
    (r"\d is not an escape", r"write vd+, or /v\d+/ for a regex", [r"v«\d»+"]),
    ("\\ is not an escape", r"write a, or /a\/ for a regex", ["a«\\»"]),
    ("'..' is never part of a name", "write paths from the repository root", ["a/«..»/b"]),
    ("'.' is never part of a name", "write paths from the repository root", ["a/«.»"]),
    ("a pattern that needs over 5,000 states", "write a shorter one", [f"«{'x' * 5_000}»"]),
]
ITSELF = " for the character itself"
REGEXES: list[tuple[str, str, list[str]]] = [
    ("lookaround is not supported", "name what to leave out under unless:", ["/a«(?=»b)/", "/«(?<!»a)b/"]),
    ("a named group is not supported", "write ( without a name", ["/«(?P<»n>a)/", "/«(?<»n>a)/"]),
    ("an inline flag is not supported", "write both cases, for example [Mm]ain", ["/«(?i»)main/"]),
    ("this kind of group is not supported", "write ( or (?:", ["/«(?>»a)/", "/«(*C»OMMIT)a/", "/«(?»/"]),
    ("a backreference is not supported", "write out each case, with |", [r"/(a)«\1»/"]),
    ("an anchor is not supported", "leave it out:", [r"/a«\b».*/", r"/[«\b»]/"]),
    ("this escape is not supported", "write the character itself", [r"/«\p»{L}/", r"/«\x»4/", r"/«\u»12g4/"]),
    ("a [ inside [ ]", rf"write \[{ITSELF}", ["/[«[»:alpha:]]/"]),
    ("a && inside [ ]", rf"write \&&{ITSELF}", ["/[a«&&»b]/"]),
    ("a repeat count over 200, or down to less", "write + or *, or the lower one first",
     ["/a«{1,201}»/", "/a«{3,1}»/"]),
    ("a { that is no repeat count", rf"write \{{{ITSELF}", ["/a«{»,2}/", f"/a«{{»{'9' * 5_000}}}/"]),
    ("nothing to repeat before {2}", rf"write \{{{ITSELF}", ["/«{2}»/"]),
    ("nothing to repeat before *", rf"write \*{ITSELF}, or .* for any text",
     ["/«*».js/", "/^«*»a/", "/a*«*»/", "/(^a)«*»/"]),
    ("nothing to repeat before +", r"write \+", ["/a|«+»/", "/a+«+»/", "/a{2}«+»/"]),
    ("nothing to repeat before ?", r"write \?", ["/a*?«??»/", "/(a$)«?»/"]),
    ("unmatched )", rf"write \){ITSELF}", ["/a«)»/"]),
    ("missing )", "", ["/«(»?:a|b/", "/a(b)«(»/"]),
    ("missing ]", rf"write \[{ITSELF}", ["/a«[»b/", "/«[»]/", "/«[»a-/", "/«[»^/"]),
    ("a range without one character at each end, the lower one first", r"write \-",
     ["/x[«z-a»]/", r"/[«a-\d»]/", r"/[«\w-z»]/"]),
    ("a class without characters", "leave it out", [r"/a«[^\s\S]»/"]),
    ("^ is only allowed at the start", rf"write \^{ITSELF}", ["/a«^»b/", "/(a«^»b)/"]),
    ("$ is only allowed at the end", rf"write \${ITSELF}", ["/a$«b»/", "/(a$|b)«c»/", "/(a|b$)«c»/"]),
    ("a pattern that needs over 5,000 states", "write a shorter one",
     [f"«/{'(' * 9}a{'{200})' * 9}/»", "«/((a{200}){13})+/»"]),
    ("more than 50 nested groups", "write several patterns", [f"/{'(' * 50}«(»{'(' * 99_999}a{')' * 100_000}/"]),
]
# fmt: on
REFUSED = [("E201", [Kind.REF], *row) for row in GLOBS] + [("E202", [*Kind], *row) for row in REGEXES]


@pytest.mark.parametrize(("code", "kinds", "message", "hint", "marked"), REFUSED)
def test_what_is_refused_and_where(code: str, kinds: list[Kind], message: str, hint: str, marked: list[str]) -> None:
    for text in marked:
        start, end = text.index("«"), text.index("»") - 1
        for kind in kinds:
            found = problem(text.replace("«", "").replace("»", ""), kind)
            assert (found.code, found.offset, found.width) == (code, start, end - start)
            assert message in found.message
            assert f"{found.hint} ".startswith(f"{hint} "), "it begins with these words"


# fmt: off
SEARCHES = [
    (r"/^v1\.0/", Kind.NAME, r"whole text: /^v1\.0/ matches only 'v1.0'", r"/^v1\.0.*/"),
    (r"/^src\//", Kind.PATH, r"whole path: /^src\// matches only 'src/'", r"/^src\/.*/"),
    ("/-rc$/", Kind.REF, "whole name: /-rc$/ matches only '-rc'", "/.*-rc$/ for 'ends with'"),
    ("/^(?:a|a)b{2}/", Kind.REF, "matches only 'abb'", "/^(?:a|a)b{2}.*/ for 'starts with'"),
]
QUALIFIED = {
    "refs/heads/main": "main", "refs/tags/v*": "v*", "refs/heads/": "**", "/origin/main": "main",
    r"/^refs\/heads\/(main|dev)$/": "/^(main|dev)$/", "/refs/tags/.*/": "/.*/",
}
# fmt: on


def test_what_means_something_else_than_it_matches_is_refused() -> None:
    """Only the empty text, a regex that is meant for searching, a qualified name."""
    for kind in Kind:
        for text in ("", "//", "/^/", "/$/", "/^$/", "/()/", "/(|)/", "/a{0}/", "/((){3}|(?:))/"):
            found = problem(text, kind)
            assert (found.code, found.offset, found.width) == ("E203", 0, len(text))
    for text, kind, message, hint in SEARCHES:
        found = problem(text, kind)
        assert (found.code, found.offset, found.width) == ("E205", 0, len(text))
        assert message in found.message
        assert hint in found.hint
        assert parse(found.hint.split()[1], kind)
    for text, bare in QUALIFIED.items():
        found = problem(text)
        assert (found.code, found.hint, found.offset) == ("E206", bare, 0)
        assert (found.width, found.message.endswith(f"not '{text}'")) == (len(text), True)
        assert parse(bare, Kind.REF)
    assert parse("refs/heads/main", Kind.PATH).matches("refs/heads/main")
    assert parse("refs/remotes/main", Kind.REF).matches("refs/remotes/main")


def test_a_message_stays_one_short_line_and_the_error_reads_like_its_problem() -> None:
    assert problem("a\nb\x1b[2J?").message == r"'[' is not a wildcard here in 'a\nb\x1b[2J?'"
    assert len(problem("[" + "\n" * 1_000).message) < 200
    assert problem("[" + "x" * 59).message.endswith("x'")
    assert problem("[" + "x" * 60).message.endswith("x…'")
    with pytest.raises(PatternError, match=r"^pattern ends with '/' in 'services/api/' — write services/api/\*\*$"):
        parse("services/api/", Kind.PATH)
    with pytest.raises(PatternError, match=r"^missing \) in '/\(/'$"):
        parse("/(/", Kind.PATH)
