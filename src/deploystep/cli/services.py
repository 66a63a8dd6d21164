"""The outside, wired for one command: each part is made when it is first asked for."""

import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, tzinfo
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from deploystep.adapters import files as disk
from deploystep.adapters.clock import SystemClock
from deploystep.adapters.console import Console
from deploystep.adapters.git import GitRepository
from deploystep.app.options import OPTIONS, RULES, Options
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
    from deploystep.project.wiring import Project

HERE: Final = Path()
CONFIG: Final = ".circleci/config.yml"


class Services:
    """What commands use of the outside; to be closed."""

    def __init__(
        self, options: Options, environ: Mapping[str, str], stdin: TextIO, console: Console, clock: SystemClock
    ) -> None:
        self.options, self.console, self.clock = options, console, clock
        self.variable, self.history = Variables(environ).get, lru_cache(self._history)
        self._environ, self._stdin, self._stack = environ, stdin, ExitStack()
        self._client: Client | None = None
        self.close = self._stack.close

    @cached_property
    def given(self) -> Given | None:
        if self.options.given is None:
            return None
        from deploystep.rulefile.given import read_given  # noqa: PLC0415 - a build has an environment

        return read_given(disk.read_given(self.options.given, HERE, self._stdin.buffer))

    @property
    def other_node(self) -> str:
        return (other_node(self._stated) or "") if self.options.given is None else ""

    @cached_property
    def _stated(self) -> dict[str, str]:
        """The environment, overridden by --env-file and by the options of `plan`."""
        options, branch, request = self.options, self.options.branch, self.options.pull_request
        if options.fork and request is not None and branch is None and options.tag is None:
            branch = f"pull/{request}"
        named = {"CIRCLE_NODE_INDEX": options.node_index, "CIRCLE_NODE_TOTAL": options.node_total}
        named |= {"CIRCLE_USERNAME": options.user}
        if branch is not None or options.tag is not None:  # a build has one of them: naming one takes the other away
            named |= {"CIRCLE_BRANCH": branch or "", "CIRCLE_TAG": options.tag or ""}
        if request is not None:
            named |= {"CIRCLE_PR_NUMBER": request, "CIRCLE_PULL_REQUEST": "", "CIRCLE_PULL_REQUESTS": ""}
        file = disk.read_env_file(options.env_file, HERE) if options.env_file else {}
        return {**self._known, **file, **options.env, **{n: v for n, v in named.items() if v is not None}}

    @cached_property
    def build(self) -> BuildContext:
        options = self.options
        if self.given is not None:
            of_build = (o for o in OPTIONS if o.commands == ("plan",) and o.name != "given")
            if beside := [option.flag for option in of_build if getattr(options, option.name)]:
                what = f"--given states the whole build: {' and '.join(beside)} would change nothing"
                raise UsageError("usage", what, "leave one out")
            return self.given.build
        if (options.acts or options.command == "doctor") and self._known.get("CIRCLECI") == "true":
            return BuildContext.from_environ(self._known)
        if options.acts and not (options.sandbox or options.outside_ci):
            hints = ["see what a build would do with  deploystep plan"]
            sandbox = "try the whole step without an account with  deploystep run --sandbox"
            hints += [sandbox] if options.command == "run" else []
            hints += ["to deploy from here all the same, give  --outside-ci"]
            raise EnvironmentInvalid("not-in-a-build", "this is not a CircleCI build: CIRCLECI is not `true`", *hints)
        git, given = self.repository, Variables(self._stated)  # what is blank there is filled in from the clone
        if options.branch and options.tag:
            raise UsageError("usage", "--branch and --tag: a build has one of them", "leave one out")
        found = dict(git.describe())
        found["CIRCLE_SHA1"] = self._revision(given, found.get("CIRCLE_SHA1"))
        if given.first(("CIRCLE_BRANCH", "CIRCLE_TAG")) is not None:
            found.pop("CIRCLE_BRANCH", None)
        elif "CIRCLE_BRANCH" not in found and options.command == "doctor":
            found["CIRCLE_BRANCH"] = git.default_branch()
        elif "CIRCLE_BRANCH" not in found:
            what = "HEAD is detached, and nothing else tells which branch or tag this is"
            hint = "give --branch or --tag to plan, or set CIRCLE_BRANCH or CIRCLE_TAG"
            raise EnvironmentInvalid("no-ref", what, hint)
        stays = given.keys() - {"CIRCLE_SHA1"}
        if options.sandbox and "CIRCLE_PROJECT_USERNAME" not in {*stays, *found}:  # only the sandbox is asked about it
            found |= {"CIRCLE_PROJECT_USERNAME": "acme", "CIRCLE_PROJECT_REPONAME": "shop"}
            found["CIRCLE_REPOSITORY_URL"] = "https://github.com/acme/shop"
        build = BuildContext.from_environ(self._stated | {n: value for n, value in found.items() if n not in stays})
        return replace(build, fork=True) if options.fork else build

    def _revision(self, given: Variables, head: str | None) -> str:
        """What --sha names, else where the named branch or tag is, else what the environment names, else HEAD."""
        git, sha, tag, branch = self.repository, self.options.sha, self.options.tag, self.options.branch
        names = [sha] if sha else [f"refs/tags/{tag}"] if tag else []
        names += [f"refs/heads/{branch}", f"refs/remotes/origin/{branch}"] if branch and not names else []
        found = next(filter(None, map(git.resolve, names)), None) or (sha if is_revision(sha or "") else None)
        if found is not None:
            return found
        if sha or tag:
            word, name = ("--sha", sha) if sha else ("--tag", f"tag {tag}")
            raise UsageError(word[2:], f"{word}: this clone has no {sha or tag!r}", f"try  git fetch origin {name}")
        revision = given.get("CIRCLE_SHA1") or head
        if revision is None:
            what = f"{git.run('rev-parse', 'HEAD').complaint}, and no build's environment is set"
            hint = "run it in a clone with a commit, or state the facts:  deploystep plan --given FILE"
            raise EnvironmentInvalid("not-in-a-clone", what, hint)
        tag = given.get("CIRCLE_TAG")
        if given.get("CIRCLE_SHA1") is None and tag and git.resolve(f"refs/tags/{tag}") not in (None, head):
            what = f"CIRCLE_TAG is {tag!r}, which this clone has at another commit than HEAD"
            raise EnvironmentInvalid("tag-elsewhere", what, "check that tag out, or unset the variable")
        if branch:
            self.console.info(f"branch {branch} is not in this clone: judged as if it were at {revision[:7]}")
        return revision

    def executable(self, program: str) -> str:
        from deploystep.adapters.execute import executable  # noqa: PLC0415 - few commands execute one

        return executable(program, self._environ)

    def config(self, path: str = CONFIG, *, is_named: bool = False) -> "Config | None":
        """The project's config; None where there is none, or none that can be read."""
        from deploystep.project import config, reading  # noqa: PLC0415 - a deploy needs none of it

        path = path if is_named else disk.nearest(path, HERE)
        text = disk.read_config(path, HERE, is_named=is_named)
        try:
            if text is not None:
                return config.read_config(path, text)
            if self.options.command == "check":
                self.console.info(f"there is no {path} here: the rules are compared with no config")
        except reading.ConfigUnreadable as problem:
            self.console.warning(f"{path}:{problem.line}: this config is passed over: {problem.why}")
        return None

    def project(self) -> "Project":
        """The configs that rules are compared with, and the files of the clone."""
        from deploystep.project.wiring import Project  # noqa: PLC0415 - a deploy needs none of it

        # `FILE` is this project's config, `TARGET=FILE` that of a target
        named = dict((text if "=" in text else f"={text}").split("=", 1) for text in self.options.config)
        read = {name: self.config(path, is_named=name in named) for name, path in {"": CONFIG, **named}.items()}
        configs, files = {name: config for name, config in read.items() if config}, self.repository.files()
        for config in (config for config in configs.values() if config.setup):
            what = "a setup config: what continues it is not compared with"
            self.console.warning(f"{config.path}:{config.setup}: {what}")
        return Project(configs.pop("", None), configs, files, disk.repository_reader(HERE, files))

    @property
    def source(self) -> SourceFile:
        path, ref = self.options.rules, self.options.rules_ref
        if ref is None:
            return disk.read_rules(disk.nearest(path, HERE) if path == RULES else path, HERE)
        branch = ref.removeprefix("origin/")
        remote = self._origin(frozenset({branch})) if self.options.acts and branch != ref else None
        if remote and (moved := remote.moved(branch)):
            raise FactUnavailable("undecided", f"cannot tell what the rules are: {moved.why}", moved.cure)
        paths = [f"{place}{path}" for place in (path == RULES and disk.up_to_root(HERE)) or ("",)]
        return self.repository.show(ref, *paths, option=self.options.written("rules_ref"))

    def now(self, zone: tzinfo) -> datetime | None:
        text = self.options.now or (self.given.now.value if self.given and self.given.now else None)
        if text is None:
            return None if self.given else self.clock.now().astimezone(zone)
        try:
            return read_now(text, zone)
        except ValueError as error:
            what = f"{self.options.written('now')}: {error}"
            raise UsageError("now", what, "write for example 2026-06-16 10:00") from None

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
        return self._origin()

    def _origin(self, refs: frozenset[str] = frozenset()) -> "GitRemote | None":
        from deploystep.adapters.history import GitRemote  # noqa: PLC0415 - as above

        made = GitRemote(HERE, self._known, refs, self.console.info, fetches=self.options.fetch)
        return None if self.options.sandbox else made

    @cached_property
    def address(self) -> Address:
        host = self.options.host or self.build.host
        try:
            return read_address(host)
        except ValueError as error:
            shown = re.sub("[^/]*@", f"{MASK}@", host)  # a password may be in it
            kind = UsageError if self.options.host else EnvironmentInvalid
            name = self.options.written("host") if self.options.host else "CIRCLE_BUILD_URL"
            what = f"{name} names the host {shown!r}: {error}"
            raise kind("host", what, "name CircleCI's address with --host https://…") from None

    @cached_property
    def token_name(self) -> str:
        """The variable that holds the token: the one that --token-env names, else the first that is set."""
        named = self.options.token_env or next(filter(self.variable, TOKEN_VARIABLES), "")
        return TOKEN_VARIABLES[0] if self.options.sandbox or not named else named

    @property
    def can_ask(self) -> bool:
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
            token = Secret(os.urandom(20).hex()) if self.options.sandbox else self._secret()
            self.console.hide(token)
            if self.options.sandbox:
                from deploystep.cli.sandbox import started  # noqa: PLC0415 - for who tries the step out

                if self._environ.get("CIRCLECI") == "true":
                    name = self.options.written("sandbox")
                    self.console.warning(f"{name}: this build deploys nothing; leave it out to deploy")
                self.address = self._stack.enter_context(started(self.build, specs, token, self.console, self.config()))
            is_hasty = self.options.command == "doctor"  # who asks it is waiting
            transport = HttpTransport(self.address, token, read_timeout=CONNECT_TIMEOUT if is_hasty else None)
            self._client = Client(transport, self.clock, self.console, 1 if is_hasty else ATTEMPTS)
        return self._client

    def _secret(self) -> Secret:
        name, value = self.token_name, self.variable(self.token_name)
        # who writes --token-env $TOKEN has given the token for a name: it is not repeated
        shown = name if name in TOKEN_VARIABLES else f"the variable that {self.options.written('token_env')} names"
        if value is None:
            make = "make a personal API token in CircleCI's user settings (a project token does not work with API v2)"
            store = f"store it in {shown}, in the project's environment variables or in a context that this job names"
            fork = "a build of a forked pull request is not given it, unless the project passes secrets to forks"
            raise EnvironmentInvalid("no-token", f"there is no API token: {shown} is not set", make, store, fork)
        if not (value.isascii() and value.isprintable()) or " " in value:
            what = f"the token in {name} holds a space, a line end or another character that no token has"
            raise EnvironmentInvalid("token-malformed", what, f"store {name} again, without quotes or line ends")
        return Secret(value)
