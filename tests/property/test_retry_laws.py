"""Laws of repeating: a trigger that may have been received is never sent again."""

from collections.abc import Callable
from itertools import pairwise

from fakes import FakeClock, RecordingConsole, ScriptedTransport, answer, lost, refused_connection
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.circleci.client import Client
from deploystep.circleci.http import Failure, Request, Response, fate_of
from deploystep.core.retry import LONGEST_WAIT, Fate, Repeat, may_repeat, next_step

ONCE, FREELY = Repeat.ONLY_IF_NOT_RECEIVED, Repeat.FREELY
repeats, fates, attempts = st.sampled_from(Repeat), st.sampled_from(Fate), st.integers(1, 20)


def test_the_whole_table_and_waits_that_grow_and_end_and_are_as_long_as_the_server_asks() -> None:
    for fate in Fate:
        is_sure = fate in (Fate.NOT_RECEIVED, Fate.RATE_LIMITED)
        may = {ONCE: 1.0 if is_sure else None, FREELY: 1.0 if is_sure or fate is Fate.UNKNOWN else None}
        assert {repeat: next_step(repeat, fate, 1, 5) for repeat in Repeat} == may
    assert [next_step(ONCE, Fate.NOT_RECEIVED, n, 5) for n in range(1, 6)] == [1, 2, 4, 8, None]
    asked = [next_step(ONCE, Fate.RATE_LIMITED, 1, 5, asked) for asked in (0.0, 7.0, 60.0, 60.1, None)]
    assert asked == [1, 7, 60, None, 1]
    assert next_step(ONCE, Fate.NOT_RECEIVED, 50, 99) == 60.0


@given(repeats, fates, attempts, attempts, st.none() | st.floats(0, 1000))
def test_waits_are_as_long_as_asked_and_bounded(
    repeat: Repeat, fate: Fate, attempt: int, most: int, asked: float | None
) -> None:
    wait = next_step(repeat, fate, attempt, most, asked)
    if wait is not None:
        assert may_repeat(repeat, fate)
        assert attempt < most
        assert max(1.0, asked or 0.0) <= wait <= LONGEST_WAIT, "it stops rather than come back early"


results = st.one_of(
    st.sampled_from([lost(), refused_connection(), answer(429), answer(200), answer(404), answer(500), answer(307)]),
    st.integers(0, 120).map(lambda n: answer(429, retry_after=str(n))),
)


@settings(deadline=None)
@given(st.lists(results, min_size=1, max_size=6), st.integers(1, 8), repeats)
def test_a_delivery(answers: list[Response | Failure], most: int, repeat: Repeat) -> None:
    clock, sent = FakeClock(), list[tuple[float, Response | Failure]]()

    def noted(result: Response | Failure) -> Callable[[Request], Response | Failure]:
        def event(_request: Request) -> Response | Failure:
            sent.append((clock.monotonic(), result))
            return result

        return event

    transport = ScriptedTransport(map(noted, answers * most))
    final = Client(transport, clock, RecordingConsole(), most).send(Request("POST", "/", repeat))
    assert final == sent[-1][1]
    assert len(sent) <= most
    for (then, result), (after, _) in pairwise(sent):
        assert may_repeat(repeat, fate_of(result))
        asked = result.headers.get("retry-after", "0") if isinstance(result, Response) else "0"
        assert after - then >= float(asked) - 1e-3
