"""Laws of repeating: a trigger that may have been received is never sent again."""

from __future__ import annotations

import pytest
from fakes import FakeClock, RecordingConsole, answer, lost, refused_connection
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.circleci.client import Client
from deploystep.circleci.http import Failure, Request, Response, fate_of
from deploystep.core.retry import DEFAULT, Fate, Policy, Repeat, may_repeat, next_step

policies = st.builds(
    Policy,
    attempts=st.integers(1, 8),
    first_wait=st.floats(0.1, 10),
    longest_wait=st.floats(10, 100),
)
repeats, fates = st.sampled_from(Repeat), st.sampled_from(Fate)
waits = st.none() | st.floats(0, 1000)


ONCE, FREELY = Repeat.ONLY_IF_NOT_RECEIVED, Repeat.FREELY


@pytest.mark.parametrize("repeat", [ONCE, FREELY])
@pytest.mark.parametrize("fate", list(Fate))
def test_the_whole_table(repeat: Repeat, fate: Fate) -> None:
    may = fate in (Fate.NOT_RECEIVED, Fate.RATE_LIMITED) or (repeat is FREELY and fate is Fate.UNKNOWN)
    assert next_step(DEFAULT, repeat, 1, fate) == (1.0 if may else None)


def test_waits_grow_and_end_and_are_as_long_as_the_server_asks() -> None:
    assert [next_step(DEFAULT, ONCE, n, Fate.NOT_RECEIVED) for n in range(1, 6)] == [1, 2, 4, 8, None]
    asked = [next_step(DEFAULT, ONCE, 1, Fate.RATE_LIMITED, asked) for asked in (0.0, 7.0, 60.0, 60.1, None)]
    assert asked == [1, 7, 60, None, 1]
    assert next_step(Policy(attempts=99), ONCE, 50, Fate.NOT_RECEIVED) == 60.0


@given(policies, repeats, st.integers(1, 20), waits)
def test_an_answer_is_never_repeated_nor_a_trigger_of_unknown_fate(
    policy: Policy, repeat: Repeat, attempt: int, asked: float | None
) -> None:
    assert next_step(policy, ONCE, attempt, Fate.UNKNOWN, asked) is None
    assert next_step(policy, repeat, attempt, Fate.ANSWERED, asked) is None


@given(policies, repeats, fates, st.integers(1, 20), waits)
def test_waits_are_as_long_as_asked_and_bounded(
    policy: Policy, repeat: Repeat, fate: Fate, attempt: int, asked: float | None
) -> None:
    wait = next_step(policy, repeat, attempt, fate, asked)
    assert wait is None or (asked or 0.0) <= policy.longest_wait, "it stops rather than come back early"
    if wait is not None:
        assert may_repeat(repeat, fate)
        assert attempt < policy.attempts
        assert (asked or 0.0) <= wait <= policy.longest_wait
        assert wait >= policy.first_wait


results = st.one_of(
    st.sampled_from([lost(), refused_connection(), answer(429), answer(200), answer(404), answer(500), answer(307)]),
    st.integers(0, 120).map(lambda n: answer(429, retry_after=str(n))),
)


class Endless:
    """Answers from a list, over and over; notes the time of each sending."""

    host = "https://circleci.com"

    def __init__(self, answers: list[Response | Failure], clock: FakeClock) -> None:
        self.answers, self.clock = answers, clock
        self.sent: list[tuple[float, Response | Failure]] = []

    def send(self, request: Request) -> Response | Failure:
        del request
        result = self.answers[len(self.sent) % len(self.answers)]
        self.sent.append((self.clock.moment.timestamp(), result))
        return result


@settings(deadline=None)
@given(st.lists(results, min_size=1, max_size=6), policies, repeats)
def test_a_delivery(answers: list[Response | Failure], policy: Policy, repeat: Repeat) -> None:
    clock = FakeClock()
    transport = Endless(answers, clock)
    final = Client(transport, clock, RecordingConsole(), policy).send(Request("POST", "/", repeat))
    assert final == transport.sent[-1][1]
    assert len(transport.sent) <= policy.attempts
    for (then, result), (after, _) in zip(transport.sent, transport.sent[1:], strict=False):
        assert fate_of(result) is not Fate.ANSWERED
        if repeat is Repeat.ONLY_IF_NOT_RECEIVED:
            assert fate_of(result) in (Fate.NOT_RECEIVED, Fate.RATE_LIMITED)
        asked = result.headers.get("retry-after", "0") if isinstance(result, Response) else "0"
        assert after - then >= float(asked) - 1e-3
