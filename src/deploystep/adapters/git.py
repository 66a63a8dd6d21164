"""git, as a subprocess: in the C locale, without the caller's GIT_* variables, and it never prompts."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from deploystep.adapters.files import unreadable
from deploystep.core.build import Repository
from deploystep.core.errors import UsageError
from deploystep.core.parameters import SECRET_VARIABLES

if TYPE_CHECKING:
    import subprocess

TIMEOUT: Final = 60.0


class GitRepository:
    """The clone that holds `folder`."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        # a folder of the checkout can look like a bare repository: its config would run commands, its refs would judge
        kept = {k: v for k, v in environ.items() if not k.startswith("GIT_") and k not in SECRET_VARIABLES}
        self._environ = {
            **kept,
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.bareRepository",
            "GIT_CONFIG_VALUE_0": "explicit",
        }

    def at(self, folder: Path) -> "GitRepository":
        """The clone that holds another folder."""
        return GitRepository(folder, self._environ)

    def show(self, ref: str, path: str, option: str = "--rules-ref") -> bytes:
        """A file's bytes at a ref, which `option` has named. Raises ToolError where there is none."""
        if not ref or ref.startswith(("-", ":")):  # an empty ref would mean the index: what is checked out
            raise UsageError("rules-ref", f"{option}: {ref!r} is not a git ref", "write for example origin/main")
        # git prefers a local branch or a tag of this very name: who calls one `origin/main` would bring his own rules
        full = f"refs/remotes/{ref}" if ref.startswith("origin/") else ref
        # `./` makes the path relative to this folder, as a plain --rules FILE is
        result = self.run("show", f"{full}:./{path}")
        if result is None:
            raise unreadable(path, f"cannot read {path} at {ref}: git cannot be run here", "is git installed?")
        if result.returncode != 0:
            complaint = first_error_line(result)
            if complaint in (_COMPLAINTS[0][1], _COMPLAINTS[1][1]):
                hint = "run the step in the clone that CircleCI's checkout step makes"
                raise unreadable(path, f"cannot read {path} at {ref}: {complaint}", hint)
            message = f"git has no {path} at {ref}"
            fetch = f"git fetch origin {ref.removeprefix('origin/')}"
            raise unreadable(path, message, f"possible causes: it is not fetched (run  {fetch}), or has no such file")
        return result.stdout

    def describe(self) -> Mapping[str, str]:
        """Branch, revision and project as a build's variables would name them; empty outside a clone."""
        revision = self._line("rev-parse", "--verify", "HEAD^{commit}")
        # not --short: where a tag has the branch's name, that gives heads/NAME
        head = self._line("symbolic-ref", "--quiet", "HEAD") or ""
        found = {
            "CIRCLE_SHA1": revision,
            "CIRCLE_BRANCH": head.removeprefix("refs/heads/"),
            **_project(self._line("remote", "get-url", "origin")),
        }
        return {name: value for name, value in found.items() if value}

    def resolve(self, ref: str) -> str | None:
        """The revision of a branch, tag or commit; None where there is none."""
        return None if ref.startswith("-") else self._line("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")

    def origin(self) -> Repository | None:
        """The repository that the remote `origin` names."""
        return Repository.parse(self._line("remote", "get-url", "origin"))

    def version(self) -> str | None:
        """The version of git; None where there is no git."""
        return (self._line("version") or "").removeprefix("git version ") or None

    def is_shallow(self) -> bool:
        """Whether commits are missing here that the repository has."""
        return self._line("rev-parse", "--is-shallow-repository") == "true"

    def default_branch(self) -> str:
        """What `origin/HEAD` names, else main, master or trunk where there is one, else what is checked out."""
        heads, remote = "refs/heads/", "refs/remotes/origin/"
        head = self._line("symbolic-ref", "--quiet", "HEAD")
        named = self._line("symbolic-ref", "--quiet", f"{remote}HEAD")
        there = [f"{place}{name}" for place in (heads, remote) for name, _ in self.refs(place.rstrip("/"))]
        usual = (f"{where}{name}" for where in (remote, heads) for name in ("main", "master", "trunk"))
        found = named or next((ref for ref in usual if ref in there), None) or head or next(iter(there), "main")
        return found.removeprefix(heads).removeprefix(remote)

    def files(self) -> tuple[str, ...] | None:
        """Every file that git tracks, by its path from the root of the clone; None outside one."""
        result = self.run("ls-files", "-z", "--full-name", ":/")
        if result is None or result.returncode != 0:
            return None
        return tuple(name.decode("utf-8", "surrogateescape") for name in result.stdout.split(b"\0") if name)

    def refs(self, *places: str) -> tuple[tuple[str, str], ...]:
        """Refs below some places (`refs/tags`), newest first: the name without its place, and the commit's revision."""
        form = "--format=%(refname)%00%(symref)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)"
        found = []
        for place in places:
            said = self.run("for-each-ref", "--sort=-creatordate", form, place)
            for line in said.stdout.decode("utf-8", "surrogateescape").splitlines() if said else ():
                name, symbolic, *objects = line.split("\0")
                commit = dict(zip(objects[::2], objects[1::2], strict=True)).get("commit")
                found += [(name.removeprefix(f"{place}/"), commit)] if commit and not symbolic else []
        return tuple(found)

    def _line(self, *arguments: str) -> str | None:
        result = self.run(*arguments)
        if result is None or result.returncode != 0:
            return None
        return result.stdout.decode("utf-8", "surrogateescape").rstrip("\n") or None

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[bytes] | None":
        """Run git; None where there is no git or it does not end."""
        from subprocess import TimeoutExpired  # noqa: PLC0415 - as below

        try:
            return self.ask(arguments)
        except TimeoutExpired:
            return None

    def ask(
        self,
        arguments: tuple[str, ...],
        *,
        timeout: float = TIMEOUT,
        more: Mapping[str, str] = MappingProxyType({}),
        is_apart: bool = False,
    ) -> "subprocess.CompletedProcess[bytes] | None":
        """Run git with more variables; None where there is no git. Raises TimeoutExpired where it does not end.

        `is_apart` takes the terminal away, on which ssh would ask for what nobody is there to answer.
        """
        import subprocess  # noqa: PLC0415 - most decisions ask git nothing

        try:
            return subprocess.run(  # noqa: S603 - a list of arguments, no shell
                ["git", *arguments],  # noqa: S607 - git is found where the build finds it
                cwd=self._folder,
                env={**self._environ, **more},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                check=False,
                start_new_session=is_apart,
            )
        except (OSError, ValueError):
            return None


def first_error_line(said: "subprocess.CompletedProcess[bytes]") -> str:
    """The first complaint of git in plain words; names of users and passwords are taken out of its URLs."""
    lines = said.stderr.decode("utf-8", "replace").strip().splitlines()
    first = next((line for line in lines if not line.startswith(("warning:", "hint:"))), "")
    first = re.sub(r"//[^/\s]*@", "//", first)
    for pattern, words in _COMPLAINTS:
        found = re.search(pattern, first)
        if found is not None:
            return found.expand(words)
    is_raw = first.startswith(("fatal: ", "error: "))
    return f"git says: {first.partition(': ')[2]}" if is_raw else first


#: What git says, and the same in words that can be read in the middle of a sentence.
_COMPLAINTS: Final = (
    ("not a git repository", "this folder is in no git clone"),
    ("dubious ownership", "git does not trust this clone, which another user owns (dubious ownership)"),
    (
        r"(?:bad object|bad revision|ambiguous argument|[Nn]ot a valid \w+ name|invalid object name) '?([^\s':]+)",
        r"\1 is not in this clone",
    ),
    ("'origin' does not appear to be a git repository", "this clone has no remote called origin"),
    (r"'([^']+)' does not appear to be a git repository", r"there is no git repository at \1"),
    (r"unable to access '([^']+)': (.*)", r"\1 cannot be reached (\2)"),
    (r"could not read \w+ for '([^']+)'", r"\1 asks who is there, and git has no credentials for it"),
    (r"Authentication failed for '([^']+)'", r"\1 does not accept the credentials"),
    (r"repository '([^']+)' not found", r"there is no git repository at \1"),
)


def _project(url: str | None) -> Mapping[str, str | None]:
    """Organization and repository from a remote's URL: `git@github.com:acme/shop.git` or with https."""
    remote = Repository.parse(url)
    organization, slash, name = remote.path.rpartition("/") if remote else ("", "", "")
    if remote is None or remote.vcs is None or not slash:
        return {}
    return {
        "CIRCLE_PROJECT_USERNAME": organization.rpartition("/")[2],
        "CIRCLE_PROJECT_REPONAME": name,
        # the remote's own URL may hold a password
        "CIRCLE_REPOSITORY_URL": f"https://{remote.host}/{organization.rpartition('/')[2]}/{name}",
    }
