"""From a rule that fires to a trigger, or to everything that is wrong with it."""

from __future__ import annotations

import pytest
from builds import DEFINITION, SHA, build, fork_environ, oidc, rules, tag_build

from deploystep.core.build import Branch, BuildContext, Tag
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
    sent = (spec.rule, spec.api, str(spec.project), spec.ref)
    assert sent == ("a", ApiVersion.V2_RUN, "gh/acme/shop", Branch("main"))
    assert (spec.revision, spec.definition, spec.job, spec.workflow) == (SHA, DEFINITION, None, "x")
    assert dict(spec.parameters) == {"a": True, "b": 3, "c": "5", "d": f"v-{SHA[:7]}"}
    assert [type(v) for v in spec.parameters.values()] == [bool, int, str, str]


def test_a_trigger_of_another_project() -> None:
    top = f"targets: {{t: {{project: circleci/9Yy/44n, definition: {DEFINITION}, tag: v1, api: v2-pipeline}}}}"
    (spec,) = one("{to: t, workflow: x}", build(CIRCLE_OIDC_TOKEN=oidc(pipeline_definition_id=SHA)), top=top).specs
    assert (str(spec.project), spec.ref, spec.api) == ("circleci/9Yy/44n", Tag("v1"), ApiVersion.V2_PIPELINE)
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
        (build(CIRCLE_BRANCH="pull/7", CIRCLE_PULL_REQUEST="https://g/x/pull/3"), Branch("pull/7/head")),
        (build(CIRCLE_BRANCH="pull/7/head"), Branch("pull/7/head")),
        (build(CIRCLE_BRANCH="pull/None"), Branch("pull/None")),
        (build(CIRCLE_BRANCH="feature/x", CIRCLE_PR_USERNAME="m"), Branch("feature/x")),
    ],
)
def test_the_ref_as_the_api_wants_it(of: BuildContext, ref: Branch | Tag) -> None:
    assert api_ref(of) == ref


ALLOWED = "has characters that are not allowed"


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("CIRCLE_JOB", "", ("E508", "${CIRCLE_JOB} is not set in this build", "set it, or take it out")),
        *(
            ("CIRCLE_BRANCH", b, ("E509", f'{ALLOWED}: "{b}"', "use ${branch.slug}"))
            for b in ("a;b", "$(id)", "a b", "ü")
        ),
        ("PASSWORD", "hunter 2", ("E509", ALLOWED, "allowed are letters")),  # what may be secret is not shown
        ("CIRCLE_BRANCH", "x" * 513, ("E510", "'n' is too long: 513 characters", "CircleCI takes 512 at most")),
        ("CIRCLE_BRANCH", "x" * 512, None),
    ],
)
def test_what_cannot_be_filled_in(name: str, value: str, found: tuple[str, str, str] | None) -> None:
    when = '{branch: "**", env: {PASSWORD: "*"}}'
    problems = one(f'{{workflow: x, parameters: {{n: "${{{name}}}"}}}}', build(**{name: value}), when).diagnostics
    assert [p.code for p in problems] == ([found[0]] if found else [])
    for problem in problems:
        assert found is not None
        assert problem.message.endswith(found[1])
        assert problem.hint.startswith(found[2])


def test_every_problem_of_every_rule() -> None:
    line = '  - {name: NAME, when: {branch: "**"}, deploy: {parameters: {p: "${CIRCLE_JOB}", q: "${CIRCLE_BRANCH}"}}}\n'
    text = "version: 1\nrules:\n" + line.replace("NAME", "a") + line.replace("NAME", "b")
    found = specs(text, build(CIRCLE_BRANCH="a b")).diagnostics
    assert [(d.code, d.span.line) for d in found] == [("E508", 3), ("E509", 3), ("E508", 4), ("E509", 4)]


V3 = "api: v3"
OIDC = oidc(pipeline_definition_id=DEFINITION)


@pytest.mark.parametrize(
    ("deploy", "of", "top", "code"),
    [
        ("{job: j}", tag_build("v1"), "", "E602"),
        ("{job: j}", build(), "", None),
        ("{workflow: x}", tag_build("v1", CIRCLE_OIDC_TOKEN=OIDC), V3, "E609"),
        ("{workflow: x}", build(), V3, "E610"),
        ("{workflow: x}", build(CIRCLE_OIDC_TOKEN=OIDC), V3, None),
        ("{workflow: x}", tag_build("v1"), "", None),
    ],
)
def test_what_an_api_cannot_do(deploy: str, of: BuildContext, top: str, code: str | None) -> None:
    found = one(deploy, of, '[{branch: "**"}, {tag: v*}]', top).diagnostics
    assert [d.code for d in found] == ([code] if code else [])


def known(*deploys: str, of: BuildContext | None = None) -> list[tuple[str | None, bool, tuple[str, ...]]]:
    """Of rules a, b, … : what their runs are known by, whether a rerun is recognised, and who shares that."""
    lines = "".join(
        f"  - {{name: {name}, when: {when}, deploy: {{{deploy}}}}}\n"
        for name, (when, _, deploy) in zip("abc", (text.partition(" -> ") for text in deploys), strict=False)
    )
    text = f"version: 1\ntargets: {{t: {{project: gh/acme/other, branch: main}}}}\nrules:\n{lines}"
    return [(s.starts, s.is_recognised, s.sharing) for s in specs(text, of).specs]


ALWAYS = '{branch: "**"} -> '
BOTH = [("x", True, ("b",)), ("x", True, ("a",))]


@pytest.mark.parametrize(
    ("deploys", "found"),
    [
        ([ALWAYS + "job: x"], [("x", True, ())]),
        ([ALWAYS + "workflow: x", ALWAYS + "workflow: y"], [("x", True, ()), ("y", True, ())]),
        ([ALWAYS + "workflow: x"] * 3, [("x", True, ("b", "c")), ("x", True, ("a", "c")), ("x", True, ("a", "b"))]),
        # a job, and a workflow of another project, are no workflow of this one
        ([ALWAYS + "workflow: x", ALWAYS + "job: x"], [("x", True, ()), ("x", True, ())]),
        ([ALWAYS + "workflow: x", ALWAYS + "to: t, workflow: x"], [("x", True, ()), ("x", False, ())]),
        ([ALWAYS + "parameters: {p: 1}"] * 2, [(None, False, ())] * 2),
        # rules for other branches and tags start nothing in builds of this one; what else they ask may change
        ([ALWAYS + "workflow: x", "{branch: dev} -> workflow: x"], [("x", True, ()), ("x", True, ("a",))]),
        ([ALWAYS + "workflow: x", "{tag: v*} -> workflow: x"], [("x", True, ()), ("x", True, ("a",))]),
        ([ALWAYS + "workflow: x", "{branch: main, message_contains: y} -> workflow: x"], BOTH),
        ([ALWAYS + "workflow: x", "[{branch: dev}, {branch: main, user: eve}] -> workflow: x"], BOTH),
    ],
)
def test_how_a_run_is_known(deploys: list[str], found: list[tuple[str | None, bool, tuple[str, ...]]]) -> None:
    assert known(*deploys) == found
