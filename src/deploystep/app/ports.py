"""What the use cases need of the outside world. Adapters satisfy these by shape; nothing inherits."""

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from deploystep.core.build import Branch, Tag
from deploystep.core.frozen import dataclass
from deploystep.core.source import SourceFile

if TYPE_CHECKING:
    from deploystep.circleci.wire import Failure, Request, Response


class Transport(Protocol):
    """Sends one request to the configured host, once. Never follows a redirect, never repeats."""

    @property
    def host(self) -> str:
        """The address it sends to, without a trailing slash."""

    def send(self, request: "Request") -> "Response | Failure":
        """The complete answer, or what is certain about the attempt where there is none. Does not raise."""


class Clock(Protocol):
    """Tells the time and lets it pass."""

    def now(self) -> datetime:
        """The time of day, with its zone; somebody may set it while the step runs."""

    def monotonic(self) -> float:
        """Seconds that have passed since some moment; nobody can set them back."""

    def sleep(self, seconds: float) -> None:
        """Wait that long."""

    def chance(self) -> float:
        """A number from 0 up to 1, by which the waits of many builds spread."""


class Remote(Protocol):
    """The repository that CircleCI builds, as the clone's `origin` shows it now."""

    def head(self, ref: Branch | Tag) -> "Head":
        """Where a branch or tag is."""

    def contains(self, revision: str, other: str) -> bool:
        """Whether the clone shows that `other` is an ancestor of `revision`; False claims nothing."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a ref is: its revision; None where there is no such ref, or, with `trouble`, where nobody could tell."""

    revision: str | None
    trouble: str = ""


class RuleSource(Protocol):
    """Where the rule file comes from."""

    def read(self) -> SourceFile:
        """The file's text. Raises RuleFileInvalid where it is missing, too big or not UTF-8."""


class Progress(Protocol):
    """Is told what happens on the way; a line each, for people."""

    def info(self, text: str) -> None:
        """Something worth a line."""

    def warning(self, text: str) -> None:
        """Something that may need attention, though the command goes on."""

    def live(self, text: str) -> None:
        """How a wait goes on: on a terminal one line that is rewritten, elsewhere nothing."""
