"""The JSON Schema says what the loader's tables say, and takes every file that the loader takes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from deploystep.core.times import zone_names
from deploystep.rulefile import field_types as types
from deploystep.rulefile import fields, schema
from deploystep.rulefile.field_types import FieldType, Table

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests/golden/rules"
GOOD = sorted((GOLDEN / "ok").glob("*.yml")) + sorted((ROOT / "examples").glob("*/.circleci/deploy.yml"))
#: Unknown keys, wrong kinds of value, missing keys, unknown words, names, what is empty or too much: all that a table
#: can say. And how a text is written: a ref, a zone, a window, a moment, an id.
STRUCTURAL = re.compile(
    r"\[(E10[123478]|E11[034]|E203|E206|E303|E403|E501|E60[34])\]|cannot read the window '[MF][a-z]+-[A-Z]"
)
#: One of `branch` and `tag` is missing: said by the loader, not by a table. May only shrink.
BEYOND_A_TABLE = {"case-no-ref", "target-no-ref"}
SAID = [path for path in sorted((GOLDEN / "err").glob("*.out")) if not path.stem.startswith("syntax")]
BAD = [path.with_suffix(".yml") for path in SAID if STRUCTURAL.search(path.read_text(encoding="utf-8"))]
SCHEMA = schema.schema()
DEFINED = SCHEMA["$defs"]
VALID = Draft202012Validator(SCHEMA)


def test_the_committed_file_is_current_and_people_can_read_it() -> None:
    committed = (ROOT / "schema/deploystep.schema.json").read_text(encoding="utf-8")
    assert committed == schema.text() + "\n", "run  make docs"
    assert json.loads(committed) == SCHEMA
    assert "${…}" in committed


def test_it_is_a_schema_of_its_dialect_and_every_reference_leads_somewhere() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert set(re.findall(r'"#/\$defs/([^"]+)"', schema.text())) == set(DEFINED)


def test_every_table_is_a_closed_map_of_its_own() -> None:
    tables = [table for table in vars(fields).values() if isinstance(table, Table)]
    assert len({table.noun for table in tables}) == len(tables) > 10
    for table in tables:
        about = SCHEMA if table is fields.FILE else DEFINED[table.noun]
        assert about["additionalProperties"] is False
        assert list(about["properties"]) == [field.key for field in table.fields]
        assert about["required"] == list(table.required)


def test_each_key_is_described_with_an_example_that_it_takes() -> None:
    for about in (each for table in (SCHEMA, *DEFINED.values()) for each in table.get("properties", {}).values()):
        assert about["description"].endswith(".")
        (example,) = about["examples"]
        assert Draft202012Validator({**about, "$defs": DEFINED}).is_valid(example), example


TWO = {"branch": "main", "user": "anna"}


def of(table: Table, key: str) -> FieldType:
    return next(field.type for field in table.fields if field.key == key)


@pytest.mark.parametrize(
    ("known", "right", "wrong"),
    [
        (types.TEXT, ["main", 1.1, True], ["", None, ["main"]]),
        (types.MAYBE_EMPTY, [""], [None]),
        (types.checked("a|b", "", "", ""), ["a"], ["ac"]),
        (types.FLAG, [False], ["false"]),
        (types.VALUE, [-5, ""], [1.1, None, ["main"]]),
        (fields.NUMBER, [42, "42", False], ["x", None]),
        (fields.BRANCHES, ["main", ["main", 1.1], "**", "/.+/"], [[], [["main"]], "origin/**", "refs/heads/main"]),
        (of(fields.MATCHERS, "paths"), ["docs/**", ["docs/**"], {"ignore": "docs/**"}], [{}]),
        (of(fields.DEPLOY_KEYS, "parameters"), [{}], [[], {f"k{n}": 1 for n in range(101)}]),
        (of(fields.RULE, "when"), [TWO, [TWO]], [{}, [], [{}]]),
        (of(fields.FILE, "version"), [1, "1"], [2, "2", True, "1.0"]),
        (of(fields.FILE, "timezone"), ["GMT+0", *zone_names()], ["Berlin", "", "MESZ", "utc"]),
        (types.DURING, ["office-hours", "Fri 22:00-06:00 Asia/Tokyo"], ["Mon-Thu 9-17", "a b"]),
        (of(fields.FILE, "windows"), [{"w": ["Sat 10:00-24:00"]}], [{"w": "Mon-Fri 9-17"}, {"w": "office-hours"}]),
        (
            types.MOMENT,
            ["2026-06-16T10:00:00+02:00", "2026-12-18 18:00 Asia/Tokyo"],
            ["2026-12-18", "18.12.2026 18:00"],
        ),
        (fields.BRANCH, ["main", 1.1, "release/ü"], ["origin/main", "refs/heads/main", "a b", "x~1"]),
        (of(fields.COMPARED, "ref"), ["refs/heads/main", "origin/main"], ["HEAD~1", "a b"]),
        (types.PROJECT_SLUG, ["gh/acme/shop", "circleci/a/b"], ["acme/shop", "gitlab/a/b", "gh/acme/shop?x"]),
        (of(fields.FILE, "rules"), [], [[], [{}] * 2_001]),
    ],
)
def test_a_value(known: FieldType, right: list[Any], wrong: list[Any]) -> None:
    shared: dict[str, Any] = {}
    valid = Draft202012Validator({**schema.of(known, shared), "$defs": shared})
    assert [value for value in right if not valid.is_valid(value)] == []
    assert [value for value in wrong if valid.is_valid(value)] == []


@pytest.mark.parametrize("path", [*GOOD, *BAD], ids=lambda p: p.stem if p in BAD else str(p.relative_to(ROOT)))
def test_a_file_fits_where_its_structure_is_right(path: Path) -> None:
    assert (len(GOOD) >= 15, len(BAD) >= 75) == (True, True)
    # what YAML 1.1 has read, as an editor sees it: JSON has no dates, and its keys are texts
    loaded = json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8-sig")), default=str))
    errors = [f"{error.json_path}: {error.message}" for error in VALID.iter_errors(loaded)]
    assert bool(errors) is (path in BAD and path.stem not in BEYOND_A_TABLE), errors
