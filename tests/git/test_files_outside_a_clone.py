"""What `check` reads of the files that a config names where no clone tells which files there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deploystep.adapters.files import repository_reader

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("path", "text"),
    [("in/s.sh", "deploystep run"), ("../s.sh", None), ("in", None), ("no.sh", None), ("{}/s.sh", None)],
)
def test_only_what_is_in_the_folder_is_read(tmp_path: Path, path: str, text: str | None) -> None:
    here = tmp_path / "here"
    (here / "in").mkdir(parents=True)
    for folder in (tmp_path, here / "in"):
        (folder / "s.sh").write_text("deploystep run", "utf-8")
    assert repository_reader(here, None)(path.format(tmp_path)) == text
