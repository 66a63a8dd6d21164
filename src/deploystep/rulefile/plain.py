"""The YAML that rule files are nearly always written in, read line by line.

PyYAML is the measure: what is read here is the tree that its events give, with the same places, which tests compare
over every file there is and many that nobody would write. Whatever could be read in two ways, or is wrong, or is
merely rare (tags, anchors, escapes, texts over several lines, values that are left out) is not read here at all.
So a run that finds a plain file need not load PyYAML, which takes as long as the whole decision.
"""

import re
from typing import Final, NoReturn, TypeAlias

from deploystep.core.source import Pos, Span
from deploystep.rulefile.nodes import Entry, Map, Node, Sequence, Style, Text

_MOST_OPEN: Final = 30
#: A line without its comment: indentation, a dash, a key, and a value; each but the indentation may be missing.
_LINE: Final = re.compile(r"( *)(- +)?(?:([A-Za-z_][A-Za-z0-9_.-]{0,99}):(?: +|$))?(.*)")
_BLANK: Final = re.compile(r" *(?:#.*)?")
_END: Final = re.compile(r" *(?: #.*)?")
_KEY: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]{0,99}): +")
_QUOTED: Final = re.compile(r""""([^"\\]*)"|'([^']*)'""")
#: A text without quotes begins with nothing that YAML gives a meaning. Between brackets it ends more easily.
_FIRST: Final = r"[^ \-?:,\[\]{}#&*!|>'\"%@`]"
_IN_BLOCK: Final = re.compile(_FIRST + r"(?:[^ :]|:(?=[^ ])| +(?=[^ #]))*")
_GOES_ON: Final = r"[^ ,?\[\]{}#:'\"]"
_IN_FLOW: Final = re.compile(f"{_FIRST}(?:{_GOES_ON}|:(?={_GOES_ON})| +(?={_GOES_ON}))*")


class _UnusualError(Exception):
    """Something that is left to PyYAML."""


def read(text: str) -> Map | None:
    """The file's tree; None where PyYAML must look at it. `text` holds no characters that a rule file may not hold."""
    if "\t" in text or "\r" in text or text.startswith("\ufeff"):
        return None
    page = _Page()
    try:
        for number, line in enumerate(text.split("\n"), 1):
            if not _BLANK.fullmatch(line):
                page.take(line, number)
        return page.finished()
    except _UnusualError:
        return None


def _unusual() -> NoReturn:
    raise _UnusualError


class _OpenMap:
    """A map whose end has not been read; `key` waits for its value."""

    __slots__ = ("column", "entries", "key", "known", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.column = span.start.column
        self.entries: list[Entry] = []
        self.known: set[str] = set()
        self.key: Text | None = None

    def name(self, key: Text) -> None:
        if self.key is not None or key.value in self.known:
            _unusual()
        self.known.add(key.value)
        self.key = key

    def add(self, value: Node) -> None:
        if self.key is None:
            _unusual()
        self.entries.append(Entry(self.key, value))
        self.key = None

    def done(self) -> Map:
        if self.key is not None:
            _unusual()
        return Map(tuple(self.entries), self.span)


class _OpenList:
    """A list whose end has not been read."""

    __slots__ = ("column", "items", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.column = span.start.column
        self.items: list[Node] = []

    def add(self, value: Node) -> None:
        self.items.append(value)

    def done(self) -> Sequence:
        return Sequence(tuple(self.items), self.span)


_Open: TypeAlias = _OpenMap | _OpenList


class _Page:
    """Puts the tree together, line by line; columns count from 1."""

    def __init__(self) -> None:
        self.open: list[_Open] = []

    def take(self, line: str, number: int) -> None:
        """Go on by one line that is neither blank nor a comment alone."""
        found = _LINE.fullmatch(line)
        if found is None:
            _unusual()
        indent, dash, key, rest = found.groups()
        column = len(indent) + 1
        if dash:
            self._item(Span(Pos(number, column)))
            column += len(dash)
        if key:
            self._entry(_plain(key, number, column), is_first=bool(dash))
        elif not dash:
            _unusual()
        if not _END.fullmatch(rest) and not rest.startswith("#"):
            self.open[-1].add(_value(line, found.start(4), number))
        elif not key:
            _unusual()

    def finished(self) -> Map | None:
        """The whole tree."""
        while len(self.open) > 1:
            self._close()
        root = self.open[0].done() if self.open else None
        return root if isinstance(root, Map) else None

    def _close(self) -> None:
        done = self.open.pop().done()
        self.open[-1].add(done)

    def _item(self, at: Span) -> None:
        """Be in the list whose dashes are here."""
        column = at.start.column
        while self.open and self.open[-1].column > column:
            self._close()
        above = self.open[-1] if self.open else _unusual()
        if isinstance(above, _OpenList):
            if above.column != column:
                _unusual()
        elif above.key is None:
            _unusual()
        else:
            self._begin(_OpenList(at))

    def _entry(self, key: Text, *, is_first: bool) -> None:
        """Be in the map whose keys are here, at this key."""
        column = key.span.start.column
        if is_first:
            self._begin(_OpenMap(key.span.inside(0)))
        else:
            self._leave_to(column)
            above = self.open[-1] if self.open else None
            if above is None or above.column < column:
                self._begin_below(above, key)
        innermost = self.open[-1]
        if not isinstance(innermost, _OpenMap):
            _unusual()
        innermost.name(key)

    def _leave_to(self, column: int) -> None:
        """Leave what is further right, and a list whose dashes stand below its key."""
        while len(self.open) > 1 and (
            self.open[-1].column > column or (self.open[-1].column == column and isinstance(self.open[-1], _OpenList))
        ):
            self._close()

    def _begin_below(self, above: _Open | None, key: Text) -> None:
        """Begin the file's own map, at its margin, or one that is the value of the key above."""
        is_value = isinstance(above, _OpenMap) and above.key is not None
        if not is_value and (above is not None or key.span.start.column > 1):
            _unusual()
        self._begin(_OpenMap(key.span.inside(0)))

    def _begin(self, opened: _Open) -> None:
        if len(self.open) >= _MOST_OPEN:
            _unusual()
        self.open.append(opened)


def _value(line: str, start: int, number: int) -> Node:
    """What stands on the line from here to its end or comment."""
    if line[start] in "[{":
        node, end = _flow(line, start, number, 1)
    elif line[start] in "\"'":
        node, end = _quoted(line, start, number)
    else:
        found = _IN_BLOCK.match(line, start)
        if found is None:
            _unusual()
        node, end = _plain(found[0], number, start + 1), found.end()
    if not _END.fullmatch(line, end):
        _unusual()
    return node


def _plain(text: str, number: int, column: int) -> Text:
    span = Span(Pos(number, column), len(text))
    return Text(text, Style.PLAIN, span, span, True)  # noqa: FBT003 - by position is faster, and there are many


def _quoted(line: str, start: int, number: int) -> tuple[Text, int]:
    found = _QUOTED.match(line, start)
    if found is None:
        _unusual()
    value = found[0][1:-1]
    inner = Span(Pos(number, start + 2), max(len(value), 1))
    whole = Span(Pos(number, start + 1), len(value) + 2)
    return Text(value, Style.QUOTED, whole, inner, True), found.end()  # noqa: FBT003 - as above


def _flow(line: str, start: int, number: int, depth: int) -> tuple[Node, int]:
    """A list or map in brackets, and where it ends."""
    is_map = line[start] == "{"
    opened: _Open = (_OpenMap if is_map else _OpenList)(Span(Pos(number, start + 1)))
    if depth > _MOST_OPEN:
        _unusual()
    end = _past_spaces(line, start + 1)
    if not is_map and line.startswith("]", end):
        return opened.done(), end + 1
    end = start
    while end == start or line[end : end + 1] == ",":
        at = _past_spaces(line, end + 1)
        if isinstance(opened, _OpenMap):
            at = _flow_key(line, at, number, opened)
        node, end = _flow_value(line, at, number, depth)
        opened.add(node)
        end = _past_spaces(line, end)
    if line[end : end + 1] != ("}" if is_map else "]"):
        _unusual()
    return opened.done(), end + 1


def _past_spaces(line: str, at: int) -> int:
    while line.startswith(" ", at):
        at += 1
    return at


def _flow_key(line: str, at: int, number: int, opened: _OpenMap) -> int:
    found = _KEY.match(line, at)
    if found is None:
        _unusual()
    opened.name(_plain(found[1], number, at + 1))
    return found.end()


def _flow_value(line: str, at: int, number: int, depth: int) -> tuple[Node, int]:
    first = line[at : at + 1]
    if first and first in "[{":
        return _flow(line, at, number, depth + 1)
    if first and first in "\"'":
        return _quoted(line, at, number)
    found = _IN_FLOW.match(line, at)
    if found is None:
        _unusual()
    return _plain(found[0], number, at + 1), found.end()
