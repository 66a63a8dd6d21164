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
from deploystep.adapters.files import decoded, from_root, nearest, read_env_file, read_given, read_rules, up_to_root
from deploystep.adapters.git import GitRepository, first_error_line
from deploystep.adapters.history import GitHistory
from deploystep.app.options import RULES, Options
from deploystep.core.address import Address, read_address
from deploystep.core.build import BuildContext, Variables, is_revision
from deploystep.core.cases import Given
from deploystep.core.errors import EnvironmentInvalid, FactUnavailable, RuleFileInvalid, UsageError
from deploystep.core.frozen import replace
from deploystep.core.nodes import other_node
from deploystep.core.parameters import TOKEN_VARIABLES
from deploystep.core.retry import Policy
from deploystep.core.secret import MASK, Secret
from deploystep.core.source import SourceFile
from deploystep.core.times import read_now

if TYPE_CHECKING:
    from deploystep.adapters.remote import CurrentRefs, GitRemote
    from deploystep.circleci.client import Client
    from deploystep.core.deploy import TriggerSpec
    from deploystep.project.config import Config

HERE: Final = Path()
CONFIG: Final = ".circleci/config.yml"
#: Options of `plan` that say something of the build.
_OF_BUILD: Final = (
    "branch", "tag", "sha", "node_index", "node_total", "changed", "env_file", "pull_request", "fork", "user", "author",
    "message", "env",
)  # fmt: skip
#: The project of a clone whose origin tells none, where nobody but the sandbox is asked about it.
_IMAGINED_PROJECT: Final = {
    "CIRCLE_PROJECT_USERNAME": "acme",
    "CIRCLE_PROJECT_REPONAME": "shop",
    "CIRCLE_REPOSITORY_URL": "https://github.com/acme/shop",
}


class Services:
    """What commands use of the outside; to be closed."""

    def __init__(
        self, options: Options, environ: Mapping[str, str], stdin: TextIO, console: Console, clock: SystemClock
    ) -> None:
        self.options = options
        self.console = console
        self.clock = clock
        self._environ = environ
        self._stdin = stdin
        self._stack = ExitStack()
        self._client: Client | None = None
        self.history = lru_cache(self._history)

    def close(self) -> None:
        """Stop what was started."""
        self._stack.close()

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
        return (other_node(self._stated_environ) or "") if self.options.given is None else ""

    @cached_property
    def build(self) -> BuildContext:
        """The build. Raises EnvironmentInvalid outside CircleCI, unless that was asked for."""
        if self.given is not None:
            beside = " and ".join(self.options.written(name) for name in _OF_BUILD if getattr(self.options, name))
            if beside:  # with --given, the stated facts are all there is
                what = f"--given states the whole build: {beside} would change nothing"
                raise UsageError("usage", what, "leave one out")
            return self.given.build
        options, environ = self.options, self._environ_without_token
        if (options.acts or options.command == "doctor") and environ.get("CIRCLECI") == "true":
            return BuildContext.from_environ(environ)
        if options.acts and not (options.sandbox or options.outside_ci):
            raise EnvironmentInvalid(
                "not-in-a-build",
                "this is not a CircleCI build: CIRCLECI is not `true`",
                "see what a build would do with  deploystep plan",
                *(
                    ("try the whole step without an account with  deploystep run --sandbox",)
                    * (options.command == "run")
                ),
                f"to {'trigger' if options.command == 'run' else 'deploy'} from here all the same, give  --outside-ci",
            )
        build = BuildContext.from_environ(self._completed())
        return replace(build, fork=True) if options.fork else build

    @cached_property
    def _stated_environ(self) -> Mapping[str, str]:
        """The environment, overridden by --env-file and by the options of `plan`."""
        options = self.options
        branch, tag, request = options.branch, options.tag, options.pull_request
        if options.fork and request is not None and branch is None and tag is None:
            branch = f"pull/{request}"
        nodes = {"CIRCLE_NODE_INDEX": options.node_index, "CIRCLE_NODE_TOTAL": options.node_total}
        given = {**nodes, "CIRCLE_USERNAME": options.user}
        if branch is not None or tag is not None:
            # a build has one of them: naming one takes the other away
            given |= {"CIRCLE_BRANCH": branch or "", "CIRCLE_TAG": tag or ""}
        if request is not None:
            given |= {"CIRCLE_PR_NUMBER": request, "CIRCLE_PULL_REQUEST": "", "CIRCLE_PULL_REQUESTS": ""}
        file = read_env_file(options.env_file, HERE) if options.env_file else {}
        stated = {name: value for name, value in given.items() if value is not None}
        return {**self._environ_without_token, **file, **options.env, **stated}

    def _completed(self) -> Mapping[str, str]:
        """The environment, with what is blank in it filled in from the clone."""
        options = self.options
        if options.branch and options.tag:
            raise UsageError("usage", "--branch and --tag: a build has one of them", "leave one out")
        values = dict(self._stated_environ)
        found = dict(self.repository.describe())
        revision = self._stated_revision()
        if revision is None and Variables(values).get("CIRCLE_SHA1") is None:
            self._raise_if_elsewhere(Variables(values).get("CIRCLE_TAG"), found.get("CIRCLE_SHA1", ""))
        if revision is not None:
            values["CIRCLE_SHA1"] = revision
        elif "CIRCLE_SHA1" not in found and Variables(values).get("CIRCLE_SHA1") is None:
            raise self._without_commit(found.get("CIRCLE_BRANCH"))
        elif options.branch is not None:
            at = (Variables(values).get("CIRCLE_SHA1") or found["CIRCLE_SHA1"])[:7]
            self.console.info(f"branch {options.branch} is not in this clone: judged as if it were at {at}")
        if Variables(values).first(("CIRCLE_BRANCH", "CIRCLE_TAG")) is not None:
            found.pop("CIRCLE_BRANCH", None)
        elif "CIRCLE_BRANCH" not in found and options.command == "doctor":
            found["CIRCLE_BRANCH"] = self.repository.default_branch()
        elif "CIRCLE_BRANCH" not in found:
            raise EnvironmentInvalid(
                "no-ref",
                "HEAD is detached, and nothing else tells which branch or tag this is",
                "give --branch or --tag" if options.command == "plan" else "set CIRCLE_BRANCH or CIRCLE_TAG",
            )
        if options.sandbox and Variables({**found, **values}).get("CIRCLE_PROJECT_USERNAME") is None:
            found |= _IMAGINED_PROJECT
        blank = Variables(values)
        return {**values, **{name: value for name, value in found.items() if blank.get(name) is None}}

    def _raise_if_elsewhere(self, tag: str | None, head: str) -> None:
        """Outside a build the work tree is what is deployed: a tag that a variable names must be there."""
        tagged = self.repository.resolve(f"refs/tags/{tag}") if tag else None
        if tagged not in (None, head):
            what = f"CIRCLE_TAG is {tag!r}, which this clone has at another commit than HEAD ({head[:7]})"
            raise EnvironmentInvalid("tag-elsewhere", what, "check that tag out, or unset the variable")

    def _without_commit(self, branch: str | None) -> EnvironmentInvalid:
        """The error that says why nothing tells which commit this is."""
        if branch is not None:
            hint = "make the first one:  git commit --allow-empty -m start"
            return EnvironmentInvalid("no-commit", f"branch {branch} has no commit yet", hint)
        said = self.repository.run("rev-parse", "HEAD")
        why = first_error_line(said) if said else "git cannot be run here"
        hint = "run it in a clone, or state the facts:  deploystep plan --given FILE"
        return EnvironmentInvalid("not-in-a-clone", f"{why}, and no build's environment is set", hint)

    def _stated_revision(self) -> str | None:
        """What --sha names, else where the named branch or tag is; None leaves it to the environment and HEAD."""
        sha, tag, branch = self.options.sha, self.options.tag, self.options.branch
        if sha is not None:
            found = self.repository.resolve(sha)
            if found is None and not is_revision(sha):
                raise UsageError("sha", f"--sha: this clone has no commit {sha!r}", "write for example --sha HEAD~1")
            return found or sha
        if tag is not None:
            found = self.repository.resolve(f"refs/tags/{tag}")
            if found is None:
                fetch = f"get it with  git fetch origin tag {tag}"
                raise UsageError("tag", f"--tag: this clone has no tag {tag!r}", f"{fetch}, or give --sha REVISION too")
            return found
        names = () if branch is None else (f"refs/heads/{branch}", f"refs/remotes/origin/{branch}")
        return next((found for name in names if (found := self.repository.resolve(name)) is not None), None)

    def executable(self, program: str) -> str:
        """The path of the program that `gate` is to execute."""
        from deploystep.adapters.execute import executable  # noqa: PLC0415 - few commands execute one

        return executable(program, self._environ)

    def as_plan(self, branch: str | None, tag: str | None) -> Options:
        """From now on decide as `plan --branch NAME`, or with `--tag`, does, whatever the command."""
        self.options = replace(self.options, command="plan", branch=branch, tag=tag)
        return self.options

    # The rule file, the time, and the clone

    def variable(self, name: str) -> str | None:
        """A variable of this process's environment; None where it is blank."""
        return Variables(self._environ).get(name)

    def config(self, path: str = CONFIG, *, is_named: bool = False) -> "Config | None":
        """The project's config; None where there is none, or none that can be read."""
        from deploystep.adapters.files import read_config  # noqa: PLC0415 - a deploy needs none of it
        from deploystep.project import config, reading  # noqa: PLC0415 - as above

        path = path if is_named else nearest(path, HERE)
        text = read_config(path, HERE, is_named=is_named)
        if text is None:
            if self.options.command == "check":
                self.console.info(f"there is no {path} here: the rules are compared with no config")
            return None
        try:
            return config.read_config(path, text)
        except reading.ConfigUnreadable as problem:
            goes_without = {
                "check": "the rules are not compared with it",
                "run": "the sandbox does not follow it",
                "matrix": "what would run is not told",
            }
            if self.options.command in goes_without:
                without = goes_without[self.options.command]
                self.console.warning(f"{path}:{problem.line}: {without}: {problem.why}")
            return None

    def go_to_root(self) -> str:
        """From now on be in the root of the clone, and see all paths from there. Gives that of the rule file.

        Raises EnvironmentInvalid outside a clone.
        """
        places, path = up_to_root(HERE), self.options.rules
        if places is None:
            message = f"{HERE.absolute()} is in no git clone, in whose .circleci the rule file belongs"
            raise EnvironmentInvalid("not-in-a-clone", message, "make it one with  git init , or go into yours")
        if path != RULES or (path := nearest(RULES, HERE)) != RULES or (HERE / path).exists():
            path = from_root(path, HERE)  # of one that is there already, or that is named
        if places[-1]:
            self.console.info(f"paths are from the root of the clone: {places[-1]}")
        self.options = replace(self.options, rules=path)
        os.chdir(HERE / places[-1])
        return path

    @property
    def source(self) -> SourceFile:
        """The rule file, from the folder or, with --rules-ref, from git."""
        path, ref = self.options.rules, self.options.rules_ref
        if ref is None:
            return read_rules(nearest(path, HERE) if path == RULES else path, HERE)
        branch = ref.removeprefix("origin/")
        if self.options.acts and branch != ref and self.remote:
            moved = self._current(self.remote, frozenset({branch})).moved(branch)
            if moved is not None:
                what = f"cannot tell what the rules are: {moved.why}"
                raise FactUnavailable("undecided", what, moved.cure)
        places = (path == RULES and up_to_root(HERE)) or ("",)
        refusals = []
        for each in (f"{place}{path}" for place in places):
            try:
                data = self.repository.show(ref, each, self.options.written("rules_ref"))
            except RuleFileInvalid as refusal:  # noqa: PERF203 - one round, or a few
                refusals.append(refusal)
            else:
                return decoded(each, data)
        raise refusals[0]

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
        return GitRepository(HERE, self._environ_without_token)

    def _history(self, default_branch: str | None = None, refs: frozenset[str] | None = None) -> GitHistory:
        remote = self.remote if self.options.acts and refs is not None else None  # a plan needs no network
        current = self._current(remote, refs) if remote and refs is not None else None
        return GitHistory(self.repository, self.build.revision, default_branch, current)

    def _current(self, remote: "GitRemote", refs: frozenset[str]) -> "CurrentRefs":
        from deploystep.adapters.remote import CurrentRefs  # noqa: PLC0415 - few rules ask about refs

        return CurrentRefs(remote, self.repository, refs, self.console.info, fetches=self.options.fetch)

    @property
    def remote(self) -> "GitRemote | None":
        """The `origin` of the clone; the sandbox's branches are where the build says they are."""
        if self.options.sandbox:
            return None
        from deploystep.adapters.remote import GitRemote  # noqa: PLC0415 - few runs send anything

        return GitRemote(HERE, self._environ_without_token)

    # CircleCI

    @cached_property
    def address(self) -> Address:
        """Where CircleCI is: --host, else as the build's URL tells."""
        host = self.options.host
        try:
            return read_address(host or self.build.host)
        except ValueError as error:
            if host is not None:
                hint = "write for example https://circleci.acme.dev"
                shown = re.sub("[^/]*@", f"{MASK}@", host)  # a password may be in it
                raise UsageError("host", f"{self.options.written('host')} {shown!r}: {error}", hint) from None
            message = f"CIRCLE_BUILD_URL names the host {self.build.host!r}: {error}"
            raise EnvironmentInvalid("host", message, "name CircleCI's address with --host https://…") from None

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
    def _environ_without_token(self) -> Mapping[str, str]:
        """The environment without the token, which is no fact about the build and is not for git to see."""
        options, environ = self.options, self._environ
        # commands that ask nobody do not take --token-env, and its variable may be set for the whole job
        named = {options.token_env, options.accept_token_env, environ.get("DEPLOYSTEP_TOKEN_ENV")}
        values = {environ.get(name) for name in (self.token_name, *named) if name} - {None, "", "<nil>"}
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

            if self.options.sandbox:
                self.address, token = self._sandbox(specs)
            else:
                token = self._secret()
            self.console.hide(token)
            if self.options.command == "doctor":  # who asks it is waiting
                transport = HttpTransport(self.address, token, read_timeout=CONNECT_TIMEOUT)
                self._client = Client(transport, self.clock, self.console, Policy(attempts=1))
            else:
                self._client = Client(HttpTransport(self.address, token), self.clock, self.console)
        return self._client

    def _sandbox(self, specs: "tuple[TriggerSpec, ...]") -> tuple[Address, Secret]:
        from deploystep.cli.sandbox import started_for  # noqa: PLC0415 - for who tries the step out

        if self._environ.get("CIRCLECI") == "true":
            name = self.options.written("sandbox")
            self.console.warning(f"{name}: this build deploys nothing; leave it out to deploy")
        token = Secret(os.urandom(20).hex())
        return self._stack.enter_context(started_for(self.build, specs, token, self.console, self.config())), token

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
            raise EnvironmentInvalid(
                "token-malformed",
                f"the token in {name} holds a space, a line end or another character that no token has",
                f"store {name} again, without quotes or line ends",
            )
        return Secret(value)
