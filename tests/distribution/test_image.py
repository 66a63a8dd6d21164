"""The image: small, of what its context holds, and built where docker is."""

import re
import shutil
import subprocess

import pytest
from distribution.conftest import ROOT

from deploystep import __version__


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_it_is_slim_nobody_is_root_and_all_that_is_copied_is_in_the_context() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"python:3.14-slim"}
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1:] == ["3434"]
    copied = {word for line in re.findall(r"^COPY ([^-\n]+) \S+$", text, re.MULTILINE) for word in line.split()}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_it_is_built_and_runs() -> None:
    if shutil.which("docker") is None or docker("info").returncode:
        pytest.skip("no docker daemon is here")
    built = docker("build", "--quiet", ".")
    assert built.returncode == 0, built.stderr
    assert docker("run", "--rm", built.stdout.strip(), "--version").stdout == f"deploystep {__version__}\n"
    assert docker("run", "--rm", "--entrypoint", "id", built.stdout.strip(), "-un").stdout == "circleci\n"
