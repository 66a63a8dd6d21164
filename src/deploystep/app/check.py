"""What is wrong or suspicious in a rule file, alone and beside the project; and its cases, tried offline."""

from collections.abc import Callable, Iterator
from typing import Final

from deploystep.app.facts import resolve, stated_facts
from deploystep.app.report import Report, TriedCase
from deploystep.app.run import UNKNOWN_PROJECT, duplicates, planned
from deploystep.core.decide import Decision, Verdict
from deploystep.core.deploy import Outcome, Specs, trigger_specs
from deploystep.core.errors import RuleFileInvalid
from deploystep.core.facts import Answer
from deploystep.core.rules import Case, RuleSet
from deploystep.core.source import Diagnostic, Severity, SourceFile, Span, in_order
from deploystep.core.times import read_now, zone
from deploystep.project.wiring import Project, compare
from deploystep.rulefile.lint import check_paths
from deploystep.rulefile.load import examine, load
from deploystep.rulefile.yaml_reader import Report as Found

_BECAME: Final = {Verdict.FIRE: "it fires", Verdict.HELD: "it is held", Verdict.NO: "it does not fire"}


def check(source: SourceFile, project: Callable[[], Project], report: Report, *, is_strict: bool) -> None:
    """Note every diagnostic. Raises RuleFileInvalid where one of them is an error, or with `is_strict` a warning."""
    report.source, report.is_strict = source, is_strict
    found = examine(source)
    diagnostics = list(found.diagnostics)
    if (rules := found.rules) is not None:
        beside, paths = project(), Found()
        if beside.files:
            check_paths(rules, beside.files, paths)
        diagnostics += [*compare(rules, beside), *paths.diagnostics]
        # without those that the file, or the rule in whose lines they are, does not want to see
        parts = (rules.targets.values(), rules.never, rules.freezes, rules.cases)
        owners = {0: rules.ignore} | {part.span.line: rules.ignore for each in parts for part in each}
        owners |= {rule.span.line: rules.ignore | rule.ignore for rule in rules.rules}
        diagnostics = [d for d in diagnostics if d.code not in owners[max(n for n in owners if n <= d.span.line)]]
    report.diagnostics = in_order(diagnostics)
    if counted := [d for d in report.diagnostics if d.is_error or is_strict]:
        noun = f"{'problem' if is_strict else 'error'}{'s' * (len(counted) > 1)}"
        message = f"{len(counted)} {noun} in {source.path}"
        raise RuleFileInvalid("rules-invalid", message, source=source, diagnostics=report.diagnostics)


def try_cases(source: SourceFile, report: Report, *, with_coverage: bool) -> None:
    """Try every case; with coverage, note what no case shows as well. Raises RuleFileInvalid where one failed."""
    rules = load(source)
    report.source = rules.source
    decisions: list[Decision] = []
    for case in rules.cases:
        now = read_now(case.given.now.value, zone(rules.timezone)) if case.given.now else None
        decisions.append(decision := resolve(rules, case.given.build, now, stated_facts(case.given)))
        failures = (
            Diagnostic(code, f"case '{case.name}': {what}", span, hint, Severity.FAILED)
            for code, what, span, hint in _failures(case, decision, rules)
        )
        report.tried += (TriedCase(case, tuple(failures)),)
    gaps = _gaps(rules, decisions) if with_coverage else ()
    report.gaps = tuple(Diagnostic("W701", what, span, "add a case", Severity.WARNING) for what, span in gaps)
    if failed := [tried.failures for tried in report.tried if tried.failures]:
        what = f"{len(failed)} of {len(report.tried)} cases failed"
        raise RuleFileInvalid("cases-failed", what, source=rules.source, diagnostics=in_order(sum(failed, ())))


def _failures(case: Case, decision: Decision, rules: RuleSet) -> Iterator[tuple[str, str, Span, str]]:
    """What is wrong with a case, as code, words, place and hint: facts that it does not state, else outcomes."""
    asked: dict[str, str] = {}
    for judgement in decision.judgements:
        for problem in judgement.trace.problems if judgement.verdict is Verdict.UNKNOWN else ():
            asks = f"rule '{judgement.rule.name.value}' {problem.message.removeprefix('the rule ')}"
            # a user is blank unless it is stated, as for a bot
            asked[asks] = "add user: anna to given, or use author:" if problem.code == "U107" else problem.hint
    if asked:
        yield from (("C101", asks, case.span, hint) for asks, hint in asked.items())
        return
    for names, verdict, verb in ((case.expect.fire, Verdict.FIRE, "fire"), (case.expect.held, Verdict.HELD, "be held")):
        spans = {name.value: name.span for name in names or ()}
        for judgement in decision.judgements if names is not None else ():
            name = judgement.rule.name.value
            if (name in spans) is not (judgement.verdict is verdict):
                should = "should" if name in spans else "should not"
                what = f"rule '{name}' {should} {verb}: {_BECAME[judgement.verdict]}"
                yield "C102", what, spans.get(name, case.span), judgement.because
    yield from _sent(case, trigger_specs(rules, decision.deploys.firing, case.given.build), rules)


def _sent(case: Case, found: Specs, rules: RuleSet) -> Iterator[tuple[str, str, Span, str]]:
    project = case.given.build.project or UNKNOWN_PROJECT
    entries = [planned(spec, spec.project or project, "", Outcome.PLANNED) for spec in found.specs]
    for problem in found.diagnostics or duplicates(entries, rules):
        yield "C104", f"{problem.message} (line {problem.span.line})", case.span, problem.hint
    sent = {spec.rule: spec.parameters for spec in found.specs}
    for rule, wanted in case.expect.parameters:
        for key, value in wanted.items():
            actual = sent.get(rule.value, {}).get(key)
            if actual != value or type(actual) is not type(value):
                what = f"rule '{rule.value}' sends {key} {_shown(actual)}, expected {_shown(value)}"
                yield "C103", what, rule.span, ""


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


def _gaps(rules: RuleSet, decisions: list[Decision]) -> Iterator[tuple[str, Span]]:
    """What no case shows: a rule that fires or does not, an item of `never`, `unless` and `freezes` that decides."""
    items = [(f"never {guard.name}" if guard.name else "this item of never", guard.span) for guard in rules.never]
    for index, rule in enumerate(rules.rules):
        verdicts = {decision.judgements[index].verdict for decision in decisions}
        if Verdict.FIRE not in verdicts:
            yield f"no case shows rule '{rule.name.value}' firing", rule.name.span
        if verdicts <= {Verdict.FIRE}:
            yield f"no case shows rule '{rule.name.value}' not firing", rule.name.span
        stops = rule.unless.alternatives if rule.unless else ()
        items += [(f"this unless of rule '{rule.name.value}'", stop.span) for stop in stops]
    items += [(f"freeze {freeze.name}", freeze.span) for freeze in rules.freezes]
    decisive = set[Span]()  # places that stop a rule which would fire without them
    for judgement in (judgement for decision in decisions for judgement in decision.judgements):
        against = [part for part in judgement.trace.parts if part.answer is Answer.NO]
        for alone in against if len(against) == 1 else ():  # of several, none decides
            alternatives = (part for each in alone.parts for part in each.parts if part.answer is Answer.YES)
            decisive |= {part.span for part in (alone, *alone.parts, *alternatives)}
    yield from ((f"no case shows {what} deciding", span) for what, span in items if span not in decisive)
