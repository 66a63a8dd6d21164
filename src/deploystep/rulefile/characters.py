"""What is wrong with a file before YAML is asked: its size, and characters that hide or move what it says."""

import re
import unicodedata
from typing import Final

from deploystep.core.source import Pos, SourceFile, Span
from deploystep.rulefile.nodes import Report

MAX_BYTES: Final = 1024 * 1024

#: Control characters, line ends that only YAML knows, marks that turn the direction of text, what has no
#: width, and halves of characters. None of them shows as what it is; a rule must not read differently from
#: what it says. Tab, line feed, and carriage return before it, are for YAML to judge.
_HIDDEN: Final = (
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069"
    r"\ud800-\udfff\ufeff\ufffe\uffff]|\r(?!\n)"
)
_SURROGATES: Final = r"[\ud800-\udbff][\udc00-\udfff]"


def check(source: SourceFile, report: Report) -> bool:
    """Whether the text can be given to the YAML parser."""
    size = len(source.text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        report.error("E008", f"the file has {size} bytes", Span(Pos(1, 1)), f"the limit is {MAX_BYTES}")
        return False
    if source.text.replace("\n", "").isprintable():
        return True  # none of the hidden ones is printable
    first = 1 if source.text.startswith("\ufeff") else 0  # a byte order mark is no part of the text
    found = {m[0]: m.start() for m in reversed(list(re.compile(_HIDDEN).finditer(source.text, first)))}
    for character, index in found.items():
        report.error("E007", f"{_name(character)} is not allowed here", _place(source.text, index), _cure(character))
    return not found


def _place(text: str, index: int) -> Span:
    before = text[:index]
    column = index - (before.rfind("\n") + 1)
    return Span(Pos(before.count("\n") + 1, column + 1))


def _name(character: str) -> str:
    point = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "")
    return f"the invisible character {point}" + (f" ({name.lower()})" if name else "")


def _cure(character: str) -> str:
    if character in "\x85\u2028\u2029\r":
        return "YAML takes it for the end of a line, editors do not; remove it"
    return "remove it"


def joined(value: str) -> str:
    r"""A text in which pairs like `\ud83d\ude00`, as JSON escapes them, are the one character they mean."""
    return re.sub(_SURROGATES, lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), value)


def is_broken(value: str) -> bool:
    """Whether the text holds half a character, which no file and no request can."""
    return not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value)
