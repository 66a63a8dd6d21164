"""The sandbox against CircleCI's own OpenAPI documents, which lie outside the repository."""

import functools
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from sandbox.calls import MAIN, PIPELINE, RUN, SHA, TREE, Clock, call, get, trigger
from sandbox.eventful import ENDED, EventfulSandbox

from deploystep.sandbox import Sandbox, Workflow, parse_fault

FOLDERS = [folder / "shared" / "openapi" for folder in Path(__file__).resolve().parents[3:]]
FOLDER = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="CircleCI's OpenAPI documents are not beside the checkout")


@functools.cache
def document(version: str) -> Any:
    return json.loads(max(FOLDER.glob(f"circleci-{version}-*.json")).read_text(encoding="utf-8"))


def resolved(version: str, value: Any) -> Any:
    """OpenAPI 3.0's dialect as JSON Schema: references resolved, nullable spelled out."""
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
    # v1.1's document does not mark what is null, though its reference shows nulls for a job that has not started
    nullable = value.get("nullable") or value.get("x-nullable") or (version == "v1.1" and "type" in value)
    return {"anyOf": [plain, {"type": "null"}]} if nullable else plain


@functools.cache
def schema(version: str, request: str, status: int = 0) -> Any:
    """What the answer to `METHOD route` with this status must be; without one, the request's body."""
    method, route = request.split()
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


STARTS = "POST /project/{provider}/{organization}/{project}/pipeline/run"
STARTS_TOO, LISTS = (f"{method} /project/{{project-slug}}/pipeline" for method in ("POST", "GET"))
READS, READS_JOB = "GET /pipeline/{pipeline-id}", "GET /project/{project-slug}/job/{job-number}"
OF_WORKFLOW, OF_BUILD = "GET /workflow/{id}/job", "/project/{vcs-type}/{username}/{project}"
BUILDS = TREE.removesuffix("/tree/main")
#: The document's version and request, the path that is asked, the status, and for triggers a fault and a token.
CONTRACT: list[tuple[Any, ...]] = [
    ("v2", "GET /me", "/api/v2/me", 200),
    *(("v2", READS, f"/api/v2/pipeline/{{{which}}}", 200) for which in ("run", "app", "build", "errored", "dynamic")),
    ("v2", READS, "/api/v2/pipeline/7", 400),
    *(("v2", f"{READS}/{what}", f"/api/v2/pipeline/{{run}}/{what}", 200) for what in ("workflow", "config")),
    ("v2", LISTS, PIPELINE, 200),
    *(("v2", READS_JOB, f"/api/v2/project/gh/acme/shop/job/{which}", 200) for which in ("77", "{job}")),
    ("v2", OF_WORKFLOW, "/api/v2/workflow/{workflow}/job", 200),
    *(("v1.1", f"GET {OF_BUILD}/{{build_num}}", f"{BUILDS}/{which}", 200) for which in ("77", "{build_num}")),
    ("v2", STARTS, RUN, 201),
    ("v2", STARTS, RUN, 200, "skip"),
    ("v2", STARTS, RUN, 401, "", None),
    ("v2", STARTS, RUN.replace("acme", "nobody"), 404),
    ("v2", STARTS_TOO, PIPELINE, 201),
    ("v1.1", f"POST {OF_BUILD}/tree/{{branch}}", TREE, 200),
]


@pytest.mark.parametrize("later", [0, 60])
@pytest.mark.parametrize("row", CONTRACT, ids=lambda row: f"{row[1]} {row[3]}")
def test_an_answer_is_what_the_document_describes(clock: Clock, row: tuple[Any, ...], later: float) -> None:
    columns: Any = [*row, *["", "token"][len(row) - 4 :]]
    version, request, path, status, fault, token = columns
    method, flaky = request.split()[0], Workflow("flaky", outcome="failed")
    with EventfulSandbox(now=clock, workflows=[Workflow("deploy"), flaky], reruns={"flaky": ["failed"]}) as sandbox:
        names = seeded(sandbox, clock)
        clock.passes(later)
        sandbox.projects = ["gh/acme/shop"]
        sandbox.faults += [parse_fault(fault)] if fault else []
        answer = call(sandbox, method, path.format(**names), {} if method == "POST" else None, token=token)
        assert answer.status == status
        schema(version, request, status).validate(answer.json)


def test_every_outcome_has_the_documents_words(sandbox: Sandbox, clock: Clock) -> None:
    outcomes = [*sorted(ENDED), "running", "failing", "on_hold"]
    sandbox.workflows = [Workflow("w", outcome=outcome) for outcome in outcomes]
    trigger(sandbox)
    clock.passes(5)
    workflows = sandbox.runs[0].workflows
    assert [workflow.status for workflow in workflows] == outcomes
    for workflow in workflows:
        schema("v2", OF_WORKFLOW, 200).validate(get(sandbox, f"/api/v2/workflow/{workflow.id}/job"))
        job = get(sandbox, f"/api/v2/project/gh/acme/shop/job/{workflow.jobs[0].number}")
        schema("v2", READS_JOB, 200).validate(job)


MEMBERS = ("config", "checkout", "parameters", "definition_id", "branch", "tag", "revision", "x")
VALUES: list[Any] = [
    *(None, True, 7, "main", "2338d0ae-5541-4bbf-88a2-55e9f7281f80", [], {}),
    *({"branch": "main"}, {"tag": "v2"}, {"branch": 7}, {"branch": "main", "revision": SHA}, {"content": "2.1"}),
    {"a": "text", "b": True, "c": 3, "d": -1, "": ""},
]
BODIES = [{}, MAIN, *VALUES, *({name: value} for name in MEMBERS for value in VALUES)]


@pytest.mark.parametrize(("path", "starts"), [(RUN, STARTS), (PIPELINE, STARTS_TOO)])
def test_a_trigger_accepts_exactly_the_documents_bodies(sandbox: Sandbox, path: str, starts: str) -> None:
    accepts, created = schema("v2", starts), 0
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
        assert schema("v2", STARTS).is_valid(body)
        answer = trigger(sandbox, body)
        assert (answer.status, answer.json) == (400, {"message": "Unexpected request body provided."}), body
        schema("v2", STARTS, 400).validate(answer.json)
