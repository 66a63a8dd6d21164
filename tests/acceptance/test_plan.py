"""What a run would do, on a laptop; and rules that come from elsewhere."""

from pathlib import Path

import pytest
from acceptance.process import RULES, Clone, Ended, Project
from builds import OTHER_SHA, SHA


@pytest.fixture
def clone(clone: Clone) -> Clone:
    """A clone of a project at GitHub, of which nobody asks anything."""
    clone.git("remote", "set-url", "origin", "git@github.com:acme/shop.git")
    clone.commit()
    return clone


def plan(project: Project, *arguments: str, stdin: str = "", **variables: str | None) -> Ended:
    return project.run(("plan", "--json", *arguments), {"CIRCLE_TOKEN": None, **variables}, stdin=stdin, ci=False)


def verdict(ended: Ended) -> str:
    assert ended.json["rules"], ended.err
    return str(ended.json["rules"][0]["verdict"])


def test_from_git_alone(clone: Clone) -> None:
    ended = plan(clone)
    head = clone.git("rev-parse", "HEAD")
    assert (ended.code, ended.json["mode"], ended.outcomes) == (0, "dry-run", ["planned"]), ended.err
    assert (ended.json["build"]["branch"], ended.json["build"]["revision"]) == ("main", head)
    request = ended.json["triggers"][0]["request"]
    assert request["url"] == "https://circleci.com/api/v2/project/gh/acme/shop/pipeline/run"
    assert request["body"]["parameters"]["sha"] == head


def test_of_another_branch_tag_or_commit(clone: Clone) -> None:
    old = clone.git("rev-parse", "HEAD")
    clone.git("tag", "v1.0")
    clone.git("commit", "--quiet", "--allow-empty", "-m", "newer")
    ended, head = plan(clone, "--branch", "x"), clone.git("rev-parse", "HEAD")
    assert verdict(ended) == "no"
    assert f"branch x is not in this clone: judged as if it were at {head[:7]}" in ended.err
    assert "is not in this clone" not in plan(clone, "--branch", "main").err
    tagged = plan(clone, "--tag", "v1.0").json["build"]
    assert (tagged["branch"], tagged["tag"], tagged["revision"]) == (None, "v1.0", old)
    for words, revision in (("--sha HEAD~1", old), ("--tag v9 --sha HEAD", head)):
        assert plan(clone, *words.split()).json["build"]["revision"] == revision
    stated = plan(clone, CIRCLE_SHA1=OTHER_SHA, CIRCLE_BRANCH="y").json["build"]
    assert (stated["branch"], stated["revision"]) == ("y", OTHER_SHA), "not what is checked out"


@pytest.mark.parametrize(
    ("words", "now", "error", "message"),
    [
        ("--sha HEAD~9", None, "sha", "--sha: this clone has no 'HEAD~9'"),
        ("--tag v9", None, "tag", "--tag: this clone has no 'v9'"),  # which is not HEAD
        ("--env-file none.env", None, "file-unreadable", "--env-file: "),
        ("--now soon", None, "now", "--now: "),
        ("", "soon", "now", "DEPLOYSTEP_NOW: "),
        # stated facts pass over no option
        ("--given - --branch a --env A=b --fork", None, "usage", "--given states the whole build: --branch and --fork"),
    ],
)
def test_what_describes_no_build(clone: Clone, words: str, now: str | None, error: str, message: str) -> None:
    ended = plan(clone, *words.split(), stdin="branch: main\n", DEPLOYSTEP_NOW=now)
    assert (ended.code, ended.json["error"]["code"]) == (2, error)
    assert ended.json["error"]["message"].startswith(message)


def test_where_there_is_no_commit_or_no_branch(tmp_path: Path, clone: Clone) -> None:
    for made, folder in ((Project, tmp_path / "folder"), (Clone, tmp_path / "new")):
        folder.mkdir()
        ended = plan(made(folder))
        assert (ended.code, ended.json["error"]["code"]) == (4, "not-in-a-clone")
        assert ended.json["error"]["message"].endswith("and no build's environment is set")
    clone.git("checkout", "--quiet", "--detach")
    ended = plan(clone)
    assert (ended.code, ended.json["error"]["code"]) == (4, "no-ref")
    assert plan(clone, "--branch", "main").code == 0


def test_from_facts_on_standard_input(project: Project) -> None:
    """They replace environment, git and clock altogether: this is neither a build nor a clone."""
    facts = f"branch: main\nsha: {SHA}\nuser: anna\nnow: 2026-06-16 10:00\n"
    ended = plan(project, "--given", "-", stdin=facts, CIRCLE_BRANCH="nonsense", CIRCLE_SHA1=OTHER_SHA)
    assert (ended.code, ended.outcomes, ended.json["now"]) == (0, ["planned"], "2026-06-16T10:00:00+00:00"), ended.err
    assert (ended.json["build"]["branch"], ended.json["build"]["revision"]) == ("main", SHA)
    ended = plan(project, "--given", "-", stdin="brnch: main\n")
    assert (ended.code, ended.json["error"]["diagnostics"][0]["file"]) == (3, "standard input")


WHO = 'branch: "**", user: anna, author: "*@acme.dev", message_contains: ship, env: {MODE: on, X: a=b}'
SHIPS = "--user=anna --author=a@acme.dev --message=ship --env=MODE=on --env=X=a=b"


@pytest.mark.parametrize(
    ("when", "words", "expected"),
    [
        (WHO, SHIPS, "fire"),
        *((WHO, SHIPS.replace(word, ""), "no") for word in SHIPS.split()),
        ("branch: main, pull_request: true", "--pull-request=42", "fire"),
        ("branch: main, pull_request: true", "", "no"),
        ("branch: main", "--fork", "no"),
        ("branch: pull/7, fork: true", "--fork --pull-request=7", "fire"),
    ],
)
def test_what_git_and_a_laptop_do_not_know(clone: Clone, when: str, words: str, expected: str) -> None:
    clone.write(RULES.replace("branch: main", when))
    assert verdict(plan(clone, *words.split())) == expected


def test_texts_that_look_like_something_else_are_quoted(clone: Clone) -> None:
    parameters = '{a: true, b: "true", c: 3, d: "3", e: "1.10", f: 1.4.0, g: "x, y: z", h: "off", i: "0123456"}'
    clone.write(RULES.replace('{deploy: true, sha: "${CIRCLE_SHA1}", retries: 3}', parameters))
    assert parameters in clone.call("plan", "--sha", "HEAD").out


# A run on a laptop


def test_a_tag_in_the_environment_is_where_the_clone_has_it(clone: Clone) -> None:
    """What is deployed from a laptop is the work tree, whatever tag a variable names."""
    clone.git("tag", "v1")
    arguments = ("run", "--json", "--outside-ci", "--dry-run")
    ended = clone.run(arguments, {"CIRCLE_TAG": "v1"}, ci=False)
    assert (ended.code, ended.json["build"]["revision"]) == (0, clone.git("rev-parse", "HEAD")), ended.err
    clone.commit()
    ended = clone.run(arguments, {"CIRCLE_TAG": "v1"}, ci=False)
    assert (ended.code, ended.json["error"]["code"]) == (4, "tag-elsewhere")


@pytest.mark.parametrize("origin", ["git@work:acme/shop.git", None])
def test_the_sandbox_needs_no_account_and_no_project_of_a_known_host(clone: Clone, origin: str | None) -> None:
    clone.git("remote", *(("remove", "origin") if origin is None else ("set-url", "origin", origin)))
    ended = clone.run(("run", "--json", "--sandbox", "--confirm", "5s"), {"CIRCLE_TOKEN": None}, ci=False)
    assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err
    assert "nothing leaves this machine" in ended.err


# What has moved since the clone was made


def moved_on(clone: Clone) -> str:
    """A commit that went to the origin's main after this clone was made."""
    clone.git("remote", "set-url", "origin", clone.folder.with_name(f"{clone.folder.name}.git").as_uri())
    clone.push()
    before, merged = clone.git("rev-parse", "HEAD"), clone.commit()
    clone.push()
    clone.git("update-ref", "refs/remotes/origin/main", before)
    return merged


def test_a_clone_that_is_older_than_main(clone: Clone) -> None:
    """Restored from a cache, say: a run does not decide by it, a plan needs no network."""
    clone.write(RULES.replace("branch: main", "tag: v*, merged_into: main"))
    build: dict[str, str | None] = {"CIRCLE_SHA1": moved_on(clone), "CIRCLE_BRANCH": None, "CIRCLE_TAG": "v1"}
    assert verdict(clone.call("plan", "--json", **build)) == "no"
    ended = clone.step(None, "--dry-run", **build)
    assert (ended.code, verdict(ended)) == (5, "unknown")
    (told,) = ended.json["error"]["diagnostics"]
    assert (told["code"], "or give --fetch" in told["hint"]) == ("U102", True)
    assert verdict(clone.step(None, "--dry-run", DEPLOYSTEP_FETCH="1", **build)) == "fire"


def test_rules_of_a_ref_that_has_moved(clone: Clone) -> None:
    moved_on(clone)
    words = ("--dry-run", "--rules-ref", "origin/main")
    error = clone.step(None, *words, CIRCLE_BRANCH="x").json["error"]
    assert error["message"].startswith("cannot tell what the rules are: origin/main is at ")
    assert error["hints"][0].endswith("or give --fetch")
    assert verdict(clone.step(None, *words, "--fetch", CIRCLE_BRANCH="x")) == "no"


def test_rules_of_a_ref(clone: Clone) -> None:
    """A pull request cannot edit the rules that judge it."""
    clone.git("update-ref", "refs/remotes/origin/main", "HEAD")
    clone.write(RULES.replace("branch: main", 'branch: "**"'))
    assert verdict(clone.step(None, "--dry-run", CIRCLE_BRANCH="x")) == "fire"
    for words, variable in ((("--rules-ref", "origin/main"), None), ((), "origin/main")):
        assert verdict(clone.step(None, "--dry-run", *words, CIRCLE_BRANCH="x", DEPLOYSTEP_RULES_REF=variable)) == "no"


# From a folder of the clone


@pytest.fixture
def deeper(clone: Clone) -> Clone:
    """The same clone, from a folder in it."""
    clone.folder /= "services/api"
    clone.folder.mkdir(parents=True)
    return clone


@pytest.mark.parametrize("command", [("plan",), ("check",), ("test",), ("run", "--dry-run")])
def test_from_any_folder_of_the_clone(deeper: Clone, command: tuple[str, ...]) -> None:
    deeper.write("version: 2.1\nsetup: true\n", "../../.circleci/config.yml")
    ended = deeper.call(*command, CIRCLE_TOKEN=None)
    assert (ended.code, "there is no" in ended.err) == (0, False), ended.err
    setup = "../../.circleci/config.yml:2: a setup config: what continues it is not compared with"
    assert (setup in ended.err) is (command[0] == "check")
    assert command[0] == "test" or "../../.circleci/deploy.yml" in ended.out
    (deeper.folder / "../../.circleci/config.yml").unlink()
    assert ("there is no .circleci/config.yml here" in deeper.call(*command).err) is (command[0] == "check")


def test_rules_of_a_ref_from_any_folder_of_the_clone(deeper: Clone) -> None:
    words = ("--dry-run", "--rules-ref", "HEAD")
    assert deeper.step(None, *words).outcomes == ["planned"]
    far = deeper.step(None, *words, "--rules", ".circleci/other.yml")
    assert (far.code, far.json["error"]["message"].split(":")[0]) == (3, "cannot read .circleci/other.yml at HEAD")


def test_the_nearest_rules_decide_and_where_they_were_looked_for_is_said(deeper: Clone, project: Project) -> None:
    nearest, root = deeper.folder.parent / ".circleci/deploy.yml", deeper.folder.parents[1]
    deeper.write(RULES.replace("production", "nearest"), "../.circleci/deploy.yml")
    assert plan(deeper).json["rules"][0]["name"] == "nearest"
    for file in (nearest, root / ".circleci/deploy.yml", project.folder / ".circleci/deploy.yml"):
        file.unlink()
    prefix = "there is no rule file .circleci/deploy.yml in"
    assert deeper.step(None).json["error"]["message"] == f"{prefix} {deeper.folder} or above it in this clone"
    deeper.folder = root
    assert deeper.step(None).json["error"]["message"] == f"{prefix} {root}"
    error = project.step(None).json["error"]
    assert error["message"] == f"{prefix} {project.folder}, which is in no git clone"
    assert error["hints"] == ["is there a checkout step before this one?"]
