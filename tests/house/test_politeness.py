"""How often waiting builds ask CircleCI, as docs/benchmarks.md says it: in virtual time, so no clock decides."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "scripts"))

import politeness


def test_a_wait_for_nodes_asks_seldom_and_builds_do_not_ask_together() -> None:
    calls = politeness.of_nodes(10)
    assert (calls.of_one <= 40, calls.in_a_second < politeness.BUILDS / 5) == (True, True)


def test_a_wait_for_workflows_asks_seldom_and_builds_do_not_ask_together() -> None:
    calls = politeness.of_wait(20)
    assert (calls.of_one <= 80, calls.in_a_second < politeness.BUILDS / 5) == (True, True)
