"""Laws of the decision: Kleene's logic, order, and that more reasons to stop never start anything."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from itertools import product
from types import MappingProxyType
from typing import Any

from builds import build, fork_environ
from hypothesis import given, settings
from hypothesis import strategies as st

from deploystep.core import facts as trace
from deploystep.core import rules as core
from deploystep.core.build import BuildContext
from deploystep.core.decide import Verdict, decide
from deploystep.core.facts import Answer, Answered, Facts, IsMergedInto, JobsOf, Known, Question, Unavailable
from deploystep.core.frozen import replace
from deploystep.core.patterns import Kind, Pattern, parse
from deploystep.core.source import Pos, SourceFile, Span, Spanned
from deploystep.core.times import Interval

HERE = Span(Pos(1, 1))
YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN
answers = st.sampled_from(list(Answer))

# Kleene's logic


@given(st.lists(answers, max_size=6))
def test_an_answer_is_what_every_way_of_learning_the_unknown_agrees_on(parts: list[Answer]) -> None:
    """Known means that no fact that is still missing could change it: of nothing all are yes, and none is."""
    learned = list(product(*[(YES, NO) if p is UNKNOWN else (p,) for p in parts]))
    for combine, plain in ((trace.kleene_and, all), (trace.kleene_or, any)):
        possible = {plain(a is YES for a in each) for each in learned}
        expected = UNKNOWN if len(possible) == 2 else YES if possible == {True} else NO
        assert combine(parts) is expected


# Rules, at random

BLANK, FORK = build(CIRCLE_USERNAME=None), BuildContext.from_environ(fork_environ())
UNCLEAR = build(CIRCLE_PR_USERNAME="mallory")  # whether it is of a fork
PULL = build(CIRCLE_BRANCH="feature/x", CIRCLE_PULL_REQUEST="https://github.com/acme/shop/pull/4")
BUILDS = (build(), PULL, BLANK, FORK, UNCLEAR)


def _patterns(texts: Sequence[str], kind: Kind) -> st.SearchStrategy[tuple[Spanned[Pattern], ...]]:
    one = st.sampled_from([Spanned(parse(t, kind), HERE) for t in texts])
    return st.lists(one, min_size=1, max_size=3).map(tuple)


matchers: st.SearchStrategy[core.Matcher] = st.one_of(
    _patterns(["main", "feature/*", "**", "pull/7", "x"], Kind.REF).map(lambda p: core.NameIs("branch", p, HERE)),
    _patterns(["anna", "mallory", "*"], Kind.NAME).map(lambda p: core.NameIs("user", p, HERE)),
    st.builds(core.FlagIs, st.sampled_from(["pull_request", "fork"]), st.booleans(), st.just(HERE)),
    st.lists(st.sampled_from("ab"), min_size=1, max_size=2, unique=True).map(
        lambda names: core.MergedInto(tuple(Spanned(n, HERE) for n in names), HERE)
    ),
)
conditions = st.lists(
    st.lists(matchers, min_size=1, max_size=3).map(lambda m: core.Alternative(tuple(m), HERE)), min_size=1, max_size=3
).map(lambda a: core.Condition(tuple(a), HERE))
deploy = core.Deploy(None, None, None, (), HERE)
rule_parts = st.tuples(conditions, st.none() | conditions, st.lists(st.sampled_from(["test", "lint"]), max_size=2))


def _rule_set(parts: list[Any], guards: list[core.Condition]) -> core.RuleSet:
    """Rules called r0, r1, …"""
    rules = [
        core.Rule(Spanned(f"r{n}", HERE), None, when, unless, deploy, HERE, None, tuple(Spanned(j, HERE) for j in jobs))
        for n, (when, unless, jobs) in enumerate(parts)
    ]
    return replace(EMPTY, rules=tuple(rules), never=tuple(core.Guard(None, each, None, HERE) for each in guards))


EMPTY = core.RuleSet(SourceFile("deploy.yml", ""), "UTC", "main", core.ApiVersion.V2_RUN, MappingProxyType({}), (), ())
rule_sets = st.builds(_rule_set, st.lists(rule_parts, min_size=1, max_size=3), st.lists(conditions, max_size=2))
LOST = Unavailable("U102", "it is not fetched", "fetch it")
PASSED, FAILED = Known({"test": "success", "lint": "success"}), Known({"test": "failed", "lint": "success"})
ancestries = st.sampled_from([Known(value=True), Known(value=False), LOST])
jobs = st.sampled_from([PASSED, FAILED, LOST])
learned = st.fixed_dictionaries({IsMergedInto("a"): ancestries, IsMergedInto("b"): ancestries, JobsOf(): jobs})
facts = st.builds(Facts, st.sampled_from(BUILDS), st.none(), learned)
law = settings(max_examples=80, deadline=None)


def verdicts(rules: core.RuleSet, known: Facts) -> dict[str, Verdict]:
    return {j.rule.name.value: j.verdict for j in decide(rules, known).judgements}


def turned(condition: core.Condition) -> core.Condition:
    """Each list in it the other way round."""

    def inside(matcher: core.Matcher) -> core.Matcher:
        if isinstance(matcher, core.NameIs):
            return replace(matcher, patterns=matcher.patterns[::-1])
        return replace(matcher, branches=matcher.branches[::-1]) if isinstance(matcher, core.MergedInto) else matcher

    turns = (replace(a, matchers=tuple(map(inside, a.matchers[::-1]))) for a in condition.alternatives[::-1])
    return replace(condition, alternatives=tuple(turns))


@law
@given(rule_sets, facts)
def test_order_never_matters(rules: core.RuleSet, known: Facts) -> None:
    def other(rule: core.Rule) -> core.Rule:
        unless = turned(rule.unless) if rule.unless else None
        return replace(rule, when=turned(rule.when), unless=unless, requires=rule.requires[::-1])

    never = tuple(replace(guard, when=turned(guard.when)) for guard in rules.never[::-1])
    others = replace(rules, rules=tuple(map(other, rules.rules[::-1])), never=never)
    assert verdicts(others, known) == verdicts(rules, known)


@law
@given(rule_sets, facts)
def test_a_rule_is_judged_on_its_own(rules: core.RuleSet, known: Facts) -> None:
    together = verdicts(rules, known)
    for rule in rules.rules:
        assert verdicts(replace(rules, rules=(rule,)), known) == {rule.name.value: together[rule.name.value]}


@law
@given(rule_sets, facts, st.integers(0, 4))
def test_freezes_only_remove(rules: core.RuleSet, known: Facts, halves: int) -> None:
    """Whatever fires with a freeze fires without it; whatever it takes away is held, or hangs on the time."""
    start = datetime(2026, 6, 16, tzinfo=timezone.utc)
    interval = Interval.between(start, start + timedelta(hours=1))
    freeze = core.Freeze("f", interval, frozenset(), frozenset(), None, HERE)
    at = Facts(known.build, start + timedelta(minutes=30 * halves), known.answers)
    before, after = decide(rules, at), decide(replace(rules, freezes=(*rules.freezes, freeze)), at)
    for old, new in zip(before.judgements, after.judgements, strict=True):
        if new.verdict is Verdict.FIRE:
            assert old.verdict is Verdict.FIRE
        elif old.verdict is Verdict.FIRE:
            assert new.verdict is Verdict.HELD


@law
@given(rule_sets, facts, conditions)
def test_unless_and_never_only_remove(rules: core.RuleSet, known: Facts, more: core.Condition) -> None:
    def with_unless(rule: core.Rule) -> core.Rule:
        had = rule.unless.alternatives if rule.unless else ()
        return replace(rule, unless=replace(more, alternatives=(*had, *more.alternatives)))

    before = verdicts(rules, known)
    guarded = verdicts(replace(rules, never=(*rules.never, core.Guard(None, more, None, HERE))), known)
    stopped = verdicts(replace(rules, rules=tuple(map(with_unless, rules.rules))), known)
    for name, verdict in before.items():
        assert verdict is Verdict.FIRE or Verdict.FIRE not in (guarded[name], stopped[name])
        assert verdict is not Verdict.NO or guarded[name] is stopped[name] is Verdict.NO


@law
@given(rule_sets, facts)
def test_what_is_not_known_never_decides(rules: core.RuleSet, known: Facts) -> None:
    """A rule that fires would fire, and one that does not would not, whatever the missing facts turn out to be."""
    decided = verdicts(rules, known)
    choices = [_learnable(question, answer) for question, answer in known.answers.items()]
    for learned in product(*choices):
        then = verdicts(rules, replace(known, answers=dict(zip(known.answers, learned, strict=True))))
        is_clear = known.build.user is not None and known.build.fork is not None
        assert not (is_clear and Verdict.UNKNOWN in then.values())
        for name, verdict in decided.items():
            if verdict is not Verdict.UNKNOWN:
                assert (then[name] is Verdict.FIRE) is (verdict is Verdict.FIRE)


UNTOLD = [(UNCLEAR, replace(UNCLEAR, fork=fork)) for fork in (True, False)]
UNTOLD += [(BLANK, replace(BLANK, user=user)) for user in ("anna", "mallory", "zoe")]


@law
@given(rule_sets, facts, st.sampled_from(UNTOLD))
def test_what_a_build_does_not_tell_never_decides(
    rules: core.RuleSet, known: Facts, builds: tuple[BuildContext, BuildContext]
) -> None:
    """What fires though nobody knows the user, or whether this is a fork's build, fires for each; no fork differs."""
    untold, then = (verdicts(rules, replace(known, build=each)) for each in builds)
    for name, verdict in untold.items():
        assert verdict is not Verdict.FIRE or then[name] is Verdict.FIRE
        if builds[0].fork is None and verdict is not Verdict.UNKNOWN:
            assert (then[name] is Verdict.FIRE) is (verdict is Verdict.FIRE)


def _learnable(question: Question, answer: Answered) -> list[Answered]:
    if isinstance(answer, Known):
        return [answer]
    if isinstance(question, JobsOf):
        return [PASSED, Known({"test": "failed", "lint": "failed"})]
    return [Known(value=True), Known(value=False)]


@law
@given(rule_sets, facts)
def test_nothing_fires_where_anything_is_unknown(rules: core.RuleSet, known: Facts) -> None:
    decision = decide(rules, known)
    by_verdict = [j.verdict for j in decision.judgements]
    if Verdict.UNKNOWN in by_verdict:
        assert decision.firing == ()
        assert decision.problems or decision.wants
    else:
        assert len(decision.firing) == by_verdict.count(Verdict.FIRE)


@law
@given(rule_sets, facts)
def test_a_question_that_was_not_asked_is_asked_before_anything_is_decided_by_it(
    rules: core.RuleSet, known: Facts
) -> None:
    """Asking one question after the other ends where knowing everything at once does."""
    asked: Facts = replace(known, answers={})
    for _ in range(len(known.answers) + 1):
        wanted = decide(rules, asked).wants
        if not wanted:
            break
        assert not wanted & asked.answers.keys(), "nothing is asked twice"
        asked = replace(asked, answers={**asked.answers, **{q: known.answers[q] for q in wanted}})
    at_once = verdicts(rules, known)
    for name, verdict in verdicts(rules, asked).items():
        assert verdict is at_once[name] or {verdict, at_once[name]} == {Verdict.NO, Verdict.HELD}


@law
@given(rule_sets, facts)
def test_a_fork_fires_only_what_names_forks(rules: core.RuleSet, known: Facts) -> None:
    plain = core.NameIs("branch", (Spanned(parse("**", Kind.REF), HERE),), HERE)

    def without_forks(condition: core.Condition) -> core.Condition:
        kept = (
            [m for m in a.matchers if not (isinstance(m, core.FlagIs) and m.word == "fork")]
            for a in condition.alternatives
        )
        return replace(condition, alternatives=tuple(core.Alternative((*matchers, plain), HERE) for matchers in kept))

    unnamed = replace(rules, rules=tuple(replace(r, when=without_forks(r.when)) for r in rules.rules))
    assert set(verdicts(unnamed, replace(known, build=FORK)).values()) == {Verdict.NO}
