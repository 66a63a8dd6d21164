"""Has the branch moved on? A build of an older commit must not deploy over a newer one.

Decided by where the branch is now and by ancestry, never by time: a slow build, or a rerun of last week's, is known by
nothing but the newer commit that has taken its place.
"""

from typing import TYPE_CHECKING, Final

from deploystep.core.build import BuildContext, Tag
from deploystep.core.errors import FactUnavailable

if TYPE_CHECKING:
    from deploystep.app.ports import Remote
    from deploystep.circleci.client import Clock, Console

#: Seconds between two looks at a branch that is at a commit not known to be newer: hosts can be behind a push.
_LAGS: Final = (2.0, 4.0, 8.0, 16.0)


def superseded_by(build: BuildContext, remote: "Remote", clock: "Clock", console: "Console") -> str:
    """Why this commit is not to be deployed any more; empty where it is.

    Raises FactUnavailable where the branch is at another commit, and nothing shows that it is a newer one. A head that
    cannot be read stops nothing.
    """
    kind = "tag" if isinstance(build.ref, Tag) else "branch"
    name = f"{kind} {build.ref.name}"
    head = remote.head(build.ref)
    for pause in (*_LAGS, None):
        if head.trouble:
            console.info(
                f"the head of {name} could not be read ({head.trouble}): nothing tells whether it has moved on"
            )
            return ""
        if head.revision is None:
            console.warning(f"{name} is not in the repository any more")
            return ""
        if head.revision == build.revision:
            return ""
        if remote.contains(head.revision, build.revision):
            skipped = "; its message says [skip ci], so nothing is deployed until the next push"
            is_skipped = remote.is_skipped(head.revision)
            return f"{name} has moved on to {head.revision}, which is newer{skipped if is_skipped else ''}"
        if pause is not None:
            console.info(
                f"{name} is at {head.revision}, which is not known to be newer: looking again in {pause:.0f} s"
            )
            clock.sleep(pause)
            head = remote.head(build.ref)
    raise FactUnavailable(
        "undecided",
        f"cannot tell whether {build.revision} is still to be deployed: {name} is at {head.revision}, "
        "which is not known to be newer",
        "run this step again: hosts can be some seconds behind a push",
        f"possible causes: the {kind} was set back or rewritten, or this commit was never pushed to it",
        f"to deploy it all the same, let the {kind} point at it",
    )
