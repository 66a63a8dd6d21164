"""Has the branch moved on? By where it is and by ancestry; what cannot be read stops nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from builds import OTHER_SHA, SHA, build, fork_environ, tag_build
from fakes import FakeClock, RecordingProgress

from deploystep.app.head import superseded_by
from deploystep.app.ports import Head
from deploystep.core.build import Branch, BuildContext, Tag

if TYPE_CHECKING:
    from collections.abc import Sequence

OLD_SHA = "0123456789012345678901234567890123456789"


@dataclass
class FakeRemote:
    """Where the ref is, look by look (the last stays), and which commits are ancestors of the build's."""

    heads: list[Head]
    older: frozenset[str] = frozenset()
    asked: list[Branch | Tag] = field(default_factory=list)
    compared: list[tuple[str, str]] = field(default_factory=list)

    def head(self, ref: Branch | Tag) -> Head:
        self.asked.append(ref)
        return self.heads.pop(0) if len(self.heads) > 1 else self.heads[0]

    def contains(self, revision: str, other: str) -> bool:
        self.compared.append((revision, other))
        return revision == SHA and other in self.older


class Scene:
    def __init__(
        self, heads: Sequence[str | Head | None], *, older: Sequence[str] = (), of: BuildContext | None = None
    ) -> None:
        self.remote = FakeRemote([h if isinstance(h, Head) else Head(h) for h in heads], frozenset(older))
        self.clock, self.progress = FakeClock(), RecordingProgress()
        self.said = superseded_by(of or build(), self.remote, self.clock, self.progress)


def test_the_branch_is_where_the_build_is() -> None:
    scene = Scene([SHA])
    assert (scene.said, scene.clock.slept, scene.progress.said) == (None, [], [])
    assert scene.remote.compared == [], "nothing is to be compared"


def test_the_branch_has_moved_on() -> None:
    scene = Scene([OTHER_SHA])
    assert scene.said == f"branch main has moved on to {OTHER_SHA}: its own build decides about that commit"
    assert scene.clock.slept == [], "that is believed at once"


def test_an_older_head_is_a_host_that_is_behind() -> None:
    scene = Scene([OLD_SHA, OLD_SHA, SHA], older=[OLD_SHA])
    assert (scene.said, scene.clock.slept) == (None, [2.0, 4.0])


def test_an_older_head_that_becomes_a_newer_one() -> None:
    scene = Scene([OLD_SHA, OTHER_SHA], older=[OLD_SHA])
    assert scene.said is not None
    assert "has moved on to" in scene.said


def test_a_branch_that_was_set_back() -> None:
    scene = Scene([OLD_SHA], older=[OLD_SHA])
    assert (
        scene.said == f"branch main is at {OLD_SHA}, which is older: it was set back, or this commit was never pushed"
    )
    assert scene.clock.slept == [2.0, 4.0, 8.0]
    assert len(scene.remote.asked) == 4


def test_it_is_ancestry_and_not_time_that_tells() -> None:
    """A clone that does not know the head, as it cannot know a newer one, claims nothing about it."""
    scene = Scene([OTHER_SHA], older=[OLD_SHA])
    assert scene.remote.compared[0] == (SHA, OTHER_SHA)
    assert scene.said is not None
    assert "moved on" in scene.said


def test_a_head_that_cannot_be_read_stops_nothing() -> None:
    scene = Scene([Head(None, "no git here")])
    assert scene.said is None
    assert scene.progress.said == [
        "the head of branch main could not be read (no git here): the created run's commit is compared"
    ]


def test_a_head_that_cannot_be_read_again() -> None:
    scene = Scene([OLD_SHA, Head(None, "no answer within 30 s")], older=[OLD_SHA])
    assert scene.said is None
    assert "no answer within 30 s" in scene.progress.said[0]


@pytest.mark.parametrize("before", [[], [OLD_SHA]])
def test_a_branch_that_is_gone_is_warned_of(before: list[str]) -> None:
    scene = Scene([*before, None], older=[OLD_SHA])
    assert (scene.said, scene.progress.warned) == (None, ["branch main is not in the repository any more"])


def test_a_tag_that_was_moved() -> None:
    scene = Scene([OTHER_SHA], of=tag_build("v1"))
    assert scene.remote.asked == [Tag("v1")]
    assert scene.said == f"tag v1 has moved on to {OTHER_SHA}: its own build decides about that commit"


def test_a_tag_that_is_gone() -> None:
    assert Scene([None], of=tag_build("v1")).progress.warned == ["tag v1 is not in the repository any more"]


def test_a_pull_request() -> None:
    scene = Scene([SHA], of=BuildContext.from_environ(fork_environ(7)))
    assert scene.remote.asked == [Branch("pull/7")]
