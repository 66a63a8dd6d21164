"""The command line: every option in one table, with its environment variable; argparse goes no further than here."""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from deploystep import __version__
from deploystep.core.errors import UsageError
from deploystep.core.values import dataclass, field

RULES: Final = ".circleci/deploy.yml"
_DECIDING: Final = ("run", "plan")
_READING: Final = ("run", "plan", "check", "test")
_ALL: Final = ("run", "plan", "check", "test", "schema", "sandbox")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})
_WAIT: Final = "1h"
_DURATION: Final = re.compile(r"(\d{1,6})(s|m|h)?", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, None: 1}


@dataclass(frozen=True, slots=True)
class Option:
    """One option: which commands take it, and how it is written. Without a metavar it is a switch."""

    flag: str
    commands: tuple[str, ...]
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    is_repeatable: bool = False
    has_variable: bool = True

    @property
    def variable(self) -> str:
        """The environment variable that stands for it; the option beats the variable."""
        return "DEPLOYSTEP_" + self.name.upper()

    @property
    def name(self) -> str:
        """The attribute under which argparse keeps it."""
        return self.flag.removeprefix("--").replace("-", "_")


OPTIONS: Final = (
    Option("--rules", _READING, f"the rule file (default {RULES})", "FILE"),
    Option("--rules-ref", _READING, "read the rule file from this git ref, so that a pull request cannot edit it", "REF"),
    Option("--now", _DECIDING, "decide as if it were this time: 2026-06-16 10:00 [ZONE]", "TIME"),
    Option("--dry-run", ("run",), "decide by the same code path and send nothing"),
    Option("--confirm", ("run",), "how long to look for the created run's workflows (default 60s; 0 does not look)", "DURATION"),
    Option("--host", ("run", "plan"), "address of CircleCI (default: from CIRCLE_BUILD_URL, else circleci.com)", "URL"),
    Option("--token-env", ("run",), "name of the variable that holds the API token (default: the first of CIRCLE_TOKEN, …)", "NAME"),
    Option("--sandbox", ("run",), "send to a stand-in for CircleCI on this machine; needs no account"),
    Option("--outside-ci", ("run",), "also trigger outside CircleCI; git fills in what a build's environment would hold"),
    Option("--allow-ssh", ("run",), "also trigger in a rerun with SSH"),
    Option("--nodes", ("run",), "all (default): node 0 waits until every other node has succeeded; first: it does not wait", "WHICH", ("all", "first")),
    Option("--nodes-timeout", ("run",), "how long to wait for the other nodes (default 30m)", "DURATION"),
    Option("--wait", ("run",), "follow what was triggered to its end, for at most this long (1h where none is given)", "DURATION"),
    Option("--cancel-on-interrupt", ("run",), "with --wait: an interruption also cancels what was triggered"),
    Option("--again", ("run",), "trigger though this commit was deployed before; the reason is shown", "REASON"),
    Option("--branch", ("plan",), "the branch to judge (default: the one checked out)", "NAME", has_variable=False),
    Option("--tag", ("plan",), "the tag to judge", "NAME", has_variable=False),
    Option("--sha", ("plan",), "the revision to judge (default: HEAD, or the tag's)", "REVISION", has_variable=False),
    Option("--node-index", ("plan",), "judge as this parallel node", "N", has_variable=False),
    Option("--node-total", ("plan",), "judge as one of this many parallel nodes", "N", has_variable=False),
    Option("--changed", ("plan",), "a changed file, instead of asking git (repeatable)", "FILE", None, True, False),  # noqa: FBT003
    Option("--env-file", ("plan",), "more variables of the build, NAME=value a line", "FILE", has_variable=False),
    Option("--given", ("plan",), "a map of facts that replaces environment, git and clock (- is standard input)", "FILE", has_variable=False),
    Option("--config", ("check",), "the config.yml to compare with (default .circleci/config.yml); TARGET=FILE for a target (repeatable)", "FILE", None, True, False),  # noqa: FBT003
    Option("--strict", ("check",), "let warnings count as errors"),
    Option("--coverage", ("test",), "also name what no case shows: rules that fire or do not, items that decide"),
    Option("--junit", ("test",), "also write the results as JUnit XML, for store_test_results", "FILE"),
    Option("--port", ("sandbox",), "the port to listen on (default: a free one)", "PORT"),
    Option("--project", ("sandbox",), "a project that it knows, gh/acme/shop (repeatable; default: every project)", "SLUG", None, True, False),  # noqa: FBT003
    Option("--head", ("sandbox",), "the revision of a branch or tag, main=4f2c… (repeatable)", "REF=SHA", None, True, False),  # noqa: FBT003
    Option("--workflow", ("sandbox",), "a workflow that every run starts (repeatable; default deploy)", "NAME", None, True, False),  # noqa: FBT003
    Option("--fault", ("sandbox",), "how the next trigger goes wrong, for example 500-after-create (repeatable)", "FAULT", None, True, False),  # noqa: FBT003
    Option("--accept-token-env", ("sandbox",), "take only the token that this variable holds (default: any)", "NAME", has_variable=False),
    Option("--json", _ALL, "print exactly one JSON document on stdout"),
    Option("--color", _ALL, "colour: auto, always or never", "WHEN", ("auto", "always", "never")),
)  # fmt: skip

COMMANDS: Final[Mapping[str, str]] = {
    "run": "the step: decide, and trigger the deploy that is due",
    "plan": "what run would do, on a laptop: sends nothing, needs no token",
    "check": "report everything wrong or suspicious in the rule file, alone and beside config.yml",
    "test": "try the cases in the rule file, offline",
    "schema": "print the JSON Schema of the rule file, for editors",
    "sandbox": "a stand-in for CircleCI's API on this machine",
}
_EXAMPLES: Final = {
    "run": "      - run: deploystep run",
    "plan": "  deploystep plan --branch release/1.4",
    "check": "  deploystep check",
    "test": "  deploystep test --coverage --junit results/deploystep.xml",
    "schema": "  deploystep schema",
    "sandbox": "  deploystep sandbox --port 8080 --fault 429:1",
}


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


class Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would have printed."""
        known = f"commands: {', '.join(COMMANDS)}; " if self.prog == "deploystep" else ""
        raise UsageError("usage", message, f"{known}see  {self.prog} --help")


def parser(only: str | None = None) -> Parser:
    """The parser of every command; with `only`, the others are known by name alone."""
    top = Parser(
        prog="deploystep",
        allow_abbrev=False,
        description="Decides whether a CircleCI build deploys, and triggers the deploy.",
    )
    top.add_argument("--version", action="version", version=f"deploystep {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, prog=top.prog)
    for name, about in COMMANDS.items():
        command = commands.add_parser(
            name,
            allow_abbrev=False,
            help=about,
            description=about.capitalize() + ".",
            epilog=f"example:\n{_EXAMPLES[name]}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for option in OPTIONS:
            if name in option.commands and only in (name, None):
                _add(command, option)
    return top


def _add(command: argparse.ArgumentParser, option: Option) -> None:
    if option.metavar is None:
        command.add_argument(option.flag, action="store_true", default=None, help=option.help)
    else:
        action = "append" if option.is_repeatable else "store"
        # --wait may stand alone, and must not look as if it had not been given
        nargs, const = ("?", "") if option.flag == "--wait" else (None, None)
        command.add_argument(
            option.flag,
            action=action,
            metavar=option.metavar,
            choices=option.choices,
            nargs=nargs,
            const=const,
            help=option.help,
        )


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Invocation:
    """Read the command line. Raises UsageError; argparse itself leaves only for --help and --version."""
    read = vars(parser(argv[0] if argv and argv[0] in COMMANDS else None).parse_args(argv))
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
