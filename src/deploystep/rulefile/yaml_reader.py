"""Text to node tree by PyYAML, or what is wrong with the text, in words that a writer of rules understands.

PyYAML's events are read rather than its nodes: they keep the text as it was written, show every alias at the
place where it is used, and need no recursion, so that neither deep nesting nor an alias bomb can hurt.

libyaml gives the events where PyYAML was built with it, because it is many times faster. PyYAML's own parser is the
measure: it reads what the two read differently, and whatever there is something to say about.
"""

import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeAlias, cast

import yaml

from deploystep.core.errors import RuleFileInvalid
from deploystep.core.frozen import dataclass
from deploystep.core.source import Diagnostic, Pos, Severity, SourceFile, Span, Spanned, in_order
from deploystep.core.text import clipped, did_you_mean, shown, visible

_MOST_PROBLEMS: Final = 1_000
MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 40
#: How many nodes a file may stand for once each alias counts as what it repeats, if it has fewer characters. A file
#: without aliases has no more nodes than characters.
MAX_NODES: Final = 600_000
BACKSLASH: Final = ("E003", "a backslash in double quotes is a YAML escape", "use single quotes or none around a regex")

#: Control characters, line ends that only YAML knows, marks that turn the direction of text, what has no
#: width, and halves of characters. None of them shows as what it is; a rule must not read differently from
#: what it says. Tab, line feed, and carriage return before it, are for YAML to judge.
_HIDDEN: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069"
    r"\ud800-\udfff\ufeff\ufffe\uffff]|\r(?!\n)"
)
#: What libyaml reads in another way: tabs, a byte order mark, `? ` before a key, a comment that touches `|` or `>`.
_UNLIKE: Final = re.compile(r"\t|^\ufeff|(?:^|[\s,\[{])\?(?:[\s,\]}]|$)|[|>][-+0-9]*#")
_NEGATED: Final = re.compile(r"[\s\[{,:]!(?=\S)")
_DASHED: Final = re.compile(r"-(?=[A-Za-z_])")
_DASHED_LINE: Final = re.compile(r"(?m)^[ ]*(-[A-Za-z_][A-Za-z0-9_-]*):(?:\s|$)")
_Start: TypeAlias = yaml.SequenceStartEvent | yaml.MappingStartEvent


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar. `is_plain`: it is neither quoted nor a block. `is_quoted`: its place begins with the quote.

    `is_refused`: it has no value, and the report says why.
    """

    value: str
    span: Span
    is_plain: bool = True
    is_quoted: bool = False
    is_refused: bool = False

    @property
    def is_null(self) -> bool:
        """Whether nothing is written here, in one of YAML's ways to write nothing."""
        return self.value in ("", "~", "null", "Null", "NULL") and self.is_plain and not self.is_refused

    @property
    def inner(self) -> Span:
        """The place of its characters, if it has some."""
        start, width = self.span
        is_inner = self.is_quoted and self.value
        return Span(Pos(start.line, start.column + 1), max(width - 2, 1)) if is_inner else self.span

    @property
    def spanned(self) -> Spanned[str]:
        """The value and the place of its characters."""
        return Spanned(self.value, self.inner)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of nodes."""

    items: tuple["Node", ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Map:
    """Keys and values in the order written; no key occurs twice."""

    entries: tuple[tuple[Text, "Node"], ...]
    span: Span


Node: TypeAlias = Text | Sequence | Map


class Stopped(Exception):
    """There is no use in reading on: the report says why, or it says more than anybody reads."""


class Report:
    """Collects what is wrong, so that one run shows everything that one can look at."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.errors = 0

    def error(self, code: str, message: str, span: Span, hint: str = "", severity: Severity = Severity.ERROR) -> None:
        """Note something that makes the file unusable. Raises Stopped with the last that is noted."""
        self.errors += severity is Severity.ERROR
        self.diagnostics.append(Diagnostic(code, visible(message), span, visible(hint), severity))
        if len(self.diagnostics) >= _MOST_PROBLEMS:
            raise Stopped

    def warning(self, code: str, message: str, span: Span, hint: str = "") -> None:
        """Note something suspicious. Raises Stopped as well."""
        self.error(code, message, span, hint, Severity.WARNING)

    def stop(self, code: str, message: str, span: Span, hint: str = "") -> NoReturn:
        """Note something after which there is no use in reading on."""
        self.error(code, message, span, hint)
        raise Stopped

    def check_known(
        self, code: str, what: str, names: Iterable[Spanned[str]], known: Iterable[str], otherwise: str = "known: none"
    ) -> None:
        """Note each name that is not known; `otherwise` is the hint where none is."""
        for name in (name for name in names if name.value not in known):
            hint = did_you_mean(name.value, known, f"known: {', '.join(known)}" if known else otherwise)
            self.error(code, f"{what} {shown(name.value)}", name.span, hint)

    def refusal(self, source: SourceFile) -> RuleFileInvalid:
        """The error that carries all that was found to make the file unusable."""
        errors = in_order(self.diagnostics)
        count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
        return RuleFileInvalid("rules-invalid", f"{count} in {source.path}", source=source, diagnostics=errors)


def read(source: SourceFile, report: Report, begins: str, *, most: int = MAX_BYTES) -> Node:
    """The file's tree. Raises Stopped where it has none, which the report then explains.

    `begins` tells the writer of an empty file how one begins; the file may have `most` bytes.
    """
    _check_characters(source, report, most)
    loader, quick = getattr(yaml, "CSafeLoader", None), _Builder(source, Report())
    if loader is not None and not _UNLIKE.search(source.text):
        with suppress(yaml.YAMLError, ValueError, Stopped):
            quick.build(loader)
            if quick.root is not None and not (quick.report.errors or quick.is_unlike):
                return quick.root
    builder = _Builder(source, report)
    try:
        builder.build(yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # a tag such as !main takes in what follows, and is the cause of the syntax error after it
        if all(diagnostic.code != "E010" for diagnostic in report.diagnostics):
            _explain(error, source, report)
        raise Stopped from None
    if builder.is_broken:
        raise Stopped
    if builder.root is None:
        report.stop("E014", "the file is empty", Span(Pos(1, 1)), f"it begins with  {begins}")
    return builder.root


def _check_characters(source: SourceFile, report: Report, most: int) -> None:
    """Raise Stopped after a report where the text cannot be given to the YAML parser."""
    size = len(source.text.encode("utf-8", "surrogatepass"))
    if size > most:
        report.stop("E008", f"the file has {size} bytes", Span(Pos(1, 1)), f"the limit is {most}")
    if source.text.replace("\n", "").isprintable():
        return  # none of the hidden ones is printable
    first = 1 if source.text.startswith("\ufeff") else 0  # a byte order mark is no part of the text
    found = {m[0]: m.start() for m in reversed(list(_HIDDEN.finditer(source.text, first)))}
    for character, index in found.items():
        name = unicodedata.name(character, "").lower()
        what = f"the invisible character U+{ord(character):04X}" + (f" ({name})" if name else "")
        report.error("E007", f"{what} is not allowed here", Span(_place(source, index)), "remove it")
    if found:
        raise Stopped


class _Builder:
    """Puts the tree together, event by event.

    `is_unlike` after an event that only libyaml gives, `is_broken` after a key for which the tree has no place.
    `open` are the lists and maps whose end has not been read, each with its nodes so far and the count before it.
    """

    def __init__(self, source: SourceFile, report: Report) -> None:
        self.source, self.report = source, report
        self.is_unlike = self.is_broken = False
        self.root: Node | None = None
        self.open: list[tuple[_Start, list[Node], int]] = []
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.count = 0  # of nodes; an alias counts as all that it repeats

    def build(self, loader: Any) -> None:
        """Take the parser's events. Raises Stopped after a report, or what the parser raises."""
        for event in yaml.parse(self.source.text, Loader=loader):
            if isinstance(event, yaml.ScalarEvent):
                self._add(self._text(event), 1, event.anchor, self.count)
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                self._refuse_tag(event)
                self.anchors.pop(event.anchor or "", None)  # nothing stands inside of what it repeats
                self.open.append((event, [], self.count))
                if len(self.open) > MAX_DEPTH:
                    self.report.stop("E009", "nested too deeply", Span(_span(event).start))
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                start, nodes, before = self.open.pop()
                make = self._map if isinstance(event, yaml.MappingEndEvent) else Sequence
                self._add(make(tuple(nodes), Span(_span(start).start)), 1, start.anchor, before)
            elif isinstance(event, yaml.AliasEvent):
                span = _span(event)
                if event.anchor not in self.anchors:
                    _refuse_start(self.source, span.start, self.report)
                self._add(*self.anchors.get(event.anchor or "", (Text("", span, is_refused=True), 1)))
            elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
                self.report.stop("E013", "a second YAML document begins here", _span(event), "keep one; remove '---'")
        if isinstance(self.root, Text) and self.root.is_null:
            self.root = None

    def _add(self, node: Node, size: int, anchor: str | None = None, before: int = 0) -> None:
        self.count += size
        if anchor is not None:
            self.anchors[anchor] = node, self.count - before
        if self.count > max(MAX_NODES, len(self.source.text)):
            self.report.stop("E015", "the aliases in this file repeat too much", node.span, "write it out")
        if self.open:
            self.open[-1][1].append(node)
        else:
            self.root = node

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None:
            _refuse_start(self.source, _span(event).start, self.report)

    def _text(self, event: yaml.ScalarEvent) -> Text:
        before = self.report.errors
        self._refuse_tag(event)
        span, value, is_plain = _span(event), event.value, not event.style
        if not value.isascii():  # pairs like `\ud83d\ude00`, as JSON escapes them, are the one character they mean
            try:
                value = value.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                self.report.error("E007", "half a character cannot be written here", span, "write the whole character")
        self.is_unlike |= is_plain and "?" in value and bool(self.open and self.open[-1][0].flow_style)
        is_quoted = event.style in ("'", '"') and event.anchor is None
        return Text(value, span, is_plain, is_quoted, self.report.errors > before)

    def _map(self, nodes: tuple[Node, ...], span: Span) -> Map:
        entries: dict[str | Span, tuple[Text, Node]] = {}
        for key, value in zip(nodes[::2], nodes[1::2], strict=True):
            if not isinstance(key, Text):
                self.report.error("E101", "a key must be a text", key.span)
            elif key.value == "<<" and key.is_plain:
                hint = "write the keys out, or use targets:"
                self.report.error("E012", "merge keys (<<) are not supported", key.span, hint)
            elif _DASHED.match(key.value) and key.is_plain:
                _refuse_dash(key.value, key.span, self.report)
            elif key.value in entries and not key.is_refused:
                line = entries[key.value][0].span.line
                self.report.error("E105", f"{shown(key.value)} is given twice", key.span, f"first on line {line}")
                continue
            else:
                # a value that was left out has no place of its own: it is shown at its key
                is_left_out = isinstance(value, Text) and value.is_null and not value.value
                name = key.span if key.is_refused else key.value
                entries[name] = key, Text("", key.span) if is_left_out else value
                continue
            self.is_broken = True
        return Map(tuple(entries.values()), span)


def _span(event: yaml.Event) -> Span:
    """Where an event's text is: to its end, or to the end of its first line."""
    start, end = cast("yaml.Mark", event.start_mark), cast("yaml.Mark", event.end_mark)
    width = end.column - start.column if end.line == start.line else 1
    return Span(Pos(start.line + 1, start.column + 1), max(width, 1))


def _place(source: SourceFile, index: int) -> Pos:
    before = source.text[:index]
    return Pos(before.count("\n") + 1, index - before.rfind("\n"))


# --- what is wrong


def _explain(error: Exception, source: SourceFile, report: Report) -> None:
    """Report one error of PyYAML, which stops at the first."""
    met = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if not isinstance(error, yaml.MarkedYAMLError) or met is None:
        report.error(
            "E001", "this cannot be read as YAML", Span(Pos(1, 1)), "look for a \\U in double quotes, or a %YAML"
        )
        return
    words = ": ".join(part for part in (error.context, error.problem) if part)
    begun = error.context_mark or met
    at, since = (Pos(mark.line + 1, mark.column + 1) for mark in (met, begun))
    read, rest = source.text[: met.index], source.text[met.index :]
    if re.search("while scanning an alias|while scanning a tag|tag handle", words):
        _refuse_start(source, since, report)
    elif re.search("double-quoted scalar.*escape", words):
        code, message, hint = BACKSLASH
        report.error(code, message, Span(at), hint)
    elif "cannot start any token" in words and rest.startswith("\t"):
        report.error("E004", "a tab where YAML wants spaces", Span(at))
    elif read.endswith("$") and rest.startswith("{"):
        report.error("E005", "${…} inside { } or [ ] must be quoted", Span(Pos(at.line, at.column - 1), 2))
    elif "while parsing a flow" in words and (found := _NEGATED.search(source.text, begun.index - 1, met.index)):
        # the tag of a `!pattern` takes in the bracket, so that the error comes late
        _refuse_start(source, _place(source, found.end() - 1), report)
    elif re.search("mapping values|block end|simple key", words) and (dashed := _DASHED_LINE.search(read)):
        _refuse_dash(dashed[1], Span(_place(source, dashed.start(1)), len(dashed[1])), report)
    elif "expected '<document start>'" in words:
        report.error("E013", "this stands after the end of the document", Span(at), "check the indentation")
    elif "while parsing a flow" in words and "flow node" not in words and (at.line > since.line or not rest):
        bracket = source.text[begun.index]
        report.error("E017", f"this {bracket} is never closed", Span(since), f"add {']' if bracket == '[' else '}'}")
    else:
        begins = f"; what it belongs to begins on line {since.line}" if since.line < at.line else ""
        hint = f"quote texts with special characters, and check indentation and brackets{begins}"
        report.error("E001", f"this cannot be read as YAML: {words}", Span(at), hint)


def _refuse_start(source: SourceFile, start: Pos, report: Report) -> None:
    """Report a value that begins with `*` or `!`, as far as its author probably meant it, and stands without quotes."""
    written = re.sub(r"[,\[\]{}].*|:\s.*|\s#.*", "", source.line(start.line)[start.column - 1 :]).rstrip()
    if written.startswith("*"):
        hint = f'write "{clipped(written)}"'
        report.error("E002", "a value that begins with * must be quoted", Span(start, len(written)), hint)
    else:  # YAML takes it for a tag, its author meant "not"
        hint = f"quote it: {shown(written)}; patterns are not negated with ! here, use unless: or ignore:"
        report.error("E010", f"{shown(written)} is read by YAML as a tag", Span(start, len(written)), hint)


def _refuse_dash(key: str, span: Span, report: Report) -> None:
    """Report a key such as `-name`."""
    report.error("E006", f"{shown(key + ':')} looks like a list item without a space", span, f"write - {key[1:]}:")
