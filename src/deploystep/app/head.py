"""Has the branch moved on? A build of an older commit must not deploy over a newer one.

Decided by where the branch is now and by ancestry, never by time: a slow build, or a rerun of last week's, is known by
nothing but the commit that has taken its place.
"""

from typing import Final

from deploystep.app.ports import Clock, Head, Progress, Remote
from deploystep.core.build import BuildContext, Tag

#: Seconds between two looks at a branch that is seen at an older commit: hosts are a few seconds behind a push.
_LAGS: Final = (2.0, 4.0, 8.0)


def superseded_by(build: BuildContext, remote: Remote, clock: Clock, progress: Progress) -> str | None:
    """Why this commit is not to be deployed any more; None where it is, or where nobody can tell."""
    head = _settled_head(build, remote, clock)
    name = f"{'tag' if isinstance(build.ref, Tag) else 'branch'} {build.ref.name}"
    if head.trouble:
        progress.info(f"the head of {name} could not be read ({head.trouble}): the created run's commit is compared")
        return None
    if head.revision is None:
        progress.warning(f"{name} is not in the repository any more")
        return None
    if head.revision == build.revision:
        return None
    if remote.contains(build.revision, head.revision):
        return f"{name} is at {head.revision}, which is older: it was set back, or this commit was never pushed"
    return f"{name} has moved on to {head.revision}: its own build decides about that commit"


def _settled_head(build: BuildContext, remote: Remote, clock: Clock) -> Head:
    """The head; one that is older than this build's commit is looked at again."""
    head = remote.head(build.ref)
    for pause in _LAGS:
        if head.revision in (None, build.revision) or not remote.contains(build.revision, head.revision or ""):
            return head
        clock.sleep(pause)
        head = remote.head(build.ref)
    return head
