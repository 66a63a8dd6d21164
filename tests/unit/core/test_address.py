"""Where requests, and with them the token, may go."""

from __future__ import annotations

import pytest

from deploystep.core.address import is_loopback, read_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://circleci.com", "https://circleci.com"),
        ("https://circleci.com/", "https://circleci.com"),
        ("circleci.acme.dev", "https://circleci.acme.dev"),
        ("HTTPS://Circleci.Acme.dev:8443", "https://circleci.acme.dev:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("https://bücher.example", "https://bücher.example"),
        ("https://my_host.example.", "https://my_host.example."),
    ],
)
def test_read(text: str, address: str) -> None:
    assert str(read_address(text)) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://circleci.com", "plain http is for this machine only"),
        ("http://localhost.evil.example", "plain http is for this machine only"),
        ("http://127.0.0.1.evil.example", "plain http is for this machine only"),
        ("http://2130706433", "plain http is for this machine only"),
        ("http://0.0.0.0", "plain http is for this machine only"),
        ("https://user@circleci.com", "must not hold a user"),
        ("https://:pw@circleci.com", "must not hold a user"),
        ("https://circleci.com\\@evil.example", "expected|must not hold"),
        ("https://circleci.com/api/v2", "without a path"),
        ("https://circleci.com?x=1", "without a path"),
        ("https://circleci.com#x", "without a path"),
        ("ftp://circleci.com", "expected https://HOST"),
        ("file:///etc/passwd", "expected https://HOST"),
        ("https://", "expected https://HOST"),
        ("", "expected https://HOST"),
        ("https://circle ci.com", "expected https://HOST"),
        ("https://*.circleci.com", "expected https://HOST"),
        ("https://.circleci.com", "expected https://HOST"),
        ("https://a\x1b[31m", "expected https://HOST|not a URL"),
        ("https://circleci.com:x", "not a URL"),
        ("https://circleci.com:99999", "not a URL"),
        ("https://[::1", "not a URL"),
    ],
)
def test_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_address(text)


def test_what_belongs_to_an_address() -> None:
    assert read_address("https://circleci.com").app == "https://app.circleci.com"
    assert read_address("circleci.acme.dev").app == "https://circleci.acme.dev"
    assert (read_address("https://x").is_secure, read_address("http://localhost").is_secure) == (True, False)


@pytest.mark.parametrize(
    ("name", "answer"), [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), ("localhos", False)]
)
def test_loopback(name: str, answer: bool) -> None:  # noqa: FBT001 - a column
    assert is_loopback(name) is answer
