"""A parallel job: node 0 waits for the others, and what becomes of them decides."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from acceptance.process import RULES, TOKEN, Project, triggers
from builds import fork_environ

from deploystep.sandbox import parse_fault
from deploystep.sandbox.jobs import JobState

if TYPE_CHECKING:
    from deploystep.sandbox import Sandbox

PARALLEL = {"CIRCLE_NODE_INDEX": "0", "CIRCLE_NODE_TOTAL": "3"}
JOB = "/api/v2/project/gh/acme/shop/job/12"


def readings(server: Sandbox) -> int:
    return sum(r.path == JOB for r in server.requests)


def test_the_others_are_waited_for(project: Project, circleci: Sandbox) -> None:
    then = [
        JobState(("running", "success", "running"), after_polls=1),
        JobState(("running", *["success"] * 2), after_polls=2),
    ]
    circleci.set_job("gh/acme/shop", 12, parallel_runs=["running"] * 3, then=then)
    ended = project.step(circleci, **PARALLEL, **project.without_waits())
    assert (ended.code, ended.outcomes) == (0, ["triggered"])
    lines = ended.err.splitlines()
    said = ["nodes: 1 2 running", "nodes: 1 success, 2 running", "nodes: 1 2 success"]
    assert [line for line in lines if line.startswith("nodes: ")] == said
    assert "all 2 other nodes of job 12 have succeeded" in lines
    paths = [r.path for r in circleci.requests]
    assert paths.count(JOB) == 4, "success is read twice"
    assert paths.index("/api/v2/project/gh/acme/shop/pipeline/run") > max(i for i, p in enumerate(paths) if p == JOB)


def test_one_that_failed(project: Project, circleci: Sandbox) -> None:
    circleci.set_job("gh/acme/shop", 12, parallel_runs=["running", "success", "failed"])
    ended = project.step(circleci, **PARALLEL)
    assert (ended.code, ended.outcomes) == (9, ["stopped"])
    assert "node 2 is failed" in ended.json["error"]["message"]
    assert ended.last_line == "exit 9 (stopped): nothing was triggered"
    assert triggers(circleci) == []


def test_one_that_fails_while_it_is_waited_for(project: Project, circleci: Sandbox) -> None:
    circleci.set_job("gh/acme/shop", 12, parallel_runs=["running"] * 3)
    circleci.add_fault(parse_fault("siblings:1"))
    ended = project.step(circleci, **PARALLEL)
    assert (ended.code, ended.json["exit"]["name"]) == (9, "stopped")
    assert triggers(circleci) == []


def test_the_time_is_up(project: Project, circleci: Sandbox) -> None:
    circleci.set_job("gh/acme/shop", 12, parallel_runs=["running", "success", "a new word"])
    ended = project.step(circleci, "--nodes-timeout", "1s", **PARALLEL)
    assert (ended.code, ended.outcomes) == (12, ["not-sent"])
    assert "within 1 s: 2 a new word; nothing was triggered" in ended.json["error"]["message"]
    assert ended.last_line == "exit 12 (timed-out): nothing was triggered"
    assert readings(circleci) == 2


def test_nodes_that_cannot_be_read(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci, **PARALLEL)
    assert (ended.code, ended.outcomes, ended.json["error"]["code"]) == (5, ["not-sent"], "nodes-unknown")
    assert ended.last_line == "exit 5 (undecided): nothing was triggered"


def test_hiccups_are_borne(project: Project, circleci: Sandbox) -> None:
    circleci.set_job("gh/acme/shop", 12, parallel_runs=["running", "success", "success"])
    for fault in ("500*2", "close", "429"):
        circleci.add_fault(parse_fault(f"GET {JOB} => {fault}"))
    ended = project.step(circleci, **PARALLEL, **project.without_waits())
    assert (ended.code, ended.outcomes) == (0, ["triggered"])


def test_they_need_not_be_waited_for(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci, "--nodes", "first", **PARALLEL)
    assert (ended.code, ended.outcomes) == (0, ["triggered"])
    assert "warning: the other 2 nodes are not waited for" in ended.err
    assert readings(circleci) == 0


def test_nobody_waits_where_nothing_is_due(project: Project, circleci: Sandbox) -> None:
    ended = project.step(circleci, CIRCLE_BRANCH="feature/x", **PARALLEL)
    assert (ended.code, circleci.requests) == (0, ())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_they_are_waited_for(
    project: Project, circleci: Sandbox, number: signal.Signals, code: int
) -> None:
    circleci.set_job("gh/acme/shop", 12, parallel_runs=["running"] * 3)
    ended = project.interrupted(number, circleci, lambda err: "nodes: 1 2 running" in err, **PARALLEL)
    assert (ended.code, ended.outcomes) == (code, ["not-sent"])
    assert ended.last_line.endswith(": nothing was triggered")
    assert triggers(circleci) == []


def test_a_fork_without_a_token_needs_no_jobs_either(project: Project, circleci: Sandbox) -> None:
    """A rule that requires a job cannot be judged without a token: in a fork that is normal, and no failure."""
    rules = RULES.replace("{branch: main}", '{branch: "**", fork: true}\n        requires: test')
    project.write(rules)
    variables: Any = {**fork_environ(), "CIRCLE_TOKEN": None, **PARALLEL}
    ended = project.step(circleci, **variables)
    assert ended.code == 0
    assert ended.json["skipped"] == "a fork's build is not given the token, so nothing is sent"
    assert ended.json["rules"][0]["verdict"] == "unknown"
    assert circleci.requests == ()


@pytest.mark.parametrize("close", ["", ">&-"])
def test_another_node_whose_output_nobody_reads_ends_well(project: Project, close: str) -> None:
    variables: dict[str, str | None] = {"CIRCLE_NODE_TOTAL": "2", "CIRCLE_NODE_INDEX": "1"}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            ["/bin/sh", "-c", f'exec "$0" -m deploystep run {close}', sys.executable],
            cwd=project.folder,
            env=project.environment(None, variables, ci=True),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_token_is_none_of_gits_business(project: Project, circleci: Sandbox) -> None:
    """By whatever name it goes, and under whatever second name."""
    (project.folder / "bin").mkdir()
    shim = project.folder / "bin" / "git"
    shim.write_text('#!/bin/sh\nenv >> "$HOME/seen"\nexit 128\n', encoding="utf-8")
    shim.chmod(0o755)
    ended = project.step(
        circleci,
        *("--token-env", "DEPLOY_KEY"),
        CIRCLE_TOKEN=None,
        DEPLOY_KEY=TOKEN,
        COPY=TOKEN,
        PATH=f"{shim.parent}:{os.environ['PATH']}",
    )
    assert ended.outcomes == ["triggered"]
    seen = (project.folder / "seen").read_text(encoding="utf-8")
    assert "HOME=" in seen
    assert TOKEN not in seen


def test_a_build_that_only_plays_says_so(project: Project) -> None:
    ended = project.call("run", "--sandbox", CIRCLE_TOKEN=None)
    assert ended.code == 0
    assert "warning: --sandbox: this build deploys nothing" in ended.err
