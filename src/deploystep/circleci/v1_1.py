"""API v1.1: one job on a branch, at a given revision. CircleCI removes these triggers on 1 February 2027.

Sources: CircleCI's v1.1 reference, "Trigger a new job with a branch", "Single job", "Recent builds"; the v1.1 OpenAPI
document, `triggerJobOnBranch`.
"""

from itertools import count
from typing import Final

from deploystep.circleci import http
from deploystep.circleci.client import Client, Enough, Recent
from deploystep.circleci.errors import TriggerContext, accepted_body, not_created
from deploystep.circleci.http import Json, JsonObject, Page, Request, Response, Result, body_of, segment
from deploystep.circleci.v2 import V2
from deploystep.core.build import ProjectSlug
from deploystep.core.deploy import TriggerSpec
from deploystep.core.errors import Refused
from deploystep.core.retry import Repeat
from deploystep.core.runs import Created, Run, WorkflowState

_PAGE: Final = 100  # v1.1 reference: the most that `limit` may be
_VCS: Final = {"gh": "github", "bb": "bitbucket"}
#: The words of `why`; the reference shows `edit` for what recorded answers call `api`.
_BY_API: Final = {"api": True, "edit": True, "github": False, "bitbucket": False}
#: Words of v1.1 for an end that is a success (v1.1 reference, "Build status").
_SUCCESSES: Final = {"fixed": "success", "no_tests": "success"}


def job_request(spec: TriggerSpec, project: ProjectSlug) -> Request:
    """`POST …/tree/BRANCH`: the branch is one path segment (`/` is %2F), the revision is pinned where it is ours."""
    body: dict[str, Json] = {"revision": spec.revision} if spec.revision else {}
    # they become environment variables: texts, with booleans as JSON writes them
    texts = {key: str(v).lower() if isinstance(v, bool) else str(v) for key, v in spec.parameters.items()}
    body["build_parameters"] = {"CIRCLE_JOB": spec.job, **texts}
    return Request("POST", f"{_path(project)}/tree/{segment(spec.ref.name)}", Repeat.ONLY_IF_NOT_RECEIVED, body)


def _path(project: ProjectSlug) -> str:
    vcs = _VCS.get(project.vcs, project.vcs)
    return "/api/v1.1/project/" + "/".join(map(segment, (vcs, project.organization, project.project)))


class V1Job(V2):
    """API v1.1 for one project and branch: each job is seen as a run with one workflow of the job's name."""

    def __init__(self, client: Client, context: TriggerContext) -> None:
        super().__init__(client, context)
        self._place = _path(context.project)

    def read_created(self, response: Response) -> Created:
        """The job that was created. A 200 with words and no `build_num` is a refusal: failures can come that way."""
        body = accepted_body(response, self.context)
        number, words = body.number("build_num"), http.message_of(response)
        if number is not None:
            url, revision = self.context.run_url(number), body.revision("vcs_revision")
            return Created(None, number, url, _status(body) or "", revision)
        if response.status != 200 or not words:  # noqa: PLR2004
            raise not_created(response, self.context)
        what = f"CircleCI answered {response.status} and started no job for rule '{self.context.rule}': {words}"
        no_2_1 = "API v1.1 cannot trigger jobs of a config that says version: 2.1"
        raise Refused("refused", what, f"{no_2_1}; gate a workflow on a parameter and use workflow:")

    def run(self, run_id: str) -> Run | None:
        """The job, seen as a run; None where it cannot be read."""
        return _run(self._job(run_id))

    def workflows(self, run_id: str) -> tuple[WorkflowState, ...] | None:
        """The job, seen as the one workflow of its run; None where it cannot be read."""
        body = self._job(run_id)
        name, status = body.text("job_name") or body.text("build_parameters", "CIRCLE_JOB") or "", _status(body)
        return None if status is None else (WorkflowState(run_id, name, _SUCCESSES.get(status, status)),)

    def _job(self, run_id: str) -> JsonObject:
        """`GET …/:build_num`. An answer of another job, or one that names no state, is taken for empty."""
        body = JsonObject(body_of(self.client.get(f"{self._place}/{segment(run_id)}")))
        return body if str(body.number("build_num")) == run_id and _status(body) else JsonObject(None)

    def recent(self, enough: Enough) -> Recent | Result:
        """The branch's jobs, newest first (`GET …/tree/:branch`); those that wait to start may be missing."""
        offsets = count(_PAGE, _PAGE)

        def read(result: Result) -> Page[Run] | None:
            jobs = http.every(body_of(result), _run)
            # a full page may have another after it
            return None if jobs is None else (jobs, str(next(offsets)) if len(jobs) >= _PAGE else None)

        path = f"{self._place}/tree/{segment(self.context.ref.name)}"
        return self.client.runs(http.listing(path, "offset", limit=str(_PAGE), shallow="true"), read, enough)

    def compiled_config(self, _run_id: str) -> str | None:
        """None: a job of API v1.1 has no configuration of its own."""
        return None

    def jobs_not_run(self, _workflow: WorkflowState) -> tuple[str, ...] | None:
        """Nothing: the job is all that there is, and its own state tells whether it ran."""
        return ()


def _run(body: JsonObject) -> Run | None:
    number = body.number("build_num")
    if number is None:
        return None
    return Run(
        id=str(number),
        number=number,
        revision=body.revision("vcs_revision"),
        ref=body.ref(tag="vcs_tag"),
        created=body.moment("queued_at") or body.moment("usage_queued_at"),
        # a job of a workflow was started by that workflow, whoever started the workflow
        is_by_api=False if body.get("workflows") else _BY_API.get(body.text("why") or ""),
    )


def _status(body: JsonObject) -> str | None:
    return body.text("outcome") or body.text("status")
