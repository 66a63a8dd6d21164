"""Every shell block of the page about `gate` is executed as a step of a build, as CircleCI executes it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from builds import environ

from deploystep.app.report import GateOutcome

PAGE = (Path(__file__).parents[2] / "docs/gate.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
STEPS = re.findall(r"^      - run: (deploystep .*)$", PAGE, re.MULTILINE)
RULES = next(text for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE) if "version" in text)


@pytest.mark.parametrize("branch", ["main", "feature"])
@pytest.mark.parametrize("step", [*BLOCKS, *STEPS])
def test_a_step_of_the_page_deploys_where_it_is_due(step: str, branch: str, tmp_path: Path) -> None:
    (tmp_path / ".circleci").mkdir()
    (tmp_path / ".circleci/deploy.yml").write_text(RULES, "utf-8")
    for name in ("build", "deploy"):
        (tmp_path / f"{name}.sh").write_text(f"#!/bin/sh\necho {name} >> done\n", "utf-8")
        (tmp_path / f"{name}.sh").chmod(0o755)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    variables = {"PATH": path, "BASH_ENV": str(tmp_path / "env"), **environ(CIRCLE_BRANCH=branch)}
    (tmp_path / "env").touch()
    command = ["bash", "-eo", "pipefail", "-c", step]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    wanted = ["build", "deploy"] if "build.sh" in step else ["deploy"]
    found = (tmp_path / "done").read_text("utf-8").split() if (tmp_path / "done").exists() else []
    assert found == (wanted if branch == "main" else [])
    if "DEPLOYSTEP_OUTCOME" in step:
        assert ("deployed" in done.stdout.splitlines()) is (branch == "main")


def test_the_page_holds_steps_and_every_outcome() -> None:
    assert (len(BLOCKS), len(STEPS)) == (3, 1)
    assert [o.value for o in GateOutcome if f"`{o.value}`" not in PAGE] == []
