"""The deploy key in whole processes: two projects whose configurations tell whose run each is, and real git."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from acceptance.process import Clone, Project, sandbox, triggers
from acceptance.server import Answer
from acceptance.wire import LIST, LOST, NEW, POST, created_run, page, pipeline, read, step, workflows
from builds import OTHER_SHA, RUN, SHA

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
DECLARES_ONLY = RECEIVES.replace("environment: {DEPLOY_KEY: << pipeline.parameters.deploy_key >>}", "")
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


def test_a_target_whose_config_does_not_use_the_key_cannot_tell_and_one_without_a_key_says_so(project: Project) -> None:
    """An unused parameter leaves no mark in what is compiled; `check` says so."""
    project.write(one("a: b", "to: deployer, workflow: deploy"))
    with two_projects() as server:
        assert "a rerun of this step is not recognised and deploys again" in project.step(server).err
    project.write(one(KEY))
    with two_projects(DECLARES_ONLY) as server:
        assert [project.step(server).outcomes[0] for _ in range(2)] == ["triggered", "already-triggered"]


def test_what_failed_at_a_target_is_deployed_again_and_what_is_wanted_again_is_known_later(project: Project) -> None:
    project.write(TARGET)
    with two_projects() as server:
        server.add_fault(parse_fault("ends:failed"))
        assert [project.step(server).outcomes[0] for _ in range(2)] == ["triggered", "triggered"]
        server.drop_faults()
        job = {"CIRCLE_WORKFLOW_JOB_ID": "11111111-2222-4333-8444-555555555555"}
        assert project.step(server, "--again", "it was rolled back", **job).outcomes == ["triggered"]
        assert project.step(server).outcomes == ["already-triggered"]
        keys = [str(run.parameters["deploy_key"]) for run in server.runs]
        assert (len(keys), len(set(keys)), len({key[:19] for key in keys})) == (3, 2, 1)


def test_after_a_failure_only_the_run_that_was_wanted_again_has_deployed(project: Project) -> None:
    """Were it not known as a run of this deploy, the next build would deploy beside it."""
    project.write(TARGET)
    with two_projects(pace=Pace(appear=0.0, finish=60.0)) as server:
        server.add_fault(parse_fault("ends:failed"))
        first = project.step(server)
        assert first.outcomes == ["triggered"]
        server.set_workflow(next(iter(server.runs)).workflows[0].id, "failed")
        assert project.step(server, "--again", "at once").outcomes == ["triggered"]
        assert project.step(server).outcomes == ["already-triggered"]
        assert len(sent(server)) == 2


def test_rules_that_share_a_workflow_send_only_what_is_missing(project: Project) -> None:
    line = "{{name: {0}, when: {{branch: main}}, deploy: {{workflow: deploy, parameters: {{to: {0}, {1}}}}}}}"
    project.write(rules(*(line.format(name, KEY) for name in ("eu", "us"))))
    with two_projects() as server:
        server.add_fault(parse_fault("ends:success"))
        server.add_fault(parse_fault(f"{POST} => status:403:no"))
        assert project.step(server).outcomes == ["triggered", "refused"]
        assert project.step(server).outcomes == ["already-triggered", "triggered"]
        assert project.step(server).outcomes == ["already-triggered", "already-triggered"]
        assert [run.parameters["to"] for run in server.runs] == ["eu", "us"]


def test_the_same_request_but_for_the_key_is_not_sent_twice(project: Project) -> None:
    line = "{{name: {0}, when: {{branch: main}}, deploy: {{workflow: deploy, parameters: {{{1}}}}}}}"
    project.write(rules(*(line.format(name, KEY) for name in ("eu", "us"))))
    with two_projects() as server:
        ended = project.step(server)
        assert (ended.code, ended.json["error"]["diagnostics"][0]["code"], sent(server)) == (3, "E608", [])


@pytest.mark.parametrize("deploy", ["workflow: deploy", "to: deployer, workflow: deploy"])
def test_a_rule_that_is_sent_once_for_each_region(project: Project, deploy: str) -> None:
    when = 'branch: main, env: {REGION: "*"}'
    project.write(one(f"region: '${{REGION}}', {KEY}", deploy, when))
    with two_projects() as server:
        outcomes = [project.step(server, REGION=region).outcomes[0] for region in ("eu", "us", "eu", "us")]
        assert outcomes == ["triggered", "triggered", "already-triggered", "already-triggered"]
        assert [run.parameters["region"] for run in server.runs] == ["eu", "us"]


def test_a_region_without_a_key_is_not_green_for_another(project: Project) -> None:
    project.write(one("region: '${REGION}'", when='branch: main, env: {REGION: "*"}'))
    with two_projects() as server:
        first, second = (project.step(server, REGION=region) for region in ("eu", "us"))
        assert (first.code, first.outcomes) == (0, ["triggered"])
        assert (second.code, second.outcomes) == (5, ["not-sent"])
        assert "${REGION}" in second.json["error"]["message"]
        assert "deploy_key: ${deploy.key}" in second.json["error"]["hints"][0]


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


@pytest.mark.parametrize("deploy", ["to: deployer, workflow: deploy", "to: deployer"])
def test_a_lost_trigger_without_a_key_is_never_guessed(project: Project, deploy: str) -> None:
    project.write(one("a: b", deploy))
    with two_projects() as server:
        server.add_fault(parse_fault("close-after-create"))
        ended = project.step(server)
        assert (ended.code, ended.outcomes) == (8, ["uncertain"]), ended.err
        assert any("${deploy.key}" in hint for hint in ended.json["error"]["hints"])
        assert len(triggers(server)) == 1


def test_a_lost_trigger_beside_a_twin_in_one_answer(project: Project) -> None:
    """Another build's run appears in the same second; the key tells which is which, and no clock does."""
    project.write(one(KEY))
    shown = project.step(None, "--dry-run").json["triggers"][0]["request"]["body"]["parameters"]["deploy_key"]
    twin = "bbbbbbbb-0000-4000-8000-000000000002"
    routes = {
        **created_run(deploy="running"),
        LIST: [page(), page(pipeline(twin, number=26), pipeline())],
        POST: LOST,
        f"{NEW}/config": read({"source": "", "compiled": f"k: {shown}"}),
        f"GET /api/v2/pipeline/{twin}/config": read({"source": "", "compiled": "k: ds-0123456789abcdef01234567"}),
    }
    ended, server = step(project, routes)
    assert (ended.code, ended.outcomes) == (0, ["triggered"]), ended.err
    assert ended.json["triggers"][0]["id"] == RUN
    both, server = step(project, {**routes, f"GET /api/v2/pipeline/{twin}/config": routes[f"{NEW}/config"]})
    assert (both.code, both.outcomes) == (8, ["uncertain"]), both.err
    assert len(server.asked(POST)) == 1


@pytest.mark.parametrize("key", [KEY, "a: b"])
@pytest.mark.parametrize("count", [45, 120])
def test_a_tag_is_deployed_once_however_many_pipelines_come_after_it(project: Project, key: str, count: int) -> None:
    """A tag's list is the whole project's."""
    project.write(one(key, when="tag: v1"))
    tagged: Any = {"CIRCLE_BRANCH": None, "CIRCLE_TAG": "v1"}
    with two_projects(heads={"v1": SHA}) as server:
        assert project.step(server, **tagged).outcomes == ["triggered"]
        for n in range(count):
            identity = f"{n:08d}-0000-4000-8000-000000000000"
            server.add_build(identity, SHOP, branch=f"feature-{n}", revision=OTHER_SHA)
        again = "11111111-2222-4333-8444-555555555555"
        server.add_build(again, SHOP, tag="v1", revision=SHA)
        ended = project.step(server, CIRCLE_PIPELINE_ID=again, **tagged)
        assert (ended.code, ended.outcomes) == (0, ["already-triggered"]), ended.err
        assert len(sent(server)) == 1


@pytest.mark.parametrize("confirm", ["0", "2s"])
def test_a_short_confirmation_does_not_shorten_how_long_an_earlier_run_is_awaited(
    project: Project, confirm: str
) -> None:
    old = "aaaaaaaa-0000-4000-8000-000000000001"
    routes: Any = {
        **created_run(deploy="running"),
        LIST: page(pipeline(old, age=3.0, state="pending")),
        f"GET /api/v2/pipeline/{old}": read(pipeline(old, age=3.0, state="pending")),
        f"GET /api/v2/pipeline/{old}/workflow": [*[workflows()] * 12, workflows(deploy="running")],
    }
    ended, server = step(project, routes, "--confirm", confirm)
    assert (ended.code, ended.outcomes, server.asked(POST)) == (0, ["already-triggered"], []), ended.err
    never: Any = {**routes, f"GET /api/v2/pipeline/{old}/workflow": workflows()}
    ended, server = step(project, never, "--confirm", confirm)
    assert (ended.code, server.asked(POST)) == (5, []), ended.err


def test_without_a_date_header_a_run_that_has_no_workflows_yet_is_not_anothers(project: Project) -> None:
    old = pipeline("aaaaaaaa-0000-4000-8000-000000000001", age=9000.0)
    routes: Any = {
        LIST: Answer(200, {"items": [old], "next_page_token": None}, {"Date": ""}),
        f"GET /api/v2/pipeline/{old['id']}": read(old),
        f"GET /api/v2/pipeline/{old['id']}/workflow": workflows(),
    }
    ended, server = step(project, routes)
    assert (ended.code, ended.outcomes, server.asked(POST)) == (5, ["not-sent"], []), ended.err


# Success that deployed nothing


def jobs(*found: dict[str, Any]) -> Answer:
    return page(*found)


BUILT, SKIPPED = {"id": "b", "name": "build", "status": "success"}, {"id": "d", "name": "deploy", "status": "not_run"}
FOR_FAILURE = {"id": "f", "name": "page", "status": "not_run", "requires": {"b": ["failed"]}}
W_JOBS = "GET /api/v2/workflow/w-deploy/job"


@pytest.mark.parametrize(
    ("listed", "earlier", "waited"),
    [
        (jobs(BUILT), (0, "already-triggered"), 0),
        (jobs(BUILT, FOR_FAILURE), (0, "already-triggered"), 0),
        (jobs(BUILT, SKIPPED), (11, "triggered"), 11),
        (Answer(404, {"message": "no"}), (5, "not-sent"), 12),
    ],
    ids=["ran", "only for a failure", "skipped", "unreadable"],
)
def test_a_success_in_which_the_deploy_did_not_run(
    project: Project, listed: Answer, earlier: tuple[int, str], waited: int
) -> None:
    wait = ("--wait", "30s")
    routes: Any = {**created_run(deploy="success"), LIST: page(), W_JOBS: listed}
    ended, _ = step(project, routes, *wait)
    assert (ended.code, ended.outcomes) == (waited, ["triggered"]), ended.err
    old = pipeline("aaaaaaaa-0000-4000-8000-000000000001", age=600.0)
    routes |= {LIST: page(old), f"GET /api/v2/pipeline/{old['id']}/workflow": workflows(deploy="success")}
    ended, server = step(project, routes, *wait)
    assert (ended.code, ended.outcomes) == (earlier[0], [earlier[1]]), ended.err
    assert len(server.asked(POST)) == (earlier[1] == "triggered")


def test_a_setup_workflow_that_failed_is_told_at_once(project: Project) -> None:
    routes: Any = {**created_run(setup="failed"), NEW: read(pipeline(state="setup"))}
    ended, server = step(project, routes, "--confirm", "10m")
    assert (ended.code, ended.outcomes) == (10, ["nothing-runs"]), ended.err
    assert "the setup workflow failed" in ended.json["error"]["message"]
    assert len(server.asked(f"{NEW}/workflow")) == 1


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
    circleci.move("main", ours)
    there = checkout.step(circleci, **quickly)
    assert (there.code, there.outcomes) == (0, ["triggered"]), there.err


def test_all_rules_are_superseded_or_none(build: Build, circleci: Sandbox) -> None:
    build.write(
        rules(
            *(
                f"{{name: {n}, when: {{branch: main}}, deploy: {{workflow: {n}, parameters: {{which: {n}}}}}}}"
                for n in "ab"
            )
        )
    )
    ours = build.commit()
    build.push()
    checkout = build.checkout("full")
    build.commit()
    build.push()
    assert checkout.step(circleci, CIRCLE_SHA1=ours).outcomes == ["superseded"] * 2
