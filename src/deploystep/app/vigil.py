"""Waiting: looks that come politely further apart, a line for each change, and signs of life in between.

CircleCI ends a step that prints nothing for ten minutes (configuration reference, `no_output_timeout`), and counts the
calls of all builds of a user together: so a wait says something every minute, and spreads its calls.
"""

from typing import Final

from deploystep.app.ports import Clock, Progress
from deploystep.core.frozen import dataclass

_HEARTBEAT: Final = 60.0
_LOOKING: Final = 10.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The pauses between two looks, in seconds: each twice the last, up to the longest, and longer by chance."""

    first: float = 1.0
    longest: float = 18.0
    spread: float = 0.4


#: For what is about to happen: what was created appears.
BRISK: Final = Pace(first=0.5, longest=5.0, spread=0.1)
#: For what takes its time: nodes end, a deploy ends. Ten minutes take 39 looks at the most, twenty take 72.
CALM: Final = Pace()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to look after a trigger, in seconds: `limit` until something runs, `wait` (or not at all) to its end."""

    limit: float = 60.0
    wait: float | None = None

    @property
    def is_none(self) -> bool:
        """Whether not to look at what was created."""
        return self.limit <= 0

    @property
    def looking(self) -> float:
        """How long to look for what must not be missed, whatever `limit` says."""
        return max(self.limit, _LOOKING)


class Vigil:
    """One wait. `limit` is in seconds; `what` is waited for, in the words of its signs of life."""

    def __init__(self, clock: Clock, progress: Progress, limit: float, pace: Pace, what: str) -> None:
        self._clock = clock
        self._progress = progress
        self._pace = pace
        self._what = what
        self._began = clock.monotonic()
        self._limit = limit
        self._pause = pace.first
        self._told = ""
        self._last_sign = self._began

    @property
    def has_ended(self) -> bool:
        """Whether the time is up."""
        return self._passed >= self._limit

    @property
    def _passed(self) -> float:
        return self._clock.monotonic() - self._began

    def tell(self, state: str) -> None:
        """How it stands: a line where that has changed."""
        if state != self._told:
            self._told = state
            self._last_sign = self._clock.monotonic()
            self._progress.info(state)

    def rest(self) -> None:
        """Wait until the next look is due, or the time is up."""
        pause = self._pause * (1 + self._pace.spread * self._clock.chance())
        self._pause = min(self._pause * 2, self._pace.longest)
        self.wait(pause)

    def wait(self, seconds: float) -> None:
        """Wait that long, but not beyond the limit, with a sign of life every minute."""
        left = min(seconds, self._limit - self._passed)
        while left > 0:
            quiet = self._clock.monotonic() - self._last_sign
            piece = min(left, max(_HEARTBEAT - quiet, 1.0))
            self._progress.live(self._sign)
            self._clock.sleep(piece)
            left -= piece
            if self._clock.monotonic() - self._last_sign >= _HEARTBEAT:
                self._last_sign = self._clock.monotonic()
                self._progress.info(self._sign)

    @property
    def _sign(self) -> str:
        minutes, seconds = divmod(int(self._passed), 60)
        return f"{self._what} ({minutes}:{seconds:02d}): {self._told or 'nothing seen yet'}"
