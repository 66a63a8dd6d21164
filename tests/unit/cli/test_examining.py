"""A long comparison of rules says how far it is; a short one says nothing."""

from __future__ import annotations

from fakes import FakeClock, RecordingProgress

from deploystep.cli.examining import Comparison


def test_a_short_comparison_says_nothing() -> None:
    clock, progress = FakeClock(), RecordingProgress()
    comparison = Comparison(clock, progress)
    for done in range(10):
        comparison.at(done, 10)
    assert progress.said == []


def test_a_long_comparison_says_now_and_then_how_far_it_is() -> None:
    clock, progress = FakeClock(), RecordingProgress()
    comparison = Comparison(clock, progress)
    for done in range(1, 21):
        clock.sleep(1.0)
        comparison.at(done, 20)
    assert progress.said == [
        "compared 3 of 20 rules with each other",
        "compared 13 of 20 rules with each other",
    ]
