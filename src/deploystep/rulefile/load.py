"""A rule file's text to a RuleSet, or everything that is wrong with it."""

from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Final, TypeVar

from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.cases import Case, Expected
from deploystep.core.facts import Base, ChangedSince
from deploystep.core.frozen import dataclass, replace
from deploystep.core.parameters import SECRET_VARIABLES, Scalar, Template
from deploystep.core.ref_names import is_legal_ref
from deploystep.core.rules import (
    Alternative,
    ApiVersion,
    AuthorIs,
    BranchIs,
    Condition,
    Deploy,
    EnvIs,
    ForkIs,
    Guard,
    Matcher,
    MergedInto,
    MessageContains,
    Parameter,
    PathsChanged,
    PullRequestIs,
    Rule,
    RuleSet,
    TagIs,
    Target,
    UserIs,
    patterns_of,
)
from deploystep.core.source import Diagnostic, SourceFile, Span, Spanned
from deploystep.core.text import nearest
from deploystep.core.times import UnknownZone, zone
from deploystep.rulefile import contradictions, parameters, reader
from deploystep.rulefile import fields as f
from deploystep.rulefile.given import facts_of
from deploystep.rulefile.nodes import Node, Report, shown
from deploystep.rulefile.shapes import Choices, Fields, Written
from deploystep.rulefile.times import Times, refuse_zone, zone_or_utc
from deploystep.rulefile.verdicts import inside, invalid

T = TypeVar("T")
_VERSION: Final = "1"
_REFS_PREFIX: Final = ("refs/heads/", "refs/tags/")


@dataclass(frozen=True, slots=True)
class Examined:
    """A rule file's meaning, None where something is wrong with it, and all there is to say about it."""

    rules: RuleSet | None
    diagnostics: tuple[Diagnostic, ...]


def load(source: SourceFile) -> RuleSet:
    """Read a rule file. Raises RuleFileInvalid with every error, sorted; warnings are for `examine`."""
    report = Report()
    rules = _read(source, report)
    if rules is not None:
        contradictions.check(rules, report)
    if rules is None or report.errors:
        raise invalid(source, inside(source, report.diagnostics))
    return rules


def examine(source: SourceFile, tell: Callable[[int, int], None] = lambda _done, _total: None) -> Examined:
    """Read a rule file and say everything that is wrong or suspicious.

    `tell` is called with how many of how many rules have been compared with each other, which can take seconds.
    """
    from deploystep.rulefile import lint  # noqa: PLC0415 - who only wants to use the file has no use for warnings

    report = Report()
    rules = _read(source, report)
    if rules is not None:
        # what is whole is examined even where something else is wrong: nobody likes to be told in turns
        is_whole = report.errors == 0
        contradictions.check(rules, report)
        lint.check(rules, report, tell, is_whole=is_whole)
    return Examined(None if report.errors else rules, inside(source, report.diagnostics))


def _read(source: SourceFile, report: Report) -> RuleSet | None:
    """As much as could be read, with everything that is wrong reported."""
    node = reader.read(source, report, f.VERSION.example)
    return None if node is None else _Loader(source, report).file(node)


class _Loader:
    """Makes values of what the tables have read, and checks what goes beyond one field."""

    def __init__(self, source: SourceFile, report: Report) -> None:
        self.source = source
        self.report = report
        self.targets: dict[str, Target | None] = {}
        self.default_branch = "main"
        self.times = Times(zone_or_utc("UTC"), report)

    def file(self, node: Node) -> RuleSet | None:
        """The whole file."""
        before = list(self.report.diagnostics)
        file = f.FILE.read(node, "the rule file", self.report)
        if file is None or self._is_other_version(file, before):
            return None
        timezone = self._timezone(file.get(f.TIMEZONE))
        default_branch = self._ref(file.get(f.DEFAULT_BRANCH), "branch") or "main"
        api = file.get(f.API)
        self.default_branch = default_branch
        self.targets = {name.value: self._target(name, t) for name, t in file.get(f.TARGETS) or ()}
        self.times = Times(zone_or_utc(timezone), self.report)
        self.times.name_windows(file.get(f.WINDOWS) or ())
        rules = self._rules(file.get(f.RULES) or ())
        read = RuleSet(
            source=self.source,
            timezone=timezone,
            default_branch=default_branch,
            api=ApiVersion(api.value) if api else ApiVersion.V2_RUN,
            targets=MappingProxyType({n: t for n, t in self.targets.items() if t is not None}),
            never=_present(self._guard(item) for item in file.get(f.NEVER) or ()),
            rules=rules,
            freezes=_present(self.times.freeze(item) for item in file.get(f.FREEZES) or ()),
            cases=_present(self._case(item) for item in file.get(f.CASES) or ()),
        )
        self._check_cases(file)
        self._check_freezes(file)
        return read

    def _is_other_version(self, file: Fields, before: list[Diagnostic]) -> bool:
        version = file.get(f.VERSION)
        if version is None or version.value == _VERSION:
            return False
        # the rest was written for another language: nothing else can be said about it
        self.report.diagnostics[:] = before
        self.report.error(
            "E104",
            f"unknown version {shown(version.value)}",
            version.span,
            f"this deploystep reads version {_VERSION}",
        )
        return True

    def _timezone(self, name: Spanned[str] | None) -> str:
        if name is None:
            return "UTC"
        try:
            zone(name.value)
        except UnknownZone as unknown:
            refuse_zone(unknown, name.span, self.report)
        return name.value

    def _ref(self, name: Spanned[str] | None, noun: str) -> str | None:
        """The bare name of one branch or tag."""
        if name is None:
            return None
        if name.value.startswith(_REFS_PREFIX):
            bare = name.value.split("/", 2)[2]
            self.report.error("E206", f"write the bare name, not {shown(name.value)}", name.span, bare)
        elif not is_legal_ref(name.value):
            self.report.error("E207", f"no {noun} can be called {shown(name.value)}", name.span, "write its bare name")
        return name.value

    def _target(self, name: Spanned[str], target: Fields) -> Target | None:
        before = self.report.errors
        project = self._project(target.get(f.PROJECT))
        ref = self._target_ref(target)
        definition, api = target.get(f.DEFINITION), target.get(f.API)
        if project is None or ref is None or not target.is_clean or self.report.errors > before:
            return None
        return Target(
            name=name.value,
            project=project,
            ref=ref,
            definition=definition.value.lower() if definition else None,
            api=ApiVersion(api.value) if api else None,
            span=name.span,
        )

    def _project(self, text: Spanned[str] | None) -> ProjectSlug | None:
        slug = ProjectSlug.parse(text.value) if text else None
        # these would change where a request goes
        if text is not None and (slug is None or set(text.value) & set("?#%\\ \t\n\r")):
            self.report.error(
                "E604",
                f"{shown(text.value)} is not the slug of a project",
                text.span,
                "write gh/ORG/REPO, bb/ORG/REPO or circleci/ORG-ID/PROJECT-ID",
            )
        return slug

    def _target_ref(self, target: Fields) -> Branch | Tag | None:
        branch = self._ref(target.get(f.TARGET_BRANCH), "branch")
        tag = self._ref(target.get(f.TARGET_TAG), "tag")
        if target.has(f.TARGET_BRANCH) and target.has(f.TARGET_TAG):
            span = max(target.at(f.TARGET_BRANCH), target.at(f.TARGET_TAG))
            self.report.error("E606", "a target is at a branch or at a tag, never at both", span, "remove one")
        elif not (target.has(f.TARGET_BRANCH) or target.has(f.TARGET_TAG) or target.is_broken):
            self.report.error("E103", "this target has no 'branch' or 'tag'", target.span, "for example  branch: main")
        if branch is not None:
            return Branch(branch)
        return None if tag is None else Tag(tag)

    def _rules(self, read: tuple[Fields, ...]) -> tuple[Rule, ...]:
        first: dict[str, int] = {}
        for rule in read:
            name = rule.get(f.RULE_NAME)
            if name is None:
                continue
            if name.value in first:
                self.report.error(
                    "E106", f"two rules are called {shown(name.value)}", name.span, f"first on line {first[name.value]}"
                )
            first.setdefault(name.value, name.span.line)
        return _present(self._rule(rule) for rule in read)

    def _check_freezes(self, file: Fields) -> None:
        """A freeze names environments and rules that there are; a slip would let a deploy through, or hold it."""
        rules = file.get(f.RULES) or ()
        environments = [e.value for rule in rules if (e := rule.get(f.ENVIRONMENT))]
        names = [n.value for rule in rules if (n := rule.get(f.RULE_NAME))]
        for freeze in file.get(f.FREEZES) or ():
            for written in freeze.get(f.ENVIRONMENTS) or ():
                self._check_known("E406", "no rule deploys to environment", written, environments)
            for written in freeze.get(f.EXCEPT) or ():
                self._check_known("E407", "no rule is called", written, names)

    def _case(self, read: Fields) -> Case | None:
        name, facts, expect = read.get(f.CASE_NAME), read.get(f.CASE_GIVEN), read.get(f.EXPECT)
        given = facts_of(facts, self.report) if facts else None
        if name is None or given is None or expect is None or not read.is_clean:
            return None
        wanted = expect.get(f.EXPECTED_PARAMETERS) or ()
        parameters = tuple((rule, {key.value: self._written_out(v) for key, v in pairs}) for rule, pairs in wanted)
        return Case(name.value, given, Expected(expect.get(f.FIRE), expect.get(f.HELD), parameters), read.span)

    def _written_out(self, written: Written) -> Scalar:
        """An expected value stands as it is sent: it is not filled in."""
        value = written.value
        if not isinstance(value, Template):
            return value
        if value.references:
            self.report.error(
                "E512", "an expected value is not filled in", written.node.inner, "write what is to be sent"
            )
        return "".join(part for part in value.parts if isinstance(part, str))

    def _check_cases(self, file: Fields) -> None:
        names = [n.value for rule in file.get(f.RULES) or () if (n := rule.get(f.RULE_NAME))]
        for case in file.get(f.CASES) or ():
            expect = case.get(f.EXPECT)
            if expect is None:
                continue
            sent = tuple(rule for rule, _ in expect.get(f.EXPECTED_PARAMETERS) or ())
            for written in (*(expect.get(f.FIRE) or ()), *(expect.get(f.HELD) or ()), *sent):
                self._check_known("E407", "no rule is called", written, names)

    def _check_known(self, code: str, what: str, written: Spanned[str], known: list[str]) -> None:
        if written.value not in known:
            near = nearest(written.value, known)
            hint = f"did you mean {shown(near)}?" if near else f"known: {', '.join(dict.fromkeys(known)) or 'none'}"
            self.report.error(code, f"{what} {shown(written.value)}", written.span, hint)

    def _guard(self, guard: Fields) -> Guard | None:
        before = self.report.errors
        name, reason = guard.get(f.GUARD_NAME), guard.get(f.REASON)
        when = self._condition(guard.get(f.GUARD_WHEN), None)
        self._count_patterns(guard, (when,))
        if when is None or not guard.is_clean or self.report.errors > before:
            return None
        return Guard(name.value if name else None, when, reason.value if reason else None, guard.span)

    def _rule(self, rule: Fields) -> Rule | None:
        before = self.report.errors
        name = rule.get(f.RULE_NAME)
        chosen, stops = rule.get(f.WHEN), rule.get(f.UNLESS)
        self._check_refs(chosen)
        deploy = self._deploy(rule, chosen)
        # the commits of another project's runs say nothing about this one
        workflow = deploy.workflow.value if deploy and deploy.workflow and deploy.to is None else None
        when, unless = self._condition(chosen, workflow), self._condition(stops, workflow)
        self._check_since(chosen, chosen)
        self._check_since(stops, chosen)
        self._count_patterns(rule, (when, unless))
        during = self.times.during(rule.get(f.DURING))
        if name is None or when is None or deploy is None or not rule.is_clean or self.report.errors > before:
            return None
        requires = rule.get(f.REQUIRES) or ()
        return Rule(name, rule.get(f.ENVIRONMENT), when, unless, deploy, rule.span, during, requires)

    def _check_refs(self, when: Choices | None) -> None:
        """A rule says for which branches or tags it is."""
        for alternative in when.alternatives if when else ():
            if not (alternative.has(f.BRANCH) or alternative.has(f.TAG) or alternative.is_broken):
                self.report.error(
                    "E302",
                    "this does not say which branches or tags it is for",
                    alternative.span,
                    'add branch: "**" or tag: "**"',
                )

    def _check_since(self, choices: Choices | None, when: Choices | None) -> None:
        """A comparison with the merge base says nothing on the default branch itself, nor on tags."""
        for alternative in choices.alternatives if choices else ():
            paths = alternative.get(f.PATHS)
            if paths is None or paths.since is not None:
                continue
            says_ref = alternative.has(f.BRANCH) or alternative.has(f.TAG)
            where = self._where_empty((alternative,) if says_ref or when is None else when.alternatives)
            if where is not None:
                self.report.error(
                    "E304",
                    f"'paths' on {where} needs 'since'",
                    alternative.at(f.PATHS),
                    "write since: last-deploy, since: previous-commit or since: {ref: NAME}",
                )

    def _where_empty(self, alternatives: tuple[Fields, ...]) -> str | None:
        """Where the merge base is no base, if these alternatives can hold there."""
        if any(a.has(f.TAG) for a in alternatives):
            return "tags"
        branches = (p.value for a in alternatives for p in a.get(f.BRANCH) or ())
        is_default = any(pattern.matches(self.default_branch) for pattern in branches)
        return f"branch '{self.default_branch}'" if is_default else None

    def _condition(self, choices: Choices | None, workflow: str | None) -> Condition | None:
        if choices is None:
            return None
        for alternative in choices.alternatives:
            self._refuse_secrets(alternative)
            if not choices.is_ambiguous and alternative.has(f.BRANCH) and alternative.has(f.TAG):
                self.report.error(
                    "E301",
                    "a CircleCI build has a branch or a tag, never both, so this can never be true",
                    max(alternative.at(f.BRANCH), alternative.at(f.TAG)),
                    "for 'either', write two list items; for 'a tag on main', use tag: with merged_into: main",
                )
        return Condition(tuple(self._alternative(a, workflow) for a in choices.alternatives), choices.span)

    def _alternative(self, fields: Fields, workflow: str | None) -> Alternative:
        """The matchers in the order written."""
        read = (_names(fields), _flags(fields), _env(fields), self._facts(fields, workflow))
        return Alternative(tuple(sorted((m for part in read for m in part), key=lambda m: m.span)), fields.span)

    def _facts(self, fields: Fields, workflow: str | None) -> Iterable[Matcher]:
        """The matchers about commits. `workflow` is the one whose last run `since: last-deploy` means."""
        if branches := fields.get(f.MERGED_INTO):
            for branch in branches:
                self._ref(branch, "branch")
            yield MergedInto(branches, fields.at(f.MERGED_INTO))
        if author := fields.get(f.AUTHOR):
            yield AuthorIs(author, fields.at(f.AUTHOR))
        if texts := fields.get(f.MESSAGE_CONTAINS):
            yield MessageContains(texts, fields.at(f.MESSAGE_CONTAINS))
        if paths := fields.get(f.PATHS):
            since = paths.since or ChangedSince(Base.MERGE_BASE)
            if since.base is Base.LAST_DEPLOY:
                since = replace(since, workflow=workflow)
            yield PathsChanged(paths.only, paths.ignore, since, fields.at(f.PATHS))

    def _refuse_secrets(self, alternative: Fields) -> None:
        for name, _ in alternative.get(f.ENV) or ():
            if name.value in SECRET_VARIABLES:
                self.report.error(
                    "E511", f"{name.value} is a secret that no rule may read", name.span, "name another variable"
                )

    def _count_patterns(self, rule: Fields, conditions: tuple[Condition | None, ...]) -> None:
        matchers = (m for c in conditions if c for a in c.alternatives for m in a.matchers)
        count = sum(len(patterns) for m in matchers for patterns in patterns_of(m))
        if count > f.MAX_PATTERNS:
            self.report.error("E115", f"{count} patterns in one rule", rule.span, f"the limit is {f.MAX_PATTERNS}")

    def _deploy(self, rule: Fields, when: Choices | None) -> Deploy | None:
        deploy = rule.get(f.DEPLOY)
        if deploy is None:
            return None
        job, workflow = deploy.get(f.JOB), deploy.get(f.WORKFLOW)
        to = self._to(deploy.get(f.TO))
        if deploy.has(f.JOB) and deploy.has(f.WORKFLOW):
            self.report.error(
                "E607",
                "'job' and 'workflow' exclude each other",
                max(deploy.at(f.JOB), deploy.at(f.WORKFLOW)),
                "API v1.1 starts one job; to start a workflow, remove job:",
            )
        elif job is not None:
            self._check_job(deploy.at(f.JOB), to, when)
        sent = deploy.get(f.PARAMETERS) or ()
        parameters.check(sent, parameters.Scope.of(rule, when, is_job=job is not None), self.report)
        if deploy.has(f.TO) and to is None:
            return None
        return Deploy(to, job, workflow, tuple(_parameter(key, value) for key, value in sent), rule.at(f.DEPLOY))

    def _check_job(self, at: Span, to: Target | None, when: Choices | None) -> None:
        tags_only = when is not None and all(a.has(f.TAG) and not a.has(f.BRANCH) for a in when.alternatives)
        if isinstance(to.ref, Tag) if to else tags_only:
            self.report.error(
                "E602",
                "'job' cannot be sent for a tag: API v1.1 triggers a job on a branch",
                at,
                "gate a workflow on a parameter and use workflow:",
            )

    def _to(self, name: Spanned[str] | None) -> Target | None:
        if name is None:
            return None
        if name.value not in self.targets:
            near = nearest(name.value, self.targets)
            known = f"known: {', '.join(self.targets)}" if self.targets else "describe it under targets:"
            hint = f"did you mean {shown(near)}?" if near else known
            self.report.error("E601", f"no target is called {shown(name.value)}", name.span, hint)
        return self.targets.get(name.value)


def _present(values: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(value for value in values if value is not None)


def _names(fields: Fields) -> Iterable[Matcher]:
    if branch := fields.get(f.BRANCH):
        yield BranchIs(branch, fields.at(f.BRANCH))
    if tag := fields.get(f.TAG):
        yield TagIs(tag, fields.at(f.TAG))
    if user := fields.get(f.USER):
        yield UserIs(user, fields.at(f.USER))


def _flags(fields: Fields) -> Iterable[Matcher]:
    if pull_request := fields.get(f.PULL_REQUEST):
        yield PullRequestIs(pull_request.value, fields.at(f.PULL_REQUEST))
    if fork := fields.get(f.FORK):
        yield ForkIs(fork.value, fields.at(f.FORK))


def _env(fields: Fields) -> Iterable[Matcher]:
    if variables := fields.get(f.ENV):
        yield EnvIs(variables, fields.at(f.ENV))


def _parameter(key: Spanned[str], value: Written) -> Parameter:
    return Parameter(key, Spanned(value.value, value.node.inner))
