"""What a decision can depend on besides the build: questions, asked only while it needs them, and what follows."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import Enum, IntEnum
from typing import Any, Final, Generic, TypeAlias, TypeVar

from deploystep.core.build import BuildContext
from deploystep.core.frozen import Frozen, replace
from deploystep.core.source import Diagnostic, Severity, Span

T_co = TypeVar("T_co", covariant=True)


class Base(IntEnum):
    """Where a comparison of files starts, besides a ref that the rule names."""

    MERGE_BASE = 0
    PREVIOUS_COMMIT = 1
    LAST_DEPLOY = 2


class ChangedSince(Frozen):
    """Which files changed since the base, or since the `ref` that the rule names."""

    base: Base | None = None
    ref: str | None = None  # of the last deploy, once it was looked up, its commit; empty where there is none
    workflow: str | None = None  # by which the last deploy is known
    rule: str | None = None  # the same, by its deploy key


class IsMergedInto(Frozen):
    """Whether the revision is an ancestor of a branch of the remote, or is its head."""

    branch: str


class AuthorOf(Frozen):
    """The e-mail address of the commit's author."""


class MessageOf(Frozen):
    """The whole commit message."""


class JobsOf(Frozen):
    """The jobs of this workflow: name to CircleCI's word for the state, of the newest of that name."""


Question: TypeAlias = ChangedSince | IsMergedInto | AuthorOf | MessageOf | JobsOf


class Known(Frozen, Generic[T_co]):
    """The answer, and why, if it is not the usual one."""

    value: T_co
    note: str = ""


class Unavailable(Frozen):
    """There is no certain answer: why, and what would give one. `code` as in the list of messages (U101 …)."""

    code: str
    reason: str
    cure: str


Answered: TypeAlias = Known[object] | Unavailable


def branch_named(ref: str) -> str:
    """The branch of the remote that a ref such as `origin/main` means; any other ref as it is written."""
    start = next((s for s in ("refs/heads/", "refs/remotes/origin/", "origin/") if ref.startswith(s)), "")
    return ref.removeprefix(start) or ref


class Answer(Enum):
    """What is known of a claim; in this order the first of two wins in Kleene's and, the last in Kleene's or."""

    NO = "no"
    UNKNOWN = "unknown"
    YES = "yes"


_ORDER: Final = {answer: place for place, answer in enumerate(Answer)}
OPPOSITE: Final = dict(zip(Answer, reversed(Answer), strict=True))


def kleene_or(answers: Iterable[Answer]) -> Answer:
    """Kleene's or; of nothing: no."""
    return max(answers, key=_ORDER.__getitem__, default=Answer.NO)


def kleene_and(answers: Iterable[Answer]) -> Answer:
    """Kleene's and; of nothing: yes."""
    return min(answers, key=_ORDER.__getitem__, default=Answer.YES)


class Reason(Frozen):
    """Why, in a few words, and the line of the rule file that says so."""

    text: str
    line: int


class Trace(Frozen):
    """A claim, the answer, the reasons that settle it, the place in the rule file, and what it is made of."""

    claim: str
    answer: Answer
    reasons: tuple[Reason, ...]
    span: Span
    parts: tuple["Trace", ...] = ()
    wants: tuple[Question, ...] = ()  # where it is unknown: questions that would help and were not asked
    problems: tuple[Diagnostic, ...] = ()  # or why there is no answer

    @classmethod
    def known(cls, claim: str, because: str, span: Span, *, holds: bool) -> "Trace":
        return cls(claim, Answer.YES if holds else Answer.NO, (Reason(because, span.line),), span)

    @classmethod
    def unknown(cls, claim: str, problem: Diagnostic) -> "Trace":
        """A claim that needs the answer to a question to which there is no certain one."""
        reasons = (Reason(f"{problem.message} — {problem.hint}", problem.span.line),)
        return cls(claim, Answer.UNKNOWN, reasons, problem.span, problems=(problem,))

    @classmethod
    def all_of(cls, claim: str, parts: tuple["Trace", ...], span: Span) -> "Trace":
        """All of these: every reason where all hold, else the reasons of the first that settles it."""
        answer = kleene_and(p.answer for p in parts)
        settling = parts if answer is Answer.YES else [next(p for p in parts if p.answer is answer)]
        return cls(claim, answer, tuple(r for p in settling for r in p.reasons), span, parts, *_missing(answer, parts))

    @classmethod
    def any_of(cls, claim: str, parts: tuple["Trace", ...], span: Span) -> "Trace":
        """Any of these: the reasons of the one that settles it, or of the one that came nearest."""
        answer = kleene_or(p.answer for p in parts)
        # the one that got furthest is the near miss worth telling
        nearest = max(parts, key=lambda part: (part.answer is answer, sum(p.answer is Answer.YES for p in part.parts)))
        return cls(claim, answer, nearest.reasons, span, parts, *_missing(answer, parts))

    def negated(self, words: str = "") -> "Trace":
        reasons = tuple(Reason(words + r.text, r.line) for r in self.reasons)
        return replace(self, claim=f"not {self.claim}", answer=OPPOSITE[self.answer], reasons=reasons, parts=(self,))


negate: Final = Trace.negated


def _missing(answer: Answer, parts: tuple[Trace, ...]) -> tuple[tuple[Question, ...], tuple[Diagnostic, ...]]:
    """What an unknown claim needs: the first questions of its parts in order, and every problem."""
    unknown = [p for p in parts if p.answer is answer is Answer.UNKNOWN]
    return next((p.wants for p in unknown if p.wants), ()), tuple(d for p in unknown for d in p.problems)


class Facts(Frozen):
    """Everything that is known when a decision is made. `now` is None where the time is not stated."""

    build: BuildContext
    now: datetime | None = None
    answers: Mapping[Question, Answered] = {}

    def told(self, claim: str, question: Question, span: Span, tell: Callable[[Any], Trace]) -> Trace:
        """What follows from the answer to a question, which `tell` is given as it is Known."""
        answer = self.answers.get(question)
        if answer is None:
            return Trace(claim, Answer.UNKNOWN, (Reason(f"{claim} — not asked", span.line),), span, wants=(question,))
        if isinstance(answer, Unavailable):
            return Trace.unknown(claim, Diagnostic(answer.code, answer.reason, span, answer.cure, Severity.UNDECIDED))
        return tell(answer)
