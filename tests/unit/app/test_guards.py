"""The other nodes: believed only when they have certainly succeeded, asked about politely, and never for ever."""

from typing import Any

import pytest
from builds import OTHER_SHA, SHA, SHOP, environ, fork_environ, spec, tag_environ
from fakes import HOST, Event, FakeRemote, FakeServices, ScriptedTransport, answer, failure, lost, refused_connection
from triggers import entry, listed, nodes

from deploystep.app.guards import other_nodes, superseded_by, wait_for_nodes
from deploystep.app.ports import Head
from deploystep.app.report import Report
from deploystep.core.deploy import Outcome
from deploystep.core.errors import EnvironmentInvalid, ExitCode, FactUnavailable, Stopped, TimedOut, ToolError
from deploystep.core.runs import NodeState

RUNNING, WELL = nodes("running", "running", "running"), nodes("running", "success", "success")


class Scene:
    """One wait for the nodes 1 and 2 (or more) of job 12; answered by a script, or by what there is at that second."""

    host = HOST

    def __init__(
        self, *events: Event, at: Any = None, total: int = 3, limit: float = 60.0,
        job: str | None = "12",
    ) -> None:  # fmt: skip
        self.script, self.at, self.limit = ScriptedTransport(events), at, limit
        self.moments: list[float] = []
        self.report = Report("run")
        self.report.triggers = [entry(spec()) for _ in range(2)]
        self.services = FakeServices(self, environ(CIRCLE_NODE_TOTAL=str(total), CIRCLE_BUILD_NUM=job))
        self.clock, self.console = self.services.clock, self.services.console

    def send(self, request: Any) -> Any:
        self.moments.append(self.clock.monotonic())
        return self.script.send(request) if self.at is None else self.at(self.clock.monotonic())

    def wait(self) -> "Scene":
        wait_for_nodes(SHOP, self.limit, self.services, self.report)
        assert self.script.is_used_up
        return self

    def fails(self, kind: type[ToolError], code: str) -> ToolError:
        error = failure(self.wait, kind, code)
        assert self.script.is_used_up
        return error

    @property
    def timeout(self) -> str:
        return self.fails(TimedOut, "nodes-timeout").message


# That all have succeeded


def test_success_is_believed_when_it_was_read_twice_in_a_row() -> None:
    scene = Scene(WELL, WELL).wait()
    assert scene.script.paths == ["GET /api/v2/project/gh/acme/shop/job/12"] * 2
    assert scene.clock.slept == [2.0]
    two = nodes("running", "success")
    assert Scene(two, two, total=2).wait().clock.slept == [2.0]
    unlisted, unknown = listed((0, "running"), (1, "success")), nodes("running", "x", "success")
    for between in ([RUNNING], [unlisted], [unknown], [lost()] * 5):
        assert Scene(WELL, *between, WELL, WELL, limit=1800.0).wait().clock.slept[-1] == 2.0


def test_the_first_node_does_not_wait_for_itself() -> None:
    for own in ("running", "success", "failed", "no such word"):
        for looks in (nodes(own, "success", "success"), listed((2, "success"), (0, own), (1, "success"))):
            assert Scene(looks, looks).wait().clock.slept == [2.0]


@pytest.mark.parametrize(
    ("entries", "state"),
    [
        (["success", "success"], "success"),
        *((entries, "failed") for entries in (["failed", "success"], ["success", "failed"], ["running", "failed"])),
        *((entries, "running") for entries in (["running", "success"], ["success", "running", "success"])),
        (["running", "success", "canceled", "success"], "canceled"),
        (["success", ""], ""),
        (["", "success"], ""),
        ([], ""),
    ],
)
def test_a_node_that_is_listed_more_than_once_must_have_succeeded_in_every_entry(entries: Any, state: str) -> None:
    found = other_nodes([NodeState(0, "failed"), *(NodeState(1, status) for status in entries)], total=2)
    assert found == (NodeState(1, state),)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([], "1 2 unknown"),
        *(([(1, "success"), *more], "2 unknown") for more in ([], [(3, "success")], [{"index": 2}], [(2, [""])])),
        *(([(1, "success"), (2, word)], f"2 {word}") for word in ("queued", "on_hold", "SUCCESS", "x")),
    ],
)
def test_a_node_that_is_not_listed_or_in_a_state_that_nobody_knows_has_not_ended(entries: list[Any], told: str) -> None:
    assert Scene(at=lambda _: listed(*entries)).timeout.endswith(told)


# That one has not


@pytest.mark.parametrize(
    ("events", "words"),
    [
        *(([nodes("running", "running", word)], word) for word in ("failed", "canceled", "not_run", "retried")),
        ([nodes("running", "success", "failed", "timedout")], "failed, node 3 timedout"),  # one more than expected
        ([WELL, nodes("running", "success", "failed")], "failed"),  # although it had succeeded
    ],
)
def test_a_node_that_did_not_succeed_stops_it_at_once(events: list[Event], words: str) -> None:
    """The others are not waited for: the job has failed whatever becomes of them."""
    scene = Scene(*events)
    error = scene.fails(Stopped, "node-failed")
    assert error.message == f"not every node of job 12 has succeeded: node 2 {words}"
    assert (error.exit, len(scene.clock.slept)) == (ExitCode.STOPPED, len(events) - 1)
    assert [entry.outcome for entry in scene.report.triggers] == [Outcome.STOPPED, Outcome.NOT_SENT]


# What cannot be read


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([answer(401, {"message": "You must log in first."})], "answered 401: You must log in first."),
        ([answer(200, b"<html>")], "answered 200"),
        ([listed((1, "success"), (2, "success"), ("2", "failed"))], "answered 200"),
        ([answer(500)] * 5, "answered 500"),
        # later a no is believed at once, and silence the third time
        *(([RUNNING, answer(status)], f"answered {status}") for status in (401, 403, 404)),
        *(([RUNNING, *[trouble] * 15], "") for trouble in (answer(500), lost(), answer(503), refused_connection())),
    ],
)
def test_nodes_that_cannot_be_read(events: list[Event], said: str) -> None:
    error = Scene(*events, limit=1800.0).fails(FactUnavailable, "nodes-unknown")
    assert error.exit is ExitCode.UNDECIDED
    assert said in error.message
    assert "nothing was" not in error.message, "the last line says it, in the words of the command"
    assert ("token" in error.hints[0]) is said.startswith("answered 40")
    assert "--nodes first" in error.hints[-1]


@pytest.mark.parametrize("trouble", [answer(500), lost(), answer(503), refused_connection()])
def test_a_hiccup_later_is_tolerated_twice_in_a_row(trouble: Event) -> None:
    """A look is five attempts. A limit is none."""
    Scene(RUNNING, *[trouble] * 10, RUNNING, *[trouble] * 10, WELL, WELL, limit=1800.0).wait()
    Scene(RUNNING, *[answer(429)] * 15, *[trouble] * 10, WELL, WELL, limit=1800.0).wait()


@pytest.mark.parametrize("since", [0.0, 1.0])
def test_a_limit_that_lasts_long_is_obeyed_and_is_no_hiccup(since: float) -> None:
    def at(now: float) -> Any:
        if now < since:
            return RUNNING
        return answer(429, retry_after=f"{700 - now:.0f}") if now < 699 else WELL

    assert "within 600 s" in Scene(at=lambda _: answer(429), limit=600.0).timeout
    scene = Scene(at=at, limit=1800.0).wait()
    assert not any(1 < moment < 699 for moment in scene.moments)
    assert scene.console.longest_silence <= 60.0


# The deadline


@pytest.mark.parametrize("limit", [0.0, 1.0, 59.0, 600.0, 1800.0])
def test_the_deadline(limit: float) -> None:
    scene = Scene(at=lambda _: RUNNING, limit=limit)
    assert scene.timeout == f"the other nodes were not seen to succeed within {limit:.0f} s: 1 2 running"
    assert scene.clock.waited == limit


def test_success_must_have_been_read_a_second_time_at_the_deadline() -> None:
    assert Scene(at=lambda now: WELL if now >= 30 else RUNNING, limit=30.0).timeout.endswith("within 30 s: 1 2 success")
    assert Scene(at=lambda now: WELL if now >= 7 else RUNNING, limit=8.0).wait().clock.waited == 8.0


def test_a_line_for_each_change_and_none_between() -> None:
    half = nodes("running", "success", "running")
    assert Scene(RUNNING, RUNNING, half, nodes("x", "success", "running"), WELL, WELL).wait().console.infos == [
        "nodes: 1 2 running",
        "nodes: 1 success, 2 running",
        "nodes: 1 2 success",
        "the other 2 nodes of job 12 succeeded",
    ]


def test_a_job_without_a_number_cannot_be_asked_about() -> None:
    error = Scene(total=4, job=None).fails(EnvironmentInvalid, "job-unknown")
    assert "3 nodes" in error.message
    assert "--nodes first" in error.hints[-1]


# Has the branch moved on? Only where a newer commit is known; what cannot be read stops nothing

OLD_SHA = "0123456789012345678901234567890123456789"
UNREADABLE = Head(None, "no answer within 30 s")
UNREAD = "the head of branch main could not be read (no answer within 30 s): nothing tells whether it moved on"
GONE = "is not in the repository any more"
LAGS = [2.0, 4.0, 8.0, 16.0]
UNCLEAR = f"is at {OLD_SHA}, which is not known to be newer"
MOVED = f"has moved on to {OTHER_SHA}, which is newer"
OURS, TAGGED = environ(), tag_environ("v1")


@pytest.mark.parametrize(
    ("of", "heads", "reason", "said", "slept"),
    [
        (OURS, [SHA], "", "", []),
        (OURS, [OTHER_SHA], f"branch main {MOVED}", "", []),
        (OURS, [OLD_SHA, OLD_SHA, SHA], "", "", LAGS[:2]),  # a host that is behind
        (OURS, [OLD_SHA, OTHER_SHA], f"branch main {MOVED}", "", LAGS[:1]),
        (OURS, [*[OLD_SHA] * 4, SHA], "", "", LAGS),
        (OURS, [UNREADABLE], "", UNREAD, []),
        (OURS, [OLD_SHA, UNREADABLE], "", UNREAD, LAGS[:1]),
        (OURS, [None], "", f"branch main {GONE}", []),
        (OURS, [OLD_SHA, None], "", f"branch main {GONE}", LAGS[:1]),
        (TAGGED, [OTHER_SHA], f"tag v1 {MOVED}", "", []),
        (TAGGED, [None], "", f"tag v1 {GONE}", []),
        (fork_environ(7), [SHA], "", "", []),
        # it may have been set back, or rewritten, or a host is behind: green without a deploy would be a lie
        *((of, [OLD_SHA], None, "", LAGS) for of in (OURS, TAGGED)),
    ],
)
def test_where_the_branch_or_tag_is(of: Any, heads: list[Any], reason: str | None, said: str, slept: Any) -> None:
    """Without a reason it is not known whether it has moved on, and that decides nothing."""
    remote = FakeRemote(heads, newer=frozenset({OTHER_SHA}))
    services = FakeServices(ScriptedTransport(), of, remote=remote)
    at = f"{'tag v1' if of is TAGGED else 'branch main'} {UNCLEAR}"
    if reason is not None:
        assert superseded_by(services) == reason
    else:
        error = failure(lambda: superseded_by(services), FactUnavailable, "undecided")
        assert (error.exit, f"{SHA} is still to be deployed: {at}" in error.message) == (ExitCode.UNDECIDED, True)
    told = [*(f"{at}: looking again in {pause:.0f} s" for pause in slept), *([said] if said else [])]
    assert [*services.console.infos, *services.console.warnings] == told
    assert (remote.asked, services.clock.slept) == ([services.build.ref] * (len(slept) + 1), slept)
