"""The sandbox against CircleCI's own OpenAPI documents, which lie outside the repository."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from sandbox.calls import MAIN, PIPELINE, RUN, SHA, TREE, Clock, call, trigger
from sandbox.eventful import EventfulSandbox

from deploystep.sandbox import Sandbox, Workflow, parse_fault

FOLDERS = [folder / "shared" / "openapi" for folder in Path(__file__).resolve().parents[3:]]
FOLDER = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="CircleCI's OpenAPI documents are not beside the checkout")

RUN_ROUTE = "/project/{provider}/{organization}/{project}/pipeline/run"
PIPELINE_ROUTE = "/project/{project-slug}/pipeline"
BUILD_ROUTE = "/project/{vcs-type}/{username}/{project}"


@functools.cache
def document(version: str) -> Any:
    found = sorted(FOLDER.glob(f"circleci-{version}-*.json"))
    return json.loads(found[-1].read_text(encoding="utf-8"))


def pointed(version: str, pointer: str) -> Any:
    value = document(version)
    for part in pointer.removeprefix("#/").split("/"):
        value = value[part.replace("~1", "/").replace("~0", "~")]
    return value


def as_json_schema(version: str, value: Any) -> Any:
    """Turn OpenAPI 3.0's dialect into JSON Schema: references resolved, nullable spelled out.

    v1.1's document does not mark what is null, though the written reference shows nulls for a job that has
    not started; so there every property may be null.
    """
    if isinstance(value, list):
        return [as_json_schema(version, entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return as_json_schema(version, pointed(version, value["$ref"]))
    plain = {key: as_json_schema(version, entry) for key, entry in value.items()}
    nullable = value.get("nullable") or value.get("x-nullable") or (version == "v1.1" and "type" in value)
    return {"anyOf": [plain, {"type": "null"}]} if nullable else plain


def operation(version: str, method: str, route: str) -> Any:
    return document(version)["paths"][route][method.lower()]


@functools.cache
def response_schema(version: str, method: str, route: str, status: int) -> Any:
    responses = operation(version, method, route)["responses"]
    response = responses.get(str(status)) or responses["default"]
    if "$ref" in response:
        response = pointed(version, response["$ref"])
    return validator(version, response)


@functools.cache
def request_schema(version: str, method: str, route: str) -> Any:
    return validator(version, operation(version, method, route)["requestBody"])


def validator(version: str, holder: Any) -> Any:
    schema = as_json_schema(version, holder["content"]["application/json"]["schema"])
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def seeded(sandbox: Sandbox, clock: Clock) -> dict[str, str]:
    """Fill a sandbox with one of everything, and name what the paths need."""
    build = str(uuid4())
    sandbox.add_build(build, "gh/acme/shop", workflow_id=str(uuid4()), jobs={"test": "success", "deploy": "running"})
    sandbox.set_job("gh/acme/shop", 77, parallel_runs=["running", "failed"])
    run = trigger(sandbox, {**MAIN, "parameters": {"sha": SHA}}).json["id"]
    app = call(sandbox, "POST", "/api/v2/project/circleci/AbC/dEf/pipeline/run", MAIN).json["id"]
    build_num = call(sandbox, "POST", TREE, {}).json["build_num"]
    sandbox.add_fault(parse_fault("errored:Unexpected argument(s): x"))
    errored = trigger(sandbox).json["id"]
    sandbox.add_fault(parse_fault("setup"))
    dynamic = trigger(sandbox).json["id"]
    clock.passes(1)
    return {
        "build": build,
        "run": run,
        "app": app,
        "errored": errored,
        "dynamic": dynamic,
        "workflow": sandbox.runs[0].workflows[0].id,
        "job": str(sandbox.runs[0].workflows[0].jobs[0].number),
        "build_num": str(build_num),
    }


READINGS = [
    ("v2", "/me", "/api/v2/me"),
    ("v2", "/pipeline/{pipeline-id}", "/api/v2/pipeline/{run}"),
    ("v2", "/pipeline/{pipeline-id}", "/api/v2/pipeline/{app}"),
    ("v2", "/pipeline/{pipeline-id}", "/api/v2/pipeline/{build}"),
    ("v2", "/pipeline/{pipeline-id}", "/api/v2/pipeline/{errored}"),
    ("v2", "/pipeline/{pipeline-id}", "/api/v2/pipeline/7"),
    ("v2", "/pipeline/{pipeline-id}/workflow", "/api/v2/pipeline/{run}/workflow"),
    ("v2", PIPELINE_ROUTE, PIPELINE),
    ("v2", "/project/{project-slug}/job/{job-number}", "/api/v2/project/gh/acme/shop/job/77"),
    ("v2", "/project/{project-slug}/job/{job-number}", "/api/v2/project/gh/acme/shop/job/{job}"),
    ("v2", "/workflow/{id}/job", "/api/v2/workflow/{workflow}/job"),
    ("v2", "/pipeline/{pipeline-id}/config", "/api/v2/pipeline/{run}/config"),
    ("v2", "/pipeline/{pipeline-id}", "/api/v2/pipeline/{dynamic}"),
    ("v1.1", BUILD_ROUTE + "/{build_num}", "/api/v1.1/project/github/acme/shop/{build_num}"),
    ("v1.1", BUILD_ROUTE + "/{build_num}", "/api/v1.1/project/gh/acme/shop/77"),
]


@pytest.mark.parametrize(("version", "route", "path"), READINGS)
@pytest.mark.parametrize("later", [0, 60])
def test_what_is_read_is_what_the_document_describes(version: str, route: str, path: str, later: float) -> None:
    clock = Clock()
    flaky = Workflow("flaky", outcome="failed")
    with EventfulSandbox(now=clock, workflows=[Workflow("deploy"), flaky], reruns={"flaky": ["failed"]}) as sandbox:
        names = seeded(sandbox, clock)
        clock.passes(later)
        answer = call(sandbox, "GET", path.format(**names))
        assert answer.status == (400 if path.endswith("/7") else 200)
        response_schema(version, "GET", route, answer.status).validate(answer.json)


TRIGGERS = [
    ("v2", RUN_ROUTE, RUN, "", "token", 201),
    ("v2", RUN_ROUTE, RUN, "skip", "token", 200),
    ("v2", RUN_ROUTE, RUN, "", None, 401),
    ("v2", RUN_ROUTE, RUN.replace("acme", "nobody"), "", "token", 404),
    ("v2", PIPELINE_ROUTE, PIPELINE, "", "token", 201),
    ("v1.1", BUILD_ROUTE + "/tree/{branch}", TREE, "", "token", 200),
]


@pytest.mark.parametrize(("version", "route", "path", "fault", "token", "status"), TRIGGERS)
def test_what_a_trigger_answers_is_what_the_document_describes(  # noqa: PLR0913, PLR0917 - columns of a table
    version: str, route: str, path: str, fault: str, token: str | None, status: int
) -> None:
    with Sandbox(projects=["gh/acme/shop"]) as sandbox:
        if fault:
            sandbox.add_fault(parse_fault(fault))
        answer = call(sandbox, "POST", path, {}, token=token)
        assert answer.status == status
        response_schema(version, "POST", route, status).validate(answer.json)


@pytest.mark.parametrize(
    "outcome",
    ["success", "failed", "error", "canceled", "unauthorized", "not_run", "running", "failing", "on_hold"],
)
def test_every_outcome_has_the_documents_words(outcome: str) -> None:
    clock = Clock()
    with Sandbox(now=clock, workflows=[Workflow("w", outcome=outcome)]) as sandbox:
        number = trigger(sandbox).json["number"]
        clock.passes(5)
        workflow = sandbox.runs[0].workflows[0]
        assert workflow.status == outcome
        jobs = call(sandbox, "GET", f"/api/v2/workflow/{workflow.id}/job").json
        response_schema("v2", "GET", "/workflow/{id}/job", 200).validate(jobs)
        job = call(sandbox, "GET", f"/api/v2/project/gh/acme/shop/job/{number}").json
        response_schema("v2", "GET", "/project/{project-slug}/job/{job-number}", 200).validate(job)


RUN_BODIES: list[Any] = [
    {},
    MAIN,
    {"config": {"tag": "v2"}},
    {"checkout": {"tag": "v2"}, "config": {"branch": "main"}},
    {"config": {}, "checkout": {}},
    {"definition_id": "2338d0ae-5541-4bbf-88a2-55e9f7281f80"},
    {"parameters": {}},
    {"parameters": {"a": "text", "b": True, "c": 3, "d": -1, "": ""}},
    [],
    "main",
    7,
    None,
    True,
    {"branch": "main"},
    {"revision": SHA},
    {"config": {"branch": "main", "revision": SHA}},
    {"config": {"content": "version: 2.1"}},
    {"checkout": {"branch": "main", "sha": SHA}},
    {"config": "main"},
    {"config": None},
    {"config": {"branch": 7}},
    {"parameters": []},
    {"parameters": None},
    {"definition_id": "not-a-uuid"},
    {"definition_id": None},
]


@pytest.mark.parametrize("body", RUN_BODIES, ids=json.dumps)
def test_pipeline_run_accepts_exactly_the_documents_bodies(body: Any) -> None:
    with Sandbox() as sandbox:
        answer = trigger(sandbox, json.dumps(body).encode())
        expected = 201 if request_schema("v2", "POST", RUN_ROUTE).is_valid(body) else 400
        assert answer.status == expected
        assert len(sandbox.runs) == (expected == 201)


STRICTER: list[Any] = [
    {"config": {"branch": "main", "tag": "v2"}},
    {"checkout": {"branch": "main", "tag": "v2"}},
    {"parameters": {"a": None}},
    {"parameters": {"a": 1.5}},
    {"parameters": {"a": ["x"]}},
    {"parameters": {"a": {}}},
    {"parameters": {"a": "x" * 513}},
    {"parameters": {"a" * 129: "x"}},
    {"parameters": {f"p{i}": 1 for i in range(101)}},
]


@pytest.mark.parametrize("body", STRICTER, ids=lambda body: json.dumps(body)[:50])
def test_pipeline_run_enforces_what_the_document_only_says_in_words(body: Any) -> None:
    with Sandbox() as sandbox:
        assert request_schema("v2", "POST", RUN_ROUTE).is_valid(body)
        answer = trigger(sandbox, body)
        assert (answer.status, answer.json) == (400, {"message": "Unexpected request body provided."})
        response_schema("v2", "POST", RUN_ROUTE, 400).validate(answer.json)


PIPELINE_BODIES: list[Any] = [
    {},
    {"branch": "main"},
    {"branch": "main", "anything": 1},
    {"parameters": {"a": "text", "b": True, "c": 3}},
    [],
    {"branch": 7},
    {"tag": None},
    {"parameters": {"a": None}},
    {"parameters": {"a": 1.5}},
]


@pytest.mark.parametrize("body", PIPELINE_BODIES, ids=json.dumps)
def test_the_older_trigger_accepts_exactly_the_documents_bodies(body: Any) -> None:
    with Sandbox() as sandbox:
        answer = call(sandbox, "POST", PIPELINE, json.dumps(body).encode())
        expected = 201 if request_schema("v2", "POST", PIPELINE_ROUTE).is_valid(body) else 400
        assert answer.status == expected
