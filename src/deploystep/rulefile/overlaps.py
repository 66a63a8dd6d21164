"""Proofs that two rules for the same environment can both fire, each with a build in which they do."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from deploystep.core.build import CLOUD, Branch, BuildContext, Claims, ParallelNode, Tag, Variables
from deploystep.core.decide import condition
from deploystep.core.facts import Facts
from deploystep.core.pattern_proofs import overlap
from deploystep.core.patterns import Pattern
from deploystep.core.rules import (
    Alternative,
    AuthorIs,
    BranchIs,
    Condition,
    EnvIs,
    ForkIs,
    Matcher,
    Patterns,
    PullRequestIs,
    Rule,
    RuleSet,
    TagIs,
    UserIs,
)
from deploystep.core.trace import Answer
from deploystep.rulefile.nodes import Report, shown

#: Is told how many of how many rules have been compared.
Tell: TypeAlias = Callable[[int, int], None]

#: How many pairs of rules that differ are compared by search, and how many are told of. Beyond it nothing is claimed.
_MOST_SEARCHES: Final = 20_000
_MOST_TOLD: Final = 20_000


def check(rules: RuleSet, report: Report, tell: Tell) -> None:
    """Warn of every pair of rules that deploy to one environment and can both fire."""
    groups: dict[str, list[Rule]] = {}
    for rule in rules.rules:
        if rule.environment is not None:
            groups.setdefault(rule.environment.value, []).append(rule)
    pairs = _Pairs()
    done, total = 0, sum(len(group) for group in groups.values())
    for group in groups.values():
        for index, second in enumerate(group):
            for first in group[:index]:
                pairs.compare(first, second, report)
            done += 1
            tell(done, total)


class _Pairs:
    """Compares rules. Those that say the same are compared once, whatever their names are."""

    def __init__(self) -> None:
        self.searches = 0
        self.told = 0
        self._numbers: dict[object, int] = {}
        self._sayings: dict[str, int] = {}
        self._witnesses: dict[tuple[int, int], BuildContext | None] = {}

    def compare(self, first: Rule, second: Rule, report: Report) -> None:
        """Warn if both can fire."""
        pair = self._saying(first), self._saying(second)
        if pair not in self._witnesses:
            self.searches += 1
            is_too_much = self.searches > _MOST_SEARCHES
            self._witnesses[pair] = None if is_too_much else next(_witnesses(first, second), None)
        build = self._witnesses[pair]
        if build is None or second.environment is None or self.told >= _MOST_TOLD:
            return
        self.told += 1
        report.warning(
            "W301",
            f"rules {shown(first.name.value)} and {shown(second.name.value)} can both fire,"
            f" for example on {_told(build)}",
            second.environment.span,
            f"intended? otherwise name the case under unless: of {shown(second.name.value)}",
        )

    def _saying(self, rule: Rule) -> int:
        """A number for what a rule says, as far as a witness depends on it."""
        known = self._sayings.get(rule.name.value)
        if known is None:
            said = (_said(rule.when), rule.unless and _said(rule.unless))
            known = self._sayings[rule.name.value] = self._numbers.setdefault(said, len(self._numbers))
        return known


def _said(condition: Condition) -> tuple[tuple[object, ...], ...]:
    return tuple(tuple(map(_matcher_said, a.matchers)) for a in condition.alternatives)


def _matcher_said(matcher: Matcher) -> object:
    """A matcher without its place. What git or CircleCI would have to say is open whatever it asks for."""
    if isinstance(matcher, BranchIs | TagIs | UserIs):
        return type(matcher), _plain(matcher.patterns)
    if isinstance(matcher, PullRequestIs | ForkIs):
        return type(matcher), matcher.wanted
    if isinstance(matcher, EnvIs):
        return type(matcher), tuple((name.value, _plain(patterns)) for name, patterns in matcher.variables)
    return type(matcher)


def _plain(patterns: Patterns) -> tuple[Pattern, ...]:
    return tuple(pattern.value for pattern in patterns)


def _told(build: BuildContext) -> str:
    ref = f"tag {shown(build.tag)}" if build.tag else f"branch {shown(build.branch or '')}"
    user = f" by user {shown(build.user)}" if build.user else ""
    return ref + (" with a pull request" if build.pull_requests else "") + user


def _witnesses(first: Rule, second: Rule) -> Iterator[BuildContext]:
    """Builds in which both fire as far as the environment decides. What git knows can be so for both at once."""
    for one in first.when.alternatives:
        for other in second.when.alternatives:
            build = _witness((*one.matchers, *other.matchers))
            if build is not None and _may_fire(first, one, build) and _may_fire(second, other, build):
                yield build


def _may_fire(rule: Rule, alternative: Alternative, build: BuildContext) -> bool:
    facts = Facts(build)
    stopped = rule.unless is not None and condition("unless", rule.unless, facts).answer is not Answer.NO
    holds = condition("when", rule.when, facts, forks_must_be_named=True).answer is not Answer.NO
    return holds and not stopped and not any(isinstance(m, AuthorIs) for m in alternative.matchers)


def _witness(matchers: tuple[Matcher, ...]) -> BuildContext | None:
    """A build that satisfies all of these, None where none was found."""
    branches = [m.patterns for m in matchers if isinstance(m, BranchIs)]
    tags = [m.patterns for m in matchers if isinstance(m, TagIs)]
    wants_request = {m.wanted for m in matchers if isinstance(m, PullRequestIs)}
    if (branches and tags) or len(wants_request) > 1 or any(isinstance(m, ForkIs) and m.wanted for m in matchers):
        return None
    name = _common(branches or tags)
    user = _common([m.patterns for m in matchers if isinstance(m, UserIs)])
    values = _variables(matchers)
    if not name or user is None or values is None:
        return None
    ref = Branch(name) if branches else Tag(name)
    return _build(ref, user, values, has_request=True in wants_request)


def _variables(matchers: tuple[Matcher, ...]) -> dict[str, str] | None:
    wanted: dict[str, list[Patterns]] = {}
    for matcher in matchers:
        for name, patterns in matcher.variables if isinstance(matcher, EnvIs) else ():
            wanted.setdefault(name.value, []).append(patterns)
    values = {name: _common(lists) for name, lists in wanted.items()}
    return None if None in values.values() else {name: value for name, value in values.items() if value}


def _common(lists: list[Patterns]) -> str | None:
    """A text that each list matches; empty where there is no list, None where none was found."""
    if not lists:
        return ""
    plain = [_plain(patterns) for patterns in lists]
    found = overlap(plain[0], plain[-1])
    # one alternative names a matcher once, so two lists are all there can be
    return found or None


def _build(ref: Branch | Tag, user: str, values: dict[str, str], *, has_request: bool) -> BuildContext:
    return BuildContext(
        project=None,
        ref=ref,
        revision="",
        node=ParallelNode(0, 1),
        pull_requests=(1,) if has_request else (),
        fork=False,
        user=user or None,
        host=CLOUD,
        pipeline_id=None,
        workflow_id=None,
        build_num=None,
        claims=Claims(),
        variables=Variables(values),
    )
