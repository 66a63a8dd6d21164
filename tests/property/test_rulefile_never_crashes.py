"""Whatever a file holds, reading it ends in rules, or in a refusal that points into the file."""

from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.core.errors import RuleFileInvalid
from deploystep.core.source import Diagnostic, SourceFile
from deploystep.rulefile import fields
from deploystep.rulefile.field_types import Table
from deploystep.rulefile.given import read_given
from deploystep.rulefile.load import examine, load

GOOD = (Path(__file__).parents[1] / "golden" / "rules" / "ok" / "full.yml").read_text(encoding="utf-8")
FACTS = """\
branch: main
pull_request: 42
fork: false
user: "dependabot[bot]"
changed: [services/api/app.py]
env: {DEPLOYS_OFF: "1"}
jobs: {test: success}
now: 2026-06-16 10:00
"""
TELLING = "*!&|>%@`'\"{}[],:#?-~<=$\\/()\t\n\r \0\x85\u2028\u202e\ufeff\ud800é0a."
CHARACTERS = st.one_of(st.sampled_from(TELLING), st.characters())
WORDS = st.sampled_from([
    "version: 1\n", "rules:\n", "  - name: a\n", "    when: {branch: main}\n", "    deploy: {}\n", "    unless:\n",
    "&a ", "*a", "<<: ", "!!", "${", "}", "[", "]", "{", "- ", ": ", "'", '"', "|\n", "\t", "# ", "---\n", "/(",
])  # fmt: skip


def check(text: str, read: Callable[[SourceFile], object] = load) -> None:
    source = SourceFile("deploy.yml", text)
    found: tuple[Diagnostic, ...] = ()
    try:
        assert read(source)
    except RuleFileInvalid as error:
        found = error.diagnostics
        assert found
    lines = [line.rstrip("\r") for line in text.split("\n")]
    for diagnostic in found:
        assert (diagnostic.is_error, bool(diagnostic.message)) == (True, True)
        assert (diagnostic.message + diagnostic.hint).isprintable()
        (line, column), width = diagnostic.span
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1
        assert 1 <= width <= max(len(lines[line - 1]), column) - column + 1


@given(st.text(CHARACTERS, max_size=200), st.lists(st.one_of(WORDS, st.text(CHARACTERS, max_size=3)), max_size=40))
def test_any_text_and_any_pieces_of_rules(text: str, pieces: list[str]) -> None:
    check(text)
    check(text, read_given)
    check("".join(pieces))


@settings(deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), CHARACTERS)
def test_a_character_or_a_stretch_of_a_good_file_is_wrong(start: int, end: int, character: str) -> None:
    check(GOOD[:start] + GOOD[end:])
    for kept in (start, start + 1):
        check(GOOD[:start] + character + GOOD[kept:])
    at = start % len(FACTS)
    for kept in (at, at + 1):
        check(FACTS[:at] + character + FACTS[kept:], read_given)


PLACES: list[tuple[str, Table]] = [
    ("version: 1\nKEY: x\nrules: [{name: a, when: {branch: m}}]\n", fields.FILE),
    ("version: 1\nnever: [{when: {branch: x}, KEY: x}]\nrules: [{name: a, when: {branch: m}}]\n", fields.GUARD),
    ("version: 1\ntargets: {d: {project: gh/a/b, KEY: x}}\nrules: [{name: a, when: {branch: m}}]\n", fields.TARGET),
    ("version: 1\nrules: [{KEY: x, name: a, when: {branch: m}}]\n", fields.RULE),
    ("version: 1\nrules: [{name: a, when: {branch: m}, unless: {KEY: x}}]\n", fields.MATCHERS),
    ("version: 1\nrules: [{name: a, when: {branch: m, KEY: x}}]\n", fields.MATCHERS),
    ("version: 1\nrules: [{name: a, when: {branch: m}, deploy: {KEY: x}}]\n", fields.DEPLOY_KEYS),
]


@given(st.sampled_from(PLACES), st.from_regex(r"[a-z][a-z_]{0,15}", fullmatch=True))
def test_no_unknown_key_is_accepted(place: tuple[str, Table], key: str) -> None:
    text, table = place
    examined = examine(SourceFile("deploy.yml", text.replace("KEY", key)))
    is_known = any(known.key == key for known in table.fields)
    assert any(d.code in ("E102", "E113") for d in examined.diagnostics) is not is_known
    assert is_known or examined.rules is None
