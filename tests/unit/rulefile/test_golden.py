"""Rule files and what is said about them: add a `.yml` to `tests/golden/rules/err` and run with UPDATE_GOLDEN=1."""

import os
from pathlib import Path

import pytest
from unit.rulefile.conftest import said

from deploystep.core.errors import RuleFileInvalid
from deploystep.core.source import SourceFile
from deploystep.rulefile.load import examine, load

GOLDEN = Path(__file__).parents[2] / "golden" / "rules"
GOOD = sorted((GOLDEN / "ok").glob("*.yml"))
BAD = sorted((GOLDEN / "err").glob("*.yml"))


@pytest.mark.parametrize("path", [*GOOD, *BAD], ids=lambda p: p.stem)
def test_a_file_is_read_or_is_refused_and_explained(path: Path) -> None:
    assert (len(GOOD) >= 10, len(BAD) >= 60) == (True, True)
    source = SourceFile("deploy.yml", path.read_bytes().decode("utf-8"))
    examined = examine(source)
    if path in GOOD:
        assert load(source) == examined.rules
        return
    text = "".join(line + "\n" for line in said(source.text))
    expected = path.with_suffix(".out")
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    with pytest.raises(RuleFileInvalid) as caught:
        load(source)
    assert caught.value.diagnostics == tuple(d for d in examined.diagnostics if d.is_error)
    assert examined.rules is None
