"""What can be proved or suspected about rules that were read. Pure; a claim is proved, or it is not made."""

import re
import unicodedata
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from deploystep.core.calendar import next_opening
from deploystep.core.holds import concerns
from deploystep.core.patterns import Kind, Pattern, covers
from deploystep.core.rules import (
    Alternative,
    AuthorIs,
    BranchIs,
    Condition,
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
from deploystep.core.source import Span, Spanned
from deploystep.rulefile import overlaps
from deploystep.rulefile.nodes import Report, clipped, shown

#: A dot between digits of a regex; `\\d`, `[0-9]` and a repetition of them count as digits.
_LOOSE_DOT: Final = re.compile(r"(?:\\d|[0-9]|\[0-9\])(?:[+*?]|\{[0-9,]+\})?\)?(\.)\(?(?:\\d|[0-9]|\[0-9\])")
_ESCAPED: Final = re.compile(r"\\[^d]")

#: Letters of other scripts that look like a Latin one, and that one.
_LOOKS_LIKE: Final = dict(
    zip(
        "авеһіјкмнорсԛтухѕԁԝАВЕНІЈКМОРСТУХЅαοινρυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
        "abehijkmhopcqtyxsdwABEHIJKMOPCTYXSaoivpuABEZHIKMNOPTYX",
        strict=True,
    )
)


#: How much work goes into comparing patterns in one file, and what a search for a proof costs beside a plain match.
#: A claim that was not reached is not made; thousands of pairs are compared within a few seconds.
_MOST_WORK: Final = 40_000
_PROOF: Final = 20


def check(rules: RuleSet, report: Report, *, is_whole: bool) -> None:
    """Report on every rule; on the file as a whole only where all of it could be read."""
    for guard in rules.never:
        _check_patterns(guard.when, report)
    prover = Prover(_MOST_WORK)
    for rule in rules.rules:
        _check_rule(rule, prover, report)
    if is_whole:
        _unused_targets(rules, report)
        overlaps.check(rules, report)
        _uncased(rules, report)
        _idle_freezes(rules, report)


def _check_rule(rule: Rule, prover: "Prover", report: Report) -> None:
    _check_patterns(rule.when, report)
    if rule.unless is not None:
        _check_patterns(rule.unless, report)
    _never_fires(rule, prover, report)
    _unreachable(rule, prover, report)
    _check_deploy(rule, report)
    _check_misread(rule, report)


def _check_misread(rule: Rule, report: Report) -> None:
    """Matchers that say less than they seem to."""
    is_production = rule.environment is not None and rule.environment.value.startswith("prod")
    for matcher in (m for a in rule.when.alternatives for m in a.matchers):
        if is_production and isinstance(matcher, AuthorIs):
            report.warning(
                "W306", "anyone can set the author of a commit", matcher.span, "use user: for who may deploy"
            )
    for matcher in (m for a in (rule.unless.alternatives if rule.unless else ()) for m in a.matchers):
        if isinstance(matcher, PathsChanged):
            report.warning(
                "W307",
                "this stops the rule when any of these files has changed, whatever else has",
                matcher.span,
                "to leave files out, write ignore: under paths: in when:",
            )


def _uncased(rules: RuleSet, report: Report) -> None:
    """Where a file has cases, a rule that none of them expects is an oversight."""
    expected = {name.value for case in rules.cases for name in (*(case.expect.fire or ()), *(case.expect.held or ()))}
    for rule in rules.rules if rules.cases else ():
        if rule.name.value not in expected:
            report.warning(
                "W308", f"no case expects rule {shown(rule.name.value)}", rule.name.span, "add a case in which it fires"
            )


def _idle_freezes(rules: RuleSet, report: Report) -> None:
    """A freeze in which a rule's windows do not open holds nothing back."""
    for rule in (r for r in rules.rules if r.during):
        for freeze in (z for z in rules.freezes if concerns(z, rule)):
            opening = next_opening(freeze.stretch.begins, rule.during.value if rule.during else (), ())
            if opening is not None and opening >= freeze.stretch.ends:
                what = f"no window of rule {shown(rule.name.value)} opens during freeze {shown(freeze.name)}"
                report.warning("W309", what, freeze.span, f"list {shown(rule.name.value)} under except:, or remove it")


def _check_deploy(rule: Rule, report: Report) -> None:
    deploy = rule.deploy
    if deploy.job is not None:
        report.warning(
            "W601",
            "'job' uses API v1.1, whose triggers CircleCI removes on 1 February 2027",
            deploy.span,
            "gate a workflow on a parameter and use workflow:",
        )
    elif deploy.to is None and not deploy.parameters:
        report.warning(
            "W603",
            "without a parameter this starts the same workflows again, and this step with them",
            deploy.span,
            "send a parameter such as deploy: true, and let the workflows in config.yml run or not by it",
        )


def _unused_targets(rules: RuleSet, report: Report) -> None:
    used = {rule.deploy.to.name for rule in rules.rules if rule.deploy.to}
    for name, target in rules.targets.items():
        if name not in used:
            report.warning("W602", f"no rule deploys to target {shown(name)}", target.span, "remove it, or use to:")


# --- proofs about conditions


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
        return covers(covering, covered)


def _built_in(narrow: Alternative, wide: Matcher) -> bool:
    """What holds without being written: no fork fires a rule that does not say `fork: true`."""
    wants_fork = any(isinstance(m, ForkIs) and m.wanted for m in narrow.matchers)
    return isinstance(wide, ForkIs) and not wide.wanted and not wants_fork


# --- single patterns


def patterns_of(matcher: Matcher) -> tuple[Patterns, ...]:
    """The lists of patterns that a matcher holds."""
    if isinstance(matcher, BranchIs | TagIs | UserIs | AuthorIs):
        return (matcher.patterns,)
    if isinstance(matcher, PathsChanged):
        return (matcher.only, matcher.ignore)
    if isinstance(matcher, EnvIs):
        return tuple(patterns for _, patterns in matcher.variables)
    return ()


def _check_patterns(condition: Condition, report: Report) -> None:
    for matcher in (m for a in condition.alternatives for m in a.matchers):
        for patterns in patterns_of(matcher):
            _check_redundant(patterns, report)
        for pattern in (p for patterns in patterns_of(matcher) for p in patterns):
            _check_pattern(pattern, report)
            if isinstance(matcher, BranchIs) and pattern.value.text == "*":
                report.warning(
                    "W302", "'*' matches only names without a slash", pattern.span, 'write "**" for every branch'
                )


def _check_redundant(patterns: Patterns, report: Report) -> None:
    """A pattern beside one that matches all it can match adds nothing, and may hide what was meant."""
    if len(patterns) > _MOST_COMPARED:
        return
    for index, pattern in enumerate(patterns):
        others = (*patterns[:index], *(p for p in patterns[index + 1 :] if p.value != pattern.value))
        wide = next((o for o in others if o.value == pattern.value or covers([o.value], pattern.value)), None)
        if wide is not None:
            is_same = wide.value == pattern.value
            why = "it stands there already" if is_same else f"{shown(wide.value.text)} matches all that it matches"
            message = f"{shown(pattern.value.text)} adds nothing: {why}"
            report.warning("W305", message, pattern.span, "remove it")


_MOST_COMPARED: Final = 20


def _check_pattern(pattern: Spanned[Pattern], report: Report) -> None:
    text = pattern.value.text
    if pattern.value.kind is not Kind.NAME or text.startswith("/"):
        for offset in _loose_dots(text):
            report.warning(
                "W303", f"'.' stands for any character in {shown(text)}", _part(pattern, offset), r"write \. for a dot"
            )
    for offset, latin in _strangers(text):
        name = unicodedata.name(text[offset], "another letter").lower()
        report.warning(
            "W304",
            f"'{text[offset]}' is not the letter '{latin}' but {name} (U+{ord(text[offset]):04X})",
            _part(pattern, offset),
            "it only looks like it; write the Latin letter",
        )


def _part(pattern: Spanned[Pattern], offset: int) -> Span:
    """The place of one character, where the pattern stands in the file as it is read."""
    return pattern.span.inside(offset) if len(pattern.value.text) == pattern.span.width else pattern.span


def _loose_dots(text: str) -> Iterator[int]:
    if not (len(text) > 1 and text.startswith("/") and text.endswith("/")):
        return
    plain = _ESCAPED.sub("__", text)
    for found in _LOOSE_DOT.finditer(plain):
        if plain.rfind("[", 0, found.start(1)) <= plain.rfind("]", 0, found.start(1)):
            yield found.start(1)


def _strangers(text: str) -> Iterator[tuple[int, str]]:
    """Letters that look Latin and are not, in a text that is otherwise written in Latin letters."""
    if any(c.isascii() and c.isalpha() for c in text):
        yield from ((i, _LOOKS_LIKE[c]) for i, c in enumerate(text) if c in _LOOKS_LIKE)
