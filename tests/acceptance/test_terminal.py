"""A wait on a terminal shows that it lives; where stderr is no terminal, or in a build, nothing is drawn."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
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
    project: Project,
    circleci: Sandbox,
    columns: int,
    more: dict[str, str],
    drawn: str,
) -> None:
    circleci.add_fault(parse_fault("late-after-create:2"))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
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
    signs = {part.partition(b"\r")[0] for part in said.split(b"\r\x1b[K")[1:]}
    assert signs >= ({drawn.encode()} if drawn else set())
    assert bool(signs) is bool(drawn)
    assert said.endswith((b"\n", b"\x1b[K"))


def _read(master: int) -> bytes:
    try:
        return os.read(master, 4096)
    except OSError:  # the other end is closed
        return b""
