"""Sends a request, and sends it again only as `core.retry` allows. The only place that calls `Transport.send`."""

from typing import Final

from deploystep.app.ports import Clock, Progress, Transport
from deploystep.circleci.wire import Failure, Request, Response, T, Talk, fate_of, retirement, retry_after
from deploystep.core.frozen import dataclass, field
from deploystep.core.retry import DEFAULT, Again, Fate, Policy, next_step

_SPREAD: Final = 0.25  # a limit that met many builds at once must not meet them again at once


@dataclass(frozen=True, slots=True)
class _Limited:
    """An answer that asked to come back later, and when that is, by the clock that nobody can set back."""

    result: Response
    until: float


@dataclass(frozen=True, slots=True)
class Courier:
    """A transport with patience. A reading that was to be asked for later is not sent before, whoever wants it."""

    transport: Transport
    clock: Clock
    progress: Progress
    policy: Policy = DEFAULT
    _limited: dict[str, _Limited] = field(default_factory=dict)

    def converse(self, talk: Talk[T]) -> T:
        """Send one request after the other, and give what they come to."""
        try:
            request = next(talk)
            while True:
                request = talk.send(self.deliver(request))
        except StopIteration as ended:
            result: T = ended.value
            return result

    def deliver(self, request: Request) -> Response | Failure:
        """The last attempt's result: an answer, or what is certain about why there is none."""
        limited = self._limited.get(request.path) if request.method == "GET" else None
        if limited is not None and self.clock.monotonic() < limited.until:
            return limited.result
        attempt = 1
        while True:
            result = self.transport.send(request)
            asked_wait = retry_after(result, self.clock.now())
            step = next_step(self.policy, request.repeat, attempt, fate_of(result), asked_wait)
            if not isinstance(step, Again):
                self._tell_retirement(result)
                self._keep_limit(request, result, asked_wait)
                return result
            self.progress.info(f"{_why(result)}; trying again in {step.wait:.0f} s")
            self.clock.sleep(step.wait * (1 + _SPREAD * self.clock.chance()))
            attempt += 1

    def _keep_limit(self, request: Request, result: Response | Failure, asked_wait: float | None) -> None:
        if isinstance(result, Response) and fate_of(result) is Fate.RATE_LIMITED and asked_wait is not None:
            self._limited[request.path] = _Limited(result, self.clock.monotonic() + asked_wait)

    def _tell_retirement(self, result: Response | Failure) -> None:
        ending = retirement(result) if isinstance(result, Response) else None
        if ending is not None:
            self.progress.warning(f"{ending}: see docs/migrating.md")


def _why(result: Response | Failure) -> str:
    if isinstance(result, Failure):
        return f"CircleCI was not reached ({result.reason})"
    return (
        "CircleCI answered 429, too many requests"
        if fate_of(result) is Fate.RATE_LIMITED
        else f"CircleCI answered {result.status}"
    )
