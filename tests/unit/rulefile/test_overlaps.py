"""That two rules can both fire is said with a build in which they do, or not at all."""

from textwrap import dedent

import pytest

from deploystep.core import pattern_proofs
from deploystep.core.pattern_search import Finding, Wanted, find_text
from deploystep.core.source import SourceFile
from deploystep.rulefile.load import examine


def found(first: str, second: str, *, environment: str = "prod") -> list[str]:
    text = dedent("""\
        version: 1
        rules:
          - name: a
            environment: prod
            FIRST
            deploy: {workflow: a, parameters: {x: 1}}
          - name: b
            environment: OTHER
            SECOND
            deploy: {workflow: b, parameters: {x: 2}}
        """)
    for word, written in (("FIRST", first), ("SECOND", second), ("OTHER", environment)):
        text = text.replace(word, written)
    examined = examine(SourceFile("deploy.yml", text))
    assert not [d for d in examined.diagnostics if d.is_error]
    return [d.message for d in examined.diagnostics if d.code == "W301"]


@pytest.mark.parametrize(
    ("first", "second", "example"),
    [
        ("when: {branch: main}", 'when: {branch: "**"}', "branch 'main'"),
        ("when: {tag: v*}", r"when: {tag: /v\d+/}", "tag 'v0'"),
        ("when: {branch: main}", "when: {branch: main, pull_request: true}", "branch 'main' with a pull request"),
        ("when: {branch: main, user: anna}", "when: {branch: main}", "branch 'main' by user 'anna'"),
        ("when: [{tag: v1}, {branch: main}]", "when: [{branch: x}, {branch: main}]", "branch 'main'"),
        ("when: {branch: main, env: {A: x}}", 'when: {branch: main, env: {A: "*"}}', "branch 'main'"),
        (
            "when: {branch: main, paths: {only: a/**, since: previous-commit}}",
            "when: {branch: main, paths: {only: b/**, since: previous-commit}}",
            "branch 'main'",
        ),
    ],
)
def test_a_pair_is_told_with_a_witness(first: str, second: str, example: str) -> None:
    assert found(first, second) == [f"rules 'a' and 'b' can both fire, for example on {example}"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("when: {branch: main}", "when: {branch: release/*}"),
        ("when: {branch: main}", "when: {tag: v*}"),
        ("when: {branch: main, pull_request: true}", "when: {branch: main, pull_request: false}"),
        ("when: {branch: main, fork: true}", "when: {branch: main}"),
        ("when: {branch: main, user: anna}", "when: {branch: main, user: bob}"),
        ("when: {branch: main, env: {A: x}}", "when: {branch: main, env: {A: y}}"),
        ("when: {branch: main}", "when: {branch: '**'}\n    unless: {branch: main}"),
        ("when: {branch: main}", "when: {branch: main}\n    unless: {message_contains: skip}"),
        ("when: {branch: main, author: a@x}", "when: {branch: main, author: b@x}"),
    ],
)
def test_nothing_is_claimed_that_is_not_proved(first: str, second: str) -> None:
    assert found(first, second) == []


def test_other_environments_do_not_matter() -> None:
    assert found("when: {branch: main}", "when: {branch: main}", environment="staging") == []


def many(count: int, when: str) -> str:
    rule = "  - {{name: r{n}, environment: prod, when: {when}, deploy: {{workflow: w{n}, parameters: {{n: {n}}}}}}}\n"
    return "version: 1\nrules:\n" + "".join(rule.format(n=n, when=when.format(n=n)) for n in range(count))


def searches(text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """How many searches for a common name a file costs, and of how many pairs it is told."""
    asked: list[Wanted] = []

    def counted(wanted: Wanted) -> Finding:
        asked.append(wanted)
        return find_text(wanted)

    monkeypatch.setattr(pattern_proofs, "find_text", counted)
    pattern_proofs._overlap.cache_clear()
    examined = examine(SourceFile("deploy.yml", text))
    return len(asked), len([d for d in examined.diagnostics if d.code == "W301"])


def test_rules_that_say_the_same_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert searches(many(40, "{{branch: [main, release/*]}}"), monkeypatch) == (1, 780)


def test_rules_for_names_that_begin_differently_need_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    assert searches(many(40, "{{branch: team-{n}/*}}"), monkeypatch) == (0, 0)


def test_it_is_told_how_far_the_comparison_is() -> None:
    told: list[tuple[int, int]] = []
    examine(SourceFile("deploy.yml", many(5, "{{branch: main}}")), lambda done, total: told.append((done, total)))
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
