"""`deploystep schema` as a process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from acceptance.process import Project

COMMITTED = Path(__file__).parents[2] / "schema/deploystep.schema.json"


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["text", "json"])
def test_the_schema_is_all_that_is_printed(project: Project, arguments: tuple[str, ...]) -> None:
    """It is one JSON document already, and needs no build, no rule file and no token."""
    (project.folder / ".circleci/deploy.yml").unlink()
    ended = project.run(("schema", *arguments), {"CIRCLE_TOKEN": None}, ci=False)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == COMMITTED.read_text(encoding="utf-8")


def test_a_wrong_option_is_refused(project: Project) -> None:
    ended = project.call("schema", "--rules", "deploy.yml", "--json")
    assert (ended.code, ended.json["command"]) == (2, "schema")
