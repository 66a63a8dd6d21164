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
from sandbox.eventful import ENDED, EventfulSandbox

from deploystep.sandbox import Sandbox, Workflow, parse_fault

FOLDERS = [folder / "shared" / "openapi" for folder in Path(__file__).resolve().parents[3:]]
FOLDER = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="CircleCI's OpenAPI documents are not beside the checkout")

RUN_ROUTE = "/project/{provider}/{organization}/{project}/pipeline/run"
PIPELINE_ROUTE = "/project/{project-slug}/pipeline"
BUILD_ROUTE = "/project/{vcs-type}/{username}/{project}"


@functools.cache
def document(version: str) -> Any:
    return json.loads(max(FOLDER.glob(f"circleci-{version}-*.json")).read_text(encoding="utf-8"))


def resolved(version: str, value: Any) -> Any:
    """OpenAPI 3.0's dialect as JSON Schema: references resolved, nullable spelled out.

    v1.1's document does not mark what is null, though the written reference shows nulls for a job that has
    not started; so there every property may be null.
    """
    if isinstance(value, list):
        return [resolved(version, entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        found = document(version)
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        return resolved(version, found)
    plain = {key: resolved(version, entry) for key, entry in value.items()}
    nullable = value.get("nullable") or value.get("x-nullable") or (version == "v1.1" and "type" in value)
    return {"anyOf": [plain, {"type": "null"}]} if nullable else plain


@functools.cache
def schema(version: str, method: str, route: str, status: int = 0) -> Any:
    """What an answer of this status must be; without one, the request's body."""
    operation = document(version)["paths"][route][method.lower()]
    responses = operation["responses"]
    holder = (responses.get(str(status)) or responses["default"]) if status else operation["requestBody"]
    content = resolved(version, holder)["content"]["application/json"]["schema"]
    return jsonschema.Draft202012Validator(content, format_checker=jsonschema.FormatChecker())


def seeded(sandbox: Sandbox, clock: Clock) -> dict[str, str]:
    """Fill a sandbox with one of everything, and name what the paths need."""
    build = str(uuid4())
    sandbox.add_build(build, "gh/acme/shop", workflow_id=str(uuid4()), jobs={"test": "success", "deploy": "running"})
    sandbox.set_job("gh/acme/shop", 77, parallel_runs=["running", "failed"])
    run = trigger(sandbox, {**MAIN, "parameters": {"sha": SHA}}).json["id"]
    app = call(sandbox, "POST", "/api/v2/project/circleci/AbC/dEf/pipeline/run", MAIN).json["id"]
    build_num = str(call(sandbox, "POST", TREE, {}).json["build_num"])
    names = {"build": build, "run": run, "app": app, "build_num": build_num}
    for name, fault in (("errored", "errored:Unexpected argument(s): x"), ("dynamic", "setup")):
        sandbox.add_fault(parse_fault(fault))
        names[name] = trigger(sandbox).json["id"]
    clock.passes(1)
    workflow = sandbox.runs[0].workflows[0]
    return names | {"workflow": workflow.id, "job": str(workflow.jobs[0].number)}


RUN_ID, JOB_ID = "/pipeline/{pipeline-id}", "/project/{project-slug}/job/{job-number}"
READINGS = [
    ("v2", "/me", "/api/v2/me"),
    *(("v2", RUN_ID, f"/api/v2/pipeline/{{{which}}}") for which in ("run", "app", "build", "errored", "dynamic")),
    ("v2", RUN_ID, "/api/v2/pipeline/7"),
    *(("v2", f"{RUN_ID}/{what}", f"/api/v2/pipeline/{{run}}/{what}") for what in ("workflow", "config")),
    ("v2", PIPELINE_ROUTE, PIPELINE),
    *(("v2", JOB_ID, f"/api/v2/project/gh/acme/shop/job/{which}") for which in ("77", "{job}")),
    ("v2", "/workflow/{id}/job", "/api/v2/workflow/{workflow}/job"),
    *(("v1.1", f"{BUILD_ROUTE}/{{build_num}}", f"/api/v1.1/project/gh/acme/shop/{n}") for n in ("77", "{build_num}")),
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
        schema(version, "GET", route, answer.status).validate(answer.json)


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
        schema(version, "POST", route, status).validate(answer.json)


@pytest.mark.parametrize("outcome", [*sorted(ENDED), "running", "failing", "on_hold"])
def test_every_outcome_has_the_documents_words(sandbox: Sandbox, clock: Clock, outcome: str) -> None:
    sandbox.workflows = [Workflow("w", outcome=outcome)]
    number = trigger(sandbox).json["number"]
    clock.passes(5)
    workflow = sandbox.runs[0].workflows[0]
    assert workflow.status == outcome
    jobs = call(sandbox, "GET", f"/api/v2/workflow/{workflow.id}/job").json
    schema("v2", "GET", "/workflow/{id}/job", 200).validate(jobs)
    job = call(sandbox, "GET", f"/api/v2/project/gh/acme/shop/job/{number}").json
    schema("v2", "GET", "/project/{project-slug}/job/{job-number}", 200).validate(job)


MEMBERS = ("config", "checkout", "parameters", "definition_id", "branch", "tag", "revision", "x")
VALUES: list[Any] = [
    *(None, True, 7, "main", "2338d0ae-5541-4bbf-88a2-55e9f7281f80", [], {}),
    *({"branch": "main"}, {"tag": "v2"}, {"branch": 7}, {"branch": "main", "revision": SHA}, {"content": "2.1"}),
    {"a": "text", "b": True, "c": 3, "d": -1, "": ""},
]
BODIES = [{}, MAIN, *VALUES, *({name: value} for name in MEMBERS for value in VALUES)]


@pytest.mark.parametrize(("path", "route"), [(RUN, RUN_ROUTE), (PIPELINE, PIPELINE_ROUTE)])
def test_a_trigger_accepts_exactly_the_documents_bodies(sandbox: Sandbox, path: str, route: str) -> None:
    accepts, created = schema("v2", "POST", route), 0
    for body in BODIES if path == RUN else (body for body in BODIES if isinstance(body, dict)):
        answer = call(sandbox, "POST", path, json.dumps(body).encode())
        assert answer.status == (201 if accepts.is_valid(body) else 400), body
        created += answer.status == 201
        assert len(sandbox.runs) == created


WRONG_VALUES: list[Any] = [None, 1.5, ["x"], {}, "x" * 513]
STRICTER: list[Any] = [
    *({name: {"branch": "main", "tag": "v2"}} for name in ("config", "checkout")),
    *({"parameters": {"a": value}} for value in WRONG_VALUES),
    *({"parameters": parameters} for parameters in ({"a" * 129: "x"}, {f"p{i}": 1 for i in range(101)})),
]


def test_pipeline_run_enforces_what_the_document_only_says_in_words(sandbox: Sandbox) -> None:
    for body in STRICTER:
        assert schema("v2", "POST", RUN_ROUTE).is_valid(body)
        answer = trigger(sandbox, body)
        assert (answer.status, answer.json) == (400, {"message": "Unexpected request body provided."}), body
        schema("v2", "POST", RUN_ROUTE, 400).validate(answer.json)
