"""What an unexpected answer to a trigger means: possible causes, the likeliest first, and the next step.

Meanings of the statuses: CircleCI docs, "API developer's guide"; "Pipeline values and parameters" for the 404 of an
undeclared parameter; the changelog of scoped API tokens; the deprecation notice of the v1 and v1.1 triggers for 410.
"""

from deploystep.circleci.context import TriggerContext
from deploystep.circleci.http import Failure, JsonObject, Response, is_accepted, json_of, message_of, shortened
from deploystep.core.build import Tag
from deploystep.core.errors import FactUnavailable, Refused, ToolError, Uncertain, Unreachable
from deploystep.core.retry import Fate
from deploystep.core.rules import ApiVersion


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


def unanswered(result: Response | Failure, context: TriggerContext) -> ToolError:
    """The trigger was given up: it certainly was not received, or nobody knows."""
    error = not_received(result, context.host, context.rule)
    return error or uncertain(describe_failure(result, context.host), context)


def unread(result: Response | Failure, context: TriggerContext) -> ToolError:
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


def kept_out(result: Response | Failure, context: TriggerContext) -> ToolError | None:
    """The error where nobody could be asked, or this token may not ask; None where the answer is another."""
    if isinstance(result, Response) and result.status in (401, 403):
        return refused(result, context, is_trigger=False)
    return not_received(result, context.host, context.rule)


def not_received(result: Response | Failure, host: str, rule: str) -> Unreachable | None:
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


def describe_failure(result: Response | Failure, host: str) -> str:
    """What came instead of the answer that was wanted, in a few words."""
    if isinstance(result, Failure):
        return result.reason
    if 300 <= result.status < 400:  # noqa: PLR2004
        return (
            f"the answer was a redirect ({result.status}), which is not followed; a proxy or a wrong --host may be why"
        )
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
    """The trigger, or with `is_trigger` False a read before it, was answered with no."""
    return Refused(
        f"refused-{response.status}",
        f"CircleCI answered {response.status}{_quoted(response)}; nothing was triggered for rule '{context.rule}'",
        *_hints(response.status, context, is_trigger=is_trigger),
    )


def _hints(status: int, context: TriggerContext, *, is_trigger: bool) -> tuple[str, ...]:
    """Possible causes, the likeliest first, and the next step. Fewer causes refuse a read than a trigger."""
    is_v1_1, is_v3 = context.api is ApiVersion.V1_1, context.api is ApiVersion.V3
    token, project = f"the token in {context.token_name}", context.project
    read_only = f"{token} may only read, and a trigger needs write permission"
    who_is = "ask who the token is by a step of this job:  deploystep doctor"
    ref = f"{'tag' if isinstance(context.ref, Tag) else 'branch'} {context.ref.name}"
    causes: dict[int, tuple[tuple[str, bool], ...]] = {
        400: (
            (f"{ref} is no longer in the repository of {project}", True),
            ("CircleCI does not take the request as it is", True),
        ),
        401: (
            (f"{token} is mistyped, revoked or expired (personal tokens expire after a year at most)", True),
            ("it is too old: tokens made before 23 June 2023 are no longer accepted", True),
        ),
        403: (
            (read_only, is_trigger),
            (f"the token's user may not {'build' if is_trigger else 'see'} {project}", True),
            ("the project's settings block new pipelines", is_trigger),
        ),
        404: (
            ("API v3 is on CircleCI's cloud only: on CircleCI Server use api: v2", is_v3),
            (f"{token} is a project token: API v2 and v3 take personal API tokens only", not is_v1_1),
            (read_only, is_trigger),
            (f"the project slug {project} is wrong, or the token's user cannot see the project", True),
            (
                f"a parameter is not declared under parameters: in the config of {project} at {context.ref.name}",
                is_trigger and context.has_parameters,
            ),
        ),
    }
    steps: dict[int, tuple[str, ...]] = {
        400: ("see the exact request with  deploystep run --dry-run --json",),
        401: (
            f"make a new personal API token in {context.app}/settings/user/tokens and store it in {context.token_name}",
        ),
        403: (who_is,),
        404: (who_is,),
        410: (
            "CircleCI has removed the API v1.1 triggers (1 February 2027): job: no longer works",
            "gate a workflow on a pipeline parameter in config.yml and use workflow: with parameters:",
        )
        if is_v1_1
        else (f"{context.host} has removed this endpoint", "try  api: v2-pipeline  on an older CircleCI Server"),
    }
    possible = [words for words, fits in causes.get(status, ()) if fits]
    first = "possible causes:" if len(possible) > 1 else "possible cause:"
    listed = tuple(f"{'or' if at else first} {words}" for at, words in enumerate(possible))
    return listed + steps.get(status, (f"is {context.host} CircleCI's API? see  --host",))
