"""Facts that stand for a build."""

import pytest

from deploystep.core.build import Branch, Tag
from deploystep.core.errors import RuleFileInvalid
from deploystep.core.rules import Given
from deploystep.core.source import Pos, SourceFile, Span
from deploystep.rulefile.given import REVISION, read_given


def given(text: str) -> Given:
    return read_given(SourceFile("given.yml", text))


def test_a_branch_is_enough() -> None:
    facts = given("branch: main")
    build = facts.build
    assert (build.ref, build.revision, build.user, build.pull_requests) == (Branch("main"), REVISION, None, ())
    assert (build.project, build.node.index, build.node.total, build.fork) == (None, 0, 1, False)
    assert build.variables.keys() == {"CIRCLE_SHA1", "CIRCLE_BRANCH"}
    assert (facts.now, facts.changed, facts.merged_into, facts.author, facts.message, facts.jobs) == (None,) * 6


def test_every_fact_can_be_stated() -> None:
    facts = given(
        "tag: v1\nsha: ABCDEF0123456789abcdef0123456789abcdef01\nchanged: [a b, '*']\nmerged_into: []\n"
        "pull_request: 42\nfork: true\nuser: 'dependabot[bot]'\nauthor: a@b\nmessage: ''\nenv: {A: '', B: 1.10}\n"
        "jobs: {test: success}\nnow: 2026-06-16 10:00 Europe/Berlin\n"
    )
    build = facts.build
    assert (build.ref, build.revision) == (Tag("v1"), "abcdef0123456789abcdef0123456789abcdef01")
    assert (facts.changed, facts.merged_into, facts.author, facts.message) == (("a b", "*"), (), "a@b", "")
    assert (build.pull_requests, build.fork, build.user) == ((42,), True, "dependabot[bot]")
    assert (build.variables.get("A"), build.variables.get("B")) == (None, "1.10")
    assert build.variables.get("CIRCLE_TAG") == "v1"
    assert facts.now is not None
    assert facts.now.span == Span(Pos(12, 6), 30)
    assert facts.jobs == {"test": "success"}


def test_json_with_escapes_is_read() -> None:
    facts = given('\ufeff{\n"branch": "", "message": "a\\ud83d\\ude00\\/b"}')
    assert (facts.build.ref, facts.message) == (Branch(""), "a😀/b")


NAMES = ("a b", "x;$(curl)", "..", "refs/heads/x", "**", "é", "1.10")
REFS = [
    *((f"branch: '{name}'", Branch(name)) for name in NAMES),
    *(("branch: on", Branch("on")), ("branch: x\ntag: ''", Branch("x")), ("branch: ''\ntag: v1", Tag("v1"))),
    *(("branch: ''\ntag: ''", Branch("")), ("tag: ''", Tag(""))),
]


@pytest.mark.parametrize(("text", "ref"), REFS)
def test_a_ref_may_have_any_name_and_an_empty_one_is_not_there(text: str, ref: Branch | Tag) -> None:
    assert given(text).build.ref == ref


@pytest.mark.parametrize(
    ("text", "fork", "numbers"),
    [
        ("branch: pull/7", True, (7,)),
        ("branch: pull/7\nfork: false", True, (7,)),
        ("branch: pull/7\npull_request: false", True, ()),
        ("branch: pull/7\npull_request: 9", True, (9,)),
        ("branch: main\nfork: true", True, ()),
        ("branch: main\nenv: {CIRCLE_PR_USERNAME: cleo}", None, ()),
        ("branch: main\nfork: false\nenv: {CIRCLE_PR_USERNAME: cleo}", False, ()),
        ("tag: pull/7", False, ()),
    ],
)
def test_forks_and_pull_requests(text: str, *, fork: bool | None, numbers: tuple[int, ...]) -> None:
    build = given(text).build
    assert (build.fork, build.pull_requests) == (fork, numbers)


def test_env_cannot_contradict_the_other_facts() -> None:
    env = "env: {CIRCLE_BRANCH: x, CIRCLE_TAG: y, CIRCLE_SHA1: z, CIRCLE_USERNAME: anna}"
    build = given(f"branch: main\n{env}").build
    assert (build.variables.get("CIRCLE_BRANCH"), build.variables.get("CIRCLE_TAG")) == ("main", None)
    assert (build.variables.get("CIRCLE_SHA1"), build.user) == (REVISION, "anna")
    assert given(f"branch: main\nuser: ''\n{env}").build.user is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1 E014 the file is empty"),
        ("{}", "1:1 E103 this build has no 'branch' or 'tag'"),
        ("branch: main\ntag: v1", "2:1 E301 a CircleCI build has a branch or a tag, never both"),
        ("branch: a\npaths: [x]", "2:1 E102 unknown fact 'paths'"),
        ("branch: a\nsha: abc", "2:6 E104 'abc' is not a full revision"),
        ("branch: a\npull_request: 0", "2:15 E104 '0' is not a number or false"),
        ("branch: a\nchanged: ['']", "2:11 E108 '' is no value"),
        ('branch: "\\ud83d"', "1:9 E007 half a character cannot be written here"),
        ("branch: a\nnow: 9999-01-01 00:00", "2:6 E403 cannot read the time '9999-01-01 00:00': no build runs in the"),
        ("branch: a\nnow: 2026-06-16 10:00 Mars/Base", "2:6 E401 unknown time zone 'Mars/Base'"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(RuleFileInvalid) as caught:
        given(text)
    (found,) = caught.value.diagnostics
    assert f"{found.span.line}:{found.span.start.column} {found.code} {found.message}".startswith(message)
