"""Proofs that two rules for the same environment can both fire, each with a build in which they do."""

from collections.abc import Iterator
from itertools import combinations

from deploystep.core.build import CLOUD, Branch, BuildContext, Claims, ParallelNode, Tag, Variables
from deploystep.core.decide import condition
from deploystep.core.facts import Facts
from deploystep.core.pattern_proofs import overlap
from deploystep.core.rules import (
    Alternative,
    AuthorIs,
    BranchIs,
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

#: How many pairs of alternatives are compared in one file; beyond it nothing is claimed.
_MOST_PAIRS = 20_000


def check(rules: RuleSet, report: Report) -> None:
    """Warn of every pair of rules that deploy to one environment and can both fire."""
    left = _MOST_PAIRS
    for first, second in combinations([r for r in rules.rules if r.environment], 2):
        if first.environment is None or second.environment is None:
            continue
        left -= len(first.when.alternatives) * len(second.when.alternatives)
        if first.environment.value != second.environment.value or left < 0:
            continue
        build = next(_witnesses(first, second), None)
        if build is not None:
            report.warning(
                "W301",
                f"rules {shown(first.name.value)} and {shown(second.name.value)} can both fire,"
                f" for example on {_told(build)}",
                second.environment.span,
                f"intended? otherwise name the case under unless: of {shown(second.name.value)}",
            )


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
    plain = [[pattern.value for pattern in patterns] for patterns in lists]
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
