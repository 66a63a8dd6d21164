"""The outside, wired for one command: each part is made when it is first asked for."""

import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, tzinfo
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from deploystep.adapters.clock import SystemClock
from deploystep.adapters.console import Console
from deploystep.adapters.files import nearest, read_config, read_env_file, read_given, read_rules, up_to_root
from deploystep.adapters.git import GitRepository
from deploystep.app.options import RULES, Options
from deploystep.cli.option_table import OPTIONS
from deploystep.core.build import BuildContext, Variables, is_revision
from deploystep.core.errors import EnvironmentInvalid, FactUnavailable, UsageError
from deploystep.core.frozen import replace
from deploystep.core.nodes import other_node
from deploystep.core.parameters import TOKEN_VARIABLES
from deploystep.core.retry import ATTEMPTS
from deploystep.core.rules import Given
from deploystep.core.secret import MASK, Address, Secret, read_address
from deploystep.core.source import SourceFile
from deploystep.core.times import read_now

if TYPE_CHECKING:
    from deploystep.adapters.history import GitHistory, GitRemote
    from deploystep.circleci.client import Client
    from deploystep.core.deploy import TriggerSpec
    from deploystep.project.config import Config

HERE: Final = Path()
CONFIG: Final = ".circleci/config.yml"
#: The project of a clone whose origin tells none, where nobody but the sandbox is asked about it.
_IMAGINED_PROJECT: Final = {
    "CIRCLE_PROJECT_USERNAME": "acme",
    "CIRCLE_PROJECT_REPONAME": "shop",
    "CIRCLE_REPOSITORY_URL": "https://github.com/acme/shop",
}
#: What a command does without a config that cannot be read.
_WITHOUT_CONFIG: Final = {
    "check": "the rules are not compared with it",
    "run": "the sandbox does not follow it",
    "matrix": "what would run is not told",
}


class Services:
    """What commands use of the outside; to be closed."""

    def __init__(
        self, options: Options, environ: Mapping[str, str], stdin: TextIO, console: Console, clock: SystemClock
    ) -> None:
        self.options = options
        self.console = console
        self.clock = clock
        self.variable = Variables(environ).get
        self.history = lru_cache(self._history)
        self._environ = environ
        self._stdin = stdin
        self._stack = ExitStack()
        self._client: Client | None = None
        self.close = self._stack.close

    # The build

    @cached_property
    def given(self) -> Given | None:
        """Facts stated by `plan --given`."""
        if self.options.given is None:
            return None
        from deploystep.rulefile.given import read_given as given_facts  # noqa: PLC0415 - a build has an environment

        return given_facts(read_given(self.options.given, HERE, self._stdin.buffer))

    @property
    def other_node(self) -> str:
        """What to say where another node decides; empty where this one does."""
        return (other_node(stated(self.options, self._known)) or "") if self.options.given is None else ""

    @cached_property
    def build(self) -> BuildContext:
        """The build. Raises EnvironmentInvalid outside CircleCI, unless that was asked for."""
        options = self.options
        if self.given is not None:
            of_build = (o for o in OPTIONS if o.commands == ("plan",) and o.flag != "--given")
            if beside := [option.flag for option in of_build if getattr(options, option.name)]:
                what = f"--given states the whole build: {' and '.join(beside)} would change nothing"
                raise UsageError("usage", what, "leave one out")
            return self.given.build
        if (options.acts or options.command == "doctor") and self._known.get("CIRCLECI") == "true":
            return BuildContext.from_environ(self._known)
        if options.acts and not (options.sandbox or options.outside_ci):
            raise EnvironmentInvalid(
                "not-in-a-build",
                "this is not a CircleCI build: CIRCLECI is not `true`",
                "see what a build would do with  deploystep plan",
                *["try the whole step without an account with  deploystep run --sandbox"] * (options.command == "run"),
                "to deploy from here all the same, give  --outside-ci",
            )
        environ = completed(options, stated(options, self._known), self.repository, self.console)
        build = BuildContext.from_environ(environ)
        return replace(build, fork=True) if options.fork else build

    def executable(self, program: str) -> str:
        """The path of the program that `gate` is to execute."""
        from deploystep.adapters.execute import executable  # noqa: PLC0415 - few commands execute one

        return executable(program, self._environ)

    # The rule file, the time, and the clone

    def config(self, path: str = CONFIG, *, is_named: bool = False) -> "Config | None":
        """The project's config; None where there is none, or none that can be read."""
        from deploystep.project import config, reading  # noqa: PLC0415 - a deploy needs none of it

        path = path if is_named else nearest(path, HERE)
        text = read_config(path, HERE, is_named=is_named)
        try:
            if text is not None:
                return config.read_config(path, text)
            if self.options.command == "check":
                self.console.info(f"there is no {path} here: the rules are compared with no config")
        except reading.ConfigUnreadable as problem:
            if without := _WITHOUT_CONFIG.get(self.options.command):
                self.console.warning(f"{path}:{problem.line}: {without}: {problem.why}")
        return None

    @property
    def source(self) -> SourceFile:
        """The rule file, from the folder or, with --rules-ref, from git."""
        path, ref = self.options.rules, self.options.rules_ref
        if ref is None:
            return read_rules(nearest(path, HERE) if path == RULES else path, HERE)
        branch = ref.removeprefix("origin/")
        if self.options.acts and branch != ref and (remote := self._origin(frozenset({branch}))):
            moved = remote.moved(branch)
            if moved is not None:
                what = f"cannot tell what the rules are: {moved.why}"
                raise FactUnavailable("undecided", what, moved.cure)
        paths = [f"{place}{path}" for place in (path == RULES and up_to_root(HERE)) or ("",)]
        return self.repository.show(ref, *paths, option=self.options.written("rules_ref"))

    def now(self, zone: tzinfo) -> datetime | None:
        """The time to decide at: stated, or of this moment; None where facts are stated and no time is."""
        text = self.options.now or (self.given.now.value if self.given and self.given.now else None)
        if text is None:
            return None if self.given else self.clock.now().astimezone(zone)
        try:
            return read_now(text, zone)
        except ValueError as error:
            name = self.options.written("now") if self.options.now else "now"
            raise UsageError("now", f"{name}: {error}", "write for example 2026-06-16 10:00") from None

    @cached_property
    def repository(self) -> GitRepository:
        """The clone that holds this folder; git is not given the token."""
        return GitRepository(HERE, self._known)

    def _history(self, default_branch: str | None = None, refs: frozenset[str] | None = None) -> "GitHistory":
        from deploystep.adapters.history import GitHistory  # noqa: PLC0415 - few rules ask about commits

        current = self._origin(refs) if self.options.acts and refs is not None else None  # a plan needs no network
        return GitHistory(self.repository, self.build.revision, default_branch, current)

    @property
    def remote(self) -> "GitRemote | None":
        """The `origin` of the clone; the sandbox's branches are where the build says they are."""
        return self._origin()

    def _origin(self, refs: frozenset[str] = frozenset()) -> "GitRemote | None":
        from deploystep.adapters.history import GitRemote  # noqa: PLC0415 - as above

        made = GitRemote(HERE, self._known, refs, self.console.info, fetches=self.options.fetch)
        return None if self.options.sandbox else made

    # CircleCI

    @cached_property
    def address(self) -> Address:
        """Where CircleCI is: --host, else as the build's URL tells."""
        host = self.options.host
        try:
            return read_address(host or self.build.host)
        except ValueError as error:
            kind, name = (
                (UsageError, self.options.written("host")) if host else (EnvironmentInvalid, "CIRCLE_BUILD_URL")
            )
            shown = re.sub("[^/]*@", f"{MASK}@", host or self.build.host)  # a password may be in it
            raise kind(
                "host", f"{name} names the host {shown!r}: {error}", "name CircleCI's address with --host https://…"
            ) from None

    @cached_property
    def token_name(self) -> str:
        """The variable that holds the token: the one that --token-env names, else the first that is set."""
        if self.options.sandbox:
            return TOKEN_VARIABLES[0]
        return self.options.token_env or next(filter(self.variable, TOKEN_VARIABLES), TOKEN_VARIABLES[0])

    @property
    def can_ask(self) -> bool:
        """Whether CircleCI may be asked: only commands that deploy do, and they need a token."""
        return self.options.acts and (self.options.sandbox or self.variable(self.token_name) is not None)

    @cached_property
    def _known(self) -> Mapping[str, str]:
        """The environment without the token, which is no fact about the build and is not for git to see."""
        options, environ = self.options, self._environ
        # commands that ask nobody do not take --token-env, and its variable may be set for the whole job
        named = {options.token_env, options.accept_token_env, environ.get("DEPLOYSTEP_TOKEN_ENV")}
        values = {self.variable(name) for name in (self.token_name, *named) if name} - {None}
        return {name: value for name, value in environ.items() if name not in named and value not in values}

    def client(self, specs: "tuple[TriggerSpec, ...]" = ()) -> "Client":
        """The way to CircleCI, or with --sandbox to a mock server that knows what will be sent."""
        if self._client is None:
            from deploystep.circleci.client import Client  # noqa: PLC0415 - few runs send anything

            try:
                from deploystep.adapters.transport import CONNECT_TIMEOUT, HttpTransport  # noqa: PLC0415 - as above
            except OSError as error:  # deploystep.pyz writes the certificate authorities to a temporary file
                hint = "set TMPDIR to a folder that has room for 1 MB"
                raise EnvironmentInvalid("no-temporary-file", f"no temporary file: {error}", hint) from None

            token = self._sandbox(specs) if self.options.sandbox else self._secret()
            self.console.hide(token)
            is_hasty = self.options.command == "doctor"  # who asks it is waiting
            transport = HttpTransport(self.address, token, read_timeout=CONNECT_TIMEOUT if is_hasty else None)
            self._client = Client(transport, self.clock, self.console, 1 if is_hasty else ATTEMPTS)
        return self._client

    def _sandbox(self, specs: "tuple[TriggerSpec, ...]") -> Secret:
        from deploystep.cli.sandbox import started_for  # noqa: PLC0415 - for who tries the step out

        if self._environ.get("CIRCLECI") == "true":
            name = self.options.written("sandbox")
            self.console.warning(f"{name}: this build deploys nothing; leave it out to deploy")
        token = Secret(os.urandom(20).hex())
        self.address = self._stack.enter_context(started_for(self.build, specs, token, self.console, self.config()))
        return token

    def _secret(self) -> Secret:
        name, value = self.token_name, self.variable(self.token_name)
        if value is None:
            # who writes --token-env $TOKEN has given the token for a name: it is not repeated
            shown = name if name in TOKEN_VARIABLES else f"the variable that {self.options.written('token_env')} names"
            raise EnvironmentInvalid(
                "no-token",
                f"there is no API token: {shown} is not set",
                "make a personal API token in CircleCI's user settings (a project token does not work with API v2)",
                f"store it in {shown}, in the project's environment variables or in a context that this job names",
                "a build of a forked pull request is not given it, unless the project passes secrets to forks",
            )
        if not (value.isascii() and value.isprintable()) or " " in value:
            what = f"the token in {name} holds a space, a line end or another character that no token has"
            raise EnvironmentInvalid("token-malformed", what, f"store {name} again, without quotes or line ends")
        return Secret(value)


def stated(options: Options, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment, overridden by --env-file and by the options of `plan`."""
    branch, tag, request = options.branch, options.tag, options.pull_request
    if options.fork and request is not None and branch is None and tag is None:
        branch = f"pull/{request}"
    given = {
        "CIRCLE_NODE_INDEX": options.node_index,
        "CIRCLE_NODE_TOTAL": options.node_total,
        "CIRCLE_USERNAME": options.user,
    }
    if branch is not None or tag is not None:
        # a build has one of them: naming one takes the other away
        given |= {"CIRCLE_BRANCH": branch or "", "CIRCLE_TAG": tag or ""}
    if request is not None:
        given |= {"CIRCLE_PR_NUMBER": request, "CIRCLE_PULL_REQUEST": "", "CIRCLE_PULL_REQUESTS": ""}
    file = read_env_file(options.env_file, HERE) if options.env_file else {}
    named = {name: value for name, value in given.items() if value is not None}
    return {**environ, **file, **options.env, **named}


def completed(options: Options, environ: Mapping[str, str], git: GitRepository, console: Console) -> Mapping[str, str]:
    """An environment in which what is blank is filled in from the clone. Raises where nothing tells what is built."""
    if options.branch and options.tag:
        raise UsageError("usage", "--branch and --tag: a build has one of them", "leave one out")
    given, found = Variables(environ), dict(git.describe())
    found["CIRCLE_SHA1"] = revision = _named_revision(options, git) or _revision(given, found, git)
    if options.branch is not None and options.sha is None and not _head_of(options.branch, git):
        console.info(f"branch {options.branch} is not in this clone: judged as if it were at {revision[:7]}")
    if given.first(("CIRCLE_BRANCH", "CIRCLE_TAG")) is not None:
        found.pop("CIRCLE_BRANCH", None)
    elif "CIRCLE_BRANCH" not in found and options.command == "doctor":
        found["CIRCLE_BRANCH"] = git.default_branch()
    elif "CIRCLE_BRANCH" not in found:
        hint = "give --branch or --tag" if options.command == "plan" else "set CIRCLE_BRANCH or CIRCLE_TAG"
        what = "HEAD is detached, and nothing else tells which branch or tag this is"
        raise EnvironmentInvalid("no-ref", what, hint)
    if options.sandbox and Variables({**found, **environ}).get("CIRCLE_PROJECT_USERNAME") is None:
        found |= _IMAGINED_PROJECT
    stays = given.names() - {"CIRCLE_SHA1"}
    return {**environ, **{name: value for name, value in found.items() if name not in stays}}


def _named_revision(options: Options, git: GitRepository) -> str | None:
    """What --sha names, else where the named branch or tag is; None leaves it to the environment and HEAD."""
    sha, tag = options.sha, options.tag
    if sha is not None:
        found = git.resolve(sha)
        if found is None and not is_revision(sha):
            raise UsageError("sha", f"--sha: this clone has no commit {sha!r}", "write for example --sha HEAD~1")
        return found or sha
    if tag is None:
        return _head_of(options.branch, git) if options.branch else None
    found = git.resolve(f"refs/tags/{tag}")
    if found is None:
        hint = f"get it with  git fetch origin tag {tag}, or give --sha REVISION too"
        raise UsageError("tag", f"--tag: this clone has no tag {tag!r}", hint)
    return found


def _head_of(branch: str, git: GitRepository) -> str | None:
    return git.resolve(f"refs/heads/{branch}") or git.resolve(f"refs/remotes/origin/{branch}")


def _revision(given: Variables, found: Mapping[str, str], git: GitRepository) -> str:
    """What the environment names, else HEAD: outside a build the work tree is what is deployed."""
    revision, tag, head = given.get("CIRCLE_SHA1"), given.get("CIRCLE_TAG"), found.get("CIRCLE_SHA1")
    if revision is not None:
        return revision
    if head is None and "CIRCLE_BRANCH" in found:
        what = f"branch {found['CIRCLE_BRANCH']} has no commit yet"
        raise EnvironmentInvalid("no-commit", what, "make the first one:  git commit --allow-empty -m start")
    if head is None:
        what = f"{git.run('rev-parse', 'HEAD').complaint}, and no build's environment is set"
        hint = "run it in a clone, or state the facts:  deploystep plan --given FILE"
        raise EnvironmentInvalid("not-in-a-clone", what, hint)
    if tag and git.resolve(f"refs/tags/{tag}") not in (None, head):
        what = f"CIRCLE_TAG is {tag!r}, which this clone has at another commit than HEAD ({head[:7]})"
        raise EnvironmentInvalid("tag-elsewhere", what, "check that tag out, or unset the variable")
    return head
