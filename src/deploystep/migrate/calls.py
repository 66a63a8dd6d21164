"""Which triggers of CircleCI's API a script sends: shell by following its values, other languages by their shape.

Source of the endpoints that end: CircleCI changelog, "Deprecation of v1 and v1.1 trigger and rerun APIs". Values that
are not known stand as `${NAME}`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from deploystep.core.frozen import Frozen, replace
from deploystep.migrate import shell
from deploystep.migrate.shell import ASSIGNMENT, TAG, Command, List, Uncertain

_SAYS: Final = re.compile(
    r"echo|printf|cat|tee|e?grep|sed|awk|which|type|apt(-get)?|apk|yum|brew|true|:|\[\[?|\(\(|test|git|gh|die|log|info"
)
_METHOD: Final = ("-X", "--request", "--method")
_DATA: Final = re.compile(r"-[dF]|--(?:data(?:-\w+)?|json|form|post-data)")
_VALUED: Final = re.compile(rf"{_DATA.pattern}|-[XuH]|--(?:request|method|user|header|url)")
#: Options with which curl still only sends one request.
_HARMLESS: Final = re.compile(r"-[sSfLkiv]+|--(?:silent|show-error|location|fail|fail-with-body|insecure|verbose)|")
_VARIABLE: Final = r"\$\{[^{}]*\}"
_ONE_ADDRESS: Final = re.compile(r"(?:https?://)?(?:app\.)?circleci\.com/[^?#]*(?:\?circle-token=[^&#]*)?")
_ELSEWHERE: Final = re.compile(r"http(?!.*(?:\$|/api/v1))")
#: A literal value that looks like a secret, by the name before it or by its form.
_SECRET: Final = re.compile(
    r"(?i)[^=]*(?:KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL)[^=]*=(?!true$|false$).*\w"
    r"|[^=]*=.*?(?:(?=\w*\d)(?=\w*[a-z])\w{20,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-)"
)
_NAMED: Final = re.compile(r"(?:build_parameters|parameters)\[([^\]]+)\]")


class Request(Frozen):
    """A request that triggers, its project as it is written; what cannot be read is empty."""

    api: str  # v1, v1.1 or v2
    endpoint: str  # trigger, tree, build, retry, ssh or config
    project: str = ""
    branch: str = ""
    tag: str = ""
    revision: str = ""
    parameters: Mapping[str, str] = {}
    token: str = ""  # the variable that holds it
    is_whole: bool = False  # all that is sent could be read, and the command does nothing else
    has_secret: bool = False  # for which `${NAME}` stands

    @property
    def is_doomed(self) -> bool:
        """Whether the endpoint ends and a deploy may depend on it; `config` runs a config that is sent, no deploy."""
        return self.api != "v2" and self.endpoint != "config"


def read(words: Sequence[str], given: Mapping[str, str]) -> Request | None:
    """The request that a command sends; None where it is none of these. `given` are the texts of files by name."""
    names = [word.rpartition("/")[2] for word in words]
    at = next((i for i, name in enumerate(names) if name in ("curl", "wget")), None)
    if not words or _SAYS.fullmatch(names[0]) or {"echo", "printf"} & set(words[: at or 0]):
        return None
    if at is not None:
        return _sent(words[at + 1 :], given, is_curl=names[at] == "curl")
    # a command that is not known sends where one of its words, or its own name, says POST
    is_post = any(re.fullmatch(r"(?i)-?-?(?:x|method|request)?=?'?post'?", word) for word in words[1:])
    urls = [word for word in words[1:] if "/api/v" in word] if is_post or "post" in names[0].lower() else []
    return next((found for url in urls if (found := endpoint(url, {}))), None)


def _sent(words: Sequence[str], given: Mapping[str, str], *, is_curl: bool) -> Request | None:
    options = list(_options(words))
    data = [value for name, value in options if _DATA.fullmatch(name)]
    urls = [value for name, value in options if name in ("--url", "")]
    methods = [value.upper() for name, value in options if name in _METHOD and value.isalpha()]
    reads = {"-G", "--get", "-I", "--head"} & {name for name, _ in options}
    is_post = bool(data) or any(name in _METHOD for name, _ in options)
    if (methods or ["POST" if is_post and not reads else "GET"])[-1] != "POST":
        return None
    texts = [given.get(text[1:], "") if text.startswith("@") else text for text in data]
    fields = _fields(texts)
    usual = Request("v1.1", "trigger") if _sends_v1(fields) and not any(map(_ELSEWHERE.match, urls)) else None
    found = next((found for url in urls if (found := endpoint(url, fields))), usual)
    if found is None:
        return None
    if found.is_doomed and found.endpoint not in ("retry", "ssh") and fields.get("config", "").startswith("@"):
        return replace(found, endpoint="config")
    header = re.compile(r"(?i)circle-token|authorization")
    tokens = [value for name, value in options if name in ("-u", "--user") or header.match(value)]
    tokens += [url.partition("circle-token=")[2] for url in urls if "circle-token=" in url]
    parameters = {named[1]: value for key, value in fields.items() if (named := _NAMED.fullmatch(key))}
    parameters |= {"CIRCLE_JOB": fields["job"]} if "job" in fields else {}
    secrets = [name for name, value in parameters.items() if _SECRET.match(f"{name}={re.sub(_VARIABLE, '', value)}")]
    is_whole = (
        is_curl
        and all(_VALUED.fullmatch(name) or _HARMLESS.fullmatch(name) for name, _ in options)
        and not any(value[:1] == "@" and value != "@-" for _, value in options)
        and all(text.startswith("{") or re.fullmatch(r"(?s)[^=@]+=(?![@<]).*|@-", text) for text in data)
        and all(re.fullmatch(r"branch|tag|revision|job|build_parameters\[[\w-]+\]", name) for name in fields)
        and [bool(_ONE_ADDRESS.fullmatch(url)) for url in urls] == [True]
        and [bool(re.fullmatch(r"(?i)(?:circle-token[:=]\s*)?\$\{(?!_\})\w+\}:?", each)) for each in tokens] == [True]
        and all(texts)
    )
    return replace(
        found, branch=found.branch or fields.get("branch", ""), tag=fields.get("tag", ""),
        revision=fields.get("revision", ""), is_whole=is_whole and not secrets, has_secret=bool(secrets),
        parameters=parameters | {name: f"${{{re.sub('[^A-Z0-9]', '_', name.upper())}}}" for name in secrets},
        token=next((name for text in tokens for name in re.findall(r"\$\{(\w+)\}", text)), ""),
    )  # fmt: skip


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options of a command with their values; words that are none have no name."""
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if short := re.fullmatch(r"(-[sSfLkiv]*?)([XudFH])=?((?s:.*))", word):
            name, equals, value = f"-{short[2]}", short[3], short[3]
        if _VALUED.fullmatch(name) and not equals:
            value = waiting.pop(0) if waiting else ""
        yield (name, value) if name.startswith("-") else ("", name)


def endpoint(url: str, fields: Mapping[str, str]) -> Request | None:
    """The endpoint that an address names, if it triggers something; None for others."""
    path = url.partition("?")[0].partition("#")[0].strip("'\" \n").rstrip("/")
    found = re.search(r"/api/(v1\.1|v1|v2)/project/(.+)", path)
    api, rest = (found[1], found[2]) if found else ("", "")
    if not found:  # a base that is not known
        before, _, after = path.partition("project/")
        base = re.match(rf"(?:https?://)?{_VARIABLE}/?(.+)", path)
        rest = after if after and "$" in before else base[1] if base else ""
    elif api == "v1" and "circle" not in path.lower() and not path.startswith("$"):
        return None
    if api in ("v2", "") and (pipeline := re.fullmatch(r"(.+?)/pipeline(?:/run)?", rest)):
        is_sure = api == "v2" or {"branch", "parameters", "tag"} & {name.partition("[")[0] for name in fields}
        return Request("v2", "trigger", pipeline[1]) if is_sure else None
    sends, known = _sends_v1(fields), api or "v1.1"
    if not rest or api == "v2" or not (api or sends or re.match(r"(?:gh|bb|github|bitbucket)/", rest)):
        return None
    if shape := re.fullmatch(r"(.+?)/tree/(.+)|(.+)/build|(.+)/[^/]+/(retry|ssh)", rest):
        name = shape[5] or ("tree" if shape[1] else "build")
        return Request(known, name, shape[1] or shape[3] or shape[4], shape[2] or "")
    more = rest.count("/") - (1 if api == "v1" else 2)
    is_project = more == 0 or (more < 0 and "$" in rest.rpartition("/")[2])
    return Request(known, "trigger", rest) if is_project and (api or sends) else None


def _sends_v1(fields: Mapping[str, str]) -> bool:
    return any(key.startswith("build_parameters") for key in fields)


def _fields(data: Sequence[str]) -> dict[str, str]:
    """What a body sends: a form's fields, and those of JSON as `build_parameters[NAME]`."""
    found: dict[str, str] = {}
    for text in data:
        if not text.strip().startswith("{") or re.match(_VARIABLE, text.strip()):
            pairs = (part.partition("=") for part in text.replace("%5B", "[").replace("%5D", "]").split("&"))
            found |= {key: value for key, equals, value in pairs if equals}
            continue
        try:
            document: Any = json.loads(text, strict=False)
        except ValueError:  # a value that is put in bare, `{"deploy": ${FLAG}}`
            document = {word: "?" for word in ("build_parameters", "parameters", "") if word in text}
        for key, value in document.items():
            each = {f"{key}[{name}]": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
            found |= {name: one if isinstance(one, str) else json.dumps(one) for name, one in each.items()}
    return found


_COMMAND: Final = r"\$\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)|`[^`]*`"
_VALUE: Final = (
    rf"(?P<tag>{TAG.pattern})|\$\{{(?P<braced>(?:[^{{}}]|\$\{{[^{{}}]*\}})*)\}}|\$(?P<bare>\w+|[@*#?$!-])"
    rf"|(?P<command>{_COMMAND})|(?P<plain>(?s:.))"
)
_PIECE: Final = re.compile(
    r"'(?P<single>[^']*)'|\"(?P<double>(?:[^\"\\$`]|\\(?s:.)|\$\((?:[^()]|\([^()]*\))*\)|\$\{[^}]*\}|`[^`]*`|\$)*)\""
    rf"|\\(?P<escaped>(?s:.))|{_VALUE}"
)
_INNER: Final = re.compile(rf"\\(?P<escaped>[$`\"\\\n])|{_VALUE}")  # in double quotes, and in a here-document
_IN_TEXT: Final = re.compile(r"\bcurl\b|\bwget\b|/api/v")
_GUESSED: Final = re.compile(r"<<|[<>]\(|`|\$\(|\$\{\w+[^\w}]")  # also by a default, or filled in by CircleCI
_DECLARES: Final = frozenset({"local", "export", "declare", "readonly", "typeset"})
_MOST_DEEP: Final = 6
_MOST_STEPS: Final = 20_000
_Place = Callable[[int], int]  # where in the script an offset of the text at hand is


class Call(NamedTuple):
    """A request, and where its command begins; it `is_plain` in the script itself, without loops and guesses."""

    offset: int
    request: Request
    is_plain: bool = False


def in_text(text: str, values: Mapping[str, str], *, is_shell: bool) -> list[Call]:
    """The calls in a script; `values` are the variables that a config sets, and the defaults of its parameters."""
    walk = _Walk(values)
    walk.script(text, lambda offset: offset, is_shell=is_shell)
    walk.depth += 1
    while left := walk.functions.keys() - walk.called:
        walk.called.add(min(left))
        walk.commands(*walk.functions[min(left)])
    found = {(call.offset, call.request.endpoint, call.request.api): call for call in reversed(walk.calls)}
    return sorted(found.values(), key=lambda call: call.offset)


class _Walk:
    """A script as far as it can be carried out without doing anything."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)
        self.functions: dict[str, tuple[List, _Place]] = {}
        self.called: set[str] = set()
        self.files: dict[str, str] = {}
        self.calls: list[Call] = []
        self.steps = self.depth = 0  # the depth is that of loops, functions and texts

    def script(self, text: str, place: _Place, *, is_shell: bool = True) -> None:
        """Carry out a text; of one that is no bash, the shape tells."""
        try:
            self.commands(shell.parse(text if is_shell else "(")[0], place)
        except Uncertain:
            self.calls += [Call(place(call.offset), call.request) for call in _by_shape(text)]

    def commands(self, body: List, place: _Place, *, is_plain: bool = False) -> None:
        """Carry out commands; those of a loop, a function or another text are not plain."""
        self.depth += not is_plain
        for node in body.items if self.depth <= _MOST_DEEP else ():
            self.steps += 1
            if self.steps > _MOST_STEPS:
                break
            if node.kind == "simple":
                self.simple(node, place)
            elif node.kind == "function":
                self.functions[node.words[0].raw] = (node.sections[0], place)
            elif node.kind in ("for", "select"):
                name = node.sections[0].items[0].first
                self.values[name] = f"${{{name}}}"
                self.commands(node.sections[1], place)
            else:
                for section in node.sections:
                    self.commands(section, place, is_plain=node.kind in ("if", "case", "{", "("))
        self.depth -= not is_plain

    def simple(self, node: Command, place: _Place) -> None:
        for word in node.words:
            for found in re.finditer(_COMMAND, word.raw if word.raw[0] != "'" else ""):
                inner = found[0].strip("`").removeprefix("$(").removesuffix(")")
                self.script(inner, _from(place, word.start + found.start() + found[0].index(inner)))
        words = list(node.words)
        while words and (words[0].raw in _DECLARES or ASSIGNMENT.match(words[0].raw)):
            self.assign(words.pop(0).raw)
        said = [text for word in words for text in self.expand(word.raw)]
        given = {**self.files, "-": "".join(self.text(each.raw, _INNER) for each in node.heredocs)}
        self.files |= {self.text(to.raw): given["-"] for to in node.redirections if node.heredocs}
        first = said[0].rpartition("/")[2] if said else ""
        if first in self.functions and first not in ("curl", "wget"):
            self.called.add(first)
            around, numbered = self.values, {str(i): text for i, text in enumerate(said[1:], 1)}
            self.values = {**around, **numbered, "@": " ".join(said[1:]), "*": " ".join(said[1:])}
            self.commands(*self.functions[first])
            self.values = around
        elif request := read(said, given):
            raw = " ".join(each.raw for each in (*node.words, *node.heredocs))
            is_sure = node.first == "curl" and not _GUESSED.search(raw)
            is_sure = is_sure and not self.values.keys() & set(re.findall(r"\$\{?(\w+)", raw))
            self.calls.append(Call(place(node.start), request, is_sure and self.depth == 1))
        elif said and not _SAYS.fullmatch(first):
            # what another program is given to carry out
            text = next((text for text in said[1:] if re.search(r"\s", text) and _IN_TEXT.search(text)), "")
            quoted = "'" + text.replace("'", "'\\''") + "'"
            start = next((word.start + 1 for word in words if word.raw == quoted), None)
            scripts = [(each.raw, _from(place, each.start)) for each in node.heredocs]
            scripts.append((text, _from(place, start, text) if start else lambda _: place(node.start)))
            for text, where in scripts:
                self.script(text, where, is_shell=re.search(r"\b(?:curl|wget)\s", text) is not None)

    def assign(self, word: str) -> None:
        """`NAME=value`, also of a list of words, whose texts are joined."""
        if found := ASSIGNMENT.match(word):
            raw = word[found.end() :]
            before = self.values.get(found[1], "") if found[3] else ""
            is_list = raw.startswith("(") and raw.endswith(")")
            self.values[found[1]] = f"{before} {self.text(raw[1:-1])}" if is_list else before + self.text(raw)

    def expand(self, raw: str) -> list[str]:
        """The words that a word stands for. A value that is not known stays as `${NAME}`."""
        whole = re.fullmatch(r'"?\$(?:\{(\w+|@)(?:\[[@*]\])?\}|(\w+|@))"?', raw)
        is_list = "@" in raw or "[*]" in raw or raw[:1] == "$"
        return self.value(whole[1] or whole[2]).split() if whole and is_list else [self.text(raw)]

    def text(self, raw: str, pattern: re.Pattern[str] = _PIECE) -> str:
        text = ""
        for piece in pattern.finditer(raw):
            kind, value = piece.lastgroup or "", piece[piece.lastgroup or 0]
            if kind in ("single", "plain", "escaped"):
                text += value if (kind, value) != ("escaped", "\n") else ""
            elif kind == "double":
                text += self.text(value, _INNER)
            elif kind == "command":
                printed = re.fullmatch(r"\$\(\s*cat\s*<<-?\s*\W?(\w+)\W?\n((?s:.*))\n\s*\1\s*\)", value)
                text += self.text(printed[2], _INNER) if printed else "${_}"
            else:
                text += self.value(value.strip("<> ") if kind == "tag" else value)
        return text

    def value(self, reference: str) -> str:
        if reference in self.values:
            return self.values[reference]
        name, *more = re.split(r"(:?[-=]|\W)", reference, maxsplit=1, flags=re.ASCII)
        has_default = more[:1] in (["-"], [":-"], ["="], [":="])
        if has_default and (name in self.values or more[1]):
            return self.values[name] if name in self.values else self.text(more[1])
        return f"${{{name or '_'}}}"


def _from(place: _Place, start: int, text: str = "") -> _Place:
    """The places in a text that begins there; in a quoted one, each single quote has four characters."""
    return lambda offset: place(start + offset + 3 * text.count("'", 0, offset))


_POSTS: Final = re.compile(r"(?i)(?:\b|_|http|do)post(?!gres|fix|ed|er|s\b)|\s(?:-d|--data[a-z-]*)[\s=]")
_IN_PARTS: Final = re.compile(r"/api/v1(?:\.1)?\b(?=(?s:.*)(?:build_parameters|/tree/|/build\b|/retry\b|/ssh\b))")
_ADDRESS: Final = re.compile(
    r"[\w:/.${}@()+-]*/api/v1(?:\.1)?/project/[^\s\"'`,;)]*(?:[\"'`]\s*[+.]\s*[\"'`]?[^\s,;)]*)*"
)
_VALUE_IN_IT: Final = re.compile(r"\$\w+|[\"'`]\s*[+.]\s*[\w.()\[\]]*(?:\s*[+.]\s*[\"'`])?")
_HIDDEN: Final = re.compile(r"(?im)^[ \t]*(?:#|//|\*|--|rem ).{2,}|[#$]\{[^{}]*\}")  # comments, and values put in


def _by_shape(text: str) -> Iterator[Call]:
    """Addresses outside of comments in a text that also posts; `build`, `retry` and `ssh` take nothing else."""
    code = _HIDDEN.sub(lambda found: "${".ljust(len(found[0]) - 1, "_") + "}", text)
    posts, is_known = _POSTS.search(code) is not None, False
    for found in _ADDRESS.finditer(code):
        request = endpoint(_VALUE_IN_IT.sub("${_}", found[0]), {})
        is_known |= request is not None
        if request and (posts or request.endpoint in ("build", "retry", "ssh")):
            yield Call(found.start() + found[0].index("/api/v1"), request)
    in_parts = None if is_known else _IN_PARTS.search(code)
    if in_parts and posts and "circle" in code.lower():
        yield Call(in_parts.start(), Request("v1.1", "trigger"))
