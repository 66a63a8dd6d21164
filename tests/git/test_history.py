"""Facts about commits from real clones: exact, or unavailable with a cure that cures."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest

from deploystep.adapters.git import GitRepository
from deploystep.adapters.history import GitHistory
from deploystep.adapters.remote import CurrentRefs, GitRemote
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
from deploystep.core.frozen import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Question: TypeAlias = ChangedSince | IsMergedInto | AuthorOf | MessageOf
GIT = shutil.which("git") or "git"
PREVIOUS, MERGE_BASE, LAST_DEPLOY = (
    ChangedSince(base) for base in (Base.PREVIOUS_COMMIT, Base.MERGE_BASE, Base.LAST_DEPLOY)
)
ON_MAIN = IsMergedInto("main")
ABSENT = "0123456789abcdef0123456789abcdef01234567"
IDENTITY = {
    "GIT_AUTHOR_NAME": "Anna",
    "GIT_AUTHOR_EMAIL": "anna@acme.dev",
    "GIT_COMMITTER_NAME": "Robot",
    "GIT_COMMITTER_EMAIL": "robot@acme.dev",
}
EVERY = (PREVIOUS, MERGE_BASE, ChangedSince(ref="live"), ON_MAIN, AuthorOf(), MessageOf())


class Repo:
    """A repository to build history in, with clones that log every git command of the product."""

    def __init__(self, folder: Path, commits: int = 0) -> None:
        self.folder = folder
        self._seconds = 60 * commits

    def git(self, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
        return self.raw(*arguments, environ=environ).decode().strip()

    def raw(self, *arguments: str, text: bytes | None = None, environ: Mapping[str, str] | None = None) -> bytes:
        usual = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", **IDENTITY}
        done = subprocess.run(
            [GIT, *arguments],
            cwd=self.folder,
            env={**usual, **(environ or {})},
            input=text,
            check=True,
            capture_output=True,
        )
        return done.stdout

    def commit(self, *paths: str, message: str = "x", **environ: str) -> str:
        """Change these files and commit them, a minute after the last commit; without any, an empty commit."""
        self._seconds += 60
        for path in paths:
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as written:
                written.write(f"{self._seconds}\n")
        if paths:
            self.git("add", "--all")
        date = f"{1_700_000_000 + self._seconds} +0000"
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        self.git("commit", "--quiet", "--allow-empty", "-m", message, environ={**dates, **environ})
        return self.head

    def merge(self, *others: str) -> str:
        self.git("merge", "--quiet", "--no-ff", "--no-edit", "-m", "merge", *others)
        return self.head

    def switch(self, branch: str, start: str | None = None) -> None:
        self.git("checkout", "--quiet", *(["-B", branch, start] if start else [branch]))

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def clone(self, *options: str, name: str = "clone") -> Repo:
        made = Repo(self.folder.parent / name)
        self.git("clone", "--quiet", *options, self.folder.as_uri(), str(made.folder))
        return made

    def reader(self, revision: str, folder: str = ".", **environ: str) -> GitHistory:
        usual = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1"}
        return GitHistory(GitRepository(self.folder / folder, {**usual, **environ}), revision, "main")

    def beside_remote(self, revision: str, said: list[str], *, fetches: bool = False, named: bool = True) -> GitHistory:
        """As `run` asks: what the clone has is compared with where the remote has it now."""
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1"}
        repository = GitRepository(self.folder, environ)
        names = ("main", "live", "deployed")
        current = CurrentRefs(GitRemote(self.folder, environ), repository, names, said.append, fetches=fetches)
        return GitHistory(repository, revision, "main" if named else None, current)

    def ask(self, question: Question, revision: str | None = None, **environ: str) -> Answered:
        return self.reader(revision or self.head, **environ).answer(question)

    def changed(self, since: ChangedSince = PREVIOUS, revision: str | None = None) -> list[str]:
        found = self.ask(since, revision)
        assert isinstance(found, Known), found
        return sorted(found.value)  # type: ignore[call-overload,no-any-return]

    def cure(self, cure: str) -> None:
        """Do what the cure says: the git command in it."""
        (command,) = re.findall(r"(?:^|  )git (.*?)(?:  |$)", cure)
        self.git(*command.split())


SETTINGS = {
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    "gc.auto": "0",
    "maintenance.auto": "false",
}


def new(folder: Path) -> Repo:
    folder.mkdir(parents=True)
    repo = Repo(folder)
    repo.git("init", "--quiet", "--initial-branch=main", "--template=")
    for key, value in SETTINGS.items():
        repo.git("config", key, value)
    return repo


@pytest.fixture(scope="session")
def two_commits(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    made = new(tmp_path_factory.mktemp("made") / "origin")
    made.commit("README.md", "src/app.py")
    made.commit("src/app.py")
    return made


@pytest.fixture
def repo(tmp_path: Path, two_commits: Repo) -> Repo:
    """The remote, with two commits on main."""
    shutil.copytree(two_commits.folder, tmp_path / "origin")
    return Repo(tmp_path / "origin", commits=2)


def why(answer: Answered) -> tuple[str, str]:
    assert isinstance(answer, Unavailable), answer
    return answer.reason, answer.cure


YES, NO = Known(value=True), Known(value=False)
CANNOT = "cannot tell which files changed"
SHALLOW = (f"{CANNOT}: this is a shallow clone", "run  git fetch --unshallow  or use CircleCI's checkout step")


# the previous commit


def test_a_commit(repo: Repo) -> None:
    repo.commit("a", "docs/b.md")
    assert repo.changed() == ["a", "docs/b.md"]


def test_a_root_commit_changed_everything_it_holds(repo: Repo) -> None:
    assert repo.changed(revision=repo.git("rev-list", "--max-parents=0", "HEAD")) == ["README.md", "src/app.py"]


def test_an_empty_commit_changed_nothing(repo: Repo) -> None:
    repo.commit()
    assert repo.changed() == []


def test_an_empty_root_commit(tmp_path: Path) -> None:
    lonely = new(tmp_path / "lonely")
    lonely.commit()
    assert lonely.changed() == []


def test_a_merge_is_compared_with_its_first_parent(repo: Repo) -> None:
    repo.switch("topic", "main")
    repo.commit("topic")
    repo.switch("main")
    repo.commit("meanwhile")
    repo.merge("topic")
    assert repo.changed() == ["topic"]


def test_an_octopus_merge(repo: Repo) -> None:
    for name in ("one", "two"):
        repo.switch(name, "main")
        repo.commit(name)
    repo.switch("main")
    repo.commit("meanwhile")
    repo.merge("one", "two")
    assert repo.changed() == ["one", "two"]


def test_a_move_out_of_a_folder_is_a_change_of_that_folder(repo: Repo) -> None:
    repo.git("config", "diff.renames", "copies")
    repo.git("mv", "src/app.py", "app.py")
    repo.commit()
    assert repo.changed() == ["app.py", "src/app.py"]


def test_what_is_removed_or_only_made_executable_is_changed(repo: Repo) -> None:
    repo.git("rm", "--quiet", "README.md")
    repo.git("update-index", "--chmod=+x", "src/app.py")
    repo.git("commit", "--quiet", "-m", "x")
    assert repo.changed() == ["README.md", "src/app.py"]


def test_a_file_that_becomes_a_folder(repo: Repo) -> None:
    repo.git("rm", "--quiet", "README.md")
    repo.commit("README.md/inside")
    assert repo.changed() == ["README.md", "README.md/inside"]


@pytest.mark.parametrize("ignore", [None, "all", "dirty"])
def test_a_submodule(repo: Repo, ignore: str | None) -> None:
    """What a repository says of itself, or the machine of all, does not hide a change from the rules."""
    for commit in (ABSENT, ABSENT[::-1]):
        repo.git("update-index", "--add", "--cacheinfo", f"160000,{commit},vendor/lib")
        if ignore:
            settings = f'[submodule "lib"]\n\tpath = vendor/lib\n\turl = ../lib\n\tignore = {ignore}\n'
            (repo.folder / ".gitmodules").write_text(settings, encoding="utf-8")
            repo.git("add", ".gitmodules")
        repo.git("commit", "--quiet", "--allow-empty", "-m", "x")
    if ignore:
        repo.git("config", "submodule.lib.ignore", ignore)
        repo.git("config", "diff.ignoreSubmodules", ignore)
    assert repo.changed() == ["vendor/lib"]


ODD = [
    "with space",
    "'quote'",
    '"double"',
    "new\nline",
    "tab\there",
    "back\\slash",
    "ü/ñ",
    "-rf",
    "--output=x",
    ":(glob)**",
    "*",
    "end ",
    "latin-\udce9",  # the byte E9, which is no UTF-8
    "\udcff\udcfe",
]


def test_names_come_as_they_are(repo: Repo) -> None:
    repo.commit(*ODD)
    assert repo.changed() == sorted(ODD)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("diff.relative", "true"),
        ("diff.noprefix", "true"),
        ("diff.external", "false"),
        ("diff.orderFile", "nowhere"),
        ("core.quotePath", "true"),
        ("color.ui", "always"),
        ("log.showSignature", "true"),
        ("log.follow", "true"),
        ("format.pretty", "fuller"),
        ("i18n.logOutputEncoding", "UTF-16"),
        ("core.pager", "false"),
    ],
)
def test_what_the_machine_has_configured_changes_nothing(repo: Repo, key: str, value: str) -> None:
    repo.commit("src/ü", "top", message="Über")
    repo.git("config", key, value)
    history = repo.reader(repo.head, folder="src")
    assert history.answer(PREVIOUS) == Known(("src/ü", "top"))
    assert history.answer(MessageOf()) == Known("Über\n\n")
    assert history.answer(AuthorOf()) == Known("anna@acme.dev")


def test_what_is_checked_out_or_changed_in_the_folder_does_not_count(repo: Repo) -> None:
    first = repo.commit("a")
    repo.commit("b")
    repo.git("checkout", "--quiet", "--detach", "HEAD~2")
    (repo.folder / "README.md").write_text("edited", encoding="utf-8")
    repo.git("add", "-A")
    assert repo.changed(revision=first) == ["a"]


# since the merge base


def topic(repo: Repo) -> Repo:
    """A clone on a branch with two commits, while main went on."""
    repo.switch("topic", "main")
    repo.commit("one")
    repo.commit("two")
    repo.switch("main")
    repo.commit("meanwhile")
    return repo.clone("--branch=topic")


def test_a_branch(repo: Repo) -> None:
    assert topic(repo).changed(MERGE_BASE) == ["one", "two"]


def test_a_branch_that_is_at_or_behind_main_changed_nothing(repo: Repo) -> None:
    clone = repo.clone()
    assert clone.changed(MERGE_BASE) == []
    assert clone.changed(MERGE_BASE, clone.git("rev-parse", "HEAD~1")) == []


def test_a_branch_into_which_main_was_merged(repo: Repo) -> None:
    clone = topic(repo)
    clone.merge("origin/main")
    assert clone.changed(MERGE_BASE) == ["one", "two"]


def test_what_was_done_and_undone_is_not_changed(repo: Repo) -> None:
    clone = topic(repo)
    clone.git("revert", "--no-edit", "HEAD")
    assert clone.changed(MERGE_BASE) == ["one"]


def test_a_branch_that_was_rewritten(repo: Repo) -> None:
    """A force-push takes the old commits away; nothing is compared with them."""
    topic(repo)
    repo.switch("topic", "main~1")
    repo.commit("other")
    repo.switch("main")
    clone = repo.clone("--branch=topic", name="again")
    assert clone.changed(MERGE_BASE) == clone.changed() == ["other"]


def test_a_local_branch_of_the_same_name_does_not_count(repo: Repo) -> None:
    clone = topic(repo)
    clone.git("branch", "main", "topic")
    clone.git("tag", "main", "topic")
    clone.git("tag", "origin/main", "topic")
    assert clone.changed(MERGE_BASE) == ["one", "two"]
    assert clone.ask(ON_MAIN) == NO


def test_a_criss_cross(repo: Repo) -> None:
    """Two best common commits: git names one of them, always the same, and the comparison is exact with that one."""
    repo.switch("topic", "main")
    one = repo.commit("one")
    repo.switch("main")
    two = repo.commit("two")
    repo.merge(one)
    repo.switch("topic")
    repo.merge(two)
    repo.commit("three")
    clone = repo.clone("--branch=topic")
    assert len(clone.git("merge-base", "--all", "origin/main", "HEAD").split()) == 2
    found = clone.changed(MERGE_BASE)
    assert found in (["one", "three"], ["three", "two"])
    assert found == clone.changed(MERGE_BASE)


def test_no_common_commit(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "--orphan", "island")
    repo.commit("island")
    clone = repo.clone("--branch=island")
    short = clone.head[:7]
    assert why(clone.ask(MERGE_BASE)) == (
        f"{CANNOT}: {short} and origin/main have no common commit",
        "write since: {ref: NAME}",
    )
    assert clone.ask(ON_MAIN) == NO


# since a ref


@pytest.mark.parametrize("options", [(), ("-a", "-m", "release")])
def test_a_tag(repo: Repo, options: tuple[str, ...]) -> None:
    repo.git("tag", *options, "live")
    repo.commit("a")
    repo.commit("b")
    assert repo.clone().changed(ChangedSince(ref="live")) == ["a", "b"]


def test_a_branch_of_the_remote_that_deploys_move(repo: Repo) -> None:
    repo.git("branch", "deployed/staging")
    repo.commit("a")
    assert repo.clone().changed(ChangedSince(ref="deployed/staging")) == ["a"]


def test_a_ref_on_another_line_counts_both_ways(repo: Repo) -> None:
    """What is live and not in this commit would be taken back: that is a change, too."""
    repo.git("branch", "live")
    repo.commit("mine")
    clone = repo.clone()
    repo.switch("live")
    repo.commit("theirs")
    clone.git("fetch", "--quiet")
    assert clone.changed(ChangedSince(ref="live")) == ["mine", "theirs"]


def test_a_tag_comes_before_a_branch_and_the_remotes_before_a_local_one(repo: Repo) -> None:
    first = repo.head
    repo.commit("a")
    repo.git("branch", "live")
    second = repo.head
    repo.commit("b")
    clone = repo.clone()
    clone.git("branch", "live", first)
    assert clone.changed(ChangedSince(ref="live")) == ["b"]
    clone.git("tag", "live", first)
    assert clone.changed(ChangedSince(ref="live")) == ["a", "b"]
    assert clone.changed(ChangedSince(ref=second)) == clone.changed(ChangedSince(ref=second[:8])) == ["b"]


@pytest.mark.parametrize("ref", ["nowhere", "-h", "--all", "a b", "", "x..y", "HEAD:README.md"])
def test_a_ref_that_is_not_there(repo: Repo, ref: str) -> None:
    reason, cure = why(repo.ask(ChangedSince(ref=ref)))
    assert reason == f"{CANNOT}: there is no ref '{ref}' in this clone"
    assert cure.startswith(f"run  git fetch origin {ref}:")


def test_the_last_deploy_is_not_looked_for(repo: Repo) -> None:
    assert why(repo.ask(LAST_DEPLOY))[0].startswith(f"{CANNOT} since the last deploy")


# merged into


def test_merged_into(repo: Repo) -> None:
    clone = topic(repo)
    main = clone.git("rev-parse", "origin/main")
    assert [clone.ask(ON_MAIN, revision) for revision in (main, clone.head)] == [YES, NO]
    assert clone.ask(ON_MAIN, clone.git("rev-parse", "origin/main~1")) == YES
    assert clone.ask(IsMergedInto("topic")) == YES


def test_a_detached_head(repo: Repo) -> None:
    clone = topic(repo)
    clone.git("checkout", "--quiet", "--detach")
    assert (clone.ask(ON_MAIN), clone.changed(MERGE_BASE)) == (NO, ["one", "two"])


@pytest.mark.parametrize("options", [(), ("-a", "-m", "release")])
@pytest.mark.parametrize("is_merged", [True, False])
def test_a_tag_build(repo: Repo, options: tuple[str, ...], is_merged: bool) -> None:  # noqa: FBT001
    """CircleCI checks the tag out without a branch; the revision is that of the commit."""
    repo.switch("release", "main")
    sha = repo.commit("a")
    repo.git("tag", *options, "v1")
    repo.switch("main")
    if is_merged:
        repo.merge("release")
    repo.git("branch", "--quiet", "-D", "release")
    clone = repo.clone("--branch=v1")
    assert clone.head == sha
    assert clone.ask(ON_MAIN) == Known(is_merged)
    assert clone.changed() == ["a"]


# what is missing


def test_a_branch_that_is_not_fetched(repo: Repo) -> None:
    topic(repo)
    clone = repo.clone("--branch=topic", "--single-branch", name="single")
    short = clone.head[:7]
    cure = "run  git fetch origin main:refs/remotes/origin/main  first"
    assert why(clone.ask(ON_MAIN)) == (f"cannot tell whether {short} is on main: origin/main is not fetched", cure)
    assert why(clone.ask(MERGE_BASE)) == (f"{CANNOT}: origin/main is not fetched", cure)
    clone.cure(cure)
    assert (clone.ask(ON_MAIN), clone.changed(MERGE_BASE)) == (NO, ["one", "two"])


@pytest.mark.parametrize("kind", ["tag", "branch"])
def test_a_ref_that_is_not_fetched(repo: Repo, kind: str) -> None:
    repo.git(kind, "live")
    repo.commit("a")
    clone = repo.clone("--single-branch", "--no-tags")
    _, cure = why(clone.ask(ChangedSince(ref="live")))
    clone.cure(cure)
    assert clone.changed(ChangedSince(ref="live")) == ["a"]


def test_a_shallow_clone_without_the_parent(repo: Repo) -> None:
    """Here git calls the only commit a root, and says "no" where the truth is yes."""
    repo.commit("a")
    repo.git("tag", "live", "HEAD~1")
    clone = repo.clone("--depth=1")
    assert why(clone.ask(PREVIOUS)) == why(clone.ask(MERGE_BASE)) == SHALLOW
    assert message(clone) == "x"
    clone.cure(SHALLOW[1].partition("  or")[0])
    assert clone.changed() == ["a"]


def test_a_shallow_clone_with_the_parent(repo: Repo) -> None:
    repo.commit("a")
    clone = repo.clone("--depth=2")
    assert clone.changed() == ["a"]
    assert why(clone.ask(MERGE_BASE)) == SHALLOW
    assert why(clone.ask(PREVIOUS, clone.git("rev-parse", "HEAD~1"))) == SHALLOW


def test_a_shallow_clone_with_both_parents_of_a_merge(repo: Repo) -> None:
    topic(repo)
    repo.merge("topic")
    assert repo.clone("--depth=2", name="shallow").changed() == ["one", "two"]


def test_a_shallow_clone_compares_with_a_ref_that_it_holds(repo: Repo) -> None:
    """Two commits are enough to compare them; no history is needed."""
    repo.git("tag", "live")
    repo.commit("a")
    repo.commit("b")
    clone = repo.clone("--depth=1")
    clone.git("fetch", "--quiet", "--depth=1", "origin", "tag", "live")
    assert clone.changed(ChangedSince(ref="live")) == ["a", "b"]


def test_in_a_shallow_clone_yes_is_believed_and_no_is_not(repo: Repo) -> None:
    release = repo.commit("a")
    repo.git("tag", "v1")
    for _ in range(3):
        repo.commit("b")
    near = repo.clone("--depth=5", name="near")
    assert near.ask(ON_MAIN, release) == YES
    far = repo.clone("--depth=1", name="far")
    far.git("fetch", "--quiet", "--depth=1", "origin", "tag", "v1")
    reason, cure = why(far.ask(ON_MAIN, release))
    assert reason == f"cannot tell whether {release[:7]} is on main: this is a shallow clone"
    far.cure(cure.partition("  or")[0])
    assert far.ask(ON_MAIN, release) == YES


def blobless(repo: Repo, *options: str, kind: str = "blob:none") -> Repo:
    """As CircleCI's checkout makes them; the remote is gone afterwards, so nothing can be fetched later."""
    clone = repo.clone(f"--filter={kind}", "--no-checkout", *options, name=kind.replace(":", "-"))
    repo.folder.rename(repo.folder.with_name("gone"))
    missing = clone.git("rev-list", "--objects", "--missing=print", "--all")
    assert "?" in missing, "the clone was meant to lack something"
    return clone


def test_a_blobless_clone_is_exact(repo: Repo) -> None:
    topic(repo)
    repo.switch("topic")
    repo.git("mv", "src/app.py", "src/moved.py")
    repo.commit("src/moved.py")
    repo.git("tag", "live", "main~1")
    clone = blobless(repo)
    assert clone.changed() == ["src/app.py", "src/moved.py"]
    assert clone.changed(MERGE_BASE) == ["one", "src/app.py", "src/moved.py", "two"]
    assert clone.changed(ChangedSince(ref="live")) == ["one", "src/app.py", "src/moved.py", "two"]
    assert clone.ask(ON_MAIN) == NO
    assert clone.changed(revision=clone.git("rev-list", "--max-parents=0", "HEAD")) == ["README.md", "src/app.py"]


def test_a_clone_without_trees_does_not_take_a_commit_for_a_root(repo: Repo) -> None:
    """Its parent is known, but not what it held; all files of the commit would be a wrong answer."""
    repo.commit("a")
    clone = repo.clone("--filter=tree:0", name="treeless")  # checked out: the commit's own tree is there
    repo.folder.rename(repo.folder.with_name("gone"))
    assert why(clone.ask(PREVIOUS))[0] == f"{CANNOT}: the commit before {clone.head[:7]} is not in this clone"


def test_a_revision_that_is_not_in_the_clone(repo: Repo) -> None:
    repo.git("tag", "live")
    clone = repo.clone()
    for question in EVERY:
        reason, cure = why(clone.ask(question, ABSENT))
        assert "shallow" not in reason
        assert ABSENT in reason
        assert cure == "run the step in the clone that CircleCI's checkout step makes"


def test_not_a_repository(tmp_path: Path) -> None:
    nowhere = Repo(tmp_path)
    for question in EVERY:
        reason, cure = why(nowhere.ask(question, ABSENT, GIT_CEILING_DIRECTORIES=str(tmp_path)))
        assert reason.endswith(": this folder is in no git clone")
        assert cure == "run the step in the clone that CircleCI's checkout step makes"


def test_no_git(repo: Repo, tmp_path: Path) -> None:
    for question in EVERY:
        reason, _ = why(repo.ask(question, PATH=str(tmp_path)))
        assert reason.endswith(": git cannot be run here")


def test_a_clone_that_git_does_not_trust(repo: Repo, tmp_path: Path) -> None:
    """Somebody else owns it, as in many containers; git's own words would name folders and nothing to do."""
    path = wrapper(tmp_path, "GIT_TEST_ASSUME_DIFFERENT_OWNER=1; export GIT_TEST_ASSUME_DIFFERENT_OWNER")
    for question in EVERY:
        reason, cure = why(repo.ask(question, PATH=path))
        assert "git does not trust this clone, which another user owns" in reason
        assert "safe.directory" in cure


def test_the_callers_git_variables_are_ignored(repo: Repo, tmp_path: Path) -> None:
    other = new(tmp_path / "other")
    other.commit("wrong")
    repo.commit("right")
    variables = {
        "GIT_DIR": str(other.folder / ".git"),
        "GIT_WORK_TREE": str(other.folder),
        "GIT_SHALLOW_FILE": "/nowhere",
        "GIT_EXTERNAL_DIFF": "false",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.bare",
        "GIT_CONFIG_VALUE_0": "maybe",
        "GIT_TRACE": "1",
    }
    assert repo.ask(PREVIOUS, **variables) == Known(("right",))


# the commit itself


def test_the_author_is_who_wrote_it_and_not_who_committed(repo: Repo) -> None:
    (repo.folder / ".mailmap").write_text("Eve <eve@acme.dev> <anna@acme.dev>\n", encoding="utf-8")
    repo.git("config", "log.mailmap", "true")
    assert repo.ask(AuthorOf()) == Known("anna@acme.dev")
    repo.commit(GIT_AUTHOR_EMAIL="")
    assert repo.ask(AuthorOf()) == Known("")


def message(repo: Repo) -> str:
    found = repo.ask(MessageOf())
    assert isinstance(found, Known)
    return str(found.value).rstrip("\n")


def test_the_whole_message(repo: Repo) -> None:
    text = "Ship it\n\nBody with [skip deploy] and ü\n\nCo-authored-by: Eve <eve@x>"
    repo.commit(message=text)
    repo.git("notes", "add", "-m", "a note is not the message")
    assert message(repo) == text


def test_a_commit_without_a_message(repo: Repo) -> None:
    repo.git("commit", "--quiet", "--allow-empty", "--allow-empty-message", "-m", "")
    assert (message(repo), repo.ask(AuthorOf())) == ("", Known("anna@acme.dev"))


def test_a_message_in_another_encoding(repo: Repo) -> None:
    repo.raw(
        "-c", "i18n.commitEncoding=ISO-8859-1", "commit", "--quiet", "--allow-empty", "-F", "-", text=b"Gr\xfc\xdfe"
    )
    assert b"\nencoding ISO-8859-1\n" in repo.raw("cat-file", "-p", "HEAD")
    assert message(repo) == "Grüße"


def test_a_message_in_an_encoding_that_it_does_not_name(repo: Repo) -> None:
    """Git takes what is no UTF-8 for Latin-1."""
    repo.raw("commit", "--quiet", "--allow-empty", "-F", "-", text=b"caf\xe9 [ship]")
    assert message(repo) == "café [ship]"


# how often git is called


def wrapper(folder: Path, line: str) -> str:
    """A PATH on which git runs one line of shell first."""
    script = folder / "bin" / "git"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\n{line}\nexec {GIT} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return f"{script.parent}:{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("questions", "commands"),
    [
        ((), []),
        ((AuthorOf(), MessageOf()), ["log"]),
        ((PREVIOUS,), ["diff-tree"]),
        ((PREVIOUS, PREVIOUS), ["diff-tree"]),
        ((IsMergedInto("topic"),), ["merge-base"]),
        ((ON_MAIN,), ["merge-base", "rev-parse"]),
        ((ON_MAIN, IsMergedInto("other")), ["merge-base", "rev-parse", "merge-base"]),
        ((MERGE_BASE,), ["rev-parse", "merge-base", "diff-tree"]),
        ((ON_MAIN, MERGE_BASE), ["merge-base", "rev-parse", "merge-base", "diff-tree"]),
        ((ChangedSince(ref="live"),), ["rev-parse", "diff-tree"]),
        ((ChangedSince(ref="other"),), ["rev-parse", "rev-parse", "diff-tree"]),
        ((LAST_DEPLOY,), []),
    ],
)
def test_git_is_called_no_more_than_needed(
    repo: Repo, tmp_path: Path, questions: tuple[Question, ...], commands: list[str]
) -> None:
    repo.git("tag", "live")
    repo.git("branch", "other")
    clone = topic(repo)
    log = tmp_path / "log"
    log.touch()
    history = clone.reader(clone.head, PATH=wrapper(tmp_path, f'echo "$1" >> {log}'))
    for question in questions:
        history.answer(question)
    assert log.read_text(encoding="utf-8").split() == commands


# what else is asked of the commit


@pytest.mark.parametrize("options", [(), ("--filter=blob:none",), ("--depth=1",)])
def test_when_a_commit_was_made(repo: Repo, options: tuple[str, ...]) -> None:
    """By the committer's clock: a rebased commit keeps the author's date of years ago."""
    repo.commit(GIT_AUTHOR_DATE="1000000000 +0000", GIT_COMMITTER_DATE="1750000000 +0530")
    clone = repo.clone(*options)
    made = clone.reader(clone.head).committed_at()
    assert made is not None
    assert made.timestamp() == 1_750_000_000
    assert made.utcoffset() == timedelta(hours=5, minutes=30)


def test_when_a_commit_was_made_that_the_clone_does_not_know(repo: Repo, tmp_path: Path) -> None:
    assert repo.reader("0" * 39 + "1").committed_at() is None
    assert repo.reader("HEAD", folder=str(tmp_path)).committed_at() is None


@pytest.mark.parametrize("options", [(), ("--filter=blob:none",), ("--depth=1",)])
def test_where_no_deploy_is_known_every_file_counts_as_changed(repo: Repo, options: tuple[str, ...]) -> None:
    repo.commit("b/ü", "a b")
    clone = repo.clone(*options)
    found = clone.ask(replace(LAST_DEPLOY, ref=""))
    assert isinstance(found, Known)
    assert sorted(found.value) == ["README.md", "a b", "b/ü", "src/app.py"]  # type: ignore[call-overload]
    assert "every file counts as changed" in found.note
    assert isinstance(clone.ask(replace(LAST_DEPLOY, ref=""), "0" * 39 + "1"), Unavailable)


# clones that are older than what they are asked about


def grew(repo: Repo) -> None:
    repo.commit("later")


def merged(repo: Repo) -> None:
    repo.merge("topic")


def rewritten(repo: Repo) -> None:
    repo.git("reset", "--quiet", "--hard", "root")
    repo.commit("other")


def removed(repo: Repo) -> None:
    repo.switch("topic")
    repo.git("branch", "-D", "main")


def deployed(repo: Repo) -> None:
    """A tag and a branch that deploys move."""
    repo.git("tag", "--force", "live", "topic~1")
    repo.git("branch", "--force", "deployed", "topic~1")


EVENTS = (None, grew, merged, rewritten, removed, deployed)
CLONES = {
    "full": (),
    "blobless": ("--filter=blob:none",),
    "treeless": ("--filter=tree:0",),
    "shallow": ("--depth=1", "--no-single-branch"),
    "less shallow": ("--depth=3", "--no-single-branch"),
    "single": ("--single-branch",),
    "single without tags": ("--single-branch", "--no-tags"),
}
WHOLE = ("full", "blobless")
STALE_QUESTIONS = (
    ON_MAIN,
    MERGE_BASE,
    ChangedSince(ref="live"),
    ChangedSince(ref="deployed"),
    ChangedSince(ref="main"),
    ChangedSince(ref="origin/main"),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__ if event else "nothing")
@pytest.mark.parametrize("kind", CLONES)
def test_an_answer_is_that_of_the_remote_now_or_there_is_none(
    repo: Repo, kind: str, event: Callable[[Repo], None] | None
) -> None:
    """In every kind of clone, whatever has happened to the remote since; a clone of today knows the truth."""
    repo.git("tag", "root", "HEAD~1")
    base = repo.head
    topic(repo)
    for name in ("tag", "branch"):
        repo.git(name, "live" if name == "tag" else "deployed", base)
    clone = repo.clone("--branch=topic", *CLONES[kind], name=kind.replace(" ", "-"))
    if event is not None:
        event(repo)
    today = repo.clone("--branch=topic", name="today")
    for fetches in (False, True):
        said: list[str] = []
        for revision in (clone.head, base):
            history = clone.beside_remote(revision, said, fetches=fetches)
            for question in STALE_QUESTIONS:
                found, truth = history.answer(question), today.ask(question, revision)
                if isinstance(found, Known):
                    assert as_set(found) == as_set(truth), (question, revision == base, fetches)
                else:
                    may_be_unknown = event is not None and not fetches
                    assert may_be_unknown or kind not in WHOLE or isinstance(truth, Unavailable), (question, found)
        fetched = [line for line in said if re.fullmatch(r"(origin/|tag )\w+ was fetched: it is at .*", line)]
        assert fetched == said
        assert fetches or not said


def octopus(repo: Repo) -> None:
    for name in ("one", "two"):
        repo.switch(name, "main")
        repo.commit(name)
    repo.switch("topic", "main")
    repo.merge("one", "two")


def main_in_topic(repo: Repo) -> None:
    repo.switch("topic", "main")
    repo.commit("one")
    repo.switch("main")
    repo.commit("meanwhile")
    repo.switch("topic")
    repo.merge("main")
    repo.commit("two")


def criss_cross(repo: Repo) -> None:
    repo.switch("topic", "main")
    one = repo.commit("one")
    repo.switch("main")
    two = repo.commit("two")
    repo.merge(one)
    repo.switch("topic")
    repo.merge(two)
    repo.commit("three")


def squashed(repo: Repo) -> None:
    """What main has taken over from topic is another commit."""
    repo.switch("topic", "main")
    repo.commit("one")
    repo.switch("main")
    repo.git("merge", "--quiet", "--squash", "topic")
    repo.git("commit", "--quiet", "-m", "squashed")


def fast_forward(repo: Repo) -> None:
    repo.switch("topic", "main")
    repo.commit("one")
    repo.switch("main")
    repo.git("merge", "--quiet", "--ff-only", "topic")


def orphan(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "--orphan", "topic")
    repo.commit("island")


def moves(repo: Repo) -> None:
    repo.switch("topic", "main")
    repo.git("mv", "src/app.py", "app.py")
    repo.commit()
    repo.git("update-index", "--chmod=+x", "README.md")
    repo.git("commit", "--quiet", "-m", "x")


@pytest.mark.parametrize("history", [octopus, main_in_topic, criss_cross, squashed, fast_forward, orphan, moves])
def test_every_kind_of_clone_gives_the_whole_ones_answer_or_none(repo: Repo, history: Callable[[Repo], None]) -> None:
    for name in ("tag", "branch"):
        repo.git(name, "live" if name == "tag" else "deployed", "HEAD~1")
    history(repo)
    whole = repo.clone("--branch=topic", name="whole")
    truth = {q: whole.ask(q) for q in (*STALE_QUESTIONS, PREVIOUS)}
    answered = 0
    for kind, options in CLONES.items():
        clone = repo.clone("--branch=topic", *options, name=kind.replace(" ", "-"))
        for is_beside in (False, True):
            asked = clone.beside_remote(clone.head, []) if is_beside else clone.reader(clone.head)
            for question, true in truth.items():
                found = asked.answer(question)
                if isinstance(found, Known):
                    answered += 1
                    assert as_set(found) == as_set(true), (kind, question)
                else:
                    assert kind not in WHOLE or isinstance(true, Unavailable), (kind, question, found)
    assert answered > 30


def as_set(answer: Answered) -> object:
    assert isinstance(answer, Known), answer
    return sorted(answer.value) if isinstance(answer.value, tuple) else answer.value


def stale(repo: Repo) -> tuple[Repo, str, str]:
    """A clone of topic, and where main was in it and is now."""
    clone = topic(repo)
    old = clone.git("rev-parse", "origin/main")
    grew(repo)
    return clone, old[:7], repo.head[:7]


@pytest.mark.parametrize("question", [ON_MAIN, MERGE_BASE, ChangedSince(ref="main"), ChangedSince(ref="origin/main")])
def test_a_branch_that_has_moved_since_the_checkout_comes_with_a_cure(repo: Repo, question: Question) -> None:
    clone, old, new_place = stale(repo)
    reason, cure = why(clone.beside_remote(clone.head, []).answer(question))
    assert reason.endswith(f": origin/main is at {old} in this clone, and at {new_place} in the remote")
    assert cure == "run  git fetch origin +refs/heads/main:refs/remotes/origin/main  first, or give --fetch"
    clone.cure(cure)
    assert isinstance(clone.beside_remote(clone.head, []).answer(question), Known)


def test_a_cure_also_cures_a_branch_that_was_rewritten_and_a_tag_that_was_moved(repo: Repo) -> None:
    repo.git("tag", "root", "HEAD~1")
    repo.git("tag", "-a", "-m", "x", "live", "HEAD")
    clone = topic(repo)
    rewritten(repo)
    deployed(repo)
    for question in (MERGE_BASE, ChangedSince(ref="live")):
        _, cure = why(clone.beside_remote(clone.head, []).answer(question))
        clone.cure(cure)
        assert isinstance(clone.beside_remote(clone.head, []).answer(question), Known)


def test_that_main_went_on_does_not_take_a_commit_off_it(repo: Repo) -> None:
    """The ordinary case, a push to main while a tag is built, stays quiet."""
    clone, _, _ = stale(repo)
    on_main = clone.git("rev-parse", "origin/main")
    assert clone.beside_remote(on_main, []).answer(ON_MAIN) == YES
    assert clone.git("rev-parse", "origin/main") == on_main


def test_a_commit_that_was_taken_off_main_is_not_on_it(repo: Repo) -> None:
    repo.git("tag", "root", "HEAD~1")
    clone = topic(repo)
    on_main = clone.git("rev-parse", "origin/main")
    rewritten(repo)
    assert isinstance(clone.beside_remote(on_main, []).answer(ON_MAIN), Unavailable)
    assert clone.beside_remote(on_main, [], fetches=True).answer(ON_MAIN) == NO


def test_a_remote_that_cannot_be_read_is_said_once_and_the_clone_is_believed(repo: Repo) -> None:
    clone = topic(repo)
    repo.folder.rename(repo.folder.with_name("gone"))
    said: list[str] = []
    history = clone.beside_remote(clone.head, said)
    assert [history.answer(q) for q in (ON_MAIN, MERGE_BASE)] == [NO, Known(("one", "two"))]
    (line,) = said
    assert line.startswith("where origin's branches are now could not be read (there is no git repository at ")
    assert line.endswith("): the clone is believed")


def test_the_remote_is_asked_once_for_all_names(repo: Repo, tmp_path: Path) -> None:
    repo.git("tag", "live")
    clone = topic(repo)
    log = tmp_path / "log"
    environ = {"PATH": wrapper(tmp_path, f'echo "$1" >> {log}'), "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    repository, remote = GitRepository(clone.folder, environ), GitRemote(clone.folder, environ)
    current = CurrentRefs(remote, repository, ("live",), lambda _: None, fetches=False)
    history = GitHistory(repository, clone.head, None, current)
    for question in STALE_QUESTIONS[:3]:
        assert isinstance(history.answer(question), Known)
    assert log.read_text(encoding="utf-8").split().count("ls-remote") == 1


# the default branch


@pytest.mark.parametrize("leftover", [False, True])
def test_without_a_key_the_default_branch_is_that_of_the_clone(repo: Repo, leftover: bool) -> None:  # noqa: FBT001
    """A `main` that was left over does not judge."""
    base = repo.head
    repo.git("branch", "-m", "master")
    repo.commit("meanwhile")
    if leftover:
        repo.git("branch", "main", f"{base}~1")
    repo.switch("topic", base)
    repo.commit("one")
    repo.switch("master")
    clone = repo.clone("--branch=topic")
    history = clone.beside_remote(clone.head, [], named=False)
    assert history.default_branch == "master"
    assert history.answer(MERGE_BASE) == Known(("one",))


def test_without_either_the_key_is_asked_for(repo: Repo) -> None:
    clone = topic(repo)
    clone.git("remote", "set-head", "origin", "--delete")
    history = clone.beside_remote(clone.head, [], named=False)
    assert history.default_branch is None
    assert history.answer(MERGE_BASE) == Unavailable(
        "U108",
        f"{CANNOT}: the rule file names no default branch, and the clone has no origin/HEAD",
        "write  default_branch: NAME  in the rule file",
    )
    assert isinstance(history.answer(ON_MAIN), Known)


def test_a_default_branch_that_was_changed_after_the_clone_was_made(repo: Repo) -> None:
    clone = topic(repo)
    repo.git("checkout", "--quiet", "-b", "trunk")
    reason, cure = why(clone.beside_remote(clone.head, [], named=False).answer(MERGE_BASE))
    assert reason == f"{CANNOT}: the default branch is trunk, and origin/HEAD of this clone says main"
    assert cure == "write  default_branch: trunk  in the rule file"
    assert isinstance(clone.beside_remote(clone.head, []).answer(MERGE_BASE), Known)
