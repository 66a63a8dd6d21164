"""Facts about patterns taken from the test suites and documents of other systems hold here too, or are refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploystep.core.patterns import Kind, PatternError, is_legal_ref, parse

_FILE = Path(__file__).resolve().parents[4] / "shared" / "cases" / "patterns.json"

# Written as if a regex were searched for: CircleCI takes the whole name, and so do we, but say so at once.
_REFUSED = {"H0361": "E205", "H0362": "E205"}


@dataclass(frozen=True)
class Case:
    id: str
    kind: str
    dialect: str
    pattern: object
    input: str
    expected: bool


def _cases() -> list[Case]:
    if not _FILE.is_file():
        return []
    records = json.loads(_FILE.read_text(encoding="utf-8"))
    return [Case(**{name: record[name] for name in Case.__dataclass_fields__}) for record in records]


_CASES = _cases()
_NEEDS_FILE = pytest.mark.skipif(not _CASES, reason=f"the public cases are kept beside this repository: {_FILE.name}")


def _answer(case: Case) -> bool:
    if case.kind == "refname":
        return is_legal_ref(case.input)
    if case.kind in ("branch-list", "path-list"):
        assert isinstance(case.pattern, dict)
        kind = Kind.REF if case.kind == "branch-list" else Kind.PATH
        return _in_lists(case.pattern["include"], case.pattern["exclude"], case.input, kind)
    assert isinstance(case.pattern, str)
    return parse(_whole_name(case.pattern, case.dialect), _pattern_kind(case)).matches(case.input)


def _in_lists(only: list[str], ignore: list[str], value: str, kind: Kind) -> bool:
    def is_one_of(texts: list[str]) -> bool:
        return any(parse(text, kind).matches(value) for text in texts)

    return (not only or is_one_of(only)) and not is_one_of(ignore)


def _whole_name(pattern: str, dialect: str) -> str:
    return f"/.*(?:{pattern[1:-1]}).*/" if dialect.endswith("-search") else pattern


def _pattern_kind(case: Case) -> Kind:
    return Kind.PATH if case.kind == "path" or "pathname" in case.dialect else Kind.REF


@_NEEDS_FILE
@pytest.mark.parametrize("case", [case for case in _CASES if case.id not in _REFUSED], ids=lambda case: case.id)
def test_the_answer_is_the_one_that_the_source_states(case: Case) -> None:
    assert _answer(case) is case.expected


@_NEEDS_FILE
@pytest.mark.parametrize("case", [case for case in _CASES if case.id in _REFUSED], ids=lambda case: case.id)
def test_what_the_language_leaves_out_is_refused_with_a_way_on(case: Case) -> None:
    with pytest.raises(PatternError) as raised:
        _answer(case)
    assert raised.value.problem.code == _REFUSED[case.id]
    assert raised.value.problem.hint.startswith("write ")


@_NEEDS_FILE
def test_every_record_is_dealt_with() -> None:
    assert len({case.id for case in _CASES}) == len(_CASES) == 233
    assert set(_REFUSED) <= {case.id for case in _CASES}
