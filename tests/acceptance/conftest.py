"""A project folder with rules in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.process import Clone, Project, sandbox, triggers

from deploystep.sandbox import Sandbox


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    folder = tmp_path / "clone"
    folder.mkdir()
    return Clone(folder)


@pytest.fixture
def circleci() -> Iterator[Sandbox]:
    """The stand-in for CircleCI; whatever a test did to it, at most one trigger was accepted."""
    with sandbox() as started:
        yield started
        accepted = [r for r in triggers(started) if r.status is not None and r.status < 300]
        assert len(accepted) <= 1, accepted
