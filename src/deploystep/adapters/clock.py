"""The real clock."""

import time
from datetime import datetime, timezone


class SystemClock:
    """Time as it passes."""

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        """Seconds since some moment; nobody can set them back."""
        return time.monotonic()

    def chance(self) -> float:
        """A number from 0 up to 1."""
        import random  # noqa: PLC0415 - for waits, which most runs do without

        return random.random()  # noqa: S311 - it spreads waits, it guards nothing

    def sleep(self, seconds: float) -> None:
        """Wait; a signal ends it early by raising."""
        time.sleep(seconds)
