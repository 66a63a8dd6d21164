"""A parallel job: node 0 waits for the others, and every other node says one line."""

import pytest
from acceptance.process import Project
from acceptance.server import Answer
from acceptance.wire import JOB, LIST, LOST, MINE, POST, created_run, nodes, step


def test_of_two_processes_the_first_waits_and_deploys(project: Project) -> None:
    """What goes wrong while it asks is borne."""
    waiting = [nodes("running", "running"), Answer(500), LOST, Answer(429), nodes("running", "success")]
    routes = {**created_run(deploy="running"), JOB: waiting}
    other, server = step(project, routes, CIRCLE_NODE_INDEX="1", CIRCLE_NODE_TOTAL="2")
    assert (other.code, other.outcomes, server.requests) == (0, [], [])
    first, server = step(project, routes, CIRCLE_NODE_TOTAL="2")
    assert (first.code, first.outcomes, len(server.asked(POST))) == (0, ["triggered"], 1), first.err
    said = [line for line in first.err.splitlines() if line.startswith("nodes: ")]
    assert said == ["nodes: 1 running", "nodes: 1 success"]
    asked = [f"{r.method} {r.path}" for r in server.requests]
    assert asked[:8] == [*[JOB] * 6, MINE, LIST], "success is read twice, and before anything else"


@pytest.mark.parametrize(
    # with 20 a script that asks for the answer alone deploys on no other node
    ("arguments", "code"),
    [("run", 0), ("run --json", 0), ("plan", 0), ("gate production", 20)],
)
def test_another_node_says_one_line(project: Project, arguments: str, code: int) -> None:
    """Whatever the variable holds, on whatever terminal; it needs no token, and reads no rules."""
    project.write("nonsense: [")
    total = "\x1b[2J\u2603\N{RIGHT-TO-LEFT OVERRIDE}"
    variables = {"CIRCLE_NODE_INDEX": "2", "CIRCLE_NODE_TOTAL": total, "PYTHONIOENCODING": "ascii"}
    ended = project.call(*arguments.split(), CIRCLE_TOKEN=None, **variables)
    assert (ended.code, ended.err) == (code, "")
    shown = r"node 2 of \x1b[2J\u2603\u202e; node 0 decides"
    assert (ended.json["skipped"] if "--json" in arguments else ended.out) == shown + "\n" * ("--json" not in arguments)


@pytest.mark.parametrize("stream", [">/dev/full", ">&-"])
def test_another_node_whose_output_nobody_reads_ends_well(project: Project, stream: str) -> None:
    ended = project.shell(f"exec $STEP run {stream}", CIRCLE_NODE_INDEX="1", CIRCLE_NODE_TOTAL="2")
    assert (ended.code, ended.err) == (0, "")
