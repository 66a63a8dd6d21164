"""Exact conversations: what one answer of CircleCI's, or the next, must lead to. No sandbox takes part.

A case or two of each kind, through the whole process; every case is in tests/unit/app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from acceptance.server import Answer
from acceptance.wire import (
    CREATED,
    DATE,
    LIST,
    NEW,
    NO,
    OLD,
    OLD_ID,
    OWN,
    POST,
    created_run,
    page,
    pipeline,
    read,
    rule,
    step,
    workflows,
)
from builds import DEFINITION, OTHER_SHA, RUN, SHA, oidc

if TYPE_CHECKING:
    from acceptance.process import Clone, Project

JOBS = "/api/v1.1/project/github/acme/shop"
PROJECT_ID, TARGET_ID = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"
TARGET = "targets: {shop: {project: gh/acme/other, branch: main}}\n"
V3_TARGET = f"targets: {{shop: {{project: gh/acme/other, branch: main, api: v3, definition: {DEFINITION}}}}}\n"


@pytest.mark.parametrize("unreadable", [NO, Answer(200, {"items": "?"})], ids=["403", "garbage"])
def test_again_does_not_need_the_list(project: Project, unreadable: Answer) -> None:
    routes = {**created_run(deploy="running"), LIST: unreadable}
    without, server = step(project, routes)
    assert without.code in (5, 6)
    assert server.asked(POST) == []
    ended, server = step(project, routes, "--again", "the database was restored")
    assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err
    assert len(server.asked(POST)) == 1


def test_a_list_of_jobs_is_read_as_far_as_it_can_matter(clone: Clone) -> None:
    """None is older than the commit; a day is left for clocks that differ."""
    clone.write(rule("job: docker"))
    head = clone.commit()
    clone.push()
    usual = {"vcs_revision": OTHER_SHA, "branch": "main", "why": "github", "queued_at": "2020-06-16T08:00:00Z"}
    others = [{"build_num": n, **usual} for n in range(100)]
    jobs = f"GET {JOBS}/tree/main"
    routes = {
        jobs: read(others),  # every page is a full one
        f"POST {JOBS}/tree/main": Answer(200, {"build_num": 101, "vcs_revision": head}),
    }
    ended, server = step(clone, routes, CIRCLE_SHA1=head)
    assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err
    assert len(server.asked(jobs)) == 1


def test_a_list_that_is_not_read_to_its_end_decides_nothing(project: Project) -> None:
    other = pipeline(OLD_ID, 3600.0, vcs={"revision": OTHER_SHA, "branch": "main"})
    for listed in (read({"items": [other], "next_page_token": "x"}), page("?", OWN)):
        ended, _ = step(project, {LIST: listed})
        assert (ended.code, ended.outcomes, ended.json["error"]["code"]) == (5, ["not-sent"], "undecided")


def test_what_a_target_deployed_last_is_not_asked_of_this_project(clone: Clone) -> None:
    """A workflow of the same name in this project has nothing to do with what the rule starts over there."""
    before, head = clone.commit("a.txt"), clone.commit("b.txt")
    when = "branch: main, paths: {only: b.txt, since: last-deploy}"
    last = page(pipeline(OLD_ID, vcs={"revision": before, "branch": "main"}))
    routes = {
        LIST: last,
        f"{OLD}/workflow": workflows(deploy="success"),
        "POST /api/v2/project/gh/acme/other/pipeline/run": CREATED,
        "GET /api/v2/project/gh/acme/other/pipeline": page(),
        NEW: read(pipeline()),
        f"{NEW}/workflow": workflows(deploy="running"),
    }
    clone.write(rule("to: shop, workflow: deploy, parameters: {deploy: true}", when, TARGET))
    to_target, server = step(clone, routes, CIRCLE_SHA1=head)
    assert (to_target.code, to_target.json["error"]["diagnostics"][0]["code"]) == (5, "U101")
    assert server.requests == []
    clone.write(rule("workflow: deploy", when))
    own, server = step(clone, routes, "--dry-run", CIRCLE_SHA1=head)
    assert own.json["rules"][0]["verdict"] == "fire", own.out
    assert len(server.asked(LIST)) == 1


@pytest.mark.parametrize("is_target", [True, False], ids=["target", "own project"])
def test_the_runs_of_a_target_are_not_searched_by_this_projects_id(project: Project, is_target: bool) -> None:  # noqa: FBT001 - a column
    deploy = "workflow: deploy, parameters: {deploy: true}"
    project.write(rule(f"to: shop, {deploy}", more=V3_TARGET) if is_target else rule(deploy, more="api: v3\n"))
    run = {"id": RUN, "attributes": {"phase": "started", "number": 25}}
    run |= {"references": {"event": {"attributes": {"vcs": {"revision": SHA, "branch": "main"}}}}}
    workflow = {"id": "w", "attributes": {"name": "deploy", "phase": "started"}}
    ids = "GET /api/v3/projects"
    routes = {
        ids: Answer(200, {"data": [{"id": TARGET_ID}]}),
        "POST /api/v3/runs/search": Answer(200, {"data": [], "page": {}}, DATE),
        "POST /api/v3/runs": Answer(201, {"data": run}),
        f"GET /api/v3/runs/{RUN}": Answer(200, {"data": run}),
        "GET /api/v3/workflows": Answer(200, {"data": [workflow], "page": {}}),
    }
    token = oidc(pipeline_definition_id=DEFINITION)
    ended, server = step(project, routes, CIRCLE_OIDC_TOKEN=token, CIRCLE_PROJECT_ID=PROJECT_ID)
    assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err
    searched = [r.body["scope"]["project_ids"] for r in server.asked("POST /api/v3/runs/search")]
    assert searched == ([] if is_target else [[PROJECT_ID]])
    assert server.asked(ids) == []
