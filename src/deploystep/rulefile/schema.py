"""The JSON Schema of the rule file, for editors: made from the tables that the loader reads.

It says what a table can say: keys, kinds of values, the forms of names. A file that it takes may still be refused;
one that it refuses would be. Scalars are wide, as the language takes a text as it is written, where an editor sees
that `branch: 1.10` is a number.
"""

import json
from typing import Any, Final, TypeAlias

import yaml

from deploystep.rulefile import fields
from deploystep.rulefile.field_types import Field, ListOf, MapOf, Scalar, Table

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ID: Final = "urn:deploystep:rules:1"
Object: TypeAlias = dict[str, Any]


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
            found = {"$ref": f"#/$defs/{name}"}
            if isinstance(field_type, Table) and field_type.short:
                short = of(field_type.short.type, shared)
                return {"anyOf": [*short.get("anyOf", [short]), found]}
            return found
        case ListOf():
            item = of(field_type.item, shared)
            many = {"type": "array", "items": item, "minItems": field_type.least, "maxItems": field_type.limit}
            one = {**item, "maxProperties": 1} if field_type.is_single else item
            return {"anyOf": [one, _some(many)]} if field_type.or_one else _some(many)
        case MapOf():
            # a key is a text already, whatever an editor would make of it as a value
            names = {word: rule for word, rule in of(field_type.key, shared).items() if word != "type"}
            described = {"type": "object", "propertyNames": names, "additionalProperties": of(field_type.item, shared)}
            return _some({**described, "minProperties": field_type.least})
        case _:
            raise TypeError(field_type)


def _map(table: Table, shared: Object) -> Object:
    described = {
        "type": "object",
        "properties": {f.key: _key(f, shared, may_be_null=table.null_is_unset) for f in table.fields},
        "required": [f.key for f in table.fields if f.required],
        "minProperties": table.least,
    }
    return {**_some(described), "additionalProperties": False}


def _key(known: Field[Any], shared: Object, *, may_be_null: bool) -> Object:
    value = of(known.type, shared)
    return {
        "description": known.description,
        **({"deprecated": True} if known is fields.JOB else {}),
        **({"anyOf": [value, {"type": "null"}]} if may_be_null else value),
        "examples": [yaml.safe_load(known.example)[known.key]],
    }


def _some(described: Object) -> Object:
    """Without words that say nothing."""
    return {word: rule for word, rule in described.items() if rule}
