"""`test`, `check` beside a project, and facts that a run learns from git and from CircleCI, as processes."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from acceptance.process import TOKEN, Project, sandbox
from builds import PIPELINE, SHA, WORKFLOW

CASES = """
    version: 1
    rules:
      - name: production
        when: {branch: main}
        deploy: {workflow: deploy, parameters: {deploy: true}}
    cases:
      - {name: main deploys, given: {branch: main}, expect: {fire: [production]}}
      - {name: nothing else, given: {branch: x}, expect: {fire: [%s]}}
    """
REQUIRES = """
    version: 1
    rules:
      - name: production
        when: {branch: main}
        requires: [test]
        deploy: {workflow: deploy, parameters: {deploy: true}}
    """


def test_cases_that_hold(project: Project) -> None:
    project.write(CASES % "")
    ended = project.call("test")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "2 passed, 0 failed")


def test_a_case_that_fails_is_exit_3_and_junit_tells(project: Project) -> None:
    project.write(CASES % "production")
    ended = project.call("test", "--json", "--junit", "results/deploystep.xml")
    assert ended.code == 3
    assert [case["outcome"] for case in ended.json["cases"]] == ["passed", "failed"]
    assert ended.json["error"]["code"] == "cases-failed"
    suite = ET.parse(project.folder / "results/deploystep.xml").getroot().find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    assert suite.get("failures") == "1"


def test_coverage_names_what_no_case_shows(project: Project) -> None:
    project.write(REQUIRES)
    ended = project.call("test", "--coverage")
    assert ended.code == 0
    assert "no case shows rule 'production' firing" in ended.out


def test_check_beside_the_config_and_strictly(project: Project) -> None:
    parameters = "parameters: {deploy: {type: boolean, default: false}}"
    project.write(f"version: 2.1\n{parameters}\nworkflows: {{build: {{jobs: [test]}}}}\n", ".circleci/config.yml")
    wrong = project.call("check")
    assert (wrong.code, ".circleci/config.yml has no workflow 'deploy'" in wrong.out) == (3, True)
    project.write("version: 2.1\n", ".circleci/config.yml")
    project.write((CASES % "").replace("deploy: {workflow: deploy, parameters: {deploy: true}}", "deploy: {}"))
    assert project.call("check").code == 0
    strict = project.call("check", "--strict")
    assert strict.code == 3


@pytest.mark.parametrize(
    ("jobs", "own", "code", "verdict"),
    [
        ({"test": "success"}, "deploy", 0, "fire"),
        ({"test": "failed"}, "deploy", 0, "held"),
        ({"tset": "success"}, "deploy", 3, "unknown"),
        ({"test": "running"}, "test", 3, "unknown"),
    ],
)
def test_required_jobs_are_read_from_circleci(
    project: Project, jobs: dict[str, str], own: str, code: int, verdict: str
) -> None:
    project.write(REQUIRES)
    with sandbox() as server:
        server.add_build(PIPELINE, "gh/acme/shop", workflow_id=WORKFLOW, jobs=jobs, branch="main", revision=SHA)
        ended = project.step(server, CIRCLE_JOB=own)
        posts = [r for r in server.requests if r.method == "POST"]
    assert (ended.code, ended.json["rules"][0]["verdict"]) == (code, verdict)
    assert len(posts) == (1 if verdict == "fire" else 0)


def test_check_refuses_a_rule_that_requires_the_job_that_it_runs_in(project: Project) -> None:
    project.write(REQUIRES)
    config = """
        version: 2.1
        parameters: {deploy: {type: boolean, default: false}}
        jobs: {test: {steps: [checkout, {run: make test}, {run: deploystep run}]}}
        workflows: {build: {jobs: [test]}, deploy: {jobs: [release]}}
        """
    project.write(config, ".circleci/config.yml")
    ended = project.call("check")
    assert (ended.code, "error[E702]: job 'test' runs this step" in ended.out) == (3, True), ended.out


def test_a_fact_that_cannot_be_learned_is_exit_5_and_nothing_is_sent(project: Project) -> None:
    project.write(REQUIRES.replace("requires: [test]", "unless: {message_contains: skip}"))
    with sandbox() as server:
        ended = project.step(server)
        assert [r for r in server.requests if r.method == "POST"] == []
    assert ended.code == 5
    (problem,) = ended.json["error"]["diagnostics"]
    assert (problem["code"], problem["severity"], problem["line"]) == ("U103", "undecided", 5)


def test_a_dry_run_judges_as_the_live_run_does(project: Project) -> None:
    project.write(REQUIRES)
    with sandbox() as server:
        server.add_build(PIPELINE, "gh/acme/shop", workflow_id=WORKFLOW, jobs={"test": "success"})
        live, dry = project.step(server), project.step(server, "--dry-run")
    assert live.json["rules"] == dry.json["rules"]
    assert dry.outcomes == ["planned"]


def test_a_folder_for_results_that_cannot_be_made(project: Project) -> None:
    project.write(CASES % "")
    Path(project.folder / "results").write_text("", encoding="utf-8")
    ended = project.call("test", "--junit", "results/x.xml")
    assert ended.code == 2
    assert "--junit" in ended.err


def test_no_rule_can_send_the_token_whatever_it_is_called(project: Project) -> None:
    project.write(
        REQUIRES.replace("requires: [test]", "environment: e")
        .replace("{branch: main}", '{branch: main, env: {MY_NAME: "*"}}')
        .replace("deploy: true", 'deploy: "${MY_NAME}"')
    )
    with sandbox() as server:
        ended = project.step(server, "--token-env", "MY_NAME", MY_NAME=TOKEN, CIRCLE_TOKEN=None)
        assert [r for r in server.requests if r.method == "POST"] == []
    assert ended.json["rules"][0]["because"] == "line 4: env MY_NAME — it is not set"
    assert TOKEN not in ended.out + ended.err


WIRED = """
    version: 2.1
    parameters: {deploy: {type: boolean, default: false}}
    jobs:
      test: {steps: [checkout, {run: make test}, {run: deploystep run}]}
      release: {steps: [checkout, {run: make release}]}
    workflows:
      build:
        unless: << pipeline.parameters.deploy >>
        jobs: [test]
      deploy:
        when: << pipeline.parameters.deploy >>
        jobs: [release]
    """


def test_check_reads_the_wiring_and_can_be_told_to_ignore(project: Project) -> None:
    rules = REQUIRES.replace("requires: [test]", "environment: e")
    project.write(rules)
    project.write(WIRED, ".circleci/config.yml")
    told = project.call("check")
    assert (told.code, "warning[P05]: .circleci/config.yml:9: job 'test' names no context" in told.out) == (0, True)
    project.write(rules.replace("environment: e", "ignore: [P05]"))
    assert "nothing wrong found" in project.call("check").out
    project.write(rules.replace("rules:", "ignore: P05\n    rules:"))
    assert "nothing wrong found" in project.call("check").out
    project.write(rules.replace("environment: e", "ignore: [E702]"))
    assert "error[E116]: 'E702' is not a code that can be ignored" in project.call("check").out
    project.write(rules)
    project.write(WIRED.replace("    when: << pipeline.parameters.deploy >>\n", ""), ".circleci/config.yml")
    loop = project.call("check")
    assert (loop.code, "error[P02]: .circleci/config.yml:10: workflow 'deploy' also runs" in loop.out) == (3, True)
    project.write(rules.replace("environment: e", "ignore: [P02, P05]"))
    assert project.call("check").code == 0


def test_check_reads_scripts_where_there_is_no_clone(project: Project) -> None:
    project.write(REQUIRES.replace("requires: [test]", "ignore: [P05]"))
    project.write(WIRED.replace("run: deploystep run", "run: ci/go.sh"), ".circleci/config.yml")
    assert "warning[P04]" in project.call("check").out
    project.write("deploystep run\n", "ci/go.sh")
    assert "nothing wrong found" in project.call("check").out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("setup: true\n", ".circleci/config.yml:1: a setup config: what continues it is not compared with"),
        ("- a\n", ".circleci/config.yml:1: this config is passed over: it is not a map"),
        ("a: [\n", ".circleci/config.yml:2: this config is passed over: YAML cannot read it"),
    ],
)
def test_a_config_that_is_not_compared_with_is_named_with_the_line(project: Project, text: str, told: str) -> None:
    project.write(CASES % "")
    project.write(text, ".circleci/config.yml")
    assert told in project.call("check").err


def test_check_explains_a_code(project: Project) -> None:
    told = project.call("check", "--explain", "p02")
    meaning = "P02: the deploy's workflow, or its job that deploys, runs for every push"
    assert (told.code, told.out.splitlines()[0]) == (0, meaning)
    unknown = project.call("check", "--explain", "P99")
    assert (unknown.code, "there is no code 'P99'" in unknown.err) == (2, True)


def test_plan_says_what_would_run(project: Project) -> None:
    project.write(CASES % "")
    project.write(WIRED, ".circleci/config.yml")
    facts = ("--given", "facts.yml")
    (project.folder / "facts.yml").write_text("branch: main\n", encoding="utf-8")
    assert "  would run: workflow deploy: release\n" in project.call("plan", *facts).out
    (trigger,) = project.call("plan", *facts, "--json").json["triggers"]
    assert trigger["would_run"]["workflows"] == [{"name": "deploy", "runs": "yes"}]
