"""git, as a subprocess: in the C locale, without the caller's GIT_* variables, and it never prompts."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from deploystep.adapters.files import decoded, unreadable
from deploystep.core.build import Repository
from deploystep.core.errors import UsageError
from deploystep.core.frozen import Frozen
from deploystep.core.parameters import SECRET_VARIABLES
from deploystep.core.source import SourceFile

Environ: TypeAlias = Mapping[str, str]
NOT_HERE: Final = "run the step in the clone that CircleCI's checkout step makes"


class Said(Frozen):
    """What git said: its exit code (0 is yes, 1 often no, below 0 none), its output, its complaint in plain words."""

    returncode: int
    stdout: bytes
    complaint: str

    @property
    def text(self) -> str:
        """The output as text without its last line end."""
        return self.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    @property
    def names(self) -> tuple[str, ...]:
        """The output as names with NULs between them."""
        return tuple(filter(None, self.text.split("\0")))


class GitRepository:
    """The clone that holds `folder`."""

    def __init__(self, folder: Path, environ: Environ) -> None:
        self._folder = folder
        kept = {k: v for k, v in environ.items() if not k.startswith("GIT_") and k not in SECRET_VARIABLES}
        # a folder of the checkout can look like a bare repository: its config would run commands, its refs would judge
        bare = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.bareRepository", "GIT_CONFIG_VALUE_0": "explicit"}
        plain = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}
        self.environ = {**kept, **bare, **plain, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}

    def show(self, ref: str, *paths: str, option: str = "--rules-ref") -> SourceFile:
        """The first of these files that there is at a ref, which `option` has named. Raises ToolError without one."""
        if not ref or ref.startswith(("-", ":")):  # an empty ref would mean the index: what is checked out
            raise UsageError("rules-ref", f"{option}: {ref!r} is not a git ref", "write for example origin/main")
        # git prefers a local branch or a tag of this very name: who calls one `origin/main` would bring his own rules
        full = f"refs/remotes/{ref}" if ref.startswith("origin/") else ref
        # `./` makes the path relative to this folder, as a plain --rules FILE is
        tried = [(path, self.run("show", f"{full}:./{path}")) for path in paths]
        for path, said in tried:
            if said.returncode == 0:
                return decoded(path, said.stdout)
        fetch = f"git fetch origin {ref.removeprefix('origin/')}"
        causes = f"possible causes: it is not fetched (run  {fetch}), has no such file, or this is no clone"
        raise unreadable(paths[0], f"cannot read {paths[0]} at {ref}: {tried[0][1].complaint}", causes)

    def describe(self) -> Mapping[str, str]:
        """Branch, revision and project as a build's variables would name them; empty outside a clone."""
        # not --short: where a tag has the branch's name, that gives heads/NAME
        head = self._line("symbolic-ref", "--quiet", "HEAD") or ""
        found = {"CIRCLE_SHA1": self.resolve("HEAD"), "CIRCLE_BRANCH": head.removeprefix("refs/heads/")}
        remote = self.origin()
        if remote is not None and remote.vcs is not None and "/" in remote.path:
            organization, name = remote.path.split("/")[-2:]
            found |= {"CIRCLE_PROJECT_USERNAME": organization, "CIRCLE_PROJECT_REPONAME": name}
            # the remote's own URL may hold a password
            found["CIRCLE_REPOSITORY_URL"] = f"https://{remote.host}/{organization}/{name}"
        return {name: value for name, value in found.items() if value}

    def resolve(self, ref: str) -> str | None:
        """The revision of a branch, tag or commit; None where there is none."""
        return None if ref.startswith("-") else self._line("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")

    def commit(self, revision: str) -> Said:
        """A commit: its author's address, its committer's date and its message, with NULs between them."""
        how = ("--no-show-signature", "--no-mailmap", "--encoding=UTF-8", "--format=%ae%x00%cI%x00%B")
        return self.run("log", "-1", *how, revision, "--")

    def origin(self) -> Repository | None:
        return Repository.parse(self._line("remote", "get-url", "origin"))

    def version(self) -> str | None:
        """The version of git; None where there is no git."""
        return (self._line("version") or "").removeprefix("git version ") or None

    def is_shallow(self) -> bool | None:
        """Whether commits are missing here that the repository has; None where git does not tell."""
        return {"true": True, "false": False}.get(self._line("rev-parse", "--is-shallow-repository") or "")

    def default_branch(self) -> str:
        """What `origin/HEAD` names, else main, master or trunk where there is one, else what is checked out."""
        remote, local = "refs/remotes/origin/", "refs/heads/"
        usual = (f"{place}{name}" for place in (remote, local) for name in ("main", "master", "trunk"))
        named = self._line("symbolic-ref", "--quiet", f"{remote}HEAD") or next(filter(self.resolve, usual), None)
        found = named or self._line("symbolic-ref", "--quiet", "HEAD") or "main"
        return found.removeprefix(local).removeprefix(remote)

    def files(self) -> tuple[str, ...] | None:
        """Every file that git tracks, by its path from the root of the clone; None outside one."""
        said = self.run("ls-files", "-z", "--full-name", ":/")
        return said.names if said.returncode == 0 else None

    def refs(self, place: str) -> tuple[tuple[str, str], ...]:
        """Refs below a place (`refs/tags`), newest first: the name without the place, and the commit's revision."""
        form = "--format=%(refname)%00%(symref)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)"
        found = []
        for line in filter(None, self.run("for-each-ref", "--sort=-creatordate", form, place).text.split("\n")):
            name, symbolic, *objects = line.split("\0")
            commit = dict(zip(objects[::2], objects[1::2], strict=True)).get("commit")
            found += [(name.removeprefix(f"{place}/"), commit)] if commit and not symbolic else []
        return tuple(found)

    def _line(self, *arguments: str) -> str | None:
        said = self.run(*arguments)
        return (said.text or None) if said.returncode == 0 else None

    def run(self, *arguments: str, timeout: float = 60.0, more: Environ | None = None, is_apart: bool = False) -> Said:
        """Run git, with `more` variables; `is_apart` takes the terminal away, where ssh would ask nobody something."""
        import subprocess  # noqa: PLC0415 - most decisions ask git nothing

        try:
            done = subprocess.run(  # noqa: PLW1510, S603 - a list of arguments, no shell; git may say no
                ["git", *arguments],  # noqa: S607 - git is found where the build finds it
                cwd=self._folder, env={**self.environ, **(more or {})}, stdin=subprocess.DEVNULL, capture_output=True,
                timeout=timeout, start_new_session=is_apart,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Said(-1, b"", f"no answer within {timeout:.0f} s")
        except (OSError, ValueError):
            return Said(-1, b"", "git cannot be run here")
        return Said(done.returncode, done.stdout, plain(done.stderr) if done.returncode else "")


def plain(stderr: bytes) -> str:
    """The first complaint of git in plain words; names of users and passwords are taken out of its URLs."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    first = next((line for line in lines if not line.startswith(("warning:", "hint:"))), "git does not answer")
    first = re.sub(r"//[^/\s]*@", "//", first)
    missing = r"(?:bad object|bad revision|ambiguous argument|[Nn]ot a valid \w+ name|invalid object name) '?([^\s':]+)"
    for pattern, words in (
        ("not a git repository", "this folder is in no git clone"),
        ("dubious ownership", "git does not trust this clone, which another user owns (dubious ownership)"),
        (missing, r"\1 is not in this clone"),
        ("'origin' does not appear to be a git repository", "this clone has no remote called origin"),
        (r"could not read \w+ for '([^']+)'", r"\1 asks for credentials, and git has none for it"),
    ):
        if found := re.search(pattern, first):
            return found.expand(words)
    return re.sub("^(fatal|error): ", "git says: ", first)
