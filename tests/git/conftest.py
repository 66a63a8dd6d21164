"""A remote for the tests of git."""

import shutil
from pathlib import Path

import pytest
from repos import Repo, new


@pytest.fixture(scope="session")
def two_commits(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    made = new(tmp_path_factory.mktemp("made") / "origin")
    made.commit("README.md", "src/app.py")
    made.commit("src/app.py")
    return made


@pytest.fixture
def repo(tmp_path: Path, two_commits: Repo) -> Repo:
    """The remote, with two commits on main."""
    shutil.copytree(two_commits.folder, tmp_path / "origin")
    return Repo(tmp_path / "origin", commits=2)
