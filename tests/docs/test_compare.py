"""The page that compares is what the script makes of what it measured; what needs no registry is measured again."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from pages import ROOT, text_of

sys.path.append(str(ROOT / "scripts"))

import compare
import demo
from fault_table import ALWAYS, TRIGGER, rows

MEASURED = text_of("docs/compare.md").partition("<!-- measured -->\n")[2].partition("<!-- end -->")[0]
CELL = re.compile(r"(\*\*)?(\d+) · (\d+) runs?(, no deploy|, of another commit)?(\*\*)?")
#: In the simulation a run takes five minutes; here it takes two seconds.
SLOWER_IN_THE_SIMULATION = {"`setup`"}
#: The cells of each line of the tables that were measured.
TRIED, SAID, *_ = (
    [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in table.splitlines()]
    for table in re.findall(r"(?:^\|.*\n)+", MEASURED, re.MULTILINE)
)
HEAD, _rule, *ROWS = TRIED


def test_every_fault_was_tried_with_every_tool() -> None:
    assert [fault for fault, *_ in ROWS] == [compare.labelled(*fault) for fault in compare.faults()]
    assert HEAD == ["Fault", "deploystep", "curl", "pycircleci", "npm"]
    assert "`503`" in dict.fromkeys(fault for fault, *_ in ROWS)


def test_what_is_bold_went_wrong() -> None:
    for fault, *cells in ROWS:
        for cell in cells:
            found = CELL.fullmatch(cell)
            assert found, (fault, cell)
            code, runs, more = int(found[2]), int(found[3]), found[4] or ""
            is_wrong = runs > 1 or "another" in more or (code == 0 and (not runs or bool(more)))
            assert bool(found[1]) is bool(found[5]) is is_wrong, (fault, cell)


def test_what_each_tool_says_is_listed_for_every_fault() -> None:
    said: dict[str, list[str]] = {}
    for tool, code, _, at in SAID[2:]:
        said.setdefault(tool, []).extend(f"{code} {fault}" for fault in re.split(r", (?!every)", at))
    for number, tool in enumerate(HEAD[1:], 1):
        shown = [f"{cell[number].strip('*').split()[0]} {cell[0]}" for cell in ROWS]
        assert sorted(said[tool]) == sorted(shown)


def test_the_page_says_when_it_was_measured_and_with_what() -> None:
    assert re.search(r"^Measured on 20\d\d-\d\d-\d\d: deploystep \d", MEASURED, re.MULTILINE)
    for name in (compare.PYCIRCLECI.replace("==", " "), compare.NPM_PACKAGE.replace("@", " "), "curl ", "Node "):
        assert name in MEASURED


def test_our_column_is_what_the_guarantees_say() -> None:
    ours = {fault: cell.replace("*", "") for fault, cell, *_ in ROWS}
    told = {f"`{r.fault}`{r.often}": f"{r.exit.split()[0]} · {r.runs} run" for r in rows() if r.place == TRIGGER}
    both = told.keys() & ours.keys() - SLOWER_IN_THE_SIMULATION
    assert len(both) > 30
    assert {f: ours[f] for f in both if not ours[f].startswith(told[f])} == {}


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize(("fault", "count"), [("503-after-create", 1), ("skip", ALWAYS), (compare.RERUN, 1)])
def test_curl_and_the_product_still_do_what_the_page_says(fault: str, count: int, tmp_path: Path) -> None:
    clone, revision = demo.cloned(tmp_path)
    (row,) = (row for row in ROWS if row[0] == compare.labelled(fault, count))
    found = [compare.tried(clone, revision, tool, fault, count).cell for tool in (compare.OURS, compare.CURLS)]
    assert found == row[1:3]


#: What a tool came to: its exit code, runs, deploys, and runs of another commit.
CELLS = {
    "0 · 1 run": (0, 1, 1, 0),
    "8 · 0 runs": (8, 0, 0, 0),
    "**0 · 2 runs**": (0, 2, 2, 0),
    "**22 · 4 runs**": (22, 4, 4, 0),
    "**0 · 1 run, no deploy**": (0, 1, 0, 0),
    "10 · 1 run, no deploy": (10, 1, 0, 0),
    "**0 · 1 run, of another commit**": (0, 1, 0, 1),
    "**0 · 0 runs**": (0, 0, 0, 0),
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell(cell: str) -> None:
    assert compare.Tried("x", "`503`", *CELLS[cell], "").cell == cell
