"""The JSON document: one versioned object for every command, on failure too."""

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from deploystep.app.report import Report, TriedCase, TriggerEntry
from deploystep.core.build import BuildContext
from deploystep.core.decide import Judgement
from deploystep.core.errors import EnvironmentInvalid, ToolError
from deploystep.core.exits import ExitCode
from deploystep.core.source import Diagnostic, SourceFile
from deploystep.core.trace import Trace
from deploystep.render.text import interruption

if TYPE_CHECKING:
    from deploystep.project.wiring import WouldRun

SCHEMA = 1
Object: TypeAlias = dict[str, Any]


def render(report: Report) -> str:
    """The whole document as text, without a final line end."""
    return json.dumps(_document(report), indent=2)


def _document(report: Report) -> Object:
    judgements = report.decision.judgements if report.decision else ()
    document: Object = {
        "schema": SCHEMA,
        "command": report.command,
        "mode": "dry-run" if report.is_dry else "live",
        "build": None if report.build is None else _build(report.build),
        "now": None if report.now is None else report.now.isoformat(timespec="seconds"),
        "rules": [_rule(j) for j in judgements],
        "triggers": [_trigger(t) for t in report.triggers],
        "exit": {"code": int(report.exit), "name": report.exit.label},
        "error": _error(report),
    }
    if report.again is not None:
        document["again"] = report.again
    if report.skipped:
        document["skipped"] = report.skipped
    if report.command == "test":
        document["cases"] = [_case(tried, report.source) for tried in report.tried]
        document["gaps"] = [_diagnostic(gap, report.source) for gap in report.gaps]
    if report.command == "check":
        document["diagnostics"] = [_diagnostic(d, report.source) for d in report.diagnostics]
    return document


def _build(build: BuildContext) -> Object:
    return {
        "project": None if build.project is None else str(build.project),
        "branch": build.branch,
        "tag": build.tag,
        "revision": build.revision,
        "node": {"index": build.node.index, "total": build.node.total},
        "pull_request": build.pull_request,
        "fork": build.fork,
        "user": build.user,
    }


def _rule(judgement: Judgement) -> Object:
    return {
        "name": judgement.rule.name.value,
        "line": judgement.rule.span.line,
        "verdict": judgement.verdict.value,
        "because": judgement.because,
        "trace": _trace(judgement.trace),
    }


def _trace(trace: Trace) -> Object:
    return {
        "claim": trace.claim,
        "verdict": trace.answer.value,
        "because": "; ".join(r.text for r in trace.reasons),
        "line": trace.span.line,
        "parts": [_trace(part) for part in trace.parts],
    }


def _trigger(trigger: TriggerEntry) -> Object:
    created = trigger.created
    why = {"because": trigger.because} if trigger.because else {}
    return {
        "rule": trigger.spec.rule,
        "outcome": trigger.outcome.value,
        **why,
        **({"would_run": _would_run(trigger.would_run)} if trigger.would_run else {}),
        "request": {"method": trigger.request.method, "url": trigger.url, "body": trigger.request.body},
        "id": created.id if created else None,
        "number": created.number if created else None,
        "url": created.url if created else None,
        "revision": created.revision if created else None,
        "workflows": [{"name": w.name, "status": w.status} for w in trigger.workflows],
    }


def _would_run(found: "WouldRun") -> Object:
    return {
        "text": found.text,
        "workflows": [
            {
                "name": w.workflow.name,
                "line": w.workflow.line,
                "runs": w.runs.answer.value,
                "jobs": [{"name": j.alias, "line": j.line, "runs": r.answer.value} for j, r in w.jobs],
            }
            for w in found.workflows
        ],
    }


def _error(report: Report) -> Object | None:
    error = report.error
    if error is None:
        return _interruption(report) if report.exit is not ExitCode.OK else None
    return {
        "code": error.code,
        "message": error.message,
        "hints": list(error.hints),
        "diagnostics": [*_problems(error), *(_diagnostic(d, report.source) for d in report.diagnostics)],
    }


def _case(tried: TriedCase, source: SourceFile | None) -> Object:
    return {
        "name": tried.case.name,
        "line": tried.case.span.line,
        "outcome": "failed" if tried.failures else "passed",
        "failures": [_diagnostic(failure, source) for failure in tried.failures],
    }


def _interruption(report: Report) -> Object:
    hints = ["look at what had been sent before you run it again"] if report.command == "run" else []
    return {"code": report.exit.label, "message": interruption(report), "hints": hints, "diagnostics": []}


def _problems(error: ToolError) -> list[Object]:
    problems = error.problems if isinstance(error, EnvironmentInvalid) else ()
    return [{"message": problem} for problem in problems]


def _diagnostic(diagnostic: Diagnostic, source: SourceFile | None) -> Object:
    return {
        "file": source.path if source else None,
        "line": diagnostic.span.start.line,
        "column": diagnostic.span.start.column,
        "severity": diagnostic.severity.value,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
    }
