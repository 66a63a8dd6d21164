"""Real git repositories to build history in, by words."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploystep.adapters.git import GitRepository

GIT = shutil.which("git") or "git"
IDENTITY = {
    "GIT_AUTHOR_NAME": "Anna",
    "GIT_AUTHOR_EMAIL": "anna@acme.dev",
    "GIT_COMMITTER_NAME": "Robot",
    "GIT_COMMITTER_EMAIL": "robot@acme.dev",
}
SETTINGS = "[uploadpack]\nallowFilter = true\nallowAnySHA1InWant = true\n[gc]\nauto = 0\n"
#: Kinds of clones, with the options that make them.
CLONES = {
    "full": (),
    "blobless": ("--filter=blob:none",),
    "treeless": ("--filter=tree:0",),
    "shallow": ("--depth=1", "--no-single-branch"),
    "less-shallow": ("--depth=3", "--no-single-branch"),
    "single": ("--single-branch",),
    "single-without-tags": ("--single-branch", "--no-tags"),
}


class Repo:
    """A repository in a folder, which the product reads by `environ`."""

    def __init__(self, folder: Path, commits: int = 0) -> None:
        self.folder = folder
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
        self._seconds = 60 * commits

    def git(self, *arguments: str, text: bytes | None = None, environ: Mapping[str, str] | None = None) -> str:
        used = {**self.environ, **IDENTITY, **(environ or {})}
        command = [GIT, *arguments]
        done = subprocess.run(command, cwd=self.folder, env=used, input=text, check=True, capture_output=True)
        return done.stdout.decode().strip()

    def commit(self, *paths: str, message: str = "x", text: str = "", **environ: str) -> str:
        """Change these files and commit them, a minute after the last commit; without any, what is staged."""
        self._seconds += 60
        for path in paths:
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text or f"{self._seconds}", encoding="utf-8")
        if paths:
            self.git("add", "--all")
        date = f"{1_700_000_000 + self._seconds} +0000"
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        self.git("commit", "--quiet", "--allow-empty", "-m", message, environ={**dates, **environ})
        return self.head

    def grow(self, count: int) -> str:
        """So many commits on main at once, which change nothing."""
        start = 1_700_000_060 + self._seconds
        self._seconds += count
        commits = [f"commit refs/heads/main\ncommitter R <r@x> {start + n} +0000\ndata 0\n" for n in range(count)]
        commits[0] += "from refs/heads/main^0\n"
        self.git("fast-import", "--quiet", text="".join(commits).encode())
        return self.at("main")

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def at(self, ref: str) -> str:
        return self.git("rev-parse", f"{ref}^{{commit}}")

    def clone(self, *options: str, name: str = "clone") -> "Repo":
        made = Repo(self.folder.parent / name, self._seconds // 60)
        self.git("clone", "--quiet", *options, self.folder.as_uri(), str(made.folder))
        return made

    def play(self, script: str) -> "Repo":
        """Do what the script says, and return the repository that it ends in.

        `on BRANCH` makes a branch of main where there is none yet; `commit FILES`, `merge BRANCHES`; `clone OPTIONS`
        goes on in a clone; anything else is an argument list of git.
        """
        repo = self
        for step in filter(None, map(str.strip, script.split(";"))):
            word, *more = shlex.split(step)
            if word == "on":
                known = repo.git("branch", "--list", more[0])
                repo.git("checkout", "--quiet", *([more[0]] if known else ["-b", more[0], "main"]))
            elif word == "commit":
                repo.commit(*more)
            elif word == "merge" and not more[0].startswith("-"):
                repo.git("merge", "--quiet", "--no-ff", "--no-edit", "-m", "merge", *more)
            elif word == "clone":
                repo = repo.clone(*more)
            else:
                repo.git(word, *more)
        return repo

    def read(self, folder: str = ".", **environ: str) -> GitRepository:
        return GitRepository(self.folder / folder, {**self.environ, **environ})

    def program(self, name: str, body: str) -> Path:
        """A program of this name, in shell, beside the repository."""
        made = self.folder.parent / "bin" / name
        made.parent.mkdir()
        made.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        made.chmod(0o755)
        return made

    def wrap_git(self, line: str) -> None:
        """From now on git runs one line of shell first."""
        program = self.program("git", f'{line}\nexec {GIT} "$@"')
        self.environ["PATH"] = f"{program.parent}:{os.environ['PATH']}"


def new(folder: Path, *options: str) -> "Repo":
    folder.mkdir(parents=True)
    repo = Repo(folder)
    repo.git("init", "--quiet", "--initial-branch=main", "--template=", *options)
    with (folder / ".git" / "config").open("a", encoding="utf-8") as config:
        config.write(SETTINGS)
    return repo
