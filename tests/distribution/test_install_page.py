"""What docs/install.md says of the one file, typed and as a step."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from distribution.conftest import ROOT, served

from deploystep import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (ROOT / "docs/install.md").read_text(encoding="utf-8")
SECTION = PAGE.split("\n## One file\n")[1].split("\n## ")[0]


def block(language: str) -> str:
    return SECTION.split(f"```{language}\n")[1].split("```")[0]


@pytest.fixture
def url(pyz: Path) -> Iterator[str]:
    if missing := [name for name in ("curl", "sha256sum") if shutil.which(name) is None]:
        pytest.skip(f"{' and '.join(missing)} are not installed here")
    with served(partial(SimpleHTTPRequestHandler, directory=str(pyz.parent))) as address:
        yield address


def ran(script: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """As CircleCI runs the command of a step."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(folder), "BASH_ENV": str(folder / "bash-env"), **more}
    command = ["bash", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_what_the_page_types_works(tmp_path: Path, url: str) -> None:
    done = ran(block("sh"), tmp_path, URL=url)
    assert done.stdout == f"deploystep.pyz: OK\ndeploystep {__version__}\n", done.stderr


@pytest.mark.parametrize("is_right", [True, False])
def test_the_step_of_the_page_installs_the_right_file_only(
    tmp_path: Path, url: str, pyz: Path, *, is_right: bool
) -> None:
    install = yaml.safe_load(block("yaml"))["jobs"]["test"]["steps"][-2]["run"]
    assert list(install["environment"]) == ["PYZ_SHA256"]
    digest = hashlib.sha256(pyz.read_bytes()).hexdigest() if is_right else "0" * 64
    script = install["command"].replace("/tmp/", f"{tmp_path}/")  # noqa: S108 - other tests may run beside this one
    done = ran(script, tmp_path, PYZ_URL=f"{url}/deploystep.pyz", PYZ_SHA256=digest)
    installed = tmp_path / ".local/bin/deploystep"
    assert (done.returncode == 0, installed.exists()) == (is_right, is_right)
    if is_right:
        then = ran("command -v deploystep; deploystep --version", tmp_path)
        assert then.stdout == f"{installed}\ndeploystep {__version__}\n", then.stderr
