"""The build that is being judged, read from the environment that CircleCI gives a job.

Facts about the variables: CircleCI docs, "Project values and variables", built-in environment variables.
An unset variable, an empty one and the text `<nil>` (what an empty pipeline value becomes) are the same: blank.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from deploystep.core.errors import EnvironmentInvalid
from deploystep.core.frozen import dataclass

#: Every variable of the build's environment that is read, and what for. The docs table is made from it; when each is
#: set, and what happens when it is missing or contradicts another, is in docs/environment.md.
ENV: Final[Mapping[str, str]] = {
    "CIRCLECI": "`true` in a build; without it `run` refuses to trigger anything",
    "CIRCLE_NODE_INDEX": "which parallel node this is; every node but 0 ends at once",
    "CIRCLE_NODE_TOTAL": "how many parallel nodes the job has",
    "CIRCLE_SHA1": "the revision that was tested and is deployed",
    "CIRCLE_BRANCH": "the branch that is built; unset in tag builds",
    "CIRCLE_TAG": "the tag that is built; unset in branch builds",
    "CIRCLE_PULL_REQUEST": "URL of a pull request of this branch; one of another repository does not count",
    "CIRCLE_PULL_REQUESTS": "URLs of all its pull requests, separated by commas",
    "CIRCLE_PR_NUMBER": "number of a forked pull request; counts where no URL is set",
    "CIRCLE_PR_REPONAME": "set when the build is of a fork, whose branch is called `pull/N`",
    "CIRCLE_PR_USERNAME": "as `CIRCLE_PR_REPONAME`",
    "CIRCLE_USERNAME": "the user that started the build; set only for people with a CircleCI account",
    "CIRCLE_PROJECT_USERNAME": "organization part of the project slug",
    "CIRCLE_PROJECT_REPONAME": "repository part of the project slug",
    "CIRCLE_REPOSITORY_URL": "tells GitHub from Bitbucket, and which pull requests are of this repository",
    "CIRCLE_BUILD_URL": "tells GitHub from Bitbucket, and the host of a CircleCI Server",
    "CIRCLE_BUILD_NUM": "number of this job, by which its other nodes are looked at",
    "CIRCLE_PIPELINE_ID": "this build's own pipeline; it tells the project slug where no variable does",
    "CIRCLE_WORKFLOW_ID": "the workflow that this job belongs to",
    "CIRCLE_JOB": "this job, which no rule can require",
    "CIRCLE_WORKFLOW_JOB_ID": "makes the deploy key of `--again` one of this job alone",
    "CIRCLE_PROJECT_ID": "names the project to API v3",
    "CIRCLE_OIDC_TOKEN": "claims of the build: pipeline definition, repository, rerun with SSH (read, never sent)",
    "CIRCLE_OIDC_TOKEN_V2": "the same, where the first is not set",
}

CLOUD: Final = "https://circleci.com"
#: CircleCI sets these only in builds of forks (GitHub OAuth, Bitbucket Cloud).
FORK_VARIABLES: Final = ("CIRCLE_PR_REPONAME", "CIRCLE_PR_USERNAME")
_BLANK: Final = frozenset({"", "<nil>"})
_VCS: Final = {"gh": "gh", "github": "gh", "bb": "bb", "bitbucket": "bb", "circleci": "circleci"}
_REVISION: Final = re.compile(r"(?!0+\Z)[0-9a-f]{40}(?:[0-9a-f]{24})?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")  # one that fits 64 bits
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: What variables must hold where they hold something.
_FORMS: Final = {
    "CIRCLE_SHA1": (_REVISION, "a full revision, 40 hexadecimal digits"),
    **dict.fromkeys(
        ("CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", "CIRCLE_BUILD_NUM", "CIRCLE_PR_NUMBER"), (_NUMBER, "a whole number")
    ),
}
#: Path of a pull request: of which repository, and its number.
_PR_PATH: Final = re.compile(
    r"/*(?P<path>.*?)(?:/-)?(?:/(?:pulls?|pull-requests|merge_requests))?/(?P<number>\d{1,18})/?", re.ASCII
)
#: The branch of a forked pull request: CircleCI calls it `pull/N`; the others are git's names for it, at GitHub,
#: Bitbucket Data Center and GitLab, by which a build can be triggered through the API.
_PR_BRANCH: Final = re.compile(r"(?:pull|pull-requests|merge-requests)/(\d+)(?:/(?:head|merge|from))?", re.ASCII)
#: What a job's URL says of its project, as in `…/gh/acme/shop/12` or `…/pipelines/github/acme/shop/12`.
_JOB_PATH: Final = re.compile(r"/(?:[^/]+/)??(gh|github|bb|bitbucket|circleci)/([^/]+)/([^/]+)")
_REMOTE: Final = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/@]*@)?(?P<host>[^/:@]+)(?::\d+(?=/))?[:/]/*(?P<path>[^?#]+?)(?:\.git)?/*",
    re.IGNORECASE,
)
#: With a subdomain (ssh.github.com), or as the aliases are called that people give hosts in ssh's config.
_KNOWN_HOST: Final = re.compile(r"(?:.*\.)?(github\.com|bitbucket\.org)(?:-.*)?", re.IGNORECASE)


class Variables:
    """An environment in which blank is one thing. Its repr shows no value, for values may be secrets."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def get(self, name: str) -> str | None:
        """The value, or None where the variable is unset, empty or `<nil>`."""
        value = self._values.get(name, "")
        return None if value in _BLANK else value

    def first(self, names: Iterable[str]) -> str | None:
        """The first of these variables that is not blank."""
        return next((value for name in names if (value := self.get(name)) is not None), None)

    def names(self) -> frozenset[str]:
        """Names of the variables that are not blank."""
        return frozenset(name for name, value in self._values.items() if value not in _BLANK)

    def __repr__(self) -> str:
        return f"Variables({len(self._values)} masked)"


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch by its bare name."""

    name: str


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag by its bare name."""

    name: str


@dataclass(frozen=True, slots=True)
class ProjectSlug:
    """A project as CircleCI's API names it: `gh/acme/shop`, `bb/acme/shop` or `circleci/ORG/PROJECT`."""

    vcs: str
    organization: str
    project: str

    @classmethod
    def parse(cls, text: str) -> "ProjectSlug | None":
        """Read `vcs/organization/project`; None where it is not one. `github` becomes `gh`."""
        parts = text.split("/")
        if len(parts) != 3 or parts[0] not in _VCS or any(p in ("", ".", "..") for p in parts):  # noqa: PLR2004
            return None
        return cls(_VCS[parts[0]], parts[1], parts[2])

    def __str__(self) -> str:
        return f"{self.vcs}/{self.organization}/{self.project}"


@dataclass(frozen=True, slots=True)
class Repository:
    """Where a repository is: `host` is github.com, bitbucket.org or what its URL says; `path` as `acme/shop`."""

    host: str
    path: str

    @classmethod
    def parse(cls, url: str | None) -> "Repository | None":
        """Read a remote's URL: `git@github.com:acme/shop.git`, with https, or without a scheme; else None."""
        found = _REMOTE.fullmatch(url or "")
        if found is None:
            return None
        known = _KNOWN_HOST.fullmatch(found["host"])
        return cls(known[1].lower() if known else found["host"], found["path"])

    @property
    def vcs(self) -> str | None:
        """How a project slug begins; None where the host does not tell."""
        return {"github.com": "gh", "bitbucket.org": "bb"}.get(self.host)


@dataclass(frozen=True, slots=True)
class ParallelNode:
    """One node of a job with `parallelism`: its index from 0, and how many there are."""

    index: int
    total: int

    @property
    def others(self) -> str:
        """The other nodes, for people."""
        return "the other node" if self.total == 2 else f"the other {self.total - 1} nodes"  # noqa: PLR2004

    def __str__(self) -> str:
        return f"node {self.index} of {self.total}"


@dataclass(frozen=True, slots=True)
class Claims:
    """What the build's OIDC token says (CircleCI docs, "Using OpenID Connect tokens in jobs").

    The signature is not checked: the token comes from the job's own environment and is used as a hint.
    """

    ssh_rerun: bool = False
    definition_id: str | None = None
    project_id: str | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class BuildContext:
    """One build, as far as its environment tells.

    `project` is None where only CircleCI's API knows it, `fork` where variables contradict one another.
    `foreign_requests` are URLs of pull requests of other repositories, which are none of this build's.
    """

    project: ProjectSlug | None
    ref: Branch | Tag
    revision: str
    node: ParallelNode
    pull_requests: tuple[int, ...]
    fork: bool | None
    user: str | None
    variables: Variables
    host: str = CLOUD
    pipeline_id: str | None = None
    workflow_id: str | None = None
    build_num: int | None = None
    claims: Claims = Claims()
    foreign_requests: tuple[str, ...] = ()

    @property
    def branch(self) -> str | None:
        """Name of the branch, None in a tag build."""
        return self.ref.name if isinstance(self.ref, Branch) else None

    @property
    def tag(self) -> str | None:
        """Name of the tag, None in a branch build."""
        return self.ref.name if isinstance(self.ref, Tag) else None

    @property
    def pull_request(self) -> int | None:
        """The pull request's number; the oldest where there are several."""
        return min(self.pull_requests, default=None)

    @property
    def project_id(self) -> str | None:
        """The project's UUID, by which API v3 knows it; None where variable and token name two."""
        named = {_uuid(self.variables.get("CIRCLE_PROJECT_ID")), self.claims.project_id} - {None}
        return named.pop() if len(named) == 1 else None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "BuildContext":
        """Read a build's environment. Raises EnvironmentInvalid with every problem at once."""
        variables, problems = Variables(environ), list[str]()
        ref = _ref(variables, problems)
        for name, (form, what) in _FORMS.items():
            value = variables.get(name)
            if (value is not None or name == "CIRCLE_SHA1") and not form.fullmatch(value or ""):
                problems.append(f"{name} is {_shown(value)}: expected {what}")
        claims = _claims(variables, problems)
        requests, foreign = _pull_requests(variables, ref, claims, problems)
        node = _node(variables, problems)
        if problems:
            raise EnvironmentInvalid(
                "environment-invalid",
                "the environment does not describe a build",
                "CircleCI sets these variables: see what else does, in the project's settings, contexts and config",
                "see what a build would do from any clone with  deploystep plan",
                problems=tuple(problems),
            )
        return cls(
            project=_project(variables),
            ref=ref,
            revision=(variables.get("CIRCLE_SHA1") or "").lower(),
            node=node,
            pull_requests=requests,
            fork=is_fork(variables, ref),
            user=variables.get("CIRCLE_USERNAME"),
            host=_host(variables),
            pipeline_id=variables.get("CIRCLE_PIPELINE_ID"),
            workflow_id=variables.get("CIRCLE_WORKFLOW_ID"),
            build_num=_number(variables, "CIRCLE_BUILD_NUM"),
            claims=claims,
            variables=variables,
            foreign_requests=foreign,
        )


def _shown(value: str | None) -> str:
    return "unset" if value is None else repr(value)


def _number(variables: Variables, name: str) -> int | None:
    value = variables.get(name)
    return int(value) if value and _NUMBER.fullmatch(value) else None


def _ref(variables: Variables, problems: list[str]) -> Branch | Tag:
    branch, tag = variables.get("CIRCLE_BRANCH"), variables.get("CIRCLE_TAG")
    if branch is not None and tag is not None:
        why = "a build has a branch or a tag, never both"
        problems.append(f"CIRCLE_BRANCH is {branch!r} and CIRCLE_TAG is {tag!r}: {why}")
    elif branch is None and tag is None:
        problems.append("CIRCLE_BRANCH and CIRCLE_TAG are both unset: expected the branch or the tag that is built")
    return Branch(branch or "") if tag is None else Tag(tag)


def _node(variables: Variables, problems: list[str]) -> ParallelNode:
    stated, total = _number(variables, "CIRCLE_NODE_INDEX"), _number(variables, "CIRCLE_NODE_TOTAL")
    index, total = stated or 0, 1 if total is None else total
    if index >= total or (total > 1 and stated is None):  # without an index each node would take itself for the first
        found = f"CIRCLE_NODE_INDEX is {_shown(variables.get('CIRCLE_NODE_INDEX'))} and CIRCLE_NODE_TOTAL is {total}"
        problems.append(f"{found}: expected an index below the total")
    return ParallelNode(index, total)


def _pull_requests(
    variables: Variables, ref: Branch | Tag, claims: Claims, problems: list[str]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Numbers of this repository's pull requests, and URLs of others: a bot that syncs forks has such."""
    urls = (variables.get("CIRCLE_REPOSITORY_URL"), claims.origin)
    # every name of this repository: after it was renamed, variables may hold two
    own = {found.path.casefold() for url in urls if (found := Repository.parse(url))}
    if (organization := variables.get("CIRCLE_PROJECT_USERNAME")) and (
        name := variables.get("CIRCLE_PROJECT_REPONAME")
    ):
        own.add(f"{organization}/{name}".casefold())
    numbers, foreign = set[int](), dict[str, None]()
    for name in ("CIRCLE_PULL_REQUEST", "CIRCLE_PULL_REQUESTS"):
        for url in (text.strip() for text in (variables.get(name) or "").split(",")):
            request = _PR_PATH.fullmatch(_url(url).path)
            if request is None and url not in _BLANK:
                problems.append(f"{name} is {url!r}: expected a URL that ends in the number")
            elif request and own and request["path"].casefold() not in own:
                foreign[url] = None
            elif request:
                numbers.add(int(request["number"]))
    of, named = request_of(ref), _number(variables, "CIRCLE_PR_NUMBER")
    if of is not None:
        numbers = {of}  # what the build is of is not asked of other variables
    elif named is not None and not (numbers or foreign):
        numbers = {named}
    return tuple(sorted(numbers)), tuple(foreign)


def _claims(variables: Variables, problems: list[str]) -> Claims:
    """Decode the OIDC token's payload without verifying it."""
    token = variables.first(("CIRCLE_OIDC_TOKEN", "CIRCLE_OIDC_TOKEN_V2"))
    if token is None:
        return Claims()
    import base64  # noqa: PLC0415 - not every build has a token with claims
    import json  # noqa: PLC0415 - as above

    try:
        _, middle, _ = token.split(".")
        payload = json.loads(base64.urlsafe_b64decode(middle + "=="))
        ssh_rerun, definition, project, origin = (
            payload.get(f"oidc.circleci.com/{name}")
            for name in ("ssh-rerun", "pipeline-definition-id", "project-id", "vcs-origin")
        )
    except (ValueError, RecursionError, AttributeError):  # the error would quote the token's text
        problems.append("CIRCLE_OIDC_TOKEN cannot be read: expected a JSON Web Token with claims")
        return Claims()
    return Claims(
        ssh_rerun=ssh_rerun in (True, "true"),
        definition_id=_uuid(definition),
        project_id=_uuid(project),
        origin=origin if isinstance(origin, str) else None,
    )


def request_of(ref: Branch | Tag) -> int | None:
    """The pull request that the branch is of by its name, in as many digits as one can have; None for other refs."""
    found = _PR_BRANCH.fullmatch(ref.name) if isinstance(ref, Branch) else None
    return int(found[1]) if found and _NUMBER.fullmatch(found[1]) else None


def is_request(ref: Branch | Tag) -> bool:
    """Whether the branch is of a pull request by its name: CircleCI calls it so only where that comes from a fork."""
    return isinstance(ref, Branch) and _PR_BRANCH.fullmatch(ref.name) is not None


def is_fork(variables: Variables, ref: Branch | Tag) -> bool | None:
    """Whether the build is of a forked pull request: its branch is then called `pull/N`.

    None where a variable that CircleCI sets only for forks is set beside another branch: one of them is not CircleCI's.
    """
    if is_request(ref):
        return True
    return None if variables.first(FORK_VARIABLES) is not None else False


def is_revision(text: str) -> bool:
    """Whether the text is a full revision."""
    return _REVISION.fullmatch(text) is not None


def _uuid(value: object) -> str | None:
    return value if isinstance(value, str) and _UUID.fullmatch(value) else None


def _project(variables: Variables) -> ProjectSlug | None:
    """The slug, as the variables tell it; None where they do not, or contradict one another."""
    organization, repository = variables.get("CIRCLE_PROJECT_USERNAME"), variables.get("CIRCLE_PROJECT_REPONAME")
    origin = Repository.parse(variables.get("CIRCLE_REPOSITORY_URL"))
    job = _JOB_PATH.match(_url(variables.get("CIRCLE_BUILD_URL")).path)
    kind = _VCS[job[1]] if job else origin and origin.vcs
    # slugs of kind `circleci` hold opaque ids that no variable has
    if kind not in ("gh", "bb") or organization is None or repository is None:
        return None
    slug = f"{organization}/{repository}"
    is_another = job is not None and f"{job[2]}/{job[3]}".casefold() != slug.casefold()
    return None if is_another else ProjectSlug.parse(f"{kind}/{slug}")


def _url(text: str | None) -> SplitResult:
    try:
        return urlsplit(text or "")
    except ValueError:
        return urlsplit("")


def _host(variables: Variables) -> str:
    """The API's address: CircleCI's cloud unless the job's URL is of another host (CircleCI Server)."""
    job = _url(variables.get("CIRCLE_BUILD_URL"))
    name = job.hostname or ""
    if name in ("", "circleci.com") or name.endswith(".circleci.com"):
        return CLOUD
    return f"{job.scheme}://{job.netloc}"
