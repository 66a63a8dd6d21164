"""Which rules fire for which build: the clone's branches and tags, the cases, and a build for each pattern of a rule.

Everything is judged as `run` judges it. What nobody can tell here, such as the files that a build of a pattern would
change, stays unknown; so does who pushes to a ref, and with which pull request, where a rule is only for some. What
keeps a rule from firing is judged as if no variable were set.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from deploystep.app.facts import from_history, resolve, stated_facts
from deploystep.app.ports import History
from deploystep.core.build import Branch, BuildContext, ParallelNode, Tag, Variables, is_fork, request_of
from deploystep.core.decide import Decision, Judgement, Verdict, condition
from deploystep.core.facts import Answer, Answered, Facts, JobsOf, Question, Trace, negate
from deploystep.core.frozen import dataclass, replace
from deploystep.core.matchers import concerns, holds_of, match
from deploystep.core.patterns import Kind, parse
from deploystep.core.rules import Alternative, EnvIs, FlagIs, Given, Matcher, NameIs, Rule, RuleSet
from deploystep.core.source import Diagnostic, Span, Spanned
from deploystep.core.times import next_change, open_spans, read_now, zone
from deploystep.project.config import would_run
from deploystep.project.wiring import Refs, refs_of, sent
from deploystep.rulefile.lint import told, witness

if TYPE_CHECKING:
    from deploystep.project.config import Config

MOST: Final = 20  # builds of each kind
_KINDS: Final = {"branch": "branches", "tag": "tags", "case": "cases", "pattern": "builds of patterns"}
WEEK: Final = timedelta(days=7)
_Answer = Callable[[Question], Answered]
_Build = tuple[str, Given, _Answer]
_Span = tuple[datetime, datetime]
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
    spans: tuple[_Span, ...]


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
    change = change.astimezone(now.tzinfo) if change else None
    refs = {rule.name.value: tuple(refs_of(rule, rules, project.config)) for rule in rules.rules}
    rows: list[Row] = []
    left_out: list[str] = []
    for kind, builds in _builds(rules, project, refs).items():
        rows += [_row(kind, *build, rules, (now, change)) for build in builds[:MOST]]
        if len(builds) > MOST:
            left_out.append(f"{len(builds) - MOST} more {_KINDS[kind]} are left out")
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    never = tuple(condition("when", guard.when, _NOBODY) for guard in rules.never)
    words = tuple(_words(rule, rules, refs[rule.name.value], project.config) for rule in rules.rules)
    return Matrix(now, change, today, tuple(rows), tuple(left_out), words, never, tuple(_lanes(rules, today)))


# --- builds


def _row(  # noqa: PLR0913, PLR0917 - a build, and what it is judged by
    kind: str, name: str, given: Given, answer: _Answer, rules: RuleSet, moments: tuple[datetime, datetime | None]
) -> Row:
    at = read_now(given.now.value, zone(rules.timezone)) if given.now else None
    judge = _judge_push if kind in ("branch", "tag") else resolve
    now, *later = (judge(rules, given.build, moment, answer) for moment in ([at] if at else moments) if moment)
    is_other = later and [j.verdict for j in later[0].judgements] != [j.verdict for j in now.judgements]
    return Row(kind, name, given.build, at, now, later[0] if is_other else None)


def _judge_push(rules: RuleSet, build: BuildContext, now: datetime, answer: _Answer) -> Decision:
    """Judge a ref. A rule that another user, pull request or variable would make fire is unknown."""

    def judged(judgement: Judgement) -> Judgement:
        rule = judgement.rule
        for alternative in rule.when.alternatives if judgement.verdict is Verdict.NO else ():
            asks = tuple(m for m in alternative.matchers if _is_open(m))
            some = witness((*asks, _branch_like("*", alternative.span))) if asks else None
            if some is None:
                continue
            other = replace(build, user=some.user, pull_requests=some.pull_requests, variables=some.variables)
            if resolve(replace(rules, rules=(rule,)), other, now, answer).judgements[0].verdict is not Verdict.NO:
                claims = [(match(m, Facts(build)).claim, m.span) for m in asks]
                problems = tuple(Diagnostic("C101", f"the rule asks {claim}", span) for claim, span in claims)
                unknown = replace(judgement.trace, answer=Answer.UNKNOWN, problems=problems)
                return Judgement(rule, Verdict.UNKNOWN, unknown)
        return judgement

    return Decision(tuple(map(judged, resolve(rules, build, now, answer).judgements)))


def _is_open(matcher: Matcher) -> bool:
    """Whether a ref does not tell what the matcher asks for."""
    if isinstance(matcher, FlagIs):
        return matcher.word == "pull_request" and matcher.wanted
    return isinstance(matcher, EnvIs) or (isinstance(matcher, NameIs) and matcher.word == "user")


def _branch_like(text: str, span: Span) -> NameIs:
    return NameIs("branch", (Spanned(parse(text, Kind.REF), span),), span)


def _builds(rules: RuleSet, project: Project, refs: Mapping[str, _Refs]) -> Mapping[str, list[_Build]]:
    """What is to be judged, by kind."""
    found = {
        "branch": [_of_ref(Branch(name), revision, rules, project) for name, revision in project.branches],
        "tag": [_of_ref(Tag(name), revision, rules, project) for name, revision in project.tags],
        "case": [(case.name, case.given, stated_facts(case.given)) for case in rules.cases],
    }
    known = {build[0] for kind in ("branch", "tag") for build in found[kind][:MOST]}
    patterns = {_named(build): _nothing_but(build) for build in _witnesses(rules, refs)}
    made = [(name, given, stated_facts(given)) for name, given in patterns.items() if name not in known]
    return {**found, "pattern": made}


def _of_ref(ref: Branch | Tag, revision: str, rules: RuleSet, project: Project) -> _Build:
    build = _push(ref, revision)
    given, history = _nothing_but(build), project.history(revision, rules.default_branch)
    unknown = stated_facts(given)

    def answer(question: Question) -> Answered:
        return unknown(question) if isinstance(question, JobsOf) else from_history(question, build.branch, history)

    return _named(build), given, answer


def _push(ref: Branch | Tag, revision: str = "") -> BuildContext:
    """The build that a push to a ref starts, as far as the ref tells."""
    nothing, request = Variables({}), request_of(ref)
    requests = (request,) if request else ()
    return BuildContext(None, ref, revision, ParallelNode(0, 1), requests, is_fork(nothing, ref), None, nothing)


def _nothing_but(build: BuildContext) -> Given:
    return Given(build, None, None, None, None, None, None)


def _named(build: BuildContext) -> str:
    named = ", ".join(sorted(build.variables.names()))
    return told(build) + (" of a fork" if build.fork else "") + (f" with {named}" if named else "")


def _witnesses(rules: RuleSet, refs: Mapping[str, _Refs]) -> Iterator[BuildContext]:
    """For each alternative of each rule builds that may satisfy it: one for each pattern of branches and tags."""
    for rule in rules.rules:
        for alternative in rule.when.alternatives:
            is_fork = any(isinstance(m, FlagIs) and m.word == "fork" and m.wanted for m in alternative.matchers)
            fork = (_branch_like("pull/1", alternative.span),) if is_fork else ()
            build = witness((*alternative.matchers, *fork))
            if build is not None:
                build = replace(build, fork=is_fork, pull_requests=(1,) if is_fork else build.pull_requests)
                groups = [group for a, group in refs[rule.name.value] if a is alternative]
                yield from (replace(build, ref=group[0]) for group in groups or [(build.ref,)])


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
    if rule.sends.to is not None:
        return f"in {rule.sends.to.project}, at {rule.sends.to.ref.name}"
    if rule.sends.job is not None:
        return f"job {rule.sends.job.value}"
    if config is None:
        return "not known: there is no config to read"
    ref = next((group[0] for _, group in refs), Branch(rules.default_branch or "main"))
    kind = "tag" if isinstance(ref, Tag) else "branch"
    return f"on {kind} {ref.name}: {would_run(config, ref, sent(rule.deploy, ref)).text}"


def _lanes(rules: RuleSet, start: datetime) -> Iterator[Lane]:
    during = [(rule.name.value, rule.during) for rule in rules.rules if rule.during]
    for window, line in {window: spanned.span.line for _, spanned in during for window in spanned.value}.items():
        names = tuple(name for name, spanned in during if window in spanned.value)
        yield _lane(window.text, names, line, start, open_spans(window, start, start + WEEK))
    for freeze in rules.freezes:
        span = max(freeze.interval.begins, start), min(freeze.interval.ends, start + WEEK)
        names = tuple(rule.name.value for rule in rules.rules if concerns(freeze, rule))
        lane = _lane(f"freeze {freeze.name}", names, freeze.span.line, start, [span] if span[0] < span[1] else [])
        yield replace(lane, is_freeze=True)


def _lane(name: str, rules: tuple[str, ...], line: int, start: datetime, spans: Iterable[_Span]) -> Lane:
    local = tuple((begins.astimezone(start.tzinfo), ends.astimezone(start.tzinfo)) for begins, ends in spans)
    return Lane(name, is_freeze=False, line=line, rules=rules, spans=local)
