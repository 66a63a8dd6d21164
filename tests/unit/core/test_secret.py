"""A token is not printed by accident, in whichever spelling it comes back."""

from __future__ import annotations

import base64
import copy
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploystep.core.secret import Secret

TOKEN = 'to"ken\\with/+odd=%characters'


def test_it_shows_a_mask() -> None:
    secret = Secret(TOKEN)
    assert f"{secret} {secret!r} {[secret]} {copy.copy(secret)}" == "*** *** [***] ***"
    assert secret.reveal() == TOKEN
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize(
    "spelling",
    [
        TOKEN,
        json.dumps(TOKEN)[1:-1],
        quote(TOKEN),
        quote(TOKEN, safe=""),
        repr(TOKEN)[1:-1],
        base64.b64encode(TOKEN.encode()).decode(),
        base64.b64encode(f"{TOKEN}:".encode()).decode(),
    ],
)
def test_spellings(spelling: str) -> None:
    assert Secret(TOKEN).masked(f"a {spelling} b {spelling}") == "a *** b ***"


@given(st.text(st.sampled_from("abc12+/=-_"), min_size=6), st.text(st.sampled_from("xyz ")))
def test_no_text_that_was_masked_holds_it(token: str, around: str) -> None:
    assert Secret(token).masked(around + token + around) == f"{around}***{around}"


@pytest.mark.parametrize("short", ["", "a", "on", "12345"])
def test_what_is_too_short_to_be_one_is_left_alone(short: str) -> None:
    """An empty or one-letter variable must not blot out innocent words."""
    assert Secret(short).masked("a on 12345") == "a on 12345"
