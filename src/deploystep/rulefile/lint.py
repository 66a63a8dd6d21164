"""What is suspicious in rules that were read, for `check`. Nothing here keeps a file from being used."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from deploystep.core.holds import concerns
from deploystep.core.patterns import Pattern, PatternSet
from deploystep.core.patterns.proofs import covers
from deploystep.core.rules import (
    Deploy,
    Matcher,
    NameIs,
    PathsChanged,
    Patterns,
    Rule,
    RuleSet,
    matchers_of,
    patterns_of,
)
from deploystep.core.source import Spanned
from deploystep.core.text import nearest, shown
from deploystep.core.times import next_opening
from deploystep.rulefile.rule_proofs import warn_of_pairs
from deploystep.rulefile.yaml_nodes import Report

#: A dot between digits of a regex; `\\d`, `[0-9]` and a repetition of them count as digits.
_LOOSE_DOT: Final = re.compile(r"(?:\\d|[0-9]|\[0-9\])(?:[+*?]|\{[0-9,]+\})?\)?(\.)\(?(?:\\d|[0-9]|\[0-9\])")
_ESCAPED: Final = re.compile(r"\\[^d]")

_MOST_COMPARED: Final = 20

#: Letters of other scripts that look like a Latin one, and that one.
_STRANGE, _LATIN = (
    "авеһіјкмнорсԛтухѕԁԝАВЕНІЈКМОРСТУХЅαοινρυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "abehijkmhopcqtyxsdwABEHIJKMOPCTYXSaoivpuABEZHIKMNOPTYX",
)
_LOOKS_LIKE: Final = dict(zip(_STRANGE, _LATIN, strict=True))


def check(rules: RuleSet, report: Report, *, is_whole: bool) -> None:
    """Warn of what is suspicious in each rule; in the file as a whole only where all of it could be read."""
    for guard in rules.never:
        _check_patterns(matchers_of(guard.when), report)
    for rule in rules.rules:
        _check_patterns(matchers_of(rule.when, rule.unless), report)
        _check_misread(rule, report)
        if rule.sends:
            _check_deploy(rule.sends, report)
    if is_whole:
        warn_of_pairs(rules, report)
        used = {rule.deploy.to.name for rule in rules.sending if rule.deploy.to}
        for name in (name for name in rules.targets if name not in used):
            span = rules.targets[name].span
            report.warning("W602", f"no rule deploys to target {shown(name)}", span, "remove it, or use to:")
        _uncased(rules, report)
        _idle_freezes(rules, report)
        if rules.unzoned is not None:
            what = "this time is in UTC: neither it nor the file names a time zone"
            report.warning("W401", what, rules.unzoned, "write for example  timezone: Europe/Berlin  in the file")


def _check_misread(rule: Rule, report: Report) -> None:
    """Matchers that say less than they seem to."""
    is_production = rule.environment is not None and rule.environment.value.startswith("prod")
    for matcher in matchers_of(rule.when):
        if is_production and isinstance(matcher, NameIs) and matcher.word == "author":
            what = "anyone can set the author of a commit"
            report.warning("W306", what, matcher.span, "use user: for who may deploy")
    for matcher in matchers_of(rule.unless):
        if isinstance(matcher, PathsChanged):
            what = "this stops the rule when any of these files has changed, whatever else has"
            report.warning("W307", what, matcher.span, "to leave files out, write ignore: under paths: in when:")


def _uncased(rules: RuleSet, report: Report) -> None:
    """Where a file has cases, a rule that none of them expects is an oversight."""
    expected = {name.value for case in rules.cases for name in (*(case.expect.fire or ()), *(case.expect.held or ()))}
    for name in (rule.name for rule in rules.rules if rules.cases and rule.name.value not in expected):
        report.warning("W308", f"no case expects rule {shown(name.value)}", name.span, "add a case in which it fires")


def _idle_freezes(rules: RuleSet, report: Report) -> None:
    """A freeze in which a rule's windows do not open holds nothing back."""
    for rule in (r for r in rules.rules if r.during):
        for freeze in (z for z in rules.freezes if concerns(z, rule)):
            opening = next_opening(freeze.interval.begins, rule.during.value if rule.during else (), ())
            if opening is not None and opening >= freeze.interval.ends:
                what = f"no window of rule {shown(rule.name.value)} opens during freeze {shown(freeze.name)}"
                report.warning("W309", what, freeze.span, f"list {shown(rule.name.value)} under except:, or remove it")


def _check_deploy(deploy: Deploy, report: Report) -> None:
    if deploy.job is not None:
        what = "'job' uses API v1.1, whose triggers CircleCI removes on 1 February 2027"
        report.warning("W601", what, deploy.span, "gate a workflow on a parameter and use workflow:")
    elif deploy.to is None and not deploy.parameters:
        what = "without a parameter this starts the same workflows again, and this step with them"
        hint = "send a parameter such as deploy: true, and let the workflows in config.yml run or not by it"
        report.warning("W603", what, deploy.span, hint)


def check_paths(rules: RuleSet, files: tuple[str, ...], report: Report) -> None:
    """Warn of patterns of paths that match no file which git tracks."""
    filters = [m for r in rules.rules for m in matchers_of(r.when, r.unless) if isinstance(m, PathsChanged)]
    patterns = [pattern for m in filters for pattern in (*m.only, *m.ignore)]
    matched = set[int]().union(*PatternSet(p.value for p in patterns).matching_sorted(sorted(files)))
    folders = {file[:at] for file in files for at, character in enumerate(file) if character == "/"}
    for index, pattern in enumerate(patterns):
        if index not in matched:
            literal = pattern.value.text.split("*", 1)[0].rstrip("/")
            near = nearest(literal, folders | set(files)) if literal else None
            rest = pattern.value.text[len(literal) :] or ("/**" if near in folders else "")
            hint = f"did you mean {shown(near + rest)}?" if near else "is the path spelt as git has it?"
            what = f"no file of this repository matches {shown(pattern.value.text)}"
            report.warning("W705", what, pattern.span, hint)


# --- single patterns


def _check_patterns(matchers: Iterator[Matcher], report: Report) -> None:
    for matcher in matchers:
        for patterns in patterns_of(matcher):
            _check_redundant(patterns, report)
            for pattern in patterns:
                _check_pattern(pattern, matcher.word if isinstance(matcher, NameIs) else "", report)


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


def _check_pattern(pattern: Spanned[Pattern], word: str, report: Report) -> None:
    text, span = pattern.value.text, pattern.span
    if word == "branch" and text == "*":
        report.warning("W302", "'*' matches only names without a slash", span, 'write "**" for every branch')
    if word == "user" and "[bot]" in text.replace("\\", ""):
        why = "bots have no CircleCI account, and CIRCLE_USERNAME is set only for people who have one"
        hint = 'write author: "*[bot]@users.noreply.github.com", or branch: [dependabot/**, renovate/**]'
        report.warning("W312", f"{shown(text)} never matches: {why}", span, hint)
    for offset in _loose_dots(text):
        what = f"'.' stands for any character in {shown(text)}"
        report.warning("W303", what, span.part(text, offset), r"write \. for a dot")
    for offset, latin in _strangers(text):
        name = unicodedata.name(text[offset], "another letter").lower()
        what = f"'{text[offset]}' is not the letter '{latin}' but {name} (U+{ord(text[offset]):04X})"
        report.warning("W304", what, span.part(text, offset), "it only looks like it; write the Latin letter")


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
