"""Facts about commits, from the clone: exact, or unavailable with the cure; and where its `origin` has its refs now.

Every command is git plumbing with `-z` and without renames: names come unquoted, a move out of a folder counts as a
change of that folder, and a blobless clone needs no remote. In a shallow clone git answers some of these questions
wrongly instead of not at all, so what depends on history that may be missing is not believed there.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final, TypeAlias

from deploystep.adapters.git import NOT_HERE, GitRepository, Said
from deploystep.app.ports import Head
from deploystep.core import facts
from deploystep.core.build import Branch, Tag
from deploystep.core.facts import Answered, Base, ChangedSince, IsMergedInto, Known, Question, Unavailable
from deploystep.core.frozen import dataclass

_DIFF: Final = (
    "diff-tree", "-r", "-z", "--no-renames", "--name-only", "--no-commit-id", "--ignore-submodules=none",
)  # fmt: skip
_UNSHALLOW: Final = "run  git fetch --unshallow  or use CircleCI's checkout step"
#: A code, and what cannot be told.
_FILES: Final = ("U101", "cannot tell which files changed")
_TRUST: Final = 'run  git config --global --add safe.directory "$PWD"  in the clone first'
_NO: Final = Said(1, b"", "")

_Say: TypeAlias = Callable[[str], object]
#: What keeps CircleCI from building a commit, and among how many characters (CircleCI docs, "Skip or cancel jobs").
_SKIP: Final = ("[skip ci]", "[ci skip]")
_LOOKED_AT: Final = 250
#: How the caller reaches the remote; CircleCI's checkout step can set these.
_WAYS: Final = ("GIT_SSH_COMMAND", "GIT_SSH")
_DEPTH: Final = 50  # commits by which a shallow clone is deepened, to see what is between two of its own
_NO_REF: Final = 2  # git ls-remote --exit-code


class GitHistory:
    """Answers questions about one revision with as few git calls as it takes."""

    def __init__(
        self, repository: GitRepository, revision: str, default_branch: str | None, current: "GitRemote | None" = None
    ) -> None:
        self._repository, self._named, self._current = repository, default_branch, current
        self._revision, self._short = revision, revision[:7]
        self._git = lru_cache(repository.run)

    def answer(self, question: Question) -> Answered:
        """The answer, or why there is none."""
        if isinstance(question, ChangedSince):
            return self._changed(question)
        if isinstance(question, IsMergedInto):
            return self._is_merged_into(question.branch)
        if self._commit.returncode != 0:
            return self._missing(self._commit, ("U103", f"cannot read commit {self._short}"))
        author, _, message = self._commit.text.split("\0", 2)
        return Known(author if isinstance(question, facts.AuthorOf) else message)

    @cached_property
    def default_branch(self) -> str | None:
        """The default branch: the one that the rule file names, else that of `origin/HEAD`; None without both."""
        if self._named is not None:
            return self._named
        said = self._git("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
        return said.text.removeprefix("refs/remotes/origin/") or None

    @cached_property
    def _commit(self) -> Said:
        return self._repository.commit(self._revision)

    def committed_at(self) -> datetime | None:
        """When the commit was made, by the committer's clock; None where the clone does not tell."""
        try:
            return datetime.fromisoformat(self._commit.text.split("\0")[1].replace("Z", "+00:00"))
        except (IndexError, ValueError):
            return None

    def _is_merged_into(self, branch: str) -> Answered:
        what = f"cannot tell whether {self._short} is on {branch}"
        moved = self._current.moved(branch) if self._current else None
        said = self._git("merge-base", "--is-ancestor", self._revision, f"refs/remotes/origin/{branch}")
        if moved is not None and self._current:
            # that the branch has only grown meanwhile is ordinary; where it takes a fetch, only a yes is worth one
            is_still_on = said.returncode == 0 and moved.now and self._current.contains(moved.now, self._revision)
            return Known(value=True) if is_still_on else Unavailable("U102", f"{what}: {moved.why}", moved.cure)
        if said.returncode == 0:
            return Known(value=True)
        return self._trouble(said, branch, ("U102", what)) or Known(value=False)

    def _changed(self, question: ChangedSince) -> Answered:
        if question.base is Base.LAST_DEPLOY:
            return self._changed_since_deploy(question.ref)
        if question.base is Base.PREVIOUS_COMMIT:
            return self._changed_in_commit()
        if question.base is Base.MERGE_BASE:
            return self._changed_since_merge_base()
        return self._changed_since_ref(question.ref or "")

    def _changed_in_commit(self) -> Answered:
        """Against the first parent; a root commit changed everything it holds."""
        said = self._git(*_DIFF, f"{self._revision}^1", self._revision, "--")
        if said.returncode == 0:
            return _files(said)
        trouble = self._trouble(_NO)
        if trouble is not None:
            return trouble
        # a parent can be known and still be missing: only what has none is a root
        roots = self._git("rev-list", "--no-walk", "--max-parents=0", self._revision, "--")
        if roots.returncode == 0 and not roots.stdout:
            return _unknown(f"the commit before {self._short} is not in this clone", NOT_HERE)
        return self._changed_from("")

    def _changed_since_merge_base(self) -> Answered:
        branch = self.default_branch
        if branch is None:
            why = "the rule file names no default branch, and the clone has no origin/HEAD"
            return _unknown(why, "write  default_branch: NAME  in the rule file", ("U108", _FILES[1]))
        trouble = self._stale(branch) or self._trouble(_NO)
        if trouble is not None:
            return trouble
        base = self._git("merge-base", f"refs/remotes/origin/{branch}", self._revision)
        if base.returncode == 0:
            return self._changed_from(base.text)
        why = f"{self._short} and origin/{branch} have no common commit"
        return self._trouble(base, branch) or _unknown(why, "write since: {ref: NAME}")

    def _changed_since_deploy(self, commit: str | None) -> Answered:
        """Since a commit that was deployed; one that is not in this commit's history says nothing about it."""
        if commit is None:
            why = f"{_FILES[1]} since the last deploy without asking CircleCI"
            return Unavailable("U101", why, "state them:  --changed FILE")
        if not commit:
            note = "no earlier deploy is known: every file counts as changed"
            return self._changed_from("", note)
        said = self._git("merge-base", "--is-ancestor", commit, self._revision)
        if said.returncode == 0:
            return self._changed_from(commit)
        why = f"{commit[:7]}, which was deployed last, is not in the history of {self._short}"
        return self._trouble(said) or _unknown(why, "write since: {ref: NAME}")

    def _changed_since_ref(self, ref: str) -> Answered:
        branch = facts.branch_named(ref)
        name, is_branch = branch.removeprefix("refs/tags/"), ref != branch
        stale = self._stale(name, is_branch=is_branch)
        if stale is not None:
            return stale
        places = (f"refs/tags/{name}", f"refs/remotes/origin/{name}", ref)[is_branch:]
        found = next((r for place in places if (r := self._repository.resolve(place)) is not None), None)
        if found is not None:
            return self._changed_from(found)
        here = self._git("cat-file", "-e", f"{self._revision}^{{commit}}")
        if here.returncode != 0:
            return self._missing(here)
        return _unknown(f"there is no ref '{ref}' in this clone", self._fetch(name))

    def _changed_from(self, base: str, note: str = "") -> Answered:
        # else the tree without files, which git knows everywhere, and calls otherwise in a SHA-256 repository
        base = base or self._git("hash-object", "-t", "tree", "--stdin").text
        said = self._git(*_DIFF, base, self._revision, "--")
        return _files(said, note) if said.returncode == 0 else self._missing(said)

    def _stale(self, name: str, *, is_branch: bool = True) -> Unavailable | None:
        """The answer if a branch or tag of the clone is out of date, as `run` asks the remote; None where it is not."""
        if self._current is None:
            return None
        moved, there = self._current.moved(name, is_branch=is_branch), self._current.head_branch
        if name == self.default_branch and self._named is None and there not in (None, name):
            why = f"the default branch is {there}, and origin/HEAD of this clone says {name}"
            return _unknown(why, f"write  default_branch: {there}  in the rule file")
        return None if moved is None else _unknown(moved.why, moved.cure)

    def _trouble(self, said: Said, branch: str = "", asked: tuple[str, str] = _FILES) -> Unavailable | None:
        """Why git did not answer, or why its no (exit code 1) is not to be believed; None where it is.

        The remote's `branch` is not in the clone, or the clone lacks history, or git cannot do anything here.
        """
        ref = f"refs/remotes/origin/{branch}^{{commit}}"
        if branch and said.returncode != 1 and self._git("rev-parse", "--verify", "--quiet", ref).returncode == 1:
            return _unknown(f"origin/{branch} is not fetched", self._fetch(branch), asked)
        shallow = self._git("rev-parse", "--is-shallow-repository")
        # whatever is not a clear no counts as shallow: an old git repeats the question
        if shallow.returncode == 0 and shallow.text != "false":
            return _unknown("this is a shallow clone", _UNSHALLOW, asked)
        worst = shallow if said.returncode in (0, 1) else said
        return self._missing(worst, asked) if worst.returncode != 0 else None

    def _fetch(self, name: str) -> str:
        """How to get a branch or tag, in the long form: otherwise a clone of one branch does not keep another."""
        otherwise = ", or give --fetch" if self._current else ""
        return f"run  git fetch origin {name}:refs/remotes/origin/{name}  first{otherwise}"

    def _missing(self, said: Said, asked: tuple[str, str] = _FILES) -> Unavailable:
        """Git could not answer: no git, no clone, one that it does not trust, or the commit is not in it."""
        return _unknown(said.complaint, _TRUST if "dubious" in said.complaint else NOT_HERE, asked)


def _unknown(why: str, cure: str, asked: tuple[str, str] = _FILES) -> Unavailable:
    return Unavailable(asked[0], f"{asked[1]}: {why}", cure)


def _files(said: Said, note: str = "") -> Known[tuple[str, ...]]:
    return Known(tuple(filter(None, said.text.split("\0"))), note)


# The remote


@dataclass(frozen=True, slots=True)
class Moved:
    """A ref that has moved: where the remote has it `now` (empty: nowhere), why that matters, and the cure."""

    now: str
    why: str
    cure: str


class GitRemote(GitRepository):
    """The clone's `origin`, reached with the caller's SSH settings; it has `timeout` seconds to answer.

    A clone can be older than the build: restored from a cache, or made of one branch only. So where `names` of it are
    is read once for all. With `fetches`, what has moved is fetched. Where nothing can be read, that is said, and the
    clone is believed.
    """

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        names: Iterable[str] = (),
        say: _Say = str,
        *,
        fetches: bool = False,
    ) -> None:
        super().__init__(folder, environ)
        self.timeout = 30.0
        self.moved = lru_cache(self._moved)
        self._say, self._fetches = say, fetches
        self._ways = {name: environ[name] for name in _WAYS if environ.get(name)}
        self._fetched: set[str] = set()
        self._names = frozenset(names)
        self._read: Mapping[str, str] | str | None = None

    def _far(self, *arguments: str) -> Said:
        return self.run(*arguments, timeout=self.timeout, more=self._ways, is_apart=True)

    def head(self, ref: Branch | Tag) -> Head:
        """Where a branch or tag is; a tag's commit, not the tag object."""
        names = _names(ref)
        found = self.where(names)
        if isinstance(found, str):
            return Head(None, found)
        return Head(next((found[name] for name in names if name in found), None))

    def is_skipped(self, revision: str) -> bool:
        """Whether the commit, where the clone has it, says `[skip ci]` in the first characters of title or body."""
        title, _, body = self.commit(revision).text.split("\0")[-1].partition("\n")
        return any(word in text.strip()[:_LOOKED_AT].lower() for text in (title, body) for word in _SKIP)

    def where(self, names: Iterable[str]) -> Mapping[str, str] | str:
        """Where refs are, by full name, and which branch `HEAD` is; a text with the reason if nothing could be read."""
        said = self._far("ls-remote", "--symref", "--exit-code", "origin", *names)
        if said.returncode not in (0, _NO_REF):
            return said.complaint
        found: dict[str, str] = {}
        for line in said.text.split("\n"):
            value, _, name = line.partition("\t")
            is_symbolic = value.startswith("ref: ")
            if is_symbolic is (name == "HEAD"):
                found[name] = value.removeprefix("ref: refs/heads/")
        return found

    def contains(self, revision: str, other: str) -> bool:
        """Whether `other` is known to be an ancestor of `revision`; a clone that lacks history fetches some more."""
        if self._is_ancestor(other, revision):
            return True
        is_known = self.is_shallow() is False and self.resolve(revision) is not None
        if not is_known and revision not in self._fetched:
            # in a clone that lacks blobs already; any other would become one that fetches them whenever it is used
            is_partial = self._line("config", "--get", "remote.origin.promisor") == "true"
            if self.fetch(revision, *(["--filter=blob:none"] if is_partial else [])):
                self._fetched.add(revision)
        return self._is_ancestor(other, revision)

    def _is_ancestor(self, other: str, revision: str) -> bool:
        return self.run("merge-base", "--is-ancestor", other, revision).returncode == 0

    def fetch(self, what: str, *more: str) -> bool:
        """Fetch a commit or a refspec once, in a shallow clone with some more history; whether it worked."""
        depth = () if self.is_shallow() is False else (f"--deepen={_DEPTH}",)  # --depth would take history away
        how = ("--quiet", "--no-tags", "--no-write-fetch-head", *more, *depth)
        return self._far("-c", "gc.auto=0", "fetch", *how, "origin", what).returncode == 0

    @property
    def head_branch(self) -> str | None:
        """The branch that the remote calls its default; None where it does not tell."""
        return None if isinstance(read := self._refs(), str) else read.get("HEAD")

    def _moved(self, name: str, *, is_branch: bool = True) -> Moved | None:
        """How a branch (else a tag or branch) has moved since it was fetched; None where it is known not to have moved.

        None also where nobody can tell, or the clone does not have it.
        """
        there = self._refs(name)
        if isinstance(there, str):
            return None
        tag, branch = f"refs/tags/{name}", f"refs/remotes/origin/{name}"
        places = ((tag, f"{tag}^{{}}"), (tag, tag), (branch, f"refs/heads/{name}"))[2 * is_branch :]
        kept, here = next(((k, r) for k, _ in places if (r := self.resolve(k))), ("", ""))
        target, source, now = next(((k, s, there[s]) for k, s in places if s in there), ("", "", ""))
        if here == now or (not now and kept != branch):
            return None  # a tag or commit that only the clone has is no ref of the remote's
        refspec = f"+{source.removesuffix('^{}')}:{target}"
        shown = f"origin/{name}" if (kept or target) == branch else f"tag {name}"
        if now and self._fetches and self.fetch(refspec):
            was = f"at {here[:7]}" if here else "not"
            self._say(f"{shown} was fetched: it is at {now[:7]}, and was {was} in this clone")
            return None
        if not here:
            return None
        if not now:
            why = f"{shown} is in this clone, and the remote has no such branch any more"
            return Moved("", why, "name a branch that the remote has")
        why = f"{shown} is at {here[:7]} in this clone, and at {now[:7]} in the remote"
        return Moved(now, why, f"run  git fetch origin {refspec}  first, or give --fetch")

    def _refs(self, *names: str) -> Mapping[str, str] | str:
        if self._read is None or not (isinstance(self._read, str) or self._names.issuperset(names)):
            self._names |= {*names}
            forms = ("refs/heads/{}", "refs/tags/{}", "refs/tags/{}^{{}}")
            self._read = self.where(("HEAD", *(form.format(n) for n in sorted(self._names) for form in forms)))
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
