"""Who is asked what: git for commits, CircleCI for jobs, and stated facts instead of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import WORKFLOW, build
from fakes import FakeClock, ScriptedTransport, answer, courier, lost, refused_connection

from deploystep.app.learn import Sources, from_given, read_jobs
from deploystep.core.facts import (
    Answered,
    AuthorOf,
    Base,
    ChangedSince,
    IsMergedInto,
    JobsOf,
    Known,
    MessageOf,
    Question,
    Unavailable,
)
from deploystep.core.source import SourceFile
from deploystep.rulefile.given import read_given

if TYPE_CHECKING:
    from fakes import Event

    from deploystep.app.courier import Courier
    from deploystep.circleci.wire import Response

LAST, PREVIOUS, NAMED = ChangedSince(Base.LAST_DEPLOY, workflow="x"), ChangedSince(Base.PREVIOUS_COMMIT), ChangedSince()


def job(
    name: str, status: str = "success", started: str | None = "2026-06-16T08:00:00Z", **more: Any
) -> dict[str, Any]:
    return {"name": name, "status": status, "type": "build", "started_at": started, "job_number": 1, **more}


def page(*jobs: Any, following: str | None = None) -> Response:
    return answer(200, {"items": list(jobs), "next_page_token": following})


def jobs_of(*events: Event) -> tuple[dict[str, str] | None, ScriptedTransport]:
    transport = ScriptedTransport(events)
    return read_jobs(WORKFLOW, courier(transport)), transport


# reading jobs


def test_one_page() -> None:
    jobs, transport = jobs_of(page(job("test"), job("scan", "failed")))
    assert jobs == {"test": "success", "scan": "failed"}
    assert transport.paths == [f"GET /api/v2/workflow/{WORKFLOW}/job"]


def test_no_jobs() -> None:
    assert jobs_of(page())[0] == {}


def test_all_pages_are_read_and_each_once() -> None:
    jobs, transport = jobs_of(page(job("a"), following="p2"), page(job("b"), following="p3"), page(job("c")))
    assert jobs == {"a": "success", "b": "success", "c": "success"}
    assert [dict(request.query) for request in transport.sent] == [{}, {"page-token": "p2"}, {"page-token": "p3"}]
    assert transport.is_used_up


def test_pages_without_end_are_given_up() -> None:
    """What is not read to its end is not believed: the page that is missing could hold the newer job."""
    jobs, transport = jobs_of(*(page(job("a"), following="again") for _ in range(60)))
    assert (jobs, len(transport.sent)) == (None, 2)


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (job("test", "failed", "2026-06-16T08:00:00Z"), job("test", "success", "2026-06-16T09:00:00Z")),
        (job("test", "success", "2026-06-16T08:00:00Z"), job("test", "failed", "2026-06-16T09:00:00Z")),
        # one that has not started yet is newer than all that have
        (job("test", "success", "2026-06-16T08:00:00Z"), job("test", "blocked", None)),
        (job("test", "success"), {"name": "test", "status": "not_run"}),
        # started in the same second: the higher number
        (job("test", "success", job_number=7), job("test", "failed", job_number=8)),
    ],
)
def test_the_newest_job_of_a_name_counts(older: Any, newer: Any, is_turned: bool) -> None:  # noqa: FBT001
    pair = (newer, older) if is_turned else (older, newer)
    assert jobs_of(page(*pair, job("other")))[0] == {"test": newer["status"], "other": "success"}


def test_the_newest_may_be_on_another_page() -> None:
    failed, passed = job("test", "failed", "2026-06-16T09:00:00Z"), job("test", "success", "2026-06-16T08:00:00Z")
    assert jobs_of(page(failed, following="p2"), page(passed))[0] == {"test": "failed"}
    assert jobs_of(page(passed, following="p2"), page(failed))[0] == {"test": "failed"}


@pytest.mark.parametrize("item", [None, 7, {}, {"name": "x"}, {"name": 1, "status": "success"}])
def test_a_job_that_cannot_be_read_is_not_passed_over(item: Any) -> None:
    assert jobs_of(page(job("test"), item))[0] is None


@pytest.mark.parametrize(
    "event",
    [answer(404, {"message": "Workflow not found"}), answer(401), answer(200, b"<html>"), answer(200, {}), lost()],
)
def test_a_page_that_is_no_answer(event: Event) -> None:
    events = [event] * 10
    assert jobs_of(*events)[0] is None
    assert jobs_of(page(job("a"), following="p2"), *events)[0] is None


def test_a_hiccup_is_passed_over_as_asking_does_no_harm() -> None:
    jobs, transport = jobs_of(refused_connection(), answer(503), lost(), page(job("test")))
    assert (jobs, len(transport.sent)) == ({"test": "success"}, 4)


# sources


def sources(
    transport: ScriptedTransport | None, workflow: str | None = WORKFLOW, changed: tuple[str, ...] = ()
) -> tuple[Sources, list[Question]]:
    asked: list[Question] = []

    def commits(question: Question) -> Answered:
        asked.append(question)
        return Known("from git")

    def ask() -> Courier:
        return courier(transport, FakeClock())

    return Sources(commits, ask if transport else None, build(CIRCLE_WORKFLOW_ID=workflow), changed), asked


@pytest.mark.parametrize("question", [AuthorOf(), MessageOf(), IsMergedInto("main"), PREVIOUS])
def test_git_is_asked_about_commits_and_the_api_is_not(question: Question) -> None:
    transport = ScriptedTransport()
    asking, asked = sources(transport)
    assert asking.learn(question) == Known("from git")
    assert (asked, transport.sent) == ([question], [])


def test_circleci_is_asked_about_jobs_and_git_is_not() -> None:
    asking, asked = sources(ScriptedTransport([page(job("test"))]))
    assert asking.learn(JobsOf()) == Known({"test": "success"})
    assert asked == []


@pytest.mark.parametrize("question", [PREVIOUS, LAST, NAMED])
def test_changed_files_that_were_stated_replace_what_git_would_say(question: Question) -> None:
    asking, asked = sources(None, changed=("a", "b"))
    assert asking.learn(question) == Known(("a", "b"))
    assert asking.learn(MessageOf()) == Known("from git")
    assert asked == [MessageOf()]


def unavailable(asking: Sources) -> Unavailable:
    found = asking.learn(JobsOf())
    assert isinstance(found, Unavailable)
    assert (found.code, found.reason.startswith("cannot tell which jobs have succeeded")) == ("U105", True)
    return found


def test_jobs_outside_of_a_workflow() -> None:
    transport = ScriptedTransport()
    found = unavailable(sources(transport, workflow=None)[0])
    assert found.reason.endswith(": CIRCLE_WORKFLOW_ID is not set")
    assert transport.sent == []


def test_jobs_without_a_way_to_ask() -> None:
    assert "--given" in unavailable(sources(None)[0]).cure


@pytest.mark.parametrize("event", [answer(404, {"message": "Workflow not found"}), answer(403), answer(500), lost()])
def test_jobs_that_circleci_does_not_list(event: Event) -> None:
    found = unavailable(sources(ScriptedTransport([event] * 10))[0])
    assert f"CircleCI did not list the jobs of workflow {WORKFLOW}" in found.reason
    assert "token" in found.cure


# stated facts


FACTS = """
branch: main
changed: [src/a.py, "b c"]
merged_into: [main]
author: anna@acme.dev
message: "ship it"
jobs: {test: success, scan: failed}
"""
QUESTIONS: list[tuple[Question, object, str]] = [
    (PREVIOUS, ("src/a.py", "b c"), "changed:"),
    (LAST, ("src/a.py", "b c"), "changed:"),
    (IsMergedInto("main"), True, "merged_into: [main]"),
    (IsMergedInto("live"), False, "merged_into: [live]"),
    (AuthorOf(), "anna@acme.dev", "author:"),
    (MessageOf(), "ship it", "message:"),
    (JobsOf(), {"test": "success", "scan": "failed"}, "jobs:"),
]


@pytest.mark.parametrize(("question", "value", "key"), QUESTIONS)
def test_a_stated_fact(question: Question, value: object, key: str) -> None:
    assert from_given(read_given(SourceFile("given.yml", FACTS)))(question) == Known(value)
    missing = from_given(read_given(SourceFile("given.yml", "branch: main\n")))(question)
    assert isinstance(missing, Unavailable)
    assert (missing.code, missing.cure.startswith(f"add {key}")) == ("C101", True)


@pytest.mark.parametrize(
    ("text", "question", "value"),
    [
        ("changed: []", PREVIOUS, ()),
        ("merged_into: []", IsMergedInto("main"), False),
        ('message: ""', MessageOf(), ""),
        ("jobs: {}", JobsOf(), {}),
    ],
)
def test_nothing_is_a_fact_too_where_it_is_stated(text: str, question: Question, value: object) -> None:
    assert from_given(read_given(SourceFile("given.yml", f"branch: main\n{text}\n")))(question) == Known(value)
