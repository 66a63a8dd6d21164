"""The matrix and one run as pages to keep: whole in one file, read without a script."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from deploystep.app.matrix import WEEK, Lane, Matrix, Row, RuleWords, words_of
from deploystep.app.report import Report, TriggerEntry
from deploystep.core.build import BuildContext
from deploystep.core.decide import Judgement, Verdict
from deploystep.core.errors import ExitCode
from deploystep.core.facts import Trace, negate
from deploystep.core.html import Element, Node, badge, element, facts, link, page, table
from deploystep.core.times import DAYS
from deploystep.render.document import build_of
from deploystep.render.matrix import moment
from deploystep.render.text import Style, failure, interruption, of_gate, sent

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
    rows = tuple(tuple(_cells(row)) for row in matrix.rows)
    return page(
        f"Which rules of {path} fire",
        element("p", f"At {moment(matrix.now)}.{later} {_UNKNOWN}", class_="lead"),
        element("h2", "Builds and rules"),
        table("Builds and rules", head, rows) if rows else element("p", "There is no build to judge."),
        *(element("p", left, class_="soft") for left in matrix.left_out),
        element("h2", "The rules in words"),
        *map(_rule, matrix.rules),
        *([_claims("every rule", "", map(negate, matrix.never))] if matrix.never else []),
        *_week(matrix),
        mask=mask,
    )


def _cells(row: Row) -> Iterator[Element]:
    when = f", at {moment(row.at)}" if row.at else ""
    at = f" at {row.build.revision[:7]}" if row.kind in ("branch", "tag") else ""
    yield element("span", row.name, element("small", f"{_ORIGINS[row.kind]}{at}{when}"))
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
    runs = element("p", element("span", "would run ", class_="soft"), words.would_run)
    return _claims(rule.name.value, f"line {rule.span.line}{environment}", words.conditions, runs)


def _claims(title: str, about: str, claims: Iterable[Trace], *more: Element) -> Element:
    head = element("h3", title, " ", element("small", about))
    return element("article", head, element("ul", *map(_traced, claims), class_="tree"), *more)


def _week(matrix: Matrix) -> Iterator[Element]:
    if matrix.lanes:
        yield element("h2", "The week from today")
        days = [matrix.today + WEEK / 7 * n for n in range(7)]
        marks = element("div", *(element("span", f"{DAYS[d.weekday()]} {d:%d}") for d in days), class_="days")
        yield element("div", element("span"), marks, class_="lane", aria_hidden="true")
        yield from (_lane(lane, matrix) for lane in matrix.lanes)


def _lane(lane: Lane, matrix: Matrix) -> Element:
    """Its times as bars along the week and, for who does not see them, in words; a mark shows what time it is."""
    kind = "freeze" if lane.is_freeze else "window"
    bars = []
    for class_, (begins, ends) in (("now", (matrix.now, matrix.now)), *((kind, span) for span in lane.spans)):
        left, width = ((later - earlier) / WEEK * 100 for earlier, later in ((matrix.today, begins), (begins, ends)))
        bars.append(element("i", class_=class_, style=f"left:{left:.2f}%;width:{width:.2f}%"))
    said = "; ".join(f"{_day(begins)} to {_day(ends, begins)}" for begins, ends in lane.spans)
    state = ("holds " if lane.is_freeze else "open ") + said if said else "not this week"
    name = element("div", lane.name, element("small", f" line {lane.line}: {', '.join(lane.rules) or 'no rule'}"))
    week = element("div", *bars, class_="week", role="img", aria_label=f"{lane.name}: {state}")
    return element("div", name, element("div", week, element("small", state)), class_="lane")


def _day(at: datetime, after: datetime | None = None) -> str:
    is_same = after is not None and after.date() == at.date()
    return f"{at:%H:%M}" if is_same else f"{DAYS[at.weekday()]} {at:%d %H:%M}"


# --- one run


def run_page(report: Report, mask: Mask) -> str:
    """What a run decided and did, and what went wrong: written however it ended."""
    state = badge(report.exit.label, "ok" if report.exit is ExitCode.OK else "bad")
    said = _NOT_SENT if report.is_dry else interruption(report).partition(": ")[2]
    if report.gated is not None and report.exit.is_result:
        said = of_gate(report.gated)[-1]
    judgements, error = report.decision.judgements if report.decision else (), report.error
    wrong = [element("p", line) for line in failure(report, Style()).splitlines()[:-1]]
    return page(
        f"deploystep {report.command}",
        element("p", state, f" exit code {int(report.exit)} — {report.skipped or said}", class_="lead"),
        *([element("article", element("h2", f"error {error.code}", class_="bad"), *wrong)] if error else []),
        *(_build(report.build, report) if report.build else ()),
        *([element("h2", "Triggers"), *map(_trigger, report.triggers)] if report.triggers else []),
        *([element("h2", "Rules"), *map(_judged, judgements)] if judgements else []),
        mask=mask,
    )


_NOT_SENT: Final = "nothing is sent: this is a dry run"


def _build(build: BuildContext, report: Report) -> Iterator[Element]:
    known = {name.replace("_", " "): str(value) for name, value in build_of(build).items() if value and name != "node"}
    known |= {"node": str(build.node)} if build.node.total > 1 else {}
    known |= {"decided at": moment(report.now)} if report.now else {}
    known |= {"rules": report.source.path} if report.source else {}
    known |= {"again": report.again} if report.again else {}
    yield from (element("h2", "Build"), facts(*known.items()))


def _trigger(entry: TriggerEntry) -> Element:
    lines = [element("li", line) for line in sent(entry)]
    run = [element("p", link(entry.created.url))] if entry.created else []
    head = element("h3", badge(entry.outcome.value), f" {entry.spec.rule}")
    return element("article", head, *run, element("ul", *lines, class_="tree"))


def _judged(judgement: Judgement) -> Element:
    head = element("h3", badge(judgement.verdict.value), f" {judgement.rule.name.value}")
    parts = [_traced(part, is_judged=True) for part in judgement.trace.parts]
    return element("article", head, element("p", judgement.because), element("ul", *parts, class_="tree"))


def _traced(trace: Trace, *, is_judged: bool = False) -> Element:
    """A condition and its line, and below it what it is made of; nothing is said twice.

    In a run that judged it, also its answer and the value that it was given.
    """
    while len(trace.parts) == 1 and trace.claim in ("all of", trace.parts[0].claim):
        trace = trace.parts[0]
    made = trace
    while len(made.parts) == 1 and made.parts[0].parts:
        made = made.parts[0]
    parts, how = made.parts, " one of" if made.claim.startswith(("when", "unless", "merged_into")) else " all of"
    value = "; ".join(reason.text for reason in trace.reasons) if is_judged and not parts else ""
    more = element("small", f" {value} · line {trace.span.line}" if value else f" line {trace.span.line}")
    below = [element("ul", *(_traced(part, is_judged=is_judged) for part in parts))] if parts else []
    answer: list[Node] = [badge(trace.answer.value), " "] if is_judged else []
    return element("li", *answer, trace.claim + how * (len(parts) > 1), more, *below)
