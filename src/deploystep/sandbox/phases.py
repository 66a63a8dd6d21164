"""How far a run and its workflows are, in v3's two words: a phase, and an outcome once there is one."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from .runs import ENDED, SETUP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .runs import Run


class Phase(NamedTuple):
    """`outcome` is where it stands, ended or not; None while nothing can be said."""

    name: str
    outcome: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it does not change any more."""
        return self.name == "ended"


PHASES: Mapping[str, Phase] = MappingProxyType(
    {
        "success": Phase("ended", "succeeded"),
        "failed": Phase("ended", "failed"),
        "canceled": Phase("ended", "canceled"),
        "error": Phase("ended", "errored"),
        "not_run": Phase("ended", "not_run"),
        "unauthorized": Phase("ended", "unauthorized"),
        "failing": Phase("started", "failed"),
        "running": Phase("started"),
        "queued": Phase("queued"),
        "on_hold": Phase("started"),  # guess: nothing public says what v3 calls it
        "pending": Phase("created"),
    }
)
"""By status, as CircleCI's CLI relates them."""
STATUSES = frozenset(PHASES) - {"pending"}
"""What `pipeline.status` may be compared with in a search."""
WORST_FIRST = ("failed", "error", "unauthorized", "canceled", "not_run")
"""Guess: which of several ends counts for the whole run."""


def phase_of(status: str) -> Phase:
    """Return the phase that a status stands for; a word that nobody knows stays one, as a phase."""
    return PHASES.get(status) or Phase(status)


def run_status(run: Run) -> str:
    """Sum up a run in one word; of workflows with the same name the newest counts.

    Guess: a run without workflows stays `pending`, and one that only has been set up is `running`.
    """
    if run.errors:
        return "error"
    statuses = {workflow.name: workflow.status for workflow in run.workflows}
    if not statuses:
        return "pending"
    if all(w.tag == SETUP and w.status == "success" for w in run.workflows):
        return "running"
    going = {status for status in statuses.values() if status not in ENDED}
    return _going(going, set(statuses.values())) if going else _ended(set(statuses.values()))


def _going(going: set[str], every: set[str]) -> str:
    if every & {"failed", "failing"}:
        return "failing"
    return next(iter(going)) if len(going) == 1 else "running"


def _ended(statuses: set[str]) -> str:
    return next((word for word in WORST_FIRST if word in statuses), "success")
