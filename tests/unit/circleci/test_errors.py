"""Every error that answers lead to, in its words: `tests/golden/circleci/errors.out`, written with UPDATE_GOLDEN=1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from builds import context
from fakes import answer, lost, refused_connection

from deploystep.circleci.errors import describe_failure, not_created, refused, unanswered, uncertain, unread
from deploystep.core.build import Branch, Tag
from deploystep.core.errors import FactUnavailable, Refused, ToolError, Uncertain, Unreachable
from deploystep.core.rules import ApiVersion

GOLDEN = Path(__file__).parents[2] / "golden" / "circleci" / "errors.out"
SAID = {"message": "Computer says no"}
V3, V1_1, V2 = (context(api=api) for api in (ApiVersion.V3, ApiVersion.V1_1, ApiVersion.V2_RUN))
CASES: dict[str, ToolError] = {
    **{f"trigger by v2: {status}": refused(answer(status, SAID), V2) for status in (400, 401, 403, 404, 410, 418)},
    "trigger by v2 of a tag: 400": refused(answer(400, b"not json"), context(ref=Tag("v1"))),
    "trigger by v2 without parameters: 404": refused(answer(404), context(has_parameters=False)),
    "trigger by v3: 404": refused(answer(404, SAID), V3),
    **{f"trigger by v1.1: {status}": refused(answer(status), V1_1) for status in (404, 410)},
    **{f"list by v2: {status}": unread(answer(status, SAID), V2) for status in (403, 404, 429, 500)},
    "list by v2: lost": unread(lost(), V2),
    "list by v2: not reached": unread(refused_connection(), V2),
    "trigger: not reached": unanswered(refused_connection(), V2),
    "trigger: 429": unanswered(answer(429), V2),
    "trigger: 429 with a wait": unanswered(answer(429, retry_after="600"), V2),
    "trigger: lost": unanswered(lost(), V2),
    "trigger: 500": unanswered(answer(500, {"message": "Oh dear"}), V2),
    "trigger: 502": unanswered(answer(502, b"<html>"), V2),
    "trigger: 302": unanswered(answer(302, location="https://evil.example"), V2),
    "trigger: 201 without a run": not_created(answer(201), V2),
    "trigger of an odd branch: lost": unanswered(lost(), context(ref=Branch("feature/x y#1&a=b"))),
    "trigger of a tag: lost": uncertain("it was lost", context(ref=Tag("v1"))),
}


def test_their_words() -> None:
    text = "".join(
        f"{case}\n  {error.exit.value} {error.code}: {error.message}\n"
        + "".join(f"    hint: {hint}\n" for hint in error.hints)
        for case, error in CASES.items()
    )
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("status", "given_up", "before"),
    [
        (200, Uncertain, FactUnavailable),
        (302, Uncertain, FactUnavailable),
        (400, Uncertain, Refused),
        (408, Uncertain, Refused),
        (429, Unreachable, Unreachable),
        (499, Uncertain, Refused),
        (503, Uncertain, FactUnavailable),
    ],
)
def test_only_what_may_have_been_received_is_uncertain(
    status: int, given_up: type[ToolError], before: type[ToolError]
) -> None:
    assert (type(unanswered(answer(status), V2)), type(unread(answer(status), V2))) == (given_up, before)


def test_what_came_instead() -> None:
    assert describe_failure(lost(), "https://x") == "the connection was closed before an answer"
    assert describe_failure(answer(404, SAID), "https://x") == "https://x answered 404: Computer says no"


def test_half_a_token_is_not_shown() -> None:
    """It would not be recognised where the token is masked."""
    message = unanswered(answer(429, retry_after="30 Bearer " + "t" * 40), V2).message
    assert "(it asks to wait: 30 Bearer)" in message


def test_where_a_person_looks() -> None:
    assert V2.run_url(31) == "https://app.circleci.com/pipelines/gh/acme/shop/31"
    assert V2.run_url(None) == "https://app.circleci.com/pipelines/gh/acme/shop?branch=main"
    assert V1_1.run_url(31) == "https://circleci.com/gh/acme/shop/31", "a job is not the pipeline of its number"
