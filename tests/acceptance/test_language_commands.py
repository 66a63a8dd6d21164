"""`test`, `check` beside a project, and facts that a run learns from git and from CircleCI, as processes."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from acceptance.process import TOKEN, Project, sandbox
from builds import PIPELINE, SHA, WORKFLOW

DEPLOY = "deploy: {workflow: deploy, parameters: {deploy: true}}"
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


def test_cases_that_hold_and_what_none_shows(project: Project) -> None:
    project.write(CASES % "")
    ended = project.call("test")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "2 passed, 0 failed")
    project.write(REQUIRES)
    ended = project.call("test", "--coverage")
    assert (ended.code, "no case shows rule 'production' firing" in ended.out) == (0, True)


def test_a_case_that_fails_is_exit_3_and_junit_tells(project: Project) -> None:
    project.write(CASES % "production")
    ended = project.call("test", "--json", "--junit", "results/deploystep.xml")
    assert (ended.code, ended.json["error"]["code"]) == (3, "cases-failed")
    assert [case["outcome"] for case in ended.json["cases"]] == ["passed", "failed"]
    suite = ET.parse(project.folder / "results/deploystep.xml").getroot().find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    assert suite.get("failures") == "1"
    (project.folder / "file").write_text("", encoding="utf-8")
    ended = project.call("test", "--junit", "file/x.xml")
    assert (ended.code, "--junit" in ended.err) == (2, True)


def test_check_beside_the_config_and_strictly(project: Project) -> None:
    parameters = "parameters: {deploy: {type: boolean, default: false}}"
    project.write(f"version: 2.1\n{parameters}\nworkflows: {{build: {{jobs: [test]}}}}\n", ".circleci/config.yml")
    wrong = project.call("check")
    assert (wrong.code, ".circleci/config.yml has no workflow 'deploy'" in wrong.out) == (3, True)
    project.write("version: 2.1\n", ".circleci/config.yml")
    project.write((CASES % "").replace(DEPLOY, "unless: {user: '[bot]'}"))
    assert [project.call("check", *options).code for options in ((), ("--strict",))] == [0, 3]


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
        dry = project.step(server, "--dry-run", CIRCLE_JOB=own)
        ended = project.step(server, CIRCLE_JOB=own)
        posts = [r for r in server.requests if r.method == "POST"]
    assert (ended.code, ended.json["rules"][0]["verdict"]) == (code, verdict)
    assert len(posts) == (1 if verdict == "fire" else 0)
    assert (dry.json["rules"], dry.outcomes) == (ended.json["rules"], ["planned"] * len(posts))


def test_a_fact_that_cannot_be_learned_is_exit_5_and_nothing_is_sent(project: Project) -> None:
    project.write(REQUIRES.replace("requires: [test]", "unless: {message_contains: skip}"))
    with sandbox() as server:
        ended = project.step(server)
        assert [r for r in server.requests if r.method == "POST"] == []
    (problem,) = ended.json["error"]["diagnostics"]
    assert (ended.code, problem["code"], problem["severity"], problem["line"]) == (5, "U103", "undecided", 5)


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


@pytest.mark.parametrize(
    ("instead", "wired", "code", "told"),
    [
        ("environment: e", {}, 0, "warning[P05]: .circleci/config.yml:9: job 'test' names no context"),
        ("ignore: [P05]", {}, 0, "nothing wrong found"),
        ("ignore: [E702]", {}, 3, "error[E116]: 'E702' is not a code that can be ignored"),
        ("requires: [test]", {}, 3, "error[E702]: job 'test' runs this step"),
        (
            "environment: e",
            {"when: <<": "x: <<"},
            3,
            "error[P02]: .circleci/config.yml:10: workflow 'deploy' also runs",
        ),
        ("ignore: [P02, P05]", {"when: <<": "x: <<"}, 0, "nothing wrong found"),
        ("ignore: [P05]", {"run: deploystep run": "run: ci/go.sh"}, 0, "warning[P04]"),
        ("ignore: [P05]", {"run: deploystep run": "run: ci/there.sh"}, 0, "nothing wrong found"),
    ],
)
def test_check_reads_the_wiring_and_can_be_told_to_ignore(
    project: Project, instead: str, wired: dict[str, str], code: int, told: str
) -> None:
    project.write(REQUIRES.replace("requires: [test]", instead))
    ((old, new),) = wired.items() or [("", "")]
    project.write(WIRED.replace(old, new) if old else WIRED, ".circleci/config.yml")
    project.write("deploystep run\n", "ci/there.sh")
    ended = project.call("check")
    assert (ended.code, told in ended.out) == (code, True), ended.out


def test_a_whole_file_can_ignore_a_code(project: Project) -> None:
    project.write(REQUIRES.replace("requires: [test]", "environment: e").replace("rules:", "ignore: P05\n    rules:"))
    project.write(WIRED, ".circleci/config.yml")
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
