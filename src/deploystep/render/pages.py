"""The matrix and one run as pages to keep: whole in one file, read without a script."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from deploystep.app.matrix import WEEK, Lane, Matrix, Row, RuleWords, words_of
from deploystep.app.report import Report, TriggerEntry
from deploystep.core.build import BuildContext
from deploystep.core.decide import Judgement, Verdict
from deploystep.core.errors import EnvironmentInvalid
from deploystep.core.exits import ExitCode
from deploystep.core.html import Element, Node, badge, element, facts, link, page, table
from deploystep.core.times import DAYS
from deploystep.core.trace import Trace, negate
from deploystep.render.matrix import moment
from deploystep.render.text import contents, interruption

Mask = Callable[[str], str]
_ORIGINS: Final = {
    "branch": "a branch of the clone",
    "tag": "a tag of the clone",
    "case": "a case of the rule file",
    "pattern": "made up for a pattern",
}
_UNKNOWN: Final = "A question mark is what cannot be told here, with what it hangs on."


# --- the matrix


def matrix_page(matrix: Matrix, path: str, mask: Mask) -> str:
    """Which rules fire for which build, the rules in words, and the week that begins now."""
    later = f" “Then” is what it becomes at the next change, {moment(matrix.change)}." if matrix.change else ""
    head = ("Build", *(each.rule.name.value for each in matrix.rules))
    rows = tuple((_build_cell(row), *_cells(row)) for row in matrix.rows)
    return page(
        f"Which rules of {path} fire",
        element("p", f"At {moment(matrix.now)}.{later} {_UNKNOWN}", class_="lead"),
        element("h2", "Builds and rules"),
        table("Builds and rules", head, rows) if rows else element("p", "There is no build to judge."),
        *(element("p", left, class_="soft") for left in matrix.left_out),
        element("h2", "The rules in words"),
        *map(_rule, matrix.rules),
        *([_never(matrix.never)] if matrix.never else []),
        *_week(matrix),
        mask=mask,
    )


def _build_cell(row: Row) -> Element:
    when = f", at {moment(row.at)}" if row.at else ""
    at = f" at {row.build.revision[:7]}" if row.kind in ("branch", "tag") else ""
    return element("span", row.name, element("small", f"{_ORIGINS[row.kind]}{at}{when}"))


def _cells(row: Row) -> Iterator[Element]:
    for index, judgement in enumerate(row.now.judgements):
        later = row.later.judgements[index] if row.later else judgement
        is_other = later.verdict is not judgement.verdict
        yield element("div", *_outcome(judgement), *(_outcome(later, "then ") if is_other else ()))


def _outcome(judgement: Judgement, before: str = "") -> tuple[Node, Node]:
    verdict = judgement.verdict
    word = "?" if verdict is Verdict.UNKNOWN else verdict.value
    return badge(before + word, verdict.value), element("small", words_of(judgement))


def _rule(words: RuleWords) -> Element:
    rule = words.rule
    environment = f", environment {rule.environment.value}" if rule.environment else ""
    return element(
        "article",
        element("h3", rule.name.value, " ", element("small", f"line {rule.span.line}{environment}")),
        element("ul", *(_claim(trace) for trace in words.conditions)),
        element("p", element("span", "would run ", class_="soft"), words.would_run),
    )


def _never(never: tuple[Trace, ...]) -> Element:
    claims = element("ul", *(_claim(negate(trace)) for trace in never))
    return element("article", element("h3", "every rule"), claims)


def _claim(trace: Trace) -> Element:
    """A condition: its alternatives as a list where there are several."""
    is_denied = trace.claim in ("not unless", "not when")
    condition = trace.parts[0] if is_denied else trace
    word = "not when" if is_denied else "when" if condition.claim == "when" else ""
    alternatives = [_all_of(part) for part in condition.parts] if word else [trace.claim]
    line = element("small", f" line {trace.span.line}", class_="soft")
    if len(alternatives) == 1:
        return element("li", f"{word} {alternatives[0]}".strip(), line)
    return element("li", f"{word} one of these holds:", line, element("ul", *(element("li", a) for a in alternatives)))


def _all_of(trace: Trace) -> str:
    is_made = trace.claim == "all of" or trace.claim.startswith("env ")
    return " and ".join(map(_all_of, trace.parts)) if trace.parts and is_made else trace.claim


def _week(matrix: Matrix) -> Iterator[Element]:
    if not matrix.lanes:
        return
    yield element("h2", "The week from today")
    days = [matrix.today + WEEK / 7 * n for n in range(7)]
    marks = element("div", *(element("span", f"{DAYS[d.weekday()]} {d:%d}") for d in days), class_="days")
    yield element("div", element("span"), marks, class_="lane", aria_hidden="true")
    yield from (_lane(lane, matrix) for lane in matrix.lanes)


def _lane(lane: Lane, matrix: Matrix) -> Element:
    """Its times as bars along the week and, for who does not see them, in words; a mark shows what time it is."""
    bars = [_bar("now", matrix.today, matrix.now, matrix.now)]
    bars += [_bar("freeze" if lane.is_freeze else "window", matrix.today, *span) for span in lane.spans]
    said = "; ".join(_span(*span) for span in lane.spans)
    state = ("holds " if lane.is_freeze else "open ") + said if said else "not this week"
    name = element("div", lane.name, element("small", f" line {lane.line}: {', '.join(lane.rules) or 'no rule'}"))
    week = element("div", *bars, class_="week", role="img", aria_label=f"{lane.name}: {state}")
    return element("div", name, element("div", week, element("small", state)), class_="lane")


def _bar(kind: str, start: datetime, begins: datetime, ends: datetime) -> Element:
    left, width = ((later - earlier) / WEEK * 100 for later, earlier in ((begins, start), (ends, begins)))
    return element("i", class_=kind, style=f"left:{left:.2f}%;width:{width:.2f}%")


def _span(begins: datetime, ends: datetime) -> str:
    day = f"{DAYS[begins.weekday()]} {begins:%d %H:%M}"
    last = "" if begins.date() == ends.date() else f"{DAYS[ends.weekday()]} {ends:%d} "
    return f"{day} to {last}{ends:%H:%M}"


# --- one run


def run_page(report: Report, mask: Mask) -> str:
    """What a run decided and did, and what went wrong: written however it ended."""
    is_ok = report.exit is ExitCode.OK
    state = badge(report.exit.label, "ok" if is_ok else "bad")
    said = interruption(report).partition(": ")[2] if report.command == "run" and not report.is_dry else _NOT_SENT
    judgements = report.decision.judgements if report.decision else ()
    return page(
        f"deploystep {report.command}",
        element("p", state, f" exit code {int(report.exit)} — {report.skipped or said}", class_="lead"),
        *_error(report),
        *(_build(report.build, report) if report.build else ()),
        *([element("h2", "Triggers"), *map(_trigger, report.triggers)] if report.triggers else []),
        *([element("h2", "Rules"), *map(_judged, judgements)] if judgements else []),
        mask=mask,
    )


_NOT_SENT: Final = "nothing is sent: this is a dry run"


def _error(report: Report) -> Iterator[Element]:
    error = report.error
    if error is None:
        return
    problems = [*error.problems] if isinstance(error, EnvironmentInvalid) else []
    path = report.source.path if report.source else ""
    problems += [
        f"{path}:{d.span.start.line}:{d.span.start.column}: {d.code}: {d.message}" + (f" — {d.hint}" if d.hint else "")
        for d in report.diagnostics
    ]
    yield element(
        "article",
        element("h2", f"error {error.code}", class_="bad"),
        element("p", error.message),
        *([element("ul", *(element("li", problem) for problem in problems))] if problems else []),
        *(element("p", element("strong", "hint: "), hint) for hint in error.hints),
    )


def _build(build: BuildContext, report: Report) -> Iterator[Element]:
    yield element("h2", "Build")
    yield facts(
        ("project", str(build.project or "")),
        ("branch", build.branch or ""),
        ("tag", build.tag or ""),
        ("revision", element("code", build.revision)),
        ("pull request", str(build.pull_request or "")),
        ("user", build.user or ""),
        ("node", str(build.node) if build.node.total > 1 else ""),
        ("decided at", moment(report.now) if report.now else ""),
        ("rules", report.source.path if report.source else ""),
        ("again", report.again or ""),
    )


def _trigger(entry: TriggerEntry) -> Element:
    created = entry.created
    workflows = [element("li", badge(w.status), f" workflow {w.name}") for w in entry.workflows]
    return element(
        "article",
        element("h3", badge(entry.outcome.value), f" {entry.spec.rule}"),
        facts(
            ("run", link(created.url) if created else ""),
            ("because", entry.because),
            ("revision", element("code", created.revision) if created and created.revision else ""),
            ("sent", element("code", f"{entry.request.method} {entry.url}")),
            ("says", element("span", *(element("div", line.strip()) for line in contents(entry)))),
        ),
        *([element("ul", *workflows, class_="tree")] if workflows else []),
    )


def _judged(judgement: Judgement) -> Element:
    verdict = judgement.verdict.value
    return element(
        "article",
        element("h3", badge(verdict), f" {judgement.rule.name.value}"),
        element("p", judgement.because),
        element("ul", *(_traced(part) for part in judgement.trace.parts), class_="tree"),
    )


def _traced(trace: Trace) -> Element:
    """A condition with its answer, its value and its line, and below it what it is made of; nothing is said twice."""
    while len(trace.parts) == 1 and trace.claim in ("all of", trace.parts[0].claim):
        trace = trace.parts[0]
    parts = trace.parts
    while len(parts) == 1 and parts[0].parts:
        parts = parts[0].parts
    value = "" if parts else "; ".join(reason.text for reason in trace.reasons)
    more = element("small", f" {value} · line {trace.span.line}" if value else f" line {trace.span.line}")
    below = [element("ul", *map(_traced, parts))] if parts else []
    return element("li", badge(trace.answer.value), f" {trace.claim}", more, *below)
