"""Laws of repeating: a trigger that may have been received is never sent again."""

from __future__ import annotations

from fakes import FakeClock, RecordingConsole, answer, lost, refused_connection
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.circleci.client import Client
from deploystep.circleci.http import Failure, Request, Response, fate_of
from deploystep.core.retry import Fate, Policy, Repeat, may_repeat, next_step

policies = st.builds(
    Policy,
    attempts=st.integers(1, 8),
    first_wait=st.floats(0.1, 10),
    longest_wait=st.floats(10, 100),
)
repeats, fates = st.sampled_from(Repeat), st.sampled_from(Fate)
waits = st.none() | st.floats(0, 1000)


@given(policies, st.integers(1, 20), waits)
def test_unknown_is_never_repeated(policy: Policy, attempt: int, asked: float | None) -> None:
    assert next_step(policy, Repeat.ONLY_IF_NOT_RECEIVED, attempt, Fate.UNKNOWN, asked) is None


@given(policies, repeats, st.integers(1, 20), waits)
def test_an_answer_is_never_repeated(policy: Policy, repeat: Repeat, attempt: int, asked: float | None) -> None:
    assert next_step(policy, repeat, attempt, Fate.ANSWERED, asked) is None


@given(policies, repeats, fates, st.integers(1, 20), waits)
def test_waits_are_as_long_as_asked_and_bounded(
    policy: Policy, repeat: Repeat, fate: Fate, attempt: int, asked: float | None
) -> None:
    wait = next_step(policy, repeat, attempt, fate, asked)
    if wait is not None:
        assert may_repeat(repeat, fate)
        assert attempt < policy.attempts
        assert (asked or 0.0) <= wait <= policy.longest_wait
        assert wait >= policy.first_wait


@given(policies, st.integers(1, 20), st.floats(0, 1000))
def test_it_stops_rather_than_come_back_early(policy: Policy, attempt: int, asked: float) -> None:
    if asked > policy.longest_wait:
        assert next_step(policy, Repeat.ONLY_IF_NOT_RECEIVED, attempt, Fate.RATE_LIMITED, asked) is None


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
