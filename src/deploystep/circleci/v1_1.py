"""API v1.1, as its reference and OpenAPI document tell it: one job. It ends on 1 February 2027, and then this file."""

from itertools import count
from typing import Final

from deploystep.circleci import http
from deploystep.circleci.client import Client, Enough, Recent
from deploystep.circleci.errors import TriggerContext
from deploystep.circleci.http import JsonObject, Page, Result, body_of, segment
from deploystep.circleci.v2 import V2, read_run
from deploystep.core.errors import Refused, ToolError
from deploystep.core.runs import Run, WorkflowState

_PAGE: Final = 100  # v1.1 reference: the most that `limit` may be
#: The words of `why` as v2 writes them; the reference shows `edit` for what recorded answers call `api`.
_WHY: Final = {"api": "api", "edit": "api", "github": "webhook", "bitbucket": "webhook"}


class V1Job(V2):
    """API v1.1 for one project and branch: each job is seen as a run with one workflow of the job's name."""

    _is_job = True

    def __init__(self, client: Client, context: TriggerContext) -> None:
        super().__init__(client, context)
        self._runs = self._workflows = http.project_path(context.project, "v1.1")

    def _no(self, words: str, /) -> ToolError | None:
        """Failures can come so."""
        what = f"CircleCI answered 200 and started no job for rule '{self.context.rule}': {words}"
        no_2_1 = "API v1.1 cannot trigger jobs of a config that says version: 2.1"
        return Refused("refused", what, f"{no_2_1}; gate a workflow on a parameter and use workflow:")

    def _as_v2(self, body: JsonObject) -> JsonObject:
        number, status = body.number("build_num"), body.text("outcome") or body.text("status")
        # a job of a workflow was started by that workflow
        why = "webhook" if body.get("workflows") else _WHY.get(body.text("why") or "")
        return JsonObject({
            "id": None if number is None else str(number),
            "number": number,
            "name": body.text("job_name") or body.text("build_parameters", "CIRCLE_JOB"),
            "state": status and "created",
            "status": status,
            "created_at": body.text("queued_at") or body.get("usage_queued_at"),
            "trigger": {"type": why},
            "vcs": {"revision": body.get("vcs_revision"), "branch": body.get("branch"), "tag": body.get("vcs_tag")},
        })  # fmt: skip

    def workflows(self, run_id: str) -> tuple[WorkflowState, ...] | None:
        """The job, seen as the one workflow of its run; None where it cannot be read."""
        job = self.one(run_id)[0]
        word = job.text("status")
        status = "success" if word in ("fixed", "no_tests") else word  # v1.1 reference, "Build status"
        return (WorkflowState(run_id, job.text("name") or "", status),) if status else None

    def recent(self, enough: Enough) -> Recent | Result:
        """The branch's jobs, newest first (`GET …/tree/:branch`); those that wait to start may be missing."""
        offsets = count(_PAGE, _PAGE)

        def read(result: Result) -> Page[Run] | None:
            jobs = http.every(body_of(result), lambda job: read_run(self._as_v2(job)))
            # a full page may have another after it
            return None if jobs is None else (jobs, str(next(offsets)) if len(jobs) >= _PAGE else None)

        path = f"{self._runs}/tree/{segment(self.context.ref.name)}"
        return self.client.runs(http.listing(path, "offset", limit=str(_PAGE), shallow="true"), read, enough)

    def compiled_config(self, _run_id: str) -> str | None:
        """None: a job of API v1.1 has no configuration of its own."""
        return None

    def jobs_not_run(self, _workflow: WorkflowState) -> tuple[str, ...] | None:
        """Nothing: the job is all that there is, and its own state tells whether it ran."""
        return ()
