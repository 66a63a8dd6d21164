"""Completions as they are typed, in real shells."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploystep.app.options import COMMANDS, OPTIONS
from deploystep.cli.args import candidates
from deploystep.core.errors import UsageError

START = {"bash": "bash --noprofile --norc -i", "zsh": "zsh -f -i"}
BEFORE = {
    "bash": "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'",
    "zsh": "autoload -Uz compinit && compinit -u -D; setopt no_beep; unset zle_bracketed_paste",
}
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
#: What is typed after `deploystep` and before Tab, and the one word that its last can only mean.
TYPED = [
    ("comp", "completion"),
    ("run --dry", "--dry-run"),
    ("run --color al", "always"),
    ("run --wait --cancel", "--cancel-on-interrupt"),
    ("check --rules here/dep", "here/deploy staging.yml"),
    ("completion fi", "fish"),
    ("gate production -- here/dep", "here/deploy staging.yml"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/deploy staging.yml").touch()
    return tmp_path


def installed(shell: str, folder: Path) -> None:
    """Put the script for this shell into the folder; the test is skipped without the shell."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    with (folder / shell).open("wb") as script:
        subprocess.run([sys.executable, "-m", "deploystep", "completion", shell], stdout=script, check=True)


@contextmanager
def terminal(shell: str, folder: Path) -> Iterator[Callable[[str, str], None]]:
    """A shell that somebody types into: a function of what is typed and of what is then to be shown."""
    environ = {"PATH": PATH, "HOME": str(folder), "TERM": "dumb", "PS1": "$ ", "LC_ALL": "C.UTF-8"}
    pid, screen = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe(shell, START[shell].split(), environ)  # noqa: S606

    def expect(typed: str, expected: str) -> None:
        os.write(screen, typed.encode())
        shown, end = "", time.monotonic() + 20
        while expected not in shown:
            assert time.monotonic() < end, f"{expected!r} is not in {shown!r}"
            if select.select([screen], [], [], 0.2)[0]:
                shown += os.read(screen, 4096).decode(errors="replace")

    try:
        expect(f"{BEFORE[shell]}; source ./{shell}; stty -echo; PS1=; PS2=\n", "")
        expect("deploystep() { printf '<%s>' \"$@\"; echo; }\n", "")
        expect("echo re''ady\n", "ready\r\n")
        yield expect
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(screen)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_what_is_typed_is_completed(shell: str, folder: Path) -> None:
    """What stands for deploystep shows its words."""
    installed(shell, folder)
    with terminal(shell, folder) as expect:
        for text, meant in TYPED:
            expect(f"deploystep {text}\t\n", f"<{'><'.join([*text.split()[:-1], meant])}>")


@pytest.mark.parametrize(("text", "meant"), TYPED)
def test_fish_completes(text: str, meant: str, folder: Path) -> None:
    installed("fish", folder)
    command = ["fish", "--no-config", "-c", "source fish; complete -C $argv[1]", f"deploystep {text}"]
    environ = {"PATH": PATH, "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=True)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [meant], done.stderr


def test_every_command_and_option_is_there() -> None:
    def words(*typed: str) -> set[str]:
        return {line.partition("\t")[0] for line in candidates(list(typed))}

    with pytest.raises(UsageError, match="no SHELL is named"):
        words()
    assert words("comp") == {"completion"}
    assert words("") >= set(COMMANDS)
    for command in COMMANDS:
        flags = {option.flag for option in OPTIONS if command in option.commands and option.flag.startswith("-")}
        assert words(command, "--") == {*flags, "--help"}
