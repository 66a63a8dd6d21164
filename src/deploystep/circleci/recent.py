"""Lists of runs, newest first, read page by page as far back as somebody wants."""

from collections.abc import Callable
from datetime import datetime

from deploystep.circleci.wire import MOST_PAGES, Failure, Page, Request, Response, Talk, server_time
from deploystep.core.frozen import dataclass
from deploystep.core.runs import Run


@dataclass(frozen=True, slots=True)
class Recent:
    """Runs, newest first. `is_whole`: the list ended, or went as far back as was wanted.

    `moment` is the time by the server's clock when the newest of them were listed; None where it does not tell.
    """

    runs: tuple[Run, ...]
    is_whole: bool
    moment: datetime | None


def recent_runs(
    request: Callable[[str | None], Request],
    read: Callable[[Response | Failure], Page[Run] | None],
    enough: Callable[[tuple[Run, ...]], bool],
) -> Talk[Recent | Response | Failure]:
    """Read pages until the list ends or there is `enough`; where a page cannot be read, what came instead of it."""
    found: tuple[Run, ...] = ()
    following: str | None = None
    moment: datetime | None = None
    for _ in range(MOST_PAGES):
        result = yield request(following)
        page = read(result)
        if page is None:
            return result
        moment = moment or server_time(result)
        found += page.items
        following = page.following
        if following is None or enough(found):
            return Recent(found, is_whole=True, moment=moment)
    return Recent(found, is_whole=False, moment=moment)
