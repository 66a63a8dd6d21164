"""What linters find in the files that are shipped beside the package."""

import subprocess
import sys
from pathlib import Path

import pytest
from distribution.conftest import ROOT

from deploystep.cli.args import SCRIPTS


@pytest.mark.parametrize(
    "command",
    [
        "hadolint Dockerfile",
        "yamllint --strict -c orb/.yamllint orb",
        "shellcheck orb/src/scripts/install.sh orb/src/scripts/deploystep.sh",
        "shellcheck -s bash -",  # completion for bash
    ],
)
def test_linters_find_nothing(command: str) -> None:
    name, *words = command.split()
    line = [str(Path(sys.executable).with_name(name)), *words]
    done = subprocess.run(line, cwd=ROOT, input=SCRIPTS["bash"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
