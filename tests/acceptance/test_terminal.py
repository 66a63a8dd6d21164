"""Streams: a wait on a terminal shows that it lives, elsewhere nothing is drawn; and nobody may read them at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deploystep.sandbox import parse_fault

if TYPE_CHECKING:
    from acceptance.process import Project

    from deploystep.sandbox import Sandbox


@pytest.mark.parametrize(
    ("columns", "more", "drawn"),
    [
        (80, {}, "deploystep run … 1 s"),
        (12, {}, "deploystep "),  # a second line of it would stay for ever
        (80, {"TERM": "dumb"}, ""),
        (80, {"CIRCLECI": "true"}, ""),
    ],
)
def test_a_wait_on_a_terminal_shows_that_it_lives(
    project: Project, circleci: Sandbox, columns: int, more: dict[str, str], drawn: str
) -> None:
    circleci.add_fault(parse_fault("late-after-create:1.5"))
    variables = {"CIRCLECI": None, "TERM": "xterm", **more}
    words = ("run", "--outside-ci", "--confirm", "1s")
    ended = project.on_a_terminal(circleci, *words, columns=columns, **variables)
    assert (ended.code, "\x1b" in ended.out) == (0, False), ended.err
    signs = {part.partition("\r")[0] for part in ended.err.split("\r\x1b[K")[1:]}
    assert signs >= ({drawn} if drawn else set())
    assert bool(signs) is bool(drawn)
    assert ended.err.endswith(("\n", "\x1b[K"))


@pytest.mark.parametrize("streams", ["| true", ">&-", "2>&-", ">/dev/full", "2>/dev/full", ">&- 2>&- <&-"])
def test_a_stream_that_nobody_reads(project: Project, circleci: Sandbox, streams: str) -> None:
    """The trigger is confirmed all the same, and the exit code is that of what happened."""
    ended = project.shell(f"$STEP run --confirm 1s {streams}; exit ${{PIPESTATUS[0]}}", circleci)
    assert (ended.code, "Exception ignored" in ended.err) == (0, False)
    assert len(circleci.runs) == 1
    assert circleci.requests[-1].path.endswith("/workflow"), "it was confirmed"
