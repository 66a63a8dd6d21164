"""The JSON Schema of the rule file, for editors: made from the tables that the loader reads.

It says what a table can say: keys, kinds of values, the forms of names. A file that it takes may still be refused;
one that it refuses would be. Scalars are wide, as the language takes a text as it is written, where an editor sees
that `branch: 1.10` is a number.
"""

import json
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import yaml

from deploystep.rulefile import fields
from deploystep.rulefile.field_types import AnyOf, Field, ListOf, MapOf, OrMap, Scalar, Table

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ID: Final = "urn:deploystep:rules:1"
Object: TypeAlias = dict[str, Any]

_MOMENT: Final = "Written YYYY-MM-DD HH:MM, and a time zone where it is not the file's."
_WINDOW: Final = "A window is written DAY or DAY-DAY, HH:MM-HH:MM, and a time zone where it is not the file's."
#: How the texts of these keys are written; the table only knows that they are texts.
FORMS: Final = MappingProxyType(
    {**dict.fromkeys(("from", "until", "now"), _MOMENT), **dict.fromkeys(("during", "windows"), _WINDOW)}
)


def text() -> str:
    """The schema as it is printed and kept in the repository, without a final line end."""
    return json.dumps(schema(), indent=2, ensure_ascii=False)


def schema() -> Object:
    """The schema of a whole file."""
    shared: Object = {}
    described = "Says when a CircleCI build deploys, and what is sent."
    about = {"$schema": DIALECT, "$id": ID, "title": "The rule file of deploystep, version 1", "description": described}
    return {**about, **_map(fields.FILE, shared), "$defs": dict(sorted(shared.items()))}


def of(field_type: object, shared: Object) -> Object:
    """The schema of a type; what several places need is put into `shared`. Raises TypeError for an unknown type."""
    match field_type:
        case Scalar(name="", schema=described):
            return dict(described)
        case Scalar(name=name) | Table(noun=name):
            shared[name] = _map(field_type, shared) if isinstance(field_type, Table) else dict(field_type.schema)
            return {"$ref": f"#/$defs/{name}"}
        case ListOf():
            item = of(field_type.item, shared)
            many = _list(item, 1 if field_type.or_one else field_type.least, field_type.limit)
            return {"anyOf": [item, many]} if field_type.or_one else many
        case MapOf():
            # a key is a text already, whatever an editor would make of it as a value
            names = {word: rule for word, rule in of(field_type.key, shared).items() if word != "type"}
            described = {"type": "object", "propertyNames": names, "additionalProperties": of(field_type.item, shared)}
            return _some({**described, "minProperties": field_type.least})
        case AnyOf():
            one = {**of(field_type.table, shared), "minProperties": 1}
            return {"anyOf": [{**one, "maxProperties": 1} if field_type.single else one, _list(one, 1)]}
        case OrMap():
            short, long = of(field_type.short, shared), of(field_type.table, shared)
            return {"anyOf": [*short.get("anyOf", [short]), _some({**long, "minProperties": field_type.table.least})]}
        case _:
            raise TypeError(field_type)


def _map(table: Table, shared: Object) -> Object:
    described = {
        "type": "object",
        "properties": {f.key: _key(f, shared, may_be_null=table.null_is_unset) for f in table.fields},
        "required": [f.key for f in table.fields if f.required],
    }
    return {**_some(described), "additionalProperties": False}


def _key(known: Field[Any], shared: Object, *, may_be_null: bool) -> Object:
    value = of(known.type, shared)
    return {
        "description": " ".join(part for part in (known.description, FORMS.get(known.key)) if part),
        **({"deprecated": True} if known is fields.JOB else {}),
        **({"anyOf": [value, {"type": "null"}]} if may_be_null else value),
        "examples": [yaml.safe_load(known.example)[known.key]],
    }


def _list(item: Object, least: int, most: int | None = None) -> Object:
    return _some({"type": "array", "items": item, "minItems": least, "maxItems": most})


def _some(described: Object) -> Object:
    """Without words that say nothing."""
    return {word: rule for word, rule in described.items() if rule}
