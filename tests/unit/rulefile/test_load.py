"""What a good file means, and the limits of any file."""

from collections.abc import Callable

import pytest

from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.errors import RuleFileInvalid
from deploystep.core.facts import Base, ChangedSince
from deploystep.core.parameters import DERIVED, Template
from deploystep.core.rules import ApiVersion, EnvIs, FlagIs, NameIs, PathsChanged, RuleSet
from deploystep.core.source import Pos, SourceFile, Span
from deploystep.rulefile.load import examine, load

Said = Callable[[str], list[str]]
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
rules:
  - name: production
    environment: live
    when:
      - user: [anna, "*-bot"]
        branch: &refs ["main", release/*]
        pull_request: false
        env: {A: x, B: [y, z]}
      - tag: *refs
        fork: true
    unless:
      branch: 'ma*n'
    deploy:
      to: deployer
      parameters:
        text: v-${CIRCLE_SHA1}
        five: 5
        quoted: "5"
        no: false
"""


def loaded(text: str) -> RuleSet:
    return load(SourceFile("deploy.yml", text))


def with_rule(lines: str) -> str:
    return f"version: 1\nrules:\n  - name: a\n{lines}"


def test_a_file_says_what_it_says() -> None:
    rules = loaded(FULL)
    assert (rules.timezone, rules.default_branch, rules.api) == ("Europe/Berlin", "trunk", ApiVersion.V2_PIPELINE)
    target = rules.targets["deployer"]
    assert (target.project, target.ref, target.api) == (
        ProjectSlug("gh", "acme", "deployer"),
        Tag("v1"),
        ApiVersion.V2_RUN,
    )
    assert target.definition == "2338d0ae-5541-4bbf-88a2-55e9f7281f80"
    guard = rules.never[0]
    assert (guard.name, guard.reason) == (None, "off")
    rule = rules.rules[0]
    assert rule.environment is not None
    assert (rule.name.value, rule.environment.value, rule.deploy.to) == ("production", "live", target)


def test_matchers_stand_in_the_order_and_at_the_place_where_they_are_written() -> None:
    first, second = loaded(FULL).rules[0].when.alternatives
    named = [m.word if isinstance(m, NameIs | FlagIs) else type(m) for m in first.matchers]
    assert named == ["user", "branch", "pull_request", EnvIs]
    assert [m.span.start for m in first.matchers] == [Pos(18, 9), Pos(19, 9), Pos(20, 9), Pos(21, 9)]
    branch, (tag, fork) = first.matchers[1], second.matchers
    assert isinstance(branch, NameIs)
    assert isinstance(tag, NameIs)
    assert isinstance(fork, FlagIs)
    assert (tag.word, fork.word) == ("tag", "fork")
    assert [p.value.text for p in branch.patterns] == ["main", "release/*"]
    # inside of the quotes; what an alias repeats is shown where it is written
    assert branch.patterns[0].span == Span(Pos(19, 25), 4)
    assert tag.patterns[0].span == Span(Pos(19, 25), 4)
    env = first.matchers[3]
    assert isinstance(env, EnvIs)
    assert [(n.value, [p.value.text for p in ps]) for n, ps in env.variables] == [("A", ["x"]), ("B", ["y", "z"])]


def test_what_is_left_out_has_its_default() -> None:
    rules = loaded(with_rule("    when: {branch: main}\n" + DEPLOY))
    assert (rules.timezone, rules.default_branch, rules.api) == ("UTC", None, ApiVersion.V2_RUN)
    assert (dict(rules.targets), rules.never) == ({}, ())
    rule = rules.rules[0]
    assert (rule.environment, rule.unless, rule.deploy.to, rule.deploy.job) == (None, None, None, None)
    assert rule.deploy.workflow is not None
    assert loaded(FULL.replace("tag: v1", "branch: main")).targets["deployer"].ref == Branch("main")


def test_a_time_is_in_its_own_zone_or_in_the_files() -> None:
    text = with_rule("    when: {branch: main}\n    during: Mon 09:00-10:00\n" + DEPLOY).replace(
        "rules:",
        "timezone: Europe/Berlin\nfreezes: [{name: z, from: 2026-01-01 10:00, until: 2026-01-02 10:00 UTC}]\nrules:",
    )
    rules = loaded(text)
    interval, during = rules.freezes[0].interval, rules.rules[0].during
    assert [moment.hour for moment in (interval.begins, interval.ends)] == [9, 10]
    assert during is not None
    assert [str(window.zone) for window in during.value] == ["Europe/Berlin"]


@pytest.mark.parametrize("text", ["1.10", "on", "No", "0777", "0123456", "12e4567", "2024-01-01", "true", "1_000"])
def test_a_pattern_is_the_text_that_is_written(text: str) -> None:
    matcher = loaded(with_rule(f"    when: {{tag: {text}}}\n{DEPLOY}")).rules[0].when.alternatives[0].matchers[0]
    assert isinstance(matcher, NameIs)
    assert matcher.patterns[0].value.text == text


AMBIGUOUS = (
    "yes no on off Yes NO y n N True FALSE 1.10 1. .5 0777 0o17 08 22:30 12:30:45 190:20:30.15 1e3 12e4567"
    " 12E03 .inf -.Inf .nan 2024-01-01 2024-1-1T10:00:00Z 0x1F 0b11 1_000 +5 0123456 ="
)


def sending(value: str) -> str:
    return with_rule(f"    when: {{branch: main}}\n    deploy:\n      parameters:\n        x: {value}\n")


@pytest.mark.parametrize("text", AMBIGUOUS.split())
def test_a_parameter_that_yaml_versions_read_differently_is_refused(text: str, said: Said) -> None:
    what = f'{text} means different things in different YAML versions — quote it: "{text}"'
    assert said(sending(text)) == [f"deploy.yml:7:12: error[E502]: {what}"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("true", True), ("false", False), ("0", 0), ("-5", -5), ("9" * 18, 10**18 - 1)),
        *((text, text) for text in ("1.4.0", "v1", "12e45g7", "main-1", "12:60a", "truely", "1e")),
        *(("'yes'", "yes"), ('"1.10"', "1.10"), ('""', "")),
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
    assert list(caught.value.diagnostics) == sorted(caught.value.diagnostics, key=lambda d: d.span)
    with pytest.raises(RuleFileInvalid, match=r"\A1 problem in deploy\.yml\Z"):
        loaded("")


def test_warnings_do_not_keep_a_file_from_being_loaded() -> None:
    text = with_rule("    when: {branch: main}\n    deploy: {job: x}\n")
    examined = examine(SourceFile("deploy.yml", text))
    assert [d.code for d in examined.diagnostics] == ["W601"]
    assert examined.rules == loaded(text)


KEYED = "parameters: {k: '${deploy.key}'}"


@pytest.mark.parametrize(
    ("since", "deploy", "question"),
    [
        ("last-deploy", "workflow: d", ChangedSince(Base.LAST_DEPLOY, workflow="d")),
        ("last-deploy", "workflow: d, to: other", ChangedSince(Base.LAST_DEPLOY)),  # whose commits are not known
        ("last-deploy", "", ChangedSince(Base.LAST_DEPLOY)),
        ("last-deploy", f"workflow: d, {KEYED}", ChangedSince(Base.LAST_DEPLOY, workflow="d", rule="a")),
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


def with_key(key: str, value: str = "v") -> str:
    return with_rule(f"    when: {{branch: main}}\n    deploy: {{parameters: {{{key}: {value}}}}}\n")


def with_when(when: str, parameters: str) -> str:
    return with_rule(f"    when: {when}\n    deploy: {{parameters: {{{parameters}}}}}\n")


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("version: 1\n#" + "x" * (1024 * 1024 - 12), ["E103"]),
        ("version: 1\n#" + "é" * (512 * 1024), ["E008"]),
        ("version: 1\nrules: [" + "x, " * 2001 + "]", ["E114"]),
        ("version: 1\nrules: [" + "x, " * 2000 + "]", ["E101"]),
        (branches(200), []),
        (branches(201), ["E115"]),
        (with_key("k" * 128), []),
        (with_key("k" * 129), ["E501"]),
        (with_key("k", "v" * 512), []),
        (
            with_rule(
                "    when: {branch: m}\n    deploy: {parameters: {" + "".join(f"k{n}: 1, " for n in range(101)) + "}}\n"
            ),
            ["E114"],
        ),
        (with_key("k", "'" + "$x" * 9000 + "'"), ["E503"]),
        (with_key("k", "~"), ["E108"]),
        (with_key("k", "-9223372036854775808"), ["E502"]),
        (with_key("k", "9" * 5000), ["E502"]),
        *((f"api: {api}\n{branches(1)}", []) for api in ("v2", "v2-pipeline")),
        *((f"api: {api}\n{branches(1)}", ["E104"]) for api in ("v1.1", "v2.1")),
        # what one alternative leaves unset fails there
        (with_when("[{branch: x, pull_request: false}, {tag: v*}]", "a: '${CIRCLE_TAG}', c: '${pr.number}'"), ["E507"]),
        (with_when("{branch: main, env: {CIRCLE_PULL_REQUEST: '*'}}", "a: '${CIRCLE_PULL_REQUEST}'"), []),
        (with_when("[{branch: x, env: {CIRCLE_TAG: '*'}}, {branch: y}]", "a: '${CIRCLE_TAG}'"), ["E507"]),
        # nothing is called unset where a matcher could not be read, or says nothing of refs
        (with_when("{user: x}", "a: '${CIRCLE_TAG}'"), ["E302"]),
        (with_when("{tga: v*}", "a: '${CIRCLE_TAG}'"), ["E102"]),
        (with_when("{branch: main, tga: v*}", "a: '${CIRCLE_TAG}'"), ["E102"]),
        # a deploy that is wrong is not one that is missing
        (with_rule("    when: {branch: main}\n    deploy: {to: nowhere}\n"), ["E601"]),
        (with_rule("    when: {branch: main}\n    deploy:\n"), ["E101"]),
        # a name that could not be read is there all the same
        (branches(1).replace("rules:", "windows: {w: 9-17}\nrules:") + "    during: w\n", ["E402"]),
        (
            "targets: {d: {project: x, branch: m}}\n" + with_rule("    when: {branch: x}\n    deploy: {to: d}\n"),
            ["E604"],
        ),
    ],
)
def test_limits_and_what_is_said_of_them(text: str, codes: list[str]) -> None:
    assert sorted({d.code for d in examine(SourceFile("deploy.yml", text)).diagnostics}) == codes


KNOWN = f"known: variables in upper case such as CIRCLE_SHA1, and {', '.join(sorted(DERIVED))}"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("CIRCLE_SHA", "did you mean ${CIRCLE_SHA1}?"),
        ("version", "did you mean ${tag.version}?"),
        ("sha.shrt", "did you mean ${sha.short}?"),
        ("MY_KEY", 'to send a variable of the project, add env: {MY_KEY: "*"} to when'),
        ("whatever it is", KNOWN),
        ("key", KNOWN),  # env: names it, but in lower case it would be a derived value
    ],
)
def test_an_unknown_value_comes_with_a_cure(name: str, hint: str, said: Said) -> None:
    (message,) = said(with_when("{branch: main, env: {key: '*', OWN: '*'}}", f"x: '${{{name}}}', y: '${{OWN}}'"))
    assert message.endswith(f"error[E506]: unknown value ${{{name}}} — {hint}")


ONE_VALUE = "must be a single value, found a"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trunk", "a b", "3:17: error[E207]: no branch can be called 'a b' — write its bare name"),
        ("trunk", "[a]", f"3:17: error[E101]: default_branch {ONE_VALUE} list"),
        ("v2-pipeline", "{}", f"4:6: error[E101]: api {ONE_VALUE} map"),
        ("    reason: off", "    reason: ''", "13:13: error[E108]: '' is no value — write one, or leave it out"),
        ("name: production", "name: [a]", f"15:11: error[E101]: name {ONE_VALUE} list"),
        (
            "environment: live",
            "env: live",
            "16:5: error[E102]: unknown rule key 'env' — known: name, environment, when,",
        ),
        ("pull_request: false", "pull_request: []", f"20:23: error[E101]: pull_request {ONE_VALUE} list"),
        ("text: v-${CIRCLE_SHA1}", "text:", "29:9: error[E108]: 'text' has no value — write one, or leave it out"),
        ("five: 5", 'five: "\\ud800"', "30:15: error[E007]: half a character cannot be written here — write"),
        ("tag: v1\n", "tag: refs/tags/v1\n", "9:10: error[E206]: write the bare name, not 'refs/tags/v1' — v1"),
        ("env: {A: x, B: [y, z]}", "env: {[A]: x}", "21:15: error[E101]: a key must be a text"),
        ("github/acme", "github/ac me", "7:14: error[E604]: 'github/ac me/deployer' is not the slug of a project"),
        ("github/acme", "github/..", "7:14: error[E604]: 'github/../deployer' is not the slug of a project"),
    ],
)
def test_one_change_one_message(old: str, new: str, message: str, said: Said) -> None:
    (found,) = said(FULL.replace(old, new))
    assert found.startswith(f"deploy.yml:{message}")


def test_a_rule_without_a_deploy_is_for_gate_alone() -> None:
    rules = loaded(with_rule("    when: {branch: main}\n") + "  - name: b\n    when: {branch: main}\n" + DEPLOY)
    alone, other = rules.rules
    assert (alone.sends, rules.sending) == (None, (other,))
    with pytest.raises(LookupError, match="for gate alone"):
        _ = alone.deploy
