"""The schema of CircleCI's configs, as check-jsonschema brings it; no test fetches it from anywhere."""

import json
from importlib.resources import files

from jsonschema import Draft7Validator

TEXT = files("check_jsonschema").joinpath("builtin_schemas/vendor/circle-ci.json").read_text(encoding="utf-8")
# Python's expressions have no \p{Cc}, a control character
CIRCLECI = Draft7Validator(json.loads(TEXT.replace(r"\\p{Cc}", r"\\x00-\\x1f\\x7f-\\x9f")))
