"""Has the branch moved on? Only where a newer commit is known; what cannot be read stops nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import OTHER_SHA, SHA, build, fork_environ, tag_build
from fakes import FakeClock, FakeRemote, RecordingConsole

from deploystep.app.ports import Head
from deploystep.app.superseded import superseded_by
from deploystep.core.build import Branch, BuildContext, Tag
from deploystep.core.errors import FactUnavailable
from deploystep.core.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

OLD_SHA = "0123456789012345678901234567890123456789"
BUILD, TAGGED, FORK = build(), tag_build("v1"), BuildContext.from_environ(fork_environ(7))
UNREADABLE = Head(None, "no answer within 30 s")
UNREAD = "the head of branch main could not be read (no answer within 30 s): nothing tells whether it has moved on"
LAGS = [2.0, 4.0, 8.0, 16.0]
UNCLEAR = f"branch main is at {OLD_SHA}, which is not known to be newer"


class Remote(FakeRemote):
    """OTHER_SHA is after the build's commit, and OLD_SHA is not known to be; `asked` is what refs were asked for."""

    def __init__(self, heads: Sequence[str | Head | None]) -> None:
        super().__init__([h if isinstance(h, Head) else Head(h) for h in heads])
        self.asked: list[Branch | Tag] = []

    def head(self, ref: Branch | Tag) -> Head:
        self.asked.append(ref)
        return super().head(ref)

    def contains(self, revision: str, other: str) -> bool:
        assert other, "what is not there is not compared"
        return (revision, other) == (OTHER_SHA, SHA)


def moved(what: str) -> str:
    return f"{what} has moved on to {OTHER_SHA}, which is newer"


def again(pause: float) -> str:
    return f"{UNCLEAR}: looking again in {pause:.0f} s"


@pytest.mark.parametrize(
    ("of", "heads", "reason", "said", "slept"),
    [
        (BUILD, [SHA], "", [], []),
        (BUILD, [OTHER_SHA], moved("branch main"), [], []),
        (BUILD, [OLD_SHA, OLD_SHA, SHA], "", [again(2), again(4)], [2.0, 4.0]),  # a host that is behind
        (BUILD, [OLD_SHA, OTHER_SHA], moved("branch main"), [again(2)], [2.0]),
        (BUILD, [*[OLD_SHA] * 4, SHA], "", [again(pause) for pause in LAGS], LAGS),
        (BUILD, [UNREADABLE], "", [UNREAD], []),
        (BUILD, [OLD_SHA, UNREADABLE], "", [again(2), UNREAD], [2.0]),
        (BUILD, [None], "", ["branch main is not in the repository any more"], []),
        (BUILD, [OLD_SHA, None], "", [again(2), "branch main is not in the repository any more"], [2.0]),
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


@pytest.mark.parametrize("of", [BUILD, TAGGED])
def test_a_head_that_is_not_known_to_be_newer_decides_nothing(of: BuildContext) -> None:
    """It may have been set back, or rewritten, or a host is behind: green without a deploy would be a lie."""
    remote, clock = Remote([OLD_SHA]), FakeClock()
    with pytest.raises(FactUnavailable) as caught:
        superseded_by(of, remote, clock, RecordingConsole())
    error = caught.value
    assert (error.code, error.exit, clock.slept) == ("undecided", ExitCode.UNDECIDED, LAGS)
    assert f"whether {SHA} is still to be deployed" in error.message
    assert f"is at {OLD_SHA}, which is not known to be newer" in error.message
    assert error.hints[1].startswith("possible causes: ")
