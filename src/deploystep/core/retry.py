"""May this request be sent again? The one question that decides whether there can be two deploys.

Pure. A request carries its `Repeat`; what happened to an attempt is a `Fate`; `next_step` answers.
A trigger is repeated only when it certainly was not received: no connection was ready for it, or CircleCI
answered 429. After anything else it may have been received, and is never repeated.
"""

from enum import Enum, unique
from typing import Final

from deploystep.core.frozen import dataclass


@unique
class Repeat(Enum):
    """When a request may be sent a second time."""

    FREELY = "freely"
    ONLY_IF_NOT_RECEIVED = "only if it was not received"


@unique
class Fate(Enum):
    """What is certain about an attempt."""

    NOT_RECEIVED = "no connection was made"
    RATE_LIMITED = "answered 429: counted, not acted on"
    ANSWERED = "an answer that says what happened"
    UNKNOWN = "it may or may not have been acted on"


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient to be. Durations in seconds."""

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0


DEFAULT: Final = Policy()


def next_step(
    policy: Policy, repeat: Repeat, attempt: int, fate: Fate, retry_after: float | None = None
) -> float | None:
    """Seconds to wait before sending again, after attempt number `attempt` (from 1) met `fate`; None: do not send.

    `retry_after` is what the server asked for, in seconds. It is kept to the letter: where it is longer than the
    policy's longest wait, the answer is to stop, not to come back early.
    """
    asked = retry_after or 0.0
    if not may_repeat(repeat, fate) or attempt >= policy.attempts or asked > policy.longest_wait:
        return None
    return min(max(policy.first_wait * 2.0 ** (attempt - 1), asked), policy.longest_wait)


def may_repeat(repeat: Repeat, fate: Fate) -> bool:
    """Whether sending it a second time can do no harm."""
    if fate is Fate.ANSWERED:
        return False
    return repeat is Repeat.FREELY or fate in (Fate.NOT_RECEIVED, Fate.RATE_LIMITED)
