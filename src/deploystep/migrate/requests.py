"""Which request of CircleCI's API a command sends, read from its words: endpoint, project, ref and parameters.

Source of the endpoints that end: CircleCI changelog, "Deprecation of v1 and v1.1 trigger and rerun APIs". Values that
are not known stand as `${NAME}`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from deploystep.core.frozen import dataclass

ENDS: Final = "1 February 2027"
_SENDERS: Final = ("curl", "wget")
_SAYERS: Final = frozenset({
    "echo", "printf", "cat", "grep", "egrep", "sed", "awk", "which", "type", "apt-get", "apt", "apk", "yum", "brew",
    "export", "local", "declare", "readonly", "true", ":", "[", "test", "command", "git", "gh", "die", "log", "info",
})  # fmt: skip
_DATA: Final = frozenset({
    "-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--data-urlencode", "--json", "-F", "--form",
    "--form-string", "--post-data", "--post-file", "--body-data", "--body-file",
})  # fmt: skip
_VALUED: Final = frozenset({
    "-H", "--header", "-o", "--output", "-w", "--write-out", "-A", "--user-agent", "-e", "--referer", "-b", "--cookie",
    "-c", "--cookie-jar", "-m", "--max-time", "-x", "--proxy", "--retry", "--retry-delay", "--connect-timeout", "-K",
    "--config", "--cacert", "--cert", "--key", "-u", "--user", "-X", "--request", "--method", "-T", "--upload-file",
    "-O", "--output-document", "-D", "--dump-header", "-E", "--max-redirs", "--resolve", "--url",
    *_DATA,
})  # fmt: skip
#: Options of curl with which it still does nothing but send one request and print the answer.
_ALONE: Final = frozenset({
    "", "--url", "-u", "--user", "-H", "--header", "-X", "--request", "-A", "--user-agent", "-m", "--max-time",
    "--connect-timeout", "--retry", "--retry-delay", "-s", "--silent", "-S", "--show-error", "-L", "--location",
    "-f", "--fail", "--fail-with-body", "-k", "--insecure", "-i", "--include", "-v", "--verbose", "-g", "-N", "-#",
    "-4", "-6", "--compressed", *_DATA,
})  # fmt: skip
_CURL_FLAGS: Final = frozenset("sSLfkivgGIjnNqRJ#0123456")  # short ones that may be written together
_VARIABLE: Final = r"\$\{[^{}]*\}"
#: What follows a project in API v1 and does not end, or is no trigger.
_OTHERS: Final = frozenset({
    "cancel", "follow", "unfollow", "enable", "artifacts", "tests", "envvar", "checkout-key", "ssh-key", "settings",
    "build-cache", "latest", "ssh-users", "heroku-key", "webhook", "hooks", "actions", "output", "users",
})  # fmt: skip
_TOKENS: Final = re.compile(r"\$\{(\w+)\}")
_ONE_TOKEN: Final = re.compile(r"(?i)(?:circle-token[:=]\s*)?\$\{(?!_\})\w+\}:?")
_ONE_ADDRESS: Final = re.compile(r"(?:https?://)?(?:app\.)?circleci\.com/[^?#]*(?:\?(?P<token>circle-token=[^&#]*))?")
_ELSEWHERE: Final = re.compile(r"http(?!.*(?:\$|/api/v1))")
_SECRET_NAME: Final = re.compile(r"(?i)KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL")
_UUID: Final = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONG: Final = re.compile(r"[A-Za-z0-9+=]{20,}|[A-Za-z0-9+/=_-]{32,}")
_MIXED: Final = (re.compile(r"\d"), re.compile(r"[A-Za-z]"), re.compile(r"[A-Z].*[a-z]|[a-z].*[A-Z]|[0-9a-f]{20}"))
_LEAST_DISTINCT: Final = 10  # characters of a long text that is no name
_KNOWN_FIELDS: Final = re.compile(r"branch|tag|revision|job|build_parameters(?:\[[\w-]+\])?")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that triggers: `api` is v1, v1.1 or v2, `endpoint` one of trigger, tree, build, retry, ssh, config.

    `project` is its slug as written, `branch` or `tag` what it names, `fields` what is sent, `token` the variable that
    holds the token. What cannot be read is empty; `is_whole` tells whether all that is sent could be, its token is one
    plain variable, and the command does nothing else. `secrets` are literal values that look like one, by the names of
    their parameters, in which `${NAME}` stands for them.
    """

    api: str
    endpoint: str
    project: str = ""
    branch: str = ""
    tag: str = ""
    revision: str = ""
    parameters: Mapping[str, str] = {}
    token: str = ""
    is_whole: bool = True
    secrets: Mapping[str, str] = {}

    @property
    def is_doomed(self) -> bool:
        """Whether the endpoint ends and a deploy may depend on it; `config` runs a config that is sent, no deploy."""
        return self.api != "v2" and self.endpoint != "config"


class _Words(NamedTuple):
    """The words of a command, sorted."""

    method: str
    urls: list[str]
    data: list[str]
    token: str
    is_alone: bool = False


def read(words: Sequence[str], given: Mapping[str, str] | None = None) -> Request | None:
    """The request that a command sends; None where it is none of these. `given` are the texts of files by name."""
    at = next((i for i, word in enumerate(words) if word.rpartition("/")[2] in _SENDERS), None)
    first = words[0].rpartition("/")[2] if words else ""
    if (first in _SAYERS and not (first == "command" and at == 1)) or {"echo", "printf"} & set(words[: at or 0]):
        return None
    sorted_words = _other(words) if at is None else _sent(words[at].rpartition("/")[2], words[at + 1 :])
    if sorted_words.method != "POST":
        return None
    texts = [(given or {}).get(text[1:], "") if text.startswith("@") else text for text in sorted_words.data]
    fields = _fields(texts)
    for url in sorted_words.urls:
        found = endpoint(url, fields)
        if found is not None:
            is_whole = sorted_words.is_alone and all(texts) and all(map(_KNOWN_FIELDS.fullmatch, fields))
            token = sorted_words.token or _token(url.partition("circle-token=")[2])
            return _with(found, fields, token, is_whole=is_whole)
    if _sends_v1(fields) and not any(map(_ELSEWHERE.match, sorted_words.urls)):
        return _with(Request("v1.1", "trigger", is_whole=False), fields, sorted_words.token, is_whole=False)
    return None


def _sent(program: str, words: Sequence[str]) -> _Words:
    method, is_get, data, urls, tokens = "", False, list[str](), list[str](), list[str]()
    is_alone = program == "curl"
    for name, value in _options(program == "curl", list(words)):
        is_alone &= name in _ALONE or (name in ("-o", "--output") and value == "/dev/null")
        if name in ("-X", "--request", "--method"):
            method = value.upper()
        elif name in _DATA:
            data.append(value)
            is_alone &= value.startswith("{") or re.fullmatch(r"[^=@]+=(?![@<]).*|@-", value, re.DOTALL) is not None
        elif name in ("-G", "--get", "-I", "--head"):
            is_get |= program == "curl"
        elif name in ("-u", "--user") or re.match(r"(?i)circle-token|authorization", value):
            tokens.append(value)
        elif name in ("--url", ""):
            urls.append(value)
    is_known = re.fullmatch(r"[A-Z]+", method) is not None
    method = method if is_known else "GET" if is_get or not (data or method) else "POST"
    token = next(filter(None, map(_token, tokens)), "")
    address = _ONE_ADDRESS.fullmatch(urls[0]) if len(urls) == 1 else None
    tokens += [address["token"]] if address and address["token"] else []
    is_alone &= address is not None and len(tokens) == 1 and _ONE_TOKEN.fullmatch(tokens[0]) is not None
    return _Words(method, urls, data, token, is_alone)


def _options(is_curl: bool, waiting: list[str]) -> Iterator[tuple[str, str]]:  # noqa: FBT001 - short and private
    """The options of a command with their values; words that are none have no name."""
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        if word.startswith("--") and equals and name in _VALUED:
            yield name, value
            continue
        name, value = word, ""
        if is_curl and re.match(r"-[A-Za-z#]{2,}|-[XduFHo].", word) and not word.startswith("--"):
            at = 1
            while at < len(word) - 1 and word[at] in _CURL_FLAGS:
                yield f"-{word[at]}", ""
                at += 1
            name, value = f"-{word[at]}", word[at + 1 :].removeprefix("=")
        if name in _VALUED and not (is_curl and name == "-O"):
            yield name, value or (waiting.pop(0) if waiting else "")
        else:
            yield (name, "") if word.startswith("-") else ("", word)


def _other(words: Sequence[str]) -> _Words:
    """A command that is not known: it sends where one of its words, or its own name, says POST."""
    is_post = any(re.fullmatch(r"(?i)-?-?(?:x|method|request)?=?'?post'?", word) for word in words[1:])
    is_post |= bool(words) and "post" in words[0].lower()
    return _Words("POST" if is_post else "", [w for w in words[1:] if "/api/v" in w], [], "")


def _token(text: str) -> str:
    found = _TOKENS.search(text)
    return found[1] if found else ""


def endpoint(url: str, fields: Mapping[str, str] | None = None) -> Request | None:
    """The endpoint that an address names, if it triggers something; None for others."""
    path = url.partition("?")[0].partition("#")[0].strip("'\" \n").rstrip("/")
    found = re.search(r"/api/(v1\.1|v1|v2)/project/(.+)", path)
    api, rest = (found[1], found[2]) if found else ("", "")
    if found and api == "v1" and "circle" not in path.lower() and not path.startswith("$"):
        return None
    if not found:
        before, _, after = path.partition("project/")
        base = re.match(rf"(?:https?://)?{_VARIABLE}/?(.+)", path)
        if base is None and "$" not in before:
            return None
        rest = after if after and "$" in before else base[1] if base else ""
    parts = [part for part in rest.split("/") if part]
    if not parts:
        return None
    if api in ("v2", "") and (parts[-1] == "pipeline" or parts[-2:] == ["pipeline", "run"]):
        is_sure = api == "v2" or bool(
            fields and {"branch", "parameters", "tag"} & {k.partition("[")[0] for k in fields}
        )
        slug = "/".join(parts[: parts.index("pipeline")])
        return Request("v2", "trigger", slug) if is_sure else None
    if api == "v2":
        return None
    return _v1(api, parts, fields or {})


def _v1(api: str, parts: list[str], fields: Mapping[str, str]) -> Request | None:
    """An endpoint of API v1: `parts` of the address behind `project/`; where `api` is empty the base is not known."""
    known = api or "v1.1"
    is_v1_shaped = bool(api) or parts[0] in ("github", "gh", "bitbucket", "bb") or _sends_v1(fields)
    whole = 2 if api == "v1" else 3
    if "tree" in parts[1:]:
        at = parts.index("tree", 1)
        if not is_v1_shaped or at + 1 >= len(parts):
            return None
        return Request(known, "tree", "/".join(parts[:at]), "/".join(parts[at + 1 :]))
    tail = parts[-1]
    if tail in ("build", "retry", "ssh") and len(parts) > 1 and is_v1_shaped:
        project = parts[:-1] if tail == "build" else parts[:-2]
        return Request(known, tail, "/".join(project)) if project else None
    if tail in _OTHERS or len(parts) > whole or not is_v1_shaped:
        return None
    is_open = any("$" in part for part in parts)
    if len(parts) == whole or (is_open and (api or _sends_v1(fields))):
        return Request(known, "trigger", "/".join(parts)) if api or _sends_v1(fields) else None
    return None


def _sends_v1(fields: Mapping[str, str]) -> bool:
    return any(key.startswith("build_parameters") for key in fields)


def _fields(data: Sequence[str]) -> dict[str, str]:
    """What a body sends: a form's fields, and those of JSON as `build_parameters[NAME]`."""
    found: dict[str, str] = {}
    for text in data:
        stripped = text.strip()
        if stripped.startswith("{") and not re.match(_VARIABLE, stripped):
            found |= _from_json(stripped)
        else:
            for part in text.split("&"):
                key, equals, value = part.partition("=")
                if equals:
                    found[key.replace("%5B", "[").replace("%5D", "]")] = value
    return found


def _from_json(text: str) -> dict[str, str]:
    try:
        document: Any = json.loads(text, strict=False)
    except ValueError:
        # a value that is put in bare, `{"deploy": ${FLAG}}`
        pairs = re.findall(r"\"([\w-]+)\"\s*:\s*(?:\"([^\"]*)\"|([\w.$]\S*?)(?=[\s,}]))", text)
        kind = next((word for word in ("build_parameters", "parameters") if f'"{word}"' in text), "")
        return {(f"{kind}[{k}]" if kind and k not in _TOP else k): q or b for k, q, b in pairs} | (
            {kind: "?"} if kind else {}
        )
    found: dict[str, str] = {}
    for key, value in document.items() if isinstance(document, dict) else ():
        inner = value.items() if isinstance(value, dict) else ()
        found |= {f"{key}[{name}]": _as_text(each) for name, each in inner} if inner else {key: _as_text(value)}
    return found


_TOP: Final = frozenset({"revision", "tag", "branch", "parallel", "job"})


class Bare(str):
    """A boolean or a whole number of JSON, as it is written there."""

    __slots__ = ()


def _as_text(value: object) -> str:
    if isinstance(value, int):
        return Bare(json.dumps(value))
    return value if isinstance(value, str) else json.dumps(value)


def _with(found: Request, fields: Mapping[str, str], token: str, *, is_whole: bool) -> Request:
    """The request with what its body says."""
    if (
        found.endpoint in ("tree", "trigger", "build")
        and found.api != "v2"
        and fields.get("config", "").startswith("@")
    ):
        return Request(found.api, "config", found.project, found.branch, token=token)
    named = re.compile(r"(?:build_parameters|parameters)\[([^\]]+)\]")
    parameters = {m[1]: value for key, value in fields.items() if (m := named.fullmatch(key))}
    if "job" in fields:
        parameters.setdefault("CIRCLE_JOB", fields["job"])
    secrets = {name: value for name, value in parameters.items() if _is_secret(name, value)}
    parameters |= {name: f"${{{re.sub('[^A-Z0-9]', '_', name.upper())}}}" for name in secrets}
    is_whole = (
        is_whole
        and found.is_whole
        and not secrets
        and "?" not in (fields.get("build_parameters"), fields.get("parameters"))
    )
    return Request(
        found.api, found.endpoint, found.project, found.branch or fields.get("branch", ""), fields.get("tag", ""),
        fields.get("revision", ""), parameters, token, is_whole, secrets,
    )  # fmt: skip


def _is_secret(name: str, value: str) -> bool:
    """Whether a value that stands in the script looks like a secret, by its name or its form."""
    literal = re.sub(_VARIABLE, "", value)
    if literal in ("true", "false") or not re.search(r"\w", literal):
        return False
    is_random = any(len(set(t)) >= _LEAST_DISTINCT and all(p.search(t) for p in _MIXED) for t in _LONG.findall(literal))
    return is_random or bool(_SECRET_NAME.search(name) or _UUID.search(literal))
