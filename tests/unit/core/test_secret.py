"""A token is not printed by accident, in whichever spelling it comes back, and goes only where it may."""

import copy
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploystep.core.secret import Secret, read_address

TOKEN = 'to"ken\\with/+odd=%characters'


def test_it_shows_a_mask() -> None:
    secret = Secret(TOKEN)
    assert f"{secret} {secret!r} {[secret]} {copy.copy(secret)}" == "*** *** [***] ***"
    assert secret.reveal() == TOKEN
    assert not hasattr(secret, "__dict__")
    for spelling in (TOKEN, json.dumps(TOKEN)[1:-1], quote(TOKEN), quote(TOKEN, safe=""), repr(TOKEN)[1:-1]):
        assert secret.masked(f"a {spelling} b {spelling}") == "a *** b ***"
    for short in ("", "a", "on", "12345"):  # an empty or one-letter variable must not blot out innocent words
        assert Secret(short).masked("a on 12345") == "a on 12345"


@given(st.text(st.sampled_from("abc12+/=-_"), min_size=6), st.text(st.sampled_from("xyz ")))
def test_no_text_that_was_masked_holds_it(token: str, around: str) -> None:
    assert Secret(token).masked(around + token + around) == f"{around}***{around}"


ADDRESSES = {"https://circleci.com/": "https://circleci.com", "circleci.acme.dev": "https://circleci.acme.dev"}
ADDRESSES |= {"HTTPS://Circleci.Acme.dev:8443": "https://circleci.acme.dev:8443"}
ADDRESSES |= {text: text for text in ("https://circleci.com", "https://bücher.example", "https://my_host.example.")}
ADDRESSES |= {text: text for text in ("http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:80")}


def test_read() -> None:
    assert {text: str(read_address(text)) for text in ADDRESSES} == ADDRESSES
    apps = [read_address(text).app for text in ("circleci.com", "circleci.acme.dev")]
    assert apps == ["https://app.circleci.com", "https://circleci.acme.dev"]


LOCAL, USER, PATH = "plain http is for this machine", "without a user", "or a path"
# fmt: off
REFUSED = [
    (LOCAL, ["http://circleci.com", "http://localhost.evil.example", "http://127.0.0.1.evil.example"]),
    (LOCAL, ["http://2130706433", "http://0.0.0.0", "http://127.9.9.9", "http://10.0.0.1", "http://localhos"]),
    (LOCAL, ["http://evil-localhost", "http://evil.127.0.0.1"]),
    (USER, ["https://user@circleci.com", "https://:pw@circleci.com"]),
    (f"expected|{USER}", ["https://circleci.com\\@evil.example"]),
    (PATH, ["https://circleci.com/api/v2", "https://circleci.com?x=1", "https://circleci.com#x"]),
    ("https://HOST", ["", "https://circle ci.com", "ftp://circleci.com", "file:///etc/passwd", "https://"]),
    ("https://HOST", ["https://*.circleci.com", "https://.circleci.com"]),
    ("https://HOST|not a URL", ["https://a\x1b[31m"]),
    ("not a URL", ["https://circleci.com:x", "https://circleci.com:99999", "https://[::1"]),
]
# fmt: on


@pytest.mark.parametrize(("why", "texts"), REFUSED)
def test_refused(why: str, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(ValueError, match=why):
            read_address(text)
