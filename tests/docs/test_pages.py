"""What the pages show is what the product does: tables, output, rule files, configs, links."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from circleci_schema import CIRCLECI

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples/README.md")
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
DEPLOY = "deploy: {workflow: deploy, parameters: {deploy: true}}"
RULE = f"- name: example\n  when: {{branch: main}}\n  {DEPLOY}\n"
JOB = "docker: [{image: cimg/base:current}]"


def of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(language: str) -> Iterator[tuple[str, str, str]]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for fence in FENCE.finditer(text):
            if fence[1] == language:
                line = text.count("\n", 0, fence.start()) + 1
                yield f"{of(page)}:{line}", fence[2].strip(), textwrap.dedent(fence[3])


def is_rules(text: str) -> bool:
    return re.match(r"(#.*\n)*(version: 1$|- name:|(never|targets|windows|freezes):)", text, re.MULTILINE) is not None


def as_file(text: str) -> str:
    """A whole rule file, around what a page shows of one."""
    if text.startswith("version:"):
        return text
    if text.startswith("- name:"):
        return "version: 1\nrules:\n" + textwrap.indent(text, "  ")
    rule = RULE.replace("workflow: deploy", "to: deployer") if text.startswith("targets:") else RULE
    return f"version: 1\n{text}rules:\n" + textwrap.indent(rule, "  ")


def as_config(text: str) -> str:
    """A whole CircleCI config, around what a page shows of one."""
    text = text.removeprefix("# before\n").removeprefix("# after\n")
    if text.startswith("version:"):
        return text
    if text.startswith("jobs:"):
        return "version: 2.1\n" + text
    steps = text if text.startswith("steps:") else "steps:\n" + textwrap.indent(text, "  ")
    return f"version: 2.1\njobs:\n  test:\n    {JOB}\n" + textwrap.indent(steps, "    ")


YAML = tuple(blocks("yaml"))
RULES = [pytest.param(info, text, id=where) for where, info, text in YAML if is_rules(text)]
CONFIGS = [pytest.param(text, id=where) for where, info, text in YAML if not is_rules(text) and info != "pre-commit"]


@pytest.mark.parametrize(("info", "text"), RULES)
def test_a_rule_file_in_a_page_is_right_or_is_marked_as_wrong(info: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "deploy.yml").write_text(as_file(text), encoding="utf-8")
    command = [sys.executable, "-m", "deploystep", "check", "--rules", "deploy.yml"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == (3 if info == "wrong" else 0), ran.stdout + ran.stderr


@pytest.mark.parametrize("text", CONFIGS)
def test_a_config_in_a_page_is_one_that_circleci_takes(text: str) -> None:
    assert [error.message for error in CIRCLECI.iter_errors(yaml.safe_load(as_config(text)))] == []


def test_the_pages_hold_rule_files_and_configs() -> None:
    """An expression that finds no block would make every test above pass."""
    assert len(RULES) > 10
    assert len(CONFIGS) > 3
    assert all(yaml.safe_load(text) for _, _, text in YAML)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if re.search("<!-- generated|```console", p.read_text("utf-8"))], ids=of
)
def test_tables_and_output_in_a_page_are_current(page: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/docs.py"), str(page)]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        assert not heading or heading in headings(target), link


def headings(page: Path) -> set[str]:
    lines = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in lines}


def test_the_architecture_names_modules_that_are_there() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:cli|app|circleci|core|rulefile|project|adapters|render|sandbox)/\w+)(?:\.py)?`", text)
    assert len(named) > 30
    source = ROOT / "src/deploystep"
    assert [name for name in named if not ((source / f"{name}.py").exists() or (source / name).is_dir())] == []
