"""What every version of the API has in common: fates, waits, reading JSON, and the errors that answers lead to.

Every error is in its words in `tests/golden/circleci/errors.out`, which is written with UPDATE_GOLDEN=1.
"""

import os
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from builds import context
from fakes import START, answer, lost, refused_connection

from deploystep.circleci.errors import refused, unanswered, uncertain, unread
from deploystep.circleci.http import JsonObject, fate_of, message_of, retry_after, server_time
from deploystep.core.build import Branch, Tag
from deploystep.core.errors import FactUnavailable, Refused, ToolError, Uncertain, Unreachable
from deploystep.core.retry import Fate
from deploystep.core.rules import ApiVersion

DATE = "Tue, 16 Jun 2026 08:02:41 GMT"


def test_fates() -> None:
    fates: dict[Fate, Any] = {
        Fate.ANSWERED: map(answer, (200, 201, 202, 299, 400, 401, 403, 404, 410, 422, 499)),
        Fate.UNKNOWN: [lost(), *map(answer, (199, 301, 302, 307, 308, 408, 500, 502, 503, 504, 599))],
        Fate.RATE_LIMITED: [answer(429)],
        Fate.NOT_RECEIVED: [refused_connection()],
    }
    for fate, results in fates.items():
        assert {fate_of(result) for result in results} == {fate}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        (DATE, 30.0),
        ("Tue, 16 Jun 2026 10:02:41 +0200", 30.0),
        ("Tue, 16 Jun 2026 08:00:00 GMT", 0.0),
        ("9" * 400, 999_999_999.0),
        *((text, None) for text in ("", "soon", "-5", "٣", "Tue, 99 Jun 2026 08:02:41 GMT")),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert retry_after(answer(429, retry_after=text), START) == seconds
    assert retry_after(answer(429, retry_after=text), START.astimezone(timezone(timedelta(hours=-7)))) == seconds


def test_times_by_the_servers_clock() -> None:
    told = answer(429, retry_after=DATE, date="Tue, 16 Jun 2026 08:02:31 GMT")
    assert (retry_after(told, START - timedelta(days=1)), retry_after(lost(), START)) == (10.0, None)
    assert server_time(answer(200, date=DATE)) == START + timedelta(seconds=30)
    for date in ("", "soon", *(f"Fri, 01 Jan {year} 00:00:00 GMT" for year in (1999, 2200, 9999))):
        assert server_time(answer(200, date=date)) is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": "No"}, "No"),
        ({"error": {"title": "Missing"}}, "Missing"),
        ({"error": {"title": "Bad", "detail": "no such branch"}}, "Bad: no such branch"),
        ({"error": "Bad"}, "Bad"),
        ({"message": 7}, ""),
        ({"message": "word " * 200}, ("word " * 100)[:-1]),
        ({"message": "x" * 500}, "x" * 500),
        ({"message": "echo: " + "x" * 500}, "echo:"),
        (b"<html>", ""),
    ],
)
def test_circlecis_words(body: Any, words: str) -> None:
    assert message_of(answer(400, body)) == words


LONG = ("a" * 40, "b" * 64)
YEARS = [f"{year}-01-01T00:00:00+14:00" for year in (1999, 2200, 9999)]


@pytest.mark.parametrize(
    ("read", "readable", "unreadable"),
    [
        (JsonObject.text, {"ü": "ü"}, ["", 7, None, ["x"]]),
        (JsonObject.number, {0: 0}, [True, False, "3", 3.0, None]),
        (JsonObject.identity, {"8b3f-~": "8b3f-~"}, ["", "ü", "a\n", 7, None]),
        (
            JsonObject.revision,
            {**{text: text for text in LONG}, f" {'A' * 40} ": "a" * 40},
            [*("a" * n for n in (1, 39, 41, 63, 65)), "g" * 40, f"{'a' * 40}\n{'a' * 23}", " "],
        ),
        (
            JsonObject.moment,
            {
                "2026-06-16T08:02:11Z": START,
                "2026-06-16T10:02:11.000000000+02:00": START,
                "2026-06-16t08:02:11.1234567z": START.replace(microsecond=123_456),
            },
            ["2026-06-16T08:02:11", "2026-06-16", "2026-02-30T08:02:11Z", "٢٠٢٦-06-16T08:02:11Z", 1781596931, *YEARS],
        ),
    ],
)
def test_readers(read: Any, readable: dict[Any, object], unreadable: list[Any]) -> None:
    for value, expected in (*readable.items(), *((value, None) for value in unreadable)):
        assert read(JsonObject({"a": {"b": value}}), "a", "b") == expected, value
    nothing: tuple[Any, ...] = ({}, {"a": None}, {"a": []}, {"a": "b"}, [], None, "a")
    for odd in nothing:
        assert read(JsonObject(odd), "a", "b") is None


GOLDEN = Path(__file__).parents[2] / "golden" / "circleci" / "errors.out"
SAID = {"message": "Computer says no"}
V3, V1_1, V2 = (context(api=api) for api in (ApiVersion.V3, ApiVersion.V1_1, ApiVersion.V2_RUN))


def errors() -> dict[str, ToolError]:
    return {
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
        "trigger: 201 without a run": uncertain("CircleCI answered 201, but not with what it created", V2),
        "trigger of an odd branch: lost": unanswered(lost(), context(ref=Branch("feature/x y#1&a=b"))),
        "trigger of a tag: lost": uncertain("it was lost", context(ref=Tag("v1"))),
    }


def test_their_words() -> None:
    text = "".join(
        f"{case}\n  {error.exit.value} {error.code}: {error.message}\n"
        + "".join(f"    hint: {hint}\n" for hint in error.hints)
        for case, error in errors().items()
    )
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_only_what_may_have_been_received_is_uncertain() -> None:
    for before, statuses in {FactUnavailable: (200, 302, 503), Refused: (400, 408, 499), Unreachable: (429,)}.items():
        for status in statuses:
            given_up = Unreachable if status == 429 else Uncertain
            assert (type(unanswered(answer(status), V2)), type(unread(answer(status), V2))) == (given_up, before)


def test_half_a_token_is_not_shown() -> None:
    """It would not be recognised where the token is masked."""
    message = unanswered(answer(429, retry_after="30 Bearer " + "t" * 40), V2).message
    assert "(it asks to wait: 30 Bearer)" in message
