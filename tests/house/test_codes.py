"""Every code of a diagnostic is explained, and every one that is explained is used."""

import re
from pathlib import Path

from deploystep.core.codes import CODES, IGNORABLE, explained

SRC = Path(__file__).resolve().parents[2] / "src" / "deploystep"


def test_every_code_has_its_page() -> None:
    texts = [
        p.read_text(encoding="utf-8") for p in SRC.rglob("*.py") if "sandbox" not in p.parts and p.name != "codes.py"
    ]
    used = {code for text in texts for code in re.findall(r'"([EWUPC][0-9]{2,3})"', text)}
    assert set(CODES) == used


def test_pages_say_meaning_cause_and_cure() -> None:
    for code, page in CODES.items():
        assert all(part and not part.endswith(".") for part in page), code
        assert ("ignore: [" in explained(code)) is (code in IGNORABLE)
