"""Rules that can never fire, and alternatives that add nothing. A claim is proved, or it is not made."""

from types import MappingProxyType
from typing import Final

from deploystep.core.patterns import Pattern
from deploystep.core.rules import (
    Alternative,
    AuthorIs,
    BranchIs,
    EnvIs,
    ForkIs,
    Matcher,
    MergedInto,
    MessageContains,
    PathsChanged,
    Patterns,
    PullRequestIs,
    Rule,
    RuleSet,
    TagIs,
    UserIs,
)
from deploystep.rulefile.nodes import Report, clipped, shown

#: How much work goes into comparing patterns in one file, and what a search for a proof costs beside a plain match.
#: A claim that was not reached is not made; thousands of pairs are compared within a few seconds.
_MOST_WORK: Final = 40_000
_PROOF: Final = 20


def check(rules: RuleSet, report: Report) -> None:
    """Report every rule, and every alternative, that is of no use."""
    prover = Prover(_MOST_WORK)
    for rule in rules.rules:
        _never_fires(rule, prover, report)
        _unreachable(rule, prover, report)


def _never_fires(rule: Rule, prover: "Prover", report: Report) -> None:
    """`unless` stops whatever `when` lets through."""
    stops = rule.unless.alternatives if rule.unless else ()
    stopping = [next((s for s in stops if prover.implies(a, s)), None) for a in rule.when.alternatives]
    found = [s for s in stopping if s is not None]
    if len(found) < len(stopping):
        return
    name = rule.name.value
    told = {s.span: _told(s) for s in found}
    where = " and ".join(told.values())
    report.error(
        "E305",
        f"rule {shown(name)} can never fire: its unless ({where}) covers its when",
        rule.when.span,
    )


def _told(stop: Alternative) -> str:
    first = stop.matchers[0]
    return f"line {first.span.line}, {_words(first)}"


_CALLED: Final = MappingProxyType(
    {
        BranchIs: "branch",
        TagIs: "tag",
        UserIs: "user",
        PullRequestIs: "pull_request",
        ForkIs: "fork",
        EnvIs: "env",
        MergedInto: "merged_into",
        AuthorIs: "author",
        MessageContains: "message_contains",
        PathsChanged: "paths",
    }
)


def _words(matcher: Matcher) -> str:
    """A matcher as the file has it, in short."""
    name = _CALLED[type(matcher)]
    if isinstance(matcher, PullRequestIs | ForkIs):
        return f"{name} {str(matcher.wanted).lower()}"
    if isinstance(matcher, EnvIs):
        return f"{name} {', '.join(variable.value for variable, _ in matcher.variables)}"
    return f"{name} {', '.join(map(_quoted, _texts(matcher)))}"


def _texts(matcher: BranchIs | TagIs | UserIs | AuthorIs | MergedInto | MessageContains | PathsChanged) -> list[str]:
    if isinstance(matcher, MergedInto):
        return [branch.value for branch in matcher.branches]
    if isinstance(matcher, MessageContains):
        return [text.value for text in matcher.texts]
    patterns = matcher.only if isinstance(matcher, PathsChanged) else matcher.patterns
    return [pattern.value.text for pattern in patterns]


def _quoted(text: str) -> str:
    return f'"{clipped(text)}"'


def _unreachable(rule: Rule, prover: "Prover", report: Report) -> None:
    """An alternative that adds nothing to an earlier one."""
    alternatives = rule.when.alternatives
    for index, late in enumerate(alternatives):
        early = next((e for e in alternatives[:index] if prover.implies(late, e)), None)
        if early is not None:
            report.error(
                "E306",
                f"this adds nothing: whenever it holds, line {early.span.line} holds already",
                late.span,
                "remove it",
            )


class Prover:
    """Proves that one alternative holds whenever another does, as long as it has not worked too much."""

    def __init__(self, limit: int) -> None:
        self.left = limit

    def implies(self, narrow: Alternative, wide: Alternative) -> bool:
        """Whether in every build in which `narrow` lets a rule fire, `wide` holds as well. False claims nothing."""
        return all(_built_in(narrow, w) or any(self._implies(n, w) for n in narrow.matchers) for w in wide.matchers)

    def _implies(self, narrow: Matcher, wide: Matcher) -> bool:
        match narrow, wide:
            case (
                (BranchIs(a), BranchIs(b)) | (TagIs(a), TagIs(b)) | (UserIs(a), UserIs(b)) | (AuthorIs(a), AuthorIs(b))
            ):
                return self._covered(a, b)
            case (PullRequestIs(a), PullRequestIs(b)) | (ForkIs(a), ForkIs(b)):
                return a == b
            case (EnvIs(a), EnvIs(b)):
                known = {name.value: patterns for name, patterns in a}
                return all(name.value in known and self._covered(known[name.value], p) for name, p in b)
            case MergedInto(a), MergedInto(b):
                return {branch.value for branch in a} <= {branch.value for branch in b}
            case MessageContains(a), MessageContains(b):
                return all(any(wide.value in text.value for wide in b) for text in a)
            case _:
                return False

    def _covered(self, narrow: Patterns, wide: Patterns) -> bool:
        covering = [pattern.value for pattern in wide]
        return all(self._covers(covering, pattern.value) for pattern in narrow)

    def _covers(self, covering: list[Pattern], covered: Pattern) -> bool:
        if covered in covering:
            return True
        text = covered.only_match
        self.left -= len(covering) * (_PROOF if text is None else 1)
        if self.left < 0:
            return False
        if text is not None:
            return any(pattern.matches(text) for pattern in covering)
        if all(pattern.only_match is not None for pattern in covering):
            return False  # a few names never cover a pattern that has wildcards; nothing is lost by not asking
        from deploystep.core.pattern_proofs import covers  # noqa: PLC0415 - few rules need a proof

        return covers(covering, covered)


def _built_in(narrow: Alternative, wide: Matcher) -> bool:
    """What holds without being written: no fork fires a rule that does not say `fork: true`."""
    wants_fork = any(isinstance(m, ForkIs) and m.wanted for m in narrow.matchers)
    return isinstance(wide, ForkIs) and not wide.wanted and not wants_fork
