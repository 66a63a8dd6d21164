"""The environment of a build, read: every variable, and everything wrong at once."""

from __future__ import annotations

import base64

import pytest
from builds import DEFINITION, SHA, WORKFLOW, build, environ, oidc, tag_build

from deploystep.core.build import Branch, BuildContext, ProjectSlug, Repository, Tag, Variables
from deploystep.core.errors import EnvironmentInvalid

OWN, CLOUD = "https://github.com/acme/shop", "https://circleci.com"


def problems(**changes: str | None) -> tuple[str, ...]:
    with pytest.raises(EnvironmentInvalid) as caught:
        build(**changes)
    assert caught.value.hints
    return caught.value.problems


def test_a_build_of_a_branch_and_of_a_tag() -> None:
    read = build()
    assert (read.ref, read.branch, read.tag, read.host) == (Branch("main"), "main", None, CLOUD)
    assert (read.project, read.pull_request) == (ProjectSlug("gh", "acme", "shop"), None)
    assert (read.revision, read.user, read.fork, read.build_num) == (SHA, "anna", False, 12)
    assert (read.node.index, read.node.total, read.workflow_id) == (0, 1, WORKFLOW)
    read = tag_build("v1.4.0")
    assert (read.ref, read.branch, read.tag) == (Tag("v1.4.0"), None, "v1.4.0")


@pytest.mark.parametrize("blank", ["", "<nil>"])
def test_unset_empty_and_nil_are_one(blank: str) -> None:
    read = build(CIRCLE_TAG=blank, CIRCLE_USERNAME=blank, CIRCLE_PULL_REQUEST=blank, CIRCLE_NODE_TOTAL=blank)
    assert (read.tag, read.user, read.pull_requests, read.node.total) == (None, None, (), 1)
    assert problems(CIRCLE_SHA1=blank) == ("CIRCLE_SHA1 is unset: expected a full revision, 40 hexadecimal digits",)


def test_everything_wrong_at_once() -> None:
    found = problems(
        CIRCLE_BRANCH=None,
        CIRCLE_SHA1="4f2c1aa",
        CIRCLE_NODE_INDEX="x",
        CIRCLE_PULL_REQUEST="https://github.com/acme/shop",
        CIRCLE_BUILD_NUM="-1",
        CIRCLE_OIDC_TOKEN="one.two",
    )
    names = ("BRANCH", "SHA1", "NODE_INDEX", "BUILD_NUM", "OIDC_TOKEN", "PULL_REQUEST")
    assert [p.split(" ")[0] for p in found] == [f"CIRCLE_{name}" for name in names]


def test_what_contradicts_itself() -> None:
    (problem,) = problems(CIRCLE_TAG="v1")
    assert (
        problem
        == "CIRCLE_BRANCH is 'main' and CIRCLE_TAG is 'v1': expected one of them, the branch or the tag that is built"
    )
    # every node would take itself for the first, and each would deploy
    (problem,) = problems(CIRCLE_NODE_INDEX=None, CIRCLE_NODE_TOTAL="4")
    assert problem == "CIRCLE_NODE_INDEX is unset and CIRCLE_NODE_TOTAL is 4: expected an index below the total"
    for node in ("4 4", "1 1", "0 0", "x 4", "00 4", "01 4", "0 04", "0 1e3", "٣ 4"):
        assert problems(CIRCLE_NODE_INDEX=node.split()[0], CIRCLE_NODE_TOTAL=node.split()[1]), node


def test_revisions() -> None:
    for sha in (SHA[:39], SHA + "0", SHA[:-1] + "g", SHA + "\n", " " + SHA, "HEAD", "0" * 40, "0" * 64):
        assert problems(CIRCLE_SHA1=sha)[0].startswith("CIRCLE_SHA1 is ")
    assert build(CIRCLE_SHA1=SHA.upper()).revision == SHA, "they are compared in lower case"
    assert build(CIRCLE_SHA1="a" * 64).revision == "a" * 64


@pytest.mark.parametrize(
    ("build_url", "repository_url", "slug"),
    [
        ("https://circleci.com/gh/acme/shop/12", None, "gh/acme/shop"),
        ("https://circleci.com/bb/acme/shop/12", "git@github.com:acme/shop.git", "bb/acme/shop"),
        ("https://circleci.com/gh/Acme/SHOP/12", None, "gh/acme/shop"),
        ("https://circleci.com/gh/acme/other/12", "git@github.com:acme/shop.git", None),
        ("https://circleci.com/jobs/12", "https://github.acme.dev/acme/shop", None),
        (None, "https://github.company.com/acme/shop", None),
        (None, "ssh://git@ssh.github.com:443/acme/shop.git", "gh/acme/shop"),
        ("https://app.circleci.com/pipelines/github/acme/shop/1", None, "gh/acme/shop"),
        (None, "git@bitbucket.org:acme/shop.git", "bb/acme/shop"),
        ("https://circleci.com/circleci/9Yy/44n/12", None, None),
        ("https://[", None, None),
        (None, None, None),
    ],
)
def test_projects(build_url: str | None, repository_url: str | None, slug: str | None) -> None:
    read = build(CIRCLE_BUILD_URL=build_url, CIRCLE_REPOSITORY_URL=repository_url)
    assert (None if read.project is None else str(read.project)) == slug


def test_slugs() -> None:
    read = build(CIRCLE_BUILD_URL="https://circleci.com/gh/gh/shop/12", CIRCLE_PROJECT_USERNAME="gh")
    assert str(read.project) == "gh/gh/shop"
    for text in ("gh/acme", "gh/acme/shop/x", "gl/acme/shop", "gh//shop", "gh/./x", "gh/../x", ""):
        assert ProjectSlug.parse(text) is None


@pytest.mark.parametrize(
    ("url", "host"),
    [
        *((url, CLOUD) for url in (f"{CLOUD}/gh/a/b/1", "https://app.circleci.com/x", "nonsense", "https://[", None)),
        ("https://circleci.acme.dev:8443/gh/a/b/1", "https://circleci.acme.dev:8443"),
        ("https://evilcircleci.com/gh/a/b/1", "https://evilcircleci.com"),
    ],
)
def test_hosts(url: str | None, host: str) -> None:
    assert build(CIRCLE_BUILD_URL=url).host == host


@pytest.mark.parametrize(
    ("variables", "numbers"),
    [
        ({"CIRCLE_PULL_REQUEST": f"{OWN}/pull/42"}, (42,)),
        ({"CIRCLE_PULL_REQUEST": "https://github.com/Acme/SHOP/pull/42?x=1#top"}, (42,)),
        ({"CIRCLE_PULL_REQUEST": "https://bitbucket.org/acme/shop/pull-requests/7/"}, (7,)),
        ({"CIRCLE_PULL_REQUESTS": f"{OWN}/pull/9, {OWN}/pull/10"}, (9, 10)),
        ({"CIRCLE_PULL_REQUEST": f"{OWN}/pull/10", "CIRCLE_PULL_REQUESTS": f"{OWN}/pull/9,"}, (9, 10)),
        ({"CIRCLE_PR_NUMBER": "3"}, (3,)),
        ({"CIRCLE_PR_NUMBER": "3", "CIRCLE_PULL_REQUEST": f"{OWN}/pull/42"}, (42,)),
        *(({"CIRCLE_BRANCH": f"pull/5{end}"}, (5,)) for end in ("", "/head", "/merge")),
        *(({"CIRCLE_BRANCH": name}, (5,)) for name in ("pull-requests/5/from", "merge-requests/5/head")),
        ({"CIRCLE_BRANCH": "pull/5", "CIRCLE_PULL_REQUEST": f"{OWN}/pull/4", "CIRCLE_PR_NUMBER": "3"}, (5,)),
        *(({"CIRCLE_BRANCH": name}, ()) for name in ("pull/5/tail", "pull/" + "9" * 19, "pull/" + "9" * 5_000)),
        ({"CIRCLE_BRANCH": None, "CIRCLE_TAG": "pull/5"}, ()),
        ({}, ()),
    ],
)
def test_pull_requests(variables: dict[str, str | None], numbers: tuple[int, ...]) -> None:
    read = build(**variables)
    assert read.pull_requests == numbers
    assert read.pull_request == min(numbers, default=None)


@pytest.mark.parametrize(
    ("variables", "fork"),
    [
        *(({name: "shop", "CIRCLE_PR_NUMBER": "7"}, None) for name in ("CIRCLE_PR_REPONAME", "CIRCLE_PR_USERNAME")),
        ({"CIRCLE_PR_USERNAME": "mallory", "CIRCLE_BRANCH": None, "CIRCLE_TAG": "v1"}, None),
        ({"CIRCLE_BRANCH": "pull/7", "CIRCLE_PR_USERNAME": "mallory"}, True),
        *(({"CIRCLE_BRANCH": n}, True) for n in ("pull/7", "pull/7/head", "pull/7/merge", "merge-requests/7/head")),
        *(({"CIRCLE_BRANCH": name}, False) for name in ("xpull/7", "pull/x")),
        ({"CIRCLE_PR_NUMBER": "7"}, False),
        ({"CIRCLE_PR_USERNAME": "<nil>"}, False),
    ],
)
def test_forks(variables: dict[str, str | None], fork: bool | None) -> None:  # noqa: FBT001 - a column
    assert build(**variables).fork is fork


def test_a_pull_request_of_another_repository_is_none_of_this_build() -> None:
    """A bot that syncs a fork has its pull request upstream; a script makes the number from its URL."""
    url, nameless = "https://github.com/upstream/shop/pull/4", {"CIRCLE_PROJECT_USERNAME": None}
    claimed = {"CIRCLE_REPOSITORY_URL": None, "CIRCLE_OIDC_TOKEN": oidc(vcs_origin=OWN[8:])}
    for changes in ({}, {"CIRCLE_PR_NUMBER": "4"}, nameless, {**nameless, **claimed}):
        read = build(CIRCLE_PULL_REQUEST=url, CIRCLE_PULL_REQUESTS=url, **changes)
        assert read.pull_requests == ()
    unknown = build(CIRCLE_PULL_REQUEST=url, CIRCLE_REPOSITORY_URL=None, **nameless)
    assert unknown.pull_requests == (4,), "where nothing names the repository"
    renamed = "git@github.com:upstream/shop.git"
    assert build(CIRCLE_PULL_REQUEST=url, CIRCLE_REPOSITORY_URL=renamed).pull_requests == (4,), "by both names"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("git@github.com:acme/shop.git", ("github.com", "acme/shop")),
        ("ssh://git@ssh.github.com:443/acme/shop.git/", ("github.com", "acme/shop")),
        ("git@github.com-work:acme/shop", ("github.com", "acme/shop")),
        ("https://anna:secret@bitbucket.org/acme/shop", ("bitbucket.org", "acme/shop")),
        ("github.com/acme/shop", ("github.com", "acme/shop")),
        ("https://github.company.com/acme/shop", ("github.company.com", "acme/shop")),
        ("https://evilgithub.com/acme/shop", ("evilgithub.com", "acme/shop")),
        ("https://gitlab.com/acme/team/shop.git", ("gitlab.com", "acme/team/shop")),
        ("/srv/git/shop.git", None),
        ("shop", None),
        ("", None),
        (None, None),
    ],
)
def test_repositories(url: str | None, found: tuple[str, str] | None) -> None:
    read = Repository.parse(url)
    assert (read and (read.host, read.path)) == found


def test_claims() -> None:
    token = oidc(ssh_rerun=True, pipeline_definition_id=DEFINITION, project_id="no-uuid")
    for read in (build(CIRCLE_OIDC_TOKEN=token), build(CIRCLE_OIDC_TOKEN_V2=token)):
        assert (read.ssh_rerun, read.definition_id, read.project_id, read.origin) == (True, DEFINITION, None, None)
    assert (build().ssh_rerun, build().definition_id, build().project_id, build().origin) == (False, None, None, None)


@pytest.mark.parametrize(
    ("named", "claimed", "found"),
    [
        (WORKFLOW, WORKFLOW, WORKFLOW),
        (WORKFLOW, DEFINITION, None),
        (None, DEFINITION.upper(), DEFINITION.upper()),
        (None, DEFINITION + "0", None),
        ("no-uuid", DEFINITION, DEFINITION),
    ],
)
def test_the_projects_id(named: str | None, claimed: str, found: str | None) -> None:
    assert build(CIRCLE_PROJECT_ID=named, CIRCLE_OIDC_TOKEN=oidc(project_id=claimed)).project_id == found


def test_a_token_that_cannot_be_read_is_not_shown() -> None:
    payloads = (base64.urlsafe_b64encode(data).decode().rstrip("=") for data in (b"[]", b"{", b"\xff", b"[" * 99_999))
    for token in ("x", "a.b", "a.b.c.d", "a.!!.c", *(f"h.{payload}.s" for payload in payloads)):
        (problem,) = problems(CIRCLE_OIDC_TOKEN=token)
        assert problem == "CIRCLE_OIDC_TOKEN cannot be read: expected a JSON Web Token with claims"


def test_variables_show_no_value() -> None:
    variables = Variables({"SECRET": "hunter2", "EMPTY": ""})
    assert "hunter2" not in repr(variables)
    assert variables.keys() == {"SECRET"}
    assert variables.first(("EMPTY", "NONE", "SECRET")) == "hunter2"
    assert variables.first(("EMPTY",)) is None
    assert Variables({"SECRET": "<nil>"}).get("SECRET") is None
    assert "hunter2" not in repr(BuildContext.from_environ(environ(MY_TOKEN="hunter2")))
