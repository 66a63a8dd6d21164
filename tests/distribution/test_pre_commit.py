"""The hooks, as pre-commit itself installs and runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from acceptance.process import Clone

ROOT = Path(__file__).parents[2]
#: The file is right, and its case is not: the one hook passes, the other fails.
RULES = """
    version: 1
    rules:
      - name: production
        when: {branch: main}
        deploy: {workflow: deploy}
    cases:
      - name: a branch deploys
        given: {branch: feature}
        expect: {fire: [production]}
    """


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    """A repository with what a user's pre-commit clones."""
    (tmp_path / "hooks").mkdir()
    repository = Clone(tmp_path / "hooks")
    for name in (".pre-commit-hooks.yaml", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, repository.folder)
    shutil.copytree(ROOT / "src", repository.folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    repository.git("add", "--all")
    repository.commit()
    return repository.folder


def test_the_page_names_hooks_that_there_are() -> None:
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    shown = yaml.safe_load(page.split("```yaml pre-commit\n")[1].split("```")[0])
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert [hook["id"] for hook in shown["repos"][0]["hooks"]] == [hook["id"] for hook in hooks]


def test_the_hooks_run(tmp_path: Path, hooks: Path) -> None:
    (tmp_path / "shop").mkdir()
    shop = Clone(tmp_path / "shop")
    shop.write(RULES)
    shop.commit()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "COVERAGE_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "try-repo", str(hooks), "--all-files", "--color=never"],
        cwd=shop.folder,
        env={**environ, "PRE_COMMIT_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    if "onnectionError" in said or "name resolution" in said:
        pytest.skip("no package index can be reached")
    results = {
        line.split(".")[0]: line.rpartition(".")[2] for line in said.splitlines() if line.startswith("deploystep ")
    }
    assert results == {"deploystep check": "Passed", "deploystep test": "Failed"}, said
    assert "FAIL  a branch deploys" in said
