"""The requests of each API version: path, query, body; and that CircleCI's own documents know them."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from builds import DEFINITION, RUN, SHA, SHOP, context, spec
from fakes import RoutedTransport, answer, client

from deploystep.circleci import v2
from deploystep.circleci.apis import api_for, trigger_request
from deploystep.circleci.http import Request
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.retry import Repeat
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import WorkflowState

APP = ProjectSlug("circleci", "9YytKzouJxzu4TjCRFqAoD", "44n9wujWcTnVZ2b5S8Fnat")
ODD = ProjectSlug("bb", "ac me", "shop+%2F?x#y")
VALUES = {"deploy": True, "off": False, "count": 3, "name": "true"}
MAIN = {"branch": "main"}
JOB = {"api": ApiVersion.V1_1, "job": "deploy"}
V3_RUN = {"attributes": {"config": MAIN, "checkout": MAIN}, "references": {"pipeline": {"id": DEFINITION}}}


@pytest.mark.parametrize(
    ("changes", "project", "path", "body"),
    [
        ({"parameters": VALUES}, SHOP, "v2/project/gh/acme/shop/pipeline/run",
         {"config": MAIN, "checkout": MAIN, "parameters": VALUES}),
        ({"ref": Tag("v1/2 3"), "definition": DEFINITION}, APP, f"v2/project/{APP}/pipeline/run",
         {"definition_id": DEFINITION, "config": {"tag": "v1/2 3"}, "checkout": {"tag": "v1/2 3"}}),
        ({"ref": Branch("pull/7/head")}, ODD, "v2/project/bb/ac%20me/shop%2B%252F%3Fx%23y/pipeline/run",
         {"config": {"branch": "pull/7/head"}, "checkout": {"branch": "pull/7/head"}}),
        ({"api": ApiVersion.V2_PIPELINE, "parameters": {"x": False}, "definition": DEFINITION}, SHOP,
         "v2/project/gh/acme/shop/pipeline", {"branch": "main", "parameters": {"x": False}}),
        ({"api": ApiVersion.V2_PIPELINE, "ref": Tag("v1")}, SHOP, "v2/project/gh/acme/shop/pipeline", {"tag": "v1"}),
        ({"api": ApiVersion.V3, "definition": DEFINITION}, SHOP, "v3/runs", {"data": V3_RUN}),
        ({"api": ApiVersion.V3, "definition": DEFINITION, "parameters": VALUES}, SHOP, "v3/runs",
         {"data": {**V3_RUN, "attributes": {"config": MAIN, "checkout": MAIN, "parameters": VALUES}}}),
        ({**JOB, "parameters": VALUES}, SHOP, "v1.1/project/github/acme/shop/tree/main",
         {"revision": SHA, "build_parameters":
             {"CIRCLE_JOB": "deploy", "deploy": "true", "off": "false", "count": "3", "name": "true"}}),
        ({**JOB, "revision": None, "ref": Branch("a/b c%2Fd?e&f#g+ü")}, ODD,
         "v1.1/project/bitbucket/ac%20me/shop%2B%252F%3Fx%23y/tree/a%2Fb%20c%252Fd%3Fe%26f%23g%2B%C3%BC",
         {"build_parameters": {"CIRCLE_JOB": "deploy"}}),
    ],
)  # fmt: skip
def test_triggers(changes: dict[str, Any], project: ProjectSlug, path: str, body: Any) -> None:
    request = trigger_request(spec(**changes), project)
    assert request == Request("POST", f"/api/{path}", Repeat.ONLY_IF_NOT_RECEIVED, body)


# Against CircleCI's own documents, which lie outside the repository

FOLDERS = [folder / "shared" / "openapi" for folder in Path(__file__).resolve().parents[4:]]
FOLDER = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])
needs_documents = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="CircleCI's OpenAPI documents are not beside the checkout"
)
#: In the written reference of v1.1 ("Recent builds for a project branch"), but not in its document.
UNDOCUMENTED = "/api/v1.1/project/github/acme/shop/tree/main"


@functools.cache
def document(version: str) -> Any:
    (file,) = FOLDER.glob(f"circleci-{version}-*.json")
    return json.loads(file.read_text(encoding="utf-8"))


def check(request: Request) -> None:
    """That there is such a path (the one with the fewest parameters comes first), and what it says of this request."""
    _, _, version, rest = request.path.split("/", 3)
    known, method = document(version), request.method.lower()
    for path in sorted(known["paths"], key=lambda path: path.count("{")):
        pattern = re.escape(path).replace(r"\{project\-slug\}", r"[^/]+/[^/]+/[^/]+")
        if re.fullmatch(re.sub(r"\\{[^}]+\\}", "[^/]+", pattern), f"/{rest}") and method in known["paths"][path]:
            break
    else:
        pytest.fail(f"no document knows {request.method} {request.path}")
    shared = known["components"].get("parameters", {})
    told = known["paths"][path][method].get("parameters", [])
    parameters = [shared[each["$ref"].split("/")[-1]] if "$ref" in each else each for each in told]
    assert set(request.query) <= {each["name"] for each in parameters if each["in"] == "query"}
    if request.body is not None:
        at = f"{path.replace('/', '~1')}/{method}/requestBody/content/application~1json/schema"
        jsonschema.validate(json.loads(json.dumps(request.body)), {**known, "$ref": f"#/paths/{at}"})


@needs_documents
@pytest.mark.parametrize("api", [ApiVersion.V2_RUN, ApiVersion.V2_PIPELINE, ApiVersion.V1_1])
@pytest.mark.parametrize("parameters", [{}, VALUES])
@pytest.mark.parametrize("ref", [*map(Branch, ("main", "pull/7/head", "ü", "x?y=z&w", "q#f", "..")), Tag("v1.4.0")])
def test_a_trigger_is_as_its_document_says(api: ApiVersion, parameters: Any, ref: Branch | Tag) -> None:
    job = "deploy" if api is ApiVersion.V1_1 else None
    for definition in (None, DEFINITION):
        check(trigger_request(spec(api=api, ref=ref, parameters=parameters, definition=definition, job=job), SHOP))


@needs_documents
@pytest.mark.parametrize("api", [ApiVersion.V2_RUN, ApiVersion.V1_1])
def test_every_other_request_is_documented(api: ApiVersion) -> None:
    first, last = (answer(200, {"items": [], "next_page_token": token}) for token in ("n", None))
    transport = RoutedTransport(
        {"GET ": last, "GET /workflow": [first, last], "GET /pipeline": [first, last], "POST ": last}
    )
    sender = client(transport)
    spoken, reader = api_for(sender, context(api=api)), v2.Reader(sender)
    for ask in (spoken.run, spoken.workflows, reader.project, reader.jobs):
        ask(RUN)
    spoken.recent(lambda _: False)
    spoken.cancel(WorkflowState(RUN, "deploy", "running"))
    reader.nodes(SHOP, 12)
    assert len(transport.sent) >= 7
    for request in transport.sent:
        if request.path != UNDOCUMENTED:
            check(request)
