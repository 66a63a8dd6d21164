"""Text to node tree by PyYAML, or what is wrong with the text.

PyYAML's events are read rather than its nodes: they keep the text as it was written, show every alias at the
place where it is used, and need no recursion, so that neither deep nesting nor an alias bomb can hurt.

libyaml gives the events where PyYAML was built with it, because it is many times faster. PyYAML's own parser is the
measure: it reads what the two read differently, and whatever there is something to say about.
"""

import re
from contextlib import suppress
from typing import Any, Final, cast

import yaml

from deploystep.core.source import Pos, SourceFile, Span
from deploystep.core.text import shown
from deploystep.rulefile import yaml_errors
from deploystep.rulefile.yaml_nodes import Map, Node, Report, Sequence, Stopped, Text

MAX_DEPTH: Final = 40
#: How many nodes a file may stand for once each alias counts as what it repeats, if it has fewer characters. A file
#: without aliases has no more nodes than characters.
MAX_NODES: Final = 600_000

_TAG: Final = re.compile(r"(?:&\S+\s+)?(!\S*)")
_PROPERTIES: Final = re.compile(r"(?:[&!]\S*\s(?:\s|#[^\n]*\n)*)+")
_SURROGATES: Final = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")
#: What libyaml reads in another way: tabs, a byte order mark, `? ` before a key, a comment that touches `|` or `>`.
_UNLIKE: Final = re.compile(r"\t|^\ufeff|(?:^|[\s,\[{])\?(?:[\s,\]}]|$)|[|>][-+0-9]*#")


def read(source: SourceFile, report: Report, begins: str, *, most: int = yaml_errors.MAX_BYTES) -> Node:
    """The file's tree. Raises Stopped where it has none, which the report then explains.

    `begins` tells the writer of an empty file how one begins; the file may have `most` bytes.
    """
    yaml_errors.check_characters(source, report, most)
    loader, quick = getattr(yaml, "CSafeLoader", None), _Builder(source, Report())
    if loader is not None and not _UNLIKE.search(source.text):
        with suppress(yaml.YAMLError, ValueError, Stopped):
            quick.build(loader)
            if quick.root is not None and not (quick.report.diagnostics or quick.is_unlike):
                return quick.root
    builder = _Builder(source, report)
    try:
        builder.build(yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # a tag such as !main takes in what follows, and is the cause of the syntax error after it
        if not any(d.code == "E010" for d in report.diagnostics):
            yaml_errors.explain(error, source, report)
        raise Stopped from None
    if builder.root is None:
        report.stop("E014", "the file is empty", Span(Pos(1, 1)), f"it begins with  {begins}")
    return builder.root


class _Open:
    """A list or map whose end has not been read; `size` is how many nodes it stands for."""

    __slots__ = ("nodes", "size", "start")

    def __init__(self, start: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        self.start = start
        self.nodes: list[Node] = []
        self.size = 1


class _Builder:
    """Puts the tree together, event by event. `is_unlike` after an event that only libyaml gives."""

    def __init__(self, source: SourceFile, report: Report) -> None:
        self.source = source
        self.report = report
        self.is_unlike = False
        self.root: Node | None = None
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int]] = {}

    def build(self, loader: Any) -> None:
        """Take the parser's events. Raises Stopped after a report, or what the parser raises."""
        for event in yaml.parse(self.source.text, Loader=loader):
            if isinstance(event, yaml.ScalarEvent):
                self._add(self._text(event, refused=self._refuse_tag(event)), 1, event.anchor)
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                self._refuse_tag(event)
                self.open.append(_Open(event))
                if len(self.open) > MAX_DEPTH:
                    self.report.stop("E009", "nested too deeply", Span(_span(event).start))
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                done = self.open.pop()
                make = self._map if isinstance(event, yaml.MappingEndEvent) else Sequence
                self._add(make(tuple(done.nodes), Span(_span(done.start).start)), done.size, done.start.anchor)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
                self.report.stop(
                    "E013", "a second YAML document begins here", _span(event), "keep one; remove the '---'"
                )
        if isinstance(self.root, Text) and self.root.is_null:
            self.root = None

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> bool:
        if event.tag is None:
            return False
        start, _ = _marks(event)
        # PyYAML hands out the long form of a tag
        found = _TAG.match(self.source.text, start.index)
        written = found[1] if found else str(event.tag)
        span = Span(Pos(start.line + 1, start.column + 1), len(written))
        if written.startswith("!!") or written in ("!", "!<"):
            what = f"{shown(written)} is a YAML tag, which this file has no use for"
            self.report.error("E011", what, span, "remove it")
        else:
            yaml_errors.refuse_negation(written, span.start, self.report)
        return True

    def _text(self, event: yaml.ScalarEvent, *, refused: bool) -> Text:
        whole = _span(event)
        mark, end = _marks(event)
        raw = self.source.text[mark.index : end.index]
        if raw.startswith(("&", "!")) and (found := _PROPERTIES.match(raw)):
            # the place behind an anchor, which may stand on a line of its own
            *above, before = found[0].split("\n")
            column = len(before) + (0 if above else mark.column)
            whole = Span(Pos(mark.line + len(above) + 1, column + 1), max(len(raw) - found.end(), 1))
            raw = raw[found.end() :]
        # pairs like `\ud83d\ude00`, as JSON escapes them, are the one character they mean
        value = _SURROGATES.sub(lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), event.value)
        if event.style in ("'", '"'):
            inner = Span(Pos(whole.line, whole.start.column + 1), max(whole.width - 2, 1)) if value else whole
            return Text(value, whole, inner, is_plain=False, is_refused=refused)
        self.is_unlike |= "?" in raw and bool(self.open) and bool(self.open[-1].start.flow_style)
        return Text(value, whole, whole, event.style not in ("|", ">"), refused)

    def _alias(self, event: yaml.AliasEvent) -> None:
        name = str(event.anchor)
        span = _span(event)
        if any(part.start.anchor == name for part in self.open):
            self.report.stop("E015", f"*{name} stands inside of what it repeats", span)
        elif name in self.anchors:
            self._add(*self.anchors[name], None)
        else:
            yaml_errors.refuse_star(self.source, span.start, self.report)
            self._add(Text("", span, span, is_refused=True), 1, None)

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
            self.report.stop("E015", "the aliases in this file repeat too much", node.span, "write it out")

    def _map(self, nodes: tuple[Node, ...], span: Span) -> Map:
        entries: dict[str, tuple[Text, Node]] = {}
        is_broken = False
        for key, value in zip(nodes[::2], nodes[1::2], strict=True):
            if not isinstance(key, Text):
                is_broken = True
                self.report.error("E101", "a key must be a text", key.span)
            elif key.is_refused:
                is_broken = True
            elif key.value == "<<" and key.is_plain:
                is_broken = True
                hint = "write the keys out, or use targets:"
                self.report.error("E012", "merge keys (<<) are not supported", key.span, hint)
            elif key.value in entries:
                line = entries[key.value][0].span.line
                self.report.error("E105", f"{shown(key.value)} is given twice", key.span, f"first on line {line}")
            else:
                # a value that was left out has no place of its own: it is shown at its key
                is_left_out = isinstance(value, Text) and value.is_null and not value.value
                entries[key.value] = key, Text("", key.span, key.span) if is_left_out else value
        return Map(tuple(entries.values()), span, is_broken)


def _span(event: yaml.Event) -> Span:
    """Where an event's text is: to its end, or to the end of its first line."""
    start, end = _marks(event)
    width = end.column - start.column if end.line == start.line else 1
    return Span(Pos(start.line + 1, start.column + 1), max(width, 1))


def _marks(event: yaml.Event) -> tuple[yaml.Mark, yaml.Mark]:
    """Beginning and end; both parsers give every event both."""
    return cast("yaml.Mark", event.start_mark), cast("yaml.Mark", event.end_mark)
