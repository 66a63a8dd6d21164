"""From a rule that fires to a trigger, or to everything that is wrong with it."""

from __future__ import annotations

import pytest
from builds import DEFINITION, SHA, build, fork_environ, oidc, rules, tag_build

from deploystep.core.build import Branch, BuildContext, ProjectSlug, Tag
from deploystep.core.deploy import Specs, api_ref, trigger_specs
from deploystep.core.rules import ApiVersion

FORK = BuildContext.from_environ(fork_environ())


def specs(text: str, of: BuildContext | None = None) -> Specs:
    read = rules(text)
    return trigger_specs(read, read.rules, of or build())


def one(deploy: str, of: BuildContext | None = None, when: str = '{branch: "**"}', top: str = "") -> Specs:
    text = f"version: 1\n{top}\nrules:\n  - name: a\n    environment: prod\n    when: {when}\n    deploy: {deploy}\n"
    return specs(text, of)


def test_a_trigger_of_this_project() -> None:
    of = build(CIRCLE_OIDC_TOKEN=oidc(pipeline_definition_id=DEFINITION))
    (spec,) = one('{workflow: x, parameters: {a: true, b: 3, c: "5", d: "v-${sha.short}"}}', of).specs
    assert (spec.rule, spec.api, spec.project, spec.ref) == (
        "a",
        ApiVersion.V2_RUN,
        ProjectSlug("gh", "acme", "shop"),
        Branch("main"),
    )
    assert (spec.revision, spec.definition, spec.job, spec.workflow) == (SHA, DEFINITION, None, "x")
    assert dict(spec.parameters) == {"a": True, "b": 3, "c": "5", "d": f"v-{SHA[:7]}"}
    assert [type(v) for v in spec.parameters.values()] == [bool, int, str, str]


def test_a_trigger_of_another_project() -> None:
    top = f"targets: {{t: {{project: circleci/9Yy/44n, definition: {DEFINITION}, tag: v1, api: v2-pipeline}}}}"
    (spec,) = one("{to: t, workflow: x}", build(CIRCLE_OIDC_TOKEN=oidc(pipeline_definition_id=SHA)), top=top).specs
    assert (spec.project, spec.ref, spec.api) == (
        ProjectSlug("circleci", "9Yy", "44n"),
        Tag("v1"),
        ApiVersion.V2_PIPELINE,
    )
    assert (spec.revision, spec.definition) == (None, DEFINITION)


def test_a_job_is_of_the_old_api() -> None:
    (spec,) = one("{job: j}", top="api: v2-pipeline").specs
    assert (spec.api, spec.job, spec.revision) == (ApiVersion.V1_1, "j", SHA)


@pytest.mark.parametrize(
    ("of", "ref"),
    [
        (build(), Branch("main")),
        (tag_build("v1"), Tag("v1")),
        (FORK, Branch("pull/7/head")),
        (build(CIRCLE_BRANCH="pull/7/head"), Branch("pull/7/head")),
        (build(CIRCLE_BRANCH="feature/x", CIRCLE_PR_USERNAME="m"), Branch("feature/x")),
    ],
)
def test_the_ref_as_the_api_wants_it(of: BuildContext, ref: Branch | Tag) -> None:
    assert api_ref(of) == ref


def problem(deploy: str, of: BuildContext | None = None, when: str = '{branch: "**"}') -> tuple[str, str, str]:
    (found,) = one(deploy, of, when).diagnostics
    return found.code, found.message, found.hint


def test_unset() -> None:
    code, message, hint = problem('{workflow: x, parameters: {n: "${pr.number}"}}')
    assert (code, message) == ("E508", "${pr.number} is not set in this build")
    assert hint == "rule 'a' fired without a pull request; add pull_request: true"


@pytest.mark.parametrize("branch", ["a;b", "$(id)", "a`b`", "a b", "ü", "a&&b"])
def test_unsafe(branch: str) -> None:
    code, message, hint = problem('{workflow: x, parameters: {n: "${CIRCLE_BRANCH}"}}', build(CIRCLE_BRANCH=branch))
    assert (code, hint) == ("E509", "use ${branch.slug}")
    assert message.endswith(f': "{branch}"')


def test_an_unsafe_value_that_may_be_secret_is_not_shown() -> None:
    when = '{branch: "**", env: {PASSWORD: "*"}}'
    code, message, _ = problem('{workflow: x, parameters: {n: "${PASSWORD}"}}', build(PASSWORD="hunter 2"), when)
    assert code == "E509"
    assert "hunter" not in message


def test_too_long() -> None:
    code, message, _ = problem('{workflow: x, parameters: {n: "${CIRCLE_BRANCH}"}}', build(CIRCLE_BRANCH="x" * 513))
    assert (code, message) == ("E510", "parameter 'n' is too long: 513 characters")
    assert one('{workflow: x, parameters: {n: "${CIRCLE_BRANCH}"}}', build(CIRCLE_BRANCH="x" * 512)).diagnostics == ()


def test_every_problem_of_every_rule() -> None:
    text = """
        version: 1
        rules:
          - name: a
            when: {branch: "**"}
            deploy: {workflow: x, parameters: {p: "${pr.number}", q: "${CIRCLE_BRANCH}"}}
          - name: b
            when: {branch: "**"}
            deploy: {workflow: x, parameters: {r: "${CIRCLE_JOB}"}}
        """
    found = specs(text, build(CIRCLE_BRANCH="a b")).diagnostics
    assert [(d.code, d.span.line) for d in found] == [("E508", 6), ("E509", 6), ("E508", 9)]


# Two rules, one request


def pair(first: str, second: str, of: BuildContext | None = None) -> list[str]:
    text = (
        "version: 1\nrules:\n"
        f"  - {{name: a, when: {{branch: '**'}}, deploy: {first}}}\n"
        f"  - {{name: b, when: {{branch: '**'}}, deploy: {second}}}\n"
    )
    return [d.code for d in specs(text, of).diagnostics]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{workflow: x, parameters: {p: 1, q: true}}", "{workflow: x, parameters: {q: true, p: 1}}"),
        ("{workflow: x}", "{workflow: y}"),
        ("{job: x}", "{job: x}"),
        ("{workflow: x, parameters: {p: main}}", '{workflow: x, parameters: {p: "${CIRCLE_BRANCH}"}}'),
    ],
)
def test_the_same_request_twice(first: str, second: str) -> None:
    """The workflow is not part of the request: two rules that differ in it alone would deploy twice."""
    assert pair(first, second) == ["E608"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{workflow: x, parameters: {p: 1}}", "{workflow: x, parameters: {p: true}}"),
        ("{workflow: x, parameters: {p: 1}}", '{workflow: x, parameters: {p: "1"}}'),
        ("{workflow: x}", "{job: x}"),
        ("{job: x}", "{job: y}"),
    ],
)
def test_two_requests(first: str, second: str) -> None:
    assert pair(first, second) == []
