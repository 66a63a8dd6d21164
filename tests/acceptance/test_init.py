"""`init` as a process in real repositories: what it writes passes `check` and `test`, and it overwrites nothing."""

from pathlib import Path

import pytest
from acceptance.process import Clone, Ended

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
CONFIG = ".circleci/config.yml"


class Fresh(Clone):
    """A repository without rules, and until something is committed without a commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def local(self, *arguments: str) -> Ended:
        return self.run(arguments, {"CIRCLE_TOKEN": None}, ci=False)

    def rules(self, path: str = ".circleci/deploy.yml") -> str:
        return (self.folder / path).read_text(encoding="utf-8")

    def configured(self, text: str) -> None:
        self.write(text, CONFIG)
        self.commit(CONFIG)


@pytest.fixture
def fresh(tmp_path: Path) -> Fresh:
    made = Fresh(tmp_path / "shop")
    made.git("init", "--quiet", "--initial-branch=main")
    return made


def test_from_nothing_to_a_run_in_the_sandbox(fresh: Fresh) -> None:
    """No commit, no remote, no config."""
    ended = fresh.local("init")
    assert ended.code == 0, ended
    assert ".circleci/deploy.yml is written: a rule for branch main, and its cases" in ended.out
    assert "there is no .circleci/config.yml yet: write this to it\nversion: 2.1\n" in ended.out
    assert ".circleci/deploy.yml: nothing wrong found" in ended.out
    assert "needs a commit: commit .circleci first" in ended.out
    fresh.write(ended.out.partition("write this to it\n")[2].partition("\n\n$")[0], CONFIG)
    fresh.git("add", ".")
    fresh.git("commit", "--quiet", "-m", "x")
    assert [fresh.local(command).code for command in ("check", "test", "plan")] == [0, 0, 0]
    assert "nothing wrong found" in fresh.local("check", "--strict").out
    assert "would run: workflow deploy: deploy" in fresh.local("plan").out
    ran = fresh.local("run", "--sandbox")
    assert (ran.code, "= triggered" in ran.out) == (0, True), ran


def test_with_the_lines_a_config_is_right(fresh: Fresh) -> None:
    fresh.configured(PLAIN)
    document = fresh.local("init", "--json").json
    assert (document["init"]["rules"], document["exit"]["code"]) == (".circleci/deploy.yml", 0)
    assert (document["diagnostics"], [rule["verdict"] for rule in document["rules"]]) == ([], ["fire"])
    (fresh.folder / ".circleci/deploy.yml").unlink()
    ended = fresh.local("init")
    assert ended.code == 0, ended
    assert document["init"]["config"] in f"{ended.out}\n"
    assert "would run: workflow deploy: deploy" in ended.out
    assert fresh.local("check").code == 3, "the lines are not there yet"
    lines = document["init"]["config"].removeprefix("version: 2.1\n")
    fresh.write(f"version: 2.1\n{lines.replace('jobs:', PLAIN.partition(chr(10))[2].rstrip(), 1)}", CONFIG)
    checked = fresh.local("check", "--strict")
    assert (checked.code, "nothing wrong found" in checked.out) == (0, True), checked


def test_a_gate_that_is_there_is_used(fresh: Fresh) -> None:
    fresh.configured(GATED)
    ended = fresh.local("init")
    assert (ended.code, ".circleci/config.yml is left as it is\n" in ended.out) == (0, True), ended
    assert "release: true # opens the gate" in fresh.rules()
    assert fresh.local("check", "--strict").code == fresh.local("test", "--coverage").code == 0


def test_what_the_repository_tells(tmp_path: Path) -> None:
    """A clone of a repository on master, on a detached head, in a subfolder."""
    origin, clone = Fresh(tmp_path / "origin"), Fresh(tmp_path / "clone")
    origin.git("init", "--quiet", "--initial-branch=master")
    origin.commit("a")
    origin.git("tag", "v1.0")
    origin.git("clone", "--quiet", str(origin.folder), str(clone.folder))
    clone.git("checkout", "--quiet", "--detach")
    clone.git("remote", "set-url", "origin", "git@github.com:acme/shop.git")
    deep = Fresh(clone.folder / "deep")
    ended = deep.local("init")
    assert ended.code == 0, ended
    assert ended.out.startswith(".circleci/deploy.yml is written: a rule for branch master")
    assert "paths are from the root of the clone: ../" in ended.err
    assert "fire  production  branch master" in ended.out
    assert "# Which builds of acme/shop deploy" in clone.rules()
    assert "tag (such as v1.0)" in clone.rules()
    assert deep.local("check").code == deep.local("test").code == 0


@pytest.mark.parametrize("branch", ["feature/x", "main"])
def test_the_default_branch_where_no_remote_tells_it(fresh: Fresh, branch: str) -> None:
    fresh.git("symbolic-ref", "HEAD", "refs/heads/base")
    fresh.commit("a")
    fresh.git("checkout", "-b", branch)
    fresh.local("init")
    assert f"when: {{branch: {branch}}}" in fresh.rules()


def test_it_overwrites_nothing(fresh: Fresh) -> None:
    fresh.write("mine\n")
    ended = fresh.local("init")
    assert (ended.code, fresh.rules()) == (2, "mine\n")
    assert "error[file-exists]: .circleci/deploy.yml is there already, and is not overwritten" in ended.err
    assert "hint: " in ended.err
    below = Fresh(fresh.folder / "below")
    assert "error[file-exists]: .circleci/deploy.yml is there already" in below.local("init").err
    assert not (below.folder / ".circleci").exists()
    other = fresh.local("init", "--rules", "ci/rules.yml")
    assert (other.code, other.out.startswith("ci/rules.yml is written")) == (0, True), other
    assert fresh.local("check", "--rules", "ci/rules.yml").code == 0
    fresh.write("in the way", "file")
    assert fresh.local("init", "--rules", "file/rules.yml").code == 2


def test_rules_in_a_folder_below_are_named_from_the_root(fresh: Fresh) -> None:
    """A build's step runs at the root of the checkout, and needs to be told where they are."""
    below = Fresh(fresh.folder / "services/api")
    ended = below.local("init", "--rules", "deploy.yml")
    assert ended.out.startswith("services/api/deploy.yml is written")
    assert "\n      - run: deploystep run --rules services/api/deploy.yml\n" in ended.out
    assert "# After a change:  deploystep check --rules services/api/deploy.yml && " in below.rules("deploy.yml")


def test_outside_of_a_clone(tmp_path: Path) -> None:
    ended = Fresh(tmp_path).local("init")
    assert (ended.code, "git init" in ended.err) == (4, True)
    assert not (tmp_path / ".circleci").exists()


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
    fresh.configured(f"{job}workflows:\n  w:\n    jobs: [release: {{filters: {filters}}}]\n")
    ended = fresh.local("init")
    assert (ended.code, "$ deploystep plan --branch main\n" in ended.out) == (0, True), ended
    (fresh.folder / ".circleci/deploy.yml").unlink()
    fresh.git("tag", "v1.2.0")
    ended = fresh.local("init")
    assert "$ deploystep plan --tag v1.2.0\n" in ended.out
    assert "fire  production  gate only: tag v1.2.0 matches" in ended.out
    assert 'name: "v1.2.0 deploys the commit that was tested"' in fresh.rules()


@pytest.mark.parametrize(
    ("config", "remote", "code", "said"),
    [
        (PLAIN.replace("\n", "\r\n"), "", 0, "deploystep run"),
        (f"{PLAIN}parameters:\n  x: {{type: string}}\n", "", 3, "has no default"),
        (f"{PLAIN}workflows: {{w: {{jobs: [tset]}}}}\n", "", 3, "refuses this config: there is no job 'tset'"),
        (f"{PLAIN}workflows: {{w: {{when: false, jobs: [build]}}}}\n", "", 0, "runs for a push to main: let one run"),
        # beside a deploy step or a call of the API, the rule would be a second deploy of each commit
        (f"{PLAIN}      - deploy: ./ship.sh\n", "", 0, "of build: it deploys already, and this rule would too: delete"),
        (PLAIN, "git@gitlab.com:acme/shop.git", 0, "note: no API starts a pipeline of a GitLab project"),
    ],
)
def test_what_is_told_of_a_config(fresh: Fresh, config: str, remote: str, code: int, said: str) -> None:
    (fresh.folder / ".circleci").mkdir()
    (fresh.folder / CONFIG).write_bytes(config.encode())
    if remote:
        fresh.git("remote", "add", "origin", remote)
    ended = fresh.local("init")
    assert (ended.code, said in ended.out, "P07" in ended.err) == (code, True, False), ended
    assert not (remote and "deploystep run" in ended.out)
