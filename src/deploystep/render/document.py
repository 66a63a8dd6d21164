"""The JSON document: one versioned object for every command, on failure too."""

import json
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from deploystep.app.report import Report, TriggerEntry
from deploystep.core.build import BuildContext
from deploystep.core.decide import Judgement
from deploystep.core.facts import Trace
from deploystep.core.source import Diagnostic, SourceFile
from deploystep.render.text import diff_of, interruption

if TYPE_CHECKING:
    from deploystep.app.matrix import Matrix, Row
    from deploystep.migrate.plan import Migration
    from deploystep.project.config import WouldRun

SCHEMA = 1
Object: TypeAlias = dict[str, Any]


def render(report: Report) -> str:
    """The whole document as text, without a final line end."""
    return json.dumps(_document(report), indent=2, default=_plain)


def _plain(value: Any) -> Any:
    """What JSON has no form of its own for: words of ours, and moments."""
    return value.value if isinstance(value, Enum) else value.isoformat(timespec="seconds")


def _picked(value: object, *names: str, **renamed: str) -> Object:
    """Parts of a value, by the names that the document has for them; null without a value."""
    paths = {name: name for name in names} | renamed
    return {name: attrgetter(path)(value) if value is not None else None for name, path in paths.items()}


def _document(report: Report) -> Object:
    judgements = report.decision.judgements if report.decision else ()
    document: Object = {
        "schema": SCHEMA,
        "command": report.command,
        "mode": "dry-run" if report.is_dry else "live",
        "build": None if report.build is None else build_of(report.build),
        "now": report.now,
        "rules": [_rule(j) for j in judgements],
        "triggers": [_trigger(t) for t in report.triggers],
        "exit": {"code": int(report.exit), "name": report.exit.label},
        "error": _error(report),
    }
    if report.gated is not None:
        because = {"because": report.gated.because} if report.gated.because else {}
        told = {"program": report.gated.program or None, "variables": dict(report.gated.variables)}
        document["gate"] = {**_picked(report.gated, "rule", "outcome"), **because, **told}
    document |= {"again": report.again} if report.again is not None else {}
    document |= {"skipped": report.skipped} if report.skipped else {}
    if report.command == "test":
        document["cases"] = [
            _picked(tried, name="case.name", line="case.span.line")
            | {"outcome": "failed" if tried.failures else "passed"}
            | {"failures": _diagnostics(tried.failures, report.source)}
            for tried in report.tried
        ]
        document["gaps"] = _diagnostics(report.gaps, report.source)
    if report.start is not None:
        path, lines = report.source.path if report.source else None, report.start.lines
        document["init"] = {"rules": path, "config": lines, "remarks": report.start.remarks}
    if report.command == "doctor":
        document["findings"] = [_picked(finding, "name", "grade", "text", "cure") for finding in report.findings]
    if report.migration is not None:
        document |= _migration(report.migration) | {"written": report.has_written}
    if report.matrix is not None:
        document["matrix"] = _matrix(report.matrix)
    if report.command in ("check", "init"):
        document["diagnostics"] = _diagnostics(report.diagnostics, report.source)
    return document


def _matrix(matrix: "Matrix") -> Object:
    from deploystep.app.matrix import words_of  # noqa: PLC0415 - few documents hold one

    def cell(judgement: Judgement) -> Object:
        told = {"because": words_of(judgement), "lines": [reason.line for reason in judgement.trace.reasons]}
        return _picked(judgement, rule="rule.name.value", verdict="verdict") | told

    def row(row: "Row") -> Object:
        later = [cell(j) for j in row.later.judgements] if row.later else None
        now = {"at": row.at or matrix.now, "now": [cell(j) for j in row.now.judgements], "later": later}
        build = _picked(row.build, "branch", "tag") | {"revision": row.build.revision or None}
        return {**_picked(row, "kind", "name"), **build, **now}

    return {
        **_picked(matrix, "now", "change"),
        "builds": [row(each) for each in matrix.rows],
        "left_out": matrix.left_out,
        "rules": [_picked(each, name="rule.name.value", would_run="would_run") for each in matrix.rules],
        "week": [_picked(lane, "name", "line", "rules", freezes="is_freeze", spans="spans") for lane in matrix.lanes],
    }


def build_of(build: BuildContext) -> Object:
    """A build as far as its environment tells."""
    return {
        "project": None if build.project is None else str(build.project),
        **_picked(build, "branch", "tag", "revision"),
        "node": _picked(build.node, "index", "total"),
        **_picked(build, "pull_request", "fork", "user"),
    }


def _rule(judgement: Judgement) -> Object:
    told = _picked(judgement, name="rule.name.value", line="rule.span.line", verdict="verdict", because="because")
    return told | ({} if judgement.rule.sends else {"gate_only": True}) | {"trace": _trace(judgement.trace)}


def _trace(trace: Trace) -> Object:
    because, parts = "; ".join(r.text for r in trace.reasons), [_trace(part) for part in trace.parts]
    return _picked(trace, "claim", verdict="answer") | {"because": because, "line": trace.span.line, "parts": parts}


def _trigger(trigger: TriggerEntry) -> Object:
    return {
        **_picked(trigger, rule="spec.rule", outcome="outcome"),
        **({"because": trigger.because} if trigger.because else {}),
        **({"would_run": _would_run(trigger.would_run)} if trigger.would_run else {}),
        "request": _picked(trigger, method="request.method", url="url", body="request.body"),
        **_picked(trigger.created, "id", "number", "url", "revision"),
        "workflows": [_picked(workflow, "name", "status") for workflow in trigger.workflows],
    }


def _would_run(found: "WouldRun") -> Object:
    workflows = []
    for each in found.workflows:
        jobs = [_picked(job, name="alias", line="line") | {"runs": runs.answer} for job, runs in each.jobs]
        named = _picked(each, name="workflow.name", line="workflow.line", runs="runs.answer")
        workflows.append(named | {"jobs": jobs})
    return {"text": found.text, "workflows": workflows}


def _error(report: Report) -> Object | None:
    error = report.error
    if error is None:
        if report.exit.is_result:
            return None
        hints = ["look at what had been sent before you run it again"] if report.command == "run" else []
        return {"code": report.exit.label, "message": interruption(report), "hints": hints, "diagnostics": []}
    problems = [{"message": problem} for problem in error.problems]
    found = [*problems, *_diagnostics(report.diagnostics, report.source)]
    return {**_picked(error, "code", "message", "hints"), "diagnostics": found}


def _migration(found: "Migration") -> Object:
    findings = []
    for each in found.findings:
        where = _picked(each, file="path", line="line", column="column", message="what", until="until")
        ends = "2027-02-01" if each.kind in ("call", "config-run") else None
        what = _picked(each, alarm="is_alarm", rewritten="is_written", write="advice")
        findings.append({"kind": each.kind, "endpoint": each.endpoint or None, **where, "ends": ends, **what})
    files = [
        {"path": c.path, "new": c.old is None, "replaced": sorted(c.replaced), "diff": diff_of(c)}
        for c in found.changes
    ]
    problems = [each for source, why in found.problems for each in _diagnostics((why,), source)]
    return {"findings": findings, "files": files, "problems": problems}


def _diagnostics(found: tuple[Diagnostic, ...], source: SourceFile | None) -> list[Object]:
    place = {"line": "span.start.line", "column": "span.start.column"}
    words = {name: name for name in ("severity", "code", "message", "hint")}
    return [{"file": source.path if source else None, **_picked(each, **place, **words)} for each in found]
