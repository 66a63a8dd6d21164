"""The build that is being judged, read from the environment that CircleCI gives a job.

Facts about the variables: CircleCI docs, "Project values and variables", built-in environment variables.
An unset variable, an empty one and the text `<nil>` (what an empty pipeline value becomes) are the same: blank.
"""

import binascii
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from deploystep.core.errors import EnvironmentInvalid
from deploystep.core.frozen import dataclass

#: Every variable of the build's environment that is read, and what for. The docs table is made from it.
ENV: Final[Mapping[str, str]] = MappingProxyType(
    {
        "CIRCLECI": "`true` in a build; without it `run` refuses to trigger anything",
        "CIRCLE_NODE_INDEX": "which parallel node this is; every node but 0 ends at once",
        "CIRCLE_NODE_TOTAL": "how many parallel nodes the job has",
        "CIRCLE_SHA1": "the revision that was tested and is deployed",
        "CIRCLE_BRANCH": "the branch that is built; unset in tag builds",
        "CIRCLE_TAG": "the tag that is built; unset in branch builds",
        "CIRCLE_PULL_REQUEST": "URL of a pull request of this branch",
        "CIRCLE_PULL_REQUESTS": "URLs of all its pull requests, separated by commas",
        "CIRCLE_PR_NUMBER": "number of a forked pull request",
        "CIRCLE_PR_REPONAME": "set when the build is of a fork",
        "CIRCLE_PR_USERNAME": "set when the build is of a fork",
        "CIRCLE_USERNAME": "the user that started the build",
        "CIRCLE_PROJECT_USERNAME": "organization part of the project slug",
        "CIRCLE_PROJECT_REPONAME": "repository part of the project slug",
        "CIRCLE_REPOSITORY_URL": "tells GitHub from Bitbucket",
        "CIRCLE_BUILD_URL": "tells GitHub from Bitbucket, and the host of a CircleCI Server",
        "CIRCLE_BUILD_NUM": "number of this job, by which its other nodes are looked at",
        "CIRCLE_PIPELINE_ID": "this build's own pipeline; it tells the project slug where no variable does",
        "CIRCLE_WORKFLOW_ID": "the workflow that this job belongs to",
        "CIRCLE_PROJECT_ID": "names the project to API v3",
        "CIRCLE_OIDC_TOKEN": "claims about the build: pipeline definition, rerun with SSH (read, never sent)",
        "CIRCLE_OIDC_TOKEN_V2": "the same, where the first is not set",
    }
)

CLOUD: Final = "https://circleci.com"
_BLANK: Final = frozenset({"", "<nil>"})
_VCS: Final = {"gh": "gh", "github": "gh", "bb": "bb", "bitbucket": "bb", "circleci": "circleci"}
_REVISION: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.IGNORECASE)
_PR_URL: Final = re.compile(r"/(\d+)/?\Z", re.ASCII)
_FORK_BRANCH: Final = re.compile(r"pull/(\d+)", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


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
class ParallelNode:
    """One node of a job with `parallelism`: its index from 0, and how many there are."""

    index: int
    total: int

    @property
    def is_first(self) -> bool:
        """Whether this is the node that decides."""
        return self.index == 0

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


@dataclass(frozen=True, slots=True)
class BuildContext:
    """One build, as far as its environment tells. `project` is None where only CircleCI's API knows it."""

    project: ProjectSlug | None
    ref: Branch | Tag
    revision: str
    node: ParallelNode
    pull_requests: tuple[int, ...]
    fork: bool
    user: str | None
    host: str
    pipeline_id: str | None
    workflow_id: str | None
    build_num: int | None
    claims: Claims
    variables: Variables

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
        """The project's UUID, by which API v3 knows it."""
        named = self.variables.get("CIRCLE_PROJECT_ID")
        return named if named is not None and is_uuid(named) else self.claims.project_id

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "BuildContext":
        """Read a build's environment. Raises EnvironmentInvalid with every problem at once."""
        return _Reader(Variables(environ)).build()


class _Reader:
    """Reads variables and collects what is wrong with them; each reader returns something harmless."""

    def __init__(self, variables: Variables) -> None:
        self.variables = variables
        self.problems: list[str] = []

    def build(self) -> BuildContext:
        ref = self._ref()
        context = BuildContext(
            project=_project(self.variables),
            ref=ref,
            revision=self._revision(),
            node=self._node(),
            pull_requests=self._pull_requests(ref),
            fork=is_fork(self.variables, ref),
            user=self.variables.get("CIRCLE_USERNAME"),
            host=_host(self.variables.get("CIRCLE_BUILD_URL")),
            pipeline_id=self.variables.get("CIRCLE_PIPELINE_ID"),
            workflow_id=self.variables.get("CIRCLE_WORKFLOW_ID"),
            build_num=self._whole_number("CIRCLE_BUILD_NUM", None),
            claims=self._claims(),
            variables=self.variables,
        )
        if self.problems:
            raise EnvironmentInvalid(
                "environment-invalid",
                "the environment does not describe a build",
                "see what a build would do from any clone with  deploystep plan",
                problems=tuple(self.problems),
            )
        return context

    def _ref(self) -> Branch | Tag:
        branch, tag = self.variables.get("CIRCLE_BRANCH"), self.variables.get("CIRCLE_TAG")
        if branch is not None and tag is not None:
            self.problems.append(
                f"CIRCLE_BRANCH is {branch!r} and CIRCLE_TAG is {tag!r}: a build has a branch or a tag, never both"
            )
        if tag is not None:
            return Tag(tag)
        if branch is None:
            self.problems.append(
                "CIRCLE_BRANCH and CIRCLE_TAG are both unset: expected the branch or the tag that is built"
            )
        return Branch(branch or "")

    def _revision(self) -> str:
        revision = self.variables.get("CIRCLE_SHA1")
        if revision is None:
            self.problems.append("CIRCLE_SHA1 is unset: expected the full revision that is built")
        elif not _REVISION.fullmatch(revision):
            self.problems.append(f"CIRCLE_SHA1 is {revision!r}: expected a full revision, 40 hexadecimal digits")
        return (revision or "").lower()

    def _node(self) -> ParallelNode:
        index = self._whole_number("CIRCLE_NODE_INDEX", 0)
        total = self._whole_number("CIRCLE_NODE_TOTAL", 1)
        if total is not None and total > 1 and self.variables.get("CIRCLE_NODE_INDEX") is None:
            self.problems.append(f"CIRCLE_NODE_INDEX is unset and CIRCLE_NODE_TOTAL is {total}: expected both")
        if index is None or total is None:
            return ParallelNode(0, 1)
        if index >= total:
            self.problems.append(
                f"CIRCLE_NODE_INDEX is {index} and CIRCLE_NODE_TOTAL is {total}: expected an index below the total"
            )
        return ParallelNode(index, total)

    def _whole_number(self, name: str, default: int | None) -> int | None:
        text = self.variables.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004 - fits 64 bits
            self.problems.append(f"{name} is {text!r}: expected a whole number")
            return None
        return int(text)

    def _pull_requests(self, ref: Branch | Tag) -> tuple[int, ...]:
        urls = {
            url.strip()
            for name in ("CIRCLE_PULL_REQUEST", "CIRCLE_PULL_REQUESTS")
            for url in (self.variables.get(name) or "").split(",")
            if url.strip() not in _BLANK
        }
        numbers = {self._pull_request_number(url) for url in sorted(urls)}
        numbers.add(self._whole_number("CIRCLE_PR_NUMBER", None))
        if isinstance(ref, Branch) and (match := _FORK_BRANCH.fullmatch(ref.name)):
            numbers.add(int(match[1]))
        return tuple(sorted(n for n in numbers if n is not None))

    def _pull_request_number(self, url: str) -> int | None:
        match = _PR_URL.search(url)
        if match is None:
            self.problems.append(f"CIRCLE_PULL_REQUEST is {url!r}: expected a URL that ends in the number")
        return int(match[1]) if match else None

    def _claims(self) -> Claims:
        try:
            return read_claims(self.variables)
        except ValueError as error:
            self.problems.append(f"CIRCLE_OIDC_TOKEN cannot be read: {error}")
            return Claims()


def is_fork(variables: Variables, ref: Branch | Tag) -> bool:
    """Whether the build is of a forked pull request (its branch is then called `pull/N`)."""
    named = variables.first(("CIRCLE_PR_REPONAME", "CIRCLE_PR_USERNAME")) is not None
    return named or (isinstance(ref, Branch) and _FORK_BRANCH.fullmatch(ref.name) is not None)


def read_claims(variables: Variables) -> Claims:
    """Decode the OIDC token's payload without verifying it. Raises ValueError where it is not a JWT."""
    token = variables.first(("CIRCLE_OIDC_TOKEN", "CIRCLE_OIDC_TOKEN_V2"))
    if token is None:
        return Claims()
    payload = _payload(token)
    return Claims(
        ssh_rerun=payload.get("oidc.circleci.com/ssh-rerun") in (True, "true"),
        definition_id=_uuid(payload.get("oidc.circleci.com/pipeline-definition-id")),
        project_id=_uuid(payload.get("oidc.circleci.com/project-id")),
    )


def _payload(token: str) -> Mapping[str, Any]:
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header.payload.signature
        raise ValueError("expected three parts joined by dots")
    import base64  # noqa: PLC0415 - not every build has a token with claims
    import json  # noqa: PLC0415 - as above

    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        # the cause would quote the token's text: it stays out of the message
        raise ValueError("its middle part is not base64 of a JSON object") from None
    if not isinstance(payload, dict):
        raise ValueError("its middle part is not a JSON object")  # noqa: TRY004 - one error for one caller
    return payload


def _uuid(value: object) -> str | None:
    return value if isinstance(value, str) and _UUID.fullmatch(value) else None


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in its usual spelling."""
    return _UUID.fullmatch(text) is not None


def _project(variables: Variables) -> ProjectSlug | None:
    kind = _vcs_kind(variables)
    organization = variables.get("CIRCLE_PROJECT_USERNAME")
    repository = variables.get("CIRCLE_PROJECT_REPONAME")
    # slugs of kind `circleci` hold opaque ids that no variable has
    if kind not in ("gh", "bb") or organization is None or repository is None:
        return None
    return ProjectSlug.parse(f"{kind}/{organization}/{repository}")


def _vcs_kind(variables: Variables) -> str | None:
    """From the job's URL (`…/gh/acme/shop/12`), else from where the repository lives."""
    segments = _url_path(variables.get("CIRCLE_BUILD_URL"))
    kind = next((_VCS[s] for s in segments[:2] if s in _VCS), None)
    if kind is not None:
        return kind
    repository = variables.get("CIRCLE_REPOSITORY_URL") or ""
    if "github.com" in repository:
        return "gh"
    return "bb" if "bitbucket.org" in repository else None


def _url_path(url: str | None) -> list[str]:
    try:
        return urlsplit(url or "").path.strip("/").split("/")
    except ValueError:
        return []


def _host(build_url: str | None) -> str:
    """The API's address: CircleCI's cloud unless the job's URL is of another host (CircleCI Server)."""
    try:
        url = urlsplit(build_url or "")
        name = url.hostname or ""
    except ValueError:
        return CLOUD
    if name in ("", "circleci.com") or name.endswith(".circleci.com"):
        return CLOUD
    return f"{url.scheme}://{url.netloc}"
