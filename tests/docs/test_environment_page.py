"""The page about the build's environment: every variable has its row, and what it says is read is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from builds import environ

from deploystep.core.build import BuildContext
from deploystep.core.errors import EnvironmentInvalid

ROOT = Path(__file__).parents[2] / "docs"
PAGE = (ROOT / "environment.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]
CASES = [(row[0].strip("`"), row[1].strip("`")) for row in ROWS if "=" in row[0]]


def read(changes: dict[str, str]) -> dict[str, str]:
    """A build as the page writes it."""
    try:
        build = BuildContext.from_environ(environ(**changes))
    except EnvironmentInvalid:
        return {"exit": "4"}
    fork = {True: "true", False: "false", None: "unknown"}[build.fork]
    request, project = build.pull_request, build.project
    return {
        "fork": fork,
        "pull_request": "none" if request is None else str(request),
        "user": build.user or "none",
        "project": "asked" if project is None else str(project),
        "host": build.host,
    }


@pytest.mark.parametrize(("variables", "expected"), CASES)
def test_what_is_believed(variables: str, expected: str) -> None:
    found = read(dict(word.split("=", 1) for word in variables.split()))
    wanted = dict(word.split("=", 1) for word in expected.split())
    assert wanted
    assert {name: found.get(name) for name in wanted} == wanted


def test_every_variable_that_is_read_has_its_row() -> None:
    """Those of the page are those that the code reads (`tests/house`)."""
    named = [row[0].strip("`") for row in ROWS if "=" not in row[0]]
    used = re.findall(r"^\| `(CIRCLE\w+)` \|", (ROOT / "commands.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(used)
    assert {len(row) for row in ROWS if "=" not in row[0]} == {7}
    assert all(re.search(r"\w", row[6]) for row in ROWS if "=" not in row[0])
