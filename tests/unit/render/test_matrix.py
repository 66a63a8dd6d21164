"""The matrix in terminals of every width: the same outcomes, never wider than the terminal."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pytest

from deploystep.app.matrix import Matrix, Project, make
from deploystep.core.source import SourceFile
from deploystep.render.matrix import table
from deploystep.render.text import Style
from deploystep.rulefile.load import load

RULE = """
  - name: rule-{0}
    when: {{branch: [main, 'x{0}/**']}}
    during: Mon 09:00-10:00
    deploy: {{workflow: w{0}}}
"""
PROJECT = Project((), (), lambda *_: None, None)  # type: ignore[arg-type]
MONDAY = datetime(2026, 6, 15, 9, 30, tzinfo=timezone.utc)


def matrix(rules: int) -> Matrix:
    text = "version: 1\nrules:\n" + "".join(RULE.format(n) for n in range(rules))
    text += "cases:\n  - name: a \U0001f680 case\n    given: {branch: main}\n    expect: {fire: [rule-0]}\n"
    return make(load(SourceFile("deploy.yml", text)), PROJECT, MONDAY)


def lines(rules: int, width: int) -> list[str]:
    return table(matrix(rules), Style(width=width)).partition("\n\n")[2].partition("\n\n")[0].splitlines()


def test_builds_are_rows_where_that_fits() -> None:
    head, case, main, other = lines(2, 100)[:4]
    assert head.split() == ["rule-0", "rule-1"]
    assert case == "a 🚀 case         fire > held  fire > held"
    assert main == "* branch 'main'  fire > held  fire > held"
    assert other == "* branch 'x0/a'  fire > held  no"


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
@pytest.mark.parametrize("rules", [1, 3, 12])
def test_no_line_of_the_table_is_wider_than_the_terminal(rules: int, width: int) -> None:
    shown = lines(rules, width)
    assert max(map(len, shown)) <= max(width, 48), shown
    assert sum(line.count("held") for line in shown) >= 2 * rules


def test_colours_lose_nothing() -> None:
    plain, coloured = (table(matrix(2), Style(is_coloured=c)) for c in (False, True))
    assert "\x1b[32m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_a_rule_for_forks_has_the_build_of_a_fork() -> None:
    text = "version: 1\nrules:\n  - {name: x, when: {branch: '**', fork: true, author: a}, deploy: {workflow: w}}\n"
    found = make(load(SourceFile("deploy.yml", text)), PROJECT, MONDAY)
    assert found.change is None
    assert "* branch 'pull/1' with a pull request of a fork  ?" in table(found, Style())
