"""What users get, made once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """deploystep.pyz, as `make dist` writes it."""
    return built(tmp_path_factory.mktemp("dist"))


def built(folder: Path) -> Path:
    target = folder / "deploystep.pyz"
    subprocess.run([sys.executable, str(ROOT / "scripts/build_pyz.py"), str(target)], check=True, capture_output=True)
    return target
