"""The deploy key in whole processes: two projects whose configurations tell whose run each is, and real git."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from acceptance.process import Clone, Project, sandbox, triggers
from builds import OTHER_SHA

from deploystep.sandbox import Pace, Workflow, parse_fault

if TYPE_CHECKING:
    from pathlib import Path

    from deploystep.sandbox import Sandbox

SHOP, DEPLOYER = "gh/acme/shop", "gh/acme/deployer"
RECEIVES = """
    version: 2.1
    parameters:
      deploy_key: {type: string, default: ""}
    jobs:
      deploy:
        docker: [{image: cimg/base:stable}]
        environment: {DEPLOY_KEY: << pipeline.parameters.deploy_key >>}
        steps: [{run: ./deploy.sh}]
    workflows: {deploy: {jobs: [deploy]}}
    """
KEY = "deploy_key: '${deploy.key}'"


def rules(*lines: str) -> str:
    targets = f"targets: {{deployer: {{project: {DEPLOYER}, branch: main}}}}"
    return f"version: 1\n{targets}\nrules:\n" + "".join(f"  - {line}\n" for line in lines)


def one(parameters: str, deploy: str = "workflow: deploy", when: str = "branch: main") -> str:
    return rules(f"{{name: production, when: {{{when}}}, deploy: {{{deploy}, parameters: {{{parameters}}}}}}}")


TARGET = one(KEY, "to: deployer, workflow: deploy")


def two_projects(receives: str = RECEIVES, **settings: Any) -> Sandbox:
    """Both receive the key; a deploy has ended before the step is run again."""
    usual = {
        "projects": [SHOP, DEPLOYER],
        "workflows": [Workflow("deploy")],
        "pace": Pace(appear=0.0, finish=0.0),
    }
    started = sandbox(**{**usual, **settings})
    for project in (SHOP, DEPLOYER):
        started.set_config(project, receives)
    return started


def sent(server: Sandbox) -> list[Any]:
    return [request.path for request in triggers(server) if request.status is not None and request.status < 300]


@pytest.mark.parametrize("text", [TARGET, one(KEY), one(KEY, "to: deployer")], ids=["target", "own", "unnamed"])
def test_a_rerun_deploys_once_and_so_does_another_build_of_the_commit(project: Project, text: str) -> None:
    project.write(text)
    with two_projects() as server:
        first, second = project.step(server), project.step(server, CIRCLE_BUILD_NUM="99")
        assert (first.code, first.outcomes) == (0, ["triggered"]), first.err
        assert (second.code, second.outcomes) == (0, ["already-triggered"]), second.err
        assert "holds the deploy key ds-" in second.json["triggers"][0]["because"]
        assert len(sent(server)) == 1
        other = project.step(server, CIRCLE_SHA1=OTHER_SHA)
        assert (other.outcomes, len(sent(server))) == (["triggered"] if "to:" in text else ["stopped"], 2), other.err


def test_what_failed_at_a_target_is_deployed_again_and_what_is_wanted_again_is_known_later(project: Project) -> None:
    project.write(TARGET)
    with two_projects() as server:
        server.add_fault(parse_fault("ends:failed"))
        assert [project.step(server).outcomes[0] for _ in range(2)] == ["triggered", "triggered"]
        server.faults.clear()
        job = {"CIRCLE_WORKFLOW_JOB_ID": "11111111-2222-4333-8444-555555555555"}
        assert project.step(server, "--again", "it was rolled back", **job).outcomes == ["triggered"]
        assert project.step(server).outcomes == ["already-triggered"]
        keys = [str(run.parameters["deploy_key"]) for run in server.runs]
        assert (len(keys), len(set(keys)), len({key[:19] for key in keys})) == (3, 2, 1)


@pytest.mark.parametrize("deploy", ["workflow: deploy", "to: deployer, workflow: deploy"])
def test_a_rule_that_is_sent_once_for_each_region(project: Project, deploy: str) -> None:
    when = 'branch: main, env: {REGION: "*"}'
    project.write(one(f"region: '${{REGION}}', {KEY}", deploy, when))
    with two_projects() as server:
        outcomes = [project.step(server, REGION=region).outcomes[0] for region in ("eu", "us", "eu", "us")]
        assert outcomes == ["triggered", "triggered", "already-triggered", "already-triggered"]
        assert [run.parameters["region"] for run in server.runs] == ["eu", "us"]


@pytest.mark.parametrize("fault", ["close-after-create", "500-after-create", "garbage"])
@pytest.mark.parametrize("text", [TARGET, one(KEY, "to: deployer"), one(KEY)], ids=["target", "unnamed", "own"])
def test_a_lost_trigger_is_found_by_its_key_beside_anothers(project: Project, text: str, fault: str) -> None:
    project.write(text)
    quickly: Any = project.without_waits()
    with two_projects() as server:
        server.add_fault(parse_fault(fault))
        ended = project.step(server, **quickly)
        assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err
        assert project.step(server, **quickly).outcomes == ["already-triggered"]
        assert len(server.runs) == len(triggers(server)) == 1


# The branch during the build

CLONES = {"full": (), "blobless": ("--filter=blob:none",), "shallow": ("--depth=1",)}


class Build(Clone):
    """Somebody's clone, from which is pushed; `checkout` is the clone that the build runs in."""

    def checkout(self, kind: str) -> Project:
        folder = self.folder.parent / "checkout"
        self.git(
            "--git-dir", str(self.folder.parent / f"{self.folder.name}.git"), "config", "uploadpack.allowFilter", "true"
        )
        self.git("clone", "--quiet", *CLONES[kind], self.git("remote", "get-url", "origin"), str(folder))
        project = Project.__new__(Project)
        project.folder = folder
        return project


@pytest.fixture
def build(tmp_path: Path) -> Build:
    (tmp_path / "desk").mkdir()
    return Build(tmp_path / "desk")


@pytest.mark.parametrize("kind", CLONES)
def test_a_push_during_the_build_is_superseded_and_quiet(build: Build, circleci: Sandbox, kind: str) -> None:
    build.commit()
    ours = build.commit()
    build.push()
    checkout = build.checkout(kind)
    newer = [build.commit() for _ in range(3)][-1]
    build.push()
    ended = checkout.step(circleci, CIRCLE_SHA1=ours)
    assert (ended.code, ended.outcomes) == (0, ["superseded"]), ended.err
    assert newer in ended.json["triggers"][0]["because"]
    assert "looking again" not in ended.err
    assert triggers(circleci) == []


@pytest.mark.parametrize("kind", CLONES)
def test_a_head_that_lags_or_was_rewritten_is_not_green(build: Build, circleci: Sandbox, kind: str) -> None:
    old = build.commit()
    ours = build.commit()
    build.push()
    checkout = build.checkout(kind)
    quickly: Any = {**checkout.without_waits(), "CIRCLE_SHA1": ours}
    build.git("push", "--quiet", "--force", "origin", f"{old}:main")
    lagging = checkout.step(circleci, **quickly)
    assert (lagging.code, lagging.outcomes) == (5, ["not-sent"]), lagging.err
    build.git("checkout", "--quiet", "-b", "again", old)
    amended = build.commit("other")
    build.git("push", "--quiet", "--force", "origin", "again:main")
    rewritten = checkout.step(circleci, **quickly)
    assert (rewritten.code, rewritten.outcomes) == (5, ["not-sent"]), rewritten.err
    assert f"is at {amended}, which is not known to be newer" in rewritten.json["error"]["message"]
    assert triggers(circleci) == []
    build.git("push", "--quiet", "--force", "origin", f"{ours}:main")
    circleci.moved["main"] = ours
    there = checkout.step(circleci, **quickly)
    assert (there.code, there.outcomes) == (0, ["triggered"]), there.err
