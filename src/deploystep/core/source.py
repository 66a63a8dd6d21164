"""Text that remembers where it was written, what can be said about a place in it, and how it is shown."""

from collections.abc import Iterable
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from deploystep.core.frozen import Frozen, replace

T = TypeVar("T")


class Pos(NamedTuple):
    """A place in a text file; line and column count from 1, in characters."""

    line: int
    column: int


class Span(NamedTuple):
    """An interval of one line: where it starts and how many characters it is wide (at least 1)."""

    start: Pos
    width: int = 1

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.start.line

    def part(self, text: str, offset: int, width: int = 1) -> "Span":
        """Where a part of the text that is written here stands; the whole where escapes or line ends hide its place."""
        if len(text) != self.width:
            return self
        return Span(Pos(self.line, self.start.column + offset), max(min(width, len(text) - offset), 1))


class Spanned(Frozen, Generic[T]):
    """A value and the place where it was written."""

    value: T
    span: Span


class SourceFile(Frozen):
    """A file's text under the name by which the user knows it."""

    path: str
    text: str

    def line(self, number: int) -> str:
        """The text of a line (from 1) without its end; empty beyond the last line."""
        lines = self.text.split("\n")
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""


class Problem(Frozen):
    """What is wrong in a text, wherever it is written; `offset` counts its characters from 0."""

    code: str
    message: str
    hint: str
    offset: int
    width: int


class Place(NamedTuple):
    """A line of another file; 0 where it is the whole file that is meant."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


class Severity(Enum):
    """How much a diagnostic weighs; `undecided` is about a fact that could not be learned, `failed` about a case."""

    ERROR = "error"
    UNDECIDED = "undecided"
    FAILED = "failed"
    WARNING = "warning"


class Diagnostic(Frozen):
    """One thing wrong or suspicious at one place: what was found, and what to do about it."""

    code: str
    message: str
    span: Span
    hint: str = ""
    severity: Severity = Severity.ERROR
    cured_at: Place | None = None  # where, if that is another file: the message begins with it

    @property
    def is_error(self) -> bool:
        """Whether the rule file cannot be used because of it."""
        return self.severity is Severity.ERROR

    def cured_in(self, place: Place) -> "Diagnostic":
        """The same with the place in another file where it is cured."""
        return replace(self, message=f"{place}: {self.message}", cured_at=place if place.line else None)


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Without repetitions, sorted by place, errors before warnings at the same place."""
    return tuple(sorted(set(diagnostics), key=lambda d: (d.span, d.severity.value, d.code, d.message)))


def visible(text: str) -> str:
    """The text on one line, with everything that a terminal would obey, or not show as itself, written as an escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def clipped(text: str) -> str:
    """The text, or its beginning where it is long."""
    return text if len(text) <= 60 else f"{text[:59]}…"  # noqa: PLR2004


def shown(text: str) -> str:
    """A text in quotes as a message shows it: on one line, nothing invisible, not long."""
    return f"'{visible(clipped(text))}'"


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "", form: str = "'{}'") -> str:
    """A hint with the known name that was probably meant, shown in a form; `otherwise` where none is close."""
    near = nearest(name, known)
    return f"did you mean {form.format(near)}?" if near else otherwise


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to `name`, where it is close enough to be a slip."""
    from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

    lowered = {k.lower(): k for k in known}
    near = get_close_matches(name.lower(), lowered, 1, 0.75)
    near = near or [k for k in lowered if sorted(k) == sorted(name.lower())]  # `tga`: a short word is soon far away
    return lowered[near[0]] if near else None
