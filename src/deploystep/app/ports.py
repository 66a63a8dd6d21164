"""What the use cases need of the outside world. Adapters satisfy these by shape; nothing inherits."""

from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Protocol, TypeAlias

from deploystep.core.build import Branch, BuildContext, Tag
from deploystep.core.facts import Answered, AuthorOf, ChangedSince, IsMergedInto, MessageOf
from deploystep.core.frozen import dataclass
from deploystep.core.rules import Given
from deploystep.core.source import SourceFile

if TYPE_CHECKING:
    from deploystep.circleci.client import Client, Clock, Console
    from deploystep.core.deploy import TriggerSpec
    from deploystep.core.secret import Address


@dataclass(frozen=True, slots=True)
class Head:
    """Where a ref is: its revision; None where there is no such ref, or, with `trouble`, where it could not be read."""

    revision: str | None
    trouble: str = ""


class Remote(Protocol):
    """The repository that CircleCI builds, as the clone's `origin` shows it now."""

    def head(self, ref: Branch | Tag) -> Head:
        """Where a branch or tag is."""

    def contains(self, revision: str, other: str) -> bool:
        """Whether `other` is known to be an ancestor of `revision`; False claims nothing."""

    def is_skipped(self, revision: str) -> bool:
        """Whether the commit's message is known to keep CircleCI from building it."""


OfCommit: TypeAlias = ChangedSince | IsMergedInto | AuthorOf | MessageOf


class History(Protocol):
    """Facts about one commit, from the clone."""

    @property
    def default_branch(self) -> str | None:
        """The repository's default branch; None where neither the rule file nor the clone tells."""

    def answer(self, question: OfCommit) -> Answered:
        """The answer, or why there is none."""

    def committed_at(self) -> datetime | None:
        """When the commit was made, by the committer's clock; None where the clone does not tell."""


class Services(Protocol):
    """The outside, as far as a command may use it. Each part is made when it is first asked for."""

    @property
    def clock(self) -> "Clock":
        """Tells the time and lets it pass."""

    @property
    def console(self) -> "Console":
        """Takes a line each for people, on stderr."""

    @property
    def given(self) -> Given | None:
        """Stated facts, which replace environment, git, CircleCI and clock."""

    @property
    def build(self) -> BuildContext:
        """The build that is judged. Raises EnvironmentInvalid with every problem."""

    @property
    def address(self) -> "Address":
        """Where CircleCI is."""

    @property
    def token_name(self) -> str:
        """The variable that holds the API token."""

    @property
    def can_ask(self) -> bool:
        """Whether CircleCI may be asked: there is a token, and the command is one that asks."""

    @property
    def other_node(self) -> str:
        """What to say where another node of a parallel job decides; empty where this one does."""

    @property
    def source(self) -> SourceFile:
        """The rule file. Raises RuleFileInvalid where it is missing, too big or not UTF-8."""

    @property
    def remote(self) -> Remote | None:
        """The repository that CircleCI builds; None where only the build itself is believed."""

    def executable(self, program: str) -> str:
        """The path of a program, found as a shell finds it. Raises NotFound or NotExecutable."""

    def now(self, zone: tzinfo) -> datetime | None:
        """The time to decide at; None where none is stated."""

    def history(self, default_branch: str | None = None, refs: frozenset[str] | None = None) -> History:
        """Facts about the commit. In `run`, `refs` decide only if the remote does not have them elsewhere now."""

    def client(self, specs: "tuple[TriggerSpec, ...]" = ()) -> "Client":
        """The way to CircleCI; `specs` is what will be sent. Raises EnvironmentInvalid where there is no token."""
