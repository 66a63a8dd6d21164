"""Where branches and tags are, asked of real repositories; and what changed since a commit that was deployed."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from deploystep.adapters.git import GitRepository
from deploystep.adapters.history import GitHistory
from deploystep.adapters.remote import GitRemote
from deploystep.app.ports import Head
from deploystep.core.build import Branch, Tag
from deploystep.core.facts import Base, ChangedSince, Known, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = {f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **IDENTITY},
        check=True,
        capture_output=True,
    )
    return done.stdout.decode().strip()


def commit(folder: Path, text: str, path: str = "file") -> str:
    (folder / path).write_text(text, encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", text)
    return git(folder, "rev-parse", "HEAD")


class World:
    """A bare origin, the clone that somebody pushes from, and the clone that a build runs in."""

    def __init__(self, folder: Path) -> None:
        self.origin, self.desk, self.build = folder / "origin.git", folder / "desk", folder / "build"
        self.home, self.timeout = folder, 10.0
        for each in (self.origin, self.desk):
            each.mkdir()
        git(self.origin, "init", "--quiet", "--bare", "--initial-branch=main")
        git(self.origin, "config", "receive.denyDeleteCurrent", "ignore")
        git(self.desk, "init", "--quiet", "--initial-branch=main")
        git(self.desk, "remote", "add", "origin", self.origin.as_uri())
        self.first = commit(self.desk, "first")
        self.second = commit(self.desk, "second")
        self.push("main")
        git(folder, "clone", "--quiet", self.origin.as_uri(), "build")

    def push(self, *what: str) -> None:
        git(self.desk, "push", "--quiet", "--force", "origin", *what)

    @property
    def remote(self) -> GitRemote:
        return self.asked()

    def asked(self, **environ: str) -> GitRemote:
        return GitRemote(self.build, {"PATH": os.environ["PATH"], "HOME": str(self.home), **environ}, self.timeout)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# Where a ref is


def test_a_branch(world: World) -> None:
    assert world.remote.head(Branch("main")) == Head(world.second)


def test_a_branch_that_has_moved_since_the_checkout(world: World) -> None:
    third = commit(world.desk, "third")
    world.push("main")
    assert git(world.build, "rev-parse", "origin/main") == world.second
    assert world.remote.head(Branch("main")) == Head(third)


def test_a_branch_that_was_set_back(world: World) -> None:
    world.push(f"{world.first}:refs/heads/main")
    assert world.remote.head(Branch("main")) == Head(world.first)


def test_a_branch_that_was_deleted(world: World) -> None:
    world.push("main:refs/heads/topic")
    assert world.remote.head(Branch("topic")) == Head(world.second)
    world.push(":refs/heads/topic")
    assert world.remote.head(Branch("topic")) == Head(None)


@pytest.mark.parametrize(
    "name", ["feature/x", "main/main", "ü", "release#1", "a'b", "x.y", "-", "--upload-pack=x", "HEAD"]
)
def test_odd_branches(world: World, name: str) -> None:
    if name == "main/main":
        world.push(":refs/heads/main", "main:refs/heads/main/main")
    else:
        world.push(f"main:refs/heads/{name}")
    assert world.remote.head(Branch(name)) == Head(world.second)


def test_the_end_of_a_name_is_not_the_name(world: World) -> None:
    """`git ls-remote origin main` would also find `x/main`."""
    world.push(f"{world.first}:refs/heads/x/main", ":refs/heads/main")
    assert world.remote.head(Branch("main")) == Head(None)


def test_a_branch_and_a_tag_of_one_name(world: World) -> None:
    world.push("main:refs/heads/v1", f"{world.first}:refs/tags/v1")
    assert world.remote.head(Branch("v1")) == Head(world.second)
    assert world.remote.head(Tag("v1")) == Head(world.first)


def test_a_light_tag(world: World) -> None:
    git(world.desk, "tag", "v1", world.first)
    world.push("v1")
    assert world.remote.head(Tag("v1")) == Head(world.first)


def test_an_annotated_tag_is_its_commit_and_not_its_object(world: World) -> None:
    git(world.desk, "tag", "-a", "-m", "one", "v1", world.first)
    world.push("v1")
    assert git(world.desk, "rev-parse", "v1") != world.first
    assert world.remote.head(Tag("v1")) == Head(world.first)


def test_a_tag_of_a_tag(world: World) -> None:
    git(world.desk, "tag", "-a", "-m", "one", "v1", world.first)
    git(world.desk, "-c", "advice.nestedTag=false", "tag", "-a", "-m", "two", "v2", "v1")
    world.push("v1", "v2")
    assert world.remote.head(Tag("v2")) == Head(world.first)


def test_a_tag_that_is_gone(world: World) -> None:
    assert world.remote.head(Tag("v1")) == Head(None)


PULLS = [("pull/7", "pull/7/head"), ("pull/7/head", "pull/7/head"), ("pull/7/merge", "pull/7/merge")]


@pytest.mark.parametrize(("name", "ref"), PULLS)
def test_a_pull_request(world: World, name: str, ref: str) -> None:
    world.push(f"{world.first}:refs/{ref}")
    assert world.remote.head(Branch(name)) == Head(world.first)


def test_a_branch_that_is_called_like_a_pull_request(world: World) -> None:
    world.push(f"{world.first}:refs/heads/pull/8")
    assert world.remote.head(Branch("pull/8")) == Head(world.first)


# What stands in the way


def trouble(world: World, **environ: str) -> str:
    head = world.asked(**environ).head(Branch("main"))
    assert head.revision is None
    assert head.trouble
    return head.trouble


def test_no_origin(world: World) -> None:
    git(world.build, "remote", "rename", "origin", "upstream")
    assert "origin" in trouble(world)


def test_an_origin_that_is_gone(world: World) -> None:
    world.origin.rename(world.home / "elsewhere.git")
    trouble(world)


def test_an_origin_that_cannot_be_reached(world: World) -> None:
    git(world.build, "remote", "set-url", "origin", "http://127.0.0.1:1/x.git")
    trouble(world)


def test_an_empty_origin(world: World) -> None:
    world.push(":refs/heads/main")
    assert world.remote.head(Branch("main")) == Head(None)


def test_no_repository(world: World, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    head = GitRemote(tmp_path / "nothing", {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}).head(Branch("main"))
    assert (head.revision, bool(head.trouble)) == (None, True)
    assert not world.asked(PATH="/nowhere").contains(world.second, world.first)


def test_no_git(world: World) -> None:
    assert trouble(world, PATH="/nowhere") == "git cannot be run here"


def _ssh(world: World, body: str) -> str:
    script = world.home / "ssh"
    script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    script.chmod(0o755)
    git(world.build, "remote", "set-url", "origin", "git@git.invalid:acme/shop.git")
    return str(script)


@pytest.mark.parametrize("name", ["GIT_SSH_COMMAND", "GIT_SSH"])
def test_the_callers_way_to_the_remote_is_taken(world: World, name: str) -> None:
    """CircleCI's checkout step can set it."""
    script = _ssh(world, f'exec git-upload-pack "{world.origin}"')
    assert world.asked(**{name: script}).head(Branch("main")) == Head(world.second)


def test_a_remote_that_refuses(world: World) -> None:
    script = _ssh(world, "echo 'git@git.invalid: Permission denied (publickey).' >&2; exit 255")
    assert "Permission denied (publickey)." in trouble(world, GIT_SSH_COMMAND=script)


def test_a_remote_that_never_answers(world: World) -> None:
    script = _ssh(world, "exec sleep 10")
    began = time.monotonic()
    world.timeout = 1.0
    head = world.asked(GIT_SSH_COMMAND=script).head(Branch("main"))
    assert head == Head(None, "no answer within 1 s")
    assert time.monotonic() - began < 5.0


def test_a_remote_that_asks_a_question_gets_no_answer(world: World) -> None:
    script = _ssh(world, "read answer </dev/tty || exit 7; echo $answer")
    began = time.monotonic()
    trouble(world, GIT_SSH_COMMAND=script)
    assert time.monotonic() - began < 10.0


def test_the_token_is_not_given_to_git(world: World) -> None:
    script = _ssh(world, f'env > "{world.home}/seen"; exit 1')
    trouble(world, GIT_SSH_COMMAND=script, CIRCLE_TOKEN="hunter2", GIT_TRACE="1")
    seen = (world.home / "seen").read_text(encoding="utf-8")
    assert "hunter2" not in seen
    assert "GIT_TRACE" not in seen


# Ancestry


def test_what_is_in_the_history(world: World) -> None:
    assert world.remote.contains(world.second, world.first)
    assert world.remote.contains(world.second, world.second)
    assert not world.remote.contains(world.first, world.second)


def test_a_commit_that_the_clone_does_not_know_is_no_ancestor(world: World) -> None:
    third = commit(world.desk, "third")
    world.push("main")
    assert not world.remote.contains(world.second, third)


def test_a_shallow_clone_is_deepened_a_little_and_claims_no_more_than_it_knows(world: World) -> None:
    for n in range(60):
        git(world.desk, "commit", "--quiet", "--allow-empty", "-m", f"{n}")
    head, before = git(world.desk, "rev-parse", "HEAD", "HEAD~40").split()
    world.push("main")
    shallow = cloned(world, "--depth=1")
    assert shallow.head(Branch("main")) == Head(head)
    assert shallow.contains(head, before)
    assert not shallow.contains(head, world.first)


def test_a_fetch_that_failed_is_tried_again_and_one_that_did_not_is_not(world: World) -> None:
    remote = cloned(world)
    head = commit(world.desk, "later")
    world.push("main")
    world.origin.rename(world.home / "away")
    assert not remote.contains(head, world.second)
    (world.home / "away").rename(world.origin)
    assert remote.contains(head, world.second)
    shallow = GitRemote(world.home / "shallow", {"PATH": os.environ["PATH"], "HOME": str(world.home)})
    git(world.home, "clone", "--quiet", "--depth=1", world.origin.as_uri(), "shallow")
    assert not shallow.contains(world.second, head)
    world.origin.rename(world.home / "away")
    assert not shallow.contains(world.second, head), "and nobody waits for it"


CLONES = {
    "full": (),
    "blobless": ("--filter=blob:none",),
    "treeless": ("--filter=tree:0",),
    "shallow": ("--depth=1",),
    "one branch": ("--single-branch",),
    "shallow of two": ("--depth=2",),
}


def cloned(world: World, *options: str) -> GitRemote:
    """A clone of its own, as the checkout of a build makes it."""
    git(world.origin, "config", "uploadpack.allowFilter", "true")
    git(world.home, "clone", "--quiet", *options, world.origin.as_uri(), "other")
    return GitRemote(world.home / "other", {"PATH": os.environ["PATH"], "HOME": str(world.home)})


@pytest.mark.parametrize("kind", CLONES)
@pytest.mark.parametrize("pushes", [1, 5])
def test_a_push_during_the_build_is_known_to_be_newer(world: World, kind: str, pushes: int) -> None:
    remote = cloned(world, *CLONES[kind])
    ours = world.second
    head = [commit(world.desk, f"later {n}") for n in range(pushes)][-1]
    world.push("main")
    assert remote.head(Branch("main")) == Head(head)
    assert remote.contains(head, ours)
    assert not remote.contains(ours, head)
    assert git(world.home / "other", "rev-parse", "HEAD", "origin/main").split() == [ours, ours], "nothing is moved"
    assert git(world.home / "other", "status", "--porcelain") == ""
    is_shallow = git(world.home / "other", "rev-parse", "--is-shallow-repository")
    assert "shallow" in kind or is_shallow == "false", "a whole clone stays whole"


@pytest.mark.parametrize("kind", CLONES)
def test_what_a_force_push_puts_there_is_not_newer(world: World, kind: str) -> None:
    remote = cloned(world, *CLONES[kind])
    git(world.desk, "checkout", "--quiet", "-b", "amended", world.first)
    amended = commit(world.desk, "instead of the second")
    git(world.desk, "checkout", "--quiet", "--orphan", "fresh")
    fresh = commit(world.desk, "something else altogether")
    world.push("amended:main", "fresh")
    for head in (amended, fresh, world.first):
        assert not remote.contains(head, world.second)


@pytest.mark.parametrize("kind", CLONES)
def test_a_host_that_is_behind_shows_nothing_newer(world: World, kind: str) -> None:
    remote = cloned(world, *CLONES[kind])
    assert not remote.contains(world.first, world.second)


@pytest.mark.parametrize("between", [0, 3])
def test_a_shallow_clone_that_has_both_commits_and_nothing_between_them(world: World, between: int) -> None:
    """CircleCI clones the branch, which has moved on already, and then fetches the build's own commit."""
    head = [commit(world.desk, f"later {n}") for n in range(between + 1)][-1]
    world.push("main")
    remote = cloned(world, "--depth=1")
    git(world.home / "other", "fetch", "--quiet", "--depth=1", "origin", world.second)
    git(world.home / "other", "reset", "--quiet", "--hard", world.second)
    assert remote.contains(head, world.second)
    assert not remote.contains(world.second, head)


@pytest.mark.parametrize("kind", CLONES)
def test_a_fetch_takes_no_tags_leaves_no_note_and_takes_blobs_where_the_clone_has_them(world: World, kind: str) -> None:
    """A whole clone that fetches without blobs becomes one that needs the network whenever it misses one."""
    remote, here = cloned(world, *CLONES[kind]), world.home / "other"
    head = commit(world.desk, "a large one")
    git(world.desk, "tag", "v1")
    world.push("main", "v1")
    assert remote.contains(head, world.second)
    assert ("?" in git(here, "rev-list", "--objects", "--missing=print", head)) == kind.endswith("less")
    assert ("promisor" in git(here, "config", "--list")) == kind.endswith("less")
    assert git(here, "tag") == ""
    assert not (here / ".git" / "FETCH_HEAD").exists()


def test_a_fetch_takes_the_callers_way_to_the_remote(world: World) -> None:
    head = commit(world.desk, "later")
    world.push("main")
    script = _ssh(world, f'exec git-upload-pack "{world.origin}"')
    assert world.asked(GIT_SSH_COMMAND=script).contains(head, world.second)


@pytest.mark.parametrize(("options", "count"), [(("--depth=60",), 60), ((), 72)])
def test_a_fetch_takes_no_history_away(world: World, options: tuple[str, ...], count: int) -> None:
    """Steps that come after this one count commits, and look for tags."""
    for n in range(70):
        git(world.desk, "commit", "--quiet", "--allow-empty", "-m", f"{n}")
    ours = git(world.desk, "rev-parse", "HEAD")
    world.push("main")
    remote, here = cloned(world, *options), world.home / "other"
    head = commit(world.desk, "later")
    world.push("main")
    assert remote.contains(head, ours)
    assert int(git(here, "rev-list", "--count", "HEAD")) >= count


@pytest.mark.parametrize("kind", ["full", "shallow"])
def test_a_head_that_cannot_be_fetched_is_not_known_to_be_newer(world: World, kind: str) -> None:
    remote = cloned(world, *CLONES[kind])
    head = commit(world.desk, "later")
    assert not remote.contains(head, world.second)  # nobody has pushed it
    world.origin.rename(world.home / "gone")
    assert not remote.contains("0" * 39 + "1", world.second)


# since: last-deploy, once CircleCI has said which commit that was


def changed(folder: Path, revision: str, since: str | None) -> object:
    repository = GitRepository(folder, {"PATH": os.environ["PATH"], "HOME": str(folder)})
    history = GitHistory(repository, revision, "main")
    answer = history.answer(ChangedSince(Base.LAST_DEPLOY, ref=since, workflow="deploy"))
    return answer.value if isinstance(answer, Known) else answer


def test_what_changed_since_a_deploy_several_commits_ago(world: World) -> None:
    *_, last = [commit(world.desk, str(n), f"file-{n}") for n in range(3)]
    assert changed(world.desk, last, world.second) == ("file-0", "file-1", "file-2")
    assert changed(world.desk, last, last) == ()


def test_what_was_changed_and_changed_back_has_not_changed(world: World) -> None:
    commit(world.desk, "other")
    back = commit(world.desk, "second")
    assert changed(world.desk, back, world.second) == ()


def unknown(answer: object) -> Unavailable:
    assert isinstance(answer, Unavailable), answer
    assert answer.code == "U101"
    assert answer.cure
    return answer


def test_a_deploy_that_is_not_in_the_history(world: World) -> None:
    """The branch was forced elsewhere: what is deployed is another line, and a difference to it says nothing."""
    git(world.desk, "checkout", "--quiet", "-b", "side", world.first)
    side = commit(world.desk, "side", "side")
    assert (
        f"{side[:7]}, which was deployed last, is not in the history"
        in unknown(changed(world.desk, world.second, side)).reason
    )


def test_a_deploy_that_is_newer_than_the_build(world: World) -> None:
    unknown(changed(world.desk, world.first, world.second))


def test_a_deploy_that_the_clone_does_not_know(world: World) -> None:
    third = commit(world.desk, "third")
    unknown(changed(world.build, world.second, third))
    unknown(changed(world.build, world.second, "0" * 40))


def test_a_deploy_in_a_shallow_clone(world: World) -> None:
    third = commit(world.desk, "third", "third")
    world.push("main")
    for depth, known in ((1, False), (2, True)):
        git(world.home, "clone", "--quiet", f"--depth={depth}", world.origin.as_uri(), f"shallow-{depth}")
        answer = changed(world.home / f"shallow-{depth}", third, world.second)
        if known:
            assert answer == ("third",)
        else:
            assert "shallow" in unknown(answer).reason


def test_a_deploy_that_nobody_has_looked_up(world: World) -> None:
    assert "without asking CircleCI" in unknown(changed(world.build, world.second, None)).reason


@pytest.mark.parametrize(
    ("message", "is_skipped"),
    [
        ("x [skip ci]", True),
        ("x\n\nbody [ci skip]", True),
        ("x [Skip CI]", True),
        ("x\n\n" + "y" * 250 + "[skip ci]", False),
        ("x" * 250 + "[skip ci]", False),
        ("skip ci", False),
    ],
)
def test_what_circleci_skips(world: World, message: str, is_skipped: bool) -> None:  # noqa: FBT001 - a column
    git(world.build, "commit", "--quiet", "--allow-empty", "-m", message)
    assert world.remote.is_skipped(git(world.build, "rev-parse", "HEAD")) is is_skipped
    assert not world.remote.is_skipped("d" * 40)


def test_a_password_in_the_url_of_a_remote_is_not_repeated(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "remote", "add", "origin", "http://somebody:s3cret@127.0.0.1:1/shop.git")
    head = GitRemote(tmp_path, {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}).head(Branch("main"))
    assert head.revision is None
    assert "//127.0.0.1:1/shop.git" in head.trouble
    assert "s3cret" not in head.trouble
