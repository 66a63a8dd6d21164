"""A rule file's text to a RuleSet, or everything that is wrong with it."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import MappingProxyType
from typing import Final, TypeVar, cast

from deploystep.core import rules as core
from deploystep.core.build import Branch, Tag
from deploystep.core.cases import Case, Expected
from deploystep.core.deploy_key import carries_key
from deploystep.core.facts import Base, ChangedSince, branch_named
from deploystep.core.frozen import dataclass, replace
from deploystep.core.parameters import SECRET_VARIABLES, Scalar, Template, Value
from deploystep.core.patterns import Pattern
from deploystep.core.patterns.automaton import WORK
from deploystep.core.source import Diagnostic, SourceFile, Span, Spanned
from deploystep.core.text import shown
from deploystep.core.times import zone
from deploystep.rulefile import fields as f
from deploystep.rulefile import parameters, rule_proofs, times, yaml_reader
from deploystep.rulefile.field_types import Alternatives, Fields
from deploystep.rulefile.given import facts_of
from deploystep.rulefile.yaml_nodes import Report, Stopped

T = TypeVar("T")
_VERSION: Final = "1"
_NO_ZONE: Final = re.compile(r"\s*\S+[ T]+[0-9:.-]+\s*")


@dataclass(frozen=True, slots=True)
class Examined:
    """A rule file's meaning, None where something is wrong with it, and all there is to say about it."""

    rules: core.RuleSet | None
    diagnostics: tuple[Diagnostic, ...]


def load(source: SourceFile) -> core.RuleSet:
    """Read a rule file. Raises RuleFileInvalid with every error, sorted; warnings are for `examine`."""
    report, rules = Report(), None
    WORK.begin()
    with suppress(Stopped):
        rules = _read(source, report)
        rule_proofs.refuse_useless(rules, report)
    if rules is None or report.errors:
        raise report.refusal(source)
    return rules


def examine(source: SourceFile) -> Examined:
    """Read a rule file and say everything that is wrong or suspicious."""
    from deploystep.rulefile import lint  # noqa: PLC0415 - who only wants to use the file has no use for warnings

    report, rules = Report(), None
    WORK.begin()
    with suppress(Stopped):
        # what is whole is examined even where something else is wrong: nobody likes to be told in turns
        read = _read(source, report)
        is_whole = report.errors == 0
        rule_proofs.refuse_useless(read, report)
        rules = None if report.errors else read
        lint.check(read, report, is_whole=is_whole)
    return Examined(rules, report.within(source))


def _read(source: SourceFile, report: Report) -> core.RuleSet:
    """As much as could be read, with everything that is wrong reported. Raises Stopped where nothing could."""
    node = yaml_reader.read(source, report, f.VERSION.example)
    before = tuple(report.diagnostics)
    file = f.FILE.read(node, "the rule file", report)
    version = file.get(f.VERSION) if file else None
    if version is not None and version.value != _VERSION:
        # the rest was written for another language: nothing else can be said about it
        report.diagnostics[:] = before
        hint = f"this deploystep reads version {_VERSION}"
        report.stop("E104", f"unknown version {shown(version.value)}", version.span, hint)
    if file is None:
        raise Stopped
    return _Loader(file, report).file(source)


class _Loader:
    """Makes values of what the tables have read, and checks what goes beyond one field."""

    def __init__(self, file: Fields, report: Report) -> None:
        self.read = file
        self.report = report
        self.timezone = file.get(f.TIMEZONE) or "UTC"
        self.zone = zone(self.timezone)
        self.default_branch = _text(file.get(f.DEFAULT_BRANCH))
        self.targets = {name.value: self._target(name, target) for name, target in file.get(f.TARGETS) or ()}
        windows = file.get(f.WINDOWS) or ()
        self.windows = {name.value: times.windows_of(texts, self.zone, report) for name, texts in windows}

    def file(self, source: SourceFile) -> core.RuleSet:
        """All that could be read."""
        file = self.read
        self._check_names()
        return core.RuleSet(
            source=source,
            timezone=self.timezone,
            default_branch=self.default_branch,
            api=file.get(f.API) or core.ApiVersion.V2_RUN,
            targets=MappingProxyType({name: target for name, target in self.targets.items() if target is not None}),
            never=_present(self._guard(item) for item in file.get(f.NEVER) or ()),
            rules=_present(self._rule(rule) for rule in file.get(f.RULES) or ()),
            freezes=_present(times.freeze(item, self.zone, self.report) for item in file.get(f.FREEZES) or ()),
            cases=_present(self._case(item) for item in file.get(f.CASES) or ()),
            unzoned=self._unzoned(),
            ignore=frozenset(code.value for code in file.get(f.IGNORE_EVERYWHERE) or ()),
        )

    def _check_names(self) -> None:
        """Rules are called differently, and freezes and cases name rules and environments that there are.

        A slip in a freeze would let a deploy through, or hold it.
        """
        rules, freezes = self.read.get(f.RULES) or (), self.read.get(f.FREEZES) or ()
        environments = {e.value: None for rule in rules if (e := rule.get(f.ENVIRONMENT))}
        lines: dict[str, int] = {}
        for name in _present(rule.get(f.RULE_NAME) for rule in rules):
            if name.value in lines:
                what = f"two rules are called {shown(name.value)}"
                self.report.error("E106", what, name.span, f"first on line {lines[name.value]}")
            lines.setdefault(name.value, name.span.line)
        named = [rule for freeze in freezes for rule in freeze.get(f.EXCEPT) or ()]
        for expect in _present(case.get(f.EXPECT) for case in self.read.get(f.CASES) or ()):
            named += (*(expect.get(f.FIRE) or ()), *(expect.get(f.HELD) or ()))
            named += (rule for rule, _ in expect.get(f.EXPECTED_PARAMETERS) or ())
        for rule in named:
            self.report.check_known("E407", "no rule is called", rule, lines)
        for environment in (e for freeze in freezes for e in freeze.get(f.ENVIRONMENTS) or ()):
            self.report.check_known("E406", "no rule deploys to environment", environment, environments)

    def _unzoned(self) -> Span | None:
        """The first time that is in UTC only because neither it nor the file names a zone."""
        windows = [text for _, texts in self.read.get(f.WINDOWS) or () for text in texts]
        during = [text for rule in self.read.get(f.RULES) or () if (text := rule.get(f.DURING))]
        freezes = [t for z in self.read.get(f.FREEZES) or () for known in (f.FROM, f.UNTIL) if (t := z.get(known))]
        # days or a date, and a time; a third part would be the zone
        bare = (t.span for t in (*windows, *during, *freezes) if _NO_ZONE.fullmatch(t.value))
        return None if self.read.has(f.TIMEZONE) else min(bare, default=None)

    def _target(self, name: Spanned[str], target: Fields) -> core.Target | None:
        project, branch, tag = target.get(f.PROJECT), target.get(f.TARGET_BRANCH), target.get(f.TARGET_TAG)
        definition = target.get(f.DEFINITION)
        if at := target.both(f.TARGET_BRANCH, f.TARGET_TAG):
            self.report.error("E606", "a target is at a branch or at a tag, never at both", at, "remove one")
        elif not (target.has(f.TARGET_BRANCH, f.TARGET_TAG) or target.is_broken):
            self.report.error("E103", "this target has no 'branch' or 'tag'", target.span, "for example  branch: main")
        ref = Branch(branch.value) if branch else Tag(tag.value) if tag else None
        if project is None or ref is None:
            return None
        identity = definition.value.lower() if definition else None
        return core.Target(name.value, project, ref, identity, target.get(f.API), name.span)

    # --- rules

    def _guard(self, guard: Fields) -> core.Guard | None:
        chosen = guard.get(f.GUARD_WHEN)
        when = self._condition(chosen, ChangedSince(Base.LAST_DEPLOY), None, None)
        self._count_patterns(guard, when)
        name, reason = _text(guard.get(f.GUARD_NAME)), _text(guard.get(f.REASON))
        return core.Guard(name, when, reason, guard.span) if when else None

    def _rule(self, rule: Fields) -> core.Rule | None:
        before = self.report.errors
        name, text = rule.get(f.RULE_NAME), rule.get(f.DURING)
        chosen, stops = rule.get(f.WHEN), rule.get(f.UNLESS)
        for alternative in chosen.value if chosen else ():
            if not (alternative.has(f.BRANCH, f.TAG) or alternative.is_broken):
                what = "this does not say which branches or tags it is for"
                self.report.error("E302", what, alternative.span, 'add branch: "**" or tag: "**"')
        deploy = self._deploy(rule, chosen)
        # the commits of another project's runs say nothing about this one
        here = deploy if deploy is not None and deploy.to is None else None
        workflow = _text(here.workflow) if here else None
        keyed = name.value if here and name and carries_key(here) else None
        last = ChangedSince(Base.LAST_DEPLOY, workflow=workflow, rule=keyed)
        when, unless = (self._condition(choices, last, chosen, stops) for choices in (chosen, stops))
        self._count_patterns(rule, when, unless)
        for matcher in core.matchers_of(when, unless) if not rule.has(f.DEPLOY) else ():
            if isinstance(matcher, core.PathsChanged) and matcher.since.base is Base.LAST_DEPLOY:
                what = "'since: last-deploy' in a rule without 'deploy': gate does not know earlier deploys"
                hint = "write since: previous-commit or since: {ref: NAME}"
                self.report.error("E311", what, matcher.span, hint)
        during = times.during(text, self.windows, self.zone, self.report) if text else None
        is_whole = deploy is not None or not rule.has(f.DEPLOY)
        if name is None or when is None or not is_whole or not rule.is_clean or self.report.errors > before:
            return None
        environment, requires = rule.get(f.ENVIRONMENT), rule.get(f.REQUIRES) or ()
        ignore = frozenset(code.value for code in rule.get(f.IGNORE_CODES) or ())
        return core.Rule(name, environment, when, unless, deploy, rule.span, during, requires, ignore)

    def _check_since(self, choices: Alternatives, when: Alternatives | None, unless: Alternatives | None) -> None:
        """Refuse a comparison of a branch with itself, in which nothing ever changes; the merge base says that of tags.

        `when` is what else must hold, `unless` what stops the rule: branches that it names are none of the rule's.
        Where the file does not name the default branch, it is `main` or `master` here.
        """
        stops = [s for s in (unless.value if unless else ()) if len(s.values) == 1]
        excluded = tuple(p.value for stop in stops for p in stop.get(f.BRANCH) or ())
        for alternative in (a for a in choices.value if a.get(f.PATHS) is not None):
            paths = alternative.get(f.PATHS)
            around = (alternative,) if alternative.has(f.BRANCH, f.TAG) or when is None else when.value
            since = paths.get(f.SINCE) if isinstance(paths, Fields) else None
            ref = since.get(f.REF) if isinstance(since, Fields) else None
            if where := self._never_changed(since, ref, around, excluded):
                written = f"{{ref: {ref.value}}}" if ref else "merge-base"
                never = f"'since: {written}' never has changes on {where}"
                what = f"'paths' on {where} needs 'since'" if since is None else never
                hint = "write since: previous-commit, since: {ref: NAME} or since: last-deploy"
                self.report.error("E304", what, alternative.at(f.PATHS), hint)

    def _never_changed(
        self, since: f.Since | None, ref: Spanned[str] | None, around: tuple[Fields, ...], excluded: tuple[Pattern, ...]
    ) -> str | None:
        """Where the comparison says nothing; None where it is not known to."""
        if ref is None and since not in (None, Base.MERGE_BASE):
            return None
        defaults = {self.default_branch} if self.default_branch else {"main", "master"}
        # an alternative that names no ref, as a guard's, is for every branch
        patterns = [p.value for a in around for p in a.get(f.BRANCH) or ()]
        is_for_all = any(not (a.has(f.BRANCH, f.TAG) or a.is_broken) for a in around)
        # a name that deploys move may be that of a branch too, and `**` is not meant for it
        compared = {branch_named(ref.value)} & (defaults | {p.text for p in patterns}) if ref else defaults
        for branch in sorted(compared):
            is_of = is_for_all or any(pattern.matches(branch) for pattern in patterns)
            if is_of and not any(pattern.matches(branch) for pattern in excluded):
                return f"branch '{branch}'"
        if ref is not None:
            return None
        merged = [a.get(f.MERGED_INTO) or () for a in around]
        if branch := next((b[0].value for b in merged if b and defaults.issuperset(each.value for each in b)), ""):
            return f"what is merged into '{branch}'"
        return "tags" if since is None and any(a.has(f.TAG) for a in around) else None

    def _condition(
        self, choices: Alternatives | None, last: ChangedSince, when: Alternatives | None, unless: Alternatives | None
    ) -> core.Condition | None:
        """The alternatives. `last` is what `since: last-deploy` means; `when` and `unless` are the rule's."""
        if choices is None:
            return None
        self._check_since(choices, when, unless)
        for alternative in choices.value:
            for name, _ in alternative.get(f.ENV) or ():
                if name.value in SECRET_VARIABLES:
                    what = f"{name.value} is a secret that no rule may read"
                    self.report.error("E511", what, name.span, "name another variable")
            if at := alternative.both(f.BRANCH, f.TAG):
                what = "a CircleCI build has a branch or a tag, never both, so this can never be true"
                hint = "for 'either', write two list items; for 'a tag on main', use tag: with merged_into: main"
                self.report.error("E301", what, at, hint)
        alternatives = ((tuple(sorted(_matchers(a, last), key=lambda m: m.span)), a.span) for a in choices.value)
        return core.Condition(tuple(core.Alternative(*each) for each in alternatives), choices.span)

    def _count_patterns(self, rule: Fields, *conditions: core.Condition | None) -> None:
        count = sum(
            len(patterns) for matcher in core.matchers_of(*conditions) for patterns in core.patterns_of(matcher)
        )
        if count > f.MAX_PATTERNS:
            self.report.error("E115", f"{count} patterns in one rule", rule.span, f"the limit is {f.MAX_PATTERNS}")

    # --- deploys

    def _deploy(self, rule: Fields, when: Alternatives | None) -> core.Deploy | None:
        deploy = rule.get(f.DEPLOY)
        if deploy is None:
            return None
        job, workflow, name = deploy.get(f.JOB), deploy.get(f.WORKFLOW), deploy.get(f.TO)
        to = self.targets.get(name.value) if name else None
        if name is not None:
            self.report.check_known("E601", "no target is called", name, self.targets, "describe it under targets:")
        here = when.value if when else ()
        is_tag = bool(here) and all(a.has(f.TAG) and not a.has(f.BRANCH) for a in here)
        if at := deploy.both(f.JOB, f.WORKFLOW):
            hint = "API v1.1 starts one job; to start a workflow, remove job:"
            self.report.error("E607", "'job' and 'workflow' exclude each other", at, hint)
        elif job is not None and (isinstance(to.ref, Tag) if to else is_tag):
            what = "'job' cannot be sent for a tag: API v1.1 triggers a job on a branch"
            self.report.error("E602", what, deploy.at(f.JOB), "gate a workflow on a parameter and use workflow:")
        sent = tuple(core.Parameter(key, value) for key, value in deploy.get(f.PARAMETERS) or ())
        parameters.check(sent, rule, when, self.report, is_job=job is not None)
        if deploy.has(f.TO) and to is None:
            return None
        return core.Deploy(to, job, workflow, sent, rule.at(f.DEPLOY))

    # --- cases

    def _case(self, read: Fields) -> Case | None:
        name, facts, expect = read.get(f.CASE_NAME), read.get(f.CASE_GIVEN), read.get(f.EXPECT)
        given = facts_of(facts, self.report) if facts else None
        if name is None or given is None or expect is None:
            return None
        wanted = expect.get(f.EXPECTED_PARAMETERS) or ()
        sent = tuple((rule, {key.value: self._as_sent(value) for key, value in pairs}) for rule, pairs in wanted)
        return Case(name.value, given, Expected(expect.get(f.FIRE), expect.get(f.HELD), sent), read.span)

    def _as_sent(self, written: Spanned[Value]) -> Scalar:
        """The value of an expected parameter, which stands as it is sent: it is not filled in."""
        value = written.value
        if not isinstance(value, Template):
            return value
        if value.references:
            what = "an expected value is not filled in"
            self.report.error("E512", what, written.span, "write what is to be sent")
        return "".join(part for part in value.parts if isinstance(part, str))


def _present(values: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(value for value in values if value is not None)


def _text(written: Spanned[str] | None) -> str | None:
    return written.value if written else None


def _matchers(read: Fields, last: ChangedSince) -> Iterator[core.Matcher]:
    """The matchers of an alternative, each made by its field."""
    for known in f.MATCHERS.fields:
        value = read.get(known)
        if value is not None and known.make is not None:
            matcher = cast("core.Matcher", known.make(value, read.at(known)))
            if isinstance(matcher, core.PathsChanged) and matcher.since.base is Base.LAST_DEPLOY:
                matcher = replace(matcher, since=last)
            yield matcher
