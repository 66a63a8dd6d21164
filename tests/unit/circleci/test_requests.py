"""The request that each API gets: path, body, and whether it may be repeated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from builds import DEFINITION, SHA, SHOP, asked, spec

from deploystep.circleci import v1_1, v2
from deploystep.circleci.dialects import DIALECTS
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.retry import Repeat
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import WorkflowState

REF_NAMES = ["main", "feature/x y", "pull/7/head", "ü", "a%2Fb", "x?y=z&w", "q#f", "+", "..", "\udcff"]
APP = ProjectSlug("circleci", "9YytKzouJxzu4TjCRFqAoD", "44n9wujWcTnVZ2b5S8Fnat")
ODD = ProjectSlug("bb", "ac me", "shop+%2F?x#y")


def test_run() -> None:
    request = v2.run_request(spec(parameters={"deploy": True, "count": 3, "name": "true"}), SHOP)
    assert (request.method, request.path) == ("POST", "/api/v2/project/gh/acme/shop/pipeline/run")
    assert request.body == {
        "config": {"branch": "main"},
        "checkout": {"branch": "main"},
        "parameters": {"deploy": True, "count": 3, "name": "true"},
    }
    assert dict(request.query) == {}


def test_run_of_a_definition_and_a_tag() -> None:
    request = v2.run_request(spec(ref=Tag("v1.4.0"), definition=DEFINITION), APP)
    assert request.path == "/api/v2/project/circleci/9YytKzouJxzu4TjCRFqAoD/44n9wujWcTnVZ2b5S8Fnat/pipeline/run"
    assert request.body == {
        "definition_id": DEFINITION,
        "config": {"tag": "v1.4.0"},
        "checkout": {"tag": "v1.4.0"},
    }


def test_pipeline() -> None:
    request = v2.pipeline_request(spec(parameters={"deploy": False}, definition=DEFINITION), SHOP)
    assert (request.method, request.path) == ("POST", "/api/v2/project/gh/acme/shop/pipeline")
    assert request.body == {"branch": "main", "parameters": {"deploy": False}}
    tagged = v2.pipeline_request(spec(ref=Tag("v1")), SHOP)
    assert tagged.body == {"tag": "v1"}


def test_job() -> None:
    job = spec(api=ApiVersion.V1_1, job="deploy_docker", parameters={"YES": True, "NO": False, "N": 3, "T": "x"})
    request = v1_1.job_request(job, SHOP)
    assert (request.method, request.path) == ("POST", "/api/v1.1/project/github/acme/shop/tree/main")
    assert request.body == {
        "revision": SHA,
        "build_parameters": {"CIRCLE_JOB": "deploy_docker", "YES": "true", "NO": "false", "N": "3", "T": "x"},
    }


def test_job_of_another_project_pins_no_revision() -> None:
    request = v1_1.job_request(
        spec(api=ApiVersion.V1_1, job="deploy", revision=None), ProjectSlug("bb", "acme", "deployer")
    )
    assert request.path == "/api/v1.1/project/bitbucket/acme/deployer/tree/main"
    assert request.body == {"build_parameters": {"CIRCLE_JOB": "deploy"}}


@pytest.mark.parametrize(
    ("branch", "escaped"),
    [
        ("feature/x y", "feature%2Fx%20y"),
        ("pull/7/head", "pull%2F7%2Fhead"),
        ("a%2Fb", "a%252Fb"),
        ("x?y=z&w#f", "x%3Fy%3Dz%26w%23f"),
        ("a+b", "a%2Bb"),
        ("ü", "%C3%BC"),
        ("\udcff", "%FF"),
    ],
)
def test_a_branch_is_one_segment_of_the_path(branch: str, escaped: str) -> None:
    request = v1_1.job_request(spec(api=ApiVersion.V1_1, job="deploy", ref=Branch(branch)), SHOP)
    assert request.path == f"/api/v1.1/project/github/acme/shop/tree/{escaped}"


@pytest.mark.parametrize("api", [ApiVersion.V2_RUN, ApiVersion.V2_PIPELINE, ApiVersion.V1_1])
def test_a_project_is_three_segments_whatever_it_is_called(api: ApiVersion) -> None:
    request = DIALECTS[api].trigger_request(spec(api=api, job="deploy" if api is ApiVersion.V1_1 else None), ODD)
    vcs = "bitbucket" if api is ApiVersion.V1_1 else "bb"
    assert f"/project/{vcs}/ac%20me/shop%2B%252F%3Fx%23y/" in f"{request.path}/"


@pytest.mark.parametrize("ref", [Branch("feature/x y"), Branch("pull/7/head"), Tag("v1/2 3")])
def test_in_v2_a_ref_is_written_as_it_is(ref: Branch | Tag) -> None:
    kind = "branch" if isinstance(ref, Branch) else "tag"
    body: Any = v2.run_request(spec(ref=ref), SHOP).body
    assert body["config"] == body["checkout"] == {kind: ref.name}


@pytest.mark.parametrize("api", list(ApiVersion))
def test_a_trigger_is_never_repeated_blindly(api: ApiVersion) -> None:
    request = DIALECTS[api].trigger_request(spec(api=api, job="x"), SHOP)
    assert request.repeat is Repeat.ONLY_IF_NOT_RECEIVED


@pytest.mark.parametrize("ident", ["8b3f7c1e", "../me", "a/b", "x?y"])
def test_readings_and_cancels(ident: str) -> None:
    escaped = {"../me": "..%2Fme", "a/b": "a%2Fb", "x?y": "x%3Fy"}.get(ident, ident)
    assert v2.pipeline_by_id_request(ident).path == f"/api/v2/pipeline/{escaped}"
    assert v2.workflows_request(ident).path == f"/api/v2/pipeline/{escaped}/workflow"
    assert dict(v2.workflows_request(ident, "next").query) == {"page-token": "next"}
    assert dict(v2.workflows_request(ident).query) == {}
    assert v2.cancel(asked(), WorkflowState(ident, "deploy", "running")).path == f"/api/v2/workflow/{escaped}/cancel"
    assert (
        v1_1.cancel(asked(), WorkflowState("12", "deploy", "running")).path
        == "/api/v1.1/project/github/acme/shop/12/cancel"
    )
    for request in (
        v2.cancel(asked(), WorkflowState(ident, "deploy", "running")),
        v1_1.cancel(asked(), WorkflowState("12", "deploy", "running")),
        v2.workflows_request(ident),
    ):
        assert request.repeat is Repeat.FREELY


# Against CircleCI's own documents, which lie outside the repository

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "openapi"
NEEDS_DOCUMENTS = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="CircleCI's OpenAPI documents are not beside the checkout"
)
ROUTES = {
    ApiVersion.V2_RUN: ("v2", "/project/{provider}/{organization}/{project}/pipeline/run"),
    ApiVersion.V2_PIPELINE: ("v2", "/project/{project-slug}/pipeline"),
    ApiVersion.V1_1: ("v1.1", "/project/{vcs-type}/{username}/{project}/tree/{branch}"),
}
SPECS = [
    spec(ref=ref, definition=definition, parameters=parameters)
    for ref in (*map(Branch, REF_NAMES), Tag("v1.4.0"))
    for definition in (None, DEFINITION)
    for parameters in ({}, {"a": True, "b": 3, "c": "text"})
]


def schema_of(api: ApiVersion) -> Any:
    version, route = ROUTES[api]
    (file,) = FOLDER.glob(f"circleci-{version}-*.json")
    document = json.loads(file.read_text(encoding="utf-8"))
    body = _resolved(document, document["paths"][route]["post"]["requestBody"])
    return _resolved(document, body["content"]["application/json"]["schema"])


def _resolved(document: Any, value: Any) -> Any:
    if isinstance(value, list):
        return [_resolved(document, entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if "$ref" not in value:
        return {key: _resolved(document, entry) for key, entry in value.items()}
    found = document
    for part in value["$ref"].removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return _resolved(document, found)


@NEEDS_DOCUMENTS
@pytest.mark.parametrize("api", ROUTES)
def test_bodies_satisfy_the_schemas(api: ApiVersion) -> None:
    schema = schema_of(api)
    for each in SPECS:
        request = DIALECTS[api].trigger_request(replace(each, job="deploy" if api is ApiVersion.V1_1 else None), SHOP)
        jsonschema.validate(json.loads(json.dumps(request.body)), schema)


@NEEDS_DOCUMENTS
def test_the_schema_would_notice() -> None:
    """The check itself: a revision is what this endpoint does not take."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"config": {"branch": "main", "revision": SHA}}, schema_of(ApiVersion.V2_RUN))
