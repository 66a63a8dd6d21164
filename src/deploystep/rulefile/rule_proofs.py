"""What can be proved of whole rules: that one can never fire, that part of one adds nothing, that two can meet.

A claim is proved, with a build that shows it where there is one, or it is not made: work on it is bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploystep.core import rules as core
from deploystep.core.build import Branch, BuildContext, ParallelNode, Tag, Variables
from deploystep.core.decide import condition
from deploystep.core.deploy_key import carries_key, own_variables
from deploystep.core.facts import Facts
from deploystep.core.patterns.automaton import WORK
from deploystep.core.text import clipped, shown
from deploystep.core.trace import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from deploystep.core.patterns import Pattern
    from deploystep.rulefile.yaml_nodes import Report

_KEY: Final = "deploy_key: ${deploy.key}"
_SO: Final = "so a rerun that finds one ends with exit code 5"
_PER_PAIR: Final = 50  # what two alternatives cost, in the unit of `Work`, beside their patterns
_PER_COMPARISON: Final = 20  # what it costs to compare two patterns
_PER_JUDGEMENT: Final = 150  # what it costs to judge an alternative for a build


def refuse_useless(rules: core.RuleSet, report: Report) -> None:
    """Report every rule that can never fire, and every alternative that adds nothing to an earlier one."""
    for rule in rules.rules:
        _check_unless(rule, report)
        alternatives = rule.when.alternatives
        for index, late in enumerate(alternatives):
            early = next((e for e in alternatives[:index] if _implies(late, e)), None)
            if early is not None:
                message = f"this adds nothing: whenever it holds, line {early.span.line} holds already"
                report.error("E306", message, late.span, "remove it")


def _check_unless(rule: core.Rule, report: Report) -> None:
    """Report a rule whose `unless` stops whatever its `when` lets through."""
    stops = rule.unless.alternatives if rule.unless else ()
    stopping = [next((s for s in stops if _implies(a, s)), None) for a in rule.when.alternatives]
    if None in stopping:
        return
    lines = {s.span: f"line {s.matchers[0].span.line}, {_words(s.matchers[0])}" for s in stopping if s}
    message = f"rule {shown(rule.name.value)} can never fire: its unless ({' and '.join(lines.values())})"
    report.error("E305", f"{message} covers its when", rule.when.span)


def _words(matcher: core.Matcher) -> str:
    """A matcher as the file has it, in short. No path is among those that a proof can be about."""
    match matcher:
        case core.FlagIs(word, wanted):
            return f"{word} {str(wanted).lower()}"
        case core.EnvIs(variables):
            return f"env {', '.join(name.value for name, _ in variables)}"
        case core.NameIs(word, patterns):
            return f"{word} {_quoted(pattern.text for pattern in _plain(patterns))}"
        case core.MergedInto(branches):
            return f"merged_into {_quoted(branch.value for branch in branches)}"
        case core.MessageContains(texts):
            return f"message_contains {_quoted(text.value for text in texts)}"
        case _:
            return "paths"


def _quoted(texts: Iterable[str]) -> str:
    return ", ".join(f'"{clipped(text)}"' for text in texts)


def _implies(narrow: core.Alternative, wide: core.Alternative) -> bool:
    """Whether in every build in which `narrow` lets a rule fire, `wide` holds as well. False claims nothing."""
    return all(_is_built_in(narrow, w) or any(_is_within(n, w) for n in narrow.matchers) for w in wide.matchers)


def _is_within(narrow: core.Matcher, wide: core.Matcher) -> bool:
    match narrow, wide:
        case core.NameIs(a, these), core.NameIs(b, those):
            return a == b and _covered(these, those)
        case core.FlagIs(a, is_wanted), core.FlagIs(b, is_wanted_too):
            return a == b and is_wanted == is_wanted_too
        case core.EnvIs(these), core.EnvIs(those):
            known = {name.value: patterns for name, patterns in these}
            return all(name.value in known and _covered(known[name.value], p) for name, p in those)
        case core.MergedInto(these), core.MergedInto(those):
            return {branch.value for branch in these} <= {branch.value for branch in those}
        case core.MessageContains(these), core.MessageContains(those):
            return all(any(wide.value in text.value for wide in those) for text in these)
        case _:
            return False


def _covered(narrow: core.Patterns, wide: core.Patterns) -> bool:
    return all(_covers(_plain(wide), pattern) for pattern in _plain(narrow))


def _covers(covering: tuple[Pattern, ...], covered: Pattern) -> bool:
    if covered in covering:
        return True
    WORK.left -= len(covering) * _PER_COMPARISON
    if WORK.is_done:
        return False
    if (text := covered.only_match) is not None:
        return any(pattern.matches(text) for pattern in covering)
    if all(pattern.only_match is not None for pattern in covering):
        return False  # a few names never cover a pattern that has wildcards; nothing is lost by not asking
    from deploystep.core.patterns.proofs import covers  # noqa: PLC0415 - few rules need a proof

    return covers(covering, covered)


def _is_built_in(narrow: core.Alternative, wide: core.Matcher) -> bool:
    """What holds without being written: no fork fires a rule that does not say `fork: true`."""
    is_no_fork = isinstance(wide, core.FlagIs) and wide.word == "fork" and not wide.wanted
    return is_no_fork and not _wants("fork", narrow.matchers)


def _wants(word: str, matchers: Iterable[core.Matcher]) -> bool:
    return any(isinstance(m, core.FlagIs) and m.word == word and m.wanted for m in matchers)


def warn_of_pairs(rules: core.RuleSet, report: Report) -> None:
    """Warn of rules that can both deploy to one environment, and of those whose runs cannot be told apart."""
    _warn_of_both(rules, report)
    _warn_of_sharing(rules, report)
    # rules that are sent once for each value of a variable, while their runs do not tell which
    for rule in (r for r in rules.sending if own_variables(r.deploy) and not carries_key(r.deploy)):
        names = ", ".join(f"${{{name}}}" for name in sorted(own_variables(rule.deploy)))
        what = f"the runs of rule {shown(rule.name.value)} do not tell for which {names} they were sent, {_SO}"
        report.warning("W311", what, rule.deploy.span, f"send the deploy key: {_KEY}")
    if WORK.is_done:
        what = "not every rule and pattern of this file is compared with the others: too large"
        report.warning("W313", what, rules.rules[0].span, "write fewer or simpler patterns to have all of it compared")


def _pairs(rules: Iterable[core.Rule], key: Callable[[core.Rule], Hashable]) -> Iterator[tuple[core.Rule, core.Rule]]:
    """Each rule with each earlier one of the same key; None is no key."""
    groups: dict[Hashable, list[core.Rule]] = {}
    for second in rules:
        group = groups.setdefault(key(second), [])
        if key(second) is not None:
            yield from ((first, second) for first in group)
            group.append(second)


# --- two rules for one environment, with a build in which both fire


def _warn_of_both(rules: core.RuleSet, report: Report) -> None:
    numbers: dict[object, int] = {}
    said = {rule.name.value: numbers.setdefault(_said(rule), len(numbers)) for rule in rules.rules}
    builds: dict[tuple[int, int], BuildContext | None] = {}
    for first, second in _pairs(rules.rules, lambda rule: rule.environment and rule.environment.value):
        pair = said[first.name.value], said[second.name.value]
        if pair not in builds and not WORK.is_done:
            builds[pair] = next(_witnesses(first, second), None)
        build = builds.get(pair)
        if build is None or second.environment is None:
            continue
        name = shown(second.name.value)
        what = f"rules {shown(first.name.value)} and {name} can both fire, for example on {told(build)}"
        hint = f"intended? otherwise name the case under unless: of {name}"
        report.warning("W301", what, second.environment.span, hint)
        if report.is_full:
            return


def _said(rule: core.Rule) -> object:
    """What a rule says, without places, as far as a witness depends on it: alike rules are compared once."""
    conditions = (c.alternatives if c else () for c in (rule.when, rule.unless))
    return tuple(tuple(tuple(map(_matcher_said, a.matchers)) for a in alternatives) for alternatives in conditions)


def _matcher_said(matcher: core.Matcher) -> object:
    """What git or CircleCI would have to say is open whatever a matcher asks for."""
    match matcher:
        case core.NameIs(word, patterns):
            return word, _plain(patterns)
        case core.FlagIs(word, wanted):
            return word, wanted
        case core.EnvIs(variables):
            return tuple((name.value, _plain(patterns)) for name, patterns in variables)
        case _:
            return type(matcher)


def _plain(patterns: core.Patterns) -> tuple[Pattern, ...]:
    return tuple(pattern.value for pattern in patterns)


def told(build: BuildContext) -> str:
    """A build that shows something, for people."""
    ref = f"tag {shown(build.tag)}" if build.tag else f"branch {shown(build.branch or '')}"
    user = f" by user {shown(build.user)}" if build.user else ""
    return ref + (" with a pull request" if build.pull_requests else "") + user


def _witnesses(first: core.Rule, second: core.Rule) -> Iterator[BuildContext]:
    """Builds in which both fire as far as the environment decides. What git knows can be so for both at once."""
    for one in first.when.alternatives:
        for other in second.when.alternatives:
            WORK.left -= _PER_PAIR
            if WORK.is_done:
                return
            matchers = (*one.matchers, *other.matchers)
            build = None if _named("author", matchers) else witness(matchers)
            if build is None:
                continue
            WORK.left -= _PER_JUDGEMENT * (len(first.when.alternatives) + len(second.when.alternatives))
            if all(_may_fire(rule, build) for rule in (first, second)):
                yield build


def _may_fire(rule: core.Rule, build: BuildContext) -> bool:
    facts = Facts(build)
    is_stopped = rule.unless is not None and condition("unless", rule.unless, facts).answer is not Answer.NO
    return not is_stopped and condition("when", rule.when, facts).answer is not Answer.NO


def witness(matchers: tuple[core.Matcher, ...]) -> BuildContext | None:
    """A build, from no fork, that may satisfy all of these; None where there is no branch or tag for it."""
    branches, tags = _named("branch", matchers), _named("tag", matchers)
    name = _common(branches or tags)
    if not name:
        return None
    wanted: dict[str, list[core.Patterns]] = {}
    for variable, patterns in (pair for m in matchers if isinstance(m, core.EnvIs) for pair in m.variables):
        wanted.setdefault(variable.value, []).append(patterns)
    return BuildContext(
        project=None,
        ref=Branch(name) if branches else Tag(name),
        revision="",
        node=ParallelNode(0, 1),
        pull_requests=(1,) if _wants("pull_request", matchers) else (),
        fork=False,
        user=_common(_named("user", matchers)),
        variables=Variables({variable: _common(lists) or "" for variable, lists in wanted.items()}),
    )


def _named(word: str, matchers: Iterable[core.Matcher]) -> list[core.Patterns]:
    return [m.patterns for m in matchers if isinstance(m, core.NameIs) and m.word == word]


def _common(lists: list[core.Patterns]) -> str | None:
    """A text that each list matches; None where none was found, or no list is there."""
    # one alternative names a matcher once, so two lists are all there can be
    return _overlap(lists[0], lists[-1]) if lists else None


def _overlap(a: core.Patterns, b: core.Patterns) -> str | None:
    from deploystep.core.patterns.proofs import overlap  # noqa: PLC0415 - a run that deploys compares no rules

    return overlap(_plain(a), _plain(b)) or None


# --- rules whose runs nothing tells apart


def _warn_of_sharing(rules: core.RuleSet, report: Report) -> None:
    """Report each rule whose runs a rerun cannot tell from those of an earlier rule.

    That is an error where both can fire for one build: then it happens at the first rerun.
    """
    reported: set[str] = set()
    keyed = {rule.name.value for rule in rules.sending if carries_key(rule.deploy) and not rule.deploy.job}
    for first, second in _pairs(rules.sending, lambda rule: rule.deploy.known_by):
        started = second.deploy.job or second.deploy.workflow
        if WORK.is_done or started is None or second.name.value in reported:
            continue
        if {first.name.value, second.name.value} <= keyed or not _meet(first, second):
            continue
        reported.add(second.name.value)
        what = "job" if second.deploy.job else "workflow"
        build = next(_witnesses(first, second), None)
        shows = f" (both fire, for example, on {told(build)})" if build else ""
        say, code = (report.error, "E310") if build else (report.warning, "W310")
        both = f"rules {shown(first.name.value)} and {shown(second.name.value)} start the same {what}{shows}"
        unclear = "so a rerun that finds one of their runs cannot tell whose it is and ends with exit code 5"
        key = "" if second.deploy.job else f", or send {_KEY} with both"
        say(code, f"{both}, {unclear}", started.span, f"give each rule a {what} of its own{key}")


def _meet(first: core.Rule, second: core.Rule) -> bool:
    """Whether both can be for one branch or tag."""
    WORK.left -= _PER_PAIR
    mine, yours = ([m for a in rule.when.alternatives for m in a.matchers] for rule in (first, second))
    return any(_overlap(a, b) for word in ("branch", "tag") for a in _named(word, mine) for b in _named(word, yours))
