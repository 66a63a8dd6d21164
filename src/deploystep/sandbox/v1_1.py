"""API v1.1: the trigger that ends on 1 February 2027, and the readings that stay. Facts: the v1.1 reference."""

import re
from itertools import islice
from urllib.parse import quote

from . import bodies
from .messages import Call, JsonValue, RefusedError, Reply, message, stamp
from .routes import Route, project_in
from .state import JobView, jobs_of
from .store import Store

SUNSET = (
    ("Deprecation", "@1777593600"),
    ("Sunset", "Mon, 01 Feb 2027 00:00:00 GMT"),
    ("Link", '<https://circleci.com/docs/guides/toolkit/api-v1-migration-guide/>; rel="deprecation"'),
)
"""Announced with these headers; the day is known, the exact values of the other two are not."""
PROVIDERS = {"gh": ("github", "https://github.com"), "bb": ("bitbucket", "https://bitbucket.org")}
DEFAULT_LIMIT = 30
MAX_LIMIT = 100
OUTCOMES = {"error": "failed", "unauthorized": "failed", "not_run": "canceled"}
"""v2's words for which v1.1 has another one."""


def trigger_build(store: Store, call: Call) -> Reply:
    """Answer `POST .../tree/:branch`: one job, at `revision` if that is given."""
    if store.gone:
        raise RefusedError(410, "This endpoint has been removed")
    project = project_in(store, call)
    body = bodies.read_build_body(call.request, call.args["branch"])
    if call.override.instead:
        return message(200, call.override.instead, *SUNSET)
    run = store.create("v1.1", project, body, call.override)
    if run is None:
        raise RefusedError(404, "Branch not found")
    return Reply(200, build_json(next(jobs_of(run))), SUNSET)


def get_build(store: Store, call: Call) -> Reply:
    """Answer `GET .../:build_num`. The steps are left out: who wants to know of nodes asks v2."""
    job = store.read_job(project_in(store, call), int(call.args["number"]), call.nodes)
    if job is None:
        raise RefusedError(404, "Build not found")
    return Reply(200, build_json(job))


def cancel_build(store: Store, call: Call) -> Reply:
    """Answer `POST .../:build_num/cancel` with the job as it is then; one that has ended stays as it ended."""
    job = store.job(project_in(store, call), int(call.args["number"]))
    if job is not None:
        store.cancel_job(job)
    return get_build(store, call)


def list_builds(store: Store, call: Call) -> Reply:
    """Answer `GET .../tree/:branch`: the branch's recent jobs, newest first."""
    query = call.request.query
    start, size = (
        int(text) if re.fullmatch(r"[0-9]{1,6}", text := query.get(name, "")) else default
        for name, default in (("offset", 0), ("limit", DEFAULT_LIMIT))
    )
    project, branch = project_in(store, call), call.args["branch"]
    listed = store.listed(lambda run: (run.project, run.branch) == (project, branch))
    jobs = (job for run in listed for job in reversed(tuple(jobs_of(run))))
    return Reply(200, [build_json(job) for job in islice(jobs, start, start + min(size, MAX_LIMIT))])


def build_json(job: JobView) -> JsonValue:
    """Put a job into v1.1's words: a summary, without steps, and where it comes from as far as that is known."""
    provider, user, name = job.project.split("/")
    vcs_type, host = PROVIDERS.get(provider, (provider, "https://circleci.com"))
    run, status = job.run, OUTCOMES.get(job.status, job.status)
    is_by_itself = run is not None and not run.is_pipeline
    has_ended, has_begun = job.stopped_at is not None, job.status != "not_running"
    workflow = {"job_name": job.name, "workflow_id": job.workflow_id, "workflow_name": job.workflow_name}
    return {
        "build_num": job.number,
        "build_url": f"https://circleci.com/{provider}/{quote(user)}/{quote(name)}/{job.number}",
        "username": user,
        "reponame": name,
        "vcs_url": f"{host}/{quote(user)}/{quote(name)}",
        "vcs_type": vcs_type,
        "start_time": stamp(job.created_at) if has_begun else None,
        "stop_time": stamp(job.stopped_at) if job.stopped_at else None,
        "parallel": len(job.parallel_runs),
        "status": status,
        "outcome": status if has_ended else None,
        "lifecycle": "finished" if has_ended else "running" if has_begun else "not_running",
        "failed": status == "failed" if has_ended else None,
        "canceled": status == "canceled",
        "messages": [],
        "branch": run.branch if run else None,
        "vcs_tag": run.tag if run else None,
        "vcs_revision": run.revision if run else None,
        "why": "api" if is_by_itself else "github",
        "job_name": job.name,
        "build_parameters": dict(run.parameters) if run and is_by_itself else {},
        "workflows": None if is_by_itself else workflow,
    }


PROJECT = r"/api/v1\.1/project/(?P<slug>[^/]+/[^/]+/[^/]+)"
TREE = re.compile(PROJECT + r"/tree/(?P<branch>[^/]+)")
"""The branch is one segment: its slashes are `%2F` (v1.1 reference)."""
NUMBER = r"/(?P<number>[0-9]{1,15})"
ROUTES = (
    Route("POST", TREE, trigger_build, triggers=True),
    Route("GET", TREE, list_builds),
    Route("GET", re.compile(PROJECT + NUMBER), get_build, reads_job=True),
    Route("POST", re.compile(PROJECT + NUMBER + "/cancel"), cancel_build),
)
