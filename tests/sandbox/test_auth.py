"""Every way to present a token, on every API version."""

from __future__ import annotations

import base64

import pytest
from sandbox.calls import MAIN, PIPELINE, RUN, TREE, V3_RUNS, call, trigger, v3_body

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
    {"Authorization": "Bearer invalid-token"},
    {"Circle-Token": ""},
    {"Circle-Token": "invalid"},
    {"Authorization": "Basic !!!"},
    {"Authorization": _basic(":abc")},
]
PATHS = [("POST", RUN), ("GET", PIPELINE), ("GET", "/api/v2/me"), ("POST", TREE), ("GET", TREE)]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_good_and_bad_credentials(method: str, path: str) -> None:
    with Sandbox() as sandbox:
        body: object = {} if method == "POST" else None
        for headers in GOOD:
            assert call(sandbox, method, path, body, headers=headers, token=None).status in {200, 201}, headers
        for headers in BAD:
            answer = call(sandbox, method, path, body, headers=headers, token=None)
            words = "Invalid token provided." if path == RUN else "You must log in first."
            assert (answer.status, answer.json) == (401, {"message": words}), headers


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_token_in_the_query_is_refused_even_beside_a_good_one(method: str, path: str) -> None:
    with Sandbox() as sandbox:
        answer = call(sandbox, method, f"{path}?circle-token=abc")
        assert answer.status == 401
        assert "query parameter" in answer.json["message"]


def test_v3_takes_only_bearer_tokens() -> None:
    with Sandbox(projects=["gh/acme/shop"]) as sandbox:
        for headers in (*GOOD[2:], *BAD, {"Authorization": "Bearer project-token"}):
            answer = call(sandbox, "POST", V3_RUNS, v3_body(), headers=headers, token=None)
            assert (answer.status, answer.json["error"]["type"]) == (401, "unauthorized"), headers
        assert call(sandbox, "POST", f"{V3_RUNS}?circle-token=token", v3_body()).status == 401
        for headers in GOOD[:2]:
            assert call(sandbox, "POST", V3_RUNS, v3_body(), headers=headers, token=None).status == 201


def test_v1_1_gives_json_only_to_who_asks_for_it() -> None:
    request = ("GET", TREE, "", {"Circle-Token": "abc"})
    assert Sandbox().respond(*request).content_type == "application/edn"


def test_only_the_token_that_was_set_is_good() -> None:
    with Sandbox(token="right") as sandbox:
        assert trigger(sandbox, token="right").status == 201
        for wrong in ("wrong", "righ", "right2", "ri\u00fcght".encode().decode("latin-1")):
            assert trigger(sandbox, token=wrong).status == 401
        assert len(sandbox.runs) == 1


def test_a_project_token_is_good_for_v1_1_and_unknown_to_v2() -> None:
    with Sandbox() as sandbox:
        assert call(sandbox, "POST", TREE, {}, token="project-abc").status == 200
        assert call(sandbox, "GET", TREE, token="project-abc").status == 200
        for method, path in (("POST", RUN), ("GET", PIPELINE)):
            answer = call(sandbox, method, path, MAIN if method == "POST" else None, token="project-abc")
            assert (answer.status, answer.json) == (404, {"message": "Project not found"})
        assert call(sandbox, "GET", "/api/v2/me", token="project-abc").status == 401


def test_a_token_is_never_kept() -> None:
    secret = "s3cret-token-0123"
    with Sandbox() as sandbox:
        for headers in (
            {"Authorization": f"Bearer {secret}"},
            {"Authorization": _basic(secret)},
            {"Circle-Token": secret},
        ):
            trigger(sandbox, headers=headers, token=None)
        call(sandbox, "GET", f"/api/v2/me?circle-token={secret}", token=secret)
        for text in (repr(sandbox.requests), call(sandbox, "GET", "/sandbox/requests").text):
            assert secret not in text
            assert _basic(secret) not in text
