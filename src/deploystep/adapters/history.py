"""Facts about commits, from the clone: exact, or unavailable with the cure.

Every command is git plumbing with `-z` and without renames: names come unquoted, a move out of a folder counts as a
change of that folder, and a blobless clone needs no remote. In a shallow clone git answers some of these questions
wrongly instead of not at all, so what depends on history that may be missing is not believed there.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from deploystep.adapters.git import GitRepository
from deploystep.core.closed import assert_never
from deploystep.core.facts import (
    Answered,
    AuthorOf,
    Base,
    ChangedSince,
    IsMergedInto,
    Known,
    MessageOf,
    Unavailable,
)

_DIFF: Final = (
    "diff-tree", "-r", "-z", "--no-renames", "--name-only", "--no-commit-id", "--ignore-submodules=none",
)  # fmt: skip
_UNSHALLOW: Final = "run  git fetch --unshallow  or use CircleCI's checkout step"
_NOT_HERE: Final = "run the step in the clone that CircleCI's checkout step makes"


@dataclass(frozen=True, slots=True)
class _Commit:
    author: str
    message: str


@dataclass(frozen=True, slots=True)
class _Output:
    """What git said: its exit code (0 is yes, 1 often no), its output, the first line of its complaint."""

    code: int
    data: bytes
    complaint: str


class GitHistory:
    """Answers questions about one revision, each with one git call; answers to the same question are kept."""

    def __init__(self, repository: GitRepository, revision: str, default_branch: str) -> None:
        self._repository = repository
        self._revision = revision
        self._default_branch = default_branch
        self._kept: dict[tuple[str, ...], _Output] = {}

    def answer(self, question: ChangedSince | IsMergedInto | AuthorOf | MessageOf) -> Answered:  # noqa: RET503 - assert_never
        """The answer, or why there is none."""
        if isinstance(question, ChangedSince):
            return self._changed(question)
        if isinstance(question, IsMergedInto):
            return self._is_merged_into(question.branch)
        if isinstance(question, AuthorOf):
            commit = self._commit
            return commit if isinstance(commit, Unavailable) else Known(commit.author)
        if isinstance(question, MessageOf):
            commit = self._commit
            return commit if isinstance(commit, Unavailable) else Known(commit.message)
        assert_never(question)

    @cached_property
    def _commit(self) -> _Commit | Unavailable:
        said = self._git(
            "log",
            "-1",
            "--no-show-signature",
            "--no-mailmap",
            "--encoding=UTF-8",
            "--format=%ae%x00%B",
            self._revision,
            "--",
        )
        if said.code != 0:
            return self._missing("U103", f"cannot read commit {self._short}", said)
        author, _, message = said.data.decode("utf-8", "surrogateescape").partition("\0")
        return _Commit(author, message)

    def _is_merged_into(self, branch: str) -> Answered:
        ref = f"refs/remotes/origin/{branch}"
        said = self._git("merge-base", "--is-ancestor", self._revision, ref)
        if said.code == 0:
            return Known(value=True)
        what = f"cannot tell whether {self._short} is on {branch}"
        if said.code == 1:
            # without its whole history git says no where the truth is yes
            return (
                Unavailable("U102", f"{what}: this is a shallow clone", _UNSHALLOW)
                if self._is_shallow
                else Known(value=False)
            )
        if self._git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").code == 1:
            return Unavailable(
                "U102", f"{what}: origin/{branch} is not fetched", f"run  git fetch origin {branch}  first"
            )
        return self._missing("U102", what, said)

    def _changed(self, question: ChangedSince) -> Answered:
        if question.base is Base.LAST_DEPLOY:
            return Unavailable(
                "U101",
                "cannot tell which files changed since the last deploy: this version does not look for it",
                "write since: previous-commit, since: merge-base or since: {ref: NAME}",
            )
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
        if self._is_shallow:
            return self._no_files("this is a shallow clone", _UNSHALLOW)
        root = self._git(*_DIFF, "--root", self._revision, "--")
        return _names(root) if root.code == 0 else self._missing("U101", "cannot tell which files changed", root)

    def _changed_since_merge_base(self) -> Answered:
        if self._is_shallow:
            return self._no_files("this is a shallow clone", _UNSHALLOW)
        branch = self._default_branch
        base = self._git("merge-base", f"refs/remotes/origin/{branch}", self._revision)
        if base.code == 0:
            return self._changed_from(base.data.decode("ascii", "replace").strip())
        if base.code == 1:
            return self._no_files(
                f"{self._short} and origin/{branch} have no common commit", "write since: {ref: NAME}"
            )
        if self._git("rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{branch}^{{commit}}").code == 1:
            return self._no_files(f"origin/{branch} is not fetched", f"run  git fetch origin {branch}  first")
        return self._missing("U101", "cannot tell which files changed", base)

    def _changed_since_ref(self, ref: str) -> Answered:
        names = (f"refs/tags/{ref}", f"refs/remotes/origin/{ref}", ref)
        found = next((r for name in names if (r := self._repository.resolve(name)) is not None), None)
        if found is None:
            return self._no_files(f"there is no ref '{ref}' in this clone", f"run  git fetch origin {ref}  first")
        return self._changed_from(found)

    def _changed_from(self, base: str) -> Answered:
        said = self._git(*_DIFF, base, self._revision, "--")
        return _names(said) if said.code == 0 else self._missing("U101", "cannot tell which files changed", said)

    def _no_files(self, why: str, cure: str) -> Unavailable:
        return Unavailable("U101", f"cannot tell which files changed: {why}", cure)

    def _missing(self, code: str, what: str, said: _Output) -> Unavailable:
        """Git could not answer: no git, no clone, or the commit is not in it."""
        return Unavailable(code, f"{what}: {said.complaint or 'git does not answer'}", _NOT_HERE)

    @property
    def _short(self) -> str:
        return self._revision[:7]

    @property
    def _is_shallow(self) -> bool:
        # whatever is not a clear no counts as shallow: history is believed only where it is whole
        return self._git("rev-parse", "--is-shallow-repository").data.strip() != b"false"

    def _git(self, *arguments: str) -> _Output:
        if arguments not in self._kept:
            self._kept[arguments] = self._asked(arguments)
        return self._kept[arguments]

    def _asked(self, arguments: tuple[str, ...]) -> _Output:
        result = self._repository.run(*arguments)
        if result is None:
            return _Output(-1, b"", "git cannot be run here")
        complaint = result.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        return _Output(result.returncode, result.stdout, complaint)


def _names(said: _Output) -> Known[tuple[str, ...]]:
    names = said.data.split(b"\0")
    return Known(tuple(name.decode("utf-8", "surrogateescape") for name in names if name))
