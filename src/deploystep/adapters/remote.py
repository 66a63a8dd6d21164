"""Where the branches and tags of the clone's `origin` are now: `git ls-remote`, with the caller's SSH settings."""

import subprocess
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from deploystep.adapters.git import GitRepository, first_error_line
from deploystep.app.ports import Head
from deploystep.core.build import Branch, Tag
from deploystep.core.frozen import dataclass

TIMEOUT: Final = 30.0
#: What keeps CircleCI from building a commit, and among how many characters (CircleCI docs, "Skip or cancel jobs").
_SKIP: Final = ("[skip ci]", "[ci skip]")
_LOOKED_AT: Final = 250
#: How the caller reaches the remote; CircleCI's checkout step can set these.
_WAYS: Final = ("GIT_SSH_COMMAND", "GIT_SSH")
_DEPTH: Final = 50  # commits by which a shallow clone is deepened, to see what is between two of its own
_NONE: Final = 2  # git ls-remote --exit-code: no such ref


@dataclass(frozen=True, slots=True)
class Moved:
    """A ref that has moved: where the remote has it `now` (empty: nowhere), why that matters, and the cure."""

    now: str
    why: str
    cure: str


class GitRemote:
    """The `origin` of the clone that holds `folder`; it has `timeout` seconds to answer."""

    def __init__(self, folder: Path, environ: Mapping[str, str], timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._repository = GitRepository(folder, environ)
        self._fetched: set[str] = set()
        self._ways = {name: environ[name] for name in _WAYS if environ.get(name)}

    def head(self, ref: Branch | Tag) -> Head:
        """Where a branch or tag is; a tag's commit, not the tag object."""
        names = _names(ref)
        found = self.refs(names)
        if isinstance(found, str):
            return Head(None, found)
        return Head(next((found[name] for name in names if name in found), None))

    def is_skipped(self, revision: str) -> bool:
        """Whether the commit, where the clone has it, says `[skip ci]` in the first characters of title or body."""
        said = self._repository.run(
            "log", "-1", "--no-show-signature", "--encoding=UTF-8", "--format=%B", revision, "--"
        )
        if said is None or said.returncode != 0:
            return False
        title, _, body = said.stdout.decode("utf-8", "replace").partition("\n")
        return any(word in text.strip()[:_LOOKED_AT].lower() for text in (title, body) for word in _SKIP)

    def refs(self, names: Iterable[str]) -> Mapping[str, str] | str:
        """Where refs are, by full name, and which branch `HEAD` is; a text with the reason if nothing could be read."""
        try:
            said = self._repository.ask(
                ("ls-remote", "--symref", "--exit-code", "origin", *names),
                timeout=self._timeout,
                more=self._ways,
                is_apart=True,
            )
        except subprocess.TimeoutExpired:
            return f"no answer within {self._timeout:.0f} s"
        if said is None:
            return "git cannot be run here"
        if said.returncode not in (0, _NONE):
            return first_error_line(said) or "git does not answer"
        lines = (line.partition("\t") for line in said.stdout.decode("utf-8", "replace").splitlines())
        found: dict[str, str] = {}
        for value, _, name in lines:
            symbolic = value.startswith("ref: ")
            if name != "HEAD" and not symbolic:
                found[name] = value
            elif name == "HEAD" and symbolic:
                found[name] = value.removeprefix("ref: refs/heads/")
        return found

    def contains(self, revision: str, other: str) -> bool:
        """Whether `other` is known to be an ancestor of `revision`; a clone that lacks history fetches some more."""
        if self._is_ancestor(other, revision):
            return True
        is_known = self._is_whole and self._repository.resolve(revision) is not None
        if not is_known and revision not in self._fetched and self.fetch(revision, *self._filter):
            self._fetched.add(revision)
        return self._is_ancestor(other, revision)

    def _is_ancestor(self, other: str, revision: str) -> bool:
        said = self._repository.run("merge-base", "--is-ancestor", other, revision)
        return said is not None and said.returncode == 0

    @property
    def _filter(self) -> tuple[str, ...]:
        """In a clone that lacks blobs already; any other would become one that fetches them whenever it is used."""
        partial = self._repository.run("config", "--get", "remote.origin.promisor")
        return ("--filter=blob:none",) if partial is not None and partial.stdout.strip() == b"true" else ()

    @property
    def _is_whole(self) -> bool:
        shallow = self._repository.run("rev-parse", "--is-shallow-repository")
        return shallow is not None and shallow.stdout.strip() == b"false"

    def fetch(self, what: str, *more: str) -> bool:
        """Fetch a commit or a refspec once, in a shallow clone with some more history; whether it worked."""
        depth = () if self._is_whole else (f"--deepen={_DEPTH}",)  # --depth would take history away
        arguments = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *more, *depth)
        with suppress(subprocess.TimeoutExpired):
            said = self._repository.ask(
                ("-c", "gc.auto=0", *arguments, "origin", what), timeout=self._timeout, more=self._ways, is_apart=True
            )
            return said is not None and said.returncode == 0
        return False


class CurrentRefs:
    """The clone's branches and tags of `origin` beside those that it has now, read once for all `names`.

    A clone can be older than the build: restored from a cache, or made of one branch only. With `fetches`, what has
    moved is fetched. Where the remote cannot be read, that is said, and the clone is believed.
    """

    def __init__(
        self,
        remote: GitRemote,
        repository: GitRepository,
        names: Iterable[str],
        say: Callable[[str], None],
        *,
        fetches: bool,
    ) -> None:
        self.remote = remote
        self._repository = repository
        self._names = frozenset(names)
        self._say = say
        self._fetches = fetches
        self._read: Mapping[str, str] | str | None = None
        self._asked: frozenset[str] = frozenset()
        self._known: dict[tuple[str, bool], Moved | None] = {}

    @property
    def default_branch(self) -> str | None:
        """The branch that the remote calls its default; None where it does not tell."""
        return None if isinstance(read := self._refs(""), str) else read.get("HEAD")

    def moved(self, name: str, *, is_branch: bool = True) -> Moved | None:
        """How a branch (else a tag or branch) has moved since it was fetched; None where it is known not to have moved.

        None also where nobody can tell, or the clone does not have it.
        """
        if (name, is_branch) not in self._known:
            self._known[name, is_branch] = self._compared(name, is_branch=is_branch)
        return self._known[name, is_branch]

    def _compared(self, name: str, *, is_branch: bool) -> Moved | None:
        there = self._refs(name)
        if isinstance(there, str):
            return None
        tag, branch = f"refs/tags/{name}", f"refs/remotes/origin/{name}"
        places = [(branch, f"refs/heads/{name}")]
        if not is_branch:
            places = [(tag, f"{tag}^{{}}"), (tag, tag), *places]
        kept, here = next(((k, r) for k, _ in places if (r := self._repository.resolve(k))), ("", ""))
        target, source, now = next(((k, s, there[s]) for k, s in places if s in there), ("", "", ""))
        if here == now or (not now and kept != branch):
            return None  # a tag or commit that only the clone has is no ref of the remote's
        refspec = f"+{source.removesuffix('^{}')}:{target}"
        shown = f"origin/{name}" if (kept or target) == branch else f"tag {name}"
        if now and self._fetches and self.remote.fetch(refspec):
            self._say(
                f"{shown} was fetched: it is at {now[:7]}, and was {f'at {here[:7]}' if here else 'not'} in this clone"
            )
            return None
        if not here:
            return None
        if not now:
            why = f"{shown} is in this clone, and the remote has no such branch any more"
            return Moved("", why, "name a branch that the remote has")
        why = f"{shown} is at {here[:7]} in this clone, and at {now[:7]} in the remote"
        return Moved(now, why, f"run  git fetch origin {refspec}  first, or give --fetch")

    def _refs(self, name: str) -> Mapping[str, str] | str:
        if self._read is None or (name and name not in self._asked and not isinstance(self._read, str)):
            self._asked = self._names | self._asked | ({name} if name else set())
            forms = ("refs/heads/{}", "refs/tags/{}", "refs/tags/{}^{{}}")
            self._read = self.remote.refs(("HEAD", *(form.format(n) for n in sorted(self._asked) for form in forms)))
            if isinstance(self._read, str):
                self._say(f"where origin's branches are now could not be read ({self._read}): the clone is believed")
        return self._read


def _names(ref: Branch | Tag) -> tuple[str, ...]:
    """The full names under which a ref is listed, the best first."""
    if isinstance(ref, Tag):
        return f"refs/tags/{ref.name}^{{}}", f"refs/tags/{ref.name}"
    if ref.name.startswith("pull/"):  # a pull request of GitHub's: `pull/7`, and for the API `pull/7/head`
        name = ref.name if ref.name.count("/") > 1 else f"{ref.name}/head"
        return f"refs/{name}", f"refs/heads/{ref.name}"
    return (f"refs/heads/{ref.name}",)
