"""Rules that start one workflow on one branch: a rerun can hardly tell their runs apart, and `check` says so."""

from __future__ import annotations

from textwrap import dedent

import pytest

from deploystep.core.source import SourceFile
from deploystep.rulefile.load import examine

RULES = """
    version: 1
    targets:
      deployer: {{project: gh/acme/deployer, branch: main}}
    rules:
      - {{name: one, when: {first}, deploy: {one}}}
      - {{name: two, when: {second}, deploy: {two}}}
    """
DEPLOY = "{workflow: deploy, parameters: {x: %s}}"


def warned(first: str, second: str, one: str = DEPLOY % 1, two: str = DEPLOY % 2) -> list[str]:
    text = dedent(RULES.format(first=first, second=second, one=one, two=two)).lstrip()
    examined = examine(SourceFile("deploy.yml", text))
    assert not any(d.is_error for d in examined.diagnostics), examined.diagnostics
    return [d.message for d in examined.diagnostics if d.code == "W310"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{branch: main}", "{branch: main}"),
        ("{branch: release/*}", r"{branch: '/release\/\d+/'}"),
        ("{branch: main}", "[{tag: v*}, {branch: '**'}]"),
        ("{tag: v*}", "{tag: v1.4.0}"),
        ("{branch: main, user: anna}", "{branch: main, user: bjorn}"),
    ],
)
def test_rules_for_one_ref(first: str, second: str) -> None:
    assert warned(first, second) == [
        "rules 'one' and 'two' start the same workflow, and a rerun tells their runs apart only by their order"
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{branch: main}", "{branch: develop}"),
        ("{branch: main}", "{tag: main}"),
        ("{branch: release/*}", "{branch: hotfix/**}"),
    ],
)
def test_rules_for_other_refs(first: str, second: str) -> None:
    """Runs of another branch or tag are never taken for a rule's own."""
    assert warned(first, second) == []


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (DEPLOY % 1, "{workflow: other, parameters: {x: 2}}"),
        (DEPLOY % 1, "{to: deployer, workflow: deploy}"),
        (DEPLOY % 1, "{job: deploy}"),
        ("{parameters: {x: 1}}", "{parameters: {x: 2}}"),
    ],
)
def test_rules_that_do_not_share(one: str, two: str) -> None:
    assert warned("{branch: main}", "{branch: main}", one, two) == []


def test_rules_that_share_a_job() -> None:
    (message,) = warned("{branch: main}", "{branch: main}", "{job: deploy}", "{job: deploy, parameters: {X: a}}")
    assert "start the same job" in message
