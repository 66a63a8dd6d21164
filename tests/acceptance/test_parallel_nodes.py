"""A parallel job: node 0 waits for the others, and what becomes of them decides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from acceptance.process import SOURCE, Project
from acceptance.server import Answer
from acceptance.wire import JOB, LIST, LOST, MINE, POST, created_run, nodes, read, step

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
    assert "the other 2 nodes of job 12 succeeded" in lines
    paths = [f"{r.method} {r.path}" for r in server.requests]
    assert paths[:6] == [*[JOB] * 4, MINE, LIST], "success is read twice, and before anything else"


@pytest.mark.parametrize(
    ("job", "code", "outcome", "words"),
    [
        (FAILED, 9, "stopped", "node 2 failed"),
        ([WELL, FAILED], 9, "stopped", "node 2 failed"),
        (listed((1, "success"), (1, "failed"), (2, "success")), 9, "stopped", "node 1 failed"),
        (nodes("failed", "success", "success"), 0, "triggered", ""),
        (nodes("running", "success", "a new word"), 12, "not-sent", "2 a new word"),
        (Answer(404, {"message": "Job not found"}), 5, "not-sent", "Job not found"),
        ([RUNNING, Answer(500), Answer(503), LOST, Answer(429), WELL, WELL], 0, "triggered", ""),
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
