"""What people read: the decision with its reasons, diagnostics with the line they are about, errors with next steps."""

import re
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING, Final

from deploystep.app.report import Gated, GateOutcome, Report, TriggerEntry
from deploystep.core.build import BuildContext, Tag
from deploystep.core.decide import Decision, Verdict
from deploystep.core.deploy import Outcome
from deploystep.core.errors import ExitCode
from deploystep.core.frozen import Frozen
from deploystep.core.nodes import NOT_EXECUTED
from deploystep.core.source import Diagnostic, SourceFile, visible

if TYPE_CHECKING:
    from deploystep.app.init import Start
    from deploystep.migrate.plan import Change, Migration

_COLOURS: Final = {"fire": "32", "held": "33", "no": "2", "unknown": "35", "error": "31;1", "ok": "32", "warning": "33"}
_MOST: Final = 100  # diagnostics that are shown
_WINDOW: Final = 160  # characters of a source line
_LATER: Final = " (nothing deploys it later by itself: rerun this job when nothing holds it any more)"
_ENDING: Final = {Outcome.PLANNED: "not sent: this is a dry run", Outcome.UNCERTAIN: "it may have been triggered"}
_FOR_GATE: Final = "nothing is sent: what fires is for deploystep gate alone"


class Style(Frozen):
    """How to write: with colour or without, diagnostics with the source line (`is_long`) or a line each."""

    is_coloured: bool = False
    is_long: bool = False

    def paint(self, text: str, kind: str) -> str:
        """Decorate a word; without colour nothing is lost."""
        return f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m" if self.is_coloured else text


def result(report: Report, style: Style) -> str:
    """The result for stdout; empty where there is none to tell."""
    lines = _checked(report, style) if report.command == "check" else []
    lines += _started(report.start, report, style) if report.start is not None else []
    for each in report.findings:
        word = style.paint(f"{each.grade:<7}", each.grade)
        lines.append(f"{word}  {each.name:<11}  {visible(' — '.join(filter(None, (each.text, each.cure))))}")
    if report.command == "test" and report.decision is None and (report.tried or report.error is None):
        lines += _tested(report, style)
    lines += _migrated(report.migration, report) if report.migration is not None else []
    if report.build is not None and report.decision is not None:
        lines += _judged(report, report.build, report.decision, style)
    if report.skipped:
        lines.append(report.skipped + NOT_EXECUTED * bool(report.gated and report.gated.command))
    elif report.gated is not None:
        lines += of_gate(report.gated) if report.exit.is_result else []
    elif report.decision is not None and not report.triggers and report.exit is ExitCode.OK:
        held = [j.rule.name.value for j in report.decision.deploys.judgements if j.verdict is Verdict.HELD]
        fires = any(j.verdict is Verdict.FIRE for j in report.decision.judgements)
        nothing = _FOR_GATE if fires else "no rule fires: there is nothing to deploy"
        lines.append(f"nothing is deployed; held: {', '.join(held)}{_LATER}" if held else nothing)
    return "\n".join(lines)


def of_gate(gated: Gated) -> list[str]:
    """What becomes of the command, and in a dry run what it would be given."""
    outcome, program = gated.outcome, visible(gated.program)
    not_executed = f": {program} is not executed" if program else ""
    if outcome is GateOutcome.DUE:
        return [f"due: executing {program}" if program else "due"]
    if outcome is GateOutcome.PLANNED:
        return [*(visible(f"  {k}={v}") for k, v in gated.variables.items()), f"due{not_executed}: this is a dry run"]
    if outcome is GateOutcome.SUPERSEDED:
        return [f"superseded{not_executed}: {visible(gated.because)}"]
    held = outcome is GateOutcome.HELD
    return [f"rule {gated.rule} {'is held' if held else 'does not fire'}{not_executed}{_LATER if held else ''}"]


def moment(at: datetime) -> str:
    """A moment for people, with its zone."""
    return f"{at:%Y-%m-%d %H:%M} {getattr(at.tzinfo, 'key', None) or at.tzname()}"


def _judged(report: Report, build: BuildContext, decision: Decision, style: Style) -> list[str]:
    """What was judged; each rule with its verdict and why, and what it sends."""
    ref = f"{'tag' if isinstance(build.ref, Tag) else 'branch'} {build.ref.name} @ {build.revision[:7]}"
    now, user = moment(report.now) if report.now else "", f"user {build.user}" if build.user else ""
    lines = [visible(" · ".join(filter(None, (report.source.path if report.source else "", ref, now, user))))]
    width = max(len(j.rule.name.value) for j in decision.judgements)
    for judgement in decision.judgements:
        verdict, name = judgement.verdict.value, judgement.rule.name.value
        alone = "" if judgement.rule.sends or report.gated else "gate only: "
        lines.append(style.paint(f"{verdict:<5}", verdict) + f" {name:<{width}}  {alone}{visible(judgement.because)}")
        if judgement.verdict is Verdict.FIRE:
            triggers = [t for t in report.triggers if t.spec.rule == name]
            lines += [f"      {' ' * width}  {line}" for t in triggers for line in sent(t)]
    return lines


def sent(trigger: TriggerEntry) -> list[str]:
    """One trigger, some lines: what is or was sent, what it would run, what came of it."""
    spec, created, word = trigger.spec, trigger.created, trigger.outcome.value
    named = f"job {spec.job}" if spec.job else f"workflow {spec.workflow}" if spec.workflow else ""
    parameters = ", ".join(f"{k}: {_written(v)}" for k, v in spec.parameters.items())
    parameters = f"{{{parameters}}}" if parameters else ""
    told = (f"{'tag' if isinstance(spec.ref, Tag) else 'branch'} {spec.ref.name}", named, parameters)
    lines = [f"→ {trigger.request.method} {trigger.url}", f"  {' · '.join(filter(None, told))}"]
    lines += [f"  would run: {trigger.would_run.text}"] if trigger.would_run else []
    lines.append(f"= {word}: {created.url}" if created else f"= {_ENDING.get(trigger.outcome, word)}")
    lines += [f"  {trigger.because}"] if trigger.because else []
    lines += [f"  revision {created.revision}"] if created and created.revision else []
    lines += [f"  workflow {w.name}: {w.status}" for w in trigger.workflows]
    return [visible(line) for line in lines]


def _written(value: object) -> str:
    """A value as YAML reads it: a text that could be read otherwise is quoted."""
    if isinstance(value, int):
        return str(value).lower()
    other = r"(?i:true|false|yes|no|on|off|null|0x[0-9a-f]+|[-+]?[0-9_]*\.?[0-9_]*(e[-+]?[0-9]+)?)"
    is_plain = isinstance(value, str) and re.fullmatch(rf"(?!{other}\Z)[\w./@+-]([\w./@+ -]|:(?! ))*(?<![ :])", value)
    if is_plain:
        return str(value)
    import json  # noqa: PLC0415 - few values need quotes

    return json.dumps(value, ensure_ascii=False)


def failure(report: Report, style: Style) -> str:
    """What went wrong, for stderr; empty where nothing did."""
    error = report.error
    if error is None:
        return interruption(report) if not report.exit.is_result else ""
    lines = []
    if error.source is not None and report.command not in ("check", "init") and not report.tried:
        lines += diagnostics(error.diagnostics, error.source, style)
    if error.code != "rules-unreadable":
        lines.append(f"{style.paint('error', 'error')}[{error.code}]: {visible(error.message)}")
        lines += [f"  - {visible(p)}" for p in error.problems] + [f"  hint: {visible(hint)}" for hint in error.hints]
    return "\n".join([*lines, f"exit {int(report.exit)} ({report.exit.label}){_last_word(report)}"])


def interruption(report: Report) -> str:
    """The line that says that a signal ended it, and whether anything had been sent."""
    return f"{report.exit.label}{_last_word(report)}"


def _last_word(report: Report) -> str:
    """Whether anything was sent or executed: the one thing to know before running again."""
    if report.command == "gate":
        return ": the command was not executed" if report.gated and report.gated.command else ": nothing was executed"
    if report.command != "run":
        return ""
    told = []
    for trigger in report.triggers:
        rule, created = f"rule {trigger.spec.rule}", trigger.created
        if created and trigger.outcome is Outcome.ALREADY_TRIGGERED:
            told.append(f"{rule} had been triggered before: {created.url}")
        elif created:
            fails = ", and does not run as it should" if trigger.outcome is Outcome.NOTHING_RUNS else ""
            words = [f"it is of another commit, {trigger.other_commit[:7]}"] if trigger.other_commit else []
            done, rest = (
                [n for n, is_done in (trigger.cancelled or {}).items() if is_done is w] for w in (True, False)
            )
            words += [f"CircleCI was told to cancel {', '.join(done)}"] if done else []
            words += [f"NOT cancelled: {', '.join(rest)}"] if rest else []
            words += [] if done or rest else ["none of its workflows was cancelled"]
            cancelled = "" if trigger.cancelled is None else f" ({'; '.join(words)})"
            told.append(f"{rule} was triggered{fails}: {created.url}{cancelled}")
        if trigger.outcome is Outcome.UNCERTAIN:
            told.append(f"the trigger of {rule} may have been sent, and whether it was accepted is not known")
    return ": " + visible("; ".join(told) or "nothing was triggered")


def _checked(report: Report, style: Style) -> list[str]:
    if report.source is None:
        return []
    errors = sum(d.is_error for d in report.diagnostics)
    counted = f"{_count(errors, 'error')}, {_count(len(report.diagnostics) - errors, 'warning')}"
    nothing = f"{report.source.path}: nothing wrong found"
    return [*diagnostics(report.diagnostics, report.source, style), counted if report.diagnostics else nothing]


def _started(start: "Start", report: Report, style: Style) -> list[str]:
    """What `init` wrote and what there is to do, before what check and plan say of it."""
    path = report.source.path if report.source else ""
    lines = [f"{path} is written: a rule for {visible(start.about)}, and its cases", "", start.heading]
    lines += [start.lines.rstrip(), ""] if start.lines else [""]
    lines += [f"note: {visible(remark)}" for remark in start.remarks] + ([""] if start.remarks else [])
    with_lines = f", with these lines in {start.config.path}" if start.config and start.lines else ""
    lines += [f"$ deploystep check{start.options}{with_lines}", *_checked(report, style), ""]
    ref = f"--branch {start.branch}" if start.branch else f"--tag {start.tag}"
    missing = "" if report.decision else "  needs a commit: commit .circleci first"
    return [*lines, f"$ deploystep plan{start.options} {visible(ref)}{missing}"]


def _migrated(found: "Migration", report: Report) -> list[str]:
    lines = []
    for finding in found.findings:
        lines.append(visible(f"{finding.path}:{finding.line}:{finding.column}: {finding.what}: {finding.until}"))
        lines += [f"    {visible(line.expandtabs())}" for line in finding.advice]
    lines += [line for change in found.changes for line in diff_of(change).splitlines()] if report.shows_diff else []
    kinds = [f.kind for f in found.findings if f.is_alarm]
    if kinds:
        by_hand = sum(f.is_alarm and not f.is_written for f in found.findings)
        numbers = {"deploy step": kinds.count("deploy-step"), "call": kinds.count("call")}
        ending = " and ".join(_count(number, word) for word, number in numbers.items() if number)
        lines.append(f"{ending} to migrate" + (f", {by_hand} by hand" if by_hand else ""))
    elif not any(problem.why.is_error for problem in found.problems):
        lines.append(f"nothing that stops working is in what was read: {visible(', '.join(found.read))}")
        lines.append("not read: what images, orbs of others and compiled programs do")
    files = ", ".join(change.path for change in found.changes)
    if files and report.has_written:
        lines += [f"written: {files}; next:", *(f"  {line}" for line in found.next)]
    elif files:
        lines.append(f"--write changes {files}; --diff shows how")
    return lines


def diff_of(change: "Change") -> str:
    """What changes in a file, as a unified diff."""
    from difflib import unified_diff  # noqa: PLC0415 - for who migrates

    names = ("/dev/null" if change.old is None else f"a/{change.path}", f"b/{change.path}")
    lines = unified_diff((change.old or "").splitlines(keepends=True), change.new.splitlines(keepends=True), *names)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _tested(report: Report, style: Style) -> list[str]:
    """A line for each case, and below it what became of each rule that is not as it should be."""
    lines = [] if report.tried else ["there are no cases: write some under cases:"]
    for tried in report.tried:
        lines.append((style.paint("FAIL", "error") + "  " if tried.failures else "ok    ") + visible(tried.case.name))
        lines += [f"      {short(failure, report.source, style)}" for failure in tried.failures if report.source]
    lines += [short(gap, report.source, style) for gap in report.gaps] if report.source else []
    failed = sum(bool(t.failures) for t in report.tried)
    return [*lines, f"{len(report.tried) - failed} passed, {failed} failed"]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def diagnostics(found: tuple[Diagnostic, ...], source: SourceFile, style: Style) -> list[str]:
    """Diagnostics, errors before warnings where there are many: a line each, or on a terminal with the source line."""
    shown = sorted(found, key=lambda d: not d.is_error)[:_MOST] if len(found) > _MOST else found
    lines = [line for d in shown for line in (_long(d, source, style) if style.is_long else [short(d, source, style)])]
    return lines if len(found) <= _MOST else [*lines, f"and {len(found) - _MOST} more"]


def short(diagnostic: Diagnostic, source: SourceFile, style: Style) -> str:
    """A diagnostic on one line."""
    where = f"{visible(source.path)}:{diagnostic.span.start.line}:{diagnostic.span.start.column}"
    kind = style.paint(diagnostic.severity.value, diagnostic.severity.value)
    hint = f" — {diagnostic.hint}" if diagnostic.hint else ""
    return f"{where}: {kind}[{diagnostic.code}]: {visible(diagnostic.message + hint)}"


def _long(diagnostic: Diagnostic, source: SourceFile, style: Style) -> list[str]:
    """A diagnostic with a window of its line, and marks below what it is about."""
    start, kind = diagnostic.span.start, diagnostic.severity.value
    begin = max(0, start.column - 1 - _WINDOW // 4)
    line, at = source.line(start.line).replace("\t", " ")[begin : begin + _WINDOW], start.column - 1 - begin
    before, marked = columns(visible(line[:at])), columns(visible(line[at : at + diagnostic.span.width]))
    number, margin, marks = str(start.line), " " * len(str(start.line)), style.paint("^" * (marked or 1), kind)
    return [
        f"{style.paint(kind, kind)}[{diagnostic.code}]: {visible(diagnostic.message)}",
        f"{margin}--> {visible(source.path)}:{number}:{start.column}",
        f"{margin} |",
        f"{number} | {visible(line)}",
        f"{margin} | {' ' * before}{marks} {visible(diagnostic.hint)}".rstrip(),
        "",
    ]


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: wide characters two, combining ones none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def exports(report: Report) -> str:
    """The outcome as lines of bash for later steps of the job; the second trigger's names end in `_2`, and so on."""
    from shlex import quote  # noqa: PLC0415 - few ask for it

    gated, judgements = report.gated, report.decision.deploys.judgements if report.decision else ()
    outcome = "held" if any(j.verdict is Verdict.HELD for j in judgements) else "not-due"
    outcome = "skipped" if report.skipped else gated.outcome.value if gated and gated.outcome else outcome
    told = [(outcome if report.exit.is_result else report.exit.label, gated.rule if gated else "", "", "")]
    for number, trigger in enumerate(report.triggers):
        run = (trigger.created.id or "", trigger.created.url) if trigger.created else ("", "")
        told[number:] = [(trigger.outcome.value, trigger.spec.rule, *run)]
    found = [
        f"export DEPLOYSTEP_{name}{f'_{number}' if number > 1 else ''}={quote(value)}\n"
        for number, values in enumerate(told, start=1)
        for name, value in zip(("OUTCOME", "RULE", "RUN_ID", "RUN_URL"), values, strict=True)
    ]
    return "".join(found).replace("\0", "")
