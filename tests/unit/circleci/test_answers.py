"""What answers mean: created, refused, nothing created, or nobody knows."""

from __future__ import annotations

from typing import Any

import pytest
from builds import OTHER_SHA, RUN, SHA, SHOP, asked
from fakes import answer, lost, refused_connection

from deploystep.circleci import v1_1, v2
from deploystep.circleci.answers import unanswered
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.deploy import WorkflowState
from deploystep.core.errors import NothingRuns, Refused, ToolError, Uncertain, Unreachable
from deploystep.core.exits import ExitCode
from deploystep.core.rules import Api

CREATED = {"id": RUN, "state": "pending", "number": 25, "created_at": "2026-06-16T08:02:11Z"}
GARBAGE = [b"", b"<html>", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"id": 1', b"[" * 100_000]


def test_created() -> None:
    created = v2.read_triggered(answer(201, CREATED), asked())
    assert (created.id, created.number, created.state) == (RUN, 25, "pending")
    assert created.url == "https://app.circleci.com/pipelines/gh/acme/shop/25"


def test_skipped() -> None:
    with pytest.raises(NothingRuns) as caught:
        v2.read_triggered(answer(200, {"message": "Ignoring pipeline due to CI skip in the commit"}), asked())
    assert "Ignoring pipeline due to CI skip in the commit" in caught.value.message


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", GARBAGE)
def test_an_acceptance_that_says_nothing_is_uncertain(status: int, body: bytes) -> None:
    """It was accepted: to call it refused would invite a second deploy."""
    for read in (v2.read_triggered, v1_1.read_triggered):
        with pytest.raises(Uncertain):
            read(answer(status, body), asked())


@pytest.mark.parametrize("body", [{}, {"id": ""}, {"id": RUN}, {"id": RUN, "number": "25"}, {"id": 7, "number": 25}])
def test_an_acceptance_that_names_no_run_is_uncertain(body: Any) -> None:
    with pytest.raises(Uncertain):
        v2.read_triggered(answer(201, body), asked())


def test_a_201_with_a_message_alone_is_uncertain() -> None:
    with pytest.raises(Uncertain):
        v2.read_triggered(answer(201, {"message": "created, maybe"}), asked())


@pytest.mark.parametrize(
    ("status", "api", "words"),
    [
        (400, Api.V2_RUN, ["does branch main still exist"]),
        (401, Api.V2_RUN, ["mistyped, revoked or expired", "23 June 2023", "settings/user/tokens"]),
        (403, Api.V2_RUN, ["write permission", "settings block"]),
        (404, Api.V2_RUN, ["project token", "slug gh/acme/shop", "not declared under parameters", "/api/v2/me"]),
        (404, Api.V1_1, ["slug gh/acme/shop", "not declared", "/api/v2/me"]),
        (410, Api.V1_1, ["1 February 2027", "workflow:"]),
        (410, Api.V2_RUN, ["v2-pipeline"]),
        (418, Api.V2_RUN, ["--host"]),
    ],
)
def test_refusals_name_likely_causes_in_order(status: int, api: Api, words: list[str]) -> None:
    read = v1_1.read_triggered if api is Api.V1_1 else v2.read_triggered
    with pytest.raises(Refused) as caught:
        read(answer(status, {"message": "Computer says no"}), asked(api=api))
    error = caught.value
    assert error.message == (
        f"CircleCI answered {status}: Computer says no; nothing was triggered for rule 'production'"
    )
    assert error.code == f"refused-{status}"
    hints = "\n".join(error.hints)
    assert sorted(words, key=hints.find) == words
    assert all(word in hints for word in words), hints


def test_a_404_without_parameters_blames_none() -> None:
    with pytest.raises(Refused) as caught:
        v2.read_triggered(answer(404, {"message": "x"}), asked(has_parameters=False))
    assert "not declared" not in "\n".join(caught.value.hints)


def test_a_refusal_of_a_tag_asks_for_the_tag() -> None:
    with pytest.raises(Refused) as caught:
        v2.read_triggered(answer(400, b"not json"), asked(ref=Tag("v1")))
    assert caught.value.message == "CircleCI answered 400; nothing was triggered for rule 'production'"
    assert "does tag v1 still exist" in caught.value.hints[0]


@pytest.mark.parametrize(
    ("result", "kind", "words"),
    [
        (refused_connection(), Unreachable, "connection refused"),
        (answer(429, {}, retry_after="600"), Unreachable, "600"),
        (answer(429, {}), Unreachable, "429"),
        (lost(), Uncertain, "closed before an answer"),
        (answer(500, {"message": "Oh dear"}), Uncertain, "answered 500: Oh dear"),
        (answer(502, b"<html>"), Uncertain, "answered 502"),
        (answer(302, b"", location="https://evil.example"), Uncertain, "redirect (302)"),
    ],
)
def test_what_was_not_answered(result: Any, kind: type[ToolError], words: str) -> None:
    error = unanswered(result, asked())
    assert type(error) is kind
    assert words in error.message
    assert error.hints


def test_where_to_look_when_uncertain() -> None:
    error = unanswered(lost(), asked(ref=Branch("feature/x y#1&a=b")))
    assert error.exit is ExitCode.UNCERTAIN
    assert error.hints[0].endswith("https://app.circleci.com/pipelines/gh/acme/shop?branch=feature%2Fx%20y%231%26a%3Db")
    assert any("do not run this step again" in hint for hint in error.hints)


# API v1.1

JOB = {"build_num": 31, "build_url": "https://circleci.com/gh/acme/shop/31", "vcs_revision": SHA.upper()}


def test_a_job() -> None:
    created = v1_1.read_triggered(answer(200, JOB), asked(api=Api.V1_1))
    assert (created.id, created.number, created.url, created.revision) == (None, 31, JOB["build_url"], SHA)


def test_a_job_without_url() -> None:
    created = v1_1.read_triggered(answer(201, {"build_num": 31}), asked(api=Api.V1_1))
    assert created.url == "https://app.circleci.com/pipelines/gh/acme/shop?job=31"
    assert created.revision is None


@pytest.mark.parametrize(
    "body", [{"message": "Your config file has errors"}, {}, {"build_num": None}, {"build_num": "3"}]
)
def test_a_200_without_a_job_is_a_refusal(body: Any) -> None:
    with pytest.raises(Refused) as caught:
        v1_1.read_triggered(answer(200, body), asked(api=Api.V1_1))
    assert body.get("message", "no build_num") in caught.value.message
    assert "version: 2.1" in caught.value.hints[0]


# Reading back


def test_a_pipeline() -> None:
    read = v2.read_pipeline(
        answer(
            200,
            {
                "project_slug": "github/acme/shop",
                "state": "errored",
                "errors": [{"type": "config", "message": "one"}, {"message": 2}, "three", {"message": "four"}],
                "vcs": {"revision": SHA.upper()},
            },
        )
    )
    assert read == v2.Pipeline(SHOP, "errored", ("one", "four"), SHA)


def test_a_pipeline_without_vcs() -> None:
    read = v2.read_pipeline(answer(200, {"trigger_parameters": {"git": {"checkout_sha": OTHER_SHA}}, "errors": None}))
    assert read == v2.Pipeline(None, "", (), OTHER_SHA)


@pytest.mark.parametrize("vcs", [None, {}, {"revision": ""}, {"revision": None}, "x"])
def test_a_pipeline_that_does_not_say_its_commit(vcs: Any) -> None:
    read = v2.read_pipeline(answer(200, {"vcs": vcs}))
    assert read is not None
    assert read.revision is None


@pytest.mark.parametrize("result", [answer(404, {"message": "x"}), answer(500, b""), lost(), answer(200, b"[]")])
def test_what_is_no_pipeline(result: Any) -> None:
    assert v2.read_pipeline(result) is None
    assert v2.read_workflows(result) is None


@pytest.mark.parametrize("slug", ["acme/shop", "gl/acme/shop", "gh/acme", "gh//shop", "gh/../shop", 7, None])
def test_a_slug_that_is_none(slug: Any) -> None:
    read = v2.read_pipeline(answer(200, {"project_slug": slug}))
    assert read is not None
    assert read.project is None


def test_a_slug_of_a_github_app_project() -> None:
    read = v2.read_pipeline(answer(200, {"project_slug": "circleci/9Yy/44n"}))
    assert read is not None
    assert read.project == ProjectSlug("circleci", "9Yy", "44n")


def test_workflows() -> None:
    items = [
        {"id": "1", "name": "setup", "status": "success", "tag": "setup"},
        {"id": "2", "name": "deploy", "status": "a new word", "tag": None},
        {"id": "3", "name": None, "status": "running"},
        "nonsense",
    ]
    page = v2.read_workflows(answer(200, {"items": items, "next_page_token": "more"}))
    assert page == v2.Page(
        (WorkflowState("1", "setup", "success", is_setup=True), WorkflowState("2", "deploy", "a new word")), "more"
    )


@pytest.mark.parametrize("token", [None, "", 7])
def test_the_last_page(token: Any) -> None:
    page = v2.read_workflows(answer(200, {"items": None, "next_page_token": token}))
    assert page == v2.Page((), None)
