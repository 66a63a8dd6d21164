"""Which triggers of CircleCI's API a script sends: shell by following its values, other languages by their shape."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from posixpath import normpath
from typing import Final, NamedTuple

from deploystep.migrate import requests, shell
from deploystep.migrate.requests import Request
from deploystep.migrate.shell import TAG, Command, List, Unreadable, Word

_VALUE: Final = (
    rf"(?P<tag>{TAG.pattern})|\$\{{(?P<braced>(?:[^{{}}]|\$\{{[^{{}}]*\}})*)\}}|\$(?P<bare>\w+|[@*#?$!-])"
    r"|(?P<command>\$\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)|`[^`]*`)|(?P<plain>(?s:.))"
)
_PIECE: Final = re.compile(
    r"'(?P<single>[^']*)'|\"(?P<double>(?:[^\"\\$`]|\\(?s:.)|\$\((?:[^()]|\([^()]*\))*\)|\$\{[^}]*\}|`[^`]*`|\$)*)\""
    rf"|\\(?P<escaped>(?s:.))|{_VALUE}"
)
_INNER: Final = re.compile(rf"\\(?P<escaped>[$`\"\\\n])|{_VALUE}")  # in double quotes, and in a here-document
_DEFAULT: Final = re.compile(r"(\w+)(?::?[-=](.*))?", re.DOTALL)
_RUNS_TEXT: Final = frozenset({
    "bash", "sh", "zsh", "dash", "eval", "ssh", "su", "xargs", "docker", "sudo", "time", "retry", "env", "timeout",
    "nohup",
})  # fmt: skip
_DECLARES: Final = frozenset({"local", "export", "declare", "readonly", "typeset"})
_INTERPRETER: Final = re.compile(r"(?:python|ruby|node|perl|php|pwsh|deno|bun)[\d.]*")
_IN_TEXT: Final = re.compile(r"\bcurl\b|\bwget\b|/api/v|\bhttp\b")
_MAY_CALL: Final = re.compile(r"/api/|project/|build_parameters|/pipeline|(?:^|\s)(?:\.|source)\s")
_MOST_DEEP: Final = 6
_MOST_STEPS: Final = 20_000
Read = Callable[[str], "str | None"]
Place = Callable[[int], int]  # where in a file an offset of the text at hand is


class Call(NamedTuple):
    """A request, and where its command begins: in the file `path`, or in the script itself where that is empty.

    `is_plain`: the command stands in the script itself, not in a function, a loop or a text that another shell reads,
    and is sure. `is_sure`: nothing that it sends is guessed or depends on conditions.
    """

    offset: int
    request: Request
    is_plain: bool = False
    path: str = ""
    is_sure: bool = True


def in_text(text: str, language: str, values: Mapping[str, str], read: Read, path: str = "") -> list[Call]:
    """The calls in a script, which is the file `path` or stands in a config.

    `language` is shell or empty for others; `values` are variables, `read` gives named files.
    """
    if not values and not _MAY_CALL.search(text):
        return []
    if language != "shell":
        return [call._replace(path=path) for call in _by_shape(text)]
    walk = _Walk(values, read, path)
    walk.script(text)
    found: dict[tuple[str, int, str, str], Call] = {}
    called = {(call.path, call.offset) for call in walk.calls}
    for call in [*walk.calls, *(call for call in walk.defined if (call.path, call.offset) not in called)]:
        found.setdefault((call.path, call.offset, call.request.endpoint, call.request.api), call)
    return sorted(found.values(), key=lambda call: call.offset)


class _Walk:
    """A script as far as it can be carried out without doing anything."""

    def __init__(self, values: Mapping[str, str], read: Read, path: str) -> None:
        self.read = read
        self.values = dict(values)
        self.unsure = dict(self.values)  # other jobs may give others, and who calls a command another parameter
        self.is_sure = True
        self.functions: dict[str, tuple[Command, tuple[str, Place]]] = {}
        self.files: dict[str, str] = {}
        self.calls: list[Call] = []
        self.defined: list[Call] = []  # in functions, whether or not they are called
        self.steps = 0
        self.depth = 0  # of loops, functions and texts
        self.where: tuple[str, Place] = (path, lambda offset: offset)  # the text at hand

    def script(self, text: str) -> None:
        """Carry out a text; of one that is no bash, the shape tells."""
        try:
            self.commands(shell.parse(text).body)
        except Unreadable:
            self.add(0, _by_shape(text))

    def commands(self, commands: List) -> None:
        for item in commands.items:
            self.steps += 1
            if self.steps < _MOST_STEPS:
                self.node(item)

    def node(self, node: Command) -> None:
        if node.kind == "simple":
            self.simple(node)
        elif node.kind == "function":
            self.functions[node.words[0].raw] = (node, self.where)
            calls, self.calls = self.calls, []
            self.within(node.branches[0].body, self.where, {})
            self.defined, self.calls = self.defined + self.calls, calls
        elif node.kind == "group":
            self.commands(node.branches[0].body)
        elif node.kind == "loop":
            if node.words:
                name, *words = (text for word in node.words for text in self.expand(word.raw))
                is_one = len(words) == 1 and "$" not in words[0]
                self.values[name] = words[0] if is_one else f"${{{name}}}"
            for each in (node.branches[0].test, node.branches[0].body):
                self.within(each or List((), 0, 0), self.where)
        else:
            for branch in node.branches:
                self.commands(branch.test or List((), 0, 0))
                before = dict(self.values)
                self.commands(branch.body)
                # it may not run: what it assigns is no certain value
                self.unsure |= {name: value for name, value in self.values.items() if value != before.get(name)}

    def within(self, body: List | str, where: tuple[str, Place], values: Mapping[str, str] | None = None) -> None:
        """Carry out commands of a loop, of a text that stands elsewhere, or of a function that is given `values`."""
        if self.depth >= _MOST_DEEP:
            return
        around, mine = self.where, self.values
        self.where, self.values = where, mine if values is None else {**mine, **values}
        self.depth += 1
        if isinstance(body, str):
            self.script(body)
        else:
            self.commands(body)
        self.depth -= 1
        self.where, self.values = around, self.values if values is None else mine

    def inner(self, start: int, quoted: str = "") -> tuple[str, Place]:
        """The places in a text that begins at an offset; in a quoted one, each single quote has four characters."""
        path, place = self.where
        return path, lambda offset: place(start + offset + 3 * quoted.count("'", 0, offset))

    def nested(self, word: Word) -> None:
        for start, text in word.inner:
            self.within(text, self.inner(start))

    def simple(self, node: Command) -> None:
        for assignment in node.assignments:
            self.nested(assignment.value)
            self.assign(assignment.name, assignment.value.raw, adds=assignment.adds)
        for word in node.words:
            self.nested(word)
        self.is_sure = True
        words = [text for word in node.words for text in self.expand(word.raw)]
        first = words[0].rpartition("/")[2] if words else ""
        self.heredocs(node, first)
        if first in _DECLARES:
            for word in node.words[1:]:
                name, equals, value = word.raw.partition("=")
                if equals:
                    self.assign(name, value)
        elif first in self.functions and first not in ("curl", "wget"):
            function, where = self.functions[first]
            given = {str(i): text for i, text in enumerate(words[1:], 1)}
            values = {**given, "@": " ".join(words[1:]), "*": " ".join(words[1:])}
            self.within(function.branches[0].body, where, values)
        elif first in (".", "source") and len(words) > 1:
            folder = self.where[0].rpartition("/")[0] or "."
            path = normpath(re.sub(r"^\$\{\w+\}/", f"{folder}/", words[1]))  # `$(dirname "$0")/lib.sh`
            self.within(self.read(path) or "", (path, lambda offset: offset))
        elif words:
            self.request(node, words)

    def heredocs(self, node: Command, first: str) -> None:
        for heredoc in node.heredocs:
            self.files |= {self.pieces(to.raw): self.pieces(heredoc.raw, _INNER) for to in node.redirections}
            if _INTERPRETER.fullmatch(first):
                self.add(heredoc.start, _by_shape(heredoc.raw))
            elif first in _RUNS_TEXT:
                self.within(heredoc.raw, self.inner(heredoc.start))

    def add(self, start: int, calls: Iterable[Call]) -> None:
        """Note calls in a text that begins at an offset."""
        path, place = self.where
        self.calls += [call._replace(offset=place(start + call.offset), path=path) for call in calls]

    def request(self, node: Command, words: list[str]) -> None:
        """Whether a command sends a request, or has a text carried out that does."""
        if words[0] == "deploystep" and "--" in words[:-1]:
            words = words[words.index("--") + 1 :]  # what `gate` executes
        given = {**self.files, "-": "".join(self.pieces(each.raw, _INNER) for each in node.heredocs)}
        found = requests.read(words, given)
        if found is not None:
            is_plain = self.depth == 0 and self.is_sure and node.first == "curl"
            self.add(node.start, [Call(0, found, is_plain, is_sure=self.is_sure)])
            return
        first = words[0].rpartition("/")[2]
        text = next((word for word in words[1:] if re.search(r"\s", word) and _IN_TEXT.search(word)), None)
        if text is not None and _INTERPRETER.fullmatch(first):
            self.add(node.start, (call._replace(offset=0) for call in _by_shape(text)))
        elif text is not None and first in _RUNS_TEXT:
            raw = "'" + text.replace("'", "'\\''") + "'"
            start = next((word.start + 1 for word in node.words if word.raw == raw), None)
            path, place = self.where
            here = place(node.start)
            self.within(text, (path, lambda _: here) if start is None else self.inner(start, text))

    # --- values

    def assign(self, name: str, raw: str, *, adds: bool = False) -> None:
        """`NAME=value`, also of a list of words, whose texts are joined."""
        before, self.is_sure = self.values.get(name, "") if adds else "", True
        is_list = raw.startswith("(") and raw.endswith(")")
        self.values[name] = f"{before} {self.pieces(raw[1:-1])}" if is_list else before + self.pieces(raw)
        if not self.is_sure:
            self.unsure[name] = self.values[name]

    def expand(self, raw: str) -> list[str]:
        """The words that a word stands for. A value that is not known stays as `${NAME}`."""
        whole = re.fullmatch(r'"?\$(?:\{(\w+|@)(?:\[[@*]\])?\}|(\w+|@))"?', raw)
        is_list = "@" in raw or "[*]" in raw or raw[:1] == "$"
        return self.value(whole[1] or whole[2]).split() if whole and is_list else [self.pieces(raw)]

    def pieces(self, raw: str, pattern: re.Pattern[str] = _PIECE) -> str:
        text = ""
        for piece in pattern.finditer(raw):
            kind, value = piece.lastgroup or "", piece[piece.lastgroup or 0]
            if kind in ("single", "plain"):
                text += value
            elif kind == "double":
                text += self.pieces(value, _INNER)
            elif kind == "escaped":
                text += "" if value == "\n" else value
            elif kind == "tag":
                name, self.is_sure = value.strip("<> "), False
                text += self.values.get(name, f"${{{name}}}")
            elif kind == "command":
                text += self.output(value)
            else:
                text += self.value(value)
        return text

    def output(self, command: str) -> str:
        """What a substituted command prints, where it prints a here-document."""
        try:
            items = shell.parse(command.strip("`").removeprefix("$(").removesuffix(")")).body.items
        except Unreadable:
            return "${_}"
        if len(items) == 1 and items[0].heredocs and items[0].first == "cat":
            return self.pieces(items[0].heredocs[0].raw, _INNER)
        return "${_}"

    def value(self, reference: str) -> str:
        """What `${…}` stands for."""
        found = _DEFAULT.fullmatch(reference)
        name = found[1] if found else re.sub(r"\W.*", "", reference, flags=re.DOTALL)
        if found and name in self.values:
            self.is_sure &= self.unsure.get(name) != self.values[name]
            return self.values[name]
        self.is_sure &= bool(found and not found[2])
        return self.pieces(found[2]) if found and found[2] else f"${{{name or '_'}}}"


# --- other languages

_POSTS: Final = re.compile(r"(?i)(?:\b|_|http|do)post(?!gres|fix|ed|er|s\b)|\s(?:-d|--data[a-z-]*)[\s=]")
_READS: Final = re.compile(r"(?i)(?:(?<!-)\b|[._])get\b|get_contents|open\(|request\(|fetch\(|[?&](?:limit|filter)=")
_IN_PARTS: Final = re.compile(r"/api/v1(?:\.1)?\b(?=(?s:.*)(?:build_parameters|/tree/|/build\b|/retry\b|/ssh\b))")
_ADDRESS: Final = re.compile(
    r"[\w:/.${}@()+-]*/api/v1(?:\.1)?/project/[^\s\"'`,;)]*(?:[\"'`]\s*[+.]\s*[\"'`]?[^\s,;)]*)*"
)
_VALUE_IN_IT: Final = re.compile(r"\$\w+|[\"'`]\s*[+.]\s*[\w.()\[\]]*(?:\s*[+.]\s*[\"'`])?")
_COMMENT: Final = re.compile(r"\s*(?:#|//|\*|--|rem ).*", re.IGNORECASE)


def _by_shape(text: str) -> Iterator[Call]:
    """Addresses outside of comments, unless all that the script does is to read from them."""
    code = "\n".join(
        re.sub(r".", " ", line) if _COMMENT.match(line) else re.sub(r"[#$]\{[^{}]*\}", _blanked, line)
        for line in text.split("\n")
    )
    is_known = False
    for found in _ADDRESS.finditer(code):
        request = requests.endpoint(_VALUE_IN_IT.sub("${_}", found[0]), {})
        is_known |= request is not None
        sends = request and (request.endpoint in ("build", "retry", "ssh") or not _READS.search(code))
        if request and (sends or _POSTS.search(code)):
            yield Call(found.start() + found[0].index("/api/v1"), request)
    in_parts = None if is_known else _IN_PARTS.search(code)
    if in_parts and "circle" in code.lower() and _POSTS.search(code):
        yield Call(in_parts.start(), Request("v1.1", "trigger"))


def _blanked(found: re.Match[str]) -> str:
    """A value that is put in, as long as before and without what it is."""
    return "${" + "_" * (len(found[0]) - 3) + "}"
