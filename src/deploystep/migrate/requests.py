"""Which request of CircleCI's API a command sends, read from its words: endpoint, project, ref and parameters.

Source of the endpoints that end: CircleCI changelog, "Deprecation of v1 and v1.1 trigger and rerun APIs". Values that
are not known stand as `${NAME}`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from deploystep.core.frozen import dataclass, replace

ENDS: Final = "1 February 2027"
_SAYERS: Final = frozenset({
    "echo", "printf", "cat", "grep", "egrep", "sed", "awk", "which", "type", "apt-get", "apt", "apk", "yum", "brew",
    "export", "local", "declare", "readonly", "true", ":", "[", "[[", "((", "test", "git", "gh", "die", "log", "info",
})  # fmt: skip
_METHOD: Final = frozenset({"-X", "--request", "--method"})
_USER: Final = frozenset({"-u", "--user"})
_DATA: Final = frozenset({
    "-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--data-urlencode", "--json", "-F", "--form",
    "--form-string", "--post-data", "--post-file", "--body-data", "--body-file",
})  # fmt: skip
#: Options of curl with a value, and those without one, with which it still only sends one request.
_VALUED: Final = frozenset({
    *_METHOD, *_USER, *_DATA, "-H", "--header", "--url", "-A", "--user-agent", "-m", "--max-time", "--connect-timeout",
    "--retry", "--retry-delay", "-o", "--output",
})  # fmt: skip
_FLAGS: Final = frozenset({
    *(f"-{letter}" for letter in "sSLfkivgN#46"), "--silent", "--show-error", "--location", "--fail",
    "--fail-with-body", "--insecure", "--include", "--verbose", "--compressed",
})  # fmt: skip
_VARIABLE: Final = r"\$\{[^{}]*\}"
_ONE_TOKEN: Final = re.compile(r"(?i)(?:circle-token[:=]\s*)?\$\{(?!_\})\w+\}:?")
_ONE_ADDRESS: Final = re.compile(r"(?:https?://)?(?:app\.)?circleci\.com/[^?#]*(?:\?(?P<token>circle-token=[^&#]*))?")
_ELSEWHERE: Final = re.compile(r"http(?!.*(?:\$|/api/v1))")
_SECRET_NAME: Final = re.compile(r"(?i)KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL")
_SECRET: Final = re.compile(r"(?i)(?=\w*\d)(?=\w*[a-z])\w{20,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-")
_KNOWN_FIELDS: Final = re.compile(r"branch|tag|revision|job|build_parameters(?:\[[\w-]+\])?")
_NAMED: Final = re.compile(r"(?:build_parameters|parameters)\[([^\]]+)\]")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that triggers: `api` is v1, v1.1 or v2, `endpoint` one of trigger, tree, build, retry, ssh, config.

    `project` is its slug as written, `branch` or `tag` what it names, `parameters` what is sent, `token` the variable
    that holds the token. What cannot be read is empty; `is_whole` tells whether all that is sent could be, its token is
    one plain variable, and the command does nothing else. `secrets` are literal values that look like one, by the names
    of their parameters, in which `${NAME}` stands for them.
    """

    api: str
    endpoint: str
    project: str = ""
    branch: str = ""
    tag: str = ""
    revision: str = ""
    parameters: Mapping[str, str] = {}
    token: str = ""
    is_whole: bool = False
    secrets: Mapping[str, str] = {}

    @property
    def is_doomed(self) -> bool:
        """Whether the endpoint ends and a deploy may depend on it; `config` runs a config that is sent, no deploy."""
        return self.api != "v2" and self.endpoint != "config"


class Bare(str):
    """A boolean or a whole number of JSON, as it is written there."""

    __slots__ = ()


def read(words: Sequence[str], given: Mapping[str, str]) -> Request | None:
    """The request that a command sends; None where it is none of these. `given` are the texts of files by name."""
    at = next((i for i, word in enumerate(words) if word.rpartition("/")[2] in ("curl", "wget")), None)
    first = words[0].rpartition("/")[2] if words else ""
    if first in _SAYERS or {"echo", "printf"} & set(words[: at or 0]):
        return None
    if at is not None:
        return _sent(words[at].rpartition("/")[2], words[at + 1 :], given)
    # a command that is not known sends where one of its words, or its own name, says POST
    is_post = any(re.fullmatch(r"(?i)-?-?(?:x|method|request)?=?'?post'?", word) for word in words[1:])
    urls = [word for word in words[1:] if "/api/v" in word] if is_post or "post" in first.lower() else []
    return next((found for url in urls if (found := endpoint(url, {}))), None)


def _sent(program: str, words: Sequence[str], given: Mapping[str, str]) -> Request | None:
    method, is_get, data, urls, tokens, is_alone = "", False, list[str](), list[str](), list[str](), program == "curl"
    for name, value in _options(words, is_curl=program == "curl"):
        is_alone &= name in _VALUED or name in _FLAGS or name == ""
        is_alone &= name not in ("-o", "--output") or value == "/dev/null"
        if name in _METHOD:
            method = value.upper()
        elif name in _DATA:
            data.append(value)
            is_alone &= value.startswith("{") or re.fullmatch(r"[^=@]+=(?![@<]).*|@-", value, re.DOTALL) is not None
        elif name in ("-G", "--get", "-I", "--head"):
            is_get |= program == "curl"
        elif name in _USER or re.match(r"(?i)circle-token|authorization", value):
            tokens.append(value)
        elif name in ("--url", ""):
            urls.append(value)
    is_known = re.fullmatch(r"[A-Z]+", method) is not None
    if (method if is_known else "GET" if is_get or not (data or method) else "POST") != "POST":
        return None
    address = _ONE_ADDRESS.fullmatch(urls[0]) if len(urls) == 1 else None
    tokens += [url.partition("circle-token=")[2] for url in urls if "circle-token=" in url]
    texts = [given.get(text[1:], "") if text.startswith("@") else text for text in data]
    fields = _fields(texts)
    found = next((found for url in urls if (found := endpoint(url, fields))), None)
    if found is None:
        if not _sends_v1(fields) or any(map(_ELSEWHERE.match, urls)):
            return None
        found, is_alone = Request("v1.1", "trigger"), False
    is_alone &= address is not None and len(tokens) == 1 and _ONE_TOKEN.fullmatch(tokens[0]) is not None
    token = next((name for text in tokens for name in re.findall(r"\$\{(\w+)\}", text)), "")
    is_whole = is_alone and all(texts) and all(map(_KNOWN_FIELDS.fullmatch, fields))
    return _with(replace(found, token=token), fields, is_whole=is_whole)


def _options(words: Sequence[str], *, is_curl: bool) -> Iterator[tuple[str, str]]:
    """The options of a command with their values; words that are none have no name, nor values of other options."""
    waiting = list(words)
    while waiting:
        name = waiting.pop(0)
        if name.startswith("--"):
            name, equals, value = name.partition("=")
        else:
            equals, value = "", ""
            while is_curl and re.match(r"-[A-Za-z#0-9]{2}|-[XduFHo].", name):
                if name[:2] in _VALUED:
                    name, equals, value = name[:2], "=", name[2:].removeprefix("=")
                    break
                yield name[:2], ""
                name = f"-{name[2:]}"
        if name in _VALUED and (is_curl or name != "-o"):
            yield name, value if equals else waiting.pop(0) if waiting else ""
        else:
            yield (name, value) if name.startswith("-") else ("", name)


def endpoint(url: str, fields: Mapping[str, str]) -> Request | None:
    """The endpoint that an address names, if it triggers something; None for others."""
    path = url.partition("?")[0].partition("#")[0].strip("'\" \n").rstrip("/")
    found = re.search(r"/api/(v1\.1|v1|v2)/project/(.+)", path)
    api, rest = (found[1], found[2]) if found else ("", "")
    if found and api == "v1" and "circle" not in path.lower() and not path.startswith("$"):
        return None
    if not found:  # a base that is not known
        before, _, after = path.partition("project/")
        base = re.match(rf"(?:https?://)?{_VARIABLE}/?(.+)", path)
        if base is None and "$" not in before:
            return None
        rest = after if after and "$" in before else base[1] if base else ""
    parts = [part for part in rest.split("/") if part]
    if parts and api in ("v2", "") and (parts[-1] == "pipeline" or parts[-2:] == ["pipeline", "run"]):
        is_sure = api == "v2" or {"branch", "parameters", "tag"} & {name.partition("[")[0] for name in fields}
        return Request("v2", "trigger", "/".join(parts[: parts.index("pipeline")])) if is_sure else None
    return _v1(api, parts, sends=_sends_v1(fields)) if parts and api != "v2" else None


def _v1(api: str, parts: list[str], *, sends: bool) -> Request | None:
    """An endpoint of API v1: `parts` of the address behind `project/`; where `api` is empty the base is not known."""
    known, whole, tail = api or "v1.1", 2 if api == "v1" else 3, parts[-1]
    if not (api or sends or parts[0] in ("github", "gh", "bitbucket", "bb")):
        return None
    if "tree" in parts[1:]:
        at = parts.index("tree", 1)
        return Request(known, "tree", "/".join(parts[:at]), "/".join(parts[at + 1 :])) if at + 1 < len(parts) else None
    if tail in ("build", "retry", "ssh") and len(parts) > 1:
        project = parts[:-1] if tail == "build" else parts[:-2]
        return Request(known, tail, "/".join(project)) if project else None
    is_project = len(parts) == whole or (len(parts) < whole and "$" in tail)
    return Request(known, "trigger", "/".join(parts)) if is_project and (api or sends) else None


def _sends_v1(fields: Mapping[str, str]) -> bool:
    return any(key.startswith("build_parameters") for key in fields)


def _fields(data: Sequence[str]) -> dict[str, str]:
    """What a body sends: a form's fields, and those of JSON as `build_parameters[NAME]`."""
    found: dict[str, str] = {}
    for text in data:
        if text.strip().startswith("{") and not re.match(_VARIABLE, text.strip()):
            found |= _from_json(text.strip())
        else:
            pairs = (part.partition("=") for part in text.replace("%5B", "[").replace("%5D", "]").split("&"))
            found |= {key: value for key, equals, value in pairs if equals}
    return found


def _from_json(text: str) -> dict[str, str]:
    try:
        document: Any = json.loads(text, strict=False)
    except ValueError:  # a value that is put in bare, `{"deploy": ${FLAG}}`
        return {word: "?" for word in ("build_parameters", "parameters") if f'"{word}"' in text}
    found: dict[str, str] = {}
    for key, value in document.items() if isinstance(document, dict) else ():
        is_map = isinstance(value, dict) and value
        found |= (
            {f"{key}[{name}]": _as_text(each) for name, each in value.items()} if is_map else {key: _as_text(value)}
        )
    return found


def _as_text(value: object) -> str:
    if isinstance(value, int):
        return Bare(json.dumps(value))
    return value if isinstance(value, str) else json.dumps(value)


def _with(found: Request, fields: Mapping[str, str], *, is_whole: bool) -> Request:
    """The request with what its body says."""
    if found.is_doomed and found.endpoint not in ("retry", "ssh") and fields.get("config", "").startswith("@"):
        return replace(found, endpoint="config")
    parameters = {name[1]: value for key, value in fields.items() if (name := _NAMED.fullmatch(key))}
    if "job" in fields:
        parameters.setdefault("CIRCLE_JOB", fields["job"])
    secrets = {name: value for name, value in parameters.items() if _is_secret(name, value)}
    parameters |= {name: f"${{{re.sub('[^A-Z0-9]', '_', name.upper())}}}" for name in secrets}
    is_whole = is_whole and not secrets and "?" not in (fields.get("build_parameters"), fields.get("parameters"))
    return replace(
        found, branch=found.branch or fields.get("branch", ""), tag=fields.get("tag", ""),
        revision=fields.get("revision", ""), parameters=parameters, is_whole=is_whole, secrets=secrets,
    )  # fmt: skip


def _is_secret(name: str, value: str) -> bool:
    """Whether a value that stands in the script looks like a secret, by its name or its form."""
    literal = re.sub(_VARIABLE, "", value)
    is_text = literal not in ("true", "false") and re.search(r"\w", literal)
    return bool(is_text and (_SECRET_NAME.search(name) or _SECRET.search(literal)))
