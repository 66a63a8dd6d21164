"""The schema of CircleCI's configs, as check-jsonschema brings it; no test fetches it from anywhere."""

from __future__ import annotations

import json
from importlib.resources import files

from jsonschema import Draft7Validator

CIRCLECI = Draft7Validator(
    json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/circle-ci.json").read_text(encoding="utf-8"))
)
