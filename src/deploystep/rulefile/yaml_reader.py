"""Text to node tree by PyYAML, or what is wrong with the text.

PyYAML's events are read rather than its nodes: they keep the text as it was written, show every alias at the
place where it is used, and need no recursion, so that neither deep nesting nor an alias bomb can hurt.

libyaml gives the events where PyYAML was built with it, because it is many times faster. PyYAML's own parser is the
measure: it reads what the two read differently, and whatever there is something to say about.
"""

import re
from collections.abc import Iterator
from typing import Final, TypeGuard, cast

import yaml

from deploystep.core.source import Pos, SourceFile, Span
from deploystep.rulefile import yaml_errors
from deploystep.rulefile.yaml_nodes import Entry, Map, Node, Report, Sequence, Style, Text, TooManyProblems, shown

MAX_DEPTH: Final = 40
#: How many nodes a file may stand for once each alias counts as what it repeats, if it has fewer characters. A file
#: without aliases has no more nodes than characters.
MAX_NODES: Final = 600_000

_MERGE: Final = "<<"
_PROPERTIES: Final = re.compile(r"(?:[&!]\S*\s(?:\s|#[^\n]*\n)*)+")
_SURROGATES: Final = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")
#: What libyaml reads in another way: tabs, a byte order mark, `? ` before a key, a comment that touches `|` or `>`.
_UNLIKE: Final = re.compile(r"\t|^\ufeff|(?:^|[\s,\[{])\?(?:[\s,\]}]|$)|[|>][-+0-9]*#")


def read(source: SourceFile, report: Report, begins: str, *, most: int = yaml_errors.MAX_BYTES) -> Node | None:
    """The file's tree; None where it has none, which the report then explains.

    `begins` tells the writer of an empty file how one begins; the file may have `most` bytes.
    """
    if not yaml_errors.check_characters(source, report, most):
        return None
    root = _read_fast(source)
    if root is not None:
        return root
    builder = _Builder(source, report)
    try:
        builder.build(yaml.parse(source.text, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # a tag such as !main takes in what follows, and is the cause of the syntax error after it
        if not any(d.code == "E010" for d in report.diagnostics):
            yaml_errors.explain(error, source, report)
        return None
    if builder.stopped:
        return None
    if _is_nothing(builder.root):
        report.error("E014", "the file is empty", Span(Pos(1, 1)), f"it begins with  {begins}")
        return None
    return builder.root


def _read_fast(source: SourceFile) -> Node | None:
    """The tree by libyaml; None where it may not be right, or where there is something to say about the text."""
    loader = getattr(yaml, "CSafeLoader", None)
    if loader is None or _UNLIKE.search(source.text):
        return None
    builder = _Builder(source, Report())
    try:
        builder.build(yaml.parse(source.text, Loader=loader))
    except (yaml.YAMLError, ValueError, TooManyProblems):
        return None
    is_good = not builder.report.diagnostics and not builder.is_unlike and not _is_nothing(builder.root)
    return builder.root if is_good else None


def _is_nothing(root: Node | None) -> bool:
    return root is None or (isinstance(root, Text) and root.is_null)


class _Open:
    """A list or map whose end has not been read."""

    __slots__ = ("anchor", "is_flow", "is_map", "nodes", "size", "span")

    def __init__(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        self.span = Span(_pos(_marks(event)[0]))
        self.anchor = event.anchor
        self.is_flow = event.flow_style
        self.is_map = isinstance(event, yaml.MappingStartEvent)
        self.nodes: list[Node] = []
        self.size = 1


class _Builder:
    """Puts the tree together, event by event.

    `is_unlike` after an event that only libyaml gives.
    """

    def __init__(self, source: SourceFile, report: Report) -> None:
        self.source = source
        self.report = report
        self.stopped = False
        self.is_unlike = False
        self.documents = 0
        self.root: Node | None = None
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int]] = {}

    def build(self, events: Iterator[yaml.Event]) -> None:
        """Take the events until the end, or until there is no use in going on."""
        for event in events:
            if isinstance(event, yaml.ScalarEvent):
                self._add(self._text(event, refused=self._refuse_tag(event)), 1, event.anchor)
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                self._begin(event)
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                self._end()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                self._document(event)
            if self.stopped:
                return

    def _stop(self, code: str, message: str, span: Span, hint: str = "") -> None:
        self.report.error(code, message, span, hint)
        self.stopped = True

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            self._stop("E013", "a second YAML document begins here", _span(event), "keep one; remove the '---'")

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> bool:
        if event.tag is None:
            return False
        start, _ = _marks(event)
        # PyYAML hands out the long form of a tag
        found = re.compile(r"(?:&\S+\s+)?(!\S*)").match(self.source.text, start.index)
        written = found[1] if found else str(event.tag)
        span = Span(_pos(start), len(written))
        if written.startswith("!!") or written in ("!", "!<"):
            self.report.error(
                "E011", f"{shown(written)} is a YAML tag, which this file has no use for", span, "remove it"
            )
        else:
            yaml_errors.refuse_negation(written, span, self.report)
        return True

    def _text(self, event: yaml.ScalarEvent, *, refused: bool) -> Text:
        whole = _span(event)
        mark, end = _marks(event)
        raw = self.source.text[mark.index : end.index]
        if raw.startswith(("&", "!")) and (found := _PROPERTIES.match(raw)):
            whole = _after(mark, found[0], len(raw))
            raw = raw[found.end() :]
        value = event.value if event.value.isascii() else _joined(event.value)
        if event.style in ("'", '"'):
            inner = Span(Pos(whole.line, whole.start.column + 1), max(whole.width - 2, 1))
            return Text(value, Style.QUOTED, whole, inner, raw[1:-1] == value, refused)
        if "?" in raw and self.open and self.open[-1].is_flow:
            self.is_unlike = True
        style = Style.BLOCK if event.style in ("|", ">") else Style.PLAIN
        return Text(value, style, whole, whole, raw == value, refused)

    def _alias(self, event: yaml.AliasEvent) -> None:
        name = str(event.anchor)
        span = _span(event)
        if any(part.anchor == name for part in self.open):
            self._stop("E015", f"*{name} stands inside of what it repeats", span)
        elif name in self.anchors:
            self._add(*self.anchors[name], None)
        else:
            yaml_errors.refuse_star(self.source, span, self.report)
            self._add(Text("", Style.PLAIN, span, span, exact=False, is_refused=True), 1, None)

    def _begin(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        self._refuse_tag(event)
        self.open.append(_Open(event))
        if len(self.open) > MAX_DEPTH:
            self._stop("E009", "nested too deeply", self.open[-1].span)

    def _end(self) -> None:
        done = self.open.pop()
        node = self._map(done) if done.is_map else Sequence(tuple(done.nodes), done.span)
        self._add(node, done.size, done.anchor)

    def _add(self, node: Node, size: int, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = node, size
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        parent.nodes.append(node)
        parent.size += size
        if parent.size > max(MAX_NODES, len(self.source.text)):
            self._stop("E015", "the aliases in this file repeat too much", node.span, "write it out")

    def _map(self, done: _Open) -> Map:
        first: dict[str, Text] = {}
        entries: list[Entry] = []
        keys = done.nodes[::2]
        for key, value in zip(keys, done.nodes[1::2], strict=True):
            if self._is_key(key, first):
                first[key.value] = key
                entries.append(Entry(key, _at_key(key, value)))
        # a key that is given twice is there; one that could not be read may be anything
        lost = any(not isinstance(key, Text) or key.is_refused or key.value == _MERGE for key in keys)
        return Map(tuple(entries), done.span, lost)

    def _is_key(self, key: Node, first: dict[str, Text]) -> TypeGuard[Text]:
        if not isinstance(key, Text):
            self.report.error("E101", "a key must be a text", key.span)
        elif key.is_refused:
            pass
        elif key.value == _MERGE and key.style is Style.PLAIN:
            self.report.error(
                "E012", "merge keys (<<) are not supported", key.span, "write the keys out, or use targets:"
            )
        elif key.value in first:
            line = first[key.value].span.line
            self.report.error("E105", f"{shown(key.value)} is given twice", key.span, f"first on line {line}")
        else:
            return True
        return False


def _at_key(key: Text, value: Node) -> Node:
    """A value that was left out has no place of its own: it is shown at its key."""
    if isinstance(value, Text) and value.value == "" and value.style is Style.PLAIN and not value.is_refused:
        return Text("", Style.PLAIN, key.span, key.span, exact=False)
    return value


def _joined(value: str) -> str:
    r"""A text in which pairs like `\ud83d\ude00`, as JSON escapes them, are the one character they mean."""
    return _SURROGATES.sub(lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), value)


def _after(mark: yaml.Mark, properties: str, width: int) -> Span:
    """The place behind an anchor, which may stand on a line of its own."""
    lines = properties.split("\n")
    column = len(lines[-1]) + (mark.column if len(lines) == 1 else 0)
    return Span(Pos(mark.line + len(lines), column + 1), max(width - len(properties), 1))


def _span(event: yaml.Event) -> Span:
    """Where an event's text is: to its end, or to the end of its first line."""
    start, end = _marks(event)
    width = end.column - start.column if end.line == start.line else 1
    return Span(_pos(start), max(width, 1))


def _marks(event: yaml.Event) -> tuple[yaml.Mark, yaml.Mark]:
    """Beginning and end; both parsers give every event both."""
    return cast("yaml.Mark", event.start_mark), cast("yaml.Mark", event.end_mark)


def _pos(mark: yaml.Mark) -> Pos:
    return Pos(mark.line + 1, mark.column + 1)
