"""`deploystep schema` as a process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acceptance.process import Project

COMMITTED = Path(__file__).parents[2] / "schema/deploystep.schema.json"


def test_the_schema_is_all_that_is_printed(project: Project) -> None:
    """It is one JSON document already, and needs no build, no rule file and no token."""
    (project.folder / ".circleci/deploy.yml").unlink()
    for arguments in (("schema",), ("schema", "--json")):
        ended = project.run(arguments, {"CIRCLE_TOKEN": None}, ci=False)
        assert (ended.code, ended.err, ended.out) == (0, "", COMMITTED.read_text(encoding="utf-8"))
    refused = project.call("schema", "--rules", "deploy.yml", "--json")
    assert (refused.code, refused.json["command"]) == (2, "schema")
