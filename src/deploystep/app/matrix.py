"""Which rules fire for which build: the clone's branches and tags, the cases, and a build for each pattern of a rule.

Everything is judged as `run` judges it. What nobody can tell here, such as the files that a build of a pattern would
change, stays unknown; so does who pushes to a ref, and with which pull request, where a rule is only for some. What
keeps a rule from firing is judged as if no variable were set.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from deploystep.app.facts import from_history, resolve, stated_facts
from deploystep.app.ports import History
from deploystep.core.build import Branch, BuildContext, ParallelNode, Tag, Variables, is_fork, request_of
from deploystep.core.cases import Given
from deploystep.core.decide import Decision, Judgement, Verdict, condition
from deploystep.core.facts import Answered, Facts, JobsOf, Question
from deploystep.core.frozen import dataclass, replace
from deploystep.core.holds import concerns, holds_of
from deploystep.core.matchers import match
from deploystep.core.patterns import Kind, parse
from deploystep.core.rules import Alternative, EnvIs, FlagIs, Matcher, NameIs, Rule, RuleSet
from deploystep.core.source import Diagnostic, Span, Spanned
from deploystep.core.times import next_change, open_spans, read_now, zone
from deploystep.core.trace import Answer, Trace, negate
from deploystep.project.refs import Refs, refs_of, sent
from deploystep.project.would_run import would_run
from deploystep.rulefile.rule_proofs import told, witness

if TYPE_CHECKING:
    from deploystep.project.config import Config

MOST: Final = 20  # builds of each kind
_MOST_LANES: Final = 40
_KINDS: Final = {"branch": "branches", "tag": "tags", "case": "cases", "pattern": "builds of patterns"}
WEEK: Final = timedelta(days=7)
_Answer = Callable[[Question], Answered]
_Build = tuple[str, Given, _Answer]
_Refs = tuple[tuple[Alternative, Refs], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A build, and what becomes of each rule: `now`, and `later`, after the next change, where that is another outcome.

    `kind` is `branch`, `tag`, `case` or `pattern`. `at` is the time of a case that states one: it has no `later`.
    """

    kind: str
    name: str
    build: BuildContext
    at: datetime | None
    now: Decision
    later: Decision | None


@dataclass(frozen=True, slots=True)
class Lane:
    """A window or a freeze in the week that begins today: when it is open, or holds, and for which rules."""

    name: str
    is_freeze: bool
    line: int
    rules: tuple[str, ...]
    spans: tuple[tuple[datetime, datetime], ...]


@dataclass(frozen=True, slots=True)
class RuleWords:
    """A rule as a person reads it: its conditions as claims of which each must hold, and what it would run."""

    rule: Rule
    conditions: tuple[Trace, ...]
    would_run: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """The whole picture at one moment.

    `change` is when a window or freeze next changes anything, `today` the midnight at which the week of the lanes
    begins. `never` are claims that stop every rule.
    """

    now: datetime
    change: datetime | None
    today: datetime
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    rules: tuple[RuleWords, ...]
    never: tuple[Trace, ...]
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class Project:
    """What the clone tells: branches and tags, newest first, with their revisions; a commit's facts; the config."""

    branches: tuple[tuple[str, str], ...]
    tags: tuple[tuple[str, str], ...]
    history: Callable[[str, str | None], History]
    config: "Config | None"


def words_of(judgement: Judgement) -> str:
    """Why an outcome is what it is; of an unknown one, what it hangs on."""
    if judgement.verdict is not Verdict.UNKNOWN:
        return judgement.because
    hangs = (f"line {p.span.line}: {p.message.removeprefix('the rule asks ')}" for p in judgement.trace.problems)
    return "; ".join(dict.fromkeys(hangs))


def make(rules: RuleSet, project: Project, now: datetime) -> Matrix:
    """The matrix of a rule file: each build is judged now and after the next change."""
    windows = {window for rule in rules.rules if rule.during for window in rule.during.value}
    change = next_change(now, windows, [freeze.interval for freeze in rules.freezes])
    local = change.astimezone(now.tzinfo) if change else None
    refs = {rule.name.value: tuple(refs_of(rule, rules, project.config)) for rule in rules.rules}
    rows: list[Row] = []
    left_out: list[str] = []
    for kind, builds in _builds(rules, project, refs).items():
        rows += [_row(kind, name, given, answer, rules, now, local) for name, given, answer in builds[:MOST]]
        if len(builds) > MOST:
            left_out.append(f"{len(builds) - MOST} more {_KINDS[kind]} are left out")
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    lanes = tuple(_lanes(rules, today))
    if len(lanes) > _MOST_LANES:
        left_out.append(f"{len(lanes) - _MOST_LANES} more windows and freezes are left out")
    never = tuple(condition("when", guard.when, _NOBODY) for guard in rules.never)
    words = tuple(_words(rule, rules, refs[rule.name.value], project.config) for rule in rules.rules)
    return Matrix(now, local, today, tuple(rows), tuple(left_out), words, never, lanes[:_MOST_LANES])


# --- builds


def _row(  # noqa: PLR0913, PLR0917 - a build, and what it is judged by
    kind: str, name: str, given: Given, answer: _Answer, rules: RuleSet, now: datetime, change: datetime | None
) -> Row:
    at = read_now(given.now.value, zone(rules.timezone)) if given.now else None
    judge = _judge_push if kind in ("branch", "tag") else resolve
    decision = judge(rules, given.build, at or now, answer)
    later = judge(rules, given.build, change, answer) if change and at is None else None
    if later and [j.verdict for j in later.judgements] == [j.verdict for j in decision.judgements]:
        later = None
    return Row(kind, name, given.build, at, decision, later)


def _judge_push(rules: RuleSet, build: BuildContext, now: datetime, answer: _Answer) -> Decision:
    """Judge a ref. A rule that another user, pull request or variable would make fire is unknown."""
    decision = resolve(rules, build, now, answer)

    def judged(judgement: Judgement) -> Judgement:
        rule = judgement.rule
        for alternative in rule.when.alternatives if judgement.verdict is Verdict.NO else ():
            open_ = tuple(m for m in alternative.matchers if _is_open(m))
            some = witness((*open_, _branch_like("*", alternative.span))) if open_ else None
            if some is None:
                continue
            other = replace(build, user=some.user, pull_requests=some.pull_requests, variables=some.variables)
            if resolve(replace(rules, rules=(rule,)), other, now, answer).judgements[0].verdict is not Verdict.NO:
                asks = [(m.span, match(m, Facts(build)).claim) for m in open_]
                problems = tuple(Diagnostic("C101", f"the rule asks {claim}", span) for span, claim in asks)
                unknown = replace(judgement.trace, answer=Answer.UNKNOWN, problems=problems)
                return Judgement(rule, Verdict.UNKNOWN, unknown)
        return judgement

    return Decision(tuple(map(judged, decision.judgements)))


def _is_open(matcher: Matcher) -> bool:
    """Whether a ref does not tell what the matcher asks for."""
    if isinstance(matcher, FlagIs):
        return matcher.word == "pull_request" and matcher.wanted
    return isinstance(matcher, EnvIs) or (isinstance(matcher, NameIs) and matcher.word == "user")


def _branch_like(text: str, span: Span) -> NameIs:
    return NameIs("branch", (Spanned(parse(text, Kind.REF), span),), span)


def _builds(rules: RuleSet, project: Project, refs: Mapping[str, _Refs]) -> Mapping[str, list[_Build]]:
    """What is to be judged, by kind."""
    branches = [_of_ref(Branch(name), revision, rules, project) for name, revision in project.branches]
    tags = [_of_ref(Tag(name), revision, rules, project) for name, revision in project.tags]
    known = {build[0] for build in (*branches[:MOST], *tags[:MOST])}
    patterns = {_named(build): build for build in _witnesses(rules, refs)}
    return {
        "branch": branches,
        "tag": tags,
        "case": [(case.name, case.given, stated_facts(case.given)) for case in rules.cases],
        "pattern": [
            (name, given, stated_facts(given))
            for name, build in patterns.items()
            if name not in known and (given := Given(build, None, None, None, None, None, None))
        ],
    }


def _of_ref(ref: Branch | Tag, revision: str, rules: RuleSet, project: Project) -> _Build:
    build = _push(ref, revision)
    given = Given(build, None, None, None, None, None, None)
    unknown, history = stated_facts(given), project.history(revision, rules.default_branch)

    def answer(question: Question) -> Answered:
        if isinstance(question, JobsOf):
            return unknown(question)
        return from_history(question, build.branch, history)

    return _named(build), given, answer


def _push(ref: Branch | Tag, revision: str = "") -> BuildContext:
    """The build that a push to a ref starts, as far as the ref tells."""
    nothing, request = Variables({}), request_of(ref)
    requests = (request,) if request else ()
    return BuildContext(None, ref, revision, ParallelNode(0, 1), requests, is_fork(nothing, ref), None, nothing)


def _named(build: BuildContext) -> str:
    named = ", ".join(sorted(build.variables.names()))
    return told(build) + (" of a fork" if build.fork else "") + (f" with {named}" if named else "")


def _witnesses(rules: RuleSet, refs: Mapping[str, _Refs]) -> Iterator[BuildContext]:
    """For each alternative of each rule builds that may satisfy it: one for each pattern of branches and tags."""
    for rule in rules.rules:
        for alternative in rule.when.alternatives:
            yield from _satisfying(alternative, [group for a, group in refs[rule.name.value] if a is alternative])


def _satisfying(alternative: Alternative, refs: list[Refs]) -> Iterator[BuildContext]:
    matchers = alternative.matchers
    is_of_fork = any(isinstance(m, FlagIs) and m.word == "fork" and m.wanted for m in matchers)
    build = witness((*matchers, _branch_like("pull/1", alternative.span))) if is_of_fork else None
    build = build or witness(matchers)
    if build is not None:
        build = replace(build, fork=is_of_fork, pull_requests=(1,) if is_of_fork else build.pull_requests)
        yield from (replace(build, ref=group[0]) for group in refs or [(build.ref,)])


# --- what does not depend on a build

_NOBODY: Final = Facts(_push(Branch("main")))  # claims are the same for every build


def _words(rule: Rule, rules: RuleSet, refs: _Refs, config: "Config | None") -> RuleWords:
    parts = [condition("when", rule.when, _NOBODY)]
    parts += [negate(condition("unless", rule.unless, _NOBODY))] if rule.unless else []
    return RuleWords(rule, (*parts, *holds_of(rule, rules, _NOBODY)), _started(rule, rules, refs, config))


def _started(rule: Rule, rules: RuleSet, refs: _Refs, config: "Config | None") -> str:
    """What the rule's trigger would run, as far as this project's config tells."""
    if rule.sends is None:
        return "nothing: the rule is for deploystep gate alone"
    to, job = rule.sends.to, rule.sends.job
    if to is not None:
        return f"in {to.project}, at {to.ref.name}"
    if job is not None:
        return f"job {job.value}"
    if config is None:
        return "not known: there is no config to read"
    ref = next((group[0] for _, group in refs), Branch(rules.default_branch or "main"))
    kind = "tag" if isinstance(ref, Tag) else "branch"
    return f"on {kind} {ref.name}: {would_run(config, ref, sent(rule.deploy, ref)).text}"


def _lanes(rules: RuleSet, start: datetime) -> Iterator[Lane]:
    end = start + WEEK
    windows = {window: r.during.span.line for r in rules.rules if r.during for window in r.during.value}
    for window, line in windows.items():
        held = tuple(r.name.value for r in rules.rules if r.during and window in r.during.value)
        spans = tuple(
            (a.astimezone(start.tzinfo), b.astimezone(start.tzinfo)) for a, b in open_spans(window, start, end)
        )
        yield Lane(window.text, is_freeze=False, line=line, rules=held, spans=spans)
    for freeze in rules.freezes:
        begins, ends = max(freeze.interval.begins, start), min(freeze.interval.ends, end)
        named = tuple(rule.name.value for rule in rules.rules if concerns(freeze, rule))
        spans = ((begins.astimezone(start.tzinfo), ends.astimezone(start.tzinfo)),) if begins < ends else ()
        yield Lane(f"freeze {freeze.name}", is_freeze=True, line=freeze.span.line, rules=named, spans=spans)
