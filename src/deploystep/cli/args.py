"""What was asked for, by the command line and by DEPLOYSTEP_ variables, as one value."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from deploystep.cli.options import COMMANDS, OPTIONS, RULES, Option
from deploystep.core.errors import UsageError
from deploystep.core.frozen import dataclass, field

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})
_WAIT: Final = "1h"
_DURATION: Final = re.compile(r"(\d{1,6})(s|m|h)?", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, None: 1}


@dataclass(frozen=True, slots=True)
class Invocation:
    """What was asked for on the command line and by DEPLOYSTEP_ variables. Durations are in seconds."""

    command: str
    rules: str = RULES
    rules_ref: str | None = None
    now: str | None = None
    is_json: bool = False
    color: str = "auto"
    is_dry: bool = False
    confirm: float = 60.0
    nodes: str = "all"
    nodes_timeout: float = 1800.0
    wait: float | None = None
    cancel_on_interrupt: bool = False
    again: str | None = None
    host: str | None = None
    token_env: str | None = None
    sandbox: bool = False
    outside_ci: bool = False
    allow_ssh: bool = False
    branch: str | None = None
    tag: str | None = None
    sha: str | None = None
    node_index: str | None = None
    node_total: str | None = None
    changed: tuple[str, ...] = ()
    env_file: str | None = None
    given: str | None = None
    configs: tuple[str, ...] = ()
    strict: bool = False
    coverage: bool = False
    junit: str | None = None
    port: int = 0
    projects: tuple[str, ...] = ()
    heads: Mapping[str, str] = field(default_factory=dict)
    workflows: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    accept_token_env: str | None = None


def _read(argv: Sequence[str]) -> Mapping[str, Any]:
    """What stands on the command line, under the names of the options."""
    command = argv[0] if argv else ""
    switches = {o.flag: o.name for o in OPTIONS if o.metavar is None and o.choices is None and command in o.commands}
    if command in COMMANDS and switches.keys() >= set(argv[1:]):
        return {"command": command, **{switches[flag]: True for flag in argv[1:]}}  # as in nearly every config
    from deploystep.cli import parser  # noqa: PLC0415 - brings argparse

    return vars(parser.parser(command if command in COMMANDS else None).parse_args(argv))


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Invocation:
    """Read the command line. Raises UsageError; argparse itself leaves only for --help and --version."""
    read = _read(argv)
    command = str(read["command"])
    values = {o.name: _value(o, read.get(o.name), environ) for o in OPTIONS if command in o.commands}
    plain: dict[str, Any] = {name: values.get(name) for name in _PLAIN}
    plain |= {name: bool(values.get(name)) for name in _SWITCHES}
    plain |= {f"{name}s": tuple(values.get(name) or ()) for name in ("project", "workflow", "fault", "config")}
    return Invocation(
        command=command,
        rules=values.get("rules") or RULES,
        color=values.get("color") or "auto",
        is_json=bool(values.get("json")),
        is_dry=bool(values.get("dry_run")) or command == "plan",
        confirm=_seconds("--confirm", values.get("confirm"), "60s"),
        nodes=values.get("nodes") or "all",
        nodes_timeout=_seconds("--nodes-timeout", values.get("nodes_timeout"), "30m"),
        wait=_wait(values.get("wait")),
        again=_again(values.get("again")),
        port=_port(values.get("port") or "0"),
        heads=dict(_pair("--head", text) for text in values.get("head") or ()),
        changed=tuple(values.get("changed") or ()),
        **plain,
    )


_SWITCHES: Final = ("sandbox", "outside_ci", "allow_ssh", "cancel_on_interrupt", "coverage", "strict")
_PLAIN: Final = (
    "rules_ref", "now", "host", "token_env", "branch", "tag", "sha", "node_index", "node_total", "env_file", "given",
    "accept_token_env",
    "junit",
)  # fmt: skip


def _value(option: Option, given: Any, environ: Mapping[str, str]) -> Any:
    """What the option says, else what its variable says."""
    if given is not None or not option.has_variable:
        return given
    text = environ.get(option.variable)
    if text is None or (text == "" and option.metavar is not None):
        return None
    if option.choices is not None and text not in option.choices:
        expected = ", ".join(option.choices)
        raise UsageError("usage", f"{option.variable} is {text!r}: expected one of {expected}", f"see {option.flag}")
    return text if option.metavar is not None else _switch(option, text)


def asks_for_json(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether JSON is wanted, as far as a command line tells that cannot be understood."""
    return "--json" in argv or environ.get("DEPLOYSTEP_JSON", "").lower() not in _FALSE


def _switch(option: Option, text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise UsageError(
            "usage", f"{option.variable} is {text!r}: expected true or false", f"unset it, or give {option.flag}"
        )
    return text.lower() in _TRUE


def _wait(text: str | None) -> float | None:
    """`--wait` may stand alone, and its variable may be a switch."""
    if text is None or text.lower() in _FALSE - {"", "0"}:
        return None
    return _seconds("--wait", _WAIT if text == "" or text.lower() in _TRUE - {"1"} else text)


def _again(text: str | None) -> str | None:
    if text is not None and not text.strip():
        raise UsageError("usage", "--again: it needs a reason", "write for example --again 'the database was restored'")
    return text


def _seconds(flag: str, given: str | None, default: str = "") -> float:
    text = default if given is None else given
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UsageError("usage", f"{flag}: cannot read the duration {text!r}", "write for example 90s, 10m or 1h")
    return float(int(match[1]) * _SECONDS[match[2]])


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) < 65536):  # noqa: PLR2004
        raise UsageError("usage", f"--port: {text!r} is not a port", "write a number from 0 (a free one) to 65535")
    return int(text)


def _pair(flag: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise UsageError(
            "usage", f"{flag}: expected NAME=VALUE, found {text!r}", f"write for example {flag} main=4f2c1aa"
        )
    return name, value
