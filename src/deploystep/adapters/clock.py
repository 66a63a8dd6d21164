"""The real clock."""

import time
from datetime import datetime, timezone


class SystemClock:
    """Time as it passes."""

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(timezone.utc)

    def sleep(self, seconds: float) -> None:
        """Wait; a signal ends it early by raising."""
        time.sleep(seconds)
