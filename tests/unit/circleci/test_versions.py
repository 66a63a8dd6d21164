"""What only one API version has: states, who made a run, nodes and jobs, the search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import OTHER_SHA, RUN, SHA, SHOP, context
from fakes import START, ScriptedTransport, answer, client, lost

from deploystep.circleci import v2
from deploystep.circleci.apis import api_for
from deploystep.circleci.client import Recent
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import NodeState, Run, WorkflowState

if TYPE_CHECKING:
    from deploystep.circleci.http import Failure, Response


def read_run(api: ApiVersion, body: dict[str, Any]) -> Run:
    usual = {"id": RUN, "state": "created", "build_num": 31, "status": "running"}
    wrapped = {"data": {"id": RUN, **body}} if api is ApiVersion.V3 else {**usual, **body}
    key = "31" if api is ApiVersion.V1_1 else RUN
    found = api_for(client(ScriptedTransport([answer(200, wrapped)])), context(api=api)).run(key)
    assert found is not None
    return found


def read_workflow(api: ApiVersion, body: dict[str, Any]) -> WorkflowState:
    usual = {"build_num": 31, "job_name": "deploy", "status": "running"}
    page = {"items": [body], "data": [body], **usual, **(body if api is ApiVersion.V1_1 else {})}
    found = api_for(client(ScriptedTransport([answer(200, page)])), context(api=api)).workflows("31")
    assert found is not None
    return found[0]


# API v2


def test_a_pipeline_of_a_definition_tells_by_its_parameters() -> None:
    git = {"checkout_sha": OTHER_SHA, "tag": "v1"}
    for vcs in (None, {}, {"revision": ""}, "x"):
        read = read_run(ApiVersion.V2_RUN, {"trigger_parameters": {"git": git}, "errors": None, "vcs": vcs})
        assert read == Run(RUN, revision=OTHER_SHA, ref=Tag("v1"))
    read = read_run(ApiVersion.V2_RUN, {"vcs": {"revision": SHA, "branch": "main"}, "trigger_parameters": {"git": git}})
    assert (read.revision, read.ref) == (SHA, Branch("main"))


@pytest.mark.parametrize(
    ("state", "is_forming", "is_errored"),
    [
        ("pending", True, False),
        ("setup-pending", True, False),
        ("setup", True, False),
        ("created", False, False),
        ("errored", False, True),
        ("a new word", False, False),
    ],
)
def test_how_a_pipeline_stands(state: str, is_forming: object, is_errored: object) -> None:
    errors = [{"type": "config", "message": "one"}, {"message": 2}, "three", {"message": "four"}]
    read = read_run(ApiVersion.V2_RUN, {"state": state, "errors": errors})
    assert (read.is_forming, read.is_errored, read.errors) == (is_forming, is_errored, ("one", "four"))


@pytest.mark.parametrize(
    ("trigger", "is_by_api"),
    [
        ({"type": "api"}, True),
        ({"type": "webhook"}, False),
        ({"type": "scheduled_pipeline"}, False),
        ({"type": "explicit"}, None),
        ({"type": "a new word"}, None),
        (None, None),
    ],
)
def test_who_started_a_pipeline(trigger: object, is_by_api: object) -> None:
    assert read_run(ApiVersion.V2_RUN, {"trigger": trigger}).is_by_api is is_by_api


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"tag": "setup"}, {"is_setup": True}),
        ({"tag": None, "created_at": "2026-06-16T08:02:11Z"}, {"created": START}),
        ({"stopped_at": "2026-06-16T08:02:11Z"}, {"stopped": START}),
        ({"max_auto_reruns": 3, "auto_rerun_number": 1}, {"reruns_left": 2}),
        ({"max_auto_reruns": 3}, {"reruns_left": 3}),
        ({"max_auto_reruns": 1, "auto_rerun_number": 2}, {"reruns_left": 0}),
    ],
)
def test_a_workflow_of_v2(more: dict[str, Any], expected: Any) -> None:
    read = read_workflow(ApiVersion.V2_RUN, {"id": "1", "name": "deploy", "status": "a new word", **more})
    assert read == WorkflowState("1", "deploy", "a new word", **expected)


def test_of_a_tag_the_list_is_the_whole_projects() -> None:
    transport = ScriptedTransport([answer(200, {"items": []})])
    assert isinstance(v2.pipelines(client(transport), SHOP, Tag("v1"), lambda _: False), Recent)
    assert dict(transport.sent[0].query) == {}


@pytest.mark.parametrize(
    ("body", "project"),
    [
        ({"project_slug": "circleci/9Yy/44n"}, ProjectSlug("circleci", "9Yy", "44n")),
        ({"project_slug": "github/acme/shop"}, SHOP),
        ({"project_slug": "gl/acme/shop"}, None),
        ({"project_slug": "gh/../shop"}, None),
        ({"project_slug": 7}, None),
        ({}, None),
        ({"id": "another", "project_slug": "gh/acme/shop"}, None),
    ],
)
def test_the_project_of_a_pipeline(body: dict[str, Any], project: ProjectSlug | None) -> None:
    transport = ScriptedTransport([answer(200, {"id": RUN, "state": "created", **body})])
    assert v2.pipeline_project(client(transport), RUN) == project


def jobs(*items: Any) -> tuple[v2.Job, ...] | None:
    transport = ScriptedTransport([answer(200, {"items": items})])
    found = v2.jobs(client(transport), "a/b")
    assert transport.paths == ["GET /api/v2/workflow/a%2Fb/job"]
    return found


def test_the_newest_job_of_a_name_is_the_oldest_in_age() -> None:
    early, late, waiting = (
        {"name": "test", "status": "failed", "started_at": "2026-06-16T08:00:00Z", "job_number": 9},
        {"name": "test", "status": "success", "started_at": "2026-06-16T09:00:00Z", "job_number": 10},
        {"name": "test", "status": "blocked", "started_at": None},
    )
    found = jobs(waiting, late, early, {**late, "job_number": 11})
    assert found is not None
    assert [job.status for job in sorted(found, key=lambda job: job.age)] == ["failed", "success", "success", "blocked"]
    assert max(found[1].age, found[3].age) == found[3].age
    assert jobs({"name": "test"}) is None


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([{"index": 1, "status": "running"}, {"index": 0}], (NodeState(1, "running"), NodeState(0, ""))),
        ([{"index": True, "status": "success"}], None),
        (["x"], None),
        (None, None),
    ],
)
def test_the_nodes_of_a_job(runs: Any, expected: object) -> None:
    came = answer(200, {"number": 12, "parallel_runs": runs})
    transport = ScriptedTransport([came])
    assert v2.nodes(client(transport), SHOP, 12) == (expected, came)
    assert transport.paths == ["GET /api/v2/project/gh/acme/shop/job/12"]
    others = [answer(404), answer(200, {"parallel_runs": runs}), answer(200, {"number": 11, "parallel_runs": runs})]
    for other in others:
        assert v2.nodes(client(ScriptedTransport([other])), SHOP, 12) == (None, other)


@pytest.mark.parametrize(("told", "is_read"), [(None, True), ("p1", True), ("p2", False), (7, False), ("", False)])
def test_workflows_of_another_pipeline_are_not_believed(told: Any, is_read: bool) -> None:  # noqa: FBT001 - a column
    items = [{"id": "w1", "name": "a", "status": "running"}, {"id": "w2", "name": "b", "status": "running"}]
    found = v2.workflows(
        client(ScriptedTransport([answer(200, {"items": [items[0], items[1] | {"pipeline_id": told}]})])), "p1"
    )
    assert (found is not None) is is_read


# API v3


@pytest.mark.parametrize(
    ("attributes", "status", "is_errored", "is_forming"),
    [
        ({"phase": "created"}, "queued", False, True),
        ({"phase": "queued"}, "queued", False, True),
        ({"phase": "started"}, "running", False, False),
        ({"phase": "started", "current_outcome": "failed"}, "failing", False, False),
        ({"phase": "started", "outcome": "succeeded"}, "running", False, False),
        ({"phase": "started", "current_outcome": "on_hold"}, "on_hold", False, False),
        ({"phase": "ended", "outcome": "succeeded"}, "success", False, False),
        ({"phase": "ended", "outcome": "failed"}, "failed", False, False),
        ({"phase": "ended", "outcome": "errored"}, "error", True, False),
        ({"phase": "ended", "current_outcome": "errored"}, "error", True, False),
        ({"phase": "ended", "outcome": "brand new"}, "brand new", False, False),
        ({"phase": "ended"}, "", False, False),
        ({"phase": "brand new", "outcome": "succeeded"}, "brand new", False, False),
    ],
)
def test_phase_and_outcome(attributes: dict[str, Any], status: str, is_errored: object, is_forming: object) -> None:
    said = {**attributes, "name": "deploy", "errors": [{"message": "one"}, {"message": ""}, "two"]}
    read = read_run(ApiVersion.V3, {"attributes": said})
    assert (read.is_errored, read.is_forming, read.errors) == (is_errored, is_forming, ("one",))
    assert read_workflow(ApiVersion.V3, {"id": "w", "attributes": said}) == WorkflowState("w", "deploy", status)


def test_a_workflow_of_v3() -> None:
    """An outcome without its phase is of a workflow that goes on."""
    said = {"name": "deploy", "outcome": "succeeded", "tag": "setup"}
    read = read_workflow(ApiVersion.V3, {"id": "w", "attributes": said})
    assert (read.status, read.is_setup, read.succeeded) == ("", True, False)


def test_workflows_of_v3_that_have_not_been_made_are_none() -> None:
    transport = ScriptedTransport([answer(404)])
    assert api_for(client(transport), context(api=ApiVersion.V3)).workflows(RUN) == ()
    assert dict(transport.sent[0].query) == {"filter[run_id]": RUN}


def test_the_next_page_of_workflows_of_v3() -> None:
    pages = [answer(200, {"data": [], "page": {"next": "c1"}}), answer(200, {"data": []})]
    transport = ScriptedTransport(pages)
    assert api_for(client(transport), context(api=ApiVersion.V3)).workflows(RUN) == ()
    assert dict(transport.sent[1].query) == {"filter[run_id]": RUN, "page[cursor]": "c1"}


def search(*events: Any, **changes: Any) -> tuple[Recent | Response | Failure, list[Any], list[str]]:
    transport = ScriptedTransport(events)
    said = context(**{"api": ApiVersion.V3, "project_id": "p", **changes})
    found = api_for(client(transport), said).recent(lambda _: False)
    return found, [request.body for request in transport.sent], transport.paths


@pytest.mark.parametrize(
    ("branch", "quoted"),
    [("main", '"main"'), ('a"b', '"a\\"b"'), ("a\\b", '"a\\\\b"'), ('" or "', '"\\" or \\""')],
)
def test_the_search(branch: str, quoted: str) -> None:
    """A branch cannot end the text that it is in."""
    page = answer(200, {"data": [], "page": {"next": "c"}})
    _, bodies, _ = search(page, answer(200, {"data": []}), ref=Branch(branch))
    assert bodies == [
        {
            "scope": {"project_ids": ["p"], "from": "2026-03-18T08:02:11Z", "to": "2026-06-17T08:02:11Z"},
            "filter": f"pipeline.git.branch == {quoted}",
            "page": {"cursor": cursor, "limit": 20},
        }
        for cursor in ("", "c")
    ]


def test_a_project_without_a_known_id_is_asked_for() -> None:
    found, bodies, paths = search(answer(200, {"data": [{"id": "p9"}]}), answer(200, {"data": []}), project_id=None)
    assert isinstance(found, Recent)
    assert paths == ["GET /api/v3/projects", "POST /api/v3/runs/search"]
    assert bodies[1]["scope"]["project_ids"] == ["p9"]
    for came in (answer(404), answer(200, {"data": []}), answer(200, {"data": [{"id": ""}]})):
        assert search(came, project_id=None)[0] == came
    assert search(*[lost()] * 5, project_id=None)[0] == lost()


# API v1.1


@pytest.mark.parametrize(
    ("body", "is_by_api"),
    [
        ({"why": "api"}, True),
        ({"why": "edit", "workflows": None}, True),
        ({"why": "github"}, False),
        ({"why": "bitbucket"}, False),
        ({"why": "retry"}, None),
        ({"why": None}, None),
        ({"why": "api", "workflows": {"workflow_id": "w"}}, False),
    ],
)
def test_who_made_a_job(body: dict[str, Any], is_by_api: object) -> None:
    """A job of a workflow was started by that workflow, whoever started the workflow."""
    assert read_run(ApiVersion.V1_1, body).is_by_api is is_by_api


def test_when_a_job_was_made() -> None:
    early, late = "2026-06-16T08:02:11Z", "2026-06-16T09:00:00.000Z"
    assert read_run(ApiVersion.V1_1, {"queued_at": early, "usage_queued_at": late}).created == START
    assert read_run(ApiVersion.V1_1, {"usage_queued_at": early}).created == START


def test_jobs_are_listed_by_offset() -> None:
    full = answer(200, [{"build_num": n} for n in range(100)])
    transport = ScriptedTransport([full, full, answer(200, [])])
    found = api_for(client(transport), context(api=ApiVersion.V1_1)).recent(lambda _: False)
    assert isinstance(found, Recent)
    assert (len(found.runs), found.is_whole) == (200, True)
    assert [request.query.get("offset") for request in transport.sent] == [None, "100", "200"]


@pytest.mark.parametrize(
    ("body", "name", "status"),
    [
        ({"status": "queued", "outcome": None}, "deploy", "queued"),
        ({"status": "fixed"}, "deploy", "success"),
        ({"status": "no_tests", "outcome": "no_tests"}, "deploy", "success"),
        ({"status": "failed", "outcome": "infrastructure_fail"}, "deploy", "infrastructure_fail"),
        ({"job_name": None, "workflows": {"job_name": "x"}}, "x", "running"),
        ({"job_name": "", "build_parameters": {"CIRCLE_JOB": "y"}}, "y", "running"),
        ({"job_name": None, "build_parameters": None}, "", "running"),
    ],
)
def test_a_job_as_a_workflow(body: dict[str, Any], name: str, status: str) -> None:
    assert read_workflow(ApiVersion.V1_1, body) == WorkflowState("31", name, status)
