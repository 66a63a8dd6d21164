"""What every version of the API has in common: fates, waits, announcements, and reading JSON."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from fakes import START, answer, lost, refused_connection

from deploystep.circleci.http import (
    JsonObject,
    every,
    fate_of,
    json_of,
    message_of,
    ref_of,
    retirement,
    retry_after,
    segment,
    server_time,
)
from deploystep.core.build import Branch, Tag
from deploystep.core.retry import Fate

DATE = "Tue, 16 Jun 2026 08:02:41 GMT"


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
        (DATE, 30.0),
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
    assert retry_after(answer(429, retry_after=text), START.astimezone(timezone(timedelta(hours=-7)))) == seconds


def test_a_wait_until_a_date_is_by_the_servers_clock() -> None:
    told = answer(429, retry_after=DATE, date="Tue, 16 Jun 2026 08:02:31 GMT")
    assert retry_after(told, START - timedelta(days=1)) == 10.0
    assert retry_after(lost(), START) is None


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"sunset": "Mon, 01 Feb 2027 00:00:00 GMT"}, "CircleCI removes this endpoint on 1 February 2027"),
        ({"deprecation": "@1777593600"}, "CircleCI has deprecated this endpoint"),
        ({"sunset": "some day"}, "CircleCI has deprecated this endpoint (Sunset: some day)"),
        ({"sunset": "x " + "y" * 80}, "CircleCI has deprecated this endpoint (Sunset: x)"),
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
        ({"error": {"title": "Bad", "detail": "no such branch"}}, "Bad: no such branch"),
        ({"error": "Bad"}, "Bad"),
        ({"message": 7}, ""),
        ({"message": ["x"]}, ""),
        ({"message": "word " * 200}, ("word " * 100)[:-1]),
        ({"message": "x" * 500}, "x" * 500),
        ({"message": "echo: " + "x" * 500}, "echo:"),
        (b"<html>", ""),
        ([], ""),
    ],
)
def test_their_words(body: Any, words: str) -> None:
    assert message_of(answer(400, body)) == words


@pytest.mark.parametrize("body", [b"", b"\x80", b"[" * 50_000, b"1" * 5000, b"{}x"])
def test_no_body_is_too_odd_to_read(body: bytes) -> None:
    assert JsonObject(json_of(answer(200, body))).get("id") is None


def test_a_segment() -> None:
    """A byte of a name that is no UTF-8 stays that byte; half a character stands for nothing."""
    assert segment("a/b c+d%2F~._-") == "a%2Fb%20c%2Bd%252F~._-"
    assert segment("a\udcffb") == "a%FFb"
    assert segment("a\ud800b\udfff") == "a%EF%BF%BDb%EF%BF%BD"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-16T08:02:11Z", START),
        ("2026-06-16T10:02:11.000000000+02:00", START),
        ("2026-06-16t08:02:11.1234567z", START.replace(microsecond=123_456)),
        ("2026-06-16T08:02:11", None),
        ("2026-06-16", None),
        ("2026-02-30T08:02:11Z", None),
        ("٢٠٢٦-06-16T08:02:11Z", None),
        (1781596931, None),
        *((f"{year}-01-01T00:00:00+14:00", None) for year in (1999, 2200, 9999)),
    ],
)
def test_times(text: object, moment: datetime | None) -> None:
    assert JsonObject({"at": {"x": text}}).moment("at", "x") == moment


def test_the_servers_time() -> None:
    assert server_time(answer(200, date=DATE)) == START + timedelta(seconds=30)
    for date in ("", "soon", *(f"Fri, 01 Jan {year} 00:00:00 GMT" for year in (1999, 2200, 9999))):
        assert server_time(answer(200, date=date)) is None


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        *((JsonObject.text, value, None) for value in ("", 7, None, ["x"])),
        *((JsonObject.number, value, None) for value in (True, False, "3", 3.0, None)),
        *((JsonObject.identity, value, None) for value in ("", "ü", "a\n", 7, None)),
        *((JsonObject.revision, "a" * n, None) for n in (1, 7, 39, 41, 63, 65)),
        *((JsonObject.revision, value, value) for value in ("a" * 40, "b" * 64)),
        (JsonObject.revision, f" {'A' * 40} ", "a" * 40),
        *(
            (JsonObject.revision, value, None)
            for value in (" ", "not hexadecimal", "g" * 40, f"{'a' * 40}\n{'a' * 23}")
        ),
        (JsonObject.number, 0, 0),
        (JsonObject.text, "ü", "ü"),
        (JsonObject.identity, "8b3f-~", "8b3f-~"),
        (JsonObject.messages, [{"message": "one"}, "two", {"message": ""}, {"message": "three"}], ("one", "three")),
        (JsonObject.messages, {"message": "one"}, ()),
    ],
)
def test_readers(read: Any, value: object, expected: object) -> None:
    assert read(JsonObject({"a": {"b": value}}), "a", "b") == expected
    nothing: tuple[Any, ...] = ({}, {"a": None}, {"a": []}, {"a": "b"}, [], None, "a")
    for odd in nothing:
        assert read(JsonObject(odd), "a", "b") in (None, ())


def test_every_item_or_none() -> None:
    def read(item: JsonObject) -> int | None:
        return item.number("n")

    assert every([{"n": 1}, {"n": 2}], read) == (1, 2)
    assert every([], read) == ()
    odd: tuple[Any, ...] = ([{"n": 1}, {}], ["x"], {"n": 1}, None, "[]")
    assert [every(value, read) for value in odd] == [None] * 5


def test_refs() -> None:
    assert ref_of("refs/heads/main", None) == ref_of("main", None) == Branch("main")
    assert ref_of(None, "refs/tags/v1") == ref_of(None, "v1") == Tag("v1")
    assert (ref_of("main", "v1"), ref_of(None, None)) == (None, None)
