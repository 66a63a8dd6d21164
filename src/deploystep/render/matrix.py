"""The matrix for a terminal: a table, and below it why each outcome is what it is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from deploystep.app.matrix import Matrix, Row, words_of
from deploystep.core.decide import Verdict
from deploystep.core.text import visible
from deploystep.core.times import DAYS
from deploystep.render.text import Style

_WIDEST: Final = 48
_SHOWN: Final = {Verdict.FIRE: "fire", Verdict.HELD: "held", Verdict.NO: "no", Verdict.UNKNOWN: "?"}


def table(matrix: Matrix, style: Style) -> str:
    """The whole answer, without a final line end."""
    rules = [each.rule.name.value for each in matrix.rules]
    builds = [_label(row) for row in matrix.rows]
    cells = [[_cell(row, at) for at in range(len(rules))] for row in matrix.rows]
    turned = [[line[at] for line in cells] for at in range(len(rules))]
    lines = _grid(rules, builds, cells, style) or _grid(builds, rules, turned, style)
    if lines is None:
        lines = [text for row, line in zip(builds, cells, strict=True) for text in _block(row, rules, line, style)]
    head = [f"at {moment(matrix.now)}"]
    if matrix.change and any(row.later for row in matrix.rows):
        head.append(f"> what it becomes at the next change, {moment(matrix.change)}")
    return "\n".join([*head, "", *lines, *matrix.left_out, "", *_why(matrix, style)])


def moment(at: datetime) -> str:
    """A moment for people, with its weekday and zone."""
    return f"{DAYS[at.weekday()]} {at:%Y-%m-%d %H:%M} {getattr(at.tzinfo, 'key', None) or at.tzname()}"


def _label(row: Row) -> str:
    """A build in a few words."""
    before = f"{row.at:%Y-%m-%d %H:%M} " if row.at else "* " if row.kind == "pattern" else ""
    text = before + row.name
    return visible(text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…")


def _cell(row: Row, at: int) -> str:
    """What becomes of a rule, now and, where that is something else, after the next change."""
    now, *later = (_SHOWN[d.judgements[at].verdict] for d in (row.now, row.later) if d)
    return f"{now} > {later[0]}" if later and later[0] != now else now


def _grid(head: Sequence[str], first: Sequence[str], cells: list[list[str]], style: Style) -> list[str] | None:
    """A table; None where it is wider than the terminal."""
    columns = [["", *first], *([name, *(line[at] for line in cells)] for at, name in enumerate(map(visible, head)))]
    widths = [max(map(len, column)) for column in columns]
    if sum(widths) + 2 * len(widths) > style.width:
        return None
    lines = []
    for at in range(len(first) + 1):
        painted = [
            _painted(column[at], style) + " " * (w - len(column[at])) for column, w in zip(columns, widths, strict=True)
        ]
        lines.append("  ".join(painted).rstrip())
    return lines


def _block(name: str, rules: list[str], cells: list[str], style: Style) -> list[str]:
    """A build with the rules that do not simply say no."""
    told = [
        f"  {_painted(cell.ljust(4), style)}  {visible(rule)}"
        for rule, cell in zip(rules, cells, strict=True)
        if cell != "no"
    ]
    return [name, *(told or ["  no rule fires"])]


def _painted(cell: str, style: Style) -> str:
    kind = {"fire": "fire", "held": "held", "no": "no", "?": "unknown"}.get(cell.partition(" ")[0])
    return style.paint(cell, kind) if kind else cell


def _why(matrix: Matrix, style: Style) -> list[str]:
    """Each reason once: of what fires, is held or is not known."""
    judgements = [j for row in matrix.rows for d in (row.now, row.later) if d for j in d.judgements]
    width = max((len(j.rule.name.value) for j in judgements), default=0)
    order = list(_SHOWN)
    told = dict.fromkeys(
        (order.index(j.verdict), j.rule.name.value, words_of(j)) for j in judgements if j.verdict is not Verdict.NO
    )
    lines = [
        f"{style.paint(_SHOWN[order[at]].ljust(4), order[at].value)}  {visible(name):<{width}}  {visible(why)}"
        for at, name, why in sorted(told, key=lambda each: each[0])
    ]
    starred = any(row.kind == "pattern" for row in matrix.rows)
    return [*lines, *(["* a build made up for a pattern, of which nothing else is known"] if starred else [])]
