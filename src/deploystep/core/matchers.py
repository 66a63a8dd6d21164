"""Whether one matcher holds, and what holds back a rule that would otherwise fire: the words of each, and its needs."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeAlias

from deploystep.core import rules as core
from deploystep.core.build import FORK_VARIABLES, BuildContext
from deploystep.core.facts import Answer, AuthorOf, Facts, IsMergedInto, JobsOf, Known, MessageOf, Reason, Trace
from deploystep.core.frozen import replace
from deploystep.core.parameters import PUBLIC_VARIABLES
from deploystep.core.patterns import Pattern, PatternSet
from deploystep.core.source import Diagnostic, Severity, Span, Spanned
from deploystep.core.text import did_you_mean, shown
from deploystep.core.times import DAYS, next_opening, zone

_COST: Final = {core.MessageContains: 1, core.MergedInto: 2, core.PathsChanged: 3}


def cost(matcher: core.Matcher) -> int:
    """How expensive the matcher's fact is; cheap ones are judged first, because they often settle it."""
    is_author = isinstance(matcher, core.NameIs) and matcher.word == "author"
    return 1 if is_author else _COST.get(type(matcher), 0)


def match(matcher: core.Matcher, facts: Facts, index: "PathIndex | None" = None, *, stops: bool = False) -> Trace:
    """Whether one matcher holds; `index` holds it among the path filters that are used together with it.

    `stops`: it keeps a rule from firing, so what is blank must not be taken for something else.
    """
    build, span = facts.build, matcher.span
    if isinstance(matcher, core.NameIs):
        return _name(matcher, facts, stops=stops)
    if isinstance(matcher, core.FlagIs):
        return _flag(matcher, build)
    if isinstance(matcher, core.EnvIs):
        values = ((f"env {name.value}", build.variables.get(name.value), name.span, p) for name, p in matcher.variables)
        parts = tuple(_compared(name, value, "it is not set", p, at) for name, value, at, p in values)
        return Trace.all_of("env " + ", ".join(name.value for name, _ in matcher.variables), parts, span)
    if isinstance(matcher, core.MessageContains):
        claim = f"message_contains {_listed(matcher.texts)}"
        return facts.told(claim, MessageOf(), span, lambda known: _message(claim, matcher, known.value))
    if isinstance(matcher, core.MergedInto):
        parts = tuple(_merged_into(branch, facts) for branch in matcher.branches)
        return Trace.any_of("merged_into " + _listed(matcher.branches), parts, span)
    claim, judged = "paths " + (_listed(matcher.only) or "**"), index or PathIndex((matcher,))
    return facts.told(claim, matcher.since, span, lambda known: _paths(claim, matcher, known, judged))


def _listed(values: Iterable[Spanned[Pattern] | Spanned[str]]) -> str:
    return " or ".join(v.value if isinstance(v.value, str) else v.value.text for v in values)


def _compared(name: str, value: str | None, blank: str, patterns: core.Patterns, span: Span) -> Trace:
    """Whether a pattern matches. A variable's value is shown only where CircleCI sets it: others can hold secrets."""
    claim = f"{name} {_listed(patterns)}"
    if not value:
        return Trace.known(claim, f"{name} — {blank}", span, holds=False)
    is_shown = not name.startswith("env ") or name[4:] in PUBLIC_VARIABLES
    told = f"{name} {value}" if is_shown else name
    for pattern in patterns:
        if pattern.value.matches(value):
            text = pattern.value.text
            because = told if is_shown and text == value else f"{told} matches {text}"
            return Trace.known(claim, because, pattern.span, holds=True)
    because = f"{told} does not match {_listed(patterns)}"
    if is_shown and any(p.value.text.casefold() == value.casefold() for p in patterns):
        because += "; upper and lower case differ"
    elif is_shown and len(patterns) == 1 and patterns[0].value.text.startswith("/"):
        prefix = patterns[0].value.viable_prefix(value)
        because += f"; it matches up to `{prefix}`" if prefix else ""
    return Trace.known(claim, because, span, holds=False)


def _name(matcher: core.NameIs, facts: Facts, *, stops: bool) -> Trace:
    word, patterns, span = matcher.word, matcher.patterns, matcher.span
    claim = f"{word} {_listed(patterns)}"
    if word == "author":
        blank = "it is empty"
        return facts.told(claim, AuthorOf(), span, lambda known: _compared(word, known.value, blank, patterns, span))
    value: str | None = getattr(facts.build, word)
    if word == "user" and not value and stops:
        what = "cannot tell who started this build: CIRCLE_USERNAME is not set, as for bots and schedules"
        cure = "use author: or a branch pattern, such as branch: dependabot/**, instead of user:"
        return Trace.unknown(claim, Diagnostic("U107", what, span, cure, Severity.UNDECIDED))
    blanks = {"user": "CIRCLE_USERNAME is not set", "branch": "this is a tag build", "tag": "this is a branch build"}
    return _compared(word, value, blanks[word], patterns, span)


def _flag(matcher: core.FlagIs, build: BuildContext) -> Trace:
    claim, number, is_fork = f"{matcher.word} {str(matcher.wanted).lower()}", build.pull_request, build.fork
    if matcher.word == "fork" and is_fork is None:
        return unclear_fork(claim, matcher.span, build)
    none = "pull_request — there is none" + "".join(f"; {u} is of another repository" for u in build.foreign_requests)
    is_so, because = number is not None, none if number is None else f"pull request {number}"
    if matcher.word == "fork":
        is_so, because = bool(is_fork), "this is a fork build" if is_fork else "fork — this is not a fork build"
    return Trace.known(claim, because, matcher.span, holds=is_so is matcher.wanted)


def unclear_fork(claim: str, span: Span, build: BuildContext) -> Trace:
    """A claim about forks where the variables contradict one another."""
    name = next(name for name in FORK_VARIABLES if build.variables.get(name) is not None)
    ref = f"tag {build.tag}" if build.tag else f"branch {build.branch}"
    what = f"cannot tell whether this is a fork build: {name} is set, and {ref} is no pull request's"
    cure = f"CircleCI sets {name} only for forks: take it out of the project's settings, contexts and config"
    return Trace.unknown(claim, Diagnostic("U106", what, span, cure, Severity.UNDECIDED))


def _message(claim: str, matcher: core.MessageContains, message: str) -> Trace:
    found = next((text for text in matcher.texts if text.value in message), None)
    if found is None:
        because = f"the commit message does not contain {' or '.join(repr(t.value) for t in matcher.texts)}"
        return Trace.known(claim, because, matcher.span, holds=False)
    return Trace.known(claim, f"the commit message contains {found.value!r}", found.span, holds=True)


def _merged_into(branch: Spanned[str], facts: Facts) -> Trace:
    def tell(known: Known[bool]) -> Trace:
        because = f"{facts.build.revision[:7]} is {'' if known.value else 'not '}on {branch.value}"
        return Trace.known(claim, because, branch.span, holds=known.value)

    claim = f"merged_into {branch.value}"
    return facts.told(claim, IsMergedInto(branch.value), branch.span, tell)


# --- path filters: which changed files count, found for all rules at once
#
# A thousand rules with their patterns would each walk through a hundred thousand files. Instead all patterns go into
# one automaton that reads each file once. Files that match the same patterns are alike, and are looked at together.

#: What makes files count: they match one of the first patterns (if there are any), and none of the second.
_Filter: TypeAlias = tuple[frozenset[Pattern], frozenset[Pattern]]
_Counts: TypeAlias = Mapping[_Filter, tuple[int, str]]


class PathIndex:
    """The path matchers of a rule set, used together. It keeps what it has found, and otherwise never changes."""

    def __init__(self, matchers: Iterable[core.Matcher]) -> None:
        self._filters = tuple(dict.fromkeys(_filter(m) for m in matchers if isinstance(m, core.PathsChanged)))
        self._found: dict[object, _Counts] = {}

    def count_of(self, matcher: core.PathsChanged, changed: tuple[str, ...]) -> tuple[int, str]:
        """How many of the files that are the answer to its question count for one matcher, and the first of them.

        The first to ask has the files read for all matchers.
        """
        if matcher.since not in self._found:
            self._found[matcher.since] = _counted(self._filters, changed)
        return self._found[matcher.since][_filter(matcher)]


def _filter(matcher: core.PathsChanged) -> _Filter:
    return frozenset(p.value for p in matcher.only), frozenset(p.value for p in matcher.ignore)


@lru_cache(maxsize=8)  # a decision is made in rounds, and rarely about more than two lists of files
def _counted(filters: tuple[_Filter, ...], changed: tuple[str, ...]) -> _Counts:
    """Group the files by the patterns that match them, then count for each filter the groups that it lets through."""
    patterns = tuple(dict.fromkeys(pattern for only, ignore in filters for pattern in (*only, *ignore)))
    position = {pattern: at for at, pattern in enumerate(patterns)}
    groups: dict[frozenset[int], tuple[int, str]] = {}
    for file, labels in zip(changed, PatternSet(patterns).matching_sorted(changed), strict=True):
        count, first = groups.get(labels, (0, file))
        groups[labels] = count + 1, first
    asking: dict[int, list[int]] = {}  # which filters ask for a pattern; under -1 those that take any file
    for number, (only, _) in enumerate(filters):
        for at in [position[pattern] for pattern in only] or [-1]:
            asking.setdefault(at, []).append(number)
    ignored = [frozenset(position[pattern] for pattern in ignore) for _, ignore in filters]
    found = [(0, "")] * len(filters)
    for labels, (count, first) in groups.items():  # in the order of their first files
        for number in {number for at in (-1, *labels) for number in asking.get(at, ())}:
            if labels.isdisjoint(ignored[number]):
                before, name = found[number]
                found[number] = before + count, name if before else first
    return dict(zip(filters, found, strict=True))


def _paths(claim: str, matcher: core.PathsChanged, known: Known[tuple[str, ...]], index: PathIndex) -> Trace:
    if not known.value:
        return Trace.known(claim, "no files changed", matcher.span, holds=False)
    count, first = index.count_of(matcher, known.value)
    total = len(known.value)
    because = f"{count or 'none'} of {total} changed {'file matches' if total == 1 else 'files match'}"
    because += (
        f": {first}" * (count > 0) + f" and {count - 1} more" * (count > 1) + f" ({known.note})" * bool(known.note)
    )
    return Trace.known(claim, because, matcher.span, holds=count > 0)


# --- what holds a rule back: the clock, a freeze, a job that has not succeeded


def concerns(freeze: core.Freeze, rule: core.Rule) -> bool:
    """Whether a freeze is about this rule."""
    environment = rule.environment.value if rule.environment else None
    return rule.name.value not in freeze.exempt and (not freeze.environments or environment in freeze.environments)


def holds_of(rule: core.Rule, rules: core.RuleSet, facts: Facts) -> tuple[Trace, ...]:
    """Each thing that can hold this rule back: yes where it lets it pass, no where it holds it."""
    return (*_clock(rule, rules, facts.now), *((_required(rule, facts),) if rule.requires else ()))


def _clock(rule: core.Rule, rules: core.RuleSet, now: datetime | None) -> Iterator[Trace]:
    windows = rule.during.value if rule.during else ()
    freezes = [freeze for freeze in rules.freezes if concerns(freeze, rule)]

    def passes(claim: str, span: Span, because: str, holding: str, *, is_free: bool) -> Trace:
        if now is None:
            problem = Diagnostic("U104", "the rule asks the time", span, "add now: to given", Severity.UNDECIDED)
            return Trace.unknown(claim, problem)
        if is_free:  # that there is no freeze is not worth a word among the reasons to deploy
            return Trace(claim, Answer.YES, (Reason(because, span.line),) if because else (), span)
        opening = next_opening(now, windows, tuple(freeze.interval for freeze in freezes))
        until = "held until further notice: no opening was found"
        if opening is not None:
            local = opening.astimezone(zone(rules.timezone))
            until = f"held until {DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M} {rules.timezone}"
        return Trace.known(claim, f"{holding}; {until}", span, holds=False)

    if rule.during is not None:
        hours = " or ".join(window.text for window in windows)
        is_open = now is not None and any(window.is_open(now) for window in windows)
        yield passes(f"during {hours}", rule.during.span, f"during {hours}", f"outside {hours}", is_free=is_open)
    for freeze in freezes:
        named = f"freeze {freeze.name}" + (f" — {freeze.reason}" if freeze.reason else "")
        is_free = now is not None and not freeze.interval.holds(now)
        yield passes(f"not frozen by {freeze.name}", freeze.span, "", named, is_free=is_free)


def _required(rule: core.Rule, facts: Facts) -> Trace:
    """Whether each of the jobs that the rule requires has succeeded in this workflow."""
    span, names = rule.requires[0].span, [job.value for job in rule.requires]
    claim, own = "requires " + " and ".join(names), facts.build.variables.get("CIRCLE_JOB")

    def job(written: Spanned[str], jobs: Mapping[str, str]) -> Trace:
        name, status, missing = written.value, jobs.get(written.value), "(a job that was filtered out is missing too)"
        succeeded = f"job {name} succeeded"
        if name == own and status != "success":  # to hold the rule would be to hold it for ever
            return Trace.unknown(succeeded, own_job(written))
        if status is None:
            hint = f"{did_you_mean(name, jobs)} {missing}".strip()
            return Trace.unknown(succeeded, Diagnostic("E701", f"no job '{name}' in this workflow", written.span, hint))
        because = succeeded if status == "success" else f"job {name} has not succeeded (status: {status})"
        return Trace.known(succeeded, because, written.span, holds=status == "success")

    def tell(known: Known[Mapping[str, str]]) -> Trace:
        parts = tuple(job(each, known.value) for each in rule.requires)
        lacking = tuple(reason for part in parts if part.answer is not Answer.YES for reason in part.reasons)
        passed = Reason("requires " + " ".join(f"{name} ✓" for name in names), span.line)
        return replace(Trace.all_of(claim, parts, span), reasons=lacking or (passed,))

    return facts.told(claim, JobsOf(), span, tell)


def own_job(job: Spanned[str]) -> Diagnostic:
    """What to say of a rule that requires the job in which the step runs."""
    what = f"job {shown(job.value)} runs this step, so it has never succeeded when the step asks"
    return Diagnostic("E702", what, job.span, "leave it out: what the job did before the step has succeeded")
