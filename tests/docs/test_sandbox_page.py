"""The exit codes that the sandbox's page promises, with the sandbox in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/sandbox.md").read_text(encoding="utf-8")
PROMISED = re.findall(r"--fault (\S+) +# .*exit code (\d+)", PAGE)
DEPLOYSTEP = (sys.executable, "-m", "deploystep")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / ".circleci").mkdir()
    rules = (ROOT / "examples/minimal/.circleci/deploy.yml").read_text(encoding="utf-8")
    (tmp_path / ".circleci/deploy.yml").write_text(rules, encoding="utf-8")
    anna = ("-c", "user.name=Anna", "-c", "user.email=anna@acme.dev")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("remote", "add", "origin", "git@github.com:acme/shop.git"),
        ("add", "."),
        (*anna, "commit", "--quiet", "--message", "Add the shop"),
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


@pytest.fixture
def address(clone: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    command = [*DEPLOYSTEP, "sandbox", "--json", "--fault", request.param]
    with subprocess.Popen(command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.terminate()


@pytest.mark.parametrize(("address", "code"), PROMISED, indirect=["address"])
def test_a_fault_ends_the_step_as_the_page_says(address: str, code: str, clone: Path) -> None:
    command = [*DEPLOYSTEP, "run", "--outside-ci", "--host", address, "--confirm", "2s"]
    ran = subprocess.run(command, cwd=clone, env={**os.environ, "CIRCLE_TOKEN": "any-token"}, check=False)

    assert ran.returncode == int(code)


def test_the_page_promises_something() -> None:
    assert len(PROMISED) == 4
