"""What a good file means, and the limits of any file. Mistakes have their golden files."""

from typing import Any

import pytest
from unit.rulefile.conftest import placed, said

from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.errors import RuleFileInvalid
from deploystep.core.facts import Base, ChangedSince
from deploystep.core.parameters import Template
from deploystep.core.rules import ApiVersion, EnvIs, FlagIs, NameIs, PathsChanged, RuleSet
from deploystep.core.source import Pos, SourceFile, Span
from deploystep.rulefile.load import examine, load

DEPLOY = "    deploy: {workflow: d, parameters: {x: true}}\n"
FULL = """\
version: 1
timezone: Europe/Berlin
default_branch: trunk
api: v2-pipeline
targets:
  deployer:
    project: github/acme/deployer
    definition: 2338D0AE-5541-4bbf-88a2-55e9f7281f80
    tag: v1
    api: v2
never:
  - when: {env: {DEPLOYS_OFF: "*"}}
    reason: off
freezes: [{name: z, from: 2026-01-01 10:00, until: 2026-01-02 10:00 UTC}]
rules:
  - name: production
    environment: live
    during: Mon 09:00-10:00
    when:
      - user: [anna, "*-bot"]
        branch: &refs ["main", release/*]
        pull_request: false
        env: {A: x, B: [y, z]}
      - tag: *refs
        fork: true
    unless:
      branch: 'ma*n'
    deploy: {to: deployer}
"""


def loaded(text: str) -> RuleSet:
    return load(SourceFile("deploy.yml", text))


def with_rule(lines: str) -> str:
    return f"version: 1\nrules:\n  - name: a\n{lines}"


def test_a_file_says_what_it_says() -> None:
    rules = loaded(FULL)
    assert (rules.timezone, rules.default_branch, rules.api) == ("Europe/Berlin", "trunk", ApiVersion.V2_PIPELINE)
    target, guard, rule = rules.targets["deployer"], rules.never[0], rules.rules[0]
    assert (target.project, target.ref) == (ProjectSlug("gh", "acme", "deployer"), Tag("v1"))
    assert (target.definition, target.api) == ("2338d0ae-5541-4bbf-88a2-55e9f7281f80", ApiVersion.V2_RUN)
    assert loaded(FULL.replace("tag: v1", "branch: main")).targets["deployer"].ref == Branch("main")
    assert (guard.name, guard.reason) == (None, "off")
    assert rule.environment is not None
    assert (rule.name.value, rule.environment.value, rule.deploy.to) == ("production", "live", target)
    # a time is in its own zone or in the file's
    interval = rules.freezes[0].interval
    assert [moment.hour for moment in (interval.begins, interval.ends)] == [9, 10]
    assert rule.during is not None
    assert [str(window.zone) for window in rule.during.value] == ["Europe/Berlin"]


def test_matchers_stand_in_the_order_and_at_the_place_where_they_are_written() -> None:
    found: Any = loaded(FULL).rules[0].when.alternatives
    (user, branch, pull_request, env), (tag, fork) = (alternative.matchers for alternative in found)
    assert [m.span.start for m in found[0].matchers] == [Pos(20, 9), Pos(21, 9), Pos(22, 9), Pos(23, 9)]
    assert {type(m) for m in (user, branch, tag)} == {NameIs}
    assert (user.word, branch.word, tag.word) == ("user", "branch", "tag")
    assert pull_request == FlagIs("pull_request", wanted=False, span=Span(Pos(22, 9), 12))
    assert fork == FlagIs("fork", wanted=True, span=Span(Pos(25, 9), 4))
    assert [p.value.text for p in branch.patterns] == ["main", "release/*"]
    # inside of the quotes; what an alias repeats is shown where it is written
    assert branch.patterns[0].span == tag.patterns[0].span == Span(Pos(21, 25), 4)
    assert isinstance(env, EnvIs)
    assert [(n.value, [p.value.text for p in ps]) for n, ps in env.variables] == [("A", ["x"]), ("B", ["y", "z"])]


def test_what_is_left_out_has_its_default() -> None:
    rules = loaded(with_rule("    when: {branch: main}\n" + DEPLOY) + "  - name: b\n    when: {branch: main}\n")
    assert (rules.timezone, rules.default_branch, rules.api) == ("UTC", None, ApiVersion.V2_RUN)
    assert (dict(rules.targets), rules.never) == ({}, ())
    rule, alone = rules.rules
    assert (rule.environment, rule.unless, rule.deploy.to, rule.deploy.job) == (None, None, None, None)
    assert (rule.during, rule.requires) == (None, ())
    assert (alone.sends, rules.sending) == (None, (rule,)), "it is for gate alone"
    with pytest.raises(LookupError, match="for gate alone"):
        _ = alone.deploy


@pytest.mark.parametrize("text", ["1.10", "on", "No", "0777", "0123456", "12e4567", "2024-01-01", "true", "1_000"])
def test_a_pattern_is_the_text_that_is_written(text: str) -> None:
    (matcher,) = loaded(with_rule(f"    when: {{tag: {text}}}\n{DEPLOY}")).rules[0].when.alternatives[0].matchers
    assert isinstance(matcher, NameIs)
    assert matcher.patterns[0].value.text == text


AMBIGUOUS = (
    "yes no on off Yes NO y n N True FALSE 1.10 1. .5 0777 0o17 08 22:30 12:30:45 190:20:30.15 1e3 12e4567"
    " 12E03 .inf -.Inf .nan 2024-01-01 2024-1-1T10:00:00Z 0x1F 0b11 1_000 +5 0123456 = 1000000000000000000"
)


def sending(value: str, key: str = "x", when: str = "{branch: main}") -> str:
    return with_rule(f"    when: {when}\n    deploy:\n      parameters:\n        {key}: {value}\n")


@pytest.mark.parametrize("text", AMBIGUOUS.split())
def test_a_parameter_that_yaml_versions_read_differently_is_refused(text: str) -> None:
    assert placed(sending(text)) == ["7:12 E502"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("true", True), ("false", False), ("0", 0), ("-5", -5), ("9" * 18, 10**18 - 1)),
        *((text, text) for text in ("1.4.0", "v1", "12e45g7", "main-1", "12:60a", "truely", "1e", ".")),
        *(("'yes'", "yes"), ('"1.10"', "1.10"), ('""', ""), ("'true'", "true"), ("'5'", "5")),
    ],
)
def test_a_parameter_has_the_type_of_its_spelling(text: str, value: object) -> None:
    found = loaded(sending(text)).rules[0].deploy.parameters[0].value.value
    plain = found.text if isinstance(found, Template) else found
    assert (plain, type(plain)) == (value, type(value))


def test_the_error_counts_and_holds_every_problem_in_order() -> None:
    with pytest.raises(RuleFileInvalid) as caught:
        loaded(with_rule("    when: {brnch: main}\n    deploi: {}\n  - name: a\n    when: {user: x}\n" + DEPLOY))
    assert (caught.value.code, caught.value.message) == ("rules-invalid", "4 problems in deploy.yml")
    assert [d.code for d in caught.value.diagnostics] == ["E102", "E102", "E106", "E302"]
    with pytest.raises(RuleFileInvalid, match=r"\A1 problem in deploy\.yml\Z"):
        loaded("")


@pytest.mark.parametrize("word", ["exclude", "except"])
def test_what_other_systems_call_an_exception_is_named_by_where_it_stands(word: str) -> None:
    text = f"    {word}: {{branch: x}}\n    when: {{branch: x, paths: {{only: a, {word}: b}}}}\n{DEPLOY}"
    hints = [line.partition(" — ")[2] for line in said(with_rule(text))]
    assert hints == ["did you mean 'unless'?", "did you mean 'ignore'?"]


@pytest.mark.parametrize(
    ("since", "deploy", "question"),
    [
        ("last-deploy", "workflow: d", ChangedSince(Base.LAST_DEPLOY, workflow="d")),
        ("last-deploy", "workflow: d, to: other", ChangedSince(Base.LAST_DEPLOY)),  # whose commits are not known
        ("last-deploy", "", ChangedSince(Base.LAST_DEPLOY)),
        (
            "last-deploy",
            "workflow: d, parameters: {k: '${deploy.key}'}",
            ChangedSince(Base.LAST_DEPLOY, workflow="d", rule="a"),
        ),
        ("previous-commit", "workflow: d", ChangedSince(Base.PREVIOUS_COMMIT)),
        ("{ref: refs/heads/x}", "workflow: d", ChangedSince(ref="refs/heads/x")),
    ],
)
def test_what_files_are_compared_with(since: str, deploy: str, question: ChangedSince) -> None:
    targets = "targets: {other: {project: gh/a/b, branch: main}}\n"
    when = f"{{branch: main, paths: {{only: a, since: {since}}}}}"
    text = f"version: 1\n{targets}rules: [{{name: a, when: {when}, deploy: {{{deploy}}}}}]\n"
    (_, paths) = loaded(text).rules[0].when.alternatives[0].matchers
    assert isinstance(paths, PathsChanged)
    assert paths.since == question


def branches(count: int) -> str:
    return with_rule(f"    when: {{branch: [{', '.join(f'b{n}' for n in range(count))}]}}\n{DEPLOY}")


def started(job: str, when: str, at: str = "branch: m") -> str:
    target = f"targets: {{d: {{project: gh/a/b, {at}}}}}\n"
    return target + with_rule(f"    when: {when}\n    deploy: {{job: {job}}}\n")


HUNDRED = {f"k{n}": 1 for n in range(100)}
PULL_REQUEST = "{branch: main, env: {CIRCLE_PULL_REQUEST: '*'}}"
OWN = "{branch: main, env: {key: '*', OWN: '*'}}"
STOPPED = with_rule('    when: {branch: "**", paths: a}\n    unless: [{branch: ma*}, {user: x}]\n')
LAST = "{paths: {only: a, since: last-deploy}}"


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        # both sides of each limit
        ("version: 1\n#" + "x" * (1024 * 1024 - 12), "E103"),
        ("version: 1\n#" + "é" * (512 * 1024), "E008"),
        ("version: 1\nrules: [" + "x, " * 2001 + "]", "E114"),
        ("version: 1\nrules: [" + "x, " * 2000 + "]", "E101"),
        (branches(200), ""),
        (branches(200) + "    unless: {user: x}\n", "E115"),
        (with_rule(f"    when: {{branch: m}}\n    deploy: {{parameters: {HUNDRED}}}\n"), ""),
        (sending("v", "k" * 128), ""),
        (sending("v", "k" * 129), "E501"),
        (sending("'" + "$x" * 9000 + "'"), "E503"),
        (sending("9" * 5000), "E502"),
        # what is too long in every build is known before any; `$$` is sent as one character
        (sending("x" * 512), ""),
        (sending("x" * 513), "E510"),
        (sending("'" + "$$" * 512 + "${CIRCLE_SHA1}'"), ""),
        (sending("'" + "$$" * 513 + "${CIRCLE_SHA1}'"), "E510"),
        # a job is sent for a branch: that of its target, or else that of the build
        (started("j", "{tag: v*}"), "E602"),
        (started("j", "[{tag: v*}, {branch: x}]"), "W601"),
        (started("j", "[{tag: v*}, {brnch: x}]"), "E102"),
        (started("j, to: d", "{branch: x}", "tag: v1"), "E602"),
        (started("j, to: d", "{tag: v*}"), "W601"),
        (started("j, to: e", "{tag: v*}"), "E601 W601"),
        # API v1.1 makes an environment variable of it, and this is one
        (started("j, parameters: {DRY_RUN: true}", "{branch: x}"), "W601"),
        *((f"api: {api}\n{branches(1)}", "" if api != "v1.1" else "E104") for api in ("v2", "v2-pipeline", "v1.1")),
        # what one alternative leaves unset fails there, unless it asks for it
        (sending("${CIRCLE_TAG}", when="[{branch: x}, {tag: v*}]"), "E507"),
        (sending("${pr.number}", when="{branch: x, pull_request: false}"), "E507"),
        (sending("${CIRCLE_PULL_REQUEST}", when=PULL_REQUEST), ""),
        (sending("${CIRCLE_TAG}", when="[{branch: x, env: {CIRCLE_TAG: '*'}}, {branch: y}]"), "E507"),
        # in lower case it would be a derived value
        (sending("${key}", when=OWN), "E506"),
        (sending("${OWN}", when=OWN), "W311"),
        # nothing is called unset where a matcher could not be read, or says nothing of refs
        (sending("${CIRCLE_TAG}", when="{user: x}"), "E302"),
        (sending("${CIRCLE_TAG}", when="{tga: v*}"), "E102"),
        (sending("${CIRCLE_TAG}", when="{branch: main, tga: v*}"), "E102"),
        # a reason to stop that asks more than the branch leaves it to the rule
        (STOPPED.replace("}, {user", ", user"), "E304"),
        (STOPPED, ""),
        # a deploy that is wrong is not one that is missing
        (with_rule("    when: {branch: main}\n    deploy:\n"), "E101"),
        # no deploy of a rule for `gate` alone is ever known
        (with_rule(f"    when: {LAST.replace('{', '{branch: x, ', 1)}\n"), "E311"),
        (with_rule(f"    when: {{branch: x}}\n    unless: {LAST}\n"), "E311"),
        # a name that could not be read is there all the same
        (branches(1).replace("rules:", "windows: {w: 9-17}\nrules:") + "    during: w\n", "E402"),
        (started("j, to: d", "{branch: x}").replace("gh/a/b", "x"), "E604 W601"),
        (FULL.replace("github/acme", "github/.."), "E604"),
        (FULL.replace("tag: v1\n", "tag: refs/tags/v1\n"), "E206"),
    ],
)
def test_limits_and_what_is_said_of_them(text: str, codes: str) -> None:
    examined = examine(SourceFile("deploy.yml", text))
    assert sorted({d.code for d in examined.diagnostics}) == codes.split()
    assert (examined.rules is None) is ("E" in codes), "warnings do not keep a file from being used"
