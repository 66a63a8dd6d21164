"""Every key of the rule language, in tables of which the loader, the JSON Schema and the reference pages are made."""

from typing import Final

from deploystep.core.codes import IGNORABLE
from deploystep.core.facts import Base
from deploystep.core.parameters import MAX_PARAMETERS, SECRET_VARIABLES
from deploystep.core.patterns import Kind
from deploystep.core.rules import ApiVersion
from deploystep.rulefile import field_types as t
from deploystep.rulefile.field_types import ListOf, MapOf, Table, field, one_or_many

MAX_ITEMS: Final = 2_000
# fmt: off
NAME: Final = t.checked(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "E107", "not a name",
    "up to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit")
VARIABLE: Final = t.checked(rf"(?!(?:{'|'.join(sorted(SECRET_VARIABLES))})$)[A-Za-z_][A-Za-z0-9_]*", "E107",
    "not the name of a variable that a rule may read", "letters, digits and '_', not beginning with a digit; no token")
KEY: Final = t.checked(r"(?!CIRCLE_JOB$)[A-Za-z][A-Za-z0-9_-]{0,127}", "E501", "not the name of a parameter",
    "up to 128 letters, digits, '_' and '-', beginning with a letter, and not CIRCLE_JOB")
SHA: Final = t.checked(r"[0-9A-Fa-f]{40}(?:[0-9A-Fa-f]{24})?", "E104", "not a full revision", "40 hexadecimal digits")
UUID: Final = t.checked(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", "E603",
    "not the id of a pipeline definition", "copy it from Project Settings, Pipelines")
CODES: Final = one_or_many(t.checked("|".join(sorted(IGNORABLE)), "E116", "not a code that can be ignored",
    "codes P… and W… can be: deploystep check --explain CODE tells what one means"))
NUMBER: Final = t.checked("false|[1-9][0-9]{0,17}", "E104", "not a number or false", "write that of the pull request")
PATHS: Final = one_or_many(t.pattern(Kind.PATH, "path", "path-pattern"))
BRANCHES: Final = one_or_many(t.pattern(Kind.REF, "branch", "ref-pattern"))
TAGS: Final = one_or_many(t.pattern(Kind.REF, "tag", "ref-pattern"))
NAMES: Final = one_or_many(t.pattern(Kind.NAME, "text", "text-pattern"))
TEXTS: Final = one_or_many(t.TEXT)
BRANCH: Final = t.ref_name("branch")
_ONLY: Final = field("only: services/**", PATHS, "The files that count (default: every file).")
COMPARED: Final = Table("comparison", "key", (
    field("ref: deployed/staging", t.ref_name("ref", may_be_full=True), "A branch, tag or other ref."),
), required=("ref",), short=field("base", t.choice({b.name.lower().replace("_", "-"): b for b in Base}, "base"), ""))
PATH_KEYS: Final = Table("paths", "key", (
    _ONLY,
    field('ignore: "**/*.md"', PATHS, "The files that do not count, even where only: matches."),
    field("since: previous-commit", COMPARED,
        "Compare with merge-base (default), previous-commit, {ref: NAME} or last-deploy (the last that succeeded)."),
), least=1, short=_ONLY)
MATCHERS: Final = Table("condition", "matcher", (
    field("branch: main", BRANCHES, "The branch that is built; one of the patterns must match its whole name."),
    field("tag: v*", TAGS, "The tag that is built; one of the patterns must match its whole name."),
    field("merged_into: main", one_or_many(BRANCH), "The commit has been merged into one of these branches."),
    field("pull_request: true", t.FLAG, "The build has a pull request (true), or has none (false)."),
    field("fork: false", t.FLAG, "The build is of a fork, or not; a rule without `fork: true` never fires for one."),
    field("user: [anna, bjorn]", NAMES, "Who started the build; bots and schedules have no user."),
    field('author: "*@acme.dev"', NAMES, "The author's e-mail address in the commit; anyone can set it to anything."),
    field('message_contains: "[skip deploy]"', TEXTS, "The commit message contains one of these texts."),
    field("paths: services/**", PATH_KEYS,
        "A file was changed whose path one of the patterns matches; as a map, with only:, ignore: and since:."),
    field('env: {DEPLOY_ENABLED: "true"}', MapOf(VARIABLE, NAMES, least=1),
        'Environment variables; each must be set, and one of its patterns must match ("*": any value).'),
), logic=True, least=1)
DEPLOY_KEYS: Final = Table("deploy", "deploy key", (
    field("workflow: deploy", NAME, "The workflow that must start; it also tells an earlier deploy of the commit."),
    field("to: deployer", NAME, "The target that the deploy is sent to; without it, this project."),
    field("job: deploy_docker", t.TEXT, "The one job to run, through API v1.1; it ends on 1 February 2027."),
    field('parameters: {deploy: true, sha: "${CIRCLE_SHA1}"}', MapOf(KEY, t.VALUE, most=MAX_PARAMETERS),
        "Pipeline parameters: true, false, an integer, or a string with ${…}."),
))
RULE: Final = Table("rule", "rule key", (
    field("name: production", NAME, "What the rule is called in every message."),
    field("environment: production", NAME, "The environment that the rule deploys to."),
    field("when: {branch: main}", one_or_many(MATCHERS),
        "When the rule fires: a map means all of these, a list of maps any one of these."),
    field("unless: {branch: renovate/**}", one_or_many(MATCHERS, is_single=True),
        "What stops the rule: one matcher, or a list of maps of which any one stops it."),
    field("during: office-hours", t.DURING, "A window or its name: when the rule may fire; else it is held."),
    field("requires: [test, build]", TEXTS, "Jobs of this workflow that must have succeeded; else the rule is held."),
    field("deploy: {workflow: deploy}", DEPLOY_KEYS, "What is sent; without it the rule is for `gate` alone."),
    field("ignore: [P05]", CODES, "Codes of diagnostics about this rule that `check` does not report."),
), required=("name", "when"), logic=True)
_REASON: Final = field("reason: deploys are switched off", t.TEXT, "Why, for whoever reads the build's output.")
GUARD: Final = Table("item", "key", (
    field("name: kill-switch", NAME, "What the item is called in messages."),
    field('when: {env: {DEPLOYS_OFF: "*"}}', one_or_many(MATCHERS),
        "When no rule may fire: a map means all of these, a list of maps any one of these."),
    _REASON,
), required=("when",), logic=True)
_API: Final = field("api: v2", t.choice({v.value: v for v in ApiVersion if v is not ApiVersion.V1_1}, "api"),
    "Which interface carries the trigger: v2 (default), v2-pipeline for a CircleCI Server older than 4.8, or v3.")
TARGET: Final = Table("target", "target key", (
    field("project: gh/acme/deployer", t.PROJECT_SLUG, "gh/ORG/REPO, bb/ORG/REPO or circleci/ORG-ID/PROJECT-ID."),
    field("definition: 2338d0ae-5541-4bbf-88a2-55e9f7281f80", UUID, "Its pipeline definition to run."),
    field("branch: main", BRANCH, "The branch of that project to run."),
    field("tag: v1.4.0", t.ref_name("tag"), "The tag of that project to run."),
    _API,
), required=("project",))
FREEZE: Final = Table("freeze", "freeze key", (
    field("name: year-end", NAME, "What the freeze is called in messages."),
    field("from: 2026-12-18 18:00", t.MOMENT, "When it begins."),
    field("until: 2027-01-04 09:00", t.MOMENT, "When it ends."),
    field("environments: [production]", one_or_many(NAME), "The environments that are frozen (default: all)."),
    field("except: [hotfix]", one_or_many(NAME), "Rules that may still deploy."),
    _REASON,
), required=("name", "from", "until"))
FACTS: Final = Table("build", "fact", (
    field("branch: main", t.MAYBE_EMPTY, "The branch that is built."),
    field("tag: v1.4.0", t.MAYBE_EMPTY, "The tag that is built."),
    field("sha: 0123456789abcdef0123456789abcdef01234567", SHA, "The revision that is built."),
    field("changed: [services/api/app.py]", ListOf(t.TEXT), "The files that were changed."),
    field("merged_into: [main]", ListOf(t.TEXT), "The branches that hold the commit."),
    field("pull_request: 42", NUMBER, "The pull request's number, or false."),
    field("fork: false", t.FLAG, "Whether the build comes from a fork."),
    field("user: anna", t.MAYBE_EMPTY, "The user who started the build."),
    field("author: anna@acme.dev", t.MAYBE_EMPTY, "The author's e-mail address."),
    field('message: "Add login"', t.MAYBE_EMPTY, "The commit message."),
    field('env: {DEPLOYS_OFF: "1"}', MapOf(VARIABLE, t.MAYBE_EMPTY), "Environment variables."),
    field("jobs: {test: success}", MapOf(t.TEXT, t.TEXT), "The status of each job of this workflow."),
    field("now: 2026-06-16 10:00", t.NOW, "The time."),
))
EXPECT_KEYS: Final = Table("expectation", "key", (
    field("fire: [production]", ListOf(NAME), "Exactly the rules that must fire."),
    field("held: [production]", ListOf(NAME), "Exactly the rules that must be held."),
    field("parameters: {production: {deploy: true}}", MapOf(NAME, MapOf(t.TEXT, t.EXPECTED)),
        "Some of what a rule must send, as it is sent."),
))
CASE: Final = Table("case", "case key", (
    field("name: a tag deploys", t.TEXT, "What the case shows, in words."),
    field("given: {branch: main}", FACTS, "The facts."),
    field("expect: {fire: [production]}", EXPECT_KEYS, "What must come of it."),
), required=("name", "given", "expect"))
FILE: Final = Table("file", "key", (
    field("version: 1", t.choice({"1": 1}, "version", 1), "The version of the rule language; always 1."),
    field("timezone: Europe/Berlin", t.ZONE, "The time zone of every time that names none; UTC by default."),
    field("default_branch: main", BRANCH,
        "The repository's default branch; without the key, the one that origin/HEAD of the clone names."),
    _API,
    field("targets: {deployer: {project: gh/acme/deployer, branch: main}}", MapOf(NAME, TARGET),
        "Other projects that a deploy can be sent to, by the names that rules use."),
    field("windows: {office-hours: Mon-Thu 09:00-17:00}", MapOf(NAME, one_or_many(t.WINDOW)),
        "Weekly windows, by the names that rules use."),
    field("freezes: [{name: year-end, from: 2026-12-18 18:00, until: 2027-01-04 09:00}]",
        ListOf(FREEZE, most=MAX_ITEMS), "Times in which rules are held."),
    field('never: [{name: kill-switch, when: {env: {DEPLOYS_OFF: "*"}}}]', ListOf(GUARD, most=MAX_ITEMS),
        "While any one of these holds, no rule fires."),
    field("ignore: [W401]", CODES, "Codes of diagnostics that `check` does not report for this file."),
    field("rules: [{name: production, when: {branch: main}, deploy: {workflow: deploy}}]",
        ListOf(RULE, least=1, most=MAX_ITEMS), "The rules; each is judged on its own, and every one that holds fires."),
    field("cases: [{name: main deploys, given: {branch: main}, expect: {fire: [production]}}]",
        ListOf(CASE, most=MAX_ITEMS), "Examples with the outcome they must have; `deploystep test` tries them."),
), required=("version", "rules"))
# fmt: on
