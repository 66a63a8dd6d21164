"""--wait: to the end of the deploy; and what a signal does then, or at any other moment."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from acceptance import process as process_module
from acceptance.process import Ended, Project, sandbox, until
from acceptance.server import Answer, ScriptedServer
from acceptance.wire import NEW, created_run, pipeline, read, step, workflows
from builds import OTHER_SHA

from deploystep.sandbox import Pace, Workflow

if TYPE_CHECKING:
    from deploystep.sandbox import Sandbox

SIGNALS = [
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "terminated"),
    (signal.SIGHUP, 143, "terminated"),
]


def endless() -> Sandbox:
    """A stand-in whose deploys go on for ever."""
    return sandbox(workflows=[Workflow("deploy", {"deploy": True}, outcome="running")])


STATES = f"{NEW}/workflow"


# Signals


def is_following(err: str) -> bool:
    return "production: workflow deploy: running" in err


@pytest.mark.parametrize(("number", "code", "name"), SIGNALS)
def test_a_signal_leaves_the_deploy_alone(project: Project, number: signal.Signals, code: int, name: str) -> None:
    with endless() as server:
        ended = project.interrupted(number, server, is_following, "--wait", "60s")
        assert [w.status for run in server.runs for w in run.workflows] == ["running"]
    assert (ended.code, ended.outcomes) == (code, ["triggered"])
    assert ended.last_line.startswith(f"{name}: rule production was triggered: http")


@pytest.mark.parametrize(("number", "code", "name"), SIGNALS)
def test_a_signal_cancels_the_deploy_where_that_is_wanted(
    project: Project, number: signal.Signals, code: int, name: str
) -> None:
    with endless() as server:
        ended = project.interrupted(number, server, is_following, "--wait", "60s", "--cancel-on-interrupt")
        assert [w.status for run in server.runs for w in run.workflows] == ["canceled"]
    assert (ended.code, ended.outcomes) == (code, ["triggered"])
    assert ended.last_line.endswith(" (CircleCI was told to cancel deploy)")
    assert ended.last_line.startswith(f"{name}: rule production was triggered: http")


def test_more_signals_do_not_keep_the_deploy_from_being_cancelled(project: Project) -> None:
    with endless() as server:
        with project.started(server, "--wait", "60s", "--cancel-on-interrupt") as process:
            until(lambda: is_following(project.said))
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM) * 3:
                process.send_signal(number)
            ended = project.ended(process)
        assert [w.status for run in server.runs for w in run.workflows] == ["canceled"]
    assert ended.code in (130, 143)
    assert "rule production was triggered: http" in ended.last_line


SILENT = Answer(closes=True, delay=60.0)


def silent_at_the_end(project: Project, *more: signal.Signals) -> tuple[Ended, float]:
    """A step that is terminated while it follows, and then waits for an answer that never comes."""
    routes = {**created_run(deploy="running"), STATES: [workflows(deploy="running")] * 2 + [SILENT]}
    options = ("--confirm", "5s", "--wait", "5m", "--cancel-on-interrupt")
    with ScriptedServer(routes) as server, project.started(server.url, *options) as process:
        until(lambda: is_following(project.said))
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        for number in more:
            until(lambda: len(server.asked(STATES)) > 2)
            time.sleep(0.7)
            process.send_signal(number)
        ended = project.ended(process)
        return ended, time.monotonic() - began


def test_a_second_signal_ends_what_the_first_asked_for(project: Project) -> None:
    ended, took = silent_at_the_end(project, signal.SIGINT)
    assert (ended.code, took < 3) == (143, True)
    assert ended.last_line.startswith("terminated: rule production was triggered: http")
    assert ended.last_line.endswith(" (none of its workflows was cancelled)")


def test_what_a_signal_asked_for_has_a_limit(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "PATIENCE", 30.0)
    ended, took = silent_at_the_end(project)
    assert (ended.code, 19 < took < 23) == (143, True)
    assert ended.last_line.endswith(" (none of its workflows was cancelled)")


def test_one_bad_answer_does_not_end_what_a_signal_asked_for(project: Project) -> None:
    seen = [workflows(deploy="running", other="running")] * 3
    routes = {
        **created_run(),
        STATES: [*seen[:2], Answer(502), *seen],
        "POST /api/v2/workflow/w-deploy/cancel": [Answer(502), Answer(202, {})],
        "POST /api/v2/workflow/w-other/cancel": Answer(403, {}),
    }
    with ScriptedServer(routes) as server:
        options = ("--confirm", "5s", "--wait", "5m", "--cancel-on-interrupt")
        ended = project.interrupted(signal.SIGTERM, server.url, is_following, *options)
    assert ended.code == 143
    assert ended.last_line.endswith(" (CircleCI was told to cancel deploy; NOT cancelled: other)")


def test_a_signal_while_a_run_of_another_commit_is_cancelled(project: Project) -> None:
    routes = {
        **created_run(deploy="running", other="running"),
        NEW: read(pipeline(vcs={"revision": OTHER_SHA, "branch": "main"})),
        "POST /api/v2/workflow/w-deploy/cancel": Answer(202, {}),
        "POST /api/v2/workflow/w-other/cancel": SILENT,
    }
    with ScriptedServer(routes) as server:
        is_told = "POST /api/v2/workflow/w-other/cancel"
        ended = project.interrupted(signal.SIGTERM, server.url, lambda _: bool(server.asked(is_told)))
    assert ended.code == 143
    other = f"it is of another commit, {OTHER_SHA[:7]}; CircleCI was told to cancel deploy; NOT cancelled: other"
    assert ended.last_line.endswith(f" ({other})")


IN_A_FINALIZER = """
    import os, signal, time

    class Late:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([], 0.1)

    pause = time.sleep

    def sleep(seconds, made=[]):
        if seconds > 0.1 and not made:
            made.append(Late)
            Late()
            signal.setitimer(signal.ITIMER_REAL, 0) if {is_alarm_lost} else None
        pause(seconds)

    time.sleep = sleep
    """


@pytest.mark.parametrize("is_alarm_lost", [False, True])
def test_a_signal_that_a_finalizer_swallows_is_heard_all_the_same(project: Project, is_alarm_lost: bool) -> None:  # noqa: FBT001 - a column
    variables = project.without_waits(IN_A_FINALIZER.format(is_alarm_lost=is_alarm_lost))
    with endless() as server:
        with project.started(server, "--wait", "60s", **variables) as process:
            ended = project.ended(process)
        assert len(server.runs) == 1
    assert (ended.code, ended.outcomes) == (143, ["triggered"])
    assert "Exception ignored" not in ended.err
    assert ended.last_line.startswith("terminated: rule production was triggered: http")


def test_a_hangup_that_is_ignored_stays_ignored(project: Project, circleci: Sandbox) -> None:
    """As `nohup` has it."""
    command = f"trap '' HUP; {sys.executable} -m deploystep run --confirm 1s & sleep 0.4; kill -HUP $!; wait $!"
    done = subprocess.run(
        ["bash", "-c", command], cwd=project.folder, env=project.environment(circleci, {}, ci=True), check=False
    )
    assert done.returncode == 0


def holds_signals(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has begun to keep signals for later; before that it is no more than an interpreter."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    blocked = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk")), 0)
    return bool(blocked & (1 << (signal.SIGTERM - 1)))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="whether signals are held is asked of /proc")
@pytest.mark.parametrize(("number", "code", "name"), SIGNALS)
def test_a_signal_right_at_the_start(
    project: Project, circleci: Sandbox, number: signal.Signals, code: int, name: str
) -> None:
    with project.started(circleci) as process:
        until(lambda: holds_signals(process))
        process.send_signal(number)
        ended = project.ended(process)
    assert (ended.code, ended.json["exit"]) == (code, {"code": code, "name": name})
    assert ended.last_line == f"{name}: nothing was triggered"
    assert not circleci.requests


LAST = {
    "not-sent": "nothing was triggered",
    "uncertain": "whether it was accepted is not known",
    "triggered": "rule production was triggered: http",
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="whether signals are held is asked of /proc")
@pytest.mark.parametrize("seed", range(8))
def test_a_signal_at_any_moment(project: Project, seed: int) -> None:
    """What is told is what happened: whatever runs was told of, and what is said not to run does not."""
    delay = random.Random(seed).uniform(0.0, 0.7)  # noqa: S311 - the same moments in every run of the tests
    with sandbox(pace=Pace(appear=0.2, finish=0.4)) as server:
        with project.started(server, "--confirm", "5s") as process:
            until(lambda: holds_signals(process))
            time.sleep(delay)
            process.send_signal(signal.SIGTERM)
            ended = project.ended(process)
        alive = len(server.runs)
    outcome = (ended.outcomes or ["not-sent"])[0]
    assert ended.code in (0, 143)
    assert alive <= 1
    assert outcome in LAST
    assert outcome == "uncertain" or alive == (outcome == "triggered")
    if ended.code == 143:
        assert LAST[outcome] in ended.last_line
    else:
        assert outcome == "triggered"


def test_what_cancels_nothing_says_so(project: Project) -> None:
    routes = created_run(deploy="success")
    alone, _ = step(project, routes, "--cancel-on-interrupt")
    assert (alone.code, alone.outcomes) == (0, ["triggered"])
    assert "warning: --cancel-on-interrupt cancels nothing without --wait" in alone.err
    assert "cancels nothing" not in step(project, routes, "--cancel-on-interrupt", "--wait", "10s")[0].err
