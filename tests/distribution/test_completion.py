"""Completions as they are typed, in real shells."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploystep.app.options import COMMANDS, OPTIONS
from deploystep.cli.args import candidates

DEPLOYSTEP = (sys.executable, "-m", "deploystep")
START = {
    "bash": ("bash", "--noprofile", "--norc", "-i"),
    "zsh": ("zsh", "-f", "-i"),
}
BEFORE = {
    "bash": "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'",
    "zsh": "autoload -Uz compinit && compinit -u -D; setopt no_beep; unset zle_bracketed_paste",
}
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
#: What is typed before Tab, and the one thing that it can only mean.
TYPED = [
    ("deploystep comp", "deploystep completion "),
    ("deploystep run --dry", "deploystep run --dry-run "),
    ("deploystep run --color al", "deploystep run --color always "),
    ("deploystep run --wait --cancel", "deploystep run --wait --cancel-on-interrupt "),
    ("deploystep check --rules here/dep", "deploystep check --rules here/deploy\\ staging.yml "),
    ("deploystep completion fi", "deploystep completion fish "),
    ("deploystep gate production -- here/dep", "deploystep gate production -- here/deploy\\ staging.yml "),
]


def printed(shell: str) -> str:
    return subprocess.run([*DEPLOYSTEP, "completion", shell], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/deploy staging.yml").touch()
    for shell in ("bash", "zsh", "fish"):
        (tmp_path / shell).write_text(printed(shell), encoding="utf-8")
    return tmp_path


def installed(shell: str) -> str:
    return shutil.which(shell) or pytest.skip(f"{shell} is not installed here")


class Terminal:
    """A shell that somebody types into."""

    def __init__(self, shell: str, folder: Path) -> None:
        environ = {"PATH": PATH, "HOME": str(folder), "TERM": "dumb", "PS1": "$ ", "LC_ALL": "C.UTF-8"}
        pid, self.screen = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execvpe(START[shell][0], START[shell], environ)  # noqa: S606
        self.pid = pid
        self.type(f"{BEFORE[shell]}; source ./{shell}; stty -echo; PS1=; PS2=\n")
        self.type("deploystep() { printf '<%s>' \"$@\"; echo; }\n")
        self.wait_for("echo re''ady\n", "ready\r\n")

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def wait_for(self, text: str, expected: str) -> str:
        """Type a text, and give what is shown up to what is expected."""
        self.type(text)
        shown, end = "", time.monotonic() + 20
        while expected not in shown:
            assert time.monotonic() < end, f"{expected!r} is not in {shown!r}"
            if select.select([self.screen], [], [], 0.2)[0]:
                shown += os.read(self.screen, 4096).decode(errors="replace")
        return shown

    def close(self) -> None:
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.screen)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_what_is_typed_is_completed(shell: str, folder: Path) -> None:
    installed(shell)
    terminal = Terminal(shell, folder)
    try:
        for text, completed in TYPED:
            # what stands for deploystep shows its words
            expected = "<" + "><".join(_words(completed)[1:]) + ">"
            terminal.wait_for(f"{text}\t\n", expected)
    finally:
        terminal.close()


def _words(line: str) -> list[str]:
    return [word.replace("\0", " ") for word in line.replace("\\ ", "\0").split()]


@pytest.mark.parametrize(("text", "completed"), TYPED)
def test_fish_completes(text: str, completed: str, folder: Path) -> None:
    installed("fish")
    done = subprocess.run(
        ["fish", "--no-config", "-c", "source fish; complete -C $argv[1]", text],
        cwd=folder,
        env={"PATH": PATH, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    words = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert words == [_words(completed)[-1]], done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_there(command: str) -> None:
    flags = {option.flag for option in OPTIONS if command in option.commands and option.flag.startswith("-")}
    assert {line.partition("\t")[0] for line in candidates(["comp"])} == {"completion"}
    assert command in {line.partition("\t")[0] for line in candidates([""])}
    assert {line.partition("\t")[0] for line in candidates([command, "--"])} == {*flags, "--help"}


def test_bash_finds_no_fault_in_its_script(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(printed("bash"), encoding="utf-8")
    checker = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([checker, "-s", "bash", tmp_path / "script"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("arguments", [(), ("ksh",), ("bash", "zsh")])
def test_one_known_shell_is_to_be_named(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([*DEPLOYSTEP, "completion", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
