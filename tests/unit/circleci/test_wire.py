"""What every version of the API has in common: fates, waits, announcements."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from fakes import START, answer, lost, refused_connection

from deploystep.circleci.wire import fate_of, json_of, message_of, retirement, retry_after, segment
from deploystep.core.retry import Fate


@pytest.mark.parametrize(
    ("result", "fate"),
    [
        *((answer(s), Fate.ANSWERED) for s in (200, 201, 202, 299, 400, 401, 403, 404, 410, 422, 499)),
        *((answer(s), Fate.UNKNOWN) for s in (301, 302, 307, 308, 408, 500, 502, 503, 504, 599)),
        (answer(429), Fate.RATE_LIMITED),
        (lost(), Fate.UNKNOWN),
        (refused_connection(), Fate.NOT_RECEIVED),
    ],
)
def test_fates(result: Any, fate: Fate) -> None:
    assert fate_of(result) is fate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Tue, 16 Jun 2026 08:02:41 GMT", 30.0),
        ("Tue, 16 Jun 2026 10:02:41 +0200", 30.0),
        ("Tue, 16 Jun 2026 08:00:00 GMT", 0.0),
        ("9" * 400, 999_999_999.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("٣", None),
        ("Tue, 99 Jun 2026 08:02:41 GMT", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert retry_after(answer(429, retry_after=text), START) == seconds


def test_retry_after_is_read_on_any_clock() -> None:
    here = START.astimezone(timezone(timedelta(hours=-7)))
    assert retry_after(answer(429, retry_after="Tue, 16 Jun 2026 08:02:41 GMT"), here) == 30.0


def test_no_answer_asks_for_nothing() -> None:
    assert retry_after(lost(), datetime.now(timezone.utc)) is None


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"sunset": "Mon, 01 Feb 2027 00:00:00 GMT"}, "CircleCI removes this endpoint on 1 February 2027"),
        ({"deprecation": "@1777593600"}, "CircleCI has deprecated this endpoint"),
        ({"sunset": "some day"}, "CircleCI has deprecated this endpoint (Sunset: some day)"),
        ({}, None),
    ],
)
def test_an_endpoint_that_ends(headers: dict[str, str], sentence: str | None) -> None:
    assert retirement(answer(200, **headers)) == sentence


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": "No"}, "No"),
        ({"error": {"title": "Missing"}}, "Missing"),
        ({"error": "Bad"}, "Bad"),
        ({"message": 7}, ""),
        ({"message": ["x"]}, ""),
        ({"message": "x" * 900}, "x" * 500),
        (b"<html>", ""),
        ([], ""),
    ],
)
def test_their_words(body: Any, words: str) -> None:
    assert message_of(answer(400, body)) == words


@pytest.mark.parametrize("body", [b"", b"\x80", b"[" * 50_000, b"1" * 5000, b"{}x"])
def test_no_body_is_too_odd_to_read(body: bytes) -> None:
    assert json_of(answer(200, body)) is None


def test_segment() -> None:
    assert segment("a/b c+d%2F~._-") == "a%2Fb%20c%2Bd%252F~._-"
