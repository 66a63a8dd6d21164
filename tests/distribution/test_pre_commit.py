"""The hooks, as pre-commit itself installs and runs them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance.process import Clone
from distribution.conftest import ROOT

#: The file is right, and its case is not: the one hook passes, the other fails.
RULES = """
    version: 1
    rules: [{name: production, when: {branch: main}, deploy: {workflow: deploy}}]
    cases: [{name: a branch deploys, given: {branch: feature}, expect: {fire: [production]}}]
    """


def test_the_hooks_run(tmp_path: Path) -> None:
    hooks, shop = Clone(tmp_path / "hooks"), Clone(tmp_path / "shop")
    for name in (".pre-commit-hooks.yaml", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, hooks.folder)
    shutil.copytree(ROOT / "src", hooks.folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    hooks.git("add", "--all")
    hooks.commit()
    shop.write(RULES)
    shop.commit()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "COVERAGE_"))}
    environ["PRE_COMMIT_HOME"] = str(tmp_path / "cache")
    command = [sys.executable, "-m", "pre_commit", "try-repo", str(hooks.folder), "--all-files", "--color=never"]
    done = subprocess.run(command, cwd=shop.folder, env=environ, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if "onnectionError" in said or "name resolution" in said:
        pytest.skip("no package index can be reached")
    lines = [line for line in said.splitlines() if line.startswith("deploystep ")]
    results = {line.split(".")[0]: line.rpartition(".")[2] for line in lines}
    assert results == {"deploystep check": "Passed", "deploystep test": "Failed"}, said
    assert "FAIL  a branch deploys" in said
