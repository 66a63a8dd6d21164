"""What answers mean: created, refused, nothing created, or nobody knows."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from builds import OTHER_SHA, RUN, SHA, SHOP, asked
from fakes import answer, lost, refused_connection

from deploystep.circleci import v1_1, v2
from deploystep.circleci.answers import unanswered
from deploystep.circleci.wire import Failure, Page, Response, T, Talk
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.errors import NothingRuns, Refused, ToolError, Uncertain, Unreachable
from deploystep.core.exits import ExitCode
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Run, WorkflowState

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
        (400, ApiVersion.V2_RUN, ["does branch main still exist"]),
        (401, ApiVersion.V2_RUN, ["mistyped, revoked or expired", "23 June 2023", "settings/user/tokens"]),
        (403, ApiVersion.V2_RUN, ["write permission", "settings block"]),
        (404, ApiVersion.V2_RUN, ["project token", "slug gh/acme/shop", "not declared under parameters", "/api/v2/me"]),
        (404, ApiVersion.V1_1, ["slug gh/acme/shop", "not declared", "/api/v2/me"]),
        (410, ApiVersion.V1_1, ["1 February 2027", "workflow:"]),
        (410, ApiVersion.V2_RUN, ["v2-pipeline"]),
        (418, ApiVersion.V2_RUN, ["--host"]),
    ],
)
def test_refusals_name_likely_causes_in_order(status: int, api: ApiVersion, words: list[str]) -> None:
    read = v1_1.read_triggered if api is ApiVersion.V1_1 else v2.read_triggered
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
    created = v1_1.read_triggered(answer(200, JOB), asked(api=ApiVersion.V1_1))
    assert (created.id, created.number, created.url, created.revision) == (None, 31, JOB["build_url"], SHA)


def test_a_job_without_url() -> None:
    created = v1_1.read_triggered(answer(201, {"build_num": 31}), asked(api=ApiVersion.V1_1))
    assert created.url == "https://circleci.com/gh/acme/shop/31"
    assert created.revision is None


def test_a_200_with_words_and_without_a_job_is_a_refusal() -> None:
    with pytest.raises(Refused) as caught:
        v1_1.read_triggered(answer(200, {"message": "Your config file has errors"}), asked(api=ApiVersion.V1_1))
    assert "Your config file has errors" in caught.value.message
    assert "version: 2.1" in caught.value.hints[0]


@pytest.mark.parametrize("body", [{}, {"build_num": None}, {"build_num": "3"}, {"build_num": True}])
def test_a_200_that_says_nothing_is_no_refusal(body: Any) -> None:
    with pytest.raises(Uncertain):
        v1_1.read_triggered(answer(200, body), asked(api=ApiVersion.V1_1))


@pytest.mark.parametrize("status", [201, 202, 203, 206, 226])
def test_other_words_of_acceptance_are_neither_a_refusal_nor_a_skip(status: int) -> None:
    said = answer(status, {"message": "Queued"})
    for read, api in ((v1_1.read_triggered, ApiVersion.V1_1), (v2.read_triggered, ApiVersion.V2_RUN)):
        with pytest.raises(Uncertain):
            read(said, asked(api=api))


# Reading back


def told(talk: Talk[T], *results: Response | Failure) -> T:
    """What a conversation comes to that is answered so."""
    left = list(results)
    try:
        next(talk)
        while True:
            talk.send(left.pop(0))
    except StopIteration as ended:
        assert left == []
        value: T = ended.value
        return value


def test_a_pipeline() -> None:
    read = told(
        v2.run(asked(), RUN),
        answer(
            200,
            {
                "project_slug": "github/acme/shop",
                "number": 25,
                "state": "errored",
                "errors": [{"type": "config", "message": "one"}, {"message": 2}, "three", {"message": "four"}],
                "created_at": "2026-06-16T08:02:11.5Z",
                "trigger": {"type": "api"},
                "vcs": {"revision": SHA.upper(), "branch": "main"},
            },
        ),
    )
    assert read == Run(
        id=RUN,
        number=25,
        revision=SHA,
        ref=Branch("main"),
        created=datetime(2026, 6, 16, 8, 2, 11, 500_000, tzinfo=timezone.utc),
        is_by_api=True,
        is_errored=True,
        errors=("one", "four"),
    )


def test_a_pipeline_without_vcs() -> None:
    git = {"checkout_sha": OTHER_SHA, "tag": "v1"}
    read = told(v2.run(asked(), RUN), answer(200, {"trigger_parameters": {"git": git}, "errors": None}))
    assert read == Run(id=RUN, revision=OTHER_SHA, ref=Tag("v1"))


@pytest.mark.parametrize("vcs", [None, {}, {"revision": ""}, {"revision": None}, "x"])
def test_a_pipeline_that_does_not_say_its_commit(vcs: Any) -> None:
    read = told(v2.run(asked(), RUN), answer(200, {"vcs": vcs}))
    assert read is not None
    assert read.revision is None


@pytest.mark.parametrize("state", ["pending", "setup-pending", "setup"])
def test_a_pipeline_that_is_forming(state: str) -> None:
    read = told(v2.run(asked(), RUN), answer(200, {"state": state}))
    assert read is not None
    assert read.is_forming


@pytest.mark.parametrize(
    ("kind", "is_by_api"),
    [("api", True), ("webhook", False), ("scheduled_pipeline", False), ("explicit", False), ("a new word", None)],
)
def test_who_started_a_pipeline(kind: str, is_by_api: object) -> None:
    read = told(v2.run(asked(), RUN), answer(200, {"trigger": {"type": kind}}))
    assert read is not None
    assert read.is_by_api is is_by_api


@pytest.mark.parametrize("result", [answer(404, {"message": "x"}), answer(500, b""), lost(), answer(200, b"[]")])
def test_what_is_no_pipeline(result: Any) -> None:
    assert told(v2.run(asked(), RUN), result) is None
    assert v2.read_project(result) is None
    assert v2.read_workflows(result) is None
    assert v2.read_jobs(result) is None
    assert v2.read_nodes(result) is None


@pytest.mark.parametrize("slug", ["acme/shop", "gl/acme/shop", "gh/acme", "gh//shop", "gh/../shop", 7, None])
def test_a_slug_that_is_none(slug: Any) -> None:
    assert v2.read_project(answer(200, {"project_slug": slug})) is None


@pytest.mark.parametrize(
    ("slug", "project"),
    [("circleci/9Yy/44n", ProjectSlug("circleci", "9Yy", "44n")), ("github/acme/shop", SHOP)],
)
def test_a_slug(slug: str, project: ProjectSlug) -> None:
    assert v2.read_project(answer(200, {"project_slug": slug})) == project


def test_workflows() -> None:
    items = [
        {"id": "1", "name": "setup", "status": "success", "tag": "setup"},
        {"id": "2", "name": "deploy", "status": "a new word", "tag": None},
    ]
    page = v2.read_workflows(answer(200, {"items": items, "next_page_token": "more"}))
    assert page == Page(
        (WorkflowState("1", "setup", "success", is_setup=True), WorkflowState("2", "deploy", "a new word")), "more"
    )


@pytest.mark.parametrize("token", [None, "", 7])
def test_the_last_page(token: Any) -> None:
    page = v2.read_workflows(answer(200, {"items": [], "next_page_token": token}))
    assert page == Page((), None)


@pytest.mark.parametrize("items", [None, {}, "x"])
def test_no_list_is_not_an_empty_list(items: Any) -> None:
    assert v2.read_workflows(answer(200, {"items": items})) is None
