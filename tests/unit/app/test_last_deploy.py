"""The base of `since: last-deploy`: the newest commit that was certainly deployed, or why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builds import OTHER_SHA, PIPELINE, SHA, build, fork_environ, tag_build
from fakes import RoutedTransport, answer, courier, lost

from deploystep.app.last_deploy import last_deployed
from deploystep.core.build import BuildContext
from deploystep.core.facts import Unavailable

if TYPE_CHECKING:
    from fakes import Event

    from deploystep.circleci.wire import Response

LIST = "GET /shop/pipeline"
SHAS = [f"{n:040x}" for n in range(1, 9)]


def run(n: int, **changes: Any) -> dict[str, Any]:
    """The run number n is of the commit n."""
    told = {"by": "api", "ref": {"branch": "main"}, "state": "created", "sha": SHAS[n], **changes}
    vcs = {"vcs": {"revision": told["sha"], **told["ref"]}} if told["sha"] else {}
    by = {"trigger": {"type": told["by"]}} if told["by"] else {}
    return {"id": f"run-{n}", "number": n, "state": told["state"], **by, **vcs}


def workflows(status: str, name: str = "deploy") -> Response:
    return answer(200, {"items": [{"id": "w", "name": name, "status": status}]})


class Scene:
    def __init__(self, *runs: dict[str, Any], of: BuildContext | None = None, **ends: Event) -> None:
        """`run_3` is how the workflows of run number 3 are."""
        routes: dict[str, Any] = {LIST: answer(200, {"items": list(runs)})}
        routes |= {f"GET /{name.replace('_', '-')}/workflow": event for name, event in ends.items()}
        self.transport = RoutedTransport(routes)
        self.of = of or build()

    def says(self, workflow: str | None = "deploy") -> str | Unavailable:
        return last_deployed(workflow, self.of, courier(self.transport))

    def is_unknown(self, words: str, workflow: str | None = "deploy") -> None:
        said = self.says(workflow)
        assert isinstance(said, Unavailable)
        assert said.code == "U101"
        assert words in said.reason
        assert said.cure


def test_the_newest_that_succeeded() -> None:
    scene = Scene(run(4), run(3), run(2), run_4=workflows("failed"), run_3=workflows("success"))
    assert scene.says() == SHAS[3]
    assert scene.transport.count("/run-2/workflow") == 0, "older ones are not looked at"


@pytest.mark.parametrize("status", ["running", "failed", "canceled", "on_hold", "error", "no such word"])
def test_what_has_not_succeeded_has_not_deployed(status: str) -> None:
    assert Scene(run(4), run(3), run_4=workflows(status), run_3=workflows("success")).says() == SHAS[3]


@pytest.mark.parametrize(
    "other",
    [
        run(4, by="webhook"),
        run(4, by="scheduled_pipeline"),
        run(4, state="errored"),
        run(4, ref={"branch": "dev"}),
        run(4, ref={"tag": "v1"}),
    ],
)
def test_runs_that_are_no_deploys_of_this_branch(other: dict[str, Any]) -> None:
    scene = Scene(other, run(3), run_3=workflows("success"))
    assert scene.says() == SHAS[3]
    assert scene.transport.count("/run-4/workflow") == 0


def test_another_workflow_is_another_deploy() -> None:
    assert Scene(run(4), run(3), run_4=workflows("success", "x"), run_3=workflows("success")).says() == SHAS[3]


def test_a_rerun_that_succeeded() -> None:
    both = [
        {"id": "a", "name": "deploy", "status": "failed", "created_at": "2026-06-16T08:00:00Z"},
        {"id": "b", "name": "deploy", "status": "success", "created_at": "2026-06-16T09:00:00Z"},
    ]
    assert Scene(run(4), run_4=answer(200, {"items": both})).says() == SHAS[4]


def test_only_this_branch_is_listed() -> None:
    scene = Scene(run(4), run_4=workflows("success"))
    scene.says()
    assert dict(scene.transport.sent[0].query) == {"branch": "main"}


def test_a_tag_compares_with_whatever_tag_came_before_it() -> None:
    runs = [run(5), run(4, ref={"tag": "v1.9.0"}), run(3, ref={"tag": "v1.8.0"})]
    scene = Scene(*runs, of=tag_build("v2.0.0"), run_4=workflows("success"))
    assert scene.says() == SHAS[4]
    assert dict(scene.transport.sent[0].query) == {}


def test_a_fork_compares_with_what_its_pull_request_deployed() -> None:
    """The API names a fork's `pull/7` `pull/7/head`, and so do the runs that were triggered for it."""
    scene = Scene(
        run(4, ref={"branch": "pull/7/head"}), of=BuildContext.from_environ(fork_environ()), run_4=workflows("success")
    )
    assert scene.says() == SHAS[4]
    assert dict(scene.transport.sent[0].query) == {"branch": "pull/7/head"}


# No answer


def test_a_rule_without_a_workflow() -> None:
    scene = Scene()
    scene.is_unknown("the rule names no workflow of this project", None)
    assert scene.transport.sent == []


def test_nothing_was_ever_deployed() -> None:
    Scene().is_unknown("no run of the last 100 has deployed by workflow 'deploy'")
    Scene(run(4), run_4=workflows("failed")).is_unknown("no run of the last 100")


@pytest.mark.parametrize("trouble", [answer(404), answer(500), lost(), answer(200, b"<html>")])
def test_a_list_that_cannot_be_read(trouble: Event) -> None:
    scene = Scene()
    scene.transport = RoutedTransport({LIST: trouble})
    scene.is_unknown("the runs of gh/acme/shop could not be read")


@pytest.mark.parametrize("trouble", [answer(404), answer(500), lost()])
def test_a_newer_run_that_cannot_be_read_may_be_the_last_deploy(trouble: Event) -> None:
    """To take an older one would be to miss what has changed since, or to see changes that are deployed."""
    Scene(run(4), run(3), run_4=trouble, run_3=workflows("success")).is_unknown("run 4 could not be read")


def test_a_deploy_of_a_commit_that_is_not_told() -> None:
    Scene(run(4, sha=None), run_4=workflows("success")).is_unknown("run 4 does not tell its commit")


def test_a_hundred_runs_are_enough() -> None:
    page = answer(200, {"items": [run(1, by="webhook")] * 20, "next_page_token": "again"})
    scene = Scene()
    scene.transport = RoutedTransport({LIST: page})
    scene.is_unknown("no run of the last 100")
    assert len(scene.transport.sent) == 5


# The project


NO_SLUG = {"CIRCLE_BUILD_URL": None, "CIRCLE_REPOSITORY_URL": None}


def test_the_project_is_asked_for_where_no_variable_tells_it() -> None:
    scene = Scene(of=build(**NO_SLUG))
    routes: dict[str, Any] = {
        f"GET /{PIPELINE}": answer(200, {"project_slug": "circleci/9Yy/44n"}),
        "GET /44n/pipeline": answer(200, {"items": [run(4)]}),
        "GET /run-4/workflow": workflows("success"),
    }
    scene.transport = RoutedTransport(routes)
    assert scene.says() == SHAS[4]


@pytest.mark.parametrize("pipeline", [PIPELINE, None])
def test_the_project_is_not_known(pipeline: str | None) -> None:
    scene = Scene(of=build(CIRCLE_PIPELINE_ID=pipeline, **NO_SLUG))
    scene.transport = RoutedTransport({f"GET /{PIPELINE}": answer(404)})
    scene.is_unknown("CircleCI did not tell which project this is")


def test_this_builds_own_commit_is_a_deploy_too() -> None:
    assert Scene(run(4, sha=SHA), run(3, sha=OTHER_SHA), run_4=workflows("success")).says() == SHA
