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


def test_as_another_node(clone: Clone) -> None:
    ended = plan(clone, "--node-index", "2", "--node-total", "4")
    assert (ended.code, ended.json["skipped"]) == (0, "node 2 of 4; node 0 decides")


def test_more_variables_from_a_file(clone: Clone) -> None:
    clone.write(RULES.replace("{branch: main}", '{branch: main, env: {MODE: "on"}}'))
    clone.write("# a comment\nexport MODE='on'\n", "env.txt")
    assert plan(clone).json["rules"][0]["verdict"] == "no"
    assert plan(clone, "--env-file", "env.txt").json["rules"][0]["verdict"] == "fire"


def test_outside_of_a_clone(project: Project) -> None:
    ended = plan(project)
    assert (ended.code, ended.json["error"]["code"]) == (4, "not-in-a-clone")


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


def test_rules_of_a_ref_that_is_not_there(clone: Clone) -> None:
    ended = clone.step(None, "--rules-ref", "origin/nowhere")
    assert ended.code == 3
    assert "git fetch origin nowhere" in ended.json["error"]["hints"][0]


@pytest.mark.parametrize("ref", ["", "--output=stolen.txt", ":0"])
def test_what_is_no_ref(clone: Clone, ref: str) -> None:
    """An unset variable in --rules-ref "$RULES_REF" must not fall back to the files that are judged."""
    ended = clone.step(None, f"--rules-ref={ref}")
    assert (ended.code, ended.json["error"]["code"]) == (2, "rules-ref")
    assert not (clone.folder / "stolen.txt").exists()


def test_outside_ci_a_run_is_completed_from_git(clone: Clone) -> None:
    head = clone.git("rev-parse", "HEAD")
    with sandbox(heads={"main": head}) as server:
        variables: dict[str, str | None] = {}
        ended = clone.run(("run", "--json", "--outside-ci", "--confirm", "1s"), variables, server=server, ci=False)
    assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err
    assert ended.json["build"]["revision"] == head


def test_the_sandbox_needs_no_account(clone: Clone) -> None:
    ended = clone.run(("run", "--json", "--sandbox"), {"CIRCLE_TOKEN": None}, ci=False)
    assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err
    assert "nothing leaves this machine" in ended.err


def test_a_detached_head_is_named(clone: Clone) -> None:
    clone.git("checkout", "--quiet", "--detach")
    ended = plan(clone)
    assert (ended.code, ended.json["error"]["code"]) == (4, "no-ref")
    assert ended.json["error"]["hints"] == ["give --branch or --tag"]
    assert plan(clone, "--branch", "main").code == 0


def test_a_clone_without_a_commit_is_named(tmp_path: Path) -> None:
    ended = plan(Clone(tmp_path))
    assert (ended.code, ended.json["error"]["code"]) == (4, "not-in-a-clone")


@pytest.mark.parametrize("origin", ["git@work:acme/shop.git", "/srv/shop.git", None])
def test_the_stand_in_needs_no_project_of_a_known_host(clone: Clone, origin: str | None) -> None:
    clone.git("remote", "remove", "origin")
    if origin is not None:
        clone.git("remote", "add", "origin", origin)
    words = ("run", "--json", "--sandbox", "--confirm", "5s")
    ended = clone.run(words, {"CIRCLE_TOKEN": None}, ci=False)
    assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err


@pytest.mark.parametrize("config", ["a: [", "- a", "setup: true"])
def test_a_config_that_cannot_be_compared_with_is_told(project: Project, config: str) -> None:
    project.write(config, "config.yml")
    ended = project.call("check", "--config", "config.yml")
    assert ended.code == 0
    assert "warning: config.yml is not compared with" in ended.err


def test_that_there_is_no_config_is_told(project: Project) -> None:
    assert "there is no .circleci/config.yml here" in project.call("check").err
