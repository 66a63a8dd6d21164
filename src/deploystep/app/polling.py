"""Waiting: looks that come politely further apart, a line for each change, and signs of life in between.

CircleCI ends a step that prints nothing for ten minutes (configuration reference, `no_output_timeout`), and counts the
calls of all builds of a user together: so a wait says something every minute, and spreads its calls.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from deploystep.core.frozen import dataclass

if TYPE_CHECKING:
    from deploystep.circleci.client import Client, Clock, Console

_HEARTBEAT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses between two looks, in seconds: each twice the last, up to the longest, and longer by chance."""

    first: float = 1.0
    longest: float = 18.0
    spread: float = 0.4


#: For what is about to happen: what was created appears.
BRISK: Final = Backoff(first=0.5, longest=5.0, spread=0.1)
#: For what takes its time: nodes end, a deploy ends. Ten minutes take 39 looks at the most, twenty take 72.
CALM: Final = Backoff()


class Look:
    """One look of a wait. `is_last`: the time was up before it began, so what it sees is final."""

    def __init__(self, clock: "Clock", console: "Console", what: str) -> None:
        self.is_last = False
        #: Seconds until the next look, where it is not to be left to the backoff.
        self.pause: float | None = None
        self._clock = clock
        self._console = console
        self._what = what
        self._state = ""
        self._since: dict[object, float] = {}
        #: Seconds since the wait began when this look did: an answer tells how it stood then, however late it comes.
        self.began = 0.0
        self._first = self._last_sign = clock.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the wait began."""
        return self._clock.monotonic() - self._first

    def tell(self, state: str) -> None:
        """Say how it stands, where that has changed."""
        if state != self._state:
            self._state = state
            self._last_sign = self._clock.monotonic()
            self._console.info(state)

    def lasts(self, what: object, *, is_so: bool = True) -> float:
        """For how many seconds it was so when this look began; where it is not so, it begins anew."""
        since = self._since.setdefault(what, self.elapsed)
        if not is_so:
            del self._since[what]
        return self.began - since

    def sleep(self, seconds: float) -> None:
        """Let time pass, with a sign of life every minute."""
        while seconds > 0:
            quiet = self._clock.monotonic() - self._last_sign
            piece = min(seconds, max(_HEARTBEAT - quiet, 1.0))
            self._clock.sleep(piece)
            seconds -= piece
            if self._clock.monotonic() - self._last_sign >= _HEARTBEAT:
                self._last_sign = self._clock.monotonic()
                minutes, rest = divmod(int(self.elapsed), 60)
                self._console.alive(f"{self._what} ({minutes}:{rest:02d}): {self._state or 'nothing seen yet'}")


def poll(client: "Client", limit: float, backoff: Backoff, what: str) -> Iterator[Look]:
    """Give looks until the time is up, and one more; `limit` is in seconds, `what` is what is waited for.

    The last look begins when the time is up: an answer that came late tells how it was, not how it is. After that the
    client sends nothing again.
    """
    look, pause, before = Look(client.clock, client.console, what), backoff.first, client.until
    client.until = min(before, client.clock.monotonic() + limit)
    try:
        while not look.is_last:
            look.began = look.elapsed
            look.is_last = look.began >= limit
            yield look
            chosen, look.pause = look.pause, None
            if chosen is None:
                chosen = pause * (1 + backoff.spread * client.clock.chance())
                pause = min(pause * 2, backoff.longest)
            look.sleep(min(chosen, limit - look.elapsed))
    finally:
        client.until = before
