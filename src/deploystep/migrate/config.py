"""The steps of a config that run commands, where these stand in the file, and changes of its lines.

What is not named in a change stays as it is, to the character. CircleCI docs, "Configuration reference": `run`,
`deploy` (deprecated), `commands`, `executors`, `environment`, `parameters`, `when`.
"""

import json
import re
from itertools import takewhile
from typing import Final, NamedTuple

from deploystep.migrate.shell import Uncertain
from deploystep.project.reading import Map, Node, Text, at, below, items_of, key_line, map_of, typed

_PLAIN: Final = re.compile(r"[A-Za-z_./][\w ./~@+=$%^:?!*&;|()<>\"'-]*")
_UNPLAIN: Final = re.compile(r":(?:\s|$)|\s#|^(?:true|false|yes|no|on|off|null)$|[ :]$", re.IGNORECASE)


class Step(NamedTuple):
    """A step `run` or `deploy`: its key, what stands below it, whose step it is, and its shell, empty for the usual."""

    key: Text
    value: Node
    owner: str
    shell: str

    @property
    def command(self) -> Text | None:
        found = self.value if isinstance(self.value, Text) else at(self.value, "command")
        return found if isinstance(found, Text) and found.strip() and typed(found) is not None else None


def steps(root: Map) -> list[Step]:
    """Every step that runs a command, each once, in the order of the file. A *job* called deploy is none."""
    found: dict[tuple[int, int], Step] = {}
    homes = [root, *(orb for orb in map_of(at(root, "orbs")).values() if isinstance(orb, Map))]
    sections = [(home, map_of(at(home, word))) for home in homes for word in ("jobs", "commands")]
    holders = [(str(name), body, home) for home, section in sections for name, body in section.items()]
    for owner, holder, home in [*holders, ("", root, root)]:
        executor = at(holder, "executor")
        name = executor if isinstance(executor, Text) else at(executor, "name")
        usual = at(holder, "shell") or at(home, "executors", str(name), "shell")
        own = at(home, "commands", "deploy")
        lists = (each for node in below(holder) if isinstance(node, Map) for each in node.items())
        for item in (item for key, each in lists if key not in ("jobs", "requires") for item in items_of(each)):
            word, value = next(iter(map_of(item).items()), (Text(""), Text("")))
            is_own = own is not None and isinstance(value, Map) and value.keys() <= map_of(at(own, "parameters")).keys()
            is_step = word == "run" or (word == "deploy" and not is_own)
            if is_step and isinstance(item, Map) and (len(item) == 1 or "command" in item):
                shell = at(value, "shell") or usual
                step = Step(word, value, owner, str(shell) if isinstance(shell, Text) else "")
                found.setdefault((word.line, word.column), step)
    return [found[place] for place in sorted(found)]


def values(root: Map) -> dict[str, str]:
    """What the config gives a text, anywhere: variables by their names, and defaults of parameters as they are used."""
    found: dict[str, str] = {}
    for node in below(root):
        found |= {str(n): str(text) for n, text in map_of(at(node, "environment")).items() if isinstance(text, Text)}
        for name, about in map_of(at(node, "parameters")).items():
            scope, default = "pipeline." if node is root else "", at(about, "default")
            found |= {f"{scope}parameters.{name}": str(default)} if isinstance(default, Text) and default else {}
    return found


class Written(NamedTuple):
    """A command as it stands in the file, from `start` up to `end`."""

    text: str  # as it is written in a literal block, else as YAML reads it
    raw: str  # what the file has for it
    start: tuple[int, int]
    end: tuple[int, int]
    indent: int | None  # that of a block
    can_change: bool  # it is a literal block, or stands on one line

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1, of the word that begins at a place in the text: the file has as many before it."""
        word, at, behind = "".join(self.text[offset:].split(maxsplit=1)[:1]) or "\0", 0, 0
        for _ in range(self.text.count(word, 0, offset) + 1):
            at = max(self.raw.find(word, behind), at)
            behind = at + len(word)
        line, column = self.start
        is_first = "\n" not in self.raw[:at]
        return line + self.raw.count("\n", 0, at), column + at if is_first else at - self.raw.rfind("\n", 0, at)


def written(node: Text, lines: list[str]) -> Written:
    """Find a command in the lines of its file."""
    sign, start = lines[node.line - 1][node.column - 1 :][:1], (node.line, node.column)
    if sign not in ("|", ">"):
        raw = "\n".join(lines[node.line - 1 : node.end[0]])[node.column - 1 :]
        return Written(str(node), raw, start, node.end, None, sign not in ("&", "!") and node.line == node.end[0])
    key, below = _width(lines[node.line - 1].replace("-", " ")), lines[node.line :]
    indent = next((_width(text) for text in below if text.strip()), 0)
    block = list(takewhile(lambda text: not text.strip() or _width(text) > key, below))
    raw = "\n".join(block).rstrip()
    block = [text[indent:].rstrip("\r") for text in raw.split("\n")]
    is_exact = sign == "|" and "\n".join(text.rstrip() for text in block).strip("\n") == str(node).strip("\n")
    text, end = "\n".join(block) if is_exact else str(node), (node.line + len(block) + 1, 1)
    return Written(text, raw, (node.line + 1, 1), end, indent, is_exact)


def _width(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


class Edit(NamedTuple):
    """Text between two places (line and column from 1; the end is behind it) that another takes the place of."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: str


def apply(text: str, edits: list[Edit]) -> str:
    """The text with every edit made. Line ends are those of the text."""
    lines = text.split("\n")
    for edit in sorted(edits, reverse=True):
        (first, column), (last, end) = edit.start, edit.end
        lines += [""] * (last - len(lines))
        new = edit.text.replace("\n", "\r\n") if "\r\n" in text else edit.text
        lines[first - 1 : last] = (lines[first - 1][: column - 1] + new + lines[last - 1][end - 1 :]).split("\n")
    return "\n".join(lines)


def insert(line: int, added: list[str]) -> Edit:
    """New lines before a line."""
    return Edit((line, 1), (line, 1), "".join(f"{text}\n" for text in added))


def end_of(root: Map, begin: int, lines: list[str]) -> int:
    """The line behind what stands under the key on a line, without the blank lines and comments at its end."""
    end = min((key.line for key in root if key.line > begin), default=len(lines) + 1)
    while re.fullmatch(r"\s*(?:#.*)?", lines[end - 2]):
        end -= 1
    return end


def scalar(text: str) -> str:
    """A text as YAML on one line: plain where that is safe, else quoted."""
    if "\n" in text:
        return json.dumps(text, ensure_ascii=False)
    return text if _PLAIN.fullmatch(text) and not _UNPLAIN.search(text) else "'" + text.replace("'", "''") + "'"


def rewritten(old: Written, new: list[str]) -> Edit:
    """The edit that puts another command in the place of one; its lines keep the indentation of the old ones."""
    if old.indent is None:
        return Edit(old.start, old.end, scalar("\n".join(new)))
    return Edit(old.start, old.end, "".join(f"{' ' * old.indent if text.strip() else ''}{text}\n" for text in new))


def gated_workflow(flag: str, job: str, root: Map, lines: list[str]) -> list[Edit]:
    """Declare a parameter that opens a new workflow of the job and shuts the others. Raises Uncertain."""
    jobs, workflows, version = map_of(at(root, "jobs")), at(root, "workflows"), at(root, "version")
    is_new = job in jobs and job not in map_of(workflows) and "a" <= flag[0] <= "z"
    if not is_new or not isinstance(version, Text) or at(root, "setup") or at(root, "parameters") is not None:
        raise Uncertain
    found = [insert(version.line + 1, ["parameters:", f"  {flag}: {{type: boolean, default: false}}"])]
    if version in ("2", "2.0"):
        if any("<<" in line and not re.match(r"\s*(?:-\s+)?<<:\s", line) for line in lines):
            raise Uncertain  # from 2.1 on it begins a parameter
        found.append(Edit((version.line, version.column), version.end, "2.1"))
    gate = f"<< pipeline.parameters.{flag} >>"
    new = [f"{job}:", f"  when: {gate}", "  jobs:", f"    - {job}"]
    if workflows is None and "build" in jobs:
        new = ["build:", f"  unless: {gate}", "  jobs:", "    - build", *new]
        return [*found, insert(len(lines) + bool(lines[-1]), ["workflows:", *(f"  {line}" for line in new)])]
    indent = _indent(root, "workflows", workflows)
    for name, workflow in map_of(workflows).items():
        if name == "version":
            continue
        if any(at(workflow, key) for key in ("when", "unless", "triggers")):
            raise Uncertain
        found.append(insert(map_of(workflow).line, [f"{_indent(map_of(workflows), name, workflow)}unless: {gate}"]))
    return [*found, insert(end_of(root, key_line(root, "workflows"), lines), [indent + line for line in new])]


def _indent(parent: Map, key: str, value: Node | None) -> str:
    """What stands before the keys of a map. Raises Uncertain where it is not a key a line, below its own key."""
    first = next(iter(value), None) if isinstance(value, Map) else None
    if not isinstance(first, Text) or not key_line(parent, key) < first.line == map_of(value).line:
        raise Uncertain
    return " " * (first.column - 1)
