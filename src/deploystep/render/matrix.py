"""The matrix for a terminal: a table, and below it why each outcome is what it is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from deploystep.app.matrix import Matrix, Row, words_of
from deploystep.core.decide import Verdict
from deploystep.core.text import visible
from deploystep.core.times import DAYS
from deploystep.render import text
from deploystep.render.text import Style

_WIDEST: Final = 48
_SHOWN: Final = {Verdict.FIRE: "fire", Verdict.HELD: "held", Verdict.NO: "no", Verdict.UNKNOWN: "?"}
_KINDS: Final = {word: verdict.value for verdict, word in _SHOWN.items()}


def table(matrix: Matrix, style: Style) -> str:
    """The whole answer, without a final line end."""
    rules = [visible(each.rule.name.value) for each in matrix.rules]
    builds = [_label(row) for row in matrix.rows]
    cells = [[_cell(row, at) for at in range(len(rules))] for row in matrix.rows]
    lines = _grid(rules, builds, cells, style)
    if lines is None:  # too wide: each build with the rules that do not simply say no
        lines = []
        for build, row in zip(builds, cells, strict=True):
            told = [(cell, rule) for rule, cell in zip(rules, row, strict=True) if cell != "no"]
            said = [f"  {_painted(cell.ljust(4), style)}  {rule}" for cell, rule in told]
            lines += [build, *(said or ["  no rule fires"])]
    head = [f"at {moment(matrix.now)}"]
    if matrix.change and any(row.later for row in matrix.rows):
        head.append(f"> what it becomes at the next change, {moment(matrix.change)}")
    return "\n".join([*head, "", *lines, *matrix.left_out, "", *_why(matrix, style)])


def moment(at: datetime) -> str:
    """A moment for people, with its weekday and zone."""
    return f"{DAYS[at.weekday()]} {text.moment(at)}"


def _label(row: Row) -> str:
    """A build in a few words."""
    before = f"{row.at:%Y-%m-%d %H:%M} " if row.at else "* " if row.kind == "pattern" else ""
    label = before + row.name
    return visible(label if len(label) <= _WIDEST else f"{label[: _WIDEST - 1]}…")


def _cell(row: Row, at: int) -> str:
    """What becomes of a rule, now and, where that is something else, after the next change."""
    now, *later = (_SHOWN[d.judgements[at].verdict] for d in (row.now, row.later) if d)
    return f"{now} > {later[0]}" if later and later[0] != now else now


def _grid(head: Sequence[str], first: Sequence[str], cells: list[list[str]], style: Style) -> list[str] | None:
    """A table; None where it is wider than the terminal."""
    lines = [["", *head], *([name, *line] for name, line in zip(first, cells, strict=True))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if sum(widths) + 2 * len(widths) > style.width:
        return None
    padded = (
        [_painted(cell, style) + " " * (w - len(cell)) for cell, w in zip(line, widths, strict=True)] for line in lines
    )
    return ["  ".join(line).rstrip() for line in padded]


def _painted(cell: str, style: Style) -> str:
    kind = _KINDS.get(cell.partition(" ")[0])
    return style.paint(cell, kind) if kind else cell


def _why(matrix: Matrix, style: Style) -> list[str]:
    """Each reason once: of what fires, is held or is not known."""
    judgements = [j for row in matrix.rows for d in (row.now, row.later) if d for j in d.judgements]
    width = max((len(j.rule.name.value) for j in judgements), default=0)
    told: dict[str, None] = {}
    for verdict, word in _SHOWN.items():
        for judgement in (j for j in judgements if j.verdict is verdict and verdict is not Verdict.NO):
            name, why = visible(judgement.rule.name.value), visible(words_of(judgement))
            told[f"{_painted(word.ljust(4), style)}  {name:<{width}}  {why}"] = None
    starred = any(row.kind == "pattern" for row in matrix.rows)
    return [*told, *(["* a build made up for a pattern, of which nothing else is known"] if starred else [])]
