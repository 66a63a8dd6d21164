"""A YAML file as a tree of texts, lists and maps that know where they were written.

No value has a type yet: every scalar is the text that was written, and the field it stands in decides what
it means.
"""

from enum import Enum, unique
from typing import TypeAlias

from deploystep.core.errors import RuleFileInvalid
from deploystep.core.frozen import dataclass, replace
from deploystep.core.source import Diagnostic, Pos, Severity, SourceFile, Span, in_order

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_SHOWN = 60
MOST_PROBLEMS = 1_000


@unique
class Style(Enum):
    """How a scalar is written."""

    PLAIN = "plain"
    QUOTED = "quoted"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar. `span` begins at its quote, `inner` at its first character.

    `exact` says that the characters of the value stand side by side in the file, so that an offset into the
    value is an offset into the line; with escapes or several lines it is not. `is_refused`: something was said
    about it already, and it has no value.
    """

    value: str
    style: Style
    span: Span
    inner: Span
    exact: bool
    is_refused: bool = False

    @property
    def is_null(self) -> bool:
        """Whether nothing is written here, in one of YAML's ways to write nothing."""
        return self.style is Style.PLAIN and self.value in _NULLS and not self.is_refused

    @property
    def has_half_character(self) -> bool:
        """Whether an escape has made half a surrogate pair, which neither a file nor a request can hold."""
        return not self.value.isascii() and any("\ud800" <= c <= "\udfff" for c in self.value)

    def part(self, offset: int, width: int) -> Span:
        """Where an interval of the value is written; the whole scalar where that cannot be told."""
        if not self.exact:
            return self.inner
        return self.inner.inside(offset, min(width, max(len(self.value) - offset, 1)))


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of nodes."""

    items: tuple["Node", ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a map and what belongs to it."""

    key: Text
    value: "Node"


@dataclass(frozen=True, slots=True)
class Map:
    """Keys and values in the order written; no key occurs twice. `is_broken`: some could not be read."""

    entries: tuple[Entry, ...]
    span: Span
    is_broken: bool = False


Node: TypeAlias = Text | Sequence | Map


class TooManyProblems(Exception):
    """More is wrong than anybody reads: there is no use in going on."""


class Report:
    """Collects what is wrong, so that one run shows everything that one can look at."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.errors = 0

    def error(self, code: str, message: str, span: Span, hint: str = "") -> None:
        """Note something that makes the file unusable. Raises TooManyProblems with the last that is noted."""
        self.errors += 1
        self.diagnostics.append(Diagnostic(code, visible(message), span, visible(hint)))
        if len(self.diagnostics) >= MOST_PROBLEMS:
            raise TooManyProblems

    def warning(self, code: str, message: str, span: Span, hint: str = "") -> None:
        """Note something suspicious."""
        if len(self.diagnostics) < MOST_PROBLEMS - 1:
            self.diagnostics.append(Diagnostic(code, visible(message), span, visible(hint), Severity.WARNING))

    def within(self, source: SourceFile) -> tuple[Diagnostic, ...]:
        """All of them in order, each at a place that the file has."""
        lines = [line.rstrip("\r") for line in source.text.split("\n")]
        return in_order([replace(d, span=_clamped(d.span, lines)) for d in self.diagnostics])

    def refusal(self, source: SourceFile) -> RuleFileInvalid:
        """The error that carries all that was found to make the file unusable."""
        errors = self.within(source)
        count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
        count = f"at least {count}" if len(self.diagnostics) >= MOST_PROBLEMS else count
        return RuleFileInvalid("rules-invalid", f"{count} in {source.path}", source=source, diagnostics=errors)


def _clamped(span: Span, lines: list[str]) -> Span:
    length = len(lines[span.line - 1])
    # one place beyond the last character is where something is missing
    column = min(span.start.column, length + 1)
    return Span(Pos(span.line, column), max(min(span.width, length - column + 1), 1))


def kind_of(node: Node) -> str:
    """What a node is, in words: `a list`."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Map):
        return "a map"
    return "nothing" if node.is_null else "a string"


def shown(text: str) -> str:
    """A text in quotes as a message shows it: on one line, nothing invisible, not endless.

    >>> shown("main")
    "'main'"
    """
    return f"'{visible(clipped(text))}'"


def clipped(text: str) -> str:
    """A text that is not endless."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def visible(text: str) -> str:
    """A text in which whatever would not show, or would end the line, is spelled out."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
