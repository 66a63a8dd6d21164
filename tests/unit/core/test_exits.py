"""Labels and meanings; the table itself is checked in tests/house."""

from __future__ import annotations

from deploystep.core.exits import ExitCode


def test_labels() -> None:
    assert ExitCode.NOTHING_RUNS.label == "nothing-runs"
    assert int(ExitCode.TERMINATED) == 128 + 15
    assert int(ExitCode.INTERRUPTED) == 128 + 2


def test_meanings_are_one_line() -> None:
    for code in ExitCode:
        assert "\n" not in code.meaning
        assert code.meaning[0].islower() or code.meaning.startswith("CircleCI")
