"""A rule file's text to a RuleSet, or everything that is wrong with it.

The tables of `fields` read the values. Here the rule set is made of them, and what goes beyond one field is checked:
names, refs, comparisons, and the parameters that could never be sent. Nothing is claimed that depends on what could not
be read.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar

from deploystep.core import parameters as params
from deploystep.core import rules as core
from deploystep.core.build import Branch, Tag
from deploystep.core.deploy import carries_key
from deploystep.core.facts import Base, ChangedSince, branch_named
from deploystep.core.frozen import dataclass, replace
from deploystep.core.patterns.automaton import WORK
from deploystep.core.rules import Case, Expected
from deploystep.core.source import Diagnostic, SourceFile, Span, Spanned, in_order
from deploystep.core.text import clipped, did_you_mean, shown
from deploystep.core.times import Interval, Window, zone
from deploystep.rulefile import fields as f
from deploystep.rulefile import lint
from deploystep.rulefile.field_types import AS_WINDOW, UNZONED, Field, Fields
from deploystep.rulefile.given import facts_of
from deploystep.rulefile.yaml_reader import Report, Stopped, read

T = TypeVar("T")
_LAST: Final = ChangedSince(Base.LAST_DEPLOY)
Choices = tuple[Fields, ...]
_KNOWN: Final = params.PUBLIC_VARIABLES | params.DERIVED.keys()
_KEY: Final = r"[A-Za-z][A-Za-z0-9_-]{0,127}"
_VARIABLE: Final = r"(?!CIRCLE_JOB\Z)[A-Za-z_][A-Za-z0-9_]{0,127}"
_AS_KEY: Final = "up to 128 letters, digits, '_' and '-', beginning with a letter"
_AS_VARIABLE: Final = "with job: it is an environment variable: up to 128 letters, digits and '_', and not CIRCLE_JOB"
_AS_SINCE: Final = "write since: previous-commit, since: {ref: NAME} or since: last-deploy"
_PR: Final = ("pr.number", "CIRCLE_PULL_REQUEST", "CIRCLE_PULL_REQUESTS")
_FORK: Final = ("CIRCLE_PR_NUMBER", "CIRCLE_PR_REPONAME", "CIRCLE_PR_USERNAME")
_TELLING: Final = frozenset(("", *(known.key for known in (f.PULL_REQUEST, f.FORK, f.ENV))))
_NO_PR: Final = "unset where there is no pull request, as {} without pull_request: true allows"


@dataclass(frozen=True, slots=True)
class Examined:
    """A rule file's meaning, None where something is wrong with it, and all there is to say about it."""

    rules: core.RuleSet | None
    diagnostics: tuple[Diagnostic, ...]


def load(source: SourceFile) -> core.RuleSet:
    """Read a rule file. Raises RuleFileInvalid with every error, sorted; warnings are for `examine`."""
    report, rules = Report(), None
    with suppress(Stopped):
        rules = _read(source, report)
        lint.refuse_useless(rules, report)
    if rules is None or report.errors:
        raise report.refusal(source)
    return rules


def examine(source: SourceFile) -> Examined:
    """Read a rule file and say everything that is wrong or suspicious."""
    report, rules = Report(), None
    with suppress(Stopped):
        # what is whole is examined even where something else is wrong: nobody likes to be told in turns
        found = _read(source, report)
        is_whole = not report.errors
        lint.refuse_useless(found, report)
        rules = None if report.errors else found
        lint.warn(found, report, is_whole=is_whole)
    return Examined(rules, in_order(report.diagnostics))


def _read(source: SourceFile, report: Report) -> core.RuleSet:
    """As much as could be read, with everything that is wrong reported. Raises Stopped where nothing could."""
    WORK.begin()
    node = read(source, report, f.VERSION.example)
    before = report.diagnostics[:]
    file = f.FILE.read(node, "the rule file", report)
    line = file.at(f.VERSION).line
    if other := [d for d in report.diagnostics if d.code == "E104" and d.span.line == line and file.has(f.VERSION)]:
        report.diagnostics[:] = before + other  # the rest was written for another language
        raise Stopped
    return _Loader(file, report).file(source)


class _Loader:
    """Makes values of what the tables have read, and checks what goes beyond one field."""

    def __init__(self, file: Fields, report: Report) -> None:
        self.read = file
        self.report = report
        self.unzoned: list[Span] = []
        self.zone = zone(_value(file.get(f.TIMEZONE)) or "UTC")
        self.default_branch = _value(file.get(f.DEFAULT_BRANCH))
        self.targets = {name.value: self._target(name, target) for name, target in file.get(f.TARGETS) or ()}
        windows = file.get(f.WINDOWS) or ()
        self.windows = {name.value: tuple(self._window(t.value, t.span) for t in texts) for name, texts in windows}

    def file(self, source: SourceFile) -> core.RuleSet:
        """All that could be read."""
        file = self.read
        self._check_names()
        return core.RuleSet(
            source=source,
            timezone=_value(file.get(f.TIMEZONE)) or "UTC",
            default_branch=self.default_branch,
            api=file.get(f.API) or core.ApiVersion.V2_RUN,
            targets=MappingProxyType({name: target for name, target in self.targets.items() if target is not None}),
            never=_present(self._guard(item) for item in file.get(f.NEVER) or ()),
            rules=_present(self._rule(rule) for rule in file.get(f.RULES) or ()),
            freezes=_present(self._freeze(item) for item in file.get(f.FREEZES) or ()),
            cases=_present(self._case(item) for item in file.get(f.CASES) or ()),
            unzoned=None if file.has(f.TIMEZONE) else min(self.unzoned, default=None),
            ignore=_values(file.get(f.IGNORE_EVERYWHERE)),
        )

    def _check_names(self) -> None:
        """Whatever is named is there, and two rules are not called the same.

        A slip in a freeze would let a deploy through, or hold it.
        """
        file, report = self.read, self.report
        rules, freezes = file.get(f.RULES) or (), file.get(f.FREEZES) or ()
        lines: dict[str, int] = {}
        for name in _present(rule.get(f.RULE_NAME) for rule in rules):
            if name.value in lines:
                what = f"two rules are called {shown(name.value)}"
                report.error("E106", what, name.span, f"first on line {lines[name.value]}")
            lines.setdefault(name.value, name.span.line)
        environments = {e.value: None for rule in rules if (e := rule.get(f.ENVIRONMENT))}
        excepted = [rule for freeze in freezes for rule in freeze.get(f.EXCEPT) or ()]
        for expect in _present(case.get(f.EXPECT) for case in file.get(f.CASES) or ()):
            excepted += (*(expect.get(f.FIRE) or ()), *(expect.get(f.HELD) or ()))
            excepted += (rule for rule, _ in expect.get(f.EXPECTED_PARAMETERS) or ())
        frozen = [environment for freeze in freezes for environment in freeze.get(f.ENVIRONMENTS) or ()]
        to = _present(deploy.get(f.TO) for rule in rules if (deploy := rule.get(f.DEPLOY)))
        during = _present(rule.get(f.DURING) for rule in rules)
        windows = [Spanned(name.value, name.span) for name in during if isinstance(name.value, str)]
        report.check_known("E407", "no rule is called", excepted, lines)
        report.check_known("E406", "no rule deploys to environment", frozen, environments)
        report.check_known("E601", "no target is called", to, self.targets, "describe it under targets:")
        report.check_known("E404", "no window is called", windows, self.windows, AS_WINDOW)

    # --- times

    def _window(self, window: Window, at: Span) -> Window:
        self.unzoned += [at] if window.zone is UNZONED else []
        return replace(window, zone=self.zone) if window.zone is UNZONED else window

    def _moment(self, text: Spanned[datetime]) -> datetime:
        self.unzoned += [text.span] if text.value.tzinfo is UNZONED else []
        return text.value.replace(tzinfo=self.zone) if text.value.tzinfo is UNZONED else text.value

    def _freeze(self, freeze: Fields) -> core.Freeze | None:
        start, until = freeze.get(f.FROM), freeze.get(f.UNTIL)
        if start is None or until is None:
            return None
        interval = Interval(self._moment(start), self._moment(until))
        if interval.start >= interval.end:
            self.report.error("E405", "'until' is not after 'from'", until.span)
        if not freeze.is_clean:
            return None
        reason, environments = _value(freeze.get(f.REASON)), _values(freeze.get(f.ENVIRONMENTS))
        exempt = _values(freeze.get(f.EXCEPT))
        return core.Freeze(freeze[f.FREEZE_NAME].value, interval, environments, exempt, reason, freeze.span)

    # --- rules

    def _target(self, name: Spanned[str], target: Fields) -> core.Target | None:
        branch, tag, definition = target.get(f.TARGET_BRANCH), target.get(f.TARGET_TAG), target.get(f.DEFINITION)
        if at := target.both(f.TARGET_BRANCH, f.TARGET_TAG):
            self.report.error("E606", "a target is at a branch or at a tag, never at both", at, "remove one")
        elif not target.has(f.TARGET_BRANCH, f.TARGET_TAG) and "" not in target.unread:
            self.report.error("E103", "this target has no 'branch' or 'tag'", target.span, "for example  branch: main")
        if not target.is_clean:
            return None
        ref = Branch(branch.value) if branch else Tag(tag.value if tag else "")
        identity = definition.value.lower() if definition else None
        return core.Target(name.value, target[f.PROJECT], ref, identity, target.get(f.API), name.span)

    def _guard(self, guard: Fields) -> core.Guard | None:
        before, choices = self.report.errors, guard.get(f.GUARD_WHEN) or ()
        self._check_refs(choices)
        self._check_since(guard, choices, None, ())
        when = self._condition(choices, _LAST, guard.at(f.GUARD_WHEN))
        self._count_patterns(guard, when)
        if not guard.is_clean or self.report.errors > before:
            return None
        return core.Guard(_value(guard.get(f.GUARD_NAME)), when, _value(guard.get(f.REASON)), guard.span)

    def _rule(self, rule: Fields) -> core.Rule | None:
        before, report = self.report.errors, self.report
        chosen, stops = rule.get(f.WHEN) or (), rule.get(f.UNLESS) or ()
        for alternative in chosen:
            is_known = "" not in alternative.unread and alternative.places.keys() <= alternative.values.keys()
            if is_known and not alternative.has(f.BRANCH, f.TAG):
                what = "this does not say which branches or tags it is for"
                report.error("E302", what, alternative.span, 'add branch: "**" or tag: "**"')
        self._check_refs((*chosen, *stops))
        self._check_since(rule, (*chosen, *stops), chosen, stops)
        deploy, name, during = self._deploy(rule, chosen), rule.get(f.RULE_NAME), rule.get(f.DURING)
        # the commits of another project's runs say nothing about this one
        here = deploy if deploy is not None and deploy.to is None else None
        keyed = name.value if here and name and carries_key(here) else None
        last = replace(_LAST, workflow=_value(here.workflow) if here else None, rule=keyed)
        when = self._condition(chosen, last, rule.at(f.WHEN))
        unless = self._condition(stops, last, rule.at(f.UNLESS)) if stops else None
        self._count_patterns(rule, when, unless)
        if name is None or not rule.is_clean or report.errors > before:
            return None
        windows = None
        if during is not None:
            given = during.value
            named = self.windows.get(given, ()) if isinstance(given, str) else (self._window(given, during.span),)
            windows = Spanned(named, during.span)
        environment, requires, ignore = rule.get(f.ENVIRONMENT), rule.get(f.REQUIRES) or (), rule.get(f.IGNORE_CODES)
        return core.Rule(name, environment, when, unless, deploy, rule.span, windows, requires, _values(ignore))

    def _check_refs(self, choices: Choices) -> None:
        for alternative in choices:
            if at := alternative.both(f.BRANCH, f.TAG):
                what = "a CircleCI build has a branch or a tag, never both, so this can never be true"
                hint = "for 'either', write two list items; for 'a tag on main', use tag: with merged_into: main"
                self.report.error("E301", what, at, hint)
            for name in (name for name, _ in alternative.get(f.ENV) or () if name.value in params.SECRET_VARIABLES):
                what = f"{name.value} is a secret that no rule may read"
                self.report.error("E511", what, name.span, "name another variable")

    def _check_since(self, rule: Fields, choices: Choices, when: Choices | None, stops: Choices) -> None:
        """Refuse a comparison of a branch with itself, in which nothing ever changes; the merge base says that of tags.

        `when` is what must hold in a rule, `stops` what stops it: branches that it names are none of the rule's.
        Where the file does not name the default branch, it is `main` or `master` here.
        """
        excluded = [p.value for stop in stops if len(stop.values) == 1 for p in stop.get(f.BRANCH) or ()]
        is_open = _may_hide(rule, f.UNLESS, f.BRANCH)
        defaults = {self.default_branch} if self.default_branch else {"main", "master"}
        for alternative in choices:
            paths = alternative.get(f.PATHS)
            since = paths.get(f.SINCE) if paths else None
            ref, base = (since.get(f.REF), since.get(f.FROM_BASE)) if since else (None, None)
            if base is Base.LAST_DEPLOY and when is not None and not rule.has(f.DEPLOY):
                what = "'since: last-deploy' in a rule without 'deploy': gate does not know earlier deploys"
                hint = "write since: previous-commit or since: {ref: NAME}"
                self.report.error("E311", what, alternative.at(f.PATHS), hint)
            if is_open or paths is None or not paths.is_clean or (ref is None and base not in (None, Base.MERGE_BASE)):
                continue
            around = (alternative,) if alternative.has(f.BRANCH, f.TAG) or when is None else when
            patterns = [p.value for each in around for p in each.get(f.BRANCH) or ()]
            # an alternative that names no ref, as a guard's, is for every branch
            is_for_all = any(not each.has(f.BRANCH, f.TAG) and "" not in each.unread for each in around)
            # a name that deploys move may be that of a branch too, and `**` is not meant for it
            compared = {branch_named(ref.value)} & (defaults | {p.text for p in patterns}) if ref else defaults
            where = "tags" if since is None and any(each.has(f.TAG) for each in around) else ""
            for merged in (each.get(f.MERGED_INTO) or () for each in around if ref is None):
                if merged and all(branch.value in defaults for branch in merged):
                    where = f"what is merged into '{merged[0].value}'"
            for branch in sorted(compared, reverse=True):
                is_of = is_for_all or any(pattern.matches(branch) for pattern in patterns)
                if is_of and not any(pattern.matches(branch) for pattern in excluded):
                    where = f"branch '{branch}'"
            if where:
                what = f"this 'since' never has changes on {where}" if since else f"'paths' on {where} needs 'since'"
                self.report.error("E304", what, alternative.at(f.PATHS), _AS_SINCE)

    def _condition(self, choices: Choices, last: ChangedSince, at: Span) -> core.Condition:
        """The alternatives, each matcher made by its field. `last` is what `since: last-deploy` means."""
        alternatives = []
        for each in choices:
            made = (f.MAKE[key](value, each.places[key]) for key, value in each.values.items() if value is not None)
            matchers = (
                replace(m, since=last) if isinstance(m, core.PathsChanged) and m.since == _LAST else m for m in made
            )
            alternatives.append(core.Alternative(tuple(matchers), each.span))
        return core.Condition(tuple(alternatives), at)

    def _count_patterns(self, rule: Fields, *conditions: core.Condition | None) -> None:
        count = sum(len(each) for matcher in core.matchers_of(*conditions) for each in core.patterns_of(matcher))
        if count > f.MAX_PATTERNS:
            self.report.error("E115", f"{count} patterns in one rule", rule.span, f"the limit is {f.MAX_PATTERNS}")

    # --- deploys

    def _deploy(self, rule: Fields, when: Choices) -> core.Deploy | None:
        deploy = rule.get(f.DEPLOY)
        if deploy is None:
            return None
        job, workflow, name = deploy.get(f.JOB), deploy.get(f.WORKFLOW), deploy.get(f.TO)
        to = self.targets.get(name.value) if name else None
        if at := deploy.both(f.JOB, f.WORKFLOW):
            hint = "API v1.1 starts one job; to start a workflow, remove job:"
            self.report.error("E607", "'job' and 'workflow' exclude each other", at, hint)
        elif job and (
            isinstance(to.ref, Tag)
            if to
            else when and not name and all(a.has(f.TAG) and not a.has(f.BRANCH) for a in when)
        ):
            what = "'job' cannot be sent for a tag: API v1.1 triggers a job on a branch"
            self.report.error("E602", what, deploy.at(f.JOB), "gate a workflow on a parameter and use workflow:")
        sent = tuple(core.Parameter(key, value) for key, value in deploy.get(f.PARAMETERS) or ())
        if len(sent) > params.MAX_PARAMETERS:
            over, hint = sent[params.MAX_PARAMETERS].key.span, f"CircleCI takes {params.MAX_PARAMETERS} at most"
            self.report.error("E510", f"{len(sent)} parameters", over, hint)
        form, hint = (_VARIABLE, _AS_VARIABLE) if deploy.has(f.JOB) else (_KEY, _AS_KEY)
        for key, value in ((parameter.key, parameter.value) for parameter in sent):
            if not re.fullmatch(form, key.value):
                self.report.error("E501", f"{shown(key.value)} cannot be the name of a parameter", key.span, hint)
            parts = value.value.parts if isinstance(value.value, params.Template) else ()
            if (length := sum(len(part) for part in parts if isinstance(part, str))) > params.MAX_VALUE:
                what = f"parameter {shown(key.value)} is too long: {length} characters"
                self.report.error("E510", what, value.span, f"CircleCI takes {params.MAX_VALUE} at most")
        self._check_values(sent, rule, when)
        # a target that is not there, or could not be read, is not this project
        return None if name and to is None else core.Deploy(to, job, workflow, sent, rule.at(f.DEPLOY))

    def _check_values(self, sent: tuple[core.Parameter, ...], rule: Fields, when: Choices) -> None:
        """Report every value that could not be sent whenever the rule fires."""
        variables, report = {name.value for a in when for name, _ in a.get(f.ENV) or ()}, self.report
        unset, is_open = _unset(rule, when, variables), _may_hide(rule, f.WHEN, f.ENV)
        templates = [(p.value.span, p.value.value) for p in sent if isinstance(p.value.value, params.Template)]
        for written, template, reference in ((at, t, reference) for at, t in templates for reference in t.references):
            name, span = reference.name, written.part(template.text, reference.offset, reference.width)
            if name in params.SECRET_VARIABLES:
                report.error("E511", f"${{{name}}} is a secret and is never sent", span, "the receiver has its own")
            elif name in unset:
                report.error("E507", f"${{{name}}} is {unset[name][0]}", span, unset[name][1])
            elif name not in _KNOWN and not ((is_open or name in variables) and params.is_variable(name)):
                hint = f"known: variables in upper case such as CIRCLE_SHA1, and {', '.join(sorted(params.DERIVED))}"
                if params.is_variable(name):
                    hint = f'to send a variable of the project, add env: {{{name}: "*"}} to when'
                hint = did_you_mean(name, _KNOWN, hint, "${{{}}}")
                report.error("E506", f"unknown value ${{{clipped(name)}}}", span, hint)

    # --- cases

    def _case(self, read: Fields) -> Case | None:
        facts, expect = read.get(f.CASE_GIVEN), read.get(f.EXPECT)
        given = facts_of(facts, self.report) if facts else None
        if given is None or expect is None or not read.is_clean:
            return None
        wanted = expect.get(f.EXPECTED_PARAMETERS) or ()
        sent = tuple((rule, {key.value: _as_sent(value.value) for key, value in pairs}) for rule, pairs in wanted)
        return Case(read[f.CASE_NAME].value, given, Expected(expect.get(f.FIRE), expect.get(f.HELD), sent), read.span)


def _as_sent(value: params.Value) -> params.Scalar:
    """An expected value, which stands as it is sent: nothing is filled in."""
    if not isinstance(value, params.Template):
        return value
    return "".join(part if isinstance(part, str) else f"${{{part.name}}}" for part in value.parts)


def _unset(rule: Fields, when: Choices, variables: Iterable[str]) -> Mapping[str, tuple[str, str]]:
    """Names that are not always set where the rule fires, each with why, and a hint.

    A build of a fork is one of a pull request, and a rule fires for it only where it says `fork: true`.
    """
    unset: dict[str, tuple[str, str]] = {}
    if not rule.has(f.ENVIRONMENT):
        unset["rule.environment"] = ("always unset in a rule without an environment", "add environment: to the rule")
    is_stopped = any(s.get(f.PULL_REQUEST) is False and len(s.values) == 1 for s in rule.get(f.UNLESS) or ())
    is_stopped |= _may_hide(rule, f.UNLESS, f.PULL_REQUEST)
    told = [a for a in when if a.has(f.BRANCH, f.TAG) and not a.unread & _TELLING]
    for names, is_set, why, hint in (
        (("CIRCLE_TAG", "tag.version"), lambda a: a.has(f.TAG), "always unset in {} for branches", ""),
        (("CIRCLE_BRANCH", "branch.slug"), lambda a: a.has(f.BRANCH), "always unset in {} for tags", ""),
        (_PR, lambda a: is_stopped or True in (a.get(f.PULL_REQUEST), a.get(f.FORK)), _NO_PR, "add pull_request: true"),
        (_FORK, lambda a: a.get(f.FORK) is True, "always unset in {} without fork: true", "send ${pr.number}"),
    ):
        lacking = [a for a in told if not is_set(a)]
        if lacking:
            is_all = len(lacking) == len(when)
            where = "a rule" if is_all else f"an alternative (line {lacking[0].span.line})"
            unset.update(dict.fromkeys(names, (why.format(where), hint)))
    for name in variables if len(when) == 1 else ():
        unset.pop(name, None)  # the rule asks for it
    return unset


def _may_hide(rule: Fields, known: Field[Choices], matcher: Field[Any]) -> bool:
    """Whether what could not be read of a condition may be about a matcher."""
    choices = rule.get(known)
    return known.key in rule.unread and (not choices or any(a.unread & {"", matcher.key} for a in choices))


def _present(values: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(value for value in values if value is not None)


def _value(written: Spanned[T] | None) -> T | None:
    return written.value if written else None


def _values(written: Iterable[Spanned[T]] | None) -> frozenset[T]:
    return frozenset(each.value for each in written or ())
