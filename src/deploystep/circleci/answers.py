"""What an answer to a trigger means when it is not the one hoped for: likely causes in order, and the next step.

Meanings of the statuses: CircleCI docs, "API developer's guide"; "Pipeline values and parameters" for the 404 of an
undeclared parameter; the deprecation notice of the v1 and v1.1 trigger endpoints for 410.
"""

from collections.abc import Mapping

from deploystep.circleci.wire import Failure, Json, Response, json_of, message_of, segment
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.errors import FactUnavailable, Refused, ToolError, Uncertain, Unreachable
from deploystep.core.frozen import dataclass
from deploystep.core.retry import Fate
from deploystep.core.rules import ApiVersion


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of CircleCI, where it happens, and what messages name. `app` is the web application's address.

    `project_id` is the project's UUID, where the build knows it: API v3 has no slugs.
    """

    rule: str
    project: ProjectSlug
    ref: Branch | Tag
    api: ApiVersion
    host: str
    app: str
    token_name: str
    has_parameters: bool
    project_id: str | None = None

    def run_url(self, number: int | None) -> str:
        """Where a person sees a run (or by API v1.1 a job); where its number is not told, the list that it is in."""
        if self.api is ApiVersion.V1_1 and number is not None:
            return f"{self.host}/{self.project}/{number}"
        return self.list_url if number is None else f"{self.app}/pipelines/{self.project}/{number}"

    @property
    def list_url(self) -> str:
        """Where a person sees the runs of this project's branch."""
        branch = f"?branch={segment(self.ref.name)}" if isinstance(self.ref, Branch) else ""
        return f"{self.app}/pipelines/{self.project}{branch}"


def believe(response: Response, asked: Asked) -> Mapping[str, Json]:
    """The JSON of an answer that accepts the trigger. Raises Refused, or Uncertain where it says nothing."""
    if not 200 <= response.status < 300:  # noqa: PLR2004
        raise refused(response, asked)
    body = json_of(response)
    if body is None:
        raise not_created(response, asked)
    return body


def not_created(response: Response, asked: Asked) -> Uncertain:
    """An acceptance that names nothing which was created."""
    return uncertain(f"CircleCI answered {response.status}, but not with what it created", asked)


def uncertain(reason: str, asked: Asked) -> Uncertain:
    """Something went wrong after the request may have been received."""
    return Uncertain(
        "uncertain",
        f"the trigger of rule '{asked.rule}' may have been accepted: {reason}",
        f"look for a run that the API started at {asked.list_url}",
        "if it is there, do not run this step again: the deploy is under way",
        "if it is not there after a minute, nothing was triggered: rerun this job",
    )


def unanswered(result: Response | Failure, asked: Asked) -> ToolError:
    """The trigger was given up: certainly not received, or nobody knows."""
    return _not_received(result, asked) or uncertain(describe_failure(result, asked.host), asked)


def unread(result: Response | Failure, asked: Asked) -> ToolError:
    """What must be read before the trigger could not be: nothing was sent."""
    if isinstance(result, Response) and 400 <= result.status < 500 and result.status != 429:  # noqa: PLR2004
        return refused(result, asked)
    return _not_received(result, asked) or FactUnavailable(
        "undecided",
        f"cannot tell whether rule '{asked.rule}' was triggered for this commit before: "
        f"the runs of {asked.project} could not be read ({describe_failure(result, asked.host)}); it was not sent",
        "it is safe to run this step again",
        "to send without looking, give  --again REASON",
    )


def _not_received(result: Response | Failure, asked: Asked) -> ToolError | None:
    """That nothing can have been triggered, where that is certain."""
    if isinstance(result, Failure):
        return _unreachable(result, asked) if result.fate is Fate.NOT_RECEIVED else None
    return _rate_limited(result, asked) if result.status == 429 else None  # noqa: PLR2004


def describe_failure(result: Response | Failure, host: str) -> str:
    """What came instead of the answer that was wanted, in a few words."""
    if isinstance(result, Failure):
        return result.reason
    if 300 <= result.status < 400:  # noqa: PLR2004
        return (
            f"the answer was a redirect ({result.status}), which is not followed; a proxy or a wrong --host may be why"
        )
    said = f": {message_of(result)}" if message_of(result) else ""
    return f"{host} answered {result.status}{said}"


def _unreachable(failure: Failure, asked: Asked) -> Unreachable:
    return Unreachable(
        "unreachable",
        f"{asked.host} was not reached ({failure.reason}); nothing was triggered for rule '{asked.rule}'",
        "it is safe to run this step again",
        "behind a proxy or a private CA, set HTTPS_PROXY or REQUESTS_CA_BUNDLE in the job",
    )


def _rate_limited(response: Response, asked: Asked) -> Unreachable:
    wait = response.headers.get("retry-after", "")
    until = f" (it asks to wait: {wait[:40]})" if wait else ""
    return Unreachable(
        "rate-limited",
        f"CircleCI answered 429, too many requests{until}; nothing was triggered for rule '{asked.rule}'",
        "it is safe to run this step again later",
        "the limit counts all requests of this token's user: give the deploy a token of its own",
    )


def refused(response: Response, asked: Asked) -> Refused:
    """A no, with the likely causes in order."""
    words = message_of(response)
    said = f": {words}" if words else ""
    return Refused(
        f"refused-{response.status}",
        f"CircleCI answered {response.status}{said}; nothing was triggered for rule '{asked.rule}'",
        *_causes(response.status, asked),
    )


def _causes(status: int, asked: Asked) -> tuple[str, ...]:
    return {400: _bad_request, 401: _bad_token, 403: _forbidden, 404: _not_found, 410: _gone}.get(status, _other)(asked)


def _bad_request(asked: Asked) -> tuple[str, ...]:
    kind = "tag" if isinstance(asked.ref, Tag) else "branch"
    return (
        f"does {kind} {asked.ref.name} still exist in the repository of {asked.project}?",
        "see the exact request with  deploystep run --dry-run --json",
    )


def _bad_token(asked: Asked) -> tuple[str, ...]:
    return (
        f"the token in {asked.token_name} is mistyped, revoked or expired (personal tokens end after a year at most)",
        "tokens made before 23 June 2023 are not taken any more",
        f"make a new personal API token in {asked.app}/settings/user/tokens and store it in {asked.token_name}",
    )


def _forbidden(asked: Asked) -> tuple[str, ...]:
    return (
        f"the token in {asked.token_name} may only read: triggering needs a token with write permission",
        f"or its user may not build {asked.project}, or the project's settings block new pipelines",
    )


def _not_found(asked: Asked) -> tuple[str, ...]:
    undeclared = (
        (f"a parameter is not declared under parameters: in the config of {asked.project} at {asked.ref.name}",)
        if asked.has_parameters
        else ()
    )
    personal = "a project token: API v2 and v3 take personal API tokens only"
    first = (f"the token in {asked.token_name} is {personal}",) if asked.api is not ApiVersion.V1_1 else ()
    server = ("API v3 is there on CircleCI's cloud only: on CircleCI Server use api: v2",)
    return (
        *(server if asked.api is ApiVersion.V3 else ()),
        *first,
        f"the project slug {asked.project} is wrong, or the token's user cannot see the project",
        *undeclared,
        f"ask who the token is:  GET {asked.host}/api/v2/me",
    )


def _gone(asked: Asked) -> tuple[str, ...]:
    if asked.api is ApiVersion.V1_1:
        return (
            "CircleCI has removed the API v1.1 triggers (1 February 2027): job: cannot work any more",
            "gate a workflow on a pipeline parameter in config.yml and use workflow: with parameters:",
        )
    return (f"{asked.host} has removed this endpoint", "try  api: v2-pipeline  on an older CircleCI Server")


def _other(asked: Asked) -> tuple[str, ...]:
    return (f"is {asked.host} CircleCI's API? see  --host",)
