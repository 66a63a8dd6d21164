"""What a trigger is about, and what an unexpected answer to it means: possible causes and the next step.

Meanings of the statuses: CircleCI docs, "API developer's guide"; "Pipeline values and parameters" for the 404 of an
undeclared parameter; the changelog of scoped API tokens; the deprecation notice of the v1 and v1.1 triggers for 410.
"""

from deploystep.circleci.http import (
    Failure,
    JsonObject,
    Response,
    Result,
    is_accepted,
    json_of,
    message_of,
    segment,
    shortened,
)
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.errors import FactUnavailable, Refused, ToolError, Uncertain, Unreachable
from deploystep.core.frozen import dataclass
from deploystep.core.retry import Fate
from deploystep.core.rules import ApiVersion


@dataclass(frozen=True, slots=True)
class TriggerContext:
    """One rule's trigger: its project and ref, and the API. `app` is the web application's address.

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
        """The web page of a run (by API v1.1: of a job); without its number, of the list that it is in."""
        if self.api is ApiVersion.V1_1 and number is not None:
            return f"{self.host}/{self.project}/{number}"
        return self.list_url if number is None else f"{self.app}/pipelines/{self.project}/{number}"

    @property
    def list_url(self) -> str:
        """The web page that lists the runs of this project's branch."""
        branch = f"?branch={segment(self.ref.name)}" if isinstance(self.ref, Branch) else ""
        return f"{self.app}/pipelines/{self.project}{branch}"


def accepted_body(response: Response, context: TriggerContext) -> JsonObject:
    """The JSON of an answer that accepts the trigger; empty where the body is not JSON. Raises Refused."""
    if not is_accepted(response):
        raise refused(response, context)
    return JsonObject(json_of(response))


def not_created(response: Response, context: TriggerContext) -> Uncertain:
    """The trigger was accepted, and the answer names nothing that was created."""
    return uncertain(f"CircleCI answered {response.status}, but not with what it created", context)


def uncertain(reason: str, context: TriggerContext) -> Uncertain:
    """Something went wrong after the trigger may have been received."""
    return Uncertain(
        "uncertain",
        f"the trigger of rule '{context.rule}' may have been accepted: {reason}",
        f"look for a run that the API started at {context.list_url}",
        "if it is there, do not run this step again: the deploy is under way",
        "if it is still not there after some minutes, rerun this job",
    )


def unanswered(result: Result, context: TriggerContext) -> ToolError:
    """The trigger was given up: it certainly was not received, or nobody knows."""
    error = not_received(result, context.host, context.rule)
    return error or uncertain(describe_failure(result, context.host), context)


def unread(result: Result, context: TriggerContext) -> ToolError:
    """Something had to be read before the trigger, and could not be: nothing was sent."""
    if isinstance(result, Response) and 400 <= result.status < 500 and result.status != 429:  # noqa: PLR2004
        return refused(result, context, is_trigger=False)
    return not_received(result, context.host, context.rule) or FactUnavailable(
        "undecided",
        f"cannot tell whether rule '{context.rule}' was triggered for this commit before: "
        f"the runs of {context.project} could not be read ({describe_failure(result, context.host)}); it was not sent",
        "it is safe to run this step again",
        "to send without looking, give  --again REASON",
    )


def kept_out(result: Result, context: TriggerContext) -> ToolError | None:
    """The error where nobody could be asked, or this token may not ask; None where the answer is another."""
    if isinstance(result, Response) and result.status in (401, 403):
        return refused(result, context, is_trigger=False)
    return not_received(result, context.host, context.rule)


def not_received(result: Result, host: str, rule: str) -> Unreachable | None:
    """The error that says that nothing was triggered; None where that is not certain. Without a rule, of a reading."""
    nothing = f"nothing was triggered for rule '{rule}'" if rule else "nothing could be decided"
    if isinstance(result, Failure) and result.fate is Fate.NOT_RECEIVED:
        return Unreachable(
            "unreachable",
            f"{host} was not reached ({result.reason}); {nothing}",
            "it is safe to run this step again",
            "behind a proxy or a private CA, set HTTPS_PROXY or REQUESTS_CA_BUNDLE in the job",
        )
    if isinstance(result, Response) and result.status == 429:  # noqa: PLR2004
        wait = shortened(result.headers.get("retry-after", ""), 40)
        until = f" (it asks to wait: {wait})" if wait else ""
        return Unreachable(
            "rate-limited",
            f"CircleCI answered 429, too many requests{until}; {nothing}",
            "it is safe to run this step again later",
            "the limit counts all requests of this token's user: give the deploy a token of its own",
        )
    return None


def describe_failure(result: Result, host: str) -> str:
    """What came instead of the answer that was wanted, in a few words."""
    if isinstance(result, Failure):
        return result.reason
    if 300 <= result.status < 400:  # noqa: PLR2004
        causes = "a proxy or a wrong --host may be why"
        return f"the answer was a redirect ({result.status}), which is not followed; {causes}"
    return f"{host} answered {result.status}{_quoted(result)}"


def _quoted(response: Response) -> str:
    words = message_of(response)
    return f": {words}" if words else ""


def cannot_see(token_name: str) -> str:
    """Why CircleCI may hide something from this token; for reads that only say that they failed."""
    return (
        f"possible causes: the token in {token_name} is a project token (API v2 takes personal API tokens only), "
        "it has expired, or its user cannot see this project"
    )


def refused(response: Response, context: TriggerContext, *, is_trigger: bool = True) -> Refused:
    """The trigger, or with `is_trigger` False a read before it, was answered with no. The likeliest cause comes first.

    Fewer causes refuse a read than a trigger.
    """
    status, is_v1_1, project = response.status, context.api is ApiVersion.V1_1, context.project
    token, name = f"the token in {context.token_name}", context.token_name
    ref = f"{'tag' if isinstance(context.ref, Tag) else 'branch'} {context.ref.name}"
    undeclared = f"a parameter is not declared under parameters: in the config of {project} at {context.ref.name}"
    causes = (
        (400, True, f"{ref} is no longer in the repository of {project}"),
        (400, True, "CircleCI does not take the request as it is"),
        (401, True, f"{token} is mistyped, revoked or expired (personal tokens expire after a year at most)"),
        (401, True, "it is too old: tokens made before 23 June 2023 are no longer accepted"),
        (404, context.api is ApiVersion.V3, "API v3 is on CircleCI's cloud only: on CircleCI Server use api: v2"),
        (404, not is_v1_1, f"{token} is a project token: API v2 and v3 take personal API tokens only"),
        (403, is_trigger, f"{token} may only read, and a trigger needs write permission"),
        (404, is_trigger, f"{token} may only read, and a trigger needs write permission"),
        (403, True, f"the token's user may not {'build' if is_trigger else 'see'} {project}"),
        (403, is_trigger, "the project's settings block new pipelines"),
        (404, True, f"the project slug {project} is wrong, or the token's user cannot see the project"),
        (404, is_trigger and context.has_parameters, undeclared),
    )
    ended = f"{context.host} has removed this endpoint", "try  api: v2-pipeline  on an older CircleCI Server"
    if is_v1_1:
        ended = (
            "CircleCI has removed the API v1.1 triggers (1 February 2027): job: no longer works",
            "gate a workflow on a pipeline parameter in config.yml and use workflow: with parameters:",
        )
    steps = {
        400: ("see the exact request with  deploystep run --dry-run --json",),
        401: (f"make a new personal API token in {context.app}/settings/user/tokens and store it in {name}",),
        403: ("ask who the token is by a step of this job:  deploystep doctor",),
        404: ("ask who the token is by a step of this job:  deploystep doctor",),
        410: ended,
    }
    possible = [words for of, fits, words in causes if of == status and fits]
    first = "possible causes:" if len(possible) > 1 else "possible cause:"
    return Refused(
        f"refused-{status}",
        f"CircleCI answered {status}{_quoted(response)}; nothing was triggered for rule '{context.rule}'",
        *(f"{'or' if at else first} {words}" for at, words in enumerate(possible)),
        *steps.get(status, (f"is {context.host} CircleCI's API? see  --host",)),
    )
