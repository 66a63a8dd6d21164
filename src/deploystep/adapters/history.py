"""Facts about commits, from the clone: exact, or unavailable with the cure; and where its `origin` has its refs now.

Every command is git plumbing with `-z` and without renames: names come unquoted, a move out of a folder counts as a
change of that folder, and a blobless clone needs no remote. In a shallow clone git answers some of these questions
wrongly instead of not at all, so what depends on history that may be missing is not believed there.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from deploystep.adapters.git import NOT_HERE, Environ, GitRepository, Said
from deploystep.app.ports import Head
from deploystep.core import facts
from deploystep.core.build import Branch, Tag
from deploystep.core.facts import Answered, Base, ChangedSince, IsMergedInto, Known, Question, Unavailable

_DIFF: Final = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--no-commit-id", "--ignore-submodules=none")
#: A code, and what cannot be told.
_FILES: Final = ("U101", "cannot tell which files changed")
_NO: Final = Said(1, b"", "")
_REMOTE: Final = "refs/remotes/origin"
_Say: TypeAlias = Callable[[str], object]


class GitHistory:
    """Answers questions about one revision with as few git calls as it takes."""

    def __init__(
        self, repository: GitRepository, revision: str, default_branch: str | None, current: "GitRemote | None" = None
    ) -> None:
        self._repository, self._named, self._current = repository, default_branch, current
        self._revision, self._short = revision, revision[:7]
        self._git = lru_cache(repository.run)

    def answer(self, question: Question) -> Answered:
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
        head = self._named or self._git("symbolic-ref", "--quiet", f"{_REMOTE}/HEAD").text
        return head.removeprefix(f"{_REMOTE}/") or None

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
        asked = "U102", f"cannot tell whether {self._short} is on {branch}"
        moved = self._current.moved(branch) if self._current else None  # which may fetch it
        said = self._git("merge-base", "--is-ancestor", self._revision, f"{_REMOTE}/{branch}")
        is_on = said.returncode == 0
        if moved is None or self._current is None:
            return Known(value=True) if is_on else self._trouble(said, branch, asked) or Known(value=False)
        # that the branch has only grown meanwhile is ordinary; where it takes a fetch, only a yes is worth one
        is_on = is_on and bool(moved.now) and self._current.contains(moved.now, self._revision)
        return Known(value=True) if is_on else _unknown(moved.why, moved.cure, asked)

    def _changed(self, question: ChangedSince) -> Answered:
        since: str | Unavailable = ""  # nothing: every file has changed
        if question.base is Base.PREVIOUS_COMMIT:  # the first parent
            said = self._git(*_DIFF, f"{self._revision}^1", self._revision, "--")
            if said.returncode == 0:
                return Known(said.names)
            if trouble := self._trouble(_NO):
                return trouble
            # a parent can be known and still be missing: only what has none is a root
            roots = self._git("rev-list", "--no-walk", "--max-parents=0", self._revision, "--")
            if roots.returncode == 0 and not roots.stdout:
                return _unknown(f"the commit before {self._short} is not in this clone", NOT_HERE)
        elif question.base is Base.MERGE_BASE:
            since = self._merge_base()
        elif question.base is Base.LAST_DEPLOY:
            since = self._deployed(question.ref)
        else:
            since = self._ref(question.ref or "")
        if isinstance(since, Unavailable):
            return since
        # else the tree without files, which git knows everywhere, and calls otherwise in a SHA-256 repository
        since = since or self._git("hash-object", "-t", "tree", "--stdin").text
        said = self._git(*_DIFF, since, self._revision, "--")
        if said.returncode != 0:
            return self._missing(said)
        is_first = (question.base, question.ref) == (Base.LAST_DEPLOY, "")
        return Known(said.names, "no earlier deploy is known: every file counts as changed" if is_first else "")

    def _merge_base(self) -> str | Unavailable:
        branch = self.default_branch
        if branch is None:
            why = "the rule file names no default branch, and the clone has no origin/HEAD"
            return _unknown(why, "write  default_branch: NAME  in the rule file", ("U108", _FILES[1]))
        if trouble := self._stale(branch) or self._trouble(_NO):
            return trouble
        base = self._git("merge-base", f"{_REMOTE}/{branch}", self._revision)
        if base.returncode == 0:
            return base.text
        why = f"{self._short} and origin/{branch} have no common commit"
        return self._trouble(base, branch) or _unknown(why, "write since: {ref: NAME}")

    def _deployed(self, commit: str | None) -> str | Unavailable:
        """A commit that was deployed (empty: none was); one that is not in the history says nothing about this one."""
        if commit is None:
            why = f"{_FILES[1]} since the last deploy without asking CircleCI"
            return Unavailable("U101", why, "state them:  --changed FILE")
        said = self._git("merge-base", "--is-ancestor", commit, self._revision) if commit else None
        if said is None or said.returncode == 0:
            return commit
        why = f"{commit[:7]}, which was deployed last, is not in the history of {self._short}"
        return self._trouble(said) or _unknown(why, "write since: {ref: NAME}")

    def _ref(self, ref: str) -> str | Unavailable:
        branch = facts.branch_named(ref)
        name, is_branch = branch.removeprefix("refs/tags/"), ref != branch
        if stale := self._stale(name, is_branch=is_branch):
            return stale
        for place in (f"refs/tags/{name}", f"{_REMOTE}/{name}", ref)[is_branch:]:
            if found := self._repository.resolve(place):
                return found
        here = self._git("cat-file", "-e", f"{self._revision}^{{commit}}")
        if here.returncode != 0:
            return self._missing(here)
        return _unknown(f"there is no ref '{ref}' in this clone", self._fetch(name))

    def _stale(self, name: str, *, is_branch: bool = True) -> Unavailable | None:
        """The answer if a branch or tag of the clone is out of date, as `run` asks the remote; None where it is not."""
        if self._current is None:
            return None
        moved, refs = self._current.moved(name, is_branch=is_branch), self._current.refs_now()
        there = name if isinstance(refs, str) else refs.get("HEAD", name)
        if there != name == self.default_branch and self._named is None:
            why = f"the default branch is {there}, and origin/HEAD of this clone says {name}"
            return _unknown(why, f"write  default_branch: {there}  in the rule file")
        return None if moved is None else _unknown(moved.why, moved.cure)

    def _trouble(self, said: Said, branch: str = "", asked: tuple[str, str] = _FILES) -> Unavailable | None:
        """Why git did not answer, or why its no (exit code 1) is not to be believed; None where it is."""
        ref = f"{_REMOTE}/{branch}^{{commit}}"
        if branch and said.returncode != 1 and self._git("rev-parse", "--verify", "--quiet", ref).returncode == 1:
            return _unknown(f"origin/{branch} is not fetched", self._fetch(branch), asked)
        shallow = self._git("rev-parse", "--is-shallow-repository")
        # whatever is not a clear no counts as shallow: an old git repeats the question
        if shallow.returncode == 0 and shallow.text != "false":
            cure = "run  git fetch --unshallow  or use CircleCI's checkout step"
            return _unknown("this is a shallow clone", cure, asked)
        worst = shallow if said.returncode in (0, 1) else said
        return self._missing(worst, asked) if worst.returncode != 0 else None

    def _fetch(self, name: str) -> str:
        # in the long form: otherwise a clone of one branch does not keep another
        return f"run  git fetch origin {name}:{_REMOTE}/{name}  first{', or give --fetch' if self._current else ''}"

    def _missing(self, said: Said, asked: tuple[str, str] = _FILES) -> Unavailable:
        """Git could not answer: no git, no clone, one that it does not trust, or the commit is not in it."""
        trust = 'run  git config --global --add safe.directory "$PWD"  in the clone first'
        return _unknown(said.complaint, trust if "dubious" in said.complaint else NOT_HERE, asked)


def _unknown(why: str, cure: str, asked: tuple[str, str] = _FILES) -> Unavailable:
    return Unavailable(asked[0], f"{asked[1]}: {why}", cure)


class Moved(NamedTuple):
    """A ref that has moved: where the remote has it `now` (empty: nowhere), why that matters, and the cure."""

    now: str
    why: str
    cure: str


class GitRemote(GitRepository):
    """The clone's `origin`, reached with the caller's SSH settings; where nothing can be read, the clone counts."""

    # a clone can be older than the build: restored from a cache, or made of one branch only; so where `names` of it are
    # is read once for all, and with `fetches`, what has moved is fetched
    def __init__(
        self, folder: Path, environ: Environ, names: Iterable[str] = (), say: _Say = str, *, fetches: bool = False
    ) -> None:
        super().__init__(folder, environ)
        self.timeout = 30.0  # seconds that it has to answer
        self.moved = lru_cache(self._moved)
        self._say, self._fetches, self._names = say, fetches, frozenset(names)
        # how the caller reaches the remote; CircleCI's checkout step can set these
        self._ways = {name: environ[name] for name in ("GIT_SSH_COMMAND", "GIT_SSH") if environ.get(name)}
        self._fetched: set[str] = set()
        self._read: Mapping[str, str] | str | None = None

    def _far(self, *arguments: str) -> Said:
        return self.run(*arguments, timeout=self.timeout, more=self._ways, is_apart=True)

    def head(self, ref: Branch | Tag) -> Head:
        """Where a branch or tag is; a tag's commit, not the tag object."""
        names = [f"refs/heads/{ref.name}"]
        if isinstance(ref, Tag):
            names = [f"refs/tags/{ref.name}^{{}}", f"refs/tags/{ref.name}"]
        elif ref.name.startswith("pull/"):  # a pull request of GitHub's: `pull/7`, and for the API `pull/7/head`
            names.insert(0, f"refs/{ref.name}" if ref.name.count("/") > 1 else f"refs/{ref.name}/head")
        found = self._where(names)
        if isinstance(found, str):
            return Head(None, found)
        return Head(next((found[name] for name in names if name in found), None))

    def is_skipped(self, revision: str) -> bool:
        """Whether the commit, where the clone has it, says `[skip ci]` in the first characters of title or body."""
        title, _, body = self.commit(revision).text.split("\0")[-1].partition("\n")
        # these words, among the first 250 characters (CircleCI docs, "Skip or cancel jobs")
        return any(word in text.strip()[:250].lower() for text in (title, body) for word in ("[skip ci]", "[ci skip]"))

    def _where(self, names: Iterable[str]) -> Mapping[str, str] | str:
        """Where refs are, by full name, and which branch `HEAD` is; a text with the reason if nothing could be read."""
        said = self._far("ls-remote", "--symref", "--exit-code", "origin", *names)
        if said.returncode not in (0, 2):  # 2 is no such ref
            return said.complaint
        lines = [line.partition("\t")[::2] for line in said.text.split("\n")]
        found = {name: value for value, name in lines if value.startswith("ref: ") is (name == "HEAD")}
        return {name: value.removeprefix("ref: refs/heads/") for name, value in found.items()}

    def contains(self, revision: str, other: str) -> bool:
        """Whether `other` is known to be an ancestor of `revision`; a clone that lacks history fetches some more."""
        ask = ("merge-base", "--is-ancestor", other, revision)
        if self.run(*ask).returncode == 0:
            return True
        if (self.is_shallow() is not False or self.resolve(revision) is None) and revision not in self._fetched:
            # in a clone that lacks blobs already; any other would become one that fetches them whenever it is used
            is_partial = self._line("config", "--get", "remote.origin.promisor") == "true"
            if self._fetch(revision, *(["--filter=blob:none"] if is_partial else [])):
                self._fetched.add(revision)
        return self.run(*ask).returncode == 0

    def _fetch(self, what: str, *more: str) -> bool:
        """Fetch a commit or a refspec once, in a shallow clone with some more history; whether it worked."""
        # by 50 commits, to see what is between two of its own; --depth would take history away
        depth = () if self.is_shallow() is False else ("--deepen=50",)
        how = ("--quiet", "--no-tags", "--no-write-fetch-head", *more, *depth)
        return self._far("-c", "gc.auto=0", "fetch", *how, "origin", what).returncode == 0

    def _moved(self, name: str, *, is_branch: bool = True) -> Moved | None:
        """How a branch (else a tag or branch) has moved since it was fetched; None where it is not known to have."""
        there = self.refs_now(name)
        if isinstance(there, str):
            return None
        tag, branch = f"refs/tags/{name}", f"{_REMOTE}/{name}"
        places = ((tag, f"{tag}^{{}}"), (tag, tag), (branch, f"refs/heads/{name}"))[2 * is_branch :]
        kept, here = next(((k, r) for k, _ in places if (r := self.resolve(k))), ("", ""))
        target, source, now = next(((k, s, there[s]) for k, s in places if s in there), ("", "", ""))
        if here == now or (not now and kept != branch):
            return None  # a tag or commit that only the clone has is no ref of the remote's
        refspec = f"+{source.removesuffix('^{}')}:{target}"
        shown = f"origin/{name}" if (kept or target) == branch else f"tag {name}"
        if now and self._fetches and self._fetch(refspec):
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

    def refs_now(self, *names: str) -> Mapping[str, str] | str:
        """Where branches and tags of these names are, and which branch HEAD is; a text with the reason if unknown."""
        if self._read is None or not (isinstance(self._read, str) or self._names.issuperset(names)):
            self._names |= {*names}
            forms = ("refs/heads/{}", "refs/tags/{}", "refs/tags/{}^{{}}")
            self._read = self._where(("HEAD", *(form.format(n) for n in sorted(self._names) for form in forms)))
            if isinstance(self._read, str):
                self._say(f"where origin's branches are now could not be read ({self._read}): the clone is believed")
        return self._read
