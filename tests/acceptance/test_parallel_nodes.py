"""A parallel job: node 0 waits for the others, and what becomes of them decides."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from acceptance.process import RULES, SOURCE, Project
from acceptance.server import Answer, ScriptedServer
from acceptance.wire import JOB, LIST, LOST, MINE, POST, created_run, nodes, read, rule, step
from builds import fork_environ

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAVY = {"argparse", "yaml", "requests", "urllib3", "subprocess", "socket", "json", "deploystep.cli"}
PARALLEL = {"CIRCLE_NODE_INDEX": "0", "CIRCLE_NODE_TOTAL": "3"}
RUNNING, WELL = nodes("running", "running", "running"), nodes("running", "success", "success")
FAILED = nodes("running", "success", "failed")


def listed(*states: tuple[int, str]) -> Answer:
    return read({"number": 12, "parallel_runs": [{"index": index, "status": status} for index, status in states]})


def test_the_others_are_waited_for(project: Project) -> None:
    seen = [RUNNING, nodes("running", "success", "running"), WELL, WELL]
    ended, server = step(project, {**created_run(deploy="running"), JOB: seen}, **PARALLEL)
    assert (ended.code, ended.outcomes) == (0, ["triggered"])
    lines = ended.err.splitlines()
    said = ["nodes: 1 2 running", "nodes: 1 success, 2 running", "nodes: 1 2 success"]
    assert [line for line in lines if line.startswith("nodes: ")] == said
    assert "all 2 other nodes of job 12 have succeeded" in lines
    paths = [f"{r.method} {r.path}" for r in server.requests]
    assert paths[:6] == [*[JOB] * 4, MINE, LIST], "success is read twice, and before anything else"


@pytest.mark.parametrize(
    ("job", "code", "outcome", "words"),
    [
        (FAILED, 9, "stopped", "node 2 failed"),
        ([RUNNING, FAILED], 9, "stopped", "node 2 failed"),
        ([WELL, FAILED], 9, "stopped", "node 2 failed"),
        ([WELL, nodes("running", "retried", "success")], 9, "stopped", "node 1 is retried"),
        (listed((1, "failed"), (1, "success"), (2, "success")), 9, "stopped", "node 1 failed"),
        (listed((1, "success"), (1, "failed"), (2, "success")), 9, "stopped", "node 1 failed"),
        (listed((1, "success"), (2, "canceled"), (2, "success"), (2, "success")), 9, "stopped", "node 2 was cancelled"),
        (nodes("failed", "success", "success"), 0, "triggered", ""),
        (nodes("running", "success", "a new word"), 12, "not-sent", "2 a new word"),
        (nodes("running", "success"), 12, "not-sent", "2 unknown"),
        (nodes("running", "success", None), 12, "not-sent", "2 unknown"),
        (Answer(404, {"message": "Job not found"}), 5, "not-sent", "Job not found"),
        (read({"parallel_runs": "?"}), 5, "not-sent", "cannot tell"),
        ([RUNNING, Answer(500), Answer(503), LOST, Answer(429), WELL, WELL], 0, "triggered", ""),
        ([RUNNING, *[Answer(500)] * 99], 5, "not-sent", "answered 500"),
        ([WELL, Answer(403), WELL], 5, "not-sent", "answered 403"),
    ],
)
def test_what_becomes_of_the_others(
    project: Project, job: Answer | Sequence[Answer], code: int, outcome: str, words: str
) -> None:
    ended, server = step(project, {**created_run(deploy="running"), JOB: job}, "--nodes-timeout", "90s", **PARALLEL)
    assert (ended.code, ended.outcomes) == (code, [outcome]), ended.err
    assert words in (ended.json["error"] or {"message": ""})["message"]
    assert len(server.asked(POST)) == (code == 0)
    if code:
        assert ended.last_line.endswith(": nothing was triggered")


def test_what_is_done_is_decided_after_the_wait(project: Project) -> None:
    """While the other nodes were waited for, a job that the rule requires has failed."""
    project.write(
        rule("workflow: deploy, parameters: {deploy: true}").replace("deploy: {w", "requires: test, deploy: {w")
    )
    jobs = "GET /api/v2/workflow/fda08377-fe7e-46b1-8992-3a7aaecac9c3/job"
    states = [read({"items": [{"name": "test", "status": status}]}) for status in ("success", "failed")]
    ended, server = step(project, {**created_run(deploy="running"), JOB: WELL, jobs: states}, **PARALLEL)
    assert (ended.code, ended.json["triggers"]) == (0, [])
    assert ended.json["rules"][0]["verdict"] == "held"
    assert server.asked(POST) == []


def test_they_need_not_be_waited_for(project: Project) -> None:
    ended, _ = step(project, created_run(deploy="running"), "--nodes", "first", **PARALLEL)
    assert (ended.code, ended.outcomes) == (0, ["triggered"])
    assert "warning: the other 2 nodes are not waited for" in ended.err


def test_nobody_waits_where_nothing_is_due(project: Project) -> None:
    ended, _ = step(project, {}, CIRCLE_BRANCH="feature/x", **PARALLEL)
    assert ended.code == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_they_are_waited_for(project: Project, number: signal.Signals, code: int) -> None:
    with ScriptedServer({JOB: RUNNING}) as server:
        ended = project.interrupted(number, server.url, lambda err: "nodes: 1 2 running" in err, **PARALLEL)
    assert (ended.code, ended.outcomes) == (code, ["not-sent"])
    assert ended.last_line.endswith(": nothing was triggered")


def test_a_fork_without_a_token_needs_no_jobs_either(project: Project) -> None:
    """A rule that requires a job cannot be judged without a token: in a fork that is normal, and no failure."""
    project.write(RULES.replace("{branch: main}", '{branch: "**", fork: true}\n        requires: test'))
    variables: Any = {**fork_environ(), "CIRCLE_TOKEN": None, **PARALLEL}
    ended, _ = step(project, {}, **variables)
    assert ended.code == 0
    assert ended.json["skipped"] == "a fork's build is not given the token, so nothing is sent"
    assert ended.json["rules"][0]["verdict"] == "unknown"


# Another node


def test_another_node_says_one_line(project: Project) -> None:
    project.write("nonsense: [")
    variables: Any = {"CIRCLE_NODE_INDEX": "2", "CIRCLE_NODE_TOTAL": "4", "CIRCLE_TOKEN": None}
    ended = project.call("run", **variables)
    assert (ended.code, ended.out, ended.err) == (0, "node 2 of 4; node 0 decides\n", "")
    ended = project.call("run", "--json", **variables)
    assert (ended.code, ended.json["rules"], ended.json["triggers"]) == (0, [], [])
    assert ended.json["skipped"] == "node 2 of 4; node 0 decides"


@pytest.mark.parametrize("arguments", [("run",), ("run", "--dry-run"), ("run", "--json"), ("plan",)], ids=" ".join)
def test_another_node_of_who_knows_how_many(project: Project, arguments: tuple[str, ...]) -> None:
    """Whatever the variable holds, on whatever terminal."""
    total = "\x1b[2J\u2603\N{RIGHT-TO-LEFT OVERRIDE}"
    ended = project.call(*arguments, CIRCLE_NODE_INDEX="2", CIRCLE_NODE_TOTAL=total, PYTHONIOENCODING="ascii")
    shown = r"node 2 of \x1b[2J\u2603\u202e; node 0 decides"
    assert ended.code == 0
    assert (ended.json["skipped"] if "--json" in arguments else ended.out.splitlines()[-1]) == shown


def test_another_node_imports_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "deploystep", "run"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(SOURCE), "CIRCLE_NODE_INDEX": "3", "CIRCLE_NODE_TOTAL": "4"},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "deploystep.core.nodes" in imported, "the list must be one of imports"
    assert imported & HEAVY == set()


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
