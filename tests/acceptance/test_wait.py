"""What a signal does: at the start, at any moment, and with --wait, where it may ask for the deploy to be cancelled."""

import random
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from acceptance.process import Project, sandbox, until
from acceptance.server import Answer, ScriptedServer
from acceptance.wire import NEW, created_run, workflows

from deploystep.sandbox import Pace, Sandbox, Workflow

STATES = f"{NEW}/workflow"
DONE = "rule production was triggered: http"


def endless() -> Sandbox:
    """A stand-in whose deploys go on for ever."""
    return sandbox(workflows=[Workflow("deploy", {"deploy": True}, outcome="running")])


def is_following(err: str) -> bool:
    return "production: workflow deploy: running" in err


# --cancel-on-interrupt


@pytest.mark.parametrize("numbers", [(signal.SIGHUP,), (signal.SIGTERM, signal.SIGINT, signal.SIGTERM) * 3])
def test_the_deploy_is_cancelled_where_that_is_wanted(project: Project, numbers: Sequence[signal.Signals]) -> None:
    """More signals at once do not keep it from being cancelled."""
    with endless() as server:
        with project.started(server, "--wait", "60s", "--cancel-on-interrupt") as process:
            until(lambda: is_following(project.said))
            for number in numbers:
                process.send_signal(number)
            ended = project.ended(process)
        assert [w.status for run in server.runs for w in run.workflows] == ["canceled"]
    assert (ended.code in (130, 143), ended.outcomes, "cancels nothing" in ended.err) == (True, ["triggered"], False)
    assert len(numbers) > 1 or ended.last_line.startswith(f"terminated: {DONE}")
    assert ended.last_line.endswith(" (CircleCI was told to cancel deploy)")


def seconds_of_silence(project: Project, *more: signal.Signals, python: str = "") -> float:
    """How long a step goes on that is terminated while it follows, and then waits for an answer that never comes."""
    silent = Answer(closes=True, delay=60.0)
    routes = {**created_run(deploy="running"), STATES: [workflows(deploy="running")] * 2 + [silent]}
    options = ("--confirm", "5s", "--wait", "5m", "--cancel-on-interrupt")
    with (
        ScriptedServer(routes) as server,
        project.started(server.url, *options, **project.without_waits(python)) as process,
    ):
        until(lambda: is_following(project.said))
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        for number in more:
            until(lambda: len(server.asked(STATES)) > 2)
            time.sleep(0.7)
            process.send_signal(number)
        ended = project.ended(process)
    assert ended.code == 143
    assert ended.last_line.startswith(f"terminated: {DONE}")
    assert ended.last_line.endswith(" (none of its workflows was cancelled)")
    return time.monotonic() - began


def test_a_second_signal_ends_what_the_first_asked_for(project: Project) -> None:
    assert seconds_of_silence(project, signal.SIGINT) < 3


def test_what_a_signal_asked_for_has_a_limit_of_twenty_seconds(project: Project) -> None:
    """Here they pass ten times as fast."""
    fast = "import time\nreal = time.monotonic\ntime.monotonic = lambda: 10 * real()\n"
    assert 1.9 < seconds_of_silence(project, python=fast) < 5


# Signals that are swallowed or ignored

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
        pause(seconds)

    time.sleep = sleep
    """


def test_a_signal_that_a_finalizer_swallows_is_heard_all_the_same(project: Project) -> None:
    variables = project.without_waits(IN_A_FINALIZER)
    with endless() as server, project.started(server, "--wait", "60s", **variables) as process:
        ended = project.ended(process)
        assert len(server.runs) == 1
    assert (ended.code, ended.outcomes, "Exception ignored" in ended.err) == (143, ["triggered"], False)
    assert ended.last_line.startswith(f"terminated: {DONE}")


def test_a_hangup_that_is_ignored_stays_ignored(project: Project, circleci: Sandbox) -> None:
    """As `nohup` has it."""
    line = "trap '' HUP; $STEP run --confirm 1s & sleep 0.4; kill -HUP $!; wait $!"
    assert project.shell(line, circleci).code == 0


# At any moment


def holds_signals(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has begun to keep signals for later; before that it is no more than an interpreter."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    blocked = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk")), 0)
    return bool(blocked & (1 << (signal.SIGTERM - 1)))


LAST = {"not-sent": "nothing was triggered", "uncertain": "whether it was accepted is not known", "triggered": DONE}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="whether signals are held is asked of /proc")
@pytest.mark.parametrize("seed", range(5))
def test_a_signal_at_any_moment(project: Project, seed: int) -> None:
    """What is told is what happened: whatever runs was told of, and what is said not to run does not."""
    # the first right at the start; the others at the same moments in every run of the tests
    delay = random.Random(seed).uniform(0.0, 0.7) if seed else 0.0  # noqa: S311
    with sandbox(pace=Pace(appear=0.2, finish=0.4)) as server:
        with project.started(server, "--confirm", "5s") as process:
            until(lambda: holds_signals(process))
            time.sleep(delay)
            process.send_signal(signal.SIGTERM)
            ended = project.ended(process)
        alive = len(server.runs)
    outcome = (ended.outcomes or ["not-sent"])[0]
    assert alive <= 1
    assert seed or (ended.code, ended.json["exit"]["name"], alive) == (143, "terminated", 0)
    assert outcome == "uncertain" or alive == (outcome == "triggered")
    assert (ended.code, outcome) == (0, "triggered") or (ended.code == 143 and LAST[outcome] in ended.last_line)
