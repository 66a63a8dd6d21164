"""Every option in one table: its default, the commands that take it, its variable, and how its text is read."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from deploystep.core.frozen import Frozen

T = TypeVar("T")
ACTING: Final = ("run", "gate")  # commands that deploy: by a trigger, or by a command of the job
RULES: Final = ".circleci/deploy.yml"
TRUE: Final = frozenset({"1", "true", "yes", "on"})
FALSE: Final = frozenset({"", "0", "false", "no", "off"})
_DECIDING: Final = (*ACTING, "plan")
_READING: Final = (*_DECIDING, "check", "test", "matrix")
_ALL: Final = (*_READING, "init", "doctor", "migrate", "schema", "sandbox")
_ROWS: "Final[list[Callable[[str], Option]]]" = []  # of the table below, each without its name
Form: TypeAlias = tuple[str, str, Callable[[str], Any]]  # how a text is written, an example of it, and how it is read


def _seconds(text: str) -> float | None:
    """`--wait` may stand alone, and its variable may be a switch."""
    if text.lower() in FALSE - {"", "0"}:
        return None
    if text.lower() in {"", *TRUE} - {"1"}:
        return 3600.0
    return float(text.rstrip("smh")) * {"m": 60, "h": 3600}.get(text[-1], 1)


_DURATION: Final = (r"\d{1,6}[smh]?", "90s, 10m or 1h", _seconds)
_WAIT: Final = (r"(?i:\d{1,6}[smh]?|true|yes|on|false|no|off|)", "90s, 10m or 1h", _seconds)


class Option(Frozen):
    """One option: which commands take it, how it is written and read. It beats its variable."""

    name: str
    flag: str
    variable: str
    is_repeatable: bool  # the values become a tuple or, with a form, a map
    commands: tuple[str, ...]
    help: str
    metavar: str | None = None  # of none it is a switch
    choices: tuple[str, ...] | None = None
    has_variable: bool = True
    form: Form | None = None


def _option(default: T, *row: Any, is_argument: bool = False, **more: Any) -> T:
    """A row of the table: what holds where the option is not given, and `Option` from its commands on."""

    def named(name: str) -> Option:
        flag = name.upper() if is_argument else f"--{name.replace('_', '-')}"
        return Option(name, flag, f"DEPLOYSTEP_{name.upper()}", default in ((), {}), *row, **more)

    _ROWS.append(named)
    return default


class Options(Frozen):
    """What was asked for, by the command line and by DEPLOYSTEP_ variables. Durations are in seconds."""

    command: str
    rule: str = ""
    execute: tuple[str, ...] = ()
    from_variables: frozenset[str] = frozenset()
    # fmt: off
    path: tuple[str, ...] = _option((), ("migrate",), "a config, or a folder that holds .circleci (default: this project)", "PATH", has_variable=False, is_argument=True)
    rules: str = _option(RULES, (*_READING, "init", "doctor", "migrate"), f"the rule file (default {RULES})", "FILE")
    rules_ref: str | None = _option(None, (*_READING, "doctor"), "read the rule file from this git ref, so that a pull request cannot edit it", "REF")
    now: str | None = _option(None, (*_DECIDING, "matrix"), "decide as if it were this time: 2026-06-16 10:00 [ZONE]", "TIME")
    dry_run: bool = _option(False, ACTING, "decide by the same code path, and send and execute nothing")
    confirm: float = _option(60.0, ("run",), "how long to look for the created run's workflows (default 60s; 0 does not look)", "DURATION", form=_DURATION)
    host: str | None = _option(None, (*_DECIDING, "doctor"), "address of CircleCI (default: from CIRCLE_BUILD_URL, else circleci.com)", "URL")
    token_env: str | None = _option(None, (*ACTING, "doctor"), "name of the variable that holds the API token (default: the first of CIRCLE_TOKEN, …)", "NAME")
    sandbox: bool = _option(False, ("run", "doctor"), "send to a mock CircleCI server on this machine; needs no account")
    outside_ci: bool = _option(False, ACTING, "also deploy outside CircleCI; git fills in what a build's environment would hold")
    allow_ssh: bool = _option(False, ACTING, "also deploy in a rerun with SSH")
    nodes: str = _option("all", ACTING, "all (default): node 0 waits until every other node has succeeded; first: it does not wait", "WHICH", ("all", "first"))
    nodes_timeout: float = _option(1800.0, ACTING, "how long to wait for the other nodes (default 30m)", "DURATION", form=_DURATION)
    wait: float | None = _option(None, ("run",), "follow what was triggered to its end, for at most this long (1h where none is given)", "DURATION", form=_WAIT)
    cancel_on_interrupt: bool = _option(False, ("run",), "with --wait: an interruption also cancels what was triggered")
    again: str | None = _option(None, ("run",), "trigger though this commit was deployed before; the reason is shown", "REASON", form=(r".*\S.*", "'the database was restored'", str))
    fetch: bool = _option(False, ACTING, "fetch a branch or tag that a rule asks about and that has moved since the checkout")
    held: str = _option("pass", ACTING, "what a held deploy is: pass (default), or fail, with exit code 13", "WHICH", ("pass", "fail"))
    export: str | None = _option(None, ACTING, "append the outcome to this file as lines for bash, for example to $BASH_ENV", "FILE")
    report: str | None = _option(None, _DECIDING, "also write a page of this run, for store_artifacts; on failure too", "FILE")
    branch: str | None = _option(None, ("plan",), "the branch to judge (default: the one checked out)", "NAME", has_variable=False)
    tag: str | None = _option(None, ("plan",), "the tag to judge", "NAME", has_variable=False)
    sha: str | None = _option(None, ("plan",), "the revision to judge (default: HEAD, or the tag's)", "REVISION", has_variable=False)
    pull_request: str | None = _option(None, ("plan",), "judge as a build of this pull request", "N", has_variable=False, form=(r"[1-9]\d{0,17}", "42", str))
    fork: bool = _option(False, ("plan",), "judge as a build of a fork; with --pull-request N its branch is pull/N", has_variable=False)
    user: str | None = _option(None, ("plan",), "who started the build", "NAME", has_variable=False)
    author: str | None = _option(None, ("plan",), "the author's e-mail address, instead of asking git", "ADDRESS", has_variable=False)
    message: str | None = _option(None, ("plan",), "the commit message, instead of asking git", "TEXT", has_variable=False)
    env: Mapping[str, str] = _option({}, ("plan",), "a variable of the build (repeatable)", "NAME=VALUE", has_variable=False, form=(r"[A-Za-z_]\w*=.*", "DEPLOYS_OFF=1", str))
    node_index: str | None = _option(None, ("plan",), "judge as this parallel node", "N", has_variable=False)
    node_total: str | None = _option(None, ("plan",), "judge as one of this many parallel nodes", "N", has_variable=False)
    changed: tuple[str, ...] = _option((), ("plan",), "a changed file, instead of asking git (repeatable)", "FILE", has_variable=False)
    env_file: str | None = _option(None, ("plan",), "more variables of the build, NAME=value a line", "FILE", has_variable=False)
    given: str | None = _option(None, ("plan",), "a map of facts that replaces environment, git and clock (- is standard input)", "FILE", has_variable=False)
    config: tuple[str, ...] = _option((), ("check",), "the config.yml to compare with (default .circleci/config.yml); TARGET=FILE for a target (repeatable)", "FILE", has_variable=False)
    strict: bool = _option(False, ("check",), "let warnings count as errors")
    explain: str | None = _option(None, ("check",), "tell what a code means, how it comes about and what to do, and stop", "CODE", has_variable=False)
    format: str = _option("text", ("check",), "text (default), json, github (annotations), sarif (code scanning) or junit", "FORMAT", ("text", "json", "github", "sarif", "junit"))
    coverage: bool = _option(False, ("test",), "also name what no case shows: rules that fire or do not, items that decide")
    junit: str | None = _option(None, ("test",), "also write the results as JUnit XML, for store_test_results", "FILE")
    html: str | None = _option(None, ("matrix",), "also write the matrix as one page, with conditions, windows and what would run", "FILE")
    port: int = _option(0, ("sandbox",), "the port to listen on (default: a free one)", "PORT", form=(r"\d{1,5}", "8080, or 0 for a free one", lambda text: range(65536).index(int(text))))
    project: tuple[str, ...] = _option((), ("sandbox",), "a project that it knows, gh/acme/shop (repeatable; default: every project)", "SLUG", has_variable=False)
    head: Mapping[str, str] = _option({}, ("sandbox",), "the revision of a branch or tag, main=4f2c… (repeatable)", "REF=SHA", has_variable=False, form=(r"[^=]+=.+", "main=4f2c1aa", str))
    workflow: tuple[str, ...] = _option((), ("sandbox",), "a workflow that every run starts (repeatable; default deploy)", "NAME", has_variable=False)
    fault: tuple[str, ...] = _option((), ("sandbox",), "how the next trigger goes wrong, for example 500-after-create (repeatable)", "FAULT", has_variable=False)
    accept_token_env: str | None = _option(None, ("sandbox",), "take only the token that this variable holds (default: any)", "NAME", has_variable=False)
    write: bool = _option(False, ("migrate",), "write the rule file and the changed configs", has_variable=False)
    force: bool = _option(False, ("migrate",), "with --write: also where something is not committed", has_variable=False)
    diff: bool = _option(False, ("migrate",), "show the changes as a unified diff", has_variable=False)
    check: bool = _option(False, ("migrate",), "end with 3 while a deploy step or a call that ends remains", has_variable=False)
    shell: str | None = _option(None, ("completion",), "the shell that is to complete the command line", "SHELL", ("bash", "zsh", "fish"), has_variable=False, is_argument=True)
    json: bool = _option(False, _ALL, "print exactly one JSON document on stdout")
    quiet: bool = _option(False, _ALL, "leave out what happens on the way; warnings, errors and the result stay")
    verbose: bool = _option(False, _ALL, "also tell each request to CircleCI and how it was answered")
    color: str = _option("auto", _ALL, "colour: auto, always or never", "WHEN", ("auto", "always", "never"))
    # fmt: on

    def written(self, name: str) -> str:
        """How this option was given: `--now`, or `DEPLOYSTEP_NOW`."""
        return f"DEPLOYSTEP_{name.upper()}" if name in self.from_variables else f"--{name.replace('_', '-')}"

    @property
    def is_dry(self) -> bool:
        return self.dry_run or not self.acts

    @property
    def acts(self) -> bool:
        """Whether the command deploys: in a build, by what CircleCI and the repository's host tell now."""
        return self.command in ACTING


OPTIONS: Final = tuple(row(name) for name, row in zip(Options.__match_args__[4:], _ROWS, strict=True))
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
