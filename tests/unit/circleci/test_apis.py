"""What holds of every API version, of which each `Wire` writes the same things; at the end what only one has."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from builds import OTHER_SHA, RUN, SHA, SHOP, context
from fakes import START, ScriptedTransport, answer, client, lost, refused_connection

from deploystep.circleci import v2
from deploystep.circleci.apis import api_for, run_key
from deploystep.circleci.client import Recent
from deploystep.core.build import Branch, ProjectSlug, Tag
from deploystep.core.errors import NothingRuns, Refused, Uncertain
from deploystep.core.frozen import replace
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created, NodeState, Run, WorkflowState

if TYPE_CHECKING:
    from deploystep.circleci.http import Failure, Response
    from deploystep.circleci.v2 import Api

AT = "2026-06-16T08:02:11.5Z"
MOMENT = datetime(2026, 6, 16, 8, 2, 11, 500_000, tzinfo=timezone.utc)
DATE = "Tue, 16 Jun 2026 08:02:11 GMT"
GARBAGE = [b"", b"<html>", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"id": 1', b"[" * 100_000]


class V2Wire:
    api = ApiVersion.V2_RUN
    key, other = RUN, "0b3f7c1e"
    stateless: ClassVar[dict[str, Any]] = {"state": None}
    run_path, workflows_path = f"GET /api/v2/pipeline/{RUN}", f"GET /api/v2/pipeline/{RUN}/workflow"
    cancel_path, list_path = "POST /api/v2/workflow/a%2Fb/cancel", "GET /api/v2/project/gh/acme/shop/pipeline"
    queries: ClassVar[list[dict[str, str]]] = [{"branch": "main"}, {"branch": "main", "page-token": "2"}]

    def run(self, key: str = RUN, **more: Any) -> dict[str, Any]:
        vcs = {"branch": more.pop("branch", "main"), "tag": more.pop("tag", None), "revision": more.pop("sha", SHA)}
        usual = {"id": key, "number": 25, "state": "created", "created_at": AT, "trigger": {"type": "api"}, "vcs": vcs}
        return {**usual, **more}

    def workflow(self, key: str = "a/b", name: str = "deploy") -> dict[str, Any]:
        return {"id": key, "name": name, "status": "success", "created_at": AT}

    def one(self, run: dict[str, Any]) -> Response:
        return answer(200, run)

    def page(self, *items: Any, following: str | None = None) -> Response:
        return answer(200, {"items": items, "next_page_token": following}, date=DATE)

    def runs(self, *items: Any, following: str | None = None) -> Response:
        return self.page(*items, following=following)

    def created(self) -> dict[str, Any]:
        return self.run()


class V3Wire(V2Wire):
    api = ApiVersion.V3
    stateless: ClassVar[dict[str, Any]] = {"phase": ""}
    run_path, workflows_path = f"GET /api/v3/runs/{RUN}", "GET /api/v3/workflows"
    cancel_path, list_path = "POST /api/v3/workflows/a%2Fb/cancel", "POST /api/v3/runs/search"
    queries: ClassVar[list[dict[str, str]]] = [{}, {}]

    def run(self, key: str = RUN, **more: Any) -> dict[str, Any]:
        vcs = {"branch": more.pop("branch", "main"), "tag": more.pop("tag", None), "revision": more.pop("sha", SHA)}
        attributes = {"number": 25, "phase": "started", "created_at": AT, **more}
        return {"id": key, "attributes": attributes, "references": {"event": {"attributes": {"vcs": vcs}}}}

    def workflow(self, key: str = "a/b", name: str = "deploy") -> dict[str, Any]:
        return {"id": key, "attributes": {"name": name, "phase": "ended", "outcome": "succeeded", "created_at": AT}}

    def one(self, run: dict[str, Any]) -> Response:
        return answer(200, {"data": run})

    def page(self, *items: Any, following: str | None = None) -> Response:
        return answer(200, {"data": items, "page": {"next": following}}, date=DATE)

    def created(self) -> dict[str, Any]:
        return {"data": self.run()}


class V1Wire(V2Wire):
    api = ApiVersion.V1_1
    key, other = "25", "26"
    stateless: ClassVar[dict[str, Any]] = {"status": None, "outcome": None}
    run_path = workflows_path = "GET /api/v1.1/project/github/acme/shop/25"
    cancel_path = "POST /api/v1.1/project/github/acme/shop/a%2Fb/cancel"
    list_path = "GET /api/v1.1/project/github/acme/shop/tree/main"
    queries: ClassVar[list[dict[str, str]]] = [
        {"limit": "100", "shallow": "true"},
        {"limit": "100", "shallow": "true", "offset": "100"},
    ]

    def run(self, key: str = "25", **more: Any) -> dict[str, Any]:
        ref = {"branch": more.pop("branch", "main"), "vcs_tag": more.pop("tag", None)}
        number = int(key) if key.isdigit() else None
        usual = {"build_num": number, "vcs_revision": more.pop("sha", SHA), "queued_at": AT, "why": "api"}
        return {**usual, **ref, "status": "fixed", "job_name": "deploy", **more}

    def runs(self, *items: Any, following: str | None = None) -> Response:
        filling = [self.run(str(n)) for n in range(1000, 1100 - len(items))] if following else []
        return answer(200, [*items, *filling], date=DATE)


WIRES = [V2Wire(), V3Wire(), V1Wire()]
every_api = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.api.value)
UNREADABLE = [answer(403), answer(429), answer(500), answer(201, {}), lost(), answer(200, b"<html>"), answer(200, {})]


def speaking(wire: V2Wire, *events: Any, **changes: Any) -> tuple[Api, ScriptedTransport]:
    """The version's class, and the transport that answers it so."""
    transport = ScriptedTransport(events)
    said = context(**{"api": wire.api, "project_id": "p", **changes})
    return api_for(client(transport), said), transport


@every_api
def test_a_run(wire: V2Wire) -> None:
    api, transport = speaking(wire, wire.one(wire.run(wire.key)))
    by_api = None if wire.api is ApiVersion.V3 else True
    assert api.run(wire.key) == Run(wire.key, 25, SHA, Branch("main"), MOMENT, is_by_api=by_api)
    assert transport.paths == [wire.run_path]


@every_api
@pytest.mark.parametrize(
    ("said", "ref", "revision"),
    [
        ({"branch": "refs/heads/main", "sha": SHA.upper()}, Branch("main"), SHA),
        ({"branch": None, "tag": "v1", "sha": SHA[:7]}, Tag("v1"), None),
        ({"tag": "v1", "sha": ""}, None, None),
        ({"branch": "", "sha": None}, None, None),
        ({"branch": 7, "sha": 7}, None, None),
    ],
)
def test_what_a_run_is_of(wire: V2Wire, said: dict[str, Any], ref: object, revision: str | None) -> None:
    read = speaking(wire, wire.one(wire.run(wire.key, **said)))[0].run(wire.key)
    assert read is not None
    assert (read.ref, read.revision) == (ref, revision)


@every_api
def test_an_answer_that_is_not_the_run_is_no_answer(wire: V2Wire) -> None:
    """One that was believed had the right run cancelled, or ended the step before the run began."""
    odd = [wire.run(wire.other), wire.run(""), wire.run(**wire.stateless), {"message": "x"}]
    not_200 = replace(wire.one(wire.run(wire.key)), status=202)
    for came in (*map(wire.one, odd), not_200, answer(404), *UNREADABLE):
        assert speaking(wire, *[came] * 5)[0].run(wire.key) is None, came
        if wire.api is ApiVersion.V1_1:
            assert speaking(wire, *[came] * 5)[0].workflows(wire.key) is None, came


@every_api
def test_workflows(wire: V2Wire) -> None:
    is_job = wire.api is ApiVersion.V1_1
    pages = [wire.page(wire.workflow("1"), following="n"), wire.page(wire.workflow("2"))]
    came = [wire.one(wire.run())] if is_job else pages
    api, transport = speaking(wire, *came)
    found = api.workflows(wire.key)
    assert found is not None
    expected = ["25"] if is_job else ["1", "2"]
    assert [(w.id, w.name, w.status) for w in found] == [(key, "deploy", "success") for key in expected]
    assert [w.created for w in found] == [None if is_job else MOMENT] * len(found)
    assert transport.paths == [wire.workflows_path] * len(came)


@every_api
def test_workflows_that_cannot_be_read_are_not_the_same_as_none(wire: V2Wire) -> None:
    odd = [wire.page("x"), wire.page({"id": "1"}), wire.page(wire.workflow("")), wire.page(wire.workflow("ü"))]
    for came in (*odd, *UNREADABLE):
        assert speaking(wire, *[came] * 5)[0].workflows(wire.key) is None, came
        if wire.api is not ApiVersion.V1_1:
            events = [wire.page(wire.workflow("1"), following="n"), *[came] * 5]
            assert speaking(wire, *events)[0].workflows(wire.key) is None, came


@every_api
def test_the_list(wire: V2Wire) -> None:
    events = [wire.runs(wire.run("3"), wire.run("2"), following="2"), wire.runs(wire.run("1"))]
    api, transport = speaking(wire, *events)
    recent = api.recent(lambda _: False)
    assert isinstance(recent, Recent)
    assert [run.id for run in recent.runs if len(run.id) == 1] == ["3", "2", "1"]
    assert (recent.is_whole, recent.moment) == (True, MOMENT.replace(microsecond=0))
    enough = speaking(wire, *events)[0].recent(lambda runs: runs[0].id == "3")
    assert isinstance(enough, Recent)
    assert (enough.is_whole, enough.runs[-1].id == "1") == (True, False)
    assert transport.paths == [wire.list_path] * 2
    assert [dict(request.query) for request in transport.sent] == wire.queries


@every_api
def test_a_list_that_cannot_be_read_is_told_as_it_came(wire: V2Wire) -> None:
    """An item that was left out would look as if its run were not there."""
    for came in (wire.runs("x"), wire.runs(wire.run("")), wire.runs(wire.run("1"), {}), answer(404), *UNREADABLE):
        assert speaking(wire, *[came] * 5)[0].recent(lambda _: False) == came
        later = [wire.runs(wire.run("3"), following="2"), *[came] * 5]
        assert speaking(wire, *later)[0].recent(lambda _: False) == came


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
    created = api.read_created(answer(status, wire.created()))
    assert (run_key(created), created.number, created.url) == (wire.key, 25, api.context.run_url(25))
    bodies = [{}, {"id": RUN}, {"id": "", "number": 3}, {"id": "ü", "number": 3}, {"id": RUN, "number": "3"}, {"id": 7}]
    nested = [{"data": value} for value in (None, [], [wire.created()], {"id": ""}, {"id": 7}, {"id": "a\nb"})]
    jobs = [{"build_num": value} for value in (None, "3", True)]
    for body in (*GARBAGE, *bodies, *nested, *jobs, *([{"message": "Queued"}] if status != 200 else [])):
        with pytest.raises(Uncertain):
            speaking(wire)[0].read_created(answer(status, body))


@every_api
@pytest.mark.parametrize("status", [199, 300, 400, 401, 403, 404, 409, 410, 418])
def test_a_no(wire: V2Wire, status: int) -> None:
    with pytest.raises(Refused) as caught:
        speaking(wire)[0].read_created(answer(status, {"error": {"title": "Bad", "detail": "no such branch"}}))
    assert caught.value.code == f"refused-{status}"
    assert "Bad: no such branch" in caught.value.message


def test_a_200_with_words_alone() -> None:
    said = answer(200, {"message": "Ignoring pipeline due to CI skip in the commit"})
    with pytest.raises(NothingRuns, match="created nothing: Ignoring pipeline due to CI skip"):
        speaking(V2Wire())[0].read_created(said)
    with pytest.raises(Refused, match="started no job for rule 'production': Ignoring"):
        speaking(V1Wire())[0].read_created(said)
    with pytest.raises(Uncertain):
        speaking(V3Wire())[0].read_created(said)
    with pytest.raises(Uncertain):
        speaking(V2Wire())[0].read_created(answer(200, {"id": None, "message": "Queued"}))


def test_what_was_created_beside_its_key() -> None:
    api, _ = speaking(V2Wire())
    assert api.read_created(answer(201, {"id": RUN, "number": 25, "state": "pending"})).state == "pending"
    v3, _ = speaking(V3Wire())
    assert v3.read_created(answer(201, {"data": {"id": RUN}})) == Created(RUN, None, v3.context.list_url)
    v1, _ = speaking(V1Wire())
    job = v1.read_created(answer(200, {"build_num": 31, "vcs_revision": SHA.upper()}))
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


@pytest.mark.parametrize("wire", WIRES[:2], ids=["v2", "v3"])
def test_v2_tells_how_a_run_was_triggered(wire: V2Wire) -> None:
    said = answer(200, V2Wire().run(trigger={"type": "webhook"}, sha=None))
    events = [said, *([wire.one(wire.run())] if wire.api is ApiVersion.V3 else [])]
    api, transport = speaking(wire, *events)
    known = api.details(Run(RUN))
    assert (known.is_by_api, known.number, known.revision) == (False, 25, SHA if len(events) == 2 else None)
    assert transport.paths[0] == V2Wire.run_path
    assert transport.is_used_up
    assert speaking(wire, *events)[0].details(Run(RUN, 7)).number == 7


@pytest.mark.parametrize("wire", [V2Wire(), V3Wire()])
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
JOB_PAGES = [answer(200, {"items": JOBS[:5], "next_page_token": "x"}), answer(200, {"items": JOBS[5:]})]
WORKFLOW = WorkflowState("w/1", "deploy", "success")


@pytest.mark.parametrize("wire", [V2Wire(), V3Wire()])
def test_jobs_that_did_not_run(wire: V2Wire) -> None:
    api, transport = speaking(wire, answer(200, {"items": []}), *JOB_PAGES)
    assert (api.jobs_not_run(WORKFLOW), api.jobs_not_run(WORKFLOW)) == ((), ("not_run",))
    assert set(transport.paths) == {"GET /api/v2/workflow/w%2F1/job"}
    odd = [answer(200, {"items": [], "next_page_token": token}) for token in (7, ["x"])]
    for came in (*odd, answer(200, {"items": [{"name": "a"}]}), answer(403), lost()):
        assert speaking(wire, *[came] * 9)[0].jobs_not_run(WORKFLOW) is None
        assert speaking(wire, JOB_PAGES[0], *[came] * 9)[0].jobs_not_run(WORKFLOW) is None


def test_what_was_to_run_only_if_another_job_failed_was_not_skipped() -> None:
    """Who counted it would take each success for a run that never was, and deploy again."""
    after: dict[str, Any] = {
        "alarm": {"build": ["failed"]},
        "page": {"alarm": ["success"]},
        "deploy": {"build": ["success"]},
    }
    items = [{"id": name, "name": name, "status": "not_run", "requires": after[name]} for name in after]
    assert speaking(V2Wire(), answer(200, {"items": items[:2]}))[0].jobs_not_run(WORKFLOW) == ()
    assert speaking(V2Wire(), answer(200, {"items": items}))[0].jobs_not_run(WORKFLOW) == ("deploy",)


def test_a_job_of_v1_1_has_no_configuration_and_no_jobs() -> None:
    api, transport = speaking(V1Wire())
    assert (api.compiled_config("25"), api.jobs_not_run(WORKFLOW), transport.sent) == (None, (), [])


def read_run(api: ApiVersion, body: dict[str, Any]) -> Run:
    usual = {"id": RUN, "state": "created", "build_num": 31, "status": "running"}
    wrapped = {"data": {"id": RUN, **body}} if api is ApiVersion.V3 else {**usual, **body}
    key = "31" if api is ApiVersion.V1_1 else RUN
    found = api_for(client(ScriptedTransport([answer(200, wrapped)])), context(api=api)).run(key)
    assert found is not None
    return found


def read_workflow(api: ApiVersion, body: dict[str, Any]) -> WorkflowState:
    usual = {"build_num": 31, "job_name": "deploy", "status": "running"}
    page = {"items": [body], "data": [body], **usual, **(body if api is ApiVersion.V1_1 else {})}
    found = api_for(client(ScriptedTransport([answer(200, page)])), context(api=api)).workflows("31")
    assert found is not None
    return found[0]


V2, V3, V1_1 = ApiVersion.V2_RUN, ApiVersion.V3, ApiVersion.V1_1
EARLY, LATE = "2026-06-16T08:02:11Z", "2026-06-16T09:00:00.000Z"
GIT = {"trigger_parameters": {"git": {"checkout_sha": OTHER_SHA, "tag": "v1"}}}
ERRORS = [{"type": "config", "message": "one"}, {"message": 2}, "three", {"message": ""}, {"message": "four"}]


@pytest.mark.parametrize(
    ("api", "body", "expected"),
    [
        # a pipeline of a definition tells by its parameters
        *((V2, {**GIT, "vcs": vcs}, {"revision": OTHER_SHA, "ref": Tag("v1")}) for vcs in (None, {"revision": ""}, 7)),
        (V2, {**GIT, "vcs": {"revision": SHA, "branch": "main"}}, {"revision": SHA, "ref": Branch("main")}),
        # how it stands
        *((V2, {"state": w}, {"is_forming": True, "is_errored": False}) for w in ("pending", "setup-pending", "setup")),
        (V2, {"state": "a new word"}, {"is_forming": False, "is_errored": False}),
        (V2, {"state": "errored", "errors": ERRORS}, {"is_errored": True, "errors": ("one", "four")}),
        *((V3, {"attributes": {"phase": p}}, {"is_forming": True, "is_errored": False}) for p in ("created", "queued")),
        (V3, {"attributes": {"phase": "started", "errors": ERRORS}}, {"is_forming": False, "errors": ("one", "four")}),
        *(
            (V3, {"attributes": {"phase": "ended", name: word}}, {"is_forming": False, "is_errored": word == "errored"})
            for name in ("outcome", "current_outcome") for word in ("errored", "failed", "succeeded")
        ),
        # who started it; a job of a workflow was started by that workflow, whoever started the workflow
        (V2, {"trigger": {"type": "api"}}, {"is_by_api": True}),
        *((V2, {"trigger": {"type": word}}, {"is_by_api": False}) for word in ("webhook", "scheduled_pipeline")),
        *((V2, {"trigger": said}, {"is_by_api": None}) for said in ({"type": "explicit"}, {"type": "new"}, None)),
        # words of a job are no states of a pipeline: what errored there has deployed nothing
        *((V1_1, {"status": w}, {"is_errored": False, "is_forming": False}) for w in ("errored", "pending", "setup")),
        (V1_1, {"why": "api"}, {"is_by_api": True}),
        (V1_1, {"why": "edit", "workflows": None}, {"is_by_api": True}),
        *((V1_1, {"why": word}, {"is_by_api": False}) for word in ("github", "bitbucket")),
        *((V1_1, {"why": word}, {"is_by_api": None}) for word in ("retry", None)),
        (V1_1, {"why": "api", "workflows": {"workflow_id": "w"}}, {"is_by_api": False}),
        # when it was made
        (V1_1, {"queued_at": EARLY, "usage_queued_at": LATE}, {"created": START}),
        (V1_1, {"usage_queued_at": EARLY}, {"created": START}),
    ],
)  # fmt: skip
def test_what_one_version_says_of_a_run(api: ApiVersion, body: dict[str, Any], expected: dict[str, Any]) -> None:
    read = read_run(api, body)
    assert {name: getattr(read, name) for name in expected} == expected


def of_v2(**more: Any) -> dict[str, Any]:
    return {"id": "31", "name": "deploy", "status": "a new word", **more}


def of_v3(phase: str = "", outcome: str = "", current: str = "", **more: Any) -> dict[str, Any]:
    said = {"name": "deploy", "phase": phase, "outcome": outcome, "current_outcome": current, **more}
    return {"id": "31", "attributes": said}


@pytest.mark.parametrize(
    ("api", "body", "expected"),
    [
        (V2, of_v2(), {"status": "a new word"}),
        (V2, of_v2(tag="setup"), {"is_setup": True}),
        (V2, of_v2(created_at=EARLY, stopped_at=EARLY), {"created": START, "stopped": START}),
        (V2, of_v2(max_auto_reruns=3, auto_rerun_number=1), {"reruns_left": 2}),
        (V2, of_v2(max_auto_reruns=1, auto_rerun_number=2), {"reruns_left": 0}),
        (V3, of_v3("created"), {"status": "queued"}),
        (V3, of_v3("started"), {"status": "running"}),
        (V3, of_v3("started", current="failed"), {"status": "failing"}),
        (V3, of_v3("started", "succeeded"), {"status": "running"}),
        (V3, of_v3("started", current="on_hold"), {"status": "on_hold"}),
        (V3, of_v3("ended", "succeeded"), {"status": "success"}),
        (V3, of_v3("ended", "failed"), {"status": "failed"}),
        (V3, of_v3("ended", "errored"), {"status": "error"}),
        (V3, of_v3("ended", current="errored"), {"status": "error"}),
        (V3, of_v3("ended", "brand new"), {"status": "brand new"}),
        (V3, of_v3("brand new", "succeeded"), {"status": "brand new"}),
        # an outcome without its phase is of a workflow that goes on
        (V3, of_v3("", "succeeded", tag="setup"), {"status": "unknown", "is_setup": True, "succeeded": False}),
        (V1_1, {"status": "fixed"}, {"status": "success"}),
        (V1_1, {"status": "no_tests", "outcome": "no_tests"}, {"status": "success"}),
        (V1_1, {"status": "failed", "outcome": "infrastructure_fail"}, {"status": "infrastructure_fail"}),
        (V1_1, {"job_name": "", "build_parameters": {"CIRCLE_JOB": "y"}}, {"name": "y"}),
        (V1_1, {"job_name": None, "build_parameters": None}, {"name": ""}),
    ],
)
def test_what_one_version_says_of_a_workflow(api: ApiVersion, body: dict[str, Any], expected: dict[str, Any]) -> None:
    read = read_workflow(api, body)
    expected = {"id": "31", "name": "deploy", "is_setup": False, "reruns_left": 0, "stopped": None} | expected
    assert {name: getattr(read, name) for name in expected} == expected


def test_of_a_tag_the_list_is_the_whole_projects() -> None:
    transport = ScriptedTransport([answer(200, {"items": []})])
    assert isinstance(v2.Reader(client(transport)).pipelines(SHOP, Tag("v1"), lambda _: False), Recent)
    assert dict(transport.sent[0].query) == {}


@pytest.mark.parametrize(
    ("body", "project"),
    [
        ({"project_slug": "circleci/9Yy/44n"}, ProjectSlug("circleci", "9Yy", "44n")),
        ({"project_slug": "github/acme/shop"}, SHOP),
        *(({"project_slug": slug}, None) for slug in ("gl/acme/shop", "gh/../shop", 7, None)),
        ({"id": "another", "project_slug": "gh/acme/shop"}, None),
    ],
)
def test_the_project_of_a_pipeline(body: dict[str, Any], project: ProjectSlug | None) -> None:
    transport = ScriptedTransport([answer(200, {"id": RUN, "state": "created", **body})])
    assert v2.Reader(client(transport)).project(RUN)[0] == project


def test_the_nodes_of_a_job() -> None:
    runs: Any
    for runs, expected in (
        ([{"index": 1, "status": "running"}, {"index": 0}], (NodeState(1, "running"), NodeState(0, ""))),
        *((odd, None) for odd in ([{"index": True, "status": "success"}], ["x"], None)),
    ):
        job = {"number": 12, "parallel_runs": runs}
        for came in (
            answer(200, job),
            answer(404),
            answer(200, {"parallel_runs": runs}),
            answer(200, {**job, "number": 1}),
        ):
            transport = ScriptedTransport([came])
            is_read = came == answer(200, job)
            assert v2.Reader(client(transport)).nodes(SHOP, 12) == (expected if is_read else None, came)
            assert transport.paths == ["GET /api/v2/project/gh/acme/shop/job/12"]


def test_workflows_of_another_pipeline_are_not_believed() -> None:
    workflow = {"id": "w1", "name": "a", "status": "running"}
    for told, is_read in ((None, True), ("p1", True), ("p2", False), (7, False), ("", False)):
        page = answer(200, {"items": [workflow, {**workflow, "pipeline_id": told}]})
        assert (v2.Reader(client(ScriptedTransport([page]))).workflows("p1") is not None) is is_read


def test_pages_of_workflows_of_v3() -> None:
    """A 404 means that none have been made."""
    for events in ([answer(404)], [answer(200, {"data": [], "page": {"next": "c1"}}), answer(200, {"data": []})]):
        transport = ScriptedTransport(events)
        assert api_for(client(transport), context(api=V3)).workflows(RUN) == ()
        queries = [{"filter[run_id]": RUN}, {"filter[run_id]": RUN, "page[cursor]": "c1"}]
        assert [dict(request.query) for request in transport.sent] == queries[: len(events)]

    for token in (7, ["x"], {"cursor": "c1"}):  # what names the next oddly is not the last
        transport = ScriptedTransport([answer(200, {"data": [], "page": {"next": token}})])
        assert api_for(client(transport), context(api=V3)).workflows(RUN) is None


def search(*events: Any, **changes: Any) -> tuple[Recent | Response | Failure, list[Any], list[str]]:
    transport = ScriptedTransport(events)
    said = context(**{"api": V3, "project_id": "p", **changes})
    found = api_for(client(transport), said).recent(lambda _: False)
    return found, [request.body for request in transport.sent], transport.paths


def test_the_search() -> None:
    """A branch cannot end the text that it is in."""
    page = answer(200, {"data": [], "page": {"next": "c"}})
    for branch, quoted in (("main", "main"), ('a"b', 'a\\"b'), ("a\\b", "a\\\\b"), ('" or "', '\\" or \\"')):
        _, bodies, _ = search(page, answer(200, {"data": []}), ref=Branch(branch))
        scope = {"project_ids": ["p"], "from": "2026-03-18T08:02:11Z", "to": "2026-06-17T08:02:11Z"}
        asked = {"scope": scope, "filter": f'pipeline.git.branch == "{quoted}"'}
        assert bodies == [{**asked, "page": {"cursor": cursor, "limit": 20}} for cursor in ("", "c")]


def test_a_project_without_a_known_id_is_asked_for() -> None:
    found, bodies, paths = search(answer(200, {"data": [{"id": "p9"}]}), answer(200, {"data": []}), project_id=None)
    assert isinstance(found, Recent)
    assert paths == ["GET /api/v3/projects", "POST /api/v3/runs/search"]
    assert bodies[1]["scope"]["project_ids"] == ["p9"]
    for came in (answer(404), answer(200, {"data": []}), answer(200, {"data": [{"id": ""}]})):
        assert search(came, project_id=None)[0] == came
    assert search(*[lost()] * 5, project_id=None)[0] == lost()


def test_jobs_are_listed_by_offset() -> None:
    full = [answer(200, [{"build_num": n} for n in range(start, start + 100)]) for start in (0, 100)]
    transport = ScriptedTransport([*full, answer(200, [])])
    found = api_for(client(transport), context(api=V1_1)).recent(lambda _: False)
    assert isinstance(found, Recent)
    assert (len(found.runs), found.is_whole) == (200, True)
    assert [request.query.get("offset") for request in transport.sent] == [None, "100", "200"]
