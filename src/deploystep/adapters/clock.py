"""The real clock."""

import time
from collections.abc import Callable
from datetime import datetime, timezone


class SystemClock:
    """Time as it passes. `check` is called around each sleep, and may raise to end a wait."""

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        self._check = check

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(timezone.utc)

    monotonic = staticmethod(time.monotonic)

    def chance(self) -> float:
        """A number from 0 up to 1."""
        import random  # noqa: PLC0415 - for waits, which most runs do without

        return random.random()  # noqa: S311 - it spreads waits, it guards nothing

    def sleep(self, seconds: float) -> None:
        """Wait; a signal ends it early by raising."""
        self._check()
        time.sleep(seconds)
        self._check()
