"""What is proved or suspected about rules; and, as important, what is not."""

from collections.abc import Callable

import pytest

Said = Callable[[str], list[str]]


def rule(when: str, unless: str = "", deploy: str = "{workflow: d, parameters: {x: true}}") -> str:
    stops = f"    unless: {unless}\n" if unless else ""
    return f"version: 1\nrules:\n  - name: a\n    when: {when}\n{stops}    deploy: {deploy}\n"


def codes(messages: list[str]) -> list[str]:
    return [message.partition("[")[2].partition("]")[0] for message in messages]


@pytest.mark.parametrize(
    ("when", "unless"),
    [
        ('{branch: "**"}', '{branch: "**"}'),
        ("{branch: main}", "{branch: ma*}"),
        ("{branch: [main, dev]}", "{branch: [dev, main]}"),
        ("{branch: release/*}", r"{branch: /release\/.*/}"),
        ("{tag: v1.*}", "{tag: v*}"),
        ("{branch: main, user: anna}", '[{user: bjorn}, {user: "*"}]'),
        ("{branch: main, pull_request: true}", "{pull_request: true}"),
        ("{branch: main}", "{fork: false}"),
        ("{branch: main, fork: true}", "{fork: true}"),
        ("{branch: main, env: {A: x, B: y}}", '{env: {A: "*"}}'),
        ("[{branch: main}, {tag: v*}]", '[{branch: "**"}, {tag: "**"}]'),
        ("{branch: main, user: anna}", "[{branch: main, user: anna}]"),
    ],
)
def test_a_rule_that_can_never_fire_is_found(when: str, unless: str, said: Said) -> None:
    assert codes(said(rule(when, unless))) == ["E305"]


@pytest.mark.parametrize(
    ("when", "unless"),
    [
        ('{branch: "**"}', "{branch: main}"),
        ("{branch: main}", "{branch: [develop, /m.+x/]}"),
        ("{branch: main}", '{user: "*"}'),
        ("{branch: main}", '{tag: "**"}'),
        ("{branch: main, user: anna}", "[{branch: main, user: bjorn}]"),
        ("{branch: main, pull_request: true}", "{pull_request: false}"),
        ("{branch: main, fork: true}", "{fork: false}"),
        ("{branch: main}", "{fork: true}"),
        ("{branch: main, env: {A: x}}", "{env: {A: y}}"),
        ("{branch: main, env: {A: x}}", "{env: {A: x, B: y}}"),
        ("[{branch: main}, {tag: v*}]", '{branch: "**"}'),
        ("{branch: '**'}", "{branch: [main, develop]}"),
    ],
)
def test_a_rule_that_can_fire_is_left_alone(when: str, unless: str, said: Said) -> None:
    assert said(rule(when, unless)) == []


def test_every_reason_to_stop_is_named(said: Said) -> None:
    (message,) = said(rule("[{branch: main, user: anna}, {tag: v*}]", "[{user: a*}, {tag: [v*, x]}]"))
    assert 'its unless (line 5, user "a*" and line 5, tag "v*", "x") covers its when' in message


@pytest.mark.parametrize(
    ("unless", "words"),
    [("{fork: false}", "fork false"), ("{env: {A: '*'}}", "env A"), ("{pull_request: true}", "pull_request true")],
)
def test_a_reason_to_stop_is_named_by_its_kind(unless: str, words: str, said: Said) -> None:
    (message,) = said(rule("{branch: main, pull_request: true, env: {A: x}}", unless))
    assert f"(line 5, {words})" in message


def test_an_alternative_that_adds_nothing_is_found(said: Said) -> None:
    assert codes(said(rule("[{branch: release/*}, {branch: release/1, user: anna}]"))) == ["E306"]
    assert said(rule("[{branch: release/1, user: anna}, {branch: release/*}]")) == []


def test_nothing_is_claimed_of_a_rule_that_could_not_be_read(said: Said) -> None:
    assert codes(said(rule("{branch: main, usr: anna}", '{branch: "**"}'))) == ["E102"]


@pytest.mark.parametrize(
    ("regex", "column"),
    [(r"/v\d+.\d+/", 24), ("/v[0-9]+.[0-9]+/", 27), ("/1.2/", 21), (r"/(\d+).(\d+)/", 25), (r"/v\d{1,3}.\d/", 28)],
)
def test_a_dot_between_digits_is_suspicious(regex: str, column: int, said: Said) -> None:
    (message,) = said(rule(f"[{{tag: '{regex}'}}]"))
    assert message.startswith(f"deploy.yml:4:{column}: warning[W303]: '.' stands for any character in '{regex}'")


@pytest.mark.parametrize("pattern", [r"/v\d+\.\d+/", "/v.*/", "v1.2", "/a.b/", "/[1.2]/", r"/\d+.*\d/", "/v1.x/"])
def test_any_other_dot_is_not(pattern: str, said: Said) -> None:
    assert said(rule(f"{{tag: '{pattern}'}}")) == []


def test_letters_that_only_look_latin_are_pointed_at(said: Said) -> None:
    (message,) = said(rule("{branch: m\u0430in}"))
    assert message == (
        "deploy.yml:4:21: warning[W304]: '\u0430' is not the letter 'a' but cyrillic small letter a (U+0430)"
        " — it only looks like it; write the Latin letter"
    )


@pytest.mark.parametrize("name", ["\u0433\u043b\u0430\u0432\u043d\u0430\u044f", "größe", "日本"])
def test_a_name_of_another_script_is_not_suspicious(name: str, said: Said) -> None:
    assert said(rule(f"{{branch: {name}}}")) == []


def test_a_lone_star_is_narrower_than_it_looks(said: Said) -> None:
    assert said(rule("{branch: '*'}")) == [
        "deploy.yml:4:21: warning[W302]: '*' matches only names without a slash — write \"**\" for every branch"
    ]
    assert said(rule("{branch: main, user: '*'}")) == []


@pytest.mark.parametrize("deploy", ["{workflow: d}", "{}", "{workflow: d, parameters: {}}"])
def test_a_deploy_that_would_start_this_step_again_is_suspicious(deploy: str, said: Said) -> None:
    assert codes(said(rule("{branch: main}", deploy=deploy))) == ["W603"]


def test_guards_are_examined_too(said: Said) -> None:
    text = rule("{branch: main}").replace("rules:", "never:\n  - when: {branch: '*'}\nrules:")
    assert codes(said(text)) == ["W302"]


def test_a_target_that_no_rule_uses_is_suspicious(said: Said) -> None:
    text = rule("{branch: main}").replace("rules:", "targets: {d: {project: gh/a/b, branch: m}}\nrules:")
    assert said(text) == ["deploy.yml:2:11: warning[W602]: no rule deploys to target 'd' — remove it, or use to:"]


def test_the_work_for_proofs_is_bounded(said: Said) -> None:
    alternatives = ", ".join(f"{{branch: {n}-*}}" for n in range(200))
    assert said(rule(f"[{alternatives}]")) == []
