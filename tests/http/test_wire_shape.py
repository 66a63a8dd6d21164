"""What leaves: method, URL, headers and body, byte for byte; and what is made of what comes back."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
import requests
from builds import SHA, SHOP, spec
from requests_mock import ANY

from deploystep import __version__
from deploystep.adapters.http import HttpTransport
from deploystep.circleci import v1_1, v2
from deploystep.circleci.wire import Failure, Request, Response
from deploystep.core.address import read_address
from deploystep.core.build import Branch
from deploystep.core.retry import Repeat
from deploystep.core.rules import ApiVersion
from deploystep.core.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from requests_mock import Mocker

TOKEN = 'secret-token-"1\\2+/='
HOST = "https://circleci.com"


def transport(host: str = HOST, token: str = TOKEN) -> HttpTransport:
    return HttpTransport(read_address(host), Secret(token))


def get(path: str = "/api/v2/me") -> Request:
    return Request("GET", path, Repeat.FREELY)


def answered(result: Response | Failure) -> Response:
    assert isinstance(result, Response), result
    return result


def test_a_trigger_as_it_leaves(requests_mock: Mocker) -> None:
    requests_mock.post(f"{HOST}/api/v2/project/gh/acme/shop/pipeline/run", status_code=201, json={"id": "x"})
    transport().send(v2.run_request(spec(parameters={"sha": SHA, "dry": False, "n": 3}), SHOP))
    (sent,) = requests_mock.request_history
    assert dict(sent.headers) == {
        "Accept": "application/json",
        "Accept-Encoding": sent.headers["Accept-Encoding"],
        "Authorization": f"Bearer {TOKEN}",
        "Connection": "close",
        "Content-Length": str(len(sent.body)),
        "Content-Type": "application/json",
        "User-Agent": f"deploystep/{__version__}",
    }
    assert json.loads(sent.body) == {
        "config": {"branch": "main"},
        "checkout": {"branch": "main"},
        "parameters": {"sha": SHA, "dry": False, "n": 3},
    }
    assert b'"dry": false, "n": 3' in sent.body
    assert sent.verify is True
    assert repr(sent.timeout) == "(10.0, 60.0)"


def test_an_escaped_branch_stays_one_segment(requests_mock: Mocker) -> None:
    requests_mock.post(ANY, json={})
    job = spec(api=ApiVersion.V1_1, job="deploy", ref=Branch("feature/x y#1?&%2f"))
    transport().send(v1_1.job_request(job, SHOP))
    (sent,) = requests_mock.request_history
    assert sent.url == f"{HOST}/api/v1.1/project/github/acme/shop/tree/feature%2Fx%20y%231%3F%26%252f"


def test_query(requests_mock: Mocker) -> None:
    requests_mock.get(ANY, json={})
    transport().send(Request("GET", "/api/v2/pipeline/x/workflow", Repeat.FREELY, query={"page-token": "a b&c=/+"}))
    (sent,) = requests_mock.request_history
    assert sent.url == f"{HOST}/api/v2/pipeline/x/workflow?page-token=a+b%26c%3D%2F%2B"
    assert sent.body is None
    assert "Content-Type" not in sent.headers


def test_an_answer_as_it_is_read(requests_mock: Mocker) -> None:
    requests_mock.get(f"{HOST}/api/v2/me", status_code=429, headers={"Retry-After": "7"}, content=b'{"message":"x"}')
    assert transport().send(get()) == Response(429, {"retry-after": "7"}, b'{"message":"x"}')


def test_compressed(requests_mock: Mocker) -> None:
    body = gzip.compress(b'{"id": 1}' + b" " * 500_000)
    requests_mock.get(f"{HOST}/api/v2/me", content=body, headers={"Content-Encoding": "gzip"})
    assert json.loads(answered(transport().send(get())).body) == {"id": 1}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["https://evil.example/", "/elsewhere", "http://[", "", "\x00", "http://a:b:c/"])
def test_no_redirect_is_followed(requests_mock: Mocker, status: int, location: str) -> None:
    """A malformed Location would raise where it is looked at: as if nothing had been sent."""
    requests_mock.post(ANY, status_code=status, headers={"Location": location})
    result = answered(transport().send(v2.run_request(spec(), SHOP)))
    assert result.status == status
    assert requests_mock.call_count == 1


def test_netrc_is_not_asked(requests_mock: Mocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine circleci.com login mallory password hunter2\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    assert requests.utils.get_netrc_auth(HOST) == ("mallory", "hunter2")  # it would have been
    requests_mock.get(f"{HOST}/api/v2/me", json={})
    transport().send(get())
    (sent,) = requests_mock.request_history
    assert sent.headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("spelling", [TOKEN, json.dumps(TOKEN)[1:-1], "secret-token-%221%5C2%2B%2F%3D"])
def test_the_token_is_masked_in_what_comes_back(requests_mock: Mocker, spelling: str) -> None:
    requests_mock.get(
        f"{HOST}/api/v2/me", status_code=401, headers={"X-Echo": f"Bearer {spelling}"}, content=f"<{spelling}>".encode()
    )
    result = answered(transport().send(get()))
    assert result.headers["x-echo"] == "Bearer ***"
    assert result.body == b"<***>"


def test_neither_the_session_nor_an_error_shows_the_token(requests_mock: Mocker) -> None:
    requests_mock.get(f"{HOST}/api/v2/me", exc=requests.exceptions.ConnectionError(f"lost Bearer {TOKEN}"))
    sender = transport()
    result = sender.send(get())
    assert isinstance(result, Failure)
    assert TOKEN not in repr(result)
    assert TOKEN not in repr(vars(sender))
