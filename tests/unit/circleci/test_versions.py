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


V2, V3, V1_1 = ApiVersion.V2_RUN, ApiVersion.V3, ApiVersion.V1_1
EARLY, LATE = "2026-06-16T08:02:11Z", "2026-06-16T09:00:00.000Z"
GIT = {"trigger_parameters": {"git": {"checkout_sha": OTHER_SHA, "tag": "v1"}}}
ERRORS = [{"type": "config", "message": "one"}, {"message": 2}, "three", {"message": ""}, {"message": "four"}]


@pytest.mark.parametrize(
    ("api", "body", "expected"),
    [
        # a pipeline of a definition tells by its parameters
        *((V2, {**GIT, "vcs": vcs}, {"revision": OTHER_SHA, "ref": Tag("v1")}) for vcs in (None, {"revision": ""}, 7)),
        (V2, {**GIT, "vcs": {"revision": SHA, "branch": "main"}}, {"revision": SHA, "ref": Branch("main")}),
        # how it stands
        *((V2, {"state": w}, {"is_forming": True, "is_errored": False}) for w in ("pending", "setup-pending", "setup")),
        *((V2, {"state": word}, {"is_forming": False, "is_errored": False}) for word in ("created", "a new word")),
        (V2, {"state": "errored", "errors": ERRORS}, {"is_errored": True, "errors": ("one", "four")}),
        (V2, {"errors": None}, {"errors": ()}),
        *((V3, {"attributes": {"phase": p}}, {"is_forming": True, "is_errored": False}) for p in ("created", "queued")),
        (V3, {"attributes": {"phase": "started", "errors": ERRORS}}, {"is_forming": False, "errors": ("one", "four")}),
        *(
            (V3, {"attributes": {"phase": "ended", name: word}}, {"is_forming": False, "is_errored": word == "errored"})
            for name in ("outcome", "current_outcome") for word in ("errored", "failed", "succeeded")
        ),
        # who started it; a job of a workflow was started by that workflow, whoever started the workflow
        (V2, {"trigger": {"type": "api"}}, {"is_by_api": True}),
        *((V2, {"trigger": {"type": word}}, {"is_by_api": False}) for word in ("webhook", "scheduled_pipeline")),
        *((V2, {"trigger": said}, {"is_by_api": None}) for said in ({"type": "explicit"}, {"type": "new"}, None)),
        (V1_1, {"why": "api"}, {"is_by_api": True}),
        (V1_1, {"why": "edit", "workflows": None}, {"is_by_api": True}),
        *((V1_1, {"why": word}, {"is_by_api": False}) for word in ("github", "bitbucket")),
        *((V1_1, {"why": word}, {"is_by_api": None}) for word in ("retry", None)),
        (V1_1, {"why": "api", "workflows": {"workflow_id": "w"}}, {"is_by_api": False}),
        # when it was made
        (V1_1, {"queued_at": EARLY, "usage_queued_at": LATE}, {"created": START}),
        (V1_1, {"usage_queued_at": EARLY}, {"created": START}),
    ],
)  # fmt: skip
def test_a_run(api: ApiVersion, body: dict[str, Any], expected: dict[str, Any]) -> None:
    read = read_run(api, body)
    assert {name: getattr(read, name) for name in expected} == expected


def of_v2(**more: Any) -> dict[str, Any]:
    return {"id": "31", "name": "deploy", "status": "a new word", **more}


def of_v3(phase: str = "", outcome: str = "", current: str = "", **more: Any) -> dict[str, Any]:
    said = {"name": "deploy", "phase": phase, "outcome": outcome, "current_outcome": current, **more}
    return {"id": "31", "attributes": said}


@pytest.mark.parametrize(
    ("api", "body", "expected"),
    [
        (V2, of_v2(), {"status": "a new word"}),
        (V2, of_v2(tag="setup"), {"is_setup": True}),
        (V2, of_v2(created_at=EARLY, stopped_at=EARLY), {"created": START, "stopped": START}),
        (V2, of_v2(max_auto_reruns=3, auto_rerun_number=1), {"reruns_left": 2}),
        (V2, of_v2(max_auto_reruns=3), {"reruns_left": 3}),
        (V2, of_v2(max_auto_reruns=1, auto_rerun_number=2), {"reruns_left": 0}),
        (V3, of_v3("created"), {"status": "queued"}),
        (V3, of_v3("queued"), {"status": "queued"}),
        (V3, of_v3("started"), {"status": "running"}),
        (V3, of_v3("started", current="failed"), {"status": "failing"}),
        (V3, of_v3("started", "succeeded"), {"status": "running"}),
        (V3, of_v3("started", current="on_hold"), {"status": "on_hold"}),
        (V3, of_v3("ended", "succeeded"), {"status": "success"}),
        (V3, of_v3("ended", "failed"), {"status": "failed"}),
        (V3, of_v3("ended", "errored"), {"status": "error"}),
        (V3, of_v3("ended", current="errored"), {"status": "error"}),
        (V3, of_v3("ended", "brand new"), {"status": "brand new"}),
        (V3, of_v3("ended"), {"status": ""}),
        (V3, of_v3("brand new", "succeeded"), {"status": "brand new"}),
        # an outcome without its phase is of a workflow that goes on
        (V3, of_v3("", "succeeded", tag="setup"), {"status": "", "is_setup": True, "succeeded": False}),
        (V1_1, {"status": "queued", "outcome": None}, {"status": "queued"}),
        (V1_1, {"status": "fixed"}, {"status": "success"}),
        (V1_1, {"status": "no_tests", "outcome": "no_tests"}, {"status": "success"}),
        (V1_1, {"status": "failed", "outcome": "infrastructure_fail"}, {"status": "infrastructure_fail"}),
        (V1_1, {"job_name": None, "workflows": {"job_name": "x"}}, {"name": "x"}),
        (V1_1, {"job_name": "", "build_parameters": {"CIRCLE_JOB": "y"}}, {"name": "y"}),
        (V1_1, {"job_name": None, "build_parameters": None}, {"name": ""}),
    ],
)
def test_a_workflow(api: ApiVersion, body: dict[str, Any], expected: dict[str, Any]) -> None:
    read = read_workflow(api, body)
    expected = {"id": "31", "name": "deploy", "is_setup": False, "reruns_left": 0, "stopped": None} | expected
    assert {name: getattr(read, name) for name in expected} == expected


# API v2


def test_of_a_tag_the_list_is_the_whole_projects() -> None:
    transport = ScriptedTransport([answer(200, {"items": []})])
    assert isinstance(v2.pipelines(client(transport), SHOP, Tag("v1"), lambda _: False), Recent)
    assert dict(transport.sent[0].query) == {}


@pytest.mark.parametrize(
    ("body", "project"),
    [
        ({"project_slug": "circleci/9Yy/44n"}, ProjectSlug("circleci", "9Yy", "44n")),
        ({"project_slug": "github/acme/shop"}, SHOP),
        *(({"project_slug": slug}, None) for slug in ("gl/acme/shop", "gh/../shop", 7, None)),
        ({"id": "another", "project_slug": "gh/acme/shop"}, None),
    ],
)
def test_the_project_of_a_pipeline(body: dict[str, Any], project: ProjectSlug | None) -> None:
    transport = ScriptedTransport([answer(200, {"id": RUN, "state": "created", **body})])
    assert v2.pipeline_project(client(transport), RUN)[0] == project


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


def test_pages_of_workflows_of_v3() -> None:
    """A 404 means that none have been made."""
    for events in ([answer(404)], [answer(200, {"data": [], "page": {"next": "c1"}}), answer(200, {"data": []})]):
        transport = ScriptedTransport(events)
        assert api_for(client(transport), context(api=V3)).workflows(RUN) == ()
        queries = [{"filter[run_id]": RUN}, {"filter[run_id]": RUN, "page[cursor]": "c1"}]
        assert [dict(request.query) for request in transport.sent] == queries[: len(events)]


@pytest.mark.parametrize("token", [7, ["x"], {"cursor": "c1"}])
def test_a_page_that_names_the_next_oddly_is_not_the_last(token: object) -> None:
    transport = ScriptedTransport([answer(200, {"data": [], "page": {"next": token}})])
    assert api_for(client(transport), context(api=V3)).workflows(RUN) is None


def search(*events: Any, **changes: Any) -> tuple[Recent | Response | Failure, list[Any], list[str]]:
    transport = ScriptedTransport(events)
    said = context(**{"api": V3, "project_id": "p", **changes})
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


def test_jobs_are_listed_by_offset() -> None:
    full = [answer(200, [{"build_num": n} for n in range(start, start + 100)]) for start in (0, 100)]
    transport = ScriptedTransport([*full, answer(200, [])])
    found = api_for(client(transport), context(api=V1_1)).recent(lambda _: False)
    assert isinstance(found, Recent)
    assert (len(found.runs), found.is_whole) == (200, True)
    assert [request.query.get("offset") for request in transport.sent] == [None, "100", "200"]
