"""The JSON document: one versioned object for every command, on failure too."""

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from deploystep.app.report import Gated, Report, TriedCase, TriggerEntry
from deploystep.core.build import BuildContext
from deploystep.core.decide import Judgement
from deploystep.core.source import Diagnostic, SourceFile
from deploystep.core.trace import Trace
from deploystep.render.text import diff_of, interruption

if TYPE_CHECKING:
    from datetime import datetime

    from deploystep.app.matrix import Lane, Matrix, Row
    from deploystep.migrate.plan import Migration
    from deploystep.project.would_run import WouldRun

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
    if report.gated is not None:
        document["gate"] = _gated(report.gated)
    if report.again is not None:
        document["again"] = report.again
    if report.skipped:
        document["skipped"] = report.skipped
    if report.command == "test":
        document["cases"] = [_case(tried, report.source) for tried in report.tried]
        document["gaps"] = [_diagnostic(gap, report.source) for gap in report.gaps]
    if report.start is not None:
        path, lines = report.source.path if report.source else None, report.start.lines
        document["init"] = {"rules": path, "config": lines, "remarks": [*report.start.remarks]}
    if report.command == "doctor":
        findings = report.findings
        document["findings"] = [
            {"name": f.name, "grade": f.grade.value, "text": f.text, "cure": f.cure} for f in findings
        ]
    if report.migration is not None:
        document |= _migration(report.migration) | {"written": report.has_written}
    if report.matrix is not None:
        document["matrix"] = _matrix(report.matrix)
    if report.command in ("check", "init"):
        document["diagnostics"] = [_diagnostic(d, report.source) for d in report.diagnostics]
    return document


def _gated(gated: Gated) -> Object:
    return {
        "rule": gated.rule,
        "outcome": None if gated.outcome is None else gated.outcome.value,
        **({"because": gated.because} if gated.because else {}),
        "program": gated.program or None,
        "variables": dict(gated.variables),
    }


def _matrix(matrix: "Matrix") -> Object:
    from deploystep.app.matrix import words_of  # noqa: PLC0415 - few documents hold one

    def moment(at: "datetime | None") -> str | None:
        return at.isoformat(timespec="seconds") if at else None

    def cell(judgement: Judgement) -> Object:
        lines = [reason.line for reason in judgement.trace.reasons]
        known = {"rule": judgement.rule.name.value, "verdict": judgement.verdict.value}
        return {**known, "because": words_of(judgement), "lines": lines}

    def row(row: "Row") -> Object:
        build = {"branch": row.build.branch, "tag": row.build.tag, "revision": row.build.revision or None}
        later = [cell(j) for j in row.later.judgements] if row.later else None
        now = {"at": moment(row.at or matrix.now), "now": [cell(j) for j in row.now.judgements], "later": later}
        return {"kind": row.kind, "name": row.name, **build, **now}

    def lane(lane: "Lane") -> Object:
        spans = [[moment(a), moment(b)] for a, b in lane.spans]
        named = {"name": lane.name, "line": lane.line, "rules": list(lane.rules)}
        return {**named, "freezes": lane.is_freeze, "spans": spans}

    return {
        "now": moment(matrix.now),
        "change": moment(matrix.change),
        "builds": list(map(row, matrix.rows)),
        "left_out": list(matrix.left_out),
        "rules": [{"name": each.rule.name.value, "would_run": each.would_run} for each in matrix.rules],
        "week": list(map(lane, matrix.lanes)),
    }


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
        **({} if judgement.rule.sends else {"gate_only": True}),
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
    return {
        "rule": trigger.spec.rule,
        "outcome": trigger.outcome.value,
        **({"because": trigger.because} if trigger.because else {}),
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
        if report.exit.is_result:
            return None
        hints = ["look at what had been sent before you run it again"] if report.command == "run" else []
        return {"code": report.exit.label, "message": interruption(report), "hints": hints, "diagnostics": []}
    problems = ({"message": problem} for problem in error.problems)
    return {
        "code": error.code,
        "message": error.message,
        "hints": list(error.hints),
        "diagnostics": [*problems, *(_diagnostic(d, report.source) for d in report.diagnostics)],
    }


def _case(tried: TriedCase, source: SourceFile | None) -> Object:
    return {
        "name": tried.case.name,
        "line": tried.case.span.line,
        "outcome": "failed" if tried.failures else "passed",
        "failures": [_diagnostic(failure, source) for failure in tried.failures],
    }


def _migration(found: "Migration") -> Object:
    return {
        "findings": [
            {
                "kind": f.kind,
                "endpoint": f.endpoint or None,
                "file": f.path,
                "line": f.line,
                "column": f.column,
                "message": f.what,
                "until": f.until,
                "ends": "2027-02-01" if f.kind in ("call", "config-run") else None,
                "alarm": f.is_alarm,
                "rewritten": f.is_written,
                "write": list(f.advice),
            }
            for f in found.findings
        ],
        "files": [
            {"path": c.path, "new": c.old is None, "replaced": sorted(c.replaced), "diff": diff_of(c)}
            for c in found.changes
        ],
        "problems": [_diagnostic(why, source) for source, why in found.problems],
    }


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
