"""What reading a file came to: its diagnostics in order, each at a place that the file has."""

from collections.abc import Iterable

from deploystep.core.errors import RuleFileInvalid
from deploystep.core.source import Diagnostic, Pos, SourceFile, Span, in_order


def invalid(source: SourceFile, diagnostics: Iterable[Diagnostic]) -> RuleFileInvalid:
    """The error that carries these diagnostics; warnings stay behind."""
    errors = tuple(d for d in diagnostics if d.is_error)
    count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
    return RuleFileInvalid("rules-invalid", f"{count} in {source.path}", source=source, diagnostics=errors)


def inside(source: SourceFile, diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The diagnostics in order, each at a place that the file has."""
    lines = [line.rstrip("\r") for line in source.text.split("\n")]
    return in_order([_clamped(d, lines) for d in diagnostics])


def _clamped(diagnostic: Diagnostic, lines: list[str]) -> Diagnostic:
    span = diagnostic.span
    number = min(max(span.line, 1), len(lines))
    # one place beyond the last character is where something is missing
    column = min(span.start.column, len(lines[number - 1]) + 1)
    width = max(min(span.width, len(lines[number - 1]) - column + 1), 1)
    clamped = Span(Pos(number, column), width)
    return Diagnostic(diagnostic.code, diagnostic.message, clamped, diagnostic.hint, diagnostic.severity)
