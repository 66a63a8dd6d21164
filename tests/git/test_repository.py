"""The git adapter on real repositories, and files that are read where no clone tells which there are."""

import os
import subprocess
from pathlib import Path

import pytest
from repos import Repo, new

from deploystep.adapters.files import repository_reader
from deploystep.adapters.git import GitRepository, plain
from deploystep.core.errors import RuleFileInvalid, UsageError

# describe


def test_a_clone_describes_a_build(repo: Repo) -> None:
    repo.git("remote", "add", "origin", "git@github.com:acme/shop.git")
    assert repo.read().describe() == {
        "CIRCLE_SHA1": repo.head,
        "CIRCLE_BRANCH": "main",
        "CIRCLE_PROJECT_USERNAME": "acme",
        "CIRCLE_PROJECT_REPONAME": "shop",
        "CIRCLE_REPOSITORY_URL": "https://github.com/acme/shop",
    }


@pytest.mark.parametrize("branch", ["feature/x", "ü", "a;b", "$(id)", "release#1", "a'b", '"', "heads/x", "v1"])
def test_odd_branches(repo: Repo, branch: str) -> None:
    repo.git("checkout", "--quiet", "-b", branch)
    repo.git("tag", "v1")
    assert repo.read().describe()["CIRCLE_BRANCH"] == branch
    repo.git("checkout", "--quiet", "--detach")
    assert repo.read().describe() == {"CIRCLE_SHA1": repo.head}


def test_what_describes_little_or_nothing(tmp_path: Path) -> None:
    empty = new(tmp_path / "empty")
    for url in ("/srv/shop.git", "https://git.acme.dev/acme/shop", "file:///srv/x", "shop"):
        empty.git("config", "remote.origin.url", url)
        assert empty.read().describe() == {"CIRCLE_BRANCH": "main"}, "no commit, and no project"
    for lonely, why in ((Repo(tmp_path).read(), "this folder is in no git clone"),
                        (empty.read(PATH="/nowhere"), "git cannot be run here")):  # fmt: skip
        assert (lonely.describe(), lonely.resolve("HEAD")) == ({}, None)
        with pytest.raises(RuleFileInvalid, match=f"cannot read x at main: {why}"):
            lonely.show("main", "x")


def test_the_callers_git_variables_are_ignored(repo: Repo, tmp_path: Path) -> None:
    """A hook or an alias sets these, and they would point at another repository."""
    other = new(tmp_path / "other")
    wrong, right = (each.commit("rules", text=text) for each, text in ((other, "wrong"), (repo, "right")))
    theirs = {"GIT_DIR": str(other.folder / ".git"), "GIT_WORK_TREE": str(other.folder), "GIT_INDEX_FILE": "/nowhere"}
    reader = repo.read(**theirs, GIT_TRACE="1")
    assert reader.describe()["CIRCLE_SHA1"] == right != wrong
    assert reader.show("HEAD", "rules").text == "right"


# show and resolve


def test_show_and_resolve(repo: Repo) -> None:
    first, second = repo.commit("rules", text="one"), repo.commit("rules", text="two")
    repo.git("tag", "-a", "-m", "x", "v1", first)
    reader = repo.read()
    for ref in ("HEAD", "main", "refs/heads/main", second, second[:7]):
        assert (reader.show(ref, "rules").text, reader.resolve(ref)) == ("two", second)
    for ref in ("HEAD~1", "v1", "refs/tags/v1", first):
        assert (reader.show(ref, "rules").text, reader.resolve(ref)) == ("one", first)
    for ref in ("nowhere", "", "-h", "--all", "HEAD:rules", "a\x00b"):
        assert reader.resolve(ref) is None
    (repo.folder / "rules").write_text("edited", encoding="utf-8")
    repo.git("add", "-A")
    assert reader.show("main", "rules").text == "two", "what is committed"
    repo.commit("services/api/.circleci/deploy.yml", text="inner")
    assert repo.read("services/api").show("HEAD", ".circleci/deploy.yml").text == "inner"


@pytest.mark.parametrize("ref", ["", ":", ":0", "-h", "--output=/tmp/x", "--", "-"])
def test_what_is_no_ref(repo: Repo, ref: str) -> None:
    """An empty one would mean the index: what a pull request has just changed."""
    with pytest.raises(UsageError):
        repo.read().show(ref, "README.md")


@pytest.mark.parametrize(
    ("ref", "path"), [("nowhere", "README.md"), ("HEAD", "nothing"), ("a b", "x"), ("origin/main", "README.md")]
)
def test_what_is_not_there(repo: Repo, ref: str, path: str) -> None:
    repo.git("checkout", "--quiet", "-b", "origin/main")
    with pytest.raises(RuleFileInvalid) as caught:
        repo.read().show(ref, path)
    fetch = f"git fetch origin {ref.removeprefix('origin/')}"
    assert f"possible causes: it is not fetched (run  {fetch}), has no such file" in caught.value.hints[0]


SHOWN = "4f2c1aa" + "0" * 33


@pytest.mark.parametrize(
    ("said", "words"),
    [
        # what is missing, in the words of several versions
        (f"bad object {SHOWN}", f"{SHOWN} is not in this clone"),
        (f"Not a valid commit name {SHOWN}", f"{SHOWN} is not in this clone"),
        ("invalid object name 'refs/remotes/origin/x'.", "refs/remotes/origin/x is not in this clone"),
        (f"ambiguous argument '{SHOWN}^1': unknown revision or path", f"{SHOWN}^1 is not in this clone"),
        ("unable to access 'https://x:pw@a.b/c/': No", "git says: unable to access 'https://a.b/c/': No"),
        ("could not read Username for 'https://a.b': No", "https://a.b asks for credentials, and git has none for it"),
    ],
)
def test_a_complaint_in_plain_words(said: str, words: str) -> None:
    assert plain(f"warning: x\nhint: y\nfatal: {said}".encode()) == words
    assert (plain(b""), plain(b"error: new")) == ("git does not answer", "git says: new")


def test_the_remotes_branch_is_meant_whatever_else_has_its_name(repo: Repo) -> None:
    """Who calls his branch, or his tag, `origin/main` must not bring the rules that judge it."""
    repo.commit("rules", text="the rules of main")
    clone = repo.play("clone; checkout -q --no-track -b origin/main refs/remotes/origin/main")
    clone.commit("rules", text="mine")
    clone.git("tag", "origin/main")
    assert clone.read().show("origin/main", "rules").text == "the rules of main"


@pytest.mark.parametrize(
    ("script", "branch"),
    [
        ("checkout -qb topic", "main"),  # `init` would write a rule that deploys the topic
        ("branch -m master; checkout -qb topic", "master"),
        ("branch -m develop", "develop"),
        ("checkout -qb develop; clone; checkout -qb topic", "develop"),
        ("clone; remote set-head origin -d; checkout -qb topic; branch -D main", "main"),
    ],
)
def test_the_default_branch(repo: Repo, script: str, branch: str) -> None:
    """A clone that `git init` has made knows no `origin/HEAD`."""
    assert repo.play(script).read().default_branch() == branch


def test_a_folder_that_looks_like_a_bare_repository_is_not_one(tmp_path: Path) -> None:
    """Whoever may commit files could bring a repository of his own, whose config runs commands and whose refs judge."""
    folder = tmp_path / "services"
    subprocess.run(["git", "init", "--quiet", "--bare", str(folder)], check=True)
    assert GitRepository(folder, os.environ).run("rev-parse", "--git-dir").returncode != 0


@pytest.mark.parametrize(
    ("path", "text"),
    [("in/s.sh", "deploystep run"), ("../s.sh", None), ("in", None), ("no.sh", None), ("{}/s.sh", None)],
)
def test_in_no_clone_only_what_is_in_the_folder_is_read(tmp_path: Path, path: str, text: str | None) -> None:
    here = tmp_path / "here"
    (here / "in").mkdir(parents=True)
    for folder in (tmp_path, here / "in"):
        (folder / "s.sh").write_text("deploystep run", "utf-8")
    assert repository_reader(here, None)(path.format(tmp_path)) == text
