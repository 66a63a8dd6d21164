"""The steps of a config that run commands, where these stand in the file, and changes of its lines.

What is not named in a change stays as it is, to the character. CircleCI docs, "Configuration reference": `run`,
`deploy` (deprecated), `commands`, `executors`, `environment`, `parameters`, `when`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Final, NamedTuple

from deploystep.core.frozen import dataclass
from deploystep.migrate.conditions import Uncertain
from deploystep.project.reading import Items, Map, Node, Text, at, items_of, key_line, map_of, typed

_STEP_LISTS: Final = frozenset({"steps", "pre-steps", "post-steps"})
_SHELL: Final = re.compile(r"\b(?:ba|z|da|a|k)?sh\b")
_PROPERTY: Final = re.compile(r"(?:[&!]\S*\s+)*")


class Step(NamedTuple):
    """A step `run` or `deploy`: its key, what stands below it, and whose step it is.

    `shell` is what carries the command out, empty for the usual one; `values` are variables and parameters that the
    config gives a text.
    """

    key: Text
    value: Node
    owner: str
    shell: str
    values: Mapping[str, str]

    @property
    def command(self) -> Text | None:
        """The command, where there is one."""
        found = self.value if isinstance(self.value, Text) else at(self.value, "command")
        return found if isinstance(found, Text) and found.strip() and typed(found) is not None else None

    @property
    def name(self) -> str:
        """The name that the step is given, or nothing."""
        found = at(self.value, "name")
        return str(found) if isinstance(found, Text) else ""

    @property
    def language(self) -> str:
        """The language of the command: shell, or empty for others."""
        return "shell" if not self.shell or _SHELL.search(self.shell) else ""


def steps(root: Map) -> list[Step]:
    """Every step that runs a command, each once, in the order of the file. A *job* called deploy is none."""
    found: dict[tuple[int, int], Step] = {}
    seen: set[int] = set()
    for owner, holder, of in _holders(root, root):
        executor = at(holder, "executor")
        name = executor if isinstance(executor, Text) else at(executor, "name")
        used = at(of, "executors", str(name)) if name is not None else None
        shell = at(holder, "shell") or at(used, "shell")
        values = _defaults(root, "pipeline.parameters.") | _environment(used) | _environment(holder) | _defaults(holder)
        for key, item in _items(holder, "", seen):
            word, value = next(iter(item.items()), (Text(""), Text("")))
            if _is_step(item, key, of):
                own = at(value, "shell") or shell
                all_values = values | _environment(value)
                step = Step(word, value, owner, str(own) if isinstance(own, Text) else "", all_values)
                found.setdefault((word.line, word.column), step)
    return [found[place] for place in sorted(found)]


def _holders(root: Map, of: Map) -> Iterator[tuple[str, Node, Map]]:
    """Jobs and commands, those of orbs in the config too, with the config or orb of each; then all the rest."""
    for section in ("jobs", "commands"):
        yield from ((str(name), body, of) for name, body in map_of(at(of, section)).items())
    for orb in map_of(at(of, "orbs")).values():
        yield from _holders(root, orb) if isinstance(orb, Map) else ()
    if of is root:
        yield "", root, root


def _items(node: Node, key: str, seen: set[int]) -> Iterator[tuple[str, Map]]:
    """The maps in lists below a node, each once, with the key of the list where that is one of steps or jobs."""
    if isinstance(node, Text) or id(node) in seen:
        return
    seen.add(id(node))
    for word, each in node.items() if isinstance(node, Map) else ((Text(key), item) for item in node):
        if isinstance(node, Items) and isinstance(each, Map):
            yield key, each
        yield from _items(each, str(word) if isinstance(node, Map) or key in _STEP_LISTS else "", seen)


def _defaults(node: Node, prefix: str = "parameters.") -> dict[str, str]:
    texts = {name: at(about, "default") for name, about in map_of(at(node, "parameters")).items()}
    return {f"{prefix}{name}": str(text) for name, text in texts.items() if isinstance(text, Text) and text}


def _environment(node: Node | None) -> dict[str, str]:
    found = at(node, "environment")
    maps = [map_of(each) for each in (found if isinstance(found, Items) else [found])]
    return {str(name): str(text) for each in maps for name, text in each.items() if isinstance(text, Text)}


def _is_step(item: Map, key: str, of: Map) -> bool:
    word, value = next(iter(item.items()), (Text(""), Text("")))
    command = at(value, "command")
    if word not in ("run", "deploy") or key == "jobs" or not (len(item) == 1 or "command" in item):
        return False
    if word == "run":
        return True
    own = at(of, "commands", "deploy")
    if own is not None and isinstance(value, Map) and value.keys() <= map_of(at(own, "parameters")).keys():
        return False  # a command of this config
    return key in _STEP_LISTS or command is not None or (key != "requires" and isinstance(value, Text))


@dataclass(frozen=True, slots=True)
class Written:
    """A command as it stands in the file. `first` and `last` are its lines (from 1) where it is a block, else 0.

    `text` is the command exactly as written in a literal block, else as YAML reads it; `column` is where a block's
    lines begin, or a scalar's text does; `raw` is what the file has for it, from `start` on.
    """

    node: Text
    text: str
    kind: str
    column: int
    first: int
    last: int
    raw: str
    start: tuple[int, int]

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
    line = lines[node.line - 1] if node.line <= len(lines) else ""
    found = _PROPERTY.match(line, node.column - 1)
    column = found.end() if found else node.column - 1
    kind = line[column : column + 1]
    if kind not in ("|", ">"):
        raw = "\n".join(lines[node.line - 1 : node.end[0]])[column:]
        return Written(node, str(node), kind, column + 1, 0, 0, raw, (node.line, column + 1))
    digit, below = re.match(r"[|>][+-]?(\d)", line[column:]), lines[node.line :]
    key = len(line) - len(line.lstrip(" -"))
    indent = key + int(digit[1]) if digit else next((_width(text) for text in below if text.strip()), 0)
    block = list(takewhile(lambda text: not text.strip() or _width(text) >= indent, below))
    while block and not block[-1].strip():
        block.pop()
    first, last, raw = node.line + 1, node.line + len(block), "\n".join(block)
    block = [text[indent:].rstrip("\r") for text in block]
    exact = "\n".join(text.rstrip() for text in block).strip("\n") == str(node).strip("\n")
    text = "\n".join(block) if kind == "|" and exact else str(node)
    return Written(node, text, kind if exact else ">", indent + 1, first, last, raw, (first, 1))


def _width(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


# --- changes

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
        lines += [""] * (last - len(lines))
        new = edit.text.replace("\n", "\r\n") if is_crlf else edit.text
        joined = lines[first - 1][: column - 1] + new + lines[last - 1][end - 1 :]
        lines[first - 1 : last] = joined.split("\n")
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


def scalar(text: str, *, is_flow: bool = False) -> str:
    """A text on one line as YAML: plain where that is safe, else quoted."""
    if "\n" in text:
        return json.dumps(text, ensure_ascii=False)
    if (_PLAIN_IN_FLOW if is_flow else _PLAIN).fullmatch(text) and not _UNPLAIN.search(text):
        return text
    return "'" + text.replace("'", "''") + "'"


def rewritten(old: Written, new: list[str], lines: list[str]) -> list[Edit]:
    """The edits that put another command in the place of one; its lines keep the indentation of the old ones."""
    if old.first:
        was = [text.rstrip("\r") for text in lines[old.first - 1 : old.last]]
        block = _indented(new, " " * (old.column - 1))
        edits = [
            Edit((old.first + i, 1), (old.first + j, 1), "".join(f"{line}\n" for line in block[a:b]))
            for kind, i, j, a, b in SequenceMatcher(None, was, block, autojunk=False).get_opcodes()
            if kind != "equal"
        ]
        header = lines[old.node.line - 1].find(">", old.node.column - 1)
        if old.kind == ">" and header >= 0:
            edits.append(Edit((old.node.line, header + 1), (old.node.line, header + 2), "|"))
        return edits
    line = lines[old.node.line - 1]
    start, end = (old.node.line, old.column), old.node.end
    tail = lines[end[0] - 1][end[1] - 1 :].rstrip("\r")
    is_flow = not _BEFORE.fullmatch(line[: old.column - 1]) or not re.fullmatch(r"\s*(?:#.*)?", tail)
    if len(new) == 1 or is_flow:
        return [Edit(start, end, scalar("\n".join(new), is_flow=is_flow))]
    key = len(line) - len(line.lstrip(" -"))
    return [Edit(start, (end[0], end[1] + len(tail)), "\n".join([f"|{tail}", *_indented(new, " " * (key + 2))]))]


def _indented(lines: list[str], indent: str) -> list[str]:
    return [indent + line if line.strip() else line for line in lines]


# --- a workflow behind a parameter


def gated_workflows(flags: dict[str, str], root: Map, lines: list[str]) -> list[Edit]:
    """Declare the parameters, let each open a workflow of its job, and keep the other workflows shut for them.

    Raises Uncertain where the config is not one to which that can be added.
    """
    jobs, workflows = map_of(at(root, "jobs")), at(root, "workflows")
    if at(root, "setup") is not None or any(job not in jobs or job in map_of(workflows) for job in flags.values()):
        raise Uncertain
    opens = [f"<< pipeline.parameters.{flag} >>" for flag in flags]
    shut = f"unless: {opens[0]}" if len(opens) == 1 else f"unless: {{or: [{', '.join(opens)}]}}"
    pairs = zip(flags.values(), opens, strict=True)
    new = [line for job, gate in pairs for line in (f"{job}:", f"  when: {gate}", "  jobs:", f"    - {job}")]
    found = _declared(flags, root, lines)
    if workflows is None:
        if "build" not in jobs:
            raise Uncertain
        new = ["build:", f"  {shut}", "  jobs:", "    - build", *new]
        return [*found, insert(len(lines) + bool(lines[-1]), ["workflows:", *(f"  {line}" for line in new)])]
    indent = _indent(root, "workflows", workflows)
    for name, workflow in map_of(workflows).items():
        if name == "version" or items_of(at(workflow, "triggers")):
            continue  # a schedule's workflow does not run for a trigger
        if at(workflow, "when") or at(workflow, "unless"):
            raise Uncertain
        found.append(insert(workflow.line, [_indent(map_of(workflows), name, workflow) + shut]))
    end = end_of(root, key_line(root, "workflows"), lines)
    return [*found, insert(end, [indent + line for line in new])]


def _declared(flags: dict[str, str], root: Map, lines: list[str]) -> list[Edit]:
    """The version that knows parameters, and a parameter for each flag."""
    version, declared = at(root, "version"), at(root, "parameters")
    if not isinstance(version, Text) or any(flag in map_of(declared) or not "a" <= flag[0] <= "z" for flag in flags):
        raise Uncertain
    found: list[Edit] = []
    if version in ("2", "2.0"):
        if any("<<" in line and not re.match(r"\s*(?:-\s+)?<<:\s", line) for line in lines):
            raise Uncertain  # from 2.1 on it begins a parameter
        found.append(Edit((version.line, version.column), version.end, "2.1"))
    indent = "  " if declared is None else _indent(root, "parameters", declared)
    new = [f"{indent}{flag}: {{type: boolean, default: false}}" for flag in flags]
    if declared is None:
        return [*found, insert(version.line + 1, ["parameters:", *new])]
    return [*found, insert(declared.line, new)]


def _indent(parent: Map, key: str, value: Node) -> str:
    """What stands before the keys of a map. Raises Uncertain where it is not a key a line, below its own key."""
    first = next(iter(value), None) if isinstance(value, Map) else None
    if first is None or not key_line(parent, key) < first.line == value.line:
        raise Uncertain
    return " " * (first.column - 1)
