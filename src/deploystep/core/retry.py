"""May this request be sent again? A trigger only when it certainly was not received: no connection, or answer 429."""

from enum import Enum
from typing import Final

ATTEMPTS: Final = 5
LONGEST_WAIT: Final = 60.0  # seconds


class Repeat(Enum):
    """When a request may be sent a second time."""

    FREELY = "freely"
    ONLY_IF_NOT_RECEIVED = "only if it was not received"


class Fate(Enum):
    """What is certain about an attempt."""

    NOT_RECEIVED = "no connection was made"
    RATE_LIMITED = "answered 429: counted, not acted on"
    ANSWERED = "an answer that says what happened"
    UNKNOWN = "it may or may not have been acted on"


def next_step(repeat: Repeat, fate: Fate, attempt: int, attempts: int, asked: float | None = None) -> float | None:
    """Seconds to wait before sending again, after attempt number `attempt` (from 1) met `fate`; None: do not send."""
    wanted = asked or 0.0  # is kept to the letter: it stops rather than come back early
    is_over = not may_repeat(repeat, fate) or attempt >= attempts or wanted > LONGEST_WAIT
    return None if is_over else min(max(2.0 ** (attempt - 1), wanted), LONGEST_WAIT)


def may_repeat(repeat: Repeat, fate: Fate) -> bool:
    """Whether sending it a second time can do no harm."""
    return fate in (Fate.NOT_RECEIVED, Fate.RATE_LIMITED) or (repeat is Repeat.FREELY and fate is Fate.UNKNOWN)
