"""What is wrong with a pattern: a value with a place inside the pattern's text, and the error that carries it."""

from __future__ import annotations

from deploystep.core.frozen import dataclass

_LONGEST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of one pattern; `offset` counts characters of the pattern's text from 0."""

    code: str
    message: str
    hint: str
    offset: int
    width: int


class PatternError(ValueError):
    """The text is no pattern of this language."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.message} — {problem.hint}" if problem.hint else problem.message)
        self.problem = problem

    def __reduce__(self) -> tuple[type[PatternError], tuple[Problem]]:
        """Travel between processes with the problem, not with the sentence made from it."""
        return (PatternError, (self.problem,))


def shown(text: str) -> str:
    """Make text safe for a one-line message: no control characters, no end of its own making, not too long."""
    visible = "".join(_visible(character) for character in text[: _LONGEST_SHOWN + 1])
    return visible if len(text) <= _LONGEST_SHOWN else visible[:_LONGEST_SHOWN] + "…"


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
