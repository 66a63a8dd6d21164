"""What holds of every API version, of which each `Wire` writes the same things; at the end what only one has.

Where CircleCI's own documents are beside the checkout, each request is one of theirs; they lie outside the repository.
"""

import functools
import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from builds import DEFINITION, OTHER_SHA, RUN, SHA, SHOP, context, spec
from fakes import START, ScriptedTransport, answer, client, lost, refused_connection

from deploystep.circleci.apis import api_for, run_key, trigger_request
from deploystep.circleci.client import Recent
from deploystep.circleci.http import Failure, Request, Response, reading
from deploystep.circleci.v2 import Api
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.errors import NothingRuns, Refused, Uncertain
from deploystep.core.frozen import replace
from deploystep.core.retry import Repeat
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created, NodeState, Run, WorkflowState

AT = "2026-06-16T08:02:11.5Z"
MOMENT = datetime(2026, 6, 16, 8, 2, 11, 500_000, tzinfo=timezone.utc)
DATE = "Tue, 16 Jun 2026 08:02:11 GMT"
GARBAGE = [b"", b"<html>", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"id": 1', b"[" * 100_000, b"1" * 5000, b"{}x"]


class V2Wire:
    api, key, other, stateless = ApiVersion.V2_RUN, RUN, "0b3f7c1e", "state"
    run_path, workflows_path = f"GET /api/v2/pipeline/{RUN}", f"GET /api/v2/pipeline/{RUN}/workflow"
    cancel_path, list_path = "POST /api/v2/workflow/a%2Fb/cancel", "GET /api/v2/project/gh/acme/shop/pipeline"

    def query(self, page: str) -> dict[str, str]:
        return {"branch": "main", **({"page-token": page} if page else {})}

    def vcs(self, more: dict[str, Any]) -> dict[str, Any]:
        usual = {"branch": "main", "tag": None, "revision": SHA}
        return {name: more.pop(name, value) for name, value in usual.items()}

    def run(self, key: str = RUN, **more: Any) -> dict[str, Any]:
        usual = {"id": key, "number": 25, "state": "created", "created_at": AT, "trigger": {"type": "api"}}
        return {**usual, "vcs": self.vcs(more), **more}

    def workflow(self, key: str = "a/b", **more: Any) -> dict[str, Any]:
        return {"id": key, "name": "deploy", "status": "success", "created_at": AT, **more}

    def body(self, run: dict[str, Any]) -> dict[str, Any]:
        return run

    def one(self, run: dict[str, Any]) -> Response:
        return answer(200, self.body(run))

    def page(self, *items: Any, following: str | None = None) -> Response:
        return answer(200, {"items": items, "next_page_token": following}, date=DATE)

    def runs(self, *items: Any, following: str | None = None) -> Response:
        return self.page(*items, following=following)


class V3Wire(V2Wire):
    api, stateless = ApiVersion.V3, "phase"
    run_path, workflows_path = f"GET /api/v3/runs/{RUN}", "GET /api/v3/workflows"
    cancel_path, list_path = "POST /api/v3/workflows/a%2Fb/cancel", "POST /api/v3/runs/search"

    def query(self, page: str) -> dict[str, str]:  # noqa: ARG002 - its pages are named in the body
        return {}

    def run(self, key: str = RUN, **more: Any) -> dict[str, Any]:
        references = {"event": {"attributes": {"vcs": self.vcs(more)}}}
        attributes = {"number": 25, "phase": "started", "created_at": AT, **more}
        return {"id": key, "attributes": attributes, "references": references}

    def workflow(self, key: str = "a/b", **more: Any) -> dict[str, Any]:
        usual = {"name": "deploy", "phase": "ended", "outcome": "succeeded", "created_at": AT}
        return {"id": key, "attributes": {**usual, **more}}

    def body(self, run: dict[str, Any]) -> dict[str, Any]:
        return {"data": run}

    def page(self, *items: Any, following: str | None = None) -> Response:
        return answer(200, {"data": items, "page": {"next": following}}, date=DATE)


class V1Wire(V2Wire):
    api, key, other, stateless = ApiVersion.V1_1, "25", "26", "status outcome"
    run_path = workflows_path = "GET /api/v1.1/project/github/acme/shop/25"
    cancel_path = "POST /api/v1.1/project/github/acme/shop/a%2Fb/cancel"
    list_path = "GET /api/v1.1/project/github/acme/shop/tree/main"

    def query(self, page: str) -> dict[str, str]:
        return {"limit": "100", "shallow": "true", **({"offset": f"{page}00"} if page else {})}

    def run(self, key: str = "25", **more: Any) -> dict[str, Any]:
        vcs, number = self.vcs(more), int(key) if key.isdigit() else None
        usual = {"build_num": number, "queued_at": AT, "why": "api", "status": "fixed", "job_name": "deploy"}
        return {**usual, "vcs_revision": vcs["revision"], "branch": vcs["branch"], "vcs_tag": vcs["tag"], **more}

    def runs(self, *items: Any, following: str | None = None) -> Response:
        filling = [self.run(str(n)) for n in range(1000, 1100 - len(items))] if following else []
        return answer(200, [*items, *filling], date=DATE)


V2, V3, V1 = V2Wire(), V3Wire(), V1Wire()
every_api = pytest.mark.parametrize("wire", [V2, V3, V1], ids=lambda wire: wire.api.value)
v2_and_v3 = pytest.mark.parametrize("wire", [V2, V3], ids=lambda wire: wire.api.value)
UNREADABLE = [answer(403), answer(429), answer(500), answer(201, {}), lost(), answer(200, b"<html>"), answer(200, {})]


FOLDERS = [folder / "shared" / "openapi" for folder in Path(__file__).resolve().parents[4:]]
DOCUMENTS = {
    version: json.loads(file.read_text(encoding="utf-8"))
    for folder in FOLDERS for version in ("v2", "v1.1") for file in folder.glob(f"circleci-{version}-*.json")
}  # fmt: skip
#: In the written reference of v1.1 ("Recent builds for a project branch"), but not in its document.
UNDOCUMENTED = "GET /api/v1.1/project/github/acme/shop/tree/main"


@functools.cache
def operation(version: str, method: str, path: str) -> tuple[str, set[str]]:
    """Where the document has its schemas, and names for the query; the path with the fewest parameters comes first."""
    known, method = DOCUMENTS[version], method.lower()
    for template in sorted(known["paths"], key=lambda template: template.count("{")):
        pattern = template.replace("{project-slug}", "{1}/{2}/{3}")
        if method in known["paths"][template] and re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", pattern), path):
            told, shared = known["paths"][template][method].get("parameters", []), known["components"].get("parameters")
            parameters = [shared[each["$ref"].split("/")[-1]] if "$ref" in each else each for each in told]
            names = {each["name"] for each in parameters if each["in"] == "query"}
            return f"#/paths/{template.replace('/', '~1')}/{method}", names
    pytest.fail(f"the document of {version} has no {method} {path}")


def check(request: Request) -> None:
    _, _, version, path = request.path.split("/", 3)
    if version in DOCUMENTS and f"{request.method} {request.path}" != UNDOCUMENTED:
        where, names = operation(version, request.method, f"/{path}")
        # the answers with a workflow's jobs name the next page, though the document does not say where to
        assert set(request.query) <= names or (path.endswith("/job") and set(request.query) == {"page-token"})
        if request.body is not None:
            schema = {**DOCUMENTS[version], "$ref": f"{where}/requestBody/content/application~1json/schema"}
            jsonschema.validate(json.loads(json.dumps(request.body)), schema)


NO_DOCUMENTS = "CircleCI's OpenAPI documents are not beside the checkout: no request is held against them"


@pytest.mark.skipif(not any(folder.is_dir() for folder in FOLDERS), reason=NO_DOCUMENTS)
def test_a_request_that_circlecis_documents_do_not_have_is_seen() -> None:
    assert set(DOCUMENTS) == {"v2", "v1.1"}
    right = trigger_request(spec(parameters={"deploy": True}), SHOP)
    check(right)
    for wrong in (
        replace(right, path=right.path + "s"),
        replace(right, body={**(right.body or {}), "parameters": "none"}),
        reading(f"/api/v2/pipeline/{RUN}", branch="main"),
    ):
        with pytest.raises((AssertionError, jsonschema.ValidationError, pytest.fail.Exception)):
            check(wrong)


class CheckedTransport(ScriptedTransport):
    def send(self, request: Request) -> Response | Failure:
        check(request)
        return super().send(request)


def speaking(wire: V2Wire, *events: Any, **changes: Any) -> tuple[Api, ScriptedTransport]:
    """The version's class, and the transport that answers it so."""
    transport = CheckedTransport(events)
    said = context(**{"api": wire.api, "project_id": "p", **changes})
    return api_for(client(transport), said), transport


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
    check(request)


@every_api
def test_a_run(wire: V2Wire) -> None:
    api, transport = speaking(wire, wire.one(wire.run(wire.key)))
    by_api = None if wire is V3 else True
    assert api.run(wire.key) == Run(wire.key, 25, SHA, Branch("main"), MOMENT, is_by_api=by_api)
    assert transport.paths == [wire.run_path]


@every_api
def test_an_answer_that_is_not_the_run_is_no_answer(wire: V2Wire) -> None:
    """One that was believed had the right run cancelled, or ended the step before the run began."""
    stateless = wire.run(wire.key, **dict.fromkeys(wire.stateless.split()))
    not_200 = replace(wire.one(wire.run(wire.key)), status=202)
    for came in (*map(wire.one, (wire.run(wire.other), wire.run(""), stateless)), not_200, answer(404), *UNREADABLE):
        assert speaking(wire, *[came] * 5)[0].run(wire.key) is None, came
        if wire is V1:
            assert speaking(wire, *[came] * 5)[0].workflows(wire.key) is None, came


@every_api
def test_workflows(wire: V2Wire) -> None:
    pages = [wire.page(wire.workflow("1"), following="n"), wire.page(wire.workflow("2"))]
    came, ids, created = ([wire.one(wire.run())], ["25"], None) if wire is V1 else (pages, ["1", "2"], MOMENT)
    api, transport = speaking(wire, *came)
    assert api.workflows(wire.key) == tuple(WorkflowState(key, "deploy", "success", created=created) for key in ids)
    assert transport.paths == [wire.workflows_path] * len(came)


@every_api
def test_workflows_that_cannot_be_read_are_not_the_same_as_none(wire: V2Wire) -> None:
    odd = [wire.page("x"), wire.page({"id": "1"}), wire.page(wire.workflow("")), wire.page(wire.workflow("ü"))]
    for came in (*odd, *UNREADABLE):
        for before in ([], [wire.page(wire.workflow("1"), following="n")])[: 1 if wire is V1 else 2]:
            assert speaking(wire, *before, *[came] * 5)[0].workflows(wire.key) is None, came


@every_api
def test_the_list(wire: V2Wire) -> None:
    one, two, three = (wire.run(key) for key in "123")
    events = [wire.runs(three, following="1"), wire.runs(two, following="2"), wire.runs(one)]
    api, transport = speaking(wire, *events)
    recent = api.recent(lambda _: False)
    assert isinstance(recent, Recent)
    assert [run.id for run in recent.runs if len(run.id) == 1] == ["3", "2", "1"]
    assert (recent.is_whole, recent.moment) == (True, START)
    assert transport.paths == [wire.list_path] * 3
    assert [dict(request.query) for request in transport.sent] == [wire.query(page) for page in ("", "1", "2")]
    enough = speaking(wire, *events)[0].recent(lambda runs: runs[0].id == "3")
    assert isinstance(enough, Recent)
    assert (enough.is_whole, enough.runs[-1].id == "1") == (True, False)


@every_api
def test_a_list_that_cannot_be_read_is_told_as_it_came(wire: V2Wire) -> None:
    """An item that was left out would look as if its run were not there."""
    for came in (wire.runs("x"), wire.runs(wire.run("")), wire.runs(wire.run("1"), {}), answer(404), *UNREADABLE):
        for before in ([], [wire.runs(wire.run("3"), following="2")]):
            assert speaking(wire, *before, *[came] * 5)[0].recent(lambda _: False) == came


@every_api
def test_cancel(wire: V2Wire) -> None:
    ends: list[tuple[list[Any], bool]] = [
        ([lost(), answer(500), answer(202)], True),
        *(([answer(status)], status == 200) for status in (200, 404)),
        *(([end] * 5, False) for end in (answer(302), refused_connection())),
    ]
    for events, is_accepted in ends:
        api, transport = speaking(wire, *events)
        assert api.cancel(WorkflowState("a/b", "deploy", "running")) is is_accepted
        assert transport.paths == [wire.cancel_path] * len(events)
        assert transport.sent[0].body is None


@every_api
@pytest.mark.parametrize("status", [200, 201, 202, 204, 226])
def test_an_acceptance_that_says_nothing_is_uncertain(wire: V2Wire, status: int) -> None:
    """It was accepted: to call it refused would invite a second deploy. Words beside a 200 alone mean something."""
    api, _ = speaking(wire)
    created = api.read_created(answer(status, wire.body(wire.run())))
    assert (run_key(created), created.number) == (wire.key, 25)
    bodies = [{}, {"id": RUN}, {"id": "", "number": 3}, {"id": "ü", "number": 3}, {"id": RUN, "number": "3"}, {"id": 7}]
    nested = [{"data": value} for value in (None, [], [wire.run()], {"id": ""}, {"id": 7}, {"id": "a\nb"})]
    jobs = [{"build_num": value} for value in (None, "3", True)]
    for body in (*GARBAGE, *bodies, *nested, *jobs, *([{"message": "Queued"}] if status != 200 else [])):
        with pytest.raises(Uncertain):
            api.read_created(answer(status, body))


@every_api
@pytest.mark.parametrize("status", [199, 300, 400, 401, 403, 404, 409, 410, 418])
def test_a_no(wire: V2Wire, status: int) -> None:
    with pytest.raises(Refused, match="Bad: no such branch") as caught:
        speaking(wire)[0].read_created(answer(status, {"error": {"title": "Bad", "detail": "no such branch"}}))
    assert caught.value.code == f"refused-{status}"


@pytest.mark.parametrize(
    ("wire", "more", "kind", "words"),
    [
        (V2, {}, NothingRuns, "created nothing: Ignoring pipeline due to CI skip"),
        (V2, {"id": None}, Uncertain, "200, but not with what it created"),
        (V3, {}, Uncertain, "200, but not with what it created"),
        (V1, {}, Refused, "started no job for rule 'production': Ignoring"),
    ],
)
def test_a_200_with_words_alone(wire: V2Wire, more: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        speaking(wire)[0].read_created(answer(200, {"message": "Ignoring pipeline due to CI skip", **more}))


def test_what_was_created_beside_its_key() -> None:
    run = speaking(V2)[0].read_created(answer(201, V2.run(state="pending")))
    assert run == Created(RUN, 25, "https://app.circleci.com/pipelines/gh/acme/shop/25", "pending")
    run = speaking(V3)[0].read_created(answer(201, {"data": {"id": RUN}}))
    assert run == Created(RUN, None, "https://app.circleci.com/pipelines/gh/acme/shop?branch=main")
    job = speaking(V1)[0].read_created(answer(200, {"build_num": 31, "vcs_revision": SHA.upper()}))
    assert job == Created(None, 31, "https://circleci.com/gh/acme/shop/31", revision=SHA)


@every_api
def test_what_a_list_leaves_out_is_asked_for(wire: V2Wire) -> None:
    whole, part = Run(wire.key, 25, SHA, is_by_api=False), Run(wire.key, 25, is_by_api=True)
    api, transport = speaking(wire, wire.one(wire.run(wire.key)))
    assert (api.details(whole), transport.sent) == (whole, [])
    assert (api.details(part), transport.paths) == (replace(part, revision=SHA), [wire.run_path])
    for came in (answer(404), answer(200, {})):
        for run in (Run(wire.key), Run(wire.key, revision=SHA), part):
            assert speaking(wire, came, came)[0].details(run) == run, "what cannot be learned stays unknown"


@v2_and_v3
def test_v2_tells_how_a_run_was_triggered(wire: V2Wire) -> None:
    events = [answer(200, V2.run(trigger={"type": "webhook"}, revision=None)), *([V3.one(V3.run())] * (wire is V3))]
    api, transport = speaking(wire, *events)
    known = api.details(Run(RUN))
    assert (known.is_by_api, known.number, known.revision) == (False, 25, SHA if wire is V3 else None)
    assert (transport.paths[0], transport.is_used_up) == (V2.run_path, True)
    assert speaking(wire, *events)[0].details(Run(RUN, 7)).number == 7


@v2_and_v3
def test_the_compiled_configuration(wire: V2Wire) -> None:
    texts: list[tuple[Any, str | None]] = [
        ({"source": "a", "compiled": "b: c"}, "b: c\n"),
        ({"source": "a", "compiled": "b", "compiled-setup-config": "d"}, "b\nd"),
        ({"source": "a", "compiled": "", "compiled-setup-config": "d"}, ""),
        *[(odd, None) for odd in ({"source": "a"}, {"compiled": None}, {"compiled": 7}, 7, b"<html>")],
    ]
    unread = [lost(), *(answer(status, {"compiled": "b"}) for status in (201, 403, 404, 500))]
    for came, text in (*((answer(200, body), text) for body, text in texts), *((each, None) for each in unread)):
        api, transport = speaking(wire, *[came] * 9)
        assert api.compiled_config("a/b") == text
        assert set(transport.paths) == {"GET /api/v2/pipeline/a%2Fb/config"}


JOBS = [{"name": name, "status": name} for name in ("canceled", "on_hold", "blocked", "success", "failed", "not_run")]
WORKFLOW = WorkflowState("w/1", "deploy", "success")


@v2_and_v3
def test_jobs_that_did_not_run(wire: V2Wire) -> None:
    first, last = V2.page(*JOBS[:5], following="x"), V2.page(*JOBS[5:])
    api, transport = speaking(wire, V2.page(), first, last)
    assert (api.jobs_not_run(WORKFLOW), api.jobs_not_run(WORKFLOW)) == ((), ("not_run",))
    assert set(transport.paths) == {"GET /api/v2/workflow/w%2F1/job"}
    odd = [answer(200, {"items": [], "next_page_token": token}) for token in (7, ["x"])]
    for came in (*odd, V2.page({"name": "a"}), answer(403), lost()):
        for before in ([], [first]):
            assert speaking(wire, *before, *[came] * 9)[0].jobs_not_run(WORKFLOW) is None


def test_what_was_to_run_only_if_another_job_failed_was_not_skipped() -> None:
    """Who counted it would take each success for a run that never was, and deploy again."""
    after = {"alarm": {"build": ["failed"]}, "page": {"alarm": ["success"]}, "deploy": {"build": ["success"]}}
    items = [{"id": name, "name": name, "status": "not_run", "requires": after[name]} for name in after]
    assert speaking(V2, V2.page(*items[:2]))[0].jobs_not_run(WORKFLOW) == ()
    assert speaking(V2, V2.page(*items))[0].jobs_not_run(WORKFLOW) == ("deploy",)


def test_a_job_of_v1_1_has_no_configuration_and_no_jobs() -> None:
    api, transport = speaking(V1)
    assert (api.compiled_config("25"), api.jobs_not_run(WORKFLOW), transport.sent) == (None, (), [])


EARLY, LATE = "2026-06-16T08:02:11Z", "2026-06-16T09:00:00.000Z"
GIT = {"trigger_parameters": {"git": {"checkout_sha": OTHER_SHA, "tag": "v1"}}}
ERRORS = [{"type": "config", "message": "one"}, {"message": 2}, "three", {"message": ""}, {"message": "four"}]


@pytest.mark.parametrize(
    ("wire", "said", "expected"),
    [
        # what it is of
        *(
            (wire, said, {"ref": ref, "revision": revision})
            for wire in (V2, V3, V1)
            for said, ref, revision in (
                ({"branch": "refs/heads/main", "revision": SHA.upper()}, Branch("main"), SHA),
                ({"branch": None, "tag": "v1", "revision": SHA[:7]}, Tag("v1"), None),
                ({"tag": "v1", "revision": ""}, None, None),
                ({"branch": "", "revision": None}, None, None),
                ({"branch": 7, "revision": 7}, None, None),
            )
        ),
        # a pipeline of a definition tells by its parameters
        *((V2, {**GIT, "vcs": vcs}, {"revision": OTHER_SHA, "ref": Tag("v1")}) for vcs in (None, {"revision": ""}, 7)),
        (V2, GIT, {"revision": SHA, "ref": Branch("main")}),
        # how it stands
        *((V2, {"state": w}, {"is_forming": True, "is_errored": False}) for w in ("pending", "setup-pending", "setup")),
        (V2, {"state": "a new word"}, {"is_forming": False, "is_errored": False}),
        (V2, {"state": "errored", "errors": ERRORS}, {"is_errored": True, "errors": ("one", "four")}),
        *((V3, {"phase": phase}, {"is_forming": True, "is_errored": False}) for phase in ("created", "queued")),
        (V3, {"phase": "started", "errors": ERRORS}, {"is_forming": False, "errors": ("one", "four")}),
        *(
            (V3, {"phase": "ended", name: word}, {"is_forming": False, "is_errored": word == "errored"})
            for name in ("outcome", "current_outcome") for word in ("errored", "failed", "succeeded")
        ),
        # who started it; a job of a workflow was started by that workflow, whoever started the workflow
        *((V2, {"trigger": {"type": word}}, {"is_by_api": False}) for word in ("webhook", "scheduled_pipeline")),
        *((V2, {"trigger": said}, {"is_by_api": None}) for said in ({"type": "explicit"}, {"type": "new"}, None)),
        # words of a job are no states of a pipeline: what errored there has deployed nothing
        *((V1, {"status": w}, {"is_errored": False, "is_forming": False}) for w in ("errored", "pending", "setup")),
        (V1, {"why": "edit", "workflows": None}, {"is_by_api": True}),
        *((V1, {"why": word}, {"is_by_api": False}) for word in ("github", "bitbucket")),
        *((V1, {"why": word}, {"is_by_api": None}) for word in ("retry", None)),
        (V1, {"why": "api", "workflows": {"workflow_id": "w"}}, {"is_by_api": False}),
        # when it was made
        (V1, {"queued_at": EARLY, "usage_queued_at": LATE}, {"created": START}),
        (V1, {"queued_at": None, "usage_queued_at": EARLY}, {"created": START}),
    ],
)  # fmt: skip
def test_what_a_version_says_of_a_run(wire: V2Wire, said: dict[str, Any], expected: dict[str, Any]) -> None:
    read = speaking(wire, wire.one(wire.run(wire.key, **said)))[0].run(wire.key)
    assert {name: getattr(read, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("wire", "said", "expected"),
    [
        (V2, {"status": "a new word"}, {"status": "a new word", "is_setup": False, "reruns_left": 0, "stopped": None}),
        (V2, {"tag": "setup"}, {"is_setup": True}),
        (V2, {"created_at": EARLY, "stopped_at": EARLY}, {"created": START, "stopped": START}),
        (V2, {"max_auto_reruns": 3, "auto_rerun_number": 1}, {"reruns_left": 2}),
        (V2, {"max_auto_reruns": 1, "auto_rerun_number": 2}, {"reruns_left": 0}),
        *(
            (V3, {"phase": phase, "outcome": outcome, "current_outcome": current}, {"status": status})
            for phase, outcome, current, status in (
                ("created", "", "", "queued"),
                ("started", "", "", "running"),
                ("started", "", "failed", "failing"),
                ("started", "succeeded", "", "running"),
                ("started", "", "on_hold", "on_hold"),
                ("ended", "succeeded", "", "success"),
                ("ended", "failed", "", "failed"),
                ("ended", "errored", "", "error"),
                ("ended", "", "errored", "error"),
                ("ended", "brand new", "", "brand new"),
                ("brand new", "succeeded", "", "brand new"),
            )
        ),
        # an outcome without its phase is of a workflow that goes on
        (V3, {"phase": "", "tag": "setup"}, {"status": "unknown", "is_setup": True, "succeeded": False}),
        (V1, {"status": "no_tests", "outcome": "no_tests"}, {"status": "success"}),
        (V1, {"status": "failed", "outcome": "infrastructure_fail"}, {"status": "infrastructure_fail"}),
        (V1, {"job_name": "", "build_parameters": {"CIRCLE_JOB": "y"}}, {"name": "y"}),
        (V1, {"job_name": None, "build_parameters": None}, {"name": ""}),
    ],
)
def test_what_a_version_says_of_a_workflow(wire: V2Wire, said: dict[str, Any], expected: dict[str, Any]) -> None:
    came = wire.one(wire.run(**said)) if wire is V1 else wire.page(wire.workflow(**said))
    read = speaking(wire, came)[0].workflows(wire.key)
    assert read is not None
    assert {name: getattr(read[0], name) for name in expected} == expected


def test_of_a_tag_the_list_is_the_whole_projects() -> None:
    api, transport = speaking(V2, V2.page())
    assert isinstance(api.pipelines(SHOP, Tag("v1"), lambda _: False), Recent)
    assert dict(transport.sent[0].query) == {}


def test_the_project_of_a_pipeline() -> None:
    body: Any
    for body, project in (
        ({"project_slug": "circleci/9Yy/44n"}, ProjectSlug("circleci", "9Yy", "44n")),
        ({"project_slug": "github/acme/shop"}, SHOP),
        *(({"project_slug": slug}, None) for slug in ("gl/acme/shop", "gh/../shop", 7, None)),
        ({"id": "another", "project_slug": "gh/acme/shop"}, None),
    ):
        api, _ = speaking(V2, answer(200, {**V2.run(), **body}))
        assert api.project(RUN)[0] == project


def test_the_nodes_of_a_job() -> None:
    for nodes, number, expected in (
        ([{"index": 1, "status": "running"}, {"index": 0}], 12, (NodeState(1, "running"), NodeState(0, ""))),
        *((odd, 12, None) for odd in ([{"index": True, "status": "success"}], ["x"], None)),
        *(([{"index": 0}], number, None) for number in (1, None)),
    ):
        came = answer(200, {"number": number, "parallel_runs": nodes})
        api, transport = speaking(V2, came, answer(404))
        assert (api.nodes(SHOP, 12), api.nodes(SHOP, 12)) == ((expected, came), (None, answer(404)))
        assert transport.paths == ["GET /api/v2/project/gh/acme/shop/job/12"] * 2


def test_workflows_of_another_pipeline_are_not_believed() -> None:
    for told, is_read in ((None, True), (RUN, True), ("p2", False), (7, False), ("", False)):
        api, _ = speaking(V2, V2.page(V2.workflow(), V2.workflow(pipeline_id=told)))
        assert (api.workflows(RUN) is not None) is is_read


def test_pages_of_workflows_of_v3() -> None:
    """A 404 means that none have been made; what names the next page oddly is not the last."""
    queries = [{"filter[run_id]": RUN}, {"filter[run_id]": RUN, "page[cursor]": "c1"}]
    for events in ([answer(404)], [V3.page(following="c1"), V3.page()]):
        api, transport = speaking(V3, *events)
        assert api.workflows(RUN) == ()
        assert [dict(request.query) for request in transport.sent] == queries[: len(events)]
    odd: Any
    for odd in (7, ["x"], {"cursor": "c1"}):
        assert speaking(V3, V3.page(following=odd))[0].workflows(RUN) is None


def test_the_search() -> None:
    """A branch cannot end the text that it is in."""
    for branch, quoted in (("main", "main"), ("a\\b", "a\\\\b"), ('" or "', '\\" or \\"')):
        api, transport = speaking(V3, V3.page(following="c"), V3.page(), ref=Branch(branch))
        api.recent(lambda _: False)
        scope = {"project_ids": ["p"], "from": "2026-03-18T08:02:11Z", "to": "2026-06-17T08:02:11Z"}
        asked = {"scope": scope, "filter": f'pipeline.git.branch == "{quoted}"'}
        pages = [{**asked, "page": {"cursor": cursor, "limit": 20}} for cursor in ("", "c")]
        assert [request.body for request in transport.sent] == pages


def test_a_project_without_a_known_id_is_asked_for() -> None:
    api, transport = speaking(V3, V3.page({"id": "p9"}), V3.page(), project_id=None)
    assert isinstance(api.recent(lambda _: False), Recent)
    assert transport.paths == ["GET /api/v3/projects", V3.list_path]
    assert dict(transport.sent[0].query) == {"filter[slug]": "gh/acme/shop"}
    assert "p9" in str(transport.sent[1].body)
    for came in (answer(404), V3.page(), V3.page({"id": ""}), lost()):
        assert speaking(V3, *[came] * 5, project_id=None)[0].recent(lambda _: False) == came
