"""What holds of every API version: a run, its workflows, the list, its end, and what a trigger's answer means.

Each `Wire` writes the same things as its version does; a version that is added gets one and passes all of this.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from builds import RUN, SHA, context
from fakes import ScriptedTransport, answer, client, lost, refused_connection

from deploystep.circleci.apis import Api, api_for, run_key
from deploystep.circleci.client import Recent
from deploystep.core.build import Branch, Tag
from deploystep.core.errors import NothingRuns, Refused, Uncertain
from deploystep.core.frozen import replace
from deploystep.core.rules import ApiVersion
from deploystep.core.runs import Created, Run, WorkflowState

if TYPE_CHECKING:
    from deploystep.circleci.http import Response

AT = "2026-06-16T08:02:11.5Z"
MOMENT = datetime(2026, 6, 16, 8, 2, 11, 500_000, tzinfo=timezone.utc)
DATE = "Tue, 16 Jun 2026 08:02:11 GMT"
GARBAGE = [b"", b"<html>", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"id": 1', b"[" * 100_000]


class V2Wire:
    api = ApiVersion.V2_RUN
    key, other = RUN, "0b3f7c1e"
    run_path, workflows_path = f"GET /api/v2/pipeline/{RUN}", f"GET /api/v2/pipeline/{RUN}/workflow"
    cancel_path, list_path = "POST /api/v2/workflow/a%2Fb/cancel", "GET /api/v2/project/gh/acme/shop/pipeline"
    queries: ClassVar[list[dict[str, str]]] = [{"branch": "main"}, {"branch": "main", "page-token": "2"}]

    def run(self, key: str = RUN, **more: Any) -> dict[str, Any]:
        vcs = {"branch": more.pop("branch", "main"), "tag": more.pop("tag", None), "revision": more.pop("sha", SHA)}
        usual = {"id": key, "number": 25, "state": "created", "created_at": AT, "trigger": {"type": "api"}, "vcs": vcs}
        return {**usual, **more}

    def stateless(self) -> dict[str, Any]:
        return self.run(state=None)

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
    run_path, workflows_path = f"GET /api/v3/runs/{RUN}", "GET /api/v3/workflows"
    cancel_path, list_path = "POST /api/v3/workflows/a%2Fb/cancel", "POST /api/v3/runs/search"
    queries: ClassVar[list[dict[str, str]]] = [{}, {}]

    def run(self, key: str = RUN, **more: Any) -> dict[str, Any]:
        vcs = {"branch": more.pop("branch", "main"), "tag": more.pop("tag", None), "revision": more.pop("sha", SHA)}
        attributes = {"number": 25, "phase": "started", "created_at": AT, **more}
        return {"id": key, "attributes": attributes, "references": {"event": {"attributes": {"vcs": vcs}}}}

    def stateless(self) -> dict[str, Any]:
        return self.run(phase="")

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

    def stateless(self) -> dict[str, Any]:
        return self.run(status=None, outcome=None)

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


# A run


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
    odd = [wire.run(wire.other), wire.run(""), wire.stateless(), {"message": "x"}]
    not_200 = replace(wire.one(wire.run(wire.key)), status=202)
    for came in (*map(wire.one, odd), not_200, answer(404), *UNREADABLE):
        assert speaking(wire, *[came] * 5)[0].run(wire.key) is None, came
        if wire.api is ApiVersion.V1_1:
            assert speaking(wire, *[came] * 5)[0].workflows(wire.key) is None, came


# Workflows


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


# The list


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


# The end


@every_api
@pytest.mark.parametrize(
    ("events", "is_accepted"),
    [
        ([answer(202)], True),
        ([answer(200)], True),
        ([lost(), answer(500), answer(202)], True),
        ([answer(404)], False),
        ([answer(302)] * 5, False),
        ([refused_connection()] * 5, False),
    ],
)
def test_cancel(wire: V2Wire, events: list[Any], is_accepted: object) -> None:
    api, transport = speaking(wire, *events)
    assert api.cancel(WorkflowState("a/b", "deploy", "running")) is is_accepted
    assert transport.paths == [wire.cancel_path] * len(events)
    assert transport.sent[0].body is None


# What a trigger's answer means


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
    job = {"build_num": 31, "build_url": "https://x/31", "vcs_revision": SHA.upper()}
    assert v1.read_created(answer(200, job)) == Created(None, 31, "https://x/31", revision=SHA)
    plain = v1.read_created(answer(200, {"build_num": 31, "build_url": "javascript:x"}))
    assert plain == Created(None, 31, "https://circleci.com/gh/acme/shop/31")


# Details


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


# The configuration, and jobs that did not run


@pytest.mark.parametrize("wire", [V2Wire(), V3Wire()])
@pytest.mark.parametrize(
    ("came", "text"),
    [
        (answer(200, {"source": "a", "compiled": "b: c"}), "b: c\n"),
        (answer(200, {"source": "a", "compiled": "b", "compiled-setup-config": "d"}), "b\nd"),
        (answer(200, {"source": "a", "compiled": "b", "compiled-setup-config": None}), "b\n"),
        (answer(200, {"source": "a", "compiled": "b", "setup-config": "ds-x"}), "b\n"),
        (answer(200, {"source": "a", "compiled": ""}), ""),
        (answer(200, {"source": "a", "compiled": "", "compiled-setup-config": "d"}), ""),
        (answer(200, {"source": "a"}), None),
        (answer(200, {"compiled": None}), None),
        (answer(200, {"compiled": 7}), None),
        (answer(200, []), None),
        (answer(200, b"<html>"), None),
        *((answer(status, {"compiled": "b"}), None) for status in (201, 403, 404, 500)),
        (lost(), None),
    ],
)
def test_the_compiled_configuration(wire: V2Wire, came: Any, text: str | None) -> None:
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


def test_a_job_of_v1_1_has_no_configuration_no_jobs_and_no_id_of_v2() -> None:
    api, transport = speaking(V1Wire())
    assert (api.compiled_config("25"), api.jobs_not_run(WORKFLOW)) == (None, ())
    assert (api.details(Run("25", 25, SHA)).is_by_api, transport.sent) == (None, [])


def test_jobs_that_wait_for_each_other_end() -> None:
    """No workflow is like that, and no answer keeps the step busy for ever."""
    ring = [{"id": a, "name": a, "status": "not_run", "requires": {b: ["success"]}} for a, b in ("ab", "bc", "ca")]
    api, _ = speaking(V2Wire(), answer(200, {"items": ring}))
    assert api.jobs_not_run(WorkflowState("w", "deploy", "success")) == ("a", "b", "c")
    ring[0]["requires"] = {"b": ["failed"]}
    api, _ = speaking(V2Wire(), answer(200, {"items": ring}))
    assert api.jobs_not_run(WorkflowState("w", "deploy", "success")) == ()
