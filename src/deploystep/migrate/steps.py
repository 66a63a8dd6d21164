"""The steps of a config that run commands, wherever they stand, and where each character of a command is in the file.

CircleCI docs, "Configuration reference": `run`, `deploy` (deprecated), `commands`, `executors`, `environment`.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Final, NamedTuple

from deploystep.core.frozen import dataclass
from deploystep.project.reading import Items, Map, Node, Text, at, map_of, typed

_STEP_LISTS: Final = frozenset({"steps", "pre-steps", "post-steps"})
_SHELL: Final = re.compile(r"\b(?:ba|z|da|a|k)?sh\b")
_WORD: Final = re.compile(r"(\S+)")
_ESCAPED: Final = re.compile(r"(?:\\[nrt]|\s)+|((?:\\[^nrt]|[^\s\\])+)")  # words of a double-quoted scalar
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
        """The language of the command: shell, python, or empty for others."""
        if not self.shell or _SHELL.search(self.shell):
            return "shell"
        return "python" if "python" in self.shell else ""


class _Around(NamedTuple):
    """What is known around a node."""

    owner: str = ""
    shell: str = ""
    values: Mapping[str, str] = {}


def steps(root: Map) -> list[Step]:
    """Every step that runs a command, each once, in the order of the file. A *job* called deploy is none."""
    around = _Around(values=_defaults(root, "pipeline.parameters."))
    found: dict[tuple[int, int], Step] = {}
    seen: set[tuple[int, str]] = set()
    # what an anchor elsewhere holds is a step of the job that repeats it
    for key in sorted(root, key=lambda key: key not in ("jobs", "commands")):
        for step in _steps(root[key], around, root, str(key), seen):
            found.setdefault((step.key.line, step.key.column), step)
    return sorted(found.values(), key=lambda step: (step.key.line, step.key.column))


def _defaults(node: Node, prefix: str = "parameters.") -> dict[str, str]:
    declared = map_of(at(node, "parameters"))
    texts = {name: at(about, "default") for name, about in declared.items()}
    return {f"{prefix}{name}": str(text) for name, text in texts.items() if isinstance(text, Text) and text}


def _environment(node: Node | None) -> dict[str, str]:
    found = at(node, "environment")
    maps = [map_of(each) for each in (found if isinstance(found, Items) else [found])]
    return {str(name): str(text) for each in maps for name, text in each.items() if isinstance(text, Text)}


def _steps(node: Node, around: _Around, root: Map, key: str, seen: set[tuple[int, str]]) -> Iterator[Step]:
    """The steps below a node, which stands under a key. Each node is `seen` once for what its key makes of it."""
    place = (id(node), key if key in ("jobs", "commands", "orbs") else "steps" if key in _STEP_LISTS else "")
    if isinstance(node, Text) or place in seen:
        return
    seen.add(place)
    if isinstance(node, Items):
        for item in node:
            step = _step(item, around, key, root) if isinstance(item, Map) and key != "jobs" else None
            if step is not None:
                yield step
            else:
                yield from _steps(item, around, root, key if key in _STEP_LISTS else "", seen)
        return
    executor = at(node, "executor")
    name = executor if isinstance(executor, Text) else at(executor, "name")
    used = at(root, "executors", str(name)) if name is not None else None
    shell = at(node, "shell") or at(used, "shell")
    values = {**around.values, **_environment(used), **_environment(node), **_defaults(node)}
    inner = _Around(around.owner, str(shell) if isinstance(shell, Text) else around.shell, values)
    for word, value in node.items():
        owner = inner._replace(owner=str(word)) if key in ("jobs", "commands") else inner
        yield from _steps(value, owner, root if key != "orbs" else map_of(value), str(word), seen)


def _step(item: Map, around: _Around, key: str, root: Map) -> Step | None:
    word, value = next(iter(item.items()), (Text(""), Text("")))
    command = at(value, "command")
    if word not in ("run", "deploy") or not (len(item) == 1 or "command" in item):
        return None
    if word == "deploy":
        own = at(root, "commands", "deploy")
        if own is not None and isinstance(value, Map) and value.keys() <= map_of(at(own, "parameters")).keys():
            return None  # a command of this config
        if key not in _STEP_LISTS and command is None and (key == "requires" or not isinstance(value, Text)):
            return None
    shell = at(value, "shell")
    values = {**around.values, **_environment(value)}
    return Step(word, value, around.owner, str(shell) if isinstance(shell, Text) else around.shell, values)


@dataclass(frozen=True, slots=True)
class Written:
    """A command as it stands in the file. `first` and `last` are its lines (from 1) where it is a block, else 0.

    `text` is the command exactly as written in a literal block, else as YAML reads it; `column` is where a block's
    lines begin, or a scalar's text does.
    """

    node: Text
    text: str
    kind: str
    column: int
    first: int
    last: int
    starts: tuple[tuple[int, int], ...]

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1, of a character of the text."""
        if self.kind == "|":
            line = self.text.count("\n", 0, offset)
            return self.first + line, self.column + offset - (self.text.rfind("\n", 0, offset) + 1)
        words = f"{self.text[:offset]}.".split()  # the last is the one that begins or goes on here
        line, column = self.starts[min(len(words), len(self.starts)) - 1]
        return line, column + len(words[-1]) - 1


def written(node: Text, lines: list[str]) -> Written:
    """Find a command in the lines of its file."""
    line = lines[node.line - 1] if node.line <= len(lines) else ""
    found = _PROPERTY.match(line, node.column - 1)
    column = found.end() if found else node.column - 1
    kind = line[column : column + 1]
    if kind not in ("|", ">"):
        quote = kind if kind in ("'", '"') else ""
        starts = tuple(_words(lines, (node.line, column + len(quote)), node.end, _ESCAPED if kind == '"' else _WORD))
        return Written(node, str(node), quote or "plain", column + 1, 0, 0, starts)
    digit, below = re.match(r"[|>][+-]?(\d)", line[column:]), lines[node.line :]
    key = len(line) - len(line.lstrip(" -"))
    indent = key + int(digit[1]) if digit else next((_width(text) for text in below if text.strip()), 0)
    block = list(takewhile(lambda text: not text.strip() or _width(text) >= indent, below))
    while block and not block[-1].strip():
        block.pop()
    first, last = node.line + 1, node.line + len(block)
    block = [text[indent:].rstrip("\r") for text in block]
    exact = "\n".join(text.rstrip() for text in block).strip("\n") == str(node).strip("\n")
    starts = tuple(_words(lines, (first, 0), (last + 1, 0), _WORD))
    text = "\n".join(block) if kind == "|" and exact else str(node)
    return Written(node, text, kind if exact else ">", indent + 1, first, last, starts)


def _width(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def _words(
    lines: list[str], start: tuple[int, int], end: tuple[int, int], word_of: re.Pattern[str]
) -> Iterator[tuple[int, int]]:
    """Where each word begins, from a line and an offset in it up to a place."""
    for number in range(start[0], min(end[0], len(lines)) + 1):
        first = start[1] if number == start[0] else 0
        last = end[1] - 1 if number == end[0] else len(lines[number - 1])
        starts = (word.start(1) for word in word_of.finditer(lines[number - 1], first, last) if word[1])
        yield from ((number, start + 1) for start in starts)
