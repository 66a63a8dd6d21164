"""A wait on a terminal shows that it lives; where stderr is no terminal, or in a build, nothing is drawn."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deploystep.sandbox import parse_fault

if TYPE_CHECKING:
    from acceptance.process import Project

    from deploystep.sandbox import Sandbox


@pytest.mark.parametrize(("more", "is_drawn"), [({}, True), ({"TERM": "dumb"}, False), ({"CIRCLECI": "true"}, False)])
def test_a_wait_on_a_terminal_shows_that_it_lives(
    project: Project,
    circleci: Sandbox,
    more: dict[str, str],
    is_drawn: bool,  # noqa: FBT001 - the expected answer
) -> None:
    circleci.add_fault(parse_fault("late-after-create:2"))
    master, slave = pty.openpty()
    environ = project.environment(circleci, {"CIRCLECI": None, "TERM": "xterm", **more}, ci=True)
    command = [sys.executable, "-m", "deploystep", "run", "--outside-ci", "--confirm", "1s"]
    with subprocess.Popen(command, cwd=project.folder, env=environ, stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        said = b""
        while part := _read(master):
            said += part
        assert process.stdout is not None
        assert b"\x1b" not in process.stdout.read()
    os.close(master)

    assert process.returncode == 0, said
    assert ("deploystep run … 1 s".encode() in said) is is_drawn
    assert (b"\r\x1b[K" in said) is is_drawn
    assert said.endswith((b"\n", b"\x1b[K"))


def _read(master: int) -> bytes:
    try:
        return os.read(master, 4096)
    except OSError:  # the other end is closed
        return b""
