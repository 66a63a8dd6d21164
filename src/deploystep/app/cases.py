"""Tries the cases of a rule file, offline, by the same decision as a run."""

from collections.abc import Iterator

from deploystep.app.facts import resolve, stated_facts
from deploystep.app.report import Report, TriedCase
from deploystep.app.run import UNKNOWN_PROJECT
from deploystep.app.trigger import duplicates, planned
from deploystep.core.cases import Case
from deploystep.core.decide import Decision, Verdict
from deploystep.core.deploy import Outcome, trigger_specs
from deploystep.core.errors import RuleFileInvalid
from deploystep.core.rules import RuleSet
from deploystep.core.source import Diagnostic, Severity, SourceFile, Span, Spanned, in_order
from deploystep.core.times import read_now, zone
from deploystep.core.trace import Answer, Trace
from deploystep.rulefile.load import load


def try_cases(source: SourceFile, report: Report, *, with_coverage: bool) -> None:
    """Try every case; with coverage, note what no case shows as well. Raises RuleFileInvalid where one failed."""
    rules = load(source)
    report.source = rules.source
    decisions = tuple(_decision(case, rules) for case in rules.cases)
    report.tried = tuple(TriedCase(c, _failures(c, d, rules)) for c, d in zip(rules.cases, decisions, strict=True))
    report.gaps = tuple(_gaps(rules, decisions)) if with_coverage else ()
    failed = tuple(d for tried in report.tried for d in tried.failures)
    if failed:
        what = f"{sum(bool(t.failures) for t in report.tried)} of {len(report.tried)} cases failed"
        raise RuleFileInvalid("cases-failed", what, source=rules.source, diagnostics=in_order(failed))


def _decision(case: Case, rules: RuleSet) -> Decision:
    now = read_now(case.given.now.value, zone(rules.timezone)) if case.given.now else None
    return resolve(rules, case.given.build, now, stated_facts(case.given))


def _failures(case: Case, decision: Decision, rules: RuleSet) -> tuple[Diagnostic, ...]:
    unknown = tuple(dict.fromkeys(_unknown(case, decision)))
    if unknown:
        return unknown
    fire, held = case.expect.fire, case.expect.held
    return (
        *_differences(case, decision, fire, Verdict.FIRE, "fire"),
        *_differences(case, decision, held, Verdict.HELD, "be held"),
        *_parameters(case, decision, rules),
    )


def _unknown(case: Case, decision: Decision) -> Iterator[Diagnostic]:
    """A case states every fact that a rule consults."""
    for judgement in decision.judgements:
        if judgement.verdict is Verdict.UNKNOWN:
            for problem in judgement.trace.problems:
                asks = f"rule '{judgement.rule.name.value}' {problem.message.removeprefix('the rule ')}"
                is_user = problem.code == "U107"  # blank unless it is stated, as for a bot
                yield _failed("C101", case, asks, case.span, _STATES_USER if is_user else problem.hint)


_STATES_USER = "add user: anna to given, or use author: or a branch pattern instead of user:"


_BECAME = {Verdict.FIRE: "it fires", Verdict.HELD: "it is held", Verdict.NO: "it does not fire"}


def _differences(
    case: Case, decision: Decision, names: tuple[Spanned[str], ...] | None, verdict: Verdict, verb: str
) -> Iterator[Diagnostic]:
    if names is None:
        return
    spans = {name.value: name.span for name in names}
    for judgement in decision.judgements:
        name = judgement.rule.name.value
        if (name in spans) is not (judgement.verdict is verdict):
            should = "should" if name in spans else "should not"
            what = f"rule '{name}' {should} {verb}: {_BECAME[judgement.verdict]}"
            yield _failed("C102", case, what, spans.get(name, case.span), judgement.because)


def _parameters(case: Case, decision: Decision, rules: RuleSet) -> Iterator[Diagnostic]:
    build = case.given.build
    found = trigger_specs(rules, decision.deploys.firing, build)
    project = build.project or UNKNOWN_PROJECT
    entries = [planned(spec, spec.project or project, "", Outcome.PLANNED) for spec in found.specs]
    for problem in found.diagnostics or duplicates(entries, rules):
        yield _failed("C104", case, f"{problem.message} (line {problem.span.line})", case.span, problem.hint)
    sent = {spec.rule: spec.parameters for spec in found.specs}
    for rule, wanted in case.expect.parameters:
        for key, value in wanted.items():
            actual = sent.get(rule.value, {}).get(key)
            if actual != value or type(actual) is not type(value):
                what = f"rule '{rule.value}' sends {key} {_shown(actual)}, expected {_shown(value)}"
                yield _failed("C103", case, what, rule.span, "")


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


def _failed(code: str, case: Case, what: str, span: Span, hint: str) -> Diagnostic:
    return Diagnostic(code, f"case '{case.name}': {what}", span, hint, Severity.FAILED)


def _gaps(rules: RuleSet, decisions: tuple[Decision, ...]) -> Iterator[Diagnostic]:
    """What no case shows: a rule that fires or does not, an item that stops or holds one."""
    for index, rule in enumerate(rules.rules):
        verdicts = {d.judgements[index].verdict for d in decisions}
        name = rule.name.value
        if Verdict.FIRE not in verdicts:
            yield _gap(f"no case shows rule '{name}' firing", rule.name.span)
        if verdicts <= {Verdict.FIRE}:
            yield _gap(f"no case shows rule '{name}' not firing", rule.name.span)
    decisive = {span for d in decisions for j in d.judgements for span in _decisive(j.trace)}
    for what, span in _items(rules):
        if span not in decisive:
            yield _gap(f"no case shows {what} deciding", span)


def _gap(what: str, span: Span) -> Diagnostic:
    return Diagnostic("W701", what, span, "add a case", Severity.WARNING)


def _items(rules: RuleSet) -> Iterator[tuple[str, Span]]:
    """Every item of `never`, `unless` and `freezes`."""
    for guard in rules.never:
        yield f"never {guard.name}" if guard.name else "this item of never", guard.span
    for rule in rules.rules:
        for stop in rule.unless.alternatives if rule.unless else ():
            yield f"this unless of rule '{rule.name.value}'", stop.span
    for freeze in rules.freezes:
        yield f"freeze {freeze.name}", freeze.span


def _decisive(trace: Trace) -> Iterator[Span]:
    """Places that stop a rule which would fire without them."""
    against = [part for part in trace.parts if part.answer is Answer.NO]
    if len(against) != 1:  # of several, none decides alone
        return
    yield against[0].span
    for stopped in against[0].parts:  # the condition that holds, and its alternatives that do
        yield stopped.span
        yield from (part.span for part in stopped.parts if part.answer is Answer.YES)
