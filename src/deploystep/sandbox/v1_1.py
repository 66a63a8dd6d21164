"""API v1.1: the trigger that ends on 1 February 2027, and the readings that stay. Facts: the v1.1 reference."""

import json
from urllib.parse import quote

from .messages import Call, JsonValue, Reply, route, told
from .shapes import ANY, STRING, Shape, checked, decoded
from .state import ENDED, TriggerBody
from .store import JobView, Store, jobs_of

SUNSET = ("Sunset", "Mon, 01 Feb 2027 00:00:00 GMT")
DEFAULT_LIMIT, MAX_LIMIT = 30, 100
OUTCOMES = {"error": "failed", "unauthorized": "failed", "not_run": "canceled"}
"""v2's words for which v1.1 has another one."""
BODY: Shape = {"build_parameters": {"*": ANY}, "revision": STRING, "*": ANY}
"""`POST .../tree/:branch`."""


def _trigger(store: Store, call: Call, project: str, branch: str) -> Reply:
    """Start one job, at `revision` if that is given.

    Build parameters become environment variables, so their values turn into strings.
    """
    body = checked(decoded(call.request.body.strip() or b"{}"), BODY)
    # as JSON spells them, so that true does not become Python's True
    sent = {name: "" if value is None else value for name, value in body.get("build_parameters", {}).items()}
    given = {name: value if isinstance(value, str) else json.dumps(value) for name, value in sent.items()}
    job, revision = given.get("CIRCLE_JOB", "build"), body.get("revision") or None
    asked = TriggerBody(branch, parameters=given, revision=revision, job=job)
    return Reply(200, _build(jobs_of(store.create("v1.1", project, asked, call.override))[0]), (SUNSET,))


def _cancel(store: Store, call: Call, project: str, job: JobView) -> JsonValue:
    """Answer with the job as it is then; one that has ended stays as it ended. Guess: its workflow goes with it."""
    store.cancel(job.workflow)
    return _build(store.named("job", str(job.job.number), call, {"project": project}))


def _list(store: Store, call: Call, project: str, branch: str) -> JsonValue:
    """Answer with the branch's recent jobs, newest first."""
    query = call.request.query
    start, size = (int(query.get(name, usual)) for name, usual in (("offset", 0), ("limit", DEFAULT_LIMIT)))
    if start < 0 or size < 0:
        raise ValueError("offset and limit must not be negative")
    listed = store.listed(lambda run: (run.project, run.branch) == (project, branch))
    jobs = [job for run in listed for job in reversed(jobs_of(run))]
    return [_build(job) for job in jobs[start : start + min(size, MAX_LIMIT)]]


def _build(view: JobView) -> JsonValue:
    """Put a job into v1.1's words: a summary, without steps, and where it comes from as far as that is known."""
    run, workflow, job = view
    status = OUTCOMES.get(job.status, job.status)
    has_ended, has_begun = job.status in ENDED, job.status != "not_running"
    facts = told(view, job_name="job.name", workflow_id="workflow.id", workflow_name="workflow.name")
    return {
        **told(view, build_num="job.number", job_name="job.name", stop_time="workflow.stopped_at"),
        **told(run, "branch", vcs_tag="tag", vcs_revision="revision"),
        "build_url": f"https://circleci.com/{quote(run.project)}/{job.number}",
        "start_time": workflow.created_at if has_begun else None,
        "status": status,
        "outcome": status if has_ended else None,
        "lifecycle": "finished" if has_ended else "running" if has_begun else "not_running",
        "why": "github" if run.is_pipeline else "api",
        "build_parameters": {} if run.is_pipeline else dict(run.parameters),
        "workflows": facts if run.is_pipeline else None,
    }


ROUTES = (
    route("POST /api/v1.1/project/{project}/tree/{branch}", _trigger, "trigger"),
    route("GET /api/v1.1/project/{project}/tree/{branch}", _list),
    route("GET /api/v1.1/project/{project}/{job}", lambda *_, project, job: project and _build(job), "job"),
    route("POST /api/v1.1/project/{project}/{job}/cancel", _cancel),
)
