"""Every example is right as it stands: the rule file, the config, and that they fit each other."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from circleci_schema import CIRCLECI
from pages import ROOT, deploystep, text_of

EXAMPLES = (*sorted(p.parent for p in (ROOT / "examples").glob("*/.circleci")), ROOT)
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: "main" if path == ROOT else path.name)


def loaded(example: Path, name: str) -> Any:
    return yaml.safe_load((example / ".circleci" / name).read_text(encoding="utf-8"))


@each_example
def test_check_finds_nothing(example: Path, tmp_path: Path) -> None:
    """Workflows, jobs and parameters are those of the config; pushes start no deploy, and a deploy starts no other.

    In a folder of its own: the files of this repository are not those that an example's rules are about.
    """
    shutil.copytree(example / ".circleci", tmp_path / ".circleci")
    ran = deploystep(tmp_path, "check")
    assert ran.returncode == 0, ran.stdout
    if example.name == "old-recipe":
        assert ("[W601]" in ran.stdout, "0 errors, 1 warning\n" in ran.stdout) == (True, True), ran.stdout
    else:
        assert "nothing wrong found" in ran.stdout


@each_example
def test_the_config_is_one_that_circleci_takes(example: Path) -> None:
    """The schema knows version 2.1 only; the old recipe needs version 2, for which API v1.1 was made."""
    config = loaded(example, "config.yml")
    config["version"] = 2.1 if example.name == "old-recipe" else config["version"]
    assert [error.message for error in CIRCLECI.iter_errors(config)] == []


@each_example
def test_its_cases_pass_and_leave_nothing_out(example: Path) -> None:
    """Every rule fires in one case and not in another; every item of unless, never and freezes decides in one."""
    ran = deploystep(example, "test", "--coverage", "--json")
    assert ran.returncode == 0, ran.stdout
    document = json.loads(ran.stdout)
    assert document["cases"]
    assert document["gaps"] == []


@each_example
def test_rules_for_a_target_or_with_a_workflow_in_common_send_the_deploy_key(example: Path) -> None:
    deploys = [rule["deploy"] for rule in loaded(example, "deploy.yml")["rules"]]
    started = Counter(deploy.get("workflow") for deploy in deploys)
    needing = [deploy for deploy in deploys if "to" in deploy or started[deploy.get("workflow")] > 1]
    assert all(deploy["parameters"]["deploy_key"] == "${deploy.key}" for deploy in needing)


def test_every_example_has_a_line_in_the_list() -> None:
    text = text_of("examples/README.md")
    assert all(f"[{example.name}]" in text for example in EXAMPLES if example != ROOT)
