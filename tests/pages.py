"""What the pages hold, and what is typed as they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """What stands under each heading of the second level."""
    return dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def typed(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script as CircleCI runs the command of a step, where `deploystep` is on PATH."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environ = {"PATH": path, "HOME": str(folder), "BASH_ENV": str(folder / "bash-env"), **variables}
    (folder / "bash-env").touch()
    command = ["bash", "-eo", "pipefail", "-c", script]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, encoding="utf-8", timeout=120, check=False
    )


def deploystep(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploystep", *arguments]
    return subprocess.run(command, cwd=folder, input=stdin, capture_output=True, encoding="utf-8", check=False)
