"""What a trigger is about, and what an unexpected answer to it means: possible causes and the next step.

CircleCI docs, "API developer's guide", "Pipeline values and parameters"; changelog of scoped API tokens.
"""

from deploystep.circleci.http import Failure, Response, Result, message_of, segment, shortened
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.errors import FactUnavailable, Refused, ToolError, Uncertain, Unreachable
from deploystep.core.frozen import Frozen
from deploystep.core.retry import Fate
from deploystep.core.rules import ApiVersion


class TriggerContext(Frozen):
    """One rule's trigger: its project and ref, and the API."""

    rule: str
    project: ProjectSlug
    ref: Branch | Tag
    api: ApiVersion
    host: str
    app: str  # the web application's address
    token_name: str
    has_parameters: bool
    project_id: str | None = None  # its UUID, where the build knows it: API v3 has no slugs

    def run_url(self, number: int | None) -> str:
        """The web page of a run (by API v1.1: of a job); without its number, of the list that it is in."""
        if number is None:
            return self.list_url
        is_job = self.api is ApiVersion.V1_1
        return f"{self.host}/{self.project}/{number}" if is_job else f"{self.app}/pipelines/{self.project}/{number}"

    @property
    def list_url(self) -> str:
        branch = f"?branch={segment(self.ref.name)}" if isinstance(self.ref, Branch) else ""
        return f"{self.app}/pipelines/{self.project}{branch}"


def uncertain(reason: str, context: TriggerContext) -> Uncertain:
    """Something went wrong after the trigger may have been received."""
    what = f"the trigger of rule '{context.rule}' may have been accepted: {reason}"
    look = f"look for a run that the API started at {context.list_url}"
    there = "if it is there, do not run this step again: the deploy is under way"
    return Uncertain("uncertain", what, look, there, "if it is still not there after some minutes, rerun this job")


def unanswered(result: Result, context: TriggerContext) -> ToolError:
    """The trigger was given up: it certainly was not received, or nobody knows."""
    nothing = not_received(result, context.host, context.rule)
    return nothing or uncertain(describe_failure(result, context.host), context)


def unread(result: Result, context: TriggerContext) -> ToolError:
    """Something had to be read before the trigger, and could not be: nothing was sent."""
    if isinstance(result, Response) and 400 <= result.status < 500 and result.status != 429:  # noqa: PLR2004
        return refused(result, context, is_trigger=False)
    what = f"cannot tell whether rule '{context.rule}' was triggered for this commit before"
    why = f"the runs of {context.project} could not be read ({describe_failure(result, context.host)}); it was not sent"
    hints = "it is safe to run this step again", "to send without looking, give  --again REASON"
    nothing = not_received(result, context.host, context.rule)
    return nothing or FactUnavailable("undecided", f"{what}: {why}", *hints)


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
        until = f" (it asks to wait: {wait})" if (wait := shortened(result.headers.get("retry-after", ""), 40)) else ""
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
    token = f"the token in {token_name} is a project token (API v2 takes personal API tokens only)"
    return f"possible causes: {token}, it has expired, or its user cannot see this project"


def refused(response: Response, context: TriggerContext, *, is_trigger: bool = True) -> Refused:
    """The trigger, or a read before it, was answered with no; the likeliest of possible causes comes first."""
    status, is_v1_1, project, ref = response.status, context.api is ApiVersion.V1_1, context.project, context.ref
    token, undeclared = f"the token in {context.token_name}", is_trigger and context.has_parameters
    doctor = "ask who the token is by a step of this job:  deploystep doctor"
    causes = (
        (400, True, f"{'tag' if isinstance(ref, Tag) else 'branch'} {ref.name} is no longer in {project}"),
        (401, True, f"{token} is mistyped, revoked or expired (personal tokens expire after a year at most)"),
        (401, True, "it is too old: tokens made before 23 June 2023 are no longer accepted"),
        (404, context.api is ApiVersion.V3, "API v3 is on CircleCI's cloud only: on CircleCI Server use api: v2"),
        (404, not is_v1_1, f"{token} is a project token: API v2 and v3 take personal API tokens only"),
        (status, is_trigger and status in (403, 404), f"{token} may only read, and a trigger needs write permission"),
        (403, True, f"the token's user may not {'build' if is_trigger else 'see'} {project}"),
        (404, True, f"the project slug {project} is wrong, or the token's user cannot see the project"),
        (410, is_v1_1, "CircleCI has removed the API v1.1 triggers (1 February 2027): job: no longer works"),
        (404, undeclared, f"a parameter is not declared under parameters: in its config at {ref.name}"),
    )
    steps = {
        400: "see the exact request with  deploystep run --dry-run --json",
        401: f"store a new personal API token, of {context.app}/settings/user/tokens, in {context.token_name}",
        403: doctor,
        404: doctor,
        410: "gate a workflow on a pipeline parameter in config.yml and use workflow: with parameters:",
    }
    possible = [words for of, fits, words in causes if of == status and fits]
    step = steps.get(status) if possible else None
    what = f"{describe_failure(response, 'CircleCI')}; nothing was triggered for rule '{context.rule}'"
    hints = (f"{'or' if at else 'possible causes:'} {words}" for at, words in enumerate(possible))
    return Refused(f"refused-{status}", what, *hints, step or f"is {context.host} CircleCI's API? see  --host")
