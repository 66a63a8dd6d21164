"""The page for the night has every exit code, and says the same of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploystep.core.errors import ExitCode

PAGE = (Path(__file__).parents[2] / "docs/operator.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_every_code_has_a_section_in_the_order_of_the_numbers() -> None:
    assert list(SECTIONS) == [f"{int(code)}: {code.label}" for code in ExitCode]


@pytest.mark.parametrize("code", ExitCode)
def test_a_section_says_what_it_means_why_what_to_do_and_what_not(code: ExitCode) -> None:
    section = SECTIONS[f"{int(code)}: {code.label}"]
    assert f"**{code.label}**: {code.meaning}" in section
    if code is not ExitCode.OK:
        for word in ("cause", "first", "cure", "not"):
            assert re.search(rf"\*\*{word}\*\*", section, re.IGNORECASE), word


@pytest.mark.parametrize("code", ExitCode)
def test_the_table_says_whether_anything_was_triggered(code: ExitCode) -> None:
    assert re.search(rf"^\|.*\[{int(code)}\]\(#{int(code)}-{code.label}\).*\|.+\|.+\|$", PAGE, re.MULTILINE)
