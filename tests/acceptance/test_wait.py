"""--wait: to the end of the deploy; and what a signal does then, or at any other moment."""

from __future__ import annotations

import random
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from acceptance.process import Project, sandbox, until

from deploystep.sandbox import Pace, Workflow

if TYPE_CHECKING:
    import subprocess

    from deploystep.sandbox import Sandbox

SIGNALS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]


def ending(outcome: str, **more: object) -> Sandbox:
    return sandbox(workflows=[Workflow("deploy", {"deploy": True}, outcome=outcome, **more)], pace=Pace(0.0, 0.5))  # type: ignore[arg-type]


def test_it_ends_well(project: Project) -> None:
    with ending("success") as server:
        ended = project.step(server, "--wait", "20s")
    assert (ended.code, ended.outcomes) == (0, ["triggered"])
    assert ended.json["triggers"][0]["workflows"] == [{"name": "deploy", "status": "success"}]
    said = [line for line in ended.err.splitlines() if line.startswith("production: ")]
    assert said == ["production: workflow deploy is running", "production: workflow deploy is success"]


@pytest.mark.parametrize("outcome", ["failed", "canceled"])
def test_it_ends_badly(project: Project, outcome: str) -> None:
    with ending(outcome) as server:
        ended = project.step(server, "--wait", "20s")
    assert (ended.code, ended.json["exit"]["name"], ended.outcomes) == (11, "deploy-failed", ["triggered"])
    assert ended.json["triggers"][0]["workflows"] == [{"name": "deploy", "status": outcome}]
    assert f"workflow deploy is {outcome}" in ended.json["error"]["message"]
    assert "rule production was triggered: " in ended.last_line


def test_it_does_not_end_in_time(project: Project) -> None:
    with ending("running") as server:
        ended = project.step(server, "--wait", "1s")
    assert (ended.code, ended.json["exit"]["name"], ended.outcomes) == (12, "timed-out", ["triggered"])
    assert "has not ended within 1 s: workflow deploy is running" in ended.json["error"]["message"]


def test_it_waits_for_a_person(project: Project) -> None:
    with ending("on_hold") as server:
        ended = project.step(server, "--wait", "2s")
    assert ended.code == 12
    held = [line for line in ended.err.splitlines() if "is on hold" in line]
    assert len(held) == 1
    assert re.fullmatch(r"warning: workflow deploy is on hold: approve it at \S+/workflows/\S+", held[0])


def test_circlecis_own_rerun_counts(project: Project) -> None:
    with ending("failed", reruns=["success"]) as server:
        ended = project.step(server, "--wait", "20s")
    assert (ended.code, ended.outcomes) == (0, ["triggered"])


def test_a_rerun_follows_what_was_triggered_before(project: Project) -> None:
    with sandbox(pace=Pace(0.0, 0.0)) as server:
        project.step(server)
        ended = project.step(server, "--wait", "20s")
        assert len(server.runs) == 1
    assert (ended.code, ended.outcomes) == (0, ["already-triggered"])
    assert ended.json["triggers"][0]["workflows"] == [{"name": "deploy", "status": "success"}]


# Signals


def is_following(err: str) -> bool:
    return "production: workflow deploy is running" in err


@pytest.mark.parametrize(("number", "code", "name"), SIGNALS)
def test_a_signal_leaves_the_deploy_alone(project: Project, number: signal.Signals, code: int, name: str) -> None:
    with ending("running") as server:
        ended = project.interrupted(number, server, is_following, "--wait", "60s")
        assert [w.status for run in server.runs for w in run.workflows] == ["running"]
    assert (ended.code, ended.outcomes) == (code, ["triggered"])
    assert ended.last_line.startswith(f"{name}: rule production was triggered: http")


@pytest.mark.parametrize(("number", "code", "name"), SIGNALS)
def test_a_signal_cancels_the_deploy_where_that_is_wanted(
    project: Project, number: signal.Signals, code: int, name: str
) -> None:
    with ending("running") as server:
        ended = project.interrupted(number, server, is_following, "--wait", "60s", "--cancel-on-interrupt")
        assert [w.status for run in server.runs for w in run.workflows] == ["canceled"]
    assert (ended.code, ended.outcomes) == (code, ["triggered"])
    assert "CircleCI was told to cancel workflow deploy" in ended.err
    assert ended.last_line.startswith(f"{name}: rule production was triggered: http")


def test_more_signals_do_not_keep_the_deploy_from_being_cancelled(project: Project) -> None:
    with ending("running") as server:
        with project.started(server, "--wait", "60s", "--cancel-on-interrupt") as process:
            until(lambda: is_following(project.said))
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM) * 3:
                process.send_signal(number)
            ended = project.ended(process)
        assert [w.status for run in server.runs for w in run.workflows] == ["canceled"]
    assert ended.code in (130, 143)
    assert "rule production was triggered: http" in ended.last_line


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
    assert circleci.requests == ()


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


def test_what_cancels_nothing_says_so(project: Project, circleci: Sandbox) -> None:
    alone = project.step(circleci, "--cancel-on-interrupt")
    assert (alone.code, alone.outcomes) == (0, ["triggered"])
    assert "warning: --cancel-on-interrupt cancels nothing without --wait" in alone.err
    assert "cancels nothing" not in project.step(circleci, "--cancel-on-interrupt", "--wait", "10s").err
