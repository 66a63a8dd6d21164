"""What a trigger is about, and what an unexpected answer to it means: possible causes and the next step.

Meanings of the statuses: CircleCI docs, "API developer's guide"; "Pipeline values and parameters" for the 404 of an
undeclared parameter; the changelog of scoped API tokens; the deprecation notice of the v1 and v1.1 triggers for 410.
"""

from deploystep.circleci import http
from deploystep.circleci.http import Failure, JsonObject, Response, Result, message_of, segment
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
        if number is None:
            return self.list_url
        is_job = self.api is ApiVersion.V1_1
        return f"{self.host}/{self.project}/{number}" if is_job else f"{self.app}/pipelines/{self.project}/{number}"

    @property
    def list_url(self) -> str:
        """The web page that lists the runs of this project's branch."""
        branch = f"?branch={segment(self.ref.name)}" if isinstance(self.ref, Branch) else ""
        return f"{self.app}/pipelines/{self.project}{branch}"


def accepted(response: Response, context: TriggerContext) -> tuple[JsonObject, str, Uncertain]:
    """The JSON of an answer that accepts the trigger, the words of a 200, and what to raise if nothing was created.

    Raises Refused.
    """
    status, accepting = response.status, range(200, 300)
    if status not in accepting:
        raise refused(response, context)
    nothing = uncertain(f"CircleCI answered {status}, but not with what it created", context)
    words = message_of(response) if status == accepting.start else ""
    return JsonObject(http.body_of(response, accepting)), words, nothing


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
        what = f"{host} was not reached ({result.reason}); {nothing}"
        proxy = "behind a proxy or a private CA, set HTTPS_PROXY or REQUESTS_CA_BUNDLE in the job"
        return Unreachable("unreachable", what, "it is safe to run this step again", proxy)
    if isinstance(result, Response) and result.status == 429:  # noqa: PLR2004
        wait = http.shortened(result.headers.get("retry-after", ""), 40)
        until = f" (it asks to wait: {wait})" if wait else ""
        what = f"CircleCI answered 429, too many requests{until}; {nothing}"
        limit = "the limit counts all requests of this token's user: give the deploy a token of its own"
        return Unreachable("rate-limited", what, "it is safe to run this step again later", limit)
    return None


def describe_failure(result: Result, host: str) -> str:
    """What came instead of the answer that was wanted, in a few words."""
    if isinstance(result, Failure):
        return result.reason
    words = f": {message_of(result)}".removesuffix(": ")
    if result.status // 100 == 3:  # noqa: PLR2004
        why = "a proxy or a wrong --host may be why"
        return f"the answer was a redirect ({result.status}), which is not followed{words}; {why}"
    return f"{host} answered {result.status}{words}"


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
    may_read = f"{token} may only read, and a trigger needs write permission"
    who = "ask who the token is by a step of this job:  deploystep doctor"
    causes = (
        (400, True, f"{ref} is no longer in the repository of {project}"),
        (400, True, "CircleCI does not take the request as it is"),
        (401, True, f"{token} is mistyped, revoked or expired (personal tokens expire after a year at most)"),
        (401, True, "it is too old: tokens made before 23 June 2023 are no longer accepted"),
        (404, context.api is ApiVersion.V3, "API v3 is on CircleCI's cloud only: on CircleCI Server use api: v2"),
        (404, not is_v1_1, f"{token} is a project token: API v2 and v3 take personal API tokens only"),
        (status, is_trigger and status in (403, 404), may_read),
        (403, True, f"the token's user may not {'build' if is_trigger else 'see'} {project}"),
        (403, is_trigger, "the project's settings block new pipelines"),
        (404, True, f"the project slug {project} is wrong, or the token's user cannot see the project"),
        (404, is_trigger and context.has_parameters, undeclared),
    )
    steps = {
        400: ("see the exact request with  deploystep run --dry-run --json",),
        401: (f"make a new personal API token in {context.app}/settings/user/tokens and store it in {name}",),
        403: (who,),
        404: (who,),
        410: (f"{context.host} has removed this endpoint", "try  api: v2-pipeline  on an older CircleCI Server"),
    }
    if is_v1_1:
        steps[410] = (
            "CircleCI has removed the API v1.1 triggers (1 February 2027): job: no longer works",
            "gate a workflow on a pipeline parameter in config.yml and use workflow: with parameters:",
        )
    possible = [words for of, fits, words in causes if of == status and fits]
    first = "possible causes:" if len(possible) > 1 else "possible cause:"
    return Refused(
        f"refused-{status}",
        f"{describe_failure(response, 'CircleCI')}; nothing was triggered for rule '{context.rule}'",
        *(f"{'or' if at else first} {words}" for at, words in enumerate(possible)),
        *steps.get(status, (f"is {context.host} CircleCI's API? see  --host",)),
    )
