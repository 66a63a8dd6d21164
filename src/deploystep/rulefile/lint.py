"""What is wrong or suspicious in rules that were read. A claim is proved in bounded work, or it is not made."""

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from itertools import product
from typing import Final

from deploystep.core import rules as core
from deploystep.core.build import Branch, BuildContext, ParallelNode, Tag, Variables
from deploystep.core.decide import concerns, condition
from deploystep.core.deploy import carries_key, own_variables
from deploystep.core.facts import Answer, Facts
from deploystep.core.frozen import replace
from deploystep.core.patterns import Pattern, PatternSet
from deploystep.core.patterns.automaton import WORK
from deploystep.core.source import Pos, Span, Spanned, clipped, nearest, shown
from deploystep.core.times import next_opening
from deploystep.rulefile.yaml_reader import Report, Stopped

#: A dot between digits of a regex; `\\d` and a repetition count as digits.
_LOOSE_DOT: Final = r"(?:\\d|[0-9])(?:[+*?]|\{[0-9,]+\})?\)?(\.)\(?(?:\\d|[0-9])"
_ESCAPED: Final = r"\\[^d]|\[(?:\\.|[^\]])*\]"
_NO_FORK: Final = core.FlagIs("fork", wanted=False, span=Span(Pos(1, 1)))
_KEY: Final = "deploy_key: ${deploy.key}"
_PER_PAIR: Final = 50  # what two rules cost, in the unit of `Work`, beside their patterns
_PER_COMPARISON: Final = 20  # what it costs to compare two patterns
_PER_JUDGEMENT: Final = 150  # what it costs to judge an alternative for a build


def refuse_useless(rules: core.RuleSet, report: Report) -> None:
    """Report every rule that is too large, or can never fire, and every alternative that adds nothing to another."""
    for rule in rules.rules:
        count = sum(len(each) for m in core.matchers_of(rule.when, rule.unless) for each in core.patterns_of(m))
        if count > 200:  # noqa: PLR2004
            report.add("E115", f"{count} patterns in one rule", rule.span, "the limit is 200")
        alternatives, stops = rule.when.alternatives, rule.unless.alternatives if rule.unless else ()
        stopping = [next((s for s in stops if _implies(a, s)), None) for a in alternatives]
        if None not in stopping:
            lines = {s.span: f"line {s.span.line}, {_said(s.matchers[0])}" for s in stopping if s}
            message = f"rule {shown(rule.name.value)} can never fire: its unless ({' and '.join(lines.values())})"
            report.add("E305", f"{message} covers its when", alternatives[0].span)
        for index, late in enumerate(alternatives):
            if early := next((e for e in alternatives[:index] if _implies(late, e)), None):
                message = f"this adds nothing: whenever it holds, line {early.span.line} holds already"
                report.add("E306", message, late.span, "remove it")


def _implies(narrow: core.Alternative, wide: core.Alternative) -> bool:
    """Whether in every build in which `narrow` lets a rule fire, `wide` holds as well. False claims nothing."""
    # no fork fires a rule that does not say so, which holds without being written
    matchers = narrow.matchers if _wants("fork", narrow.matchers) else (*narrow.matchers, _NO_FORK)
    return all(any(_is_within(n, w) for n in matchers) for w in wide.matchers)


def _is_within(narrow: core.Matcher, wide: core.Matcher) -> bool:
    match narrow, wide:
        case core.FlagIs(word, wanted), core.FlagIs(other, is_wanted):
            return (word, wanted) == (other, is_wanted)
        case core.NameIs(word, these), core.NameIs(other, those):
            return word == other and all(_covers(_plain(those), pattern) for pattern in _plain(these))
        case core.EnvIs(these), core.EnvIs(those):
            known = {name.value: _plain(patterns) for name, patterns in these}
            return all(n.value in known and all(_covers(_plain(p), k) for k in known[n.value]) for n, p in those)
        case core.MergedInto(these), core.MergedInto(those):
            return {branch.value for branch in these} <= {branch.value for branch in those}
        case core.MessageContains(these), core.MessageContains(those):
            return all(any(part.value in text.value for part in those) for text in these)
    return False


def _covers(covering: tuple[Pattern, ...], covered: Pattern) -> bool:
    WORK.left -= len(covering) * _PER_COMPARISON
    if covered in covering or WORK.left <= 0:
        return covered in covering
    if (text := covered.only_match) is not None:
        return any(pattern.matches(text) for pattern in covering)
    if all(pattern.only_match is not None for pattern in covering):
        return False  # a few names never cover a pattern that has wildcards; nothing is lost by not asking
    from deploystep.core.patterns.proofs import covers  # noqa: PLC0415 - few rules need a proof

    return covers(covering, covered)


def _said(matcher: core.Matcher) -> str:
    """A matcher as the file has it, in short. No path is among those that a proof can be about."""
    words, texts = "", [""]
    match matcher:
        case core.NameIs(words, patterns):
            texts = [f'"{pattern.text}"' for pattern in _plain(patterns)]
        case core.FlagIs(words, wanted):
            texts = [str(wanted).lower()]
        case core.EnvIs(variables):
            words, texts = "env", [name.value for name, _ in variables]
        case core.MergedInto(values) | core.MessageContains(values):
            words = "merged_into" if isinstance(matcher, core.MergedInto) else "message_contains"
            texts = [f'"{text.value}"' for text in values]
    return clipped(f"{words} {', '.join(texts)}")


def _wants(word: str, matchers: Iterable[core.Matcher]) -> bool:
    return any(isinstance(m, core.FlagIs) and m.word == word and m.wanted for m in matchers)


def _warn_of_pairs(rules: core.RuleSet, report: Report) -> None:
    """Warn of rules that can both deploy to one environment, and of those whose runs cannot be told apart."""
    for first, second in _pairs(rules.rules, lambda rule: rule.environment and rule.environment.value):
        if (build := _both_fire(first, second)) and second.environment:
            name = shown(second.name.value)
            what = f"rules {shown(first.name.value)} and {name} can both fire, for example on {told(build)}"
            report.add("W301", what, second.environment.span, f"intended? otherwise name it under unless: of {name}")
    shared: dict[str, str] = {}  # rules of which it is told, once, with which other one they share their runs
    for first, second in _pairs(rules.sending, lambda rule: rule.deploy.known_by):
        is_job, started = second.deploy.job is not None, second.deploy.job or second.deploy.workflow
        is_keyed = not is_job and carries_key(first.deploy) and carries_key(second.deploy)
        build = None if is_keyed else _both_fire(first, second)
        known = shared.get(second.name.value)
        mine, yours = (list(core.matchers_of(rule.when)) for rule in (first, second))
        # a later build of a commit can find the other's run where both can be for one branch or tag
        refs = (_common([a, b]) for word in ("branch", "tag") for a in _named(word, mine) for b in _named(word, yours))
        if started and not is_keyed and known != "E310" and (build or (not known and any(refs))):
            shared[second.name.value] = code = "E310" if build else "W310"
            kind, key = ("job", "") if is_job else ("workflow", f", or send {_KEY} with both")
            both = f"rules {shown(first.name.value)} and {shown(second.name.value)} start the same {kind}"
            shows = f", and both fire, for example on {told(build)}" if build else ""
            what = f"{both}{shows}: a rerun cannot tell their runs apart"
            report.add(code, what, started.span, f"give each rule a {kind} of its own{key}")
    for rule in (r for r in rules.sending if own_variables(r.deploy) and not carries_key(r.deploy)):
        names = ", ".join(f"${{{name}}}" for name in sorted(own_variables(rule.deploy)))
        what = f"a rerun cannot tell for which {names} a run of rule {shown(rule.name.value)} was sent"
        report.add("W311", what, rule.deploy.span, f"send the deploy key: {_KEY}")
    if WORK.left <= 0:
        what = "not every rule and pattern of this file is compared with the others: too large"
        report.add("W313", what, rules.rules[0].span, "write fewer or simpler patterns to have all of it compared")


def _pairs(rules: Iterable[core.Rule], key: Callable[[core.Rule], Hashable]) -> Iterator[tuple[core.Rule, core.Rule]]:
    """Each rule with each earlier one of the same key, as long as there is work left; None is no key."""
    groups: dict[Hashable, list[core.Rule]] = {}
    for second in rules:
        group = groups.setdefault(key(second), [])
        for first in group if key(second) is not None else ():
            WORK.left -= _PER_PAIR
            if WORK.left <= 0:
                return
            yield first, second
        group.append(second)


def _both_fire(first: core.Rule, second: core.Rule) -> BuildContext | None:
    """A build in which both fire as far as the environment decides. What git knows can be so for both at once."""
    for one, other in product(first.when.alternatives, second.when.alternatives):
        matchers = (*one.matchers, *other.matchers)
        if WORK.left > 0 and not _named("author", matchers) and (build := witness(matchers)):
            WORK.left -= _PER_JUDGEMENT * (len(first.when.alternatives) + len(second.when.alternatives))
            stops, facts = [rule.unless for rule in (first, second) if rule.unless], Facts(build)
            is_stopped = any(condition("unless", stop, facts).answer is not Answer.NO for stop in stops)
            holding = (condition("when", rule.when, facts).answer for rule in (first, second))
            if not is_stopped and all(answer is not Answer.NO for answer in holding):
                return build
    return None


def told(build: BuildContext) -> str:
    """A build that shows something, for people."""
    ref = f"tag {shown(build.tag)}" if build.tag else f"branch {shown(build.branch or '')}"
    user = f" by user {shown(build.user)}" if build.user else ""
    return ref + (" with a pull request" if build.pull_requests else "") + user


def witness(matchers: tuple[core.Matcher, ...]) -> BuildContext | None:
    """A build, from no fork, that may satisfy all of these; None where there is no branch or tag for it."""
    branches, tags = _named("branch", matchers), _named("tag", matchers)
    name, user = _common(branches or tags) or "", _common(_named("user", matchers))
    wanted: dict[str, list[core.Patterns]] = {}
    for variable, patterns in (pair for m in matchers if isinstance(m, core.EnvIs) for pair in m.variables):
        wanted.setdefault(variable.value, []).append(patterns)
    variables = Variables({variable: _common(lists) or "" for variable, lists in wanted.items()})
    ref, requests = Branch(name) if branches else Tag(name), (1,) if _wants("pull_request", matchers) else ()
    build = BuildContext(None, ref, "", ParallelNode(0, 1), requests, fork=False, user=user, variables=variables)
    return build if name else None


def _named(word: str, matchers: Iterable[core.Matcher]) -> list[core.Patterns]:
    return [m.patterns for m in matchers if isinstance(m, core.NameIs) and m.word == word]


def _common(lists: list[core.Patterns]) -> str | None:
    """A text that each list matches; None where none was found, or no list is there."""
    from deploystep.core.patterns.proofs import overlap  # noqa: PLC0415 - a run that deploys compares no rules

    # one alternative names a matcher once, so two lists are all there can be
    return overlap(_plain(lists[0]), _plain(lists[-1])) or None if lists else None


def _plain(patterns: core.Patterns) -> tuple[Pattern, ...]:
    return tuple(pattern.value for pattern in patterns)


def warn(rules: core.RuleSet, report: Report, *, is_whole: bool) -> None:
    """Warn of what may say less than it seems to; of what rules are to each other only where the file is whole."""
    rules = rules if is_whole else replace(rules, cases=(), freezes=())
    conditions = [guard.when for guard in rules.never] + [c for r in rules.rules for c in (r.when, r.unless) if c]
    for matcher in core.matchers_of(*conditions):
        for pattern in (pattern for patterns in core.patterns_of(matcher) for pattern in patterns):
            _check_pattern(pattern, matcher.word if isinstance(matcher, core.NameIs) else "", report)
    expected = {name.value for case in rules.cases for name in (*(case.expect.fire or ()), *(case.expect.held or ()))}
    for rule in rules.rules:
        if rules.cases and rule.name.value not in expected:
            what = f"no case expects rule {shown(rule.name.value)}"
            report.add("W308", what, rule.name.span, "add a case in which it fires")
        _check_rule(rule, rules.freezes, report)
    if rules.unzoned is not None:
        what = "this time is in UTC: neither it nor the file names a time zone"
        report.add("W401", what, rules.unzoned, "write for example  timezone: Europe/Berlin  in the file")
    if is_whole:
        _warn_of_pairs(rules, report)


def _check_rule(rule: core.Rule, freezes: tuple[core.Freeze, ...], report: Report) -> None:
    name, during = shown(rule.name.value), rule.during.value if rule.during else ()
    if rule.environment and rule.environment.value.startswith("prod"):
        for at in (m.span for m in core.matchers_of(rule.when) if isinstance(m, core.NameIs) and m.word == "author"):
            report.add("W306", "anyone can set the author of a commit", at, "use user: for who may deploy")
    for at in (m.span for m in core.matchers_of(rule.unless) if isinstance(m, core.PathsChanged)):
        what = "this stops the rule when any of these files has changed, whatever else has"
        report.add("W307", what, at, "to leave files out, write ignore: under paths: in when:")
    for freeze in (freeze for freeze in freezes if during and concerns(freeze, rule)):
        if (opening := next_opening(freeze.interval.begins, during, ())) and opening >= freeze.interval.ends:
            what = f"no window of rule {name} opens during freeze {shown(freeze.name)}"
            report.add("W309", what, freeze.span, f"list {name} under except:, or remove it")
    if rule.sends and rule.sends.job:
        what = "'job' uses API v1.1, whose triggers CircleCI removes on 1 February 2027"
        report.add("W601", what, rule.sends.span, "gate a workflow on a parameter and use workflow:")


def check_paths(rules: core.RuleSet, files: tuple[str, ...], report: Report) -> None:
    """Warn of patterns of paths that match no file which git tracks."""
    filters = [m for r in rules.rules for m in core.matchers_of(r.when, r.unless) if isinstance(m, core.PathsChanged)]
    patterns = [pattern for m in filters for pattern in (*m.only, *m.ignore)]
    matched = set[int]().union(*PatternSet(p.value for p in patterns).matching_sorted(sorted(files)))
    folders = {file[:at] for file in files for at, character in enumerate(file) if character == "/"}
    with suppress(Stopped):
        for pattern in (pattern for index, pattern in enumerate(patterns) if index not in matched):
            literal = pattern.value.text.split("*", 1)[0].rstrip("/")
            near = nearest(literal, folders | set(files)) if literal else None
            rest = pattern.value.text[len(literal) :] or ("/**" if near in folders else "")
            hint = f"did you mean {shown(near + rest)}?" if near else "is the path spelt as git has it?"
            report.add("W705", f"no file of this repository matches {shown(pattern.value.text)}", pattern.span, hint)


def _check_pattern(pattern: Spanned[Pattern], word: str, report: Report) -> None:
    text, span = pattern.value.text, pattern.span
    if word == "branch" and text == "*":
        report.add("W302", "'*' matches only names without a slash", span, 'write "**" for every branch')
    if word == "user" and "[bot]" in text.replace("\\", ""):
        why = "bots have no CircleCI account, and CIRCLE_USERNAME is set only for people who have one"
        hint = 'write author: "*[bot]@users.noreply.github.com", or branch: [dependabot/**, renovate/**]'
        report.add("W312", f"{shown(text)} never matches: {why}", span, hint)
    # as wide, without what is escaped and other classes than that of digits, in which a dot is itself
    plain = re.sub(_ESCAPED, lambda found: "00000" if found[0] == "[0-9]" else "_" * len(found[0]), text)
    for found in re.finditer(_LOOSE_DOT, plain) if re.fullmatch("/.+/", plain) else ():
        what = f"'.' stands for any character in {shown(text)}"
        report.add("W303", what, span.part(text, found.start(1)), r"write \. for a dot")
    is_latin = any(letter.isascii() and letter.isalpha() for letter in text)
    for at, letter in enumerate(text) if is_latin and not text.isascii() else ():
        name = unicodedata.name(letter, "").lower()
        if name.startswith(("cyrillic", "greek")):
            what = f"'{letter}' is no Latin letter but {name} (U+{ord(letter):04X})"
            report.add("W304", what, span.part(text, at), "if it only looks like one, write the Latin letter")
