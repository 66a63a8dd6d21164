"""What is no pattern is refused at the right place, in words that say what to write instead."""

from __future__ import annotations

import pytest

from deploystep.core.patterns import Kind, PatternError, Problem, parse


def problem(text: str, kind: Kind = Kind.REF) -> Problem:
    with pytest.raises(PatternError) as raised:
        parse(text, kind)
    return raised.value.problem


# fmt: off
PROMISED: list[tuple[str, Kind, int, int, str, str, str]] = [
    ("v[0-9]*", Kind.REF, 1, 1, "E201", r"'[' is not a wildcard here in 'v[0-9]*'",
     r"write \[ for the character itself, or use a /regex/"),
    ("/^v/", Kind.REF, 0, 4, "E205", "a regex must match the whole name: /^v/ matches only 'v' itself",
     "write /^v.*/ for 'starts with'"),
    ("/^(?!rc).*/", Kind.REF, 2, 3, "E202", "lookahead is not supported in '/^(?!rc).*/'",
     "name what to leave out under unless:"),
    (r"/^v(\d+/", Kind.REF, 3, 1, "E202", r"missing ) in '/^v(\d+/'", ""),
    ("services/api/", Kind.PATH, 12, 1, "E201", "pattern ends with '/' in 'services/api/'", "write services/api/**"),
    ("a/**/", Kind.PATH, 4, 1, "E201", "pattern ends with '/' in 'a/**/'", "write a/**"),
    ("**.md", Kind.PATH, 0, 2, "E201", "** must stand alone between slashes in '**.md'", "write **/*.md for any depth"),
    ("refs/heads/main", Kind.REF, 0, 15, "E206", "write the bare name, not 'refs/heads/main'", "main"),
    ("./services/**", Kind.PATH, 0, 2, "E201", "paths start at the repository root, without './'",
     "write services/**"),
    ("", Kind.NAME, 0, 0, "E203", "an empty pattern can never match", ""),
]
# fmt: on


def test_the_messages_that_are_promised() -> None:
    for text, kind, offset, width, code, message, hint in PROMISED:
        assert problem(text, kind) == Problem(code, message, hint, offset, width)


# fmt: off
GLOBS = [
    ("v?", 1, "'?' is not a wildcard here", r"\? for the character itself"),
    ("a/b{c,d}", 3, "'{' is not a wildcard here", r"\{ for"),
    (r"\*\[]", 4, "']' is not a wildcard here", r"\] for"),
    ("a}", 1, "'}' is not a wildcard here", r"\} for"),
    ("!main", 0, "patterns are not negated with ! in '!main'", r"under unless: or ignore:, or write \!"),
    ("././x", 0, "names are written in full, without './'", "write x"),
    ("./", 0, "without './'", "write **"),
    ("/main", 0, "pattern starts with '/' in '/main'", "write main, or put a / at both ends of a regex"),
    (r"/main\/", 0, "pattern starts with '/'", "put a / at both ends of a regex"),
    ("a//b", 1, "'//' is never part of a name", "write a/b"),
    ("a//", 1, "'//' is never part of a name", "write a/**"),
    ("feature**", 7, "** must stand alone", "write feature*/** for any depth"),
    ("a**b", 1, "** must stand alone", "write a*/**/*b for any depth"),
    ("x/**.py/y", 2, "** must stand alone", "write x/**/*.py/y for any depth"),
    ("a/***", 2, "** must stand alone", "write a/** for any depth"),
    (r"v\d+", 1, r"\d is not an escape", r"write vd+, or /v\d+/ for a regex"),
    (r"a/b\.c", 3, r"\. is not an escape", "write a/b.c"),
    ("a\\", 1, r"\ is not an escape", "write a"),
    ("a/../b", 2, "'..' is never part of a name", "write paths from the repository root"),
    ("a/.", 2, "'.' is never part of a name", "write paths from"),
    ("x" * 5_001, 0, "a pattern that needs over 5,000 states", "write a shorter one"),
]
REGEXES = [
    ("/a(?=b)/", 2, 3, "lookaround is not supported", "name what to leave out under unless:"),
    ("/(?<!a)b/", 1, 4, "lookaround is not supported", "name what to leave out under unless:"),
    ("/(?P<n>a)/", 1, 4, "a named group is not supported", "write ( without a name"),
    ("/(?<n>a)/", 1, 3, "a named group is not supported", "write ( without a name"),
    ("/(?i)main/", 1, 3, "an inline flag is not supported", "write both cases, for example [Mm]ain"),
    ("/(?>a)/", 1, 3, "this kind of group is not supported", "write ( or (?:"),
    ("/(*COMMIT)a/", 1, 3, "this kind of group is not supported", "write ( or (?:"),
    ("/(?/", 1, 2, "this kind of group is not supported", "write ( or (?:"),
    (r"/(a)\1/", 4, 2, "a backreference is not supported", "write out each case"),
    (r"/\p{L}/", 1, 2, "this escape is not supported", "write the character itself"),
    (r"/a\b.*/", 2, 2, "an anchor is not supported", "leave it out"),
    (r"/[\b]/", 2, 2, "an anchor is not supported", "leave it out"),
    (r"/\Qa\E/", 1, 2, "this escape is not supported", "write the character itself"),
    (r"/\x4/", 1, 2, "this escape is not supported", "write the character itself"),
    (r"/\u12g4/", 1, 2, "this escape is not supported", "write the character itself"),
    ("/[[:alpha:]]/", 2, 1, "a [ inside [ ]", r"write \[ for the character itself"),
    ("/[a&&b]/", 3, 2, "a && inside [ ]", r"write \&& for the character itself"),
    ("/a{1,201}/", 2, 7, "a repeat count over 200", "write +"),
    ("/a{" + "9" * 5_000 + "}/", 2, 1, "a { that is no repeat count", r"write \{"),
    ("/a{3,1}/", 2, 5, "a repeat count over 200, or down to less", "write + or *, or the lower one first"),
    ("/a{,2}/", 2, 1, "a { that is no repeat count", r"write \{"),
    ("/{2}/", 1, 3, "nothing to repeat before {2}", r"write \{"),
    ("/*.js/", 1, 1, "nothing to repeat before *", r"write \* for the character itself, or .* for any text"),
    ("/a|+/", 3, 1, "nothing to repeat before +", r"write \+"),
    ("/^*a/", 2, 1, "nothing to repeat before *", r"write \*"),
    ("/a**/", 3, 1, "nothing to repeat before *", r"write \*"),
    ("/a++/", 3, 1, "nothing to repeat before +", r"write \+"),
    ("/a{2}+/", 5, 1, "nothing to repeat before +", r"write \+"),
    ("/a*???/", 4, 2, "nothing to repeat before ?", r"write \?"),
    ("/a)/", 2, 1, "unmatched )", r"write \) for the character itself"),
    ("/(?:a|b/", 1, 1, "missing )", ""),
    ("/a[b/", 2, 1, "missing ]", r"write \[ for the character itself"),
    ("/[]/", 1, 1, "missing ]", r"write \["),
    ("/[a-/", 1, 1, "missing ]", r"write \["),
    ("/[^/", 1, 1, "missing ]", r"write \["),
    ("/x[z-a]/", 3, 3, "a range without one character at each end, the lower one first", r"write \-"),
    (r"/[a-\d]/", 2, 4, "a range without one character at each end", r"write \-"),
    (r"/[\w-z]/", 2, 4, "a range without one character at each end", r"write \-"),
    (r"/a[^\s\S]/", 2, 7, "a class without characters", "leave it out"),
    ("/a^b/", 2, 1, "^ is only allowed at the start", r"write \^ for the character itself"),
    ("/a$b/", 3, 1, "$ is only allowed at the end", r"write \$ for the character itself"),
    ("/(^a)*/", 5, 1, "nothing to repeat before *", r"write \*"),
    ("/(a$)?/", 5, 1, "nothing to repeat before ?", r"write \?"),
    ("/(a$|b)c/", 7, 1, "$ is only allowed at the end", r"write \$"),
    ("/(a^b)/", 3, 1, "^ is only allowed at the start", r"write \^"),
    ("/(a|b$)c/", 7, 1, "$ is only allowed at the end", r"write \$"),
    (f"/{'(' * 9}a{'{200})' * 9}/", 0, 66, "a pattern that needs over 5,000 states", "write a shorter one"),
    ("/((a{200}){13})+/", 0, 17, "a pattern that needs over 5,000 states", "write a shorter one"),
]
# fmt: on


@pytest.mark.parametrize(("text", "offset", "message", "hint"), GLOBS)
def test_globs(text: str, offset: int, message: str, hint: str) -> None:
    found = problem(text)
    assert (found.code, found.offset) == ("E201", offset)
    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize(("text", "offset", "width", "message", "hint"), REGEXES)
def test_regexes(text: str, offset: int, width: int, message: str, hint: str) -> None:
    for kind in Kind:
        found = problem(text, kind)
        assert (found.code, found.offset, found.width) == ("E202", offset, width)
        assert message in found.message
        assert found.hint.startswith(hint)


def test_deep_nesting_is_a_problem_and_not_a_crash() -> None:
    for depth in (51, 1_000, 100_000):
        found = problem("/" + "(" * depth + "a" + ")" * depth + "/")
        assert (found.code, found.offset) == ("E202", 51)
        assert "more than 50 nested groups" in found.message


# fmt: off
SEARCHES = [
    ("/^config-test/", Kind.REF, "whole name: /^config-test/ matches only 'config-test'", "/^config-test.*/"),
    (r"/^v1\.0/", Kind.NAME, r"whole text: /^v1\.0/ matches only 'v1.0'", r"/^v1\.0.*/"),
    (r"/^src\//", Kind.PATH, r"whole path: /^src\// matches only 'src/'", r"/^src\/.*/"),
    ("/-rc$/", Kind.REF, "whole name: /-rc$/ matches only '-rc'", "/.*-rc$/ for 'ends with'"),
    ("/^(?:a|a)b{2}/", Kind.REF, "matches only 'abb'", "/^(?:a|a)b{2}.*/ for 'starts with'"),
]
QUALIFIED = {
    "refs/heads/main": "main", "refs/tags/v*": "v*", "refs/heads/**": "**", "refs/heads/": "**", "/origin/main": "main",
    r"/^refs\/heads\/(main|dev)$/": "/^(main|dev)$/", "/refs/tags/.*/": "/.*/",
}
# fmt: on


def test_what_means_something_else_than_it_matches_is_refused() -> None:
    """Only the empty text, a regex that is meant for searching, a qualified name."""
    for kind in Kind:
        for text in ("//", "/^/", "/$/", "/^$/", "/()/", "/(|)/", "/a{0}/", "/((){3}|(?:))/"):
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
        assert (found.code, found.hint, found.offset, found.width) == ("E206", bare, 0, len(text))
        assert parse(bare, Kind.REF)
    assert parse("refs/heads/main", Kind.PATH).matches("refs/heads/main")
    assert parse("refs/remotes/main", Kind.REF).matches("refs/remotes/main")


def test_a_message_stays_one_short_line_and_the_error_reads_like_its_problem() -> None:
    assert problem("a\nb\x1b[2J?").message == r"'[' is not a wildcard here in 'a\nb\x1b[2J?'"
    assert len(problem("[" + "x" * 1_000).message) < 200
    assert len(problem("[" + "\n" * 1_000).message) < 200
    assert problem("[" + "x" * 59).message.endswith("x'")
    assert problem("[" + "x" * 60).message.endswith("x…'")
    with pytest.raises(PatternError, match=r"^pattern ends with '/' in 'services/api/' — write services/api/\*\*$"):
        parse("services/api/", Kind.PATH)
    with pytest.raises(PatternError, match=r"^missing \) in '/\(/'$"):
        parse("/(/", Kind.PATH)
