"""Every key of the rule language: how it is read, an example, what it means, and whether it is required.

The loader, the JSON Schema and the reference pages are made from these tables.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from deploystep.core.codes import IGNORABLE
from deploystep.core.facts import Base, ChangedSince
from deploystep.core.patterns import Kind
from deploystep.core.rules import ApiVersion, EnvIs, FlagIs, Matcher, MergedInto, MessageContains, NameIs, PathsChanged
from deploystep.core.source import Span
from deploystep.rulefile import field_types as t
from deploystep.rulefile.field_types import Field, Fields, ListOf, MapOf, Table

MAX_ITEMS: Final = 2_000
MAX_PATTERNS: Final = 200
_ITEM: Final = "each item starts with '- name:'"

# fmt: off
NAME: Final = t.checked(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "E107", "not a name",
    "up to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit")
VARIABLE: Final = t.checked(r"[A-Za-z_][A-Za-z0-9_]*", "E107", "not the name of a variable",
    "letters, digits and '_', not beginning with a digit")
SHA: Final = t.checked(r"[0-9A-Fa-f]{40}(?:[0-9A-Fa-f]{24})?", "E104", "not a full revision", "40 hexadecimal digits")
UUID: Final = t.checked(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", "E603",
    "not the id of a pipeline definition",
    "copy it from Project Settings, Pipelines; for example 2338d0ae-5541-4bbf-88a2-55e9f7281f80")
API_VERSION: Final = t.choice({v.value: v for v in ApiVersion if v is not ApiVersion.V1_1}, "api")
CODE: Final = t.checked("|".join(sorted(IGNORABLE)), "E116", "not a code that can be ignored",
    "codes P… and W… can be: deploystep check --explain CODE tells what one means")
BASE: Final = t.choice(
    {"merge-base": Base.MERGE_BASE, "previous-commit": Base.PREVIOUS_COMMIT, "last-deploy": Base.LAST_DEPLOY}, "base",
    more=" or {ref: NAME}")
_GLOB: Final = "A glob (* within a segment, ** for whole segments), or a /regular expression/ for the whole"
_TEXT: Final = "A text in which * stands for any characters, or a /regular expression/ for the whole text."
BRANCHES: Final = t.one_or_many(t.pattern(Kind.REF, "branch", "ref-pattern", f"{_GLOB} name."))
TAGS: Final = t.one_or_many(t.pattern(Kind.REF, "tag", "ref-pattern", f"{_GLOB} name."))
PATH_PATTERNS: Final = t.one_or_many(t.pattern(Kind.PATH, "path", "path-pattern", f"{_GLOB} path."))
NAMES: Final = t.one_or_many(t.pattern(Kind.NAME, "text", "text-pattern", _TEXT))

# --- matchers

REF = Field("ref", t.ref_name("ref", may_be_full=True), "ref: deployed/staging", "A branch, tag or other ref.",
    required=True, also="branch tag")
FROM_BASE = Field("base", BASE, "merge-base", "What to compare with.")
ONLY = Field("only", PATH_PATTERNS, "only: services/**",
    "The files that count: one of the patterns matches (default: every file).", also="include paths path")
IGNORE = Field("ignore", PATH_PATTERNS, 'ignore: "**/*.md"', "The files that do not count, even where only: matches.",
    also="exclude except unless")
SINCE = Field("since", Table("comparison", "key", (REF,), short=FROM_BASE), "since: previous-commit",
    "What to compare with: merge-base (default), previous-commit, {ref: NAME}, or last-deploy (the commit of the last"
    " run of the rule's workflow that succeeded).")
PATH_KEYS: Final = Table("paths", "key", (ONLY, IGNORE, SINCE), least=1, short=ONLY)
BRANCH = Field("branch", BRANCHES, "branch: main",
    "The branch that is built; one of the patterns must match its whole name.", also="branches")
TAG = Field("tag", TAGS, "tag: v*", "The tag that is built; one of the patterns must match its whole name.",
    also="tags")
MERGED_INTO = Field("merged_into", t.one_or_many(t.ref_name("branch")), "merged_into: main",
    "The commit that is built has been merged into one of these branches.")
PULL_REQUEST = Field("pull_request", t.FLAG, "pull_request: true",
    "The build has a pull request (true), or has none (false).", also="pr")
FORK = Field("fork", t.FLAG, "fork: false",
    "The build comes from a fork (true), or does not (false); without it a rule never fires for a fork.")
USER = Field("user", NAMES, "user: [anna, bjorn]",
    "The user who started the build, where CircleCI knows one: bots and schedules have none.")
AUTHOR = Field("author", NAMES, 'author: "*@acme.dev"',
    "The author's e-mail address in the commit; anyone can set it to anything.")
MESSAGE_CONTAINS = Field("message_contains", t.one_or_many(t.TEXT), 'message_contains: "[skip deploy]"',
    "The commit message contains one of these texts.", also="message commit_message")
PATHS = Field("paths", PATH_KEYS, "paths: services/**",
    "A file was changed whose path one of the patterns matches; as a map, with only:, ignore: and since:.",
    also="path changes changed change_in")
ENV = Field("env", MapOf(VARIABLE, NAMES, 'for example  env: {DEPLOYS_OFF: "*"}', least=1),
    'env: {DEPLOY_ENABLED: "true"}',
    'Environment variables; each must be set, and one of its patterns must match ("*": any value).')
_UNLESS: Final = "name what must not hold under unless:, beside when:"
MATCHERS: Final = Table("condition", "matcher",
    (BRANCH, TAG, MERGED_INTO, PULL_REQUEST, FORK, USER, AUTHOR, MESSAGE_CONTAINS, PATHS, ENV),
    notes=dict.fromkeys(("exclude", "except", "ignore", "unless", "branches-ignore", "tags-ignore"), _UNLESS),
    logic=True, least=1)


def paths_changed(paths: Fields, at: Span) -> PathsChanged:
    """What `paths:` says."""
    since = paths.get(SINCE)
    ref = since.get(REF) if since else None
    base = since.get(FROM_BASE) if since else None
    question = ChangedSince(ref=ref.value) if ref else ChangedSince(Base.MERGE_BASE if base is None else base)
    return PathsChanged(paths.get(ONLY) or (), paths.get(IGNORE) or (), question, at)


#: How a matcher is made of its value and the place of its key.
MAKE: Final[Mapping[str, Callable[[Any, Span], Matcher]]] = {
    "branch": partial(NameIs, "branch"), "tag": partial(NameIs, "tag"), "user": partial(NameIs, "user"),
    "author": partial(NameIs, "author"), "pull_request": partial(FlagIs, "pull_request"),
    "fork": partial(FlagIs, "fork"), "merged_into": MergedInto, "message_contains": MessageContains,
    "paths": paths_changed, "env": EnvIs,
}

# --- deploy

WORKFLOW = Field("workflow", NAME, "workflow: deploy",
    "The workflow that must start; it also tells an earlier deploy of the same commit.")
TO = Field("to", NAME, "to: deployer", "The target that the deploy is sent to; without it, this project.",
    also="target project")
JOB = Field("job", t.TEXT, "job: deploy_docker", "The one job to run, through API v1.1; it ends on 1 February 2027.",
    also="jobs")
PARAMETERS = Field("parameters", MapOf(t.MAYBE_EMPTY, t.VALUE, "for example  parameters: {deploy: true}"),
    'parameters: {deploy: true, sha: "${CIRCLE_SHA1}"}',
    "Pipeline parameters: true, false, an integer, or a string with ${…}.", also="params pipeline_parameters")
DEPLOY_KEYS: Final = Table("deploy", "deploy key", (WORKFLOW, TO, JOB, PARAMETERS),
    notes=dict.fromkeys(("branch", "tag"),
        "a deploy is sent for the branch or tag that is built; for another, use targets:"))

# --- rules

RULE_NAME = Field("name", NAME, "name: production", "What the rule is called in every message.", required=True,
    also="id")
ENVIRONMENT = Field("environment", NAME, "environment: production", "The environment that the rule deploys to.",
    also="env")
WHEN = Field("when", t.one_or_many(MATCHERS), "when: {branch: main}",
    "When the rule fires: a map means all of these, a list of maps any one of these.", required=True,
    also="filters if only on")
UNLESS = Field("unless", t.one_or_many(MATCHERS, is_single=True), "unless: {branch: renovate/**}",
    "What stops the rule: one matcher, or a list of maps of which any one stops it.", also="exclude except")
DURING = Field("during", t.WINDOW_OR_NAME, "during: office-hours",
    "When in the week the rule may fire, a window or its name; else it is held.")
REQUIRES = Field("requires", t.one_or_many(t.TEXT), "requires: [test, build]",
    "Jobs of this workflow that must have succeeded; else the rule is held.", also="needs")
DEPLOY = Field("deploy", DEPLOY_KEYS, "deploy: {workflow: deploy}",
    "What is sent when the rule fires; without it the rule is for `gate` alone.", also="run trigger")
IGNORE_CODES = Field("ignore", t.one_or_many(CODE), "ignore: [P05]",
    "Codes of diagnostics about this rule that `check` does not report.")
RULE: Final = Table("rule", "rule key",
    (RULE_NAME, ENVIRONMENT, WHEN, UNLESS, DURING, REQUIRES, DEPLOY, IGNORE_CODES), logic=True)

# --- never

GUARD_NAME = Field("name", NAME, "name: kill-switch", "What the item is called in messages.")
GUARD_WHEN = Field("when", t.one_or_many(MATCHERS), 'when: {env: {DEPLOYS_OFF: "*"}}',
    "When no rule may fire: a map means all of these, a list of maps any one of these.", required=True,
    also="filters if only")
REASON = Field("reason", t.TEXT, "reason: deploys are switched off", "Why, for whoever reads the build's output.",
    also="message because")
GUARD: Final = Table("item", "key", (GUARD_NAME, GUARD_WHEN, REASON), logic=True)

# --- targets

PROJECT = Field("project", t.PROJECT_SLUG, "project: gh/acme/deployer",
    "The project's slug: gh/ORG/REPO, bb/ORG/REPO or circleci/ORG-ID/PROJECT-ID.", required=True, also="slug")
DEFINITION = Field("definition", UUID, "definition: 2338d0ae-5541-4bbf-88a2-55e9f7281f80",
    "Which pipeline definition of that project to run.", also="definition_id")
TARGET_BRANCH = Field("branch", t.ref_name("branch"), "branch: main", "The branch of that project to run.",
    also="ref branches")
TARGET_TAG = Field("tag", t.ref_name("tag"), "tag: v1.4.0", "The tag of that project to run.")
API = Field("api", API_VERSION, "api: v2",
    "Which interface carries the trigger: v2 (default), v2-pipeline for a CircleCI Server older than 4.8, or v3.")
TARGET: Final = Table("target", "target key", (PROJECT, DEFINITION, TARGET_BRANCH, TARGET_TAG, API))

# --- facts that stand for a build

GIVEN_BRANCH = Field("branch", t.MAYBE_EMPTY, "branch: main", "The branch that is built.")
GIVEN_TAG = Field("tag", t.MAYBE_EMPTY, "tag: v1.4.0", "The tag that is built.")
GIVEN_SHA = Field("sha", SHA, "sha: 0123456789abcdef0123456789abcdef01234567", "The revision that is built.",
    also="revision commit")
CHANGED = Field("changed", ListOf(t.TEXT), "changed: [services/api/app.py]", "The files that were changed.",
    also="paths changes files")
GIVEN_MERGED = Field("merged_into", ListOf(t.TEXT), "merged_into: [main]", "The branches that hold the commit.")
GIVEN_PR = Field("pull_request", t.NUMBER_OR_FALSE, "pull_request: 42", "The pull request's number, or false.",
    also="pr")
GIVEN_FORK = Field("fork", t.FLAG, "fork: false", "Whether the build comes from a fork.")
GIVEN_USER = Field("user", t.MAYBE_EMPTY, "user: anna", "The user who started the build.")
GIVEN_AUTHOR = Field("author", t.MAYBE_EMPTY, "author: anna@acme.dev", "The author's e-mail address.")
MESSAGE = Field("message", t.MAYBE_EMPTY, 'message: "Add login"', "The commit message.",
    also="message_contains commit_message")
GIVEN_ENV = Field("env", MapOf(VARIABLE, t.MAYBE_EMPTY, 'for example  env: {DEPLOYS_OFF: "1"}'),
    'env: {DEPLOYS_OFF: "1"}', "Environment variables.")
JOBS = Field("jobs", MapOf(t.TEXT, t.TEXT, "for example  jobs: {test: success}"), "jobs: {test: success}",
    "The status of each job of this workflow.", also="requires")
NOW = Field("now", t.NOW, "now: 2026-06-16 10:00", "The time.", also="time")
FACTS: Final = Table("build", "fact",
    (GIVEN_BRANCH, GIVEN_TAG, GIVEN_SHA, CHANGED, GIVEN_MERGED, GIVEN_PR, GIVEN_FORK, GIVEN_USER, GIVEN_AUTHOR,
     MESSAGE, GIVEN_ENV, JOBS, NOW), null_is_unset=True)

# --- cases

CASE_NAME = Field("name", t.TEXT, "name: a tag deploys", "What the case shows, in words.", required=True)
CASE_GIVEN = Field("given", FACTS, "given: {branch: main}", "The facts.", required=True)
FIRE = Field("fire", ListOf(NAME), "fire: [production]", "Exactly the rules that must fire.", also="fires")
HELD = Field("held", ListOf(NAME), "held: [production]", "Exactly the rules that must be held.")
EXPECTED_PARAMETERS = Field("parameters",
    MapOf(NAME, MapOf(t.TEXT, t.VALUE, "for example  {version: 1.4.0}"), "for example  {production: {deploy: true}}"),
    "parameters: {production: {deploy: true}}", "Some of the parameters that a rule must send, as they are sent.")
EXPECT_KEYS: Final = Table("expectation", "key", (FIRE, HELD, EXPECTED_PARAMETERS))
EXPECT = Field("expect", EXPECT_KEYS, "expect: {fire: [production]}", "What must come of it.", required=True)
CASE: Final = Table("case", "case key", (CASE_NAME, CASE_GIVEN, EXPECT))

# --- freezes

FREEZE_NAME = Field("name", NAME, "name: year-end", "What the freeze is called in messages.", required=True)
FROM = Field("from", t.MOMENT, "from: 2026-12-18 18:00", "When it begins.", required=True, also="start begin since")
UNTIL = Field("until", t.MOMENT, "until: 2027-01-04 09:00", "When it ends.", required=True, also="end to")
ENVIRONMENTS = Field("environments", t.one_or_many(NAME), "environments: [production]",
    "The environments that are frozen (default: all).", also="environment only")
EXCEPT = Field("except", t.one_or_many(NAME), "except: [hotfix]", "Rules that may still deploy.",
    also="ignore unless rules exclude")
FREEZE: Final = Table("freeze", "freeze key", (FREEZE_NAME, FROM, UNTIL, ENVIRONMENTS, EXCEPT, REASON))

# --- the file

VERSION = Field("version", t.choice({"1": 1}, "version", [1, "1"]), "version: 1",
    "The version of the rule language; always 1.", required=True)
TIMEZONE = Field("timezone", t.ZONE, "timezone: Europe/Berlin",
    "The time zone of every time that names none; UTC by default.", also="tz")
DEFAULT_BRANCH = Field("default_branch", t.ref_name("branch"), "default_branch: main",
    "The repository's default branch; without the key, the one that origin/HEAD of the clone names.")
TARGETS = Field("targets", MapOf(NAME, TARGET, "each key is a name, each value a map with project:"),
    "targets: {deployer: {project: gh/acme/deployer, branch: main}}",
    "Other projects that a deploy can be sent to, by the names that rules use.", also="target")
WINDOWS = Field("windows",
    MapOf(NAME, t.one_or_many(t.WINDOW), "for example  windows: {office-hours: Mon-Thu 09:00-17:00}"),
    "windows: {office-hours: Mon-Thu 09:00-17:00}", "Weekly windows of time, by the names that rules use.")
FREEZES = Field("freezes", ListOf(FREEZE, _ITEM, "each freeze", limit=MAX_ITEMS),
    "freezes: [{name: year-end, from: 2026-12-18 18:00, until: 2027-01-04 09:00}]",
    "Intervals of time in which rules are held.", also="freeze")
NEVER = Field("never", ListOf(GUARD, _ITEM, "each item of never", limit=MAX_ITEMS),
    'never: [{name: kill-switch, when: {env: {DEPLOYS_OFF: "*"}}}]', "While any one of these holds, no rule fires.",
    also="guards")
RULES = Field("rules", ListOf(RULE, _ITEM, "each rule", least=1, limit=MAX_ITEMS),
    "rules: [{name: production, when: {branch: main}, deploy: {workflow: deploy}}]",
    "The rules; each is judged on its own, and every one that holds fires.", required=True, also="rule deploys")
IGNORE_EVERYWHERE = Field("ignore", t.one_or_many(CODE), "ignore: [W401]",
    "Codes of diagnostics that `check` does not report for this file.")
CASES = Field("cases", ListOf(CASE, _ITEM, "each case", limit=MAX_ITEMS),
    "cases: [{name: main deploys, given: {branch: main}, expect: {fire: [production]}}]",
    "Examples with the outcome they must have; `deploystep test` tries them.", also="tests")
FILE: Final = Table("file", "key",
    (VERSION, TIMEZONE, DEFAULT_BRANCH, API, TARGETS, WINDOWS, FREEZES, NEVER, IGNORE_EVERYWHERE, RULES, CASES),
    notes=dict.fromkeys(("jobs", "workflows", "orbs", "executors", "commands"),
        "this is a key of .circleci/config.yml; the rule file holds rules only"))
# fmt: on
