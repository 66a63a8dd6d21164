"""Where branches and tags are, asked of real repositories; and what changed since a commit that was deployed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from repos import new

from deploystep.adapters.history import GitHistory, GitRemote
from deploystep.app.ports import Head
from deploystep.core.build import Branch, Tag
from deploystep.core.facts import Base, ChangedSince, Known, Unavailable

if TYPE_CHECKING:
    from pathlib import Path


class World:
    """A bare origin, the clone that somebody pushes from, and the clone that a build runs in."""

    def __init__(self, folder: Path) -> None:
        self.home, self.timeout = folder, 10.0
        self.origin, self.desk = new(folder / "origin", "--bare"), new(folder / "desk")
        self.desk.git("remote", "add", "origin", self.origin.folder.as_uri())
        self.first, self.second = self.desk.commit("file"), self.desk.commit("file")
        self.desk.play("tag first HEAD~1")
        self.push("main")
        self.build = self.origin.clone(name="build")

    def push(self, *what: str) -> None:
        self.desk.git("push", "--quiet", "--force", "origin", *what)

    def asked(self, **environ: str) -> GitRemote:
        remote = GitRemote(self.build.folder, {**self.build.environ, **environ})
        remote.timeout = self.timeout
        return remote

    def cloned(self, *options: str) -> GitRemote:
        self.build = self.origin.clone(*options, name="other")
        return self.asked()

    def later(self, count: int = 1) -> str:
        head = [self.desk.commit("file") for _ in range(count)][-1]
        self.push("main")
        return head

    def ssh(self, body: str) -> str:
        """A way to the remote, which answers so."""
        script = self.home / "ssh"
        script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        script.chmod(0o755)
        self.build.git("remote", "set-url", "origin", "git@git.invalid:acme/shop.git")
        return str(script)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# Where a ref is


ODD = ["feature/x", "ü", "release#1", "a'b", "x.y", "-", "--upload-pack=x", "HEAD"]


@pytest.mark.parametrize(
    ("tags", "pushes", "ref", "expected"),
    [
        ("", [], Branch("main"), "second"),
        ("", ["first^{}:refs/heads/main"], Branch("main"), "first"),  # it was set back
        ("", ["main:refs/heads/topic", ":refs/heads/topic"], Branch("topic"), None),
        ("", [":refs/heads/main"], Branch("main"), None),
        *(("", [f"main:refs/heads/{name}"], Branch(name), "second") for name in ODD),
        ("", [":refs/heads/main", "main:refs/heads/main/main"], Branch("main/main"), "second"),
        # `git ls-remote origin main` would also find `x/main`
        ("", ["first^{}:refs/heads/x/main", ":refs/heads/main"], Branch("main"), None),
        ("", ["main:refs/heads/v1", "first^{}:refs/tags/v1"], Branch("v1"), "second"),
        ("", ["main:refs/heads/v1", "first^{}:refs/tags/v1"], Tag("v1"), "first"),
        ("tag v1 first", ["v1"], Tag("v1"), "first"),
        ("tag -am one v1 first", ["v1"], Tag("v1"), "first"),  # its commit, and not the tag's object
        ("tag -am one v1 first; tag -am two v2 v1", ["v1", "v2"], Tag("v2"), "first"),
        ("", [], Tag("v1"), None),
        *(
            ("", [f"first^{{}}:refs/{full}"], Branch(name), "first")
            for name, full in (
                *(("pull/7", "pull/7/head"), ("pull/7/head", "pull/7/head"), ("pull/7/merge", "pull/7/merge")),
                ("pull/8", "heads/pull/8"),
            )
        ),
    ],
)  # fmt: skip
def test_where_it_is(world: World, tags: str, pushes: list[str], ref: Branch | Tag, expected: str | None) -> None:
    world.desk.play(tags)
    for push in pushes:
        world.push(push)
    assert world.asked().head(ref) == Head(getattr(world, expected) if expected else None)


def test_it_has_moved_since_the_checkout(world: World) -> None:
    third = world.later()
    assert world.asked().head(Branch("main")) == Head(third)
    assert world.build.at("origin/main") == world.second


# What stands in the way


def trouble(world: World, **environ: str) -> str:
    head = world.asked(**environ).head(Branch("main"))
    assert head.revision is None
    assert head.trouble
    return head.trouble


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("remote rename origin upstream", "this clone has no remote called origin"),
        ("remote set-url origin http://somebody:s3cret@127.0.0.1:1/x.git", "//127.0.0.1:1/x.git"),
        ("remote set-url origin ../gone", "../gone' does not appear to be a git repository"),
    ],
)
def test_no_origin(world: World, script: str, words: str) -> None:
    """A password in the URL of a remote is not repeated."""
    world.build.play(script)
    said = trouble(world)
    assert (words in said, "s3cret" in said) == (True, False), said


def test_no_repository_and_no_git(world: World, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    head = GitRemote(tmp_path / "nothing", world.build.environ).head(Branch("main"))
    assert (head.revision, bool(head.trouble)) == (None, True)
    assert trouble(world, PATH="/nowhere") == "git cannot be run here"
    assert not world.asked(PATH="/nowhere").contains(world.second, world.first)


@pytest.mark.parametrize("name", ["GIT_SSH_COMMAND", "GIT_SSH"])
def test_the_callers_way_to_the_remote_is_taken(world: World, name: str) -> None:
    """CircleCI's checkout step can set it."""
    head = world.later()
    remote = world.asked(**{name: world.ssh(f'exec git-upload-pack "{world.origin.folder}"')})
    assert remote.head(Branch("main")) == Head(head)
    assert remote.contains(head, world.second)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo 'git@git.invalid: Permission denied (publickey).' >&2; exit 255", "Permission denied (publickey)."),
        ("exec sleep 10", "no answer within 1 s"),
        ("read answer </dev/tty || exit 7; echo $answer", ""),  # a question gets no answer
    ],
)
def test_a_remote_that_refuses_never_answers_or_asks(world: World, body: str, words: str) -> None:
    world.timeout = 1.0 if "sleep" in body else 10.0
    began = time.monotonic()
    assert words in trouble(world, GIT_SSH_COMMAND=world.ssh(body))
    assert time.monotonic() - began < 9.0


def test_the_token_is_not_given_to_git(world: World) -> None:
    script = world.ssh(f'env > "{world.home}/seen"; exit 1')
    trouble(world, GIT_SSH_COMMAND=script, CIRCLE_TOKEN="hunter2", GIT_TRACE="1")
    seen = (world.home / "seen").read_text(encoding="utf-8")
    assert ("hunter2" in seen, "GIT_TRACE" in seen) == (False, False)


# Ancestry


CLONES = {
    "full": (),
    "blobless": ("--filter=blob:none",),
    "treeless": ("--filter=tree:0",),
    "shallow": ("--depth=1",),
    "one branch": ("--single-branch",),
    "shallow of two": ("--depth=2",),
}
every_kind = pytest.mark.parametrize("kind", CLONES)


def test_what_is_in_the_history(world: World) -> None:
    remote, third = world.asked(), world.later()
    assert remote.contains(world.second, world.first)
    assert remote.contains(world.second, world.second)
    assert not remote.contains(world.second, third)


@every_kind
@pytest.mark.parametrize("pushes", [1, 5])
def test_a_push_during_the_build_is_known_to_be_newer(world: World, kind: str, pushes: int) -> None:
    """The fetch moves nothing, takes no tags and leaves no note; it takes blobs where the clone has them.

    A whole clone that fetches without blobs becomes one that needs the network whenever it misses one.
    """
    remote, ours = world.cloned(*CLONES[kind]), world.second
    head = world.later(pushes)
    world.desk.git("tag", "v1")
    world.push("v1")
    assert remote.head(Branch("main")) == Head(head)
    assert (remote.contains(head, ours), remote.contains(ours, head)) == (True, False)
    here = world.build
    assert (here.head, here.at("origin/main"), here.git("status", "--porcelain"), here.git("tag")) == (
        ours,
        ours,
        "",
        "",
    )
    is_whole = here.git("rev-parse", "--is-shallow-repository") == "false"
    assert is_whole or "shallow" in kind, "a whole clone stays whole"
    assert ("?" in here.git("rev-list", "--objects", "--missing=print", head)) == kind.endswith("less")
    assert ("promisor" in here.git("config", "--list")) == kind.endswith("less")
    assert not (here.folder / ".git" / "FETCH_HEAD").exists()


@every_kind
def test_what_a_force_push_puts_there_or_a_host_that_is_behind_shows_is_not_newer(world: World, kind: str) -> None:
    remote = world.cloned(*CLONES[kind])
    world.desk.play("checkout -qb amended first; commit x; checkout -q --orphan fresh; commit y")
    world.push("amended:main", "fresh")
    for head in (world.desk.at("amended"), world.desk.at("fresh"), world.first):
        assert not remote.contains(head, world.second)


@pytest.mark.parametrize("between", [0, 3])
def test_a_shallow_clone_that_has_both_commits_and_nothing_between_them(world: World, between: int) -> None:
    """CircleCI clones the branch, which has moved on already, and then fetches the build's own commit."""
    head = world.later(between + 1)
    remote = world.cloned("--depth=1")
    world.build.play(f"fetch -q --depth=1 origin {world.second}; reset -q --hard {world.second}")
    assert (remote.contains(head, world.second), remote.contains(world.second, head)) == (True, False)


def test_a_shallow_clone_is_deepened_a_little_and_claims_no_more_than_it_knows(world: World) -> None:
    head = world.later(60)
    shallow = world.cloned("--depth=1")
    assert shallow.head(Branch("main")) == Head(head)
    assert shallow.contains(head, world.desk.at("HEAD~40"))
    assert not shallow.contains(head, world.first)


@pytest.mark.parametrize(("options", "count"), [(("--depth=60",), 60), ((), 72)])
def test_a_fetch_takes_no_history_away(world: World, options: tuple[str, ...], count: int) -> None:
    """Steps that come after this one count commits, and look for tags."""
    ours = world.later(70)
    remote = world.cloned(*options)
    assert remote.contains(world.later(), ours)
    assert int(world.build.git("rev-list", "--count", "HEAD")) >= count


# since: last-deploy, once CircleCI has said which commit that was


@pytest.mark.parametrize(
    ("script", "revision", "since", "expected"),
    [
        ("commit a; commit b; commit c", "HEAD", "main~3", ("a", "b", "c")),
        ("commit a", "HEAD", "HEAD", ()),
        ("commit a; revert --no-edit HEAD", "HEAD", "main~2", ()),  # what was changed back has not changed
        # the branch was forced elsewhere: what is deployed is another line, and a difference to it says nothing
        ("checkout -qb side first; commit side", "main", "side", ", which was deployed last, is not in the history of"),
        ("", "first", "main", ", which was deployed last, is not in the history of"),  # newer than the build
        ("", "main", "0" * 40, "is not in this clone"),
        ("", "main", None, "since the last deploy without asking CircleCI"),
        ("commit third; clone --depth=1", "HEAD", "DEPLOYED", "a shallow clone"),
        ("commit third; clone --depth=2", "HEAD", "DEPLOYED", ("third",)),
    ],
)
def test_what_changed_since_a_deploy(
    world: World, script: str, revision: str, since: str | None, expected: tuple[str, ...] | str
) -> None:
    here = world.desk.play(script)
    commit = world.second if since == "DEPLOYED" else since and (since if set(since) == {"0"} else here.at(since))
    history = GitHistory(here.read(), here.at(revision), "main")
    answer = history.answer(ChangedSince(Base.LAST_DEPLOY, ref=commit, workflow="deploy"))
    if isinstance(answer, Known):
        assert answer.value == expected
    else:
        assert isinstance(answer, Unavailable)
        assert (str(expected) in answer.reason, answer.code, bool(answer.cure)) == (True, "U101", True), answer.reason


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
    assert world.asked().is_skipped(world.build.commit(message=message)) is is_skipped
    assert not world.asked().is_skipped("d" * 40)
