"""Files of a project are replaced as a whole, whatever comes between."""

import os
from pathlib import Path

import pytest

from deploystep.adapters.git import GitRepository
from deploystep.adapters.tree import ProjectTree


def test_an_interruption_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.yml").write_text("old", encoding="utf-8")
    tree = ProjectTree(tmp_path, (), "deploy.yml", GitRepository(tmp_path, {}))

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tree.write({"config.yml": "new"}, is_forced=True)

    assert [path.name for path in tmp_path.iterdir()] == ["config.yml"]
    assert (tmp_path / "config.yml").read_text(encoding="utf-8") == "old"
