"""Which commit did a rule deploy last? By its key, recomputed for each run's commit; and by its workflow."""

from __future__ import annotations

from typing import Any

import pytest
from builds import OTHER_SHA, SHA, build, fork_environ, rules, tag_build
from fakes import RoutedTransport, answer, client, config, lost
from triggers import pipeline, workflow, workflows

from deploystep.app.last_deploy import last_deployed
from deploystep.core.build import Branch, BuildContext, Tag
from deploystep.core.deploy import api_ref
from deploystep.core.deploy_key import deploy_key
from deploystep.core.facts import Base, ChangedSince, Unavailable

RULES = rules(
    """
    version: 1
    targets: {t: {project: gh/acme/deployer, branch: main}}
    rules:
      - name: api
        when: {branch: "**", paths: {only: api/**, since: last-deploy}, env: {REGION: "*"}}
        deploy: {workflow: deploy, parameters: {what: api, region: "${REGION}", deploy_key: "${deploy.key}"}}
      - name: web
        when: {branch: "**", paths: {only: web/**, since: last-deploy}}
        deploy: {workflow: deploy, parameters: {what: web, deploy_key: "${deploy.key}"}}
    """
)
SHAS = [f"{n:040x}" for n in range(9)]
BUILD = build(REGION="eu")
WELL = workflows("success")
LIST = "GET /shop/pipeline"


def key(rule: int, revision: str, of: BuildContext = BUILD, ref: Branch | Tag | None = None, once: str = "") -> str:
    return deploy_key(RULES.rules[rule], of, ref, revision, once=once)


def asked(
    *runs: tuple[int, str | None, Any],
    of: BuildContext = BUILD,
    rule: str = "api",
    workflow: str | None = "deploy",
    also: dict[str, Any] | None = None,
    **more: Any,
) -> object:
    """Runs, newest first: number (its commit is SHAS of that), the text of its configuration, its workflows."""
    routes: dict[str, Any] = {}
    listed = []
    for number, text, standing in runs:
        changes = {"sha": SHAS[number], "ref": {"branch": api_ref(of).name}, **more}
        listed.append(pipeline(f"run-{number}", number, **changes))
        routes[f"GET /run-{number}/config"] = answer(404) if text is None else config(text)
        routes[f"GET /run-{number}/workflow"] = standing
    routes[LIST] = answer(200, {"items": listed, "next_page_token": None})
    routes |= also or {}
    question = ChangedSince(Base.LAST_DEPLOY, workflow=workflow, rule=rule)
    found = last_deployed(question, RULES, of, client(RoutedTransport(routes)))
    return found.reason if isinstance(found, Unavailable) else found


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ([(4, key(0, SHAS[4]), WELL), (3, key(0, SHAS[3]), WELL)], SHAS[4]),
        ([(4, key(0, SHAS[4], once="job"), WELL), (3, key(0, SHAS[3]), WELL)], SHAS[4]),  # it was wanted again
        ([(4, f"prod{key(0, SHAS[4])}", WELL)], SHAS[4]),
        # another rule's, though of the same workflow; another region's; that of another commit
        ([(4, key(1, SHAS[4]), WELL), (3, key(0, SHAS[3]), WELL)], SHAS[3]),
        ([(4, key(0, SHAS[4], build(REGION="us")), WELL), (3, key(0, SHAS[3]), WELL)], SHAS[3]),
        ([(4, key(0, SHAS[3]), WELL), (3, key(0, SHAS[3]), WELL)], SHAS[3]),
        ([(4, key(1, SHAS[4]), WELL)], None),
        # those that hold none are known by the workflow
        ([(4, "version: 2", WELL), (3, key(0, SHAS[3]), WELL)], SHAS[4]),
        ([(4, "", WELL)], SHAS[4]),
        # what did not end well
        ([(4, key(0, SHAS[4]), workflows("failed")), (3, key(0, SHAS[3]), WELL)], SHAS[3]),
        ([(4, key(0, SHAS[4]), workflows("running")), (3, key(0, SHAS[3]), WELL)], SHAS[3]),
        ([(4, key(0, SHAS[4]), workflows(workflow("success", "lint"))), (3, key(0, SHAS[3]), WELL)], SHAS[3]),
        # what cannot be read
        ([(4, None, WELL), (3, key(0, SHAS[3]), WELL)], "the configuration of run 4 could not be read"),
        ([(4, key(0, SHAS[4]), lost()), (3, key(0, SHAS[3]), WELL)], "run 4 could not be read"),
    ],
)
def test_the_last_deploy_of_a_rule_that_sends_a_key(runs: Any, found: object) -> None:
    said = asked(*runs)
    assert str(said).endswith(str(found))


@pytest.mark.parametrize(
    ("text", "found"), [(key(0, SHAS[4]), SHAS[4]), (f"prod{key(0, SHAS[4])}", SHAS[4]), ("version: 2", None)]
)
def test_a_rule_that_names_no_workflow_is_known_by_its_key_alone(text: str, found: object) -> None:
    assert asked((4, text, WELL), workflow=None) == found


@pytest.mark.parametrize(("by", "is_told"), [("webhook", True), ("api", True), (None, False)])
def test_a_run_that_does_not_tell_who_made_it(by: str | None, is_told: object) -> None:
    said = asked((4, key(0, SHAS[4]), WELL), by=by)
    assert said == ((SHAS[4] if by == "api" else None) if is_told else said)
    assert is_told or "does not tell how it was triggered" in str(said)


def test_a_run_of_which_the_commit_is_not_told_may_be_the_last_deploy() -> None:
    for text in (key(0, SHAS[4]), key(1, SHAS[4]), "version: 2"):
        said = asked((4, text, WELL), sha=None)
        assert "run 4 does not tell its commit" in str(said)


def test_a_forks_runs_are_listed_by_another_name() -> None:
    fork = BuildContext.from_environ(fork_environ(7, REGION="eu"))
    assert asked((4, key(0, SHAS[4], fork), WELL), of=fork) == SHAS[4]


def test_a_tags_build_knows_the_deploys_of_other_tags() -> None:
    of = tag_build("v2", REGION="eu")
    older = key(0, SHAS[4], of, Tag("v1"))
    assert asked((4, older, WELL), of=of, ref={"tag": "v1"}) == SHAS[4]
    assert asked((4, key(0, SHAS[4], of, Tag("v1.1")), WELL), of=of, ref={"tag": "v1"}) is None


@pytest.mark.parametrize(
    ("jobs", "found"),
    [
        (["success"], SHAS[4]),
        (["success", "not_run"], SHAS[3]),
        (None, "the jobs of run 4 could not be read"),
    ],
)
def test_a_success_in_which_a_job_did_not_run_was_no_deploy(jobs: list[str] | None, found: str) -> None:
    items = [{"name": f"{n}", "status": status} for n, status in enumerate(jobs or ())]
    newer = answer(200, {"items": [{"id": "v0", "name": "deploy", "status": "success"}]})
    routes = {"GET /v0/job": answer(404) if jobs is None else answer(200, {"items": items})}
    said = asked((4, key(0, SHAS[4]), newer), (3, key(0, SHAS[3]), WELL), also=routes)
    assert str(said).endswith(found)


def test_a_deploy_of_this_very_commit() -> None:
    assert asked((4, key(0, SHA), WELL), sha=SHA) == SHA
    assert asked((4, key(0, OTHER_SHA), WELL), sha=SHA) is None
