"""Has the branch moved on? By where it is and by ancestry; what cannot be read stops nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import OTHER_SHA, SHA, build, fork_environ, tag_build
from fakes import FakeClock, FakeRemote, RecordingConsole

from deploystep.app.ports import Head
from deploystep.app.superseded import superseded_by
from deploystep.core.build import Branch, BuildContext, Tag

if TYPE_CHECKING:
    from collections.abc import Sequence

OLD_SHA = "0123456789012345678901234567890123456789"
BUILD, TAGGED, FORK = build(), tag_build("v1"), BuildContext.from_environ(fork_environ(7))
UNREADABLE = Head(None, "no answer within 30 s")
UNREAD = "the head of branch main could not be read (no answer within 30 s): the created run's commit is compared"
SET_BACK = f"branch main is at {OLD_SHA}, which is older: it was set back, or this commit was never pushed"


class Remote(FakeRemote):
    """OLD_SHA is an ancestor of the build's commit; `asked` is what refs were asked for."""

    def __init__(self, heads: Sequence[str | Head | None]) -> None:
        super().__init__([h if isinstance(h, Head) else Head(h) for h in heads])
        self.asked: list[Branch | Tag] = []

    def head(self, ref: Branch | Tag) -> Head:
        self.asked.append(ref)
        return super().head(ref)

    def contains(self, revision: str, other: str) -> bool:
        assert other, "what is not there is not compared"
        return (revision, other) == (SHA, OLD_SHA)


def moved(what: str) -> str:
    return f"{what} has moved on to {OTHER_SHA}: its own build decides about that commit"


@pytest.mark.parametrize(
    ("of", "heads", "reason", "said", "slept"),
    [
        (BUILD, [SHA], "", [], []),
        (BUILD, [OTHER_SHA], moved("branch main"), [], []),  # it is believed at once, whether or not the clone knows it
        (BUILD, [OLD_SHA, OLD_SHA, SHA], "", [], [2.0, 4.0]),  # a host that is behind
        (BUILD, [OLD_SHA, OTHER_SHA], moved("branch main"), [], [2.0]),
        (BUILD, [OLD_SHA], SET_BACK, [], [2.0, 4.0, 8.0]),
        (BUILD, [*[OLD_SHA] * 3, SHA], "", [], [2.0, 4.0, 8.0]),
        (BUILD, [UNREADABLE], "", [UNREAD], []),
        (BUILD, [OLD_SHA, UNREADABLE], "", [UNREAD], [2.0]),
        (BUILD, [None], "", ["branch main is not in the repository any more"], []),
        (BUILD, [OLD_SHA, None], "", ["branch main is not in the repository any more"], [2.0]),
        (TAGGED, [OTHER_SHA], moved("tag v1"), [], []),
        (TAGGED, [None], "", ["tag v1 is not in the repository any more"], []),
        (FORK, [SHA], "", [], []),
    ],
)
def test_where_the_branch_or_tag_is(
    of: BuildContext, heads: list[Any], reason: str, said: list[str], slept: Any
) -> None:
    remote, clock, console = Remote(heads), FakeClock(), RecordingConsole()
    assert superseded_by(of, remote, clock, console) == reason
    assert [*console.infos, *console.warnings] == said
    assert (remote.asked, clock.slept) == ([of.ref] * (len(slept) + 1), slept)
