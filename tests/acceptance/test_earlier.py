"""The same commit again, and a commit that was overtaken: nothing is deployed twice, and nothing that is not wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from acceptance.process import RULES, Project, sandbox, triggers
from builds import DEFINITION, oidc

from deploystep.sandbox import Pace, parse_fault

if TYPE_CHECKING:
    from acceptance.process import Clone

    from deploystep.sandbox import Sandbox

POST = "POST /api/v2/project/gh/acme/shop/pipeline/run"


def ended_quickly(**settings: Any) -> Sandbox:
    """A stand-in in which a deploy has ended before the step is run again."""
    return sandbox(pace=Pace(appear=0.0, finish=0.0), **settings)


# Superseded


def test_a_commit_that_was_overtaken(clone: Clone, circleci: Sandbox) -> None:
    old, new = clone.commit(), clone.commit()
    clone.push()
    ended = clone.step(circleci, CIRCLE_SHA1=old)
    assert (ended.code, ended.outcomes) == (0, ["superseded"])
    assert ended.json["triggers"][0]["because"].startswith(f"branch main has moved on to {new}")
    assert triggers(circleci) == []
    shown = clone.call("run", server=circleci, CIRCLE_SHA1=old)
    assert "= superseded\n" in shown.out
    assert new in shown.out


def test_a_commit_that_was_overtaken_by_one_that_is_skipped(clone: Clone, circleci: Sandbox) -> None:
    """Nobody decides about a head with [skip ci], so nobody is said to."""
    old = clone.commit()
    clone.git("commit", "--quiet", "--allow-empty", "-m", "Update the changelog [skip ci]")
    clone.push()
    because = clone.step(circleci, CIRCLE_SHA1=old).json["triggers"][0]["because"]
    assert because.endswith("which is newer; its message says [skip ci], so nothing is deployed until the next push")


# Already triggered


def test_a_rerun_deploys_once(project: Project) -> None:
    with ended_quickly() as server:
        first, second = project.step(server), project.step(server)
        assert (first.code, first.outcomes) == (0, ["triggered"])
        assert (second.code, second.outcomes) == (0, ["already-triggered"])
        assert first.json["triggers"][0]["url"] == second.json["triggers"][0]["url"]
        assert len(triggers(server)) == 1
        shown = project.call("run", server=server)
        assert "= already triggered: " in shown.out.replace("already-triggered", "already triggered")
        assert "of this commit holds deploy: status: success" in shown.out


JOB = "version: 1\nrules:\n  - {name: docker, when: {branch: main}, deploy: {job: deploy_docker}}\n"


@pytest.mark.parametrize(
    ("rules", "arguments", "outcome"),
    [(RULES, ("--again", "the database was restored"), "triggered"), (JOB, (), "already-triggered")],
)
def test_a_rerun_that_is_wanted_and_one_of_the_old_api(
    project: Project, rules: str, arguments: tuple[str, ...], outcome: str
) -> None:
    project.write(rules)
    with ended_quickly() as server:
        first, second = project.step(server), project.step(server, *arguments)
        assert (first.code, second.code, second.outcomes) == (0, 0, [outcome]), second.err
        assert second.json.get("again") == (arguments[1] if arguments else None)
        assert len(server.runs) == len(triggers(server)) == (2 if arguments else 1)


# API v3


V3 = """
    version: 1
    api: v3
    rules:
      - name: production
        when: {branch: main}
        deploy: {workflow: deploy, parameters: {deploy: true, sha: "${CIRCLE_SHA1}"}}
    """


def test_api_v3_from_end_to_end(project: Project) -> None:
    project.write(V3)
    token = oidc(pipeline_definition_id=DEFINITION)
    with ended_quickly() as server:
        first = project.step(server, "--wait", "10s", CIRCLE_OIDC_TOKEN=token)
        assert (first.code, first.outcomes) == (0, ["triggered"]), first.err
        assert first.json["triggers"][0]["workflows"] == [{"name": "deploy", "status": "success"}]
        second = project.step(server, CIRCLE_OIDC_TOKEN=token)
        assert (second.code, second.outcomes) == (0, ["already-triggered"]), second.err
        created = [r.path for r in server.requests if r.method == "POST" and r.path == "/api/v3/runs"]
        assert len(created) == len(server.runs) == 1


@pytest.mark.parametrize(
    ("rules", "fault", "end", "says"),
    [
        (RULES, "moved", (9, "stopped"), "the head of branch main could not be read"),
        (V3, "moved", (9, "stopped"), "it was cancelled"),
        (V3, "errored:bad", (10, "nothing-runs"), "errored: bad"),
        (V3, "unauthorized", (10, "nothing-runs"), "unauthorized"),
        (V3, "status:403:no", (6, "refused"), "answered 403: Forbidden: no"),
        (V3, "close-after-create", (0, "triggered"), "looking for what it created"),
        (JOB, "status:410:This endpoint has been removed", (6, "refused"), "and use workflow:"),
        (JOB, "message:Your config file has errors", (6, "refused"), "Your config file has errors"),
    ],
)
def test_each_api_and_a_fault(project: Project, rules: str, fault: str, end: tuple[int, str], says: str) -> None:
    project.write(rules)
    with sandbox() as server:
        server.add_fault(parse_fault(fault))
        ended = project.step(server, CIRCLE_OIDC_TOKEN=oidc(pipeline_definition_id=DEFINITION))
        assert ((ended.code, *ended.outcomes), says in ended.err) == (end, True), ended.err
        assert len(server.runs) <= 1


# The deploy's own pipeline


KEYED = RULES.replace("retries: 3", 'deploy_key: "${deploy.key}"').replace("workflow: deploy, ", "")


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (KEYED, "it holds its deploy key"),
        (RULES, "it was triggered through the API and holds workflow deploy"),
    ],
)
@pytest.mark.parametrize("arguments", [(), ("--wait",), ("--again", "always")])
def test_a_deploy_does_not_deploy_again_from_within(
    project: Project, rules: str, why: str, arguments: tuple[str, ...]
) -> None:
    """A config without a gate runs the step in the deploy's own pipeline: it would do so for ever."""
    project.write(rules)
    with sandbox() as server:
        first = project.step(server)
        assert (first.code, first.outcomes) == (0, ["triggered"]), first.err
        within = project.step(server, *arguments, CIRCLE_PIPELINE_ID=first.json["triggers"][0]["id"])
        assert len(triggers(server)) == 1
    assert (within.code, within.outcomes, within.json["rules"][0]["verdict"]) == (0, [], "no"), within.err
    because = within.json["rules"][0]["because"]
    assert because.startswith("line 3: this build's own pipeline is this rule's deploy: ")
    assert why in because or (arguments[:1] == ("--again",) and "it holds a deploy key" in because)
    assert because.endswith("give its workflow in config.yml  unless: << pipeline.parameters.deploy >>")
