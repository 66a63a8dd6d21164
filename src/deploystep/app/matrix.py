"""Which rules fire for which build: the clone's branches and tags, the cases, and a build for each pattern of a rule.

Everything is judged as `run` judges it. What nobody can tell here, such as the files that a build of a pattern changes
or who pushes to a ref, stays unknown. What keeps a rule from firing is judged as if no variable were set.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from deploystep.app.facts import Answering, from_history, resolve, stated_facts
from deploystep.app.ports import History
from deploystep.core.build import Branch, BuildContext, ParallelNode, Tag, Variables, is_fork, request_of
from deploystep.core.decide import Decision, Judgement, Verdict, concerns, condition, holds_of, match
from deploystep.core.facts import Answer, Answered, Facts, JobsOf, Question, Trace, negate
from deploystep.core.frozen import Frozen, replace
from deploystep.core.rules import Alternative, EnvIs, FlagIs, Given, NameIs, Rule, RuleSet
from deploystep.core.source import Diagnostic
from deploystep.core.times import next_change, open_spans, read_now, zone
from deploystep.project.config import Config, would_run
from deploystep.project.wiring import Refs, refs_of, sent
from deploystep.rulefile.lint import told, witness

_MOST: Final = 20  # builds of each kind
_UNSTATED: Final = (None,) * 6  # facts of `Given` besides the build
WEEK: Final = timedelta(days=7)
_ByKind = Mapping[str, tuple[tuple[str, str], ...]]
_History = Callable[[str, str | None], History]
_Words = tuple[str, str, tuple[Trace, ...], str]  # a rule, where it is, claims, and what it would run
_Refs = tuple[tuple[Alternative, Refs], ...]


class Row(Frozen):
    """A build, and what becomes of each rule."""

    kind: str  # `branch`, `tag`, `case` or `pattern`
    name: str
    now: Decision  # of a case that states a time: at that time
    later: Decision | None  # after the next change, where that is another outcome


class Lane(Frozen):
    """A window or a freeze in the week that begins today: when it is open, or holds, and for which rules."""

    name: str
    line: int
    rules: tuple[str, ...]
    spans: tuple[tuple[datetime, datetime], ...]
    is_freeze: bool = False


class Matrix(Frozen):
    """The whole picture at one moment."""

    now: datetime
    change: datetime | None  # when a window or freeze next changes anything
    today: datetime  # a midnight, at which the week of the lanes begins
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    rules: tuple[_Words, ...]  # with claims of which each must hold
    never: tuple[_Words, ...]  # what stops every rule
    lanes: tuple[Lane, ...]


def words_of(judgement: Judgement) -> str:
    """Why an outcome is what it is; of an unknown one, what it hangs on."""
    if judgement.verdict is not Verdict.UNKNOWN:
        return judgement.because
    hangs = (f"line {p.span.line}: {p.message.removeprefix('the rule asks ')}" for p in judgement.trace.problems)
    return "; ".join(dict.fromkeys(hangs))


def make(rules: RuleSet, refs: _ByKind, history: _History, config: Config | None, now: datetime) -> Matrix:
    """Judge each build now and after the next change; `refs` are newest first, with their revisions."""
    windows = {window for rule in rules.rules if rule.during for window in rule.during.value}
    change = next_change(now, windows, [freeze.interval for freeze in rules.freezes])
    change = change.astimezone(now.tzinfo) if change else None
    of_rule = {rule.name.value: tuple(refs_of(rule, rules, config)) for rule in rules.rules}
    rows, counts = list[Row](), dict[str, int]()
    for kind, given, answer, name in _builds(rules, refs, history, of_rule):
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= _MOST:
            at = read_now(given.now.value, zone(rules.timezone)) if given.now else None
            moments = [moment for moment in ((at,) if at else (now, change)) if moment]
            judge = _judged_ref if kind in ("branch", "tag") else resolve
            first, *later = (judge(rules, given.build, moment, answer) for moment in moments)
            is_other = later and [j.verdict for j in later[0].judgements] != [j.verdict for j in first.judgements]
            rows.append(Row(kind, name, first, later[0] if is_other else None))
    left_out = tuple(f"{n - _MOST} more {kind} builds are left out" for kind, n in counts.items() if n > _MOST)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    words = tuple(_words(rule, rules, of_rule[rule.name.value], config) for rule in rules.rules)
    never = tuple(negate(condition("when", guard.when, _NOBODY)) for guard in rules.never)
    every = (("every rule", "", never, ""),) if never else ()
    return Matrix(now, change, today, tuple(rows), left_out, words, every, tuple(_lanes(rules, today)))


def _builds(
    rules: RuleSet, refs: _ByKind, history: _History, of_rule: Mapping[str, _Refs]
) -> Iterator[tuple[str, Given, Answering, str]]:
    """What is to be judged, each with its kind, what tells of it, and its name."""
    seen = set()
    for kind, make_ref in (("branch", Branch), ("tag", Tag)):
        for name, revision in refs[kind]:
            build = _pushed(make_ref(name), revision)
            given, past = Given(build, *_UNSTATED), history(revision, rules.default_branch)
            seen.add(told(build))
            yield kind, given, partial(_of_ref, stated_facts(given), build.branch, past), told(build)
    for case in rules.cases:
        yield "case", case.given, stated_facts(case.given), case.name
    for rule in rules.rules:
        for alternative in rule.when.alternatives:
            groups = [group for each, group in of_rule[rule.name.value] if each is alternative]
            for build in _witnesses(alternative, groups):
                variables = ", ".join(sorted(build.variables.keys()))
                name = told(build) + (" of a fork" if build.fork else "") + (f" with {variables}" if variables else "")
                if name not in seen:
                    yield "pattern", (given := Given(build, *_UNSTATED)), stated_facts(given), name
                seen.add(name)


def _of_ref(unknown: Answering, branch: str | None, past: History, question: Question) -> Answered:
    return unknown(question) if isinstance(question, JobsOf) else from_history(question, branch, past)


def _pushed(ref: Branch | Tag, revision: str = "") -> BuildContext:
    """The build that a push to a ref starts, as far as the ref tells."""
    nothing, request = Variables({}), request_of(ref)
    requests = (request,) if request else ()
    return BuildContext(None, ref, revision, ParallelNode(0, 1), requests, is_fork(nothing, ref), None, nothing)


_NOBODY: Final = Facts(_pushed(Branch("main")))  # claims are the same for every build


def _witnesses(alternative: Alternative, groups: list[Refs]) -> Iterator[BuildContext]:
    """Builds that may satisfy it: one for each of its patterns of branches and tags."""
    build = witness(alternative.matchers)
    if build is not None and any(isinstance(m, FlagIs) and m.word == "fork" and m.wanted for m in alternative.matchers):
        yield replace(build, ref=Branch("pull/1"), fork=True, pull_requests=(1,))
    elif build is not None:
        yield from (replace(build, ref=group[0]) for group in groups or [(build.ref,)])


def _words(rule: Rule, rules: RuleSet, refs: _Refs, config: Config | None) -> _Words:
    """A rule as a person reads it, and what its trigger would run, as far as this project's config tells."""
    parts = [condition("when", rule.when, _NOBODY)]
    parts += [negate(condition("unless", rule.unless, _NOBODY))] if rule.unless else []
    runs = "not known here"
    if rule.sends is None:
        runs = "nothing: the rule is for deploystep gate alone"
    elif config is not None and rule.sends.to is None and rule.sends.job is None:
        ref = next((group[0] for _, group in refs), Branch(rules.default_branch or "main"))
        runs = f"on {type(ref).__name__.lower()} {ref.name}: {would_run(config, ref, sent(rule.deploy, ref)).text}"
    where = f"line {rule.span.line}" + (f", environment {rule.environment.value}" if rule.environment else "")
    return rule.name.value, where, (*parts, *holds_of(rule, rules, _NOBODY)), runs


def _lanes(rules: RuleSet, start: datetime) -> Iterator[Lane]:
    during = [(rule.name.value, rule.during) for rule in rules.rules if rule.during]
    for window, line in {window: spanned.span.line for _, spanned in during for window in spanned.value}.items():
        names = tuple(name for name, spanned in during if window in spanned.value)
        yield Lane(window.text, line, names, tuple(open_spans(window, start, start + WEEK)))
    for freeze in rules.freezes:
        span = max(freeze.interval.begins, start), min(freeze.interval.ends, start + WEEK)
        names = tuple(rule.name.value for rule in rules.rules if concerns(freeze, rule))
        spans = (span,) if span[0] < span[1] else ()
        yield Lane(f"freeze {freeze.name}", freeze.span.line, names, spans, is_freeze=True)


def _judged_ref(rules: RuleSet, build: BuildContext, now: datetime, answer: Answering) -> Decision:
    """Judge a ref: a rule that would fire but for what the ref does not tell is unknown."""

    def judged(judgement: Judgement) -> Judgement:
        rule, trace = judgement.rule, judgement.trace
        for alternative in rule.when.alternatives if judgement.verdict is Verdict.NO else ():
            asked = [
                m for m in alternative.matchers
                if isinstance(m, EnvIs) or (isinstance(m, NameIs) and m.word == "user")
                or (isinstance(m, FlagIs) and m.word == "pull_request" and m.wanted)
            ]  # fmt: skip
            told = tuple(m for m in alternative.matchers if m not in asked)
            when = replace(rule.when, alternatives=(replace(alternative, matchers=told),))
            other = replace(rules, rules=(replace(rule, when=when),))
            if asked and resolve(other, build, now, answer).judgements[0].verdict is not Verdict.NO:
                claims = [(match(matcher, _NOBODY).claim, matcher.span) for matcher in asked]
                problems = tuple(Diagnostic("C101", f"the rule asks {claim}", span) for claim, span in claims)
                return Judgement(rule, Verdict.UNKNOWN, replace(trace, answer=Answer.UNKNOWN, problems=problems))
        return judgement

    return Decision(tuple(map(judged, resolve(rules, build, now, answer).judgements)))
