"""A rule file's text to a RuleSet, or all that is wrong with it. Nothing is claimed of what could not be read."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from deploystep.core import parameters as params
from deploystep.core import rules as core
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.deploy import carries_key
from deploystep.core.facts import Base, ChangedSince, branch_named
from deploystep.core.frozen import Frozen, replace
from deploystep.core.patterns.automaton import WORK
from deploystep.core.source import Diagnostic, SourceFile, Span, Spanned, clipped, did_you_mean, in_order, shown
from deploystep.core.times import Interval, Window, zone
from deploystep.rulefile import lint
from deploystep.rulefile.field_types import AS_WINDOW, UNZONED, Field, Fields
from deploystep.rulefile.fields import FILE
from deploystep.rulefile.given import facts_of
from deploystep.rulefile.yaml_reader import Report, Stopped, read

_FILE: Final = Field("the rule file", FILE, "version: 1", "")
_LAST: Final = ChangedSince(Base.LAST_DEPLOY)
_AS_SINCE: Final = "write since: previous-commit, since: {ref: NAME} or since: last-deploy"
_KNOWN: Final = params.PUBLIC_VARIABLES | {*params.DERIVED}
_PR: Final = ("pull_request fork", "unset where {} fires without a pull request", "add pull_request: true")
_FORK: Final = ("fork", "always unset in {} without fork: true", "send ${pr.number}")
#: Values that are set only where one of some matchers says so, each with what to say otherwise. A build of a fork is
#: one of a pull request, and a rule fires for it only where it says `fork: true`.
_SET_BY: Final[Mapping[str, tuple[str, str, str]]] = {
    **dict.fromkeys(("CIRCLE_TAG", "tag.version"), ("tag", "always unset in {} for branches", "")),
    **dict.fromkeys(("CIRCLE_BRANCH", "branch.slug"), ("branch", "always unset in {} for tags", "")),
    **dict.fromkeys(("pr.number", "CIRCLE_PULL_REQUEST", "CIRCLE_PULL_REQUESTS"), _PR),
    **dict.fromkeys(("CIRCLE_PR_NUMBER", "CIRCLE_PR_REPONAME", "CIRCLE_PR_USERNAME"), _FORK),
}
_PLAIN: Final = {"merged_into": core.MergedInto, "message_contains": core.MessageContains, "env": core.EnvIs}


class Examined(Frozen):
    """A rule file's meaning, None where something is wrong with it, and all there is to say about it."""

    rules: core.RuleSet | None
    diagnostics: tuple[Diagnostic, ...]


def load(source: SourceFile) -> core.RuleSet:
    """Read a rule file. Raises RuleFileInvalid with every error, sorted; warnings are for `examine`."""
    report = Report()
    with suppress(Stopped):
        rules = _read(source, report)
        if not report.errors:
            return rules
    raise report.refusal(source)


def examine(source: SourceFile) -> Examined:
    """Read a rule file and say everything that is wrong or suspicious."""
    report, rules = Report(), None
    with suppress(Stopped):
        found = _read(source, report)
        rules = None if report.errors else found
        lint.warn(found, report, is_whole=rules is not None)
    return Examined(rules, in_order(report.diagnostics))


def _read(source: SourceFile, report: Report) -> core.RuleSet:
    """As much as could be read. Raises Stopped where nothing could; the report has all that is wrong."""
    WORK.left = WORK.MOST
    node = read(source, report, _FILE.example)
    before = report.diagnostics[:]
    file = FILE.read(node, _FILE, report)
    line = file.places["version"].line if "version" in file.unread & file.places.keys() else 0
    if unknown := [d for d in report.diagnostics if d.span.line == line and d.code == "E104"]:
        report.diagnostics[:] = before + unknown  # the rest was written for another language
        raise Stopped
    rules = _Loader(file, report).file(source)
    # what is whole is examined even where something else is wrong: nobody likes to be told in turns
    lint.refuse_useless(rules, report)
    return rules


class _Loader:
    """Makes values of what the tables have read, and checks what goes beyond one field."""

    def __init__(self, file: Fields, report: Report) -> None:
        self.read, self.report = file, report
        self.unzoned: list[Span] = []
        self.zone, self.default_branch = zone(_value(file["timezone"]) or "UTC"), _value(file["default_branch"])
        self.targets = {name.value: self._target(name, target) for name, target in file["targets"] or ()}
        windows = file["windows"] or ()
        self.windows = {name.value: tuple(self._window(t.value, t.span) for t in texts) for name, texts in windows}

    def file(self, source: SourceFile) -> core.RuleSet:
        rules, freezes, cases = (self.read[key] or () for key in ("rules", "freezes", "cases"))
        # whatever is named is there, as a slip in a freeze would let a deploy through; no two rules share a name
        lines: dict[str, int] = {}
        for name in (rule["name"] for rule in rules if rule["name"]):
            if name.value in lines:
                what = f"two rules are called {shown(name.value)}"
                self.report.add("E106", what, name.span, f"first on line {lines[name.value]}")
            lines.setdefault(name.value, name.span.line)
        expects = [case["expect"] for case in cases if case["expect"]]
        named = [*_all(freezes, "except"), *_all(expects, "fire"), *_all(expects, "held")]
        named += [name for name, _ in _all(expects, "parameters")]
        environments = {rule["environment"].value: None for rule in rules if rule["environment"]}
        to = [rule["deploy"]["to"] for rule in rules if rule["deploy"] and rule["deploy"]["to"]]
        windows = [rule["during"] for rule in rules if rule["during"] and isinstance(rule["during"].value, str)]
        self._check_known("E407", "no rule is called", named, lines)
        self._check_known("E406", "no rule deploys to environment", _all(freezes, "environments"), environments)
        self._check_known("E601", "no target is called", to, self.targets, "describe it under targets:")
        self._check_known("E404", "no window is called", windows, self.windows, AS_WINDOW)
        return core.RuleSet(
            source=source,
            timezone=_value(self.read["timezone"]) or "UTC",
            default_branch=self.default_branch,
            api=self.read["api"] or core.ApiVersion.V2_RUN,
            targets=MappingProxyType({name: target for name, target in self.targets.items() if target is not None}),
            never=tuple(filter(None, map(self._guard, self.read["never"] or ()))),
            rules=tuple(filter(None, map(self._rule, rules))),
            freezes=tuple(filter(None, map(self._freeze, freezes))),
            cases=tuple(filter(None, map(self._case, cases))),
            unzoned=None if self.read.has("timezone") else min(self.unzoned, default=None),
            ignore=_values(self.read["ignore"]),
        )

    def _check_known(self, code: str, what: str, names: Iterable[Any], known: Iterable[str], hint: str = "") -> None:
        for name in (name for name in names if name.value not in known):
            near = did_you_mean(name.value, known, f"known: {', '.join(known)}" if known else hint or "known: none")
            self.report.add(code, f"{what} {shown(name.value)}", name.span, near)

    def _window(self, window: Window, at: Span) -> Window:
        self.unzoned += [at] if window.zone is UNZONED else []
        return replace(window, zone=self.zone) if window.zone is UNZONED else window

    def _moment(self, text: Spanned[datetime]) -> datetime:
        self.unzoned += [text.span] if text.value.tzinfo is UNZONED else []
        return text.value.replace(tzinfo=self.zone) if text.value.tzinfo is UNZONED else text.value

    def _freeze(self, freeze: Fields) -> core.Freeze | None:
        start, until = freeze["from"], freeze["until"]
        moments = (self._moment(start), self._moment(until)) if start and until else None
        if moments and moments[0] >= moments[1]:
            self.report.add("E405", "'until' is not after 'from'", until.span)
        if freeze.unread or moments is None:
            return None
        of = _values(freeze["environments"]), _values(freeze["except"]), _value(freeze["reason"])
        return core.Freeze(freeze["name"].value, Interval.between(*moments), *of, freeze.span)

    def _target(self, name: Spanned[str], target: Fields) -> core.Target | None:
        if at := target.both("branch", "tag"):
            self.report.add("E606", "a target is at a branch or at a tag, never at both", at, "remove one")
        elif not target.has("branch", "tag"):
            self.report.add("E103", "this target has no 'branch' or 'tag'", target.span, "for example  branch: main")
        slug = ProjectSlug.parse(target["project"].value) if target["project"] else None
        if target.unread or slug is None:
            return None
        branch, tag, definition = _value(target["branch"]), _value(target["tag"]) or "", _value(target["definition"])
        ref, identity = Branch(branch) if branch else Tag(tag), definition.lower() if definition else None
        return core.Target(name.value, slug, ref, identity, target["api"], name.span)

    def _guard(self, guard: Fields) -> core.Guard | None:
        before = self.report.errors
        self._check_choices(guard, guard["when"] or (), None)
        when = self._condition(guard, "when", _LAST)
        if guard.unread or self.report.errors > before or when is None:
            return None
        return core.Guard(_value(guard["name"]), when, _value(guard["reason"]), guard.span)

    def _rule(self, rule: Fields) -> core.Rule | None:
        before, chosen, stops = self.report.errors, rule["when"] or (), rule["unless"] or ()
        for at in (each.span for each in chosen if not each.has("branch", "tag")):
            what = "this does not say which branches or tags it is for"
            self.report.add("E302", what, at, 'add branch: "**" or tag: "**"')
        self._check_choices(rule, (*chosen, *stops), chosen)
        deploy, name, during = self._deploy(rule, chosen), rule["name"], rule["during"]
        # the commits of another project's runs say nothing about this one
        here = deploy if deploy is not None and deploy.to is None else None
        keyed = name.value if here and name and carries_key(here) else None
        last = replace(_LAST, workflow=_value(here.workflow) if here else None, rule=keyed)
        when, unless = self._condition(rule, "when", last), self._condition(rule, "unless", last)
        if rule.unread or self.report.errors > before or when is None:
            return None
        if during is not None:
            given, at = during.value, during.span
            during = Spanned(self.windows.get(given, ()) if isinstance(given, str) else (self._window(given, at),), at)
        requires, ignore = rule["requires"] or (), _values(rule["ignore"])
        return core.Rule(name, rule["environment"], when, unless, deploy, rule.span, during, requires, ignore)

    def _check_choices(self, rule: Fields, choices: tuple[Fields, ...], when: tuple[Fields, ...] | None) -> None:
        """Refuse what no build can be, and what compares a ref with itself. `when` is what must hold in a rule."""
        excluded = _all((stop for stop in rule.get("unless") or () if stop.places.keys() == {"branch"}), "branch")
        defaults = {self.default_branch} if self.default_branch else {"main", "master"}  # as it may be called
        for alternative in choices:
            if at := alternative.both("branch", "tag"):
                what = "a CircleCI build has a branch or a tag, never both, so this can never be true"
                hint = "for 'either', write two list items; for 'a tag on main', use tag: with merged_into: main"
                self.report.add("E301", what, at, hint)
            paths = alternative["paths"]
            if "unless" in rule.unread or not paths or paths.unread:
                continue
            (base, ref), is_told, at = _compared(paths), paths["since"] is not None, alternative.places["paths"]
            around = (alternative,) if alternative.has("branch", "tag") or when is None else when
            if base is Base.LAST_DEPLOY and when is not None and not rule.has("deploy"):
                what = "'since: last-deploy' in a rule without 'deploy': gate does not know earlier deploys"
                self.report.add("E311", what, at, "write since: previous-commit or since: {ref: NAME}")
            patterns = [pattern.value for pattern in _all(around, "branch")]
            # an alternative that names no ref, as a guard's, is for every branch
            is_for_all = not all(each.has("branch", "tag") for each in around)
            # a name that deploys move may be that of a branch too, and `**` is not meant for it
            compared = defaults if ref is None else {branch_named(ref)} & (defaults | {p.text for p in patterns})
            where = "tags" if not is_told and any(each["tag"] for each in around) else ""
            for merged in (each["merged_into"] or () for each in around if base is Base.MERGE_BASE):
                if merged and all(branch.value in defaults for branch in merged):
                    where = f"what is merged into '{merged[0].value}'"
            for branch in sorted(compared, reverse=True) if base in (None, Base.MERGE_BASE) else ():
                is_of = is_for_all or any(pattern.matches(branch) for pattern in patterns)
                if is_of and not any(pattern.value.matches(branch) for pattern in excluded):
                    where = f"branch '{branch}'"
            if where:
                what = f"this 'since' never has changes on {where}" if is_told else f"'paths' on {where} needs 'since'"
                self.report.add("E304", what, at, _AS_SINCE)

    def _condition(self, rule: Fields, key: str, last: ChangedSince) -> core.Condition | None:
        """The alternatives of a condition, if there is one. `last` is what `since: last-deploy` means."""
        made = tuple(core.Alternative(tuple(_matchers(each, last)), each.span) for each in rule[key] or ())
        return core.Condition(made, rule.places[key]) if made else None

    def _deploy(self, rule: Fields, when: tuple[Fields, ...]) -> core.Deploy | None:
        if (deploy := rule["deploy"]) is None:
            return None
        job, workflow, name = deploy["job"], deploy["workflow"], deploy["to"]
        to = self.targets.get(name.value) if name else None
        if at := deploy.both("job", "workflow"):
            hint = "API v1.1 starts one job; to start a workflow, remove job:"
            self.report.add("E607", "'job' and 'workflow' exclude each other", at, hint)
        is_for_tags = not name and bool(when) and all(each["tag"] and not each.has("branch") for each in when)
        if job and (is_for_tags or (to and isinstance(to.ref, Tag))):
            what = "'job' cannot be sent for a tag: API v1.1 triggers a job on a branch"
            self.report.add("E602", what, job.span, "gate a workflow on a parameter and use workflow:")
        sent = tuple(core.Parameter(key, value) for key, value in deploy["parameters"] or ())
        for key, value in deploy["parameters"] or ():
            if job and "-" in key.value:
                hint = "with job: it is an environment variable: letters, digits and '_'"
                self.report.add("E501", f"{shown(key.value)} is not the name of a parameter", key.span, hint)
            parts = value.value.parts if isinstance(value.value, params.Template) else ()
            if (length := sum(len(part) for part in parts if isinstance(part, str))) > params.MAX_VALUE:
                what = f"parameter {shown(key.value)} is too long: {length} characters"
                self.report.add("E510", what, value.span, f"CircleCI takes {params.MAX_VALUE} at most")
            for reference in (part for part in parts if isinstance(part, params.Reference)):
                at = value.span.part(value.value.text, reference.offset, reference.width)
                self._check_value(reference.name, at, rule, when)
        return core.Deploy(to, job, workflow, sent, rule.places["deploy"])

    def _check_value(self, name: str, at: Span, rule: Fields, when: tuple[Fields, ...]) -> None:
        """Report `${name}` where it could not be sent whenever the rule fires."""
        keys, why, hint = _SET_BY.get(name, ("", "", ""))
        stops = (each for each in rule["unless"] or () if len(each.places) == 1)
        is_sure = any(each[key] is False for each in stops for key in keys.split()) or "unless" in rule.unread
        told = [a for a in when if keys and not is_sure and a.has("branch", "tag") and not a.unread]
        asking = [a for a in when if name in (variable.value for variable, _ in a["env"] or ())]
        lacking = [a for a in told if a not in asking and not any(a[key] for key in keys.split())]
        if name in params.SECRET_VARIABLES:
            self.report.add("E511", f"${{{name}}} is a secret and is never sent", at, "the receiver has its own")
        elif lacking:
            where = "a rule" if len(lacking) == len(when) else f"an alternative (line {lacking[0].span.line})"
            self.report.add("E507", f"${{{name}}} is {why.format(where)}", at, hint)
        elif name == "rule.environment" and not rule.has("environment"):
            what = f"${{{name}}} is always unset in a rule without an environment"
            self.report.add("E507", what, at, "add environment: to the rule")
        elif name not in _KNOWN and not ((asking or "when" in rule.unread) and params.is_variable(name)):
            hint = f"known: variables in upper case such as CIRCLE_SHA1, and {', '.join(sorted(params.DERIVED))}"
            if params.is_variable(name):
                hint = f'to send a variable of the project, add env: {{{name}: "*"}} to when'
            hint = did_you_mean(name, _KNOWN, hint, "${{{}}}")
            self.report.add("E506", f"unknown value ${{{clipped(name)}}}", at, hint)

    def _case(self, read: Fields) -> core.Case | None:
        given, expect = facts_of(read["given"], self.report) if read["given"] else None, read["expect"]
        if given is None or read.unread:
            return None
        sent = tuple((name, {k.value: v.value for k, v in pairs}) for name, pairs in expect["parameters"] or ())
        return core.Case(read["name"].value, given, core.Expected(expect["fire"], expect["held"], sent), read.span)


def _compared(paths: Fields) -> tuple[Base | None, str | None]:
    """What `paths:` compares with: a base, or a ref."""
    since = paths["since"] or {}
    return (None, since["ref"].value) if since.get("ref") else (since.get("base") or Base.MERGE_BASE, None)


def _matchers(each: Fields, last: ChangedSince) -> Iterator[core.Matcher]:
    written: list[tuple[Any, Any, Span]] = [(k, each[k], at) for k, at in each.places.items() if each[k] is not None]
    for key, value, at in written:
        if key == "paths":
            base, ref = _compared(value)
            since = last if base is Base.LAST_DEPLOY else ChangedSince(base, ref)
            yield core.PathsChanged(value["only"] or (), value["ignore"] or (), since, at)
        elif key in _PLAIN:
            yield _PLAIN[key](value, at)
        else:
            yield core.FlagIs(key, value, at) if isinstance(value, bool) else core.NameIs(key, value, at)


def _all(maps: Iterable[Fields], key: str) -> list[Any]:
    return [item for each in maps for item in each[key] or ()]


def _value(written: Spanned[Any] | None) -> Any:
    return written.value if written else None


def _values(written: Iterable[Spanned[Any]] | None) -> frozenset[Any]:
    return frozenset(each.value for each in written or ())
