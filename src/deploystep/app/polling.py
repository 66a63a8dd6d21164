"""Waiting: looks that come politely further apart, a line for each change, and signs of life in between.

CircleCI ends a step that prints nothing for ten minutes (configuration reference, `no_output_timeout`), and counts the
calls of all builds of a user together: so a wait says something every minute, and spreads its calls.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

from deploystep.circleci.client import Client

_QUIET: Final = 34.0  # seconds without a line, and then a pause of 26 at the most: a line a minute
#: Seconds between two looks: at first, and at the most; each pause is twice the last, and by chance longer by a share.
Backoff: TypeAlias = tuple[float, float, float]
BRISK: Final[Backoff] = (0.5, 5.0, 0.1)  # for what is about to happen: what was created appears
CALM: Final[Backoff] = (1.0, 18.0, 0.4)  # for what takes its time: ten minutes take 39 looks at the most, twenty 72


class Look:
    """One look of a wait. `is_last`: the time was up before it began, so what it sees is final."""

    def __init__(self, client: Client, what: str) -> None:
        self.is_last, self.began = False, 0.0  # an answer tells how it stood when the look began, however late it comes
        self.pause: float | None = None  # until the next look, where that is not to be left to the backoff
        self._clock, self._console, self._what, self._state = client.clock, client.console, what, ""
        self._since: dict[object, float] = {}
        self._first = self._last_sign = self._clock.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the wait began."""
        return self._clock.monotonic() - self._first

    def tell(self, state: str) -> None:
        """Say how it stands, where that has changed."""
        if state != self._state:
            self._state, self._last_sign = state, self._clock.monotonic()
            self._console.info(state)

    def lasts(self, what: object, *, is_so: bool = True) -> float:
        """For how many seconds it was so when this look began; where it is not so, it begins anew."""
        since = self._since.setdefault(what, self.elapsed) if is_so else self._since.pop(what, self.elapsed)
        return self.began - since

    def live(self) -> None:
        """Give a sign of life, where nothing was said for long."""
        if self._clock.monotonic() - self._last_sign >= _QUIET:
            self._last_sign, (minutes, rest) = self._clock.monotonic(), divmod(int(self.elapsed), 60)
            self._console.alive(f"{self._what} ({minutes}:{rest:02d}): {self._state or 'nothing seen yet'}")


def poll(client: Client, limit: float, backoff: Backoff, what: str) -> Iterator[Look]:
    """Give looks until the time is up, and one that begins after that; then the client sends nothing again."""
    look, before, (pause, longest, spread) = Look(client, what), client.until, backoff
    client.until = min(before, client.clock.monotonic() + limit)
    try:
        while not look.is_last:
            look.began = look.elapsed
            look.is_last = look.began >= limit
            yield look
            chosen, look.pause = look.pause, None
            if chosen is None:
                chosen, pause = pause * (1 + spread * client.clock.chance()), min(pause * 2, longest)
            client.clock.sleep(max(0.0, min(chosen, limit - look.elapsed)))
            look.live()
    finally:
        client.until = before
