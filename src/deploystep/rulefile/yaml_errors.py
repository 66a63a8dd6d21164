"""What is wrong with a text before or while it is read as YAML, in words that a writer of rules understands.

First its size, and characters that hide or move what it says; then what PyYAML complains of, at the place where the
mistake is.
"""

import re
import unicodedata
from typing import Final

import yaml

from deploystep.core.source import Pos, SourceFile, Span
from deploystep.core.text import clipped, shown
from deploystep.rulefile.yaml_nodes import Report, Stopped

MAX_BYTES: Final = 1024 * 1024
BACKSLASH: Final = ("E003", "a backslash in double quotes is a YAML escape", "use single quotes or none around a regex")

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


def check_characters(source: SourceFile, report: Report, most: int = MAX_BYTES) -> None:
    """Raise Stopped after a report where the text cannot be given to the YAML parser."""
    size = len(source.text.encode("utf-8", "surrogatepass"))
    if size > most:
        report.stop("E008", f"the file has {size} bytes", _START, f"the limit is {most}")
    if source.text.replace("\n", "").isprintable():
        return  # none of the hidden ones is printable
    first = 1 if source.text.startswith("\ufeff") else 0  # a byte order mark is no part of the text
    found = {m[0]: m.start() for m in reversed(list(_HIDDEN.finditer(source.text, first)))}
    for character, index in found.items():
        name = unicodedata.name(character, "").lower()
        what = f"the invisible character U+{ord(character):04X}" + (f" ({name})" if name else "")
        report.error("E007", f"{what} is not allowed here", Span(_place(source.text, index)), "remove it")
    if found:
        raise Stopped


def _place(text: str, index: int) -> Pos:
    before = text[:index]
    return Pos(before.count("\n") + 1, index - before.rfind("\n"))


def explain(error: Exception, source: SourceFile, report: Report) -> None:
    """Report one error of PyYAML, which stops at the first."""
    if isinstance(error, yaml.MarkedYAMLError):
        complaint = _Complaint(error, source, report)
        any(explain_one(complaint) for explain_one in (_explain_start, _explain_flow, _explain_dash, _explain_rest))
    # PyYAML makes a character of an escape such as `\Uffffffff` without looking
    elif found := re.search(r"\\U(?!000|0010)[0-9A-Fa-f]{8}", source.text):
        place = Span(_place(source.text, found.start()), len(found[0]))
        report.error("E003", f"there is no character {found[0]}", place)
    else:
        report.error("E001", "this cannot be read as YAML", _START)


def refuse_star(source: SourceFile, start: Pos, report: Report) -> None:
    """Report a value that begins with `*` and stands without quotes."""
    written = _written(source, start)
    hint = f'write "{clipped(written)}"'
    report.error("E002", "a value that begins with * must be quoted", Span(start, len(written)), hint)


def refuse_negation(written: str, start: Pos, report: Report) -> None:
    """Report a value that begins with `!`: YAML takes it for a tag, its author meant "not"."""
    text = re.sub(_FLOW_END, "", written).rstrip()
    hint = f"quote it: {shown(text)}; patterns are not negated with ! here, use unless: or ignore:"
    report.error("E010", f"{shown(text)} is read by YAML as a tag", Span(start, len(text)), hint)


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
        self.words = f"{error.context or ''}: {error.problem or ''}"
        self.source = source
        self.report = report
        self.lines = ["", *source.text.replace("\r", "").split("\n"), ""]  # counted from 1 as well
        marks = error.context_mark or error.problem_mark, error.problem_mark or error.context_mark
        self.since, self.at = (Pos(mark.line + 1, mark.column + 1) if mark else _START.start for mark in marks)
        line = self.lines[self.at.line]
        self.before, self.character = line[: self.at.column - 1], line[self.at.column - 1 :][:1]

    def says(self, words: str) -> bool:
        """Whether PyYAML's words, its context before its problem, hold these; a regex."""
        return re.search(words, self.words) is not None

    def error(self, code: str, message: str, hint: str = "", start: Pos | None = None, width: int = 1) -> bool:
        """Report, at the place of the problem where no other is named; the complaint is then explained."""
        self.report.error(code, message, Span(start or self.at, width), hint)
        return True


def _explain_start(complaint: _Complaint) -> bool:
    """Something that no value may begin with."""
    source, since = complaint.source, complaint.since
    if complaint.says("while scanning an alias"):
        refuse_star(source, since, complaint.report)
    elif complaint.says("while scanning a tag|tag handle"):
        refuse_negation(_written(source, since), since, complaint.report)
    elif complaint.says("cannot start any token|while scanning an anchor|block scalar.*(chomping|indentation)"):
        start = complaint.at if complaint.says("cannot start any token") else since
        if start is complaint.at and complaint.character == "\t":
            return complaint.error("E004", "a tab where YAML wants spaces")
        written = _written(source, start)
        what = f"a value that begins with {written[:1]} must be quoted"
        complaint.error("E020", what, f"write '{clipped(written)}'", start, len(written))
    else:
        return False
    return True


def _explain_flow(complaint: _Complaint) -> bool:
    """A list or map in brackets."""
    if not complaint.says("while parsing a flow"):
        return False
    source, since, at = complaint.source, complaint.since, complaint.at
    if complaint.before.endswith("$") and complaint.character == "{":
        return complaint.error("E005", "${…} inside { } or [ ] must be quoted", "", Pos(at.line, at.column - 1), 2)
    # the tag of a `!pattern` takes in the bracket, so that the error comes a line late
    for number in range(since.line, at.line + 1):
        begin = since.column if number == since.line else 0
        if found := re.search(r"(?:^|[\[{,:]\s*|\s)(!)\S", complaint.lines[number][begin:]):
            tag = Pos(number, begin + found.start(1) + 1)
            refuse_negation(_written(source, tag), tag, complaint.report)
            return True
    if complaint.says("flow node"):  # then PyYAML does not say which bracket it stands in
        text, opened = "\n".join([*complaint.lines[1 : since.line], complaint.before]), [0]
        for found in re.finditer(r"[\[\]{}]", text):
            opened = [*opened, found.start()] if found[0] in "[{" else opened[:-1] or [0]
        since = _place(text, opened[-1])
    bracket = complaint.lines[since.line][since.column - 1 :][:1]
    close = {"[": "]"}.get(bracket, "}")
    if complaint.says("stream end") or at.line > since.line:
        return complaint.error("E017", f"this {bracket} is never closed", f"add {close}", since)
    return complaint.error("E017", f"expected , or {close} here", "quote texts that hold one of [ ] { } ,")


def _explain_dash(complaint: _Complaint) -> bool:
    """`-name:` has become a key or a text, and what follows does not fit."""
    for number in range(complaint.at.line, 0, -1) if complaint.says("mapping values|block end|simple key") else ():
        line = complaint.lines[number]
        if found := re.match(_DASHED, line):
            refuse_dash(found[1], Span(Pos(number, found.start(1) + 1), len(found[1])), complaint.report)
            return True
        if re.match(r"\s*-\s|\S+:", line):
            break
    return False


#: What PyYAML says, as a regex, and what that means; with True it is said where the thing began.
_MEANINGS: Final[tuple[tuple[str, tuple[str, str, str], bool], ...]] = (
    ("while scanning a double-quoted scalar.*escape", BACKSLASH, False),
    ("while scanning a quoted scalar", ("E017", "this quote is never closed", ""), True),
    ("while scanning a simple key.*':'", ("E018", "this line has no ':'", "write  key: value"), True),
    ("<document start>", ("E013", "this stands after the end of the document", "check the indentation"), False),
)


def _explain_rest(complaint: _Complaint) -> bool:
    """A line that does not fit to those above it, or what needs no look at the text."""
    before, place = complaint.before, complaint.at
    for words, meaning, is_at_start in _MEANINGS:
        if complaint.says(words):
            return complaint.error(*meaning, complaint.since if is_at_start else None)
    if complaint.says("mapping values are not allowed"):
        if re.search(r":\s", before):
            hint = "quote the whole value, or write a map as {key: value}"
            return complaint.error("E019", "a second ': ' in one value", hint)
        place = Pos(place.line, len(before) - len(before.lstrip()) + 1)
    elif not complaint.says("expected <block end>"):
        return complaint.error("E001", f"this cannot be read as YAML: {complaint.words.removeprefix(': ')}")
    elif complaint.character in ("]", "}", ","):
        return complaint.error("E019", f"there is nothing that this {complaint.character} could end")
    elif before.rstrip().endswith(("'", '"')):
        return complaint.error("E019", "text after a closing quote", "quote the whole value")
    hint = "keys of one map stand exactly below each other, and a key with a value of its own has none below it"
    return complaint.error("E018", "this line is not indented as the lines above it say", hint, place)
