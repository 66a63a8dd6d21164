"""Which rules fire for a build, and why. If somebody asks "why did it deploy?", this is the file to read.

Pure. Three-valued: what cannot be known is neither yes nor no, and never makes a rule fire
(`no AND unknown = no`, `yes OR unknown = yes`). Every answer keeps its own explanation as a `Trace`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from deploystep.core.build import BuildContext
from deploystep.core.closed import assert_never
from deploystep.core.facts import Facts
from deploystep.core.parameters import PUBLIC_VARIABLES
from deploystep.core.rules import (
    Alternative,
    BranchIs,
    Condition,
    EnvIs,
    ForkIs,
    Guard,
    Matcher,
    Patterns,
    PullRequestIs,
    Rule,
    RuleSet,
    TagIs,
    UserIs,
)
from deploystep.core.source import Span


@unique
class Answer(Enum):
    """What is known of a claim."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@unique
class Verdict(Enum):
    """What becomes of a rule."""

    FIRE = "fire"
    HELD = "held"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, in a few words, and the line of the rule file that says so."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Trace:
    """A claim, the answer, the reasons that settle it, the place in the rule file, and what it is made of."""

    claim: str
    answer: Answer
    reasons: tuple[Reason, ...]
    span: Span
    parts: tuple["Trace", ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of one rule, and the explanation that ends at the deciding matcher."""

    rule: Rule
    verdict: Verdict
    trace: Trace

    @property
    def because(self) -> str:
        """The deciding reasons with their lines, as one text."""
        if self.verdict is Verdict.FIRE:
            return ", ".join(f"{r.text} (line {r.line})" for r in self.trace.reasons)
        return "; ".join(f"line {r.line}: {r.text}" for r in self.trace.reasons)


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of every rule, in file order."""

    judgements: tuple[Judgement, ...]

    @property
    def firing(self) -> tuple[Rule, ...]:
        """The rules that fire, in file order; none where any rule's outcome is unknown."""
        if any(j.verdict is Verdict.UNKNOWN for j in self.judgements):
            return ()
        return tuple(j.rule for j in self.judgements if j.verdict is Verdict.FIRE)


def decide(rules: RuleSet, facts: Facts) -> Decision:
    """Judge every rule on its own; an item of `never` that holds stops them all."""
    guards = tuple(_refused(_guard(guard, facts)) for guard in rules.never)
    return Decision(tuple(_judge(rule, guards, facts) for rule in rules.rules))


def any_of(answers: Iterable[Answer]) -> Answer:
    """Kleene's or; of nothing: no."""
    return max(answers, key=_WEIGHT.__getitem__, default=Answer.NO)


def all_of(answers: Iterable[Answer]) -> Answer:
    """Kleene's and; of nothing: yes."""
    return min(answers, key=_WEIGHT.__getitem__, default=Answer.YES)


_WEIGHT: Final = {Answer.NO: 0, Answer.UNKNOWN: 1, Answer.YES: 2}
_OPPOSITE: Final = {Answer.NO: Answer.YES, Answer.UNKNOWN: Answer.UNKNOWN, Answer.YES: Answer.NO}
_VERDICT: Final = {Answer.YES: Verdict.FIRE, Answer.NO: Verdict.NO, Answer.UNKNOWN: Verdict.UNKNOWN}


def _guard(guard: Guard, facts: Facts) -> Trace:
    held = _condition("when", guard.when, facts)
    name = f"never {guard.name}" if guard.name else "never"
    reasons = tuple(Reason(f"{name} — {guard.reason or r.text}", r.line) for r in held.reasons)
    return Trace(name, held.answer, reasons, guard.span, (held,))


def _judge(rule: Rule, guards: tuple[Trace, ...], facts: Facts) -> Judgement:
    when = _condition("when", rule.when, facts, forks_must_be_named=True)
    stops = () if rule.unless is None else (_refused(_condition("unless", rule.unless, facts)),)
    clauses = (*guards, when, *stops)
    answer = all_of(c.answer for c in clauses)
    reasons = when.reasons if answer is Answer.YES else _first(clauses, answer).reasons
    trace = Trace(f"rule {rule.name.value}", answer, reasons, rule.span, clauses)
    return Judgement(rule, _VERDICT[answer], trace)


def _refused(trace: Trace) -> Trace:
    """The claim that this does not hold."""
    reasons = tuple(
        Reason(f"{trace.claim}: {r.text}" if trace.claim == "unless" else r.text, r.line) for r in trace.reasons
    )
    return Trace(f"not {trace.claim}", _OPPOSITE[trace.answer], reasons, trace.span, (trace,))


def _condition(claim: str, condition: Condition, facts: Facts, *, forks_must_be_named: bool = False) -> Trace:
    parts = tuple(_alternative(a, facts, forks_must_be_named=forks_must_be_named) for a in condition.alternatives)
    answer = any_of(p.answer for p in parts)
    nearest = max((p for p in parts if p.answer is answer), key=_yeses)
    return Trace(claim, answer, nearest.reasons, condition.span, parts)


def _yeses(trace: Trace) -> int:
    """How far an alternative got; the one that got furthest is the near miss worth telling."""
    return sum(p.answer is Answer.YES for p in trace.parts)


def _alternative(alternative: Alternative, facts: Facts, *, forks_must_be_named: bool) -> Trace:
    parts = tuple(match(m, facts) for m in alternative.matchers)
    if forks_must_be_named and facts.build.fork and not _says_fork(alternative):
        parts = (*parts, _leaf("fork true", "a fork build needs fork: true", alternative.span, holds=False))
    return _together("all of", parts, alternative.span)


def _says_fork(alternative: Alternative) -> bool:
    return any(isinstance(m, ForkIs) and m.wanted for m in alternative.matchers)


def _together(claim: str, parts: tuple[Trace, ...], span: Span) -> Trace:
    """All of these: every reason where all hold, else the reasons of the first that settles it."""
    answer = all_of(p.answer for p in parts)
    settling = parts if answer is Answer.YES else (_first(parts, answer),)
    return Trace(claim, answer, tuple(r for p in settling for r in p.reasons), span, parts)


def _first(parts: tuple[Trace, ...], answer: Answer) -> Trace:
    return next(p for p in parts if p.answer is answer)


def _leaf(claim: str, because: str, span: Span, *, holds: bool) -> Trace:
    return Trace(claim, Answer.YES if holds else Answer.NO, (Reason(because, span.line),), span)


def match(matcher: Matcher, facts: Facts) -> Trace:  # noqa: RET503 - assert_never does not return
    """Whether one matcher holds."""
    build = facts.build
    if isinstance(matcher, BranchIs):
        return _named("branch", build.branch, matcher.patterns, matcher.span, "this is a tag build")
    if isinstance(matcher, TagIs):
        return _named("tag", build.tag, matcher.patterns, matcher.span, "this is a branch build")
    if isinstance(matcher, PullRequestIs):
        return _pull_request(matcher, build)
    if isinstance(matcher, ForkIs):
        because = "this is a fork build" if build.fork else "fork — this is not a fork build"
        return _leaf(f"fork {_word(matcher.wanted)}", because, matcher.span, holds=build.fork is matcher.wanted)
    if isinstance(matcher, UserIs):
        return _named("user", build.user, matcher.patterns, matcher.span, "CIRCLE_USERNAME is not set")
    if isinstance(matcher, EnvIs):
        return _env(matcher, build)
    assert_never(matcher)


def _named(word: str, value: str | None, patterns: Patterns, span: Span, blank: str) -> Trace:
    claim = f"{word} {_listed(patterns)}"
    if not value:
        return _leaf(claim, f"{word} — {blank if value is None else 'it is empty'}", span, holds=False)
    found = next((p for p in patterns if p.value.matches(value)), None)
    if found is None:
        return _leaf(claim, _near_miss(word, value, patterns), span, holds=False)
    because = f"{word} {value}" + ("" if found.value.text == value else f" matches {found.value.text}")
    return _leaf(claim, because, found.span, holds=True)


def _listed(patterns: Patterns) -> str:
    return " or ".join(p.value.text for p in patterns)


def _near_miss(word: str, value: str, patterns: Patterns) -> str:
    said = f"{word} {value} does not match {_listed(patterns)}"
    other_case = next((p.value.text for p in patterns if p.value.text.casefold() == value.casefold()), None)
    if other_case is not None:
        return f"{said}; upper and lower case differ"
    prefix = max((p.value.viable_prefix(value) for p in patterns), key=len)
    is_near = len(patterns) == 1 and len(prefix) > 0 and patterns[0].value.text.startswith("/")
    return f"{said}; it matches up to `{prefix}`" if is_near else said


def _pull_request(matcher: PullRequestIs, build: BuildContext) -> Trace:
    number = build.pull_request
    because = "pull_request — there is none" if number is None else f"pull request {number}"
    holds = (number is not None) is matcher.wanted
    return _leaf(f"pull_request {_word(matcher.wanted)}", because, matcher.span, holds=holds)


def _word(wanted: bool) -> str:  # noqa: FBT001 - it is the value that is shown
    return "true" if wanted else "false"


def _env(matcher: EnvIs, build: BuildContext) -> Trace:
    parts = tuple(_variable(name.value, patterns, name.span, build) for name, patterns in matcher.variables)
    return _together("env " + ", ".join(name.value for name, _ in matcher.variables), parts, matcher.span)


def _variable(name: str, patterns: Patterns, span: Span, build: BuildContext) -> Trace:
    """One variable's claim. Its value is shown only where CircleCI itself sets it: others can hold secrets."""
    value = build.variables.get(name)
    claim = f"env {name} {_listed(patterns)}"
    if value is None:
        return _leaf(claim, f"env {name} — it is not set", span, holds=False)
    shown = f" {value}" if name in PUBLIC_VARIABLES else ""
    found = next((p for p in patterns if p.value.matches(value)), None)
    if found is None:
        return _leaf(claim, f"env {name}{shown} does not match {_listed(patterns)}", span, holds=False)
    return _leaf(claim, f"env {name}{shown} matches {found.value.text}", found.span, holds=True)
