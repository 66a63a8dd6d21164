"""What a trigger creates: of which commit, with which workflows, or why not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sandbox.calls import MAIN, PIPELINE, RUN, SHA, Clock, call, trigger

from deploystep.sandbox import Sandbox, Workflow, parse_fault

OTHER = "b" * 40


def _revision(sandbox: Sandbox) -> str:
    return sandbox.runs[-1].revision


def test_the_commit_is_the_first_that_somebody_knows() -> None:
    asked: list[str] = []

    def look_up(ref: str) -> str | None:
        asked.append(ref)
        return "c" * 40 if ref == "known" else None

    with Sandbox(heads={"main": SHA}, head_of=look_up) as sandbox:
        trigger(sandbox, {**MAIN, "parameters": {"sha": OTHER}})
        assert _revision(sandbox) == SHA
        trigger(sandbox, {"config": {"branch": "x"}, "parameters": {"n": 1, "short": "abc", "sha": OTHER}})
        assert _revision(sandbox) == OTHER
        assert asked == []
        trigger(sandbox, {"config": {"branch": "known"}})
        assert _revision(sandbox) == "c" * 40
        trigger(sandbox, {"config": {"branch": "unknown"}})
        made_up = _revision(sandbox)
        trigger(sandbox, {"config": {"branch": "unknown"}})
        assert _revision(sandbox) == made_up
        assert len(made_up) == 40


def test_a_branch_moves_when_told() -> None:
    with Sandbox(heads={"main": SHA}) as sandbox:
        sandbox.move("main", OTHER)
        trigger(sandbox)
        assert _revision(sandbox) == OTHER
        sandbox.move("main", "")
        assert trigger(sandbox).json == {"message": "Branch not found"}


@pytest.mark.parametrize(
    ("body", "branch", "tag"),
    [
        ({}, "main", None),
        ({"config": {"tag": "v1"}, "checkout": {"tag": "v1"}}, None, "v1"),
        ({"config": {"branch": "main"}, "checkout": {"tag": "v1"}}, None, "v1"),
        ({"config": {"branch": "feature/x"}}, "feature/x", None),
        ({"config": {"branch": "pull/5/head"}}, "pull/5/head", None),
    ],
)
def test_branch_and_tag(body: object, branch: str | None, tag: str | None) -> None:
    with Sandbox() as sandbox:
        answer = trigger(sandbox, body)
        run = sandbox.runs[0]
        assert (run.branch, run.tag) == (branch, tag)
        vcs = call(sandbox, "GET", f"/api/v2/pipeline/{answer.json['id']}").json["vcs"]
        assert (vcs.get("branch"), vcs.get("tag")) == (branch, tag)


@pytest.mark.parametrize("branch", ["pull/5", ""])
def test_refs_that_do_not_exist(branch: str) -> None:
    with Sandbox() as sandbox:
        answer = trigger(sandbox, {"config": {"branch": branch}})
        assert (answer.status, answer.json) == (400, {"message": "Branch not found"})
        assert sandbox.runs == ()


SLUGS = [
    ("POST", "/api/v2/project/github/acme/shop/pipeline/run", 201),
    ("POST", "/api/v2/project/bb/acme/shop/pipeline/run", 201),
    ("POST", "/api/v2/project/circleci/43G3lM5RtfFE7v5sa4nWAU/44n9wujWcTnVZ2b5S8Fnat/pipeline/run", 201),
    ("POST", "/api/v2/project/gh/acme%20inc/shop/pipeline/run", 201),
    ("POST", "/api/v2/project/gh%2Facme%2Fshop/pipeline/run", 404),
    ("POST", "/api/v2/project/gh/acme%2Fshop/pipeline/run", 404),
    ("POST", "/api/v2/project/gh/acme/shop%2Fx/pipeline/run", 404),
    ("POST", "/api/v2/project/gitlab/acme/shop/pipeline/run", 404),
    ("POST", "/api/v2/project/gh/acme/shop/pipeline/run/", 404),
    ("POST", "/api/v2/project/gh/acme/shop/pipeline", 201),
    ("POST", "/api/v2/project/gh%2Facme%2fshop/pipeline", 201),
    ("POST", "/api/v2/project/circleci/abc/def/pipeline", 404),
    ("GET", "/api/v2/project/gh/acme/shop/pipeline/run", 405),
    ("PUT", "/api/v2/project/gh/acme/shop/pipeline/run", 405),
    ("DELETE", "/api/v2/me", 405),
]


@pytest.mark.parametrize(("method", "path", "status"), SLUGS)
def test_paths(method: str, path: str, status: int) -> None:
    with Sandbox() as sandbox:
        answer = call(sandbox, method, path, {} if method == "POST" else None)
        assert answer.status == status
        assert status == 201 or "message" in answer.json
        assert sandbox.requests[0].path == path


def test_only_the_projects_that_were_named_exist() -> None:
    with Sandbox(projects=["github/acme/shop"]) as sandbox:
        assert trigger(sandbox).status == 201
        assert call(sandbox, "POST", RUN.replace("shop", "x"), {}).json == {"message": "Project does not exist."}
        assert call(sandbox, "POST", PIPELINE.replace("shop", "x"), {}).json == {"message": "Project not found"}
        assert call(sandbox, "GET", PIPELINE.replace("shop", "x")).status == 404


def test_a_body_that_is_not_declared_as_json() -> None:
    plain = {"Content-Type": "text/plain"}
    with Sandbox() as sandbox:
        assert trigger(sandbox, headers=plain).status == 400
        body = {"branch": "x", "parameters": {"a": 1}}
        assert call(sandbox, "POST", PIPELINE, body, headers=plain).status == 201
        assert sandbox.runs[0].parameters == {}
        declared = {"Content-Type": "application/json; charset=utf-8"}
        assert call(sandbox, "POST", PIPELINE, body, headers=declared).status == 201
        assert sandbox.runs[1].parameters == {"a": 1}


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"{} {}", b'{"parameters": {"a": NaN}}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_bytes_that_are_not_one_json_document(body: bytes) -> None:
    with Sandbox() as sandbox:
        assert trigger(sandbox, body).status == 400
        assert call(sandbox, "POST", PIPELINE, body).status == 400


def test_a_lone_surrogate_does_no_harm() -> None:
    with Sandbox() as sandbox:
        assert trigger(sandbox, b'{"config": {"branch": "\\ud800"}}').status == 201
        assert call(sandbox, "GET", "/sandbox/runs").json["runs"][0]["branch"] == "\ud800"


def test_workflows_start_where_their_parameters_match_in_type_too() -> None:
    workflows = [
        Workflow("always"),
        Workflow("production", when={"environment": "production"}),
        Workflow("flag", when={"deploy": True}),
        Workflow("both", when={"deploy": True, "environment": "production"}),
    ]
    clock = Clock()
    with Sandbox(workflows=workflows, now=clock) as sandbox:
        for parameters in ({}, {"deploy": True}, {"deploy": 1}, {"deploy": True, "environment": "production"}):
            trigger(sandbox, {**MAIN, "parameters": parameters})
        clock.passes(1)
        started = [[workflow.name for workflow in run.workflows] for run in sandbox.runs]
    assert started == [["always"], ["always", "flag"], ["always"], ["always", "production", "flag", "both"]]


@pytest.mark.parametrize(
    ("parameters", "messages"),
    [
        ({"sha": "x", "deploy": True, "count": 3, "where": "eu"}, []),
        ({"x": 1, "b": 2}, ["Unexpected argument(s): b, x"]),
        (
            {"deploy": "true"},
            ['Type error for argument deploy: expected type: boolean, actual value: "true" (type string)'],
        ),
        ({"count": True}, ["Type error for argument count: expected type: integer, actual value: true (type boolean)"]),
        ({"sha": 7}, ["Type error for argument sha: expected type: string, actual value: 7 (type integer)"]),
    ],
)
def test_declared_parameters(parameters: dict[str, object], messages: list[str]) -> None:
    declared = {"sha": "string", "deploy": "boolean", "count": "integer", "where": "enum"}
    clock = Clock()
    with Sandbox(parameters=declared, now=clock) as sandbox:
        answer = trigger(sandbox, {**MAIN, "parameters": parameters})
        assert (answer.status, answer.json["state"]) == (201, "pending")
        clock.passes(1)
        pipeline = call(sandbox, "GET", f"/api/v2/pipeline/{answer.json['id']}").json
    assert pipeline["errors"] == [{"type": "config", "message": text} for text in messages]
    assert pipeline["state"] == ("errored" if messages else "created")


def test_an_undeclared_parameter_can_be_refused_as_a_missing_project() -> None:
    with Sandbox() as sandbox:
        sandbox.add_fault(parse_fault("status:404:Project not found"))
        answer = trigger(sandbox)
        assert (answer.status, answer.json) == (404, {"message": "Project not found"})
        assert sandbox.runs == ()


def test_fifty_at_once_get_fifty_numbers() -> None:
    with Sandbox() as sandbox, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: trigger(sandbox).json, range(50)))
        assert sorted(answer["number"] for answer in answers) == list(range(1, 51))
        assert len({answer["id"] for answer in answers}) == 50
        assert [run.number for run in sandbox.runs] == list(range(1, 51))
        assert [entry.status for entry in sandbox.requests] == [201] * 50


def test_what_was_asked_is_kept_with_the_run() -> None:
    definition = "2338d0ae-5541-4bbf-88a2-55e9f7281f80"
    with Sandbox() as sandbox:
        trigger(sandbox, {**MAIN, "definition_id": definition, "parameters": {"a": True}})
        call(sandbox, "POST", PIPELINE, {"branch": "x"})
        first, second = sandbox.runs
        assert (first.api, first.definition_id, first.parameters) == ("v2-run", definition, {"a": True})
        assert (second.api, second.definition_id, second.project) == ("v2", None, "gh/acme/shop")


@pytest.mark.parametrize(
    "wrong",
    [
        {"projects": ["acme/shop"]},
        {"workflows": [Workflow("w", outcome="green")]},
        {"workflows": [Workflow("w", reruns=["success", "green"])]},
        {"parameters": {"a": "text"}},
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="`"):
        Sandbox(**wrong)  # type: ignore[arg-type]
