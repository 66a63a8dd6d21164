"""Looks at everything that a deploy needs, here and at CircleCI, by requests that change nothing.

Sources: CircleCI's v2 OpenAPI document, operations `getCurrentUser`, `getProjectBySlug`, `listPipelineDefinitions`
(CircleCI's cloud only) and `getProjectSettings` (experimental). No operation tells when a token expires, or whether it
may trigger.
"""

import platform
import re
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from deploystep import __version__
from deploystep.app.check import check
from deploystep.app.init import NO_GITLAB
from deploystep.app.ports import Services
from deploystep.app.report import Finding, Grade, Report
from deploystep.circleci import v2
from deploystep.circleci.errors import cannot_see, describe_failure
from deploystep.circleci.http import Failure, JsonObject, Response, body_of, message_of, segment, server_time
from deploystep.core.build import CLOUD, BuildContext, ProjectSlug, Repository
from deploystep.core.errors import EnvironmentInvalid, Refused, RuleFileInvalid
from deploystep.core.frozen import dataclass
from deploystep.core.rules import ApiVersion, NameIs, Rule, RuleSet, Target, matchers_of
from deploystep.core.source import Diagnostic
from deploystep.project.wiring import Project
from deploystep.rulefile.load import examine as read_rules

if TYPE_CHECKING:
    from deploystep.circleci.client import Client

_OLDEST_GIT: Final = (2, 38)  # the first that has safe.bareRepository
_SKEW: Final = 60.0  # seconds by which clocks may differ; windows and freezes are written in minutes
_UNKNOWN: Final = "project, definition, auto-cancel and clock are unknown"
_WRONG: Final = "what to do stands at the end of each line that begins with error"


@dataclass(frozen=True, slots=True)
class Clone:
    """The git that is here (None: there is none), whether the clone is shallow, and what its origin is."""

    git: str | None
    is_shallow: bool
    origin: Repository | None


def examine(services: Services, clone: Clone, project: Callable[[], Project], report: Report) -> None:
    """Note what is found, a line each. Raises EnvironmentInvalid or Refused where something is in the way."""
    doctor = _Doctor(services, report.findings)
    doctor.machine(clone)
    doctor.find_build()
    doctor.find_rules(project())
    doctor.integration(clone)
    doctor.circleci()
    wrong = [finding for finding in report.findings if finding.grade is Grade.ERROR]
    what = f"in the way of a deploy: {', '.join(dict.fromkeys(finding.name for finding in wrong))}"
    if wrong and all(finding.is_refusal for finding in wrong):
        raise Refused("refused", what, _WRONG)
    if wrong:
        raise EnvironmentInvalid("unfit", what, _WRONG)


class _Doctor:
    """What has been found goes into the report's list at once, so that an interruption shows it."""

    build: BuildContext | None = None
    rules: RuleSet | None = None
    sending: tuple[Rule, ...] = ()  # none where the rule file is wrong

    def __init__(self, services: Services, findings: list[Finding]) -> None:
        self.services, self.findings = services, findings

    def ok(self, name: str, text: str) -> None:
        self.findings.append(Finding(name, Grade.OK, text))

    def warn(self, name: str, text: str, cure: str) -> None:
        self.findings.append(Finding(name, Grade.WARNING, text, cure))

    def fail(self, name: str, text: str, cure: str, *, is_refusal: bool = False) -> None:
        self.findings.append(Finding(name, Grade.ERROR, text, cure, is_refusal))

    # --- here

    def machine(self, clone: Clone) -> None:
        """Python, git and the clone."""
        self.ok("python", f"Python {platform.python_version()}, deploystep {__version__}")
        numbers = re.match(r"(\d+)\.(\d+)", clone.git or "")
        if numbers is None:
            self.fail("git", "git cannot be run here", "install git 2.38 or newer in the job's image")
        elif (int(numbers[1]), int(numbers[2])) < _OLDEST_GIT:
            self.warn("git", f"git {clone.git}", "install git 2.38 or newer, the first that has safe.bareRepository")
        elif clone.is_shallow:
            said = f"git {clone.git}; this clone is shallow: paths and merged_into may be unknown"
            self.warn("git", said, "run  git fetch --unshallow")
        else:
            self.ok("git", f"git {clone.git}")

    def find_build(self) -> None:
        """The build that is judged, or the clone on a laptop."""
        try:
            build = self.build = self.services.build
        except EnvironmentInvalid as error:
            self.fail("build", "; ".join((error.message, *error.problems)), error.hints[0])
            return
        kind = f", {build.node}" if build.variables.get("CIRCLECI") == "true" else "; this is not a CircleCI build"
        self.ok("build", f"{'tag' if build.tag else 'branch'} {build.ref.name} @ {build.revision[:7]}{kind}")

    def find_rules(self, known: Project) -> None:
        """The rule file, alone and beside the config."""
        found, config = Report("check"), known.config
        try:
            source = self.services.source
        except RuleFileInvalid as error:
            self.fail("rules", error.message, error.hints[0] if error.hints else "save it as UTF-8")
            return
        with suppress(RuleFileInvalid):
            check(source, lambda: known, found, is_strict=False)
        others = [d for d in found.diagnostics if not d.code.startswith("P")]
        rules = self.rules = read_rules(source).rules
        if rules is None:
            self._say("rules", others, "")
            self.warn("config", "not compared with the rules", "first cure what is said of them")
            return
        self.sending = rules.sending
        self._say("rules", others, f"{source.path}: {len(rules.rules)} rule{'' if len(rules.rules) == 1 else 's'}")
        if config is None:
            cure = "see  deploystep check , or what  deploystep init  shows"
            self.warn("config", "there is no .circleci/config.yml here that can be read", cure)
        elif config.setup:
            self.warn("config", f"{config.path} is a setup config", "look at the config that continues it yourself")
        else:
            of_config = [d for d in found.diagnostics if d.code.startswith("P")]
            declared = ", ".join(sorted(config.parameters)) or "none"
            self._say("config", [d for d in of_config if d.code != "P07"], f"{config.path} fits the rules")
            self._say("parameters", [d for d in of_config if d.code == "P07"], f"declared: {declared}")

    def _say(self, name: str, found: list[Diagnostic], otherwise: str) -> None:
        """The first diagnostic, errors before warnings, and how many there are."""
        if not found:
            self.ok(name, otherwise)
            return
        first = min(found, key=lambda d: not d.is_error)
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        say = self.fail if first.is_error else self.warn
        say(name, f"line {first.span.line}: {first.code} {first.message}{more}", "run  deploystep check")

    def integration(self, clone: Clone) -> None:
        """A project that no API can start, as far as its repository's address tells."""
        named = self.build.origin if self.build else None
        origin = Repository.parse(named) if named else clone.origin
        is_own = self.rules is None or any(rule.deploy.to is None for rule in self.sending)
        if origin is not None and "gitlab" in origin.host and is_own:
            self.fail("project", f"{origin.host}/{origin.path} is a GitLab project", NO_GITLAB)

    # --- at CircleCI

    def circleci(self) -> None:
        """The API, the token, the project and its settings, and the clock."""
        try:
            client = self.services.client()
        except EnvironmentInvalid as error:
            self._not_asked(error)
            return
        host, name = client.host, self.services.token_name
        result = client.get("/api/v2/me")
        user = JsonObject(body_of(result))
        if isinstance(result, Failure):
            cure = "behind a proxy or a private CA, set HTTPS_PROXY or REQUESTS_CA_BUNDLE; name another with  --host"
            self.fail("api", f"{host} is unreachable ({result.reason}); token, {_UNKNOWN}", cure)
        elif user.text("id") is not None:
            self._api(host)
            login, full = user.text("login") or user.text("id"), user.text("name")
            silent = "when it expires and whether it may trigger is unknown: no request tells it that changes nothing"
            self.ok("token", f"{name} is valid, of {f'{login} ({full})' if full else login}; {silent}")
            self._projects(client)
            self._clock(result)
        elif _is_refusal(result):
            self._api(host)
            cure = (
                f"look in {self.services.address.app}/settings/user/tokens whether it is listed and has not expired; "
            )
            cure += f"it must be a personal API token, of {host} (see  --host ); a new one goes into {name}"
            said = f"{describe_failure(result, host)}; project, definition and auto-cancel are unknown"
            self.fail("token", said, cure, is_refusal=True)
            self._clock(result)
        else:
            is_ok = result.status == 200  # noqa: PLR2004 - by itself
            said = f"{host} answered 200, but named no user" if is_ok else describe_failure(result, host)
            cure = f"try again later; or is {host} not CircleCI's API? see  --host"
            self.fail("api", f"{said}; token, {_UNKNOWN}", cure)

    def _not_asked(self, error: EnvironmentInvalid) -> None:
        """Why no request can be made, and whether that is in the way."""
        build, rules, is_token = self.build, self.rules, "token" in error.code
        # what asks CircleCI: a trigger, and the other nodes of a job or the jobs that a rule requires
        asks = rules is None or any(rule.sends or rule.requires for rule in rules.rules)
        if build is not None and build.fork and error.code == "no-token":
            self.warn("token", f"{error.message}, as in every build of a fork: nothing is sent", "nothing to do")
        elif build is not None and error.code == "no-token" and not asks and build.node.total <= 1:
            self.warn("token", error.message, f"gate on one node needs none; without it, api, {_UNKNOWN}")
        elif is_token or build is not None:
            unknown = f"{'api' if is_token else 'token'}, {_UNKNOWN}"
            self.fail("token" if is_token else "api", f"{error.message}; without it, {unknown}", error.hints[0])
        else:
            self.warn("api", f"not asked: token, {_UNKNOWN}", "first cure what is said of build")

    def _api(self, host: str) -> None:
        rules, targets = self.rules, [rule.deploy.to for rule in self.sending]
        versions = {(target.api if target else None) or rules.api for target in targets} if rules else set()
        if ApiVersion.V3 in versions and host != CLOUD:
            self.fail("api", f"{host} answers; API v3 is on CircleCI's cloud only", "write  api: v2  in the rules")
        elif any(rule.deploy.job for rule in self.sending):
            cure = "gate a workflow on a parameter and use  workflow:  (docs/migrating.md)"
            self.warn("api", f"{host} answers; the triggers of API v1.1 end on 1 February 2027", cure)
        else:
            by = f"; the rules trigger by API {', '.join(sorted(v.value for v in versions))}" if versions else ""
            self.ok("api", f"{host} answers{by}")

    def _projects(self, client: "Client") -> None:
        """The project of this build, and those that rules send to."""
        build = self.build
        if build is None:
            return
        own = build.project
        if own is None and build.pipeline_id is not None:
            own, _ = v2.pipeline_project(client, build.pipeline_id)
        if own is None:
            cure = "outside a build a remote origin at github.com or bitbucket.org tells it; a build's variables do"
            self.warn("project", "nothing tells which project this is", cure)
        else:
            body = self._project(client, own, build.definition_id)
            if body is not None:
                settings = JsonObject(body_of(client.get(f"{v2.project_path(own)}/settings")))
                is_on = settings.get("advanced", "autocancel_builds")
                self._auto_cancel(is_on, body.text("vcs_info", "default_branch"))
        for target in {t.project: t for t in self.rules.targets.values()}.values() if self.rules else ():
            self._project(client, target.project, target.definition, target)

    def _project(
        self, client: "Client", slug: ProjectSlug, wanted: str | None, target: Target | None = None
    ) -> JsonObject | None:
        """A project and its definitions; None where it cannot be read."""
        result = client.get(v2.project_path(slug))
        body = JsonObject(body_of(result))
        identity, is_refusal = body.identity("id"), _is_refusal(result)
        if identity is None:
            cure = cannot_see(self.services.token_name) if is_refusal else "try again later"
            said = f"{slug} cannot be read: {describe_failure(result, client.host)}"
            self.fail("project", said, cure, is_refusal=is_refusal)
            return None
        listed = client.get(f"/api/v2/projects/{segment(identity)}/pipeline-definitions")
        items = JsonObject(body_of(listed)).get("items")
        definitions = list(map(JsonObject, items)) if isinstance(items, list) else []
        providers = sorted({p for d in definitions if (p := d.text("config_source", "provider"))})
        kind = ", ".join(providers) or body.text("vcs_info", "provider") or "unknown"
        if any("gitlab" in provider for provider in providers):
            self.fail("project", f"{slug} is a GitLab project", NO_GITLAB)
        else:
            self.ok("project", f"{slug} is found, and the token may read it; integration: {kind}")
        named = ", ".join(f"{d.text('name')} ({d.text('id')})" for d in definitions)
        if wanted is not None and definitions and wanted not in {d.text("id") for d in definitions}:
            self.fail("definition", f"{wanted} is not in the list of {slug}", f"take one of: {named}")
        elif wanted is None and target is not None and "github_app" in providers:
            cure = f"give the target  definition: UUID , one of: {named}"
            self.warn("definition", f"target {target.name} names none, and CircleCI chooses", cure)
        else:
            listing = named or "none (CircleCI Server has no list)"
            self.ok("definition", f"{wanted or 'none is named'}; listed: {listing}")
        return body

    def _auto_cancel(self, is_on: object, default: str | None) -> None:
        branches = [
            (rule.name.value, p.value) for rule in self.sending if rule.deploy.to is None
            for m in matchers_of(rule.when) if isinstance(m, NameIs) and m.word == "branch" for p in m.patterns
        ]  # fmt: skip
        elsewhere = ", ".join(dict.fromkeys(name for name, pattern in branches if pattern.only_match != default))
        if is_on is True and elsewhere:
            cure = "switch off  Auto-cancel redundant workflows  in the project's settings, or deploy through a target"
            self.warn("auto-cancel", f"on: off {default} a deploy cancels its own build (rules: {elsewhere})", cure)
        elif isinstance(is_on, bool):
            self.ok("auto-cancel", f"on, and spares {default}" if is_on else "off")
        else:
            self.ok("auto-cancel", "unknown: this token does not see the project's settings")

    def _clock(self, result: Response | Failure) -> None:
        told = server_time(result)
        skew = (self.services.clock.now() - told).total_seconds() if told else 0.0
        if abs(skew) > _SKEW:
            ahead = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's clock"
            self.warn("clock", f"this machine is {ahead}", "set it right: windows and freezes are judged by it")
        else:
            self.ok("clock", "as the server's" if told else "unknown: the server does not tell its time")


def _is_refusal(result: Response | Failure) -> bool:
    """Whether it is CircleCI that says no: its errors have a message, those of other servers need not."""
    if isinstance(result, Failure):
        return False
    return result.status == 401 or (result.status in (403, 404) and bool(message_of(result)))  # noqa: PLR2004
