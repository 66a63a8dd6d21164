"""Which rules' runs look alike, and whether their order tells them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builds import build, rules, tag_build

from deploystep.core.sharing import ALONE, Share, share_of

if TYPE_CHECKING:
    from deploystep.core.build import BuildContext


def shares(text: str, firing: str, of: BuildContext | None = None) -> dict[str, Share]:
    """The share of each firing rule. A line is a rule; its name is its first word, `firing` names those that fire."""
    lines = [line.split(maxsplit=1) for line in text.strip().splitlines()]
    bodies = "\n".join(f"  - {{name: {name}, {rest}}}" for name, rest in lines if name != "top")
    top = "\n".join(rest for name, rest in lines if name == "top")
    read = rules(f"version: 1\n{top}\nrules:\n{bodies}\n")
    fire = tuple(r for r in read.rules if r.name.value in firing.split())
    return {r.name.value: share_of(r, read, fire, of or build()) for r in fire}


X = "deploy: {workflow: x, parameters: {of: %s}}"


def test_a_rule_of_its_own() -> None:
    text = f"a when: {{branch: main}}, {X % 1}\nb when: {{branch: main}}, deploy: {{workflow: y}}"
    assert shares(text, "a b") == {"a": ALONE, "b": ALONE}


def test_two_of_one_workflow() -> None:
    text = f"a when: {{branch: main}}, {X % 1}\nb when: {{branch: main}}, {X % 2}"
    assert shares(text, "a b") == {"a": Share(0, 2), "b": Share(1, 2)}


def test_the_place_is_that_in_the_file_among_those_alike() -> None:
    text = "\n".join(
        f"{name} when: {{branch: main}}, deploy: {{workflow: {w}}}" for name, w in zip("abcd", "xyxx", strict=True)
    )
    found = shares(text, "a b c d")
    assert [(s.place, s.count) for s in found.values()] == [(0, 3), (0, 1), (1, 3), (2, 3)]


def test_a_steady_rule_that_does_not_fire_never_fires_for_this_commit() -> None:
    text = f"a when: {{branch: main}}, {X % 1}\nb when: {{branch: main}}, unless: {{author: '*'}}, {X % 2}"
    assert shares(text, "a") == {"a": ALONE}


@pytest.mark.parametrize(
    "unsteady",
    [
        "when: {branch: main}, requires: test",
        "when: {branch: main}, during: 'Mon-Fri 09:00-16:00'",
        "when: {branch: main, user: anna}",
        "when: {branch: main, env: {FORCE: yes}}",
        "when: {branch: main, merged_into: main}",
        "when: {branch: main, paths: {only: x, since: last-deploy}}",
        "when: {branch: main, paths: {only: x, since: {ref: stable}}}",
        "when: {branch: main}, unless: {user: anna}",
        "when: {branch: [main]}, unless: [{author: a@x.dev}, {user: anna}]",
    ],
)
@pytest.mark.parametrize("firing", ["a", "a b"])
def test_a_rule_that_another_build_of_the_commit_may_judge_otherwise(unsteady: str, firing: str) -> None:
    """It may have fired before, or may later: so its runs are counted, and their order tells nothing."""
    text = f"a when: {{branch: main}}, {X % 1}\nb {unsteady}, {X % 2}"
    assert shares(text, firing)["a"] == Share(0, 2, is_steady=False)


@pytest.mark.parametrize(
    "steady",
    [
        "when: {branch: [main, dev]}",
        "when: {branch: '**'}",
        "when: {branch: main, author: '*'}",
        "when: {branch: main, message_contains: deploy}",
        "when: {branch: main, fork: false}",
        "when: {branch: main, paths: {only: x, since: previous-commit}}",
    ],
)
def test_a_rule_that_every_build_of_the_commit_judges_alike(steady: str) -> None:
    text = f"a when: {{branch: main}}, {X % 1}\nb {steady}, {X % 2}"
    assert shares(text, "a b") == {"a": Share(0, 2), "b": Share(1, 2)}
    assert shares(text, "a") == {"a": ALONE}


def test_a_rule_for_another_ref_has_other_runs() -> None:
    text = f"a when: {{branch: main}}, {X % 1}\nb when: {{tag: v*}}, requires: test, {X % 2}"
    assert shares(text, "a") == {"a": ALONE}
    assert shares(text, "b", tag_build("v1")) == {"b": Share(is_steady=False)}


def test_one_of_several_ways_to_match_is_enough() -> None:
    text = f"a when: {{branch: main}}, {X % 1}\nb when: [{{branch: dev}}, {{branch: main, user: x}}], {X % 2}"
    assert shares(text, "a")["a"].count == 2


def test_a_freeze_that_concerns_one_of_them() -> None:
    both = f"a when: {{branch: main}}, {X % 1}\nb when: {{branch: main}}, environment: prod, {X % 2}"
    both += "\nc when: {branch: dev}, environment: staging, deploy: {workflow: y}"
    freeze = "top freezes: [{name: f, from: 2026-12-20 00:00, until: 2027-01-03 00:00, environments: [prod]}]\n"
    assert shares(freeze + both, "a b") == {"a": Share(0, 2, is_steady=False), "b": Share(1, 2, is_steady=False)}
    other = freeze.replace("prod", "staging")
    assert shares(other + both, "a b") == {"a": Share(0, 2), "b": Share(1, 2)}


def test_a_target_shares_nothing() -> None:
    """Of its runs the commit is not known, so nothing is looked for there."""
    top = "top targets: {t: {project: gh/acme/deployer, branch: main}}\n"
    text = f"a when: {{branch: main}}, {X % 1}\nb when: {{branch: main}}, deploy: {{to: t, workflow: x}}"
    assert shares(top + text, "a b") == {"a": ALONE, "b": ALONE}


def test_a_rule_without_a_workflow_shares_nothing() -> None:
    text = "a when: {branch: main}, deploy: {parameters: {x: 1}}\nb when: {branch: main}, deploy: {parameters: {x: 2}}"
    assert shares(text, "a b") == {"a": ALONE, "b": ALONE}


def test_a_job_and_a_workflow_of_one_name_are_different_things() -> None:
    text = "a when: {branch: main}, deploy: {job: x}\nb when: {branch: main}, deploy: {workflow: x}"
    assert shares(text, "a b") == {"a": ALONE, "b": ALONE}


def test_jobs_of_one_name_are_alike() -> None:
    text = "a when: {branch: main}, deploy: {job: x, parameters: {N: 1}}\n"
    text += "b when: {branch: main}, deploy: {job: x, parameters: {N: 2}}"
    assert shares(text, "a b") == {"a": Share(0, 2), "b": Share(1, 2)}
