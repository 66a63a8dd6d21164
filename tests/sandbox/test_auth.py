"""Every way to present a token, on every API version."""

from __future__ import annotations

import base64

import pytest
from sandbox.calls import PIPELINE, RUN, TREE, V3_RUNS, call, trigger, v3_body

from deploystep.sandbox import Sandbox


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


GOOD = [
    {"Authorization": "Bearer abc"},
    {"authorization": "bearer abc"},
    {"Circle-Token": "abc"},
    {"Authorization": _basic("abc:")},
    {"Authorization": _basic("abc")},
]
BAD = [
    {},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "abc"},
    {"Circle-Token": ""},
    {"Authorization": "Basic !!!"},
    {"Authorization": _basic(":abc")},
]
PATHS = [("POST", RUN), ("GET", PIPELINE), ("GET", "/api/v2/me"), ("POST", TREE), ("GET", TREE), ("POST", V3_RUNS)]


@pytest.mark.parametrize(("method", "path"), PATHS[:-1])
def test_good_and_bad_credentials(sandbox: Sandbox, method: str, path: str) -> None:
    body: object = {} if method == "POST" else None
    for headers in GOOD:
        assert call(sandbox, method, path, body, headers=headers, token=None).status in {200, 201}, headers
    for headers in BAD:
        answer = call(sandbox, method, path, body, headers=headers, token=None)
        words = "Invalid token provided." if path == RUN else "You must log in first."
        assert (answer.status, answer.json) == (401, {"message": words}), headers


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_token_in_the_query_is_refused_even_beside_a_good_one(sandbox: Sandbox, method: str, path: str) -> None:
    answer = call(sandbox, method, f"{path}?circle-token=abc")
    assert (answer.status, "query parameter" in answer.text) == (401, True)


def test_v3_takes_only_bearer_tokens() -> None:
    with Sandbox(projects=["gh/acme/shop"]) as sandbox:
        for headers in (*GOOD, *BAD):
            answer = call(sandbox, "POST", V3_RUNS, v3_body(), headers=headers, token=None)
            seen = (answer.status, answer.json.get("error", {}).get("type"))
            assert seen == ((201, None) if headers in GOOD[:2] else (401, "unauthorized")), headers


def test_v1_1_gives_json_only_to_who_asks_for_it() -> None:
    request = ("GET", TREE, "", {"Circle-Token": "abc"})
    assert Sandbox().respond(*request).content_type == "application/edn"


def test_only_the_token_that_was_set_is_good() -> None:
    with Sandbox(token="right") as sandbox:
        wrong = ("wrong", "righ", "right2", "ri\u00fcght".encode().decode("latin-1"))
        assert [trigger(sandbox, token=token).status for token in ("right", *wrong)] == [201, 401, 401, 401, 401]
        assert len(sandbox.runs) == 1


def test_a_token_is_never_kept(sandbox: Sandbox) -> None:
    secret = "s3cret-token-0123"
    ways = [{"Authorization": f"Bearer {secret}"}, {"Authorization": _basic(secret)}, {"Circle-Token": secret}]
    for headers in ways:
        trigger(sandbox, headers=headers, token=None)
    call(sandbox, "GET", f"/api/v2/me?circle-token={secret}", token=secret)
    for text in (repr(sandbox.requests), call(sandbox, "GET", "/sandbox/requests").text):
        assert not any(part in text for part in (secret, _basic(secret)))
