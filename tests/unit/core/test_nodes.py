"""Is this another node? Asked before anything else."""

from __future__ import annotations

import pytest

from deploystep.core.nodes import other_node


@pytest.mark.parametrize("index", [None, "", "0", "00", "01", "<nil>", "-1", "x", "1.0", "²", "٣", " 1"])
def test_the_first_and_what_cannot_be_read(index: str | None) -> None:
    """What cannot be read is for the reader of the whole environment to refuse: nobody ends early on a guess."""
    environ = {"CIRCLE_NODE_TOTAL": "4"} | ({} if index is None else {"CIRCLE_NODE_INDEX": index})
    assert other_node(environ) is None


@pytest.mark.parametrize(
    ("total", "words"),
    [
        ("4", "node 2 of 4; node 0 decides"),
        ("", "node 2 of ?; node 0 decides"),
        ("\x1b[2J\n", r"node 2 of \x1b[2J\n; node 0 decides"),
        ("vier ☃\udcff", r"node 2 of vier \u2603\udcff; node 0 decides"),
    ],
)
def test_another(total: str, words: str) -> None:
    assert other_node({"CIRCLE_NODE_INDEX": "2", "CIRCLE_NODE_TOTAL": total}) == words
    assert other_node({"CIRCLE_NODE_INDEX": "10"}) == "node 10 of ?; node 0 decides"
