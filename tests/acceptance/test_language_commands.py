"""`test`, `check` beside a project, and `schema`, as processes."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from acceptance.process import Project

RULES = """
    version: 1
    rules:
      - name: production
        when: {branch: main}
        requires: [test]
        deploy: {workflow: deploy, parameters: {deploy: true}}
    """
CASES = (
    RULES.replace("        requires: [test]\n", "")
    + """
    cases:
      - {name: main deploys, given: {branch: main}, expect: {fire: [production]}}
      - {name: nothing else, given: {branch: x}, expect: {fire: [%s]}}
    """
)
WIRED = """
    version: 2.1
    parameters: {deploy: {type: boolean, default: false}}
    jobs:
      test: {steps: [checkout, {run: make test}, {run: ci/there.sh}]}
      release: {steps: [checkout, {run: make release}]}
    workflows:
      build:
        unless: << pipeline.parameters.deploy >>
        jobs: [test]
      deploy:
        when: << pipeline.parameters.deploy >>
        jobs: [release]
    """


def test_cases(project: Project) -> None:
    project.write(CASES % "")
    ended = project.call("test")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "2 passed, 0 failed")
    project.write(CASES % "production")
    ended = project.call("test", "--json", "--junit", "results/deploystep.xml")
    assert (ended.code, ended.json["error"]["code"]) == (3, "cases-failed")
    assert [case["outcome"] for case in ended.json["cases"]] == ["passed", "failed"]
    suite = ET.parse(project.folder / "results/deploystep.xml").getroot().find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    assert suite.get("failures") == "1"
    ended = project.call("test", "--junit", ".circleci/deploy.yml/x.xml")
    assert (ended.code, "--junit" in ended.err) == (2, True)
    project.write(RULES)
    assert "no case shows rule 'production' firing" in project.call("test", "--coverage").out


# check


@pytest.mark.parametrize(
    ("options", "instead", "end", "told"),
    [
        # the config is read, and the files that it names
        ("", "requires: [test]", 3, "error[E702]: job 'test' runs this step"),
        ("", "environment: e", 0, "warning[P05]: .circleci/config.yml:9: job 'test' names no context"),
        ("--strict", "environment: e", 3, "warning[P05]"),
        ("", "ignore: [P05]", 0, "nothing wrong found"),
        ("", "ignore: [E702]", 3, "error[E116]: 'E702' is not a code that can be ignored"),
        # a code is explained
        ("--explain p02", "", 0, "P02: the deploy's workflow, or its job that deploys, runs for every push"),
        ("--explain P99", "", 2, "there is no code 'P99'"),
    ],
)
def test_check(project: Project, options: str, instead: str, end: int, told: str) -> None:
    project.write(RULES.replace("requires: [test]", instead))
    project.write(WIRED, ".circleci/config.yml")
    project.write("deploystep run\n", "ci/there.sh")
    ended = project.call("check", *options.split())
    assert (ended.code, told in ended.out + ended.err) == (end, True), ended.out


def test_the_schema_is_all_that_is_printed(project: Project) -> None:
    """It is one JSON document already, and needs no build, no rule file and no token."""
    committed = (Path(__file__).parents[2] / "schema/deploystep.schema.json").read_text(encoding="utf-8")
    (project.folder / ".circleci/deploy.yml").unlink()
    ended = project.run(("schema", "--json"), {"CIRCLE_TOKEN": None}, ci=False)
    assert (ended.code, ended.err, ended.out) == (0, "", committed)
    refused = project.call("schema", "--rules", "deploy.yml", "--json")
    assert (refused.code, refused.json["command"]) == (2, "schema")
