"""Waiting: never silent for long, never beyond its limit, ever further apart."""

import itertools

import pytest
from fakes import FakeClock, RecordingConsole, ScriptedTransport, answer, client
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.app.polling import BRISK, CALM, Backoff, poll
from deploystep.circleci.http import reading

#: CircleCI docs, configuration reference, `no_output_timeout`
NO_OUTPUT = 600.0
BACKOFF = (1.0, 6.0, 0.4)
lucks = st.floats(0.0, 1.0, exclude_max=True)


class Wait:
    """One wait until the time is up: when each look began, and what was said. `pauses` are asked for by looks."""

    def __init__(self, limit: float, backoff: Backoff = CALM, luck: float = 0.0, *pauses: float | None) -> None:
        self.clock = FakeClock(luck=luck)
        self.console = RecordingConsole(self.clock)
        self.looks: list[float] = []
        asking = client(ScriptedTransport([]), self.clock, self.console)
        for number, look in enumerate(poll(asking, limit, backoff, "waiting for the tide")):
            assert look.elapsed == self.clock.monotonic()
            assert look.is_last is (look.elapsed >= limit)
            if number == 9:
                look.tell("ebb")
            if number < len(pauses):
                look.pause = pauses[number]
            self.looks.append(look.elapsed)
        self.pauses = [round(later - earlier, 6) for earlier, later in itertools.pairwise(self.looks)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 7200).map(float), st.sampled_from([BRISK, CALM]), lucks)
def test_no_silence_is_longer_than_circleci_allows_and_the_last_look_is_at_the_limit(
    limit: float, backoff: Backoff, luck: float
) -> None:
    wait = Wait(limit, backoff, luck)
    assert wait.console.longest_silence <= 61.0 < NO_OUTPUT
    assert wait.looks[-1] == pytest.approx(limit, abs=0.01)


def test_a_sign_of_life_says_how_long_and_how_it_stands() -> None:
    said = Wait(3700.0).console.infos
    assert said[0] == "waiting for the tide (0:49): nothing seen yet"
    assert said[-1].startswith("waiting for the tide (61:")
    assert said[-1].endswith("): ebb")


def test_a_look_that_takes_until_the_limit_is_not_the_last_and_a_wait_within_it_ends_with_it() -> None:
    """It tells how it was when it began."""
    clock = FakeClock()
    asking = client(ScriptedTransport([]), clock, RecordingConsole(clock))
    looks = poll(asking, 10.0, CALM, "waiting")
    assert next(looks).is_last is False
    for limit, until in ((5.0, 5.0), (50.0, 10.0)):
        inner = poll(asking, limit, CALM, "waiting")
        next(inner)
        assert asking.until == until
        inner.close()  # type: ignore[attr-defined]
        assert asking.until == 10.0
    clock.sleep(11.0)
    assert next(looks).is_last is True
    assert next(looks, None) is None
    assert clock.monotonic() == 11.0


def test_the_pauses_grow_to_the_longest() -> None:
    for wait, pauses in (
        (Wait(60.0, BACKOFF), [1.0, 2.0, 4.0, 6.0, 6.0, 6.0]),
        (Wait(60.0, BACKOFF, 0.5), [1.2, 2.4, 4.8, 7.2, 7.2]),  # chance spreads the builds that began together
        # a pause of its own is no step of the backoff
        (Wait(60.0, BACKOFF, 0.0, None, 0.5, 0.5), [1.0, 0.5, 0.5, 2.0, 4.0, 6.0, 6.0]),
    ):
        assert wait.pauses[: len(pauses)] == pauses


@settings(max_examples=60, deadline=None)
@given(lucks)
def test_how_many_looks_the_two_backoffs_take(luck: float) -> None:
    """What the page says: 39 in ten minutes, 72 in twenty, at the most; and soon what happens soon."""
    assert len(Wait(600.0, CALM, luck).looks) <= 39
    assert len(Wait(1200.0, CALM, luck).looks) <= 72
    brisk = Wait(60.0, BRISK, luck)
    assert brisk.looks[1] <= 0.55
    assert max(brisk.pauses) <= 5.5
    assert len(brisk.looks) <= 17


def test_when_the_time_is_up_nothing_is_sent_again() -> None:
    """Neither what would be sent after it, nor what the last look reads; afterwards it is as before."""
    clock, bad = FakeClock(), answer(502)
    asked = client(ScriptedTransport([bad, bad, answer(200), bad, bad, bad, answer(200)]), clock)
    statuses = []
    for look in poll(asked, 5.0, (1.0, 1.0, 0.0), "waiting"):
        look.pause = 0.5
        statuses.append((clock.monotonic(), look.is_last, asked.get("/x").status))  # type: ignore[union-attr]
    assert statuses == [(0.0, False, 200), (3.5, False, 502), (5.0, True, 502)]
    assert asked.send(reading("/y")) == answer(200)
