"""API v1.1: one job at one commit, and the end of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from sandbox.calls import SHA, TREE, Clock, call

from deploystep.sandbox import Sandbox, parse_fault, v1_1

PROJECT = "/api/v1.1/project/github/acme/shop"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_json_and_form_say_the_same() -> None:
    form = urlencode({"build_parameters[CIRCLE_JOB]": "deploy", "build_parameters[A]": "x y", "revision": SHA})
    body = {"build_parameters": {"CIRCLE_JOB": "deploy", "A": "x y"}, "revision": SHA}
    with Sandbox(heads={"main": "b" * 40}) as sandbox:
        for answer in (
            call(sandbox, "POST", TREE, body),
            call(sandbox, "POST", TREE, form.encode(), headers=FORM),
        ):
            assert answer.status == 200
            assert answer.json["vcs_revision"] == SHA
            assert answer.json["job_name"] == "deploy"
            assert answer.json["build_parameters"] == {"CIRCLE_JOB": "deploy", "A": "x y"}
        assert [run.parameters for run in sandbox.runs] == [body["build_parameters"]] * 2
        assert [run.api for run in sandbox.runs] == ["v1.1"] * 2


def test_without_a_body_the_branch_head_is_built() -> None:
    with Sandbox(heads={"feature/x y": SHA}) as sandbox:
        answer = call(sandbox, "POST", f"{PROJECT}/tree/feature%2Fx%20y")
        assert answer.status == 200
        assert (answer.json["branch"], answer.json["vcs_revision"]) == ("feature/x y", SHA)
        assert answer.json["build_url"] == f"https://circleci.com/gh/acme/shop/{answer.json['build_num']}"
        assert call(sandbox, "POST", f"{PROJECT}/tree/feature/x").status == 404


def test_values_become_text() -> None:
    with Sandbox() as sandbox:
        answer = call(sandbox, "POST", TREE, {"build_parameters": {"A": True, "B": 3, "C": None, "D": 1.5}})
        assert answer.json["build_parameters"] == {"A": "true", "B": "3", "C": "", "D": "1.5"}


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"build_parameters": []}', b'{"build_parameters": "x"}', b'{"revision": 7}']
)
def test_bodies_that_cannot_be_meant(body: bytes) -> None:
    with Sandbox() as sandbox:
        assert call(sandbox, "POST", TREE, body).status == 400
        assert sandbox.runs == ()


def test_a_job_moves_on() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        number = call(sandbox, "POST", TREE, {}).json["build_num"]
        seen = []
        for seconds in (0, 1, 5):
            clock.passes(seconds)
            build = call(sandbox, "GET", f"{PROJECT}/{number}").json
            seen.append((build["lifecycle"], build["status"], build["outcome"]))
        assert seen == [
            ("not_running", "not_running", None),
            ("running", "running", None),
            ("finished", "success", "success"),
        ]


def test_triggers_announce_their_end_and_readings_do_not() -> None:
    with Sandbox() as sandbox:
        answer = call(sandbox, "POST", TREE, {})
        assert answer.headers["Sunset"] == "Mon, 01 Feb 2027 00:00:00 GMT"
        assert "Deprecation" in answer.headers
        assert "Sunset" not in call(sandbox, "GET", TREE).headers


def test_gone() -> None:
    with Sandbox(gone=True) as sandbox:
        answer = call(sandbox, "POST", TREE, {})
        assert answer.status == 410
        assert "message" in answer.json
        assert call(sandbox, "GET", TREE).json == []
        assert sandbox.runs == ()


def test_a_failure_can_come_as_200_with_a_message() -> None:
    with Sandbox() as sandbox:
        sandbox.add_fault(parse_fault("message:Your config file has errors"))
        answer = call(sandbox, "POST", TREE, {})
        assert (answer.status, answer.json) == (200, {"message": "Your config file has errors"})
        assert sandbox.runs == ()


def test_lists_are_newest_first_and_can_be_cut_and_filtered() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        for branch in ("main", "other", "main"):
            call(sandbox, "POST", f"{PROJECT}/tree/{branch}", {})
        clock.passes(5)
        call(sandbox, "POST", TREE, {})

        def numbers(path: str) -> list[int]:
            return [build["build_num"] for build in call(sandbox, "GET", path).json]

        assert numbers(TREE) == [4, 3, 1]
        assert numbers(PROJECT) == [4, 3, 2, 1]
        assert numbers(f"{TREE}?limit=1&offset=1") == [3]
        assert numbers(f"{TREE}?filter=successful&limit=100") == [3, 1]
        assert numbers(f"{TREE}?filter=failed") == []


def test_a_client_that_does_not_ask_for_json_gets_edn() -> None:
    with Sandbox() as sandbox:
        answer = call(sandbox, "GET", "/api/v1.1/me", headers={"Accept": "*/*"})
        assert answer.json["login"] == "sandbox"
        sent = call_without_accept(sandbox, "/api/v1.1/project/gh/acme/shop/7")
        assert sent == '{:message "Build not found"}'


def call_without_accept(sandbox: Sandbox, path: str) -> str:
    import http.client  # noqa: PLC0415 - only here is a request built by hand

    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", path, headers={"Circle-Token": "abc"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_projects_and_branches_that_do_not_exist() -> None:
    with Sandbox(projects=["gh/acme/shop"], heads={"gone": ""}) as sandbox:
        for path in (TREE, f"{PROJECT}/7", PROJECT):
            assert call(sandbox, "GET", path.replace("acme", "nobody")).status == 404
        assert call(sandbox, "POST", TREE.replace("acme", "nobody"), {}).status == 404
        assert call(sandbox, "POST", f"{PROJECT}/tree/gone", {}).json == {"message": "Branch not found"}
        assert call(sandbox, "POST", f"{PROJECT}/tree/pull%2F5", {}).status == 200


def test_a_form_that_is_no_text() -> None:
    with Sandbox() as sandbox:
        assert call(sandbox, "POST", TREE, b"revision=\xff", headers=FORM).status == 400


def test_edn() -> None:
    value = {"a": [1, None, True], "b": {"c": 'say "x"'}}
    assert v1_1.edn(value) == '{:a [1 nil true], :b {:c "say \\"x\\""}}'


def _cancel(sandbox: Sandbox, number: int) -> Any:
    answer = call(sandbox, "POST", f"{PROJECT}/{number}/cancel", token="project-token")
    assert answer.status == 200
    return answer.json


def _progress(build: Any) -> tuple[str, str, str | None, bool]:
    return build["status"], build["lifecycle"], build["outcome"], build["canceled"]


CANCELED = ("canceled", "finished", "canceled", True)


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_job_can_be_canceled_before_it_has_ended(seconds: float) -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        number = call(sandbox, "POST", TREE, {}).json["build_num"]
        clock.passes(seconds)
        canceled = _cancel(sandbox, number)
        assert (canceled["build_num"], _progress(canceled)) == (number, CANCELED)
        clock.passes(60)
        assert _progress(call(sandbox, "GET", f"{PROJECT}/{number}").json) == CANCELED
        assert call(sandbox, "GET", f"{TREE}?filter=completed").json[0]["status"] == "canceled"
        assert "Sunset" not in call(sandbox, "POST", f"{PROJECT}/{number}/cancel").headers


def test_a_job_that_has_ended_stays_as_it_ended() -> None:
    clock = Clock()
    with Sandbox(now=clock) as sandbox:
        number = call(sandbox, "POST", TREE, {}).json["build_num"]
        clock.passes(60)
        assert _progress(_cancel(sandbox, number))[0] == "success"
        sandbox.set_job("gh/acme/shop", 7, parallel_runs=["timedout"], status="timedout")
        assert _progress(_cancel(sandbox, 7))[0] == "timedout"


def test_other_jobs_can_be_canceled_too() -> None:
    build, workflow = str(uuid4()), str(uuid4())
    with Sandbox(gone=True) as sandbox:
        sandbox.set_job("gh/acme/shop", 7, parallel_runs=["running", "success"])
        assert _progress(_cancel(sandbox, 7)) == CANCELED
        jobs = {"test": "success", "deploy": "running"}
        numbers = {"test": 11, "deploy": 12}
        sandbox.add_build(build, "gh/acme/shop", workflow_id=workflow, jobs=jobs, numbers=numbers)
        assert _progress(_cancel(sandbox, 11))[0] == "success"
        assert _progress(_cancel(sandbox, 12)) == CANCELED
        items = call(sandbox, "GET", f"/api/v2/workflow/{workflow}/job").json["items"]
        assert [item["status"] for item in items] == ["success", "canceled"]
        assert call(sandbox, "GET", f"/api/v2/workflow/{workflow}").json["status"] == "running"


def test_jobs_that_cannot_be_canceled() -> None:
    with Sandbox(projects=["gh/acme/shop"]) as sandbox:
        for path in (f"{PROJECT}/7/cancel", PROJECT.replace("acme", "nobody") + "/7/cancel"):
            assert call(sandbox, "POST", path).status == 404
        assert call(sandbox, "POST", f"{PROJECT}/7/cancel", token=None).status == 401
