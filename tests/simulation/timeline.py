"""Virtual time, and who acts when: many actors, of whom one at a time moves.

An actor is a thread that runs until it pauses; then whoever is due next goes on, and the clock jumps to that moment.
Nothing sleeps, and the same random numbers give the same order: whoever pauses looks itself who is next, so that an
actor who is alone changes no thread at all.
"""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


class Actor:
    """Somebody who acts and pauses. `turn` counts wakings, so that one that was overtaken is known."""

    def __init__(self, name: str, body: Callable[[], None] | None = None) -> None:
        self.name = name
        self.body = body
        self.turn = 0
        self.has_begun = body is None
        self.baton = threading.Lock()
        self.baton.acquire()


class Timeline:
    """The queue of everything that is yet to happen. Times are in seconds since the beginning."""

    def __init__(self, chance: Random) -> None:
        self.now = 0.0
        self.current = self._main = Actor("main")
        self._chance = chance
        self._queue: list[tuple[float, float, int, Actor | Callable[[], None], int]] = []
        self._count = 0
        self._broken: BaseException | None = None

    def at(self, moment: float, act: Callable[[], None]) -> None:
        self._push(moment, act, 0)

    def begin(self, moment: float, name: str, body: Callable[[], None]) -> None:
        self._push(moment, Actor(name, body), 0)

    def pause(self, seconds: float) -> None:
        """The current actor lets time pass."""
        actor = self.current
        self.wake(actor, self.now + max(seconds, 0.0))
        self._go_on(actor)

    def wake(self, actor: Actor, moment: float) -> None:
        """Let an actor who pauses go on at that moment, whatever was meant before."""
        actor.turn += 1
        self._push(moment, actor, actor.turn)

    def run(self) -> None:
        """Let everything happen. Raises what an actor raised, which none should."""
        self._go_on(self._main)
        if self._broken is not None:
            raise self._broken

    def _push(self, moment: float, what: Actor | Callable[[], None], turn: int) -> None:
        self._count += 1
        heapq.heappush(self._queue, (moment, self._chance.random(), self._count, what, turn))

    def _go_on(self, actor: Actor | None) -> None:
        """Do what is due until it is this actor's turn; None has ended and never gets one."""
        while not isinstance(due := self._next(), Actor):
            due()
        if due is actor:
            return
        self._hand_over(due)
        if actor is not None:
            actor.baton.acquire()
            self.current = actor

    def _next(self) -> Actor | Callable[[], None]:
        while self._queue and self._broken is None:
            moment, _, _, what, turn = heapq.heappop(self._queue)
            if not isinstance(what, Actor) or turn == what.turn:
                self.now = max(self.now, moment)
                return what
        return self._main

    def _hand_over(self, actor: Actor) -> None:
        self.current = actor
        if actor.has_begun:
            actor.baton.release()
            return
        actor.has_begun = True
        threading.Thread(target=self._live, args=(actor,), name=actor.name, daemon=True).start()

    def _live(self, actor: Actor) -> None:
        try:
            if actor.body is not None:
                actor.body()
        except BaseException as error:  # noqa: BLE001 - it is raised where the test can see it
            self._broken = self._broken or error
        self._go_on(None)
