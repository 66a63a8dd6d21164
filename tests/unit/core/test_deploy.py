"""From a rule that fires to a trigger, or to everything that is wrong with it."""

from typing import Any

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


def test_the_ref_as_the_api_wants_it() -> None:
    merge = build(CIRCLE_BRANCH="pull/7", CIRCLE_PULL_REQUEST="https://g/x/pull/3")
    assert [api_ref(each) for each in (build(), tag_build("v1"))] == [Branch("main"), Tag("v1")]
    assert [api_ref(each) for each in (FORK, merge)] == [Branch("pull/7/head")] * 2
    for name, author in (("pull/7/head", None), ("pull/None", None), ("feature/x", "m")):
        assert api_ref(build(CIRCLE_BRANCH=name, CIRCLE_PR_USERNAME=author)) == Branch(name)


# fmt: off
ALLOWED, LETTERS = "has characters that are not allowed", "allowed are letters"
#: A variable, its value, and what is said of it: the code, how the message ends, and how the hint begins.
UNFILLED: list[tuple[str, str, tuple[str, str, str] | None]] = [
    ("CIRCLE_JOB", "", ("E508", "${CIRCLE_JOB} is not set in this build", "set it, or take it out")),
    ("CIRCLE_BRANCH", "$(id)", ("E509", f'{ALLOWED}: "$(id)"', "use ${branch.slug}")),
    ("CIRCLE_USERNAME", "a b", ("E509", f'{ALLOWED}: "a b"', LETTERS)),
    ("PASSWORD", "hunter 2", ("E509", ALLOWED, LETTERS)),  # what may be secret is not shown
    ("CIRCLE_BRANCH", "x" * 513, ("E510", "'n' is too long: 513 characters", "CircleCI takes 512 at most")),
    ("CIRCLE_BRANCH", "x" * 512, None),
]
# fmt: on


@pytest.mark.parametrize(("name", "value", "found"), UNFILLED)
def test_what_cannot_be_filled_in(name: str, value: str, found: tuple[str, str, str] | None) -> None:
    when = '{branch: "**", env: {PASSWORD: "*"}}'
    problems = one(f'{{workflow: x, parameters: {{n: "${{{name}}}"}}}}', build(**{name: value}), when).diagnostics
    code, end, start = found or ("", "", "")
    assert [p.code for p in problems] == [code] * (found is not None)
    assert all(p.message.endswith(end) and p.hint.startswith(start) for p in problems)


def test_every_problem_of_every_rule() -> None:
    line = '  - {name: NAME, when: {branch: "**"}, deploy: {parameters: {p: "${CIRCLE_JOB}", q: "${CIRCLE_BRANCH}"}}}\n'
    text = "version: 1\nrules:\n" + line.replace("NAME", "a") + line.replace("NAME", "b")
    found = specs(text, build(CIRCLE_BRANCH="a b")).diagnostics
    assert [(d.code, d.span.line) for d in found] == [("E508", 3), ("E509", 3), ("E508", 4), ("E509", 4)]


def test_what_an_api_cannot_do() -> None:
    token, v3 = {"CIRCLE_OIDC_TOKEN": oidc(pipeline_definition_id=DEFINITION)}, "api: v3"
    asked: list[tuple[str, BuildContext, str, list[str]]] = [
        ("job: j", tag_build("v1"), "", ["E602"]), ("job: j", build(), "", []),
        ("workflow: x", tag_build("v1", **token), v3, ["E609"]), ("workflow: x", build(), v3, ["E610"]),
        ("workflow: x", build(**token), v3, []), ("workflow: x", tag_build("v1"), "", []),
    ]  # fmt: skip
    for deploy, of, top, codes in asked:
        found = one(f"{{{deploy}}}", of, '[{branch: "**"}, {tag: v*}]', top).diagnostics
        assert [d.code for d in found] == codes


ALWAYS = '{branch: "**"}'
# fmt: off
#: Rules a, b, …: when, and what they deploy; what their runs are known by, whether a rerun is, and who shares that.
KNOWN: list[tuple[list[tuple[str, str]], list[Any]]] = [
    ([(ALWAYS, "workflow: x"), (ALWAYS, "workflow: y")], [("x", True, ()), ("y", True, ())]),
    ([(ALWAYS, "workflow: x")] * 3, [("x", True, ("b", "c")), ("x", True, ("a", "c")), ("x", True, ("a", "b"))]),
    # a job, and a workflow of another project, are no workflow of this one
    ([(ALWAYS, "workflow: x"), (ALWAYS, "job: x")], [("x", True, ()), ("x", True, ())]),
    ([(ALWAYS, "workflow: x"), (ALWAYS, "to: t, workflow: x")], [("x", True, ()), ("x", False, ())]),
    ([(ALWAYS, "parameters: {p: 1}")] * 2, [(None, False, ())] * 2),
    # rules for other branches and tags start nothing in builds of this one; what else they ask may change
    *(([(ALWAYS, "workflow: x"), (when, "workflow: x")], [("x", True, ()), ("x", True, ("a",))])
      for when in ("{branch: dev}", "{tag: v*}")),
    *(([(ALWAYS, "workflow: x"), (when, "workflow: x")], [("x", True, ("b",)), ("x", True, ("a",))])
      for when in ("{branch: main, message_contains: y}", "[{branch: dev}, {branch: main, user: eve}]")),
]
# fmt: on


@pytest.mark.parametrize(("written", "expected"), KNOWN)
def test_how_a_run_is_known(written: list[tuple[str, str]], expected: list[Any]) -> None:
    lines = [f"{{name: {n}, when: {w}, deploy: {{{d}}}}}" for n, (w, d) in zip("abc", written, strict=False)]
    text = f"version: 1\ntargets: {{t: {{project: gh/acme/other, branch: main}}}}\nrules: [{', '.join(lines)}]\n"
    found = specs(text).specs
    assert [(s.starts, s.is_recognised, s.sharing) for s in found] == expected
    assert not any(s.is_known_by_workflow for s in found if s.sharing)
