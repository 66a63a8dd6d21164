"""Schedules of a seed, in virtual time: whatever happens, the invariants hold, and a seed is always the same story."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
from simulation.simulate import main, seeds_of, simulated, story

from deploystep.core.deploy import Outcome
from deploystep.core.retry import Fate

#: Seeds that once found something wrong, and what.
FOUND = {
    223: "a trigger raced with a push while lists lagged",
    287: "a failed run that CircleCI was about to rerun by itself did not count",
    305: "an older commit's run among those of rules that share a workflow",
    386: "what was to follow a setup workflow did not count",
    468: "a run that was cancelled while it settled hid one that was alive",
    659: "a job of another commit was taken for the one that was lost, and cancelled",
    13: "a run that was still being made was said to run nothing",
    1028: "a run that was cancelled hid an older one that had succeeded",
    2128: "an older commit's run was taken for this commit's own",
    2930: "another build's run of a target was taken for the one that was lost",
    113105: "an answer that took long was the last word on what runs",
    116450: "a run that was cancelled in its setup was waited for, at every rerun",
    203732: "a run that failed while it settled, before CircleCI's own rerun of it, did not count",
    305894: "a run that this very step had triggered for another rule was adopted",
    3672: "two steps at once sent one rule twice, and its second run was taken for another rule's",
}


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_whatever_happens_the_invariants_hold(first: int) -> None:
    for seed in range(first, first + 100):
        world = simulated(seed)
        assert not world.wrong, story(world)


@pytest.mark.parametrize("seed", FOUND, ids=lambda seed: f"{seed}: {FOUND[seed]}")
def test_what_was_found_once(seed: int) -> None:
    world = simulated(seed)
    assert not world.wrong, story(world)


@pytest.mark.parametrize("seed", [7, 1028, 3672])
def test_a_seed_is_always_the_same_story(seed: int) -> None:
    assert story(simulated(seed)) == story(simulated(seed))


def test_the_schedules_meet_what_they_are_about() -> None:
    """An invariant that nothing ever puts to the test holds for nothing."""
    met: Counter[str] = Counter()
    for seed in range(200):
        world = simulated(seed)
        met.update("killed" if step.report is None else step.report.exit.label for step in world.steps)
        met.update(t.outcome.value for s in world.steps if s.report is not None for t in s.report.triggers)
        met.update(
            text.rpartition("[")[2].partition("]")[0].partition(":")[0] for _, text in world.notes if "[" in text
        )
    expected = {
        *("ok", "undecided", "refused", "unreachable", "uncertain", "stopped", "nothing-runs", "deploy-failed"),
        *("timed-out", "interrupted", "terminated", "killed"),
        *("triggered", "already-triggered", "superseded", "not-sent"),
        *("refused", "close", "close-after-create", "late", "cut", "429", "500", "moved", "no-workflow"),
    }
    assert expected <= set(met), expected - set(met)


# A law that nothing could break proves nothing: each of these is a mistake that the product does not make


def _wrong(seeds: range) -> set[str]:
    return {words.partition(":")[0] for seed in seeds for words in simulated(seed).wrong}


def test_who_does_not_look_for_earlier_runs_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploystep.app.earlier_runs.EarlierRuns.find", lambda _self, _snapshot: None)
    assert "I1" in _wrong(range(60))


def test_who_does_not_compare_commits_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploystep.app.confirm.Confirmation.stop_if_of_another_commit", lambda _self, _revision: None)
    assert _wrong(range(60, 90)) >= {"I2", "I3"}


def test_who_does_not_confirm_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploystep.app.trigger.confirm", lambda *_: None)
    assert "I3" in _wrong(range(60))


def test_who_sends_again_what_may_have_been_received_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploystep.core.retry.may_repeat", lambda _repeat, fate: fate is not Fate.ANSWERED)
    assert "I5" in _wrong(range(60))


def test_who_does_not_note_what_is_sent_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    forgetful = SimpleNamespace(**{**Outcome.__members__, "UNCERTAIN": Outcome.NOT_SENT})
    monkeypatch.setattr("deploystep.app.trigger.Outcome", forgetful)
    assert "I4" in _wrong(range(60))


def test_who_forgets_what_was_sent_when_interrupted_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploystep.render.text._last_word", lambda _report: ": nothing was triggered")
    assert _wrong(range(60)) >= {"I4", "I6"}


def test_who_does_not_wait_for_other_nodes_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploystep.app.parallel_nodes.wait_for_nodes", lambda *_: None)
    assert "I7" in _wrong(range(60))


# The command


def test_a_range_of_seeds() -> None:
    assert list(seeds_of("3")) == [0, 1, 2]
    assert list(seeds_of("1000..1003")) == [1000, 1001, 1002]


def test_a_seed_that_fails_is_shown_with_all_that_happened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deploystep.app.parallel_nodes.wait_for_nodes", lambda *_: None)
    assert main(["40"]) == 1
    told = capsys.readouterr().out
    for part in ("seed ", "rules:", " begins", "what CircleCI was asked:", "its runs:", "I7: ", "replay it with"):
        assert part in told


def test_what_holds_is_counted_with_its_excuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["40"]) == 0
    assert "40 schedules" in capsys.readouterr().out
