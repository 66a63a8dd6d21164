"""Facts about commits, from the clone: exact, or unavailable with the cure.

Every command is git plumbing with `-z` and without renames: names come unquoted, a move out of a folder counts as a
change of that folder, and a blobless clone needs no remote. In a shallow clone git answers some of these questions
wrongly instead of not at all, so what depends on history that may be missing is not believed there.
"""

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final

from deploystep.adapters.git import GitRepository, first_error_line
from deploystep.core.facts import (
    Answered,
    AuthorOf,
    Base,
    ChangedSince,
    IsMergedInto,
    Known,
    MessageOf,
    Unavailable,
    branch_named,
)
from deploystep.core.frozen import dataclass

if TYPE_CHECKING:
    from deploystep.adapters.remote import CurrentRefs

_DIFF: Final = (
    "diff-tree", "-r", "-z", "--no-renames", "--name-only", "--no-commit-id", "--ignore-submodules=none",
)  # fmt: skip
_SHALLOW: Final = "this is a shallow clone"
_UNSHALLOW: Final = "run  git fetch --unshallow  or use CircleCI's checkout step"
_WHICH_FILES: Final = "cannot tell which files changed"
_NO_DEPLOY: Final = "no earlier deploy is known: every file counts as changed"
_TRUST: Final = 'run  git config --global --add safe.directory "$PWD"  in the clone first'
_NOT_HERE: Final = "run the step in the clone that CircleCI's checkout step makes"


@dataclass(frozen=True, slots=True)
class _Commit:
    author: str
    when: str
    message: str


@dataclass(frozen=True, slots=True)
class _Output:
    """What git said: its exit code (0 is yes, 1 often no), its output, the first line of its complaint."""

    code: int
    data: bytes
    complaint: str


class GitHistory:
    """Answers questions about one revision, each with one git call; answers to the same question are kept."""

    def __init__(
        self,
        repository: GitRepository,
        revision: str,
        default_branch: str | None,
        current: "CurrentRefs | None" = None,
    ) -> None:
        self._repository = repository
        self._revision = revision
        self._named = default_branch
        self._current = current
        self._kept: dict[tuple[str, ...], _Output] = {}

    def answer(self, question: ChangedSince | IsMergedInto | AuthorOf | MessageOf) -> Answered:
        """The answer, or why there is none."""
        if isinstance(question, ChangedSince):
            return self._changed(question)
        if isinstance(question, IsMergedInto):
            return self._is_merged_into(question.branch)
        if isinstance(self._commit, Unavailable):
            return self._commit
        return Known(self._commit.author if isinstance(question, AuthorOf) else self._commit.message)

    @cached_property
    def default_branch(self) -> str | None:
        """The default branch: the one that the rule file names, else that of `origin/HEAD`; None without both."""
        if self._named is not None:
            return self._named
        said = self._git("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
        name = said.data.decode("utf-8", "surrogateescape").strip()
        return name.removeprefix("refs/remotes/origin/") if said.code == 0 and name else None

    @cached_property
    def _commit(self) -> _Commit | Unavailable:
        how = ("-1", "--no-show-signature", "--no-mailmap", "--encoding=UTF-8", "--format=%ae%x00%cI%x00%B")
        said = self._git("log", *how, self._revision, "--")
        if said.code != 0:
            return self._missing("U103", f"cannot read commit {self._short}", said)
        author, when, message = said.data.decode("utf-8", "surrogateescape").split("\0", 2)
        return _Commit(author, when, message)

    def committed_at(self) -> datetime | None:
        """When the commit was made, by the committer's clock; None where the clone does not tell."""
        if isinstance(self._commit, Unavailable):
            return None
        try:
            return datetime.fromisoformat(self._commit.when.replace("Z", "+00:00"))
        except ValueError:
            return None

    def _is_merged_into(self, branch: str) -> Answered:
        ref = f"refs/remotes/origin/{branch}"
        what = f"cannot tell whether {self._short} is on {branch}"
        moved = self._current.moved(branch) if self._current else None
        said = self._git("merge-base", "--is-ancestor", self._revision, ref)
        if moved is not None and self._current:
            # that the branch has only grown meanwhile is ordinary; where it takes a fetch, only a yes is worth one
            is_still_on = said.code == 0 and moved.now and self._current.remote.contains(moved.now, self._revision)
            return Known(value=True) if is_still_on else Unavailable("U102", f"{what}: {moved.why}", moved.cure)
        if said.code == 0:
            return Known(value=True)
        if said.code == 1:
            # without its whole history git says no where the truth is yes
            return self._incomplete("U102", what) or Known(value=False)
        return self._not_fetched("U102", what, branch) or self._missing("U102", what, said)

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
        if said.code == 0:
            return _names(said)
        return self._incomplete("U101", _WHICH_FILES) or self._changed_in_root()

    def _changed_in_root(self) -> Answered:
        # a parent can be known and still be missing: only what has none is a root
        roots = self._git("rev-list", "--no-walk", "--max-parents=0", self._revision, "--")
        if roots.code == 0 and not roots.data:
            return self._no_files(f"the commit before {self._short} is not in this clone", _NOT_HERE)
        said = self._git(*_DIFF, "--root", self._revision, "--")
        return _names(said) if said.code == 0 else self._missing("U101", _WHICH_FILES, said)

    def _changed_since_merge_base(self) -> Answered:
        branch = self.default_branch
        if branch is None:
            why = f"{_WHICH_FILES}: the rule file names no default branch, and the clone has no origin/HEAD"
            return Unavailable("U108", why, "write  default_branch: NAME  in the rule file")
        trouble = self._stale(branch) or self._incomplete("U101", _WHICH_FILES)
        if trouble is not None:
            return trouble
        base = self._git("merge-base", f"refs/remotes/origin/{branch}", self._revision)
        if base.code == 0:
            return self._changed_from(base.data.decode("ascii", "replace").strip())
        if base.code == 1:
            why = f"{self._short} and origin/{branch} have no common commit"
            return self._no_files(why, "write since: {ref: NAME}")
        return self._not_fetched("U101", _WHICH_FILES, branch) or self._missing("U101", _WHICH_FILES, base)

    def _changed_since_deploy(self, commit: str | None) -> Answered:
        """Since a commit that was deployed; one that is not in this commit's history says nothing about it."""
        if commit is None:
            why = f"{_WHICH_FILES} since the last deploy without asking CircleCI"
            return Unavailable("U101", why, "state them:  --changed FILE")
        if not commit:
            said = self._git("ls-tree", "-r", "-z", "--full-tree", "--name-only", self._revision)
            return _names(said, _NO_DEPLOY) if said.code == 0 else self._missing("U101", _WHICH_FILES, said)
        said = self._git("merge-base", "--is-ancestor", commit, self._revision)
        if said.code == 0:
            return self._changed_from(commit)
        if said.code == 1:
            why = f"{commit[:7]}, which was deployed last, is not in the history of {self._short}"
            return self._incomplete("U101", _WHICH_FILES) or self._no_files(why, "write since: {ref: NAME}")
        return self._incomplete("U101", _WHICH_FILES) or self._missing("U101", _WHICH_FILES, said)

    def _stale(self, name: str, *, is_branch: bool = True) -> Unavailable | None:
        """The answer if a branch or tag of the clone is out of date, as `run` asks the remote; None where it is not."""
        if self._current is None:
            return None
        moved = self._current.moved(name, is_branch=is_branch)
        there = self._current.default_branch
        if name == self.default_branch and self._named is None and there not in (None, name):
            why = f"the default branch is {there}, and origin/HEAD of this clone says {name}"
            return self._no_files(why, f"write  default_branch: {there}  in the rule file")
        return None if moved is None else self._no_files(moved.why, moved.cure)

    def _changed_since_ref(self, ref: str) -> Answered:
        branch = branch_named(ref)
        name = branch.removeprefix("refs/tags/")
        places = (f"refs/tags/{name}", f"refs/remotes/origin/{name}", ref)
        names = places if ref == branch else places[1:]
        stale = self._stale(name, is_branch=ref != branch)
        if stale is not None:
            return stale
        found = next((r for name in names if (r := self._repository.resolve(name)) is not None), None)
        if found is not None:
            return self._changed_from(found)
        here = self._git("cat-file", "-e", f"{self._revision}^{{commit}}")
        if here.code != 0:
            return self._missing("U101", _WHICH_FILES, here)
        return self._no_files(f"there is no ref '{ref}' in this clone", self._fetch(name))

    def _changed_from(self, base: str) -> Answered:
        said = self._git(*_DIFF, base, self._revision, "--")
        return _names(said) if said.code == 0 else self._missing("U101", _WHICH_FILES, said)

    def _no_files(self, why: str, cure: str) -> Unavailable:
        return Unavailable("U101", f"{_WHICH_FILES}: {why}", cure)

    def _not_fetched(self, code: str, what: str, branch: str) -> Unavailable | None:
        """The answer if the remote's branch is not in the clone; None where it is, or git does not answer."""
        found = self._git("rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{branch}^{{commit}}")
        if found.code != 1:
            return None
        return Unavailable(code, f"{what}: origin/{branch} is not fetched", self._fetch(branch))

    def _fetch(self, name: str) -> str:
        """How to get a branch or tag, in the long form: otherwise a clone of one branch does not keep another."""
        otherwise = ", or give --fetch" if self._current else ""
        return f"run  git fetch origin {name}:refs/remotes/origin/{name}  first{otherwise}"

    def _incomplete(self, code: str, what: str) -> Unavailable | None:
        """Why history is not to be believed; None where the clone has all of it."""
        said = self._git("rev-parse", "--is-shallow-repository")
        if said.code != 0:
            return self._missing(code, what, said)
        # whatever is not a clear no counts as shallow: an old git repeats the question
        return None if said.data.strip() == b"false" else Unavailable(code, f"{what}: {_SHALLOW}", _UNSHALLOW)

    def _missing(self, code: str, what: str, said: _Output) -> Unavailable:
        """Git could not answer: no git, no clone, one that it does not trust, or the commit is not in it."""
        cure = _TRUST if "dubious ownership" in said.complaint else _NOT_HERE
        return Unavailable(code, f"{what}: {said.complaint or 'git does not answer'}", cure)

    @property
    def _short(self) -> str:
        return self._revision[:7]

    def _git(self, *arguments: str) -> _Output:
        if arguments not in self._kept:
            result = self._repository.run(*arguments)
            said = _Output(-1, b"", "git cannot be run here")
            if result is not None:
                said = _Output(result.returncode, result.stdout, first_error_line(result))
            self._kept[arguments] = said
        return self._kept[arguments]


def _names(said: _Output, note: str = "") -> Known[tuple[str, ...]]:
    names = said.data.split(b"\0")
    return Known(tuple(name.decode("utf-8", "surrogateescape") for name in names if name), note)
