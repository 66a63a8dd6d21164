"""Every key of the rule language: how it is read, whether it is required, what it means, an example.

The loader, the JSON Schema and the reference pages are made from these tables.
"""

from types import MappingProxyType
from typing import Final

from deploystep.core.patterns import Kind
from deploystep.rulefile.shapes import (
    AnyOf,
    AnyText,
    Checked,
    Choice,
    Field,
    Flag,
    ListOf,
    MapOf,
    NumberOrFalse,
    OneOrMany,
    PathsShape,
    PatternShape,
    SinceShape,
    Table,
    ValueShape,
)

MAX_RULES: Final = 2_000
MAX_PATTERNS: Final = 200
MAX_CASES: Final = 2_000

TEXT: Final = AnyText()
NAME: Final = Checked(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
    "E107",
    "not a name",
    "up to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit",
)
VARIABLE: Final = Checked(
    r"[A-Za-z_][A-Za-z0-9_]*",
    "E107",
    "not the name of a variable",
    "letters, digits and '_', not beginning with a digit",
)
UUID: Final = Checked(
    r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "E603",
    "not the id of a pipeline definition",
    "copy it from Project Settings, Pipelines; for example 2338d0ae-5541-4bbf-88a2-55e9f7281f80",
)
API_CHOICE: Final = Choice(("v2", "v2-pipeline", "v3"), "api")
REFS: Final = OneOrMany(PatternShape(Kind.REF))
NAMES: Final = OneOrMany(PatternShape(Kind.NAME))
PATHS_SHAPE: Final = OneOrMany(PatternShape(Kind.PATH))

# --- matchers

BRANCH: Final = Field(
    "branch", REFS, "The branch that is built; one of the patterns must match its whole name.", "branch: main"
)
TAG: Final = Field("tag", REFS, "The tag that is built; one of the patterns must match its whole name.", "tag: v*")
MERGED_INTO: Final = Field(
    "merged_into",
    OneOrMany(TEXT),
    "The commit that is built has been merged into one of these branches.",
    "merged_into: main",
)
PULL_REQUEST: Final = Field(
    "pull_request", Flag(), "The build has a pull request (true), or has none (false).", "pull_request: true"
)
FORK: Final = Field(
    "fork",
    Flag(),
    "The build comes from a fork (true), or does not (false); without it a rule never fires for a fork.",
    "fork: false",
)
USER: Final = Field(
    "user", NAMES, "The user who started the build; one of the patterns must match.", 'user: [anna, "*-bot"]'
)
AUTHOR: Final = Field(
    "author",
    NAMES,
    "The author's e-mail address in the commit; anyone can set it to anything.",
    'author: "*@acme.dev"',
)
MESSAGE_CONTAINS: Final = Field(
    "message_contains",
    OneOrMany(TEXT),
    "The commit message holds one of these texts.",
    'message_contains: "[skip deploy]"',
)
ONLY: Final = Field(
    "only", PATHS_SHAPE, "The files that count: one of the patterns matches (default: every file).", "only: services/**"
)
IGNORE: Final = Field(
    "ignore", PATHS_SHAPE, "The files that do not count, even where only: matches.", 'ignore: "**/*.md"'
)
SINCE: Final = Field(
    "since",
    SinceShape(),
    "What to compare with: merge-base (default), previous-commit, {ref: NAME}, or last-deploy (the commit of the last"
    " run of the rule's workflow that succeeded).",
    "since: previous-commit",
)
PATH_KEYS: Final = Table(
    "comparison",
    "key",
    (ONLY, IGNORE, SINCE),
    meant=MappingProxyType(
        {
            **dict.fromkeys(("include", "paths", "path"), "only"),
            **dict.fromkeys(("exclude", "except", "unless"), "ignore"),
        }
    ),
)
PATHS: Final = Field(
    "paths",
    PathsShape(PATHS_SHAPE, PATH_KEYS),
    "A file was changed whose path one of the patterns matches; as a map, with only:, ignore: and since:.",
    "paths: services/**",
)
ENV: Final = Field(
    "env",
    MapOf(VARIABLE, NAMES, 'for example  env: {DEPLOYS_OFF: "*"}', least=1),
    'Environment variables; each must be set, and one of its patterns must match ("*": any value).',
    'env: {DEPLOY_ENABLED: "true"}',
)

_UNLESS: Final = "name what must not hold under unless:, beside when:"
MATCHERS: Final = Table(
    "condition",
    "matcher",
    (BRANCH, TAG, MERGED_INTO, PULL_REQUEST, FORK, USER, AUTHOR, MESSAGE_CONTAINS, PATHS, ENV),
    meant=MappingProxyType(
        {
            "branches": "branch",
            "tags": "tag",
            "path": "paths",
            "changes": "paths",
            "changed": "paths",
            "change_in": "paths",
            "pr": "pull_request",
            "message": "message_contains",
            "commit_message": "message_contains",
        }
    ),
    notes=MappingProxyType(
        {
            **dict.fromkeys(("exclude", "except", "ignore", "unless", "branches-ignore", "tags-ignore"), _UNLESS),
            **dict.fromkeys(("only", "filters", "if"), "write the matchers here, for example  branch: main"),
            **dict.fromkeys(("needs", "requires", "during"), "this stands in the rule, beside when:"),
        }
    ),
    logic=True,
)

# --- deploy

TO: Final = Field("to", NAME, "The target that the deploy is sent to; without it, this project.", "to: deployer")
JOB: Final = Field(
    "job", TEXT, "The one job to run, through API v1.1; it ends on 1 February 2027.", "job: deploy_docker"
)
WORKFLOW: Final = Field(
    "workflow",
    NAME,
    "The workflow that must start; it also tells an earlier deploy of the same commit.",
    "workflow: deploy",
)
PARAMETERS: Final = Field(
    "parameters",
    MapOf(AnyText(may_be_empty=True), ValueShape(), "for example  parameters: {deploy: true}"),
    "Pipeline parameters: true, false, a whole number, or a text with ${…}.",
    'parameters: {deploy: true, sha: "${CIRCLE_SHA1}"}',
)
DEPLOY_KEYS: Final = Table(
    "deploy",
    "deploy key",
    (WORKFLOW, TO, JOB, PARAMETERS),
    meant=MappingProxyType(
        {"params": "parameters", "pipeline_parameters": "parameters", "target": "to", "project": "to", "jobs": "job"}
    ),
    notes=MappingProxyType(
        {
            **dict.fromkeys(
                ("branch", "tag"), "a deploy is sent for the branch or tag that is built; for another, use targets:"
            ),
            "environment": "environment: stands in the rule; to send it, write it under parameters:",
        }
    ),
)

# --- rules

RULE_NAME: Final = Field("name", NAME, "What the rule is called in every message.", "name: production", required=True)
ENVIRONMENT: Final = Field("environment", NAME, "The environment that the rule deploys to.", "environment: production")
WHEN: Final = Field(
    "when",
    AnyOf(MATCHERS),
    "When the rule fires: a map means all of these, a list of maps any one of these.",
    "when: {branch: main}",
    required=True,
)
UNLESS: Final = Field(
    "unless",
    AnyOf(MATCHERS, single=True),
    "What stops the rule: one matcher, or a list of maps of which any one stops it.",
    "unless: {user: dependabot*}",
)
DURING: Final = Field(
    "during", TEXT, "When in the week the rule may fire, a window or its name; else it is held.", "during: office-hours"
)
REQUIRES: Final = Field(
    "requires",
    OneOrMany(TEXT),
    "Jobs of this workflow that must have succeeded; else the rule is held.",
    "requires: [test, build]",
)
DEPLOY: Final = Field(
    "deploy", DEPLOY_KEYS, "What is sent when the rule fires.", "deploy: {workflow: deploy}", required=True
)
RULE: Final = Table(
    "rule",
    "rule key",
    (RULE_NAME, ENVIRONMENT, WHEN, UNLESS, DURING, REQUIRES, DEPLOY),
    meant=MappingProxyType(
        {
            **dict.fromkeys(("filters", "if", "only", "on"), "when"),
            **dict.fromkeys(("exclude", "except", "ignore"), "unless"),
            "needs": "requires",
            "id": "name",
            "env": "environment",
            "run": "deploy",
            "trigger": "deploy",
        }
    ),
    inside=MappingProxyType(
        {
            **dict.fromkeys((f.key for f in MATCHERS.fields if f.key != "env"), "when"),
            **dict.fromkeys(MATCHERS.meant, "when"),
            **dict.fromkeys(("to", "job", "workflow", "parameters", "params"), "deploy"),
        }
    ),
    logic=True,
)

# --- never

GUARD_NAME: Final = Field("name", NAME, "What the item is called in messages.", "name: kill-switch")
GUARD_WHEN: Final = Field(
    "when",
    AnyOf(MATCHERS),
    "When no rule may fire: a map means all of these, a list of maps any one of these.",
    'when: {env: {DEPLOYS_OFF: "*"}}',
    required=True,
)
REASON: Final = Field("reason", TEXT, "Why, for whoever reads the build's output.", "reason: deploys are switched off")
GUARD: Final = Table(
    "item",
    "key",
    (GUARD_NAME, GUARD_WHEN, REASON),
    meant=MappingProxyType(
        {**dict.fromkeys(("filters", "if", "only"), "when"), "message": "reason", "because": "reason"}
    ),
    inside=MappingProxyType(dict.fromkeys((*(f.key for f in MATCHERS.fields), *MATCHERS.meant), "when")),
    logic=True,
)

# --- targets

PROJECT: Final = Field(
    "project",
    TEXT,
    "The project's slug: gh/ORG/REPO, bb/ORG/REPO or circleci/ORG-ID/PROJECT-ID.",
    "project: gh/acme/deployer",
    required=True,
)
DEFINITION: Final = Field(
    "definition",
    UUID,
    "Which pipeline definition of that project to run.",
    "definition: 2338d0ae-5541-4bbf-88a2-55e9f7281f80",
)
TARGET_BRANCH: Final = Field("branch", TEXT, "The branch of that project to run.", "branch: main")
TARGET_TAG: Final = Field("tag", TEXT, "The tag of that project to run.", "tag: v1.4.0")
API: Final = Field(
    "api",
    API_CHOICE,
    "Which interface carries the trigger: v2 (default), v2-pipeline for a CircleCI Server older than 4.8, or v3.",
    "api: v2",
)
TARGET: Final = Table(
    "target",
    "target key",
    (PROJECT, DEFINITION, TARGET_BRANCH, TARGET_TAG, API),
    meant=MappingProxyType({"slug": "project", "ref": "branch", "definition_id": "definition", "branches": "branch"}),
    notes=MappingProxyType({"parameters": "parameters stand in the rule, under deploy:"}),
)

# --- facts that stand for a build

MAYBE_EMPTY: Final = AnyText(may_be_empty=True)
GIVEN_BRANCH: Final = Field("branch", MAYBE_EMPTY, "The branch that is built.", "branch: main")
GIVEN_TAG: Final = Field("tag", MAYBE_EMPTY, "The tag that is built.", "tag: v1.4.0")
GIVEN_SHA: Final = Field(
    "sha",
    Checked(r"[0-9A-Fa-f]{40}(?:[0-9A-Fa-f]{24})?", "E104", "not a full revision", "40 hexadecimal digits"),
    "The revision that is built.",
    "sha: 0123456789abcdef0123456789abcdef01234567",
)
CHANGED: Final = Field("changed", ListOf(TEXT), "The files that were changed.", "changed: [services/api/app.py]")
GIVEN_MERGED: Final = Field("merged_into", ListOf(TEXT), "The branches that hold the commit.", "merged_into: [main]")
GIVEN_PR: Final = Field("pull_request", NumberOrFalse(), "The pull request's number, or false.", "pull_request: 42")
GIVEN_FORK: Final = Field("fork", Flag(), "Whether the build comes from a fork.", "fork: false")
GIVEN_USER: Final = Field("user", MAYBE_EMPTY, "The user who started the build.", "user: anna")
GIVEN_AUTHOR: Final = Field("author", MAYBE_EMPTY, "The author's e-mail address.", "author: anna@acme.dev")
MESSAGE: Final = Field("message", MAYBE_EMPTY, "The commit message.", 'message: "Add login"')
GIVEN_ENV: Final = Field(
    "env",
    MapOf(VARIABLE, MAYBE_EMPTY, 'for example  env: {DEPLOYS_OFF: "1"}'),
    "Environment variables.",
    'env: {DEPLOYS_OFF: "1"}',
)
JOBS: Final = Field(
    "jobs",
    MapOf(TEXT, TEXT, "for example  jobs: {test: success}"),
    "The status of each job of this workflow.",
    "jobs: {test: success}",
)
NOW: Final = Field("now", TEXT, "The time.", "now: 2026-06-16 10:00")
FACTS: Final = Table(
    "build",
    "fact",
    (
        GIVEN_BRANCH,
        GIVEN_TAG,
        GIVEN_SHA,
        CHANGED,
        GIVEN_MERGED,
        GIVEN_PR,
        GIVEN_FORK,
        GIVEN_USER,
        GIVEN_AUTHOR,
        MESSAGE,
        GIVEN_ENV,
        JOBS,
        NOW,
    ),
    meant=MappingProxyType(
        {
            "paths": "changed",
            "changes": "changed",
            "files": "changed",
            "message_contains": "message",
            "commit_message": "message",
            "pr": "pull_request",
            "time": "now",
            "requires": "jobs",
            "revision": "sha",
            "commit": "sha",
        }
    ),
    null_is_unset=True,
)

# --- cases

CASE_NAME: Final = Field("name", TEXT, "What the case shows, in words.", "name: a tag deploys", required=True)
CASE_GIVEN: Final = Field("given", FACTS, "The facts.", "given: {branch: main}", required=True)
FIRE: Final = Field("fire", ListOf(NAME), "Exactly the rules that must fire.", "fire: [production]")
HELD: Final = Field("held", ListOf(NAME), "Exactly the rules that must be held.", "held: [production]")
EXPECTED_PARAMETERS: Final = Field(
    "parameters",
    MapOf(
        NAME, MapOf(TEXT, ValueShape(), "for example  {version: 1.4.0}"), "for example  {production: {deploy: true}}"
    ),
    "Some of the parameters that a rule must send, as they are sent.",
    "parameters: {production: {deploy: true}}",
)
EXPECT: Final = Field(
    "expect",
    Table("expectation", "key", (FIRE, HELD, EXPECTED_PARAMETERS), meant=MappingProxyType({"fires": "fire"})),
    "What must come of it.",
    "expect: {fire: [production]}",
    required=True,
)
CASE: Final = Table("case", "case key", (CASE_NAME, CASE_GIVEN, EXPECT))

# --- the file

VERSION: Final = Field("version", TEXT, "The version of the rule language; always 1.", "version: 1", required=True)
TIMEZONE: Final = Field(
    "timezone", TEXT, "The time zone of every time that names none; UTC by default.", "timezone: Europe/Berlin"
)
DEFAULT_BRANCH: Final = Field(
    "default_branch", TEXT, "The repository's default branch; main by default.", "default_branch: main"
)
TARGETS: Final = Field(
    "targets",
    MapOf(NAME, TARGET, "each key is a name, each value a map with project:"),
    "Other projects that a deploy can be sent to, by the names that rules use.",
    "targets: {deployer: {project: gh/acme/deployer, branch: main}}",
)
WINDOWS: Final = Field(
    "windows",
    MapOf(NAME, OneOrMany(TEXT), "for example  windows: {office-hours: Mon-Thu 09:00-17:00}"),
    "Weekly windows of time, by the names that rules use.",
    "windows: {office-hours: Mon-Thu 09:00-17:00}",
)
FREEZE_NAME: Final = Field("name", NAME, "What the freeze is called in messages.", "name: year-end", required=True)
FROM: Final = Field("from", TEXT, "When it begins.", "from: 2026-12-18 18:00", required=True)
UNTIL: Final = Field("until", TEXT, "When it is over.", "until: 2027-01-04 09:00", required=True)
ENVIRONMENTS: Final = Field(
    "environments", OneOrMany(NAME), "The environments that are frozen (default: all).", "environments: [production]"
)
EXCEPT: Final = Field("except", OneOrMany(NAME), "Rules that may still deploy.", "except: [hotfix]")
FREEZE: Final = Table(
    "freeze",
    "freeze key",
    (FREEZE_NAME, FROM, UNTIL, ENVIRONMENTS, EXCEPT, REASON),
    meant=MappingProxyType(
        {
            **dict.fromkeys(("start", "begin", "since"), "from"),
            **dict.fromkeys(("end", "to"), "until"),
            **dict.fromkeys(("environment", "only"), "environments"),
            **dict.fromkeys(("ignore", "unless", "rules", "exclude"), "except"),
        }
    ),
)
FREEZES: Final = Field(
    "freezes",
    ListOf(FREEZE, "each item starts with '- name:'", "each freeze", limit=MAX_RULES),
    "Stretches of time in which rules are held.",
    "freezes: [{name: year-end, from: 2026-12-18 18:00, until: 2027-01-04 09:00}]",
)
NEVER: Final = Field(
    "never",
    ListOf(GUARD, "each item starts with '- name:'", "each item of never", limit=MAX_RULES),
    "While any one of these holds, no rule fires.",
    'never: [{name: kill-switch, when: {env: {DEPLOYS_OFF: "*"}}}]',
)
RULES: Final = Field(
    "rules",
    ListOf(RULE, "each item starts with '- name:'", "each rule", least=1, limit=MAX_RULES),
    "The rules; each is judged on its own, and every one that holds fires.",
    "rules: [{name: production, when: {branch: main}, deploy: {workflow: deploy}}]",
    required=True,
)
CASES: Final = Field(
    "cases",
    ListOf(CASE, "each item starts with '- name:'", "each case", limit=MAX_CASES),
    "Examples with the outcome they must have; `deploystep test` tries them.",
    "cases: [{name: main deploys, given: {branch: main}, expect: {fire: [production]}}]",
)
FILE: Final = Table(
    "file",
    "key",
    (VERSION, TIMEZONE, DEFAULT_BRANCH, API, TARGETS, WINDOWS, FREEZES, NEVER, RULES, CASES),
    meant=MappingProxyType(
        {
            "tz": "timezone",
            "rule": "rules",
            "deploys": "rules",
            "target": "targets",
            "tests": "cases",
            "freeze": "freezes",
            "guards": "never",
        }
    ),
    notes=MappingProxyType(
        {
            **dict.fromkeys(
                ("jobs", "workflows", "orbs", "executors", "commands"),
                "this is a key of .circleci/config.yml; the rule file holds rules only",
            ),
            **dict.fromkeys(
                ("when", "unless", "requires", "deploy", "environment", "name"),
                "this stands in a rule, in the list rules:",
            ),
        }
    ),
)
