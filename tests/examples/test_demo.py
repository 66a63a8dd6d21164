"""The demo proves what it shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parents[2] / "scripts/demo.py"


def test_the_demo_ends_well_and_shows_every_scene() -> None:
    ran = subprocess.run([sys.executable, str(DEMO)], capture_output=True, encoding="utf-8", timeout=120, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""
    assert all(f"\n{number}. " in ran.stdout for number in range(1, 5))
