"""Where branches and tags are, and which commit is newer, asked of real repositories."""

import time
from pathlib import Path

import pytest
from repos import CLONES, Repo

from deploystep.adapters.history import GitRemote
from deploystep.app.ports import Head
from deploystep.core.build import Branch, Tag

MAIN = Branch("main")


def remote_of(clone: Repo, timeout: float = 10.0, **environ: str) -> GitRemote:
    remote = GitRemote(clone.folder, {**clone.environ, **environ})
    remote.timeout = timeout
    return remote


# Where a ref is

REFS = """branch v1; tag v1 first; tag -am one annotated first; tag -am two of-a-tag annotated;
    update-ref refs/pull/7/head first; update-ref refs/pull/7/merge first; branch pull/8 first"""
ODD = ["feature/x", "ü", "release#1", "a'b", "x.y", "-", "--upload-pack=x", "HEAD"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("commit later", {MAIN: "main", Branch("topic"): None, Tag("v1"): None}),
        ("reset -q --hard first", {MAIN: "first"}),
        # `git ls-remote origin main` would also find `x/main`
        ("branch x/main first; branch -M other", {MAIN: None}),
        ("branch -M main/main", {MAIN: None, Branch("main/main"): "main/main"}),
        # of a tag its commit, and not the tag's object
        (REFS, {Branch("v1"): "main", Tag("v1"): "first", Tag("annotated"): "first", Tag("of-a-tag"): "first"}),
        (REFS, {Branch(f"pull/{name}"): "first" for name in ("7", "7/head", "7/merge", "8")}),
        ("; ".join(f'update-ref "refs/heads/{name}" main' for name in ODD), {Branch(name): "main" for name in ODD}),
    ],
)
def test_where_it_is_now(repo: Repo, script: str, expected: dict[Branch | Tag, str | None]) -> None:
    remote = remote_of(repo.clone())
    repo.play(f"tag first HEAD~1; {script}")
    at = {ref: Head(name and repo.at(name)) for ref, name in expected.items()}
    assert {ref: remote.head(ref) for ref in expected} == at


# What stands in the way

BY_SSH = "remote set-url origin git@git.invalid:acme/shop.git"
REFUSES = "echo 'git@git.invalid: Permission denied (publickey).' >&2; exit 255"


def trouble(remote: GitRemote) -> str:
    head = remote.head(MAIN)
    assert head.revision is None
    assert head.trouble
    return head.trouble


@pytest.mark.parametrize(
    ("script", "ssh", "words"),
    [
        ("remote rename origin upstream", "", "this clone has no remote called origin"),
        ("remote set-url origin ../gone", "", "../gone' does not appear to be a git repository"),
        # a password in the URL of a remote is not repeated
        ("remote set-url origin http://somebody:s3cret@127.0.0.1:1/x.git", "", "//127.0.0.1:1/x.git"),
        (BY_SSH, REFUSES, "Permission denied (publickey)."),
        (BY_SSH, "exec sleep 10", "no answer within 1 s"),
        (BY_SSH, "read answer </dev/tty || exit 7; echo $answer", ""),  # a question gets no answer
    ],
)
def test_a_remote_that_cannot_be_read(repo: Repo, script: str, ssh: str, words: str) -> None:
    clone, began = repo.play(f"clone; {script}"), time.monotonic()
    timeout, way = 1.0 if "sleep" in ssh else 10.0, str(clone.program("ssh", ssh))
    said = trouble(remote_of(clone, timeout, GIT_SSH_COMMAND=way))
    assert (words in said, "s3cret" in said) == (True, False), said
    assert time.monotonic() - began < 9.0


def test_without_git_nothing_is_known(repo: Repo) -> None:
    without = remote_of(repo, PATH="/nowhere")
    assert trouble(without) == "git cannot be run here"
    assert not without.contains(repo.at("main"), repo.at("main~1"))


@pytest.mark.parametrize("name", ["GIT_SSH_COMMAND", "GIT_SSH"])
def test_the_callers_way_to_the_remote_is_taken_without_the_token(repo: Repo, tmp_path: Path, name: str) -> None:
    """CircleCI's checkout step can set it."""
    clone, ours = repo.play(f"clone; {BY_SSH}"), repo.head
    way = clone.program("ssh", f'env > "{tmp_path}/seen"; exec git-upload-pack "{repo.folder}"')
    remote = remote_of(clone, 10.0, **{name: str(way)}, CIRCLE_TOKEN="hunter2", GIT_TRACE="1")
    head = repo.commit("file")
    assert remote.head(MAIN) == Head(head)
    assert remote.contains(head, ours)
    seen = (tmp_path / "seen").read_text(encoding="utf-8")
    assert ("hunter2" in seen, "GIT_TRACE" in seen) == (False, False)


# Ancestry


@pytest.mark.parametrize("kind", CLONES)
@pytest.mark.parametrize("pushes", [1, 5])
def test_a_push_during_the_build_is_known_to_be_newer(repo: Repo, kind: str, pushes: int) -> None:
    """The fetch moves nothing, takes no tags and leaves no note; it takes blobs where the clone has them.

    A whole clone that fetches without blobs becomes one that needs the network whenever it misses one.
    """
    here, ours = repo.clone(*CLONES[kind]), repo.head
    remote = remote_of(here)
    head = [repo.commit("file") for _ in range(pushes)][-1]
    repo.git("tag", "v1")
    assert (remote.contains(head, ours), remote.contains(ours, head)) == (True, False)
    assert (here.head, here.at("origin/main")) == (ours, ours)
    assert (here.git("status", "--porcelain"), here.git("tag")) == ("", "")
    is_whole = here.git("rev-parse", "--is-shallow-repository") == "false"
    assert is_whole or "shallow" in kind, "a whole clone stays whole"
    assert ("?" in here.git("rev-list", "--objects", "--missing=print", head)) == kind.endswith("less")
    assert ("promisor" in here.git("config", "--list")) == kind.endswith("less")
    assert not (here.folder / ".git" / "FETCH_HEAD").exists()


@pytest.mark.parametrize("kind", CLONES)
def test_what_a_force_push_puts_there_or_a_host_that_is_behind_shows_is_not_newer(repo: Repo, kind: str) -> None:
    remote, ours, older = remote_of(repo.clone(*CLONES[kind])), repo.head, repo.at("main~1")
    repo.play("checkout -qb amended main~1; commit x; checkout -q --orphan fresh; commit y; branch -f main amended")
    for head in (repo.at("amended"), repo.at("fresh"), older):
        assert not remote.contains(head, ours)


@pytest.mark.parametrize("between", [0, 3])
def test_a_shallow_clone_that_has_both_commits_and_nothing_between_them(repo: Repo, between: int) -> None:
    """CircleCI clones the branch, which has moved on already, and then fetches the build's own commit."""
    ours = repo.head
    head = repo.grow(between + 1)
    clone = repo.play(f"clone --depth=1; fetch -q --depth=1 origin {ours}; reset -q --hard {ours}")
    remote = remote_of(clone)
    assert (remote.contains(head, ours), remote.contains(ours, head)) == (True, False)


def test_a_shallow_clone_is_deepened_a_little_and_claims_no_more_than_it_knows(repo: Repo) -> None:
    head = repo.grow(60)
    shallow = remote_of(repo.clone("--depth=1"))
    assert shallow.contains(head, repo.at("main~40"))
    assert not shallow.contains(head, repo.at("main~61"))


@pytest.mark.parametrize(("options", "count"), [(("--depth=60",), 60), ((), 72)])
def test_a_fetch_takes_no_history_away(repo: Repo, options: tuple[str, ...], count: int) -> None:
    """Steps that come after this one count commits, and look for tags."""
    ours = repo.grow(70)
    clone = repo.clone(*options)
    assert remote_of(clone).contains(repo.grow(1), ours)
    assert int(clone.git("rev-list", "--count", "HEAD")) >= count


def test_what_circleci_skips(repo: Repo) -> None:
    """What says so among the first 250 characters of the title or the body."""
    remote, long = remote_of(repo), "y" * 250
    for message in ("x [skip ci]", "x\n\nbody [ci skip]", "x [Skip CI]"):
        assert remote.is_skipped(repo.commit(message=message)), message
    for message in (f"x\n\n{long}[skip ci]", f"{long}[skip ci]", "skip ci"):
        assert not remote.is_skipped(repo.commit(message=message)), message
    assert not remote.is_skipped("d" * 40)
