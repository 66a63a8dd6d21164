"""Facts about commits from real clones: exact, or unavailable with a cure that cures."""

import re
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from repos import CLONES, Repo, new

from deploystep.adapters.history import GitHistory, GitRemote
from deploystep.core.facts import Answered, AuthorOf, Base, ChangedSince, IsMergedInto, Known, MessageOf, Unavailable
from deploystep.core.frozen import replace

Question: TypeAlias = ChangedSince | IsMergedInto | AuthorOf | MessageOf
PREVIOUS, MERGE_BASE = ChangedSince(Base.PREVIOUS_COMMIT), ChangedSince(Base.MERGE_BASE)
ON_MAIN, LIVE = IsMergedInto("main"), ChangedSince(ref="live")
#: Since `live` of the remote, which CircleCI says was deployed last; since nothing; and where it was not asked.
DEPLOYED, FIRST_DEPLOY, UNASKED = (ChangedSince(Base.LAST_DEPLOY, ref=ref) for ref in ("live", "", None))
ABSENT = "0123456789abcdef0123456789abcdef01234567"
EVERY = (PREVIOUS, MERGE_BASE, LIVE, ON_MAIN, AuthorOf(), MessageOf(), FIRST_DEPLOY)
YES, NO = Known(value=True), Known(value=False)
CANNOT = "U101: cannot tell which files changed"
SHALLOW = (f"{CANNOT}: this is a shallow clone", "run  git fetch --unshallow  or use CircleCI's checkout step")
NO_COMMON = (f"{CANNOT}: HEAD and origin/main have no common commit", "write since: {ref: NAME}")
ELSEWHERE = (f"{CANNOT}: LIVE, which was deployed last, is not in the history of HEAD", "write since: {ref: NAME}")
NOT_HERE = "run the step in the clone that CircleCI's checkout step makes"
TRUST = 'run  git config --global --add safe.directory "$PWD"  in the clone first'
#: A clone of a branch with two commits, while main went on.
DIVERGE = "on topic; commit one; commit two; on main; commit meanwhile;"
TOPIC = f"{DIVERGE} clone --branch=topic;"


def history(
    repo: Repo, at: str, said: list[str] | None = None, *, fetches: bool = False, named: bool = True
) -> GitHistory:
    """Of the clone alone; with `said` as `run` asks: it is compared with where the remote has it now."""
    names, current = ("main", "live", "deployed"), None
    if said is not None:
        current = GitRemote(repo.folder, repo.environ, names, said.append, fetches=fetches)
    return GitHistory(repo.read(), at, "main" if named else None, current)


def ask(repo: Repo, question: Question, ref: str = "HEAD") -> Any:
    """The answer, files sorted; where there is none, the reason and the cure."""
    return plain(history(repo, ref if ref == ABSENT else repo.at(ref)).answer(question))


def plain(found: Answered) -> Any:
    if isinstance(found, Unavailable):
        return f"{found.code}: {found.reason}", found.cure
    return sorted(found.value) if isinstance(found.value, tuple) else found


@pytest.mark.parametrize("question", [PREVIOUS, FIRST_DEPLOY])
def test_a_root_commit_whose_objects_have_other_names(tmp_path: Path, question: ChangedSince) -> None:
    made = new(tmp_path / "sha256", "--object-format=sha256")
    made.commit("README.md", "src/app.py")
    assert ask(made, question) == ["README.md", "src/app.py"]


@pytest.mark.parametrize(
    ("script", "question", "ref", "expected"),
    [
        # the previous commit
        ("commit a docs/b.md", PREVIOUS, "HEAD", "a docs/b.md"),
        ("", PREVIOUS, "HEAD~1", "README.md src/app.py"),  # a root commit changed everything it holds
        ("commit", PREVIOUS, "HEAD", ""),
        ("on topic; commit topic; on main; commit meanwhile; merge topic", PREVIOUS, "HEAD", "topic"),
        # a move out of a folder is a change of that folder
        ("config diff.renames copies; mv src/app.py app.py; commit", PREVIOUS, "HEAD", "app.py src/app.py"),
        ("rm -q README.md; update-index --chmod=+x src/app.py; commit", PREVIOUS, "HEAD", "README.md src/app.py"),
        ("rm -q README.md; commit README.md/inside", PREVIOUS, "HEAD", "README.md README.md/inside"),
        # what is checked out, or staged, does not count
        ("commit a; commit b; checkout -q --detach HEAD~2; rm -q README.md", PREVIOUS, "main~1", "a"),
        # since the merge base
        (TOPIC, MERGE_BASE, "HEAD", "one two"),
        ("clone", MERGE_BASE, "HEAD~1", ""),
        (f"{TOPIC} merge origin/main", MERGE_BASE, "HEAD", "one two"),
        (f"{TOPIC} revert --no-edit HEAD", MERGE_BASE, "HEAD", "one"),  # what was done and undone is not changed
        (f"{TOPIC} branch main topic; tag main topic; tag origin/main topic", MERGE_BASE, "HEAD", "one two"),
        (f"{TOPIC} branch main topic; tag main topic; tag origin/main topic", ON_MAIN, "HEAD", NO),
        ("checkout -q --orphan island; commit i; clone --branch=island", ON_MAIN, "HEAD", NO),
        ("checkout -q --orphan island; commit island; clone --branch=island", MERGE_BASE, "HEAD", NO_COMMON),
        # since a ref
        ("tag -am release live; commit a; commit b; clone", LIVE, "HEAD", "a b"),
        ("branch deployed/x; commit a; clone", ChangedSince(ref="deployed/x"), "HEAD", "a"),
        # what is live and not in this commit would be taken back: that is a change, too
        ("branch live; commit mine; on live; commit theirs; on main; clone", LIVE, "HEAD", "mine theirs"),
        # a tag comes before a branch, and the remote's before a local one
        ("tag first; commit a; branch live; commit b; clone; branch live first", LIVE, "HEAD", "b"),
        ("tag first; commit a; branch live; commit b; clone; tag live first", LIVE, "HEAD", "a b"),
        (f"{TOPIC} tag main topic", ChangedSince(ref="origin/main"), "HEAD", "meanwhile one two"),
        # merged into
        (TOPIC, ON_MAIN, "origin/main", YES),
        (TOPIC, ON_MAIN, "HEAD", NO),
        (TOPIC, IsMergedInto("topic"), "HEAD", YES),
        *(
            (f"on r; commit a; tag {tag}; on main; {merge} branch -qD r; clone --branch=v1", question, "HEAD", expected)
            for tag in ("v1", "-am release v1")
            for merge, is_merged in (("merge r;", YES), ("", NO))
            for question, expected in ((ON_MAIN, is_merged), (PREVIOUS, "a"))
        ),
        # in a shallow clone git calls the last commit a root, and says no where the truth is yes
        ("commit a; clone --depth=1", PREVIOUS, "HEAD", SHALLOW),
        ("commit a; clone --depth=2", PREVIOUS, "HEAD", "a"),
        ("commit a; clone --depth=2", MERGE_BASE, "HEAD", SHALLOW),
        ("commit a; clone --depth=2", PREVIOUS, "HEAD~1", SHALLOW),
        (f"{DIVERGE} merge topic; clone --depth=2", PREVIOUS, "HEAD", "one two"),
        ("commit a; tag v1; commit b; commit b; clone --depth=5", ON_MAIN, "v1", YES),
        # two commits are enough to compare them
        ("tag live; commit a; commit b; clone --depth=1; fetch -q --depth=1 origin tag live", LIVE, "HEAD", "a b"),
        # since the last deploy; where none is known every file counts as changed
        ("commit b/c; clone --depth=1", FIRST_DEPLOY, "HEAD", "README.md b/c src/app.py"),
        ("tag live; commit a; commit b; commit c; clone", DEPLOYED, "HEAD", "a b c"),
        ("commit a; tag live; clone", DEPLOYED, "HEAD", ""),
        # the branch was forced elsewhere: what is deployed is another line, and a difference to it says nothing
        ("on side; commit side; tag live", DEPLOYED, "main", ELSEWHERE),
        ("tag live", DEPLOYED, "HEAD~1", ELSEWHERE),  # newer than the build
        ("on side; commit side; tag live; on main; clone --single-branch --no-tags", DEPLOYED, "HEAD",
         (f"{CANNOT}: WHOLE is not in this clone", NOT_HERE)),
        ("tag live; commit third; clone --depth=1", DEPLOYED, "HEAD", SHALLOW),
        ("tag live; commit third; clone --depth=2", DEPLOYED, "HEAD", "third"),
        ("", UNASKED, "HEAD",
         (f"{CANNOT} since the last deploy without asking CircleCI", "state them:  --changed FILE")),
    ],
)  # fmt: skip
def test_what_is_asked(repo: Repo, script: str, question: Question, ref: str, expected: Any) -> None:
    here = repo.play(script)
    live = repo.at("live") if question == DEPLOYED else ABSENT
    found = ask(here, replace(question, ref=live) if question == DEPLOYED else question, ref)
    if isinstance(found, tuple):
        names = {live: "WHOLE", live[:7]: "LIVE", here.at(ref)[:7]: "HEAD"}
        for name, word in names.items():
            found = tuple(text.replace(name, word) for text in found)
    assert found == (sorted(expected.split()) if isinstance(expected, str) else expected)


def test_a_submodule(repo: Repo) -> None:
    """What a repository says of itself, or the machine of all, does not hide a change from the rules."""
    settings = '[submodule "lib"]\n\tpath = vendor/lib\n\turl = ../lib\n\tignore = all\n'
    (repo.folder / ".gitmodules").write_text(settings, encoding="utf-8")
    for commit in (ABSENT, ABSENT[::-1]):
        repo.git("add", ".gitmodules")
        repo.git("update-index", "--add", "--cacheinfo", f"160000,{commit},vendor/lib")
        repo.commit()
    repo.play("config submodule.lib.ignore all; config diff.ignoreSubmodules all")
    assert ask(repo, PREVIOUS) == ["vendor/lib"]


def test_names_come_as_they_are(repo: Repo) -> None:
    odd = ["with space", "'quote'", '"double"', "new\nline", "tab\there", "back\\slash", "ü/ñ", "-rf", "--output=x"]
    odd += [":(glob)**", "*", "end ", "latin-\udce9", "\udcff\udcfe"]  # the byte E9 is no UTF-8
    repo.commit(*odd)
    assert ask(repo, PREVIOUS) == sorted(odd)


def test_what_the_machine_has_configured_changes_nothing(repo: Repo) -> None:
    repo.commit("src/ü", "top", message="Über")
    (repo.folder / ".mailmap").write_text("Eve <eve@acme.dev> <anna@acme.dev>\n", encoding="utf-8")
    known = [Known(("src/ü", "top")), Known("Über"), Known("anna@acme.dev")]
    for setting in (
        *("diff.relative true", "diff.noprefix true", "diff.external false", "diff.orderFile nowhere"),
        *("core.quotePath true", "color.ui always", "log.showSignature true", "log.follow true", "core.pager false"),
        *("format.pretty fuller", "i18n.logOutputEncoding UTF-16", "log.mailmap true"),
    ):
        repo.play(f"config {setting}")
        of_folder = GitHistory(repo.read("src"), repo.head, "main")
        assert [of_folder.answer(question) for question in (PREVIOUS, MessageOf(), AuthorOf())] == known, setting


@pytest.mark.parametrize("ref", ["nowhere", "-h", "--all", "a b", "", "x..y", "HEAD:README.md"])
def test_a_ref_that_is_not_there(repo: Repo, ref: str) -> None:
    first = f"run  git fetch origin {ref}:refs/remotes/origin/{ref}  first"
    assert ask(repo, ChangedSince(ref=ref)) == (f"{CANNOT}: there is no ref '{ref}' in this clone", first)


# what is missing, or has moved since the checkout

#: What happens to the remote while a build runs.
EVENTS = {
    "nothing": "",
    "grew": "commit later",
    "merged": "merge topic",
    "rewritten": "reset -q --hard root; commit other",
    "removed": "on topic; branch -D main",
    "deployed": "tag --force live topic~1; branch --force deployed topic~1",  # a tag and a branch that deploys move
}
MAIN, ORIGIN_MAIN = ChangedSince(ref="main"), ChangedSince(ref="origin/main")
ONE = f"{TOPIC[:-1]} --single-branch"
ONE_UNTAGGED = "commit a; clone --single-branch --no-tags"
#: Why there is no answer, and what to fetch.
NO_MAIN = "origin/main is not fetched", "origin main:refs/remotes/origin/main"
NO_LIVE = "there is no ref 'live' in this clone", "origin live:refs/remotes/origin/live"
IN_PART = "this is a shallow clone", "--unshallow"
IS_AT = "is at BEFORE in this clone, and at NOW in the remote"
MOVED = f"origin/main {IS_AT}", "origin +refs/heads/main:refs/remotes/origin/main"
MOVED_TAG = f"tag live {IS_AT}", "origin +refs/tags/live:refs/tags/live"


@pytest.mark.parametrize(
    ("script", "event", "question", "trouble"),
    [
        (ONE, "nothing", ON_MAIN, NO_MAIN),
        (ONE, "nothing", MERGE_BASE, NO_MAIN),
        (f"tag live; {ONE_UNTAGGED}", "nothing", LIVE, NO_LIVE),
        (f"branch live; {ONE_UNTAGGED}", "nothing", LIVE, NO_LIVE),
        ("commit a; clone --depth=1", "nothing", PREVIOUS, IN_PART),
        ("on x; commit a; on main; commit b; merge x; clone --depth=1; fetch -q --depth=1 origin x:x; checkout -q x",
         "nothing", ON_MAIN, IN_PART),
        *((TOPIC, "grew", question, MOVED) for question in (ON_MAIN, MERGE_BASE, MAIN, ORIGIN_MAIN)),
        (TOPIC, "rewritten", MERGE_BASE, MOVED),
        (f"tag -am x live; branch deployed; {TOPIC}", "deployed", LIVE, MOVED_TAG),
    ],
)  # fmt: skip
def test_a_cure_cures(repo: Repo, script: str, event: str, question: Question, trouble: tuple[str, str]) -> None:
    clone, ref, (why, fetch) = repo.play(f"tag root HEAD~1; {script}"), "live" if question == LIVE else "main", trouble
    before = repo.at(ref)
    repo.play(EVENTS[event])
    found = plain(history(clone, clone.head, []).answer(question))
    assert isinstance(found, tuple)
    assert found[0].endswith(": " + why.replace("BEFORE", before[:7]).replace("NOW", repo.at(ref)[:7]))
    assert found[1] in (SHALLOW[1], f"run  git fetch {fetch}  first, or give --fetch")
    clone.git("fetch", *fetch.split())
    truth = ask(repo.clone(name="today"), question, clone.head)
    assert plain(history(clone, clone.head, []).answer(question)) == truth


def test_a_blobless_clone_is_exact(repo: Repo) -> None:
    """As CircleCI's checkout makes them; the remote is gone afterwards, so nothing can be fetched later."""
    repo.play(f"{DIVERGE} on topic; mv src/app.py src/moved.py; commit src/moved.py; tag live main~1")
    clone = repo.play("clone --filter=blob:none --no-checkout")
    repo.folder.rename(repo.folder.with_name("gone"))
    assert "?" in clone.git("rev-list", "--objects", "--missing=print", "--all"), "it was meant to lack something"
    since = ["one", "src/app.py", "src/moved.py", "two"]
    assert [ask(clone, question) for question in (PREVIOUS, MERGE_BASE, LIVE)] == [since[1:3], since, since]
    assert ask(clone, ON_MAIN) == NO
    assert ask(clone, PREVIOUS, clone.git("rev-list", "--max-parents=0", "HEAD")) == ["README.md", "src/app.py"]


@pytest.mark.parametrize(
    ("trouble", "words", "next_step"),
    [
        ("revision", ABSENT, NOT_HERE),
        ("repository", ": this folder is in no git clone", NOT_HERE),
        ("git", ": git cannot be run here", NOT_HERE),
        # somebody else owns a clone in many containers; git's own words would name folders and nothing to do
        ("trust", ": git does not trust this clone, which another user owns", TRUST),
    ],
)
def test_what_keeps_git_from_answering(repo: Repo, tmp_path: Path, trouble: str, words: str, next_step: str) -> None:
    repo.git("tag", "live")
    here = Repo(tmp_path) if trouble == "repository" else repo.clone()
    if trouble == "git":
        here.environ["PATH"] = str(tmp_path)
    elif trouble == "trust":
        here.wrap_git("GIT_TEST_ASSUME_DIFFERENT_OWNER=1; export GIT_TEST_ASSUME_DIFFERENT_OWNER")
    for question in EVERY:
        found = ask(here, question, ABSENT)
        assert isinstance(found, tuple)
        assert words in found[0]
        assert ("shallow" in found[0], found[1]) == (False, next_step)
    assert history(here, ABSENT).committed_at() is None


# the commit itself

WHOLE_MESSAGE = "Ship it\n\nBody with [skip deploy] and ü\n\nCo-authored-by: Eve <eve@x>"


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        (WHOLE_MESSAGE.encode(), "UTF-8", WHOLE_MESSAGE),
        (b"", "UTF-8", ""),
        (b"Gr\xfc\xdfe", "ISO-8859-1", "Grüße"),
        (b"caf\xe9 [ship]", "UTF-8", "café [ship]"),  # git takes what is no UTF-8 for Latin-1
    ],
)
def test_the_whole_message_in_whatever_encoding(repo: Repo, text: bytes, encoding: str, message: str) -> None:
    options = ("--quiet", "--allow-empty", "--allow-empty-message", "-F", "-")
    repo.git("-c", f"i18n.commitEncoding={encoding}", "commit", *options, text=text)
    repo.git("notes", "add", "-m", "a note is not the message")
    found = ask(repo, MessageOf())
    assert isinstance(found, Known)
    assert str(found.value).rstrip("\n") == message


def test_when_a_commit_was_made_and_by_nobody(repo: Repo) -> None:
    """By the committer's clock: a rebased commit keeps the author's date of years ago."""
    repo.commit(GIT_AUTHOR_EMAIL="", GIT_AUTHOR_DATE="1000000000 +0000", GIT_COMMITTER_DATE="1750000000 +0530")
    made = history(repo, repo.head).committed_at()
    assert made is not None
    assert (made.timestamp(), made.utcoffset()) == (1_750_000_000, timedelta(hours=5, minutes=30))
    assert ask(repo, AuthorOf()) == Known("")


# clones that are older than what they are asked about

WHOLE = ("full", "blobless")
STALE_QUESTIONS = (ON_MAIN, MERGE_BASE, LIVE, ChangedSince(ref="deployed"), MAIN, ORIGIN_MAIN)


@pytest.mark.parametrize("event", EVENTS)
def test_an_answer_is_that_of_the_remote_now_or_there_is_none(repo: Repo, event: str) -> None:
    """In every kind of clone, whatever has happened to the remote since; a clone of today knows the truth."""
    base = repo.head
    repo.play(f"tag root HEAD~1; tag live; branch deployed; {DIVERGE}")
    clones = {kind: repo.clone("--branch=topic", *options, name=kind) for kind, options in CLONES.items()}
    repo.play(EVENTS[event])
    today = repo.clone("--branch=topic", name="today")
    truths = {(at, question): ask(today, question, at) for at in (today.head, base) for question in STALE_QUESTIONS}
    for kind, fetches, revision in product(CLONES, (False, True), (today.head, base)):
        said: list[str] = []
        of_clone = history(clones[kind], revision, said, fetches=fetches)
        for question in STALE_QUESTIONS:
            found, truth = plain(of_clone.answer(question)), truths[revision, question]
            if isinstance(found, tuple):
                may_be_unknown = EVENTS[event] and not fetches
                assert may_be_unknown or kind not in WHOLE or isinstance(truth, tuple), (kind, question, found)
            else:
                assert found == truth, (kind, question, revision == base, fetches)
        assert all(re.fullmatch(r"(origin/|tag )\w+ was fetched: it is at .*", line) for line in said)
        assert fetches or not said


def test_that_main_went_on_is_ordinary_and_stays_quiet(repo: Repo) -> None:
    """A push while a tag is built."""
    clone = repo.clone()
    repo.commit()
    assert history(clone, clone.head, []).answer(ON_MAIN) == YES
    assert clone.at("origin/main") == clone.head


def test_the_remote_is_asked_once_and_where_it_cannot_be_read_the_clone_is_believed(repo: Repo, tmp_path: Path) -> None:
    clone, log, said = repo.play(f"tag live; {TOPIC}"), tmp_path / "log", list[str]()
    clone.wrap_git(f'echo "$1" >> {log}')
    of_clone = history(clone, clone.head, said)
    assert all(isinstance(of_clone.answer(question), Known) for question in STALE_QUESTIONS[:3])
    assert (log.read_text(encoding="utf-8").split().count("ls-remote"), said) == (1, [])
    repo.folder.rename(repo.folder.with_name("gone"))
    of_clone = history(clone, clone.head, said)
    assert [of_clone.answer(question) for question in (ON_MAIN, MERGE_BASE)] == [NO, Known(("one", "two"))]
    (line,) = said
    assert line.startswith("where origin's branches are now could not be read (git says: ")
    assert line.endswith("): the clone is believed")


MASTER = "branch -m master; commit meanwhile; checkout -qb topic master~1; commit one; checkout -q master;"


@pytest.mark.parametrize(
    ("script", "later", "expected"),
    [
        (f"{MASTER} clone --branch=topic", "", ["one"]),
        (f"{MASTER} branch main master~2; clone --branch=topic", "", ["one"]),  # what was left over does not judge
        (f"{TOPIC} remote set-head origin --delete", "",
         (f"{CANNOT.replace('101', '108')}: the rule file names no default branch, and the clone has no origin/HEAD",
          "write  default_branch: NAME  in the rule file")),
        (TOPIC, "checkout -qb trunk",
         (f"{CANNOT}: the default branch is trunk, and origin/HEAD of this clone says main",
          "write  default_branch: trunk  in the rule file")),
    ],
)  # fmt: skip
def test_without_a_key_the_default_branch_is_that_of_the_clone(
    repo: Repo, script: str, later: str, expected: object
) -> None:
    clone = repo.play(script)
    repo.play(later)
    assert plain(history(clone, clone.head, [], named=False).answer(MERGE_BASE)) == expected
    if isinstance(expected, tuple):
        assert history(clone, clone.head, [], named=False).answer(ON_MAIN) == NO
        assert isinstance(history(clone, clone.head, []).answer(MERGE_BASE), Known)
