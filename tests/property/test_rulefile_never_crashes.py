"""Whatever a file holds, reading it ends in rules, or in a refusal that points into the file."""

import re
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.core.errors import RuleFileInvalid
from deploystep.core.source import SourceFile
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
WORDS = st.sampled_from(
    [
        "version: 1\n", "rules:\n", "  - name: a\n", "    when: {branch: main}\n", "    deploy: {}\n", "    unless:\n",
        "&a ", "*a", "<<: ", "!!", "${", "}", "[", "]", "{", "- ", ": ", "'", '"', "|\n", "\t", "# ", "---\n", "/(",
    ]
)  # fmt: skip


def check_place(source: SourceFile, refused: RuleFileInvalid) -> None:
    lines = source.text.split("\n")
    assert refused.diagnostics
    for diagnostic in refused.diagnostics:
        assert diagnostic.is_error
        assert diagnostic.message
        assert (diagnostic.message + diagnostic.hint).isprintable()
        start = diagnostic.span.start
        assert 1 <= start.line <= len(lines)
        assert 1 <= start.column <= len(lines[start.line - 1].rstrip("\r")) + 1
        last = max(len(lines[start.line - 1].rstrip("\r")), start.column)
        assert 1 <= diagnostic.span.width <= last - start.column + 1


def check(text: str, read: Callable[[SourceFile], object] = load) -> None:
    source = SourceFile("deploy.yml", text)
    try:
        assert read(source)
    except RuleFileInvalid as refused:
        check_place(source, refused)


@given(st.text(CHARACTERS, max_size=200))
def test_any_text(text: str) -> None:
    check(text)
    check(text, read_given)


@given(st.lists(st.one_of(WORDS, st.text(CHARACTERS, max_size=3)), max_size=40).map("".join))
def test_any_pieces_of_rules(text: str) -> None:
    check(text)


@settings(deadline=None)
@given(st.integers(0, len(GOOD) - 1), CHARACTERS, st.sampled_from(["replace", "insert", "delete"]))
def test_one_character_wrong(place: int, character: str, change: str) -> None:
    kept = GOOD[place + (change != "insert") :]
    check(GOOD[:place] + ("" if change == "delete" else character) + kept)


@settings(deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)))
def test_a_stretch_missing(start: int, end: int) -> None:
    check(GOOD[:start] + GOOD[end:])


@given(st.integers(0, len(FACTS) - 1), CHARACTERS, st.booleans())
def test_one_character_of_the_facts_wrong(place: int, character: str, insert: bool) -> None:  # noqa: FBT001
    check(FACTS[:place] + character + FACTS[place + (not insert) :], read_given)


NAMES = st.from_regex(r"[a-z][a-z_]{0,15}", fullmatch=True)
FILE = "version: 1\n<1>rules: [{<2>name: a, when: {<3>branch: m}, deploy: {<4>}}]\n"
PLACES: list[tuple[str, str, Table]] = [
    ("<1>", "KEY: x\n", fields.FILE),
    ("<1>", "never: [{when: {branch: x}, KEY: x}]\n", fields.GUARD),
    ("<1>", "targets: {d: {project: gh/a/b, branch: m, KEY: x}}\n", fields.TARGET),
    ("<2>", "KEY: x, ", fields.RULE),
    ("<2>", "unless: {KEY: x}, ", fields.MATCHERS),
    ("<3>", "KEY: x, ", fields.MATCHERS),
    ("<4>", "KEY: x", fields.DEPLOY_KEYS),
]


@given(st.sampled_from(PLACES), NAMES)
def test_no_unknown_key_is_accepted(place: tuple[str, str, Table], key: str) -> None:
    mark, put, table = place
    text = re.sub("<.>", "", FILE.replace(mark, put.replace("KEY", key)))
    examined = examine(SourceFile("deploy.yml", text))
    if any(known.key == key for known in table.fields):
        assert not any(d.code == "E102" for d in examined.diagnostics)
    else:
        assert examined.rules is None
        assert any(d.code in ("E102", "E113") for d in examined.diagnostics)
