"""The address of a run that a client prints is a page of that run."""

from __future__ import annotations

import json

import pytest

from deploystep.sandbox import Pace, Sandbox, Workflow

SHA = "4f2c1aa0b7d1f3e29c1d8b2f6f5c1a3e7d9b0c42"


def sandbox(**more: object) -> Sandbox:
    settings = {"token": "t", "heads": {"main": SHA}, "pace": Pace(appear=0.0, form=0.0, finish=60.0), **more}
    return Sandbox(**settings)  # type: ignore[arg-type]


def trigger(server: Sandbox, project: str = "gh/acme/shop", **parameters: object) -> None:
    ref = {"branch": "main"}
    body = json.dumps({"config": ref, "checkout": ref, "parameters": parameters}).encode()
    path = f"/api/v2/project/{project}/pipeline/run"
    assert (
        server.respond(
            "POST", path, headers={"Circle-Token": "t", "Content-Type": "application/json"}, body=body
        ).status
        == 201
    )


def page(server: Sandbox, path: str = "/pipelines/gh/acme/shop/1", query: str = "") -> str:
    reply = server.respond("GET", path, query)
    assert (reply.status, reply.content_type) == (200, "text/html;charset=utf-8"), reply
    return reply.payload().decode()


def test_a_run_has_a_page_with_all_there_is_to_know() -> None:
    server = sandbox(workflows=[Workflow("release")])
    trigger(server, deploy=True, note="<b>hi</b>")
    text = page(server)

    for part in ("Run 1 of gh/acme/shop", "created", "branch main", SHA, "release", "running", "true"):
        assert part in text
    assert "&lt;b&gt;hi&lt;/b&gt;" in text
    assert "<b>" not in text
    assert "PARAMETER_1: true" in text.partition("Compiled config</h2>")[2]


def test_it_moves_on_and_needs_no_token_and_is_no_request_of_the_client() -> None:
    server = sandbox(pace=Pace(appear=0.0, form=0.0, finish=0.0))
    trigger(server)
    before = len(server.requests)

    assert "success" in page(server)
    assert len(server.requests) == before


def test_a_run_that_errored_says_why() -> None:
    server = sandbox()
    server.set_config("gh/acme/shop", "version: 2.1\n", starts=_refuse)
    trigger(server)
    text = page(server)

    assert "Unexpected argument(s): &lt;x&gt;" in text
    assert "It is not compiled." in text
    assert "None has started." in text


def _refuse(_body: object) -> list[Workflow]:
    raise ValueError("Unexpected argument(s): <x>")


def test_a_project_lists_its_runs() -> None:
    server = sandbox()
    trigger(server)
    trigger(server)

    assert page(server, "/pipelines/gh/acme/shop").count('href="/pipelines/gh/acme/shop/') == 2
    assert "run 1" not in page(server, "/pipelines/gh/acme/shop", "branch=other")


@pytest.mark.parametrize("path", ["/pipelines/gh/acme/shop/2", "/pipelines/gh/acme/other/1", "/pipelines/x"])
def test_there_is_no_page_of_what_there_is_not(path: str) -> None:
    server = sandbox(projects=["gh/acme/shop"])
    trigger(server)

    assert server.respond("GET", path).status == 404


@pytest.mark.parametrize("project", ["gh/acme/shop", "gh/acme/a%20b%3Fc%23d"])
def test_list_and_run_link_to_each_other(project: str) -> None:
    server = sandbox()
    trigger(server, project)

    assert f'href="/pipelines/{project}/1"' in page(server, f"/pipelines/{project}")
    assert f'href="/pipelines/{project}"' in page(server, f"/pipelines/{project}/1")
