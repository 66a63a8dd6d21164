"""Schedules of a seed, in virtual time: whatever happens, the invariants hold, and a seed is always the same story."""

from collections import Counter
from collections.abc import Iterable, Iterator
from inspect import getsource
from types import SimpleNamespace
from typing import Any

import pytest
from simulation import invariants
from simulation.invariants import Excuse
from simulation.simulate import ends_of, main, simulated, story
from simulation.world import World

from deploystep.core.deploy import Outcome
from deploystep.core.retry import Fate
from deploystep.core.runs import adoptable


def lived(seeds: Iterable[int], *, gates: bool = False) -> Iterator[World]:
    """The worlds of some seeds, in each of which the invariants held."""
    for seed in seeds:
        world = simulated(seed, gates=gates)
        assert not world.wrong, story(world)
        yield world


@pytest.mark.parametrize("first", [250, 325])
def test_whatever_happens_the_invariants_hold(first: int) -> None:
    assert all(world.steps for world in lived(range(first, first + 75)))


@pytest.mark.parametrize("first", [0, 100])
def test_whatever_happens_a_command_is_executed_only_where_that_is_right(first: int) -> None:
    worlds = list(lived(range(first, first + 100), gates=True))
    assert sum(step.executed for world in worlds for step in world.steps) > 20
    ends = {end for world in worlds for end in ends_of(world)}
    assert {"ok", "killed", "interrupted", "terminated", "stopped", "undecided"} <= ends


#: Seeds that found something wrong when schedules were drawn as they are now, and what; and any three.
FOUND = {
    1049: "a job of API v1.1 was waited for as if it could yet become the rule's own",
    14965: "a run that was only taken for another rule's hid this rule's own, which was sent again",
    157107: "a run of a tag that was only taken for another rule's hid this rule's own",
    **dict.fromkeys((7, 1028, 3672), "nothing yet"),
}


@pytest.mark.parametrize("seed", FOUND, ids=lambda seed: f"{seed}: {FOUND[seed]}")
def test_what_was_found_once_and_that_a_seed_is_always_the_same_story(seed: int) -> None:
    assert [story(world) for world in lived([seed])] == [story(simulated(seed))]


#: What must be met, or the laws hold for nothing: exit codes, outcomes, faults, and what is said.
MET = """ok undecided refused unreachable uncertain stopped nothing-runs deploy-failed timed-out interrupted terminated
    killed triggered already-triggered superseded not-sent [refused] [close] [close-after-create] [late] [cut] [429]
    [500] [moved] [no-workflow] target"""
SAID = ("holds the deploy key", "also starts", "it is sent once for each value of", "is not known to be newer")


def test_the_schedules_meet_what_they_are_about() -> None:
    met, said = Counter[str](), ""
    for world in lived(range(250)):
        reports = [step.report for step in world.steps if step.report is not None]
        told = [t for report in reports for t in report.triggers]
        met.update([*ends_of(world), *(t.outcome.value for t in told)])
        met.update("target" for t in told if t.spec.revision is None and t.outcome is Outcome.ALREADY_TRIGGERED)
        met.update(f"[{text.rpartition('[')[2].partition(']')[0].partition(':')[0]}]" for _, text in world.notes)
        said += "".join([*(t.because for t in told), *(str(report.error) for report in reports)])
    assert not set(MET.split()) - set(met)
    assert [words for words in SAID if words not in said] == []


def test_every_excuse_has_a_condition() -> None:
    assert [excuse for excuse in Excuse if f"Excuse.{excuse.name}" not in getsource(invariants)] == []


APP = "deploystep.app"
RUNS, WATCHED = f"{APP}.earlier_runs.EarlierRuns", f"{APP}.trigger.Watched"
FORGETFUL = SimpleNamespace(**{**Outcome.__members__, "UNCERTAIN": Outcome.NOT_SENT})
#: Mistakes that the product does not make: the laws that find each out, what is replaced, by what, and in which seeds
#: (I9: of `gate`). A law that nothing could break proves nothing.
MISTAKES: dict[str, tuple[str, str, Any, int]] = {
    "earlier runs are not looked for": ("I1", f"{RUNS}._shown", lambda _self, _runs: [], 60),
    "keys are not read": ("I1", f"{APP}.earlier_runs.holds", lambda _text, _key: False, 150),
    "any run of the commit counts": ("I3", f"{RUNS}._choice", lambda runs, of: adoptable(runs._shown(of.runs)), 600),
    "what was skipped counts": ("I3", "deploystep.circleci.v2.Reader.jobs_not_run", lambda *_: (), 300),
    "commits are not compared": ("I2 I3", f"{WATCHED}.stop_if_of_another_commit", lambda *_: None, 100),
    "any other commit is a newer one": ("I3", "simulation.step.Step.contains", lambda *_: True, 100),
    "the branch is not looked at": ("I8", f"{APP}.trigger.superseded_by", lambda *_: "", 60),
    "nothing is confirmed": ("I3", f"{WATCHED}.confirm", lambda *_: None, 60),
    "what may have been received is sent again": (
        *("I5", "deploystep.core.retry.may_repeat", lambda _repeat, fate: fate is not Fate.ANSWERED, 60),
    ),
    "what is sent is not noted": ("I4", f"{APP}.trigger.Outcome", FORGETFUL, 60),
    "the last line forgets": ("I4 I6", "deploystep.render.text._last_word", lambda _: ": nothing was triggered", 60),
    "other nodes are not waited for": ("I7", f"{APP}.guards.wait_for_nodes", lambda *_: None, 60),
    "gate does not look at the branch": ("I9", f"{APP}.guards.superseded_by", lambda *_: "", 60),
    "gate does not wait for other nodes": ("I9", f"{APP}.run.Step.wait_for_others", lambda *_: False, 60),
    "every build decides": ("I9", f"{APP}.run.Step.decides", lambda _step: True, 60),
    "every rule fires": ("I9", f"{APP}.run._is_due", lambda *_: True, 60),
    "no rule fires": ("I9", f"{APP}.run._is_due", lambda *_: False, 60),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_out(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    laws, target, instead, count = MISTAKES[mistake]
    monkeypatch.setattr(target, instead)
    missing = set(laws.split())
    for seed in range(count):
        missing -= {words.partition(":")[0] for words in simulated(seed, gates=laws == "I9").wrong}
        if not missing:
            return
    raise AssertionError(f"{missing} found nothing")


def test_the_command_shows_a_seed_that_fails_with_all_that_happened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["40"]) == 0
    assert "40 schedules" in capsys.readouterr().out
    monkeypatch.setattr(f"{APP}.guards.wait_for_nodes", lambda *_: None)
    assert main(["40"]) == 1
    told = capsys.readouterr().out
    for part in ("seed ", "rules:", " begins", "what it came to:", "I7: ", "replay it with"):
        assert part in told
