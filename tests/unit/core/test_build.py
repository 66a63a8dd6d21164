"""The environment of a build, read: every variable, and everything wrong at once."""

import base64

import pytest
from builds import DEFINITION, SHA, SHOP, WORKFLOW, build, environ, oidc, tag_build

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
    assert (read.ref, read.branch, read.tag, read.project) == (Branch("main"), "main", None, SHOP)
    assert (read.revision, read.user, read.build_num, read.workflow_id) == (SHA, "anna", 12, WORKFLOW)
    assert (read.node.index, read.node.total) == (0, 1)
    read = tag_build("v1.4.0")
    assert (read.ref, read.branch, read.tag) == (Tag("v1.4.0"), None, "v1.4.0")


@pytest.mark.parametrize("blank", ["", "<nil>"])
def test_unset_empty_and_nil_are_one(blank: str) -> None:
    names = ("TAG", "USERNAME", "PULL_REQUEST", "NODE_INDEX", "NODE_TOTAL")
    read = build(**{f"CIRCLE_{name}": blank for name in names})
    assert (read.tag, read.user, read.pull_requests, read.node.index, read.node.total) == (None, None, (), 0, 1)
    assert problems(CIRCLE_SHA1=blank) == ("CIRCLE_SHA1 is unset: expected a full revision, 40 hexadecimal digits",)


def test_everything_wrong_at_once() -> None:
    wrong = {"BRANCH": None, "SHA1": "4f2c1aa", "NODE_INDEX": "x", "BUILD_NUM": "-1", "OIDC_TOKEN": "one.two"}
    wrong["PULL_REQUEST"] = "https://github.com/acme/shop"
    found = problems(**{f"CIRCLE_{name}": value for name, value in wrong.items()})
    assert [p.split(" ")[0] for p in found] == [f"CIRCLE_{name}" for name in wrong]


def test_what_contradicts_itself() -> None:
    both = "CIRCLE_BRANCH is 'main' and CIRCLE_TAG is 'v1': expected one of them, the branch or the tag that is built"
    assert problems(CIRCLE_TAG="v1") == (both,)
    # every node would take itself for the first, and each would deploy
    first = "CIRCLE_NODE_INDEX is unset and CIRCLE_NODE_TOTAL is 2: expected an index below the total"
    assert problems(CIRCLE_NODE_INDEX=None, CIRCLE_NODE_TOTAL="2") == (first,)
    for node in ("4 4", "1 1", "0 0", "x 4", "00 4", "01 4", "0 04", "0 1e3", "٣ 4"):
        assert problems(CIRCLE_NODE_INDEX=node.split()[0], CIRCLE_NODE_TOTAL=node.split()[1]), node


def test_revisions() -> None:
    for sha in (SHA[:39], SHA + "0", SHA[:-1] + "g", SHA + "\n", " " + SHA, "HEAD", "0" * 40, "0" * 64):
        assert problems(CIRCLE_SHA1=sha)[0].startswith("CIRCLE_SHA1 is ")
    assert build(CIRCLE_SHA1=SHA.upper()).revision == SHA, "they are compared in lower case"
    assert build(CIRCLE_SHA1="a" * 64).revision == "a" * 64


# fmt: off
#: What the job's URL and the repository's say of the project.
PROJECTS = [
    ("https://circleci.com/bb/acme/shop/12", "git@github.com:acme/shop.git", "bb/acme/shop"),
    ("https://circleci.com/gh/Acme/SHOP/12", None, "gh/acme/shop"),
    ("https://app.circleci.com/pipelines/github/acme/shop/1", None, "gh/acme/shop"),
    ("https://circleci.com/gh/acme/other/12", "git@github.com:acme/shop.git", None),
    ("https://circleci.com/jobs/12", "https://github.acme.dev/acme/shop", None),
    ("https://circleci.com/circleci/9Yy/44n/12", None, None),
    (None, "ssh://git@ssh.github.com:443/acme/shop.git", "gh/acme/shop"),
    (None, "git@bitbucket.org:acme/shop.git", "bb/acme/shop"), ("https://[", None, None), (None, None, None),
]
HOSTS = {
    f"{CLOUD}/gh/a/b/1": CLOUD, "https://app.circleci.com/x": CLOUD, "nonsense": CLOUD, "https://[": CLOUD, None: CLOUD,
    "https://circleci.acme.dev:8443/gh/a/b/1": "https://circleci.acme.dev:8443",
    "https://evilcircleci.com/gh/a/b/1": "https://evilcircleci.com",
}
#: The variables whose names end so, and the numbers.
PULL_REQUESTS: list[tuple[dict[str, str | None], tuple[int, ...]]] = [
    ({"PULL_REQUEST": "https://github.com/Acme/SHOP/pull/42?x=1#top"}, (42,)),
    ({"PULL_REQUEST": "https://bitbucket.org/acme/shop/pull-requests/7/"}, (7,)),
    ({"PULL_REQUESTS": f"{OWN}/pull/9, {OWN}/pull/10"}, (9, 10)),
    ({"PULL_REQUEST": f"{OWN}/pull/10", "PULL_REQUESTS": f"{OWN}/pull/9,"}, (9, 10)),
    ({"PR_NUMBER": "3"}, (3,)), ({"PR_NUMBER": "3", "PULL_REQUEST": f"{OWN}/pull/42"}, (42,)),
    ({"BRANCH": "pull/5", "PULL_REQUEST": f"{OWN}/pull/4", "PR_NUMBER": "3"}, (5,)),
    ({"BRANCH": None, "TAG": "pull/5"}, ()), ({}, ()),
]
#: CircleCI calls a branch `pull/N` only where it is of a fork; then git's names for that.
BRANCHES = {
    "pull/5": 5, "pull/5/head": 5, "pull/5/merge": 5, "pull-requests/5/from": 5, "merge-requests/5/head": 5,
    "pull/5/tail": None, "pull/" + "9" * 19: None, "pull/" + "9" * 5_000: None, "xpull/7": None, "pull/x": None,
}
FORKS: list[tuple[dict[str, str | None], bool | None]] = [
    ({"PR_REPONAME": "shop", "PR_NUMBER": "7"}, None), ({"PR_USERNAME": "shop", "PR_NUMBER": "7"}, None),
    ({"PR_USERNAME": "mallory", "BRANCH": None, "TAG": "v1"}, None),
    ({"PR_USERNAME": "mallory", "BRANCH": "pull/7"}, True),
    ({"PR_NUMBER": "7"}, False), ({"PR_USERNAME": "<nil>"}, False),
]
REPOSITORIES = {
    "git@github.com:acme/shop.git": ("github.com", "acme/shop"),
    "ssh://git@ssh.github.com:443/acme/shop.git/": ("github.com", "acme/shop"),
    "git@github.com-work:acme/shop": ("github.com", "acme/shop"), "github.com/acme/shop": ("github.com", "acme/shop"),
    "https://anna:secret@bitbucket.org/acme/shop": ("bitbucket.org", "acme/shop"),
    "https://github.company.com/acme/shop": ("github.company.com", "acme/shop"),
    "https://evilgithub.com/acme/shop": ("evilgithub.com", "acme/shop"),
    "https://gitlab.com/acme/team/shop.git": ("gitlab.com", "acme/team/shop"),
    "/srv/git/shop.git": None, "shop": None, "": None, None: None,
}
# fmt: on


def built(variables: dict[str, str | None]) -> BuildContext:
    return build(**{f"CIRCLE_{name}": value for name, value in variables.items()})


def test_projects_hosts_and_repositories() -> None:
    for build_url, repository_url, slug in PROJECTS:
        project = build(CIRCLE_BUILD_URL=build_url, CIRCLE_REPOSITORY_URL=repository_url).project
        assert (project and str(project)) == slug, build_url
    owner = build(CIRCLE_BUILD_URL="https://circleci.com/gh/gh/shop/12", CIRCLE_PROJECT_USERNAME="gh")
    assert owner.project == ProjectSlug("gh", "gh", "shop")
    for text in ("gh/acme", "gh/acme/shop/x", "gl/acme/shop", "gh//shop", "gh/./x", "gh/../x", ""):
        assert ProjectSlug.parse(text) is None
    assert {url: build(CIRCLE_BUILD_URL=url).host for url in HOSTS} == HOSTS
    read = {url: Repository.parse(url) for url in REPOSITORIES}
    assert {url: found and (found.host, found.path) for url, found in read.items()} == REPOSITORIES


def test_pull_requests() -> None:
    for variables, numbers in PULL_REQUESTS:
        read = built(variables)
        assert (read.pull_requests, read.pull_request) == (numbers, min(numbers, default=None)), variables


def test_forks() -> None:
    for variables, fork in FORKS:
        assert built(variables).fork is fork, variables
    for name, number in BRANCHES.items():
        read = build(CIRCLE_BRANCH=name)
        assert (read.pull_request, read.fork) == (number, number is not None), name


def test_a_pull_request_of_another_repository_is_none_of_this_build() -> None:
    """A bot that syncs a fork has its pull request upstream; a script makes the number from its URL."""
    url, nameless = "https://github.com/upstream/shop/pull/4", {"CIRCLE_PROJECT_USERNAME": None}
    claimed = {"CIRCLE_REPOSITORY_URL": None, "CIRCLE_OIDC_TOKEN": oidc(vcs_origin=OWN[8:])}
    for changes in ({}, {"CIRCLE_PR_NUMBER": "4"}, nameless, {**nameless, **claimed}):
        assert build(CIRCLE_PULL_REQUEST=url, CIRCLE_PULL_REQUESTS=url, **changes).pull_requests == ()
    unknown = build(CIRCLE_PULL_REQUEST=url, CIRCLE_REPOSITORY_URL=None, **nameless)
    assert unknown.pull_requests == (4,), "where nothing names the repository"
    renamed = "git@github.com:upstream/shop.git"
    assert build(CIRCLE_PULL_REQUEST=url, CIRCLE_REPOSITORY_URL=renamed).pull_requests == (4,), "by both names"


def test_the_claims_of_a_token() -> None:
    token = oidc(ssh_rerun=True, pipeline_definition_id=DEFINITION, project_id="no-uuid")
    for read in (build(CIRCLE_OIDC_TOKEN=token), build(CIRCLE_OIDC_TOKEN_V2=token)):
        assert (read.ssh_rerun, read.definition_id, read.project_id, read.origin) == (True, DEFINITION, None, None)
    assert (build().ssh_rerun, build().definition_id, build().project_id, build().origin) == (False, None, None, None)
    upper = DEFINITION.upper()
    projects = [(WORKFLOW, WORKFLOW, WORKFLOW), (WORKFLOW, DEFINITION, None), (None, upper, upper)]
    for named, claimed, found in (*projects, (None, DEFINITION + "0", None), ("no-uuid", DEFINITION, DEFINITION)):
        assert build(CIRCLE_PROJECT_ID=named, CIRCLE_OIDC_TOKEN=oidc(project_id=claimed)).project_id == found


def test_a_token_that_cannot_be_read_is_not_shown() -> None:
    payloads = (base64.urlsafe_b64encode(data).decode().rstrip("=") for data in (b"[]", b"{", b"\xff", b"[" * 99_999))
    what = "CIRCLE_OIDC_TOKEN cannot be read: expected a JSON Web Token with claims"
    for token in ("x", "a.b", "a.b.c.d", "a.!!.c", *(f"h.{payload}.s" for payload in payloads)):
        assert problems(CIRCLE_OIDC_TOKEN=token) == (what,)


def test_variables_show_no_value() -> None:
    variables = Variables({"SECRET": "hunter2", "EMPTY": ""})
    assert "hunter2" not in repr(variables)
    assert variables.keys() == {"SECRET"}
    assert variables.first(("EMPTY", "NONE", "SECRET")) == "hunter2"
    assert variables.first(("EMPTY",)) is None
    assert Variables({"SECRET": "<nil>"}).get("SECRET") is None
    assert "hunter2" not in repr(BuildContext.from_environ(environ(MY_TOKEN="hunter2")))
