"""The README's two paths lead to a run in the sandbox, command by command as they stand there, and are soon read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploystep.app.options import COMMANDS

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
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
  publish:
    docker: [{{image: cimg/base:current}}]
    steps:
      - checkout
      - run: ./publish.sh
"""
DEPLOY_STEP = """\
version: 2.1
jobs:
  build:
    docker: [{image: cimg/base:current}]
    parallelism: 4
    steps:
      - checkout
      - run: ./run-tests.sh
      - deploy:
          command: |
            if [ "$CIRCLE_BRANCH" = main ]; then
              ./deploy.sh
            fi
"""


def section(heading: str) -> str:
    return README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def walked(heading: str, folder: Path) -> str:
    """What the path's commands print, executed one after the other; one that fails ends it."""
    commands = re.search(r"^```sh\n(.*?)^```$", section(heading), re.DOTALL | re.MULTILINE)
    assert commands is not None
    environ = {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "HOME": str(folder),
        **{f"GIT_{who}_{what}": "x@acme.dev" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    ran = subprocess.run(
        ["/bin/sh", "-e", "-c", f"exec 2>&1\n{commands[1]}"],
        cwd=folder, env=environ, capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def repository(folder: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(folder)], check=True)
    return folder


def test_from_nothing(tmp_path: Path) -> None:
    """From an empty repository, without a commit."""
    said = walked("From nothing", repository(tmp_path / "shop"))
    assert "3 passed, 0 failed" in said
    assert "= not sent: this is a dry run" in said
    assert "= triggered: http://127.0.0.1:" in said


@pytest.mark.skipif("migrate" not in COMMANDS, reason="this version has no command migrate")
@pytest.mark.parametrize(
    ("config", "said_at_last"),
    [(CURL, "= triggered: http://127.0.0.1:"), (DEPLOY_STEP, "gate only")],
    ids=["curl", "step"],
)
def test_from_the_deploy_step_or_curl(config: str, said_at_last: str, tmp_path: Path) -> None:
    shop = repository(tmp_path / "shop")
    (shop / ".circleci").mkdir()
    (shop / ".circleci/config.yml").write_text(config, encoding="utf-8")
    subprocess.run(["git", "add", "."], cwd=shop, check=True)
    name = ["-c", "user.name=x", "-c", "user.email=x@acme.dev"]
    subprocess.run(["git", *name, "commit", "--quiet", "-m", "As it was"], cwd=shop, check=True)
    assert said_at_last in walked("From the deploy step or curl", shop)


@pytest.mark.parametrize("heading", ["From nothing", "From the deploy step or curl"])
def test_a_path_is_read_in_two_minutes(heading: str) -> None:
    """With all that comes before the first of the two, at 200 words a minute."""
    text = README.partition("\n## From nothing\n")[0] + section(heading)
    assert len(text.split()) < 400, len(text.split())


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 150
