"""The JSON Schema says what the loader's tables say, and takes every file that the loader takes."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from deploystep.core.times import zone_names
from deploystep.rulefile import field_types as types
from deploystep.rulefile import fields, schema
from deploystep.rulefile.field_types import FieldType, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests/golden/rules"
GOOD = sorted((GOLDEN / "ok").glob("*.yml")) + sorted((ROOT / "examples").glob("*/.circleci/deploy.yml"))
#: Unknown keys, wrong kinds of value, missing keys, names: what a table can say.
#: And how a text is written: a version, a zone, a window, a moment.
STRUCTURAL = re.compile(
    r"error\[(?:E10[1237]|E206|E403|E604)\]|unknown version|cannot read the window '[MF][a-z]+-[A-Z]"
)
#: One of `branch` and `tag` is missing: said by the loader, not by a table. May only shrink.
BEYOND_A_TABLE = {"case-no-ref", "target-no-ref"}
BAD = [
    path.with_suffix(".yml")
    for path in sorted((GOLDEN / "err").glob("*.out"))
    if STRUCTURAL.search(path.read_text(encoding="utf-8")) and path.stem not in BEYOND_A_TABLE
]
SCHEMA = schema.schema()
VALID = Draft202012Validator(SCHEMA)


def loaded(path: Path) -> Any:
    return as_json(yaml.safe_load(path.read_text(encoding="utf-8-sig")))


def as_json(value: Any) -> Any:
    """What YAML 1.1 has read, as an editor sees it: JSON has no dates, and its keys are texts."""
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return str(value) if isinstance(value, date) else value


def keys(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every key that the schema names, with what it says of it."""
    if isinstance(node, list):
        for item in node:
            yield from keys(item, place)
    elif isinstance(node, dict):
        for name, about in node.get("properties", {}).items():
            yield f"{place}.{name}", about
        for name, item in node.items():
            if name != "examples":
                yield from keys(item, f"{place}.{name}")


KEYS = dict(keys(SCHEMA))


def type_of(table: Table, key: str) -> FieldType:
    return next(field.type for field in table.fields if field.key == key)


def takes(known: FieldType, value: object) -> bool:
    shared: dict[str, Any] = {}
    rule = schema.of(known, shared)
    return bool(Draft202012Validator({**rule, "$defs": shared}).is_valid(value))


# The schema itself


def test_the_committed_file_is_current() -> None:
    committed = (ROOT / "schema/deploystep.schema.json").read_text(encoding="utf-8")
    assert committed == schema.text() + "\n", "run  make docs"


def test_it_is_a_schema_of_its_dialect_and_skips_no_type() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_every_reference_leads_somewhere_and_everything_shared_is_used() -> None:
    used = set(re.findall(r'"#/\$defs/([^"]+)"', schema.text()))
    assert used == set(SCHEMA["$defs"])


def test_no_two_tables_share_a_name() -> None:
    nouns = [table.noun for table in vars(fields).values() if isinstance(table, Table)]
    assert len(set(nouns)) == len(nouns)
    assert set(nouns) - {fields.FILE.noun} <= set(SCHEMA["$defs"])


def test_every_map_of_the_language_is_closed() -> None:
    maps = [SCHEMA, *(d for d in SCHEMA["$defs"].values() if "properties" in d)]
    assert len(maps) > 10
    assert all(m["additionalProperties"] is False for m in maps)


# Keys


def test_every_field_is_a_key() -> None:
    known = {f.key for table in vars(fields).values() if isinstance(table, Table) for f in table.fields}
    assert known <= {place.rpartition(".")[2] for place in KEYS}
    assert len(KEYS) > 50


@pytest.mark.parametrize("place", KEYS)
def test_a_key_is_described_with_an_example_that_it_takes(place: str) -> None:
    about = KEYS[place]
    assert about["description"].endswith(".")
    assert about["examples"]
    for example in about["examples"]:
        errors = Draft202012Validator({**about, "$defs": SCHEMA["$defs"]}).iter_errors(example)
        assert [error.message for error in errors] == []


def test_what_a_rule_needs() -> None:
    assert SCHEMA["required"] == ["version", "rules"]
    assert SCHEMA["$defs"]["rule"]["required"] == ["name", "when"]
    assert SCHEMA["$defs"]["condition"]["required"] == []


# Values

TWO = {"branch": "main", "user": "anna"}


@pytest.mark.parametrize(
    ("known", "right", "wrong"),
    [
        (types.TEXT, ["main", 1.1, True], ["", None, ["main"]]),
        (types.MAYBE_EMPTY, [""], [None]),
        (types.checked("a|b", "", "", ""), ["a"], ["ac"]),
        (fields.NAME, ["to-production", 1.1], ["to production"]),
        (fields.UUID, ["2338d0ae-5541-4bbf-88a2-55e9f7281f80"], ["main"]),
        (type_of(fields.TARGET, "api"), ["v2", "v3"], ["v4"]),
        (types.FLAG, [False], ["false"]),
        (fields.NUMBER, [42, "42", False], ["x", None]),
        (fields.BRANCHES, ["main", ["main", 1.1]], [[], [["main"]]]),
        (types.VALUE, [-5, ""], [1.1, None, ["main"]]),
        (type_of(fields.PATH_KEYS, "since"), ["last-deploy", {"ref": "deployed/staging"}], ["yesterday", {}]),
        (type_of(fields.MATCHERS, "paths"), ["docs/**", ["docs/**"], {"ignore": "docs/**"}], [{}]),
        (type_of(fields.MATCHERS, "env"), [{"DEPLOYS_OFF": "*"}], [{"DEPLOYS-OFF": "*"}, {}]),
        (type_of(fields.DEPLOY_KEYS, "parameters"), [{}], [[]]),
        (type_of(fields.RULE, "when"), [TWO, [TWO]], [{}, [], [{}]]),
        (type_of(fields.RULE, "unless"), [{"branch": "main"}, [TWO]], [TWO]),
        (type_of(fields.FILE, "version"), [1, "1"], [2, "2", True, "1.0"]),
        (
            type_of(fields.FILE, "timezone"),
            ["Europe/Berlin", "UTC", "GMT+0", *zone_names()],
            ["Berlin", "", "MESZ", "utc"],
        ),
        (type_of(fields.RULE, "during"), ["office-hours", "Fri 22:00-06:00 Asia/Tokyo"], ["Mon-Thu 9-17", "a b"]),
        (type_of(fields.FILE, "windows"), [{"w": ["Sat 10:00-24:00"]}], [{"w": "Mon-Fri 9-17"}, {"w": "office-hours"}]),
        (
            type_of(fields.FREEZE, "until"),
            ["2026-12-18 18:00", "2026-06-16T10:00:00+02:00", "2026-12-18 18:00 Asia/Tokyo"],
            ["2026-06-16T10:00:30.5Z", "2026-12-18", "18.12.2026 18:00"],
        ),
        (
            type_of(fields.FILE, "default_branch"),
            ["main", 1.1, "release/ü"],
            ["origin/main", "refs/heads/main", "a b", "x~1"],
        ),
        (fields.COMPARED.fields[0].type, ["refs/heads/main", "origin/main"], ["HEAD~1", "a b"]),
        (fields.BRANCHES, ["**", "/.+/"], ["origin/**", "refs/heads/main"]),
        (
            type_of(fields.TARGET, "project"),
            ["gh/acme/shop", "circleci/a/b"],
            ["acme/shop", "gitlab/a/b", "gh/acme/shop?x"],
        ),
        (type_of(fields.FILE, "rules"), [], [[]]),
        (type_of(fields.FILE, "never"), [[]], [{}]),
    ],
)
def test_a_value(known: FieldType, right: list[Any], wrong: list[Any]) -> None:
    assert [value for value in right if not takes(known, value)] == []
    assert [value for value in wrong if takes(known, value)] == []


# Files


@pytest.mark.parametrize("path", GOOD, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_good_file_fits(path: Path) -> None:
    assert [f"{e.json_path}: {e.message}" for e in VALID.iter_errors(loaded(path))] == []


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_a_file_of_the_wrong_structure_does_not_fit(path: Path) -> None:
    assert not VALID.is_valid(loaded(path))


@pytest.mark.parametrize("name", sorted(BEYOND_A_TABLE))
def test_what_a_table_cannot_say_is_still_beyond_it(name: str) -> None:
    assert VALID.is_valid(loaded(GOLDEN / "err" / f"{name}.yml"))


def test_the_text_is_json_that_people_can_read() -> None:
    assert (len(GOOD) >= 15, len(BAD) >= 45) == (True, True)
    assert json.loads(schema.text()) == SCHEMA
    assert "${…}" in schema.text()
