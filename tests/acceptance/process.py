"""`python -m deploystep` as a process, in an environment that is built and not inherited."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from textwrap import dedent
from typing import Any

import pytest
from builds import PIPELINE, SHA, environ

import deploystep
from deploystep.sandbox import Pace, Sandbox, Workflow

TOKEN = "cci-personal-0123456789abcdef+/="
SOURCE = Path(deploystep.__file__).resolve().parents[1]  # the clone, or where the wheel is installed
RULES = """
    version: 1
    rules:
      - name: production
        environment: production
        when: {branch: main}
        deploy: {workflow: deploy, parameters: {deploy: true, sha: "${CIRCLE_SHA1}", retries: 3}}
    """
PATIENCE = 15.0
#: Python imports this before anything else. The short pauses are those in which `subprocess` waits for a process.
JUMPING = """
    import time
    passed = [0.0]
    monotonic, pause = time.monotonic, time.sleep
    time.sleep = lambda seconds: pause(seconds) if seconds <= 0.1 else passed.append(seconds)
    time.monotonic = lambda: monotonic() + sum(passed)
    """


@dataclass(frozen=True)
class Ended:
    """What a process left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout; anything besides it fails the test."""
        return json.loads(self.out)

    @property
    def last_line(self) -> str:
        return self.err.strip().splitlines()[-1]

    @property
    def outcomes(self) -> list[str]:
        return [trigger["outcome"] for trigger in self.json["triggers"]]


def sandbox(**settings: Any) -> Sandbox:
    """A mock CircleCI server that takes one token; main is where the build says it is, and deploys outlast the test."""
    usual: dict[str, Any] = {"token": TOKEN, "projects": ["gh/acme/shop"], "heads": {"main": SHA}}
    usual |= {"workflows": [Workflow("deploy", {"deploy": True})], "pace": Pace(appear=0.0, finish=60.0)}
    started = Sandbox(**{**usual, **settings}).start()
    started.add_build(PIPELINE, "gh/acme/shop", branch="main", revision=SHA)
    return started


class Project:
    """A folder in which a build's step runs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._progress = folder, folder / "stderr.txt"
        self.write(RULES)

    def write(self, text: str, path: str = ".circleci/deploy.yml") -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text).lstrip(), encoding="utf-8")

    def step(self, server: Sandbox | str | None, *arguments: str, **variables: str | None) -> Ended:
        """`deploystep run --json --confirm 1s`, as a build of main runs it."""
        return self.run(("run", "--json", "--confirm", "1s", *arguments), variables, server=server)

    def call(self, *arguments: str, server: Sandbox | str | None = None, **variables: str | None) -> Ended:
        """Any command, in a build of main."""
        return self.run(arguments, variables, server=server)

    def run(
        self, arguments: tuple[str, ...], variables: dict[str, str | None], *,
        server: Sandbox | str | None = None, stdin: str = "", ci: bool = True,
    ) -> Ended:  # fmt: skip
        """The most general form; `ci` is whether it is a build at all."""
        done = subprocess.run(
            self._command(arguments), cwd=self.folder, env=self.environment(server, variables, ci=ci),
            input=stdin.encode(), capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        return _ended(done.returncode, done.stdout, done.stderr)

    def shell(self, line: str, server: Sandbox | str | None = None, **variables: str | None) -> Ended:
        """A line of bash, in which `$STEP` is the command line's beginning."""
        environ = {**self.environment(server, variables), "STEP": " ".join(self._command(()))}
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=environ, capture_output=True, timeout=PATIENCE, check=False
        )
        return _ended(done.returncode, done.stdout, done.stderr)

    def on_a_terminal(self, server: Sandbox | None, *words: str, columns: int = 80, **variables: str | None) -> Ended:
        """Any command, with a terminal of this width for its stderr."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        environ, said = self.environment(server, variables), b""
        with TemporaryFile() as out:
            process = subprocess.Popen(self._command(words), cwd=self.folder, env=environ, stdout=out, stderr=slave)
            os.close(slave)
            with suppress(OSError), os.fdopen(master, "rb", buffering=0) as stream:  # until the other end is closed
                while part := stream.read(65536):
                    said += part
            process.wait()
            out.seek(0)
            return _ended(process.returncode, out.read(), said)

    @contextmanager
    def started(
        self, server: Sandbox | str | None, *arguments: str, **variables: str | None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """`run --json`, or `gate`, while it runs, in a process group of its own; afterwards it certainly has ended."""
        words = arguments if arguments[:1] == ("gate",) else ("run", "--json", *arguments)
        with self._progress.open("wb") as err, subprocess.Popen(
            self._command(words), cwd=self.folder, env=self.environment(server, variables),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def ended(self, process: subprocess.Popen[bytes]) -> Ended:
        """What a started process leaves behind when it ends by itself."""
        out, _ = process.communicate(timeout=PATIENCE)
        return _ended(process.returncode, out, self._progress.read_bytes())

    @property
    def said(self) -> str:
        """What a started process has written to stderr so far."""
        return self._progress.read_text(encoding="utf-8")

    def without_waits(self, custom: str = JUMPING) -> dict[str, str]:
        """Variables with which waits take no time in the process, and all its monotonic time passes nevertheless."""
        folder = self.folder / "jumping"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(dedent(custom), encoding="utf-8")
        return {"PYTHONPATH": f"{folder}{os.pathsep}{SOURCE}"}

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "deploystep", *arguments]

    def environment(
        self, server: Sandbox | str | None = None, variables: dict[str, str | None] | None = None, *, ci: bool = True
    ) -> dict[str, str]:
        usual = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "HOME": str(self.folder)}
        usual |= {k: v for k, v in os.environ.items() if k.startswith("COVERAGE_")}
        usual |= {"CIRCLE_TOKEN": TOKEN} | (environ() if ci else {})
        if server is not None:
            usual["DEPLOYSTEP_HOST"] = server if isinstance(server, str) else server.url
        return {name: value for name, value in {**usual, **(variables or {})}.items() if value is not None}


class Clone(Project):
    """A clone with rules in it, whose origin is an empty repository beside it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        origin = folder.parent / f"{folder.name}.git"
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(origin))
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", origin.as_uri())

    def git(self, *arguments: str) -> str:
        """What git says."""
        names = {f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", **names}
        done = subprocess.run(["git", *arguments], cwd=self.folder, env=environ, check=True, capture_output=True)
        return done.stdout.decode().strip()

    def commit(self, path: str = ".circleci/deploy.yml") -> str:
        """The revision of a new commit, with this file where it is new or has changed."""
        (self.folder / path).touch()
        self.git("add", path)
        self.git("commit", "--quiet", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def push(self) -> None:
        """Move main at the origin to where it is here."""
        self.git("push", "--quiet", "origin", "main")


def _ended(code: int, out: bytes, err: bytes) -> Ended:
    ended = Ended(code, out.decode(), err.decode())
    assert TOKEN not in ended.out + ended.err, "the token is shown"
    assert "Traceback" not in ended.err, ended.err
    return ended


def until(what: Callable[[], bool]) -> None:
    """Wait for it; that it never happens fails the test."""
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def ahead(request: pytest.FixtureRequest, play: Callable[[Any], Any]) -> Iterator[Callable[[Any], Any]]:
    """Play every `row` that this module's tests will ask for, four at once; gives what a row has come to."""
    request.getfixturevalue("tmp_path_factory").getbasetemp()  # made once, not by each of the threads
    here = [item for item in request.session.items if item.path == request.path]
    rows = [f.callspec.params["row"] for f in here if isinstance(f, pytest.Function) and "row" in f.fixturenames]
    with ThreadPoolExecutor(4) as pool:
        played = {id(row): pool.submit(play, row) for row in rows}
        yield lambda row: played[id(row)].result()


def triggers(server: Sandbox) -> list[Any]:
    """Every POST that would start something, received and recorded by the stand-in."""
    return [r for r in server.requests if r.method == "POST" and not r.path.endswith(("/cancel", "/search"))]
