"""Tries the cases of a rule file, offline, by the same decision as a run."""

from collections.abc import Iterator

from deploystep.app.facts import resolve, stated_facts
from deploystep.app.report import Report, TriedCase
from deploystep.app.run import UNKNOWN_PROJECT, duplicates, planned
from deploystep.core.decide import Decision, Verdict
from deploystep.core.deploy import Outcome, trigger_specs
from deploystep.core.errors import RuleFileInvalid
from deploystep.core.facts import Answer, Trace
from deploystep.core.rules import Case, RuleSet
from deploystep.core.source import Diagnostic, Severity, SourceFile, Span, in_order
from deploystep.core.times import read_now, zone
from deploystep.rulefile.load import load

_BECAME = {Verdict.FIRE: "it fires", Verdict.HELD: "it is held", Verdict.NO: "it does not fire"}
_STATES_USER = "add user: anna to given, or use author: or a branch pattern instead of user:"


def try_cases(source: SourceFile, report: Report, *, with_coverage: bool) -> None:
    """Try every case; with coverage, note what no case shows as well. Raises RuleFileInvalid where one failed."""
    rules = load(source)
    report.source = rules.source
    decisions = [_decision(case, rules) for case in rules.cases]
    failures = [tuple(_failures(case, made, rules)) for case, made in zip(rules.cases, decisions, strict=True)]
    report.tried = tuple(map(TriedCase, rules.cases, failures))
    if with_coverage:
        gaps = _gaps(rules, decisions)
        report.gaps = tuple(Diagnostic("W701", what, span, "add a case", Severity.WARNING) for what, span in gaps)
    failed = tuple(diagnostic for of_case in failures for diagnostic in of_case)
    if failed:
        what = f"{sum(map(bool, failures))} of {len(failures)} cases failed"
        raise RuleFileInvalid("cases-failed", what, source=rules.source, diagnostics=in_order(failed))


def _decision(case: Case, rules: RuleSet) -> Decision:
    now = read_now(case.given.now.value, zone(rules.timezone)) if case.given.now else None
    return resolve(rules, case.given.build, now, stated_facts(case.given))


def _failures(case: Case, decision: Decision, rules: RuleSet) -> Iterator[Diagnostic]:
    """What is not as the case expects; else every fact that a rule consults and the case does not state."""
    asked: dict[str, str] = {}
    for judgement in decision.judgements:
        for problem in judgement.trace.problems if judgement.verdict is Verdict.UNKNOWN else ():
            asks = f"rule '{judgement.rule.name.value}' {problem.message.removeprefix('the rule ')}"
            is_user = problem.code == "U107"  # blank unless it is stated, as for a bot
            asked[asks] = _STATES_USER if is_user else problem.hint
    yield from (_failed("C101", case, asks, case.span, hint) for asks, hint in asked.items())
    if asked:
        return
    expect = case.expect
    for names, verdict, verb in ((expect.fire, Verdict.FIRE, "fire"), (expect.held, Verdict.HELD, "be held")):
        spans = {name.value: name.span for name in names or ()}
        for judgement in decision.judgements if names is not None else ():
            name = judgement.rule.name.value
            if (name in spans) is not (judgement.verdict is verdict):
                should = "should" if name in spans else "should not"
                what = f"rule '{name}' {should} {verb}: {_BECAME[judgement.verdict]}"
                yield _failed("C102", case, what, spans.get(name, case.span), judgement.because)
    yield from _parameters(case, decision, rules)


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


def _gaps(rules: RuleSet, decisions: list[Decision]) -> Iterator[tuple[str, Span]]:
    """What no case shows: a rule that fires or does not, an item of `never`, `unless` and `freezes` that decides."""
    for index, rule in enumerate(rules.rules):
        verdicts = {d.judgements[index].verdict for d in decisions}
        if Verdict.FIRE not in verdicts:
            yield f"no case shows rule '{rule.name.value}' firing", rule.name.span
        if verdicts <= {Verdict.FIRE}:
            yield f"no case shows rule '{rule.name.value}' not firing", rule.name.span
    items = [(f"never {guard.name}" if guard.name else "this item of never", guard.span) for guard in rules.never]
    for rule in rules.rules:
        stops = rule.unless.alternatives if rule.unless else ()
        items += [(f"this unless of rule '{rule.name.value}'", stop.span) for stop in stops]
    items += [(f"freeze {freeze.name}", freeze.span) for freeze in rules.freezes]
    decisive = {span for d in decisions for j in d.judgements for span in _decisive(j.trace)}
    yield from ((f"no case shows {what} deciding", span) for what, span in items if span not in decisive)


def _decisive(trace: Trace) -> Iterator[Span]:
    """Places that stop a rule which would fire without them."""
    against = [part for part in trace.parts if part.answer is Answer.NO]
    if len(against) != 1:  # of several, none decides alone
        return
    yield against[0].span
    for stopped in against[0].parts:  # the condition that holds, and its alternatives that do
        yield stopped.span
        yield from (part.span for part in stopped.parts if part.answer is Answer.YES)
