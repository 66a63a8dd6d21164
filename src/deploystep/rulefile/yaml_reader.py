"""Text to nodes, by PyYAML's events, which keep it as it was written; or what is wrong with it, in plain words."""

import re
import unicodedata
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeAlias

import yaml

from deploystep.core.errors import RuleFileInvalid
from deploystep.core.frozen import Frozen
from deploystep.core.source import Diagnostic, Pos, Severity, SourceFile, Span, clipped, in_order, shown, visible

_START: Final = Span(Pos(1, 1))
MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 40
#: How many nodes a file may stand for once each alias counts as what it repeats, if it has fewer characters.
MAX_NODES: Final = 600_000
BACKSLASH: Final = ("E003", "a backslash in double quotes is a YAML escape", "use single quotes or none around a regex")

#: What does not show as what it is: control characters, line ends that only YAML knows, marks that turn the direction
#: of text, what has no width (but a byte order mark at the start), halves of characters. Tabs and line ends are YAML's.
_HIDDEN: Final = (
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069"
    r"\ud800-\udfff\ufeff\ufffe\uffff]|\r(?!\n)"
)


class Text(Frozen):
    """A scalar."""

    value: str
    span: Span
    inner: Span  # the place of its characters without quotes
    is_plain: bool = True  # neither quoted nor a block
    is_refused: bool = False  # it has no value, and the report says why

    @property
    def is_null(self) -> bool:
        """Whether nothing is written here, in one of YAML's ways to write nothing."""
        return self.value in ("", "~", "null", "Null", "NULL") and self.is_plain and not self.is_refused


class Sequence(Frozen):
    """A list of nodes."""

    items: tuple["Node", ...]
    span: Span


class Map(Frozen):
    """Keys and values in the order written; no key occurs twice. Where it is not whole, some were refused."""

    entries: tuple[tuple[Text, "Node"], ...]
    span: Span
    is_whole: bool = True


Node: TypeAlias = Text | Sequence | Map


class Stopped(Exception):
    """There is no use in reading on: the report says why, or it says more than anybody reads."""


class Report:
    """Collects what is wrong, so that one run shows everything that one can look at."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.errors = 0

    def add(self, code: str, message: str, span: Span, hint: str = "") -> None:
        """Note something suspicious (W…), or that makes the file unusable. Raises Stopped with the last it takes."""
        severity = Severity.WARNING if code.startswith("W") else Severity.ERROR
        self.errors += severity is Severity.ERROR
        self.diagnostics.append(Diagnostic(code, visible(message), span, visible(hint), severity))
        if len(self.diagnostics) >= 1_000:  # noqa: PLR2004
            raise Stopped

    def stop(self, code: str, message: str, span: Span, hint: str = "") -> NoReturn:
        """Note something after which there is no use in reading on."""
        self.add(code, message, span, hint)
        raise Stopped

    def refusal(self, source: SourceFile) -> RuleFileInvalid:
        """The error that carries all that was found to make the file unusable."""
        errors = in_order(self.diagnostics)
        count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
        return RuleFileInvalid("rules-invalid", f"{count} in {source.path}", source=source, diagnostics=errors)


def read(source: SourceFile, report: Report, begins: str, *, most: int = MAX_BYTES) -> Node:
    """The file's tree, which begins as `begins` shows, of `most` bytes. Raises Stopped after a report."""
    size = len(source.text.encode("utf-8", "surrogatepass"))
    if size > most:
        report.stop("E008", f"the file has {size} bytes", _START, f"the limit is {most}")
    is_plain = source.text.replace("\n", "").isprintable()  # as none of the hidden ones is
    found = [] if is_plain else list(re.compile(_HIDDEN).finditer(source.text, source.text.startswith("\ufeff")))
    for character, index in {hidden[0]: hidden.start() for hidden in reversed(found)}.items():
        name = unicodedata.name(character, "a control character").lower()
        what = f"the invisible character U+{ord(character):04X} ({name}) is not allowed here"
        report.add("E007", what, Span(_place(source, index)), "remove it")
    if found:
        raise Stopped
    quick = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    # what libyaml reads in another way: tabs, a byte order mark, `?`, a comment that touches `|` or `>`
    if size <= MAX_BYTES and not re.search(r"[\t?]|^\ufeff|[|>][-+0-9]*#", source.text):
        # libyaml is many times as fast, and tells less: where it finds a fault, PyYAML's own parser reads again
        trial = Report()
        with suppress(Stopped):
            root = _compose(source, trial, begins, quick)
            if not trial.errors:
                return root
    return _compose(source, report, begins, quick if size > MAX_BYTES else yaml.SafeLoader)


def _compose(source: SourceFile, report: Report, begins: str, loader: Any) -> Node:
    """The tree that one of PyYAML's parsers finds. Raises Stopped after a report."""
    composer, root = _Composer(source, report, loader), None
    try:
        for event in composer.events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                report.stop("E013", "a second YAML document begins here", _span(event), "keep one; remove '---'")
            elif isinstance(event, yaml.NodeEvent):
                root = composer.node(event, 1)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # a tag such as !main takes in what follows, and is the cause of the syntax error after it
        if all(diagnostic.code != "E010" for diagnostic in report.diagnostics):
            _explain(error, source, report)
        raise Stopped from None
    if root is None or (isinstance(root, Text) and root.is_null):
        report.stop("E014", "the file is empty", _START, f"it begins with  {begins}")
    return root


class _Composer:
    """Puts the tree together from PyYAML's events; `count` is of nodes, where an alias counts as all it repeats."""

    def __init__(self, source: SourceFile, report: Report, loader: Any) -> None:
        self.source, self.report, self.count = source, report, 0
        self.events: Any = yaml.parse(source.text, Loader=loader)
        self.anchors: dict[str | None, tuple[Node, int]] = {}

    def node(self, event: Any, depth: int) -> Node:
        span, before, errors = _span(event), self.count, self.report.errors
        if isinstance(event, yaml.AliasEvent):
            known, size = self.anchors.get(event.anchor, (Text("", span, span, is_refused=True), 0))
            self.count += size
            if not size:
                _refuse_start(self.source, span.start, self.report)
            elif self.count > max(MAX_NODES, len(self.source.text)):
                self.report.stop("E015", "the aliases in this file repeat too much", span, "write it out")
            return known
        self.count += 1
        if event.tag is not None:
            _refuse_start(self.source, span.start, self.report)
        if isinstance(event, yaml.ScalarEvent):
            node: Node = self._text(event, span, errors)
        else:
            if depth > MAX_DEPTH:
                self.report.stop("E009", "nested too deeply", Span(span.start))
            self.anchors.pop(event.anchor, None)  # nothing stands inside of what it repeats
            nodes: list[Node] = []
            while not isinstance(inner := next(self.events), yaml.CollectionEndEvent):
                nodes.append(self.node(inner, depth + 1))
            make = self._map if isinstance(event, yaml.MappingStartEvent) else Sequence
            node = make(tuple(nodes), Span(span.start))
        if event.anchor is not None:
            self.anchors[event.anchor] = node, self.count - before
        return node

    def _text(self, event: yaml.ScalarEvent, span: Span, errors: int) -> Text:
        value, inner = event.value, span
        try:  # pairs like `\ud83d\ude00`, as JSON escapes them, are the one character they mean
            value = value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.report.add("E007", "half a character cannot be written here", span, "write the whole character")
        if value and event.style in ("'", '"') and event.anchor is None:
            inner = Span(Pos(span.line, span.start.column + 1), max(span.width - 2, 1))
        return Text(value, span, inner, not event.style, self.report.errors > errors)

    def _map(self, nodes: tuple[Node, ...], span: Span) -> Map:
        entries: dict[str, tuple[Text, Node]] = {}
        for key, value in zip(nodes[::2], nodes[1::2], strict=True):
            if not isinstance(key, Text):
                self.report.add("E101", "a key must be a text", key.span)
            elif key.value == "<<" and key.is_plain:
                self.report.add("E012", "merge keys (<<) are not supported", key.span, "write the keys out")
            elif key.is_plain and re.match("-[A-Za-z_]", key.value):
                _refuse_dash(key.value, key.span, self.report)
            elif key.value in entries and not key.is_refused:
                line = entries[key.value][0].span.line
                self.report.add("E105", f"{shown(key.value)} is given twice", key.span, f"first on line {line}")
            elif not key.is_refused:
                # a value that was left out has no place of its own: it is shown at its key
                is_left_out = isinstance(value, Text) and value.is_null and not value.value
                entries[key.value] = key, Text("", key.span, key.span) if is_left_out else value
        return Map(tuple(entries.values()), span, 2 * len(entries) == len(nodes))


def _span(event: Any) -> Span:
    """Where an event's text is: to its end, or to the end of its first line."""
    start, end = event.start_mark, event.end_mark
    width = end.column - start.column if end.line == start.line else 1
    return Span(Pos(start.line + 1, start.column + 1), max(width, 1))


def _place(source: SourceFile, index: int) -> Pos:
    before = source.text[:index]
    return Pos(before.count("\n") + 1, index - before.rfind("\n"))


def _explain(error: Any, source: SourceFile, report: Report) -> None:
    """Report one error of PyYAML, which stops at the first."""
    met = getattr(error, "problem_mark", None)
    if met is None:
        report.stop("E001", "this cannot be read as YAML", _START, "look for a \\U in double quotes, or a %YAML")
    words = ": ".join(part for part in (error.context, error.problem) if part)
    begun = error.context_mark or met
    at, since = (Pos(mark.line + 1, mark.column + 1) for mark in (met, begun))
    read, rest = source.text[: met.index], source.text[met.index :]
    tag = re.compile(r"[\s\[{,:]!(?=\S)").search(source.text, begun.index - 1, met.index)
    dashed = re.search(r"(?m)^[ ]*(-[A-Za-z_][A-Za-z0-9_-]*):(?:\s|$)", read)
    if re.search("while scanning an alias|while scanning a tag|tag handle", words):
        _refuse_start(source, since, report)
    elif re.search("double-quoted scalar.*escape", words):
        report.add(BACKSLASH[0], BACKSLASH[1], Span(at), BACKSLASH[2])
    elif "cannot start any token" in words and rest.startswith("\t"):
        report.add("E004", "a tab where YAML wants spaces", Span(at))
    elif read.endswith("$") and rest.startswith("{"):
        report.add("E005", "${…} inside { } or [ ] must be quoted", Span(Pos(at.line, at.column - 1), 2))
    elif "while parsing a flow" in words and tag:
        # the tag of a `!pattern` takes in the bracket, so that the error comes late
        _refuse_start(source, _place(source, tag.end() - 1), report)
    elif re.search("mapping values|block end|simple key", words) and dashed:
        _refuse_dash(dashed[1], Span(_place(source, dashed.start(1)), len(dashed[1])), report)
    elif "expected '<document start>'" in words:
        report.add("E013", "this stands after the end of the document", Span(at), "check the indentation")
    elif "while parsing a flow" in words and "flow node" not in words and (at.line > since.line or not rest):
        bracket = source.text[begun.index]
        report.add("E017", f"this {bracket} is never closed", Span(since), f"add {']' if bracket == '[' else '}'}")
    else:
        begins = f"; what it belongs to begins on line {since.line}" if since.line < at.line else ""
        hint = f"quote texts with special characters, and check indentation and brackets{begins}"
        report.add("E001", f"this cannot be read as YAML: {words}", Span(at), hint)


def _refuse_start(source: SourceFile, start: Pos, report: Report) -> None:
    """Report a value that begins with `*` or `!`, as far as its author probably meant it, and stands without quotes."""
    written = re.sub(r"[,\[\]{}].*|:\s.*|\s#.*", "", source.line(start.line)[start.column - 1 :]).rstrip()
    if written.startswith("*"):
        hint = f'write "{clipped(written)}"'
        report.add("E002", "a value that begins with * must be quoted", Span(start, len(written)), hint)
    else:  # YAML takes it for a tag, its author meant "not"
        hint = f"quote it: {shown(written)}; patterns are not negated with ! here, use unless: or ignore:"
        report.add("E010", f"{shown(written)} is read by YAML as a tag", Span(start, len(written)), hint)


def _refuse_dash(key: str, span: Span, report: Report) -> None:
    report.stop("E006", f"{shown(key + ':')} looks like a list item without a space", span, f"write - {key[1:]}:")
