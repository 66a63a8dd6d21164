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
from deploystep.rulefile.field_types import AnyOf, Field, Table

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


def takes(known: object, value: object) -> bool:
    shared: dict[str, Any] = {}
    rule = schema.of(known, shared)
    return bool(Draft202012Validator({**rule, "$defs": shared}).is_valid(value))


# The schema itself


def test_the_committed_file_is_current() -> None:
    committed = (ROOT / "schema/deploystep.schema.json").read_text(encoding="utf-8")
    assert committed == schema.text() + "\n", "run  make docs"


def test_it_is_a_schema_of_its_dialect() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_an_unknown_type_is_not_skipped() -> None:
    with pytest.raises(TypeError):
        schema.of(object(), {})


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
    known = {f.key for f in vars(fields).values() if isinstance(f, Field)}
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


@pytest.mark.parametrize("key", schema.FORMS)
def test_a_form_is_that_of_a_key(key: str) -> None:
    assert [place for place in KEYS if place.endswith(f".{key}")]


def test_only_the_old_kind_of_deploy_is_deprecated() -> None:
    assert [place for place, about in KEYS.items() if about.get("deprecated")] == [".$defs.deploy.job"]


def test_what_a_rule_needs() -> None:
    assert SCHEMA["required"] == ["version", "rules"]
    assert SCHEMA["$defs"]["rule"]["required"] == ["name", "when"]
    assert "required" not in SCHEMA["$defs"]["condition"]


# Values

CONDITION = {"branch": "main"}
VALUES: list[tuple[object, object, bool]] = [
    (types.TEXT, "main", True),
    (types.TEXT, 1.1, True),
    (types.TEXT, True, True),
    (types.TEXT, "", False),
    (types.TEXT, None, False),
    (types.TEXT, ["main"], False),
    (types.MAYBE_EMPTY, "", True),
    (fields.NAME, "to-production", True),
    (fields.NAME, 1.1, True),
    (fields.NAME, "to production", False),
    (types.checked("a|b", "", "", ""), "ac", False),
    (fields.UUID, "2338d0ae-5541-4bbf-88a2-55e9f7281f80", True),
    (fields.UUID, "main", False),
    (fields.API_VERSION, "v2", True),
    (fields.API_VERSION, "v3", True),
    (fields.API_VERSION, "v4", False),
    (types.FLAG, False, True),
    (types.FLAG, "false", False),
    (types.NUMBER_OR_FALSE, 42, True),
    (types.NUMBER_OR_FALSE, "42", True),
    (types.NUMBER_OR_FALSE, False, True),
    (types.NUMBER_OR_FALSE, True, False),
    (types.NUMBER_OR_FALSE, 0, False),
    (fields.REFS, "main", True),
    (fields.REFS, ["main", 1.1], True),
    (fields.REFS, [], False),
    (fields.REFS, [["main"]], False),
    (types.VALUE, -5, True),
    (types.VALUE, "", True),
    (types.VALUE, 1.1, False),
    (types.VALUE, None, False),
    (types.VALUE, ["main"], False),
    (fields.SINCE.type, "last-deploy", True),
    (fields.SINCE.type, {"ref": "deployed/staging"}, True),
    (fields.SINCE.type, "yesterday", False),
    (fields.SINCE.type, {}, False),
    (fields.PATHS.type, "docs/**", True),
    (fields.PATHS.type, ["docs/**"], True),
    (fields.PATHS.type, {"ignore": "docs/**"}, True),
    (fields.PATHS.type, {}, False),
    (fields.ENV.type, {"DEPLOYS_OFF": "*"}, True),
    (fields.ENV.type, {"DEPLOYS-OFF": "*"}, False),
    (fields.ENV.type, {}, False),
    (fields.PARAMETERS.type, {}, True),
    (AnyOf(fields.MATCHERS), {**CONDITION, "user": "anna"}, True),
    (AnyOf(fields.MATCHERS), {}, False),
    (AnyOf(fields.MATCHERS), [], False),
    (AnyOf(fields.MATCHERS), [{}], False),
    (AnyOf(fields.MATCHERS, single=True), CONDITION, True),
    (AnyOf(fields.MATCHERS, single=True), {**CONDITION, "user": "anna"}, False),
    (AnyOf(fields.MATCHERS, single=True), [{**CONDITION, "user": "anna"}], True),
    (fields.RULES.type, [], False),
    (fields.NEVER.type, [], True),
    (fields.FACTS, {"branch": "main", "tag": None}, True),
]


@pytest.mark.parametrize(("known", "value", "fits"), VALUES)
def test_a_value(known: object, value: object, *, fits: bool) -> None:
    assert takes(known, value) is fits


@pytest.mark.parametrize(
    ("known", "right", "wrong"),
    [
        (fields.VERSION, [1, "1"], [2, "2", True, "1.0"]),
        (fields.TIMEZONE, ["Europe/Berlin", "UTC", "GMT+0", "America/Argentina/Salta"], ["Berlin", "", "MESZ", "utc"]),
        (fields.DURING, ["office-hours", "Mon-Thu 09:00-17:00", "Fri 22:00-06:00 Asia/Tokyo"], ["Mon-Thu 9-17", "a b"]),
        (
            fields.WINDOWS,
            [{"w": ["Sat 10:00-24:00"]}],
            [{"w": "Mon-Fri 9-17"}, {"w": "office-hours"}, {"w": "mon 09:00-10:00"}],
        ),
        (
            fields.UNTIL,
            ["2026-12-18 18:00", "2026-06-16T10:00:00+02:00", "2026-12-18 18:00 Asia/Tokyo"],
            ["2026-12-18", "18.12.2026 18:00"],
        ),
        (fields.DEFAULT_BRANCH, ["main", 1.1, "release/ü"], ["origin/main", "refs/heads/main", "a b", "x~1"]),
        (fields.REF, ["refs/heads/main", "origin/main", "deployed/staging"], ["HEAD~1", "a b"]),
        (fields.PROJECT, ["gh/acme/shop", "circleci/a/b"], ["acme/shop", "gitlab/acme/shop", "gh/acme/shop?x"]),
    ],
    ids=lambda value: value.key if isinstance(value, Field) else "",
)
def test_a_text_is_taken_in_its_form_only(known: Field[Any], right: list[Any], wrong: list[Any]) -> None:
    assert [value for value in right if not takes(known.type, value)] == []
    assert [value for value in wrong if takes(known.type, value)] == []


def test_every_time_zone_fits() -> None:
    assert [name for name in sorted(zone_names()) if not takes(types.ZONE, name)] == []


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


def test_there_is_something_to_compare() -> None:
    assert len(GOOD) >= 15
    assert len(BAD) >= 45


def test_the_text_is_json_that_people_can_read() -> None:
    assert json.loads(schema.text()) == SCHEMA
    assert "${…}" in schema.text()
