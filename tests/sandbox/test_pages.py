"""The address of a run that a client prints is a page of that run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploystep.sandbox import Pace, Sandbox, Workflow

SHA = "4f2c1aa0b7d1f3e29c1d8b2f6f5c1a3e7d9b0c42"
SHOP = "/pipelines/gh/acme/shop"
HEADERS = {"Circle-Token": "t", "Content-Type": "application/json"}


def triggered(project: str = "gh/acme/shop", parameters: Any = None, **settings: Any) -> Sandbox:
    """A sandbox with two runs, which refuses what has no parameters."""
    pace = Pace(appear=0.0, form=0.0, finish=60.0)
    server, body = Sandbox(heads={"main": SHA}, pace=pace, **settings), {"parameters": parameters or {}}
    if parameters is None:
        server.set_config("gh/acme/shop", "version: 2.1\n", starts=_refuse)
    for _ in range(2):
        path = f"/api/v2/project/{project}/pipeline/run"
        assert server.respond("POST", path, headers=HEADERS, body=json.dumps(body).encode()).status == 201
    return server


def _refuse(_body: object) -> list[Workflow]:
    raise ValueError("Unexpected argument(s): <x>")


def page(server: Sandbox, path: str = f"{SHOP}/1", query: str = "") -> str:
    before = len(server.requests)
    reply = server.respond("GET", path, query)
    assert (reply.status, reply.content_type) == (200, "text/html;charset=utf-8"), reply
    assert len(server.requests) == before, "it needs no token, and is no request of the client"
    return reply.payload().decode()


def test_a_run_has_a_page_with_all_there_is_to_know() -> None:
    server = triggered(parameters={"deploy": True, "note": "<b>hi</b>"}, workflows=[Workflow("release")])
    text = page(server)
    for part in ("Run 1 of gh/acme/shop", "created", "branch main", SHA, "release", "running", "true"):
        assert part in text
    assert ("&lt;b&gt;hi&lt;/b&gt;" in text, "<b>" in text) == (True, False)
    assert "PARAMETER_1: true" in text.partition("Compiled config</h2>")[2]
    server.set_workflow(server.runs[0].workflows[0].id, "success")
    assert "success" in page(server).partition("<body>")[2], "it moves on"


def test_a_run_that_errored_says_why() -> None:
    text = page(triggered())
    for part in ("Unexpected argument(s): &lt;x&gt;", "It is not compiled.", "None has started.", "None were sent."):
        assert part in text


@pytest.mark.parametrize("path", [f"{SHOP}/3", "/pipelines/gh/acme/other/1", "/pipelines/x"])
def test_there_is_no_page_of_what_there_is_not(path: str) -> None:
    assert triggered(projects=["gh/acme/shop"]).respond("GET", path).status == 404


@pytest.mark.parametrize("project", ["gh/acme/shop", "gh/acme/a%20b%3Fc%23d"])
def test_list_and_run_link_to_each_other(project: str) -> None:
    server = triggered(project)
    assert page(server, f"/pipelines/{project}").count(f'href="/pipelines/{project}/') == 2
    assert f'href="/pipelines/{project}"' in page(server, f"/pipelines/{project}/1")
    assert "run 1" not in page(server, f"/pipelines/{project}", "branch=other")
