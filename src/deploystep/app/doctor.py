"""Looks at everything that a deploy needs, here and at CircleCI, by requests that change nothing.

Sources: CircleCI's v2 OpenAPI document, operations `getCurrentUser`, `getProjectBySlug`, `listPipelineDefinitions`
(cloud only) and `getProjectSettings` (experimental). None tells when a token expires, or whether it may trigger.
"""

import platform
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from deploystep import __version__
from deploystep.app.check import check
from deploystep.app.init import NO_GITLAB
from deploystep.app.ports import Services
from deploystep.app.report import Finding, Grade, Report
from deploystep.circleci import v2
from deploystep.circleci.client import Client
from deploystep.circleci.errors import cannot_see, describe_failure
from deploystep.circleci.http import Failure, JsonObject, Response, body_of, message_of, segment, server_time
from deploystep.core.build import CLOUD, BuildContext, ProjectSlug, Repository
from deploystep.core.errors import EnvironmentInvalid, Refused, RuleFileInvalid
from deploystep.core.rules import ApiVersion, NameIs, Rule, RuleSet, matchers_of
from deploystep.project.wiring import Project
from deploystep.rulefile.load import examine as read_rules

_PART: Final = {"P07": "parameters", "P": "config"}  # by a diagnostic's code, or its first letter; others: rules
Clone = tuple[str | None, Repository | None, bool]  # the version of git, the origin, and whether it is shallow
_SKEW: Final = 60.0  # seconds by which clocks may differ; windows and freezes are written in minutes


def examine(services: Services, clone: Clone, project: Callable[[], Project], report: Report) -> None:
    """Note what is found, a line each. Raises EnvironmentInvalid or Refused where it is wrong."""
    doctor, (git, origin, is_shallow) = _Doctor(services, report.findings), clone
    doctor.look_here(git, is_shallow=is_shallow)
    doctor.read_rules(project(), origin)
    doctor.ask_circleci()
    if wrong := [finding for finding in report.findings if finding.grade == "error"]:
        kind, code = (Refused, "refused") if all(f.is_refusal for f in wrong) else (EnvironmentInvalid, "unfit")
        names = ", ".join(dict.fromkeys(finding.name for finding in wrong))
        cure = "what to do stands at the end of each line that begins with error"
        raise kind(code, f"in the way of a deploy: {names}", cure)


class _Doctor:
    """What has been found goes into the report's list at once, so that an interruption shows it."""

    build: BuildContext | None = None
    rules: RuleSet | None = None  # none where the rule file is wrong
    own: tuple[Rule, ...] = ()  # the rules that start a run of this project itself

    def __init__(self, services: Services, findings: list[Finding]) -> None:
        self.services, self.findings = services, findings

    def note(self, name: str, text: str, cure: str = "", *, is_wrong: bool = False, is_refusal: bool = False) -> None:
        """It is as it should be; with a cure it is worth a thought, or in the way of a deploy."""
        grade: Grade = "error" if is_wrong or is_refusal else "warning" if cure else "ok"
        self.findings.append(Finding(name, grade, text, cure, is_refusal))

    def look_here(self, git: str | None, *, is_shallow: bool) -> None:
        self.note("python", f"Python {platform.python_version()}, deploystep {__version__}")
        shallow = "; this clone is shallow: paths and merged_into may be unknown" if is_shallow else ""
        cure = "run  git fetch --unshallow" if shallow else ""
        if [*map(int, re.findall(r"\d+", git or "")[:2])] < [2, 38]:  # the first that has safe.bareRepository
            cure = "install git 2.38 or newer in the job's image"
        self.note("git", f"git {git}{shallow}" if git else "git cannot be run here", cure, is_wrong=git is None)
        try:
            build = self.build = self.services.build
            kind = f", {build.node}" if build.variables.get("CIRCLECI") == "true" else "; this is not a CircleCI build"
            self.note("build", f"{'tag' if build.tag else 'branch'} {build.ref.name} @ {build.revision[:7]}{kind}")
        except EnvironmentInvalid as error:
            self.note("build", "; ".join((error.message, *error.problems)), error.hints[0], is_wrong=True)

    def read_rules(self, known: Project, origin: Repository | None) -> None:
        """The rule file, alone and beside the config, and a project that no API can start, by its address."""
        found, config = Report("check"), known.config
        try:
            source = self.services.source
        except RuleFileInvalid as error:
            self.note("rules", error.message, (*error.hints, "save it as UTF-8")[0], is_wrong=True)
            return
        with suppress(RuleFileInvalid):
            check(source, lambda: known, found, is_strict=False)
        rules = self.rules = read_rules(source).rules
        self.own = tuple(rule for rule in rules.sending if rule.deploy.to is None) if rules else ()
        well = {"rules": f"{source.path}, rules: {len(rules.rules) if rules else 0}"}
        if rules is not None and config is not None and not config.setup:
            declared = ", ".join(sorted(config.parameters)) or "none"
            well |= {"config": f"{config.path} fits the rules", "parameters": f"declared: {declared}"}
        for name, text in well.items():
            parts = [d for d in found.diagnostics if name == _PART.get(d.code, _PART.get(d.code[0], "rules"))]
            for each in sorted(parts, key=lambda d: not d.is_error)[:1]:
                what = f"line {each.span.line}: {each.code} {each.message}"
                more = f", and {len(parts) - 1} more" if len(parts) > 1 else ""
                self.note(name, what + more, "run  deploystep check", is_wrong=each.is_error)
            if not parts:
                self.note(name, text)
        if len(well) == 1:
            why = "it cannot be read, or is a setup config" if rules else "first cure what is said of the rules"
            self.note("config", "not compared with the rules", f"{why}; see  deploystep check")
        origin = (Repository.parse(self.build.origin) if self.build else None) or origin
        if origin is not None and "gitlab" in origin.host and (rules is None or self.own):
            self.note("project", f"{origin.host}/{origin.path} is a GitLab project", NO_GITLAB, is_wrong=True)

    def ask_circleci(self) -> None:
        try:
            client = self.services.client()
        except EnvironmentInvalid as error:
            self._not_asked(error)
            return
        host, name, result = client.host, self.services.token_name, client.get("/api/v2/me")
        user, told, said = JsonObject(body_of(result)), server_time(result), describe_failure(result, host)
        if user.text("id") is not None:
            self._api(host)
            login, full = user.text("login") or user.text("id"), user.text("name")
            silent = "when it expires and whether it may trigger is unknown: no request tells it that changes nothing"
            self.note("token", f"{name} is valid, of {f'{login} ({full})' if full else login}; {silent}")
            self._projects(client)
        elif _is_refusal(result):
            self._api(host)
            cure = f"is it listed in {self.services.address.app}/settings/user/tokens? store a new personal API token"
            said = f"{said}; project, definition and auto-cancel are unknown"
            self.note("token", said, f"{cure} of {host} in {name}", is_refusal=True)
        else:
            said = f"{host} is unreachable ({said})" if isinstance(result, Failure) else f"no user is told: {said}"
            cure = f"try again later; behind a proxy or a private CA set HTTPS_PROXY or REQUESTS_CA_BUNDLE; is {host}"
            unknown = "token, project, definition, auto-cancel and clock are unknown"
            self.note("api", f"{said}; {unknown}", f"{cure} CircleCI's API? see  --host", is_wrong=True)
            return
        skew = (self.services.clock.now() - told).total_seconds() if told else 0.0
        says, cure = "as the server's" if told else "unknown: the server does not tell its time", ""
        if abs(skew) > _SKEW:
            says = f"this machine is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's clock"
            cure = "set it right: windows and freezes are judged by it"
        self.note("clock", says, cure)

    def _not_asked(self, error: EnvironmentInvalid) -> None:
        build, rules, name = self.build, self.rules, "token" if "token" in error.code else "api"
        # what asks CircleCI: a trigger, and the other nodes of a job or the jobs that a rule requires
        asks = rules is None or any(rule.sends or rule.requires for rule in rules.rules)
        text = f"{error.message}; nothing is asked of CircleCI, so the rest is unknown"
        if error.code == "no-token" and build is not None and (build.fork or not (asks or build.node.total > 1)):
            self.note(name, text, "nothing to do: a fork's build sends nothing, and gate on one node asks nothing")
        elif name == "token" or build is not None:
            self.note(name, text, error.hints[0], is_wrong=True)
        else:
            self.note(name, "not asked", "first cure what is said of build")

    def _api(self, host: str) -> None:
        rules, says, cure = self.rules, f"{host} answers", ""
        versions = {v for v in (rules.api, *(t.api for t in rules.targets.values())) if v} if rules else set()
        if is_wrong := ApiVersion.V3 in versions and host != CLOUD:
            says, cure = f"{says}; API v3 is on CircleCI's cloud only", "write  api: v2  in the rules"
        elif rules and any(rule.deploy.job for rule in rules.sending):
            says = f"{says}; the triggers of API v1.1 end on 1 February 2027"
            cure = "gate a workflow on a parameter and use  workflow:  (docs/migrating.md)"
        elif versions:
            says = f"{says}; the rules name API {', '.join(sorted(v.value for v in versions))}"
        self.note("api", says, cure, is_wrong=is_wrong)

    def _projects(self, client: Client) -> None:
        """The project of this build with its settings, and those that rules send to."""
        build = self.build
        own = build.project if build else None
        if own is None and build is not None and build.pipeline_id is not None:
            own, _ = v2.Reader(client).project(build.pipeline_id)
        if own is None:
            cure = "outside a build a remote origin at github.com or bitbucket.org tells it; a build's variables do"
            self.note("project", "nothing tells which project this is", cure)
        elif (body := self._project(client, own, build.definition_id if build else None)) is not None:
            settings = JsonObject(body_of(client.get(f"{v2.project_path(own)}/settings")))
            self._auto_cancel(settings.get("advanced", "autocancel_builds"), body.text("vcs_info", "default_branch"))
        for target in {t.project: t for t in self.rules.targets.values()}.values() if self.rules else ():
            self._project(client, target.project, target.definition)

    def _project(self, client: Client, slug: ProjectSlug, wanted: str | None) -> JsonObject | None:
        """A project and its definitions; None where it cannot be read."""
        result = client.get(v2.project_path(slug))
        body, is_refusal = JsonObject(body_of(result)), _is_refusal(result)
        if (identity := body.identity("id")) is None:
            cure = cannot_see(self.services.token_name) if is_refusal else "try again later"
            said = f"{slug} cannot be read: {describe_failure(result, client.host)}"
            self.note("project", said, cure, is_wrong=True, is_refusal=is_refusal)
            return None
        listed = client.get(f"/api/v2/projects/{segment(identity)}/pipeline-definitions")
        items = JsonObject(body_of(listed)).get("items")
        definitions = list(map(JsonObject, items)) if isinstance(items, list) else []
        providers = sorted({p for d in definitions if (p := d.text("config_source", "provider"))})
        kind = ", ".join(providers) or body.text("vcs_info", "provider") or "unknown"
        is_gitlab, well = "gitlab" in kind, f"is found, and the token may read it; integration: {kind}"
        says = f"{slug} {'is a GitLab project' if is_gitlab else well}"
        self.note("project", says, NO_GITLAB * is_gitlab, is_wrong=is_gitlab)
        names = ", ".join(f"{d.text('name')} ({d.text('id')})" for d in definitions) or "none"
        if wanted is not None and definitions and wanted not in {d.text("id") for d in definitions}:
            self.note("definition", f"{wanted} is not in the list of {slug}", f"take one of: {names}", is_wrong=True)
        else:
            self.note("definition", f"{wanted or 'none is named'}; listed: {names}")
        return body

    def _auto_cancel(self, is_on: object, default: str | None) -> None:
        named = [(r, m) for r in self.own for m in matchers_of(r.when) if isinstance(m, NameIs) and m.word == "branch"]
        off = (r.name.value for r, m in named if any(pattern.value.only_match != default for pattern in m.patterns))
        elsewhere = ", ".join(dict.fromkeys(off))
        if is_on is True and elsewhere:
            cure = "switch off  Auto-cancel redundant workflows  in the project's settings, or deploy through a target"
            self.note("auto-cancel", f"on: off {default} a deploy cancels its own build (rules: {elsewhere})", cure)
        else:
            unknown = "off" if is_on is False else "unknown: this token does not see the project's settings"
            self.note("auto-cancel", f"on, and spares {default}" if is_on is True else unknown)


def _is_refusal(result: Response | Failure) -> bool:
    """Whether it is CircleCI that says no: its errors have a message, those of other servers need not."""
    if isinstance(result, Failure):
        return False
    return result.status == 401 or (result.status in (403, 404) and bool(message_of(result)))  # noqa: PLR2004
