"""The deploy key: the same for one deploy whoever builds it, and never the same for two."""

import hashlib
from typing import Any

from builds import OTHER_SHA, SHA, build, environ, fork_environ, rules, tag_build
from hypothesis import given
from hypothesis import strategies as st

from deploystep.core.build import Branch, BuildContext, ProjectSlug, Tag
from deploystep.core.deploy import deploy_key, holds, keys_in, trigger_specs
from deploystep.core.frozen import replace
from deploystep.core.rules import Rule

UUID = "11111111-2222-4333-8444-555555555555"
WHEN = '{branch: "**", env: {REGION: "*", CELL: "*", _: "*"}}'


def rule(name: str = "production", parameters: str = "{deploy_key: '${deploy.key}'}", more: str = "") -> Rule:
    text = f'version: 1\nrules:\n  - {{name: "{name}", when: {WHEN}, deploy: {{workflow: w{more}, parameters: '
    return rules(f"{text}{parameters}}}}}\n").rules[0]


RULE = rule()
REGIONAL = rule(parameters="{region: 'x-${REGION}', c: '${CELL}', k: '${deploy.key}'}")


def of(**changes: str | None) -> str:
    return deploy_key(RULE, build(**changes))


def test_it_does_not_change_from_release_to_release() -> None:
    """Runs of earlier releases would not be known any more, and everything would be deployed again."""
    words = ["deploystep 1", "gh/acme/shop", "production", "branch", "main", SHA, "", "", "w"]
    plain = [*words, "deploy_key", "text ${deploy.key}"]
    sent = ["region", "text x-${REGION}", "c", "text ${CELL}", "k", "text ${deploy.key}"]
    regional = [*words, *sent, "CELL", "", "REGION", "eu"]
    for one, expected in ((deploy_key(RULE, build()), plain), (deploy_key(REGIONAL, build(REGION="eu")), regional)):
        text = "".join(f"{len(word)}:{word}" for word in expected)
        assert one == "ds-" + hashlib.sha256(text.encode()).hexdigest()[:24]


def test_the_same_for_every_build_of_the_commit_and_ref() -> None:
    rerun = {"CIRCLE_BUILD_NUM": "99", "CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/shop/99"}
    other = {"CIRCLE_WORKFLOW_ID": UUID, "CIRCLE_PIPELINE_ID": UUID, "CIRCLE_USERNAME": "bjorn"}
    nodes = {"CIRCLE_NODE_TOTAL": "4", "CIRCLE_PULL_REQUEST": "https://github.com/acme/shop/pull/42"}
    unused = {"REGION": "eu", "CIRCLE_JOB": "x", "CIRCLE_TOKEN": "t"}  # no parameter uses them
    assert of(**rerun, **other, **nodes, **unused) == of()


def test_one_pull_request_has_two_names() -> None:
    fork, head = BuildContext.from_environ(fork_environ(7)), Branch("pull/7/head")
    assert deploy_key(RULE, fork) == deploy_key(RULE, fork, head) == of(CIRCLE_BRANCH=head.name)
    others = ("pull/7", "pull/8", "pull/7/merge", "x/pull/7", "x/pull/7/head")
    assert len({of(CIRCLE_BRANCH=name) for name in others}) == 5


def test_another_for_whatever_makes_it_another_deploy() -> None:
    own = build()
    keys = [
        *(deploy_key(each, own) for each in (RULE, rule("staging"), rule("Production"), REGIONAL)),
        *(deploy_key(RULE, own, ref) for ref in (Branch("dev"), Tag("main"), Tag("pull/7/head"), Tag("pull/7"))),
        *(deploy_key(RULE, own, Branch("pull/7"), revision) for revision in (None, OTHER_SHA)),
        *(deploy_key(RULE, replace(own, project=p)) for p in (ProjectSlug("gh", "acme", "other"), None)),
    ]
    head = "version: 1\ntargets: {t: {project: gh/acme/deployer, %s: x}}\nrules:\n"
    target = head + "  - {name: production, when: {branch: main}, deploy: {to: t, workflow: w}}\n"
    keys += [deploy_key(rules(target % kind).rules[0], own) for kind in ("branch", "tag")]
    assert len(set(keys)) == len(keys)
    assert deploy_key(RULE, own, Tag("v1")) == deploy_key(RULE, tag_build("v1"))
    assert deploy_key(RULE, own, revision=OTHER_SHA) == of(CIRCLE_SHA1=OTHER_SHA)
    ids = (UUID, UUID[:-1] + "6", None)
    unnamed = [build(CIRCLE_BUILD_URL=None, CIRCLE_REPOSITORY_URL=None, CIRCLE_PROJECT_ID=each) for each in ids]
    assert len({deploy_key(RULE, each) for each in unnamed}) == 3, "without a name, the project's id tells"


def test_what_the_rule_sends_is_part_of_the_deploy_and_what_a_rerun_changes_is_not() -> None:
    """Two rule files of one repository can have rules of one name, and one rule can be sent by several jobs."""
    sent = ("{x: 1}", "{x: '1'}", "{x: true}", "{x: 'true'}", "{y: 1}", "{x: '${CIRCLE_JOB}'}", "{x: 1, y: 1}")
    keys = {deploy_key(rule(parameters=each), build()) for each in sent}
    assert len(keys | {deploy_key(rule(more="2", parameters="{x: 1}"), build())}) == len(sent) + 1
    for name, are in (("CIRCLE_JOB", 2), ("CIRCLE_BUILD_NUM", 1)):
        using = rule(parameters=f"{{x: '${{{name}}}'}}")
        assert len({deploy_key(using, build(**{name: value})) for value in ("2", "3")}) == are


def test_again_is_told_from_the_first_and_is_known_as_the_same_deploy() -> None:
    """Who sends again needs to know its own run; a build that comes later must see that it has been deployed."""
    first, again, third = of(), deploy_key(RULE, build(), once="job-1"), deploy_key(RULE, build(), once="\udcff")
    assert len({first, again, third}) == 3
    for one in (first, again, third):
        assert keys_in(one) == {one}
        assert all(holds(f"a: prod{other}abc", one) for other in (first, again, third)), "whatever it is joined to"
        assert not holds(deploy_key(RULE, build(), revision=OTHER_SHA, once="job-1"), one)
        assert not holds(f"a: {one[:18]}", one)
    assert deploy_key(RULE, build(), once="") == first


# No two deploys have one key

identities = st.tuples(
    st.sampled_from(["gh/acme/shop", "gh/acme/shop2", "gh/acme2/shop"]), st.booleans(),
    st.sampled_from(["main", "v1", "1:a", "main6:branch"]), st.sampled_from([SHA, OTHER_SHA]),
    st.sampled_from([None, "", "eu", "us", "eu4:CELL"]), st.sampled_from([None, "eu", "us", "6:REGION"]),
)  # fmt: skip


def key_of(it: tuple[Any, ...], **more: str) -> str:
    project, is_tag, ref, sha, region, cell = it
    named = {"CIRCLE_TAG": ref, "CIRCLE_BRANCH": None} if is_tag else {"CIRCLE_BRANCH": ref}
    said = environ(**{**named, "CIRCLE_SHA1": sha, "REGION": region, "CELL": cell, **more})
    return deploy_key(REGIONAL, replace(BuildContext.from_environ(said), project=ProjectSlug.parse(project)))


@given(identities, identities, st.integers(1, 10**6))
def test_keys_are_the_same_exactly_where_the_deploys_are(one: Any, other: Any, number: int) -> None:
    plain = [(*it[:4], it[4] or "", it[5] or "") for it in (one, other)]  # no parameter sends a variable that is unset
    assert (key_of(one) == key_of(other, CIRCLE_BUILD_NUM=str(number))) is (plain[0] == plain[1])


# fmt: off
#: What is deployed, and the variables of one's own that it uses; if its trigger has a key, is recognised later, and
#: is known by its workflow alone.
TRIGGERS: list[tuple[str, str, list[bool]]] = [
    ("workflow: w, parameters: {k: '${deploy.key}'}", "", [True, True, True]),
    ("workflow: w, parameters: {a: 'x-${deploy.key}-y'}", "", [True, True, True]),
    ("workflow: w, parameters: {a: x, b: 1, c: true, d: '$${deploy.key}', e: '$${REGION}'}", "", [False, True, True]),
    ("workflow: w, parameters: {a: '${CIRCLE_SHA1}', c: '${branch.slug}'}", "", [False, True, True]),
    ("workflow: w, parameters: {a: '${REGION}${CELL}', b: '${REGION}${_}'}", "CELL REGION _", [False, True, False]),
    ("to: t, workflow: w, parameters: {k: '${deploy.key}'}", "", [True, True, False]),
    ("to: t, workflow: w", "", [False, False, False]), ("workflow: w", "", [False, True, True]),
    ("parameters: {k: '${deploy.key}'}", "", [True, True, False]), ("parameters: {x: 1}", "", [False, False, False]),
    ("job: j, parameters: {k: '${deploy.key}'}", "", [False, True, True]),  # a job shows no configuration
]
# fmt: on


def test_what_parameters_use_and_by_what_the_runs_of_a_trigger_are_known() -> None:
    target = "{t: {project: gh/acme/deployer, branch: main}}"
    for deploy, variables, known in TRIGGERS:
        one = f"{{name: a, when: {WHEN}, deploy: {{{deploy}}}}}"
        read = rules(f"version: 1\ntargets: {target}\nrules: [{one}]\n")
        (spec,) = trigger_specs(read, read.rules, build(REGION="eu", CELL="1", _="x")).specs
        assert [spec.key is not None, spec.is_recognised, spec.is_known_by_workflow] == known, deploy
        assert spec.own_variables == tuple(variables.split())
        assert {spec.key} - {None} <= keys_in(str([*spec.parameters.values()]))


def test_keys_in_a_text() -> None:
    key = "ds-0123456789abcdef01234567"
    for text in (f"DEPLOY_KEY: {key}", f'"{key}"', f"x-{key}-y {key}"):
        assert keys_in(text) == {key}
    assert keys_in(f"{key} {key[:-1]}8") == {key, key[:-1] + "8"}
    # too short, a digest of something else, part of a word, no hexadecimal digits
    for text in ("", key[:-1], key + "8", "a" + key, key.upper(), key[:-1] + "g"):
        assert keys_in(text) == set()
