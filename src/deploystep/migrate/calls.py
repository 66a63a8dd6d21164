"""Which triggers of CircleCI's API a script sends: shell by following its values, other languages by their shape."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from posixpath import normpath
from typing import Final, NamedTuple

from deploystep.migrate import requests, shell
from deploystep.migrate.requests import Request
from deploystep.migrate.shell import TAG, Case, Group, If, List, Loop, Node, Simple, Test, Unreadable, Word

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
_IN_TEXT: Final = re.compile(r"\bcurl\b|\bwget\b|/api/v|\bhttp\b")
_MAY_CALL: Final = re.compile(r"/api/|project/|build_parameters|/pipeline|(?:^|\s)(?:\.|source)\s")
_MOST_DEEP: Final = 6
_MOST_STEPS: Final = 20_000
Read = Callable[[str], "str | None"]


class Call(NamedTuple):
    """A request, and the offset in the script where its command begins.

    `is_plain`: the command stands in the script itself, not in a function, a loop or a text that another shell reads,
    and nothing that it sends is guessed. `varies`: what it sends depends on conditions or on who calls it. `sent_at`:
    where what sends it stands in a function or a file that is read there: the path of that file, empty for the script
    itself, and the offset.
    """

    offset: int
    request: Request
    is_plain: bool
    sent_at: tuple[str, int] | None = None
    varies: bool = False


def in_text(text: str, language: str, values: Mapping[str, str], read: Read, path: str = "") -> list[Call]:
    """The calls in a script, which is the file `path` or stands in a config.

    `language` is shell, python or empty; `values` are variables, `read` gives named files.
    """
    if not values and not _MAY_CALL.search(text):
        return []
    if language == "python":
        found = list(_in_python(text))
    elif language == "shell":
        walk = _Walk({name: (value,) for name, value in values.items()}, read, path)
        found = walk.script(text)
        sent = {call.sent_at for call in found}
        unsent = [call for call in walk.defined if (call.sent_at or ("", call.offset)) not in sent]
        sent = {call.sent_at for call in unsent}
        found = [*found, *(call for call in unsent if call.sent_at or ("", call.offset) not in sent)]
    else:
        found = list(_by_shape(text))
    first: dict[tuple[int, tuple[str, int] | None, str, str], Call] = {}
    for call in found:
        first.setdefault((call.offset, call.sent_at, call.request.endpoint, call.request.api), call)
    return sorted(first.values(), key=lambda call: call.offset)


#: Words of compound commands within a line of which the beginning or the end is elsewhere.
_WITHIN: Final = re.compile(r"(;[\s\\]*)(then|do|else|fi|done|esac|\})(?=[\s;]|$)")


class _Walk:
    """A script as far as it can be carried out without doing anything."""

    def __init__(self, values: dict[str, tuple[str, ...]], read: Read, path: str) -> None:
        self.path = path
        self.values = values
        self.read = read
        self.functions: dict[str, tuple[Group, str | None, Callable[[int], int]]] = {}  # with `file` and `place`
        self.files: dict[str, str] = {}
        self.calls: list[Call] = []
        self.defined: list[Call] = []  # in functions, whether or not they are called
        self.unsure = dict(values)  # other jobs may give others, and who calls a command another parameter
        self.depth = 0
        self.steps = 0
        self.file: str | None = ""  # that the script is read from; None for a text that stands nowhere as it is
        self.place: Callable[[int], int] = lambda offset: offset  # in that file, of an offset in the text at hand
        self.at: int | None = None  # where everything is that is found, while a function or a text is looked through
        self.is_plain = True
        self.is_sure = True

    def script(self, text: str) -> list[Call]:
        """Every call of the text. What cannot be read as a whole is read line by line."""
        try:
            self.commands(shell.parse(text).body)
        except Unreadable:
            for line in re.finditer(r"(?:[^\n\\]|\\(?s:.))+", text):
                bare = re.sub(r"^\s*(?:(?:then|do|else|if|elif|while|!|\{)\s+)*", "", line[0])
                bare = _WITHIN.sub(lambda found: found[1] + " " * len(found[2]), bare)
                try:
                    body = shell.parse(bare).body
                except Unreadable:
                    continue
                before, self.place = self.place, self.inner(line.end() - len(bare))
                self.is_plain = False
                self.commands(body)
                self.place = before
        return self.calls

    def commands(self, commands: List) -> None:
        for item in commands.items:
            self.steps += 1
            if self.steps < _MOST_STEPS:
                self.node(item.node)

    def node(self, node: Node) -> None:
        if isinstance(node, Simple):
            self.simple(node)
        elif isinstance(node, If):
            for condition, body in node.branches:
                self.commands(condition)
                self.perhaps(body)
            self.perhaps(node.otherwise or List(()))
        elif isinstance(node, Case):
            for _, body in node.arms:
                self.perhaps(body)
        elif isinstance(node, Loop):
            words = [text for word in node.words for text in self.expand(word.raw)]
            self.values[node.variable] = (
                tuple(words) if len(words) == 1 and "$" not in words[0] else (f"${{{node.variable}}}",)
            )
            self.within(node.body)
        elif isinstance(node, Group) and node.name:
            self.define(node)
        elif isinstance(node, Group):
            self.commands(node.body)
        elif isinstance(node, Test):
            self.nested(Word(node.inner, node.start + 2))

    def perhaps(self, body: List) -> None:
        """Commands that may not run: what they assign is no certain value."""
        before = dict(self.values)
        self.commands(body)
        for name in self.values:
            if self.values[name] != before.get(name):
                self.unsure[name] = self.values[name]

    def within(self, body: List, values: Mapping[str, tuple[str, ...]] | None = None) -> None:
        """Commands of a loop, or of a function that is given `values`."""
        if self.depth >= _MOST_DEEP:
            return
        is_plain, mine, self.is_plain = self.is_plain, self.values, False
        self.depth += 1
        if values is not None:
            self.values = {**mine, **values}
        self.commands(body)
        self.values = mine if values is not None else self.values
        self.depth, self.is_plain = self.depth - 1, is_plain

    def define(self, node: Group) -> None:
        """A function, whose commands may never be called."""
        self.functions[node.name] = (node, self.file, self.place)
        if self.at is None:  # else its file is looked through by itself
            calls, self.calls = self.calls, []
            self.within(node.body, {})
            self.defined, self.calls = self.defined + self.calls, calls

    def called(self, node: Simple, words: list[str]) -> None:
        """The commands of a function that is called."""
        around = self.file, self.place, self.at
        function, file, place = self.functions[words[0]]
        self.file, self.place, self.at = file, place, self._seen(node.start)
        given = {str(i): (text,) for i, text in enumerate(words[1:], 1)}
        self.within(function.body, {**given, "@": tuple(words[1:]), "*": tuple(words[1:])})
        self.file, self.place, self.at = around

    def text(self, text: str, start: int, place: Callable[[int], int] | None = None, file: str | None = None) -> None:
        """Commands in a text: at each `place` as it stands in the script, or somewhere at `start`, or in a file."""
        if self.depth >= _MOST_DEEP:
            return
        around = self.is_plain, self.depth, self.file, self.place, self.at
        self.is_plain, self.depth = False, self.depth + 1
        if place is None:
            self.file, self.place, self.at = file, lambda offset: offset, self._seen(start)
        else:
            self.place = place
        self.script(text)
        self.is_plain, self.depth, self.file, self.place, self.at = around

    def inner(self, start: int, quoted: str = "") -> Callable[[int], int]:
        """The places in a text that begins at an offset; in a quoted one, each single quote has four characters."""
        outer = self.place
        return lambda offset: outer(start + offset + 3 * quoted.count("'", 0, offset))

    def nested(self, word: Word) -> None:
        for offset, text in shell.substitutions(word.raw) if "$(" in word.raw or "`" in word.raw else ():
            self.text(text, word.start, self.inner(word.start + offset))

    def simple(self, node: Simple) -> None:
        for assignment in node.assignments:
            self.nested(assignment.value)
            self.assign(assignment.name, assignment.value.raw, adds=assignment.adds)
        for word in node.words:
            self.nested(word)
        self.is_sure = True
        words = [text for word in node.words for text in self.expand(word.raw)]
        for heredoc in node.heredocs:
            self.files.update(
                {self.one(target.raw): self._pieces(heredoc.body, _INNER) for target in node.redirections}
            )
            self.heredoc(words, heredoc.body, heredoc.start)
        if not words:
            return
        if words[0] in _DECLARES:
            for word in node.words[1:]:
                name, equals, value = word.raw.partition("=")
                if equals:
                    self.assign(name, value)
        elif words[0] in self.functions and words[0] not in ("curl", "wget"):
            self.called(node, words)
        elif words[0] in (".", "source") and len(words) > 1:
            folder = (self.file or self.path).rpartition("/")[0]
            path = normpath(re.sub(r"^\$\{\w+\}/", f"{folder or '.'}/", words[1]))  # `$(dirname "$0")/lib.sh`
            self.text(self.read(path) or "", node.start, file=path)
        else:
            self.request(node, words)

    def heredoc(self, words: list[str], body: str, start: int) -> None:
        first = words[0].rpartition("/")[2] if words else ""
        if read := _reader(first):
            self.add(start, read(body))
        elif first in _RUNS_TEXT:
            self.text(body, start, self.inner(start))

    def add(self, start: int, calls: Iterable[Call]) -> None:
        """Note calls in a text that begins at an offset."""
        for call in calls:
            offset = start + call.offset
            sent_at = None if self.at is None or self.file is None else (self.file, self.place(offset))
            self.calls.append(call._replace(offset=self._seen(offset), sent_at=sent_at))

    def _seen(self, offset: int) -> int:
        """Where in the script something is that stands at an offset of the text at hand."""
        return self.place(offset) if self.at is None else self.at

    def request(self, node: Simple, words: list[str]) -> None:
        """Whether a command sends a request, or has a text carried out that does."""
        if words[0] == "deploystep" and "--" in words[:-1]:
            words = words[words.index("--") + 1 :]  # what `gate` executes
        given = {**self.files, "-": "".join(self._pieces(h.body, _INNER) for h in node.heredocs)}
        found = requests.read(words, given)
        if found is not None:
            is_plain = self.is_plain and self.is_sure and node.words[0].raw == "curl"
            self.add(node.start, [Call(0, found, is_plain, varies=not self.is_sure)])
            return
        first = words[0].rpartition("/")[2]
        text = next((word for word in words[1:] if re.search(r"\s", word) and _IN_TEXT.search(word)), None)
        if text is not None and (read := _reader(first)):
            self.add(node.start, [c._replace(offset=0) for c in read(text)])
        elif text is not None and first in _RUNS_TEXT | set(self.functions):
            raw = "'" + text.replace("'", "'\\''") + "'"
            start = next((word.start + 1 for word in node.words if word.raw == raw), None)
            self.text(text, node.start, None if start is None else self.inner(start, text))
        elif first in ("bash", "sh", "source") and len(words) > 1 and words[1] in self.files:
            self.text(self.files[words[1]], node.start)

    # --- values

    def assign(self, name: str, raw: str, *, adds: bool = False) -> None:
        """`NAME=value`, also of a list of words."""
        before, self.is_sure = self.values.get(name, ()) if adds else (), True
        if raw.startswith("(") and raw.endswith(")"):
            try:
                items = shell.parse(raw[1:-1].replace("\n", " ")).body.items
            except Unreadable:
                items = ()
            words = [w for item in items if isinstance(item.node, Simple) for w in item.node.words]
            self.values[name] = before + tuple(text for word in words for text in self.expand(word.raw))
        else:
            self.values[name] = ("".join(before) + self.one(raw),)
        if not self.is_sure:
            self.unsure[name] = self.values[name]

    def one(self, raw: str) -> str:
        """The text that a word stands for."""
        return " ".join(self.expand(raw, splits=False))

    def expand(self, raw: str, *, splits: bool = True) -> list[str]:
        """The words that a word stands for. A value that is not known stays as `${NAME}`."""
        whole = re.fullmatch(r'"?\$(?:\{(\w+|@)(?:\[[@*]\])?\}|(\w+|@))"?', raw)
        if splits and whole:
            values = self.value(whole[1] or whole[2])
            is_list = "@" in raw or "[*]" in raw
            return list(values) if is_list else " ".join(values).split() if raw[0] == "$" else [" ".join(values)]
        return [self._pieces(raw)]

    def _pieces(self, raw: str, pattern: re.Pattern[str] = _PIECE) -> str:
        text = ""
        for piece in pattern.finditer(raw):
            kind, value = piece.lastgroup or "", piece[piece.lastgroup or 0]
            if kind in ("single", "plain"):
                text += value
            elif kind == "double":
                text += self._pieces(value, _INNER)
            elif kind == "escaped":
                text += "" if value == "\n" else value
            elif kind == "tag":
                text += self.tag(value)
            elif kind == "command":
                text += self.output(value)
            else:
                text += " ".join(self.value(value))
        return text

    def tag(self, tag: str) -> str:
        name, self.is_sure = tag.strip("<> "), False
        return self.values.get(name, (f"${{{name}}}",))[0]

    def output(self, command: str) -> str:
        """What a substituted command prints, where it prints a here-document."""
        try:
            items = shell.parse(command.strip("`").removeprefix("$(").removesuffix(")")).body.items
        except Unreadable:
            return "${_}"
        node = items[0].node if len(items) == 1 else None
        if isinstance(node, Simple) and node.heredocs and node.words and node.words[0].raw == "cat":
            return self._pieces(node.heredocs[0].body, _INNER)
        return "${_}"

    def value(self, reference: str) -> tuple[str, ...]:
        """What `${…}` stands for."""
        found = _DEFAULT.fullmatch(reference)
        name = found[1] if found else re.sub(r"\W.*", "", reference, flags=re.DOTALL)
        if found and name in self.values:
            self.is_sure &= self.unsure.get(name) is not self.values[name]
            return self.values[name]
        if found and found[2]:
            self.is_sure = False
            return (self._pieces(found[2]),)
        self.is_sure &= bool(found)
        return (f"${{{name or '_'}}}",)


# --- other languages


def _reader(program: str) -> Callable[[str], Iterator[Call]] | None:
    """What reads the scripts of a program that is an interpreter."""
    if program.startswith("python"):
        return _in_python
    return _by_shape if re.fullmatch(r"(?:ruby|node|perl|php|pwsh|deno|bun)[\d.]*", program) else None


def _in_python(text: str) -> Iterator[Call]:
    """Calls such as `requests.post(URL)`, with addresses that are put together from constants."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        yield from _by_shape(text)
        return
    names: dict[str, str] = {}
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names[node.targets[0].id] = _constant(node.value, names)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = names.get(node.target.id, "") + _constant(node.value, names)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        given = [_constant(argument, names) for argument in (*node.args, *(k.value for k in node.keywords))]
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        sends = any(k.arg in ("data", "json") for k in node.keywords) or len(node.args) > 1
        is_post = "post" in name.lower() or "POST" in given or (name in ("urlopen", "Request") and sends)
        words = " ".join(given)
        fields = {"build_parameters": ""} if "build_parameters" in words else {}
        found = next((f for text in given if is_post and (f := requests.endpoint(text, fields))), None)
        if found is not None:
            yield Call(starts[node.lineno - 1] + node.col_offset, found, is_plain=False)


def _constant(node: ast.expr, names: Mapping[str, str]) -> str:  # noqa: PLR0911 - one for each kind of expression
    """The text of an expression, as far as it is known."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        return names.get(node.id, f"${{{node.id}}}")
    if isinstance(node, ast.JoinedStr):
        return "".join(_constant(part, names) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _constant(node.value, names)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _constant(node.left, names) + _constant(node.right, names)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return re.sub(r"%[\w.]|%\(\w+\)\w", "${_}", _constant(node.left, names))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return re.sub(r"\{[^{}]*\}", "${_}", _constant(node.func.value, names))
    if isinstance(node, ast.Dict | ast.List | ast.Tuple):
        parts: Iterable[ast.expr | None] = [*node.keys, *node.values] if isinstance(node, ast.Dict) else node.elts
        return " ".join(_constant(part, names) for part in parts if part is not None)
    return "${_}"


_POSTS: Final = re.compile(r"(?i)(?:\b|_|http|do)post(?!gres|fix|ed|er|s\b)")
_READS: Final = re.compile(r"(?i)(?:\b|[._])get\b|get_contents|open\(|request\(|fetch\(|[?&](?:limit|filter)=")
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
        request = requests.endpoint(_VALUE_IN_IT.sub("${_}", found[0]))
        is_known |= request is not None
        sends = request and (request.endpoint in ("build", "retry", "ssh") or not _READS.search(code))
        if request and (sends or _POSTS.search(code)):
            yield Call(found.start() + found[0].index("/api/v1"), request, is_plain=False)
    in_parts = None if is_known else _IN_PARTS.search(code)
    if in_parts and "circle" in code.lower() and _POSTS.search(code):
        yield Call(in_parts.start(), Request("v1.1", "trigger", is_whole=False), is_plain=False)


def _blanked(found: re.Match[str]) -> str:
    """A value that is put in, as long as before and without what it is."""
    return "${" + "_" * (len(found[0]) - 3) + "}"
