"""The JSON document: one versioned object for every command, on failure too."""

import json
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from deploystep.app.report import Report, TriggerEntry
from deploystep.core.build import BuildContext
from deploystep.core.decide import Decision, Judgement
from deploystep.core.facts import Trace
from deploystep.core.source import Diagnostic, SourceFile
from deploystep.render.text import diff_of, interruption

if TYPE_CHECKING:
    from deploystep.app.matrix import Matrix
    from deploystep.migrate.plan import Migration

Object: TypeAlias = dict[str, Any]


def _picked(value: object, *names: str, **renamed: str) -> Object:
    """Parts of a value, by the names that the document has for them; null without a value."""
    paths = {name: name for name in names} | renamed
    return {name: attrgetter(path)(value) if value is not None else None for name, path in paths.items()}


def render(report: Report) -> str:
    """The whole document as text, without a final line end."""
    document: Object = {
        "schema": 1,
        "command": report.command,
        "mode": "dry-run" if report.is_dry else "live",
        "build": None if report.build is None else build_of(report.build),
        "now": report.now,
        "rules": [_rule(j) for j in report.decision.judgements] if report.decision else [],
        "triggers": [_trigger(t) for t in report.triggers],
        "exit": {"code": int(report.exit), "name": report.exit.label},
        "error": None,
    }
    if report.error is not None:
        found = [*({"message": p} for p in report.error.problems), *_diagnostics(report.diagnostics, report.source)]
        document["error"] = _picked(report.error, "code", "message", "hints") | {"diagnostics": found}
    elif not report.exit.is_result:
        hints = ["look at what had been sent before you run it again"] if report.command == "run" else []
        document["error"] = {"code": report.exit.label, "message": interruption(report)}
        document["error"] |= {"hints": hints, "diagnostics": []}
    if report.gated is not None:
        told = {"program": report.gated.program or None, "variables": dict(report.gated.variables)}
        document["gate"] = _picked(report.gated, "rule", "outcome", "because") | told
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
    start = _picked(report.source, rules="path") | _picked(report.start, config="lines", remarks="remarks")
    document |= {"init": start} if report.start is not None else {}
    if report.command == "doctor":
        document["findings"] = [_picked(finding, "name", "grade", "text", "cure") for finding in report.findings]
    document |= _migration(report.migration) | {"written": report.has_written} if report.migration is not None else {}
    document |= {"matrix": _matrix(report.matrix)} if report.matrix is not None else {}
    if report.command in ("check", "init"):
        document["diagnostics"] = _diagnostics(report.diagnostics, report.source)
    return json.dumps(  # which has no form of its own for words of ours, and for moments
        document, indent=2, default=lambda v: v.value if isinstance(v, Enum) else v.isoformat(timespec="seconds")
    )


def _matrix(matrix: "Matrix") -> Object:
    from deploystep.app.matrix import words_of  # noqa: PLC0415 - a deploy needs none of it

    def cells(decision: Decision) -> list[Object]:
        return [_rule(judgement) | {"because": words_of(judgement)} for judgement in decision.judgements]

    builds = [
        _picked(row, "kind", "name") | {"now": cells(row.now), "later": cells(row.later) if row.later else None}
        for row in matrix.rows
    ]
    rules = [{"name": name, "would_run": would_run} for name, *_, would_run in matrix.rules]
    week = [_picked(lane, "name", "line", "rules", "is_freeze", "spans") for lane in matrix.lanes]
    return _picked(matrix, "now", "change", "left_out") | {"builds": builds, "rules": rules, "week": week}


def build_of(build: BuildContext) -> Object:
    """A build as far as its environment tells."""
    told = {"project": build.project and str(build.project), "node": _picked(build.node, "index", "total")}
    return _picked(build, "project", "branch", "tag", "revision", "node", "pull_request", "fork", "user") | told


def _rule(judgement: Judgement) -> Object:
    told = _picked(judgement, name="rule.name.value", line="rule.span.line", verdict="verdict", because="because")
    return told | ({} if judgement.rule.sends else {"gate_only": True}) | {"trace": _trace(judgement.trace)}


def _trace(trace: Trace) -> Object:
    because, parts = "; ".join(r.text for r in trace.reasons), [_trace(part) for part in trace.parts]
    return _picked(trace, "claim", verdict="answer") | {"because": because, "line": trace.span.line, "parts": parts}


def _trigger(trigger: TriggerEntry) -> Object:
    found = trigger.would_run
    workflows = [_picked(w, name="workflow.name", runs="runs.answer") for w in found.workflows] if found else []
    return {
        **_picked(trigger, rule="spec.rule", outcome="outcome"),
        **({"because": trigger.because} if trigger.because else {}),
        **({"would_run": {"text": found.text, "workflows": workflows}} if found else {}),
        "request": _picked(trigger, method="request.method", url="url", body="request.body"),
        **_picked(trigger.created, "id", "number", "url", "revision"),
        "workflows": [_picked(workflow, "name", "status") for workflow in trigger.workflows],
    }


def _migration(found: "Migration") -> Object:
    names = {"file": "path", "message": "what", "alarm": "is_alarm", "rewritten": "is_written", "write": "advice"}
    return {
        "findings": [
            _picked(each, "kind", "line", "column", "until", **names)
            | {"endpoint": each.endpoint or None, "ends": "2027-02-01" if each.kind in ("call", "config-run") else None}
            for each in found.findings
        ],
        "files": [
            {"path": c.path, "new": c.old is None, "replaced": sorted(c.replaced), "diff": diff_of(c)}
            for c in found.changes
        ],
        "problems": [each for source, why in found.problems for each in _diagnostics((why,), source)],
    }


def _diagnostics(found: tuple[Diagnostic, ...], source: SourceFile | None) -> list[Object]:
    place = {"line": "span.start.line", "column": "span.start.column"}
    words = {name: name for name in ("severity", "code", "message", "hint")}
    return [{"file": source.path if source else None, **_picked(each, **place, **words)} for each in found]
