"""What the use cases need of the outside world. Adapters satisfy these by shape; nothing inherits."""

from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Protocol, TypeAlias

from deploystep.core.build import Branch, BuildContext, Tag
from deploystep.core.facts import Answered, AuthorOf, ChangedSince, IsMergedInto, MessageOf
from deploystep.core.frozen import Frozen
from deploystep.core.rules import Given
from deploystep.core.source import SourceFile

if TYPE_CHECKING:
    from deploystep.circleci.client import Client, Clock, Console
    from deploystep.core.deploy import TriggerSpec
    from deploystep.core.secret import Address

OfCommit: TypeAlias = ChangedSince | IsMergedInto | AuthorOf | MessageOf


class Head(Frozen):
    """Where a ref is: its revision; None where there is no such ref, or, with `trouble`, where it could not be read."""

    revision: str | None
    trouble: str = ""


class Remote(Protocol):
    """The repository that CircleCI builds, as the clone's `origin` shows it now."""

    def head(self, ref: Branch | Tag) -> Head: ...  # where it is
    def contains(self, revision: str, other: str) -> bool: ...  # `other` is a known ancestor; False claims nothing
    def is_skipped(self, revision: str) -> bool: ...  # its message is known to keep CircleCI from building it


class History(Protocol):
    """Facts about one commit, from the clone."""

    @property
    def default_branch(self) -> str | None: ...  # None where neither the rule file nor the clone tells
    def answer(self, question: OfCommit) -> Answered: ...  # or why there is none
    def committed_at(self) -> datetime | None: ...  # by the committer's clock; None where the clone does not tell


class Services(Protocol):
    """The outside, as far as a command may use it. Each part is made when it is first asked for."""

    @property
    def clock(self) -> "Clock": ...
    @property
    def console(self) -> "Console": ...
    @property
    def given(self) -> Given | None: ...  # stated facts, which replace environment, git, CircleCI and clock
    @property
    def build(self) -> BuildContext: ...  # raises EnvironmentInvalid with every problem, and where none was asked for
    @property
    def address(self) -> "Address": ...  # where CircleCI is: --host, else as the build's URL tells
    @property
    def token_name(self) -> str: ...  # the variable that holds the API token
    @property
    def can_ask(self) -> bool: ...  # there is a token, and the command is one that asks CircleCI
    @property
    def other_node(self) -> str: ...  # what to say where another node of a parallel job decides; else empty
    @property
    def source(self) -> SourceFile: ...  # from the folder or git; raises RuleFileInvalid where it cannot be read
    @property
    def remote(self) -> Remote | None: ...  # None in the sandbox, whose branches are where the build says they are
    def executable(self, program: str) -> str: ...  # found as a shell finds it; raises NotFound or NotExecutable
    def now(self, zone: tzinfo) -> datetime | None: ...  # to decide at; None where facts are stated and no time is

    # In `run`, `refs` decide only if the remote does not have them elsewhere now.
    def history(self, default_branch: str | None = None, refs: frozenset[str] | None = None) -> History: ...
    # The way to CircleCI, for sending `specs`; raises EnvironmentInvalid where there is no token.
    def client(self, specs: "tuple[TriggerSpec, ...]" = ()) -> "Client": ...
