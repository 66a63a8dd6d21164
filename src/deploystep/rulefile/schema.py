"""The JSON Schema of the rule file, made from the loader's tables, for editors. What it refuses, the loader refuses."""

import json
from typing import Any, Final

import yaml

from deploystep.rulefile import fields
from deploystep.rulefile.field_types import FieldType, ListOf, MapOf, Scalar, Table

_ABOUT: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:deploystep:rules:1",
    "title": "The rule file of deploystep, version 1",
    "description": "Says when a CircleCI build deploys, and what is sent.",
}


def text() -> str:
    """The schema as it is printed and kept in the repository, without a final line end."""
    return json.dumps(schema(), indent=2, ensure_ascii=False)


def schema() -> dict[str, Any]:
    """The schema of a whole file."""
    shared: dict[str, Any] = {}
    of(fields.FILE, shared)
    return {**_ABOUT, **shared.pop(fields.FILE.noun), "$defs": dict(sorted(shared.items()))}


def of(kind: FieldType, shared: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; what several places need is put into `shared`."""
    match kind:
        case Scalar(name=""):
            return dict(kind.schema)
        case Scalar():
            shared[kind.name] = dict(kind.schema)
            return {"$ref": f"#/$defs/{kind.name}"}
        case Table():
            examples = {field.key: [yaml.safe_load(field.example)[field.key]] for field in kind.fields}
            properties = {
                f.key: {"description": f.description, **of(f.type, shared), "examples": examples[f.key]}
                for f in kind.fields
            }
            required = {"required": list(kind.required), "minProperties": kind.least}
            shared[kind.noun] = {"type": "object", "properties": properties, **required, "additionalProperties": False}
            found = {"$ref": f"#/$defs/{kind.noun}"}
            return {"anyOf": [of(kind.short.type, shared), found]} if kind.short else found
        case ListOf():
            item, most = of(kind.item, shared), {"maxItems": kind.most} if kind.most else {}
            many = {"type": "array", "items": item, "minItems": kind.least, **most}
            return {"anyOf": [{**item, "maxProperties": 1} if kind.is_single else item, many]} if kind.or_one else many
        case MapOf():
            # a key is a text already, whatever an editor would make of it as a value
            names, most = {**of(kind.key, shared), "type": "string"}, {"maxProperties": kind.most} if kind.most else {}
            values = {"additionalProperties": of(kind.item, shared)}
            return {"type": "object", "propertyNames": names, **values, "minProperties": kind.least, **most}
