"""API v1.1: the trigger that ends on 1 February 2027, and the readings that stay. Facts: the v1.1 reference."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import quote

from . import schema
from .routing import Call, Family, Route
from .runs import ENDED
from .state import BranchNotFoundError, State
from .vocabulary import HOSTS, LOGIN, stamp
from .wire import JsonValue, Reply, message

if TYPE_CHECKING:
    from .jobs import JobView
    from .runs import Run

SUNSET = (
    ("Deprecation", "@1777593600"),
    ("Sunset", "Mon, 01 Feb 2027 00:00:00 GMT"),
    ("Link", '<https://circleci.com/docs/guides/toolkit/api-v1-migration-guide/>; rel="deprecation"'),
)
"""Announced with these headers; the day is known, the exact values of the other two are not."""
LONG_PROVIDERS = {"gh": "github", "bb": "bitbucket"}
DEFAULT_LIMIT = 30
MAX_LIMIT = 100
BROKEN = frozenset({"failed", "infrastructure_fail", "timedout", "canceled"})
"""States of a node in which its step has an exit code that is not 0; of a word nobody knows there is none."""
OUTCOMES = {"error": "failed", "unauthorized": "failed", "not_run": "canceled"}
"""v2's words for which v1.1 has another one."""
FILTERS = {
    "completed": ENDED | {"infrastructure_fail", "timedout"},
    "successful": frozenset({"success"}),
    "failed": frozenset({"failed", "infrastructure_fail", "timedout"}),
    "running": frozenset({"running"}),
}


def trigger_build(state: State, call: Call) -> Reply:
    """Answer `POST .../tree/:branch`: one job, at `revision` if that is given."""
    if state.settings.gone:
        return message(410, "This endpoint has been removed")
    if not state.knows(call.project):
        return message(404, "Project not found")
    try:
        body = schema.read_build_body(call.request, call.args["branch"])
    except schema.BodyError as error:
        return message(400, str(error))
    if call.twist.instead:
        return message(200, call.twist.instead, *SUNSET)
    return _create(state, call, body)


def _create(state: State, call: Call, body: schema.TriggerBody) -> Reply:
    try:
        run = state.create("v1.1", call.project, body, call.twist)
    except BranchNotFoundError:
        return message(404, "Branch not found")
    job = state.read_job(call.project, run.number, {})
    return Reply(200, build_json(job, run), SUNSET) if job else message(404, "Build not found")


def get_build(state: State, call: Call) -> Reply:
    """Answer `GET .../:build_num`, whose steps show what each node did."""
    if not state.knows(call.project):
        return message(404, "Project not found")
    return _build(state, call)


def cancel_build(state: State, call: Call) -> Reply:
    """Answer `POST .../:build_num/cancel` with the job as it is then; one that has ended stays as it ended."""
    if not state.knows(call.project):
        return message(404, "Project not found")
    state.cancel_job(call.project, int(call.args["number"]))
    return _build(state, call)


def _build(state: State, call: Call) -> Reply:
    job = state.read_job(call.project, int(call.args["number"]), call.nodes)
    if job is None:
        return message(404, "Build not found")
    return Reply(200, {**build_json(job, state.run(job.pipeline_id)), "steps": _steps(job)})


def list_builds(state: State, call: Call) -> Reply:
    """Answer `GET .../tree/:branch` and `GET` of a project: recent jobs, newest first."""
    if not state.knows(call.project):
        return message(404, "Project not found")
    query = call.request.query
    start, size = _number(query.get("offset"), 0), _number(query.get("limit"), DEFAULT_LIMIT)
    jobs = ((job, run) for job, run in state.listed_jobs(call.project) if _wanted(job, run, call))
    return Reply(200, [build_json(job, run) for job, run in islice(jobs, start, start + min(size, MAX_LIMIT))])


def get_me(_state: State, _call: Call) -> Reply:
    """Answer `GET /me`."""
    return Reply(200, {"login": LOGIN, "name": "Sandbox User", "admin": False, "basic_email_prefs": "none"})


def _wanted(job: JobView, run: Run, call: Call) -> bool:
    allowed = FILTERS.get(call.request.query.get("filter", ""))
    right_branch = "branch" not in call.args or run.branch == call.args["branch"]
    return right_branch and (allowed is None or job.status in allowed)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]{1,6}", text) else default


def build_json(job: JobView, run: Run | None) -> JsonValue:
    """Put a job into v1.1's words: a summary, without steps."""
    provider, user, name = job.project.split("/")
    address = HOSTS.get(provider, ("", "https://circleci.com"))[1]
    vcs_type = LONG_PROVIDERS.get(provider, provider)
    started = stamp(job.created_at) if job.status != "not_running" else None
    return {
        "build_num": job.number,
        "build_url": f"https://circleci.com/{provider}/{quote(user)}/{quote(name)}/{job.number}",
        "username": user,
        "reponame": name,
        "vcs_url": f"{address}/{quote(user)}/{quote(name)}",
        "vcs_type": vcs_type,
        "start_time": started,
        "stop_time": stamp(job.stopped_at) if job.stopped_at else None,
        "parallel": len(job.parallel_runs),
        **_progress(job),
        **_origin(job, run),
    }


def _progress(job: JobView) -> JsonValue:
    ended = job.stopped_at is not None
    status = OUTCOMES.get(job.status, job.status)
    return {
        "status": status,
        "outcome": status if ended else None,
        "lifecycle": "finished" if ended else "not_running" if status == "not_running" else "running",
        "failed": status == "failed" if ended else None,
        "canceled": status == "canceled",
        "messages": [],
    }


def _origin(job: JobView, run: Run | None) -> JsonValue:
    """Tell where a job comes from, as far as that is known, and what it was given."""
    by_itself = run is not None and run.api == "v1.1"
    return {
        "branch": run.branch if run else None,
        "vcs_tag": run.tag if run else None,
        "vcs_revision": run.revision if run else None,
        "why": "api" if by_itself else "github",
        "job_name": job.name,
        "build_parameters": dict(run.parameters) if run and by_itself else {},
        "workflows": None if by_itself else _workflow_json(job),
    }


def _workflow_json(job: JobView) -> JsonValue:
    return {"job_name": job.name, "workflow_id": job.workflow_id, "workflow_name": job.workflow_name}


def _steps(job: JobView) -> JsonValue:
    actions = [_action(index, status) for index, status in enumerate(job.parallel_runs)]
    return [{"name": job.name, "actions": actions}]


def _action(index: int, status: str) -> JsonValue:
    failed = status in BROKEN
    return {
        "index": index,
        "step": 101,
        "name": "run",
        "type": "test",
        "status": status,
        "parallel": True,
        "exit_code": int(failed) if failed or status == "success" else None,
        "failed": failed or None,
    }


# EDN


def encoded(reply: Reply, accept: str | None) -> Reply:
    """Answer in EDN a client that did not say what it accepts: v1.1 gives JSON only when asked."""
    if accept is not None or isinstance(reply.body, bytes):
        return reply
    return replace(reply, body=edn(reply.body).encode(), content_type="application/edn;charset=utf-8")


def edn(value: JsonValue) -> str:
    """Write a JSON value as EDN."""
    if isinstance(value, dict):
        return "{" + ", ".join(f":{name} {edn(entry)}" for name, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + " ".join(edn(entry) for entry in value) + "]"
    return "nil" if value is None else json.dumps(value)


PROJECT = r"/api/v1\.1/project/(?P<slug>[^/]+/[^/]+/[^/]+)"
TREE = re.compile(PROJECT + r"/tree/(?P<branch>[^/]+)")
"""The branch is one segment: its slashes are `%2F` (v1.1 reference)."""

ROUTES = (
    Route("POST", TREE, trigger_build, Family.V1_1, triggers=True),
    Route("GET", TREE, list_builds, Family.V1_1),
    Route("GET", re.compile(PROJECT), list_builds, Family.V1_1),
    Route("GET", re.compile(PROJECT + r"/(?P<number>[0-9]{1,15})"), get_build, Family.V1_1, reads_job=True),
    Route("POST", re.compile(PROJECT + r"/(?P<number>[0-9]{1,15})/cancel"), cancel_build, Family.V1_1),
    Route("GET", re.compile(r"/api/v1\.1/me"), get_me, Family.V1_1),
)
