"""Which rules fire for a build, and why. If somebody asks "why did it deploy?", this is the file to read.

Pure and three-valued: what cannot be known never makes a rule fire (`no AND unknown = no`, `yes OR unknown = yes`).
Every answer keeps its own explanation as a `Trace`.
"""

from enum import Enum, unique

from deploystep.core.facts import Answer, Facts, Question, Reason, Trace, negate
from deploystep.core.frozen import Frozen, replace
from deploystep.core.matchers import PathIndex, cost, holds_of, match, unclear_fork
from deploystep.core.rules import Alternative, Condition, FlagIs, Guard, Rule, RuleSet, matchers_of
from deploystep.core.source import Diagnostic


@unique
class Verdict(Enum):
    """What becomes of a rule."""

    FIRE = "fire"
    HELD = "held"
    NO = "no"
    UNKNOWN = "unknown"


_VERDICT = {Answer.YES: Verdict.FIRE, Answer.NO: Verdict.NO, Answer.UNKNOWN: Verdict.UNKNOWN}


class Judgement(Frozen):
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


class Decision(Frozen):
    """What became of every rule, in file order."""

    judgements: tuple[Judgement, ...]

    @property
    def firing(self) -> tuple[Rule, ...]:
        """The rules that fire, in file order; none where any rule's outcome is unknown."""
        verdicts = {j.verdict for j in self.judgements}
        return tuple(j.rule for j in self.judgements if j.verdict is Verdict.FIRE and Verdict.UNKNOWN not in verdicts)

    @property
    def deploys(self) -> "Decision":
        """What became of the rules that send a deploy: without those for `gate` alone, on which `run` does not act."""
        return Decision(tuple(j for j in self.judgements if j.rule.sends))

    @property
    def wants(self) -> frozenset[Question]:
        """The next questions to ask: those that could still change what becomes of a rule, the cheapest of each."""
        return frozenset(question for judgement in self.judgements for question in judgement.trace.wants)

    @property
    def problems(self) -> tuple[Diagnostic, ...]:
        """Why the rules that are unknown are unknown."""
        return tuple(problem for judgement in self.judgements for problem in judgement.trace.problems)


def decide(rules: RuleSet, facts: Facts) -> Decision:
    """Judge every rule on its own; an item of `never` that holds stops them all."""
    conditions = (*(guard.when for guard in rules.never), *(c for r in rules.rules for c in (r.when, r.unless)))
    index = PathIndex(matchers_of(*conditions))
    guards = tuple(negate(_guard(guard, facts, index)) for guard in rules.never)
    return Decision(tuple(_judge(rule, rules, guards, facts, index) for rule in rules.rules))


def _guard(guard: Guard, facts: Facts, index: PathIndex) -> Trace:
    name = f"never {guard.name or ''}".rstrip()
    held = condition("when", guard.when, facts, index, stops=True)
    reasons = tuple(Reason(f"{name} — {guard.reason or r.text}", r.line) for r in held.reasons)
    return Trace(name, held.answer, reasons, guard.span, (held,), held.wants, held.problems)


def _judge(rule: Rule, rules: RuleSet, guards: tuple[Trace, ...], facts: Facts, index: PathIndex) -> Judgement:
    """First whether the rule is for this build, then what holds it back; the latter is asked only if it matters."""
    when = condition("when", rule.when, facts, index)
    parts = (*guards, when)
    if rule.unless:
        parts += (negate(condition("unless", rule.unless, facts, index, stops=True), "unless: "),)
    meant = Trace.all_of(f"rule {rule.name.value}", parts, rule.span)
    holds = holds_of(rule, rules, facts) if meant.answer is not Answer.NO else ()
    held = tuple(r for h in holds if h.answer is Answer.NO for r in h.reasons)
    whole = Trace.all_of(meant.claim, (*parts, *holds), rule.span)
    # what is not known of the rule itself is asked first: a rule that is not meant is not held
    if held and meant.wants:
        return Judgement(rule, Verdict.UNKNOWN, replace(meant, parts=whole.parts, problems=()))
    if held:
        return Judgement(rule, Verdict.HELD, replace(whole, reasons=held))
    if whole.answer is Answer.YES:
        whole = replace(whole, reasons=(*when.reasons, *(r for h in holds for r in h.reasons)))
    return Judgement(rule, _VERDICT[whole.answer], whole)


def condition(
    claim: str, written: Condition, facts: Facts, index: PathIndex | None = None, *, stops: bool = False
) -> Trace:
    """Whether one of the alternatives holds, of a `when`, or with `stops` of what keeps a rule from firing."""
    parts = tuple(_alternative(a, facts, index, stops=stops) for a in written.alternatives)
    return Trace.any_of(claim, parts, written.span)


def _alternative(alternative: Alternative, facts: Facts, index: PathIndex | None, *, stops: bool) -> Trace:
    """Whether all matchers hold; the cheap ones are judged first, which never changes the answer.

    In a `when` no alternative without `fork: true` holds for a build that is, or may be, of a fork.
    """
    fork, span = facts.build.fork, alternative.span
    parts = tuple(match(m, facts, index, stops=stops) for m in sorted(alternative.matchers, key=cost))
    says_fork = any(isinstance(m, FlagIs) and m.word == "fork" and m.wanted for m in alternative.matchers)
    if fork is None and not stops and not says_fork:
        parts = (unclear_fork("fork false", span, facts.build), *parts)
    elif fork and not stops and not says_fork:
        parts = (Trace.known("fork true", "a fork build needs fork: true", span, holds=False), *parts)
    return Trace.all_of("all of", parts, span)
