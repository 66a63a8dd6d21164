"""The recipes hold what they say: rules and config fit, rules fire where they should, markers are where they belong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PAGE = (Path(__file__).parents[2] / "docs/recipes.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def blocks(heading: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", SECTIONS[heading], re.DOTALL | re.MULTILINE)


def ran(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploystep", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)


def test_the_monorepo_s_rules_fit_its_config(tmp_path: Path) -> None:
    rules, config = blocks("A monorepo with many services")
    (tmp_path / ".circleci").mkdir()
    (tmp_path / ".circleci/deploy.yml").write_text(rules, "utf-8")
    (tmp_path / ".circleci/config.yml").write_text(config, "utf-8")
    done = ran(tmp_path, "check")
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
    (text,) = blocks(heading)
    main = "- name: production\n  when: {branch: main}\n  deploy: {workflow: deploy, parameters: {deploy: true}}\n"
    rules = f"version: 1\nrules:\n{text}{main}" if text.startswith("- ") else f"version: 1\n{text}rules:\n{main}"
    (tmp_path / "deploy.yml").write_text(rules, "utf-8")
    (tmp_path / "given.yml").write_text(f"branch: {branch}\n", "utf-8")
    done = ran(tmp_path, "plan", "--rules", "deploy.yml", "--given", "given.yml", "--json")
    assert [rule["verdict"] for rule in yaml.safe_load(done.stdout)["rules"]] == verdicts


def test_markers_are_in_the_job_that_deploys_and_never_beside_the_step_that_decides() -> None:
    config, gate = blocks("Deploy markers")
    commands = str(yaml.safe_load(config)["jobs"]["deploy"]["steps"])
    assert "/usr/bin/circleci run release plan" in commands
    assert commands.index("release plan") < commands.index("./deploy.sh") < commands.index("release update")
    assert "deploystep" not in config
    assert "release" not in gate
