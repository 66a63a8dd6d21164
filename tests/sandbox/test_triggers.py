"""What a trigger creates, of which commit and with which workflows, or why not; by every API version."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sandbox.calls import DEFINITION, MAIN, PIPELINE, RUN, SHA, TREE, V3_RUNS, Clock, call, trigger, v3_body

from deploystep.sandbox import Sandbox, TriggerBody, Workflow, parse_fault

OTHER = "b" * 40
SHOP = "gh/acme/shop"
PLAIN = {"Content-Type": "text/plain"}


def test_the_commit_is_the_first_that_somebody_knows() -> None:
    asked: list[str] = []

    def look_up(ref: str) -> str | None:
        asked.append(ref)
        return "c" * 40 if ref == "known" else None

    with Sandbox(heads={"main": SHA}, head_of=look_up) as sandbox:

        def revision(branch: str, **parameters: object) -> str:
            assert trigger(sandbox, {"config": {"branch": branch}, "parameters": parameters}).status == 201
            return sandbox.runs[-1].revision

        assert revision("main", sha=OTHER) == SHA
        assert revision("x", n=1, short="abc", sha=OTHER) == OTHER
        assert asked == []
        assert revision("known") == "c" * 40
        assert revision("unknown") == revision("unknown") != revision("other")
        sandbox.move("main", OTHER)
        assert revision("main") == OTHER
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
def test_branch_and_tag(sandbox: Sandbox, body: object, branch: str | None, tag: str | None) -> None:
    run = trigger(sandbox, body).json["id"]
    assert [(run.branch, run.tag) for run in sandbox.runs] == [(branch, tag)]
    vcs = call(sandbox, "GET", f"/api/v2/pipeline/{run}").json["vcs"]
    in_v3 = call(sandbox, "GET", f"{V3_RUNS}/{run.upper()}").json["data"]["references"]["event"]["attributes"]["vcs"]
    for shown in (vcs, in_v3):
        assert (shown.get("branch"), shown.get("tag")) == (branch, tag)
        assert shown["origin_repository_url"] == "https://github.com/acme/shop"


def test_a_github_app_run_has_no_vcs(sandbox: Sandbox) -> None:
    path = RUN.replace("gh/acme/shop", "circleci/abc/def")
    run = call(sandbox, "POST", path, {**MAIN, "parameters": {"sha": SHA}}).json["id"]
    pipeline = call(sandbox, "GET", f"/api/v2/pipeline/{run}").json
    told = {"git": {"branch": "main", "checkout_sha": SHA}}
    assert (pipeline["trigger_parameters"], "vcs" in pipeline) == (told, False)


@pytest.mark.parametrize("branch", ["pull/5", ""])
def test_refs_that_do_not_exist(branch: str) -> None:
    with Sandbox(projects=[SHOP]) as sandbox:
        answer = trigger(sandbox, {"config": {"branch": branch}})
        assert (answer.status, answer.json) == (400, {"message": "Branch not found"})
        assert call(sandbox, "POST", V3_RUNS, v3_body({"checkout": {"branch": branch}})).status == 400
        assert sandbox.runs == ()
        assert call(sandbox, "POST", TREE.replace("main", "pull%2F5"), {}).status == 200, "v1.1 names it like this"


PATHS = [
    ("POST", "/api/v2/project/github/acme/shop/pipeline/run", 201),
    ("POST", "/api/v2/project/bb/acme/shop/pipeline/run", 201),
    ("POST", "/api/v2/project/circleci/43G3lM5RtfFE7v5sa4nWAU/44n9wujWcTnVZ2b5S8Fnat/pipeline/run", 201),
    ("POST", "/api/v2/project/gh%2Facme%2Fshop/pipeline/run", 404),
    ("POST", "/api/v2/project/gh/acme/shop%2Fx/pipeline/run", 404),
    ("POST", "/api/v2/project/gitlab/acme/shop/pipeline/run", 404),
    ("POST", "/api/v2/project/gh/acme/shop/pipeline", 201),
    ("POST", "/api/v2/project/circleci/abc/def/pipeline", 404),
    ("GET", "/api/v2/project/gh/acme/shop/pipeline/run", 405),
    ("DELETE", "/api/v2/me", 405),
    ("POST", "/api/v1.1/project/github/acme/shop/tree/feature/x", 404),
]


def test_paths() -> None:
    for method, path, status in PATHS:
        with Sandbox() as sandbox:
            answer = call(sandbox, method, path, {} if method == "POST" else None)
            assert (answer.status, "message" in answer.json) == (status, status != 201), path
            assert sandbox.requests[0].path == path


def test_only_the_projects_that_were_named_exist() -> None:
    with Sandbox(projects=["github/acme/shop"]) as sandbox:
        for method, path in (("POST", RUN), ("GET", PIPELINE), ("POST", TREE), ("GET", TREE)):
            body: object = {} if method == "POST" else None
            assert call(sandbox, method, path, body).status in {200, 201}
            answer = call(sandbox, method, path.replace("shop", "x"), body)
            words = "Project does not exist." if path == RUN else "Project not found"
            assert (answer.status, answer.json) == (404, {"message": words})


def test_a_body_is_declared_as_json() -> None:
    with Sandbox(projects=[SHOP]) as sandbox:
        declared = {"Content-Type": "application/json; charset=utf-8"}
        assert trigger(sandbox, {"parameters": {"a": 1}}, headers=declared).status == 201
        assert [run.parameters for run in sandbox.runs] == [{"a": 1}]


NO_JSON = [b"{", b"\xff", b"{} {}", b'{"parameters": {"a": NaN}}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]


@pytest.mark.parametrize("path", [RUN, PIPELINE, TREE, V3_RUNS])
def test_bodies_that_are_refused(path: str) -> None:
    of_v1_1: list[Any] = [[], {"build_parameters": []}, {"build_parameters": "x"}, {"revision": 7}]
    with Sandbox(projects=[SHOP]) as sandbox:
        for body in (*NO_JSON, *(of_v1_1 if path == TREE else ())):
            assert call(sandbox, "POST", path, body).status == 400, body
        assert path == TREE or call(sandbox, "POST", path, v3_body(), headers=PLAIN).status == 400
        assert sandbox.runs == ()


V3_WRONG: list[tuple[Any, str]] = [
    ([], ""),
    ({}, "/data"),
    ({"data": {"attributes": {}}}, "/data/references"),
    ({**v3_body(), "pipeline_id": DEFINITION}, "/pipeline_id"),
    ({"data": {**v3_body()["data"], "tag": "v1"}}, "/data/tag"),
    (v3_body(definition="main"), "/data/references/pipeline/id"),
    (v3_body({"config": {"tag": "v1"}}), "/data/attributes/config/tag"),
    (v3_body({"checkout": {"branch": "main", "revision": SHA}}), "/data/attributes/checkout/revision"),
    (v3_body({"parameters": {"a": None}}), "/data/attributes/parameters"),
    (v3_body({"sha": SHA}), "/data/attributes/sha"),
    (v3_body({"checkout": {"branch": ""}}), ""),
]


def test_bodies_that_v3_refuses() -> None:
    with Sandbox(projects=[SHOP]) as sandbox:
        for body, pointer in V3_WRONG:
            answer = call(sandbox, "POST", V3_RUNS, body)
            error = answer.json["error"]
            assert (answer.status, error["type"]) == (400, "validation_error"), body
            assert f"`{pointer[1:]}` " in error["detail"] or not pointer
        assert sandbox.runs == ()


def test_a_definition_is_of_the_only_project_that_is_known(sandbox: Sandbox) -> None:
    assert call(sandbox, "POST", V3_RUNS, v3_body()).status == 404
    trigger(sandbox)
    assert call(sandbox, "POST", V3_RUNS, v3_body()).status == 201
    call(sandbox, "POST", RUN.replace("shop", "till"), MAIN)
    assert call(sandbox, "POST", V3_RUNS, v3_body()).status == 404


def test_what_was_asked_is_kept_with_the_run() -> None:
    with Sandbox(projects=[SHOP]) as sandbox:
        trigger(sandbox, {**MAIN, "definition_id": DEFINITION.upper(), "parameters": {"a": True}})
        call(sandbox, "POST", V3_RUNS, v3_body({"parameters": {"a": "b"}}))
        job = {"CIRCLE_JOB": "deploy", "A": True, "B": 3, "C": None, "D": 1.5}
        answer = call(sandbox, "POST", TREE, {"build_parameters": job, "revision": OTHER}).json
        texts = {"CIRCLE_JOB": "deploy", "A": "true", "B": "3", "C": "", "D": "1.5"}
        assert [(run.api, run.parameters) for run in sandbox.runs] == [
            ("v2", {"a": True}),
            ("v3", {"a": "b"}),
            ("v1.1", texts),
        ]
        assert (answer["job_name"], answer["vcs_revision"], answer["build_parameters"]) == ("deploy", OTHER, texts)
        assert answer["why"] == "api"
        assert answer["build_url"] == f"https://circleci.com/gh/acme/shop/{answer['build_num']}"


def test_v1_1_announces_its_end(sandbox: Sandbox) -> None:
    answer = call(sandbox, "POST", TREE)
    assert answer.headers["Sunset"] == "Mon, 01 Feb 2027 00:00:00 GMT"
    assert "Sunset" not in call(sandbox, "GET", TREE).headers


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


CONFIG = "version: 2.1\n# << pipeline.parameters.deploy_key >> <<pipeline.parameters.go>> << pipeline.number >>\n"


def test_a_config_is_compiled_once_the_run_has_formed(sandbox: Sandbox, clock: Clock) -> None:
    sandbox.set_config("github/acme/shop", CONFIG)
    run = trigger(sandbox, {**MAIN, "parameters": {"deploy_key": "ds-1", "go": True, "unused": "x"}}).json["id"]

    def config() -> tuple[str, str]:
        read = call(sandbox, "GET", f"/api/v2/pipeline/{run}/config").json
        return read["source"], read["compiled"]

    assert config() == (CONFIG, "")
    clock.passes(0.1)
    assert config() == (CONFIG, "version: 2.1\n# ds-1 true << pipeline.number >>\n")
    sandbox.add_fault(parse_fault("errored"))
    run = trigger(sandbox).json["id"]
    clock.passes(60)
    assert config() == (CONFIG, "")
    run = call(sandbox, "POST", RUN.replace("shop", "till"), {"parameters": {"a": "ds-2", "b": 7}}).json["id"]
    clock.passes(60)
    source, compiled = config()
    assert all(source.count(f"<< pipeline.parameters.{name} >>") == 1 for name in "ab")
    assert ("PARAMETER_1: ds-2" in compiled, "PARAMETER_2: 7" in compiled) == (True, True)


def test_what_a_config_starts_and_its_defaults(sandbox: Sandbox, clock: Clock) -> None:
    def starts(body: TriggerBody) -> list[Workflow]:
        if "x" in body.parameters:
            raise ValueError("Unexpected argument(s): x")
        return [Workflow(str(body.branch))]

    sandbox.set_config("gh/acme/shop", CONFIG, defaults={"go": False, "deploy_key": ""}, starts=starts)
    run = trigger(sandbox, {**MAIN, "parameters": {"deploy_key": "ds-1"}}).json["id"]
    trigger(sandbox, {"parameters": {"x": 1}})
    clock.passes(1)
    assert [[w.name for w in run.workflows] for run in sandbox.runs] == [["main"], []]
    assert [run.errors for run in sandbox.runs] == [(), ("Unexpected argument(s): x",)]
    compiled = call(sandbox, "GET", f"/api/v2/pipeline/{run}/config").json["compiled"]
    assert compiled == "version: 2.1\n# ds-1 false << pipeline.number >>\n"


def test_a_lone_surrogate_does_no_harm(sandbox: Sandbox) -> None:
    assert trigger(sandbox, b'{"config": {"branch": "\\ud800"}}').status == 201
    assert call(sandbox, "GET", "/sandbox/runs").json["runs"][0]["branch"] == "\ud800"


def test_fifty_at_once_get_fifty_numbers() -> None:
    with Sandbox() as sandbox, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: trigger(sandbox).json, range(50)))
        assert sorted(answer["number"] for answer in answers) == list(range(1, 51))
        assert len({answer["id"] for answer in answers}) == 50
        assert [run.number for run in sandbox.runs] == list(range(1, 51))
        assert [entry.status for entry in sandbox.requests] == [201] * 50


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="`acme/shop` is not a project slug"):
        Sandbox(projects=["acme/shop"])
