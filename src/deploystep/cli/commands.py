"""Each command: wire the adapters it needs to its use case."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime, tzinfo
from functools import partial
from os import urandom
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from deploystep.adapters.clock import SystemClock
from deploystep.adapters.console import Console
from deploystep.adapters.files import decoded, read_env_file, read_given, read_rules
from deploystep.adapters.git import GitRepository
from deploystep.adapters.history import GitHistory
from deploystep.app.learn import Sources, from_given
from deploystep.app.report import Journal, Report
from deploystep.app.run import Order, World, run
from deploystep.app.settle import Learn
from deploystep.cli.args import Invocation
from deploystep.core.address import Address, read_address
from deploystep.core.build import BuildContext, Variables
from deploystep.core.cases import Given
from deploystep.core.deploy import TriggerSpec
from deploystep.core.errors import EnvironmentInvalid, UsageError
from deploystep.core.facts import JobsOf, Known
from deploystep.core.frozen import dataclass
from deploystep.core.nodes import other_node
from deploystep.core.parameters import TOKEN_VARIABLES
from deploystep.core.rules import RuleSet
from deploystep.core.secret import Secret
from deploystep.core.source import SourceFile
from deploystep.core.times import read_now

if TYPE_CHECKING:
    from deploystep.app.trigger import Sender

_HERE: Final = Path()


def carry_out(
    invocation: Invocation, environ: Mapping[str, str], stdin: TextIO, console: Console, journal: Journal
) -> Report | None:
    """Carry out one command. None where what it printed is all that there is to tell.

    What is sent is noted in `journal`, so that whoever interrupts this knows it too.
    """
    if invocation.command in ("check", "test"):
        from deploystep.cli import examining  # noqa: PLC0415 - for people and their own builds; a deploy needs none of it

        examine = examining.check if invocation.command == "check" else examining.test
        return examine(invocation, Rules(invocation, environ), GitRepository(_HERE, environ), console)
    if invocation.command == "schema":
        from deploystep.rulefile import schema  # noqa: PLC0415 - for editors, which are in no build

        console.result(schema.text())
        return None
    if invocation.command == "sandbox":
        from deploystep.cli import sandboxes  # noqa: PLC0415 - a server that most runs do without

        return sandboxes.serve(invocation, environ, console, GitRepository(_HERE, environ))
    if invocation.given is not None:
        return _decide_given(invocation, environ, stdin, console, journal)
    return _decide(invocation, environ, console, journal)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rule file, from the folder or, with --rules-ref, from git."""

    invocation: Invocation
    environ: Mapping[str, str]

    def read(self) -> SourceFile:
        """The file's text."""
        path, ref = self.invocation.rules, self.invocation.rules_ref
        if ref is None:
            return read_rules(path, _HERE)
        return decoded(path, GitRepository(_HERE, self.environ).show(ref, path))


def _decide_given(
    invocation: Invocation, environ: Mapping[str, str], stdin: TextIO, console: Console, journal: Journal
) -> Report:
    """`plan --given`: stated facts replace environment, git, API and clock altogether."""
    from deploystep.rulefile.given import read_given as given_facts  # noqa: PLC0415 - a build has an environment

    given = given_facts(read_given(invocation.given or "", _HERE, stdin.buffer))
    world = World(
        other_node=None,
        build=lambda: given.build,
        rules=Rules(invocation, environ),
        now=lambda zone: _given_now(invocation, given, zone),
        progress=console,
        host=lambda build: str(_address(invocation, build)),
        sender=None,
        can_ask=False,
        learn=lambda _build, _rules: from_given(given),
    )
    return run(Order(invocation.command, is_dry=True), world, journal)


def _given_now(invocation: Invocation, given: Given, zone: tzinfo) -> datetime | None:
    text = invocation.now or (given.now.value if given.now else None)
    return None if text is None else _moment(text, zone)


def _decide(invocation: Invocation, environ: Mapping[str, str], console: Console, journal: Journal) -> Report:
    """`run` and `plan`: the build comes from the environment, where that is allowed completed from git."""
    if invocation.cancel_on_interrupt and invocation.wait is None:
        console.warning("--cancel-on-interrupt cancels nothing without --wait: a deploy is not followed then")
    clock = SystemClock()
    with ExitStack() as stack:
        desk = _Desk(invocation, environ, console, clock, stack)
        is_live = invocation.command == "run"
        world = World(
            other_node=desk.other_node(),
            build=desk.build,
            rules=Rules(invocation, environ),
            now=lambda zone: _moment(invocation.now, zone) if invocation.now else clock.now().astimezone(zone),
            progress=console,
            host=lambda build: str(_address(invocation, build)),
            sender=desk.sender if is_live else None,
            can_ask=is_live and desk.has_token,
            learn=desk.learn,
        )
        order = Order(
            invocation.command,
            is_dry=invocation.is_dry,
            allow_ssh=invocation.allow_ssh,
            nodes_limit=invocation.nodes_timeout if invocation.nodes == "all" else None,
            again=invocation.again,
        )
        return run(order, world, journal)


@dataclass(frozen=True, slots=True)
class _Desk:
    """What `run` and `plan` may ask for, each made when it is first needed."""

    invocation: Invocation
    environ: Mapping[str, str]
    console: Console
    clock: SystemClock
    stack: ExitStack

    def other_node(self) -> str | None:
        """What to say where another node decides."""
        return other_node(_with_options(self.invocation, self.environ))

    def build(self) -> BuildContext:
        """The build. Raises EnvironmentInvalid outside CircleCI, unless that was asked for."""
        invocation = self.invocation
        environ = self._without_token
        is_plain_run = invocation.command == "run" and not (invocation.sandbox or invocation.outside_ci)
        if environ.get("CIRCLECI") == "true" and invocation.command == "run":
            return BuildContext.from_environ(environ)
        if is_plain_run:
            raise EnvironmentInvalid(
                "not-in-a-build",
                "this is not a CircleCI build: CIRCLECI is not `true`",
                "see what a build would do with  deploystep plan",
                "try the whole step without an account with  deploystep run --sandbox",
                "to trigger from here all the same, give  --outside-ci",
            )
        return BuildContext.from_environ(_completed(invocation, environ))

    @property
    def _without_token(self) -> Mapping[str, str]:
        """Whatever its name, the token is no fact about the build, and none of git's business."""
        token = self._token()[1]
        return {
            n: v for n, v in self.environ.items() if n != self.invocation.token_env and (token is None or v != token)
        }

    def learn(self, build: BuildContext, rules: RuleSet) -> Learn:
        """Answers from this clone and, in a build that has a token, from CircleCI."""
        invocation = self.invocation
        if invocation.sandbox:
            return self._imagined(build, rules)
        asks = invocation.command == "run" and self.has_token
        courier = (lambda: self.sender(build, ()).courier) if asks else None
        return Sources(self._history(build, rules).answer, courier, build, invocation.changed).learn

    def _imagined(self, build: BuildContext, rules: RuleSet) -> Learn:
        """With --sandbox nobody can be asked about jobs: those that a rule requires are taken to have succeeded."""
        jobs = {job.value: "success" for rule in rules.rules for job in rule.requires}
        commits = self._history(build, rules).answer
        return lambda question: Known(jobs) if isinstance(question, JobsOf) else commits(question)

    def _history(self, build: BuildContext, rules: RuleSet) -> GitHistory:
        return GitHistory(GitRepository(_HERE, self._without_token), build.revision, rules.default_branch)

    @property
    def has_token(self) -> bool:
        """Whether there is a token to ask CircleCI with."""
        return self.invocation.sandbox or self._token()[1] is not None

    def _token(self) -> tuple[str, str | None]:
        variables = Variables(self.environ)
        if self.invocation.token_env is not None:
            return self.invocation.token_env, variables.get(self.invocation.token_env)
        name = next((n for n in TOKEN_VARIABLES if variables.get(n) is not None), TOKEN_VARIABLES[0])
        return name, variables.get(name)

    def sender(self, build: BuildContext, specs: tuple[TriggerSpec, ...]) -> "Sender":
        """The way to CircleCI, or with --sandbox to its stand-in."""
        if self.invocation.sandbox:
            from deploystep.cli import sandboxes  # noqa: PLC0415 - as above

            if self.environ.get("CIRCLECI") == "true":
                self.console.warning("--sandbox: this build deploys nothing; leave it out to deploy")
            token = Secret(urandom(20).hex())
            address = self.stack.enter_context(sandboxes.stand_in(build, specs, token, self.console))
            # whose branches are where the build says they are: nobody else is to be asked
            return self._sender(address, token, "CIRCLE_TOKEN", lambda: None)
        name, value = self._token()
        from deploystep.adapters.remote import GitRemote  # noqa: PLC0415 - few runs send anything
        from deploystep.app.head import superseded_by  # noqa: PLC0415 - as above

        superseded = partial(superseded_by, build, GitRemote(_HERE, self._without_token), self.clock, self.console)
        return self._sender(_address(self.invocation, build), _secret(name, value), name, superseded)

    def _sender(
        self, address: Address, token: Secret, token_name: str, superseded: Callable[[], str | None]
    ) -> "Sender":
        from deploystep.adapters.http import HttpTransport  # noqa: PLC0415 - few runs send anything
        from deploystep.app.courier import Courier  # noqa: PLC0415 - as above
        from deploystep.app.trigger import Sender  # noqa: PLC0415 - as above
        from deploystep.app.vigil import Patience  # noqa: PLC0415 - as above

        self.console.hide(token)
        invocation = self.invocation
        return Sender(
            courier=Courier(HttpTransport(address, token), self.clock, self.console),
            token_name=token_name,
            app=address.app,
            patience=Patience(invocation.confirm, invocation.wait),
            superseded=superseded,
            again=invocation.again,
            cancels=invocation.cancel_on_interrupt,
        )


def _secret(name: str, value: str | None) -> Secret:
    if value is None:
        # who writes --token-env $TOKEN has given the token for a name: it is not repeated
        shown = name if name in TOKEN_VARIABLES else "the variable that --token-env names"
        raise EnvironmentInvalid(
            "no-token",
            f"there is no API token: {shown} is not set",
            "make a personal API token in CircleCI's user settings (a project token does not work with API v2)",
            f"store it in {shown}, in a context or in the project's environment variables",
            "a build of a forked pull request is not given it, unless the project passes secrets to forks",
        )
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise EnvironmentInvalid(
            "token-malformed",
            f"the token in {name} holds a space, a line end or another character that no token has",
            f"store {name} again, without quotes or line ends",
        )
    return Secret(value)


def _address(invocation: Invocation, build: BuildContext) -> Address:
    try:
        return read_address(invocation.host or build.host)
    except ValueError as error:
        if invocation.host is not None:
            hint = "write for example https://circleci.acme.dev"
            raise UsageError("host", f"--host {invocation.host!r}: {error}", hint) from None
        message = f"CIRCLE_BUILD_URL names the host {build.host!r}: {error}"
        raise EnvironmentInvalid("host", message, "name the host with --host URL") from None


def _moment(text: str, zone: tzinfo) -> datetime:
    try:
        return read_now(text, zone)
    except ValueError as error:
        raise UsageError("now", f"--now: {error}", "write for example --now '2026-06-16 10:00'") from None


def _with_options(invocation: Invocation, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment under what --env-file and the options of `plan` say."""
    given = {
        "CIRCLE_BRANCH": invocation.branch,
        "CIRCLE_TAG": invocation.tag,
        "CIRCLE_NODE_INDEX": invocation.node_index,
        "CIRCLE_NODE_TOTAL": invocation.node_total,
    }
    if invocation.branch is not None or invocation.tag is not None:
        # a build has one of them: naming one takes the other away
        given |= {"CIRCLE_BRANCH": invocation.branch or "", "CIRCLE_TAG": invocation.tag or ""}
    file = read_env_file(invocation.env_file, _HERE) if invocation.env_file else {}
    return {**environ, **file, **{name: value for name, value in given.items() if value is not None}}


def _completed(invocation: Invocation, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment, with what is blank in it filled in from the clone."""
    if invocation.branch and invocation.tag:
        raise UsageError("usage", "--branch and --tag: a build has one of them", "leave one out")
    repository = GitRepository(_HERE, environ)
    values = _with_options(invocation, environ)
    variables = Variables(values)
    found = dict(repository.describe())
    if "CIRCLE_SHA1" not in found and variables.get("CIRCLE_SHA1") is None:
        raise EnvironmentInvalid(
            "not-in-a-clone",
            "this folder is not in a git clone with a commit, and no build's environment is set",
            "run it in a clone, or state the facts:  deploystep plan --given FILE",
        )
    if variables.first(("CIRCLE_BRANCH", "CIRCLE_TAG")) is not None:
        found.pop("CIRCLE_BRANCH", None)
    revision = _revision(invocation, repository)
    if revision is not None:
        values["CIRCLE_SHA1"] = revision
    if variables.first(("CIRCLE_BRANCH", "CIRCLE_TAG")) is None and "CIRCLE_BRANCH" not in found:
        raise EnvironmentInvalid(
            "no-ref",
            "HEAD is detached, and nothing else tells which branch or tag this is",
            "give --branch or --tag" if invocation.command == "plan" else "set CIRCLE_BRANCH or CIRCLE_TAG",
        )
    if invocation.sandbox and Variables({**found, **values}).get("CIRCLE_PROJECT_USERNAME") is None:
        found |= _IMAGINED_PROJECT
    return {**values, **{name: value for name, value in found.items() if Variables(values).get(name) is None}}


#: The project of a clone whose origin tells none, where nobody but the stand-in is asked about it.
_IMAGINED_PROJECT: Final = {
    "CIRCLE_PROJECT_USERNAME": "acme",
    "CIRCLE_PROJECT_REPONAME": "shop",
    "CIRCLE_REPOSITORY_URL": "https://github.com/acme/shop",
}


def _revision(invocation: Invocation, repository: GitRepository) -> str | None:
    """What --sha names, else where the named branch or tag is; None leaves it to the environment and HEAD."""
    if invocation.sha is not None:
        return repository.resolve(invocation.sha) or invocation.sha
    if invocation.tag is not None:
        return repository.resolve(f"refs/tags/{invocation.tag}")
    if invocation.branch is not None:
        names = (f"refs/heads/{invocation.branch}", f"refs/remotes/origin/{invocation.branch}")
        return next((r for name in names if (r := repository.resolve(name)) is not None), None)
    return None
