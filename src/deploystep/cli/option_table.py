"""Every command and every option in one table, with its environment variable and how its text is read."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from deploystep.app.options import ACTING, RULES
from deploystep.core.errors import UsageError
from deploystep.core.frozen import dataclass

_DECIDING: Final = ("run", "gate", "plan")
_READING: Final = ("run", "gate", "plan", "check", "test", "matrix")
_ALL: Final = ("run", "gate", "plan", "check", "test", "matrix", "init", "doctor", "migrate", "schema", "sandbox")
TRUE: Final = frozenset({"1", "true", "yes", "on"})
FALSE: Final = frozenset({"", "0", "false", "no", "off"})


def _seconds(text: str) -> float | None:
    """`--wait` may stand alone, and its variable may be a switch."""
    if text.lower() in FALSE - {"", "0"}:
        return None
    if text.lower() in {"", *TRUE} - {"1"}:
        return 3600.0
    return float(text.rstrip("smh")) * {"m": 60, "h": 3600}.get(text[-1], 1)


@dataclass(frozen=True, slots=True)
class Form:
    """How the text of an option is written, with an example, and read. Several `NAME=VALUE` become a map."""

    pattern: str
    example: str
    make: Callable[[str], Any] = str

    def read(self, written: str, given: str | list[str]) -> Any:
        """The value. Of several none is shown where one is wrong: it may be a value without its name."""
        texts = [given] if isinstance(given, str) else given
        with suppress(ValueError):  # a number that is too large
            if all(re.fullmatch(self.pattern, text, re.ASCII | re.DOTALL) for text in texts):
                return self.make(given) if isinstance(given, str) else dict(text.split("=", 1) for text in texts)
        what = f"cannot read {given!r}" if isinstance(given, str) else "expected NAME=VALUE"
        raise UsageError("usage", f"{written}: {what}", f"write for example {self.example}")


_DURATION: Final = Form(r"\d{1,6}[smh]?", "90s, 10m or 1h", _seconds)


@dataclass(frozen=True, slots=True)
class Option:
    """One option: which commands take it, how it is written and read. Without a metavar it is a switch.

    A flag without dashes is an argument that stands alone.
    """

    flag: str
    commands: tuple[str, ...]
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    is_repeatable: bool = False
    has_variable: bool = True
    form: Form | None = None

    @property
    def variable(self) -> str:
        """The environment variable that stands for it; the option beats the variable."""
        return "DEPLOYSTEP_" + self.name.upper()

    @property
    def name(self) -> str:
        """The attribute under which argparse keeps it."""
        return self.flag.removeprefix("--").replace("-", "_").lower()


OPTIONS: Final = (
    Option("PATH", ("migrate",), "a config, or a folder that holds .circleci (default: this project)", "PATH", is_repeatable=True, has_variable=False),
    Option("--rules", (*_READING, "init", "doctor", "migrate"), f"the rule file (default {RULES})", "FILE"),
    Option("--rules-ref", (*_READING, "doctor"), "read the rule file from this git ref, so that a pull request cannot edit it", "REF"),
    Option("--now", (*_DECIDING, "matrix"), "decide as if it were this time: 2026-06-16 10:00 [ZONE]", "TIME"),
    Option("--dry-run", ACTING, "decide by the same code path, and send and execute nothing"),
    Option("--confirm", ("run",), "how long to look for the created run's workflows (default 60s; 0 does not look)", "DURATION", form=_DURATION),
    Option("--host", (*_DECIDING, "doctor"), "address of CircleCI (default: from CIRCLE_BUILD_URL, else circleci.com)", "URL"),
    Option("--token-env", (*ACTING, "doctor"), "name of the variable that holds the API token (default: the first of CIRCLE_TOKEN, …)", "NAME"),
    Option("--sandbox", ("run", "doctor"), "send to a mock CircleCI server on this machine; needs no account"),
    Option("--outside-ci", ACTING, "also deploy outside CircleCI; git fills in what a build's environment would hold"),
    Option("--allow-ssh", ACTING, "also deploy in a rerun with SSH"),
    Option("--nodes", ACTING, "all (default): node 0 waits until every other node has succeeded; first: it does not wait", "WHICH", ("all", "first")),
    Option("--nodes-timeout", ACTING, "how long to wait for the other nodes (default 30m)", "DURATION", form=_DURATION),
    Option("--wait", ("run",), "follow what was triggered to its end, for at most this long (1h where none is given)", "DURATION", form=Form(r"(?i:\d{1,6}[smh]?|true|yes|on|false|no|off|)", "90s, 10m or 1h", _seconds)),
    Option("--cancel-on-interrupt", ("run",), "with --wait: an interruption also cancels what was triggered"),
    Option("--again", ("run",), "trigger though this commit was deployed before; the reason is shown", "REASON", form=Form(r".*\S.*", "'the database was restored'")),
    Option("--fetch", ACTING, "fetch a branch or tag that a rule asks about and that has moved since the checkout"),
    Option("--held", ACTING, "what a held deploy is: pass (default), or fail, with exit code 13", "WHICH", ("pass", "fail")),
    Option("--export", ACTING, "append the outcome to this file as lines for bash, for example to $BASH_ENV", "FILE"),
    Option("--report", _DECIDING, "also write a page of this run, for store_artifacts; on failure too", "FILE"),
    Option("--branch", ("plan",), "the branch to judge (default: the one checked out)", "NAME", has_variable=False),
    Option("--tag", ("plan",), "the tag to judge", "NAME", has_variable=False),
    Option("--sha", ("plan",), "the revision to judge (default: HEAD, or the tag's)", "REVISION", has_variable=False),
    Option("--pull-request", ("plan",), "judge as a build of this pull request", "N", has_variable=False, form=Form(r"[1-9]\d{0,17}", "42")),
    Option("--fork", ("plan",), "judge as a build of a fork; with --pull-request N its branch is pull/N", has_variable=False),
    Option("--user", ("plan",), "who started the build", "NAME", has_variable=False),
    Option("--author", ("plan",), "the author's e-mail address, instead of asking git", "ADDRESS", has_variable=False),
    Option("--message", ("plan",), "the commit message, instead of asking git", "TEXT", has_variable=False),
    Option("--env", ("plan",), "a variable of the build (repeatable)", "NAME=VALUE", is_repeatable=True, has_variable=False, form=Form(r"[A-Za-z_]\w*=.*", "DEPLOYS_OFF=1")),
    Option("--node-index", ("plan",), "judge as this parallel node", "N", has_variable=False),
    Option("--node-total", ("plan",), "judge as one of this many parallel nodes", "N", has_variable=False),
    Option("--changed", ("plan",), "a changed file, instead of asking git (repeatable)", "FILE", is_repeatable=True, has_variable=False),
    Option("--env-file", ("plan",), "more variables of the build, NAME=value a line", "FILE", has_variable=False),
    Option("--given", ("plan",), "a map of facts that replaces environment, git and clock (- is standard input)", "FILE", has_variable=False),
    Option("--config", ("check",), "the config.yml to compare with (default .circleci/config.yml); TARGET=FILE for a target (repeatable)", "FILE", is_repeatable=True, has_variable=False),
    Option("--strict", ("check",), "let warnings count as errors"),
    Option("--explain", ("check",), "tell what a code means, how it comes about and what to do, and stop", "CODE", has_variable=False),
    Option("--format", ("check",), "text (default), json, github (annotations), sarif (code scanning) or junit", "FORMAT", ("text", "json", "github", "sarif", "junit")),
    Option("--coverage", ("test",), "also name what no case shows: rules that fire or do not, items that decide"),
    Option("--junit", ("test",), "also write the results as JUnit XML, for store_test_results", "FILE"),
    Option("--html", ("matrix",), "also write the matrix as one page, with conditions, windows and what would run", "FILE"),
    Option("--port", ("sandbox",), "the port to listen on (default: a free one)", "PORT", form=Form(r"\d{1,5}", "8080, or 0 for a free one", lambda text: range(65536).index(int(text)))),
    Option("--project", ("sandbox",), "a project that it knows, gh/acme/shop (repeatable; default: every project)", "SLUG", is_repeatable=True, has_variable=False),
    Option("--head", ("sandbox",), "the revision of a branch or tag, main=4f2c… (repeatable)", "REF=SHA", is_repeatable=True, has_variable=False, form=Form(r"[^=]+=.+", "main=4f2c1aa")),
    Option("--workflow", ("sandbox",), "a workflow that every run starts (repeatable; default deploy)", "NAME", is_repeatable=True, has_variable=False),
    Option("--fault", ("sandbox",), "how the next trigger goes wrong, for example 500-after-create (repeatable)", "FAULT", is_repeatable=True, has_variable=False),
    Option("--accept-token-env", ("sandbox",), "take only the token that this variable holds (default: any)", "NAME", has_variable=False),
    Option("--write", ("migrate",), "write the rule file and the changed configs", has_variable=False),
    Option("--force", ("migrate",), "with --write: also where something is not committed", has_variable=False),
    Option("--diff", ("migrate",), "show the changes as a unified diff", has_variable=False),
    Option("--check", ("migrate",), "end with 3 while a deploy step or a call that ends remains", has_variable=False),
    Option("SHELL", ("completion",), "the shell that is to complete the command line", "SHELL", ("bash", "zsh", "fish"), has_variable=False),
    Option("--json", _ALL, "print exactly one JSON document on stdout"),
    Option("--quiet", _ALL, "leave out what happens on the way; warnings, errors and the result stay"),
    Option("--verbose", _ALL, "also tell each request to CircleCI and how it was answered"),
    Option("--color", _ALL, "colour: auto, always or never", "WHEN", ("auto", "always", "never")),
)  # fmt: skip

COMMANDS: Final[Mapping[str, str]] = {
    "run": "the step: decide, and trigger the deploy that is due",
    "gate": "judge one rule as run does, and execute a command in place of a trigger",
    "plan": "what run would do, on a laptop: sends nothing, needs no token",
    "check": "report everything wrong or suspicious in the rule file, alone and beside config.yml",
    "test": "try the cases in the rule file, offline",
    "matrix": "which rules fire for which build: a table, or a page",
    "init": "write a first rule file, and show the lines that config.yml needs for it",
    "doctor": "look at everything that a deploy needs, here and at CircleCI; changes nothing",
    "schema": "print the JSON Schema of the rule file, for editors",
    "sandbox": "a mock CircleCI server on this machine",
    "migrate": "find deploy steps and calls of API v1.1, and write what takes their place",
    "completion": "print the script by which bash, zsh or fish completes the command line",
}
