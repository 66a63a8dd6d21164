"""Every example is right as it stands: the rule file, the config, and that they fit each other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from circleci_schema import CIRCLECI

ROOT = Path(__file__).parents[2]
EXAMPLES = (*sorted(p.parent for p in (ROOT / "examples").glob("*/.circleci")), ROOT)
RELEASE = {"tag": "v1.4.0", "merged_into": ["main"], "jobs": {"test": "success"}, "now": "2026-06-16 10:00"}
HOTFIX = {"branch": "hotfix/leak", "jobs": {"test": "success"}, "now": "2026-06-19 23:00"}
PLANS: tuple[tuple[str, dict[str, Any], list[str]], ...] = (
    ("minimal", {"branch": "main"}, ["production"]),
    ("minimal", {"branch": "feature/login"}, []),
    ("minimal", {"tag": "v1.4.0"}, []),
    ("environments", {"branch": "main", "user": "anna"}, ["staging"]),
    ("environments", {"branch": "renovate/x-2", "pull_request": 9}, []),
    ("environments", {"branch": "main", "env": {"DEPLOYS_OFF": "1"}}, []),
    ("environments", RELEASE, ["production"]),
    ("environments", {**RELEASE, "jobs": {"test": "failed"}}, []),
    ("environments", {"tag": "v1.4.0-rc1"}, []),
    ("environments", {**HOTFIX, "user": "anna"}, ["hotfix"]),
    ("environments", {**HOTFIX, "user": "cleo"}, []),
    ("environments", {"branch": "feature/login", "pull_request": 42, "message": "Add login"}, ["preview"]),
    ("environments", {"branch": "feature/login"}, []),
    ("environments", {"branch": "pull/7", "pull_request": 7, "fork": True}, []),
    ("monorepo", {"branch": "main", "changed": ["services/web/index.html"]}, ["web"]),
    ("monorepo", {"branch": "main", "changed": ["libs/money.py"]}, ["api", "web"]),
    ("monorepo", {"branch": "main", "changed": ["README.md"], "env": {"PUBLISH_DOCS": "true"}}, ["docs"]),
    ("monorepo", {"branch": "feature/cart"}, []),
    ("monorepo", {"tag": "docs-v3"}, ["docs"]),
    ("old-recipe", {"branch": "release/1.4"}, ["docker"]),
    ("old-recipe", {"branch": "main"}, []),
    ("main", {"tag": "v1.2.3"}, ["release"]),
    ("main", {"tag": "v1.2.3rc1"}, []),
    ("main", {"branch": "main"}, []),
)


def called(example: Path) -> str:
    return "main" if example == ROOT else example.name


def loaded(example: Path, name: str) -> Any:
    return yaml.safe_load((example / ".circleci" / name).read_text(encoding="utf-8"))


def deploystep(example: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploystep", *arguments]
    return subprocess.run(command, cwd=example, input=stdin, capture_output=True, encoding="utf-8", check=False)


def every_rule() -> list[Any]:
    rules = ((example, rule) for example in EXAMPLES for rule in loaded(example, "deploy.yml")["rules"])
    return [pytest.param(example, rule, id=f"{called(example)}-{rule['name']}") for example, rule in rules]


@pytest.mark.parametrize("example", EXAMPLES, ids=called)
def test_check_finds_no_error(example: Path, tmp_path: Path) -> None:
    """In a folder of its own: the files of this repository are not those that an example's rules are about."""
    shutil.copytree(example / ".circleci", tmp_path / ".circleci")
    ran = deploystep(tmp_path, "check")
    assert ran.returncode == 0, ran.stdout
    assert "W601" in ran.stdout if example.name == "old-recipe" else "nothing wrong found" in ran.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=called)
def test_the_config_is_one_that_circleci_takes(example: Path) -> None:
    """The schema knows version 2.1 only; the old recipe needs version 2, for which API v1.1 was made."""
    config = loaded(example, "config.yml")
    config["version"] = 2.1 if example.name == "old-recipe" else config["version"]
    assert [error.message for error in CIRCLECI.iter_errors(config)] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=called)
def test_its_cases_pass_and_leave_nothing_out(example: Path) -> None:
    """Every rule fires in one case and not in another; every item of unless, never and freezes decides in one."""
    ran = deploystep(example, "test", "--coverage", "--json")
    assert ran.returncode == 0, ran.stdout
    document = json.loads(ran.stdout)
    assert document["cases"]
    assert document["gaps"] == []


@pytest.mark.parametrize(("name", "given", "fires"), PLANS, ids=str)
def test_plan_gives_the_rules_that_are_meant(name: str, given: dict[str, Any], fires: list[str]) -> None:
    example = ROOT if name == "main" else ROOT / "examples" / name
    ran = deploystep(example, "plan", "--json", "--given", "-", stdin=json.dumps(given))
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert [rule["name"] for rule in document["rules"] if rule["verdict"] == "fire"] == fires
    sent = {rule["name"]: rule["deploy"].get("workflow") for rule in loaded(example, "deploy.yml")["rules"]}
    started = [[w["name"] for w in t["would_run"]["workflows"]] for t in document["triggers"] if "would_run" in t]
    assert started == [[sent[rule]] for rule in fires if sent[rule]]


@pytest.mark.parametrize(("example", "rule"), every_rule())
def test_what_a_rule_names_is_in_the_config(example: Path, rule: Any) -> None:
    config, deploy = loaded(example, "config.yml"), rule["deploy"]
    assert deploy.get("job", "deploy") in config["jobs"] or "job" not in deploy
    assert deploy.get("workflow") in (None, *config["workflows"])
    for key, value in deploy.get("parameters", {}).items():
        assert fits(value, config["parameters"][key]), key


def fits(value: object, declared: Any) -> bool:
    if declared["type"] == "enum":
        return value in list(declared["enum"])
    return bool({bool: "boolean", int: "integer", str: "string"}[type(value)] == declared["type"])


@pytest.mark.parametrize("example", EXAMPLES, ids=called)
def test_rules_for_a_target_or_with_a_workflow_in_common_send_the_deploy_key(example: Path) -> None:
    """And the config uses it: a parameter that is only declared leaves no mark in what is compiled."""
    deploys = [rule["deploy"] for rule in loaded(example, "deploy.yml")["rules"]]
    started = Counter(deploy.get("workflow") for deploy in deploys)
    needing = [d for d in deploys if "to" in d or started[d.get("workflow")] > 1]
    assert all(deploy["parameters"]["deploy_key"] == "${deploy.key}" for deploy in needing)
    uses = [job.get("environment", {}).get("DEPLOY_KEY") for job in loaded(example, "config.yml")["jobs"].values()]
    assert ("<< pipeline.parameters.deploy_key >>" in uses) == bool(needing)


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.name != "old-recipe"], ids=called)
def test_a_push_runs_the_build_alone(example: Path) -> None:
    assert running(loaded(example, "config.yml"), {}) == ["build"]


@pytest.mark.parametrize(("example", "rule"), [p for p in every_rule() if "workflow" in p.values[1]["deploy"]])
def test_a_deploy_runs_its_workflow_alone(example: Path, rule: Any) -> None:
    deploy = rule["deploy"]
    assert running(loaded(example, "config.yml"), deploy["parameters"]) == [deploy["workflow"]]


def running(config: Any, sent: dict[str, Any]) -> list[str]:
    """The workflows that CircleCI would run with these parameters."""
    values = {key: declared["default"] for key, declared in config["parameters"].items()} | sent
    return [
        name
        for name, workflow in config["workflows"].items()
        if is_true(workflow.get("when", True), values) and not is_true(workflow.get("unless", False), values)
    ]


def is_true(condition: Any, values: dict[str, Any]) -> bool:
    if isinstance(condition, dict):
        ((operator, operands),) = condition.items()
        assert operator == "equal"
        filled = [value_of(operand, values) for operand in operands]
        return all(operand == filled[0] for operand in filled)
    return bool(value_of(condition, values))


def value_of(text: Any, values: dict[str, Any]) -> Any:
    if isinstance(text, str) and text.startswith("<<"):
        return values[text.strip("<> ").removeprefix("pipeline.parameters.")]
    return text


@pytest.mark.parametrize("example", EXAMPLES, ids=called)
def test_the_build_has_the_step_and_the_deploy_has_not(example: Path) -> None:
    """Nothing but the step may start a deploy, and a deploy must not start another."""
    config = loaded(example, "config.yml")
    deciding = {name for name, job in config["jobs"].items() if any(is_step(step) for step in job["steps"])}
    started = {next(iter(job)) if isinstance(job, dict) else job for job in config["workflows"]["build"]["jobs"]}
    assert len(deciding) == 1
    assert deciding <= started
    others = [w for name, w in config["workflows"].items() if name not in ("build", "version")]
    assert not any(deciding & {next(iter(job)) if isinstance(job, dict) else job} for w in others for job in w["jobs"])


def is_step(step: Any) -> bool:
    return isinstance(step, dict) and str(step.get("run", "")).startswith("deploystep run")


def test_every_example_has_a_line_in_the_list() -> None:
    text = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    assert all(f"[{example.name}]" in text for example in EXAMPLES if example != ROOT)
