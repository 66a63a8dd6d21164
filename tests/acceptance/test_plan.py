"""What a run would do, on a laptop; and rules that come from elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from acceptance.process import RULES, Clone, Project, sandbox, triggers
from builds import OTHER_SHA, SHA

if TYPE_CHECKING:
    from pathlib import Path

    from acceptance.process import Ended


@pytest.fixture
def clone(clone: Clone) -> Clone:
    """A clone of a project at GitHub, of which nobody asks anything."""
    clone.git("remote", "set-url", "origin", "git@github.com:acme/shop.git")
    clone.commit()
    return clone


def plan(project: Project, *arguments: str, stdin: str = "", **variables: str | None) -> Ended:
    return project.run(("plan", "--json", *arguments), {"CIRCLE_TOKEN": None, **variables}, stdin=stdin, ci=False)


def test_from_git_alone(clone: Clone) -> None:
    ended = plan(clone)
    assert ended.code == 0, ended.err
    head = clone.git("rev-parse", "HEAD")
    assert ended.json["mode"] == "dry-run"
    assert (ended.json["build"]["branch"], ended.json["build"]["revision"]) == ("main", head)
    (trigger,) = ended.json["triggers"]
    assert trigger["outcome"] == "planned"
    assert trigger["request"]["url"] == "https://circleci.com/api/v2/project/gh/acme/shop/pipeline/run"
    assert trigger["request"]["body"]["parameters"]["sha"] == head


def test_of_another_branch_or_tag(clone: Clone) -> None:
    old = clone.git("rev-parse", "HEAD")
    clone.git("tag", "v1.0")
    clone.git("commit", "--quiet", "--allow-empty", "-m", "newer")
    assert plan(clone, "--branch", "feature/x").json["rules"][0]["verdict"] == "no"
    tagged = plan(clone, "--tag", "v1.0").json["build"]
    assert (tagged["branch"], tagged["tag"], tagged["revision"]) == (None, "v1.0", old)
    assert plan(clone, "--sha", "HEAD~1").json["build"]["revision"] == old
    assert plan(clone, CIRCLE_SHA1=OTHER_SHA).json["build"]["revision"] == OTHER_SHA, "not what is checked out"


def test_as_another_node(clone: Clone) -> None:
    ended = plan(clone, "--node-index", "2", "--node-total", "4")
    assert (ended.code, ended.json["skipped"]) == (0, "node 2 of 4; node 0 decides")


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        ("--branch a --tag b", 2, "usage"),
        ("--sha HEAD~9", 2, "sha"),
        ("--tag v9", 2, "tag"),
        ("--node-index x", 4, "environment-invalid"),
        ("--env-file none.env", 2, "file-unreadable"),
    ],
)
def test_what_describes_no_build(clone: Clone, words: str, code: int, error: str) -> None:
    ended = plan(clone, *words.split())
    assert (ended.code, ended.json["error"]["code"]) == (code, error)


def test_outside_of_a_clone_and_before_the_first_commit(tmp_path: Path) -> None:
    for made, folder in ((Project, tmp_path / "folder"), (Clone, tmp_path / "clone")):
        folder.mkdir()
        ended = plan(made(folder))
        assert (ended.code, ended.json["error"]["code"]) == (4, "not-in-a-clone")
        assert ended.json["error"]["message"].endswith("and no build's environment is set")


GIVEN = {"branch": "main", "sha": SHA, "user": "anna", "now": "2026-06-16 10:00"}


@pytest.mark.parametrize(
    "text", [json.dumps(GIVEN), "branch: main\nsha: " + SHA + "\nuser: anna\nnow: 2026-06-16 10:00\n"]
)
def test_from_facts_on_standard_input(project: Project, text: str) -> None:
    """They replace environment, git and clock altogether: this is neither a build nor a clone."""
    ended = plan(project, "--given", "-", stdin=text, CIRCLE_BRANCH="nonsense", CIRCLE_SHA1=OTHER_SHA)
    assert ended.code == 0, ended.err
    assert (ended.json["build"]["branch"], ended.json["build"]["revision"]) == ("main", SHA)
    assert ended.json["now"] == "2026-06-16T10:00:00+00:00"
    assert ended.outcomes == ["planned"]


def test_facts_that_are_wrong(project: Project) -> None:
    ended = plan(project, "--given", "-", stdin="brnch: main\n")
    assert (ended.code, ended.json["exit"]["name"]) == (3, "rules")
    assert ended.json["error"]["diagnostics"][0]["file"] == "standard input"


# Rules from a ref


def moved_on(clone: Clone) -> str:
    """A commit that went to the origin's main after this clone was made."""
    clone.git("remote", "set-url", "origin", clone.folder.with_name(f"{clone.folder.name}.git").as_uri())
    clone.push()
    before = clone.git("rev-parse", "HEAD")
    merged = clone.commit()
    clone.push()
    clone.git("update-ref", "refs/remotes/origin/main", before)
    return merged


MERGED = RULES.replace("branch: main", "tag: v*, merged_into: main")


def test_a_clone_that_is_older_than_main(clone: Clone) -> None:
    """Restored from a cache, say: a run does not decide by it, a plan needs no network."""
    clone.write(MERGED)
    build: dict[str, str | None] = {"CIRCLE_SHA1": moved_on(clone), "CIRCLE_BRANCH": None, "CIRCLE_TAG": "v1"}
    planned = clone.call("plan", "--json", **build)
    assert planned.json["rules"][0]["verdict"] == "no"
    ended = clone.step(None, "--dry-run", **build)
    assert (ended.code, ended.json["rules"][0]["verdict"]) == (5, "unknown")
    (told,) = ended.json["error"]["diagnostics"]
    assert (told["code"], "or give --fetch" in told["hint"]) == ("U102", True)
    fetched = clone.step(None, "--dry-run", DEPLOYSTEP_FETCH="1", **build)
    assert (fetched.code, fetched.json["rules"][0]["verdict"]) == (0, "fire"), fetched.err


@pytest.mark.parametrize(("more", "code"), [((), 5), (("--fetch",), 0)])
def test_rules_of_a_ref_that_has_moved(clone: Clone, more: tuple[str, ...], code: int) -> None:
    moved_on(clone)
    ended = clone.step(None, "--dry-run", "--rules-ref", "origin/main", *more, CIRCLE_BRANCH="feature/x")
    assert ended.code == code, ended.err
    if code:
        assert ended.json["error"]["message"].startswith("cannot tell what the rules are: origin/main is at ")
        assert ended.json["error"]["hints"][0].endswith("or give --fetch")


def test_rules_of_a_ref(clone: Clone) -> None:
    """A pull request cannot edit the rules that judge it."""
    clone.git("update-ref", "refs/remotes/origin/main", "HEAD")
    clone.write(RULES.replace("branch: main", 'branch: "**"'))
    with sandbox() as server:
        edited = clone.step(server, "--dry-run", CIRCLE_BRANCH="feature/x")
        judged = clone.step(server, "--rules-ref", "origin/main", CIRCLE_BRANCH="feature/x")
        by_variable = clone.step(server, CIRCLE_BRANCH="feature/x", DEPLOYSTEP_RULES_REF="origin/main")
        assert triggers(server) == []
    assert edited.json["rules"][0]["verdict"] == "fire"
    assert judged.json["rules"][0]["verdict"] == by_variable.json["rules"][0]["verdict"] == "no"


def test_outside_ci_a_run_is_completed_from_git(clone: Clone) -> None:
    head = clone.git("rev-parse", "HEAD")
    with sandbox(heads={"main": head}) as server:
        variables: dict[str, str | None] = {}
        ended = clone.run(("run", "--json", "--outside-ci", "--confirm", "1s"), variables, server=server, ci=False)
    assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err
    assert ended.json["build"]["revision"] == head


def test_a_tag_in_the_environment_is_where_the_clone_has_it(clone: Clone) -> None:
    """What is deployed from a laptop is the work tree, whatever tag a variable names."""
    clone.write(RULES.replace("branch: main", "tag: v*"))
    clone.git("tag", "v1")
    tagged = clone.git("rev-parse", "HEAD").strip()
    clone.commit()
    arguments = ("run", "--json", "--outside-ci", "--dry-run")
    ended = clone.run(arguments, {"CIRCLE_TAG": "v1"}, ci=False)
    assert (ended.code, ended.json["error"]["code"]) == (4, "tag-elsewhere")
    clone.git("checkout", "--quiet", "v1")
    clone.write(RULES.replace("branch: main", "tag: v*"))
    ended = clone.run(arguments, {"CIRCLE_TAG": "v1"}, ci=False)
    assert (ended.code, ended.json["build"]["revision"]) == (0, tagged), ended.err


def test_a_detached_head_is_named(clone: Clone) -> None:
    clone.git("checkout", "--quiet", "--detach")
    ended = plan(clone)
    assert (ended.code, ended.json["error"]["code"]) == (4, "no-ref")
    assert plan(clone, "--branch", "main").code == 0


@pytest.mark.parametrize("origin", ["git@work:acme/shop.git", "/srv/shop.git", None])
def test_the_sandbox_needs_no_account_and_no_project_of_a_known_host(clone: Clone, origin: str | None) -> None:
    clone.git("remote", "remove", "origin")
    if origin is not None:
        clone.git("remote", "add", "origin", origin)
    ended = clone.run(("run", "--json", "--sandbox", "--confirm", "5s"), {"CIRCLE_TOKEN": None}, ci=False)
    assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err
    assert "nothing leaves this machine" in ended.err


# What plan is told of the build


WHO = RULES.replace("{branch: main}", '{branch: "**", user: anna, author: "*@acme.dev", message_contains: ship}')
SHIPS = ("--user", "anna", "--author", "a@acme.dev", "--message", "ship it")


@pytest.mark.parametrize(
    ("rules", "arguments", "verdict"),
    [
        (WHO, SHIPS, "fire"),
        (WHO, SHIPS[:4], "no"),
        (WHO, SHIPS[2:], "no"),
        (RULES.replace("main}", "main, pull_request: true}"), ("--pull-request", "42"), "fire"),
        (RULES.replace("main}", "main, pull_request: true}"), (), "no"),
        (RULES.replace("main}", "main, fork: true}"), ("--fork",), "fire"),
        (RULES, ("--fork",), "no"),
        (RULES.replace("branch: main", "branch: pull/7, fork: true"), ("--fork", "--pull-request", "7"), "fire"),
        (RULES.replace("main}", "main, env: {MODE: on, X: a=b}}"), ("--env", "MODE=on", "--env", "X=a=b"), "fire"),
        (RULES.replace("main}", "main, env: {MODE: on}}"), ("--env", "MODE="), "no"),
    ],
)
def test_what_git_and_a_laptop_do_not_know(clone: Clone, rules: str, arguments: tuple[str, ...], verdict: str) -> None:
    clone.write(rules)
    ended = plan(clone, *arguments)
    assert (ended.code, ended.json["rules"][0]["verdict"]) == (0, verdict), ended.err


def test_a_tag_that_is_not_there_is_not_head(clone: Clone) -> None:
    ended = plan(clone, "--tag", "v9")
    assert (ended.code, ended.json["error"]["message"]) == (2, "--tag: this clone has no 'v9'")
    assert plan(clone, "--tag", "v9", "--sha", "HEAD").json["build"]["revision"] == clone.git("rev-parse", "HEAD")


def test_a_branch_that_is_not_there_is_told(clone: Clone) -> None:
    ended = plan(clone, "--branch", "x")
    assert f"branch x is not in this clone: judged as if it were at {clone.git('rev-parse', 'HEAD')[:7]}" in ended.err
    assert "is not in this clone" not in plan(clone, "--branch", "main").err


@pytest.mark.parametrize("option", [("--branch", "main"), ("--user", "anna"), ("--env", "A=b"), ("--fork",)])
def test_stated_facts_pass_over_no_option(project: Project, option: tuple[str, ...]) -> None:
    ended = plan(project, "--given", "-", *option, stdin="branch: main\n")
    assert (ended.code, option[0] in ended.json["error"]["message"]) == (2, True)


def test_texts_that_look_like_something_else_are_quoted(clone: Clone) -> None:
    parameters = '{a: true, b: "true", c: 3, d: "3", e: "1.10", f: 1.4.0, g: "x, y: z", h: "off", i: "0123456"}'
    clone.write(RULES.replace('{deploy: true, sha: "${CIRCLE_SHA1}", retries: 3}', parameters))
    ended = clone.call("plan", "--sha", "HEAD")
    assert parameters in ended.out


# From a folder of the clone


@pytest.mark.parametrize("command", [("plan",), ("check",), ("test",), ("run", "--dry-run")])
def test_from_any_folder_of_the_clone(clone: Clone, command: tuple[str, ...]) -> None:
    clone.write("version: 2.1\nsetup: true\n", ".circleci/config.yml")
    (clone.folder / "services/api").mkdir(parents=True)
    clone.folder /= "services/api"
    ended = clone.call(*command, CIRCLE_TOKEN=None)
    assert ended.code == 0, ended.err
    assert "there is no" not in ended.err
    assert command[0] == "test" or "../../.circleci/deploy.yml" in ended.out
    (clone.folder / "../../.circleci/config.yml").unlink()
    assert ("there is no .circleci/config.yml here" in clone.call(*command).err) is (command[0] == "check")


def test_rules_of_a_ref_from_any_folder_of_the_clone(clone: Clone) -> None:
    (clone.folder / "services/api").mkdir(parents=True)
    clone.folder /= "services/api"
    words = ("run", "--dry-run", "--json", "--rules-ref", "HEAD")
    ended = clone.call(*words)
    assert (ended.code, ended.outcomes) == (0, ["planned"]), ended.err
    far = clone.call(*words, "--rules", ".circleci/other.yml")
    assert (far.code, far.json["error"]["message"].split(":")[0]) == (3, "cannot read .circleci/other.yml at HEAD")


def test_the_nearest_rules_decide(clone: Clone) -> None:
    clone.write(RULES.replace("production", "nearest"), "services/.circleci/deploy.yml")
    clone.folder /= "services"
    assert plan(clone).json["rules"][0]["name"] == "nearest"


def test_where_rules_were_looked_for_is_said(clone: Clone, project: Project) -> None:
    root, prefix = clone.folder, "there is no rule file .circleci/deploy.yml in"
    (root / ".circleci/deploy.yml").unlink()
    (root / "a/b").mkdir(parents=True)
    assert clone.call("run", "--json").json["error"]["message"] == f"{prefix} {root}"
    clone.folder = root / "a/b"
    assert clone.call("run", "--json").json["error"]["message"] == f"{prefix} {root}/a/b or above it in this clone"
    (project.folder / ".circleci/deploy.yml").unlink()
    error = project.call("run", "--json").json["error"]
    assert error["message"] == f"{prefix} {project.folder}, which is in no git clone"
    assert error["hints"] == ["is there a checkout step before this one?"]


def test_what_a_variable_stands_for_is_named_by_it(project: Project) -> None:
    ended = project.call("run", "--json", "--dry-run", DEPLOYSTEP_NOW="soon")
    assert ended.json["error"]["message"].startswith("DEPLOYSTEP_NOW: ")
    assert project.call("run", "--json", "--now", "soon").json["error"]["message"].startswith("--now: ")
