"""Answers that explain themselves: three values, and how they combine without losing their reasons."""

from collections.abc import Iterable
from enum import Enum, unique
from typing import Final

from deploystep.core.facts import Question
from deploystep.core.frozen import dataclass
from deploystep.core.source import Diagnostic, Span


@unique
class Answer(Enum):
    """What is known of a claim."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, in a few words, and the line of the rule file that says so."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Trace:
    """A claim, the answer, the reasons that settle it, the place in the rule file, and what it is made of.

    An unknown claim carries `wants`, the questions that would help and have not been asked, or `problems`, why there
    is no answer to them.
    """

    claim: str
    answer: Answer
    reasons: tuple[Reason, ...]
    span: Span
    parts: tuple["Trace", ...] = ()
    wants: tuple[Question, ...] = ()
    problems: tuple[Diagnostic, ...] = ()


_WEIGHT: Final = {Answer.NO: 0, Answer.UNKNOWN: 1, Answer.YES: 2}
OPPOSITE: Final = {Answer.NO: Answer.YES, Answer.UNKNOWN: Answer.UNKNOWN, Answer.YES: Answer.NO}


def kleene_or(answers: Iterable[Answer]) -> Answer:
    """Kleene's or; of nothing: no."""
    return max(answers, key=_WEIGHT.__getitem__, default=Answer.NO)


def kleene_and(answers: Iterable[Answer]) -> Answer:
    """Kleene's and; of nothing: yes."""
    return min(answers, key=_WEIGHT.__getitem__, default=Answer.YES)


def leaf(claim: str, because: str, span: Span, *, holds: bool) -> Trace:
    """A claim that is known."""
    return Trace(claim, Answer.YES if holds else Answer.NO, (Reason(because, span.line),), span)


def unanswered(claim: str, problem: Diagnostic) -> Trace:
    """A claim that needs the answer to a question to which there is no certain one."""
    reason = Reason(f"{problem.message} — {problem.hint}", problem.span.line)
    return Trace(claim, Answer.UNKNOWN, (reason,), problem.span, problems=(problem,))


def all_of(claim: str, parts: tuple[Trace, ...], span: Span) -> Trace:
    """All of these: every reason where all hold, else the reasons of the first that settles it."""
    answer = kleene_and(p.answer for p in parts)
    settling = parts if answer is Answer.YES else (next(p for p in parts if p.answer is answer),)
    return _made(claim, answer, tuple(r for p in settling for r in p.reasons), span, parts)


def any_of(claim: str, parts: tuple[Trace, ...], span: Span) -> Trace:
    """Any of these: the reasons of the one that settles it, or of the one that came nearest."""
    answer = kleene_or(p.answer for p in parts)
    alike = (p for p in parts if p.answer is answer)
    # the one that got furthest is the near miss worth telling
    nearest = max(alike, key=lambda part: sum(p.answer is Answer.YES for p in part.parts))
    return _made(claim, answer, nearest.reasons, span, parts)


def negate(trace: Trace, words: str = "") -> Trace:
    """The opposite claim."""
    reasons = tuple(Reason(words + r.text, r.line) for r in trace.reasons)
    return _made(f"not {trace.claim}", OPPOSITE[trace.answer], reasons, trace.span, (trace,))


def _made(claim: str, answer: Answer, reasons: tuple[Reason, ...], span: Span, parts: tuple[Trace, ...]) -> Trace:
    """A claim made of others. Only an unknown one needs more: the first questions in order, and every problem."""
    if answer is not Answer.UNKNOWN:
        return Trace(claim, answer, reasons, span, parts)
    open_parts = [p for p in parts if p.answer is Answer.UNKNOWN]
    wants = next((p.wants for p in open_parts if p.wants), ())
    return Trace(claim, answer, reasons, span, parts, wants, tuple(d for p in open_parts for d in p.problems))
