"""API v1.1: a job seen as a run with one workflow, and the list of a branch's jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import SHA, SHOP, asked
from fakes import answer, lost

from deploystep.circleci import v1_1
from deploystep.circleci.recent import Recent
from deploystep.core.build import Branch, Tag
from deploystep.core.retry import Repeat
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Run, WorkflowState

if TYPE_CHECKING:
    from deploystep.circleci.wire import Failure, Request, Response, T, Talk

ASKED = asked(api=ApiVersion.V1_1)


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


def job(number: int = 31, **more: Any) -> dict[str, Any]:
    usual = {"build_num": number, "branch": "main", "vcs_revision": SHA, "why": "api", "job_name": "deploy"}
    return {**usual, "status": "running", **more}


def read(**more: Any) -> Run:
    found, _ = converse(v1_1.run(ASKED, "31"), answer(200, job(**more)))
    assert found is not None
    return found


def state(**more: Any) -> WorkflowState:
    found, _ = converse(v1_1.workflows(ASKED, "31"), answer(200, job(**more)))
    assert found is not None
    return found[0]


def test_a_job_is_asked_for_by_its_number() -> None:
    for talk in (v1_1.run(ASKED, "31"), v1_1.workflows(ASKED, "31")):
        _, sent = converse(talk, answer(200, job()))
        assert [(r.method, r.path) for r in sent] == [("GET", "/api/v1.1/project/github/acme/shop/31")]
        assert sent[0].repeat is Repeat.FREELY


def test_a_job_as_a_run() -> None:
    assert read() == Run("31", 31, SHA, Branch("main"), None, is_by_api=True)
    assert read(branch=None, vcs_tag="v1").ref == Tag("v1")
    assert read(vcs_tag="v1").ref is None
    assert read(branch=None).ref is None
    assert read(vcs_revision=SHA.upper()).revision == SHA
    assert read(vcs_revision=None).revision is None


def test_when_a_job_was_made() -> None:
    early, late = "2026-06-16T08:00:00Z", "2026-06-16T09:00:00.000Z"
    first = read(queued_at=early, usage_queued_at=late).created
    assert first is not None
    assert first.hour == 8
    second = read(usage_queued_at=late).created
    assert second is not None
    assert second.hour == 9


@pytest.mark.parametrize(
    ("more", "is_by_api"),
    [
        ({}, True),
        ({"workflows": None}, True),
        ({"why": "github"}, False),
        ({"why": "edit"}, True),
        ({"why": "retry"}, None),
        ({"why": None}, None),
        ({"workflows": {"workflow_id": "w"}}, False),
    ],
)
def test_who_made_a_job(more: dict[str, Any], is_by_api: object) -> None:
    """A job of a workflow was started by that workflow, whoever started the workflow."""
    assert read(**more).is_by_api is is_by_api


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"status": "queued", "outcome": None}, "queued"),
        ({"status": "scheduled"}, "scheduled"),
        ({"status": "success", "outcome": "success"}, "success"),
        ({"status": "fixed", "outcome": "success"}, "success"),
        ({"status": "fixed"}, "success"),
        ({"status": "no_tests", "outcome": "no_tests"}, "success"),
        ({"status": "canceled", "outcome": "canceled"}, "canceled"),
        ({"status": "failed", "outcome": "infrastructure_fail"}, "infrastructure_fail"),
        ({"status": None, "outcome": None}, ""),
    ],
)
def test_how_a_job_stands(more: dict[str, Any], status: str) -> None:
    assert state(**more) == WorkflowState("31", "deploy", status)


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, "deploy"),
        ({"job_name": None, "workflows": {"job_name": "x"}}, "x"),
        ({"job_name": None, "build_parameters": {"CIRCLE_JOB": "y"}}, "y"),
        ({"job_name": "", "build_parameters": None}, ""),
    ],
)
def test_what_a_job_is_called(more: dict[str, Any], name: str) -> None:
    assert state(**more).name == name


@pytest.mark.parametrize(
    "came", [answer(404), answer(500), lost(), answer(200, []), answer(200, {}), answer(200, {"build_num": True})]
)
def test_a_job_that_cannot_be_read(came: Response | Failure) -> None:
    assert converse(v1_1.run(ASKED, "31"), came)[0] is None
    assert converse(v1_1.workflows(ASKED, "31"), came)[0] is None


# The list


def listing(*answers: Response | Failure, enough: int = 10_000) -> tuple[Recent | Response | Failure, list[Request]]:
    return converse(v1_1.recent(asked(api=ApiVersion.V1_1, ref=Branch("a/b")), lambda r: len(r) >= enough), *answers)


def test_the_list_of_a_branch() -> None:
    result, sent = listing(answer(200, [job(3), job(2)]))
    assert isinstance(result, Recent)
    assert ([r.id for r in result.runs], result.is_whole) == (["3", "2"], True)
    assert [(r.method, r.path) for r in sent] == [("GET", "/api/v1.1/project/github/acme/shop/tree/a%2Fb")]
    assert dict(sent[0].query) == {"limit": "100", "shallow": "true"}


def test_a_full_page_has_another_after_it() -> None:
    full = answer(200, [job(n) for n in range(300, 200, -1)])
    result, sent = listing(full, full, answer(200, []))
    assert isinstance(result, Recent)
    assert len(result.runs) == 200
    assert [r.query.get("offset") for r in sent] == [None, "100", "200"]
    assert len(listing(full, enough=100)[1]) == 1


STRANGE = (answer(200, {}), answer(200, b"{:edn 1}"), answer(200, [{"build_num": None}]), answer(200, ["x"]))


@pytest.mark.parametrize("came", [answer(404), answer(500), lost(), *STRANGE])
def test_a_list_that_cannot_be_read(came: Response | Failure) -> None:
    assert listing(came)[0] == came


# Where a person sees it


def test_a_job_is_not_shown_as_the_pipeline_of_its_number() -> None:
    assert ASKED.run_url(31) == "https://circleci.com/gh/acme/shop/31"
    created = v1_1.read_triggered(answer(200, {"build_num": 31}), ASKED)
    assert created.url == "https://circleci.com/gh/acme/shop/31"
    told = v1_1.read_triggered(answer(200, {"build_num": 31, "build_url": "https://x/31"}), ASKED)
    assert told.url == "https://x/31"


def test_a_cancel_is_of_the_job() -> None:
    request = v1_1.cancel(ASKED, WorkflowState("31", "deploy", "running"))
    assert (request.method, request.path) == ("POST", "/api/v1.1/project/github/acme/shop/31/cancel")
    assert v1_1.build_request(SHOP, "31").path == "/api/v1.1/project/github/acme/shop/31"
