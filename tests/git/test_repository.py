"""The git adapter on real repositories."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from repos import Repo, new

from deploystep.adapters.git import GitRepository, plain
from deploystep.core.errors import RuleFileInvalid, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return new(tmp_path / "clone")


def commit(repo: Repo, text: str = "x", path: str = "deploy.yml") -> str:
    return repo.commit(path, text=text)


# describe


def test_a_clone_describes_a_build(repo: Repo) -> None:
    sha = commit(repo)
    repo.git("remote", "add", "origin", "git@github.com:acme/shop.git")
    assert repo.read().describe() == {
        "CIRCLE_SHA1": sha,
        "CIRCLE_BRANCH": "main",
        "CIRCLE_PROJECT_USERNAME": "acme",
        "CIRCLE_PROJECT_REPONAME": "shop",
        "CIRCLE_REPOSITORY_URL": "https://github.com/acme/shop",
    }


@pytest.mark.parametrize("branch", ["feature/x", "ü", "a;b", "$(id)", "release#1", "a'b", '"', "heads/x", "v1"])
def test_odd_branches(repo: Repo, branch: str) -> None:
    sha = commit(repo)
    repo.git("checkout", "--quiet", "-b", branch)
    repo.git("tag", "v1")
    assert repo.read().describe()["CIRCLE_BRANCH"] == branch
    repo.git("checkout", "--quiet", "--detach")
    assert repo.read().describe() == {"CIRCLE_SHA1": sha}


def test_what_describes_little_or_nothing(repo: Repo, tmp_path: Path) -> None:
    for url in ("/srv/shop.git", "https://git.acme.dev/acme/shop", "file:///srv/x", "shop"):
        repo.git("config", "remote.origin.url", url)
        assert repo.read().describe() == {"CIRCLE_BRANCH": "main"}, "no commit, and no project"
    assert GitRepository(tmp_path, repo.environ).describe() == {}
    lonely = repo.read(PATH="/nowhere")
    assert (lonely.describe(), lonely.resolve("HEAD")) == ({}, None)
    with pytest.raises(RuleFileInvalid):
        lonely.show("HEAD", "deploy.yml")


def test_the_callers_git_variables_are_ignored(repo: Repo, tmp_path: Path) -> None:
    """A hook or an alias sets these, and they would point at another repository."""
    other = new(tmp_path / "other")
    wrong = commit(other, "wrong")
    right = commit(repo, "right")
    reader = repo.read(
        GIT_DIR=str(other.folder / ".git"), GIT_WORK_TREE=str(other.folder), GIT_INDEX_FILE="/nowhere", GIT_TRACE="1"
    )
    assert reader.describe()["CIRCLE_SHA1"] == right != wrong
    assert reader.show("HEAD", "deploy.yml").text == "right"


# show


def test_show(repo: Repo) -> None:
    first = commit(repo, "one")
    commit(repo, "two")
    repo.git("tag", "v1", first)
    reader = repo.read()
    for ref, text in (("HEAD", "two"), ("main", "two"), (first, "one"), ("v1", "one"), ("HEAD~1", "one")):
        assert reader.show(ref, "deploy.yml").text == text
    (repo.folder / "deploy.yml").write_text("edited", encoding="utf-8")
    repo.git("add", "-A")
    assert reader.show("main", "deploy.yml").text == "two", "what is committed"
    commit(repo, "inner", "services/api/.circleci/deploy.yml")
    assert repo.read("services/api").show("HEAD", ".circleci/deploy.yml").text == "inner"


@pytest.mark.parametrize("ref", ["", ":", ":0", "-h", "--output=/tmp/x", "--", "-"])
def test_what_is_no_ref(repo: Repo, ref: str) -> None:
    """An empty one would mean the index: what a pull request has just changed."""
    commit(repo, "good")
    with pytest.raises(UsageError):
        repo.read().show(ref, "deploy.yml")


@pytest.mark.parametrize(
    ("ref", "path"), [("nowhere", "deploy.yml"), ("HEAD", "nothing"), ("a b", "x"), ("origin/main", "deploy.yml")]
)
def test_what_is_not_there(repo: Repo, ref: str, path: str) -> None:
    repo.git("checkout", "--quiet", "-b", "origin/main")
    commit(repo, "good")
    with pytest.raises(RuleFileInvalid) as caught:
        repo.read().show(ref, path)
    fetch = f"git fetch origin {ref.removeprefix('origin/')}"
    assert f"possible causes: it is not fetched (run  {fetch}), has no such file" in caught.value.hints[0]


def test_a_folder_in_no_clone(tmp_path: Path) -> None:
    reader = GitRepository(tmp_path, {"PATH": os.environ["PATH"]})
    with pytest.raises(RuleFileInvalid, match="cannot read x at main: this folder is in no git clone"):
        reader.show("main", "x")
    with pytest.raises(RuleFileInvalid, match="cannot read x at main: git cannot be run here"):
        GitRepository(tmp_path, {"PATH": str(tmp_path)}).show("main", "x")


SHOWN = "4f2c1aa" + "0" * 33


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("fatal: not a git repository (or any of the parent directories): .git", "this folder is in no git clone"),
        (f"fatal: bad object {SHOWN}", f"{SHOWN} is not in this clone"),
        (f"fatal: Not a valid commit name {SHOWN}", f"{SHOWN} is not in this clone"),
        ("fatal: invalid object name 'refs/remotes/origin/x'.", "refs/remotes/origin/x is not in this clone"),
        (f"fatal: ambiguous argument '{SHOWN}^1': unknown revision or path", f"{SHOWN}^1 is not in this clone"),
        ("fatal: 'origin' does not appear to be a git repository", "this clone has no remote called origin"),
        ("fatal: unable to access 'https://x:pw@a.b/c/': No", "git says: unable to access 'https://a.b/c/': No"),
        (
            "fatal: could not read Username for 'https://a.b': No such device or address",
            "https://a.b asks for credentials, and git has none for it",
        ),
        ("warning: x\nhint: y\nerror: something new", "git says: something new"),
        ("git@a.b: Permission denied (publickey).\nfatal: x", "git@a.b: Permission denied (publickey)."),
        ("", "git does not answer"),
    ],
)
def test_a_complaint_in_plain_words(said: str, words: str) -> None:
    assert plain(said.encode()) == words


def test_the_remotes_branch_is_meant_whatever_else_has_its_name(repo: Repo, tmp_path: Path) -> None:
    """Who calls his branch, or his tag, `origin/main` must not bring the rules that judge it."""
    commit(repo, "the rules of main")
    clone = new(tmp_path / "build")
    clone.git("remote", "add", "origin", str(repo.folder))
    clone.git("fetch", "--quiet", "origin")
    clone.git("checkout", "--quiet", "--no-track", "-b", "origin/main", "refs/remotes/origin/main")
    commit(clone, "mine")
    clone.git("tag", "origin/main")
    assert clone.read().show("origin/main", "deploy.yml").text == "the rules of main"


# resolve


def test_resolve(repo: Repo) -> None:
    sha = commit(repo)
    repo.git("tag", "-a", "-m", "x", "v1")
    reader = repo.read()
    for ref in ("HEAD", "main", sha, sha[:7], "v1", "refs/tags/v1", "refs/heads/main"):
        assert reader.resolve(ref) == sha
    for ref in ("nowhere", "", "-h", "--all", "HEAD:deploy.yml", "a\x00b"):
        assert reader.resolve(ref) is None


@pytest.mark.parametrize(
    ("script", "branch"),
    [
        ("checkout -qb topic", "main"),  # `init` would write a rule that deploys the topic
        ("branch -m master; checkout -qb topic", "master"),
        ("branch -m develop", "develop"),
        ("checkout -qb develop; branch -D main", "develop"),
        ("checkout -qb develop; clone; checkout -qb topic", "develop"),
        ("clone; remote set-head origin -d; checkout -qb topic; branch -D main", "main"),
    ],
)
def test_the_default_branch(tmp_path: Path, script: str, branch: str) -> None:
    """A clone that `git init` has made knows no `origin/HEAD`."""
    made = new(tmp_path / "origin")
    commit(made)
    assert made.play(script).read().default_branch() == branch


def test_a_folder_that_looks_like_a_bare_repository_is_not_one(tmp_path: Path) -> None:
    """Whoever may commit files could bring a repository of his own, whose config runs commands and whose refs judge."""
    folder = tmp_path / "services"
    subprocess.run(["git", "init", "--quiet", "--bare", str(folder)], check=True)
    assert GitRepository(folder, os.environ).run("rev-parse", "--git-dir").returncode != 0
