"""Rule files and what is said about them: add a `.yml` to `tests/golden/rules/err` and run with UPDATE_GOLDEN=1."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deploystep.core.errors import RuleFileInvalid
from deploystep.core.rules import RuleSet
from deploystep.core.source import SourceFile
from deploystep.rulefile.load import examine, load

GOLDEN = Path(__file__).parents[2] / "golden" / "rules"
GOOD = sorted((GOLDEN / "ok").glob("*.yml"))
BAD = sorted((GOLDEN / "err").glob("*.yml"))


def source(path: Path) -> SourceFile:
    return SourceFile("deploy.yml", path.read_bytes().decode("utf-8"))


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.stem)
def test_a_good_file_is_read(path: Path) -> None:
    assert isinstance(load(source(path)), RuleSet)


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_a_bad_file_is_refused_and_explained(path: Path, said: Callable[[str], list[str]]) -> None:
    assert (len(GOOD) >= 10, len(BAD) >= 60) == (True, True)
    text = "".join(line + "\n" for line in said(source(path).text))
    expected = path.with_suffix(".out")
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    with pytest.raises(RuleFileInvalid) as caught:
        load(source(path))
    examined = examine(source(path))
    assert caught.value.diagnostics == tuple(d for d in examined.diagnostics if d.is_error)
    assert examined.rules is None
