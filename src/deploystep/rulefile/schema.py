"""The JSON Schema of the rule file, for editors: made from the tables that the loader reads.

It says what a table can say: keys, kinds of values, the forms of names. A file that it takes may still be refused;
one that it refuses would be. Scalars are wide, as the language takes a text as it is written, where an editor sees
that `branch: 1.10` is a number.
"""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import yaml

from deploystep.core.patterns import Kind
from deploystep.rulefile import fields
from deploystep.rulefile.shapes import (
    BASES,
    REF_KEYS,
    AnyOf,
    AnyText,
    Checked,
    Choice,
    Field,
    Flag,
    ListOf,
    MapOf,
    NumberOrFalse,
    OneOrMany,
    PathsShape,
    PatternShape,
    SinceShape,
    Table,
    ValueShape,
)

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ID: Final = "urn:deploystep:rules:1"
Object: TypeAlias = dict[str, Any]

_SCALARS: Final = ("string", "number", "boolean")
_MOMENT: Final = "Written YYYY-MM-DD HH:MM, and a time zone where it is not the file's."
_WINDOW: Final = "A window is written DAY or DAY-DAY, HH:MM-HH:MM, and a time zone where it is not the file's."
#: How the texts of these keys are written; the table only knows that they are texts.
FORMS: Final = MappingProxyType(
    {"from": _MOMENT, "until": _MOMENT, "now": _MOMENT, "during": _WINDOW, "windows": _WINDOW}
)
_GLOB: Final = "A glob (* within a segment, ** for whole segments), or a /regular expression/ for the whole"
_PATTERNS: Final = MappingProxyType(
    {
        Kind.REF: ("ref-pattern", f"{_GLOB} name."),
        Kind.PATH: ("path-pattern", f"{_GLOB} path."),
        Kind.NAME: (
            "text-pattern",
            "A text in which * stands for any characters, or a /regular expression/ for the whole text.",
        ),
    }
)


def text() -> str:
    """The schema as it is printed and kept in the repository, without a final line end."""
    return json.dumps(schema(), indent=2, ensure_ascii=False)


def schema() -> Object:
    """The schema of a whole file."""
    shared: Object = {}
    file = _map(fields.FILE, shared)
    return {
        "$schema": DIALECT,
        "$id": ID,
        "title": "The rule file of deploystep, version 1",
        "description": "Says when a CircleCI build deploys, and what is sent.",
        **file,
        "$defs": dict(sorted(shared.items())),
    }


# --- maps


def _map(table: Table, shared: Object) -> Object:
    required = [f.key for f in table.fields if f.required]
    return {
        "type": "object",
        "properties": {f.key: _key(f, shared, may_be_null=table.null_is_unset) for f in table.fields},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _key(known: Field[Any], shared: Object, *, may_be_null: bool) -> Object:
    value = of(known.shape, shared)
    return {
        "description": " ".join(part for part in (known.description, FORMS.get(known.key)) if part),
        **({"deprecated": True} if known is fields.JOB else {}),
        **({"anyOf": [value, {"type": "null"}]} if may_be_null else value),
        "examples": [yaml.safe_load(known.example)[known.key]],
    }


# --- shapes


def of(shape: object, shared: Object) -> Object:
    """The schema of a shape; what several places need is put into `shared`. Raises KeyError for an unknown shape."""
    return SHAPES[type(shape)](shape, shared)


def _any_text(shape: AnyText, _shared: Object) -> Object:
    return {"type": list(_SCALARS), **({} if shape.may_be_empty else {"minLength": 1})}


def _checked(shape: Checked, _shared: Object) -> Object:
    return {"type": list(_SCALARS), "pattern": f"^(?:{shape.form})$"}


def _choice(shape: Choice, _shared: Object) -> Object:
    return {"enum": list(shape.words)}


def _flag(_shape: Flag, _shared: Object) -> Object:
    return {"type": "boolean"}


def _number_or_false(_shape: NumberOrFalse, _shared: Object) -> Object:
    number = {"type": ["integer", "string"], "minimum": 1, "pattern": "^[1-9][0-9]*$"}
    return {"anyOf": [number, {"enum": [False, "false"]}]}


def _pattern(shape: PatternShape, shared: Object) -> Object:
    name, description = _PATTERNS[shape.kind]
    return _shared_as(name, {"description": description, "type": list(_SCALARS), "minLength": 1}, shared)


def _value(_shape: ValueShape, _shared: Object) -> Object:
    return {"type": ["string", "integer", "boolean"]}


def _since(_shape: SinceShape, shared: Object) -> Object:
    return {"anyOf": [{"enum": list(BASES)}, of(REF_KEYS, shared)]}


def _list_of(shape: ListOf[Any], shared: Object) -> Object:
    most = {} if shape.limit is None else {"maxItems": shape.limit}
    return {**_list(of(shape.item, shared), shape.least), **most}


def _one_or_many(shape: OneOrMany[Any], shared: Object) -> Object:
    item = of(shape.item, shared)
    return {"anyOf": [item, _list(item, 1)]}


def _map_of(shape: MapOf[Any], shared: Object) -> Object:
    # a key is a text already, whatever an editor would make of it as a value
    names = {word: rule for word, rule in of(shape.key, shared).items() if word != "type"}
    return {
        "type": "object",
        **({"propertyNames": names} if names else {}),
        "additionalProperties": of(shape.item, shared),
        **({"minProperties": shape.least} if shape.least else {}),
    }


def _table(shape: Table, shared: Object) -> Object:
    return _shared_as(shape.noun, _map(shape, shared), shared)


def _any_of(shape: AnyOf, shared: Object) -> Object:
    one = {**of(shape.table, shared), "minProperties": 1}
    alone = {**one, "maxProperties": 1} if shape.single else one
    return {"anyOf": [alone, _list(one, 1)]}


def _paths(shape: PathsShape, shared: Object) -> Object:
    patterns = of(shape.patterns, shared)
    return {"anyOf": [*patterns["anyOf"], {**of(shape.table, shared), "minProperties": 1}]}


def _list(item: Object, least: int) -> Object:
    return {"type": "array", "items": item, **({"minItems": least} if least else {})}


def _shared_as(name: str, described: Object, shared: Object) -> Object:
    shared[name] = described
    return {"$ref": f"#/$defs/{name}"}


#: Closed: a shape that is not here has no schema, and a test says so.
SHAPES: Final[Mapping[type, Callable[[Any, Object], Object]]] = MappingProxyType(
    {
        AnyText: _any_text,
        Checked: _checked,
        Choice: _choice,
        Flag: _flag,
        NumberOrFalse: _number_or_false,
        PatternShape: _pattern,
        ValueShape: _value,
        SinceShape: _since,
        ListOf: _list_of,
        OneOrMany: _one_or_many,
        MapOf: _map_of,
        Table: _table,
        AnyOf: _any_of,
        PathsShape: _paths,
    }
)
