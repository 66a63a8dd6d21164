"""Facts about patterns taken from the test suites and documents of other systems hold here too, or are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploystep.core.patterns import Kind, PatternError, is_legal_ref, parse

_FILE = Path(__file__).resolve().parents[4] / "shared" / "cases" / "patterns.json"

# Written as if a regex were searched for: CircleCI takes the whole name, and so do we, but say so at once.
_REFUSED = {"H0361": "E205", "H0362": "E205"}

_CASES: list[dict[str, Any]] = json.loads(_FILE.read_text(encoding="utf-8")) if _FILE.is_file() else []
pytestmark = pytest.mark.skipif(not _CASES, reason=f"the public cases are kept beside this repository: {_FILE.name}")


def _answer(case: dict[str, Any]) -> bool:
    kind, dialect, pattern, value = case["kind"], case["dialect"], case["pattern"], case["input"]
    of = Kind.PATH if kind in ("path", "path-list") or "pathname" in dialect else Kind.REF
    if kind == "refname":
        return is_legal_ref(value)
    if kind.endswith("-list"):
        only, ignore = ([parse(text, of).matches(value) for text in pattern[key]] for key in ("include", "exclude"))
        return (not only or any(only)) and not any(ignore)
    # other systems search for a regex where this one takes the whole name
    whole = f"/.*(?:{pattern[1:-1]}).*/" if dialect.endswith("-search") else pattern
    return parse(whole, of).matches(value)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["id"])
def test_the_answer_is_the_one_that_the_source_states_or_a_way_on(case: dict[str, Any]) -> None:
    try:
        answer: bool | str = _answer(case)
    except PatternError as error:
        answer = error.problem.code
    assert answer == _REFUSED.get(case["id"], case["expected"])
