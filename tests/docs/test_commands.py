"""What pages tell people to type is typed, and does what they say."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from acceptance.process import Clone
from builds import environ
from pages import blocks, deploystep, sections, text_of, typed

from deploystep.app.report import GateOutcome

# The README's two paths lead to a run in the sandbox, and are soon read

README = text_of("README.md")
NOTHING, FORMER = "From nothing", "From the deploy step or curl"
PATHS = sections(README)
PROJECT = "https://circleci.com/api/v1.1/project/github/$CIRCLE_PROJECT_USERNAME/$CIRCLE_PROJECT_REPONAME"
CURL = f"""\
version: 2
jobs:
  build:
    docker: [{{image: cimg/base:current}}]
    steps:
      - checkout
      - run: ./run-tests.sh
      - run: |
          if [ "$CIRCLE_BRANCH" = main ]; then
            curl -u "$CIRCLE_API_USER_TOKEN:" -d "build_parameters[CIRCLE_JOB]=publish" \\
              "{PROJECT}/tree/$CIRCLE_BRANCH"
          fi
  publish: {{docker: [{{image: cimg/base:current}}], steps: [checkout, run: ./publish.sh]}}
"""
DEPLOY_STEP = """\
version: 2.1
jobs:
  build:
    docker: [{image: cimg/base:current}]
    parallelism: 4
    steps:
      - checkout
      - deploy: {command: 'if [ "$CIRCLE_BRANCH" = main ]; then ./deploy.sh; fi'}
"""


@pytest.mark.parametrize(
    ("heading", "config", "said"),
    [
        # from an empty repository, without a commit
        (NOTHING, "", ["3 passed, 0 failed", "= not sent: this is a dry run", "= triggered: http://127.0.0.1:"]),
        (FORMER, CURL, ["= triggered: http://127.0.0.1:"]),
        (FORMER, DEPLOY_STEP, ["gate only"]),
    ],
    ids=["nothing", "curl", "step"],
)
def test_a_path_of_the_readme(heading: str, config: str, said: list[str], tmp_path: Path) -> None:
    names = {f"GIT_{who}_{what}": "x@acme.dev" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    shop = tmp_path / "shop"
    (shop / ".circleci").mkdir(parents=True)
    assert typed("git init --quiet --initial-branch=main", shop).returncode == 0
    if config:
        (shop / ".circleci/config.yml").write_text(config, encoding="utf-8")
        assert typed("git add .circleci && git commit --quiet -m 'As it was'", shop, **names).returncode == 0
    (commands,) = blocks(PATHS[heading], "sh")
    (tmp_path / "typed.sh").write_text(commands, encoding="utf-8")
    ran = typed("sh -e ../typed.sh 2>&1", shop, **names)
    assert ran.returncode == 0, ran.stdout
    assert [words for words in said if words not in ran.stdout] == []


@pytest.mark.parametrize("heading", [NOTHING, FORMER])
def test_a_path_is_read_in_two_minutes(heading: str) -> None:
    """With all that comes before the first of the two, at 200 words a minute."""
    text = README.partition(f"\n## {NOTHING}\n")[0] + PATHS[heading]
    assert len(text.split()) < 400, len(text.split())
    assert len(README.splitlines()) < 150


# The page about `gate`: each of its steps deploys where it is due

GATE = text_of("docs/gate.md")
STEPS = [*blocks(GATE, "sh"), *re.findall(r"^      - run: (deploystep .*)$", GATE, re.MULTILINE)]
GATE_RULES = next(text for text in blocks(GATE, "yaml") if "version" in text)


@pytest.mark.parametrize("branch", ["main", "feature"])
@pytest.mark.parametrize("step", STEPS)
def test_a_step_with_gate_deploys_where_it_is_due(step: str, branch: str, tmp_path: Path) -> None:
    (tmp_path / ".circleci").mkdir()
    (tmp_path / ".circleci/deploy.yml").write_text(GATE_RULES, encoding="utf-8")
    for name in ("build", "deploy"):
        (tmp_path / f"{name}.sh").write_text(f"#!/bin/sh\necho {name} >> done\n", encoding="utf-8")
        (tmp_path / f"{name}.sh").chmod(0o755)
    (tmp_path / "done").touch()
    ran = typed(step, tmp_path, **environ(CIRCLE_BRANCH=branch))
    assert ran.returncode == 0, ran.stderr
    wanted = ["build", "deploy"] if "build.sh" in step else ["deploy"]
    assert (tmp_path / "done").read_text(encoding="utf-8").split() == (wanted if branch == "main" else [])
    if "DEPLOYSTEP_OUTCOME" in step:
        assert ("deployed" in ran.stdout.splitlines()) is (branch == "main")


def test_the_page_about_gate_holds_steps_and_every_outcome() -> None:
    assert len(STEPS) == 4
    assert [o.value for o in GateOutcome if f"`{o.value}`" not in GATE] == []


# The page about the sandbox: the exit code of each fault, with the sandbox in a process of its own

PROMISED = re.findall(r"--fault (\S+) +# .*exit code (\d+)", text_of("docs/sandbox.md"))


@pytest.mark.parametrize(("fault", "code"), PROMISED)
def test_a_fault_ends_the_step_as_the_page_says(fault: str, code: str, tmp_path: Path) -> None:
    assert len(PROMISED) == 4
    clone = Clone(tmp_path)
    clone.git("remote", "set-url", "origin", "git@github.com:acme/shop.git")
    clone.commit()
    command = [sys.executable, "-m", "deploystep", "sandbox", "--json", "--fault", fault]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        ended = clone.run(("run", "--outside-ci", "--confirm", "2s"), {}, server=url, ci=False)
        process.terminate()
    assert ended.code == int(code), ended.err


# The recipes: rules and config fit, rules fire where they should, markers are where they belong

RECIPES = {heading: blocks(text, "yaml") for heading, text in sections(text_of("docs/recipes.md")).items()}


def test_the_monorepo_s_rules_fit_its_config(tmp_path: Path) -> None:
    (tmp_path / ".circleci").mkdir()
    for name, text in zip(("deploy", "config"), RECIPES["A monorepo with many services"], strict=True):
        (tmp_path / f".circleci/{name}.yml").write_text(text, encoding="utf-8")
    done = deploystep(tmp_path, "check")
    assert done.returncode == 0, done.stdout
    assert not re.search(r"\[(P|E|W31)\d", done.stdout), done.stdout


@pytest.mark.parametrize(
    ("heading", "branch", "verdicts"),
    [
        ("Merge queues", "gh-readonly-queue/main/pr-7-4f2c1aa", ["no", "no"]),
        ("Merge queues", "main", ["no", "fire"]),
        ("Merge queues", "feature/login", ["fire", "no"]),
        ("Bots", "renovate/all", ["no"]),
        ("Bots", "main", ["fire"]),
    ],
)
def test_the_rules_fire_where_the_page_says(heading: str, branch: str, verdicts: list[str], tmp_path: Path) -> None:
    (text,) = RECIPES[heading]
    main = "- name: production\n  when: {branch: main}\n  deploy: {workflow: deploy, parameters: {deploy: true}}\n"
    rules = f"version: 1\nrules:\n{text}{main}" if text.startswith("- ") else f"version: 1\n{text}rules:\n{main}"
    (tmp_path / "deploy.yml").write_text(rules, encoding="utf-8")
    done = deploystep(tmp_path, "plan", "--rules", "deploy.yml", "--given", "-", "--json", stdin=f"branch: {branch}\n")
    assert [rule["verdict"] for rule in json.loads(done.stdout)["rules"]] == verdicts


def test_markers_are_in_the_job_that_deploys_and_never_beside_the_step_that_decides() -> None:
    config, gate = RECIPES["Deploy markers"]
    commands = str(yaml.safe_load(config)["jobs"]["deploy"]["steps"])
    assert "/usr/bin/circleci run release plan" in commands
    assert commands.index("release plan") < commands.index("./deploy.sh") < commands.index("release update")
    assert ("deploystep" in config, "release" in gate) == (False, False)
