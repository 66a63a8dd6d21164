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


def test_parameters_have_the_type_that_their_spelling_says() -> None:
    values = {p.key.value: p.value.value for p in loaded(FULL).rules[0].deploy.parameters}
    assert (values["five"], values["no"]) == (5, False)
    assert isinstance(values["quoted"], Template)
    assert isinstance(values["text"], Template)
    assert [r.name for r in values["text"].references] == ["CIRCLE_SHA1"]


def test_what_is_left_out_has_its_default() -> None:
    rules = loaded(with_rule("    when: {branch: main}\n" + DEPLOY))
    assert (rules.timezone, rules.default_branch, rules.api) == ("UTC", None, ApiVersion.V2_RUN)
    assert (dict(rules.targets), rules.never) == ({}, ())
    rule = rules.rules[0]
    assert (rule.environment, rule.unless, rule.deploy.to, rule.deploy.job) == (None, None, None, None)
    assert rule.deploy.workflow is not None


def test_a_target_may_be_at_a_branch() -> None:
    text = FULL.replace("tag: v1", "branch: main")
    assert loaded(text).targets["deployer"].ref == Branch("main")


@pytest.mark.parametrize("text", ["1.10", "on", "No", "0777", "0123456", "12e4567", "2024-01-01", "true", "1_000"])
def test_a_pattern_is_the_text_that_is_written(text: str) -> None:
    matcher = loaded(with_rule(f"    when: {{tag: {text}}}\n{DEPLOY}")).rules[0].when.alternatives[0].matchers[0]
    assert isinstance(matcher, NameIs)
    assert matcher.patterns[0].value.text == text


AMBIGUOUS = (
    "yes no on off Yes NO y n N True FALSE ~ null NULL 1.10 1. .5 0777 0o17 08 22:30 12:30:45 190:20:30.15 1e3 12e4567"
    " 12E03 .inf -.Inf .nan 2024-01-01 2024-1-1T10:00:00Z 0x1F 0b11 1_000 +5 0123456 ="
)


@pytest.mark.parametrize("text", AMBIGUOUS.split())
def test_a_parameter_that_yaml_versions_read_differently_is_refused(text: str, said: Said) -> None:
    (message,) = said(with_rule(f"    when: {{branch: main}}\n    deploy:\n      parameters:\n        x: {text}\n"))
    assert message == (
        f'deploy.yml:7:12: error[E502]: {text} means different things in different YAML versions — quote it: "{text}"'
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("false", False), ("0", 0), ("-5", -5), ("9223372036854775807", 2**63 - 1)],
)
def test_a_parameter_of_another_type_than_text(text: str, value: object) -> None:
    rules = loaded(with_rule(f"    when: {{branch: main}}\n    deploy: {{parameters: {{x: {text}}}}}\n"))
    found = rules.rules[0].deploy.parameters[0].value.value
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text", ["1.4.0", "v1", "12e45g7", "main-1", "12:60a", "'yes'", '"1.10"', "truely", "1e", '""']
)
def test_a_parameter_that_is_a_text_in_every_version(text: str) -> None:
    rules = loaded(with_rule(f"    when: {{branch: main}}\n    deploy: {{parameters: {{x: {text}}}}}\n"))
    found = rules.rules[0].deploy.parameters[0].value.value
    assert isinstance(found, Template)
    assert found.text == text.strip("'\"")


def test_the_error_counts_and_holds_every_problem_in_order() -> None:
    with pytest.raises(RuleFileInvalid) as caught:
        loaded(with_rule("    when: {brnch: main}\n    deploi: {}\n  - name: a\n    when: {user: x}\n" + DEPLOY))
    assert caught.value.code == "rules-invalid"
    assert caught.value.message == "4 problems in deploy.yml"
    assert [d.code for d in caught.value.diagnostics] == ["E102", "E102", "E106", "E302"]
    assert list(caught.value.diagnostics) == sorted(caught.value.diagnostics, key=lambda d: d.span)


def test_one_problem_is_not_called_problems() -> None:
    with pytest.raises(RuleFileInvalid, match=r"\A1 problem in deploy\.yml\Z"):
        loaded("")


def test_warnings_do_not_keep_a_file_from_being_loaded() -> None:
    text = with_rule("    when: {branch: main}\n    deploy: {job: x}\n")
    examined = examine(SourceFile("deploy.yml", text))
    assert [d.code for d in examined.diagnostics] == ["W601"]
    assert examined.rules == loaded(text)


@pytest.mark.parametrize(("deploy", "workflow"), [("workflow: d", "d"), ("workflow: d, to: other", None), ("", None)])
def test_the_last_deploy_is_that_of_the_rules_workflow(deploy: str, workflow: str | None) -> None:
    """Of another project's runs the commit is not known."""
    targets = "targets: {other: {project: gh/a/b, branch: main}}\n"
    when = "{branch: main, paths: {only: a, since: last-deploy}}"
    text = f"version: 1\n{targets}rules: [{{name: a, when: {when}, deploy: {{{deploy}}}}}]\n"
    (_, paths) = loaded(text).rules[0].when.alternatives[0].matchers
    assert isinstance(paths, PathsChanged)
    assert paths.since == ChangedSince(Base.LAST_DEPLOY, workflow=workflow)


def test_files_can_be_compared_with_a_ref_by_its_full_name() -> None:
    rule = with_rule("    when: {branch: main, paths: {only: a, since: {ref: refs/heads/x}}}\n" + DEPLOY)
    (_, paths) = loaded(rule).rules[0].when.alternatives[0].matchers
    assert isinstance(paths, PathsChanged)
    assert paths.since == ChangedSince(ref="refs/heads/x")


# --- limits


def codes(text: str) -> list[str]:
    return sorted({d.code for d in examine(SourceFile("deploy.yml", text)).diagnostics})


def test_a_file_of_over_one_mebibyte_is_refused() -> None:
    head = "version: 1\n#"
    assert codes(head + "x" * (1024 * 1024 - len(head))) == ["E103"]
    assert codes(head + "é" * (512 * 1024)) == ["E008"]


def test_over_two_thousand_rules_are_refused() -> None:
    assert codes("version: 1\nrules: [" + "x, " * 2001 + "]") == ["E114"]
    assert codes("version: 1\nrules: [" + "x, " * 2000 + "]") == ["E101"]


def test_over_two_hundred_patterns_in_a_rule_are_refused() -> None:
    def rule(count: int) -> str:
        names = ", ".join(f"b{n}" for n in range(count))
        return with_rule(f"    when: {{branch: [{names}]}}\n{DEPLOY}")

    assert codes(rule(200)) == []
    assert codes(rule(201)) == ["E115"]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("k" * 128, "v", []),
        ("k" * 129, "v", ["E510"]),
        ("k", "v" * 512, []),
        ("k", "v" * 513, ["E510"]),
        ("k", "'" + "${CIRCLE_SHA1}" * 200 + "'", []),
        ("k", "'" + "$x" * 9000 + "'", ["E510"]),
        ("k", "9223372036854775808", ["E502"]),
        ("k", "-9223372036854775808", []),
        ("k", "9" * 5000, ["E502"]),
    ],
)
def test_limits_of_parameters(key: str, value: str, expected: list[str]) -> None:
    deploy = f"{{parameters: {{{key}: {value}}}}}"
    assert codes(with_rule(f"    when: {{branch: main}}\n    deploy: {deploy}\n")) == expected


@pytest.mark.parametrize(("api", "code"), [("v2", []), ("v2-pipeline", []), ("v1.1", ["E104"]), ("v2.1", ["E104"])])
def test_the_interfaces_that_can_be_named(api: str, code: list[str]) -> None:
    assert codes(f"version: 1\napi: {api}\nrules:\n  - name: a\n    when: {{branch: main}}\n{DEPLOY}") == code


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("CIRCLE_SHA", "did you mean ${CIRCLE_SHA1}?"),
        ("version", "did you mean ${tag.version}?"),
        ("sha.shrt", "did you mean ${sha.short}?"),
        ("MY_KEY", 'to send a variable of the project, add env: {MY_KEY: "*"} to when'),
        ("whatever it is", f"known: variables in upper case such as CIRCLE_SHA1, and {', '.join(sorted(DERIVED))}"),
    ],
)
def test_an_unknown_value_comes_with_a_cure(name: str, hint: str, said: Said) -> None:
    (message,) = said(with_rule(f"    when: {{branch: main}}\n    deploy: {{parameters: {{x: '${{{name}}}'}}}}\n"))
    assert message.endswith(f"error[E506]: unknown value ${{{name}}} — {hint}")


def test_a_variable_in_lower_case_cannot_be_sent(said: Said) -> None:
    deploy = "    deploy: {parameters: {x: '${key}'}}\n"
    (message,) = said(with_rule("    when: {branch: main, env: {key: '*'}}\n" + deploy))
    assert "unknown value ${key} — known: variables in upper case" in message


def test_what_one_alternative_leaves_unset_fails_there() -> None:
    parameters = "{a: '${CIRCLE_TAG}', b: '${CIRCLE_BRANCH}', c: '${pr.number}'}"
    when = "[{branch: main, pull_request: false}, {tag: v*}]"
    assert codes(with_rule(f"    when: {when}\n    deploy: {{parameters: {parameters}}}\n")) == ["E507"]


@pytest.mark.parametrize("when", ["{tga: v*}", "{branch: main, tga: v*}"])
def test_nothing_is_called_unset_where_a_matcher_could_not_be_read(when: str) -> None:
    text = with_rule(f"    when: {when}\n    deploy: {{parameters: {{a: '${{CIRCLE_TAG}}'}}}}\n")
    assert codes(text) == ["E102"]


@pytest.mark.parametrize(
    ("to", "when", "expected"),
    [
        ("", "{tag: v*}", ["E602"]),
        ("to: d, ", "{tag: v*}", ["W601"]),
        ("", "[{tag: v*}, {branch: main}]", ["W601"]),
    ],
)
def test_a_job_needs_a_branch(to: str, when: str, expected: list[str]) -> None:
    targets = "targets: {d: {project: gh/a/b, branch: main}}\n" if to else ""
    text = f"version: 1\n{targets}rules:\n  - name: a\n    when: {when}\n    deploy: {{{to}job: j}}\n"
    assert codes(text) == expected


def test_a_job_cannot_be_sent_to_a_target_at_a_tag() -> None:
    text = FULL.replace("      parameters:", "      job: j\n      parameters:")
    assert codes(text) == ["E602"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("trunk", "a b"), "3:17: error[E207]: no branch can be called 'a b' — write its bare name"),
        (("trunk", "[a]"), "3:17: error[E101]: default_branch must be a string, found a list"),
        (("v2-pipeline", "{}"), "4:6: error[E101]: api must be a string, found a map"),
        (("    reason: off", "    reason: ''"), "13:13: error[E108]: 'reason' is empty"),
        (("name: production", "name: [a]"), "15:11: error[E101]: name must be a string, found a list"),
        (
            ("pull_request: false", "pull_request: []"),
            "20:23: error[E101]: pull_request must be a string, found a list",
        ),
        (("text: v-${CIRCLE_SHA1}", "text:"), "29:9: error[E108]: 'text' has no value — for example  text: \"\""),
        (
            ("five: 5", 'five: "\\ud800"'),
            "30:15: error[E007]: half a character cannot be written here — write the character itself",
        ),
        (("tag: v1\n", "tag: refs/tags/v1\n"), "9:10: error[E206]: write the bare name, not 'refs/tags/v1' — v1"),
        (("env: {A: x, B: [y, z]}", "env: {[A]: x}"), "21:15: error[E101]: a key must be a text"),
        (("github/acme", "github/ac me"), None),
    ],
)
def test_one_change_one_message(change: tuple[str, str], message: str | None, said: Said) -> None:
    (found,) = said(FULL.replace(*change))
    assert message is None or found == f"deploy.yml:{message}"


def test_a_rule_without_a_deploy_is_for_gate_alone() -> None:
    rules = loaded(with_rule("    when: {branch: main}\n") + "  - name: b\n    when: {branch: main}\n" + DEPLOY)
    alone, other = rules.rules
    assert (alone.sends, rules.sending) == (None, (other,))
    with pytest.raises(LookupError, match="for gate alone"):
        _ = alone.deploy


def test_a_deploy_that_is_wrong_is_not_one_that_is_missing() -> None:
    assert codes(with_rule("    when: {branch: main}\n    deploy: {to: nowhere}\n")) == ["E601"]
    assert codes(with_rule("    when: {branch: main}\n    deploy:\n")) == ["E108"]
