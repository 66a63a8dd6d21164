"""What is wrong with a text before or while it is read as YAML, in words that a writer of rules understands.

First its size, and characters that hide or move what it says; then what PyYAML complains of, at the place where the
mistake is.
"""

import re
import sys
import unicodedata
from collections.abc import Callable
from typing import Final

import yaml

from deploystep.core.source import Pos, SourceFile, Span
from deploystep.rulefile.yaml_nodes import Report, clipped, shown

MAX_BYTES: Final = 1024 * 1024
TAB: Final = ("E004", "a tab where YAML wants spaces")
BACKSLASH: Final = (
    "E003",
    "a backslash in double quotes is a YAML escape",
    "use single quotes or none around a regex",
)

#: Control characters, line ends that only YAML knows, marks that turn the direction of text, what has no
#: width, and halves of characters. None of them shows as what it is; a rule must not read differently from
#: what it says. Tab, line feed, and carriage return before it, are for YAML to judge.
_HIDDEN: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069"
    r"\ud800-\udfff\ufeff\ufffe\uffff]|\r(?!\n)"
)
_START: Final = Span(Pos(1, 1))
_DASHED: Final = r"\s*(-[A-Za-z_][A-Za-z0-9_-]*):(?:\s|$)"
_FLOW_END: Final = r"(?s:[,\]}].*|\s#.*)"
_LINE_END: Final = r"(?s:\s#.*)"


def check_characters(source: SourceFile, report: Report, most: int = MAX_BYTES) -> bool:
    """Whether the text can be given to the YAML parser."""
    size = len(source.text.encode("utf-8", "surrogatepass"))
    if size > most:
        report.error("E008", f"the file has {size} bytes", _START, f"the limit is {most}")
        return False
    if source.text.replace("\n", "").isprintable():
        return True  # none of the hidden ones is printable
    first = 1 if source.text.startswith("\ufeff") else 0  # a byte order mark is no part of the text
    found = {m[0]: m.start() for m in reversed(list(_HIDDEN.finditer(source.text, first)))}
    for character, index in found.items():
        name = unicodedata.name(character, "").lower()
        what = f"the invisible character U+{ord(character):04X}" + (f" ({name})" if name else "")
        is_line_end = character in "\x85\u2028\u2029\r"
        cure = "YAML takes it for the end of a line, editors do not; remove it" if is_line_end else "remove it"
        report.error("E007", f"{what} is not allowed here", _place(source.text, index), cure)
    return not found


def _place(text: str, index: int) -> Span:
    before = text[:index]
    return Span(Pos(before.count("\n") + 1, index - before.rfind("\n")))


def explain(error: Exception, source: SourceFile, report: Report) -> None:
    """Report one error of PyYAML, which stops at the first."""
    if not isinstance(error, yaml.MarkedYAMLError):
        _explain_escape(source, report)
        return
    complaint = _Complaint(error, source, report)
    any(explanation(complaint) for explanation in _EXPLANATIONS)


def _explain_escape(source: SourceFile, report: Report) -> None:
    r"""PyYAML makes a character of an escape such as `\Uffffffff` without looking."""
    for found in re.finditer(r"\\U([0-9A-Fa-f]{8})", source.text):
        if int(found[1], 16) > sys.maxunicode:
            place = _place(source.text, found.start())
            report.error("E003", f"there is no character {found[0]}", Span(place.start, len(found[0])))
            return
    report.error("E001", "this cannot be read as YAML", _START)


def refuse_star(source: SourceFile, span: Span, report: Report) -> None:
    """Report a value that begins with `*` and stands without quotes."""
    written = _written(source, span.start)
    report.error(
        "E002",
        "a value that begins with * must be quoted",
        Span(span.start, len(written)),
        f'write "{clipped(written)}"',
    )


def refuse_negation(written: str, span: Span, report: Report) -> None:
    """Report a value that begins with `!`: YAML takes it for a tag, its author meant "not"."""
    text = re.sub(_FLOW_END, "", written).rstrip()
    report.error(
        "E010",
        f"{shown(text)} is read by YAML as a tag",
        Span(span.start, len(text)),
        f"quote it: {shown(text)}; patterns are not negated with ! here, use unless: or ignore:",
    )


def refuse_dash(key: str, span: Span, report: Report) -> None:
    """Report a key such as `-name`."""
    report.error("E006", f"{shown(key + ':')} looks like a list item without a space", span, f"write - {key[1:]}:")


def _written(source: SourceFile, start: Pos) -> str:
    """The value that begins here, as far as its author probably meant it."""
    line = source.line(start.line)
    before, rest = line[: start.column - 1], line[start.column - 1 :]
    in_flow = before.count("[") + before.count("{") > before.count("]") + before.count("}")
    return re.sub(_FLOW_END if in_flow else _LINE_END, "", rest).rstrip()


class _Complaint:
    """An error of PyYAML, with its places counted from 1: where it met the problem, and since when it was at it."""

    def __init__(self, error: yaml.MarkedYAMLError, source: SourceFile, report: Report) -> None:
        self.context = error.context or ""
        self.problem = error.problem or ""
        self.source = source
        self.report = report
        self.lines = source.text.split("\n")
        self.at = _span(error.problem_mark or error.context_mark)
        self.since = _span(error.context_mark or error.problem_mark)
        line = self.line_at(self.at.line)
        self.before, self.character = line[: self.at.start.column - 1], line[self.at.start.column - 1 :][:1]

    def line_at(self, number: int) -> str:
        """A line's text; the lines are split once, for there may be many to look at."""
        return self.lines[number - 1].rstrip("\r") if number <= len(self.lines) else ""

    def says(self, context: str, problem: str = "") -> bool:
        """Whether PyYAML's words hold these."""
        return context in self.context and problem in self.problem

    def error(self, code: str, message: str, hint: str = "", span: Span | None = None) -> bool:
        """Report, at the place of the problem where no other is named; the complaint is then explained."""
        self.report.error(code, message, span or self.at, hint)
        return True


def _span(mark: yaml.Mark | None) -> Span:
    return Span(Pos(mark.line + 1, mark.column + 1)) if mark else _START


def _explain_start(complaint: _Complaint) -> bool:
    """Something that no value may begin with."""
    if complaint.says("while scanning an alias"):
        refuse_star(complaint.source, complaint.since, complaint.report)
        return True
    if complaint.says("while scanning a tag") or complaint.says("", "tag handle"):
        return _explain_tag(complaint, complaint.since.start)
    start = complaint.since.start
    if complaint.says("", "cannot start any token"):
        if complaint.character == "\t":
            return complaint.error(*TAB)
        start = complaint.at.start
    elif not (complaint.says("while scanning an anchor") or complaint.says("block scalar", "chomping or indentation")):
        return False
    written = _written(complaint.source, start)
    message = f"a value that begins with {written[:1]} must be quoted"
    return complaint.error("E020", message, f"write '{clipped(written)}'", Span(start, len(written)))


def _explain_tag(complaint: _Complaint, start: Pos) -> bool:
    written = _written(complaint.source, start)
    refuse_negation(written, Span(start, len(written)), complaint.report)
    return True


def _explain_flow(complaint: _Complaint) -> bool:
    """A list or map in brackets."""
    if not complaint.says("while parsing a flow"):
        return False
    if complaint.before.endswith("$") and complaint.character == "{":
        reference = Span(Pos(complaint.at.line, complaint.at.start.column - 1), 2)
        return complaint.error("E005", "${…} inside { } or [ ] must be quoted", span=reference)
    tag = _tag_between(complaint)
    if tag is not None:
        return _explain_tag(complaint, tag)
    bracket, close = "[]" if complaint.says("sequence") else "{}"
    if complaint.says("", "stream end") or complaint.at.line > complaint.since.line:
        return complaint.error("E017", f"this {bracket} is never closed", f"add {close}", complaint.since)
    return complaint.error("E017", f"expected , or {close} here", "quote texts that hold one of [ ] { } ,")


def _tag_between(complaint: _Complaint) -> Pos | None:
    """A `!pattern` in the list that broke: its tag takes in the bracket, so the error comes a line late."""
    for number in range(complaint.since.line, complaint.at.line + 1):
        begin = complaint.since.start.column if number == complaint.since.line else 0
        if found := re.search(r"(?:^|[\[{,:]\s*|\s)(!)\S", complaint.line_at(number)[begin:]):
            return Pos(number, begin + found.start(1) + 1)
    return None


def _explain_dash(complaint: _Complaint) -> bool:
    """`-name:` has become a key or a text, and what follows does not fit."""
    if not (complaint.says("", "mapping values") or complaint.says("", "block end") or complaint.says("simple key")):
        return False
    for number in range(complaint.at.line, 0, -1):
        line = complaint.line_at(number)
        if found := re.match(_DASHED, line):
            refuse_dash(found[1], Span(Pos(number, found.start(1) + 1), len(found[1])), complaint.report)
            return True
        if re.match(r"\s*-\s|\S+:", line):
            break
    return False


def _explain_block(complaint: _Complaint) -> bool:
    """A line that does not fit to those above it."""
    column = complaint.at.start.column
    if complaint.says("", "mapping values are not allowed"):
        if re.search(r":\s", complaint.before):
            hint = "quote the whole value, or write a map as {key: value}"
            return complaint.error("E019", "a second ': ' in one value", hint)
        column = len(complaint.before) - len(complaint.before.lstrip()) + 1
    elif not complaint.says("", "expected <block end>"):
        return False
    elif complaint.character in ("]", "}", ","):
        return complaint.error("E019", f"there is nothing that this {complaint.character} could end")
    elif complaint.before.rstrip().endswith(("'", '"')):
        return complaint.error("E019", "text after a closing quote", "quote the whole value")
    hint = "keys of one map stand exactly below each other, and a key with a value of its own has none below it"
    place = Span(Pos(complaint.at.line, column))
    return complaint.error("E018", "this line is not indented as the lines above it say", hint, place)


def _explain_rest(complaint: _Complaint) -> bool:
    if complaint.says("while scanning a double-quoted scalar", "escape"):
        return complaint.error(*BACKSLASH)
    if complaint.says("while scanning a quoted scalar"):
        return complaint.error("E017", "this quote is never closed", span=complaint.since)
    if complaint.says("while scanning a simple key", "':'"):
        return complaint.error("E018", "this line has no ':'", "write  key: value", complaint.since)
    if complaint.says("", "expected '<document start>'"):
        return complaint.error("E013", "this stands after the end of the document", "check the indentation")
    words = ", ".join(part for part in (complaint.context, complaint.problem) if part)
    return complaint.error("E001", f"this cannot be read as YAML: {words}")


#: Tried in this order; the last explains whatever is left.
_EXPLANATIONS: Final[tuple[Callable[[_Complaint], bool], ...]] = (
    _explain_start,
    _explain_flow,
    _explain_dash,
    _explain_block,
    _explain_rest,
)
