"""A YAML file as a tree of texts, lists and maps that know where they were written.

No value has a type yet: every scalar is the text that was written, and the field it stands in decides what
it means.
"""

from collections.abc import Iterable
from typing import NoReturn, TypeAlias

from deploystep.core.errors import RuleFileInvalid
from deploystep.core.frozen import dataclass, replace
from deploystep.core.source import Diagnostic, Pos, Severity, SourceFile, Span, Spanned, in_order
from deploystep.core.text import did_you_mean, shown, visible

MOST_PROBLEMS = 1_000


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar. `span` begins at its quote, `inner` at its first character, if it has one.

    `is_plain`: it is neither quoted nor a block. `is_refused`: something was said about it already; it has no value.
    """

    value: str
    span: Span
    inner: Span
    is_plain: bool = True
    is_refused: bool = False

    @property
    def is_null(self) -> bool:
        """Whether nothing is written here, in one of YAML's ways to write nothing."""
        return self.value in ("", "~", "null", "Null", "NULL") and self.is_plain and not self.is_refused

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


class Stopped(Exception):
    """There is no use in reading on: the report says why, or it says more than anybody reads."""


class Report:
    """Collects what is wrong, so that one run shows everything that one can look at."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.errors = 0

    def error(self, code: str, message: str, span: Span, hint: str = "") -> None:
        """Note something that makes the file unusable. Raises Stopped with the last that is noted."""
        self.errors += 1
        self.diagnostics.append(Diagnostic(code, visible(message), span, visible(hint)))
        if len(self.diagnostics) >= MOST_PROBLEMS:
            raise Stopped

    @property
    def is_full(self) -> bool:
        """Whether no other warning is noted."""
        return len(self.diagnostics) >= MOST_PROBLEMS - 1

    def warning(self, code: str, message: str, span: Span, hint: str = "") -> None:
        """Note something suspicious."""
        if not self.is_full:
            self.diagnostics.append(Diagnostic(code, visible(message), span, visible(hint), Severity.WARNING))

    def stop(self, code: str, message: str, span: Span, hint: str = "") -> NoReturn:
        """Note something after which there is no use in reading on."""
        self.error(code, message, span, hint)
        raise Stopped

    def check_known(
        self, code: str, what: str, name: Spanned[str], known: Iterable[str], otherwise: str = "known: none"
    ) -> bool:
        """Whether a name is known. If not, that is reported; `otherwise` is the hint where none is known."""
        if name.value in known:
            return True
        hint = did_you_mean(name.value, known, f"known: {', '.join(known)}" if known else otherwise)
        self.error(code, f"{what} {shown(name.value)}", name.span, hint)
        return False

    def within(self, source: SourceFile) -> tuple[Diagnostic, ...]:
        """All of them in order, each at a place that the file has."""
        lengths = [len(line.rstrip("\r")) for line in source.text.split("\n")]
        clamped = []
        for diagnostic in self.diagnostics:
            (line, column), width = diagnostic.span
            room = max(lengths[line - 1] - column + 1, 0)  # one place beyond the last is where something is missing
            span = Span(Pos(line, min(column, lengths[line - 1] + 1)), max(min(width, room), 1))
            clamped.append(replace(diagnostic, span=span))
        return in_order(clamped)

    def refusal(self, source: SourceFile) -> RuleFileInvalid:
        """The error that carries all that was found to make the file unusable."""
        errors = self.within(source)
        count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
        count = f"at least {count}" if len(self.diagnostics) >= MOST_PROBLEMS else count
        return RuleFileInvalid("rules-invalid", f"{count} in {source.path}", source=source, diagnostics=errors)
