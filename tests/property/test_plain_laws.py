"""What is read without PyYAML is what PyYAML reads: the same tree, the same places, or it is left to PyYAML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.core.source import SourceFile
from deploystep.rulefile import characters, events, plain
from deploystep.rulefile.nodes import Report

if TYPE_CHECKING:
    from deploystep.rulefile.nodes import Node

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for folder in ("tests/golden/rules", "examples", ".circleci")
    for path in (ROOT / folder).rglob("*.yml")
    if path.is_file()
)
FULL = (ROOT / "tests/golden/rules/ok/full.yml").read_text(encoding="utf-8")


def by_yaml(text: str) -> tuple[Node | None, int]:
    report = Report()
    return events.read(SourceFile("deploy.yml", text), report, "version: 1"), len(report.diagnostics)


def check(text: str) -> bool:
    """Whether the text is read without PyYAML; then it is read alike."""
    if not characters.check(SourceFile("deploy.yml", text), Report()):
        return False
    mine = plain.read(text)
    if mine is None:
        return False
    assert by_yaml(text) == (mine, 0)
    return True


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_is_read_alike(path: Path) -> None:
    check(path.read_bytes().decode("utf-8"))


def test_most_rule_files_are_plain() -> None:
    examples = [path for path in FILES if path.name == "deploy.yml"]
    assert len(examples) >= 3
    assert all(check(path.read_text(encoding="utf-8")) for path in examples)


#: Characters that mean something to YAML, each put in at every place of a file.
TELLING = "*!&|>%@`'\"{}[],:#?-~<=\\ a\n"


@pytest.mark.parametrize("character", TELLING)
def test_one_more_character_is_read_alike(character: str) -> None:
    text = "a: [b, 'c d', {e: f}]  # g\nh:\n- i: \"j k\"\n  l:\n    m: n o\n    p:\n      - q\n      - {r: [s]}\nt: u\n"
    assert check(text)
    for at in range(len(text) + 1):
        check(text[:at] + character + text[at:])
        check(text[:at] + character + text[at + 1 :])


def test_one_line_less_is_read_alike() -> None:
    lines = FULL.split("\n")
    for at in range(len(lines)):
        check("\n".join(lines[:at] + lines[at + 1 :]))


pieces = st.sampled_from(
    [
        "a", "b:", "c: ", "d: e", "- ", "-", "  ", "    ", " ", "\n", "\n  ", "\n    ", "\n- ", "\n  - ", "[", "]",
        "{", "}", ", ", ",", "#", " # x", "'", '"', "'q'", '"r s"', "f g", "h:i", ": ", ":", "x/**", "*", "é", "null",
        "~", "true", "1.10", "...", "---", "? ", "| ", "\nk: v", "\n  k: v", "\n- k: v", "\\", "$", "${X}", "<<: ",
        "&a ", "!t ", "%", "@", "[]", "[ ]", "10:00", "{}",
    ]
)  # fmt: skip


@settings(max_examples=1_500, deadline=None)
@given(st.lists(pieces, max_size=14).map("".join))
def test_whatever_is_put_together_is_read_alike(text: str) -> None:
    check(text)
    check("z:" + text)


scalars = st.sampled_from(
    ["a", "a b", "'a: b'", '"#"', '""', "x#y", "u:v", "/v\\d+/", "**x", "-1", "[a, b]", "{a: b}", "é", "''"]
)
comments = st.sampled_from(["", "  # note", " #", "#"])


@st.composite
def blocks(draw: st.DrawFn, indent: int = 0, depth: int = 0) -> str:
    """A map in block style; its indentation is now and then wrong."""
    lines = []
    for key in draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=3)):
        kind = draw(st.sampled_from(["scalar", "map", "list", "null"] if depth < 3 else ["scalar"]))
        margin = " " * (indent + draw(st.sampled_from([0, 0, 0, 0, 0, 0, 0, 1])))
        if kind == "scalar":
            lines.append(f"{margin}{key}: {draw(scalars)}{draw(comments)}")
        elif kind == "null":
            lines.append(f"{margin}{key}:{draw(comments)}")
        else:
            lines.append(f"{margin}{key}:{draw(comments)}")
            below = indent + draw(st.sampled_from([0, 1, 2, 2, 4]))
            if kind == "map":
                lines.append(draw(blocks(below, depth + 1)))
            else:
                for _ in range(draw(st.integers(1, 3))):
                    if draw(st.booleans()):
                        lines.append(f"{' ' * below}- {draw(scalars)}{draw(comments)}")
                    else:
                        inner = draw(blocks(below + 2, depth + 1))
                        lines.append(" " * below + "- " + inner.lstrip(" "))
    return "\n".join(lines)


flows = st.recursive(
    st.sampled_from(
        ["a", "b c", "d:e", "10:00", "f:", ":g", "h#i", "'j, k'", '"l"', "", "-m", "n?", 'o"p', "*", "é:é"]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
        st.lists(inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{'abc'[n]}: {x}" for n, x in enumerate(items)) + "}"
        ),
        st.lists(inner, max_size=3).map(lambda items: "[ " + " ,".join(items) + " ]"),
    ),
    max_leaves=8,
)


@settings(max_examples=1_000, deadline=None)
@given(flows)
def test_brackets_are_read_alike(text: str) -> None:
    check(f"a: {text}\nb: {text} # c\n")


@settings(max_examples=1_000, deadline=None)
@given(blocks())
def test_blocks_are_read_alike(text: str) -> None:
    check(text)
    check(text + "\n\n# the end\n")


def test_long_texts_and_keys_are_read_alike() -> None:
    for length in (98, 99, 100, 101, 1_020, 1_023, 1_024, 1_030, 5_000):
        check(f"a: {'x' * length}\nb: ['{'y' * length}']\nc:\n  - {'z' * length}\n")
        check(f"{'k' * length}: v\n")
    check("a: " + "[" * 29 + "x" + "]" * 29)
    check("a: " + "[" * 39 + "x" + "]" * 39)
