"""Which rules fire for a build, and why: pure and three-valued, so that what cannot be known never makes one fire."""

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import TypeAlias

from deploystep.core import rules as core
from deploystep.core.build import FORK_VARIABLES, URLS_OF_REQUESTS, BuildContext
from deploystep.core.facts import Answer, AuthorOf, Facts, IsMergedInto, JobsOf, Known, MessageOf, Question, Trace
from deploystep.core.frozen import Frozen, replace
from deploystep.core.parameters import PUBLIC_VARIABLES
from deploystep.core.patterns import Pattern, PatternSet
from deploystep.core.source import Diagnostic, Severity, Span, Spanned, did_you_mean, shown
from deploystep.core.times import DAYS, next_opening, zone


class Verdict(Enum):
    """What becomes of a rule."""

    FIRE = "fire"
    HELD = "held"
    NO = "no"
    UNKNOWN = "unknown"


class Judgement(Frozen):
    """What became of one rule, and the explanation that ends at the deciding matcher."""

    rule: core.Rule
    verdict: Verdict
    trace: Trace

    @property
    def because(self) -> str:
        """The deciding reasons with their lines, as one text."""
        if self.verdict is Verdict.FIRE:
            return ", ".join(f"{r.text} (line {r.line})" for r in self.trace.reasons)
        return "; ".join(f"line {r.line}: {r.text}" for r in self.trace.reasons)


class Decision(Frozen):
    """What became of every rule, in file order."""

    judgements: tuple[Judgement, ...]

    @property
    def firing(self) -> tuple[core.Rule, ...]:
        """The rules that fire, in file order; none where any rule's outcome is unknown."""
        verdicts = {j.verdict for j in self.judgements}
        return tuple(j.rule for j in self.judgements if j.verdict is Verdict.FIRE and Verdict.UNKNOWN not in verdicts)

    @property
    def deploys(self) -> "Decision":
        """What became of the rules that send a deploy: without those for `gate` alone, on which `run` does not act."""
        return Decision(tuple(j for j in self.judgements if j.rule.sends))

    @property
    def wants(self) -> frozenset[Question]:
        """The next questions to ask: those that could still change what becomes of a rule, the cheapest of each."""
        return frozenset(question for judgement in self.judgements for question in judgement.trace.wants)

    @property
    def problems(self) -> tuple[Diagnostic, ...]:
        return tuple(problem for judgement in self.judgements for problem in judgement.trace.problems)


def decide(rules: core.RuleSet, facts: Facts) -> Decision:
    """Judge every rule on its own; an item of `never` that holds stops them all."""
    conditions = (*(guard.when for guard in rules.never), *(c for r in rules.rules for c in (r.when, r.unless)))
    index = PathIndex(core.matchers_of(*conditions))

    def stopped(guard: core.Guard) -> Trace:
        name = f"never {guard.name or ''}".rstrip()
        held = condition("when", guard.when, facts, index, stops=True)
        reasons = tuple(replace(r, text=f"{name} — {guard.reason or r.text}") for r in held.reasons)
        return replace(held, claim=name, reasons=reasons, span=guard.span, parts=(held,)).negated()

    guards = tuple(map(stopped, rules.never))

    def judged(rule: core.Rule) -> Judgement:
        """First whether the rule is for this build, then what holds it back; the latter is asked only if it matters."""
        when = condition("when", rule.when, facts, index)
        parts = (*guards, when)
        if rule.unless:
            parts += (condition("unless", rule.unless, facts, index, stops=True).negated("unless: "),)
        meant = Trace.all_of(f"rule {rule.name.value}", parts, rule.span)
        holds = holds_of(rule, rules, facts) if meant.answer is not Answer.NO else ()
        held = tuple(r for h in holds if h.answer is Answer.NO for r in h.reasons)
        whole = Trace.all_of(meant.claim, (*parts, *holds), rule.span)
        # what is not known of the rule itself is asked first: a rule that is not meant is not held
        if held and meant.wants:
            return Judgement(rule, Verdict.UNKNOWN, replace(meant, parts=whole.parts, problems=()))
        if held:
            return Judgement(rule, Verdict.HELD, replace(whole, reasons=held))
        if whole.answer is Answer.YES:
            fires = replace(whole, reasons=(*when.reasons, *(r for h in holds for r in h.reasons)))
            return Judgement(rule, Verdict.FIRE, fires)
        return Judgement(rule, Verdict(whole.answer.value), whole)

    return Decision(tuple(map(judged, rules.rules)))


def condition(
    claim: str, written: core.Condition, facts: Facts, index: "PathIndex | None" = None, *, stops: bool = False
) -> Trace:
    """Whether all matchers of an alternative hold, of a `when`, or with `stops` of what keeps a rule from firing."""
    fork, alternatives = facts.build.fork, list[Trace]()
    for one in written.alternatives:
        # the cheap ones are judged first, which never changes the answer
        parts = [match(m, facts, index, stops=stops) for m in sorted(one.matchers, key=cost)]
        says_fork = any(isinstance(m, core.FlagIs) and m.word == "fork" and m.wanted for m in one.matchers)
        if fork is not False and not stops and not says_fork:  # in a `when`, also where it may be of a fork
            refused = Trace.known("fork true", "a fork build needs fork: true", one.span, holds=False)
            parts.insert(0, refused if fork else _unclear_fork("fork false", one.span, facts.build))
        alternatives.append(Trace.all_of("all of", tuple(parts), one.span))
    return Trace.any_of(claim, tuple(alternatives), written.span)


def cost(matcher: core.Matcher) -> int:
    """How expensive the matcher's fact is; cheap ones are judged first, because they often settle it."""
    costs: dict[object, int] = {"author": 1, core.MessageContains: 1, core.MergedInto: 2, core.PathsChanged: 3}
    return costs.get(getattr(matcher, "word", type(matcher)), 0)


def match(matcher: core.Matcher, facts: Facts, index: "PathIndex | None" = None, *, stops: bool = False) -> Trace:
    """Whether one matcher holds. `stops`: it keeps a rule from firing, so what is blank must not pass for another."""
    span = matcher.span
    if isinstance(matcher, core.NameIs):
        return _name(matcher, facts, stops=stops)
    if isinstance(matcher, core.FlagIs):
        return _flag(matcher, facts.build)
    if isinstance(matcher, core.EnvIs):
        of = facts.build.variables
        parts = [_compared(f"env {n.value}", of.get(n.value), "it is not set", p, n.span) for n, p in matcher.variables]
        return Trace.all_of("env " + ", ".join(name.value for name, _ in matcher.variables), tuple(parts), span)
    if isinstance(matcher, core.MergedInto):
        parts = [_merged_into(branch, facts) for branch in matcher.branches]
        return Trace.any_of("merged_into " + _listed(matcher.branches), tuple(parts), span)
    if isinstance(matcher, core.MessageContains):
        claim, texts = f"message_contains {_listed(matcher.texts)}", matcher.texts

        def of_message(known: Known[str]) -> Trace:
            found = next((text for text in texts if text.value in known.value), None)
            because = repr(found.value) if found else " or ".join(repr(text.value) for text in texts)
            because = f"the commit message {'contains' if found else 'does not contain'} {because}"
            return Trace.known(claim, because, found.span if found else span, holds=found is not None)

        return facts.told(claim, MessageOf(), span, of_message)
    return _paths(matcher, facts, index or PathIndex((matcher,)))


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
    if is_shown and len(patterns) == 1 and patterns[0].value.text.startswith("/"):
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
    claim, number = f"{matcher.word} {str(matcher.wanted).lower()}", build.pull_request
    if matcher.word == "fork":
        if build.fork is None:
            return _unclear_fork(claim, matcher.span, build)
        is_so, because = build.fork, "this is a fork build" if build.fork else "fork — this is not a fork build"
    else:
        is_so = number is not None
        foreign = build.variables.first(URLS_OF_REQUESTS)
        others = f"; {foreign} is of another repository" if foreign else ""
        because = f"pull request {number}" if is_so else f"pull_request — there is none{others}"
    return Trace.known(claim, because, matcher.span, holds=is_so is matcher.wanted)


def _unclear_fork(claim: str, span: Span, build: BuildContext) -> Trace:
    name = next(name for name in FORK_VARIABLES if build.variables.get(name) is not None)
    ref = f"tag {build.tag}" if build.tag else f"branch {build.branch}"
    what = f"cannot tell whether this is a fork build: {name} is set, and {ref} is no pull request's"
    cure = f"CircleCI sets {name} only for forks: take it out of the project's settings, contexts and config"
    return Trace.unknown(claim, Diagnostic("U106", what, span, cure, Severity.UNDECIDED))


def _merged_into(branch: Spanned[str], facts: Facts) -> Trace:
    def tell(known: Known[bool]) -> Trace:
        because = f"{facts.build.revision[:7]} is {'' if known.value else 'not '}on {branch.value}"
        return Trace.known(claim, because, branch.span, holds=known.value)

    claim = f"merged_into {branch.value}"
    return facts.told(claim, IsMergedInto(branch.value), branch.span, tell)


#: What makes files count: they match one of the first patterns (if there are any), and none of the second.
_Filter: TypeAlias = tuple[frozenset[Pattern], frozenset[Pattern]]
_Counts: TypeAlias = Mapping[_Filter, tuple[int, str]]


class PathIndex:
    """The path matchers of a rule set, used together: a thousand rules would each walk through all the files."""

    def __init__(self, matchers: Iterable[core.Matcher]) -> None:
        self._filters = tuple(dict.fromkeys(_filter(m) for m in matchers if isinstance(m, core.PathsChanged)))
        self._found: dict[object, _Counts] = {}

    def count_of(self, matcher: core.PathsChanged, changed: tuple[str, ...]) -> tuple[int, str]:
        """How many of the files that are the answer to its question count for a matcher, and the first of them."""
        if matcher.since not in self._found:  # the first to ask has the files read for all matchers
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


def _paths(matcher: core.PathsChanged, facts: Facts, index: PathIndex) -> Trace:
    claim, span = "paths " + (_listed(matcher.only) or "**"), matcher.span

    def tell(known: Known[tuple[str, ...]]) -> Trace:
        if not known.value:
            return Trace.known(claim, "no files changed", span, holds=False)
        total, (count, first) = len(known.value), index.count_of(matcher, known.value)
        named = f": {first}" * (count > 0) + f" and {count - 1} more" * (count > 1)
        because = f"{count or 'none'} of {total} changed {'file matches' if total == 1 else 'files match'}{named}"
        because += f" ({known.note})" if known.note else ""
        return Trace.known(claim, because, span, holds=count > 0)

    return facts.told(claim, matcher.since, span, tell)


def concerns(freeze: core.Freeze, rule: core.Rule) -> bool:
    """Whether a freeze is about this rule."""
    environment = rule.environment.value if rule.environment else None
    return rule.name.value not in freeze.exempt and (not freeze.environments or environment in freeze.environments)


def holds_of(rule: core.Rule, rules: core.RuleSet, facts: Facts) -> tuple[Trace, ...]:
    """Each thing that can hold this rule back: yes where it lets it pass, no where it holds it."""
    now, windows, found = facts.now, rule.during.value if rule.during else (), list[Trace]()
    freezes = [freeze for freeze in rules.freezes if concerns(freeze, rule)]

    def passes(claim: str, span: Span, holding: str, *, is_free: bool) -> Trace:
        if now is None:
            problem = Diagnostic("U104", "the rule asks the time", span, "add now: to given", Severity.UNDECIDED)
            return Trace.unknown(claim, problem)
        if is_free:
            return Trace.known(claim, claim, span, holds=True)
        opening = next_opening(now, windows, tuple(freeze.interval for freeze in freezes))
        until = "held until further notice: no opening was found"
        if opening is not None:
            local = opening.astimezone(zone(rules.timezone))
            until = f"held until {DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M} {rules.timezone}"
        return Trace.known(claim, f"{holding}; {until}", span, holds=False)

    if rule.during is not None:
        hours, span = " or ".join(window.text for window in windows), rule.during.span
        is_open, during = now is not None and any(window.is_open(now) for window in windows), f"during {hours}"
        found.append(passes(during, span, f"outside {hours}", is_free=is_open))
    for freeze in freezes:
        named = f"freeze {freeze.name}" + (f" — {freeze.reason}" if freeze.reason else "")
        is_free = now is not None and not freeze.interval.holds(now)
        trace = passes(f"not frozen by {freeze.name}", freeze.span, named, is_free=is_free)
        # that there is no freeze is not worth a word among the reasons to deploy
        found.append(replace(trace, reasons=()) if is_free else trace)
    return (*found, _required(rule, facts)) if rule.requires else tuple(found)


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
        passed = Trace.known(claim, "requires " + " ".join(f"{name} ✓" for name in names), span, holds=True)
        return replace(Trace.all_of(claim, parts, span), reasons=lacking or passed.reasons)

    return facts.told(claim, JobsOf(), span, tell)


def own_job(job: Spanned[str]) -> Diagnostic:
    """What to say of a rule that requires the job in which the step runs."""
    what = f"job {shown(job.value)} runs this step, so it has never succeeded when the step asks"
    return Diagnostic("E702", what, job.span, "leave it out: what the job did before the step has succeeded")
