"""`init` as a process in real repositories: what it writes passes `check` and `test`, and it overwrites nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from acceptance.process import Clone

if TYPE_CHECKING:
    from pathlib import Path

    from acceptance.process import Ended

GATED = """
    version: 2.1
    parameters:
      release: {type: boolean, default: false}
      sha: {type: string, default: ""}
    jobs:
      test: {docker: [{image: a}], steps: [checkout, {run: deploystep run}]}
      ship:
        docker: [{image: a}]
        environment: {SHA: << pipeline.parameters.sha >>}
        steps: [checkout]
    workflows:
      build: {unless: << pipeline.parameters.release >>, jobs: [test: {context: deploy-token}]}
      ship: {when: << pipeline.parameters.release >>, jobs: [ship]}
    """
PLAIN = "version: 2.1\njobs:\n  build:\n    docker: [{image: a}]\n    steps:\n      - checkout\n"


class Fresh(Clone):
    """A repository without rules, and until something is committed without a commit."""

    def __init__(self, folder: Path, branch: str = "main") -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", f"--initial-branch={branch}")

    def local(self, *arguments: str) -> Ended:
        return self.run(arguments, {"CIRCLE_TOKEN": None}, ci=False)


@pytest.fixture
def fresh(tmp_path: Path) -> Fresh:
    return Fresh(tmp_path / "shop")


def rules(at: Fresh, path: str = ".circleci/deploy.yml") -> str:
    return (at.folder / path).read_text(encoding="utf-8")


def test_from_nothing_to_a_run_in_the_sandbox(fresh: Fresh) -> None:
    """No commit, no remote, no config."""
    ended = fresh.local("init")

    assert ended.code == 0, ended
    assert ".circleci/deploy.yml is written: a rule for branch main, and its cases" in ended.out
    assert "there is no .circleci/config.yml yet: write this to it\nversion: 2.1\n" in ended.out
    assert ".circleci/deploy.yml: nothing wrong found" in ended.out
    assert "needs a commit: commit .circleci first" in ended.out
    shown = ended.out.partition("write this to it\n")[2].partition("\n\n$")[0]
    fresh.write(f"{shown}\n", ".circleci/config.yml")
    fresh.git("add", ".")
    fresh.git("commit", "--quiet", "-m", "x")
    for command in ("check", "test", "plan"):
        assert fresh.local(command).code == 0
    assert "nothing wrong found" in fresh.local("check", "--strict").out
    assert "would run: workflow deploy: deploy" in fresh.local("plan").out
    ran = fresh.local("run", "--sandbox")
    assert (ran.code, "= triggered" in ran.out) == (0, True), ran


def test_with_the_lines_a_config_is_right(fresh: Fresh) -> None:
    fresh.write(PLAIN, ".circleci/config.yml")
    fresh.commit(".circleci/config.yml")
    ended = fresh.local("init")

    assert ended.code == 0, ended
    assert "would run: workflow deploy: deploy" in ended.out
    assert fresh.local("check").code == 3, "the lines are not there yet"
    lines = ended.out[ended.out.index("parameters:\n") :].partition("\n\n$")[0]
    version, _, jobs = PLAIN.partition("\n")
    fresh.write(f"{version}\n{lines.replace('jobs:', jobs.rstrip(), 1)}\n", ".circleci/config.yml")
    checked = fresh.local("check", "--strict")
    assert (checked.code, "nothing wrong found" in checked.out) == (0, True), checked


def test_a_gate_that_is_there_is_used(fresh: Fresh) -> None:
    fresh.write(GATED, ".circleci/config.yml")
    fresh.commit(".circleci/config.yml")
    ended = fresh.local("init")

    assert ended.code == 0, ended
    assert ".circleci/config.yml is left as it is" in ended.out
    assert "release: true # opens the gate" in rules(fresh)
    assert fresh.local("check", "--strict").code == 0
    assert fresh.local("test", "--coverage").code == 0


def test_what_the_repository_tells(tmp_path: Path) -> None:
    """A clone of a repository on master, on a detached head, in a subfolder."""
    origin = Fresh(tmp_path / "origin", "master")
    origin.commit("a")
    origin.git("tag", "v1.0")
    origin.git("clone", "--quiet", str(origin.folder), str(tmp_path / "clone"))
    clone = Fresh.__new__(Fresh)
    clone.folder = tmp_path / "clone"
    clone.git("checkout", "--quiet", "--detach")
    clone.git("remote", "set-url", "origin", "git@github.com:acme/shop.git")
    deep = Fresh.__new__(Fresh)
    deep.folder = clone.folder / "deep"
    deep.folder.mkdir()
    ended = deep.local("init")

    assert ended.code == 0, ended
    assert ended.out.startswith(".circleci/deploy.yml is written: a rule for branch master")
    assert "paths are from the root of the clone: ../" in ended.err
    assert "fire  production  branch master" in ended.out
    text = rules(clone)
    assert "# Which builds of acme/shop deploy" in text
    assert "tag (such as v1.0)" in text
    assert deep.local("check").code == deep.local("test").code == 0


@pytest.mark.parametrize("made", [("checkout", "-b", "feature/x"), ("checkout", "-b", "main")])
def test_the_default_branch_where_no_remote_tells_it(fresh: Fresh, made: tuple[str, ...]) -> None:
    fresh.git("symbolic-ref", "HEAD", "refs/heads/base")
    fresh.commit("a")
    fresh.git(*made)
    fresh.local("init")

    assert f"when: {{branch: {made[-1] if made[-1] == 'main' else 'feature/x'}}}" in rules(fresh)


def test_it_overwrites_nothing(fresh: Fresh) -> None:
    fresh.write("mine\n")
    ended = fresh.local("init")

    assert (ended.code, rules(fresh)) == (2, "mine\n")
    assert "error[file-exists]: .circleci/deploy.yml is there already, and is not overwritten" in ended.err
    assert "hint: " in ended.err
    below = Fresh.__new__(Fresh)
    below.folder = fresh.folder / "below"
    below.folder.mkdir()
    assert "error[file-exists]: .circleci/deploy.yml is there already" in below.local("init").err
    assert not (below.folder / ".circleci").exists()
    other = fresh.local("init", "--rules", "ci/rules.yml")
    assert other.code == 0, other
    assert fresh.local("check", "--rules", "ci/rules.yml").code == 0
    assert other.out.startswith("ci/rules.yml is written")
    fresh.write("in the way", "file")
    assert fresh.local("init", "--rules", "file/rules.yml").code == 2


def test_rules_in_a_folder_below_are_named_from_the_root(fresh: Fresh) -> None:
    """A build's step runs at the root of the checkout, and needs to be told where they are."""
    below = Fresh.__new__(Fresh)
    below.folder = fresh.folder / "services/api"
    below.folder.mkdir(parents=True)
    ended = below.local("init", "--rules", "deploy.yml")

    assert ended.out.startswith("services/api/deploy.yml is written")
    assert "\n      - run: deploystep run --rules services/api/deploy.yml\n" in ended.out
    assert "# After a change:  deploystep check --rules services/api/deploy.yml && " in rules(below, "deploy.yml")
    assert "next:  make that change and commit it, then  deploystep test --rules services/api/deploy" in ended.out


def test_outside_of_a_clone(tmp_path: Path) -> None:
    project = Fresh.__new__(Fresh)
    project.folder = tmp_path
    ended = project.local("init")

    assert ended.code == 4
    assert "git init" in ended.err
    assert not (tmp_path / ".circleci").exists()


def test_json_is_one_document(fresh: Fresh) -> None:
    fresh.write(PLAIN, ".circleci/config.yml")
    fresh.commit(".circleci/config.yml")
    document = fresh.local("init", "--json").json

    assert document["init"]["rules"] == ".circleci/deploy.yml"
    assert "      - deploystep:" in document["init"]["config"]
    assert document["diagnostics"] == []
    assert [rule["verdict"] for rule in document["rules"]] == ["fire"]
    assert document["exit"]["code"] == 0


@pytest.mark.parametrize("link", [".circleci", ".circleci/deploy.yml"])
def test_it_writes_through_no_link_that_leads_out(fresh: Fresh, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    (fresh.folder / link).parent.mkdir(exist_ok=True)
    (fresh.folder / link).symlink_to(outside)
    if link == ".circleci":
        outside.mkdir()
    ended = fresh.local("init")

    assert ended.code == 2
    assert ".circleci/deploy.yml is a link that leads out of this repository" in ended.err
    assert not outside.exists() or not list(outside.iterdir())


def test_a_rule_for_tags_is_planned_for_one_that_there_is(fresh: Fresh) -> None:
    filters = "{tags: {only: /v.*/}, branches: {ignore: /.*/}}"
    job = f"{PLAIN.replace('build:', 'release:')}      - run: make release\n"
    fresh.write(f"{job}workflows:\n  w:\n    jobs: [release: {{filters: {filters}}}]\n", ".circleci/config.yml")
    fresh.commit(".circleci/config.yml")
    fresh.git("tag", "v1.2.0")
    ended = fresh.local("init")

    assert "$ deploystep plan --tag v1.2.0\n" in ended.out
    assert "fire  production  gate only: tag v1.2.0 matches" in ended.out
    assert 'name: "v1.2.0 deploys the commit that was tested"' in rules(fresh)
    assert ended.out.endswith("then  deploystep test\n"), "gate would judge the branch that is checked out"


@pytest.mark.parametrize(
    ("config", "remote", "code", "said"),
    [
        (PLAIN.replace("\n", "\r\n"), "", 0, "deploystep run"),
        (f"{PLAIN}parameters:\n  x: {{type: string}}\n", "", 3, "has no default"),
        (f"{PLAIN}workflows: {{w: {{jobs: [tset]}}}}\n", "", 3, "refuses this config: there is no job 'tset'"),
        # beside a deploy step or a call of the API, the rule would be a second deploy of each commit
        (f"{PLAIN}      - deploy: ./ship.sh\n", "", 0, "of build: it deploys already, and this rule would too: delete"),
        (PLAIN, "git@gitlab.com:acme/shop.git", 0, "note: no API starts a pipeline of a GitLab project"),
    ],
)
def test_what_is_told_of_a_config(fresh: Fresh, config: str, remote: str, code: int, said: str) -> None:
    (fresh.folder / ".circleci").mkdir()
    (fresh.folder / ".circleci/config.yml").write_bytes(config.encode())
    if remote:
        fresh.git("remote", "add", "origin", remote)
    ended = fresh.local("init")
    assert (ended.code, said in ended.out, "P07" in ended.err) == (code, True, False), ended
    assert not (remote and "deploystep run" in ended.out)
