"""API v3: requests to the letter, and what is made of its answers; no more than is attested."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from builds import DEFINITION, RUN, SHA, SHOP, asked, spec
from fakes import START, answer, lost

from deploystep.circleci import v3
from deploystep.circleci.recent import Recent
from deploystep.core.build import Branch, Tag
from deploystep.core.errors import Refused, Uncertain
from deploystep.core.retry import Repeat
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Run, WorkflowState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploystep.circleci.wire import Failure, Request, Response, T, Talk

ASKED = asked(api=ApiVersion.V3, project_id="1e0f0000-0000-4000-8000-000000000001")


def converse(talk: Talk[T], *answers: Response | Failure) -> tuple[T, list[Request]]:
    """What a talk comes to, and the requests that it took."""
    left, sent = list(answers), [next(talk)]
    try:
        while True:
            sent.append(talk.send(left.pop(0)))
    except StopIteration as ended:
        assert not left, "fewer requests than answers"
        result: T = ended.value
        return result, sent


def run(identity: str = RUN, **attributes: Any) -> dict[str, Any]:
    vcs = {"revision": SHA, "branch": "main"}
    return {"id": identity, "attributes": attributes, "references": {"event": {"attributes": {"vcs": vcs}}}}


def page(*data: Any, following: str | None = None) -> Response:
    return answer(200, {"data": list(data), "page": {"next": following, "prev": None}})


# The trigger


def test_the_request() -> None:
    request = v3.run_request(spec(api=ApiVersion.V3, definition=DEFINITION, parameters={"deploy": True, "n": 3}), SHOP)
    assert (request.method, request.path, dict(request.query)) == ("POST", "/api/v3/runs", {})
    assert request.repeat is Repeat.ONLY_IF_NOT_RECEIVED
    assert request.body == {
        "data": {
            "attributes": {
                "config": {"branch": "main"},
                "checkout": {"branch": "main"},
                "parameters": {"deploy": True, "n": 3},
            },
            "references": {"pipeline": {"id": DEFINITION}},
        }
    }


def test_without_parameters_there_are_none() -> None:
    body: Any = v3.run_request(spec(api=ApiVersion.V3, definition=DEFINITION), SHOP).body
    assert set(body["data"]["attributes"]) == {"config", "checkout"}


@pytest.mark.parametrize("status", [200, 201, 202])
def test_created(status: int) -> None:
    created = v3.read_triggered(answer(status, {"data": run(phase="created", number=25)}), ASKED)
    assert (created.id, created.number, created.url, created.state) == (RUN, 25, ASKED.run_url(25), "queued")


def test_created_without_a_number() -> None:
    created = v3.read_triggered(answer(201, {"data": {"id": RUN}}), ASKED)
    assert (created.id, created.number, created.url) == (RUN, None, ASKED.list_url)


@pytest.mark.parametrize(
    "body", [None, {}, {"data": None}, {"data": []}, {"data": [run()]}, {"data": {"id": ""}}, {"data": {"id": 7}}]
)
def test_an_acceptance_that_names_no_run_is_uncertain(body: object) -> None:
    with pytest.raises(Uncertain):
        v3.read_triggered(answer(202, body), ASKED)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410])
def test_a_no(status: int) -> None:
    error = {"error": {"id": "e", "type": "validation_error", "title": "Bad", "detail": "no such branch"}}
    with pytest.raises(Refused) as caught:
        v3.read_triggered(answer(status, error), ASKED)
    assert caught.value.code == f"refused-{status}"
    assert "Bad: no such branch" in caught.value.message


# A run


def test_a_run_is_asked_for_by_its_id() -> None:
    _, sent = converse(v3.run(ASKED, "a/b"), answer(200, {"data": run()}))
    assert [(r.method, r.path, r.repeat) for r in sent] == [("GET", "/api/v3/runs/a%2Fb", Repeat.FREELY)]


def test_a_run() -> None:
    said = run(phase="started", created_at="2026-06-16T08:00:00.123Z", number=25)
    read, _ = converse(v3.run(ASKED, RUN), answer(200, {"data": said}))
    created = datetime(2026, 6, 16, 8, 0, 0, 123000, tzinfo=timezone.utc)
    assert read == Run(RUN, 25, SHA, Branch("main"), created)


@pytest.mark.parametrize(
    ("vcs", "ref", "revision"),
    [
        ({"branch": "main", "revision": SHA.upper()}, Branch("main"), SHA),
        ({"tag": "v1", "revision": SHA}, Tag("v1"), SHA),
        ({"tag": "v1", "branch": "main"}, None, None),
        ({"branch": "refs/heads/main", "revision": SHA[:7]}, Branch("main"), None),
        ({"branch": "", "revision": ""}, None, None),
        ({}, None, None),
    ],
)
def test_what_a_run_is_of(vcs: dict[str, str], ref: object, revision: str | None) -> None:
    said = {"id": RUN, "references": {"event": {"attributes": {"vcs": vcs}}}}
    read, _ = converse(v3.run(ASKED, RUN), answer(200, {"data": said}))
    assert read is not None
    assert (read.ref, read.revision, read.is_by_api) == (ref, revision, None)


@pytest.mark.parametrize(
    ("attributes", "is_errored", "is_forming"),
    [
        ({"phase": "created"}, False, True),
        ({"phase": "queued"}, False, True),
        ({"phase": "started"}, False, False),
        ({"phase": "ended", "current_outcome": "succeeded"}, False, False),
        ({"phase": "ended", "current_outcome": "errored"}, True, False),
        ({"phase": "ended", "outcome": "errored"}, True, False),
        ({"phase": "brand new"}, False, False),
        ({}, False, False),
    ],
)
def test_how_a_run_stands(attributes: dict[str, str], is_errored: bool, is_forming: bool) -> None:  # noqa: FBT001 - columns
    read, _ = converse(v3.run(ASKED, RUN), answer(200, {"data": run(**attributes)}))
    assert read is not None
    assert (read.is_errored, read.is_forming) == (is_errored, is_forming)


def test_the_errors_of_a_run() -> None:
    errors = [{"type": "config", "message": "one"}, {"message": ""}, "two", {"message": "three"}]
    read, _ = converse(v3.run(ASKED, RUN), answer(200, {"data": run(errors=errors)}))
    assert read is not None
    assert read.errors == ("one", "three")


@pytest.mark.parametrize(
    "came",
    [answer(404), answer(500), lost(), answer(200, b"<html>"), answer(200, {"data": []}), answer(200, {"data": {}})],
)
def test_a_run_that_cannot_be_read(came: Response | Failure) -> None:
    assert converse(v3.run(ASKED, RUN), came)[0] is None


# Workflows


def workflow(identity: str = "w", name: str = "deploy", **attributes: Any) -> dict[str, Any]:
    return {"id": identity, "attributes": {"name": name, **attributes}}


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"phase": "created"}, "queued"),
        ({"phase": "queued"}, "queued"),
        ({"phase": "started"}, "running"),
        ({"phase": "started", "current_outcome": "failed"}, "failing"),
        ({"phase": "started", "current_outcome": "succeeded"}, "running"),
        ({"phase": "started", "current_outcome": "on_hold"}, "on_hold"),
        ({"phase": "ended", "outcome": "succeeded"}, "success"),
        ({"phase": "ended", "outcome": "failed"}, "failed"),
        ({"phase": "ended", "outcome": "canceled"}, "canceled"),
        ({"phase": "ended", "outcome": "errored"}, "error"),
        ({"phase": "ended", "outcome": "unauthorized"}, "unauthorized"),
        ({"phase": "ended", "outcome": "not_run"}, "not_run"),
        ({"phase": "ended", "current_outcome": "failed"}, "failed"),
        ({"phase": "ended", "outcome": "brand new"}, "brand new"),
        ({"phase": "brand new", "outcome": "succeeded"}, "brand new"),
        ({"outcome": "succeeded"}, ""),
    ],
)
def test_how_a_workflow_stands(attributes: dict[str, str], status: str) -> None:
    read, sent = converse(v3.workflows(ASKED, RUN), page(workflow(**attributes)))
    assert read == (WorkflowState("w", "deploy", status),)
    assert [(r.method, r.path, dict(r.query)) for r in sent] == [("GET", "/api/v3/workflows", {"filter[run_id]": RUN})]


def test_only_what_has_certainly_ended_well_is_success() -> None:
    """An outcome without its phase is of a workflow that goes on."""
    read, _ = converse(v3.workflows(ASKED, RUN), page(workflow(phase="started", outcome="succeeded")))
    assert read is not None
    assert not read[0].succeeded


def test_a_setup_workflow() -> None:
    read, _ = converse(v3.workflows(ASKED, RUN), page(workflow(tag="setup")))
    assert read is not None
    assert read[0].is_setup


def test_workflows_that_have_not_been_made_are_none() -> None:
    assert converse(v3.workflows(ASKED, RUN), answer(404))[0] == ()


@pytest.mark.parametrize("came", [answer(403), answer(500), lost(), answer(200, {}), answer(200, {"data": {}})])
def test_workflows_that_cannot_be_read(came: Response | Failure) -> None:
    assert converse(v3.workflows(ASKED, RUN), came)[0] is None


def test_pages_of_workflows() -> None:
    read, sent = converse(v3.workflows(ASKED, RUN), page(workflow("a"), following="c1"), page(workflow("b")))
    assert read is not None
    assert [w.id for w in read] == ["a", "b"]
    assert dict(sent[1].query) == {"filter[run_id]": RUN, "page[cursor]": "c1"}


def test_cancel() -> None:
    request = v3.cancel(ASKED, WorkflowState("a/b", "deploy", "running"))
    assert (request.method, request.path, request.body) == ("POST", "/api/v3/workflows/a%2Fb/cancel", None)
    assert request.repeat is Repeat.FREELY


# The search


def search(*answers: Response | Failure, **changes: Any) -> tuple[Recent | Response | Failure, Sequence[Request]]:
    said = asked(api=ApiVersion.V3, project_id="p", **changes)
    return converse(v3.recent(said, lambda runs: len(runs) >= 3, START), *answers)


def test_the_search() -> None:
    result, sent = search(page(run(), run("2")))
    assert isinstance(result, Recent)
    assert ([r.id for r in result.runs], result.is_whole) == ([RUN, "2"], True)
    (request,) = sent
    assert (request.method, request.path, request.repeat) == ("POST", "/api/v3/runs/search", Repeat.FREELY)
    assert request.body == {
        "scope": {"project_ids": ["p"], "from": "2026-03-18T08:02:11Z", "to": "2026-06-17T08:02:11Z"},
        "filter": 'pipeline.git.branch == "main"',
        "page": {"cursor": "", "limit": 20},
    }


def test_the_search_goes_on_until_there_is_enough() -> None:
    result, sent = search(page(run("1"), run("2"), following="c"), page(run("3"), following="d"))
    assert isinstance(result, Recent)
    assert ([r.id for r in result.runs], result.is_whole) == (["1", "2", "3"], True)
    bodies: list[Any] = [r.body for r in sent]
    assert [b["page"]["cursor"] for b in bodies] == ["", "c"]


@pytest.mark.parametrize(("branch", "quoted"), [('a"b', '"a\\"b"'), ("a\\b", '"a\\\\b"'), ('" or "', '"\\" or \\""')])
def test_a_branch_cannot_end_the_text_it_is_in(branch: str, quoted: str) -> None:
    _, sent = search(page(), ref=Branch(branch))
    body: Any = sent[0].body
    assert body["filter"] == f"pipeline.git.branch == {quoted}"


@pytest.mark.parametrize("came", [answer(404), answer(400), answer(500), lost(), answer(200, {})])
def test_a_search_that_fails_is_told_as_it_came(came: Response | Failure) -> None:
    assert search(came)[0] == came
    assert search(page(run(), following="c"), came)[0] == came


def test_a_project_without_a_known_id_is_asked_for() -> None:
    said = asked(api=ApiVersion.V3)
    answers = (answer(200, {"data": [{"id": "p9"}]}), page())
    _, sent = converse(v3.recent(said, lambda _: True, START), *answers)
    assert (sent[0].path, dict(sent[0].query)) == ("/api/v3/projects", {"filter[slug]": "gh/acme/shop"})
    body: Any = sent[1].body
    assert body["scope"]["project_ids"] == ["p9"]


@pytest.mark.parametrize("came", [answer(404), answer(200, {"data": []}), answer(200, {"data": [{"id": ""}]}), lost()])
def test_a_project_that_cannot_be_found(came: Response | Failure) -> None:
    assert converse(v3.recent(asked(api=ApiVersion.V3), lambda _: True, START), came)[0] == came
