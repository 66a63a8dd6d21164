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
from deploystep.rulefile.load import load

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
    build = doctor.build()
    rules = doctor.rules(project)
    doctor.integration(clone, build, rules)
    doctor.circleci(build, rules)
    wrong = [finding for finding in report.findings if finding.grade is Grade.ERROR]
    what = f"in the way of a deploy: {', '.join(dict.fromkeys(finding.name for finding in wrong))}"
    if wrong and all(finding.is_refusal for finding in wrong):
        raise Refused("refused", what, _WRONG)
    if wrong:
        raise EnvironmentInvalid("unfit", what, _WRONG)


class _Doctor:
    """What has been found goes into the report's list at once, so that an interruption shows it."""

    def __init__(self, services: Services, findings: list[Finding]) -> None:
        self.services = services
        self.findings = findings

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
            cure = "install git 2.38 or newer: older ones take a folder that looks like a bare repository for one"
            self.warn("git", f"git {clone.git}", cure)
        elif clone.is_shallow:
            cure = "run  git fetch --unshallow  or use CircleCI's checkout step"
            self.warn("git", f"git {clone.git}; this clone is shallow: paths and merged_into may be unknown", cure)
        else:
            self.ok("git", f"git {clone.git}")

    def build(self) -> BuildContext | None:
        """The build that is judged, or the clone on a laptop."""
        try:
            build = self.services.build
        except EnvironmentInvalid as error:
            self.fail("build", "; ".join((error.message, *error.problems)), error.hints[0])
            return None
        kind = f", {build.node}" if build.variables.get("CIRCLECI") == "true" else "; this is not a CircleCI build"
        self.ok("build", f"{'tag' if build.tag else 'branch'} {build.ref.name} @ {build.revision[:7]}{kind}")
        return build

    def rules(self, project: Callable[[], Project]) -> RuleSet | None:
        """The rule file, alone and beside the config."""
        found, known = Report("check"), project()
        try:
            source = self.services.source
        except RuleFileInvalid as error:
            self.fail("rules", error.message, error.hints[0] if error.hints else "save it as UTF-8")
            return None
        with suppress(RuleFileInvalid):
            check(source, lambda: known, found, is_strict=False)
        of_config = [d for d in found.diagnostics if d.code.startswith("P")]
        others, config = [d for d in found.diagnostics if d not in of_config], known.config
        try:
            rules = load(source)
        except RuleFileInvalid:
            self._say("rules", others, "")
            self.warn("config", "not compared with the rules", "first cure what is said of them")
            return None
        self._say("rules", others, f"{source.path}: {len(rules.rules)} rule{'' if len(rules.rules) == 1 else 's'}")
        if config is None:
            cure = "write one ( deploystep init  shows its lines), or see what  deploystep check  says of it"
            self.warn("config", "there is no .circleci/config.yml here that can be read", cure)
        elif config.setup:
            self.warn("config", f"{config.path} is a setup config", "look at the config that continues it yourself")
        else:
            declared = ", ".join(sorted(config.parameters)) or "none"
            self._say("config", [d for d in of_config if d.code != "P07"], f"{config.path} fits the rules")
            self._say("parameters", [d for d in of_config if d.code == "P07"], f"declared: {declared}")
        return rules

    def _say(self, name: str, found: list[Diagnostic], otherwise: str) -> None:
        """The first diagnostic, errors before warnings, and how many there are."""
        if not found:
            self.ok(name, otherwise)
            return
        first = min(found, key=lambda d: not d.is_error)
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        say = self.fail if first.is_error else self.warn
        say(name, f"line {first.span.line}: {first.code} {first.message}{more}", "run  deploystep check")

    def integration(self, clone: Clone, build: BuildContext | None, rules: RuleSet | None) -> None:
        """A project that no API can start, as far as its repository's address tells."""
        origin = Repository.parse(build.claims.origin) if build and build.claims.origin else clone.origin
        is_own = rules is None or any(rule.deploy.to is None for rule in _sending(rules))
        if origin is not None and "gitlab" in origin.host and is_own:
            self.fail("project", f"{origin.host}/{origin.path} is a GitLab project", NO_GITLAB)

    # --- at CircleCI

    def circleci(self, build: BuildContext | None, rules: RuleSet | None) -> None:
        """The API, the token, the project and its settings, and the clock."""
        try:
            client = self.services.client()
        except EnvironmentInvalid as error:
            if build is not None and build.fork and error.code == "no-token":
                self.warn("token", f"{error.message}, as in every build of a fork: nothing is sent", "nothing to do")
            elif error.code == "no-token" and build is not None and not _asks(rules, build):
                self.warn("token", error.message, f"gate on one node needs none; without it, api, {_UNKNOWN}")
            elif build is not None or "token" in error.code:
                name = "token" if "token" in error.code else "api"
                unknown = f"api, {_UNKNOWN}" if name == "token" else _UNKNOWN
                self.fail(name, f"{error.message}; without it, {unknown}", error.hints[0])
            else:
                self.warn("api", f"not asked: token, {_UNKNOWN}", "first cure what is said of build")
            return
        host = client.host
        result = client.get("/api/v2/me")
        user = JsonObject(body_of(result))
        if isinstance(result, Failure):
            cure = "behind a proxy or a private CA, set HTTPS_PROXY or REQUESTS_CA_BUNDLE; name another with  --host"
            self.fail("api", f"{host} is unreachable ({result.reason}); token, {_UNKNOWN}", cure)
        elif user.text("id") is not None:
            self._api(host, rules)
            login, full = user.text("login") or user.text("id"), user.text("name")
            of = f"{login} ({full})" if full else login
            self.ok("token", f"{self.services.token_name} is valid, of {of}; {_SILENT}")
            if build is not None:
                self._projects(client, build, rules)
            self._clock(result)
        elif _is_refusal(result):
            self._api(host, rules)
            tokens = f"{self.services.address.app}/settings/user/tokens"
            cure = (
                f"look in {tokens} whether it is listed and has not expired; possible causes: it is mistyped, expired "
                "or revoked; it is a project token or an OIDC token, and a personal API token is needed; it is of "
                f"another server than {host}, see  --host ; a new one goes into {self.services.token_name}"
            )
            said = f"{describe_failure(result, host)}; project, definition and auto-cancel are unknown"
            self.fail("token", said, cure, is_refusal=True)
            self._clock(result)
        else:
            named = f"{host} answered {result.status}, but named no user"
            said = named if result.status == 200 else describe_failure(result, host)  # noqa: PLR2004
            self.fail(
                "api", f"{said}; token, {_UNKNOWN}", f"try again later; or is {host} not CircleCI's API? see  --host"
            )

    def _api(self, host: str, rules: RuleSet | None) -> None:
        sends = rules is not None and bool(rules.sending)
        versions = {rules.api, *(t.api or rules.api for t in rules.targets.values())} if rules and sends else set()
        if ApiVersion.V3 in versions and host != CLOUD:
            self.fail("api", f"{host} answers; API v3 is on CircleCI's cloud only", "write  api: v2  in the rules")
        elif any(rule.deploy.job for rule in _sending(rules)):
            cure = "gate a workflow on a parameter and use  workflow:  (docs/migrating.md)"
            self.warn("api", f"{host} answers; the triggers of API v1.1 end on 1 February 2027", cure)
        else:
            by = f"; the rules trigger by API {', '.join(sorted(v.value for v in versions))}" if versions else ""
            self.ok("api", f"{host} answers{by}")

    def _projects(self, client: "Client", build: BuildContext, rules: RuleSet | None) -> None:
        """The project of this build, and those that rules send to."""
        own = build.project
        if own is None and build.pipeline_id is not None:
            own, _ = v2.pipeline_project(client, build.pipeline_id)
        if own is None:
            cure = "outside a build a remote origin at github.com or bitbucket.org tells it; a build's variables do"
            self.warn("project", "nothing tells which project this is", cure)
        else:
            self._project(client, own, build.claims.definition_id, rules)
        for target in {t.project: t for t in rules.targets.values()}.values() if rules else ():
            self._project(client, target.project, target.definition, None, target)

    def _project(
        self,
        client: "Client",
        slug: ProjectSlug,
        wanted: str | None,
        rules: RuleSet | None,
        target: Target | None = None,
    ) -> None:
        result = client.get(v2.project_path(slug))
        body = JsonObject(body_of(result))
        identity, default = body.identity("id"), body.text("vcs_info", "default_branch")
        if identity is None:
            is_refusal = _is_refusal(result)
            cure = cannot_see(self.services.token_name) if is_refusal else "try again later"
            said = f"{slug} cannot be read: {describe_failure(result, client.host)}"
            self.fail("project", said, cure, is_refusal=is_refusal)
            return
        listed = JsonObject(body_of(client.get(f"/api/v2/projects/{segment(identity)}/pipeline-definitions"))).get(
            "items"
        )
        definitions = list(map(JsonObject, listed)) if isinstance(listed, list) else []
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
            self.ok(
                "definition", f"{wanted or 'none is named'}; listed: {named or 'none (CircleCI Server has no list)'}"
            )
        if target is None:
            self._auto_cancel(body_of(client.get(f"{v2.project_path(slug)}/settings")), rules, default)

    def _auto_cancel(self, settings: object, rules: RuleSet | None, default: str | None) -> None:
        is_on = JsonObject(settings).get("advanced", "autocancel_builds")
        own = [rule for rule in _sending(rules) if rule.deploy.to is None]
        elsewhere = ", ".join(
            rule.name.value for rule in own
            if any(
                isinstance(m, NameIs) and m.word == "branch" and any(p.value.only_match != default for p in m.patterns)
                for m in matchers_of(rule.when)
            )
        )  # fmt: skip
        if is_on is True and elsewhere:
            cure = "switch off  Auto-cancel redundant workflows  in the project's settings, or deploy through a target"
            self.warn("auto-cancel", f"on: off {default} a deploy cancels its own build (rules: {elsewhere})", cure)
        else:
            known = {True: f"on, and spares {default}", False: "off"}
            unknown = "unknown: this token does not see the project's settings"
            self.ok("auto-cancel", known[is_on] if isinstance(is_on, bool) else unknown)

    def _clock(self, result: Response | Failure) -> None:
        told = server_time(result)
        skew = (self.services.clock.now() - told).total_seconds() if told else 0.0
        if abs(skew) > _SKEW:
            ahead = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's clock"
            self.warn("clock", f"this machine is {ahead}", "set it right: windows and freezes are judged by it")
        else:
            self.ok("clock", "as the server's" if told else "unknown: the server does not tell its time")


_SILENT: Final = "when it expires and whether it may trigger is unknown: no request tells it that changes nothing"


def _sending(rules: RuleSet | None) -> tuple[Rule, ...]:
    """The rules that send something; none where the rule file is wrong."""
    return rules.sending if rules else ()


def _asks(rules: RuleSet | None, build: BuildContext) -> bool:
    """Whether a command asks CircleCI: to trigger, or for the other nodes of a job or the jobs that a rule requires."""
    return rules is None or build.node.total > 1 or any(rule.sends or rule.requires for rule in rules.rules)


def _is_refusal(result: Response | Failure) -> bool:
    """Whether it is CircleCI that says no: its errors have a message, those of other servers need not."""
    is_known = isinstance(result, Response) and result.status in (401, 403, 404)
    return is_known and isinstance(result, Response) and bool(result.status == 401 or message_of(result))  # noqa: PLR2004
