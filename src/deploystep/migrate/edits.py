"""Changes of a file's lines: what is not named in a change stays as it is, to the character."""

import json
import re
from difflib import SequenceMatcher
from typing import Final, NamedTuple

from deploystep.migrate.steps import Written

_PLAIN: Final = re.compile(r"[A-Za-z_./~][\w ./~@+=$%^,:?!*&;|()<>\"'-]*")
_PLAIN_IN_FLOW: Final = re.compile(r"(?![\d.]*$)[A-Za-z0-9_][\w./@+-]*")
_UNPLAIN: Final = re.compile(r":(?:\s|$)|\s#|[\[\]{},]|^(?:true|false|yes|no|on|off|null|~)$|[ :]$", re.IGNORECASE)
_BEFORE: Final = re.compile(r"\s*(?:-\s+)*[\w\"'-]+\s*:\s*(?:&\S+\s+)?")


class Edit(NamedTuple):
    """Text between two places (line and column from 1; the end is behind it) that another takes the place of."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: str


def replaced_lines(edits: list[Edit]) -> frozenset[int]:
    """The lines that the edits change or take away, from 1."""
    found: set[int] = set()
    for (first, column), (last, end), _ in edits:
        if (first, column) != (last, end):
            found.update(range(first, last + (end > 1)))
    return frozenset(found)


def apply(text: str, edits: list[Edit]) -> str:
    """The text with every edit made. Line ends are those of the text."""
    is_crlf = "\r\n" in text
    lines = text.split("\n")
    for edit in sorted(edits, reverse=True):
        (first, column), (last, end) = edit.start, edit.end
        while len(lines) < last:
            lines.append("")
        new = edit.text.replace("\n", "\r\n") if is_crlf else edit.text
        joined = lines[first - 1][: column - 1] + new + lines[last - 1][end - 1 :]
        lines[first - 1 : last] = joined.split("\n")
    return "\n".join(lines)


def before(line: int, added: list[str]) -> Edit:
    """New lines before a line."""
    return Edit((line, 1), (line, 1), "".join(f"{text}\n" for text in added))


def scalar(text: str, *, is_flow: bool = False) -> str:
    """A text on one line as YAML: plain where that is safe, else quoted."""
    if "\n" in text:
        return json.dumps(text, ensure_ascii=False)
    if (_PLAIN_IN_FLOW if is_flow else _PLAIN).fullmatch(text) and not _UNPLAIN.search(text):
        return text
    return "'" + text.replace("'", "''") + "'"


def command(old: Written, new: str, lines: list[str]) -> list[Edit]:
    """The edits that put another command in the place of one; its lines keep the indentation of the old ones."""
    indent = " " * (old.column - 1)
    if old.first:
        was = [text.rstrip("\r") for text in lines[old.first - 1 : old.last]]
        block = [indent + text if text.strip() else text for text in new.split("\n")]
        edits = []
        for kind, i, j, a, b in SequenceMatcher(None, was, block, autojunk=False).get_opcodes():
            if kind != "equal":
                text = "".join(f"{line}\n" for line in block[a:b])
                edits.append(Edit((old.first + i, 1), (old.first + j, 1), text))
        header = lines[old.node.line - 1].find(">", old.node.column - 1)
        if old.kind == ">" and header >= 0:
            edits.append(Edit((old.node.line, header + 1), (old.node.line, header + 2), "|"))
        return edits
    line = lines[old.node.line - 1]
    start, end = (old.node.line, old.column), old.node.end
    rest = lines[end[0] - 1][end[1] - 1 :].strip()
    is_flow = not _BEFORE.fullmatch(line[: old.column - 1]) or bool(rest and not rest.startswith("#"))
    if "\n" not in new or is_flow:
        return [Edit(start, end, scalar(new, is_flow=is_flow))]
    key = len(line) - len(line.lstrip(" -"))
    body = "\n".join(" " * (key + 2) + text if text.strip() else text for text in new.split("\n"))
    tail = lines[end[0] - 1][end[1] - 1 :].rstrip("\r")
    return [Edit(start, (end[0], end[1] + len(tail)), f"|{tail}\n{body}")]
