"""API v1.1: the trigger that ends on 1 February 2027, and the readings that stay. Facts: the v1.1 reference."""

import json
import re
from itertools import islice
from urllib.parse import quote

from .messages import Call, JsonValue, RefusedError, Reply, stamp
from .routes import created, job_in, project_in, route
from .schema import V1_BUILD, checked, decoded
from .state import JobView, TriggerBody, jobs_of
from .store import Store

SUNSET = ("Sunset", "Mon, 01 Feb 2027 00:00:00 GMT")
DEFAULT_LIMIT = 30
MAX_LIMIT = 100
OUTCOMES = {"error": "failed", "unauthorized": "failed", "not_run": "canceled"}
"""v2's words for which v1.1 has another one."""


def _trigger(store: Store, call: Call) -> Reply:
    """Start one job, at `revision` if that is given.

    Build parameters become environment variables, so their values turn into strings.
    """
    if store.gone:
        raise RefusedError(410, "This endpoint has been removed")
    project = project_in(store, call)
    body = checked(decoded(call.request.body.strip() or b"{}"), V1_BUILD)
    given = {name: _as_text(value) for name, value in body.get("build_parameters", {}).items()}
    job, revision = given.get("CIRCLE_JOB", "build"), body.get("revision") or None
    asked = TriggerBody(call.args["branch"], parameters=given, revision=revision, job=job)
    run = created(store, call, "v1.1", project, asked)
    return Reply(200, _build(jobs_of(run)[0]), (SUNSET,))


def _as_text(value: JsonValue) -> str:
    """Stringify as JSON spells it, so that true does not become Python's True."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _get(store: Store, call: Call) -> Reply:
    """Answer without the steps; the states of nodes are read through v2."""
    return Reply(200, _build(job_in(store, call)))


def _cancel(store: Store, call: Call) -> Reply:
    """Answer with the job as it is then; one that has ended stays as it ended."""
    store.cancel_job(job_in(store, call))
    return _get(store, call)


def _list(store: Store, call: Call) -> Reply:
    """Answer with the branch's recent jobs, newest first."""
    query = call.request.query
    start, size = (
        int(text) if re.fullmatch(r"[0-9]{1,6}", text := query.get(name, "")) else default
        for name, default in (("offset", 0), ("limit", DEFAULT_LIMIT))
    )
    project, branch = project_in(store, call), call.args["branch"]
    listed = store.listed(lambda run: (run.project, run.branch) == (project, branch))
    jobs = (job for run in listed for job in reversed(jobs_of(run)))
    return Reply(200, [_build(job) for job in islice(jobs, start, start + min(size, MAX_LIMIT))])


def _build(view: JobView) -> JsonValue:
    """Put a job into v1.1's words: a summary, without steps, and where it comes from as far as that is known."""
    run, workflow, job = view
    status = OUTCOMES.get(view.status, view.status)
    has_ended, has_begun = view.stopped_at is not None, view.status != "not_running"
    facts = {"job_name": job.name, "workflow_id": workflow.id, "workflow_name": workflow.name}
    return {
        "build_num": job.number,
        "build_url": f"https://circleci.com/{quote(run.project)}/{job.number}",
        "start_time": stamp(workflow.created_at) if has_begun else None,
        "stop_time": stamp(view.stopped_at),
        "parallel": len(view.parallel_runs),
        "status": status,
        "outcome": status if has_ended else None,
        "lifecycle": "finished" if has_ended else "running" if has_begun else "not_running",
        "branch": run.branch,
        "vcs_tag": run.tag,
        "vcs_revision": run.revision,
        "why": "github" if run.is_pipeline else "api",
        "job_name": job.name,
        "build_parameters": {} if run.is_pipeline else dict(run.parameters),
        "workflows": facts if run.is_pipeline else None,
    }


ROUTES = (
    route("POST /api/v1.1/project/{slug}/tree/{branch}", _trigger, "trigger"),
    route("GET /api/v1.1/project/{slug}/tree/{branch}", _list),
    route("GET /api/v1.1/project/{slug}/{number}", _get, "job"),
    route("POST /api/v1.1/project/{slug}/{number}/cancel", _cancel),
)
