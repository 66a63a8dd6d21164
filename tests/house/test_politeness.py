"""How often waiting builds ask CircleCI, as docs/benchmarks.md says it: in virtual time, so no clock decides."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts"))

import politeness


@pytest.mark.parametrize(("wait", "minutes", "most"), [(politeness.of_nodes, 10, 40), (politeness.of_wait, 20, 80)])
def test_a_wait_asks_seldom_and_builds_do_not_ask_together(wait: Any, minutes: int, most: int) -> None:
    calls = wait(minutes)
    assert (calls.of_one <= most, calls.in_a_second < politeness.BUILDS / 5) == (True, True)
