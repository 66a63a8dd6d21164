"""PyYAML's complaints in words that a writer of rules understands, at the place where the mistake is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from deploystep.core.source import Pos, SourceFile, Span
from deploystep.rulefile.nodes import Report, clipped, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    import yaml

TAB: Final = ("E004", "a tab where YAML wants spaces")
BACKSLASH: Final = (
    "E003",
    "a backslash in double quotes is a YAML escape",
    "use single quotes or none around a regex",
)

_DASHED: Final = r"\s*(-[A-Za-z_][A-Za-z0-9_-]*):(?:\s|$)"
_FLOW_END: Final = r"(?s:[,\]}].*|\s#.*)"
_LINE_END: Final = r"(?s:\s#.*)"


def explain(error: yaml.MarkedYAMLError, source: SourceFile, report: Report) -> None:
    """Report one syntax error; PyYAML stops at the first."""
    complaint = _Complaint(error, source, report)
    if not any(attempt(complaint) for attempt in _ATTEMPTS):
        words = ", ".join(part for part in (complaint.context, complaint.problem) if part)
        report.error("E001", f"this cannot be read as YAML: {words}", complaint.at)


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


class _Complaint:
    """An error of PyYAML, with its places counted from 1."""

    def __init__(self, error: yaml.MarkedYAMLError, source: SourceFile, report: Report) -> None:
        self.context = error.context or ""
        self.problem = error.problem or ""
        self.source = source
        self.report = report
        self.lines = source.text.split("\n")
        self.at = _span(error.problem_mark or error.context_mark)
        self.since = _span(error.context_mark or error.problem_mark)
        self.line = self.line_at(self.at.line)
        self.character = self.line[self.at.start.column - 1 : self.at.start.column]

    def line_at(self, number: int) -> str:
        """A line's text; the lines are split once, for there may be many to look at."""
        return self.lines[number - 1].rstrip("\r") if number <= len(self.lines) else ""

    def says(self, context: str, problem: str = "") -> bool:
        """Whether PyYAML's words hold these."""
        return context in self.context and problem in self.problem

    def report_here(self, code: str, message: str, hint: str = "") -> bool:
        """Report at the place of the problem."""
        self.report.error(code, message, self.at, hint)
        return True

    def report_since(self, code: str, message: str, hint: str = "") -> bool:
        """Report at the place where the broken thing begins."""
        self.report.error(code, message, self.since, hint)
        return True


def _span(mark: yaml.Mark | None) -> Span:
    return Span(Pos(mark.line + 1, mark.column + 1)) if mark else Span(Pos(1, 1))


def _written(source: SourceFile, start: Pos) -> str:
    """The value that begins here, as far as its author probably meant it."""
    line = source.line(start.line)
    before, rest = line[: start.column - 1], line[start.column - 1 :]
    in_flow = before.count("[") + before.count("{") > before.count("]") + before.count("}")
    return re.sub(_FLOW_END if in_flow else _LINE_END, "", rest).rstrip() or rest[:1]


def _star(complaint: _Complaint) -> bool:
    if not complaint.says("while scanning an alias"):
        return False
    refuse_star(complaint.source, complaint.since, complaint.report)
    return True


def _tag(complaint: _Complaint) -> bool:
    broken = complaint.says("while scanning a tag") or complaint.says("", "tag handle")
    start = complaint.since
    if not broken and complaint.says("while parsing a flow"):
        found = _tag_between(complaint)
        broken, start = found is not None, found or start
    if broken:
        written = _written(complaint.source, start.start)
        refuse_negation(written, Span(start.start, len(written)), complaint.report)
    return broken


def _tag_between(complaint: _Complaint) -> Span | None:
    """A `!pattern` in the list that broke: its tag takes in the bracket, so the error comes a line late."""
    for number in range(complaint.since.line, complaint.at.line + 1):
        line = complaint.line_at(number)
        begin = complaint.since.start.column if number == complaint.since.line else 0
        if found := re.search(r"(?:^|[\[{,:]\s*|\s)(!)\S", line[begin:]):
            return Span(Pos(number, begin + found.start(1) + 1))
    return None


def _reference_in_flow(complaint: _Complaint) -> bool:
    column = complaint.at.start.column
    if not (complaint.says("while parsing a flow") and complaint.line[column - 2 : column] == "${"):
        return False
    start = Pos(complaint.at.line, column - 1)
    complaint.report.error("E005", "${…} inside { } or [ ] must be quoted", Span(start, 2))
    return True


def _escape(complaint: _Complaint) -> bool:
    if not complaint.says("while scanning a double-quoted scalar", "escape"):
        return False
    return complaint.report_here(*BACKSLASH)


def _wrong_start(complaint: _Complaint) -> bool:
    """Something that no value may begin with."""
    if complaint.says("", "cannot start any token"):
        if complaint.character == "\t":
            return complaint.report_here(*TAB)
        return _must_be_quoted(complaint, complaint.at)
    if complaint.says("while scanning an anchor") or complaint.says("block scalar", "chomping or indentation"):
        return _must_be_quoted(complaint, complaint.since)
    return False


def _must_be_quoted(complaint: _Complaint, span: Span) -> bool:
    written = _written(complaint.source, span.start)
    complaint.report.error(
        "E020",
        f"a value that begins with {written[:1]} must be quoted",
        Span(span.start, len(written)),
        f"write '{clipped(written)}'",
    )
    return True


def _never_closed(complaint: _Complaint) -> bool:
    if complaint.says("while scanning a quoted scalar"):
        return complaint.report_since("E017", "this quote is never closed")
    broken = complaint.says("while parsing a flow") and (
        complaint.says("", "stream end") or complaint.at.line > complaint.since.line
    )
    if not broken:
        return False
    bracket = "[" if complaint.says("sequence") else "{"
    close = "]" if bracket == "[" else "}"
    return complaint.report_since("E017", f"this {bracket} is never closed", f"add {close}")


def _dashed_key(complaint: _Complaint) -> bool:
    """`-name:` has become a key or a text, and what follows does not fit."""
    if not (complaint.says("", "mapping values") or complaint.says("", "block end") or complaint.says("simple key")):
        return False
    for number in range(complaint.at.line, 0, -1):
        if found := re.match(_DASHED, complaint.line_at(number)):
            refuse_dash(found[1], Span(Pos(number, found.start(1) + 1), len(found[1])), complaint.report)
            return True
        if re.match(r"\s*-\s|\S+:", complaint.line_at(number)):
            break
    return False


def refuse_dash(key: str, span: Span, report: Report) -> None:
    """Report a key such as `-name`."""
    report.error("E006", f"{shown(key + ':')} looks like a list item without a space", span, f"write - {key[1:]}:")


def _second_colon(complaint: _Complaint) -> bool:
    if not complaint.says("", "mapping values are not allowed"):
        return False
    before = complaint.line[: complaint.at.start.column - 1]
    if re.search(r":\s", before):
        return complaint.report_here(
            "E019", "a second ': ' in one value", "quote the whole value, or write a map as {key: value}"
        )
    return _indented(complaint, len(before) - len(before.lstrip()) + 1)


def _indented(complaint: _Complaint, column: int) -> bool:
    complaint.report.error(
        "E018",
        "this line is not indented as the lines above it say",
        Span(Pos(complaint.at.line, column)),
        "keys of one map stand exactly below each other, and a key with a value of its own has none below it",
    )
    return True


def _no_colon(complaint: _Complaint) -> bool:
    if not complaint.says("while scanning a simple key", "':'"):
        return False
    return complaint.report_since("E018", "this line has no ':'", "write  key: value")


def _block(complaint: _Complaint) -> bool:
    if not complaint.says("", "expected <block end>"):
        return False
    if complaint.says("", "'<scalar>'") and _after_quote(complaint):
        return complaint.report_here("E019", "text after a closing quote", "quote the whole value")
    if complaint.character in ("]", "}", ","):
        return complaint.report_here("E019", f"there is nothing that this {complaint.character} could end")
    return _indented(complaint, complaint.at.start.column)


def _after_quote(complaint: _Complaint) -> bool:
    return complaint.line[: complaint.at.start.column - 1].rstrip().endswith(("'", '"'))


def _flow(complaint: _Complaint) -> bool:
    if not complaint.says("while parsing a flow"):
        return False
    close = "]" if complaint.says("sequence") else "}"
    return complaint.report_here("E017", f"expected , or {close} here", "quote texts that hold one of [ ] { } ,")


def _document(complaint: _Complaint) -> bool:
    if not complaint.says("", "expected '<document start>'"):
        return False
    return complaint.report_here("E013", "this stands after the end of the document", "check the indentation")


_ATTEMPTS: Final[tuple[Callable[[_Complaint], bool], ...]] = (
    _star,
    _reference_in_flow,
    _tag,
    _escape,
    _wrong_start,
    _dashed_key,
    _never_closed,
    _second_colon,
    _no_colon,
    _block,
    _flow,
    _document,
)
