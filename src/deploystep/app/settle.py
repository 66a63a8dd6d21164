"""Learns what a decision needs, question by question, until it is settled or nothing more can be learned."""

from collections.abc import Callable
from typing import TypeAlias

from deploystep.core.build import BuildContext
from deploystep.core.decide import Decision, decide
from deploystep.core.errors import FactUnavailable, RuleFileInvalid
from deploystep.core.facts import Answered, Facts, Question
from deploystep.core.rules import RuleSet
from deploystep.core.source import in_order

Learn: TypeAlias = Callable[[Question], Answered]


def settle(rules: RuleSet, facts: Facts, learn: Learn) -> Decision:
    """Decide, and ask what is still wanted; every round answers a question that was open, so it ends."""
    decision = decide(rules, facts)
    while decision.wants:
        facts = facts.with_answers({question: learn(question) for question in decision.wants})
        decision = decide(rules, facts)
    return decision


def raise_if_undecided(decision: Decision, rules: RuleSet, build: BuildContext) -> None:
    """Raise where the outcome of any rule hangs on what is not known; nothing is sent then."""
    problems = in_order(decision.problems)
    errors = tuple(p for p in problems if p.is_error)
    if errors:
        raise RuleFileInvalid(
            "rules-invalid", "a rule names what is not there", source=rules.source, diagnostics=errors
        )
    if problems:
        what = f"what to deploy at {build.revision[:7]} hangs on a fact that could not be learned"
        raise FactUnavailable("undecided", what, source=rules.source, diagnostics=problems)
