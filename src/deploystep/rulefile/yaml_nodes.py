"""A YAML file as a tree of texts, lists and maps that know where they were written.

No value has a type yet: every scalar is the text that was written, and the field it stands in decides what
it means.
"""

from enum import Enum, unique
from typing import TypeAlias

from deploystep.core.errors import RuleFileInvalid
from deploystep.core.frozen import dataclass, replace
from deploystep.core.source import Diagnostic, Pos, Severity, SourceFile, Span, Spanned, in_order
from deploystep.core.text import visible

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

    `is_refused`: something was said about it already, and it has no value.
    """

    value: str
    style: Style
    span: Span
    inner: Span
    is_refused: bool = False

    @property
    def is_null(self) -> bool:
        """Whether nothing is written here, in one of YAML's ways to write nothing."""
        is_nothing = self.value in ("", "~", "null", "Null", "NULL")
        return is_nothing and self.style is Style.PLAIN and not self.is_refused

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
    """Keys and values in the order written; no key occurs twice. `is_broken`: some could not be read."""

    entries: tuple[tuple[Text, "Node"], ...]
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

    @property
    def is_full(self) -> bool:
        """Whether no other warning is noted."""
        return len(self.diagnostics) >= MOST_PROBLEMS - 1

    def warning(self, code: str, message: str, span: Span, hint: str = "") -> None:
        """Note something suspicious."""
        if not self.is_full:
            self.diagnostics.append(Diagnostic(code, visible(message), span, visible(hint), Severity.WARNING))

    def within(self, source: SourceFile) -> tuple[Diagnostic, ...]:
        """All of them in order, each at a place that the file has."""
        lengths = [len(line.rstrip("\r")) for line in source.text.split("\n")]
        clamped = []
        for diagnostic in self.diagnostics:
            (line, column), width = diagnostic.span
            # one place beyond the last character is where something is missing
            column = min(column, lengths[line - 1] + 1)
            span = Span(Pos(line, column), max(min(width, lengths[line - 1] - column + 1), 1))
            clamped.append(replace(diagnostic, span=span))
        return in_order(clamped)

    def refusal(self, source: SourceFile) -> RuleFileInvalid:
        """The error that carries all that was found to make the file unusable."""
        errors = self.within(source)
        count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
        count = f"at least {count}" if len(self.diagnostics) >= MOST_PROBLEMS else count
        return RuleFileInvalid("rules-invalid", f"{count} in {source.path}", source=source, diagnostics=errors)
