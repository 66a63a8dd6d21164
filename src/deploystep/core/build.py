"""The build that is judged, read from the environment of a job (CircleCI docs, "Project values and variables").

Each variable that is read has its row in docs/environment.md.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from deploystep.core.errors import EnvironmentInvalid
from deploystep.core.frozen import Frozen

CLOUD: Final = "https://circleci.com"
#: CircleCI sets these only in builds of forks (GitHub OAuth, Bitbucket Cloud).
FORK_VARIABLES: Final = ("CIRCLE_PR_REPONAME", "CIRCLE_PR_USERNAME")
_VCS: Final = {"gh": "gh", "github": "gh", "bb": "bb", "bitbucket": "bb", "circleci": "circleci"}
URLS_OF_REQUESTS: Final = ("CIRCLE_PULL_REQUEST", "CIRCLE_PULL_REQUESTS")
_NUMBERS: Final = ("CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", "CIRCLE_BUILD_NUM", "CIRCLE_PR_NUMBER")


class Variables(dict[str, str]):
    """An environment without its blank variables. Its repr shows no value, for values may be secrets."""

    def __init__(self, values: Mapping[str, str]) -> None:
        # the second is what an empty pipeline value becomes
        super().__init__({name: value for name, value in values.items() if value not in ("", "<nil>")})

    def first(self, names: Iterable[str]) -> str | None:
        return next((self[name] for name in names if name in self), None)

    def __repr__(self) -> str:
        return f"Variables({len(self)} masked)"


class Branch(Frozen):
    """A branch by its bare name."""

    name: str


class Tag(Frozen):
    """A tag by its bare name."""

    name: str


class ProjectSlug(Frozen):
    """A project as CircleCI's API names it: `gh/acme/shop`, `bb/acme/shop` or `circleci/ORG/PROJECT`."""

    vcs: str
    organization: str
    project: str

    @classmethod
    def parse(cls, text: str) -> "ProjectSlug | None":
        """Read `vcs/organization/project`; None where it is not one. `github` becomes `gh`."""
        vcs, *names = text.split("/")
        is_slug = vcs in _VCS and len(names) == 2 and not {"", ".", ".."} & {*names}  # noqa: PLR2004
        return cls(_VCS[vcs], *names) if is_slug else None

    def __str__(self) -> str:
        return f"{self.vcs}/{self.organization}/{self.project}"


class Repository(Frozen):
    """Where a repository is: `host` is github.com, bitbucket.org or what its URL says; `path` as `acme/shop`."""

    host: str
    path: str

    @classmethod
    def parse(cls, url: str | None) -> "Repository | None":
        """Read a remote's URL: `git@github.com:acme/shop.git`, with https, or without a scheme; else None."""
        before, host = r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/@]*@)?", r"(?P<host>[^/:@]+)(?::\d+(?=/))?"
        form = rf"{before}{host}[:/]/*(?P<path>[^?#]+?)(?:\.git)?/*"
        found = re.fullmatch(form, url or "", re.IGNORECASE)
        if found is None:
            return None
        # with a subdomain (ssh.github.com), or as the aliases are called that people give hosts in ssh's config
        known = re.fullmatch(r"(?:.*\.)?(github\.com|bitbucket\.org)(?:-.*)?", found["host"].lower())
        return cls(known[1] if known else found["host"], found["path"])

    @property
    def vcs(self) -> str | None:
        """How a project slug begins; None where the host does not tell."""
        return {"github.com": "gh", "bitbucket.org": "bb"}.get(self.host)


class ParallelNode(Frozen):
    """One node of a job with `parallelism`: its index from 0, and how many there are."""

    index: int
    total: int

    @property
    def others(self) -> str:
        return "the other node" if self.total == 2 else f"the other {self.total - 1} nodes"  # noqa: PLR2004

    def __str__(self) -> str:
        return f"node {self.index} of {self.total}"


class BuildContext(Frozen):
    """One build, as far as its environment tells."""

    project: ProjectSlug | None  # None where only CircleCI's API knows it
    ref: Branch | Tag
    revision: str
    node: ParallelNode
    pull_requests: tuple[int, ...]
    fork: bool | None  # None where variables contradict one another
    user: str | None
    variables: Variables
    host: str = CLOUD
    pipeline_id: str | None = None
    workflow_id: str | None = None
    build_num: int | None = None
    # claims of the OIDC token (CircleCI docs, "Using OpenID Connect tokens in jobs"); its signature is not checked
    ssh_rerun: bool = False
    definition_id: str | None = None
    project_id: str | None = None  # by which API v3 knows it; None where variable and token name two
    origin: str | None = None

    @property
    def branch(self) -> str | None:
        return self.ref.name if isinstance(self.ref, Branch) else None

    @property
    def tag(self) -> str | None:
        return self.ref.name if isinstance(self.ref, Tag) else None

    @property
    def pull_request(self) -> int | None:
        """The pull request's number; the oldest where there are several."""
        return min(self.pull_requests, default=None)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "BuildContext":
        """Read a build's environment. Raises EnvironmentInvalid with every problem at once."""
        variables, problems = Variables(environ), list[str]()
        branch, tag, sha = map(variables.get, ("CIRCLE_BRANCH", "CIRCLE_TAG", "CIRCLE_SHA1"))
        ref = Branch(branch or "") if tag is None else Tag(tag)
        if (branch is None) is (tag is None):
            found = f"CIRCLE_BRANCH is {_shown(branch)} and CIRCLE_TAG is {_shown(tag)}"
            problems.append(f"{found}: expected one of them, the branch or the tag that is built")
        if not is_revision(sha or ""):
            problems.append(f"CIRCLE_SHA1 is {_shown(sha)}: expected a full revision, 40 hexadecimal digits")
        form = "0|[1-9][0-9]{0,17}"  # one that fits 64 bits
        numbers = {n: int(v) if re.fullmatch(form, v := variables.get(n, "")) else None for n in _NUMBERS}
        wrong = (n for n in _NUMBERS if numbers[n] is None and variables.get(n))
        problems += [f"{name} is {variables[name]!r}: expected a whole number" for name in wrong]
        index, total, build_num, request = numbers.values()
        node = ParallelNode(index or 0, 1 if total is None else total)
        token = variables.first(("CIRCLE_OIDC_TOKEN", "CIRCLE_OIDC_TOKEN_V2"))
        claims = _claims(token, problems) if token else {}
        ids = {_uuid(variables.get("CIRCLE_PROJECT_ID")), _uuid(claims.get("project-id"))} - {None}
        origin = claims["vcs-origin"] if isinstance(claims.get("vcs-origin"), str) else None
        requests = _pull_requests(variables, origin, problems)
        if (of := request_of(ref)) is not None:
            requests = {of}  # what the build is of is not asked of other variables
        elif request is not None and variables.first(URLS_OF_REQUESTS) is None:
            requests = {request}
        if node.index >= node.total or (index is None and node.total > 1):  # each node would take itself for the first
            found = f"CIRCLE_NODE_INDEX is {_shown(variables.get(_NUMBERS[0]))} and CIRCLE_NODE_TOTAL is {node.total}"
            problems.append(f"{found}: expected an index below the total")
        if problems:
            what, plan = "the environment does not describe a build", "see what a build would do with  deploystep plan"
            see = "CircleCI sets these variables: see what else does, in the project's settings, contexts and config"
            raise EnvironmentInvalid("environment-invalid", what, see, plan, problems=tuple(problems))
        job = _url(variables.get("CIRCLE_BUILD_URL"))
        is_cloud = f".{job.hostname or 'circleci.com'}".endswith(".circleci.com")
        return cls(
            project=_project(variables, job.path),
            ref=ref,
            revision=(sha or "").lower(),
            node=node,
            pull_requests=tuple(sorted(requests)),
            fork=is_fork(variables, ref),
            user=variables.get("CIRCLE_USERNAME"),
            variables=variables,
            host=CLOUD if is_cloud else f"{job.scheme}://{job.netloc}",  # of a CircleCI Server
            pipeline_id=variables.get("CIRCLE_PIPELINE_ID"),
            workflow_id=variables.get("CIRCLE_WORKFLOW_ID"),
            build_num=build_num,
            ssh_rerun=claims.get("ssh-rerun") in (True, "true"),
            definition_id=_uuid(claims.get("pipeline-definition-id")),
            project_id=ids.pop() if len(ids) == 1 else None,
            origin=origin,
        )


def _shown(value: str | None) -> str:
    return "unset" if value is None else repr(value)


def _name(variables: Variables) -> str:
    """The repository's name, as `acme/shop`; empty where the variables do not tell."""
    parts = variables.get("CIRCLE_PROJECT_USERNAME"), variables.get("CIRCLE_PROJECT_REPONAME")
    return f"{parts[0]}/{parts[1]}" if all(parts) else ""


def _pull_requests(variables: Variables, origin: str | None, problems: list[str]) -> set[int]:
    """Numbers of this repository's pull requests; a bot that syncs forks has some of others."""
    numbers = set[int]()
    # every name of this repository: after it was renamed, variables may hold two
    named = (Repository.parse(url) for url in (variables.get("CIRCLE_REPOSITORY_URL"), origin))
    own = {text.casefold() for text in (_name(variables), *(found.path for found in named if found)) if text}
    form = r"/*(.*?)(?:/-)?(?:/(?:pulls?|pull-requests|merge_requests))?/(\d{1,18})/?"
    for name in URLS_OF_REQUESTS:
        for url in filter(None, map(str.strip, variables.get(name, "").split(","))):
            request = re.fullmatch(form, _url(url).path, re.ASCII)
            if request is None:
                problems.append(f"{name} is {url!r}: expected a URL that ends in the number")
            elif not own or request[1].casefold() in own:
                numbers.add(int(request[2]))
    return numbers


def _claims(token: str, problems: list[str]) -> Mapping[str, Any]:
    import base64  # noqa: PLC0415 - not every build has a token with claims
    import json  # noqa: PLC0415 - as above

    try:
        _, middle, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(middle + "=="))
        return {name.removeprefix("oidc.circleci.com/"): value for name, value in claims.items()}
    except (ValueError, RecursionError, AttributeError):  # the error would quote the token's text
        problems.append("CIRCLE_OIDC_TOKEN cannot be read: expected a JSON Web Token with claims")
        return {}


def request_of(ref: Branch | Tag) -> int | None:
    """The pull request that the branch is of by its name: CircleCI calls it `pull/N` only where it is of a fork."""
    # and git's names for it, at GitHub, Bitbucket Data Center and GitLab, by which the API can trigger a build
    form = r"(?:pull|pull-requests|merge-requests)/(\d{1,18})(?:/(?:head|merge|from))?"
    found = re.fullmatch(form, ref.name, re.ASCII) if isinstance(ref, Branch) else None
    return int(found[1]) if found else None


def is_fork(variables: Variables, ref: Branch | Tag) -> bool | None:
    """Whether the build is of a forked pull request; None where a fork's variable is set beside another branch."""
    return request_of(ref) is not None or (None if variables.first(FORK_VARIABLES) is not None else False)


def is_revision(text: str) -> bool:
    """Whether the text is a full revision."""
    return re.fullmatch(r"(?!0+\Z)[0-9a-f]{40}(?:[0-9a-f]{24})?", text, re.IGNORECASE) is not None


def _uuid(value: object) -> str | None:
    form = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    return value if isinstance(value, str) and re.fullmatch(form, value, re.IGNORECASE) else None


def _project(variables: Variables, path: str) -> ProjectSlug | None:
    """The slug, as the variables tell it; None where they do not, or contradict one another. `path` is of the job."""
    slug = _name(variables)
    # as in `/gh/acme/shop/12` or `/pipelines/github/acme/shop/12`; kind `circleci` holds ids that no variable has
    job = re.match(r"/(?:[^/]+/)??(gh|github|bb|bitbucket|circleci)/([^/]+/[^/]+)", path)
    origin = None if job else Repository.parse(variables.get("CIRCLE_REPOSITORY_URL"))
    kind = _VCS[job[1]] if job else origin and origin.vcs
    is_told = kind in ("gh", "bb") and (job is None or job[2].casefold() == slug.casefold())
    return ProjectSlug.parse(f"{kind}/{slug}") if is_told else None


def _url(text: str | None) -> SplitResult:
    try:
        return urlsplit(text or "")
    except ValueError:
        return urlsplit("")
