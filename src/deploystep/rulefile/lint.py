"""What is wrong or suspicious in rules that were read: what can be proved of whole rules, and what is seen in one.

A claim is proved, with a build that shows it where there is one, or it is not made: work on it is bounded.
"""

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from typing import Final

from deploystep.core import rules as core
from deploystep.core.build import Branch, BuildContext, ParallelNode, Tag, Variables
from deploystep.core.decide import condition
from deploystep.core.deploy import carries_key, own_variables
from deploystep.core.facts import Answer, Facts
from deploystep.core.matchers import concerns
from deploystep.core.patterns import Pattern, PatternSet
from deploystep.core.patterns.automaton import WORK
from deploystep.core.source import Pos, Span, Spanned
from deploystep.core.text import clipped, nearest, shown
from deploystep.core.times import next_opening
from deploystep.rulefile.yaml_reader import Report, Stopped

#: A dot between digits of a regex; `\\d`, `[0-9]` and a repetition of them count as digits.
_LOOSE_DOT: Final = re.compile(r"(?:\\d|[0-9]|\[0-9\])(?:[+*?]|\{[0-9,]+\})?\)?(\.)\(?(?:\\d|[0-9]|\[0-9\])")
_ESCAPED: Final = re.compile(r"\\[^d]")

#: Letters of other scripts that look like a Latin one, and that one.
_STRANGE, _LATIN = (
    "авеһіјкмнорсԛтухѕԁԝАВЕНІЈКМОРСТУХЅαοινρυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "abehijkmhopcqtyxsdwABEHIJKMOPCTYXSaoivpuABEZHIKMNOPTYX",
)
_LOOKS_LIKE: Final = dict(zip(_STRANGE, _LATIN, strict=True))
_NO_FORK: Final = core.FlagIs("fork", wanted=False, span=Span(Pos(1, 1)))
_KEY: Final = "deploy_key: ${deploy.key}"
_PER_PAIR: Final = 50  # what two rules cost, in the unit of `Work`, beside their patterns
_PER_COMPARISON: Final = 20  # what it costs to compare two patterns
_PER_JUDGEMENT: Final = 150  # what it costs to judge an alternative for a build


def refuse_useless(rules: core.RuleSet, report: Report) -> None:
    """Report every rule that can never fire, and every alternative that adds nothing to an earlier one."""
    for rule in rules.rules:
        alternatives, stops = rule.when.alternatives, rule.unless.alternatives if rule.unless else ()
        stopping = [next((s for s in stops if _implies(a, s)), None) for a in alternatives]
        if None not in stopping:
            lines = {s.span: f"line {s.span.line}, {_words(s.matchers[0])}" for s in stopping if s}
            message = f"rule {shown(rule.name.value)} can never fire: its unless ({' and '.join(lines.values())})"
            report.error("E305", f"{message} covers its when", alternatives[0].span)
        for index, late in enumerate(alternatives):
            early = next((e for e in alternatives[:index] if _implies(late, e)), None)
            if early is not None:
                message = f"this adds nothing: whenever it holds, line {early.span.line} holds already"
                report.error("E306", message, late.span, "remove it")


def _implies(narrow: core.Alternative, wide: core.Alternative) -> bool:
    """Whether in every build in which `narrow` lets a rule fire, `wide` holds as well. False claims nothing."""
    # no fork fires a rule that does not say so, which holds without being written
    matchers = narrow.matchers if _wants("fork", narrow.matchers) else (*narrow.matchers, _NO_FORK)
    return all(any(_is_within(n, w) for n in matchers) for w in wide.matchers)


def _is_within(narrow: core.Matcher, wide: core.Matcher) -> bool:
    match narrow, wide:
        case core.FlagIs(a, is_wanted), core.FlagIs(b, is_wanted_too):
            return (a, is_wanted) == (b, is_wanted_too)
        case core.NameIs(a, these), core.NameIs(b, those):
            return a == b and all(_covers(_plain(those), pattern) for pattern in _plain(these))
        case core.EnvIs(these), core.EnvIs(those):
            known = {name.value: _plain(patterns) for name, patterns in these}
            return all(n.value in known and all(_covers(_plain(p), k) for k in known[n.value]) for n, p in those)
        case core.MergedInto(these), core.MergedInto(those):
            return {branch.value for branch in these} <= {branch.value for branch in those}
        case core.MessageContains(these), core.MessageContains(those):
            return all(any(part.value in text.value for part in those) for text in these)
        case _:
            return False


def _words(matcher: core.Matcher) -> str:
    """A matcher as the file has it, in short. No path is among those that a proof can be about."""
    match matcher:
        case core.NameIs(word, patterns):
            return f"{word} " + ", ".join(f'"{clipped(pattern.value.text)}"' for pattern in patterns)
        case core.FlagIs(word, wanted):
            return f"{word} {str(wanted).lower()}"
        case core.EnvIs(variables):
            return f"env {', '.join(name.value for name, _ in variables)}"
        case core.MergedInto(branches):
            return "merged_into " + ", ".join(f'"{clipped(branch.value)}"' for branch in branches)
        case core.MessageContains(texts):
            return "message_contains " + ", ".join(f'"{clipped(text.value)}"' for text in texts)
        case _:
            return "paths"


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


def _wants(word: str, matchers: Iterable[core.Matcher]) -> bool:
    return any(isinstance(m, core.FlagIs) and m.word == word and m.wanted for m in matchers)


def warn_of_pairs(rules: core.RuleSet, report: Report) -> None:
    """Warn of rules that can both deploy to one environment, and of those whose runs cannot be told apart."""
    for first, second in _pairs(rules.rules, lambda rule: rule.environment and rule.environment.value):
        if (build := _both_fire(first, second)) and second.environment:
            name = shown(second.name.value)
            what = f"rules {shown(first.name.value)} and {name} can both fire, for example on {told(build)}"
            hint = f"intended? otherwise name the case under unless: of {name}"
            report.warning("W301", what, second.environment.span, hint)
    shared: dict[str, tuple[core.Rule, core.Rule, BuildContext | None]] = {}
    for first, second in _pairs(rules.sending, lambda rule: rule.deploy.known_by):
        _, _, build = shared.get(second.name.value, (None, None, None))
        if build or (not second.deploy.job and carries_key(first.deploy) and carries_key(second.deploy)):
            continue
        build = _both_fire(first, second)
        if build or (second.name.value not in shared and _meet(first, second)):
            shared[second.name.value] = first, second, build
    for first, second, build in shared.values():
        if started := second.deploy.job or second.deploy.workflow:
            kind, key = ("job", "") if second.deploy.job else ("workflow", f", or send {_KEY} with both")
            both = f"rules {shown(first.name.value)} and {shown(second.name.value)} start the same {kind}"
            shows = f" (both fire, for example, on {told(build)})" if build else ""
            unclear = "so a rerun that finds one of their runs cannot tell whose it is and ends with exit code 5"
            say, code = (report.error, "E310") if build else (report.warning, "W310")
            say(code, f"{both}{shows}, {unclear}", started.span, f"give each rule a {kind} of its own{key}")
    # rules that are sent once for each value of a variable, while their runs do not tell which
    for rule in (r for r in rules.sending if own_variables(r.deploy) and not carries_key(r.deploy)):
        names = ", ".join(f"${{{name}}}" for name in sorted(own_variables(rule.deploy)))
        what = f"the runs of rule {shown(rule.name.value)} do not tell for which {names} they were sent"
        so = "so a rerun that finds one ends with exit code 5"
        report.warning("W311", f"{what}, {so}", rule.deploy.span, f"send the deploy key: {_KEY}")
    if WORK.is_done:
        what = "not every rule and pattern of this file is compared with the others: too large"
        report.warning("W313", what, rules.rules[0].span, "write fewer or simpler patterns to have all of it compared")


def _pairs(rules: Iterable[core.Rule], key: Callable[[core.Rule], Hashable]) -> Iterator[tuple[core.Rule, core.Rule]]:
    """Each rule with each earlier one of the same key, as long as there is work left; None is no key."""
    groups: dict[Hashable, list[core.Rule]] = {}
    for second in rules:
        group = groups.setdefault(key(second), [])
        for first in group if key(second) is not None else ():
            WORK.left -= _PER_PAIR
            if WORK.is_done:
                return
            yield first, second
        group.append(second)


def _both_fire(first: core.Rule, second: core.Rule) -> BuildContext | None:
    """A build in which both fire as far as the environment decides. What git knows can be so for both at once."""
    for one in first.when.alternatives:
        for other in second.when.alternatives:
            matchers = (*one.matchers, *other.matchers)
            build = None if WORK.is_done or _named("author", matchers) else witness(matchers)
            if build is None:
                continue
            WORK.left -= _PER_JUDGEMENT * (len(first.when.alternatives) + len(second.when.alternatives))
            facts = Facts(build)
            stops = [r.unless for r in (first, second) if r.unless]
            is_stopped = any(condition("unless", stop, facts).answer is not Answer.NO for stop in stops)
            if not is_stopped and all(
                condition("when", r.when, facts).answer is not Answer.NO for r in (first, second)
            ):
                return build
    return None


def _meet(first: core.Rule, second: core.Rule) -> bool:
    """Whether both can be for one branch or tag: a later build of a commit can find the other's run."""
    mine, yours = (list(core.matchers_of(rule.when)) for rule in (first, second))
    both = ((a, b) for word in ("branch", "tag") for a in _named(word, mine) for b in _named(word, yours))
    return any(_common([a, b]) for a, b in both)


def told(build: BuildContext) -> str:
    """A build that shows something, for people."""
    ref = f"tag {shown(build.tag)}" if build.tag else f"branch {shown(build.branch or '')}"
    user = f" by user {shown(build.user)}" if build.user else ""
    return ref + (" with a pull request" if build.pull_requests else "") + user


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
    from deploystep.core.patterns.proofs import overlap  # noqa: PLC0415 - a run that deploys compares no rules

    # one alternative names a matcher once, so two lists are all there can be
    return overlap(_plain(lists[0]), _plain(lists[-1])) or None if lists else None


def _plain(patterns: core.Patterns) -> tuple[Pattern, ...]:
    return tuple(pattern.value for pattern in patterns)


# --- what is suspicious in one rule, or in the file


def warn(rules: core.RuleSet, report: Report, *, is_whole: bool) -> None:
    """Warn of what is suspicious in each rule; in the file as a whole only where all of it could be read."""
    conditions = [guard.when for guard in rules.never] + [c for r in rules.rules for c in (r.when, r.unless) if c]
    for matcher in core.matchers_of(*conditions):
        for pattern in (pattern for patterns in core.patterns_of(matcher) for pattern in patterns):
            _check_pattern(pattern, matcher.word if isinstance(matcher, core.NameIs) else "", report)
    for rule in rules.rules:
        _check_rule(rule, report)
    if is_whole:
        warn_of_pairs(rules, report)
        _check_file(rules, report)


def _check_file(rules: core.RuleSet, report: Report) -> None:
    expected = {name.value for case in rules.cases for name in (*(case.expect.fire or ()), *(case.expect.held or ()))}
    for rule in rules.rules:
        name, span = rule.name.value, rule.name.span
        if rules.cases and name not in expected:
            report.warning("W308", f"no case expects rule {shown(name)}", span, "add a case in which it fires")
        for freeze in (z for z in rules.freezes if rule.during and concerns(z, rule)):
            opening = next_opening(freeze.interval.begins, rule.during.value if rule.during else (), ())
            if opening is not None and opening >= freeze.interval.ends:
                what = f"no window of rule {shown(name)} opens during freeze {shown(freeze.name)}"
                report.warning("W309", what, freeze.span, f"list {shown(name)} under except:, or remove it")
    if rules.unzoned is not None:
        what = "this time is in UTC: neither it nor the file names a time zone"
        report.warning("W401", what, rules.unzoned, "write for example  timezone: Europe/Berlin  in the file")


def _check_rule(rule: core.Rule, report: Report) -> None:
    """Matchers that say less than they seem to, and deploys that do not do what they seem to."""
    is_production = rule.environment is not None and rule.environment.value.startswith("prod")
    for matcher in core.matchers_of(rule.when):
        if is_production and isinstance(matcher, core.NameIs) and matcher.word == "author":
            what = "anyone can set the author of a commit"
            report.warning("W306", what, matcher.span, "use user: for who may deploy")
    for matcher in core.matchers_of(rule.unless):
        if isinstance(matcher, core.PathsChanged):
            what = "this stops the rule when any of these files has changed, whatever else has"
            report.warning("W307", what, matcher.span, "to leave files out, write ignore: under paths: in when:")
    deploy = rule.sends
    if deploy and deploy.job is not None:
        what = "'job' uses API v1.1, whose triggers CircleCI removes on 1 February 2027"
        report.warning("W601", what, deploy.span, "gate a workflow on a parameter and use workflow:")
    elif deploy and deploy.to is None and not deploy.parameters:
        what = "without a parameter this starts the same workflows again, and this step with them"
        hint = "send a parameter such as deploy: true, and let the workflows in config.yml run or not by it"
        report.warning("W603", what, deploy.span, hint)


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
            what = f"no file of this repository matches {shown(pattern.value.text)}"
            report.warning("W705", what, pattern.span, hint)


def _check_pattern(pattern: Spanned[Pattern], word: str, report: Report) -> None:
    text, span = pattern.value.text, pattern.span
    if word == "branch" and text == "*":
        report.warning("W302", "'*' matches only names without a slash", span, 'write "**" for every branch')
    if word == "user" and "[bot]" in text.replace("\\", ""):
        why = "bots have no CircleCI account, and CIRCLE_USERNAME is set only for people who have one"
        hint = 'write author: "*[bot]@users.noreply.github.com", or branch: [dependabot/**, renovate/**]'
        report.warning("W312", f"{shown(text)} never matches: {why}", span, hint)
    plain = _ESCAPED.sub("__", text)
    for found in _LOOSE_DOT.finditer(plain) if len(text) > 1 and text[0] == text[-1] == "/" else ():
        at = found.start(1)
        if plain.rfind("[", 0, at) <= plain.rfind("]", 0, at):  # it stands in no class
            what = f"'.' stands for any character in {shown(text)}"
            report.warning("W303", what, span.part(text, at), r"write \. for a dot")
    for at, letter in enumerate(text):
        # letters of another script are suspicious in a text that is otherwise written in Latin letters
        if letter in _LOOKS_LIKE and any(c.isascii() and c.isalpha() for c in text):
            name = unicodedata.name(letter, "another letter").lower()
            what = f"'{letter}' is not the letter '{_LOOKS_LIKE[letter]}' but {name} (U+{ord(letter):04X})"
            report.warning("W304", what, span.part(text, at), "it only looks like it; write the Latin letter")
