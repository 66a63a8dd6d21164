"""The matrix, for a terminal and as a page, and the page of one run: whole in one file, read without a script."""

from collections.abc import Callable
from typing import Final

from deploystep.app.matrix import WEEK, Matrix, words_of
from deploystep.app.report import Report
from deploystep.core.decide import Verdict
from deploystep.core.errors import ExitCode
from deploystep.core.facts import Trace
from deploystep.core.html import Element, Node, badge, element, facts, link, page
from deploystep.core.source import clipped, visible
from deploystep.core.times import DAYS
from deploystep.render import text
from deploystep.render.document import build_of

_SHOWN: Final = {Verdict.FIRE: "fire", Verdict.HELD: "held", Verdict.UNKNOWN: "?", Verdict.NO: "no"}
_OFF: Final = "what keeps rules from firing is judged as if no variable were set"


def table(matrix: Matrix) -> str:
    """The matrix for a terminal, and below it why each outcome is what it is; without a final line end."""
    grid = [["", *(name for name, *_ in matrix.rules)]]
    for row in matrix.rows:
        decisions = [[_SHOWN[j.verdict] for j in d.judgements] for d in (row.now, row.later) if d]
        cells = [" > ".join(dict.fromkeys(outcomes)) for outcomes in zip(*decisions, strict=True)]
        grid.append([visible("* " * (row.kind == "pattern") + clipped(row.name)), *cells])
    widths, width = [max(map(text.columns, column)) for column in zip(*grid, strict=True)], max(map(len, grid[0]))
    padded = ([cell + " " * (w - text.columns(cell)) for cell, w in zip(line, widths, strict=True)] for line in grid)
    lines = ["  ".join(cells).rstrip() for cells in padded]
    judgements = [j for row in matrix.rows for d in (row.now, row.later) if d for j in d.judgements]
    why = [
        f"{word:<4}  {j.rule.name.value:<{width}}  {visible(words_of(j))}"
        for verdict, word in _SHOWN.items()
        for j in judgements
        if j.verdict is verdict and verdict is not Verdict.NO
    ]
    head = [f"at {text.moment(matrix.now)}"]
    head += [f"> what it becomes at the next change, {text.moment(matrix.change)}"] if matrix.change else []
    made_up = "* a build made up for a pattern, of which nothing else is known"
    return "\n".join([*head, "", *lines, *matrix.left_out, "", *dict.fromkeys(why), made_up, _OFF])


def matrix_page(matrix: Matrix, path: str, mask: Callable[[str], str]) -> str:
    """Which rules fire for which build, the rules in words, and the week that begins now."""
    change = f" “Then” is what it becomes at the next change, {text.moment(matrix.change)}." if matrix.change else ""
    said = f"At {text.moment(matrix.now)}.{change} A question mark is what cannot be told here; {_OFF}."
    body = [element("p", said, class_="soft"), element("h2", "Builds and rules")]
    for row in matrix.rows:
        cells = []
        for now, then in zip(row.now.judgements, (row.later or row.now).judgements, strict=True):
            told: list[Node] = []
            for before, j in [("", now), *([("then ", then)] if then.verdict is not now.verdict else [])]:
                told += [badge(before + _SHOWN[j.verdict], j.verdict.value), element("small", words_of(j))]
            cells.append((now.rule.name.value, element("div", *told)))
        about = "made up for a pattern" if row.kind == "pattern" else row.kind
        body.append(element("article", element("h3", row.name, " ", element("small", about)), facts(*cells)))
    body += [element("p", left, class_="soft") for left in matrix.left_out]
    body.append(element("h2", "The rules in words"))
    for name, where, claims, would_run in (*matrix.rules, *matrix.never):
        head = element("h3", name, " ", element("small", where))
        runs = [element("p", f"would run {would_run}")] if would_run else []
        body.append(element("article", head, element("ul", *map(_traced, claims)), *runs))
    body += [element("h2", f"The week from {text.moment(matrix.today)}")] if matrix.lanes else []
    for lane in matrix.lanes:  # as bars and, for who does not see them, in words; a mark shows what time it is
        kind, bars = "freeze" if lane.is_freeze else "window", []
        for class_, (begins, ends) in (("now", (matrix.now, matrix.now)), *((kind, span) for span in lane.spans)):
            left, width = (part / WEEK * 100 for part in (begins - matrix.today, ends - begins))
            bars.append(element("i", class_=class_, style=f"left:{left:.2f}%;width:{width:.2f}%"))
        local = [[at.astimezone(matrix.now.tzinfo) for at in span] for span in lane.spans]
        said = "; ".join(" to ".join(f"{DAYS[at.weekday()]} {at:%d %H:%M}" for at in span) for span in local)
        state = ("holds " if lane.is_freeze else "open ") + said if said else "not this week"
        head = element("div", lane.name, element("small", f" line {lane.line}: {', '.join(lane.rules) or 'no rule'}"))
        week = element("div", *bars, class_="week", role="img", aria_label=f"{lane.name}: {state}")
        body.append(element("div", head, element("div", week, element("small", state)), class_="lane"))
    return page(f"Which rules of {path} fire", *body, mask=mask)


def run_page(report: Report, mask: Callable[[str], str]) -> str:
    """What a run decided and did, and what went wrong: written however it ended."""
    said = "nothing is sent: this is a dry run" if report.is_dry else text.interruption(report).partition(": ")[2]
    if report.gated is not None and report.exit.is_result:
        said = text.of_gate(report.gated)[-1]
    state = badge(report.exit.label, "ok" if report.exit is ExitCode.OK else "bad")
    body = [element("p", state, f" exit code {int(report.exit)} — {report.skipped or said}")]
    if report.error is not None:
        wrong = (element("p", line) for line in text.failure(report, text.Style()).splitlines()[:-1])
        body.append(element("article", element("h2", f"error {report.error.code}", class_="bad"), *wrong))
    if report.build is not None:
        build = build_of(report.build) | {"node": report.build.node, "again": report.again}
        build |= {"decided at": report.now and text.moment(report.now), "rules": report.source and report.source.path}
        pairs = ((name.replace("_", " "), str(value)) for name, value in build.items() if value)
        body += [element("h2", "Build"), facts(*pairs)]
    body += [element("h2", "Triggers")] if report.triggers else []
    for entry in report.triggers:
        run = [element("p", link(entry.created.url))] if entry.created else []
        head = element("h3", badge(entry.outcome.value), f" {entry.spec.rule}")
        body.append(element("article", head, *run, element("ul", *(element("li", line) for line in text.sent(entry)))))
    body += [element("h2", "Rules")] if report.decision else []
    for judgement in report.decision.judgements if report.decision else ():
        head = element("h3", badge(judgement.verdict.value), f" rule {judgement.rule.name.value}")
        parts = [_traced(part, is_judged=True) for part in judgement.trace.parts]
        body.append(element("article", head, element("p", judgement.because), element("ul", *parts)))
    return page(f"deploystep {report.command}", *body, mask=mask)


def _traced(trace: Trace, *, is_judged: bool = False) -> Element:
    """A condition and its line, below it what it is made of, each said once; if judged, its answer and value too."""
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
