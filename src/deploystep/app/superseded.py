"""Has the branch moved on? A build of an older commit must not deploy over a newer one.

Decided by where the branch is now and by ancestry, never by time: a slow build, or a rerun of last week's, is known by
nothing but the commit that has taken its place.
"""

from typing import TYPE_CHECKING, Final

from deploystep.core.build import Branch, BuildContext, Tag

if TYPE_CHECKING:
    from deploystep.app.ports import Head, Remote
    from deploystep.circleci.client import Clock, Console

#: Seconds between two looks at a branch that is seen at an older commit: hosts are a few seconds behind a push.
_LAGS: Final = (2.0, 4.0, 8.0)


def superseded_by(build: BuildContext, remote: "Remote", clock: "Clock", console: "Console") -> str:
    """Why this commit is not to be deployed any more; empty where it is, or where nobody can tell."""
    head = _settled_head(build.ref, build.revision, remote, clock)
    name = f"{'tag' if isinstance(build.ref, Tag) else 'branch'} {build.ref.name}"
    if head.trouble:
        console.info(f"the head of {name} could not be read ({head.trouble}): the created run's commit is compared")
        return ""
    if head.revision is None:
        console.warning(f"{name} is not in the repository any more")
        return ""
    if head.revision == build.revision:
        return ""
    if remote.contains(build.revision, head.revision):
        return f"{name} is at {head.revision}, which is older: it was set back, or this commit was never pushed"
    return f"{name} has moved on to {head.revision}: its own build decides about that commit"


def _settled_head(ref: Branch | Tag, revision: str, remote: "Remote", clock: "Clock") -> "Head":
    """The head; one that is older than this build's commit is looked at again."""
    head = remote.head(ref)
    for pause in _LAGS:
        if head.revision in (None, revision) or not remote.contains(revision, head.revision or ""):
            break
        clock.sleep(pause)
        head = remote.head(ref)
    return head
