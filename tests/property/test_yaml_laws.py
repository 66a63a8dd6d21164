"""libyaml reads a file as PyYAML's own parser does, with the same places and messages, or is not asked."""

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.core.source import Diagnostic, SourceFile
from deploystep.rulefile import yaml_reader
from deploystep.rulefile.yaml_reader import Node, Report, Stopped

pytestmark = pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path for folder in ("tests/golden/rules", "examples", ".circleci") for path in ROOT.glob(f"{folder}/**/*.yml")
)


def read(text: str, *, quick: bool) -> tuple[Node | None, list[Diagnostic]]:
    report = Report()
    with pytest.MonkeyPatch.context() as patch:
        if not quick:
            patch.delattr(yaml, "CSafeLoader")
        with suppress(Stopped):
            return yaml_reader.read(SourceFile("deploy.yml", text), report, "version: 1"), report.diagnostics
    return None, report.diagnostics


def check(text: str) -> None:
    assert read(text, quick=True) == read(text, quick=False)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_is_read_alike(path: Path) -> None:
    check(path.read_bytes().decode("utf-8"))


pieces = st.sampled_from([
    "a", "b:", "c: ", "d: e", "- ", "-", "  ", "    ", " ", "\n", "\n  ", "\n    ", "\n- ", "\n  - ", "[", "]",
    "{", "}", ", ", ",", "#", " # x", "'", '"', "'q'", '"r s"', "f g", "h:i", ": ", ":", "x/**", "*", "é", "null",
    "~", "true", "1.10", "...", "---", "? ", "?", "| ", ">-\n", "\nk: v", "\n  k: v", "\n- k: v", "\\", "$", "${X}",
    "<<: ", "&a ", "*a", "!t ", "!!str ", "%", "@", "[]", "[ ]", "10:00", "{}", "\r\n", "😀", "\xa0", '"\\n"',
])  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.lists(pieces, max_size=14).map("".join))
def test_whatever_is_put_together_is_read_alike(text: str) -> None:
    check(text)
    check("z:" + text)
    check(f"z: [{text}]\ny: {text} # c\n")


scalars = st.sampled_from(
    ["a", "a b", "'a: b'", '"#"', "x#y", "u:v", "/v\\d+/", "**x", "[a, b]", "{a: b}", "''", "|", ">-", "&a b", "*a"]
)
comments = st.sampled_from(["", "  # note", " #", "#", " "])


@st.composite
def blocks(draw: st.DrawFn, indent: int = 0, depth: int = 0) -> str:
    """A map in block style; its indentation is now and then wrong."""
    lines = []
    for key in draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=3)):
        kind = draw(st.sampled_from(["scalar", "map", "list", "null"] if depth < 3 else ["scalar"]))
        margin = " " * (indent + draw(st.sampled_from([0, 0, 0, 0, 0, 0, 0, 1])))
        value = f" {draw(scalars)}" if kind == "scalar" else ""
        lines.append(f"{margin}{key}:{value}{draw(comments)}")
        below = indent + draw(st.sampled_from([0, 1, 2, 2, 4]))
        if kind == "map":
            lines.append(draw(blocks(below, depth + 1)))
        for _ in range(draw(st.integers(1, 3)) if kind == "list" else 0):
            inner = draw(st.one_of(scalars, blocks(below + 2, depth + 1)))
            lines.append(" " * below + "- " + inner.lstrip(" "))
    return "\n".join(lines)


@settings(max_examples=400, deadline=None)
@given(blocks(), st.sampled_from(["", "\n", "\n\n# the end\n", "\n...\n"]))
def test_blocks_are_read_alike(text: str, end: str) -> None:
    check(text + end)
