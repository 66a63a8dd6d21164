"""Whether one matcher holds, and what holds back a rule that would otherwise fire: the words of each, and its needs."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, TypeAlias, cast

from deploystep.core.build import FORK_VARIABLES, BuildContext
from deploystep.core.facts import (
    Answer,
    AuthorOf,
    Facts,
    IsMergedInto,
    JobsOf,
    Known,
    MessageOf,
    Question,
    Reason,
    Trace,
    Unavailable,
    all_of,
    any_of,
    leaf,
    unanswered,
)
from deploystep.core.frozen import dataclass, replace
from deploystep.core.parameters import PUBLIC_VARIABLES
from deploystep.core.patterns import Pattern, PatternSet
from deploystep.core.rules import (
    EnvIs,
    FlagIs,
    Freeze,
    Matcher,
    MergedInto,
    MessageContains,
    NameIs,
    PathsChanged,
    Patterns,
    Rule,
    RuleSet,
    matchers_of,
)
from deploystep.core.source import Diagnostic, Severity, Span, Spanned
from deploystep.core.text import did_you_mean, shown
from deploystep.core.times import DAYS, next_opening, zone

_COST: Final = {MessageContains: 1, MergedInto: 2, PathsChanged: 3}


def cost(matcher: Matcher) -> int:
    """How expensive the matcher's fact is; cheap ones are judged first, because they often settle it."""
    is_author = isinstance(matcher, NameIs) and matcher.word == "author"
    return 1 if is_author else _COST.get(type(matcher), 0)


def match(matcher: Matcher, facts: Facts, index: "PathIndex | None" = None, *, stops: bool = False) -> Trace:
    """Whether one matcher holds; `index` holds it among the path filters that are used together with it.

    `stops`: it keeps a rule from firing, so what is blank must not be taken for something else.
    """
    if isinstance(matcher, NameIs):
        return _name(matcher, facts, stops=stops)
    if isinstance(matcher, FlagIs):
        return _flag(matcher, facts.build)
    if isinstance(matcher, EnvIs):
        parts = tuple(_variable(name.value, patterns, name.span, facts.build) for name, patterns in matcher.variables)
        return all_of("env " + ", ".join(name.value for name, _ in matcher.variables), parts, matcher.span)
    if isinstance(matcher, MessageContains):
        return _message(matcher, facts)
    if isinstance(matcher, MergedInto):
        parts = tuple(_merged_into(branch, facts) for branch in matcher.branches)
        return any_of("merged_into " + _listed(matcher.branches), parts, matcher.span)
    return _paths(matcher, facts, index or PathIndex((matcher,)))


def _name(matcher: NameIs, facts: Facts, *, stops: bool) -> Trace:
    word, build, patterns = matcher.word, facts.build, matcher.patterns
    claim = f"{word} {_listed(patterns)}"
    if word == "author":
        answer = asked(claim, AuthorOf(), matcher.span, facts)
        if isinstance(answer, Trace):
            return answer
        value, blank = cast("str | None", answer.value), "it is empty"
    elif word == "user":
        value, blank = build.user, "CIRCLE_USERNAME is not set"
        if not value and stops:
            what = f"cannot tell who started this build: {blank}, as for bots and schedules"
            cure = "use author: or a branch pattern, such as branch: dependabot/**, instead of user:"
            return unanswered(claim, Diagnostic("U107", what, matcher.span, cure, Severity.UNDECIDED))
    else:
        value = build.branch if word == "branch" else build.tag
        blank = "it is empty" if value == "" else f"this is a {'tag' if word == 'branch' else 'branch'} build"
    if not value:
        return leaf(claim, f"{word} — {blank}", matcher.span, holds=False)
    found = next((p for p in patterns if p.value.matches(value)), None)
    if found is not None:
        because = f"{word} {value}" + ("" if found.value.text == value else f" matches {found.value.text}")
        return leaf(claim, because, found.span, holds=True)
    because = f"{word} {value} does not match {_listed(patterns)}"
    if any(p.value.text.casefold() == value.casefold() for p in patterns):
        because += "; upper and lower case differ"
    elif len(patterns) == 1 and patterns[0].value.text.startswith("/"):
        prefix = patterns[0].value.viable_prefix(value)
        because += f"; it matches up to `{prefix}`" if prefix else ""
    return leaf(claim, because, matcher.span, holds=False)


def _listed(values: Iterable[Spanned[Pattern] | Spanned[str]]) -> str:
    return " or ".join(v.value if isinstance(v.value, str) else v.value.text for v in values)


def _flag(matcher: FlagIs, build: BuildContext) -> Trace:
    claim = f"{matcher.word} {str(matcher.wanted).lower()}"
    if matcher.word == "fork":
        if build.fork is None:
            return unclear_fork(claim, matcher.span, build)
        is_so, because = build.fork, "this is a fork build" if build.fork else "fork — this is not a fork build"
    else:
        is_so = build.pull_request is not None
        others = "".join(f"; {url} is of another repository" for url in build.foreign_requests)
        because = f"pull request {build.pull_request}" if is_so else f"pull_request — there is none{others}"
    return leaf(claim, because, matcher.span, holds=is_so is matcher.wanted)


def unclear_fork(claim: str, span: Span, build: BuildContext) -> Trace:
    """A claim about forks where the variables contradict one another."""
    name = next(name for name in FORK_VARIABLES if build.variables.get(name) is not None)
    ref = f"tag {build.tag}" if build.tag else f"branch {build.branch}"
    what = f"cannot tell whether this is a fork build: {name} is set, and {ref} is no pull request's"
    cure = f"CircleCI sets {name} only for forks: take it out of the project's settings, contexts and config"
    return unanswered(claim, Diagnostic("U106", what, span, cure, Severity.UNDECIDED))


def _variable(name: str, patterns: Patterns, span: Span, build: BuildContext) -> Trace:
    """One variable's claim. Its value is shown only where CircleCI itself sets it: others can hold secrets."""
    value = build.variables.get(name)
    claim = f"env {name} {_listed(patterns)}"
    if value is None:
        return leaf(claim, f"env {name} — it is not set", span, holds=False)
    told = f"env {name} {value}" if name in PUBLIC_VARIABLES else f"env {name}"
    found = next((p for p in patterns if p.value.matches(value)), None)
    if found is None:
        return leaf(claim, f"{told} does not match {_listed(patterns)}", span, holds=False)
    return leaf(claim, f"{told} matches {found.value.text}", found.span, holds=True)


def _message(matcher: MessageContains, facts: Facts) -> Trace:
    claim = f"message_contains {_listed(matcher.texts)}"
    answer = asked(claim, MessageOf(), matcher.span, facts)
    if isinstance(answer, Trace):
        return answer
    message = cast("str", answer.value)
    found = next((text for text in matcher.texts if text.value in message), None)
    if found is None:
        because = f"the commit message does not contain {' or '.join(repr(t.value) for t in matcher.texts)}"
        return leaf(claim, because, matcher.span, holds=False)
    return leaf(claim, f"the commit message contains {found.value!r}", found.span, holds=True)


def _merged_into(branch: Spanned[str], facts: Facts) -> Trace:
    claim = f"merged_into {branch.value}"
    answer = asked(claim, IsMergedInto(branch.value), branch.span, facts)
    if isinstance(answer, Trace):
        return answer
    is_merged = answer.value is True
    because = f"{facts.build.revision[:7]} is {'' if is_merged else 'not '}on {branch.value}"
    return leaf(claim, because, branch.span, holds=is_merged)


def _paths(matcher: PathsChanged, facts: Facts, index: "PathIndex") -> Trace:
    claim = "paths " + (_listed(matcher.only) or "**")
    answer = asked(claim, matcher.since, matcher.span, facts)
    if isinstance(answer, Trace):
        return answer
    changed = cast("tuple[str, ...]", answer.value)
    if not changed:
        return leaf(claim, "no files changed", matcher.span, holds=False)
    found = index.count_of(matcher, changed)
    because = f"{found.count or 'none'} of {len(changed)} changed " + (
        "file matches" if len(changed) == 1 else "files match"
    )
    if found.count:
        because += f": {found.first}" + (f" and {found.count - 1} more" if found.count > 1 else "")
    note = f" ({answer.note})" if answer.note else ""
    return leaf(claim, because + note, matcher.span, holds=found.count > 0)


def asked(claim: str, question: Question, span: Span, facts: Facts) -> Known[object] | Trace:
    """The answer to a question, or the trace of a claim that has none."""
    answer = facts.answers.get(question)
    if answer is None:
        return Trace(claim, Answer.UNKNOWN, (Reason(f"{claim} — not asked", span.line),), span, wants=(question,))
    if isinstance(answer, Unavailable):
        return unanswered(claim, Diagnostic(answer.code, answer.reason, span, answer.cure, Severity.UNDECIDED))
    return answer


# --- path filters: which changed files count, found for all rules at once
#
# A thousand rules with their patterns would each walk through a hundred thousand files. Instead all patterns go into
# one automaton that reads each file once. Files that match the same patterns are alike, and are looked at together.

#: What makes files count: they match one of the first patterns (if there are any), and none of the second.
_Filter: TypeAlias = tuple[frozenset[Pattern], frozenset[Pattern]]


@dataclass(frozen=True, slots=True)
class MatchCount:
    """How many of the changed files count, and the first of them; None where there is none."""

    count: int
    first: str | None


class PathIndex:
    """The path matchers of a rule set, used together. It keeps what it has found, and otherwise never changes."""

    def __init__(self, matchers: Iterable[Matcher]) -> None:
        self._filters = tuple(dict.fromkeys(_filter(m) for m in matchers if isinstance(m, PathsChanged)))
        self._found: dict[object, Mapping[_Filter, MatchCount]] = {}

    @classmethod
    def of(cls, rules: RuleSet) -> "PathIndex":
        """Every path matcher of the rules and of what stops them."""
        conditions = (c for rule in rules.rules for c in (rule.when, rule.unless))
        return cls(matchers_of(*(guard.when for guard in rules.never), *conditions))

    def count_of(self, matcher: PathsChanged, changed: tuple[str, ...]) -> MatchCount:
        """What counts for one matcher among the files that are the answer to its question.

        The first to ask has the files read for all matchers.
        """
        if matcher.since not in self._found:
            self._found[matcher.since] = _counted(self._filters, changed)
        return self._found[matcher.since][_filter(matcher)]


def _filter(matcher: PathsChanged) -> _Filter:
    return frozenset(p.value for p in matcher.only), frozenset(p.value for p in matcher.ignore)


@lru_cache(maxsize=8)  # a decision is made in rounds, and rarely about more than two lists of files
def _counted(filters: tuple[_Filter, ...], changed: tuple[str, ...]) -> Mapping[_Filter, MatchCount]:
    """Group the files by the patterns that match them, then count for each filter the groups that it lets through."""
    patterns = tuple(dict.fromkeys(pattern for only, ignore in filters for pattern in (*only, *ignore)))
    position = {pattern: at for at, pattern in enumerate(patterns)}
    groups: dict[frozenset[int], list[int]] = {}
    for at, labels in enumerate(PatternSet(patterns).matching_sorted(changed)):
        groups.setdefault(labels, []).append(at)
    asking: dict[int | None, list[int]] = {}  # which filters ask for a pattern; under None those that take any file
    for number, (only, _) in enumerate(filters):
        for pattern in only or (None,):
            asking.setdefault(None if pattern is None else position[pattern], []).append(number)
    ignored = [frozenset(position[pattern] for pattern in ignore) for _, ignore in filters]
    found = [MatchCount(0, None)] * len(filters)
    for labels, files in groups.items():  # in the order of their first files
        for number in {number for at in (None, *labels) for number in asking.get(at, ())}:
            if labels.isdisjoint(ignored[number]):
                before = found[number]
                first = before.first if before.count else changed[files[0]]
                found[number] = MatchCount(before.count + len(files), first)
    return dict(zip(filters, found, strict=True))


# --- what holds a rule back: the clock, a freeze, a job that has not succeeded


def holds_of(rule: Rule, rules: RuleSet, facts: Facts) -> tuple[Trace, ...]:
    """Each thing that can hold this rule back: yes where it lets it pass, no where it holds it."""
    freezes = tuple(freeze for freeze in rules.freezes if concerns(freeze, rule))
    return (*_clock(rule, freezes, rules.timezone, facts), *_requires(rule, facts))


def concerns(freeze: Freeze, rule: Rule) -> bool:
    """Whether a freeze is about this rule."""
    environment = rule.environment.value if rule.environment else None
    return rule.name.value not in freeze.exempt and (not freeze.environments or environment in freeze.environments)


def _clock(rule: Rule, freezes: tuple[Freeze, ...], timezone: str, facts: Facts) -> Iterator[Trace]:
    windows, now = rule.during.value if rule.during else (), facts.now
    hours = " or ".join(window.text for window in windows)
    if now is None:
        claims = [(f"during {hours}", rule.during.span)] if rule.during else []
        for claim, span in (*claims, *((f"not frozen by {freeze.name}", freeze.span) for freeze in freezes)):
            problem = Diagnostic("U104", "the rule asks the time", span, "add now: to given", Severity.UNDECIDED)
            yield unanswered(claim, problem)
        return
    opening = next_opening(now, windows, tuple(freeze.interval for freeze in freezes))
    until = "held until further notice: no opening was found"
    if opening is not None:
        local = opening.astimezone(zone(timezone))
        until = f"held until {DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M} {timezone}"
    if rule.during is not None:
        is_open = any(window.is_open(now) for window in windows)
        because = f"during {hours}" if is_open else f"outside {hours}; {until}"
        yield leaf(f"during {hours}", because, rule.during.span, holds=is_open)
    for freeze in freezes:
        claim = f"not frozen by {freeze.name}"
        if freeze.interval.holds(now):
            reason = f" — {freeze.reason}" if freeze.reason else ""
            yield leaf(claim, f"freeze {freeze.name}{reason}; {until}", freeze.span, holds=False)
        else:  # that there is no freeze is not worth a word among the reasons to deploy
            yield Trace(claim, Answer.YES, (), freeze.span)


def _requires(rule: Rule, facts: Facts) -> Iterator[Trace]:
    """Whether each of the jobs that the rule requires has succeeded in this workflow."""
    if not rule.requires:
        return
    span = rule.requires[0].span
    claim = "requires " + " and ".join(job.value for job in rule.requires)
    answer = asked(claim, JobsOf(), span, facts)
    if isinstance(answer, Trace):
        yield answer
        return
    jobs = cast("Mapping[str, str]", answer.value)
    parts = tuple(_job(job, jobs, facts.build.variables.get("CIRCLE_JOB")) for job in rule.requires)
    lacking = tuple(reason for part in parts if part.answer is not Answer.YES for reason in part.reasons)
    passed = Reason("requires " + " ".join(f"{job.value} ✓" for job in rule.requires), span.line)
    yield replace(all_of(claim, parts, span), reasons=lacking or (passed,))


def own_job(job: Spanned[str]) -> Diagnostic:
    """What to say of a rule that requires the job in which the step runs."""
    what = f"job {shown(job.value)} runs this step, so it has never succeeded when the step asks"
    return Diagnostic("E702", what, job.span, "leave it out: what the job did before the step has succeeded")


def _job(job: Spanned[str], jobs: Mapping[str, str], own: str | None) -> Trace:
    claim = f"job {job.value} succeeded"
    status = jobs.get(job.value)
    if job.value == own and status != "success":  # to hold the rule would be to hold it for ever
        return unanswered(claim, own_job(job))
    if status is None:
        hint = f"{did_you_mean(job.value, jobs)} (a job that was filtered out is missing too)".strip()
        return unanswered(claim, Diagnostic("E701", f"no job '{job.value}' in this workflow", job.span, hint))
    because = claim if status == "success" else f"job {job.value} has not succeeded (status: {status})"
    return leaf(claim, because, job.span, holds=status == "success")
