"""The same commit again, and a commit that was overtaken: nothing is deployed twice, and nothing that is not wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from acceptance.process import Project, sandbox, triggers
from acceptance.test_faults import CONFIG, DEPLOYER, RULES_OF
from builds import DEFINITION, oidc

from deploystep.sandbox import Pace

if TYPE_CHECKING:
    from acceptance.process import Clone

    from deploystep.sandbox import Sandbox


@pytest.mark.parametrize("rules", RULES_OF)
def test_a_rerun_deploys_once_and_once_more_where_that_is_wanted(project: Project, rules: str) -> None:
    project.write(RULES_OF[rules])
    token = oidc(pipeline_definition_id=DEFINITION)
    projects = ["gh/acme/shop", DEPLOYER] if rules == "target" else ["gh/acme/shop"]
    with sandbox(projects=projects, pace=Pace(appear=0.0, finish=0.0)) as server:  # a deploy has ended by then
        if rules in ("key", "target"):
            server.set_config(projects[-1], CONFIG)
        ended = [
            project.step(server, *words, CIRCLE_OIDC_TOKEN=token, CIRCLE_BUILD_NUM=number)
            for number, words in (("12", ()), ("13", ()), ("13", ("--again", "it was rolled back")))
        ]
        assert len(server.runs) == len(triggers(server)) == 2
    outcomes = [(each.code, *each.outcomes, each.json.get("again")) for each in ended]
    assert outcomes == [(0, "triggered", None), (0, "already-triggered", None), (0, "triggered", "it was rolled back")]
    first, second, _ = (each.json["triggers"][0] for each in ended)
    assert first["url"] == second["url"]
    assert rules not in ("key", "target") or "holds the deploy key ds-" in second["because"]


def test_a_deploy_does_not_deploy_again_from_within(project: Project) -> None:
    """A config without a gate runs the step in the deploy's own pipeline: it would do so for ever."""
    with sandbox() as server:
        own = project.step(server).json["triggers"][0]["id"]
        for arguments in ((), ("--again", "always")):
            within = project.step(server, *arguments, CIRCLE_PIPELINE_ID=own)
            (rule,) = within.json["rules"]
            assert (within.code, within.outcomes, rule["verdict"]) == (0, [], "no"), within.err
            assert rule["because"].startswith("line 3: this build's own pipeline is this rule's deploy: it was trigger")
            assert rule["because"].endswith("config.yml  unless: << pipeline.parameters.deploy >>")
        assert len(triggers(server)) == 1


def test_a_push_during_the_build(clone: Clone, circleci: Sandbox) -> None:
    """A newer commit takes the place of this one, without a word where it is known; of any other nobody knows."""
    old, ours = clone.commit(), clone.commit()
    clone.push()
    clone.git("clone", "--quiet", "--depth=1", clone.git("remote", "get-url", "origin"), "checkout")
    checkout = Project(clone.folder / "checkout")
    clone.git("commit", "--quiet", "--allow-empty", "-m", "Update the changelog [skip ci]")
    clone.push()
    variables = {**checkout.without_waits(), "CIRCLE_SHA1": ours}

    ended = checkout.step(circleci, **variables)
    assert (ended.code, ended.outcomes, "looking again" in ended.err) == (0, ["superseded"], False), ended.err
    moved = f"branch main has moved on to {clone.git('rev-parse', 'HEAD')}, which is newer"
    because = ended.json["triggers"][0]["because"]
    assert because == f"{moved}; its message says [skip ci], so nothing is deployed until the next push"

    clone.git("push", "--quiet", "--force", "origin", f"{old}:main")
    ended = checkout.step(circleci, **variables)
    assert (ended.code, ended.outcomes) == (5, ["not-sent"]), ended.err
    assert f"is at {old}, which is not known to be newer" in ended.json["error"]["message"]
    assert not triggers(circleci)

    clone.git("push", "--quiet", "--force", "origin", f"{ours}:main")
    circleci.moved["main"] = ours
    assert checkout.step(circleci, **variables).outcomes == ["triggered"]
